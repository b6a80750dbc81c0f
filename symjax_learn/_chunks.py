"""Bounded memory: maps over padded chunks, and the refusal of requests that are too large."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

# Entries of the largest intermediate array that a chunked evaluation forms (16 MiB in float32).
CHUNK_ENTRIES = 2**22
# Set-up work beyond this many bytes is refused unless the caller raises the limit.
MEMORY_LIMIT = 4 * 2**30


def chunk_rows(width: int) -> int:
    """Rows per chunk so that ``rows × width`` stays within ``CHUNK_ENTRIES`` (at least 1)."""
    return max(1, CHUNK_ENTRIES // max(width, 1))


def map_columns(function: Callable[[Any], Array], points: PyTree[Array], rows: int) -> Array:
    """``function(points)`` for a function ``(batch, *point) -> (outputs, batch)``, in chunks.

    Points are an array, or several with one leading axis. At most ``rows`` of them are in flight, also
    in a reverse pass, which evaluates each chunk again instead of keeping it. Chunks are of equal size
    and the last is padded with copies of the first point, so that only one shape is compiled.
    """
    n = num_rows(points)
    if n == 0:  # the shape of an answer, which reshapes cannot infer from no points
        one = jax.tree.map(lambda array: jnp.zeros((1, *array.shape[1:]), array.dtype), points)
        return function(one)[:, :0]
    if n <= rows:
        return function(points)
    num_chunks = -(-n // rows)
    rows = -(-n // num_chunks)
    # A lambda, because the method of a module that holds arrays cannot be hashed.
    evaluate = jax.checkpoint(lambda chunk: function(chunk))
    answer = jax.lax.map(evaluate, split_rows(points, num_chunks, rows))  # (chunks, outputs, rows)
    return jnp.moveaxis(answer, 0, 1).reshape(answer.shape[1], num_chunks * rows)[:, :n]


def num_rows(arrays: PyTree[Array]) -> int:
    """The length of the leading axis that all arrays have."""
    return jax.tree.leaves(arrays)[0].shape[0]


def split_rows(arrays: PyTree[Array], num_chunks: int, rows: int) -> Any:
    """``(n, ...) -> (num_chunks, rows, ...)`` of each array, padded with copies of the first row."""

    def split(array: Array) -> Array:
        padding = jnp.broadcast_to(array[:1], (num_chunks * rows - array.shape[0], *array.shape[1:]))
        return jnp.concatenate([array, padding]).reshape(num_chunks, rows, *array.shape[1:])

    return jax.tree.map(split, arrays)


def refuse_beyond(limit: int, num_bytes: int, what: str, remedy: str) -> None:
    """Raise ``ValueError`` when ``what`` needs more than ``limit`` bytes."""
    if num_bytes > limit:
        raise ValueError(
            f"{what} needs about {_in_units(num_bytes)}, more than the memory limit of "
            f"{_in_units(limit)}. {remedy}"
        )


def _in_units(num_bytes: int) -> str:
    """``num_bytes`` with a binary unit; integers beyond it, because 100! is no float."""
    power = min((num_bytes.bit_length() - 1) // 10, 5) if num_bytes else 0
    unit = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")[power]
    whole = num_bytes >> (10 * power)
    if whole >= 10**6:
        return f"10^{len(str(whole)) - 1} {unit}"
    return f"{num_bytes / 2 ** (10 * power):.4g} {unit}"
