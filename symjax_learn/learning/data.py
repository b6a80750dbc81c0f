"""The data of a fit, and the checks that every fit makes of them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from symjax_learn._types import AnyArray, as_array, is_traced
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import (
    AbstractSpace,
    Level,
    PaddedSets,
    check_finite,
    flatten_points,
)
from symjax_learn.geometry.tangents import has_tangents, tangential
from symjax_learn.invariants.basis import InvariantBasis

# Eigenvalues of a basis that agree to this relative accuracy are one level, in float32 as well.
EIGENVALUE_ROUNDING = 1e-6


class Data(NamedTuple):
    """Checked data: ``x`` (n, *point), ``y`` (n, o) and ``outputs``, the shape of one target."""

    x: Any  # an array, or padded sets
    y: Array
    outputs: tuple[int, ...]


def checked_data(space: AbstractSpace, x: AnyArray, y: AnyArray, *, values: bool) -> Data:
    """The data of a fit, or an error that names the argument, what came and the remedy.

    Args:
        space: where x lies.
        x: ``(n, *point_shape)``.
        y: ``(n, *outputs)``.
        values: whether to look at values as well as at structure (never under a trace).
    """
    return _checked(space, flatten_points(space, x, "x"), y, values)


def checked_sets(
    basis: InvariantBasis, x: AnyArray, mask: AnyArray | None, y: AnyArray, *, values: bool
) -> Data:
    """As :func:`checked_data`, of sets of other sizes as well where a mask says so."""
    if mask is None:
        return checked_data(basis.space, x, y, values=values)
    return _checked(basis.space, basis.flattened(x, mask, "x"), y, values)


def _checked(
    space: AbstractSpace,
    flat: tuple[Array | PaddedSets, tuple[int, ...]],
    y: AnyArray,
    values: bool,
) -> Data:
    points, batch = flat
    if len(batch) != 1:
        one = (points.points if isinstance(points, PaddedSets) else points).shape[1:]
        raise ValueError(
            f"x: expected one axis of samples before the point shape {space.point_shape}, and got "
            f"shape {(*batch, *one)}."
        )
    (n,) = batch
    if n == 0:
        raise ValueError("x: there are no samples (n = 0); a fit needs at least one.")
    targets = as_array("y", y)
    if targets.ndim == 0 or targets.shape[0] != n:
        raise ValueError(
            f"y: expected one target for each of the {n} samples of x, shape ({n}, *outputs), and got "
            f"shape {targets.shape}."
        )
    if not (jnp.issubdtype(targets.dtype, jnp.floating) or jnp.issubdtype(targets.dtype, jnp.integer)):
        raise TypeError(
            f"y: targets are real numbers and got {targets.dtype}; convert them, for example labels to "
            "0.0 and 1.0."
        )
    targets = jnp.asarray(targets)
    if values and not is_traced(points, targets):
        check_finite(targets, "y")
        if isinstance(points, PaddedSets):
            _check_sets(space, points)
        else:
            check_finite(points, "x")
            check_points(space, points, "x")
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        targets = targets.astype(points.dtype)
    outputs = targets.shape[1:]
    if 0 in outputs:
        raise ValueError(f"y: expected at least one output and got shape {targets.shape}.")
    return Data(points, targets.reshape(n, math.prod(outputs)), outputs)


def check_points(space: AbstractSpace, points: AnyArray, name: str) -> None:
    """Raise for points that are not on their space, in the name of the argument."""
    try:
        space.check(points)
    except ValueError as error:
        raise ValueError(f"{name}: {str(error).removeprefix('points: ')}") from None


def _check_sets(space: AbstractSpace, sets: PaddedSets) -> None:
    """Refuse points that are there and not on their space."""
    points, present = np.asarray(sets.points), np.asarray(sets.present)
    if isinstance(space, Graphs):
        n = present.shape[1]
        if n < 2:
            return
        there = present[:, :, None] & present[:, None, :]
        check_points(Graphs(n), np.where(there, points, 1 - np.eye(n)), "x")
        return
    try:
        _check_present(space, points, present, "x")
    except ValueError:  # now say in which set
        for row, (one, here) in enumerate(zip(points, present, strict=True)):
            _check_present(space, one[None], here[None], f"x: set {row}")
        raise


def _check_present(space: AbstractSpace, points: np.ndarray, present: np.ndarray, name: str) -> None:
    if not present.any():
        return
    if isinstance(space, Sets):
        part, kept = space.space, points[present]
    else:  # coordinates, of which each is checked by itself
        kept = points.reshape(*present.shape, -1)[present].reshape(-1)
        width = space.point_shape[0]
        part, kept = space, np.resize(kept, (-(-len(kept) // width), width))
    check_finite(kept, name)
    check_points(part, kept, name)


def checked_weights(
    weights: AnyArray | None, density: AnyArray | None, data: Data, *, values: bool
) -> Array:
    """Weights of the samples over their densities, of mean 1; ones where neither is given."""
    positive = jnp.ones((data.y.shape[0],), data.x.dtype)
    if weights is not None:
        given = _one_each("weights", weights, data)
        if values and not is_traced(given):
            host = np.asarray(given)
            bad = np.flatnonzero(~(np.isfinite(host) & (host >= 0)))
            if len(bad) or not host.any():
                found = f"row {bad[0]} is {host[bad[0]]}" if len(bad) else "all are zero"
                raise ValueError(f"weights: expected finite numbers >= 0, not all zero; {found}.")
        positive = jnp.asarray(given).astype(data.x.dtype)
    if density is not None:
        given = _one_each("density", density, data)
        if values and not is_traced(given):
            host = np.asarray(given)
            bad = np.flatnonzero(~(np.isfinite(host) & (host > 0)))
            if len(bad):
                raise ValueError(
                    f"density: expected finite numbers > 0, because no weight makes up for samples that "
                    f"never come; row {bad[0]} is {host[bad[0]]}."
                )
        positive = positive / jnp.asarray(given).astype(data.x.dtype)
    return positive if weights is None and density is None else positive / jnp.mean(positive)


def plain_weights(weights: AnyArray | None, data: Data, *, values: bool) -> Array:
    """Weights of the samples as they are; ones where none are given."""
    if weights is None:
        return jnp.ones((data.y.shape[0],), data.x.dtype)
    given = _one_each("weights", weights, data)
    if values and not is_traced(given):
        host = np.asarray(given)
        bad = np.flatnonzero(~(np.isfinite(host) & (host >= 0)))
        if len(bad):
            raise ValueError(f"weights: expected finite numbers >= 0; row {bad[0]} is {host[bad[0]]}.")
    return jnp.asarray(given).astype(data.x.dtype)


def _one_each(name: str, given: AnyArray, data: Data) -> AnyArray:
    n, numbers = data.y.shape[0], as_array(name, given)
    if numbers.shape != (n,) or numbers.dtype.kind not in "fiu":
        raise ValueError(
            f"{name}: expected {n} real numbers, one for each sample, and got shape {numbers.shape} of "
            f"{numbers.dtype}."
        )
    return numbers


def checked_gradients(
    space: AbstractSpace, data: Data, gradients: AnyArray, weight: float | Array, *, values: bool
) -> tuple[Array, Array]:
    """Gradients of the targets, tangential, ``(n, p, o)``, and their weight, or an error."""
    if not has_tangents(space):
        raise TypeError(
            f"gradients: points of {type(space).__name__} have no gradients here; give them on tori, "
            "boxes, Gaussian spaces, balls, spheres, rotations, and products and sets of these."
        )
    sets = data.x if isinstance(data.x, PaddedSets) else None
    points = jnp.asarray(data.x) if sets is None else sets.points
    n, num_outputs = data.y.shape
    shape = (n, *data.outputs, *points.shape[1:])
    given = as_array("gradients", gradients)
    if given.shape != shape or given.dtype.kind not in "fiu":
        raise ValueError(
            f"gradients: expected real numbers of shape {shape}, the samples, the outputs and the "
            f"coordinates of a point, and got shape {given.shape} of {given.dtype}."
        )
    number = as_array("gradient_weight", weight)
    plain = not is_traced(number)
    if number.shape != () or number.dtype.kind not in "fiu" or (plain and not 0 <= number < np.inf):
        raise ValueError(f"gradient_weight: expected one finite number >= 0 and got {weight!r}.")
    slopes = jnp.asarray(given).astype(points.dtype)
    if sets is not None:  # what is absent has none
        size, kept = sets.present.shape[1], sets.present[:, None, :, None]
        rows = slopes.reshape(n, num_outputs, size, -1)
        slopes = jnp.where(kept, rows, 0)
        points = jnp.where(kept[:, 0], points.reshape(n, size, -1), 0).reshape(points.shape)
    if values and not is_traced(slopes):
        check_finite(slopes, "gradients")
    slopes = jnp.moveaxis(slopes.reshape(n, num_outputs, *points.shape[1:]), 1, 0)
    flat = jnp.stack([tangential(space, points, one).reshape(n, -1) for one in slopes], axis=-1)
    return flat, jnp.asarray(number).astype(points.dtype)


def truncated_levels(basis: InvariantBasis) -> Sequence[Level]:
    """The levels of the space up to the last eigenvalue of a basis.

    Raises:
        TypeError: the basis is being traced.
    """
    if is_traced(basis):
        raise TypeError(
            "basis: it is being traced, and truncations and projections are exact set-up work; let the "
            "compiled function close over the basis."
        )
    # Stored eigenvalues are rounded, in float32 by more than tells a level from its truncation.
    largest = float(np.asarray(basis.eigenvalues)[-1])
    return basis.space.levels(largest * (1 + EIGENVALUE_ROUNDING))
