"""Quadratic programs and bounded fits against scipy, closed forms and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import LinearConstraint, lsq_linear, minimize

import symjax_learn as sj
from symjax_learn.optimization.inequalities import solve_quadratic_program
from symjax_learn.optimization.solution import Status
from tests.registry import X64

SPACE = sj.Torus(2, 1.0)
BASIS = sj.invariant_basis(SPACE, sj.hyperoctahedral_group(2), max_eigenvalue=5 * SPACE.unit_eigenvalue)
D = BASIS.num_functions
X = SPACE.sample(jax.random.key(0), (60,))
Y = jnp.cos(2 * jnp.pi * X).sum(axis=1) + 0.1 * jnp.sin(40 * X[:, 0])
Z = SPACE.sample(jax.random.key(1), (80,))
CLOSE = 1e-6 if X64 else 1e-4


def program(seed, p=6, m=9):
    """A random program with a feasible point."""
    rng = np.random.default_rng(seed)
    root, inside = rng.normal(size=(p, p)), rng.normal(size=p)
    matrix = rng.normal(size=(m, p))
    return root.T @ root, rng.normal(size=p), matrix, matrix @ inside + rng.uniform(size=m)


@pytest.mark.parametrize("seed", range(3))
def test_a_program_is_solved_as_scipy_solves_it(seed):
    quadratic, linear, matrix, bounds = program(seed)
    answer = solve_quadratic_program(quadratic, linear, matrix, bounds)
    oracle = minimize(
        lambda z: z @ quadratic @ z / 2 + linear @ z,
        np.zeros(6),
        jac=lambda z: quadratic @ z + linear,
        method="trust-constr",
        constraints=LinearConstraint(matrix, -np.inf, bounds),
        options={"gtol": 1e-10, "xtol": 1e-12, "maxiter": 3000},
    )
    assert answer.status == Status.ok
    np.testing.assert_allclose(answer.objective, oracle.fun, rtol=1e-5, atol=1e-6)
    assert answer.objective <= oracle.fun + 1e-7


@pytest.mark.parametrize("seed", range(3))
def test_the_optimality_conditions_hold_under_dependent_equalities(seed):
    quadratic, linear, matrix, bounds = program(seed)
    rng = np.random.default_rng(seed + 10)
    rows = rng.normal(size=(2, 6))
    rows = np.concatenate([rows, rows[:1] - 2 * rows[1:]])  # rank 2
    right = rows @ (np.linalg.lstsq(matrix, bounds - 1, rcond=None)[0])
    answer = solve_quadratic_program(quadratic, linear, matrix, bounds + 5, (rows, right))
    assert answer.status == Status.ok
    np.testing.assert_allclose(rows @ answer.point, right, atol=1e-9)
    slack = bounds + 5 - matrix @ answer.point
    assert slack.min() > -1e-7
    assert answer.multipliers.min() > -1e-7
    np.testing.assert_allclose(answer.multipliers * slack, 0, atol=1e-6)
    lagrange = quadratic @ answer.point + linear + matrix.T @ answer.multipliers
    outside = lagrange - np.linalg.pinv(rows) @ rows @ lagrange
    np.testing.assert_allclose(outside, 0, atol=1e-6)


def test_what_no_point_satisfies_is_infeasible():
    one, none = np.eye(1), np.zeros((0, 1))
    apart = np.asarray([[1.0], [-1.0]])
    answer = solve_quadratic_program(one, np.zeros(1), apart, np.asarray([-1.0, -1.0]))
    assert answer.status == Status.infeasible
    contradiction = (np.ones((2, 1)), np.asarray([0.0, 1.0]))
    answer = solve_quadratic_program(one, np.zeros(1), none, np.zeros(0), contradiction)
    assert answer.status == Status.infeasible
    fixed = (np.ones((1, 1)), np.asarray([2.0]))  # leaves nothing free, and z <= 1 is violated
    answer = solve_quadratic_program(one, np.zeros(1), one, np.ones(1), fixed)
    assert answer.status == Status.infeasible


def test_a_fit_without_constraints_is_ridge_regression():
    y = jnp.stack([Y, Y**2], axis=1)
    weights = np.linspace(0, 2, 60)
    expected = sj.fit_ridge(BASIS, X, y, penalty=1e-3, weights=weights)
    model = sj.fit_bounded(BASIS, X, y, penalty=1e-3, weights=weights)
    np.testing.assert_allclose(model.coefficients, expected.coefficients, atol=CLOSE)
    loose = sj.fit_bounded(BASIS, X, y, penalty=1e-3, weights=weights, lower=-100.0, upper=np.inf)
    np.testing.assert_allclose(loose.coefficients, expected.coefficients, atol=CLOSE)


def test_bounds_on_coefficients_are_those_of_scipy():
    """At penalty 0: bounded least squares."""
    model = sj.fit_bounded(BASIS, X, Y, penalty=0.0, inequalities=(np.eye(D), np.full(D, 0.1)))
    oracle = lsq_linear(np.asarray(BASIS(X), float), np.asarray(Y, float), (-np.inf, 0.1), tol=1e-12)
    np.testing.assert_allclose(model.coefficients, oracle.x, atol=10 * CLOSE)


def test_bounds_hold_at_their_points_and_what_was_free_stays_invariant():
    model = sj.fit_bounded(BASIS, X, Y, penalty=1e-3, lower=-0.5, upper=np.full(80, 0.6), at=Z)
    values = np.asarray(model(Z))
    assert values.min() > -0.5 - CLOSE
    assert values.max() < 0.6 + CLOSE
    assert values.max() > 0.6 - CLOSE  # it would have gone further
    ridge = sj.fit_ridge(BASIS, X, Y, penalty=1e-3)
    assert np.asarray(ridge(Z)).max() > 0.7
    action = BASIS.action
    assert sj.invariance_discrepancy(jax.random.key(3), model, action, X) < (1e-12 if X64 else 1e-5)
    assert float(model.report.gap) < 1e-6


def test_equalities_may_depend_on_each_other():
    rows = np.asarray(BASIS(X[:2]), float)
    rows = np.concatenate([rows, rows])
    right = np.asarray([0.3, -0.2, 0.3, -0.2])
    model = sj.fit_bounded(BASIS, X, Y, penalty=1e-3, equalities=(rows, right), lower=-2.0)
    np.testing.assert_allclose(model(X[:2]), right[:2], atol=CLOSE)


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lower": 2.0, "upper": 1.0}, r"lower: at row 0 it is above upper"),
        ({"lower": np.zeros(7)}, r"lower: expected a number, or .*\(60,\).*\(7,\)"),
        ({"upper": np.where(np.arange(60) == 3, np.nan, 1.0)}, r"upper: row 3 is NaN"),
        ({"inequalities": (np.eye(3), np.ones(3))}, r"inequalities: .*\(k, 5\).*\(3, 3\) and \(3,\)"),
        ({"equalities": (np.full((1, 5), np.inf), np.ones(1))}, r"equalities: row 0 is not finite"),
        (
            {"equalities": (np.eye(5), np.zeros(5)), "lower": 1.0},
            r"no coefficients meet all constraints.*infeasible",
        ),
        ({"penalty": "loo"}, r"penalty: 'loo' is of fit_ridge"),
        ({"lower": 0.0, "at": Z.at[3, 0].set(jnp.nan)}, r"at: .*row 3"),
        ({"penalty": -1.0}, r"penalty: expected .*finite number >= 0"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        sj.fit_bounded(BASIS, X, Y, **({"penalty": 1e-3} | options))


def test_a_status_instead_of_an_error_and_no_traces():
    none = (np.eye(D), np.zeros(D))
    model = sj.fit_bounded(BASIS, X, Y, penalty=1e-3, equalities=none, lower=1.0, throw=False)
    assert int(model.report.status) == Status.infeasible
    with pytest.raises(TypeError, match=r"outside jit, vmap and grad"):
        jax.jit(lambda y: sj.fit_bounded(BASIS, X, y, penalty=1e-3).coefficients)(Y)


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1e6])
def test_a_bounded_fit_follows_the_unit_of_its_targets(size):
    bounds = {"lower": -0.5, "upper": 1.0, "at": Z}
    scaled = {"lower": -0.5 * size, "upper": size, "at": Z}
    one = sj.fit_bounded(BASIS, X, Y, penalty=1e-4, **bounds)
    other = sj.fit_bounded(BASIS, X, Y * size, penalty=1e-4, **scaled)
    np.testing.assert_allclose(other.coefficients / size, one.coefficients, atol=CLOSE)


@pytest.mark.parametrize(("value", "lower"), [(1.0, 0.0), (0.0, -1.0), (0.0, 0.0)])
def test_bounds_that_are_never_active_change_nothing(value, lower):
    model = sj.fit_bounded(BASIS, X, jnp.full(60, value), penalty=1e-4, lower=lower)
    np.testing.assert_allclose(model(Z), value, atol=CLOSE)
