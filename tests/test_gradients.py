"""Fits of values and gradients together: against stacked least squares, and left out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import X64


def _energy(x):
    """Of two points, a polynomial of degree 3 that no order of them changes."""
    return x[..., 0, 0] * x[..., 1, 0] + jnp.sum(x, axis=(-2, -1)) ** 3 / 10


def _torus_case():
    space = sj.Torus(2)
    basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=5)
    x = space.sample(jax.random.key(0), (9,))
    return basis, x, lambda x: jnp.exp(jnp.cos(x).sum(axis=-1)), lambda _, slope: slope


def _sphere_case():
    """A formula that continues off the sphere in another way than the functions do."""
    space = sj.Sphere(2)
    basis = sj.invariant_basis(space, sj.sign_group(3), max_eigenvalue=20)
    x = space.sample(jax.random.key(0), (9,))

    def tangential(point, slope):
        return slope - (slope @ point) * point

    return basis, x, lambda x: x[..., 0] ** 2 * jnp.exp(x[..., 2] ** 2), tangential


@pytest.mark.parametrize("case", [_torus_case, _sphere_case])
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_the_minimum_of_the_stated_objective(case, weight):
    """c = (ΦᵀΦ/n + ω ΣᵢJᵢᵀJᵢ/n + η/μ)⁻¹(…), J by differentiating the basis along tangents."""
    basis, x, target, project = case()
    n, eta = len(x), 1e-3
    y, slopes = target(x), jax.vmap(jax.grad(target))(x)
    model = sj.fit_ridge(
        basis, x, y, gradients=slopes, gradient_weight=weight, penalty=eta, intercept=False
    )
    features = np.asarray(basis(x), float)
    jacobians = np.asarray(jax.vmap(jax.jacrev(basis))(x), float)
    jacobians = np.stack(
        [
            np.stack([np.asarray(project(p, row)) for row in one])
            for p, one in zip(np.asarray(x), jacobians, strict=True)
        ]
    )
    tangents = np.stack([np.asarray(project(p, s)) for p, s in zip(x, slopes, strict=True)])
    weights = (1 + np.asarray(basis.eigenvalues, float)) ** 2
    matrix = features.T @ features + weight * np.einsum("ijk,ilk->jl", jacobians, jacobians)
    right = features.T @ np.asarray(y) + weight * np.einsum("ijk,ik->j", jacobians, tangents)
    expected = np.linalg.solve(matrix / n + eta * np.diag(weights), right / n)
    np.testing.assert_allclose(model.coefficients, expected, atol=1e-9 if X64 else 1e-3)


@pytest.mark.skipif(not X64, reason="the refits are compared to 1e-8")
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_a_sample_is_left_out_with_its_gradients(outputs):
    """The leave-one-out error at a given penalty, by refits, nη held fixed."""
    space = sj.Torus(2)
    basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=5)
    x = space.sample(jax.random.key(0), (7,))

    def target(x):
        one = jnp.exp(jnp.cos(x).sum(axis=-1))
        return one if outputs == () else jnp.stack([one, jnp.sin(x[..., 0] + x[..., 1])], axis=-1)

    y, slopes = target(x), jax.vmap(jax.jacrev(target))(x)
    options = {"gradient_weight": 0.5}
    eta, n = 1e-3, len(x)
    model = sj.fit_ridge(basis, x, y, gradients=slopes, penalty=eta, **options)
    total = 0.0
    for i in range(n):
        kept = np.arange(n) != i
        less = sj.fit_ridge(
            basis, x[kept], y[kept], gradients=slopes[kept], penalty=eta * n / (n - 1), **options
        )
        total += float(jnp.sum((less(x[i]) - y[i]) ** 2))
        slope = jax.jacrev(lambda point, less=less: less(point))(x[i])
        total += 0.5 * float(jnp.sum((slope - slopes[i]) ** 2))
    expected = np.sqrt(total / (n * max(1, *outputs, 1)))
    np.testing.assert_allclose(model.report.loo_error, expected, rtol=1e-8)
    tuned = sj.fit_ridge(basis, x, y, gradients=slopes, **options)
    assert float(tuned.report.loo_error) <= float(model.report.loo_error) * (1 + 1e-9)

    def error(shift):
        shifted = sj.fit_ridge(basis, x, y + shift * y**2, gradients=slopes, penalty=eta, **options)
        return shifted.report.loo_error

    rate = (error(1e-5) - error(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(error)(0.0), rate, rtol=1e-5)


def test_gradients_are_worth_samples():
    """Eight energies do not determine a polynomial of degree 3; with their slopes they do."""
    space, group = sj.Sets(sj.Gaussian(2), 2), sj.symmetric_group(2)
    basis = sj.invariant_basis(space, group, max_eigenvalue=3)
    x = space.sample(jax.random.key(0), (8,))
    new = space.sample(jax.random.key(1), (60,))
    slopes = jax.vmap(jax.grad(_energy))(x)
    without = sj.fit_ridge(basis, x, _energy(x), penalty=1e-10 if X64 else 1e-6)
    together = sj.fit_ridge(basis, x, _energy(x), gradients=slopes, penalty=1e-10 if X64 else 1e-6)
    errors = [float(jnp.abs(model(new) - _energy(new)).max()) for model in (without, together)]
    assert errors[0] > 1e-1
    assert errors[1] < (1e-6 if X64 else 1e-2)
    table = sj.invariant_basis(space, group, max_eigenvalue=3, route="multiset")
    padded = jnp.concatenate([x, jnp.full((8, 1, 2), jnp.nan)], axis=1)
    slopes = jnp.concatenate([slopes, jnp.full((8, 1, 2), jnp.nan)], axis=1)
    masked = sj.fit_ridge(
        table,
        padded,
        _energy(x),
        gradients=slopes,
        mask=jnp.asarray([[True, True, False]] * 8),
        penalty=1e-10 if X64 else 1e-6,
    )
    np.testing.assert_allclose(masked(new), _energy(new), atol=1e-6 if X64 else 1e-2)


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    space = sj.Torus(2)
    basis = sj.eigenbasis(space, max_eigenvalue=1)
    x, y = space.sample(jax.random.key(0), (5,)), np.zeros(5)
    with pytest.raises(ValueError, match=r"gradients: expected .*shape \(5, 2\).*got shape \(5, 3\)"):
        sj.fit_ridge(basis, x, y, gradients=np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"gradients: row 3 is not finite"):
        sj.fit_ridge(
            basis, x, y, gradients=np.where(np.arange(5)[:, None] == 3, np.nan, np.zeros((5, 2)))
        )
    with pytest.raises(ValueError, match=r"gradient_weight: expected one finite number >= 0 and got -1"):
        sj.fit_ridge(basis, x, y, gradients=np.zeros((5, 2)), gradient_weight=-1.0)
    graphs = sj.eigenbasis(sj.Graphs(3), max_eigenvalue=2)
    points = sj.Graphs(3).sample(jax.random.key(0), (5,))
    with pytest.raises(TypeError, match=r"gradients: points of Graphs have no gradients here; give"):
        sj.fit_ridge(graphs, points, y, gradients=np.zeros((5, 3, 3)))
