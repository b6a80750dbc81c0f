"""Generators by chance, what they are worth, symmetries from data, and the test that guards them."""

import math
import re
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from paper_figures.style import LINES, SMALL, STYLE, load_results, new_figure, save_figure


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figure of the experiment ``discovery``."""
    data = load_results(results)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(9.6, 6.0)
        axes = figure.subplots(2, 3)
        _rounds(axes[0, 0], data)
        _kept(axes[0, 1], data)
        _risk(axes[0, 2], data)
        _found(axes[1, 0], data)
        _candidates(axes[1, 1], data)
        _power(axes[1, 2], data)
        return save_figure(figure, out, "discovery")


def _label(name: str) -> str:
    name = re.sub(r"_(\d+)", r"_{\1}", name)
    return "$" + name.replace(" x ", r" \times ").replace(" on ", r"\ \mathrm{on}\ ") + "$"


def _rounds(axis: Axes, data: dict[str, np.ndarray]) -> None:
    """Success against T, and the bound of coin throws of each finite group in its colour."""
    shown = [i for i, name in enumerate(data["chain_names"]) if name not in ("S_3", "S_4", "S_6", "S_8")]
    for line, i in zip(LINES, shown or [0], strict=False):
        dimensions = data["chain_dimensions"][i]
        rounds = np.arange(dimensions.shape[1])
        done = (dimensions == data["chain_exact"][i, 1]).mean(axis=0)
        axis.plot(rounds, done, **SMALL, **line, label=_label(str(data["chain_names"][i])))
        if np.isfinite(data["chain_orders"][i]):
            needed = math.floor(math.log2(data["chain_orders"][i]))
            axis.plot(rounds, _bound(rounds, needed), color=line["color"], lw=0.8, alpha=0.5)
    axis.set_title("random elements suffice\n(thin: bound, log₂|G| heads in T throws)", fontsize=8)
    axis.set_xlabel("T, random elements")
    axis.set_ylabel("fraction of runs")
    axis.legend(fontsize=7, loc="lower right")


def _bound(rounds: np.ndarray, needed: int) -> np.ndarray:
    return np.asarray(
        [1 - sum(math.comb(t, k) for k in range(min(t + 1, needed))) / 2.0**t for t in rounds.tolist()]
    )


def _kept(axis: Axes, data: dict[str, np.ndarray]) -> None:
    """|S| against log₂|G|."""
    finite = np.isfinite(data["chain_orders"])
    x, kept = np.log2(data["chain_orders"][finite]), data["chain_kept"][finite]
    mean = kept.mean(axis=1)
    spread = [mean - kept.min(axis=1), kept.max(axis=1) - mean]
    color = LINES[0]["color"]
    axis.errorbar(x, mean, spread, fmt="o", color=color, markersize=4, lw=1, label="mean and range")
    longest = float(x.max())
    axis.plot([0, longest], [0, longest], color="grey", lw=0.8, ls="--", label="log₂|G|")
    for name, a, b in zip(data["chain_names"][finite], x, mean, strict=True):
        axis.annotate(_label(str(name)), (a, b), xytext=(3, 6), textcoords="offset points", fontsize=7)
    axis.set_title("elements that are kept, |S|", fontsize=8)
    axis.set_xlabel("log₂|G|")
    axis.legend(fontsize=7)


def _risk(axis: Axes, data: dict[str, np.ndarray]) -> None:
    """Measured risk of least squares, and σ² dim H_G/n."""
    sizes = data["risk_sizes"]
    for i, name in enumerate(data["risk_names"]):
        line, risk = LINES[i], data["risk_measured"][i]
        axis.plot(sizes, risk.mean(axis=1), **SMALL, **{**line, "linestyle": "none"}, label=_label(name))
        axis.vlines(sizes, risk.min(axis=1), risk.max(axis=1), color=line["color"], lw=0.8, alpha=0.6)
        axis.plot(sizes, data["risk_predicted"][i], color=line["color"], lw=0.9)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(sizes, sizes)
    axis.minorticks_off()
    axis.set_title("risk on the invariants of $T^4$\n(lines: σ² dim / n; bars: range)", fontsize=8)
    axis.set_xlabel("n")
    axis.legend(fontsize=7)


def _found(axis: Axes, data: dict[str, np.ndarray]) -> None:
    """Planted subgroups of S_4 that are found, against n."""
    sizes = data["found_sizes"]
    for i, name in enumerate(data["found_names"]):
        success = data["found_same"][i].mean(axis=1)
        axis.plot(sizes, success, **SMALL, **LINES[i], label=_label(str(name)))
    axis.axhline(0.95, color="grey", lw=0.8, ls="--", label="95 of 100")
    axis.set_xscale("log")
    axis.set_xticks(sizes, sizes)
    axis.minorticks_off()
    axis.set_ylim(-0.03, 1.03)
    axis.set_title("planted subgroup of $S_4$ found", fontsize=8)
    axis.set_xlabel("n")
    axis.set_ylabel("fraction of runs")
    axis.legend(fontsize=7, loc="lower right")


def _candidates(axis: Axes, data: dict[str, np.ndarray]) -> None:
    """Planted subgroups of S_5 that are found, against T, and an oracle that knows H."""
    counts = data["candidates_counts"]
    for i, kappa in enumerate(data["candidates_kappa"]):
        success, oracle = (data[f"candidates_{name}"][i].mean(axis=1) for name in ("same", "oracle"))
        axis.plot(counts, success, **SMALL, **LINES[i], label=f"κ = {kappa:.3f}")
        axis.plot(counts, oracle, color=LINES[i]["color"], lw=0.8, alpha=0.6)
    axis.set_xscale("log")
    axis.set_xticks(counts, counts)
    axis.minorticks_off()
    axis.set_ylim(-0.03, 1.03)
    axis.set_title("planted subgroup of $S_5$ found\n(thin: an oracle that knows H)", fontsize=8)
    axis.set_xlabel("T, random elements")
    axis.legend(fontsize=7)


def _power(axis: Axes, data: dict[str, np.ndarray]) -> None:
    """Rejections of the exact test (full) and of the bootstrap (open)."""
    departures = data["test_departures"]
    for k, null in enumerate(data["test_nulls"]):
        for j, noise in enumerate(data["test_noises"]):
            line = {**LINES[j], "linestyle": "-" if k == 0 else ":"}
            if k:
                line["markerfacecolor"] = "white"
            label = str(noise) if k == 0 else None
            axis.plot(departures, data["test_rejected"][k, j], **SMALL, **line, label=label)
        axis.plot([], [], color="black", ls="-" if k == 0 else ":", lw=1, label=str(null))
    axis.axhline(0.05, color="grey", lw=0.8, ls="--", label="level")
    axis.set_ylim(-0.03, 1.03)
    axis.set_title("test of invariance: rejections", fontsize=8)
    axis.set_xlabel("fraction of the variance that is broken")
    axis.legend(fontsize=7, loc="lower right")
