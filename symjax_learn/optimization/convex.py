"""Any convex loss: min over b, c of (1/n) Σ_i w_i ℓ(y_i, F_i b + A_i c) + η |c|².

Newton's method with exact derivatives of ℓ, in passes over chunks of rows; knows features, losses and
penalties, no groups and no spaces. With ℓ = (y − f)² this is ridge regression.

Each step solves Hδ = −∇. Where the objective does not fall enough, the best of a few shares of the step
is taken; where none helps, or H has no inverse, (H + τS)δ = −∇ with S the mean squares of the columns.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from symjax_learn.optimization.decomposition import Rows
from symjax_learn.optimization.losses import Quantile, SmoothQuantile
from symjax_learn.optimization.passes import (
    Loss,
    Problem,
    Terms,
    factor_of,
    held,
    ridge_of,
    terms_at,
    widths,
)
from symjax_learn.optimization.solution import Status

# τ rises and falls by this factor, from this share of the mean curvature of the loss.
_FACTOR, _FIRST_DAMPING, _MOST_DAMPING = 10.0, 1e-2, 1e15
# Shares of a step to choose from where the whole of it does not lower the objective.
_SHARES = tuple(0.25**i for i in range(1, 13))
# The share of the predicted decrease that a step must bring.
_LEAST_DECREASE = 1e-4
# By how much the rounding of a quantile loss shrinks from one problem to the next.
_SHRINKAGE = 0.25


class ConvexSolution(NamedTuple):
    """The minimizer and its evidence.

    Attributes:
        free: b, the unpenalized coefficients ``(f, k)``.
        coefficients: c, of the scaled columns ``(a, k)``.
        objective: its value.
        residual: the largest entry of the gradient, each relative to the root mean squares of its
            column and of the slopes of the loss: a correlation, 0 at the minimum.
        gap: how far the objective may be above the minimum, by duality; NaN where the loss is smooth.
        steps: solved linear systems.
        status: a :class:`Status` as an integer.
    """

    free: Float[Array, "f k"]
    coefficients: Float[Array, "a k"]
    objective: Float[Array, ""]
    residual: Float[Array, ""]
    gap: Float[Array, ""]
    steps: Int[Array, ""]
    status: Int[Array, ""]


def solve_convex(
    rows: Rows,
    num_chunks: int,
    num_samples: Int[Array, ""],
    penalty: Float[Array, ""],
    loss: Loss,
    target_shape: tuple[int, ...],
    shape: tuple[int, ...],
    *,
    start: Float[Array, "t k"],
    max_steps: Int[Array, ""],
    tolerance: Float[Array, ""],
) -> ConvexSolution:
    """Minimize, by Newton's method.

    Differentiable once, by the implicit function theorem, with respect to the arrays of ``rows``, to the
    penalty and to arrays of the loss; of the solution only b and c have derivatives.

    Args:
        rows: the chunks of the rows; called in each pass.
        num_chunks: of equal length.
        num_samples: n, of the samples that are no padding.
        penalty: η.
        loss: ℓ, twice differentiable almost everywhere, or a quantile loss, which is rounded off by a
            width that shrinks until the duality gap of the loss itself is small.
        target_shape: of one target.
        shape: of one prediction.
        start: a first guess of b above c.
        max_steps: of all linear systems.
        tolerance: a step that moves the predictions by less, relative to themselves, is the last;
            the error that it leaves is of the order of its square. Of a quantile loss also the gap
            relative to the objective.

    Cost: for each step one pass of O(n·(f + a)²·k²) and one Cholesky decomposition O((f + a)³k³).
    """
    problem = Problem(rows, penalty, loss, num_samples, num_chunks, target_shape, shape)
    if isinstance(loss, Quantile):
        return _solve_quantile(problem, start, max_steps, tolerance)
    theta, terms, steps, converged = _newton(
        held(problem), jax.lax.stop_gradient(start), max_steps, tolerance
    )
    theta = _carried(problem, theta)
    return _solution(problem, theta, terms, jnp.full((), jnp.nan, penalty.dtype), steps, converged)


def _solve_quantile(
    problem: Problem, start: Array, max_steps: Array, tolerance: Array
) -> ConvexSolution:
    """Newton's method on the rounded losses of widths h, h/10, …, until the gap is small.

    At the minimum of the rounded problem its slopes a are feasible for the dual of the sharp one, whose
    value is less than the sharp objective by (1/n) Σ w (ℓ − a r); what ∇ lacks of zero is added.
    """
    assert isinstance(problem.loss, Quantile)
    dtype = problem.penalty.dtype
    level = jnp.asarray(problem.loss.level).astype(dtype)
    free, _ = widths(problem)
    fixed, level_held = held(problem), jax.lax.stop_gradient(level)

    def rounded(width: Array) -> Problem:
        smooth = SmoothQuantile(level_held, width)
        return eqx.tree_at(lambda p: p.loss, fixed, smooth)

    def objective_and_gap(theta: Array, width: Array) -> tuple[Array, Array]:
        level = level_held

        def of(x: Array, y: Array, w: Array) -> tuple[Array, Array]:
            residual = y - x @ theta
            slope = SmoothQuantile(level, width).slope(residual)
            value = jnp.maximum(level * residual, (level - 1) * residual)
            return w @ value[:, 0], w @ (value - slope * residual)[:, 0]

        return fixed.sums(of)

    def advance(state: Any) -> Any:
        theta, width, _, _, steps, _ = state
        # Samples at the kink stay there: θ is linear in the width while they are the same.
        less = width * _SHRINKAGE
        at = jax.jvp(lambda width: _carried(rounded(width), theta), (width,), (less - width,))
        theta, width = jnp.where(steps > 0, at[0] + at[1], theta), less
        theta, terms, more, converged = _newton(rounded(width), theta, max_steps - steps, tolerance)
        objective, gap = objective_and_gap(theta, width)
        gap = gap + jnp.sum(jnp.abs(terms.gradient * theta))
        total = objective + fixed.penalty * jnp.sum(theta[free:] ** 2)
        done = converged & (gap <= tolerance * jnp.maximum(total, jnp.finfo(dtype).tiny))
        return theta, width, total, gap, steps + more, done

    def unfinished(state: Any) -> Array:
        _, width, _, _, steps, done = state
        return ~done & (steps < max_steps) & (width > jnp.finfo(dtype).tiny)

    scale = objective_and_gap(jnp.zeros_like(start), jnp.ones((), dtype))[0]
    scale = jnp.where(scale > 0, 40 * scale, 1.0)
    zero = jnp.zeros((), dtype)
    state = (start, scale, zero, zero, jnp.zeros((), jnp.int32), jnp.asarray(False))
    theta, width, total, gap, steps, done = jax.lax.while_loop(unfinished, advance, state)
    last = eqx.tree_at(lambda p: p.loss, problem, SmoothQuantile(level, width))
    theta = _carried(last, theta)
    solution = _solution(
        last,
        theta,
        terms_at(rounded(width), jax.lax.stop_gradient(theta), jnp.zeros_like(theta)),
        gap,
        steps,
        done,
    )
    return solution._replace(objective=total)


def _least_share(problem: Problem, theta: Array, step: Array) -> tuple[Array, Array]:
    """The share of a step that lowers the objective most, of a few below one, and its value."""
    shares = jnp.asarray(_SHARES, theta.dtype)

    def of(x: Array, y: Array, w: Array) -> Array:
        predictions, moves = jnp.split(x @ jnp.concatenate([theta, step], axis=1), 2, axis=1)

        def total(share: Array) -> Array:
            values = jax.vmap(problem.value)(y, predictions + share * moves)
            return jnp.sum(jnp.where(w > 0, w * values, 0.0))

        return jax.lax.map(total, shares)

    ridge = ridge_of(problem, len(theta))[:, None]
    moved = theta[None] + shares[:, None, None] * step[None]
    values = problem.sums(of) + jnp.sum(ridge[None] * moved**2, axis=(1, 2))
    values = jnp.where(jnp.isfinite(values), values, jnp.inf)
    best = jnp.argmin(values)
    return shares[best], values[best]


class _State(NamedTuple):
    theta: Float[Array, "t k"]
    terms: Terms
    damping: Float[Array, ""]
    share: Float[Array, ""]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]
    natural: Float[Array, ""]
    scale: Float[Array, ""]


def _newton(
    problem: Problem, start: Float[Array, "t k"], max_steps: Array, tolerance: Array
) -> tuple[Array, Terms, Array, Array]:
    """The last θ with its terms, the number of steps, and whether the last was small enough."""
    dtype, k = start.dtype, start.shape[1]
    one, zero = jnp.ones((), dtype), jnp.zeros((), dtype)
    # Nothing is known before the first pass, which no step precedes: so a pass is compiled once.
    shapes = jax.eval_shape(lambda: terms_at(problem, start, start))
    unknown = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    unknown = unknown._replace(objective=jnp.inf * one)

    def advance(state: _State) -> _State:
        theta, terms, damping, share = state.theta, state.terms, state.damping, state.share
        damped = terms.hessian + damping * jnp.diag(jnp.repeat(terms.squares, k))
        whole, bounded = _direction(damped, terms)
        step = share * whole
        trial = terms_at(problem, theta + step, step)
        predicted = jnp.sum(terms.gradient * step)
        # A loss may round as if it were as large as at the start: slopes then tell that it falls.
        blur = 8 * jnp.finfo(dtype).eps * state.scale
        flatter = jnp.abs(jnp.sum(trial.gradient * step)) <= jnp.abs(predicted) / 2
        slack = terms.rounding + trial.rounding + jnp.where(flatter, blur, 0.0)
        finite = jnp.isfinite(trial.objective) & jnp.all(jnp.isfinite(trial.gradient))
        enough = trial.objective <= terms.objective + _LEAST_DECREASE * predicted + slack
        taken = bounded & finite & enough

        # A direction that is none, or of which no share helps, is damped.
        part, value = jax.lax.cond(
            taken | ~bounded, lambda: (one, jnp.inf * one), lambda: _least_share(problem, theta, whole)
        )
        helps = value < terms.objective + _LEAST_DECREASE * part * jnp.sum(terms.gradient * whole)
        unit = jnp.where(terms.curvature > 0, terms.curvature, 1.0)
        more = jnp.maximum(_FACTOR * damping, _FIRST_DAMPING * unit)
        small = (damping <= _FIRST_DAMPING * unit) & (terms.curvature > 0)
        less = jnp.where(small, 0.0, damping / _FACTOR)
        # What the step would have been, whole and without damping.
        reach = jnp.sqrt(trial.moved) * (terms.curvature + damping)
        # How far predictions go by themselves is the size of a problem whose solution is zero.
        curved = trial.curvature > 0
        ratio = trial.slopes / jnp.where(curved, trial.curvature, 1.0) ** 2
        natural = jnp.where(state.steps < 0, jnp.where(curved, ratio, 0.0), state.natural)
        limit = tolerance * jnp.sqrt(jnp.maximum(trial.size, natural)) * terms.curvature * share
        sure = (terms.curvature > 0) | (jnp.max(trial.correlations) <= tolerance)
        return _State(
            jnp.where(taken, theta + step, theta),
            jax.tree.map(lambda new, old: jnp.where(taken, new, old), trial, terms),
            jnp.where(taken, less, jnp.where(helps, damping, more)),
            jnp.where(~taken & helps, part, one),
            state.steps + 1,
            taken & sure & (reach <= limit),
            natural,
            jnp.where(state.steps < 0, jnp.abs(trial.objective), state.scale),
        )

    def unfinished(state: _State) -> Array:
        going = state.damping <= _MOST_DAMPING * jnp.maximum(state.terms.curvature, 1.0)
        whole = jnp.isfinite(state.terms.objective) | (state.steps < 0)
        return ~state.converged & (state.steps < max_steps) & going & whole

    before = jnp.full((), -1, jnp.int32)
    state = _State(start, unknown, zero, one, before, jnp.asarray(False), zero, zero)
    last = jax.lax.while_loop(unfinished, advance, state)
    return last.theta, last.terms, last.steps, last.converged


def _direction(hessian: Float[Array, "p p"], terms: Terms) -> tuple[Array, Array]:
    """−H⁻¹∇, and whether there is such a direction."""
    factor, gradient = factor_of(hessian), terms.gradient
    step = -factor.solve(gradient.reshape(-1, 1)).reshape(gradient.shape)
    rounding = 100 * jnp.finfo(gradient.dtype).eps
    steep = (factor.scale == 0) & (terms.correlations.reshape(-1) > rounding)
    bounded = jnp.all(jnp.isfinite(step)) & ~jnp.any(steep)
    return jnp.where(bounded, step, 0.0), bounded


@eqx.filter_custom_jvp
def _carried(problem: Problem, theta: Float[Array, "t k"]) -> Float[Array, "t k"]:
    """The minimizer, with its derivative by the implicit function theorem."""
    del problem
    return theta


@_carried.def_jvp
def _carried_jvp(primals: tuple[Problem, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    """One Newton step from the minimizer carries its derivative: θ − H⁻¹∇(θ; problem), H fixed."""
    problem, theta = primals
    t, k = theta.shape
    factor = factor_of(terms_at(problem, theta, jnp.zeros_like(theta)).hessian)

    _, rate = eqx.filter_jvp(lambda problem: problem.gradient(theta), (problem,), (tangents[0],))
    return theta, -factor.solve(rate.reshape(t * k, 1)).reshape(t, k)


def _solution(
    problem: Problem, theta: Array, terms: Terms, gap: Array, steps: Array, converged: Array
) -> ConvexSolution:
    """The record, with the status of what was found."""
    terms, gap = jax.lax.stop_gradient((terms, gap))
    free, _ = widths(problem)
    dtype, p = theta.dtype, theta.size
    eps, penalty = jnp.finfo(dtype).eps, problem.penalty
    pivot = factor_of(terms.hessian).pivot
    singular = ~(pivot > 100 * p * eps)
    if isinstance(problem.loss, SmoothQuantile):  # whose curvature is of the few samples at a kink
        singular = singular & (penalty == 0)
    status = jnp.where(singular, Status.ill_conditioned, Status.ok)
    status = jnp.where(singular & (penalty == 0), Status.rank_deficient, status)
    status = jnp.where(converged, status, Status.not_converged)
    concave = terms.concave > jnp.sqrt(eps) * jnp.abs(terms.curvature)
    status = jnp.where(concave, Status.not_convex, status)
    status = jnp.where((penalty < 0) | jnp.isinf(penalty), Status.bad_penalty, status)
    finite = jnp.all(jnp.isfinite(theta)) & jnp.isfinite(terms.objective) & ~jnp.isnan(penalty)
    status = jnp.where(finite, status, Status.not_finite).astype(jnp.int32)
    return ConvexSolution(
        theta[:free],
        theta[free:],
        terms.objective,
        jnp.max(terms.correlations, initial=0.0),
        gap,
        steps,
        status,
    )
