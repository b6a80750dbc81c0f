"""Rules that integrate the product of any two eigenfunctions up to a truncation, for every space."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import roots_gegenbauer, roots_jacobi, roots_legendre

import symjax_learn as sj
from symjax_learn.geometry.vertices import AbstractVertices

Rule = tuple[np.ndarray, np.ndarray]


def quadrature(space: sj.AbstractSpace, max_eigenvalue: float) -> tuple[jax.Array, np.ndarray]:
    """Points, ``(n, *point_shape)``, and weights that integrate the product of two eigenfunctions."""
    points, weights = rule(space, max_eigenvalue)
    return jnp.asarray(points, float), weights


def rule(space: sj.AbstractSpace, max_eigenvalue: float) -> Rule:
    """The same in float64 in every session."""
    for kind, make in RULES.items():
        if isinstance(space, kind):
            return make(space, max_eigenvalue)
    raise TypeError(f"space: no rule for {type(space).__name__}.")


def _torus(space: sj.Torus, max_eigenvalue: float) -> Rule:
    if space.is_cubic:
        largest = math.isqrt(round(max_eigenvalue / space.unit_eigenvalue))
    else:
        largest = int(abs(space.frequencies(space.levels(max_eigenvalue))[0]).max())
    side = np.arange(2 * largest + 1)
    axes = np.meshgrid(*[side / len(side)] * space.dimension, indexing="ij")
    points = np.stack(axes, -1).reshape(-1, space.dimension) * space.period
    return points, np.full(len(points), 1 / len(points))


def _sphere(space: sj.Sphere, max_eigenvalue: float) -> Rule:
    return sphere_rule(space.dimension, 2 * len(space.levels(max_eigenvalue)) - 2)


def sphere_rule(dimension: int, degree: int) -> Rule:
    """A product rule on S^dimension that integrates polynomials up to a degree."""
    angles = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    weights = np.full(degree + 1, 1 / (degree + 1))
    for k in range(3, dimension + 2):
        num = degree // 2 + 1
        heights, masses = roots_legendre(num) if k == 3 else roots_gegenbauer(num, (k - 2) / 2)
        rings = [
            np.concatenate([points * math.sqrt(1 - t * t), np.full((len(points), 1), t)], axis=1)
            for t in heights
        ]
        points = np.concatenate(rings)
        weights = np.concatenate([weights * mass for mass in masses / masses.sum()])
    return points, weights


def _box(space: sj.Box, max_eigenvalue: float) -> Rule:
    return box_rule(space.dimension, math.isqrt(round(max_eigenvalue / math.pi**2)))


def box_rule(dimension: int, largest: int) -> Rule:
    """The midpoint rule on [0, 1]^d: exact for products of two cosines of frequencies ≤ largest."""
    nodes = (np.arange(largest + 1) + 0.5) / (largest + 1)
    points = np.asarray(list(itertools.product(nodes, repeat=dimension)))
    return points, np.full(len(points), 1 / len(points))


def gaussian_rule(dimension: int, degree: int) -> Rule:
    """The Gauss–Hermite rule of the standard normal measure, exact for products of two such degrees."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(degree + 1)
    points = np.asarray(list(itertools.product(nodes, repeat=dimension)))
    weights = np.asarray([math.prod(w) for w in itertools.product(masses, repeat=dimension)])
    return points, weights / weights.sum()


def ball_rule(space: sj.Ball, max_eigenvalue: float, order: int = 12) -> Rule:
    """Gauss–Jacobi in r², the sphere's rule in angle.

    The radial integrand is entire in r²; orders 12 and 24 agree to rounding up to kr = 8.
    """
    degree = max(level.key[0] for level in space.levels(max_eigenvalue))
    directions, weights = sphere_rule(space.dimension - 1, 2 * degree)
    nodes, masses = roots_jacobi(order, 0, space.dimension / 2 - 1)
    radii = space.radius * np.sqrt((1 + nodes) / 2)
    points = (radii[:, None, None] * directions).reshape(-1, space.dimension)
    return points, np.outer(masses / masses.sum(), weights).ravel()


def rotation_rule(degree: int) -> Rule:
    """Points and weights that integrate over SO(3) polynomials up to a degree in the entries of R.

    R = R_z(α) R_y(β) R_z(γ): equal steps in α and γ, and Gauss and Legendre's rule in cos β.
    """
    angles = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    heights, masses = roots_legendre(degree // 2 + 1)
    c, s, t = np.cos(angles), np.sin(angles), np.sqrt(1 - heights**2)
    zero, one = np.zeros_like(c), np.ones_like(c)
    about_z = np.stack([[c, -s, zero], [s, c, zero], [zero, zero, one]]).transpose(2, 0, 1)
    zero, one = np.zeros_like(t), np.ones_like(t)
    about_y = np.stack([[heights, zero, t], [zero, one, zero], [-t, zero, heights]]).transpose(2, 0, 1)
    points = np.einsum("aij,bjk,ckl->abcil", about_z, about_y, about_z).reshape(-1, 3, 3)
    weights = np.broadcast_to(
        masses[:, None] / 2 / len(angles) ** 2, (len(angles), len(masses), len(angles))
    )
    return points, weights.ravel()


def frame_rule(k: int, p: int, degree: int) -> Rule:
    """Points and weights on St(k, p) that integrate polynomials up to a degree.

    A vector x of the sphere, and a frame of St(k − 1, p − 1) carried to its orthogonal complement by
    a rotation that takes the last axis to x: the result depends on x polynomially after the inner rule.
    """
    nodes, masses = sphere_rule(p - 1, degree)
    if k == 1:
        return nodes[:, None], masses
    inner, inner_masses = frame_rule(k - 1, p - 1, degree)
    complements = np.stack([np.linalg.svd(x[None])[2][1:] for x in nodes])
    rest = np.einsum("bij,ajl->abil", inner, complements)
    first = np.broadcast_to(nodes[:, None, None], (len(nodes), len(inner), 1, p))
    points = np.concatenate([first, rest], axis=2).reshape(-1, k, p)
    return points, np.outer(masses, inner_masses).ravel()


def _frame_degree(space: sj.Stiefel | sj.Grassmannian, max_eigenvalue: float) -> int:
    """The largest |λ| of Σ_i λ_i(λ_i + p − 2i) ≤ Λ over λ_1 ≥ … ≥ λ_k; where 2k ≤ p, none is higher."""
    assert 2 * space.k <= space.p
    parts = range(math.isqrt(round(max_eigenvalue)) + 1)
    return max(
        sum(weight)
        for weight in itertools.product(parts, repeat=space.k)
        if list(weight) == sorted(weight, reverse=True)
        and sum(w * (w + space.p - 2 * i) for i, w in enumerate(weight, 1)) <= max_eigenvalue
    )


def _stiefel(space: sj.Stiefel, max_eigenvalue: float) -> Rule:
    return frame_rule(space.k, space.p, 2 * _frame_degree(space, max_eigenvalue))


def _grassmannian(space: sj.Grassmannian, max_eigenvalue: float) -> Rule:
    frames, weights = frame_rule(space.k, space.p, 2 * _frame_degree(space, max_eigenvalue))
    return frames.mT @ frames, weights


def all_points(space: sj.AbstractSpace) -> np.ndarray:
    """Every point of a finite space."""
    if isinstance(space, sj.Hypercube):
        return np.asarray(list(itertools.product((-1.0, 1.0), repeat=space.num_coordinates)))
    if isinstance(space, sj.Graphs):
        i, j = np.triu_indices(space.num_nodes, 1)
        points = np.zeros((2 ** len(i), *space.point_shape))
        points[:, i, j] = list(itertools.product((-1.0, 1.0), repeat=len(i)))
        return points + points.transpose(0, 2, 1)
    return np.arange(space.cardinality, dtype=float)[:, None]


def _uniform(space: sj.AbstractSpace, _: float) -> Rule:
    points = all_points(space)
    return points, np.full(len(points), 1 / len(points))


def product_rule(*rules: Rule) -> Rule:
    """Of rules on the factors: all combinations of their points, and products of their weights."""
    points, weights = np.zeros((1, 0)), np.ones(1)
    for nodes, masses in rules:
        nodes = np.asarray(nodes, float).reshape(len(nodes), -1)
        points = np.concatenate(
            [np.repeat(points, len(nodes), axis=0), np.tile(nodes, (len(points), 1))], axis=1
        )
        weights = np.repeat(weights, len(nodes)) * np.tile(masses, len(weights))
    return points, weights


def _sets(space: sj.Sets, max_eigenvalue: float) -> Rule:
    points, weights = product_rule(*[rule(space.space, max_eigenvalue)] * space.num_points)
    return points.reshape(-1, *space.point_shape), weights


RULES: dict[type, Callable[[Any, float], Rule]] = {
    sj.Torus: _torus,
    sj.Sphere: _sphere,
    sj.Box: _box,
    sj.Gaussian: lambda space, top: gaussian_rule(space.dimension, math.floor(top)),
    sj.Ball: ball_rule,
    sj.RotationGroup: lambda space, top: rotation_rule(2 * len(space.levels(top)) - 2),
    sj.Hypercube: _uniform,
    sj.Graphs: _uniform,
    sj.Labels: _uniform,
    AbstractVertices: lambda space, _: (all_points(space), space.ground**2),
    sj.Stiefel: _stiefel,
    sj.Grassmannian: _grassmannian,
    sj.Product: lambda space, top: product_rule(*(rule(part, top) for part in space.spaces)),
    sj.Sets: _sets,
}
