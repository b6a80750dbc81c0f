"""Spectral filters, and exact multiplicities by generating functions."""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from symjax_learn._types import is_traced

# Eigenvalues that differ by this relative rounding are one level, and within a truncation.
RELATIVE = 1e-9

# λ ↦ μ(λ): the weight of an eigenvalue in a spectral kernel K(x, y) = Σ μ(λ_j) φ_j(x) φ_j(y).
Spectrum = Callable[[Array], Array]


def sobolev(smoothness: float | Array) -> Spectrum:
    """The Sobolev kernel's spectrum μ(λ) = (1 + λ)^{−s}.

    Its norm is ‖f‖²_{H^s} = Σ (1 + λ_j)^s c_j²; a reproducing kernel for s > d/2.

    Args:
        smoothness: s > 0.

    Raises:
        ValueError: s is not positive.

    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> sj.sobolev(2.0)(jnp.asarray([0.0, 1.0])).tolist()
    [1.0, 0.25]
    """
    _check_positive("smoothness", smoothness)
    return lambda eigenvalues: (1 + eigenvalues) ** (-smoothness)


def matern(smoothness: float | Array, length_scale: float | Array, dimension: int) -> Spectrum:
    """The Matérn kernel's spectrum μ(λ) = (1 + λκ²/2ν)^{−(ν + d/2)}, scaled so that μ(0) = 1.

    Proportional to (2ν/κ² + λ)^{−(ν + d/2)}; the heat kernel is the limit ν → ∞ (t = κ²/2).

    Args:
        smoothness: ν > 0.
        length_scale: κ > 0, in the units of the space's metric.
        dimension: d of the space.

    Raises:
        ValueError: an argument is not positive.

    References:
        V. Borovitskiy et al., *Matérn Gaussian processes on Riemannian manifolds*, NeurIPS 2020.

    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> sj.matern(1.0, 1.0, 2)(jnp.asarray([0.0, 2.0])).tolist()
    [1.0, 0.25]
    """
    for name, value in (
        ("smoothness", smoothness),
        ("length_scale", length_scale),
        ("dimension", dimension),
    ):
        _check_positive(name, value)
    scale, power = length_scale**2 / (2 * smoothness), smoothness + dimension / 2
    return lambda eigenvalues: (1 + scale * eigenvalues) ** (-power)


def heat(time: float | Array) -> Spectrum:
    """The heat kernel's spectrum μ(λ) = e^{−tλ}.

    Args:
        time: t > 0.

    Raises:
        ValueError: t is not positive.

    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> sj.heat(0.5)(jnp.asarray([0.0])).tolist()
    [1.0]
    """
    _check_positive("time", time)
    return lambda eigenvalues: jnp.exp(-time * eigenvalues)


def sums_of_squares(dimension: int, max_norm: int) -> list[int]:
    """How many integer vectors of R^dimension have |k|² = 0, 1, …, max_norm: θ(q)^dimension.

    Exact Python integers. θ = Σ q^{j²} has only √max_norm terms, so one product of a series with it is
    that many shifted additions; they run on 64-bit integers as long as those surely hold the counts.

    Cost: min(dimension·max_norm^{3/2} additions, log(dimension)·max_norm² products).
    """
    root = math.isqrt(max_norm)
    # Every count is at most the number of vectors with entries up to the root.
    small = dimension * math.log2(2 * root + 1) < 62
    if not small and dimension > root * math.log2(dimension + 1):
        return _power([int(k == 0) + 2 * _is_square(k) for k in range(max_norm + 1)], dimension)
    series = np.zeros(max_norm + 1, np.int64 if small else object)
    series[0] = 1
    series[np.arange(1, root + 1) ** 2] = 2
    for _ in range(dimension - 1):
        product = series.copy()
        for j in range(1, root + 1):
            product[j * j :] += 2 * series[: max_norm + 1 - j * j]
        series = product
    return [int(count) for count in series]


def _is_square(k: int) -> bool:
    return k > 0 and math.isqrt(k) ** 2 == k


def _power(series: list[int], exponent: int) -> list[int]:
    """A truncated power by squaring."""
    power = [1] + [0] * (len(series) - 1)
    while True:
        if exponent % 2:
            power = truncated_product(power, series)
        exponent //= 2
        if not exponent:
            return power
        series = truncated_product(series, series)


def truncated_product(left: list[int], right: list[int]) -> list[int]:
    """The product of two power series, truncated to the length of ``left``; exact."""
    product = [0] * len(left)
    for i, a in enumerate(left):
        if a:
            for j in range(min(len(right), len(left) - i)):
                product[i + j] += a * right[j]
    return product


def equal_sums(sums: Sequence[float]) -> list[list[int]]:
    """The places of equal values, ascending: of those that exceed the least of them by rounding only.

    >>> equal_sums([3.0, 1.0, 0.1 + 0.2 + 2.7])
    [[1], [0, 2]]
    """
    groups: list[list[int]] = []
    for place in np.argsort(np.asarray(sums), kind="stable").tolist():
        if groups and sums[place] <= sums[groups[-1][0]] * (1 + RELATIVE):
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _check_positive(name: str, value: object) -> None:
    if is_traced(value):  # a spectrum being tuned passes unread
        return
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "fiu" or not 0 < float(number) < math.inf:
        raise ValueError(f"{name}: expected a positive finite number and got {value!r}.")
