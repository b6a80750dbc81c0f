"""The ball: its spectrum against published and independent values, its functions against their laws."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.special import jnp_zeros, jv, roots_jacobi

import symjax_learn as sj
from symjax_learn.geometry.bessel import neumann_roots
from symjax_learn.invariants.basis import evaluate
from tests.quadratures import ball_rule
from tests.registry import EXACT, X64

# Dimension: radius, truncation. A degree occurs with two roots in each but the last.
CASES = {2: (1.0, 60.0), 3: (2.0, 10.0), 5: (1.0, 34.0)}


def case_of(dimension):
    radius, max_eigenvalue = CASES[dimension]
    space = sj.Ball(dimension, radius)
    return space, sj.eigenbasis(space, max_eigenvalue=max_eigenvalue)


@pytest.fixture(params=[2, 3], scope="module")
def case(request):
    return case_of(request.param)


@pytest.mark.parametrize(
    ("dimension", "published"),
    [
        (2, [0, 3.38996, 9.32836, 14.68197, 17.64999]),
        (3, [0, 4.33296, 11.16959, 20.19073, 20.3771, 31.88526]),
    ],
)
def test_eigenvalues_are_the_published_ones(dimension, published):
    levels = sj.Ball(dimension).levels(published[-1] + 1e-3)
    np.testing.assert_allclose([level.eigenvalue for level in levels], published, atol=6e-6)
    keys = {2: [0, 1, 2, 0, 3], 3: [0, 1, 2, 0, 3, 4]}[dimension]
    assert [level.key[0] for level in levels] == keys
    per_degree = {2: (1, 2, 2, 2), 3: (1, 3, 5, 7, 9)}[dimension]
    assert [level.multiplicity for level in levels] == [per_degree[degree] for degree in keys]


@pytest.mark.parametrize("degree", [0, 1, 4, 40])
def test_roots_in_the_plane_are_the_zeros_of_the_derivatives_of_bessel_functions(degree):
    known = jnp_zeros(degree, 60)
    known = known[known < 120]
    assert len(known) > 20
    np.testing.assert_allclose(neumann_roots(2, degree, 120.0), known, rtol=1e-13)


@pytest.mark.parametrize(("dimension", "degree"), [(3, 2), (5, 0), (6, 11), (40, 1), (100, 30)])
def test_roots_have_full_accuracy_and_none_is_missed(dimension, degree):
    """Newton's method in 40 digits; and every sign change of the derivative on a fine grid."""
    roots = neumann_roots(dimension, degree, 128.0)
    order, power = mpmath.mpf(degree) + mpmath.mpf(dimension) / 2 - 1, 1 - mpmath.mpf(dimension) / 2
    with mpmath.workdps(40):

        def slope(k):
            return k * mpmath.besselj(order, k, derivative=1) + power * mpmath.besselj(order, k)

        for root in (roots[0], roots[-1]):
            exact = mpmath.findroot(slope, mpmath.mpf(float(root)))
            assert abs(exact - mpmath.mpf(float(root))) < 1e-15 * exact * 4
    grid = np.linspace(math.sqrt(degree * (degree + dimension - 2)) + 0.01, 128.0, 60_000)
    values = (jv(float(order) - 1, grid) - jv(float(order) + 1, grid)) * grid / 2
    values = values + float(power) * jv(float(order), grid)
    changes = np.flatnonzero(np.signbit(values[1:]) != np.signbit(values[:-1]))
    assert len(changes) == len(roots) > 5
    np.testing.assert_allclose(grid[changes], roots, atol=grid[1] - grid[0])


def test_levels_ascend_by_exact_keys_and_follow_weyls_law():
    space = sj.Ball(3, 2.0)
    levels = space.levels(900.0)
    assert levels[0] == (0.0, 1, (0, 0))
    assert all(a.eigenvalue < b.eigenvalue for a, b in itertools.pairwise(levels))
    assert len({level.key for level in levels}) == len(levels)
    for degree, index in (level.key for level in levels):
        assert index <= 1 or any(level.key == (degree, index - 1) for level in levels)
    top = levels[-1]
    assert space.levels(top.eigenvalue * (1 - 1e-12))[-1] == top
    assert space.levels(top.eigenvalue * (1 - 1e-6)) == levels[:-1]
    # Weyl's two terms; the boundary counts for Neumann's condition.
    count, k = sum(level.multiplicity for level in levels), 30.0
    weyl = space.volume * k**3 / (6 * math.pi**2) + 16 * math.pi * k**2 / (16 * math.pi)
    assert count == pytest.approx(weyl, rel=0.02)
    assert count != pytest.approx(weyl - k**2, rel=0.02)


def test_the_radius_scales_eigenvalues_and_volume():
    for one, other in zip(sj.Ball(3).levels(40), sj.Ball(3, 0.5).levels(160), strict=True):
        assert other.key == one.key
        assert other.eigenvalue == pytest.approx(4 * one.eigenvalue, rel=1e-13)
    assert sj.Ball(2, 3.0).volume == pytest.approx(9 * math.pi)
    assert sj.Ball(3).volume == pytest.approx(4 * math.pi / 3)
    assert sj.Ball(5, 2.0).log_volume == pytest.approx(math.log(32 * 8 * math.pi**2 / 15))


@pytest.mark.parametrize("dimension", CASES)
def test_eigenfunctions_are_orthonormal(dimension):
    space, basis = case_of(dimension)
    points, weights = ball_rule(space, CASES[space.dimension][1], order=24)
    features = np.asarray(basis(jnp.asarray(points, float)), float)
    gram = features.T @ (weights[:, None] * features)
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=1e-12 if X64 else 1e-5)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)


def test_eigenfunctions_are_those_of_the_laplacian_without_flux(case):
    """−Δφ = λφ inside, x·∇φ = 0 on the boundary; and all is finite at the origin."""
    space, basis = case
    inside = space.sample(jax.random.key(0), (3,))
    boundary = space.radius * inside / jnp.linalg.norm(inside, axis=1, keepdims=True)
    x = jnp.concatenate([inside, boundary, jnp.zeros((1, space.dimension), inside.dtype)])
    weights = jnp.cos(jnp.arange(basis.num_functions, dtype=x.dtype))

    @eqx.filter_jit
    def derivatives(table, points):
        def at(point):
            return table.rows(point[None])[:, 0]

        hessians = jax.vmap(jax.jacfwd(jax.jacfwd(at)))(points)
        reverse = jax.grad(lambda x: (weights @ table.rows(x)).sum())(points)
        return jax.vmap(jax.jacfwd(at))(points), jnp.trace(hessians, axis1=-2, axis2=-1), reverse

    found = derivatives(basis.functions, x)
    gradients, laplacians, reverse = (np.asarray(part, float) for part in found)
    eigenvalues = np.asarray(basis.eigenvalues, float)
    assert np.isfinite(gradients).all()
    summed = np.einsum("j,njd->nd", np.asarray(weights, float), gradients)
    np.testing.assert_allclose(reverse, summed, atol=100 * EXACT * eigenvalues.max())
    np.testing.assert_allclose(
        -laplacians, eigenvalues * np.asarray(basis(x), float), atol=100 * EXACT * eigenvalues.max()
    )
    flux = np.einsum("nd,njd->nj", np.asarray(x[3:6], float), gradients[3:6])
    np.testing.assert_allclose(flux, 0, atol=100 * EXACT * math.sqrt(eigenvalues.max()))
    assert np.abs(gradients[3:6]).max() > 1  # tangential gradients are left


@pytest.mark.parametrize(("dimension", "degree", "frequency"), [(3, 0, 127), (2, 30, 120), (3, 60, 100)])
def test_radial_functions_are_bessel_functions_up_to_the_largest_frequency(dimension, degree, frequency):
    """Of one level Σ φ(x)² = multiplicity·N² (r^{1 − d/2} J_ν(κr))², the harmonics' addition theorem."""
    root = neumann_roots(dimension, degree, frequency)[-1]
    index = len(neumann_roots(dimension, degree, frequency))
    sphere_level = sj.Sphere(dimension - 1).levels(degree * (degree + dimension - 2))[-1]
    level = sj.Level(float(root) ** 2, sphere_level.multiplicity, (degree, index))
    space = sj.Ball(dimension)
    x = space.sample(jax.random.key(3), (40,))
    with_origin = jnp.concatenate([jnp.zeros((1, dimension), x.dtype), x])
    values = np.asarray(evaluate(space.functions([level]), with_origin), float)
    r, order = np.linalg.norm(np.asarray(x, float), axis=1), degree + dimension / 2 - 1
    nodes, masses = roots_jacobi(200, 0, dimension / 2 - 1)
    norm = (masses / masses.sum()) @ _radial(np.sqrt((1 + nodes) / 2), root, order, dimension) ** 2
    expected = _radial(r, root, order, dimension) ** 2 / norm
    found = (values**2).mean(axis=1)
    np.testing.assert_allclose(found[1:], expected, atol=(1e-12 if X64 else 2e-5) * expected.max())
    at_origin = values[0, 0]  # of the first function; all others vanish there
    series = (root / 2) ** order / math.gamma(order + 1) / math.sqrt(norm)
    np.testing.assert_allclose(at_origin, series if degree == 0 else 0, rtol=1e-12 if X64 else 1e-4)
    np.testing.assert_array_equal(values[0, 1:], 0)


def _radial(r, root, order, dimension):
    return r ** (1 - dimension / 2) * jv(order, root * r)


def test_level_by_level_and_under_transformations(case):
    space, basis = case
    x = space.sample(jax.random.key(1), (2, 3))
    features = basis(x)
    assert features.dtype == x.dtype
    level = space.levels(CASES[space.dimension][1])[-1]
    block = eqx.filter_jit(lambda x: space.eigenfunctions(level, x))(x)
    np.testing.assert_allclose(block, features[..., -level.multiplicity :], atol=100 * EXACT)
    mapped = jax.jit(jax.vmap(basis))(x)
    np.testing.assert_allclose(mapped, features, atol=100 * EXACT)
    in_float32 = basis(x.astype(jnp.float32))
    assert in_float32.dtype == jnp.float32
    np.testing.assert_allclose(in_float32, features, atol=1e-4)


def test_samples_are_uniform_points(case):
    space, basis = case
    x = space.sample(jax.random.key(4), (4000,))
    assert x.shape == (4000, space.dimension)
    space.check(x)
    # The mean of each nonconstant orthonormal function is of variance 1/n.
    means = np.asarray(basis(x), float)[:, 1:].mean(axis=0)
    assert np.abs(means).max() < 4.5 / np.sqrt(4000)
    share = np.linalg.norm(np.asarray(x, float), axis=1) < space.radius * 0.5 ** (1 / space.dimension)
    assert abs(share.mean() - 0.5) < 4.5 / np.sqrt(4 * 4000)


def test_smallest_tables():
    space = sj.Ball(2)
    assert sj.eigenbasis(space, max_functions=1).num_functions == 1
    assert sj.eigenbasis(space, max_functions=5).num_functions == 5
    constant = space.eigenfunctions(space.levels(0)[0], jnp.zeros((4, 2)))
    np.testing.assert_array_equal(constant, 1)


def test_bad_input():
    with pytest.raises(ValueError, match=r"dimension: expected at least 2 and got 1; .*Box"):
        sj.Ball(1)
    with pytest.raises(ValueError, match=r"dimension: expected at most 100, .* got 101; lower it"):
        sj.Ball(101)
    with pytest.raises(ValueError, match=r"radius: expected a positive finite number and got -1"):
        sj.Ball(3, -1)
    with pytest.raises(
        ValueError, match=r"max_eigenvalue or max_functions: .*\(128/radius\)².*lower it"
    ):
        sj.Ball(3).levels(1e5)
    with pytest.raises(TypeError, match=r"level: .* is not a level of a ball"):
        sj.Ball(3).functions(sj.Sphere(2).levels(2))
    with pytest.raises(
        ValueError, match=r"points: row 1 has norm 2\.0, as 1 row\(s\) in all are off the"
    ):
        sj.Ball(2).check(np.asarray([[1.0, 0.0], [0.0, 2.0]]))
    with pytest.raises(ValueError, match=r"points: row 0 is not finite"):
        sj.Ball(2).check(np.asarray([[np.nan, 0.0]]))
    sj.Ball(2, 2.0).check(np.asarray([[1.0, 0.0], [0.0, 2.0]]))
