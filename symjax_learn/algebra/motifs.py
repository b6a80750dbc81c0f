"""Sums over the copies of every small graph in a graph: the invariants of S_n on symmetric matrices.

A motif H, a graph with v vertices and none of them isolated, stands for the function of a symmetric
matrix A, whose diagonal is not read,

    s_H(A) = Σ over subgraphs of K_n isomorphic to H of Π_{edges ij} A_ij = inj_H(A)/|Aut H|,

inj_H the sum over injective maps of the vertices. For 0/1 adjacency matrices it counts the copies of H.
For independent entries of mean 0 and variance 1, fair signs for example, the functions s_H/√N_H are
orthonormal, with N_H = n!/((n − v)! |Aut H|) the number of those subgraphs of K_n.
"""

import importlib.resources
import json
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from symjax_learn._chunks import CHUNK_ENTRIES, map_columns
from symjax_learn._types import AnyArray, as_array, checked_count
from symjax_learn.algebra.homomorphisms import Operation, rooted_sums

# Of the largest motifs in the table. K_4 is the only one that no elimination of vertices evaluates.
MAX_EDGES = 6
# Entries of the matrices of one chunk of graphs: few enough for the cache.
_CHUNK_ENTRIES = 2**17


class Motif(NamedTuple):
    """An isomorphism class of graphs without isolated vertices.

    Attributes:
        edges: of one graph of the class, pairs u < v of the vertices 0, 1, …
        num_vertices: v.
        num_automorphisms: |Aut H|.
    """

    edges: tuple[tuple[int, int], ...]
    num_vertices: int
    num_automorphisms: int


class Gluing(NamedTuple):
    """What it takes to compute inj_P of patterns P with one component more than those before.

    Attributes:
        first, rest: places of two patterns; P is their disjoint union.
        glued: in how many ways identifying vertices of the two makes each pattern before.
    """

    first: Int[np.ndarray | Array, " p"]
    rest: Int[np.ndarray | Array, " p"]
    glued: Int[np.ndarray | Array, "p before"]


class Motifs(eqx.Module):
    """All motifs up to a number of edges, and what it takes to evaluate them together.

    Patterns are motifs that may have parallel edges: the empty one, the connected ones, and by levels
    those of 2, 3, … components.

    Attributes:
        injective: integers c with inj_P = Σ_Q c_PQ hom_Q for connected patterns.
        levels: inj of the others.
        places: of the motifs among the patterns.
        records: the motifs, by edges, then vertices; the empty one first.
        operations, rooted: the evaluation of hom_Q, see ``homomorphisms``.
    """

    injective: Int[np.ndarray | Array, "c c"]
    levels: tuple[Gluing, ...]
    places: Int[np.ndarray | Array, " motifs"]
    records: tuple[Motif, ...] = eqx.field(static=True)
    operations: tuple[Operation, ...] = eqx.field(static=True)
    rooted: tuple[int, ...] = eqx.field(static=True)

    @property
    def num_motifs(self) -> int:
        """The number of functions."""
        return len(self.records)


def motif_classes(max_edges: int) -> Motifs:
    """The isomorphism classes of graphs with at most ``max_edges`` edges and no isolated vertex.

    With 0, 1, …, 6 edges there are 1, 1, 2, 5, 11, 26, 68. They are read from a table in the package,
    which ``python -m symjax_learn.algebra.motif_tables`` makes.

    Args:
        max_edges: at most 6.

    Raises:
        ValueError: more than 6 edges.

    >>> from symjax_learn.algebra.motifs import motif_classes
    >>> for motif in motif_classes(2).records:
    ...     motif.edges, motif.num_automorphisms
    ((), 1)
    (((0, 1),), 2)
    (((0, 1), (0, 2)), 2)
    (((0, 1), (2, 3)), 8)
    """
    most = checked_count("max_edges", max_edges, 0)
    if most > MAX_EDGES:
        raise ValueError(f"max_edges: expected at most {MAX_EDGES} and got {most}; lower it.")
    source = importlib.resources.files("symjax_learn.algebra") / "motif_tables.json"
    table = json.loads(source.read_text())
    kept = [i for i, pattern in enumerate(table["patterns"]) if len(pattern["edges"]) <= most]
    place = {old: new for new, old in enumerate(kept)}
    patterns = [table["patterns"][old] for old in kept]
    connected = [pattern for pattern in patterns if "rooted" in pattern]
    rooted = tuple(pattern["rooted"] for pattern in connected)
    levels, start = [], 1 + len(connected)
    while start < len(patterns):  # the rest of each is among those before
        level = [p for p in patterns[start:] if place[p["rest"]] < start]
        levels.append(
            Gluing(
                first=jnp.asarray([place[pattern["first"]] for pattern in level]),
                rest=jnp.asarray([place[pattern["rest"]] for pattern in level]),
                glued=_dense([pattern["terms"] for pattern in level], place, start),
            )
        )
        start += len(level)
    records = {i: _record(p["edges"], p["automorphisms"]) for i, p in enumerate(patterns)}
    simple = [i for i, one in records.items() if len(set(one.edges)) == len(one.edges)]
    simple.sort(key=lambda i: (len(records[i].edges), records[i].num_vertices))
    return Motifs(
        injective=_dense([pattern["terms"] for pattern in connected], place, 1 + len(connected))[:, 1:],
        levels=tuple(levels),
        places=jnp.asarray(simple),
        records=tuple(records[i] for i in simple),
        operations=tuple(Operation(*row) for row in table["operations"][: max(rooted, default=0)]),
        rooted=rooted,
    )


def _dense(
    rows: list[list[list[int]]], place: dict[int, int], num_columns: int
) -> Int[Array, "rows columns"]:
    """Terms (place in the file, integer) as a matrix."""
    matrix = np.zeros((len(rows), num_columns), np.int32)
    for row, terms in zip(matrix, rows, strict=True):
        for column, coefficient in terms:
            row[place[column]] = coefficient
    return jnp.asarray(matrix)


def _record(edges: list[list[int]], num_automorphisms: int) -> Motif:
    num_vertices = 1 + max((v for _, v in edges), default=-1)
    return Motif(tuple((u, v) for u, v in edges), num_vertices, num_automorphisms)


def motif_functions(
    index: Motifs,
    adjacency: AnyArray,
    *,
    mask: AnyArray | None = None,
    normalized: bool = True,
) -> Float[Array, "*batch motifs"]:
    """s_H(A)/√N_H for every motif H, or s_H(A) itself, from symmetric matrices A.

    For connected multigraphs inj_P = Σ_π μ(π) hom_{P/π} over the partitions of the vertices, where m
    parallel edges stand for A_ij^m; hom by eliminating vertices; disconnected motifs from products,
    corrected for vertices in common (see ``motif_tables``). So the answer is the polynomial s_H for any
    real A, affine in every A_ij; for signs A_ij^m is A_ij or, for even m, 1 off the diagonal.

    Args:
        index: the motifs.
        adjacency: ``(*batch, n, n)``: A. The diagonal is not read; of a matrix that is not symmetric the
            symmetric part is taken.
        mask: ``(*batch, n)``, whether a node is there: graphs of unequal size, n their own. Entries of
            absent nodes are not read.
        normalized: divide by √N_H.

    Returns:
        ``(*batch, num_motifs)`` in the dtype of ``adjacency``; 0 where n < v.

    Raises:
        ValueError: shapes that do not fit.
        TypeError: an adjacency that is not of floating-point numbers.

    Cost: for each graph n² for a forest, n⁴ for K_4 and n³ for any other motif; all together up to 4, 5,
    6 edges 1, 3, 7 products of matrices (and K_4), and 15, 34, 81 passes over n² entries. Memory is one
    chunk of graphs, also in a reverse pass. For random signs the error in float32 is below 1e-4 up to
    n = 1000 with 5 edges, and up to n = 200 with 6.

    References:
        L. Lovász, *Large networks and graph limits*, 2012, ch. 5.

    >>> from symjax_learn.algebra.motifs import motif_classes, motif_functions
    >>> import jax.numpy as jnp
    >>> square = jnp.asarray([[0.0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    >>> motif_functions(motif_classes(2), square, normalized=False).tolist()  # 2 matchings, the last
    [1.0, 4.0, 4.0, 2.0]
    """
    values = jnp.asarray(as_array("adjacency", adjacency))
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise TypeError(f"adjacency: expected floating-point numbers and got {values.dtype}.")
    if values.ndim < 2 or values.shape[-1] != values.shape[-2] or values.shape[-1] == 0:
        raise ValueError(
            f"adjacency: expected shape (*batch, n, n) with at least one node and got {values.shape}."
        )
    *batch, n, _ = values.shape
    present = None
    if mask is not None:
        present = jnp.asarray(mask).astype(bool)
        if present.shape != (*batch, n):
            raise ValueError(f"mask: expected shape {(*batch, n)} and got {present.shape}.")
        present = present.reshape(math.prod(batch), n)
    flat = values.reshape(math.prod(batch), n, n)
    return _evaluate(index, flat, present, normalized).reshape(*batch, index.num_motifs)


def working_entries(num_nodes: int) -> int:
    """Entries of working memory for each graph of so many nodes: those of the cache for one chunk."""
    return CHUNK_ENTRIES // max(1, _CHUNK_ENTRIES // num_nodes**2)


@eqx.filter_jit
def _evaluate(index: Motifs, matrices: Array, present: Array | None, normalized: bool) -> Array:
    def columns(chunk: tuple[Array, Array | None]) -> Array:
        return motif_columns(index, *chunk, normalized)

    chunk = max(1, _CHUNK_ENTRIES // matrices.shape[1] ** 2)
    return map_columns(columns, (matrices, present), chunk).T


def motif_columns(
    index: Motifs,
    matrices: Float[Array, "batch n n"],
    present: Bool[Array, "batch n"] | None,
    normalized: bool,
) -> Float[Array, "motifs batch"]:
    """One chunk of :func:`motif_functions`, motifs first."""
    batch, n, _ = matrices.shape
    counts = jnp.full(batch, n) if present is None else present.sum(axis=-1)
    if present is not None:
        matrices = jnp.where(present[:, :, None] & present[:, None, :], matrices, 0.0)
    # s_H is homogeneous: A/n keeps large graphs in range, and a power of two keeps integers exact.
    scale = 2.0 ** -(n - 1).bit_length()
    with jax.default_matmul_precision("highest"):
        symmetric = (matrices + matrices.mT) * (scale / 2)
        sums = _injective_sums(index, jnp.where(np.eye(n, dtype=bool)[None], 0.0, symmetric))
    return sums * _factors(index, counts, scale, normalized, sums.dtype)


def _injective_sums(index: Motifs, matrices: Array) -> Array:
    """inj_H, ``(motifs, batch)``, of symmetric matrices with zero diagonal."""
    dtype = matrices.dtype
    patterns = jnp.ones((1, matrices.shape[0]), dtype)
    if index.rooted:
        rooted = rooted_sums(index.operations, index.rooted, matrices)
        # Combined at each vertex, before the sum over vertices: there the large terms cancel.
        at_vertices = jnp.einsum("pq,qbi->pbi", index.injective.astype(dtype), rooted)
        patterns = jnp.concatenate([patterns, at_vertices.sum(axis=-1)])
    for level in index.levels:
        products = patterns[level.first] * patterns[level.rest]
        patterns = jnp.concatenate([patterns, products - level.glued.astype(dtype) @ patterns])
    return patterns[index.places]


def _factors(index: Motifs, counts: Array, scale: float, normalized: bool, dtype: Any) -> Array:
    """What turns inj_H(scale·A) into the answer, ``(motifs, batch)``."""
    sizes = np.asarray([motif.num_vertices for motif in index.records])
    orders = np.asarray([motif.num_automorphisms for motif in index.records], float)
    powers = scale ** -np.asarray([len(motif.edges) for motif in index.records], float)
    roots = [jnp.ones(counts.shape, dtype)]
    for size in range(sizes.max()):  # √((n − v)!/n!), or 1; 0 beyond n
        left = counts - size
        divisor = jnp.sqrt(jnp.maximum(left, 1).astype(dtype)) if normalized else jnp.ones((), dtype)
        roots.append(jnp.where(left > 0, roots[-1] / divisor, 0.0))
    weights = powers / (np.sqrt(orders) if normalized else orders)
    return jnp.stack(roots)[sizes] * jnp.asarray(weights, dtype)[:, None]
