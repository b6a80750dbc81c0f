"""What every fit returns, and the checks that every fit makes."""

import contextlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import CHUNK_ENTRIES, chunk_rows, map_columns
from symjax_learn._types import AnyArray, FloatArray, as_array, is_traced
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    PaddedSets,
    flatten_points,
)
from symjax_learn.invariants.basis import InvariantBasis, evaluate
from symjax_learn.optimization.solution import MESSAGES, Criterion, RidgeSolution, Status


class Report(NamedTuple):
    """The evidence of a fit.

    Attributes:
        status: a ``Status`` as an integer; 0 is a good fit.
        loo_error: root mean square of the leave-one-out residuals at the penalty that was used; ``None``
            where only sums over the samples were read: from statistics, and where GCV or the evidence
            chose the penalty.
        condition: by how much relative errors of the features may be magnified in the fit.
        steps: iterations of the solver (1 for a direct one).
        criterion: the name and the value of what chose the penalty; ``None`` where it was given.
    """

    status: Int[AnyArray, "..."]
    loo_error: Float[AnyArray, "..."] | None
    condition: Float[AnyArray, "..."]
    steps: Int[AnyArray, "..."]
    criterion: Criterion | None = None


class SpectralModel(eqx.Module):
    """f(x) = Σ_j c_j φ_j(x): a fitted function, a pytree.

    A call is compiled. Within a compiled function of your own pass the model as an argument, for it
    holds arrays: ``jax.jit(lambda model, x: model(x))(model, x)``.

    Attributes:
        basis: of the functions φ_j; on an invariant basis the model is exactly invariant.
        coefficients: c, ``(num_functions, *outputs)``.
        penalty: η that was used.
        report: the evidence.
    """

    basis: InvariantBasis
    coefficients: Float[Array, "D *outputs"]
    penalty: Float[Array, "..."]
    report: Report

    def __call__(self, points: FloatArray, mask: AnyArray | None = None) -> Float[Array, "..."]:
        """The predictions.

        Args:
            points: ``(*batch, *point_shape)``, floating; where the basis has functions of sets of every
                size, or with another number of points.
            mask: ``(*batch, n')``, whether a point is there, for sets of unequal sizes.

        Returns:
            ``(*batch, *outputs)`` in the dtype of the points; NaN where a point is NaN. Features are
            formed in chunks and contracted at once.

        Raises:
            TypeError: the points are not floating.
            ValueError: the shape is not that of points, or a mask does not fit.
        """
        return spectral_values(self.basis, self.coefficients, points, mask)


def spectral_values(
    basis: InvariantBasis, coefficients: Array, points: FloatArray, mask: AnyArray | None
) -> Array:
    """φ(x)c, ``(*batch, *outputs)``; features are formed in chunks and contracted at once."""
    flat, batch = basis.flattened(points, mask, "points")
    outputs, functions = coefficients.shape[1:], basis.functions
    small = math.prod(batch) * functions.num_functions <= CHUNK_ENTRIES
    if small and not is_traced(basis, coefficients, flat):
        values = _contracted(evaluate(functions, flat), coefficients)
    else:
        values = _predict(functions, coefficients, flat)
    return values.reshape(*batch, *outputs)


@eqx.filter_jit
def _predict(functions: AbstractFunctions, coefficients: Array, points: Array | PaddedSets) -> Array:
    matrix = coefficients.reshape(len(coefficients), -1).T.astype(points.dtype)
    return functions.combined(matrix, points).T


@jax.jit
def _contracted(features: Array, coefficients: Array) -> Array:
    matrix = coefficients.reshape(len(coefficients), -1).astype(features.dtype)
    return jnp.matmul(features, matrix, precision="highest")


class KernelModel(eqx.Module):
    """f(x) = b + Σ_i K(x, x_i) α_i with K = Σ_λ μ_λ K_λ: a function fitted where functions are too many.

    The same function as a :class:`SpectralModel` on all eigenfunctions, of which none is formed. A
    pytree, called and passed likewise.

    Attributes:
        space: where x lies.
        kernels: K_λ of the levels.
        weights: μ_λ of each.
        centers: x_i, ``(n, *point_shape)``.
        coefficients: α, ``(n, *outputs)``.
        constant: b, ``outputs``.
        penalty: η that was used.
        report: the evidence.
    """

    space: AbstractSpace
    kernels: AbstractKernels
    weights: Float[Array, " L"]
    centers: Float[Array, "n *point"]
    coefficients: Float[Array, "n *outputs"]
    constant: Float[Array, "*outputs"]
    penalty: Float[Array, "..."]
    report: Report

    def __call__(self, points: FloatArray) -> Float[Array, "..."]:
        """The predictions.

        Args:
            points: ``(*batch, *point_shape)``, floating.

        Returns:
            ``(*batch, *outputs)`` in the dtype of the points; NaN where a point is NaN. Kernels are
            formed in chunks and contracted at once.

        Raises:
            TypeError: the points are not floating.
            ValueError: the shape is not that of points.

        Cost: n kernels for each point.
        """
        flat, batch = flatten_points(self.space, points, "points")
        return _predict_by_kernels(self, flat).reshape(*batch, *self.constant.shape)


@eqx.filter_jit
def _predict_by_kernels(model: KernelModel, points: Array) -> Array:
    n, dtype = len(model.centers), points.dtype
    matrix = model.coefficients.reshape(n, -1).astype(dtype)
    values = kernel_products(
        model.kernels, model.weights.astype(dtype), points, model.centers.astype(dtype), matrix
    )
    return values + model.constant.reshape(1, -1).astype(dtype)


def kernel_products(
    kernels: AbstractKernels, weights: Array, x: Array, centers: Array, matrix: Array
) -> Array:
    """Σ_i K(x, x_i) A_i, ``(batch, columns)``; never more than a chunk of kernels at once."""

    def columns(points: Array) -> Array:
        gram = kernels.combined(weights, points[:, None], centers[None])
        return jnp.matmul(gram, matrix, precision="highest").T

    return map_columns(columns, x, chunk_rows(len(centers) * kernels.width)).T


def checked_penalty(
    penalty: object, num_samples: int, criteria: Sequence[str] = ("loo",)
) -> AnyArray | None:
    """The penalty as a float64 of the host, which no precision has rounded yet, or as it is traced.

    ``None`` stands for one of the criteria.
    """
    names = "".join(f"{name!r} or " for name in criteria)
    if isinstance(penalty, str):
        if penalty not in criteria:
            raise ValueError(f"penalty: expected {names}a number >= 0 and got {penalty!r}.")
        if num_samples < 2:
            what = "leaves one sample out" if penalty == "loo" else "compares samples"
            raise ValueError(f"penalty: {penalty!r} {what} and needs at least 2; give a number.")
        return None
    value = as_array("penalty", penalty)
    traced = is_traced(value)
    numeric = value.shape == () and value.dtype.kind in "fiu"
    if not numeric or not (traced or (value >= 0 and np.isfinite(value))):
        raise ValueError(f"penalty: expected {names}one finite number >= 0 and got {penalty!r}.")
    return value if traced else np.asarray(value, np.float64)


def checked_spectrum(spectrum: object, eigenvalues: Array) -> Array:
    """μ of each eigenvalue, nonnegative and finite."""
    if not callable(spectrum):
        raise TypeError(
            f"spectrum: expected a function of the eigenvalues, such as sobolev(2.0), and got "
            f"{spectrum!r}."
        )
    weights = jnp.asarray(spectrum(eigenvalues))
    if weights.shape != eigenvalues.shape:
        raise ValueError(
            f"spectrum: it maps {eigenvalues.shape} eigenvalues to shape {weights.shape}; it must act "
            "entry by entry."
        )
    if not is_traced(weights):
        host = np.asarray(weights)
        bad = np.flatnonzero(~(np.isfinite(host) & (host >= 0)))
        if len(bad):
            raise ValueError(
                f"spectrum: at eigenvalue {float(eigenvalues[bad[0]])} it is {host[bad[0]]}; weights "
                "are finite and >= 0."
            )
    return weights


def as_report(solution: RidgeSolution, dtype: jnp.dtype) -> Report:
    """The evidence of a direct solver, in the dtype of the data."""
    loo_error, criterion = jax.tree.map(
        lambda value: value.astype(dtype), (solution.loo_error, solution.criterion)
    )
    condition = solution.condition.astype(dtype)
    return Report(solution.status, loo_error, condition, jnp.ones((), jnp.int32), criterion)


def raise_unless_ok(report: Report) -> None:
    """Raise for a status other than ``ok``; silent under a trace, where the status is the answer."""
    if is_traced(report):
        return
    status = Status(int(report.status))
    if status != Status.ok:
        raise ValueError(
            f"fit: {MESSAGES[status]} (status {status.name}, condition {float(report.condition):.1e}; "
            "throw=False returns the model with this status instead.)"
        )


def solver_precision(traced: bool) -> contextlib.AbstractContextManager[object]:
    """float64 for the decomposition of a fit, also where the session has x64 off.

    A float32 decomposition loses up to half its digits where float32 features do not. The scope is
    local and leaves no setting behind; within a trace the session's precision must serve, and the
    report's condition says what was lost.
    """
    return contextlib.nullcontext() if traced else jax.enable_x64(True)


def working_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """float64 where this scope has it, else the dtype of the data."""
    widest = jnp.dtype(jnp.result_type(float))
    return widest if widest.itemsize > jnp.dtype(dtype).itemsize else dtype
