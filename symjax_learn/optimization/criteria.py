"""What a penalty is judged by without leaving anything out: generalized cross-validation and evidence.

Of min over c, b of Σ_i w_i |y_i − F_i b − A_i c|² + t |c|² with t = nη, in principal axes: A without its
share of F is U S Vᵀ, and z = Uᵀy. Both criteria are sums over the axes, for every penalty. Knows
features and penalties; no groups, no spaces.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# The criteria that one decomposition gives.
CRITERIA = ("gcv", "evidence")


class Axes(NamedTuple):
    """The problem in its principal axes.

    Attributes:
        squares: S², zero where it is rounding.
        targets: z, zero where S is.
        rest: Σ w y² outside the span of all columns.
        log_corner: log det FᵀWF.
        num_rows: N, the rows of positive weight.
        num_free: f, the columns of F.
    """

    squares: Float[Array, " r"]
    targets: Float[Array, "r o"]
    rest: Float[Array, " o"]
    log_corner: Float[Array, ""]
    num_rows: Float[Array, ""] | Int[Array, ""]
    num_free: int


class Balance(NamedTuple):
    """What the criteria need of a penalty t.

    Attributes:
        residual: Σ w |y − Fb − Ac|², of each output.
        energy: the same and t|c|².
        freedom: N − f − tr A(AᵀA + t)⁻¹Aᵀ, the degrees of freedom that are left to the residual.
        log_ratio: log det(XᵀWX + t) − a log t of all columns X = [F A], where t stands at those of A.
    """

    residual: Float[Array, " o"]
    energy: Float[Array, " o"]
    freedom: Float[Array, ""]
    log_ratio: Float[Array, ""]


def balance(axes: Axes, ridge: Float[Array, ""]) -> Balance:
    """Sums of nonnegative terms, so that nothing cancels."""
    alive = axes.squares > 0
    kept = jnp.where(alive, ridge / jnp.where(alive, axes.squares + ridge, 1.0), 0.0)
    left = axes.num_rows.astype(kept.dtype) - axes.num_free - jnp.sum(alive, dtype=kept.dtype)
    # Where the columns span everything nothing is outside; rounding would be.
    rest = jnp.where(left > 0, axes.rest, 0.0)
    ratios = jnp.where(ridge > 0, axes.squares / jnp.where(ridge > 0, ridge, 1.0), jnp.inf)
    return Balance(
        rest + jnp.sum((kept[:, None] * axes.targets) ** 2, axis=0),
        rest + jnp.sum(kept[:, None] * axes.targets**2, axis=0),
        jnp.maximum(left, 0.0) + jnp.sum(kept),
        axes.log_corner + jnp.sum(jnp.where(alive, jnp.log1p(jnp.where(alive, ratios, 0.0)), 0.0)),
    )


def gcv(part: Balance, num_rows: Array) -> Float[Array, ""]:
    """Generalized cross-validation, (RSS/N)/(1 − df/N)² of each output, their mean.

    References:
        G. Golub, M. Heath, G. Wahba, *Generalized cross-validation as a method for choosing a good
        ridge parameter*, Technometrics 21, 1979.
    """
    count = num_rows.astype(part.freedom.dtype)
    return count * jnp.mean(part.residual) / part.freedom**2


def evidence(part: Balance, num_rows: Array, num_free: int) -> Float[Array, ""]:
    """−log of the marginal likelihood of √w y, of the Gaussian process with its scale at the best.

    y ~ N(Fb, τ²(AAᵀ + tW⁻¹)) with a flat prior on b, integrated over b (the restricted likelihood), and
    the τ² that is common to all outputs where it is largest, at τ²t = :func:`noise_variance`:
    ½ (M (log 2πτ²t + 1) + o (log det(XᵀWX + t) − a log t)), M = (N − f)o.

    References:
        C. Rasmussen, C. Williams, *Gaussian Processes for Machine Learning*, 2006, §2.7 and §5.4.
    """
    num_outputs = part.energy.shape[0]
    total = (num_rows - num_free).astype(part.energy.dtype) * num_outputs
    variance = noise_variance(part, num_rows, num_free)
    return (total * (jnp.log(2 * math.pi * variance) + 1) + num_outputs * part.log_ratio) / 2


def noise_variance(part: Balance, num_rows: Array, num_free: int) -> Float[Array, ""]:
    """σ² = τ²t, the variance of the noise of a sample of weight 1 where the likelihood is largest."""
    total = (num_rows - num_free).astype(part.energy.dtype) * part.energy.shape[0]
    return jnp.sum(part.energy) / total


def criterion_value(criterion: str, part: Balance, num_rows: Array, num_free: int) -> Float[Array, ""]:
    """One of :data:`CRITERIA`."""
    return gcv(part, num_rows) if criterion == "gcv" else evidence(part, num_rows, num_free)


def criterion_errors(criterion: str, axes: Axes, grid: Float[Array, " e"]) -> Float[Array, " e"]:
    """An increasing function of the criterion for each t, of the size of the targets.

    √GCV, or the root of the noise variance and of the determinant by which the evidence weighs it.
    """

    def error(ridge: Float[Array, ""]) -> Float[Array, ""]:
        part = balance(axes, ridge)
        if criterion == "gcv":
            return jnp.sqrt(gcv(part, axes.num_rows))
        share = 1 / (axes.num_rows - axes.num_free).astype(grid.dtype)
        variance = noise_variance(part, axes.num_rows, axes.num_free)
        return jnp.sqrt(variance) * jnp.exp(share * (part.log_ratio - axes.log_corner) / 2)

    return jax.vmap(error)(grid)
