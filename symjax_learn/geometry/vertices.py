"""Finite spaces of vertices: the low eigenpairs of a symmetric matrix, all of them, none missed."""

import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, FloatArray, Precise, precise
from symjax_learn.geometry.labels import (
    TabulatedFunctions,
    check_indices,
    nearest_indices,
    tabulated,
)
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.spectra import RELATIVE

ROUNDING = 1e-12
# All eigenvalues of matrices up to this size; of larger ones the lowest, so many at most.
_MAX_DENSE = 2048
_MAX_LOWEST = 1000
# The lowest eigenpairs are those of largest (λ + shift)^{-1}; the shift is relative to the matrix.
_SHIFT = 1e-6
_ATTEMPTS = 3
# They are counted a little above the bound, where no level is cut; where a pivot vanishes, elsewhere.
_MARGINS = (0.0107, 0.0233, 0.0419, 0.0631, 0.0877)


class AbstractVertices(AbstractSpace):
    """The vertices 0, …, n − 1 with probabilities p, and a symmetric matrix A ≥ 0 with A√p = 0.

    −Δ is P^{-1/2} A P^{1/2} with P = diag(p): for each unit eigenvector v of A the function v_i/√p_i is
    an eigenfunction, and Σ_i p_i f(i) f'(i) is the scalar product. A point is a vertex as a
    floating-point number, in an array of shape ``(1,)``, rounded to an integer.

    Attributes:
        rows: of the entries of A,
        columns: and
        entries: in float64.
        spectrum: all eigenvalues, ascending, or ``None`` where n > 2048.
        num_vertices: n.
        ground: √p.
    """

    rows: eqx.AbstractVar[Int[Array, " e"]]
    columns: eqx.AbstractVar[Int[Array, " e"]]
    entries: eqx.AbstractVar[Precise]
    spectrum: eqx.AbstractVar[Precise | None]
    num_vertices: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def ground(self) -> Float[np.ndarray, " n"]:
        """√p, the unit vector that A kills."""

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(1,)``."""
        return (1,)

    @property
    def cardinality(self) -> int:
        """The number of vertices."""
        return self.num_vertices

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is the number of eigenvalues below.

        Raises:
            ValueError: more than 1000 eigenvalues of a graph of more than 2048 vertices, or a
                factorization or an iteration that is not certain of them.

        Cost: none up to 2048 vertices; else a few sparse factorizations and one iteration.
        """
        matrix = self.matrix()
        scale = scale_of(matrix)
        bound = max_eigenvalue + _tolerance(max_eigenvalue, scale)
        if self.spectrum is not None:
            values = np.asarray(self.spectrum.exact)
        else:
            values, _ = _lowest_pairs(matrix, bound, self.ground)
        found = _levels(values, scale)
        return [level for level in found if level.eigenvalue <= bound]

    def functions(self, levels: Sequence[Level]) -> TabulatedFunctions:
        """The eigenvectors of these levels, divided by √p.

        Raises:
            ValueError: they do not fit into memory, or an iteration that is not certain of them.

        Cost: O(n³) up to 2048 vertices; else as for the levels.
        """
        matrix, ends = self.matrix(), [_start(level) + level.multiplicity for level in levels]
        refuse_beyond(
            MEMORY_LIMIT,
            16 * self.num_vertices * max(ends),
            f"levels: {max(ends):,} eigenvectors of {self.num_vertices:,} vertices",
            "Ask for fewer levels.",
        )
        scale = scale_of(matrix)
        if self.spectrum is not None:
            # The levels are those of the stored spectrum: the last bits of another run may differ.
            values, vectors = np.asarray(self.spectrum.exact), np.linalg.eigh(matrix.toarray())[1]
        else:
            top = max(level.eigenvalue for level in levels)
            values, vectors = _lowest_pairs(matrix, top + _tolerance(top, scale), self.ground)
        known = {(level.key, level.multiplicity) for level in _levels(values, scale)}
        blocks = []
        for level, end in zip(levels, ends, strict=True):
            if (level.key, level.multiplicity) not in known:
                raise ValueError(f"levels: {level} is not a level of this space; take them from levels.")
            block = vectors[:, _start(level) : end]
            blocks.append(_ground_first(block, self.ground) if level.key == 0 else block)
        return tabulated((np.concatenate(blocks, axis=1) / self.ground[:, None]).T)

    def matrix(self) -> Any:
        """A as a sparse matrix of SciPy."""
        from scipy.sparse import coo_array

        places = (np.asarray(self.rows), np.asarray(self.columns))
        return coo_array((self.entries.exact, places), shape=(self.num_vertices,) * 2).tocsr()

    def check(self, points: AnyArray) -> None:
        """Every point is one of 0, 1, …, n − 1."""
        check_indices(self, points, self.num_vertices)

    def project(self, points: FloatArray) -> Float[Array, "*batch 1"]:
        """The nearest index, which says nothing of neighbours; of two equally near ones the even one."""
        return nearest_indices(self, points, self.num_vertices)


def matrix_fields(matrix: Any) -> tuple[Int[Array, " e"], Int[Array, " e"], Precise, Precise | None]:
    """``rows``, ``columns``, ``entries`` and ``spectrum`` of a sparse matrix of SciPy."""
    stored = matrix.tocoo()
    rows, columns = (jnp.asarray(places, jnp.int32) for places in stored.coords)
    small = matrix.shape[0] <= _MAX_DENSE
    spectrum = precise(np.linalg.eigvalsh(matrix.toarray())) if small else None
    return rows, columns, precise(stored.data), spectrum


def num_below(matrix: Any, spectrum: Precise | None, bound: float) -> int:
    """How many eigenvalues lie below a bound; where the matrix is large, by one factorization."""
    if spectrum is not None:
        return int(np.sum(spectrum.exact < bound))
    return _num_below(matrix, bound)[0]


def scale_of(matrix: Any) -> float:
    """max_i Σ_j |A_ij|, which bounds all eigenvalues."""
    return float(abs(matrix).sum(axis=1).max())


def _tolerance(eigenvalue: Any, scale: float) -> Any:
    """How far an equal eigenvalue may be, for one or an array of them."""
    return RELATIVE * eigenvalue + ROUNDING * scale


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
        raise TypeError(f"level: {level} is not a level of a space of vertices.")
    return level.key


def _ground_first(
    vectors: Float[np.ndarray, "n m"], ground: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n m"]:
    """The same span, with √p first and the others orthogonal to it."""
    first = ground[:, None]
    rest, _, _ = np.linalg.svd(vectors - first * (first.T @ vectors), full_matrices=False)
    return np.concatenate([first, rest[:, :-1]], axis=1)


def _num_below(matrix: Any, bound: float) -> tuple[int, float]:
    """The number of eigenvalues below a bound, and how near to it one may have been miscounted.

    By Sylvester's law the number of negative pivots of A − bound. They are exact for a matrix that
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
    error = scale_of((factors.L @ factors.U).tocsr()[order][:, order] - shifted)
    return int(np.sum(factors.U.diagonal() < 0)), error


def _lowest_pairs(
    matrix: Any, bound: float, ground: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "n m"]]:
    """All eigenpairs up to a bound, and some above it: ``(m,)`` and ``(n, m)``, ascending."""
    room = bound + 1e3 * ROUNDING * scale_of(matrix)
    for margin in _MARGINS:
        above = bound + margin * room
        count, error = _num_below(matrix, above)
        if error < margin * room / 2:
            return _counted_pairs(matrix, above, count, ground)
    raise ValueError(
        f"max_eigenvalue or max_functions: the eigenvalues below {bound:.6g} could not be counted, "
        "because pivots of a factorization vanish; change it a little."
    )


def _counted_pairs(
    matrix: Any, bound: float, count: int, ground: Float[np.ndarray, " n"]
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
        return np.zeros(1), ground[:, None]
    generator, shift = np.random.default_rng(0), -_SHIFT * scale_of(matrix)
    for attempt in range(_ATTEMPTS):
        wanted = count + 10 * attempt
        start = generator.normal(size=n)
        _, vectors = eigsh(matrix, k=wanted, sigma=shift, v0=start, ncv=min(n, 2 * wanted + 20))
        vectors, _ = np.linalg.qr(vectors)
        values, turn = np.linalg.eigh(vectors.T @ (matrix @ vectors))
        if values[count - 1] < bound:
            return values[:count], vectors @ turn[:, :count]
    raise ValueError(
        f"max_eigenvalue or max_functions: {count} eigenvalues lie below {bound:.6g} and the iteration "
        f"did not find all of them in {_ATTEMPTS} attempts; lower it."
    )
