"""Kernel ridge regression with spectral kernels, plain and averaged over a group: the baselines."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from symjax_learn._chunks import (
    MEMORY_LIMIT,
    chunk_rows,
    map_columns,
    refuse_beyond,
    split_rows,
)
from symjax_learn._types import AnyArray, Element, is_traced
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    Level,
    check_multiplicities,
)
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.construct import eigenbasis
from symjax_learn.invariants.count import checked_levels
from symjax_learn.learning.data import Data, checked_data
from symjax_learn.learning.model import (
    KernelModel,
    Report,
    SpectralModel,
    as_report,
    checked_penalty,
    checked_spectrum,
    raise_unless_ok,
    solver_precision,
    working_dtype,
)
from symjax_learn.optimization.dual import solve_kernel_ridge

_DEFAULT_SPECTRUM = sobolev(2.0)


def fit_kernel_ridge(
    space: AbstractSpace,
    x: AnyArray,
    y: AnyArray,
    *,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    max_eigenvalue: float | None = None,
    action: Action | AbstractGroup | None = None,
    intercept: bool = True,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> SpectralModel | KernelModel:
    """Kernel ridge regression with K(x, x') = Σ_{λ_j ≤ Λ} μ(λ_j) φ_j(x) φ_j(x'): α = (K + nηI)⁻¹(y − b).

    With ``action``, the averaged kernel (1/|G|) Σ_g K(gx, x') over *all* of G. The returned model is
    Σ_i K(·, x_i) α_i + b written in the eigenfunctions, which the truncated kernel allows, so that a
    prediction costs D and not n·D. Where D is larger than n times the work of one kernel by an addition
    theorem (``space.kernels(levels).width``, a few times the number of levels), and without ``action``,
    no eigenfunction is formed: D may be of any size, and the model is that sum of kernels.

    Args:
        space: where x lies.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``.
        spectrum: μ, a function of the eigenvalues.
        penalty: η ≥ 0, or ``"loo"`` (exact leave-one-out on a logarithmic grid).
        max_eigenvalue: Λ; needed, because K is a truncated sum over levels.
        action: average the kernel over this action's group (or a group).
        intercept: fit an unpenalized constant b, and leave the constant out of K.
        throw: raise for bad values, instead of returning them as ``report.status``.
        memory_limit: refuse more bytes.

    Returns:
        A :class:`~symjax_learn.SpectralModel` on all eigenfunctions up to Λ, or the same function as a
        ``KernelModel`` of the n samples, with the same attributes but a ``basis``.

    Raises:
        ValueError, TypeError: as :func:`~symjax_learn.fit_ridge`; a group too large to enumerate; a
            Gram matrix beyond the memory limit; no ``max_eigenvalue``.

    Cost: O(n²·D + n³) time and O(n²) memory, with the work of one kernel in the place of D where that
        is less; with ``action`` also n·|G|·D.

    References:
        Tahmasebi, Jegelka, NeurIPS 2023; Mei, Misiakiewicz, Montanari, COLT 2021.

    >>> import symjax_learn as sj, jax
    >>> space = sj.Torus(1)
    >>> x = space.sample(jax.random.key(0), (20,))
    >>> model = sj.fit_kernel_ridge(space, x, jax.numpy.cos(x[:, 0]), max_eigenvalue=9)
    >>> model.coefficients.shape
    (7,)
    """
    if max_eigenvalue is None:
        raise ValueError(
            "max_eigenvalue: the kernel of this space is a truncated sum over its spectrum; give the "
            "largest eigenvalue to keep."
        )
    data = checked_data(space, x, y, values=throw)
    n = len(data.x)
    levels = checked_levels(space, max_eigenvalue)
    if action is None and _kernels_are_cheaper(space, levels, n):
        return _fit_by_kernels(space, levels, data, spectrum, penalty, intercept, throw, memory_limit)
    basis = eigenbasis(space, max_eigenvalue=max_eigenvalue, memory_limit=memory_limit)
    kernel_weights = checked_spectrum(spectrum, basis.eigenvalues)
    eta = checked_penalty(penalty, n)
    _refuse_large_gram(n, memory_limit)
    acting = None if action is None else as_action(space, action)
    elements = None if acting is None else acting.elements()
    traced = is_traced(data, kernel_weights, eta)
    with solver_precision(traced):
        coefficients, chosen, report = _fit(
            basis.functions,
            kernel_weights,
            data.x,
            data.y,
            None if eta is None else jnp.asarray(eta),
            acting,
            elements,
            bool(intercept),
        )
    if throw:
        raise_unless_ok(report)
    return SpectralModel(basis, coefficients.reshape(-1, *data.outputs), chosen, report)


def _refuse_large_gram(n: int, memory_limit: int) -> None:
    refuse_beyond(
        memory_limit,
        5 * 8 * n * n,
        f"x: the {n:,} × {n:,} Gram matrix and its eigenvectors",
        "Use fewer samples, or fit_ridge, whose memory does not grow with n.",
    )


def _kernels_are_cheaper(space: AbstractSpace, levels: Sequence[Level], n: int) -> bool:
    """Whether n kernels cost less than all D functions. Kernels by functions never do.

    Nor where the constant shares its level, as on a space in pieces: it alone is not penalized.
    """
    if levels[0].multiplicity > 1:
        return False
    count = sum(level.multiplicity for level in levels)
    return n * len(levels) < count and n * space.kernels(levels).width < count


def _fit_by_kernels(
    space: AbstractSpace,
    levels: Sequence[Level],
    data: Data,
    spectrum: Spectrum,
    penalty: float | Array | str,
    intercept: bool,
    throw: bool,
    memory_limit: int,
) -> KernelModel:
    """The same fit by the addition theorem of the space."""
    dtype = data.x.dtype
    check_multiplicities(levels, dtype)
    eigenvalues = jnp.asarray([level.eigenvalue for level in levels], float)
    weights = checked_spectrum(spectrum, eigenvalues)
    if intercept:
        weights = jnp.where(jnp.arange(len(levels)) == 0, 0, weights)
    eta = checked_penalty(penalty, len(data.x))
    _refuse_large_gram(len(data.x), memory_limit)
    with solver_precision(is_traced(data, weights, eta)):
        alpha, constant, chosen, report = _solve_by_kernels(
            space.kernels(levels),  # in the precision of the solver
            weights,
            data.x,
            data.y,
            None if eta is None else jnp.asarray(eta),
            bool(intercept),
        )
    if throw:
        raise_unless_ok(report)
    return KernelModel(
        space=space,
        kernels=space.kernels(levels),
        weights=weights.astype(dtype),
        centers=data.x,
        coefficients=alpha.reshape(-1, *data.outputs),
        constant=constant.reshape(data.outputs),
        penalty=chosen,
        report=report,
    )


@eqx.filter_jit
def _solve_by_kernels(
    kernels: AbstractKernels,
    weights: Array,
    x: Array,
    y: Array,
    penalty: Array | None,
    intercept: bool,
) -> tuple[Array, Array, Array, Report]:
    """α, b, η and the evidence."""
    dtype = working_dtype(x.dtype)
    centers, mu = x.astype(dtype), weights.astype(dtype)

    def against_all(points: Array) -> Array:
        """K(points, x), ``(n, batch)``."""
        return kernels.combined(mu, centers[:, None], points[None])

    gram = map_columns(against_all, centers, chunk_rows(len(x) * kernels.width))
    gram = (gram + gram.T) / 2
    solution = solve_kernel_ridge(
        gram, y.astype(dtype), penalty, float(jnp.finfo(x.dtype).eps), intercept=intercept
    )
    constant = solution.free[0] if intercept else jnp.zeros(y.shape[1], dtype)
    parts = (solution.coefficients, constant, solution.penalty)
    alpha, constant, chosen = (part.astype(x.dtype) for part in parts)
    return alpha, constant, chosen, as_report(solution, x.dtype)


@eqx.filter_jit
def _fit(
    functions: AbstractFunctions,
    kernel_weights: Array,
    x: Array,
    y: Array,
    penalty: Array | None,
    action: Action | None,
    elements: Element | None,
    intercept: bool,
) -> tuple[Array, Array, Report]:
    dtype = working_dtype(x.dtype)
    mu = kernel_weights.astype(dtype)
    if intercept:
        mu = mu.at[0].set(0.0)

    def averaged(points: Array) -> Array:
        """(1/|G|) Σ_g φ(gx), one element after the other; φ itself without an action."""
        if action is None:
            return functions.rows(points).astype(dtype)

        def add(total: Array, g: Element, act: Any = action.act) -> tuple[Array, None]:
            return total + functions.rows(act(g, points)).astype(dtype), None

        start = jnp.zeros((functions.num_functions, points.shape[0]), dtype)
        total, _ = jax.lax.scan(add, start, elements)
        return total / jax.tree.leaves(elements)[0].shape[0]

    size = chunk_rows(functions.width)

    def against_all(points: Array) -> Array:
        """K(points, x), ``(n, batch)``: two nested loops over chunks, so that n × D never exists."""
        left = mu[:, None] * averaged(points)
        return map_columns(
            lambda others: jnp.matmul(left.T, functions.rows(others).astype(dtype)), x, size
        ).T

    def primal(alpha: Array) -> Array:
        """C = M Σ_i φ̄(x_i) α_i, summed chunk by chunk."""
        num_chunks = -(-x.shape[0] // size)
        length = -(-x.shape[0] // num_chunks)
        pad = jnp.zeros((num_chunks * length - x.shape[0], alpha.shape[1]), dtype)
        chunks = (
            split_rows(x, num_chunks, length),
            jnp.concatenate([alpha, pad]).reshape(num_chunks, length, -1),
        )
        start = jnp.zeros((functions.num_functions, alpha.shape[1]), dtype)
        total, _ = jax.lax.scan(lambda c, part: (c + averaged(part[0]) @ part[1], None), start, chunks)
        return mu[:, None] * total

    with jax.default_matmul_precision("highest"):
        gram = map_columns(against_all, x, size)
        gram = (gram + gram.T) / 2
        solution = solve_kernel_ridge(
            gram, y.astype(dtype), penalty, float(jnp.finfo(x.dtype).eps), intercept=intercept
        )
        coefficients = primal(solution.coefficients)
    if intercept:
        coefficients = coefficients.at[0].set(solution.free[0])
    report = as_report(solution, x.dtype)
    return coefficients.astype(x.dtype), solution.penalty.astype(x.dtype), report
