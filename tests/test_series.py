"""Weyl's integration formula against the classical invariant theory of rotations and tori."""

import itertools

import pytest

from symjax_learn.algebra.series import hilbert_series, weyl_series


def vectors(n, copies=1):
    """Weights of copies of the vector representation of SO(n), and its positive roots."""
    rank = n // 2
    unit = [[int(i == j) for j in range(rank)] for i in range(rank)]
    weights = [*unit, *[[-x for x in e] for e in unit], *([[0] * rank] if n % 2 else [])]
    roots = [
        [a + s * b for a, b in zip(e, f, strict=True)]
        for e, f in itertools.combinations(unit, 2)
        for s in (1, -1)
    ]
    return weights * copies, roots + (unit if n % 2 else [])


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_one_vector_has_its_norm_only(n):
    assert weyl_series(*vectors(n), 6) == hilbert_series([2], 6)


@pytest.mark.parametrize(("n", "copies"), [(3, 2), (4, 2), (4, 3), (5, 2)])
def test_fewer_vectors_than_dimensions_have_their_scalar_products(n, copies):
    assert weyl_series(*vectors(n, copies), 6) == hilbert_series([2] * (copies * (copies + 1) // 2), 6)


@pytest.mark.parametrize("n", [3, 4])
def test_as_many_vectors_as_dimensions_have_also_their_determinant(n):
    products = hilbert_series([2] * (n * (n + 1) // 2), 8)
    expected = [p + (products[k - n] if k >= n else 0) for k, p in enumerate(products)]
    assert weyl_series(*vectors(n, n), 8) == expected


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
