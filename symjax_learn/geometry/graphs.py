"""The space of all graphs on n nodes: a hypercube with one coordinate for each pair of nodes."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, FloatArray, Key, as_array, checked_count, is_traced
from symjax_learn.geometry.hypercube import CharacterKernels, Characters, Hypercube, signs
from symjax_learn.geometry.spaces import (
    AbstractFunctions,
    AbstractKernels,
    AbstractSpace,
    Level,
    check_finite,
    checked_points,
    flatten_points,
)


class GraphCharacters(AbstractFunctions):
    """χ_E(A) = Π_{{i, j} ∈ E} A_ij for sets E of pairs of nodes; the upper triangle is read.

    Attributes:
        characters: of the hypercube of pairs.
        pairs: the place n·i + j of each pair i < j in a matrix.
    """

    characters: Characters
    pairs: Int[Array, " e"]
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """That of the characters."""
        return self.characters.width

    def rows(self, points: Float[Array, "batch n n"]) -> Float[Array, "D batch"]:
        """``(batch, n, n) -> (num_functions, batch)``. Cost: one product for each character."""
        return self.characters.rows(points.reshape(len(points), -1)[:, self.pairs])


class GraphKernels(AbstractKernels):
    """K_s(A, B) = Σ_{|E| = s} Π_{{i, j} ∈ E} A_ij B_ij; the upper triangles are read.

    Attributes:
        characters: of the hypercube of pairs.
        pairs: the place n·i + j of each pair i < j in a matrix.
    """

    characters: CharacterKernels
    pairs: Int[Array, " e"]

    @property
    def num_levels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the hypercube."""
        return self.characters.num_levels

    @property
    def width(self) -> int:
        """That of the hypercube."""
        return self.characters.width

    def rows(self, x: Float[Array, "*left n n"], y: Float[Array, "*right n n"]) -> Array:
        """``(*batch, n, n)`` twice ``-> (num_levels, *batch)``."""
        x, y = (points.reshape(*points.shape[:-2], -1)[..., self.pairs] for points in (x, y))
        return self.characters.rows(x, y)


class Graphs(AbstractSpace):
    """All graphs on n nodes: symmetric n × n matrices, ±1 off the diagonal and 0 on it.

    An edge is +1, and a pair without an edge −1. A finite space: its dimension is 0, its volume the
    number 2^{n(n−1)/2} of its points, which are neighbours where one edge differs. Eigenfunctions of
    the graph Laplacian: χ_E(A) = Π_{{i, j} ∈ E} A_ij for sets E of pairs, of eigenvalue 2|E| and
    multiplicity C(n(n−1)/2, |E|), orthonormal for the uniform probability measure (each edge by a fair
    coin). Pairs are ordered (0, 1), (0, 2), …, (n − 2, n − 1), and sets of one size lexicographically.

    Args:
        num_nodes: n ≥ 2.

    >>> import symjax_learn as sj
    >>> [(level.eigenvalue, level.multiplicity) for level in sj.Graphs(4).levels(4)]
    [(0.0, 1), (2.0, 6), (4.0, 15)]
    """

    num_nodes: int = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __init__(self, num_nodes: int):
        """Refuse what has no edges."""
        self.num_nodes = checked_count("num_nodes", num_nodes, least=2)
        self.dimension = 0

    @property
    def point_shape(self) -> tuple[int, ...]:
        """``(num_nodes, num_nodes)``."""
        return (self.num_nodes, self.num_nodes)

    @property
    def pairs(self) -> Hypercube:
        """The hypercube with one coordinate for each pair of nodes."""
        return Hypercube(self.num_nodes * (self.num_nodes - 1) // 2)

    @property
    def cardinality(self) -> int:
        """2^{n(n−1)/2}."""
        return self.pairs.cardinality

    @property
    def volume(self) -> float:
        """The number of graphs; infinite where that is no float."""
        return self.pairs.volume

    @property
    def log_volume(self) -> float:
        """n(n − 1)/2 · log 2."""
        return self.pairs.log_volume

    def levels(self, max_eigenvalue: float) -> list[Level]:
        """Levels with λ ≤ max_eigenvalue; the key is |E|. No set is enumerated."""
        return self.pairs.levels(max_eigenvalue)

    def functions(self, levels: Sequence[Level]) -> GraphCharacters:
        """The characters of these levels.

        Raises:
            ValueError: they do not fit into memory.
        """
        characters = self.pairs.functions(levels)
        return GraphCharacters(
            characters=characters,
            pairs=self._places(),
            num_functions=characters.num_functions,
        )

    def kernels(self, levels: Sequence[Level]) -> GraphKernels:
        """Those of the hypercube of pairs: no set is enumerated."""
        return GraphKernels(self.pairs.kernels(levels), self._places())  # pyright: ignore[reportCallIssue]

    def _places(self) -> Int[Array, " e"]:
        i, j = np.triu_indices(self.num_nodes, 1)
        return jnp.asarray(self.num_nodes * i + j, jnp.int32)

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "*batch n n"]:
        """Uniform graphs: each edge by a fair coin."""
        i, j = np.triu_indices(self.num_nodes, 1)
        upper = jnp.zeros((*shape, *self.point_shape)).at[..., i, j].set(self.pairs.sample(key, shape))
        return upper + upper.mT

    def check(self, points: AnyArray) -> None:
        """Symmetric, 0 on the diagonal, and exactly 1 or −1 off it."""
        values = np.asarray(flatten_points(self, points, "points")[0])
        check_finite(values, "points")
        _check_matrices("points", values, (-1, 1), "use from_adjacency for 0/1 adjacency matrices")

    def project(self, points: FloatArray) -> Float[Array, "*batch n n"]:
        """The sign of A + Aᵀ off the diagonal, 1 for 0, from which both are equally far; NaN stays."""
        points = checked_points(self, points, "points")
        nearest = self._without_diagonal(signs(points / 2 + points.mT / 2))
        return jnp.where(jnp.isnan(points), points, nearest)

    def from_adjacency(self, adjacency: AnyArray) -> Float[Array, "*batch n n"]:
        """The points of 0/1 adjacency matrices: 2A − 1 off the diagonal, so that an edge is +1.

        Args:
            adjacency: ``(*batch, n, n)``, booleans, integers or floating-point numbers; symmetric, 0 on
                the diagonal. Values are checked outside a trace only.

        Returns:
            ``(*batch, n, n)`` in the dtype of a floating-point ``adjacency``, else in the default one.

        Raises:
            TypeError: another dtype.
            ValueError: a shape or a value that is none of an adjacency matrix.

        >>> import symjax_learn as sj, jax.numpy as jnp
        >>> path = jnp.asarray([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
        >>> sj.Graphs(3).from_adjacency(path)[0].tolist()
        [0.0, 1.0, -1.0]
        """
        matrices = as_array("adjacency", adjacency)
        if matrices.dtype.kind in "biu":
            matrices = matrices.astype(jnp.result_type(float))
        matrices = checked_points(self, matrices, "adjacency")
        if not is_traced(matrices):
            values = np.asarray(matrices).reshape(-1, *self.point_shape)
            _check_matrices("adjacency", values, (0, 1), "it has 0 and 1 only")
        return self._without_diagonal(2 * matrices - 1)

    def to_adjacency(self, points: FloatArray) -> Float[Array, "*batch n n"]:
        """The 0/1 adjacency matrices of points: (A + 1)/2 off the diagonal.

        Args:
            points: ``(*batch, n, n)``; their values are not checked.

        >>> import symjax_learn as sj, jax
        >>> space = sj.Graphs(4)
        >>> graphs = space.sample(jax.random.key(0), (5,))
        >>> bool((space.from_adjacency(space.to_adjacency(graphs)) == graphs).all())
        True
        """
        points = checked_points(self, points, "points")
        return self._without_diagonal((points + 1) / 2)

    def _without_diagonal(self, matrices: Array) -> Array:
        diagonal = jnp.broadcast_to(jnp.eye(self.num_nodes, dtype=bool), matrices.shape)
        return jnp.where(diagonal, 0, matrices)


def _check_matrices(
    name: str, values: Float[np.ndarray, "batch n n"], entries: tuple[int, int], remedy: str
) -> None:
    """Refuse matrices with other entries off the diagonal, with a diagonal, or not symmetric."""
    here = np.eye(values.shape[-1], dtype=bool)
    for bad, what in (
        (here & (values != 0), "is not 0 on the diagonal; a graph has no loops"),
        (
            ~here & ~np.isin(values, entries),
            f"is neither {entries[0]} nor {entries[1]} off the diagonal; {remedy}",
        ),
        (values != values.mT, "differs from the entry across the diagonal; edges have no direction"),
    ):
        if bad.any():
            row, i, j = np.argwhere(bad)[0]
            raise ValueError(f"{name}: row {row} has {values[row, i, j]} at ({i}, {j}), which {what}.")
