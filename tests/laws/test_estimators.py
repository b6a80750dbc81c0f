"""Every estimator: exact invariance, vmap = loop, jit = eager, one compilation per shape, recovery."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import ESTIMATORS, EXACT, PAIRS, X64

PAIR_NAMES = ["B_2", "p2gg"]
N = 24


@pytest.fixture(params=PAIR_NAMES, scope="module")
def pair(request):
    return PAIRS[request.param]()


@pytest.fixture(params=ESTIMATORS)
def fit(request):
    return ESTIMATORS[request.param]


def data(pair, seed=0):
    """Samples of an invariant function that is not in the span, with noise."""
    x = pair.action.space.sample(jax.random.key(seed), (N,))
    target = jnp.exp(pair.basis()(x) @ jnp.linspace(1, 0, pair.basis().num_functions) / 4)
    return x, target + 0.1 * jax.random.normal(jax.random.key(seed + 1), (N,))


def test_the_model_is_exactly_invariant(fit, pair):
    x, y = data(pair)
    model = fit(pair, x, y, penalty=1e-3)
    worst = sj.invariance_discrepancy(jax.random.key(3), model, pair.action, x, relative=True)
    assert worst < (1e-12 if X64 else 1e-5)


def test_it_recovers_a_function_of_the_span(fit, pair):
    x, _ = data(pair)
    coefficients = jnp.zeros(pair.basis().num_functions).at[jnp.asarray([0, 2, 3])].set(1.0)
    model = fit(pair, x, pair.basis()(x) @ coefficients)
    new = pair.action.space.sample(jax.random.key(7), (N,))
    assert int(model.report.status) == 0
    np.testing.assert_allclose(model(new), pair.basis()(new) @ coefficients, atol=1e-6 if X64 else 1e-2)


def test_outputs_of_any_shape_are_fitted_together(fit, pair):
    x, y = data(pair)
    together = fit(pair, x, jnp.stack([y, y**2], axis=1), penalty=1e-3)
    assert together(x).shape == (N, 2)
    np.testing.assert_allclose(together(x)[:, 1], fit(pair, x, y**2, penalty=1e-3)(x), atol=1e3 * EXACT)
    assert fit(pair, x, y[:, None, None], penalty=1e-3)(x[None]).shape == (1, N, 1, 1)


def test_vmap_over_targets_and_penalties_is_a_loop(fit, pair):
    x, y = data(pair)
    targets, penalties = jnp.stack([y, jnp.cos(y)]), jnp.asarray([1e-3, 1e-1])
    predictions = jax.vmap(lambda y, penalty: fit(pair, x, y, penalty=penalty)(x))(targets, penalties)
    for row in range(2):
        alone = fit(pair, x, targets[row], penalty=penalties[row])(x)
        np.testing.assert_allclose(predictions[row], alone, atol=1e-10 if X64 else 2e-3)


def test_jit_is_eager_and_a_sweep_over_data_compiles_once(fit, pair):
    chex.clear_trace_counter()
    traced = chex.assert_max_traces(lambda x, y: fit(pair, x, y).coefficients, n=1)
    compiled = jax.jit(traced)
    for seed in (0, 10):
        x, y = data(pair, seed)
        np.testing.assert_allclose(
            compiled(x, y), fit(pair, x, y).coefficients, atol=1e-7 if X64 else 2e-2
        )


def test_it_can_be_differentiated(fit, pair):
    x, y = data(pair)

    def loss(log_penalty):
        return jnp.mean(fit(pair, x, y, penalty=jnp.exp(log_penalty))(x) ** 2)

    step = 1e-4 if X64 else 3e-2
    expected = (loss(-2.0 + step) - loss(-2.0 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(loss)(-2.0), expected, rtol=1e-5 if X64 else 3e-2)


def test_a_constant_is_fitted_exactly_by_the_unpenalized_constant(fit, pair):
    x, _ = data(pair)
    model = fit(pair, x, jnp.full(N, 3.0), penalty=10.0)
    np.testing.assert_allclose(model(x), 3.0, rtol=10 * EXACT)
    shrunk = fit(pair, x, jnp.full(N, 3.0), penalty=10.0, intercept=False)
    assert bool((shrunk(x) < 2).all())


def test_host_arrays_and_lists_of_integers_as_targets_are_welcome(fit, pair):
    x, _ = data(pair)
    y = np.arange(N)
    model = fit(pair, np.asarray(x), y, penalty=1e-2)
    expected = fit(pair, x, jnp.asarray(y, float), penalty=1e-2)(x)
    np.testing.assert_allclose(model(x), expected, atol=100 * EXACT * N)


def test_the_status_tells_and_throw_raises(fit, pair):
    x, y = data(pair)
    spoiled = y.at[5].set(jnp.nan)
    with pytest.raises(ValueError, match=r"y: row 5 is not finite"):
        fit(pair, x, spoiled)
    assert int(fit(pair, x, spoiled, throw=False).report.status) == 1
    assert int(jax.jit(lambda y: fit(pair, x, y).report.status)(spoiled)) == 1
    few = x[:3]
    with pytest.raises(ValueError, match=r"penalty = 0 with linearly dependent features"):
        fit(pair, jnp.concatenate([few, few]), jnp.zeros(6), penalty=0.0, intercept=False)
