"""Group lasso: min over b, c of (1/n) Σ_i w_i ℓ(y_i, F_i b + A_i c) + η Σ_g √m_g |c_g|.

c_g are the coefficients of the m_g columns of a group. Proximal Newton steps: a pass gives the quadratic
model of the loss, and accelerated proximal steps (FISTA with restarts) minimize that model plus the
penalty, without the data. Groups that leave are zero exactly.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from symjax_learn.optimization.convex import ConvexSolution
from symjax_learn.optimization.decomposition import Rows
from symjax_learn.optimization.passes import Loss, Problem, Terms, factor_of, held, terms_at, widths
from symjax_learn.optimization.solution import Status

_FACTOR, _FIRST_DAMPING, _MOST_DAMPING = 10.0, 1e-2, 1e15
_LEAST_DECREASE = 1e-4
# Proximal steps for one quadratic model at most.
_MOST_INNER = 10_000


class _Penalty(eqx.Module):
    """η Σ_g √m_g |c_g|.

    Attributes:
        groups: g of each penalized column, ascending.
        penalty: η.
        num_free: columns before them.
    """

    groups: Int[Array, " a"]
    penalty: Float[Array, ""]
    num_free: int = eqx.field(static=True)

    def weights(self) -> Float[Array, " a"]:
        """η √m of the group of each column."""
        ones = jnp.ones(self.groups.shape, self.penalty.dtype)
        return self.penalty * jnp.sqrt(self.over_groups(ones))

    def over_groups(self, values: Float[Array, " a"]) -> Float[Array, " a"]:
        """For each column the sum over its group."""
        a = len(self.groups)
        return jax.ops.segment_sum(values, self.groups, num_segments=a)[self.groups]

    def norms(self, theta: Float[Array, "t k"]) -> Float[Array, " a"]:
        """|c_g| of the group of each column."""
        squares = self.over_groups(jnp.sum(theta[self.num_free :] ** 2, axis=1))
        positive = squares > 0
        return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)

    def value(self, theta: Float[Array, "t k"]) -> Array:
        """The penalty of θ: a group's weight times its norm, shared among its columns."""
        sizes = self.over_groups(jnp.ones(self.groups.shape, theta.dtype))
        return jnp.sum(self.weights() * self.norms(theta) / sizes)

    def shrunk(self, theta: Float[Array, "t k"], steps: Float[Array, " t"]) -> Array:
        """The proximal map for steps that are equal within each group."""
        norms = self.norms(theta)
        limit = self.weights() * steps[self.num_free :]
        share = jnp.maximum(0.0, 1 - limit / jnp.where(norms > 0, norms, 1.0))
        return jnp.concatenate([theta[: self.num_free], share[:, None] * theta[self.num_free :]])

    def slope(self, theta: Float[Array, "t k"]) -> Array:
        """The gradient where groups are not zero; there 0."""
        norms = self.norms(theta)
        share = jnp.where(norms > 0, self.weights() / jnp.where(norms > 0, norms, 1.0), 0.0)
        return jnp.zeros_like(theta).at[self.num_free :].set(share[:, None] * theta[self.num_free :])

    def violation(self, theta: Float[Array, "t k"], gradient: Float[Array, "t k"]) -> Array:
        """How far −∇ is from the subdifferential, for each row: of zero groups |∇_g| − η√m_g."""
        there = (gradient + self.slope(theta))[self.num_free :]
        kept = jnp.sqrt(self.over_groups(jnp.sum(there**2, axis=1)))
        excess = jnp.maximum(kept - self.weights(), 0.0)
        groups = jnp.where(self.norms(theta) > 0, kept, excess)
        free = jnp.sqrt(jnp.sum(gradient[: self.num_free] ** 2, axis=1))
        return jnp.concatenate([free, groups])


def solve_group_lasso(
    rows: Rows,
    num_chunks: int,
    num_samples: Int[Array, ""],
    groups: Int[Array, " a"],
    penalty: Float[Array, ""],
    loss: Loss,
    target_shape: tuple[int, ...],
    shape: tuple[int, ...],
    *,
    start: Float[Array, "t k"],
    max_steps: Int[Array, ""],
    tolerance: Float[Array, ""],
) -> ConvexSolution:
    """Minimize, by proximal Newton steps.

    Differentiable as :func:`~symjax_learn.optimization.solve_convex` is, with the groups that are zero
    held at zero; the other arguments are those of that function.

    Args:
        rows: the chunks of the rows.
        num_chunks: of equal length.
        num_samples: n.
        groups: of each penalized column, ascending from 0.
        penalty: η > 0.
        loss: ℓ, twice differentiable almost everywhere.
        target_shape: of one target.
        shape: of one prediction.
        start: a first guess of b above c.
        max_steps: passes over the rows at most.
        tolerance: of the optimality conditions, relative to the root mean squares of each group's
            columns and of the slopes of the loss; the solution's ``residual``.

    Cost: for each step one pass of O(n·(f + a)²·k²), and up to 10⁴ products with that matrix.
    """
    zero = jnp.zeros((), penalty.dtype)
    problem = Problem(rows, zero, loss, num_samples, num_chunks, target_shape, shape)
    free, _ = widths(problem)
    regularizer = _Penalty(groups, penalty, free)
    fixed, fixed_regularizer = held(problem), held(regularizer)
    start = jax.lax.stop_gradient(start)
    state = _proximal_newton(fixed, fixed_regularizer, start, max_steps, tolerance)
    theta = _carried((problem, regularizer), state.theta)
    terms = state.terms
    status = jnp.where(state.residual <= tolerance, Status.ok, Status.not_converged)
    concave = terms.concave > jnp.sqrt(jnp.finfo(theta.dtype).eps) * jnp.abs(terms.curvature)
    status = jnp.where(concave, Status.not_convex, status)
    status = jnp.where((penalty <= 0) | jnp.isinf(penalty), Status.bad_penalty, status)
    objective = terms.objective + fixed_regularizer.value(state.theta)
    finite = jnp.all(jnp.isfinite(theta)) & jnp.isfinite(objective) & ~jnp.isnan(penalty)
    status = jnp.where(finite, status, Status.not_finite).astype(jnp.int32)
    gap = jnp.full((), jnp.nan, penalty.dtype)
    return ConvexSolution(
        theta[:free], theta[free:], objective, state.residual, gap, state.steps, status
    )


class _State(NamedTuple):
    theta: Float[Array, "t k"]
    terms: Terms
    damping: Float[Array, ""]
    residual: Float[Array, ""]
    steps: Int[Array, ""]


def _proximal_newton(
    problem: Problem, regularizer: _Penalty, start: Array, max_steps: Array, tolerance: Array
) -> _State:
    dtype = start.dtype

    def advance(state: _State) -> _State:
        theta, terms, damping = state.theta, state.terms, state.damping
        damped = terms.hessian + damping * jnp.diag(jnp.repeat(terms.squares, theta.shape[1]))
        goal = _least_of_model(damped, terms.gradient, theta, regularizer)
        first = state.steps < 0  # before the first pass nothing is known
        step = jnp.where(jnp.all(jnp.isfinite(goal)) & ~first, goal - theta, 0.0)
        trial = terms_at(problem, theta + step, step)
        change = regularizer.value(theta + step) - regularizer.value(theta)
        predicted = jnp.sum(terms.gradient * step) + change
        slack = terms.rounding + trial.rounding
        enough = trial.objective + change <= terms.objective + _LEAST_DECREASE * predicted + slack
        finite = jnp.isfinite(trial.objective) & jnp.all(jnp.isfinite(trial.gradient))
        taken = enough & finite & (first | jnp.any(step != 0))
        unit = jnp.where(terms.curvature > 0, terms.curvature, 1.0)
        more = jnp.maximum(_FACTOR * damping, _FIRST_DAMPING * unit)
        less = jnp.where(damping <= _FIRST_DAMPING * unit, 0.0, damping / _FACTOR)
        theta = jnp.where(taken, theta + step, theta)
        terms = jax.tree.map(lambda new, old: jnp.where(taken, new, old), trial, terms)
        sizes = jnp.sqrt(_group_squares(regularizer, terms.squares) * terms.slopes)
        violation = regularizer.violation(theta, terms.gradient)
        residual = jnp.max(violation / jnp.where(sizes > 0, sizes, 1.0), initial=0.0)
        return _State(theta, terms, jnp.where(taken, less, more), residual, state.steps + 1)

    def unfinished(state: _State) -> Array:
        going = state.damping <= _MOST_DAMPING * jnp.maximum(state.terms.curvature, 1.0)
        whole = jnp.isfinite(state.terms.objective) | (state.steps < 0)
        return ~(state.residual <= tolerance) & (state.steps < max_steps) & going & whole

    shapes = jax.eval_shape(lambda: terms_at(problem, start, start))
    unknown = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    infinite, zero = jnp.full((), jnp.inf, dtype), jnp.zeros((), dtype)
    before = jnp.full((), -1, jnp.int32)
    state = _State(start, unknown._replace(objective=infinite), zero, infinite, before)
    return jax.lax.while_loop(unfinished, advance, state)


def _group_squares(regularizer: _Penalty, squares: Float[Array, " t"]) -> Float[Array, " t"]:
    """The sum of the mean squares of a group's columns, for each of them."""
    f = regularizer.num_free
    return jnp.concatenate([squares[:f], regularizer.over_groups(squares[f:])])


def _least_of_model(
    hessian: Float[Array, "p p"],
    gradient: Float[Array, "t k"],
    theta: Float[Array, "t k"],
    regularizer: _Penalty,
) -> Float[Array, "t k"]:
    """The minimizer of ∇·(z − θ) + (z − θ)ᵀH(z − θ)/2 + η Σ √m_g |z_g|, by FISTA with restarts.

    In units in which the diagonal of H has trace 1 in each group, so that groups whose columns are small
    move as fast as others.
    """
    t, k = theta.shape
    curvature = jnp.sum(jnp.diagonal(hessian).reshape(t, k), axis=1)
    scale = _group_squares(regularizer, curvature)
    scale = jnp.where(scale > 0, scale, 1.0)
    root = jnp.repeat(1 / jnp.sqrt(scale), k)
    eps = jnp.finfo(theta.dtype).eps
    largest = jnp.linalg.eigvalsh(hessian * root[:, None] * root[None])[-1] * (1 + 100 * eps)
    steps = 1 / (jnp.where(largest > 0, largest, 1.0) * scale)

    def proximal(point: Array) -> Array:
        slope = gradient + (hessian @ (point - theta).reshape(t * k)).reshape(t, k)
        return regularizer.shrunk(point - steps[:, None] * slope, steps)

    def advance(state: tuple[Array, Array, Array, Array, Array]) -> Any:
        point, ahead, momentum, count, _ = state
        new = proximal(ahead)
        weighted = (ahead - new) / steps[:, None]
        turned = jnp.sum(weighted * (new - point)) > 0
        momentum = jnp.where(turned, 1.0, momentum)
        following = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        further = new + jnp.where(turned, 0.0, (momentum - 1) / following) * (new - point)
        moved = jnp.sum((new - ahead) ** 2 / steps[:, None])
        size = jnp.sum(new**2 / steps[:, None])
        return new, further, following, count + 1, moved > (4 * eps) ** 2 * size

    def unfinished(state: tuple[Array, Array, Array, Array, Array]) -> Array:
        return state[4] & (state[3] < _MOST_INNER)

    one = jnp.ones((), theta.dtype)
    start = (theta, theta, one, jnp.zeros((), jnp.int32), jnp.asarray(True))
    return jax.lax.while_loop(unfinished, advance, start)[0]


@eqx.filter_custom_jvp
def _carried(problem: tuple[Problem, _Penalty], theta: Float[Array, "t k"]) -> Float[Array, "t k"]:
    """The minimizer, with its derivative by the implicit function theorem."""
    del problem
    return theta


@_carried.def_jvp
def _carried_jvp(primals: tuple[Any, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    """One Newton step among the groups that are not zero."""
    (problem, regularizer), theta = primals
    t, k = theta.shape
    norms = regularizer.norms(theta)
    active = jnp.concatenate([jnp.ones(t - len(norms), bool), norms > 0])
    kept = jnp.repeat(active, k)

    def slope(regularizer: _Penalty, flat: Array) -> Array:
        return regularizer.slope(flat.reshape(t, k)).reshape(t * k)

    flat = theta.reshape(t * k)
    hessian = terms_at(problem, theta, jnp.zeros_like(theta)).hessian
    hessian = hessian + jax.jacfwd(slope, argnums=1)(regularizer, flat)
    hessian = jnp.where(kept[:, None] & kept[None], hessian, jnp.eye(t * k, dtype=theta.dtype))
    factor = factor_of(hessian)

    def gradient(given: tuple[Problem, _Penalty]) -> Array:
        smooth = given[0].gradient(theta)
        return jnp.where(active[:, None], smooth + given[1].slope(theta), 0.0)

    _, rate = eqx.filter_jvp(gradient, ((problem, regularizer),), (tangents[0],))
    return theta, -factor.solve(rate.reshape(t * k, 1)).reshape(t, k)
