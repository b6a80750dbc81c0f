"""Series against classical invariant theory, published numbers, and brute force."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.algebra.class_functions import class_quadrature
from symjax_learn.algebra.series import (
    burnside_series,
    cycle_types,
    hilbert_series,
    multigraded_series,
    multiset_series,
    orthogonal_series,
    pair_cycles,
    weyl_series,
)


@pytest.mark.parametrize("proper", [True, False])
@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_one_vector_has_its_norm_only(n, proper):
    assert orthogonal_series(n, 1, 6, proper=proper) == hilbert_series([2], 6)


@pytest.mark.parametrize("proper", [True, False])
@pytest.mark.parametrize(("n", "copies"), [(3, 2), (4, 2), (4, 3), (5, 2)])
def test_fewer_vectors_than_dimensions_have_their_scalar_products(n, copies, proper):
    expected = hilbert_series([2] * (copies * (copies + 1) // 2), 6)
    assert orthogonal_series(n, copies, 6, proper=proper) == expected


@pytest.mark.parametrize("n", [2, 3, 4])
def test_as_many_vectors_as_dimensions_have_also_their_determinant(n):
    """SO(n) has it, and O(n) has not."""
    products = hilbert_series([2] * (n * (n + 1) // 2), 8)
    assert orthogonal_series(n, n, 8) == products
    expected = [p + (products[k - n] if k >= n else 0) for k, p in enumerate(products)]
    assert orthogonal_series(n, n, 8, proper=True) == expected


def test_more_vectors_than_dimensions_have_relations():
    """Three vectors of the plane: the Gram determinant vanishes, the one relation of degree six."""
    free = hilbert_series([2] * 6, 10)
    expected = [p - (free[k - 6] if k >= 6 else 0) for k, p in enumerate(free)]
    assert orthogonal_series(2, 3, 10) == expected


@pytest.mark.parametrize("proper", [True, False])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_a_quadrature_of_class_functions_counts_as_the_series_do(n, proper):
    """Two vectors: the trace on their polynomials of each degree, by Newton's identity."""
    group = sj.special_orthogonal_group(n) if proper else sj.orthogonal_group(n)
    elements, weights = class_quadrature(group, 6)
    assert float(weights[np.linalg.det(elements) > 0].sum()) == pytest.approx(1 if proper else 0.5)
    powers = [2 * np.trace(np.linalg.matrix_power(elements, k), axis1=1, axis2=2) for k in range(1, 7)]
    terms = [np.ones(len(elements))]
    for degree in range(1, 7):
        terms.append(sum(powers[i] * terms[degree - 1 - i] for i in range(degree)) / degree)
    found = [float(weights @ term) for term in terms]
    np.testing.assert_allclose(found, orthogonal_series(n, 2, 6, proper=proper), atol=1e-10)


def test_a_quadrature_of_a_torus_and_what_has_none():
    """A circle that turns one plane once and another twice: monomials z_1^a z̄_1^b z_2^c z̄_2^d."""
    turn = np.asarray([[0.0, -1], [1, 0]])
    circle = sj.lie_group([np.kron(np.diag([1.0, 2.0]), turn)])
    elements, weights = class_quadrature(circle, 5)
    powers = [np.trace(np.linalg.matrix_power(elements, k), axis1=1, axis2=2) for k in range(1, 6)]
    terms = [np.ones(len(elements))]
    for degree in range(1, 6):
        terms.append(sum(powers[i] * terms[degree - 1 - i] for i in range(degree)) / degree)
    expected = [
        sum(
            a - b + 2 * (c - d) == 0
            for a, b, c, d in itertools.product(range(degree + 1), repeat=4)
            if a + b + c + d == degree
        )
        for degree in range(6)
    ]
    np.testing.assert_allclose([float(weights @ term) for term in terms], expected, atol=1e-10)
    assert class_quadrature(sj.special_unitary_group(2), 3) is None
    assert class_quadrature(sj.symmetric_group(3), 3) is None
    assert class_quadrature(sj.special_orthogonal_group(12), 20) is None  # too many points


def test_the_mean_over_haar_samples_is_the_series():
    """O(3) on two vectors, degree 2 and 4: the trace on polynomials, averaged over random matrices."""
    import jax

    sample = np.asarray(sj.orthogonal_group(3).sample(jax.random.key(0), (20_000,)), float)
    powers = [np.trace(np.linalg.matrix_power(sample, k), axis1=1, axis2=2) * 2 for k in range(1, 5)]
    terms = [np.ones(len(sample))]
    for degree in range(1, 5):
        terms.append(sum(powers[i] * terms[degree - 1 - i] for i in range(degree)) / degree)
    for degree, expected in enumerate(orthogonal_series(3, 2, 4)):
        error = terms[degree].std() / math.sqrt(len(sample))
        assert abs(terms[degree].mean() - expected) <= 5 * error


def harmonics_of_degree(max_weight):
    """Labels of the nonconstant spherical harmonics on S²: l(l + 1), and the charges m and l."""
    labels = [(el, m) for el in range(1, 20) for m in range(-el, el + 1) if el * (el + 1) <= max_weight]
    return [el * (el + 1) for el, _ in labels], [[m, el % 2] for el, m in labels]


@pytest.mark.parametrize(("n", "rotations", "rigid"), [(3, 12, 11), (4, 35, 29), (20, 313, None)])
def test_sets_of_points_on_the_sphere(n, rotations, rigid):
    """S_n × SO(3) and S_n × O(3), eigenvalue ≤ 40."""
    series = multigraded_series(n, 40, *harmonics_of_degree(40))
    proper, even = 0, 0
    for counts in series:
        for (m, parity), count in counts.items():
            signed = count * ((m == 0) - (m == 1))
            proper += signed
            even += signed * (parity % 2 == 0)
    assert proper == rotations
    assert rigid is None or even == rigid


def test_without_charges_it_is_the_series_of_multisets():
    weights = [1, 1, 2, 4]
    graded = multigraded_series(3, 9, weights, [[]] * 4)
    assert [sum(one.values()) for one in graded] == multiset_series(3, 9, weights)
    by_charge = multigraded_series(3, 9, weights, [[1], [-1], [0], [2]])
    expected = [Counter() for _ in range(10)]
    for size in range(4):
        for chosen in itertools.combinations_with_replacement(range(4), size):
            if (total := sum(weights[i] for i in chosen)) <= 9:
                expected[total][(sum((1, -1, 0, 2)[i] for i in chosen),)] += 1
    assert by_charge == expected
    with pytest.raises(ValueError, match=r"charges: expected one vector for each of the 4 weights"):
        multigraded_series(3, 9, weights, [[1], [2]])


def test_graphs_up_to_isomorphism():
    """Published counts; with at least twice as many nodes as edges, graphs without isolated nodes."""

    def graphs(n, max_edges):
        types = [(pair_cycles(cycles), times) for cycles, times in cycle_types(n)]
        return burnside_series(types, [1], max_edges)

    assert graphs(4, 6) == [1, 1, 2, 3, 2, 1, 1]
    assert sum(graphs(10, 45)) == 12_005_168
    assert graphs(12, 6) == list(itertools.accumulate([1, 0, 1, 3, 6, 15, 42]))


def test_orbits_of_colourings_by_brute_force():
    group = sj.dihedral_group(5)
    elements = np.asarray(group.elements())
    types = []
    for images in elements.tolist():
        seen, lengths = set(), []
        for start in range(5):
            length, i = 0, start
            while i not in seen:
                seen.add(i)
                i, length = images[i], length + 1
            lengths += [length] if length else []
        types.append((lengths, 1))
    found = Counter()
    for colours in {
        min(tuple(c[np.argsort(g)].tolist()) for g in elements)
        for c in map(np.asarray, itertools.product((0, 1, 3), repeat=5))
    }:
        found[sum(colours)] += 1
    assert burnside_series(types, [1, 3], 15) == [found[w] for w in range(16)]
    with pytest.raises(ValueError, match=r"cycle_types: the sums .* not divisible by the number 9"):
        burnside_series(types[:-1], [1, 3], 15)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_cycle_types_are_all_permutations(n):
    assert sum(times for _, times in cycle_types(n)) == math.factorial(n)
    for cycles, _ in cycle_types(n):
        assert sum(cycles) == n
        assert sum(pair_cycles(cycles)) == n * (n - 1) // 2


def harmonics(degree):
    return [[m] for m in range(-degree, degree + 1)]


def test_binary_forms():
    """Harmonics of degree 2 and 3 are binary quartics and sextics: degrees 2, 3 and 2, 4, 6, 10, 15."""
    assert weyl_series(harmonics(2), [[1]], 12) == hilbert_series([2, 3], 12)
    free = hilbert_series([2, 4, 6, 10], 18)
    expected = [p + (free[k - 15] if k >= 15 else 0) for k, p in enumerate(free)]
    assert weyl_series(harmonics(3), [[1]], 18) == expected


def test_tori_leave_what_has_weight_zero():
    assert weyl_series([[1], [-1]], [], 8) == hilbert_series([2], 8)
    assert weyl_series([[1, 0], [0, 1], [-1, -1]], [], 9) == hilbert_series([3], 9)
    # Weights 1, 1, −1, −1: four products x_i y_j with one relation.
    cone = hilbert_series([2] * 4, 8)
    expected = [p - (cone[k - 4] if k >= 4 else 0) for k, p in enumerate(cone)]
    assert weyl_series([[1], [1], [-1], [-1]], [], 8) == expected


def test_the_adjoint_representation_has_the_degrees_of_the_weyl_group():
    """SU(3): roots in the basis of simple roots; tr A² and tr A³."""
    positive = [[1, 0], [0, 1], [1, 1]]
    weights = [*positive, *[[-x for x in r] for r in positive], [0, 0], [0, 0]]
    assert weyl_series(weights, positive, 9) == hilbert_series([2, 3], 9)


def test_vectors_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"weights, positive_roots: expected vectors of one length"):
        weyl_series([[1], [1, 0]], [], 3)
    with pytest.raises(ValueError, match=r"signs: expected 2, one for each weight, and got 1"):
        weyl_series([[1], [-1]], [], 3, signs=[1])
