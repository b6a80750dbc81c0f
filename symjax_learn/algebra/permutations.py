"""Groups of permutations and of signed permutations of coordinates.

A permutation g is its row of images, 0-based: g sends coordinate i to place g[i], so
(gx)[g[i]] = x[i]. A signed permutation has signs as well: (gx)[g[i]] = signs[i]·x[i].
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from symjax_learn._types import AnyArray, FloatArray, IntArray, Key, as_array
from symjax_learn.algebra.groups import (
    AbstractFiniteGroup,
    AbstractSampler,
    Transversals,
    with_chain,
)


class SignedPermutation(NamedTuple):
    """A signed permutation: (gx)[images[i]] = signs[i]·x[i]."""

    images: IntArray
    signs: IntArray


class PermutationGroup(AbstractFiniteGroup):
    """Permutations of the coordinates of R^degree. Elements are int32 images ``(*batch, degree)``."""

    generators: Int[Array, "k d"]
    order: int | float = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    sampler: AbstractSampler | Transversals | None

    @property
    def identity(self) -> IntArray:
        """The identity permutation."""
        return jnp.arange(self.degree, dtype=jnp.int32)

    def compose(self, g: IntArray, h: IntArray) -> IntArray:
        """(g∘h)[i] = g[h[i]]."""
        return _take(g, h)

    def inverse(self, g: IntArray) -> IntArray:
        """The permutation that sends g[i] back to i."""
        return _inverse_images(g)

    def apply(self, g: IntArray, vectors: FloatArray) -> FloatArray:
        """(gx)[g[i]] = x[i]: a gather."""
        return _take(vectors, _inverse_images(g))

    def faithful(self, g: IntArray) -> Int[np.ndarray, "batch points"]:
        """Itself."""
        return np.asarray(g, np.int32)

    def from_faithful(self, images: Int[np.ndarray, "batch points"]) -> IntArray:
        """Itself."""
        return jnp.asarray(images, jnp.int32)


class SignedPermutationGroup(AbstractFiniteGroup):
    """Signed permutations of the coordinates of R^degree."""

    generators: SignedPermutation
    order: int | float = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    sampler: AbstractSampler | Transversals | None

    @property
    def identity(self) -> SignedPermutation:
        """The identity, with positive signs."""
        images = jnp.arange(self.degree, dtype=jnp.int32)
        return SignedPermutation(images, jnp.ones_like(images))

    def compose(self, g: SignedPermutation, h: SignedPermutation) -> SignedPermutation:
        """First h, then g: images g[h[i]], signs g.signs[h[i]]·h.signs[i]."""
        signs = _product(_take(g.signs, h.images), h.signs)
        return SignedPermutation(_take(g.images, h.images), signs)

    def inverse(self, g: SignedPermutation) -> SignedPermutation:
        """The signed permutation that undoes g."""
        images = _inverse_images(g.images)
        return SignedPermutation(images, _take(g.signs, images))

    def apply(self, g: SignedPermutation, vectors: FloatArray) -> FloatArray:
        """(gx)[g[i]] = signs[i]·x[i]."""
        return _take(_product(g.signs.astype(vectors.dtype), vectors), _inverse_images(g.images))

    def faithful(self, g: SignedPermutation) -> Int[np.ndarray, "batch points"]:
        """On the 2·degree points ±e_i: i stands for e_i, and i + degree for −e_i."""
        images, negative = np.asarray(g.images), np.asarray(g.signs) < 0
        positive_half = images + self.degree * negative
        negative_half = images + self.degree * ~negative
        return np.concatenate([positive_half, negative_half], axis=-1).astype(np.int32)

    def from_faithful(self, images: Int[np.ndarray, "batch points"]) -> SignedPermutation:
        """Read images and signs off the images of the e_i."""
        half = jnp.asarray(images[..., : self.degree], jnp.int32)
        return SignedPermutation(half % self.degree, jnp.where(half < self.degree, 1, -1))


class YoungSampler(AbstractSampler):
    """Uniform permutations within consecutive blocks of the given sizes."""

    parts: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, key: Key) -> IntArray:
        """One uniform element of S_{n_1} × S_{n_2} × …."""
        offset, blocks = 0, []
        for part, one in zip(self.parts, jax.random.split(key, len(self.parts)), strict=True):
            block = jnp.arange(offset, offset + part, dtype=jnp.int32)
            blocks.append(block if part == 1 else jax.random.permutation(one, block))
            offset += part
        return jnp.concatenate(blocks)


class AlternatingSampler(AbstractSampler):
    """Uniform even permutations."""

    degree: int = eqx.field(static=True)

    def __call__(self, key: Key) -> IntArray:
        """A uniform permutation, its last two images exchanged when it is odd."""
        images = jax.random.permutation(key, jnp.arange(self.degree, dtype=jnp.int32))
        rows, columns = np.triu_indices(self.degree, 1)
        odd = jnp.sum((images[rows] > images[columns]).astype(jnp.int32)) % 2 == 1
        exchanged = images.at[self.degree - 2 :].set(images[self.degree - 2 :][::-1])
        return jnp.where(odd, exchanged, images)


class SignedSampler(AbstractSampler):
    """Uniform signs beside a permutation sampler: the wreath product with {±1}."""

    permutations: YoungSampler

    def __call__(self, key: Key) -> SignedPermutation:
        """A permutation and independent fair signs."""
        key_images, key_signs = jax.random.split(key)
        images = self.permutations(key_images)
        fair = jax.random.bernoulli(key_signs, shape=images.shape)
        return SignedPermutation(images, jnp.where(fair, 1, -1).astype(jnp.int32))


def permutation_group(generators: Any) -> PermutationGroup:
    """The group generated by permutations of {0..n−1}.

    Args:
        generators: ``(k, n)`` integers, each row the images of one permutation: g sends coordinate i
            to place g[i]. For no generators use :func:`~symjax_learn.trivial_group`.

    Raises:
        TypeError: the entries are not integers.
        ValueError: a row is not a permutation, or there is no row.

    Cost: a stabilizer chain (exact order), once; about 4 s for S_40 and growing as the fourth power
    of the degree, so that large symmetric groups are better made by name.

    >>> import symjax_learn as sj
    >>> sj.permutation_group([[1, 2, 3, 0], [1, 0, 2, 3]]).order
    24
    """
    images = _checked_permutations("generators", generators)
    return with_chain(PermutationGroup(jnp.asarray(images), 1, images.shape[1], None))


def signed_permutation_group(permutations: Any, signs: Any) -> SignedPermutationGroup:
    """The group generated by signed permutations, (gx)[g[i]] = signs[i]·x[i].

    Args:
        permutations: ``(k, n)`` integers, each row the images of one permutation.
        signs: ``(k, n)`` entries +1 or −1.

    Raises:
        TypeError: the entries are not integers.
        ValueError: a row is not a permutation, a sign is not ±1, or the shapes differ.

    Cost: as :func:`permutation_group` on 2n points.

    >>> import symjax_learn as sj
    >>> rotation = sj.signed_permutation_group([[1, 0]], [[1, -1]])  # (x, y) -> (-y, x)
    >>> rotation.order
    4
    """
    images = _checked_permutations("permutations", permutations)
    raw = np.asarray(as_array("signs", signs))
    if raw.shape != images.shape:
        raise ValueError(
            f"signs: expected the shape of permutations, {images.shape}, and got {raw.shape}. Give "
            "one sign for each coordinate of each generator."
        )
    if not np.isin(raw, (-1, 1)).all():
        row = int(np.flatnonzero(~np.isin(raw, (-1, 1)).all(axis=1))[0])
        raise ValueError(f"signs: generator {row} is {raw[row].tolist()}; use only +1 and -1.")
    elements = SignedPermutation(jnp.asarray(images), jnp.asarray(raw.astype(np.int32)))
    return with_chain(SignedPermutationGroup(elements, 1, images.shape[1], None))


def named_permutation_group(
    generators: list[list[int]], degree: int, order: int | None, sampler: AbstractSampler | None
) -> PermutationGroup:
    """A permutation group whose order and sampler are known, or found by a chain when ``None``."""
    images = jnp.asarray(np.reshape(np.asarray(generators, np.int32), (-1, degree)))
    group = PermutationGroup(images, order or 1, degree, sampler)
    return group if order is not None and sampler is not None else with_chain(group)


def named_signed_group(
    permutations: list[list[int]], signs: list[list[int]], parts: tuple[int, ...]
) -> SignedPermutationGroup:
    """{±1}^n ⋊ (S_{n_1} × S_{n_2} × …), from generators of it."""
    degree = sum(parts)
    order = 2**degree * math.prod(math.factorial(part) for part in parts)
    elements = SignedPermutation(
        jnp.asarray(np.asarray(permutations, np.int32)), jnp.asarray(np.asarray(signs, np.int32))
    )
    return SignedPermutationGroup(elements, order, degree, SignedSampler(YoungSampler(parts)))


def _checked_permutations(name: str, generators: Any) -> Int[np.ndarray, "k d"]:
    """Generators as int32 rows, or an error that names the row."""
    images = np.asarray(as_array(name, generators))
    if images.ndim != 2 or images.size == 0:
        raise ValueError(
            f"{name}: expected a non-empty (number of generators, n) array of images and got shape "
            f"{images.shape}. For no generators use trivial_group(n)."
        )
    if not np.issubdtype(images.dtype, np.integer):
        raise TypeError(
            f"{name}: images of a permutation are integers and got {images.dtype}; permutations are "
            "0-based rows such as [1, 2, 0]."
        )
    for row, image in enumerate(images):
        if not np.array_equal(np.sort(image), np.arange(images.shape[1])):
            raise ValueError(
                f"{name}: generator {row} is {image.tolist()}, which is not a permutation of "
                f"0..{images.shape[1] - 1}; each place must occur exactly once."
            )
    return images.astype(np.int32)


def _inverse_images(images: IntArray) -> IntArray:
    return jnp.argsort(images, axis=-1).astype(jnp.int32)


def _take(values: AnyArray, places: IntArray) -> Array:
    """``values[places]`` along the last axis, batches broadcasting."""
    shape = jnp.broadcast_shapes(values.shape, places.shape)
    return jnp.take_along_axis(jnp.broadcast_to(values, shape), jnp.broadcast_to(places, shape), axis=-1)


def _product(left: AnyArray, right: AnyArray) -> Array:
    """The entrywise product, batches broadcasting."""
    left, right = jnp.broadcast_arrays(left, right)
    return left * right
