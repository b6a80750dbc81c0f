"""What the convex problems answer: the minimizer with its evidence, and the grid of penalties."""

import enum
import math
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from symjax_learn._types import AnyArray

# Penalties of a leave-one-out grid, for each factor of ten.
_PER_DECADE = 4


class Status(enum.IntEnum):
    """What became of a fit; a fitting door raises unless it is ``ok`` or ``throw=False``."""

    ok = 0
    not_finite = 1
    rank_deficient = 2
    ill_conditioned = 3
    bad_penalty = 4
    not_converged = 5
    not_convex = 6
    no_gap = 7
    infeasible = 8
    bad_target = 9


MESSAGES = {
    Status.not_finite: "features, targets or the solution are not finite; check x, y and weights.",
    Status.rank_deficient: (
        "penalty = 0 with linearly dependent features: the least-squares solution is not unique; "
        "give a positive penalty, more samples or fewer functions."
    ),
    Status.ill_conditioned: (
        "at this penalty the problem is singular to working precision; raise the penalty or use float64."
    ),
    Status.bad_penalty: "the penalty is negative or not finite; give a finite number >= 0.",
    Status.not_converged: (
        "the solver stopped before its tolerance was met; allow more steps, a larger tolerance or a "
        "larger penalty. Where a function of the basis separates the labels there is no minimizer "
        "without a penalty."
    ),
    Status.not_convex: (
        "the loss has negative curvature at some sample; only convex losses have one minimum to find."
    ),
    Status.no_gap: (
        "no clear gap between the singular values that were taken for zero and the others; are the "
        "constraints exact (rounded matrices)? Give a tolerance between the two, or float64."
    ),
    Status.bad_target: "some target is none of those that the loss is of, such as a label out of range.",
    Status.infeasible: (
        "no coefficients meet all constraints; loosen bounds, drop equalities or use more functions."
    ),
}


class Criterion(eqx.Module):
    """What a penalty was chosen by.

    Attributes:
        name: ``"loo"``, ``"gcv"``, ``"evidence"`` or ``"kfold"``.
        value: the least that it is on the grid: a root mean square residual of what was left out, GCV,
            or −log of the evidence. It counts as fixed under differentiation, unless it is ``"loo"``.
    """

    name: str = eqx.field(static=True)
    value: Float[AnyArray, "..."]


class RidgeSolution(NamedTuple):
    """The minimizer and its evidence.

    Attributes:
        free: b, the unpenalized coefficients ``(f, o)``.
        coefficients: c, of the scaled columns ``(a, o)``.
        penalty: η.
        loo_error: root mean (weighted) square of the leave-one-out residuals over samples and outputs;
            ``None`` where only sums over the samples were read: from statistics, and where GCV or the
            evidence chose the penalty.
        condition: by how much relative errors of the features may grow.
        status: a :class:`Status` as an integer.
        criterion: what chose the penalty; ``None`` where it was given.
    """

    free: Float[Array, "f o"]
    coefficients: Float[Array, "a o"]
    penalty: Float[Array, ""]
    loo_error: Float[Array, ""] | None
    condition: Float[Array, ""]
    status: Int[Array, ""]
    criterion: Criterion | None = None


def penalty_grid(largest: Float[Array, ""], floor: float) -> Float[Array, " e"]:
    """Penalties nη from 10·largest down to about floor·largest, always by the same ratio."""
    num_points = math.ceil(_PER_DECADE * (1 - math.log10(floor))) + 1
    return largest * jnp.asarray(10.0 ** (1 - np.arange(num_points) / _PER_DECADE), largest.dtype)


def best_of(errors: Float[Array, " e"], scale: Float[Array, ""]) -> Int[Array, ""]:
    """The first of a descending grid whose error is the least to rounding: of equals the largest η.

    ``scale`` is the size of the targets, whose rounding no error resolves.
    """
    finite = jnp.where(jnp.isnan(errors), jnp.inf, errors)
    eps = jnp.finfo(errors.dtype).eps
    return jnp.argmax(finite <= jnp.min(finite) * (1 + 1e3 * eps) + 1e2 * eps * scale)


def fit_status(
    *solution: Array,
    ridge: Float[Array, ""],
    deficient: Bool[Array, ""],
    loss: Float[Array, ""],
) -> Int[Array, ""]:
    """The status of a solution at the penalty ``ridge`` that loses ``loss`` of all digits."""
    finite = jnp.asarray(True)
    for part in solution:
        finite &= jnp.all(jnp.isfinite(part))
    status = jnp.where(loss > 0.1, Status.ill_conditioned, Status.ok)
    status = jnp.where(deficient & (ridge == 0), Status.rank_deficient, status)
    status = jnp.where((ridge < 0) | jnp.isinf(ridge), Status.bad_penalty, status)
    return jnp.where(finite, status, Status.not_finite).astype(jnp.int32)
