"""Routes ``generators`` and ``lie``: the null space of a few linear constraints, level by level.

D(g) c = c for the generators, and for a continuous group also dρ(A) c = 0 for a basis of its Lie
algebra.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from symjax_learn._chunks import refuse_beyond
from symjax_learn._linalg import fixed_spaces
from symjax_learn.geometry.spaces import Level
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.routes.averaging import LevelCoefficients


def level_constraints(
    action: Action, levels: Sequence[Level], memory_limit: int
) -> tuple[list[Float[np.ndarray, "k m m"]], list[Float[np.ndarray, "a m m"]]]:
    """D(g) of the generators and dρ(A) of a basis of the Lie algebra, on each level.

    Raises:
        ValueError: an eigenspace too large for a dense matrix.
    """
    k = max(1, action.group.num_generators + action.group.dimension)
    squares = sum(level.multiplicity**2 for level in levels)
    largest = max(level.multiplicity for level in levels)
    refuse_beyond(
        memory_limit,
        8 * squares * (3 * k + 6),
        f"max_eigenvalue or max_functions: this route forms dense matrices of sizes up to "
        f"{largest:,} and",
        "Lower it, or raise memory_limit.",
    )
    return action.generator_representations(levels), action.derivations(levels)


def generated_levels(action: Action, levels: Sequence[Level], memory_limit: int) -> LevelCoefficients:
    """The invariants of each level from k constraints; eigenspaces of one size are solved together.

    Cost: k·m² for the generators, k·m³ for the Lie algebra, and m³ for each eigenspace of dimension m;
    never |G|.

    Raises:
        ValueError: an eigenspace too large for a dense matrix, or a null space without a clear gap.
    """
    matrices, derivations = level_constraints(action, levels, memory_limit)
    batches: dict[int, list[int]] = defaultdict(list)
    for i, level in enumerate(levels):
        batches[level.multiplicity].append(i)
    found = [np.zeros((0, 0))] * len(levels)
    gap, residual = np.inf, 0.0
    for members in batches.values():
        spaces = fixed_spaces(
            np.stack([matrices[i] for i in members]), np.stack([derivations[i] for i in members])
        )
        for i, space in zip(members, spaces, strict=True):
            found[i] = space.basis
            gap, residual = min(gap, space.gap), max(residual, space.largest_null)
    return LevelCoefficients(found, gap, residual)
