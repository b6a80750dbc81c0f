"""Seconds, operations, memory and risk against the order of S_d, and risk against seconds."""

import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from paper_figures.style import LINES, SMALL, STYLE, load_results, new_figure, save_figure


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figure of the experiment ``compute_cost``."""
    data = load_results(results)
    dimensions = data["dimensions"]
    panels = {
        "set-up and fit, seconds": data["set_up_seconds"] + data["run_seconds"],
        "compilation, seconds": data["compile_seconds"],
        "floating-point operations": data["flops"],
        "peak memory of the process, GB": data["peak_bytes"] / 1e9,
        "risk (target variance 1)": data["risk"],
    }
    ran = np.isfinite(data["risk"])
    with matplotlib.rc_context(STYLE):
        figure = new_figure(10.0, 6.4)
        axes = figure.subplots(2, 3)
        for axis, (title, values) in zip(axes.flat, panels.items(), strict=False):
            for k, method in enumerate(data["methods"]):
                shown = np.where(ran[k], values[k], np.nan)
                axis.plot(dimensions, shown, **SMALL, **LINES[k], label=str(method))
                last = np.flatnonzero(ran[k]).max(initial=-1)
                if title.startswith("floating") and 0 <= last < len(dimensions) - 1:
                    # What the next dimension would need: not run.
                    axis.plot(
                        dimensions[last : last + 2],
                        values[k, last : last + 2],
                        color=LINES[k]["color"],
                        lw=0.7,
                    )
                    axis.plot(
                        dimensions[last + 1],
                        values[k, last + 1],
                        LINES[k]["marker"],
                        mfc="none",
                        color=LINES[k]["color"],
                        markersize=5,
                    )
                elif 0 <= last < len(dimensions) - 1:
                    axis.plot(dimensions[last], shown[last], "x", color="black", markersize=7)
            axis.set_title(title, fontsize=9)
            axis.set_yscale("linear" if title.startswith(("comp", "peak")) else "log")
            _dimension_axis(axis, dimensions)
        budget = axes[0, 2]
        budget.axhline(float(data["max_flops"]), color="grey", ls="--", lw=0.9)
        budget.text(
            dimensions[-1], float(data["max_flops"]), "budget", ha="right", va="bottom", fontsize=8
        )
        budget.set_ylim(top=30 * float(data["max_flops"]))
        axes[1, 0].axhline(float(data["idle_bytes"]) / 1e9, color="grey", ls="--", lw=0.9)
        axes[1, 0].text(
            dimensions[-1], float(data["idle_bytes"]) / 1e9, "idle", ha="right", va="bottom", fontsize=8
        )
        axes[0, 1].set_ylim(bottom=0)
        axes[1, 0].set_ylim(bottom=0)
        _front(axes[1, 2], data)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
        return save_figure(figure, out, "compute_cost")


def _dimension_axis(axis: Axes, dimensions: np.ndarray) -> None:
    """Ticks name d and, beneath, the order d!."""
    axis.set_xscale("log")
    shown = [d for d in dimensions if d in (2, 3, 5, 7, 10, 16, 32, 48, 64, 100)]
    orders = [math.log10(math.factorial(d)) for d in shown]
    names = [
        f"{d}\n{math.factorial(d)}" if order < 4 else f"{d}\n$10^{{{order:.0f}}}$"
        for d, order in zip(shown, orders, strict=True)
    ]
    axis.set_xticks(shown, names, fontsize=7)
    axis.minorticks_off()
    axis.set_xlabel("d, and |G| = d!", fontsize=8)


def _front(axis: Axes, data: dict[str, np.ndarray]) -> None:
    """Risk against seconds; the numbers of copies are written at their points."""
    methods = [str(method) for method in data["methods"]]
    if "random augmentation" in methods:
        line = LINES[methods.index("random augmentation")]
        axis.plot(data["copies_seconds"], data["copies_risk"], **SMALL, **line)
        points = zip(data["copies_seconds"], data["copies_risk"], strict=True)
        for copies, point in zip(data["copies"], points, strict=True):
            axis.annotate(str(copies), point, xytext=(3, 4), textcoords="offset points", fontsize=7)
    for k, method in enumerate(methods):
        if method != "random augmentation" and np.isfinite(data["front_risk"][k]):
            line = LINES[k]
            axis.plot(
                data["front_seconds"][k],
                data["front_risk"][k],
                line["marker"],
                color=line["color"],
                markersize=8,
            )
            fit = data["run_seconds"][k, list(data["dimensions"]).index(data["front_dimension"])]
            axis.plot(fit, data["front_risk"][k], line["marker"], color=line["color"], mfc="none")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_title(f"risk against seconds, d = {data['front_dimension']}", fontsize=9)
    axis.set_xlabel(
        "set-up and fit, seconds\n(open markers: fit alone; numbers: random copies)", fontsize=8
    )
    axis.minorticks_off()
