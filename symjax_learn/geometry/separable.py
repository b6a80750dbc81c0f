"""Products of functions of single coordinates: how many there are, which, and their evaluation.

A function is named by a vector k ≥ 0 of Z^d, Π_i f_{k_i}(x_i) with f_0 = 1. An entry v ≥ 1 has a size
(v² on a box, v for Hermite functions), and a level is all k of one total size. Few entries are nonzero
where d is large, so that vectors are kept and multiplied by their nonzero entries alone.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn.geometry.spaces import Level


def vector_counts(dimension: int, sizes: Sequence[int], max_total: int) -> dict[int, int]:
    """How many k have each total size ≤ max_total: the coefficients of (1 + Σ_v q^{size_v})^d.

    By d − 1 products on 64-bit integers where those surely hold the counts; else by the recurrence of
    a power p = f^d of a series with f_0 = 1, n·p_n = Σ_j ((d + 1)j − n) f_j p_{n−j}, on Python integers.

    Args:
        dimension: d.
        sizes: of the entries 1, 2, …, distinct, positive and at most ``max_total``.
        max_total: the largest total.

    Returns:
        The counts that are not zero, ascending in the total.

    Cost: len(sizes)·max_total additions for each factor, or products in all.

    References:
        D. E. Knuth, *The Art of Computer Programming 2*, §4.7 (powers of a series).
    """
    if dimension == 1:
        return dict.fromkeys([0, *sizes], 1)
    if dimension * math.log2(len(sizes) + 1) < 62:
        series = np.zeros(max_total + 1, np.int64)
        series[[0, *sizes]] = 1
        for _ in range(dimension - 1):
            product = series.copy()
            for size in sizes:
                product[size:] += series[: max_total + 1 - size]
            series = product
        return {int(total): int(series[total]) for total in np.flatnonzero(series)}
    power = [1]
    for n in range(1, max_total + 1):
        terms = (((dimension + 1) * j - n) * power[n - j] for j in sizes if j <= n)
        power.append(sum(terms) // n)
    return {total: count for total, count in enumerate(power) if count}


def coordinate_factors(
    dimension: int, sizes: Sequence[int], levels: Sequence[Level]
) -> Int[np.ndarray, "s D"]:
    """For every k of these levels the rows v·d + i of its nonzero entries k_i = v, padded with row 0.

    Only vectors of the levels asked for are enumerated: a prefix is extended only where the remaining
    coordinates can complete it. Within a level k is in descending lexicographic order, as in x², xy, y².

    Args:
        dimension: d.
        sizes: of the entries 1, 2, …, ascending, up to the largest total.
        levels: their keys are the totals.

    Returns:
        For a table with the row v·d + i of f_v(x_i), so that the first rows are 1.

    Raises:
        ValueError: more functions than the memory limit holds.

    Cost: O(s·D) for the D functions, s the largest number of nonzero entries.
    """
    totals = np.asarray(integer_keys(levels, "a separable space"))
    count, top = sum(level.multiplicity for level in levels), int(totals.max())
    most = max(1, min(dimension, top))
    refuse_beyond(
        MEMORY_LIMIT,
        32 * count * most,
        f"levels: a table of {count:,} products",
        "Ask for lower levels, or for fewer.",
    )
    entry_sizes = np.asarray(sizes, np.int64)[::-1]  # larger entries first
    completable = _completable(dimension, sizes, totals, top)
    partial, start, codes = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 0), np.int64)
    found = []
    while len(partial):  # one more nonzero entry each time
        whole = completable[0][partial]
        padding = np.full((int(whole.sum()), most - codes.shape[1]), -1)
        found.append((partial[whole], np.concatenate([codes[whole], padding], axis=1)))
        heads, head = np.unique(partial, return_inverse=True)
        reached = heads[:, None] + entry_sizes
        inside = np.where(reached <= top, reached, -1)  # the last place is never completable
        allowed = np.stack(
            [
                completable[min(dimension - 1 - i, len(completable) - 1)][inside]
                for i in range(dimension)
            ],
            axis=1,
        )
        of_head, place, entry = np.nonzero(allowed)
        ends = np.concatenate([[0], np.cumsum(allowed.sum(axis=2))])
        first = ends[head * dimension + start]
        counts = ends[(head + 1) * dimension] - first
        parent = np.repeat(np.arange(len(partial)), counts)
        child = np.arange(len(parent)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
        partial, start = reached[of_head[child], entry[child]], place[child] + 1
        code = place[child] * len(sizes) + entry[child]
        codes = np.concatenate([codes[parent], code[:, None]], axis=1)
    norms = np.concatenate([norms for norms, _ in found])
    codes = np.concatenate([codes for _, codes in found])
    order = np.lexsort((*codes.T[::-1], norms))
    begins, stops = (np.searchsorted(norms[order], totals, side) for side in ("left", "right"))
    codes = codes[np.concatenate([order[i:j] for i, j in zip(begins, stops, strict=True)])].T
    place, entry = np.divmod(codes, max(1, len(sizes)))
    return np.where(codes < 0, 0, (len(sizes) - entry) * dimension + place)


def _completable(dimension: int, sizes: Sequence[int], totals: np.ndarray, top: int) -> list[np.ndarray]:
    """For m = 0, 1, …: which partial sums m more entries can bring to a total; the last for all more."""
    table = [np.zeros(top + 2, bool)]
    table[0][totals] = True
    for _ in range(dimension - 1):
        grown = table[-1].copy()
        for size in sizes:
            grown[: top + 1 - size] |= table[-1][size : top + 1]
        if (grown == table[-1]).all():
            break
        table.append(grown)
    return table


def coordinate_products(
    table: Float[Array, "rows batch"], factors: Int[Array, "s D"]
) -> Float[Array, "D batch"]:
    """The products of these rows of a table of functions of single coordinates."""
    answer = table[factors[0]]
    for row in factors[1:]:
        answer = answer * table[row]
    return answer


def integer_keys(levels: Sequence[Level], name: str) -> list[int]:
    """The exact keys of these levels; ``TypeError`` where one is no integer."""
    keys = []
    for level in levels:
        if not isinstance(level.key, int):
            raise TypeError(f"level: {level} is not a level of {name}.")
        keys.append(level.key)
    return keys
