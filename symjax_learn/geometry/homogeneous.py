"""Stiefel and Grassmann manifolds: frames and planes, and their spectra by branching rules."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._types import AnyArray, Key, checked_count
from symjax_learn.geometry.frames import Entries, FramePolynomials, eigenpolynomials
from symjax_learn.geometry.spaces import AbstractSpace, Level, check_finite, checked_points
from symjax_learn.geometry.spectra import RELATIVE

# The list of levels is refused beyond about so many highest weights.
_MAX_WEIGHTS = 1e5
# Degrees in the entries of a frame up to which eigenfunctions are offered: 945 pairings in a moment.
MAX_DEGREE = 5
# The same for projectors, whose entries are of degree 2: 10,395 pairings, of few types.
MAX_DEGREE_OF_PLANES = 6

# A highest weight λ of SO(p): λ_1 ≥ … ≥ λ_m ≥ 0, m = ⌊p/2⌋, but |λ_m| in the place of λ_m for even p.
Weight = tuple[int, ...]


class Stiefel(AbstractSpace):
    """The Stiefel manifold of orthonormal k-frames of R^p: matrices X of shape (k, p) with X Xᵀ = I.

    SO(p)/SO(p − k) with its normal homogeneous metric, of ⟨A, B⟩ = ½ tr(AᵀB) on so(p); it is not the
    metric of the surrounding matrices. So Stiefel(1, p) is the unit sphere of R^p, and Stiefel(2, 3) is
    :class:`RotationGroup`. −Δ is the Casimir operator of SO(p) acting by X ↦ X R, and

        L² = ⊕_λ V_λ ⊗ V_λ^{SO(p−k)},   eigenvalue ⟨λ, λ + 2ρ⟩ = Σ_i λ_i(λ_i + p − 2i),

    over the highest weights λ of SO(p). The second factor, the vectors that SO(p − k) fixes, is counted
    by the branching rules of SO(p) > SO(p−1) > … > SO(p−k). Its volume is Π_{j=p−k}^{p−1} vol(S^j).

    Eigenfunctions are polynomials of degree ≤ 5 in the entries of X (see :class:`FramePolynomials`).
    Float32 values err by about 1e-6 of the largest.

    Args:
        k: the number of vectors in a frame, 1 ≤ k < p.
        p: their length.

    Raises:
        ValueError: k ≥ p.

    References:
        A. T. James, A. G. Constantine, *Generalized Jacobi polynomials as spherical functions of the
        Grassmann manifold*, Proc. London Math. Soc. 29 (1974); S. S. Gelbart, *A theory of Stiefel
        harmonics*, Trans. Amer. Math. Soc. 192 (1974).

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Stiefel(2, 5).levels(10)]
    [(0.0, 1), (4.0, 10), (6.0, 10), (10.0, 42)]
    """

    k: int = eqx.field(static=True)
    p: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __init__(self, k: int, p: int):
        """Refuse what is no connected manifold of frames."""
        self.k, self.p = checked_count("k", k), checked_count("p", p, 2)
        if self.k >= self.p:
            raise ValueError(
                f"k: expected k < p = {p} and got {k}; the frames of p vectors are the orthogonal "
                f"group, which is not connected. Stiefel({p} - 1, {p}) is its part of determinant 1."
            )
        self.dimension = self.k * self.p - self.k * (self.k + 1) // 2

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(k, p)``."""
        return (self.k, self.p)

    @property
    def volume(self) -> float:
        """Π_{j=p−k}^{p−1} vol(S^j)."""
        return math.exp(self.log_volume)

    @property
    def log_volume(self) -> float:
        """Log of the volume."""
        return sum(_log_sphere(j) for j in range(self.p - self.k, self.p))

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the eigenvalue, an integer.

        Raises:
            ValueError: the list of levels alone would take minutes.
        """
        count = functools.cache(functools.partial(fixed_dimension, self.p, self.k))
        return _levels(self.p, self._weights(max_eigenvalue), count)

    def _weights(self, max_eigenvalue: float) -> list[Weight]:
        return _weights(self.p, min(self.k, self.p // 2), 1, max_eigenvalue)

    def functions(self, levels: Sequence[Level]) -> FramePolynomials:
        """The eigenfunctions of these levels.

        V_λ extends to two representations of O(p): polynomials of degree |λ|, and of
        |λ| + p − 2·length(λ), of which each is present if its diagram has at most k rows.

        Raises:
            ValueError: a level needs polynomials of degree beyond 5, or too much memory.
        """
        keys = [_level_key(level, "a Stiefel manifold") for level in levels]
        degrees: dict[int, list[int]] = {value: [] for value in keys}
        for weight in self._weights(max(keys)):
            value, length = _casimir(self.p, weight), sum(part > 0 for part in weight)
            if value in degrees:
                both = {length: sum(weight), self.p - length: sum(weight) + self.p - 2 * length}
                degrees[value] += [degree for rows, degree in both.items() if rows <= self.k]
        top = {
            value: [max(d for d in found if d % 2 == odd) for odd in {d % 2 for d in found}]
            for value, found in degrees.items()
        }
        return _functions(Entries(self.k, self.p, planes=False), levels, top, MAX_DEGREE)

    def project(self, points: AnyArray) -> Float[Array, "*batch k p"]:
        """The nearest frames, U Vᵀ of the singular value decompositions U S Vᵀ.

        Args:
            points: ``(*batch, k, p)``, of rank k.
        """
        left, _, right = jnp.linalg.svd(checked_points(self, points, "points"), full_matrices=False)
        return jnp.matmul(left, right, precision="highest")

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch k p"]:
        """Uniform frames: the nearest ones to Gaussian matrices."""
        return self.project(jax.random.normal(key, (*shape, self.k, self.p)))

    def check(self, points: AnyArray) -> None:
        """Finite, and X Xᵀ = I to the square root of the rounding."""
        checked_points(self, points, "points")
        check_finite(points, "points")
        frames = np.asarray(points).reshape(-1, self.k, self.p)
        defects = np.abs(frames @ frames.mT - np.eye(self.k, dtype=frames.dtype)).max(axis=(1, 2))
        _refuse_defects(defects, frames.dtype, "frame, |X Xᵀ - I|", "Stiefel.project")


class Grassmannian(AbstractSpace):
    """The Grassmannian of k-planes of R^p through 0, as orthogonal projectors P of shape (p, p).

    SO(p)/S(O(k) × O(p − k)): planes carry no orientation. Its metric is the normal homogeneous one of
    ⟨A, B⟩ = ½ tr(AᵀB) on so(p), in which two planes of principal angles θ_i have the distance √Σ θ_i².
    So Grassmannian(1, p) is the unit sphere of R^p with antipodes identified. With r = min(k, p − k)

        L² = ⊕_λ V_λ  over even λ_1 ≥ … ≥ λ_r ≥ 0 (also −λ_r where 2r = p),

    each once, with the eigenvalue Σ_i λ_i(λ_i + p − 2i). Its volume is
    ½ Π_{j=p−k}^{p−1} vol(S^j) / Π_{j=1}^{k−1} vol(S^j).

    Eigenfunctions are polynomials of degree ≤ 3 in the entries of P, which is degree 6 in those of a
    frame (see :class:`FramePolynomials`). Float32 values err by about 1e-6 of the largest.

    Args:
        k: dimension of the planes, 1 ≤ k < p.
        p: of the space around them.

    Raises:
        ValueError: k ≥ p.

    References:
        A. T. James, A. G. Constantine, *Generalized Jacobi polynomials as spherical functions of the
        Grassmann manifold*, Proc. London Math. Soc. 29 (1974).

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Grassmannian(2, 4).levels(24)]
    [(0.0, 1), (8.0, 9), (12.0, 10), (24.0, 25)]
    """

    k: int = eqx.field(static=True)
    p: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __init__(self, k: int, p: int):
        """Refuse what is a single point or less."""
        self.k, self.p = checked_count("k", k), checked_count("p", p, 2)
        if self.k >= self.p:
            raise ValueError(f"k: expected k < p = {p} and got {k}; R^{p} has no other planes.")
        self.dimension = self.k * (self.p - self.k)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(p, p)``."""
        return (self.p, self.p)

    @property
    def volume(self) -> float:
        """½ Π_{j=p−k}^{p−1} vol(S^j) / Π_{j=1}^{k−1} vol(S^j)."""
        return math.exp(self.log_volume)

    @property
    def log_volume(self) -> float:
        """Log of the volume."""
        frames = sum(_log_sphere(j) for j in range(self.p - self.k, self.p))
        return frames - sum(_log_sphere(j) for j in range(self.k))  # vol(S^0) = 2

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the eigenvalue, an integer.

        Raises:
            ValueError: the list of levels alone would take minutes.
        """
        return _levels(self.p, self._weights(max_eigenvalue), lambda _: 1)

    def _weights(self, max_eigenvalue: float) -> list[Weight]:
        return _weights(self.p, min(self.k, self.p - self.k), 2, max_eigenvalue)

    def functions(self, levels: Sequence[Level]) -> FramePolynomials:
        """The eigenfunctions of these levels.

        Raises:
            ValueError: a level needs polynomials of degree beyond 3 in P, or too much memory.
        """
        keys = [_level_key(level, "a Grassmannian") for level in levels]
        sizes = dict.fromkeys(keys, 0)
        for weight in self._weights(max(keys)):
            value = _casimir(self.p, weight)
            if value in sizes:
                sizes[value] = max(sizes[value], sum(weight))
        degrees = {value: [size] for value, size in sizes.items()}
        return _functions(Entries(self.k, self.p, planes=True), levels, degrees, MAX_DEGREE_OF_PLANES)

    def from_frames(self, frames: AnyArray) -> Float[Array, "*batch p p"]:
        """The planes that frames span, P = Xᵀ X.

        Args:
            frames: X, ``(*batch, k, p)``, with orthonormal rows.
        """
        frames = checked_points(Stiefel(self.k, self.p), frames, "frames")
        return jnp.matmul(frames.mT, frames, precision="highest")

    def project(self, points: AnyArray) -> Float[Array, "*batch p p"]:
        """The nearest projectors: onto the k top eigenvectors of the symmetric parts.

        Args:
            points: ``(*batch, p, p)``; the k-th eigenvalue must be larger than the next.
        """
        matrices = checked_points(self, points, "points")
        _, vectors = jnp.linalg.eigh((matrices + matrices.mT) / 2, symmetrize_input=False)
        return self.from_frames(vectors[..., self.p - self.k :].mT)

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch p p"]:
        """Uniform planes: those of uniform frames."""
        return self.from_frames(Stiefel(self.k, self.p).sample(key, shape))

    def check(self, points: AnyArray) -> None:
        """Finite, and P = Pᵀ = P², of trace k, to the square root of the rounding."""
        checked_points(self, points, "points")
        check_finite(points, "points")
        matrices = np.asarray(points).reshape(-1, self.p, self.p)
        skew, square = matrices - matrices.mT, matrices @ matrices - matrices
        defects = np.maximum(np.abs(skew), np.abs(square)).max(axis=(1, 2))
        what = "projector, |P - Pᵀ| or |P² - P|"
        _refuse_defects(defects, matrices.dtype, what, "Grassmannian.project or from_frames")
        ranks = np.rint(np.trace(matrices, axis1=1, axis2=2))
        bad = np.flatnonzero(ranks != self.k)
        if len(bad):
            raise ValueError(
                f"points: row {bad[0]} projects with rank {int(ranks[bad[0]])}, as {len(bad)} row(s) "
                f"in all are not of rank {self.k}; give planes of one dimension."
            )


def _refuse_defects(defects: np.ndarray, dtype: np.dtype, what: str, remedy: str) -> None:
    bad = np.flatnonzero(defects > math.sqrt(np.finfo(dtype).eps))
    if len(bad):
        raise ValueError(
            f"points: row {bad[0]} is no {what} = {defects[bad[0]]:.2g}, as {len(bad)} row(s) in all "
            f"are none; see {remedy}."
        )


def _functions(
    entries: Entries, levels: Sequence[Level], degrees: dict[int, list[int]], limit: int
) -> FramePolynomials:
    """Those of these levels, given the degrees in the entries of frames; their number is certified."""
    for level in levels:
        needed = max(degrees[int(level.eigenvalue)], default=0)
        if needed > limit:
            raise ValueError(
                f"max_eigenvalue or max_functions: the level of eigenvalue {level.eigenvalue:g} needs "
                f"polynomials of degree {needed} in the entries of a frame, and eigenfunctions are "
                f"offered up to degree {limit}; lower it. (levels(...) counts at any height.)"
            )
    per_entry = 2 if entries.planes else 1
    table = eigenpolynomials(
        entries, {value: [d // per_entry for d in found] for value, found in degrees.items()}
    )
    expected = sum(level.multiplicity for level in levels)
    if table.num_functions != expected:
        raise ArithmeticError(
            f"levels: {table.num_functions} eigenfunctions were found and representation theory counts "
            f"{expected}."
        )
    return table


def _level_key(level: Level, space: str) -> int:
    if not isinstance(level.key, int):
        raise TypeError(f"level: {level} is not a level of {space}.")
    return level.key


def _levels(p: int, weights: list[Weight], count: Callable[[Weight], int]) -> list[Level]:
    """Levels of ⊕ V_λ^{⊕ count(λ)}, merged by eigenvalue; ±λ_m are two weights."""
    multiplicities: dict[int, int] = {}
    for weight in weights:
        copies = count(weight) * weight_dimension(p, weight)
        if 2 * len(weight) == p and weight[-1]:
            copies *= 2
        value = _casimir(p, weight)
        multiplicities[value] = multiplicities.get(value, 0) + copies
    return [
        Level(float(value), copies, value) for value, copies in sorted(multiplicities.items()) if copies
    ]


def _weights(p: int, length: int, step: int, max_eigenvalue: float) -> list[Weight]:
    """Weights of at most ``length`` parts, multiples of ``step``, with ⟨λ, λ + 2ρ⟩ ≤ max_eigenvalue."""
    largest = max_eigenvalue * (1 + RELATIVE)
    if largest < 0:
        return []
    # As many as lattice points of a ball, without order or signs.
    ball = (math.pi * largest / 4 / step**2) ** (length / 2) / math.gamma(length / 2 + 1)
    if ball / math.factorial(length) > _MAX_WEIGHTS:
        raise ValueError(
            f"max_eigenvalue or max_functions: {max_eigenvalue:g} asks for too long a list of levels; "
            "lower it."
        )

    def extend(i: int, top: float, left: float) -> Iterator[Weight]:
        if i > length:
            yield (0,) * (p // 2 - length)
            return
        part = 0
        while part <= top and (cost := part * (part + p - 2 * i)) <= left:
            for rest in extend(i + 1, part, left - cost):
                yield (part, *rest)
            part += step

    return list(extend(1, math.inf, largest))


def _casimir(p: int, weight: Weight) -> int:
    """⟨λ, λ + 2ρ⟩ = Σ_i λ_i(λ_i + p − 2i)."""
    return sum(part * (part + p - 2 * i) for i, part in enumerate(weight, 1))


def weight_dimension(p: int, weight: Weight) -> int:
    """Dimension of V_λ of SO(p), by Weyl's formula.

    With l = λ + ρ: Π_{i<j} (l_i² − l_j²)/(ρ_i² − ρ_j²), and Π_i l_i/ρ_i besides where p is odd.
    """
    rho = [p - 2 * i for i in range(1, len(weight) + 1)]  # doubled: integers
    shifted = [2 * part + r for part, r in zip(weight, rho, strict=True)]
    above = below = 1
    for i, j in itertools.combinations(range(len(weight)), 2):
        above *= shifted[i] ** 2 - shifted[j] ** 2
        below *= rho[i] ** 2 - rho[j] ** 2
    if p % 2:
        above, below = above * math.prod(shifted), below * math.prod(rho)
    return above // below


def fixed_dimension(p: int, k: int, weight: Weight) -> int:
    """How many independent vectors of V_λ the subgroup SO(p − k) of SO(p) fixes.

    The patterns of Gelfand and Tsetlin from λ down to 0: V_λ restricted to SO(p − 1) is the sum of V_μ,
    each once, over λ_1 ≥ μ_1 ≥ λ_2 ≥ …, where the last of these for even p is μ ≥ |λ_m|, and for odd p
    λ_m ≥ |μ_m|.
    """

    @functools.cache
    def count(n: int, parts: Weight) -> int:
        if n == p - k:
            return int(not any(parts))
        if any(parts[n - (p - k) :]):  # every step removes at most one part
            return 0
        lower = (*parts[1:], 0) if n % 2 else parts[1:]
        total = 0
        for mu in itertools.product(*(range(a, b + 1) for a, b in zip(lower, parts, strict=False))):
            signs = 2 if n % 2 and mu and mu[-1] else 1
            total += signs * count(n - 1, mu)
        return total

    return count(p, weight)


def _log_sphere(dimension: int) -> float:
    """Log of the volume of the unit sphere."""
    half = (dimension + 1) / 2
    return math.log(2) + half * math.log(math.pi) - math.lgamma(half)
