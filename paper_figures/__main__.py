"""The command line of the figures."""

import argparse
import sys
from pathlib import Path

from paper_figures import FIGURES, draw

FROZEN = Path(__file__).parent / "frozen"


def main(arguments: list[str] | None = None) -> int:
    """Draw figures from stored results, by default from those frozen in this folder."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=main.__doc__)
    parser.add_argument("name", nargs="?", default="all", choices=[*sorted(FIGURES), "all"])
    parser.add_argument("--results", type=Path, default=FROZEN, help="folder of stored results")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the pictures")
    options = parser.parse_args(arguments)
    for name in sorted(FIGURES) if options.name == "all" else [options.name]:
        for path in draw(name, options.results / name, options.out / name):
            print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
