"""Polynomials that JAX evaluates: any that are given by their coefficients."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import chunk_rows, map_columns
from symjax_learn._types import FloatArray, Precise, as_array, precise
from symjax_learn.algebra.monomials import (
    monomial_places,
    monomials,
    parents,
)

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
        coefficients: ``(P, M)``.
        levels: how the monomials of degree 1, 2, … are computed.
        denominator: an integer that makes all coefficients integers; ``None`` where they are floats.
    """

    exponents: Int[np.ndarray | Array, "M d"]
    coefficients: Precise
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
        return self.coefficients.rounded.shape[0]

    @property
    def dimension(self) -> int:
        """The number d of variables."""
        return self.exponents.shape[1]

    @property
    def exact_coefficients(self) -> Float[np.ndarray, "P M"]:
        """The coefficients in float64, in every session."""
        values = np.asarray(self.coefficients.exact)
        if self.denominator is None:
            return values
        return np.rint(values * self.denominator) / self.denominator

    @property
    def degrees(self) -> list[int]:
        """The degree of each polynomial (−1 of zero)."""
        present = np.asarray(self.coefficients.rounded) != 0
        totals = np.asarray(self.exponents).sum(axis=1)
        return np.where(present, totals[None], -1).max(axis=1, initial=-1).tolist()

    def expressions(self, symbols: Sequence[Any] | None = None) -> list[Any]:
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

        def number(value: float) -> Any:
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
    coefficients = polynomials.coefficients.rounded.astype(points.dtype)

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
    return Polynomials(_integers(table), precise(values), tuple(levels), denominator)


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


def _integers(values: Int[np.ndarray, " m"] | Int[np.ndarray, "m d"]) -> Array:
    return jnp.asarray(np.asarray(values, np.int32))
