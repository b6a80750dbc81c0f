"""Tangent vectors in the coordinates of points: where gradients of functions lie."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.box import Box
from symjax_learn.geometry.gaussian import Gaussian
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
