"""Monomial symmetric functions of any features of single points, all at once.

A multiset s of labels 1..q stands for the function of n points

    m_s(x_1, …, x_n) = Σ over distinct placements of s on the points Π_p φ_p(x_{j_p}),

invariant under all n! permutations. For labels whose φ_p are orthonormal and orthogonal to 1, the
functions m_s/√N_s with N_s = n!/((n − |s|)! Π_p mult_p(s)!) are orthonormal on n independent points.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, map_columns, refuse_beyond
from symjax_learn._types import AnyArray, as_array, checked_count

# More multisets than this are refused.
MAX_MULTISETS = 1_000_000
# Relative slack of a sum of weights against its bound.
_RELATIVE = 1e-9
# Entries of the sums of one chunk of sets: few enough for the cache, and many for each step of a scan.
_CHUNK_ENTRIES = 2**19
# Power sums lose digits on few points: so many for each element of the largest multiset.
_POINTS_PER_ELEMENT = 4


class SizeTables(NamedTuple):
    """What it takes to compute all multisets of one size from the smaller ones.

    Attributes:
        parents, labels: each multiset is the one in row ``parents``, of size one less, and a label.
        removed, label: for each multiset (``row``, from the start of this level) and each of its
            distinct labels p: the row of s∖p, and p.
        row: ascending.
        part, rest, coefficient, pair_row: for each u ≤ s that contains the rarest label p of s: rows of
            u and s∖u, and u_p c_u/s_p, c_u = (−1)^{|u|−1}(|u|−1)!/Π mult(u)!; ``pair_row`` ascending.
    """

    parents: Int[np.ndarray | Array, " s"]
    labels: Int[np.ndarray | Array, " s"]
    removed: Int[np.ndarray | Array, " updates"]
    label: Int[np.ndarray | Array, " updates"]
    row: Int[np.ndarray | Array, " updates"]
    part: Int[np.ndarray | Array, " pairs"]
    rest: Int[np.ndarray | Array, " pairs"]
    coefficient: Float[np.ndarray | Array, " pairs"]
    pair_row: Int[np.ndarray | Array, " pairs"]


class Multisets(eqx.Module):
    """All multisets of labels up to a total weight and a size, by size; closed under removal.

    Attributes:
        counts: ``(S, q)``, how often each label occurs; the empty multiset first.
        roots: ``(S,)``, √Π_p mult_p(s)!.
        levels: of size 1, 2, …
        starts: the first row of each size, and S.
    """

    counts: Int[np.ndarray | Array, "S q"]
    roots: Float[np.ndarray | Array, " S"]
    levels: tuple[SizeTables, ...]
    starts: tuple[int, ...] = eqx.field(static=True)

    @property
    def max_size(self) -> int:
        """The size of the largest multiset."""
        return len(self.starts) - 2

    @property
    def num_multisets(self) -> int:
        """S."""
        return self.starts[-1]

    @property
    def sizes(self) -> Int[np.ndarray, " S"]:
        """The size of each multiset."""
        return np.repeat(np.arange(self.max_size + 1), np.diff(self.starts))

    @property
    def num_labels(self) -> int:
        """The number q of labels."""
        return self.counts.shape[1]


def multisets(weights: Sequence[float], max_weight: float, max_size: int) -> Multisets:
    """All multisets of labels 0..q−1, of total weight ≤ ``max_weight`` and at most ``max_size`` labels.

    Args:
        weights: of each label, positive: the eigenvalue of its function.
        max_weight: the largest sum of weights.
        max_size: the largest number of labels; n, or less.

    Raises:
        ValueError: a weight that is not positive, or more than 1,000,000 multisets.

    Cost: Σ_s 2^{|s|} at worst, in NumPy and Python.

    >>> from symjax_learn.algebra.multisets import multisets
    >>> multisets([1, 1, 4, 4], 6, 100).num_multisets  # S_100 on T^100, |k|² ≤ 6
    40
    """
    values = np.asarray(as_array("weights", weights), float)
    if values.ndim != 1 or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"weights: expected positive finite numbers and got {weights!r}.")
    size = checked_count("max_size", max_size, 0)
    bound = float(max_weight) * (1 + _RELATIVE)
    rows = _sorted_labels(values.tolist(), bound, size)
    place = {labels: i for i, labels in enumerate(rows)}
    counts = np.zeros((len(rows), len(values)), np.int32)
    for i, labels in enumerate(rows):
        for label in labels:
            counts[i, label] += 1
    sizes = [len(labels) for labels in rows]
    starts = tuple(np.searchsorted(sizes, range(max(sizes) + 2)).tolist())
    levels = tuple(_level(rows[start:end], place) for start, end in itertools.pairwise(starts[1:]))
    roots = [math.sqrt(math.prod(math.factorial(c) for c in row)) for row in counts.tolist()]
    return Multisets(jnp.asarray(counts), jnp.asarray(roots, float), levels, starts)


def _sorted_labels(weights: list[float], bound: float, max_size: int) -> list[tuple[int, ...]]:
    """The multisets as ascending tuples of labels, by size."""
    found: list[tuple[int, ...]] = [()]
    layer: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for _ in range(max_size):
        longer: list[tuple[tuple[int, ...], float]] = []
        for labels, total in layer:
            for label in range(labels[-1] if labels else 0, len(weights)):
                if total + weights[label] <= bound:
                    longer.append(((*labels, label), total + weights[label]))
            if len(found) + len(longer) > MAX_MULTISETS:
                raise ValueError(
                    f"max_weight, max_size: more than {MAX_MULTISETS:,} multisets; lower one of them."
                )
        if not longer:
            break
        found += [labels for labels, _ in longer]
        layer = longer
    return found


def _level(rows: list[tuple[int, ...]], place: dict[tuple[int, ...], int]) -> SizeTables:
    """The tables of all multisets of one size."""
    updates: list[tuple[int, int, int]] = []
    pairs: list[tuple[int, int, float, int]] = []
    for row, labels in enumerate(rows):
        counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
        for label in counts:
            updates.append((place[_without(labels, {label: 1})], label, row))
        rarest = min(counts, key=lambda label: counts[label])
        choices = [range(count + 1) for count in counts.values()]
        for taken in itertools.product(*choices):
            part = dict(zip(counts, taken, strict=True))
            if part[rarest] == 0:
                continue
            size = sum(taken)
            sign = -1.0 if size % 2 == 0 else 1.0
            c = sign * math.factorial(size - 1) / math.prod(math.factorial(t) for t in taken)
            u = tuple(label for label, count in part.items() for _ in range(count))
            rest = place[_without(labels, part)]
            pairs.append((place[u], rest, part[rarest] * c / counts[rarest], row))
    removed, label, row = zip(*updates, strict=True)
    part, rest, coefficient, pair_row = zip(*pairs, strict=True)
    return SizeTables(
        parents=_integers([place[labels[:-1]] for labels in rows]),
        labels=_integers([labels[-1] for labels in rows]),
        removed=_integers(removed),
        label=_integers(label),
        row=_integers(row),
        part=_integers(part),
        rest=_integers(rest),
        coefficient=jnp.asarray(coefficient, float),
        pair_row=_integers(pair_row),
    )


def closed_multisets(
    rows: Sequence[Int[np.ndarray, "_ _"]], num_labels: int
) -> tuple[Multisets, list[Int[np.ndarray, " _"]]]:
    """Some multisets and all that they contain: of the others none. For the scan alone.

    Args:
        rows: multisets of 0, 1, 2, … labels, each an ascending row of labels.
        num_labels: q.

    Returns:
        The index, whose levels have no tables for power sums, and where it has each of the ``rows``.

    Raises:
        ValueError: more than 1,000,000 multisets.

    Cost: Σ_s |distinct(s)|·log, in NumPy.

    >>> import numpy as np
    >>> from symjax_learn.algebra.multisets import closed_multisets
    >>> none = [np.zeros((0, size), int) for size in (0, 1)]
    >>> index, places = closed_multisets([*none, np.asarray([[0, 2], [2, 2]])], 3)
    >>> index.counts.tolist(), places[2].tolist()
    ([[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 2]], [3, 4])
    """
    found: list[np.ndarray] = []
    places: list[np.ndarray] = []
    updates: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    contained = np.zeros((0, len(rows) - 1), np.int32)
    total = 1
    for size in range(len(rows) - 1, 0, -1):
        asked = np.asarray(rows[size], np.int32).reshape(-1, size)
        level, place = _distinct_rows(np.concatenate([asked, contained]))
        if updates:
            updates[-1] = (place[len(asked) :], *updates[-1][1:])
        total += len(level)
        if total > MAX_MULTISETS:
            raise ValueError(
                f"rows: they contain more than {MAX_MULTISETS:,} multisets; give fewer or smaller ones."
            )
        row, column = np.nonzero(np.diff(level, axis=1, prepend=-1))  # the first of equal labels
        kept = np.arange(size - 1) + (np.arange(size - 1) >= column[:, None])
        contained = np.take_along_axis(level[row], kept, axis=1)
        last = np.append(row[1:] != row[:-1], True)[: len(row)]
        found.append(level)
        places.append(place[: len(asked)])
        updates.append((np.zeros(len(row), np.int64), level[row, column], row, last))
    starts = np.cumsum([0, 1, *(len(level) for level in found[::-1])])
    levels = []
    for size, (removed, label, row, last) in enumerate(updates[::-1]):
        removed = removed + starts[size]
        none = np.zeros(0)
        levels.append(
            SizeTables(
                parents=_integers(removed[last]),
                labels=_integers(label[last]),
                removed=_integers(removed),
                label=_integers(label),
                row=_integers(row),
                part=_integers(none),
                rest=_integers(none),
                coefficient=jnp.asarray(none, float),
                pair_row=_integers(none),
            )
        )
    counts = np.zeros((total, num_labels), np.int8 if len(rows) < 128 else np.int32)
    for level, start in zip(found[::-1], starts[1:], strict=False):
        np.add.at(counts, (np.arange(start, start + len(level))[:, None], level), 1)
    factorials = np.asarray([math.sqrt(math.factorial(i)) for i in range(len(rows))])
    roots = np.prod(factorials[counts], axis=1)
    index = Multisets(
        jnp.asarray(counts), jnp.asarray(roots, float), tuple(levels), tuple(starts.tolist())
    )
    where = [np.zeros(len(rows[0]), np.int64)]
    where += [place + start for place, start in zip(places[::-1], starts[1:], strict=False)]
    return index, where


def _distinct_rows(rows: Int[np.ndarray, "s k"]) -> tuple[np.ndarray, Int[np.ndarray, " s"]]:
    """The distinct ones, lexicographic, and which one each is."""
    whole = np.ascontiguousarray(rows, ">i4")  # as bytes they are in the same order
    names = whole.view(np.dtype((np.void, 4 * rows.shape[1])))[:, 0]
    _, first, place = np.unique(names, return_index=True, return_inverse=True)
    return rows[first], place.reshape(-1)


def _without(labels: tuple[int, ...], part: dict[int, int]) -> tuple[int, ...]:
    """The multiset difference."""
    left = dict(part)
    kept = []
    for label in labels:
        if left.get(label, 0):
            left[label] -= 1
        else:
            kept.append(label)
    return tuple(kept)


def _integers(values: Sequence[int] | np.ndarray) -> Int[Array, " _"]:
    return jnp.asarray(np.asarray(values, np.int32))


def monomial_symmetric(
    index: Multisets,
    features: AnyArray,
    *,
    mask: AnyArray | None = None,
    method: Literal["auto", "power_sums", "scan"] = "auto",
) -> Array:
    """m_s(x_1, …, x_n)/√N_s for every multiset s, from the features φ_p(x_j) of the points.

    Args:
        index: the multisets.
        features: ``(*batch, n, q)``, real or complex: φ_p(x_j).
        mask: ``(*batch, n)``, whether a point is there: sets of unequal size. N_s is that of the size;
            where a set has fewer points than s has labels, the value is 0.
        method: ``"scan"`` over the points, T_s ← T_s + Σ_p T_{s∖p} φ_p(x_j), accurate for any n; or
            ``"power_sums"`` P_u = Σ_j Π_{p∈u} φ_p(x_j), combined by
            log Π_j (1 + Σ_p t_p φ_p(x_j)) = Σ_u c_u P_u t^u, faster for many points, with cancellation
            for few. ``"auto"``: power sums where n ≥ 4·max|s| and there is no mask.

    Returns:
        ``(*batch, S)`` in the dtype of the features. Everything is scaled by n^{−|s|/2} on the way, so
        that large sets do not overflow.

    Raises:
        ValueError: shapes that do not fit, or an unknown method.
        TypeError: features that are no floating or complex numbers.

    Cost: per set n·S products and Σ_s 2^{|s|} more by power sums; n·Σ_s |distinct(s)| by the scan.
    Memory is one chunk of sets, also in a reverse pass.
    Of features whose products are combinations of few functions, as waves and powers are,
    :func:`monomial_symmetric_from_sums` leaves less work for each point.

    >>> from symjax_learn.algebra.multisets import monomial_symmetric, multisets
    >>> import jax.numpy as jnp
    >>> index = multisets([1], 2, 2)  # 1, Σ φ(x_j)/√n and Σ_{i<j} φ(x_i) φ(x_j)/√C(n, 2)
    >>> monomial_symmetric(index, jnp.asarray([[1.0], [2.0], [3.0]])).round(3).tolist()
    [1.0, 3.46..., 6.35...]
    """
    values = jnp.asarray(as_array("features", features))
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        raise TypeError(f"features: expected floating or complex numbers and got {values.dtype}.")
    if values.ndim < 2 or values.shape[-1] != index.num_labels or values.shape[-2] == 0:
        raise ValueError(
            f"features: expected shape (*batch, points, {index.num_labels}), one column for each label, "
            f"with at least one point, and got {values.shape}."
        )
    if method not in ("auto", "power_sums", "scan"):
        raise ValueError(f"method: expected 'auto', 'power_sums' or 'scan' and got {method!r}.")
    *batch, n, q = values.shape
    if mask is not None:
        present = jnp.asarray(mask).astype(bool)
        if present.shape != (*batch, n):
            raise ValueError(f"mask: expected shape {(*batch, n)} and got {present.shape}.")
        values = jnp.concatenate([values, present[..., None].astype(values.dtype)], axis=-1)
    if method == "auto":
        method = "scan" if mask is not None else best_method(index, n)
    flat = values.reshape(math.prod(batch), n, values.shape[-1])
    answer = _evaluate(index, flat, mask is not None, method)
    return answer.reshape(*batch, index.num_multisets)


@eqx.filter_jit
def _evaluate(index: Multisets, features: Array, masked: bool, method: str) -> Array:
    def columns(chunk: Array) -> Array:
        """``(batch, n, q) -> (S, batch)``."""
        return symmetric_columns(index, chunk, masked, method)

    return map_columns(columns, features, max(1, _CHUNK_ENTRIES // index.num_multisets)).T


def best_method(index: Multisets, num_points: int) -> Literal["power_sums", "scan"]:
    """The faster one of the two that is accurate for so many points."""
    return "power_sums" if num_points >= _POINTS_PER_ELEMENT * index.max_size else "scan"


def symmetric_columns(index: Multisets, chunk: Array, masked: bool, method: str) -> Array:
    """One chunk of :func:`monomial_symmetric`: ``(batch, n, q) -> (S, batch)``.

    With a mask the last of the features says whether a point is there.
    """
    with jax.default_matmul_precision("highest"):
        return _symmetric_columns(index, chunk, masked, method)


def _symmetric_columns(index: Multisets, chunk: Array, masked: bool, method: str) -> Array:
    dtype = chunk.real.dtype
    points = jnp.moveaxis(chunk, 0, -1)  # (n, q, batch): the batch last, contiguous
    if masked:
        present = points[:, -1]
        points, count = points[:, :-1] * present[:, None], present.real.sum(axis=0)
    else:
        count = jnp.full((chunk.shape[0],), chunk.shape[1], dtype)
    scaled = points / jnp.sqrt(jnp.maximum(count, 1)).astype(chunk.dtype)[None, None]
    if method == "scan":
        totals = _by_scan(index, scaled)
    else:
        totals = _by_power_sums(index, scaled)
    return totals * _norms(index, count).astype(chunk.dtype)


def _norms(index: Multisets, count: Array) -> Array:
    """n^{|s|/2}/√N_s for sets of n points: (S, batch)."""
    factors = [jnp.ones_like(count)]
    for size in range(index.max_size):  # √(n^j (n − j)!/n!) = Π_{i<j} (1 − i/n)^{−1/2}; 0 beyond n
        left = 1 - size / jnp.maximum(count, 1)
        enough = count > size
        factors.append(jnp.where(enough, factors[-1] / jnp.sqrt(jnp.where(enough, left, 1.0)), 0.0))
    return jnp.stack(factors)[index.sizes] * index.roots.astype(count.dtype)[:, None]


def _by_scan(index: Multisets, points: Array) -> Array:
    """T_s, one point after the other: of every size from the smaller ones before the update."""
    start = jnp.zeros((index.num_multisets, points.shape[-1]), points.dtype).at[0].set(1)
    if not index.levels:
        return start
    removed = jnp.concatenate([level.removed for level in index.levels])
    label = jnp.concatenate([level.label for level in index.levels])
    row = jnp.concatenate(
        [level.row + first for level, first in zip(index.levels, index.starts[1:], strict=False)]
    )

    def add(totals: Array, point: Array) -> tuple[Array, None]:
        gain = totals[removed] * point[label]
        return totals + jax.ops.segment_sum(
            gain, row, num_segments=index.num_multisets, indices_are_sorted=True
        ), None

    return jax.lax.scan(add, start, points)[0]


def _by_power_sums(index: Multisets, points: Array) -> Array:
    """T_s by Newton's recursion from P_u, both scaled."""
    dtype, batch = points.dtype, points.shape[-1]

    @jax.checkpoint  # a reverse pass computes the products again, and keeps none of them
    def add(sums: Array, point: Array) -> tuple[Array, None]:
        products, found = jnp.ones((1, batch), dtype), [jnp.zeros((1, batch), dtype)]
        for level, start in zip(index.levels, index.starts, strict=False):
            products = products[level.parents - start] * point[level.labels]
            found.append(products)
        return sums + jnp.concatenate(found), None

    sums, _ = jax.lax.scan(add, jnp.zeros((index.num_multisets, batch), dtype), points)
    return _from_power_sums(index, sums)


def _from_power_sums(index: Multisets, sums: Array) -> Array:
    """T_s from P_u, both scaled, by Newton's recursion."""
    # Otherwise XLA computes the sums again wherever they are used.
    power = jax.lax.optimization_barrier(sums)
    totals = jnp.ones((1, sums.shape[1]), sums.dtype)
    for level in index.levels:
        terms = level.coefficient.astype(sums.dtype)[:, None] * power[level.part] * totals[level.rest]
        fresh = jax.ops.segment_sum(
            terms, level.pair_row, num_segments=len(level.parents), indices_are_sorted=True
        )
        totals = jnp.concatenate([totals, fresh])
    return totals


class Products(eqx.Module):
    """The products of a family closed under them: Π_{p∈u} φ_p = Σ_b coefficients[u, b] ψ_b.

    Attributes:
        coefficients: ``(S, r)``, for every multiset u.
        members: the names of ψ_1, …, ψ_r; the first is the constant 1.
    """

    coefficients: Float[np.ndarray | Array, "S r"]
    members: tuple[Hashable, ...] = eqx.field(static=True)


def products(
    index: Multisets,
    multiply: Callable[[int, Hashable], Mapping[Hashable, float]],
    *,
    one: Hashable = 0,
) -> Products:
    """Every product of the φ_p of a multiset as a combination of few functions ψ_b.

    The ψ_b are those that occur: for Fourier modes the modes up to the largest sum of frequencies, for
    powers x^p the powers up to the largest sum of exponents.

    Args:
        index: the multisets of labels p.
        multiply: structure constants: (p, b) ↦ {c: coefficient} with φ_p ψ_b = Σ_c coefficient · ψ_c.
        one: the name of the constant 1.

    Raises:
        ValueError: a coefficient that is not finite; a table beyond 4 GiB.

    Cost: S products of combinations, in Python.

    >>> from symjax_learn.algebra.multisets import multisets, products
    >>> products(multisets([1, 2], 4, 4), lambda p, b: {b + p + 1: 1.0}).members  # x and x²
    (0, 1, 2, 3, 4)
    """
    rows: list[dict[Hashable, float]] = [{one: 1.0}]
    members: dict[Hashable, int] = {one: 0}
    for level in index.levels:
        parents, labels = np.asarray(level.parents).tolist(), np.asarray(level.labels).tolist()
        for parent, label in zip(parents, labels, strict=True):
            row: dict[Hashable, float] = {}
            for member, weight in rows[parent].items():
                for other, coefficient in multiply(label, member).items():
                    row[other] = row.get(other, 0.0) + weight * coefficient
            rows.append({member: total for member, total in row.items() if total != 0})
            for member in rows[-1]:
                members.setdefault(member, len(members))
        what = f"multiply: the table of {index.num_multisets:,} multisets by {len(members):,} functions"
        refuse_beyond(MEMORY_LIMIT, 8 * index.num_multisets * len(members), what, "Lower max_weight.")
    table = np.zeros((len(rows), len(members)))
    for place, row in enumerate(rows):
        table[place, [members[member] for member in row]] = list(row.values())
    if not np.isfinite(table).all():
        raise ValueError("multiply: it gave coefficients that are not finite.")
    return Products(jnp.asarray(table, float), tuple(members))


def monomial_symmetric_from_sums(index: Multisets, family: Products, sums: AnyArray) -> Array:
    """m_s/√N_s for every multiset s, as :func:`monomial_symmetric`, from few sums over the points.

    Where the products of the features are combinations of ψ_1 = 1, ψ_2, …, ψ_r, the power sums are
    P_u = Σ_b coefficients[u, b] Σ_j ψ_b(x_j), and no work for each point is left but r sums.

    Args:
        index: the multisets.
        family: their products.
        sums: ``(*batch, r)``, real or complex: Σ_j ψ_b(x_j) over the points that are there; the first
            is their number.

    Returns:
        ``(*batch, S)`` in the dtype of the sums. As for power sums digits are lost where there are few
        points: give at least 4·max|s|.

    Raises:
        ValueError: shapes that do not fit.
        TypeError: sums that are no floating or complex numbers.

    Cost: per set S·r products and Σ_s 2^{|s|} more, whatever n is. Memory is one chunk of sets.

    >>> from symjax_learn.algebra.multisets import monomial_symmetric_from_sums, multisets, products
    >>> import jax.numpy as jnp
    >>> index = multisets([1], 2, 2)  # as for monomial_symmetric, of x = 1, 2, 3: Σ1, Σx, Σx²
    >>> powers = products(index, lambda p, b: {b + 1: 1.0})
    >>> monomial_symmetric_from_sums(index, powers, jnp.asarray([3.0, 6.0, 14.0])).round(3).tolist()
    [1.0, 3.46..., 6.35...]
    """
    values = jnp.asarray(as_array("sums", sums))
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        raise TypeError(f"sums: expected floating or complex numbers and got {values.dtype}.")
    if family.coefficients.shape[0] != index.num_multisets:
        raise ValueError(
            f"family: expected the products of {index.num_multisets} multisets and got "
            f"{family.coefficients.shape[0]}; make it from the same index."
        )
    width = family.coefficients.shape[1]
    if values.ndim < 1 or values.shape[-1] != width:
        raise ValueError(
            f"sums: expected shape (*batch, {width}), one column for each member, and got "
            f"{values.shape}."
        )
    batch = values.shape[:-1]
    answer = _evaluate_sums(index, family, values.reshape(math.prod(batch), width))
    return answer.reshape(*batch, index.num_multisets)


@eqx.filter_jit
def _evaluate_sums(index: Multisets, family: Products, sums: Array) -> Array:
    def columns(chunk: Array) -> Array:
        """``(batch, r) -> (S, batch)``."""
        count = chunk[:, 0].real
        points = jnp.maximum(count, 1)
        means = jax.lax.optimization_barrier((chunk / points.astype(chunk.dtype)[:, None]).T)
        power = jnp.matmul(family.coefficients.astype(chunk.dtype), means, precision="highest")
        # Σ_j over n^{|u|/2} is the mean times n^{1−|u|/2}.
        scales = jnp.stack([points ** (1 - size / 2) for size in range(index.max_size + 1)])
        scaled = power * scales[index.sizes].astype(chunk.dtype)
        return _from_power_sums(index, scaled) * _norms(index, count).astype(chunk.dtype)

    return map_columns(columns, sums, max(1, _CHUNK_ENTRIES // index.num_multisets)).T
