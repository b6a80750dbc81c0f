"""Spectrum and eigenfunctions of every space: exact counts, orthonormality, −Δφ = λφ."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import EXACT, SPACES, quadrature


@pytest.fixture(params=SPACES, scope="module")
def case(request):
    return SPACES[request.param]


def max_norm(space, max_eigenvalue):
    return round(max_eigenvalue / (2 * np.pi / space.period) ** 2)


def test_levels_ascend_from_the_constant_and_count_all_frequencies(case):
    space, max_eigenvalue = case
    levels = space.levels(max_eigenvalue)
    assert (levels[0].eigenvalue, levels[0].multiplicity) == (0, 1)
    assert all(a.eigenvalue < b.eigenvalue for a, b in itertools.pairwise(levels))
    assert all(isinstance(level.multiplicity, int) for level in levels)
    bound = max_norm(space, max_eigenvalue)
    side = range(-math.isqrt(bound), math.isqrt(bound) + 1)
    norms = [sum(i * i for i in k) for k in itertools.product(side, repeat=space.dimension)]
    assert sum(level.multiplicity for level in levels) == sum(norm <= bound for norm in norms)
    for level in levels:
        assert level.multiplicity == norms.count(level.key)


def test_a_bound_that_is_an_eigenvalue_up_to_rounding_keeps_its_level(case):
    space, max_eigenvalue = case
    top = space.levels(max_eigenvalue)[-1]
    assert space.levels(top.eigenvalue * (1 - 1e-12))[-1] == top
    assert space.levels(top.eigenvalue * (1 - 1e-6))[-1] != top


def test_eigenfunctions_are_orthonormal(case):
    space, max_eigenvalue = case
    basis = sj.eigenbasis(space, max_eigenvalue=max_eigenvalue)
    points, weights = quadrature(space, max_eigenvalue)
    features = np.asarray(basis(points), float)
    gram = features.T @ (weights[:, None] * features)
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=10 * EXACT)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)


def test_eigenfunctions_are_those_of_the_laplacian(case):
    space, max_eigenvalue = case
    level = space.levels(max_eigenvalue)[-1]
    x = space.sample(jax.random.key(0), (3,))
    hessian = jax.hessian(lambda point: space.eigenfunctions(level, point))
    laplacian = jax.jit(jax.vmap(lambda point: jnp.trace(hessian(point), axis1=-2, axis2=-1)))
    expected = level.eigenvalue * space.eigenfunctions(level, x)
    np.testing.assert_allclose(-laplacian(x), expected, atol=30 * EXACT * level.eigenvalue)


def test_eigenfunctions_are_periodic_and_level_by_level_those_of_the_basis(case):
    space, max_eigenvalue = case
    x = space.sample(jax.random.key(1), (2, 3))
    features = sj.eigenbasis(space, max_eigenvalue=max_eigenvalue)(x)
    blocks = [space.eigenfunctions(level, x) for level in space.levels(max_eigenvalue)]
    np.testing.assert_allclose(jnp.concatenate(blocks, axis=-1), features, atol=100 * EXACT)
    shifted = sj.eigenbasis(space, max_eigenvalue=max_eigenvalue)(x - space.period)
    np.testing.assert_allclose(shifted, features, atol=100 * EXACT)


def test_samples_are_uniform_points(case):
    space, _ = case
    x = space.sample(jax.random.key(2), (4000,))
    assert x.shape == (4000, *space.point_shape)
    space.check(x)
    # The mean of each nonconstant orthonormal function is normal of variance 1/n.
    means = np.asarray(sj.eigenbasis(space, max_functions=20)(x), float)[:, 1:].mean(axis=0)
    assert np.abs(means).max() < 4.5 / np.sqrt(4000)


def test_volume(case):
    space, _ = case
    assert space.volume == pytest.approx(space.period**space.dimension)
