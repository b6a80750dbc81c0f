"""R^d with the standard normal measure, and its Hermite functions."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key, checked_count
from symjax_learn.geometry.separable import (
    AbstractSeparableKernels,
    coordinate_factors,
    coordinate_products,
    integer_keys,
)
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
)
from symjax_learn.geometry.spectra import RELATIVE

# Up to this degree, at samples, float32 errs by about 1e-6 of the largest value.
MAX_DEGREE = 1000


class HermiteProducts(AbstractFunctions):
    """φ_k(x) = Π_i h_{k_i}(x_i), h_n = He_n/√n! of the probabilists' Hermite polynomials.

    By the recurrence h_{n+1} = (x h_n − √n h_{n−1})/√(n+1).

    Attributes:
        factors: for each function its rows n·d + i in the table of all h_n(x_i), ``(s, D)``.
        roots: √0, √1, …, up to the root of the largest n.
    """

    factors: Int[Array, "s D"]
    roots: Float[Array, " n"]
    dimension: int = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The table of Hermite polynomials, and the functions."""
        return len(self.roots) * self.dimension + self.num_functions

    def rows(self, points: Float[Array, "batch d"]) -> Float[Array, "D batch"]:
        """``(batch, d) -> (num_functions, batch)``. Cost: s products and 3·d·n for the table."""
        x = points.T
        table = jnp.concatenate([jnp.ones_like(x)[None], _hermite(x, self.roots)])
        return coordinate_products(table.reshape(-1, points.shape[0]), self.factors)


class HermiteKernels(AbstractSeparableKernels):
    """K_n(x, y) = Σ_{k_1 + … + k_d = n} Π_i h_{k_i}(x_i) h_{k_i}(y_i).

    Attributes:
        roots: √0, √1, …, up to the root of the largest n.
    """

    roots: Float[Array, " n"]
    totals: tuple[int, ...] = eqx.field(static=True)
    sizes: tuple[int, ...] = eqx.field(static=True)

    def table(self, points: Float[Array, "*batch d"]) -> Float[Array, "d v r *batch"]:
        """h_v(x_i)."""
        values = _hermite(jnp.moveaxis(points, -1, 0), self.roots)
        return jnp.swapaxes(values, 0, 1)[:, :, None]


def _hermite(x: Array, roots: Float[Array, " n"]) -> Array:
    """h_1(x), …, h_{n−1}(x), ``(n − 1, *x.shape)``."""
    roots = roots.astype(x.dtype)

    def climb(pair: tuple[Array, Array], factors: tuple[Array, Array]):
        (below, here), (root, following) = pair, factors
        above = (x * here - root * below) / following
        return (here, above), above

    start = (jnp.zeros_like(x), jnp.ones_like(x))
    return jax.lax.scan(climb, start, (roots[:-1], roots[1:]))[1]


class Gaussian(AbstractSpace):
    """R^d with the standard normal measure, in the place of a compact space with its uniform measure.

    The Laplacian of this space is that of Ornstein and Uhlenbeck, Lf = Δf − x·∇f. Eigenvalues of −L: the
    degrees n = 0, 1, …, of multiplicity C(n + d − 1, n). Orthonormal eigenfunctions:
    Π_i He_{k_i}(x_i)/√(k_i!) with Σ_i k_i = n; within a level k is in descending lexicographic order.
    The measure is a probability measure, so that the volume is 1. Functions grow as |x|^n far out; at
    samples float32 values err by about 1e-6 of their largest.

    Args:
        dimension: d ≥ 1.

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Gaussian(3).levels(2)]
    [(0.0, 1), (1.0, 3), (2.0, 6)]
    """

    dimension: int = eqx.field(static=True)

    def __init__(self, dimension: int):
        """Refuse what is no dimension."""
        self.dimension = checked_count("dimension", dimension)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(dimension,)``."""
        return (self.dimension,)

    @property
    def volume(self) -> float:
        """1, the mass of the normal measure."""
        return 1.0

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels of degree ≤ max_eigenvalue; the key is the degree.

        Raises:
            ValueError: degrees beyond 1000.
        """
        largest = math.floor(max_eigenvalue * (1 + RELATIVE))
        if largest > MAX_DEGREE:
            raise ValueError(
                f"max_eigenvalue or max_functions: Hermite functions are listed up to degree "
                f"{MAX_DEGREE} and got {largest:,}; lower it."
            )
        return [Level(float(n), math.comb(n + self.dimension - 1, n), n) for n in range(largest + 1)]

    def functions(self, levels: Sequence[Level]) -> HermiteProducts:
        """The Hermite functions of these levels; no other degree vector is enumerated."""
        largest = max(integer_keys(levels, "Gaussian"))
        factors = coordinate_factors(self.dimension, range(1, largest + 1), levels)
        return HermiteProducts(
            factors=jnp.asarray(factors, jnp.int32),
            roots=jnp.asarray(np.sqrt(np.arange(largest + 1)), float),
            dimension=self.dimension,
            num_functions=factors.shape[1],
        )

    def kernels(self, levels: Sequence[Level]) -> HermiteKernels:
        """By a product over the coordinates: no degree vector is enumerated."""
        totals = tuple(integer_keys(levels, "Gaussian"))
        return HermiteKernels(  # pyright: ignore[reportCallIssue]
            roots=jnp.asarray(np.sqrt(np.arange(max(totals) + 1)), float),
            totals=totals,
            sizes=tuple(range(1, max(totals) + 1)),
        )

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch d"]:
        """Standard normal points."""
        return jax.random.normal(key, (*shape, self.dimension))

    def check(self, points: AnyArray) -> None:
        """Every finite point of R^d belongs to the space."""
        checked_points(self, points, "points")
        check_finite(points, "points")

    def project(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """The point itself: infinite ones, which ``check`` refuses, have no nearest point."""
        return checked_points(self, points, "points")
