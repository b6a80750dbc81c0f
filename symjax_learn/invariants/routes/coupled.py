"""Route ``coupled``: points that are permuted by H, and all moved at once by K, without the full space.

The functions that H leaves fixed are products of occupation-number states, one for each block of points
that H permutes: bosons in the functions of one point. K preserves their levels, so that the invariants
of H × K are those of products of symmetric powers of single-point eigenspaces, one after the other.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, Int

from symjax_learn.algebra.bosons import states
from symjax_learn.algebra.couplings import Coupled, Shell, coupled, shell
from symjax_learn.algebra.multisets import Multisets, closed_multisets, symmetric_columns
from symjax_learn.algebra.weights import (
    Constraints,
    Labels,
    commuting_family,
    invariant_parts,
    labels,
)
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSetFunctions,
    Level,
    PaddedSets,
)
from symjax_learn.geometry.spectra import RELATIVE
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import Invariants
from symjax_learn.invariants.pairs import shares
from symjax_learn.invariants.routes.multiset import ordered_blocks, padded_columns

# More products of symmetric powers than this are refused.
_MAX_OCCUPATIONS = 200_000
# About so many products for each function and point.
_PRODUCTS_PER_POINT = 100
# Matrices of two invariant subspaces that differ by less are the same.
_SAME = 1e-9


class CoupledFunctions(AbstractSetFunctions):
    """f = Σ_s (u_s Re T_s + v_s Im T_s), T_s = Π_b m_{s_b}/√N_{s_b} over the blocks b of points.

    m_s is the sum over distinct placements of the labels s on the points of a block of the products of
    label functions, which are combinations of the eigenfunctions of one point, complex where K has a
    torus. The coefficients come in groups of pieces of about one size.

    Attributes:
        table: the eigenfunctions of one point, the constant first.
        real: the label functions in the others, ``(functions, labels)``: the real parts, and
        imaginary: the imaginary ones; ``None`` where all are real.
        indices: for each block of points the multisets of labels that occur.
        states: for each block the multiset of each state s, ``(S,)``.
        pieces: for each group the states of each piece, in Re T and then Im T, ``(pieces, states)``, and
        coefficients: of its functions, ``(pieces, functions, states)``.
        order: where each function is, in all groups one after the other.
        parts: the number of points of each block.
        point_shape: of one point.
    """

    table: AbstractFunctions
    real: Float[Array, "m q"]
    imaginary: Float[Array, "m q"] | None
    indices: tuple[Multisets, ...]
    states: tuple[Int[Array, " S"], ...]
    pieces: tuple[Int[Array, "_ _"], ...]
    coefficients: tuple[Float[Array, "_ _ _"], ...]
    order: Int[Array, " D"]
    parts: tuple[int, ...] = eqx.field(static=True)
    point_shape: tuple[int, ...] = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The functions of all points; the multisets, thrice; the states and the pieces; the answer."""
        numbers = 1 if self.imaginary is None else 2
        single = self.table.width + self.table.num_functions + numbers * self.real.shape[1]
        totals = sum(3 * index.num_multisets for index in self.indices) + 2 * len(self.states[0])
        pieces = sum(places.size for places in self.pieces)
        return sum(self.parts) * single + numbers * totals + pieces + 2 * self.num_functions

    def set_size(self, shape: tuple[int, ...]) -> int | None:
        """The points of an array ``(n, *point)``, where H permutes all of them."""
        return shape[0] if len(self.parts) == 1 and shape[1:] == self.point_shape else None

    def rows(self, points: Float[Array, "batch n ..."] | PaddedSets) -> Float[Array, "D batch"]:
        """``(batch, n, *point) -> (num_functions, batch)``.

        Cost: n·Σ_s |distinct(s)| over the multisets, and one product for each coefficient.
        """
        totals = self._states(points)
        values = totals if self.imaginary is None else jnp.concatenate([totals.real, totals.imag])
        found = [
            jnp.einsum(
                "grs,gsb->grb", matrix.astype(values.dtype), values[places], precision="highest"
            ).reshape(-1, values.shape[1])
            for places, matrix in zip(self.pieces, self.coefficients, strict=True)
        ]
        return jnp.concatenate(found)[self.order]

    def _states(self, points: Float[Array, "batch n ..."] | PaddedSets) -> Array:
        """T_s, real or complex, ``(S, batch)``."""
        if isinstance(points, PaddedSets):
            (index,), (states_of,), (size,) = self.indices, self.states, self.parts
            return padded_columns(index, self._features, points, size)[states_of]
        features = self._features(points, sum(self.parts))
        blocks = jnp.split(features, np.cumsum(self.parts)[:-1].tolist(), axis=1)
        factors = [
            symmetric_columns(index, block, False, "scan")[states_of]
            for index, block, states_of in zip(self.indices, blocks, self.states, strict=True)
        ]
        return math.prod(factors[1:], start=factors[0])

    def _features(self, points: Array, num_points: int) -> Array:
        """The label functions of each point, ``(batch, n, q)``."""
        batch = points.shape[0]
        single = self.table.rows(points.reshape(batch * num_points, *self.point_shape))[1:]
        values = jnp.matmul(self.real.T.astype(single.dtype), single, precision="highest")
        if self.imaginary is not None:
            other = jnp.matmul(self.imaginary.T.astype(single.dtype), single, precision="highest")
            values = jax.lax.complex(values, other)
        return values.reshape(len(values), batch, num_points).transpose(1, 2, 0)


class _Part(NamedTuple):
    """An invariant subspace of the functions of one point.

    Attributes:
        eigenvalue: of its level.
        kind: equal for subspaces on which all constraints are the same matrices.
        start: of its labels among all.
    """

    eigenvalue: float
    kind: int
    start: int


class _Points(NamedTuple):
    """The functions of one point by invariant subspaces.

    Attributes:
        parts: in order.
        kinds: the labels of each kind.
        vectors: the label functions in the eigenfunctions, ``(functions, labels)``.
    """

    parts: list[_Part]
    kinds: list[Labels]
    vectors: Inexact[np.ndarray, "m q"]


# Of one product of shells: the block of points, the part and the number of bosons of each.
_Occupation = tuple[tuple[int, int, int], ...]


class _Piece(NamedTuple):
    """The invariants of one product of shells, by multisets of labels in each block of points."""

    eigenvalue: float
    occupation: _Occupation
    found: Coupled


def coupled_products(action: Action, _: Sequence[Level]) -> int:
    """How many products a function costs, about; 0 where the pair is not of this kind."""
    parts = _parts(action)
    return 0 if parts is None else _PRODUCTS_PER_POINT * sum(parts)


def _parts(action: Action) -> tuple[int, ...] | None:
    """How many points H permutes among themselves; ``None`` where the group is no H × K on sets."""
    space = action.space
    if not isinstance(space, Sets):
        return None
    order, moving = shares(space, action.group)
    if order.group is None or moving.group is None:
        return None
    blocks = ordered_blocks(space.space, order.group)
    return None if blocks is None else tuple(block.num_points for block in blocks)


def coupled_invariants(action: Action, levels: Sequence[Level], _: object) -> Invariants:
    """The invariants of H × K on sets, up to the last of these levels.

    Raises:
        ValueError: more products of symmetric powers, states or multisets than are built.

    Cost: for each product of symmetric powers S³ for S states of weight zero.
    """
    space, parts = action.space, _parts(action)
    assert isinstance(space, Sets)
    assert parts is not None
    moving = shares(space, action.group)[1].group
    assert moving is not None
    max_eigenvalue = levels[-1].eigenvalue
    points = _points(Action(space.space, moving), max_eigenvalue)
    shells: dict[tuple[int, int], Shell] = {}
    solved: dict[tuple[tuple[int, int], ...], Coupled] = {}
    pieces: list[_Piece] = []
    for eigenvalue, occupation in _occupations(points.parts, parts, max_eigenvalue):
        # Equal products are solved once, in the order of their kinds.
        ordered = sorted(occupation, key=lambda one: (points.parts[one[1]].kind, one[2]))
        key = tuple((points.parts[part].kind, size) for _, part, size in ordered)
        if key not in solved:
            for kind, size in key:
                if (kind, size) not in shells:
                    shells[kind, size] = shell(points.kinds[kind], size)
            solved[key] = coupled([shells[one] for one in key])
        if solved[key].real.shape[1]:
            pieces.append(_Piece(eigenvalue, tuple(ordered), solved[key]))
    table, eigenvalues = _table(space, parts, points, pieces)
    evidence = solved.values()
    return Invariants(
        table,
        eigenvalues,
        max((one.residual for one in evidence), default=0.0),
        min((one.gap for one in evidence), default=math.inf),
    )


def _points(action: Action, max_eigenvalue: float) -> _Points:
    """The invariant subspaces of all nonconstant levels of one point, and their labels."""
    levels = action.space.levels(max_eigenvalue)[1:]
    if not levels:
        return _Points([], [], np.zeros((0, 0)))
    everything = [
        Constraints(*both)
        for both in zip(
            action.generator_representations(levels), action.derivations(levels), strict=True
        )
    ]
    family = commuting_family(everything)
    parts: list[_Part] = []
    kinds: list[tuple[Constraints, Labels]] = []
    columns: list[np.ndarray] = []
    size = sum(level.multiplicity for level in levels)
    first, start = 0, 0
    for level, constraints in zip(levels, everything, strict=True):
        for part in invariant_parts(constraints):
            here = constraints.on(part)
            kind = next((i for i, (one, _) in enumerate(kinds) if _are_equal(one, here)), len(kinds))
            if kind == len(kinds):
                kinds.append((here, labels(here, family)))
            vectors = part @ kinds[kind][1].vectors
            parts.append(_Part(level.eigenvalue, kind, start))
            columns.append(np.pad(vectors, ((first, size - first - len(vectors)), (0, 0))))
            start += vectors.shape[1]
        first += level.multiplicity
    return _Points(parts, [one for _, one in kinds], np.concatenate(columns, axis=1))


def _are_equal(one: Constraints, other: Constraints) -> bool:
    return all(
        a.shape == b.shape and np.abs(a - b).max(initial=0.0) < _SAME
        for a, b in zip(one, other, strict=True)
    )


def _occupations(
    parts: Sequence[_Part], num_points: Sequence[int], max_eigenvalue: float
) -> Iterator[tuple[float, _Occupation]]:
    """How many points of each block are in each part, of at most this sum; not the constant's."""
    bound = max_eigenvalue * (1 + RELATIVE)
    slots = [(block, part) for part in range(len(parts)) for block in range(len(num_points))]
    number = 0

    def extended(
        place: int, total: float, left: tuple[int, ...], taken: _Occupation
    ) -> Iterator[tuple[float, _Occupation]]:
        nonlocal number
        number += 1
        if number > _MAX_OCCUPATIONS:
            raise ValueError(
                f"max_eigenvalue or max_functions: more than {_MAX_OCCUPATIONS:,} products of symmetric "
                "powers of levels of one point; lower it."
            )
        yield total, taken
        for here in range(place, len(slots)):
            block, part = slots[here]
            value = parts[part].eigenvalue
            if total + value > bound:  # parts ascend
                return
            for size in range(1, left[block] + 1):
                if total + size * value > bound:
                    break
                fewer = (*left[:block], left[block] - size, *left[block + 1 :])
                yield from extended(here + 1, total + size * value, fewer, (*taken, (block, part, size)))

    return (one for one in extended(0, 0.0, tuple(num_points), ()) if one[1])


def _table(
    space: Sets, parts: Sequence[int], points: _Points, pieces: Sequence[_Piece]
) -> tuple[CoupledFunctions, Float[np.ndarray, " D"]]:
    """The finished arrays, and the eigenvalues in their order; the constant is the first state."""
    indices, rows = _multisets(parts, points, pieces)
    ends = np.cumsum([1, *(len(piece.found.states) for piece in pieces)])
    total = int(ends[-1])
    is_real = not np.iscomplexobj(points.vectors)
    groups: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray, float]]] = defaultdict(list)
    groups[1, 1].append((np.zeros(1, np.int64), np.ones((1, 1)), 0.0))
    for piece, start in zip(pieces, ends, strict=False):
        found = piece.found
        here = start + np.arange(len(found.states))
        matrix = np.concatenate([found.real, found.imaginary]).T
        places = np.concatenate([here, here + total])
        used = np.abs(matrix).max(axis=0) > 0
        matrix, places = matrix[:, used], places[used]
        size = (_rounded(matrix.shape[0]), _rounded(matrix.shape[1]))
        groups[size].append((places, matrix, piece.eigenvalue))
    index, coefficients, eigenvalues, kept = [], [], [], []
    position = 0
    for members in groups.values():
        height = max(matrix.shape[0] for _, matrix, _ in members)
        width = max(matrix.shape[1] for _, matrix, _ in members)
        where, blocks = (
            np.zeros((len(members), width), np.int64),
            np.zeros((len(members), height, width)),
        )
        for i, (places, matrix, eigenvalue) in enumerate(members):
            where[i, : len(places)] = places
            blocks[i, : matrix.shape[0], : matrix.shape[1]] = matrix
            kept += range(position, position + matrix.shape[0])
            eigenvalues += [eigenvalue] * matrix.shape[0]
            position += height
        index.append(jnp.asarray(where, jnp.int32))
        coefficients.append(jnp.asarray(blocks, float))
    order = np.argsort(eigenvalues, kind="stable")
    used_levels = space.space.levels(max((part.eigenvalue for part in points.parts), default=0.0))
    table = CoupledFunctions(
        table=space.space.functions(used_levels),
        real=jnp.asarray(np.real(points.vectors), float),
        imaginary=None if is_real else jnp.asarray(np.imag(points.vectors), float),
        indices=indices,
        states=tuple(jnp.asarray(row, jnp.int32) for row in rows),
        pieces=tuple(index),
        coefficients=tuple(coefficients),
        order=jnp.asarray(np.asarray(kept)[order], jnp.int32),
        parts=tuple(parts),
        point_shape=space.space.point_shape,
        num_functions=len(order),
    )
    return table, np.asarray(eigenvalues)[order]


def _rounded(number: int) -> int:
    """The next power of two, so that a group wastes little."""
    return 1 << (number - 1).bit_length()


def _multisets(
    parts: Sequence[int], points: _Points, pieces: Sequence[_Piece]
) -> tuple[tuple[Multisets, ...], list[Int[np.ndarray, " S"]]]:
    """For each block of points the multisets that occur, and where each state is among them."""
    indices, rows = [], []
    total = 1 + sum(len(piece.found.states) for piece in pieces)
    for block in range(len(parts)):
        by_size: dict[int, list[np.ndarray]] = defaultdict(list)
        owners: dict[int, list[np.ndarray]] = defaultdict(lambda: [np.zeros(0, np.int64)])
        by_size[0].append(np.zeros((1, 0), np.int64))
        owners[0].append(np.zeros(1, np.int64))
        start = 1
        for piece in pieces:
            found = piece.found.states
            columns = [np.zeros((len(found), 0), np.int64)]
            for (where, part, size), column in zip(piece.occupation, found.T, strict=True):
                if where == block:
                    one = points.parts[part]
                    table = states(len(points.kinds[one.kind].weights), size)
                    columns.append(table.labels[column] + one.start)
            chosen = np.sort(np.concatenate(columns, axis=1), axis=1)
            by_size[chosen.shape[1]].append(chosen)
            owners[chosen.shape[1]].append(np.arange(start, start + len(chosen)))
            start += len(chosen)
        sizes = range(max(by_size) + 1)
        asked = [np.concatenate([np.zeros((0, size), np.int64), *by_size[size]]) for size in sizes]
        index, places = closed_multisets(asked, points.vectors.shape[1])
        row = np.zeros(total, np.int64)
        for size, place in zip(sizes, places, strict=True):
            row[np.concatenate(owners[size])] = place
        indices.append(index)
        rows.append(row)
    return tuple(indices), rows
