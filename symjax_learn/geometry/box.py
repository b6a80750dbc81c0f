"""The unit box with free (Neumann) walls, and its cosines."""

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
    vector_counts,
)
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
)
from symjax_learn.geometry.spectra import RELATIVE
from symjax_learn.geometry.torus import cosine_of_turns

# The list of levels is refused beyond so many additions.
_MAX_WORK = 1e9


class CosineProducts(AbstractFunctions):
    """φ_k(x) = Π_i c_{k_i}(x_i) with c_0 = 1 and c_v(x) = √2 cos(πvx).

    Attributes:
        factors: for each function its rows v·d + i in the table of all c_v(x_i), ``(s, D)``.
        largest: the largest entry v of the table.
    """

    factors: Int[Array, "s D"]
    dimension: int = eqx.field(static=True)
    largest: int = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The table of cosines, and the functions."""
        return (self.largest + 1) * self.dimension + self.num_functions

    def rows(self, points: Float[Array, "batch d"]) -> Float[Array, "D batch"]:
        """``(batch, d) -> (num_functions, batch)``. Cost: s products and largest·d cosines."""
        x = points.T
        table = jnp.concatenate([jnp.ones_like(x)[None], _cosines(x, self.largest)])
        return coordinate_products(table.reshape(-1, points.shape[0]), self.factors)


class CosineKernels(AbstractSeparableKernels):
    """K_N(x, y) = Σ_{|k|² = N} Π_i c_{k_i}(x_i) c_{k_i}(y_i)."""

    totals: tuple[int, ...] = eqx.field(static=True)
    sizes: tuple[int, ...] = eqx.field(static=True)

    def table(self, points: Float[Array, "*batch d"]) -> Float[Array, "d v r *batch"]:
        """√2 cos(πvx_i)."""
        waves = _cosines(jnp.moveaxis(points, -1, 0), len(self.sizes))
        return jnp.swapaxes(waves, 0, 1)[:, :, None]


class Box(AbstractSpace):
    """The unit box [0, 1]^d with free (Neumann) walls: no normal derivative on the boundary.

    Eigenvalues of −Δ: π²|k|² for integer vectors k ≥ 0. Orthonormal eigenfunctions: Π_i c_{k_i}(x_i)
    with c_0 = 1 and c_v(x) = √2 cos(πvx); within a level k is in descending lexicographic order.
    Float32 values err by about 1e-6·|k|.

    Args:
        dimension: d ≥ 1.

    >>> import symjax_learn as sj
    >>> [(level.key, level.multiplicity) for level in sj.Box(2).levels(50)]
    [(0, 1), (1, 2), (2, 1), (4, 2), (5, 2)]
    """

    dimension: int = eqx.field(static=True)

    def __init__(self, dimension: int):
        """Refuse what is no box."""
        self.dimension = checked_count("dimension", dimension)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(dimension,)``."""
        return (self.dimension,)

    @property
    def volume(self) -> float:
        """1."""
        return 1.0

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is |k|². No frequency is enumerated.

        Raises:
            ValueError: the list of levels alone would take minutes.
        """
        max_norm = math.floor(max_eigenvalue / math.pi**2 * (1 + RELATIVE))
        if max_norm < 0:
            return []
        if max_norm + (self.dimension - 1) * max_norm**1.5 > _MAX_WORK:
            raise ValueError(
                f"max_eigenvalue or max_functions: |k|² up to {max_norm:,} asks for too long a list of "
                "levels of the box; lower it."
            )
        counts = vector_counts(self.dimension, _squares(max_norm), max_norm)
        return [Level(math.pi**2 * norm, count, norm) for norm, count in counts.items()]

    def functions(self, levels: Sequence[Level]) -> CosineProducts:
        """The cosines of these levels; no other frequency is enumerated."""
        squares = _squares(max(integer_keys(levels, "a box")))
        factors = coordinate_factors(self.dimension, squares, levels)
        return CosineProducts(
            factors=jnp.asarray(factors, jnp.int32),
            dimension=self.dimension,
            largest=len(squares),
            num_functions=factors.shape[1],
        )

    def kernels(self, levels: Sequence[Level]) -> CosineKernels:
        """By a product over the coordinates: no frequency is enumerated."""
        totals = tuple(integer_keys(levels, "a box"))
        return CosineKernels(totals=totals, sizes=tuple(_squares(max(totals))))  # pyright: ignore[reportCallIssue]

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch d"]:
        """Uniform points in [0, 1)^d."""
        return jax.random.uniform(key, (*shape, self.dimension))

    def check(self, points: AnyArray) -> None:
        """Every coordinate lies in [0, 1]."""
        checked_points(self, points, "points")
        check_finite(points, "points")
        values = np.asarray(points).reshape(-1, self.dimension)
        outside = (values < 0) | (values > 1)
        if outside.any():
            row, place = np.argwhere(outside)[0]
            raise ValueError(
                f"points: row {row} has the coordinate {values[row, place]}, as "
                f"{int(outside.any(axis=1).sum())} row(s) in all leave the unit box; scale each "
                "coordinate to [0, 1]."
            )

    def project(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """Each coordinate clipped to [0, 1]."""
        return jnp.clip(checked_points(self, points, "points"), 0, 1)


def _cosines(x: Array, largest: int) -> Array:
    """√2 cos(πvx) for v = 1, …, largest, ``(largest, *x.shape)``."""
    entries = jnp.arange(1, largest + 1, dtype=x.dtype).reshape(-1, *[1] * x.ndim)
    return math.sqrt(2) * cosine_of_turns(entries * (x / 2)[None])


def _squares(max_norm: int) -> list[int]:
    """1, 4, 9, … up to max_norm."""
    return [v * v for v in range(1, math.isqrt(max_norm) + 1)]
