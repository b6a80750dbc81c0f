"""Invariant polynomials: against averages over all elements, sympy, Molien series, published degrees."""

import dataclasses
import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jax import export

import symjax_learn as sj
from symjax_learn.algebra import (
    Polynomials,
    fundamental_invariants,
    invariant_polynomials,
    invariant_ring,
    reynolds,
)
from symjax_learn.algebra.linear_invariants import averaged_rows, linear_group
from symjax_learn.algebra.monomials import monomial_places, monomials
from symjax_learn.algebra.polynomials import polynomials_of
from symjax_learn.algebra.series import hilbert_series, molien_series
from tests.registry import EXACT, GROUPS, LISTED, X64, turns

SHIFTED = {"glide", "p2gg", "screw 4_1", "thirds", "Pm-3m with a centring", "p2gg x S_2", "glide wr S_2"}
# Affine groups with zero shifts are linear, and need not be orthogonal.
LINEAR = {
    name: make
    for name, (make, _) in LISTED.items()
    if name not in SHIFTED and not name.startswith("space group") and "image" not in name
} | {
    "hexagonal": lambda: sj.affine_torus_group([[[0, -1], [1, 1]]], [[0, 0]]),
}
X = sympy.symbols("x0:10")


def values(polynomials, points):
    """The definition in float64: Σ c_α x^α."""
    exponents = np.asarray(polynomials.exponents)
    return np.prod(points[..., None, :] ** exponents, axis=-1) @ polynomials.exact_coefficients.T


def random_polynomials(dimension, max_degree, number, seed=0):
    """With all monomials up to a degree, and float coefficients."""
    exponents = np.concatenate([monomials(dimension, k) for k in range(max_degree + 1)])
    coefficients = np.random.default_rng(seed).normal(size=(number, len(exponents)))
    return polynomials_of(exponents, coefficients, None)


def all_elements(group):
    """Products of the generators until there are no new ones."""
    found = np.eye(group.degree)[None]
    factors = np.concatenate([found, linear_group(group).generators])
    while True:
        products = np.einsum("gij,hjk->ghik", factors, found)
        products = products.reshape(-1, *found.shape[1:])
        keys = np.floor(1e3 * products + 0.37).reshape(len(products), -1)
        rows = np.sort(np.unique(keys, axis=0, return_index=True)[1])
        if len(rows) == len(found):
            return found
        found = products[rows]


@pytest.mark.parametrize("name", ["B_3", "C_3 wr S_2"])
def test_matrices_are_those_of_the_group(name):
    group = LINEAR[name]()
    with jax.enable_x64(True):
        expected = np.asarray(group.matrix(group.generators), float)
    np.testing.assert_allclose(linear_group(group).generators, expected, atol=1e-14)


@pytest.mark.skipif(not X64, reason="set-up work is the same float64 in every session")
@pytest.mark.parametrize("name", LINEAR)
def test_laws_of_a_group(name):
    """Reynolds is the average over all elements, and its image has the dimensions of Molien's series."""
    group = LINEAR[name]()
    large = group.order > 400  # their elements from the chain, which its own laws hold to brute force
    elements = np.asarray(group.elements(), float) if large else all_elements(group)
    assert len(elements) == group.order
    rng = np.random.default_rng(1)
    points = rng.normal(size=(5, group.degree))
    moved = np.einsum("gij,nj->gni", np.linalg.inv(elements), points)
    given = random_polynomials(group.degree, 3, 2)
    average = reynolds(group, given)
    np.testing.assert_allclose(
        values(average, points), values(given, moved).mean(axis=0), rtol=1e-12, atol=1e-12
    )
    counts = molien_series(elements, 4)
    for degree, count in enumerate(counts):
        basis = invariant_polynomials(group, degree)
        assert basis.num_polynomials == count
        assert basis.degrees == [degree] * count
        at = rng.normal(size=(2 * count + 1, group.degree))
        before = values(basis, at)
        assert np.linalg.matrix_rank(before) == count
        for g in elements[:400]:
            np.testing.assert_allclose(values(basis, at @ g.T), before, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["A_4", "Frobenius 20", "tetrahedral rotations, turned"])
def test_any_left_transversals_do_and_only_in_this_order(name):
    linear = linear_group(LINEAR[name]())
    rng = np.random.default_rng(0)
    shuffled, below = [], np.eye(linear.degree)[None]
    for transversal in reversed(linear.transversals):
        shuffled.insert(0, transversal @ below[rng.integers(len(below), size=len(transversal))])
        below = np.einsum("uij,gjk->ugik", transversal, below).reshape(-1, *below.shape[1:])
    assert len(below) == linear.order
    rows = rng.normal(size=(3, len(monomials(linear.degree, 4))))
    expected = averaged_rows(linear, rows, 4)
    other = linear._replace(transversals=tuple(shuffled))
    np.testing.assert_allclose(averaged_rows(other, rows, 4), expected, atol=1e-12)
    wrong = linear._replace(transversals=tuple(shuffled[::-1]))
    assert np.abs(averaged_rows(wrong, rows, 4) - expected).max() > 1e-3


def test_rational_averages_are_exact():
    """Against sympy, over the 24 elements of A_4 × {±1} one by one."""
    x, y, z, w = X[:4]
    group = sj.signed_permutation_group(
        [[1, 2, 0, 3], [0, 2, 3, 1], [0, 1, 2, 3]], [[1] * 4, [1] * 4, [-1] * 4]
    )
    assert group.order == 24
    given = [x**3 * y / 7 + 2 * z - 5, x * y**2 * z**3 / 3, (x - w) ** 2]
    found = reynolds(group, Polynomials.from_expressions(given, [x, y, z, w])).expressions()
    elements = np.rint(all_elements(group)).astype(int)
    for expression, average in zip(given, found, strict=True):
        images = [
            expression.subs(dict(zip(X[:4], g @ np.asarray(X[:4]), strict=True)), simultaneous=True)
            for g in elements
        ]
        assert sympy.expand(sum(images) / sympy.Integer(24) - average) == 0


def test_of_ten_factorial_elements():
    x = X[:10]
    given = Polynomials.from_expressions([x[0] ** 2 * x[3] + x[4] ** 4], x)
    (found,) = reynolds(sj.symmetric_group(10), given).expressions()
    pairs = itertools.permutations(x, 2)
    expected = sum(a**2 * b for a, b in pairs) / 90 + sum(a**4 for a in x) / 10
    assert sympy.expand(found - expected) == 0
    (signed,) = reynolds(sj.hyperoctahedral_group(10), given).expressions()
    assert sympy.expand(signed - sum(a**4 for a in x) / 10) == 0


def test_every_symmetric_polynomial_is_one_in_the_elementary_ones():
    for degree in range(1, 7):
        for expression in invariant_polynomials(sj.symmetric_group(3), degree).expressions():
            assert sympy.symmetrize(expression, *X[:3])[1] == 0


def test_reference_counts():
    assert sum(invariant_polynomials(sj.symmetric_group(5), k).num_polynomials for k in range(5)) == 12
    group = sj.coxeter_group("H3")
    counts = [invariant_polynomials(group, k).num_polynomials for k in range(13)]
    assert counts == hilbert_series([2, 6, 10], 12)
    even = sj.signed_permutation_group([[0, 1]], [[-1, -1]])
    assert invariant_polynomials(even, 2).expressions() == [X[0] ** 2, X[0] * X[1], X[1] ** 2]
    assert invariant_polynomials(even, 3).num_polynomials == 0


# name -> (constructor, degrees of minimal generators, reason)
FUNDAMENTAL = {
    "S_4": (lambda: sj.symmetric_group(4), [1, 2, 3, 4], "polynomial ring"),
    "A_4": (lambda: sj.alternating_group(4), [1, 2, 3, 4, 6], "parameters"),
    "A_5": (lambda: sj.alternating_group(5), [1, 2, 3, 4, 5, 10], "parameters"),
    "S_2 on two vectors": (lambda: sj.permutation_group([[1, 0, 3, 2]]), [1, 1, 2, 2, 2], "parameters"),
    "quarter turns": (LINEAR["rotations by 90°"], [2, 4, 4], "parameters"),
    "turns by a fifth": (lambda: sj.matrix_group([turns(5)]), [2, 5, 5], "parameters"),
    "-1": (lambda: sj.signed_permutation_group([[0, 1]], [[-1, -1]]), [2, 2, 2], "parameters"),
    "A3": (lambda: sj.coxeter_group("A3"), [2, 3, 4], "polynomial ring"),
    "B3": (lambda: sj.coxeter_group("B3"), [2, 4, 6], "polynomial ring"),
    "H3": (lambda: sj.coxeter_group("H3"), [2, 6, 10], "polynomial ring"),
    "I2(5)": (lambda: sj.coxeter_group("I2(5)"), [2, 5], "polynomial ring"),
    "F4": (lambda: sj.coxeter_group("F4"), [2, 6, 8, 12], "polynomial ring"),
    "T": (lambda: sj.point_group("T"), [2, 3, 4, 6], "parameters"),
    "O": (lambda: sj.point_group("O"), [2, 4, 6, 9], "parameters"),
    "I": (lambda: sj.point_group("I"), [2, 6, 10, 15], "parameters"),
}


@pytest.mark.parametrize("name", FUNDAMENTAL)
def test_fundamental_invariants_of_published_degrees(name):
    make, degrees, reason = FUNDAMENTAL[name]
    found = fundamental_invariants(make())
    assert (found.degrees, found.reason, found.certified) == (degrees, reason, True)
    assert found.polynomials.degrees == degrees
    assert found.bound == max(degrees)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "degrees"), [("H4", [2, 12, 20]), ("E6", [2, 5, 6, 8]), ("D5", [2, 4, 5, 6, 8])]
)
def test_fundamental_invariants_of_larger_reflection_groups(name, degrees):
    found = fundamental_invariants(sj.coxeter_group(name), max_degree=degrees[-1])
    assert found.degrees == degrees


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_cyclic_groups_have_a_generator_for_each_minimal_zero_sum_sequence(n):
    """In coordinates z_j with z_j ↦ ω^j z_j the invariants are products with Σj ≡ 0 (mod n)."""
    sequences = [
        c
        for length in range(1, n + 1)
        for c in itertools.combinations_with_replacement(range(n), length)
        if sum(c) % n == 0
        and not any(
            sum(part) % n == 0 for k in range(1, length) for part in itertools.combinations(c, k)
        )
    ]
    found = fundamental_invariants(sj.cyclic_group(n))
    assert found.degrees == sorted(map(len, sequences))


def test_a_search_that_ends_early_says_so():
    found = fundamental_invariants(sj.coxeter_group("H3"), max_degree=7)
    assert (found.degrees, found.bound, found.reason) == ([2, 6], 7, "max_degree")
    assert not found.certified
    assert fundamental_invariants(sj.coxeter_group("H3"), max_degree=11).certified


# name -> (constructor, degrees of primary and of secondary invariants)
RINGS = {
    "A_3": (lambda: sj.alternating_group(3), [1, 2, 3], [0, 3]),
    "A_4": (lambda: sj.alternating_group(4), [1, 2, 3, 4], [0, 6]),
    "quarter turns": (LINEAR["rotations by 90°"], [2, 4], [0, 4]),
    "-1": (FUNDAMENTAL["-1"][0], [2, 2], [0, 2]),
    "S_2 on two vectors": (FUNDAMENTAL["S_2 on two vectors"][0], [1, 1, 2, 2], [0, 2]),
    "T": (lambda: sj.point_group("T"), [2, 3, 4], [0, 6]),
    "O": (lambda: sj.point_group("O"), [2, 4, 6], [0, 9]),
    "I": (lambda: sj.point_group("I"), [2, 6, 10], [0, 15]),
    "D4 in four dimensions": (lambda: sj.coxeter_group("D4"), [2, 4, 4, 6], [0]),
}


@pytest.mark.parametrize("name", RINGS)
def test_rings_are_free_over_primary_invariants_of_published_degrees(name):
    make, primary, secondary = RINGS[name]
    ring = invariant_ring(make())
    assert (ring.primary.degrees, ring.secondary.degrees) == (primary, secondary)


@pytest.mark.parametrize("name", ["C_4", "D3d", "S_2 wr S_2", "tetrahedral rotations, turned"])
def test_products_with_secondary_invariants_are_a_basis_of_each_degree(name):
    elements = all_elements(LINEAR[name]())
    ring = invariant_ring(LINEAR[name]())
    degrees, d = ring.primary.degrees, elements.shape[1]
    points = np.random.default_rng(0).normal(size=(60, d))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    primary, secondary = values(ring.primary, points), values(ring.secondary, points)
    assert len(ring.secondary.degrees) * len(elements) == math.prod(degrees)
    for degree, count in enumerate(molien_series(elements, 7)):
        products = [
            np.prod(primary**powers, axis=1) * secondary[:, j]
            for j, own in enumerate(ring.secondary.degrees)
            for powers in itertools.product(range(degree + 1), repeat=d)
            if own + np.dot(powers, degrees) == degree
        ]
        assert len(products) == count
        assert count == 0 or np.linalg.matrix_rank(np.stack(products), tol=1e-9) == count


def test_evaluation_is_invariant_in_both_precisions():
    group = LINEAR["tetrahedral rotations, turned"]()
    found = fundamental_invariants(group).polynomials
    g = group.sample(jax.random.key(0), (50,))
    for dtype, accuracy in [(jnp.float32, 2e-5), (jnp.float64, 1e-12)][: 1 + X64]:
        x = jax.random.normal(jax.random.key(1), (50, 3), dtype)
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
        before, after = found(x), found(group.apply(g, x))
        assert before.dtype == dtype
        scale = np.abs(found.exact_coefficients).sum(axis=1)
        np.testing.assert_array_less(np.abs(np.asarray(after - before)) / scale, accuracy)
        np.testing.assert_allclose(
            np.asarray(before) / scale, values(found, np.asarray(x, float)) / scale, atol=accuracy
        )


def test_gradients_against_sympy_also_at_zero():
    group = sj.cyclic_group(3)
    found = fundamental_invariants(group).polynomials
    points = np.asarray([[0.0, 0.0, 0.0], [0.0, 2.0, -1.0], [1.5, -0.5, 0.0]])
    slopes = jax.vmap(jax.jacobian(found))(jnp.asarray(points))
    for p, expression in enumerate(found.expressions(X[:3])):
        for j, symbol in enumerate(X[:3]):
            slope = sympy.lambdify(X[:3], sympy.diff(expression, symbol))
            expected = [float(slope(*point)) for point in points]
            np.testing.assert_allclose(slopes[:, p, j], expected, atol=100 * EXACT)


def test_batches_compile_once_in_chunks_and_for_other_devices():
    found = invariant_polynomials(sj.symmetric_group(3), 4)
    x = jax.random.normal(jax.random.key(0), (2, 5, 3))
    assert found(x).shape == (2, 5, 4)
    np.testing.assert_allclose(jax.vmap(jax.vmap(found))(x), found(x), atol=10 * EXACT)
    chex.clear_trace_counter()
    compiled = jax.jit(chex.assert_max_traces(lambda f, x: f(x), n=1))
    np.testing.assert_allclose(compiled(found, x), found(x), atol=10 * EXACT)
    with jax.transfer_guard("disallow"):
        compiled(found, x)
    export.export(jax.jit(found.__call__), platforms=("cuda", "tpu"))(x)
    memory = (
        jax.jit(found.__call__).lower(jnp.zeros((10**6, 3), jnp.float32)).compile().memory_analysis()
    )
    assert memory.temp_size_in_bytes < 2 * 10**8  # all monomials of all points would be 1.4e8 entries


@pytest.mark.parametrize("name", ["I", "D3d"])
def test_the_same_in_every_run(name):
    first, second = (invariant_ring(sj.point_group(name)) for _ in range(2))
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_expressions_there_and_back():
    x, y = X[:2]
    given = [x**3 - y / 3, sympy.Integer(0), sympy.Rational(5, 2), x**2 * y**5]
    polynomials = Polynomials.from_expressions(given, [x, y])
    assert polynomials.expressions([x, y]) == given
    assert polynomials.degrees == [3, -1, 0, 7]
    inexact = Polynomials.from_expressions([sympy.sqrt(2) * x], [x])
    assert inexact.denominator is None
    assert float(inexact(jnp.asarray([2.0]))[0]) == pytest.approx(2**1.5, rel=1e-6)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_places_of_monomials_are_their_order(d):
    table = np.concatenate([monomials(d, k) for k in range(6)])
    assert len(table) == math.comb(5 + d, d)
    np.testing.assert_array_equal(monomial_places(table), np.arange(len(table)))
    assert [tuple(row) for row in monomials(d, 3)] == sorted(
        (row for row in itertools.product(range(4), repeat=d) if sum(row) == 3), reverse=True
    )


INFINITE = dataclasses.replace(sj.symmetric_group(2), order=math.inf)
GLIDE = GROUPS["glide"][0]()
SQUARE = Polynomials.from_expressions([X[0] ** 2], X[:2])
S_2 = sj.symmetric_group(2)
STAIRS = math.prod(x**i for i, x in enumerate(X))  # with 10! images


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: reynolds("S_2", SQUARE), TypeError, r"group: expected a group and got a str"),
        (lambda: reynolds(INFINITE, SQUARE), ValueError, r"group: its order is infinite.*weyl_series"),
        (lambda: invariant_polynomials(GLIDE, 2), TypeError, r"group: it translates .*shifts of zero"),
        (
            lambda: invariant_ring(sj.direct_product(S_2, GLIDE)),
            TypeError,
            r"group: it translates the torus",
        ),
        (lambda: reynolds(S_2, X[0]), TypeError, r"polynomials: .*Symbol.*from_expressions"),
        (
            lambda: reynolds(sj.symmetric_group(3), SQUARE),
            ValueError,
            r"polynomials: .*moves 3 .*2 variables",
        ),
        (
            lambda: reynolds(sj.symmetric_group(10), Polynomials.from_expressions([STAIRS], X)),
            ValueError,
            r"polynomials: .*passes through .* lower degree",
        ),
        (lambda: invariant_polynomials(S_2, 1.5), TypeError, r"degree: expected an integer and got 1.5"),
        (lambda: invariant_polynomials(S_2, -1), ValueError, r"degree: expected at least 0 and got -1"),
        (
            lambda: invariant_polynomials(sj.symmetric_group(10), 20),
            ValueError,
            r"degree: there are 10,015,005 monomials of degree 20 in 10 variables.*lower",
        ),
        (
            lambda: invariant_polynomials(sj.trivial_group(10), 7),
            ValueError,
            r"degree: 11,440 invariants of 11,440 monomials .*lower",
        ),
        (lambda: fundamental_invariants(S_2, 0), ValueError, r"max_degree: expected at least 1"),
        (
            lambda: invariant_ring(sj.symmetric_group(5)),
            ValueError,
            r"group: .*order <= 200 .*<= 4.* 120 in dimension 5; use fundamental_invariants",
        ),
        (lambda: SQUARE(jnp.ones(3)), ValueError, r"x: expected shape \(\*batch, 2\).*\(3,\)"),
        (lambda: SQUARE(jnp.ones(2, int)), TypeError, r"x: expected floating-point numbers and got int"),
        (
            lambda: Polynomials.from_expressions([1 / X[0]], X[:2]),
            ValueError,
            r"expressions: expected polynomials in \[x0, x1\] with real",
        ),
        (
            lambda: Polynomials.from_expressions([X[2]], X[:2]),
            ValueError,
            r"expressions: .* no real number",
        ),
        (lambda: SQUARE.expressions([X[0]]), ValueError, r"symbols: expected 2 symbols and got 1"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
