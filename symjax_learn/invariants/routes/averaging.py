"""Route ``averaging``: the projector P = (1/|G|) Σ_g D(g) over all of G, level by level.

The baseline that every other route replaces, and their oracle where |G| is small.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from symjax_learn._chunks import refuse_beyond
from symjax_learn._linalg import null_space
from symjax_learn._types import Element
from symjax_learn.geometry.spaces import Level
from symjax_learn.invariants.action import Action

# Elements whose matrices exist at once.
_BATCH = 64


class LevelCoefficients(NamedTuple):
    """Coefficients of the invariant functions of each level, with their evidence.

    Attributes:
        coefficients: for each level ``(m, r)``, orthonormal columns, float64.
        gap: the least ratio of singular values beside a cut.
        residual: the worst ‖D(g)c − c‖ over generators and columns.
    """

    coefficients: list[np.ndarray]
    gap: float
    residual: float

    @classmethod
    def of(cls, found: Mapping[int, "LevelCoefficients"]) -> "LevelCoefficients":
        """Those of single levels together, in the order of their numbers."""
        parts = [found[i] for i in sorted(found)]
        return cls(
            [block for part in parts for block in part.coefficients],
            min(part.gap for part in parts),
            max(part.residual for part in parts),
        )


def averaged_levels(action: Action, levels: Sequence[Level], memory_limit: int) -> LevelCoefficients:
    """The invariants of each level as the null space of I − P.

    Cost: |G|·m² for each level of dimension m, and O(m³).

    Raises:
        ValueError: |G| is too large to enumerate, or an eigenspace too large for a dense matrix.
    """
    refuse_dense(levels, memory_limit, "averaging")
    elements = action.elements()
    return fixed_by_projectors(action, levels, averages(action, levels, elements))


def averages(
    action: Action,
    levels: Sequence[Level],
    elements: Element,
    weights: Float[np.ndarray, " k"] | None = None,
) -> list[np.ndarray]:
    """Σ w_g D(g) on each level over some elements, of weight one over their number unless given."""
    num_elements = jax.tree.leaves(elements)[0].shape[0]
    shares = np.full(num_elements, 1 / num_elements) if weights is None else weights
    sums = [np.zeros((level.multiplicity,) * 2) for level in levels]
    for start in range(0, num_elements, _BATCH):
        batch = jax.tree.map(lambda leaf, s=start: leaf[s : s + _BATCH], elements)
        here = shares[start : start + _BATCH]
        for total, matrices in zip(sums, action.representations(levels, batch), strict=True):
            total += np.einsum("g,gij->ij", here, matrices)
    return sums


def fixed_by_projectors(
    action: Action, levels: Sequence[Level], projectors: Sequence[np.ndarray]
) -> LevelCoefficients:
    """The null spaces of I − P, and how far the generators move them."""
    spaces = [null_space(np.eye(len(projector)) - projector) for projector in projectors]
    residual = 0.0
    if action.group.num_generators:
        moves = action.generator_representations(levels)
        for matrices, space in zip(moves, spaces, strict=True):
            moved = matrices @ space.basis - space.basis
            residual = max(residual, float(np.linalg.norm(moved, axis=1).max(initial=0.0)))
    return LevelCoefficients(
        [space.basis for space in spaces], min(space.gap for space in spaces), residual
    )


def refuse_dense(levels: Sequence[Level], memory_limit: int, route: str) -> None:
    """Refuse matrices of all levels for a batch of elements beyond the limit."""
    squares = sum(level.multiplicity**2 for level in levels)
    largest = max(level.multiplicity for level in levels)
    refuse_beyond(
        memory_limit,
        8 * squares * (_BATCH + 4),
        f"max_eigenvalue or max_functions: the route '{route}' forms dense matrices of sizes up to "
        f"{largest:,} and",
        "Lower it, raise memory_limit, or use another route.",
    )
