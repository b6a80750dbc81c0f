"""The Gaussian process whose mean is a ridge fit."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import MEMORY_LIMIT, chunk_rows, map_columns
from symjax_learn._types import AnyArray, FloatArray, Key, as_array, checked_count, is_traced
from symjax_learn.geometry.spaces import AbstractFunctions, PaddedSets
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.model import (
    Report,
    SpectralModel,
    as_report,
    checked_penalty,
    raise_unless_ok,
    solver_precision,
)
from symjax_learn.learning.problem import Samples, checked_samples, chunked_problem
from symjax_learn.optimization.criteria import CRITERIA, noise_variance
from symjax_learn.optimization.moments import factor_rows
from symjax_learn.optimization.quadratic import solve_ridge
from symjax_learn.optimization.solution import Status

_DEFAULT_SPECTRUM = sobolev(2.0)


class Posterior(eqx.Module):
    """f | y of a Gaussian process, a pytree: the coefficients are normal, N(c, σ²LLᵀ), for each output.

    Attributes:
        model: the mean, φ(x)c; equal to :func:`~symjax_learn.fit_ridge` at the same penalty.
        root: L, ``(num_functions, num_functions)``.
        noise: σ², the variance of y − f(x) of a sample of weight 1.
        amplitude: τ² of the prior covariance τ²K.
    """

    model: SpectralModel
    root: Float[Array, "D D"]
    noise: Float[Array, "..."]
    amplitude: Float[Array, "..."]

    def variance(
        self, points: FloatArray, mask: AnyArray | None = None, *, noise: bool = False
    ) -> Float[Array, "..."]:
        """Var f(x) = σ²|φ(x)L|², of each output alike; and of y at x.

        Args:
            points: ``(*batch, *point_shape)``, floating.
            mask: ``(*batch, n')``, for sets of unequal sizes, as a model takes it.
            noise: add σ², for a new y.

        Returns:
            ``batch`` in the dtype of the points; as invariant as the model.

        Cost: O(D²) for each point, in chunks.
        """
        flat, batch = self.model.basis.flattened(points, mask, "points")
        spread = _spread(self.model.basis.functions, self.root, flat).reshape(batch)
        return (spread + float(noise)) * self.noise.astype(spread.dtype)

    def sample(self, key: Key, num_samples: int) -> SpectralModel:
        """So many functions, drawn together from the posterior, each exactly invariant.

        Args:
            key: of the draw.
            num_samples: how many.

        Returns:
            A :class:`~symjax_learn.SpectralModel` with one more axis of outputs, the first: its values
            are ``(*batch, num_samples, *outputs)``.
        """
        count = checked_count("num_samples", num_samples)
        mean = self.model.coefficients
        normal = jax.random.normal(key, (len(mean), count, *mean.shape[1:]), mean.dtype)
        deviation = jnp.tensordot(self.root, normal, axes=1, precision="highest")
        coefficients = mean[:, None] + jnp.sqrt(self.noise.astype(mean.dtype)) * deviation
        return SpectralModel(self.model.basis, coefficients, self.model.penalty, self.model.report)


def posterior(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "evidence",
    noise: float | Array | None = None,
    intercept: bool = True,
    weights: AnyArray | None = None,
    mask: AnyArray | None = None,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> Posterior:
    """Ridge as Gaussian process regression: y_i = f(x_i) + ε_i, Var ε_i = σ²/w_i, f ~ N(b, τ²K).

    K(x, x') = Σ μ(λ_j) φ_j(x)φ_j(x') over the penalized functions, and b, with an intercept, has a flat
    prior. The posterior mean is the ridge fit with nη = σ²/τ², so that the penalty is the ratio and the
    prior covariance is (σ²/nη)K; the covariance of the coefficients (b, c) is σ²(ΦᵀWΦ + nη/μ)⁻¹. On an
    invariant basis mean, variance and samples are exactly invariant. Composes as
    :func:`~symjax_learn.fit_ridge` does.

    Args:
        basis: of the functions φ_j.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``, independent processes with one prior.
        spectrum: μ, a function of the eigenvalues.
        penalty: η > 0, or what chooses it on a grid: ``"evidence"``, the likelihood of y with the best
            σ², integrated over b; ``"gcv"``; ``"loo"``.
        noise: σ² > 0; unless given the estimate of the same likelihood, which divides by n minus
            the number of constants and is common to all outputs.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        mask: as of :func:`~symjax_learn.fit_ridge`.
        throw: raise for bad values, instead of returning them as ``model.report.status``.
        memory_limit: refuse more bytes.

    Returns:
        A :class:`Posterior`.

    Raises:
        ValueError, TypeError: as :func:`~symjax_learn.fit_ridge`; a penalty of zero; a noise that is not
            positive.

    Cost: a fit and one decomposition more, O(n·D² + D³); memory O(D²) and one chunk.

    References:
        C. Rasmussen, C. Williams, *Gaussian Processes for Machine Learning*, 2006, §2.7.

    >>> import symjax_learn as sj, jax
    >>> space = sj.Torus(2)
    >>> basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=4)
    >>> x = space.sample(jax.random.key(0), (50,))
    >>> belief = sj.posterior(basis, x, jax.numpy.cos(x).sum(axis=1), penalty=1e-3, noise=0.01)
    >>> bool((belief.variance(x, noise=True) > 0.01).all())
    True
    >>> belief.sample(jax.random.key(1), 3)(x).shape
    (50, 3)
    """
    samples, outputs, n = checked_samples(
        basis,
        x,
        y,
        spectrum=spectrum,
        weights=weights,
        mask=mask,
        penalty=(penalty, noise),
        values=throw,
        memory_limit=memory_limit,
    )
    eta = checked_penalty(penalty, n, (*CRITERIA[::-1], "loo"))
    if eta is not None and not is_traced(eta) and eta == 0:
        raise ValueError(
            "penalty: 0 is an infinitely wide prior, and fit_ridge its mean; give a number > 0."
        )
    if noise is None and n < 2:
        raise ValueError("noise: one sample does not tell it; give a variance.")
    if noise is None and throw and not is_traced(samples):
        if int(np.sum(np.asarray(samples.weights)[:n] > 0)) <= int(intercept):
            raise ValueError("noise: one sample of positive weight does not tell it; give a variance.")
    variance = None if noise is None else _checked_noise(noise)
    with solver_precision(is_traced(samples, eta, variance)):
        coefficients, root, chosen, report, noise_of_fit, amplitude = _posterior(
            samples,
            None if eta is None else jnp.asarray(eta),
            None if variance is None else jnp.asarray(variance),
            bool(intercept),
            penalty if isinstance(penalty, str) else "loo",
        )
    if throw:
        raise_unless_ok(report)
    model = SpectralModel(basis, coefficients.reshape(-1, *outputs), chosen, report)
    return Posterior(model, root, noise_of_fit, amplitude)


def _checked_noise(noise: object) -> AnyArray:
    value = as_array("noise", noise)
    traced = is_traced(value)
    numeric = value.shape == () and value.dtype.kind in "fiu"
    if not numeric or not (traced or 0 < value < np.inf):
        raise ValueError(f"noise: expected one finite variance > 0 and got {noise!r}.")
    return value if traced else np.asarray(value, np.float64)


@eqx.filter_jit
def _posterior(
    samples: Samples,
    penalty: Array | None,
    noise: Array | None,
    intercept: bool,
    criterion: str,
) -> tuple[Array, Array, Array, Report, Array, Array]:
    with jax.default_matmul_precision("highest"):
        problem = chunked_problem(samples, intercept)
        solution = solve_ridge(
            problem.rows,
            problem.num_chunks,
            samples.num_samples,
            penalty,
            problem.precision,
            problem.group,
            criterion,
            problem.num_rows,
        )
        ridge = solution.penalty * samples.num_samples.astype(solution.penalty.dtype)
        factor = factor_rows(problem.rows, problem.num_chunks, problem.num_rows, ridge)
    if noise is None:
        noise = noise_variance(factor.balance, problem.num_rows, int(intercept))
    scale = jnp.concatenate([jnp.ones(int(intercept), problem.scale.dtype), problem.scale])
    coefficients = scale[:, None] * jnp.concatenate([solution.free, solution.coefficients])
    dtype = samples.x.dtype
    amplitude = noise.astype(ridge.dtype) / ridge
    parts = (coefficients, scale[:, None] * factor.root, solution.penalty)
    coefficients, root, chosen = (part.astype(dtype) for part in parts)
    known = jnp.isfinite(noise) & (noise >= 0)
    status = jnp.where(known, solution.status, Status.not_finite).astype(jnp.int32)
    report = as_report(solution._replace(status=status), dtype)
    return coefficients, root, chosen, report, noise.astype(dtype), amplitude.astype(dtype)


@eqx.filter_jit
def _spread(
    functions: AbstractFunctions, root: Array, points: Array | PaddedSets
) -> Float[Array, " batch"]:
    """|φ(x)L|²."""

    def squared(chunk: Array | PaddedSets) -> Array:
        images = jnp.matmul(root.T.astype(chunk.dtype), functions.rows(chunk), precision="highest")
        return jnp.sum(images**2, axis=0, keepdims=True)

    return map_columns(squared, points, chunk_rows(functions.width + root.shape[1]))[0]
