"""Symmetric powers, weights and couplings: against tensor powers and their fixed vectors."""

import itertools

import numpy as np
import pytest
from scipy.linalg import block_diag as _block_diag
from scipy.linalg import expm, null_space

from symjax_learn.algebra.bosons import num_states, one_body, renamed, states, symmetric_power
from symjax_learn.algebra.couplings import coupled, shell
from symjax_learn.algebra.multisets import closed_multisets, monomial_symmetric, multisets
from symjax_learn.algebra.weights import Constraints, commuting_family, invariant_parts, labels
from tests.registry import X64

RANDOM = np.random.default_rng(0)


def block_diag(*blocks):
    return np.asarray(_block_diag(*blocks))


def tensors(num_labels, size):
    """Orthonormal symmetric tensors in the order of the states, ``(d^j, N)``."""
    columns = []
    for row in states(num_labels, size).labels:
        column = np.zeros((num_labels,) * size)
        for order in set(itertools.permutations(row.tolist())):
            column[order] = 1.0
        columns.append(column.ravel() / np.linalg.norm(column))
    return np.stack(columns, axis=1)


def tensor_power(matrix, size):
    power = np.ones((1, 1))
    for _ in range(size):
        power = np.kron(power, matrix)
    return power


@pytest.mark.parametrize(("num_labels", "size"), [(1, 4), (2, 3), (3, 2), (4, 3), (3, 0)])
def test_symmetric_powers_are_tensor_powers_of_symmetric_tensors(num_labels, size):
    matrix = RANDOM.normal(size=(num_labels, num_labels))
    frame = tensors(num_labels, size)
    assert frame.shape[1] == num_states(num_labels, size)
    expected = frame.T @ tensor_power(matrix, size) @ frame
    np.testing.assert_allclose(symmetric_power(matrix, size), expected, atol=1e-12)
    complex_ = matrix + 1j * RANDOM.normal(size=matrix.shape)
    expected = frame.T @ tensor_power(complex_, size) @ frame
    np.testing.assert_allclose(symmetric_power(complex_, size), expected, atol=1e-12)


@pytest.mark.parametrize(("num_labels", "size"), [(2, 5), (3, 3), (4, 2), (2, 0)])
def test_one_body_operators_are_rates_of_symmetric_powers(num_labels, size):
    rate = RANDOM.normal(size=(num_labels, num_labels))
    expected = symmetric_power(expm(rate), size)
    np.testing.assert_allclose(expm(one_body(rate, size).toarray()), expected, atol=1e-10)


def test_renamed_labels_are_a_permutation_matrix():
    names = np.asarray([2, 0, 1])
    moved = symmetric_power(np.eye(3)[:, names], 3)
    np.testing.assert_array_equal(moved[renamed(3, 3, names), np.arange(10)], 1.0)


def rotations(degree):
    """Three generators of SO(3) on an irreducible space of dimension 2l + 1, real."""
    m = np.arange(-degree, degree + 1)
    ladder = np.diag(np.sqrt(degree * (degree + 1) - m[:-1] * (m[:-1] + 1)), -1)
    x, y, z = (ladder + ladder.T) / 2, (ladder - ladder.T) / 2j, np.diag(m)
    # (−1)^m-conjugation is the real structure.
    frame = np.zeros((len(m), len(m)), complex)
    for row, value in enumerate(m):
        partner = len(m) - 1 - row
        if value == 0:
            frame[row, row] = 1.0
        elif value > 0:
            frame[[row, partner], row] = (-1.0) ** value / np.sqrt(2), 1 / np.sqrt(2)
        else:
            frame[[row, partner], row] = 1j / np.sqrt(2), -1j * (-1.0) ** value / np.sqrt(2)
    rates = np.stack([frame.conj().T @ (-1j * one) @ frame for one in (x, y, z)])
    assert np.abs(rates.imag).max() < 1e-12
    return rates.real


def invariants_of(constraints, sizes):
    """By null spaces on the whole product of symmetric powers, and by its weights."""
    family = commuting_family(constraints)
    found = [labels(one, family) for one in constraints]
    answer = coupled([shell(one, size) for one, size in zip(found, sizes, strict=True)])
    rows = []
    total = [
        num_states(one.derivations.shape[1], size) for one, size in zip(constraints, sizes, strict=True)
    ]
    for i in range(len(constraints[0].derivations)):
        whole = np.zeros((np.prod(total), np.prod(total)))
        for place, (one, size) in enumerate(zip(constraints, sizes, strict=True)):
            parts = [np.eye(int(width)) for width in total]
            parts[place] = one_body(one.derivations[i], size).toarray().real
            whole += tensor_product(parts)
        rows.append(whole)
    for i in range(len(constraints[0].elements)):
        powers = [
            symmetric_power(one.elements[i], size) for one, size in zip(constraints, sizes, strict=True)
        ]
        rows.append(tensor_product(powers) - np.eye(int(np.prod(total))))
    frames = [
        symmetric_power(one.vectors.astype(complex), size)
        for one, size in zip(found, sizes, strict=True)
    ]
    strides = np.cumprod([1, *total[:0:-1]])[::-1]
    # T_s of a state is the column of the frame, so that f = Σ (u Re T + v Im T).
    columns = tensor_product(frames)[:, answer.states @ strides]
    ours = columns.real @ answer.real + columns.imag @ answer.imaginary
    return ours, null_space(np.concatenate(rows), rcond=1e-9)


def tensor_product(matrices):
    answer = np.ones((1, 1))
    for one in matrices:
        answer = np.kron(answer, one)
    return answer


@pytest.mark.parametrize(
    ("degrees", "sizes"), [((1,), (4,)), ((2,), (3,)), ((1, 2), (2, 1)), ((1, 1, 2), (2, 1, 2))]
)
@pytest.mark.parametrize("parity", [False, True])
def test_couplings_of_rotations_span_the_null_space(degrees, sizes, parity):
    constraints = []
    for degree in degrees:
        elements = (-1.0) ** degree * np.eye(2 * degree + 1)[None]
        constraints.append(Constraints(elements[: int(parity)], rotations(degree)))
    ours, theirs = invariants_of(constraints, sizes)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-10)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_couplings_of_a_finite_group_span_the_null_space(order):
    """Turns and a mirror, which do not commute, in a basis that shows neither."""
    angle = 2 * np.pi / order
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    frame = np.linalg.qr(RANDOM.normal(size=(3, 3)))[0]
    elements = np.stack([block_diag(turn, 1.0), np.diag([1.0, -1.0, -1.0])])
    one = Constraints(frame.T @ elements @ frame, np.zeros((0, 3, 3)))
    ours, theirs = invariants_of([one, one], (2, 3))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-10)


def test_parts_are_invariant_and_all():
    """l = 0 and 2 beside each other, mixed, and one more that stands alone."""
    mixed = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0]
    rates = np.stack([block_diag(np.zeros((1, 1)), one) for one in rotations(2)])
    rates = np.stack(
        [block_diag(mixed.T @ one @ mixed, two) for one, two in zip(rates, rotations(1), strict=True)]
    )
    parts = invariant_parts(Constraints(np.zeros((0, 9, 9)), rates))
    assert sorted(part.shape[1] for part in parts) == [1, 3, 5]
    together = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(together.T @ together, np.eye(9), atol=1e-12)
    for part in parts:
        np.testing.assert_allclose(rates @ part, part @ (part.T @ (rates @ part)), atol=1e-9)


def test_labels_are_common_eigenvectors():
    rates = rotations(2)
    turn = expm(2 * np.pi / 3 * rates[2])[None]
    constraints = Constraints(turn, rates)
    family = commuting_family([constraints])
    assert len(family.derivations) == 1
    found = labels(constraints, family)
    (which,) = family.derivations
    np.testing.assert_allclose(
        rates[which] @ found.vectors, 1j * found.vectors * found.weights[:, 0], atol=1e-12
    )
    np.testing.assert_allclose(found.vectors[:, found.conjugates], found.vectors.conj(), atol=1e-12)
    if family.elements:
        phases = np.exp(2j * np.pi * found.angles[:, 0])
        np.testing.assert_allclose(turn[0] @ found.vectors, found.vectors * phases, atol=1e-12)
    assert len(family.other_derivations) == 1  # the third is a bracket


def test_closed_multisets_are_all_multisets_of_a_bound():
    full = multisets([1, 2, 3], 7, 4)
    rows = [[] for _ in range(5)]
    for counts in np.asarray(full.counts):
        chosen = np.repeat(np.arange(3), counts)
        rows[len(chosen)].append(chosen)
    arrays = [np.asarray(row).reshape(len(row), size) for size, row in enumerate(rows)]
    index, places = closed_multisets(
        [np.zeros((0, 0), int), *(np.zeros((0, i), int) for i in (1, 2)), *arrays[3:]], 3
    )
    contained = {tuple(row) for row in np.asarray(index.counts).tolist()}
    assert contained <= {tuple(row) for row in np.asarray(full.counts).tolist()}
    features = RANDOM.normal(size=(6, 5, 3)).astype(float if X64 else np.float32)
    ours = np.asarray(monomial_symmetric(index, features, method="scan"))
    theirs = np.asarray(monomial_symmetric(full, features, method="scan"))
    where = {tuple(row): i for i, row in enumerate(np.asarray(full.counts).tolist())}
    for column, counts in enumerate(np.asarray(index.counts).tolist()):
        np.testing.assert_allclose(
            ours[:, column], theirs[:, where[tuple(counts)]], rtol=1e-5, atol=1e-6
        )
    for size in (3, 4):
        found = np.asarray(index.counts)[places[size]]
        expected = (arrays[size][:, :, None] == np.arange(3)).sum(axis=1)
        np.testing.assert_array_equal(found, expected)
