"""How many invariant functions there are: exact, and without building them."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import jax
import numpy as np

from symjax_learn._chunks import MEMORY_LIMIT
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import (
    LieGroup,
    RotationSampler,
    SpecialUnitarySampler,
    TorusSampler,
)
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.orbits import monomial_orbits
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.algebra.series import (
    hilbert_series,
    integral,
    molien_series,
    multiset_series,
    orthogonal_series,
    signed_cycle_series,
    weyl_series,
)
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.spectra import truncated_product
from symjax_learn.geometry.sphere import Sphere, level_degree
from symjax_learn.geometry.torus import Torus, level_norm
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.monomial import IntegerAffine, SignedAffine, find_rows, signed_affine
from symjax_learn.invariants.routes.orbits import TorusOrbits, torus_orbits

# Burnside's average is taken over groups up to this order.
MAX_CHARACTER_ORDER = 10_000
# Matrices are averaged all at once, and so over larger groups.
MAX_MATRIX_ORDER = 100_000


def invariant_count(space: AbstractSpace, group: AbstractGroup | Action, max_eigenvalue: float) -> int:
    """D_{Λ,G}, the number of independent invariant eigenfunctions with λ ≤ Λ; exact.

    For S_n, B_n, Young and sign groups by generating functions, at any n. For |G| ≤ 10,000 (100,000
    for groups of matrices) by averages over the group: on the torus of tr D(g), from theta series over
    the cycles of g; on the sphere of (1 − t²)/det(1 − tg) (Molien). Neither enumerates a function. For
    SO(n), O(n), SU(n) and tori by Weyl's integration formula, for products from their factors. Else by
    exact orbits, of frequencies or of monomials. On a lattice that is not cubic tr D(g) is a sum over
    the frequencies that g fixes, which are enumerated.

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
) -> tuple[list[int] | None, Literal["molien", "character", "orbits", "none"]]:
    """Invariants of each level without any orbit, and the source; ``None`` where out of reach."""
    if action.user_act is not None or not isinstance(action.space, Torus | Sphere):
        return None, "none"
    if isinstance(action.space, Sphere):
        return _sphere_counts(action.group, [level_degree(level) for level in levels])
    if isinstance(action.group.sampler, YoungSampler | SignedSampler) and action.space.is_cubic:
        norms = [level_norm(level) for level in levels]
        series = _orbit_series(action.group.sampler, max(norms), _torus_weights)
        return [series[norm] for norm in norms], "molien"
    if action.order <= MAX_CHARACTER_ORDER:
        return _character_counts(action, levels), "character"
    return None, "none"


def orbit_counts(found: TorusOrbits, levels: Sequence[Level]) -> list[int]:
    """Invariants of each level as orbits that carry one."""
    first = np.unique(found.orbits.labels, return_index=True)[1]
    return np.bincount(found.places[first[found.orbits.carries]], minlength=len(levels)).tolist()


def _torus_weights(max_norm: int, signed: bool) -> list[int]:
    """|k|² of the nonzero integers k, of k > 0 alone with signs."""
    return [j * j for j in range(1, math.isqrt(max_norm) + 1) for _ in range(1 if signed else 2)]


def _sphere_weights(max_degree: int, signed: bool) -> list[int]:
    """Degrees of the powers x, x², …, of the even ones with signs."""
    return list(range(2, max_degree + 1, 2) if signed else range(1, max_degree + 1))


def _orbit_series(
    sampler: YoungSampler | SignedSampler,
    max_weight: int,
    weights_up_to: Callable[[int, bool], list[int]],
) -> list[int]:
    """Orbits of S_{n_1} × S_{n_2} × …, with or without signs, by total weight; Python integers.

    One coordinate carries one of the weights, or 0. A block then contributes the multisets of its
    size: the coefficient of t^size in (1/(1 − t)) Π_w 1/(1 − t q^w).
    """
    signed = isinstance(sampler, SignedSampler)
    parts = sampler.permutations.parts if isinstance(sampler, SignedSampler) else sampler.parts
    series = [1] + [0] * max_weight
    for part, times in Counter(parts).items():
        block = multiset_series(part, max_weight, weights_up_to(max_weight, signed))
        for _ in range(times):
            series = truncated_product(series, block)
    return series


def _sphere_counts(
    group: AbstractGroup, degrees: Sequence[int]
) -> tuple[list[int] | None, Literal["molien", "character", "orbits", "none"]]:
    """Invariant harmonics by degree: invariant polynomials, less those of degree two lower.

    For harmonics of degree l are the polynomials of degree l modulo |x|² times those of degree l − 2,
    and |x|² is invariant.
    """
    series, source = _polynomial_series(group, max(degrees))
    if series is None:
        return None, "none"
    return [series[d] - (series[d - 2] if d >= 2 else 0) for d in degrees], source


def _polynomial_series(
    group: AbstractGroup, max_degree: int
) -> tuple[list[int] | None, Literal["molien", "character", "orbits", "none"]]:
    """Invariant polynomials of a linear group by degree, and how they were counted."""
    if isinstance(group, ProductGroup):  # polynomials in the invariants of the blocks
        found = [_polynomial_series(factor, max_degree) for factor in group.factors]
        series = [1] + [0] * max_degree
        for block, _ in found:
            if block is None:
                return None, "none"
            series = truncated_product(series, block)
        sources = {source for _, source in found}
        return series, next(one for one in ("orbits", "character", "molien") if one in sources)
    if isinstance(group, WreathGroup):  # multisets of invariants of the inner group
        inner, source = _polynomial_series(group.inner, max_degree)
        if inner is None:
            return None, "none"
        weights = [degree for degree, times in enumerate(inner) if degree for _ in range(times)]
        return multiset_series(group.num_blocks, max_degree, weights), source
    if isinstance(group.sampler, YoungSampler | SignedSampler):
        return _orbit_series(group.sampler, max_degree, _sphere_weights), "molien"
    if isinstance(group, LieGroup):
        return _lie_series(group, max_degree)
    if isinstance(group, MatrixGroup):
        if group.order > MAX_MATRIX_ORDER:
            return None, "none"
        return molien_series(np.asarray(group.elements()), max_degree), "character"
    if group.order <= MAX_CHARACTER_ORDER:
        elements = signed_affine(group, group.elements())
        assert isinstance(elements, SignedAffine)
        types = Counter(tuple(sorted((n, sign) for n, sign, _ in c)) for c in _cycles(elements))
        total = [0] * (max_degree + 1)
        for cycles, times in types.items():
            for degree, count in enumerate(signed_cycle_series(cycles, max_degree)):
                total[degree] += times * count
        return [count // len(elements.images) for count in total], "character"
    return [_monomial_count(group, degree) for degree in range(max_degree + 1)], "orbits"


def _lie_series(group: LieGroup, max_degree: int) -> tuple[list[int] | None, Literal["molien", "none"]]:
    """Weyl's integration formula, where the family is known."""
    sampler = group.sampler
    if isinstance(sampler, RotationSampler):
        return orthogonal_series(group.degree, 1, max_degree, proper=sampler.proper), "molien"
    if isinstance(sampler, SpecialUnitarySampler):  # transitive on the sphere
        return hilbert_series([2], max_degree), "molien"
    if isinstance(sampler, TorusSampler):
        return weyl_series(np.asarray(sampler.frequencies).tolist(), [], max_degree), "molien"
    return None, "none"


def _monomial_count(group: AbstractGroup, degree: int) -> int:
    """Invariant polynomials of one degree: orbits of monomials whose signs are consistent."""
    d = group.degree
    bars = np.asarray(list(itertools.combinations(range(degree + d - 1), d - 1)), np.int64)
    bars = bars.reshape(-1, d - 1)
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, degree + d - 1)))
    exponents = np.diff(edges, axis=1) - 1
    generators = signed_affine(group, group.generators)
    assert isinstance(generators, SignedAffine)
    moved = np.empty((len(generators.images), *exponents.shape), np.int64)
    for row, images in enumerate(generators.images):
        moved[row][:, images] = exponents
    odd = np.einsum("gi,ki->gk", (generators.signs < 0).astype(np.int64), exponents) % 2
    return int(monomial_orbits(find_rows(exponents, moved), odd, 2).carries.sum())


def _character_counts(action: Action, levels: Sequence[Level]) -> list[int]:
    """Burnside: the average over G of the trace on each level."""
    elements = signed_affine(action.group, action.elements())
    assert isinstance(action.space, Torus)
    if isinstance(elements, IntegerAffine) or not action.space.is_cubic:
        return _fixed_counts(action.space, elements, levels)
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
        for cycles in _cycles(elements)
    ]


def _cycles(elements: SignedAffine) -> Iterator[list[tuple[int, int, int]]]:
    """For each element its cycles: length, product of signs, and shift along the cycle."""
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
            if length:
                cycles.append((length, sign, shift % elements.denominator))
        yield cycles


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
