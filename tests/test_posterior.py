"""The Gaussian process of a ridge fit against dense formulas, scikit-learn, its samples and prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import PairwiseKernel

import symjax_learn as sj
from tests.registry import X64

SPACE = sj.Torus(2)
GROUP = sj.symmetric_group(2)
SPECTRUM = sj.sobolev(1.5)
N, M = 30, 7
NOISE, PENALTY = 0.09, 1e-2
CLOSE = {"rtol": 1e-8, "atol": 1e-9} if X64 else {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(scope="module")
def basis():
    return sj.invariant_basis(SPACE, GROUP, max_eigenvalue=5)


def data():
    x, new = (SPACE.sample(jax.random.key(seed), (size,)) for seed, size in ((0, N), (1, M)))
    y = jnp.exp(jnp.cos(x).sum(axis=1)) + 0.3 * jax.random.normal(jax.random.key(2), (N,))
    return x, y, new


def scaled(basis, points, intercept):
    features = np.asarray(basis(points), np.float64)
    scale = np.sqrt(np.asarray(SPECTRUM(basis.eigenvalues), np.float64))
    return (features * scale)[:, int(intercept) :]


@pytest.mark.parametrize("intercept", [True, False])
def test_mean_and_variance_are_those_of_the_dense_formulas(basis, intercept):
    """Of the kernel τ²K + c·1 with c so large that the constant is free."""
    x, y, new = data()
    weights = np.linspace(0.2, 2.0, N)
    belief = sj.posterior(
        basis,
        x,
        y,
        spectrum=SPECTRUM,
        penalty=PENALTY,
        noise=NOISE,
        intercept=intercept,
        weights=weights,
    )
    amplitude = NOISE / (N * PENALTY)
    np.testing.assert_allclose(belief.amplitude, amplitude, rtol=1e-6)
    left, right = scaled(basis, x, intercept), scaled(basis, new, intercept)
    noise = np.diag(NOISE * weights.mean() / weights)
    inverse = np.linalg.inv(amplitude * left @ left.T + noise)
    across = amplitude * left @ right.T
    mean = across.T @ inverse @ np.asarray(y)
    variance = amplitude * np.sum(right**2, axis=1) - np.sum(across * (inverse @ across), axis=0)
    if intercept:  # the generalized least-squares constant, and what its uncertainty adds
        ones = np.ones(N)
        weight = ones @ inverse @ ones
        constant = ones @ inverse @ np.asarray(y) / weight
        short = 1 - across.T @ inverse @ ones
        mean = mean + short * constant
        variance = variance + short**2 / weight
    np.testing.assert_allclose(belief.model(new), mean, **CLOSE)
    np.testing.assert_allclose(belief.variance(new), variance, **CLOSE)
    np.testing.assert_allclose(belief.variance(new, noise=True), variance + NOISE, **CLOSE)
    fitted = sj.fit_ridge(
        basis, x, y, spectrum=SPECTRUM, penalty=PENALTY, intercept=intercept, weights=weights
    )
    np.testing.assert_array_equal(belief.model.coefficients, fitted.coefficients)


def test_it_is_that_of_scikit_learn(basis):
    x, y, new = data()
    amplitude = NOISE / (N * PENALTY)
    oracle = GaussianProcessRegressor(PairwiseKernel(metric="linear"), alpha=NOISE, optimizer=None)
    root = np.sqrt(amplitude)
    oracle.fit(root * scaled(basis, x, False), np.asarray(y))
    mean, deviation = oracle.predict(root * scaled(basis, new, False), return_std=True)
    belief = sj.posterior(basis, x, y, spectrum=SPECTRUM, penalty=PENALTY, noise=NOISE, intercept=False)
    np.testing.assert_allclose(belief.model(new), mean, **CLOSE)
    np.testing.assert_allclose(jnp.sqrt(belief.variance(new)), deviation, **CLOSE)


def test_samples_have_the_mean_and_the_covariance(basis):
    x, y, new = data()
    targets = jnp.stack([y, jnp.cos(y)], axis=1)
    belief = sj.posterior(basis, x, targets, spectrum=SPECTRUM, penalty=PENALTY, noise=NOISE)
    count = 4000
    drawn = belief.sample(jax.random.key(3), count)
    values = np.asarray(drawn(new), np.float64)
    assert values.shape == (M, count, 2)
    deviations = values - np.asarray(belief.model(new))[:, None]
    variance = np.asarray(belief.variance(new), np.float64)[:, None]
    assert np.abs(deviations.mean(axis=1) / np.sqrt(variance / count)).max() < 4.5
    errors = (np.mean(deviations**2, axis=1) / variance - 1) / np.sqrt(2 / count)
    assert np.abs(errors).max() < 4.5
    correlation = np.mean(deviations[..., 0] * deviations[..., 1], axis=1) / variance[:, 0]
    assert np.abs(correlation * np.sqrt(count)).max() < 4.5
    again = belief.sample(jax.random.key(3), count)
    np.testing.assert_array_equal(again.coefficients, drawn.coefficients)


def test_mean_variance_and_samples_are_invariant(basis):
    x, y, new = data()
    belief = sj.posterior(basis, x, y)
    for function in (belief.model, belief.variance, belief.sample(jax.random.key(4), 3)):
        np.testing.assert_allclose(function(new[:, ::-1]), function(new), rtol=1e-12 if X64 else 1e-4)
    assert belief.variance(new[None]).shape == (1, M)
    assert bool((belief.variance(new) > 0).all())


def test_the_noise_is_estimated(basis):
    """σ² of many samples is found, and n minus one makes it unbiased where nothing is fitted."""
    x = SPACE.sample(jax.random.key(5), (2000,))
    y = basis(x)[:, 1] + 0.3 * jax.random.normal(jax.random.key(6), (2000,))
    belief = sj.posterior(basis, x, y)
    np.testing.assert_allclose(belief.noise, NOISE, rtol=4 * np.sqrt(2 / 2000))
    flat = sj.posterior(basis, x, y, penalty=1e12)
    np.testing.assert_allclose(flat.noise, np.var(np.asarray(y), ddof=1), rtol=1e-5)


def test_errors_of_data_from_the_prior_are_as_large_as_the_posterior_says(basis):
    """Standardized errors have mean square one: of f at new points, and of new y with its noise."""
    x, _, new = data()
    count = 400
    amplitude = NOISE / (N * PENALTY)

    def standardized(key):
        of_prior, of_noise, of_new = jax.random.split(key, 3)
        scale = jnp.sqrt(amplitude * SPECTRUM(basis.eigenvalues)).at[0].set(3.0)
        truth = scale * jax.random.normal(of_prior, scale.shape)
        y = basis(x) @ truth + jnp.sqrt(NOISE) * jax.random.normal(of_noise, (N,))
        belief = sj.posterior(basis, x, y, spectrum=SPECTRUM, penalty=PENALTY, noise=NOISE)
        missed = basis(new) @ truth - belief.model(new)
        seen = missed + jnp.sqrt(NOISE) * jax.random.normal(of_new, (M,))
        squares = (
            missed**2 / belief.variance(new),
            seen**2 / belief.variance(new, noise=True),
        )
        return jnp.stack([jnp.mean(part) for part in squares])

    squares = np.asarray(jax.vmap(standardized)(jax.random.split(jax.random.key(7), count)), np.float64)
    errors = (squares.mean(axis=0) - 1) / (squares.std(axis=0) / np.sqrt(count))
    assert np.abs(errors).max() < 4


@pytest.mark.skipif(not X64, reason="differences have more digits than float32")
def test_the_variance_has_derivatives_also_where_eigenvalues_coincide():
    axis = jnp.arange(5.0) * (2 * jnp.pi / 5)
    x = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    y = jnp.cos(3 * x[:, 0] + x[:, 1])
    whole = sj.eigenbasis(SPACE, max_eigenvalue=4)
    new = SPACE.sample(jax.random.key(1), (M,))

    def outcome(zs):
        belief = sj.posterior(
            whole, x + zs[0] * jnp.sin(7 * x), y + zs[1], penalty=1e-2 * jnp.exp(zs[2])
        )
        return jnp.stack([belief.variance(new).sum(), belief.noise])

    outcome, zeros, step = jax.jit(outcome), jnp.zeros(3), 1e-5
    expected = [(outcome(zeros + h) - outcome(zeros - h)) / (2 * step) for h in step * jnp.eye(3)]
    np.testing.assert_allclose(
        jax.jacrev(outcome)(zeros), np.stack(expected, axis=1), rtol=1e-6, atol=1e-8
    )


def test_what_does_not_fit_is_named(basis):
    x, y, _ = data()
    for message, options in {
        r"penalty: 0 is an infinitely wide prior": {"penalty": 0.0},
        r"penalty: expected 'evidence' or 'gcv' or 'loo' or a number >= 0": {"penalty": "kfold"},
        r"noise: expected one finite variance > 0 and got 0": {"noise": 0.0},
        r"noise: expected one finite variance > 0": {"noise": jnp.ones(2)},
    }.items():
        with pytest.raises(ValueError, match=message):
            sj.posterior(basis, x, y, **options)
    with pytest.raises(ValueError, match=r"noise: one sample does not tell it"):
        sj.posterior(basis, x[:1], y[:1], penalty=1.0)
    alone = (jnp.arange(len(y)) == 2).astype(x.dtype)
    with pytest.raises(ValueError, match=r"noise: one sample of positive weight does not tell it"):
        sj.posterior(basis, x, y, penalty=1.0, weights=alone)
    untold = sj.posterior(basis, x, y, penalty=1.0, weights=alone, throw=False)
    assert int(untold.model.report.status) != 0
    with pytest.raises(ValueError, match=r"num_samples: expected at least 1"):
        sj.posterior(basis, x, y).sample(jax.random.key(0), 0)
