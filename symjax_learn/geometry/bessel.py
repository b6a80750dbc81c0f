"""Bessel functions for the ball: zeros, Neumann roots and radial functions; NumPy, float64."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

# Terms of a radial function below this part of its value are dropped.
_NEGLIGIBLE = 1e-17


def neumann_roots(dimension: int, degree: int, bound: float) -> Float[np.ndarray, " k"]:
    """All roots 0 < κ ≤ bound of d/dr [r^{1−d/2} J_ν(κr)] at r = 1, ν = l + d/2 − 1.

    That is κ J_{ν+1}(κ) = l J_ν(κ). None is missed: κ J_{ν+1}/J_ν = Σ_i 2κ²/(j_i² − κ²) over the zeros
    of J_ν rises from 0, or −∞, to ∞ between two of them, so that it is l exactly once in each
    interval (for l = 0 in the first one only at 0: the roots are the zeros of J_{ν+1}). The first root
    exceeds √(l(l + d − 2)), which the angular part alone makes of the energy.

    Args:
        dimension: d ≥ 2.
        degree: l.
        bound: of the roots.

    References:
        G. N. Watson, *A Treatise on the Theory of Bessel Functions*, §15.41.

    >>> neumann_roots(2, 1, 6.0).round(4).tolist()  # of J_1'
    [1.8412, 5.3314]
    """
    from scipy.special import jv

    order = degree + dimension / 2 - 1
    if degree == 0:
        return bessel_zeros(order + 1, bound)
    least = math.sqrt(degree * (degree + dimension - 2))
    if least >= bound:
        return np.zeros(0)
    # One zero beyond the bound, so that a root does not depend on it: the zeros begin below
    # ν + 4 + 2ν^{1/3}, and their gaps are smaller.
    reach = max(order, bound) + 4 + 2 * order ** (1 / 3)
    edges = np.concatenate([[least], bessel_zeros(order, reach)])
    roots = _sign_changes(lambda k: degree * jv(order, k) - k * jv(order + 1, k), edges)
    return roots[roots <= bound]


def bessel_zeros(order: float, bound: float) -> Float[np.ndarray, " k"]:
    """All zeros 0 < z ≤ bound of J_order, order ≥ 1.

    They exceed the order, and two of them are more than π apart, so that a step of 1 separates them.

    >>> bessel_zeros(1.5, 8.0).round(4).tolist()  # of tan z = z
    [4.4934, 7.7253]
    """
    from scipy.special import jv

    zeros = _sign_changes(lambda z: jv(order, z), np.arange(order, max(order, bound) + 1))
    return zeros[zeros <= bound]


def _sign_changes(
    function: Callable[[Any], Any], edges: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " k"]:
    """The one root between each two neighbours at which the function has opposite signs."""
    from scipy.optimize import brentq

    signs = np.signbit(function(edges))
    changes = np.flatnonzero(signs[1:] != signs[:-1])
    eps = 4 * np.finfo(float).eps
    return np.asarray([brentq(function, edges[i], edges[i + 1], xtol=eps, rtol=eps) for i in changes])


def radial_coefficients(dimension: int, degree: int, kappa: float) -> Float[np.ndarray, " n"]:
    """a_n √C(n + ν, n) of one κ, as far as a term matters at r = 0 or r = 1, where |P_n| is largest.

    N is from d ∫ r J_ν(κr)² dr = (d/2)(1 − l(l + d − 2)/κ²) J_ν(κ)² over 0 < r < 1, at a root.
    """
    from scipy.special import binom, gammaln, jv

    if kappa == 0:
        return np.ones(1)
    order, n = degree + dimension / 2 - 1, np.arange(math.ceil(kappa / 2) + 60)
    boundary = 1 / math.sqrt(dimension / 2 * (1 - degree * (degree + dimension - 2) / kappa**2))
    scale = boundary / abs(jv(order, kappa))
    origin = scale * math.exp(order * math.log(kappa / 2) - gammaln(order + 1))
    largest = binom(n + order, n)
    terms = (-1.0) ** n * 2 * (2 * n + order + 1) * jv(order + 2 * n + 1, kappa) / kappa * scale
    matters = np.abs(terms) > _NEGLIGIBLE * np.minimum(boundary, origin / largest)
    return (terms * np.sqrt(largest))[: np.flatnonzero(matters)[-1] + 1]


def radial_recurrence(
    orders: Float[np.ndarray, " l"], num_terms: Int[np.ndarray, " l"]
) -> tuple[Float[np.ndarray, "n l"], Float[np.ndarray, "n l"], Float[np.ndarray, "n l"]]:
    """p_{n+1} = (slope·r² − offset) p_n − fall·p_{n−1} of p_n = P_n^{(0, ν)}(2r² − 1)/√C(n + ν, n).

    So scaled they lie between C^{−½} at r = 1 and C^{½} at r = 0, within the range of float32. Beyond
    the terms of its order a recurrence is zero.

    References:
        NIST *Digital Library of Mathematical Functions*, §18.9(i).
    """
    n, nu = np.arange(num_terms.max())[:, None], orders[None]
    twice = 2 * n + nu
    rise = (twice + 1) / ((n + 1) * (n + nu + 1))
    safe = np.where(twice > 0, twice, 1.0)  # at n = ν = 0 the quotients by it are 0/0, and mean 0
    shrink = np.sqrt((n + 1) / (n + nu + 1))
    slopes = rise * (twice + 2) * shrink
    offsets = slopes / 2 + rise * nu**2 / (2 * safe) * shrink
    falls = n * (n + nu) * (twice + 2) / ((n + 1) * (n + nu + 1) * safe) * shrink
    falls[1:] *= shrink[:-1]
    used = n + 1 < num_terms[None]
    return np.where(used, slopes, 0.0), np.where(used, offsets, 0.0), np.where(used, falls, 0.0)
