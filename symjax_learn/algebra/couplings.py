"""The invariants of ⊗_σ Sym^{j_σ}(V_σ): bosons in several representations, coupled to weight zero.

States of weight zero are enough, and of two that are complex conjugates one: an invariant real vector is
a real combination of Re |s⟩ and Im |s⟩. What is left to solve is small.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from symjax_learn._linalg import fixed_spaces
from symjax_learn.algebra.bosons import one_body, renamed, states, symmetric_power
from symjax_learn.algebra.weights import Labels

# Sums of weights and of angles that are taken for zero.
_ZERO = 1e-6
# Coefficients, and entries of constraints, below this are rounding.
_NEGLIGIBLE = 1e-14
_NOISE = 1e-13
# States of weight zero of one product, and all its states, that are refused.
MAX_STATES, _MAX_PRODUCTS = 6_000, 30_000_000


class Shell(NamedTuple):
    """Sym^j(V): its states, and what the constraints do to them.

    Attributes:
        weights: of each state, ``(N, a)``, and
        angles: likewise, ``(N, k)``.
        conjugates: the place of the complex conjugate.
        derivations: of the constraints that are left, sparse, and
        elements: likewise, dense.
    """

    weights: Float[np.ndarray, "N a"]
    angles: Float[np.ndarray, "N k"]
    conjugates: Int[np.ndarray, " N"]
    derivations: list[Any]
    elements: list[np.ndarray]


class Coupled(NamedTuple):
    """Invariant functions Σ_s (u_s Re T_s + v_s Im T_s), orthonormal.

    Attributes:
        states: for each s its state in every shell, ``(S, shells)``.
        real: u, ``(S, r)``, and
        imaginary: v, likewise.
        gap: of the null space, and
        residual: the largest ‖D c − c‖ or ‖A c‖.
    """

    states: Int[np.ndarray, "S k"]
    real: Float[np.ndarray, "S r"]
    imaginary: Float[np.ndarray, "S r"]
    gap: float
    residual: float


def shell(labels: Labels, size: int) -> Shell:
    """The shell of j bosons in the labels of V.

    Cost: sparse products for derivations; d·N² for elements, which have no sparse matrices.
    """
    table = states(len(labels.weights), size)
    return Shell(
        table.counts @ labels.weights,
        table.counts @ labels.angles,
        renamed(len(labels.weights), size, labels.conjugates),
        [one_body(one, size) for one in labels.derivations],
        [symmetric_power(one, size) for one in labels.elements],
    )


def coupled(shells: Sequence[Shell]) -> Coupled:
    """The invariants of a product of shells.

    Raises:
        ValueError: too many states, or a null space without a clear gap.

    Cost: S³ for S states of weight zero.
    """
    places, conjugates, strides = _weightless(shells)
    codes = places @ strides
    order = np.argsort(codes)
    places, codes = places[order], codes[order]
    partner = np.searchsorted(codes, conjugates[order] @ strides)
    here = np.arange(len(codes))
    first = np.flatnonzero(here <= partner)
    alone = first[partner[first] == first]
    pairs = first[partner[first] != first]
    unknowns = _real_unknowns(len(codes), alone, pairs, partner[pairs])
    rows = [
        _derivation_rows(shells, i, places, strides, unknowns) for i in range(len(shells[0].derivations))
    ]
    rows += [_element_rows(shells, i, places, unknowns) for i in range(len(shells[0].elements))]
    basis, gap, residual = _null_spaces(rows, len(codes))
    real = np.concatenate([basis[: len(alone)], np.sqrt(2) * basis[len(alone) : len(first)]])
    imaginary = np.zeros_like(real)
    imaginary[len(alone) :] = np.sqrt(2) * basis[len(first) :]
    chosen = np.concatenate([alone, pairs])
    used = np.maximum(np.abs(real), np.abs(imaginary)).max(axis=1, initial=0.0) > _NEGLIGIBLE
    return Coupled(places[chosen[used]], real[used], imaginary[used], gap, residual)


def _null_spaces(rows: Sequence[Any], size: int) -> tuple[Float[np.ndarray, "S r"], float, float]:
    """The null space of sparse rows, one after the other of the unknowns that they link."""
    from scipy.sparse import vstack
    from scipy.sparse.csgraph import connected_components

    if not rows:
        return np.eye(size), np.inf, 0.0
    matrix = vstack(rows).tocsc()
    number, owners = connected_components(matrix.T @ matrix, directed=False)
    columns, gap, residual = [np.zeros((size, 0))], np.inf, 0.0
    for one in range(number):
        here = np.flatnonzero(owners == one)
        part = matrix[:, here].tocsr()
        dense = part[np.diff(part.indptr) > 0].toarray()
        (space,) = fixed_spaces(np.zeros((1, 0, len(here), len(here))), dense[None, None])
        wide = np.zeros((size, space.basis.shape[1]))
        wide[here] = space.basis
        columns.append(wide)
        gap, residual = min(gap, space.gap), max(residual, space.largest_null)
    return np.concatenate(columns, axis=1), gap, residual


def _weightless(
    shells: Sequence[Shell],
) -> tuple[Int[np.ndarray, "S k"], Int[np.ndarray, "S k"], Int[np.ndarray, " k"]]:
    """The states of weight zero, their conjugates, and the strides that number all states."""
    counts = [len(one.weights) for one in shells]
    strides = np.cumprod([1, *counts[:0:-1]])[::-1].astype(np.int64)
    reach = [np.abs(one.weights).max(axis=0, initial=0.0) for one in shells]
    places = np.zeros((1, 0), np.int64)
    weights = np.zeros((1, shells[0].weights.shape[1]))
    angles = np.zeros((1, shells[0].angles.shape[1]))
    for number, one in enumerate(shells):
        if len(places) * counts[number] > _MAX_PRODUCTS:
            raise ValueError(
                f"max_eigenvalue or max_functions: a product of symmetric powers has more than "
                f"{_MAX_PRODUCTS:,} states; lower it."
            )
        left = sum(reach[number + 1 :], np.zeros(weights.shape[1])) + _ZERO
        row, state = np.indices((len(places), counts[number])).reshape(2, -1)
        total = weights[row] + one.weights[state]
        kept = (np.abs(total) <= left).all(axis=1)
        row, state, weights = row[kept], state[kept], total[kept]
        angles = angles[row] + one.angles[state]
        places = np.concatenate([places[row], state[:, None]], axis=1)
    kept = (np.abs(angles - np.rint(angles)) <= _ZERO).all(axis=1)
    places = places[kept]
    if len(places) > MAX_STATES:
        raise ValueError(
            f"max_eigenvalue or max_functions: {len(places):,} states of weight zero are coupled in one "
            f"piece, and at most {MAX_STATES:,} are; lower it."
        )
    conjugates = [one.conjugates[column] for one, column in zip(shells, places.T, strict=True)]
    return places, np.stack(conjugates, axis=1), strides


def _real_unknowns(
    size: int,
    alone: Int[np.ndarray, " a"],
    pairs: Int[np.ndarray, " b"],
    partners: Int[np.ndarray, " b"],
) -> Any:
    """Unitary: |s⟩ of states that are real, then √2 Re T_s and √2 Im T_s of the pairs; sparse."""
    from scipy.sparse import csc_array

    half, imaginary = np.full(len(pairs), np.sqrt(0.5)), np.full(len(pairs), 1j * np.sqrt(0.5))
    entries = np.concatenate([np.ones(len(alone)), half, half, -imaginary, imaginary])
    rows = np.concatenate([alone, pairs, partners, pairs, partners])
    columns = np.arange(size)
    a, b = len(alone), len(alone) + len(pairs)
    order = np.concatenate([columns[:a], columns[a:b], columns[a:b], columns[b:], columns[b:]])
    return csc_array((entries, (rows, order)), shape=(size, size))


def _derivation_rows(
    shells: Sequence[Shell],
    which: int,
    places: Int[np.ndarray, "S k"],
    strides: Int[np.ndarray, " k"],
    unknowns: Any,
) -> Any:
    """A of the product, Σ_σ 1 ⊗ … ⊗ A_σ ⊗ … ⊗ 1, on the states of weight zero."""
    from scipy.sparse import csc_array, vstack

    codes = places @ strides
    targets, columns, entries = [], [], []
    for one, column, stride in zip(shells, places.T, strides.tolist(), strict=True):
        matrix = one.derivations[which]
        starts, lengths = matrix.indptr[column], np.diff(matrix.indptr)[column]
        source = np.repeat(np.arange(len(codes)), lengths)
        within = np.arange(len(source)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        entry = starts[source] + within
        targets.append(codes[source] + (matrix.indices[entry] - column[source]) * stride)
        columns.append(source)
        entries.append(matrix.data[entry])
    reached, row = np.unique(np.concatenate(targets), return_inverse=True)
    # Of two conjugate states one is enough: the image is as real as the vector.
    digits = reached[:, None] // strides % np.asarray([len(one.weights) for one in shells])
    mirrored = np.stack(
        [one.conjugates[digit] for one, digit in zip(shells, digits.T, strict=True)], axis=1
    )
    kept = np.flatnonzero(reached <= mirrored @ strides)
    matrix = csc_array(
        (np.concatenate(entries), (row, np.concatenate(columns))), shape=(len(reached), len(codes))
    )
    image = matrix.tocsr()[kept] @ unknowns
    return _significant(vstack([image.real, image.imag]))


def _element_rows(
    shells: Sequence[Shell], which: int, places: Int[np.ndarray, "S k"], unknowns: Any
) -> Any:
    """D − 1 of the product ⊗_σ D_σ, between states of weight zero: no unitary image of one is longer."""
    from scipy.sparse import csc_array

    matrix = np.ones((1, 1))
    for one, column in zip(shells, places.T, strict=True):
        matrix = matrix * one.elements[which][column[:, None], column]
    image = unknowns.conj().T @ (matrix @ unknowns)
    return _significant(csc_array(np.real(image) - np.eye(len(places))))


def _significant(matrix: Any) -> Any:
    """Without entries that are rounding."""
    matrix = matrix.tocsc()
    matrix.data[np.abs(matrix.data) < _NOISE] = 0.0
    matrix.eliminate_zeros()
    return matrix
