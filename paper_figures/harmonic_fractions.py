"""Fractions of invariant harmonics beside their limits, and counting curves over Weyl's law."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from paper_figures.style import LINES, STYLE, legend_below, load_results, new_figure, save_figure


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figures of the experiment ``harmonic_fractions``: exact counts, nothing random."""
    data = load_results(results)
    return _draw_fractions(data, out) + _draw_counts(data, out)


def _draw_fractions(data: dict[str, np.ndarray], out: Path) -> list[Path]:
    num = len(data["dimensions"])
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.5 * num + 0.4, 3.4)
        axes = figure.subplots(1, num, squeeze=False, sharey=True)[0]
        for i, axis in enumerate(axes):
            _fractions(axis, data, i)
            legend_below(axis, 2)
        axes[0].set_ylabel(r"$\gamma_d(k)\,|G|$")
        return save_figure(figure, out, "harmonic_fractions")


def _fractions(axis: Axes, data: dict[str, np.ndarray], i: int) -> None:
    """All degrees; the even ones alone where the odd ones have no invariant."""
    degrees, d = data["degrees"], data["dimensions"][i]
    for g, label in enumerate(data["group_labels"][i]):
        kept = (degrees > 0) & ((degrees % 2 == 0) | ~data["has_inversion"][i, g])
        scaled = data["invariant"][i, g] / data["harmonics"][i] * data["group_order"][i, g]
        line = {key: LINES[g][key] for key in ("color", "marker")}
        axis.plot(
            degrees[kept],
            scaled[kept],
            linestyle="none",
            markersize=2.4,
            label=f"{label}: {data['group_order'][i, g]}",
            **line,
        )
    for limit in (1, 2):
        axis.axhline(limit, color="grey", lw=0.9, ls="--", zorder=0)
    axis.set_xscale("log")
    axis.set_ylim(0, 5)
    axis.set_title(f"harmonics of $R^{d}$", fontsize=9)
    axis.set_xlabel("degree k")


def _draw_counts(data: dict[str, np.ndarray], out: Path) -> list[Path]:
    num = len(data["labels"])
    columns = min(num, 4)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(1.95 * columns + 0.3, 1.9 * -(-num // columns) + 0.5)
        axes = figure.subplots(-(-num // columns), columns, squeeze=False)
        for axis in axes.flat[num:]:
            axis.set_visible(False)
        for p, axis in enumerate(axes.flat[:num]):
            _ratios(axis, data, p)
        for row in axes:
            row[0].set_ylabel("exact count / law")
        for axis in axes[-1]:
            axis.set_xlabel("eigenvalue Λ")
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)
        return save_figure(figure, out, "harmonic_fractions_counts")


def _ratios(axis: Axes, data: dict[str, np.ndarray], p: int) -> None:
    order = data["order"][p]
    eigenvalues, count, leading = (data[name][p] for name in ("eigenvalues", "count", "leading"))
    axis.plot(eigenvalues, count / leading, lw=1.2, color=LINES[1]["color"], label="leading term")
    axis.plot(
        eigenvalues,
        count / (leading + data["second"][p]),
        lw=1.2,
        ls="--",
        color=LINES[0]["color"],
        label="with the term of mirrors and boundary",
    )
    axis.axhline(1, color="grey", lw=0.9, ls="--", zorder=0)
    axis.set_xscale("log")
    axis.set_ylim(0.7, 2.3)
    size = f"|G| = {order:.0f}" if np.isfinite(order) else "continuous"
    axis.set_title(f"{data['labels'][p]}, {size}", fontsize=8)
