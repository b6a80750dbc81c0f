"""Dimensions of orbits and of quotients, from the infinitesimal action."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from symjax_learn._linalg import null_space
from symjax_learn._types import Key
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.invariants.action import Action, as_action, velocities

# Random points of which the largest rank is the generic one: at each it is, with probability 1.
_NUM_POINTS = 3
# Velocities below this part of the coordinates are rounding of a point that does not move.
_RESTING = 1e-9


def quotient_dimension(space: AbstractSpace, group: AbstractGroup | Action) -> int:
    """dim(M/G) = dim M − dim(Gx) at a generic point x, exact.

    dim(Gx) is the rank of A ↦ A·x = d/dt exp(tA)x on the Lie algebra, which is the same at almost all
    points: of its singular values at random points those that are zero are told from the others by a
    gap, in float64 in every session. Finite groups leave the dimension as it is.

    Args:
        space: M.
        group: G, or an action on M, also a user's own.

    Returns:
        The dimension of the quotient; 0 where it consists of points.

    Raises:
        ValueError: no clear gap among the singular values, or a pair that does not fit.

    Cost: dim G derivatives of the action, and singular values of a matrix of dim G columns.

    >>> import symjax_learn as sj
    >>> sj.quotient_dimension(sj.Sphere(9), sj.orthogonal_group(10))
    0
    >>> turns = sj.translation_group([[1, 1, 1]])
    >>> sj.quotient_dimension(sj.Torus(3), turns), sj.quotient_dimension(sj.Torus(3), sj.sign_group(3))
    (2, 3)
    """
    acting = as_action(space, group)
    return space.dimension - orbit_dimension(jax.random.key(0), acting)


def orbit_dimension(key: Key, action: Action) -> int:
    """dim(Gx) of a generic point x: the largest rank at random points.

    Args:
        key: a JAX random key, of the points.
        action: the action.

    Raises:
        ValueError: singular values without a clear gap.
    """
    if action.group.lie_algebra is None or action.space.dimension == 0:
        return 0
    with jax.enable_x64(True):  # whatever the session
        points = action.space.sample(key, (_NUM_POINTS,))
        moving = np.asarray(_velocities(action, points)).reshape(-1, *points.shape)
        return max(_rank(*pair) for pair in zip(moving.swapaxes(0, 1), np.asarray(points), strict=True))


@eqx.filter_jit
def _velocities(action: Action, points: Array) -> Array:
    return velocities(action, points)


def _rank(moving: np.ndarray, point: np.ndarray) -> int:
    """Of the velocities of one point, relative to the largest."""
    columns = moving.reshape(len(moving), -1)
    if len(columns) < columns.shape[1]:
        columns = columns.T
    size = float(np.linalg.norm(columns))
    if size <= _RESTING * float(np.linalg.norm(point)):
        return 0
    try:
        null = null_space(columns / size)
    except ValueError as error:
        raise ValueError(
            "group: the rank of its infinitesimal action at a random point is in doubt, because the "
            f"singular values have no clear gap ({error}); give a basis of the Lie algebra in float64 "
            "whose elements are of one size, and an act that is smooth."
        ) from error
    return columns.shape[1] - null.basis.shape[1]
