"""What a symmetry is worth: published examples, products, and samples by a numerical minimum."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import symjax_learn as sj
from tests.registry import PAIRS, USERS


@pytest.mark.parametrize(
    ("space", "group", "multiplier"),
    [
        (sj.Torus(4), sj.sign_group(4), 16),
        (sj.Torus(5), sj.symmetric_group(5), 120),
        (sj.Sets(sj.Sphere(2), 4), sj.symmetric_group(4), 24),
        (sj.Sphere(3), sj.matrix_group([-np.eye(4)]), 2),
        (sj.Sphere(4), sj.symmetric_group(5), 120),
        (sj.Ball(3), sj.point_group("Oh"), 48),
        (sj.Gaussian(3), sj.symmetric_group(3), 6),
        (sj.RotationGroup(), sj.direct_product(sj.point_group("O"), sj.point_group("C2")), 48),
        (sj.Grassmannian(1, 3), sj.sign_group(3), 4),
        (sj.Stiefel(2, 4), sj.direct_product(sj.sign_group(2), sj.sign_group(4)), 32),
        (sj.Sets(sj.Box(2), 3), sj.wreath_product(sj.hyperoctahedral_group(2), 3), 8**3 * 6),
        (sj.Torus(3), sj.space_group(225), 192),
    ],
)
def test_finite_groups_divide_the_volume(space, group, multiplier):
    worth = sj.gain(space, group, smoothness=10.0)
    assert worth.multiplier == worth.order == multiplier
    assert worth.order * worth.kernel_order == group.order
    assert worth.quotient_dimension == worth.dimension == space.dimension
    assert worth.log_orbit_volume == pytest.approx(math.log(multiplier), rel=1e-12)
    assert worth.volume_source == "closed form"
    assert worth.rate == worth.invariant_rate
    sizes = worth.num_samples(0.01, noise=0.3, norm=2.0)
    assert sizes.ratio == pytest.approx(multiplier, rel=1e-9)


def test_groups_and_volumes_beyond_floats():
    worth = sj.gain(sj.Torus(100), sj.symmetric_group(100), smoothness=60)
    assert worth.multiplier == math.factorial(100)
    expected = 100 * math.log(2 * math.pi) - math.lgamma(101)
    assert worth.log_quotient_volume == pytest.approx(expected, rel=1e-12)
    assert worth.rate == 60 / 110
    sizes = worth.num_samples(1e-3, noise=1.0, norm=1.0)
    assert sizes.log_plain - sizes.log_invariant == pytest.approx(math.lgamma(101), rel=1e-12)
    large = sj.gain(sj.Sets(sj.Sphere(2), 500), sj.wreath_product(sj.point_group("Ih"), 500))
    assert large.multiplier == 120**500 * math.factorial(500)
    assert "about 10^2173" in str(large)


@pytest.mark.parametrize(
    ("space", "group", "points", "orbits"),
    [
        (sj.Hypercube(100), sj.symmetric_group(100), 2**100, 101),
        (sj.Graphs(6), sj.symmetric_group(6), 2**15, 156),
        (sj.Labels(5), sj.young_group(2, 3), 5, 2),
        (sj.Sets(sj.Labels(3), 4), sj.symmetric_group(4), 81, 15),
        (sj.Hypercube(4), sj.cyclic_group(4), 16, 6),
    ],
)
def test_finite_spaces_count_orbits(space, group, points, orbits):
    worth = sj.gain(space, group, smoothness=1.0)
    assert worth.multiplier == Fraction(points, orbits)
    assert math.exp(worth.log_volume) == pytest.approx(points, rel=1e-9)
    assert math.exp(worth.log_quotient_volume) == pytest.approx(orbits, rel=1e-9)
    sizes = worth.num_samples(0.1, noise=0.5, norm=1.0)
    assert sizes.invariant == pytest.approx(0.25 * orbits / 0.1, rel=1e-9)
    assert worth.invariant_rate == 1.0


def test_products_multiply():
    parts = [
        (sj.Torus(2), sj.hyperoctahedral_group(2)),
        (sj.Sphere(2), sj.point_group("Td")),
        (sj.Labels(4), sj.young_group(2, 2)),
    ]
    single = [sj.gain(*part) for part in parts]
    whole = sj.gain(
        sj.Product(*(space for space, _ in parts)), sj.direct_product(*(group for _, group in parts))
    )
    assert whole.multiplier == math.prod(one.multiplier for one in single) == 8 * 24 * 2
    assert whole.dimension == sum(one.dimension for one in single)
    for name in ("log_volume", "log_quotient_volume"):
        assert getattr(whole, name) == pytest.approx(sum(getattr(one, name) for one in single))


def test_labels_that_a_group_exchanges_are_counted_as_orbits():
    """S_3 leaves one of three labels alone: 12 elements, and samples are worth six times as many."""
    space = sj.Product(sj.Torus(2), sj.Labels(3))
    worth = sj.gain(space, sj.direct_product(sj.symmetric_group(2), sj.symmetric_group(3)))
    assert (worth.order, worth.multiplier) == (12, 6)
    molecules = sj.Sets(sj.Product(sj.Ball(3), sj.Labels(2)), 3)
    worth = sj.gain(molecules, sj.direct_product(sj.symmetric_group(3), sj.point_group("O")))
    assert worth.multiplier == 6 * 24
    molecules = sj.Sets(sj.Product(sj.Ball(3), sj.Labels(3)), 2)
    both = sj.direct_product(sj.symmetric_group(2), sj.point_group("C3"), sj.symmetric_group(3))
    worth = sj.gain(molecules, both)  # fixed labels of both points are not counted here
    assert worth.multiplier is None
    assert worth.volume_source == "not estimated"
    assert "not estimated" in str(worth)
    with pytest.raises(ValueError, match="quotient_volume: .* not known in closed form"):
        sj.gain(molecules, both, smoothness=9.0).num_samples(0.1, noise=1.0, norm=1.0)
    given = sj.gain(molecules, both, smoothness=9.0, quotient_volume=2.0)
    assert given.log_quotient_volume == math.log(2.0)
    assert given.volume_source == "given"


def test_a_users_own_act():
    for name in USERS:
        acting = PAIRS[name]().action
        worth = sj.gain(acting.space, acting)
        assert worth.multiplier == worth.order == acting.order


def test_samples_are_those_of_the_least_bias_and_variance():
    space, s, noise, norm, num = sj.Sphere(3), 2.5, 0.4, 1.7, 5e4
    worth = sj.gain(space, sj.trivial_group(4), smoothness=s)
    a = space.dimension / (2 * s)
    density = math.pi**1.5 / math.gamma(2.5) * space.volume / (2 * math.pi) ** 3

    def bound(log_penalty):
        penalty = math.exp(log_penalty)
        effective = density * penalty**-a * math.pi * a / math.sin(math.pi * a)
        return penalty * norm**2 + noise**2 * effective / num

    risk = minimize_scalar(bound, bracket=(-10, -5), tol=1e-12).fun
    sizes = worth.num_samples(risk, noise=noise, norm=norm)
    assert sizes.plain == pytest.approx(num, rel=1e-6)
    assert sizes.plain == pytest.approx(sizes.invariant, rel=1e-12)
    tenth = worth.num_samples(risk / 10, noise=noise, norm=norm)
    assert math.log(tenth.plain / num) == pytest.approx(math.log(10) / worth.rate, rel=1e-5)


def test_the_effective_dimension_of_the_prediction_is_that_of_the_spectrum():
    """Σ 1/(1 + ηλ^s) over the levels of S², without the constant, as η falls."""
    space, s = sj.Sphere(2), 2.0
    worth = sj.gain(space, sj.trivial_group(3), smoothness=s)
    degrees = np.arange(1, 20_000, dtype=float)
    errors = []
    for penalty in (1e-4, 1e-6, 1e-8):
        exact = ((2 * degrees + 1) / (1 + penalty * (degrees * (degrees + 1)) ** s)).sum()
        # With f = 0 nothing is left but the variance.
        b = worth.growth.exponent / s
        law = math.exp(worth.growth.log_coefficient) * penalty**-b * math.pi * b / math.sin(math.pi * b)
        errors.append(abs(exact / law - 1))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


def test_a_table():
    text = str(sj.gain(sj.Grassmannian(1, 3), sj.sign_group(3), smoothness=2.0))
    lines = text.splitlines()
    assert lines[0].split()[-2:] == ["without", "with"]
    assert {len(line) for line in lines if line.endswith(("h", "2", "4"))} == {len(lines[0])}
    for word in ("kernel |K|", "order |G/K|", "samples are worth", "n^-0.6667"):
        assert word in text


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize("smoothness", [1.5, 1, 0.0, -2.0, math.inf, math.nan, "2", [2.0]])
def test_bad_smoothness(smoothness):
    with pytest.raises(ValueError, match=r"smoothness: expected a finite s > d/2 = 1.5"):
        sj.gain(sj.Torus(3), sj.symmetric_group(3), smoothness=smoothness)


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_numbers():
    worth = sj.gain(sj.Torus(3), sj.symmetric_group(3), smoothness=2.0)
    good = {"noise": 1.0, "norm": 1.0}
    for name in ("noise", "norm"):
        for bad in (0.0, -1.0, math.nan, "1"):
            with pytest.raises(ValueError, match=f"{name}: expected a positive finite number"):
                worth.num_samples(0.1, **(good | {name: bad}))
    with pytest.raises(ValueError, match="risk: expected a positive finite number"):
        worth.num_samples(0.0, **good)
    with pytest.raises(ValueError, match="smoothness: rates and risks need one"):
        sj.gain(sj.Torus(3), sj.symmetric_group(3)).num_samples(0.1, **good)
    for bad in (0.0, -1.0, math.inf, [1.0]):
        with pytest.raises(ValueError, match="quotient_volume: expected a positive finite number"):
            sj.gain(sj.Torus(2), sj.sign_group(2), quotient_volume=bad)
    with pytest.raises(TypeError, match="quotient_volume: expected a number"):
        sj.gain(sj.Torus(2), sj.sign_group(2), quotient_volume="large")
    with pytest.raises(ValueError, match="group: it moves 3 coordinates"):
        sj.gain(sj.Torus(2), sj.symmetric_group(3))
    with pytest.raises(ValueError, match="a Gaussian space are degrees"):
        sj.gain(sj.Gaussian(3), sj.orthogonal_group(3))


def _conjugated(g, point):
    g = g.astype(point.dtype)
    return g @ point @ g.T


CONTINUOUS = {
    "shifts of T^5": (
        lambda: sj.action(sj.Torus(5), sj.translation_group([[1, 1, 1, 1, 1], [1, -1, 0, 0, 0]])),
        3,
        None,
    ),
    "diagonal shift of T²": (
        lambda: sj.action(sj.Torus(2), sj.translation_group([[1, 1]])),
        1,
        math.sqrt(2) * math.pi,
    ),
    "turns of S⁴": (
        lambda: sj.action(sj.Sphere(4), sj.direct_product(sj.orthogonal_group(4), sj.trivial_group(1))),
        1,
        math.pi,
    ),
    "frames to planes": (
        lambda: sj.action(sj.Stiefel(2, 5), sj.orthogonal_group(2)),
        6,
        sj.Grassmannian(2, 5).volume,
    ),
    "rotations, conjugated": (
        lambda: sj.action(sj.RotationGroup(), sj.special_orthogonal_group(3), act=_conjugated),
        1,
        None,
    ),
    "all of S³": (lambda: sj.action(sj.Sphere(3), sj.special_unitary_group(2)), 0, 1.0),
    "a shift beside labels": (
        lambda: sj.action(
            sj.Product(sj.Torus(2), sj.Labels(3)),
            sj.direct_product(sj.translation_group([[1, 1]]), sj.cyclic_group(3)),
        ),
        1,
        math.sqrt(2) * math.pi,
    ),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_groups_have_a_better_exponent(name):
    acting, dimension, volume = CONTINUOUS[name]
    acting = acting()
    space, s = acting.space, 6.0
    worth = sj.gain(space, acting, smoothness=s)
    assert worth.quotient_dimension == dimension
    assert worth.orbit_dimension == space.dimension - dimension
    assert (worth.multiplier, worth.order, worth.kernel_order) == (None, math.inf, None)
    assert worth.rate == s / (s + space.dimension / 2)
    assert worth.invariant_rate == s / (s + dimension / 2)
    assert "a better exponent" in str(worth)
    if volume is not None:
        assert worth.log_quotient_volume == pytest.approx(math.log(volume), abs=1e-12)
        mean = worth.log_volume - math.log(volume)
        assert worth.log_orbit_volume == pytest.approx(mean, abs=1e-12)


def test_a_volume_that_is_given():
    """Class functions of SO(3) are functions of the angle, one for each degree."""
    acting = CONTINUOUS["rotations, conjugated"][0]()
    with pytest.raises(ValueError, match="quotient_volume: .* is not known in closed form"):
        sj.weyl_count(acting.space, acting, 100)
    for volume in (math.pi, np.float32(math.pi)):
        count = sj.weyl_count(acting.space, acting, 30 * 31, quotient_volume=volume)
        assert count.leading == pytest.approx(math.sqrt(30 * 31), rel=1e-6)  # 31 to degree 30
        assert math.isnan(count.second)
    worth = sj.gain(acting.space, acting, smoothness=2.0, quotient_volume=math.pi)
    assert worth.volume_source == "given"
    slow, fast = (worth.num_samples(risk, noise=1.0, norm=1.0) for risk in (1e-2, 1e-4))
    grown = fast.log_invariant - slow.log_invariant, fast.log_plain - slow.log_plain
    assert grown == pytest.approx((math.log(100) * 1.25, math.log(100) * 1.75), rel=1e-12)


def test_an_estimated_volume_is_taken_as_it_is():
    acting = CONTINUOUS["turns of S⁴"][0]()
    volume = sj.quotient_volume(jax.random.key(0), acting.space, acting, num_samples=10)
    worth = sj.gain(acting.space, acting, quotient_volume=volume)
    assert (worth.log_quotient_volume, worth.volume_source) == (volume.log_value, "given")
    with pytest.raises(ValueError, match="quotient_volume: expected a volume that is known"):
        sj.gain(acting.space, acting, quotient_volume=volume._replace(log_value=math.nan))


def test_a_volume_that_is_given_is_that_of_the_quotient():
    space, group = sj.Torus(2), sj.sign_group(2)
    assert sj.gain(space, group, quotient_volume=math.pi**2).multiplier == 4
    with pytest.raises(
        ValueError, match=r"quotient_volume: of this finite group it is vol\(M\) times 1/4"
    ):
        sj.gain(space, group, quotient_volume=5.0)
    other = sj.quotient_volume(jax.random.key(0), space, group, num_samples=1)
    turns = sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]])
    with pytest.raises(ValueError, match="quotient_volume: it is of a quotient of dimension 2"):
        sj.gain(sj.Sphere(2), turns, quotient_volume=other)
