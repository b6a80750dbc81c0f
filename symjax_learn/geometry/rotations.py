"""The group of rotations of space, and the entries of its real Wigner matrices."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
)
from symjax_learn.geometry.spectra import RELATIVE
from symjax_learn.geometry.zonal import inner, three_terms

# Σ (2l+1)² = 39,711 functions up to it, and a program that grows with the degree.
MAX_DEGREE = 30


class Step(NamedTuple):
    """The numbers that lead from D^{l−1} to D^l; m = −l … l, the sines negative.

    Attributes:
        here, right, left, right_flipped, left_flipped: what (x_j Y_n)_top contributes to Y_m from
            n = m, m − 1, m + 1, 1 − m and −m − 1, ``(2l + 1,)``.
        divisors: of the rows of D^l.
    """

    here: FloatArray
    right: FloatArray
    left: FloatArray
    right_flipped: FloatArray
    left_flipped: FloatArray
    divisors: FloatArray


class WignerMatrices(AbstractFunctions):
    """φ(R) = √(2l+1) D^l_{mn}(R), where Y_m(Rx) = Σ_n D^l_{mn}(R) Y_n(x) for real harmonics of degree l.

    The top part of a product, (x_j Y_n)_top, is its part of degree l when Y_n has degree l − 1. From
    (Rx)_3 Y_m(Rx) and ((Rx)_1 + i(Rx)_2) Y_m(Rx), Y_m complex, follow with known numbers a and b

        a^l_m D^l_{mn}    = Σ_{j,k} R_{3j} D^{l−1}_{mk} (x_j Y_k)_{top,n},
        b^l_m D^l_{m+1,n} = Σ_{j,k} (R_{1j} + iR_{2j}) D^{l−1}_{mk} (x_j Y_k)_{top,n},

    five products for each real number of the right-hand sides. The first is used where m ≤ l/2 and
    the second elsewhere, so that neither divides by a small number. The entries are homogeneous
    polynomials of degree l in those of R: there are no angles, and values and gradients are finite
    for every matrix.

    Attributes:
        steps: for each l = 2 … L.
        orders: for each l = 0 … L the place in the flattened matrix of each function.
        degrees: of the levels of this table.

    References:
        J. Ivanic, K. Ruedenberg, *Rotation matrices for real spherical harmonics. Direct determination
        by recursion*, J. Phys. Chem. 100 (1996), which uses the second where m = l only.
    """

    steps: tuple[Step, ...]
    orders: tuple[Int[Array, " _"], ...]
    degrees: tuple[int, ...] = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The functions, and the last two matrices."""
        return self.num_functions + 2 * (2 * max(self.degrees) + 1) ** 2

    def rows(self, points: Float[Array, "batch 3 3"]) -> Float[Array, "D batch"]:
        """``(batch, 3, 3) -> (num_functions, batch)``.

        Cost per point: about 8 products for each entry of each D^l, l ≤ L; (4/3) L³ entries.
        """
        rotations = jnp.moveaxis(points, 0, -1)
        matrices = [jnp.ones((1, 1, points.shape[0]), points.dtype), _first(rotations)]
        for step in self.steps:
            matrices.append(_next(matrices[-1], rotations, step))
        blocks = [
            math.sqrt(2 * degree + 1)
            * matrices[degree].reshape(-1, points.shape[0])[self.orders[degree]]
            for degree in self.degrees
        ]
        return jnp.concatenate(blocks)


class RotationKernels(AbstractKernels):
    """K_l(R, S) = (2l + 1) χ_l(θ), the trace of D^l at the angle θ of R⁻¹S.

    χ_l = sin((l + ½)θ)/sin(θ/2) by χ_{l+1} = 2 cos θ·χ_l − χ_{l−1} from χ_{−1} = −1 and χ_0 = 1, with
    2 cos θ = tr(RᵀS) − 1: a polynomial, so that gradients are finite at all angles. Along the group
    they are those of the functions; off it the polynomials differ from the sum of the functions.

    Attributes:
        degrees: l of each level.
    """

    degrees: tuple[int, ...] = eqx.field(static=True)

    @property
    def num_levels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One for each degree."""
        return len(self.degrees)

    @property
    def width(self) -> int:
        """All characters, and those asked for."""
        return max(self.degrees) + 1 + self.num_levels

    def rows(self, x: Float[Array, "*left 3 3"], y: Float[Array, "*right 3 3"]) -> Array:
        """``(*batch, 3, 3)`` twice ``-> (num_levels, *batch)``. Cost per pair: 9 + 2L products."""
        x, y = (points.reshape(*points.shape[:-2], 9) for points in (x, y))
        slope = inner(x, y) - 1
        one, ones = jnp.ones_like(slope), jnp.ones(max(self.degrees), x.dtype)
        characters = three_terms(ones, ones, slope, one, -one, one)
        sizes = jnp.asarray([2 * degree + 1 for degree in self.degrees], x.dtype)
        return sizes.reshape(-1, *[1] * one.ndim) * characters[np.asarray(self.degrees)]


def _first(rotations: Float[Array, "3 3 batch"]) -> Float[Array, "3 3 batch"]:
    """D^1: R in the basis y, z, x."""
    return jnp.roll(rotations, (-1, -1), axis=(0, 1))


def _next(
    matrix: Float[Array, "v v batch"], rotations: Float[Array, "3 3 batch"], step: Step
) -> Float[Array, "w w batch"]:
    """D^l from D^{l−1}."""
    degree = step.here.size // 2
    high, size = degree - degree // 2, matrix.shape[0]  # rows of the second kind at either end
    step = Step(*(numbers.astype(matrix.dtype)[None, :, None] for numbers in step))
    middle = _times(matrix[high - 1 : size - high + 1], rotations[2], step)
    lower, upper = matrix[:high], matrix[size - high :]
    sines = _times(lower, rotations[0], step) + _times(upper[::-1], rotations[1], step)
    cosines = _times(upper, rotations[0], step) - _times(lower[::-1], rotations[1], step)
    return jnp.concatenate([sines, middle, cosines]) / step.divisors.swapaxes(0, 1)


def _times(
    matrix: Float[Array, "u v batch"], form: Float[Array, "3 batch"], step: Step
) -> Float[Array, "u w batch"]:
    """(f Y)_top for the linear form f = Σ_j form_j x_j and Y = Σ_n matrix_n Y_n, for each row."""
    padded = jnp.pad(matrix, ((0, 0), (2, 2), (0, 0)))
    flipped = padded[:, ::-1]
    x, y, z = form[:, None, None]
    return (
        z * (step.here * padded[:, 1:-1])
        + x * (step.right * padded[:, :-2] + step.left * padded[:, 2:])
        + y * (step.right_flipped * flipped[:, :-2] + step.left_flipped * flipped[:, 2:])
    )


def _step(degree: int) -> Step:
    """Of the harmonics Y_m = c (x + iy)^m p(z), c > 0: Y_0, √2 Re Y_m and √2 Im Y_m.

    With N = 4l² − 1: (z Y_m)_top = √((l² − m²)/N) Y_m, ((x + iy) Y_m)_top = √((l+m)(l+m+1)/N) Y_{m+1}
    and ((x − iy) Y_m)_top = −√((l−m)(l−m+1)/N) Y_{m−1}.
    """
    index = np.arange(-degree, degree + 1)
    m, norm = np.abs(index), 4 * degree**2 - 1
    here = np.sqrt((degree**2 - m**2) / norm)
    rise = np.sqrt((degree + m - 1) * (degree + m) / norm)  # to m from m − 1
    fall = np.sqrt((degree - m - 1) * (degree - m) / norm) / 2  # to m from m + 1
    fall[degree] *= math.sqrt(2)
    half = rise / 2
    # Y_0 alone has no factor √2, and there is no Im Y_0.
    x_half = half * np.where(index == 1, math.sqrt(2), index != -1)
    y_half = half * np.where(index == -1, math.sqrt(2), index != 1)
    return Step(
        here=here,
        right=np.select([index > 0, index < 0], [x_half, -fall]),
        left=np.where(index >= 0, -fall, x_half),
        right_flipped=np.select([index > 0, index < 0], [-y_half, fall]),
        left_flipped=np.where(index >= 0, -fall, y_half),
        divisors=np.where(m <= degree // 2, here, rise),
    )


class RotationGroup(AbstractSpace):
    """The group SO(3) of rotations of space; its points are 3 × 3 matrices.

    The distance from R to S is the angle of the rotation R⁻¹S. Eigenvalues of −Δ: l(l + 1), of
    multiplicity (2l + 1)². Eigenfunctions: √(2l+1) D^l_{mn}(R), the entries of the orthogonal matrices
    by which rotations act on the real harmonics of degree l,

        Y_m(Rx) = Σ_n D^l_{mn}(R) Y_n(x),   D^l(RS) = D^l(R) D^l(S),   D^l(R⁻¹) = D^l(R)ᵀ,

    with Y those of ``Sphere(2)`` in their order; within a level m varies slowest. They continue to
    all 3 × 3 matrices as polynomials of degree l. Float32 entries of D^l err by about 1e-6·l.

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.RotationGroup().levels(6)]
    [(0.0, 1), (2.0, 9), (6.0, 25)]
    """

    dimension: int = eqx.field(static=True, default=3, init=False)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(3, 3)``."""
        return (3, 3)

    @property
    def volume(self) -> float:
        """8π²."""
        return 8 * math.pi**2

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the degree l.

        Raises:
            ValueError: degrees beyond 30.
        """
        found = []
        while (degree := len(found)) * (degree + 1) <= max_eigenvalue * (1 + RELATIVE):
            if degree > MAX_DEGREE:
                raise ValueError(
                    f"max_eigenvalue or max_functions: Wigner matrices of degree beyond {MAX_DEGREE} "
                    "are not offered; lower it."
                )
            found.append(Level(float(degree * (degree + 1)), (2 * degree + 1) ** 2, degree))
        return found

    def functions(self, levels: Sequence[Level]) -> WignerMatrices:
        """The entries of the Wigner matrices of these levels."""
        degrees = tuple(_level_degree(level) for level in levels)
        steps = [_step(degree) for degree in range(2, max(degrees) + 1)]
        return WignerMatrices(
            steps=tuple(Step(*(jnp.asarray(numbers, float) for numbers in step)) for step in steps),
            orders=tuple(jnp.asarray(_order(degree), jnp.int32) for degree in range(max(degrees) + 1)),
            degrees=degrees,
            num_functions=sum((2 * degree + 1) ** 2 for degree in degrees),
        )

    def kernels(self, levels: Sequence[Level]) -> RotationKernels:
        """The characters of the group."""
        return RotationKernels(degrees=tuple(_level_degree(level) for level in levels))  # pyright: ignore[reportCallIssue]

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch 3 3"]:
        """Uniform rotations: those of unit quaternions, which are normalized Gaussian vectors."""
        quaternions = jax.random.normal(key, (*shape, 4))
        w, x, y, z = jnp.moveaxis(
            quaternions / jnp.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0
        )
        entries = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        return jnp.stack([jnp.stack(row, axis=-1) for row in entries], axis=-2)

    def check(self, points: AnyArray) -> None:
        """Finite, and orthogonal of determinant 1 to the square root of the rounding."""
        check_finite(points, "points")
        matrices = np.asarray(points).reshape(-1, 3, 3)
        tolerance = math.sqrt(np.finfo(matrices.dtype).eps)
        defects = np.abs(matrices @ matrices.mT - np.eye(3, dtype=matrices.dtype)).max(axis=(1, 2))
        bad = np.flatnonzero(defects > tolerance)
        if len(bad):
            raise ValueError(
                f"points: row {bad[0]} is no rotation, |R Rᵀ - I| = {defects[bad[0]]:.2g}, as "
                f"{len(bad)} row(s) in all are not orthogonal; take U Vᵀ of the singular value "
                "decomposition R = U S Vᵀ."
            )
        mirrors = np.flatnonzero(np.linalg.det(matrices) < 0)
        if len(mirrors):
            raise ValueError(
                f"points: row {mirrors[0]} has determinant -1, as {len(mirrors)} row(s) in all are "
                "reflections; give rotations."
            )

    def project(self, points: FloatArray) -> Float[Array, "*batch 3 3"]:
        """U diag(1, 1, det UVᵀ) Vᵀ of M = U S Vᵀ.

        Not unique where det M < 0 and the two smallest singular values are equal, or where two are 0:
        one of the nearest, whose gradient is not finite.
        """
        return nearest_rotation(checked_points(self, points, "points"))


@jax.custom_jvp
def nearest_rotation(matrices: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3 3"]:
    """The rotation R that maximizes tr(RᵀM).

    Its derivative is that of the polar decomposition M = RH, not that of the singular vectors, which
    are not differentiable where singular values are equal, as at every rotation: RᵀdR = V X Vᵀ with
    X_ij = (A − Aᵀ)_ij/(h_i + h_j), A = VᵀRᵀdM V and h the eigenvalues of H.

    References:
        N. J. Higham, *Functions of Matrices*, 2008, §8.1.
    """
    left, _, right = _oriented(matrices)
    return jnp.matmul(left, right, precision="highest")


@nearest_rotation.defjvp
def _nearest_rotation_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    left, values, right = _oriented(primals[0])
    turned = left.mT @ tangents[0] @ right.mT
    sums = values[..., :, None] + values[..., None, :]
    off = jnp.broadcast_to(~np.eye(3, dtype=bool), sums.shape)
    slope = jnp.where(off, turned - turned.mT, 0) / jnp.where(off, sums, 1)
    return left @ right, left @ slope @ right


def _oriented(matrices: Array) -> tuple[Array, Array, Array]:
    """M = U diag(h) Vᵀ with det UVᵀ = 1: the last singular value may be negative."""
    left, values, right = jnp.linalg.svd(matrices)
    last = jnp.asarray([0, 0, 1], matrices.dtype)
    sign = jnp.sign(jnp.linalg.det(left) * jnp.linalg.det(right))[..., None]
    flips = 1 + (sign - 1) * last.reshape(*[1] * (sign.ndim - 1), 3)
    return left * flips[..., None, :], values * flips, right


def _order(degree: int) -> Int[np.ndarray, " _"]:
    """Where 0, cos, sin, cos 2, sin 2, … of rows and columns are in a matrix ordered −l … l."""
    steps = np.repeat(np.arange(1, degree + 1), 2)
    steps[1::2] *= -1
    places = degree + np.concatenate([[0], steps])
    return (places[:, None] * (2 * degree + 1) + places).ravel()


def _level_degree(level: Level) -> int:
    if not isinstance(level.key, int):
        raise TypeError(f"level: {level} is not a level of the rotation group.")
    return level.key
