"""Exact counts of invariant polynomials and harmonics by degree, from the families of groups."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import (
    LieGroup,
    RotationSampler,
    SpecialUnitarySampler,
    TorusSampler,
)
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.monomials import monomials
from symjax_learn.algebra.orbits import monomial_orbits
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.algebra.series import (
    hilbert_series,
    molien_series,
    multiset_series,
    orthogonal_series,
    signed_cycle_series,
    weyl_series,
)
from symjax_learn.geometry.spectra import truncated_product
from symjax_learn.invariants.monomial import cycles_of, find_rows, signed_permutations

Source = Literal["molien", "character", "orbits", "second_route", "none"]

# Burnside's average is taken over groups up to this order.
MAX_CHARACTER_ORDER = 10_000
# Matrices are averaged all at once, and so over larger groups.
MAX_MATRIX_ORDER = 100_000


def _sphere_weights(max_degree: int, signed: bool) -> list[int]:
    """Degrees of the powers x, x², …, of the even ones with signs."""
    return list(range(2, max_degree + 1, 2) if signed else range(1, max_degree + 1))


def orbit_series(
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


def harmonic_counts(group: AbstractGroup, degrees: Sequence[int]) -> tuple[list[int] | None, Source]:
    """Invariant harmonics by degree: invariant polynomials, less those of degree two lower.

    For harmonics of degree l are the polynomials of degree l modulo |x|² times those of degree l − 2,
    and |x|² is invariant.
    """
    series, source = polynomial_series(group, max(degrees))
    if series is None:
        return None, "none"
    return [series[d] - (series[d - 2] if d >= 2 else 0) for d in degrees], source


def polynomial_series(group: AbstractGroup, max_degree: int) -> tuple[list[int] | None, Source]:
    """Invariant polynomials of a linear group by degree, and how they were counted."""
    if isinstance(group, ProductGroup):  # polynomials in the invariants of the blocks
        found = [polynomial_series(factor, max_degree) for factor in group.factors]
        series = [1] + [0] * max_degree
        for block, _ in found:
            if block is None:
                return None, "none"
            series = truncated_product(series, block)
        return series, weakest([source for _, source in found])
    if isinstance(group, WreathGroup):  # multisets of invariants of the inner group
        inner, source = polynomial_series(group.inner, max_degree)
        if inner is None:
            return None, "none"
        weights = [degree for degree, times in enumerate(inner) if degree for _ in range(times)]
        return multiset_series(group.num_blocks, max_degree, weights), source
    if isinstance(group.sampler, YoungSampler | SignedSampler):
        return orbit_series(group.sampler, max_degree, _sphere_weights), "molien"
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
    exponents = monomials(group.degree, degree)
    generators = signed_permutations(group, group.generators)
    moved = np.empty((len(generators.images), *exponents.shape), np.int64)
    for row, images in enumerate(generators.images):
        moved[row][:, images] = exponents
    odd = np.einsum("gi,ki->gk", (generators.signs < 0).astype(np.int64), exponents) % 2
    return int(monomial_orbits(find_rows(exponents, moved), odd, 2).carries.sum())


def weakest(sources: Sequence[Source]) -> Source:
    """The source of a count that is made of counts."""
    if "orbits" in sources:
        return "orbits"
    return "character" if "character" in sources else "molien"
