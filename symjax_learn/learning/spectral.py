"""Estimators on a spectral basis."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from symjax_learn._chunks import MEMORY_LIMIT
from symjax_learn._types import AnyArray, is_traced
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.model import (
    Report,
    SpectralModel,
    as_report,
    checked_penalty,
    raise_unless_ok,
    solver_precision,
)
from symjax_learn.learning.problem import (
    Samples,
    checked_folds,
    checked_samples,
    chunked_problem,
    fixed,
)
from symjax_learn.optimization.criteria import CRITERIA
from symjax_learn.optimization.folds import Folds, fold_penalty
from symjax_learn.optimization.quadratic import solve_by_moments, solve_ridge
from symjax_learn.optimization.solution import Criterion

_DEFAULT_SPECTRUM = sobolev(2.0)
# From so many rows on, and for each column, their moments are tried first.
_MOMENTS_ROWS = 2048
_MOMENTS_ROWS_PER_COLUMN = 4
_CHOICES = ("loo", *CRITERIA, "kfold")


def fit_ridge(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    intercept: bool = True,
    weights: AnyArray | None = None,
    density: AnyArray | None = None,
    folds: int | AnyArray | None = None,
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
        penalty: η ≥ 0, or what chooses it on a logarithmic grid, four values a decade, bounded below by
            what the precision of x can resolve: ``"loo"``, the exact leave-one-out error; ``"kfold"``,
            the exact error of leaving out one fold after the other (both with nη held fixed);
            ``"gcv"``, generalized cross-validation; ``"evidence"``, the marginal likelihood of a
            Gaussian process, see :func:`~symjax_learn.posterior`.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        density: p(x_i) > 0, of samples that are not uniform, relative to the uniform distribution up to
            a factor, ``(n,)``: weights, if given, are divided by it, and the sum over samples then
            estimates the integral over the space.
        folds: of ``"kfold"``: how many (5 unless given), with sample i in fold i mod k, or the fold of
            each sample, integers ``(n,)``, so that samples that belong together are left out together.
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

    Cost: O(n·D²) by QR of chunks of rows, or, outside a trace, of many rows in matrix products where
    that is as accurate; with leave-one-out a second pass, in which features that are too many to be kept
    are evaluated again; O(D³) once; memory O(D²) and one chunk, never n × D. With gradients each of
    p coordinates is one more row, and costs about as much as a feature; a sample is left out with all of
    its rows, which costs p³ for each penalty. Of k folds a triangle is kept: one more pass, memory
    O(k·D²), O(k·D³) once and O(k·D²) for each penalty.

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
    samples, outputs, n = checked_samples(
        basis,
        x,
        y,
        spectrum=spectrum,
        weights=weights,
        density=density,
        gradients=gradients,
        gradient_weight=gradient_weight,
        mask=mask,
        penalty=penalty,
        values=throw,
        memory_limit=memory_limit,
    )
    eta = checked_penalty(penalty, n, _CHOICES)
    criterion = penalty if isinstance(penalty, str) else "loo"
    layout = checked_folds(folds, criterion, samples, n, memory_limit, values=throw)
    traced = is_traced(samples, eta)
    num_rows = samples.num_rows
    # Under a trace the answer must not depend on values, and the accurate way is the only one.
    tall = not traced and num_rows >= max(_MOMENTS_ROWS, _MOMENTS_ROWS_PER_COLUMN * samples.width)
    with solver_precision(traced):
        given = None if eta is None else jnp.asarray(eta)
        problem = (samples, given, bool(intercept), criterion, layout)
        coefficients, chosen, report, accurate = _fit(*problem, by_moments=tall)
        if not bool(accurate):
            coefficients, chosen, report, _ = _fit(*problem, by_moments=False)
    if throw:
        raise_unless_ok(report)
    return SpectralModel(basis, coefficients.reshape(-1, *outputs), chosen, report)


@eqx.filter_jit
def _fit(
    samples: Samples,
    penalty: Array | None,
    intercept: bool,
    criterion: str,
    folds: Folds | None,
    *,
    by_moments: bool,
) -> tuple[Array, Array, Report, Array | bool]:
    with jax.default_matmul_precision("highest"):
        problem, chosen = chunked_problem(samples, intercept), None
        if folds is not None:
            parts = chunked_problem(fixed(samples), intercept, folds.order)
            penalty, error = fold_penalty(
                parts.rows, folds.labels, folds.count, samples.num_samples, parts.precision
            )
            chosen = Criterion("kfold", error)
        arguments = (
            problem.rows,
            problem.num_chunks,
            samples.num_samples,
            penalty,
            problem.precision,
            problem.group,
            criterion,
            problem.num_rows,
        )
        accurate = True
        if by_moments:
            solution, accurate = solve_by_moments(*arguments)
        else:
            solution = solve_ridge(*arguments)
    if chosen is not None:
        solution = solution._replace(criterion=chosen)
    scaled = problem.scale[:, None] * solution.coefficients
    coefficients = jnp.concatenate([solution.free, scaled])
    dtype = samples.x.dtype
    chosen_penalty = solution.penalty.astype(dtype)
    return coefficients.astype(dtype), chosen_penalty, as_report(solution, dtype), accurate
