"""Risk before any data: from the exact counts of a space and a group alone."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from symjax_learn._types import AnyArray
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.spectra import Spectrum
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.count import checked_levels, exact_counts
from symjax_learn.theory.equivalents import Numbers, RiskCurve, checked_numbers, predicted_risk

_ESTIMATORS = ("invariant", "plain")


def risk_curve(
    space: AbstractSpace,
    group: AbstractGroup | Action,
    num_samples: Numbers,
    *,
    spectrum: Spectrum,
    noise: float | AnyArray,
    max_eigenvalue: float,
    target: Callable[[Any], Any] | Numbers | None = None,
    estimator: str = "invariant",
    penalty: float | AnyArray | str = "best",
    intercept: bool = True,
    variance: float | None = 1.0,
) -> RiskCurve:
    """What ridge will have learned of an invariant target from n samples, before any data are seen.

    By :func:`~symjax_learn.predicted_risk`, where the equations and their limits are, from the
    eigenvalues, their multiplicities and the exact numbers of invariant functions. No basis is built,
    so that it answers for S_100 on T^100 as well.

    Args:
        space: the space.
        group: the group, or an action on the space.
        num_samples: n ≥ 1, of any shape.
        spectrum: μ ≥ 0, a function of the eigenvalues. Where it is 0 beyond some eigenvalue, that is
            the truncation of the estimator, and what the target has beyond is bias and noise.
        noise: σ > 0, the standard deviation of the noise.
        max_eigenvalue: Λ ≥ 0, beyond which neither the kernel nor the target has anything.
        target: λ ↦ c_j² of each invariant function of eigenvalue λ but the constant; or Σ c_j² on each
            level of ``space.levels(max_eigenvalue)``, an array. The spectrum, unless given: a draw of
            the Gaussian process with this kernel.
        estimator: ``"invariant"``, :func:`~symjax_learn.fit_ridge` on the invariant functions; or
            ``"plain"``, on all of them, which is kernel ridge regression with the truncated kernel.
        penalty: η ≥ 0, or ``"best"``: for each n that of least predicted risk.
        intercept: the constant is not penalized.
        variance: the target is scaled to this Σ c_j² > 0 without its constant; ``None``: it is taken as
            it is given.

    Returns:
        A :class:`~symjax_learn.RiskCurve`; its penalties can be given to ``fit_ridge``.

    Raises:
        ValueError, TypeError: arguments out of these ranges, a target on a level without an invariant
            function, or a pair whose invariants nobody can count.

    Cost: that of :func:`~symjax_learn.invariant_count`.

    References:
        Tahmasebi, Jegelka, NeurIPS 2023; Canatar, Bordelon, Pehlevan, Nature Communications 2021.

    >>> import symjax_learn as sj
    >>> space, group = sj.Torus(100), sj.symmetric_group(100)
    >>> options = dict(spectrum=sj.sobolev(2.0), noise=0.5, max_eigenvalue=6)
    >>> few = sj.risk_curve(space, group, 1000, **options)
    >>> plain = sj.risk_curve(space, group, 1000, estimator="plain", **options)
    >>> bool(few.risk < 0.02), bool(plain.risk > 0.5)
    (True, True)
    """
    if estimator not in _ESTIMATORS:
        raise ValueError(f"estimator: expected 'invariant' or 'plain' and got {estimator!r}.")
    levels = checked_levels(space, max_eigenvalue)
    counts = exact_counts(as_action(space, group), levels)
    weights = _of_levels("spectrum", spectrum, levels)
    wanted = spectrum if target is None else target
    power = _power(wanted, levels, counts, variance)
    sizes = counts if estimator == "invariant" else [level.multiplicity for level in levels]
    if callable(wanted) and intercept and sizes[0] > 1:
        # On several pieces eigenvalue 0 has more than the constant, a share of which would be left out.
        power[0] *= sizes[0] / (sizes[0] - 1)
    return predicted_risk(
        weights, sizes, power, num_samples, noise=noise, penalty=penalty, intercept=intercept
    )


def _of_levels(name: str, function: Any, levels: Sequence[Level]) -> Float[np.ndarray, " L"]:
    """A function of the eigenvalues, finite and ≥ 0 on each level; in float64 in every session."""
    if not callable(function):
        raise TypeError(f"{name}: expected a function of the eigenvalues and got {function!r}.")
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        eigenvalues = jnp.asarray([level.eigenvalue for level in levels], float)
        values = np.asarray(function(eigenvalues))
    if values.shape != eigenvalues.shape:
        raise ValueError(
            f"{name}: it maps {eigenvalues.shape} eigenvalues to shape {values.shape}; it must act "
            "entry by entry."
        )
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        raise ValueError(
            f"{name}: at eigenvalue {levels[bad[0]].eigenvalue} it is {values[bad[0]]}; it is "
            "finite and >= 0."
        )
    return np.asarray(values, np.float64)


def _power(
    target: Any, levels: Sequence[Level], counts: Sequence[int], variance: float | None
) -> Float[np.ndarray, " L"]:
    """Σ c² of the target on each level."""
    if callable(target):
        sizes = np.asarray([float(count) for count in counts])
        power = _of_levels("target", target, levels) * sizes
        power[0] -= power[0] / max(sizes[0], 1.0)  # but the constant
    else:
        power = checked_numbers("target", target).copy()
    if power.shape != (len(levels),) or not (np.isfinite(power) & (power >= 0)).all():
        raise ValueError(
            f"target: expected finite numbers >= 0, one for each of {len(levels)} levels, and got "
            f"{target!r}."
        )
    for level, count, value in zip(levels, counts, power, strict=True):
        if value > 0 and not count:
            raise ValueError(
                f"target: it has {value} at eigenvalue {level.eigenvalue}, where no function is "
                "invariant."
            )
    if variance is None:
        return power
    size = checked_numbers("variance", variance)
    if size.shape != () or not size > 0:
        raise ValueError(f"variance: expected None or one finite number > 0 and got {variance!r}.")
    constant = 0.0 if callable(target) else power[0] / max(counts[0], 1)
    total = power.sum() - constant
    if not total > 0:
        raise ValueError(
            f"target: nothing but a constant is invariant or wanted up to {levels[-1].eigenvalue}, "
            "which cannot be scaled; raise max_eigenvalue, or give variance=None."
        )
    return power * (float(size) / total)
