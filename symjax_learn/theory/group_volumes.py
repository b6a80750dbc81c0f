"""Volumes of compact groups and of generic stabilizers in closed form, in logarithms."""

import math

import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import LieGroup, SpecialUnitarySampler, TranslationGroup
from symjax_learn.algebra.lie_algebras import center, integer_basis, torus
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.pairs import shares

# Weights are read as integers to this accuracy.
_TOLERANCE = 1e-9


def log_sphere(dimension: int) -> float:
    """Log vol(S^d) = log 2π^{(d+1)/2}/Γ((d+1)/2); S^0 are two points."""
    half = (dimension + 1) / 2
    return math.log(2) + half * math.log(math.pi) - math.lgamma(half)


def log_ball(dimension: int, radius: float = 1.0) -> float:
    """Log of the volume π^{d/2} radius^d/Γ(d/2 + 1) of a ball of R^d."""
    half = dimension / 2
    return half * math.log(math.pi) - math.lgamma(half + 1) + dimension * math.log(radius)


def log_group_volume(group: AbstractGroup) -> float | None:
    """Log vol(G) in the metric :func:`algebra_gram` of its Lie algebra: ½ tr AᵀB of matrices.

    That of SO(n) is Π_{j=1}^{n−1} vol(S^j), of O(n) twice this, of SU(n) on R^{2n}
    √n (2π)^{n(n+1)/2 − 1}/Π_{k<n} k!, of a torus its cell; connected groups of dimension 3 are SO(3) or
    SU(2), 8π² or 16π² where [A_1, A_2] = A_3 is an orthonormal basis. Translations have the volume of
    their subtorus of R^d/Z^d, finite groups their order, products and wreath products that of their
    parts.

    Returns:
        The logarithm; ``None`` for other groups.
    """
    if group.order != math.inf:
        return math.log(int(group.order))
    match group:
        case ProductGroup():
            parts = [log_group_volume(factor) for factor in group.factors]
            return None if None in parts else math.fsum(part for part in parts if part is not None)
        case WreathGroup():
            inner, n = log_group_volume(group.inner), group.num_blocks
            return None if inner is None else n * inner + math.lgamma(n + 1)
        case TranslationGroup():
            return log_subtorus(Torus(group.degree, 1.0), np.asarray(group.directions))
        case LieGroup():
            return _log_matrices(group)
    return None


def algebra_gram(group: AbstractGroup) -> Float[np.ndarray, "a a"]:
    """Inner products of the basis of the Lie algebra: ½ tr AᵀB of matrices, of shifts in periods a·b."""
    from scipy.linalg import block_diag

    match group:
        case ProductGroup():
            parts = [algebra_gram(factor) for factor in group.factors if factor.dimension]
            return np.asarray(block_diag(*parts))
        case WreathGroup():
            return np.asarray(np.kron(np.eye(group.num_blocks), algebra_gram(group.inner)))
        case TranslationGroup():
            directions = np.asarray(group.directions, float)
            return directions @ directions.T
    flat = np.asarray(group.lie_algebra, float).reshape(group.dimension, -1)
    return flat @ flat.T / 2


def log_stabilizer_volume(action: Action) -> float | None:
    """Log vol of the stabilizer of a generic point, in the metric of :func:`log_group_volume`.

    Known of SO(n) and O(n) that move n-vectors: of k generic ones it is that of SO(n − k) or O(n − k),
    for k < n. Two points of a sphere that may be exchanged have twice as many, unless in the plane.

    Returns:
        The logarithm, of the number of elements where they are finitely many; ``None`` where not known.
    """
    if action.user_act is not None:
        return None
    space, group, num_vectors, exchanges = action.space, action.group, 1, False
    if isinstance(space, Sets):
        if isinstance(group, WreathGroup):
            return None
        order, points = shares(space, group)
        if points.group is None or order.group is None:
            return None
        num_vectors, exchanges = space.num_points, space.num_points == order.group.order == 2
        space, group = points.space, points.group
    if not isinstance(space, Sphere | Ball) or not isinstance(group, LieGroup):
        return None
    n = group.degree
    if group.dimension != n * (n - 1) // 2:
        return None
    proper, left = not _is_improper(group), n - num_vectors
    extra = math.log(2) if exchanges and isinstance(space, Sphere) and not (proper and n == 2) else 0.0
    if left < 1:
        return extra
    return extra + math.fsum(log_sphere(j) for j in range(1, left)) + (0.0 if proper else math.log(2))


def _log_matrices(group: LieGroup) -> float | None:
    algebra, n = np.asarray(group.lie_algebra), group.degree
    if len(algebra) == n * (n - 1) // 2:
        components = math.log(2) if _is_improper(group) else 0.0
        return math.fsum(log_sphere(j) for j in range(1, n)) + components
    if group.num_generators:  # of how many components is not known
        return None
    if len(center(algebra)) == len(algebra):
        frequencies = torus(algebra).frequencies.astype(float)
        cell = float(np.linalg.slogdet(frequencies.T @ frequencies / 2)[1]) / 2
        return len(algebra) * math.log(2 * math.pi) + cell
    if isinstance(group.sampler, SpecialUnitarySampler):
        size = group.sampler.num_complex
        factorials = math.fsum(math.lgamma(k + 1) for k in range(1, size))
        power = (size * (size + 1) / 2 - 1) * math.log(2 * math.pi)
        return math.log(size) / 2 + power - factorials
    return _log_three_dimensional(algebra) if len(algebra) == 3 else None


def _is_improper(group: LieGroup) -> bool:
    return bool((np.linalg.det(np.asarray(group.generators)) < 0).any())


def _log_three_dimensional(algebra: Float[np.ndarray, "3 d d"]) -> float:
    """SO(3) or SU(2), by whether all spins are integers."""
    basis = orthonormal_basis(algebra)
    bracket = basis[0] @ basis[1] - basis[1] @ basis[0]
    speed = math.sqrt(float(np.sum(bracket**2)) / 2)  # [A_1, A_2] = ±speed A_3
    weights = np.linalg.eigvalsh(1j * basis[0] / speed)
    whole = float(np.abs(weights - np.rint(weights)).max()) < _TOLERANCE
    return math.log((8 if whole else 16) * math.pi**2) - 3 * math.log(speed)


def log_subtorus(space: Torus, directions: np.ndarray) -> float:
    """Log of the volume of the subtorus that integer directions span, closed up.

    Its lattice is the saturated one, all integer vectors in the span. That of the directions B, with
    cells of volume √det(B G Bᵀ), has in it the index of the lattice of B's columns in Z^k.
    """
    columns = integer_basis(directions.T)
    index = math.fsum(math.log(abs(row[place])) for place, row in enumerate(columns))
    sides = np.eye(space.dimension) if space.vectors is None else np.asarray(space.vectors)
    lengths = directions.astype(float) @ sides
    scale = 1.0 if space.vectors is not None else space.period
    cell = float(np.linalg.slogdet(lengths @ lengths.T)[1]) / 2 + len(directions) * math.log(scale)
    return cell - index


def orthonormal_basis(algebra: Float[np.ndarray, "a d d"]) -> Float[np.ndarray, "a d d"]:
    """A basis of the same span, orthonormal for ½ tr AᵀB."""
    flat = algebra.reshape(len(algebra), -1)
    triangle = np.linalg.cholesky(flat @ flat.T / 2)
    return np.linalg.solve(triangle, flat).reshape(algebra.shape)
