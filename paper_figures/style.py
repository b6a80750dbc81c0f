"""One style for all figures: readable in grey, lines told apart by marker and dash as well."""

import io
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "symjax_learn",
}

# Colours of different lightness, so that they differ in grey too; markers and dashes tell the rest.
LINES: list[dict[str, Any]] = [
    {"color": "#0b3c6f", "marker": "o", "linestyle": "-"},
    {"color": "#c8553d", "marker": "s", "linestyle": "--"},
    {"color": "#e0a030", "marker": "^", "linestyle": "-."},
    {"color": "#5fa777", "marker": "D", "linestyle": ":"},
    {"color": "#8c6bb1", "marker": "v", "linestyle": (0, (5, 1, 1, 1))},
    {"color": "#222222", "marker": "P", "linestyle": (0, (3, 1))},
]
SMALL: dict[str, Any] = {"markersize": 4, "linewidth": 1.4}


def mean_and_range(axis: Axes, x: np.ndarray, y: np.ndarray, line: dict[str, Any]) -> None:
    """The mean over the last axis of y against x, and the band from least to largest."""
    axis.plot(x, y.mean(axis=-1), **SMALL, **line)
    axis.fill_between(x, y.min(axis=-1), y.max(axis=-1), color=line["color"], alpha=0.15, lw=0)


def log_axes(axis: Axes, ticks: np.ndarray | None = None) -> None:
    """Both axes logarithmic, with these ticks on the horizontal one."""
    axis.set_xscale("log")
    axis.set_yscale("log")
    if ticks is not None:
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


def legend_below(axis: Axes, columns: int, drop: float = -0.24) -> None:
    """A legend under the axis, clear of the data."""
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, drop), ncols=columns, fontsize=7, handlelength=3
    )


def load_results(folder: Path) -> dict[str, np.ndarray]:
    """The stored arrays of one experiment; refuses a folder without its record."""
    if not (folder / "record.json").is_file():
        raise FileNotFoundError(
            f"{folder}: no finished results here (record.json is missing); run the experiment first."
        )
    if not json.loads((folder / "record.json").read_text()).get("finished"):
        raise FileNotFoundError(
            f"{folder}: the run is not finished; run the experiment again, and it goes on from there."
        )
    with np.load(io.BytesIO((folder / "arrays.npz").read_bytes()), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in the style, independent of any display."""
    with matplotlib.rc_context(STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, out: Path, name: str) -> list[Path]:
    """Write NAME.pdf and NAME.png, the same bytes for the same results."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.pdf", out / f"{name}.png"]
    with matplotlib.rc_context(STYLE):
        figure.savefig(paths[0], metadata={"CreationDate": None})
        figure.savefig(paths[1], dpi=180)
    return paths
