"""Products of spaces, whose eigenvalues add and whose eigenfunctions multiply."""

import math
from collections.abc import Hashable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    Level,
    checked_points,
)
from symjax_learn.geometry.spectra import RELATIVE, equal_sums

# The list of levels is refused beyond so many combinations of the factors' levels.
_MAX_COMBINATIONS = 10**6


class FactorProducts(AbstractFunctions):
    """φ_j(x) = Π_f φ^f_{j_f}(x_f), a product of one function of each factor.

    Attributes:
        tables: the functions of each factor.
        indices: for each factor j_f, ``(D,)``.
        shapes: of a point of each factor.
    """

    tables: tuple[AbstractFunctions, ...]
    indices: tuple[Int[Array, " D"], ...]
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """Those of the factors, their functions, and the products."""
        return sum(table.width + table.num_functions for table in self.tables) + self.num_functions

    def rows(self, points: Float[Array, "batch ..."]) -> Float[Array, "D batch"]:
        """``(batch, …) -> (num_functions, batch)``. Cost: one product for each factor and function."""
        blocks = split_points(points.reshape(points.shape[0], -1), self.shapes)
        first, *others = (
            table.rows(block)[index]
            for table, block, index in zip(self.tables, blocks, self.indices, strict=True)
        )
        return math.prod(others, start=first)


class ProductKernels(AbstractKernels):
    """K_λ(x, y) = Σ_{λ_1 + … = λ} Π_f K_{λ_f}(x_f, y_f), over the combinations of factor levels.

    Attributes:
        factors: the kernels of each factor.
        indices: for each factor the level of each combination, ``(C,)``.
        owners: the level of the product to which it belongs, ascending.
        shapes: of a point of each factor.
    """

    factors: tuple[AbstractKernels, ...]
    indices: tuple[Int[Array, " C"], ...]
    owners: Int[Array, " C"]
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    num_levels: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """Those of the factors, their levels, and the combinations."""
        factors = sum(kernels.width + kernels.num_levels for kernels in self.factors)
        return factors + len(self.owners) + self.num_levels

    def rows(self, x: Float[Array, "*left d"], y: Float[Array, "*right d"]) -> Array:
        """``(*batch, d)`` twice ``-> (num_levels, *batch)``. One product for each combination."""
        pairs = zip(split_points(x, self.shapes), split_points(y, self.shapes), strict=True)
        first, *others = (
            kernels.rows(*pair)[index]
            for kernels, pair, index in zip(self.factors, pairs, self.indices, strict=True)
        )
        terms = math.prod(others, start=first)
        return jax.ops.segment_sum(terms, self.owners, self.num_levels, indices_are_sorted=True)


class Product(AbstractSpace):
    """The Riemannian product M_1 × … × M_k: points are rows of a point of each factor.

    A point is one vector, the factors' points raveled and concatenated; products of products flatten,
    which changes no point. Eigenvalues of −Δ: λ_1 + … + λ_k; sums that agree to a relative 1e-9 are one
    level, of multiplicity Σ Π_f m_f over the combinations of factor levels that give it. Orthonormal
    eigenfunctions: Π_f φ^f(x_f); within a level they are ordered by the combination, lexicographically
    by the factors' levels, and then lexicographically by the factors' functions.

    Args:
        spaces: the factors, at least one.

    Raises:
        TypeError: a factor is no space.
        ValueError: no factor.

    >>> import symjax_learn as sj
    >>> space = sj.Product(sj.Sphere(2), sj.Torus(1))
    >>> space.point_shape, [(level.eigenvalue, level.multiplicity) for level in space.levels(3)]
    ((4,), [(0.0, 1), (1.0, 2), (2.0, 3), (3.0, 6)])
    """

    spaces: tuple[AbstractSpace, ...]
    dimension: int = eqx.field(static=True)

    def __init__(self, *spaces: AbstractSpace):
        """Flatten products, and refuse what is no space."""
        if not spaces:
            raise ValueError("spaces: expected at least one space and got none.")
        for space in spaces:
            if not isinstance(space, AbstractSpace):
                raise TypeError(f"spaces: expected spaces, such as Torus(3), and got {space!r}.")
        self.spaces = tuple(
            factor
            for space in spaces
            for factor in (space.spaces if isinstance(space, Product) else (space,))
        )
        self.dimension = sum(space.dimension for space in self.spaces)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """The total number of entries of the factors' points."""
        return (sum(math.prod(shape) for shape in self._shapes),)

    @property
    def volume(self) -> float:
        """The product of the factors' volumes; infinite where that is no float."""
        return math.exp(self.log_volume) if self.log_volume < 700 else math.inf

    @property
    def log_volume(self) -> float:
        """The sum of the factors' log volumes."""
        return math.fsum(space.log_volume for space in self.spaces)

    @property
    def cardinality(self) -> int | float:
        """The product of the factors'; infinite where one is."""
        sizes = [space.cardinality for space in self.spaces]
        return math.inf if math.inf in sizes else math.prod(sizes)

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(space.point_shape for space in self.spaces)

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the tuple of the combinations of factor keys.

        Raises:
            ValueError: more than 10^6 combinations of factor levels, or a factor refuses.
        """
        bound = max_eigenvalue * (1 + RELATIVE)
        factors = [space.levels(bound) for space in self.spaces]
        positions = combinations_within(
            [[level.eigenvalue for level in levels] for levels in factors], bound
        )
        chosen = [[factors[f][i] for f, i in enumerate(row)] for row in positions.tolist()]
        sums = [math.fsum(level.eigenvalue for level in levels) for levels in chosen]
        return [
            Level(
                sums[group[0]],
                sum(math.prod(level.multiplicity for level in chosen[row]) for row in group),
                tuple(tuple(level.key for level in chosen[row]) for row in sorted(group)),
            )
            for group in equal_sums(sums)
            if sums[group[0]] <= bound
        ]

    def functions(self, levels: Sequence[Level]) -> FactorProducts:
        """The products of the factors' eigenfunctions."""
        combinations = [keys for level in levels for keys in self._combinations_of(level)]
        tables, starts, sizes = [], [], []
        for space, kept in zip(self.spaces, self._levels_of_factors(levels), strict=True):
            ends = np.cumsum([0, *(level.multiplicity for level in kept)]).tolist()
            tables.append(space.functions(kept))
            starts.append({level.key: end for level, end in zip(kept, ends[:-1], strict=True)})
            sizes.append({level.key: level.multiplicity for level in kept})
        blocks = [
            np.indices([size[key] for size, key in zip(sizes, keys, strict=True)]).reshape(len(keys), -1)
            + np.asarray([start[key] for start, key in zip(starts, keys, strict=True)])[:, None]
            for keys in combinations
        ]
        indices = np.concatenate(blocks, axis=1)
        return FactorProducts(
            tables=tuple(tables),
            indices=tuple(jnp.asarray(index, jnp.int32) for index in indices),
            shapes=self._shapes,
            num_functions=indices.shape[1],
        )

    def combinations(self, level: Level) -> list[tuple[Level, ...]]:
        """The levels of the factors that make up a level, in the order of its functions."""
        bound = level.eigenvalue * (1 + RELATIVE)
        known = [{one.key: one for one in space.levels(bound)} for space in self.spaces]
        return [
            tuple(levels[key] for levels, key in zip(known, keys, strict=True))
            for keys in self._combinations_of(level)
        ]

    def kernels(self, levels: Sequence[Level]) -> ProductKernels:
        """Sums of products of the factors' kernels."""
        combinations = [self._combinations_of(level) for level in levels]
        factors, indices = [], []
        kept_levels = self._levels_of_factors(levels)
        for factor, (space, kept) in enumerate(zip(self.spaces, kept_levels, strict=True)):
            places = {level.key: place for place, level in enumerate(kept)}
            rows = [places[keys[factor]] for of_level in combinations for keys in of_level]
            factors.append(space.kernels(kept))
            indices.append(jnp.asarray(rows, jnp.int32))
        owners = np.repeat(np.arange(len(levels)), [len(of_level) for of_level in combinations])
        return ProductKernels(
            factors=tuple(factors),
            indices=tuple(indices),
            owners=jnp.asarray(owners, jnp.int32),
            shapes=self._shapes,
            num_levels=len(levels),
        )

    def _levels_of_factors(self, levels: Sequence[Level]) -> list[list[Level]]:
        """For each factor those of its levels that occur, ascending."""
        combinations = [keys for level in levels for keys in self._combinations_of(level)]
        top = max(level.eigenvalue for level in levels) * (1 + RELATIVE)
        found = []
        for factor, space in enumerate(self.spaces):
            used = {keys[factor] for keys in combinations}
            found.append([level for level in space.levels(top) if level.key in used])
            if len(found[-1]) < len(used):
                raise TypeError(f"level: {used} are not all keys of {type(space).__name__}.")
        return found

    def _combinations_of(self, level: Level) -> tuple[tuple[Hashable, ...], ...]:
        keys = level.key
        if not isinstance(keys, tuple) or any(
            not isinstance(key, tuple) or len(key) != len(self.spaces) for key in keys
        ):
            raise TypeError(f"level: {level} is not a level of a product of {len(self.spaces)} spaces.")
        return keys

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch d"]:
        """Independent uniform points of the factors."""
        keys = jax.random.split(key, len(self.spaces))
        blocks = [
            space.sample(key, shape).reshape(*shape, math.prod(space.point_shape))
            for key, space in zip(keys, self.spaces, strict=True)
        ]
        return jnp.concatenate(blocks, axis=-1)

    def check(self, points: AnyArray) -> None:
        """Every block is a point of its factor; the message names the factor."""
        checked_points(self, points, "points")
        values = np.asarray(points).reshape(-1, *self.point_shape)
        start = 0
        for factor, (space, shape) in enumerate(zip(self.spaces, self._shapes, strict=True)):
            stop = start + math.prod(shape)
            try:
                space.check(values[:, start:stop].reshape(-1, *shape))
            except ValueError as error:
                found = str(error).removeprefix("points: ")
                raise ValueError(f"points: factor {factor}, {type(space).__name__}: {found}") from error
            start = stop

    def project(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """The nearest point of each factor."""
        points = checked_points(self, points, "points")
        blocks = zip(self.spaces, split_points(points, self._shapes), strict=True)
        nearest = [
            space.project(block).reshape(*points.shape[:-1], math.prod(space.point_shape))
            for space, block in blocks
        ]
        return jnp.concatenate(nearest, axis=-1)


def split_points(points: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """``(*batch, Σ sizes) -> [(*batch, *shape), …]``: the factors' points in a product's."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    blocks = jnp.split(points, ends[:-1].tolist(), axis=-1)
    return [
        block.reshape(*points.shape[:-1], *shape) for block, shape in zip(blocks, shapes, strict=True)
    ]


def combinations_within(
    eigenvalues: Sequence[Sequence[float]], bound: float
) -> Int[np.ndarray, "rows factors"]:
    """Positions in ascending lists whose sum is at most the bound, in lexicographic order."""
    sums, positions = np.zeros(1), np.zeros((1, 0), np.int64)
    slack = abs(bound) * RELATIVE  # equal sums that rounding or merging puts beyond the bound
    for values in map(np.asarray, eigenvalues):
        counts = np.searchsorted(values, bound + slack - sums, side="right")
        total = int(counts.sum())
        if total > _MAX_COMBINATIONS:
            raise ValueError(
                f"max_eigenvalue or max_functions: {total:,} combinations of levels of the factors and "
                f"at most {_MAX_COMBINATIONS:,} are listed; lower it."
            )
        parent = np.repeat(np.arange(len(sums)), counts)
        place = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        sums = sums[parent] + values[place]
        positions = np.concatenate([positions[parent], place[:, None]], axis=1)
    return positions
