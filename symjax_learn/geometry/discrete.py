"""A finite graph or mesh given by its Laplacian, and the eigenvectors of the matrix."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import Key, Precise
from symjax_learn.geometry.labels import MAX_POINTS, uniform_indices
from symjax_learn.geometry.vertices import AbstractVertices, matrix_fields, num_below, scale_of

# A Laplacian is symmetric, kills constants and has no negative eigenvalue to this accuracy, relative to
# its largest row.
_EXACT = 1e-10


class DiscreteSpace(AbstractVertices):
    """The vertices 0, …, n − 1 of a graph or a mesh, with a matrix L for −Δ.

    L is symmetric, positive semidefinite, and kills constants: L = D − W for a graph of weights W. Of
    dimension 0 and volume n. Eigenfunctions are the eigenvectors of L times √n, orthonormal for the
    uniform probability measure on the vertices, the constant first; in an eigenspace the choice of
    the others is arbitrary, as it is for the functions constant on the pieces of a disconnected graph,
    all of eigenvalue 0. Eigenvalues that differ by less than 1e-9·λ + 1e-12·max_i Σ_j |L_ij| are one
    level.

    Up to 2048 vertices all eigenvalues are computed once. Of larger graphs the lowest, at most 1000, by
    Lanczos iteration on (L + shift)^{−1}; that none is missed is certified by Sylvester's law: L − Λ has
    as many negative pivots as there are eigenvalues below Λ.

    A point is a vertex as a floating-point number, in an array of shape ``(1,)``. It is rounded to an
    integer: gradients are 0.

    Args:
        laplacian: ``(n, n)``, an array or a sparse matrix of SciPy, of real numbers; n ≤ 2^24.

    Attributes:
        rows: of the entries of L,
        columns: and
        entries: in float64.
        spectrum: all eigenvalues, ascending, or ``None`` where n > 2048.
        num_vertices: n.

    Raises:
        TypeError: no matrix of real numbers.
        ValueError: not square, not finite, not symmetric, rows that do not sum to 0, or a negative
            eigenvalue.

    Cost: O(n³) up to 2048 vertices; then O(k·n) beyond one sparse factorization for k eigenvectors.

    References:
        R. B. Lehoucq, D. C. Sorensen, C. Yang, *ARPACK Users' Guide*, 1998, §3.2 (shift and invert).

    >>> import symjax_learn as sj, numpy as np
    >>> path = np.asarray([[1, -1, 0], [-1, 2, -1], [0, -1, 1]])
    >>> [(round(level.eigenvalue, 9), level.multiplicity) for level in sj.DiscreteSpace(path).levels(3)]
    [(0.0, 1), (1.0, 1), (3.0, 1)]
    """

    rows: Int[Array, " e"]
    columns: Int[Array, " e"]
    entries: Precise
    spectrum: Precise | None
    num_vertices: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __init__(self, laplacian: Any):
        """Refuse what is no Laplacian."""
        matrix = _checked_matrix(laplacian)
        self.num_vertices, self.dimension = matrix.shape[0], 0
        self.rows, self.columns, self.entries, self.spectrum = matrix_fields(matrix)
        if num_below(matrix, self.spectrum, -2 * _EXACT * scale_of(matrix)):
            raise ValueError(
                "laplacian: it has a negative eigenvalue and expected none; give −Δ, such as D − W for "
                "a graph of weights W ≥ 0, and not Δ."
            )

    @property
    def ground(self) -> Float[np.ndarray, " n"]:
        """The constant of unit norm."""
        return np.full(self.num_vertices, self.num_vertices**-0.5)

    @property
    def volume(self) -> float:
        """The number of vertices."""
        return float(self.num_vertices)

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch 1"]:
        """Uniform vertices."""
        return uniform_indices(key, shape, self.num_vertices)


def _checked_matrix(laplacian: Any) -> Any:
    """A sparse float64 matrix that is symmetric, finite, and kills constants."""
    from scipy.sparse import csr_array, issparse

    if not issparse(laplacian):
        laplacian = np.asarray(laplacian)
    if laplacian.dtype.kind not in "fiu":
        raise TypeError(
            f"laplacian: expected a matrix of real numbers and got {laplacian.dtype}; give an array or "
            "a sparse matrix of SciPy."
        )
    shape = laplacian.shape
    if len(shape) != 2 or shape[0] != shape[1] or not 1 <= shape[0] <= MAX_POINTS:
        raise ValueError(
            f"laplacian: expected shape (n, n) with 1 <= n <= 2^24 and got {shape}; give one row "
            "for each vertex."
        )
    matrix = csr_array(laplacian, dtype=np.float64)
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        entry = int(np.flatnonzero(~np.isfinite(matrix.data))[0])
        row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
        raise ValueError(
            f"laplacian: entry ({row}, {matrix.indices[entry]}) is {matrix.data[entry]}; every entry is "
            "a finite number."
        )
    scale = scale_of(matrix)
    skew = (matrix - matrix.T).tocoo()
    worst = int(np.argmax(np.abs(skew.data))) if skew.nnz else 0
    if skew.nnz and abs(skew.data[worst]) > _EXACT * scale:
        i, j = (int(places[worst]) for places in skew.coords)
        raise ValueError(
            f"laplacian: entries ({i}, {j}) and ({j}, {i}) differ by {abs(skew.data[worst]):.3g} and "
            "a Laplacian is symmetric; symmetrize it, or use D^(1/2) L D^(-1/2) where D is a measure."
        )
    sums = np.abs(matrix.sum(axis=1))
    if sums.max() > _EXACT * scale:
        row = int(np.argmax(sums))
        raise ValueError(
            f"laplacian: row {row} sums to {sums[row]:.3g} and expected 0, so that constants have "
            "eigenvalue 0; put minus the sum of the other entries on the diagonal."
        )
    return matrix
