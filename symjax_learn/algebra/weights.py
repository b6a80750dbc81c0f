"""Representations cut into invariant parts, and their labels: common eigenvectors of what commutes.

A representation is given by what an invariant vector must satisfy: D c = c for some orthogonal D and
A c = 0 for some skew A. Those among them that commute are diagonalized together, once and for all; an
invariant vector is then a combination of the labels of weight zero.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Inexact, Int

# Entries of matrices, and differences of their eigenvalues, that are taken for zero.
_ZERO = 1e-9
_EQUAL = 1e-6
_NOISE = 1e-12


class Constraints(NamedTuple):
    """What the invariants of one representation satisfy.

    Attributes:
        elements: D, orthogonal, ``(k, d, d)``.
        derivations: A, skew, ``(a, d, d)``.
    """

    elements: Float[np.ndarray, "k d d"]
    derivations: Float[np.ndarray, "a d d"]

    def on(self, columns: Float[np.ndarray, "d r"]) -> "Constraints":
        """On an invariant subspace, given by orthonormal columns."""
        return Constraints(columns.T @ self.elements @ columns, columns.T @ self.derivations @ columns)


class Family(NamedTuple):
    """Constraints that commute on all representations, and those that are left.

    Attributes:
        elements: rows of the D of the family,
        derivations: and of its A.
        other_elements: the rows of the other D,
        other_derivations: and of as many of the other A as generate the Lie algebra with those.
    """

    elements: list[int]
    derivations: list[int]
    other_elements: list[int]
    other_derivations: list[int]


class Labels(NamedTuple):
    """An orthonormal basis of common eigenvectors, with its complex conjugates.

    Attributes:
        vectors: the columns v_p; real where all eigenvalues are.
        weights: A v_p = i w_p v_p for the derivations of the family, ``(d, a)``.
        angles: D v_p = exp(2πi θ_p) v_p for its elements, ``(d, k)``.
        conjugates: the place of the conjugate of v_p.
        elements: the other D in this basis,
        derivations: and the other A.
    """

    vectors: Inexact[np.ndarray, "d d"]
    weights: Float[np.ndarray, "d a"]
    angles: Float[np.ndarray, "d k"]
    conjugates: Int[np.ndarray, " d"]
    elements: Inexact[np.ndarray, "k d d"]
    derivations: Inexact[np.ndarray, "a d d"]

    @property
    def is_real(self) -> bool:
        """Whether every label is a real vector."""
        return not np.iscomplexobj(self.vectors)


def invariant_parts(constraints: Constraints) -> list[Float[np.ndarray, "d _"]]:
    """Orthonormal columns of invariant subspaces, which together are all; not always irreducible.

    The blocks of the matrices as they are, each cut by the eigenvalues of Σ_a A_a² where that commutes
    with everything (the Casimir operator, if the A are an orthonormal basis).
    """
    from scipy.sparse.csgraph import connected_components

    matrices = np.concatenate([*constraints])
    size = matrices.shape[1]
    linked = (np.abs(matrices) > _ZERO).any(axis=0)
    number, owners = connected_components(linked, directed=False)
    parts = []
    for one in range(number):
        columns = np.eye(size)[:, owners == one]
        parts += [columns @ cut for cut in _by_casimir(constraints.on(columns))]
    return parts


def _by_casimir(constraints: Constraints) -> list[Float[np.ndarray, "d _"]]:
    everything = np.concatenate([*constraints])
    total = np.einsum("aij,ajk->ik", constraints.derivations, constraints.derivations)
    scale = max(1.0, float(np.abs(total).max(initial=0.0)))
    if np.abs(total @ everything - everything @ total).max(initial=0.0) > _ZERO * scale:
        return [np.eye(len(total))]
    values, vectors = np.linalg.eigh((total + total.T) / 2)
    cuts = _clusters(values, _EQUAL * scale)
    # As it is, where nothing is cut: equal matrices then have equal labels.
    return [np.eye(len(total))] if len(cuts) == 1 else [vectors[:, cut] for cut in cuts]


def _clusters(values: Float[np.ndarray, " d"], tolerance: float) -> list[Int[np.ndarray, " _"]]:
    """Positions of equal values, which are ascending."""
    return np.split(np.arange(len(values)), np.flatnonzero(np.diff(values) > tolerance) + 1)


def commuting_family(parts: Sequence[Constraints]) -> Family:
    """A large commuting family, with as many derivations as any that grows from one member.

    Args:
        parts: the same constraints on all representations.
    """
    num_elements, num_derivations = len(parts[0].elements), len(parts[0].derivations)
    stacks = [np.concatenate([part.derivations, part.elements]) for part in parts]
    total = num_derivations + num_elements
    commute = np.ones((total, total), bool)
    for stack in stacks:
        products = np.einsum("aij,bjk->abik", stack, stack)
        errors = np.abs(products - products.swapaxes(0, 1)).max(axis=(2, 3))
        commute &= errors <= _ZERO * max(1.0, float(np.abs(products).max(initial=0.0)))
    best: list[int] = []
    for seed in range(total):
        members = [seed]
        members += [i for i in range(total) if i != seed and commute[i, members].all()]
        members = [i for k, i in enumerate(members) if commute[i, members[:k]].all()]
        # The more derivations the fewer states are left; then the more elements.
        if _worth(members, num_derivations) > _worth(best, num_derivations):
            best = members
    derivations = sorted(i for i in best if i < num_derivations)
    elements = sorted(i - num_derivations for i in best if i >= num_derivations)
    return Family(
        elements,
        derivations,
        [i for i in range(num_elements) if i not in elements],
        _generating(parts, derivations),
    )


def _worth(members: Sequence[int], num_derivations: int) -> tuple[int, int]:
    return sum(i < num_derivations for i in members), len(members)


def _generating(parts: Sequence[Constraints], known: Sequence[int]) -> list[int]:
    """Of the derivations that are not known those that generate all with these."""
    span = _Span([])
    kept: list[int] = []
    for row in [*known, *(i for i in range(len(parts[0].derivations)) if i not in known)]:
        grown = span.with_brackets([part.derivations[row] for part in parts])
        if grown is not None and row not in known:
            kept.append(row)
        span = grown or span
    return kept


class _Span(NamedTuple):
    """A Lie algebra by a basis, each element on every representation."""

    basis: list[list[np.ndarray]]

    def with_brackets(self, element: list[np.ndarray]) -> "_Span | None":
        """The algebra that this and an element generate; ``None`` where the element is in it."""
        found, waiting = list(self.basis), [element]
        while waiting:
            one = waiting.pop()
            if self._is_in(one, found):
                continue
            waiting += [[a @ b - b @ a for a, b in zip(one, other, strict=True)] for other in found]
            found.append(one)
        return _Span(found) if len(found) > len(self.basis) else None

    @staticmethod
    def _is_in(element: list[np.ndarray], basis: list[list[np.ndarray]]) -> bool:
        flat = np.concatenate([block.ravel() for block in element])
        rest = flat
        if basis:
            rows = np.stack([np.concatenate([block.ravel() for block in one]) for one in basis])
            rest = flat - rows.T @ np.linalg.lstsq(rows.T, flat, rcond=None)[0]
        return float(np.linalg.norm(rest)) <= _EQUAL * max(1.0, float(np.linalg.norm(flat)))


def labels(constraints: Constraints, family: Family) -> Labels:
    """The common eigenvectors of a family on one representation.

    >>> import numpy as np
    >>> from symjax_learn.algebra.weights import Constraints, commuting_family, labels
    >>> turn = Constraints(np.zeros((0, 2, 2)), np.asarray([[[0.0, -1.0], [1.0, 0.0]]]))
    >>> labels(turn, commuting_family([turn])).weights.round(3).tolist()
    [[1.0], [-1.0]]
    """
    rates = constraints.derivations[family.derivations]
    elements = constraints.elements[family.elements]
    spaces: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    angles: list[np.ndarray] = []
    conjugates: list[int] = []
    for space in _common(rates, elements):
        rate = np.asarray([_mean(space, -1j * one).real for one in rates])
        angle = np.asarray([np.angle(_mean(space, one)) / (2 * np.pi) for one in elements])
        sign = _sign(rate, angle)
        if sign < 0:  # made as the conjugate of another
            continue
        start, size = sum(one.shape[1] for one in spaces), space.shape[1]
        here = np.arange(start, start + size)
        if sign == 0:
            spaces.append(_real_basis(space))
            conjugates += here.tolist()
        else:
            spaces += [space, space.conj()]
            conjugates += [*(here + size).tolist(), *here.tolist()]
        for one in (1,) if sign == 0 else (1, -1):
            weights += [one * rate] * size
            angles += [one * angle] * size
    vectors = np.concatenate(spaces, axis=1)
    if (np.arange(len(conjugates)) == conjugates).all():
        vectors = np.real(vectors)
    else:
        others = constraints.derivations[family.other_derivations]
        vectors = vectors * _phases(vectors, np.asarray(conjugates), others)
    dual = vectors.conj().T
    return Labels(
        vectors,
        np.asarray(weights).reshape(len(vectors), len(rates)),
        np.asarray(angles).reshape(len(vectors), len(elements)),
        np.asarray(conjugates),
        _without_noise(dual @ constraints.elements[family.other_elements] @ vectors),
        _without_noise(dual @ constraints.derivations[family.other_derivations] @ vectors),
    )


def _phases(
    vectors: Inexact[np.ndarray, "d d"],
    conjugates: Int[np.ndarray, " d"],
    derivations: Float[np.ndarray, "a d d"],
) -> Inexact[np.ndarray, " d"]:
    """Phases of the labels, of conjugate ones conjugate, that make the first derivation real if any do.

    Real and imaginary parts of states are then not coupled: those that a label is reached from fix it.
    """
    phases = np.ones(len(vectors), complex)
    if not len(derivations):
        return phases
    matrix = vectors.conj().T @ derivations[0] @ vectors
    linked = np.abs(matrix) > _ZERO
    known = conjugates == np.arange(len(vectors))
    waiting = np.flatnonzero(known).tolist()
    while waiting or not known.all():
        if not waiting:
            start = int(np.argmin(known))
            known[[start, conjugates[start]]] = True
            waiting = [start, int(conjugates[start])]
        label = waiting.pop()
        for other in np.flatnonzero(linked[:, label] & ~known).tolist():
            if not known[other]:
                entry = matrix[other, label] * phases[label]
                phases[other] = entry / abs(entry)
                phases[conjugates[other]] = phases[other].conj()
                known[[other, conjugates[other]]] = True
                waiting += [other, int(conjugates[other])]
    return phases


def _without_noise(matrices: np.ndarray) -> np.ndarray:
    """Zeros in the place of rounding, so that what is not coupled is seen not to be."""
    bound = _NOISE * np.abs(matrices).max(initial=1.0)
    real, imaginary = (
        np.where(np.abs(part) > bound, part, 0.0) for part in (np.real(matrices), np.imag(matrices))
    )
    return real + 1j * imaginary if np.iscomplexobj(matrices) else real


def _common(
    rates: Float[np.ndarray, "a d d"], elements: Float[np.ndarray, "k d d"]
) -> Iterator[Inexact[np.ndarray, "d r"]]:
    """The common eigenspaces: each operator cuts those of the ones before."""
    operators = [-1j * one for one in rates]
    for one in elements:
        operators += [(one + one.T) / 2, (one - one.T) / 2j]
    size = rates.shape[1]
    spaces = [np.eye(size, dtype=complex)]
    for operator in operators:
        cut: list[np.ndarray] = []
        for space in spaces:
            values, vectors = np.linalg.eigh(space.conj().T @ operator @ space)
            scale = max(1.0, float(np.abs(values).max(initial=0.0)))
            cut += [space @ vectors[:, one] for one in _clusters(values, _EQUAL * scale)]
        spaces = cut
    return iter(spaces)


def _mean(space: Inexact[np.ndarray, "d r"], matrix: np.ndarray) -> complex:
    """The eigenvalue of a matrix on one of its eigenspaces."""
    return complex(np.trace(space.conj().T @ matrix @ space) / space.shape[1])


def _sign(rate: Float[np.ndarray, " a"], angle: Float[np.ndarray, " k"]) -> int:
    """0 for eigenvalues that are their own conjugates, and ±1 for the two of a pair."""
    imaginary = np.concatenate([rate, np.sin(2 * np.pi * angle)])
    return next((1 if value > 0 else -1 for value in imaginary if abs(value) > _EQUAL), 0)


def _real_basis(space: Inexact[np.ndarray, "d r"]) -> Inexact[np.ndarray, "d r"]:
    """A real orthonormal basis of a space that is its own conjugate."""
    projector = np.real(space @ space.conj().T)
    return np.linalg.eigh(projector)[1][:, -space.shape[1] :].astype(complex)
