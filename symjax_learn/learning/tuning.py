"""What a penalty and a spectrum are judged by, differentiable, and the best of a family of spectra."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree

from symjax_learn._chunks import MEMORY_LIMIT
from symjax_learn._types import AnyArray, checked_count, is_traced
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.model import (
    SpectralModel,
    checked_penalty,
    checked_spectrum,
    solver_precision,
)
from symjax_learn.learning.problem import (
    Problem,
    Samples,
    checked_samples,
    chunked_problem,
    fixed,
)
from symjax_learn.learning.spectral import fit_ridge
from symjax_learn.optimization.criteria import CRITERIA, criterion_value
from symjax_learn.optimization.decomposition import triangle_of
from symjax_learn.optimization.moments import factor_rows
from symjax_learn.optimization.quadratic import solve_ridge
from symjax_learn.optimization.solution import Criterion

_NAMES = ("loo", *CRITERIA)
_DEFAULT_SPECTRUM = sobolev(2.0)


def ridge_criterion(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    penalty: float | Array,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    criterion: str = "evidence",
    intercept: bool = True,
    weights: AnyArray | None = None,
    mask: AnyArray | None = None,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> Float[Array, ""]:
    """How well a penalty and a spectrum suit the data: the less, the better.

    ``"loo"``: the root mean square of the leave-one-out residuals with nη held fixed. ``"gcv"``:
    (RSS/n)/(1 − df/n)². ``"evidence"``: −log of the likelihood of √w y as the Gaussian process of
    :func:`~symjax_learn.posterior`, integrated over the constant and with the best σ², all outputs
    together. n counts the samples of positive weight. Composes under ``jit``, ``vmap`` and,
    for first derivatives, ``grad``, with respect to the penalty, parameters of the spectrum, x, y and
    weights, also where eigenvalues coincide; one compilation for each shape.

    Args:
        basis: of the functions φ_j.
        x: ``(n, *point_shape)``, floating, n ≥ 2.
        y: ``(n, *outputs)``.
        penalty: η > 0.
        spectrum: μ, a function of the eigenvalues.
        criterion: ``"loo"``, ``"gcv"`` or ``"evidence"``.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        mask: as of :func:`~symjax_learn.fit_ridge`.
        throw: raise for values that are not finite.
        memory_limit: refuse more bytes.

    Returns:
        The criterion, in the dtype of x; infinite or NaN where it does not exist.

    Raises:
        ValueError, TypeError: as :func:`~symjax_learn.fit_ridge`; another criterion.

    Cost: O(n·D²) by QR of chunks of rows and O(D³); derivatives about three times that.

    References:
        G. Golub, M. Heath, G. Wahba, *Generalized cross-validation as a method for choosing a good ridge
        parameter*, Technometrics 21, 1979; C. Rasmussen, C. Williams, *Gaussian Processes for Machine
        Learning*, 2006, chapter 5.

    >>> import symjax_learn as sj, jax
    >>> basis = sj.eigenbasis(sj.Torus(1), max_eigenvalue=25)
    >>> x = sj.Torus(1).sample(jax.random.key(0), (40,))
    >>> y = jax.numpy.exp(jax.numpy.cos(x[:, 0]))
    >>> def badness(penalty):
    ...     return sj.ridge_criterion(basis, x, y, penalty=penalty)
    >>> bool(jax.grad(badness)(10.0) > 0)  # a smaller one is better
    True
    """
    _check_criterion(criterion)
    samples, _, n = checked_samples(
        basis,
        x,
        y,
        spectrum=spectrum,
        weights=weights,
        mask=mask,
        penalty=penalty,
        values=throw,
        memory_limit=memory_limit,
    )
    eta = checked_penalty(penalty, n, ())
    if n < 2:
        raise ValueError("x: a criterion compares samples and needs at least 2.")
    with solver_precision(is_traced(samples, eta)):
        return _criterion(samples, jnp.asarray(eta), bool(intercept), criterion)


def _check_criterion(criterion: object) -> None:
    if criterion not in _NAMES:
        raise ValueError(f"criterion: expected one of {', '.join(_NAMES)} and got {criterion!r}.")


@eqx.filter_jit
def _criterion(samples: Samples, penalty: Array, intercept: bool, criterion: str) -> Array:
    with jax.default_matmul_precision("highest"):
        problem = chunked_problem(samples, intercept)
        value = _judged(problem, samples.num_samples, penalty, criterion)
    return value.astype(samples.x.dtype)


def _judged(problem: Problem, num_samples: Array, penalty: Array, criterion: str) -> Float[Array, ""]:
    rows, num_chunks, num_rows = problem.rows, problem.num_chunks, problem.num_rows
    if criterion == "loo":
        error = solve_ridge(rows, num_chunks, num_samples, penalty, problem.precision).loo_error
        assert error is not None
        return error
    dtype = problem.scale.dtype
    ridge = num_samples.astype(dtype) * penalty.astype(dtype)
    part = factor_rows(rows, num_chunks, num_rows, ridge).balance
    return criterion_value(criterion, part, num_rows, problem.num_free)


class Tuning(NamedTuple):
    """The best of a family of spectra, and the evidence.

    Attributes:
        model: the fit with it.
        parameters: of the spectrum, as ``initial``.
        converged: whether the gradient became small.
        steps: of the minimization.
        gradient_norm: the largest derivative of the criterion for each sample, by the parameters and by
            log η.
    """

    model: SpectralModel
    parameters: PyTree[Array]
    converged: Bool[AnyArray, ""]
    steps: Int[AnyArray, ""]
    gradient_norm: Float[AnyArray, ""]


def tune_ridge(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    family: Callable[[Any], Spectrum],
    initial: PyTree[float | AnyArray],
    *,
    criterion: str = "evidence",
    intercept: bool = True,
    weights: AnyArray | None = None,
    mask: AnyArray | None = None,
    max_steps: int = 200,
    tolerance: float = 1e-5,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> Tuning:
    """Ridge regression with the spectrum of a family, and the penalty, that minimize a criterion.

    L-BFGS over the parameters and log η from ``initial`` and the best penalty there of
    :func:`~symjax_learn.fit_ridge`'s grid: a local minimum of :func:`~symjax_learn.ridge_criterion`
    (its logarithm for ``"loo"`` and ``"gcv"``, the mean over samples for ``"evidence"``). Parameters are
    not constrained: write positive ones as exponentials.

    Args:
        basis: of the functions φ_j.
        x: ``(n, *point_shape)``, floating, n ≥ 2.
        y: ``(n, *outputs)``.
        family: parameters -> μ, such as :func:`~symjax_learn.sobolev`; a function that is reused is
            compiled once.
        initial: its parameters, floats or arrays in any pytree.
        criterion: ``"evidence"``, ``"gcv"`` or ``"loo"``.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        mask: as of :func:`~symjax_learn.fit_ridge`.
        max_steps: of L-BFGS.
        tolerance: the gradient is small when no entry is larger.
        throw: raise where it is not, and for bad values.
        memory_limit: refuse more bytes.

    Returns:
        A :class:`Tuning`, whose parameters and penalty count as fixed under differentiation.

    Raises:
        ValueError, TypeError: as :func:`~symjax_learn.fit_ridge`; no convergence, when ``throw``.

    Cost: one pass of O(n·D²), then O(D³) for each evaluation; ``"loo"`` reads all samples in each.

    References:
        C. Rasmussen, C. Williams, *Gaussian Processes for Machine Learning*, 2006, chapter 5.

    >>> import symjax_learn as sj, jax
    >>> basis = sj.eigenbasis(sj.Torus(1), max_eigenvalue=100)
    >>> x = sj.Torus(1).sample(jax.random.key(0), (60,))
    >>> y = abs(jax.numpy.sin(x[:, 0])) + 0.05 * jax.random.normal(jax.random.key(1), (60,))
    >>> tuned = sj.tune_ridge(basis, x, y, sj.sobolev, 1.0)
    >>> bool(tuned.converged)
    True
    """
    _check_criterion(criterion)
    options = {"intercept": intercept, "weights": weights, "mask": mask, "throw": throw}
    options["memory_limit"] = memory_limit
    limit = checked_count("max_steps", max_steps)
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), initial)
    first = fit_ridge(basis, x, y, spectrum=family(start), penalty=criterion, **options)
    samples, _, _ = checked_samples(
        basis,
        x,
        y,
        spectrum=family(start),
        weights=weights,
        mask=mask,
        values=False,
        memory_limit=memory_limit,
    )
    narrow, traced = jnp.result_type(float), is_traced(samples, first.penalty)
    with solver_precision(traced):
        dtype = jnp.result_type(float)
        parameters, penalty, value, steps, norm = _tuned(
            family,
            fixed(samples),
            basis.eigenvalues.astype(dtype),
            jax.tree.map(lambda leaf: leaf.astype(dtype), start),
            first.penalty.astype(dtype),
            bool(intercept),
            criterion,
            limit,
            float(tolerance),
        )
        parameters, value, norm = jax.tree.map(
            lambda leaf: leaf.astype(narrow), (parameters, value, norm)
        )
        penalty = penalty if traced else float(penalty)
    model = fit_ridge(basis, x, y, spectrum=family(parameters), penalty=penalty, **options)
    chosen = Criterion(criterion, value.astype(model.coefficients.dtype))
    model = eqx.tree_at(
        lambda model: (model.report.steps, model.report.criterion),
        model,
        (steps, chosen),
        is_leaf=lambda leaf: leaf is None,
    )
    converged = norm <= tolerance
    if throw and not is_traced(converged) and not bool(converged):
        raise ValueError(
            f"initial: no minimum of {criterion} was found in {int(steps)} steps from {initial!r}; the "
            f"gradient is still {float(norm):.1e}. Start elsewhere, or raise max_steps or tolerance; "
            "throw=False returns the last parameters."
        )
    return Tuning(model, parameters, converged, steps, norm)


class _TriangularRows(eqx.Module):
    """All rows √w [F | A | Y] turned into one triangle, A without its scale."""

    triangle: Float[Array, "w w"]
    scale: Float[Array, " a"]
    num_free: int = eqx.field(static=True)

    def __call__(self, _: Array) -> tuple[Array, Array, Array, Array]:
        """The one chunk of F, A, Y, w."""
        width = self.num_free + len(self.scale)
        free, penalized, targets = jnp.split(self.triangle, [self.num_free, width], axis=1)
        ones = jnp.ones(len(self.triangle), self.triangle.dtype)
        return free, penalized * self.scale[None], targets, ones


@eqx.filter_jit
def _tuned(
    family: Callable[[Any], Spectrum],
    samples: Samples,
    eigenvalues: Array,
    initial: PyTree[Array],
    penalty: Array,
    intercept: bool,
    criterion: str,
    max_steps: int,
    tolerance: float,
) -> tuple[PyTree[Array], Array, Array, Array, Array]:
    """Parameters, η, the criterion, steps, and the largest entry of the gradient."""
    flat, unravel = ravel_pytree((initial, jnp.log(penalty)))
    count = samples.num_samples.astype(flat.dtype) * samples.y.shape[1]

    def problem_at(parameters: PyTree[Array]) -> Problem:
        weights = checked_spectrum(family(parameters), eigenvalues)
        return chunked_problem(samples._replace(kernel_weights=weights), intercept)

    with jax.default_matmul_precision("highest"):
        plain = chunked_problem(samples._replace(kernel_weights=jnp.ones_like(eigenvalues)), intercept)
        triangle = triangle_of(plain.rows, plain.num_chunks)

        def judged(point: Array) -> Array:
            parameters, log_penalty = unravel(point)
            problem = problem_at(parameters)
            if criterion != "loo":
                rows = _TriangularRows(triangle, problem.scale, problem.num_free)
                problem = problem._replace(rows=rows, num_chunks=1)
            return _judged(problem, samples.num_samples, jnp.exp(log_penalty), criterion)

        def objective(point: Array) -> Array:
            value = judged(point)
            return value / count if criterion == "evidence" else jnp.log(value)

        point, steps, norm = _minimized(objective, flat, max_steps, tolerance)
        parameters, log_penalty = unravel(point)
        return parameters, jnp.exp(log_penalty), judged(point), steps, norm


def _minimized(
    objective: Callable[[Array], Array], start: Array, max_steps: int, tolerance: float
) -> tuple[Array, Array, Array]:
    """The point by L-BFGS, its steps, and the largest entry of the gradient."""
    import optax

    solver = optax.lbfgs()

    def proceed(carry: tuple[Array, Any, Array, Array, Array]) -> Array:
        _, _, _, slope, steps = carry
        return (steps < max_steps) & (jnp.max(jnp.abs(slope)) > tolerance)

    def step(carry: tuple[Array, Any, Array, Array, Array]) -> tuple[Array, Any, Array, Array, Array]:
        point, state, value, slope, steps = carry
        with jax.numpy_dtype_promotion("standard"):  # the solver mixes integers of two widths
            updates, state = solver.update(
                slope, state, point, value=value, grad=slope, value_fn=objective
            )
        point = jnp.asarray(optax.apply_updates(point, updates))
        value, slope = (jnp.asarray(optax.tree.get(state, name)) for name in ("value", "grad"))
        return point, state, value, slope, steps + 1

    value, slope = jax.value_and_grad(objective)(start)
    first = (start, solver.init(start), value, slope, jnp.zeros((), jnp.int32))
    point, _, _, slope, steps = jax.lax.while_loop(proceed, step, first)
    return point, steps, jnp.max(jnp.abs(slope))
