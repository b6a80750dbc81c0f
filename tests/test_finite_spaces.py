"""Laws of finite spaces, against all their points and independent eigenvectors and formulas."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse

import symjax_learn as sj
from tests.quadratures import all_points
from tests.registry import EXACT, X64


def path_laplacian(n):
    return np.diag([1, *[2] * (n - 2), 1]) - np.eye(n, k=1) - np.eye(n, k=-1)


def cycle_laplacian(n):
    return 2 * np.eye(n) - np.roll(np.eye(n), 1, axis=0) - np.roll(np.eye(n), -1, axis=0)


def random_laplacian(n):
    weights = np.random.default_rng(0).uniform(size=(n, n)) * (np.arange(n)[:, None] < np.arange(n))
    weights = weights + weights.T
    return np.diag(weights.sum(axis=1)) - weights


TWO_PIECES = np.kron(np.eye(2), path_laplacian(3))
# name -> (space, a truncation that keeps everything)
SPACES = {
    "{±1}^1": (sj.Hypercube(1), 2),
    "{±1}^4": (sj.Hypercube(4), 8),
    "graphs on 3 nodes": (sj.Graphs(3), 6),
    "1 label": (sj.Labels(1), 5),
    "6 labels": (sj.Labels(6), 6),
    "cycle": (sj.DiscreteSpace(cycle_laplacian(8)), 4),
    "two pieces": (sj.DiscreteSpace(sparse.csc_matrix(TWO_PIECES)), 3),
    "weighted graph": (sj.DiscreteSpace(random_laplacian(7)), 20),
    "nothing": (sj.DiscreteSpace(np.zeros((3, 3))), 0),
}


def graph_laplacian(name, space, points):
    """The matrix of −Δ on all points, by who is whose neighbour."""
    if isinstance(space, sj.Hypercube | sj.Graphs):
        flat = points.reshape(len(points), -1)
        halves = 1 if isinstance(space, sj.Hypercube) else 2
        neighbours = (flat[:, None] != flat[None]).sum(axis=-1) == halves
    elif isinstance(space, sj.Labels):
        neighbours = ~np.eye(len(points), dtype=bool)
    else:
        return {
            "cycle": cycle_laplacian(8),
            "two pieces": TWO_PIECES,
            "weighted graph": random_laplacian(7),
            "nothing": np.zeros((3, 3)),
        }[name]
    return np.diag(neighbours.sum(axis=1)) - neighbours


@pytest.fixture(params=SPACES, scope="module")
def case(request):
    space, bound = SPACES[request.param]
    points = all_points(space)
    return (
        space,
        sj.eigenbasis(space, max_eigenvalue=bound),
        points,
        graph_laplacian(request.param, space, points),
    )


def test_functions_are_orthonormal_eigenfunctions_and_all_there_are(case):
    space, basis, points, laplacian = case
    features = np.asarray(basis(jnp.asarray(points)), float)
    assert features.shape == (len(points), len(points))
    np.testing.assert_allclose(features.T @ features / len(points), np.eye(len(points)), atol=30 * EXACT)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)
    moved = laplacian @ features
    np.testing.assert_allclose(moved, features * np.asarray(basis.eigenvalues, float), atol=300 * EXACT)
    assert space.cardinality == space.volume == len(points)
    assert space.log_volume == pytest.approx(math.log(len(points)))
    assert space.dimension == 0


def test_levels_are_the_spectrum_of_the_matrix(case):
    space, _, _, laplacian = case
    levels = space.levels(1e3)
    repeated = np.repeat([v.eigenvalue for v in levels], [v.multiplicity for v in levels])
    np.testing.assert_allclose(repeated, np.linalg.eigvalsh(laplacian), atol=1e-12 * len(repeated))
    assert levels[0].eigenvalue == 0
    assert all(type(level.multiplicity) is int and hash(level.key) >= 0 for level in levels)
    assert all(b.eigenvalue - a.eigenvalue > 1e-6 for a, b in itertools.pairwise(levels))
    if len(levels) > 1:
        top = levels[-1]
        assert space.levels(top.eigenvalue * (1 - 1e-12)) == levels
        assert space.levels(top.eigenvalue * (1 - 1e-6)) == levels[:-1]


def test_truncation_by_number_keeps_whole_levels_and_ends(case):
    space, basis, points, _ = case
    sizes = np.cumsum([level.multiplicity for level in space.levels(1e3)])
    assert sj.eigenbasis(space, max_functions=10**6).num_functions == len(points) == sizes[-1]
    if len(sizes) > 1:
        assert sj.eigenbasis(space, max_functions=int(sizes[1])).num_functions == sizes[1]
        assert sj.eigenbasis(space, max_functions=int(sizes[-1]) - 1).num_functions == sizes[-2]


@pytest.mark.parametrize(("name", "index"), [("{±1}^4", 2), ("6 labels", 1), ("two pieces", 0)])
def test_single_levels_are_those_of_the_basis(name, index):
    space, bound = SPACES[name]
    x = jnp.asarray(all_points(space), float)
    levels = space.levels(bound)
    features = sj.eigenbasis(space, max_eigenvalue=bound)(x)
    start = sum(level.multiplicity for level in levels[:index])
    expected = features[:, start : start + levels[index].multiplicity]
    np.testing.assert_allclose(space.eigenfunctions(levels[index], x), expected, atol=EXACT)


def test_samples_are_uniform_points(case):
    space, basis, points, _ = case
    x = space.sample(jax.random.key(2), (4000,))
    assert x.shape == (4000, *space.point_shape)
    space.check(x)
    means = np.asarray(basis(x), float)[:, 1:].mean(axis=0)
    assert np.abs(means).max(initial=0) < 4.5 / np.sqrt(4000)
    seen = {row.tobytes() for row in np.asarray(x, float)}
    assert seen == {row.tobytes() for row in points + 0.0}


@pytest.mark.parametrize("name", ["{±1}^4", "graphs on 3 nodes", "6 labels"])
def test_bases_compose_and_keep_the_dtype(name):
    space, bound = SPACES[name]
    basis = sj.eigenbasis(space, max_eigenvalue=bound)
    x = space.sample(jax.random.key(3), (2, 3))
    features = basis(x)
    assert features.shape == (2, 3, basis.num_functions)
    np.testing.assert_allclose(jax.jit(jax.vmap(basis))(x), features, atol=EXACT)
    single = basis(x.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, features.astype(jnp.float32), atol=1e-6)
    slopes = jax.jit(jax.vmap(jax.vmap(jax.jacfwd(basis))))(x)
    assert bool(jnp.isfinite(slopes).all())
    if len(space.point_shape) == 1 and isinstance(space, sj.Hypercube):
        # A multilinear function has the slope (f(x with x_i = 1) − f(x with x_i = −1))/2.
        up, down = (basis(x.at[..., 2].set(sign)) for sign in (1.0, -1.0))
        np.testing.assert_allclose(slopes[..., 2], (up - down) / 2, atol=EXACT)
    elif space.point_shape == (1,):
        np.testing.assert_array_equal(slopes, 0)


def test_characters_run_through_subsets_in_lexicographic_order():
    space = sj.Hypercube(7)
    x = space.sample(jax.random.key(4), (5,))
    levels = space.levels(14)
    columns = jax.jit(lambda table, x: table.columns(x))
    for sizes in ((0, 1, 2, 3), (4, 1), (7,)):
        subsets = [s for size in sizes for s in itertools.combinations(range(7), size)]
        expected = np.stack([np.prod(np.asarray(x)[:, list(s)], axis=1) for s in subsets], axis=1)
        table = space.functions([levels[size] for size in sizes])
        np.testing.assert_array_equal(columns(table, x), expected)
        assert table.num_functions == len(subsets) <= table.width


def test_large_cubes_enumerate_only_what_is_asked_for():
    space = sj.Hypercube(3000)
    assert sum(level.multiplicity for level in space.levels(6000)) == 2**3000 == space.cardinality
    assert (space.volume, space.log_volume) == (math.inf, pytest.approx(3000 * math.log(2)))
    basis = sj.eigenbasis(space, max_functions=5000)
    assert basis.num_functions == 3001
    x = space.sample(jax.random.key(5), (2,))
    np.testing.assert_array_equal(basis(x)[:, 1:], x)
    top = space.functions(space.levels(6000)[-1:])
    assert (top.num_functions, top.width) == (1, 3001)
    pairs = space.functions(space.levels(4)[2:])
    assert pairs.num_functions == 3000 * 2999 // 2
    with pytest.raises(ValueError, match=r"levels: a table.* needs about .* Ask for smaller subsets"):
        space.functions(space.levels(8)[4:])
    with pytest.raises(ValueError, match=r"max_eigenvalue or max_functions: a table of"):
        sj.eigenbasis(sj.Hypercube(200), max_eigenvalue=20)


def test_means_over_isomorphic_graphs_count_motifs():
    """Averaging χ_E over relabelled nodes leaves one function for each isomorphism class of E."""
    space = sj.Graphs(6)
    basis = sj.eigenbasis(space, max_eigenvalue=6)
    assert [level.multiplicity for level in space.levels(6)] == [1, 15, 105, 455]
    x = space.sample(jax.random.key(6), (16,))
    relabelled = jnp.stack(
        [x[:, jnp.asarray(p)][:, :, jnp.asarray(p)] for p in itertools.permutations(range(6))]
    )
    means = np.asarray(basis(relabelled), float).mean(axis=0)
    # 1, 1, 2, 5 classes of graphs of 0, 1, 2, 3 edges without isolated nodes.
    assert np.linalg.matrix_rank(means, tol=1e-4) == 1 + 1 + 2 + 5


def test_adjacency_matrices():
    space = sj.Graphs(5)
    cycle = (cycle_laplacian(5) == -1).astype(int)
    point = space.from_adjacency(cycle)
    space.check(point)
    assert point.dtype == jnp.result_type(float)
    assert (point[0, 1], point[0, 2], point[0, 0]) == (1, -1, 0)
    np.testing.assert_array_equal(space.to_adjacency(point), cycle)
    graphs = space.sample(jax.random.key(7), (2, 3))
    adjacency = space.to_adjacency(graphs)
    np.testing.assert_array_equal(jax.jit(space.from_adjacency)(adjacency), graphs)
    assert space.from_adjacency(cycle.astype(np.float32)).dtype == jnp.float32
    assert space.from_adjacency(cycle == 1).tolist() == point.tolist()


def test_a_torus_grid_has_the_spectrum_of_its_group():
    """Sparse, beyond the dense size: C_50 × C_43 has λ = Σ 2 − 2cos(2πk/n), of multiplicities to 4."""
    sides = (50, 43)
    circles = [sparse.csr_array(cycle_laplacian(n)) for n in sides]
    laplacian = sparse.kron(circles[0], sparse.eye_array(43)) + sparse.kron(
        sparse.eye_array(50), circles[1]
    )
    space = sj.DiscreteSpace(laplacian)
    assert space.spectrum is None
    waves = [2 - 2 * np.cos(2 * np.pi * np.arange(n) / n) for n in sides]
    expected = np.sort(np.add.outer(*waves).ravel())
    levels = space.levels(0.3)
    found = np.repeat([v.eigenvalue for v in levels], [v.multiplicity for v in levels])
    np.testing.assert_allclose(found, expected[expected <= 0.3], atol=1e-11)
    assert {level.multiplicity for level in levels} == {1, 2, 4}
    basis = sj.eigenbasis(space, max_functions=40)
    kept = basis.num_functions
    assert kept <= 40 < kept + 4
    values = np.asarray(basis(jnp.arange(2150.0)[:, None]), float)
    np.testing.assert_allclose(values.T @ values / 2150, np.eye(kept), atol=10 * EXACT)
    np.testing.assert_allclose(values[:, 0], 1, atol=EXACT)
    np.testing.assert_allclose(laplacian @ values, values * expected[:kept], atol=100 * EXACT)
    assert [level.multiplicity for level in space.levels(0)] == [1]
    with pytest.raises(ValueError, match=r"max_functions: .*eigenvalues of a graph of 2,150 .*lower it"):
        space.levels(6)
    with pytest.raises(ValueError, match=r"laplacian: it has a negative eigenvalue"):
        sj.DiscreteSpace(-laplacian)


def test_a_large_disconnected_graph_has_the_constant_first():
    blocks = sparse.block_diag([sparse.csr_array(path_laplacian(700))] * 3)
    space = sj.DiscreteSpace(blocks)
    assert [level.multiplicity for level in space.levels(1e-4)] == [3, 3, 3]
    table = space.functions(space.levels(0))
    vertices = jnp.arange(2100.0)[:, None]
    values = np.asarray(table.columns(vertices), float)
    np.testing.assert_allclose(values[:, 0], 1, atol=EXACT)
    np.testing.assert_allclose(values.T @ values / 2100, np.eye(3), atol=10 * EXACT)
    np.testing.assert_allclose(blocks @ values, 0, atol=10 * EXACT)


def test_models_on_labels_learn_any_function():
    space = sj.Labels(4)
    targets = jnp.asarray([3.0, -1.0, 4.0, 1.0])
    x = jnp.arange(4.0)[:, None]
    basis = sj.eigenbasis(space, max_eigenvalue=4)
    model = sj.fit_ridge(basis, x, targets, penalty=1e-9)
    np.testing.assert_allclose(model(x), targets, atol=1e-6 if X64 else 1e-3)


def test_what_is_no_vertex_is_nan():
    basis = sj.eigenbasis(sj.Labels(3), max_eigenvalue=3)
    values = np.asarray(basis(jnp.asarray([[-1.0], [3.0], [jnp.nan], [1.2], [jnp.inf]])))
    assert np.isnan(values).all(axis=1).tolist() == [True, True, True, False, True]
    np.testing.assert_array_equal(values[3], basis(jnp.asarray([1.0])))


SKEW = path_laplacian(3) + np.asarray([[0, 1, -1], [0, 0, 0], [0, 0, 0]])
NAN = np.where(np.eye(3, k=1) > 0, np.nan, path_laplacian(3))
BAD = {
    "no cube": (lambda: sj.Hypercube(0), r"num_coordinates: expected at least 1 and got 0"),
    "no graphs": (lambda: sj.Graphs(1), r"num_nodes: expected at least 2 and got 1"),
    "no labels": (lambda: sj.Labels(0), r"num_labels: expected at least 1"),
    "too many labels": (lambda: sj.Labels(2**24 + 1), r"num_labels: expected at most 2\^24"),
    "many labels": (
        lambda: sj.eigenbasis(sj.Labels(10**6), max_eigenvalue=10**6),
        r"levels: the 999999 functions of 1000000 labels needs .* Use fewer labels",
    ),
    "off the cube": (
        lambda: sj.Hypercube(2).check(np.asarray([[1.0, 1.0], [1.0, 0.5]])),
        r"points: row 1 has 0\.5 at coordinate 1, as 1 row",
    ),
    "NaN": (lambda: sj.Hypercube(1).check(np.asarray([[np.nan]])), r"points: row 0 is not finite"),
    "a loop": (
        lambda: sj.Graphs(2).check(np.asarray([[[0.0, 1], [1, 0]], [[1, 1], [1, 1]]])),
        r"points: row 1 has 1\.0 at \(0, 0\), which is not 0 on the diagonal",
    ),
    "0/1 points": (
        lambda: sj.Graphs(2).check(np.zeros((2, 2))),
        r"points: row 0 has 0\.0 at \(0, 1\), which is neither -1 nor 1 .*use from_adjacency",
    ),
    "a directed edge": (
        lambda: sj.Graphs(2).from_adjacency(np.asarray([[0, 1], [0, 0]])),
        r"adjacency: row 0 has 1\.0 at \(0, 1\), which differs .* no direction",
    ),
    "a weight": (
        lambda: sj.Graphs(2).from_adjacency(np.asarray([[0, 2], [2, 0]])),
        r"adjacency: .*which is neither 0 nor 1",
    ),
    "another shape": (
        lambda: sj.Graphs(2).from_adjacency(np.zeros((3, 3))),
        r"adjacency: expected shape \(\*batch, 2, 2\)",
    ),
    "no label": (
        lambda: sj.Labels(3).check(np.asarray([[0.0], [1.5]])),
        r"points: row 1 is 1\.5, .* the integers 0 to 2",
    ),
    "no vertex": (
        lambda: SPACES["cycle"][0].check(np.asarray([[8.0]])),
        r"points: row 0 is 8\.0, .*integers 0 to 7",
    ),
    "not square": (lambda: sj.DiscreteSpace(np.zeros((2, 3))), r"laplacian: expected shape \(n, n\)"),
    "not symmetric": (
        lambda: sj.DiscreteSpace(SKEW),
        r"laplacian: entries \(0, 1\) and \(1, 0\) differ by 1 .*symmetrize",
    ),
    "NaN in the matrix": (lambda: sj.DiscreteSpace(NAN), r"laplacian: entry \(0, 1\) is nan"),
    "an adjacency matrix": (
        lambda: sj.DiscreteSpace(np.ones((3, 3)) - np.eye(3)),
        r"laplacian: row 0 sums to 2 and expected 0",
    ),
    "Δ instead of −Δ": (
        lambda: sj.DiscreteSpace(-path_laplacian(3)),
        r"laplacian: it has a negative eigenvalue",
    ),
    "another space's level": (
        lambda: SPACES["cycle"][0].functions([sj.Level(1.0, 1, 2)]),
        r"levels: .*is not a level of this space",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_types():
    with pytest.raises(TypeError, match=r"laplacian: expected a matrix of real numbers and got complex"):
        sj.DiscreteSpace(np.eye(2, dtype=complex))
    with pytest.raises(TypeError, match=r"points: points of Labels are floating-point"):
        sj.Labels(3).check(np.asarray([[1]]))
    with pytest.raises(TypeError, match=r"adjacency: .* floating-point .* got complex"):
        sj.Graphs(2).from_adjacency(np.zeros((2, 2), complex))
    with pytest.raises(TypeError, match=r"level: .* is not a level of a hypercube"):
        sj.Hypercube(2).functions([sj.Level(0.0, 1, (0, 0))])
