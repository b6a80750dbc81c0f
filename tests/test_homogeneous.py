"""Frames and planes, against spheres, rotations, S² × S², closed forms, brute-force ranks and quadrature."""

import collections
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import zeta
from scipy.stats import beta, kstest

import symjax_learn as sj
from symjax_learn.geometry.frames import Entries, casimir, moments, weingarten
from symjax_learn.geometry.homogeneous import fixed_dimension, weight_dimension
from tests.registry import EXACT, X64, sphere_rule
from tests.test_rotations import rotation_rule

# Each with the largest eigenvalue up to which its functions are tested.
SPACES = {
    "circle": (sj.Stiefel(1, 2), 4),
    "St(2, 3)": (sj.Stiefel(2, 3), 6),
    "St(2, 4)": (sj.Stiefel(2, 4), 16),
    "St(2, 5)": (sj.Stiefel(2, 5), 10),
    "St(3, 5)": (sj.Stiefel(3, 5), 6),
    "Gr(1, 3)": (sj.Grassmannian(1, 3), 20),
    "Gr(2, 4)": (sj.Grassmannian(2, 4), 24),
    "Gr(3, 4)": (sj.Grassmannian(3, 4), 24),
    "Gr(2, 5)": (sj.Grassmannian(2, 5), 20),
    "Gr(3, 6)": (sj.Grassmannian(3, 6), 20),
}


@functools.cache
def basis(name):
    space, max_eigenvalue = SPACES[name]
    return sj.eigenbasis(space, max_eigenvalue=max_eigenvalue)


def projector(frames):
    return np.swapaxes(frames, -1, -2) @ frames


def frame_rule(k, p, degree):
    """Points and weights on St(k, p) that integrate polynomials up to a degree.

    A vector x of the sphere, and a frame of St(k − 1, p − 1) carried to its orthogonal complement by
    a rotation that takes the last axis to x: the result depends on x polynomially after the inner rule.
    """
    nodes, masses = (np.asarray(part, np.float64) for part in exact_sphere_rule(p - 1, degree))
    if k == 1:
        return nodes[:, None], masses
    inner, inner_masses = frame_rule(k - 1, p - 1, degree)
    complements = np.stack([np.linalg.svd(x[None])[2][1:] for x in nodes])
    rest = np.einsum("bij,ajl->abil", inner, complements)
    first = np.broadcast_to(nodes[:, None, None], (len(nodes), len(inner), 1, p))
    points = np.concatenate([first, rest], axis=2).reshape(-1, k, p)
    return points, np.outer(masses, inner_masses).ravel()


def exact_sphere_rule(dimension, degree):
    """In float64 in every session."""
    if dimension == 1:
        angles = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return circle, np.full(degree + 1, 1 / (degree + 1))
    with jax.enable_x64(True):
        return sphere_rule(dimension, degree)


def levels_of(space, max_eigenvalue):
    return {level.eigenvalue: level.multiplicity for level in space.levels(max_eigenvalue)}


def halved(counts, parity):
    return {value: count for degree, (value, count) in enumerate(counts.items()) if degree % 2 == parity}


@pytest.mark.parametrize("p", [2, 3, 4, 7])
def test_frames_of_one_vector_are_a_sphere_and_lines_its_even_half(p):
    sphere = levels_of(sj.Sphere(p - 1), 2000)
    assert levels_of(sj.Stiefel(1, p), 2000) == sphere
    assert levels_of(sj.Grassmannian(1, p), 2000) == halved(sphere, 0)
    assert levels_of(sj.Grassmannian(p - 1, p), 2000) == halved(sphere, 0)
    assert sj.Stiefel(1, p).volume == pytest.approx(sj.Sphere(p - 1).volume, rel=1e-13)
    assert sj.Grassmannian(1, p).volume == pytest.approx(sj.Sphere(p - 1).volume / 2, rel=1e-13)


def test_two_frames_of_space_are_its_rotations():
    frames, rotations = sj.Stiefel(2, 3), sj.RotationGroup()
    assert levels_of(frames, 930) == levels_of(rotations, 930)
    assert frames.volume == pytest.approx(rotations.volume, rel=1e-13)
    assert (frames.dimension, frames.point_shape) == (3, (2, 3))
    # The same eigenspaces: the reproducing kernel of a level is (2l+1) times its character.
    kernel = sj.RotationGroup().sample(jax.random.key(0), (12,))
    for level in frames.levels(6):
        mine = np.asarray(frames.eigenfunctions(level, kernel[:, :2]), float)
        theirs = np.asarray(sj.RotationGroup().eigenfunctions(rotations.levels(6)[-1], kernel), float)
        if level.eigenvalue == 6:
            np.testing.assert_allclose(mine @ mine.T, theirs @ theirs.T, atol=1e3 * EXACT)


def test_planes_of_four_space_are_pairs_of_points_of_spheres_modulo_a_sign():
    """Gr⁺(2, 4) = S² × S² of radius 1/√2; turning a plane over is (−1, −1)."""
    count = collections.Counter()
    for i, j in itertools.product(range(40), repeat=2):
        if (i + j) % 2 == 0:
            count[2.0 * (i * (i + 1) + j * (j + 1))] += (2 * i + 1) * (2 * j + 1)
    expected = {value: count[value] for value in sorted(count) if value <= 2000}
    assert levels_of(sj.Grassmannian(2, 4), 2000) == expected
    assert sj.Grassmannian(2, 4).volume == pytest.approx((4 * math.pi / 2) ** 2 / 2, rel=1e-13)


@pytest.mark.parametrize(("k", "p"), [(2, 5), (3, 7), (3, 8), (4, 9)])
def test_complements_of_planes_have_the_same_spectrum(k, p):
    one, other = sj.Grassmannian(k, p), sj.Grassmannian(p - k, p)
    assert one.levels(150) == other.levels(150)
    assert one.volume == pytest.approx(other.volume, rel=1e-12)


def test_all_frames_but_one_vector_are_the_rotation_group():
    """Peter and Weyl: each V of SO(p) dim V times. SO(4) is S³ × S³ modulo (−1, −1)."""
    count = collections.Counter()
    for i, j in itertools.product(range(40), repeat=2):
        if (i + j) % 2 == 0:
            count[(i * (i + 2) + j * (j + 2)) / 2] += ((i + 1) * (j + 1)) ** 2
    expected = {value: count[value] for value in sorted(count) if value <= 300}
    assert levels_of(sj.Stiefel(3, 4), 300) == expected
    for weight in itertools.product(range(4), repeat=2):
        if weight[0] >= weight[1]:
            assert fixed_dimension(5, 4, weight) == weight_dimension(5, weight)


@pytest.mark.parametrize(("k", "p"), [(1, 6), (2, 4), (2, 7), (3, 6), (3, 9)])
def test_fixed_vectors_are_those_of_the_general_linear_group(k, p):
    """For 2k ≤ p they form the representation λ of GL(k) (Gelbart), whose dimension is Weyl's."""
    for weight in itertools.product(range(4), repeat=k):
        if list(weight) == sorted(weight, reverse=True):
            expected = math.prod(
                1 + (weight[i] - weight[j]) / (j - i) for i, j in itertools.combinations(range(k), 2)
            )
            found = fixed_dimension(p, k, weight + (0,) * (p // 2 - k))
            assert found == round(expected)


def test_dimensions_of_representations_as_published():
    """Slansky's tables: SO(5), SO(7), SO(8) and SO(10)."""
    assert [weight_dimension(5, w) for w in [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]] == [5, 10, 14, 35, 35]
    assert [weight_dimension(7, w) for w in [(1, 1, 0), (1, 1, 1), (2, 0, 0)]] == [21, 35, 27]
    assert [weight_dimension(8, w) for w in [(1, 1, 0, 0), (1, 1, 1, 1), (2, 0, 0, 0)]] == [28, 35, 35]
    assert [weight_dimension(10, w) for w in [(1, 1, 1, 1, 1), (2, 0, 0, 0, 0)]] == [126, 54]


@pytest.mark.parametrize(
    ("space", "degree", "top"),
    [
        (sj.Stiefel(2, 4), 3, 40),
        (sj.Stiefel(2, 5), 2, 40),
        (sj.Stiefel(2, 5), 4, 40),
        (sj.Stiefel(3, 6), 2, 40),
        (sj.Stiefel(3, 6), 3, 40),
        (sj.Grassmannian(2, 5), 2, 40),
        (sj.Grassmannian(3, 6), 2, 60),
    ],
)
def test_multiplicities_add_up_to_the_rank_of_all_monomials(space, degree, top):
    """At random points; all |λ| ≤ degree of its parity (2k ≤ p: no function has another degree)."""
    frames = isinstance(space, sj.Stiefel)
    weights = [w for w in space._weights(top) if sum(w) <= degree * (1 if frames else 2)]
    if frames:
        weights = [w for w in weights if (degree - sum(w)) % 2 == 0]
    expected = sum(
        (fixed_dimension(space.p, space.k, w) if frames else 1)
        * weight_dimension(space.p, w)
        * (2 if 2 * len(w) == space.p and w[-1] else 1)
        for w in weights
    )
    generator = np.random.default_rng(0)
    x = np.linalg.qr(generator.standard_normal((expected + 20, space.p, space.k)))[0].mT
    if not frames:
        x = projector(x)[:, *np.triu_indices(space.p)]
    entries = x.reshape(len(x), -1)
    products = itertools.combinations_with_replacement(range(entries.shape[1]), degree)
    monomials = np.stack([entries[:, list(places)].prod(axis=1) for places in products], axis=1)
    assert np.linalg.matrix_rank(monomials, tol=1e-9 * np.linalg.norm(monomials, 2)) == expected


@pytest.mark.parametrize("space", [sj.Stiefel(2, 4), sj.Stiefel(3, 5), sj.Grassmannian(2, 5)])
def test_counts_follow_weyls_law(space):
    """N(Λ) ~ vol ω_d Λ^{d/2}/(2π)^d, with corrections of relative order Λ^{−1/2}."""
    d = space.dimension
    ball = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
    shift = 0.0
    ratios = []
    for top in (400, 1600):
        count = sum(level.multiplicity for level in space.levels(top))
        ratios.append(count / (space.volume * ball * (top + shift) ** (d / 2) / (2 * math.pi) ** d))
    assert abs(ratios[1] - 1) < abs(ratios[0] - 1) < 0.5
    assert abs(ratios[1] - 1) < 0.15


@pytest.mark.parametrize("name", ["St(2, 3)", "St(2, 4)", "Gr(2, 4)", "Gr(1, 3)", "Gr(3, 4)"])
def test_eigenfunctions_are_orthonormal(name):
    space, _ = SPACES[name]
    degree = 8 if name != "St(2, 3)" else 8
    points, weights = frame_rule(space.k, space.p, degree)
    if isinstance(space, sj.Grassmannian):
        points = projector(points)
    features = np.asarray(basis(name)(jnp.asarray(points, float)), np.float64)
    gram = (features * weights[:, None]).T @ features
    assert features.shape[1] == sum(level.multiplicity for level in space.levels(SPACES[name][1]))
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-11 if X64 else 2e-5)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)
