"""Which groups act on which spaces, and how the factors of a product share out a composite space.

One line of a table for each space. Composite spaces share out the factors of a direct product: a product
of spaces to its factors, a set of points to its order and to the points.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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
from symjax_learn.geometry.homogeneous import Grassmannian, Stiefel
from symjax_learn.geometry.hypercube import Hypercube
from symjax_learn.geometry.labels import Labels
from symjax_learn.geometry.mesh import Mesh
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.geometry.torus import Torus
from symjax_learn.geometry.vertices import AbstractVertices
from symjax_learn.invariants.monomial import factors, no_torus_isometry

# A permutation of vertices is a symmetry to this relative accuracy of weights and matrix.
_SYMMETRIC = 1e-9
_PERMUTATIONS = (PermutationGroup,)
MONOMIAL_GROUPS = (PermutationGroup, SignedPermutationGroup)
_LINEAR = (*MONOMIAL_GROUPS, MatrixGroup, LieGroup)


class _Fit(NamedTuple):
    """What acts on one kind of space.

    Attributes:
        groups: the kinds of groups, as are their direct and wreath products.
        degrees: ``degrees(space)`` of the groups that fit; 0 where it may stay as it is.
    """

    groups: tuple[type[AbstractGroup], ...]
    degrees: Callable[..., Sequence[int]]


def _coordinates(space: AbstractSpace) -> tuple[int, ...]:
    return space.point_shape


_FITS: dict[type[AbstractSpace], _Fit] = {
    Torus: _Fit((*MONOMIAL_GROUPS, AffineTorusGroup, TranslationGroup), _coordinates),
    Sphere: _Fit(_LINEAR, _coordinates),
    Ball: _Fit(_LINEAR, _coordinates),
    Gaussian: _Fit(_LINEAR, _coordinates),
    Box: _Fit(MONOMIAL_GROUPS, _coordinates),
    Hypercube: _Fit(MONOMIAL_GROUPS, _coordinates),
    Graphs: _Fit(MONOMIAL_GROUPS, lambda space: (space.num_nodes,)),
    Labels: _Fit(_PERMUTATIONS, lambda space: (space.num_labels, 0)),
    DiscreteSpace: _Fit(_PERMUTATIONS, lambda space: (space.num_vertices,)),
    Mesh: _Fit(_PERMUTATIONS, lambda space: (space.num_vertices,)),
    RotationGroup: _Fit(_LINEAR, lambda _: (3, 6)),
    Stiefel: _Fit(_LINEAR, lambda space: (*space.point_shape, sum(space.point_shape))),
    Grassmannian: _Fit(_LINEAR, lambda space: space.point_shape[:1]),
}


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


def sides(space: RotationGroup | Stiefel, group: AbstractGroup) -> tuple[Share, Share]:
    """The factors L and R that act by x ↦ LxRᵀ; on rotations one group alone acts from the left."""
    rows, columns = space.point_shape
    whole, none = Share(space, group, None), Share(space, None, (0, 0))
    if group.degree == rows:
        return whole, none
    if group.degree == columns:
        return none, whole
    (split,) = _splits(group, [(rows,), (columns,)])
    left, right = (Share(space, *one) for one in split)
    return left, right


def shares(space: Product | Sets, group: AbstractGroup) -> tuple[Share, ...]:
    """Which factors of the group move which part; the pair is one that fits.

    The parts of a set are its order, for which the set itself stands, and its points. Kinds and degrees
    decide, which are known while the group is traced.
    """
    (found,) = _ways(space, group)
    return found


def _ways(space: Product | Sets, group: AbstractGroup) -> list[tuple[Share, ...]]:
    """All ways to share out a group among the parts of a composite space."""
    if isinstance(space, Sets):
        if isinstance(group, WreathGroup) and group.num_blocks == space.num_points:
            if _misfit(space.space, group.inner) is None:
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
    return _misfit(share.space, share.group) is None


def _degrees(space: AbstractSpace) -> tuple[int, ...]:
    """The degrees of the groups that can act on a space."""
    if isinstance(space, Product):
        sums = {0}
        for part in space.spaces:
            sums = {total + degree for total in sums for degree in _degrees(part)}
        return tuple(sorted(sums))
    if isinstance(space, Sets):
        return tuple(space.num_points + degree for degree in {0, *_degrees(space.space)})
    return tuple(_FITS[type(space)].degrees(space)) if type(space) in _FITS else ()


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
    return _misfit(space, group) or _no_isometry(space, group)


def _misfit(space: AbstractSpace, group: AbstractGroup) -> Exception | None:
    """Why the kinds of a group and of a space, or their degrees, do not fit."""
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
    fit = _FITS.get(type(space))
    parts = factors(group)
    if fit is None or not all(isinstance(part, fit.groups) for part in parts):
        known = (
            "none does; give one as action(space, group, act=...)"
            if fit is None
            else f"there act {_listed(fit.groups)} and their products; or give "
            "action(space, group, act=...)"
        )
        if isinstance(space, Torus) and any(isinstance(part, MatrixGroup) for part in parts):
            known = "use affine_torus_group, whose matrices are integers"
        return TypeError(f"group: {kind} has no action of its own on {name}; {known}.")
    degrees = [degree for degree in fit.degrees(space) if degree]
    if group.degree not in degrees:
        if isinstance(space, RotationGroup | Stiefel | Graphs | Labels | AbstractVertices):
            wanted = " or ".join(str(degree) for degree in degrees)
            return ValueError(
                f"group: its degree is {group.degree} and {name} needs {wanted}; make the group of that "
                "degree."
            )
        return ValueError(
            f"group: it moves {group.degree} coordinates and points of the space have {degrees[0]}; "
            f"make the group of degree {degrees[0]}, or the space of points with {group.degree}."
        )
    if isinstance(space, RotationGroup | Stiefel):
        rows, columns = space.point_shape
        if group.degree == rows + columns and not list(_splits(group, [(rows,), (columns,)])):
            return ValueError(
                f"group: its factors have the degrees {_factor_degrees(group)}, and a pair (L, R) that "
                f"acts by x ↦ LxRᵀ has {rows} and {columns}; give direct_product(L, R)."
            )
    return None


def _no_isometry(space: AbstractSpace, group: AbstractGroup) -> Exception | None:
    """Why a group of the right kind and degree does not act by isometries."""
    match space:
        case Product() | Sets():
            reasons = (
                _no_isometry(share.space, share.group)
                for share in shares(space, group)
                if share.group is not None and share.space is not space
            )
            return next((reason for reason in reasons if reason is not None), None)
        case Torus():
            return no_torus_isometry(space, group)
        case RotationGroup():
            return _no_rotation(space, group)
        case AbstractVertices():
            return _no_automorphism(space, group)
    return None


def _no_rotation(space: RotationGroup, group: AbstractGroup) -> Exception | None:
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


def _no_automorphism(space: AbstractVertices, group: AbstractGroup) -> Exception | None:
    matrix, ground = space.matrix(), space.ground
    scale = float(abs(matrix).max())
    for row in range(group.num_generators):
        g = jax.tree.map(lambda leaf, row=row: leaf[row], group.generators)
        images = group.apply(group.inverse(g), jnp.arange(float(group.degree)))
        images = np.rint(np.asarray(images)).astype(int)
        weights = float(np.abs(ground[images] ** 2 / ground**2 - 1).max())
        entries = float(abs(matrix[images][:, images] - matrix).max()) / scale if scale else 0.0
        if max(weights, entries) > _SYMMETRIC:
            return ValueError(
                f"group: generator {row} is no symmetry of the {type(space).__name__}: it changes an "
                f"entry of the Laplacian by {entries:.3g} of its largest, and the weight of a vertex by "
                f"{weights:.3g} of itself; give automorphisms."
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
