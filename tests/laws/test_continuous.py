"""Bases of continuous groups: closed forms, exact counts, two routes, invariance under Haar samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import block_diag

import symjax_learn as sj
from tests.quadratures import quadrature
from tests.registry import EXACT, X64

J = np.asarray([[0.0, -1.0], [1.0, 0.0]])


def diagonal_rotation(key):
    """The same rotation of two vectors of R³."""
    return jnp.kron(jnp.eye(2), sj.special_orthogonal_group(3).sample(key))


def spin():
    return [np.kron(np.eye(2), a) for a in sj.special_orthogonal_group(3).lie_algebra]


def products():
    """A finite group of matrices beside a continuous one."""
    return sj.direct_product(sj.point_group("D2"), sj.special_orthogonal_group(2))


# name -> (space, group, truncation, invariants of each level or None, source of the count)
PAIRS = {
    "SO(3) on S²": (sj.Sphere(2), lambda: sj.special_orthogonal_group(3), 20, [1, 0, 0, 0, 0], "molien"),
    "turns about an axis": (
        sj.Sphere(2),
        lambda: sj.lie_group([block_diag(J, 0)]),
        20,
        [1] * 5,
        "molien",
    ),
    "Hopf": (sj.Sphere(3), lambda: sj.lie_group([block_diag(J, J)]), 24, [1, 0, 3, 0, 5], "molien"),
    "SU(2) on S³": (sj.Sphere(3), lambda: sj.special_unitary_group(2), 24, [1, 0, 0, 0, 0], "molien"),
    "O(2) x S_2": (
        sj.Sphere(3),
        lambda: sj.direct_product(sj.orthogonal_group(2), sj.symmetric_group(2)),
        24,
        [1, 1, 2, 2, 3],
        "molien",
    ),
    "D_2 x SO(2)": (sj.Sphere(4), products, 18, [1, 0, 3, 1], "character"),
    "SO(2) wr S_2": (
        sj.Sphere(3),
        lambda: sj.wreath_product(sj.special_orthogonal_group(2), 2),
        24,
        [1, 0, 0, 0, 1],
        "molien",
    ),
    "O(2) by its parts": (
        sj.Sphere(1),
        lambda: sj.lie_group([J], [np.diag([1.0, -1.0])], sample=sj.orthogonal_group(2).sample),
        9,
        [1, 0, 0, 0],
        "second_route",
    ),
    "SO(3) on two vectors": (
        sj.Sphere(5),
        lambda: sj.lie_group(spin(), sample=diagonal_rotation),
        21,
        # |x|², x·y, |y|² less their sum: harmonics of degree 2 in two variables, and so on.
        [1, 0, 2, 0],
        "second_route",
    ),
    "all shifts": (sj.Torus(2), lambda: sj.translation_group(2), 5, None, "orbits"),
    "the diagonal": (
        sj.Torus(3, 1.0),
        lambda: sj.translation_group([[1, 1, 1]]),
        6 * 39.5,
        None,
        "orbits",
    ),
    "shifts x S_2": (
        sj.Torus(3),
        lambda: sj.direct_product(sj.translation_group(1), sj.symmetric_group(2)),
        6,
        None,
        "orbits",
    ),
    # Radial functions alone, Hermite series of |x|², and what only a constant can be.
    "SO(3) on a ball": (
        sj.Ball(3),
        lambda: sj.special_orthogonal_group(3),
        21,
        [1, 0, 0, 1, 0],
        "molien",
    ),
    "SO(3) on a Gaussian": (
        sj.Gaussian(3),
        lambda: sj.special_orthogonal_group(3),
        4,
        [1, 0, 1, 0, 1],
        "molien",
    ),
    "SO(3) on itself": (
        sj.RotationGroup(),
        lambda: sj.special_orthogonal_group(3),
        6,
        [1, 0, 0],
        "molien",
    ),
    # One zonal function P_l(R_33) for each degree.
    "turns on both sides": (
        sj.RotationGroup(),
        lambda: sj.direct_product(*[sj.lie_group([block_diag(J, 0)])] * 2),
        6,
        [1, 1, 1],
        "molien",
    ),
    # Functions of the plane that two vectors span: those of the Grassmannian, 9 at λ = 8.
    "O(2) on frames": (
        sj.Stiefel(2, 4),
        lambda: sj.orthogonal_group(2),
        8,
        [1, 0, 0, 9],
        "second_route",
    ),
    "S_3 x SO(3) on sets": (
        sj.Sets(sj.Sphere(2), 3),
        lambda: sj.direct_product(sj.symmetric_group(3), sj.special_orthogonal_group(3)),
        6,
        [1, 0, 1, 0],  # Σ x_i·x_j; the determinant of three vectors changes its sign
        "molien",
    ),
    "user's own turns": (
        sj.action(
            sj.Sphere(2),
            sj.special_orthogonal_group(2),
            act=lambda g, x: jnp.concatenate([x[:1], g.astype(x.dtype) @ x[1:]]),
        ),
        None,
        12,
        [1, 1, 1, 1],
        "second_route",
    ),
}
ROUTES = [(name, "auto") for name in PAIRS] + [
    (name, "subset") for name in ("SO(3) on S²", "Hopf", "O(2) x S_2", "SO(3) on two vectors")
]


@pytest.fixture(params=ROUTES, ids=lambda pair: f"{pair[0]}-{pair[1]}", scope="module")
def case(request):
    name, route = request.param
    space, group, max_eigenvalue, counts, source = PAIRS[name]
    acting = space if group is None else sj.action(space, group())
    basis = sj.invariant_basis(acting.space, acting, max_eigenvalue=max_eigenvalue, route=route)
    return basis, max_eigenvalue, counts, source


def test_as_many_as_there_are(case):
    basis, max_eigenvalue, counts, source = case
    certificate = basis.certificate
    assert certificate.source == source
    assert certificate.rank == basis.num_functions
    assert certificate.residual < (1e-10 if X64 else 1e-5)
    levels = basis.space.levels(max_eigenvalue)
    if counts is not None:
        found = [int(np.isclose(basis.eigenvalues, level.eigenvalue).sum()) for level in levels]
        assert found == counts
    if source != "second_route":
        assert sj.invariant_count(basis.space, basis.action, max_eigenvalue) == basis.num_functions


def test_invariant_under_haar_samples(case):
    basis = case[0]
    x = basis.space.sample(jax.random.key(0), (20,))
    g = basis.action.sample(jax.random.key(1), (20,))
    np.testing.assert_allclose(basis(basis.action.act(g, x)), basis(x), atol=300 * EXACT)


def test_orthonormal(case):
    basis, max_eigenvalue, *_ = case
    points, weights = quadrature(basis.space, max_eigenvalue)
    features = np.asarray(basis(points), float)
    gram = features.T @ (weights[:, None] * features)
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=30 * EXACT)


def test_translations_leave_the_waves_that_are_constant_along_them():
    """k·v = 0, by listing all frequencies."""
    for name in ("all shifts", "the diagonal", "shifts x S_2"):
        space, group, max_eigenvalue, *_ = PAIRS[name]
        norm = round(max_eigenvalue / space.unit_eigenvalue)
        side = np.arange(-3, 4)
        k = np.stack(np.meshgrid(*[side] * space.dimension, indexing="ij"), -1).reshape(
            -1, space.dimension
        )
        k = k[(k**2).sum(axis=1) <= norm]
        if name == "all shifts":
            expected = 1
        elif name == "the diagonal":
            expected = int((k.sum(axis=1) == 0).sum())
        else:
            expected = len({tuple(sorted(row[1:])) for row in k.tolist() if row[0] == 0})
        basis = sj.invariant_basis(space, group(), max_eigenvalue=max_eigenvalue)
        assert basis.num_functions == expected
        assert basis.route == "orbits"


@pytest.mark.parametrize("name", ["the diagonal", "shifts x S_2"])
def test_matrices_of_random_translations_are_those_of_the_moved_waves(name):
    space, group, max_eigenvalue, *_ = PAIRS[name]
    acting, levels = sj.action(space, group()), space.levels(max_eigenvalue)
    elements = acting.sample(jax.random.key(0), (3,))
    x = space.sample(jax.random.key(1), (7,))
    back = acting.act(jax.tree.map(lambda leaf: leaf[:, None], acting.inverse(elements)), x[None])
    for level, matrices in zip(levels, acting.representations(levels, elements), strict=True):
        here, there = (np.asarray(space.eigenfunctions(level, points)) for points in (x, back))
        np.testing.assert_allclose(there, here @ matrices, atol=100 * EXACT)
    routes = ("orbits", "subset")
    kept = [sj.invariant_basis(space, acting, max_eigenvalue=max_eigenvalue, route=r) for r in routes]
    assert kept[0].num_functions == kept[1].num_functions


def test_turns_about_an_axis_leave_legendre_polynomials():
    basis = sj.invariant_basis(sj.Sphere(2), sj.lie_group([block_diag(J, 0)]), max_eigenvalue=20)
    assert basis.route == "lie"
    x = sj.Sphere(2).sample(jax.random.key(2), (50,))
    height = np.asarray(x[:, 2], float)
    expected = [np.polynomial.Legendre.basis(k)(height) * np.sqrt(2 * k + 1) for k in range(5)]
    features = np.asarray(basis(x), float)
    signs = np.sign((features * np.stack(expected, axis=1)).sum(axis=0))
    np.testing.assert_allclose(features, signs * np.stack(expected, axis=1), atol=100 * EXACT)


@pytest.mark.skipif(not X64, reason="set-up work is the same float64 in every session")
@pytest.mark.parametrize("name", ["Hopf", "SO(3) on two vectors"])
def test_derivations_are_a_representation_of_the_lie_algebra(name):
    """Skew, and [dρ(A), dρ(B)] = dρ([A, B]) for the brackets in the basis of the algebra."""
    space, group, max_eigenvalue, *_ = PAIRS[name]
    acting = sj.action(space, group())
    algebra = acting.group.lie_algebra
    flat = algebra.reshape(len(algebra), -1)
    levels = space.levels(max_eigenvalue)
    for derivation in acting.derivations(levels):
        np.testing.assert_allclose(derivation, -derivation.mT, atol=1e-10)
        for i, a in enumerate(algebra):
            for j, b in enumerate(algebra):
                coordinates = np.linalg.lstsq(flat.T, (a @ b - b @ a).ravel())[0]
                expected = np.einsum("k,kmn->mn", coordinates, derivation)
                bracket = derivation[i] @ derivation[j] - derivation[j] @ derivation[i]
                np.testing.assert_allclose(bracket, expected, atol=1e-9)


@pytest.mark.skipif(not X64, reason="set-up work is the same float64 in every session")
@pytest.mark.parametrize("name", ["B_3", "icosahedral"])
def test_random_elements_of_finite_groups(name):
    from tests.registry import PAIRS as FINITE

    pair = FINITE[f"{name} on a sphere"]()
    ours, oracle = pair.basis("subset"), pair.basis("generators")
    points, weights = quadrature(pair.action.space, pair.max_eigenvalue)
    features, others = np.asarray(ours(points)), np.asarray(oracle(points))
    mixed = features.T @ (weights[:, None] * others)
    np.testing.assert_allclose(mixed @ mixed.T, np.eye(len(mixed)), atol=1e-9)


def test_a_fit_on_the_functions_of_one_coordinate():
    """A function of the height alone, from 12 samples; exactly invariant under turns."""
    space, group = sj.Sphere(2), sj.lie_group([block_diag(J, 0)])
    basis = sj.invariant_basis(space, group, max_eigenvalue=42)
    x = space.sample(jax.random.key(3), (12,))
    model = sj.fit_ridge(basis, x, jnp.sin(2 * x[:, 2]))
    x_new = space.sample(jax.random.key(4), (100,))
    assert np.abs(np.asarray(model(x_new) - jnp.sin(2 * x_new[:, 2]))).max() < 0.05
    acting = sj.action(space, group)
    assert sj.invariance_discrepancy(jax.random.key(5), model, acting, x_new) < 100 * EXACT
    averaged = sj.fit_spec_avg(sj.eigenbasis(space, max_eigenvalue=12), x, x[:, 2], action=acting)
    assert sj.invariance_discrepancy(jax.random.key(5), averaged, acting, x_new) < 100 * EXACT


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("route", "group", "message"),
    [
        (
            "generators",
            sj.special_orthogonal_group(3),
            r"route: 'generators' .* continuous group; use 'lie'",
        ),
        ("lie", sj.symmetric_group(3), r"route: 'lie' .* finite group; use 'generators'"),
        ("chain", sj.special_orthogonal_group(3), r"g: LieGroup is infinite"),
        ("averaging", sj.special_orthogonal_group(3), r"elements: the group has order infinity"),
        (
            "subset",
            sj.lie_group(sj.special_orthogonal_group(3).lie_algebra),
            r"sample: no sampler of this LieGroup is known",
        ),
    ],
)
def test_routes_that_do_not_fit(route, group, message):
    with pytest.raises(ValueError, match=message):
        sj.invariant_basis(sj.Sphere(2), group, max_eigenvalue=6, route=route)
