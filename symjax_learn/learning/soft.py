"""Soft invariance: ridge regression that charges for departures from a symmetry.

The charge Σ ‖D(g)c − c‖² is diagonal in the principal directions of each eigenspace, so that this is
ridge regression on a rotated eigenbasis with another spectrum, from free to exactly invariant.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT
from symjax_learn._types import AnyArray, as_array, is_traced
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.basis import InvariantBasis, LinearCombinations
from symjax_learn.invariants.departures import departures
from symjax_learn.learning.data import truncated_levels
from symjax_learn.learning.model import Report, SpectralModel, checked_spectrum
from symjax_learn.learning.spectral import fit_ridge
from symjax_learn.optimization.solution import best_of

_DEFAULT_SPECTRUM = sobolev(2.0)
# Strengths that leave-one-out tries beside 0 and ∞, in units of the least penalty of a function.
_GRID = 10.0 ** np.arange(-1, 6)


class SoftPath(eqx.Module):
    """Fits of several strengths, from free to exactly invariant.

    Attributes:
        basis: the full eigenbasis.
        strengths: ρ of each fit, ascending, ``(s,)``.
        coefficients: of each, ``(s, num_functions, *outputs)``.
        penalties: η of each.
        reports: the evidence, arrays ``(s,)``.
        discrepancies: √(Σ ‖D(g)c − c‖² + Σ ‖dρ(A)c‖²) of each; 0 for ρ = ∞.
        best: the number of the fit of least leave-one-out error, or of the least of the criterion that
            chose its penalty; of equals the strongest.
    """

    basis: InvariantBasis
    strengths: Float[Array, " s"]
    coefficients: Float[Array, "s D *outputs"]
    penalties: Float[Array, " s"]
    reports: Report
    discrepancies: Float[Array, " s"]
    best: Int[Array, ""]

    def model(self, i: int | Array) -> SpectralModel:
        """The i-th fit."""
        report = jax.tree.map(lambda leaf: leaf[i], self.reports)
        return SpectralModel(self.basis, self.coefficients[i], self.penalties[i], report)


def fit_soft_invariance(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    action: Action | AbstractGroup,
    strength: float | Array | str = "loo",
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
    **options: Any,
) -> SpectralModel:
    """Ridge regression near a symmetry: η(Σ_j |c_j|²/μ_j + ρ Σ_g ‖D(g)c − c‖²) is the penalty.

    The sum is over the generators; for continuous groups ‖dρ(A)c‖² over a basis of the Lie algebra is
    added. ρ = 0 is :func:`~symjax_learn.fit_ridge` on the full eigenbasis, ρ = ∞ exactly that on the
    invariant one: for targets that are nearly symmetric something between is better. Composes under
    ``jit``, ``vmap`` (over strengths as well) and, for first derivatives, ``grad``.

    Args:
        basis: of :func:`~symjax_learn.eigenbasis`.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``.
        action: a group, or an action on the space of the basis.
        strength: ρ, 0 ≤ ρ ≤ ∞; ``"loo"``: the best of :func:`~symjax_learn.soft_invariance_path`.
        spectrum: μ, as in ``fit_ridge``.
        penalty: η, as there.
        throw: as there.
        memory_limit: refuse more bytes.
        options: further ones of ``fit_ridge``, such as ``intercept`` and ``weights``.

    Returns:
        A :class:`~symjax_learn.SpectralModel` on ``basis``.

    Raises:
        ValueError, TypeError: as ``fit_ridge``; a negative strength, a group that does not fit, a basis
            that is invariant already.

    Cost: that of ``fit_ridge`` on the full eigenbasis, and O(k·m² + m³) for each eigenspace.

    References:
        M. Finzi, G. Benton, A. G. Wilson, *Residual Pathway Priors for Soft Equivariance Constraints*,
        NeurIPS 2021, for soft constraints of networks.

    >>> import symjax_learn as sj, jax
    >>> space, group = sj.Torus(2), sj.symmetric_group(2)
    >>> x = space.sample(jax.random.key(0), (50,))
    >>> y = jax.numpy.cos(x).sum(axis=1) + 0.1 * jax.numpy.sin(x[:, 0])
    >>> basis = sj.eigenbasis(space, max_eigenvalue=4)
    >>> exact = sj.fit_soft_invariance(basis, x, y, action=group, strength=float("inf"))
    >>> bool(abs(exact(x[:1, ::-1]) - exact(x[:1])).max() < 1e-5)
    True
    """
    strengths = None
    if not (isinstance(strength, str) and strength == "loo"):
        value = as_array("strength", strength)
        if value.shape != () or value.dtype.kind not in "fiu":
            raise ValueError(f"strength: expected 'loo' or one number >= 0 and got {strength!r}.")
        strengths = value[None]
    path = soft_invariance_path(
        basis,
        x,
        y,
        action=action,
        strengths=strengths,
        spectrum=spectrum,
        penalty=penalty,
        throw=throw,
        memory_limit=memory_limit,
        **options,
    )
    return path.model(path.best)


def soft_invariance_path(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    action: Action | AbstractGroup,
    strengths: Sequence[float] | AnyArray | None = None,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
    **options: Any,
) -> SoftPath:
    """The fits of :func:`~symjax_learn.fit_soft_invariance` for several strengths ρ, free to exact.

    Args:
        basis: as there, and so are x, y, action, spectrum, penalty, throw, memory_limit and options.
        x: ``(n, *point_shape)``.
        y: ``(n, *outputs)``.
        action: a group or an action.
        strengths: ρ, ascending, from 0 to ∞; unless given 0, seven powers of ten from a tenth of the
            least 1/μ_j, and ∞.
        spectrum: μ.
        penalty: η, or ``"loo"``, chosen for each strength.
        throw: raise for bad values.
        memory_limit: refuse more bytes.
        options: further ones of ``fit_ridge``.

    Returns:
        A :class:`~symjax_learn.SoftPath`. With a fixed penalty the discrepancies descend.

    Raises:
        ValueError, TypeError: as there; strengths that do not ascend.

    Cost: a fit for each strength; the principal directions are found once.

    >>> import symjax_learn as sj, jax
    >>> x = sj.Torus(2).sample(jax.random.key(0), (50,))
    >>> y = jax.numpy.cos(x).sum(axis=1) + 0.1 * jax.numpy.sin(x[:, 0])
    >>> basis = sj.eigenbasis(sj.Torus(2), max_eigenvalue=4)
    >>> path = sj.soft_invariance_path(basis, x, y, action=sj.symmetric_group(2), penalty=1e-3)
    >>> bool((path.discrepancies[1:] <= path.discrepancies[:-1]).all()), float(path.discrepancies[-1])
    (True, 0.0)
    """
    if not isinstance(basis, InvariantBasis):
        raise TypeError(f"basis: expected the answer of eigenbasis and got a {type(basis).__name__}.")
    if basis.action is not None:
        raise ValueError(
            "basis: it is invariant already, with nothing to be soft about; give the full eigenbasis."
        )
    levels = truncated_levels(basis)
    if sum(level.multiplicity for level in levels) != basis.num_functions:
        raise ValueError("basis: it is no full eigenbasis; give the answer of eigenbasis.")
    weights = checked_spectrum(spectrum, basis.eigenvalues)
    grid = _default_strengths(weights) if strengths is None else _checked_strengths(strengths)
    with jax.ensure_compile_time_eval():
        rotations, rates = departures(as_action(basis.space, action), levels, memory_limit)
        blocks = tuple(jnp.asarray(block, float) for block in rotations)
    table = LinearCombinations(
        table=basis.functions, coefficients=blocks, num_functions=basis.num_functions
    )
    rotated = dataclasses.replace(basis, functions=table)

    def fit(strength: Array) -> SpectralModel:
        moved = jnp.asarray(rates > 0)
        # ρν = ∞ only where ν > 0, and what has no weight keeps none.
        charges = jnp.where(moved, strength, 0.0).astype(weights.dtype) * jnp.asarray(
            rates, weights.dtype
        )
        shrunk = jnp.where(
            weights > 0, weights / (1 + jnp.where(weights > 0, weights, 1.0) * charges), 0.0
        )
        return fit_ridge(
            rotated,
            x,
            y,
            spectrum=lambda _: shrunk,
            penalty=penalty,
            throw=throw,
            memory_limit=memory_limit,
            **options,
        )

    def found(strength: Array) -> tuple[Array, Array, Report]:
        model = fit(strength)
        return model.coefficients, model.penalty, model.report

    grid = jnp.asarray(grid, weights.dtype)
    if is_traced(x, y, grid, weights, penalty, options):
        coefficients, penalties, reports = jax.lax.map(found, grid)
    else:
        parts = [found(strength) for strength in grid]
        coefficients, penalties, reports = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
    flat = coefficients.reshape(*coefficients.shape[:2], math.prod(coefficients.shape[2:]))
    squares = jnp.sum(flat**2, axis=2) @ jnp.asarray(rates, flat.dtype)
    scale = jnp.sqrt(jnp.mean(jnp.asarray(y).astype(flat.dtype) ** 2))
    return SoftPath(
        basis,
        grid,
        _rotated_back(blocks, flat).reshape(coefficients.shape),
        penalties,
        reports,
        jnp.sqrt(squares),
        len(grid) - 1 - best_of(_judged(reports, scale)[::-1], scale),
    )


def _judged(reports: Report, scale: Array) -> Float[Array, " s"]:
    """What the fits are compared by: what chose their penalties, and leave-one-out of given ones."""
    if reports.criterion is None:
        return jnp.asarray(reports.loo_error)
    values = jnp.asarray(reports.criterion.value)
    # Logarithms may be negative, and are compared by their differences.
    return values - jnp.min(values) + scale if reports.criterion.name == "evidence" else values


def _rotated_back(blocks: tuple[Array, ...], coefficients: Float[Array, "s D o"]) -> Array:
    """Coefficients of the eigenfunctions from those of the principal directions."""
    start, parts = 0, []
    for block in blocks:
        rows = coefficients[:, start : start + len(block)]
        parts.append(jnp.einsum("ij,sjo->sio", block.astype(rows.dtype), rows, precision="highest"))
        start += len(block)
    return jnp.concatenate(parts, axis=1)


def _default_strengths(weights: Array) -> Array:
    """Zero, powers of ten around the penalty 1/μ of the smoothest function that moves, and infinity."""
    least = 1 / jnp.max(weights[1:], initial=0.0)
    between = jnp.asarray(_GRID, weights.dtype) * jnp.where(jnp.isfinite(least), least, 1.0)
    return jnp.concatenate([jnp.zeros(1, between.dtype), between, jnp.full(1, jnp.inf, between.dtype)])


def _checked_strengths(strengths: Sequence[float] | AnyArray) -> AnyArray:
    values = as_array("strengths", strengths)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"strengths: expected at least one number >= 0 in one axis and got {values.dtype} of shape "
            f"{values.shape}."
        )
    if not is_traced(values):
        host = np.asarray(values, float)
        if not (host >= 0).all() or not (host[1:] >= host[:-1]).all():
            raise ValueError(f"strengths: expected ascending numbers >= 0 and got {host.tolist()}.")
    return values
