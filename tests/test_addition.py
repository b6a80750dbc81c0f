"""Reproducing kernels against the sums that they are and closed forms, and projections onto spaces."""

import functools
import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_gegenbauer, eval_legendre

import symjax_learn as sj
from symjax_learn.learning.model import KernelModel
from tests.registry import EXACT, X64

CYCLE = 2 * np.eye(7) - np.roll(np.eye(7), 1, axis=0) - np.roll(np.eye(7), -1, axis=0)
# name -> (space, largest eigenvalue)
SPACES = {
    "circle": (sj.Torus(1), 100),
    "T³ of period 1": (sj.Torus(3, 1.0), 9 * (2 * math.pi) ** 2),
    "S¹": (sj.Sphere(1), 100),
    "S²": (sj.Sphere(2), 110),
    "S⁴": (sj.Sphere(4), 40),
    "box": (sj.Box(3), 9 * math.pi**2),
    "gaussian": (sj.Gaussian(3), 5),
    "disc": (sj.Ball(2), 60),
    "ball of radius 2": (sj.Ball(4, 2.0), 12),
    "SO(3)": (sj.RotationGroup(), 12),
    "cube": (sj.Hypercube(7), 14),
    "graphs": (sj.Graphs(4), 8),
    "labels": (sj.Labels(5), 5),
    "cycle": (sj.DiscreteSpace(CYCLE), 4),
    "product": (sj.Product(sj.Sphere(2), sj.Torus(1), sj.Labels(3)), 7),
    "product with a graph": (sj.Product(sj.Ball(2), sj.DiscreteSpace(CYCLE)), 8),
}
# Of these an isometry takes any point to any other, so that K(x, x) is the multiplicity.
HOMOGENEOUS = set(SPACES) - {"box", "gaussian", "disc", "ball of radius 2", "product with a graph"}
FINITE = {"cube": 2**7, "graphs": 2**6, "labels": 5, "cycle": 7}


@pytest.fixture(params=SPACES, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def space(name):
    return SPACES[name][0]


@pytest.fixture(scope="module")
def levels(name):
    space, bound = SPACES[name]
    return space.levels(bound)


def points(space, seed=0, n=6):
    return space.sample(jax.random.key(seed), (n,))


def scattered(space, seed=0, n=6):
    """Arrays that are no points of most spaces."""
    return 2 * jax.random.normal(jax.random.key(seed), (n, *space.point_shape))


@functools.cache
def explicit(space_name):
    """The kernels as sums over eigenfunctions, for all pairs, by a table that is built once."""
    space, bound = SPACES[space_name]
    levels = space.levels(bound)
    table = space.functions(levels)
    ends = np.cumsum([level.multiplicity for level in levels])[:-1]

    def kernels(x, y):
        left, right = (jnp.split(table.rows(points), ends.tolist()) for points in (x, y))
        sums = [
            jnp.einsum("mi,mj->ij", at_x, at_y, precision="highest")
            for at_x, at_y in zip(left, right, strict=True)
        ]
        return jnp.stack(sums, axis=-1)

    return jax.jit(kernels)


def relative(values, levels):
    """To the multiplicities, in float64."""
    return np.asarray(values, np.float64) / np.asarray([float(level.multiplicity) for level in levels])


def kernels(space, levels):
    return jax.jit(lambda x, y: space.reproducing_kernels(levels, x, y))


def test_they_are_the_sums_over_the_eigenfunctions(name, space, levels):
    x, y = points(space), points(space, 1, 5)
    y = y.at[0].set(x[0])
    found = kernels(space, levels)(x[:, None], y)
    assert found.shape == (6, 5, len(levels))
    assert found.dtype == x.dtype
    tolerance = 1e-11 if X64 else 1e-5
    expected = relative(explicit(name)(x, y), levels)
    found = relative(found, levels)
    np.testing.assert_allclose(found, expected, atol=tolerance)
    swapped = kernels(space, levels)(y[:, None], x)
    np.testing.assert_allclose(relative(swapped, levels), found.swapaxes(0, 1), atol=tolerance)
    if name in HOMOGENEOUS:
        own = kernels(space, levels)(x, x)
        np.testing.assert_allclose(relative(own, levels), np.ones(own.shape), atol=tolerance)


def test_some_levels_in_another_order(space, levels):
    x, y = points(space), points(space, 1)
    chosen = levels[-1:] + levels[:1]
    found = kernels(space, chosen)(x, y)
    whole = kernels(space, levels)(x, y)
    np.testing.assert_allclose(found, whole[:, jnp.asarray([-1, 0])], rtol=100 * EXACT, atol=100 * EXACT)
    np.testing.assert_allclose(kernels(space, levels[:1])(x, y), np.ones((6, 1)), rtol=EXACT)


def special(name, space):
    """Pairs where angles have no derivative: equal, opposite, at the centre."""
    y = points(space, 1, 3)
    x = y.at[1].set(-y[1])
    if name.startswith(("S", "disc", "ball")) and name != "SO(3)":
        x = x.at[2].set(0)
    if name == "SO(3)":
        half_turn = jnp.diag(jnp.asarray([1.0, -1.0, -1.0]))
        x = y.at[1].set(jnp.matmul(y[1], half_turn, precision="highest")).at[2].set(points(space, 5)[0])
    return (x % 3 if name in ("labels", "cycle") else x), y


@pytest.mark.skipif(not X64, reason="the same polynomials in float32")
@pytest.mark.parametrize("name", ["S²", "T³ of period 1", "gaussian", "disc", "SO(3)"])
def test_gradients_are_finite_and_those_of_the_sums(name):
    space, bound = SPACES[name]
    levels = space.levels(bound)
    x, y = special(name, space)

    weights = jnp.asarray(np.random.default_rng(0).normal(size=len(levels)), float)

    def slope(kernel):
        return jax.jit(jax.vmap(jax.grad(lambda x, y: weights @ kernel(x, y))))(x, y)

    found = slope(lambda x, y: space.reproducing_kernels(levels, x, y))
    assert bool(jnp.isfinite(found).all())
    expected = slope(lambda x, y: explicit(name)(x[None], y[None])[0, 0])
    if name == "SO(3)":  # along the group
        turns = np.asarray(
            [[[0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, -1, 0], [1, 0, 0], [0, 0, 0]]], float
        )
        found, expected = (
            np.einsum("bij,bik,gkj->bg", np.asarray(slopes), np.asarray(x), turns)
            for slopes in (found, expected)
        )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-10)


def test_off_the_cube_they_are_the_same_multilinear_polynomials():
    space, _ = SPACES["cube"]
    x, y = scattered(space) / 4, scattered(space, 1) / 4
    found = kernels(space, space.levels(14))(x[:, None], y)
    np.testing.assert_allclose(found, explicit("cube")(x, y), rtol=1e3 * EXACT, atol=100 * EXACT)


def elementary(values, largest):
    """e_0, …, e_largest of the last axis, by Newton's identities in float64."""
    powers = [np.sum(values**k, axis=-1) for k in range(largest + 1)]
    found = [np.ones(values.shape[:-1])]
    for s in range(1, largest + 1):
        terms = [(-1) ** (k - 1) * found[s - k] * powers[k] for k in range(1, s + 1)]
        found.append(sum(terms) / s)
    return found


def test_a_torus_of_a_hundred_dimensions():
    space = sj.Torus(100)
    levels = space.levels(6)
    assert levels[-1].multiplicity > 7e10
    x, y = (np.array(points(space, seed), np.float64) for seed in (0, 1))
    y[0], y[1] = x[0], x[1]
    y[1, :3] += 0.5
    x, y = jnp.asarray(x, float), jnp.asarray(y, float)
    found = kernels(space, levels)(x, y)
    angles = np.asarray(x, np.float64) - np.asarray(y, np.float64)
    once, twice = np.cos(angles), np.cos(2 * angles)
    e = elementary(once, 6)
    without = elementary(np.stack([np.delete(once, i, axis=1) for i in range(100)]), 2)
    expected = [2**s * e[s] for s in range(7)]
    for s in (4, 5, 6):
        expected[s] = expected[s] + 2 ** (s - 3) * np.sum(twice.T * without[s - 4], axis=0)
    found = relative(found, levels)
    expected = relative(np.stack(expected, axis=1), levels)
    np.testing.assert_allclose(found, expected, atol=1e-10 if X64 else 1e-5)
    np.testing.assert_allclose(found[0], np.ones(7), rtol=1e-12 if X64 else 1e-5)


def test_a_sphere_of_ninety_nine_dimensions():
    space = sj.Sphere(99)
    levels = space.levels(10 * 108)
    assert levels[-1].multiplicity > 4e13
    x, y = points(space), points(space, 1)
    y = y.at[0].set(x[0]).at[1].set(space.project(x[1] + y[1] / 4))
    found = kernels(space, levels)(x, y)
    cosines = np.sum(np.asarray(x, np.float64) * np.asarray(y, np.float64), axis=1)
    degrees = np.arange(11)
    expected = eval_gegenbauer(degrees, 49, cosines[:, None]) / eval_gegenbauer(degrees, 49, 1.0)
    np.testing.assert_allclose(relative(found, levels), expected, atol=1e-12 if X64 else 2e-6)


def test_a_cube_of_two_hundred_coordinates():
    """Krawtchouk's polynomials in Python integers."""
    space = sj.Hypercube(200)
    levels = space.levels(12)
    x = points(space, 0, 7)
    distances = [0, 1, 2, 50, 100, 101, 200]
    y = jnp.stack([point.at[:h].multiply(-1) for point, h in zip(x, distances, strict=True)])
    found = np.asarray(kernels(space, levels)(x, y), np.float64)
    expected = np.asarray(
        [
            [
                sum((-1) ** j * math.comb(h, j) * math.comb(200 - h, s - j) for j in range(s + 1))
                for s in range(7)
            ]
            for h in distances
        ],
        float,
    )
    if X64:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(relative(found, levels), relative(expected, levels), atol=1e-6)


def test_a_hermite_kernel_in_many_dimensions_is_a_coefficient_of_mehlers():
    """Of (1 − q²)^{−d/2} exp((2q x·y − q²(|x|² + |y|²))/(2(1 − q²))), by a contour integral."""
    space = sj.Gaussian(50)
    levels = space.levels(8)
    x, y = points(space), points(space, 1)
    found = kernels(space, levels)(x, y)
    q = 0.5 * np.exp(2j * np.pi * np.arange(128) / 128)
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    cross, squares = (xs * ys).sum(1)[:, None], (xs**2 + ys**2).sum(1)[:, None]
    values = (1 - q**2) ** (-25) * np.exp((2 * q * cross - q**2 * squares) / (2 * (1 - q**2)))
    coefficients = (np.fft.fft(values, axis=1) / 128).real[:, :9] / 0.5 ** np.arange(9)
    tolerance = 1e-10 if X64 else 1e-5
    np.testing.assert_allclose(relative(found, levels), relative(coefficients, levels), atol=tolerance)


@pytest.mark.parametrize("dtype", [jnp.float32, float])
def test_the_sphere_is_stable_to_degree_150(dtype):
    space = sj.Sphere(2)
    levels = space.levels(150 * 151)
    x = points(space, 0, 200).astype(dtype)
    y = points(space, 1, 200).astype(dtype).at[0].set(x[0]).at[1].set(-x[1])
    found = np.asarray(kernels(space, levels)(x, y), np.float64)
    left, right = np.asarray(x, np.float64), np.asarray(y, np.float64)
    cosines = np.sum(left * right, axis=1) / np.sqrt((left**2).sum(1) * (right**2).sum(1))
    degrees = np.arange(151)
    errors = np.abs(found / (2 * degrees + 1) - eval_legendre(degrees, cosines[:, None]))
    assert errors[:, :11].max() < (1e-5 if dtype == jnp.float32 or not X64 else 1e-14)
    assert errors.max() < (2e-4 if dtype == jnp.float32 or not X64 else 1e-12)


def test_characters_of_rotations_to_degree_30():
    space = sj.RotationGroup()
    levels = space.levels(30 * 31)
    angles = np.asarray([0.1, 1.0, 2.0, 3.0])
    c, s, zero, one = np.cos(angles), np.sin(angles), np.zeros(4), np.ones(4)
    turns = np.stack([[c, -s, zero], [s, c, zero], [zero, zero, one]]).transpose(2, 0, 1)
    x = points(space, 0, 4)
    y = jnp.matmul(x, jnp.asarray(turns, float), precision="highest")
    found = relative(kernels(space, levels)(x, y), levels)
    degrees = np.arange(31)
    expected = (
        np.sin((degrees + 0.5) * angles[:, None]) / np.sin(angles[:, None] / 2) / (2 * degrees + 1)
    )
    np.testing.assert_allclose(found, expected, atol=1e-12 if X64 else 1e-3)


def test_they_compose_under_the_transformations():
    for name in ("T³ of period 1", "S²", "gaussian"):
        space, bound = SPACES[name]
        levels = space.levels(bound)
        x, y = points(space), points(space, 1)
        compiled = jax.jit(
            chex.assert_max_traces(lambda x, y: space.reproducing_kernels(levels, x, y), n=1)  # noqa: B023
        )
        values = compiled(x, y)
        np.testing.assert_allclose(compiled(x[::-1], y[::-1]), values[::-1], atol=EXACT)
        one = jax.vmap(lambda x, y: space.reproducing_kernels(levels, x, y))  # noqa: B023
        np.testing.assert_allclose(
            relative(one(x, y), levels), relative(values, levels), atol=10 * EXACT
        )
        chex.clear_trace_counter()


def test_bad_kernels():
    space = sj.Sphere(2)
    levels, x = space.levels(6), points(space)
    with pytest.raises(ValueError, match=r"levels: expected at least one level and got none"):
        space.reproducing_kernels([], x, x)
    with pytest.raises(ValueError, match=r"y: expected shape \(\*batch, 3\)"):
        space.reproducing_kernels(levels, x, x[:, :2])
    with pytest.raises(ValueError, match=r"y: its batch \(4,\) does not broadcast .* batch \(6,\) of x"):
        space.reproducing_kernels(levels, x, x[:4])
    if X64:  # else both are float32
        with pytest.raises(TypeError, match=r"y: expected the dtype of x, float32, and got float64"):
            space.reproducing_kernels(levels, np.ones(3, np.float32), np.ones(3, np.float64))
    high = sj.Torus(1000)
    with pytest.raises(ValueError, match=r"levels: a multiplicity of about 2\^.* range of float32"):
        high.reproducing_kernels(high.levels(20), np.ones(1000, np.float32), np.ones(1000, np.float32))
    with pytest.raises(TypeError, match=r"level: .* is not a level of a sphere"):
        space.reproducing_kernels([sj.Level(2.0, 3, "l = 1")], x, x)


# Projections


def distance(space, x, y):
    axes = tuple(range(-len(space.point_shape), 0))
    return np.sqrt(np.sum((np.asarray(x, float) - np.asarray(y, float)) ** 2, axis=axes))


def test_projections_are_points_and_idempotent(space):
    z = scattered(space, 3, 40).reshape(8, 5, *space.point_shape)
    found = space.project(z)
    assert (found.shape, found.dtype) == (z.shape, z.dtype)
    space.check(found)
    np.testing.assert_allclose(space.project(found), found, atol=10 * EXACT)
    assert space.project(z.astype(jnp.float32)).dtype == jnp.float32
    x = points(space, 4)
    np.testing.assert_allclose(space.project(x), x, atol=10 * EXACT)
    assert bool(jnp.isnan(space.project(z.at[0, 0].set(jnp.nan))[0, 0]).all())
    compiled = jax.jit(lambda z: space.project(z))(z)
    np.testing.assert_allclose(compiled, found, atol=10 * EXACT)


def test_no_point_of_the_space_is_nearer(name, space):
    if isinstance(space, sj.Torus):  # coordinates modulo the period: the distance is 0
        z = scattered(space, 3, 40)
        found = space.project(z)
        assert bool((found >= 0).all() and (found < space.period).all())
        turns = (z - found) / space.period
        np.testing.assert_allclose(turns, np.round(turns), atol=10 * EXACT)
        return
    z = scattered(space, 3, 40)
    if name == "product":  # of a circle likewise; the other product is tested below
        blocks = [
            factor.project(z[:, i:j])
            for factor, i, j in zip(space.spaces, (0, 3, 4), (3, 4, 5), strict=True)
        ]
        np.testing.assert_array_equal(space.project(z), np.concatenate(blocks, axis=1))
        return
    z = z + 2 * (name in ("labels", "cycle"))
    found = space.project(z)
    if name in FINITE:
        samples = every_point(name, space)
        assert len(samples) == FINITE[name]
    else:
        samples = points(space, 5, 2000)
    least = distance(space, found, z)
    others = distance(space, np.asarray(samples)[:, None], np.asarray(z)[None]).min(axis=0)
    assert (least <= others + 10 * EXACT).all()
    if name in FINITE:
        np.testing.assert_allclose(least, others, atol=10 * EXACT)
        return
    noise = 0.05 * jax.random.normal(jax.random.key(6), (200, *z.shape))
    beside = space.project(found[None] + noise)  # points of the space, nearest or not
    assert (least <= distance(space, beside, z[None]).min(axis=0) + 10 * EXACT).all()


def every_point(name, space):
    if name == "cube":
        return np.asarray(list(itertools.product([-1.0, 1], repeat=7)))
    if name == "graphs":
        i, j = np.triu_indices(4, 1)
        graphs = np.zeros((64, 4, 4))
        graphs[:, i, j] = list(itertools.product([-1.0, 1], repeat=6))
        return graphs + graphs.swapaxes(1, 2)
    return np.arange(space.cardinality, dtype=float)[:, None]


def test_points_with_several_nearest_ones():
    assert bool(jnp.isnan(sj.Sphere(2).project(jnp.zeros(3))).all())
    np.testing.assert_array_equal(sj.Hypercube(3).project(jnp.asarray([0.0, -0.0, -1.0])), [1, 1, -1])
    np.testing.assert_array_equal(
        sj.Graphs(2).project(jnp.asarray([[5.0, 1], [-1, 5]])), [[0, 1], [1, 0]]
    )
    np.testing.assert_array_equal(
        sj.Labels(4).project(jnp.asarray([[0.5], [1.5], [9.0]])), [[0], [2], [3]]
    )
    rotation = sj.RotationGroup()
    rotation.check(rotation.project(jnp.stack([-jnp.eye(3), jnp.zeros((3, 3))])))
    tiny = jnp.asarray([-1e-30, 1e-30, 2 * math.pi])
    assert bool((sj.Torus(3).project(tiny) < sj.Torus(1).period).all())
    far = jnp.asarray([3e30, 4e30, 0.0], jnp.float32)  # its square is no float32
    np.testing.assert_allclose(sj.Sphere(2).project(far), [0.6, 0.8, 0], atol=1e-6)
    np.testing.assert_allclose(sj.Ball(3).project(far), [0.6, 0.8, 0], atol=1e-6)


def test_gradients_of_projections_are_finite_and_right():
    ball = sj.Ball(3)
    inside = jnp.asarray([[0.0, 0, 0], [0.1, 0.2, 0.3], [2.0, 0, 0]])
    slopes = jax.vmap(jax.jacfwd(ball.project))(inside)
    expected = np.stack([np.eye(3), np.eye(3), np.diag([0, 0.5, 0.5])])
    np.testing.assert_allclose(slopes, expected, atol=10 * EXACT)


@pytest.mark.skipif(not X64, reason="difference quotients")
def test_the_gradient_of_the_nearest_rotation_is_its_difference_quotient():
    """At rotations, where singular values are equal, at other matrices, and at mirrored ones."""
    space, step = sj.RotationGroup(), 1e-6
    matrices = jnp.concatenate([jnp.eye(3)[None], points(space, 7, 2), scattered(space, 8, 4)])
    direction = jax.random.normal(jax.random.key(9), matrices.shape)
    _, found = jax.jvp(space.project, (matrices,), (direction,))
    ahead, behind = (space.project(matrices + s * step * direction) for s in (1, -1))
    np.testing.assert_allclose(found, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-7)
    weights = jax.random.normal(jax.random.key(10), matrices.shape)
    slope = jax.grad(lambda m: jnp.sum(weights * space.project(m)))(matrices)
    np.testing.assert_allclose(jnp.sum(slope * direction), jnp.sum(weights * found), rtol=1e-10)


# Models


def test_kernel_ridge_is_the_same_by_kernels_and_by_functions(tmp_path):
    """Few samples go by kernels; the same fit by all eigenfunctions, and a file of it."""
    cases = (
        (sj.Sphere(4), 40, {} if X64 else {"penalty": 1e-3}),  # the grids differ in float32
        (sj.Gaussian(4), 5, {"penalty": 1e-3, "intercept": False}),
    )
    for space, bound, options in cases:
        x, new = points(space, 0, 4), points(space, 1, 5)
        y = jnp.stack([x[:, 0], jnp.exp(x[:, 1])], axis=1)
        model = sj.fit_kernel_ridge(space, x, y, max_eigenvalue=bound, **options)
        assert isinstance(model, KernelModel)
        primal = sj.fit_ridge(sj.eigenbasis(space, max_eigenvalue=bound), x, y, **options)
        assert float(model.penalty) == pytest.approx(float(primal.penalty), rel=1e-3)
        np.testing.assert_allclose(model(new), primal(new), atol=1e-9 if X64 else 2e-4)
        sj.save(tmp_path / "model.npz", model)
        np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(new), model(new))


def test_kernel_ridge_on_pieces_penalizes_all_constants_but_one():
    """The constants of the pieces share the level 0: kernels would leave out all of them."""
    space = sj.Product(sj.DiscreteSpace(np.kron(np.eye(2), [[1.0, -1], [-1, 1]])), sj.Sphere(9))
    levels = space.levels(40)
    assert levels[0].multiplicity == 2
    x, new = points(space, 0, 5), points(space, 1, 5)
    model = sj.fit_kernel_ridge(space, x, x[:, 1], max_eigenvalue=40, penalty=1e-2)
    primal = sj.fit_ridge(sj.eigenbasis(space, max_eigenvalue=40), x, x[:, 1], penalty=1e-2)
    assert sum(level.multiplicity for level in levels) > 5 * space.kernels(levels).width
    np.testing.assert_allclose(model(new), primal(new), atol=1e-9 if X64 else 2e-4)


def test_kernel_ridge_where_functions_are_millions(tmp_path):
    space = sj.Sphere(29)
    levels = space.levels(6 * 34)
    assert sum(level.multiplicity for level in levels) > 10**6
    x, new = points(space, 0, 40), points(space, 1, 5)
    y = 1 + x[:, 0] + 10 * x[:, 1] * x[:, 2]
    model = sj.fit_kernel_ridge(space, x, y, max_eigenvalue=6 * 34, penalty=1e-3)
    mu = (1 + np.asarray([level.eigenvalue for level in levels])) ** -2.0
    mu[0] = 0

    def gram(left, right):
        cosines = np.asarray(left, np.float64) @ np.asarray(right, np.float64).T
        terms = [
            mu[k] * level.multiplicity * eval_gegenbauer(k, 14, cosines) / eval_gegenbauer(k, 14, 1.0)
            for k, level in enumerate(levels)
        ]
        return sum(terms)

    system = np.block([[gram(x, x) + 40e-3 * np.eye(40), np.ones((40, 1))], [np.ones((1, 40)), 0]])
    alpha = np.linalg.solve(system, np.append(np.asarray(y, np.float64), 0))
    expected = gram(new, x) @ alpha[:-1] + alpha[-1]
    np.testing.assert_allclose(model(new), expected, atol=1e-9 if X64 else 1e-4)
    slopes = jax.grad(lambda x: model(x).sum())(new)
    assert bool(jnp.isfinite(slopes).all())
    sj.save(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(new), model(new))
