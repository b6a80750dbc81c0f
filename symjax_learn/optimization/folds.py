"""Cross-validation by folds: the exact errors of all refits, from one triangle for each fold.

Knows features and penalties; no groups, no spaces.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn.optimization.decomposition import Rows, absorbed, decomposition_of, weighted
from symjax_learn.optimization.quadratic import solution_at
from symjax_learn.optimization.solution import best_of, penalty_grid


class Folds(eqx.Module):
    """Samples in chunks, of which each holds samples of one fold.

    Attributes:
        order: ``(chunks, rows)``, the samples of each chunk, −1 for none.
        labels: the fold of each chunk.
        count: k.
    """

    order: Int[Array, "chunks rows"]
    labels: Int[Array, " chunks"]
    count: int = eqx.field(static=True)


def fold_chunks(labels: Int[np.ndarray, " n"], rows: int) -> Folds:
    """Chunks of at most so many rows of the samples with labels 0, …, k − 1, of which none is empty."""
    sizes = np.bincount(labels)
    rows = min(rows, int(sizes.max()))
    chunks = -(-sizes // rows)
    order = np.full((int(chunks.sum()), rows), -1, np.int32)
    starts = np.concatenate([[0], np.cumsum(chunks)])
    for fold in range(len(sizes)):
        members = np.flatnonzero(labels == fold)
        order[starts[fold] : starts[fold + 1]].reshape(-1)[: len(members)] = members
    of_chunk = np.repeat(np.arange(len(sizes), dtype=np.int32), chunks)
    return Folds(jnp.asarray(order), jnp.asarray(of_chunk), len(sizes))


def fold_penalty(
    rows: Rows,
    labels: Int[Array, " chunks"],
    num_folds: int,
    num_samples: Int[Array, ""],
    precision: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The penalty η of a grid that errs least on what is left out, and that error.

    Fold after fold is left out and the rest fitted, with nη held fixed, n of all samples. Of each fold
    only the triangle R of its rows √w [F | A | Y] = QR is kept: |R (b, c, −1)| is the residual on it,
    and the triangle of the rest is that of the folds before it upon that of the folds after it.

    Args:
        rows: the chunks of the rows, of which each is of one fold.
        labels: the fold of each chunk.
        num_folds: k.
        num_samples: n.
        precision: relative accuracy of the rows.

    Returns:
        η, and the root mean (weighted) square of the residuals over samples and outputs.

    Cost: a pass of O(n(f + a + o)²), O(k·a³) once and O(k·a²·o) for each penalty; memory O(k·a²).
    """
    parts = jax.eval_shape(lambda: weighted(rows, jnp.zeros((), jnp.int32)))
    f, a, o = (part.shape[1] for part in parts)
    width, dtype = f + a + o, parts[1].dtype

    def absorb(triangles: Array, chunk: tuple[Array, Array]) -> tuple[Array, None]:
        index, fold = chunk
        return triangles.at[fold].set(absorbed(triangles[fold], rows, index)), None

    chunks = jnp.arange(labels.shape[0], dtype=jnp.int32), labels
    triangles, _ = jax.lax.scan(absorb, jnp.zeros((num_folds, width, width), dtype), chunks)

    def append(before: Array, one: Array) -> tuple[Array, Array]:
        return jnp.linalg.qr(jnp.concatenate([before, one]), mode="r"), before

    zero = jnp.zeros((width, width), dtype)
    whole, before = jax.lax.scan(append, zero, triangles)
    _, after = jax.lax.scan(append, zero, triangles, reverse=True)
    largest = jnp.max(decomposition_of(whole, f, a).singular ** 2, initial=0.0)
    grid, one = penalty_grid(largest, (100 * precision) ** 2), jnp.ones((), dtype)

    def squared(part: tuple[Array, Array, Array]) -> Array:
        """On one fold, for each penalty."""
        left_out, *others = part
        rest = decomposition_of(jnp.linalg.qr(jnp.concatenate(others), mode="r"), f, a)

        def of_penalty(ridge: Array) -> Array:
            solution = solution_at(rest, ridge, one, precision)
            theta = jnp.concatenate([solution.free, solution.coefficients])
            return jnp.sum((left_out[:, : f + a] @ theta - left_out[:, f + a :]) ** 2)

        return jax.vmap(of_penalty)(grid)

    total = jnp.sum(jax.lax.map(squared, (triangles, before, after)), axis=0)
    count = num_samples.astype(dtype)
    errors = jnp.sqrt(total / (count * o))
    best = best_of(errors, jnp.linalg.norm(whole[:, f + a :]) / jnp.sqrt(count))
    return grid[best] / count, errors[best]
