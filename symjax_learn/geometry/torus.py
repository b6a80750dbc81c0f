"""The flat torus R^d/(period·Z)^d, and sums of plane waves on it."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key, checked_count
from symjax_learn.geometry.separable import AbstractSeparableKernels
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
)
from symjax_learn.geometry.spectra import sums_of_squares

# Eigenvalues that agree to this relative accuracy are equal, also against a truncation.
_RELATIVE = 1e-9
# The list of levels is refused beyond so many additions.
_MAX_WORK = 4e9


class PlaneWaveSums(AbstractFunctions):
    """φ_j(x) = a_j Σ_{i : owners_i = j} cos 2π(k_i·x/period + t_i).

    With one wave for each function these are the torus's eigenfunctions; with one for each element
    of an orbit, its invariant ones.

    Attributes:
        frequencies: k_i, integers ``(m, d)``.
        shifts: t_i, in periods ``(m,)``.
        owners: j of each wave, ascending ``(m,)``.
        amplitudes: a_j ``(num_functions,)``.
        period: of the torus.
    """

    frequencies: Int[Array, "m d"]
    shifts: Float[Array, " m"]
    owners: Int[Array, " m"]
    amplitudes: Float[Array, " D"]
    period: float = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """One cosine for each wave."""
        return self.frequencies.shape[0]

    def rows(self, points: Float[Array, "batch d"]) -> Float[Array, "D batch"]:
        """``(batch, d) -> (num_functions, batch)``. Cost: m(2d + one cosine) per point.

        Points are reduced to one period first, so that float32 keeps an absolute error of about
        1e-6·|k|.
        """
        dtype = points.dtype
        unit = points / self.period
        unit = unit - jnp.floor(unit)
        phases = jnp.matmul(self.frequencies.astype(dtype), unit.T, precision="highest")
        phases = phases + self.shifts.astype(dtype)[:, None]
        waves = cosine_of_turns(phases)
        if self.width != self.num_functions:
            waves = jax.ops.segment_sum(waves, self.owners, self.num_functions, indices_are_sorted=True)
        return self.amplitudes.astype(dtype)[:, None] * waves


class PlaneWaveKernels(AbstractSeparableKernels):
    """K_N(x, y) = Σ_{|k|² = N} Π_i cos(2πk_i(x_i − y_i)/period), k_i and −k_i as one entry."""

    totals: tuple[int, ...] = eqx.field(static=True)
    sizes: tuple[int, ...] = eqx.field(static=True)
    period: float = eqx.field(static=True)

    def table(self, points: Float[Array, "*batch d"]) -> Float[Array, "d v r *batch"]:
        """√2 cos and √2 sin of 2πvx_i/period."""
        unit = points / self.period
        turns = jnp.moveaxis(unit - jnp.floor(unit), -1, 0)[:, None]
        entries = jnp.arange(1, len(self.sizes) + 1, dtype=points.dtype)
        phases = entries.reshape(1, -1, *[1] * (points.ndim - 1)) * turns
        return math.sqrt(2) * cosine_of_turns(jnp.stack([phases, phases - 0.25], axis=2))


class Torus(AbstractSpace):
    """The flat torus R^d/(period·Z)^d with coordinates taken modulo the period.

    Eigenvalues of −Δ: (2π/period)²|k|² for integer vectors k. Real orthonormal eigenfunctions: 1, and
    √2 cos(2πk·x/period), √2 sin(2πk·x/period) for one k of each pair ±k; within a level first all
    cosines and then all sines, k in lexicographic order with its first nonzero entry positive.

    Args:
        dimension: d ≥ 1.
        period: of every coordinate, a positive number (default 2π, for which λ = |k|²).

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Torus(2).levels(2)]
    [(0.0, 1), (1.0, 4), (2.0, 4)]
    """

    dimension: int = eqx.field(static=True)
    period: float = eqx.field(static=True)

    def __init__(self, dimension: int, period: float = 2 * math.pi):
        """Refuse what is no torus."""
        self.dimension = checked_count("dimension", dimension)
        number = np.asarray(period)
        if number.shape != () or number.dtype.kind not in "fiu" or not 1e-100 < float(number) < 1e100:
            raise ValueError(f"period: expected a positive finite number and got {period!r}.")
        self.period = float(number)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(dimension,)``."""
        return (self.dimension,)

    @property
    def volume(self) -> float:
        """period^dimension; infinite where that is no float."""
        return math.exp(self.log_volume) if self.log_volume < 700 else math.inf

    @property
    def log_volume(self) -> float:
        """Dimension·log(period)."""
        return self.dimension * math.log(self.period)

    @property
    def unit_eigenvalue(self) -> float:
        """(2π/period)², the eigenvalue of |k|² = 1."""
        return (2 * math.pi / self.period) ** 2

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is |k|². No frequency is enumerated.

        Raises:
            ValueError: the list of levels alone would take minutes.
        """
        max_norm = math.floor(max_eigenvalue / self.unit_eigenvalue * (1 + _RELATIVE))
        if max_norm + (self.dimension - 1) * max_norm**1.5 > _MAX_WORK:
            raise ValueError(
                f"max_eigenvalue or max_functions: |k|² up to {max_norm:,} asks for too long a list of "
                "levels of the torus; lower it."
            )
        counts = sums_of_squares(self.dimension, max_norm)
        return [
            Level(norm * self.unit_eigenvalue, count, norm) for norm, count in enumerate(counts) if count
        ]

    def functions(self, levels: Sequence[Level]) -> PlaneWaveSums:
        """The eigenfunctions of these levels as single plane waves."""
        blocks, shifts = [], []
        for half in self.half_frequencies(levels):
            if not half.any():
                blocks, shifts = [*blocks, half], [*shifts, np.zeros(1)]
                continue
            blocks += [half, half]  # cos(θ − π/2) = sin θ
            shifts += [np.zeros(len(half)), np.full(len(half), -0.25)]
        frequencies = np.concatenate(blocks)
        amplitudes = np.where(frequencies.any(axis=1), math.sqrt(2), 1.0)
        return plane_wave_sums(
            self, frequencies, np.concatenate(shifts), np.arange(len(frequencies)), amplitudes
        )

    def kernels(self, levels: Sequence[Level]) -> PlaneWaveKernels:
        """By the addition theorem of cosine and sine: no frequency is enumerated."""
        totals = tuple(level_norm(level) for level in levels)
        sizes = tuple(v * v for v in range(1, math.isqrt(max(totals)) + 1))
        return PlaneWaveKernels(totals=totals, sizes=sizes, period=self.period)

    def half_frequencies(self, levels: Sequence[Level]) -> list[Int[np.ndarray, "half d"]]:
        """For each level, one frequency of each pair ±k: its first nonzero entry is positive."""
        keys = np.asarray([level_norm(level) for level in levels])
        vectors = integer_vectors(self.dimension, int(keys.max()))
        first = vectors[np.arange(len(vectors)), np.argmax(vectors != 0, axis=1)]
        vectors = vectors[first >= 0]
        norms = np.sum(vectors.astype(np.int64) ** 2, axis=1)
        order = np.argsort(norms, kind="stable")
        starts, ends = (np.searchsorted(norms[order], keys, side) for side in ("left", "right"))
        return [vectors[order[i:j]] for i, j in zip(starts, ends, strict=True)]

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch d"]:
        """Uniform points in [0, period)^d."""
        return self.period * jax.random.uniform(key, (*shape, self.dimension))

    def check(self, points: AnyArray) -> None:
        """Every finite point of R^d is a point of the torus."""
        check_finite(points, "points")

    def project(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """The same point of the torus with coordinates in [0, period)."""
        points = checked_points(self, points, "points")
        reduced = jnp.mod(points, self.period)
        return jnp.where(reduced >= self.period, 0, reduced)  # what a small negative one rounds to


@jax.custom_jvp
def cosine_of_turns(turns: Array) -> Array:
    """cos(2πt), to about 4 units of rounding, from its Taylor series on half a turn.

    As 1 − 2 sin²(πt) with t reduced exactly to [−½, ½] by rounding: a polynomial, so that it fuses
    with what makes t (4 times faster than a library cosine on CPU). Its derivative is
    2π cos 2π(t + ¼), of which a reverse pass keeps one array and not each step of the series.
    """
    turns = turns - jnp.round(turns)
    terms = 8 if turns.dtype == jnp.float32 else 12
    square = (math.pi * turns) ** 2
    series = jnp.full_like(square, (-1) ** (terms - 1) / math.factorial(2 * terms - 1))
    for k in range(terms - 2, -1, -1):
        series = series * square + (-1) ** k / math.factorial(2 * k + 1)
    return 1 - 2 * square * series**2


@cosine_of_turns.defjvp
def _cosine_of_turns_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (turns,), (rate,) = primals, tangents
    slope = 2 * math.pi * cosine_of_turns(turns + 0.25)
    return cosine_of_turns(turns), slope * rate


def plane_wave_sums(
    torus: Torus,
    frequencies: np.ndarray,
    shifts: np.ndarray,
    owners: np.ndarray,
    amplitudes: np.ndarray,
) -> PlaneWaveSums:
    """Finished arrays from float64 set-up work."""
    return PlaneWaveSums(
        frequencies=jnp.asarray(frequencies, jnp.int32),
        shifts=jnp.asarray(shifts, float),
        owners=jnp.asarray(owners, jnp.int32),
        amplitudes=jnp.asarray(amplitudes, float),
        period=torus.period,
        num_functions=len(amplitudes),
    )


def level_norm(level: Level) -> int:
    """|k|² of a level of the torus, its exact key."""
    if not isinstance(level.key, int):
        raise TypeError(f"level: {level} is not a level of a torus.")
    return level.key


def integer_vectors(dimension: int, max_norm: int) -> Int[np.ndarray, "D d"]:
    """All integer vectors with |k|² ≤ max_norm, in lexicographic order. Cost: O(D·d)."""
    radius = math.isqrt(max_norm)
    entries = np.arange(-radius, radius + 1, dtype=np.int32)
    budgets = np.asarray([max_norm], np.int64)
    steps = []  # for each coordinate: the prefix that each vector extends, and its entry
    for _ in range(dimension):
        left = budgets[:, None] - entries.astype(np.int64) ** 2
        rows, columns = np.nonzero(left >= 0)
        budgets = left[rows, columns]
        steps.append((rows, columns))
    vectors = np.empty((len(budgets), dimension), np.int32)
    prefixes = np.arange(len(budgets))
    for coordinate, (rows, columns) in reversed(list(enumerate(steps))):
        vectors[:, coordinate] = entries[columns[prefixes]]
        prefixes = rows[prefixes]
    return vectors
