"""Ridge regression from sums over samples: one pass over any amount of data, every penalty from it.

The sums square the condition of the features: of a penalty below their rounding the status is
``ill_conditioned``. Knows features and penalties; no groups, no spaces.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from symjax_learn.optimization.criteria import (
    Balance,
    balance,
    criterion_errors,
    criterion_value,
)
from symjax_learn.optimization.decomposition import (
    Decomposition,
    Rows,
    decompose,
    decomposition_of_moments,
    inverse_hessian,
    moments_of,
)
from symjax_learn.optimization.quadratic import solution_at
from symjax_learn.optimization.solution import (
    Criterion,
    RidgeSolution,
    Status,
    best_of,
    penalty_grid,
)


class Moments(NamedTuple):
    """Sums over samples x, y with weights w, the unpenalized columns of X first.

    Attributes:
        gram: Σ w x xᵀ.
        cross: Σ w x yᵀ.
        squares: Σ w y² of each output.
        weight: Σ w, the n of nη.
        num_rows: N, the rows of positive weight, which the criteria count.
    """

    gram: Float[Array, "p p"]
    cross: Float[Array, "p o"]
    squares: Float[Array, " o"]
    weight: Float[Array, ""]
    num_rows: Float[Array, ""] | Int[Array, ""]

    def scaled(self, scale: Float[Array, " a"]) -> "Moments":
        """Of columns of which all but the unpenalized first are multiplied by ``scale``."""
        ones = jnp.ones(self.gram.shape[0] - scale.shape[0], scale.dtype)
        factors = jnp.concatenate([ones, scale])
        gram = self.gram * factors[:, None] * factors[None]
        return self._replace(gram=gram, cross=self.cross * factors[:, None])


class RidgeFactor(NamedTuple):
    """The minimizer at one penalty with what the likelihood of its Gaussian process needs.

    Attributes:
        theta: the coefficients of all columns.
        root: L of (XᵀWX + t)⁻¹ = LLᵀ, where t stands at the penalized columns.
        balance: the residual, the energy, the degrees of freedom and the determinant.
    """

    theta: Float[Array, "p o"]
    root: Float[Array, "p p"]
    balance: Balance


def solve_moments(
    moments: Moments,
    scale: Float[Array, " a"],
    penalty: Float[Array, ""] | None,
    precision: float,
    rounding: float,
    criterion: str = "gcv",
) -> RidgeSolution:
    """Solve min (1/n) Σ w |y − Fb − (A∘scale)c|² + η|c|² for one η, or for the best by a criterion.

    Differentiable once with respect to the sums, the scale and a given penalty, also where eigenvalues
    coincide; the derivatives of the condition, of a chosen penalty and of its criterion are zero.

    Args:
        moments: of the columns [F A]; F of none or a few, which are linearly independent.
        scale: of each penalized column, √μ.
        penalty: η, or ``None`` for the best of a logarithmic grid that ends where the features or their
            sums are rounding.
        precision: relative accuracy of the features.
        rounding: relative accuracy of the sums; about ε√n where they were added one by one in precision
            ε. A penalty nη below ten times that share of the largest eigenvalue is ``ill_conditioned``
            unless the problem is well conditioned without it.
        criterion: ``"gcv"`` or ``"evidence"``.

    Returns:
        The record; its leave-one-out error is ``None``, because sums do not tell it.

    Cost: one eigendecomposition, O(a³), for all penalties.
    """
    sums = moments.scaled(scale)
    num_free = sums.gram.shape[0] - scale.shape[0]
    still = jax.lax.stop_gradient((sums.gram, sums.cross, sums.squares))
    parts = decomposition_of_moments(*still, num_free=num_free, rounding=rounding)
    dtype = parts.singular.dtype
    count, chosen = moments.weight.astype(dtype), None
    if penalty is None:
        axes = parts.axes(moments.num_rows)
        largest = jnp.max(axes.squares, initial=0.0)
        grid = penalty_grid(largest, max((100 * precision) ** 2, 100 * rounding))
        size = jnp.sqrt(jnp.sum(jax.lax.stop_gradient(moments.squares)) / count)
        ridge = grid[best_of(criterion_errors(criterion, axes, grid), size)]
        part = balance(axes, ridge)
        value = criterion_value(criterion, part, moments.num_rows, axes.num_free)
        chosen = Criterion(criterion, value)
    else:
        ridge = count * penalty.astype(dtype)
    fixed = jax.lax.stop_gradient(ridge)
    solution = solution_at(parts, fixed, jax.lax.stop_gradient(count), precision, rounding)
    # A Newton step from the solution changes nothing, and carries its derivative.
    theta = jnp.concatenate([solution.free, solution.coefficients])
    is_penalized = (jnp.arange(len(theta)) >= num_free).astype(dtype)
    gradient = sums.gram @ theta + ridge * is_penalized[:, None] * theta - sums.cross
    change = gradient - jax.lax.stop_gradient(gradient)
    theta = theta - inverse_hessian(parts, fixed) @ change
    status = solution.status
    if chosen is not None:  # NaN where squares of the targets overflow
        unknown = jnp.isnan(chosen.value) | (chosen.value == jnp.inf)
        status = jnp.where(unknown, Status.not_finite, status).astype(jnp.int32)
    return solution._replace(
        status=status,
        free=theta[:num_free],
        coefficients=theta[num_free:],
        penalty=ridge / count if penalty is None else penalty.astype(dtype),
        criterion=chosen,
    )


def factor_moments(
    moments: Moments, scale: Float[Array, " a"], ridge: Float[Array, ""], rounding: float
) -> RidgeFactor:
    """The :class:`RidgeFactor` at t > 0, differentiable once with respect to sums, scale and t.

    Cost: O(a³).
    """
    sums, num_free = moments.scaled(scale), moments.gram.shape[0] - scale.shape[0]
    source = _Source(
        lambda sums: decomposition_of_moments(*sums, num_free=num_free, rounding=rounding),
        lambda sums: sums,
        moments.num_rows,
        num_free,
    )
    return _factor((sums.gram, sums.cross, sums.squares), ridge, source=source)


def factor_rows(
    rows: Rows,
    num_chunks: int,
    num_rows: Int[Array, ""],
    ridge: Float[Array, ""],
) -> RidgeFactor:
    """The :class:`RidgeFactor` at t > 0, whose values come from the rows and not from their squares.

    Differentiable once with respect to the arrays of ``rows`` and t.

    Args:
        rows: the chunks of the rows.
        num_chunks: of equal length.
        num_rows: the rows of positive weight.
        ridge: t = nη.

    Cost: a pass of O(n(f + a + o)²), O(a³) once; for derivatives one more pass.
    """
    free = jax.eval_shape(rows, jnp.zeros((), jnp.int32))[0]
    source = _Source(
        lambda rows: decompose(rows, num_chunks),
        lambda rows: moments_of(rows, num_chunks),
        num_rows,
        free.shape[1],
    )
    return _factor(rows, ridge, source=source)


class _Source(NamedTuple):
    """How arrays become a problem: its decomposition, its sums, N and f."""

    decomposition: Callable[[Any], Decomposition]
    total: Callable[[Any], tuple[Array, Array, Array]]
    num_rows: Array
    num_free: int


@eqx.filter_custom_jvp
def _factor(
    arrays: Any,
    ridge: Float[Array, ""],
    *,
    source: _Source,
) -> RidgeFactor:
    parts = source.decomposition(arrays)
    f, a, dtype = source.num_free, parts.right.shape[0], parts.singular.dtype
    solution = solution_at(parts, ridge, jnp.ones((), dtype), 0.0)
    theta = jnp.concatenate([solution.free, solution.coefficients])
    unit = jnp.eye(a, dtype=dtype)
    stacked = jnp.concatenate([parts.singular[:, None] * parts.right.T, jnp.sqrt(ridge) * unit])
    block = solve_triangular(jnp.linalg.qr(stacked, mode="r"), unit)
    root = block
    if f:
        corner = solve_triangular(parts.corner, jnp.eye(f, dtype=dtype))
        root = jnp.block(
            [[corner, -corner @ parts.mixed[:, :a] @ block], [jnp.zeros((a, f), dtype), block]]
        )
    return RidgeFactor(theta, root, balance(parts.axes(source.num_rows), ridge))


@_factor.def_jvp
def _factor_jvp(
    primals: tuple[Any, Float[Array, ""]],
    tangents: tuple[Any, Any],
    *,
    source: _Source,
) -> tuple[RidgeFactor, RidgeFactor]:
    """A step along the sums carries the derivative; the decomposition itself has none.

    With H = XᵀWX + t = (LLᵀ)⁻¹: dθ = LLᵀ(dc − dH θ), dL = −½ LLᵀ dH L, d log det H = tr LLᵀdH, and the
    energy changes as it does at a fixed θ.
    """
    answer = _factor(*primals, source=source)
    num_free = source.num_free
    theta, root, part = answer
    inverse = root @ root.T
    is_penalized = (jnp.arange(len(theta)) >= num_free).astype(theta.dtype)

    def stepped(arrays: Any, ridge: Float[Array, ""]) -> RidgeFactor:
        gram, cross, squares = source.total(arrays)
        hessian = gram + jnp.diag(ridge * is_penalized)
        change = inverse @ (hessian - jax.lax.stop_gradient(hessian))
        near = theta - inverse @ (hessian @ theta - cross)
        energy = squares + jnp.sum(theta * (hessian @ theta - 2 * cross), axis=0)
        kept = jnp.sum(is_penalized * jnp.diagonal(inverse - change @ inverse))
        moved = Balance(
            energy - ridge * jnp.sum((is_penalized[:, None] * near) ** 2, axis=0),
            energy,
            ridge * kept,
            jnp.trace(change) - (len(theta) - num_free) * jnp.log(ridge),
        )
        return RidgeFactor(near, root - change @ root / 2, moved)

    _, rates = eqx.filter_jvp(stepped, primals, tangents)
    return answer, rates
