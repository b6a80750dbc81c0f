"""Results on disk: ``arrays.npz`` and ``record.json`` in one folder, each written whole or not."""

import dataclasses
import io
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

_VERSIONS = ("symjax-learn", "jax", "jaxlib", "equinox", "numpy")


def save_results(folder: Path, results: dict[str, np.ndarray], config: Any, *, seconds: float) -> None:
    """Store named arrays, and a record of what made them; the record is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **results)  # pyright: ignore[reportArgumentType]
    _write(folder / "arrays.npz", buffer.getvalue())
    record = {
        "config": dataclasses.asdict(config),
        "seconds": round(seconds, 2),
        "versions": {name: metadata.version(name) for name in _VERSIONS},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "x64": bool(jax.config.jax_enable_x64),  # pyright: ignore[reportAttributeAccessIssue]
        "revision": _revision(),
    }
    _write(folder / "record.json", (json.dumps(record, indent=2) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _revision() -> str | None:
    """The commit of this source tree, or ``None`` outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
