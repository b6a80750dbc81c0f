"""Estimates of the volume of a quotient: from the volumes of orbits, and from return probabilities."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import chunk_rows
from symjax_learn._types import Key
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.tangents import orthonormal_coordinates, squared_chords
from symjax_learn.invariants.action import Action, velocities
from symjax_learn.theory.group_volumes import algebra_gram, log_ball

# Samples of one compiled step at most, and before the tail is judged.
_ROWS = 2**16
PILOT = 10_000
# The part of all pairs (x, gx) that the radius of returns is to hold.
_WITHIN = 0.2
# Samples that the order of a finite stabilizer is read from, and how near an integer it must come.
_STABILIZER_SAMPLES = 2**18
_NEAR_INTEGER = 0.2


class Estimate(NamedTuple):
    """A mean of positive numbers, e^scale times ``mean``; ``num_within`` samples say something."""

    scale: float
    mean: float
    error: float
    bias: float
    num_samples: int
    num_within: int
    tail_index: float
    log_stabilizer: float
    method: str

    @property
    def relative(self) -> float:
        """The standard error as a part of the mean."""
        return self.error / self.mean if self.mean > 0 else math.inf


def has_sampler(group: AbstractGroup) -> bool:
    """Whether uniform elements can be drawn."""
    match group:
        case ProductGroup():
            return all(has_sampler(factor) for factor in group.factors)
        case WreathGroup():
            return has_sampler(group.inner)
    return group.sampler is not None


def by_orbits(
    key: Key,
    action: Action,
    rank: int,
    num_samples: int,
    tolerance: float | None,
    scale: float,
    log_stabilizer: float,
) -> Estimate:
    """The mean of e^{scale}/√pdet Γ, in batches until it is as accurate as was asked for."""
    width = action.group.dimension * max(1, math.prod(action.space.point_shape))
    rows = min(_ROWS // 4, chunk_rows(4 * width), num_samples)
    factor = jnp.asarray(np.linalg.inv(np.linalg.cholesky(algebra_gram(action.group))))
    logs = np.zeros(0)
    while len(logs) < num_samples:
        key, one = jax.random.split(key)
        drawn = -np.asarray(_log_rates(action, factor, one, rows, rank))
        logs = np.concatenate([logs, drawn])[:num_samples]
        if tolerance is not None and len(logs) >= PILOT and _mean_of(logs)[1] <= tolerance:
            break
    log_mean, relative = _mean_of(logs)
    index, clear = tail_index(logs)
    mean = math.exp(log_mean - logs.max())
    error = mean * relative if clear else math.nan
    # The tail is judged by the √n largest, ten at least.
    within = 0 if math.isnan(index) else len(logs)
    return Estimate(
        scale + float(logs.max()), mean, error, 0.0, len(logs), within, index, log_stabilizer, "orbits"
    )


def _mean_of(logs: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The logarithm of the mean of exponentials, and its standard error as a part of it."""
    largest = float(logs.max())
    values = np.exp(logs - largest)
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if len(values) > 1 else math.inf
    return largest + math.log(mean), spread / mean / math.sqrt(len(values))


def tail_index(logs: Float[np.ndarray, " n"]) -> tuple[float, bool]:
    """Hill's estimate of α in P(Y > t) ~ t^{−α} from log Y, and whether it clearly exceeds 2.

    From the √n largest, of which 9 at least are needed; its standard error is α/√(their number).
    """
    count = math.isqrt(len(logs))
    if count < 10:
        return math.nan, False
    largest = np.sort(logs)[-count - 1 :]
    excess = float(np.mean(largest[1:] - largest[0]))
    index = math.inf if excess <= 1e-9 else 1 / excess
    return index, index * (1 - 3 / math.sqrt(count)) > 2


@eqx.filter_jit
def _log_rates(action: Action, factor: Array, key: Key, rows: int, rank: int) -> Array:
    """Log √pdet Γ at random points: the product of the largest singular values of A ↦ A·x."""
    x = action.space.sample(key, (rows,))
    moving = velocities(action, x)
    flat = jax.vmap(lambda v: orthonormal_coordinates(action.space, x, v))(moving)
    vectors = jnp.einsum("ab,bnj->naj", factor, flat, precision="highest")
    singular = jnp.linalg.svd(vectors, compute_uv=False)[:, :rank]
    return jnp.sum(jnp.log(jnp.maximum(singular, jnp.finfo(x.dtype).tiny)), axis=1)


def _squared_returns(action: Action, key: Key, rows: int) -> Float[Array, " rows"]:
    of_points, of_elements = jax.random.split(key)
    return _returns_of(action, of_points, of_elements, rows)


@eqx.filter_jit
def _returns_of(action: Action, of_points: Key, of_elements: Key, rows: int) -> Float[Array, " rows"]:
    """d(x, gx)² of independent uniform x and g."""
    x = action.space.sample(of_points, (rows,))
    return squared_chords(action.space, x, action.act(action.sample(of_elements, (rows,)), x))


def by_returns(
    key: Key,
    action: Action,
    rank: int,
    num_samples: int,
    tolerance: float | None,
    radius: float | None,
) -> Estimate:
    """Return probabilities, weighted by polynomials of u = d/ε whose moments cancel powers of ε."""
    rows = min(_ROWS, num_samples)
    key, first = jax.random.split(key)
    if radius is None:
        pilot = _squared_returns(action, first, min(PILOT, _ROWS))
        radius = math.sqrt(float(np.quantile(pilot, _WITHIN)))
    weights = [extrapolation(rank, powers) for powers in ((0, 2), (0, 1, 2))]
    sums, squares, drawn, within, mean, error = np.zeros(2), 0.0, 0, 0, math.nan, math.nan
    while drawn < num_samples:
        key, one = jax.random.split(key)
        distances = np.asarray(_squared_returns(action, one, rows))[: num_samples - drawn]
        u = np.sqrt(distances[distances < radius**2]) / radius
        even, both = (np.polyval(weight[::-1], u) for weight in weights)
        sums, squares = sums + np.asarray([even.sum(), both.sum()]), squares + float(both @ both)
        drawn, within = drawn + len(distances), within + len(u)
        mean = float(sums[1]) / drawn
        error = math.sqrt(max(0.0, squares / drawn - mean**2) / drawn)
        if tolerance is not None and drawn >= PILOT and error <= tolerance * mean:
            break
    bias = float(abs(sums[1] - sums[0])) / drawn
    scale = action.space.log_volume - log_ball(rank, radius)
    return Estimate(scale, mean, error, bias, drawn, within, math.nan, math.nan, "returns")


def extrapolation(rank: int, powers: tuple[int, ...]) -> Float[np.ndarray, " p"]:
    """W(u) = Σ c_i u^i with ∫_0^1 W(u) u^i k u^{k−1} du = 1 for i = 0 and 0 for the other powers.

    Of all weights in a ball of dimension k with these moments it has the least mean square. A density
    v_0 + v_1 ε + v_2 ε² + … of returns within ε, so weighted, loses the terms of these powers.

    Returns:
        The coefficients of 1, u, …, zero where a power is none of these.
    """
    gram = np.asarray([[rank / (rank + i + j) for i in powers] for j in powers])
    coefficients = np.zeros(max(powers) + 1)
    coefficients[list(powers)] = np.linalg.solve(gram, np.eye(len(powers))[0])
    return coefficients


def read_stabilizer(
    key: Key, action: Action, rank: int, log_group: float
) -> tuple[float | None, str | None]:
    """The order of a finite stabilizer from returns to points whose orbits are not small, or why not."""
    if rank < action.group.dimension:
        return None, (
            f"the stabilizer of a generic point has dimension {action.group.dimension - rank}, and its "
            "volume is not known: give stabilizer_volume"
        )
    if not has_sampler(action.group):
        return None, (
            "the order of the stabilizer of a generic point is not known, and there is no sampler of "
            "the group to read it from: give stabilizer_volume"
        )
    factor = jnp.asarray(np.linalg.inv(np.linalg.cholesky(algebra_gram(action.group))))
    order, error = _order_of_returns(key, action, factor, rank, log_group)
    nearest = round(order)
    if nearest < 1 or abs(order - nearest) > _NEAR_INTEGER or 3 * error > 2 * _NEAR_INTEGER:
        return None, (
            f"the order of the stabilizer of a generic point is not known, and return probabilities say "
            f"{order:.2f} ± {error:.2f}, which is no integer: give stabilizer_volume"
        )
    return math.log(nearest), None


def _order_of_returns(
    key: Key, action: Action, factor: Array, rank: int, log_group: float
) -> tuple[float, float]:
    """Returns over ω_k ε^k/(vol(G)√det Γ(x)), ε the radius that a two-hundredth of elements stay in."""
    rows = _ROWS // 4
    returns, expected = 0.0, 0.0
    for one in jax.random.split(key, _STABILIZER_SAMPLES // rows):
        of_points, of_elements = jax.random.split(one)
        rates = np.asarray(_log_rates(action, factor, of_points, rows, rank))
        wide = rates >= np.median(rates)
        log_unit = log_ball(rank) - log_group - rates
        radii = np.exp((math.log(0.005) - log_unit) / rank)
        squares = np.asarray(_returns_of(action, of_points, of_elements, rows))
        returns += float(np.sum(wide & (squares < radii**2)))
        expected += 0.005 * float(wide.sum())
    return returns / expected, math.sqrt(max(returns, 1.0)) / expected
