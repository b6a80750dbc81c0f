"""Learning curves with and without a continuous symmetry, their slopes, and where they lead."""

from pathlib import Path

import matplotlib
import numpy as np

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
    """Draw the figure of the experiment ``continuous_gain``: means and ranges over seeds."""
    data = load_results(results)
    num, sizes, grid = len(data["labels"]), data["sizes"], data["far_grid"]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.5 * num + 0.5, 3.6)
        axes = np.atleast_1d(figure.subplots(1, num))
        for p, axis in enumerate(axes):
            for k, method in enumerate(data["methods"]):
                line = {**LINES[k], "linestyle": "none", "label": str(method)}
                axis.plot(grid, data["far"][p, k], color=line["color"], lw=0.9, label="predicted")
                # The slope in the limit, through the last of the predicted points.
                limit = data["far"][p, k, -1] * (grid / grid[-1]) ** -data["rates"][p, k]
                axis.plot(grid, limit, color=line["color"], lw=0.7, ls=":", label="limit")
                risk = data["risk"][p, :, k]
                risk = risk[np.isfinite(risk).any(axis=1)]
                there = np.isfinite(risk).all(axis=0)
                mean_and_range(axis, sizes[there], risk[:, there].T, line)
            log_axes(axis, 10.0 ** np.arange(3, np.log10(grid[-1]) + 0.5))
            axis.set_xlabel("n")
            slopes = "\n".join(
                f"{name}: {data['slopes'][p, k]:.2f} ± {data['spread'][p, k]:.2f}, "
                f"predicted {data['predicted_slopes'][p, k]:.2f}, limit {data['rates'][p, k]:.2f}"
                for k, name in enumerate(("all", "invariant"))
            )
            title = f"{data['labels'][p]}, s = {data['smoothness'][p]:g}"
            axis.set_title(f"{title}\n{slopes}", fontsize=6.5)
        axes[0].set_ylabel("risk")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
        return save_figure(figure, out, "continuous_gain")
