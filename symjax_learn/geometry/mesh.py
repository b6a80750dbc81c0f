"""Triangle meshes: surfaces with the cotangent Laplacian."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt

from symjax_learn._types import Key, Precise, as_array, precise
from symjax_learn.geometry.labels import MAX_POINTS
from symjax_learn.geometry.vertices import (
    ROUNDING,
    AbstractVertices,
    matrix_fields,
    num_below,
    scale_of,
)

# Twice the area of a triangle, relative to its longest edge squared, that is 0 to rounding.
_FLAT = 1e-10


class _Assembled(NamedTuple):
    """A stiffness matrix S by its edges, S_ij = −w_ij off the diagonal, and the lumped masses."""

    edges: Int[np.ndarray, "e 2"]
    weights: Float[np.ndarray, " e"]
    masses: Float[np.ndarray, " n"]


class Mesh(AbstractVertices):
    """A surface of triangles in R³, with linear finite elements on it: S u = λ M u.

    S_ij = −(cot α_ij + cot β_ij)/2 for the angles opposite to the edge ij, rows of sum 0, so that uᵀSu
    is the Dirichlet energy of the piecewise linear u; M is diagonal, m_i a third of the area of the
    triangles at i. The space is the finite set of the n vertices, of dimension 2 and with the area as
    its volume. Eigenfunctions are orthonormal for the probabilities m_i/Σm, from which ``sample`` draws,
    and the constant is the first; in an eigenspace the choice of the others is arbitrary. For regular
    meshes of a smooth surface λ is one of the surface up to O(λ²h²) for edges of length h, so that only
    the λ well below 1/h² mean anything.

    At a boundary the condition is the natural one (Neumann). With c components (of triangles that share
    vertices; vertices at the same place are not merged) level 0 has multiplicity c: the functions
    constant on each. Triangles may be oriented in any way. The mesh of a symmetric body has
    multiplicities: eigenvalues that differ by less than 1e-9·λ + 1e-12·max_i Σ_j |S_ij|/√(m_i m_j) are
    one level.

    Eigenpairs are those of M^{−1/2} S M^{−1/2}, computed as in :class:`DiscreteSpace`: all of them up to
    2048 vertices, beyond that the lowest, at most 1000, of which none is missed.

    A point is a vertex as a floating-point number, in an array of shape ``(1,)``. It is rounded to an
    integer: gradients are 0.

    Args:
        vertices: ``(n, 3)``; n ≤ 2^24.
        faces: ``(f, 3)`` integers, the vertices of each triangle.
        laplacian: ``"cotangent"``, or ``"robust"``: cotangents of an intrinsic Delaunay triangulation of
            the same surface, never negative, where each sheet at an edge of many triangles is counted.
            For meshes with needles, more than two triangles at an edge or triangles of area 0, where all
            edges are lengthened by up to 1e-5 of their mean, so that the area is a little larger.

    Attributes:
        vertices: in float64.
        faces: as given.
        masses: m_i, in float64.
        thresholds: 2^32·Σ_{j≤i} m_j/Σm, rounded, for i < n − 1.
        area: Σm.
        laplacian: which of the two.
        rows: of the entries of M^{−1/2} S M^{−1/2},
        columns: and
        entries: in float64.
        spectrum: all eigenvalues, ascending, or ``None`` where n > 2048.
        num_vertices: n.

    Raises:
        TypeError: vertices that are no real numbers, or faces that are no integers.
        ValueError: another shape, a vertex that is not finite or in no face, a face with an index out of
            range or twice the same, and for cotangents a face of area 0, or an edge of more than two
            faces; eigenvalues that rounding does not separate from 0.
        ImportError: ``robust_laplacian``, the extra ``meshes``, is not installed.

    Cost: O(n³) up to 2048 vertices; then a sparse factorization, and another for each truncation.

    References:
        U. Pinkall, K. Polthier, *Computing discrete minimal surfaces and their conjugates*, Experimental
        Mathematics 1993 (cotangents).
        G. Dziuk, *Finite elements for the Beltrami operator on arbitrary surfaces*, 1988 (convergence).
        N. Sharp, K. Crane, *A Laplacian for nonmanifold triangle meshes*, Computer Graphics Forum 2020
        (robust).

    >>> import symjax_learn as sj, numpy as np
    >>> vertices = np.concatenate([np.eye(3), -np.eye(3)])  # the octahedron
    >>> faces = [[i, j, k] for i in (0, 3) for j in (1, 4) for k in (2, 5)]
    >>> space = sj.Mesh(vertices, faces)
    >>> [(round(level.eigenvalue, 9), level.multiplicity) for level in space.levels(4)]
    [(0.0, 1), (2.0, 3), (3.0, 2)]
    """

    vertices: Precise
    faces: Int[Array, "f 3"]
    masses: Precise
    thresholds: UInt[Array, " m"]
    rows: Int[Array, " e"]
    columns: Int[Array, " e"]
    entries: Precise
    spectrum: Precise | None
    num_vertices: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)
    area: float = eqx.field(static=True)
    laplacian: str = eqx.field(static=True)

    def __init__(self, vertices: Any, faces: Any, *, laplacian: str = "cotangent"):
        """Refuse what is no mesh."""
        if laplacian not in ("cotangent", "robust"):
            raise ValueError(f"laplacian: expected 'cotangent' or 'robust' and got {laplacian!r}.")
        corners = _checked_vertices(vertices)
        triangles = _checked_faces(faces, len(corners))
        found = (_cotangents if laplacian == "cotangent" else _robust)(corners, triangles)
        matrix = _symmetrized(found)
        self.num_vertices, self.dimension, self.laplacian = len(corners), 2, laplacian
        self.vertices, self.masses = precise(corners), precise(found.masses)
        self.faces = jnp.asarray(triangles, jnp.int32)
        self.area = float(found.masses.sum())
        self.thresholds = jnp.asarray(_thresholds(found.masses))
        self.rows, self.columns, self.entries, self.spectrum = matrix_fields(matrix)
        _check_separation(matrix, self.spectrum)

    @property
    def ground(self) -> Float[np.ndarray, " n"]:
        """√(m_i/Σm)."""
        masses = self.masses.exact
        return np.sqrt(masses / masses.sum())

    @property
    def volume(self) -> float:
        """The area of all triangles."""
        return self.area

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch 1"]:
        """Vertices with the probabilities m_i/Σm, to 2^{−32}."""
        bits = jax.random.bits(key, (*shape, 1), jnp.uint32)
        return jnp.searchsorted(self.thresholds, bits, side="right").astype(float)


def _checked_vertices(vertices: Any) -> Float[np.ndarray, "n 3"]:
    """Finite points of R³ in float64."""
    vertices = np.asarray(as_array("vertices", vertices))
    if vertices.dtype.kind not in "fiu":
        raise TypeError(f"vertices: expected real numbers and got {vertices.dtype}.")
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not 3 <= len(vertices) <= MAX_POINTS:
        raise ValueError(
            f"vertices: expected shape (n, 3) with 3 <= n <= 2^24 and got {vertices.shape}; give a row "
            "x, y, z for each vertex."
        )
    bad = np.flatnonzero(~np.isfinite(vertices).all(axis=1))
    if len(bad):
        raise ValueError(
            f"vertices: row {bad[0]} is not finite ({vertices[bad[0]].tolist()}), as {len(bad)} row(s) "
            "in all; remove or repair them."
        )
    return vertices.astype(np.float64)


def _checked_faces(faces: Any, num_vertices: int) -> Int[np.ndarray, "f 3"]:
    """Three different vertices for each face, and a face for each vertex."""
    faces = np.asarray(as_array("faces", faces))
    if faces.dtype.kind not in "iu":
        raise TypeError(f"faces: expected integers and got {faces.dtype}; give indices of vertices.")
    if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0:
        raise ValueError(
            f"faces: expected shape (f, 3) with f >= 1 and got {faces.shape}; give three vertices for "
            "each triangle, and split other polygons."
        )
    _refuse_faces(
        ((faces < 0) | (faces >= num_vertices)).any(axis=1),
        faces,
        f"which is no triple of the {num_vertices} vertices; expected 0 to {num_vertices - 1}",
    )
    faces = faces.astype(np.int64)
    _refuse_faces(
        (faces == np.roll(faces, 1, axis=1)).any(axis=1),
        faces,
        "which has the same vertex twice; remove it",
    )
    unused = np.flatnonzero(np.bincount(faces.ravel(), minlength=num_vertices) == 0)
    if len(unused):
        raise ValueError(
            f"vertices: row {unused[0]} is in no face, as {len(unused)} row(s) in all, and has no area; "
            "remove them."
        )
    return faces


def _refuse_faces(bad: np.ndarray, faces: Int[np.ndarray, "f 3"], finding: str) -> None:
    """Raise ``ValueError`` naming the first bad face."""
    rows = np.flatnonzero(bad)
    if len(rows):
        raise ValueError(
            f"faces: row {rows[0]} is {faces[rows[0]].tolist()}, {finding} ({len(rows)} row(s) in all)."
        )


def _cotangents(vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "f 3"]) -> _Assembled:
    """Half the cotangents of the one or two angles opposite to each edge, and a third of each area."""
    n = len(vertices)
    # The edge opposite to corner k is that of the other two.
    ends = [np.roll(faces, -k, axis=1)[:, 1:] for k in range(3)]
    sides = [vertices[end[:, 1]] - vertices[end[:, 0]] for end in ends]
    doubled = np.linalg.norm(np.cross(sides[0], sides[1]), axis=1)
    longest = np.max([np.sum(side**2, axis=1) for side in sides], axis=0)
    _refuse_faces(
        doubled <= _FLAT * longest, faces, "which has no area; remove it or use laplacian='robust'"
    )
    cotangents = [-np.sum(sides[k - 2] * sides[k - 1], axis=1) / doubled for k in range(3)]
    lower, upper = np.sort(np.concatenate(ends), axis=1).T
    codes, inverse, counts = np.unique(lower * n + upper, return_inverse=True, return_counts=True)
    edges = np.stack([codes // n, codes % n], axis=1)
    if counts.max() > 2:
        worst = int(np.argmax(counts > 2))
        raise ValueError(
            f"faces: the edge {tuple(edges[worst].tolist())} belongs to {counts[worst]} faces and an "
            f"edge of a surface to at most two ({np.sum(counts > 2)} such edge(s) in all); remove "
            "faces, or use laplacian='robust'."
        )
    return _Assembled(
        edges,
        np.bincount(inverse, weights=np.concatenate(cotangents) / 2),
        np.bincount(faces.ravel(), weights=np.repeat(doubled / 6, 3), minlength=n),
    )


def _robust(vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "f 3"]) -> _Assembled:
    """The same of the tufted cover of the mesh, after flips to an intrinsic Delaunay triangulation."""
    try:
        import robust_laplacian
    except ImportError as error:
        raise ImportError(
            "laplacian: 'robust' is that of robust_laplacian, which is not installed; "
            "pip install 'symjax-learn[meshes]', or use 'cotangent'."
        ) from error
    from scipy.sparse import triu

    stiffness, masses = robust_laplacian.mesh_laplacian(vertices, faces)
    above = triu(stiffness, k=1).tocoo()
    edges, weights = np.stack(above.coords, axis=1).astype(np.int64), -np.asarray(above.data, float)
    return _Assembled(edges, weights, masses.diagonal())


def _symmetrized(found: _Assembled) -> Any:
    """M^{−1/2} S M^{−1/2}, a sparse matrix of SciPy."""
    from scipy.sparse import coo_array

    n, (i, j) = len(found.masses), found.edges.T
    diagonal = np.bincount(i, found.weights, n) + np.bincount(j, found.weights, n)
    off = -found.weights / np.sqrt(found.masses[i] * found.masses[j])
    everyone = np.arange(n)
    places = (np.concatenate([i, j, everyone]), np.concatenate([j, i, everyone]))
    return coo_array((np.concatenate([off, off, diagonal / found.masses]), places), (n, n)).tocsr()


def _check_separation(matrix: Any, spectrum: Precise | None) -> None:
    """Raise when there are more eigenvalues of 0, to rounding, than components."""
    from scipy.sparse.csgraph import connected_components

    components = int(connected_components(matrix, directed=False)[0])
    count = num_below(matrix, spectrum, ROUNDING * scale_of(matrix))
    if count > components:
        raise ValueError(
            f"faces: {count} eigenvalues are 0 to rounding and the mesh has {components} component(s), "
            "because some triangles are so much smaller or thinner than others; "
            "make the mesh more even, or use laplacian='robust' for needles."
        )


def _thresholds(masses: Float[np.ndarray, " n"]) -> UInt[np.ndarray, " n-1"]:
    """2^32 times the cumulated probabilities: how many are at most 32 random bits is a vertex."""
    cumulated = np.cumsum(masses[:-1]) / masses.sum()
    return np.minimum(np.rint(cumulated * 2.0**32), 2.0**32 - 1).astype(np.uint32)
