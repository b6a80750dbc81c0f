"""Route ``subset``: invariants of any compact group from a few random elements, almost surely."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from symjax_learn._linalg import NullSpace, null_space
from symjax_learn._types import Element, Key, checked_count
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.count import checked_levels
from symjax_learn.invariants.operators import mean_image
from symjax_learn.invariants.routes.averaging import LevelCoefficients, refuse_dense
from symjax_learn.invariants.routes.large import merged, projected_level, split_levels

# The probability that a level keeps a function that is not invariant.
FAILURE_PROBABILITY = 1e-9
# What random projections leave of a vector that is not invariant.
_NEGLIGIBLE = 1e-16
# A random vector is moved when it moves by this fraction of its norm.
_MOVED = 1e-8


def subset_levels(action: Action, levels: Sequence[Level], memory_limit: int) -> LevelCoefficients:
    """The vectors of each level that random elements fix; of large levels by random projections.

    See :func:`dense_subset_levels` and :func:`random_projection`; both are right with probability
    1 − 1e-9.

    Raises:
        ValueError: no sampler of the group is known, or an eigenspace too large for a dense matrix.
    """
    dense, large = split_levels(action, levels)
    found = {}
    if dense:
        few = [levels[i] for i in dense]
        found |= merged(dense, dense_subset_levels(action, few, memory_limit))
    for i in large:

        def project(columns: np.ndarray, level: Level = levels[i]) -> np.ndarray:
            return random_projection(action, level, columns)

        found[i] = projected_level(action, levels[i], project, memory_limit)
    return LevelCoefficients.of(found)


class RandomGenerators(NamedTuple):
    """Random elements that stand for a group, and how fast they came to do so.

    Attributes:
        elements: those that were kept: each moves what the ones before leave fixed.
        dimensions: of the functions that are left fixed at the start and after each round.
    """

    elements: Element
    dimensions: Int[np.ndarray, " T"]


def random_generators(
    key: Key,
    space: AbstractSpace,
    group: AbstractGroup | Action,
    *,
    max_eigenvalue: float,
    num_rounds: int,
) -> RandomGenerators:
    """Elements that leave exactly the invariant functions fixed, chosen at random in T rounds.

    In each an element g is drawn with Haar measure, and a Gaussian x in the span V of what the elements
    so far leave fixed; where D(g)x ≠ x, g is kept, and V becomes V ∩ ker(D(g) − I). A round that is
    still needed succeeds with probability ≥ 1/2, and at most m = min(D − D_G, log₂|G|) are: after T
    rounds V is larger than the invariants with probability at most that of fewer than m heads in T
    throws of a coin.

    Args:
        key: a JAX random key.
        space: the space.
        group: any group with a sampler, or an action of it on the space.
        max_eigenvalue: of the eigenspaces.
        num_rounds: T.

    Raises:
        ValueError, TypeError: a group that does not fit or has no sampler, T < 1.

    Cost: D(g) of T elements on each level, and m³ for each that is kept.

    References:
        Soleymani, Tahmasebi, Jegelka, Jaillet, *Efficient Learning and Symmetry Discovery under Exact
        Invariances*, COLT 2026, Algorithm 1.

    >>> import symjax_learn as sj, jax
    >>> found = sj.random_generators(
    ...     jax.random.key(0), sj.Torus(6), sj.symmetric_group(6), max_eigenvalue=2, num_rounds=20)
    >>> len(found.elements) < 6, int(found.dimensions[-1])
    (True, 6)
    """
    count = checked_count("num_rounds", num_rounds)
    acting = as_action(space, group)
    levels = checked_levels(space, max_eigenvalue)
    keys = jax.random.split(key)
    with jax.enable_x64(True):  # the exact elements, whatever the session
        drawn = acting.sample(keys[0], (count,))
        matrices = acting.representations(levels, drawn)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(keys[1])))
    bases = [np.eye(level.multiplicity) for level in levels]
    kept, dimensions = [], [sum(basis.shape[1] for basis in bases)]
    for t in range(count):
        before = dimensions[-1]
        for i, of_level in enumerate(matrices):
            vector = bases[i] @ rng.normal(size=bases[i].shape[1])
            if np.linalg.norm(of_level[t] @ vector - vector) > _MOVED * max(1.0, np.linalg.norm(vector)):
                moved = (of_level[t] - np.eye(len(vector))) @ bases[i]
                bases[i] = bases[i] @ null_space(moved).basis
        dimensions.append(sum(basis.shape[1] for basis in bases))
        if dimensions[-1] < before:
            kept.append(t)
    elements = jax.tree.map(lambda leaf: leaf[np.asarray(kept, int)], drawn)
    return RandomGenerators(elements, np.asarray(dimensions))


def random_projection(
    action: Action, level: Level, columns: Float[np.ndarray, "m r"]
) -> Float[np.ndarray, "m r"]:
    """PC to rounding, P the projector on the invariants, as Π_t (I + D(g_t))/2 C for random elements.

    What of a vector is invariant stays; of the rest E‖(v + D(g)v)/2‖² = ‖v‖²/2, so that T steps leave
    2^{−T} of its squared norm on average, and more than 10⁹ times that with probability 10⁻⁹.

    Cost: T = 137 products with the columns.
    """
    steps = math.ceil(math.log2(1 / FAILURE_PROBABILITY) - 2 * math.log2(_NEGLIGIBLE))
    with jax.enable_x64(True):  # the exact elements, whatever the session
        elements = action.sample(jax.random.key(1), (steps,))
    for step in range(steps):
        one = jax.tree.map(lambda leaf, t=step: leaf[t : t + 1], elements)
        columns = (columns + mean_image(action, level, one, columns)) / 2
    return columns


def dense_subset_levels(action: Action, levels: Sequence[Level], memory_limit: int) -> LevelCoefficients:
    """The vectors of each level that random elements fix, until enough of these in a row change nothing.

    An element g is drawn with Haar measure and a Gaussian vector x in the span V of what is left; when
    D(g)x ≠ x, then V becomes V ∩ ker(D(g) − I). The elements that fix V pointwise form a closed
    subgroup, a proper one as long as V is larger than the invariants, so that each round succeeds with
    probability ≥ 1/2 then. A level is finished when c rounds in a row have changed nothing: at most m
    successes can be followed by such a run, so it is unfinished with probability ≤ (m + 1)·2^{−c}. The
    elements are the same in every run.

    Cost: for each round one D(g) of every level that is left; m³ for each success.

    Raises:
        ValueError: no sampler of the group is known, or an eigenspace too large for a dense matrix.

    References:
        Soleymani, Tahmasebi, Jegelka, Jaillet, *Efficient Learning and Symmetry Discovery under Exact
        Invariances*, COLT 2026, Algorithm 1.
    """
    refuse_dense(levels, memory_limit, "subset")
    total = sum(level.multiplicity + 1 for level in levels)
    patience = math.ceil(math.log2(total / FAILURE_PROBABILITY))
    rng = np.random.default_rng(0)
    spaces = [NullSpace(np.eye(level.multiplicity), 0.0, 1.0) for level in levels]
    idle = np.zeros(len(levels), int)
    key, residual, gap = jax.random.key(0), 0.0, math.inf
    while (idle < patience).any():
        key, fresh = jax.random.split(key)
        with jax.enable_x64(True):  # the exact elements, whatever the session
            elements = action.sample(fresh, (2 * patience,))
        for i, draws in enumerate(action.representations(levels, elements)):
            for matrix in draws:
                if idle[i] >= patience:
                    break
                basis = spaces[i].basis
                vector = basis @ rng.normal(size=basis.shape[1])
                moved = float(np.linalg.norm(matrix @ vector - vector))
                if moved <= _MOVED * max(1.0, float(np.linalg.norm(vector))):
                    idle[i] += 1
                    residual = max(residual, moved)
                    continue
                idle[i] = 0
                found = null_space((matrix - np.eye(len(matrix))) @ basis)
                gap = min(gap, found.gap)
                spaces[i] = found._replace(basis=basis @ found.basis)
    return LevelCoefficients([space.basis for space in spaces], gap, residual)
