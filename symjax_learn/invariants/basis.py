"""A basis of orthonormal functions on a space, with the evidence that it is the right one."""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import CHUNK_ENTRIES, num_rows
from symjax_learn._types import AnyArray, FloatArray, as_array, is_traced
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractSetFunctions,
    AbstractSpace,
    PaddedSets,
    flatten_points,
)
from symjax_learn.invariants.action import Action

# Rows of one call of a compiled table: a power of two between these.
_FEWEST_ROWS, _MOST_ROWS = 8, 1024


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
        residual: the worst ‖D(g)c − c‖ over generators and functions; of structured routes what is left
            of the equations of a null space, and 0 where functions are invariant as they are written.
    """

    count: int
    source: str
    rank: int
    gap: float
    residual: float


class Invariants(NamedTuple):
    """What a structured route finds: orthonormal invariant functions, and the evidence.

    Attributes:
        table: the functions, the constant first.
        eigenvalues: of each, ascending.
        residual: how far they are from being invariant; 0 where they are so as they are written.
        gap: the least ratio of singular values beside a cut; infinite where no cut was made.
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
        normalization: what a function is on sets of another size: ``"mean"`` or ``"sum"``, see
            :meth:`__call__`. ``dataclasses.replace(basis, normalization="sum")`` changes it.
    """

    space: AbstractSpace
    action: Action | None
    functions: AbstractFunctions
    eigenvalues: Float[Array, " D"]
    num_ambient: int = eqx.field(static=True)
    route: str = eqx.field(static=True)
    certificate: Certificate = eqx.field(static=True)
    reason: str = eqx.field(static=True, default="")
    normalization: Literal["mean", "sum"] = eqx.field(static=True, default="mean")

    @property
    def num_functions(self) -> int:
        """D_G, the number of functions of the basis."""
        return self.functions.num_functions

    def __call__(self, points: FloatArray, mask: AnyArray | None = None) -> Float[Array, "..."]:
        """The features φ(x), orthonormal for the uniform probability measure.

        Where a group permutes all points of a set, all coordinates or the nodes of a graph, and the
        route is a structured one, sets may have another size n' than those of the space: each function
        is a sum m_s of N_s(n) terms of j points over √N_s(n), and on n' points it is
        √N_s(n)·m_s/N_s(n') (``normalization="mean"``: means stay means) or m_s/√N_s(n) (``"sum"``); 0
        where n' < j.

        Args:
            points: ``(*batch, *point_shape)``, floating, or with another number of points; of
                coordinates only together with a mask.
            mask: ``(*batch, n')``, whether a point is there, for sets of unequal sizes padded to one;
                what is absent is not read. All, unless given.

        Returns:
            ``(*batch, num_functions)`` in the dtype of the points; NaN where a point is NaN.

        Raises:
            TypeError: the points are not floating.
            ValueError: the shape is not that of points, or a mask does not fit.

        Cost: on the torus one cosine for each plane wave, D/2 of them or fewer, per point.

        References:
            M. Díaz, D. Drusvyatskiy, J. Kendrick, R. Thomas, *Invariant Kernels: Rank Stabilization and
            Generalization Across Dimensions*, arXiv:2502.01886, for other sizes.

        >>> import symjax_learn as sj, jax.numpy as jnp
        >>> basis = sj.invariant_basis(
        ...     sj.Torus(3), sj.symmetric_group(3), max_eigenvalue=1, route="multiset")
        >>> x = jnp.asarray([[0.0, 0.0, 0.5, 9.0], [0.0, 0.5, 0.0, 0.0]])
        >>> mask = jnp.asarray([[True, True, True, False], [True, True, False, False]])
        >>> bool(jnp.allclose(basis(x, mask)[0], basis(x[0, :3]), atol=1e-5))
        True
        """
        sets, batch = self.flattened(points, mask, "points")
        return evaluate(self.functions, sets).reshape(*batch, self.num_functions)

    def flattened(
        self, points: AnyArray, mask: AnyArray | None, name: str
    ) -> tuple[Array | PaddedSets, tuple[int, ...]]:
        """Points as the table takes them, with one axis, and the batch; their structure is checked."""
        size, own = self.set_size(jnp.shape(points)), self.set_size(self.space.point_shape)
        # Another number of coordinates is too likely a mistake to be taken for a set of that size.
        if mask is None and (size in (None, own) or len(self.space.point_shape) == 1):
            return flatten_points(self.space, points, name)
        if size is None:
            kind = f"these of route '{self.route}' are on points of one shape, {self.space.point_shape}"
            if own is not None:
                kind = f"{name} of shape {jnp.shape(points)} are no sets"
            raise ValueError(
                f"mask: functions of sets of unequal sizes take it, and {kind}; leave it out, or build "
                "the basis by a structured route of a group that permutes all points."
            )
        values = as_array(name, points)
        if values.dtype not in (jnp.float32, jnp.float64):
            raise TypeError(
                f"{name}: sets of points are floating-point numbers of 32 or 64 bits and got "
                f"{values.dtype}; convert them, for example with {name}.astype(float)."
            )
        if size == 0:
            raise ValueError(f"{name}: sets have at least one place for a point and got {values.shape}.")
        axes = len(self.space.point_shape)
        batch, shape = values.shape[: values.ndim - axes], values.shape[values.ndim - axes :]
        present = as_array("mask", np.ones((*batch, size), bool) if mask is None else mask)
        if present.shape != (*batch, size) or present.dtype != bool:
            raise ValueError(
                f"mask: expected booleans of shape {(*batch, size)}, one for each of {size} points, and "
                f"got {present.dtype} of shape {present.shape}."
            )
        count = math.prod(batch)
        sets = PaddedSets(
            jnp.asarray(values).reshape(count, *shape),
            jnp.asarray(present).reshape(count, size),
            self.normalization,
            -(-math.prod(shape) // math.prod(self.space.point_shape)),
        )
        return sets, batch

    def set_size(self, shape: tuple[int, ...]) -> int | None:
        """The number of points in an array of sets of this shape; ``None`` where sizes are fixed."""
        table = self.functions
        while isinstance(table, LinearCombinations):
            table = table.table
        axes = len(self.space.point_shape)
        if not isinstance(table, AbstractSetFunctions) or len(shape) < axes:
            return None
        return table.set_size(shape[len(shape) - axes :])


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

    def rows(self, points: Any) -> Array:
        """One small matrix product for each level."""
        rows, start, answer = self.table.rows(points), 0, []
        for matrix in self.coefficients:
            block = jax.lax.slice_in_dim(rows, start, start + matrix.shape[0])
            answer.append(jnp.matmul(matrix.T.astype(rows.dtype), block, precision="highest"))
            start += matrix.shape[0]
        return jnp.concatenate(answer)


def evaluate(functions: AbstractFunctions, points: Array | PaddedSets) -> Array:
    """The one compiled door to the values of a table: ``(batch, num_functions)``.

    Batches of known values are cut and padded to a few lengths, so that fits and predictions of any
    size share their programs; large answers, and batches that are being traced, go by chunks within
    one program.
    """
    n = num_rows(points)
    if is_traced(functions, points) or not 0 < n * functions.num_functions <= CHUNK_ENTRIES:
        return _columns(functions, points)
    length = min(_MOST_ROWS, max(_FEWEST_ROWS, 1 << (n - 1).bit_length()))
    host = jax.tree.map(np.asarray, points)  # where nothing is compiled to cut it
    parts = [
        _columns(functions, jax.tree.map(lambda leaf, i=i: _cut(leaf, i, length), host))
        for i in range(0, n, length)
    ]
    whole = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
    return whole if len(whole) == n else whole[:n]


@eqx.filter_jit
def _columns(functions: AbstractFunctions, points: Array | PaddedSets) -> Array:
    return functions.columns(points)


def _cut(array: np.ndarray, start: int, length: int) -> Array:
    """So many rows, the last repeated beyond the end."""
    rows = array[start : start + length]
    if len(rows) < length:
        filling = np.broadcast_to(rows[-1:], (length - len(rows), *array.shape[1:]))
        rows = np.concatenate([rows, filling])
    return jnp.asarray(rows)
