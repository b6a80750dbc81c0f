"""Meshes: spectra in closed form, finite elements assembled otherwise, and the limit of the sphere."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.spatial import ConvexHull

import symjax_learn as sj
from tests.registry import EXACT

OCTAHEDRON = (
    np.concatenate([np.eye(3), -np.eye(3)]),
    np.asarray([[i, j, k] for i in (0, 3) for j in (1, 4) for k in (2, 5)]),
)


def hull(points):
    """The convex hull of points on a sphere, every one of them a corner."""
    return points, ConvexHull(points).simplices


def icosahedron():
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    points = np.asarray([np.roll(corner, k) for corner in corners for k in range(3)])
    return hull(points / np.linalg.norm(points, axis=1, keepdims=True))


def refined(vertices, faces):
    """Each triangle cut into four, the new vertices moved onto the unit sphere."""
    edges = np.sort(np.concatenate([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]]), axis=1)
    edges, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = len(vertices) + inverse.reshape(3, -1).T
    a, b, c = faces.T
    p, q, r = middle.T
    quarters = np.stack([[a, r, q], [b, p, r], [c, q, p], [p, q, r]]).transpose(0, 2, 1)
    centres = vertices[edges].sum(axis=1)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return np.concatenate([vertices, centres]), quarters.reshape(-1, 3)


def icosphere(depth):
    mesh = icosahedron()
    for _ in range(depth):
        mesh = refined(*mesh)
    return mesh


def grid_faces(n, m, rows):
    """Squares of an n-periodic grid, each cut by a diagonal; ``rows`` of them, modulo m."""
    i, j = (axis.ravel() for axis in np.meshgrid(np.arange(n), np.arange(rows), indexing="ij"))
    at = [[(i + di) % n * m + (j + dj) % m for dj in (0, 1)] for di in (0, 1)]
    return np.concatenate(
        [np.stack([at[0][0], at[1][0], at[1][1]], 1), np.stack([at[0][0], at[1][1], at[0][1]], 1)]
    )


def torus(n, m, a, b):
    """A flat torus of n × m rectangles a × b, folded twice into the plane (n and m are even)."""
    x, y = np.minimum(np.arange(n), n - np.arange(n)), np.minimum(np.arange(m), m - np.arange(m))
    grid = np.stack(np.meshgrid(a * x, b * y, [0], indexing="ij"), axis=-1)
    return grid.reshape(-1, 3), grid_faces(n, m, m)


def cylinder(n, m, b):
    """A prism over the regular n-gon of radius 1, of m rings a height b apart: it has a boundary."""
    angles = 2 * np.pi * np.arange(n)[:, None] / n
    rings = [np.cos(angles), np.sin(angles), b * np.arange(m)[None]]
    return np.stack(np.broadcast_arrays(*rings), axis=-1).reshape(-1, 3), grid_faces(n, m, m - 1)


def waves(step, num, period):
    """(2 − 2cos(2πk/period))/step² for k < num: second differences on a circle or, halved, a path."""
    return (2 - 2 * np.cos(2 * np.pi * np.arange(num) / period)) / step**2


def spectrum(space, max_eigenvalue=1e9):
    levels = space.levels(max_eigenvalue)
    return np.repeat([v.eigenvalue for v in levels], [v.multiplicity for v in levels])


def multiplicities(space, max_eigenvalue=1e9):
    return [level.multiplicity for level in space.levels(max_eigenvalue)]


def finite_elements(vertices, faces):
    """Stiffness and lumped masses, face by face from the gradients of the hat functions."""
    n = len(vertices)
    stiffness, masses = np.zeros((n, n)), np.zeros(n)
    for face in faces:
        frame = vertices[face[1:]] - vertices[face[0]]
        area = np.sqrt(np.linalg.det(frame @ frame.T)) / 2
        gradients = np.linalg.pinv(frame) @ np.asarray([[-1, 1, 0], [-1, 0, 1]])
        stiffness[np.ix_(face, face)] += area * gradients.T @ gradients
        masses[face] += area / 3
    return stiffness, masses


def random_hull(num, seed=0):
    points = np.random.default_rng(seed).normal(size=(num, 3))
    return hull(points / np.linalg.norm(points, axis=1, keepdims=True) * [1, 1.5, 0.7])


def pieces():
    """Two octahedra of different size and a triangle, apart."""
    (v, f), triangle = OCTAHEDRON, np.asarray([[9.0, 0, 0], [9, 1, 0], [9, 0, 2]])
    return np.concatenate([v, 2 * v + 5, triangle]), np.concatenate([f, f + 6, [[12, 13, 14]]])


THREE_SHEETS = (
    np.asarray([[0.0, 0, 0], [0, 0, 1], [1, 0, 0.5], [-1, 0.3, 0.5], [0.2, 1, 0.5]]),
    np.asarray([[0, 1, 2], [1, 0, 3], [0, 1, 4]]),
)
MESHES = {
    "octahedron": OCTAHEDRON,
    "icosphere": icosphere(1),
    "random hull": random_hull(40),
    "cylinder": cylinder(7, 4, 0.6),
    "torus": torus(6, 8, 0.3, 0.5),
    "one triangle": ([[0, 0, 0], [2, 0, 0], [0, 1, 0]], [[0, 1, 2]]),
    "three pieces": pieces(),
}


@pytest.fixture(params=MESHES, scope="module")
def case(request):
    vertices, faces = (np.asarray(part) for part in MESHES[request.param])
    space = sj.Mesh(vertices, faces)
    return space, sj.eigenbasis(space, max_eigenvalue=1e9), *finite_elements(vertices * 1.0, faces)


def test_functions_solve_the_finite_element_equations_and_are_all_there_are(case):
    space, basis, stiffness, masses = case
    n = len(masses)
    features = np.asarray(basis(jnp.arange(float(n))[:, None]), float)
    assert features.shape == (n, n)
    probabilities = masses[:, None] / masses.sum()
    np.testing.assert_allclose(features.T @ (probabilities * features), np.eye(n), atol=30 * EXACT)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)
    eigenvalues = np.asarray(basis.eigenvalues, float)
    rest = stiffness @ features - masses[:, None] * features * eigenvalues
    assert np.abs(rest).max() < 300 * EXACT * np.abs(stiffness).max()


def test_levels_are_the_spectrum_of_the_pencil(case):
    space, _, stiffness, masses = case
    expected = eigh(stiffness, np.diag(masses), eigvals_only=True)
    np.testing.assert_allclose(spectrum(space), expected, atol=1e-12 * expected[-1])
    np.testing.assert_allclose(space.masses.exact, masses, rtol=1e-13)
    assert space.volume == pytest.approx(masses.sum(), rel=1e-13)
    assert (space.dimension, space.cardinality, space.point_shape) == (2, len(masses), (1,))
    levels = space.levels(1e9)
    assert levels[0].eigenvalue == 0
    assert all(type(level.multiplicity) is int and hash(level.key) >= 0 for level in levels)
    top = levels[-1]
    assert space.levels(top.eigenvalue * (1 - 1e-12)) == levels
    assert space.levels(top.eigenvalue * (1 - 1e-6)) == levels[:-1]


def test_samples_have_the_probabilities_of_the_masses(case):
    space, basis, _, masses = case
    x = space.sample(jax.random.key(2), (4000,))
    assert x.shape == (4000, 1)
    assert x.dtype == jnp.result_type(float)
    space.check(x)
    p = masses / masses.sum()
    counts = np.bincount(np.asarray(x, int)[:, 0], minlength=len(p))
    statistic = np.sum((counts - 4000 * p) ** 2 / (4000 * p))
    assert statistic < len(p) - 1 + 4.5 * np.sqrt(2 * len(p))  # χ² with n − 1 degrees of freedom


def test_platonic_solids():
    """Graphs of equal weights: λ of the graph times w/m, from the characters of K_{2,2,2} and of Ih."""
    space = sj.Mesh(*OCTAHEDRON)
    np.testing.assert_allclose(spectrum(space), [0, 2, 2, 2, 3, 3], atol=1e-12)
    assert multiplicities(space) == [1, 3, 2]
    assert space.volume == pytest.approx(4 * 3**0.5, rel=1e-14)
    vertices, faces = icosahedron()
    space = sj.Mesh(vertices, faces)
    edge = 4 / np.sqrt(10 + 2 * 5**0.5)
    ratio = 3**-0.5 / (5 / 3 * 3**0.5 / 4 * edge**2)
    expected = ratio * np.repeat([0, 5 - 5**0.5, 6, 5 + 5**0.5], [1, 3, 5, 3])
    np.testing.assert_allclose(spectrum(space), expected, atol=1e-12)
    assert multiplicities(space) == [1, 3, 5, 3]


def test_flat_tori_in_closed_form():
    a, b = 0.3, 0.5
    expected = np.sort(np.add.outer(waves(a, 6, 6), waves(b, 8, 8)).ravel())
    space = sj.Mesh(*torus(6, 8, a, b))
    np.testing.assert_allclose(spectrum(space), expected, atol=1e-11)
    assert space.volume == pytest.approx(48 * a * b)
    assert set(multiplicities(space)) == {1, 2, 4}


def test_the_boundary_of_a_cylinder_is_free():
    """Half masses at both ends: second differences on a path, 2 − 2cos(πl/(m − 1))."""
    n, m, b = 7, 4, 0.6
    edge = 2 * np.sin(np.pi / n)
    expected = np.sort(np.add.outer(waves(edge, n, n), waves(b, m, 2 * (m - 1))).ravel())
    space = sj.Mesh(*cylinder(n, m, b))
    np.testing.assert_allclose(spectrum(space), expected, atol=1e-11)
    assert space.volume == pytest.approx(n * edge * b * (m - 1))


def test_a_large_torus_in_closed_form():
    """Beyond the dense size, where the lowest eigenpairs are counted."""
    n, m = 50, 46
    mesh = torus(n, m, 2 * np.pi / n, 2 * np.pi / m)
    space = sj.Mesh(*mesh)
    assert space.spectrum is None
    circles = waves(2 * np.pi / n, n, n), waves(2 * np.pi / m, m, m)
    expected = np.sort(np.add.outer(*circles).ravel())
    expected = expected[expected <= 4.5]
    levels = space.levels(4.5)
    found = np.repeat([v.eigenvalue for v in levels], [v.multiplicity for v in levels])
    np.testing.assert_allclose(found, expected, atol=1e-10)
    table = space.functions(levels)
    values = np.asarray(table.columns(jnp.arange(float(n * m))[:, None]), float)
    np.testing.assert_allclose(values.T @ values / (n * m), np.eye(len(found)), atol=10 * EXACT)
    np.testing.assert_allclose(values[:, 0], 1, atol=EXACT)
    # The first eigenspace of the first circle holds its cosine.
    i = np.arange(n * m) // m
    wave = np.cos(2 * np.pi * i / n)
    space_of = values[:, np.abs(found - waves(2 * np.pi / n, 2, n)[1]) < 1e-9]
    np.testing.assert_allclose(space_of @ (space_of.T @ wave) / (n * m), wave, atol=100 * EXACT)


def test_icospheres_converge_to_the_sphere():
    """To l(l + 1) with an error of order h², and in the multiplicities of the icosahedral group."""
    errors = []
    for depth in (1, 2, 3):
        space = sj.Mesh(*icosphere(depth))
        found = spectrum(space, 25)[:16]
        exact = np.repeat([0, 2, 6, 12], [1, 3, 5, 7])
        errors.append(np.abs(found - exact)[1:] / exact[1:])
        # l = 3 and 4 split as 7 = 3 + 4 and 9 = 4 + 5.
        assert multiplicities(space, 25)[:3] == [1, 3, 5]
        assert sorted(multiplicities(space, 25)[3:5]) == [3, 4]
        assert sorted(multiplicities(space, 25)[5:7]) == [4, 5]
    ratios = errors[1] / errors[2]
    np.testing.assert_allclose(ratios[3:], 4, rtol=0.05)
    assert ratios[:3].min() > 8  # the coordinates themselves: faster
    assert errors[2].max() < 0.015


def test_eigenvalues_scale_and_do_not_see_motions_orientations_or_names():
    vertices, faces = random_hull(40)
    generator = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    order = generator.permutation(40)
    turned = np.where(generator.integers(2, size=(len(faces), 1)) == 1, faces, faces[:, ::-1])
    moved = sj.Mesh((3 * vertices @ rotation.T + [5, -7, 11])[np.argsort(order)], order[turned])
    expected = spectrum(sj.Mesh(vertices, faces))
    np.testing.assert_allclose(9 * spectrum(moved), expected, atol=1e-11 * expected[-1])


def test_components_have_a_constant_each():
    space = sj.Mesh(*pieces())
    levels = space.levels(1e9)
    assert levels[0].multiplicity == 3
    values = np.asarray(space.eigenfunctions(levels[0], jnp.arange(15.0)[:, None]), float)
    for block in (values[:6], values[6:12], values[12:]):
        np.testing.assert_allclose(block - block[:1], 0, atol=10 * EXACT)
    triangle = sj.Mesh(*(np.asarray(part) for part in MESHES["one triangle"]))
    parts = [spectrum(sj.Mesh(*OCTAHEDRON)), spectrum(sj.Mesh(*OCTAHEDRON)) / 4]
    assert spectrum(triangle)[0] == 0
    expected = np.sort(np.concatenate([*parts, spectrum(triangle)]))
    np.testing.assert_allclose(spectrum(space), expected, atol=1e-11)


def test_truncations_keep_whole_levels():
    space = sj.Mesh(*icosahedron())
    for count, kept in ((1, 1), (3, 1), (4, 4), (8, 4), (9, 9), (11, 9), (100, 12)):
        assert sj.eigenbasis(space, max_functions=count).num_functions == kept


def test_bases_compose_and_keep_the_dtype():
    space = sj.Mesh(*OCTAHEDRON)
    basis = sj.eigenbasis(space, max_eigenvalue=2)
    x = space.sample(jax.random.key(3), (2, 3))
    features = basis(x)
    np.testing.assert_allclose(jax.jit(jax.vmap(basis))(x), features, atol=EXACT)
    assert basis(x.astype(jnp.float32)).dtype == jnp.float32
    np.testing.assert_array_equal(jax.vmap(jax.vmap(jax.jacfwd(basis)))(x), 0)
    samples = jax.jit(lambda space, key: space.sample(key, (2, 3)))(space, jax.random.key(3))
    np.testing.assert_array_equal(samples, x)


def test_the_height_on_a_sphere_is_learned_from_few_vertices():
    vertices, faces = icosphere(2)
    space = sj.Mesh(vertices, faces)
    x = jnp.arange(float(len(vertices)))[:, None]
    heights = jnp.asarray(vertices[:, 2], float)
    basis = sj.eigenbasis(space, max_functions=9)
    model = sj.fit_ridge(basis, x[::8], heights[::8], penalty=1e-9)
    # The coordinates of an icosphere are not quite eigenfunctions.
    assert float(jnp.abs(model(x) - heights).max()) < 0.02


def test_models_are_stored_and_read(tmp_path):
    space = sj.Product(sj.Mesh(*OCTAHEDRON), sj.Labels(2))
    for domain in (space, space.spaces[0]):
        x = domain.sample(jax.random.key(0), (12,))
        model = sj.fit_ridge(sj.eigenbasis(domain, max_eigenvalue=2), x, jnp.arange(12.0), penalty=0.1)
        sj.save(tmp_path / "model.npz", model)
        again = sj.load(tmp_path / "model.npz")
        np.testing.assert_array_equal(again(x), model(x))
        assert again.basis.space.levels(3) == domain.levels(3)
        np.testing.assert_array_equal(
            again.basis.space.sample(jax.random.key(0), (12,)), domain.sample(jax.random.key(0), (12,))
        )


def test_robust_is_cotangent_on_delaunay_meshes():
    for mesh in (OCTAHEDRON, icosphere(1), cylinder(7, 4, 0.6), torus(6, 8, 0.3, 0.5), pieces()):
        expected, robust = sj.Mesh(*mesh), sj.Mesh(*mesh, laplacian="robust")
        np.testing.assert_allclose(spectrum(robust), spectrum(expected), atol=1e-10)
        np.testing.assert_allclose(robust.masses.exact, expected.masses.exact, rtol=1e-10)
        assert multiplicities(robust) == multiplicities(expected)


def sheared(short):
    """A strip of parallelograms, cut by their short diagonals (Delaunay) or by the long ones."""
    n, m = 6, 4
    i, j = (axis.ravel() for axis in np.meshgrid(np.arange(n), np.arange(m), indexing="ij"))
    vertices = np.stack([i + 0.6 * j, 0.8 * j, 0 * i], axis=1)
    a, b, c, d = ((i + di) * m + j + dj for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1)))
    halves = [[a, b, d], [b, c, d]] if short else [[a, b, c], [a, c, d]]
    inside = (i < n - 1) & (j < m - 1)
    return vertices, np.concatenate([np.stack(half, axis=1)[inside] for half in halves])


def test_robust_finds_the_delaunay_triangulation():
    expected = spectrum(sj.Mesh(*sheared(True)))
    np.testing.assert_allclose(
        spectrum(sj.Mesh(*sheared(False), laplacian="robust")), expected, atol=1e-10
    )
    assert np.abs(spectrum(sj.Mesh(*sheared(False))) - expected).max() > 0.1
    space = sj.Mesh(*sheared(False), laplacian="robust")
    off = np.asarray(space.rows != space.columns)
    assert space.entries.exact[off].max() < 1e-12


def test_robust_lengthens_triangles_of_area_0():
    """A square whose diagonal is mended by a flat triangle, against the same square without it."""
    corners = np.asarray([[0.0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0.5, 1, 0], [0.5, -1, 0]])
    whole = sj.Mesh(corners, [[0, 2, 3], [2, 1, 3], [0, 2, 4], [2, 1, 4]])
    faces = [[0, 2, 3], [2, 1, 3], [0, 1, 2], [0, 1, 4]]
    with pytest.raises(ValueError, match=r"faces: row 2 is \[0, 1, 2\], which has no area"):
        sj.Mesh(corners, faces)
    mended = sj.Mesh(corners, faces, laplacian="robust")
    assert 1 < mended.area < 1.002
    np.testing.assert_allclose(spectrum(mended), spectrum(whole), rtol=0.01, atol=1e-12)


def test_robust_counts_every_sheet_at_an_edge():
    """Functions on three sheets glued along an edge; a symmetric book has the mode that it must have."""
    space = sj.Mesh(*THREE_SHEETS, laplacian="robust")
    assert multiplicities(space)[0] == 1
    _, masses = finite_elements(*THREE_SHEETS)
    np.testing.assert_allclose(space.masses.exact, masses, rtol=1e-10)
    angles = 2 * np.pi * np.arange(3) / 3
    pages = np.stack([np.cos(angles), np.sin(angles), 0.5 + 0 * angles], axis=1)
    book = np.concatenate([THREE_SHEETS[0][:2], pages]), THREE_SHEETS[1]
    stiffness, masses = finite_elements(*book)
    found = spectrum(sj.Mesh(*book, laplacian="robust"))
    np.testing.assert_allclose(found, eigh(stiffness, np.diag(masses), eigvals_only=True), atol=1e-10)


@pytest.mark.slow
def test_a_large_irregular_mesh_has_the_spectrum_of_its_matrix():
    vertices, faces = random_hull(2200)
    space = sj.Mesh(vertices, faces)
    stiffness, masses = finite_elements(vertices, faces)
    roots = np.sqrt(masses)
    expected = eigh(stiffness / np.outer(roots, roots), eigvals_only=True, subset_by_index=(0, 199))
    found = spectrum(space, expected[199] * (1 + 1e-6))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


V, F = OCTAHEDRON
COLLAPSED = np.where(np.arange(6)[:, None] == 2, [[0.5, 0.5, 0]], V)
NEEDLES = np.asarray([[0.0, 0, 0], [1, 0, 0], [0.5, 1e-9, 0], [0, -1, 0], [1, -1e9, 0]])
BAD = {
    "vertices in the plane": (V[:, :2], F, r"vertices: expected shape \(n, 3\) .* got \(6, 2\)"),
    "NaN": (
        np.where(V > 0, np.nan, V),
        F,
        r"vertices: row 0 is not finite \(\[nan, 0\.0, 0\.0\]\), as 3 row",
    ),
    "squares": (V, [[0, 1, 2, 3]], r"faces: expected shape \(f, 3\) .* split other polygons"),
    "no faces": (V, np.zeros((0, 3), int), r"faces: expected shape \(f, 3\) with f >= 1"),
    "counted from 1": (V, F + 1, r"faces: row 1 is \[1, 2, 6\], .*6 vertices; expected 0 to 5 \(4 row"),
    "a negative index": (V, F - 1, r"faces: row 0 is \[-1, 0, 1\]"),
    "a repeated vertex": (
        V,
        [*F.tolist(), [3, 1, 3]],
        r"faces: row 8 is \[3, 1, 3\], .* same vertex twice",
    ),
    "no area": (COLLAPSED, F, r"faces: row 0 is \[0, 1, 2\], which has no area; remove it"),
    "an unused vertex": (V, F[:4, :] * [1, 1, 0] + [0, 0, 2], r"vertices: row 3 is in no face"),
    "three faces": (
        *THREE_SHEETS,
        r"faces: the edge \(0, 1\) belongs to 3 faces .*\(1 such edge\(s\) in all\)",
    ),
    "too uneven": (
        np.concatenate([V * 1e-7, V + 3]),
        np.concatenate([F, F + 6, [[0, 6, 9]]]),
        r"faces: \d eigenvalues are 0 to rounding and the mesh has 1 component",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_meshes(name):
    vertices, faces, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        sj.Mesh(vertices, faces)


def test_bad_arguments(monkeypatch):
    with pytest.raises(TypeError, match=r"vertices: expected real numbers and got complex128"):
        sj.Mesh(V.astype(complex), F)
    with pytest.raises(TypeError, match=r"faces: expected integers and got float64"):
        sj.Mesh(V, F.astype(float))
    with pytest.raises(ValueError, match=r"laplacian: expected 'cotangent' or 'robust' and got 'graph'"):
        sj.Mesh(V, F, laplacian="graph")
    with pytest.raises(
        ValueError, match=r"points: row 1 is 6\.0, .* Mesh; expected the integers 0 to 5"
    ):
        sj.Mesh(V, F).check(np.asarray([[0.0], [6.0]]))
    with pytest.raises(ValueError, match=r"levels: .*is not a level of this space"):
        sj.Mesh(V, F).functions([sj.Level(2.0, 2, 1)])
    monkeypatch.setitem(sys.modules, "robust_laplacian", None)
    with pytest.raises(ImportError, match=r"laplacian: .*pip install 'symjax-learn\[meshes\]'"):
        sj.Mesh(V, F, laplacian="robust")
