"""How a group moves the points of each space, and which pairs of the two fit.

One line of a table for each space. Composite spaces share out the factors of a direct product: a product
of spaces to its factors, a set of points to its order and to the points.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from symjax_learn._types import Element
from symjax_learn.algebra.affine import AffineTorusGroup
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import LieGroup, TranslationGroup
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.permutations import PermutationGroup, SignedPermutationGroup
from symjax_learn.algebra.products import ProductGroup, WreathGroup, direct_product
from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.discrete import DiscreteSpace
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.hypercube import Hypercube
from symjax_learn.geometry.labels import Labels
from symjax_learn.geometry.product import Product, split_points
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.monomial import factors

_PERMUTATIONS = (PermutationGroup,)
_MONOMIAL = (PermutationGroup, SignedPermutationGroup)
_LINEAR = (*_MONOMIAL, MatrixGroup, LieGroup)


class Share(NamedTuple):
    """The consecutive factors of a group that move one part of a composite space.

    Attributes:
        space: the part.
        group: the product of those factors, or ``None`` where the part stays as it is.
        places: of the factors, from and to; ``None`` for a group that is no direct product.
    """

    space: AbstractSpace
    group: AbstractGroup | None
    places: tuple[int, int] | None

    def element(self, g: Element) -> Element:
        """What of an element of the whole group moves this part."""
        if self.places is None:
            return g
        start, stop = self.places
        return g[start] if stop == start + 1 else g[start:stop]


class _Movement(NamedTuple):
    """What acts on one kind of space.

    Attributes:
        groups: the kinds of groups, as are their direct and wreath products.
        degrees: of the groups that fit a space; 0 where it may stay as it is.
        move: ``move(space, group, g, points)``, batches broadcasting.
    """

    groups: tuple[type[AbstractGroup], ...]
    degrees: Callable[..., Sequence[int]]
    move: Callable[..., Array]


def move(space: AbstractSpace, group: AbstractGroup, g: Element, points: Array) -> Array:
    """gx, for elements and points whose batches broadcast; the pair is one that fits."""
    if isinstance(space, Product):
        return _move_factors(space, group, g, points)
    if isinstance(space, Sets):
        return _move_set(space, group, g, points)
    return _MOVEMENTS[type(space)].move(space, group, g, points)


def _move_coordinates(space: AbstractSpace, group: AbstractGroup, g: Element, x: Array) -> Array:
    return jnp.asarray(group.apply(g, x))


def _move_box(space: Box, group: AbstractGroup, g: Element, x: Array) -> Array:
    """About the centre, so that a sign reflects the box."""
    return group.apply(g, x - 0.5) + 0.5


def _move_torus(space: Torus, group: AbstractGroup, g: Element, x: Array) -> Array:
    moved, shift = jnp.asarray(group.apply(g, x)), _shift(group, g)
    if shift is None:
        return moved
    moved, shift = jnp.broadcast_arrays(moved, (space.period * shift).astype(x.dtype))
    return moved + shift


def _move_nodes(space: Graphs, group: AbstractGroup, g: Element, a: Array) -> Array:
    """PAPᵀ."""
    rows = _with_axes(group, g, 1)
    return group.apply(rows, group.apply(rows, a).mT).mT


def _move_vertices(space: AbstractSpace, group: AbstractGroup, g: Element, x: Array) -> Array:
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


def _move_rotations(space: RotationGroup, group: AbstractGroup, g: Element, x: Array) -> Array:
    """Lx, or LxR⁻¹ for a pair (L, R)."""
    left, right = sides(space, group)
    assert left.group is not None
    moved = left.group.apply(_with_axes(left.group, left.element(g), 1), x.mT).mT
    if right.group is None:
        return moved
    return right.group.apply(_with_axes(right.group, right.element(g), 1), moved)


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
    order, points = _set_shares(space, group)
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


def _shift(group: AbstractGroup, g: Element) -> Array | None:
    """The shift b of x ↦ Ax + b, as a fraction of a period; ``None`` for linear groups."""
    if not any(isinstance(factor, AffineTorusGroup | TranslationGroup) for factor in factors(group)):
        return None
    if isinstance(group, ProductGroup):
        parts = [_shift(factor, a) for factor, a in zip(group.factors, g, strict=True)]
        known = [
            jnp.zeros((factor.degree,)) if part is None else part
            for factor, part in zip(group.factors, parts, strict=True)
        ]
        batch = jnp.broadcast_shapes(*(part.shape[:-1] for part in known))
        return jnp.concatenate([jnp.broadcast_to(p, (*batch, p.shape[-1])) for p in known], axis=-1)
    if isinstance(group, WreathGroup):
        blocks = _shift(group.inner, g.inner)
        assert blocks is not None
        places = jnp.argsort(g.images, axis=-1)[..., None]
        return jnp.take_along_axis(blocks, places, axis=-2).reshape(*blocks.shape[:-2], group.degree)
    assert isinstance(group, AffineTorusGroup | TranslationGroup)
    return jnp.asarray(group.shift(g))


def _coordinates(space: AbstractSpace) -> tuple[int, ...]:
    return space.point_shape


_MOVEMENTS: dict[type[AbstractSpace], _Movement] = {
    Torus: _Movement((*_MONOMIAL, AffineTorusGroup, TranslationGroup), _coordinates, _move_torus),
    Sphere: _Movement(_LINEAR, _coordinates, _move_coordinates),
    Ball: _Movement(_LINEAR, _coordinates, _move_coordinates),
    Gaussian: _Movement(_LINEAR, _coordinates, _move_coordinates),
    Box: _Movement(_MONOMIAL, _coordinates, _move_box),
    Hypercube: _Movement(_MONOMIAL, _coordinates, _move_coordinates),
    Graphs: _Movement(_MONOMIAL, lambda space: (space.num_nodes,), _move_nodes),
    Labels: _Movement(_PERMUTATIONS, lambda space: (space.num_labels, 0), _move_vertices),
    DiscreteSpace: _Movement(_PERMUTATIONS, lambda space: (space.num_vertices,), _move_vertices),
    RotationGroup: _Movement(_LINEAR, lambda space: (3, 6), _move_rotations),
}


def sides(space: AbstractSpace, group: AbstractGroup) -> tuple[Share, Share]:
    """The factors that act from the left and from the right on the rotation group."""
    whole = Share(space, group, None)
    if group.degree == 3:
        return whole, Share(space, None, (0, 0))
    (split,) = _splits(group, [(3,), (3,)])
    left, right = (Share(space, *one) for one in split)
    return left, right


def shares(space: Product | Sets, group: AbstractGroup) -> tuple[Share, ...]:
    """Which factors of the group move which part; the pair is one that fits."""
    if isinstance(space, Sets):
        return _set_shares(space, group)
    (found,) = _ways(space, group)
    return found


def _set_shares(space: Sets, group: AbstractGroup) -> tuple[Share, Share]:
    (found,) = _ways(space, group)
    order, points = found
    return order, points


def _ways(space: Product | Sets, group: AbstractGroup) -> list[tuple[Share, ...]]:
    """All ways to share out a group among the parts of a composite space.

    The parts of a set are its order, to which the set itself stands here, and its points.
    """
    if isinstance(space, Sets):
        if isinstance(group, WreathGroup) and group.num_blocks == space.num_points:
            if unfit(space.space, group.inner) is None:
                return [(Share(space, None, None), Share(space.space, group.inner, None))]
        parts: tuple[AbstractSpace, ...] = (space, space.space)
        options = [(space.num_points,), (0, *_degrees(space.space))]
    else:
        parts, options = space.spaces, [_degrees(part) for part in space.spaces]
    ways = []
    for split in _splits(group, options):
        way = tuple(Share(part, *one) for part, one in zip(parts, split, strict=True))
        if all(_share_fits(share, space) for share in way):
            ways.append(way)
    return ways


def _share_fits(share: Share, whole: AbstractSpace) -> bool:
    if share.group is None:
        return True
    if share.space is whole:  # the order of a set
        return all(isinstance(part, _PERMUTATIONS) for part in factors(share.group))
    return unfit(share.space, share.group) is None


def _degrees(space: AbstractSpace) -> tuple[int, ...]:
    """The degrees of the groups that can act on a space."""
    if isinstance(space, Product):
        sums = {0}
        for part in space.spaces:
            sums = {total + degree for total in sums for degree in _degrees(part)}
        return tuple(sorted(sums))
    if isinstance(space, Sets):
        return tuple(space.num_points + degree for degree in {0, *_degrees(space.space)})
    return tuple(_MOVEMENTS[type(space)].degrees(space)) if type(space) in _MOVEMENTS else ()


def _splits(
    group: AbstractGroup, options: Sequence[Sequence[int]]
) -> Iterator[tuple[tuple[AbstractGroup | None, tuple[int, int] | None], ...]]:
    """Cuts of a direct product into consecutive products whose degrees are among the options."""
    parts = group.factors if isinstance(group, ProductGroup) else (group,)

    def cut(start: int, left: Sequence[Sequence[int]]) -> Iterator[tuple]:
        if not left:
            if start == len(parts):
                yield ()
            return
        for stop in range(start, len(parts) + 1):
            if sum(part.degree for part in parts[start:stop]) in left[0]:
                one: tuple[AbstractGroup | None, tuple[int, int] | None]
                if stop == start:
                    one = (None, (start, stop))
                elif not isinstance(group, ProductGroup):
                    one = (group, None)
                else:
                    few = parts[start:stop]
                    one = (few[0] if len(few) == 1 else direct_product(*few), (start, stop))
                for rest in cut(stop, left[1:]):
                    yield (one, *rest)

    return cut(0, options)


def unfit(space: AbstractSpace, group: AbstractGroup) -> Exception | None:
    """Why a group has no action of its own on a space; ``None`` where it has one."""
    name, kind = type(space).__name__, type(group).__name__
    if isinstance(space, Product | Sets):
        ways = _ways(space, group)
        if len(ways) == 1:
            return None
        found = "in no way" if not ways else f"in {len(ways)} ways"
        return ValueError(
            f"group: its factors, of degrees {_factor_degrees(group)}, can be shared out {found} among "
            f"the parts of {_describe(space)}; give direct_product(...) with "
            f"{_expected(space)}."
        )
    movement = _MOVEMENTS.get(type(space))
    parts = factors(group)
    if movement is None or not all(isinstance(part, movement.groups) for part in parts):
        known = (
            "none does; give one as action(space, group, act=...)"
            if movement is None
            else f"there act {_listed(movement.groups)} and their products; or give "
            "action(space, group, act=...)"
        )
        if isinstance(space, Torus) and any(isinstance(part, MatrixGroup) for part in parts):
            known = "use affine_torus_group, whose matrices are integers"
        return TypeError(f"group: {kind} has no action of its own on {name}; {known}.")
    degrees = [degree for degree in movement.degrees(space) if degree]
    if group.degree not in degrees:
        if isinstance(space, RotationGroup | Graphs | Labels | DiscreteSpace):
            wanted = " or ".join(str(degree) for degree in degrees)
            return ValueError(
                f"group: its degree is {group.degree} and {name} needs {wanted}; make the group of that "
                "degree."
            )
        return ValueError(
            f"group: it moves {group.degree} coordinates and points of the space have {degrees[0]}; "
            f"make the group of degree {degrees[0]}, or the space of points with {group.degree}."
        )
    return _no_isometry(space, group)


def _no_isometry(space: AbstractSpace, group: AbstractGroup) -> Exception | None:
    """Why a group of the right kind and degree does not act by isometries."""
    if isinstance(space, Torus):
        return _no_torus_isometry(space, group)
    if isinstance(space, RotationGroup):
        return _no_rotation(space, group)
    if isinstance(space, DiscreteSpace):
        return _no_automorphism(space, group)
    return None


def _no_torus_isometry(space: Torus, group: AbstractGroup) -> Exception | None:
    for part in factors(group):
        if not isinstance(part, AffineTorusGroup):
            continue
        matrices = np.asarray(part.generators.matrix)
        grams = np.einsum("gji,gjk->gik", matrices, matrices)
        bad = np.flatnonzero((grams != np.eye(part.degree, dtype=int)).any(axis=(1, 2)))
        if len(bad):
            return ValueError(
                f"group: generator {bad[0]} has the linear part {matrices[bad[0]].tolist()}, which is "
                "no isometry of the cubic torus (AᵀA is not the identity); it may belong to another "
                "lattice, such as the hexagonal one."
            )
    return None


def _no_rotation(space: RotationGroup, group: AbstractGroup) -> Exception | None:
    if group.degree == 6 and not list(_splits(group, [(3,), (3,)])):
        return ValueError(
            f"group: its factors have the degrees {_factor_degrees(group)}, and a pair (L, R) that acts "
            "by x ↦ LxR⁻¹ has 3 and 3; give direct_product(L, R)."
        )
    for side in sides(space, group):
        if side.group is None or not side.group.num_generators:
            continue
        determinants = np.linalg.det(np.asarray(side.group.matrix(side.group.generators), float))
        bad = np.flatnonzero(determinants < 0)
        if len(bad):
            return ValueError(
                f"group: generator {bad[0]} of {type(side.group).__name__} has determinant -1 and leads "
                "out of SO(3); use its rotations, such as special_orthogonal_group(3) or "
                "point_group('O')."
            )
    return None


def _no_automorphism(space: DiscreteSpace, group: AbstractGroup) -> Exception | None:
    laplacian = space.laplacian
    for row in range(group.num_generators):
        g = jax.tree.map(lambda leaf, row=row: leaf[row], group.generators)
        images = np.rint(np.asarray(group.apply(group.inverse(g), jnp.arange(float(group.degree)))))
        images = images.astype(int)
        defect = abs(laplacian[images][:, images] - laplacian)
        if (worst := float(defect.max())) > 1e-10 * float(abs(laplacian).max()):
            return ValueError(
                f"group: generator {row} is no symmetry of the graph: it changes an entry of the "
                f"Laplacian by {worst:.3g}; give automorphisms."
            )
    return None


def _factor_degrees(group: AbstractGroup) -> list[int]:
    return [part.degree for part in (group.factors if isinstance(group, ProductGroup) else (group,))]


def _describe(space: Product | Sets) -> str:
    if isinstance(space, Sets):
        return f"Sets({type(space.space).__name__}, {space.num_points})"
    return f"Product({', '.join(type(part).__name__ for part in space.spaces)})"


def _expected(space: Product | Sets) -> str:
    if isinstance(space, Sets):
        return (
            f"a group of {space.num_points} points that permutes them, and then one that moves every "
            "point, or none"
        )
    return "one group for each factor, such as trivial_group(n) where it stays as it is"


def _listed(groups: Sequence[type[AbstractGroup]]) -> str:
    return ", ".join(group.__name__ for group in groups)
