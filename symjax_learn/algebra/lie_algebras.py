"""Lie algebras of skew matrices: what must hold of them, their centres, and the tori these generate."""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex, Float, Int

from symjax_learn._types import as_array

# Aᵀ + A, and brackets against their span, may be off by this.
TOLERANCE = 1e-10
# Ratios of frequencies are read as fractions of at most this denominator.
_MAX_DENOMINATOR = 1000


class TorusWaves(NamedTuple):
    """The torus exp(Σ t_a A_a) as Σ_j exp(2πi n_j·u) v_j v_j*, with coordinates u of R^c/Z^c.

    Attributes:
        frequencies: n_j, which span Z^c.
        projectors: v_j v_j*, v_j the common eigenvectors.
    """

    frequencies: Int[np.ndarray, "d c"]
    projectors: Complex[np.ndarray, "d d d"]


def checked_algebra(lie_algebra: Any) -> Float[np.ndarray, "a d d"]:
    """Linearly independent skew matrices that are closed under brackets."""
    algebra = real_matrices("lie_algebra", lie_algebra)
    if not len(algebra):
        raise ValueError("lie_algebra: expected at least one matrix; finite groups are made otherwise.")
    for row, error in enumerate(np.abs(algebra + algebra.mT).max(axis=(1, 2))):
        if not error <= TOLERANCE:
            raise ValueError(
                f"lie_algebra: element {row} is not skew, |A + Aᵀ| reaches {error:.1e}; generators of "
                "rotations are."
            )
    flat = algebra.reshape(len(algebra), -1)
    if np.linalg.matrix_rank(flat, tol=TOLERANCE) < len(flat):
        raise ValueError(
            f"lie_algebra: its {len(flat)} elements are linearly dependent; leave out those that are "
            "combinations of the others."
        )
    for row, one in enumerate(algebra):
        brackets = one @ algebra - algebra @ one
        errors = outside(brackets, algebra)
        if errors.max() > TOLERANCE:
            raise ValueError(
                f"lie_algebra: the bracket of elements {row} and {int(np.argmax(errors))} is no "
                f"combination of the elements (off by {errors.max():.1e}); add what is missing."
            )
    return algebra


def outside(
    matrices: Float[np.ndarray, "b d d"], algebra: Float[np.ndarray, "a d d"]
) -> Float[np.ndarray, " b"]:
    """How far each matrix is from the span of the algebra, relative to it."""
    flat, basis = matrices.reshape(len(matrices), -1), algebra.reshape(len(algebra), -1)
    orthonormal = np.linalg.qr(basis.T)[0]
    rest = flat - flat @ orthonormal @ orthonormal.T
    return np.linalg.norm(rest, axis=1) / np.maximum(1.0, np.linalg.norm(flat, axis=1))


def center(algebra: Float[np.ndarray, "a d d"]) -> Float[np.ndarray, "c d d"]:
    """The elements that commute with all others; with what is left, a semisimple algebra, it is all."""
    size = len(algebra)
    brackets = np.einsum("aij,bjk->abik", algebra, algebra)
    brackets = brackets - brackets.transpose(1, 0, 2, 3)
    left, singular, _ = np.linalg.svd(brackets.reshape(size, -1), full_matrices=False)
    rank = int(np.sum(singular > 1e-9 * max(1.0, singular.max(initial=0.0))))
    central = left[:, rank:]
    if central.shape[1] == size:  # the caller's own basis
        return algebra
    return np.einsum("ac,aij->cij", central, algebra)


def torus(center: Float[np.ndarray, "c d d"]) -> TorusWaves:
    """The connected group of commuting skew matrices; refused when it is not closed.

    The common eigenvectors v_j have frequencies w_j ∈ R^c: exp(Σ t_a A_a) v_j = exp(i w_j·t) v_j. It is
    a torus iff the w_j span a lattice, that is iff their ratios are rational; then w_j·t = 2π n_j·u in
    coordinates u of R^c/Z^c, n_j the integer coordinates of w_j in a basis of the lattice.
    """
    mixed = np.einsum("a,aij->ij", np.random.default_rng(0).uniform(1, 2, len(center)), center)
    _, vectors = np.linalg.eigh(-1j * mixed)
    frequencies = np.einsum("ij,aik,kj->ja", vectors.conj(), center, vectors).imag
    first = _independent_rows(frequencies)
    ratios = np.linalg.solve(frequencies[first].T, frequencies.T).T
    nearest = [[Fraction(float(r)).limit_denominator(_MAX_DENOMINATOR) for r in row] for row in ratios]
    errors = np.abs(ratios - np.asarray(nearest, float))
    if errors.max() > TOLERANCE:
        ratio = ratios.flat[int(np.argmax(errors))]
        raise ValueError(
            f"lie_algebra: the group is not closed: two frequencies of its centre have the ratio "
            f"{ratio:.10g}, no fraction of denominator <= {_MAX_DENOMINATOR}. Its closure is a larger "
            "torus; give the Lie algebra of that."
        )
    denominator = math.lcm(*(r.denominator for row in nearest for r in row))
    integers = np.asarray([[int(r * denominator) for r in row] for row in nearest], object)
    lattice = np.asarray(integer_basis(integers), float)
    coordinates = np.rint(np.linalg.solve(lattice.T, integers.astype(float).T).T)
    projectors = np.einsum("ij,kj->jik", vectors, vectors.conj())
    return TorusWaves(coordinates.astype(np.int64), projectors)


def real_matrices(name: str, values: Any) -> Float[np.ndarray, "a d d"]:
    """Square matrices of one size in float64, or an error that names the argument."""
    given = as_array(name, values)
    if given.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected real matrices and got entries of type {given.dtype}.")
    matrices = np.asarray(given, np.float64)
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise ValueError(f"{name}: expected shape (number, d, d) and got {matrices.shape}.")
    return matrices


def _independent_rows(rows: Float[np.ndarray, "r c"]) -> list[int]:
    """As many linearly independent rows as there are columns, by pivoting."""
    from scipy.linalg import qr

    pivots: np.ndarray = np.asarray(qr(rows.T, mode="r", pivoting=True)[-1])
    return pivots[: rows.shape[1]].tolist()


def integer_basis(rows: np.ndarray) -> list[list[int]]:
    """A basis of the lattice that integer vectors span, in echelon form (Euclid's algorithm; exact)."""
    left: list[list[int]] = [[int(entry) for entry in row] for row in rows]
    basis: list[list[int]] = []
    for column in range(rows.shape[1]):
        while True:
            active = [row for row in left if row[column]]
            if len(active) < 2:
                break
            pivot = min(active, key=lambda row: abs(row[column]))
            left = [
                row
                if row is pivot
                else [a - row[column] // pivot[column] * b for a, b in zip(row, pivot, strict=True)]
                for row in left
            ]
        basis += active
        left = [row for row in left if not row[column]]
    return basis
