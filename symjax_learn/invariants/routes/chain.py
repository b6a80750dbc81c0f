"""Route ``chain``: the projector on the invariants from a stabilizer chain, exact without listing G."""

from collections.abc import Sequence

import numpy as np

from symjax_learn.geometry.spaces import Level
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.routes.averaging import (
    LevelCoefficients,
    averages,
    fixed_by_projectors,
    refuse_dense,
)


def chained_levels(action: Action, levels: Sequence[Level], memory_limit: int) -> LevelCoefficients:
    """The invariants of each level as the null space of I − P, P = A_1 A_2 … with A_i = avg D(U_i).

    The U_i are the left transversals of G = G_0 > G_1 > …, so that the deepest level meets a vector
    first.

    Cost: Σ|U_i| matrices of each level in the place of |G| = Π|U_i|, and one product for each U_i.

    Raises:
        ValueError: an eigenspace too large for a dense matrix.
    """
    refuse_dense(levels, memory_limit, "chain")
    return fixed_by_projectors(action, levels, chained_projectors(action, levels))


def chained_projectors(action: Action, levels: Sequence[Level]) -> list[np.ndarray]:
    """P on each level: the average of D(g) over all of G."""
    projectors = [np.eye(level.multiplicity) for level in levels]
    for transversal in action.group.transversals():
        factors = averages(action, levels, transversal)
        projectors = [left @ right for left, right in zip(projectors, factors, strict=True)]
    return projectors
