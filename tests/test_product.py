"""Products of spaces: merged levels, order, orthonormality, and products known by other names."""

import collections
import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.quadratures import box_rule, gaussian_rule, product_rule, sphere_rule
from tests.registry import EXACT

MIXED = sj.Product(sj.Sphere(2), sj.Box(1), sj.Gaussian(1))


def test_levels_are_merged_sums():
    """On S² × T²: l(l + 1) + |k|², each of multiplicity 2l + 1, over all l and k."""
    levels = sj.Product(sj.Sphere(2), sj.Torus(2)).levels(12)
    count = collections.Counter()
    for degree, i, j in itertools.product(range(4), range(-3, 4), range(-3, 4)):
        count[degree * (degree + 1) + i * i + j * j] += 2 * degree + 1
    assert [(level.eigenvalue, level.multiplicity) for level in levels] == [
        (value, count[value]) for value in sorted(count) if value <= 12
    ]
    assert {level.eigenvalue: level.key for level in levels}[2.0] == ((0, 2), (1, 0))
    assert all(type(level.multiplicity) is int for level in levels)


@pytest.mark.parametrize(
    ("product", "same"),
    [
        (sj.Product(sj.Box(1), sj.Box(2)), sj.Box(3)),
        (sj.Product(sj.Torus(1, 1.3), sj.Torus(1, 1.3), sj.Torus(1, 1.3)), sj.Torus(3, 1.3)),
        (sj.Product(sj.Gaussian(2), sj.Gaussian(1)), sj.Gaussian(3)),
    ],
)
def test_products_known_by_another_name_have_the_same_eigenspaces(product, same):
    unit = same.levels(50)[1].eigenvalue
    found, expected = product.levels(6 * unit), same.levels(6 * unit)
    assert [level.multiplicity for level in found] == [level.multiplicity for level in expected]
    np.testing.assert_allclose(
        [level.eigenvalue for level in found], [level.eigenvalue for level in expected], rtol=1e-14
    )
    assert product.volume == pytest.approx(same.volume)
    assert (product.dimension, product.point_shape) == (same.dimension, same.point_shape)
    x = same.sample(jax.random.key(0), (8,))
    values = sj.eigenbasis(product, max_eigenvalue=6 * unit)(x)
    others = sj.eigenbasis(same, max_eigenvalue=6 * unit)(x)
    start = 0
    for level in expected:  # the reproducing kernel of each eigenspace knows no order
        here = slice(start, start := start + level.multiplicity)
        mine, theirs = (np.asarray(v[:, here], float) for v in (values, others))
        scale = max(1.0, np.abs(theirs @ theirs.T).max())
        np.testing.assert_allclose(mine @ mine.T, theirs @ theirs.T, atol=100 * EXACT * scale)


def test_levels_do_not_depend_on_the_truncation():
    space = sj.Product(sj.Box(1), sj.Box(1), sj.Box(2))
    long = space.levels(30 * math.pi**2)
    assert len({level.key for level in long}) == len(long)
    assert all(level.key == tuple(sorted(level.key)) for level in long)
    for top in range(len(long)):
        for nudge in (1 - 1e-12, 1 + 1e-12):
            assert space.levels(long[top].eigenvalue * nudge) == long[: top + 1]
    assert space.levels(long[-1].eigenvalue * (1 - 1e-6)) == long[:-1]
    assert space.levels(-1.0) == []


@pytest.fixture(scope="module")
def basis():
    return sj.eigenbasis(MIXED, max_eigenvalue=14)


def test_eigenfunctions_are_orthonormal(basis):
    points, weights = product_rule(sphere_rule(2, 6), box_rule(1, 1), gaussian_rule(1, 14))
    features = np.asarray(basis(jnp.asarray(points, float)), float)
    gram = features.T @ (weights[:, None] * features)
    assert basis.num_functions == sum(level.multiplicity for level in MIXED.levels(14))
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=100 * EXACT)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)


def test_eigenfunctions_are_products_in_the_stated_order(basis):
    x = MIXED.sample(jax.random.key(1), (5,))
    values = np.asarray(basis(x), float)
    factors = []  # for each factor the values of its levels, by key
    for space, block in zip(MIXED.spaces, (x[:, :3], x[:, 3:4], x[:, 4:]), strict=True):
        table = np.asarray(sj.eigenbasis(space, max_eigenvalue=14)(block), float)
        levels = space.levels(14)
        stops = np.cumsum([level.multiplicity for level in levels])
        parts = np.split(table, stops[:-1], axis=1)
        factors.append({level.key: part for level, part in zip(levels, parts, strict=True)})
    expected = [
        np.einsum("na,nb,nc->nabc", *(known[key] for known, key in zip(factors, keys, strict=True)))
        for level in MIXED.levels(14)
        for keys in level.key
    ]
    assert any(len(level.key) > 1 for level in MIXED.levels(14))
    assert all(level.key == tuple(sorted(level.key)) for level in MIXED.levels(14))
    expected = np.concatenate([block.reshape(5, -1) for block in expected], axis=1)
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(values, expected, atol=10 * EXACT * scale)


def test_eigenfunctions_solve_the_eigen_equation():
    space = sj.Product(sj.Box(1), sj.Torus(2))
    level = space.levels(math.pi**2 + 2)[-1]
    assert level.eigenvalue == pytest.approx(math.pi**2 + 2)
    x = space.sample(jax.random.key(2), (3,))
    hessian = jax.hessian(lambda point: space.eigenfunctions(level, point))
    laplacian = jax.jit(jax.vmap(lambda point: jnp.trace(hessian(point), axis1=-2, axis2=-1)))
    expected = level.eigenvalue * space.eigenfunctions(level, x)
    np.testing.assert_allclose(-laplacian(x), expected, atol=100 * EXACT * level.eigenvalue)


def test_samples_are_uniform_points():
    x = MIXED.sample(jax.random.key(3), (4000,))
    assert MIXED.sample(jax.random.key(3)).shape == MIXED.point_shape == (5,)
    MIXED.check(x)
    MIXED.check(x.reshape(40, 100, 5))
    means = np.asarray(sj.eigenbasis(MIXED, max_functions=20)(x), float)[:, 1:].mean(axis=0)
    assert np.abs(means).max() < 5 / math.sqrt(4000)
    # Factors are independent: no correlation of their coordinates.
    correlations = np.corrcoef(np.asarray(x, float), rowvar=False) - np.eye(5)
    assert np.abs(correlations).max() < 5 / math.sqrt(4000)


def test_nested_products_flatten():
    nested = sj.Product(sj.Product(sj.Sphere(2), sj.Box(1)), sj.Product(sj.Gaussian(1)))
    assert nested.spaces == MIXED.spaces
    assert nested.levels(9) == MIXED.levels(9)
    assert nested.volume == pytest.approx(4 * math.pi)
    large = sj.Product(sj.Torus(1000), sj.Torus(500))
    assert (large.volume, large.dimension) == (math.inf, 1500)
    assert large.log_volume == pytest.approx(1500 * math.log(2 * math.pi))
    assert [level.multiplicity for level in large.levels(1)] == [1, 3000]


def test_they_compose_under_the_transformations_and_keep_the_dtype():
    basis = sj.eigenbasis(MIXED, max_eigenvalue=6)
    x = MIXED.sample(jax.random.key(4), (6,)).at[0].set(jnp.asarray([0.0, 0.0, 1.0, 0.0, 0.0]))
    compiled = jax.jit(chex.assert_max_traces(lambda basis, x: basis(x), n=1))
    values = compiled(basis, x)
    np.testing.assert_allclose(compiled(basis, x[::-1]), values[::-1], atol=EXACT)
    np.testing.assert_allclose(jax.vmap(basis)(x), values, atol=100 * EXACT)
    slopes = jax.grad(lambda x: (basis(x) ** 2).sum())(x)
    assert bool(jnp.isfinite(slopes).all())  # at a pole of the sphere too
    single = basis(x.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, values, atol=1e-4)


def test_a_group_that_swaps_factors_leaves_symmetric_functions():
    """Of an eigenspace ⊕ V_a ⊗ V_b a swap keeps V_a ⊗ V_b once for a < b, and Sym² V_a."""
    space = sj.Product(sj.Sphere(2), sj.Sphere(2))

    def swap(g, point):
        return point.reshape(2, 3)[jnp.argsort(g)].reshape(6)

    acting = sj.action(space, sj.symmetric_group(2), act=swap)
    basis = sj.invariant_basis(space, acting, max_eigenvalue=4)
    assert (basis.num_functions, basis.num_ambient) == (1 + 3 + 6, 1 + 6 + 9)
    x = space.sample(jax.random.key(5), (10,))
    assert sj.invariance_discrepancy(jax.random.key(6), basis, acting, x) < 100 * EXACT


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    with pytest.raises(ValueError, match=r"spaces: expected at least one space and got none"):
        sj.Product()
    with pytest.raises(TypeError, match=r"spaces: expected spaces, such as Torus\(3\), and got 3"):
        sj.Product(sj.Torus(1), 3)
    points = np.asarray([[1.0, 0.0, 0.0, 0.5, 2.0], [1.0, 0.0, 0.0, 1.5, 2.0]])
    with pytest.raises(ValueError, match=r"points: factor 1, Box: row 1 has the coordinate 1\.5"):
        MIXED.check(points)
    points[0, 0] = 2.0
    with pytest.raises(ValueError, match=r"points: factor 0, Sphere: row 0 has norm 2\.0"):
        MIXED.check(points)
    with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 5\).* got \(5, 2\)"):
        MIXED.check(points.T)
    with pytest.raises(ValueError, match=r"max_eigenvalue or max_functions: .* combinations .*lower it"):
        sj.Product(*[sj.Gaussian(1)] * 8).levels(60)
    with pytest.raises(TypeError, match=r"level: .* is not a level of a product of 3 spaces"):
        MIXED.functions(sj.Torus(1).levels(1))
    with pytest.raises(TypeError, match=r"level: .* not all keys of Box"):
        MIXED.functions([sj.Level(10.0, 1, ((0, 3, 0),))])
    with pytest.raises(ValueError, match=r"expected shape \(\*batch, 5\)"):
        sj.eigenbasis(MIXED, max_eigenvalue=1)(np.zeros((2, 4)))
