"""How far the functions of an eigenspace are from being invariant: its principal directions.

Σ_g ‖D(g)c − c‖² + Σ_A ‖dρ(A)c‖² = cᵀLc with L = Σ_g (2I − D(g) − D(g)ᵀ) + Σ_A dρ(A)ᵀdρ(A), block by
block; in the eigenvectors of L it is Σ_j ν_j c_j², and ν_j = 0 for the invariant functions alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from symjax_learn._linalg import fixed_spaces
from symjax_learn.geometry.spaces import Level
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.routes.generators import level_constraints


class Departures(NamedTuple):
    """The principal directions of each level, the invariant ones first.

    Attributes:
        rotations: for each level an orthogonal matrix ``(m, m)`` whose columns are the directions.
        rates: ν of each function of all levels, ascending in each; exactly 0 where it is invariant.
    """

    rotations: list[Float[np.ndarray, "m m"]]
    rates: Float[np.ndarray, " D"]


def departures(action: Action, levels: Sequence[Level], memory_limit: int) -> Departures:
    """Principal directions of Σ ‖D(g)c − c‖² + Σ ‖dρ(A)c‖² over generators and a basis of the algebra.

    Which ν are zero is decided as for the invariants themselves, with a clear gap.

    Cost: as route ``generators``.

    Raises:
        ValueError: an eigenspace too large for a dense matrix, or no clear gap.
    """
    rotations, rates = [], []
    for matrices, derivations in zip(*level_constraints(action, levels, memory_limit), strict=True):
        k, m = len(matrices), matrices.shape[1]
        (fixed,) = fixed_spaces(matrices[None], derivations[None])
        total, stacked = matrices.sum(axis=0), derivations.reshape(-1, m)
        form = 2 * k * np.eye(m) - total - total.T + stacked.T @ stacked
        # Beyond all others, what is fixed leaves the first eigenvectors to its complement.
        beyond = 1 + 2 * np.linalg.norm(form)
        values, vectors = np.linalg.eigh(form + beyond * fixed.basis @ fixed.basis.T)
        num_moved = m - fixed.basis.shape[1]
        rotations.append(np.concatenate([fixed.basis, vectors[:, :num_moved]], axis=1))
        rates += [np.zeros(m - num_moved), values[:num_moved]]
    return Departures(rotations, np.concatenate(rates))
