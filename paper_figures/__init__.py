"""Drawing programs: they read stored results, and never compute. ``python -m paper_figures NAME``."""

from pathlib import Path

from paper_figures import quickstart

FIGURES = {"quickstart": quickstart}


def draw(name: str, results: Path, out: Path) -> list[Path]:
    """Draw one figure from a folder of results; returns the PDF and the PNG."""
    return FIGURES[name].draw(results, out)
