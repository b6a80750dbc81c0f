"""Axioms of a group, its order, its elements and its uniform sample, against brute force."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import symjax_learn as sj
from tests.registry import EXACT, GROUPS, LATTICE_GROUPS, X64, brute_force_codes, codes

ALL = {**GROUPS, **LATTICE_GROUPS}
if not X64:  # integers are the same in every session: of each kind of elements some, and all matrices
    KINDS = ["S_3", "B_2", "p2gg", "hexagonal", "icosahedral", "pentagon x C_2", "C_3 wr S_2", "D3d"]
    ALL = {name: ALL[name] for name in KINDS}


@pytest.fixture(params=ALL, scope="module")
def group(request):
    return ALL[request.param][0]()


@pytest.fixture(params=ALL, scope="module")
def named(request):
    constructor, order = ALL[request.param]
    return constructor(), order


NUM = 1000  # one shape for all draws: each new one compiles


def draw(group, seed, num=4):
    return jax.tree.map(lambda leaf: leaf[:num], group.sample(jax.random.key(seed), (NUM,)))


def same(group, a, b):
    return codes(group, a) == codes(group, b)


def test_order_is_that_of_brute_force(named):
    group, order = named
    assert group.order == order == len(brute_force_codes(group))


def test_elements_are_all_of_the_group_and_the_identity_is_first(group):
    listed = codes(group, group.elements())
    assert len(listed) == group.order
    assert set(listed) == brute_force_codes(group)
    assert listed[0] == codes(group, jax.tree.map(lambda leaf: leaf[None], group.identity))[0]


def test_axioms(group):
    g, h, k = (draw(group, seed) for seed in range(3))
    one = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (4, *leaf.shape)), group.identity)
    assert same(group, group.compose(group.compose(g, h), k), group.compose(g, group.compose(h, k)))
    assert same(group, group.compose(g, group.identity), g)
    assert same(group, group.compose(group.identity, g), g)
    assert same(group, group.compose(g, group.inverse(g)), one)
    assert same(group, group.compose(group.inverse(g), g), one)


def test_matrix_is_a_homomorphism_and_apply_is_its_product(group):
    g, h = draw(group, 0), draw(group, 1)
    products = jnp.einsum("gij,gjk->gik", group.matrix(g), group.matrix(h))
    np.testing.assert_allclose(group.matrix(group.compose(g, h)), products, atol=EXACT)
    vectors = jax.random.normal(jax.random.key(2), (4, group.degree))
    expected = jnp.einsum("gij,gj->gi", group.matrix(g), vectors)
    np.testing.assert_allclose(group.apply(g, vectors), expected, atol=10 * EXACT)


def test_faithful_action_is_a_homomorphism_that_can_be_undone(group):
    g, h = draw(group, 0), draw(group, 1)
    images = group.faithful(group.compose(g, h))
    composed = np.take_along_axis(group.faithful(g), group.faithful(h), axis=1)
    np.testing.assert_array_equal(images, composed)
    assert same(group, group.from_faithful(images), group.compose(g, h))


def test_sample_is_uniform_and_depends_on_the_key(group):
    counts = dict.fromkeys(codes(group, group.elements()), 0)
    first = codes(group, draw(group, 5, NUM))
    for code in first:
        counts[code] += 1  # KeyError: an element outside the group
    if group.order > 1:
        assert stats.chisquare(list(counts.values())).pvalue > 1e-3
        assert first != codes(group, draw(group, 6, NUM))


def test_contains_what_it_generates_and_nothing_else(group):
    assert group.contains(draw(group, 3)).all()


def test_generators_are_few(group):
    assert group.num_generators <= max(1, math.log2(group.order))


@pytest.mark.parametrize("name", ["A_4", "B_2", "screw 4_1"])
def test_sample_has_the_shape_that_was_asked_for_also_in_jit(name):
    group = GROUPS[name][0]()
    eager = group.sample(jax.random.key(0), (2, 3))
    compiled = jax.jit(lambda group, key: group.sample(key, (2, 3)))(group, jax.random.key(0))
    for leaf, again, one in zip(
        *(jax.tree.leaves(tree) for tree in (eager, compiled, group.identity)), strict=True
    ):
        assert leaf.shape == (2, 3, *one.shape)
        np.testing.assert_array_equal(leaf, again)


def test_refuses_to_list_what_is_too_large():
    with pytest.raises(ValueError, match=r"elements: .*order 3,628,800.*max_order = 1,000,000.*sample"):
        sj.symmetric_group(10).elements()
    with pytest.raises(ValueError, match=r"elements: .*order 24.*max_order = 10"):
        sj.symmetric_group(4).elements(max_order=10)
