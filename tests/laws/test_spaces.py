"""Laws of every space: levels, truncation, orthonormality, samples, what is no point."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.geometry.vertices import AbstractVertices
from tests.quadratures import quadrature
from tests.registry import EXACT, SPACES

NUM_SAMPLES = 4000


class Case:
    """One space, with the values of its functions at all points of its tests, compiled once."""

    def __init__(self, name):
        self.space, self.max_eigenvalue = SPACES[name]
        self.levels = self.space.levels(self.max_eigenvalue)
        self.basis = sj.eigenbasis(self.space, max_eigenvalue=self.max_eigenvalue)
        self.points, self.weights = quadrature(self.space, self.max_eigenvalue)
        self.samples = self.space.sample(jax.random.key(2), (NUM_SAMPLES,))
        features = self.basis(jnp.concatenate([self.points, self.samples]))
        self.features, self.sampled = np.split(np.asarray(features, float), [len(self.points)])


@pytest.fixture(params=SPACES, scope="module")
def case(request):
    return Case(request.param)


TORI = {name: case for name, case in SPACES.items() if isinstance(case[0], sj.Torus)}


def test_levels_ascend_from_the_constant_and_are_told_apart_by_their_keys(case):
    levels = case.levels
    assert (levels[0].eigenvalue, levels[0].multiplicity) == (0, 1)
    assert all(a.eigenvalue * (1 + 1e-9) < b.eigenvalue for a, b in itertools.pairwise(levels))
    assert all(type(level.multiplicity) is int and level.multiplicity > 0 for level in levels)
    assert all(type(level.eigenvalue) is float for level in levels)
    assert len({level.key for level in levels}) == len(levels) > 1
    assert levels[-1].eigenvalue <= case.max_eigenvalue * (1 + 1e-9)
    assert case.space.levels(0.0) == levels[:1]


def test_a_bound_that_is_an_eigenvalue_up_to_rounding_keeps_its_level(case):
    for i, level in enumerate(case.levels[1:], 1):
        assert case.space.levels(level.eigenvalue * (1 - 1e-12)) == case.levels[: i + 1]
        assert case.space.levels(level.eigenvalue * (1 - 1e-6)) == case.levels[:i]


def test_eigenfunctions_are_orthonormal_and_the_first_is_the_constant(case):
    gram = case.features.T @ (case.weights[:, None] * case.features)
    np.testing.assert_allclose(gram, np.eye(case.basis.num_functions), atol=30 * EXACT)
    np.testing.assert_allclose(case.features[:, 0], 1, atol=EXACT)


def test_a_basis_is_the_eigenfunctions_level_by_level(case):
    multiplicities = [level.multiplicity for level in case.levels]
    assert case.basis.num_functions == case.features.shape[1] == sum(multiplicities)
    repeated = np.repeat([level.eigenvalue for level in case.levels], multiplicities)
    np.testing.assert_allclose(case.basis.eigenvalues, repeated, rtol=10 * EXACT)
    start = sum(multiplicities[:-1])
    last = jax.jit(lambda x: case.space.eigenfunctions(case.levels[-1], x))
    values = last(case.samples[:6].reshape(2, 3, *case.space.point_shape))
    assert values.shape == (2, 3, multiplicities[-1])
    np.testing.assert_allclose(values.reshape(6, -1), case.sampled[:6, start:], atol=100 * EXACT)


def test_samples_are_uniform_points(case):
    assert case.samples.shape == (NUM_SAMPLES, *case.space.point_shape)
    case.space.check(case.samples)
    # The mean of each nonconstant orthonormal function is normal of variance 1/n.
    means = case.sampled[:, 1:].mean(axis=0)
    assert np.abs(means).max() < 4.5 / math.sqrt(NUM_SAMPLES)


def test_check_accepts_the_points_of_quadrature_and_refuses_what_is_no_number(case):
    case.space.check(case.points)
    spoiled = np.array(case.points[:3])
    spoiled[(1,) + (0,) * len(case.space.point_shape)] = np.nan
    with pytest.raises(ValueError, match=r"^points: "):
        case.space.check(spoiled)


def test_dimension_and_volume(case):
    space = case.space
    assert space.volume > 0
    assert space.log_volume == pytest.approx(math.log(space.volume), abs=1e-12)
    finite = space.dimension == 0 or isinstance(space, AbstractVertices)
    assert space.cardinality == (len(case.points) if finite else math.inf)


def test_max_functions_keeps_whole_levels(case):
    sizes = np.cumsum([level.multiplicity for level in case.levels]).tolist()
    for budget in {sizes[-1], sizes[-1] - 1, sizes[-2]}:
        kept = sj.eigenbasis(case.space, max_functions=budget)
        assert kept.num_functions == max(size for size in sizes if size <= budget)


@pytest.mark.parametrize("name", [name for name, (space, _) in TORI.items() if space.is_cubic])
def test_on_cubic_tori_levels_count_all_frequencies(name):
    space, max_eigenvalue = TORI[name]
    bound = round(max_eigenvalue / (2 * np.pi / space.period) ** 2)
    side = range(-math.isqrt(bound), math.isqrt(bound) + 1)
    norms = [sum(i * i for i in k) for k in itertools.product(side, repeat=space.dimension)]
    levels = space.levels(max_eigenvalue)
    assert sum(level.multiplicity for level in levels) == sum(norm <= bound for norm in norms)
    for level in levels:
        assert level.multiplicity == norms.count(level.key)
    assert space.volume == pytest.approx(space.period**space.dimension)


@pytest.mark.parametrize("name", TORI)
def test_on_tori_eigenfunctions_are_periodic_and_those_of_the_laplacian(name):
    space, max_eigenvalue = TORI[name]
    level = space.levels(max_eigenvalue)[-1]
    x = space.sample(jax.random.key(0), (3,))
    values = space.eigenfunctions(level, x)
    np.testing.assert_allclose(space.eigenfunctions(level, x - space.period), values, atol=100 * EXACT)
    metric = space.period**2 * np.eye(space.dimension)
    if not space.is_cubic:
        metric = np.asarray(space.vectors) @ np.asarray(space.vectors).T
    inverse = jnp.asarray(np.linalg.inv(metric) * space.period**2, float)
    hessian = jax.hessian(lambda point: space.eigenfunctions(level, point))
    laplacian = jax.jit(jax.vmap(lambda point: jnp.einsum("fij,ij->f", hessian(point), inverse)))
    np.testing.assert_allclose(
        -laplacian(x), level.eigenvalue * values, atol=30 * EXACT * level.eigenvalue
    )
