"""Criteria of penalties and spectra against hat matrices, dense likelihoods, refits and differences."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

import symjax_learn as sj
from symjax_learn.optimization.criteria import criterion_value
from symjax_learn.optimization.moments import Moments, factor_moments, solve_moments
from symjax_learn.optimization.solution import Status
from tests.registry import X64

SPACE = sj.Torus(2)
GROUP = sj.symmetric_group(2)
SPECTRUM = sj.sobolev(1.5)
N = 30
CRITERIA = ["loo", "gcv", "evidence"]
CLOSE = {"rtol": 1e-9, "atol": 1e-9} if X64 else {"rtol": 2e-4, "atol": 2e-4}


@pytest.fixture(scope="module")
def basis():
    return sj.invariant_basis(SPACE, GROUP, max_eigenvalue=5)


def data():
    x = SPACE.sample(jax.random.key(0), (N,))
    noise = 0.3 * jax.random.normal(jax.random.key(1), (N, 2))
    y = jnp.exp(jnp.cos(x).sum(axis=1, keepdims=True)) * jnp.asarray([[1.0, -2.0]]) + noise
    return x, y, np.linspace(0.2, 2.0, N)


def weighted(basis, intercept):
    """√w times the free columns, the penalized ones scaled by √μ, and the targets."""
    x, y, weights = data()
    root = np.sqrt(weights / weights.mean())[:, None]
    features = np.asarray(basis(x), np.float64)
    scaled = features * np.sqrt(np.asarray(SPECTRUM(basis.eigenvalues), np.float64)) * root
    free = root[:, : int(intercept)]
    return free, scaled[:, int(intercept) :], np.asarray(y, np.float64) * root


def hat_matrix(free, scaled, ridge):
    columns = np.concatenate([free, scaled], axis=1)
    shrink = np.diag(np.repeat([0.0, ridge], [free.shape[1], scaled.shape[1]]))
    return columns @ np.linalg.solve(columns.T @ columns + shrink, columns.T)


def brute_force(criterion, free, scaled, y, ridge):
    """By refits, by the hat matrix, and by dense covariances of all contrasts."""
    n, num_outputs = y.shape
    if criterion == "loo":
        total = 0.0
        for left in range(n):
            kept = np.arange(n) != left
            columns = np.concatenate([free, scaled], axis=1)
            shrink = np.diag(np.repeat([0.0, ridge], [free.shape[1], scaled.shape[1]]))
            solved = np.linalg.solve(columns[kept].T @ columns[kept] + shrink, columns[kept].T @ y[kept])
            total += np.sum((y[left] - columns[left] @ solved) ** 2)
        return np.sqrt(total / y.size)
    if criterion == "gcv":
        hat = hat_matrix(free, scaled, ridge)
        return np.mean((y - hat @ y) ** 2) / (1 - np.trace(hat) / n) ** 2
    contrasts = scipy.linalg.null_space(free.T) if free.shape[1] else np.eye(n)
    shape = contrasts.T @ (scaled @ scaled.T + ridge * np.eye(n)) @ contrasts
    seen = contrasts.T @ y
    best = np.sum(seen * np.linalg.solve(shape, seen)) / seen.size

    def likelihood(amplitude):
        return scipy.stats.multivariate_normal(None, amplitude * shape).logpdf(seen.T).sum()

    # The amplitude with the closed form is where the likelihood is largest.
    assert likelihood(best) > max(likelihood(best * 1.01), likelihood(best / 1.01))
    flat = num_outputs / 2 * np.linalg.slogdet(free.T @ free)[1] if free.shape[1] else 0.0
    return flat - likelihood(best)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("intercept", [True, False])
def test_a_criterion_is_that_of_brute_force(basis, criterion, intercept):
    x, y, weights = data()
    for penalty in (1e-4, 1e-1):
        value = sj.ridge_criterion(
            basis,
            x,
            y,
            spectrum=SPECTRUM,
            penalty=penalty,
            criterion=criterion,
            intercept=intercept,
            weights=weights,
        )
        expected = brute_force(criterion, *weighted(basis, intercept), N * penalty)
        np.testing.assert_allclose(value, expected, **CLOSE)


@pytest.mark.parametrize("criterion", [*CRITERIA, "kfold"])
def test_the_chosen_penalty_is_the_best_of_the_grid_and_the_report_says_by_what(basis, criterion):
    x, y, _ = data()
    model = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM, penalty=criterion)
    assert model.report.criterion.name == criterion
    given = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM, penalty=model.penalty)
    assert given.report.criterion is None
    np.testing.assert_allclose(model.coefficients, given.coefficients, **CLOSE)
    if criterion in ("gcv", "evidence"):
        assert model.report.loo_error is None  # which would take another pass
    else:
        np.testing.assert_allclose(model.report.loo_error, given.report.loo_error, **CLOSE)
    if criterion == "kfold":
        labels = np.arange(N) % 5

        def judged(factor):
            return fold_error(basis, labels, float(model.penalty) * factor)
    else:

        def judged(factor):
            penalty = model.penalty * factor
            return sj.ridge_criterion(
                basis, x, y, spectrum=SPECTRUM, penalty=penalty, criterion=criterion
            )

    best = judged(1.0)
    np.testing.assert_allclose(model.report.criterion.value, best, **CLOSE)
    assert best < min(judged(10**0.25), judged(10**-0.25)) * (1 if X64 else 1 + 1e-6)


def fold_error(basis, labels, penalty):
    """By refits with nη held fixed."""
    x, y, _ = data()
    features, y = np.asarray(basis(x), np.float64), np.asarray(y, np.float64)
    shrink = N * penalty / np.asarray(SPECTRUM(basis.eigenvalues), np.float64)
    shrink[0] = 0
    total = 0.0
    for fold in np.unique(labels):
        kept = labels != fold
        solved = np.linalg.solve(
            features[kept].T @ features[kept] + np.diag(shrink), features[kept].T @ y[kept]
        )
        total += np.sum((y[~kept] - features[~kept] @ solved) ** 2)
    return np.sqrt(total / y.size)


@pytest.mark.parametrize("folds", [3, N, np.repeat([4, -1, 7], [2, 17, 11])], ids=["3", "n", "groups"])
def test_the_error_of_folds_is_that_of_refits(basis, folds):
    x, y, _ = data()
    model = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM, penalty="kfold", folds=folds)
    labels = np.arange(N) % folds if isinstance(folds, int) else folds
    expected = fold_error(basis, labels, float(model.penalty))
    np.testing.assert_allclose(model.report.criterion.value, expected, **CLOSE)
    if isinstance(folds, int) and folds == N:
        np.testing.assert_allclose(model.report.loo_error, expected, **CLOSE)


def test_a_density_divides_the_weights_and_undoes_how_samples_were_drawn(basis):
    x, y, weights = data()
    density = np.exp(np.cos(np.asarray(x)).sum(axis=1))
    known = sj.fit_ridge(basis, x, y, penalty=1e-2, weights=weights, density=density)
    divided = sj.fit_ridge(basis, x, y, penalty=1e-2, weights=weights / density)
    np.testing.assert_allclose(known.coefficients, divided.coefficients, **CLOSE)
    # The mean of cos over the circle is 0, and that of samples of density 1 + cos is 1/2.
    circle, uniform = sj.Torus(1), np.linspace(0, 2 * np.pi, 400, endpoint=False)
    places = np.repeat(uniform, np.round(10 * (1 + np.cos(uniform))).astype(int))[:, None]
    constant = sj.eigenbasis(circle, max_functions=1)
    target, density = np.cos(places[:, 0]), np.maximum(np.round(10 * (1 + np.cos(places[:, 0]))), 1)
    seen = sj.fit_ridge(constant, jnp.asarray(places, float), target, penalty=0.0)
    true = sj.fit_ridge(constant, jnp.asarray(places, float), target, penalty=0.0, density=density)
    assert seen.coefficients[0] > 0.45
    assert abs(true.coefficients[0]) < 0.15


GRID = jnp.stack(jnp.meshgrid(jnp.arange(5.0), jnp.arange(5.0), indexing="ij"), -1).reshape(-1, 2)
VARIABLES = {
    "x": lambda judge, x, y, z: judge(x + z * jnp.sin(7 * x), y),
    "y": lambda judge, x, y, z: judge(x, y + z * jnp.cos(3 * y)),
    "penalty": lambda judge, x, y, z: judge(x, y, penalty=1e-2 * jnp.exp(z)),
    "weights": lambda judge, x, y, z: judge(x, y, weights=jnp.arange(0.0, len(y)) + z + 1),
    "spectrum": lambda judge, x, y, z: judge(x, y, spectrum=sj.sobolev(1.5 + z)),
}


@pytest.mark.skipif(not X64, reason="differences have more digits than float32")
@pytest.mark.parametrize("criterion", CRITERIA)
def test_derivatives_are_those_of_finite_differences_also_where_eigenvalues_coincide(criterion):
    """On a grid of a fifth of the torus all sums of products of waves vanish or agree."""
    x = GRID * (2 * jnp.pi / 5)
    y = jnp.cos(x).sum(axis=1) + jnp.sin(x[:, 0] + 2 * x[:, 1])
    whole = sj.eigenbasis(SPACE, max_eigenvalue=4)

    def outcomes(zs):
        def judge(x, y, **options):
            known = {"penalty": 1e-2, "spectrum": SPECTRUM, **options}
            return sj.ridge_criterion(whole, x, y, criterion=criterion, **known)

        pairs = zip(VARIABLES.values(), zs, strict=True)
        return jnp.stack([of(judge, x, y, z) for of, z in pairs])

    outcomes, zeros, step = jax.jit(outcomes), jnp.zeros(len(VARIABLES)), 1e-5
    expected = (outcomes(zeros + step) - outcomes(zeros - step)) / (2 * step)
    both = jax.jit(
        lambda zs: (jnp.diagonal(jax.jacrev(outcomes)(zs)), jax.jvp(outcomes, (zs,), (zs + 1,))[1])
    )
    for slope in both(zeros):
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-8)


def test_vmap_over_penalties_is_a_loop_of_one_compilation(basis):
    x, y, _ = data()
    penalties = jnp.asarray([1e-3, 1e-1])
    for criterion in ("gcv", "evidence"):
        chex.clear_trace_counter()

        def judge(penalty, criterion=criterion):
            return sj.ridge_criterion(basis, x, y, penalty=penalty, criterion=criterion)

        together = jax.vmap(judge)(penalties)
        traced = jax.jit(chex.assert_max_traces(judge, n=1))
        for penalty, value in zip(penalties, together, strict=True):
            np.testing.assert_allclose(value, traced(penalty), rtol=1e-10 if X64 else 1e-4)
            np.testing.assert_allclose(value, judge(penalty), rtol=1e-10 if X64 else 2e-3)


def moments_of(free, scaled, y):
    columns = np.concatenate([free, scaled], axis=1)
    parts = (columns.T @ columns, columns.T @ y, (y**2).sum(axis=0), float(len(y)), float(len(y)))
    return Moments(*(jnp.asarray(part, float) for part in parts))


@pytest.mark.skipif(not X64, reason="sums of float32 are for features of little condition")
@pytest.mark.parametrize("intercept", [True, False])
def test_sums_tell_what_samples_tell(basis, intercept):
    x, y, weights = data()
    free, scaled, targets = weighted(basis, intercept)
    scale = jnp.linspace(1.0, 0.5, scaled.shape[1])
    moments = moments_of(free, scaled / np.asarray(scale), targets)
    for criterion in ("gcv", "evidence"):
        model = sj.fit_ridge(
            basis, x, y, spectrum=SPECTRUM, penalty=criterion, intercept=intercept, weights=weights
        )
        solution = solve_moments(moments, scale, None, 1e-16, 1e-15, criterion)
        assert solution.loo_error is None
        np.testing.assert_allclose(solution.penalty, model.penalty, rtol=1e-8)
        np.testing.assert_allclose(
            solution.criterion.value, model.report.criterion.value, rtol=1e-8, atol=1e-9
        )
        scaled_back = np.sqrt(SPECTRUM(basis.eigenvalues))[int(intercept) :, None]
        np.testing.assert_allclose(
            np.concatenate([solution.free, scaled_back * solution.coefficients]),
            model.coefficients,
            atol=1e-9,
        )


@pytest.mark.skipif(not X64, reason="differences have more digits than float32")
@pytest.mark.parametrize("criterion", ["gcv", "evidence"])
def test_derivatives_by_sums_are_finite_differences_with_equal_eigenvalues(criterion):
    """A multiple of the identity, of which an eigendecomposition has no derivative at all."""
    gram = jnp.diag(jnp.asarray([20.0, 3.0, 3.0, 3.0])).at[0, 1].set(2.0).at[1, 0].set(2.0)
    cross = jnp.asarray([[1.0], [2.0], [0.5], [-1.0]])
    moments = Moments(gram, cross, jnp.asarray([9.0]), jnp.asarray(20.0), jnp.asarray(20.0))
    bend = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)))

    def outcome(zs):
        a, b, c, d, e = zs
        moved = moments._replace(
            gram=gram + a * (bend + bend.T),
            cross=cross + b * bend[:, :1],
            squares=moments.squares * (1 + c),
        )
        scale = jnp.ones(3) + d * bend[0, 1:]
        ridge = 0.3 * jnp.exp(e)
        factor = factor_moments(moved, scale, ridge, 1e-15)
        solved = solve_moments(moved, scale, ridge / 20, 1e-16, 1e-15)
        value = criterion_value(criterion, factor.balance, moved.num_rows, 1)
        return jnp.stack(
            [value, jnp.sum(factor.root @ factor.root.T @ bend), jnp.sum(solved.coefficients**3)]
        )

    outcome, zeros, step = jax.jit(outcome), jnp.zeros(5), 1e-5
    expected = [(outcome(zeros + h) - outcome(zeros - h)) / (2 * step) for h in step * jnp.eye(5)]
    for derivative in (jax.jacrev, jax.jacfwd):
        slopes = derivative(outcome)(zeros)
        np.testing.assert_allclose(slopes, np.stack(expected, axis=1), rtol=1e-6, atol=1e-7)


@pytest.mark.skipif(not X64, reason="of float64 sums")
def test_a_penalty_below_the_rounding_of_the_sums_is_ill_conditioned():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(40, 3))[:, [0, 1, 2, 2]]  # two equal columns
    moments = moments_of(np.ones((40, 1)), columns, rng.normal(size=(40, 1)))
    scale = jnp.ones(4)

    def status(penalty):
        return Status(int(solve_moments(moments, scale, jnp.asarray(penalty), 2e-16, 1e-14).status))

    assert status(1e-6) == Status.ok
    assert status(1e-17) == status(0.0) == Status.ill_conditioned
    assert status(-1.0) == Status.bad_penalty
    chosen = solve_moments(moments, scale, None, 2e-16, 1e-14, "evidence")
    assert Status(int(chosen.status)) == Status.ok


@pytest.mark.skipif(not X64, reason="compares to more digits than float32 has")
def test_the_invariant_fit_is_the_constrained_problem_over_all_coefficients(basis):
    """min |y − Φc|²/n + η|c|²/μ with D(g)c = c, by the null space of all constraints in SciPy."""
    x, y, _ = data()
    whole = sj.eigenbasis(SPACE, max_eigenvalue=5)
    swapped = x[:, ::-1]
    # φ(gx) = φ(x) D(g)ᵀ is solved for D(g) on enough points.
    places = SPACE.sample(jax.random.key(9), (200,))
    moved = np.linalg.lstsq(whole(places), whole(places[:, ::-1]), rcond=None)[0]
    kept = scipy.linalg.null_space(moved - np.eye(len(moved)))
    features = np.asarray(whole(x)) @ kept
    shrink = N * 1e-2 / np.asarray(SPECTRUM(whole.eigenvalues))
    shrink[0] = 0
    solved = kept @ np.linalg.solve(
        features.T @ features + kept.T @ (shrink[:, None] * kept), features.T @ np.asarray(y)
    )
    model = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM, penalty=1e-2)
    np.testing.assert_allclose(model(swapped), np.asarray(whole(x)) @ solved, atol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_tuned_spectrum_is_a_minimum(criterion):
    circle = sj.Torus(1)
    basis = sj.eigenbasis(circle, max_eigenvalue=100)
    x = circle.sample(jax.random.key(0), (60,))
    y = jnp.abs(jnp.sin(x[:, 0])) + 0.05 * jax.random.normal(jax.random.key(1), (60,))

    def family(parameters):
        return sj.sobolev(jnp.exp(parameters["log s"]))

    tuned = sj.tune_ridge(basis, x, y, family, {"log s": 0.5}, criterion=criterion)
    assert bool(tuned.converged)
    assert tuned.model.report.criterion.name == criterion
    assert int(tuned.model.report.steps) == int(tuned.steps) > 1

    def judged(shift, factor):
        spectrum = family({"log s": tuned.parameters["log s"] + shift})
        penalty = tuned.model.penalty * factor
        return float(
            sj.ridge_criterion(basis, x, y, spectrum=spectrum, penalty=penalty, criterion=criterion)
        )

    best = judged(0.0, 1.0)
    np.testing.assert_allclose(tuned.model.report.criterion.value, best, rtol=1e-6 if X64 else 1e-3)
    rounding = 1e-9 if X64 else 1e-4
    for shift, factor in ((0.1, 1.0), (-0.1, 1.0), (0.0, 1.3), (0.0, 0.7)):
        assert judged(shift, factor) > best - rounding * abs(best)
    start = sj.fit_ridge(basis, x, y, spectrum=family({"log s": 0.5}), penalty=criterion)
    assert best < start.report.criterion.value
    with pytest.raises(ValueError, match=r"initial: no minimum of .* in 1 steps.*throw=False"):
        sj.tune_ridge(basis, x, y, family, {"log s": 0.5}, criterion=criterion, max_steps=1)


BAD = {
    r"penalty: expected 'loo' or 'gcv' or 'evidence' or 'kfold' or a number": {"penalty": "aic"},
    r"folds: they are those of penalty='kfold', and the penalty is 'gcv'": {
        "penalty": "gcv",
        "folds": 3,
    },
    r"folds: expected 2 to n = 30 of them and got 31": {"penalty": "kfold", "folds": 31},
    r"folds: expected how many, an integer, or the fold": {"penalty": "kfold", "folds": np.ones(N)},
    r"folds: all samples are in one fold": {"penalty": "kfold", "folds": np.ones(N, int)},
    r"folds: all samples of positive weight": {
        "penalty": "kfold",
        "folds": np.arange(N) // 15,
        "weights": 1.0 * (np.arange(N) < 15),
    },
    r"density: expected 30 real numbers": {"density": np.ones(3)},
    r"density: expected finite numbers > 0.*row 0 is 0": {"density": np.arange(N)},
}


@pytest.mark.parametrize("message", BAD)
def test_what_does_not_fit_is_named(basis, message):
    x, y, _ = data()
    with pytest.raises(ValueError, match=message):
        sj.fit_ridge(basis, x, y, **BAD[message])


def test_a_criterion_needs_its_name_a_penalty_and_samples(basis):
    x, y, _ = data()
    with pytest.raises(ValueError, match=r"criterion: expected one of loo, gcv, evidence and got 'aic'"):
        sj.ridge_criterion(basis, x, y, penalty=1.0, criterion="aic")
    with pytest.raises(ValueError, match=r"penalty: expected one finite number >= 0 and got -1"):
        sj.ridge_criterion(basis, x, y, penalty=-1.0)
    with pytest.raises(ValueError, match=r"needs at least 2"):
        sj.ridge_criterion(basis, x[:1], y[:1], penalty=1.0)
