"""Spaces whose eigenfunctions a group permutes up to signs, as integers: D(g) e_k = ±e_{π(k)}.

A function is a product of functions of single places, Π_i f_{k_i}(x_i) with f_0 = 1: coordinates of a
box, of a Gaussian space and of a hypercube, pairs of nodes of a graph, points of a set. A signed
permutation of the places permutes these products, and the sign of a place i is taken k_i times.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from symjax_learn._types import Element
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.box import Box, CosineProducts
from symjax_learn.geometry.gaussian import Gaussian, HermiteProducts
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.hypercube import Characters, Hypercube
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.invariants.monomial import SignedAffine, factors, find_rows, signed_permutations
from symjax_learn.invariants.pairs import MONOMIAL_GROUPS, shares


class SignedMoves(NamedTuple):
    """D(g) e_k = (−1)^odd[k] e_{targets[k]} for a batch of elements.

    Attributes:
        targets: ``(batch, D)``.
        odd: 0 or 1, ``(batch, D)``.
    """

    targets: Int[np.ndarray, "batch D"]
    odd: Int[np.ndarray, "batch D"]


def permutes_functions(space: AbstractSpace, group: AbstractGroup) -> bool:
    """Whether the group permutes the space's eigenfunctions up to signs."""
    if isinstance(space, Sets):  # of the points, as long as each stays where it is
        order, points = shares(space, group)
        return order.group is not None and points.group is None
    known = isinstance(space, Box | Gaussian | Hypercube | Graphs)
    return known and all(isinstance(part, MONOMIAL_GROUPS) for part in factors(group))


def placed_moves(space: AbstractSpace, group: AbstractGroup, g: Element) -> SignedAffine:
    """What a batch of elements does to the places: their images and signs."""
    if isinstance(space, Sets):
        order, _ = shares(space, group)
        assert order.group is not None
        return signed_permutations(order.group, order.element(g))
    moves = signed_permutations(group, g)
    if not isinstance(space, Graphs):
        return moves
    i, j = np.triu_indices(space.num_nodes, 1)
    numbers = np.zeros((space.num_nodes,) * 2, np.int64)
    numbers[i, j] = numbers[j, i] = np.arange(len(i))
    images = numbers[moves.images[:, i], moves.images[:, j]]
    return SignedAffine(images, moves.signs[:, i] * moves.signs[:, j], np.zeros_like(images), 1)


def signed_moves(
    space: AbstractSpace, levels: Sequence[Level], group: AbstractGroup, g: Element
) -> SignedMoves:
    """How a batch of elements permutes all functions of these levels.

    Cost: O(batch·s·D·log D) for functions of at most s places.
    """
    places, entries = function_places(space, levels)
    moves = placed_moves(space, group, g)
    num_entries = int(entries.max(initial=0)) + 1
    table = _names(places, entries, num_entries)
    targets = np.empty((len(moves.images), len(table)), np.int64)
    odd = np.empty_like(targets)
    for row, (images, signs) in enumerate(zip(moves.images, moves.signs, strict=True)):
        odd[row] = ((signs[places] < 0) * entries).sum(axis=1) % 2
        targets[row] = find_rows(table, _names(images[places], entries, num_entries))
    return SignedMoves(targets, odd)


def _names(
    places: Int[np.ndarray, "D s"], entries: Int[np.ndarray, "D s"], num_entries: int
) -> Int[np.ndarray, "D s"]:
    """Sorted numbers that name the products."""
    return np.sort(np.where(entries > 0, places.astype(np.int64) * num_entries + entries, 0), axis=1)


def function_places(
    space: AbstractSpace, levels: Sequence[Level]
) -> tuple[Int[np.ndarray, "D s"], Int[np.ndarray, "D s"]]:
    """For each function the places i with k_i > 0, and these k_i; padded with place 0 and entry 0."""
    if isinstance(space, Sets):
        entries, places = np.divmod(space.factors(levels), space.num_points)
        return places, entries
    if isinstance(space, Graphs):
        return function_places(space.pairs, levels)
    table = space.functions(levels)
    if isinstance(table, Characters):
        return _subsets(table)
    assert isinstance(table, CosineProducts | HermiteProducts)
    factors = np.asarray(table.factors).T
    entries, places = np.divmod(factors, space.dimension)
    return places, entries


def _subsets(table: Characters) -> tuple[Int[np.ndarray, "D s"], Int[np.ndarray, "D s"]]:
    """The subsets of the sizes asked for."""
    sets = [np.zeros((1, 0), np.int64)]
    for parents, last in zip(table.parents, table.last, strict=True):
        extended = [sets[-1][np.asarray(parents)], np.asarray(last, np.int64)[:, None]]
        sets.append(np.concatenate(extended, axis=1))
    widest = max(table.sizes)
    blocks = [np.pad(sets[size], ((0, 0), (0, widest - size))) for size in table.sizes]
    members = [
        np.broadcast_to(np.arange(widest) < size, block.shape)
        for size, block in zip(table.sizes, blocks, strict=True)
    ]
    return np.concatenate(blocks), np.concatenate(members).astype(np.int64)
