"""Ridge by moments: as accurate as by orthogonal transformations wherever it says so."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.optimization.quadratic import solve_by_moments, solve_ridge
from tests.registry import X64

N, D, CHUNKS = 256, 6, 4


class GivenRows(eqx.Module):
    """A column of ones and so many given ones, with weights."""

    features: jax.Array
    targets: jax.Array
    weights: jax.Array

    def __call__(self, chunk):
        features = self.features[chunk]
        return jnp.ones_like(features[:, :1]), features, self.targets[chunk], self.weights[chunk]


def given(condition):
    """Features of this condition whose weakest directions matter to the targets, with weights."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((size, D)))[0] for size in (N, D))
    singular = np.geomspace(1, 1 / condition, D)
    features = left * singular @ right.T
    targets = left.sum(axis=1, keepdims=True) + np.array([[1.0, -2.0]])
    targets += 1e-3 * rng.standard_normal((N, 2))
    weights = rng.uniform(0.5, 1.5, N)
    parts = (features, targets, weights)
    return [jnp.asarray(p, float).reshape(CHUNKS, N // CHUNKS, *p.shape[1:]) for p in parts]


@eqx.filter_jit
def both(rows, penalty, precision):
    problem = (rows, CHUNKS, jnp.asarray(N, jnp.int32), penalty, precision)
    return solve_ridge(*problem), *solve_by_moments(*problem)


@pytest.mark.skipif(not X64, reason="fits are in float64")
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4, 1e7, 1e12])
@pytest.mark.parametrize("penalty", [None, 0.0, 1e-3])
def test_what_is_called_accurate_equals_the_orthogonal_solution(condition, penalty):
    eta = None if penalty is None else jnp.asarray(penalty)
    orthogonal, moments, accurate = both(GivenRows(*given(condition)), eta, 2.3e-16)
    assert bool(accurate) == (condition <= 1e2 or penalty == 1e-3)
    if accurate:
        for one, other in zip(*map(jax.tree.leaves, (orthogonal, moments)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.skipif(not X64, reason="fits are in float64")
def test_rows_of_float32_lose_nothing_by_it_at_any_condition():
    """Their rounding is a billion times that of the sums, and the grid of penalties is as coarse."""
    for condition in (1e2, 1e4, 1e6):
        orthogonal, moments, accurate = both(GivenRows(*given(condition)), None, 1.2e-7)
        assert accurate
        np.testing.assert_allclose(orthogonal.penalty, moments.penalty, rtol=1e-6)
        np.testing.assert_allclose(orthogonal.coefficients, moments.coefficients, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not X64, reason="a compiled fit of float32 has no float64")
@pytest.mark.parametrize("smoothness", [2.0, 9.0])
def test_a_tall_fit_is_the_compiled_one(smoothness):
    """Within ``jit`` no moments are taken. At s = 9 the features have a condition of 10^9 and more."""
    basis = sj.eigenbasis(sj.Torus(1), max_eigenvalue=100)
    x = sj.Torus(1).sample(jax.random.key(0), (3000,))
    y = jnp.exp(jnp.sin(x[:, 0])) + 0.01 * jax.random.normal(jax.random.key(1), (3000,))
    spectrum = sj.sobolev(smoothness)
    tall = sj.fit_ridge(basis, x, y, spectrum=spectrum)
    traced = jax.jit(lambda x, y: sj.fit_ridge(basis, x, y, spectrum=spectrum).coefficients)(x, y)
    np.testing.assert_allclose(tall.coefficients, traced, atol=1e-9)


def test_features_of_condition_a_million_in_float32_lose_what_the_report_admits():
    """Against a fit of the same rounded points in float64, on a basis whose spectrum falls by 10^12."""
    basis = sj.eigenbasis(sj.Torus(1), max_eigenvalue=36)
    x = sj.Torus(1).sample(jax.random.key(0), (4000,)).astype(jnp.float32)
    y = jnp.sin(6 * x[:, 0])

    def fall(eigenvalue):
        return 10.0 ** (-eigenvalue / 3)  # √μ from 1 to 10^-6

    model = sj.fit_ridge(basis, x, y, spectrum=fall, penalty=1e-13, throw=False)
    assert 1e5 < model.report.condition < 1e7
    angles = np.asarray(x, np.float64)[:, 0]
    waves = [np.sqrt(2) * f(k * angles) for k in range(1, 7) for f in (np.cos, np.sin)]
    features = np.stack([np.ones_like(angles), *waves], axis=1)
    shrink = np.concatenate([[0.0], np.repeat(1e-13 / 10.0 ** (-(np.arange(1, 7) ** 2) / 3), 2)])
    gram = features.T @ features / len(x) + np.diag(shrink)
    exact = np.linalg.solve(gram, features.T @ np.sin(6 * angles) / len(x))
    error = np.abs(np.asarray(model(x), np.float64) - features @ exact).max()
    assert error < 10 * float(model.report.condition) * np.finfo(np.float32).eps
    if int(model.report.status) == 0:
        assert error < 0.1
