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
from symjax_learn.geometry.zonal import ZonalKernels, unit_vectors, zonal_kernels

# Eigenvalues that agree to this relative accuracy are equal, also against a truncation.
_RELATIVE = 1e-9
# Beyond this degree float32 seeds and Gegenbauer values leave its range.
MAX_DEGREE = 150


class SphericalHarmonics(AbstractFunctions):
    """Real orthonormal harmonics of S^d, by the chain of subgroups O(d+1) > O(d) > … > O(2).

    With r_k² = x_1² + … + x_k² and degrees l_{d+1} ≥ l_d ≥ … ≥ l_2 one function is

        φ(x) = √2 Re or Im (x_1 + i x_2)^{l_2} · Π_{k=3}^{d+1} p^{k, m}_n(x_k, r_k),
        m = l_{k−1}, n = l_k − l_{k−1}  (no √2 where l_2 = 0),

    where p^{k, m}_n(x, r) = r^n p_n(x/r) and the p_n are Gegenbauer polynomials of α = m + (k − 2)/2,
    orthonormal for what is left of the uniform measure: p_{n+1} = (x p_n − β_n r² p_{n−1})/β_{n+1} with
    β_n² = n(n + 2α − 1)/(4(n + α)(n + α − 1)). These are homogeneous polynomials: nothing is divided by
    the sine of an angle, so that values and gradients are finite everywhere, the poles included. Off the
    sphere they continue as solid harmonics, |x|^l φ(x/|x|).

    Attributes:
        seeds: p_0 for each k and m, ``(d − 1, L + 1)``.
        rise: 1/β_{n+1} for each n, k, m; zero beyond the degrees that are used.
        fall: β_n/β_{n+1}, likewise.
        factors: for each k the row of the table of all p by which a function is multiplied, and
        parents: the function of the dimension below that it multiplies.
        degree: L.
    """

    seeds: Float[Array, "k m"]
    rise: Float[Array, "n k m"]
    fall: Float[Array, "n k m"]
    factors: tuple[Int[Array, " _"], ...]
    parents: tuple[Int[Array, " _"], ...]
    degree: int = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The table of all polynomials, and the functions of the two largest dimensions."""
        return self.seeds.size * (self.degree + 1) + sum(len(rows) for rows in self.parents[-2:])

    def rows(self, points: Float[Array, "batch d"]) -> Float[Array, "D batch"]:
        """``(batch, d + 1) -> (num_functions, batch)``.

        Cost per point: one product for each function of each dimension, and d·L² for the table.
        """
        dtype = points.dtype
        x = points.T
        functions = _circle(x[0], x[1], self.degree)
        if len(self.seeds):
            height = x[2:, None]
            radius = jnp.cumsum(x**2, axis=0)[2:, None]
            first = jnp.broadcast_to(
                self.seeds.astype(dtype)[:, :, None], (*self.seeds.shape, points.shape[0])
            )

            def climb(pair: tuple[Array, Array], factors: tuple[Array, Array]):
                below, here = pair
                rise, fall = (factor.astype(dtype)[:, :, None] for factor in factors)
                return (here, rise * (height * here) - fall * (radius * below)), here

            _, table = jax.lax.scan(climb, (jnp.zeros_like(first), first), (self.rise, self.fall))
            table = table.reshape(-1, points.shape[0])
            for factor, parent in zip(self.factors, self.parents[:-1], strict=True):
                functions = table[factor] * functions[parent]
        return functions[self.parents[-1]]


def _circle(x: Array, y: Array, degree: int) -> Array:
    """1, √2 Re z, √2 Im z, √2 Re z², … for z = x + iy, ``(2·degree + 1, batch)``."""

    def turn(z: tuple[Array, Array], _: None):
        z = (x * z[0] - y * z[1], x * z[1] + y * z[0])
        return z, jnp.stack(z)

    start = (jnp.ones_like(x), jnp.zeros_like(x))
    _, powers = jax.lax.scan(turn, start, None, length=degree)
    return jnp.concatenate([jnp.ones_like(x)[None], math.sqrt(2) * powers.reshape(-1, x.shape[0])])


class Sphere(AbstractSpace):
    """The unit sphere S^d in R^{d+1}.

    Eigenvalues of −Δ: l(l + d − 1), of multiplicity C(l+d, d) − C(l+d−2, d). Eigenfunctions: real
    spherical harmonics (see :class:`SphericalHarmonics`), orthonormal for the uniform probability
    measure; within a level ordered by the degrees l_d, l_{d−1}, … of the chain of subgroups, the
    cosine before the sine. Float32 values err by about 1e-6·l.

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
        while (degree := len(found)) * (degree + d - 1) <= max_eigenvalue * (1 + _RELATIVE):
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
        largest, ambient = max(degrees), self.dimension + 1
        n, k, m = np.ogrid[: largest + 2, 3 : ambient + 1, : largest + 1]
        alpha = m + (k - 2) / 2
        squares = n * (n + 2 * alpha - 1) / np.where(n > 0, 4 * (n + alpha) * (n + alpha - 1), 1.0)
        beta = np.sqrt(np.where(n > 0, squares, 0.0))
        used = n[:-1] + m < largest
        rise = np.where(used, 1 / beta[1:], 0.0)
        fall = np.where(used, beta[:-1] / beta[1:], 0.0)
        half = (k[0] - 1) / 2
        seeds = np.exp((_log_beta(half) - _log_beta(m[0] + half)) / 2)
        below = np.concatenate([[0], np.repeat(np.arange(1, largest + 1), 2)])  # degrees on the circle
        factors, parents = [], []
        for row, _ in enumerate(range(3, ambient + 1)):
            degree, parent = np.nonzero(below[None] <= np.arange(largest + 1)[:, None])
            steps = degree - below[parent]
            factors.append((steps * len(seeds) + row) * (largest + 1) + below[parent])
            parents.append(parent)
            below = degree
        final = np.concatenate([np.flatnonzero(below == degree) for degree in degrees])
        if factors:  # of the last dimension only what is asked for
            factors[-1], parents[-1] = factors[-1][final], parents[-1][final]
            final = np.arange(len(final))
        return SphericalHarmonics(
            seeds=jnp.asarray(seeds, float),
            rise=jnp.asarray(rise, float),
            fall=jnp.asarray(fall, float),
            factors=tuple(jnp.asarray(rows, jnp.int32) for rows in factors),
            parents=tuple(jnp.asarray(rows, jnp.int32) for rows in (*parents, final)),
            degree=largest,
            num_functions=len(final),
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


def _log_beta(b: np.ndarray) -> np.ndarray:
    """Log B(½, b)."""
    gamma = np.vectorize(math.lgamma, otypes=[float])
    return math.lgamma(0.5) + gamma(b) - gamma(b + 0.5)
