"""Risk against n, n·|G| and n·D/D_G, gains measured and predicted, and the exact counts behind them."""

import math
from pathlib import Path

import matplotlib
import numpy as np

from paper_figures.style import (
    LINES,
    SMALL,
    STYLE,
    legend_below,
    load_results,
    log_axes,
    mean_and_range,
    new_figure,
    save_figure,
)


def draw(results: Path, out: Path) -> list[Path]:
    """Draw both figures of the experiment ``sample_complexity``: means and ranges over seeds."""
    data = load_results(results)
    return _risks(data, out) + _counts(data, out)


def _risks(data: dict[str, np.ndarray], out: Path) -> list[Path]:
    sizes, grid, num = data["sizes"], data["grid"], len(data["labels"])
    ratio = data["num_ambient"] / data["num_invariant"]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.0 * num + 0.6, 8.4)
        axes = figure.subplots(4, num, squeeze=False)
        for p in range(num):
            factors = (1.0, float(data["group_order"][p]), float(ratio[p]))
            for row, factor in enumerate(factors):
                axis = axes[row, p]
                for k, method in enumerate(data["methods"]):
                    stretch = factor if k == 1 else 1.0
                    line = {**LINES[k], "label": str(method)}
                    axis.plot(stretch * grid, data["predicted"][p, k], color=line["color"], lw=0.8)
                    measured = {**line, "linestyle": "none"}
                    mean_and_range(axis, stretch * sizes, data["risk"][p, :, :, k], measured)
                log_axes(axis)
                axis.set_xlabel(
                    ("n", "n·|G|", "n·D/D_G")[row]
                    if row == 0
                    else f"n,  {('', 'n·|G|', 'n·D/D_G')[row]}"
                )
            axes[0, p].set_title(
                f"{data['labels'][p]}\n|G| = {data['group_order'][p]}, D/D_G = {ratio[p]:.1f}",
                fontsize=8,
            )
            axis = axes[3, p]
            axis.plot(
                data["predicted"][p, 1],
                data["predicted_gain"][p],
                color="black",
                lw=0.9,
                label="predicted gain",
            )
            at = data["risk"][p].mean(axis=1)[:, 1]
            axis.plot(
                at,
                data["measured_gain"][p],
                "o",
                color=LINES[1]["color"],
                markersize=5,
                label="measured gain",
            )
            axis.axhline(factors[1], color="grey", lw=0.8, ls="--", label="|G|")
            axis.axhline(factors[2], color="grey", lw=0.8, ls=":", label="D/D_G")
            axis.set_xscale("log")
            axis.set_xlim(1.2 * at.max(), at.min() / 1.2)
            axis.set_ylim(0, 1.12 * factors[1])
            axis.set_xlabel("risk")
        for row, name in enumerate(("risk", "risk", "risk", "gain: n at equal risk")):
            axes[row, 0].set_ylabel(name)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        more, names = axes[3, 0].get_legend_handles_labels()
        figure.legend(
            handles + more,
            [f"{label} (lines: predicted)" for label in labels] + names,
            loc="outside lower center",
            ncols=6,
            fontsize=8,
        )
        return save_figure(figure, out, "sample_complexity")


def _counts(data: dict[str, np.ndarray], out: Path) -> list[Path]:
    with matplotlib.rc_context(STYLE):
        figure = new_figure(4.2, 3.4)
        axis = figure.subplots()
        for i, d in enumerate(data["count_dimensions"]):
            whole, kept = data["count_ambient"][i], data["count_invariant"][i]
            label = f"$S_{d}$ on $T^{d}$, |G| = {math.factorial(d)}"
            axis.plot(
                data["count_bounds"],
                whole / (kept * math.factorial(d)),
                **SMALL,
                **LINES[i],
                label=label,
            )
        axis.set_xscale("log", base=2)
        axis.axhline(1, color="grey", lw=0.8, ls="--")
        axis.set_xlabel("truncation |k|²")
        axis.set_ylabel("(D/D_G)/|G|, exact")
        axis.set_ylim(0, 1.05)
        legend_below(axis, 2, -0.2)
        return save_figure(figure, out, "sample_complexity_counts")
