"""Route ``chain``: the projector on the invariants from a stabilizer chain, exact without listing G."""

from collections.abc import Sequence

import numpy as np

from symjax_learn.geometry.spaces import Level
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.operators import mean_image
from symjax_learn.invariants.routes.averaging import (
    LevelCoefficients,
    averages,
    fixed_by_projectors,
    refuse_dense,
)
from symjax_learn.invariants.routes.large import merged, projected_level, split_levels


def chained_levels(action: Action, levels: Sequence[Level], memory_limit: int) -> LevelCoefficients:
    """The invariants of each level as the null space of I − P, P = A_1 A_2 … with A_i = avg D(U_i).

    The U_i are the left transversals of G = G_0 > G_1 > …, so that the deepest level meets a vector
    first. Beyond a dimension of 500, where D(g) is known without its matrix, P is applied to a few
    random vectors more than there are invariants: their images span the invariants.

    Cost: Σ|U_i| matrices of each level in the place of |G| = Π|U_i|, and one product for each U_i; of
    large levels Σ|U_i| products with r + 8 vectors.

    Raises:
        ValueError: an eigenspace too large for a dense matrix.
    """
    dense, large = split_levels(action, levels)
    found = {}
    if dense:
        few = [levels[i] for i in dense]
        refuse_dense(few, memory_limit, "chain")
        found |= merged(dense, fixed_by_projectors(action, few, chained_projectors(action, few)))
    transversals = action.group.transversals() if large else []
    for i in large:

        def project(columns: np.ndarray, level: Level = levels[i]) -> np.ndarray:
            for transversal in reversed(transversals):
                columns = mean_image(action, level, transversal, columns)
            return columns

        found[i] = projected_level(action, levels[i], project, memory_limit)
    return LevelCoefficients.of(found)


def chained_projectors(action: Action, levels: Sequence[Level]) -> list[np.ndarray]:
    """P on each level: the average of D(g) over all of G."""
    projectors = [np.eye(level.multiplicity) for level in levels]
    for transversal in action.group.transversals():
        factors = averages(action, levels, transversal)
        projectors = [left @ right for left, right in zip(projectors, factors, strict=True)]
    return projectors
