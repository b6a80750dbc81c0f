"""Risks and gains of S_d on T^d beside those that exact counts predict, and gains on the way to |G|."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from paper_figures.style import (
    LINES,
    SMALL,
    STYLE,
    load_results,
    log_axes,
    mean_and_range,
    new_figure,
    save_figure,
)


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figure of the experiment ``structured_gain``: means and ranges over seeds."""
    data = load_results(results)
    num = len(data["dimensions"])
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.4 * (num + 1) + 0.4, 5.0)
        axes = figure.subplots(2, num + 1, squeeze=False)
        for i in range(num):
            _risks(axes[0, i], data, i)
            _gains(axes[1, i], data, i)
        _far(axes[0, num], data)
        _counts(axes[1, num], data)
        axes[0, 0].set_ylabel("risk")
        axes[1, 0].set_ylabel("gain: n at equal risk")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        more, names = axes[1, 0].get_legend_handles_labels()
        dimensions = axes[0, num].get_legend_handles_labels()
        figure.legend(
            handles + more + dimensions[0],
            [f"{label} (lines: predicted)" for label in labels] + names + dimensions[1],
            loc="outside lower center",
            ncols=4,
            fontsize=8,
        )
        return save_figure(figure, out, "structured_gain")


def _title(data: dict[str, np.ndarray], i: int) -> str:
    d = data["dimensions"][i]
    return f"$S_{d}$ on $T^{d}$, |G| = {data['group_order'][i]}"


def _risks(axis: Axes, data: dict[str, np.ndarray], i: int) -> None:
    sizes = data["sizes"]
    for k, method in enumerate(data["methods"]):
        line = {**LINES[k], "linestyle": "none", "label": str(method)}
        axis.plot(sizes, data["predicted"][i, k], color=LINES[k]["color"], lw=0.9)
        mean_and_range(axis, sizes, data["risk"][i, :, :, k], line)
    log_axes(axis, sizes[:: max(1, len(sizes) // 3)])
    kept, whole = data["num_invariant"][i], data["num_ambient"][i]
    axis.set_title(f"{_title(data, i)}\n{kept} of {whole} functions", fontsize=8)
    axis.set_xlabel("n")


def _gains(axis: Axes, data: dict[str, np.ndarray], i: int) -> None:
    sizes, predicted = data["sizes"], data["predicted_gain"][i]
    axis.plot(sizes, predicted, color="black", lw=0.9, label="predicted gain")
    axis.fill_between(
        sizes, 0.8 * predicted, 1.2 * predicted, color="black", alpha=0.1, lw=0, label="± 20 %"
    )
    least, largest = data["seed_gain"][i].min(axis=1), data["seed_gain"][i].max(axis=1)
    color = LINES[1]["color"]
    axis.vlines(sizes, least, largest, color=color, lw=1.0, label="range over seeds")
    axis.plot(sizes, data["measured_gain"][i], "o", color=color, markersize=5, label="measured gain")
    axis.axhline(data["group_order"][i], color="grey", lw=0.8, ls="--", label="|G|")
    reached = np.flatnonzero(np.isfinite(data["measured_gain"][i]))
    axis.set_xscale("log")
    last = min(reached.max(initial=1) + 1, len(sizes) - 1)
    axis.set_xlim(0.8 * float(sizes[0]), 1.3 * float(sizes[last]))
    axis.set_xticks(sizes[: last + 1], sizes[: last + 1], fontsize=7)
    axis.minorticks_off()
    axis.set_ylim(0, 1.1 * max(data["group_order"][i], np.nanmax(largest, initial=0)))
    axis.set_xlabel("n of the invariant fit")


def _far(axis: Axes, data: dict[str, np.ndarray]) -> None:
    for i, order in enumerate(data["group_order"]):
        line = {**LINES[i + 2], "marker": ""}
        axis.plot(
            data["far_grid"],
            data["far_gain"][i] / order,
            **SMALL,
            **line,
            label=f"$S_{data['dimensions'][i]}$",
        )
        measured = {**LINES[i + 2], "linestyle": "none"}
        axis.plot(data["sizes"], data["measured_gain"][i] / order, **SMALL, **measured)
    axis.axhline(1, color="grey", lw=0.8, ls="--")
    axis.set_xscale("log")
    axis.set_ylim(0, 1.1)
    axis.set_title("gain / |G|: predicted with\nlong spectra, and measured", fontsize=8)
    axis.set_xlabel("n of the invariant fit")


def _counts(axis: Axes, data: dict[str, np.ndarray]) -> None:
    for i, order in enumerate(data["group_order"]):
        ratio = data["far_ambient"][i] / data["far_invariant"][i]
        axis.plot(data["far_eigenvalues"][i], ratio / order, **SMALL, **{**LINES[i + 2], "marker": ""})
    axis.axhline(1, color="grey", lw=0.8, ls="--")
    axis.set_xscale("log")
    axis.set_xlim(left=1)
    axis.set_ylim(0, 1.1)
    axis.set_title("(D/D_G)/|G|, exact", fontsize=8)
    axis.set_xlabel("truncation |k|²")
