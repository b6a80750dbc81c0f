"""Motifs: against sums over injective maps, elementary symmetric polynomials, and known counts."""

import importlib.resources
import itertools
import math
from collections import Counter

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from symjax_learn.algebra.homomorphisms import Elimination, rooted_sums
from symjax_learn.algebra.motif_tables import connected_patterns, num_vertices, tables, written
from symjax_learn.algebra.motifs import motif_classes, motif_functions
from tests.registry import X64

INDEX = motif_classes(6)
SMALL = motif_classes(3)
ACCURACY = 1e-12 if X64 else 1e-5


def symmetric(batch, n, seed, signs=False):
    """Symmetric matrices with zero diagonal: normal entries, or signs."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(batch, n, n)), 1)
    return symmetrized(np.sign(upper) if signs else upper)


def symmetrized(upper):
    return jnp.asarray(upper + upper.swapaxes(-1, -2), float)


def copies(motif, n):
    """n!/((n − v)! |Aut|), the subgraphs of K_n isomorphic to it."""
    placements = math.perm(n, motif.num_vertices)
    assert placements % motif.num_automorphisms == 0
    return placements // motif.num_automorphisms


def by_injective_maps(motif, matrix):
    """s_H as its definition: Σ over injective maps of Π A_ij, over |Aut H|."""
    maps = np.asarray(list(itertools.permutations(range(len(matrix)), motif.num_vertices)), int)
    factors = [matrix[maps[:, u], maps[:, v]] for u, v in motif.edges]
    return np.prod(factors, axis=0).sum() / motif.num_automorphisms if factors else 1.0


def cycle(n):
    return sorted(tuple(sorted((i, (i + 1) % n))) for i in range(n))


def functions(matrices):
    """s_H/√N_H by one compiled program: at most 1024 graphs, padded to 14 nodes."""
    batch, n, _ = matrices.shape
    padded = jnp.zeros((1024, 14, 14)).at[:batch, :n, :n].set(matrices)
    mask = jnp.zeros((1024, 14), bool).at[:batch, :n].set(True)
    return np.asarray(motif_functions(INDEX, padded, mask=mask)[:batch], float)


def sums(matrices):
    """s_H."""
    n = matrices.shape[-1]
    return functions(matrices) * [math.sqrt(copies(motif, n)) for motif in INDEX.records]


def place_of(edges):
    """The motif isomorphic to a graph, among those of the same degrees by trying all relabellings."""
    n = 1 + max(v for edge in edges for v in edge)
    target = {tuple(sorted(edge)) for edge in edges}
    for i, motif in enumerate(INDEX.records):
        if motif.num_vertices == n and len(motif.edges) == len(edges):
            for image in itertools.permutations(range(n)):
                if {tuple(sorted((image[u], image[v]))) for u, v in motif.edges} == target:
                    return i
    raise AssertionError(f"{edges} is missing")


def test_as_many_classes_as_there_are_graphs_with_so_many_edges():
    """OEIS A000664."""
    sizes = [len(motif.edges) for motif in INDEX.records]
    assert sizes == sorted(sizes)
    assert [sizes.count(e) for e in range(7)] == [1, 1, 2, 5, 11, 26, 68]
    for most in range(7):
        assert motif_classes(most).records == tuple(m for m in INDEX.records if len(m.edges) <= most)


@pytest.mark.parametrize("n", [3, 5, 12, 200])
def test_copies_of_all_classes_are_all_subgraphs(n):
    """With the number of classes it proves that they are all, and |Aut| right on average."""
    for e in range(7):
        total = sum(copies(motif, n) for motif in INDEX.records if len(motif.edges) == e)
        assert total == math.comb(math.comb(n, 2), e)


def test_automorphisms_by_trying_all_permutations():
    for motif in INDEX.records:
        if motif.num_vertices > 6:
            continue
        edges = {frozenset(edge) for edge in motif.edges}
        kept = sum(
            {frozenset((g[u], g[v])) for u, v in motif.edges} == edges
            for g in itertools.permutations(range(motif.num_vertices))
        )
        assert kept == motif.num_automorphisms


def test_the_stored_table_is_what_the_program_makes():
    source = importlib.resources.files("symjax_learn.algebra") / "motif_tables.json"
    assert source.read_text() == written(tables())


def test_connected_multigraphs_are_as_many_as_published():
    """OEIS A076864: connected loopless multigraphs by edges."""
    sizes = Counter(map(len, connected_patterns(6)))
    assert [sizes[e] for e in range(1, 7)] == [1, 2, 5, 12, 33, 103]


def test_sums_over_all_maps():
    """Every connected multigraph with up to six edges on three points; 7 products of matrices in all."""
    patterns = connected_patterns(6)
    plan = Elimination()
    rooted = [plan.add(edges) for edges in patterns]
    assert sum(name == "product" for name, *_ in plan.operations) <= 7
    matrix = np.random.default_rng(0).normal(size=(3, 3))
    matrix = matrix + matrix.T
    found = np.asarray(rooted_sums(plan.operations, rooted, jnp.asarray(matrix, float))).sum(axis=-1)
    for edges, value in zip(patterns, found, strict=True):
        maps = np.asarray(list(itertools.product(range(3), repeat=num_vertices(edges))))
        expected = np.prod([matrix[maps[:, u], maps[:, v]] for u, v in edges], axis=0).sum()
        assert value == pytest.approx(expected, rel=100 * ACCURACY, abs=1e3 * ACCURACY)


def test_values_are_sums_over_injective_maps():
    """n = 6; signs, and any real matrix."""
    matrices = jnp.concatenate([symmetric(1, 6, 0, signs=True), symmetric(1, 6, 1)])
    for matrix, found in zip(np.asarray(matrices, float), functions(matrices), strict=True):
        for motif, value in zip(INDEX.records, found, strict=True):
            if motif.num_vertices > 6:
                assert value == 0
                continue
            expected = by_injective_maps(motif, matrix) / math.sqrt(copies(motif, 6))
            assert value == pytest.approx(expected, abs=10 * ACCURACY * (1 + abs(expected)))


def test_motifs_of_every_size_by_identities():
    """Σ_H s_H = e_k of all entries; √N_H on the complete graph; matchings of a cycle."""
    n = 14
    ring = np.zeros((n, n))
    for u, v in cycle(n):
        ring[u, v] = 1
    matrices = jnp.concatenate(
        [symmetric(1, n, 2), symmetrized(np.triu(np.ones((1, n, n)), 1)), symmetrized(ring)[None]]
    )
    found = sums(matrices)
    sizes = np.asarray([len(motif.edges) for motif in INDEX.records])
    elementary = np.zeros(7)
    elementary[0] = 1
    for entry in np.asarray(matrices[0], float)[np.triu_indices(n, 1)]:
        elementary[1:] += entry * elementary[:-1]
    for k in range(7):
        terms = found[0, sizes == k]
        assert terms.sum() == pytest.approx(elementary[k], abs=10 * ACCURACY * np.abs(terms).sum())
    expected = [copies(motif, n) for motif in INDEX.records]
    np.testing.assert_allclose(found[1], expected, rtol=10 * ACCURACY)
    for k in range(1, 7):
        (matching,) = [i for i in np.flatnonzero(sizes == k) if INDEX.records[i].num_vertices == 2 * k]
        count = n * math.comb(n - k, k) // (n - k)
        assert found[2, matching] == pytest.approx(count, abs=1e4 * ACCURACY)


def test_counts_of_subgraphs_of_the_petersen_graph():
    """Girth 5: 12 pentagons, 10 hexagons; 30 paths of two edges, 10 claws."""
    pairs = list(itertools.combinations(range(5), 2))
    disjoint = [[float(not set(a) & set(b)) for b in pairs] for a in pairs]
    counts = sums(jnp.asarray(disjoint)[None])[0]
    for edges, count in [
        (cycle(3), 0),
        (cycle(4), 0),
        (cycle(5), 12),
        (cycle(6), 10),
        ([(0, 1), (1, 2)], 30),
        ([(0, 1), (0, 2), (0, 3)], 10),
        ([(0, 1), (1, 2), (2, 3)], 60),
        ([(0, 1), (2, 3)], 75),
    ]:
        assert counts[place_of(edges)] == pytest.approx(count, abs=1e3 * ACCURACY)


def test_orthonormal_on_all_graphs_with_five_nodes():
    """The mean over 2^10 graphs; as many functions as there are graphs on 5 nodes with so many edges."""
    signs = np.asarray(list(itertools.product([-1.0, 1.0], repeat=10)))
    upper = np.zeros((1024, 5, 5))
    upper[:, *np.triu_indices(5, 1)] = signs
    values = functions(symmetrized(upper))
    fit = [i for i, motif in enumerate(INDEX.records) if motif.num_vertices <= 5]
    sizes = Counter(len(INDEX.records[i].edges) for i in fit)
    assert [sizes[e] for e in range(7)] == [1, 1, 2, 4, 6, 6, 6]
    expected = np.zeros((INDEX.num_motifs, INDEX.num_motifs))
    expected[fit, fit] = 1
    np.testing.assert_allclose(values.T @ values / 1024, expected, atol=10 * ACCURACY)


@pytest.mark.parametrize("dtype", [jnp.float32, float])
def test_relabelling_the_nodes_changes_nothing(dtype):
    index = motif_classes(4)
    matrices = symmetric(3, 30, 3, signs=True).astype(dtype)
    values = motif_functions(index, matrices)
    assert values.dtype == matrices.dtype
    order = np.random.default_rng(4).permutation(30)
    moved = motif_functions(index, matrices[:, order][:, :, order])
    accuracy = 1e-4 if values.dtype == jnp.float32 else 1e-11
    np.testing.assert_allclose(moved, values, atol=accuracy)


def test_masked_graphs_are_those_of_their_nodes():
    matrices = symmetric(4, 9, 5)
    mask = np.zeros((4, 9), bool)
    chosen = [[1, 2, 3, 5, 6, 8], [0, 4], [7], []]
    for row, nodes in enumerate(chosen):
        mask[row, nodes] = True
    present = mask[:, :, None] & mask[:, None]
    found = motif_functions(SMALL, jnp.where(present, matrices, jnp.nan), mask=mask)
    for row, nodes in enumerate(chosen[:3]):
        whole = motif_functions(SMALL, matrices[row][np.ix_(nodes, nodes)])
        np.testing.assert_allclose(found[row], whole, atol=10 * ACCURACY)
    np.testing.assert_array_equal(found[3], np.eye(SMALL.num_motifs)[0])


def test_more_graphs_than_a_chunk_and_it_composes():
    matrices = symmetric(200, 30, 6)  # a chunk holds 145
    found = motif_functions(SMALL, matrices)
    again = motif_functions(SMALL, matrices.reshape(2, 100, 30, 30)).reshape(200, -1)
    np.testing.assert_allclose(again, found, atol=10 * ACCURACY)
    single = jax.vmap(lambda a: motif_functions(SMALL, a))(matrices[-3:])
    np.testing.assert_allclose(single, found[-3:], atol=10 * ACCURACY)
    chex.clear_trace_counter()
    traced = jax.jit(chex.assert_max_traces(lambda index, a: motif_functions(index, a), n=1))
    np.testing.assert_allclose(traced(SMALL, matrices), found, atol=10 * ACCURACY)
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(traced(SMALL, -matrices))


def test_affine_in_every_edge_with_its_slope():
    """f(A with A_ij = −1) − f(A with A_ij = 1) = −2 ∂f/∂A_ij, and the diagonal is not read."""
    matrices = symmetric(200, 30, 7, signs=True)

    def total(matrices):
        return motif_functions(SMALL, matrices).sum()

    slope = jax.grad(total)(matrices)
    np.testing.assert_array_equal(slope, slope.swapaxes(1, 2))
    assert not jnp.diagonal(slope, axis1=1, axis2=2).any()
    edge = matrices[150, 4, 17]
    flipped = matrices.at[150, 4, 17].set(-edge).at[150, 17, 4].set(-edge)
    difference = motif_functions(SMALL, flipped)[150] - motif_functions(SMALL, matrices)[150]
    assert float(difference.sum()) == pytest.approx(
        -2 * float(edge * (slope[150, 4, 17] + slope[150, 17, 4])), rel=1e3 * ACCURACY
    )
    half = motif_functions(SMALL, jnp.triu(2 * matrices + 5 * jnp.eye(30, dtype=matrices.dtype)[None]))
    np.testing.assert_allclose(half, motif_functions(SMALL, matrices), atol=100 * ACCURACY)


def test_a_thousand_nodes_do_not_overflow_float32():
    index = motif_classes(5)
    ones = motif_functions(index, jnp.ones((1000, 1000), jnp.float32))
    expected = [math.sqrt(copies(motif, 1000)) for motif in index.records]
    np.testing.assert_allclose(ones, expected, rtol=1e-3)


def test_lowered_for_cuda_and_tpu():
    function = jax.jit(lambda index, a, mask: motif_functions(index, a, mask=mask))
    arguments = SMALL, symmetric(4, 9, 0), jnp.ones((4, 9), bool)
    exported = export.export(function, platforms=("cuda", "tpu"))(*arguments)
    assert exported.platforms == ("cuda", "tpu")


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: motif_classes(7), ValueError, r"max_edges: expected at most 6 and got 7; lower it"),
        (lambda: motif_classes(-1), ValueError, r"max_edges: expected at least 0 and got -1"),
        (lambda: motif_functions(SMALL, jnp.ones((3, 4))), ValueError, r"adjacency: .*\(3, 4\)"),
        (lambda: motif_functions(SMALL, jnp.ones((2, 0, 0))), ValueError, r"adjacency: .*one node"),
        (lambda: motif_functions(SMALL, jnp.ones(3)), ValueError, r"adjacency: .*\(3,\)"),
        (lambda: motif_functions(SMALL, jnp.ones((3, 3), int)), TypeError, r"adjacency: .*int"),
        (
            lambda: motif_functions(SMALL, jnp.ones((3, 3)), mask=[1, 1]),
            ValueError,
            r"mask: expected shape \(3,\) and got \(2,\)",
        ),
        (
            lambda: Elimination().add(list(itertools.combinations(range(5), 2))),
            ValueError,
            r"edges: expected K_4, or a connected graph",
        ),
        (lambda: Elimination().add([(0, 1), (2, 3)]), ValueError, r"edges: .*connected"),
        (lambda: Elimination().add([(0, 1), (1, 1)]), ValueError, r"edges: .*without loops"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
