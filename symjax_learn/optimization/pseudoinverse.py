"""B⁺ with the evidence for its rank: by NumPy where values are known, traceable elsewhere."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._types import AnyArray

# Eigenvectors of BᵀB are trusted where the singular values, which BᵀB squares, are above or below
# these; elsewhere those of B itself decide.
_SQUARED_KEPT, _SQUARED_NULL = 1e-2, 1e-11


def known_pseudoinverse(constraints: Float[np.ndarray, "b rows m"], cut: float) -> tuple[Any, Any, Any]:
    """As :func:`pseudoinverse`, by the eigenvectors of BᵀB where they are clear: less work."""
    # What is not finite spoils its own answer, as Bc̃, and no decomposition.
    finite = np.isfinite(constraints).all(axis=(1, 2), keepdims=True)
    constraints = np.where(finite, constraints, 0.0)
    right = np.linalg.eigh(constraints.mT @ constraints)[1]
    images = constraints @ right  # of lengths that are not squared
    inverse, kept, null = _inverted(np, right, np.linalg.norm(images, axis=1), images, cut)
    for i in np.flatnonzero(~((kept >= _SQUARED_KEPT) & (null <= _SQUARED_NULL))):
        right, singular, images = _singular_vectors(np, constraints[i])
        inverse[i], kept[i], null[i] = _inverted(np, right, singular, images, cut)
    return inverse, kept, null


def _singular_vectors(xp: Any, matrix: Float[AnyArray, "rows m"]) -> tuple[Any, Any, Any]:
    """V, S and US of B = USVᵀ with all m columns."""
    rows, m = matrix.shape
    tall = xp.concatenate([matrix, xp.zeros((max(0, m - rows), m), matrix.dtype)])
    left, singular, transposed = xp.linalg.svd(tall, full_matrices=False)
    return transposed.T, singular, left[:rows] * singular[None]


def _inverted(
    xp: Any,
    right: Float[AnyArray, "*b m m"],
    singular: Float[AnyArray, "*b m"],
    images: Float[AnyArray, "*b rows m"],
    cut: float,
) -> tuple[Any, Any, Any]:
    """V S⁻² (US)ᵀ without what is cut off, and the singular values beside the cut."""
    scale = xp.maximum(xp.max(singular, axis=-1, initial=0.0), 1.0)
    is_kept = singular > cut * scale[..., None]
    weights = xp.where(is_kept, 1 / xp.where(is_kept, singular, 1.0) ** 2, 0.0)
    kept = xp.min(xp.where(is_kept, singular, scale[..., None]), axis=-1, initial=np.inf) / scale
    null = xp.max(xp.where(is_kept, 0.0, singular), axis=-1, initial=0.0) / scale
    return (right * weights[..., None, :]) @ images.mT, xp.minimum(kept, 1.0), null


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def pseudoinverse(
    matrix: Float[Array, "rows m"], cut: float
) -> tuple[Float[Array, "m rows"], Float[Array, ""], Float[Array, ""]]:
    """B⁺, and relative to max(1, |B|) the singular values beside the cut; 1 and 0 without any."""
    right, singular, images = _singular_vectors(jnp, matrix)
    return _inverted(jnp, right, singular, images, cut)


@pseudoinverse.defjvp
def _pseudoinverse_jvp(
    cut: float, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """At a rank that stays: that of singular vectors is infinite where singular values coincide.

    References:
        G. H. Golub, V. Pereyra, *The Differentiation of Pseudo-Inverses*, SIAM J. Numer. Anal. 1973.
    """
    (matrix,), (rate,) = primals, tangents
    found = pseudoinverse(matrix, cut)
    inverse, zero = found[0], jnp.zeros_like(found[1])
    outside = rate.T - (rate.T @ matrix) @ inverse
    within = rate.T - inverse @ (matrix @ rate.T)
    slope = inverse @ (inverse.T @ outside) + (within @ inverse.T) @ inverse
    return found, (slope - inverse @ rate @ inverse, zero, zero)
