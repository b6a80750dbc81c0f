"""B⁺ with the evidence for its rank: by NumPy where values are known, traceable elsewhere."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._types import AnyArray

# Eigenvectors of BᵀB are trusted where the singular values, which BᵀB squares, are above or below
# these; elsewhere those of B itself decide.
_SQUARED_KEPT, _SQUARED_NULL = 1e-2, 1e-11


class Cut(NamedTuple):
    """What was decided of the singular values of B, relative to max(1, |B|).

    Attributes:
        rank: how many are kept, in floating point.
        kept: the least of these; 1 without any.
        null: the largest of the others; 0 without any.
    """

    rank: Float[AnyArray, "*b"]
    kept: Float[AnyArray, "*b"]
    null: Float[AnyArray, "*b"]


def known_pseudoinverse(
    constraints: Float[np.ndarray, "b rows m"], cut: float
) -> tuple[Float[np.ndarray, "b m m"], Float[np.ndarray, "b rows m"], Cut]:
    """The factors V S⁻² and US of B⁺ = V S⁻² (US)ᵀ, without what is cut off, for known values.

    By the eigenvectors of BᵀB where they are clear, which is less work.
    """
    # What is not finite spoils its own answer, as Bc̃, and no decomposition.
    finite = np.isfinite(constraints).all(axis=(1, 2), keepdims=True)
    constraints = np.where(finite, constraints, 0.0)
    right = np.linalg.eigh(constraints.mT @ constraints)[1]
    images = constraints @ right  # of lengths that are not squared
    singular = np.sqrt(np.einsum("brm,brm->bm", images, images))
    found = _decided(np, singular, cut)[1]
    for i in np.flatnonzero(~((found.kept >= _SQUARED_KEPT) & (found.null <= _SQUARED_NULL))):
        right[i], singular[i], images[i] = _singular_vectors(np, constraints[i])
    weights, found = _decided(np, singular, cut)
    return right * weights[:, None], images, found


def _singular_vectors(xp: Any, matrix: Float[AnyArray, "rows m"]) -> tuple[Any, Any, Any]:
    """V, S and US of B = USVᵀ with all m columns."""
    rows, m = matrix.shape
    tall = xp.concatenate([matrix, xp.zeros((max(0, m - rows), m), matrix.dtype)])
    left, singular, transposed = xp.linalg.svd(tall, full_matrices=False)
    return transposed.T, singular, left[:rows] * singular[None]


def _decided(xp: Any, singular: Float[AnyArray, "*b m"], cut: float) -> tuple[Any, Cut]:
    """S⁻² of the singular values that are kept, 0 of the others, and the evidence."""
    scale = xp.maximum(xp.max(singular, axis=-1, initial=0.0), 1.0)
    is_kept = singular > cut * scale[..., None]
    weights = xp.where(is_kept, 1 / xp.where(is_kept, singular, 1.0) ** 2, 0.0)
    kept = xp.min(xp.where(is_kept, singular, scale[..., None]), axis=-1, initial=np.inf) / scale
    null = xp.max(xp.where(is_kept, 0.0, singular), axis=-1, initial=0.0) / scale
    rank = xp.sum(is_kept.astype(singular.dtype), axis=-1)
    return weights, Cut(rank, xp.minimum(kept, 1.0), null)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def pseudoinverse(matrix: Float[Array, "rows m"], cut: float) -> tuple[Float[Array, "m rows"], Cut]:
    """B⁺ by singular values, without those below the cut."""
    right, singular, images = _singular_vectors(jnp, matrix)
    weights, found = _decided(jnp, singular, cut)
    return (right * weights[None]) @ images.T, found


@pseudoinverse.defjvp
def _pseudoinverse_jvp(
    cut: float, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Cut], tuple[Array, Cut]]:
    """At a rank that stays: that of singular vectors is infinite where singular values coincide.

    References:
        G. H. Golub, V. Pereyra, *The Differentiation of Pseudo-Inverses*, SIAM J. Numer. Anal. 1973.
    """
    (matrix,), (rate,) = primals, tangents
    inverse, found = pseudoinverse(matrix, cut)
    outside = rate.T - (rate.T @ matrix) @ inverse
    within = rate.T - inverse @ (matrix @ rate.T)
    slope = inverse @ (inverse.T @ outside) + (within @ inverse.T) @ inverse
    return (inverse, found), (slope - inverse @ rate @ inverse, jax.tree.map(jnp.zeros_like, found))
