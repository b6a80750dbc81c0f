"""Rows of any number, read where they lie: arrays, files of .npy, parquet and zarr.

A source has a known number of rows and is read by ranges of rows, so that a pass can begin anywhere.
"""

import bisect
import dataclasses
import functools
import hashlib
import importlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from symjax_learn._types import AnyArray
from symjax_learn.learning.blocks import Block, joined

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
# Of an array so many rows, evenly spaced, tell it from another.
_SAMPLED_ROWS = 1024


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows that are read by ranges, as often as wanted.

    Made by :func:`npy_source`, :func:`parquet_source` and :func:`zarr_source`.

    Attributes:
        lengths: the rows of each part: a file, or a group of rows within one.
        read_part: (part, first row, end) -> x, y and weights or ``None``.
        fingerprint: what tells it from another source, or from itself after a change.
    """

    lengths: tuple[int, ...]
    read_part: Callable[[int, int, int], Block]
    fingerprint: str

    @functools.cached_property
    def ends(self) -> tuple[int, ...]:
        """The row after each part."""
        return tuple(itertools.accumulate(self.lengths))

    @property
    def num_rows(self) -> int:
        """Of all parts."""
        return self.ends[-1] if self.ends else 0

    def read(self, start: int, stop: int) -> Block:
        """The rows of one range."""
        pieces, part = [], bisect.bisect_right(self.ends, start)
        while start < stop:
            first = self.ends[part] - self.lengths[part]
            end = min(stop, self.ends[part])
            if end > start:
                pieces.append(self.read_part(part, start - first, end - first))
            start, part = max(start, end), part + 1
        return joined(pieces)


def array_source(x: AnyArray, y: AnyArray, weights: AnyArray | None = None) -> Source:
    """Arrays in memory, or mapped into it."""
    arrays = [("x", x), ("y", y)] + ([] if weights is None else [("weights", weights)])
    _check_lengths({name: array.shape for name, array in arrays})
    found = hashlib.sha256()
    for name, array in arrays:
        step = max(1, len(array) // _SAMPLED_ROWS)
        found.update(f"{name} {array.dtype} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array[::step]).tobytes())

    def read(_: int, start: int, stop: int) -> Block:
        rest = None if weights is None else np.asarray(weights[start:stop])
        return np.asarray(x[start:stop]), np.asarray(y[start:stop]), rest

    return Source((len(x),), read, f"arrays {found.hexdigest()}")


def npy_source(x: Paths, y: Paths, weights: Paths | None = None) -> Source:
    """Pairs of .npy files, mapped and read range by range.

    Args:
        x: one file, a list of files, or a pattern such as ``"data/x_*.npy"``, whose files are taken in
            the order of their names. Rows along the first axis.
        y: of the targets, likewise: as many files, with as many rows each.
        weights: of the weights, likewise.

    Returns:
        A source for :func:`~symjax_learn.accumulate`.

    Raises:
        FileNotFoundError: there are no such files.
        ValueError: a damaged file, or files that do not pair.

    >>> import symjax_learn as sj, numpy as np, tempfile, os
    >>> folder = tempfile.mkdtemp()
    >>> for part in range(2):
    ...     np.save(os.path.join(folder, f"x_{part}.npy"), np.zeros((3, 1)))
    ...     np.save(os.path.join(folder, f"y_{part}.npy"), np.zeros(3))
    >>> sj.npy_source(os.path.join(folder, "x_*.npy"), os.path.join(folder, "y_*.npy")).num_rows
    6
    """
    named = {"x": x, "y": y} | ({} if weights is None else {"weights": weights})
    files = {name: _files(name, paths) for name, paths in named.items()}
    counts = {name: len(found) for name, found in files.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"x, y, weights: files pair one by one, and there are {counts}; give as many of each."
        )
    lengths = []
    for group in zip(*files.values(), strict=True):
        shapes = {str(path): _mapped(path).shape for path in group}
        lengths.append(_check_lengths(shapes))

    def read(part: int, start: int, stop: int) -> Block:
        # Mapped anew for each range: pages that were read do not stay.
        arrays = [np.array(_mapped(found[part])[start:stop]) for found in files.values()]
        return arrays[0], arrays[1], arrays[2] if weights is not None else None

    every = [path for found in files.values() for path in found]
    return Source(tuple(lengths), read, _fingerprint("npy", every))


def parquet_source(
    paths: Paths,
    x: str | Sequence[str],
    y: str | Sequence[str],
    weights: str | None = None,
    *,
    point_shape: Sequence[int] | None = None,
) -> Source:
    """Columns of parquet files, read group by group of rows. Needs pyarrow (extra ``streams``).

    Args:
        paths: one file, a list of files, or a pattern such as ``"data/*.parquet"``.
        x: the columns of the coordinates, in their order; or one column of lists of them.
        y: the column of the targets, or several, of targets ``(n, outputs)``.
        weights: the column of the weights.
        point_shape: of one point, where it is no vector.

    Returns:
        A source for :func:`~symjax_learn.accumulate`.

    Raises:
        ImportError: pyarrow is not installed.
        FileNotFoundError: there are no such files.
        ValueError: a damaged file, or a column that is not there.

    >>> import symjax_learn as sj
    >>> sj.parquet_source("no/such/*.parquet", x=["a", "b"], y="energy")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    parquet = _optional("pyarrow.parquet", "pyarrow")
    files = _files("paths", paths)
    inputs, targets = [x] if isinstance(x, str) else list(x), [y] if isinstance(y, str) else list(y)
    columns = [*inputs, *targets, *([] if weights is None else [weights])]
    groups: list[tuple[Path, int]] = []
    lengths: list[int] = []
    for path in files:
        try:
            metadata = parquet.read_metadata(path)
            names = parquet.read_schema(path).names
        except (OSError, ValueError) as error:  # what pyarrow raises is one of these
            raise ValueError(
                f"paths: {str(path)!r} is no parquet file, or damaged ({error})."
            ) from error
        missing = [name for name in columns if name not in names]
        if missing:
            raise ValueError(f"x, y, weights: {str(path)!r} has no column {missing[0]!r}, but {names}.")
        groups += [(path, group) for group in range(metadata.num_row_groups)]
        lengths += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    @functools.lru_cache(maxsize=1)  # ranges cut a group into several
    def whole(part: int) -> Block:
        path, group = groups[part]
        with parquet.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=columns)
        points = _matrix(table, inputs)
        if point_shape is not None:
            points = points.reshape(len(points), *point_shape)
        found = _matrix(table, targets)
        rest = None if weights is None else _matrix(table, [weights])[:, 0]
        return points, found[:, 0] if isinstance(y, str) and found.shape[1] == 1 else found, rest

    def read(part: int, start: int, stop: int) -> Block:
        points, found, rest = whole(part)
        return points[start:stop], found[start:stop], None if rest is None else rest[start:stop]

    chosen = f"parquet {inputs} {targets} {weights} {point_shape}"
    return Source(tuple(lengths), read, _fingerprint(chosen, files))


def zarr_source(
    path: str | os.PathLike[str], x: str = "x", y: str = "y", weights: str | None = None
) -> Source:
    """Arrays of a zarr group, read range by range. Needs zarr (extra ``streams``).

    Args:
        path: of the group.
        x: the name of the array of points, rows along its first axis.
        y: the name of that of the targets.
        weights: the name of that of the weights.

    Returns:
        A source for :func:`~symjax_learn.accumulate`.

    Raises:
        ImportError: zarr is not installed.
        FileNotFoundError: there is no such group.
        ValueError: an array that is not there, or of another length.

    >>> import symjax_learn as sj
    >>> sj.zarr_source("no/such.zarr")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    zarr = _optional("zarr", "zarr")
    if not Path(path).exists():
        raise FileNotFoundError(f"path: there is no {os.fspath(path)!r}.")
    try:
        group = zarr.open_group(os.fspath(path), mode="r")
        names = [x, y, *([] if weights is None else [weights])]
        arrays = {name: group[name] for name in names}
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"path: {os.fspath(path)!r} is no such group ({error!r}).") from error
    length = _check_lengths({name: array.shape for name, array in arrays.items()})

    def read(_: int, start: int, stop: int) -> Block:
        found = [np.asarray(array[start:stop]) for array in arrays.values()]
        return found[0], found[1], found[2] if weights is not None else None

    parts = [Path(path), *sorted(file for file in Path(path).rglob("*") if file.is_file())]
    return Source((length,), read, _fingerprint(f"zarr {names}", parts))


def _matrix(table: Any, names: Sequence[str]) -> np.ndarray:
    """Columns side by side, ``(n, k)``; a column of lists is several."""
    parts = []
    for name in names:
        column = table.column(name)
        if column.null_count:
            raise ValueError(f"{name}: the column has {column.null_count} missing values.")
        values = column.to_numpy()
        parts.append(np.stack(list(values)) if values.dtype == object and len(values) else values)
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _check_lengths(shapes: dict[str, tuple[int, ...]]) -> int:
    """The rows that all have."""
    if any(not shape for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) > 1:
        raise ValueError(f"x, y, weights: rows pair one by one, and the shapes are {shapes}.")
    return next(iter(shapes.values()))[0]


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, ValueError) as error:
        raise ValueError(
            f"x, y, weights: {str(path)!r} is no .npy file, or damaged ({error})."
        ) from error


def _files(name: str, paths: Paths) -> list[Path]:
    """One file, several, or those of a pattern in the order of their names."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = [path for one in given for path in _matching(Path(one))]
    missing = [path for path in found if not path.exists()]
    if missing or not found:
        raise FileNotFoundError(f"{name}: there are no files {[str(p) for p in missing or given]}.")
    return found


def _matching(path: Path) -> list[Path]:
    if "*" not in path.name or path.exists():
        return [path]
    return sorted(path.parent.glob(path.name))


def _fingerprint(kind: str, files: Sequence[Path]) -> str:
    """Of names, sizes and times, which is what is known without reading."""
    found = hashlib.sha256(kind.encode())
    for path in files:
        status = path.stat()
        found.update(f"{path.name} {status.st_size} {status.st_mtime_ns} ".encode())
    return f"{kind.split(maxsplit=1)[0]} {found.hexdigest()}"


def _optional(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{package} is not installed; it comes with the extra: pip install 'symjax-learn[streams]'."
        ) from error
