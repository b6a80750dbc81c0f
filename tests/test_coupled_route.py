"""The route ``coupled`` against general routes, and where these do not reach exact counts; forces."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import EXACT, X64

ROTATIONS, ORTHOGONAL = sj.special_orthogonal_group(3), sj.orthogonal_group(3)
ATOMS = sj.Product(sj.Ball(3), sj.Labels(3))
# name -> (points, n, H, K, truncation, a general route)
SMALL = {
    "two on S², SO(3)": (sj.Sphere(2), 2, sj.symmetric_group(2), ROTATIONS, 24, "lie"),
    "three on S², O(3)": (sj.Sphere(2), 3, sj.symmetric_group(3), ORTHOGONAL, 12, "lie"),
    "three on S², SO(2)": (
        sj.Sphere(2),
        3,
        sj.symmetric_group(3),
        sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]]),
        8,
        "lie",
    ),
    "blocks of a Gaussian, SO(3)": (sj.Gaussian(3), 3, sj.young_group(2, 1), ROTATIONS, 4, "lie"),
    "three on S³, SO(4)": (
        sj.Sphere(3),
        3,
        sj.symmetric_group(3),
        sj.special_orthogonal_group(4),
        11,
        "lie",
    ),
    "atoms with labels, O(3)": (ATOMS, 2, sj.symmetric_group(2), ORTHOGONAL, 15, "lie"),
    "four on S², D3d": (sj.Sphere(2), 4, sj.symmetric_group(4), sj.point_group("D3d"), 8, "generators"),
    "three in a ball, Oh": (
        sj.Ball(3),
        3,
        sj.symmetric_group(3),
        sj.point_group("Oh"),
        20,
        "generators",
    ),
    "signs of a Gaussian": (
        sj.Gaussian(2),
        3,
        sj.symmetric_group(3),
        sj.sign_group(2),
        4,
        "generators",
    ),
}
BOUNDS = {sj.Ball: 21.0, sj.Gaussian: 4.0, sj.Sphere: 14.0}
IN_FLOAT32 = ("three on S², O(3)", "signs of a Gaussian")


def built(space, num_points, order, moving, max_eigenvalue, route="coupled"):
    return sj.invariant_basis(
        sj.Sets(space, num_points),
        sj.direct_product(order, moving),
        max_eigenvalue=max_eigenvalue,
        route=route,
    )


@pytest.mark.parametrize("name", SMALL if X64 else IN_FLOAT32)
def test_the_subspace_is_that_of_a_general_route(name):
    *case, route = SMALL[name]
    ours, theirs = built(*case), built(*case, route=route)
    np.testing.assert_allclose(ours.eigenvalues, theirs.eigenvalues, rtol=10 * EXACT, atol=EXACT)
    x = ours.space.sample(jax.random.key(0), (ours.num_functions + 5,))
    for eigenvalue in set(np.asarray(ours.eigenvalues).tolist()):
        here = np.isclose(ours.eigenvalues, eigenvalue)
        kernel, expected = (np.asarray(basis(x), float)[:, here] for basis in (ours, theirs))
        expected = expected @ expected.T
        bound = 1e-9 if X64 else 1e-4
        np.testing.assert_allclose(kernel @ kernel.T, expected, atol=bound * np.abs(expected).max())


@pytest.fixture(scope="module", params=["SO(3)", "O(3)"])
def twenty(request):
    """Twenty points on the sphere: 10^15 eigenfunctions."""
    proper = request.param == "SO(3)"
    if not X64 and proper:
        pytest.skip("one of the two is enough in float32")
    moving = ROTATIONS if proper else ORTHOGONAL
    space, group = sj.Sets(sj.Sphere(2), 20), sj.direct_product(sj.symmetric_group(20), moving)
    bound = 40 if X64 else 20
    return sj.invariant_basis(space, group, max_eigenvalue=bound), {True: 313, False: 234}[proper]


def test_twenty_points_on_a_sphere(twenty):
    basis, count = twenty
    assert basis.route == "coupled"
    assert "couples few states" in basis.reason
    if X64:
        assert basis.num_functions == basis.certificate.count == count
        assert basis.num_ambient == 1_527_710_422_525_711
    x = basis.space.sample(jax.random.key(0), (4,))
    g = basis.action.sample(jax.random.key(1), (4,))
    values = np.asarray(basis(x), float)
    moved = np.asarray(basis(basis.action.act(g, x)), float)
    bound = 1e-11 if X64 else 2e-4
    np.testing.assert_allclose(moved, values, atol=bound * np.abs(values).max())
    # One point alone is not free to turn, and the order of others is: what is no symmetry shows.
    turned = x.at[:, 0].set(x[:, 0] @ jnp.asarray([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], x.dtype))
    assert float(np.abs(np.asarray(basis(turned), float) - values).max()) > 0.1


def test_a_basis_is_built_once_and_read_again(twenty, tmp_path):
    basis, _ = twenty
    sj.save(tmp_path / "basis.npz", basis)
    again = sj.load(tmp_path / "basis.npz")
    x = basis.space.sample(jax.random.key(0), (3,))
    np.testing.assert_array_equal(again(x), basis(x))
    assert again.certificate == basis.certificate
    assert (again.route, again.num_ambient) == (basis.route, basis.num_ambient)
    np.testing.assert_array_equal(again.eigenvalues, basis.eigenvalues)


@pytest.mark.parametrize(("n", "proper", "count"), [(3, 12, 11), (4, 35, 29)])
@pytest.mark.skipif(not X64, reason="set-up work is the same in every session")
def test_known_counts(n, proper, count):
    for moving, expected in ((ROTATIONS, proper), (ORTHOGONAL, count)):
        basis = built(sj.Sphere(2), n, sj.symmetric_group(n), moving, 40.5)
        assert basis.num_functions == expected


def test_blocks_of_points_are_permuted_and_no_others():
    """Two kinds of atoms: in the labels of the points, and in blocks of them."""
    basis = built(
        sj.Gaussian(3), 5, sj.direct_product(sj.symmetric_group(2), sj.symmetric_group(3)), ORTHOGONAL, 4
    )
    x = basis.space.sample(jax.random.key(0), (3,))
    assert basis.action is not None
    g = basis.action.sample(jax.random.key(1), (3,))
    values, bound = np.asarray(basis(x), float), 1e3 * EXACT
    np.testing.assert_allclose(basis(basis.action.act(g, x)), values, atol=bound * np.abs(values).max())
    assert float(jnp.abs(basis(x[:, ::-1]) - basis(x)).max()) > 0.1
    with pytest.raises(ValueError, match="points: expected shape"):
        basis(x[:, :4])


def test_the_two_body_function_at_every_size():
    """The first invariant is c·Σ_{i<j} x_i·x_j, at other sizes of the same mean, or the same sum."""
    basis = built(sj.Sphere(2), 6, sj.symmetric_group(6), ROTATIONS, 4)
    sums_of = dataclasses.replace(basis, normalization="sum")
    assert basis.num_functions == 2

    def dot_products(x, size):
        x = np.asarray(x, float)[:, :size]
        return (np.linalg.norm(x.sum(axis=1), axis=1) ** 2 - size) / 2

    # E (x·y)² = 1/3 over each of the 15 pairs.
    norm = math.sqrt(15 / 3)
    mask = np.zeros((3, 7), bool)
    for size in (2, 4, 6, 7):
        x = sj.Sets(sj.Sphere(2), size).sample(jax.random.key(size), (3,))
        padded = jnp.concatenate([x, jnp.full((3, 7 - size, 3), jnp.nan, x.dtype)], axis=1)
        mask[:] = np.arange(7) < size
        mean = dot_products(x, size) * math.comb(6, 2) / math.comb(size, 2) / norm
        found = np.asarray(basis(padded, mask), float)[:, 1]
        sign = np.sign(found[0] * mean[0])
        np.testing.assert_allclose(sign * found, mean, atol=1e3 * EXACT)
        sums = np.asarray(sums_of(padded, mask), float)[:, 1]
        np.testing.assert_allclose(sign * sums, dot_products(x, size) / norm, atol=1e3 * EXACT)


def test_invariance_at_other_sizes():
    basis = built(sj.Gaussian(3), 4, sj.symmetric_group(4), ORTHOGONAL, 5)
    x = sj.Sets(sj.Gaussian(3), 6).sample(jax.random.key(0), (3,))
    mask = np.asarray([[True] * 6, [True] * 2 + [False] * 4, [False, True] * 3])
    g = ORTHOGONAL.sample(jax.random.key(1), (3, 1))
    moved = np.asarray(ORTHOGONAL.apply(g, x))
    values = np.asarray(basis(x, mask), float)
    np.testing.assert_allclose(basis(moved, mask), values, atol=1e3 * EXACT * np.abs(values).max())
    np.testing.assert_allclose(basis(x[2:, 1::2]), values[2:], atol=1e2 * EXACT * np.abs(values).max())


@pytest.mark.parametrize("space", [sj.Ball(3), sj.Gaussian(3), sj.Sphere(2)], ids=str)
def test_gradients_are_right_where_points_meet_and_at_the_origin(space):
    basis = built(space, 3, sj.symmetric_group(3), ORTHOGONAL, BOUNDS[type(space)])
    assert basis.num_functions >= 3
    weights = jnp.asarray(np.random.default_rng(0).normal(size=basis.num_functions))
    x = basis.space.sample(jax.random.key(0), (3,))
    x = x.at[1, 1].set(x[1, 0]).at[2, :2].set(x[2, 2])
    if not isinstance(space, sj.Sphere):
        x = x.at[2].set(0.0)

    def energy(points):
        return jnp.sum(basis(points) @ weights.astype(points.dtype))

    slopes = np.asarray(jax.jit(jax.grad(energy))(x), float)
    assert np.isfinite(slopes).all()
    along = np.asarray(jax.random.normal(jax.random.key(1), x.shape), float)
    step = 1e-5 if X64 else 1e-2
    forward, backward = (float(energy(x + sign * step * along.astype(x.dtype))) for sign in (1, -1))
    expected = (forward - backward) / (2 * step)
    np.testing.assert_allclose(
        (slopes * along).sum(), expected, atol=(1e-7 if X64 else 2e-2) * max(1, abs(expected))
    )
    if not isinstance(space, sj.Sphere):
        # All at the origin: no direction is left for a force.
        np.testing.assert_allclose(slopes[2], 0, atol=1e2 * EXACT)
    # No energy is gained by turning all points.
    torques = np.cross(np.asarray(x, float), slopes).sum(axis=1)
    np.testing.assert_allclose(torques, 0, atol=1e4 * EXACT)


def test_energies_and_forces_are_learned_together(tmp_path):
    basis = built(sj.Gaussian(3), 3, sj.symmetric_group(3), ORTHOGONAL, 4)

    def energy(x):
        pairs = x[jnp.asarray([0, 0, 1])] - x[jnp.asarray([1, 2, 2])]
        return jnp.sum(jnp.sum(pairs**2, axis=1) ** 2)

    x, new = (basis.space.sample(jax.random.key(i), (12,)) for i in (0, 1))
    model = sj.fit_ridge(
        basis,
        x,
        jax.vmap(energy)(x),
        gradients=jax.vmap(jax.grad(energy))(x),
        penalty=1e-13 if X64 else 1e-8,
    )
    expected = jax.vmap(energy)(new)
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(model(new), expected, atol=(1e-7 if X64 else 1e-2) * scale)
    sj.save(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(new), model(new))


def test_auto_keeps_the_general_routes_for_small_eigenspaces():
    group = sj.direct_product(sj.symmetric_group(2), ROTATIONS)
    assert sj.invariant_basis(sj.Sets(sj.Sphere(2), 2), group, max_eigenvalue=6).route == "lie"


@pytest.mark.parametrize(
    ("space", "group"),
    [
        (sj.Sets(sj.Sphere(2), 4), sj.symmetric_group(4)),
        (sj.Sets(sj.Sphere(2), 4), sj.direct_product(sj.alternating_group(4), sj.point_group("C3"))),
        (sj.Sphere(2), sj.point_group("C3")),
    ],
)
def test_pairs_of_another_kind_are_refused(space, group):
    with pytest.raises(ValueError, match=r"route: 'coupled' needs a direct product of permutations"):
        sj.invariant_basis(space, group, max_eigenvalue=2, route="coupled")


@pytest.mark.usefixtures("without_signature_checks")
def test_a_users_own_act_is_refused():
    space, group = (
        sj.Sets(sj.Sphere(2), 2),
        sj.direct_product(sj.symmetric_group(2), sj.point_group("C3")),
    )
    acting = sj.action(space, group, act=lambda _, x: x)
    with pytest.raises(ValueError, match="route: 'coupled' needs"):
        sj.invariant_basis(space, acting, max_eigenvalue=2, route="coupled")


def test_too_much_is_refused_in_numbers(monkeypatch):
    space = sj.Sets(sj.Sphere(2), 6)
    group = sj.direct_product(sj.symmetric_group(6), sj.point_group("T"))
    monkeypatch.setattr("symjax_learn.algebra.couplings.MAX_STATES", 5)
    with pytest.raises(
        ValueError, match=r"max_eigenvalue or max_functions: \d+ states .* at most 5 are"
    ):
        sj.invariant_basis(space, group, max_eigenvalue=12, route="coupled")
    monkeypatch.setattr("symjax_learn.invariants.routes.coupled._MAX_OCCUPATIONS", 5)
    with pytest.raises(ValueError, match=r"more than 5 products of symmetric powers"):
        sj.invariant_basis(space, group, max_eigenvalue=12, route="coupled")
