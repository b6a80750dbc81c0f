"""Monomial symmetric functions: against sums over all placements, and orthonormality counted exactly."""

import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symjax_learn as sj
from symjax_learn.algebra.multisets import (
    monomial_symmetric,
    monomial_symmetric_from_sums,
    multisets,
    products,
)
from symjax_learn.algebra.series import multiset_series
from tests.registry import X64

METHODS = ("scan", "power_sums")
INDEX = multisets([1, 2], 3, 3)
ACCURACY = 1e-12 if X64 else 2e-4


def placements(index, features):
    """Σ over distinct placements of each multiset on the rows of ``features``, over √N_s."""
    n = len(features)
    values = []
    for counts in np.asarray(index.counts).tolist():
        labels = [label for label, count in enumerate(counts) for _ in range(count)]
        if len(labels) > n:
            values.append(0.0)
            continue
        total = 0.0
        for places in itertools.permutations(range(n), len(labels)):
            total = total + math.prod(
                features[place, label] for place, label in zip(places, labels, strict=True)
            )
        repeats = math.prod(math.factorial(count) for count in counts)
        norm = math.factorial(n) / (math.factorial(n - len(labels)) * repeats)
        values.append(total / repeats / math.sqrt(norm))
    return np.asarray(values)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.integers(0, 7),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_every_multiset_is_the_sum_over_its_placements(weights, max_weight, n, seed):
    index = multisets(weights, max_weight, 4)
    features = np.random.default_rng(seed).normal(size=(n, len(weights)))
    expected = placements(index, features)
    found = monomial_symmetric(index, jnp.asarray(features), method="scan")
    np.testing.assert_allclose(found, expected, atol=ACCURACY * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [float, complex])
def test_both_methods_on_real_and_complex_features(method, dtype):
    index = multisets([1, 1, 2], 5, 5)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(7, 3)) + (1j * rng.normal(size=(7, 3)) if dtype is complex else 0)
    found = monomial_symmetric(index, jnp.asarray(features), method=method)
    assert jnp.iscomplexobj(found) == (dtype is complex)
    np.testing.assert_allclose(found, placements(index, features), atol=1e3 * ACCURACY)


@pytest.mark.parametrize("max_weight", range(9))
def test_as_many_as_the_series_counts_and_closed_under_removal(max_weight):
    index = multisets([1, 1, 4, 4], max_weight, 100)
    assert index.num_multisets == sum(multiset_series(100, max_weight, [1, 1, 4, 4]))
    assert index.num_multisets == sj.invariant_count(sj.Torus(100), sj.symmetric_group(100), max_weight)
    rows = {tuple(row) for row in np.asarray(index.counts).tolist()}
    assert len(rows) == index.num_multisets
    for row in rows:
        for label, count in enumerate(row):
            assert not count or (*row[:label], count - 1, *row[label + 1 :]) in rows


def test_orthonormal_on_independent_points():
    """On four points of the circle, by the exact mean over a grid of 7⁴ points."""
    index = multisets([1, 1, 4, 4], 4, 4)
    x = 2 * np.pi * np.stack(np.meshgrid(*[np.arange(9) / 9] * 4, indexing="ij"), -1).reshape(-1, 4)
    waves = np.sqrt(2) * np.stack([np.cos(x), np.sin(x), np.cos(2 * x), np.sin(2 * x)], axis=-1)
    values = np.asarray(monomial_symmetric(index, jnp.asarray(waves), method="scan"))
    gram = values.T @ values / len(values)
    np.testing.assert_allclose(gram, np.eye(index.num_multisets), atol=10 * ACCURACY)


def test_the_same_functions_as_the_invariant_basis_of_the_torus():
    """S_5 on T^5: the multisets span the subspace that the orbits of plane waves span."""
    space, group = sj.Torus(5), sj.symmetric_group(5)
    basis = sj.invariant_basis(space, group, max_eigenvalue=4)
    index = multisets([1, 1, 4, 4], 4, 5)
    x = space.sample(jax.random.key(0), (200,))
    waves = math.sqrt(2) * jnp.stack([jnp.cos(x), jnp.sin(x), jnp.cos(2 * x), jnp.sin(2 * x)], axis=-1)
    ours, theirs = np.asarray(monomial_symmetric(index, waves), float), np.asarray(basis(x), float)
    assert ours.shape == theirs.shape
    mixed = np.linalg.lstsq(theirs, ours, rcond=None)[0]
    np.testing.assert_allclose(theirs @ mixed, ours, atol=1e3 * ACCURACY)
    np.testing.assert_allclose(mixed.T @ mixed, np.eye(len(mixed)), atol=1e3 * ACCURACY)


@pytest.mark.parametrize("method", METHODS)
def test_masked_sets_are_those_of_their_points(method):
    index = multisets([1, 2], 4, 4)
    features = jnp.asarray(np.random.default_rng(1).normal(size=(5, 9, 2)))
    mask = np.arange(9)[None] < np.asarray([9, 6, 3, 1, 0])[:, None]
    found = monomial_symmetric(index, features.at[2, 5].set(1e3), mask=mask, method=method)
    for row, size in enumerate((9, 6, 3, 1)):
        expected = placements(index, np.asarray(features[row, :size]))
        np.testing.assert_allclose(found[row], expected, atol=1e3 * ACCURACY)
    np.testing.assert_array_equal(found[4], np.eye(index.num_multisets)[0])


def test_a_thousand_points_do_not_overflow_float32():
    index = multisets([1, 1], 14, 14)
    features = jnp.asarray(np.random.default_rng(2).normal(size=(3, 1000, 2)), jnp.float32)
    found = monomial_symmetric(index, features)
    assert found.dtype == jnp.float32
    assert bool(jnp.isfinite(found).all())
    exact = monomial_symmetric(index, features, method="scan")
    np.testing.assert_allclose(found, exact, atol=2e-3 * float(jnp.abs(exact).max()))


@pytest.mark.parametrize("method", METHODS)
def test_permuting_the_points_changes_nothing_and_it_composes(method):
    index = multisets([1, 1, 2], 4, 4)
    features = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 16, 3)))
    found = monomial_symmetric(index, features, method=method)
    assert found.shape == (2, 3, index.num_multisets)
    again = monomial_symmetric(index, features[:, :, ::-1], method=method)
    np.testing.assert_allclose(again, found, atol=10 * ACCURACY)
    chex.clear_trace_counter()
    traced = chex.assert_max_traces(
        lambda index, features: monomial_symmetric(index, features, method=method), n=1
    )
    compiled = jax.jit(traced)
    np.testing.assert_allclose(compiled(index, features), found, atol=10 * ACCURACY)
    compiled(index, 2 * features)
    single = jax.vmap(jax.vmap(lambda f: monomial_symmetric(index, f, method=method)))(features)
    np.testing.assert_allclose(single, found, atol=10 * ACCURACY)
    slope = jax.grad(lambda f: monomial_symmetric(index, f, method=method).sum())(features)
    step = 1e-5 if X64 else 1e-2
    ahead, behind = (
        monomial_symmetric(index, features.at[0, 1, 4, 2].add(s), method=method).sum()
        for s in (step, -step)
    )
    assert float(slope[0, 1, 4, 2]) == pytest.approx(
        float(ahead - behind) / (2 * step), rel=2e-2, abs=1e-2
    )


CIRCLE = multisets([1, 1, 4, 4], 6, 100)  # √2 cos x, √2 sin x, √2 cos 2x, √2 sin 2x
POWERS = multisets([1, 2, 3], 5, 5)  # x, x², x³


def times_wave(label, member):
    """√2 cos kx or √2 sin kx times cos bx (named b ≥ 0) or sin |b|x (b < 0), from exponentials."""
    k, sine = label // 2 + 1, label % 2
    left = {k: -0.5j, -k: 0.5j} if sine else {k: 0.5, -k: 0.5}
    right = {-member: -0.5j, member: 0.5j} if member < 0 else {member: 0.5, -member: 0.5}
    if member == 0:
        right = {0: 1.0}
    found = {}
    for a, b in itertools.product(left, right):
        frequency, c = a + b, left[a] * right[b]
        if frequency >= 0:  # c e^{ifx} and its conjugate: 2 Re c cos fx − 2 Im c sin fx
            twice = 2 if frequency else 1
            for name, part in ((frequency, c.real), (-frequency, -c.imag)):
                found[name] = found.get(name, 0.0) + math.sqrt(2) * twice * part
    return {name: part for name, part in found.items() if part}


def times_power(label, member):
    return {member + label + 1: 1.0}


def wave(name, x):
    return jnp.cos(name * x) if name >= 0 else jnp.sin(-name * x)


def features_of(x):
    return math.sqrt(2) * jnp.stack([wave(name, x) for name in (1, -1, 2, -2)], axis=-1)


def sums_of(family, evaluate, x, mask=None):
    values = jnp.stack([evaluate(name, x) for name in family.members], axis=-1)
    return (values if mask is None else values * mask[..., None]).sum(axis=-2)


@pytest.mark.parametrize(
    ("index", "multiply", "members"),
    [(CIRCLE, times_wave, set(range(-6, 7))), (POWERS, times_power, set(range(6)))],
)
def test_products_are_those_of_the_functions(index, multiply, members):
    family = products(index, multiply)
    assert set(family.members) == members
    assert family.members[0] == 0
    x = np.random.default_rng(0).uniform(-1, 1, 12)
    if index is CIRCLE:
        single, together = (np.asarray(features_of(x)), [np.asarray(wave(k, x)) for k in family.members])
    else:
        single, together = x[:, None] ** np.arange(1, 4), [x**k for k in family.members]
    expected = (single[:, None, :] ** np.asarray(index.counts)).prod(axis=2)
    found = np.stack(together, axis=1) @ np.asarray(family.coefficients).T
    np.testing.assert_allclose(found, expected, atol=10 * (1e-14 if X64 else 1e-6))


def test_from_sums_of_waves_as_from_the_scan():
    x = jnp.asarray(np.random.default_rng(1).uniform(0, 2 * np.pi, (2, 3, 100)))
    family = products(CIRCLE, times_wave)
    found = monomial_symmetric_from_sums(CIRCLE, family, sums_of(family, wave, x))
    assert found.shape == (2, 3, 40)
    assert found.dtype == x.dtype
    expected = monomial_symmetric(CIRCLE, features_of(x), method="scan")
    np.testing.assert_allclose(found, expected, atol=10 * ACCURACY)


@pytest.mark.skipif(not X64, reason="compares with float64")
def test_from_sums_in_float32_loses_no_more_than_power_sums():
    x = jnp.asarray(np.random.default_rng(2).uniform(0, 2 * np.pi, (500, 100)), jnp.float32)
    exact = monomial_symmetric(CIRCLE, features_of(x.astype(float)), method="scan")
    family = products(CIRCLE, times_wave)
    found = monomial_symmetric_from_sums(CIRCLE, family, sums_of(family, wave, x))
    assert found.dtype == jnp.float32
    others = monomial_symmetric(CIRCLE, features_of(x), method="power_sums")
    ours, theirs = (np.abs(np.asarray(v, float) - exact).max() for v in (found, others))
    assert ours < 2 * theirs
    assert ours < 1e-4


def test_from_sums_of_sets_of_unequal_size():
    x = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (5, 30)))
    mask = np.arange(30)[None] < np.asarray([30, 24, 20, 3, 0])[:, None]
    features = jnp.stack([x, x**2, x**3], axis=-1)
    family = products(POWERS, times_power)
    sums = sums_of(family, lambda name, x: x**name, x, jnp.asarray(mask, x.dtype))
    found = monomial_symmetric_from_sums(POWERS, family, sums)
    expected = monomial_symmetric(POWERS, features, mask=mask, method="scan")
    np.testing.assert_allclose(found, expected, atol=1e3 * ACCURACY)


def test_from_sums_of_complex_waves_composes():
    """e^{ix} and e^{2ix}, whose products are e^{ikx}."""
    family = products(INDEX, times_power)

    def exponential(k, x):
        return jax.lax.complex(jnp.cos(k * x), jnp.sin(k * x))

    def from_sums(x):
        return monomial_symmetric_from_sums(INDEX, family, sums_of(family, exponential, x))

    def from_points(x):
        features = jnp.stack([exponential(1, x), exponential(2, x)], axis=-1)
        return monomial_symmetric(INDEX, features, method="scan")

    def value_and_slope(function, x):
        return jax.value_and_grad(lambda x: (function(x) * (1 + 2j)).real.sum())(x)

    x = jnp.asarray(np.random.default_rng(4).uniform(0, 6, (3, 20)))
    assert jnp.iscomplexobj(from_sums(x))
    found = jax.jit(jax.vmap(lambda x: value_and_slope(from_sums, x)))(x)
    expected = jax.jit(jax.vmap(lambda x: value_and_slope(from_points, x)))(x)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e2 * ACCURACY)


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: multisets([1, 0], 3, 3), ValueError, r"weights: expected positive finite"),
        (lambda: multisets([1], 3, -1), ValueError, r"max_size: expected at least 0 and got -1"),
        (
            lambda: multisets([1] * 60, 60, 60),
            ValueError,
            r"max_weight, max_size: more than 1,000,000",
        ),
        (
            lambda: monomial_symmetric(INDEX, jnp.ones((3, 3))),
            ValueError,
            r"features: .*points, 2\).*\(3, 3\)",
        ),
        (lambda: monomial_symmetric(INDEX, jnp.ones(2)), ValueError, r"features: .* got \(2,\)"),
        (
            lambda: monomial_symmetric(INDEX, jnp.ones((0, 2))),
            ValueError,
            r"features: .*at least one point",
        ),
        (lambda: monomial_symmetric(INDEX, jnp.ones((3, 2), int)), TypeError, r"features: .*int"),
        (
            lambda: monomial_symmetric(INDEX, jnp.ones((3, 2)), mask=[1, 1]),
            ValueError,
            r"mask: .*\(3,\)",
        ),
        (lambda: monomial_symmetric(INDEX, jnp.ones((3, 2)), method="x"), ValueError, r"method: .* 'x'"),
        (
            lambda: products(INDEX, lambda p, b: {b + p: math.nan}),
            ValueError,
            r"multiply: .* not finite",
        ),
        (
            lambda: monomial_symmetric_from_sums(CIRCLE, products(INDEX, times_power), jnp.ones(4)),
            ValueError,
            r"family: expected the products of 40 multisets and got 6",
        ),
        (
            lambda: monomial_symmetric_from_sums(INDEX, products(INDEX, times_power), jnp.ones(3)),
            ValueError,
            r"sums: expected shape \(\*batch, 4\).*\(3,\)",
        ),
        (
            lambda: monomial_symmetric_from_sums(INDEX, products(INDEX, times_power), jnp.ones(4, int)),
            TypeError,
            r"sums: .*int",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
