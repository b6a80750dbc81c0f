"""Compact Lie groups: axioms, Haar measure against linear algebra, exponentials, closed subgroups."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import block_diag

import symjax_learn as sj
from tests.registry import EXACT, X64

J = np.asarray([[0.0, -1.0], [1.0, 0.0]])
ZERO = np.zeros((2, 2))
SPIN = [np.asarray(a) for a in ([[0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]])]
SPIN.append(SPIN[0] @ SPIN[1] - SPIN[1] @ SPIN[0])
PLANES = [block_diag(J, 0 * J), block_diag(0 * J, J)]


def diagonal_rotation(key):
    """The same rotation of two vectors of R³."""
    g = sj.special_orthogonal_group(3).sample(key)
    return jnp.kron(jnp.eye(2), g)


def mirrored_turns(key):
    """O(2): a turn, and a mirror half of the time."""
    return sj.orthogonal_group(2).sample(key)


# name -> (constructor, dim G)
MATRIX_GROUPS = {
    "SO(2)": (lambda: sj.special_orthogonal_group(2), 1),
    "SO(3)": (lambda: sj.special_orthogonal_group(3), 3),
    "SO(4)": (lambda: sj.special_orthogonal_group(4), 6),
    "O(2)": (lambda: sj.orthogonal_group(2), 1),
    "O(3)": (lambda: sj.orthogonal_group(3), 3),
    "SU(2)": (lambda: sj.special_unitary_group(2), 3),
    "SU(3)": (lambda: sj.special_unitary_group(3), 8),
    "turns about an axis": (lambda: sj.lie_group([block_diag(J, 0)]), 1),
    "Hopf": (lambda: sj.lie_group([block_diag(J, J)]), 1),
    "frequencies 2 and 3": (lambda: sj.lie_group([block_diag(2 * J, 3 * J)]), 1),
    "all phases": (lambda: sj.lie_group(PLANES), 2),
    "skew basis": (lambda: sj.lie_group([block_diag(J, ZERO, J), block_diag(ZERO, 2 * J, J)]), 2),
    "SO(3) on two vectors": (
        lambda: sj.lie_group([np.kron(np.eye(2), a) for a in SPIN], sample=diagonal_rotation),
        3,
    ),
    "O(2) by its parts": (
        lambda: sj.lie_group([J], [[[1.0, 0], [0, -1]]], sample=mirrored_turns),
        1,
    ),
    "SO(2) x S_3": (lambda: sj.direct_product(sj.special_orthogonal_group(2), sj.symmetric_group(3)), 1),
    "O(2) x SO(3)": (
        lambda: sj.direct_product(sj.orthogonal_group(2), sj.special_orthogonal_group(3)),
        4,
    ),
    "SO(2) wr S_2": (lambda: sj.wreath_product(sj.special_orthogonal_group(2), 2), 2),
}
TRANSLATIONS = {
    "all of T³": (lambda: sj.translation_group(3), np.eye(3, dtype=int)),
    "the diagonal": (lambda: sj.translation_group([[1, 1, 1]]), np.asarray([[1, 1, 1]])),
    "a plane": (
        lambda: sj.translation_group([[2, 0, -2], [0, 3, 1]]),
        np.asarray([[2, 0, -2], [0, 3, 1]]),
    ),
}
NUM = 4000


@pytest.fixture(params=MATRIX_GROUPS, scope="module")
def named(request):
    constructor, dimension = MATRIX_GROUPS[request.param]
    group = constructor()
    return group, dimension, group.sample(jax.random.key(0), (NUM,)), algebra_matrices(group)


def first(tree, num=5, start=0):
    return jax.tree.map(lambda leaf: leaf[start : start + num], tree)


def algebra_matrices(group):
    """d/dt exp(ta) at 0 for a basis of the Lie algebra, by central differences in float64."""
    step = 1e-3

    def at(time):
        return group.matrix(group.exponential(jax.tree.map(lambda a: time * a, group.lie_algebra)))

    with jax.enable_x64(True):
        forward, back = np.asarray(at(step)), np.asarray(at(-step))
    return (forward - back) / (2 * step)


def test_it_is_infinite_and_has_a_dimension(named):
    group, dimension, _, algebra = named
    assert group.order == math.inf
    assert group.dimension == dimension == len(algebra)
    with pytest.raises(ValueError, match=r"elements: the group has order infinity"):
        group.elements()
    with pytest.raises(ValueError, match=r"infinite and has no faithful action"):
        group.contains(group.generators)
    with pytest.raises(ValueError, match=r"infinite and has no faithful action"):
        group.transversals()


def test_axioms(named):
    group, _, draws, _ = named
    g, h, k = (first(draws, start=start) for start in (0, 5, 10))
    matrix = group.matrix
    left = matrix(group.compose(group.compose(g, h), k))
    np.testing.assert_allclose(left, matrix(group.compose(g, group.compose(h, k))), atol=10 * EXACT)
    np.testing.assert_allclose(matrix(group.compose(g, h)), matrix(g) @ matrix(h), atol=10 * EXACT)
    identity = np.broadcast_to(np.eye(group.degree), (5, group.degree, group.degree))
    np.testing.assert_allclose(matrix(group.compose(g, group.inverse(g))), identity, atol=10 * EXACT)
    np.testing.assert_allclose(matrix(group.compose(g, group.identity)), matrix(g), atol=EXACT)
    x = jax.random.normal(jax.random.key(1), (5, group.degree))
    expected = jnp.einsum("gij,gj->gi", matrix(g), x)
    np.testing.assert_allclose(group.apply(g, x), expected, atol=10 * EXACT)


def test_samples_belong_to_the_group(named):
    """They are orthogonal, and conjugation by them maps the Lie algebra to itself."""
    group, _, draws, algebra = named
    g = np.asarray(group.matrix(first(draws, 50)), float)
    np.testing.assert_allclose(g @ g.mT, np.broadcast_to(np.eye(group.degree), g.shape), atol=30 * EXACT)
    basis = np.linalg.qr(algebra.reshape(len(algebra), -1).T)[0]
    moved = np.einsum("gij,ajk,glk->gail", g, algebra, g).reshape(50, len(algebra), -1)
    np.testing.assert_allclose(moved @ basis @ basis.T, moved, atol=1e-5)


def test_haar_measure(named):
    """The mean of g ⊗ g is the projection on the tensors that generators and Lie algebra fix."""
    group, _, draws, algebra = named
    d = group.degree
    one = np.eye(d)
    with jax.enable_x64(True):
        generators = np.asarray(group.matrix(group.generators), float)
    rows = [np.kron(a, one) + np.kron(one, a) for a in algebra]
    rows += [np.kron(g, g) - np.eye(d * d) for g in generators]
    _, singular, right = np.linalg.svd(np.concatenate(rows))
    null = right[np.sum(singular > 1e-4) :]
    g = np.asarray(group.matrix(draws), float)
    mean = np.einsum("gij,gkl->ikjl", g, g).reshape(d * d, d * d) / NUM
    # Entries are means of NUM terms of size at most one.
    assert np.abs(mean - null.T @ null).max() < 5 / math.sqrt(NUM)
    fixed = np.concatenate([*algebra, *(generators - one)])
    _, singular, right = np.linalg.svd(fixed)
    null = right[np.sum(singular > 1e-4) :]
    assert np.abs(g.mean(axis=0) - null.T @ null).max() < 5 / math.sqrt(NUM)


@pytest.mark.parametrize("name", ["SO(3)", "SU(2)"])
def test_single_samples_are_those_of_a_batch(name):
    """One matrix alone compiles to another program: it was once a wrong one."""
    group = MATRIX_GROUPS[name][0]()
    for seed in range(5):
        key = jax.random.key(seed)
        np.testing.assert_allclose(group.sample(key), group.sample(key, (1,))[0], atol=10 * EXACT)


def test_samples_depend_on_the_key(named):
    group, _, draws, _ = named
    other = group.matrix(group.sample(jax.random.key(1), (NUM,)))
    assert np.abs(np.asarray(group.matrix(draws)) - np.asarray(other)).max() > 0.1


def test_exponentials_are_one_parameter_groups(named):
    group = named[0]
    once = group.exponential(group.lie_algebra)
    twice = group.exponential(jax.tree.map(lambda a: 2 * a, group.lie_algebra))
    product = group.matrix(group.compose(once, once))
    np.testing.assert_allclose(group.matrix(twice), product, atol=100 * EXACT)


def test_exponentials_of_tori_come_back():
    """Frequencies 2 and 3: exp(2πA) = 1, and no earlier time."""
    group = sj.lie_group([block_diag(2 * J, 3 * J)])
    assert (
        np.abs(np.asarray(group.exponential(2 * np.pi * group.lie_algebra[0])) - np.eye(4)).max() < 1e-4
    )
    assert sorted(np.abs(group.sampler.frequencies[:, 0]).tolist()) == [2, 2, 3, 3]


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_translations(name):
    constructor, directions = TRANSLATIONS[name]
    group = constructor()
    assert group.order == math.inf
    assert group.dimension == len(directions)
    g, h = (group.sample(jax.random.key(seed), (NUM,)) for seed in (0, 1))
    for one, other in (
        (group.compose(g, h), np.asarray(g) + np.asarray(h)),
        (group.compose(g, group.inverse(g)), 0),
        (group.exponential(0.3 * group.lie_algebra), 0.3 * directions),
    ):
        difference = np.asarray(one, float) - other
        np.testing.assert_allclose(difference - np.round(difference), 0, atol=10 * EXACT)
    x = jnp.ones((NUM, 3))
    np.testing.assert_array_equal(group.apply(g, x), x)
    # A wave e^{2πik·x} has mean one where k is orthogonal to all directions, and zero elsewhere.
    for k in ([1, -1, 0], [1, 0, -1], [0, 1, 0], [1, -1, 3], [1, 1, 1], [2, -2, 0]):
        mean = np.exp(2j * np.pi * np.asarray(g, float) @ k).mean()
        assert abs(mean - (not (directions @ k).any())) < 5 / math.sqrt(NUM)


def test_products_with_a_finite_factor():
    """Elements of the Lie algebra have no part in the finite factor, and move its block by nothing."""
    group = sj.direct_product(sj.sign_group(1), sj.special_orthogonal_group(2), sj.translation_group(1))
    assert group.dimension == 2
    signs, turns, shifts = group.lie_algebra
    assert signs is None
    assert turns.shape == (2, 2, 2)
    assert shifts.tolist() == [[0.0], [1.0]]
    (images, _), turned, _ = group.exponential(group.lie_algebra)
    assert images.shape == (2, 1)
    expected = np.asarray([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
    np.testing.assert_allclose(turned, [expected, np.eye(2)], atol=EXACT)
    assert sj.direct_product(sj.sign_group(1), sj.cyclic_group(2)).lie_algebra is None
    assert sj.wreath_product(sj.special_orthogonal_group(2), 200).order == math.inf


def test_finite_groups_have_no_lie_algebra():
    group = sj.cyclic_group(3)
    assert group.lie_algebra is None
    assert group.dimension == 0
    with pytest.raises(ValueError, match=r"a: PermutationGroup is finite and has no Lie algebra"):
        group.exponential(jnp.ones(3))


def test_matrices_are_float64_in_every_session():
    group = sj.special_unitary_group(3)
    assert group.lie_algebra.dtype == np.float64
    weights = np.sqrt([3.0, 2.0]) / 7
    algebra = [weights[0] * SPIN[0] + weights[1] * SPIN[1]]
    np.testing.assert_allclose(sj.lie_group(algebra).lie_algebra, algebra, rtol=2e-15)
    assert sj.special_orthogonal_group(3).sample(jax.random.key(0)).dtype == (
        jnp.float64 if X64 else jnp.float32
    )


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sj.special_orthogonal_group(1), ValueError, r"n: on one coordinate use trivial_group"),
        (lambda: sj.orthogonal_group(2.5), TypeError, r"n: expected an integer"),
        (lambda: sj.special_unitary_group(1), ValueError, r"n: expected at least 2"),
        (lambda: sj.translation_group(0), ValueError, r"directions: expected at least 1"),
        (lambda: sj.translation_group([1, 2]), ValueError, r"directions: expected a dimension d, or"),
        (lambda: sj.translation_group([[0.5, 1]]), TypeError, r"directions: expected integers"),
        (lambda: sj.translation_group([[1, 2], [2, 4]]), ValueError, r"directions: .* dependent"),
        (lambda: sj.lie_group([[[0, 1], [1, 0]]]), ValueError, r"lie_algebra: element 0 is not skew"),
        (lambda: sj.lie_group([[[0, np.nan], [1, 0]]]), ValueError, r"lie_algebra: element 0 is not"),
        (lambda: sj.lie_group([J, 2 * J]), ValueError, r"lie_algebra: its 2 elements are .* dependent"),
        (lambda: sj.lie_group(SPIN[:2]), ValueError, r"lie_algebra: the bracket of elements 0 and 1"),
        (lambda: sj.lie_group([]), ValueError, r"lie_algebra: expected shape"),
        (lambda: sj.lie_group(np.zeros((0, 2, 2))), ValueError, r"lie_algebra: expected at least one"),
        (lambda: sj.lie_group([["a"]]), TypeError, r"lie_algebra: expected real matrices"),
        (
            lambda: sj.lie_group([block_diag(J, math.sqrt(2) * J)]),
            ValueError,
            r"lie_algebra: the group is not closed: .* ratio 0.7071.*closure is a larger torus",
        ),
        (lambda: sj.lie_group([J], [2 * np.eye(2)]), ValueError, r"representatives: .* not orthogonal"),
        (lambda: sj.lie_group([J], [np.eye(3)]), ValueError, r"representatives: expected .* size 2"),
        (
            lambda: sj.lie_group([block_diag(J, 0)], [np.eye(3)[[1, 2, 0]]]),
            ValueError,
            r"representatives: matrix 0 does not map the Lie algebra to itself",
        ),
        (lambda: sj.lie_group([J], sample=3), TypeError, r"sample: expected a function"),
        (
            lambda: sj.lie_group([J], sample=lambda _: jnp.ones((2, 2))),
            ValueError,
            r"sample: expected one orthogonal matrix of shape \(2, 2\)",
        ),
        (
            lambda: sj.lie_group(SPIN).sample(jax.random.key(0)),
            ValueError,
            r"sample: no sampler of this LieGroup is known; give one",
        ),
        (
            lambda: sj.action(sj.Torus(3), sj.special_orthogonal_group(3)),
            TypeError,
            r"group: LieGroup has no action of its own on Torus",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
