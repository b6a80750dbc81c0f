"""Any convex loss by L-BFGS (optax): for so many coefficients that no Hessian is formed.

The problem of ``optimization.convex``, in units in which the Hessian at the start has ones on its
diagonal.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, Int

from symjax_learn.optimization.convex import ConvexSolution
from symjax_learn.optimization.decomposition import Rows
from symjax_learn.optimization.passes import Loss, Problem, held, ridge_of, widths
from symjax_learn.optimization.solution import Status

# Steps of conjugate gradients that carry a derivative at most.
_MOST_INNER = 1000


class _Slopes(NamedTuple):
    """The evidence of a pass without a Hessian.

    Attributes:
        gradient: of the loss, without the penalty.
        slopes: mean square of ℓ'.
        curvature: mean of ℓ'' over samples and predictions.
        concave: mean of its negative parts.
        squares: mean squares of the columns.
    """

    gradient: Float[Array, "t k"]
    slopes: Float[Array, ""]
    curvature: Float[Array, ""]
    concave: Float[Array, ""]
    squares: Float[Array, " t"]


def solve_by_gradients(
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
    """Minimize a smooth loss by L-BFGS.

    Arguments and derivatives are those of :func:`~symjax_learn.optimization.solve_convex`, except that
    ``tolerance`` is of the solution's ``residual``, that conjugate gradients carry the derivative, and
    that a singular problem is not told from others.

    Cost: for each step a few passes of O(n·(f + a)·k).

    References:
        J. Nocedal, S. Wright, *Numerical Optimization*, chapter 7.
    """
    import optax

    problem = Problem(rows, penalty, loss, num_samples, num_chunks, target_shape, shape)
    fixed, free = held(problem), widths(problem)[0]
    start = jax.lax.stop_gradient(start)
    ridge = ridge_of(fixed, len(start))[:, None]
    first = _slopes(fixed, start)
    diagonal = first.squares[:, None] * jnp.maximum(first.curvature, 0.0) + 2 * ridge
    unit = jnp.where(diagonal > 0, 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0)), 1.0)

    def value(scaled: Array) -> Array:
        theta = unit * scaled
        return fixed.mean_loss(theta) + jnp.sum(ridge * theta**2)

    def residual_of(theta: Array, found: _Slopes) -> Array:
        scale = jnp.sqrt(found.squares * found.slopes)[:, None]
        relative = jnp.abs(found.gradient + 2 * ridge * theta) / jnp.where(scale > 0, scale, 1.0)
        return jnp.max(relative, initial=0.0)

    solver = optax.lbfgs()
    value_and_slope = optax.value_and_grad_from_state(value)

    def advance(state: Any) -> Any:
        scaled, memory, steps, _, _ = state
        objective, slope = value_and_slope(scaled, state=memory)
        updates, memory = solver.update(
            slope, memory, scaled, value=objective, grad=slope, value_fn=value
        )
        scaled = scaled + updates
        found = _slopes(fixed, unit * scaled)
        return scaled, memory, steps + 1, residual_of(unit * scaled, found), found

    def unfinished(state: Any) -> Array:
        return (state[3] > tolerance) & (state[2] < max_steps)

    scaled = start / unit
    state = (scaled, solver.init(scaled), jnp.zeros((), jnp.int32), residual_of(start, first), first)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers of 32 and 64 bits
        scaled, _, steps, residual, last = jax.lax.while_loop(unfinished, advance, state)
    objective = value(scaled)
    theta = _carried(problem, unit * scaled, unit)
    status = jnp.where(residual <= tolerance, Status.ok, Status.not_converged)
    concave = last.concave > jnp.sqrt(jnp.finfo(theta.dtype).eps) * jnp.abs(last.curvature)
    status = jnp.where(concave, Status.not_convex, status)
    status = jnp.where((penalty < 0) | jnp.isinf(penalty), Status.bad_penalty, status)
    finite = jnp.all(jnp.isfinite(theta)) & jnp.isfinite(objective) & ~jnp.isnan(penalty)
    status = jnp.where(finite, status, Status.not_finite).astype(jnp.int32)
    gap = jnp.full((), jnp.nan, theta.dtype)
    return ConvexSolution(theta[:free], theta[free:], objective, residual, gap, steps, status)


def _slopes(problem: Problem, theta: Float[Array, "t k"]) -> _Slopes:
    """One pass."""
    k = theta.shape[1]

    def of(x: Array, y: Array, w: Array) -> _Slopes:
        _, slopes, curvatures = jax.vmap(problem.derivatives)(y, x @ theta)
        there = w[:, None] > 0
        weighted = jnp.where(there, w[:, None] * slopes, 0.0)
        diagonal = jnp.where(there, w[:, None] * jnp.einsum("ikk->ik", curvatures), 0.0)
        return _Slopes(
            x.T @ weighted,
            jnp.sum(jnp.where(there, weighted * slopes, 0.0)) / k,
            jnp.sum(diagonal) / k,
            -jnp.sum(jnp.minimum(diagonal, 0.0)) / k,
            w @ x**2,
        )

    return problem.sums(of)


@eqx.filter_custom_jvp
def _carried(problem: Problem, theta: Array, unit: Array) -> Array:
    """The minimizer, with its derivative by the implicit function theorem."""
    del problem, unit
    return theta


@_carried.def_jvp
def _carried_jvp(primals: tuple[Problem, Array, Array], tangents: Any) -> tuple[Array, Array]:
    """−H⁻¹ times the rate of ∇, by conjugate gradients in the units of the minimization."""
    problem, theta, unit = primals
    _, rate = eqx.filter_jvp(lambda problem: problem.gradient(theta), (problem,), (tangents[0],))
    fixed = held(problem)

    def product(step: Array) -> Array:
        return unit * jax.jvp(fixed.gradient, (theta,), (unit * step,))[1]

    operator = lx.FunctionLinearOperator(
        product, jax.eval_shape(lambda: theta), lx.positive_semidefinite_tag
    )
    rounding = 100 * float(jnp.finfo(theta.dtype).eps)
    solver = lx.CG(rtol=rounding, atol=rounding, max_steps=_MOST_INNER)
    answer = lx.linear_solve(operator, unit * rate, solver, throw=False)
    return theta, -unit * answer.value
