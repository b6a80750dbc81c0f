"""The route ``multiset`` where no other reaches, against closed forms; and what it refuses."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import EXACT, X64


def test_one_hundred_permuted_coordinates():
    """|G| = 100!: single waves, products of two in closed form, and no permutation that shows."""
    space, group = sj.Torus(100), sj.symmetric_group(100)
    basis = sj.invariant_basis(space, group, max_eigenvalue=6)
    assert (basis.route, basis.num_functions) == ("multiset", 40)
    assert basis.num_ambient == 78_768_528_041
    assert basis.certificate.count == 40
    x = space.sample(jax.random.key(0), (5,))
    features, points = np.asarray(basis(x), float), np.asarray(x, float)
    cosines, sines = math.sqrt(2) * np.cos(points), math.sqrt(2) * np.sin(points)

    def projected(values):
        """Onto the span of the functions of one eigenvalue, at more points than there are of these."""
        chosen = np.isclose(basis.eigenvalues, 2)
        many = space.sample(jax.random.key(1), (12,))
        fit = np.linalg.lstsq(np.asarray(basis(many), float)[:, chosen], values(many), rcond=None)[0]
        return features[:, chosen] @ fit

    single = features[:, np.isclose(basis.eigenvalues, 1)]
    expected = np.stack([cosines.sum(axis=1), sines.sum(axis=1)], axis=1) / 10
    np.testing.assert_allclose(np.abs(single), np.abs(expected), atol=30 * EXACT)

    def pairs(x):
        waves = math.sqrt(2) * np.cos(np.asarray(x, float))
        return (waves.sum(axis=1) ** 2 - (waves**2).sum(axis=1)) / 2 / math.sqrt(math.comb(100, 2))

    np.testing.assert_allclose(projected(pairs), pairs(x), atol=1e4 * EXACT)
    shuffled = jax.vmap(jax.random.permutation)(jax.random.split(jax.random.key(2), 5), x)
    np.testing.assert_allclose(basis(shuffled), features, atol=1e3 * EXACT)


def test_twenty_points_on_a_sphere_and_blocks_of_them():
    space = sj.Sets(sj.Sphere(2), 20)
    whole = sj.invariant_basis(space, sj.symmetric_group(20), max_eigenvalue=6, route="multiset")
    blocks = sj.invariant_basis(space, sj.young_group(12, 7, 1), max_eigenvalue=6, route="multiset")
    assert whole.num_functions == 1 + 3 + 6 + 5 + 10  # 1; x; xx; second degree; xxx
    x = space.sample(jax.random.key(0), (4,))
    first, second = x[:, :12], x[:, 12:19]
    mixed = jnp.concatenate([first[:, ::-1], jnp.roll(second, 2, axis=1), x[:, 19:]], axis=1)
    np.testing.assert_allclose(blocks(mixed), blocks(x), atol=1e3 * EXACT)
    assert float(jnp.abs(blocks(x[:, ::-1]) - blocks(x)).max()) > 0.1
    np.testing.assert_allclose(whole(x[:, ::-1]), whole(x), atol=1e3 * EXACT)


def test_sets_of_sets():
    """Four pairs: unordered pairs, in any order; against all 2!⁴·4! permutations."""
    space, group = sj.Box(8), sj.wreath_product(sj.symmetric_group(2), 4)
    basis = sj.invariant_basis(space, group, max_eigenvalue=4 * math.pi**2, route="multiset")
    x = space.sample(jax.random.key(0), (3,))
    features, pairs = basis(x), x.reshape(3, 4, 2)
    for order in itertools.permutations(range(4)):
        turned = pairs[:, list(order)]
        turned = turned.at[:, order[0] % 4].set(turned[:, order[0] % 4, ::-1])
        np.testing.assert_allclose(basis(turned.reshape(3, 8)), features, atol=1e3 * EXACT)
    other = sj.invariant_basis(space, group, max_eigenvalue=4 * math.pi**2, route="orbits")
    many = np.asarray(space.sample(jax.random.key(1), (40,)))
    ours, theirs = np.asarray(basis(many), float), np.asarray(other(many), float)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e4 * EXACT)


def test_a_factor_of_another_kind_is_a_block_of_its_own():
    """Rotations of three coordinates beside permutations of forty."""
    space = sj.Gaussian(43)
    group = sj.direct_product(sj.special_orthogonal_group(3), sj.symmetric_group(40))
    basis = sj.invariant_basis(space, group, max_eigenvalue=4)
    assert basis.route == "multiset"
    # Radial functions of degree 0, 2, 4, and partitions 1, 1, 2, 3, 5 of the degree that is left.
    assert basis.num_functions == (1 + 1 + 2 + 3 + 5) + (1 + 1 + 2) + 1
    g = basis.action.sample(jax.random.key(0), (3,))
    x = space.sample(jax.random.key(1), (3,))
    np.testing.assert_allclose(basis(basis.action.act(g, x)), basis(x), atol=1e4 * EXACT)


def test_models_learn_are_stored_and_have_gradients(tmp_path):
    space, group = sj.Torus(60), sj.symmetric_group(60)
    basis = sj.invariant_basis(space, group, max_functions=30)
    assert basis.num_functions <= 30
    assert basis.route == "multiset"

    def target(x):
        return jnp.cos(x).sum(axis=1) ** 2 / 60 + jnp.sin(2 * x).mean(axis=1)

    x, new = space.sample(jax.random.key(0), (300,)), space.sample(jax.random.key(1), (20,))
    model = sj.fit_ridge(sj.invariant_basis(space, group, max_eigenvalue=4), x, target(x))
    np.testing.assert_allclose(model(new), target(new), atol=1e-9 if X64 else 1e-3)
    slopes = jax.vmap(jax.grad(lambda point: model(point)))(new)
    expected = jax.vmap(jax.grad(lambda point: target(point[None])[0]))(new)
    np.testing.assert_allclose(slopes, expected, atol=1e-8 if X64 else 2e-2)
    sj.save(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(new), model(new))


@pytest.mark.usefixtures("without_signature_checks")
def test_where_nothing_is_counted_auto_takes_another_route():
    turn = np.asarray([[0.0, -1], [1, 0]])
    circle = sj.lie_group([turn], [np.diag([1.0, -1])], sample=sj.orthogonal_group(2).sample)
    space, group = sj.Gaussian(4), sj.direct_product(circle, sj.symmetric_group(2))
    basis = sj.invariant_basis(space, group, max_eigenvalue=2)
    assert (basis.route, basis.certificate.source) == ("lie", "second_route")
    assert basis.num_functions == 1 + 1 + 3  # 1; x + y; |z|², x² + y², xy
    with pytest.raises(ValueError, match=r"route: 'multiset' is certified by an exact count, and none"):
        sj.invariant_basis(space, group, max_eigenvalue=2, route="multiset")


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    with pytest.raises(ValueError, match=r"route: 'multiset' needs a group that permutes .*'orbits'"):
        sj.invariant_basis(sj.Torus(3), sj.cyclic_group(3), max_eigenvalue=2, route="multiset")
    with pytest.raises(ValueError, match=r"route: 'multiset' needs a group .*use 'generators'"):
        sj.invariant_basis(sj.Sphere(2), sj.symmetric_group(3), max_eigenvalue=2, route="multiset")
    with pytest.raises(
        ValueError, match=r"max_eigenvalue .*there are [\d,]+ invariant functions and .*1,000,000; lower"
    ):
        sj.invariant_basis(sj.Gaussian(100), sj.symmetric_group(100), max_eigenvalue=60)
