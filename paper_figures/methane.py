"""Error of methane's energy against the number of training configurations, for each method."""

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
    """Draw the figure of the experiment ``methane``: means and ranges over seeds."""
    data = load_results(results)
    sizes = data["sizes"]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(4.6, 3.6)
        axis = figure.subplots()
        for k, method in enumerate(data["methods"]):
            mean_and_range(axis, sizes, data["error"][:, :, k], {**LINES[k], "label": str(method)})
        axis.axhline(1.0, color="#777777", lw=0.8)
        axis.annotate("1 kcal/mol", (sizes[-1], 1.0), ha="right", va="bottom", fontsize=7)
        log_axes(axis, sizes)
        axis.set_xlabel("training configurations n")
        axis.set_ylabel("test RMSE of the energy, kcal/mol")
        axis.legend(fontsize=7, handlelength=3)
        return save_figure(figure, out, "methane")
