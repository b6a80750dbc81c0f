"""Risk, and distance from invariance, against the number of random group elements."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figures.style import LINES, SMALL, STYLE, load_results, new_figure, save_figure


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figure of the experiment ``augmentation``: means and ranges over seeds."""
    data = load_results(results)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(10.4, 3.6)
        risks, errors, phases = figure.subplots(1, 3, width_ratios=[1, 1, 1.15])
        _risks(risks, data)
        _errors(errors, data)
        _phases(figure, phases, data)
        handles, labels = risks.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
        return save_figure(figure, out, "augmentation")


def _plain_ticks(axis: Axes, ticks: tuple[float, ...]) -> None:
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


def _risks(axis: Axes, data: dict[str, np.ndarray]) -> None:
    sizes = data["subset_sizes"]
    for p, label in enumerate(data["labels"]):
        line = LINES[p % len(LINES)]
        excess = data["num_invariant"][p]
        mean = data["scaled_risk"][p].mean(axis=1) / excess
        axis.plot(sizes, data["predicted"][p] / excess, color=line["color"], lw=0.9)
        axis.plot(sizes, mean, **{**line, "linestyle": "none"}, markersize=4, label=str(label))
        knee = data["num_functions"][p] / excess
        axis.axvline(knee, color=line["color"], lw=0.6, ls=":")
    axis.axhline(1, color="grey", lw=0.8, ls="--")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    _plain_ticks(axis, (1, 2, 4, 10, 20, 40))
    axis.set_xlabel("|S|")
    axis.set_title("n·risk/(σ² r_inv): lines predicted,\ndotted the knees |S| = r/r_inv", fontsize=8)


def _errors(axis: Axes, data: dict[str, np.ndarray]) -> None:
    sizes = data["subset_sizes"]
    for p in range(len(data["labels"])):
        line = LINES[p % len(LINES)]
        axis.plot(sizes, data["error"][p].mean(axis=1), **{**line, "linestyle": "none"}, markersize=4)
        axis.plot(sizes, data["bound"][p], color=line["color"], lw=0.9)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    _plain_ticks(axis, (0.2, 0.5, 1, 2, 4))
    axis.set_xlabel("|S|")
    axis.set_title("‖P_S − P_G‖, and its bound (lines)", fontsize=8)


def _phases(figure: Figure, axis: Axes, data: dict[str, np.ndarray]) -> None:
    sizes = data["subset_sizes"]
    ratio = data["scaled_risk"].mean(axis=2) / data["num_invariant"][:, None]
    edges = np.append(sizes / np.sqrt(2), sizes[-1] * np.sqrt(2))
    rows = np.arange(len(ratio) + 1) - 0.5
    shown = axis.pcolormesh(edges, rows, np.log10(ratio), cmap="cividis")
    figure.colorbar(shown, ax=axis, label="log₁₀ n·risk/(σ² r_inv)")
    knees = data["num_functions"] / data["num_invariant"]
    places = np.arange(len(ratio))
    axis.plot(knees, places, "w|", markersize=22, markeredgewidth=2)
    axis.plot(data["rule_size"], places, "k*", **SMALL, ls="none", label="exact rule")
    finite = np.isfinite(data["group_order"])
    axis.plot(data["group_order"][finite], places[finite], "kx", **SMALL, ls="none", label="|G|")
    axis.set_xscale("log", base=2)
    axis.set_xlim(edges[0], 1.6 * max(edges[-1], data["rule_size"].max(), *data["group_order"][finite]))
    axis.set_yticks(places, data["labels"])
    axis.grid(False)
    axis.set_xlabel("|S|")
    axis.set_title(
        "white: knee; beyond it the risk is near its least,\nbut exactness is at ★ or ×", fontsize=8
    )
