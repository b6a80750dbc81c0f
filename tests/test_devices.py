"""Doors on other devices: lowered for cuda and tpu, no hidden transfers, bounded memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import symjax_learn as sj
from symjax_learn.optimization import project, project_each
from tests.registry import PAIRS, X64

# Names of pairs that evaluate by plane waves, by linear combinations of eigenfunctions, by multisets.
EVALUATIONS = {
    "orbits": ("p2gg", "orbits"),
    "averaging": ("B_2", "averaging"),
    "multiset": ("B_2", "multiset"),
}
N = 12


def problem(name="p2gg", route="auto"):
    pair = PAIRS[name]()
    x = pair.action.space.sample(jax.random.key(0), (N,))
    return pair, pair.basis(route), x, jnp.cos(x).sum(axis=1)


def doors():
    """name -> a function of arrays, and its arguments."""
    pair, basis, x, y = problem()
    space, action = pair.action.space, pair.action
    sums = sj.accumulate(basis, (x, y))
    model, belief = sj.fit_ridge(basis, x, y, penalty=1e-2), sj.posterior(basis, x, y)
    level = space.levels(4)[1]
    elements = action.sample(jax.random.key(1), (N,))
    dense = problem(*EVALUATIONS["averaging"])[1]
    whole = sj.eigenbasis(space, max_eigenvalue=2)
    return {
        "basis by orbits": (basis, (x,)),
        "basis by averaging": (dense, (x,)),
        "eigenfunctions": (lambda x: space.eigenfunctions(level, x), (x,)),
        "model": (model, (x,)),
        "gradient of a model": (lambda x: jax.grad(lambda x: model(x).sum())(x), (x,)),
        "fit_ridge": (lambda x, y: sj.fit_ridge(basis, x, y).coefficients, (x, y)),
        "fit_convex": (
            lambda x, y: (
                sj.fit_convex(
                    basis, x, (y > 0).astype(y.dtype), loss=sj.losses.logistic, penalty=1e-2
                ).coefficients
            ),
            (x, y),
        ),
        "fit_convex, group lasso": (
            lambda x, y: (
                sj.fit_convex(
                    basis, x, y, loss=sj.losses.squared, penalty=1e-2, regularizer="group_lasso"
                ).coefficients
            ),
            (x, y),
        ),
        "fit_statistics": (
            lambda x, y: sj.fit_statistics(sums.update(x, y)).coefficients,
            (x, y),
        ),
        "fit_ridge by folds": (
            lambda x, y: sj.fit_ridge(basis, x, y, penalty="kfold").coefficients,
            (x, y),
        ),
        "posterior": (lambda x, y: sj.posterior(basis, x, y).variance(x), (x, y)),
        "sample of a posterior": (
            lambda key, x: belief.sample(key, 3)(x),
            (jax.random.key(2), x),
        ),
        "ridge_criterion": (
            lambda x, y: sj.ridge_criterion(basis, x, y, penalty=1e-2, criterion="gcv"),
            (x, y),
        ),
        "gradient of a criterion": (
            lambda y: jax.grad(lambda y: sj.ridge_criterion(basis, x, y, penalty=1e-2))(y),
            (y,),
        ),
        "fit_spec_avg": (lambda x, y: sj.fit_spec_avg(basis, x, y).coefficients, (x, y)),
        "fit_soft_invariance": (
            lambda x, y: sj.fit_soft_invariance(whole, x, y, action=action).coefficients,
            (x, y),
        ),
        "project": (lambda c, b: project(c, b).vectors, (x[0], jnp.ones((3, 2)))),
        "project_each": (lambda c, b: project_each([c, c[:1]], [b, b[:, :1]]).vectors[1], (x[0], x)),
        "harmonics": (sj.eigenbasis(sj.Sphere(3), max_eigenvalue=15), (jnp.eye(4),)),
        "fit_kernel_ridge": (
            lambda x, y: sj.fit_kernel_ridge(space, x, y, max_eigenvalue=4).coefficients,
            (x, y),
        ),
        "fit_kernel_ridge, averaged": (
            lambda x, y: sj.fit_kernel_ridge(space, x, y, max_eigenvalue=4, action=action).coefficients,
            (x, y),
        ),
        "act": (action.act, (elements, x)),
        "compose": (action.compose, (elements, elements)),
        "inverse": (action.inverse, (elements,)),
        "matrix": (action.matrix, (elements,)),
        "sample of a group": (lambda key: action.sample(key, (N,)), (jax.random.key(2),)),
        "sample of a space": (lambda key: space.sample(key, (N,)), (jax.random.key(2),)),
        "augment": (lambda key, x, y: sj.augment(key, action, x, y, 3), (jax.random.key(2), x, y)),
        "spectra": (lambda e: sj.sobolev(2.0)(e) + sj.matern(1.5, 0.5, 2)(e) + sj.heat(0.1)(e), (y,)),
    }


def structured_doors():
    """Those of the structured routes, of sets of unequal sizes, and of a fit with gradients."""
    turned = sj.direct_product(sj.symmetric_group(2), sj.special_orthogonal_group(3))
    cases = {
        "harmonic": (sj.Sphere(4), sj.symmetric_group(5), 18),
        "coupled": (sj.Sets(sj.Sphere(2), 2), turned, 12),
        "motif": (sj.Graphs(5), sj.symmetric_group(5), 6),
    }
    found = {}
    for route, (space, group, bound) in cases.items():
        basis = sj.invariant_basis(space, group, max_eigenvalue=bound, route=route)
        found[f"basis by {route}"] = (basis, (space.sample(jax.random.key(0), (N,)),))
    basis = sj.invariant_basis(sj.Torus(3), sj.symmetric_group(3), max_eigenvalue=2, route="multiset")
    x = sj.Torus(3).sample(jax.random.key(0), (N,))
    found["sets of unequal sizes"] = (basis, (x, jnp.asarray([[True, True, False]] * N)))

    def fit(x, y):
        return sj.fit_ridge(basis, x, y, gradients=jnp.sin(x)).coefficients

    found["fit_ridge with gradients"] = (fit, (x, jnp.cos(x).sum(axis=1)))
    return found


DOORS = doors() | structured_doors()


def jitted(function):
    """A module or a method of one holds arrays and is no hashable function; a lambda around it is."""
    return jax.jit(lambda *arguments: function(*arguments))


@pytest.mark.parametrize("name", DOORS)
def test_every_door_is_lowered_for_cuda_and_tpu(name):
    function, arguments = DOORS[name]
    exported = export.export(jitted(function), platforms=("cuda", "tpu"))(*arguments)
    assert exported.platforms == ("cuda", "tpu")
    assert len(exported.mlir_module_serialized) > 0


RUN_TWICE = ["basis by orbits", "basis by averaging", "model", "fit_ridge", "fit_convex", "posterior"]


@pytest.mark.parametrize("name", RUN_TWICE)
def test_a_compiled_door_transfers_nothing(name):
    function, arguments = DOORS[name]
    compiled = jitted(function)
    expected = compiled(*arguments)
    with jax.transfer_guard("disallow"):
        again = jax.block_until_ready(compiled(*arguments))
    np.testing.assert_array_equal(expected, again)


@pytest.mark.parametrize(("name", "route"), EVALUATIONS.values(), ids=EVALUATIONS)
def test_a_model_passed_as_an_argument_transfers_nothing(name, route):
    _, basis, x, y = problem(name, route)
    model = sj.fit_ridge(basis, x, y, penalty=1e-2)
    compiled = jax.jit(lambda model, x: model(x))
    expected = compiled(model, x)
    with jax.transfer_guard("disallow"):
        again = jax.block_until_ready(compiled(model, x))
    np.testing.assert_array_equal(expected, again)


def temporary_bytes(function, *arguments):
    return jitted(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


def test_the_memory_of_a_fit_and_of_a_prediction_is_bounded_by_chunks():
    """With n = 200,000 and D = 317, n × D is 507 MB in float64; the data are 5 MB."""
    space = sj.Torus(2)
    basis = sj.eigenbasis(space, max_eigenvalue=100)
    n = 200_000
    whole = n * basis.num_functions * (8 if X64 else 4)
    x, y = jnp.zeros((n, 2)), jnp.zeros(n)
    fit = temporary_bytes(lambda x, y: sj.fit_ridge(basis, x, y).coefficients, x, y)
    assert fit < whole / 5
    model = sj.SpectralModel(
        basis, jnp.ones(basis.num_functions), jnp.ones(()), sj.Report(*[jnp.zeros(())] * 4)
    )
    assert temporary_bytes(model, x) < whole / 5
    slope = temporary_bytes(jax.grad(lambda x: model(x).sum()), x)
    assert slope < whole / 5
