"""A convex problem over chunks of rows, and what one pass over them finds at a point."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, Int

from symjax_learn.optimization.decomposition import Rows
from symjax_learn.optimization.losses import Multinomial

# ℓ(y, f) of one sample.
Loss = Callable[[Any, Any], Any]


class Problem(eqx.Module):
    """One fit.

    Attributes:
        rows: the chunks of the rows.
        penalty: η.
        loss: ℓ.
        num_samples: n, of the samples that are no padding.
        num_chunks: of equal length.
        target_shape: of one target y.
        shape: of one prediction f, of k entries.
    """

    rows: Rows
    penalty: Float[Array, ""]
    loss: Loss
    num_samples: Int[Array, ""]
    num_chunks: int = eqx.field(static=True)
    target_shape: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)

    def value(self, target: Float[Array, " o"], prediction: Float[Array, " k"]) -> Array:
        """ℓ of one sample of flat y and f."""
        value = self.loss(target.reshape(self.target_shape), prediction.reshape(self.shape))
        return jnp.asarray(value).astype(prediction.dtype)

    def derivatives(
        self, target: Float[Array, " o"], prediction: Float[Array, " k"]
    ) -> tuple[Array, Array, Array]:
        """ℓ, its gradient and its Hessian with respect to f."""
        slope = jax.grad(lambda f: self.value(target, f))
        return self.value(target, prediction), slope(prediction), jax.jacfwd(slope)(prediction)

    def sums(self, of: Callable[[Array, Array, Array], Any]) -> Any:
        """Σ over chunks of ``of(X, y, w)``, w = weights/n; a reverse pass evaluates chunks again."""
        count = self.num_samples

        def part(chunk: Array) -> Any:
            free, penalized, y, weights = self.rows(chunk)
            return of(jnp.concatenate([free, penalized], axis=1), y, weights / count.astype(y.dtype))

        first = jnp.zeros((), jnp.int32)
        if self.num_chunks == 1:
            return part(first)
        start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(part, first))
        add = jax.checkpoint(lambda total, chunk: (jax.tree.map(jnp.add, total, part(chunk)), None))
        return jax.lax.scan(add, start, jnp.arange(self.num_chunks, dtype=jnp.int32))[0]

    def mean_loss(self, theta: Float[Array, "t k"]) -> Float[Array, ""]:
        """(1/n) Σ w ℓ."""

        def of(x: Array, y: Array, w: Array) -> Array:
            return jnp.sum(jnp.where(w > 0, w * jax.vmap(self.value)(y, x @ theta), 0.0))

        return self.sums(of)

    def gradient(self, theta: Float[Array, "t k"]) -> Float[Array, "t k"]:
        """∇ at θ in a pass of its own, which can be differentiated."""

        def of(x: Array, y: Array, w: Array) -> Array:
            slopes = jax.vmap(jax.grad(self.value, argnums=1))(y, x @ theta)
            return x.T @ (w[:, None] * slopes)

        return self.sums(of) + 2 * ridge_of(self, len(theta))[:, None] * theta


class Terms(NamedTuple):
    """What one pass finds at θ, which a step δ led to.

    Attributes:
        objective: its value.
        gradient: ``(t, k)``.
        hessian: ``(t·k, t·k)``.
        squares: mean squares of the columns.
        slopes: mean square of ℓ'.
        curvature: mean of ℓ'' over samples and predictions.
        moved: mean square of δ in predictions.
        size: mean square of the predictions.
        concave: mean of the negative parts of ℓ'', along each entry of a prediction.
    """

    objective: Float[Array, ""]
    gradient: Float[Array, "t k"]
    hessian: Float[Array, "p p"]
    squares: Float[Array, " t"]
    slopes: Float[Array, ""]
    curvature: Float[Array, ""]
    moved: Float[Array, ""]
    size: Float[Array, ""]
    concave: Float[Array, ""]

    @property
    def correlations(self) -> Float[Array, "t k"]:
        """|∇| relative to the root mean squares of the columns and of ℓ': 0 at the minimum."""
        scale = jnp.sqrt(self.squares[:, None] * self.slopes)
        return jnp.abs(self.gradient) / jnp.where(scale > 0, scale, 1.0)

    @property
    def rounding(self) -> Float[Array, ""]:
        """What the objective cannot resolve: its own rounding, and that of the predictions."""
        eps = jnp.finfo(self.objective.dtype).eps
        blur = 4 * eps * jnp.sqrt(self.size)
        of_predictions = (jnp.sqrt(self.slopes) + jnp.abs(self.curvature) * blur) * blur
        return 8 * eps * jnp.abs(self.objective) + of_predictions


def held(problem: Any) -> Any:
    """The same without derivatives, which no iteration carries."""
    arrays, rest = eqx.partition(problem, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


def widths(problem: Problem) -> tuple[int, int]:
    """How many columns are free, and how many penalized."""
    free, penalized, _, _ = jax.eval_shape(problem.rows, jnp.zeros((), jnp.int32))
    return free.shape[1], penalized.shape[1]


def terms_at(problem: Problem, theta: Array, step: Array) -> Terms:
    """One pass."""
    t, k = theta.shape

    def of(x: Array, y: Array, w: Array) -> Terms:
        predictions, moves = jnp.split(x @ jnp.concatenate([theta, step], axis=1), 2, axis=1)
        values, slopes, curvatures = jax.vmap(problem.derivatives)(y, predictions)
        there = w > 0  # a weight of zero silences whatever the loss is
        values = jnp.where(there, w * values, 0.0)
        weighted = jnp.where(there[:, None], w[:, None] * slopes, 0.0)
        curvatures = jnp.where(there[:, None, None], w[:, None, None] * curvatures, 0.0)
        blocks = [
            x.T @ (curvatures[:, i, :, None] * x[:, None, :]).reshape(len(x), k * t) for i in range(k)
        ]
        diagonal = jnp.einsum("ikk->ik", curvatures)
        return Terms(
            jnp.sum(values),
            x.T @ weighted,
            # (k, t, k, t) with the axes of one coefficient together.
            jnp.stack(blocks, axis=1).reshape(t * k, k, t).mT.reshape(t * k, t * k),
            w @ x**2,
            jnp.sum(jnp.where(there[:, None], weighted * slopes, 0.0)) / k,
            jnp.sum(diagonal) / k,
            w @ jnp.mean(moves**2, axis=1),
            w @ jnp.mean(predictions**2, axis=1),
            -jnp.sum(jnp.minimum(diagonal, 0.0)) / k,
        )

    terms = problem.sums(of)
    ridge = ridge_of(problem, t)
    objective, gradient, hessian = terms.objective, terms.gradient, terms.hessian
    objective = objective + jnp.sum(ridge[:, None] * theta**2)
    gradient = gradient + 2 * ridge[:, None] * theta
    hessian = hessian + jnp.diag(jnp.repeat(2 * ridge, k))
    if isinstance(problem.loss, Multinomial):
        # Logits that all move together change nothing: those are chosen whose sum is zero.
        total = terms.squares[:, None] / k * jnp.sum(theta, axis=1, keepdims=True)
        objective = objective + jnp.sum(total * theta) / 2
        gradient = gradient + total
        hessian = hessian + jnp.kron(jnp.diag(terms.squares / k), jnp.ones((k, k), theta.dtype))
    return terms._replace(objective=objective, gradient=gradient, hessian=hessian)


def ridge_of(problem: Problem, t: int) -> Float[Array, " t"]:
    """η of the penalized columns, 0 of the free ones."""
    return jnp.where(jnp.arange(t) >= widths(problem)[0], problem.penalty, 0.0)


class Factor(NamedTuple):
    """H = S⁻¹ L Lᵀ S⁻¹ with S⁻² its diagonal.

    Attributes:
        triangle: L, of a matrix of unit diagonal.
        scale: S.
    """

    triangle: Float[Array, "p p"]
    scale: Float[Array, " p"]

    @property
    def pivot(self) -> Float[Array, ""]:
        """The least share of a column of H that no other columns explain; NaN if H is indefinite."""
        return jnp.where(
            jnp.all(self.scale > 0), jnp.min(jnp.diagonal(self.triangle), initial=1.0) ** 2, 0
        )

    def solve(self, right: Float[Array, "p o"]) -> Float[Array, "p o"]:
        """H⁻¹ B."""
        scale = self.scale[:, None]
        return scale * cho_solve((self.triangle, True), scale * right)


def factor_of(hessian: Float[Array, "p p"]) -> Factor:
    """By Cholesky, with a unit of rounding on the diagonal, so that a singular matrix has a factor."""
    p = len(hessian)
    diagonal = jnp.diagonal(hessian)
    positive = diagonal > 0
    scale = jnp.where(positive, 1 / jnp.sqrt(jnp.where(positive, diagonal, 1.0)), 0.0)
    unit = hessian * scale[:, None] * scale[None] + jnp.diag(jnp.where(positive, 0.0, 1.0))
    shift = 2 * p * jnp.finfo(hessian.dtype).eps
    return Factor(jnp.linalg.cholesky(unit + shift * jnp.eye(p, dtype=hessian.dtype)), scale)
