"""How many invariant functions there are: exact, and without building them."""

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence

import jax
import numpy as np

from symjax_learn._chunks import MEMORY_LIMIT
from symjax_learn._types import Element
from symjax_learn.algebra.class_functions import class_quadrature
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.orbits import monomial_orbits
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.algebra.products import WreathGroup
from symjax_learn.algebra.series import integral
from symjax_learn.geometry.ball import Ball, level_indices
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.hypercube import Hypercube
from symjax_learn.geometry.labels import Labels
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.separable import integer_keys
from symjax_learn.geometry.sets import Occupation, Sets, occupations_of
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.sphere import Sphere, level_degree
from symjax_learn.geometry.torus import Torus, level_norm
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.characters import (
    entry_sizes,
    is_symmetric,
    multiset_counts,
    plane_wave_counts,
    power_traces,
    set_counts,
    signed_place_counts,
)
from symjax_learn.invariants.monomial import signed_affine, signed_permutations
from symjax_learn.invariants.pairs import shares, sides
from symjax_learn.invariants.polynomial_counts import (
    MAX_CHARACTER_ORDER,
    Source,
    harmonic_counts,
    orbit_series,
    polynomial_series,
    weakest,
)
from symjax_learn.invariants.routes.averaging import averages
from symjax_learn.invariants.routes.orbit_sums import signed_orbit_counts, signed_orbits
from symjax_learn.invariants.routes.orbits import TorusOrbits, torus_orbits
from symjax_learn.invariants.signed import permutes_functions

# Products for the averages of all matrices.
_MAX_TRACE_WORK = 2e10


def invariant_count(space: AbstractSpace, group: AbstractGroup | Action, max_eigenvalue: float) -> int:
    """D_{Λ,G}, the number of independent invariant eigenfunctions with λ ≤ Λ; exact.

    For S_n, B_n, Young and sign groups by generating functions, at any n. For |G| ≤ 10,000 (100,000
    for groups of matrices) by averages over the group: on the torus of tr D(g), from theta series over
    the cycles of g; on the sphere of (1 − t²)/det(1 − tg) (Molien). Neither enumerates a function. For
    SO(n), O(n), SU(n) and tori by Weyl's integration formula, for products from their factors. On boxes,
    hypercubes and graphs by the cycles of g with their signs. On sets by those of the points and the
    eigenvalues of each point's matrices, of all g or, for SO(n), O(n) and tori, of enough for an exact
    mean. Else by exact orbits, of frequencies or of other functions, or for any finite group by the
    average of tr D(g). On a lattice that is not cubic tr D(g) is a sum over the frequencies that g
    fixes, which are enumerated.

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
    return sum(exact_counts(as_action(space, group), checked_levels(space, max_eigenvalue)))


def exact_counts(action: Action, levels: Sequence[Level]) -> list[int]:
    """Invariants of each level, by whatever knows them.

    Raises:
        ValueError: nothing does.
    """
    with jax.ensure_compile_time_eval():
        counts, _ = level_counts(action, levels)
        if counts is None and action.user_act is None:
            counts = counted_orbits(action, levels, MEMORY_LIMIT)
    if counts is None:
        raise ValueError(
            f"group: no exact count is known for {type(action.group).__name__} on "
            f"{type(action.space).__name__} with this action."
        )
    return counts


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
            return harmonic_counts(group, [level_degree(level) for level in levels])
        case Ball():
            return harmonic_counts(group, [level_indices(level)[0] for level in levels])
        case Gaussian():
            degrees = integer_keys(levels, "Gaussian")
            series, source = polynomial_series(group, max(degrees))
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
        series = orbit_series(action.group.sampler, max(norms), _torus_weights)
        return [series[norm] for norm in norms], "molien"
    if action.order <= MAX_CHARACTER_ORDER:
        elements = signed_affine(action.group, action.elements())
        return plane_wave_counts(action.space, elements, levels), "character"
    return None, "none"


def _place_counts(
    space: Box | Hypercube | Graphs, group: AbstractGroup, sizes: Sequence[int]
) -> tuple[list[int] | None, Source]:
    if isinstance(group.sampler, YoungSampler | SignedSampler) and not isinstance(space, Graphs):
        series = orbit_series(
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
            side, source = harmonic_counts(share.group, degrees)
            sources.append(source)
        if side is None:
            return None, "none"
        counts = [a * b for a, b in zip(counts, side, strict=True)]
    return counts, weakest(sources)


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
    return counts, weakest(sources)


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
        found = multiset_counts(occupations, dict(zip(single, inner, strict=True)))
    else:
        order, points = shares(space, group)
        assert order.group is not None
        found, source = _ordered_counts(space, order.group, points.group, single, occupations)
        if found is None:
            return None, "none"
    ends = np.cumsum([0, *(len(occupations_of(level)) for level in levels)]).tolist()
    return [sum(found[i:j]) for i, j in itertools.pairwise(ends)], source


def _ordered_counts(
    space: Sets,
    order: AbstractGroup,
    moving: AbstractGroup | None,
    single: Mapping[Hashable, Level],
    occupations: Sequence[Occupation],
) -> tuple[list[int] | None, Source]:
    """Under H × K, for each occupation: H permutes the points, and K moves each of them."""
    sizes = {key: level.multiplicity for key, level in single.items()}
    if moving is None and is_symmetric(order):
        return multiset_counts(occupations, sizes), "molien"
    if moving is None:
        integers = {key: np.asarray([size], object) for key, size in sizes.items()}
        found = set_counts(occupations, order, lambda key, _: integers[key], MAX_CHARACTER_ORDER)
        return found, "character"
    elements, weights = _enough_elements(space.space, moving, single, occupations)
    if elements is None:
        return None, "none"
    blocks = Action(space.space, moving).representations(list(single.values()), elements)
    traces = power_traces(dict(zip(single, blocks, strict=True)))
    found = set_counts(occupations, order, traces, MAX_CHARACTER_ORDER, weights)
    return found, "character" if weights is None else "molien"


def _enough_elements(
    space: AbstractSpace,
    group: AbstractGroup,
    single: Mapping[Hashable, Level],
    occupations: Sequence[Occupation],
) -> tuple[Element | None, np.ndarray | None]:
    """Elements over which the characters of sets are averaged, with weights if they are not all."""
    if _has_cheap_traces(group, list(single.values())):
        return group.elements(), None
    degrees = {key: polynomial_degree(space, level) for key, level in single.items()}
    if None in degrees.values():
        return None, None
    most = max(sum(count * (degrees[key] or 0) for key, count in one) for one in occupations)
    return class_quadrature(group, most) or (None, None)


def polynomial_degree(space: AbstractSpace, level: Level) -> int | None:
    """The degree of the entries of D(g) in those of the matrix g, where it is known."""
    match space:
        case Sphere():
            return level_degree(level)
        case Ball():
            return level_indices(level)[0]
        case Gaussian():
            return integer_keys([level], "Gaussian")[0]
        case RotationGroup():
            return integer_keys([level], "the rotation group")[0]
        case Labels() | Box() | Hypercube():  # finite groups alone, of which all elements are taken
            return 0
        case Product():
            degrees = [
                [polynomial_degree(factor, one) for factor, one in zip(space.spaces, of, strict=True)]
                for of in space.combinations(level)
            ]
            if any(None in of for of in degrees):
                return None
            return max(sum(degree or 0 for degree in of) for of in degrees)
    return None


def _trace_counts(action: Action, levels: Sequence[Level]) -> tuple[list[int] | None, Source]:
    """The average of tr D(g) over a finite group, as far as its matrices are cheap."""
    if not _has_cheap_traces(action.group, levels):
        return None, "none"
    means = averages(action, levels, action.elements())
    return integral([float(np.trace(mean)) for mean in means]), "character"


def _has_cheap_traces(group: AbstractGroup, levels: Sequence[Level]) -> bool:
    """Whether the matrices of all elements on these levels are a matter of seconds."""
    cubes = sum(level.multiplicity**3 for level in levels)
    return group.order <= MAX_CHARACTER_ORDER and group.order * cubes <= _MAX_TRACE_WORK


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
