"""Null spaces against prescribed spectra."""

import numpy as np
import pytest

from symjax_learn._linalg import fixed_spaces, null_space


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


def rotation(angle, m=5, seed=0):
    """An orthogonal matrix that turns one plane and fixes its complement, and that complement."""
    rng = np.random.default_rng(seed)
    frame = np.linalg.qr(rng.normal(size=(m, m)))[0]
    turned = np.eye(m)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return frame @ turned @ frame.T, frame[:, 2:] @ frame[:, 2:].T


NONE = np.zeros((3, 0, 5, 5))


@pytest.mark.parametrize(
    "angle", [1.0, 1e-3, 1e-5, 1e-7]
)  # the last two need more than eigh of the square
def test_fixed_spaces_of_rotations(angle):
    pairs = [rotation(angle, seed=seed) for seed in range(3)]
    found = fixed_spaces(np.stack([matrix for matrix, _ in pairs])[:, None], NONE)
    for space, (matrix, projector) in zip(found, pairs, strict=True):
        np.testing.assert_allclose(space.basis @ space.basis.T, projector, atol=1e-13 / angle + 1e-12)
        np.testing.assert_allclose(matrix @ space.basis, space.basis, atol=1e-13)
        assert space.gap > 1e3


def test_fixed_spaces_of_several_matrices_and_of_none():
    first, _ = rotation(1.0, seed=1)
    second, _ = rotation(2.0, seed=2)
    (both,) = fixed_spaces(np.stack([first, second])[None], NONE[:1])
    assert both.basis.shape == (5, 1)  # two planes in five dimensions leave a line
    (everything,) = fixed_spaces(*np.zeros((2, 1, 0, 4, 4)))
    np.testing.assert_allclose(everything.basis @ everything.basis.T, np.eye(4), atol=1e-15)
    doubtful = rotation(5e-10, seed=1)[0] @ rotation(2e-8, seed=2)[0]
    with pytest.raises(ValueError, match=r"no clear gap"):
        fixed_spaces(doubtful[None, None], NONE[:1])


def test_vectors_that_derivations_annihilate_and_matrices_fix():
    """A turn of one plane leaves three dimensions; a reflection of another direction two of them."""
    turned, projector = rotation(1.0)
    plane = np.eye(5) - projector
    first, second = np.linalg.svd(plane)[0][:, :2].T
    derivation = np.outer(first, second) - np.outer(second, first)
    direction = np.linalg.svd(projector)[0][:, 0]
    mirror = np.eye(5) - 2 * np.outer(direction, direction)
    (space,) = fixed_spaces(mirror[None, None], derivation[None, None])
    expected = projector - np.outer(direction, direction)
    np.testing.assert_allclose(space.basis @ space.basis.T, expected, atol=1e-12)
    (space,) = fixed_spaces(NONE[:1], derivation[None, None])
    np.testing.assert_allclose(space.basis @ space.basis.T, projector, atol=1e-12)
    np.testing.assert_allclose(turned @ space.basis, space.basis, atol=1e-12)
