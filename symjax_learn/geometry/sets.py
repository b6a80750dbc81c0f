"""Ordered sets of points of one space: Mⁿ, on which permutations of the points act."""

import itertools
import math
from collections.abc import Hashable, Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, FloatArray, Key, checked_count
from symjax_learn.geometry.separable import coordinate_products
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    FunctionKernels,
    Level,
    checked_points,
    flatten_points,
    function_kernels,
)
from symjax_learn.geometry.spectra import RELATIVE, equal_sums

# The list of levels is refused beyond so many multisets of levels of one point.
_MAX_MULTISETS = 10**6

# Of one level of the set: how many points are in which nonconstant level of their space, by its key.
Occupation = tuple[tuple[Hashable, int], ...]


class PointProducts(AbstractFunctions):
    """φ_a(x_1, …, x_n) = Π_j φ_{a_j}(x_j), products of the functions of one point.

    Attributes:
        table: the functions of one point, φ_0 = 1 the first.
        factors: for each function its rows v·n + j in the table of all φ_v(x_j), padded with row 0,
            ``(s, D)``.
    """

    table: AbstractFunctions
    factors: Int[Array, "s D"]
    num_points: int = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """Those of all points, and the products."""
        return self.num_points * (self.table.width + self.table.num_functions) + self.num_functions

    def rows(self, points: Float[Array, "batch n ..."]) -> Float[Array, "D batch"]:
        """``(batch, n, *point) -> (num_functions, batch)``. Cost: s products for each function."""
        batch = points.shape[0]
        single = self.table.rows(points.reshape(batch * self.num_points, *points.shape[2:]))
        single = single.reshape(len(single), batch, self.num_points).swapaxes(1, 2)
        rows = single.reshape(single.shape[0] * self.num_points, batch)
        return coordinate_products(rows, self.factors)


class SetKernels(AbstractKernels):
    """K_λ(x, y) = Σ_c T_c over the occupations c of λ.

    T_c is the coefficient of Π_μ t_μ^{c_μ} in Π_j (1 + Σ_μ t_μ K_μ(x_j, y_j)), the product over the
    points and the sum over the nonconstant levels μ of one point. The occupations and all that are
    contained in them are found together in one pass over the points: T_c += T_{c − e_μ} K_μ(x_j, y_j).

    Attributes:
        single: the kernels of the nonconstant levels of one point.
        smaller: for each occupation and each μ the row of c − e_μ; the last, of zeros, where
            c has no μ, ``(C, levels)``.
        wanted: the rows of the occupations of all levels, and
        owners: the level of each.
    """

    single: AbstractKernels
    smaller: Int[Array, "C m"]
    wanted: Int[Array, " _"]
    owners: Int[Array, " _"]
    point_rank: int = eqx.field(static=True)
    num_levels: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """Those of one point, and two tables of all occupations."""
        return self.single.width + 2 * self.smaller.size

    def rows(self, x: Array, y: Array) -> Array:
        """Cost: for each point its kernels, and one product for each occupation and level in it."""
        x, y = (jnp.moveaxis(points, -self.point_rank - 1, 0) for points in (x, y))
        batch = jnp.broadcast_shapes(
            *(points.shape[1 : points.ndim - self.point_rank] for points in (x, y))
        )
        num_sets = self.smaller.shape[0]
        first = jnp.zeros((num_sets + 1, *batch), x.dtype).at[0].set(1)  # the last row stays 0

        def include(table: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
            kernels = jnp.broadcast_to(self.single.rows(*pair), (self.smaller.shape[1], *batch))
            grown = jnp.sum(table[self.smaller] * kernels[None], axis=1)
            return table.at[:-1].add(grown), None

        table, _ = jax.lax.scan(include, first, (x, y))
        return jax.ops.segment_sum(table[self.wanted], self.owners, self.num_levels)


class Sets(AbstractSpace):
    """Sets of n points of one space: the product Mⁿ, whose points are the rows of an array.

    A point is ``(num_points, *point)``. The points of a set are ordered here; a group that permutes them
    makes them a set. Eigenvalues of −Δ: sums of n eigenvalues of M. Eigenfunctions: Π_j φ_{a_j}(x_j);
    within a level by the occupation (which levels of M are taken, and by how many points), then by the
    points that are not in the constant, then by their levels and functions, all lexicographic. Nothing
    but the list of levels is made before functions are asked for, so that n may be large.

    Args:
        space: M, of one point.
        num_points: n ≥ 1.

    Raises:
        TypeError: ``space`` is no space, or ``num_points`` no integer.
        ValueError: no point, or a space that is not connected.

    >>> import symjax_learn as sj
    >>> space = sj.Sets(sj.Sphere(2), 4)
    >>> space.point_shape, [(level.eigenvalue, level.multiplicity) for level in space.levels(4)]
    ((4, 3), [(0.0, 1), (2.0, 12), (4.0, 54)])
    """

    space: AbstractSpace
    num_points: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __init__(self, space: AbstractSpace, num_points: int):
        """Refuse what is no set of points."""
        if not isinstance(space, AbstractSpace):
            raise TypeError(f"space: expected a space, such as Sphere(2), and got {space!r}.")
        constants = space.levels(0.0)[0].multiplicity
        if constants != 1:
            raise ValueError(
                f"space: expected a connected one and got one of {constants} pieces; use "
                "Product(space, ..., space), or the pieces by themselves."
            )
        self.space = space
        self.num_points = checked_count("num_points", num_points)
        self.dimension = self.num_points * space.dimension

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(num_points, *point_shape)`` of one point."""
        return (self.num_points, *self.space.point_shape)

    @property
    def volume(self) -> float:
        """vol(M)^n; infinite where that is no float."""
        return math.exp(self.log_volume) if self.log_volume < 700 else math.inf

    @property
    def log_volume(self) -> float:
        """n·log vol(M)."""
        return self.num_points * self.space.log_volume

    @property
    def cardinality(self) -> int | float:
        """|M|^n."""
        size = self.space.cardinality
        return size if size == math.inf else size**self.num_points

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the tuple of the occupations of equal sum.

        Raises:
            ValueError: more than 10^6 occupations, or the space refuses.
        """
        bound = max_eigenvalue * (1 + RELATIVE)
        single = self.space.levels(bound)[1:]
        found: list[tuple[float, int, Occupation]] = []
        for counts in self._occupations([level.eigenvalue for level in single], bound):
            if len(found) == _MAX_MULTISETS:
                raise ValueError(
                    f"max_eigenvalue or max_functions: more than {_MAX_MULTISETS:,} multisets of levels "
                    "of one point; lower it."
                )
            taken = [(level, count) for level, count in zip(single, counts, strict=False) if count]
            total = math.fsum(count * level.eigenvalue for level, count in taken)
            functions, free = 1, self.num_points
            for level, count in taken:
                functions *= math.comb(free, count) * level.multiplicity**count
                free -= count
            found.append((total, functions, tuple((level.key, count) for level, count in taken)))
        return [
            Level(
                found[places[0]][0],
                sum(found[place][1] for place in places),
                tuple(found[place][2] for place in places),
            )
            for places in equal_sums([total for total, *_ in found])
        ]

    def _occupations(self, eigenvalues: Sequence[float], bound: float) -> Iterator[tuple[int, ...]]:
        """How many points are in each of these levels, at most n in all, of at most this sum."""
        slack = bound * (1 + RELATIVE)

        def extended(counts: tuple[int, ...], total: float, left: int) -> Iterator[tuple[int, ...]]:
            yield counts
            for place in range(max(0, len(counts) - 1), len(eigenvalues)):
                if not left or total + eigenvalues[place] > slack:
                    return
                wide = counts + (0,) * (place + 1 - len(counts))
                more = (*wide[:-1], wide[-1] + 1)
                yield from extended(more, total + eigenvalues[place], left - 1)

        return extended((), 0.0, self.num_points)

    def functions(self, levels: Sequence[Level]) -> PointProducts:
        """The products of the functions of one point.

        Raises:
            ValueError: they do not fit into memory.
        """
        factors = self.factors(levels)
        return PointProducts(
            table=self.space.functions(list(self.single_levels(levels).values())),
            factors=jnp.asarray(factors.T, jnp.int32),
            num_points=self.num_points,
            num_functions=len(factors),
        )

    def kernels(self, levels: Sequence[Level]) -> SetKernels | FunctionKernels:
        """From the kernels of one point: no function is made."""
        single = list(self.single_levels(levels).values())[1:]
        if not single:
            return function_kernels(self, levels)
        order = {level.key: i for i, level in enumerate(single)}
        wanted = [[_counts(one, order) for one in occupations_of(level)] for level in levels]
        known = {(0,) * len(single): 0}
        for counts in sorted(set(sum(wanted, []))):
            for part in itertools.product(*(range(count + 1) for count in counts)):
                known.setdefault(part, len(known))
        smaller = np.full((len(known), len(single)), len(known))
        for counts, row in known.items():
            for i, count in enumerate(counts):
                if count:
                    smaller[row, i] = known[(*counts[:i], count - 1, *counts[i + 1 :])]
        owners = np.repeat(np.arange(len(levels)), [len(of_level) for of_level in wanted])
        return SetKernels(
            single=self.space.kernels(single),
            smaller=jnp.asarray(smaller, jnp.int32),
            wanted=jnp.asarray([known[counts] for counts in sum(wanted, [])], jnp.int32),
            owners=jnp.asarray(owners, jnp.int32),
            point_rank=len(self.space.point_shape),
            num_levels=len(levels),
        )

    def single_levels(self, levels: Sequence[Level]) -> dict[Hashable, Level]:
        """The levels of one point that occur in these, by their keys; the constant is the first."""
        used = {key for level in levels for one in occupations_of(level) for key, _ in one}
        top = max(level.eigenvalue for level in levels) * (1 + RELATIVE)
        known = self.space.levels(top)
        found = {level.key: level for i, level in enumerate(known) if not i or level.key in used}
        if len(found) <= len(used) and used - set(found):
            raise TypeError(f"level: {used} are not all keys of {type(self.space).__name__}.")
        return found

    def factors(self, levels: Sequence[Level]) -> Int[np.ndarray, "D s"]:
        """For each function the codes v·n + j of its nonconstant factors φ_v(x_j), j ascending, then 0.

        v numbers the functions of :meth:`single_levels`, the constant being 0.

        Raises:
            ValueError: they do not fit into memory.
        """
        sizes = [sum(count for _, count in one) for level in levels for one in occupations_of(level)]
        width = max(1, *sizes)
        count = sum(level.multiplicity for level in levels)
        refuse_beyond(
            MEMORY_LIMIT,
            32 * count * width,
            f"levels: a table of {count:,} products" if count < 10**15 else "levels: a table",
            "Ask for lower levels, or for the invariant functions alone.",
        )
        single = self.single_levels(levels)
        ends = np.cumsum([0, *(level.multiplicity for level in single.values())]).tolist()
        ranges = {key: (ends[i], ends[i + 1]) for i, key in enumerate(single)}
        blocks = [
            self._products_of(one, ranges, width) for level in levels for one in occupations_of(level)
        ]
        return np.concatenate(blocks)

    def _products_of(
        self, occupation: Occupation, ranges: dict[Hashable, tuple[int, int]], width: int
    ) -> Int[np.ndarray, "_ s"]:
        """The codes of one occupation."""
        n, size = self.num_points, sum(count for _, count in occupation)
        places = np.asarray(list(itertools.combinations(range(n), size)), np.int64)
        places = places.reshape(math.comb(n, size), size)
        order = {key: i for i, (key, _) in enumerate(occupation)}
        keys = [key for key, count in occupation for _ in range(count)]
        arrangements = sorted(set(itertools.permutations(order[key] for key in keys)))
        names = list(order)
        functions = [
            list(itertools.product(*(range(*ranges[names[i]]) for i in row))) for row in arrangements
        ]
        values = np.asarray(sum(functions, []), np.int64)
        codes = (values[None] * n + places[:, None]).reshape(len(places) * len(values), size)
        return np.pad(codes, ((0, 0), (0, width - size)))

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch"]:
        """Independent uniform points."""
        return self.space.sample(key, (*shape, self.num_points))

    def check(self, points: AnyArray) -> None:
        """Every point of every set is one of the space; the message counts them through all sets."""
        flat, _ = flatten_points(self, points, "points")
        self.space.check(np.asarray(flat).reshape(-1, *self.space.point_shape))

    def project(self, points: FloatArray) -> Array:
        """Every point to the nearest one of the space."""
        return self.space.project(checked_points(self, points, "points"))


def _counts(occupation: Occupation, order: dict[Hashable, int]) -> tuple[int, ...]:
    """The numbers of points in all levels, in this order."""
    counts = [0] * len(order)
    for key, count in occupation:
        counts[order[key]] = count
    return tuple(counts)


def occupations_of(level: Level) -> tuple[Occupation, ...]:
    """The occupations of a level of a set, its exact key."""
    if not isinstance(level.key, tuple) or not all(isinstance(one, tuple) for one in level.key):
        raise TypeError(f"level: {level} is not a level of a set of points.")
    return level.key
