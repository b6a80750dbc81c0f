"""Error and fit time against the number of training samples, for each material and method."""

from pathlib import Path

import matplotlib

from paper_figures.style import LINES, STYLE, load_results, new_figure, save_figure


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
                line = {**LINES[k], "label": str(method), "markersize": 4, "linewidth": 1.4}
                error = data["error"][m, :, :, k]
                top.plot(sizes, error.mean(axis=1), **line)
                top.fill_between(
                    sizes,
                    error.min(axis=1),
                    error.max(axis=1),
                    color=line["color"],
                    alpha=0.15,
                    lw=0,
                )
                seconds = data["seconds"][m, :, :, k].min(axis=1)
                bottom.plot(sizes, seconds, **line)
            top.set_title(
                f"{material}, highest phonon branch, |G| = {data['group_orders'][m]}", fontsize=9
            )
            bottom.set_xlabel("training samples n")
            for axis in (top, bottom):
                axis.set_xscale("log")
                axis.set_yscale("log")
                axis.set_xticks(sizes, [str(size) for size in sizes])
                axis.minorticks_off()
        axes[0, 0].set_ylabel("test RMSE / standard deviation")
        axes[1, 0].set_ylabel("fit seconds, compiled")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
        return save_figure(figure, out, "quickstart")
