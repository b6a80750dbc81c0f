"""Invariance discrepancy and mean square error against n: Spec-Avg, ridge and kernel ridge on T^10."""

from pathlib import Path

import matplotlib
import numpy as np

from paper_figures.style import (
    LINES,
    STYLE,
    legend_below,
    load_results,
    log_axes,
    mean_and_range,
    new_figure,
    save_figure,
)

# Discrepancies below are rounding, and are drawn here.
FLOOR = 1e-16


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figure of the experiment ``specavg_torus``: means and ranges over seeds."""
    data = load_results(results)
    sizes, methods, families = data["sizes"], data["methods"], data["families"]
    error, discrepancy = data["error"], np.maximum(data["discrepancy"], FLOOR)
    kernels = np.flatnonzero(families == "KRR")
    averages, ridges = (np.flatnonzero(families == name) for name in ("Spec-Avg", "ridge"))
    with matplotlib.rc_context(STYLE):
        figure = new_figure(10.0, 4.2)
        left, middle, right = figure.subplots(1, 3)
        for i, k in enumerate(kernels):
            line = {**LINES[i], "label": str(methods[k])}
            mean_and_range(left, sizes, discrepancy[:, :, k], line)
            mean_and_range(right, sizes, error[:, :, k], line)
        for name, rows, style in (("Spec-Avg", averages, "s-"), ("ridge", ridges, "^:")):
            worst = discrepancy[:, :, rows].max(axis=(1, 2))
            left.plot(sizes, worst, style, color="black", markersize=4, label=f"{name}, all D", lw=1)
        for i, k in enumerate(averages):
            line = {**LINES[i], "label": str(methods[k]), "linestyle": "-"}
            mean_and_range(middle, sizes, error[:, :, k], line)
            exact = data["exact_variance"][i] / sizes + data["exact_bias"][i]
            middle.plot(sizes, exact, color="black", lw=0.8, ls="--", label="exact" if i == 0 else None)
        for i, k in enumerate(ridges):
            line = {**LINES[i], "label": str(methods[k]), "linestyle": ":"}
            mean_and_range(middle, sizes, error[:, :, k], line)
        best = ridges[np.argmin(error[-1][:, ridges].mean(axis=0))]
        line = {"color": "black", "marker": "x", "linestyle": ":", "label": str(methods[best])}
        mean_and_range(right, sizes, error[:, :, best], line)
        for axis in (middle, right):
            axis.axhline(float(data["target_variance"]), color="grey", lw=0.9, label="Var f*")
        for axis in (left, middle, right):
            log_axes(axis, sizes)
            axis.set_xlabel("training samples n")
            legend_below(axis, 2)
        left.set_ylabel("max |f(gx) − f(x)|")
        left.set_title("invariance discrepancy", fontsize=9)
        middle.set_ylabel("mean square error")
        middle.set_title("exactly invariant methods", fontsize=9)
        right.set_title("kernel ridge regression", fontsize=9)
        low = min(middle.get_ylim()[0], right.get_ylim()[0])
        high = max(middle.get_ylim()[1], right.get_ylim()[1])
        for axis in (middle, right):
            axis.set_ylim(low, high)
        return save_figure(figure, out, "specavg_torus")
