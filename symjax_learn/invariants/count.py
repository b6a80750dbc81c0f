"""How many invariant functions there are: exact, and without building them."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
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
from symjax_learn.geometry.ball import Ball, level_indices
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.hypercube import Hypercube
from symjax_learn.geometry.labels import Labels
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.separable import integer_keys
from symjax_learn.geometry.sets import Sets, occupations_of
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.spectra import truncated_product
from symjax_learn.geometry.sphere import Sphere, level_degree
from symjax_learn.geometry.torus import Torus, level_norm
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.characters import (
    entry_sizes,
    power_traces,
    set_counts,
    signed_place_counts,
)
from symjax_learn.invariants.monomial import (
    IntegerAffine,
    SignedAffine,
    cycles_of,
    find_rows,
    signed_affine,
    signed_permutations,
)
from symjax_learn.invariants.pairs import shares, sides
from symjax_learn.invariants.routes.averaging import averages
from symjax_learn.invariants.routes.orbit_sums import signed_orbit_counts, signed_orbits
from symjax_learn.invariants.routes.orbits import TorusOrbits, torus_orbits
from symjax_learn.invariants.signed import permutes_functions

Source = Literal["molien", "character", "orbits", "second_route", "none"]

# Burnside's average is taken over groups up to this order.
MAX_CHARACTER_ORDER = 10_000
# Matrices are averaged all at once, and so over larger groups.
MAX_MATRIX_ORDER = 100_000
# Products for the averages of all matrices.
_MAX_TRACE_WORK = 2e10


def invariant_count(space: AbstractSpace, group: AbstractGroup | Action, max_eigenvalue: float) -> int:
    """D_{Λ,G}, the number of independent invariant eigenfunctions with λ ≤ Λ; exact.

    For S_n, B_n, Young and sign groups by generating functions, at any n. For |G| ≤ 10,000 (100,000
    for groups of matrices) by averages over the group: on the torus of tr D(g), from theta series over
    the cycles of g; on the sphere of (1 − t²)/det(1 − tg) (Molien). Neither enumerates a function. For
    SO(n), O(n), SU(n) and tori by Weyl's integration formula, for products from their factors. On boxes,
    hypercubes and graphs by the cycles of g with their signs, on sets by those of the points and the
    eigenvalues of each point's matrices. Else by exact orbits, of frequencies or of other functions, or
    for any finite group by the average of tr D(g). On a lattice that is not cubic tr D(g) is a sum over
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
        if counts is None and acting.user_act is None:
            counts = counted_orbits(acting, levels, MEMORY_LIMIT)
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


def level_counts(action: Action, levels: Sequence[Level]) -> tuple[list[int] | None, Source]:
    """Invariants of each level without a basis, and the source; ``None`` where out of reach.

    By the space; where that knows nothing, for finite groups the averages of tr D(g).
    """
    found: tuple[list[int] | None, Source] = (None, "none")
    if action.user_act is None:
        found = _counts_by_space(action, levels)
    return found if found[0] is not None else _trace_counts(action, levels)


def _counts_by_space(action: Action, levels: Sequence[Level]) -> tuple[list[int] | None, Source]:
    space, group = action.space, action.group
    match space:
        case Torus():
            return _torus_counts(action, levels)
        case Sphere():
            return _sphere_counts(group, [level_degree(level) for level in levels])
        case Ball():
            return _sphere_counts(group, [level_indices(level)[0] for level in levels])
        case Gaussian():
            degrees = integer_keys(levels, "Gaussian")
            series, source = _polynomial_series(group, max(degrees))
            return (None if series is None else [series[degree] for degree in degrees]), source
        case Box() | Hypercube() | Graphs():
            return _place_counts(space, group, integer_keys(levels, type(space).__name__))
        case RotationGroup():
            return _rotation_counts(space, group, integer_keys(levels, "the rotation group"))
        case Labels():
            moves = signed_permutations(group, group.generators)
            orbits = monomial_orbits(moves.images, np.zeros_like(moves.images), 1)
            return [len(orbits.carries) - 1 if level.key else 1 for level in levels], "orbits"
        case Product():
            return _product_counts(space, group, levels)
        case Sets():
            return _set_counts(space, group, levels)
        case _:
            return None, "none"


def _torus_counts(action: Action, levels: Sequence[Level]) -> tuple[list[int] | None, Source]:
    assert isinstance(action.space, Torus)
    if isinstance(action.group.sampler, YoungSampler | SignedSampler) and action.space.is_cubic:
        norms = [level_norm(level) for level in levels]
        series = _orbit_series(action.group.sampler, max(norms), _torus_weights)
        return [series[norm] for norm in norms], "molien"
    if action.order <= MAX_CHARACTER_ORDER:
        return _character_counts(action, levels), "character"
    return None, "none"


def _place_counts(
    space: Box | Hypercube | Graphs, group: AbstractGroup, sizes: Sequence[int]
) -> tuple[list[int] | None, Source]:
    if isinstance(group.sampler, YoungSampler | SignedSampler) and not isinstance(space, Graphs):
        series = _orbit_series(
            group.sampler, max(sizes), lambda top, signed: entry_sizes(space, top, signed)
        )
        return [series[size] for size in sizes], "molien"
    series = signed_place_counts(space, group, max(sizes), MAX_CHARACTER_ORDER)
    return (None, "none") if series is None else ([series[size] for size in sizes], "character")


def _rotation_counts(
    space: RotationGroup, group: AbstractGroup, degrees: Sequence[int]
) -> tuple[list[int] | None, Source]:
    """Dim V_l^L · dim V_l^R, of a side that nothing moves 2l + 1."""
    counts, sources = [1] * len(degrees), []
    for share in sides(space, group):
        if share.group is None:
            side: list[int] | None = [2 * degree + 1 for degree in degrees]
        else:
            side, source = _sphere_counts(share.group, degrees)
            sources.append(source)
        if side is None:
            return None, "none"
        counts = [a * b for a, b in zip(counts, side, strict=True)]
    return counts, _weakest(sources)


def _product_counts(
    space: Product, group: AbstractGroup, levels: Sequence[Level]
) -> tuple[list[int] | None, Source]:
    """For each combination of levels of the factors the product of their counts."""
    combinations = [space.combinations(level) for level in levels]
    known, sources = [], []
    for place, share in enumerate(shares(space, group)):
        distinct = {one[place].key: one[place] for level in combinations for one in level}
        if share.group is None:
            known.append({key: one.multiplicity for key, one in distinct.items()})
            continue
        counts, source = level_counts(Action(share.space, share.group), list(distinct.values()))
        if counts is None:
            return None, "none"
        known.append(dict(zip(distinct, counts, strict=True)))
        sources.append(source)
    counts = [
        sum(
            math.prod(counts[part.key] for counts, part in zip(known, one, strict=True)) for one in level
        )
        for level in combinations
    ]
    return counts, _weakest(sources)


def _set_counts(
    space: Sets, group: AbstractGroup, levels: Sequence[Level]
) -> tuple[list[int] | None, Source]:
    """Multisets of the invariants of one point for a wreath product; else averages over H × K."""
    single = space.single_levels(levels)
    occupations = [one for level in levels for one in occupations_of(level)]
    if isinstance(group, WreathGroup):
        inner, source = level_counts(Action(space.space, group.inner), list(single.values()))
        if inner is None:
            return None, "none"
        each = dict(zip(single, inner, strict=True))
        found: list[int] | None = [
            math.prod(math.comb(each[key] + count - 1, count) if each[key] else 0 for key, count in one)
            for one in occupations
        ]
    else:
        order, points = shares(space, group)
        assert order.group is not None
        source: Source = "character"
        found = None
        if points.group is None:
            sizes = {key: np.full(1, float(level.multiplicity)) for key, level in single.items()}
            found = set_counts(
                occupations,
                order.group,
                lambda key, _: sizes[key],
                MAX_CHARACTER_ORDER,
            )
        elif points.group.order <= MAX_CHARACTER_ORDER:
            moving = Action(space.space, points.group)
            blocks = moving.representations(list(single.values()), points.group.elements())
            traces = power_traces(dict(zip(single, blocks, strict=True)))
            found = set_counts(occupations, order.group, traces, MAX_CHARACTER_ORDER)
    if found is None:
        return None, "none"
    ends = np.cumsum([0, *(len(occupations_of(level)) for level in levels)]).tolist()
    return [sum(found[i:j]) for i, j in itertools.pairwise(ends)], source


def _trace_counts(action: Action, levels: Sequence[Level]) -> tuple[list[int] | None, Source]:
    """The average of tr D(g) over a finite group, as far as its matrices are cheap."""
    if not action.order <= MAX_CHARACTER_ORDER:
        return None, "none"
    if action.order * sum(level.multiplicity**3 for level in levels) > _MAX_TRACE_WORK:
        return None, "none"
    means = averages(action, levels, action.elements())
    return integral([float(np.trace(mean)) for mean in means]), "character"


def _weakest(sources: Sequence[Source]) -> Source:
    """The source of a count that is made of counts."""
    if "orbits" in sources:
        return "orbits"
    return "character" if "character" in sources else "molien"


def counted_orbits(action: Action, levels: Sequence[Level], memory_limit: int) -> list[int] | None:
    """Invariants of each level as orbits of eigenfunctions, where the group permutes them."""
    if isinstance(action.space, Torus):
        return orbit_counts(torus_orbits(action, action.space, levels, memory_limit), levels)
    if permutes_functions(action.space, action.group):
        return signed_orbit_counts(signed_orbits(action, levels, memory_limit), levels)
    return None


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


def _sphere_counts(group: AbstractGroup, degrees: Sequence[int]) -> tuple[list[int] | None, Source]:
    """Invariant harmonics by degree: invariant polynomials, less those of degree two lower.

    For harmonics of degree l are the polynomials of degree l modulo |x|² times those of degree l − 2,
    and |x|² is invariant.
    """
    series, source = _polynomial_series(group, max(degrees))
    if series is None:
        return None, "none"
    return [series[d] - (series[d - 2] if d >= 2 else 0) for d in degrees], source


def _polynomial_series(group: AbstractGroup, max_degree: int) -> tuple[list[int] | None, Source]:
    """Invariant polynomials of a linear group by degree, and how they were counted."""
    if isinstance(group, ProductGroup):  # polynomials in the invariants of the blocks
        found = [_polynomial_series(factor, max_degree) for factor in group.factors]
        series = [1] + [0] * max_degree
        for block, _ in found:
            if block is None:
                return None, "none"
            series = truncated_product(series, block)
        return series, _weakest([source for _, source in found])
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
        elements = signed_permutations(group, group.elements())
        types = Counter(tuple(sorted((n, sign) for n, sign, _ in c)) for c in cycles_of(elements))
        total = [0] * (max_degree + 1)
        for cycles, times in types.items():
            for degree, count in enumerate(signed_cycle_series(cycles, max_degree)):
                total[degree] += times * count
        return [count // len(elements.images) for count in total], "character"
    return [_monomial_count(group, degree) for degree in range(max_degree + 1)], "orbits"


def _lie_series(group: LieGroup, max_degree: int) -> tuple[list[int] | None, Source]:
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
    generators = signed_permutations(group, group.generators)
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
