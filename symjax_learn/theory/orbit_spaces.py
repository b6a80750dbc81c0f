"""The space of orbits M/G: its dimension, its volume, and how they are known."""

import math
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np

from symjax_learn.invariants.action import Action
from symjax_learn.theory.finite_quotients import quotient_fraction

VolumeSource = Literal["closed form", "given", "not estimated"]


class OrbitSpace(NamedTuple):
    """M/G.

    Attributes:
        dimension: d'.
        log_volume: log vol(M/G); ``None`` where it is not known.
        source: how the volume is known.
        fraction: vol(M/G)/vol(M) of a finite group, exact; ``None`` where it is not known.
    """

    dimension: int
    log_volume: float | None
    source: VolumeSource
    fraction: Fraction | None


def orbit_space(action: Action, quotient_volume: Any = None) -> OrbitSpace:
    """Its dimension, and its volume in closed form unless it is given.

    Args:
        action: of the group on the space.
        quotient_volume: a number, or the answer of ``quotient_volume``; ``None``: in closed form, where
            there is one.

    Raises:
        ValueError, TypeError: a volume that is not a positive number.
    """
    dimension = _dimension(action)
    fraction = quotient_fraction(action)
    if quotient_volume is not None:
        return OrbitSpace(dimension, _given(quotient_volume), "given", fraction)
    log_volume = _log_volume(action, fraction)
    source = "not estimated" if log_volume is None else "closed form"
    return OrbitSpace(dimension, log_volume, source, fraction)


def _log_volume(action: Action, fraction: Fraction | None) -> float | None:
    if fraction is not None:
        return action.space.log_volume + math.log(fraction.numerator) - math.log(fraction.denominator)
    return None


def _given(quotient_volume: Any) -> float:
    """Log of a positive number."""
    volume = getattr(quotient_volume, "volume", quotient_volume)
    number = np.asarray(volume)
    if number.dtype.kind not in "fiu":
        raise TypeError(f"quotient_volume: expected a number and got {quotient_volume!r}.")
    if number.shape != () or not 0 < float(number) < math.inf:
        raise ValueError(
            f"quotient_volume: expected a positive finite number and got {quotient_volume!r}."
        )
    return math.log(float(number))


def _dimension(action: Action) -> int:
    return action.space.dimension
