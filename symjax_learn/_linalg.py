"""Null spaces in float64 with a certified cut. Set-up work: NumPy, never traced."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# Squared singular values below the first are zero; one between the two is doubtful, and so are
# vectors that the matrices move by more than the third.
_NULL_SQUARE = 1e-11
_KEPT_SQUARE = 1e-7
_NULL_RESIDUAL = 1e-11


class NullSpace(NamedTuple):
    """An orthonormal basis of ker A, and the evidence that its dimension is right.

    Attributes:
        basis: ``(m, r)``, orthonormal columns.
        largest_null: the largest singular value that was counted as zero, relative to the largest.
        smallest_kept: the smallest singular value that was not, relative to the largest.
    """

    basis: Float[np.ndarray, "m r"]
    largest_null: float
    smallest_kept: float

    @property
    def gap(self) -> float:
        """smallest_kept / max(largest_null, eps): how clear the cut is (1 would be no cut)."""
        return self.smallest_kept / max(self.largest_null, float(np.finfo(float).eps))


def null_space(
    matrix: Float[np.ndarray, "rows m"], *, tolerance: float = 1e-9, min_gap: float = 1e3
) -> NullSpace:
    """Orthonormal basis of ker A by the singular value decomposition, refused when doubtful.

    A singular value below ``tolerance`` (absolute: the constraints D(g) − I and I − P have norms
    of order one, and may be zero altogether) is zero. The cut must be clear: the next singular
    value is at least ``min_gap`` times larger. Signs are fixed, so that runs agree.

    Args:
        matrix: A, ``(rows, m)``, float64.
        tolerance: below it a singular value counts as zero.
        min_gap: the least ratio of the singular values beside the cut.

    Raises:
        ValueError: the spectrum has no clear gap at the cut.

    Cost: O(rows·m² + m³).
    """
    rows, m = matrix.shape
    if m == 0:
        return NullSpace(np.zeros((0, 0)), 0.0, 1.0)
    _, singular, right = np.linalg.svd(matrix, full_matrices=rows < m)
    singular = np.concatenate([singular, np.zeros(m - len(singular))])
    null = singular < tolerance
    largest_null = float(singular[null].max(initial=0.0))
    smallest_kept = float(singular[~null].min(initial=1.0))
    answer = NullSpace(_fixed_signs(right[null].T), largest_null, smallest_kept)
    if answer.gap < min_gap:
        raise ValueError(
            f"matrix: no clear gap in its singular values at the cut: {largest_null:.2e} was taken "
            f"for zero and {smallest_kept:.2e} was not, a ratio of {answer.gap:.1f} < {min_gap:g}. "
            "Are the generators exact (rotations by tiny angles, rounded matrices)?"
        )
    return answer


def fixed_spaces(
    matrices: Float[np.ndarray, "batch k m m"], derivations: Float[np.ndarray, "batch a rows m"]
) -> list[NullSpace]:
    """For each of many problems the vectors that D_i fix and A_j annihilate: ∩ ker(D_i − I) ∩ ker A_j.

    As null spaces of Σ_i (D_i − I)ᵀ(D_i − I) + Σ_j A_jᵀA_j, where the first sum is
    Σ_i (2I − D_i − D_iᵀ), by one batched ``eigh``. It squares singular values, so that it cannot tell a
    rotation by 1e-7 from none: where its spectrum has no clear gap, the singular values of the stacked
    constraints decide.

    Args:
        matrices: D_i of each problem, orthogonal; k may be 0.
        derivations: A_j of each problem, such as skew matrices; a may be 0.

    Returns:
        For each problem a basis whose ``largest_null`` is the worst ‖D_i v − v‖ and ‖A_j v‖ over it.

    Raises:
        ValueError: a spectrum without a clear gap, also by singular values.

    Cost: O(batch·(k·m² + (a + 1)·m³)).
    """
    batch, k, m = matrices.shape[:3]
    total = matrices.sum(axis=1)
    stacked = derivations.reshape(batch, -1, m)
    constraints = 2 * k * np.eye(m) - total - total.mT + stacked.mT @ stacked
    values, vectors = np.linalg.eigh(constraints)
    spaces = []
    for one, rates, squares, columns in zip(matrices, derivations, values, vectors, strict=True):
        null = squares < _NULL_SQUARE
        smallest = float(squares[~null].min(initial=1.0))
        basis = _fixed_signs(columns[:, null])
        moves = [np.linalg.norm(moved, axis=1) for moved in (one @ basis - basis, rates @ basis)]
        worst = max(float(norms.max(initial=0.0)) for norms in moves)
        if smallest < _KEPT_SQUARE or worst > _NULL_RESIDUAL:
            rows = np.concatenate([(one - np.eye(m)).reshape(-1, m), rates.reshape(-1, m)])
            spaces.append(null_space(rows))
        else:
            spaces.append(NullSpace(basis, worst, smallest**0.5))
    return spaces


def _fixed_signs(columns: Float[np.ndarray, "m r"]) -> Float[np.ndarray, "m r"]:
    """Make the entry of largest absolute value (the first of equals) of each column positive."""
    if columns.size == 0:
        return columns
    pivots = np.argmax(np.round(np.abs(columns), 9), axis=0)
    return columns * np.where(columns[pivots, np.arange(columns.shape[1])] < 0, -1.0, 1.0)
