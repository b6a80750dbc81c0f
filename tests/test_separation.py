"""Max filters against brute force over the group; a search for collisions finds the known ones."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn import _chunks
from symjax_learn.algebra.orbits import sorted_form
from symjax_learn.algebra.separation import check_separation, max_filter, orbit_distance
from tests.registry import EXACT, GROUPS, X64, brute_force

KEY = jax.random.key(0)
QUATERNIONS = (
    [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
    [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
)
SMALL = {
    **{name: GROUPS[name][0] for name in ("S_2 x S_1 x S_2", "B_3", "A_4", "rotations by 90°")},
    "C_4 x S_2 x T_d": lambda: sj.direct_product(
        sj.cyclic_group(4), sj.symmetric_group(2), sj.point_group("Td")
    ),
    "Q_8": lambda: sj.matrix_group(QUATERNIONS),
}


@functools.cache
def small(name):
    return SMALL[name]() if name in SMALL else GROUPS[name][0]()


def images_of(group, x):
    """All images of all points, by brute force: ``(|G|, n, d)``."""
    if isinstance(group, sj.algebra.ProductGroup):
        matrices = np.asarray(group.matrix(group.elements()), float)
    else:
        matrices, _ = brute_force(group)
    return np.einsum("gij,nj->gni", matrices, np.asarray(x, np.float64))


@pytest.mark.parametrize("name", SMALL)
def test_max_filters_are_the_largest_products_over_the_group(name):
    """And so are orbit distances the least over the group; filters are ‖w‖-Lipschitz in them."""
    group = small(name)
    rng = np.random.default_rng(0)
    x, y, w = (jnp.asarray(rng.normal(size=(n, group.degree)), float) for n in (6, 6, 3))
    images = images_of(group, x)
    found = max_filter(group, x, w)
    np.testing.assert_allclose(found, (images @ np.asarray(w).T).max(axis=0), atol=10 * EXACT)
    assert found.dtype == x.dtype
    moved = jnp.asarray(images[-1], float)
    np.testing.assert_allclose(max_filter(group, moved, w), found, atol=10 * EXACT)
    distances = np.linalg.norm(images - np.asarray(y), axis=2).min(axis=0)
    np.testing.assert_allclose(orbit_distance(group, x, y), distances, atol=100 * EXACT)
    assert np.asarray(orbit_distance(group, x, moved)).max() < 10 * EXACT**0.5
    change = np.abs(found - max_filter(group, y, w)) / np.linalg.norm(w, axis=1)
    assert (change <= distances[:, None] + 10 * EXACT).all()


def test_filters_in_chunks_and_their_slopes(monkeypatch):
    """The slope of ⟨⟨x, w⟩⟩ is the image of w that attains it."""
    monkeypatch.setattr(_chunks, "CHUNK_ENTRIES", 250)  # five of 23 points at a time: |G|·d = 48
    group = small("A_4")
    rng = np.random.default_rng(1)
    x, w = (jnp.asarray(rng.normal(size=(n, 4)), float) for n in (23, 5))
    found, pull = jax.vjp(lambda x: max_filter(group, x, w), x)
    images = images_of(group, w)  # (|G|, templates, d)
    products = np.einsum("nd,gtd->ntg", np.asarray(x), images)
    np.testing.assert_allclose(found, products.max(axis=2), atol=10 * EXACT)
    best = images[products.argmax(axis=2), np.arange(5)]  # (n, templates, d)
    np.testing.assert_allclose(pull(jnp.ones_like(found))[0], best.sum(axis=1), atol=10 * EXACT)
    y = jnp.roll(x, 1, axis=0)
    distances = np.linalg.norm(images_of(group, x) - np.asarray(y), axis=2).min(axis=0)
    np.testing.assert_allclose(orbit_distance(group, x, y), distances, atol=100 * EXACT)


def test_large_symmetric_groups_go_by_sorting():
    x, w = (jax.random.normal(key, (100,)) for key in jax.random.split(KEY))
    found = max_filter(sj.symmetric_group(100), x, w[None])
    np.testing.assert_allclose(found, [np.sort(x) @ np.sort(w)], rtol=100 * EXACT)
    signed = max_filter(sj.hyperoctahedral_group(100), x, w[None])
    np.testing.assert_allclose(signed, [np.sort(np.abs(x)) @ np.sort(np.abs(w))], rtol=100 * EXACT)


def power_sums(weights, x):
    return weights * jnp.stack([jnp.sum(x), jnp.sum(x**2), jnp.sum(x**3)])


def test_power_sums_separate_unless_one_is_missing():
    group = sj.symmetric_group(3)
    whole = check_separation(KEY, eqx.Partial(power_sums, jnp.asarray([1.0, 1, 1])), group)
    assert whole.separated
    assert whole.invariant
    missing = check_separation(KEY, eqx.Partial(power_sums, jnp.asarray([1.0, 1, 0])), group)
    assert not missing.separated
    assert missing.invariant
    x, y = np.asarray(missing.pair, np.float64)
    for degree in (1, 2):  # a true collision of orbits that are apart
        assert abs((x**degree).sum() - (y**degree).sum()) < 1e-5
    distance = np.linalg.norm(np.sort(x) - np.sort(y))
    assert distance == pytest.approx(missing.distance, abs=1e-4)
    assert distance >= 0.0999 * np.linalg.norm(missing.pair)


@pytest.mark.parametrize("name", ["C_4", pytest.param("A_4", marks=pytest.mark.slow), "Q_8"])
def test_generic_max_filters_separate_and_a_single_one_does_not(name):
    group = small(name)

    def filters(templates, x):
        return max_filter(group, x, templates)

    generic = jax.random.normal(jax.random.key(1), (9, 4))
    found = check_separation(KEY, eqx.Partial(filters, generic), group)
    assert found.separated
    assert found.invariant
    assert found.ratio > 1e-3 * found.typical
    single = eqx.Partial(filters, jnp.broadcast_to(generic[:1], (9, 4)))
    found = check_separation(KEY, single, group)
    assert found.invariant
    assert not found.separated
    x, y = (np.asarray(max_filter(group, jnp.asarray(z), generic)) for z in found.pair)
    assert abs(x - y)[0] < 1e-5
    assert abs(x - y).max() > 1e-2  # which the others tell apart
    if name == "Q_8":  # −1 is in the group: no two orbits are as far apart as this
        with pytest.raises(ValueError, match="resolution: none of 256 random pairs"):
            check_separation(KEY, single, group, resolution=0.9999)


def test_invariants_of_a_larger_group_confuse_the_orbits_of_a_smaller_one():
    """Sorting takes odd permutations for even ones: the search finds x and an odd image of it."""
    found = check_separation(KEY, sorted_form, small("A_4"))
    assert found.invariant
    assert not found.separated
    np.testing.assert_allclose(*np.sort(found.pair, axis=1), atol=1e-5)
    assert images_distance(small("A_4"), *found.pair) == pytest.approx(found.distance, abs=1e-4)


def images_distance(group, x, y):
    return np.linalg.norm(images_of(group, x[None])[:, 0] - y, axis=1).min()


def test_sorting_is_an_isometry_of_the_quotient():
    found = check_separation(KEY, sorted_form, small("S_4"))
    assert found.separated
    assert found.invariant
    np.testing.assert_allclose([found.ratio, found.typical], 1, atol=1e-10 if X64 else 1e-3)


def test_what_moves_with_the_points_is_not_invariant_and_constants_separate_nothing():
    """The identity separates orbits, with ‖x − y‖ ≥ dist([x], [y]), but also the points of one orbit."""
    found, constant = (
        check_separation(KEY, eqx.Partial(jnp.multiply, jnp.asarray(scale)), small("C_4"))
        for scale in (1.0, 0.0)
    )
    assert found.separated
    assert found.ratio >= 1 - 100 * EXACT
    assert not found.invariant
    assert found.variation > 1
    assert constant.invariant
    assert not constant.separated


def test_bad_input():
    group, x = small("C_4"), jnp.ones((2, 4))
    with pytest.raises(ValueError, match=r"points: expected a last axis of length 4.* \(2, 3\)"):
        max_filter(group, jnp.ones((2, 3)), x)
    with pytest.raises(ValueError, match=r"templates: expected a last axis of length 4.* \(3,\)"):
        max_filter(group, x, jnp.ones(3))
    with pytest.raises(ValueError, match=r"templates: expected \(templates, d\) .* \(4,\)"):
        max_filter(group, x, jnp.ones(4))
    with pytest.raises(ValueError, match=r"y: expected the shape of x, \(2, 4\), and got \(4,\)"):
        orbit_distance(group, x, jnp.ones(4))
    with pytest.raises(TypeError, match="group: AffineTorusGroup moves points by shifts too"):
        max_filter(sj.affine_torus_group([np.eye(4, dtype=int)], [[0.5] * 4]), x, x)
    with pytest.raises(ValueError, match="elements: the group has order"):
        max_filter(sj.wreath_product(sj.symmetric_group(10), 10), jnp.ones(100), jnp.ones((1, 100)))
    for options, message in (
        ({"resolution": 1.5}, "resolution: expected a number between 0 and 1 and got 1.5"),
        ({"num_pairs": 0}, "num_pairs: expected at least 1"),
        ({"num_steps": -1}, "num_steps: expected at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            check_separation(KEY, lambda x: x, group, **options)
