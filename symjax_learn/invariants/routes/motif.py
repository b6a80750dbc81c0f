"""Route ``motif``: invariants of graphs under all permutations of the nodes, by copies of small graphs.

An orbit of characters χ_E is an isomorphism class of edge sets E, so that neither n! nor the number of
edge sets occurs.
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn.algebra.motifs import (
    MAX_EDGES,
    Motifs,
    motif_classes,
    motif_columns,
    working_entries,
)
from symjax_learn.geometry.graphs import Graphs
from symjax_learn.geometry.separable import integer_keys
from symjax_learn.geometry.spaces import AbstractSetFunctions, Level, PaddedSets, size_factors
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import Invariants
from symjax_learn.invariants.characters import is_symmetric

# A function of m ≤ 6 edges costs about this part of a product of two matrices.
_PRODUCTS_EACH = 10


class MotifFunctions(AbstractSetFunctions):
    """φ_H(A) = s_H/√N_H, s_H the sum over the copies of H in the complete graph of Π_{edges ij} A_ij.

    Attributes:
        index: the motifs, and what it takes to evaluate them.
        places: of the motif of each function, ``(D,)``.
        num_nodes: n.
    """

    index: Motifs
    places: Int[Array, " D"]
    num_nodes: int = eqx.field(static=True)
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """The matrices that are kept to evaluate the motifs."""
        return working_entries(self.num_nodes)

    def set_size(self, shape: tuple[int, ...]) -> int | None:
        """The nodes of a square matrix."""
        return shape[0] if len(shape) == 2 and shape[0] == shape[1] else None

    def rows(self, points: Float[Array, "batch n n"] | PaddedSets) -> Float[Array, "D batch"]:
        """``(batch, n, n) -> (num_functions, batch)``. Cost: see ``motif_functions``."""
        if not isinstance(points, PaddedSets):
            return motif_columns(self.index, points, None, True)[self.places]
        values = motif_columns(self.index, points.points, points.present, True)[self.places]
        vertices = np.asarray([motif.num_vertices for motif in self.index.records])
        # Those of motifs with more vertices than nodes are not read.
        sizes = np.minimum(vertices, self.num_nodes)
        counts = points.present.sum(axis=1, dtype=jnp.int32)
        factors = size_factors(
            self.num_nodes, counts, int(sizes.max()), points.normalization, values.dtype
        )
        return values * factors[jnp.asarray(sizes, jnp.int32)[self.places]]


def graph_products(action: Action, levels: Sequence[Level]) -> int:
    """How many products a function costs, about; 0 beyond six edges, or where nodes are not alike."""
    space = action.space
    if not isinstance(space, Graphs) or not is_symmetric(action.group):
        return 0
    if levels and max(integer_keys(levels, "Graphs")) > MAX_EDGES:
        return 0
    return 1 + space.num_nodes**3 // _PRODUCTS_EACH


def motif_invariants(action: Action, levels: Sequence[Level], _: object) -> Invariants:
    """The motifs with as many edges as the levels, and no more vertices than there are nodes."""
    space = action.space
    assert isinstance(space, Graphs)
    eigenvalues = dict(
        zip(integer_keys(levels, "Graphs"), (level.eigenvalue for level in levels), strict=True)
    )
    index = motif_classes(max(eigenvalues))
    kept = [i for i, motif in enumerate(index.records) if motif.num_vertices <= space.num_nodes]
    table = MotifFunctions(
        index=index,
        places=jnp.asarray(kept, jnp.int32),
        num_nodes=space.num_nodes,
        num_functions=len(kept),
    )
    values = [eigenvalues[len(index.records[i].edges)] for i in kept]
    return Invariants(table, np.asarray(values))
