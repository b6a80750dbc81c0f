"""Ridge and kernel ridge against numpy, scikit-learn, brute-force leave-one-out, and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

import symjax_learn as sj

pytestmark = pytest.mark.skipif(
    jax.dtypes.canonicalize_dtype(float) != np.float64, reason="compares to more digits than float32 has"
)
SPACE = sj.Torus(2, 1.0)
GROUP = sj.hyperoctahedral_group(2)
BOUND = 13 * SPACE.unit_eigenvalue
SPECTRUM = sj.sobolev(1.5)


@pytest.fixture(scope="module")
def basis():
    return sj.invariant_basis(SPACE, GROUP, max_eigenvalue=BOUND)


def data(n, outputs=()):
    x = SPACE.sample(jax.random.key(n), (n,))
    smooth = jnp.exp(jnp.cos(2 * jnp.pi * x).sum(axis=1))
    noise = 0.1 * jax.random.normal(jax.random.key(n + 1), (n, *outputs))
    return x, smooth.reshape(n, *[1] * len(outputs)) + noise


def closed_form(basis, x, y, penalty, *, intercept=True, weights=None):
    """The normal equations, in NumPy."""
    features = np.asarray(basis(x))
    n = len(features)
    w = np.ones(n) if weights is None else np.asarray(weights) / np.mean(weights)
    ridge = n * penalty / np.asarray(SPECTRUM(basis.eigenvalues))
    if intercept:
        ridge[0] = 0
    return np.linalg.solve(
        (features.T * w) @ features + np.diag(ridge), (features.T * w) @ np.asarray(y)
    )


# n below, at and above a padded length and a chunk, and beyond the number of functions or not.
@pytest.mark.parametrize("n", [6, 100, 128, 129, 1025, 5000])
@pytest.mark.parametrize("intercept", [True, False])
def test_coefficients_are_those_of_the_normal_equations(basis, n, intercept):
    x, y = data(n)
    model = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM, penalty=1e-3, intercept=intercept)
    np.testing.assert_allclose(
        model.coefficients, closed_form(basis, x, y, 1e-3, intercept=intercept), rtol=1e-8, atol=1e-10
    )


def test_weights_are_repetitions(basis):
    x, y = data(20)
    counts = np.arange(20) % 3
    model = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM, penalty=1e-2, weights=counts.astype(float))
    np.testing.assert_allclose(
        model.coefficients, closed_form(basis, x, y, 1e-2, weights=counts), rtol=1e-8, atol=1e-10
    )
    repeated = sj.fit_ridge(
        basis, jnp.repeat(x, counts, axis=0), jnp.repeat(y, counts), spectrum=SPECTRUM, penalty=1e-2
    )
    np.testing.assert_allclose(repeated.coefficients, model.coefficients, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("n", [9, 40])
def test_the_leave_one_out_error_is_that_of_refitting_and_no_penalty_does_better(basis, n):
    x, y = data(n, (2,))
    model = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM)
    chosen = float(model.penalty)

    def refitted(penalty):
        """Leave each sample out, with nη held fixed."""
        residuals = []
        for left in range(n):
            kept = np.arange(n) != left
            c = closed_form(basis, x[kept], y[kept], penalty * n / (n - 1))
            residuals.append(np.asarray(y[left]) - np.asarray(basis(x[left])) @ c)
        return np.sqrt(np.mean(np.square(residuals)))

    best = refitted(chosen)
    np.testing.assert_allclose(model.report.loo_error, best, rtol=1e-6)
    for factor in (0.1, 0.5, 2.0, 10.0):
        assert refitted(chosen * factor) > best * (1 - 1e-3)


@pytest.mark.parametrize("intercept", [True, False])
def test_kernel_ridge_is_ridge_on_all_eigenfunctions_and_that_of_scikit_learn(intercept):
    x, y = data(50)
    whole = sj.eigenbasis(SPACE, max_eigenvalue=BOUND)
    primal = sj.fit_ridge(whole, x, y, spectrum=SPECTRUM, penalty=1e-3, intercept=intercept)
    dual = sj.fit_kernel_ridge(
        SPACE, x, y, spectrum=SPECTRUM, penalty=1e-3, max_eigenvalue=BOUND, intercept=intercept
    )
    np.testing.assert_allclose(dual.coefficients, primal.coefficients, atol=1e-10)
    if not intercept:
        features = np.asarray(whole(x)) * np.sqrt(np.asarray(SPECTRUM(whole.eigenvalues)))
        oracle = KernelRidge(alpha=50 * 1e-3, kernel="precomputed").fit(features @ features.T, y)
        np.testing.assert_allclose(dual(x), oracle.predict(features @ features.T), atol=1e-9)


@pytest.mark.parametrize("n", [9, 40])
def test_kernel_leave_one_out_is_that_of_refitting(n):
    x, y = data(n)
    model = sj.fit_kernel_ridge(SPACE, x, y, spectrum=SPECTRUM, max_eigenvalue=BOUND)
    residuals = []
    for left in range(n):
        kept = np.arange(n) != left
        one = sj.fit_kernel_ridge(
            SPACE,
            x[kept],
            y[kept],
            spectrum=SPECTRUM,
            max_eigenvalue=BOUND,
            penalty=float(model.penalty) * n / (n - 1),
        )
        residuals.append(float(y[left] - one(x[left])))
    np.testing.assert_allclose(model.report.loo_error, np.sqrt(np.mean(np.square(residuals))), rtol=1e-5)


def test_three_ways_to_an_invariant_model_are_one(basis):
    """Ours, the averaged kernel, and every copy of every sample with η/1 (nη held per sample)."""
    x, y = data(40)
    action = sj.action(SPACE, GROUP)
    ours = sj.fit_ridge(basis, x, y, spectrum=SPECTRUM, penalty=1e-3)
    averaged = sj.fit_kernel_ridge(
        SPACE, x, y, spectrum=SPECTRUM, penalty=1e-3, max_eigenvalue=BOUND, action=action
    )
    copies = sj.augment(jax.random.key(0), action, x, y, "all")
    augmented = sj.fit_kernel_ridge(
        SPACE, *copies, spectrum=SPECTRUM, penalty=1e-3, max_eigenvalue=BOUND
    )
    new = SPACE.sample(jax.random.key(5), (30,))
    np.testing.assert_allclose(averaged(new), ours(new), atol=1e-10)
    np.testing.assert_allclose(augmented(new), ours(new), atol=1e-9)


def test_float32_data_in_this_session_are_fitted_to_float32_accuracy(basis):
    x, y = data(40)
    wide = sj.fit_ridge(basis, x, y, penalty=1e-3)
    narrow = sj.fit_ridge(basis, x.astype(jnp.float32), y.astype(jnp.float32), penalty=1e-3)
    assert narrow.coefficients.dtype == jnp.float32
    np.testing.assert_allclose(narrow.coefficients, wide.coefficients, atol=2e-5)


def test_a_singular_problem_tells(basis):
    x, y = data(5)  # fewer samples than functions
    with pytest.raises(
        ValueError, match=r"penalty = 0 with linearly dependent .*rank_deficient.*throw=False"
    ):
        sj.fit_ridge(basis, x, y, penalty=0.0)
    model = sj.fit_ridge(basis, x, y, penalty=0.0, throw=False)
    assert int(model.report.status) == 2
    with pytest.raises(ValueError, match=r"ill_conditioned"):
        sj.fit_ridge(basis, x, y, penalty=1e-40)


def test_augment_moves_every_sample_by_every_element():
    x, y = data(3)
    action = sj.action(SPACE, GROUP)
    moved, targets = sj.augment(jax.random.key(0), action, x, y, "all")
    assert moved.shape == (24, 2)
    np.testing.assert_array_equal(targets, np.repeat(np.asarray(y), 8))
    np.testing.assert_array_equal(moved[8], x[1])
    orbit = {tuple(np.round(point, 9)) for point in np.asarray(moved[8:16])}
    a, b = (float(v) for v in np.asarray(x[1]))
    expected = {(s * u, t * v) for u, v in ((a, b), (b, a)) for s in (1, -1) for t in (1, -1)}
    assert orbit == {tuple(np.round(point, 9)) for point in expected}
    random, _ = sj.augment(jax.random.key(0), action, x, y, 3)
    assert random.shape == (9, 2)
    np.testing.assert_array_equal(random[::3], x)
    again, _ = sj.augment(jax.random.key(1), action, x, y, 3)
    assert not np.array_equal(random, again)


def exact_leave_one_out(basis, x, y, penalty):
    """By refitting in 60 digits, with nη held fixed."""
    import mpmath

    with mpmath.workdps(60):
        features = mpmath.matrix(np.asarray(basis(x)).tolist())
        ridge = [0] + [
            len(x) * mpmath.mpf(penalty) / mpmath.mpf(float(w))
            for w in np.asarray(SPECTRUM(basis.eigenvalues))[1:]
        ]
        total = mpmath.mpf(0)
        for left in range(len(x)):
            kept = [i for i in range(len(x)) if i != left]
            rows = mpmath.matrix([[features[i, j] for j in range(features.cols)] for i in kept])
            targets = mpmath.matrix([float(y[i]) for i in kept])
            solved = mpmath.lu_solve(rows.T * rows + mpmath.diag(ridge), rows.T * targets)
            missed = sum(features[left, j] * solved[j] for j in range(features.cols))
            total += (float(y[left]) - missed) ** 2
        return float(mpmath.sqrt(total / len(x)))


@pytest.mark.parametrize("penalty", [1e-3, 1e-12, 1e-18])
def test_leave_one_out_of_repeated_points_is_exact_at_any_penalty(penalty):
    """Repeated points leave others with leverage one, where rounding errors would be divided."""
    whole = sj.eigenbasis(SPACE, max_eigenvalue=2 * SPACE.unit_eigenvalue)
    x = SPACE.sample(jax.random.key(1), (4,))
    x = jnp.concatenate([x, jnp.repeat(x[:1], 4, axis=0)])
    y = jax.random.normal(jax.random.key(2), (8,))
    model = sj.fit_ridge(whole, x, y, spectrum=SPECTRUM, penalty=penalty, throw=False)
    expected = exact_leave_one_out(whole, x, y, penalty)
    np.testing.assert_allclose(model.report.loo_error, expected, rtol=1e-6)


GRID = jnp.stack(jnp.meshgrid(jnp.arange(5.0) / 5, jnp.arange(5.0) / 5, indexing="ij"), -1).reshape(
    -1, 2
)
# Few samples, and a grid, on which singular values coincide.
PLACES = {"few": SPACE.sample(jax.random.key(0), (5,)), "grid": GRID}
VARIABLES = {
    "x": lambda fit, x, y, z: fit(x + z * jnp.sin(7 * x), y),
    "y": lambda fit, x, y, z: fit(x, y + z * jnp.cos(3 * y)),
    "penalty": lambda fit, x, y, z: fit(x, y, penalty=1e-2 * jnp.exp(z)),
    "weights": lambda fit, x, y, z: fit(x, y, weights=jnp.arange(0.0, len(y)) + z + 1),
    "spectrum": lambda fit, x, y, z: fit(x, y, spectrum=lambda e: (1 + e) ** (-1.5 - z)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("intercept", [True, False])
def test_derivatives_are_those_of_finite_differences(place, variable, intercept):
    x = PLACES[place]
    y = jnp.cos(2 * jnp.pi * x).sum(axis=1) + jnp.sin(2 * jnp.pi * (x[:, 0] + 2 * x[:, 1]))
    whole = sj.eigenbasis(SPACE, max_eigenvalue=4 * SPACE.unit_eigenvalue)

    def fit(x, y, **options):
        return sj.fit_ridge(whole, x, y, **{"penalty": 1e-2, "intercept": intercept, **options})

    def outcome(z):
        model = VARIABLES[variable](fit, x, y, z)
        return jnp.stack([jnp.sum(model.coefficients**2), model.report.loo_error])

    step = 1e-5
    expected = (outcome(step) - outcome(-step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.jacrev(outcome))(0.0), expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(jax.jacfwd(outcome)(0.0), expected, rtol=1e-6, atol=1e-8)


def test_a_weight_of_zero_has_a_finite_derivative():
    x, y = PLACES["grid"], jnp.cos(7 * PLACES["grid"]).sum(axis=1)
    whole = sj.eigenbasis(SPACE, max_eigenvalue=4 * SPACE.unit_eigenvalue)

    def square(weights):
        return jnp.sum(sj.fit_ridge(whole, x, y, penalty=1e-2, weights=weights).coefficients ** 2)

    weights = jnp.ones(len(x)).at[0].set(0.0)
    one_sided = (square(weights.at[0].set(1e-6)) - square(weights)) / 1e-6
    np.testing.assert_allclose(jax.grad(square)(weights)[0], one_sided, rtol=1e-4)
    assert (
        int(sj.fit_ridge(whole, x, y, spectrum=lambda e: jnp.where(e < 50, 1.0, 0.0)).report.status) == 0
    )


def test_a_basis_of_the_constant_alone_fits_the_mean():
    x, y = data(30)
    constant = sj.eigenbasis(SPACE, max_functions=1)
    np.testing.assert_allclose(sj.fit_ridge(constant, x, y).coefficients, [jnp.mean(y)], rtol=1e-12)
    np.testing.assert_allclose(
        sj.fit_ridge(constant, x, y, intercept=False, penalty=1.0).coefficients, [jnp.mean(y) / 2]
    )


def test_of_equal_errors_the_largest_penalty_is_chosen():
    x, _ = data(20)
    whole = sj.eigenbasis(SPACE, max_eigenvalue=BOUND)
    ridge = sj.fit_ridge(whole, x, jnp.ones(20), spectrum=SPECTRUM)
    kernel = sj.fit_kernel_ridge(SPACE, x, jnp.ones(20), spectrum=SPECTRUM, max_eigenvalue=BOUND)
    scaled = np.asarray(whole(x))[:, 1:] * np.sqrt(np.asarray(SPECTRUM(whole.eigenvalues)))[1:]
    largest = np.linalg.norm(scaled - scaled.mean(axis=0), 2) ** 2
    np.testing.assert_allclose(ridge.penalty, 10 * largest / 20, rtol=1e-6)  # the top of the grid
    np.testing.assert_allclose(ridge.penalty, kernel.penalty, rtol=1e-6)


def test_leave_one_out_of_ridge_and_of_kernel_ridge_choose_alike():
    x, y = data(50)
    whole = sj.eigenbasis(SPACE, max_eigenvalue=BOUND)
    ridge = sj.fit_ridge(whole, x, y, spectrum=SPECTRUM)
    kernel = sj.fit_kernel_ridge(SPACE, x, y, spectrum=SPECTRUM, max_eigenvalue=BOUND)
    np.testing.assert_allclose(ridge.penalty, kernel.penalty, rtol=1e-6)
    np.testing.assert_allclose(ridge.coefficients, kernel.coefficients, atol=1e-8)
