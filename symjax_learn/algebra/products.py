"""Direct and wreath products: groups that act block by block."""

import itertools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from symjax_learn._types import AnyArray, Element, FloatArray, IntArray, Key, checked_count
from symjax_learn.algebra.groups import AbstractGroup, AbstractSampler, Transversals, sample_one


class ProductSampler(AbstractSampler):
    """Independent uniform elements of each factor."""

    factors: tuple[AbstractGroup, ...]

    def __call__(self, key: Key) -> Element:
        """One uniform element."""
        keys = jax.random.split(key, len(self.factors))
        return tuple(sample_one(factor, one) for factor, one in zip(self.factors, keys, strict=True))


class ProductGroup(AbstractGroup):
    """G_1 × G_2 × …, acting on consecutive blocks of coordinates; elements are tuples."""

    factors: tuple[AbstractGroup, ...]
    order: int | float = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    @property
    def generators(self) -> Element:
        """Those of each factor, with identities of the others."""
        rows = []
        for i, factor in enumerate(self.factors):
            for row in range(factor.num_generators):
                one = jax.tree.map(lambda leaf, row=row: leaf[row], factor.generators)
                rows.append((*self.identity[:i], one, *self.identity[i + 1 :]))
        if not rows:
            return jax.tree.map(lambda leaf: leaf[None][:0], self.identity)
        return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *rows)

    @property
    def lie_algebra(self) -> Element | None:
        """Those of the factors, with zeros of the others; ``None`` in the place of a finite factor."""
        if self.order != math.inf:
            return None
        offsets = [0, *itertools.accumulate(factor.dimension for factor in self.factors)]

        def embedded(factor: AbstractGroup, offset: int) -> Element | None:
            def place(leaf: AnyArray) -> Array:
                wide = jnp.zeros((offsets[-1], *leaf.shape[1:]))
                return wide.at[offset : offset + len(leaf)].set(jnp.asarray(leaf, float))

            return None if factor.lie_algebra is None else jax.tree.map(place, factor.lie_algebra)

        return tuple(
            embedded(factor, offset) for factor, offset in zip(self.factors, offsets[:-1], strict=True)
        )

    @property
    def sampler(  # pyright: ignore[reportIncompatibleVariableOverride]
        self,
    ) -> AbstractSampler | Transversals | None:
        """Of independent elements."""
        return ProductSampler(self.factors)

    @property
    def identity(self) -> tuple[Element, ...]:
        """The identities."""
        return tuple(factor.identity for factor in self.factors)

    def compose(self, g: Element, h: Element) -> Element:
        """Factor by factor."""
        return tuple(f.compose(a, b) for f, a, b in zip(self.factors, g, h, strict=True))

    def inverse(self, g: Element) -> Element:
        """Factor by factor."""
        return tuple(factor.inverse(a) for factor, a in zip(self.factors, g, strict=True))

    def apply(self, g: Element, vectors: FloatArray) -> FloatArray:
        """Block by block."""
        ends = np.cumsum([factor.degree for factor in self.factors])[:-1]
        blocks = jnp.split(jnp.asarray(vectors), ends, axis=-1)
        moved = [f.apply(a, block) for f, a, block in zip(self.factors, g, blocks, strict=True)]
        return jnp.concatenate(moved, axis=-1)

    def exponential(self, a: Element) -> Element:
        """Factor by factor; the identities of finite factors."""
        batch = _batch_shape(self, a)
        return tuple(
            _repeated(factor.identity, batch) if part is None else factor.exponential(part)
            for factor, part in zip(self.factors, a, strict=True)
        )

    def faithful(self, g: Element) -> Int[np.ndarray, "batch points"]:
        """On the disjoint union of the points of the factors."""
        offsets = [0, *itertools.accumulate(self._num_points())]
        parts = [
            factor.faithful(a) + offset
            for factor, a, offset in zip(self.factors, g, offsets[:-1], strict=True)
        ]
        return np.concatenate(parts, axis=1).astype(np.int32)

    def from_faithful(self, images: Int[np.ndarray, "batch points"]) -> Element:
        """Factor by factor."""
        offsets = [0, *itertools.accumulate(self._num_points())]
        return tuple(
            factor.from_faithful(np.asarray(images)[:, start:end] - start)
            for factor, (start, end) in zip(self.factors, itertools.pairwise(offsets), strict=True)
        )

    def _num_points(self) -> list[int]:
        return [_num_points(factor) for factor in self.factors]


class WreathElement(NamedTuple):
    """Block i is moved by ``inner[i]``, and then to the place ``images[i]``.

    Attributes:
        inner: an element of the inner group for each block, along an axis before its own axes.
        images: ``(*batch, n)``.
    """

    inner: Any
    images: IntArray


class WreathSampler(AbstractSampler):
    """Independent uniform inner elements, and a uniform permutation."""

    inner: AbstractGroup
    num_blocks: int = eqx.field(static=True)

    def __call__(self, key: Key) -> WreathElement:
        """One uniform element."""
        first, *keys = jax.random.split(key, self.num_blocks + 1)
        inner = jax.vmap(lambda one: sample_one(self.inner, one))(jnp.stack(keys))
        blocks = jnp.arange(self.num_blocks, dtype=jnp.int32)
        return WreathElement(inner, jax.random.permutation(first, blocks))


class WreathGroup(AbstractGroup):
    """H ≀ S_n on n blocks of coordinates: each block moved by its own element of H, and all permuted."""

    inner: AbstractGroup
    num_blocks: int = eqx.field(static=True)
    order: int | float = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    @property
    def generators(self) -> WreathElement:
        """H on the first block, a transposition, and a cycle of all blocks."""
        n, rows = self.num_blocks, []
        identity = self.identity
        for row in range(self.inner.num_generators):
            inner = jax.tree.map(
                lambda all_, mine, row=row: jnp.asarray(all_).at[0].set(jnp.asarray(mine)[row]),
                identity.inner,
                self.inner.generators,
            )
            rows.append(WreathElement(inner, identity.images))
        places = jnp.arange(n, dtype=jnp.int32)
        if n > 1:
            rows.append(WreathElement(identity.inner, places.at[:2].set(places[:2][::-1])))
        if n > 2:
            rows.append(WreathElement(identity.inner, (places + 1) % n))
        if not rows:
            return jax.tree.map(lambda leaf: leaf[None][:0], identity)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)

    @property
    def lie_algebra(self) -> Element | None:
        """That of the inner group on each block in turn, with zeros on the others."""
        n = self.num_blocks

        def place(leaf: AnyArray) -> Array:
            wide = jnp.zeros((n, leaf.shape[0], n, *leaf.shape[1:]))
            blocks = np.arange(n)
            wide = wide.at[blocks, :, blocks].set(jnp.asarray(leaf, float))
            return wide.reshape(n * leaf.shape[0], n, *leaf.shape[1:])

        algebra = self.inner.lie_algebra
        return None if algebra is None else jax.tree.map(place, algebra)

    @property
    def sampler(  # pyright: ignore[reportIncompatibleVariableOverride]
        self,
    ) -> AbstractSampler | Transversals | None:
        """Of independent inner elements and a permutation."""
        return WreathSampler(self.inner, self.num_blocks)

    @property
    def identity(self) -> WreathElement:
        """Identities in place."""
        n = self.num_blocks
        return WreathElement(_repeated(self.inner.identity, (n,)), jnp.arange(n, dtype=jnp.int32))

    def compose(self, g: WreathElement, h: WreathElement) -> WreathElement:
        """First h, then g: block i is moved by h_i, and then by the g of the place where it is."""
        first, then = jnp.asarray(h.images), jnp.asarray(g.images)
        inner = self.inner.compose(self._blocks(g.inner, first), h.inner)
        images = jnp.take_along_axis(*_broadcast(then, first), axis=-1)
        return WreathElement(inner, images)

    def inverse(self, g: WreathElement) -> WreathElement:
        """Block g[i] is moved back to i by the inverse of g_i."""
        back = jnp.argsort(g.images, axis=-1).astype(jnp.int32)
        return WreathElement(self.inner.inverse(self._blocks(g.inner, back)), back)

    def apply(self, g: WreathElement, vectors: FloatArray) -> FloatArray:
        """The blocks moved, and then permuted."""
        vectors = jnp.asarray(vectors)
        blocks = vectors.reshape(*vectors.shape[:-1], self.num_blocks, self.inner.degree)
        moved = self.inner.apply(g.inner, blocks)
        places = jnp.argsort(g.images, axis=-1)[..., None]
        shape = jnp.broadcast_shapes(moved.shape[:-1], places.shape[:-1])
        moved = jnp.take_along_axis(
            jnp.broadcast_to(moved, (*shape, self.inner.degree)),
            jnp.broadcast_to(places, (*shape, 1)),
            axis=-2,
        )
        return moved.reshape(*shape[:-1], self.degree)

    def exponential(self, a: Element) -> WreathElement:
        """Block by block, in place."""
        images = _repeated(self.identity.images, _batch_shape(self, a))
        return WreathElement(self.inner.exponential(a), images)

    def faithful(self, g: WreathElement) -> Int[np.ndarray, "batch points"]:
        """On n copies of the points of the inner group."""
        images, points = np.asarray(g.images), _num_points(self.inner)
        batch = len(images)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), g.inner)
        inner = self.inner.faithful(flat).reshape(batch, self.num_blocks, points)
        return (inner + points * images[:, :, None]).reshape(batch, -1).astype(np.int32)

    def from_faithful(self, images: Int[np.ndarray, "batch points"]) -> WreathElement:
        """Places and inner permutations from the images of each block."""
        points = _num_points(self.inner)
        blocks = np.asarray(images).reshape(len(images), self.num_blocks, points)
        inner = self.inner.from_faithful((blocks % points).reshape(-1, points))
        inner = jax.tree.map(
            lambda leaf: jnp.asarray(leaf).reshape(len(images), self.num_blocks, *leaf.shape[1:]), inner
        )
        return WreathElement(inner, jnp.asarray(blocks[:, :, 0] // points, jnp.int32))

    def _blocks(self, inner: Element, places: Array) -> Element:
        """The inner elements at these places."""

        def take(leaf: Array, one: Array) -> Array:
            axes = tuple(range(-one.ndim, 0)) if one.ndim else ()
            index = jnp.expand_dims(places, axes) if axes else places
            shape = jnp.broadcast_shapes(leaf.shape[: leaf.ndim - one.ndim], places.shape)
            return jnp.take_along_axis(
                jnp.broadcast_to(leaf, shape + one.shape),
                jnp.broadcast_to(index, shape + (1,) * one.ndim),
                axis=len(shape) - 1,
            )

        return jax.tree.map(take, inner, self.inner.identity)


def direct_product(*groups: AbstractGroup) -> ProductGroup:
    """G_1 × G_2 × …, on consecutive blocks of coordinates; products among the factors are flattened.

    Args:
        groups: at least one.

    Raises:
        TypeError: a factor that is no group.
        ValueError: no factors.

    Cost: no more than its factors; order and samples are theirs.

    >>> import symjax_learn as sj
    >>> sj.direct_product(sj.symmetric_group(3), sj.sign_group(2)).order
    24
    """
    if not groups:
        raise ValueError("groups: direct_product() needs at least one group.")
    factors: list[AbstractGroup] = []
    for group in groups:
        if not isinstance(group, AbstractGroup):
            raise TypeError(f"groups: expected groups and got a {type(group).__name__}.")
        factors += group.factors if isinstance(group, ProductGroup) else [group]
    return ProductGroup(  # pyright: ignore[reportCallIssue] (generators and sampler are properties)
        factors=tuple(factors),
        order=_order(*(factor.order for factor in factors)),
        degree=sum(factor.degree for factor in factors),
    )


def wreath_product(inner: AbstractGroup, n: int) -> WreathGroup:
    """H ≀ S_n, of order |H|^n·n!: the symmetry of a set of n things, each with its own symmetry H.

    Args:
        inner: H.
        n: the number of blocks.

    Raises:
        TypeError: ``inner`` is no group, or n no integer.
        ValueError: n < 1.

    >>> import symjax_learn as sj
    >>> sj.wreath_product(sj.sign_group(1), 3).order == sj.hyperoctahedral_group(3).order
    True
    """
    if not isinstance(inner, AbstractGroup):
        raise TypeError(f"inner: expected a group and got a {type(inner).__name__}.")
    n = checked_count("n", n)
    return WreathGroup(  # pyright: ignore[reportCallIssue] (generators and sampler are properties)
        inner=inner,
        num_blocks=n,
        order=_order(*[inner.order] * n, math.factorial(n)),
        degree=n * inner.degree,
    )


def _batch_shape(group: AbstractGroup, a: Element) -> tuple[int, ...]:
    """The leading axes of elements of the Lie algebra."""
    leaf, basis = jax.tree.leaves(a)[0], jax.tree.leaves(group.lie_algebra)[0]
    return leaf.shape[: leaf.ndim - basis.ndim + 1]


def _repeated(g: Element, batch: tuple[int, ...]) -> Element:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, batch + leaf.shape), g)


def _order(*orders: int | float) -> int | float:
    """The product; exact integers of any size, or infinity (an integer beyond 2^1024 is no float)."""
    return math.inf if math.inf in orders else math.prod(orders)


def _num_points(group: AbstractGroup) -> int:
    """The number of points of the faithful action."""
    return group.faithful(jax.tree.map(lambda leaf: leaf[None], group.identity)).shape[1]


def _broadcast(left: Array, right: Array) -> tuple[Array, Array]:
    shape = jnp.broadcast_shapes(left.shape, right.shape)
    return jnp.broadcast_to(left, shape), jnp.broadcast_to(right, shape)
