"""Connected subgroups from directions of a Lie algebra, completed and with their components."""

from fractions import Fraction

import numpy as np
from jaxtyping import Float

from symjax_learn._types import Element
from symjax_learn.algebra.affine import affine_torus_group
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import LieGroup, TranslationGroup, lie_group, translation_group
from symjax_learn.algebra.lie_algebras import integer_basis
from symjax_learn.algebra.matrices import matrix_group
from symjax_learn.invariants.action import Action

# Coefficients of a vector outside a span, relative to it, that are rounding.
_TOLERANCE = 1e-9
# Directions of a torus are read as fractions of at most this denominator.
_MAX_DENOMINATOR = 1000


def closed_directions(group: AbstractGroup, rows: Float[np.ndarray, "k a"]) -> Float[np.ndarray, "q a"]:
    """Linearly independent directions whose span is closed under brackets: the given ones first.

    Args:
        group: whose Lie algebra has the basis A_a.
        rows: coefficients in this basis.
    """
    kept = np.zeros((0, rows.shape[1]))
    waiting = list(rows)
    algebra = np.asarray(group.lie_algebra, np.float64)
    while waiting:
        row = waiting.pop(0)
        outside = row - kept.T @ np.linalg.lstsq(kept.T, row, rcond=None)[0]
        if np.linalg.norm(outside) <= _TOLERANCE * np.linalg.norm(row):
            continue
        if isinstance(group, LieGroup):
            matrix = np.tensordot(row, algebra, 1)
            for other in np.tensordot(kept, algebra, 1):
                bracket = (matrix @ other - other @ matrix).ravel()
                if np.abs(bracket).max() > _TOLERANCE:
                    flat = algebra.reshape(len(algebra), -1)
                    waiting.append(np.linalg.lstsq(flat.T, bracket, rcond=None)[0])
        kept = np.concatenate([kept, row[None]])
    return kept


def connected_action(action: Action, rows: Float[np.ndarray, "q a"], elements: Element) -> Action:
    """The action of the group of these directions, closed under brackets, and further elements.

    Elements that do not map the directions to themselves are left out: with them the Lie algebra would
    be larger.

    Raises:
        ValueError: directions whose group is not closed.
    """
    whole = action.group
    algebra = np.tensordot(rows, np.asarray(whole.lie_algebra, np.float64), 1)
    if isinstance(whole, TranslationGroup):
        group = _translations(algebra, whole.degree)
    else:
        group = _rotations(whole, algebra, np.asarray(elements, np.float64))
    return Action(action.space, group, action.user_act)


def _rotations(
    whole: AbstractGroup, algebra: Float[np.ndarray, "q d d"], elements: Float[np.ndarray, "k d d"]
) -> AbstractGroup:
    if not len(algebra):
        return matrix_group(elements if len(elements) else np.eye(whole.degree)[None])
    flat = np.linalg.qr(algebra.reshape(len(algebra), -1).T)[0]
    moved = elements[:, None] @ algebra[None] @ elements.mT[:, None]
    moved = moved.reshape(len(elements), len(algebra), whole.degree**2)
    outside = np.abs(moved - moved @ flat @ flat.T).max(axis=(1, 2), initial=0.0)
    normal = elements[outside <= _TOLERANCE]
    if len(algebra) == whole.dimension and len(normal) == whole.num_generators:
        return whole  # with its sampler
    return lie_group(algebra, normal if len(normal) else ())


def _translations(directions: Float[np.ndarray, "q d"], degree: int) -> AbstractGroup:
    if not len(directions):
        return affine_torus_group(np.eye(degree, dtype=int)[None], np.zeros((1, degree)))
    integers = []
    for row in directions / np.abs(directions).max(axis=1, keepdims=True):
        near = [Fraction(float(entry)).limit_denominator(_MAX_DENOMINATOR) for entry in row]
        if np.abs(row - np.asarray(near, float)).max() > _TOLERANCE:
            raise ValueError(
                f"directions: {row.tolist()} is no integer vector up to a factor, so that its "
                "translations do not close; their closure is a larger torus. Give that."
            )
        denominator = np.lcm.reduce([entry.denominator for entry in near])
        integers.append([int(entry * denominator) for entry in near])
    return translation_group(np.asarray(integer_basis(np.asarray(integers, object)), int))
