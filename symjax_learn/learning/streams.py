"""One pass over any amount of data: its sums, block by block, on any devices and hosts."""

import math
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from symjax_learn._types import checked_count
from symjax_learn.geometry.spaces import AbstractFunctions, AbstractSpace
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.archive import digest, load, write
from symjax_learn.learning.blocks import Rows, checked_rows, cut
from symjax_learn.learning.data import Data
from symjax_learn.learning.sources import Source, array_source
from symjax_learn.learning.sums import Checkpoint, RidgeStatistics, contribution, padded
from symjax_learn.optimization.statistics import Sums, no_sums

# A block of rows is compiled for and read at once: so many, or fewer where points are large.
_BLOCK_ROWS, _BLOCK_ENTRIES = 2**14, 2**24

Chunk = tuple[Any, Any] | tuple[Any, Any, Any]
Progress = Callable[[int, int | None], None]


def accumulate(
    basis: InvariantBasis,
    source: Source | Chunk | Iterable[Chunk],
    *,
    block_rows: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    mesh: Mesh | Sequence[Any] | None = None,
    progress: Progress | None = None,
) -> RidgeStatistics:
    """The sums of a least-squares problem over any number of rows, in one pass and bounded memory.

    With features φ of the basis they are Σ w φφᵀ, Σ w φyᵀ, Σ w y², Σ w and the number of rows:
    :func:`fit_statistics` fits from them, with any spectrum and penalty. Products are formed in the
    dtype of x and added with compensation, to twice its digits, in every session. The rows are cut into
    blocks of ``block_rows`` whatever the chunks in which they come, so that the same rows give
    bitwise the same sums.

    Under ``jax.distributed`` every process calls this with the same source and takes every P-th block
    of it; all return the sums over the whole source. A process that fails makes all of them raise.

    Args:
        basis: of the functions φ.
        source: arrays ``(x, y)`` or ``(x, y, weights)`` in one tuple, which may be memory maps; any
            other iterable of such tuples, of any lengths; or files, by :func:`npy_source`,
            :func:`parquet_source` or :func:`zarr_source`. Each x is ``(rows, *point_shape)``,
            floating, y ``(rows, *outputs)``, weights w ≥ 0.
        block_rows: the rows of a block; 16,384 unless points have more than 1,024 entries.
        checkpoint: a file in which sums and position are kept. A pass that was killed is taken up there
            by the same call, and gives bitwise the sums of one that was not; files are not read again,
            iterables are run through again up to that place. The file stays at the end.
        checkpoint_seconds: so often it is written.
        mesh: devices of this process that share the rows of each block.
        progress: hears of (rows done, rows in all or ``None``) after each block.

    Returns:
        The statistics, which add up with others on the same basis.

    Raises:
        ValueError, TypeError: no rows; chunks of unequal widths; the first row that is not finite; a
            checkpoint that is damaged, or of another basis, source or block length.
        RuntimeError: another process failed.

    Cost: the features of n rows and O(n·D²), at about the speed of matrix products; memory of two blocks
    and O(D²).

    >>> import symjax_learn as sj, jax
    >>> space = sj.Torus(2)
    >>> basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=4)
    >>> def chunks():
    ...     for seed in range(4):
    ...         x = space.sample(jax.random.key(seed), (100,))
    ...         yield x, jax.numpy.cos(x).sum(axis=1)
    >>> sj.accumulate(basis, chunks()).count
    400
    """
    if not isinstance(basis, InvariantBasis):
        raise TypeError(
            f"basis: expected the answer of invariant_basis or eigenbasis and got a "
            f"{type(basis).__name__}."
        )
    rows, devices = _checked_rows(block_rows, basis.space), _checked_mesh(mesh)
    processes = jax.process_count()
    found, failure = None, None
    try:
        readable = _as_source(source)
        keeper = None
        if checkpoint is not None:
            path, task = _own_path(Path(checkpoint)), _task(basis, readable, rows, devices)
            keeper = _Keeper(path, checkpoint_seconds, task)
        found = _pass(basis, readable, rows, devices, keeper, progress)
    except Exception as error:
        if processes == 1:
            raise
        failure = error
    if processes > 1:
        found = _over_processes(found, failure)
    assert found is not None
    return found


class _State(NamedTuple):
    """The sums so far, of each device by itself where there are several, and the shape of a target."""

    sums: Sums
    outputs: tuple[int, ...]


def _known(state: _State | None) -> tuple[tuple[int, ...] | None, Any]:
    """The shape of a target and the dtype of the sums so far."""
    return (None, None) if state is None else (state.outputs, state.sums.gram.rounded.dtype)


class _Keeper:
    """The checkpoint of a pass."""

    def __init__(self, path: Path, seconds: float, task: tuple[tuple[str, str], ...]):
        """Read what is there, which must be of the same task."""
        self.path, self.seconds, self.task = path, seconds, task
        self.kept: Checkpoint | None = None
        self.checksum, self.last = 0, time.monotonic()
        if path.exists():
            self.kept = _kept(path, task)

    def hear(self, rows: Rows) -> None:
        """Take account of rows that cannot be skipped unread; those of another pass are refused."""
        for array in rows.arrays:
            if array is not None:
                self.checksum = zlib.crc32(array.tobytes(), self.checksum)
        if self.kept is not None and rows.number + 1 == self.kept.position:
            if self.checksum != self.kept.checksum:
                raise ValueError(
                    f"checkpoint: {str(self.path)!r} is of another source: its rows up to "
                    f"{rows.start + len(rows.arrays[0])} differ; give another file, or delete it."
                )

    def keep(self, state: _State, position: int, *, now: bool = False) -> None:
        """Write the sums before a position if it is time to."""
        if not now and time.monotonic() - self.last < self.seconds:
            return
        write(self.path, Checkpoint(self.task, state.sums, state.outputs, position, self.checksum))
        self.last = time.monotonic()


def _kept(path: Path, task: tuple[tuple[str, str], ...]) -> Checkpoint:
    found = load(path)
    if not isinstance(found, Checkpoint):
        raise ValueError(f"checkpoint: {str(path)!r} is a file of something else; give another file.")
    theirs = dict(found.task)
    for name, value in task:
        if theirs.get(name) != value:
            raise ValueError(
                f"checkpoint: {str(path)!r} is of another pass: its {name} differs; give another file, "
                "or delete it."
            )
    return found


def _pass(
    basis: InvariantBasis,
    source: Source | Iterable[Chunk],
    rows: int,
    mesh: Mesh | None,
    keeper: _Keeper | None,
    progress: Progress | None,
) -> RidgeStatistics:
    """The sums over the blocks of this process."""
    functions, kept = basis.functions, None if keeper is None else keeper.kept
    state = None if kept is None else _State(_placed(kept.sums, mesh), kept.outputs)
    if mesh is not None:
        functions = eqx.filter_shard(functions, NamedSharding(mesh, P()))
    total = source.num_rows if isinstance(source, Source) else None
    position = unsaved = 0 if kept is None else kept.position
    for block in _blocks(source, rows, keeper):
        data, weights = checked_rows(basis.space, block, *_known(state))
        state = state or _State(_no_sums(basis, data, mesh), data.outputs)
        if block.number % jax.process_count() == jax.process_index():
            arrays = _filled((data.x, data.y.astype(data.x.dtype), weights), rows, mesh)
            jax.block_until_ready(state)  # one block is summed while the next is read, and no more wait
            state = state._replace(sums=_absorbed(functions, state.sums, *arrays, mesh))
        position = block.number + 1
        if keeper is not None:
            keeper.keep(state, position)
        if progress is not None:
            progress(block.start + len(weights), total)
    if state is None and isinstance(source, Source) and source.num_rows:  # no block for this process
        data, _ = checked_rows(basis.space, Rows(0, 0, source.read(0, 1)))
        state = _State(_no_sums(basis, data, mesh), data.outputs)
    if state is None:
        raise ValueError("source: it has no rows (n = 0); sums need at least one.")
    if keeper is not None and position != unsaved:
        keeper.keep(state, position, now=True)
    return RidgeStatistics(basis, _over_devices(state.sums, mesh), state.outputs)


@eqx.filter_jit
def _absorbed(
    functions: AbstractFunctions, state: Sums, x: Array, y: Array, w: Array, mesh: Mesh | None
) -> Sums:
    """The sums with one more block; each device keeps those of its own rows."""
    if mesh is None:
        return state + contribution(functions, x, y, w)
    arrays, static = eqx.partition(functions, eqx.is_array)

    def local(arrays: Any, state: Sums, x: Array, y: Array, w: Array) -> Sums:
        own = jax.tree.map(lambda leaf: leaf[0], state)
        own = own + contribution(eqx.combine(arrays, static), x, y, w)
        return jax.tree.map(lambda leaf: leaf[None], own)

    split = P(mesh.axis_names)
    specs = (P(), split, split, split, split)
    sharded = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    return sharded(arrays, state, x, y, w)


def _no_sums(basis: InvariantBasis, data: Data, mesh: Mesh | None) -> Sums:
    none = no_sums(basis.num_functions, data.y.shape[1], data.x.dtype)
    if mesh is None:
        return none
    return _placed(jax.tree.map(lambda leaf: jnp.stack([leaf] * mesh.size), none), mesh)


def _placed(arrays: Any, mesh: Mesh | None) -> Any:
    """Arrays shared out along their first axis."""
    return arrays if mesh is None else jax.device_put(arrays, NamedSharding(mesh, P(mesh.axis_names)))


def _filled(arrays: tuple[Array, Array, Array], rows: int, mesh: Mesh | None) -> Any:
    """Rows of the one length that is compiled for; those beyond the end have no weight."""
    size = 1 if mesh is None else mesh.size
    length, given = -(-rows // size) * size, len(arrays[2])
    if given < length:
        x, y, weights = (padded(np.asarray(array), length) for array in arrays)
        weights = np.where(np.arange(length) < given, weights, np.zeros((), weights.dtype))
        arrays = jnp.asarray(x), jnp.asarray(y), jnp.asarray(weights)
    return _placed(arrays, mesh)


def _over_devices(sums: Sums, mesh: Mesh | None) -> Sums:
    """The sum of what each device has, in their order."""
    return sums if mesh is None else _total(jax.device_get(sums), mesh.size)


def _total(stacked: Sums, number: int) -> Sums:
    parts = [jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i]), stacked) for i in range(number)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _over_processes(found: RidgeStatistics | None, failure: Exception | None) -> RidgeStatistics:
    """The sums of all processes, the same in each; if one failed, an error in each."""
    from jax.experimental import multihost_utils

    failed = np.atleast_1d(multihost_utils.process_allgather(np.asarray(found is None, np.int32)))
    if failure is not None:
        raise failure
    if failed.any() or found is None:
        raise RuntimeError(
            f"source: process {int(np.flatnonzero(failed)[0])} failed, and there are no sums without "
            "its share; see its error."
        )
    stacked = multihost_utils.process_allgather(jax.device_get(found.sums))
    return RidgeStatistics(found.basis, _total(stacked, jax.process_count()), found.outputs)


def _blocks(source: Source | Iterable[Chunk], rows: int, keeper: _Keeper | None) -> Iterator[Rows]:
    """The blocks from the checkpoint on: of files only those of this process, unread before."""
    first = 0 if keeper is None or keeper.kept is None else keeper.kept.position
    if isinstance(source, Source):
        step = jax.process_count()
        for index in range(jax.process_index(), -(-source.num_rows // rows), step):
            if index >= first:
                start = index * rows
                block = source.read(start, min(start + rows, source.num_rows))
                yield Rows(index, start, block)
        return
    index = -1
    for index, block in enumerate(cut(source, rows)):
        found = Rows(index, index * rows, block)
        if keeper is not None:
            keeper.hear(found)
        if index >= first:
            yield found
    if index + 1 < first:
        raise ValueError(
            f"checkpoint: it was taken after {first} blocks, and the source has {index + 1}; give the "
            "source from its beginning, or delete the checkpoint."
        )


def _as_source(source: Any) -> Source | Iterable[Chunk]:
    if isinstance(source, Source):
        return source
    if isinstance(source, tuple) and all(hasattr(part, "shape") for part in source):
        if len(source) not in (2, 3):
            raise ValueError(f"source: expected (x, y) or (x, y, weights) and got {len(source)} arrays.")
        return array_source(*source)
    if isinstance(source, str | os.PathLike) or not isinstance(source, Iterable):
        raise TypeError(
            "source: expected arrays (x, y), an iterable of such chunks, or the answer of npy_source, "
            f"parquet_source or zarr_source, and got {source!r}."
        )
    return source


def _checked_rows(block_rows: int | None, space: AbstractSpace) -> int:
    if block_rows is None:
        return max(1, min(_BLOCK_ROWS, _BLOCK_ENTRIES // max(1, math.prod(space.point_shape))))
    return checked_count("block_rows", block_rows)


def _checked_mesh(mesh: Mesh | Sequence[Any] | None) -> Mesh | None:
    """One axis or several, of devices of this process."""
    if mesh is None:
        return None
    whole = mesh if isinstance(mesh, Mesh) else Mesh(np.asarray(mesh), ("rows",))
    foreign = [device for device in whole.devices.flat if device.process_index != jax.process_index()]
    if foreign:
        raise ValueError(
            f"mesh: {foreign[0]} is of another process, and each takes its own blocks: give "
            "jax.local_devices()."
        )
    return whole


def _own_path(path: Path) -> Path:
    """A file for each process."""
    if jax.process_count() == 1:
        return path
    return path.with_name(f"{path.name}.{jax.process_index()}-of-{jax.process_count()}")


def _task(
    basis: InvariantBasis, source: Source | Iterable[Chunk], rows: int, mesh: Mesh | None
) -> tuple[tuple[str, str], ...]:
    """What a checkpoint must agree in, to go on from it."""
    try:
        name = digest(basis)
    except TypeError as error:
        raise TypeError(f"checkpoint: this basis has no name to be known by: {error}") from None
    return (
        ("basis", name),
        ("block_rows", str(rows)),
        ("source", source.fingerprint if isinstance(source, Source) else "an iterable"),
        ("mesh", "none" if mesh is None else f"{mesh.size} devices"),
        ("number of processes", f"{jax.process_index()} of {jax.process_count()}"),
    )
