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
from symjax_learn.algebra.multisets import monomial_symmetric, multisets
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
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
