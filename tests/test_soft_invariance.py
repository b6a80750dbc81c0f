"""Soft invariance: its ends, the dense normal equations, its path, and where it is worth having."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.invariants.departures import departures
from tests.registry import EXACT, X64

pytestmark = pytest.mark.usefixtures("without_signature_checks")
N = 40
CASES = {
    "torus": (sj.Torus(2), sj.cyclic_group(2), 5),
    "sphere": (sj.Sphere(2), sj.lie_group([[[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]]), 12),
}
CLOSE = 1e-9 if X64 else 2e-5
INFINITY = float("inf")


@pytest.fixture(params=CASES, scope="module")
def case(request):
    space, group, bound = CASES[request.param]
    x = space.sample(jax.random.key(0), (N,))
    y = jnp.exp(x.sum(axis=1) / 4) + 0.1 * jax.random.normal(jax.random.key(1), (N,))
    return sj.action(space, group), sj.eigenbasis(space, max_eigenvalue=bound), x, y


def dense_form(action, basis):
    """Σ_g (D(g) − I)ᵀ(D(g) − I) + Σ_A dρ(A)ᵀdρ(A) over all coefficients."""
    levels = action.space.levels(float(basis.eigenvalues[-1]) * (1 + 1e-6))
    form, start = np.zeros((basis.num_functions,) * 2), 0
    for matrices, rates in zip(
        action.generator_representations(levels), action.derivations(levels), strict=True
    ):
        m = matrices.shape[1]
        block = slice(start, start + m)
        for constraint in [*(matrices - np.eye(m)), *rates]:
            form[block, block] += constraint.T @ constraint
        start += m
    return form


def test_every_strength_solves_the_dense_normal_equations(case):
    action, basis, x, y = case
    strengths, penalty = [0.0, 0.3, 20.0], 1e-3
    path = sj.soft_invariance_path(basis, x, y, action=action, strengths=strengths, penalty=penalty)
    features, form = np.asarray(basis(x), float), dense_form(action, basis)
    inverse = 1 / np.asarray(sj.sobolev(2.0)(basis.eigenvalues), float)
    inverse[0] = 0
    for i, strength in enumerate(strengths):
        matrix = features.T @ features + N * penalty * (np.diag(inverse) + strength * form)
        expected = np.linalg.solve(matrix, features.T @ np.asarray(y, float))
        np.testing.assert_allclose(path.coefficients[i], expected, atol=CLOSE)
        np.testing.assert_allclose(
            path.discrepancies[i], np.sqrt(expected @ form @ expected), atol=CLOSE, rtol=CLOSE
        )


def test_the_ends_are_ridge_on_the_full_and_on_the_invariant_basis(case):
    action, basis, x, y = case
    invariant = sj.invariant_basis(
        action.space, action, max_eigenvalue=float(basis.eigenvalues[-1]) * (1 + 1e-6)
    )
    new = action.space.sample(jax.random.key(2), (20,))
    for penalty in (1e-2, "loo"):
        path = sj.soft_invariance_path(
            basis, x, y, action=action, strengths=[0.0, 1e4, 1e6, INFINITY], penalty=penalty
        )
        free = sj.fit_ridge(basis, x, y, penalty=penalty)
        np.testing.assert_allclose(path.model(0)(new), free(new), atol=10 * CLOSE)
        np.testing.assert_allclose(path.model(0).report.loo_error, free.report.loo_error, rtol=1e-5)
        exact = sj.fit_ridge(invariant, x, y, penalty=penalty)
        np.testing.assert_allclose(path.model(3)(new), exact(new), atol=10 * CLOSE)
        np.testing.assert_allclose(path.model(3).report.loo_error, exact.report.loo_error, rtol=1e-5)
        gaps = [float(abs(path.model(i)(new) - exact(new)).max()) for i in (1, 2)]
        assert penalty == "loo" or 0 < gaps[1] < 1.1e-2 * gaps[0]
        assert float(path.discrepancies[3]) == 0
        worst = sj.invariance_discrepancy(jax.random.key(3), path.model(3), action, new)
        assert worst < 100 * EXACT


@pytest.mark.parametrize("penalty", ["gcv", "evidence"])
def test_the_strength_is_chosen_by_what_chooses_the_penalty(case, penalty):
    action, basis, x, y = case
    path = sj.soft_invariance_path(basis, x, y, action=action, penalty=penalty)
    values = path.reports.criterion.value
    assert path.reports.loo_error is None
    np.testing.assert_allclose(values[path.best], values.min(), rtol=1e-9 if X64 else 1e-3)


@pytest.mark.parametrize("case", ["torus"], indirect=True)
def test_the_discrepancy_descends_to_exactly_nothing(case):
    action, basis, x, y = case
    path = sj.soft_invariance_path(basis, x, y, action=action, penalty=1e-3)
    found = np.asarray(path.discrepancies)
    assert np.all(found[1:] < found[:-1])
    assert found[-1] == 0
    assert float(path.strengths[-1]) == INFINITY
    assert np.all(np.asarray(path.reports.status) == 0)
    least = float(jnp.min(path.reports.loo_error))
    np.testing.assert_allclose(
        path.model(path.best).report.loo_error, least, rtol=1e-12 if X64 else 2e-4
    )


def test_rates_are_those_of_the_form_and_zero_for_the_invariants_alone(case):
    action, basis, _, _ = case
    levels = action.space.levels(float(basis.eigenvalues[-1]) * (1 + 1e-6))
    rotations, rates = departures(action, levels, 2**30)
    whole = np.zeros((len(rates), len(rates)))
    start = 0
    for block in rotations:
        whole[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    np.testing.assert_allclose(whole.T @ whole, np.eye(len(rates)), atol=1e-12)
    np.testing.assert_allclose(whole.T @ dense_form(action, basis) @ whole, np.diag(rates), atol=1e-10)
    invariant = sj.invariant_count(action.space, action, float(basis.eigenvalues[-1]) * (1 + 1e-6))
    assert np.sum(rates == 0) == invariant
    assert rates[rates > 0].min() > 1e-3


PLANE, POINT_GROUP = sj.Torus(2), sj.hyperoctahedral_group(2)


def target(x, share):
    """Symmetric, and a share of what is not."""
    symmetric = jnp.cos(x).sum(axis=1) + 2 * jnp.prod(jnp.cos(x), axis=1)
    return symmetric + share * jnp.sin(x[:, 0] - x[:, 1])


def path_of(seed, share):
    x = PLANE.sample(jax.random.key(seed), (200,))
    noise = 0.7 * jax.random.normal(jax.random.key(100 + seed), (200,))
    basis = sj.eigenbasis(PLANE, max_eigenvalue=10)
    return sj.soft_invariance_path(basis, x, target(x, share) + noise, action=POINT_GROUP)


def test_nearly_symmetric_targets_are_learned_best_between_the_ends():
    """Mean test errors over eight draws: of strengths 0, 40, ∞, and of the one that is chosen."""
    new = PLANE.sample(jax.random.key(99), (1000,))
    errors = []
    for seed in range(8):
        path = path_of(seed, 0.3)
        models = [path.model(i) for i in (0, 3, -1, path.best)]
        errors.append([float(jnp.mean((model(new) - target(new, 0.3)) ** 2)) for model in models])
    free, between, exact, chosen = np.mean(errors, axis=0)
    assert between < 0.9 * min(free, exact)
    assert chosen < 0.95 * min(free, exact)


def test_symmetric_targets_choose_a_symmetric_model():
    path = path_of(0, 0.0)
    assert float(path.strengths[path.best]) > 100
    assert float(path.discrepancies[path.best]) < 0.1 * float(path.discrepancies[0])


@pytest.mark.parametrize("case", ["torus"], indirect=True)
def test_it_composes_under_jit_vmap_and_grad(case):
    action, basis, x, y = case

    def predictions(strength, y):
        return sj.fit_soft_invariance(basis, x, y, action=action, strength=strength, penalty=1e-2)(x)

    strengths = jnp.asarray([0.0, 1.0, INFINITY])
    mapped = jax.jit(jax.vmap(predictions, in_axes=(0, None)))(strengths, y)
    for strength, values in zip(strengths, mapped, strict=True):
        np.testing.assert_allclose(values, predictions(float(strength), y), atol=1e-9 if X64 else 1e-3)
    step = 1e-4 if X64 else 1e-1

    def loss(log_strength):
        return jnp.mean(predictions(jnp.exp(log_strength), y) ** 2)

    slope = (loss(step) - loss(-step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(loss)(0.0), slope, rtol=1e-5 if X64 else 0.1)


@pytest.mark.parametrize("case", ["torus"], indirect=True)
def test_outputs_and_options_are_those_of_ridge(case):
    action, basis, x, y = case
    targets = jnp.stack([y, y**2], axis=1)
    options = {"penalty": 1e-3, "intercept": False, "weights": np.arange(1.0, N + 1)}
    model = sj.fit_soft_invariance(basis, x, targets, action=action, strength=0.0, **options)
    expected = sj.fit_ridge(basis, x, targets, **options)
    assert model(x).shape == (N, 2)
    np.testing.assert_allclose(model.coefficients, expected.coefficients, atol=10 * CLOSE)


def test_bad_input():
    space, group = sj.Torus(2), sj.cyclic_group(2)
    basis = sj.eigenbasis(space, max_eigenvalue=2)
    x = space.sample(jax.random.key(0), (8,))
    y = jnp.ones(8)
    with pytest.raises(ValueError, match=r"strengths: expected ascending numbers >= 0 and got \[-1.0\]"):
        sj.fit_soft_invariance(basis, x, y, action=group, strength=-1.0)
    with pytest.raises(ValueError, match=r"strength: expected 'loo' or one number >= 0 and got 'gcv'"):
        sj.fit_soft_invariance(basis, x, y, action=group, strength="gcv")
    with pytest.raises(ValueError, match=r"strengths: expected ascending .* \[2.0, 1.0\]"):
        sj.soft_invariance_path(basis, x, y, action=group, strengths=[2.0, 1.0])
    with pytest.raises(ValueError, match=r"basis: it is invariant already"):
        sj.fit_soft_invariance(sj.invariant_basis(space, group, max_eigenvalue=2), x, y, action=group)
    with pytest.raises(TypeError, match=r"basis: expected the answer of eigenbasis and got a int"):
        sj.fit_soft_invariance(3, x, y, action=group)
    with pytest.raises(ValueError, match=r"y: row 2 is not finite"):
        sj.fit_soft_invariance(basis, x, y.at[2].set(jnp.nan), action=group)
    spoiled = sj.fit_soft_invariance(basis, x, y.at[2].set(jnp.nan), action=group, throw=False)
    assert int(spoiled.report.status) == 1
