"""Harmonic polynomials of blocks of variables that are permuted, also with signs. Set-up work: NumPy.

Of one block of n variables the symmetric polynomials of degree k have the basis m_ν, ν a partition of k
into at most n parts (even ones, where signs change). The Fischer product ⟨p, q⟩ = p(∂)q makes the m_ν
orthogonal, of squared norm N_ν Π_i ν_i!, N_ν the number of monomials of m_ν; among the unit vectors e_ν

    Δe_ν = Σ_b √(mult_ρ(b) mult_ν(b+2) (b+1)(b+2)) e_ρ,   ρ = ν with one part b+2 replaced by b,

with mult_ρ(0) = n − len ρ. Of several blocks the harmonics are products: of harmonics Y, Z of degrees m
and j of the first N' and of the next n variables, and of r^{2p} P_p((|z|² − |y|²)/r²), r² = |y|² + |z|²,
with the Jacobi polynomials P_p of the exponents m + N'/2 − 1 and j + n/2 − 1. These are all of them.

For a harmonic polynomial of degree k of d variables ‖p‖²_{L²(S^{d−1})} = ‖p‖²/(d(d+2)…(d+2k−2)).
"""

import functools
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int

from symjax_learn._linalg import null_space
from symjax_learn.algebra.multisets import Multisets, products


class BlockHarmonics(NamedTuple):
    """The symmetric harmonics of one block, orthonormal in the Fischer product.

    Attributes:
        degrees: that have any, ascending.
        places: for each of these degrees the rows of its multisets.
        coefficients: for each its harmonics as combinations of the e_ν, ``(m, r)``.
        residual: the largest norm of Δ of one of them, where the least nonzero singular value is 1.
        gap: the least ratio of singular values beside a cut.
    """

    degrees: tuple[int, ...]
    places: tuple[Int[np.ndarray, " m"], ...]
    coefficients: tuple[Float[np.ndarray, "m r"], ...]
    residual: float
    gap: float


def block_harmonics(
    counts: Int[np.ndarray, "S q"], powers: Sequence[int], num_variables: int
) -> BlockHarmonics:
    """The harmonics among symmetric polynomials, degree by degree: null spaces of Δ.

    Its nonzero singular values on degree k are √(2i(2k − 2i + n − 2)) for i = 1, …, k/2: divided by the
    first of these they are within 1..√(k/2), nearly.

    Args:
        counts: how often each power occurs in ν, for all ν up to a degree.
        powers: ascending.
        num_variables: n.

    Cost: Σ_k m_k³ for m_k partitions of k.

    >>> from symjax_learn.algebra.multisets import multisets
    >>> index = multisets([1, 2, 3, 4], 4, 100)  # partitions of at most 4
    >>> found = block_harmonics(np.asarray(index.counts), [1, 2, 3, 4], 100)
    >>> [matrix.shape for matrix in found.coefficients]
    [(1, 1), (1, 1), (2, 1), (3, 2), (5, 3)]
    """
    totals = counts @ np.asarray(powers, counts.dtype)
    by_degree = [np.flatnonzero(totals == degree) for degree in range(int(totals.max()) + 1)]
    degrees, places, coefficients, residual, gap = [], [], [], 0.0, np.inf
    for degree, rows in enumerate(by_degree):
        if not len(rows):
            continue
        lower = by_degree[degree - 2] if degree >= 2 else rows[:0]
        matrix = _laplacian(counts[lower], counts[rows], powers, num_variables)
        if len(lower):
            matrix = matrix / np.sqrt(2.0 * (2 * degree + num_variables - 4))
            null = null_space(matrix)
            basis, gap = null.basis, min(gap, null.gap)
            residual = max(residual, float(np.linalg.norm(matrix @ basis, axis=0).max(initial=0.0)))
        else:
            basis = np.eye(len(rows))
        if basis.shape[1]:
            degrees.append(degree)
            places.append(rows)
            coefficients.append(basis)
    return BlockHarmonics(tuple(degrees), tuple(places), tuple(coefficients), residual, float(gap))


def _laplacian(
    lower: Int[np.ndarray, "r q"], upper: Int[np.ndarray, "m q"], powers: Sequence[int], n: int
) -> Float[np.ndarray, "r m"]:
    """Δ from one degree to the degree two lower, among the e_ν."""
    place = {row.tobytes(): i for i, row in enumerate(lower)}
    column_of = {power: column for column, power in enumerate(powers)}
    free = n - lower.sum(axis=1)
    matrix = np.zeros((len(lower), len(upper)))
    for column, counts in enumerate(upper):
        for taken in np.flatnonzero(counts).tolist():
            power = powers[taken]
            if power < 2:
                continue
            smaller = counts.copy()
            smaller[taken] -= 1
            if power > 2:
                smaller[column_of[power - 2]] += 1
            row = place[smaller.tobytes()]
            there = free[row] if power == 2 else smaller[column_of[power - 2]]
            matrix[row, column] = np.sqrt(float(there * counts[taken]) * power * (power - 1))
    return matrix


def in_power_sums(
    index: Multisets, powers: Sequence[int], num_variables: int
) -> list[Float[np.ndarray, "m m"]]:
    """Monomial symmetric polynomials as polynomials of power sums, in a form that does not cancel.

    In a harmonic combination the e_ν, made of powers y^a/√a!, may be replaced by the same of
    h_a = v^{a/2} He_a(y/√v)/√a! for any v: f = exp(−vΔ/2)f, and exp(−vΔ/2) makes Hermite polynomials of
    variance v from powers. With v = |y|²/n their sums S_a = Σ_j h_a(y_j)/√n are of order 1 and S_2 = 0,
    where sums of powers are of order √n. By Newton's recursion, as of
    :func:`~symjax_learn.algebra.multisets.monomial_symmetric`, m_ν(h)/√N_ν is a combination of the
    products Π_i S_{λ_i}, v in the place of S_2, over the partitions λ of the degree of ν.

    Args:
        index: all partitions ν up to a degree, with no bound on their size.
        powers: of the labels.
        num_variables: n, at least the size of the largest partition.

    Returns:
        For each degree the matrix of rows ν and columns λ, both in the order of the index.

    Cost: Σ_ν 2^{len ν} sums of vectors of the length of a degree.
    """
    counts, n = np.asarray(index.counts), num_variables
    totals = counts @ np.asarray(powers, counts.dtype)
    by_degree = [np.flatnonzero(totals == degree) for degree in range(int(totals.max()) + 1)]
    place = {row.tobytes(): i for rows in by_degree for i, row in enumerate(counts[rows])}
    column_of = {power: column for column, power in enumerate(powers)}
    family = products(index, functools.partial(_hermite_product, powers), one=(0, 0))
    table = np.asarray(family.coefficients)
    members = [cast(tuple[int, int], member) for member in family.members]

    @functools.cache
    def times(power: int, halves: int, degree: int) -> Int[np.ndarray, " m"]:
        """Where v^halves S_power takes the products of one degree."""
        grown = counts[by_degree[degree]]
        if power:
            grown[:, column_of[power]] += 1
        if halves:
            grown[:, column_of[2]] += halves
        return np.asarray([place[row.tobytes()] for row in grown])

    found = [np.ones(1)]
    for level in index.levels:
        fresh = [np.zeros(len(by_degree[totals[len(found) + i]])) for i in range(len(level.parents))]
        columns = (level.part, level.rest, level.coefficient, level.pair_row)
        for part, rest, c, row in zip(*(np.asarray(column).tolist() for column in columns), strict=True):
            size = int(counts[part].sum())
            for member in np.flatnonzero(table[part]):
                power, halves = members[member]
                if power != 2:  # Σ_j h_b over n^{|u|/2}
                    weight = c * table[part, member] * n ** (((1 if power else 2) - size) / 2)
                    fresh[row][times(power, halves, int(totals[rest]))] += weight * found[rest]
        found += fresh
    norms = np.cumprod([1.0, *(1 / np.sqrt(1 - np.arange(index.max_size) / n))])
    scales = norms[counts.sum(axis=1)] * np.asarray(index.roots)
    return [
        np.reshape([scales[row] * found[row] for row in rows], (len(rows), len(rows)))
        for rows in by_degree
    ]


def _hermite_product(powers: Sequence[int], label: int, member: Hashable) -> dict[Hashable, float]:
    """h_a h_b = Σ_k v^k k! C(a, k) C(b, k) √((a + b − 2k)!/(a! b!)) h_{a+b−2k}; (b, c) names v^c h_b."""
    a, (b, c) = powers[label], cast(tuple[int, int], member)
    return {
        (a + b - 2 * k, c + k): math.factorial(k)
        * math.comb(a, k)
        * math.comb(b, k)
        * math.sqrt(math.factorial(a + b - 2 * k) / (math.factorial(a) * math.factorial(b)))
        for k in range(min(a, b) + 1)
    }


class JoinedHarmonics(NamedTuple):
    """The harmonics of several blocks, each a product of factors, one for each block that has a degree.

    A factor of block b is Z·q, with q(|y|², |z|²) = r^{2p} P_p scaled such that the product with any
    harmonic Y of norm 1 of the blocks before has norm 1: q_0 = 1 and

        q_{p+1} = rise_p (|z|² − centre_p r²) q_p − fall_p r⁴ q_{p−1}.

    Attributes:
        stems: the block of each distinct (b, m, j).
        rise, centre, fall: ``(P, stems)``.
        factors: for each factor the row of its Z (0: of 1; block by block 1, … the harmonics of positive
            degree) and the row of its q (0: of 1; 1 + (p − 1)·stems + stem); the first factor is 1.
        functions: for each function its factors, padded with 0, ``(s, D)``; by degree.
        degrees: of each function, ascending.
    """

    stems: Int[np.ndarray, " stems"]
    rise: Float[np.ndarray, "P stems"]
    centre: Float[np.ndarray, "P stems"]
    fall: Float[np.ndarray, "P stems"]
    factors: Int[np.ndarray, "T 2"]
    functions: Int[np.ndarray, "s D"]
    degrees: Int[np.ndarray, " D"]


def joined_harmonics(
    sizes: Sequence[int], degrees: Sequence[Sequence[int]], max_degree: int
) -> JoinedHarmonics:
    """All harmonics up to a degree of the variables of all blocks.

    Args:
        sizes: of the blocks.
        degrees: of the harmonics of positive degree of each block, ascending.
        max_degree: of the products.

    Cost: O(s·D), and blocks·max_degree³/12.

    >>> joined = joined_harmonics([1, 1, 1], [[1], [1], [1]], 2)  # all harmonics of three variables
    >>> np.bincount(joined.degrees).tolist()
    [1, 3, 5]
    """
    starts = np.cumsum([1, *map(len, degrees)])
    least = 1 if any(1 in of for of in degrees) else 2
    width = max(1, min(len(sizes), max_degree // least))
    found = [np.zeros((int(degree == 0), width), np.int32) for degree in range(max_degree + 1)]
    leaves: list[list[np.ndarray]] = [[] for _ in found]
    factors, stems = [(0, (0, 0))], dict[tuple[int, int, int], int]()
    for block, (of_block, start) in enumerate(zip(degrees, starts[:-1], strict=True)):
        rows = {0: [0]}
        for place, degree in enumerate(of_block):
            rows.setdefault(degree, []).append(int(start) + place)
        fresh: list[list[np.ndarray]] = [[] for _ in found]
        for before, parents in enumerate(found):
            if not len(parents):
                continue
            for degree, of_degree in rows.items():
                most = (max_degree - before - degree) // 2 if block else 0
                if before + degree > max_degree:
                    continue
                if most:
                    stems.setdefault((block, before, degree), len(stems))
                for p in range(0 if degree else 1, most + 1):
                    names = np.arange(len(factors), len(factors) + len(of_degree), dtype=np.int32)
                    # The row of q is known when all stems are.
                    stem = (p, stems[block, before, degree]) if p else (0, 0)
                    factors += [(row, stem) for row in of_degree]
                    grown = np.repeat(parents, len(names), axis=0)
                    grown[:, 1:] = grown[:, :-1]
                    grown[:, 0] = np.tile(names, len(parents))
                    fresh[before + degree + 2 * p].append(grown)
        for degree, new in enumerate(fresh):
            # What no factor can be added to is not needed by later blocks.
            if degree + least > max_degree:
                leaves[degree] += new
            elif new:
                found[degree] = np.concatenate([found[degree], *new])
    functions = [np.concatenate([one, *more]) for one, more in zip(found, leaves, strict=True)]
    names = list(stems)
    rise, centre, fall = _radial_recurrence(sizes, names, max_degree)
    return JoinedHarmonics(
        np.asarray([block for block, _, _ in names], np.int64),
        rise,
        centre,
        fall,
        np.asarray([(z, p and 1 + (p - 1) * len(names) + i) for z, (p, i) in factors]),
        np.concatenate(functions).T,
        np.repeat(np.arange(max_degree + 1), [len(one) for one in functions]),
    )


def _radial_recurrence(
    sizes: Sequence[int], stems: Sequence[tuple[int, int, int]], max_degree: int
) -> tuple[Float[np.ndarray, "P stems"], ...]:
    """Rise, centre and fall: the recurrence of P_p, orthonormal for Beta(β + 1, α + 1) in |z|²/r².

    On the sphere of the D variables so far r^{2p} P_p Y Z has the norm of Y Z, and the squared Fischer
    norm of degree l is D(D + 2)…(D + 2l − 2) times as large.
    """
    most = max_degree // 2
    block, before, degree = np.asarray(stems, np.int64).reshape(-1, 3).T
    ends = np.cumsum(sizes)
    alpha = before + (ends - sizes)[block] / 2 - 1
    beta = degree + np.asarray(sizes)[block] / 2 - 1
    total = alpha + beta
    p = np.arange(1, most + 1)[:, None]
    double = 2 * p + total
    # The matrix of multiplication by t = 2|z|²/r² − 1: its diagonal, and what is beside it.
    diagonal = np.concatenate(
        [[(beta - alpha) / (total + 2)], (beta**2 - alpha**2) / (double * (double + 2))]
    )
    ratio = np.where(p == 1, 1.0, (p + total) / np.where(p == 1, 1.0, double - 1))
    beside = 2 / double * np.sqrt(p * (p + alpha) * (p + beta) * ratio / (double + 1))
    centre, beside = (diagonal[:-1] + 1) / 2, beside / 2
    highest = ends[block] + 2 * (before + degree) + 4 * (p - 1)
    growth = np.sqrt(highest * (highest + 2.0))  # of the norm, from p − 1 to p
    rise = 1 / (beside * growth)
    fall = np.zeros_like(rise)
    fall[1:] = beside[:-1] * rise[1:] / growth[:-1]
    return rise, centre, fall
