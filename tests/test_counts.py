"""Exact counts: published values, independent enumeration, and the sources against each other."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symjax_learn as sj


@pytest.mark.parametrize(
    ("dimension", "max_norms", "full", "invariant"),
    [
        (2, (25, 100, 400, 1600, 10_000), (81, 317, 1257, 5025, 31417), (26, 90, 335, 1297, 7955)),
        (3, (25, 100, 400), (515, 4169, 33401), (99, 648, 4662)),
        (10, range(6), (1, 21, 201, 1161, 4541, 12965), (1, 11, 56, 176, 396, 738)),
    ],
)
def test_sign_groups(dimension, max_norms, full, invariant):
    space, group = sj.Torus(dimension), sj.sign_group(dimension)
    for bound, ambient, count in zip(max_norms, full, invariant, strict=True):
        assert sum(level.multiplicity for level in space.levels(bound)) == ambient
        assert sj.invariant_count(space, group, bound) == count


def orbits_by_canonical_form(parts, max_norm, signed):
    """Orbits of Young subgroups (with signs) on frequencies: one sorted vector for each."""
    side = range(-math.isqrt(max_norm), math.isqrt(max_norm) + 1)
    seen = set()
    for k in itertools.product(side, repeat=sum(parts)):
        if sum(i * i for i in k) <= max_norm:
            k = tuple(map(abs, k)) if signed else k
            blocks, start = [], 0
            for part in parts:
                blocks.append(tuple(sorted(k[start : start + part])))
                start += part
            seen.add(tuple(blocks))
    return len(seen)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda p: sum(p) <= 5), st.integers(0, 7)
)
def test_permutations_by_orbit_counting(parts, max_norm):
    count = sj.invariant_count(sj.Torus(sum(parts)), sj.young_group(*parts), max_norm)
    assert count == orbits_by_canonical_form(parts, max_norm, signed=False)


@pytest.mark.parametrize(("n", "max_norm"), [(1, 9), (2, 25), (3, 14), (4, 6)])
def test_signed_permutations_by_orbit_counting(n, max_norm):
    assert sj.invariant_count(
        sj.Torus(n), sj.hyperoctahedral_group(n), max_norm
    ) == orbits_by_canonical_form((n,), max_norm, signed=True)


def test_a_group_generated_without_a_name_is_counted_by_characters_and_by_orbits():
    space = sj.Torus(6)
    two_cycles = sj.permutation_group(
        [[1, 2, 0, 3, 4, 5], [0, 1, 2, 4, 5, 3], [1, 0, 2, 3, 4, 5], [0, 1, 2, 4, 3, 5]]
    )
    assert sj.invariant_count(space, two_cycles, 6) == sj.invariant_count(space, sj.young_group(3, 3), 6)
    large = sj.permutation_group([[*range(1, 8), 0], [1, 0, *range(2, 8)]])  # S_8, order 40,320
    assert sj.invariant_count(sj.Torus(8), large, 4) == sj.invariant_count(
        sj.Torus(8), sj.symmetric_group(8), 4
    )


def test_one_hundred_coordinates():
    assert sj.invariant_count(sj.Torus(100), sj.symmetric_group(100), 6) == 40
    space = sj.Torus(100)
    assert Counter(level.key for level in space.levels(6)) == Counter(range(7))
    assert sum(level.multiplicity for level in space.levels(6)) == 78_768_528_041


def test_the_flagship_basis():
    basis = sj.invariant_basis(sj.Torus(10), sj.symmetric_group(10), max_eigenvalue=8)
    assert (basis.num_functions, basis.num_ambient) == (78, 110_105)
    assert (basis.route, basis.certificate.source) == ("multiset", "molien")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 30))
def test_counts_of_integer_vectors_are_powers_of_theta(dimension, max_norm):
    """By direct convolution in Python integers."""
    theta = [int(k == 0) + 2 * (math.isqrt(k) ** 2 == k and k > 0) for k in range(max_norm + 1)]
    series = [1] + [0] * max_norm
    for _ in range(dimension):
        series = [sum(series[i] * theta[n - i] for i in range(n + 1)) for n in range(max_norm + 1)]
    levels = sj.Torus(dimension).levels(max_norm)
    assert {level.key: level.multiplicity for level in levels} == {
        n: count for n, count in enumerate(series) if count
    }


def test_long_lists_of_levels_take_no_time_and_high_dimensions_fit():
    assert sj.eigenbasis(sj.Torus(1), max_eigenvalue=10**6).num_functions == 2001
    assert sj.eigenbasis(sj.Torus(2), max_functions=10**5).num_functions == 99_985
    for space in (sj.Torus(400), sj.Torus(400, 0.1)):
        assert sj.eigenbasis(space, max_functions=900).num_functions == 801
    unnamed = sj.invariant_basis(sj.Torus(9), sj.alternating_group(9), max_functions=20)
    assert (unnamed.num_functions, unnamed.certificate.source) == (17, "orbits")


def test_a_product_that_moves_every_point_is_counted_by_its_factors():
    """O(3) and a sign on S² × [0, 1]: as many as the constraints of generators and rates leave."""
    space = sj.Sets(sj.Product(sj.Sphere(2), sj.Box(1)), 2)
    moving = sj.direct_product(sj.orthogonal_group(3), sj.sign_group(1))
    group = sj.direct_product(sj.symmetric_group(2), moving)
    basis = sj.invariant_basis(space, group, max_eigenvalue=12, route="lie")
    assert basis.certificate.source == "molien"
    assert basis.num_functions == sj.invariant_count(space, group, 12)
    # 1; x·y of degree 1 (eigenvalue 4); of degree 2 (12); a cosine of one point times that of the
    # other is even under the sign, of eigenvalue 2π² beyond the bound.
    assert basis.num_functions == 3
