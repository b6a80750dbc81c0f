"""Laws of spheres and of the groups that act on them, with oracles of their own."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_gegenbauer, gammaln

import symjax_learn as sj
from symjax_learn.algebra.monomials import monomials
from symjax_learn.invariants.harmonics import harmonic_polynomials
from tests.quadratures import quadrature
from tests.registry import EXACT, GROUPS, PAIRS, X64


def eigenvalue(dimension, degree):
    return degree * (degree + dimension - 1)


@pytest.mark.parametrize(("dimension", "degree"), [(1, 5), (2, 12), (3, 6), (4, 4)])
def test_harmonics_are_orthonormal(dimension, degree):
    basis = sj.eigenbasis(sj.Sphere(dimension), max_eigenvalue=eigenvalue(dimension, degree))
    points, weights = quadrature(basis.space, eigenvalue(dimension, degree))
    features = np.asarray(basis(points), float)
    gram = (features * weights[:, None]).T @ features
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=100 * EXACT)
    np.testing.assert_allclose(features[:, 0], 1, atol=10 * EXACT)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 50), (3, 12), (9, 8)])
def test_addition_theorem(dimension, degree):
    """Σ_m φ_m(x) φ_m(y) = N · C_l(x·y)/C_l(1): orthonormality at high degree, where no rule reaches."""
    space = sj.Sphere(dimension)
    level = space.levels(eigenvalue(dimension, degree))[-1]
    assert level.key == degree
    x = space.sample(jax.random.key(0), (6,))
    values = np.asarray(space.eigenfunctions(level, x), float)
    points = np.asarray(x, float)
    points = points / np.linalg.norm(points, axis=1, keepdims=True)  # float32 points are rounded
    cosines = points @ points.T
    alpha = (dimension - 1) / 2
    expected = eval_gegenbauer(degree, alpha, cosines) / eval_gegenbauer(degree, alpha, 1.0)
    kernel = values @ values.T / level.multiplicity
    np.testing.assert_allclose(kernel, expected, atol=1e-10 if X64 else 2e-4)


def test_the_sphere_has_the_classical_harmonics_at_degree_100():
    """√2 N P_l^m(x_3) cos mφ and sin mφ, without a sign (−1)^m, in this order, the poles included."""
    space, degree = sj.Sphere(2), 100
    poles = jnp.asarray([[0.0, 0, 1], [0, 0, -1]], float)
    x = jnp.concatenate([space.sample(jax.random.key(3), (6,)), poles])
    values = space.eigenfunctions(space.levels(eigenvalue(2, degree))[-1], x)
    points = np.asarray(x, float)
    height = (points[:, 2] / np.linalg.norm(points, axis=1))[:, None]  # float32 points are rounded
    m = np.arange(degree + 1)
    # P_l^m = (2m − 1)!! sin^m C_{l−m}(cos) of α = m + 1/2, and its norm.
    double = gammaln(2 * m + 1) - gammaln(m + 1) - m * math.log(2)
    norms = np.exp(double + (gammaln(degree - m + 1) - gammaln(degree + m + 1)) / 2)
    sines = np.sqrt(1 - height**2) ** m
    tables = math.sqrt(2 * degree + 1) * norms * sines * eval_gegenbauer(degree - m, m + 0.5, height)
    angles = m * np.arctan2(points[:, 1], points[:, 0])[:, None]
    pairs = math.sqrt(2) * np.stack([tables * np.cos(angles), tables * np.sin(angles)], axis=-1)
    expected = np.concatenate([tables[:, :1], pairs[:, 1:].reshape(len(points), -1)], axis=1)
    np.testing.assert_allclose(values, expected, atol=1e-11 if X64 else 1e-3)


@pytest.mark.parametrize(("dimension", "degree"), [(15, 6), (30, 3)])
def test_high_dimensions_agree_with_the_addition_theorem(dimension, degree):
    """Combined with the values at x, all functions at y are Σ_l N_l C_l(x·y)/C_l(1)."""
    space = sj.Sphere(dimension)
    levels = space.levels(eigenvalue(dimension, degree))
    functions = space.functions(levels)
    x = space.sample(jax.random.key(4), (4,))
    found = functions.combined(functions.rows(x).T, x)
    points = np.asarray(x, float)
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosines, alpha = points @ points.T, (dimension - 1) / 2
    expected = sum(
        level.multiplicity
        * eval_gegenbauer(level.key, alpha, cosines)
        / eval_gegenbauer(level.key, alpha, 1.0)
        for level in levels
    )
    assert functions.num_functions == sum(level.multiplicity for level in levels)
    np.testing.assert_allclose(
        found, expected, rtol=1e-12 if X64 else 1e-4, atol=functions.num_functions * EXACT
    )


@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 5), (4, 3)])
def test_they_continue_as_harmonic_polynomials_of_their_degree(dimension, degree):
    space = sj.Sphere(dimension)
    level = space.levels(eigenvalue(dimension, degree))[-1]
    assert level.eigenvalue == eigenvalue(dimension, degree)
    x = space.sample(jax.random.key(1), (3,))
    hessian = jax.hessian(lambda point: space.eigenfunctions(level, point))
    laplacian = jax.jit(jax.vmap(lambda point: jnp.trace(hessian(point), axis1=-2, axis2=-1)))
    np.testing.assert_allclose(laplacian(x), 0, atol=1e3 * EXACT)
    values = space.eigenfunctions(level, x)
    np.testing.assert_allclose(space.eigenfunctions(level, 2 * x), 2**degree * values, atol=1e3 * EXACT)
    poles = jnp.eye(dimension + 1)
    assert bool(jnp.isfinite(jax.jacfwd(lambda p: space.eigenfunctions(level, p))(poles)).all())


@pytest.mark.parametrize(("dimension", "degree"), [(1, 9), (2, 12), (3, 5), (5, 3), (4, 1), (3, 0)])
def test_the_coefficients_of_polynomials_are_those_of_the_functions(dimension, degree):
    """The same values, in the same order; and Δ of each vanishes, taken monomial by monomial."""
    rows = harmonic_polynomials(dimension, degree)
    exponents = monomials(dimension + 1, degree)
    space = sj.Sphere(dimension)
    x = space.sample(jax.random.key(0), (9,))
    values = np.prod(np.asarray(x, float)[:, None] ** exponents[None], axis=2) @ rows.T
    level = space.levels(eigenvalue(dimension, degree))[degree]
    np.testing.assert_allclose(space.eigenfunctions(level, x), values, atol=1e-12 if X64 else 3e-5)
    laplacians: dict[tuple[int, ...], np.ndarray] = {}
    for exponent, column in zip(exponents, rows.T, strict=True):
        for i in np.flatnonzero(exponent >= 2):
            lower = tuple((exponent - 2 * np.eye(len(exponent), dtype=int)[i]).tolist())
            laplacians[lower] = laplacians.get(lower, 0) + column * exponent[i] * (exponent[i] - 1)
    for value in laplacians.values():
        np.testing.assert_allclose(value, 0, atol=1e-10 * np.abs(rows).max())


@pytest.mark.skipif(not X64, reason="set-up work is the same float64 in every session")
@pytest.mark.parametrize(
    ("space", "top"), [(sj.Sphere(1), 81), (sj.Sphere(3), 24), (sj.Ball(2), 42), (sj.Ball(5), 25)]
)
def test_symmetric_powers_are_what_values_at_points_say(space, top):
    group = sj.orthogonal_group(space.point_shape[0])
    acting, levels = sj.action(space, group), space.levels(top)
    g = group.sample(jax.random.key(1), (3,))
    fitted = acting._fitted_representations(levels, g)
    for one, other in zip(acting.representations(levels, g), fitted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11)


def test_levels_count_harmonics():
    for dimension, full in ((9, (1, 10, 54, 210, 660, 1782)), (1, (1, 2, 2)), (2, (1, 3, 5, 7))):
        levels = sj.Sphere(dimension).levels(eigenvalue(dimension, len(full) - 1))
        assert tuple(level.multiplicity for level in levels) == full
        assert [level.key for level in levels] == list(range(len(full)))
    assert sj.Sphere(2).volume == pytest.approx(4 * math.pi)
    assert sj.Sphere(3).volume == pytest.approx(2 * math.pi**2)


def test_samples_are_uniform_points():
    space = sj.Sphere(3)
    x = space.sample(jax.random.key(2), (4000,))
    space.check(x)
    means = np.asarray(sj.eigenbasis(space, max_functions=20)(x), float)[:, 1:].mean(axis=0)
    assert np.abs(means).max() < 4.5 / np.sqrt(4000)


@pytest.mark.parametrize(
    ("d", "counts"),
    [
        (3, (1, 1, 1, 2, 2, 2, 3, 3, 3, 4)),
        (4, (1, 1, 1, 2, 3, 3, 4, 5, 6)),
        (5, (1, 1, 1, 2, 3, 4)),
        (8, (1, 1, 1, 2, 3)),
    ],
)
def test_symmetric_groups_have_the_published_counts(d, counts):
    space, group = sj.Sphere(d - 1), sj.symmetric_group(d)
    basis = sj.invariant_basis(space, group, max_eigenvalue=eigenvalue(d - 1, len(counts) - 1))
    found = [
        int(np.isclose(np.asarray(basis.eigenvalues), eigenvalue(d - 1, j), rtol=1e-5).sum())
        for j in range(len(counts))
    ]
    assert tuple(found) == counts
    x = space.sample(jax.random.key(0), (20,))
    worst = sj.invariance_discrepancy(jax.random.key(1), basis, basis.action, x)
    assert worst < (1e-11 if X64 else 1e-4)


def test_counts_far_beyond_any_basis():
    for d, counts in (
        (4, (1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 11)),
        (5, (1, 1, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 17)),
    ):
        sums = np.cumsum(counts)
        for degree, total in enumerate(sums):
            assert (
                sj.invariant_count(sj.Sphere(d - 1), sj.symmetric_group(d), eigenvalue(d - 1, degree))
                == total
            )
    unnamed = sj.permutation_group([[*range(1, 8), 0], [1, 0, *range(2, 8)]])  # S_8 by orbits
    assert unnamed.order > 10_000
    assert sj.invariant_count(sj.Sphere(7), unnamed, eigenvalue(7, 6)) == sj.invariant_count(
        sj.Sphere(7), sj.symmetric_group(8), eigenvalue(7, 6)
    )


def test_models_on_spheres_are_invariant_and_stored(tmp_path):
    pair = PAIRS["B_3 on a sphere"]()
    action, basis = pair.action, pair.basis()
    x = action.space.sample(jax.random.key(4), (60,))
    y = (x**4).sum(axis=1)
    model = sj.fit_ridge(basis, x, y)
    new = action.space.sample(jax.random.key(5), (10,))
    np.testing.assert_allclose(model(new), (new**4).sum(axis=1), atol=1e-5 if X64 else 1e-3)
    sj.save(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(new), model(new))
    chex.clear_trace_counter()
    compiled = jax.jit(chex.assert_max_traces(lambda model, x: model(x), n=1))
    compiled(model, new)
    np.testing.assert_allclose(compiled(model, -new), model(-new), atol=100 * EXACT)


def test_bad_input():
    with pytest.raises(ValueError, match=r"dimension: expected at least 1 and got 0"):
        sj.Sphere(0)
    with pytest.raises(ValueError, match=r"points: row 1 has norm 2\.0.*divide each point by its norm"):
        sj.Sphere(1).check(np.asarray([[1.0, 0.0], [0.0, 2.0]]))
    with pytest.raises(ValueError, match=r"group: it moves 3 coordinates .* have 4; make"):
        sj.action(sj.Sphere(3), sj.symmetric_group(3))
    with pytest.raises(TypeError, match=r"group: AffineTorusGroup has no action of its own on Sphere"):
        sj.action(sj.Sphere(1), GROUPS["glide"][0]())
    with pytest.raises(ValueError, match=r"max_eigenvalue or max_functions: .*degree beyond 150"):
        sj.eigenbasis(sj.Sphere(2), max_eigenvalue=1e6)
