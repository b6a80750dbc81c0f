"""Wigner matrices on the rotation group, against spheres, characters, Legendre polynomials and Haar."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_legendre
from scipy.stats import kstest

import symjax_learn as sj
from tests.quadratures import rotation_rule
from tests.registry import EXACT, X64

SPACE = sj.RotationGroup()
GENERATORS = jnp.asarray(
    [
        [[0.0, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]],
        [[0.0, -1, 0], [1, 0, 0], [0, 0, 0]],
    ]
)
# The identity, half turns, a quarter turn, and matrices that are no rotations.
SPECIAL = jnp.asarray(
    [
        np.eye(3),
        np.diag([1.0, -1, -1]),
        np.diag([-1.0, -1, 1]),
        [[0.0, -1, 0], [1, 0, 0], [0, 0, 1]],
        np.zeros((3, 3)),
        np.ones((3, 3)),
    ]
)


def product(left, right):
    return jnp.matmul(left, right, precision="highest")


@functools.cache
def basis(degree):
    return sj.eigenbasis(SPACE, max_eigenvalue=degree * (degree + 1))


def wigner(degree, points):
    """D^0, …, D^degree in float64."""
    values = np.asarray(basis(degree)(points), float)
    sizes = 2 * np.arange(degree + 1) + 1
    blocks = np.split(values, np.cumsum(sizes**2)[:-1], axis=1)
    return [
        block.reshape(-1, size, size) / math.sqrt(size)
        for size, block in zip(sizes, blocks, strict=True)
    ]


@pytest.fixture(scope="module", params=[5, pytest.param(20, marks=pytest.mark.slow)])
def high(request):
    """R, and for l = 0, 1, … D(R), D(S), D(RS)."""
    left, right = SPACE.sample(jax.random.key(0), (2, 12))
    return left, *(wigner(request.param, points) for points in (left, right, product(left, right)))


def test_levels_are_the_even_ones_of_the_sphere_that_covers_it():
    """SO(3) is S³ of radius 2 with antipodes identified."""
    levels, cover = SPACE.levels(30 * 31), sj.Sphere(3).levels(60 * 62)[::2]
    assert [level.key for level in levels] == list(range(31))
    assert [level.multiplicity for level in levels] == [level.multiplicity for level in cover]
    assert [4 * level.eigenvalue for level in levels] == [level.eigenvalue for level in cover]
    assert SPACE.volume == pytest.approx(2**3 * sj.Sphere(3).volume / 2)
    assert (SPACE.dimension, SPACE.point_shape) == (3, (3, 3))
    assert SPACE.levels(6 * (1 - 1e-12)) == levels[:3]
    assert SPACE.levels(6 * (1 - 1e-6)) == levels[:2]


def test_eigenfunctions_are_orthonormal():
    points, weights = rotation_rule(6)
    points = jnp.asarray(points, float)
    SPACE.check(points)
    features = np.asarray(basis(3)(points), float)
    gram = (features * weights[:, None]).T @ features
    np.testing.assert_allclose(gram, np.eye(84), atol=10 * EXACT)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)


def test_matrices_are_orthogonal_and_multiply(high):
    _, of_left, of_right, of_product = high
    for degree, (left, right, both) in enumerate(zip(of_left, of_right, of_product, strict=True)):
        tolerance = 1e-13 * (degree + 1) if X64 else 3e-6 * (degree + 1)
        np.testing.assert_allclose(
            left @ left.mT, np.broadcast_to(np.eye(2 * degree + 1), left.shape), atol=tolerance
        )
        np.testing.assert_allclose(left @ right, both, atol=tolerance)


def test_they_rotate_the_harmonics_of_the_sphere(high):
    left, of_left, _, _ = high
    sphere, degree = sj.Sphere(2), len(of_left) - 1
    level = sphere.levels(degree * (degree + 1))[-1]
    x = sphere.sample(jax.random.key(1), (12,))
    before, after = (
        np.asarray(sphere.eigenfunctions(level, points), float)
        for points in (x, product(left, x[:, :, None])[:, :, 0])
    )
    found = np.einsum("bmn,bn->bm", of_left[degree], before)
    np.testing.assert_allclose(found, after, atol=1e-12 if X64 else 1e-4)


def test_characters_and_zonal_entries_have_their_closed_forms(high):
    left, of_left, _, _ = high
    rotations = np.asarray(left, float)
    angles = np.arccos((np.trace(rotations, axis1=1, axis2=2) - 1) / 2)
    for degree in (1, len(of_left) // 2, len(of_left) - 1):
        traces = np.trace(of_left[degree], axis1=1, axis2=2)
        expected = np.sin((degree + 0.5) * angles) / np.sin(angles / 2)
        np.testing.assert_allclose(traces, expected, atol=1e-10 if X64 else 1e-3)
        expected = eval_legendre(degree, rotations[:, 2, 2])
        np.testing.assert_allclose(of_left[degree][:, 0, 0], expected, atol=1e-12 if X64 else 1e-4)


def test_eigenfunctions_are_those_of_the_laplacian():
    """−Σ_i (d/dt)² φ(R exp(tE_i)) = l(l+1) φ(R); the exponential is needed to second order only."""
    points = SPACE.sample(jax.random.key(2), (12,))

    def along(generator, t):
        turn = jnp.eye(3) + t * generator + t**2 / 2 * product(generator, generator)
        return basis(2)(product(points, turn))

    second = jax.jacfwd(jax.jacfwd(along, argnums=1), argnums=1)
    found = -jax.jit(jax.vmap(second, in_axes=(0, None)))(GENERATORS, jnp.zeros(())).sum(axis=0)
    expected = basis(2).eigenvalues[None] * basis(2)(points)
    np.testing.assert_allclose(found, expected, atol=1e3 * EXACT)


def test_samples_are_uniform():
    x = SPACE.sample(jax.random.key(3), (4000,))
    SPACE.check(x)
    means = np.asarray(basis(3)(x), float)[:, 1:].mean(axis=0)
    assert np.abs(means).max() < 4.5 / np.sqrt(4000)
    # The angle θ of a uniform rotation has the distribution (θ − sin θ)/π.
    traces = np.trace(np.asarray(x, float), axis1=1, axis2=2)
    angles = np.arccos(np.clip((traces - 1) / 2, -1, 1))
    assert kstest(angles, lambda angle: (angle - np.sin(angle)) / np.pi).pvalue > 1e-3
    assert SPACE.sample(jax.random.key(3)).shape == (3, 3)


def test_values_and_gradients_are_polynomials_everywhere():
    level = SPACE.levels(6)[-1]
    values = jax.jit(lambda x: SPACE.eigenfunctions(level, x))
    slopes = jax.jit(jax.vmap(jax.jacrev(lambda x: SPACE.eigenfunctions(level, x))))(SPECIAL)
    # Euler: a polynomial of degree l has R·∇φ = l φ, zero and singular matrices included.
    np.testing.assert_allclose(
        jnp.einsum("bfij,bij->bf", slopes, SPECIAL), 2 * values(SPECIAL), atol=1e3 * EXACT
    )
    assert bool(jnp.isfinite(slopes).all())
    np.testing.assert_allclose(values(2 * SPECIAL), 4 * values(SPECIAL), atol=1e3 * EXACT)
    assert values(SPECIAL.astype(jnp.float32)).dtype == jnp.float32


def test_a_model_learns_a_quadratic_function_of_rotations():
    x = SPACE.sample(jax.random.key(4), (200,))
    y = x[:, 0, 0] * x[:, 1, 2] + jnp.trace(x, axis1=1, axis2=2)
    model = sj.fit_ridge(basis(2), x, y, penalty=1e-10 if X64 else 1e-7)
    new = SPACE.sample(jax.random.key(5), (12,))
    expected = new[:, 0, 0] * new[:, 1, 2] + jnp.trace(new, axis1=1, axis2=2)
    np.testing.assert_allclose(model(new), expected, atol=1e-6 if X64 else 1e-3)
    slopes = jax.jit(jax.vmap(jax.grad(lambda point: model(point))))(new)
    shift = product(new, GENERATORS[0])  # along the group the derivatives are those of the target
    found = (slopes * shift).sum(axis=(1, 2))
    by_hand = shift[:, 0, 0] * new[:, 1, 2] + new[:, 0, 0] * shift[:, 1, 2]
    by_hand = by_hand + jnp.trace(shift, axis1=1, axis2=2)
    np.testing.assert_allclose(found, by_hand, atol=1e-5 if X64 else 1e-2)


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    rotations = np.asarray(SPACE.sample(jax.random.key(6), (3,)))
    stretched, mirrored, missing = (rotations.copy() for _ in range(3))
    stretched[1] *= 1.1
    mirrored[2] *= -1
    missing[1, 0, 2] = np.nan
    with pytest.raises(ValueError, match=r"points: row 1 is no rotation, .* not orthogonal; take U Vᵀ"):
        SPACE.check(stretched)
    with pytest.raises(ValueError, match=r"points: row 2 has determinant -1, .* give rotations"):
        SPACE.check(mirrored)
    with pytest.raises(ValueError, match=r"points: row 1 is not finite"):
        SPACE.check(missing)
    with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 3, 3\)"):
        basis(2)(jnp.ones((3, 9)))
    with pytest.raises(ValueError, match=r"max_eigenvalue or max_functions: .*degree beyond 30"):
        sj.eigenbasis(SPACE, max_eigenvalue=1e4)
    with pytest.raises(TypeError, match=r"level: .* is not a level of the rotation group"):
        SPACE.eigenfunctions(sj.Level(2.0, 9, "l = 1"), rotations)
