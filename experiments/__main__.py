"""Programs that compute and store: ``python -m experiments list | run NAME``."""

import os

# Programs choose their precision; the library never does.
os.environ.setdefault("JAX_ENABLE_X64", "1")

import argparse
import sys
from pathlib import Path
from types import ModuleType

from experiments import (
    algebra,
    augmentation,
    calibration,
    compute_cost,
    continuous_gain,
    discovery,
    foundation,
    geometry,
    harmonic_fractions,
    images,
    many_coordinates,
    methane,
    quickstart,
    quotients,
    sample_complexity,
    solvers,
    specavg_torus,
    streaming,
    structured_gain,
)
from experiments.configs import check_choices, configured
from experiments.storage import Store

EXPERIMENTS: dict[str, ModuleType] = {
    "quickstart": quickstart,
    "foundation": foundation,
    "algebra": algebra,
    "geometry": geometry,
    "solvers": solvers,
    "streaming": streaming,
    "specavg_torus": specavg_torus,
    "sample_complexity": sample_complexity,
    "compute_cost": compute_cost,
    "augmentation": augmentation,
    "structured_gain": structured_gain,
    "calibration": calibration,
    "continuous_gain": continuous_gain,
    "images": images,
    "quotients": quotients,
    "harmonic_fractions": harmonic_fractions,
    "many_coordinates": many_coordinates,
    "methane": methane,
    "discovery": discovery,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name the experiments and their configurations")
    run = commands.add_parser("run", help="compute, store, tabulate and draw; goes on after a kill")
    run.add_argument("name", help="of an experiment")
    run.add_argument("--config", default="default", help="smoke, default or published")
    run.add_argument("--seeds", help="other random seeds, as 1,2,5-8")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    run.add_argument("--out", type=Path, default=Path("results"), help="folder of the results")
    options = parser.parse_args(arguments)
    if options.command == "list":
        for name, module in EXPERIMENTS.items():
            summary = (module.__doc__ or "").splitlines()[0]
            print(f"{name:18} {summary} ({', '.join(module.CONFIGS)})")
        return 0
    try:
        check_choices("NAME", [options.name], list(EXPERIMENTS))
        module = EXPERIMENTS[options.name]
        config = configured(module.CONFIGS, options.config, options.seeds, options.settings)
        suffix = "" if options.config == "default" else f"-{options.config}"
        store = Store(options.out / f"{options.name}{suffix}", options.name, config)
    except (ValueError, FileExistsError) as error:
        run.error(str(error))
    return _run(options.name, config, store)


def _run(name: str, config: object, store: Store) -> int:
    module = EXPERIMENTS[name]
    results = store.finished()
    if results is None:
        progress = _progress if sys.stderr.isatty() else None
        results = module.run(config, store=store, progress=progress)
        store.finish(results)
    print(module.table(results))
    from paper_figures import FIGURES, draw

    for path in draw(name, store.folder, store.folder) if name in FIGURES else [store.folder]:
        print(f"wrote {path}")
    return 0


def _progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
