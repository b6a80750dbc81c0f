"""The space of orbits M/G: its dimension, its volume, and how they are known."""

import math
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np

from symjax_learn.geometry.product import Product
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.pairs import shares
from symjax_learn.theory.dimension import quotient_dimension
from symjax_learn.theory.finite_quotients import quotient_fraction
from symjax_learn.theory.isometries import check_isometry
from symjax_learn.theory.quotient import QuotientVolume
from symjax_learn.theory.volumes import closed_log_volume

# Logarithms of volumes that agree to this are those of one volume.
_AGREE = 1e-6
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
    check_isometry(action)
    dimension = quotient_dimension(action.space, action)
    fraction = quotient_fraction(action)
    log_volume = _log_volume(action, fraction)
    if quotient_volume is not None:
        given = _given(quotient_volume, dimension)
        if fraction is not None and log_volume is not None and abs(given - log_volume) > _AGREE:
            raise ValueError(
                f"quotient_volume: of this finite group it is vol(M) times {fraction}, and got "
                f"{quotient_volume!r}; leave it out."
            )
        return OrbitSpace(dimension, given, "given", fraction)
    source = "not estimated" if log_volume is None else "closed form"
    return OrbitSpace(dimension, log_volume, source, fraction)


def _log_volume(action: Action, fraction: Fraction | None) -> float | None:
    """In closed form; of a product from its parts, each with the factors of the group that move it."""
    if fraction is not None:
        return action.space.log_volume + math.log(fraction.numerator) - math.log(fraction.denominator)
    if action.order != math.inf:
        return None
    if not isinstance(action.space, Product) or action.user_act is not None:
        return closed_log_volume(action)
    volumes = []
    for share in shares(action.space, action.group):
        if share.group is None:
            volumes.append(share.space.log_volume)
            continue
        part = Action(share.space, share.group)
        volumes.append(_log_volume(part, quotient_fraction(part)))
    return None if None in volumes else math.fsum(volumes)


def _given(quotient_volume: Any, dimension: int) -> float:
    """Log of a positive number."""
    if isinstance(quotient_volume, QuotientVolume):
        if quotient_volume.dimension != dimension:
            raise ValueError(
                "quotient_volume: it is of a quotient of dimension "
                f"{quotient_volume.dimension} and this one has {dimension}; estimate that of the same "
                "space and group."
            )
        if not math.isfinite(quotient_volume.log_value):
            raise ValueError(
                f"quotient_volume: expected a volume that is known and got {quotient_volume}."
            )
        return quotient_volume.log_value
    number = np.asarray(quotient_volume)
    if number.dtype.kind not in "fiu":
        raise TypeError(f"quotient_volume: expected a number and got {quotient_volume!r}.")
    if number.shape != () or not 0 < float(number) < math.inf:
        raise ValueError(
            f"quotient_volume: expected a positive finite number and got {quotient_volume!r}."
        )
    return math.log(float(number))
