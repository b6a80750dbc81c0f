"""Kernels that depend on x·y, |x| and |y| alone: the addition theorem of spherical harmonics."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn.geometry.spaces import AbstractKernels


class ZonalKernels(AbstractKernels):
    """K_l(x, y) = m_l (|x||y|)^l P_l(x·y/(|x||y|)), for the m_l harmonics of degree l on S^d.

    P_l is the Gegenbauer polynomial of index (d − 1)/2 with P_l(1) = 1 (on the circle Chebyshev's). The
    homogeneous p_l = (|x||y|)^l P_l has

        p_{l+1} = ((2l + d − 1)(x·y) p_l − l |x|²|y|² p_{l−1})/(l + d − 1):

    nothing is divided by a norm or a sine, so that values and gradients are finite everywhere, and
    off the sphere they are those of the solid harmonics.

    Attributes:
        rise: (2l + d − 1)/(l + d − 1) for l = 0, …, L − 1, and
        fall: l/(l + d − 1).
        multiplicities: m_l of each level.
        degrees: l of each level.

    References:
        C. Müller, *Spherical Harmonics*, 1966, Theorem 2.
    """

    rise: Float[Array, " l"]
    fall: Float[Array, " l"]
    multiplicities: Float[Array, " L"]
    degrees: tuple[int, ...] = eqx.field(static=True)

    @property
    def num_levels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One for each degree."""
        return len(self.degrees)

    @property
    def width(self) -> int:
        """All polynomials, and those asked for."""
        return len(self.rise) + 1 + self.num_levels

    def rows(self, x: Array, y: Array) -> Array:
        """``(*batch, d + 1)`` twice ``-> (num_levels, *batch)``. Cost per pair: d + 4L products."""
        cosines, squares = inner(x, y), inner(x, x) * inner(y, y)
        one = jnp.ones_like(cosines)
        values = three_terms(self.rise, self.fall, cosines, squares, jnp.zeros_like(one), one)
        scales = self.multiplicities.astype(x.dtype).reshape(-1, *[1] * one.ndim)
        return scales * values[np.asarray(self.degrees)]


def zonal_kernels(dimension: int, degrees: Sequence[int], multiplicities: Sequence[int]) -> ZonalKernels:
    """Those of S^dimension. Finished arrays from float64 set-up work."""
    steps = np.arange(max(degrees))
    below = np.where(steps > 0, steps + dimension - 1, 1)
    return ZonalKernels(  # pyright: ignore[reportCallIssue]
        rise=jnp.asarray(np.where(steps > 0, 1 + steps / below, 1.0), float),
        fall=jnp.asarray(steps / below, float),
        multiplicities=jnp.asarray([float(count) for count in multiplicities], float),
        degrees=tuple(degrees),
    )


def three_terms(
    rise: Float[Array, " l"],
    fall: Float[Array, " l"],
    slope: Array,
    square: Array,
    below: Array,
    first: Array,
) -> Array:
    """p_0, …, p_L of p_{l+1} = rise_l·slope·p_l − fall_l·square·p_{l−1}, ``(L + 1, *batch)``."""

    def climb(pair: tuple[Array, Array], factors: tuple[Array, Array]):
        (under, here), (up, down) = pair, factors
        above = up.astype(here.dtype) * slope * here - down.astype(here.dtype) * square * under
        return (here, above), above

    _, others = jax.lax.scan(climb, (below, first), (rise, fall))
    return jnp.concatenate([first[None], others])


def inner(x: Array, y: Array) -> Array:
    """x·y over the last axis; the others broadcast, as one matrix product where they do."""
    return jnp.einsum("...i,...i->...", x, y, precision="highest")


def unit_vectors(points: Array) -> Array:
    """x/|x| along the last axis, also where |x|² overflows or underflows; NaN at the origin."""
    scaled = points / jax.lax.stop_gradient(jnp.max(jnp.abs(points), axis=-1, keepdims=True))
    return scaled / jnp.linalg.norm(scaled, axis=-1, keepdims=True)
