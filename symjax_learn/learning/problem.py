"""A ridge problem on a basis: checked samples, and their rows chunk by chunk."""

import dataclasses
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import CHUNK_ENTRIES, refuse_beyond, split_rows
from symjax_learn._types import AnyArray, as_array, is_traced
from symjax_learn.geometry.spaces import AbstractFunctions, AbstractSpace, PaddedSets
from symjax_learn.geometry.spectra import Spectrum
from symjax_learn.geometry.tangents import tangential
from symjax_learn.invariants.basis import InvariantBasis, evaluate
from symjax_learn.learning.data import checked_gradients, checked_sets, checked_weights
from symjax_learn.learning.model import checked_spectrum, working_dtype
from symjax_learn.optimization.decomposition import Rows, num_chunks_for
from symjax_learn.optimization.folds import Folds, fold_chunks

# Up to so many samples a fit takes milliseconds and compiling it a second, so rows are padded to a
# power of two: a sweep over n compiles a few programs and not one for each n.
_PADDED_ROWS = 1024
_FEWEST_ROWS = 128
# Bytes of a fit for each entry of a square matrix of its columns: chunk, triangle, factors.
_BYTES_OF_SQUARE = 16 * 8
_NUM_FOLDS = 5


class Samples(NamedTuple):
    """Checked samples, padded, as a compiled fit takes them.

    Attributes:
        functions: of x.
        kernel_weights: μ of each function.
        x: points, or the values of the functions there.
        y: ``(length, o)``.
        weights: w, of mean 1.
        num_samples: n, of the samples that are no padding.
        gradients: of the targets ``(length, p, o)``, and their weight; ``None`` without.
        space: where x lies, with gradients.
    """

    functions: AbstractFunctions
    kernel_weights: Array
    x: Array | PaddedSets
    y: Array
    weights: Array
    num_samples: Array
    gradients: tuple[Array, Array] | None
    space: AbstractSpace | None

    @property
    def width(self) -> int:
        """The columns of a row: functions and outputs."""
        return self.functions.num_functions + self.y.shape[1]

    @property
    def group(self) -> int:
        """The rows of one sample: its value, and its gradient."""
        return 1 if self.gradients is None else 1 + self.gradients[0].shape[1]

    @property
    def num_rows(self) -> int:
        """Of all samples, and of padding."""
        return len(self.y) * self.group


def checked_samples(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    spectrum: Spectrum,
    weights: AnyArray | None,
    density: AnyArray | None = None,
    gradients: AnyArray | None = None,
    gradient_weight: float | Array = 1.0,
    mask: AnyArray | None = None,
    penalty: object = None,
    values: bool,
    memory_limit: int | None,
) -> tuple[Samples, tuple[int, ...], int]:
    """The samples, the shape of one target and n, or an error that names the argument and the remedy.

    Values are looked at only when ``values``, and never under a trace, such as that of the penalty. Too
    large a decomposition is refused where there is a limit.
    """
    if not isinstance(basis, InvariantBasis):
        raise TypeError(
            f"basis: expected the answer of invariant_basis or eigenbasis and got a "
            f"{type(basis).__name__}."
        )
    data = checked_sets(basis, x, mask, y, values=values)
    width = basis.num_functions + data.y.shape[1]
    if memory_limit is not None:
        refuse_beyond(
            memory_limit,
            _BYTES_OF_SQUARE * width**2,
            f"basis: the decomposition of {basis.num_functions:,} functions",
            "Use fewer functions, raise memory_limit, or use fit_kernel_ridge where samples are few.",
        )
    sample_weights = checked_weights(weights, density, data, values=values)
    kernel_weights = checked_spectrum(spectrum, basis.eigenvalues)
    slopes = None
    if gradients is not None:
        slopes = checked_gradients(basis.space, data, gradients, gradient_weight, values=values)
    traced = is_traced(basis, data, sample_weights, kernel_weights, penalty, slopes)
    n, functions, points = len(data.y), basis.functions, data.x
    if not traced and slopes is None and n * width <= CHUNK_ENTRIES:
        # The program of a fit is then that of every basis of as many functions.
        functions, points = _KnownFunctions(functions.num_functions), evaluate(functions, points)
    fewest = _FEWEST_ROWS if slopes is None else max(1, _FEWEST_ROWS // (1 + slopes[0].shape[1]))
    length = n if n > _PADDED_ROWS else max(fewest, 1 << (n - 1).bit_length())
    rows = (points, data.y, sample_weights, None if slopes is None else slopes[0])
    x_rows, y_rows, w_rows, slope_rows = jax.tree.map(lambda array: _padded(array, length, traced), rows)
    samples = Samples(
        functions,
        kernel_weights,
        x_rows,
        y_rows,
        w_rows,
        jnp.asarray(n, jnp.int32),
        None if slopes is None else (slope_rows, slopes[1]),
        None if slopes is None else basis.space,
    )
    return samples, data.outputs, n


def checked_folds(
    folds: int | AnyArray | None,
    criterion: str,
    samples: Samples,
    n: int,
    memory_limit: int,
    *,
    values: bool,
) -> Folds | None:
    """The folds of ``"kfold"``; an error where they are none, or come with another criterion."""
    if criterion != "kfold":
        if folds is not None:
            raise ValueError(
                f"folds: they are those of penalty='kfold', and the penalty is {criterion!r}."
            )
        return None
    given = as_array("folds", _NUM_FOLDS if folds is None else folds)
    if is_traced(given) or given.dtype.kind not in "iu" or given.shape not in ((), (n,)):
        raise ValueError(
            f"folds: expected how many, an integer, or the fold of each of the {n} samples, known "
            f"integers of shape ({n},), and got {folds!r}."
        )
    labels = np.asarray(given)
    if labels.shape == ():
        if not 2 <= labels <= n:
            raise ValueError(f"folds: expected 2 to n = {n} of them and got {labels}.")
        labels = np.arange(n) % labels
    names, labels = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError("folds: all samples are in one fold, and none are left to fit; give two folds.")
    if values and not is_traced(samples.weights):
        heavy = np.bincount(labels, np.asarray(samples.weights)[:n]) > 0
        if np.sum(heavy) < 2:
            raise ValueError(
                "folds: all samples of positive weight are in one fold; give two such folds."
            )
    width = samples.width
    refuse_beyond(
        memory_limit,
        3 * 8 * len(names) * width**2,
        f"folds: the triangles of {len(names):,} folds of {samples.functions.num_functions:,} functions",
        "Use fewer folds or penalty='loo', or raise memory_limit.",
    )
    return fold_chunks(labels, -(-n // num_chunks_for(n * samples.group, width)))


def fixed(samples: Samples) -> Samples:
    """The same samples, which derivatives do not see."""
    arrays, rest = eqx.partition(samples, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


class Problem(NamedTuple):
    """The rows of a fit in chunks.

    Attributes:
        rows: index of a chunk -> F, A, Y, w.
        num_chunks: of equal length.
        num_rows: the rows of positive weight.
        group: g consecutive rows belong to one sample.
        num_free: the columns of F.
        scale: √μ of each penalized column.
        precision: relative accuracy of the rows.
    """

    rows: Rows
    num_chunks: int
    num_rows: Array
    group: int
    num_free: int
    scale: Array
    precision: float


def chunked_problem(samples: Samples, intercept: bool, order: Array | None = None) -> Problem:
    """The rows of the samples in the precision of this scope; the constant is free with an intercept.

    Args:
        samples: checked and padded.
        intercept: whether the first function is not penalized.
        order: ``(chunks, rows)``, which samples are in which chunk, −1 for none; as they come, unless
            given.
    """
    functions, space = samples.functions, samples.space
    dtype = working_dtype(samples.x.dtype)
    kernel_weights = samples.kernel_weights.astype(dtype)[int(intercept) :]
    # √0 = 0 has no derivative, and its function no coefficient.
    positive = kernel_weights > 0
    scale = jnp.where(positive, jnp.sqrt(jnp.where(positive, kernel_weights, 1.0)), 0.0)
    gradients = samples.gradients
    group, width = samples.group, samples.width
    size = len(samples.y)
    if order is None:
        num_chunks = min(num_chunks_for(size * group, width), size)
        length = -(-size // num_chunks)
        places = jnp.arange(num_chunks * length, dtype=jnp.int32).reshape(num_chunks, length)
        present = places < samples.num_samples

        def split(array: Array) -> Array:
            return split_rows(array, num_chunks, length)
    else:
        num_chunks, length = order.shape
        present = order >= 0

        def split(array: Array) -> Array:
            return array[jnp.maximum(order, 0)]

    weights = jnp.where(present, split(samples.weights.astype(dtype)), 0.0)
    num_rows = jnp.sum(weights > 0, dtype=jnp.int32)
    if gradients is not None:
        gradients = split(gradients[0].astype(dtype)), gradients[1].astype(dtype)
        num_rows = num_rows * jnp.where(gradients[1] > 0, group, 1).astype(jnp.int32)
    rows: Any = _WeightedRows(
        space,
        functions,
        jax.tree.map(split, samples.x),
        split(samples.y.astype(dtype)),
        weights,
        scale,
        gradients,
    )
    small = num_chunks * length * group * width <= CHUNK_ENTRIES
    if small and not isinstance(functions, _KnownFunctions):
        rows = _KeptRows(jax.lax.map(rows, jnp.arange(num_chunks)))
    precision = float(jnp.finfo(samples.x.dtype).eps)
    return Problem(rows, num_chunks, num_rows, group, int(intercept), scale, precision)


def _padded(array: Array, length: int, traced: bool) -> Array:
    """Copies of the first row to a given length; on the host where it can, which compiles nothing."""
    if len(array) == length:
        return array
    if traced:
        return split_rows(array, 1, length)[0]
    host = np.asarray(array)
    filling = np.broadcast_to(host[:1], (length - len(host), *host.shape[1:]))
    return jnp.asarray(np.concatenate([host, filling]))


class _KnownFunctions(AbstractFunctions):
    """A table at points that are its values there."""

    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The values."""
        return self.num_functions

    def rows(self, points: Array) -> Array:
        """``(batch, num_functions) -> (num_functions, batch)``."""
        return points.T


class _WeightedRows(eqx.Module):
    """The rows of a fit, chunk by chunk: √μ φ(x) (the constant apart with an intercept), y, and w.

    With gradients those of each sample follow its value, with weights ωw.
    """

    space: AbstractSpace | None
    functions: AbstractFunctions
    points: Float[Array, "chunks rows ..."] | PaddedSets
    targets: Float[Array, "chunks rows o"]
    weights: Float[Array, "chunks rows"]
    scale: Float[Array, " a"]
    gradients: tuple[Float[Array, "chunks rows p o"], Float[Array, ""]] | None

    def __call__(self, chunk: Array) -> tuple[Array, Array, Array, Array]:
        """One chunk of F, A, Y, w."""
        points = jax.tree.map(lambda array: array[chunk], self.points)
        dtype, targets, weights = self.scale.dtype, self.targets[chunk], self.weights[chunk]
        features = self.functions.columns(points).astype(dtype)
        if self.gradients is not None:
            assert self.space is not None
            slopes = _slopes(self.space, self.functions, points).astype(dtype)
            features = jnp.concatenate([features[:, None], slopes], axis=1)
            targets = jnp.concatenate([targets[:, None], self.gradients[0][chunk]], axis=1)
            ratios = jnp.concatenate(
                [jnp.ones(1, dtype), jnp.repeat(self.gradients[1], slopes.shape[1])]
            )
            weights = weights[:, None] * ratios[None]
            features, targets = (rows.reshape(-1, rows.shape[-1]) for rows in (features, targets))
            weights = weights.reshape(-1)
        num_free = features.shape[1] - len(self.scale)
        scaled = features[:, num_free:] * self.scale[None]
        return features[:, :num_free], scaled, targets, weights


class _KeptRows(eqx.Module):
    """The same rows, evaluated before: both passes read them, and gradients are compiled once."""

    chunks: tuple[Array, Array, Array, Array]

    def __call__(self, chunk: Array) -> tuple[Array, Array, Array, Array]:
        """One chunk of F, A, Y, w."""
        return jax.tree.map(lambda array: array[chunk], self.chunks)


def _slopes(
    space: AbstractSpace, functions: AbstractFunctions, points: Array | PaddedSets
) -> Float[Array, "batch p D"]:
    """∂φ/∂x along each of the p coordinates, of the tangential parts of their directions."""
    sets = points if isinstance(points, PaddedSets) else None
    if isinstance(points, PaddedSets):  # what is absent may be anything
        rows = points.points.reshape(*points.present.shape, -1)
        where = jnp.where(points.present[..., None], rows, 0).reshape(points.points.shape)
    else:
        where = points

    def columns(values: Array) -> Array:
        if sets is None:
            return functions.columns(values)
        return functions.columns(dataclasses.replace(sets, points=values))

    def along(direction: Array) -> Array:
        vectors = jnp.broadcast_to(direction.reshape(where.shape[1:])[None], where.shape)
        return jax.jvp(columns, (where,), (tangential(space, where, vectors),))[1]

    directions = jnp.eye(math.prod(where.shape[1:]), dtype=where.dtype)
    return jnp.moveaxis(jax.vmap(along)(directions), 0, 1)
