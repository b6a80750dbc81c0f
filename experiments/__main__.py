"""The command line of the experiments."""

import os

# Programs choose their precision; the library never does.
os.environ.setdefault("JAX_ENABLE_X64", "1")

import argparse
import sys
import time
from pathlib import Path

from experiments import foundation, quickstart
from experiments.storage import save_results

EXPERIMENTS = {"foundation": foundation, "quickstart": quickstart}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name the experiments")
    run = commands.add_parser("run", help="compute, store, tabulate and draw one experiment")
    run.add_argument("name", choices=sorted(EXPERIMENTS))
    run.add_argument("--config", choices=("smoke", "default"), default="default")
    run.add_argument("--out", type=Path, default=Path("results"), help="folder of the results")
    options = parser.parse_args(arguments)
    if options.command == "list":
        for name, module in EXPERIMENTS.items():
            print(f"{name:12} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    return _run(options.name, options.config, options.out)


def _run(name: str, config_name: str, out: Path) -> int:
    module = EXPERIMENTS[name]
    config = module.CONFIGS[config_name]
    start = time.perf_counter()
    results = module.run(config, progress=_progress if sys.stderr.isatty() else None)
    folder = out / name
    save_results(folder, results, config, seconds=time.perf_counter() - start)
    print(module.table(results))
    from paper_figures import FIGURES, draw

    for path in draw(name, folder, folder) if name in FIGURES else [folder]:
        print(f"wrote {path}")
    return 0


def _progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
