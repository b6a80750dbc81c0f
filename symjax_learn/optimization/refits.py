"""The penalty by k-fold cross-validation: each sample's loss by a fit to the other folds."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn.optimization.decomposition import Rows
from symjax_learn.optimization.passes import Problem, held, widths

# Penalties for each factor of ten, and factors of ten, of the ridge and of the group lasso.
_RIDGE, _LASSO = (2, 10), (4, 5)

# rows, penalty, first guess -> θ.
Solver = Callable[[Rows, Array, Array], Array]


class Reweighted(eqx.Module):
    """Rows with other weights."""

    rows: Rows
    weights: Float[Array, "chunks rows"]

    def __call__(self, chunk: Array) -> tuple[Array, Array, Array, Array]:
        """One chunk of F, A, Y, w."""
        free, penalized, targets, _ = self.rows(chunk)
        return free, penalized, targets, self.weights[chunk]


def choose_penalty(
    solve: Solver,
    problem: Problem,
    folds: int,
    groups: Int[Array, " a"] | None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The penalty on a logarithmic grid of the least held-out loss, and that loss.

    Sample i is of fold i mod k. The grid descends, and each fit starts from the one before.

    Args:
        solve: fits rows with one penalty, from a first guess.
        problem: whose loss is that of all outputs of a sample; its penalty is not read.
        folds: k.
        groups: of the penalized columns, if the penalty is that of the group lasso.

    Cost: k fits for each penalty, at once for all folds.
    """
    problem = held(problem)
    chunks = jnp.arange(problem.num_chunks, dtype=jnp.int32)
    weights = jax.lax.map(lambda chunk: problem.rows(chunk)[3], chunks)
    number = jnp.arange(weights.size, dtype=jnp.int32).reshape(weights.shape) % folds
    theta = jnp.zeros((sum(widths(problem)), int(np.prod(problem.shape))), weights.dtype)

    def advance(thetas: Array, penalty: Array) -> tuple[Array, Array]:
        def of_fold(fold: Array, start: Array) -> tuple[Array, Array]:
            kept = jnp.where(number == fold, 0.0, weights)
            kept = kept * (jnp.sum(weights) / jnp.sum(kept))
            theta = solve(Reweighted(problem.rows, kept), penalty, start)
            left = Reweighted(problem.rows, jnp.where(number == fold, weights, 0.0))
            return theta, eqx.tree_at(lambda p: p.rows, problem, left).mean_loss(theta)

        thetas, losses = jax.vmap(of_fold)(jnp.arange(folds, dtype=jnp.int32), thetas)
        # A fit that did not end well is no guess for the next one.
        return jnp.where(jnp.isfinite(thetas), thetas, 0.0), jnp.sum(losses)

    grid = _grid(problem, theta, groups)
    starts = jnp.broadcast_to(theta[None], (folds, *theta.shape))
    losses = jax.lax.scan(advance, starts, grid)[1]
    losses = jnp.where(jnp.isnan(losses), jnp.inf, losses)
    least = jnp.min(losses)
    slack = 1e3 * jnp.finfo(losses.dtype).eps * jnp.abs(least)
    best = jnp.argmax(losses <= least + slack)  # of equals the largest penalty
    return grid[best], losses[best]


def _grid(problem: Problem, theta: Array, groups: Array | None) -> Float[Array, " e"]:
    """From a penalty at which hardly anything is left beside the free columns, descending."""

    def of(x: Array, y: Array, w: Array) -> tuple[Array, Array, Array]:
        slopes = jax.vmap(jax.grad(problem.value, argnums=1))(y, x @ theta)
        squares = jnp.sum(jnp.where(w[:, None] > 0, w[:, None] * slopes**2, 0.0))
        return squares, w @ jnp.sum(y**2, axis=1), w @ x**2

    slopes, targets, squares = problem.sums(of)
    squares = squares[widths(problem)[0] :]
    if groups is None:
        per_decade, decades = _RIDGE
        curvature = jnp.sqrt(slopes / jnp.where(targets > 0, targets, 1.0))
        top = 10 * jnp.where(curvature > 0, curvature, 1.0) * jnp.max(squares, initial=0.0)
    else:
        per_decade, decades = _LASSO
        a = len(squares)
        sums = jax.ops.segment_sum(squares, groups, num_segments=a)
        sizes = jax.ops.segment_sum(jnp.ones_like(squares), groups, num_segments=a)
        top = jnp.sqrt(slopes * jnp.max(sums / jnp.maximum(sizes, 1.0), initial=0.0))
    top = jnp.where(top > 0, top, 1.0)
    exponents = -np.arange(per_decade * decades + 1) / per_decade
    return top * jnp.asarray(10.0**exponents, theta.dtype)
