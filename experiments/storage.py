"""Results on disk, cell by cell: a killed run goes on where it stopped, and results never mix.

A folder of results holds ``record.json`` (what makes them, and how far the run has come; written
first and last), ``cells/KEY.npz`` while the run lasts, and ``arrays.npz`` once every cell is done.
Every file is written whole or not at all.
"""

import dataclasses
import io
import json
import os
import platform
import shutil
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

Outcome = dict[str, np.ndarray]
Progress = Callable[[str], None]

_VERSIONS = ("symjax-learn", "jax", "jaxlib", "equinox", "numpy")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, ValueError)
# Names under which a cell keeps what it cost.
_SECONDS, _COMPILE_SECONDS = "cell_seconds", "cell_compile_seconds"


class Store:
    """The folder of one run. Opening it anew, in the same environment, goes on with the same run.

    Args:
        folder: made if it is missing; otherwise it must hold results of exactly this run.
        name: the experiment.
        config: its dataclass.

    Raises:
        FileExistsError: the folder holds something else: another configuration, code revision,
            version or device, a damaged record, or files of another program. Nothing in it is touched.
    """

    def __init__(self, folder: Path, name: str, config: Any):
        """Open or make the folder."""
        self.folder, self.cells = folder, folder / "cells"
        self.identity = _identity(name, config)
        if (folder / "record.json").exists():
            self._refuse_foreign()
        elif folder.exists() and any(folder.iterdir()):
            raise FileExistsError(
                f"{folder}: it holds files and no record.json, so they are no results of this program; "
                "they are left alone. Give another folder with --out."
            )
        else:
            self.cells.mkdir(parents=True, exist_ok=True)
            self._write_record(finished=False)

    def _refuse_foreign(self) -> None:
        path = self.folder / "record.json"
        try:
            record = json.loads(path.read_text())
            differing = [key for key, value in self.identity.items() if record.get(key) != value]
        except (ValueError, AttributeError) as error:
            raise FileExistsError(
                f"{path}: it is damaged ({error}); the folder is left alone. Give another with --out."
            ) from error
        if differing:
            key = differing[0]
            theirs, ours = _first_difference(record.get(key), self.identity[key])
            raise FileExistsError(
                f"{self.folder}: it holds results with another {key} ({theirs} there, {ours} here); "
                "results are never mixed, and these are left alone. Give another folder with --out, or "
                "move this one away."
            )
        self.cells.mkdir(exist_ok=True)

    def load(self, cell: str) -> Outcome | None:
        """The arrays of one cell, or ``None`` where it has not been computed."""
        path = self.cells / f"{cell}.npz"
        return _read(path) if path.exists() else None

    def save(self, cell: str, outcome: Outcome) -> None:
        """Store the arrays of one cell."""
        _write(self.cells / f"{cell}.npz", _packed(outcome))

    def finished(self) -> Outcome | None:
        """The results of a run that was finished, or ``None``."""
        if not json.loads((self.folder / "record.json").read_text())["finished"]:
            return None
        shutil.rmtree(self.cells, ignore_errors=True)
        return _read(self.folder / "arrays.npz")

    def finish(self, results: Outcome) -> None:
        """Store all results together, then the record, and only then drop the cells."""
        spent = [_read(path) for path in sorted(self.cells.glob("*.npz"))]
        seconds, compiling = (
            round(float(sum(cell[name] for cell in spent)), 2) for name in (_SECONDS, _COMPILE_SECONDS)
        )
        _write(self.folder / "arrays.npz", _packed(results))
        self._write_record(
            finished=True, cells=len(spent), run_seconds=seconds - compiling, compile_seconds=compiling
        )
        shutil.rmtree(self.cells)

    def _write_record(self, **progress: Any) -> None:
        record = {**self.identity, **progress}
        _write(self.folder / "record.json", (json.dumps(record, indent=2) + "\n").encode())


def sweep(
    cells: Mapping[str, Callable[[], Mapping[str, Any]]],
    *,
    store: Store | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Compute every cell that is not stored, one after the other, and store each at once.

    Args:
        cells: name (a file name) -> a function that measures named arrays.
        store: where results go and are looked up; ``None`` keeps them in memory.
        progress: hears of each cell that was computed.

    Returns:
        The outcomes in order, each with its ``cell_seconds`` and ``cell_compile_seconds``.
    """
    outcomes, start, computed = [], time.perf_counter(), 0
    missing = len(cells) - (len(list(store.cells.glob("*.npz"))) if store else 0)
    for number, (name, measure) in enumerate(cells.items(), 1):
        outcome = store.load(name) if store else None
        if outcome is None:
            outcome = _measured(measure)
            if store:
                store.save(name, outcome)
            computed += 1
            if progress is not None:
                spent = time.perf_counter() - start
                left = spent / computed * max(0, missing - computed)
                progress(f"[{number}/{len(cells)}] {name}: {outcome[_SECONDS]:.1f} s, {left:.0f} s left")
        outcomes.append(outcome)
    return outcomes


def stack(outcomes: Sequence[Outcome], *shape: int) -> Outcome:
    """Arrays of each name over all cells, the axis of cells reshaped."""
    return {
        name: np.stack([outcome[name] for outcome in outcomes]).reshape(*shape, *outcomes[0][name].shape)
        for name in outcomes[0]
    }


class _CompileClock:
    """Seconds that JAX has spent on lowering and compiling, in all."""

    seconds = 0.0

    def __call__(self, event: str, duration_secs: float, **kwargs: str | int) -> None:  # noqa: ARG002
        # Tracing is left out: its events nest, and would be counted twice.
        if event.endswith(("backend_compile_duration", "jaxpr_to_mlir_module_duration")):
            self.seconds += duration_secs


COMPILE_CLOCK = _CompileClock()
jax.monitoring.register_event_duration_secs_listener(COMPILE_CLOCK)


def _measured(measure: Callable[[], Mapping[str, Any]]) -> Outcome:
    start, compiled = time.perf_counter(), COMPILE_CLOCK.seconds
    outcome = {name: np.asarray(value) for name, value in measure().items()}
    outcome[_SECONDS] = np.asarray(time.perf_counter() - start)
    outcome[_COMPILE_SECONDS] = np.asarray(COMPILE_CLOCK.seconds - compiled)
    return outcome


def _identity(name: str, config: Any) -> dict[str, Any]:
    """What must agree for two results to be of one run."""
    return {
        "experiment": name,
        # As JSON gives it back: tuples are lists.
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
        "versions": {package: metadata.version(package) for package in _VERSIONS},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "x64": bool(jax.config.jax_enable_x64),  # pyright: ignore[reportAttributeAccessIssue]
        "revision": _revision(),
    }


def _first_difference(theirs: Any, ours: Any) -> tuple[str, str]:
    """Of two dictionaries the first entry that differs; of other values the values."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        key = next(key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key))
        return f"{key} = {theirs.get(key)}", f"{key} = {ours.get(key)}"
    return str(theirs), str(ours)


def _packed(arrays: Outcome) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _read(path: Path) -> Outcome:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGED as error:
        raise ValueError(
            f"{path}: it is damaged ({error}), and is left alone. Move it away and run again: what is "
            "missing is computed, and nothing else."
        ) from error


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _revision() -> str | None:
    """The commit of this source tree, marked where files differ; ``None`` outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
