"""Test error against n in 10, 30 and 100 coordinates, for one target in each column."""

from pathlib import Path

import matplotlib

from paper_figures.style import (
    LINES,
    STYLE,
    load_results,
    log_axes,
    mean_and_range,
    new_figure,
    save_figure,
)


def draw(results: Path, out: Path) -> list[Path]:
    """Draw the figure of the experiment ``many_coordinates``: means and ranges over seeds."""
    data = load_results(results)
    dimensions, labels, sizes = data["dimensions"], data["labels"], data["sizes"]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.3 * len(labels) + 0.5, 1.9 * len(dimensions) + 0.8)
        axes = figure.subplots(len(dimensions), len(labels), squeeze=False, sharex=True, sharey=True)
        for i, d in enumerate(dimensions):
            for t, label in enumerate(labels):
                axis = axes[i, t]
                for k, method in enumerate(data["methods"]):
                    line = {**LINES[k], "label": str(method)}
                    mean_and_range(axis, sizes, data["error"][i, k, :, :, t], line)
                axis.axhline(1, color="grey", lw=0.8, ls="--", label="the mean of the target")
                log_axes(axis, sizes)
                if i == 0:
                    axis.set_title(str(label), fontsize=9)
            axes[i, 0].set_ylabel(f"$S_{{{d}}}$ on $T^{{{d}}}$\ntest error / variance")
        for axis in axes[-1]:
            axis.set_xlabel("n")
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(labels), fontsize=8)
        return save_figure(figure, out, "many_coordinates")
