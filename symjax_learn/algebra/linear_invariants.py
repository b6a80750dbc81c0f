"""The polynomials that a finite linear group leaves fixed: averages, and bases of each degree.

A group acts on functions by (T_g f)(x) = f(g⁻¹x). Signed permutations turn monomials into ± monomials:
their invariants are exact, in integers. For other matrices a polynomial is a row of float64 coefficients
of each degree.
"""

import functools
import math
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import Element, checked_count
from symjax_learn.algebra.affine import AffineTorusGroup
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.monomials import (
    fischer_norms,
    independent_columns,
    monomial_places,
    monomials,
    num_monomials,
    places_in_degree,
    substituted,
)
from symjax_learn.algebra.orbits import monomial_orbits
from symjax_learn.algebra.permutations import PermutationGroup, SignedPermutationGroup
from symjax_learn.algebra.polynomials import Polynomials, homogeneous, polynomials_of
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.algebra.series import molien_series
from symjax_learn.algebra.stabilizers import stabilizer_chain

# More monomials of one degree, entries of a table, or elements for a Molien series are refused.
MAX_MONOMIALS = 500_000
MAX_ENTRIES = 2**24
MAX_SERIES_ORDER = 100_000
# Entries of matrices and invariance of rows are exact to this.
_TOLERANCE = 1e-9
# Coefficients in floats that are as near as rounding to a multiple of one over this become it.
_FRACTION = 2520
# Traces of powers that agree when multiplied by it and rounded are equal.
_TRACE_DIGITS = 1e6


class LinearGroup(NamedTuple):
    """What the algebra of invariants needs of a finite group, in float64.

    Attributes:
        generators: ``(k, d, d)``.
        transversals: U_1, U_2, … of a stabilizer chain, as matrices.
        order: |G|.
        is_signed: whether all are signed permutations, rounded to integers then.
    """

    generators: Float[np.ndarray, "k d d"]
    transversals: tuple[Float[np.ndarray, "u d d"], ...]
    order: int
    is_signed: bool

    @property
    def degree(self) -> int:
        """The dimension d."""
        return self.generators.shape[1]


def linear_group(group: AbstractGroup) -> LinearGroup:
    """The matrices of a finite linear group: of its generators, and of a stabilizer chain.

    Raises:
        TypeError: no group, or one that moves the origin.
        ValueError: an infinite group.

    Cost: a stabilizer chain and Σ|U_i| matrices.
    """
    if not isinstance(group, AbstractGroup):
        raise TypeError(f"group: expected a group and got a {type(group).__name__}.")
    if group.order == math.inf:
        raise ValueError(
            "group: its order is infinite, and averages over a finite group were asked for; count with "
            "weyl_series, or give a finite subgroup."
        )
    if _moves_origin(group):
        raise TypeError(
            "group: it translates the torus, and polynomials need linear maps; give the matrices alone "
            "(shifts of zero), or use invariant_basis on a Torus."
        )
    images = group.faithful(group.generators)
    chain = stabilizer_chain(images).transversals
    matrices = _matrices(group, np.concatenate([images, *chain]))
    rounded = np.rint(matrices)
    lines = np.abs(rounded).sum(axis=1), np.abs(rounded).sum(axis=2)
    is_signed = bool(
        np.abs(matrices - rounded).max(initial=0.0) < _TOLERANCE and np.equal(lines, 1).all()
    )
    parts = np.split(rounded if is_signed else matrices, np.cumsum([len(images), *map(len, chain)]))
    return LinearGroup(parts[0], tuple(parts[1:-1]), math.prod(map(len, chain)), is_signed)


def reynolds(group: AbstractGroup, polynomials: Polynomials) -> Polynomials:
    """The average (1/|G|) Σ_g f(g⁻¹x) of each polynomial: the projection onto the invariants.

    As avg(U_1) avg(U_2) …, where every element is u_1 u_2 … of a stabilizer chain in exactly one way:
    Σ|U_i| terms instead of Π|U_i| = |G|. Exact for signed permutations of rational polynomials.

    Args:
        group: a finite linear group of degree d.
        polynomials: in d variables.

    Raises:
        TypeError: no group, a group that translates, or no polynomials.
        ValueError: an infinite group, not as many variables as the group moves, or intermediate
            polynomials with too many monomials.

    Cost: Σ|U_i| substitutions, each M for signed permutations, else as
        :func:`~symjax_learn.algebra.monomials.substituted` for each degree.

    References:
        B. Sturmfels, *Algorithms in Invariant Theory*, 2nd ed. 2008, §2.1; C. C. Sims, 1970 (the chain).

    >>> import sympy, symjax_learn as sj
    >>> from symjax_learn.algebra import Polynomials, reynolds
    >>> x, y, z = sympy.symbols("x y z")
    >>> reynolds(sj.symmetric_group(3), Polynomials.from_expressions([x**2], [x, y, z])).expressions()
    [x0**2/3 + x1**2/3 + x2**2/3]
    """
    linear = linear_group(group)
    if not isinstance(polynomials, Polynomials):
        raise TypeError(
            f"polynomials: expected Polynomials and got a {type(polynomials).__name__}; make them with "
            "Polynomials.from_expressions."
        )
    if polynomials.dimension != linear.degree:
        raise ValueError(
            f"polynomials: the group moves {linear.degree} coordinates and these have "
            f"{polynomials.dimension} variables."
        )
    coefficients = polynomials.exact_coefficients
    used = np.any(coefficients != 0, axis=0)
    exponents, coefficients = np.asarray(polynomials.exponents, np.int64)[used], coefficients[:, used]
    if linear.is_signed:
        return _signed_average(linear, exponents, coefficients, polynomials.denominator)
    totals = exponents.sum(axis=1)
    tables, parts = [], []
    for degree in np.unique(totals).tolist():
        _refuse_many(linear, degree, polynomials.num_polynomials)
        rows = np.zeros((len(coefficients), num_monomials(linear.degree, degree)))
        chosen = totals == degree
        rows[:, places_in_degree(exponents[chosen], degree)] = coefficients[:, chosen]
        tables.append(monomials(linear.degree, degree))
        parts.append(averaged_rows(linear, rows, degree))
    if not tables:
        return polynomials
    return polynomials_of(np.concatenate(tables), np.concatenate(parts, axis=1), None)


def invariant_polynomials(group: AbstractGroup, degree: int) -> Polynomials:
    """A basis of the invariant homogeneous polynomials of one degree, the same in every run.

    For signed permutations the sums over orbits of monomials x^α, ± by the sign with which the group
    carries the first monomial to each, in integers. For other matrices the averages of random
    polynomials, reduced so that at some monomials one is 1 and the others are 0. Their number is that of
    the orbits, or of the Molien series (for |G| ≤ 100,000; beyond, the rank of more averages).

    Args:
        group: a finite linear group.
        degree: k ≥ 0.

    Raises:
        TypeError: no group, a group that translates, or a degree that is no integer.
        ValueError: an infinite group, a negative degree, more than 500,000 monomials of this degree, a
            table that is too large, or a number that the series contradicts.

    Cost: O(generators·n_k) for signed permutations, n_k = C(k+d−1, k); else Σ|U_i| substitutions of one
        polynomial for each invariant.

    >>> import symjax_learn as sj
    >>> from symjax_learn.algebra import invariant_polynomials
    >>> invariant_polynomials(sj.point_group("T"), 3).expressions()
    [x0*x1*x2]
    """
    linear = linear_group(group)
    degree = checked_count("degree", degree, 0)
    types = None if linear.is_signed else element_types(linear)
    count = None if types is None else molien_series(types[0], degree, multiplicities=types[1])[degree]
    rows = invariant_rows(linear, degree, count)
    return homogeneous(linear.degree, [(degree, rows)], 1 if linear.is_signed else None)


def invariant_rows(linear: LinearGroup, degree: int, count: int | None) -> Float[np.ndarray, "r m"]:
    """The coefficients of :func:`invariant_polynomials`; ``count`` of them, where it is known."""
    _refuse_many(linear, degree, 0 if linear.is_signed else 1)
    if linear.is_signed:
        return _orbit_sums(linear, degree)
    norms = fischer_norms(monomials(linear.degree, degree))
    rng = np.random.default_rng(degree)
    tries = 8 if count is None else count + 2
    while count != 0:
        _refuse_many(linear, degree, tries)
        averages = averaged_rows(linear, rng.normal(size=(tries, len(norms))) / norms, degree) * norms
        _, singular, right = np.linalg.svd(averages, full_matrices=False)
        rank = int((singular > 1e-8 * np.sqrt(len(norms))).sum())
        if count is not None and rank != count:
            raise ValueError(
                f"group: averages of random polynomials of degree {degree} span {rank} dimensions, and "
                f"the Molien series counts {count}; give the matrices to full float64 accuracy."
            )
        if rank < tries or rank == len(norms):
            return _reduced(linear, right[:rank], norms, degree)
        tries *= 2
    return np.zeros((0, len(norms)))


def averaged_rows(
    linear: LinearGroup, rows: Float[np.ndarray, "P m"], degree: int
) -> Float[np.ndarray, "P m"]:
    """avg(U_1) avg(U_2) … of homogeneous polynomials; the last U meets them first."""
    for transversal in reversed(linear.transversals):
        rows = substituted(rows, np.linalg.inv(transversal), degree).mean(axis=0)
    return rows


def element_types(
    linear: LinearGroup,
) -> tuple[Float[np.ndarray, "types d d"], Int[np.ndarray, " types"]] | None:
    """One element of each characteristic polynomial, and their numbers; ``None`` for a large group.

    Cost: |G|·d³.
    """
    if linear.order > MAX_SERIES_ORDER or linear.order * linear.degree**2 > MAX_ENTRIES:
        return None
    elements = np.eye(linear.degree)[None]
    for transversal in reversed(linear.transversals):
        products = transversal[:, None] @ elements
        elements = products.reshape(-1, *elements.shape[1:])
    power, traces = elements, []
    for _ in range(linear.degree):
        traces.append(np.trace(power, axis1=1, axis2=2))
        power = power @ elements
    rounded = np.rint(np.stack(traces, axis=1) * _TRACE_DIGITS)
    _, firsts, counts = np.unique(rounded, axis=0, return_index=True, return_counts=True)
    return elements[firsts], counts


def _orbit_sums(linear: LinearGroup, degree: int) -> Float[np.ndarray, "r m"]:
    exponents = monomials(linear.degree, degree)
    moved, odd = _moved(exponents, linear.generators)
    targets = [places_in_degree(one, degree) for one in moved]
    shape = (len(linear.generators), len(exponents))
    found = monomial_orbits(np.reshape(targets, shape).astype(np.int64), odd.astype(np.int64), 2)
    firsts = np.unique(found.labels, return_index=True)[1]
    carrying = sorted(firsts[found.carries].tolist())
    if len(carrying) * len(exponents) > MAX_ENTRIES:
        raise ValueError(
            f"degree: {len(carrying):,} invariants of {len(exponents):,} monomials are more than "
            f"{MAX_ENTRIES:,} coefficients; lower degree, or max_degree."
        )
    signs = 1.0 - 2.0 * (found.phases ^ found.phases[firsts][found.labels])  # + at the first of each
    return np.where(found.labels == found.labels[carrying, None], signs, 0.0)


def _moved(
    exponents: Int[np.ndarray, "m d"], matrices: Float[np.ndarray, "k d d"]
) -> tuple[Int[np.ndarray, "k m d"], Int[np.ndarray, "k m"]]:
    """T_g x^α = (−1)^odd x^β for signed permutations: β_{g(i)} = α_i, and one sign for each x_i."""
    back = np.argmax(np.abs(matrices), axis=2)  # column of the entry in each row: g⁻¹
    negative = (matrices.sum(axis=1) < 0).astype(np.int64)
    odd = np.einsum("mi,gi->gm", exponents, negative) % 2
    return exponents[:, back].transpose(1, 0, 2), odd


def _signed_average(
    linear: LinearGroup,
    exponents: Int[np.ndarray, "m d"],
    coefficients: Float[np.ndarray, "P m"],
    denominator: int | None,
) -> Polynomials:
    """The chain on sparse polynomials; on integer numerators as long as they are exact in float64."""
    divisor = denominator or 1
    numerators = np.rint(coefficients * divisor) if denominator else coefficients
    for transversal in reversed(linear.transversals):
        entries = len(transversal) * exponents.size
        if entries > MAX_ENTRIES:
            raise ValueError(
                f"polynomials: their average passes through {entries:,} exponents, more than "
                f"{MAX_ENTRIES:,}; average fewer polynomials of lower degree, or other orbits."
            )
        moved, odd = _moved(exponents, transversal)
        flat = moved.reshape(-1, linear.degree)
        _, firsts, places = np.unique(monomial_places(flat), return_index=True, return_inverse=True)
        if len(transversal) * np.abs(numerators).max(initial=0.0) >= 2**53:
            denominator = None
        summed = np.zeros((len(firsts), len(coefficients)))
        for place, parity in zip(places.reshape(odd.shape), odd, strict=True):
            summed[place] += (numerators * (1 - 2 * parity)).T  # one element: different monomials
        exponents, numerators = flat[firsts], summed.T
        divisor *= len(transversal)
        if denominator is None:
            numerators, divisor = numerators / divisor, 1
        else:
            common = math.gcd(divisor, *np.unique(np.abs(numerators)).astype(np.int64).tolist())
            numerators, divisor = numerators / common, divisor // common
    return polynomials_of(exponents, numerators / divisor, denominator and divisor)


def _reduced(
    linear: LinearGroup, basis: Float[np.ndarray, "r m"], norms: Float[np.ndarray, " m"], degree: int
) -> Float[np.ndarray, "r m"]:
    """Orthonormal rows (of scaled coefficients) so that at r monomials one is 1 and the others 0."""
    pivots = independent_columns(basis, len(basis))
    rows = np.linalg.solve(basis[:, pivots], basis) * norms[pivots, None] / norms
    fractions = np.rint(rows * _FRACTION) / _FRACTION + 0.0  # no negative zeros
    rows = np.where(np.abs(rows - fractions) < 1e-3 * _TOLERANCE, fractions, rows)
    moved = substituted(rows, np.linalg.inv(linear.generators), degree)
    worst = np.abs((moved - rows) * norms).max(initial=0.0) / np.abs(rows * norms).max(initial=1.0)
    if worst > _TOLERANCE:
        raise ValueError(
            f"degree: an invariant of degree {degree} is moved by {worst:.1e} by a generator; the "
            "accuracy of float64 does not suffice, lower the degree."
        )
    return rows


def _refuse_many(linear: LinearGroup, degree: int, num_rows: int) -> None:
    """Bounds on the table of monomials, and of the substitution of this many polynomials."""
    count = functools.partial(num_monomials, linear.degree)
    widest = count(degree // 2) * count(degree - degree // 2)
    if count(degree) > MAX_MONOMIALS or widest * num_rows > MAX_ENTRIES:
        raise ValueError(
            f"degree: there are {count(degree):,} monomials of degree {degree} in {linear.degree} "
            f"variables, more than this computation takes; lower degree, or max_degree."
        )


def _matrices(group: AbstractGroup, images: Int[np.ndarray, "k points"]) -> Float[np.ndarray, "k d d"]:
    """The matrices of elements that are given by their faithful action, in float64."""
    d = group.degree
    if isinstance(group, PermutationGroup | SignedPermutationGroup):  # points are e_0, e_1, …, −e_0, …
        matrices = np.zeros((len(images), d, d))
        places = images[:, :d]
        rows = np.arange(len(images))[:, None]
        matrices[rows, places % d, np.arange(d)] = np.where(places < d, 1.0, -1.0)
        return matrices
    if isinstance(group, MatrixGroup):
        return group.from_faithful(images)
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        return np.asarray(_matrices_of_elements(group, group.from_faithful(images)), np.float64)


@eqx.filter_jit
def _matrices_of_elements(group: AbstractGroup, elements: Element) -> Float[Array, "k d d"]:
    return group.matrix(elements)


def _moves_origin(group: AbstractGroup) -> bool:
    """Whether a factor translates the torus."""
    if isinstance(group, AffineTorusGroup):
        return bool(np.any(np.asarray(group.generators.shift)))
    if isinstance(group, ProductGroup):
        return any(_moves_origin(factor) for factor in group.factors)
    return isinstance(group, WreathGroup) and _moves_origin(group.inner)
