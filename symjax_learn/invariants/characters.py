"""Exact counts from averages of traces: of products of functions of places, of sets, of any pair."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.permutations import YoungSampler
from symjax_learn.algebra.series import burnside_series, cycle_types, integral, pair_cycles
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.hypercube import Hypercube
from symjax_learn.geometry.sets import Occupation
from symjax_learn.invariants.monomial import cycles_of, signed_permutations
from symjax_learn.invariants.signed import placed_moves

# S_n with more cycle types than this is not averaged over them.
_MAX_CYCLE_NODES = 24


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
    sampler = group.sampler
    whole = isinstance(sampler, YoungSampler) and len(sampler.parts) == 1
    if isinstance(space, Graphs) and whole:
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


def set_counts(
    occupations: Sequence[Occupation],
    order: AbstractGroup,
    traces: Callable[[Hashable, int], Float[np.ndarray, " K"]],
    max_order: int,
) -> list[int] | None:
    """Invariants of each occupation under H × K, H permuting the points and K moving each of them.

    The average over h and k of the coefficient of Π t_λ^{c_λ} in the product over the cycles of h, of
    lengths n, of 1 + Σ_λ χ_λ(k^n) t_λ^n; for H = S_n it is Π_λ h_{c_λ}, complete homogeneous functions
    of the eigenvalues of D_λ(k). ``None`` for H beyond ``max_order`` elements and not S_n.

    Args:
        occupations: how many points are in which level.
        order: H.
        traces: ``traces(key, n)``, χ_λ(k^n) for all k.
        max_order: of H.
    """
    sampler = order.sampler
    if isinstance(sampler, YoungSampler) and len(sampler.parts) == 1:
        return integral([float(np.mean(_complete(one, traces))) for one in occupations])
    if order.order > max_order:
        return None
    moves = signed_permutations(order, order.elements())
    kinds = Counter(tuple(sorted(n for n, *_ in one)) for one in cycles_of(moves))
    averages = []
    for one in occupations:
        total = sum(times * _coefficient(one, cycles, traces) for cycles, times in kinds.items())
        averages.append(float(np.mean(total)) / len(moves.images))
    return integral(averages)


def _complete(one: Occupation, traces: Callable[[Hashable, int], np.ndarray]) -> np.ndarray:
    """Π_λ h_{c_λ} by Newton's identity c·h_c = Σ_j p_j h_{c−j}."""
    product = np.ones(1)
    for key, count in one:
        complete = [np.ones(1)]
        for c in range(1, count + 1):
            terms = [traces(key, j) * complete[c - j] for j in range(1, c + 1)]
            complete.append(np.sum(terms, axis=0) / c)
        product = product * complete[count]
    return product


def _coefficient(
    one: Occupation,
    cycles: Iterable[int],
    traces: Callable[[Hashable, int], np.ndarray],
) -> np.ndarray:
    """Of Π t_λ^{c_λ}, by one pass over the cycles."""
    keys, wanted = [key for key, _ in one], tuple(count for _, count in one)
    table: Mapping[tuple[int, ...], np.ndarray] = {(0,) * len(keys): np.ones(1)}
    for length in cycles:
        grown = dict(table)
        for counts, value in table.items():
            for i, key in enumerate(keys):
                if counts[i] + length <= wanted[i]:
                    more = (*counts[:i], counts[i] + length, *counts[i + 1 :])
                    grown[more] = grown.get(more, 0.0) + value * traces(key, length)
        table = grown
    return table.get(wanted, np.zeros(1))


def power_traces(
    matrices: Mapping[Hashable, Float[np.ndarray, "K m m"]],
) -> Callable[[Hashable, int], Float[np.ndarray, " K"]]:
    """χ_λ(k^n) of all k, from their matrices on each level."""
    eigenvalues = {key: np.linalg.eigvals(block) for key, block in matrices.items()}

    def traces(key: Hashable, power: int) -> np.ndarray:
        return (eigenvalues[key] ** power).sum(axis=1).real

    return traces
