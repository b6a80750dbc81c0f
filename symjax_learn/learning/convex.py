"""Fits of any convex loss on a spectral basis."""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, FloatArray, checked_count, is_traced
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.model import (
    checked_penalty,
    solver_precision,
    spectral_values,
    working_dtype,
)
from symjax_learn.learning.problem import Samples, checked_samples, chunked_problem
from symjax_learn.optimization.convex import ConvexSolution, solve_convex
from symjax_learn.optimization.decomposition import Rows
from symjax_learn.optimization.group_lasso import solve_group_lasso
from symjax_learn.optimization.lbfgs import solve_by_gradients
from symjax_learn.optimization.losses import (
    AbstractLoss,
    Huber,
    Logistic,
    Multinomial,
    Poisson,
    Quantile,
    Squared,
)
from symjax_learn.optimization.passes import Loss, Problem
from symjax_learn.optimization.refits import choose_penalty
from symjax_learn.optimization.solution import MESSAGES, Status

_DEFAULT_SPECTRUM = sobolev(2.0)
# Losses of y − f alone: with a free constant, targets are centred, so that none is far from zero.
_SHIFTED = Huber | Quantile | Squared
# Coefficients up to which Newton's method is chosen.
_MOST_OF_NEWTON = 2000
# Bytes of a fit for each entry of the Hessian: itself, of the trial, their factors.
_BYTES_OF_SQUARE = 8 * 8


class ConvexReport(NamedTuple):
    """The evidence of a fit of any convex loss.

    Attributes:
        status: a ``Status`` as an integer; 0 is a good fit.
        objective: its value at the minimum.
        residual: the largest entry of its gradient as a correlation between slopes of the loss and a
            function; 0 at the minimum.
        gap: how far the objective may be above its minimum, by duality; NaN but for quantile losses.
        heldout_loss: mean loss of the samples, each by a fit to the other folds; NaN if none was made.
        steps: linear systems that were solved.
    """

    status: Int[AnyArray, "..."]
    objective: Float[AnyArray, "..."]
    residual: Float[AnyArray, "..."]
    gap: Float[AnyArray, "..."]
    heldout_loss: Float[AnyArray, "..."]
    steps: Int[AnyArray, "..."]


class ConvexModel(eqx.Module):
    """f(x) = Σ_j c_j φ_j(x), fitted by a convex loss: logits, a logarithm of means, or values.

    A pytree, called and passed as a :class:`SpectralModel` is.

    Attributes:
        basis: of the functions φ_j; on an invariant basis the model is exactly invariant.
        coefficients: c, ``(num_functions, *outputs)``; of :func:`~symjax_learn.losses.multinomial`
            ``(num_functions, K)``.
        penalty: η that was used.
        loss: ℓ.
        report: the evidence.
    """

    basis: InvariantBasis
    coefficients: Float[Array, "D *outputs"]
    penalty: Float[Array, "..."]
    loss: Loss
    report: ConvexReport

    def __call__(self, points: FloatArray, mask: AnyArray | None = None) -> Float[Array, "..."]:
        """The predictions f(x): ``(*batch, *outputs)``, of a multinomial loss ``(*batch, K)``.

        Args, dtype, and errors are those of :meth:`SpectralModel.__call__`.
        """
        return spectral_values(self.basis, self.coefficients, points, mask)

    def probabilities(self, points: FloatArray, mask: AnyArray | None = None) -> Float[Array, "..."]:
        """What a classifier says: P(y = 1), ``(*batch, *outputs)``, or of K classes ``(*batch, K)``.

        Args:
            points: ``(*batch, *point_shape)``, floating.
            mask: ``(*batch, n')``, whether a point is there, for sets of unequal sizes.

        Raises:
            TypeError: the loss is neither logistic nor multinomial.
        """
        match self.loss:
            case Logistic():
                return jax.nn.sigmoid(self(points, mask))
            case Multinomial():
                return jax.nn.softmax(self(points, mask), axis=-1)
        raise TypeError(
            f"model: probabilities are of losses.logistic and losses.multinomial, and the loss is "
            f"{self.loss!r}; model(points) gives its predictions."
        )


def fit_convex(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    loss: Loss,
    penalty: float | Array | str = "kfold",
    folds: int = 5,
    regularizer: Literal["ridge", "group_lasso"] = "ridge",
    solver: Literal["auto", "newton", "lbfgs"] = "auto",
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    intercept: bool = True,
    weights: AnyArray | None = None,
    mask: AnyArray | None = None,
    max_steps: int = 200,
    tolerance: float | None = None,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> ConvexModel:
    """A convex loss on a basis: min over c of (1/n) Σ_i w_i ℓ(y_i, φ(x_i)c) + η Σ_j |c_j|²/μ(λ_j).

    With ``losses.squared`` this is :func:`fit_ridge`. With ``regularizer="group_lasso"`` the penalty is
    η Σ_λ √(m_λ/μ(λ)) |c_λ| over the eigenvalues, c_λ the coefficients of the m_λ functions of one of
    them: whole eigenspaces leave the model. On an invariant basis the model is exactly
    invariant. Composes under ``jit``, ``vmap`` (targets, penalties, weights, seeds) and, for first
    derivatives, ``grad``, by the implicit function theorem (a penalty that k-fold chooses counts as
    fixed); a sweep over data or penalties of one shape
    compiles once.

    Args:
        basis: of the functions φ_j.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``; of a multinomial loss ``(n,)``.
        loss: ``losses.logistic``, ``losses.multinomial(K)``, ``losses.poisson``, ``losses.huber(δ)``,
            ``losses.quantile(q)``, ``losses.squared``, each fitted for every output by itself; or any
            function ℓ(y, f) of one sample in JAX, convex in f, where y and f have the shape
            ``outputs``. Parameters to be differentiated are arrays of a module. A function that is
            written anew for each call is compiled anew.
        penalty: η ≥ 0, of the group lasso > 0; or ``"kfold"``: on a logarithmic grid that of the least
            loss of each sample by a fit to the other folds.
        folds: k; sample i is of fold i mod k, so that samples in an order should be shuffled before.
        regularizer: ``"ridge"`` or ``"group_lasso"``, which takes every loss but a quantile loss.
        solver: ``"newton"``, ``"lbfgs"`` (of smooth losses and the ridge), or ``"auto"``: the first
            up to 2,000 coefficients that are fitted together.
        spectrum: μ, a function of the eigenvalues.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        mask: ``(n, points)``, whether a point is there, for sets of unequal sizes; see
            :meth:`InvariantBasis.__call__`.
        max_steps: linear systems to be solved at most.
        tolerance: the last step moves the predictions by less, relative to themselves, and leaves an
            error of the order of its square; the square root of the solver's rounding unless given. Of
            a quantile loss also the duality gap relative to the objective; of the group lasso and of
            L-BFGS that of ``report.residual``.
        throw: raise for bad values, instead of returning them as ``report.status``.
        memory_limit: refuse more bytes.

    Returns:
        A :class:`~symjax_learn.ConvexModel`; coefficients in the dtype of x.

    Raises:
        ValueError, TypeError: structure that does not fit, a loss that gives no scalar, or too many
            functions, always; targets that the loss does not take, a loss with negative curvature, a
            problem without a unique minimum, too few steps, when ``throw`` and not traced.

    Cost: each of some ten Newton steps one pass of O(n·D²·k²), k entries of a prediction (1 unless the
    outputs are fitted together), and O(D³k³); features are kept if n × D entries fit a chunk, else
    evaluated in each pass. k-fold: k fits for each of some twenty penalties.

    References:
        M. Díaz, D. Drusvyatskiy, J. Kendrick, R. Thomas, arXiv:2502.01886, for invariant kernels;
        S. Boyd, L. Vandenberghe, *Convex Optimization*, chapters 5 and 9.

    >>> import symjax_learn as sj, jax
    >>> space = sj.Torus(2)
    >>> basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=2)
    >>> x = space.sample(jax.random.key(0), (200,))
    >>> labels = x[:, 0] * x[:, 1] > 9
    >>> model = sj.fit_convex(basis, x, labels.astype(float), loss=sj.losses.logistic, penalty=1e-3)
    >>> bool(((model.probabilities(x) > 0.5) == labels).mean() > 0.9)
    True
    """
    samples, outputs, n = checked_samples(
        basis,
        x,
        y,
        spectrum=spectrum,
        weights=weights,
        mask=mask,
        penalty=(penalty, eqx.filter(loss, eqx.is_array)),
        values=throw,
        memory_limit=None,
    )
    target_shape, shape = _checked_loss(loss, samples.y[:n], outputs, values=throw)
    together = basis.num_functions * math.prod(shape)
    by_gradients = _by_gradients(solver, regularizer, loss, together)
    if not by_gradients:
        refuse_beyond(
            memory_limit,
            _BYTES_OF_SQUARE * together**2,
            f"basis: the Hessian of {together:,} coefficients",
            "Use fewer functions, solver='lbfgs' or raise memory_limit.",
        )
    eta = checked_penalty(penalty, n, ("kfold",))
    num_folds = checked_count("folds", folds, 2)
    if eta is None and n < num_folds:
        raise ValueError(
            f"folds: {num_folds} folds need as many samples and there are {n}; give a penalty."
        )
    steps = checked_count("max_steps", max_steps)
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"tolerance: expected a number between 0 and 1 and got {tolerance!r}.")
    if eta is None and throw and not is_traced(samples):
        heavy = np.bincount(np.arange(n) % num_folds, np.asarray(samples.weights)[:n]) > 0
        if np.sum(heavy) < 2:
            raise ValueError(
                "folds: all samples of positive weight are in one fold, and none are left to fit; give "
                "another number of folds."
            )
    traced = is_traced(samples, eta, eqx.filter(loss, eqx.is_array))
    with solver_precision(traced):
        coefficients, chosen, report = _fit(
            samples,
            None if eta is None else jnp.asarray(eta),
            num_folds,
            loss,
            target_shape,
            shape,
            bool(intercept),
            _levels(basis.eigenvalues[int(intercept) :]) if regularizer == "group_lasso" else None,
            by_gradients,
            jnp.asarray(steps, jnp.int32),
            None if tolerance is None else jnp.asarray(tolerance),
        )
    if throw:
        raise_unless_good(report)
    outputs = shape if isinstance(loss, Multinomial) else outputs
    return ConvexModel(basis, coefficients.reshape(-1, *outputs), chosen, loss, report)


def _checked_loss(
    loss: Loss, targets: Array, outputs: tuple[int, ...], *, values: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of one target and of one prediction that are fitted together."""
    if not callable(loss):
        raise TypeError(
            f"loss: expected one of symjax_learn.losses, such as losses.logistic, or a function "
            f"ℓ(y, f), and got {loss!r}."
        )
    target_shape = shape = () if isinstance(loss, AbstractLoss) else outputs
    if isinstance(loss, Multinomial):
        shape = (loss.num_classes,)
        if outputs:
            raise ValueError(
                f"y: a multinomial loss takes one label for each sample, shape (n,), and got shape "
                f"{(len(targets), *outputs)}."
            )
    if isinstance(loss, AbstractLoss) and values and not is_traced(targets):
        loss.check(np.asarray(targets))
    one = jax.eval_shape(loss, jnp.zeros(target_shape, targets.dtype), jnp.zeros(shape, targets.dtype))
    if getattr(one, "shape", None) != ():
        raise ValueError(
            f"loss: for a target of shape {target_shape} and a prediction of shape {shape} it gives "
            f"{one!r}; it must give one number, the loss of one sample."
        )
    return target_shape, shape


def _levels(eigenvalues: Array) -> Int[Array, " D"]:
    """The number of each function's eigenspace: equal eigenvalues to relative 1e-9, or to rounding."""
    if len(eigenvalues) == 0:
        return jnp.zeros(0, jnp.int32)
    relative = max(1e-9, 4 * float(jnp.finfo(eigenvalues.dtype).eps))
    apart = jnp.diff(eigenvalues) > relative * jnp.abs(eigenvalues[1:])
    return jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(apart, dtype=jnp.int32)])


def _by_gradients(solver: str, regularizer: str, loss: Loss, num_coefficients: int) -> bool:
    """Whether to solve by L-BFGS, or an error for what no solver does."""
    if regularizer not in ("ridge", "group_lasso"):
        raise ValueError(f"regularizer: expected 'ridge' or 'group_lasso' and got {regularizer!r}.")
    if solver not in ("auto", "newton", "lbfgs"):
        raise ValueError(f"solver: expected 'auto', 'newton' or 'lbfgs' and got {solver!r}.")
    smooth = not isinstance(loss, Quantile)
    if regularizer == "group_lasso" and not smooth:
        raise ValueError(
            "regularizer: 'group_lasso' needs a loss with a slope; use 'ridge', or losses.huber."
        )
    able = smooth and regularizer == "ridge"
    if solver == "lbfgs" and not able:
        raise ValueError("solver: 'lbfgs' is of smooth losses and regularizer='ridge'; use 'newton'.")
    return solver == "lbfgs" or (solver == "auto" and able and num_coefficients > _MOST_OF_NEWTON)


class _Column(eqx.Module):
    """Rows with one output."""

    rows: Rows
    output: Int[Array, ""]

    def __call__(self, chunk: Array) -> tuple[Array, Array, Array, Array]:
        """One chunk of F, A, Y, w."""
        free, penalized, targets, weights = self.rows(chunk)
        return free, penalized, targets[:, self.output][:, None], weights


@eqx.filter_jit
def _fit(
    samples: Samples,
    penalty: Array | None,
    folds: int,
    loss: Loss,
    target_shape: tuple[int, ...],
    shape: tuple[int, ...],
    intercept: bool,
    groups: Array | None,
    by_gradients: bool,
    max_steps: Array,
    tolerance: Array | None,
) -> tuple[Array, Array, ConvexReport]:
    data_dtype = samples.x.dtype
    dtype = working_dtype(data_dtype)
    rounding = jnp.asarray(jnp.finfo(dtype).eps, dtype)
    limit = jnp.sqrt(rounding) if tolerance is None else tolerance.astype(dtype)
    num_outputs = samples.y.shape[1]
    separate = num_outputs > 1 and isinstance(loss, AbstractLoss)

    def solved(rows: Rows, penalty: Array, start: Array) -> ConvexSolution:
        data = (rows, parts.num_chunks, samples.num_samples)
        problem = (penalty, loss, target_shape, shape)
        options = {"start": start, "max_steps": max_steps, "tolerance": limit}
        if by_gradients:
            return solve_by_gradients(*data, *problem, **options)
        if groups is None:
            return solve_convex(rows, parts.num_chunks, samples.num_samples, *problem, **options)
        return solve_group_lasso(
            rows, parts.num_chunks, samples.num_samples, groups, *problem, **options
        )

    def solved_all(rows: Rows, penalty: Array, start: Array) -> ConvexSolution:
        if not separate:
            return solved(rows, penalty, start)
        columns = jnp.arange(num_outputs, dtype=jnp.int32)
        each = jax.vmap(lambda j, start: solved(_Column(rows, j), penalty, start), in_axes=(0, 1))
        return _joined(each(columns, start[:, :, None]))

    center = _center(samples, dtype) if intercept and isinstance(loss, _SHIFTED) else None
    if center is not None:
        samples = samples._replace(y=samples.y.astype(dtype) - center[None])
    with jax.default_matmul_precision("highest"):
        parts = chunked_problem(samples, intercept)
        num_predictions = num_outputs if separate else math.prod(shape)
        start = jnp.zeros((samples.functions.num_functions, num_predictions), dtype)
        if intercept and isinstance(loss, Poisson):  # the best constant, which may be far
            mean = _center(samples, dtype)
            start = start.at[0].set(jnp.log(jnp.where(mean > 0, mean, 1.0)))
        if penalty is None:
            shapes = ((num_outputs,),) * 2 if separate else (target_shape, shape)
            zero = jnp.zeros((), dtype)
            whole = Problem(parts.rows, zero, loss, samples.num_samples, parts.num_chunks, *shapes)

            def theta_of(rows: Rows, penalty: Array, start: Array) -> Array:
                solution = solved_all(rows, penalty, start)
                return jnp.concatenate([solution.free, solution.coefficients])

            eta, left_out = choose_penalty(theta_of, whole, folds, groups)
        else:
            eta, left_out = penalty.astype(dtype), jnp.full((), jnp.nan, dtype)
        solution = solved_all(parts.rows, eta, start)
    coefficients = jnp.concatenate([solution.free, parts.scale[:, None] * solution.coefficients])
    if center is not None:
        coefficients = coefficients.at[0].add(center)
    status = solution.status
    if isinstance(loss, AbstractLoss):
        known = loss.takes(samples.y) | ~_present(samples)
        status = jnp.where(jnp.all(known), status, Status.bad_target).astype(jnp.int32)
    report = ConvexReport(
        status,
        solution.objective.astype(data_dtype),
        solution.residual.astype(data_dtype),
        solution.gap.astype(data_dtype),
        left_out.astype(data_dtype),
        solution.steps,
    )
    return coefficients.astype(data_dtype), eta.astype(data_dtype), report


def _present(samples: Samples) -> Bool[Array, " n"]:
    """Which rows are no padding."""
    return jnp.arange(len(samples.y), dtype=jnp.int32) < samples.num_samples


def _center(samples: Samples, dtype: jnp.dtype) -> Float[Array, " o"]:
    """The weighted mean of the targets."""
    weights = jnp.where(_present(samples), samples.weights.astype(dtype), 0.0)
    return jnp.matmul(weights, samples.y.astype(dtype), precision="highest") / jnp.sum(weights)


def _joined(solutions: ConvexSolution) -> ConvexSolution:
    """Outputs that were fitted each by itself, as one solution: their sum, and the worst evidence."""
    return ConvexSolution(
        solutions.free[:, :, 0].T,
        solutions.coefficients[:, :, 0].T,
        jnp.sum(solutions.objective),
        jnp.max(solutions.residual),
        jnp.sum(solutions.gap),
        jnp.max(solutions.steps),
        jnp.max(solutions.status),
    )


def raise_unless_good(report: ConvexReport) -> None:
    """Raise for a status other than ``ok``; silent under a trace, where the status is the answer."""
    if is_traced(report):
        return
    status = Status(int(report.status))
    if status != Status.ok:
        raise ValueError(
            f"fit: {MESSAGES[status]} (status {status.name}, after {int(report.steps)} steps; "
            "throw=False returns the model with this status instead.)"
        )
