"""Spec-Avg against its formula, against itself on the full eigenbasis, and against published errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import EXACT, PAIRS, X64

CASES = {
    "torus": (sj.Torus(3), sj.cyclic_group(3), 6),
    "crystal": (sj.Torus(2), PAIRS["p2gg"]().action.group, 10),
    "sphere": (sj.Sphere(2), sj.hyperoctahedral_group(3), 42),
}
N = 40


def data(space, outputs=()):
    x = space.sample(jax.random.key(0), (N,))
    return x, jax.random.normal(jax.random.key(1), (N, *outputs))


@pytest.mark.parametrize("name", CASES)
def test_the_full_eigenbasis_projected_is_the_invariant_basis(name):
    space, group, bound = CASES[name]
    x, y = data(space, (2,))
    direct = sj.fit_spec_avg(sj.invariant_basis(space, group, max_eigenvalue=bound), x, y)
    full = sj.fit_spec_avg(sj.eigenbasis(space, max_eigenvalue=bound), x, y, action=group)
    new = space.sample(jax.random.key(2), (10,))
    np.testing.assert_allclose(full(new), direct(new), atol=1e-10 if X64 else 2e-4)
    np.testing.assert_allclose(
        full.report.loo_error, direct.report.loo_error, rtol=1e-8 if X64 else 1e-4
    )
    worst = sj.invariance_discrepancy(jax.random.key(3), full, sj.action(space, group), new)
    assert worst < (1e-11 if X64 else 3e-4)


@pytest.mark.parametrize("name", CASES)
def test_coefficients_are_empirical_means_and_leave_one_out_is_that_of_refitting(name):
    space, group, bound = CASES[name]
    x, y = data(space)
    basis = sj.invariant_basis(space, group, max_eigenvalue=bound)
    model = sj.fit_spec_avg(basis, x, y)
    np.testing.assert_allclose(model.coefficients, basis(x).T @ y / N, atol=100 * EXACT)
    kept = ~np.eye(N, dtype=bool)
    residuals = [float(y[i] - sj.fit_spec_avg(basis, x[k], y[k])(x[i])) for i, k in enumerate(kept[:5])]
    features = np.asarray(basis(x), float)
    sums = (features.T @ np.asarray(y, float))[:, None]
    means = (sums - features.T * np.asarray(y, float)) / (N - 1)  # column i leaves sample i out
    refitted = np.asarray(y, float) - np.einsum("ij,ji->i", features, means)
    np.testing.assert_allclose(refitted[:5], residuals, atol=1e-8 if X64 else 1e-4)
    np.testing.assert_allclose(
        model.report.loo_error, np.sqrt(np.mean(refitted**2)), rtol=1e-8 if X64 else 1e-4
    )


@pytest.mark.parametrize("max_norm", [1, 2, 3, 13, 26])
def test_eigenvalues_that_are_rounded_lose_no_level(max_norm):
    """On a torus of period 1 the last eigenvalue, (2π)²|k|², is no float32."""
    space, group = sj.Torus(2, 1.0), sj.sign_group(2)
    x, y = data(space)
    bound = max_norm * space.unit_eigenvalue
    whole = sj.eigenbasis(space, max_eigenvalue=bound)
    full = sj.fit_spec_avg(whole, x, y, action=group)
    direct = sj.fit_spec_avg(sj.invariant_basis(space, group, max_eigenvalue=bound), x, y)
    np.testing.assert_allclose(full(x), direct(x), atol=1e-10 if X64 else 1e-3)
    every = sj.fit_spec_avg(whole, x, y, num_functions=whole.num_functions)
    assert bool((every.coefficients[-4:] != 0).all())


def test_ten_generators_of_the_signs_leave_the_cosine_modes():
    """T^10 with {±1}^10: 1,161 modes with |k|² ≤ 3, projected, are the 176 products of cosines."""
    space, group = sj.Torus(10), sj.sign_group(10)
    x, y = data(space)
    full = sj.fit_spec_avg(sj.eigenbasis(space, max_eigenvalue=3), x, y, action=group)
    basis = sj.invariant_basis(space, group, max_eigenvalue=3)
    assert (full.basis.num_functions, basis.num_functions) == (1161, 176)
    new = space.sample(jax.random.key(4), (20,))
    expected = sj.fit_spec_avg(basis, x, y)(new)
    np.testing.assert_allclose(full(new), expected, atol=1e-10 if X64 else 1e-3)


def test_truncations_keep_whole_eigenspaces():
    space = sj.Torus(2)
    whole = sj.eigenbasis(space, max_eigenvalue=9)  # 1, 5, 9, 13, 21, 25, 29 functions
    x, y = data(space)
    for budget, kept in ((1, 1), (4, 1), (5, 5), (20, 13), (100, 29)):
        c = sj.fit_spec_avg(whole, x, y, num_functions=budget).coefficients
        assert int(np.count_nonzero(np.asarray(c))) == kept
    # d = 2, s = 1.5: α = 1.5 and D = 40^{1/2.5} = 4.37, so the constant; with s near 1, 40^{1/2} = 6.3.
    assert np.count_nonzero(sj.fit_spec_avg(whole, x, y, smoothness=1.5).coefficients) == 1
    assert np.count_nonzero(sj.fit_spec_avg(whole, x, y, smoothness=1.01).coefficients) == 5
    # The budget counts all eigenfunctions of the space, not only the invariant ones.
    invariant = sj.invariant_basis(space, sj.sign_group(2), max_eigenvalue=9)
    assert np.count_nonzero(sj.fit_spec_avg(invariant, x, y, smoothness=1.01).coefficients) == 3
    projected = sj.fit_spec_avg(whole, x, y, smoothness=1.01, action=sj.sign_group(2))
    expected = sj.fit_spec_avg(invariant, x, y, smoothness=1.01)
    np.testing.assert_allclose(projected(x), expected(x), atol=1e3 * EXACT)


@pytest.mark.parametrize(
    ("max_norm", "num_functions", "variance"), [(1, 11, 38.282), (2, 56, 216.001), (3, 176, 704.951)]
)
def test_the_error_on_the_published_example_is_the_exact_one(max_norm, num_functions, variance):
    """f(x) = (1/10) Σ i x_i² on [−1, 1)^10: noiseless error variance/n plus the bias 0.0260."""
    space = sj.Torus(10, 2.0)
    basis = sj.invariant_basis(space, sj.sign_group(10), max_eigenvalue=max_norm * space.unit_eigenvalue)
    assert basis.num_functions == num_functions
    n, num_repeats = 200, 40
    x = 2 * jax.random.uniform(jax.random.key(0), (num_repeats, n, 10)) - 1
    new = 2 * jax.random.uniform(jax.random.key(1), (2000, 10)) - 1

    def target(x):
        return x**2 @ (jnp.arange(1.0, 11.0) / 10)

    fit = jax.jit(jax.vmap(lambda x: sj.fit_spec_avg(basis, x, target(x))(new)))
    errors = np.mean((np.asarray(fit(x)) - np.asarray(target(new))) ** 2, axis=1)
    expected = variance / n + 0.0260
    spread = errors.std() / np.sqrt(num_repeats)
    assert abs(errors.mean() - expected) < 4 * spread + 0.02 * expected
    assert spread < 0.1 * expected


def test_bad_input_and_status():
    space, group, bound = CASES["torus"]
    x, y = data(space)
    basis = sj.invariant_basis(space, group, max_eigenvalue=bound)
    with pytest.raises(ValueError, match=r"action: the basis is invariant already"):
        sj.fit_spec_avg(basis, x, y, action=group)
    with pytest.raises(
        ValueError, match=r"smoothness: expected s > d/2 = 1\.5 and got 1\.5; the theorem"
    ):
        sj.fit_spec_avg(basis, x, y, smoothness=1.5)
    with pytest.raises(ValueError, match=r"smoothness, num_functions: .*both came"):
        sj.fit_spec_avg(basis, x, y, smoothness=2.0, num_functions=3)
    spoiled = y.at[2].set(jnp.nan)
    with pytest.raises(ValueError, match=r"y: row 2 is not finite"):
        sj.fit_spec_avg(basis, x, spoiled)
    assert int(sj.fit_spec_avg(basis, x, spoiled, throw=False).report.status) == 1
