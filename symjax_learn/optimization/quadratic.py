"""Ridge regression: one decomposition of the scaled features, every penalty from it.

min over c, b of (1/n) Σ_i w_i |y_i − F_i b − A_i c|² + η |c|², with F the unpenalized columns. Knows
features and penalties; no groups, no spaces.

With the QR decomposition √w [F | A | Y] = Q R the problem is a small triangular one, whatever n. Its
penalized block R_AA = U S Vᵀ gives c(η) = V S/(S² + nη) Uᵀ R_AY for every η. No Gram matrix is formed,
so the condition number is not squared. Many well-conditioned rows take their moments instead: a sum of
matrix products and one symmetric eigendecomposition, several times faster; :func:`solve_by_moments` says
whether that was accurate.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int

from symjax_learn.optimization.criteria import balance, criterion_errors, criterion_value
from symjax_learn.optimization.decomposition import (
    SUM_ROUNDING,
    Decomposition,
    Rows,
    decompose,
    decomposition_of_moments,
    inverse_hessian,
    moments_of,
    weighted,
)
from symjax_learn.optimization.solution import (
    Criterion,
    RidgeSolution,
    best_of,
    fit_status,
    penalty_grid,
)

# Moments are accurate enough where they lose no more than this, or than a tenth of what the rounding of
# the rows loses.
_MOMENTS_LOSS = 1e-10


def solve_ridge(
    rows: Rows,
    num_chunks: int,
    num_samples: Int[Array, ""],
    penalty: Float[Array, ""] | None,
    precision: float,
    group: int = 1,
    criterion: str = "loo",
    num_rows: Int[Array, ""] | None = None,
) -> RidgeSolution:
    """Solve for one penalty, or for the one that minimizes a criterion, such as the leave-one-out error.

    Differentiable once, by the implicit function theorem, with respect to the arrays of ``rows`` and
    to a given penalty: the minimizer and the leave-one-out error have derivatives also where singular
    values coincide or vanish, while those of the condition, of a chosen penalty and of the criterion
    that chose it, unless it is the leave-one-out error, are zero.

    Args:
        rows: the chunks of the rows; called in two passes, in one where ``CRITERIA`` choose.
        num_chunks: of equal length.
        num_samples: n, of the samples that are no padding; the penalty enters as nη.
        penalty: η, or ``None`` for the best of a logarithmic grid, on which the condition stays below
            1/(100·precision).
        precision: relative accuracy of the rows, the larger of their and the solver's rounding.
        group: g consecutive rows belong to one sample, and are left out together.
        criterion: what chooses: ``"loo"``, leave-one-out with nη held fixed, or one of ``CRITERIA``.
        num_rows: N, the rows of positive weight, which ``CRITERIA`` count; n·g unless given.

    Cost: one pass of O(n·g(f + a + o)²), one singular value decomposition O(a³), and for the
    leave-one-out errors one more pass of O(n·g·a·(a + penalties·(o + g))), and penalties·n·g³.
    """
    solution = _solve(
        rows,
        penalty,
        num_samples=num_samples,
        num_chunks=num_chunks,
        precision=precision,
        group=group,
        criterion=criterion,
        num_rows=num_samples * group if num_rows is None else num_rows,
    )
    if penalty is None:
        return solution
    return solution._replace(penalty=penalty.astype(solution.penalty.dtype))


@eqx.filter_custom_jvp
def _solve(
    rows: Rows,
    penalty: Float[Array, ""] | None,
    *,
    num_samples: Int[Array, ""],
    num_chunks: int,
    precision: float,
    group: int,
    criterion: str,
    num_rows: Int[Array, ""],
) -> RidgeSolution:
    parts = decompose(rows, num_chunks)
    return _decomposed_solution(
        parts, rows, penalty, num_samples, num_chunks, precision, group, criterion, num_rows
    )[0]


def solve_by_moments(
    rows: Rows,
    num_chunks: int,
    num_samples: Int[Array, ""],
    penalty: Float[Array, ""] | None,
    precision: float,
    group: int = 1,
    criterion: str = "loo",
    num_rows: Int[Array, ""] | None = None,
) -> tuple[RidgeSolution, Bool[Array, ""]]:
    """As :func:`solve_ridge` from XᵀWX, and whether that is as accurate; not to be differentiated.

    A Gram matrix squares the condition κ of what is solved, at the smallest penalty in question: it is
    accurate where κ² times the rounding of this precision is small, or smaller than the κ·precision that
    the rounding of the rows loses anyway.

    Cost: O(n·g(f + a + o)²) in matrix products, O(a³) once, and the second pass of :func:`solve_ridge`.
    """
    free, _, _, _ = jax.eval_shape(rows, jnp.zeros((), jnp.int32))
    parts = decomposition_of_moments(*moments_of(rows, num_chunks), free.shape[1])
    count = num_samples * group if num_rows is None else num_rows
    solution, _, grid = _decomposed_solution(
        parts, rows, penalty, num_samples, num_chunks, precision, group, criterion, count
    )
    squares = parts.singular**2
    largest, smallest = jnp.max(squares, initial=0.0), jnp.min(squares, initial=jnp.inf)
    lowest = jnp.min(grid)
    squared = (largest + lowest) / (smallest + lowest)
    loss = SUM_ROUNDING * jnp.finfo(squares.dtype).eps * squared
    accurate = loss <= jnp.maximum(_MOMENTS_LOSS, 0.1 * precision * jnp.sqrt(squared))
    return solution, accurate | (largest == 0)


def _decomposed_solution(
    parts: Decomposition,
    rows: Rows,
    penalty: Float[Array, ""] | None,
    num_samples: Int[Array, ""],
    num_chunks: int,
    precision: float,
    group: int,
    criterion: str,
    num_rows: Int[Array, ""],
) -> tuple[RidgeSolution, Float[Array, ""], Float[Array, " e"]]:
    """The solution, nη, and the grid on which it was chosen."""
    squares = parts.singular**2
    count = num_samples.astype(squares.dtype)
    largest = jnp.max(squares, initial=0.0)
    if penalty is None:
        grid = penalty_grid(largest, (100 * precision) ** 2)
    else:
        grid = (count * penalty.astype(squares.dtype))[None]
    num_penalized, axes = parts.right.shape[0], parts.axes(num_rows)
    explained = jnp.sum(parts.mixed[:, num_penalized:] ** 2) + jnp.sum(parts.targets**2)
    scale, error, chosen = jnp.sqrt(explained / count), None, None
    if penalty is None and criterion != "loo":  # which needs no second pass
        ridge = grid[best_of(criterion_errors(criterion, axes, grid), scale)]
        value = criterion_value(criterion, balance(axes, ridge), num_rows, axes.num_free)
        chosen = Criterion(criterion, value)
    else:
        errors = _leave_one_out(rows, num_chunks, num_samples, parts, grid, group)
        best = best_of(errors, scale)
        ridge, error = grid[best], errors[best]
        chosen = Criterion(criterion, error) if penalty is None else None
    solution = solution_at(parts, ridge, count, precision)
    return solution._replace(loo_error=error, criterion=chosen), ridge, grid


def solution_at(
    parts: Decomposition,
    ridge: Float[Array, ""],
    count: Float[Array, ""],
    precision: float,
    rounding: float = 0.0,
) -> RidgeSolution:
    """The minimizer at the penalty t = nη, without a leave-one-out error.

    Args:
        parts: of the rows.
        ridge: t.
        count: n.
        precision: relative accuracy of the rows.
        rounding: relative accuracy of the sums of their products, where the decomposition is of these.
    """
    num_free, num_penalized = parts.corner.shape[0], parts.right.shape[0]
    squares, alive = parts.singular**2, parts.alive
    largest = jnp.max(squares, initial=0.0)
    shrinkage = jnp.where(alive, parts.singular / jnp.where(alive, squares + ridge, 1.0), 0.0)
    coefficients = parts.right @ (shrinkage[:, None] * parts.targets)
    remaining = parts.mixed[:, num_penalized:] - parts.mixed[:, :num_penalized] @ coefficients
    free = solve_triangular(parts.corner, remaining) if num_free else remaining
    smallest = jnp.min(jnp.where(alive, squares, jnp.inf), initial=jnp.inf)
    deficient = jnp.sum(alive) < num_penalized
    smallest = jnp.where(deficient & (ridge > 0), 0.0, smallest)
    ratio = (largest + ridge) / (smallest + ridge)
    condition = jnp.where(largest > 0, jnp.sqrt(ratio), 1.0)
    loss = condition * jnp.maximum(precision, condition * rounding)
    status = fit_status(free, coefficients, ridge=ridge, deficient=deficient, loss=loss)
    return RidgeSolution(free, coefficients, ridge / count, None, condition, status)


@_solve.def_jvp
def _solve_jvp(
    primals: tuple[Rows, Float[Array, ""] | None],
    tangents: tuple[Any, Any],
    *,
    num_samples: Int[Array, ""],
    num_chunks: int,
    precision: float,
    group: int,
    criterion: str,
    num_rows: Int[Array, ""],
) -> tuple[RidgeSolution, RidgeSolution]:
    """One Newton step from the solution carries its derivative: θ − H⁻¹∇(θ; data).

    ∇ vanishes at θ, so the step changes nothing, and H⁻¹ may be held fixed. The decomposition itself
    is not differentiated: its derivative is infinite where singular values coincide.
    """
    parts = decompose(primals[0], num_chunks)
    solution, ridge, _ = _decomposed_solution(
        parts, *primals, num_samples, num_chunks, precision, group, criterion, num_rows
    )
    theta = jnp.concatenate([solution.free, solution.coefficients])
    inverse = inverse_hessian(parts, ridge)
    num_free, count = parts.corner.shape[0], num_samples.astype(theta.dtype)
    is_penalized = (jnp.arange(len(theta)) >= num_free).astype(theta.dtype)

    def total(rows: Rows, of: Callable[[Array, Array, Array], Any], start: Any) -> Any:
        """Σ over chunks of ``of(X, y, w)``; a reverse pass evaluates the chunks again."""

        @jax.checkpoint
        def add(sums: Any, chunk: Array) -> tuple[Any, None]:
            free, penalized, y, weights = rows(chunk)
            terms = of(jnp.concatenate([free, penalized], axis=1), y, weights)
            return jax.tree.map(jnp.add, sums, terms), None

        return jax.lax.scan(add, start, jnp.arange(num_chunks, dtype=jnp.int32))[0]

    def stepped(rows: Rows, penalty: Float[Array, ""] | None) -> tuple[Array, Array | None]:
        shrunk = is_penalized * (ridge if penalty is None else count * penalty.astype(theta.dtype))
        gradient, hessian = total(
            rows,
            lambda x, y, w: (x.T @ (w[:, None] * (x @ theta - y)), x.T @ (w[:, None] * x)),
            (shrunk[:, None] * theta, jnp.diag(shrunk)),
        )
        near = theta - inverse @ gradient
        if solution.loo_error is None:
            return near, None
        near_inverse = inverse - inverse @ (hessian - jax.lax.stop_gradient(hessian)) @ inverse

        def squared(x: Array, y: Array, w: Array) -> Array:
            parts = x.reshape(-1, group, x.shape[1])
            hat = (parts @ near_inverse) @ parts.mT * w.reshape(-1, 1, group)
            shares = jnp.eye(group, dtype=x.dtype)[None] - hat
            if group == 1:
                shares = jnp.maximum(shares, jnp.finfo(x.dtype).eps)
            left = _left_out(shares, (y - x @ near).reshape(-1, group, y.shape[1]))
            return jnp.sum(w[:, None] * left.reshape(y.shape) ** 2)

        # A square root of zero has no derivative: exact fits have none of their error either.
        mean = total(rows, squared, jnp.zeros((), theta.dtype)) / (count * max(theta.shape[1], 1))
        error = jnp.where(mean > 0, jnp.sqrt(jnp.where(mean > 0, mean, 1.0)), 0.0)
        return near, error

    _, (rate, error_rate) = eqx.filter_jvp(stepped, primals, tangents)
    zero, chosen = jnp.zeros((), theta.dtype), None
    if solution.criterion is not None:
        chosen = Criterion(criterion, error_rate if criterion == "loo" else zero)
    return solution, RidgeSolution(
        rate[:num_free],
        rate[num_free:],
        zero,
        error_rate,
        zero,
        None,  # pyright: ignore[reportArgumentType] - an integer has no tangent
        chosen,
    )


def _left_out(shares: Float[Array, "*batch g g"], residuals: Float[Array, "*batch g o"]) -> Array:
    """What the residuals of one sample are without it, (I − H)⁻¹e, from its block I − H."""
    return residuals / shares if shares.shape[-1] == 1 else jnp.linalg.solve(shares, residuals)


def _leave_one_out(
    rows: Rows,
    num_chunks: int,
    num_samples: Int[Array, ""],
    parts: Decomposition,
    grid: Float[Array, " e"],
    group: int,
) -> Float[Array, " e"]:
    """Root mean square leave-one-out residual for each nη, in closed form: e_i/(1 − h_i).

    e and 1 − h are sums of nonnegative terms, so that nothing cancels where η is small:
    1 − h_i = (1 − |q_i|² − |u_i|²) + Σ_j u_ij² nη/(s_j² + nη). Of a sample of several rows these are
    matrices, and its rows are turned so that the first of them is diagonal.
    """
    f, a, alive = parts.corner.shape[0], parts.right.shape[0], parts.alive
    num_outputs = parts.targets.shape[1]
    squares = parts.singular**2
    kept = jax.vmap(lambda ridge: jnp.where(alive, ridge / jnp.where(alive, squares + ridge, 1.0), 0.0))(
        grid
    )
    inverse = parts.divided(jnp.ones_like(parts.singular))
    targets = jnp.where(alive[:, None], parts.targets, 0.0)
    spanned = jnp.sum(alive, dtype=jnp.int32) + f >= num_samples * group
    rounding = 100 * (f + a) * jnp.finfo(squares.dtype).eps

    def squared(chunk: Array) -> Array:
        free, penalized, y = weighted(rows, chunk)
        q = solve_triangular(parts.corner, free.T, trans=1).T if f else free
        u = (penalized - q @ parts.mixed[:, :a]) @ parts.right * inverse[None]
        outside = y - q @ parts.mixed[:, a:] - u @ targets
        padding = ~jnp.any(free, axis=1) & ~jnp.any(penalized, axis=1) & ~jnp.any(y, axis=1)
        left_out = 1 - jnp.sum(q**2, axis=1) - jnp.sum(u**2, axis=1)
        if group > 1:
            left_out, turn = _turned(q, u, group)
            u, outside = (
                (turn @ part.reshape(len(part) // group, group, part.shape[1])).reshape(part.shape)
                for part in (u, outside)
            )
        # A sample in the span of the features leaves exactly nothing out; rounding would.
        within = spanned | (left_out < rounding)
        left_out, outside = jnp.where(within, 0.0, left_out), jnp.where(within[:, None], 0.0, outside)
        mixing = kept.T[:, :, None] * targets[:, None, :]
        inside = u @ mixing.reshape(len(targets), len(grid) * num_outputs)
        residuals = outside[:, None, :] + inside.reshape(len(u), len(grid), num_outputs)
        # Penalties × samples × the rows of one: of a sample that is padding, the identity. Only one
        # penalty at a time where these are matrices.
        whole = jnp.all(padding.reshape(-1, group), axis=1, keepdims=True)
        own = jnp.where(whole, 1.0, left_out.reshape(-1, group))
        own = own[:, :, None] * jnp.eye(group, dtype=own.dtype)[None]
        residuals = jnp.moveaxis(residuals, 1, 0).reshape(len(grid), len(own), group, num_outputs)
        if group == 1:
            shares = (u**2 @ kept.T).T[:, :, None, None] + own[None]
            return jnp.sum(_left_out(shares, residuals) ** 2, axis=(1, 2, 3))
        blocks = u.reshape(len(own), group, u.shape[1])

        def of_penalty(one: tuple[Array, Array]) -> Array:
            shrink, here = one
            shares = (blocks * shrink[None, None]) @ blocks.mT + own
            return jnp.sum(_left_out(shares, here) ** 2)

        return jax.lax.map(of_penalty, (kept, residuals))

    total = jnp.zeros_like(grid)
    if num_chunks == 1:
        total = squared(jnp.zeros((), jnp.int32))
    else:
        total, _ = jax.lax.scan(
            lambda sums, chunk: (sums + squared(chunk), None),
            total,
            jnp.arange(num_chunks, dtype=jnp.int32),
        )
    return jnp.sqrt(total / (num_samples.astype(total.dtype) * num_outputs))


def _turned(q: Array, u: Array, group: int) -> tuple[Array, Array]:
    """The eigenvalues of I − q_i q_iᵀ − u_i u_iᵀ of each sample, ``(rows,)``, and the turn to them."""
    blocks = [part.reshape(len(u) // group, group, part.shape[1]) for part in (q, u)]
    outside = jnp.eye(group, dtype=u.dtype)[None] - sum(block @ block.mT for block in blocks)
    values, vectors = jnp.linalg.eigh(outside)
    return values.reshape(-1), vectors.mT
