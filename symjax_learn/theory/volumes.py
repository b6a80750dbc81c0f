"""Volumes of quotients in closed form, in logarithms."""

import math
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import LieGroup, TranslationGroup
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.homogeneous import Stiefel
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.rotations import RotationGroup
from symjax_learn.geometry.sets import Sets
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.kernels import kernel_order, num_components
from symjax_learn.invariants.pairs import shares, sides
from symjax_learn.theory.dimension import orbit_dimension
from symjax_learn.theory.group_volumes import (
    log_ball,
    log_group_volume,
    log_sphere,
    log_subtorus,
    orthonormal_basis,
)

# Matrices of a Lie algebra are compared to this accuracy.
_TOLERANCE = 1e-9


def closed_log_volume(action: Action) -> float | None:
    """Log vol(M/G) in the metric of orbits' distances, where it is known in closed form.

    M/G carries the metric in which M → M/G is a Riemannian submersion at almost all points, and its
    volume is of its dimension d'. Points (d' = 0) are counted. Known are

    - finite groups on connected spaces, vol(M)·|K|/|G| with the kernel K of the action,
    - transitive groups: one point,
    - tori that translate a torus, vol(M)/vol(orbit), also beside finite groups on other coordinates,
    - products of linear groups on spheres and balls, each of which moves blocks of coordinates so that
      its orbits are products of spheres: their radii remain, as coordinates ≥ 0 of a smaller sphere,
    - groups U(1) and SU(2) that act on a sphere with great spheres as orbits (Hopf),
    - groups on one side of rotations and frames, vol(M)/vol(G), for :func:`log_group_volume`, and
      turns on both sides of SO(3),
    - products of these, sets whose points or their order a finite group moves, and wreath products.

    Args:
        action: of G on M.

    Returns:
        The logarithm; ``None`` where no closed form is known here: other groups, a user's own ``act`` of
        an infinite group, finite groups on spaces of several components.

    Cost: of the structure; ranks of the infinitesimal action.

    >>> import symjax_learn as sj
    >>> shuffle = sj.action(sj.Torus(100, 1.0), sj.symmetric_group(100))
    >>> sj.closed_log_volume(shuffle)  # −log 100!
    -363.739...
    """
    if action.user_act is None:
        return _log_quotient(action.space, action.group)
    if action.order == math.inf or not _is_connected(action.space):
        return None
    return _log_finite(action)


def _log_quotient(space: AbstractSpace, group: AbstractGroup | None) -> float | None:
    """As :func:`closed_log_volume`; a space with no group stays as it is."""
    if group is None or group.order == 1:
        return space.log_volume
    if isinstance(space, Product):
        parts = [_log_quotient(share.space, share.group) for share in shares(space, group)]
        return None if None in parts else math.fsum(part for part in parts if part is not None)
    if isinstance(space, Sets) and isinstance(group, WreathGroup):
        return _log_unordered(space.space, group)
    if isinstance(space, Sets) and (shifts := _log_shifted(space, group)) is not None:
        return shifts
    acting = Action(space, group)
    if group.order != math.inf:
        return _log_finite(acting) if _is_rigid(space, group) else None
    if _is_connected(space) and space.dimension == orbit_dimension(jax.random.key(0), acting):
        return 0.0
    match space:
        case Torus():
            return _log_torus(space, group)
        case Sphere() | Ball():
            return _log_radii(space, group)
        case RotationGroup() | Stiefel():
            return _log_sides(space, group)
    return None


def _log_finite(action: Action) -> float | None:
    """Log vol(M)|K|/|G|, where an element that fixes an open set fixes all of M."""
    kernel = kernel_order(action)
    if kernel is None:
        return None
    return action.space.log_volume - math.log(int(action.order)) + math.log(kernel)


def _is_rigid(space: AbstractSpace, group: AbstractGroup | None) -> bool:
    """Whether an element that fixes an open set fixes every point: it moves no labels."""
    if group is None or group.order == 1:
        return True
    match space:
        case Product():
            return all(_is_rigid(share.space, share.group) for share in shares(space, group))
        case Sets():
            _, points = shares(space, group)
            return space.dimension > 0 and _is_rigid(points.space, points.group)
    return _is_connected(space)


def _is_connected(space: AbstractSpace) -> bool:
    """Of one piece, and no single point."""
    return space.dimension > 0 and num_components(space) == 1


def _log_unordered(space: AbstractSpace, group: WreathGroup) -> float | None:
    """(M/K)^n/S_n for K ≀ S_n on n points; where M/K is finite, the multisets of its points."""
    single, n = _log_quotient(space, group.inner), group.num_blocks
    if single is None:
        return None
    if space.dimension == orbit_dimension(jax.random.key(0), Action(space, group.inner)):
        return math.log(math.comb(round(math.exp(single)) + n - 1, n))
    return n * single - math.lgamma(n + 1)


def _log_shifted(space: Sets, group: AbstractGroup) -> float | None:
    """Points of a torus that are permuted, and shifted together: n^{k/2} times the orbit of one."""
    order, points = shares(space, group)
    if not isinstance(points.group, TranslationGroup) or not isinstance(space.space, Torus):
        return None
    assert order.group is not None
    n, directions = space.num_points, np.asarray(points.group.directions)
    if n == 1:
        return _log_quotient(space.space, points.group)
    orbit = log_subtorus(space.space, directions) + len(directions) / 2 * math.log(n)
    return space.log_volume - orbit - math.log(int(order.group.order))


def _log_torus(space: Torus, group: AbstractGroup) -> float | None:
    """The orbits of a subtorus are all alike; on period·Z^d groups of blocks act independently."""
    if isinstance(group, TranslationGroup):
        return space.log_volume - log_subtorus(space, np.asarray(group.directions))
    if space.vectors is not None:
        return None
    if isinstance(group, WreathGroup):
        return _log_unordered(Torus(group.inner.degree, space.period), group)
    if isinstance(group, ProductGroup):
        blocks = [_log_quotient(Torus(one.degree, space.period), one) for one in group.factors]
        return None if None in blocks else math.fsum(block for block in blocks if block is not None)
    return None


class Radii(NamedTuple):
    """A linear group whose orbits are those of a finite group times products of spheres.

    Attributes:
        num_spheres: blocks on whose spheres the group is transitive; each leaves a radius ≥ 0.
        num_fixed: coordinates that only the finite group moves.
        log_order: of the finite group, on these coordinates and radii.
    """

    num_spheres: int
    num_fixed: int
    log_order: float


def radii(group: AbstractGroup) -> Radii | None:
    """What of R^degree a linear group leaves, if its orbits are products of spheres; else ``None``."""
    if group.order != math.inf:
        return Radii(0, group.degree, math.log(int(group.order)))
    match group:
        case ProductGroup():
            parts = [radii(factor) for factor in group.factors]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            return Radii(
                sum(part.num_spheres for part in known),
                sum(part.num_fixed for part in known),
                math.fsum(part.log_order for part in known),
            )
        case WreathGroup():
            inner, n = radii(group.inner), group.num_blocks
            if inner is None:
                return None
            order = n * inner.log_order + math.lgamma(n + 1)
            return Radii(n * inner.num_spheres, n * inner.num_fixed, order)
        case LieGroup():
            return _radii_of_matrices(np.asarray(group.lie_algebra), np.asarray(group.generators))
    return None


def _radii_of_matrices(
    algebra: Float[np.ndarray, "a d d"], representatives: Float[np.ndarray, "k d d"]
) -> Radii | None:
    """Blocks of moved coordinates; an orbit fills their spheres if its dimension is theirs."""
    squares, axes = np.linalg.eigh(np.einsum("aij,akj->ik", algebra, algebra))
    coupled = np.abs(algebra).max(axis=0) > _TOLERANCE
    moved = int(np.sum(squares > _TOLERANCE * squares[-1]))
    if moved < int(np.sum(coupled.any(axis=0))):  # what is fixed is no set of coordinates: turn them
        algebra, representatives = axes.T @ algebra @ axes, axes.T @ representatives @ axes
        coupled = np.abs(algebra).max(axis=0) > _TOLERANCE
    blocks = _components(coupled)
    spheres = [block for block in blocks if coupled[block].any()]
    point = np.random.default_rng(0).normal(size=len(coupled))
    if np.linalg.matrix_rank(algebra @ point, tol=_TOLERANCE) < sum(len(one) - 1 for one in spheres):
        return None
    fixed = [block[0] for block in blocks if not coupled[block].any()]
    allowed = np.zeros_like(coupled)
    for block in spheres:
        allowed[np.ix_(block, block)] = True
    rest = np.where(allowed, 0, representatives)
    rest[:, fixed, fixed] -= 1
    if len(representatives) and np.abs(rest).max() > _TOLERANCE:
        return None
    return Radii(len(spheres), len(fixed), 0.0)


def _components(coupled: np.ndarray) -> list[list[int]]:
    """Of the graph of coordinates that are coupled."""
    left, found = set(range(len(coupled))), []
    while left:
        block, frontier = set(), {min(left)}
        while frontier:
            block |= frontier
            frontier = {int(j) for i in frontier for j in np.flatnonzero(coupled[i])} - block
        found.append(sorted(block))
        left -= block
    return found


def _log_radii(space: Sphere | Ball, group: AbstractGroup) -> float | None:
    """A part {r_1, …, r_q ≥ 0} of the sphere or ball of the radii and what else is left, by symmetry."""
    if isinstance(space, Sphere) and (fibre := _great_spheres(group)) is not None:
        return space.log_volume - log_sphere(fibre)
    found = radii(group)
    if found is None:
        return None
    size = found.num_spheres + found.num_fixed
    whole = log_sphere(size - 1) if isinstance(space, Sphere) else log_ball(size, space.radius)
    return whole - found.num_spheres * math.log(2) - found.log_order


def _great_spheres(group: AbstractGroup) -> int | None:
    """The dimension, 1 or 3, of orbits that are great spheres: A_a A_b + A_b A_a = −2c δ_ab."""
    if not isinstance(group, LieGroup) or group.num_generators or group.dimension not in (1, 3):
        return None
    algebra = orthonormal_basis(np.asarray(group.lie_algebra))
    products = np.einsum("aij,bjk->abik", algebra, algebra)
    products = products + products.swapaxes(0, 1)
    # ½ tr AᵀA = 1, so A² = −2/degree.
    wanted = np.einsum("ab,ij->abij", np.eye(len(algebra)), np.eye(group.degree)) * -4 / group.degree
    return len(algebra) if np.abs(products - wanted).max() < _TOLERANCE else None


def _log_sides(space: RotationGroup | Stiefel, group: AbstractGroup) -> float | None:
    """One side alone acts freely, with orbits like the group; (L, R) on SO(3) as L on a sphere."""
    left, right = (share.group for share in sides(space, group))
    if isinstance(space, Stiefel):
        if right is not None or left is None:
            return None
        volume = log_group_volume(left)
        return None if volume is None else space.log_volume - volume
    both = [side for side in (left, right) if side is not None and side.order != 1]
    volumes = [log_group_volume(side) for side in both]
    if None in volumes:
        return None
    if len(both) == 1:
        return space.log_volume - math.fsum(volume for volume in volumes if volume is not None)
    # Turns about one axis lead to the sphere, on which the other side is finite, or turns as well.
    if any(side.num_generators for side in both if side.order == math.inf):
        return None
    finite = [side for side in both if side.order != math.inf]
    return log_sphere(2) - math.log(int(finite[0].order)) if finite else math.log(math.pi)
