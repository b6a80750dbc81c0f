"""Error and fit time against the number of training samples, for each material and method."""

from pathlib import Path

import matplotlib

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
    """Draw the figure of the experiment ``quickstart``: means and ranges over seeds, least seconds."""
    data = load_results(results)
    materials, sizes = data["materials"], data["sizes"]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(3.4 * len(materials) + 0.4, 5.2)
        axes = figure.subplots(2, len(materials), squeeze=False, sharex=True, sharey="row")
        for m, material in enumerate(materials):
            top, bottom = axes[0, m], axes[1, m]
            for k, method in enumerate(data["methods"]):
                line = {**LINES[k], "label": str(method)}
                mean_and_range(top, sizes, data["error"][m, :, :, k], line)
                seconds = data["seconds"][m, :, :, k].min(axis=1)
                bottom.plot(sizes, seconds, **SMALL, **line)
            top.set_title(
                f"{material}, highest phonon branch, |G| = {data['group_orders'][m]}", fontsize=9
            )
            bottom.set_xlabel("training samples n")
            for axis in (top, bottom):
                log_axes(axis, sizes)
        axes[0, 0].set_ylabel("test RMSE / standard deviation")
        axes[1, 0].set_ylabel("fit seconds, compiled")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
        return save_figure(figure, out, "quickstart")
