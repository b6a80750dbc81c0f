"""Action axioms, and the matrices D(g) on eigenspaces, against brute-force evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import (
    EXACT,
    PAIR_NAMES,
    PAIRS,
    USERS,
    brute_force,
    code,
    codes,
    distances,
    moved,
)


@pytest.fixture(params=PAIR_NAMES, scope="module")
def pair(request):
    return PAIRS[request.param]()


def draw(pair, seed):
    return pair.action.sample(jax.random.key(seed), (6,))


def points_of(pair):
    return pair.action.space.sample(jax.random.key(9), (6,))


def test_action_axioms(pair):
    action, x = pair.action, points_of(pair)
    g, h = draw(pair, 0), draw(pair, 1)
    once = action.act(action.compose(g, h), x)
    assert once.dtype == x.dtype
    twice = action.act(g, action.act(h, x))
    assert distances(action.space, once, twice).max() < 30 * EXACT
    assert distances(action.space, action.act(action.identity, x), x).max() < 10 * EXACT


def test_it_acts_by_isometries(pair):
    action, x = pair.action, points_of(pair)
    y = action.act(draw(pair, 0), x)
    np.testing.assert_allclose(
        distances(action.space, y[:, None], action.act(draw(pair, 0), x[::-1])[:, None]),
        distances(action.space, x[:, None], x[::-1][:, None]),
        atol=30 * EXACT,
    )


def test_batches_of_elements_and_points_broadcast(pair):
    action, x, g = pair.action, points_of(pair), draw(pair, 0)
    outer = action.act(jax.tree.map(lambda leaf: leaf[:, None], g), x[None])
    assert outer.shape == (6, 6, *action.space.point_shape)
    for i in (0, 3):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], g)
        np.testing.assert_allclose(outer[i], action.act(one, x), atol=10 * EXACT)
        np.testing.assert_allclose(outer[i, 2], action.act(one, x[2]), atol=10 * EXACT)


@pytest.mark.parametrize("name", [name for name in PAIR_NAMES if name not in USERS])
def test_it_moves_points_as_brute_force_does(name):
    pair = PAIRS[name]()
    action, x = pair.action, points_of(pair)
    matrices, shifts = brute_force(action.group)
    known = [code(a, b) for a, b in zip(matrices, shifts, strict=True)]
    expected = dict(zip(known, moved(action.space, matrices, shifts, x), strict=True))
    g = draw(pair, 4)
    y = action.act(jax.tree.map(lambda leaf: leaf[:, None], g), x[None])
    for element, points in zip(codes(action.group, g), y, strict=True):
        assert distances(action.space, points, expected[element]).max() < 30 * EXACT


@pytest.fixture(scope="module")
def matrices(pair):
    """Levels, and for each D(g), D(h), D(gh) for six g and h, all at once: each call compiles."""
    action, levels = pair.action, pair.action.space.levels(pair.max_eigenvalue)
    g, h = draw(pair, 0), draw(pair, 1)
    together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), g, h, action.compose(g, h))
    return levels, [np.split(one, 3) for one in action.representations(levels, together)]


def test_representation_is_orthogonal_and_a_homomorphism(matrices):
    for level, (left, right, product) in zip(*matrices, strict=True):
        assert product.dtype == np.float64
        np.testing.assert_allclose(left @ right, product, atol=1e-10)
        identity = np.eye(level.multiplicity)
        np.testing.assert_allclose(left.mT @ left, np.broadcast_to(identity, left.shape), atol=1e-10)


def test_representation_is_that_of_the_moved_eigenfunctions(pair, matrices):
    action, x = pair.action, points_of(pair)
    pulled = action.act(action.inverse(draw(pair, 0)), x)  # φ(g⁻¹x) = φ(x) D(g), one g for each point
    basis = sj.eigenbasis(action.space, max_eigenvalue=pair.max_eigenvalue)
    here, there = np.split(np.asarray(basis(jnp.concatenate([x, pulled]))), 2)
    start = 0
    for level, (found, *_) in zip(*matrices, strict=True):
        block = slice(start, start := start + level.multiplicity)
        expected = np.einsum("nj,njk->nk", here[:, block], found)
        np.testing.assert_allclose(there[:, block], expected, atol=300 * EXACT)


def test_a_user_act_that_is_no_isometry_is_refused():
    stretch = sj.action(sj.Torus(1), sj.cyclic_group(2), act=lambda g, x: x * (1 + g[0]).astype(x.dtype))
    level = sj.Torus(1).levels(1)[1]
    with pytest.raises(ValueError, match=r"act: element 0 carries .* out of .* isometries"):
        stretch.representation(level, stretch.generators)


def test_an_action_is_accepted_where_a_group_is_and_must_be_on_the_same_space():
    action = sj.action(sj.Torus(2), sj.symmetric_group(2))
    assert sj.invariant_count(sj.Torus(2), action, 5) == sj.invariant_count(
        sj.Torus(2), sj.symmetric_group(2), 5
    )
    with pytest.raises(ValueError, match=r"group: this action is on .*same space"):
        sj.invariant_basis(sj.Torus(2, 1.0), action, max_eigenvalue=40)


def test_products_act_block_by_block_and_wreath_products_permute_the_blocks():
    """Shifts go with their block, and a wreath product shifts a block before it moves."""
    glide, swap = sj.affine_torus_group([[[1, 0], [0, -1]]], [[0.5, 0.25]]), sj.symmetric_group(2)
    points = jnp.asarray([0.1, 0.2, 0.3, 0.4])
    g, h = (jax.tree.map(lambda leaf: leaf[0], one.generators) for one in (glide, swap))
    product = sj.action(sj.Torus(4, 1.0), sj.direct_product(glide, swap))
    np.testing.assert_allclose(product.act((g, h), points), [0.6, 0.05, 0.4, 0.3], atol=EXACT)
    wreath = sj.action(sj.Torus(4, 1.0), sj.wreath_product(glide, 2))
    inner = jax.tree.map(lambda leaf, one: jnp.stack([leaf, jnp.asarray(one)]), g, glide.identity)
    element = wreath.identity._replace(inner=inner, images=jnp.asarray([1, 0]))
    np.testing.assert_allclose(wreath.act(element, points), [0.3, 0.4, 0.6, 0.05], atol=EXACT)


@pytest.mark.parametrize(
    ("group", "max_eigenvalue"),
    [
        (sj.direct_product(sj.symmetric_group(3), sj.sign_group(2)), 4),
        (sj.wreath_product(sj.symmetric_group(2), 2), 6),
        (sj.wreath_product(sj.sign_group(1), 3), 20),
    ],
)
def test_products_of_permutations_have_the_invariants_of_the_group_that_they_are(group, max_eigenvalue):
    matrices = np.asarray(group.matrix(group.generators), int)
    images = np.argmax(matrices != 0, axis=1)
    signs = np.take_along_axis(matrices, images[:, None], axis=1)[:, 0]
    same = sj.signed_permutation_group(images, signs)
    assert same.order == group.order
    for space in (sj.Torus(group.degree), sj.Sphere(group.degree - 1)):
        counts = [sj.invariant_count(space, one, max_eigenvalue) for one in (group, same)]
        assert counts[0] == counts[1] > 1


def test_points_keep_their_dtype():
    action = sj.action(sj.Torus(2), sj.sign_group(2))
    x = jnp.ones((3, 2), jnp.float32)
    assert action.act(action.sample(jax.random.key(0), (3,)), x).dtype == jnp.float32
