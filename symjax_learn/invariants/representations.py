"""The matrices of a group on eigenspaces, D(g): exactly on the torus, by least squares elsewhere."""

import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn.geometry.spaces import AbstractFunctions, AbstractSpace, Level
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.monomial import IntegerAffine, SignedAffine, find_rows

# D(g) by least squares must reproduce φ(g⁻¹x) to this accuracy (float64).
_FIT_TOLERANCE = 1e-8

# Eigenfunctions at points, ``(points, functions)``.
Values = Callable[[Array], Array]


def torus_representation(
    space: Torus,
    level: Level,
    elements: SignedAffine | IntegerAffine,
    shifts: Float[np.ndarray, "batch d"] | None = None,
) -> Float[np.ndarray, "batch m m"]:
    """D(g) on one level of the torus, from the frequencies that g permutes.

    With ``shifts`` these stand for the rational ones of the elements, in periods.
    """
    (half,) = space.half_frequencies([level])
    if not half.any():
        return np.ones((len(elements.shifts), 1, 1))
    moved = elements.move_frequencies(half)
    if shifts is None:
        turns = elements.phases(moved) / elements.denominator
    else:
        turns = -np.einsum("gki,gi->gk", moved, shifts)
    angles = 2 * np.pi * turns
    # cos and sin of k' = A^{−T}k are those of its representative ±k', the sine with the sign.
    leading = np.take_along_axis(moved, np.argmax(moved != 0, axis=2)[..., None], axis=2)[..., 0]
    sign = np.sign(leading).astype(float)
    targets = find_rows(half, moved * np.sign(leading)[..., None])
    h = len(half)
    batch, columns = np.ogrid[: len(moved), :h]
    matrices = np.zeros((len(moved), 2 * h, 2 * h))
    matrices[batch, targets, columns] = np.cos(angles)  # T cos_k = Re χ cos_k' − Im χ sin_k'
    matrices[batch, targets + h, columns] = -np.sin(angles) * sign
    matrices[batch, targets, columns + h] = np.sin(angles)  # T sin_k = Im χ cos_k' + Re χ sin_k'
    matrices[batch, targets + h, columns + h] = np.cos(angles) * sign
    return matrices


@eqx.filter_jit
def evaluated(functions: AbstractFunctions, points: Array) -> Array:
    """The values of a table, compiled once for each shape."""
    return functions.columns(points)


def _fitting_points(space: AbstractSpace, multiplicity: int) -> Array:
    """Points that determine a function of one level: all of a small finite space, else random ones."""
    if space.point_shape == (1,) and space.cardinality < math.inf:  # indices
        return jnp.arange(float(space.cardinality))[:, None]
    return space.sample(jax.random.key(0), (2 * multiplicity + 16,))


def fitted_matrices(
    space: AbstractSpace,
    levels: Sequence[Level],
    images: Callable[[int, Values, Array], Array],
    number: int,
) -> list[Float[np.ndarray, "batch m m"]]:
    """Matrices M with ψ(x) = φ(x) M on each level, by least squares at random points, float64.

    All levels are evaluated together, so that one program is compiled for them.

    Args:
        space: the space.
        levels: its levels.
        images: ``images(row, φ, x)``, the values ψ(x) of the row-th operator, all levels side by side.
        number: of operators.

    Raises:
        ValueError: an eigenspace that an operator does not keep.

    Cost: m³ for each level and operator.
    """
    points = _fitting_points(space, max(level.multiplicity for level in levels))
    functions = space.functions(levels)

    def values(points: Array) -> Array:
        return evaluated(functions, points)

    ends = np.cumsum([level.multiplicity for level in levels])[:-1]
    here = np.split(np.asarray(values(points)), ends, axis=1)
    factors = [np.linalg.qr(block) for block in here]  # once for all elements
    found = [np.empty((number, block.shape[1], block.shape[1])) for block in here]
    for row in range(number):
        there = np.split(np.asarray(images(row, values, points)), ends, axis=1)
        for i, level in enumerate(levels):
            orthogonal, triangle = factors[i]
            found[i][row] = np.linalg.solve(triangle, orthogonal.T @ there[i])
            residual = float(np.abs(here[i] @ found[i][row] - there[i]).max())
            if not residual <= _FIT_TOLERANCE * max(1.0, float(np.abs(there[i]).max())):
                raise ValueError(
                    f"act: element {row} carries eigenfunctions of eigenvalue {level.eigenvalue:g} out "
                    f"of their eigenspace (residual {residual:.1e}); it must act by isometries."
                )
    return found
