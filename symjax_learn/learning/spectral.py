"""Estimators on a spectral basis."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import CHUNK_ENTRIES, MEMORY_LIMIT, refuse_beyond, split_rows
from symjax_learn._types import AnyArray, is_traced
from symjax_learn.geometry.spaces import AbstractFunctions, AbstractSpace, PaddedSets
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.geometry.tangents import tangential
from symjax_learn.invariants.basis import InvariantBasis, evaluate
from symjax_learn.learning.data import checked_gradients, checked_sets, checked_weights
from symjax_learn.learning.model import (
    Report,
    SpectralModel,
    as_report,
    checked_penalty,
    checked_spectrum,
    raise_unless_ok,
    solver_precision,
    working_dtype,
)
from symjax_learn.optimization.quadratic import num_chunks_for, solve_ridge

_DEFAULT_SPECTRUM = sobolev(2.0)
# Up to so many samples a fit takes milliseconds and compiling it a second, so rows are padded to a
# power of two: a sweep over n compiles a few programs and not one for each n.
_PADDED_ROWS = 1024
_FEWEST_ROWS = 128
# Bytes of a fit for each entry of a square matrix of its columns: chunk, triangle, factors.
_BYTES_OF_SQUARE = 16 * 8


def fit_ridge(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    intercept: bool = True,
    weights: AnyArray | None = None,
    gradients: AnyArray | None = None,
    gradient_weight: float | Array = 1.0,
    mask: AnyArray | None = None,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> SpectralModel:
    """Ridge regression on a basis: min over c of (1/n) Σ_i w_i |y_i − φ(x_i)c|² + η Σ_j |c_j|²/μ(λ_j).

    With gradients γ of the target, of energies minus the forces, |y_i − φ(x_i)c|² + ω|γ_i − ∇φ(x_i)c|²
    stands for |y_i − φ(x_i)c|².

    On an invariant basis this equals the problem over *all* coefficients with D(g)c = c, and kernel
    ridge regression with the group-averaged kernel Σ μ(λ_j) φ_j(x)φ_j(x'); the model is exactly
    invariant. Composes under ``jit``, ``vmap`` (targets, penalties, seeds) and, for first derivatives,
    ``grad`` (a penalty that leave-one-out chooses counts as fixed); a sweep over data or penalties of
    one shape compiles once.

    Args:
        basis: of the functions φ_j.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``; one penalty serves all outputs.
        spectrum: μ, a function of the eigenvalues.
        penalty: η ≥ 0, or ``"loo"``: the minimizer of the exact leave-one-out error on a logarithmic
            grid, four values a decade (nη held fixed), bounded below by what the precision of x can
            resolve.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        gradients: ∂y/∂x of each sample, ``(n, *outputs, *point_shape)``, in the coordinates of x; on
            spheres and rotations their tangential parts count.
        gradient_weight: ω ≥ 0.
        mask: ``(n, points)``, whether a point is there, for sets of unequal sizes; see
            :meth:`InvariantBasis.__call__`.
        throw: raise for bad values, instead of returning them as ``report.status``.
        memory_limit: refuse more bytes.

    Returns:
        A :class:`~symjax_learn.SpectralModel`; coefficients in the dtype of x.

    Raises:
        ValueError, TypeError: structure that does not fit, or too many functions, always; values that
            are not finite, a singular problem, when ``throw`` and not traced.

    A sweep over n compiles once for all n ≤ 128, ≤ 256, …, ≤ 1024; once for each n beyond.

    Cost: O(n·D²) by QR of chunks of rows (twice the features when n is large: the leave-one-out
    error is a second pass), O(D³) once; memory O(D²) and one chunk, never n × D. With gradients each of
    p coordinates is one more row, and costs about as much as a feature; a sample is left out with all of
    its rows, which costs p³ for each penalty.

    References:
        Soleymani, Tahmasebi, Jegelka, Jaillet, ICML 2025; Mei, Misiakiewicz, Montanari, COLT 2021.

    >>> import symjax_learn as sj, jax
    >>> space = sj.Torus(2)
    >>> basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=4)
    >>> x = space.sample(jax.random.key(0), (50,))
    >>> model = sj.fit_ridge(basis, x, jax.numpy.cos(x).sum(axis=1))
    >>> bool(abs(model(x[:1, ::-1]) - model(x[:1])).max() < 1e-5)
    True
    """
    if not isinstance(basis, InvariantBasis):
        raise TypeError(
            f"basis: expected the answer of invariant_basis or eigenbasis and got a "
            f"{type(basis).__name__}."
        )
    data = checked_sets(basis, x, mask, y, values=throw)
    width = basis.num_functions + data.y.shape[1]
    refuse_beyond(
        memory_limit,
        _BYTES_OF_SQUARE * width**2,
        f"basis: the decomposition of {basis.num_functions:,} functions",
        "Use fewer functions, raise memory_limit, or use fit_kernel_ridge where samples are few.",
    )
    sample_weights = checked_weights(weights, data, values=throw)
    kernel_weights = checked_spectrum(spectrum, basis.eigenvalues)
    eta = checked_penalty(penalty, len(data.y))
    slopes = None
    if gradients is not None:
        slopes = checked_gradients(basis.space, data, gradients, gradient_weight, values=throw)
    traced = is_traced(basis, data, sample_weights, kernel_weights, eta, slopes)
    n, functions, points = len(data.y), basis.functions, data.x
    if not traced and slopes is None and n * width <= CHUNK_ENTRIES:
        # The program of a fit is then that of every basis of as many functions.
        functions, points = KnownFunctions(functions.num_functions), evaluate(functions, points)
    fewest = _FEWEST_ROWS if slopes is None else max(1, _FEWEST_ROWS // (1 + slopes[0].shape[1]))
    length = padded_length(n, fewest)
    rows = (points, data.y, sample_weights, None if slopes is None else slopes[0])
    x_rows, y_rows, w_rows, slope_rows = jax.tree.map(
        lambda array: padded_rows(array, length, traced), rows
    )
    with solver_precision(traced):
        coefficients, chosen, report = _fit(
            functions,
            kernel_weights,
            x_rows,
            y_rows,
            w_rows,
            jnp.asarray(n, jnp.int32),
            None if eta is None else jnp.asarray(eta),
            bool(intercept),
            None if slopes is None else (slope_rows, slopes[1]),
            None if slopes is None else basis.space,
        )
    if throw:
        raise_unless_ok(report)
    return SpectralModel(basis, coefficients.reshape(-1, *data.outputs), chosen, report)


def padded_length(num_rows: int, fewest: int = _FEWEST_ROWS) -> int:
    """The number of rows that a fit of so many samples is compiled for."""
    return num_rows if num_rows > _PADDED_ROWS else max(fewest, 1 << (num_rows - 1).bit_length())


def padded_rows(array: Array, length: int, traced: bool) -> Array:
    """Copies of the first row to a given length; on the host where it can, which compiles nothing."""
    if len(array) == length:
        return array
    if traced:
        return split_rows(array, 1, length)[0]
    host = np.asarray(array)
    filling = np.broadcast_to(host[:1], (length - len(host), *host.shape[1:]))
    return jnp.asarray(np.concatenate([host, filling]))


class KnownFunctions(AbstractFunctions):
    """A table at points that are its values there."""

    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The values."""
        return self.num_functions

    def rows(self, points: Array) -> Array:
        """``(batch, num_functions) -> (num_functions, batch)``."""
        return points.T


class WeightedRows(eqx.Module):
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


class KeptRows(eqx.Module):
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


@eqx.filter_jit
def _fit(
    functions: AbstractFunctions,
    kernel_weights: Array,
    x: Array | PaddedSets,
    y: Array,
    weights: Array,
    num_samples: Array,
    penalty: Array | None,
    intercept: bool,
    gradients: tuple[Array, Array] | None,
    space: AbstractSpace | None,
) -> tuple[Array, Array, Report]:
    dtype = working_dtype(x.dtype)
    kernel_weights = kernel_weights.astype(dtype)[int(intercept) :]
    # √0 = 0 has no derivative, and its function no coefficient.
    positive = kernel_weights > 0
    scale = jnp.where(positive, jnp.sqrt(jnp.where(positive, kernel_weights, 1.0)), 0.0)
    group = 1 if gradients is None else 1 + gradients[0].shape[1]
    num_chunks = num_chunks_for(y.shape[0] * group, functions.num_functions + y.shape[1])
    num_chunks = min(num_chunks, y.shape[0])
    length = -(-y.shape[0] // num_chunks)
    present = jnp.arange(num_chunks * length, dtype=jnp.int32).reshape(num_chunks, length) < num_samples
    if gradients is not None:
        values = split_rows(gradients[0].astype(dtype), num_chunks, length)
        gradients = values, gradients[1].astype(dtype)
    rows = WeightedRows(
        space,
        functions,
        split_rows(x, num_chunks, length),
        split_rows(y.astype(dtype), num_chunks, length),
        jnp.where(present, split_rows(weights.astype(dtype), num_chunks, length), 0.0),
        scale,
        gradients,
    )
    with jax.default_matmul_precision("highest"):
        small = num_chunks * length * group * (functions.num_functions + y.shape[1]) <= CHUNK_ENTRIES
        if small and not isinstance(functions, KnownFunctions):
            rows = KeptRows(jax.lax.map(rows, jnp.arange(num_chunks)))
        precision = float(jnp.finfo(x.dtype).eps)
        solution = solve_ridge(rows, num_chunks, num_samples, penalty, precision, group)
    coefficients = jnp.concatenate([solution.free, scale[:, None] * solution.coefficients])
    return (
        coefficients.astype(x.dtype),
        solution.penalty.astype(x.dtype),
        as_report(solution, x.dtype),
    )
