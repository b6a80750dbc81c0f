"""Projections on linear constraints against NumPy, closed forms, finite differences, and each other."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.invariants import representation_operator
from symjax_learn.optimization import Status, project, project_by_products, project_each
from tests.registry import EXACT, X64

pytestmark = pytest.mark.usefixtures("without_signature_checks")
RNG = np.random.default_rng(0)
# Known values are solved in float64, and answers are in the session's precision.
CLOSE = 1e-11 if X64 else 2e-6


def invariance(m, fixed, generators=3):
    """D(g) − I of random rotations that fix the same ``fixed`` directions: rank m − fixed."""
    frame = np.linalg.qr(RNG.normal(size=(m, m)))[0]
    blocks = []
    for _ in range(generators):
        turn = np.eye(m)
        turn[fixed:, fixed:] = np.linalg.qr(RNG.normal(size=(m - fixed, m - fixed)))[0]
        blocks.append(frame @ turn @ frame.T - np.eye(m))
    return np.concatenate(blocks), frame[:, :fixed]


def published(vectors, constraints):
    """c̃ − Bᵀ(BBᵀ)⁺Bc̃."""
    gram = constraints @ constraints.T
    return vectors - constraints.T @ np.linalg.pinv(gram, rcond=1e-12, hermitian=True) @ (
        constraints @ vectors
    )


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_the_answer_is_the_published_formula_and_the_projection_on_the_fixed_space(outputs):
    constraints, fixed = invariance(12, 3)
    vectors = RNG.normal(size=(12, *outputs))
    found = project(vectors, constraints)
    np.testing.assert_allclose(found.vectors, published(vectors, constraints), atol=CLOSE)
    np.testing.assert_allclose(found.vectors, fixed @ (fixed.T @ vectors), atol=CLOSE)
    assert (int(found.rank), int(found.status)) == (9, Status.ok)
    assert float(found.residual) < 1e-12
    assert float(found.gap) > 1e9
    again = project(found.vectors, constraints)
    np.testing.assert_allclose(again.vectors, found.vectors, atol=CLOSE)


def test_batches_and_problems_of_unequal_sizes_are_problems_one_by_one():
    sizes = [(1, 1, 1), (5, 2, 3), (7, 0, 2), (7, 3, 2), (5, 5, 1), (12, 4, 3)]
    problems = [invariance(*size) for size in sizes]
    vectors = [RNG.normal(size=(m, *[2] * (m == 7))) for m, *_ in sizes]
    record = project_each(vectors, [constraints for constraints, _ in problems])
    traced = jax.jit(project_each)(
        [jnp.asarray(v) for v in vectors], [jnp.asarray(b) for b, _ in problems]
    )
    for i, ((_, fixed), vector) in enumerate(zip(problems, vectors, strict=True)):
        expected = fixed @ (fixed.T @ vector)
        np.testing.assert_allclose(record.vectors[i], expected, atol=CLOSE)
        np.testing.assert_allclose(traced.vectors[i], expected, atol=CLOSE if X64 else 1e-5)
    ranks = [m - fixed for m, fixed, _ in sizes]
    assert record.rank.tolist() == traced.rank.tolist() == ranks
    assert not np.any(record.status)
    assert not np.any(traced.status)
    many = np.stack([problems[i][0][:7] for i in (2, 3)])
    batch = project(np.stack([vectors[2], vectors[3]]), many)
    for i in (0, 1):
        np.testing.assert_allclose(
            batch.vectors[i], project(vectors[2 + i], many[i]).vectors, atol=CLOSE
        )
    empty = project_each([], [])
    assert empty.vectors == ()
    assert empty.rank.shape == (0,)


@pytest.mark.parametrize("rows", [0, 2, 20])
def test_targets_are_met_by_the_nearest_vector(rows):
    """Against the least-squares solution of NumPy, also of constraints that repeat themselves."""
    constraints = RNG.normal(size=(rows, 3)) @ RNG.normal(size=(3, 8))
    inside = RNG.normal(size=8)
    vector, targets = RNG.normal(size=8), constraints @ inside
    expected = vector - np.linalg.pinv(constraints, rcond=1e-9) @ (constraints @ vector - targets)
    found = project(vector, constraints, targets)
    np.testing.assert_allclose(found.vectors, expected, atol=100 * CLOSE)
    assert int(found.rank) == min(rows, 3)
    if rows == 20:
        with pytest.raises(ValueError, match=r"problem 0: no coefficients meet .*status infeasible"):
            project(vector, constraints, targets + RNG.normal(size=20))


def test_jit_and_vmap_and_derivatives():
    """With respect to vectors, targets, and constraints whose rank stays."""
    constraints, _ = invariance(6, 2, generators=2)
    generator = RNG.normal(size=(6, 6))
    vector, weights = RNG.normal(size=6), RNG.normal(size=6)

    def outcome(z):
        turn = jnp.eye(6) + z * jnp.asarray(generator)  # changes B, and not its rank
        moved = jnp.asarray(constraints) @ turn
        start = jnp.asarray(vector) + jnp.sin(z)
        answer = project(start, moved, moved @ jnp.full((6,), jnp.cos(z))).vectors
        return answer @ jnp.asarray(weights)

    step = 1e-5 if X64 else 1e-2
    slope = (outcome(step) - outcome(-step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(outcome)(0.0), slope, rtol=1e-7 if X64 else 5e-2)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(outcome))(0.0), slope, rtol=1e-7 if X64 else 5e-2)
    vectors = jnp.asarray(RNG.normal(size=(3, 6)))
    matrix = jnp.asarray(constraints)
    np.testing.assert_allclose(
        jax.vmap(lambda v: project(v, matrix).vectors)(vectors),
        project(vectors, jnp.broadcast_to(matrix, (3, *matrix.shape))).vectors,
        atol=CLOSE,
    )


@pytest.mark.parametrize("smallest", [1e-3, 1e-6, 1e-8])
def test_small_singular_values_are_seen_where_their_squares_are_not(smallest):
    """Rotations by tiny angles: eigenvalues of BᵀB would put 1e-8 among the zeros."""
    left, right = (np.linalg.qr(RNG.normal(size=(m, m)))[0] for m in (9, 6))
    constraints = left[:, :6] @ np.diag([1.0, 0.5, smallest, 0, 0, 0]) @ right.T
    vector = RNG.normal(size=6)
    found = project(vector, constraints)
    assert int(found.rank) == 3
    expected = right[:, 3:] @ (right[:, 3:].T @ vector)
    np.testing.assert_allclose(found.vectors, expected, atol=max(CLOSE, 1e-15 / smallest))


def test_no_clear_gap_is_refused_and_scale_and_precision_are_no_matter():
    constraints = np.diag([1.0, 2e-9, 5e-10, 0.0])
    both = np.stack([np.eye(4), constraints])
    with pytest.raises(
        ValueError, match=r"problem 1: no clear gap .*status no_gap.*gap 4.0e\+00; throw"
    ):
        project(np.ones((2, 4)), both)
    assert project(np.ones((2, 4)), both, throw=False).status.tolist() == [Status.ok, Status.no_gap]
    assert int(project(np.ones(4), constraints, tolerance=1e-10).rank) == 2 + 1
    matrix, fixed = invariance(8, 3)
    vector = RNG.normal(size=8)
    expected = fixed @ (fixed.T @ vector)
    np.testing.assert_allclose(project(vector, 1e9 * matrix).vectors, expected, atol=CLOSE)
    rounded = project(vector.astype(np.float32), matrix.astype(np.float32))
    assert int(rounded.rank) == 5
    assert rounded.vectors.dtype == jnp.float32
    np.testing.assert_allclose(rounded.vectors, expected, atol=1e-5)
    assert np.array_equal(project(vector, np.zeros((3, 8))).vectors, jnp.asarray(vector))


def test_bad_input():
    constraints, _ = invariance(4, 1)
    with pytest.raises(
        ValueError, match=r"vectors: for constraints of shape \(12, 4\) expected \(4,\), or"
    ):
        project(np.ones(3), constraints)
    with pytest.raises(
        ValueError, match=r"constraints: expected shape \(\*batch, rows, m\) and got \(4,\)"
    ):
        project(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match=r"targets: .*each constraint, shape \(12,\), and got \(4,\)"):
        project(np.ones(4), constraints, np.ones(4))
    with pytest.raises(TypeError, match=r"vectors: expected real numbers .* got complex128"):
        project(np.ones(4) + 1j, constraints)
    spoiled = np.stack([constraints, np.full((12, 4), np.nan)])
    with pytest.raises(ValueError, match=r"constraints: values of problem 1 are not finite"):
        project(np.ones((2, 4)), spoiled)
    found = project(np.ones((2, 4)), spoiled, throw=False)
    assert found.status.tolist() == [0, 1]
    np.testing.assert_allclose(found.vectors[0], project(np.ones(4), constraints).vectors, atol=CLOSE)
    assert jax.jit(lambda b: project(jnp.ones((2, 4)), b).status)(spoiled).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"constraints\[1\]: expected shape \(rows, 3\) .* \(12, 4\)"):
        project_each([np.ones(4), np.ones(3)], [constraints, constraints])
    with pytest.raises(ValueError, match=r"constraints: expected one matrix for each of 1 vectors and"):
        project_each([np.ones(4)], [])
    with pytest.raises(TypeError, match=r"operators\[0\]: expected a lineax operator and got a ndarray"):
        project_by_products(np.ones(4), [constraints])


def differences(action, level):
    """D(g) − I for the generators, as operators."""
    number = action.group.num_generators
    moves = [
        representation_operator(
            action, level, jax.tree.map(lambda leaf, i=i: leaf[i], action.generators)
        )
        for i in range(number)
    ]
    return [move - lx.IdentityLinearOperator(move.in_structure()) for move in moves]


def test_products_alone_project_as_matrices_do():
    action = sj.action(sj.Hypercube(6), sj.cyclic_group(6))
    level = action.space.levels(6)[-1]
    operators = differences(action, level)
    vectors = jnp.asarray(RNG.normal(size=(level.multiplicity, 2)))
    dense = np.concatenate(action.generator_representations([level])[0] - np.eye(level.multiplicity))
    found = project_by_products(vectors, operators)
    np.testing.assert_allclose(found.vectors, project(vectors, dense).vectors, atol=100 * EXACT)
    assert int(found.status) == 0
    assert found.rank is None
    with pytest.raises(ValueError, match=r"stopped before its tolerance .*status not_converged"):
        project_by_products(vectors, operators, max_steps=1)
    with pytest.raises(ValueError, match=r"operators\[0\]: expected one on vectors of shape \(3,\)"):
        project_by_products(jnp.ones(3), operators)


def test_a_level_of_fifteen_thousand_functions_without_its_matrix():
    """S_20 on {±1}^20, subsets of five: all coefficients become their mean; D(g) would have 1.9 GB."""
    action = sj.action(sj.Hypercube(20), sj.symmetric_group(20))
    level = action.space.levels(10)[-1]
    assert level.multiplicity == 15504
    vector = jnp.asarray(RNG.normal(size=15504))
    found = project_by_products(vector, differences(action, level))
    np.testing.assert_allclose(found.vectors, jnp.full(15504, vector.mean()), atol=1e-7 if X64 else 1e-3)
