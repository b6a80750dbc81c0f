"""Null spaces in float64 with a certified cut. Set-up work: NumPy, never traced."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


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


def _fixed_signs(columns: Float[np.ndarray, "m r"]) -> Float[np.ndarray, "m r"]:
    """Make the entry of largest absolute value (the first of equals) of each column positive."""
    if columns.size == 0:
        return columns
    pivots = np.argmax(np.round(np.abs(columns), 9), axis=0)
    return columns * np.where(columns[pivots, np.arange(columns.shape[1])] < 0, -1.0, 1.0)
