"""Tables of the harmonics of blocks of permuted coordinates, and of their products."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn.algebra.multisets import Multisets, symmetric_columns
from symjax_learn.geometry.separable import coordinate_products
from symjax_learn.geometry.spaces import AbstractFunctions


class PowerSumProducts(AbstractFunctions):
    """Π_i S_{λ_i} for partitions λ, of sums over n coordinates y = scale·x.

        S_a = n^{−1/2} Σ_j h_a(y_j),  h_a(y) = v^{a/2} He_a(y/√v)/√a!,  v = |y|²/n,

    with Hermite's polynomials He_a, and v in the place of S_2 = 0. Homogeneous, of degree |λ|.

    Attributes:
        factors: for each λ its parts, padded with 0, ``(s, D)``.
        num_coordinates: n.
        scale: √d on S^{d−1}.
    """

    factors: Int[Array, "s D"]
    max_degree: int = eqx.field(static=True)
    num_coordinates: int = eqx.field(static=True)
    scale: float = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The Hermite polynomials of the coordinates, and the products."""
        return self.num_coordinates * self.max_degree + 2 * self.num_functions

    def rows(self, points: Float[Array, "batch n"]) -> Float[Array, "D batch"]:
        """``(batch, n) -> (num_functions, batch)``. Cost: 4n products a degree, and s for each λ."""
        scaled = self.scale * points.T
        variance = jnp.mean(scaled**2, axis=0)
        root = self.num_coordinates**0.5
        sums = _hermite(scaled, variance, self.max_degree, lambda values: values.sum(axis=0) / root)
        table = jnp.concatenate([jnp.ones_like(sums[:1]), sums[:1], variance[None], sums[2:]])
        # Otherwise XLA computes the sums again wherever they are used.
        return coordinate_products(jax.lax.optimization_barrier(table), self.factors)


class SymmetricPolynomials(AbstractFunctions):
    """m_ν(h)/√N_ν of scaled coordinates, with h as of :class:`PowerSumProducts`: of few coordinates.

    Attributes:
        index: the partitions ν as multisets of powers.
        places: the partition of each function, ``(D,)``.
        powers: of the labels.
        num_coordinates: n.
        scale: √d on S^{d−1}.
    """

    index: Multisets
    places: Int[Array, " D"]
    powers: tuple[int, ...] = eqx.field(static=True)
    num_coordinates: int = eqx.field(static=True)
    scale: float = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The Hermite polynomials of the coordinates, and the multisets, thrice."""
        return self.num_coordinates * self.powers[-1] + 3 * self.index.num_multisets

    def rows(self, points: Float[Array, "batch n"]) -> Float[Array, "D batch"]:
        """``(batch, n) -> (num_functions, batch)``. Cost: n·Σ_ν |distinct(ν)| products."""
        scaled = self.scale * points.T
        values = _hermite(scaled, jnp.mean(scaled**2, axis=0), self.powers[-1], lambda values: values)
        features = values[np.asarray(self.powers) - 1]  # (q, n, batch)
        return symmetric_columns(self.index, features.transpose(2, 1, 0), False, "scan")[self.places]


def _hermite(scaled: Array, variance: Array, top: int, reduced: Callable[[Array], Array]) -> Array:
    """h_1, …, h_top of y ``(n, batch)``, each reduced: h_{p+1} = (y h_p − √p v h_{p−1})/√(p+1)."""
    p = np.arange(top)
    steps = jnp.asarray(np.sqrt(p), scaled.dtype), jnp.asarray(1 / np.sqrt(p + 1), scaled.dtype)

    def climb(pair: tuple[Array, Array], step: tuple[Array, Array]) -> tuple[Any, Array]:
        below, here = pair
        above = (scaled * here - step[0] * variance[None] * below) * step[1]
        return (here, above), reduced(above)

    return jax.lax.scan(climb, (jnp.zeros_like(scaled), jnp.ones_like(scaled)), steps)[1]


class BlockProducts(AbstractFunctions):
    """φ(x) = Π_b Z_b(x_b) q_b(|x_1|² + … + |x_{b−1}|², |x_b|²), up to a scale: see ``JoinedHarmonics``.

    Blocks of one kind are evaluated together.

    Attributes:
        tables: of each kind of blocks its harmonics Z, the constant first; ``None`` where it is alone.
        coordinates: of each kind those of its blocks, ``(blocks, n)``.
        order: the place of each block among those of all kinds.
        stems, rise, centre, fall: of the radial factors, as of ``JoinedHarmonics``.
        harmonics: for each factor its Z among 1 and those of all kinds, and
        radials: its q.
        factors: for each function its factors, padded with 0, ``(s, D)``.
        scales: of the functions.
        scale: of the coordinates, √d.
    """

    tables: tuple[AbstractFunctions | None, ...]
    coordinates: tuple[Int[Array, "_ _"], ...]
    order: Int[Array, " blocks"]
    stems: Int[Array, " stems"]
    rise: Float[Array, "P stems"]
    centre: Float[Array, "P stems"]
    fall: Float[Array, "P stems"]
    harmonics: Int[Array, " T"]
    radials: Int[Array, " T"]
    factors: Int[Array, "s D"]
    scales: Float[Array, " D"]
    scale: float = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """Those of all blocks, the radial factors, and the functions."""
        blocks = sum(
            len(places) * (table.width + table.num_functions)
            for table, places in zip(self.tables, self.coordinates, strict=True)
            if table is not None
        )
        return blocks + 2 * self.rise.size + len(self.harmonics) + 2 * self.num_functions

    def rows(self, points: Float[Array, "batch d"]) -> Float[Array, "D batch"]:
        """``(batch, d) -> (num_functions, batch)``.

        Cost: those of the blocks, and s products for each function.
        """
        batch = points.shape[0]
        values, squares = [jnp.ones((1, batch), points.dtype)], []
        for table, places in zip(self.tables, self.coordinates, strict=True):
            blocks = jnp.moveaxis(points[:, places], 1, 0)  # (blocks, batch, n)
            squares.append(jnp.sum((self.scale * blocks) ** 2, axis=-1))
            if table is not None:
                of_kind = table.rows(blocks.reshape(-1, places.shape[1]))[1:]
                values.append(of_kind.reshape(len(of_kind) * len(blocks), batch))
        radials = self._radials(jnp.concatenate(squares)[self.order])
        factors = jnp.concatenate(values)[self.harmonics] * radials[self.radials]
        products = coordinate_products(factors, self.factors)
        return products * self.scales.astype(points.dtype)[:, None]

    def _radials(self, squares: Float[Array, "blocks batch"]) -> Array:
        """1, and q_1, q_2, … of all stems."""
        one = jnp.ones((1, squares.shape[1]), squares.dtype)
        if self.rise.size == 0:
            return one
        here, through = squares[self.stems], jnp.cumsum(squares, axis=0)[self.stems]

        def climb(pair: tuple[Array, Array], step: tuple[Array, ...]) -> tuple[Any, Array]:
            below, last = pair
            rise, centre, fall = (factor.astype(squares.dtype)[:, None] for factor in step)
            above = rise * (here - centre * through) * last - fall * through**2 * below
            return (last, above), above

        first = (jnp.zeros_like(here), jnp.ones_like(here))
        _, found = jax.lax.scan(climb, first, (self.rise, self.centre, self.fall))
        rows = found.reshape(found.shape[0] * found.shape[1], squares.shape[1])
        return jnp.concatenate([one, rows])
