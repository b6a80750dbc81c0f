"""Estimators on a spectral basis."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from symjax_learn._chunks import split_rows
from symjax_learn._types import AnyArray, is_traced
from symjax_learn.geometry.spaces import AbstractFunctions
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.model import (
    Report,
    SpectralModel,
    checked_data,
    checked_penalty,
    checked_spectrum,
    checked_weights,
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


def fit_ridge(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    intercept: bool = True,
    weights: AnyArray | None = None,
    throw: bool = True,
) -> SpectralModel:
    """Ridge regression on a basis: min over c of (1/n) Σ_i w_i |y_i − φ(x_i)c|² + η Σ_j |c_j|²/μ(λ_j).

    On an invariant basis this equals the problem over *all* coefficients with D(g)c = c, and kernel
    ridge regression with the group-averaged kernel Σ μ(λ_j) φ_j(x)φ_j(x'); the model is exactly
    invariant. Composes under ``jit``, ``vmap`` (targets, penalties, seeds) and ``grad``; a sweep over
    data or penalties of one shape compiles once.

    Args:
        basis: of the functions φ_j.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``; one penalty serves all outputs.
        spectrum: μ, a function of the eigenvalues.
        penalty: η ≥ 0, or ``"loo"``: the minimizer of the exact leave-one-out error on a logarithmic
            grid of 100 values (nη held fixed), bounded below by what the precision of x can resolve.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        throw: raise for bad values, instead of returning them as ``report.status``.

    Returns:
        A :class:`~symjax_learn.SpectralModel`; coefficients in the dtype of x.

    Raises:
        ValueError, TypeError: structure that does not fit, always; values that are not finite, a
            singular problem, when ``throw`` and not traced.

    A sweep over n compiles once for all n ≤ 128, ≤ 256, …, ≤ 1024; once for each n beyond.

    Cost: O(n·D²) by QR of chunks of rows (twice the features when n is large: the leave-one-out
    error is a second pass), O(D³) once; memory O(D²) and one chunk, never n × D.

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
    data = checked_data(basis.space, x, y, values=throw)
    root_weights = checked_weights(weights, data, values=throw)
    kernel_weights = checked_spectrum(spectrum, basis.eigenvalues)
    eta = checked_penalty(penalty, len(data.x))
    traced = is_traced(basis, data, root_weights, kernel_weights, eta)
    n = len(data.x)
    x_rows, y_rows, w_rows = _padded((data.x, data.y, root_weights))
    with solver_precision(traced):
        coefficients, chosen, report = _fit(
            basis.functions,
            kernel_weights,
            x_rows,
            y_rows,
            w_rows,
            jnp.asarray(n, jnp.int32),
            eta,
            intercept,
        )
    if throw:
        raise_unless_ok(report)
    return SpectralModel(basis, coefficients.reshape(-1, *data.outputs), chosen, report)


@jax.jit
def _padded(rows: tuple[Array, Array, Array]) -> tuple[Array, ...]:
    n = len(rows[0])
    length = n if n > _PADDED_ROWS else max(_FEWEST_ROWS, 1 << (n - 1).bit_length())
    return tuple(split_rows(array, 1, length)[0] for array in rows)


@eqx.filter_jit
def _fit(
    functions: AbstractFunctions,
    kernel_weights: Array,
    x: Array,
    y: Array,
    root_weights: Array,
    num_samples: Array,
    penalty: Array | None,
    intercept: bool,
) -> tuple[Array, Array, Report]:
    dtype = working_dtype(x.dtype)
    scale = jnp.sqrt(kernel_weights.astype(dtype))[int(intercept) :]
    num_chunks = num_chunks_for(x.shape[0], functions.num_functions)
    length = -(-x.shape[0] // num_chunks)
    points = split_rows(x, num_chunks, length)
    targets = split_rows(y.astype(dtype), num_chunks, length)
    present = jnp.arange(num_chunks * length, dtype=jnp.int32).reshape(num_chunks, length) < num_samples
    root = jnp.where(present, split_rows(root_weights.astype(dtype), num_chunks, length), 0.0)

    def rows(chunk: Array) -> tuple[Array, Array, Array]:
        weighted = functions.columns(points[chunk]).astype(dtype) * root[chunk][:, None]
        free, penalized = weighted[:, : int(intercept)], weighted[:, int(intercept) :]
        return free, penalized * scale[None], targets[chunk] * root[chunk][:, None]

    with jax.default_matmul_precision("highest"):
        solution = solve_ridge(rows, num_chunks, num_samples, penalty, float(jnp.finfo(x.dtype).eps))
    coefficients = jnp.concatenate([solution.free, scale[:, None] * solution.coefficients])
    report = Report(
        solution.status,
        solution.loo_error.astype(x.dtype),
        solution.condition.astype(x.dtype),
        jnp.ones((), jnp.int32),
    )
    return coefficients.astype(x.dtype), solution.penalty.astype(x.dtype), report
