"""Averages over subsets of a group: brute force, the bound, and rules that are exact."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import block_diag

import symjax_learn as sj
from tests.registry import EXACT, PAIRS

J = np.asarray([[0.0, -1.0], [1.0, 0.0]])
# (space, group, truncation)
CONTINUOUS = {
    "diagonal shifts": (sj.Torus(2), lambda: sj.translation_group([[1, 1]]), 9),
    "turns about an axis": (sj.Sphere(2), lambda: sj.lie_group([block_diag(J, 0)]), 12),
    "all rotations": (sj.Sphere(2), lambda: sj.special_orthogonal_group(3), 6),
}
FINITE = ("S_3", "p2gg", "B_2 on a box", "D3d on a sphere", "S_3 on sets", "user's own: quarter turns")


def whole(action, levels, elements):
    """D(g) on all levels at once, ``(batch, D, D)``."""
    blocks = action.representations(levels, elements)
    return np.stack([block_diag(*one) for one in zip(*blocks, strict=True)])


@pytest.mark.parametrize("name", FINITE)
def test_it_is_the_distance_of_the_average_from_the_projector_of_the_whole_group(name):
    pair = PAIRS[name]()
    space, levels = pair.action.space, pair.action.space.levels(pair.max_eigenvalue)
    chosen = pair.action.sample(jax.random.key(1), (3,))
    found = sj.subset_average(space, pair.action, chosen, max_eigenvalue=pair.max_eigenvalue)
    projector = whole(pair.action, levels, pair.action.elements()).mean(axis=0)
    mean = whole(pair.action, levels, chosen).mean(axis=0)
    assert found.error == pytest.approx(np.linalg.norm(mean - projector, 2), abs=1e-6)
    assert found.variance == pytest.approx(np.trace(mean @ mean.T), rel=1e-6)
    assert (found.num_elements, found.num_functions) == (3, len(mean))
    assert found.num_invariant == pair.basis().num_functions
    assert found.error == found.level_errors.max()
    everything = sj.subset_average(
        space, pair.action, pair.action.elements(), max_eigenvalue=pair.max_eigenvalue
    )
    assert everything.error < 1e-9
    assert everything.variance == pytest.approx(found.num_invariant)


def test_one_element_alone_moves_what_is_not_invariant():
    found = sj.subset_average(
        sj.Torus(2),
        sj.sign_group(2),
        sj.sign_group(2).elements(),
        max_eigenvalue=4,
        weights=np.asarray([1.0, 0, 0, 0]),
    )
    assert found.error == pytest.approx(1)
    assert found.variance == pytest.approx(found.num_functions)


@pytest.mark.parametrize("name", ["S_4", "turns about an axis"])
def test_the_variance_and_the_bound_over_many_random_subsets(name):
    if name in CONTINUOUS:
        space, group, top = CONTINUOUS[name][0], CONTINUOUS[name][1](), CONTINUOUS[name][2]
    else:
        space, group, top = sj.Torus(4), sj.symmetric_group(4), 3
    size, variances, errors = 12, [], []
    for seed in range(60):
        chosen = group.sample(jax.random.key(seed), (size,))
        found = sj.subset_average(space, group, chosen, max_eigenvalue=top)
        variances.append(found.variance)
        errors.append(found.error)
    spread = np.std(variances) / math.sqrt(len(variances))
    assert abs(np.mean(variances) - found.expected_variance) < 4 * spread
    bound = sj.subset_bound(size, found.num_functions, order=group.order, failure_probability=0.5)
    assert bound < 1.2  # it says something: half of the subsets may exceed it, and hardly any does
    assert np.mean(np.asarray(errors) > bound) < 0.1


@pytest.mark.parametrize("name", CONTINUOUS)
def test_few_weighted_elements_average_exactly(name):
    space, group, top = CONTINUOUS[name]
    rule = sj.exact_rule(jax.random.key(0), space, group(), max_eigenvalue=top)
    assert (rule.weights > 0).all()
    assert rule.weights.sum() == pytest.approx(1)
    assert len(rule.weights) <= rule.rank + 1
    # Turns by all angles have the coefficients cos mθ, sin mθ; rotations (2l + 1)² of each degree.
    assert rule.rank == {"diagonal shifts": 8, "turns about an axis": 6, "all rotations": 9 + 25}[name]
    basis = sj.eigenbasis(space, max_eigenvalue=top)
    action = sj.action(space, group())
    x = space.sample(jax.random.key(1), (5,))
    c = jax.random.normal(jax.random.key(2), (basis.num_functions,))

    def average(points):
        moved = action.act(jax.tree.map(lambda leaf: leaf[:, None], rule.elements), points[None])
        return jnp.asarray(rule.weights, points.dtype) @ (basis(moved) @ c)

    elsewhere = action.act(action.sample(jax.random.key(3)), x)
    np.testing.assert_allclose(average(elsewhere), average(x), atol=100 * EXACT)
    again = sj.subset_average(space, action, rule.elements, max_eigenvalue=top, weights=rule.weights)
    assert again.error < 1e3 * EXACT
    assert again.variance == pytest.approx(again.num_invariant)


def test_a_finite_group_needs_fewer_than_all_where_the_functions_are_simple():
    """Of S_5 the waves |k|² ≤ 2 see the partitions 5, 41, 32, 311: 16 + 25 + 36 coefficients."""
    space, group = sj.Torus(5), sj.symmetric_group(5)
    rule = sj.exact_rule(jax.random.key(0), space, group, max_eigenvalue=2)
    assert rule.rank == 16 + 25 + 36
    assert len(rule.weights) <= 78 < group.order
    assert rule.error < 1e-9
    chosen = np.asarray(rule.elements)
    assert len(np.unique(chosen, axis=0)) == len(chosen)
    # Integrals of products of two entries of permutation matrices, by listing all.
    everything = np.asarray(list(itertools.permutations(range(5))))
    for i, j in ((0, 0), (1, 4)):
        expected = np.mean((everything[:, 0] == i) & (everything[:, 1] == j))
        assert rule.weights @ ((chosen[:, 0] == i) & (chosen[:, 1] == j)) == pytest.approx(expected)


def test_bad_input_is_named():
    space, group = sj.Torus(2), sj.symmetric_group(2)
    some = group.elements()
    with pytest.raises(TypeError, match=r"elements: expected a batch of elements of PermutationGroup"):
        sj.subset_average(space, group, (some, some), max_eigenvalue=1)
    with pytest.raises(ValueError, match=r"elements: expected at least one element"):
        sj.subset_average(space, group, some[:0], max_eigenvalue=1)
    with pytest.raises(ValueError, match=r"weights: expected 2 numbers"):
        sj.subset_average(space, group, some, max_eigenvalue=1, weights=np.ones(1))
    with pytest.raises(ValueError, match=r"weights: expected a sum of 1 and got 3"):
        sj.subset_average(space, group, some, max_eigenvalue=1, weights=np.asarray([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"max_eigenvalue: expected a finite number >= 0"):
        sj.subset_average(space, group, some, max_eigenvalue=-1)
    with pytest.raises(ValueError, match=r"failure_probability: expected a number between 0 and 1"):
        sj.subset_bound(3, 4, failure_probability=1.0)
    with pytest.raises(ValueError, match=r"order: expected an order >= 1"):
        sj.subset_bound(3, 4, order=0)
    with pytest.raises(ValueError, match=r"num_elements: expected at least 1"):
        sj.subset_bound(0, 4)
    with pytest.raises(
        ValueError, match=r"max_candidates: no weights of 8 elements make the average exact"
    ):
        sj.exact_rule(
            jax.random.key(0),
            sj.Sphere(2),
            sj.special_orthogonal_group(3),
            max_eigenvalue=6,
            max_candidates=8,
        )
