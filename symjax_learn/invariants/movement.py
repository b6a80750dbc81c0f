"""How a group moves the points of each space."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from symjax_learn._types import Element
from symjax_learn.algebra.affine import AffineTorusGroup
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import TranslationGroup
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.homogeneous import Grassmannian, Stiefel
from symjax_learn.geometry.labels import Labels
from symjax_learn.geometry.product import Product, split_points
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.torus import Torus
from symjax_learn.geometry.vertices import AbstractVertices
from symjax_learn.invariants.monomial import factors
from symjax_learn.invariants.pairs import shares, sides


def move(space: AbstractSpace, group: AbstractGroup, g: Element, points: Array) -> Array:
    """gx, for elements and points whose batches broadcast; the pair is one that fits."""
    match space:
        case Product():
            return _move_factors(space, group, g, points)
        case Sets():
            return _move_set(space, group, g, points)
        case Torus():
            return _move_torus(space, group, g, points)
        case Box():  # about its centre, so that a sign reflects it
            return jnp.asarray(group.apply(g, points - 0.5)) + 0.5
        case Graphs() | Grassmannian():
            return _conjugate(group, g, points)
        case Labels() | AbstractVertices():
            return _move_vertices(group, g, points)
        case RotationGroup() | Stiefel():
            return _move_sides(space, group, g, points)
        case _:
            return jnp.asarray(group.apply(g, points))


def _move_torus(space: Torus, group: AbstractGroup, g: Element, x: Array) -> Array:
    moved, by = jnp.asarray(group.apply(g, x)), shift(group, g)
    if by is None:
        return moved
    moved, by = jnp.broadcast_arrays(moved, (space.period * by).astype(x.dtype))
    return moved + by


def _conjugate(group: AbstractGroup, g: Element, a: Array) -> Array:
    """gxgᵀ."""
    rows = _with_axes(group, g, 1)
    return jnp.asarray(group.apply(rows, group.apply(rows, a).mT)).mT


def _move_vertices(group: AbstractGroup, g: Element, x: Array) -> Array:
    """Vertex i goes to g[i]; beyond the vertices NaN."""
    n = group.degree
    images = group.apply(group.inverse(g), jnp.arange(n, dtype=x.dtype))
    places = jnp.round(x[..., 0])
    inside = (places >= 0) & (places < n)
    index = jnp.where(inside, places, 0).astype(jnp.int32)
    shape = jnp.broadcast_shapes(images.shape[:-1], index.shape)
    images = jnp.broadcast_to(images, (*shape, n))
    found = jnp.take_along_axis(images, jnp.broadcast_to(index, shape)[..., None], axis=-1)
    return jnp.where(inside[..., None], found, jnp.nan)


def _move_sides(space: RotationGroup | Stiefel, group: AbstractGroup, g: Element, x: Array) -> Array:
    """LxRᵀ."""
    left, right = sides(space, group)
    if left.group is not None:
        x = jnp.asarray(left.group.apply(_with_axes(left.group, left.element(g), 1), x.mT)).mT
    if right.group is not None:
        x = jnp.asarray(right.group.apply(_with_axes(right.group, right.element(g), 1), x))
    return x


def _move_factors(space: Product, group: AbstractGroup, g: Element, x: Array) -> Array:
    shapes = tuple(factor.point_shape for factor in space.spaces)
    blocks = []
    for share, block in zip(shares(space, group), split_points(x, shapes), strict=True):
        if share.group is not None:
            block = move(share.space, share.group, share.element(g), block)
        rank = len(share.space.point_shape)
        blocks.append((block, block.shape[: block.ndim - rank]))
    batch = jnp.broadcast_shapes(*(shape for _, shape in blocks))
    flat = [
        jnp.broadcast_to(block.reshape(*shape, math.prod(points)), (*batch, math.prod(points)))
        for (block, shape), points in zip(blocks, shapes, strict=True)
    ]
    return jnp.concatenate(flat, axis=-1)


def _move_set(space: Sets, group: AbstractGroup, g: Element, x: Array) -> Array:
    """(hkx)_{h(j)} = k x_j for a pair (h, k); each point by its own k for a wreath product."""
    rank = len(space.space.point_shape)
    order, points = shares(space, group)
    if isinstance(group, WreathGroup):
        x = move(space.space, group.inner, g.inner, x)
        places = jnp.argsort(g.images, axis=-1)
    else:
        if points.group is not None:
            x = move(space.space, points.group, _with_axes(points.group, points.element(g), 1), x)
        assert order.group is not None
        numbers = jnp.arange(space.num_points, dtype=x.dtype)
        places = order.group.apply(order.element(g), numbers).astype(jnp.int32)
    batch = jnp.broadcast_shapes(x.shape[: x.ndim - rank - 1], places.shape[:-1])
    places = jnp.broadcast_to(places, (*batch, space.num_points))
    x = jnp.broadcast_to(x, batch + space.point_shape)
    return jnp.take_along_axis(x, jnp.expand_dims(places, tuple(range(-rank, 0))), axis=-rank - 1)


def _with_axes(group: AbstractGroup, g: Element, axes: int) -> Element:
    """New batch axes after those of the elements, for the axes of a point that g does not see."""

    def widened(leaf: Array, one: Array) -> Array:
        end = leaf.ndim - jnp.ndim(one)
        return jnp.expand_dims(leaf, tuple(range(end, end + axes)))

    return jax.tree.map(widened, g, group.identity)


def shift(group: AbstractGroup, g: Element) -> Array | None:
    """The shift b of x ↦ Ax + b, as a fraction of a period; ``None`` for linear groups."""
    if not any(isinstance(factor, AffineTorusGroup | TranslationGroup) for factor in factors(group)):
        return None
    if isinstance(group, ProductGroup):
        parts = [shift(factor, a) for factor, a in zip(group.factors, g, strict=True)]
        # Elements may be of another precision than the session's.
        dtype = max((part.dtype for part in parts if part is not None), key=lambda one: one.itemsize)
        known = [
            jnp.zeros((factor.degree,), dtype) if part is None else part.astype(dtype)
            for factor, part in zip(group.factors, parts, strict=True)
        ]
        batch = jnp.broadcast_shapes(*(part.shape[:-1] for part in known))
        return jnp.concatenate([jnp.broadcast_to(p, (*batch, p.shape[-1])) for p in known], axis=-1)
    if isinstance(group, WreathGroup):
        blocks = shift(group.inner, g.inner)
        assert blocks is not None
        places = jnp.argsort(g.images, axis=-1)[..., None]
        return jnp.take_along_axis(blocks, places, axis=-2).reshape(*blocks.shape[:-2], group.degree)
    assert isinstance(group, AffineTorusGroup | TranslationGroup)
    return jnp.asarray(group.shift(g))
