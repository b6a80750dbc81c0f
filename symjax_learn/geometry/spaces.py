"""The contract of a space, of a level of its Laplacian, and of a table of functions on it."""

import abc
import math
from collections.abc import Hashable, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from symjax_learn._chunks import chunk_rows, map_columns
from symjax_learn._types import AnyArray, FloatArray, Key, as_array


class Level(NamedTuple):
    """One eigenspace of −Δ: all functions of equal eigenvalue.

    Attributes:
        eigenvalue: λ.
        multiplicity: its dimension, an exact Python integer.
        key: an exact name of the level, by which levels are compared (never by λ).
    """

    eigenvalue: float
    multiplicity: int
    key: Hashable


class AbstractFunctions(eqx.Module):
    """A finite table of real functions on a space, evaluated together.

    A pytree: its arrays are leaves, so that evaluation compiles once per shape.
    """

    num_functions: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Entries of working memory per point: bounds the chunks of an evaluation."""

    @abc.abstractmethod
    def rows(self, points: Any) -> Array:
        """``(batch, *point) -> (num_functions, batch)``, functions first, nothing checked.

        This layout is the one that reductions over the batch want.
        """

    def combined(self, coefficients: Array, points: Any) -> Array:
        """``coefficients @ rows(points)``, chunked so that the rows never exist at once.

        Args:
            coefficients: ``(outputs, num_functions)``.
            points: ``(batch, *point)``.

        Returns:
            ``(outputs, batch)``.
        """
        return map_columns(
            lambda chunk: jnp.matmul(coefficients, self.rows(chunk), precision="highest"),
            points,
            self._chunk(points),
        )

    def columns(self, points: Any) -> Array:
        """``(batch, *point) -> (batch, num_functions)``, chunked."""
        return map_columns(self.rows, points, self._chunk(points)).T

    def _chunk(self, points: Any) -> int:
        growth = points.growth if isinstance(points, PaddedSets) else 1
        return chunk_rows(self.width * growth)


class PaddedSets(eqx.Module):
    """Sets of unequal sizes, or of another size than those of the space, padded to one.

    Attributes:
        points: ``(batch, n', *point)``, or as the space writes sets of n' points; what is absent is
            not read.
        present: ``(batch, n')``, whether a point is there.
        normalization: see :class:`AbstractSetFunctions`.
        growth: how many times larger than a set of the space, rounded up.
    """

    points: Float[Array, "batch ..."]
    present: Bool[Array, "batch n"]
    normalization: Literal["mean", "sum"] = eqx.field(static=True)
    growth: int = eqx.field(static=True)

    @property
    def dtype(self) -> Any:
        """Of the points."""
        return self.points.dtype


class AbstractSetFunctions(AbstractFunctions):
    """A table of functions of sets of n points that mean the same for sets of n' points.

    A function φ_s is a sum m_s of N_s(n) equal terms, each of j of the points, over √N_s(n). On n'
    points it is √N_s(n)·m_s/N_s(n') (``"mean"``: means stay means), or m_s/√N_s(n) (``"sum"``: sums
    over points stay sums); 0 where n' < j. ``rows`` takes points of the space, or ``PaddedSets``.
    """

    @abc.abstractmethod
    def set_size(self, shape: tuple[int, ...]) -> int | None:
        """How many points a set of this shape has; ``None`` where it is not the shape of a set."""


def size_factors(
    num_points: int, present: Int[Array, " batch"], max_size: int, normalization: str, dtype: Any
) -> Float[Array, "size batch"]:
    """What turns m_s/√N_s(n') of sums over j of the points, j = 0, 1, …, into the value on n' points.

    √((n)_j/(n')_j) for ``"mean"`` and the inverse for ``"sum"``, (n)_j = n(n − 1)…(n − j + 1); 0
    beyond n'.
    """
    factors = [jnp.ones(present.shape, dtype)]
    for used in range(max_size):
        left = jnp.maximum(present - used, 1).astype(dtype)
        ratio = (num_points - used) / left if normalization == "mean" else left / (num_points - used)
        factors.append(jnp.where(present > used, factors[-1] * jnp.sqrt(ratio), 0.0))
    return jnp.stack(factors)


class AbstractKernels(eqx.Module):
    """The kernels K_λ(x, y) = Σ_j φ_j(x) φ_j(y) of some levels, each the sum over all of its functions.

    They do not depend on the choice of orthonormal functions. A pytree, as a table of functions is.
    """

    num_levels: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Entries of working memory for each pair of points: bounds the chunks of an evaluation."""

    @abc.abstractmethod
    def rows(self, x: Array, y: Array) -> Array:
        """``(*batch, *point)`` twice ``-> (num_levels, *batch)``, levels first, nothing checked.

        The two batches have equally many axes, and broadcast.
        """

    def combined(self, weights: Float[Array, " L"], x: Array, y: Array) -> Array:
        """Σ_λ w_λ K_λ(x, y), ``(*batch)``."""
        return jnp.tensordot(weights, self.rows(x, y), 1, precision="highest")


class FunctionKernels(AbstractKernels):
    """The kernels of a space that has no addition theorem, by its functions.

    Attributes:
        functions: of all levels, in order.
        multiplicities: the number of functions of each level.
        point_shape: of the space.
    """

    functions: AbstractFunctions
    multiplicities: tuple[int, ...] = eqx.field(static=True)
    point_shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def num_levels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One for each multiplicity."""
        return len(self.multiplicities)

    @property
    def width(self) -> int:
        """The functions, and what they need."""
        return self.functions.width + self.functions.num_functions

    def rows(self, x: Array, y: Array) -> Array:
        """Cost: all functions at x and at y, and one product for each function and pair."""
        ends = np.cumsum(self.multiplicities)[:-1].tolist()
        left, right = jnp.split(self._values(x), ends), jnp.split(self._values(y), ends)
        sums = [
            jnp.einsum("m...,m...->...", at_x, at_y, precision="highest")
            for at_x, at_y in zip(left, right, strict=True)
        ]
        return jnp.stack(sums)

    def _values(self, points: Array) -> Array:
        """``(*batch, *point) -> (num_functions, *batch)``."""
        batch = points.shape[: points.ndim - len(self.point_shape)]
        flat = points.reshape(math.prod(batch), *self.point_shape)
        values = map_columns(self.functions.rows, flat, chunk_rows(self.functions.width))
        return values.reshape(-1, *batch)


class AbstractSpace(eqx.Module):
    """A compact Riemannian manifold with the spectrum of its Laplacian; knows no group.

    Functions are orthonormal for the uniform *probability* measure; the first is the constant 1.
    A user's own space implements the abstract names below, in one file. A finite space, with a graph
    Laplacian, is one of dimension 0: its volume counts its points, and it names its ``cardinality``.

    Attributes:
        dimension: of the manifold.
        point_shape: the array shape of one point.
        volume: Riemannian volume.
    """

    dimension: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def point_shape(self) -> tuple[int, ...]:
        """The array shape of one point."""

    @property
    @abc.abstractmethod
    def volume(self) -> float:
        """Riemannian volume."""

    @property
    def log_volume(self) -> float:
        """Log of the volume, for spaces of a dimension at which the volume is no float."""
        return math.log(self.volume)

    @property
    def cardinality(self) -> int | float:
        """The number of points: an exact integer where it is finite, the number of all functions."""
        return math.inf

    @abc.abstractmethod
    def levels(self, max_eigenvalue: float) -> list[Level]:
        """All levels with λ ≤ max_eigenvalue, ascending; the first is the constant."""

    @abc.abstractmethod
    def functions(self, levels: Sequence[Level]) -> AbstractFunctions:
        """The orthonormal real eigenfunctions of these levels, in order, as one table."""

    @abc.abstractmethod
    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Array:
        """Uniform points, ``(*shape, *point_shape)``."""

    @abc.abstractmethod
    def check(self, points: AnyArray) -> None:
        """Raise when a point is not on the space. Values are read: outside a trace only."""

    @abc.abstractmethod
    def project(self, points: FloatArray) -> Array:
        """The nearest point of the space, in the Euclidean distance of coordinates.

        Traceable. NaN stays NaN, and a point of the space stays where it is, to rounding.

        Args:
            points: ``(*batch, *point_shape)``.

        Returns:
            ``(*batch, *point_shape)`` in the dtype of the points.

        Raises:
            TypeError: the points are not floating.
            ValueError: the shape is not that of points.

        >>> import symjax_learn as sj, jax.numpy as jnp
        >>> sj.Box(3).project(jnp.asarray([-0.5, 0.25, 2.0])).tolist()
        [0.0, 0.25, 1.0]
        """

    def kernels(self, levels: Sequence[Level]) -> AbstractKernels:
        """The kernels K_λ of these levels, in order: by the functions, unless a space knows better."""
        return function_kernels(self, levels)

    def eigenfunctions(self, level: Level, points: FloatArray) -> Array:
        """The orthonormal eigenfunctions of one level at a batch of points.

        Args:
            level: one of ``levels(...)``.
            points: ``(*batch, *point_shape)``.

        Returns:
            ``(*batch, multiplicity)``.
        """
        flat, batch = flatten_points(self, points, "points")
        return self.functions([level]).columns(flat).reshape(*batch, level.multiplicity)

    def reproducing_kernels(self, levels: Sequence[Level], x: FloatArray, y: FloatArray) -> Array:
        """K_λ(x, y) = Σ_j φ_j(x) φ_j(y) over the orthonormal functions of each level.

        K_λ reproduces the functions of its level, f(x) = E_y K_λ(x, y) f(y), and K_λ(x, x) has the
        multiplicity as its mean. Where the space has an addition theorem no function is formed, so
        that levels of any multiplicity cost the same; elsewhere it is the sum as it is written.

        Args:
            levels: of ``levels(...)``, at least one.
            x: ``(*batch, *point_shape)``.
            y: likewise, of the same dtype; the batches of x and y broadcast.

        Returns:
            ``(*batch, len(levels))``. Errors are about 1e-6 of √(K(x, x) K(y, y)) in float32, more for
            degrees beyond 30: see the spaces.

        Raises:
            TypeError: points that are not floating, or of two dtypes.
            ValueError: shapes that do not fit, no level, or a multiplicity beyond the dtype's range.

        >>> import symjax_learn as sj, jax.numpy as jnp
        >>> space = sj.Sphere(2)
        >>> north, east = jnp.asarray([0.0, 0.0, 1.0]), jnp.asarray([1.0, 0.0, 0.0])
        >>> space.reproducing_kernels(space.levels(6), north, east).tolist()  # (2l + 1) P_l(0)
        [1.0, 0.0, -2.5]
        """
        x, y = checked_points(self, x, "x"), checked_points(self, y, "y")
        if x.dtype != y.dtype:
            raise TypeError(f"y: expected the dtype of x, {x.dtype}, and got {y.dtype}; convert one.")
        if not levels:
            raise ValueError("levels: expected at least one level and got none.")
        check_multiplicities(levels, x.dtype)
        axes = len(self.point_shape)
        batches = x.shape[: x.ndim - axes], y.shape[: y.ndim - axes]
        try:
            np.broadcast_shapes(*batches)
        except ValueError:
            raise ValueError(
                f"y: its batch {batches[1]} does not broadcast against the batch {batches[0]} of x."
            ) from None
        rank = max(x.ndim, y.ndim)
        x, y = (points.reshape((1,) * (rank - points.ndim) + points.shape) for points in (x, y))
        return jnp.moveaxis(self.kernels(levels).rows(x, y), 0, -1)


def function_kernels(space: AbstractSpace, levels: Sequence[Level]) -> FunctionKernels:
    """The kernels of these levels as explicit sums over their functions."""
    multiplicities = tuple(level.multiplicity for level in levels)
    return FunctionKernels(space.functions(levels), multiplicities, space.point_shape)  # pyright: ignore[reportCallIssue]


def checked_points(space: AbstractSpace, points: AnyArray, name: str) -> Array:
    """The points as an array ``(*batch, *point_shape)`` of float32 or float64.

    Raises:
        TypeError: another dtype.
        ValueError: the trailing axes are not ``space.point_shape``.
    """
    points = as_array(name, points)
    shape = space.point_shape
    if points.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(
            f"{name}: points of {type(space).__name__} are floating-point numbers of 32 or 64 bits and "
            f"got {points.dtype}; convert them, for example with {name}.astype(float)."
        )
    if points.shape[max(0, points.ndim - len(shape)) :] != shape:
        raise ValueError(
            f"{name}: expected shape (*batch, {', '.join(map(str, shape))}) for points of "
            f"{type(space).__name__} and got {points.shape}."
        )
    return jnp.asarray(points)


def flatten_points(space: AbstractSpace, points: AnyArray, name: str) -> tuple[Array, tuple[int, ...]]:
    """``(*batch, *point) -> (Π batch, *point)`` and the batch shape; checked as above."""
    points = checked_points(space, points, name)
    batch = points.shape[: points.ndim - len(space.point_shape)]
    return points.reshape(math.prod(batch), *space.point_shape), batch


def check_multiplicities(levels: Sequence[Level], dtype: jnp.dtype) -> None:
    """Raise where a kernel at x = y, the multiplicity, is beyond the range of the dtype."""
    largest = max(level.multiplicity for level in levels)
    if largest > int(jnp.finfo(dtype).max):
        raise ValueError(
            f"levels: a multiplicity of about 2^{largest.bit_length()} is beyond the range of {dtype}; "
            "ask for lower levels, or use float64."
        )


def check_finite(points: AnyArray, name: str) -> None:
    """Raise ``ValueError`` naming the first row that holds NaN or infinity."""
    values = np.asarray(points)
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        rows = int(bad.reshape(len(values), -1).any(axis=1).sum()) if values.ndim else 1
        raise ValueError(
            f"{name}: row {where[0] if where else 0} is not finite ({values[where]}), as {rows} row(s) "
            "in all; remove or repair them."
        )
