"""The volume of a quotient: in closed form, from the volumes of orbits, or from return probabilities."""

import enum
import math
from numbers import Real
from typing import NamedTuple

import jax

from symjax_learn._types import Key, checked_count
from symjax_learn.algebra.catalogue import trivial_group
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.products import WreathGroup, direct_product
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.tangents import has_metric
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.pairs import shares
from symjax_learn.theory.dimension import orbit_dimension
from symjax_learn.theory.estimates import (
    PILOT,
    Estimate,
    by_orbits,
    by_returns,
    has_sampler,
    read_stabilizer,
)
from symjax_learn.theory.group_volumes import log_group_volume, log_stabilizer_volume
from symjax_learn.theory.isometries import check_isometry
from symjax_learn.theory.volumes import closed_log_volume

METHODS = ("auto", "closed", "orbits", "returns")
# Fewer samples within the radius than this say nothing about a probability.
_FEWEST = 10


# A term in ε of a larger part of the value says that the next one counts as well.
_MOST_BIAS = 0.25


class VolumeStatus(enum.IntEnum):
    """What became of an estimate; :func:`quotient_volume` raises unless it is ``ok``."""

    ok = 0
    heavy_tail = 1
    tolerance_missed = 2
    too_few_samples = 3
    biased = 4


class QuotientVolume(NamedTuple):
    """vol(M/G), and how well it is known.

    Attributes:
        value: the volume; infinite or 0 where it is no float.
        log_value: its logarithm.
        standard_error: of the value; 0 of a closed form, NaN where none may be claimed.
        bias: of return probabilities, the change when a term in ε is removed as well; else 0.
        dimension: of the quotient.
        method: ``"closed"``, ``"orbits"`` or ``"returns"``.
        num_samples: that were drawn.
        tail_index: α in P(1/vol(Gx) > t) ~ t^{−α}, estimated; the variance is finite for α > 2.
            Infinite where volumes are bounded below; NaN where not estimated.
        stabilizer_volume: that was used, of a generic point; NaN where none was.
        status: a :class:`VolumeStatus`.
    """

    value: float
    log_value: float
    standard_error: float
    bias: float
    dimension: int
    method: str
    num_samples: int
    tail_index: float
    stabilizer_volume: float
    status: VolumeStatus

    def __str__(self) -> str:
        """One line: the value with its error, and where they come from."""
        how = {"closed": "in closed form", "orbits": "from volumes of orbits"}.get(
            self.method, "from return probabilities"
        )
        error = "" if self.method == "closed" else f" ± {self.standard_error:.2g}"
        bias = f", bias of about {self.bias:.2g}" if self.method == "returns" else ""
        samples = f", {self.num_samples:,} samples" if self.num_samples else ""
        return (
            f"vol(M/G) = {self.value:.6g}{error} (dimension {self.dimension}, {how}{samples}{bias}, "
            f"{self.status.name})"
        )


def quotient_volume(
    key: Key,
    space: AbstractSpace,
    group: AbstractGroup | Action,
    *,
    num_samples: int,
    method: str = "auto",
    relative_error: float | None = None,
    stabilizer_volume: float | None = None,
    radius: float | None = None,
    throw: bool = True,
) -> QuotientVolume:
    """vol(M/G) = ∫_M vol(Gx)^{−1} dvol(x), in the metric in which M → M/G is a Riemannian submersion.

    - ``"closed"``: see :func:`closed_log_volume`; nothing is drawn.
    - ``"orbits"``: the mean over uniform x of vol(M)/vol(Gx), with

          vol(Gx) = vol(G)/vol(G_x) · √pdet Γ(x),   Γ_ab = ⟨A_a x, A_b x⟩,

      A_a an orthonormal basis of the Lie algebra, G_x the stabilizer of a generic point. Near orbits
      that collapse in codimension 2 the variance is infinite: a standard error is given only where the
      estimated tail index (Hill, of the √n largest) exceeds 2 by three of its own standard errors.
    - ``"returns"``: the probability that a uniform x and a Haar g have d(x, gx) < ε, times
      vol(M)/(ω_k ε^k), k the dimension of orbits: of finite variance also where orbits collapse, and
      with no need of stabilizers. As a function of ε it has a bias, a series that starts with ε²; with
      ε where orbits collapse in codimension 3 or more. Both terms are removed, by weights of d(x, gx);
      ``bias`` is by how much it matters to remove that in ε, and the next is a small part of it.
    - ``"auto"``: the first of these that is possible, and ``"returns"`` where the tail is heavy.

    Parts of a product that have closed forms are taken so; of sets of n ≥ 3 points a permutation fixes
    no generic one, so that the permutations H contribute 1/|H| and are not drawn.

    Args:
        key: a JAX random key.
        space: M.
        group: G, or an action on M, also a user's own.
        num_samples: the largest number of samples that may be drawn, for each part.
        method: of the above.
        relative_error: stop where the standard error is so small a part of the value; ``None`` draws all
            samples.
        stabilizer_volume: vol(G_x), in the metric ½ tr AᵀB of the Lie algebra, the number of elements
            where it is finite. ``None``: known for SO(n) and O(n) that move n-vectors; a finite order is
            read off return probabilities, and taken where it comes within 0.2 of an integer.
        radius: ε; ``None`` takes the radius that holds a fifth of all pairs.
        throw: raise unless the status is ok.

    Returns:
        A :class:`QuotientVolume`; in float64 in every session.

    Raises:
        TypeError: ``num_samples`` is no integer, or the metric of the space is not known.
        ValueError: a method that is not possible for this pair and why, an act that is no isometry, no
            sampler of the group, a finite or a Gaussian space; a tolerance that the budget does not meet
            (with what was reached), a heavy tail, a large bias, or too few samples, unless
            ``throw=False``.

    Cost: for each sample dim G derivatives of the action and singular values, or one moved point.

    References:
        B. M. Hill, *A simple general approach to inference about the tail of a distribution*, Ann.
        Statist. 1975.

    >>> import symjax_learn as sj, jax
    >>> turns = sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]])
    >>> print(sj.quotient_volume(jax.random.key(0), sj.Sphere(2), turns, num_samples=1))
    vol(M/G) = 3.14159 (dimension 1, in closed form, ok)
    """
    acting = as_action(space, group)
    checked_count("num_samples", num_samples)
    _check_options(method, relative_error, stabilizer_volume, radius)
    check_isometry(acting)
    _check_volume(space)
    dimension = space.dimension - orbit_dimension(jax.random.key(0), acting)
    exact = method in ("auto", "closed") or acting.order != math.inf
    closed = closed_log_volume(acting) if exact else None
    if closed is not None:
        return QuotientVolume(
            _exp(closed), closed, 0.0, 0.0, dimension, "closed", 0, math.nan, math.nan, VolumeStatus.ok
        )
    if method == "closed":
        raise ValueError(
            "method: no closed form of this quotient's volume is known here; use 'orbits' or 'returns'."
        )
    if not has_metric(space):
        raise TypeError(
            f"space: the Riemannian metric of {type(space).__name__} in the coordinates of its points "
            "is not known here; compute the volume by hand, and give it where it is asked for."
        )
    _check_infinite(acting)
    known, parts = _reduced(acting, method == "auto")
    tolerance = None if relative_error is None else relative_error / math.sqrt(len(parts))
    log_stabilizer = None if stabilizer_volume is None else math.log(stabilizer_volume)
    if stabilizer_volume is not None and len(parts) > 1:
        raise ValueError(
            f"stabilizer_volume: this quotient is a product of {len(parts)} that are estimated one by "
            "one; call quotient_volume for each."
        )
    found = []
    with jax.enable_x64(True):  # whatever the session
        for part, one in zip(parts, jax.random.split(key, len(parts)), strict=True):
            found.append(_estimate(one, part, method, num_samples, tolerance, log_stabilizer, radius))
    answer = _combined(known, found, dimension, relative_error)
    if throw and answer.status != VolumeStatus.ok:
        raise ValueError(f"{_reason(answer, relative_error)} throw=False returns what was reached.")
    return answer


def _check_options(
    method: str, relative_error: float | None, stabilizer_volume: float | None, radius: float | None
) -> None:
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)} and got {method!r}.")
    for name, value in {
        "relative_error": relative_error,
        "stabilizer_volume": stabilizer_volume,
        "radius": radius,
    }.items():
        if value is not None and (not isinstance(value, Real) or not 0 < value < math.inf):
            raise ValueError(f"{name}: expected a positive finite number and got {value!r}.")


def _check_volume(space: AbstractSpace) -> None:
    if space.dimension == 0:
        raise ValueError(
            f"space: {type(space).__name__} is finite and has no Riemannian volume; its orbits are "
            "counted by invariant_count."
        )
    if _has_gaussian(space):
        raise ValueError(
            "space: Gaussian has the whole of R^d as its points and so no finite Riemannian volume; use "
            "a Ball, or compare counts."
        )


def _check_infinite(action: Action) -> None:
    if action.order != math.inf:
        raise ValueError(
            f"group: of this finite {type(action.group).__name__} on {type(action.space).__name__} it "
            "is not known which elements fix open sets (a large group with a user's own act, or a space "
            "of several pieces); the volume is that of M, times their number, over the group's order."
        )


def _has_gaussian(space: AbstractSpace) -> bool:
    match space:
        case Product():
            return any(_has_gaussian(part) for part in space.spaces)
        case Sets():
            return _has_gaussian(space.space)
    return isinstance(space, Gaussian)


def _reduced(action: Action, closed: bool) -> tuple[float, list[Action]]:
    """What of log vol(M/G) is known, and the quotients that are left to be estimated."""
    if action.user_act is not None:
        return 0.0, [action]
    if (closed or action.order != math.inf) and (known := closed_log_volume(action)) is not None:
        return known, []
    _check_infinite(action)
    space, group = action.space, action.group
    if isinstance(space, Product):
        log_known, parts = 0.0, []
        for share in shares(space, group):
            if share.group is None:
                log_known += share.space.log_volume
                continue
            known, left = _reduced(Action(share.space, share.group), closed)
            log_known, parts = log_known + known, parts + left
        return log_known, parts
    if isinstance(space, Sets) and not isinstance(group, WreathGroup) and space.num_points > 2:
        order, points = shares(space, group)
        if order.group is not None and points.group is not None and space.space.dimension:
            alone = direct_product(trivial_group(space.num_points), points.group)
            return -math.log(int(order.group.order)), [Action(space, alone)]
    return 0.0, [action]


def _estimate(
    key: Key,
    action: Action,
    method: str,
    num_samples: int,
    tolerance: float | None,
    log_stabilizer: float | None,
    radius: float | None,
) -> Estimate:
    """One quotient, by orbits or returns."""
    of_orbits, of_stabilizer, of_returns = jax.random.split(key, 3)
    rank = orbit_dimension(jax.random.key(0), action)
    if method == "returns":
        return by_returns(of_returns, action, rank, num_samples, tolerance, radius)
    log_group = log_group_volume(action.group)
    reason = (
        None
        if log_group is not None
        else (f"the volume of this {type(action.group).__name__} is not known in closed form")
    )
    if log_group is not None and log_stabilizer is None:
        log_stabilizer = log_stabilizer_volume(action)
        if log_stabilizer is None:
            log_stabilizer, reason = read_stabilizer(of_stabilizer, action, rank, log_group)
    if reason is not None or log_group is None or log_stabilizer is None:
        if method == "auto":
            return by_returns(of_returns, action, rank, num_samples, tolerance, radius)
        raise ValueError(f"method: 'orbits' is not possible, because {reason}; use 'returns'.")
    scale = action.space.log_volume + log_stabilizer - log_group
    if method == "auto":
        pilot = min(num_samples, PILOT)
        found = by_orbits(of_orbits, action, rank, pilot, None, scale, log_stabilizer)
        if math.isnan(found.error) and has_sampler(action.group):
            return by_returns(of_returns, action, rank, num_samples, tolerance, radius)
    return by_orbits(of_orbits, action, rank, num_samples, tolerance, scale, log_stabilizer)


def _combined(
    known: float, parts: list[Estimate], dimension: int, relative_error: float | None
) -> QuotientVolume:
    """The product of the parts' volumes, and the relative errors in quadrature."""
    log_value = known + math.fsum(
        part.scale + (math.log(part.mean) if part.mean > 0 else -math.inf) for part in parts
    )
    value = _exp(log_value)
    relative = math.sqrt(math.fsum(part.relative**2 for part in parts))
    bias = math.fsum(part.bias / part.mean if part.mean > 0 else math.inf for part in parts)
    status = VolumeStatus.ok
    if any(part.num_within < _FEWEST or not part.mean > 0 for part in parts):
        status, relative = VolumeStatus.too_few_samples, math.nan
    elif math.isnan(relative):
        status = VolumeStatus.heavy_tail
    elif bias > _MOST_BIAS:
        status = VolumeStatus.biased
    elif relative_error is not None and relative > relative_error:
        status = VolumeStatus.tolerance_missed
    indices = [part.tail_index for part in parts if not math.isnan(part.tail_index)]
    methods = {part.method for part in parts}
    return QuotientVolume(
        value=value,
        log_value=log_value,
        standard_error=value * relative,
        bias=value * bias,
        dimension=dimension,
        method="returns" if "returns" in methods else "orbits",
        num_samples=sum(part.num_samples for part in parts),
        tail_index=min(indices, default=math.nan),
        stabilizer_volume=_exp(math.fsum(part.log_stabilizer for part in parts)),
        status=status,
    )


def _reason(answer: QuotientVolume, relative_error: float | None) -> str:
    """What a status means, and what to do."""
    if answer.status == VolumeStatus.too_few_samples:
        return (
            f"num_samples: too few of {answer.num_samples:,} samples say anything (the least are "
            f"{_FEWEST} returns within the radius, or 100 orbits); allow more, or a larger radius."
        )
    if answer.status == VolumeStatus.heavy_tail:
        return (
            f"method: 1/vol(Gx) has a heavy tail (index about {answer.tail_index:.2f} from "
            f"{answer.num_samples:,} samples; a standard error needs more than 2, clearly), because "
            f"some orbits collapse; {answer.value:.4g} was reached. Use method='returns', or more "
            "samples."
        )
    if answer.status == VolumeStatus.biased:
        return (
            f"radius: removing the bias in ε changes the estimate by {answer.bias:.2g}, too much of "
            f"{answer.value:.4g} ± {answer.standard_error:.2g} for the next term to be small; give a "
            "smaller radius and more samples, or method='orbits' with stabilizer_volume."
        )
    return (
        f"relative_error: {relative_error:.2g} was asked for and "
        f"{answer.standard_error / answer.value:.2g} was reached with {answer.num_samples:,} samples "
        f"(num_samples is the limit; {answer.value:.4g} ± {answer.standard_error:.2g}). Allow more "
        "samples, or a larger error."
    )


def _exp(logarithm: float) -> float:
    """Infinite where the exponential is no float."""
    return math.inf if logarithm > 700 else math.exp(logarithm)
