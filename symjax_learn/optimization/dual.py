"""Kernel ridge regression: the dual problem, of n unknowns. Knows a Gram matrix, no group or space."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from symjax_learn.optimization.solution import (
    Criterion,
    RidgeSolution,
    best_of,
    fit_status,
    penalty_grid,
)


def solve_kernel_ridge(
    gram: Float[Array, "n n"],
    targets: Float[Array, "n o"],
    penalty: Float[Array, ""] | None,
    precision: float,
    *,
    intercept: bool,
) -> RidgeSolution:
    """The dual problem: α = (K + nηI)⁻¹(y − b), with Σα = 0 when b is fitted, and b.

    Args:
        gram: K, symmetric positive semidefinite.
        targets: y.
        penalty: η, or ``None`` for leave-one-out over a grid with nη held fixed.
        precision: relative accuracy of K.
        intercept: whether an unpenalized constant b is fitted.

    Returns:
        The record whose ``free`` is b (of no rows without an intercept) and whose ``coefficients``
        are α. The condition is that of K + nηI. Differentiable where the eigenvalues of K differ.

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
        grid = penalty_grid(jax.lax.stop_gradient(largest), 100 * precision)
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
    best = best_of(errors, jnp.sqrt(jnp.mean(targets**2)))
    alpha = alphas[best]
    free = jnp.mean(targets - gram @ alpha, axis=0, keepdims=True)[: int(intercept)]
    smallest = jnp.min(jnp.where(penalized, values, jnp.inf))
    condition = jnp.where(largest > 0, (largest + grid[best]) / (smallest + grid[best]), 1.0)
    chosen = grid[best] / n
    deficient = smallest <= cut
    status = fit_status(free, alpha, ridge=grid[best], deficient=deficient, loss=condition * precision)
    return RidgeSolution(
        free,
        alpha,
        chosen if penalty is None else penalty.astype(chosen.dtype),
        errors[best],
        condition,
        status,
        Criterion("loo", errors[best]) if penalty is None else None,
    )
