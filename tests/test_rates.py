"""The risk before any data: closed forms, the equation of κ, monotony, Monte Carlo, exact counts."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import X64

WEIGHTS, SIZES = np.asarray([1.0, 0.4, 0.1, 0.02]), [1, 4, 9, 16]
POWER = np.asarray([0.3, 0.5, 0.3, 0.2])
SPACE, GROUP, BOUND = sj.Torus(3), sj.symmetric_group(3), 9


def shares(kappa):
    """Σ m (μ/(μ + κ))^p for p = 1, 2 without the constant, by hand."""
    share = WEIGHTS[1:] / (WEIGHTS[1:] + kappa)
    return SIZES[1:] @ share, SIZES[1:] @ share**2


def test_effective_dimensions_are_traces():
    covariance = np.diag(np.repeat(WEIGHTS, SIZES))
    for eta in (1e-3, 0.1, 7.0):
        smoother = np.linalg.solve(covariance + eta * np.eye(sum(SIZES)), covariance)
        assert sj.effective_dimension(WEIGHTS, SIZES, eta) == pytest.approx(np.trace(smoother))
        found = sj.effective_dimension(WEIGHTS, SIZES, eta, order=2)
        assert found == pytest.approx(np.trace(smoother @ smoother))
    both = sj.effective_dimension(WEIGHTS, SIZES, np.asarray([[0.1], [7.0]]))
    assert both.shape == (2, 1)


@pytest.mark.parametrize("penalty", [0.0, 1e-6, 0.01, 3.0])
@pytest.mark.parametrize("n", [5.0, 29.0, 31.0, 400.0])
def test_the_effective_penalty_solves_its_equation(n, penalty):
    curve = sj.predicted_risk(WEIGHTS, SIZES, POWER, n, noise=0.4, penalty=penalty)
    # κ from the effective dimension, which ascends as κ falls.
    grid = np.geomspace(1e-10, 1e6, 200_001)
    dimension = 1 + sum(m * mu / (mu + grid) for m, mu in zip(SIZES[1:], WEIGHTS[1:], strict=True))
    kappa = np.interp(-curve.effective_dimension, -dimension, grid)
    first, second = shares(kappa)
    if penalty == 0 and n > 30:
        assert curve.effective_dimension == pytest.approx(30)
        kappa, second = 0.0, 29
    else:
        assert n * penalty == pytest.approx(kappa * (n - 1 - first), rel=1e-4, abs=1e-6 * n)
    gamma = (1 + second) / n
    left = (kappa / (WEIGHTS[1:] + kappa)) ** 2 @ POWER[1:]
    assert curve.bias == pytest.approx(left / (1 - gamma), rel=1e-4, abs=1e-10)
    assert curve.variance == pytest.approx(0.16 * gamma / (1 - gamma), rel=1e-4)
    assert curve.risk == pytest.approx(curve.bias + curve.variance)


def test_without_a_penalty_it_is_least_squares_to_first_order():
    """For Gaussian features least squares has the risk σ²D/(n − D − 1), exactly."""
    n = np.asarray([40.0, 100.0, 1000.0])
    curve = sj.predicted_risk(WEIGHTS, SIZES, POWER, n, noise=0.4, penalty=0.0)
    np.testing.assert_allclose(curve.risk, 0.16 * 30 / (n - 30))
    assert (curve.bias == 0).all()
    exact = 0.16 * 30 / (n - 31)
    assert (np.abs(curve.risk / exact - 1) < 1.1 / (n - 30)).all()


def test_equal_weights_solve_a_quadratic_equation():
    """Every coefficient shrinks alike: the best share a by a fine grid."""
    num, n, noise = 40, 200.0, 0.7
    found = sj.predicted_risk([1.0] * 2, [1, num], [0.0, 1.0], n, noise=noise)
    a = np.linspace(1e-4, 1 - 1e-9, 200_001)
    gamma = (1 + num * a**2) / n
    risk = ((1 - a) ** 2 + noise**2 * gamma) / (1 - gamma)
    assert found.risk == pytest.approx(risk.min(), rel=1e-8)
    best = a[np.argmin(risk)]
    kappa = 1 / best - 1
    assert found.penalty == pytest.approx(kappa * (n - 1 - num * best) / n, rel=1e-3)


def test_levels_are_their_functions():
    each = [np.repeat(one, SIZES) for one in (WEIGHTS, POWER / SIZES)]
    levels = sj.predicted_risk(WEIGHTS, SIZES, POWER, [20, 90], noise=0.4)
    functions = sj.predicted_risk(each[0], np.ones(30, int), each[1], [20, 90], noise=0.4)
    for one, other in zip(levels, functions, strict=True):
        np.testing.assert_allclose(one, other)


def test_the_best_penalty_is_the_best_and_its_risk_is_monotone():
    n = np.geomspace(2, 1e5, 40)
    best = sj.predicted_risk(WEIGHTS, SIZES, POWER, n, noise=0.4)
    for penalty in np.geomspace(1e-5, 10, 13):
        given = sj.predicted_risk(WEIGHTS, SIZES, POWER, n, noise=0.4, penalty=penalty)
        assert (best.risk <= given.risk * (1 + 1e-9)).all()
    for i in (5, 20, 35):
        given = sj.predicted_risk(WEIGHTS, SIZES, POWER, n[i], noise=0.4, penalty=best.penalty[i])
        assert given.risk == pytest.approx(best.risk[i], rel=1e-6)
    assert (np.diff(best.risk) < 0).all()
    louder = sj.predicted_risk(WEIGHTS, SIZES, POWER, n, noise=0.5)
    assert (louder.risk > best.risk).all()


def test_what_is_cut_off_stays_as_bias_and_adds_noise():
    """Of weight 0 and power p: the risk is p and that of noise σ² + p on the rest."""
    cut = np.where(WEIGHTS < 0.05, 0.0, WEIGHTS)
    found = sj.predicted_risk(cut, SIZES, POWER, 100, noise=0.4, penalty=0.01)
    rest = sj.predicted_risk(
        cut[:3], SIZES[:3], POWER[:3], 100, noise=math.sqrt(0.16 + POWER[3]), penalty=0.01
    )
    assert found.risk == pytest.approx(POWER[3] + rest.risk)


def test_a_constant_that_is_not_free_is_a_function_like_others():
    free = sj.predicted_risk(WEIGHTS, SIZES, POWER, 50, noise=0.4, penalty=0.1)
    bound = sj.predicted_risk(WEIGHTS, SIZES, POWER, 50, noise=0.4, penalty=0.1, intercept=False)
    assert bound.bias > free.bias
    alone = sj.predicted_risk([1e12, *WEIGHTS[1:]], SIZES, POWER, 50, noise=0.4, penalty=0.1)
    assert alone.risk == pytest.approx(free.risk)


def test_any_multiplicity_and_one_sample():
    curve = sj.predicted_risk([1.0, 0.1], [1, 10**400], [0.0, 1.0], [1, 10, 1000], noise=0.5)
    assert np.isinf(curve.risk[0])
    np.testing.assert_allclose(curve.risk[1:], [1 / 0.9 + 0.25 / 9, 1 / 0.999 + 0.25 / 999])
    assert str(curve).splitlines()[0].split()[:3] == ["n", "risk", "bias"]
    assert len(str(curve).splitlines()) == 4


def options(**changes):
    return {"spectrum": sj.sobolev(2.5), "noise": 0.5, "max_eigenvalue": BOUND, **changes}


def test_invariant_functions_never_need_more_samples():
    n = np.geomspace(8, 1e4, 9)
    invariant = sj.risk_curve(SPACE, GROUP, n, **options())
    plain = sj.risk_curve(SPACE, GROUP, n, estimator="plain", **options())
    assert (invariant.risk < plain.risk).all()
    trivial = sj.risk_curve(SPACE, sj.trivial_group(3), n, **options())
    alone = sj.risk_curve(SPACE, sj.trivial_group(3), n, estimator="plain", **options())
    np.testing.assert_array_equal(trivial.risk, alone.risk)
    acting = sj.risk_curve(SPACE, sj.action(SPACE, GROUP), n, **options())
    np.testing.assert_array_equal(acting.risk, invariant.risk)


def test_targets_are_scaled_and_mean_what_they_say():
    counts = [sj.invariant_count(SPACE, GROUP, bound) for bound in range(BOUND + 1)]
    eigenvalues = [round(level.eigenvalue) for level in SPACE.levels(BOUND)]
    each = np.diff([0, *counts])[eigenvalues]
    power = each / (1.0 + np.asarray(eigenvalues)) ** 3
    power[0] = 0.0
    target = sj.sobolev(3.0)
    known = sj.risk_curve(SPACE, GROUP, 99, **options(target=power))
    same = sj.risk_curve(SPACE, GROUP, 99, **options(target=target))
    assert known.risk == pytest.approx(same.risk)
    plain = sj.risk_curve(SPACE, GROUP, 99, **options(target=power, variance=None))
    scaled = sj.risk_curve(SPACE, GROUP, 99, **options(target=target, variance=power.sum()))
    assert plain.risk == pytest.approx(scaled.risk)


def test_a_hundred_coordinates_in_a_second():
    sj.risk_curve(sj.Torus(5), sj.symmetric_group(5), 10, **options(max_eigenvalue=2))
    start = time.perf_counter()
    curve = sj.risk_curve(
        sj.Torus(100),
        sj.symmetric_group(100),
        [100, 1000],
        **options(max_eigenvalue=6, estimator="plain"),
    )
    assert time.perf_counter() - start < 5  # on a busy machine
    assert (curve.risk > 0.9).all()


def test_measured_means_are_predicted_and_penalties_are_those_of_fit_ridge():
    basis = sj.invariant_basis(SPACE, GROUP, max_eigenvalue=BOUND)
    spectrum, n, seeds = sj.sobolev(2.5), 256, 24
    c = np.sqrt(np.asarray(spectrum(basis.eigenvalues)))
    c[0] = 0.0
    c /= np.linalg.norm(c)
    for penalty in ("best", 0.03):
        curve = sj.risk_curve(SPACE, GROUP, n, **options(penalty=penalty))
        eta = float(curve.penalty)
        assert penalty in ("best", eta)

        def risk(key, eta=eta):
            keys = jax.random.split(key)
            x = SPACE.sample(keys[0], (n,))
            y = basis(x) @ jnp.asarray(c, x.dtype) + 0.5 * jax.random.normal(keys[1], (n,), x.dtype)
            model = sj.fit_ridge(basis, x, y, spectrum=spectrum, penalty=eta)
            return jnp.sum((model.coefficients - c) ** 2)

        keys = jax.random.split(jax.random.key(0), seeds)
        assert np.mean(jax.vmap(risk)(keys)) == pytest.approx(float(curve.risk), rel=0.15)


@pytest.mark.skipif(not X64, reason="host work, in float64 in every session: checked against it")
def test_predictions_do_not_depend_on_the_session():
    with jax.enable_x64(False):
        single = sj.risk_curve(SPACE, GROUP, 99, **options())
    assert single.risk == sj.risk_curve(SPACE, GROUP, 99, **options()).risk


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"noise": 0.0}, ValueError, r"noise: .* > 0 and got 0\.0"),
        ({"noise": -1.0}, ValueError, r"noise: .* > 0 and got -1\.0"),
        ({"estimator": "both"}, ValueError, "estimator: expected 'invariant' or 'plain' and got 'both'"),
        ({"spectrum": lambda e: -e}, ValueError, r"spectrum: at eigenvalue 1.* it is -1"),
        ({"spectrum": 2.0}, TypeError, r"spectrum: expected a function .* got 2\.0"),
        ({"spectrum": lambda e: e.sum()}, ValueError, "spectrum: it maps .* entry by entry"),
        ({"target": [1.0]}, ValueError, r"target: .* one for each of 9 levels"),
        ({"target": lambda e: 0 * e}, ValueError, r"target: nothing but a constant .* variance=None"),
        ({"variance": 0.0}, ValueError, r"variance: .* > 0 and got 0\.0"),
        ({"penalty": "loo"}, ValueError, "penalty: expected 'best' or a number >= 0 and got 'loo'"),
        ({"penalty": -1.0}, ValueError, "penalty: expected 'best' or one number >= 0"),
        ({"max_eigenvalue": -1}, ValueError, "max_eigenvalue: expected a finite number >= 0"),
    ],
)
@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input(changes, error, message):
    with pytest.raises(error, match=message):
        sj.risk_curve(SPACE, GROUP, 99, **options(**changes))


@pytest.mark.usefixtures("without_signature_checks")
def test_more_bad_input():
    with pytest.raises(ValueError, match="num_samples: expected finite numbers >= 1 and got 0"):
        sj.risk_curve(SPACE, GROUP, 0, **options())
    with pytest.raises(ValueError, match="target: it has 1.0 at eigenvalue 1.0, where no function"):
        sj.risk_curve(sj.Torus(1), sj.translation_group(1), 9, **options(target=[0, 1.0, 0, 0]))
    still = sj.action(sj.Torus(2), sj.translation_group(2), act=lambda _, x: x)
    with pytest.raises(ValueError, match="group: no exact count is known"):
        sj.risk_curve(sj.Torus(2), still, 9, **options())
    with pytest.raises(ValueError, match="weights: .* that of level 1 is -1.0"):
        sj.predicted_risk([1.0, -1.0], [1, 1], [0.0, 1.0], 9, noise=1.0)
    with pytest.raises(ValueError, match=r"multiplicities: expected integers >= 0 and got 0\.5"):
        sj.predicted_risk([1.0, 1.0], [1, 0.5], [0.0, 1.0], 9, noise=1.0)
    with pytest.raises(ValueError, match="multiplicities: expected one for each of 2 levels and got 1"):
        sj.predicted_risk([1.0, 1.0], [1], [0.0, 1.0], 9, noise=1.0)
    with pytest.raises(ValueError, match="power: level 1 has 1.0, and no function to carry it"):
        sj.predicted_risk([1.0, 1.0], [1, 0], [0.0, 1.0], 9, noise=1.0)
    with pytest.raises(ValueError, match="intercept: the first level has no function"):
        sj.predicted_risk([1.0, 1.0], [0, 1], [0.0, 1.0], 9, noise=1.0)
    with pytest.raises(ValueError, match="penalty: expected finite numbers > 0"):
        sj.effective_dimension([1.0], [1], 0.0)
    with pytest.raises(ValueError, match="order: expected 1 or 2 and got 3"):
        sj.effective_dimension([1.0], [1], 1.0, order=3)


def test_any_number_of_samples():
    curve = sj.predicted_risk(WEIGHTS, SIZES, POWER, [10**3, 10**30], noise=0.4, penalty=0.0)
    assert curve.num_samples.tolist() == [1e3, 1e30]
    assert curve.risk[1] == pytest.approx(0.4**2 * 30 / 1e30)


@pytest.mark.parametrize("name", ["target", "num_samples"])
def test_words_are_no_numbers(name):
    options = dict(num_samples=10, spectrum=sj.sobolev(2.0), noise=0.5, max_eigenvalue=BOUND)
    with pytest.raises(TypeError, match=f"{name}: expected real numbers and got array"):
        sj.risk_curve(SPACE, GROUP, **{**options, name: np.asarray(["abc"])})


@pytest.mark.parametrize("estimator", ["invariant", "plain"])
def test_on_several_pieces_all_but_the_constant_is_left_to_learn(estimator):
    corners = np.asarray([[0, 0, 0], [1, 0, 0], [0.5, 0.8, 0]])
    mesh = sj.Mesh(np.concatenate([corners, corners + [5, 0, 0]]), np.asarray([[0, 1, 2], [3, 4, 5]]))
    # Heavily penalized nothing is learned, and the risk is the target's variance.
    for variance, wanted in ((None, 1.5), (2.0, 2.0)):
        curve = sj.risk_curve(
            mesh,
            sj.trivial_group(6),
            50,
            spectrum=lambda eigenvalues: 1.0 + 0 * eigenvalues,
            noise=1e-3,
            max_eigenvalue=0,
            target=lambda eigenvalues: 1.5 + 0 * eigenvalues,
            variance=variance,
            estimator=estimator,
            penalty=1e9,
        )
        assert float(curve.bias) == pytest.approx(wanted, rel=0.05)
