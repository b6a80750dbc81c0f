"""Null spaces against prescribed spectra."""

import numpy as np
import pytest

from symjax_learn._linalg import null_space


def prescribed(singular, rows, seed=0):
    """A matrix with these singular values, and its right singular vectors."""
    rng = np.random.default_rng(seed)
    m = len(singular)
    left = np.linalg.qr(rng.normal(size=(rows, m)))[0]
    right = np.linalg.qr(rng.normal(size=(m, m)))[0]
    return left @ np.diag(singular) @ right.T, right


@pytest.mark.parametrize("rank", [0, 3, 8])
@pytest.mark.parametrize("rows", [8, 20])
def test_the_null_space_is_the_prescribed_one(rank, rows):
    singular = np.concatenate([np.linspace(2, 0.1, rank), np.zeros(8 - rank)])
    matrix, right = prescribed(singular, rows)
    found = null_space(matrix)
    assert found.basis.shape == (8, 8 - rank)
    expected = right[:, rank:] @ right[:, rank:].T
    np.testing.assert_allclose(found.basis @ found.basis.T, expected, atol=1e-12)
    assert found.gap > 1e6


def test_fewer_rows_than_columns():
    found = null_space(np.asarray([[1.0, 1.0, 0.0]]))
    assert found.basis.shape == (3, 2)
    np.testing.assert_allclose(np.asarray([[1.0, 1.0, 0.0]]) @ found.basis, 0, atol=1e-15)
    assert null_space(np.zeros((0, 2))).basis.shape == (2, 2)
    assert null_space(np.zeros((2, 0))).basis.shape == (0, 0)


def test_a_doubtful_cut_is_refused():
    matrix, _ = prescribed(np.asarray([1.0, 1e-8, 1e-10]), 5)
    with pytest.raises(ValueError, match=r"matrix: no clear gap .* ratio of 100\.0 < 1000.*generators"):
        null_space(matrix)
    assert null_space(matrix, tolerance=1e-6).basis.shape == (3, 2)


def test_signs_do_not_depend_on_the_matrix_that_names_the_space():
    matrix, _ = prescribed(np.asarray([1.0, 1.0, 1.0, 0.0]), 6)
    turn, _ = prescribed(np.ones(6), 6, seed=3)
    np.testing.assert_allclose(null_space(turn @ matrix).basis, null_space(matrix).basis, atol=1e-12)
