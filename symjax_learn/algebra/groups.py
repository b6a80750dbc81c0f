"""The contract of a group: what every wing above may ask of it."""

import abc
import dataclasses
import math
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, Element, FloatArray, Key
from symjax_learn.algebra.stabilizers import StabilizerChain, few_generators, stabilizer_chain

# ``elements()`` refuses groups of a larger order.
MAX_ELEMENTS = 1_000_000


GroupT = TypeVar("GroupT", bound="AbstractGroup")


class AbstractSampler(eqx.Module):
    """Draws one uniform element of a named family, in closed form."""

    @abc.abstractmethod
    def __call__(self, key: Key) -> Element:
        """One uniform element."""


class Transversals(eqx.Module):
    """A stabilizer chain as arrays: element ``[i, j]`` is the j-th of U_i, padded to equal length.

    The product of one uniform element of each U_i is a uniform element of the group.
    """

    elements: Element
    sizes: Int[Array, " levels"]


class AbstractGroup(eqx.Module):
    """A group of isometries of R^degree, given by generators.

    Elements are pytrees of arrays; every method takes batches of them along leading axes, which
    broadcast. A group is itself a pytree and passes through ``jax.jit``.

    Attributes:
        generators: a batch of elements, one leading axis (of length 0 for the trivial group). Where
            there is a Lie algebra, they and its exponentials together generate the group.
        order: |G|, an exact integer, or ``math.inf``.
        degree: the dimension of the vectors that the group moves.
        sampler: a closed form of the family, the transversals of a stabilizer chain, or ``None`` where
            no sampler is known.
    """

    generators: eqx.AbstractVar[Element]
    order: eqx.AbstractVar[int | float]
    degree: eqx.AbstractVar[int]
    sampler: eqx.AbstractVar[AbstractSampler | Transversals | None]

    @property
    @abc.abstractmethod
    def lie_algebra(self) -> Element | None:
        """A basis of the Lie algebra, along one leading axis; ``None`` for finite groups."""

    @property
    @abc.abstractmethod
    def identity(self) -> Element:
        """The neutral element."""

    @abc.abstractmethod
    def compose(self, g: Element, h: Element) -> Element:
        """The product g∘h: first h, then g."""

    @abc.abstractmethod
    def inverse(self, g: Element) -> Element:
        """The inverse element."""

    @abc.abstractmethod
    def apply(self, g: Element, vectors: FloatArray) -> FloatArray:
        """``matrix(g) @ vectors`` without the matrix; ``g`` and ``(*batch, degree)`` broadcast."""

    @abc.abstractmethod
    def exponential(self, a: Element) -> Element:
        """exp(a), for elements a of the Lie algebra."""

    @abc.abstractmethod
    def faithful(self, g: Element) -> Int[np.ndarray, "batch points"]:
        """A faithful action on finitely many points, as rows of images (a homomorphism; NumPy).

        Raises:
            ValueError: the group is infinite.
        """

    @abc.abstractmethod
    def from_faithful(self, images: Int[np.ndarray, "batch points"]) -> Element:
        """The inverse of :meth:`faithful`."""

    @property
    def num_generators(self) -> int:
        """The number of generators."""
        return jax.tree.leaves(self.generators)[0].shape[0]

    @property
    def dimension(self) -> int:
        """The dimension of G as a manifold: 0 for finite groups."""
        return 0 if self.lie_algebra is None else jax.tree.leaves(self.lie_algebra)[0].shape[0]

    def matrix(self, g: Element) -> Float[Array, "*batch d d"]:
        """The matrix of g on R^degree (of its linear part, for an affine group)."""
        columns = jnp.eye(self.degree)
        batched = jax.tree.map(lambda leaf, one: _new_axis(leaf, one.ndim), g, self.identity)
        return jnp.swapaxes(self.apply(batched, columns), -1, -2)

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Element:
        """Independent uniform elements, a batch of the given shape.

        Args:
            key: a JAX random key.
            shape: the batch shape.

        Raises:
            ValueError: no sampler of this group is known.

        Cost: Π shape products of one element per level of the stabilizer chain, or a closed form.
        """
        return _sample(self, key, tuple(shape))

    def elements(self, *, max_order: int = MAX_ELEMENTS) -> Element:
        """All elements as one batch, the identity first.

        Args:
            max_order: the largest order that is enumerated.

        Raises:
            ValueError: the order exceeds ``max_order``.
        """
        if self.order > max_order:
            raise ValueError(
                f"elements: the group has order {describe_order(self.order)}, more than "
                f"max_order = {max_order:,}. Use generators or sample(key, shape) instead, or raise "
                "max_order if you have the memory."
            )
        with jax.ensure_compile_time_eval():  # set-up work, also when a fit is being traced
            chain = stabilizer_chain(self.faithful(self.generators))
            points = self.faithful(jax.tree.map(lambda leaf: leaf[None], self.identity)).shape[1]
            return self.from_faithful(chain.elements(points))

    def transversals(self) -> list[Element]:
        """U_1, U_2, … of a stabilizer chain: every element is u_1 u_2 … in exactly one way.

        So the average over G is the product of the averages over the U_i, of which the last acts first:
        Σ|U_i| elements do the work of |G| = Π|U_i|.

        Cost: a stabilizer chain.
        """
        with jax.ensure_compile_time_eval():
            chain = stabilizer_chain(self.faithful(self.generators))
            return [self.from_faithful(transversal) for transversal in chain.transversals]

    def contains(self, g: Element) -> np.ndarray:
        """Membership of each element of a one-axis batch, exact (NumPy)."""
        return stabilizer_chain(self.faithful(self.generators)).contains(self.faithful(g))


class AbstractFiniteGroup(AbstractGroup):
    """A group without a Lie algebra."""

    @property
    def lie_algebra(self) -> None:
        """None: the group is finite."""
        return

    def exponential(self, a: Element) -> Element:
        """Refused: there is no Lie algebra."""
        raise ValueError(f"a: {type(self).__name__} is finite and has no Lie algebra; got {a!r}.")


def matrix_product(g: AnyArray, h: AnyArray) -> Array:
    """Gh, batches broadcasting."""
    # Highest precision: accelerators would otherwise round the factors to 10 bits.
    return jnp.einsum("...ij,...jk->...ik", g, h, precision="highest")


def times_vector(g: AnyArray, vectors: AnyArray) -> Array:
    """Gx in the dtype of x, batches broadcasting."""
    vectors = jnp.asarray(vectors)
    return jnp.einsum("...ij,...j->...i", g.astype(vectors.dtype), vectors, precision="highest")


def describe_order(order: int | float) -> str:
    """An order for messages: exact when short, a power of ten otherwise."""
    if order == math.inf:
        return "infinity"
    exact = int(order)
    if exact.bit_length() < 50:
        return f"{exact:,}"
    return f"about 10^{int((exact.bit_length() - 1) * math.log10(2))}"


def with_chain(group: GroupT) -> GroupT:
    """The group with the exact order and the uniform sampler of its stabilizer chain.

    Of more than log₂|G| generators those that the ones before do not generate are kept.
    """
    images = group.faithful(group.generators)
    chain = stabilizer_chain(images)
    rows = few_generators(images, chain.order)
    if len(rows) < len(images):
        fewer = jax.tree.map(lambda leaf: leaf[rows], group.generators)
        group = dataclasses.replace(group, generators=fewer)
    return dataclasses.replace(group, order=chain.order, sampler=_transversals_as_elements(chain, group))


def _transversals_as_elements(chain: StabilizerChain, group: AbstractGroup) -> Transversals:
    """The transversals of a chain on ``group.faithful`` as a padded batch of elements."""
    if not chain.transversals:
        alone = jax.tree.map(lambda leaf: leaf[None, None], group.identity)
        return Transversals(alone, jnp.ones((1,), jnp.int32))
    longest = max(len(t) for t in chain.transversals)
    padded = [np.concatenate([t, np.repeat(t[:1], longest - len(t), 0)]) for t in chain.transversals]
    elements = group.from_faithful(np.concatenate(padded))
    levels = len(padded)
    return Transversals(
        jax.tree.map(lambda leaf: jnp.asarray(leaf).reshape(levels, longest, *leaf.shape[1:]), elements),
        jnp.asarray([len(t) for t in chain.transversals], jnp.int32),
    )


@eqx.filter_jit
def _sample(group: AbstractGroup, key: Key, shape: tuple[int, ...]) -> Element:
    keys = jax.random.split(key, math.prod(shape))
    draws = jax.vmap(lambda one: sample_one(group, one))(keys)
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), draws)


def sample_one(group: AbstractGroup, key: Key) -> Element:
    """One uniform element, traceable."""
    if isinstance(group.sampler, AbstractSampler):
        return group.sampler(key)
    if group.sampler is None:
        raise ValueError(
            f"sample: no sampler of this {type(group).__name__} is known; give one where it is made, as "
            "lie_group(..., sample=...)."
        )
    elements, sizes = group.sampler.elements, group.sampler.sizes
    rows = jax.random.randint(key, sizes.shape, 0, sizes)

    def multiply(product: Element, level: tuple[Element, Array]) -> tuple[Element, None]:
        transversal, row = level
        factor = jax.tree.map(lambda leaf: leaf[row], transversal)
        return group.compose(product, factor), None

    product, _ = jax.lax.scan(multiply, group.identity, (elements, rows))
    return product


def _new_axis(leaf: AnyArray, element_ndim: int) -> AnyArray:
    """Insert a batch axis just before the axes of one element."""
    return jnp.expand_dims(leaf, leaf.ndim - element_ndim)
