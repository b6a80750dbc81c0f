"""Compact Lie groups: rotations, unitary groups, translations of the torus, and closed subgroups.

A Lie group is given by a basis of its Lie algebra and by representatives of its components: it is what
exp(Σ t_a A_a) and the representatives generate. f is invariant under all of it iff it is under the
representatives and its derivative along each A_a vanishes: a finite number of linear constraints.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import Element, FloatArray, Key, Precise, as_array, checked_count, precise
from symjax_learn.algebra.groups import (
    AbstractGroup,
    AbstractSampler,
    Transversals,
    matrix_product,
    times_vector,
)
from symjax_learn.algebra.lie_algebras import (
    TOLERANCE,
    center,
    checked_algebra,
    integer_basis,
    outside,
    real_matrices,
    torus,
)


class AbstractLieGroup(AbstractGroup):
    """An infinite group: no list of elements, and no faithful action on finitely many points."""

    def faithful(self, g: Element) -> Int[np.ndarray, "batch points"]:
        """Refused: finitely many points have finitely many permutations."""
        raise ValueError(
            f"g: {type(self).__name__} is infinite and has no faithful action on finitely many points, "
            f"and so no transversals and no exact membership of {g}; use generators, lie_algebra, or "
            "sample(key, shape)."
        )

    def from_faithful(self, images: Int[np.ndarray, "batch points"]) -> Element:
        """Refused, as :meth:`faithful`."""
        raise ValueError(
            f"images: {type(self).__name__} is infinite and is not given by permutations as {images}."
        )


class LieGroup(AbstractLieGroup):
    """A closed group of orthogonal matrices of R^degree; its elements are the matrices.

    Attributes:
        algebra: ``(dim G, d, d)``, skew matrices.
        representatives: ``(k, d, d)``, of components other than that of the identity.
    """

    algebra: Precise
    representatives: Precise
    order: int | float = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    sampler: AbstractSampler | Transversals | None

    @property
    def generators(self) -> Float[np.ndarray | Array, "k d d"]:
        """The representatives, in float64 in every session."""
        return self.representatives.exact

    @property
    def lie_algebra(self) -> Float[np.ndarray | Array, "a d d"]:
        """The basis of skew matrices, in float64 in every session."""
        return self.algebra.exact

    @property
    def identity(self) -> Float[Array, "d d"]:
        """The identity matrix."""
        return jnp.asarray(np.eye(self.degree), float)

    def compose(self, g: FloatArray, h: FloatArray) -> Float[Array, "*batch d d"]:
        """The matrix product gh."""
        return matrix_product(g, h)

    def inverse(self, g: FloatArray) -> Float[Array, "*batch d d"]:
        """The transpose."""
        return jnp.swapaxes(jnp.asarray(g), -1, -2)

    def apply(self, g: FloatArray, vectors: FloatArray) -> FloatArray:
        """Gx."""
        return times_vector(g, vectors)

    def exponential(self, a: FloatArray) -> Float[Array, "*batch d d"]:
        """The matrix exponential."""
        return jax.scipy.linalg.expm(jnp.asarray(a, float))


class TranslationGroup(AbstractLieGroup):
    """Translations of a torus along integer directions; elements are shifts in periods.

    Attributes:
        directions: ``(k, degree)`` integers: the shifts Σ t_i directions_i modulo one period.
    """

    directions: Int[np.ndarray | Array, "k d"]
    order: int | float = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    sampler: AbstractSampler | Transversals | None

    @property
    def generators(self) -> Float[Array, "0 d"]:
        """None: the group is connected."""
        return jnp.zeros((0, self.degree))

    @property
    def lie_algebra(self) -> Float[Array, "k d"]:
        """The directions."""
        return jnp.asarray(self.directions, float)

    @property
    def identity(self) -> Float[Array, " d"]:
        """No shift."""
        return jnp.zeros((self.degree,))

    def compose(self, g: FloatArray, h: FloatArray) -> Float[Array, "*batch d"]:
        """The sum, modulo one period."""
        left, right = jnp.broadcast_arrays(g, h)
        return (left + right) % 1.0

    def inverse(self, g: FloatArray) -> Float[Array, "*batch d"]:
        """The shift back."""
        return -jnp.asarray(g) % 1.0

    def apply(self, g: FloatArray, vectors: FloatArray) -> FloatArray:
        """The linear part, which is the identity."""
        shape = jnp.broadcast_shapes(g.shape, vectors.shape)
        return jnp.broadcast_to(jnp.asarray(vectors), shape)

    def shift(self, g: FloatArray) -> FloatArray:
        """The shift, as a fraction of one period."""
        return g

    def exponential(self, a: FloatArray) -> Float[Array, "*batch d"]:
        """The shift by a."""
        return jnp.asarray(a, float) % 1.0


class TranslationSampler(AbstractSampler):
    """Uniform on a subtorus: the homomorphism t ↦ Σ t_i directions_i carries Haar measure to it."""

    directions: Int[np.ndarray | Array, "k d"]

    def __call__(self, key: Key) -> Float[Array, " d"]:
        """One uniform shift."""
        directions = jnp.asarray(self.directions, float)
        times = jax.random.uniform(key, (directions.shape[0],))
        return jnp.einsum("k,kd->d", times, directions, precision="highest") % 1.0


class RotationSampler(AbstractSampler):
    """Haar measure of O(n), or of SO(n): the orthogonal factor of a Gaussian matrix."""

    degree: int = eqx.field(static=True)
    proper: bool = eqx.field(static=True)

    def __call__(self, key: Key) -> Float[Array, "d d"]:
        """One uniform matrix."""
        orthogonal, triangle = jnp.linalg.qr(jax.random.normal(key, (self.degree, self.degree)))
        # The factor is unique, and so equivariant, only with a positive diagonal of the triangle.
        orthogonal = orthogonal * jnp.where(jnp.diagonal(triangle) < 0, -1.0, 1.0)[None]
        if not self.proper:
            return orthogonal
        return _times_first_column(orthogonal, jnp.sign(jnp.linalg.det(orthogonal)))


class SpecialUnitarySampler(AbstractSampler):
    """Haar measure of SU(n), as real matrices."""

    num_complex: int = eqx.field(static=True)

    def __call__(self, key: Key) -> Float[Array, "d d"]:
        """One uniform matrix."""
        n = self.num_complex
        real, imaginary = jax.random.normal(key, (2, n, n))
        unitary, triangle = jnp.linalg.qr(jax.lax.complex(real, imaginary))
        diagonal = jnp.diagonal(triangle)
        unitary = unitary * (diagonal / jnp.abs(diagonal).astype(diagonal.dtype))[None]
        unitary = _times_first_column(unitary, jnp.conj(jnp.linalg.det(unitary)))
        return jnp.kron(unitary.real, jnp.asarray([[1.0, 0.0], [0.0, 1.0]])) + jnp.kron(
            unitary.imag, jnp.asarray([[0.0, -1.0], [1.0, 0.0]])
        )


def _times_first_column(matrix: Array, factor: Array) -> Array:
    # Not matrix.at[:, 0].multiply: with a factor made of the matrix, XLA on CPUs (jaxlib 0.10.2) was
    # seen to overwrite the column before it had been read.
    first = jnp.arange(matrix.shape[1]) == 0
    return matrix * jnp.where(first, factor, jnp.ones_like(factor))[None]


class TorusSampler(AbstractSampler):
    """Haar measure of a torus: Σ_j exp(2πi n_j·u) v_j v_j*, with independent uniform u_i.

    Attributes:
        frequencies: n_j, ``(d, c)`` integers that span Z^c.
        even: Re v_j v_j*, for the common eigenvectors v_j.
        odd: Im v_j v_j*.
    """

    frequencies: Int[np.ndarray | Array, "d c"]
    even: Precise
    odd: Precise

    def __call__(self, key: Key) -> Float[Array, "d d"]:
        """One uniform matrix."""
        frequencies = jnp.asarray(self.frequencies, float)
        turns = jax.random.uniform(key, (frequencies.shape[1],))
        angles = 2 * jnp.pi * jnp.einsum("jc,c->j", frequencies, turns, precision="highest")
        waves = jnp.concatenate([jnp.cos(angles), -jnp.sin(angles)])
        parts = jnp.concatenate([self.even.astype(waves.dtype), self.odd.astype(waves.dtype)])
        return jnp.einsum("j,jkl->kl", waves, parts, precision="highest")


class CallableSampler(AbstractSampler):
    """A user's own sampler."""

    sample: Callable[[Key], Array] = eqx.field(static=True)

    def __call__(self, key: Key) -> Float[Array, "d d"]:
        """One element."""
        return self.sample(key)


def special_orthogonal_group(n: int) -> LieGroup:
    """SO(n), the rotations of R^n, n ≥ 2.

    The basis of the Lie algebra are the rotations E_ij of planes i < j, e_i to e_j, orthonormal for
    ⟨A, B⟩ = ½ tr AᵀB.

    Raises:
        TypeError, ValueError: n is no integer, or less than 2.

    >>> import symjax_learn as sj
    >>> sj.special_orthogonal_group(3).dimension
    3
    """
    return _orthogonal(n, proper=True)


def orthogonal_group(n: int) -> LieGroup:
    """O(n), the rotations and reflections of R^n, n ≥ 2; x_1 ↦ −x_1 represents the second component.

    Raises:
        TypeError, ValueError: n is no integer, or less than 2.

    >>> import symjax_learn as sj
    >>> sj.orthogonal_group(3).generators.tolist()
    [[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    return _orthogonal(n, proper=False)


def _orthogonal(n: int, proper: bool) -> LieGroup:
    n = checked_count("n", n, 1)
    if n == 1:
        raise ValueError(
            "n: on one coordinate use trivial_group(1) for SO(1) and sign_group(1) for O(1)."
        )
    first, second = np.triu_indices(n, 1)
    algebra = np.zeros((len(first), n, n))
    rows = np.arange(len(first))
    algebra[rows, second, first], algebra[rows, first, second] = 1.0, -1.0
    reflections = np.zeros((0, n, n)) if proper else np.diag([-1.0] + [1.0] * (n - 1))[None]
    return _of_matrices(algebra, reflections, RotationSampler(n, proper))


def special_unitary_group(n: int) -> LieGroup:
    """SU(n) on C^n = R^{2n}, with coordinates Re z_1, Im z_1, Re z_2, …; n ≥ 2.

    SU(2) acts simply transitively on S³. The basis of the Lie algebra is orthogonal.

    Raises:
        TypeError, ValueError: n is no integer, or less than 2.

    >>> import symjax_learn as sj
    >>> group = sj.special_unitary_group(2)
    >>> group.degree, group.dimension
    (4, 3)
    """
    n = checked_count("n", n, 2)
    algebra = []
    for i in range(n):
        for j in range(i):
            real, imaginary = np.zeros((2, n, n), complex)
            real[i, j], real[j, i] = 1, -1
            imaginary[i, j] = imaginary[j, i] = 1j
            algebra += [real, imaginary]
        if i:  # traceless, orthogonal to those before
            algebra.append(1j * np.diag([1.0] * i + [-float(i)] + [0.0] * (n - 1 - i)))
    real_algebra = np.stack([_as_real(a) for a in algebra])
    return _of_matrices(real_algebra, np.zeros((0, 2 * n, 2 * n)), SpecialUnitarySampler(n))


def _as_real(matrix: Any) -> Float[np.ndarray, "d d"]:
    """A complex matrix on R^{2n}: each entry a + ib as [[a, −b], [b, a]]."""
    return np.kron(matrix.real, np.eye(2)) + np.kron(matrix.imag, [[0.0, -1.0], [1.0, 0.0]])


def translation_group(directions: Any) -> TranslationGroup:
    """Translations of a torus: all of them, or a subtorus.

    Args:
        directions: an integer d for all translations of T^d; or ``(k, d)`` linearly independent integer
            vectors: the shifts by Σ t_i directions_i, a closed k-dimensional subgroup.

    Raises:
        TypeError: entries that are not integers.
        ValueError: a shape that does not fit, or dependent directions.

    >>> import symjax_learn as sj
    >>> sj.translation_group(3).dimension, sj.translation_group([[1, 1, 1]]).dimension
    (3, 1)
    """
    if np.ndim(directions) == 0:
        degree = checked_count("directions", directions)
        return _translations(np.eye(degree, dtype=np.int32))
    rows = np.asarray(as_array("directions", directions))
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(
            f"directions: expected a dimension d, or a non-empty (k, d) array of integer vectors, and "
            f"got shape {rows.shape}."
        )
    if rows.dtype.kind not in "iu":
        raise TypeError(
            f"directions: expected integers (in periods; others do not close) and got {rows.dtype}."
        )
    if len(integer_basis(rows)) < len(rows):
        raise ValueError(
            f"directions: these {len(rows)} vectors are linearly dependent; leave out those that are "
            "combinations of the others."
        )
    return _translations(rows)


def _translations(directions: Int[np.ndarray, "k d"]) -> TranslationGroup:
    rows = jnp.asarray(directions, jnp.int32)
    return TranslationGroup(  # pyright: ignore[reportCallIssue] (generators are a property here)
        directions=rows,
        order=math.inf,
        degree=rows.shape[1],
        sampler=TranslationSampler(rows),
    )


def lie_group(
    lie_algebra: Any,
    representatives: Any = (),
    *,
    sample: Callable[[Key], Array] | None = None,
) -> LieGroup:
    """The closed group of orthogonal matrices with this Lie algebra and these components.

    It is generated by exp(Σ t_a A_a) and the representatives.

    Args:
        lie_algebra: ``(a, d, d)`` in float64, linearly independent skew matrices A_a whose brackets
            A_a A_b − A_b A_a are combinations of them.
        representatives: ``(k, d, d)`` orthogonal matrices, one for each component or only those that
            generate the others. That they generate finitely many components is the caller's to know.
        sample: ``sample(key) -> (d, d)``, one element with Haar measure. Without it samples are known
            for connected abelian groups only (tori), and refused for others.

    Raises:
        TypeError: entries that are not real numbers, or a sampler that is no function.
        ValueError: matrices that are not skew or dependent (which, and by how much), brackets that do
            not close, a group that is not closed in O(d) because the frequencies of its centre have
            irrational ratios (ratios p/q with q ≤ 1000 are recognized), representatives that are not
            orthogonal or do not map the Lie algebra to itself, or samples of another shape.

    Cost: a²·d³ for the brackets.

    >>> import symjax_learn as sj
    >>> turns = sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]])  # SO(2) about the third axis
    >>> turns.dimension, turns.sampler is not None
    (1, True)
    """
    algebra = checked_algebra(lie_algebra)
    degree = algebra.shape[1]
    representing = _checked_representatives(representatives, algebra)
    central = center(algebra)
    waves = torus(central) if len(central) else None
    sampler: AbstractSampler | None = None
    if sample is not None:
        sampler = _checked_sampler(sample, degree)
    elif waves is not None and len(central) == len(algebra) and not len(representing):
        sampler = TorusSampler(
            jnp.asarray(waves.frequencies, jnp.int32),
            precise(np.real(waves.projectors)),
            precise(np.imag(waves.projectors)),
        )
    return _of_matrices(algebra, representing, sampler)


def _of_matrices(
    algebra: Float[np.ndarray, "a d d"],
    representatives: Float[np.ndarray, "k d d"],
    sampler: AbstractSampler | None,
) -> LieGroup:
    return LieGroup(  # pyright: ignore[reportCallIssue] (generators are a property here)
        algebra=precise(algebra),
        representatives=precise(representatives),
        order=math.inf,
        degree=algebra.shape[1],
        sampler=sampler,
    )


def _checked_representatives(
    representatives: Any, algebra: Float[np.ndarray, "a d d"]
) -> Float[np.ndarray, "k d d"]:
    """Orthogonal matrices that normalize the Lie algebra."""
    degree = algebra.shape[1]
    if isinstance(representatives, Sequence) and not len(representatives):
        return np.zeros((0, degree, degree))
    matrices = real_matrices("representatives", representatives)
    if matrices.shape[1] != degree:
        raise ValueError(
            f"representatives: expected matrices of the size {degree} of the Lie algebra and got "
            f"{matrices.shape[1]}."
        )
    for row, matrix in enumerate(matrices):
        error = np.abs(matrix.T @ matrix - np.eye(degree)).max()
        if not error <= TOLERANCE:
            raise ValueError(
                f"representatives: matrix {row} is not orthogonal, |RᵀR - 1| reaches {error:.1e}."
            )
        error = outside(matrix @ algebra @ matrix.T, algebra).max()
        if error > TOLERANCE:
            raise ValueError(
                f"representatives: matrix {row} does not map the Lie algebra to itself (R A Rᵀ is off "
                f"by {error:.1e}), so that they generate a larger group; complete the Lie algebra."
            )
    return matrices


def _checked_sampler(sample: Any, degree: int) -> CallableSampler:
    if not callable(sample):
        raise TypeError(f"sample: expected a function sample(key) and got {sample!r}.")
    one = np.asarray(sample(jax.random.key(0)))
    if one.shape != (degree, degree) or not np.allclose(one @ one.T, np.eye(degree), atol=1e-4):
        raise ValueError(
            f"sample: expected one orthogonal matrix of shape ({degree}, {degree}) and got {one}."
        )
    # A method of a module holds arrays, which are no static configuration.
    plain = sample if jax.tree.leaves(sample) == [sample] else lambda key: sample(key)
    return CallableSampler(plain)  # pyright: ignore[reportArgumentType]
