"""Rows in blocks of one length, cut from chunks of any, and the checks of each."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array

from symjax_learn._types import as_array
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.learning.data import Data, checked_data, plain_weights

# Consecutive rows: x, y and their weights, if any.
Block = tuple[np.ndarray, np.ndarray, np.ndarray | None]


class Rows(NamedTuple):
    """Consecutive rows of a source: the number of the block, that of its first row, and the arrays."""

    number: int
    start: int
    arrays: Block


def joined(pieces: Sequence[Block]) -> Block:
    """Consecutive rows together."""
    if len(pieces) == 1:
        return pieces[0]
    x, y, weights = zip(*pieces, strict=True)
    return np.concatenate(x), np.concatenate(y), None if weights[0] is None else np.concatenate(weights)


def cut(chunks: Iterable[Any], rows: int) -> Iterator[Block]:
    """Chunks of any lengths as blocks of one, the last perhaps shorter."""
    waiting: list[Block] = []
    number, done, shapes = 0, 0, None
    for index, chunk in enumerate(chunks):
        block = _as_block(chunk, index)
        here = [None if array is None else array.shape[1:] for array in block]
        shapes = shapes or here
        if here != shapes:
            raise ValueError(
                f"source: chunk {index}, from row {done}, has rows of shapes {here} of x, y and "
                f"weights, and those before {shapes}; all have the same."
            )
        done += len(block[0])
        while number + len(block[0]) >= rows:
            head, block = _divided(block, rows - number)
            yield joined([*waiting, head])
            waiting, number = [], 0
        if len(block[0]):
            waiting.append(block)
            number += len(block[0])
    if waiting:
        yield joined(waiting)


def _divided(block: Block, length: int) -> tuple[Block, Block]:
    x, y, w = block
    head = x[:length], y[:length], None if w is None else w[:length]
    return head, (x[length:], y[length:], None if w is None else w[length:])


def _as_block(chunk: Any, index: int) -> Block:
    if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
        raise TypeError(
            f"source: chunk {index} is no (x, y) or (x, y, weights), but of {type(chunk).__name__}."
        )
    named = zip(("x", "y", "weights"), chunk, strict=False)
    x, y, *rest = (np.asarray(as_array(f"source: chunk {index}: {name}", part)) for name, part in named)
    lengths = {array.shape[0] if array.ndim else None for array in (x, y, *rest)}
    if len(lengths) > 1 or None in lengths:
        raise ValueError(
            f"source: chunk {index} has shapes {[array.shape for array in (x, y, *rest)]}; its arrays "
            "have one row for each sample."
        )
    return x, y, rest[0] if rest else None


def checked_rows(
    space: AbstractSpace, block: Rows, outputs: tuple[int, ...] | None = None, dtype: Any = None
) -> tuple[Data, Array]:
    """The data of a block and its weights; of values that are not finite the row in the source.

    Args:
        space: where x lies.
        block: the rows.
        outputs: the shape of a target of those before, if there were any.
        dtype: of their points.
    """
    x, y, given = block.arrays
    last = block.start + len(x) - 1
    try:
        data = checked_data(space, x, y, values=False)
        weights = plain_weights(given, data, values=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (rows {block.start} to {last} of the source)") from None
    if outputs is not None and data.outputs != outputs:
        raise ValueError(
            f"y: of shape {data.outputs} from row {block.start} of the source on, and {outputs} before."
        )
    if dtype is not None and data.x.dtype != dtype:
        raise TypeError(
            f"x: {data.x.dtype} from row {block.start} of the source on, and {dtype} before; give one "
            "dtype."
        )
    for name, array in (("x", x), ("y", y), ("weights", given)):
        if array is not None and not np.isfinite(array).all():
            where = tuple(np.argwhere(~np.isfinite(array))[0])
            raise ValueError(
                f"{name}: row {block.start + where[0]} of the source is not finite ({array[where]}); "
                "remove or repair it."
            )
    if given is not None and (given < 0).any():
        row = int(np.flatnonzero(given < 0)[0])
        raise ValueError(
            f"weights: expected numbers >= 0; row {block.start + row} of the source is {given[row]}."
        )
    try:
        space.check(x)
    except ValueError as error:
        message = str(error).removeprefix("points: ")
        raise ValueError(f"x: {message} (counted from row {block.start} of the source)") from None
    return data, weights
