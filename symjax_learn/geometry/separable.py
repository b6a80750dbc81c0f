"""Products of functions of single coordinates: how many there are, which, and their evaluation.

A function is named by a vector k ≥ 0 of Z^d, Π_i f_{k_i}(x_i) with f_0 = 1. An entry v ≥ 1 has a size
(v² on a box, v for Hermite functions), and a level is all k of one total size. Few entries are nonzero
where d is large, so that vectors are kept and multiplied by their nonzero entries alone.
"""

import abc
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn.geometry.spaces import AbstractKernels, Level


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


class AbstractSeparableKernels(AbstractKernels):
    """K_N(x, y) = Σ_k Π_i f_{k_i}(x_i) f_{k_i}(y_i) over all k of total size N, f_0 = 1.

    It is the coefficient of q^N in the product over the coordinates of

        1 + Σ_v q^{size_v} Σ_r f_{v,r}(x_i) f_{v,r}(y_i),

    where r tells functions of one entry apart: no k is enumerated.

    Attributes:
        totals: N of each level.
        sizes: of the entries v = 1, 2, …, up to the largest N.
    """

    totals: eqx.AbstractVar[tuple[int, ...]]
    sizes: eqx.AbstractVar[tuple[int, ...]]

    @abc.abstractmethod
    def table(self, points: Array) -> Float[Array, "d v r *batch"]:
        """``(*batch, *point)``: all f_{v,r}(x_i)."""

    @property
    def num_levels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One for each total."""
        return len(self.totals)

    @property
    def width(self) -> int:
        """The series before and after a factor, and its terms."""
        return 3 * (max(self.totals) + 1) + len(self.sizes)

    def rows(self, x: Array, y: Array) -> Array:
        """``(*batch, *point)`` twice ``-> (num_levels, *batch)``.

        Cost per pair: d·len(sizes)·N products for the largest N.
        """
        series = product_series(self.table(x), self.table(y), self.sizes, max(self.totals))
        return series[np.asarray(self.totals)]


def product_series(
    left: Float[Array, "d v r *left"],
    right: Float[Array, "d v r *right"],
    sizes: Sequence[int],
    top: int,
) -> Float[Array, "coefficients *batch"]:
    """The coefficients of q^0, …, q^top in Π_i (1 + Σ_v q^{size_v} Σ_r left_ivr·right_ivr).

    One factor after the other, evaluated again in a reverse pass.
    """
    batch = jnp.broadcast_shapes(left.shape[3:], right.shape[3:])
    zeros = jnp.zeros((top, *batch), left.dtype)
    powers = jnp.asarray(sizes, jnp.int32)

    def multiply(series: Array, factor: tuple[Array, Array]) -> tuple[Array, None]:
        padded = jnp.concatenate([zeros, series])

        def add(total: Array, term: tuple[Array, Array]) -> tuple[Array, None]:
            size, coefficient = term
            shifted = jax.lax.dynamic_slice_in_dim(padded, top - size, top + 1)
            return total + coefficient[None] * shifted, None

        terms = jnp.sum(factor[0] * factor[1], axis=1)
        return jax.lax.scan(add, series, (powers, terms))[0], None

    start = jnp.concatenate([jnp.ones((1, *batch), left.dtype), zeros])
    return jax.lax.scan(jax.checkpoint(multiply), start, (left, right))[0]


def integer_keys(levels: Sequence[Level], name: str) -> list[int]:
    """The exact keys of these levels; ``TypeError`` where one is no integer."""
    keys = []
    for level in levels:
        if not isinstance(level.key, int):
            raise TypeError(f"level: {level} is not a level of {name}.")
        keys.append(level.key)
    return keys
