"""Frames and planes, against spheres, rotations, S² × S², closed forms, ranks and quadrature."""

import collections
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import beta, kstest

import symjax_learn as sj
from symjax_learn.geometry.frames import Entries, casimir, moments, weingarten
from symjax_learn.geometry.homogeneous import fixed_dimension, weight_dimension
from tests.quadratures import frame_rule
from tests.registry import EXACT, X64

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
    x = rotations.sample(jax.random.key(0), (12,))
    level = rotations.levels(6)[-1]  # eigenspaces by their reproducing kernels
    mine = np.asarray(basis("St(2, 3)")(x[:, :2])[:, -level.multiplicity :], float)
    theirs = np.asarray(rotations.eigenfunctions(level, x), float)
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
    assert [weight_dimension(5, w) for w in [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]] == [
        5,
        10,
        14,
        35,
        35,
    ]
    assert [weight_dimension(7, w) for w in [(1, 1, 0), (1, 1, 1), (2, 0, 0)]] == [21, 35, 27]
    assert [weight_dimension(8, w) for w in [(1, 1, 0, 0), (1, 1, 1, 1), (2, 0, 0, 0)]] == [28, 35, 35]
    assert [weight_dimension(10, w) for w in [(1, 1, 1, 1, 1), (2, 0, 0, 0, 0)]] == [126, 54]


@pytest.mark.parametrize(
    ("space", "degree", "top"),
    [
        (sj.Stiefel(2, 4), 3, 40),
        (sj.Stiefel(2, 5), 2, 40),
        pytest.param(sj.Stiefel(2, 5), 4, 40, marks=pytest.mark.slow),
        pytest.param(sj.Stiefel(3, 6), 3, 40, marks=pytest.mark.slow),
        (sj.Stiefel(3, 6), 2, 40),
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
    errors = []
    for top in (100, 400):
        count = sum(level.multiplicity for level in space.levels(top))
        law = space.volume * ball * top ** (d / 2) / (2 * math.pi) ** d
        errors.append(abs(count / law - 1))
    assert errors[1] < 0.6 * errors[0] < 0.6
    assert errors[1] < 0.3


@pytest.mark.parametrize("name", ["St(2, 3)", "St(2, 4)", "Gr(1, 3)", "Gr(2, 4)", "Gr(3, 4)"])
def test_eigenfunctions_are_orthonormal(name):
    """By a rule that is exact to degree 8 in a frame: products of functions of degree 4."""
    space, max_eigenvalue = SPACES[name]
    if isinstance(space, sj.Grassmannian):
        smaller = min(space.k, space.p - space.k)
        frames, weights = frame_rule(smaller, space.p, 8)
        points = projector(frames)
        points = points if smaller == space.k else np.eye(space.p) - points
    else:
        points, weights = frame_rule(space.k, space.p, 8)
    features = np.asarray(basis(name)(jnp.asarray(points, float)), np.float64)
    gram = (features * weights[:, None]).T @ features
    assert len(gram) == sum(level.multiplicity for level in space.levels(max_eigenvalue))
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-11 if X64 else 2e-5)
    np.testing.assert_allclose(features[:, 0], 1, atol=EXACT)


@pytest.mark.slow
def test_functions_of_the_highest_degrees_are_orthonormal():
    """Degree 5 of frames, where levels mix degrees, and degree 6 of planes."""
    for space, top in [(sj.Stiefel(2, 3), 6), (sj.Stiefel(2, 4), 19), (sj.Grassmannian(2, 4), 28)]:
        points, weights = frame_rule(space.k, space.p, 12)
        points = points if isinstance(space, sj.Stiefel) else projector(points)
        features = np.asarray(
            sj.eigenbasis(space, max_eigenvalue=top)(jnp.asarray(points, float)), np.float64
        )
        gram = (features * weights[:, None]).T @ features
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-11 if X64 else 1e-4)


@pytest.mark.parametrize("name", ["St(2, 5)", "St(3, 5)", "Gr(2, 5)", "Gr(3, 6)"])
def test_reproducing_kernels_of_levels_are_constant_on_the_diagonal(name):
    """Σ φ² = multiplicity over each level, which isometries that carry any point to any other imply."""
    space, max_eigenvalue = SPACES[name]
    x = space.sample(jax.random.key(1), (12,))
    values, start = np.asarray(basis(name)(x), np.float64), 0
    for level in space.levels(max_eigenvalue):
        here = values[:, start : (start := start + level.multiplicity)]
        np.testing.assert_allclose(
            (here**2).sum(axis=1), level.multiplicity, rtol=1e-11 if X64 else 1e-4
        )
    assert start == values.shape[1]


@pytest.mark.parametrize("name", ["St(2, 3)", "St(3, 5)", "Gr(2, 5)"])
def test_eigenfunctions_are_those_of_the_laplacian(name):
    """−Σ_{u<v} (d/dt)² φ along X exp(tE_{uv}) is λφ; the exponential is needed to second order only."""
    space, planes = SPACES[name][0], isinstance(SPACES[name][0], sj.Grassmannian)
    table, p = basis(name), space.p
    generators = np.zeros((p * (p - 1) // 2, p, p))
    for generator, (u, v) in zip(generators, itertools.combinations(range(p), 2), strict=True):
        generator[u, v], generator[v, u] = 1, -1
    x = space.sample(jax.random.key(2), (12,))

    def along(generator, t):
        turn = jnp.eye(p) + t * generator + t**2 / 2 * generator @ generator
        return table(turn.T @ x @ turn if planes else x @ turn)

    second = jax.jacfwd(jax.jacfwd(along, argnums=1), argnums=1)
    generators = jnp.asarray(generators, float)
    with jax.default_matmul_precision("highest"):
        found = -jax.jit(lambda e: jax.lax.map(lambda g: second(g, jnp.zeros(())), e).sum(axis=0))(
            generators
        )
    expected = table.eigenvalues[None] * table(x)
    np.testing.assert_allclose(found, expected, atol=1e-9 if X64 else 5e-3)


@pytest.mark.parametrize("entries", [Entries(2, 3, False), Entries(1, 3, True)])
def test_the_casimir_matrix_is_the_sum_of_squares_of_the_rotations(entries):
    """Against symbolic derivatives, for frames of two vectors of R³ and for projectors."""
    import sympy

    degree = 2
    monomials = np.asarray(
        list(itertools.combinations_with_replacement(entries.codes, degree)), np.int64
    )
    at = {code: sympy.Symbol(f"x{code}") for code in entries.codes}

    def entry(i, j):
        return at[min(3 * i + j, 3 * j + i)] if entries.planes else at[3 * i + j]

    def turned(f, u, v):
        """d/dt of f under columns u ↦ v, v ↦ −u."""
        moved = {u: [(v, 1)], v: [(u, -1)]}
        total = 0
        for code in entries.codes:
            i, j = divmod(code, 3)
            change = sum(sign * entry(i, to) for to, sign in moved.get(j, []))
            if entries.planes:
                change += sum(sign * entry(to, j) for to, sign in moved.get(i, []))
            total += sympy.diff(f, at[code]) * change
        return sympy.expand(total)

    products = [sympy.Mul(*(at[int(code)] for code in row)) for row in monomials]
    for column, f in zip(casimir(entries, monomials).T, products, strict=True):
        squares = sum(turned(turned(f, u, v), u, v) for u, v in [(0, 1), (0, 2), (1, 2)])
        image = sum(int(c) * g for c, g in zip(column, products, strict=True))
        assert sympy.expand(squares + image) == 0


@pytest.mark.parametrize(("k", "p"), [(1, 3), (2, 3), (2, 4)])
def test_moments_are_those_of_an_exact_rule(k, p):
    points, weights = frame_rule(k, p, 8)
    for entries, values, degree in [
        (Entries(k, p, False), points, 4),
        (Entries(k, p, False), points, 6),
        (Entries(k, p, True), projector(points), 4),
    ]:
        generator = np.random.default_rng(degree)
        monomials = np.sort(generator.choice(entries.codes, (40, degree)), axis=1)
        # Squares, so that many are not zero.
        monomials[:20, degree // 2 :] = monomials[:20, : degree // 2]
        monomials = np.sort(monomials, axis=1)
        flat = values.reshape(len(values), -1)
        expected = [weights @ flat[:, row].prod(axis=1) for row in monomials]
        slots = 2 * degree if entries.planes else degree
        found = moments(entries, weingarten(entries, degree), monomials)
        assert slots <= 8
        np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("name", ["St(2, 4)", "Gr(2, 4)"])
def test_samples_are_uniform_and_on_the_space(name):
    space, _ = SPACES[name]
    x = space.sample(jax.random.key(3), (4000,))
    space.check(x)
    means = np.asarray(basis(name)(x), float)[:, 1:].mean(axis=0)
    assert np.abs(means).max() < 4.5 / np.sqrt(4000)
    assert space.sample(jax.random.key(3)).shape == space.point_shape
    # |projection of an axis|² is Beta(k/2, (p − k)/2).
    squares = (np.asarray(x, float)[:, :, 0] ** 2).sum(axis=1)
    assert kstest(squares, beta(space.k / 2, (space.p - space.k) / 2).cdf).pvalue > 1e-3


def test_projections_are_nearest_points():
    frames, planes = sj.Stiefel(2, 4), sj.Grassmannian(2, 4)
    x = frames.sample(jax.random.key(4), (12,))
    stretch = jnp.asarray([[2.0, 0.5], [0.5, 1.0]])  # positive definite: X is the polar factor
    np.testing.assert_allclose(
        frames.project(jnp.einsum("ij,bjk->bik", stretch, x, precision="highest")), x, atol=10 * EXACT
    )
    plane = planes.from_frames(x)
    planes.check(plane)
    np.testing.assert_allclose(planes.from_frames(jnp.flip(x, 1)), plane, atol=10 * EXACT)
    skew = jnp.triu(jnp.ones((4, 4)), 1) - jnp.tril(jnp.ones((4, 4)), -1)
    np.testing.assert_allclose(
        planes.project(3 * plane + (jnp.eye(4) + skew)[None]), plane, atol=10 * EXACT
    )


@pytest.mark.parametrize("name", ["St(2, 4)", "Gr(2, 4)"])
def test_values_and_gradients_are_polynomials_everywhere(name):
    space, max_eigenvalue = SPACES[name]
    level = space.levels(max_eigenvalue)[-1]
    degree = 4 if name == "St(2, 4)" else 2
    special = jax.random.normal(jax.random.key(10), (12, *space.point_shape)).at[0].set(0.0)
    table = space.functions([level])
    values = jax.jit(lambda x: table.columns(x))
    slopes = jax.jit(jax.grad(lambda x: (values(x) ** 2).sum()))(special)
    assert bool(jnp.isfinite(slopes).all())
    # Euler: a polynomial of degree n has X·∇φ = n φ.
    found, expected = (
        (slopes * special).sum(axis=(1, 2)),
        2 * degree * (values(special) ** 2).sum(axis=1),
    )
    np.testing.assert_allclose(found, expected, rtol=100 * EXACT, atol=0)
    assert not slopes[0].any()
    assert values(special.astype(jnp.float32)).dtype == jnp.float32


def test_functions_of_a_level_do_not_depend_on_the_others():
    space = sj.Stiefel(2, 4)
    x, start = space.sample(jax.random.key(5), (12,)), 0
    together = np.asarray(basis("St(2, 4)")(x), float)
    for level in space.levels(16)[:4]:
        alone = np.asarray(space.eigenfunctions(level, x), float)
        here = together[:, start : (start := start + level.multiplicity)]
        np.testing.assert_allclose(alone, here, atol=10 * EXACT)


def test_even_functions_of_the_sphere_are_those_of_lines():
    even = sj.invariant_basis(sj.Sphere(2), sj.matrix_group([-np.eye(3)]), max_eigenvalue=20)
    lines = basis("Gr(1, 3)")
    x = sj.Sphere(2).sample(jax.random.key(6), (12,))
    planes = SPACES["Gr(1, 3)"][0].from_frames(x[:, None, :])
    np.testing.assert_allclose(even.eigenvalues, lines.eigenvalues)
    mine, theirs = np.asarray(lines(planes), float), np.asarray(even(x), float)
    for value in (0, 6, 20):
        here = np.asarray(lines.eigenvalues) == value
        np.testing.assert_allclose(
            mine[:, here] @ mine[:, here].T, theirs[:, here] @ theirs[:, here].T, atol=100 * EXACT
        )


def test_a_model_learns_a_function_of_planes():
    space = SPACES["Gr(2, 4)"][0]
    x, new = space.sample(jax.random.key(7), (200,)), space.sample(jax.random.key(8), (12,))

    def target(p):
        return p[:, 0, 0] * p[:, 1, 2] + p[:, 3, 3]

    model = sj.fit_ridge(basis("Gr(2, 4)"), x, target(x), penalty=1e-10 if X64 else 1e-7)
    np.testing.assert_allclose(model(new), target(new), atol=1e-6 if X64 else 1e-3)


def planes_with(defect):
    p = np.asarray(sj.Grassmannian(2, 4).sample(jax.random.key(9), (3,))).copy()
    if defect == "rank":
        p[1] = np.eye(4) - np.diag([1, 0, 0, 0])
    else:
        p[2] *= 1.5
    return p


CASES = {
    "k too large": (lambda: sj.Stiefel(3, 3), r"k: expected k < p = 3 and got 3; .*not connected"),
    "k zero": (lambda: sj.Stiefel(0, 3), r"k: expected at least 1 and got 0"),
    "all of space": (lambda: sj.Grassmannian(4, 4), r"k: expected k < p = 4 and got 4"),
    "a long frame": (
        lambda: sj.Stiefel(2, 4).check(2 * np.eye(2, 4)[None]),
        r"points: row 0 is no frame, \|X Xᵀ - I\| = 3, .*Stiefel\.project",
    ),
    "NaN": (
        lambda: sj.Stiefel(2, 4).check(np.full((1, 2, 4), np.nan)),
        r"points: row 0 is not finite",
    ),
    "no projector": (
        lambda: sj.Grassmannian(2, 4).check(planes_with("size")),
        r"points: row 2 is no projector, .*Grassmannian\.project",
    ),
    "another rank": (
        lambda: sj.Grassmannian(2, 4).check(planes_with("rank")),
        r"points: row 1 projects with rank 3, .* not of rank 2",
    ),
    "shape": (
        lambda: basis("St(2, 4)")(jnp.ones((3, 4, 2))),
        r"points: expected shape \(\*batch, 2, 4\)",
    ),
    "degree of frames": (
        lambda: sj.eigenbasis(sj.Stiefel(2, 4), max_eigenvalue=24),
        r"max_eigenvalue or max_functions: the level of eigenvalue 24 needs .* degree 6 .*to degree 5",
    ),
    "degree of planes": (
        lambda: sj.eigenbasis(sj.Grassmannian(2, 4), max_eigenvalue=52),
        r"max_eigenvalue or max_functions: the level of eigenvalue 40 needs .* degree 8 .*to degree 6",
    ),
    "memory": (
        lambda: sj.Stiefel(20, 60).functions(sj.Stiefel(20, 60).levels(250)),
        r"levels: the .* monomials of degree [34] of 20 × 60 frames needs about .*Lower max_eigenvalue",
    ),
    "too many levels": (
        lambda: sj.Stiefel(3, 8).levels(1e6),
        r"max_eigenvalue or max_functions: 1e\+06 asks for too long a list",
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input(name):
    call, message = CASES[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("without_signature_checks")
def test_levels_of_other_spaces_are_refused():
    with pytest.raises(TypeError, match=r"level: .* is not a level of a Stiefel manifold"):
        sj.Stiefel(2, 4).functions([sj.Level(1.0, 2, "one")])
    with pytest.raises(TypeError, match=r"level: .* is not a level of a Grassmannian"):
        sj.Grassmannian(2, 4).functions([sj.Level(1.0, 2, "one")])
