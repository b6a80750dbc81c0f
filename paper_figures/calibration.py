"""Measured over predicted risk of every pair of a space and a group, with the range over seeds."""

from pathlib import Path

import matplotlib
import numpy as np

from paper_figures.style import LINES, STYLE, load_results, new_figure, save_figure


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figure of the experiment ``calibration``: a row for each pair, a panel for each fit."""
    data = load_results(results)
    labels, sizes, estimators = data["labels"], data["sizes"], data["estimators"]
    rows = np.arange(len(labels), dtype=float)
    steps = np.linspace(-0.25, 0.25, len(sizes))
    with matplotlib.rc_context(STYLE):
        figure = new_figure(8.4, 0.34 * len(labels) + 1.2)
        axes = np.atleast_1d(figure.subplots(1, len(estimators), sharey=True))
        for e, axis in enumerate(axes):
            axis.axvspan(0.75, 1.25, color="black", alpha=0.06, lw=0, label="± 25 %")
            axis.axvspan(0.85, 1.15, color="black", alpha=0.08, lw=0, label="± 15 %")
            axis.axvline(1, color="black", lw=0.7)
            for s, n in enumerate(sizes):
                ratio = data["risk"][:, s, :, e] / data["predicted"][:, s, None, e]
                there = np.isfinite(ratio).all(axis=1)
                line = LINES[s]
                axis.hlines(
                    rows[there] + steps[s],
                    ratio[there].min(axis=1),
                    ratio[there].max(axis=1),
                    color=line["color"],
                    lw=0.8,
                    alpha=0.6,
                )
                axis.plot(
                    ratio[there].mean(axis=1),
                    rows[there] + steps[s],
                    line["marker"],
                    color=line["color"],
                    markersize=4,
                    label=f"n = {n}",
                )
            axis.set_xscale("log")
            axis.set_xlim(0.3, 12)
            ticks = (0.33, 0.5, 0.75, 1, 1.25, 2, 4, 8)
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7)
            axis.minorticks_off()
            axis.set_xlabel("measured / predicted risk")
            axis.set_title(f"{estimators[e]} ridge", fontsize=9)
        axes[0].set_yticks(rows, labels)
        axes[0].set_ylim(len(labels) - 0.4, -0.6)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=len(names), fontsize=8, frameon=False
        )
        return save_figure(figure, out, "calibration")
