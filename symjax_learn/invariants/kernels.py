"""The kernel of a finite group's action: the elements that move no point."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from symjax_learn._types import Element
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.permutations import SignedPermutation, SignedPermutationGroup, SignedSampler
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.homogeneous import Grassmannian, Stiefel
from symjax_learn.geometry.product import Product, split_points
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.torus import Torus
from symjax_learn.geometry.vertices import AbstractVertices
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.monomial import signed_permutations
from symjax_learn.invariants.pairs import shares, sides

# Elements of a user's own action that are tried at points, and how many at a time.
_MAX_TRIED = 100_000
_CHUNK = 1024
# Components of a space of which random points meet every one.
_MAX_COMPONENTS = 1000
# Coordinates that agree to this, of their size and 1, are those of one point.
_SAME = 1e-6


def kernel_order(action: Action) -> int | None:
    """|K|, K = {g : gx = x for all x} the kernel of the action of a finite group; exact.

    G/K acts effectively, and its order is the one that counts. A group of isometries acts with a kernel
    of its own only where matrices act twice: A ↦ gAgᵀ on graphs and planes, X ↦ LXRᵀ on frames, of which
    −1 moves nothing. Parts of a space that stay as they are have no say, and on sets of n points of more
    than one point the points' own kernel counts once, n times for a wreath product.

    Args:
        action: of the group on its space.

    Returns:
        |K|; ``None`` for an infinite group, and for a user's own ``act`` of a group of more than
        100,000 elements, or on a space of more than 1,000 components.

    Cost: of the structure, never |G|; membership of −1, a stabilizer chain. A user's own ``act`` is
    tried on all elements at random points.
    """
    if action.order == math.inf:
        return None
    if action.user_act is not None:
        return _tried(action)
    return _kernel_order(action.space, action.group)


def _kernel_order(space: AbstractSpace, group: AbstractGroup) -> int:
    if space.cardinality == 1:
        return int(group.order)
    match space:
        case Product():
            parts = (share for share in shares(space, group) if share.group is not None)
            return math.prod(_kernel_order(part.space, part.group) for part in parts if part.group)
        case Sets():
            _, points = shares(space, group)
            inner = 1 if points.group is None else _kernel_order(points.space, points.group)
            return inner**space.num_points if isinstance(group, WreathGroup) else inner
        case Graphs(num_nodes=2):  # one edge, that exchanging its ends does not move
            return int(np.sum(signed_permutations(group, group.elements()).signs.prod(axis=1) == 1))
        case Graphs() | Grassmannian():
            return 1 + _reverses(group)
        case Stiefel():
            both = [share.group for share in sides(space, group)]
            return 1 + all(side is not None and _reverses(side) for side in both)
    return 1


def _reverses(group: AbstractGroup) -> bool:
    """Whether −1 is an element of a group of orthogonal matrices."""
    match group:
        case ProductGroup():
            return all(_reverses(factor) for factor in group.factors)
        case WreathGroup():
            return _reverses(group.inner)
        case SignedPermutationGroup():
            if isinstance(group.sampler, SignedSampler):
                return True
            images = np.arange(group.degree, dtype=np.int32)[None]
            return bool(group.contains(SignedPermutation(images, -np.ones_like(images)))[0])
        case MatrixGroup():
            try:
                return bool(group.contains(-np.eye(group.degree)[None])[0])
            except ValueError:  # it moves an orbit of the group off itself
                return False
    return False


def _tried(action: Action) -> int | None:
    """Elements that fix random points of every component: isometries that fix all of it."""
    components = num_components(action.space)
    if action.order > _MAX_TRIED or components > _MAX_COMPONENTS:
        return None
    with jax.enable_x64(True):  # whatever the session
        elements = action.elements(max_order=_MAX_TRIED)
        # A component of the C is missed with probability (1 − 1/C)^m, all together e^{−40}.
        num_points = 2 if components == 1 else math.ceil(components * (math.log(components) + 40))
        points = action.space.sample(jax.random.key(0), (num_points,))
        rows = max(1, _CHUNK * 64 // num_points)
        fixing = 0
        for start in range(0, int(action.order), rows):
            few = jax.tree.map(lambda leaf, i=start: leaf[i : i + rows], elements)
            fixing += int(jnp.sum(_fixes_all(action, few, points)))
    return fixing


@eqx.filter_jit
def _fixes_all(action: Action, elements: Element, points: Array) -> Bool[Array, " g"]:
    """Whether each element leaves every one of the points where it is."""
    moved = action.act(jax.tree.map(lambda leaf: leaf[:, None], elements), points)
    return jnp.all(_coincide(action.space, moved, jnp.broadcast_to(points, moved.shape)), axis=1)


def _coincide(space: AbstractSpace, x: Array, y: Array) -> Bool[Array, "*batch"]:
    """Whether coordinates are those of the same points; on tori modulo the lattice."""
    match space:
        case Product():
            shapes = tuple(part.point_shape for part in space.spaces)
            blocks = zip(space.spaces, split_points(x, shapes), split_points(y, shapes), strict=True)
            return functools.reduce(jnp.logical_and, [_coincide(*block) for block in blocks])
        case Sets():
            return jnp.all(_coincide(space.space, x, y), axis=-1)
    difference = x - y
    if isinstance(space, Torus):
        periods = difference / space.period
        difference = space.period * (periods - jnp.round(periods))
    close = jnp.abs(difference) <= _SAME * jnp.maximum(1, jnp.abs(y))
    return jnp.all(close, axis=tuple(range(-len(space.point_shape), 0)))


def num_components(space: AbstractSpace) -> int | float:
    """Connected components, a finite space having each of its points as one."""
    match space:
        case Product():
            return math.prod(num_components(part) for part in space.spaces)
        case Sets():
            return num_components(space.space) ** space.num_points
        case AbstractVertices() if space.dimension > 0:
            from scipy.sparse.csgraph import connected_components

            return int(connected_components(space.matrix(), directed=False)[0])
    return space.cardinality if space.dimension == 0 else 1
