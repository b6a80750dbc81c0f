"""Approximate symmetry: averages over a subset S of a group in place of all of it.

P_S = Σ_{g ∈ S} w_g D(g) on the eigenspaces up to a truncation, w_g = 1/|S| unless given, beside the
projector P_G on the invariant functions. A fit averaged over S has the variance (σ²/n)·tr(P_S P_Sᵀ),
which for random S is (σ²/n)·(r/|S| + (1 − 1/|S|)·r_inv) on average: |S| ≈ r/r_inv random elements are
within a factor of two of what all of G gives, and the average is still not invariant.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, Element, Key, as_array, checked_count
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.count import checked_levels
from symjax_learn.invariants.routes.averaging import averages, refuse_dense
from symjax_learn.invariants.routes.generators import generated_levels

# Singular values of the table of matrix coefficients below this, relative to the largest, are zero.
_RANK = 1e-10
# A rule is exact when P_w and P_G differ by less.
_EXACT = 1e-9
_FIRST_CANDIDATES = 64


class SubsetAverage(NamedTuple):
    """How well an average over a subset replaces the average over the group.

    Attributes:
        num_elements: |S|.
        error: ‖P_S − P_G‖, the spectral norm over all eigenspaces; 0 where the average is exact.
        level_errors: the same of each eigenspace, ``(levels,)``.
        variance: tr(P_S P_Sᵀ): a least-squares fit averaged over S has the risk σ²·variance/n.
        num_functions: r, eigenfunctions up to the truncation.
        num_invariant: r_inv, the invariant ones.
    """

    num_elements: int
    error: float
    level_errors: Float[np.ndarray, " levels"]
    variance: float
    num_functions: int
    num_invariant: int

    @property
    def expected_variance(self) -> float:
        """E tr(P_S P_Sᵀ) = r/|S| + (1 − 1/|S|)·r_inv over independent uniform elements."""
        share = 1 / self.num_elements
        return share * self.num_functions + (1 - share) * self.num_invariant

    @property
    def knee(self) -> float:
        """|S| = r/r_inv, from which on the invariant functions dominate the variance."""
        return self.num_functions / self.num_invariant


class GroupRule(NamedTuple):
    """Weighted elements of a group whose average is exact on functions up to a truncation.

    Attributes:
        elements: a batch with one leading axis.
        weights: positive, of sum 1.
        rank: how many independent matrix coefficients the rule integrates.
        error: ‖Σ w_g D(g) − P_G‖, measured.
    """

    elements: Element
    weights: Float[np.ndarray, " k"]
    rank: int
    error: float


def subset_average(
    space: AbstractSpace,
    group: AbstractGroup | Action,
    elements: Element,
    *,
    max_eigenvalue: float,
    weights: Sequence[float] | AnyArray | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> SubsetAverage:
    """How far the average over some elements is from the average over the group: ‖P_S − P_G‖.

    Args:
        space: the space.
        group: the group, or an action on the space.
        elements: S, a batch of elements with one leading axis; they may repeat.
        max_eigenvalue: Λ, the truncation.
        weights: of the elements, of sum 1; 1/|S| unless given.
        memory_limit: refuse more bytes for dense matrices.

    Returns:
        A :class:`~symjax_learn.theory.SubsetAverage`.

    Raises:
        TypeError: the elements are not of this group.
        ValueError: no element, weights of another number or sum, a pair that does not fit.

    Cost: |S|·m² and m³ for each eigenspace of dimension m.

    References:
        B. Tahmasebi, M. Weber, S. Jegelka, *Data Augmentation: A Fourier Analysis Perspective*, COLT
        2026.

    >>> import symjax_learn as sj, jax
    >>> space, group = sj.Torus(2), sj.cyclic_group(2)
    >>> some = group.sample(jax.random.key(0), (50,))
    >>> found = sj.subset_average(space, group, some, max_eigenvalue=4)
    >>> found.num_functions, found.num_invariant, 0 < found.error <= 1
    (13, 8, True)
    >>> sj.subset_average(space, group, group.elements(), max_eigenvalue=4).error < 1e-12
    True
    """
    acting = as_action(space, group)
    levels = checked_levels(space, max_eigenvalue)
    number = _number_of(acting, elements)
    shares = None if weights is None else _checked_weights(weights, number)
    refuse_dense(levels, memory_limit, "averaging")
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        means = averages(acting, levels, elements, shares)
        projectors = _projectors(acting, levels, memory_limit)
    errors = _distances(means, projectors)
    return SubsetAverage(
        num_elements=number,
        error=max(errors),
        level_errors=np.asarray(errors),
        variance=float(sum(np.sum(mean**2) for mean in means)),
        num_functions=sum(level.multiplicity for level in levels),
        num_invariant=round(sum(float(np.trace(projector)) for projector in projectors)),
    )


def subset_bound(
    num_elements: int,
    num_functions: int,
    *,
    order: int | float = math.inf,
    failure_probability: float = 0.05,
) -> float:
    """√(8/(3|S|)·log(2·min{r, |G|}/δ)): ‖P_S − P_G‖ is less with probability 1 − δ, for random S.

    By the matrix Bernstein inequality for the |S| independent matrices D(g) − P_G, whose norms and
    variances are at most 1. A bound beyond 1 says nothing: the norm is never larger.

    Args:
        num_elements: |S|, independent and uniform.
        num_functions: r, the dimension on which the group acts.
        order: |G|.
        failure_probability: δ, 0 < δ < 1.

    Raises:
        TypeError, ValueError: numbers that are no such counts, or δ outside of (0, 1).

    References:
        B. Tahmasebi, M. Weber, S. Jegelka, *Data Augmentation: A Fourier Analysis Perspective*, COLT
        2026.

    >>> import symjax_learn as sj
    >>> round(sj.subset_bound(100, 50, order=24), 3)
    0.428
    """
    size = checked_count("num_elements", num_elements)
    dimension = checked_count("num_functions", num_functions)
    if not 0 < failure_probability < 1:
        raise ValueError(
            f"failure_probability: expected a number between 0 and 1 and got {failure_probability!r}."
        )
    if not order >= 1:
        raise ValueError(f"order: expected an order >= 1 and got {order!r}.")
    least = min(dimension, order)
    return math.sqrt(8 / (3 * size) * (math.log(2 * least) - math.log(failure_probability)))


def exact_rule(
    key: Key,
    space: AbstractSpace,
    group: AbstractGroup | Action,
    *,
    max_eigenvalue: float,
    max_candidates: int = 4096,
    memory_limit: int = MEMORY_LIMIT,
) -> GroupRule:
    """Few weighted elements whose average is exact up to a truncation: Σ w_g D(g) = P_G, w_g > 0.

    Averaging any function of the span over them gives exactly its invariant part, as averaging over all
    of G does, and so does augmentation with weighted copies. With R independent matrix coefficients of
    the group on the span, R + 1 elements are enough (Tchakaloff); they are chosen among random ones by
    nonnegative least squares, and among all where the group is smaller.

    Args:
        key: a JAX random key.
        space: the space.
        group: the group, or an action on the space.
        max_eigenvalue: Λ.
        max_candidates: the largest number of elements among which to choose.
        memory_limit: refuse more bytes.

    Returns:
        A :class:`~symjax_learn.theory.GroupRule`, of at most R + 1 elements.

    Raises:
        TypeError, ValueError: a pair that does not fit, no sampler of the group, or so many matrix
            coefficients that ``max_candidates`` elements have no exact average (the message says how
            close they came).

    Cost: N·Σm² for N candidates, doubled until there is a rule, and N·R² for each solve.

    >>> import symjax_learn as sj, jax
    >>> turns = sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]])
    >>> rule = sj.exact_rule(jax.random.key(0), sj.Sphere(2), turns, max_eigenvalue=6)
    >>> rule.rank, len(rule.weights) <= 5, rule.error < 1e-9
    (4, True, True)
    """
    acting = as_action(space, group)
    levels = checked_levels(space, max_eigenvalue)
    most = checked_count("max_candidates", max_candidates, 2)
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        rule = _searched(key, acting, levels, most, memory_limit)
    elements = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, float if leaf.dtype.kind == "f" else leaf.dtype), rule.elements
    )
    return rule._replace(elements=elements)


def _searched(
    key: Key, action: Action, levels: Sequence[Level], max_candidates: int, memory_limit: int
) -> GroupRule:
    """A rule among ever more candidates."""
    squares = sum(level.multiplicity**2 for level in levels)
    projectors = _projectors(action, levels, memory_limit)
    number = min(_FIRST_CANDIDATES, max_candidates)
    while True:
        refuse_beyond(
            memory_limit,
            16 * number * squares,
            f"max_eigenvalue: a table of {number:,} × {squares:,} matrix coefficients",
            "Lower it, or raise memory_limit.",
        )
        whole = action.order <= number
        candidates = action.elements() if whole else action.sample(key, (number,))
        rule = _rule(action, levels, candidates, projectors)
        if rule.error < _EXACT:
            return rule
        if whole or number >= max_candidates:
            raise ValueError(
                f"max_candidates: no weights of {number:,} elements make the average exact, of which "
                f"{rule.rank:,} coefficients are independent (the best miss by {rule.error:.1e}); raise "
                "it, or lower max_eigenvalue."
            )
        number = min(2 * number, max_candidates)


def _rule(
    action: Action, levels: Sequence[Level], candidates: Element, projectors: Sequence[np.ndarray]
) -> GroupRule:
    """Nonnegative weights of the candidates that average the matrices best."""
    table = _coefficients(action, levels, candidates, projectors)
    count, rank = table.shape
    if rank + 1 < count or action.order <= count:
        weights = _nonnegative(table)
    else:  # independent rows have no average of zero
        weights = np.full(count, 1 / count)
    chosen = np.flatnonzero(weights)
    elements = jax.tree.map(lambda leaf: leaf[chosen], candidates)
    means = averages(action, levels, elements, weights[chosen])
    return GroupRule(elements, weights[chosen], rank, max(_distances(means, projectors)))


def _distances(means: Sequence[np.ndarray], projectors: Sequence[np.ndarray]) -> list[float]:
    """‖P_S − P_G‖ on each level."""
    pairs = zip(means, projectors, strict=True)
    return [float(np.linalg.norm(mean - projector, 2)) for mean, projector in pairs]


def _projectors(
    action: Action, levels: Sequence[Level], memory_limit: int
) -> list[Float[np.ndarray, "m m"]]:
    """P_G on each level."""
    found = generated_levels(action, levels, memory_limit).coefficients
    return [columns @ columns.T for columns in found]


def _coefficients(
    action: Action, levels: Sequence[Level], elements: Element, projectors: Sequence[np.ndarray]
) -> Float[np.ndarray, "k R"]:
    """The matrices D(g) − P_G of each element, in an orthonormal basis of their span."""
    matrices = action.representations(levels, elements)
    rows = [
        (blocks - projector).reshape(len(blocks), -1)
        for blocks, projector in zip(matrices, projectors, strict=True)
    ]
    left, singular, _ = np.linalg.svd(np.concatenate(rows, axis=1), full_matrices=False)
    rank = int(np.sum(singular > _RANK * max(1.0, singular.max(initial=0.0))))
    return left[:, :rank] * singular[:rank]


def _nonnegative(table: Float[np.ndarray, "k R"]) -> Float[np.ndarray, " k"]:
    """Weights w ≥ 0 of sum 1 for which |wᵀ·table| is least; at most R + 1 are not zero."""
    from scipy.optimize import nnls

    # Rows of about one size: the sum of the weights counts as one coefficient more.
    scale = max(1.0, float(np.linalg.norm(table, axis=1).max(initial=0.0)))
    system = np.vstack([table.T / scale, np.ones(len(table))])
    weights, _ = nnls(system, np.append(np.zeros(table.shape[1]), 1.0), maxiter=30 * len(table))
    return weights / weights.sum()


def _number_of(action: Action, elements: Element) -> int:
    """How many elements of one axis there are."""
    identity = action.identity
    if jax.tree.structure(elements) != jax.tree.structure(identity):
        raise TypeError(
            f"elements: expected a batch of elements of {type(action.group).__name__}, made like its "
            f"identity {identity}; take them from sample or elements."
        )
    leaves = zip(jax.tree.leaves(elements), jax.tree.leaves(identity), strict=True)
    shapes = {leaf.shape[: leaf.ndim - one.ndim] for leaf, one in leaves}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 1 or shape[0] == 0:
        raise ValueError(
            "elements: expected at least one element, along one leading axis; for example "
            "group.sample(key, (100,))."
        )
    return shape[0]


def _checked_weights(weights: Sequence[float] | AnyArray, number: int) -> Float[np.ndarray, " k"]:
    values = as_array("weights", weights)
    if values.shape != (number,) or values.dtype.kind not in "fiu":
        raise ValueError(
            f"weights: expected {number} numbers, one for each element, and got {values.dtype} of shape "
            f"{values.shape}."
        )
    shares = np.asarray(values, np.float64)
    if not abs(shares.sum() - 1) < 1e-6:
        raise ValueError(f"weights: expected a sum of 1 and got {shares.sum()}; divide by it.")
    return shares
