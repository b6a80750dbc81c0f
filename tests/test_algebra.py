"""Orders, membership and named families against sympy and closed forms."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.combinatorics import Permutation
from sympy.combinatorics import PermutationGroup as SympyGroup

import symjax_learn as sj


@st.composite
def generating_sets(draw):
    degree = draw(st.integers(2, 8))
    return draw(st.lists(st.permutations(range(degree)), min_size=1, max_size=3))


@st.composite
def signed_permutations(draw):
    images = draw(st.permutations(range(draw(st.integers(1, 4)))))
    return images, [draw(st.sampled_from([-1, 1])) for _ in images]


@settings(max_examples=60, deadline=None)
@given(generating_sets(), st.randoms(use_true_random=False))
def test_order_and_membership_are_those_of_sympy(generators, random):
    group = sj.permutation_group(generators)
    oracle = SympyGroup([Permutation(g) for g in generators])
    assert group.order == oracle.order()
    candidate = list(range(len(generators[0])))
    random.shuffle(candidate)
    assert group.contains(np.asarray([candidate]))[0] == oracle.contains(Permutation(candidate))


@settings(max_examples=30, deadline=None)
@given(signed_permutations())
def test_order_of_a_signed_permutation_is_that_of_its_matrix(element):
    images, signs = element
    group = sj.signed_permutation_group([images], [signs])
    matrix = np.asarray(group.matrix(group.generators))[0].round().astype(int)
    assert [matrix[images[i], i] for i in range(len(images))] == signs
    power, order = matrix, 1
    while not np.array_equal(power, np.eye(len(images), dtype=int)):
        power, order = power @ matrix, order + 1
    assert group.order == order


def test_psl_2_23_and_large_degrees():
    # x + 1, 5²x and −1/x on the projective line over F_23: PSL(2, 23), order 23(23² − 1)/2.
    shift = [*range(1, 23), 0, 23]
    square = [25 * i % 23 for i in range(23)] + [23]
    invert = [23, *[-pow(i, -1, 23) % 23 for i in range(1, 23)], 0]
    assert sj.permutation_group([shift, square, invert]).order == 6072
    assert sj.permutation_group([[*range(1, 200), 0]]).order == 200


@pytest.mark.parametrize("n", range(1, 8))
def test_named_families_have_their_orders_and_are_generated_by_their_generators(n):
    expected = {
        sj.trivial_group: 1,
        sj.symmetric_group: math.factorial(n),
        sj.alternating_group: max(1, math.factorial(n) // 2),
        sj.cyclic_group: n,
        sj.dihedral_group: 2 * n if n > 2 else n,
        sj.sign_group: 2**n,
        sj.hyperoctahedral_group: 2**n * math.factorial(n),
    }
    for constructor, order in expected.items():
        group = constructor(n)
        assert group.order == order
        assert group.degree == n
        points = group.faithful(group.generators)
        if len(points):
            assert SympyGroup([Permutation(row.tolist()) for row in points]).order() == order
        else:
            assert order == 1
    assert sj.young_group(n, 1, 2).order == 2 * math.factorial(n)


def test_large_named_groups_are_exact_and_sampled():
    group = sj.symmetric_group(100)
    assert group.order == math.factorial(100)
    assert sj.hyperoctahedral_group(50).order == 2**50 * math.factorial(50)
    images = np.asarray(group.sample(jax.random.key(0), (20,)))
    np.testing.assert_array_equal(np.sort(images, axis=1), np.broadcast_to(np.arange(100), (20, 100)))


def test_elements_of_a_sampled_alternating_group_are_even():
    for images in np.asarray(sj.alternating_group(9).sample(jax.random.key(1), (30,))).tolist():
        assert Permutation(images).is_even


def test_shifts_are_read_as_fractions():
    third = sj.affine_torus_group([np.eye(1, dtype=int)], [[1 / 3]])
    assert (third.order, third.denominator) == (3, 3)
    fine = sj.affine_torus_group([np.eye(1, dtype=int)], [[Fraction(1, 1000)]])
    assert fine.order == 1000


@pytest.mark.slow
def test_a_generic_chain_of_high_degree():
    assert sj.permutation_group([[*range(1, 40), 0], [1, 0, *range(2, 40)]]).order == math.factorial(40)
