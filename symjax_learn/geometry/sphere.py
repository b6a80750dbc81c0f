"""The unit sphere, and its real spherical harmonics in every dimension."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key, checked_count
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
)
from symjax_learn.geometry.spectra import RELATIVE
from symjax_learn.geometry.zonal import ZonalKernels, unit_vectors, zonal_kernels

# Beyond this degree float32 seeds and Gegenbauer values leave its range.
MAX_DEGREE = 150


class SphericalHarmonics(AbstractFunctions):
    """Real orthonormal harmonics of S^d, by the chain of subgroups O(d+1) > O(d) > … > O(2).

    With r_k² = x_1² + … + x_k² and degrees l_{d+1} ≥ l_d ≥ … ≥ l_2 one function is

        φ(x) = √2 c_{l_2} Re or Im (x_1 + i x_2)^{l_2} · Π_{k=3}^{d+1} q^{k, m}_n(x_k, r_k),
        m = l_{k−1}, n = l_k − l_{k−1}  (no √2 where l_2 = 0).

    Up to a constant, q^{k, m}_n(x, r) is r^n times the Gegenbauer polynomial of α = m + (k − 2)/2 at
    x/r. The constants, and c, are such that each partial product, a solid harmonic of the first k
    coordinates, is orthonormal on all of S^d. So q_0 = 1: the product has at most l_{d+1} factors in any
    dimension, those where the degree rises, and without its last factor it is another harmonic of S^d.
    The functions are found in rounds, one for each factor.

    These are homogeneous polynomials: nothing is divided by the sine of an angle, so that values and
    gradients are finite everywhere, the poles included. Off the sphere they continue as solid harmonics,
    |x|^l φ(x/|x|).

    Attributes:
        scale: 1 and √2 c_l for l ≥ 1, ``(L + 1,)``.
        rise: a of q_{n+1} = a x q_n − b r² q_{n−1} for each n, k, m; zero beyond what is used.
        fall: b, likewise.
        factors: for each round the row of the table of all q by which a function is multiplied, and
        parents: the function of the round before that it multiplies; first, the functions of the circle.
        degree: L.
    """

    scale: Float[Array, " m"]
    rise: Float[Array, "n k m"]
    fall: Float[Array, "n k m"]
    factors: tuple[Int[Array, " _"], ...]
    parents: tuple[Int[Array, " _"], ...]
    degree: int = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The table of all polynomials, and the functions of the last two rounds."""
        return self.rise.size + sum(len(rows) for rows in self.parents[-2:])

    def rows(self, points: Float[Array, "batch d"]) -> Float[Array, "D batch"]:
        """``(batch, d + 1) -> (num_functions, batch)``.

        Cost per point: one product for each function of each round, and d·L² for the table.
        """
        x = points.T
        functions = _circle(x[0], x[1], self.scale.astype(points.dtype))[self.parents[0]]
        if self.factors:
            table = self._table(x)
            for factor, parent in zip(self.factors, self.parents[1:], strict=True):
                functions = table[factor] * functions[parent]
        return functions

    def _table(self, x: Float[Array, "d batch"]) -> Float[Array, "nkm batch"]:
        """All q_n, n slowest and m fastest."""
        height = x[2:, None]
        radius = jnp.cumsum(x**2, axis=0)[2:, None]

        def climb(pair: tuple[Array, Array], factors: tuple[Array, Array]):
            below, here = pair
            rise, fall = (factor.astype(x.dtype)[:, :, None] for factor in factors)
            return (here, rise * (height * here) - fall * (radius * below)), here

        one = jnp.ones((*self.rise.shape[1:], x.shape[1]), x.dtype)
        _, table = jax.lax.scan(climb, (jnp.zeros_like(one), one), (self.rise, self.fall))
        return table.reshape(-1, x.shape[1])


def _circle(x: Array, y: Array, scale: Array) -> Array:
    """c_0, c_1 Re z, c_1 Im z, c_2 Re z², … for z = x + iy and scale c, ``(2·degree + 1, batch)``."""

    def turn(z: tuple[Array, Array], factor: Array):
        z = (x * z[0] - y * z[1], x * z[1] + y * z[0])
        return z, factor * jnp.stack(z)

    one = jnp.ones_like(x)
    _, powers = jax.lax.scan(turn, (one, jnp.zeros_like(x)), scale[1:])
    return jnp.concatenate([scale[0] * one[None], powers.reshape(-1, x.shape[0])])


class Sphere(AbstractSpace):
    """The unit sphere S^d in R^{d+1}.

    Eigenvalues of −Δ: l(l + d − 1), of multiplicity C(l+d, d) − C(l+d−2, d). Eigenfunctions: real
    spherical harmonics (see :class:`SphericalHarmonics`), orthonormal for the uniform probability
    measure; within a level ordered by the degrees l_d, l_{d−1}, … of the chain of subgroups, the
    cosine before the sine.

    Float32 values on S² err at uniform points by at most 5e-6, 3e-4 and 3e-4 up to degree 10, 100 and
    150; within 0.01 of a pole, where they grow to √(2l + 1) and bend as l², by 1e-5, 2e-3 and 6e-3.

    Args:
        dimension: d ≥ 1; points have d + 1 coordinates.

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Sphere(2).levels(6)]
    [(0.0, 1), (2.0, 3), (6.0, 5)]
    """

    dimension: int = eqx.field(static=True)

    def __init__(self, dimension: int):
        """Refuse what is no sphere."""
        self.dimension = checked_count("dimension", dimension)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(dimension + 1,)``."""
        return (self.dimension + 1,)

    @property
    def volume(self) -> float:
        """2π^{(d+1)/2}/Γ((d+1)/2)."""
        return math.exp(self.log_volume)

    @property
    def log_volume(self) -> float:
        """Log of the volume."""
        half = (self.dimension + 1) / 2
        return math.log(2) + half * math.log(math.pi) - math.lgamma(half)

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the degree l.

        Raises:
            ValueError: degrees beyond 150.
        """
        d, found = self.dimension, []
        while (degree := len(found)) * (degree + d - 1) <= max_eigenvalue * (1 + RELATIVE):
            if degree > MAX_DEGREE:
                raise ValueError(
                    f"max_eigenvalue or max_functions: harmonics of degree beyond {MAX_DEGREE} leave "
                    "the range of float32; lower it."
                )
            found.append(Level(float(degree * (degree + d - 1)), harmonic_dimension(d, degree), degree))
        return found

    def functions(self, levels: Sequence[Level]) -> SphericalHarmonics:
        """The harmonics of these levels."""
        degrees = [level_degree(level) for level in levels]
        largest = max(degrees)
        scale, rise, fall = recurrences(self.dimension, largest)
        factors, parents = _rounds(self.dimension, degrees)
        return SphericalHarmonics(
            scale=jnp.asarray(scale, float),
            rise=jnp.asarray(rise, float),
            fall=jnp.asarray(fall, float),
            factors=tuple(jnp.asarray(rows, jnp.int32) for rows in factors),
            parents=tuple(jnp.asarray(rows, jnp.int32) for rows in parents),
            degree=largest,
            num_functions=len(parents[-1]),
        )

    def kernels(self, levels: Sequence[Level]) -> ZonalKernels:
        """By the addition theorem of spherical harmonics."""
        degrees = [level_degree(level) for level in levels]
        return zonal_kernels(self.dimension, degrees, [level.multiplicity for level in levels])

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch d"]:
        """Uniform points: normalized Gaussian vectors."""
        vectors = jax.random.normal(key, (*shape, self.dimension + 1))
        return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)

    def check(self, points: AnyArray) -> None:
        """Finite, and of norm 1 to the square root of the rounding."""
        check_finite(points, "points")
        values = np.asarray(points)
        norms = np.linalg.norm(values, axis=-1).ravel()
        bad = np.flatnonzero(np.abs(norms - 1) > math.sqrt(np.finfo(values.dtype).eps))
        if len(bad):
            raise ValueError(
                f"points: row {bad[0]} has norm {norms[bad[0]]}, as {len(bad)} row(s) in all are off "
                "the unit sphere; divide each point by its norm."
            )

    def project(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """x/|x|; NaN at the origin, from which all points are equally far."""
        return unit_vectors(checked_points(self, points, "points"))


def harmonic_dimension(dimension: int, degree: int) -> int:
    """The number of independent harmonics of S^dimension of one degree."""
    lower = math.comb(degree + dimension - 2, dimension) if degree >= 2 else 0
    return math.comb(degree + dimension, dimension) - lower


def level_degree(level: Level) -> int:
    """The degree of a level of a sphere, its exact key."""
    if not isinstance(level.key, int):
        raise TypeError(f"level: {level} is not a level of a sphere.")
    return level.key


def recurrences(dimension: int, degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, rise and fall of :class:`SphericalHarmonics`.

    The p_n = r^n C_n(x/r) that are orthonormal for what is left of the uniform measure of S^{k−1} have
    p_{n+1} = (x p_n − β_n r² p_{n−1})/β_{n+1}, β_n² = n(n + 2α − 1)/(4(n + α)(n + α − 1)). A harmonic of
    degree l on S^{k−1} has on S^d the norm 1/w_k(l), w_k(l)² = Π_{j=k+1}^{d+1} p_0² of j and m = l.
    """
    n, k, m = np.ogrid[: degree + 2, 3 : dimension + 2, : degree + 1]
    alpha = m + (k - 2) / 2
    squares = n * (n + 2 * alpha - 1) / np.where(n > 0, 4 * (n + alpha) * (n + alpha - 1), 1.0)
    beta = np.sqrt(np.where(n > 0, squares, 0.0))
    half = (k[0] - 1) / 2
    seeds = (_log_beta(half) - _log_beta(m[0] + half)) / 2
    # log w_k(l), k = 2, …, d + 1
    norms = np.concatenate([np.cumsum(seeds[::-1], axis=0)[::-1], np.zeros((1, degree + 1))])
    scale = np.exp(norms[0]) * np.where(m[0, 0] > 0, math.sqrt(2), 1.0)

    def norm(shift: int) -> np.ndarray:
        return norms[k - 2, np.clip(n[:-1] + m + shift, 0, degree)]

    used = n[:-1] + m < degree
    rise = np.where(used, np.exp(norm(1) - norm(0)) / beta[1:], 0.0)
    fall = np.where(used, np.exp(norm(1) - norm(-1)) * beta[:-1] / beta[1:], 0.0)
    return scale, rise, fall


def _rounds(dimension: int, degrees: Sequence[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Factors and parents of :class:`SphericalHarmonics`, all the functions of these degrees."""
    largest = max(degrees)
    # All functions of a sphere of fewer coordinates, in order: their names and degrees.
    names = np.arange(2 * largest + 1)
    below = (names + 1) // 2
    factor, parent = [np.zeros_like(names)], [names]
    total = len(names)
    for row in range(dimension - 1):
        degree, lower = np.nonzero(below <= np.arange(largest + 1)[:, None])
        steps, names = degree - below[lower], names[lower]
        rises = steps > 0
        factor.append(((steps * (dimension - 1) + row) * (largest + 1) + below[lower])[rises])
        parent.append(names[rises])
        names[rises] = total + np.arange(len(parent[-1]))
        total, below = total + len(parent[-1]), degree
    factor, parent = np.concatenate(factor), np.concatenate(parent)
    wanted = np.concatenate([names[below == degree] for degree in degrees])
    factors, parents = [], []
    while (wanted > 2 * largest).any():
        above, places = np.unique(parent[wanted], return_inverse=True)
        factors.append(factor[wanted])
        parents.append(places)
        wanted = above
    return factors[::-1], [wanted, *parents[::-1]]


def _log_beta(b: np.ndarray) -> np.ndarray:
    """Log B(½, b)."""
    gamma = np.vectorize(math.lgamma, otypes=[float])
    return math.lgamma(0.5) + gamma(b) - gamma(b + 0.5)
