"""What a symmetry is worth: how many fewer data, or which better rate."""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from symjax_learn.algebra.groups import AbstractGroup, describe_order
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.kernels import kernel_order
from symjax_learn.theory.orbit_spaces import VolumeSource, orbit_space
from symjax_learn.theory.weyl import counting_exponent, gaussian_dimension, log_coefficient


class SampleSizes(NamedTuple):
    """Numbers of samples at which the predicted risk is a given one, in logarithms.

    Attributes:
        log_plain: without the symmetry.
        log_invariant: with it.
    """

    log_plain: float
    log_invariant: float

    @property
    def plain(self) -> float:
        """Without the symmetry; infinite where it is no float."""
        return _exp(self.log_plain)

    @property
    def invariant(self) -> float:
        """With the symmetry; infinite where it is no float."""
        return _exp(self.log_invariant)

    @property
    def ratio(self) -> float:
        """How many times fewer."""
        return _exp(self.log_plain - self.log_invariant)


class Growth(NamedTuple):
    """N(Λ) ≈ cΛ^a, the number of functions with λ ≤ Λ.

    Attributes:
        exponent: a: half the dimension; all of it on a Gaussian space; 0 for finitely many functions.
        log_coefficient: log c; ``None`` where the volume is not known.
    """

    exponent: float
    log_coefficient: float | None


class Gain(NamedTuple):
    """What a group G is worth for learning invariant functions on a space M; ``str`` is a table.

    Attributes:
        name: of the pair.
        dimension: d of M.
        quotient_dimension: d' of M/G.
        log_volume: log vol(M), of a finite space the number of points.
        log_quotient_volume: log vol(M/G), of a finite space the number of orbits; ``None``: not known.
        volume_source: how vol(M/G) is known.
        kernel_order: |K|, of the elements that move nothing; ``None`` for continuous groups, and where
            it is not known.
        order: |G/K|, exact; ``math.inf``, or ``None`` where K is not known.
        multiplier: vol(M)/vol(M/G), exact: n samples are worth so many times n, as Λ and n grow; |G/K|
            on connected spaces. ``None`` for continuous groups, of which the exponents tell.
        growth: of the number of all functions.
        invariant_growth: of the number of invariant ones.
        smoothness: s of the Sobolev space H^s, or ``None``.
    """

    name: str
    dimension: int
    quotient_dimension: int
    log_volume: float
    log_quotient_volume: float | None
    volume_source: VolumeSource
    kernel_order: int | None
    order: int | float | None
    multiplier: int | Fraction | None
    growth: Growth
    invariant_growth: Growth
    smoothness: float | None

    @property
    def orbit_dimension(self) -> int:
        """Dim Gx = d − d' of a generic orbit."""
        return self.dimension - self.quotient_dimension

    @property
    def log_orbit_volume(self) -> float | None:
        """Log of the mean volume vol(M)/vol(M/G) of the orbits; of a finite group's, their points."""
        if self.log_quotient_volume is None:
            return None
        return self.log_volume - self.log_quotient_volume

    @property
    def rate(self) -> float:
        """The r of the risk n^{−r} without the symmetry: s/(s + a), a = d/2."""
        return self._rate(self.growth)

    @property
    def invariant_rate(self) -> float:
        """The r of the risk n^{−r} with the symmetry: s/(s + a), a = d'/2."""
        return self._rate(self.invariant_growth)

    def _rate(self, growth: Growth) -> float:
        s = self._known_smoothness()
        return s / (s + growth.exponent)

    def _known_smoothness(self) -> float:
        if self.smoothness is None:
            raise ValueError("smoothness: rates and risks need one; give gain(..., smoothness=s).")
        return self.smoothness

    def num_samples(self, risk: float, *, noise: float, norm: float) -> SampleSizes:
        """The n at which the predicted risk of kernel ridge regression is a given one.

        With the penalty η and the spectrum λ^{−s} the bias is at most η‖f‖², and the variance σ² N(η)/n
        with the effective dimension N(η) = Σ λ_j^{−s}/(λ_j^{−s} + η) ≈ c η^{−b} πb/sin(πb), b = a/s,
        for N(Λ) ≈ cΛ^a functions up to Λ: a = d/2 and d'/2. The least sum over η is

            R(n) = (1 + 1/b) ‖f‖² η,  η^{1+b} = b σ² c πb/sin(πb) / (n ‖f‖²),

        which is solved for n; for finitely many functions, c in number, R = σ²c/n. It is a prediction
        of leading order, an upper bound of the bias with an asymptotic variance, and no theorem with
        these constants: compare :func:`~symjax_learn.risk_curve`, which is of finite n and exact counts.

        Args:
            risk: R > 0, the mean squared error.
            noise: σ > 0, the standard deviation of the noise.
            norm: ‖f‖ > 0, ‖f‖² = Σ λ_j^s c_j² over the functions other than the constant.

        Raises:
            ValueError: a number that is not positive, no smoothness, or a volume that is not known.

        References:
            Tahmasebi, Jegelka, NeurIPS 2023.

        >>> import symjax_learn as sj
        >>> worth = sj.gain(sj.Torus(2), sj.sign_group(2), smoothness=2.0)
        >>> sizes = worth.num_samples(0.01, noise=0.5, norm=1.0)
        >>> round(sizes.ratio, 6), round(sizes.plain)
        (4.0, 3205)
        """
        s = self._known_smoothness()
        logs = [
            math.log(_positive(name, value))
            for name, value in (("risk", risk), ("noise", noise), ("norm", norm))
        ]
        return SampleSizes(
            *(_log_num_samples(growth, s, *logs) for growth in (self.growth, self.invariant_growth))
        )

    def __str__(self) -> str:
        """A table: a row for each thing, without the symmetry and with it."""
        rows = [
            (self.name, "without", "with"),
            ("dimension", str(self.dimension), str(self.quotient_dimension)),
            _volume_row(self),
            ("functions to Λ", *map(_growth_text, (self.growth, self.invariant_growth))),
            ("order |G/K|", "", "unknown" if self.order is None else describe_order(self.order)),
        ]
        if self.kernel_order is not None and self.kernel_order > 1:
            rows.append(("kernel |K|", "", describe_order(self.kernel_order)))
        if self.orbit_dimension:
            rows.append(("orbits' dimension", "", str(self.orbit_dimension)))
            rows.append(("orbits' mean volume", "", _volume_text(self.log_orbit_volume)))
        rows.append(("samples are worth", "1", _multiplier_text(self)))
        if self.smoothness is not None:
            plain, invariant = (f"n^-{rate:.4g}" for rate in (self.rate, self.invariant_rate))
            rows.append((f"risk at s = {self.smoothness:g}", plain, invariant))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            f"{name:{widths[0]}}  {plain:>{widths[1]}}  {invariant:>{widths[2]}}".rstrip()
            for name, plain, invariant in rows
        )


def gain(
    space: AbstractSpace,
    group: AbstractGroup | Action,
    *,
    smoothness: float | None = None,
    quotient_volume: Any = None,
) -> Gain:
    """What the symmetry is worth for learning, before any data: dimensions, volumes, multiplier, rates.

    An invariant function on M is one on the space of orbits M/G. The number of functions to learn goes
    from ω_d vol(M)/(2π)^d Λ^{d/2} to ω_{d'} vol(M/G)/(2π)^{d'} Λ^{d'/2}, and the risk from the rate
    n^{−s/(s + d/2)} to n^{−s/(s + d'/2)}. A finite group keeps the dimension and divides the volume by
    |G/K|, K the elements that move nothing: n samples are worth n|G/K|. A continuous group has a better
    exponent, d' = d − dim(orbit). On a finite space both are numbers, of points and of orbits. On a
    ``Gaussian`` space the eigenvalue is a degree, and d stands for d/2.

    It is what is true in the limit; at the truncations and sample sizes of a computation gains are
    smaller, by as much as :func:`~symjax_learn.invariant_count` is above Weyl's law.

    Args:
        space: M.
        group: G, or an action on the space, also a user's own.
        smoothness: s > d/2 of the Sobolev space H^s, for rates. (With the symmetry s > d'/2 is enough;
            without it there is nothing to compare with.)
        quotient_volume: vol(M/G) of a continuous group, a number or the answer of ``quotient_volume``;
            in closed form, where it is known, if it is not given.

    Raises:
        ValueError: s ≤ d/2, a volume that is not positive, a pair that does not fit, or a continuous
            group on a Gaussian space.

    Cost: that of the group's structure, never |G|; on a finite space that of an exact count.

    References:
        Tahmasebi, Jegelka, *The Exact Sample Complexity Gain from Invariances for Kernel Regression*,
        NeurIPS 2023.

    >>> import symjax_learn as sj, math
    >>> worth = sj.gain(sj.Torus(3), sj.hyperoctahedral_group(3), smoothness=2.0)
    >>> worth.multiplier, worth.quotient_dimension, round(worth.rate, 4)
    (48, 3, 0.5714)
    >>> worth = sj.gain(sj.Hypercube(100), sj.symmetric_group(100))
    >>> round(math.exp(worth.log_quotient_volume))  # orbits of 2^100 points
    101
    >>> print(sj.gain(sj.Torus(100), sj.symmetric_group(100)))
    PermutationGroup on Torus         without            with
    dimension                             100             100
    volume                        10^79.81799    10^-78.15202
    functions to Λ               10^-39.63 Λ^50  10^-197.6 Λ^50
    order |G/K|                                  about 10^157
    samples are worth                       1    about 10^157
    """
    acting = as_action(space, group)
    orbits = orbit_space(acting, quotient_volume)
    normal = gaussian_dimension(space)
    half = counting_exponent(acting, space.dimension)
    kernel = kernel_order(acting)
    order: int | float | None = acting.order
    if acting.order != math.inf:
        order = None if kernel is None else int(acting.order) // kernel
    coefficient = None
    if orbits.log_volume is not None:
        coefficient = log_coefficient(orbits.log_volume, orbits.dimension, normal)
    multiplier = None if orbits.fraction is None else 1 / orbits.fraction
    if multiplier is not None and multiplier.denominator == 1:
        multiplier = multiplier.numerator
    return Gain(
        name=f"{type(acting.group).__name__} on {type(space).__name__}",
        dimension=space.dimension,
        quotient_dimension=orbits.dimension,
        log_volume=space.log_volume,
        log_quotient_volume=orbits.log_volume,
        volume_source=orbits.source,
        kernel_order=kernel,
        order=order,
        multiplier=multiplier,
        growth=Growth(half, log_coefficient(space.log_volume, space.dimension, normal)),
        invariant_growth=Growth(counting_exponent(acting, orbits.dimension), coefficient),
        smoothness=None if smoothness is None else _checked_smoothness(smoothness, half),
    )


def _checked_smoothness(smoothness: Any, half: float) -> float:
    number = np.asarray(smoothness)
    if number.shape != () or number.dtype.kind not in "fiu" or not half < float(number) < math.inf:
        raise ValueError(
            f"smoothness: expected a finite s > d/2 = {half:g}, where functions of H^s are continuous, "
            f"and got {smoothness!r} (d for d/2 of Gaussian factors). With the symmetry alone s > d'/2 "
            "is enough, but then there is no rate without it."
        )
    return float(number)


def _positive(name: str, value: Any) -> float:
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "fiu" or not 0 < float(number) < math.inf:
        raise ValueError(f"{name}: expected a positive finite number and got {value!r}.")
    return float(number)


def _log_num_samples(
    growth: Growth, smoothness: float, log_risk: float, log_noise: float, log_norm: float
) -> float:
    """Log of the n at which the least bias and variance are the risk."""
    if growth.log_coefficient is None:
        raise ValueError(
            "quotient_volume: predicted numbers of samples need vol(M/G), which is not known in closed "
            "form for this pair; give gain(..., quotient_volume=...)."
        )
    b = growth.exponent / smoothness
    if b == 0:  # finitely many functions, and no bias
        return 2 * log_noise + growth.log_coefficient - log_risk
    log_penalty = log_risk - math.log1p(1 / b) - 2 * log_norm
    log_dimension = growth.log_coefficient + math.log(math.pi * b / math.sin(math.pi * b))
    return math.log(b) + 2 * (log_noise - log_norm) + log_dimension - (1 + b) * log_penalty


def _volume_row(worth: Gain) -> tuple[str, str, str]:
    name = "volume" if worth.dimension else "points, orbits"
    known = "not estimated" if worth.volume_source == "not estimated" else ""
    return name, _volume_text(worth.log_volume), known or _volume_text(worth.log_quotient_volume)


def _volume_text(log: float | None, digits: int = 7) -> str:
    if log is None:
        return "not estimated"
    if abs(log) < 30:
        return f"{math.exp(log):.{digits}g}"
    return f"10^{log / math.log(10):.{digits}g}"


def _growth_text(growth: Growth) -> str:
    power = f"Λ^{growth.exponent:g}"
    if growth.log_coefficient is None:
        return f"? {power}"
    coefficient = _volume_text(growth.log_coefficient, 4)
    return f"{coefficient} {power}" if growth.exponent else coefficient


def _multiplier_text(worth: Gain) -> str:
    match worth.multiplier:
        case None:
            return "unknown" if worth.order != math.inf else "a better exponent"
        case int():
            return describe_order(worth.multiplier)
    top, bottom = worth.multiplier.numerator, worth.multiplier.denominator
    return _volume_text(math.log(top) - math.log(bottom))


def _exp(log: float) -> float:
    return math.inf if log > 709 else math.exp(log)
