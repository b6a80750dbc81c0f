"""Drawing programs: they read stored results, and never compute. ``python -m paper_figures NAME``."""

from pathlib import Path

from paper_figures import compute_cost, methane, quickstart, sample_complexity, specavg_torus

FIGURES = {
    "quickstart": quickstart,
    "specavg_torus": specavg_torus,
    "sample_complexity": sample_complexity,
    "compute_cost": compute_cost,
    "methane": methane,
}


def draw(name: str, results: Path, out: Path) -> list[Path]:
    """Draw the figures of one experiment from a folder of results; returns the PDFs and PNGs."""
    return FIGURES[name].draw(results, out)
