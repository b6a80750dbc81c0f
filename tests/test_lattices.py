"""Tori of lattices: spectra, coordinates, isometries, and invariants of groups of integer matrices."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.geometry.lattices import dual_form, short_vectors
from tests.registry import EXACT

FOUR_PI_SQUARED = (2 * np.pi) ** 2
SIXTH = [[1, -1], [1, 0]]  # a turn by 60° in the basis of A2 below
HEXAGONAL = [[1, 0], [-1 / 2, math.sqrt(3) / 2]]
LATTICES = {
    "hexagonal": HEXAGONAL,
    "hexagonal, of irrational c/a": [[1, 0, 0], [-1 / 2, math.sqrt(3) / 2, 0], [0, 0, math.pi / 1.5]],
    "face-centred": [[0, 1, 1], [1, 0, 1], [1, 1, 0]],
    "body-centred": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    "tetragonal, of irrational c/a": [[1, 0, 0], [0, 1, 0], [0, 0, math.sqrt(math.pi)]],
    "triclinic": [[1, 0.1, 0.2 / math.pi], [0.3, 1.1, 0], [0, -0.2, 1.3]],
    "Z² in a long basis": [[1, 0], [7, 1]],
    "oblique": [[1, 0], [math.e / 9, 0.8]],
}  # fmt: skip


@pytest.fixture(params=LATTICES)
def vectors(request):
    return np.asarray(LATTICES[request.param])


def by_brute_force(vectors, bound):
    """All kᵀG⁻¹k ≤ bound, ascending: |k_i| ≤ |a_i|√bound, because k_i = a_i·q for |q|² ≤ bound."""
    reach = np.floor(np.linalg.norm(vectors, axis=1) * math.sqrt(bound) + 1e-6).astype(int)
    axes = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    k = np.stack(axes, axis=-1).reshape(-1, len(vectors))
    values = ((k @ np.linalg.inv(vectors).T) ** 2).sum(axis=1)
    return k[values <= bound * (1 + 1e-9)], np.sort(values[values <= bound * (1 + 1e-9)])


def test_levels_are_all_frequencies(vectors):
    space, bound = sj.Torus.from_lattice(vectors), 16.0
    k, values = by_brute_force(vectors, bound)
    levels = space.levels(FOUR_PI_SQUARED * bound)
    repeated = np.repeat(
        [level.eigenvalue for level in levels], [level.multiplicity for level in levels]
    )
    np.testing.assert_allclose(repeated, FOUR_PI_SQUARED * values, rtol=1e-12)
    assert all(type(level.multiplicity) is int for level in levels)
    assert len({level.key for level in levels}) == len(levels)
    gaps = np.diff([level.eigenvalue for level in levels]) / levels[-1].eigenvalue
    assert gaps.min() > 1e-9
    found, places = space.frequencies(levels)
    np.testing.assert_array_equal(found, k)  # in lexicographic order
    np.testing.assert_array_equal(np.bincount(places), [level.multiplicity for level in levels])


def test_keys_name_a_level_at_every_truncation(vectors):
    space = sj.Torus.from_lattice(vectors)
    long = space.levels(FOUR_PI_SQUARED * 9)
    middle = long[len(long) // 2]
    assert space.levels(middle.eigenvalue * (1 - 1e-12)) == long[: len(long) // 2 + 1]
    assert space.levels(middle.eigenvalue * (1 - 1e-6)) == long[: len(long) // 2]
    some = [long[3], long[1]]
    frequencies, places = space.frequencies(some)
    values = FOUR_PI_SQUARED * ((frequencies @ np.linalg.inv(vectors).T) ** 2).sum(axis=1)
    np.testing.assert_allclose(values, np.asarray([e.eigenvalue for e in some])[places], rtol=1e-12)


def test_rational_forms_are_found_in_integers():
    exact = [
        name for name, v in LATTICES.items() if dual_form(np.asarray(v, float)).integers is not None
    ]
    assert exact == ["hexagonal", "face-centred", "body-centred", "Z² in a long basis"]
    assert [level.key for level in sj.Torus.from_lattice(HEXAGONAL).levels(300)] == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("name", "multiplicities"),
    [  # theta series of A2, and of the duals D3* (body-centred) and D3 (face-centred)
        ("hexagonal", [1, 6, 6, 6, 12, 6, 6, 12]),
        ("face-centred", [1, 8, 6, 12, 24, 8, 6, 24]),
        ("body-centred", [1, 12, 6, 24, 12, 24, 8, 48]),
    ],
)
def test_theta_series(name, multiplicities):
    """Conway and Sloane, Sphere Packings, Lattices and Groups, ch. 4."""
    space = sj.Torus.from_lattice(LATTICES[name])
    levels = space.levels(space.unit_eigenvalue * 30)[: len(multiplicities)]
    assert [level.multiplicity for level in levels] == multiplicities


def test_the_lattice_e8_has_240_shortest_vectors():
    basis = np.zeros((8, 8))
    basis[0, 0] = 2
    for i in range(1, 7):
        basis[i, i - 1 : i + 1] = -1, 1
    basis[7] = 1 / 2
    levels = sj.Torus.from_lattice(basis).levels(4 * FOUR_PI_SQUARED)
    assert [(level.key, level.multiplicity) for level in levels] == [(0, 1), (1, 240), (2, 2160)]


def test_a_cubic_lattice_is_the_cubic_torus():
    cubic = sj.Torus(3, 2.5)
    for vectors in (2.5 * np.eye(3), [[0, 2.5, 0], [0, 0, 2.5], [2.5, 0, 0]]):
        space = sj.Torus.from_lattice(vectors)
        assert space.is_cubic
        assert [level[1:] for level in space.levels(100)] == [level[1:] for level in cubic.levels(100)]
        assert space.log_volume == pytest.approx(cubic.log_volume)
        x = jnp.asarray([[0.1, 0.7, 0.4]])
        ours, theirs = (
            sj.eigenbasis(torus, max_eigenvalue=30)(torus.period * x) for torus in (space, cubic)
        )
        np.testing.assert_allclose(ours, theirs, atol=10 * EXACT)
        assert sj.invariant_count(space, sj.symmetric_group(3), 100) == sj.invariant_count(
            cubic, sj.symmetric_group(3), 100
        )
    # The same lattice in a basis that is not orthogonal.
    skew = sj.Torus.from_lattice(LATTICES["Z² in a long basis"]).levels(1000)
    plain = sj.Torus(2, 1.0).levels(1000)
    assert [(e.key, e.multiplicity) for e in skew] == [(e.key, e.multiplicity) for e in plain]


def test_coordinates_and_volume(vectors):
    space = sj.Torus.from_lattice(vectors)
    u = space.sample(jax.random.key(0), (2, 4))
    x = space.cartesian(u)
    np.testing.assert_allclose(x, np.asarray(u) @ vectors, atol=10 * EXACT)
    np.testing.assert_allclose(space.fractional(x), u, atol=100 * EXACT)
    assert (x.dtype, space.fractional(x).dtype) == (u.dtype, u.dtype)
    assert space.volume == pytest.approx(abs(np.linalg.det(vectors)))
    scaled = sj.Torus(len(vectors), 2.0, vectors)  # points are twice the lattice coordinates
    np.testing.assert_allclose(scaled.cartesian(2 * u), x, atol=10 * EXACT)
    np.testing.assert_allclose(scaled.fractional(x), 2 * u, atol=100 * EXACT)
    assert scaled.levels(200) == space.levels(200)
    cubic = sj.Torus(2)
    np.testing.assert_array_equal(cubic.fractional(cubic.cartesian(x[..., :2])), x[..., :2])


@pytest.mark.parametrize("name", ["hexagonal", "triclinic"])
def test_eigenfunctions_are_orthonormal_and_those_of_the_laplacian(name):
    space = sj.Torus.from_lattice(LATTICES[name])
    basis = sj.eigenbasis(space, max_functions=30)
    side = 2 * int(np.abs(np.asarray(basis.functions.frequencies)).max()) + 1
    axes = np.meshgrid(*[np.arange(side) / side] * space.dimension)
    features = np.asarray(
        basis(jnp.asarray(np.stack(axes, -1).reshape(-1, space.dimension), float)), float
    )
    gram = features.T @ features / len(features)
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=10 * EXACT)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)
    x = space.cartesian(space.sample(jax.random.key(0), (3,)))

    def function(position):
        return basis.functions.rows(space.fractional(position)[None])[:, 0]

    hessian = jax.jit(jax.vmap(jax.hessian(function)))(x)
    expected = basis.eigenvalues[None] * jax.vmap(function)(x)
    scale = float(basis.eigenvalues[-1])
    np.testing.assert_allclose(
        -jnp.trace(hessian, axis1=-2, axis2=-1), expected, atol=100 * EXACT * scale
    )


def p6():
    return sj.affine_torus_group([SIXTH], [[0, 0]])


def p31m_with_thirds():
    """A turn by 120° about a point that is not the origin, a mirror, and thirds of the cell."""
    third = [[0, -1], [1, -1]]
    return sj.affine_torus_group(
        [third, [[0, 1], [1, 0]], [[1, 0], [0, 1]]], [[1 / 3, 2 / 3], [0, 0], [1 / 3, 2 / 3]]
    )


def p3_1():
    return sj.affine_torus_group([[[0, -1, 0], [1, -1, 0], [0, 0, 1]]], [[0, 0, 1 / 3]])


def block(*parts):
    d = sum(len(part) for part in parts)
    matrix, start = np.zeros((d, d)), 0
    for part in parts:
        matrix[start : start + len(part), start : start + len(part)] = part
        start += len(part)
    return matrix


PRISM = LATTICES["hexagonal, of irrational c/a"]
# name -> (lattice, group, order, max_eigenvalue)
CASES = {
    "p6": (HEXAGONAL, p6, 6, 700),
    "thirds": (HEXAGONAL, p31m_with_thirds, 18, 700),
    "P3_1": (PRISM, p3_1, 3, 120),
    "swap on the hexagonal lattice": (HEXAGONAL, lambda: sj.symmetric_group(2), 2, 300),
    "permutations, face-centred": (LATTICES["face-centred"], lambda: sj.cyclic_group(3), 3, 60),
    "p6 x signs": (PRISM, lambda: sj.direct_product(p6(), sj.sign_group(1)), 12, 120),
    "p6 wr S_2": (block(HEXAGONAL, HEXAGONAL), lambda: sj.wreath_product(p6(), 2), 72, 60),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request):
    vectors, group, order, bound = CASES[request.param]
    action = sj.action(sj.Torus.from_lattice(vectors), group())
    assert action.order == order
    return action, bound


def test_two_routes_agree_and_the_functions_are_invariant(case):
    action, bound = case
    bases = [
        sj.invariant_basis(action.space, action, max_eigenvalue=bound, route=route)
        for route in ("orbits", "averaging")
    ]
    assert {basis.certificate.source for basis in bases} == {"character"}
    x = action.space.sample(jax.random.key(1), (9,))
    kernels = [np.asarray(basis(x) @ basis(x).T) for basis in bases]  # of the subspaces
    assert 1 < bases[0].num_functions < bases[0].num_ambient
    np.testing.assert_allclose(kernels[1], kernels[0], atol=1000 * EXACT)
    g = action.elements()
    moved = action.act(jax.tree.map(lambda leaf: leaf[:, None], g), x[None])
    values = bases[0](moved)
    np.testing.assert_allclose(values, np.broadcast_to(bases[0](x), values.shape), atol=300 * EXACT)


@pytest.mark.parametrize("case", ["P3_1", "p6 wr S_2"], indirect=True)
def test_representations_are_those_of_the_moved_points(case):
    """φ(g⁻¹x) = φ(x) D(g), and D(g) is orthogonal."""
    action, bound = case
    level = action.space.levels(bound)[-1]
    g = jax.tree.map(lambda leaf: leaf[:2], action.elements())
    matrices = action.representation(level, g)
    x = action.space.sample(jax.random.key(2), (4,))
    inverse = jax.tree.map(lambda leaf: leaf[:, None], action.inverse(g))
    moved = action.space.eigenfunctions(level, action.act(inverse, x[None]))
    here = np.asarray(action.space.eigenfunctions(level, x), float)
    np.testing.assert_allclose(moved, here @ matrices, atol=300 * EXACT)
    identity = np.broadcast_to(np.eye(level.multiplicity), matrices.shape)
    np.testing.assert_allclose(matrices @ matrices.mT, identity, atol=1e-12)


def test_counts_are_those_of_the_orbits_by_hand():
    """p6 on |k|² ≤ 7 in units: the shells 1, 6, 6, 6, 12 of A2 are 1, 1, 1, 1, 2 orbits."""
    space = sj.Torus.from_lattice(HEXAGONAL)
    counts = [sj.invariant_count(space, p6(), space.unit_eigenvalue * norm) for norm in (0, 1, 3, 4, 7)]
    assert counts == [1, 2, 3, 4, 6]


def test_translations_leave_the_waves_across_them():
    space = sj.Torus.from_lattice(PRISM)
    basis = sj.invariant_basis(space, sj.translation_group([[1, 2, 0]]), max_eigenvalue=300)
    frequencies, _ = by_brute_force(np.asarray(PRISM), 300 / FOUR_PI_SQUARED)
    assert basis.num_functions == (frequencies @ [1, 2, 0] == 0).sum()
    x = space.sample(jax.random.key(0), (4,))
    shifted = x + jnp.asarray([[0.3, 0.6, 0.0]], x.dtype)
    np.testing.assert_allclose(basis(shifted), basis(x), atol=100 * EXACT)


def test_isometries_are_told_from_others_however_long_the_basis():
    """In another basis P of the lattice A is P^{−T} A P^T, and an isometry as before."""
    change = np.asarray([[2, 1, 0], [1, 1, 0], [3, 0, 1]])
    assert round(np.linalg.det(change)) == 1
    back = np.rint(np.linalg.inv(change.T)).astype(int)
    matrix = back @ np.asarray([[1, -1, 0], [1, 0, 0], [0, 0, 1]]) @ change.T
    group = sj.affine_torus_group([matrix], [[0, 0, 0]])
    prism = np.asarray(PRISM)
    changed = sj.Torus.from_lattice(change @ prism)
    count = sj.invariant_count(changed, group, 300)
    plain = sj.affine_torus_group([[[1, -1, 0], [1, 0, 0], [0, 0, 1]]], [[0, 0, 0]])
    assert count == sj.invariant_count(sj.Torus.from_lattice(prism), plain, 300)
    with pytest.raises(ValueError, match="group: generator 0 .* no isometry of this torus"):
        sj.action(sj.Torus.from_lattice(prism), group)


@pytest.mark.parametrize(
    ("vectors", "group", "defect"),
    [
        (HEXAGONAL, lambda: sj.sign_group(2), r"1\.0e\+00"),
        ([[1, 0], [-1 / 2, 0.8660254]], p6, r"6\.6e-09"),
        ([[1, 0], [-1 / 2, 0.9]], p6, r"5\.7e-02"),
        ([[1, 0], [0, 2]], lambda: sj.symmetric_group(2), r"7\.5e-01"),
    ],
)
def test_what_is_no_isometry_is_refused_with_its_defect(vectors, group, defect):
    with pytest.raises(ValueError, match=f"group: generator 0 .* this torus: .* by {defect} of"):
        sj.action(sj.Torus.from_lattice(vectors), group())


def test_short_vectors_of_a_long_basis():
    """A basis of Z³ with long vectors, through its Gram matrix."""
    change = np.asarray([[1, 0, 0], [5, 1, 0], [-3, 4, 1]], float)
    found = short_vectors(dual_form(change).triangle, 2.0)
    dual = np.rint(found @ np.linalg.inv(change).T).astype(int)
    assert len({tuple(row) for row in dual.tolist()}) == len(found) == 19
    assert (dual**2).sum(axis=1).max() == 2


def test_a_model_on_a_lattice_is_saved_and_read(tmp_path):
    space = sj.Torus.from_lattice(PRISM)
    x = space.sample(jax.random.key(0), (12,))
    basis = sj.invariant_basis(space, p3_1(), max_eigenvalue=60)
    model = sj.fit_ridge(basis, x, x[:, 0], penalty=0.1)
    sj.save(tmp_path / "model.npz", model)
    again = sj.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again(x), model(x))
    assert again.basis.space == space
    assert eqx.tree_equal(again.basis.action, model.basis.action)


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("vectors", "error", "message"),
    [
        ([[1, 0, 0], [0, 1, 0]], ValueError, r"vectors: .* shape \(d, d\), and got \(2, 3\)"),
        (1.0, ValueError, r"vectors: .* and got \(\)"),
        ([[1, 0], [2, 0]], ValueError, r"vectors: .* nearly linearly dependent"),
        ([[1, 0], [1e6, 1]], ValueError, r"vectors: .* reduced basis"),
        ([[1, 0], [0, 0]], ValueError, r"vectors: .* not zero"),
        ([[1, 0], [0, math.nan]], ValueError, r"vectors: .* finite"),
        ([[1, 0], [0]], ValueError, r"vectors: .*unequal lengths"),
        ([["a"]], TypeError, r"vectors: expected real numbers"),
        ([[1j]], TypeError, r"vectors: expected real numbers"),
    ],
)
def test_bad_lattices(vectors, error, message):
    with pytest.raises(error, match=message):
        sj.Torus.from_lattice(vectors)


def test_requests_that_are_too_large_and_points_of_another_shape():
    space = sj.Torus.from_lattice(PRISM)
    with pytest.raises(ValueError, match=r"max_eigenvalue or max_functions: over 20,000,000 freq"):
        sj.Torus.from_lattice(HEXAGONAL).levels(1e12)
    for check in (space.check, sj.Torus(3).check):
        check(np.zeros((2, 3)))
        with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 3\)"):
            check(np.zeros((2, 2)))
        with pytest.raises(ValueError, match=r"points: row 1 is not finite"):
            check(np.asarray([[0.0, 0, 0], [0, math.inf, 0]]))
    with pytest.raises(ValueError, match=r"positions: expected shape \(\*batch, 3\)"):
        space.fractional(jnp.zeros((2,)))
