"""Polynomials that JAX evaluates, and those that a finite linear group leaves fixed.

A group acts on functions by (T_g f)(x) = f(g⁻¹x). Signed permutations turn monomials into ± monomials:
their invariants are exact, in integers. For other matrices a polynomial is a row of float64 coefficients
of each degree.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import chunk_rows, map_columns
from symjax_learn._types import Element, FloatArray, as_array, checked_count
from symjax_learn.algebra.affine import AffineTorusGroup
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.monomials import (
    fischer_norms,
    independent_columns,
    monomial_places,
    monomials,
    num_monomials,
    parents,
    places_in_degree,
    substituted,
)
from symjax_learn.algebra.orbits import monomial_orbits
from symjax_learn.algebra.permutations import PermutationGroup, SignedPermutationGroup
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.algebra.series import molien_series
from symjax_learn.algebra.stabilizers import stabilizer_chain

if TYPE_CHECKING:
    import sympy

# More monomials of one degree, entries of a table, or elements for a Molien series are refused.
MAX_MONOMIALS = 500_000
MAX_ENTRIES = 2**24
MAX_SERIES_ORDER = 100_000
# Entries of matrices and invariance of rows are exact to this.
_TOLERANCE = 1e-9
# Coefficients in floats that are as near as rounding to a multiple of one over this become it.
_FRACTION = 2520
# Exact numerators stay below it, also as sums of two numbers of 24 bits.
_MAX_NUMERATOR = 2**45


class Level(NamedTuple):
    """Monomials of one degree: each is the one in row ``parents``, of degree one less, times x_label."""

    parents: Int[np.ndarray | Array, " m"]
    labels: Int[np.ndarray | Array, " m"]


class Polynomials(eqx.Module):
    """P polynomials f_p(x) = Σ_α c_pα x^α in d variables, on one table of monomials; a pytree.

    Attributes:
        exponents: ``(M, d)``, by degree; with each monomial also those it is computed from.
        coefficients: ``(P, M)``, in the session's precision.
        correction: what rounding to it took from the coefficients.
        levels: how the monomials of degree 1, 2, … are computed.
        denominator: an integer that makes all coefficients integers; ``None`` where they are floats.
    """

    exponents: Int[np.ndarray | Array, "M d"]
    coefficients: Float[np.ndarray | Array, "P M"]
    correction: Float[np.ndarray | Array, "P M"]
    levels: tuple[Level, ...]
    denominator: int | None = eqx.field(static=True)

    @staticmethod
    def from_expressions(expressions: Sequence[Any], symbols: Sequence[Any]) -> "Polynomials":
        """Polynomials given as sympy expressions.

        Args:
            expressions: P expressions.
            symbols: the d variables, in the order of the coordinates.

        Raises:
            ValueError: an expression that is no polynomial in the symbols with real coefficients.

        >>> import sympy, jax.numpy as jnp
        >>> from symjax_learn.algebra import Polynomials
        >>> x, y = sympy.symbols("x y")
        >>> Polynomials.from_expressions([x**2 + y / 2, 3], [x, y])(jnp.asarray([1.0, 4.0])).tolist()
        [3.0, 3.0]
        """
        import sympy
        from sympy.polys.polyerrors import BasePolynomialError

        try:
            polys = [sympy.Poly(sympy.sympify(one), *symbols) for one in expressions]
            coefficients = [c for poly in polys for c in poly.coeffs()]
            if not all(c.is_number and c.is_real for c in coefficients):
                raise ValueError("a coefficient is no real number")
        except (BasePolynomialError, ValueError) as error:
            raise ValueError(
                f"expressions: expected polynomials in {list(symbols)} with real coefficients: {error}."
            ) from error
        rational = all(c.is_Rational for c in coefficients)
        denominator = math.lcm(*(int(c.q) for c in coefficients)) if rational else None
        found = sorted({monomial for poly in polys for monomial in poly.monoms()})
        exponents = np.asarray(found, np.int64).reshape(-1, len(symbols))
        values = [[float(poly.coeff_monomial(one)) for one in found] for poly in polys]
        return polynomials_of(exponents, np.asarray(values, float).reshape(len(polys), -1), denominator)

    @property
    def num_polynomials(self) -> int:
        """P."""
        return self.coefficients.shape[0]

    @property
    def dimension(self) -> int:
        """The number d of variables."""
        return self.exponents.shape[1]

    @property
    def exact_coefficients(self) -> Float[np.ndarray, "P M"]:
        """The coefficients in float64, in every session."""
        rounded = np.asarray(self.coefficients, np.float64)
        values = rounded + np.asarray(self.correction, np.float64)
        if self.denominator is None:
            return values
        return np.rint(values * self.denominator) / self.denominator

    @property
    def degrees(self) -> list[int]:
        """The degree of each polynomial (−1 of zero)."""
        present = np.asarray(self.coefficients) != 0
        totals = np.asarray(self.exponents).sum(axis=1)
        return np.where(present, totals[None], -1).max(axis=1, initial=-1).tolist()

    def expressions(self, symbols: Sequence[Any] | None = None) -> "list[sympy.Expr]":
        """The polynomials as sympy expressions, with rational coefficients where they are exact.

        Args:
            symbols: d symbols; x0, x1, … if not given.

        Raises:
            ValueError: not as many symbols as variables.

        >>> import symjax_learn as sj
        >>> from symjax_learn.algebra import invariant_polynomials
        >>> invariant_polynomials(sj.symmetric_group(2), 2).expressions()
        [x0**2 + x1**2, x0*x1]
        """
        import sympy

        names = sympy.symbols(f"x0:{self.dimension}") if symbols is None else tuple(symbols)
        if len(names) != self.dimension:
            raise ValueError(f"symbols: expected {self.dimension} symbols and got {len(names)}.")

        def number(value: float) -> sympy.Expr:
            if self.denominator is None:
                return sympy.Float(value)
            return sympy.Rational(round(value * self.denominator), self.denominator)

        products = [
            sympy.Mul(*(name**power for name, power in zip(names, row, strict=True)))
            for row in np.asarray(self.exponents).tolist()
        ]
        return [
            sympy.Add(*(number(row[i]) * products[i] for i in np.flatnonzero(row)))
            for row in self.exact_coefficients
        ]

    def __call__(self, x: FloatArray) -> Float[Array, "*batch P"]:
        """f_p(x).

        Args:
            x: ``(*batch, d)``.

        Returns:
            ``(*batch, P)`` in the dtype of x.

        Raises:
            TypeError: x is not floating.
            ValueError: the last axis is not d long.

        Cost: for each point M products and P·M more; memory is one chunk of points.
        """
        values = jnp.asarray(as_array("x", x))
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise TypeError(f"x: expected floating-point numbers and got {values.dtype}.")
        if values.ndim == 0 or values.shape[-1] != self.dimension:
            raise ValueError(
                f"x: expected shape (*batch, {self.dimension}), the variables last, and got "
                f"{values.shape}."
            )
        *batch, d = values.shape
        flat = values.reshape(math.prod(batch), d)
        return _evaluate(self, flat).reshape(*batch, self.num_polynomials)


@eqx.filter_jit
def _evaluate(polynomials: Polynomials, points: Float[Array, "n d"]) -> Float[Array, "n P"]:
    coefficients = polynomials.coefficients.astype(points.dtype)

    def columns(chunk: Array) -> Array:
        """``(batch, d) -> (P, batch)``, the batch last, contiguous."""
        variables = chunk.T
        values = [jnp.ones_like(variables[:1])]
        for level in polynomials.levels:
            values.append(values[-1][level.parents] * variables[level.labels])
        return jnp.matmul(coefficients, jnp.concatenate(values), precision="highest")

    return map_columns(columns, points, chunk_rows(2 * coefficients.shape[1])).T


def polynomials_of(
    exponents: Int[np.ndarray, "m d"],
    coefficients: Float[np.ndarray, "P m"],
    denominator: int | None,
) -> Polynomials:
    """Polynomials from any different monomials, in any order, and their coefficients."""
    d = exponents.shape[1]
    used = np.any(coefficients != 0, axis=0)
    exponents, coefficients = exponents[used].astype(np.int64), coefficients[:, used]
    if denominator is not None:
        largest = np.abs(coefficients).max(initial=0.0) * denominator
        denominator = denominator if largest < _MAX_NUMERATOR else None
    totals = exponents.sum(axis=1)
    by_degree = [np.zeros((1, d), np.int64)]
    above = np.zeros((0, d), np.int64)
    for degree in range(int(totals.max(initial=0)), 0, -1):
        needed = np.concatenate([exponents[totals == degree], above])
        needed = needed[np.unique(monomial_places(needed), return_index=True)[1]]
        by_degree.insert(1, needed)
        above = parents(needed)[0]
    levels = []
    for lower, table in itertools.pairwise(by_degree):
        roots, labels = parents(table)
        places = np.searchsorted(monomial_places(lower), monomial_places(roots))
        levels.append(Level(_integers(places), _integers(labels)))
    table = np.concatenate(by_degree)
    values = np.zeros((len(coefficients), len(table)))
    values[:, np.searchsorted(monomial_places(table), monomial_places(exponents))] = coefficients
    rounded = jnp.asarray(values, float)
    correction = jnp.asarray(values - np.asarray(rounded, np.float64), float)
    return Polynomials(_integers(table), rounded, correction, tuple(levels), denominator)


def homogeneous(
    dimension: int, parts: Sequence[tuple[int, Float[np.ndarray, "_ _"]]], denominator: int | None
) -> Polynomials:
    """Polynomials from rows of coefficients of some degrees, in this order."""
    degrees = sorted({degree for degree, _ in parts})
    tables = {degree: monomials(dimension, degree) for degree in degrees}
    starts = {
        degree: sum(len(tables[lower]) for lower in degrees if lower < degree) for degree in degrees
    }
    exponents = np.concatenate([np.zeros((0, dimension), np.int64), *tables.values()])
    values = np.zeros((sum(len(rows) for _, rows in parts), len(exponents)))
    first = 0
    for degree, rows in parts:
        columns = slice(starts[degree], starts[degree] + rows.shape[1])
        values[first : first + len(rows), columns] = rows
        first += len(rows)
    return polynomials_of(exponents, values, denominator)


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
    exponents = np.asarray(polynomials.exponents, np.int64)
    coefficients = polynomials.exact_coefficients
    if linear.is_signed:
        return _signed_average(linear, exponents, coefficients, polynomials.denominator)
    totals = exponents.sum(axis=1)
    tables, parts = [], []
    for degree in np.unique(totals[np.any(coefficients != 0, axis=0)]).tolist():
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
    rows = invariant_rows(linear, degree)
    return homogeneous(linear.degree, [(degree, rows)], 1 if linear.is_signed else None)


def invariant_rows(linear: LinearGroup, degree: int) -> Float[np.ndarray, "r m"]:
    """The coefficients of :func:`invariant_polynomials`."""
    _refuse_many(linear, degree, 0 if linear.is_signed else 1)
    if linear.is_signed:
        return _orbit_sums(linear, degree)
    count = invariant_counts(linear, degree)
    expected = None if count is None else count[degree]
    norms = fischer_norms(monomials(linear.degree, degree))
    rng = np.random.default_rng(degree)
    tries = 8 if expected is None else expected + 2
    while expected != 0:
        _refuse_many(linear, degree, tries)
        averages = averaged_rows(linear, rng.normal(size=(tries, len(norms))) / norms, degree) * norms
        _, singular, right = np.linalg.svd(averages, full_matrices=False)
        rank = int((singular > 1e-8 * np.sqrt(len(norms))).sum())
        if expected is not None and rank != min(expected, len(norms)):
            raise ValueError(
                f"degree: averages of random polynomials of degree {degree} span {rank} dimensions, and "
                f"the Molien series counts {expected}; are the matrices exact?"
            )
        if expected is not None or rank <= tries - 2 or rank == len(norms):
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


def invariant_counts(linear: LinearGroup, max_degree: int) -> list[int] | None:
    """Invariants by degree from all elements (Molien); ``None`` for large groups."""
    if linear.order * linear.degree**2 > 16 * MAX_SERIES_ORDER or linear.order > MAX_SERIES_ORDER:
        return None
    elements = np.eye(linear.degree)[None]
    for transversal in reversed(linear.transversals):
        elements = np.einsum("uij,gjk->ugik", transversal, elements).reshape(-1, *elements.shape[1:])
    return molien_series(elements, max_degree)


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
            f"{MAX_ENTRIES:,} coefficients; lower the degree."
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
            f"variables, more than this computation takes; lower the degree."
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


def _integers(values: Int[np.ndarray, " m"] | Int[np.ndarray, "m d"]) -> Array:
    return jnp.asarray(np.asarray(values, np.int32))


def _moves_origin(group: AbstractGroup) -> bool:
    """Whether a factor translates the torus."""
    if isinstance(group, AffineTorusGroup):
        return bool(np.any(np.asarray(group.generators.shift)))
    if isinstance(group, ProductGroup):
        return any(_moves_origin(factor) for factor in group.factors)
    return isinstance(group, WreathGroup) and _moves_origin(group.inner)
