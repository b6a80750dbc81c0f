"""Data augmentation: the data set moved by the group, with the same targets."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, Element, Key, checked_count
from symjax_learn.invariants.action import Action, checked_action
from symjax_learn.learning.data import checked_data


def augment(
    key: Key,
    action: Action,
    x: AnyArray,
    y: AnyArray,
    num_copies: int | str,
    *,
    memory_limit: int = MEMORY_LIMIT,
) -> tuple[Array, Array]:
    """The samples (gx_i, y_i), for all g or for random ones.

    Args:
        key: a JAX random key (unused with ``"all"``).
        action: the action.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``.
        num_copies: ``"all"`` for every element; or the number of rows that each sample becomes: itself,
            and then independent uniform elements applied to it.
        memory_limit: refuse more bytes.

    Returns:
        ``x`` of ``(n·num_copies, *point_shape)`` and ``y`` of ``(n·num_copies, *outputs)``; the copies
        of one sample are adjacent and the first is the sample itself.

    Raises:
        TypeError: no action, or ``num_copies`` is no integer.
        ValueError: ``num_copies`` is neither ``"all"`` nor ≥ 1, structure that does not fit, or too
            many rows.

    Cost: n·num_copies moved points.

    >>> import symjax_learn as sj, jax.numpy as jnp, jax
    >>> swap = sj.action(sj.Torus(2), sj.symmetric_group(2))
    >>> x, y = sj.augment(jax.random.key(0), swap, jnp.asarray([[0.0, 1.0]]), jnp.ones(1), "all")
    >>> x.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    data = checked_data(checked_action(action).space, x, y, values=False)
    n = len(data.x)
    if isinstance(num_copies, str) and num_copies != "all":
        raise ValueError(f"num_copies: expected 'all' or an integer >= 1 and got {num_copies!r}.")
    if num_copies == "all":
        if action.order == math.inf:
            raise ValueError("num_copies: 'all' needs a finite group; give a number.")
        copies = int(action.order)
    else:
        copies = checked_count("num_copies", num_copies)
    row = data.x.dtype.itemsize * (math.prod(action.space.point_shape) + data.y.shape[1])
    element = 4 * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(action.identity))
    refuse_beyond(
        memory_limit,
        2 * row * n * copies + element * copies * (1 if num_copies == "all" else n),
        f"num_copies: {copies:,} copies of {n:,} samples",
        "Give a smaller number, or fit on an invariant basis, which needs no copies.",
    )
    elements = action.elements() if num_copies == "all" else None
    moved = _moved(key, action, data.x, copies, elements)
    return moved, jnp.repeat(data.y, copies, axis=0).reshape(n * copies, *data.outputs)


@eqx.filter_jit
def _moved(key: Key, action: Action, x: Array, copies: int, elements: Element | None) -> Array:
    """Every sample moved by all elements, or left as it is and moved by ``copies − 1`` random ones."""
    if elements is not None:
        elements = jax.tree.map(lambda leaf: leaf[None], elements)
    else:
        drawn = action.sample(key, (len(x), copies - 1))
        elements = jax.tree.map(
            lambda leaf, one: jnp.concatenate(
                [jnp.broadcast_to(one, (len(x), 1, *one.shape)), leaf], axis=1
            ),
            drawn,
            action.identity,
        )
    return action.act(elements, x[:, None]).reshape(-1, *action.space.point_shape)
