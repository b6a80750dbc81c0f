"""The boundary of the space of orbits of a finite group: that of the space, and the mirrors.

Where a reflection r, an element whose fixed points have codimension 1, moves the points of a space, the
orbits end at its mirror Fix r. Each mirror has two sides, so that

    vol ∂(M/G) = (vol ∂M + 2 Σ_r vol Fix r) / |G|,

the sum over the reflections of an effective G.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from symjax_learn.algebra.affine import AffineTorusGroup
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.permutations import (
    AlternatingSampler,
    PermutationGroup,
    SignedPermutation,
    SignedPermutationGroup,
    SignedSampler,
    YoungSampler,
)
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.homogeneous import Grassmannian, Stiefel
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.kernels import kernel_order, num_components
from symjax_learn.invariants.monomial import IntegerAffine, SignedAffine, factors, signed_affine
from symjax_learn.invariants.pairs import shares

# Reflections are looked for among the elements of groups up to this order.
_MAX_LISTED = 10_000
# A matrix within this of its inverse is a reflection, if it has their trace.
_SAME = 1e-6


class Reflections(NamedTuple):
    """How many reflections a group of orthogonal matrices has, by their mirrors.

    Attributes:
        flips: x_i ↦ −x_i.
        exchanges: x_i ↔ x_j and x_i ↔ −x_j.
        others: in mirrors of any other direction, or of one that was not looked at.
    """

    flips: int
    exchanges: int
    others: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def boundary_ratio(action: Action) -> float | None:
    """Vol ∂(M/G)/vol(M/G) for a finite group, mirrors included; ``None`` where it is not known.

    In closed form for symmetric, Young, sign and hyperoctahedral groups of any degree, for other
    (signed) permutations by membership of each possible reflection in a stabilizer chain, by the
    elements of matrix and affine groups up to order 10,000. For products of spaces it is the sum.
    """
    if action.order == math.inf or action.user_act is not None:
        return None
    return _ratio(action.space, action.group)


def _ratio(space: AbstractSpace, group: AbstractGroup) -> float | None:
    if space.dimension == 0:
        return 0.0
    if isinstance(space, Product):
        ratios = [
            _own_ratio(share.space) if share.group is None else _ratio(share.space, share.group)
            for share in shares(space, group)
        ]
        return _total(ratios)
    if isinstance(space, Sets):
        return _set_ratio(space, group)
    mirrors = _mirrors(space, group)
    return _total([_own_ratio(space), None if mirrors is None else 2 * mirrors])


def _own_ratio(space: AbstractSpace) -> float | None:
    """Vol ∂M/vol(M)."""
    if space.dimension == 0:
        return 0.0
    match space:
        case Torus() | Sphere() | RotationGroup() | Stiefel() | Grassmannian():
            return 0.0
        case Box():
            return 2.0 * space.dimension
        case Ball():
            return space.dimension / space.radius
        case Product():
            return _total([_own_ratio(part) for part in space.spaces])
        case Sets():
            return _total([_own_ratio(space.space)] * space.num_points)
    return None


def _total(ratios: list[float | None]) -> float | None:
    known = [ratio for ratio in ratios if ratio is not None]
    return math.fsum(known) if len(known) == len(ratios) else None


def _set_ratio(space: Sets, group: AbstractGroup) -> float | None:
    """Each point adds its own; two points of a line that meet, and exchange, √2 more.

    The fixed points {x_i = kx_j} of an exchange have codimension dim M, and the volume √2^{dim M}
    vol(M)^{n−1}.
    """
    n, one = space.num_points, space.space
    order, points = shares(space, group)
    if isinstance(group, WreathGroup):
        inner, exchanges = _ratio(one, group.inner), math.comb(n, 2)
        fraction = Fraction(kernel_order(Action(one, group.inner)) or 1, int(group.inner.order))
        if num_components(one) > 1 and fraction != 1:
            return None
        meeting = 2 * math.sqrt(2) * exchanges / (one.volume * float(fraction))
        return _total([inner] * n + [meeting if one.dimension == 1 else 0.0])
    moving = points.group
    if n == 1:
        return _own_ratio(one) if moving is None else _ratio(one, moving)
    own = _total([_own_ratio(one)] * n)
    if one.dimension > 1:
        return own
    assert order.group is not None
    kinds = reflections(order.group)
    if kinds is None:
        return None
    turning = 1
    if moving is not None and n == 2:  # x_1 = kx_2 and x_2 = kx_1
        alone = num_components(one) == 1 and kernel_order(Action(one, moving)) == 1
        if not alone or moving.order > _MAX_LISTED:
            return None
        images = moving.faithful(moving.elements())
        squares = np.take_along_axis(images, images.astype(np.int64), axis=1)
        turning = int((squares == np.arange(images.shape[1])).all(axis=1).sum())
    return _total([own, 2 * math.sqrt(2) * kinds.total * turning / one.volume])


def _mirrors(space: AbstractSpace, group: AbstractGroup) -> float | None:
    """Σ vol(Fix r)/vol(M) over the reflections."""
    if isinstance(space, RotationGroup):  # a connected group of isometries: they keep the orientation
        return 0.0
    if isinstance(space, Torus):
        return _torus_mirrors(space, group)
    if isinstance(space, Sphere | Ball | Box):
        kinds = reflections(group)
        if kinds is None:
            return None
        if isinstance(space, Box):
            return kinds.flips + math.sqrt(2) * kinds.exchanges
        # vol(S^{d−1})/vol(S^d), or ω_{d−1}/ω_d: quotients of gamma functions half a step apart.
        half = space.dimension / 2 + (1 if isinstance(space, Ball) else 1 / 2)
        quotient = math.exp(math.lgamma(half) - math.lgamma(half - 1 / 2)) / math.sqrt(math.pi)
        return kinds.total * quotient / (space.radius if isinstance(space, Ball) else 1)
    return 0.0 if kernel_order(Action(space, group)) == group.order else None


def reflections(group: AbstractGroup) -> Reflections | None:
    """The reflections of a finite linear group; ``None`` where they are not known."""
    match group:
        case ProductGroup():
            found = [reflections(factor) for factor in group.factors]
            known = [one for one in found if one is not None]
            if len(known) < len(found):
                return None
            return Reflections(*(sum(counts) for counts in zip(*known, strict=True)))
        case WreathGroup():
            inner, n = reflections(group.inner), group.num_blocks
            if inner is None:
                return None
            # Two blocks of one coordinate each, x_i = hx_j.
            swaps = int(group.inner.order) * math.comb(n, 2) if group.inner.degree == 1 else 0
            return Reflections(n * inner.flips, n * inner.exchanges + swaps, n * inner.others)
        case PermutationGroup() | SignedPermutationGroup():
            return _signed_reflections(group)
        case MatrixGroup():
            if group.order > _MAX_LISTED:
                return None
            matrices = np.asarray(group.elements(), np.float64)
            traces = np.abs(np.einsum("gii->g", matrices) - (group.degree - 2)) < _SAME
            symmetric = np.abs(matrices - matrices.swapaxes(1, 2)).max(axis=(1, 2)) < _SAME
            return Reflections(0, 0, int((traces & symmetric).sum()))
    return None


def _signed_reflections(group: PermutationGroup | SignedPermutationGroup) -> Reflections:
    """In closed form, or by the membership of all that there may be."""
    n, sampler = group.degree, group.sampler
    if isinstance(sampler, YoungSampler | SignedSampler):
        signed = isinstance(sampler, SignedSampler)
        parts = sampler.permutations.parts if isinstance(sampler, SignedSampler) else sampler.parts
        exchanges = sum(math.comb(part, 2) for part in parts)
        return Reflections(n if signed else 0, exchanges * (2 if signed else 1), 0)
    if isinstance(sampler, AlternatingSampler):
        return Reflections(0, 0, 0)
    rows, columns = np.triu_indices(n, 1)
    images = np.tile(np.arange(n, dtype=np.int32), (len(rows), 1))
    places = np.arange(len(rows))
    images[places, rows], images[places, columns] = columns, rows
    if isinstance(group, PermutationGroup):
        return Reflections(0, int(group.contains(images).sum()) if len(rows) else 0, 0)
    signs = np.ones_like(images)
    opposite = signs.copy()
    opposite[places, rows] = opposite[places, columns] = -1
    still = np.tile(np.arange(n, dtype=np.int32), (n, 1))
    flips = 1 - 2 * np.eye(n, dtype=np.int32)
    contained = group.contains(
        SignedPermutation(
            np.concatenate([still, images, images]), np.concatenate([flips, signs, opposite])
        )
    )
    return Reflections(int(contained[:n].sum()), int(contained[n:].sum()), 0)


def _torus_mirrors(space: Torus, group: AbstractGroup) -> float | None:
    if space.is_cubic and not any(isinstance(part, AffineTorusGroup) for part in factors(group)):
        kinds = reflections(group)
        side = math.exp(space.log_volume / space.dimension)
        return None if kinds is None else (2 * kinds.flips + math.sqrt(2) * kinds.exchanges) / side
    if group.order > _MAX_LISTED:
        return None
    elements = signed_affine(group, group.elements())
    vectors = space.period * np.eye(space.dimension) if space.vectors is None else space.vectors
    dual = np.linalg.inv(np.asarray(vectors) @ np.asarray(vectors).T)
    if isinstance(elements, SignedAffine):
        still = elements.images == np.arange(space.dimension)
        traces = np.where(still, elements.signs, 0).sum(axis=1)
    else:
        traces = np.einsum("gii->g", elements.matrices)
    rows = np.flatnonzero(traces == space.dimension - 2).tolist()
    return math.fsum(_affine_mirrors(elements.single(row), dual) for row in rows)


def _affine_mirrors(element: SignedAffine | IntegerAffine, dual: np.ndarray) -> float:
    """Vol Fix/vol of x ↦ Ax + b: 0 unless A is a reflection, and b lets it keep points.

    Then 1 − A = u vᵀ with v primitive, x is fixed where t = v·x solves ut = b modulo 1, and each such
    mirror has |v| vol, in the metric of the dual lattice.
    """
    matrix = element.matrices[0]
    d = len(matrix)
    if not np.array_equal(matrix @ matrix, np.eye(d, dtype=matrix.dtype)):
        return 0.0
    outer = (np.eye(d, dtype=matrix.dtype) - matrix).tolist()
    row = next(row for row in outer if any(row))
    divisor = math.gcd(*row)
    v = [entry // divisor for entry in row]
    column = next(j for j, entry in enumerate(v) if entry)
    u = [entries[column] // v[column] for entries in outer]
    shifts = [Fraction(int(b), element.denominator) for b in element.shifts[0]]
    place = next(i for i, entry in enumerate(u) if entry)
    heights = [(shifts[place] + turn) / u[place] for turn in range(abs(u[place]))]
    fixed = [
        t for t in heights if all((c * t - b).denominator == 1 for c, b in zip(u, shifts, strict=True))
    ]
    return len(fixed) * math.sqrt(np.asarray(v) @ dual @ np.asarray(v))
