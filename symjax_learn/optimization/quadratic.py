"""Ridge regression: one decomposition of the scaled features, every penalty from it.

min over c, b of (1/n) Σ_i w_i |y_i − F_i b − A_i c|² + η |c|², with F the unpenalized columns. Knows
features and penalties; no groups, no spaces.

With the QR decomposition √w [F | A | Y] = Q R the problem is a small triangular one, whatever n. Its
penalized block R_AA = U S Vᵀ gives c(η) = V S/(S² + nη) Uᵀ R_AY for every η. No Gram matrix is formed,
so the condition number is not squared.
"""

import enum
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int

# Rows of features that one step of a long pass holds, and at least so many per column.
_CHUNK_ROWS = 1024
# The grid of leave-one-out penalties nη, relative to the largest squared singular value.
_GRID_POINTS = 100


class Status(enum.IntEnum):
    """What became of a fit; a fitting door raises unless it is ``ok`` or ``throw=False``."""

    ok = 0
    not_finite = 1
    rank_deficient = 2
    ill_conditioned = 3


MESSAGES = {
    Status.not_finite: "features, targets or the solution are not finite; check x, y and weights.",
    Status.rank_deficient: (
        "penalty = 0 with linearly dependent features: the least-squares solution is not unique; "
        "give a positive penalty, more samples or fewer functions."
    ),
    Status.ill_conditioned: (
        "at this penalty the problem is singular to working precision (report.condition says how "
        "far); raise the penalty or use float64."
    ),
}


class Decomposition(NamedTuple):
    """√w [F | A | Y] = Q R, reduced to what every penalty needs.

    Attributes:
        corner: R_FF.
        mixed: R_FA and R_FY side by side.
        singular: S, descending.
        right: V.
        targets: Uᵀ R_AY.
    """

    corner: Float[Array, "f f"]
    mixed: Float[Array, "f rest"]
    singular: Float[Array, " r"]
    right: Float[Array, "a r"]
    targets: Float[Array, "r o"]


class RidgeSolution(NamedTuple):
    """The minimizer and its evidence.

    Attributes:
        free: b, the unpenalized coefficients ``(f, o)``.
        coefficients: c, of the scaled columns ``(a, o)``.
        penalty: η.
        loo_error: root mean (weighted) square of the leave-one-out residuals over samples and outputs.
        condition: √((s_max² + nη)/(s_min² + nη)), by which relative errors may grow.
        status: a :class:`Status` as an integer.
    """

    free: Float[Array, "f o"]
    coefficients: Float[Array, "a o"]
    penalty: Float[Array, ""]
    loo_error: Float[Array, ""]
    condition: Float[Array, ""]
    status: Int[Array, ""]


# A pass over samples: index of a chunk -> √w-weighted rows (F, A, Y); rows beyond n are zero.
Rows = Callable[[Array], tuple[Array, Array, Array]]


def solve_ridge(
    rows: Rows,
    num_chunks: int,
    num_samples: Int[Array, ""],
    penalty: Float[Array, ""] | None,
    precision: float,
) -> RidgeSolution:
    """Solve for one penalty, or for the one that minimizes the leave-one-out error.

    Args:
        rows: the chunks of the weighted rows; called in two passes.
        num_chunks: of equal length.
        num_samples: n, of the rows that are no padding; the penalty enters as nη.
        penalty: η, or ``None`` for leave-one-out over a logarithmic grid with nη held fixed, on
            which the condition stays below 1/(100·precision).
        precision: relative accuracy of the rows, the larger of their and the solver's rounding.

    Cost: one pass of O(n(f + a + o)²), one singular value decomposition O(a³), and for the
    leave-one-out errors one more pass of O(n·a·(a + penalties)).
    """
    parts = _decompose(rows, num_chunks)
    squares = parts.singular**2
    count = num_samples.astype(squares.dtype)
    largest = jnp.max(squares, initial=0.0)
    if penalty is None:
        floor = (100 * precision) ** 2
        grid = largest * jnp.asarray(np.logspace(1, math.log10(floor), _GRID_POINTS), squares.dtype)
    else:
        grid = (count * penalty.astype(squares.dtype))[None]
    cut = jnp.finfo(squares.dtype).eps * max(parts.right.shape[0], 1) * jnp.sqrt(largest)
    alive = parts.singular > cut
    errors = _leave_one_out(rows, num_chunks, num_samples, parts, alive, grid)
    # From large to small penalties: of equal errors (constant targets) the largest penalty wins.
    best = jnp.argmin(jnp.where(jnp.isnan(errors), jnp.inf, errors))
    shrinkage = jnp.where(alive, parts.singular / jnp.where(alive, squares + grid[best], 1.0), 0.0)
    coefficients = parts.right @ (shrinkage[:, None] * parts.targets)
    num_free, num_penalized = parts.corner.shape[0], parts.right.shape[0]
    remaining = parts.mixed[:, num_penalized:] - parts.mixed[:, :num_penalized] @ coefficients
    free = solve_triangular(parts.corner, remaining) if num_free else remaining
    smallest = jnp.min(jnp.where(alive, squares, jnp.inf), initial=jnp.inf)
    deficient = jnp.sum(alive) < num_penalized
    smallest = jnp.where(deficient & (grid[best] > 0), 0.0, smallest)
    ratio = (largest + grid[best]) / (smallest + grid[best])
    condition = jnp.where(largest > 0, jnp.sqrt(ratio), 1.0)
    chosen = grid[best] / count
    return RidgeSolution(
        free,
        coefficients,
        chosen if penalty is None else penalty.astype(chosen.dtype),
        errors[best],
        condition,
        _status(free, coefficients, grid[best], deficient, condition * precision),
    )


def _status(
    free: Array, coefficients: Array, ridge: Array, deficient: Bool[Array, ""], loss: Array
) -> Int[Array, ""]:
    finite = jnp.all(jnp.isfinite(free)) & jnp.all(jnp.isfinite(coefficients))
    status = jnp.where(loss > 0.1, Status.ill_conditioned, Status.ok)
    status = jnp.where(deficient & (ridge == 0), Status.rank_deficient, status)
    return jnp.where(finite, status, Status.not_finite).astype(jnp.int32)


def _decompose(rows: Rows, num_chunks: int) -> Decomposition:
    """The R of a QR decomposition, chunk below chunk; then the singular values of its corner."""
    free, penalized, targets = jax.eval_shape(rows, jnp.zeros((), jnp.int32))
    f, a = free.shape[1], penalized.shape[1]
    width = f + a + targets.shape[1]
    dtype = penalized.dtype

    def absorb(triangle: Array, chunk: Array) -> tuple[Array, None]:
        stacked = jnp.concatenate([triangle, jnp.concatenate(rows(chunk), axis=1)])
        return jnp.linalg.qr(stacked, mode="r"), None

    if num_chunks == 1:
        chunk = jnp.concatenate(rows(jnp.zeros((), jnp.int32)), axis=1)
        triangle = jnp.linalg.qr(chunk, mode="r")
    else:
        start = jnp.zeros((width, width), dtype)
        triangle, _ = jax.lax.scan(absorb, start, jnp.arange(num_chunks, dtype=jnp.int32))
    corner, mixed = triangle[:f, :f], triangle[:f, f:]
    block, image = triangle[f : f + a, f : f + a], triangle[f : f + a, f + a :]
    if a == 0 or block.shape[0] == 0:
        right, image = jnp.zeros((a, 0), dtype), jnp.zeros((0, image.shape[1]), dtype)
        return Decomposition(corner, mixed, jnp.zeros((0,), dtype), right, image)
    left, singular, right = jnp.linalg.svd(block, full_matrices=False)
    return Decomposition(corner, mixed, singular, right.T, left.T @ image)


def _leave_one_out(
    rows: Rows,
    num_chunks: int,
    num_samples: Int[Array, ""],
    parts: Decomposition,
    alive: Bool[Array, " r"],
    grid: Float[Array, " e"],
) -> Float[Array, " e"]:
    """Root mean square leave-one-out residual for each nη, in closed form: e_i/(1 − h_i).

    e and 1 − h are sums of nonnegative terms, so that nothing cancels where η is small:
    1 − h_i = (1 − |q_i|² − |u_i|²) + Σ_j u_ij² nη/(s_j² + nη).
    """
    f, a = parts.corner.shape[0], parts.right.shape[0]
    squares = parts.singular**2
    kept = jax.vmap(lambda ridge: jnp.where(alive, ridge / jnp.where(alive, squares + ridge, 1.0), 0.0))(
        grid
    )
    inverse = jnp.where(alive, 1 / jnp.where(alive, parts.singular, 1.0), 0.0)
    targets = jnp.where(alive[:, None], parts.targets, 0.0)
    spanned = jnp.sum(alive, dtype=jnp.int32) + f >= num_samples

    def squared(chunk: Array) -> Array:
        free, penalized, y = rows(chunk)
        q = solve_triangular(parts.corner, free.T, trans=1).T if f else free
        u = (penalized - q @ parts.mixed[:, :a]) @ parts.right * inverse[None]
        outside = y - q @ parts.mixed[:, a:] - u @ targets
        left_out = jnp.maximum(1 - jnp.sum(q**2, axis=1) - jnp.sum(u**2, axis=1), 0.0)
        # Features that span all n dimensions leave exactly nothing out; rounding would.
        left_out, outside = jnp.where(spanned, 0.0, left_out), jnp.where(spanned, 0.0, outside)
        inside = u @ (kept.T[:, :, None] * targets[:, None, :]).reshape(len(targets), -1)
        residuals = outside[:, None, :] + inside.reshape(len(u), *grid.shape, -1)
        leverages = left_out[:, None] + u**2 @ kept.T
        padding = ~jnp.any(free, axis=1) & ~jnp.any(penalized, axis=1) & ~jnp.any(y, axis=1)
        leverages = jnp.where(padding[:, None], 1.0, leverages)
        return jnp.sum((residuals / leverages[:, :, None]) ** 2, axis=(0, 2))

    total = jnp.zeros_like(grid)
    if num_chunks == 1:
        total = squared(jnp.zeros((), jnp.int32))
    else:
        total, _ = jax.lax.scan(
            lambda sums, chunk: (sums + squared(chunk), None),
            total,
            jnp.arange(num_chunks, dtype=jnp.int32),
        )
    return jnp.sqrt(total / (num_samples.astype(total.dtype) * parts.targets.shape[1]))


def solve_kernel_ridge(
    gram: Float[Array, "n n"],
    targets: Float[Array, "n o"],
    penalty: Float[Array, ""] | None,
    precision: float,
    *,
    intercept: bool,
) -> tuple[Float[Array, "n o"], RidgeSolution]:
    """The dual problem: α = (K + nηI)⁻¹(y − b), with Σα = 0 when b is fitted, and b.

    Args:
        gram: K, symmetric positive semidefinite.
        targets: y.
        penalty: η, or ``None`` for leave-one-out over a grid with nη held fixed.
        precision: relative accuracy of K.
        intercept: whether an unpenalized constant b is fitted.

    Returns:
        α, and the record whose ``free`` is b (of no rows without an intercept) and whose
        ``coefficients`` are α again. The condition is that of K + nηI.

    Cost: one eigendecomposition, O(n³).
    """
    n = gram.shape[0]
    centre = jnp.full((n,), 1 / math.sqrt(n), gram.dtype)
    kernel = gram
    if intercept:
        row = gram @ centre
        mean = centre @ row
        kernel = (
            gram - jnp.outer(centre, row) - jnp.outer(row, centre) + mean * jnp.outer(centre, centre)
        )
        # Centring makes 1 a null vector; a large eigenvalue sets it apart from other null vectors.
        kernel = kernel + (1 + jnp.trace(kernel)) * jnp.outer(centre, centre)
    values, vectors = jnp.linalg.eigh(kernel)
    overlap = (centre @ vectors) ** 2 if intercept else jnp.zeros((n,), gram.dtype)
    penalized = overlap < 0.5
    values = jnp.where(penalized, jnp.maximum(values, 0.0), 0.0)
    image = jnp.where(penalized[:, None], vectors.T @ targets, 0.0)
    largest = jnp.max(values)
    if penalty is None:
        floor = 100 * precision
        grid = largest * jnp.asarray(np.logspace(1, math.log10(floor), _GRID_POINTS), gram.dtype)
    else:
        grid = (n * penalty.astype(gram.dtype))[None]
    cut = jnp.finfo(gram.dtype).eps * n * largest
    # Without a penalty the null space of K is left out, and the status says so.
    alive = penalized[None] & ((values > cut)[None] | (grid > 0)[:, None])
    inverse = jnp.where(alive, 1 / jnp.where(alive, values[None] + grid[:, None], 1.0), 0.0)  # (e, n)
    alphas = jnp.einsum("ij,ej,jo->eio", vectors, inverse, image)
    leverages = jnp.einsum("ij,ej->ei", vectors**2, inverse)
    # e_i/(1 − h_i) with both sides divided by nη.
    errors = jnp.sqrt(jnp.mean((alphas / leverages[:, :, None]) ** 2, axis=(1, 2)))
    best = jnp.argmin(jnp.where(jnp.isnan(errors), jnp.inf, errors))
    alpha = alphas[best]
    free = jnp.mean(targets - gram @ alpha, axis=0, keepdims=True)[: int(intercept)]
    smallest = jnp.min(jnp.where(penalized, values, jnp.inf))
    condition = jnp.where(largest > 0, (largest + grid[best]) / (smallest + grid[best]), 1.0)
    chosen = grid[best] / n
    deficient = smallest <= cut
    status = _status(free, alpha, grid[best], deficient, condition * precision)
    return alpha, RidgeSolution(
        free,
        alpha,
        chosen if penalty is None else penalty.astype(chosen.dtype),
        errors[best],
        condition,
        status,
    )


def num_chunks_for(num_samples: int, width: int) -> int:
    """Chunks of a pass: of ≥ 1,024 rows and ≥ 4 rows per column, so that the triangle is cheap."""
    return max(1, num_samples // max(_CHUNK_ROWS, 4 * width))
