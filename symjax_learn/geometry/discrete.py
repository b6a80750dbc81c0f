"""A finite graph or mesh given by its Laplacian, and the eigenvectors of the matrix."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, FloatArray, Key, Precise, precise
from symjax_learn.geometry.labels import (
    MAX_POINTS,
    TabulatedFunctions,
    check_indices,
    nearest_indices,
    tabulated,
    uniform_indices,
)
from symjax_learn.geometry.spaces import AbstractSpace, Level

# Eigenvalues that agree to this relative accuracy, or to _ROUNDING of the matrix, are one level.
_RELATIVE = 1e-9
_ROUNDING = 1e-12
# A Laplacian is symmetric, kills constants and has no negative eigenvalue to this accuracy, relative to
# its largest row.
_EXACT = 1e-10
# All eigenvalues of matrices up to this size; of larger ones the lowest, so many at most.
_MAX_DENSE = 2048
_MAX_LOWEST = 1000
# The lowest eigenpairs are those of largest (λ + shift)^{-1}; the shift is relative to the matrix.
_SHIFT = 1e-6
_ATTEMPTS = 3
# They are counted a little above the bound, where no level is cut; where a pivot vanishes, elsewhere.
_MARGINS = (0.0107, 0.0233, 0.0419, 0.0631, 0.0877)


class DiscreteSpace(AbstractSpace):
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
        stored = matrix.tocoo()
        self.rows, self.columns = (jnp.asarray(places, jnp.int32) for places in stored.coords)
        self.entries = precise(stored.data)
        least = -_EXACT * _scale(matrix)
        if self.num_vertices <= _MAX_DENSE:
            spectrum = np.linalg.eigvalsh(matrix.toarray())
            self.spectrum, negative = precise(spectrum), bool(spectrum[0] < least)
        else:
            self.spectrum, negative = None, _num_below(matrix, 2 * least)[0] > 0
        if negative:
            raise ValueError(
                "laplacian: it has a negative eigenvalue and expected none; give −Δ, such as D − W for "
                "a graph of weights W ≥ 0, and not Δ."
            )

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(1,)``."""
        return (1,)

    @property
    def cardinality(self) -> int:
        """The number of vertices."""
        return self.num_vertices

    @property
    def volume(self) -> float:
        """The number of vertices."""
        return float(self.num_vertices)

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the number of eigenvalues below.

        Raises:
            ValueError: more than 1000 eigenvalues of a graph of more than 2048 vertices, or a
                factorization or an iteration that is not certain of them.

        Cost: none up to 2048 vertices; else a few sparse factorizations and one iteration.
        """
        matrix = self._matrix()
        scale = _scale(matrix)
        bound = max_eigenvalue + _tolerance(max_eigenvalue, scale)
        if self.spectrum is not None:
            values = np.asarray(self.spectrum.exact)
        else:
            values, _ = _lowest_pairs(matrix, bound)
        found = _levels(values, scale)
        return [level for level in found if level.eigenvalue <= bound]

    def functions(self, levels: Sequence[Level]) -> TabulatedFunctions:
        """The eigenvectors of these levels, times √n.

        Raises:
            ValueError: they do not fit into memory, or an iteration that is not certain of them.

        Cost: O(n³) up to 2048 vertices; else as for the levels.
        """
        matrix, ends = self._matrix(), [_start(level) + level.multiplicity for level in levels]
        refuse_beyond(
            MEMORY_LIMIT,
            16 * self.num_vertices * max(ends),
            f"levels: {max(ends):,} eigenvectors of {self.num_vertices:,} vertices",
            "Ask for fewer levels.",
        )
        scale = _scale(matrix)
        if self.spectrum is not None:
            values, vectors = np.linalg.eigh(matrix.toarray())
        else:
            top = max(level.eigenvalue for level in levels)
            values, vectors = _lowest_pairs(matrix, top + _tolerance(top, scale))
        known = {(level.key, level.multiplicity) for level in _levels(values, scale)}
        blocks = []
        for level, end in zip(levels, ends, strict=True):
            if (level.key, level.multiplicity) not in known:
                raise ValueError(f"levels: {level} is not a level of this space; take them from levels.")
            block = vectors[:, _start(level) : end]
            blocks.append(_constant_first(block) if level.key == 0 else block)
        return tabulated(np.sqrt(self.num_vertices) * np.concatenate(blocks, axis=1).T)

    def _matrix(self) -> Any:
        """L as a sparse matrix of SciPy."""
        from scipy.sparse import coo_array

        places = (np.asarray(self.rows), np.asarray(self.columns))
        return coo_array((self.entries.exact, places), shape=(self.num_vertices,) * 2).tocsr()

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch 1"]:
        """Uniform vertices."""
        return uniform_indices(key, shape, self.num_vertices)

    def check(self, points: AnyArray) -> None:
        """Every point is one of 0, 1, …, n − 1."""
        check_indices(self, points, self.num_vertices)

    def project(self, points: FloatArray) -> Float[Array, "*batch 1"]:
        """The nearest index, which says nothing of the graph; of two equally near ones the even one."""
        return nearest_indices(self, points, self.num_vertices)


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
    scale = _scale(matrix)
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


def _scale(matrix: Any) -> float:
    """max_i Σ_j |L_ij|, which bounds all eigenvalues."""
    return float(abs(matrix).sum(axis=1).max())


def _tolerance(eigenvalue: Any, scale: float) -> Any:
    """How far an equal eigenvalue may be, for one or an array of them."""
    return _RELATIVE * eigenvalue + _ROUNDING * scale


def _levels(values: Float[np.ndarray, " m"], scale: float) -> list[Level]:
    """Ascending eigenvalues, grouped: no two neighbours of one group differ by more than rounding."""
    gaps = np.diff(values) > _tolerance(np.abs(values[1:]), scale)
    starts = np.concatenate([[0], np.flatnonzero(gaps) + 1, [len(values)]])
    return [
        Level(float(values[i:j].mean()) if i else 0.0, int(j - i), int(i))
        for i, j in zip(starts[:-1], starts[1:], strict=True)
    ]


def _start(level: Level) -> int:
    if not isinstance(level.key, int):
        raise TypeError(f"level: {level} is not a level of a discrete space.")
    return level.key


def _constant_first(vectors: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """The same span, with the constant first and the others orthogonal to it."""
    constant = np.full((len(vectors), 1), len(vectors) ** -0.5)
    rest, _, _ = np.linalg.svd(vectors - constant * (constant.T @ vectors), full_matrices=False)
    return np.concatenate([constant, rest[:, :-1]], axis=1)


def _num_below(matrix: Any, bound: float) -> tuple[int, float]:
    """The number of eigenvalues below a bound, and how near to it one may have been miscounted.

    By Sylvester's law the number of negative pivots of L − bound. They are exact for a matrix that
    differs by E, the error of the factorization; the answer has max_i Σ_j |E_ij| ≥ ‖E‖.
    """
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import splu

    shifted = (matrix - bound * eye_array(matrix.shape[0])).tocsc()
    try:
        factors = splu(
            shifted,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError:  # exactly singular
        return 0, np.inf
    order = factors.perm_r
    if not np.array_equal(order, factors.perm_c):  # rows were exchanged: no congruence
        return 0, np.inf
    error = _scale((factors.L @ factors.U).tocsr()[order][:, order] - shifted)
    return int(np.sum(factors.U.diagonal() < 0)), error


def _lowest_pairs(matrix: Any, bound: float) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "n m"]]:
    """All eigenpairs up to a bound, and some above it: ``(m,)`` and ``(n, m)``, ascending."""
    room = bound + 1e3 * _ROUNDING * _scale(matrix)
    for margin in _MARGINS:
        above = bound + margin * room
        count, error = _num_below(matrix, above)
        if error < margin * room / 2:
            return _counted_pairs(matrix, above, count)
    raise ValueError(
        f"max_eigenvalue or max_functions: the eigenvalues below {bound:.6g} could not be counted, "
        "because pivots of a factorization vanish; change it a little."
    )


def _counted_pairs(
    matrix: Any, bound: float, count: int
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "n m"]]:
    """The ``count`` lowest eigenpairs, which must be those below the bound."""
    from scipy.sparse.linalg import eigsh

    n = matrix.shape[0]
    if count > _MAX_LOWEST:
        raise ValueError(
            f"max_eigenvalue or max_functions: {count:,} eigenvalues of a graph of {n:,} vertices, and "
            f"more than {_MAX_DENSE:,} vertices allow {_MAX_LOWEST:,}; lower it."
        )
    if count == 1:
        return np.zeros(1), np.full((n, 1), n**-0.5)
    generator, shift = np.random.default_rng(0), -_SHIFT * _scale(matrix)
    for attempt in range(_ATTEMPTS):
        wanted = count + 10 * attempt
        start = generator.normal(size=n)
        _, vectors = eigsh(matrix, k=wanted, sigma=shift, v0=start, ncv=2 * wanted + 20)
        vectors, _ = np.linalg.qr(vectors)
        values, turn = np.linalg.eigh(vectors.T @ (matrix @ vectors))
        if values[count - 1] < bound:
            return values[:count], vectors @ turn[:, :count]
    raise ValueError(
        f"max_eigenvalue or max_functions: {count} eigenvalues lie below {bound:.6g} and the iteration "
        f"did not find all of them in {_ATTEMPTS} attempts; lower it."
    )
