"""The orbits of a finite group: how many there are, or how much volume they have."""

import math
from fractions import Fraction

import numpy as np

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.orbits import monomial_orbits
from symjax_learn.algebra.products import WreathGroup
from symjax_learn.geometry.labels import Labels
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.vertices import AbstractVertices
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.count import level_counts
from symjax_learn.invariants.kernels import kernel_order, num_components
from symjax_learn.invariants.monomial import signed_permutations
from symjax_learn.invariants.pairs import shares


def quotient_fraction(action: Action) -> Fraction | None:
    """vol(M/G)/vol(M) for a finite group, exact; ``None`` where it is not known.

    1/|G/K| on a connected space, K the kernel of the action; the number of orbits over that of points on
    a finite one; the product for a product of spaces, labels among them. Not known of a mesh of several
    pieces.
    """
    if action.order == math.inf:
        return None
    if action.user_act is None:
        return _fraction(action.space, action.group)
    if action.space.dimension == 0:
        return _share_of_orbits(action)
    kernel = kernel_order(action) if num_components(action.space) == 1 else None
    return None if kernel is None else Fraction(kernel, int(action.order))


def _fraction(space: AbstractSpace, group: AbstractGroup) -> Fraction | None:
    if space.dimension == 0:
        return _share_of_orbits(Action(space, group))
    if isinstance(space, Product):
        found = [
            Fraction(1) if share.group is None else _fraction(share.space, share.group)
            for share in shares(space, group)
        ]
        known = [one for one in found if one is not None]
        return math.prod(known, start=Fraction(1)) if len(known) == len(found) else None
    if isinstance(space, Sets):
        return _set_fraction(space, group)
    if num_components(space) > 1:  # an element may move one of them and leave another
        return None
    return Fraction(kernel_order(Action(space, group)) or 1, int(group.order))


def _set_fraction(space: Sets, group: AbstractGroup) -> Fraction | None:
    """Different points are exchanged freely; what moves them all may leave labels where they are."""
    n, one = space.num_points, space.space
    if isinstance(group, WreathGroup):
        inner = _fraction(one, group.inner)
        return None if inner is None else inner**n / math.factorial(n)
    order, points = shares(space, group)
    assert order.group is not None
    inner, free = Fraction(1), Fraction(1)
    if points.group is not None:
        kernel = kernel_order(Action(one, points.group)) or 1
        inner, free = _fraction(one, points.group), Fraction(kernel, int(points.group.order))
    if inner is None or (n > 1 and inner != free):
        return None
    return inner / int(order.group.order)


def _share_of_orbits(action: Action) -> Fraction | None:
    orbits = num_orbits(action)
    return None if orbits is None else Fraction(orbits, int(action.space.cardinality))


def num_orbits(action: Action) -> int | None:
    """The orbits of a finite space, exact: the dimension of all its invariant functions."""
    space = action.space
    if action.user_act is None and isinstance(space, Labels | AbstractVertices):
        moves = signed_permutations(action.group, action.group.generators)
        return len(monomial_orbits(moves.images, np.zeros_like(moves.images), 1).carries)
    try:
        levels = space.levels(math.inf)
    except (ValueError, OverflowError):  # too many to list
        return None
    counts, _ = level_counts(action, levels)
    return None if counts is None else sum(counts)
