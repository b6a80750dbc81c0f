"""Finite sets of labels, and functions given by their values on a finite set."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, FloatArray, Key, checked_count
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
    flatten_points,
)
from symjax_learn.geometry.spectra import RELATIVE

# Every smaller integer is a number of float32.
MAX_POINTS = 2**24


class TabulatedFunctions(AbstractFunctions):
    """Functions on {0, …, k − 1} by their values; a point is its index as a number of shape ``(1,)``.

    An index is rounded to an integer, so that gradients are 0. Beyond 0..k−1 the values are NaN.

    Attributes:
        values: ``(num_functions, k)``.
    """

    values: Float[Array, "D k"]
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """One value for each function."""
        return self.num_functions

    def rows(self, points: Float[Array, "batch 1"]) -> Float[Array, "D batch"]:
        """``(batch, 1) -> (num_functions, batch)``. Cost: one look-up for each function."""
        places, inside = _places(points[:, 0], self.values.shape[1])
        found = self.values.astype(points.dtype)[:, jnp.where(inside, places, 0).astype(jnp.int32)]
        return jnp.where(inside[None], found, jnp.nan)


class LabelKernels(AbstractKernels):
    """1 and k·1[x = y] − 1, of the constant and of all other functions on k labels.

    Attributes:
        keys: of the levels, 0 for the constant.
        num_labels: k.
    """

    keys: tuple[int, ...] = eqx.field(static=True)
    num_labels: int = eqx.field(static=True)

    @property
    def num_levels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One for each key."""
        return len(self.keys)

    @property
    def width(self) -> int:
        """One value for each level."""
        return self.num_levels

    def rows(self, x: Float[Array, "*left 1"], y: Float[Array, "*right 1"]) -> Array:
        """``(*batch, 1)`` twice ``-> (num_levels, *batch)``; NaN beyond 0..k−1. One comparison."""
        (left, left_inside), (right, right_inside) = (
            _places(points[..., 0], self.num_labels) for points in (x, y)
        )
        same = (left == right).astype(x.dtype)
        others = self.num_labels * same - 1
        kernels = jnp.stack([others if key else jnp.ones_like(others) for key in self.keys])
        return jnp.where((left_inside & right_inside)[None], kernels, jnp.nan)


def _places(points: Array, count: int) -> tuple[Array, Array]:
    """The nearest integers, and whether they are in {0, …, count − 1}."""
    places = jnp.round(points)
    return places, (places >= 0) & (places < count)


class Labels(AbstractSpace):
    """A finite set of k labels, all of them neighbours: the complete graph.

    Of dimension 0 and volume k. Its graph Laplacian k·I − J has the eigenvalue 0 on constants and k on
    the k − 1 other functions, which are the Helmert contrasts, for j = 1, …, k − 1

        φ_j(i) = √(k/(j(j + 1))) · (1 for i < j, −j for i = j, 0 for i > j),

    orthonormal for the uniform probability measure. A point is a label 0, 1, …, k − 1 as a
    floating-point number, in an array of shape ``(1,)``, so that it can stand beside coordinates in a
    product. It is rounded to an integer: gradients are 0.

    Args:
        num_labels: 1 ≤ k ≤ 2^24.

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Labels(4).levels(4)]
    [(0.0, 1), (4.0, 3)]
    """

    num_labels: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __init__(self, num_labels: int):
        """Refuse what is no set of labels."""
        self.num_labels = checked_count("num_labels", num_labels)
        self.dimension = 0
        if self.num_labels > MAX_POINTS:
            raise ValueError(
                f"num_labels: expected at most 2^24 and got {num_labels}; float32 does not tell more "
                "labels apart."
            )

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(1,)``."""
        return (1,)

    @property
    def cardinality(self) -> int:
        """The number of labels."""
        return self.num_labels

    @property
    def volume(self) -> float:
        """The number of labels."""
        return float(self.num_labels)

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """The constant, key 0, and all other functions, key 1."""
        k = self.num_labels
        both = [Level(0.0, 1, 0), Level(float(k), k - 1, 1)]
        return both[: 1 + (1 < k <= max_eigenvalue * (1 + RELATIVE))]

    def functions(self, levels: Sequence[Level]) -> TabulatedFunctions:
        """The constant and the contrasts.

        Raises:
            ValueError: the table of the contrasts does not fit into memory.
        """
        keys, k = [_level_key(level) for level in levels], self.num_labels
        refuse_beyond(
            MEMORY_LIMIT,
            16 * k * k * keys.count(1),
            f"levels: the {k - 1} functions of {k} labels",
            "Use fewer labels.",
        )
        blocks = [self._contrasts() if key else np.ones((1, k)) for key in keys]
        return tabulated(np.concatenate(blocks))

    def kernels(self, levels: Sequence[Level]) -> LabelKernels:
        """In closed form: no contrast is formed."""
        keys = tuple(_level_key(level) for level in levels)
        return LabelKernels(keys=keys, num_labels=self.num_labels)  # pyright: ignore[reportCallIssue]

    def _contrasts(self) -> Float[np.ndarray, "_ k"]:
        k = self.num_labels
        j, i = np.ogrid[1:k, :k]
        return np.sqrt(k / (j * (j + 1))) * ((i < j) - j * (i == j))

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch 1"]:
        """Uniform labels."""
        return uniform_indices(key, shape, self.num_labels)

    def check(self, points: AnyArray) -> None:
        """Every point is one of 0, 1, …, k − 1."""
        check_indices(self, points, self.num_labels)

    def project(self, points: FloatArray) -> Float[Array, "*batch 1"]:
        """The nearest label; of two equally near ones the even one."""
        return nearest_indices(self, points, self.num_labels)


def tabulated(values: Float[np.ndarray, "D k"]) -> TabulatedFunctions:
    """Finished arrays from float64 set-up work."""
    return TabulatedFunctions(values=jnp.asarray(values, float), num_functions=len(values))


def uniform_indices(key: Key, shape: tuple[int, ...], count: int) -> Float[Array, "*batch 1"]:
    """Uniform points of {0, …, count − 1}."""
    return jax.random.randint(key, (*shape, 1), 0, count).astype(float)


def nearest_indices(space: AbstractSpace, points: FloatArray, count: int) -> Float[Array, "*batch 1"]:
    """The nearest of {0, …, count − 1}; NaN stays."""
    return jnp.clip(jnp.round(checked_points(space, points, "points")), 0, count - 1)


def check_indices(space: AbstractSpace, points: AnyArray, count: int) -> None:
    """Raise when a point is not an integer of {0, …, count − 1}."""
    values = np.asarray(flatten_points(space, points, "points")[0])
    check_finite(values, "points")
    bad = np.flatnonzero((values != np.round(values)) | (values < 0) | (values >= count))
    if len(bad):
        raise ValueError(
            f"points: row {bad[0]} is {values[bad[0], 0]}, as {len(bad)} row(s) in all are no index of "
            f"{type(space).__name__}; expected the integers 0 to {count - 1}."
        )


def _level_key(level: Level) -> int:
    if level.key not in (0, 1):
        raise TypeError(f"level: {level} is not a level of a set of labels.")
    return int(level.key)
