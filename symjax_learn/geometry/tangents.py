"""Tangent vectors in the coordinates of points: where gradients of functions lie, and their lengths."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.homogeneous import Grassmannian, Stiefel
from symjax_learn.geometry.labels import Labels
from symjax_learn.geometry.product import Product, split_points
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.geometry.torus import Torus


def has_tangents(space: AbstractSpace) -> bool:
    """Whether :func:`tangential` knows the space."""
    if isinstance(space, Product):
        return all(has_tangents(part) for part in space.spaces)
    if isinstance(space, Sets):
        return has_tangents(space.space)
    return isinstance(space, Torus | Box | Gaussian | Ball | Labels | Sphere | RotationGroup)


def tangential(
    space: AbstractSpace, points: Float[Array, "batch ..."], vectors: Float[Array, "batch ..."]
) -> Float[Array, "batch ..."]:
    """The orthogonal projections of vectors on the tangent spaces at points, of one shape.

    Flat spaces keep a vector, labels none; v − (v·x)x on spheres, (v − xvᵀx)/2 on rotations. Of a
    function that is given by a formula in the coordinates, it makes the gradient on the space.
    """
    match space:
        case Product():
            shapes = tuple(part.point_shape for part in space.spaces)
            blocks = zip(
                space.spaces, split_points(points, shapes), split_points(vectors, shapes), strict=True
            )
            found = [tangential(*block).reshape(len(points), -1) for block in blocks]
            return jnp.concatenate(found, axis=1)
        case Sets():
            shape = (-1, *space.space.point_shape)
            return tangential(space.space, points.reshape(shape), vectors.reshape(shape)).reshape(
                vectors.shape
            )
        case Labels():
            return jnp.zeros_like(vectors)
        case Sphere():
            return vectors - jnp.sum(points * vectors, axis=-1, keepdims=True) * points
        case RotationGroup():
            return (vectors - points @ vectors.mT @ points) / 2
        case _:
            return vectors


def has_metric(space: AbstractSpace) -> bool:
    """Whether :func:`orthonormal_coordinates` knows the space."""
    if isinstance(space, Product):
        return all(has_metric(part) for part in space.spaces)
    if isinstance(space, Sets):
        return has_metric(space.space)
    known = Torus | Box | Gaussian | Ball | Sphere | RotationGroup | Stiefel | Grassmannian
    return space.dimension == 0 or isinstance(space, known)


def orthonormal_coordinates(
    space: AbstractSpace, points: Float[Array, "batch ..."], vectors: Float[Array, "batch ..."]
) -> Float[Array, "batch N"]:
    """Tangent vectors v at points x as rows whose dot products are the Riemannian metric.

    It is the metric of ``space.volume``: flat on tori (of the lattice), boxes and balls, and on the R^d
    of a Gaussian; of the surrounding R^{d+1} on spheres; ½ tr vᵀw on rotations and on projectors; on
    k-frames X of R^p ½ tr aᵀa + tr bᵀb, v = aX + b with bXᵀ = 0. Finite spaces have no vectors.

    Args:
        space: the space.
        points: ``(batch, *point_shape)``.
        vectors: their derivatives in some direction, of the same shape.

    Returns:
        ``(batch, N)``, N at least the dimension of the space.

    Raises:
        TypeError: a space whose metric is not known.
    """
    batch = len(points)
    match space:
        case Product():
            shapes = tuple(part.point_shape for part in space.spaces)
            blocks = zip(
                space.spaces, split_points(points, shapes), split_points(vectors, shapes), strict=True
            )
            return jnp.concatenate([orthonormal_coordinates(*block) for block in blocks], axis=1)
        case Sets():
            shape = (-1, *space.space.point_shape)
            flat = orthonormal_coordinates(space.space, points.reshape(shape), vectors.reshape(shape))
            return flat.reshape(batch, -1)
        case Torus(vectors=None):
            return vectors
        case Torus():
            basis = jnp.asarray(np.asarray(space.vectors) / space.period, vectors.dtype)
            return jnp.matmul(vectors, basis, precision="highest")
        case Box() | Gaussian() | Ball() | Sphere():
            return vectors
        case RotationGroup() | Grassmannian():
            return vectors.reshape(batch, -1) / math.sqrt(2)
        case Stiefel():
            along = jnp.matmul(vectors, points.mT, precision="highest")
            turned = jnp.matmul(along, points, precision="highest")
            return (vectors - (1 - math.sqrt(0.5)) * turned).reshape(batch, -1)
    if space.dimension == 0:
        return jnp.zeros((batch, 0), vectors.dtype)
    raise TypeError(
        f"space: the Riemannian metric of {type(space).__name__} in the coordinates of its points is "
        "not known here; where the volume of a quotient is known, give it."
    )


def squared_chords(
    space: AbstractSpace, x: Float[Array, "batch ..."], y: Float[Array, "batch ..."]
) -> Float[Array, " batch"]:
    """|y − x|² in the metric at x: the squared distance, up to a factor 1 + O(distance²).

    Isometries that act on the coordinates do not change it. On tori the difference is reduced to the
    cell about 0; points of finite spaces, and of different labels, are infinitely far apart.
    """
    match space:
        case Product():
            shapes = tuple(part.point_shape for part in space.spaces)
            blocks = zip(space.spaces, split_points(x, shapes), split_points(y, shapes), strict=True)
            return jnp.sum(jnp.stack([squared_chords(*block) for block in blocks]), axis=0)
        case Sets():
            shape = (-1, *space.space.point_shape)
            single = squared_chords(space.space, x.reshape(shape), y.reshape(shape))
            return jnp.sum(single.reshape(len(x), -1), axis=1)
    difference = y - x
    if space.dimension == 0:
        differing = jnp.any(difference.reshape(len(x), -1) != 0, axis=1)
        return jnp.where(differing, jnp.inf, 0.0).astype(x.dtype)
    if isinstance(space, Torus):
        difference = difference - space.period * jnp.round(difference / space.period)
    return jnp.sum(orthonormal_coordinates(space, x, difference) ** 2, axis=1)
