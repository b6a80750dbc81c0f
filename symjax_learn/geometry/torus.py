"""Flat tori R^d/(lattice), and sums of plane waves on them."""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key, as_array, checked_count
from symjax_learn.geometry.lattices import RELATIVE, DualForm, Shells, dual_form, shells
from symjax_learn.geometry.separable import AbstractSeparableKernels
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSpace,
    FunctionKernels,
    Level,
    check_finite,
    checked_points,
    function_kernels,
)
from symjax_learn.geometry.spectra import sums_of_squares

# The list of levels is refused beyond so many additions.
_MAX_WORK = 4e9
# Bases of a lattice whose rows, scaled to length 1, are worse conditioned are refused.
_MAX_CONDITION = 1e4


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
    """The flat torus R^d/(period·Z)^d of coordinates modulo the period; or R^d/L for a lattice L.

    Eigenvalues of −Δ: (2π/period)²|k|² for integer vectors k. Real orthonormal eigenfunctions: 1, and
    √2 cos(2πk·x/period), √2 sin(2πk·x/period) for one k of each pair ±k; within a level first all
    cosines and then all sines, k in lexicographic order with its first nonzero entry positive.

    Of another lattice (:meth:`from_lattice`) the points are the coordinates in its basis, times the
    period, so that eigenfunctions and affine groups are written alike on all tori: only the eigenvalues,
    the volume, and which maps are isometries know the lattice.

    Args:
        dimension: d ≥ 1.
        period: of every coordinate, a positive number (default 2π, for which λ = |k|²).
        vectors: the basis of the lattice as rows, ``(d, d)``; ``None`` is period·Z^d. Use
            :meth:`from_lattice`.

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Torus(2).levels(2)]
    [(0.0, 1), (1.0, 4), (2.0, 4)]
    """

    dimension: int = eqx.field(static=True)
    period: float = eqx.field(static=True)
    vectors: tuple[tuple[float, ...], ...] | None = eqx.field(static=True)

    def __init__(self, dimension: int, period: float = 2 * math.pi, vectors: Any = None):
        """Refuse what is no torus."""
        self.dimension = checked_count("dimension", dimension)
        number = np.asarray(period)
        if number.shape != () or number.dtype.kind not in "fiu" or not 1e-100 < float(number) < 1e100:
            raise ValueError(f"period: expected a positive finite number and got {period!r}.")
        self.period = float(number)
        self.vectors = None if vectors is None else _checked_vectors(vectors, self.dimension)

    @classmethod
    def from_lattice(cls, vectors: Any) -> "Torus":
        """The torus R^d/L of the lattice L = {Σ n_i a_i : n integer} of the rows a_i.

        A point is its lattice coordinates u, taken modulo 1: the point Σ u_i a_i of R^d, which
        :meth:`cartesian` gives (in crystallography u are fractional coordinates). With the Gram matrix
        G_ij = a_i·a_j the eigenvalues of −Δ are (2π)² kᵀG⁻¹k for integer vectors k, the squared lengths
        of the dual lattice, and u ↦ Au + b is an isometry if and only if AᵀGA = G. The eigenfunctions
        are √2 cos 2πk·u and √2 sin 2πk·u.

        Where G⁻¹ is rational up to a factor (denominators ≤ 10,000, to 1e-12) the levels are exact, and
        their key is the value of an integer quadratic form at k; of the cubic lattice |k|². Otherwise
        eigenvalues within a relative 1e-9 are one level, and the key is the last of its k in
        lexicographic order.

        Args:
            vectors: ``(d, d)`` in float64, linearly independent rows.

        Raises:
            TypeError: entries that are not real numbers.
            ValueError: another shape, entries that are not finite, or rows that are (nearly) dependent.

        Cost: none; levels take O(D·d²) for the D frequencies up to the truncation, |k|² on a cubic
        lattice excepted.

        References:
            J. Milnor, *Eigenvalues of the Laplace operator on certain manifolds*, PNAS 1964.

        >>> import symjax_learn as sj, math
        >>> height = math.sqrt(8 / 3)  # of close-packed spheres
        >>> space = sj.Torus.from_lattice(
        ...     [[1, 0, 0], [-1 / 2, math.sqrt(3) / 2, 0], [0, 0, height]])
        >>> [(level.key, level.multiplicity) for level in space.levels(100)]
        [(0, 1), (9, 2), (32, 6), (36, 2), (41, 12)]
        >>> zinc = sj.space_group("P6_3/mmc")  # no isometries of a cube
        >>> basis = sj.invariant_basis(space, zinc, max_eigenvalue=100)
        >>> basis.num_functions, basis.num_ambient
        (4, 23)
        """
        rows = as_array("vectors", vectors)
        return cls(rows.shape[0] if rows.ndim else 1, 1.0, rows)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(dimension,)``."""
        return (self.dimension,)

    @property
    def volume(self) -> float:
        """Period^dimension, or |det| of the lattice's basis; infinite where that is no float."""
        return math.exp(self.log_volume) if self.log_volume < 700 else math.inf

    @property
    def log_volume(self) -> float:
        """Dimension·log(period), or log |det|."""
        if self.vectors is None:
            return self.dimension * math.log(self.period)
        return float(np.linalg.slogdet(np.asarray(self.vectors))[1])

    @property
    def dual_form(self) -> DualForm | None:
        """The quadratic form kᵀG⁻¹k of the eigenvalues; ``None`` for period·Z^d."""
        return None if self.vectors is None else dual_form(np.asarray(self.vectors))

    @property
    def is_cubic(self) -> bool:
        """Whether the eigenvalues are multiples of |k|², so that signed permutations are isometries."""
        form = self.dual_form
        return form is None or form.is_cubic

    @property
    def unit_eigenvalue(self) -> float:
        """The eigenvalue of the key 1: (2π/period)², that of |k|² = 1, or that of the integer form."""
        form = self.dual_form
        return (2 * math.pi / self.period) ** 2 if form is None else (2 * math.pi) ** 2 * form.unit

    def cartesian(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """The points of R^d: Σ u_i a_i with u = points/period; on period·Z^d the points themselves.

        Args:
            points: ``(*batch, d)``, of the torus.
        """
        points = checked_points(self, points, "points")
        if self.vectors is None:
            return points
        return _times(points, np.asarray(self.vectors) / self.period)

    def fractional(self, positions: FloatArray) -> Float[Array, "*batch d"]:
        """The points of the torus of positions in R^d, not reduced to one period; see :meth:`cartesian`.

        Args:
            positions: ``(*batch, d)``, in the units of the lattice's vectors.

        >>> import symjax_learn as sj, jax.numpy as jnp
        >>> space = sj.Torus.from_lattice([[2, 0], [1, 1]])
        >>> space.fractional(jnp.asarray([1.5, 0.5])).tolist()
        [0.5, 0.5]
        """
        positions = checked_points(self, positions, "positions")
        if self.vectors is None:
            return positions
        return _times(positions, np.linalg.inv(np.asarray(self.vectors)) * self.period)

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is |k|², and then no frequency is enumerated.

        Of other lattices the key is as :meth:`from_lattice` says.

        Raises:
            ValueError: the list of levels alone would take minutes, or its frequencies much memory.
        """
        if not self.is_cubic:
            found = self._shells(max_eigenvalue)
            counts = np.bincount(found.shells).tolist()
            return [
                Level((2 * math.pi) ** 2 * value, count, key)
                for value, count, key in zip(found.values, counts, found.keys, strict=True)
            ]
        max_norm = math.floor(max_eigenvalue / self.unit_eigenvalue * (1 + RELATIVE))
        if max_norm + (self.dimension - 1) * max_norm**1.5 > _MAX_WORK:
            raise ValueError(
                f"max_eigenvalue or max_functions: |k|² up to {max_norm:,} asks for too long a list of "
                "levels of the torus; lower it."
            )
        unit, counts = self.unit_eigenvalue, sums_of_squares(self.dimension, max_norm)
        return [Level(norm * unit, count, norm) for norm, count in enumerate(counts) if count]

    def _shells(self, max_eigenvalue: float) -> Shells:
        """The frequencies of a torus that is not cubic."""
        form = self.dual_form
        assert form is not None
        return shells(form, max_eigenvalue / (2 * math.pi) ** 2)

    def frequencies(
        self, levels: Sequence[Level]
    ) -> tuple[Int[np.ndarray, "D d"], Int[np.ndarray, " D"]]:
        """All frequencies of these levels in lexicographic order, and the place of each one's level."""
        if self.is_cubic:
            wanted = [level_norm(level) for level in levels]
            vectors = integer_vectors(self.dimension, max(wanted))
            shells_of = np.sum(vectors.astype(np.int64) ** 2, axis=1)
        else:
            found = self._shells(max(level.eigenvalue for level in levels))
            shell_of_key = {key: shell for shell, key in enumerate(found.keys)}
            wanted = [shell_of_key[level.key] for level in levels]
            vectors, shells_of = found.vectors, found.shells
        place_of_shell = np.full(max(wanted) + 1, -1)
        place_of_shell[wanted] = np.arange(len(levels))
        places = place_of_shell[shells_of]
        return vectors[places >= 0], places[places >= 0]

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

    def kernels(self, levels: Sequence[Level]) -> PlaneWaveKernels | FunctionKernels:
        """By the addition theorem of cosine and sine: on the cubic torus no frequency is enumerated."""
        if not self.is_cubic:
            return function_kernels(self, levels)
        totals = tuple(level_norm(level) for level in levels)
        sizes = tuple(v * v for v in range(1, math.isqrt(max(totals)) + 1))
        return PlaneWaveKernels(totals=totals, sizes=sizes, period=self.period)  # pyright: ignore[reportCallIssue]

    def half_frequencies(self, levels: Sequence[Level]) -> list[Int[np.ndarray, "half d"]]:
        """For each level, one frequency of each pair ±k: its first nonzero entry is positive."""
        vectors, places = self.frequencies(levels)
        first = vectors[np.arange(len(vectors)), np.argmax(vectors != 0, axis=1)]
        vectors, places = vectors[first >= 0], places[first >= 0]
        order = np.argsort(places, kind="stable")
        return np.split(vectors[order], np.cumsum(np.bincount(places, minlength=len(levels)))[:-1])

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch d"]:
        """Uniform points in [0, period)^d."""
        return self.period * jax.random.uniform(key, (*shape, self.dimension))

    def check(self, points: AnyArray) -> None:
        """Every finite point of R^d is a point of the torus."""
        checked_points(self, points, "points")
        check_finite(points, "points")

    def project(self, points: FloatArray) -> Float[Array, "*batch d"]:
        """The same point of the torus with coordinates in [0, period)."""
        points = checked_points(self, points, "points")
        reduced = jnp.mod(points, self.period)
        return jnp.where(reduced >= self.period, 0, reduced)  # what a small negative one rounds to


def _checked_vectors(vectors: Any, dimension: int) -> tuple[tuple[float, ...], ...]:
    """The basis of a lattice as hashable numbers."""
    rows = as_array("vectors", vectors)
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"vectors: expected real numbers and got entries of type {rows.dtype}.")
    if rows.shape != (dimension, dimension):
        raise ValueError(
            f"vectors: expected the d vectors of a lattice of R^d as rows, shape (d, d), and got "
            f"{rows.shape}."
        )
    exact = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    if not (np.isfinite(exact).all() and (1e-100 < lengths).all() and (lengths < 1e100).all()):
        raise ValueError(f"vectors: expected finite vectors that are not zero and got {exact.tolist()}.")
    condition = float(np.linalg.cond(exact / lengths[:, None]))
    if not condition <= _MAX_CONDITION:
        raise ValueError(
            f"vectors: the rows {exact.tolist()} are nearly linearly dependent (condition "
            f"{condition:.1e}); give d independent vectors, a reduced basis of the lattice."
        )
    return tuple(map(tuple, exact.tolist()))


def _times(points: Array, matrix: np.ndarray) -> Array:
    """Rows times a matrix of set-up work, in the dtype of the points."""
    return jnp.matmul(points, jnp.asarray(matrix, points.dtype), precision="highest")


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
        raise TypeError(f"level: {level} is not a level of a cubic torus.")
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
