"""How many invariant functions there are: exact, and without building them."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import jax
import numpy as np

from symjax_learn._chunks import MEMORY_LIMIT
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.spectra import truncated_product
from symjax_learn.geometry.torus import Torus, level_norm
from symjax_learn.invariants.action import Action, SignedAffine, as_action, signed_affine
from symjax_learn.invariants.routes.orbits import TorusOrbits, torus_orbits

# Burnside's average is taken over groups up to this order.
MAX_CHARACTER_ORDER = 10_000


def invariant_count(space: AbstractSpace, group: AbstractGroup | Action, max_eigenvalue: float) -> int:
    """D_{Λ,G}, the number of independent invariant eigenfunctions with λ ≤ Λ; exact.

    For S_n, B_n, Young and sign groups by generating functions, at any n. For |G| ≤ 10,000 by
    Burnside: D_{Λ,G} = (1/|G|) Σ_g tr D(g), the traces by products of theta series over the cycles
    of g. Neither enumerates a frequency. Else by exact orbits.

    Args:
        space: the space.
        group: the group, or an action on the space.
        max_eigenvalue: Λ ≥ 0.

    Raises:
        ValueError: Λ is negative or not finite, or the pair is out of reach of both methods.

    Cost: n·Λ^{3/2}; or |G|·d + products of series of length Λ; or O(k·D·log D) for k generators.

    >>> import symjax_learn as sj
    >>> sj.invariant_count(sj.Torus(100), sj.symmetric_group(100), 6)
    40
    """
    acting = as_action(space, group)
    levels = checked_levels(space, max_eigenvalue)
    with jax.ensure_compile_time_eval():
        counts, _ = level_counts(acting, levels)
        if counts is None and isinstance(space, Torus) and acting.user_act is None:
            counts = orbit_counts(torus_orbits(acting, space, levels, MEMORY_LIMIT), levels)
    if counts is None:
        raise ValueError(
            f"group: no exact count is known for {type(acting.group).__name__} on "
            f"{type(space).__name__} with this action."
        )
    return sum(counts)


def checked_levels(space: AbstractSpace, max_eigenvalue: float) -> list[Level]:
    """The levels up to a truncation that is a finite number ≥ 0."""
    number = np.asarray(max_eigenvalue)
    if number.shape != () or number.dtype.kind not in "fiu" or not 0 <= float(number) < math.inf:
        raise ValueError(
            f"max_eigenvalue: expected a finite number >= 0 and got {max_eigenvalue!r}; eigenvalues of "
            "-Laplacian start at 0."
        )
    return space.levels(float(number))


def level_counts(
    action: Action, levels: Sequence[Level]
) -> tuple[list[int] | None, Literal["molien", "character", "none"]]:
    """Invariants of each level without any orbit, and the source; ``None`` where out of reach."""
    if not isinstance(action.space, Torus) or action.user_act is not None:
        return None, "none"
    if isinstance(action.group.sampler, YoungSampler | SignedSampler):
        return _molien_counts(action.group.sampler, levels), "molien"
    if action.order <= MAX_CHARACTER_ORDER:
        return _character_counts(action, levels), "character"
    return None, "none"


def orbit_counts(found: TorusOrbits, levels: Sequence[Level]) -> list[int]:
    """Invariants of each level as orbits that carry one."""
    first = np.unique(found.orbits.labels, return_index=True)[1]
    counted = Counter(found.norms[first[found.orbits.carries]].tolist())
    return [counted[level_norm(level)] for level in levels]


def _molien_counts(sampler: YoungSampler | SignedSampler, levels: Sequence[Level]) -> list[int]:
    """Orbits of Z^n under S_{n_1} × S_{n_2} × …, with or without signs, by |k|²; Python integers.

    One block contributes the multisets of its size of integers j (of j ≥ 0 with signs), each with
    weight q^{j²}: the coefficient of t^size in Π_j 1/(1 − t q^{j²}).
    """
    signed = isinstance(sampler, SignedSampler)
    parts = sampler.permutations.parts if isinstance(sampler, SignedSampler) else sampler.parts
    norms = [level_norm(level) for level in levels]
    max_norm = max(norms)
    series = [1] + [0] * max_norm
    for part, times in Counter(parts).items():
        block = _multiset_series(part, max_norm, signed)
        for _ in range(times):
            series = truncated_product(series, block)
    return [series[norm] for norm in norms]


def _multiset_series(size: int, max_norm: int, signed: bool) -> list[int]:
    """Multisets of ``size`` integers by sum of squares, up to ``max_norm``."""
    # Zeros only fill up: count multisets of at most max_norm nonzero integers, of size ≤ ``size``.
    most = min(size, max_norm)
    table = [[0] * (max_norm + 1) for _ in range(most + 1)]
    table[0][0] = 1
    for j in range(1, math.isqrt(max_norm) + 1):
        for _ in range(1 if signed else 2):
            for taken in range(1, most + 1):
                for norm in range(j * j, max_norm + 1):
                    table[taken][norm] += table[taken - 1][norm - j * j]
    return [sum(row[norm] for row in table) for norm in range(max_norm + 1)]


def _character_counts(action: Action, levels: Sequence[Level]) -> list[int]:
    """Burnside: the average over G of the trace on each level."""
    elements = signed_affine(action, action.elements())
    norms = [level_norm(level) for level in levels]
    total = np.zeros(max(norms) + 1)
    for cycles, multiplicity in Counter(_cycle_types(elements)).items():
        total += multiplicity * _trace_series(cycles, elements.denominator, max(norms))
    counts = total[norms] / len(elements.images)
    rounded = np.round(counts)
    if np.abs(counts - rounded).max() > 1e-6 * max(1.0, rounded.max()):
        raise ValueError(
            f"group: the average of its characters is {counts.tolist()}, which is not integral; the "
            "elements do not form a group."
        )
    return [int(count) for count in rounded]


def _cycle_types(elements: SignedAffine) -> list[tuple[tuple[int, int], ...]]:
    """For each element its cycles with sign product +1, as sorted (length, shift along the cycle).

    On a cycle with sign product −1 only k = 0 is fixed, which contributes the factor 1.
    """
    types = []
    for images, signs, shifts in zip(
        elements.images.tolist(), elements.signs.tolist(), elements.shifts.tolist(), strict=True
    ):
        seen, cycles = [False] * len(images), []
        for start in range(len(images)):
            i, sign, length, shift = start, 1, 0, 0
            while not seen[i]:
                seen[i] = True
                length += 1
                shift += sign * shifts[i]
                sign *= signs[i]
                i = images[i]
            if length and sign == 1:
                cycles.append((length, shift % elements.denominator))
        types.append(tuple(sorted(cycles)))
    return types


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
