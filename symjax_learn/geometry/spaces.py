"""The contract of a space, of a level of its Laplacian, and of a table of functions on it."""

import abc
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

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
    def rows(self, points: Array) -> Array:
        """``(batch, *point) -> (num_functions, batch)``, functions first, nothing checked.

        This layout is the one that reductions over the batch want.
        """

    def combined(self, coefficients: Array, points: Array) -> Array:
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
            chunk_rows(self.width),
        )

    def columns(self, points: Array) -> Array:
        """``(batch, *point) -> (batch, num_functions)``, chunked."""
        return map_columns(self.rows, points, chunk_rows(self.width)).T


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
