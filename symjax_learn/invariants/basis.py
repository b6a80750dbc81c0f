"""A basis of orthonormal functions on a space, with the evidence that it is the right one."""

import dataclasses
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._types import FloatArray
from symjax_learn.geometry.spaces import AbstractFunctions, AbstractSpace, flatten_points
from symjax_learn.invariants.action import Action


@dataclasses.dataclass(frozen=True)
class Certificate:
    """Why a basis spans exactly the invariant functions.

    Attributes:
        count: the exact number of invariant functions.
        source: of that count: ``levels`` (no group), ``molien`` (a generating function of the
            family), ``character`` (Burnside's average of traces),
            ``orbits`` (exact integer orbits with phases), ``second_route`` (another route found as
            many), or ``none``.
        rank: the numerical rank of the basis; equal to ``count`` unless the source is ``none``.
        gap: the least ratio of singular values beside a cut; infinite where no cut was made.
        residual: the worst ‖D(g)c − c‖ over generators and functions.
    """

    count: int
    source: str
    rank: int
    gap: float
    residual: float


class Invariants(NamedTuple):
    """Orthonormal invariant functions, and the eigenvalue of each; the constant first, ascending.

    Attributes:
        table: the functions.
        eigenvalues: of each.
        residual: the worst ‖D(g)c − c‖ where something was solved.
        gap: the least ratio of singular values beside a cut.
    """

    table: AbstractFunctions
    eigenvalues: Float[np.ndarray, " D"]
    residual: float = 0.0
    gap: float = math.inf


class InvariantBasis(eqx.Module):
    """Orthonormal functions φ_1 = 1, φ_2, …, ordered by eigenvalue, in whole eigenspaces.

    A pytree: it passes through ``jax.jit``, ``jax.vmap`` and ``jax.grad``.

    Attributes:
        space: the space.
        action: the group that leaves every function fixed, or ``None`` (:func:`eigenbasis`).
        functions: the table that is evaluated.
        eigenvalues: λ of each function, ascending.
        num_ambient: D, the number of all eigenfunctions up to the same truncation.
        route: how the basis was made.
        certificate: the evidence.
        reason: why by this route, in words.
    """

    space: AbstractSpace
    action: Action | None
    functions: AbstractFunctions
    eigenvalues: Float[Array, " D"]
    num_ambient: int = eqx.field(static=True)
    route: str = eqx.field(static=True)
    certificate: Certificate = eqx.field(static=True)
    reason: str = eqx.field(static=True, default="")

    @property
    def num_functions(self) -> int:
        """D_G, the number of functions of the basis."""
        return self.functions.num_functions

    def __call__(self, points: FloatArray) -> Float[Array, "..."]:
        """The features φ(x), orthonormal for the uniform probability measure.

        Args:
            points: ``(*batch, *point_shape)``, floating.

        Returns:
            ``(*batch, num_functions)`` in the dtype of the points; NaN where a point is NaN.

        Raises:
            TypeError: the points are not floating.
            ValueError: the shape is not that of points.

        Cost: on the torus one cosine for each plane wave, D/2 of them or fewer, per point.
        """
        flat, batch = flatten_points(self.space, points, "points")
        return evaluate(self.functions, flat).reshape(*batch, self.num_functions)


class LinearCombinations(AbstractFunctions):
    """Functions given by coefficients in whole eigenspaces: φ^λ(x) C_λ, level by level.

    Attributes:
        table: the eigenfunctions of the levels.
        coefficients: for each level C_λ, ``(m, r)``.
    """

    table: AbstractFunctions
    coefficients: tuple[Float[Array, "_ _"], ...]
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """That of the table."""
        return max(self.table.width, self.table.num_functions)

    def rows(self, points: Array) -> Array:
        """One small matrix product for each level."""
        rows, start, answer = self.table.rows(points), 0, []
        for matrix in self.coefficients:
            block = jax.lax.slice_in_dim(rows, start, start + matrix.shape[0])
            answer.append(jnp.matmul(matrix.T.astype(rows.dtype), block, precision="highest"))
            start += matrix.shape[0]
        return jnp.concatenate(answer)


@eqx.filter_jit
def evaluate(functions: AbstractFunctions, points: Array) -> Array:
    """The one compiled door to the values of a table: ``(batch, num_functions)``."""
    return functions.columns(points)
