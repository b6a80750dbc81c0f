"""Drawing programs: they read stored results, and never compute. ``python -m paper_figures NAME``."""

from pathlib import Path

from paper_figures import (
    augmentation,
    calibration,
    compute_cost,
    continuous_gain,
    discovery,
    harmonic_fractions,
    images,
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
    "augmentation": augmentation,
    "structured_gain": structured_gain,
    "calibration": calibration,
    "continuous_gain": continuous_gain,
    "images": images,
    "harmonic_fractions": harmonic_fractions,
    "many_coordinates": many_coordinates,
    "methane": methane,
    "discovery": discovery,
}


def draw(name: str, results: Path, out: Path) -> list[Path]:
    """Draw the figures of one experiment from a folder of results; returns the PDFs and PNGs."""
    return FIGURES[name].draw(results, out)
