"""Exact counts from averages of traces: of products of functions of places, of sets, of plane waves."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.permutations import YoungSampler
from symjax_learn.algebra.series import burnside_series, cycle_types, integral, pair_cycles
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.hypercube import Hypercube
from symjax_learn.geometry.sets import Occupation
from symjax_learn.geometry.spaces import Level
from symjax_learn.geometry.torus import Torus, level_norm
from symjax_learn.invariants.monomial import (
    IntegerAffine,
    SignedAffine,
    cycles_of,
    signed_permutations,
)
from symjax_learn.invariants.signed import placed_moves

# S_n with more cycle types than this is not averaged over them.
_MAX_CYCLE_NODES = 24
# Sums of traces beyond this are not told apart to a hundredth.
_EXACT_SUM = 2.0**46


def entry_sizes(space: Box | Hypercube | Graphs, max_size: int, signed: bool) -> list[int]:
    """Sizes of the nonzero entries of one place, of the even ones alone where its sign may change."""
    if not isinstance(space, Box):
        return [] if signed or max_size < 1 else [1]
    return [v * v for v in range(1, math.isqrt(max_size) + 1) if not signed or v % 2 == 0]


def signed_place_counts(
    space: Box | Hypercube | Graphs, group: AbstractGroup, max_size: int, max_order: int
) -> list[int] | None:
    """Invariants by total size: Burnside's average over the cycles of the places, with their signs.

    A cycle of length n with sign product s contributes 1 + Σ_v s^v q^{n·size_v}. ``None`` for groups
    beyond ``max_order`` elements, but for S_n on graphs: a graph with m edges has at most 2m nodes, so
    that S_n counts as S_{2m}.
    """
    if isinstance(space, Graphs) and is_symmetric(group):
        nodes = min(space.num_nodes, 2 * max_size)
        if nodes <= _MAX_CYCLE_NODES:
            types = ((pair_cycles(cycles), times) for cycles, times in cycle_types(max(nodes, 1)))
            return burnside_series(types, [1], max_size)
    if group.order > max_order:
        return None
    odd = Counter(entry_sizes(space, max_size, False)) - Counter(entry_sizes(space, max_size, True))
    moves = placed_moves(space, group, group.elements())
    kinds = Counter(tuple(sorted((n, sign) for n, sign, _ in one)) for one in cycles_of(moves))
    total = np.zeros(max_size + 1, object)
    for cycles, times in kinds.items():
        series = np.zeros(max_size + 1, object)
        series[0] = 1
        for length, sign in cycles:
            moved = series.copy()
            for size in entry_sizes(space, max_size // length, False):
                shifted = series[: max_size + 1 - length * size]
                moved[length * size :] += (sign if size in odd else 1) * shifted
            series = moved
        total += times * series
    return [int(count) // len(moves.images) for count in total]


def multiset_counts(occupations: Sequence[Occupation], each: Mapping[Hashable, int]) -> list[int]:
    """Multisets of functions for each occupation, of ``each`` functions in a level of one point."""
    return [
        math.prod(math.comb(each[key] + count - 1, count) if each[key] else 0 for key, count in one)
        for one in occupations
    ]


def set_counts(
    occupations: Sequence[Occupation],
    order: AbstractGroup,
    traces: Callable[[Hashable, int], np.ndarray],
    max_order: int,
    weights: Float[np.ndarray, " K"] | None = None,
) -> list[int] | None:
    """Invariants of each occupation under H × K, H permuting the points and K moving each of them.

    The average over h and k of the coefficient of Π t_λ^{c_λ} in the product over the cycles of h, of
    lengths n, of 1 + Σ_λ χ_λ(k^n) t_λ^n; for H = S_n it is Π_λ h_{c_λ}, complete homogeneous functions
    of the eigenvalues of D_λ(k). ``None`` for H beyond ``max_order`` elements and not S_n.

    Args:
        occupations: how many points are in which level.
        order: H.
        traces: ``traces(key, n)``, χ_λ(k^n) for all k, ``(K,)``; Python integers stay exact.
        max_order: of H.
        weights: of the k, of sum 1; else they are all the elements of K, or enough for an exact mean.

    Raises:
        ValueError: counts so large that their floating-point traces do not tell integers apart.
    """
    if is_symmetric(order):
        return [_average(_complete(one, traces), 1, weights) for one in occupations]
    if order.order > max_order:
        return None
    moves = signed_permutations(order, order.elements())
    kinds = Counter(tuple(sorted(n for n, *_ in one)) for one in cycles_of(moves))
    return [
        _average(
            sum(times * _coefficient(one, cycles, traces) for cycles, times in kinds.items()),
            len(moves.images),
            weights,
        )
        for one in occupations
    ]


def is_symmetric(group: AbstractGroup) -> bool:
    """Whether it is all of S_n, by its name."""
    return isinstance(group.sampler, YoungSampler) and len(group.sampler.parts) == 1


def _average(total: Any, order: int, weights: Float[np.ndarray, " K"] | None) -> int:
    """Over ``order`` elements of H and the values for all of K: an integer."""
    values = np.atleast_1d(total)
    if values.dtype.kind in "Oi":
        whole, number = int(values.sum()), order * values.size
        assert whole % number == 0
        return whole // number
    largest = float(np.abs(values).max()) * (values.size if weights is None else 1)
    if largest > _EXACT_SUM:
        raise ValueError(
            "max_eigenvalue or max_functions: the traces of the group add up to "
            f"{largest:.2g}, where floating-point numbers do not tell integers apart; lower it."
        )
    mean = values.mean() if weights is None else np.broadcast_to(values, weights.shape) @ weights
    return integral([float(mean) / order])[0]


def _complete(one: Occupation, traces: Callable[[Hashable, int], np.ndarray]) -> Any:
    """Π_λ h_{c_λ} by Newton's identity c·h_c = Σ_j p_j h_{c−j}."""
    product: Any = 1
    for key, count in one:
        complete: list[Any] = [1]
        for c in range(1, count + 1):
            terms = [traces(key, j) * complete[c - j] for j in range(1, c + 1)]
            complete.append(np.sum(terms, axis=0) / c)
        product = product * complete[count]
    return product


def _coefficient(
    one: Occupation, cycles: Iterable[int], traces: Callable[[Hashable, int], np.ndarray]
) -> Any:
    """Of Π t_λ^{c_λ}, by one pass over the cycles."""
    keys, wanted = [key for key, _ in one], tuple(count for _, count in one)
    table: dict[tuple[int, ...], Any] = {(0,) * len(keys): 1}
    for length in cycles:
        grown = dict(table)
        for counts, value in table.items():
            for i, key in enumerate(keys):
                if counts[i] + length <= wanted[i]:
                    more = (*counts[:i], counts[i] + length, *counts[i + 1 :])
                    grown[more] = grown.get(more, 0) + value * traces(key, length)
        table = grown
    return table.get(wanted, 0)


def power_traces(
    matrices: Mapping[Hashable, Float[np.ndarray, "K m m"]],
) -> Callable[[Hashable, int], Float[np.ndarray, " K"]]:
    """χ_λ(k^n) of all k, from their matrices on each level."""
    eigenvalues = {key: np.linalg.eigvals(block) for key, block in matrices.items()}

    def traces(key: Hashable, power: int) -> np.ndarray:
        return (eigenvalues[key] ** power).sum(axis=1).real

    return traces


def plane_wave_counts(
    space: Torus, elements: SignedAffine | IntegerAffine, levels: Sequence[Level]
) -> list[int]:
    """Invariants of each level of a torus: the average over all elements of the traces."""
    if isinstance(elements, IntegerAffine) or not space.is_cubic:
        return _fixed_counts(space, elements, levels)
    norms = [level_norm(level) for level in levels]
    total = np.zeros(max(norms) + 1)
    for cycles, multiplicity in Counter(_cycle_types(elements)).items():
        total += multiplicity * _trace_series(cycles, elements.denominator, max(norms))
    return integral((total[norms] / len(elements.images)).tolist())


def _fixed_counts(
    space: Torus, elements: SignedAffine | IntegerAffine, levels: Sequence[Level]
) -> list[int]:
    """The same from the frequencies that each element fixes: Σ over k = A^{−T}k of exp(−2πi k·b).

    How often each phase occurs on each level is counted in integers.

    Cost: |G|·D·d, and D·d² for each different A.
    """
    frequencies, places = space.frequencies(levels)
    wide, denominator = frequencies.astype(np.int64), elements.denominator
    occurring = np.zeros(len(levels) * denominator, np.int64)
    linear_parts, part_of = np.unique(elements.matrices, axis=0, return_inverse=True)
    for part, matrix in enumerate(linear_parts):
        fixed = (wide @ matrix == wide).all(axis=1)  # Aᵀk = k
        for shift in elements.shifts[part_of.ravel() == part]:
            phases = wide[fixed] @ shift % denominator
            occurring += np.bincount(places[fixed] * denominator + phases, minlength=len(occurring))
    cosines = np.cos(2 * np.pi * np.arange(denominator) / denominator)
    traces = occurring.reshape(len(levels), denominator) @ cosines
    return integral((traces / len(elements.shifts)).tolist())


def _cycle_types(elements: SignedAffine) -> list[tuple[tuple[int, int], ...]]:
    """For each element its cycles with sign product +1, as sorted (length, shift along the cycle).

    On a cycle with sign product −1 only k = 0 is fixed, which contributes the factor 1.
    """
    return [
        tuple(sorted((length, shift) for length, sign, shift in cycles if sign == 1))
        for cycles in cycles_of(elements)
    ]


def _trace_series(cycles: tuple[tuple[int, int], ...], denominator: int, max_norm: int) -> np.ndarray:
    """Σ over fixed k of exp(−2πi k·b) q^{|k|²}: for each cycle Σ_a cos(2πaβ) q^{length·a²}."""
    series = np.zeros(max_norm + 1)
    series[0] = 1.0
    for length, shift in cycles:
        moved = series.copy()
        for a in range(1, math.isqrt(max_norm // length) + 1):
            step = length * a * a
            phase = 2 * math.cos(2 * math.pi * ((a * shift) % denominator) / denominator)
            moved[step:] += phase * series[: max_norm + 1 - step]
        series = moved
    return series
