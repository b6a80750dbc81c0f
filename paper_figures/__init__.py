"""Drawing programs: they read stored results, and never compute. ``python -m paper_figures NAME``."""

from pathlib import Path

from paper_figures import (
    compute_cost,
    discovery,
    many_coordinates,
    methane,
    quickstart,
    sample_complexity,
    specavg_torus,
    structured_gain,
)

FIGURES = {
    "quickstart": quickstart,
    "specavg_torus": specavg_torus,
    "sample_complexity": sample_complexity,
    "compute_cost": compute_cost,
    "structured_gain": structured_gain,
    "many_coordinates": many_coordinates,
    "methane": methane,
    "discovery": discovery,
}


def draw(name: str, results: Path, out: Path) -> list[Path]:
    """Draw the figures of one experiment from a folder of results; returns the PDFs and PNGs."""
    return FIGURES[name].draw(results, out)
