"""What any function, ours or not, makes of a symmetry."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from symjax_learn._types import FloatArray, Key, checked_count
from symjax_learn.geometry.spaces import flatten_points
from symjax_learn.invariants.action import Action, checked_action

# Moved points that exist at once.
_CHUNK_POINTS = 2**16


def invariance_discrepancy(
    key: Key,
    function: Callable[[Array], Array],
    action: Action,
    x: FloatArray,
    *,
    num_samples: int = 100,
    relative: bool = False,
) -> float:
    """Max over x and over random g of |f(gx) − f(x)|: zero to rounding for an invariant function.

    Args:
        key: a JAX random key.
        function: f, from ``(batch, *point_shape)`` to ``(batch, *outputs)``.
        action: the action.
        x: ``(*batch, *point_shape)``.
        num_samples: how many uniform elements g, each applied to every x.
        relative: divide by max |f(x)|.

    Returns:
        A Python float.

    Raises:
        TypeError: no action.
        ValueError: there is no point, ``num_samples`` < 1, f does not map batches, or f is not finite
            somewhere (an unknown discrepancy is not a small one).

    Cost: num_samples·n evaluations.

    >>> import symjax_learn as sj, jax
    >>> flip = sj.action(sj.Torus(2), sj.symmetric_group(2))
    >>> x = sj.Torus(2).sample(jax.random.key(0), (10,))
    >>> sj.invariance_discrepancy(jax.random.key(1), lambda x: x.max(axis=1), flip, x)
    0.0
    """
    checked_action(action)
    points, _ = flatten_points(action.space, x, "x")
    num_samples = checked_count("num_samples", num_samples)
    if len(points) == 0:
        raise ValueError("x: there are no points.")
    here = jnp.asarray(function(points))
    if here.shape[:1] != points.shape[:1] or not jnp.issubdtype(here.dtype, jnp.number):
        raise ValueError(
            f"function: expected numbers of shape ({len(points)}, *outputs) for {len(points)} points "
            f"and got shape {here.shape} of {here.dtype}; wrap a function of one point in jax.vmap."
        )
    elements = action.sample(key, (num_samples,))
    size = max(1, _CHUNK_POINTS // len(points))
    worst = jnp.zeros(())
    for start in range(0, num_samples, size):
        batch = jax.tree.map(lambda leaf, s=start: leaf[s : s + size, None], elements)
        moved = action.act(batch, points[None])
        there = function(moved.reshape(-1, *action.space.point_shape))
        difference = jnp.abs(there.reshape(-1, *here.shape) - here[None])
        worst = jnp.maximum(worst, jnp.max(difference).astype(worst.dtype))
    scale = jnp.max(jnp.abs(here)) if relative else jnp.ones(())
    answer = float(worst) / float(scale) if float(scale) else float(worst)
    if not jnp.isfinite(answer):
        raise ValueError("function: it is not finite at some point of x or of its orbit.")
    return answer
