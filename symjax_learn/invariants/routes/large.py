"""Large eigenspaces: the range of the projector on the invariants, from its products with vectors."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from symjax_learn._chunks import refuse_beyond
from symjax_learn.geometry.spaces import Level
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.operators import MAX_DENSE, each_image, has_operator
from symjax_learn.invariants.routes.averaging import LevelCoefficients

# Random vectors beyond the rank that is expected; images that are smaller than this part are none.
_MORE = 8
_NONE = 1e-9


def split_levels(action: Action, levels: Sequence[Level]) -> tuple[list[int], list[int]]:
    """Which levels get dense matrices, and which none."""
    large = [
        i
        for i, level in enumerate(levels)
        if level.multiplicity > MAX_DENSE and has_operator(action, level)
    ]
    return [i for i in range(len(levels)) if i not in large], large


def merged(places: Sequence[int], found: LevelCoefficients) -> dict[int, LevelCoefficients]:
    """One record for each of these levels."""
    return {
        i: LevelCoefficients([block], found.gap, found.residual)
        for i, block in zip(places, found.coefficients, strict=True)
    }


def projected_level(
    action: Action,
    level: Level,
    project: Callable[[Float[np.ndarray, "m r"]], Float[np.ndarray, "m r"]],
    memory_limit: int,
) -> LevelCoefficients:
    """An orthonormal basis of the range of a projector P, from PΩ for random vectors Ω.

    PΩ has the rank of P with probability one, as long as Ω has as many columns; so columns are doubled
    until the rank is at least 8 less.

    Cost: projections of 16, 32, … columns, the last of at most 2(r + 8), and O(m·r²).

    Raises:
        ValueError: more columns than the memory limit holds.

    References:
        N. Halko, P. G. Martinsson, J. A. Tropp, *Finding Structure with Randomness*, SIAM Review 2011.
    """
    rng, num_columns = np.random.default_rng(0), 2 * _MORE
    while True:
        num_columns = min(num_columns, level.multiplicity)
        refuse_beyond(
            memory_limit,
            64 * level.multiplicity * num_columns,
            f"max_eigenvalue or max_functions: {num_columns:,} vectors of an eigenspace of dimension "
            f"{level.multiplicity:,} and",
            "Lower it, raise memory_limit, or use another route.",
        )
        images = project(rng.normal(size=(level.multiplicity, num_columns)))
        left, singular, _ = np.linalg.svd(images, full_matrices=False)
        scale = np.sqrt(level.multiplicity)  # of the singular values of Ω
        rank = int((singular > _NONE * scale).sum())
        if rank <= num_columns - _MORE or num_columns == level.multiplicity:
            break
        num_columns *= 2
    basis = left[:, :rank]
    smallest = float(singular[rank - 1]) if rank else scale
    largest = float(singular[rank]) if rank < len(singular) else 0.0
    gap = smallest / max(largest, float(np.finfo(float).eps) * scale)
    residual = 0.0
    if rank:
        for image in each_image(action, level, action.generators, basis):
            residual = max(residual, float(np.linalg.norm(image - basis, axis=0).max()))
    return LevelCoefficients([basis], float(gap), residual)
