"""Spec-Avg: empirical means of the eigenfunctions, projected on the invariant ones."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import MEMORY_LIMIT, chunk_rows, map_columns, split_rows
from symjax_learn._types import AnyArray, checked_count, is_traced
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import AbstractFunctions, Level
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.invariants.routes.generators import generated_levels
from symjax_learn.learning.data import EIGENVALUE_ROUNDING, checked_data, truncated_levels
from symjax_learn.learning.model import (
    Report,
    SpectralModel,
    raise_unless_ok,
    solver_precision,
    working_dtype,
)
from symjax_learn.optimization.solution import Status


def fit_spec_avg(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    action: Action | AbstractGroup | None = None,
    smoothness: float | None = None,
    num_functions: int | None = None,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> SpectralModel:
    """Spectral averaging: c = P c̃ with the empirical means c̃_j = (1/n) Σ_i y_i φ_j(x_i).

    P is the orthogonal projection, eigenspace by eigenspace, on the coefficients with D(g)c = c for the
    generators g of the group: the answer of min |c − c̃|² under these constraints, which is
    c̃ − Bᵀ(BBᵀ)⁺Bc̃ for the stacked B = D(g) − I. On an invariant basis it is done already, and both ways
    give the same model. No least squares: the means assume uniform x.

    Args:
        basis: invariant; or a full eigenbasis, with ``action``.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``.
        action: project on its invariants (an action on the basis's space, or a group).
        smoothness: s of a target in H^s, s > d/2: truncate as published, to the whole eigenspaces among
            the first n^{1/(1+α)} eigenfunctions of the space, α = 2s/d. The constant is always kept.
        num_functions: keep whole levels with at most so many functions of the basis instead.
        throw: raise for bad values, instead of returning them as ``report.status``.
        memory_limit: refuse more bytes for the projections.

    Returns:
        A :class:`~symjax_learn.SpectralModel` on the same basis, zero beyond the truncation; its
        ``penalty`` is 0, and the leave-one-out error of its report is exact.

    Raises:
        ValueError, TypeError: as :func:`~symjax_learn.fit_ridge`; both truncations, s ≤ d/2, a group
            that does not fit the space, an ``action`` for a basis that is invariant already.

    Cost: two passes of O(n·D); with ``action`` O(k·m² + m³) for each eigenspace of dimension m. Memory
    is one chunk.

    References:
        Soleymani, Tahmasebi, Jegelka, Jaillet, *Learning with Exact Invariances in Polynomial Time*,
        ICML 2025, Algorithm 1.

    >>> import symjax_learn as sj, jax
    >>> space, group = sj.Torus(2), sj.sign_group(2)
    >>> x = space.sample(jax.random.key(0), (200,))
    >>> y = jax.numpy.cos(x).sum(axis=1)
    >>> full = sj.fit_spec_avg(sj.eigenbasis(space, max_eigenvalue=2), x, y, action=group)
    >>> direct = sj.fit_spec_avg(sj.invariant_basis(space, group, max_eigenvalue=2), x, y)
    >>> bool(abs(full(x) - direct(x)).max() < 1e-5)
    True
    """
    if not isinstance(basis, InvariantBasis):
        raise TypeError(
            f"basis: expected the answer of invariant_basis or eigenbasis and got a "
            f"{type(basis).__name__}."
        )
    if action is not None and basis.action is not None:
        raise ValueError(
            "action: the basis is invariant already; leave action out, or give the full eigenbasis."
        )
    data = checked_data(basis.space, x, y, values=throw)
    kept, projections = basis.num_functions, ()
    if not (action is None and smoothness is None and num_functions is None):
        levels = truncated_levels(basis)
        kept = _kept(basis, levels, len(data.x), smoothness, num_functions)
        if action is not None:
            with jax.ensure_compile_time_eval():
                acting = as_action(basis.space, action)
                found = generated_levels(acting, _within(levels, kept), memory_limit).coefficients
                projections = tuple(jnp.asarray(columns, float) for columns in found)
    traced = is_traced(basis, data)
    with solver_precision(traced):
        coefficients, report = _fit(basis.functions, kept, projections, data.x, data.y)
    if throw:
        raise_unless_ok(report)
    zero = jnp.zeros((), data.x.dtype)
    return SpectralModel(basis, coefficients.reshape(-1, *data.outputs), zero, report)


def _kept(
    basis: InvariantBasis,
    levels: Sequence[Level],
    num_samples: int,
    smoothness: float | None,
    num_functions: int | None,
) -> int:
    """How many functions of the basis, in whole levels, a truncation keeps."""
    if smoothness is not None and num_functions is not None:
        raise ValueError("smoothness, num_functions: give at most one of them; both came.")
    eigenvalues = np.asarray(basis.eigenvalues, np.float64)
    starts = np.flatnonzero(np.diff(eigenvalues, prepend=-1.0) > EIGENVALUE_ROUNDING * eigenvalues)
    ends = np.append(starts[1:], len(eigenvalues))
    if smoothness is not None:
        dimension = basis.space.dimension
        if not dimension:
            raise ValueError(
                "smoothness: a finite space has no dimension d, by which the theorem measures it; give "
                "num_functions."
            )
        if not (math.isfinite(smoothness) and smoothness > dimension / 2):
            raise ValueError(
                f"smoothness: expected s > d/2 = {dimension / 2} and got {smoothness}; the theorem does "
                "not apply to rougher functions, which need not even be continuous."
            )
        budget = num_samples ** (1 / (1 + 2 * smoothness / dimension)) * (1 + 1e-9)
        total, bound = 0, 0.0
        for level in levels:
            total += level.multiplicity
            if total > budget and total > 1:
                break
            bound = level.eigenvalue
        return int(np.sum(eigenvalues <= bound * (1 + EIGENVALUE_ROUNDING)))
    if num_functions is not None:
        budget = checked_count("num_functions", num_functions)
        return int(ends[ends <= budget].max(initial=1))
    return len(eigenvalues)


def _within(levels: Sequence[Level], num_functions: int) -> list[Level]:
    """The levels of the first so many functions of a full eigenbasis."""
    total, found = 0, []
    for level in levels:
        total += level.multiplicity
        if total <= num_functions:
            found.append(level)
    return found


def _project(projections: tuple[Array, ...], columns: Float[Array, "D o"]) -> Float[Array, "D o"]:
    """Uλ Uλᵀ on the rows of each level; everything, where there is no group."""
    if not projections:
        return columns
    start, blocks = 0, []
    for basis in projections:
        block = jax.lax.slice_in_dim(columns, start, start + basis.shape[0])
        basis = basis.astype(columns.dtype)
        blocks.append(basis @ (basis.T @ block))
        start += basis.shape[0]
    return jnp.concatenate(blocks)


@eqx.filter_jit
def _fit(
    functions: AbstractFunctions,
    kept: int,
    projections: tuple[Array, ...],
    x: Array,
    y: Array,
) -> tuple[Array, Report]:
    dtype = working_dtype(x.dtype)
    n, rows = x.shape[0], chunk_rows(max(functions.width, functions.num_functions))
    num_chunks = -(-n // rows)
    length = -(-n // num_chunks)
    weights = (jnp.arange(num_chunks * length) < n).astype(dtype)
    chunks = (
        split_rows(x, num_chunks, length),
        split_rows(y.astype(dtype), num_chunks, length),
        weights.reshape(num_chunks, length),
    )

    def features(points: Array) -> Array:
        return functions.rows(points)[:kept].astype(dtype)

    @jax.checkpoint
    def add(total: Array, chunk: tuple[Array, Array, Array]) -> tuple[Array, None]:
        points, targets, present = chunk
        return total + features(points) @ (targets * present[:, None]), None

    with jax.default_matmul_precision("highest"):
        start = jnp.zeros((kept, y.shape[1]), dtype)
        means = jax.lax.scan(add, start, chunks)[0] / n
        coefficients = _project(projections, means)

        def predictions(points: Array) -> Array:
            """f(x_i) and K(x_i, x_i), rows of one array."""
            here = features(points)
            diagonal = jnp.sum(here * _project(projections, here), axis=0, keepdims=True)
            return jnp.concatenate([coefficients.T @ here, diagonal])

        values = map_columns(predictions, x, rows).T
    fitted, diagonal = values[:, :-1], values[:, -1:]
    targets = y.astype(dtype)
    left_out = (n * fitted - targets * diagonal) / max(n - 1, 1)
    error = jnp.sqrt(jnp.mean((targets - left_out) ** 2))
    finite = jnp.all(jnp.isfinite(coefficients)) & jnp.isfinite(error)
    status = jnp.where(finite, Status.ok, Status.not_finite).astype(jnp.int32)
    one = jnp.ones((), jnp.int32)
    report = Report(status, error.astype(x.dtype), jnp.ones((), x.dtype), one)
    whole = jnp.zeros((functions.num_functions, y.shape[1]), dtype).at[:kept].set(coefficients)
    return whole.astype(x.dtype), report
