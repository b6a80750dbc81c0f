"""Boxes and Gaussian spaces: counts, order, orthonormality and the eigen-equation."""

import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_hermitenorm

import symjax_learn as sj
from symjax_learn.geometry.separable import vector_counts
from tests.quadratures import box_rule, gaussian_rule
from tests.registry import EXACT, X64

PI2 = math.pi**2
# name -> (space, largest total)
SPACES = {
    "box 1": (sj.Box(1), 36),
    "box 3": (sj.Box(3), 6),
    "gaussian 3": (sj.Gaussian(3), 4),
}


def rule(space, total):
    if isinstance(space, sj.Box):
        return box_rule(space.dimension, math.isqrt(total))
    return gaussian_rule(space.dimension, total)


def bound(space, total):
    return PI2 * total if isinstance(space, sj.Box) else float(total)


def vectors(space, total):
    """All k of each total by brute force, in descending lexicographic order."""
    size = (lambda v: v * v) if isinstance(space, sj.Box) else (lambda v: v)
    found = {}
    for k in itertools.product(range(total, -1, -1), repeat=space.dimension):
        if sum(map(size, k)) <= total:
            found.setdefault(sum(map(size, k)), []).append(k)
    return found


def one_coordinate(space, v, x):
    if isinstance(space, sj.Box):
        return math.sqrt(2) * np.cos(math.pi * v * x) if v else np.ones_like(x)
    return eval_hermitenorm(v, x) / math.sqrt(math.factorial(v))


@pytest.fixture(params=SPACES, scope="module")
def case(request):
    return SPACES[request.param]


@pytest.fixture(scope="module")
def basis(case):
    space, total = case
    return sj.eigenbasis(space, max_eigenvalue=bound(space, total))


def test_levels_count_all_vectors(case):
    space, total = case
    levels = space.levels(bound(space, total))
    expected = vectors(space, total)
    assert [(level.key, level.multiplicity) for level in levels] == [
        (key, len(expected[key])) for key in sorted(expected)
    ]
    assert all(type(level.multiplicity) is int for level in levels)
    for level in levels:
        assert level.eigenvalue == pytest.approx(bound(space, level.key), rel=1e-15)
    top = levels[-1]
    assert space.levels(top.eigenvalue * (1 - 1e-12))[-1] == top
    assert space.levels(top.eigenvalue * (1 - 1e-6))[-1] != top
    assert space.levels(-1.0) == []


def test_eigenfunctions_are_orthonormal(case, basis):
    space, total = case
    points, weights = rule(space, total)
    features = np.asarray(basis(jnp.asarray(points, float)), float)
    gram = features.T @ (weights[:, None] * features)
    np.testing.assert_allclose(gram, np.eye(basis.num_functions), atol=30 * EXACT)
    np.testing.assert_array_equal(features[:, 0], 1)


def test_eigenfunctions_are_the_stated_products_in_the_stated_order(case, basis):
    space, total = case
    points, _ = rule(space, total)
    x = np.asarray(jnp.asarray(points, float), np.float64)  # as the session rounds them
    found = vectors(space, total)
    expected = [
        math.prod(one_coordinate(space, v, x[:, i]) for i, v in enumerate(k))
        for key in sorted(found)
        for k in found[key]
    ]
    values = np.asarray(basis(jnp.asarray(points, float)), float)
    expected = np.stack(expected, axis=1)
    np.testing.assert_allclose(values, expected, atol=10 * EXACT * max(1, np.abs(expected).max()))


def test_levels_may_be_asked_for_alone_and_in_any_order(case, basis):
    space, total = case
    levels = space.levels(bound(space, total))
    ends = np.cumsum([0, *(level.multiplicity for level in levels)])
    asked = [len(levels) - 1, 1]
    points = jnp.asarray(rule(space, total)[0], float)
    values = jax.jit(lambda x: space.functions([levels[i] for i in asked]).columns(x))(points)
    expected = basis(points)[:, np.concatenate([np.arange(ends[i], ends[i + 1]) for i in asked])]
    np.testing.assert_allclose(values, expected, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("name", ["box 3", "gaussian 3"])
def test_eigenfunctions_solve_the_eigen_equation(name):
    """−Δφ = λφ on the box; −(Δ − x·∇)φ = nφ for the normal measure."""
    space, total = SPACES[name]
    level = space.levels(bound(space, total))[-1]
    drift = 0.0 if isinstance(space, sj.Box) else 1.0

    def value(x):
        return space.eigenfunctions(level, x)

    def generator(x):
        return jnp.trace(jax.hessian(value)(x), axis1=-2, axis2=-1) - drift * jax.jacfwd(value)(x) @ x

    x = space.sample(jax.random.key(0), (3,))
    answer = jax.jit(jax.vmap(generator))(x)
    np.testing.assert_allclose(-answer, level.eigenvalue * value(x), atol=100 * EXACT * level.eigenvalue)


def test_walls_of_the_box_are_free():
    space = sj.Box(2)
    level = space.levels(PI2 * 5)[-1]
    corners = jnp.asarray([[0.0, 0.3], [1.0, 0.3], [0.6, 0.0], [0.6, 1.0], [1.0, 1.0]])
    slope = jax.jit(jax.vmap(jax.jacfwd(lambda x: space.eigenfunctions(level, x))))
    slopes = np.asarray(slope(corners))
    normal = np.concatenate([slopes[:2, :, 0], slopes[2:4, :, 1], slopes[4:, :, 0], slopes[4:, :, 1]])
    np.testing.assert_allclose(normal, 0, atol=30 * EXACT)
    assert np.abs(slopes[0, :, 1]).max() > 1


def test_sums_over_a_level_of_gaussian_space_follow_the_mehler_formula():
    """Σ_n r^n Σ_k φ_k(x) φ_k(y) = (1 − r²)^{−d/2} exp((2r x·y − r²(|x|² + |y|²))/(2(1 − r²)))."""
    space, r = sj.Gaussian(2), 0.5
    basis = sj.eigenbasis(space, max_eigenvalue=60)
    x = space.sample(jax.random.key(3), (12,))
    values = np.asarray(basis(x), float)
    kernel = (values * r ** np.asarray(basis.eigenvalues, float)) @ values.T
    points = np.asarray(x, np.float64)
    squares = (points**2).sum(axis=1)
    exponent = 2 * r * points @ points.T - r**2 * (squares[:, None] + squares)
    expected = np.exp(exponent / (2 * (1 - r**2))) / (1 - r**2)
    np.testing.assert_allclose(kernel, expected, rtol=1e-10 if X64 else 1e-4, atol=10 * EXACT)


def test_counts_of_boxes_are_the_published_ones_of_tori_under_reflections():
    cases = (
        (2, {25: 26, 100: 90, 400: 335, 1600: 1297, 10_000: 7955}),
        (3, {25: 99, 100: 648, 400: 4662}),
        (10, {0: 1, 1: 11, 2: 56, 3: 176, 4: 396, 5: 738}),
    )
    for dimension, counts in cases:
        for total, count in counts.items():
            levels = sj.Box(dimension).levels(PI2 * total)
            assert sum(level.multiplicity for level in levels) == count


def test_counts_beyond_64_bits():
    d = 200
    counts = [level.multiplicity for level in sj.Box(d).levels(PI2 * 60)]
    comb = math.comb
    assert counts[:6] == [
        1,
        d,
        comb(d, 2),
        comb(d, 3),
        comb(d, 4) + d,
        comb(d, 5) + d * (d - 1),
    ]
    assert counts[60] > 2**64
    series = np.zeros(61, object)
    series[[j * j for j in range(8)]] = 1
    product = series
    for _ in range(d - 1):
        product = np.convolve(product, series)[:61]
    assert counts == product.tolist()
    # The two ways of counting meet at 62 bits: 20 · log₂(1 + 7) = 60, 21 · log₂(1 + 7) = 63.
    squares = [j * j for j in range(1, 8)]
    below, above = vector_counts(20, squares, 60), vector_counts(21, squares, 60)
    for total, count in above.items():
        assert count == sum(below.get(total - j, 0) for j in [0, *squares])


def test_high_dimensions_enumerate_only_what_is_asked():
    d = 200
    pairs = np.asarray(list(itertools.combinations(range(d), 2)))
    for space in (sj.Box(d), sj.Gaussian(d)):
        x = space.sample(jax.random.key(4), (5,))
        first, second = (space.levels(bound(space, 2))[n] for n in (1, 2))
        linear = np.asarray(space.eigenfunctions(first, x), float)
        values = np.asarray(space.eigenfunctions(second, x), float)
        products = linear[:, pairs[:, 0]] * linear[:, pairs[:, 1]]
        if isinstance(space, sj.Box):
            np.testing.assert_allclose(values, products, atol=10 * EXACT)
            continue
        assert values.shape[1] == second.multiplicity == d * (d + 1) // 2
        mixed = np.asarray([i != j for i in range(d) for j in range(i, d)])
        np.testing.assert_allclose(values[:, mixed], products, atol=100 * EXACT)
        np.testing.assert_allclose(values[:, ~mixed], (linear**2 - 1) / math.sqrt(2), atol=100 * EXACT)


def test_samples_follow_the_measure(case, basis):
    space, _ = case
    x = space.sample(jax.random.key(2), (4000,))
    assert x.shape == (4000, *space.point_shape)
    space.check(x)
    means = np.asarray(basis(x), float)[:, 1:20].mean(axis=0)
    assert np.abs(means).max() < 5 / math.sqrt(4000)


def test_they_compose_under_the_transformations_and_keep_the_dtype():
    for space in (sj.Box(2), sj.Gaussian(2)):
        basis = sj.eigenbasis(space, max_eigenvalue=bound(space, 4))
        x = space.sample(jax.random.key(5), (6,))
        compiled = jax.jit(chex.assert_max_traces(lambda basis, x: basis(x), n=1))
        values = compiled(basis, x)
        np.testing.assert_allclose(compiled(basis, x[::-1]), values[::-1], atol=EXACT)
        np.testing.assert_allclose(jax.vmap(basis)(x), values, atol=100 * EXACT)
        slopes = jax.grad(lambda x, basis=basis: basis(x).sum())(x)
        assert bool(jnp.isfinite(slopes).all())
        single = basis(x.astype(jnp.float32))
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single, values, atol=1e-4)
        chex.clear_trace_counter()


def test_values_are_finite_far_out():
    """Degree 300 at the largest samples that float32 gives, in value and gradient."""
    space = sj.Gaussian(1)
    level = space.levels(300)[-1]
    x = jnp.asarray([[-6.0], [0.0], [6.0]], jnp.float32)
    values, slopes = jax.vmap(
        lambda x: jax.jvp(lambda y: space.eigenfunctions(level, y), (x,), (jnp.ones_like(x),))
    )(x)
    assert bool(jnp.isfinite(values).all() and jnp.isfinite(slopes).all())
    # h_n' = √n h_{n−1}
    below = math.sqrt(300) * np.asarray(space.eigenfunctions(space.levels(299)[-1], x), float)
    np.testing.assert_allclose(slopes, below, rtol=1e-3, atol=1e-2)


def test_volumes():
    assert (sj.Box(7).volume, sj.Gaussian(7).volume) == (1.0, 1.0)
    assert (sj.Box(7).log_volume, sj.Gaussian(7).log_volume) == (0.0, 0.0)


def test_bad_input():
    with pytest.raises(ValueError, match=r"dimension: expected at least 1 and got 0"):
        sj.Box(0)
    with pytest.raises(ValueError, match=r"dimension: expected at least 1 and got 0"):
        sj.Gaussian(0)
    with pytest.raises(
        ValueError, match=r"points: row 1 has the coordinate 1\.5, as 1 row.*to \[0, 1\]"
    ):
        sj.Box(2).check(np.asarray([[0.0, 1.0], [0.5, 1.5]]))
    with pytest.raises(ValueError, match=r"points: row 1 is not finite"):
        sj.Gaussian(1).check(np.asarray([[0.0], [np.inf]]))
    with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 2\).* got \(3, 4\)"):
        sj.Box(2).check(np.full((3, 4), 0.5))
    with pytest.raises(ValueError, match=r"max_eigenvalue or max_functions: \|k\|² up to .*lower it"):
        sj.Box(3).levels(1e9)
    with pytest.raises(
        ValueError, match=r"max_eigenvalue or max_functions: .*degree 1000 and got 2,000"
    ):
        sj.Gaussian(3).levels(2000)
    with pytest.raises(ValueError, match=r"levels: a table of .* products needs about .*lower levels"):
        sj.Gaussian(1000).functions(sj.Gaussian(1000).levels(4))
    for space in (sj.Box(2), sj.Gaussian(2)):
        with pytest.raises(TypeError, match=r"level: .* is not a level of"):
            space.functions([sj.Level(1.0, 2, (1, 0))])
