"""Every route on every pair: invariance, orthonormality, the exact count, the same subspace."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.invariants.routes.averaging import averages
from symjax_learn.invariants.routes.chain import chained_projectors
from tests.quadratures import quadrature
from tests.registry import (
    BY_ORBITS,
    EXACT,
    ON_OTHERS,
    PAIRS,
    PAIRS_AND_ROUTES,
    ROUTES,
    USERS,
    X64,
    brute_force,
    moved,
)


class Case:
    """One pair by one route, made once."""

    def __init__(self, name, route):
        self.name, self.pair = name, PAIRS[name]()
        self.action, self.space = self.pair.action, self.pair.action.space
        self.basis = self.pair.basis(route)
        self.ambient = sj.eigenbasis(self.space, max_eigenvalue=self.pair.max_eigenvalue)
        self.points, weights = quadrature(self.space, self.pair.max_eigenvalue)
        self.weights = weights[:, None]
        self.features = np.asarray(self.basis(self.points), float)
        self.whole = np.asarray(self.ambient(self.points), float)

    def orbit(self, points):
        """The points moved by each element: by brute force where coordinates are linear."""
        if self.name in USERS or self.name in ON_OTHERS:
            elements = self.action.elements()
            for row in range(self.action.order):
                yield self.action.act(jax.tree.map(lambda leaf, row=row: leaf[row], elements), points)
        else:
            everywhere = moved(self.space, *brute_force(self.action.group), points)
            yield from jnp.asarray(everywhere, points.dtype)


@pytest.fixture(params=PAIRS_AND_ROUTES, ids=lambda pair: f"{pair[0]}-{pair[1]}", scope="module")
def case(request):
    return Case(*request.param)


def expected_count(case):
    """By all elements: Burnside's average on cubic tori, Molien's on spheres, else traces of D(g).

    tr D(g) = Σ_i w_i φ(x_i)·φ(gx_i) of g⁻¹, by quadrature, which knows no matrix of the library.
    """
    if case.name in USERS or case.name in ON_OTHERS:
        traces = [
            (case.weights * case.whole * np.asarray(case.ambient(there), float)).sum()
            for there in case.orbit(case.points)
        ]
        return sum(traces) / len(traces)
    matrices, shifts = brute_force(case.action.group)
    if isinstance(case.space, sj.Sphere):
        return sum(harmonics_by_degree(matrices, len(case.space.levels(case.pair.max_eigenvalue)) - 1))
    max_norm = round(case.pair.max_eigenvalue / case.space.unit_eigenvalue)
    side = np.arange(-math.isqrt(max_norm), math.isqrt(max_norm) + 1)
    axes = np.meshgrid(*[side] * case.space.dimension, indexing="ij")
    k = np.stack(axes, -1).reshape(-1, case.space.dimension)
    k = k[(k**2).sum(axis=1) <= max_norm]
    traces = 0
    for matrix, shift in zip(matrices, shifts, strict=True):
        fixed = k[(k @ matrix.T == k).all(axis=1)]
        traces += np.exp(-2j * np.pi * (fixed @ shift) / 72).sum()
    return traces / len(matrices)


def harmonics_by_degree(matrices, max_degree):
    """The series of (1 − t²)/|G| Σ_g 1/det(1 − tg), each determinant by its eigenvalues."""
    series = np.zeros(max_degree + 1, complex)
    for matrix in matrices:
        term = np.zeros(max_degree + 1, complex)
        term[0] = 1
        for eigenvalue in np.linalg.eigvals(matrix):
            for degree in range(1, max_degree + 1):
                term[degree] += eigenvalue * term[degree - 1]
        series += term / len(matrices)
    return series - np.concatenate([[0, 0], series[:-2]])


def test_certificate(case):
    certificate = case.basis.certificate
    assert certificate.rank == case.basis.num_functions == len(case.basis.eigenvalues)
    assert certificate.residual < (1e-10 if X64 else 1e-5)
    assert certificate.gap > 1e6
    assert certificate.count == certificate.rank
    assert certificate.source in ("molien", "character", "orbits")


def test_as_many_functions_as_characters_count(case):
    exact = 1e-8 if X64 or case.name not in (*USERS, *ON_OTHERS) else 1e-2
    assert case.basis.num_functions == pytest.approx(expected_count(case), abs=exact)
    count = sj.invariant_count(case.space, case.action, case.pair.max_eigenvalue)
    assert case.basis.num_functions == count
    if case.name == "user's own: quarter turns":
        # cos and sin of 4kx (k = 1), times the waves in the second coordinate, with |k|² ≤ 17
        assert count == 9 + 2 * 3


def test_invariant_under_every_element(case):
    x = case.points[:6]
    everywhere = jnp.stack(list(case.orbit(x)))
    there = case.basis(everywhere)
    np.testing.assert_allclose(there, np.broadcast_to(case.features[:6], there.shape), atol=300 * EXACT)


def test_orthonormal(case):
    gram = case.features.T @ (case.weights * case.features)
    np.testing.assert_allclose(gram, np.eye(case.basis.num_functions), atol=30 * EXACT)


def test_ordered_by_eigenvalue_and_within_the_ambient_space(case):
    eigenvalues = np.asarray(case.basis.eigenvalues, float)
    assert eigenvalues[0] == 0
    assert (np.diff(eigenvalues) >= 0).all()
    assert eigenvalues[-1] <= case.pair.max_eigenvalue * (1 + 1e-6)
    assert case.basis.num_ambient == case.ambient.num_functions
    # Each function lies in the span of the eigenfunctions of its own eigenvalue.
    coefficients = case.whole.T @ (case.weights * case.features)
    np.testing.assert_allclose(case.whole @ coefficients, case.features, atol=100 * EXACT)
    foreign = ~np.isclose(np.asarray(case.ambient.eigenvalues)[:, None], eigenvalues[None], rtol=1e-6)
    assert np.abs(coefficients[foreign]).max(initial=0) < 30 * EXACT


@pytest.mark.skipif(not X64, reason="set-up work is the same float64 in every session")
@pytest.mark.parametrize("name", [name for name in PAIRS if name not in ON_OTHERS])
def test_the_product_over_a_chain_is_the_average_over_the_group(name):
    """P = avg(U_1) avg(U_2) … to rounding, on every level."""
    pair = PAIRS[name]()
    levels = pair.action.space.levels(pair.max_eigenvalue)
    chained = chained_projectors(pair.action, levels)
    whole = averages(pair.action, levels, pair.action.elements())
    for ours, oracle in zip(chained, whole, strict=True):
        np.testing.assert_allclose(ours, oracle, atol=1e-12)


@pytest.mark.skipif(not X64, reason="the other laws hold these functions to float32")
@pytest.mark.parametrize("name", PAIRS)
def test_routes_span_the_same_subspace(name):
    ours, oracle = Case(name, "auto"), Case(name, "averaging")
    without_orbits = "multiset" if name in ROUTES["multiset"] else "generators"
    assert ours.basis.route == ("orbits" if name in BY_ORBITS else without_orbits)
    mixed = ours.features.T @ (ours.weights * oracle.features)
    np.testing.assert_allclose(mixed @ mixed.T, np.eye(len(mixed)), atol=100 * EXACT)
    np.testing.assert_allclose(ours.basis.eigenvalues, oracle.basis.eigenvalues, rtol=1e-6)


@pytest.mark.parametrize("name", ["B_2", "p2gg", "pentagon on a sphere", "user's own: quarter turns"])
def test_composes_under_jit_vmap_and_grad_and_compiles_once(name):
    basis = PAIRS[name]().basis()
    x = basis.space.sample(jax.random.key(1), (5, 2))
    features = basis(x)
    assert features.shape == (5, 2, basis.num_functions)
    chex.clear_trace_counter()
    traced = chex.assert_max_traces(lambda basis, x: basis(x), n=1)
    compiled = jax.jit(traced)
    np.testing.assert_allclose(compiled(basis, x), features, atol=100 * EXACT)
    compiled(basis, x + 1)  # a second trace would raise
    np.testing.assert_allclose(jax.vmap(basis)(x), features, atol=100 * EXACT)
    np.testing.assert_allclose(jnp.stack([basis(point) for point in x]), features, atol=100 * EXACT)
    # The derivative along each coordinate, against central differences.
    slopes = jax.jacfwd(basis)(x[0, 0])
    step = 1e-4 if X64 else 1e-2
    steps = step * jnp.eye(2, dtype=x.dtype)
    differences = (basis(x[0, :1] + steps) - basis(x[0, :1] - steps)).T / (2 * step)
    np.testing.assert_allclose(slopes, differences, atol=1e-5 if X64 else 2e-2)


@pytest.mark.parametrize("route", ["orbits", "averaging"])
def test_max_functions_keeps_the_largest_number_of_whole_levels(route):
    space, group = sj.Torus(2), sj.symmetric_group(2)
    whole = sj.invariant_basis(space, group, max_eigenvalue=20)
    sizes = np.unique(
        np.searchsorted(np.asarray(whole.eigenvalues), np.asarray(whole.eigenvalues), "right")
    )
    for budget in (1, 2, 7, 12):
        basis = sj.invariant_basis(space, group, max_functions=budget, route=route)
        assert basis.num_functions == max(size for size in sizes if size <= budget)


def test_max_functions_on_a_users_own_action():
    pair = PAIRS["user's own: quarter turns"]()
    basis = sj.invariant_basis(pair.action.space, pair.action, max_functions=10)
    assert basis.num_functions == 7  # 1, 3, 5, 7, 11, … up to |k|² = 0, 1, 4, 9, 16
    assert sj.eigenbasis(sj.Torus(2), max_functions=20).num_functions == 13


def test_float32_points_give_float32_features_in_every_session():
    basis = sj.invariant_basis(sj.Torus(2), sj.sign_group(2), max_eigenvalue=9)
    assert basis(jnp.ones((3, 2), jnp.float32)).dtype == jnp.float32


def test_nan_propagates():
    basis = sj.invariant_basis(sj.Torus(2), sj.sign_group(2), max_eigenvalue=9)
    features = basis(jnp.asarray([[0.0, 1.0], [jnp.nan, 0.0]]))
    assert bool(jnp.isfinite(features[0]).all())
    assert bool(jnp.isnan(features[1, 1:]).any())
