"""Rings of invariant polynomials: minimal generators, and a free basis over a system of parameters.

Invariants of a finite group are a free module over polynomials in d of them, the primary invariants θ_i,
of degrees d_i, whenever these have no common complex zero but 0 (Hochster–Eagon). Then

    H(t) Π_i (1 − t^{d_i}) = Σ_j t^{e_j},    H the Molien series,

has the degrees e_j of that basis, the secondary invariants. Spans of products are compared by their
values at random points, in float64.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from symjax_learn._types import checked_count
from symjax_learn.algebra.groups import AbstractGroup, describe_order
from symjax_learn.algebra.linear_invariants import (
    LinearGroup,
    element_types,
    invariant_rows,
    linear_group,
)
from symjax_learn.algebra.monomials import (
    fischer_norms,
    independent_columns,
    monomial_values,
    monomials,
    num_monomials,
    places_in_degree,
)
from symjax_learn.algebra.polynomials import Polynomials, homogeneous
from symjax_learn.algebra.series import hilbert_series, molien_series

# Primary invariants are searched for groups up to this order and dimension.
MAX_RING_ORDER = 200
MAX_RING_DIMENSION = 4
# The products of their degrees up to this many times |G|, and monomials of the degree of the test.
_MAX_SECONDARY = 64
_MAX_TEST = 4000
# Choices of primary invariants of the same degrees.
_MAX_CHOICES = 12
# Relative singular values below the first are zero; one between the two is refused.
_ZERO, _NONZERO = 1e-11, 1e-9

# A homogeneous polynomial: its degree and its coefficients.
Form = tuple[int, Float[np.ndarray, " _"]]


class _Invariants(NamedTuple):
    """A group, its invariants of each degree as rows of coefficients, and their Molien series.

    Attributes:
        linear: the group.
        rows: degree -> ``(r, n)``.
        series: last degree -> the series up to it; ``None`` for large groups.
    """

    linear: LinearGroup
    rows: Callable[[int], Float[np.ndarray, "_ _"]]
    series: Callable[[int], list[int]] | None


class FundamentalInvariants(NamedTuple):
    """Minimal homogeneous generators of a ring of invariants.

    Attributes:
        polynomials: the generators, by degree.
        degrees: theirs.
        bound: all minimal generators up to this degree were found.
        reason: why there are no others. ``"polynomial ring"``: these are d, algebraically independent,
            and the product of their degrees is |G|. ``"parameters"``: the ring is free over primary
            invariants, and generated in their degrees and those of the basis. ``"order"``: Noether's
            bound |G|. ``"max_degree"``: the search ended there, and there may be others.
    """

    polynomials: Polynomials
    degrees: list[int]
    bound: int
    reason: Literal["polynomial ring", "parameters", "order", "max_degree"]

    @property
    def certified(self) -> bool:
        """Whether these generate the ring."""
        return self.reason != "max_degree"


class InvariantRing(NamedTuple):
    """The ring as ⊕_j secondary_j · R[primary_1, …, primary_d].

    Attributes:
        primary: d invariants whose only common complex zero is 0.
        secondary: the free basis; the first is 1.
    """

    primary: Polynomials
    secondary: Polynomials


def fundamental_invariants(group: AbstractGroup, max_degree: int | None = None) -> FundamentalInvariants:
    """A minimal set of generators of the ring of invariants, up to a degree that is certified.

    Degree by degree: a basis of the invariants, of which those are kept that products of lower
    generators do not span. The search ends when d generators are algebraically independent with
    Π d_i = |G|, for the ring is then all polynomials in them; or at max(d_i, e_j) of primary and
    secondary invariants, for which permutations have the elementary symmetric functions, and signed
    permutations those of the squares; or at |G|.

    Args:
        group: a finite linear group.
        max_degree: an earlier end, where ``reason`` says so.

    Raises:
        TypeError: no group, a group that translates, or a degree that is no integer.
        ValueError: an infinite group, ``max_degree`` < 1, more monomials than
            :func:`~symjax_learn.algebra.invariant_polynomials` takes before the certified degree, or
            spans of products without a clear rank.

    Cost: for each degree k a basis of its r_k invariants, and singular values of r_k rows.

    References:
        H. Derksen, G. Kemper, *Computational Invariant Theory*, 2nd ed. 2015, §3.5–3.9.

    >>> import symjax_learn as sj
    >>> from symjax_learn.algebra import fundamental_invariants
    >>> rotations = sj.signed_permutation_group([[1, 0]], [[1, -1]])
    >>> found = fundamental_invariants(rotations)
    >>> found.degrees, found.bound, found.reason
    ([2, 4, 4], 4, 'parameters')
    """
    linear = linear_group(group)
    limit = None if max_degree is None else checked_count("max_degree", max_degree)
    invariants = _invariants(linear)
    bound, reason = _degree_bound(invariants)
    generators: list[Form] = []
    free = True  # the generators found are algebraically independent
    for degree in range(1, min(bound, limit or bound) + 1):
        if free and _count(invariants, degree) == _hilbert(generators, degree):
            continue
        fresh = _indecomposable(invariants, generators, degree)
        generators += [(degree, row) for row in fresh]
        free = free and _are_independent(linear.degree, generators)
        degrees = [one for one, _ in generators]
        if free and len(generators) == linear.degree and math.prod(degrees) == linear.order:
            bound, reason = degree, "polynomial ring"
            break
    if limit is not None and limit < bound:
        bound, reason = limit, "max_degree"
    return FundamentalInvariants(
        _polynomials(linear, generators), [degree for degree, _ in generators], bound, reason
    )


def invariant_ring(group: AbstractGroup) -> InvariantRing:
    """Primary invariants of the smallest possible product of degrees, and secondary invariants.

    Degrees are tried by their product, a multiple of |G|, and then by their sum, where the Molien series
    allows them. The test of d invariants: their ideal contains all monomials of degree Σ(d_i − 1) + 1.
    The secondary invariants of each degree complete the ideal of the primary ones.

    Args:
        group: a finite linear group of order ≤ 200 and degree ≤ 4.

    Raises:
        TypeError: no group, or one that translates.
        ValueError: an infinite or too large group, or no primary invariants within the bounds (64|G| for
            the product of their degrees, 4000 monomials for the test).

    Cost: for each choice a Gram matrix of C(Σd_i, d − 1) rows and its eigenvalues.

    References:
        B. Sturmfels, *Algorithms in Invariant Theory*, 2nd ed. 2008, §2.3, §2.5.

    >>> import symjax_learn as sj
    >>> from symjax_learn.algebra import invariant_ring
    >>> ring = invariant_ring(sj.point_group("T"))
    >>> ring.primary.degrees, ring.secondary.degrees
    ([2, 3, 4], [0, 6])
    """
    linear = linear_group(group)
    if linear.order > MAX_RING_ORDER or linear.degree > MAX_RING_DIMENSION:
        raise ValueError(
            f"group: primary invariants are searched for order <= {MAX_RING_ORDER} and dimension "
            f"<= {MAX_RING_DIMENSION}, and this group has order {describe_order(linear.order)} in "
            f"dimension {linear.degree}; use fundamental_invariants."
        )
    invariants = _invariants(linear)
    primary = _primary(invariants)
    if primary is None:
        raise ValueError(
            f"group: found no primary invariants with a product of degrees up to {_MAX_SECONDARY}·|G| "
            f"and at most {_MAX_TEST} monomials of degree Σ(d_i − 1) + 1; use fundamental_invariants."
        )
    numerator = _numerator(invariants, [degree for degree, _ in primary])
    assert numerator is not None
    secondary = []
    for degree, count in enumerate(numerator):
        fresh = _indecomposable(invariants, primary, degree) if count else []
        if len(fresh) != count:
            raise ValueError(
                f"group: degree {degree} has {len(fresh)} secondary invariants, and the Molien series "
                f"counts {count}; give the matrices to full float64 accuracy."
            )
        secondary += [(degree, row) for row in fresh]
    return InvariantRing(_polynomials(linear, primary), _polynomials(linear, secondary))


def _invariants(linear: LinearGroup) -> _Invariants:
    types = element_types(linear)

    @functools.cache
    def rows(degree: int) -> Float[np.ndarray, "_ _"]:
        return invariant_rows(linear, degree, None if types is None else series(degree)[degree])

    def series(max_degree: int) -> list[int]:
        assert types is not None
        return molien_series(types[0], max_degree, multiplicities=types[1])

    return _Invariants(linear, rows, None if types is None else series)


def _polynomials(linear: LinearGroup, forms: Sequence[Form]) -> Polynomials:
    parts = [(degree, row[None]) for degree, row in forms]
    return homogeneous(linear.degree, parts, 1 if linear.is_signed else None)


def _hilbert(generators: Sequence[Form], degree: int) -> int:
    return hilbert_series([one for one, _ in generators], degree)[degree]


def _count(invariants: _Invariants, degree: int) -> int:
    """Invariants of one degree."""
    if invariants.series is None:
        return len(invariants.rows(degree))
    return invariants.series(degree)[degree]


def _degree_bound(
    invariants: _Invariants,
) -> tuple[int, Literal["polynomial ring", "parameters", "order", "max_degree"]]:
    """A degree in which the ring is generated: the least of what is known before the search."""
    linear = invariants.linear
    systems: list[list[int]] = []
    if linear.is_signed:
        step = 2 if (linear.generators < 0).any() else 1
        systems.append([step * (i + 1) for i in range(linear.degree)])
    if linear.order <= MAX_RING_ORDER and linear.degree <= MAX_RING_DIMENSION:
        primary = _primary(invariants)
        systems += [[degree for degree, _ in primary]] if primary else []
    bounds = []
    for degrees in systems:
        # The series is a rational function of degree at most −d.
        numerator = _numerator(invariants, degrees) or [1] * (sum(degrees) - linear.degree + 1)
        bounds.append(max(*degrees, len(np.trim_zeros(numerator, "b")) - 1))
    if bounds and min(bounds) <= linear.order:
        return min(bounds), "parameters"
    return linear.order, "order"


def _numerator(invariants: _Invariants, degrees: Sequence[int]) -> list[int] | None:
    """H(t) Π(1 − t^{d_i}), of degree ≤ Σ(d_i − 1); ``None`` if unknown, or not that of a free basis."""
    if invariants.series is None:
        return None
    linear = invariants.linear
    series = invariants.series(sum(degrees) - linear.degree)
    for step in degrees:
        series = [c - (series[k - step] if k >= step else 0) for k, c in enumerate(series)]
    if min(series) < 0 or sum(series) * linear.order != math.prod(degrees):
        return None
    return series


def _primary(invariants: _Invariants) -> list[Form] | None:
    """Primary invariants of the first degrees that have some; ``None`` beyond the bounds."""
    linear = invariants.linear
    d = linear.degree
    for multiple in range(1, _MAX_SECONDARY + 1):
        vectors = sorted(_factorizations(multiple * linear.order, d), key=lambda v: (sum(v), v))
        for degrees in vectors:
            if num_monomials(d, sum(degrees) - d + 1) > _MAX_TEST:
                continue
            if _numerator(invariants, degrees) is None:
                continue
            for choice in range(_MAX_CHOICES):
                forms = _choice(invariants, degrees, choice)
                if forms is None:
                    break
                if _are_parameters(d, forms):
                    return forms
    return None


def _factorizations(product: int, length: int, least: int = 1) -> Iterator[tuple[int, ...]]:
    """Ascending factors ≥ ``least``."""
    if length == 1:
        yield (product,)
        return
    for factor in range(least, int(product ** (1 / length) + 1e-9) + 1):
        if product % factor == 0:
            for rest in _factorizations(product // factor, length - 1, factor):
                yield (factor, *rest)


def _choice(invariants: _Invariants, degrees: Sequence[int], choice: int) -> list[Form] | None:
    """Invariants of these degrees outside the ideal of those before; later choices are random sums."""
    forms: list[Form] = []
    rng = np.random.default_rng(choice)
    for degree, group in itertools.groupby(degrees):
        wanted = len(list(group))
        fresh = _indecomposable(invariants, forms, degree)
        if len(fresh) < wanted:
            return None
        subsets = list(itertools.islice(itertools.combinations(fresh, wanted), _MAX_CHOICES // 2))
        if choice < len(subsets):
            picked = list(subsets[choice])
        else:
            picked = list(rng.integers(-3, 4, (wanted, len(fresh))) @ np.stack(fresh))
        forms += [(degree, row) for row in picked]
    return forms


def _are_parameters(dimension: int, forms: Sequence[Form]) -> bool:
    """Whether the ideal of d forms contains every monomial of degree Σ(d_i − 1) + 1.

    The products with all monomials, as a matrix in an orthonormal basis of that degree, have full rank.
    """
    degree = sum(one for one, _ in forms) - dimension + 1
    norms = fischer_norms(monomials(dimension, degree))
    gram = np.zeros((len(norms), len(norms)))
    for own, row in forms:
        supports, factors = monomials(dimension, own), monomials(dimension, degree - own)
        products = np.zeros((len(norms), len(factors)))
        for i in np.flatnonzero(row):
            places = places_in_degree(factors + supports[i], degree)
            products[places, np.arange(len(factors))] += row[i]
        products *= norms[:, None] / fischer_norms(factors)
        products /= np.linalg.norm(row * fischer_norms(supports)) or 1.0
        gram += products @ products.T
    values = np.linalg.eigvalsh(gram)
    return bool(values[0] > _ZERO * values[-1])


def _are_independent(dimension: int, forms: Sequence[Form]) -> bool:
    """Whether forms are algebraically independent: their gradients at a random point are."""
    point = np.random.default_rng(0).normal(size=dimension)
    step = 1e-20  # f(x + i·step·e_j) = f(x) + i·step·∂_j f(x) to rounding
    values = monomial_values(point + 1j * step * np.eye(dimension), max(k for k, _ in forms))
    jacobian = np.stack([np.imag(values[k] @ row) / step for k, row in forms])
    jacobian /= np.linalg.norm(jacobian, axis=1, keepdims=True)
    return len(forms) <= dimension and bool(np.linalg.svd(jacobian)[1].min() > _NONZERO)


def _indecomposable(
    invariants: _Invariants, forms: Sequence[Form], degree: int
) -> list[Float[np.ndarray, " _"]]:
    """Invariants of a degree, from the basis, that complete the products of forms with invariants."""
    own = invariants.rows(degree)
    forms = [form for form in forms if form[0] <= degree]
    factors = {k: invariants.rows(degree - k) for k in dict(forms)}
    num_points = 2 * max(len(own), *map(len, factors.values()), 0) + 8
    rng = np.random.default_rng(degree)
    points = rng.normal(size=(num_points, invariants.linear.degree))
    values = monomial_values(points / np.linalg.norm(points, axis=1, keepdims=True), degree)
    frame, coordinates = np.linalg.qr(_unit_columns(values[degree] @ own.T))
    products = [np.zeros((num_points, 0))]
    for k, factor in factors.items():
        partners = _unit_columns(values[degree - k] @ factor.T)
        products += [
            (values[k] @ row)[:, None] * partners for own_degree, row in forms if own_degree == k
        ]
    spanned = frame.T @ _unit_columns(np.concatenate(products, axis=1))
    if spanned.shape[1] > len(own) + 8:  # random sums span as much
        spanned = spanned @ rng.normal(size=(spanned.shape[1], len(own) + 8))
    left, singular, _ = np.linalg.svd(spanned)
    singular = singular / singular.max(initial=1e-300)
    rank = int((singular > _ZERO).sum())
    if rank and singular[rank - 1] < _NONZERO:
        raise ValueError(
            f"group: products of invariants of degree {degree} have no clear rank: relative singular "
            f"value {singular[rank - 1]:.1e} between {_ZERO:g} and {_NONZERO:g}; lower max_degree."
        )
    chosen = independent_columns(left[:, rank:].T @ coordinates, len(own) - rank, slack=0.9)
    return [own[i] for i in chosen]


def _unit_columns(matrix: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n r"]:
    norms = np.linalg.norm(matrix, axis=0)
    return matrix / np.where(norms > 0, norms, 1.0)
