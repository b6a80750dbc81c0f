"""Route ``multiset``: invariants of points or coordinates that are permuted, without the full space.

Where a group is K ≀ S_n on Mⁿ, the invariants are indexed by multisets of the K-invariant functions of
M: neither n! nor the dimension of an eigenspace occurs.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn.algebra.catalogue import sign_group
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.multisets import (
    Multisets,
    best_method,
    multisets,
    symmetric_columns,
)
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.hypercube import Hypercube
from symjax_learn.geometry.product import FactorProducts, combinations_within
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSetFunctions,
    AbstractSpace,
    Level,
    PaddedSets,
    size_factors,
)
from symjax_learn.geometry.spectra import RELATIVE
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import Invariants
from symjax_learn.invariants.pairs import shares

# About so many products for each multiset and point, where orbits take one for each eigenfunction.
_PRODUCTS_PER_POINT = 4

# The invariants of a pair up to an eigenvalue by another route.
Elsewhere = Callable[[AbstractSpace, AbstractGroup, float], Invariants]


class Block(NamedTuple):
    """Points Mⁿ on which K ≀ S_n acts, or S_n alone.

    Attributes:
        space: M.
        num_points: n.
        group: K, or ``None``.
    """

    space: AbstractSpace
    num_points: int
    group: AbstractGroup | None


class MultisetFunctions(AbstractSetFunctions):
    """φ_s(x_1, …, x_n) = m_s/√N_s, m_s = Σ over distinct placements of s on the points Π_p φ_p(x_{j_p}).

    Attributes:
        table: the functions of one point, the constant first; the others are the labels of
        index: the multisets.
        places: the multiset of each function, ``(D,)``.
        point_shape: of one point.
        num_points: n.
    """

    table: AbstractFunctions
    index: Multisets
    places: Int[Array, " D"]
    point_shape: tuple[int, ...] = eqx.field(static=True)
    num_points: int = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The functions of all points, and the multisets, thrice: their sums, factors and products."""
        single = self.table.width + self.table.num_functions
        return self.num_points * single + 3 * self.index.num_multisets

    def set_size(self, shape: tuple[int, ...]) -> int | None:
        """The points of an array ``(n, *point)``, or of n consecutive blocks of coordinates."""
        if shape and (len(shape) == 1 or shape[1:] == self.point_shape):
            width = math.prod(self.point_shape) if len(shape) == 1 else 1
            return None if shape[0] % width else shape[0] // width
        return None

    def rows(self, points: Float[Array, "batch ..."] | PaddedSets) -> Float[Array, "D batch"]:
        """``(batch, …) -> (num_functions, batch)``.

        Cost: as :func:`~symjax_learn.algebra.multisets.monomial_symmetric`; of padded sets by the scan.
        """
        if isinstance(points, PaddedSets):
            return padded_columns(self.index, self._features, points, self.num_points)[self.places]
        features = self._features(points, self.num_points)
        method = best_method(self.index, self.num_points)
        return symmetric_columns(self.index, features, False, method)[self.places]

    def _features(self, points: Array, num_points: int) -> Float[Array, "batch n q"]:
        """The functions of each point but the constant."""
        batch = points.shape[0]
        single = self.table.rows(points.reshape(batch * num_points, *self.point_shape))[1:]
        return single.reshape(len(single), batch, num_points).transpose(1, 2, 0)


def padded_columns(
    index: Multisets, features: Callable[[Array, int], Array], sets: PaddedSets, num_points: int
) -> Array:
    """The functions m_s/√N_s on sets of unequal sizes, by the scan: ``(S, batch)``.

    Args:
        index: the multisets s.
        features: ``features(points, n')``, of each point, ``(batch, n', q)``, real or complex.
        sets: the points.
        num_points: n.
    """
    present, shape = sets.present[..., None], sets.points.shape
    # What is absent may be anything, its functions and their derivatives too.
    width = math.prod(shape[1:]) // sets.present.shape[1]
    rows = jnp.where(present, sets.points.reshape(*sets.present.shape, width), 0)
    found = features(rows.reshape(shape), sets.present.shape[1])
    marked = jnp.concatenate([jnp.where(present, found, 0), present.astype(found.dtype)], axis=-1)
    counts = sets.present.sum(axis=1, dtype=jnp.int32)
    factors = size_factors(num_points, counts, index.max_size, sets.normalization, sets.dtype)
    return symmetric_columns(index, marked, True, "scan") * factors[index.sizes].astype(found.dtype)


def blocks_of(space: AbstractSpace, group: AbstractGroup) -> list[Block] | None:
    """The blocks that a group permutes, in order; ``None`` where it is not of this kind."""
    if isinstance(space, Sets):
        if isinstance(group, WreathGroup):
            return [Block(space.space, space.num_points, group.inner)]
        order, moving = shares(space, group)
        assert order.group is not None
        return None if moving.group is not None else ordered_blocks(space.space, order.group)
    if isinstance(space, Torus | Box | Gaussian | Hypercube) and _alike(space, 1) is not None:
        return _coordinates(space, group)
    return None


def ordered_blocks(space: AbstractSpace, group: AbstractGroup) -> list[Block] | None:
    """Of permutations of points alone."""
    if isinstance(group, ProductGroup):
        found = [ordered_blocks(space, factor) for factor in group.factors]
        return None if None in found else [block for part in found for block in part or []]
    if not isinstance(group.sampler, YoungSampler):
        return None
    return [Block(space, part, None) for part in group.sampler.parts]


def _coordinates(space: AbstractSpace, group: AbstractGroup) -> list[Block]:
    """Of coordinates; a factor of another kind is one block, on which it acts as it does."""
    if isinstance(group, ProductGroup):
        return [block for factor in group.factors for block in _coordinates(space, factor)]
    if isinstance(group.sampler, YoungSampler):
        return [Block(_part(space, 1), part, None) for part in group.sampler.parts]
    if isinstance(group.sampler, SignedSampler):
        parts = group.sampler.permutations.parts
        return [Block(_part(space, 1), part, sign_group(1)) for part in parts]
    if isinstance(group, WreathGroup):
        return [Block(_part(space, group.inner.degree), group.num_blocks, group.inner)]
    return [Block(_part(space, group.degree), 1, group)]


def _part(space: AbstractSpace, dimension: int) -> AbstractSpace:
    """The space of so many of the coordinates."""
    found = _alike(space, dimension)
    assert found is not None
    return found


def _alike(space: AbstractSpace, dimension: int) -> AbstractSpace | None:
    match space:
        case Torus():
            return Torus(dimension, space.period) if space.is_cubic else None
        case Box():
            return Box(dimension)
        case Gaussian():
            return Gaussian(dimension)
        case Hypercube():
            return Hypercube(dimension)
    return None


def permuted_points(action: Action, _: Sequence[Level]) -> int:
    """How many products a function costs, about; 0 where the group permutes no points or coordinates."""
    blocks = blocks_of(action.space, action.group)
    if blocks is None or (len(blocks) == 1 and blocks[0].num_points == 1):
        return 0  # that would be the whole problem again
    return _PRODUCTS_PER_POINT * sum(block.num_points for block in blocks)


def multiset_invariants(action: Action, levels: Sequence[Level], elsewhere: Elsewhere) -> Invariants:
    """The invariants of blocks: of each its multisets, of several the products.

    Args:
        action: of a group that permutes blocks, see :func:`blocks_of`.
        levels: all up to the largest sum of eigenvalues.
        elsewhere: gives the K-invariant functions of M where K ≀ S_n acts on Mⁿ.

    Raises:
        ValueError: more than 10^6 multisets of one block or products of several.
    """
    blocks = blocks_of(action.space, action.group)
    assert blocks is not None
    max_eigenvalue = levels[-1].eigenvalue
    found = [_of_block(block, max_eigenvalue, elsewhere) for block in blocks]
    if len(found) == 1:
        return found[0]
    bound = max_eigenvalue * (1 + RELATIVE)
    positions = combinations_within([one.eigenvalues.tolist() for one in found], bound)
    sums = sum(one.eigenvalues[column] for one, column in zip(found, positions.T, strict=True))
    order = np.argsort(sums, kind="stable")
    shapes = tuple(
        block.space.point_shape
        if block.num_points == 1
        else (block.num_points, *block.space.point_shape)
        for block in blocks
    )
    table = FactorProducts(
        tables=tuple(one.table for one in found),
        indices=tuple(jnp.asarray(column[order], jnp.int32) for column in positions.T),
        shapes=shapes,
        num_functions=len(order),
    )
    residual, gap = max(one.residual for one in found), min(one.gap for one in found)
    return Invariants(table, np.asarray(sums)[order], residual, gap)


def _of_block(block: Block, max_eigenvalue: float, elsewhere: Elsewhere) -> Invariants:
    single = _of_point(block, max_eigenvalue, elsewhere)
    if block.num_points == 1:
        return single
    weights = single.eigenvalues[1:]
    index = multisets(weights.tolist(), max_eigenvalue, block.num_points)
    totals = np.asarray(index.counts, np.float64) @ weights
    order = np.argsort(totals, kind="stable")
    table = MultisetFunctions(
        table=single.table,
        index=index,
        places=jnp.asarray(order, jnp.int32),
        point_shape=block.space.point_shape,
        num_points=block.num_points,
        num_functions=len(order),
    )
    return Invariants(table, totals[order], single.residual, single.gap)


def _of_point(block: Block, max_eigenvalue: float, elsewhere: Elsewhere) -> Invariants:
    """The functions of one point, all or the K-invariant ones."""
    if block.group is not None:
        return elsewhere(block.space, block.group, max_eigenvalue)
    levels = block.space.levels(max_eigenvalue)
    values = [level.eigenvalue for level in levels]
    sizes = [level.multiplicity for level in levels]
    return Invariants(block.space.functions(levels), np.repeat(values, sizes))
