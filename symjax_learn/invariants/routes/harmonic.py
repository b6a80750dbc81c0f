"""Route ``harmonic``: harmonics of spheres under permuted coordinates, from monomial symmetric functions.

Neither n! nor the dimension of an eigenspace occurs: of each block of coordinates the null space of the
Laplacian among symmetric polynomials, and of several blocks the products of these with radial functions.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.multisets import (
    Multisets,
    multisets,
    symmetric_columns,
)
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.algebra.products import ProductGroup
from symjax_learn.algebra.series import multiset_series
from symjax_learn.algebra.symmetric_harmonics import block_harmonics, in_power_sums, joined_harmonics
from symjax_learn.geometry.separable import coordinate_products
from symjax_learn.geometry.spaces import AbstractFunctions
from symjax_learn.invariants.basis import LinearCombinations

# A null space is taken among at most so many polynomials: some minutes of one core.
_MAX_POLYNOMIALS = 4_000
# Sums over coordinates lose digits where these are few: so many for each part of the largest partition.
_COORDINATES_PER_PART = 4


class Block(NamedTuple):
    """Coordinates that are permuted.

    Attributes:
        size: n, how many.
        signed: whether their signs change as well.
    """

    size: int
    signed: bool


class PowerSumProducts(AbstractFunctions):
    """Π_i S_{λ_i} of n scaled coordinates y = scale·x, for partitions λ, with v = |y|²/n as S_2, and else

        S_a = n^{−1/2} Σ_j h_a(y_j),  h_a(y) = v^{a/2} He_a(y/√v)/√a!,  He_a Hermite's polynomials.

    Homogeneous polynomials of degree |λ|, smooth everywhere.

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
        """``(batch, n) -> (num_functions, batch)``. Cost: 4n products for each degree, and s for each λ."""
        scaled = self.scale * points.T
        variance = jnp.mean(scaled**2, axis=0)
        root = self.num_coordinates**0.5
        sums = _hermite(scaled, variance, self.max_degree, lambda values: values.sum(axis=0) / root)
        table = jnp.concatenate([jnp.ones_like(sums[:1]), sums[:1], variance[None], sums[2:]])
        # Otherwise XLA computes the sums again wherever they are used.
        return coordinate_products(jax.lax.optimization_barrier(table), self.factors)


class SymmetricPolynomials(AbstractFunctions):
    """m_ν(h)/√N_ν of n scaled coordinates, with h as in :class:`PowerSumProducts`: of few coordinates.

    Attributes:
        index: the partitions ν as multisets of powers.
        places: the partition of each function, ``(D,)``.
        powers: of the labels.
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
    """φ(x) = scale Π_b Z_b(x_b) q_b(|x_1|² + … + |x_{b−1}|², |x_b|²): harmonics of blocks, and radial factors.

    See :mod:`symjax_learn.algebra.symmetric_harmonics`. Blocks of one kind are evaluated together.

    Attributes:
        tables: of each kind of blocks its harmonics, the constant first; ``None`` where there are no others.
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
    coordinates: tuple[Int[Array, "_ n"], ...]
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
                values.append(of_kind.reshape(-1, batch))
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
        return jnp.concatenate([one, found.reshape(-1, squares.shape[1])])


def permuted_blocks(group: AbstractGroup) -> list[Block] | None:
    """The blocks of coordinates that a group permutes, in order; ``None`` where it is not of this kind."""
    if isinstance(group, ProductGroup):
        found = [permuted_blocks(factor) for factor in group.factors]
        return None if None in found else [block for part in found for block in part or []]
    match group.sampler:
        case YoungSampler(parts=parts):
            return [Block(part, False) for part in parts]
        case SignedSampler(permutations=permutations):
            return [Block(part, True) for part in permutations.parts]
    return None


class Harmonics(NamedTuple):
    """The invariant harmonics of R^d up to a degree, orthonormal on the unit sphere.

    Attributes:
        table: at points of R^d, homogeneous; by degree.
        degrees: of each function.
        residual: the largest norm of Δ of a harmonic of a block, the least nonzero singular value being 1.
        gap: the least ratio of singular values beside a cut.
    """

    table: AbstractFunctions
    degrees: Int[np.ndarray, " D"]
    residual: float
    gap: float


def invariant_harmonics(blocks: Sequence[Block], max_degree: int) -> Harmonics:
    """All harmonics up to a degree that the permutations of blocks of coordinates leave fixed.

    Args:
        blocks: of consecutive coordinates.
        max_degree: the largest degree.

    Raises:
        ValueError: more symmetric polynomials of one degree than a null space is taken of.

    Cost: of each kind of blocks Σ_k m_k³ for m_k partitions of k, and 2^{parts} for each partition; then
    O(s·D) for D functions of at most s factors.
    """
    d = sum(block.size for block in blocks)
    # ‖p‖² on the sphere for p of Fischer norm 1 in √d x: Π_{i<k} d/(d + 2i).
    norms = np.cumprod([1.0, *np.sqrt(1 + 2 * np.arange(max_degree) / d)])
    if len(blocks) == 1:
        kind = _of_block(blocks[0], max_degree, math.sqrt(d), norms)
        return Harmonics(kind.table, kind.degrees, kind.residual, kind.gap)
    kinds = list(dict.fromkeys(blocks))
    found = [_of_block(kind, max_degree, math.sqrt(d), np.ones_like(norms)) for kind in kinds]
    members = [[place for place, block in enumerate(blocks) if block == kind] for kind in kinds]
    starts = np.cumsum([0, *(block.size for block in blocks)])
    joined = joined_harmonics(
        [block.size for block in blocks],
        [found[kinds.index(block)].degrees[1:].tolist() for block in blocks],
        max_degree,
    )
    rows: list[list[int]] = [[] for _ in blocks]  # of the harmonics of each block
    end = 1
    for one, places in zip(found, members, strict=True):
        count = len(one.degrees) - 1
        for position, place in enumerate(places):
            rows[place] = [end + i * len(places) + position for i in range(count)]
        end += count * len(places)
    order = np.argsort(np.concatenate(members), kind="stable")
    table = BlockProducts(
        tables=tuple(one.table if len(one.degrees) > 1 else None for one in found),
        coordinates=tuple(
            jnp.asarray(starts[places][:, None] + np.arange(kind.size), jnp.int32)
            for kind, places in zip(kinds, members, strict=True)
        ),
        order=jnp.asarray(order, jnp.int32),
        stems=jnp.asarray(joined.stems, jnp.int32),
        rise=jnp.asarray(joined.rise, float),
        centre=jnp.asarray(joined.centre, float),
        fall=jnp.asarray(joined.fall, float),
        harmonics=jnp.asarray(np.asarray([0, *sum(rows, [])])[joined.factors[:, 0]], jnp.int32),
        radials=jnp.asarray(joined.factors[:, 1], jnp.int32),
        factors=jnp.asarray(joined.functions, jnp.int32),
        scales=jnp.asarray(norms[joined.degrees], float),
        scale=math.sqrt(d),
        num_functions=len(joined.degrees),
    )
    return Harmonics(
        table, joined.degrees, max(one.residual for one in found), min(one.gap for one in found)
    )


def _of_block(block: Block, max_degree: int, scale: float, norms: Float[np.ndarray, " _"]) -> Harmonics:
    """The harmonics of one block, of Fischer norm norms[k] in the scaled coordinates."""
    n = block.size
    top = max_degree if n > 1 else min(max_degree, 1)  # of one variable only 1 and x are harmonic
    powers = tuple(range(2, top + 1, 2) if block.signed else range(1, top + 1))
    polynomials = max(multiset_series(n, top, list(powers)))
    if polynomials > _MAX_POLYNOMIALS:
        raise ValueError(
            f"max_eigenvalue or max_functions: {n} permuted coordinates have {polynomials:,} symmetric "
            f"polynomials of one degree <= {top}, and the route 'harmonic' takes a null space among at "
            f"most {_MAX_POLYNOMIALS:,}; lower it."
        )
    with jax.enable_x64(True):  # whatever the session
        index = multisets(powers, top, n)
        found = block_harmonics(np.asarray(index.counts), powers, n)
        by_sums = bool(powers) and n >= _COORDINATES_PER_PART * index.max_size
        changes = in_power_sums(index, powers, n) if by_sums else None
    places = np.concatenate(found.places)
    if changes is None:
        table = SymmetricPolynomials(
            index=jax.tree.map(jnp.asarray, index),
            places=jnp.asarray(places, jnp.int32),
            powers=powers,
            num_coordinates=n,
            scale=scale,
            num_functions=len(places),
        )
        matrices = found.coefficients
    else:
        table = PowerSumProducts(
            factors=jnp.asarray(_parts(np.asarray(index.counts)[places], powers), jnp.int32),
            max_degree=powers[-1],
            num_coordinates=n,
            scale=scale,
            num_functions=len(places),
        )
        matrices = [
            changes[degree].T @ matrix
            for degree, matrix in zip(found.degrees, found.coefficients, strict=True)
        ]
    sizes = [matrix.shape[1] for matrix in matrices]
    combinations = LinearCombinations(
        table=table,
        coefficients=tuple(
            jnp.asarray(norms[degree] * matrix, float)
            for degree, matrix in zip(found.degrees, matrices, strict=True)
        ),
        num_functions=sum(sizes),
    )
    return Harmonics(combinations, np.repeat(found.degrees, sizes), found.residual, found.gap)


def _parts(counts: Int[np.ndarray, "D q"], powers: Sequence[int]) -> Int[np.ndarray, "s D"]:
    """The parts of each partition, padded with 0."""
    parts = [np.repeat(powers, row) for row in counts]
    width = max(1, *map(len, parts))
    return np.stack([np.pad(row, (0, width - len(row))) for row in parts], axis=1)
