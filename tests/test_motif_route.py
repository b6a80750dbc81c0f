"""The route ``motif`` where no other reaches, and on graphs of unequal size."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import EXACT, X64


def _copies(matrix, edges, num_vertices):
    """Σ over the copies of a small graph in a complete one of Π_edges A_ij, by all injective maps."""
    found = {}
    for place in itertools.permutations(range(len(matrix)), num_vertices):
        copy = frozenset(frozenset((place[u], place[v])) for u, v in edges)
        found[copy] = math.prod(matrix[place[u], place[v]] for u, v in edges)
    return sum(found.values()), len(found)


def _expected(basis, matrix, num_nodes, normalization):
    """The functions of one graph by brute force, from graphs of ``num_nodes`` to its own size."""
    columns = []
    for place in np.asarray(basis.functions.places):
        motif = basis.functions.index.records[place]
        total, copies = _copies(matrix, motif.edges, motif.num_vertices)
        whole = math.perm(num_nodes, motif.num_vertices) / motif.num_automorphisms
        if normalization == "mean":
            columns.append(math.sqrt(whole) * total / copies if copies else 0.0)
        else:
            columns.append(total / math.sqrt(whole))
    return np.asarray(columns)


@pytest.mark.parametrize("normalization", ["mean", "sum"])
def test_graphs_of_unequal_size(normalization):
    """By all maps of nodes; what is absent is NaN, and the order of the nodes any."""
    space, n = sj.Graphs(5), 5
    basis = sj.invariant_basis(space, sj.symmetric_group(n), max_eigenvalue=6, route="motif")
    basis = dataclasses.replace(basis, normalization=normalization)
    sizes = np.asarray([1, 2, 3, 5, 6])
    graphs = np.asarray(sj.Graphs(6).sample(jax.random.key(0), (len(sizes),)))
    mask = np.arange(6)[None] < sizes[:, None]
    padded = np.where(mask[:, :, None] & mask[:, None], graphs, np.nan)
    order = np.asarray([3, 0, 5, 1, 4, 2])
    features = basis(padded[:, order][:, :, order], mask[:, order])
    for size, graph, row in zip(sizes, graphs, np.asarray(features), strict=True):
        expected = _expected(basis, graph[:size, :size], n, normalization)
        np.testing.assert_allclose(row, expected, atol=1e3 * EXACT)
    np.testing.assert_allclose(basis(graphs)[-1], features[-1], atol=1e3 * EXACT)


def test_two_hundred_nodes():
    """|G| = 200!: 114 of about 10^24 functions, orthonormal and blind to the order."""
    space = sj.Graphs(200)
    basis = sj.invariant_basis(space, sj.symmetric_group(200), max_eigenvalue=12)
    assert (basis.route, basis.num_functions) == ("motif", 1 + 1 + 2 + 5 + 11 + 26 + 68)
    assert basis.num_ambient == sum(math.comb(19900, m) for m in range(7))
    graphs = space.sample(jax.random.key(0), (2,))
    order = jax.random.permutation(jax.random.key(1), 200)
    features = basis(graphs)
    scale = float(jnp.abs(features).max())
    shuffled = basis(graphs[:, order][:, :, order])
    np.testing.assert_allclose(shuffled, features, atol=scale * (1e-10 if X64 else 1e-4))


def test_orthonormal_over_all_graphs():
    """All 2^15 graphs of six nodes; with as many functions as Burnside counts."""
    space = sj.Graphs(6)
    basis = sj.invariant_basis(space, sj.symmetric_group(6), max_eigenvalue=12, route="motif")
    upper = np.triu_indices(6, 1)
    signs = 1.0 - 2 * (np.arange(2**15)[:, None] >> np.arange(15) & 1)
    graphs = np.zeros((2**15, 6, 6))
    graphs[:, upper[0], upper[1]] = signs
    features = np.asarray(basis(graphs + graphs.mT), float)
    gram = features.T @ features / len(features)
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=100 * EXACT)
    assert basis.num_functions == 1 + 1 + 2 + 5 + 9 + 15 + 21  # graphs of six nodes by edges


def test_a_model_counts_triangles_of_graphs_of_any_size(tmp_path):
    """Fitted on graphs of unequal size; the number of triangles is a sum over copies."""
    space = sj.Graphs(8)
    basis = sj.invariant_basis(space, sj.symmetric_group(8), max_eigenvalue=6, route="motif")
    basis = dataclasses.replace(basis, normalization="sum")
    key = jax.random.key(0)
    mask = jnp.arange(8)[None] < jax.random.randint(key, (80, 1), 3, 9)
    graphs = space.sample(key, (80,))
    padded = jnp.where(mask[:, :, None] & mask[:, None], graphs, jnp.nan)

    def signed_triangles(graph):
        return jnp.einsum("...ij,...jk,...ki->...", graph, graph, graph) / 6

    present = jnp.where(jnp.isnan(padded), 0.0, padded)
    model = sj.fit_ridge(basis, padded, signed_triangles(present), mask=mask)
    large = sj.Graphs(20).sample(jax.random.key(1), (5,))
    np.testing.assert_allclose(model(large), signed_triangles(large), rtol=1e-7 if X64 else 2e-2)
    sj.save(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(large), model(large))


def test_slopes_are_finite_where_motifs_are_larger_than_the_graphs():
    """Six nodes where the basis is of three: motifs of four vertices are no functions of it."""
    basis = sj.invariant_basis(sj.Graphs(3), sj.symmetric_group(3), max_eigenvalue=6, route="motif")
    graph = sj.Graphs(6).sample(jax.random.key(0))
    slope = jax.grad(lambda graph: basis(graph)[1])(graph)
    assert bool(jnp.isfinite(slope).all())
    expected = np.asarray(basis(graph + 0.5 * (1 - jnp.eye(6))) - basis(graph))[1]
    np.testing.assert_allclose(0.5 * slope.sum(), expected, rtol=1e-4)


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    space, group = sj.Graphs(20), sj.symmetric_group(20)
    with pytest.raises(ValueError, match=r"route: 'motif' needs all permutations .*at most 6 edges"):
        sj.invariant_basis(space, group, max_eigenvalue=14, route="motif")
    with pytest.raises(ValueError, match=r"route: 'motif' needs all permutations .*use 'orbits'"):
        sj.invariant_basis(space, sj.cyclic_group(20), max_eigenvalue=4, route="motif")
    basis = sj.invariant_basis(space, group, max_eigenvalue=4, route="motif")
    graphs = np.asarray(space.sample(jax.random.key(0), (4,)))
    mask = np.arange(20)[None] < np.asarray([20, 20, 10, 20])[:, None]
    for place, entry in (((2, 3, 3), 1.0), ((2, 3, 4), 0.5)):
        bad = graphs.copy()
        bad[place] = entry
        with pytest.raises(ValueError, match=rf"x: row 2 has {entry} at \(3, {place[2]}\)"):
            sj.fit_ridge(basis, bad, np.zeros(4), mask=mask, penalty=1.0)
    with pytest.raises(ValueError, match=r"mask: expected booleans of shape \(4, 20\)"):
        basis(graphs, mask[:, :19])
