"""The hypercube {±1}^n, and its characters: products of coordinates."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, FloatArray, Key, checked_count
from symjax_learn.geometry.separable import AbstractSeparableKernels
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
    flatten_points,
)
from symjax_learn.geometry.spectra import RELATIVE


class Characters(AbstractFunctions):
    """χ_S(x) = Π_{i ∈ S} x_i for all subsets S of the sizes asked for, each size lexicographic.

    A subset of size s extends its s − 1 first elements by its last one: χ_S = χ_{S∖last} · x_last. So
    each character costs one product, and no subset is ever stored. Of a size that is not asked for only
    the beginnings of larger subsets are kept. Off the cube these are the same multilinear polynomials.

    Attributes:
        parents: for each size 1, 2, … the row of S∖last among the subsets of the size below, and
        last: the last element of S.
        sizes: the sizes asked for, in order.
    """

    parents: tuple[Int[Array, " _"], ...]
    last: tuple[Int[Array, " _"], ...]
    sizes: tuple[int, ...] = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The characters of all sizes."""
        return 1 + sum(len(rows) for rows in self.parents)

    def rows(self, points: Float[Array, "batch n"]) -> Float[Array, "D batch"]:
        """``(batch, n) -> (num_functions, batch)``. Cost: one product for each character."""
        x = points.T
        table = [jnp.ones_like(x[:1])]
        for parents, last in zip(self.parents, self.last, strict=True):
            table.append(table[-1][parents] * x[last])
        return jnp.concatenate([table[size] for size in self.sizes])


class CharacterKernels(AbstractSeparableKernels):
    """K_s(x, y) = Σ_{|S| = s} Π_{i ∈ S} x_i y_i, the elementary symmetric polynomials of the x_i y_i.

    On the cube Krawtchouk's polynomials of the number of places where x and y differ: integers, exact
    while the multiplicity is at most 2^24 in float32 and 2^53 in float64. Off it the same multilinear
    polynomials as the sum of the characters.
    """

    totals: tuple[int, ...] = eqx.field(static=True)
    sizes: tuple[int, ...] = eqx.field(static=True)

    def table(self, points: Float[Array, "*batch n"]) -> Float[Array, "n v r *batch"]:
        """The coordinates, unless the constant alone is asked for."""
        return jnp.moveaxis(points, -1, 0)[:, None, None][:, : len(self.sizes)]


class Hypercube(AbstractSpace):
    """The vertices {±1}^n of a cube, neighbours where one coordinate differs.

    A finite space: its dimension is 0, its volume the number 2^n of its points. The graph Laplacian
    (−Δf)(x) = Σ_i (f(x) − f(x with coordinate i negated)) has the characters χ_S(x) = Π_{i ∈ S} x_i as
    eigenfunctions, of eigenvalue 2|S| and multiplicity C(n, |S|). They are orthonormal for the uniform
    probability measure; within a level S runs through its subsets in lexicographic order. Exact in
    float32: all values are ±1.

    Args:
        num_coordinates: n ≥ 1.

    References:
        R. O'Donnell, *Analysis of Boolean Functions*, 2014, §1.2.

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Hypercube(3).levels(6)]
    [(0.0, 1), (2.0, 3), (4.0, 3), (6.0, 1)]
    """

    num_coordinates: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __init__(self, num_coordinates: int):
        """Refuse what is no cube."""
        self.num_coordinates = checked_count("num_coordinates", num_coordinates)
        self.dimension = 0

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(num_coordinates,)``."""
        return (self.num_coordinates,)

    @property
    def cardinality(self) -> int:
        """2^n."""
        return 2**self.num_coordinates

    @property
    def volume(self) -> float:
        """The number of points; infinite where that is no float."""
        return math.exp2(self.num_coordinates) if self.num_coordinates < 1024 else math.inf

    @property
    def log_volume(self) -> float:
        """n·log 2."""
        return self.num_coordinates * math.log(2)

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is |S|. No subset is enumerated."""
        largest = min(self.num_coordinates, max_eigenvalue / 2 * (1 + RELATIVE))
        return [
            Level(2.0 * size, math.comb(self.num_coordinates, size), size)
            for size in range(math.floor(largest) + 1)
        ]

    def functions(self, levels: Sequence[Level]) -> Characters:
        """The characters of these levels.

        Raises:
            ValueError: they do not fit into memory.

        Cost: O(num_functions) integers, and at most (n + 1)/(n + 1 − |S|) times as many.
        """
        sizes = [level_size(level) for level in levels]
        bounds = self._bounds(sizes)
        entries = sum(math.comb(bound, size) for size, bound in enumerate(bounds))
        refuse_beyond(
            MEMORY_LIMIT,
            32 * entries,
            f"levels: a table of {entries:,} characters" if entries < 10**15 else "levels: a table",
            "Ask for smaller subsets.",
        )
        parents, lasts, last = [], [], np.full(1, -1)
        for bound in bounds[1:]:
            extensions = np.maximum(bound - 1 - last, 0)
            parent = np.repeat(np.arange(len(last)), extensions)
            first = np.cumsum(extensions) - extensions
            last = last[parent] + 1 + np.arange(len(parent)) - first[parent]
            parents.append(jnp.asarray(parent, jnp.int32))
            lasts.append(jnp.asarray(last, jnp.int32))
        return Characters(
            parents=tuple(parents),
            last=tuple(lasts),
            sizes=tuple(sizes),
            num_functions=sum(math.comb(self.num_coordinates, size) for size in sizes),
        )

    def kernels(self, levels: Sequence[Level]) -> CharacterKernels:
        """By a product over the coordinates: no subset is enumerated."""
        totals = tuple(level_size(level) for level in levels)
        return CharacterKernels(totals=totals, sizes=(1,) if max(totals) else ())  # pyright: ignore[reportCallIssue]

    def _bounds(self, sizes: Sequence[int]) -> list[int]:
        """For each size b: its subsets of {0, …, b − 1} are needed, for themselves or as beginnings."""
        bounds = [self.num_coordinates] * (max(sizes) + 1)
        for size in range(max(sizes) - 1, -1, -1):
            if size not in sizes:
                bounds[size] = bounds[size + 1] - 1
        return bounds

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch n"]:
        """Independent fair signs."""
        return jax.random.rademacher(key, (*shape, self.num_coordinates), float)

    def check(self, points: AnyArray) -> None:
        """Every coordinate is exactly 1 or −1."""
        values = np.asarray(flatten_points(self, points, "points")[0])
        check_finite(values, "points")
        bad = np.argwhere(np.abs(values) != 1)
        if len(bad):
            row, place = bad[0]
            raise ValueError(
                f"points: row {row} has {values[row, place]} at coordinate {place}, as "
                f"{len(np.unique(bad[:, 0]))} row(s) in all are off the cube; every coordinate is "
                "1 or -1."
            )

    def project(self, points: FloatArray) -> Float[Array, "*batch n"]:
        """The sign of each coordinate; 1 for 0, from which both are equally far."""
        return signs(checked_points(self, points, "points"))


def signs(values: Array) -> Array:
    """1 where a value is at least 0, else −1; NaN stays."""
    return jnp.where(jnp.isnan(values), values, jnp.where(values >= 0, 1, -1).astype(values.dtype))


def level_size(level: Level) -> int:
    """|S| of a level of a hypercube or of graphs, its exact key."""
    if not isinstance(level.key, int):
        raise TypeError(f"level: {level} is not a level of a hypercube.")
    return level.key
