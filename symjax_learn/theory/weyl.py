"""Weyl's law for invariant functions: how their number grows, beside the exact count."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.vertices import AbstractVertices
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.count import checked_levels, exact_counts
from symjax_learn.theory.mirrors import boundary_ratio, reflections
from symjax_learn.theory.orbit_spaces import OrbitSpace, orbit_space

# Of the heat trace Σ e^{−tλ} = C t^{−a}(1 + …) of a manifold, C = vol(M)/(4π)^{d/2}.
_LOG_FOUR_PI = math.log(4 * math.pi)


class WeylCount(NamedTuple):
    """The asymptotic number of invariant eigenfunctions with λ ≤ Λ.

    Attributes:
        leading: the leading term; infinite where it is no float.
        second: the term of the boundary and the mirrors; NaN where it is not known.
        log_leading: log of the leading term.
    """

    leading: float
    second: float
    log_leading: float

    @property
    def total(self) -> float:
        """Both terms, or the leading one where the second is not known."""
        return self.leading if math.isnan(self.second) else self.leading + self.second


class CountingCurve(NamedTuple):
    """Exact numbers of eigenfunctions up to each level, and Weyl's law for the invariant ones.

    Attributes:
        eigenvalues: λ of every level, ascending.
        ambient: how many eigenfunctions are ≤ λ; Python integers.
        invariant: how many of them are invariant; Python integers.
        leading: Weyl's leading term at λ; NaN where there is none, or its volume is not known.
        second: the term of the boundary and the mirrors; NaN where it is not known.
    """

    eigenvalues: Float[np.ndarray, " L"]
    ambient: Shaped[np.ndarray, " L"]
    invariant: Shaped[np.ndarray, " L"]
    leading: Float[np.ndarray, " L"]
    second: Float[np.ndarray, " L"]


class WeylLaw(NamedTuple):
    """N(Λ) ≈ e^{log_leading} Λ^exponent + second Λ^{second_exponent}.

    Attributes:
        exponent: d'/2; of Gaussian factors, whose eigenvalues are degrees, the dimension is not halved.
        log_leading: log of the first coefficient.
        log_second: log of the second, −∞ for none; NaN where it is not known.
        second_exponent: half less, or 1 less on a Gaussian space.
    """

    exponent: float
    log_leading: float
    log_second: float
    second_exponent: float

    def at(self, eigenvalue: float) -> WeylCount:
        """Both terms at Λ."""
        log = math.log(eigenvalue) if eigenvalue > 0 else -math.inf
        first = _power(self.log_leading, self.exponent, log)
        second = _power(self.log_second, self.second_exponent, log)
        return WeylCount(_exp(first), _exp(second), first)


def weyl_count(
    space: AbstractSpace,
    group: AbstractGroup | Action,
    max_eigenvalue: float,
    *,
    quotient_volume: Any = None,
) -> WeylCount:
    """The number of invariant eigenfunctions with λ ≤ Λ by Weyl's law, asymptotically.

        N(Λ) ≈ ω_{d'}/(2π)^{d'} vol(M/G) Λ^{d'/2} + ¼ ω_{d'−1}/(2π)^{d'−1} vol(∂(M/G)) Λ^{(d'−1)/2},

    ω_d the volume of the unit ball and d' the dimension of M/G. For a finite group the boundary of M/G
    is that of M and the mirrors of the reflections r of G, each from two sides: vol(∂(M/G)) = (vol ∂M
    + 2 Σ_r vol Fix r)/|G|, and on both the invariant functions satisfy Neumann's condition. The second
    term is known for finite groups on tori, spheres, boxes, balls, SO(3), products and sets of these,
    and their own actions; it is 0 without boundary and reflections. Where the eigenvalues are very
    multiple, as on spheres, the count jumps by as much as the second term, and the law is its mean.

    On ``Gaussian`` spaces the eigenvalue is the degree of a polynomial, and for a finite group with r
    reflections N(Λ) ≈ (Λ^d/d! + ½(d + 1 + r) Λ^{d−1}/(d − 1)!)/|G|, at integer Λ.

    Convergence is slow, the relative error of order Λ^{−1/2}, or Λ^{−1} with the second term: compare
    with :func:`~symjax_learn.invariant_count`, which is exact.

    Args:
        space: the space.
        group: the group, or an action on the space.
        max_eigenvalue: Λ ≥ 0.
        quotient_volume: vol(M/G) of a continuous group, where it is not known in closed form.

    Raises:
        ValueError: Λ is negative or not finite; a finite space, which has no Weyl law; a volume that is
            not known and not given, or not positive; a continuous group on a Gaussian space.

    Cost: that of the kernel and the reflections, never |G|.

    References:
        H. Weyl, Math. Ann. 71 (1912); H. Donnelly, *G-spaces, the asymptotic splitting of L²(M) into
        irreducibles*, Math. Ann. 237 (1978); Tahmasebi, Jegelka, NeurIPS 2023.

    >>> import symjax_learn as sj
    >>> space, group = sj.Torus(2), sj.sign_group(2)
    >>> count = sj.weyl_count(space, group, 10_000)
    >>> round(count.leading), round(count.total), sj.invariant_count(space, group, 10_000)
    (7854, 7954, 7955)
    """
    acting = as_action(space, group)
    number = np.asarray(max_eigenvalue)
    if number.shape != () or number.dtype.kind not in "fiu" or not 0 <= float(number) < math.inf:
        raise ValueError(f"max_eigenvalue: expected a finite number >= 0 and got {max_eigenvalue!r}.")
    _refuse_finite(acting)
    orbits = orbit_space(acting, quotient_volume)
    if orbits.log_volume is None:
        raise ValueError(
            f"quotient_volume: the volume of the orbits of {type(acting.group).__name__} on "
            f"{type(space).__name__} is not known in closed form; give it, as quotient_volume(key, "
            "space, group, num_samples=...) estimates it."
        )
    return weyl_law(acting, orbits).at(float(number))


def counting_curve(
    space: AbstractSpace,
    group: AbstractGroup | Action,
    max_eigenvalue: float,
    *,
    quotient_volume: Any = None,
) -> CountingCurve:
    """Exact counts of all and of invariant eigenfunctions at every level, beside Weyl's law.

    Args:
        space: the space; on one without a Weyl law the counts stand alone.
        group: the group, or an action on the space.
        max_eigenvalue: Λ ≥ 0, the last level.
        quotient_volume: vol(M/G) of a continuous group, where it is not known in closed form.

    Raises:
        ValueError: Λ is negative or not finite, or no exact count is known for the pair.

    Cost: that of :func:`~symjax_learn.invariant_count`.

    >>> import symjax_learn as sj
    >>> curve = sj.counting_curve(sj.Torus(2), sj.sign_group(2), 25)
    >>> curve.ambient[-1], curve.invariant[-1], round(float(curve.leading[-1] + curve.second[-1]), 1)
    (81, 26, 24.6)
    """
    acting = as_action(space, group)
    levels = checked_levels(space, max_eigenvalue)
    law = None
    if _has_law(acting):
        orbits = orbit_space(acting, quotient_volume)
        law = None if orbits.log_volume is None else weyl_law(acting, orbits)
    counts = [WeylCount(math.nan, math.nan, math.nan)] * len(levels)
    if law is not None:
        counts = [law.at(level.eigenvalue) for level in levels]
    return CountingCurve(
        np.asarray([level.eigenvalue for level in levels], np.float64),
        np.cumsum(np.asarray([level.multiplicity for level in levels], object)),
        np.cumsum(np.asarray(exact_counts(acting, levels), object)),
        np.asarray([count.leading for count in counts]),
        np.asarray([count.second for count in counts]),
    )


def weyl_law(action: Action, orbits: OrbitSpace) -> WeylLaw:
    """The coefficients, for a pair that has a law and orbits of known volume.

    The heat traces of a product multiply: Σ e^{−tλ} ≈ C t^{−a} with C = vol/(4π)^{d/2} and a = d/2, on a
    Gaussian space C = 1 and a = d; and N(Λ) ≈ C Λ^a/Γ(a + 1).
    """
    assert orbits.log_volume is not None
    normal = gaussian_dimension(action.space)
    exponent = counting_exponent(action, orbits.dimension)
    leading = log_coefficient(orbits.log_volume, orbits.dimension, normal)
    log_heat = leading + math.lgamma(exponent + 1)
    if not normal:
        ratio = 0.0 if orbits.dimension == 0 else boundary_ratio(action)
        second = math.nan if ratio is None else _log(ratio / 4) + log_heat + _LOG_FOUR_PI / 2
        second -= math.lgamma(exponent + 1 / 2)
        return WeylLaw(exponent, leading, second, exponent - 1 / 2)
    kinds = reflections(action.group) if isinstance(action.space, Gaussian) else None
    second = math.nan
    if kinds is not None and action.user_act is None:
        second = math.log((normal + 1 + kinds.total) / 2) + log_heat - math.lgamma(exponent)
    return WeylLaw(exponent, leading, second, exponent - 1)


def log_coefficient(log_volume: float, dimension: int, normal: int) -> float:
    """Log of the c of N(Λ) ~ cΛ^a: log ω_d vol/(2π)^d on a manifold, which is C/Γ(d/2 + 1)."""
    log_heat = log_volume - (dimension - normal) / 2 * _LOG_FOUR_PI
    return log_heat - math.lgamma((dimension + normal) / 2 + 1)


def counting_exponent(action: Action, quotient_dimension: int) -> float:
    """The a of N(Λ) ~ Λ^a: d'/2, where the dimensions of Gaussian factors count twice.

    Raises:
        ValueError: a continuous group on a space with a Gaussian factor.
    """
    normal = gaussian_dimension(action.space)
    if normal and action.order == math.inf:
        raise ValueError(
            "space: eigenvalues of a Gaussian space are degrees of polynomials, and their asymptotic "
            f"number under {type(action.group).__name__}, which is continuous, is not known here; "
            "invariant_count counts exactly."
        )
    return (quotient_dimension + normal) / 2


def gaussian_dimension(space: AbstractSpace) -> int:
    """The dimensions of the Gaussian factors together."""
    match space:
        case Gaussian():
            return space.dimension
        case Product():
            return sum(gaussian_dimension(part) for part in space.spaces)
        case Sets():
            return space.num_points * gaussian_dimension(space.space)
    return 0


def _has_law(action: Action) -> bool:
    """Whether the eigenvalues are those of a manifold, or of a Gaussian space under a finite group."""
    finite = action.space.dimension == 0 or _has_vertices(action.space)
    return not finite and not (gaussian_dimension(action.space) and action.order == math.inf)


def _has_vertices(space: AbstractSpace) -> bool:
    match space:
        case Product():
            return any(part.dimension > 0 and _has_vertices(part) for part in space.spaces)
        case Sets():
            return _has_vertices(space.space)
    return isinstance(space, AbstractVertices)


def _refuse_finite(action: Action) -> None:
    if action.space.dimension == 0 or _has_vertices(action.space):
        raise ValueError(
            f"space: {type(action.space).__name__} has finitely many points, and no Weyl law: its "
            "functions come to an end. invariant_count counts them, in all as many as orbits of points."
        )


def _power(log_coefficient: float, exponent: float, log: float) -> float:
    if exponent == 0 or log_coefficient == -math.inf:
        return log_coefficient
    return log_coefficient + exponent * log


def _exp(log: float) -> float:
    return math.inf if log > 709 else math.exp(log)


def _log(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 else -math.inf
