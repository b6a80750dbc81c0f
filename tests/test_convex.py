"""Convex losses against scikit-learn, scipy, ridge regression, finite differences, and bad input."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from sklearn.linear_model import LogisticRegression, PoissonRegressor

import symjax_learn as sj
from symjax_learn.optimization import Status
from tests.registry import X64

SPACE = sj.Torus(2, 1.0)
BASIS = sj.invariant_basis(SPACE, sj.hyperoctahedral_group(2), max_eigenvalue=5 * SPACE.unit_eigenvalue)
SPECTRUM = sj.sobolev(1.5)
N = 100
X = SPACE.sample(jax.random.key(0), (N,))
SIGNAL = np.asarray(jnp.cos(2 * jnp.pi * X).sum(axis=1), float)
RNG = np.random.default_rng(0)
LABELS = (RNG.uniform(size=N) < 1 / (1 + np.exp(-2 * SIGNAL))).astype(int)
CLASSES = np.digitize(SIGNAL + 0.5 * RNG.normal(size=N), [-0.5, 0.5])
COUNTS = RNG.poisson(np.exp(2 + SIGNAL))
REALS = SIGNAL + 0.3 * RNG.standard_t(2, size=N)
# The features are float32 in a float32 session, and so is what comes out.
CLOSE = 1e-8 if X64 else 2e-5
ETA = 1e-3


def fit(y, loss, penalty=ETA, **options):
    return sj.fit_convex(BASIS, X, y, loss=loss, penalty=penalty, spectrum=SPECTRUM, **options)


def scaled():
    """The penalized columns, scaled so that the penalty is that of Euclid."""
    weights = np.asarray(SPECTRUM(BASIS.eigenvalues), float)
    return np.asarray(BASIS(X), float)[:, 1:] * np.sqrt(weights[1:])


def test_logistic_is_that_of_scikit_learn():
    oracle = LogisticRegression(C=1 / (2 * N * ETA), solver="newton-cholesky", tol=1e-12)
    expected = oracle.fit(scaled(), LABELS).predict_proba(scaled())[:, 1]
    model = fit(LABELS, sj.losses.logistic)
    np.testing.assert_allclose(model.probabilities(X), expected, atol=CLOSE)
    assert int(model.report.status) == 0
    assert float(model.report.residual) < CLOSE


def test_multinomial_is_that_of_scikit_learn_and_its_logits_sum_to_zero():
    oracle = LogisticRegression(C=1 / (2 * N * ETA), solver="newton-cholesky", tol=1e-12)
    expected = oracle.fit(scaled(), CLASSES).predict_proba(scaled())
    model = fit(CLASSES, sj.losses.multinomial(3))
    np.testing.assert_allclose(model.probabilities(X), expected, atol=CLOSE)
    np.testing.assert_allclose(model(X).sum(axis=1), 0, atol=CLOSE)
    assert model.coefficients.shape == (BASIS.num_functions, 3)


def test_poisson_is_that_of_scikit_learn():
    oracle = PoissonRegressor(alpha=2 * ETA, solver="newton-cholesky", tol=1e-12)
    expected = oracle.fit(scaled(), COUNTS).predict(scaled())
    np.testing.assert_allclose(jnp.exp(fit(COUNTS, sj.losses.poisson)(X)), expected, rtol=10 * CLOSE)


@pytest.mark.parametrize("intercept", [True, False])
def test_squared_is_ridge_regression(intercept):
    y, weights = np.stack([REALS, REALS**2], axis=1), RNG.uniform(size=N)
    options = {"penalty": ETA, "intercept": intercept, "weights": weights}
    expected = sj.fit_ridge(BASIS, X, y, spectrum=SPECTRUM, **options)
    model = fit(y, sj.losses.squared, **options)
    np.testing.assert_allclose(model.coefficients, expected.coefficients, rtol=CLOSE, atol=CLOSE)
    assert model(X).shape == (N, 2)


@pytest.mark.parametrize("delta", [0.05, 1.0])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_huber_is_the_minimum_that_scipy_finds(delta, shift):
    """Also of targets so far away that the loss has no curvature there."""

    def objective(theta):
        residual = np.abs(REALS - theta[0] - scaled() @ theta[1:])
        near = np.minimum(residual, delta)
        return np.mean(near * (residual - near / 2)) + ETA * np.sum(theta[1:] ** 2)

    best = minimize(objective, np.zeros(BASIS.num_functions), options={"gtol": 1e-10}).fun
    model = fit(REALS + shift, sj.losses.huber(delta))
    np.testing.assert_allclose(model.report.objective, best, rtol=1e-7 if X64 else 1e-4)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_quantile_is_the_linear_program_where_the_penalty_is_small(level):
    columns = np.concatenate([np.ones((N, 1)), scaled()], axis=1)
    p = columns.shape[1]
    cost = np.concatenate([np.zeros(p), np.full(N, level), np.full(N, 1 - level)]) / N
    equal = np.concatenate([columns, np.eye(N), -np.eye(N)], axis=1)
    bounds = [(None, None)] * p + [(0, None)] * (2 * N)
    program = linprog(cost, A_eq=equal, b_eq=REALS, bounds=bounds)
    model = fit(REALS, sj.losses.quantile(level), penalty=1e-10)
    np.testing.assert_allclose(model.report.objective, program.fun, rtol=1e-6 if X64 else 1e-4)
    below = np.mean(REALS < np.asarray(model(X), float) - 1e-4)
    assert abs(below - level) <= p / N


def test_the_gap_of_a_quantile_loss_bounds_its_distance_from_the_minimum():
    rough, exact = (fit(REALS, sj.losses.quantile(0.3), tolerance=t) for t in (1e-3, 1e-9))
    assert 0 <= float(rough.report.gap) <= 1e-3 * float(rough.report.objective)
    excess = float(rough.report.objective) - float(exact.report.objective)
    assert -1e-6 <= excess <= float(rough.report.gap) + 1e-6


class Cosh(eqx.Module):
    """A user's own loss: s² log cosh((y − f)/s), summed over outputs."""

    scale: jax.Array

    def __call__(self, y, f):
        return self.scale**2 * jnp.sum(jnp.log(jnp.cosh((y - f) / self.scale)))


def test_a_loss_of_ones_own_over_outputs_together():
    y = np.stack([REALS, -REALS], axis=1)
    together = fit(y, Cosh(jnp.asarray(2.0)))
    alone = fit(REALS, Cosh(jnp.asarray(2.0)))
    np.testing.assert_allclose(together(X)[:, 0], alone(X), atol=CLOSE)
    np.testing.assert_allclose(together(X)[:, 1], -alone(X), atol=CLOSE)


@pytest.mark.skipif(not X64, reason="finite differences of more digits than float32 has")
def test_derivatives_are_those_of_finite_differences():
    """With respect to points, targets, weights, penalty, and a parameter of the loss."""

    def outcome(z):
        model = sj.fit_convex(
            BASIS,
            X + z[0] * jnp.sin(7 * X),
            jnp.asarray(REALS) * (1 + z[1]),
            weights=1 + z[2] * jnp.arange(float(N)),
            penalty=ETA * jnp.exp(z[3]),
            loss=Cosh(1.0 + z[4]),
            spectrum=SPECTRUM,
        )
        return jnp.sum(model.coefficients**2)

    compiled, step = jax.jit(jax.value_and_grad(outcome)), 1e-5
    slopes = compiled(jnp.zeros(5))[1]
    for slope, along in zip(slopes, step * jnp.eye(5), strict=True):
        expected = (compiled(along)[0] - compiled(-along)[0]) / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_vmap_over_labels_penalties_and_folds_is_a_loop():
    labels = jnp.stack([jnp.asarray(LABELS, float), 1 - jnp.asarray(LABELS, float)])
    penalties = jnp.asarray([1e-3, 1e-1])
    folds = jnp.stack([jnp.arange(N) % 2, jnp.arange(N) % 3 % 2]).astype(float)

    def one(y, penalty, weights):
        return fit(y, sj.losses.logistic, penalty=penalty, weights=weights)(X)

    together = jax.jit(jax.vmap(one))(labels, penalties, folds)
    for row in range(2):
        alone = one(labels[row], penalties[row], folds[row])
        np.testing.assert_allclose(together[row], alone, atol=1e-8 if X64 else 2e-3)


def test_rows_are_evaluated_chunk_by_chunk_where_they_do_not_fit():
    whole = sj.eigenbasis(SPACE, max_functions=37)
    x = SPACE.sample(jax.random.key(1), (3000,))
    y = (jnp.sin(7 * x[:, 0]) > 0).astype(float)
    few = sj.fit_convex(whole, x, y, loss=sj.losses.logistic, penalty=1e-2)
    chunked = jax.jit(lambda x: sj.fit_convex(whole, x, y, loss=sj.losses.logistic, penalty=1e-2)(x))(x)
    np.testing.assert_allclose(chunked, few(x), atol=1e-8 if X64 else 2e-3)


def test_a_model_is_exactly_invariant_and_read_again(tmp_path):
    model = fit(CLASSES, sj.losses.multinomial(3))
    action = BASIS.action
    assert sj.invariance_discrepancy(jax.random.key(3), model, action, X) < (1e-11 if X64 else 1e-4)
    sj.save(tmp_path / "model.npz", model)
    again = sj.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.probabilities(X), model.probabilities(X))
    assert jax.tree.structure(again) == jax.tree.structure(model)
    with pytest.raises(TypeError, match=r"model: model\.loss is .*cannot be stored"):
        sj.save(tmp_path / "model.npz", fit(REALS, lambda y, f: (y - f) ** 2))


def test_labels_that_a_function_separates_are_told():
    separated = (SIGNAL > 0).astype(float)
    with pytest.raises(ValueError, match=r"separates the labels.*not_converged"):
        fit(separated, sj.losses.logistic, penalty=0.0)
    model = fit(separated, sj.losses.logistic, penalty=0.0, throw=False)
    assert int(model.report.status) == 5
    assert int(fit(separated, sj.losses.logistic, penalty=1e-6).report.status) == 0


@pytest.mark.parametrize(
    ("y", "loss", "message"),
    [
        (LABELS * 2, sj.losses.logistic, r"y: labels are the integers 0 to 1, and row \d+ is 2"),
        (CLASSES + 0.5, sj.losses.multinomial(3), r"y: labels are .* 0 to 2, and row 0 is"),
        (CLASSES, sj.losses.multinomial(2), r"y: labels are the integers 0 to 1, and row \d+ is 2"),
        (np.stack([CLASSES] * 2, axis=1), sj.losses.multinomial(3), r"y: .*one label.*\(100, 2\)"),
        (-COUNTS, sj.losses.poisson, r"y: counts are >= 0, and row \d+ is -"),
        (np.where(np.arange(N) == 7, np.nan, REALS), sj.losses.squared, r"y: row 7 is not finite"),
        (REALS, lambda y, f: jnp.stack([y, f]), r"loss: for a target of shape \(\).*one number"),
        (REALS, lambda y, f: jnp.cos(y - f), r"negative curvature.*not_convex"),
        (COUNTS, sj.losses.poisson, r"stopped before its tolerance.*not_converged, after 3 steps"),
    ],
)
def test_what_a_loss_does_not_take_is_named(y, loss, message):
    with pytest.raises(ValueError, match=message):
        fit(y, loss, max_steps=3 if "after 3" in message else 100)


@pytest.mark.usefixtures("without_signature_checks")
def test_arguments_are_checked():
    with pytest.raises(TypeError, match=r"loss: expected one of symjax_learn\.losses.*'hinge'"):
        fit(REALS, "hinge")
    for delta in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=r"delta: expected one finite number > 0"):
            sj.losses.huber(delta)
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"level: expected one number between 0 and 1"):
            sj.losses.quantile(level)
    with pytest.raises(ValueError, match=r"num_classes: expected at least 2"):
        sj.losses.multinomial(1)
    with pytest.raises(ValueError, match=r"tolerance: expected"):
        fit(REALS, sj.losses.squared, tolerance=0.0)
    with pytest.raises(TypeError, match=r"probabilities are of"):
        fit(REALS, sj.losses.squared).probabilities(X)


@pytest.mark.parametrize("name", ["squared", "logistic"])
@pytest.mark.parametrize("penalty", [1e-3, 3e-2])
def test_the_group_lasso_satisfies_its_optimality_conditions(name, penalty):
    """-∇_g = η √m_g c_g/|c_g| in eigenspaces that stay, |∇_g| <= η √m_g in those that leave."""
    whole = sj.eigenbasis(SPACE, max_functions=21)
    loss, y = getattr(sj.losses, name), {"squared": REALS, "logistic": LABELS}[name]
    options = {"loss": loss, "penalty": penalty, "spectrum": SPECTRUM, "regularizer": "group_lasso"}
    model = sj.fit_convex(whole, X, y, **options)
    scale = np.sqrt(np.asarray(SPECTRUM(whole.eigenvalues), float))
    columns = np.asarray(whole(X), float) * scale
    theta, values = np.asarray(model.coefficients, float) / scale, np.asarray(model(X), float)
    slopes = 2 * (values - y) if name == "squared" else 1 / (1 + np.exp(-values)) - y
    gradient = columns.T @ slopes / N
    levels = np.round(np.asarray(whole.eigenvalues) / SPACE.unit_eigenvalue).astype(int)
    left = 0
    assert abs(gradient[0]) < CLOSE
    for level in sorted(set(levels) - {0}):
        own = levels == level
        size, limit = np.linalg.norm(theta[own]), penalty * np.sqrt(own.sum())
        if size == 0:
            left += 1
            assert np.linalg.norm(gradient[own]) <= limit + CLOSE
        else:
            np.testing.assert_allclose(gradient[own], -limit * theta[own] / size, atol=10 * CLOSE)
    assert left > 0 if penalty > 1e-2 else left < 5
    with pytest.raises(ValueError, match=r"the penalty is negative or not finite|> 0"):
        sj.fit_convex(whole, X, y, **(options | {"penalty": 0.0}))


@pytest.mark.skipif(not X64, reason="finite differences of more digits than float32 has")
def test_derivatives_of_the_group_lasso_are_those_of_finite_differences():
    whole = sj.eigenbasis(SPACE, max_functions=21)

    def outcome(z):
        y, penalty = (
            jnp.asarray(REALS) * (1 + z[0] * jnp.cos(jnp.arange(float(N)))),
            3e-2 * jnp.exp(z[1]),
        )
        options = {"loss": sj.losses.squared, "regularizer": "group_lasso", "tolerance": 1e-13}
        return jnp.sum(sj.fit_convex(whole, X, y, penalty=penalty, **options).coefficients ** 2)

    compiled, step = jax.jit(jax.value_and_grad(outcome)), 1e-5
    for slope, along in zip(compiled(jnp.zeros(2))[1], step * jnp.eye(2), strict=True):
        expected = (compiled(along)[0] - compiled(-along)[0]) / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_k_fold_chooses_the_penalty_of_the_least_held_out_loss():
    model = fit(LABELS, sj.losses.logistic, penalty="kfold", folds=4)

    def refitted(penalty):
        total = 0.0
        for fold in range(4):
            kept = np.arange(N) % 4 != fold
            options = {"loss": sj.losses.logistic, "penalty": penalty, "spectrum": SPECTRUM}
            there = sj.fit_convex(BASIS, X[kept], LABELS[kept], **options)
            logits, labels = np.asarray(there(X[~kept]), float), LABELS[~kept]
            total += np.sum(np.logaddexp(0, logits) - labels * logits)
        return total / N

    chosen = float(model.penalty)
    best = refitted(chosen)
    np.testing.assert_allclose(model.report.heldout_loss, best, rtol=1e-6 if X64 else 1e-4)
    for factor in (0.1**0.5, 10**0.5):
        assert refitted(chosen * factor) >= best * (1 - 1e-6)
    with pytest.raises(ValueError, match=r"folds: 5 folds need as many samples and there are 3"):
        sj.fit_convex(BASIS, X[:3], REALS[:3], loss=sj.losses.squared)


@pytest.mark.parametrize("name", ["poisson", "multinomial"])
def test_both_solvers_find_the_same_minimum(name):
    loss = {"poisson": sj.losses.poisson, "multinomial": sj.losses.multinomial(3)}[name]
    y = {"poisson": COUNTS, "multinomial": CLASSES}[name]
    newton, gradients = (fit(y, loss, solver=solver) for solver in ("newton", "lbfgs"))
    np.testing.assert_allclose(gradients.coefficients, newton.coefficients, atol=1e-6 if X64 else 1e-4)
    np.testing.assert_allclose(gradients.report.objective, newton.report.objective, rtol=1e-6)


@pytest.mark.skipif(not X64, reason="compares to more digits than float32 has")
def test_both_solvers_carry_the_same_derivative():
    y = jnp.asarray(COUNTS, float)

    def outcome(y, solver):
        return jnp.sum(fit(y, sj.losses.poisson, solver=solver)(X) ** 2)

    by_newton, by_gradients = (jax.grad(outcome)(y, solver) for solver in ("newton", "lbfgs"))
    np.testing.assert_allclose(by_gradients, by_newton, rtol=1e-5, atol=1e-8)


@pytest.mark.usefixtures("without_signature_checks")
def test_solvers_and_regularizers_are_checked():
    for options, message in (
        ({"solver": "sgd"}, r"solver: expected 'auto', 'newton' or 'lbfgs' and got 'sgd'"),
        ({"regularizer": "lasso"}, r"regularizer: expected 'ridge' or 'group_lasso' and got 'lasso'"),
        ({"regularizer": "group_lasso", "solver": "lbfgs"}, r"solver: 'lbfgs' is of smooth losses"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(REALS, sj.losses.squared, **options)
    with pytest.raises(ValueError, match=r"regularizer: 'group_lasso' needs a loss with a slope"):
        fit(REALS, sj.losses.quantile(0.5), regularizer="group_lasso")
    with pytest.raises(ValueError, match=r"basis: the Hessian of 5 coefficients.*solver='lbfgs'"):
        fit(REALS, sj.losses.squared, memory_limit=1000)


def test_the_group_lasso_on_simple_eigenvalues_is_soft_thresholding():
    """At points of a quadrature the functions are orthonormal: c_j = c̃_j (1 − η/(2|c̃_j|))₊."""
    basis = sj.eigenbasis(sj.Box(1), max_functions=6)
    x = (jnp.arange(64.0)[:, None] + 0.5) / 64
    means = np.asarray([1.0, 2.0, 0.005, -0.3, 0.0, 0.05])
    y = np.asarray(basis(x)) @ means
    options = {"loss": sj.losses.squared, "regularizer": "group_lasso", "spectrum": jnp.ones_like}
    model = sj.fit_convex(basis, x, y, penalty=0.04, **options)
    expected = np.sign(means) * np.maximum(np.abs(means) - 0.02, 0)
    expected[0] = 1.0  # the constant is free
    np.testing.assert_allclose(model.coefficients, expected, atol=CLOSE)


@pytest.mark.parametrize("name", ["huber", "quantile"])
def test_targets_far_from_zero_move_the_constant_alone(name):
    loss = sj.losses.huber(0.1) if name == "huber" else sj.losses.quantile(0.3)
    here, far = fit(REALS, loss), fit(REALS + 1000.0, loss)
    close = {"atol": 1e-7} if X64 else {"atol": 2e-2}  # of y itself a float32 keeps 6e-5
    np.testing.assert_allclose(far.coefficients[0], here.coefficients[0] + 1000, **close)
    np.testing.assert_allclose(far.coefficients[1:], here.coefficients[1:], **close)


def test_folds_without_weight_are_named():
    weights = jnp.arange(N) % 2
    with pytest.raises(ValueError, match=r"folds: all samples of positive weight are in one fold"):
        fit(REALS, sj.losses.squared, penalty="kfold", folds=2, weights=weights)


@pytest.mark.parametrize(
    ("y", "loss"), [(LABELS * 2 - 1, sj.losses.logistic), (-COUNTS, sj.losses.poisson)]
)
def test_targets_that_a_loss_does_not_take_are_told_by_the_status(y, loss):
    assert Status(int(fit(y, loss, throw=False).report.status)) == Status.bad_target
    traced = jax.jit(lambda y: fit(y, loss).report.status)(jnp.asarray(y, float))
    assert Status(int(traced)) == Status.bad_target


def test_large_counts_are_fitted_from_their_mean():
    counts = np.round(1e6 * np.exp(0.1 * SIGNAL))
    model = fit(counts, sj.losses.poisson, penalty=1e-3)
    np.testing.assert_allclose(jnp.exp(model(X)).mean(), counts.mean(), rtol=1e-6 if X64 else 1e-4)
