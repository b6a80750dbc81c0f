"""Averages of class functions over compact Lie groups: Weyl's integration formula on a grid."""

import math
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from symjax_learn._types import Element
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import RotationSampler, TorusSampler
from symjax_learn.algebra.products import ProductGroup
from symjax_learn.algebra.series import plus_minus, units

# Points of a grid: more are refused.
_MAX_POINTS = 100_000

# Elements with one leading axis, and their weights.
Quadrature = tuple[Element, Float[np.ndarray, " k"]]


def class_quadrature(group: AbstractGroup, degree: int) -> Quadrature | None:
    """Elements g_k and weights w_k with Σ w_k f(g_k) = ∫ f for every class function of one degree.

    Those are the class functions that on a maximal torus are trigonometric polynomials of at most this
    degree in each angle, such as the products of matrix entries of g of at most this degree. Grids of a
    torus, weighted by Π_{α>0} |1 − e^{iα}|² over the positive roots; the second component of O(n) as in
    :func:`~symjax_learn.algebra.series.orthogonal_series`.

    Args:
        group: SO(n), O(n), a torus of matrices, or a direct product of these and of finite groups, of
            which all elements are taken.
        degree: ≥ 0.

    Returns:
        K elements and weights of sum 1; ``None`` for other groups, and for more than 10^5 points.

    Cost: about (degree + n)^⌊n/2⌋ points.

    References:
        H. Weyl, *The Classical Groups*, 1946, ch. VII.

    >>> import symjax_learn as sj, numpy as np
    >>> from symjax_learn.algebra.class_functions import class_quadrature
    >>> elements, weights = class_quadrature(sj.special_orthogonal_group(3), 4)
    >>> traces = np.trace(elements, axis1=1, axis2=2)
    >>> [round(float(weights @ traces**k)) for k in range(5)]  # invariant forms of k vectors
    [1, 0, 1, 1, 3]
    """
    if isinstance(group, ProductGroup):
        return _on_factors(group.factors, degree)
    sampler = group.sampler
    if isinstance(sampler, TorusSampler):
        return _on_torus(sampler, degree)
    if not isinstance(sampler, RotationSampler):
        return None
    n, rank = sampler.degree, sampler.degree // 2
    roots = plus_minus(rank) + (units(rank) if n % 2 else [])
    proper = _on_rotations(rank, roots, [1.0] * (n % 2), degree)
    if sampler.proper or proper is None:
        return proper
    elements, weights = proper
    if n % 2:
        others, other_weights = -elements, weights
    else:
        long = [[2 * x for x in unit] for unit in units(rank - 1)]
        found = _on_rotations(rank - 1, plus_minus(rank - 1) + long, [1.0, -1.0], degree)
        assert found is not None
        others, other_weights = found
    return np.concatenate([elements, others]), np.concatenate([weights, other_weights]) / 2


def _on_factors(factors: Sequence[AbstractGroup], degree: int) -> Quadrature | None:
    """All combinations of elements of the factors."""
    found: list[Quadrature] = []
    for factor in factors:
        if factor.order <= _MAX_POINTS:
            elements = factor.elements()
            count = int(factor.order)
            found.append((elements, np.full(count, 1 / count)))
        elif (one := class_quadrature(factor, degree)) is not None:
            found.append(one)
        else:
            return None
    sizes = [len(weights) for _, weights in found]
    if math.prod(sizes) > _MAX_POINTS:
        return None
    places = np.indices(sizes).reshape(len(sizes), -1)
    elements = tuple(
        jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], one)
        for (one, _), rows in zip(found, places, strict=True)
    )
    chosen = [weights[rows] for (_, weights), rows in zip(found, places, strict=True)]
    return elements, np.prod(chosen, axis=0)


def _on_rotations(
    rank: int, roots: Sequence[Sequence[int]], ends: Sequence[float], degree: int
) -> Quadrature | None:
    """Rotations of ``rank`` planes, and ``ends`` on what is left of the diagonal."""
    highest = np.abs(np.asarray(roots, int).reshape(len(roots), rank)).sum(axis=0).max(initial=0)
    angles = _grid(rank, degree + int(highest) + 1)
    if angles is None:
        return None
    weights = np.ones(len(angles))
    for root in roots:
        weights *= 2 - 2 * np.cos(angles @ np.asarray(root, float))
    elements = np.zeros((len(angles), 2 * rank + len(ends), 2 * rank + len(ends)))
    for i in range(rank):
        c, s = np.cos(angles[:, i]), np.sin(angles[:, i])
        elements[:, 2 * i, 2 * i], elements[:, 2 * i, 2 * i + 1] = c, -s
        elements[:, 2 * i + 1, 2 * i], elements[:, 2 * i + 1, 2 * i + 1] = s, c
    for i, end in enumerate(ends, 2 * rank):
        elements[:, i, i] = end
    kept = weights > 1e-14 * weights.max()
    return elements[kept], weights[kept] / weights.sum()


def _on_torus(sampler: TorusSampler, degree: int) -> Quadrature | None:
    frequencies = np.asarray(sampler.frequencies)
    turns = _grid(frequencies.shape[1], degree * int(np.abs(frequencies).max(initial=0)) + 1)
    if turns is None:
        return None
    angles = turns @ frequencies.T
    elements = np.einsum("kj,jab->kab", np.cos(angles), sampler.even.exact)
    elements -= np.einsum("kj,jab->kab", np.sin(angles), sampler.odd.exact)
    return elements, np.full(len(turns), 1 / len(turns))


def _grid(rank: int, size: int) -> Float[np.ndarray, "k rank"] | None:
    """Equally spaced angles in all combinations."""
    if size**rank > _MAX_POINTS:
        return None
    return 2 * np.pi / size * np.indices([size] * rank).reshape(rank, size**rank).T
