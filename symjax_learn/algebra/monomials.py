"""Monomials of d variables, and homogeneous polynomials as rows of coefficients. Set-up work: NumPy.

Monomials x^α are ordered by degree, and lexicographically within it, the powers of the first variable
first: 1, x_0, x_1, x_0², x_0x_1, x_1², …. A homogeneous polynomial of degree k is a row of
n_k = C(k+d−1, k) coefficients in this order.
"""

import itertools
import math

import numpy as np
from jaxtyping import Float, Inexact, Int

# Entries of one intermediate array of a substitution.
_CHUNK_ENTRIES = 2**22


def num_monomials(dimension: int, degree: int) -> int:
    """C(k+d−1, k): monomials of degree k in d variables."""
    return math.comb(degree + dimension - 1, degree)


def monomials(dimension: int, degree: int) -> Int[np.ndarray, "m d"]:
    """The exponents of all monomials of one degree, in order."""
    count = num_monomials(dimension, degree)
    chosen = itertools.combinations_with_replacement(range(dimension), degree)
    labels = np.fromiter(itertools.chain.from_iterable(chosen), np.int64, count * degree)
    flat = np.repeat(np.arange(count) * dimension, degree) + labels
    return np.bincount(flat, minlength=count * dimension).reshape(count, dimension)


def monomial_places(exponents: Int[np.ndarray, "m d"]) -> Int[np.ndarray, " m"]:
    """The place of each monomial among all monomials of all degrees: its inverse is the order above.

    Σ_i C(s_i + d − i − 1, d − i) with s_i = α_i + … + α_{d−1}: the monomials of lower degree, those of
    this degree with a larger α_0, those of the same α_0 with a larger α_1, ….

    Raises:
        ValueError: places beyond 2^62.
    """
    d = exponents.shape[1]
    rest = np.cumsum(exponents[:, ::-1], axis=1)  # s_{d−1}, …, s_0
    highest = int(rest.max(initial=0))
    if math.comb(highest + d, d) >= 2**62:
        raise ValueError(
            f"degree: there are more than 2^62 monomials of degree at most {highest} in {d} variables; "
            "lower the degree."
        )
    table = np.arange(highest + 1, dtype=np.int64)
    places = np.zeros(len(exponents), np.int64)
    for column in rest.T:
        places += table[column]
        table = np.cumsum(table)
    return places


def places_in_degree(exponents: Int[np.ndarray, "m d"], degree: int) -> Int[np.ndarray, " m"]:
    """The place of each monomial of one degree among those of its degree."""
    d = exponents.shape[1]
    return monomial_places(exponents) - (math.comb(degree - 1 + d, d) if degree else 0)


def parents(
    exponents: Int[np.ndarray, "m d"],
) -> tuple[Int[np.ndarray, "m d"], Int[np.ndarray, " m"]]:
    """Each monomial as a monomial of one degree less times its last variable."""
    labels = exponents.shape[1] - 1 - np.argmax(exponents[:, ::-1] > 0, axis=1)
    lower = exponents.copy()
    lower[np.arange(len(lower)), labels] -= 1
    return lower, labels


def monomial_values(
    points: Inexact[np.ndarray, "n d"], max_degree: int
) -> list[Inexact[np.ndarray, "n _"]]:
    """The monomials of each degree 0..max_degree at points, one product each."""
    d = points.shape[1]
    values = [np.ones((len(points), 1), points.dtype)]
    for degree in range(1, max_degree + 1):
        lower, labels = parents(monomials(d, degree))
        values.append(values[-1][:, places_in_degree(lower, degree - 1)] * points[:, labels])
    return values


def fischer_norms(exponents: Int[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
    """√(Πα_i!/|α|!): norms of the monomials in the inner product that orthogonal substitutions keep."""
    from scipy.special import gammaln

    logs = gammaln(exponents + 1.0).sum(axis=1) - gammaln(exponents.sum(axis=1) + 1.0)
    return np.exp(logs / 2)


def substituted(
    rows: Float[np.ndarray, "P m"], matrices: Float[np.ndarray, "k d d"], degree: int
) -> Float[np.ndarray, "k P m"]:
    """f(Ax) for homogeneous polynomials f of one degree and each of many matrices A.

    The last variable of each monomial of f is replaced by its linear form, then the last but one, …:
    after j steps f is a table of n_{k−j} × n_j coefficients. Never an n_k × n_k matrix.

    Cost: for each matrix and polynomial Σ_j d²·n_{k−j}·n_{j−1} products; memory is max_j n_{k−j}·n_j.
    """
    d = matrices.shape[1]
    steps = [_substitution_step(d, degree, j) for j in range(degree)]
    widest = max(
        (num_monomials(d, degree - j) * num_monomials(d, j) for j in range(degree + 1)), default=1
    )
    size = max(1, _CHUNK_ENTRIES // (widest * d * max(1, len(rows))))
    answer = np.empty((len(matrices), *rows.shape))
    for start in range(0, len(matrices), size):
        chunk = matrices[start : start + size]
        table = np.broadcast_to(rows[None, :, :, None], (len(chunk), *rows.shape, 1))
        for (lower, labels), raised in steps:
            split = np.zeros((*table.shape[:2], int(lower.max()) + 1, d, table.shape[3]))
            split[:, :, lower, labels] = table
            mixed = np.matmul(chunk.mT[:, None, None], split)
            table = np.zeros((*split.shape[:3], int(raised.max()) + 1))
            for variable, places in enumerate(raised):
                table[..., places] += mixed[..., variable, :]
        answer[start : start + size] = table[:, :, 0]
    return answer


def _substitution_step(
    d: int, degree: int, step: int
) -> tuple[tuple[np.ndarray, np.ndarray], Int[np.ndarray, "d m"]]:
    """Parents and labels in degree k − j, and the places of x_i·x^β for |β| = j."""
    lower, labels = parents(monomials(d, degree - step))
    done = monomials(d, step)
    raised = np.stack([places_in_degree(done + one, step + 1) for one in np.eye(d, dtype=np.int64)])
    return (places_in_degree(lower, degree - step - 1), labels), raised


def independent_columns(
    matrix: Float[np.ndarray, "r m"], rank: int, slack: float = 1e-6
) -> Int[np.ndarray, " rank"]:
    """Columns that span: one after the other the first of nearly the largest distance to those before.

    Args:
        matrix: of at least this rank.
        rank: how many.
        slack: nearly largest is at least 1 − slack of the largest, so that runs agree about ties.
    """
    left = np.array(matrix)
    chosen = []
    for _ in range(rank):
        distances = np.linalg.norm(left, axis=0)
        pick = int(np.argmax(distances >= (1 - slack) * distances.max()))
        unit = left[:, pick] / distances[pick]
        left -= np.outer(unit, unit @ left)
        left[:, pick] = 0.0
        chosen.append(pick)
    return np.asarray(sorted(chosen), np.int64)
