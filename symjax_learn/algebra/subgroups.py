"""Subgroups that elements of a finite group generate, with exact orders."""

import dataclasses
from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from symjax_learn._types import Element, FloatArray
from symjax_learn.algebra.affine import AffineTorusGroup, affine_torus_group
from symjax_learn.algebra.groups import (
    AbstractFiniteGroup,
    AbstractGroup,
    AbstractSampler,
    Transversals,
    with_chain,
)
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.permutations import PermutationGroup, SignedPermutationGroup
from symjax_learn.algebra.products import ProductGroup, direct_product
from symjax_learn.algebra.stabilizers import few_generators, stabilizer_chain


class Subgroup(AbstractFiniteGroup):
    """A subgroup of a group that is none of a kind of its own: its elements are elements of that group.

    Attributes:
        parent: the group, finite.
    """

    parent: AbstractGroup
    generators: Element
    order: int | float = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    sampler: AbstractSampler | Transversals | None

    @property
    def identity(self) -> Element:
        """That of the parent."""
        return self.parent.identity

    def compose(self, g: Element, h: Element) -> Element:
        """As in the parent."""
        return self.parent.compose(g, h)

    def inverse(self, g: Element) -> Element:
        """As in the parent."""
        return self.parent.inverse(g)

    def apply(self, g: Element, vectors: FloatArray) -> FloatArray:
        """As in the parent."""
        return self.parent.apply(g, vectors)

    def faithful(self, g: Element) -> Int[np.ndarray, "batch points"]:
        """That of the parent."""
        return self.parent.faithful(g)

    def from_faithful(self, images: Int[np.ndarray, "batch points"]) -> Element:
        """That of the parent."""
        return self.parent.from_faithful(images)


def generated_subgroup(group: AbstractGroup, elements: Element) -> AbstractGroup:
    """The subgroup that elements generate, of the kind of the group where there is one.

    Of a direct product the product of the subgroups of the factors, where it is one; otherwise, and of
    wreath products, a :class:`Subgroup`, which moves what its parent moves.

    Args:
        group: a finite group.
        elements: a batch with one leading axis; of length 0 for the trivial subgroup.

    Raises:
        ValueError: the group is infinite.

    Cost: a stabilizer chain.
    """
    if group.lie_algebra is not None:
        raise ValueError(
            f"group: {type(group).__name__} is infinite, and what elements of it generate need not be "
            "closed; give a Lie algebra, as translation_group or lie_group do."
        )
    if not jax.tree.leaves(elements)[0].shape[0]:
        elements = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], group.identity)
    elements = jax.tree.map(jnp.asarray, elements)
    match group:
        case PermutationGroup() | SignedPermutationGroup():
            return with_chain(dataclasses.replace(group, generators=elements))
        case MatrixGroup():
            images = group.faithful(elements)
            few = images[few_generators(images, stabilizer_chain(images).order)]
            return with_chain(dataclasses.replace(group, images=jnp.asarray(few)))
        case AffineTorusGroup():
            shifts = [[Fraction(int(s), group.denominator) for s in row] for row in elements.shift]
            return affine_torus_group(np.asarray(elements.matrix), shifts)
    whole = with_chain(
        Subgroup(parent=group, generators=elements, order=1, degree=group.degree, sampler=None)
    )
    if isinstance(group, ProductGroup):
        pairs = zip(group.factors, elements, strict=True)
        product = direct_product(*(generated_subgroup(factor, part) for factor, part in pairs))
        if product.order == whole.order:
            return product
    return whole


def distinct(group: AbstractGroup, elements: Element) -> Int[np.ndarray, " k"]:
    """The rows of distinct elements of a finite group, without the identity, in their order."""
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], group.identity)
    images, identity = group.faithful(elements), group.faithful(one)
    _, first = np.unique(images, axis=0, return_index=True)
    return np.sort(first[(images[first] != identity).any(axis=1)])
