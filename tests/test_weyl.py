"""Weyl's law with the term of mirrors and boundaries, against exact counts and enumerated mirrors."""

import math

import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.theory.mirrors import boundary_ratio, reflections
from tests.registry import EXACT, GROUPS, PAIRS, brute_force

GLIDE = ([[[1, 0], [0, -1]]], [[0.5, 0]])
# A quarter turn, and a mirror in a diagonal that does not go through its axis.
WALLPAPER = ([[[0, -1], [1, 0]], [[0, 1], [1, 0]]], [[0, 0], [0.5, 0.5]])
HEXAGONAL = ([[[1, -1], [1, 0]], [[0, 1], [1, 0]]], [[0, 0], [0, 0]])

# name -> (space, group, Λ, relative error of both terms); the mean of the count before and after Λ.
CASES = {
    "signs on T²": (lambda: sj.Torus(2), lambda: sj.sign_group(2), 10_000, 0.001),
    "signs on T³": (lambda: sj.Torus(3), lambda: sj.sign_group(3), 400, 0.001),
    "S_3 on T³": (lambda: sj.Torus(3), lambda: sj.symmetric_group(3), 400, 0.003),
    "B_3 on T³": (lambda: sj.Torus(3), lambda: sj.hyperoctahedral_group(3), 400, 0.02),
    "S_4 on T⁴": (lambda: sj.Torus(4), lambda: sj.symmetric_group(4), 200, 0.02),
    "p4g": (lambda: sj.Torus(2), lambda: sj.affine_torus_group(*WALLPAPER), 4000, 0.002),
    "a longer period": (lambda: sj.Torus(2, 10.0), lambda: sj.hyperoctahedral_group(2), 3000, 0.005),
    "hexagonal mirrors": (
        lambda: sj.Torus.from_lattice([[1, 0], [-1 / 2, math.sqrt(3) / 2]]),
        lambda: sj.affine_torus_group(*HEXAGONAL),
        40_000,
        0.01,
    ),
    "Oh on S²": (lambda: sj.Sphere(2), lambda: sj.hyperoctahedral_group(3), 100 * 101, 0.002),
    "S_4 on S³": (lambda: sj.Sphere(3), lambda: sj.symmetric_group(4), 40 * 42, 0.015),
    "Td on S²": (lambda: sj.Sphere(2), lambda: sj.point_group("Td"), 60 * 61, 0.005),
    "a pentagon on a circle": (lambda: sj.Sphere(1), lambda: sj.coxeter_group("I2(5)"), 10_000, 0.001),
    "B_2 on a box": (lambda: sj.Box(2), lambda: sj.hyperoctahedral_group(2), 60_000, 0.005),
    "S_3 on a box": (lambda: sj.Box(3), lambda: sj.symmetric_group(3), 2500, 0.03),
    "a pentagon on a disc": (lambda: sj.Ball(2), lambda: sj.coxeter_group("I2(5)"), 3000, 0.02),
    "Oh on a ball": (lambda: sj.Ball(3, 2.0), lambda: sj.hyperoctahedral_group(3), 625, 0.05),
    "S_3 on a Gaussian": (lambda: sj.Gaussian(3), lambda: sj.symmetric_group(3), 40, 0.03),
    "a product": (
        lambda: sj.Product(sj.Torus(1), sj.Sphere(2)),
        lambda: sj.direct_product(sj.sign_group(1), sj.symmetric_group(3)),
        300,
        0.02,
    ),
    "labels": (
        lambda: sj.Product(sj.Torus(2), sj.Labels(3)),
        lambda: sj.direct_product(sj.symmetric_group(2), sj.symmetric_group(3)),
        2000,
        0.002,
    ),
    "sets on a circle": (lambda: sj.Sets(sj.Torus(1), 3), lambda: sj.symmetric_group(3), 400, 0.003),
    "pairs on a circle that turns over": (
        lambda: sj.Sets(sj.Torus(1), 2),
        lambda: sj.direct_product(sj.symmetric_group(2), sj.sign_group(1)),
        3000,
        0.003,
    ),
    "pairs on an interval, each turned over": (
        lambda: sj.Sets(sj.Box(1), 2),
        lambda: sj.wreath_product(sj.sign_group(1), 2),
        20_000,
        0.01,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_two_terms_are_closer_than_one(name):
    space, group, largest, error = CASES[name]
    curve = sj.counting_curve(space(), group(), largest)
    # The law is the mean before and after a jump, but on a Gaussian space the count at integers.
    high = float(curve.invariant[-1])
    count = high if name.endswith("Gaussian") else (high + float(curve.invariant[-2])) / 2
    both = curve.leading[-1] + curve.second[-1]
    assert curve.second[-1] > 0
    assert abs(count / both - 1) < error
    assert 2 * abs(count - both) < abs(count - curve.leading[-1])


@pytest.mark.parametrize(
    ("space", "group", "largest"),
    [
        (sj.Torus(2), sj.affine_torus_group(*GLIDE), 4000),
        (sj.Sphere(2), sj.point_group("O"), 60 * 61),
        (sj.RotationGroup(), sj.point_group("D3"), 25 * 26),
        (sj.Torus(3), sj.alternating_group(3), 400),
    ],
)
def test_without_mirrors_the_second_term_vanishes(space, group, largest):
    curve = sj.counting_curve(space, group, largest)
    assert (curve.second == 0).all()
    mean = (float(curve.invariant[-1]) + float(curve.invariant[-2])) / 2
    assert abs(mean / curve.leading[-1] - 1) < 0.03


def test_reference_values():
    """theory of sign groups: full and invariant counts, and a ratio to Weyl's law that falls to 1."""
    for d, bounds, counts in (
        (2, (25, 100, 400, 1600, 10_000), (26, 90, 335, 1297, 7955)),
        (3, (25, 100, 400), (99, 648, 4662)),
    ):
        curve = sj.counting_curve(sj.Torus(d), sj.sign_group(d), bounds[-1])
        places = np.searchsorted(curve.eigenvalues, bounds, side="right") - 1
        assert curve.invariant[places].tolist() == list(counts)
        ratios = [
            count / sj.weyl_count(sj.Torus(d), sj.sign_group(d), bound).leading
            for bound, count in zip(bounds, counts, strict=True)
        ]
        assert ratios == sorted(ratios, reverse=True)
        assert 1 < ratios[-1] < 1.12
    both = [sj.weyl_count(sj.Torus(2), sj.sign_group(2), bound).total for bound in (25, 10_000)]
    assert both == pytest.approx([25 * math.pi / 4 + 5, 2500 * math.pi + 100], rel=1e-12)


REFLECTING = [
    name
    for name in GROUPS
    if name not in ("glide", "p2gg", "screw 4_1", "thirds", "Pm-3m with a centring")
    and not name.startswith(("p2gg", "glide"))
]


@pytest.mark.parametrize("name", REFLECTING)
def test_reflections_are_those_among_the_elements(name):
    group = GROUPS[name][0]()
    matrices, _ = brute_force(group)
    involutions = np.abs(matrices @ matrices - np.eye(group.degree)).max(axis=(1, 2)) < 1e-6
    mirrors = involutions & (np.abs(np.einsum("gii->g", matrices) - group.degree + 2) < 1e-6)
    found = reflections(group)
    assert found is not None
    assert found.total == mirrors.sum()
    if not found.others:
        diagonal = np.abs(np.einsum("gii->gi", matrices)).sum(axis=1) > group.degree - 1e-6
        assert found.flips == (mirrors & diagonal).sum()


@pytest.mark.parametrize("name", ["B_2", "S_3", "{±1} wr S_3", "Pm-3m with a centring", "p2gg x S_2"])
def test_mirrors_of_a_torus_by_the_points_near_them(name):
    """vol{x : |gx − x| < ε for a g ≠ 1} ≈ ε Σ_r vol Fix r: points at less than ε/2 on either side."""
    group = GROUPS[name][0]()
    space = sj.Torus(group.degree, 1.0)
    ratio = boundary_ratio(sj.action(space, group))
    assert ratio is not None
    matrices, shifts = brute_force(group)
    x = np.random.default_rng(0).random((40_000, group.degree))
    epsilon, near = 0.02, 0
    for matrix, shift in zip(matrices, shifts, strict=True):
        if not np.array_equal(matrix, np.eye(group.degree)):
            away = x @ matrix.T + shift / 72 - x
            near += int((np.linalg.norm(away - np.round(away), axis=1) < epsilon).sum())
    # Each mirror from both sides: ratio = 2 Σ vol Fix; of others the share is of order ε².
    assert near / len(x) == pytest.approx(epsilon * ratio / 2, rel=0.12, abs=3e-4)


def test_large_groups_need_no_enumeration():
    assert reflections(sj.hyperoctahedral_group(1000)) == (1000, 999_000, 0)
    assert reflections(sj.alternating_group(1000)) == (0, 0, 0)
    assert reflections(sj.young_group(400, 300)).total == math.comb(400, 2) + math.comb(300, 2)
    wreath = sj.wreath_product(sj.sign_group(1), 300)
    assert reflections(wreath) == reflections(sj.hyperoctahedral_group(300))
    affine = sj.affine_torus_group(
        [np.eye(6, dtype=int)[[1, 0, 2, 3, 4, 5]], np.eye(6, dtype=int)[[1, 2, 3, 4, 5, 0]]],
        np.zeros((2, 6)),
    )
    expected = boundary_ratio(sj.action(sj.Torus(6), sj.symmetric_group(6)))
    assert boundary_ratio(sj.action(sj.Torus(6), affine)) == pytest.approx(expected, abs=EXACT)


def test_an_overflow_is_told_in_logarithms():
    count = sj.weyl_count(sj.Torus(1000), sj.trivial_group(1000), 1e9)
    assert count.leading == math.inf
    expected = 500 * math.log(1e9) + 500 * math.log(math.pi) - math.lgamma(501)
    assert count.log_leading == pytest.approx(expected, rel=1e-12)


def test_a_finite_space_has_counts_and_no_law():
    curve = sj.counting_curve(sj.Hypercube(100), sj.symmetric_group(100), 200)
    assert curve.invariant[-1] == 101
    assert curve.ambient[-1] == 2**100
    assert np.isnan(curve.leading).all()
    for space, group in (
        (sj.Hypercube(3), sj.symmetric_group(3)),
        (sj.Graphs(4), sj.symmetric_group(4)),
        (sj.Labels(3), sj.symmetric_group(3)),
        (sj.DiscreteSpace(np.asarray([[1.0, -1.0], [-1.0, 1.0]])), sj.symmetric_group(2)),
        (sj.Sets(sj.Labels(3), 2), sj.symmetric_group(2)),
    ):
        with pytest.raises(ValueError, match="no Weyl law.*invariant_count"):
            sj.weyl_count(space, group, 10)


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize("bad", [-1.0, math.inf, math.nan, "3", [1.0]])
def test_a_bad_truncation(bad):
    with pytest.raises(ValueError, match="max_eigenvalue: expected a finite number >= 0"):
        sj.weyl_count(sj.Torus(2), sj.sign_group(2), bad)


def test_a_users_own_act_has_a_leading_term():
    plain = sj.weyl_count(sj.Torus(2), sj.trivial_group(2), 100)
    own = sj.weyl_count(sj.Torus(2), PAIRS["user's own: quarter turns"]().action, 100)
    assert own.leading == pytest.approx(plain.leading / 4, rel=1e-12)
    assert math.isnan(own.second)
    assert own.total == own.leading


@pytest.mark.parametrize(
    ("space", "group", "largest"),
    [
        (sj.Torus(3), sj.translation_group([[1, 1, 1]]), 300),
        (sj.Sphere(5), sj.direct_product(sj.orthogonal_group(3), sj.orthogonal_group(3)), 60 * 64),
        (sj.Sphere(4), sj.direct_product(sj.orthogonal_group(4), sj.trivial_group(1)), 60 * 63),
    ],
)
def test_continuous_groups_count_as_their_orbits(space, group, largest):
    curve = sj.counting_curve(space, group, largest)
    assert abs(float(curve.invariant[-1]) / curve.leading[-1] - 1) < 0.02
    assert np.isnan(curve.second).all()


def test_a_transitive_group_leaves_the_constant():
    assert sj.weyl_count(sj.Sphere(3), sj.special_unitary_group(2), 1000) == (1.0, 0.0, 0.0)
