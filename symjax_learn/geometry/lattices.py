"""Lattices of R^d as integers: their dual quadratic form, and its shells of integer vectors."""

import math
from collections.abc import Hashable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

# Values of a form that agree to this relative accuracy are equal, also against a bound.
RELATIVE = 1e-9
# Entries of a form are read as fractions: their denominators, the common one, and the accuracy.
_MAX_DENOMINATOR = 10_000
_MAX_COMMON = 10**8
_FRACTION_TOLERANCE = 1e-12
# Vectors found in one search beyond this number are refused: 8d bytes each.
_MAX_VECTORS = 20_000_000


class DualForm(NamedTuple):
    """kᵀG⁻¹k on integer vectors k, for the Gram matrix G of a lattice's basis.

    Where G⁻¹ is rational up to a factor it is unit·kᵀUk, with an upper triangular U of coprime integers:
    its values are then compared exactly.

    Attributes:
        gram: G ``(d, d)``.
        triangle: lower triangular M with |Mk|² = kᵀG⁻¹k ``(d, d)``.
        integers: U ``(d, d)``, or ``None``.
        unit: of the values; 1 without U.
    """

    gram: Float[np.ndarray, "d d"]
    triangle: Float[np.ndarray, "d d"]
    integers: Int[np.ndarray, "d d"] | None
    unit: float

    @property
    def is_cubic(self) -> bool:
        """Whether it is unit·|k|²."""
        return self.integers is not None and np.array_equal(self.integers, np.eye(len(self.gram)))

    def defects(self, matrices: Int[np.ndarray, "k d d"]) -> Float[np.ndarray, " k"]:
        """Max |AᵀGA − G| of each matrix over the largest entry of G; 0 where A is exactly an isometry.

        With U in integers: A is an isometry if and only if AQAᵀ = Q for the symmetric Q of U.
        """
        moved = np.swapaxes(matrices, 1, 2) @ self.gram @ matrices
        defects = np.abs(moved - self.gram).max(axis=(1, 2)) / np.abs(self.gram).max()
        if self.integers is None:
            return defects
        twice = self.integers + self.integers.T
        kept = (matrices @ twice @ np.swapaxes(matrices, 1, 2) == twice).all(axis=(1, 2))
        return np.where(kept, 0.0, defects)


class Shells(NamedTuple):
    """All integer vectors up to a value of a form, and which of them have equal values.

    Attributes:
        vectors: in lexicographic order ``(D, d)``.
        shells: the shell of each vector ``(D,)``; shells are numbered by their value, ascending.
        values: kᵀG⁻¹k of each shell.
        keys: an exact name of each shell.
    """

    vectors: Int[np.ndarray, "D d"]
    shells: Int[np.ndarray, " D"]
    values: list[float]
    keys: list[Hashable]


def dual_form(vectors: Float[np.ndarray, "d d"]) -> DualForm:
    """The dual form of the lattice spanned by the rows."""
    lower = np.linalg.qr(vectors.T)[1].T  # G = L Lᵀ, so that kᵀG⁻¹k = |L⁻¹k|²
    triangle = np.tril(np.linalg.inv(lower))
    found = _integers(triangle.T @ triangle)
    integers, unit = (None, 1.0) if found is None else found
    return DualForm(vectors @ vectors.T, triangle, integers, unit)


def _integers(inverse: Float[np.ndarray, "d d"]) -> tuple[Int[np.ndarray, "d d"], float] | None:
    """U and the unit of a form that is rational up to a factor, verified to 1e-12."""
    largest = inverse.max()
    ratios = inverse / largest
    fractions = [Fraction(x).limit_denominator(_MAX_DENOMINATOR) for x in ratios.ravel().tolist()]
    sizes = np.sqrt(np.outer(np.diagonal(ratios), np.diagonal(ratios)))
    errors = np.abs(np.asarray([float(x) for x in fractions]).reshape(ratios.shape) - ratios)
    common = math.lcm(*(x.denominator for x in fractions))
    if common > _MAX_COMMON or (errors > _FRACTION_TOLERANCE * sizes).any():
        return None
    symmetric = np.asarray([int(x * common) for x in fractions], np.int64).reshape(ratios.shape)
    upper = np.triu(symmetric) + np.triu(symmetric, 1)
    divisor = int(np.gcd.reduce(upper, axis=None))
    return upper // divisor, float(largest) * divisor / common


def shells(form: DualForm, bound: float) -> Shells:
    """The shells kᵀG⁻¹k ≤ bound, whole; the key is kᵀUk, else the last vector of the shell.

    Without U the values are floats, and those that follow each other within 1e-9 are one shell.

    Raises:
        ValueError: more than 20 million vectors.

    Cost: O(D·d²).
    """
    # A little more, so that a shell at the bound is whole.
    vectors = short_vectors(form.triangle, bound * (1 + 1e-6))
    if form.integers is not None:
        wide = vectors.astype(np.int64)
        norms = np.sum((wide @ form.integers) * wide, axis=1)
        names, places = np.unique(norms, return_inverse=True)
        keys: list[Hashable] = names.tolist()
        values = names * form.unit
    else:
        norms = np.sum((vectors @ form.triangle.T) ** 2, axis=1)
        order = np.argsort(norms, kind="stable")
        ascending = norms[order]
        first = np.concatenate([[True], ascending[1:] > ascending[:-1] * (1 + RELATIVE)])
        places = np.empty(len(norms), np.int64)
        places[order] = np.cumsum(first) - 1
        last = np.zeros(int(first.sum()), np.int64)
        np.maximum.at(last, places, np.arange(len(norms)))
        keys = [tuple(row) for row in vectors[last].tolist()]
        values = ascending[first]
    number = int(np.searchsorted(values, bound * (1 + RELATIVE), side="right"))
    kept = places < number
    return Shells(vectors[kept], places[kept], values[:number].tolist(), keys[:number])


def short_vectors(triangle: Float[np.ndarray, "d d"], bound: float) -> Int[np.ndarray, "D d"]:
    """All integer vectors with |Mk|² ≤ bound for a lower triangular M, in lexicographic order.

    Coordinate by coordinate: the first i entries of Mk know the first i coordinates alone, and their
    square is the least that these can reach.

    Raises:
        ValueError: more than 20 million vectors.

    References:
        U. Fincke, M. Pohst, *Improved methods for calculating vectors of short length in a lattice*,
        Mathematics of Computation 1985.
    """
    vectors = np.zeros((1, 0), np.int32)
    left = np.full(1, max(bound, 0.0))
    for i, row in enumerate(triangle):
        known = vectors @ row[:i]
        reach = np.sqrt(left) / abs(row[i])
        # A unit of rounding too many costs nothing: what is left of the bound decides.
        low = np.ceil(-known / row[i] - reach - 1e-9)
        counts = np.maximum(np.floor(-known / row[i] + reach + 1e-9) - low + 1, 0)
        if counts.sum() > _MAX_VECTORS:
            raise ValueError(
                f"max_eigenvalue or max_functions: over {_MAX_VECTORS:,} frequencies of the lattice "
                "would be searched; lower it, or give a reduced basis of the lattice."
            )
        counts = counts.astype(np.int64)
        prefixes = np.repeat(np.arange(len(vectors)), counts)
        steps = np.arange(len(prefixes)) - np.repeat(np.cumsum(counts) - counts, counts)
        entries = low[prefixes] + steps
        rest = left[prefixes] - (known[prefixes] + row[i] * entries) ** 2
        inside = rest >= -RELATIVE * max(bound, 0.0)
        vectors = np.concatenate([vectors[prefixes], entries[:, None].astype(np.int32)], axis=1)[inside]
        left = np.maximum(rest[inside], 0.0)
    return vectors
