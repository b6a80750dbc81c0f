"""D(g) on one large eigenspace without its matrix."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._types import Element
from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.separable import integer_keys
from symjax_learn.geometry.spaces import Level
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.exact import (
    harmonic_degrees,
    has_cheap_powers,
    orthonormal_harmonics,
    power_images,
)
from symjax_learn.invariants.signed import permutes_functions, signed_moves

# Eigenspaces of a larger dimension are never given dense matrices where an operator is known.
MAX_DENSE = 500
# Entries of the images of a block of columns that exist at once.
_MAX_ENTRIES = 2e7


def has_operator(action: Action, level: Level) -> bool:
    """Whether D(g) is known without its matrix: signed permutations of functions, symmetric powers."""
    if action.user_act is not None:
        return False
    return permutes_functions(action.space, action.group) or has_cheap_powers(action.space, level)


def mean_image(
    action: Action, level: Level, elements: Element, columns: Float[np.ndarray, "m r"]
) -> Float[np.ndarray, "m r"]:
    """(1/k) Σ D(g) C over k elements, float64, NumPy."""
    total, number = np.zeros_like(columns), jax.tree.leaves(elements)[0].shape[0]
    for images in each_image(action, level, elements, columns):
        total += images
    return total / number


def each_image(
    action: Action, level: Level, elements: Element, columns: Float[np.ndarray, "m r"]
) -> Iterator[Float[np.ndarray, "m r"]]:
    """D(g) C for one element after the other."""
    number = jax.tree.leaves(elements)[0].shape[0]
    size = max(1, int(_MAX_ENTRIES // columns.size))
    polynomials = None if permutes_functions(action.space, action.group) else _Powers(action, level)
    for start in range(0, number, size):
        batch = jax.tree.map(lambda leaf, s=start: leaf[s : s + size], elements)
        if polynomials is not None:
            yield from polynomials.images(action.exact_elements(batch), columns)
            continue
        targets, odd = signed_moves(action.space, [level], action.group, batch)
        for row, signs in zip(targets, 1.0 - 2.0 * odd, strict=True):
            moved = np.empty_like(columns)
            moved[row] = signs[:, None] * columns
            yield moved


class _Powers:
    """Symmetric powers on one level of a Gaussian space, or on its harmonics among the polynomials."""

    def __init__(self, action: Action, level: Level):
        space, self.group = action.space, action.group
        self.harmonics = None
        if isinstance(space, Sphere | Ball):
            (self.degree,) = harmonic_degrees(space, [level])
            self.harmonics = orthonormal_harmonics(self.group.degree, self.degree)
        else:
            (self.degree,) = integer_keys([level], "Gaussian")

    def images(self, g: Element, columns: np.ndarray) -> np.ndarray:
        if self.harmonics is None:
            return power_images(self.group, g, columns, self.degree)
        return self.harmonics @ power_images(self.group, g, self.harmonics.T @ columns, self.degree)


def representation_operator(action: Action, level: Level, g: Element) -> lx.AbstractLinearOperator:
    """D(g) on one eigenspace as an operator, for solvers that need products alone.

    A gather and a product where the group permutes the eigenfunctions up to signs, with no m × m matrix;
    elsewhere the dense matrix.

    Args:
        action: a group on a space.
        level: of ``action.space.levels``.
        g: one element.

    Cost: O(m) for a product, or O(m²).

    >>> import symjax_learn as sj, jax, jax.numpy as jnp
    >>> from symjax_learn.invariants import representation_operator
    >>> action = sj.action(sj.Hypercube(20), sj.symmetric_group(20))
    >>> level = action.space.levels(10)[-1]
    >>> g = jax.tree.map(lambda leaf: leaf[0], action.generators)
    >>> operator = representation_operator(action, level, g)
    >>> operator.mv(jnp.ones(level.multiplicity)).shape
    (15504,)
    """
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], g)
    if action.user_act is not None or not permutes_functions(action.space, action.group):
        (matrices,) = action.representations([level], batch)
        return lx.MatrixLinearOperator(jnp.asarray(matrices[0], float))
    targets, odd = signed_moves(action.space, [level], action.group, batch)
    sources = np.argsort(targets[0])
    places = jnp.asarray(sources, jnp.int32)
    signs = jnp.asarray(1.0 - 2.0 * odd[0][sources], float)

    def product(vector: Array) -> Array:
        return signs.astype(vector.dtype) * vector[places]

    return lx.FunctionLinearOperator(product, jax.eval_shape(lambda: signs))
