"""Whether a user's own act keeps distances, as all volumes of quotients take for granted."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from symjax_learn.geometry.product import Product
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.tangents import has_metric, squared_chords
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.action import Action
from symjax_learn.theory.estimates import has_sampler

# A user's act that changes squared distances by more than this part of them is no isometry.
_ISOMETRY = 1e-5


def check_isometry(action: Action) -> None:
    """Raise where a user's act changes distances of random points, in float64 in every session.

    Not checked: lattices other than Z^d, spaces whose metric is not known, groups without a sampler.

    Raises:
        ValueError: it is no isometry.
    """
    if action.user_act is None or not has_sampler(action.group) or not _has_chords(action.space):
        return
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), 3)
        x, y = (action.space.sample(key, (16,)) for key in keys[:2])
        before, after = (np.asarray(d) for d in _distances(action, x, y, action.sample(keys[2], (16,))))
    close = np.isclose(after, before, rtol=_ISOMETRY)
    if not close.all():
        place = int(np.argmin(close))
        raise ValueError(
            f"group: its act is no isometry: it changes the squared distance of two points from "
            f"{before[place]:.4g} to {after[place]:.4g}; quotients by it have no volume. Give an act "
            "that keeps distances."
        )


@eqx.filter_jit
def _distances(action: Action, x: Array, y: Array, g: Array) -> tuple[Array, Array]:
    moved = [action.act(g, points) for points in (x, y)]
    return squared_chords(action.space, x, y), squared_chords(action.space, *moved)


def _has_chords(space: AbstractSpace) -> bool:
    """Whether squared chords of far points are kept: the cell of a lattice about 0 may be turned."""
    match space:
        case Product():
            return all(_has_chords(part) for part in space.spaces)
        case Sets():
            return _has_chords(space.space)
        case Torus():
            return space.is_cubic
    return has_metric(space)
