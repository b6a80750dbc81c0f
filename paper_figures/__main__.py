"""The command line of the figures."""

import argparse
import difflib
import sys
from pathlib import Path

from paper_figures import FIGURES, draw

FROZEN = Path(__file__).parent / "frozen"


def main(arguments: list[str] | None = None) -> int:
    """Draw figures from stored results, by default from those frozen in this folder."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=main.__doc__)
    parser.add_argument("name", nargs="?", default="all", help=f"all, {', '.join(FIGURES)}")
    parser.add_argument("--results", type=Path, default=FROZEN, help="folder of stored results")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the pictures")
    options = parser.parse_args(arguments)
    if options.name not in (*FIGURES, "all"):
        near = difflib.get_close_matches(options.name, FIGURES, n=1, cutoff=0.4)
        guess = f"did you mean {near[0]!r}? " if near else ""
        parser.error(
            f"NAME: there is no figure {options.name!r}; {guess}Known: all, {', '.join(FIGURES)}."
        )
    for name in FIGURES if options.name == "all" else [options.name]:
        try:
            paths = draw(name, options.results / name, options.out / name)
        except (FileNotFoundError, ValueError) as error:
            parser.error(str(error))
        for path in paths:
            print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
