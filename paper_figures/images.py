"""Risks of polynomials of small images with ever larger groups, and gains measured and predicted."""

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
    """Draw the figure of the experiment ``images``: means and ranges over seeds."""
    data = load_results(results)
    sizes, grid, side = data["sizes"], data["far_grid"], int(data["side"])
    with matplotlib.rc_context(STYLE):
        figure = new_figure(7.6, 4.0)
        risks, gains = figure.subplots(1, 2)
        for k, name in enumerate(data["groups"]):
            order, kept = data["group_order"][k], data["num_functions"][k]
            line = {**LINES[k], "linestyle": "none", "label": f"{name}: |G| = {order}, D_G = {kept}"}
            shown = grid <= sizes[-1]
            risks.plot(grid[shown], data["far"][k, shown], color=line["color"], lw=0.9)
            mean_and_range(risks, sizes, data["risk"][:, :, k], line)
            if k:
                gains.plot(grid, data["far_gain"][k], color=line["color"], lw=0.9)
                gains.plot(
                    sizes,
                    data["measured_gain"][:, k],
                    line["marker"],
                    color=line["color"],
                    markersize=4,
                )
                gains.axhline(order, color=line["color"], lw=0.7, ls="--")
                ratio = data["num_functions"][0] / kept
                gains.axhline(ratio, color=line["color"], lw=0.7, ls=":")
        log_axes(risks, sizes[::2])
        log_axes(gains)
        risks.set_xlabel("n")
        risks.set_ylabel("risk")
        risks.set_title(f"{side} × {side} binary images, degree ≤ {data['degree']}", fontsize=9)
        gains.set_xlabel("n of the invariant fit")
        gains.set_ylabel("gain: n at equal risk")
        gains.set_title("dashed |G|, dotted D/D_G", fontsize=9)
        handles, labels = risks.get_legend_handles_labels()
        figure.legend(
            handles,
            [f"{label} (lines: predicted)" for label in labels],
            loc="outside lower center",
            ncols=2,
            fontsize=8,
        )
        return save_figure(figure, out, "images")
