"""The ball of R^d with the Neumann eigenfunctions of its Laplacian."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key, checked_count
from symjax_learn.geometry.bessel import neumann_roots, radial_coefficients, radial_recurrence
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
)
from symjax_learn.geometry.spectra import RELATIVE
from symjax_learn.geometry.sphere import Sphere, harmonic_dimension
from symjax_learn.geometry.zonal import ZonalKernels, inner, unit_vectors, zonal_kernels

# Beyond this κ the polynomials of the radial functions leave the range of float32 near the origin.
MAX_FREQUENCY = 128
# Beyond this dimension Bessel functions of small argument lose digits, and then leave float64's range.
MAX_DIMENSION = 100


class BallHarmonics(AbstractFunctions):
    """Neumann eigenfunctions of the ball as solid harmonics times polynomials of r².

    With u = x/radius, r = |u| and ν = l + d/2 − 1 one function is

        φ(x) = N r^{1 − d/2} J_ν(κr) Y(u/r) = Σ_n a_n P_n^{(0, ν)}(2r² − 1) · r^l Y(u/r),
        a_n = (−1)^n 2(2n + ν + 1) J_{ν+2n+1}(κ)/κ · N

    (1 for κ = 0), with Jacobi polynomials P_n and the homogeneous polynomials r^l Y(u/r): nothing is
    divided by r, so that values and gradients are finite everywhere. The r^l P_n Y are orthogonal on the
    ball, so that the sum does not cancel as a power series would; it ends where its terms are below
    rounding. Off the ball, where ``Ball.check`` raises, the polynomial extrapolates.

    The a_n are the integrals of r^{ν+1} P_n^{(0, ν)}(2r² − 1) J_ν(κr) over 0 < r < 1, times
    2(2n + ν + 1)N; of ν = l in the plane they are those of Zernike's polynomials.

    Attributes:
        harmonics: the table of all r^l Y of the degrees that occur.
        coefficients: a_n √C(n + ν, n) for each degree and root, zero where there is none,
            ``(degrees, roots, terms)``.
        slopes: of the recurrence p_{n+1} = (slope·r² − offset) p_n − fall·p_{n−1} of
            p_n = P_n/√C(n + ν, n), ``(terms, degrees)``,
        offsets: likewise, and
        falls: likewise; all zero beyond the terms that a degree uses.
        shells: for each function its row among (degree, root), and
        angles: its row among the harmonics.
        radius: of the ball.
    """

    harmonics: AbstractFunctions
    coefficients: Float[Array, "l k n"]
    slopes: Float[Array, "n l"]
    offsets: Float[Array, "n l"]
    falls: Float[Array, "n l"]
    shells: Int[Array, " D"]
    angles: Int[Array, " D"]
    radius: float = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The tables of polynomials, of harmonics and of radial functions."""
        degrees, roots, _ = self.coefficients.shape
        return self.harmonics.width + self.slopes.size + degrees * roots

    def rows(self, points: Float[Array, "batch d"]) -> Float[Array, "D batch"]:
        """``(batch, d) -> (num_functions, batch)``.

        Cost per point: that of the harmonics, one product for each function, and degrees·roots·terms for
        the radial functions.
        """
        unit = points / self.radius
        recurrence = (self.slopes, self.offsets, self.falls)
        radial = _radial_values(self.coefficients, recurrence, jnp.sum(unit**2, axis=1))
        return radial[self.shells] * self.harmonics.rows(unit)[self.angles]


class BallKernels(AbstractKernels):
    """K(x, y) = p(|x|²) p(|y|²) K_l(x, y), K_l of the sphere's harmonics r^l Y and p as in φ = p·r^l Y.

    Attributes:
        zonal: K_l of the degrees that occur.
        coefficients: as of :class:`BallHarmonics`,
        slopes: and
        offsets: and
        falls: likewise.
        shells: for each level its row among (degree, root), and
        degrees: its row among the degrees.
        radius: of the ball.
    """

    zonal: ZonalKernels
    coefficients: Float[Array, "l k n"]
    slopes: Float[Array, "n l"]
    offsets: Float[Array, "n l"]
    falls: Float[Array, "n l"]
    shells: Int[Array, " L"]
    degrees: Int[Array, " L"]
    radius: float = eqx.field(static=True)
    num_levels: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The zonal kernels, and the levels."""
        return self.zonal.width + 2 * self.num_levels

    def rows(self, x: Array, y: Array) -> Array:
        """``(*batch, d)`` twice ``-> (num_levels, *batch)``. Cost per pair: 3 products per level."""
        x, y = x / self.radius, y / self.radius
        recurrence = (self.slopes, self.offsets, self.falls)
        at_x, at_y = (
            _radial_values(self.coefficients, recurrence, inner(points, points))[self.shells]
            for points in (x, y)
        )
        return at_x * at_y * self.zonal.rows(x, y)[self.degrees]


def _radial_values(
    coefficients: Float[Array, "l k n"], recurrence: tuple[Array, Array, Array], square: Array
) -> Array:
    """The radial functions without their factor r^l, ``(l·k, *batch)``, from r² ``(*batch)``."""
    dtype, ones = square.dtype, [1] * square.ndim

    def climb(pair: tuple[Array, Array], factors: tuple[Array, Array, Array]):
        below, here = pair
        slope, offset, fall = (factor.astype(dtype).reshape(-1, *ones) for factor in factors)
        return (here, (slope * square[None] - offset) * here - fall * below), here

    first = jnp.ones((coefficients.shape[0], *square.shape), dtype)
    _, polynomials = jax.lax.scan(climb, (jnp.zeros_like(first), first), recurrence)
    values = jnp.einsum("lkn,nl...->lk...", coefficients.astype(dtype), polynomials, precision="highest")
    return values.reshape(-1, *square.shape)


class Ball(AbstractSpace):
    """The ball |x| ≤ radius of R^d with the Neumann condition: no flux through its boundary.

    Eigenvalues of −Δ: 0, and (κ/radius)² for the positive roots κ of d/dr [r^{1−d/2} J_ν(κr)] at r = 1,
    ν = l + d/2 − 1, each with the multiplicity of the harmonics of degree l on S^{d−1}. Eigenfunctions:
    see :class:`BallHarmonics`; orthonormal for the uniform probability measure, N > 0, within a level in
    the order of ``Sphere(d − 1)``. Each level is invariant under O(d): no isometry mixes two of them,
    however close their eigenvalues. Float32 values err by about 1e-7·κ of their maximum.

    Args:
        dimension: d, from 2 to 100.
        radius: a positive number.

    Raises:
        TypeError: the dimension is no integer.
        ValueError: no such ball, or a dimension beyond 100.

    >>> import symjax_learn as sj
    >>> [(round(level.eigenvalue, 5), level.multiplicity) for level in sj.Ball(3).levels(20.2)]
    [(0.0, 1), (4.33296, 3), (11.16959, 5), (20.19073, 1)]
    """

    dimension: int = eqx.field(static=True)
    radius: float = eqx.field(static=True)

    def __init__(self, dimension: int, radius: float = 1.0):
        """Refuse what is no ball."""
        self.dimension = checked_count("dimension", dimension)
        if self.dimension == 1:
            raise ValueError(
                "dimension: expected at least 2 and got 1; the ball of R is an interval: use Box(1)."
            )
        if self.dimension > MAX_DIMENSION:
            raise ValueError(
                f"dimension: expected at most {MAX_DIMENSION}, beyond which Bessel functions lose "
                f"digits, and got {dimension}; lower it."
            )
        number = np.asarray(radius)
        if number.shape != () or number.dtype.kind not in "fiu" or not 1e-100 < float(number) < 1e100:
            raise ValueError(f"radius: expected a positive finite number and got {radius!r}.")
        self.radius = float(number)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(dimension,)``."""
        return (self.dimension,)

    @property
    def volume(self) -> float:
        """π^{d/2} radius^d/Γ(d/2 + 1); infinite where that is no float."""
        return math.exp(self.log_volume) if self.log_volume < 700 else math.inf

    @property
    def log_volume(self) -> float:
        """Log of the volume."""
        half = self.dimension / 2
        return half * math.log(math.pi) - math.lgamma(half + 1) + self.dimension * math.log(self.radius)

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is (l, index of the root), (0, 0) the constant.

        Raises:
            ValueError: κ beyond 128.

        Cost: one root for each level, some 30 µs.
        """
        largest = self.radius * math.sqrt(max(max_eigenvalue, 0.0) * (1 + RELATIVE))
        if largest > MAX_FREQUENCY:
            raise ValueError(
                "max_eigenvalue or max_functions: eigenfunctions of the ball beyond λ = "
                f"({MAX_FREQUENCY}/radius)² leave the range of float32; lower it."
            )
        if max_eigenvalue < 0:
            return []
        found = [Level(0.0, 1, (0, 0))]
        for degree in itertools.count():
            roots = neumann_roots(self.dimension, degree, largest)
            if degree and not len(roots):  # the first root grows with the degree
                break
            multiplicity = harmonic_dimension(self.dimension - 1, degree)
            found += [
                Level(float(root / self.radius) ** 2, multiplicity, (degree, index))
                for index, root in enumerate(roots, 1)
            ]
        return sorted(found, key=lambda level: (level.eigenvalue, level.key))

    def functions(self, levels: Sequence[Level]) -> BallHarmonics:
        """The eigenfunctions of these levels."""
        sphere = Sphere(self.dimension - 1)
        degrees = sorted({level_indices(level)[0] for level in levels})
        sizes = {degree: harmonic_dimension(sphere.dimension, degree) for degree in degrees}
        harmonics = [Level(0.0, sizes[degree], degree) for degree in degrees]
        return self.functions_of(levels, sphere.functions(harmonics), sizes)

    def functions_of(
        self, levels: Sequence[Level], harmonics: AbstractFunctions, sizes: Mapping[int, int]
    ) -> BallHarmonics:
        """The radial functions of these levels, times these harmonics of their degrees.

        Args:
            levels: of :meth:`levels`.
            harmonics: r^l Y, orthonormal on the sphere, by degree.
            sizes: how many there are of each degree that occurs.
        """
        table = self._radial_table(levels)
        degrees, num_roots = table.degrees, table.coefficients.shape[1]
        starts = list(itertools.accumulate((sizes[degree] for degree in degrees), initial=0))
        shells = [np.full(sizes[degrees[row]], row * num_roots + column) for row, column in table.places]
        angles = [np.arange(starts[row], starts[row + 1]) for row, _ in table.places]
        return BallHarmonics(
            harmonics=harmonics,
            coefficients=jnp.asarray(table.coefficients, float),
            slopes=jnp.asarray(table.slopes, float),
            offsets=jnp.asarray(table.offsets, float),
            falls=jnp.asarray(table.falls, float),
            shells=jnp.asarray(np.concatenate(shells), jnp.int32),
            angles=jnp.asarray(np.concatenate(angles), jnp.int32),
            radius=self.radius,
            num_functions=sum(map(len, shells)),
        )

    def kernels(self, levels: Sequence[Level]) -> BallKernels:
        """By the addition theorem of spherical harmonics: none is formed."""
        table = self._radial_table(levels)
        counts = [harmonic_dimension(self.dimension - 1, degree) for degree in table.degrees]
        rows, columns = np.asarray(table.places).T
        return BallKernels(
            zonal=zonal_kernels(self.dimension - 1, table.degrees, counts),
            coefficients=jnp.asarray(table.coefficients, float),
            slopes=jnp.asarray(table.slopes, float),
            offsets=jnp.asarray(table.offsets, float),
            falls=jnp.asarray(table.falls, float),
            shells=jnp.asarray(rows * table.coefficients.shape[1] + columns, jnp.int32),
            degrees=jnp.asarray(rows, jnp.int32),
            radius=self.radius,
            num_levels=len(levels),
        )

    def _radial_table(self, levels: Sequence[Level]) -> "RadialTable":
        """The radial functions of these levels."""
        dimension = self.dimension
        keys = [level_indices(level) for level in levels]
        degrees = sorted({degree for degree, _ in keys})
        rows = {degree: row for row, degree in enumerate(degrees)}
        series: list[list[np.ndarray]] = [[] for _ in degrees]
        places = []  # of each level: its degree's row, and which of the roots of that degree it is
        for level, (degree, _) in zip(levels, keys, strict=True):
            row = rows[degree]
            places.append((row, len(series[row])))
            kappa = self.radius * math.sqrt(level.eigenvalue)
            series[row].append(radial_coefficients(dimension, degree, kappa))
        num_terms = [max(map(len, of_degree)) for of_degree in series]
        num_roots = max(map(len, series))
        coefficients = np.zeros((len(degrees), num_roots, max(num_terms)))
        for row, of_degree in enumerate(series):
            for column, values in enumerate(of_degree):
                coefficients[row, column, : len(values)] = values
        orders = np.asarray(degrees) + dimension / 2 - 1
        recurrence = radial_recurrence(orders, np.asarray(num_terms))
        return RadialTable(degrees, places, coefficients, *recurrence)

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch d"]:
        """Uniform points: a uniform direction at the distance radius·U^{1/d}."""
        direction_key, distance_key = jax.random.split(key)
        directions = Sphere(self.dimension - 1).sample(direction_key, shape)
        distances = jax.random.uniform(distance_key, (*shape, 1)) ** (1 / self.dimension)
        return self.radius * distances * directions

    def check(self, points: AnyArray) -> None:
        """Finite, and of norm at most the radius, to the square root of the rounding."""
        check_finite(points, "points")
        values = np.asarray(points)
        norms = np.linalg.norm(values, axis=-1).ravel()
        bad = np.flatnonzero(norms > self.radius * (1 + math.sqrt(np.finfo(values.dtype).eps)))
        if len(bad):
            raise ValueError(
                f"points: row {bad[0]} has norm {norms[bad[0]]}, as {len(bad)} row(s) in all are off "
                f"the ball of radius {self.radius}; scale the points, or take a larger radius."
            )

    def project(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """The point itself inside the ball, and x·radius/|x| outside of it."""
        points = checked_points(self, points, "points")
        outside = jnp.linalg.vector_norm(points, axis=-1, keepdims=True) > self.radius
        return jnp.where(outside, self.radius * unit_vectors(jnp.where(outside, points, 1)), points)


class RadialTable(NamedTuple):
    """The radial functions of some levels, in float64.

    Attributes:
        degrees: that occur, ascending.
        places: of each level the row of its degree, and which of the roots of that degree it is.
        coefficients: as of :class:`BallHarmonics`,
        slopes: and
        offsets: and
        falls: likewise.
    """

    degrees: list[int]
    places: list[tuple[int, int]]
    coefficients: Float[np.ndarray, "l k n"]
    slopes: Float[np.ndarray, "n l"]
    offsets: Float[np.ndarray, "n l"]
    falls: Float[np.ndarray, "n l"]


def level_indices(level: Level) -> tuple[int, int]:
    """The degree and the index of the root of a level of a ball, its exact key."""
    match level.key:
        case (int(degree), int(index)):
            return degree, index
    raise TypeError(f"level: {level} is not a level of a ball.")
