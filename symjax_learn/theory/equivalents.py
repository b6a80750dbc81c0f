"""The risk of ridge from its spectrum alone: the deterministic equivalent, and effective dimensions."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from symjax_learn._types import AnyArray, as_array

# Numbers of any shape; several may come as a sequence.
Numbers = float | Sequence[float] | AnyArray

# The grid of log κ has this spacing, as long as so many points reach from end to end.
_SPACING, _MAX_GRID = 0.1, 2000
# Beyond these factors of the smallest and the largest eigenvalue κ changes nothing.
_MARGIN = math.log(1e9)
# Halvings of an interval of log κ, and golden sections of a few spacings, down to rounding.
_HALVINGS, _SECTIONS = 80, 25
# A share of n that is no more than the rounding of sums over levels.
_ROUNDING = 1e-12
_GOLDEN = (math.sqrt(5) - 1) / 2


class RiskCurve(NamedTuple):
    """The predicted risk of ridge at each number of samples.

    Attributes:
        num_samples: n.
        risk: E(f̂ − f*)², the noise of a new sample not included; infinite where n is no more than the
            functions that are not penalized.
        bias: what the penalty, the truncation and too few samples leave of the target.
        variance: what the noise adds; risk = bias + variance.
        penalty: η as :func:`~symjax_learn.fit_ridge` takes it.
        effective_dimension: Σ μ/(μ + κ) over all functions, an unpenalized constant counted as 1.
    """

    num_samples: Float[np.ndarray, "..."]
    risk: Float[np.ndarray, "..."]
    bias: Float[np.ndarray, "..."]
    variance: Float[np.ndarray, "..."]
    penalty: Float[np.ndarray, "..."]
    effective_dimension: Float[np.ndarray, "..."]

    def __str__(self) -> str:
        """A table, one line for each n."""
        names = ("n", "risk", "bias", "variance", "penalty", "effective dimension")
        rows = zip(*(np.ravel(column) for column in self), strict=True)
        widths = [max(11, len(name) + 2) for name in names]
        lines = [names, *([f"{value:.4g}" for value in row] for row in rows)]
        return "\n".join(
            "".join(f"{entry:>{width}}" for entry, width in zip(line, widths, strict=True))
            for line in lines
        )


class _Levels(NamedTuple):
    """What is penalized, in logarithms: multiplicities may exceed any float.

    Attributes:
        log_weights: log μ of each level.
        log_sizes: the logarithm of the number of penalized functions.
        power: Σ c² on the level.
        lost: Σ c² where μ = 0.
        num_free: functions that are not penalized, 0 or 1.
    """

    log_weights: Float[np.ndarray, " L"]
    log_sizes: Float[np.ndarray, " L"]
    power: Float[np.ndarray, " L"]
    lost: float
    num_free: int

    def dimension(self, log_kappa: Float[np.ndarray, "..."], order: int) -> Float[np.ndarray, "..."]:
        """Σ (μ/(μ + κ))^order over all functions."""
        logs = self.log_sizes - order * np.logaddexp(0.0, log_kappa[..., None] - self.log_weights)
        with np.errstate(over="ignore"):  # infinitely many is more than any n
            return self.num_free + np.exp(logs).sum(axis=-1)

    def left(self, log_kappa: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Σ (κ/(μ + κ))² c²."""
        logs = -2 * np.logaddexp(0.0, self.log_weights - log_kappa[..., None])
        return self.lost + np.exp(logs) @ self.power

    @property
    def log_trace(self) -> float:
        """Logarithm of Σ μ over the penalized functions."""
        return float(np.logaddexp.reduce(self.log_sizes + self.log_weights, initial=-np.inf))


def effective_dimension(
    weights: Numbers,
    multiplicities: Sequence[int] | AnyArray,
    penalty: Numbers,
    *,
    order: int = 1,
) -> Float[np.ndarray, "..."]:
    """How many functions a penalty leaves free: tr ((Σ + η)^{−1}Σ)^p = Σ_levels m·(μ/(μ + η))^p.

    Σ is the covariance of √μ_j φ_j, which on orthonormal functions has the eigenvalues μ_j. Nothing is
    left unpenalized.

    Args:
        weights: μ ≥ 0 of each level, finite, ``(L,)``.
        multiplicities: m of each level, integers ≥ 0 of any size.
        penalty: η > 0, of any shape.
        order: p, 1 or 2.

    Returns:
        In the shape of the penalty, float64 of NumPy.

    Raises:
        ValueError, TypeError: arguments out of these ranges.

    >>> import symjax_learn as sj
    >>> float(sj.effective_dimension([1.0, 0.5], [1, 4], 0.5))
    2.6666666666666665
    """
    eta = checked_numbers("penalty", penalty)
    if not (eta > 0).all():
        raise ValueError(f"penalty: expected finite numbers > 0 and got {penalty!r}.")
    if order not in (1, 2):
        raise ValueError(f"order: expected 1 or 2 and got {order!r}.")
    mu = checked_numbers("weights", weights)
    levels = _checked_levels(mu, multiplicities, np.zeros_like(mu), intercept=False)
    return levels.dimension(np.log(eta.ravel()), order).reshape(eta.shape)


def predicted_risk(
    weights: Numbers,
    multiplicities: Sequence[int] | AnyArray,
    power: Numbers,
    num_samples: Numbers,
    *,
    noise: float | AnyArray,
    penalty: float | AnyArray | str = "best",
    intercept: bool = True,
) -> RiskCurve:
    """The risk of ridge with kernel eigenvalues μ, before any data: its deterministic equivalent.

    Of min over c of (1/n) Σ_i |y_i − φ(x_i)c|² + η Σ_j c_j²/μ_j with y = f*(x) + σε. The effective
    penalty κ solves nη = κ(n − N(κ)), N = Σ μ/(μ + κ), and with γ = (1/n) Σ (μ/(μ + κ))²

        risk = (Σ (κ/(μ + κ))² c² + σ²γ)/(1 − γ).

    The unpenalized constant has μ = ∞: it counts 1 in both sums and has no bias. A level of weight 0
    keeps all of its power, and acts as noise on the others. As η → 0 with n > D: κ = 0 and the risk is
    σ²D/(n − D), that of least squares to first order; with n < D: N(κ) = n, interpolation.

    The equivalent is exact for Gaussian features as n and N grow together. For eigenfunctions it is
    what measured means over training sets come to as n exceeds the functions that matter. It is too
    low where Σ_j φ_j(x)² varies much from point to point: by a tenth to a half for the invariant
    functions of finite groups, large near fixed points, as long as n is a few times their number; and
    by factors where functions are heavy-tailed, as Hermite functions of high degree and symmetric
    polynomials of a hundred coordinates are.

    Args:
        weights: μ ≥ 0 of each level, finite, ``(L,)``.
        multiplicities: the number of functions of each level, integers ≥ 0 of any size.
        power: Σ c_j² of the target on each level, ``(L,)``.
        num_samples: n ≥ 1, of any shape.
        noise: σ > 0, the standard deviation of the noise.
        penalty: η ≥ 0, or ``"best"``: for each n the one of least risk.
        intercept: one function of the first level, the constant, is not penalized.

    Raises:
        ValueError, TypeError: arguments out of these ranges, power where there is no function.

    Cost: 10³ L and 10² L for each n; no function is evaluated.

    References:
        A. Canatar, B. Bordelon, C. Pehlevan, *Spectral bias and task-model alignment explain
        generalization in kernel regression*, Nature Communications 2021.

    >>> import symjax_learn as sj
    >>> curve = sj.predicted_risk([1.0] * 2, [1, 9], [0.0, 1.0], 20, noise=0.5, penalty=0.0)
    >>> round(float(curve.risk), 6)  # least squares: σ²D/(n − D)
    0.25
    """
    mu, n = checked_numbers("weights", weights), checked_numbers("num_samples", num_samples)
    levels = _checked_levels(mu, multiplicities, checked_numbers("power", power), intercept)
    if not (n >= 1).all():
        raise ValueError(f"num_samples: expected finite numbers >= 1 and got {num_samples!r}.")
    sigma = checked_numbers("noise", noise)
    if sigma.shape != () or not sigma > 0:
        raise ValueError(f"noise: expected one finite standard deviation > 0 and got {noise!r}.")
    shape, n, variance = n.shape, n.ravel(), float(sigma) ** 2
    if isinstance(penalty, str):
        if penalty != "best":
            raise ValueError(f"penalty: expected 'best' or a number >= 0 and got {penalty!r}.")
        log_kappa = _best(levels, n, variance)
        spare = np.maximum(n - levels.dimension(log_kappa, 1), 0.0)
        with np.errstate(invalid="ignore", over="ignore"):
            eta = np.where(np.isfinite(log_kappa), np.exp(log_kappa) * spare / n, np.inf)
    else:
        eta = checked_numbers("penalty", penalty)
        if eta.shape != () or not eta >= 0:
            raise ValueError(f"penalty: expected 'best' or one number >= 0 and got {penalty!r}.")
        log_kappa, eta = _log_kappa(levels, n, float(eta)), np.broadcast_to(eta, n.shape)
    gamma, bias = levels.dimension(log_kappa, 2) / n, levels.left(log_kappa)
    with np.errstate(divide="ignore"):
        factor = 1 / np.where(1 - gamma > _ROUNDING, 1 - gamma, 0.0)
        bias = np.where(bias > 0, bias * factor, 0.0)
    noisy = np.where(gamma > 0, variance * gamma * factor, 0.0)
    columns = n, bias + noisy, bias, noisy, eta, levels.dimension(log_kappa, 1)
    return RiskCurve(*(np.reshape(column, shape) for column in columns))


def _log_kappa(levels: _Levels, n: Float[np.ndarray, "..."], eta: float) -> Float[np.ndarray, "..."]:
    """The root of κ(n − N(κ)) = nη, which ascends where it is not negative, by bisection of log κ."""
    num_functions = levels.dimension(np.asarray([-np.inf]), 1)
    spare = n - levels.num_free
    with np.errstate(divide="ignore"):
        log_eta = np.log(np.asarray(eta))
        # N − free is at most Σμ/κ: here n − N(κ) is at least half of what is spare.
        high = math.log(2) + np.maximum(levels.log_trace, np.log(n) + log_eta) - np.log(spare.clip(0))
        # n − N(κ) ≤ n, and Σ κ/(μ + κ) = D − n needs κ of the smallest μ and that share of D.
        missing = np.log((1 - n / num_functions).clip(0))
    smallest = levels.log_weights.min(initial=np.inf)
    low = np.maximum(log_eta, np.where(num_functions > n, smallest + missing, -np.inf))
    solvable = (spare > 0) & np.isfinite(low)
    left, right = np.where(solvable, low, 0.0), np.where(solvable, high, 0.0)
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        room = n - levels.dimension(middle, 1)
        with np.errstate(divide="ignore"):
            enough = (room > 0) & (middle + np.log(room.clip(0)) >= np.log(n) + log_eta)
        left, right = np.where(enough, left, middle), np.where(enough, middle, right)
    return np.where(solvable, right, np.where(spare > 0, -np.inf, np.inf))


def _best(levels: _Levels, n: Float[np.ndarray, "..."], variance: float) -> Float[np.ndarray, "..."]:
    """The log κ of least risk: the best of a grid, then golden sections between its neighbours."""
    if not len(levels.log_weights):
        return np.zeros_like(n)
    low, high = levels.log_weights.min() - _MARGIN, levels.log_trace + _MARGIN
    grid = np.linspace(low, high, min(_MAX_GRID, int((high - low) / _SPACING) + 2))
    risks = _risks(n[..., None], variance, *_parts(levels, grid))
    place = grid[np.argmin(risks, axis=-1)]
    step = grid[1] - grid[0]
    left, right = place - step, place + step

    def risk(log_kappa: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return _risks(n, variance, *_parts(levels, log_kappa))

    for _ in range(_SECTIONS):
        inner = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
        # Below the κ of interpolation the risk is infinite, and so the right part is kept.
        descends = risk(inner[0]) >= risk(inner[1])
        left, right = np.where(descends, inner[0], left), np.where(descends, right, inner[1])
    best = np.where(risk(right) <= risk(place), right, place)
    return np.where(np.isfinite(risks.min(axis=-1)), best, np.inf)


def _parts(
    levels: _Levels, log_kappa: Float[np.ndarray, "..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    return levels.dimension(log_kappa, 1), levels.dimension(log_kappa, 2), levels.left(log_kappa)


def _risks(
    n: Float[np.ndarray, "..."],
    variance: float,
    first: Float[np.ndarray, "..."],
    second: Float[np.ndarray, "..."],
    bias: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "..."]:
    """The risk where a penalty η ≥ 0 belongs to κ, else infinity."""
    allowed = (first <= n) & (second < n)
    gamma = np.where(allowed, second, 0.0) / n
    return np.where(allowed, (bias + variance * gamma) / (1 - gamma), np.inf)


def checked_numbers(name: str, values: Any) -> Float[np.ndarray, "..."]:
    """Finite real numbers in float64."""
    array = np.asarray(as_array(name, values))
    if array.dtype == object and all(type(value) is int for value in array.ravel()):  # beyond 64 bits
        array = array.astype(np.float64)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected real numbers and got {values!r}.")
    numbers = np.asarray(array, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name}: expected finite numbers and got {values!r}.")
    return numbers


def _checked_levels(
    weights: Float[np.ndarray, "..."],
    multiplicities: Sequence[int] | AnyArray,
    power: Float[np.ndarray, "..."],
    intercept: bool,
) -> _Levels:
    if weights.ndim != 1 or not len(weights):
        raise ValueError(
            f"weights: expected one for each level, at least one, and got shape {weights.shape}."
        )
    counts = [_checked_size(count) for count in multiplicities]
    for name, length in (("multiplicities", len(counts)), ("power", len(np.atleast_1d(power)))):
        if length != len(weights) or power.ndim != 1:
            raise ValueError(f"{name}: expected one for each of {len(weights)} levels and got {length}.")
    for name, values in (("weights", weights), ("power", power)):
        if (values < 0).any():
            place = int(np.argmax(values < 0))
            raise ValueError(
                f"{name}: expected numbers >= 0, and that of level {place} is {values[place]}."
            )
    empty = np.asarray([count == 0 for count in counts])
    if (power[empty] > 0).any():
        place = int(np.flatnonzero(empty & (power > 0))[0])
        raise ValueError(f"power: level {place} has {power[place]}, and no function to carry it.")
    if intercept and not counts[0]:
        raise ValueError(
            "intercept: the first level has no function and hence no constant; give intercept=False."
        )
    power = power.copy()
    if intercept:
        # One function of the level is free; of several nothing says which of them the target is.
        power[0] *= (counts[0] - 1) / counts[0]
        counts[0] -= 1
    positive = np.asarray(
        [count > 0 and weight > 0 for count, weight in zip(counts, weights, strict=True)]
    )
    distinct, places = np.unique(weights[positive], return_inverse=True)
    sizes, kept = [0] * len(distinct), iter(places)
    for count, one in zip(counts, positive, strict=True):
        if one:
            sizes[next(kept)] += count
    return _Levels(
        np.log(distinct),
        np.asarray([math.log(size) for size in sizes], float),
        np.bincount(places, power[positive], len(distinct)),
        float(power[~positive].sum()),
        int(intercept),
    )


def _checked_size(count: Any) -> int:
    number = int(count)
    if number != count or number < 0:
        raise ValueError(f"multiplicities: expected integers >= 0 and got {count!r}.")
    return number
