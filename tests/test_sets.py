"""Sets of points against products of copies, multisets by enumeration, and averages of traces."""

import collections
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.quadratures import rule
from tests.registry import EXACT

# name -> (space of one point, copies, truncation)
COPIES = {
    "circle": (sj.Torus(1), 3, 4),
    "sphere": (sj.Sphere(2), 2, 8),
    "labels": (sj.Labels(3), 4, 9),
    "product": (sj.Product(sj.Box(1), sj.Labels(2)), 2, 22),
}


@pytest.mark.parametrize("name", COPIES)
def test_sets_are_products_of_copies(name):
    """The same levels, and eigenspaces of the same reproducing kernel, which knows no order."""
    single, num_points, top = COPIES[name]
    sets, product = sj.Sets(single, num_points), sj.Product(*[single] * num_points)
    levels, others = sets.levels(top), product.levels(top)
    assert [level.multiplicity for level in levels] == [level.multiplicity for level in others]
    np.testing.assert_allclose(
        [level.eigenvalue for level in levels], [level.eigenvalue for level in others], rtol=1e-14
    )
    assert sets.volume == pytest.approx(product.volume)
    assert (sets.dimension, sets.cardinality) == (product.dimension, product.cardinality)
    x = sets.sample(jax.random.key(0), (8,))
    mine = np.asarray(sj.eigenbasis(sets, max_eigenvalue=top)(x), float)
    theirs = np.asarray(sj.eigenbasis(product, max_eigenvalue=top)(x.reshape(8, -1)), float)
    start = 0
    for level in levels:
        here = slice(start, start := start + level.multiplicity)
        kernel, expected = (values[:, here] @ values[:, here].T for values in (mine, theirs))
        np.testing.assert_allclose(kernel, expected, atol=100 * EXACT * level.multiplicity)


def test_levels_of_many_points_on_a_circle_are_those_of_a_torus():
    levels, others = sj.Sets(sj.Torus(1), 100).levels(6), sj.Torus(100).levels(6)
    assert [(level.eigenvalue, level.multiplicity) for level in levels] == [
        (level.eigenvalue, level.multiplicity) for level in others
    ]
    huge = sj.Sets(sj.Sphere(2), 10**6)
    assert [level.multiplicity for level in huge.levels(4)] == [1, 3 * 10**6, 9 * math.comb(10**6, 2)]
    assert (huge.volume, huge.dimension) == (math.inf, 2 * 10**6)
    assert huge.log_volume == pytest.approx(10**6 * math.log(4 * math.pi))


def test_levels_do_not_depend_on_the_truncation():
    space = sj.Sets(sj.Ball(2), 3)
    levels = space.levels(24.0)
    assert len(levels) > 8
    for i, level in enumerate(levels):
        assert space.levels(level.eigenvalue) == levels[: i + 1]


def multisets(eigenvalues, num_points, top):
    """How many multisets of so many functions of one point have each sum up to a bound."""
    few = [value for value in eigenvalues if value <= top]
    sums = map(sum, itertools.combinations_with_replacement(few, num_points))
    return collections.Counter(total for total in sums if total <= top)


@pytest.mark.parametrize(
    ("single", "num_points", "top"),
    [(sj.Torus(1), 4, 9), (sj.Torus(2), 3, 4), (sj.Sphere(2), 3, 6), (sj.Labels(3), 3, 9)],
    ids=["circle", "torus", "sphere", "labels"],
)
def test_symmetric_functions_are_multisets_of_functions_of_one_point(single, num_points, top):
    space, group = sj.Sets(single, num_points), sj.symmetric_group(num_points)
    levels = single.levels(top)
    repeated = np.repeat(
        [level.eigenvalue for level in levels], [level.multiplicity for level in levels]
    )
    expected = multisets(repeated.tolist(), num_points, top)
    basis = sj.invariant_basis(space, group, max_eigenvalue=top)
    assert basis.route == "orbits"
    assert collections.Counter(np.asarray(basis.eigenvalues).round().tolist()) == expected
    for bound in range(top + 1):
        count = sum(times for value, times in expected.items() if value <= bound)
        assert sj.invariant_count(space, group, bound) == count


def test_a_wreath_product_leaves_multisets_of_invariant_functions_of_one_point():
    """Even functions cos kx of a circle, one of each k ≥ 0."""
    space, group = sj.Sets(sj.Torus(1), 50), sj.wreath_product(sj.sign_group(1), 50)
    squares = [k * k for k in range(4)]
    nonconstant = itertools.chain.from_iterable(
        itertools.combinations_with_replacement(squares[1:], size) for size in range(10)
    )
    expected = sum(sum(one) <= 9 for one in nonconstant)
    assert sj.invariant_count(space, group, 9) == expected


@pytest.mark.parametrize(
    ("single", "order", "points", "top"),
    [
        (sj.Sphere(2), lambda: sj.symmetric_group(2), lambda: sj.point_group("D2"), 8),
        (sj.Sphere(1), lambda: sj.cyclic_group(3), lambda: sj.coxeter_group("I2(3)"), 6),
        (sj.Torus(1), lambda: sj.alternating_group(4), lambda: sj.sign_group(1), 3),
    ],
    ids=["S_2 x D2", "C_3 x D_3", "A_4 x mirror"],
)
def test_counts_of_permutations_and_motions_are_averages_of_traces(single, order, points, top):
    """Of products of functions of one point, whose matrices are known by quadrature alone."""
    order, points = order(), points()
    n = order.degree
    space = sj.Sets(single, n)
    basis, acting = sj.eigenbasis(single, max_eigenvalue=top), sj.action(single, points)
    nodes, weights = rule(single, top)
    x = jnp.asarray(nodes, float)
    here = np.asarray(basis(x), float)
    elements = points.elements()
    matrices = []  # of f ↦ f(k·) in the basis, from values alone
    for row in range(points.order):
        k = jax.tree.map(lambda leaf, row=row: leaf[row], elements)
        matrices.append(here.T @ (weights[:, None] * np.asarray(basis(acting.act(k, x)), float)))
    eigenvalues = np.asarray(basis.eigenvalues, float)
    images = np.asarray(order.matrix(order.elements()), int).argmax(axis=1)
    choices = np.asarray(list(itertools.product(range(len(eigenvalues)), repeat=n)))
    choices = choices[eigenvalues[choices].sum(axis=1) <= top * (1 + 1e-6)]
    total = 0.0
    for matrix in matrices:
        for h in images:
            # ⟨Π_j φ_{a_j}(x_j), Π_j φ_{a_j}(k x_{h(j)})⟩ is the product of the entries (a_{h(j)}, a_j).
            total += matrix[choices[:, h], choices].prod(axis=1).sum()
    expected = total / (len(matrices) * len(images))
    count = sj.invariant_count(space, sj.direct_product(order, points), top)
    assert count == pytest.approx(expected, abs=1e-6 if EXACT < 1e-6 else 0.05)
    assert count > 1


def test_a_fit_on_sets_does_not_see_the_order():
    space = sj.Sets(sj.Sphere(2), 3)
    group = sj.direct_product(sj.symmetric_group(3), sj.point_group("T"))
    basis = sj.invariant_basis(space, group, max_eigenvalue=4)
    # Besides the constant the sum of all x_i·x_j at λ = 4, and nothing at 2.
    assert np.asarray(basis.eigenvalues).round(6).tolist() == [0, 4]
    x = space.sample(jax.random.key(0), (30,))
    products = jnp.einsum("nia,nja->n", x, x)
    model = sj.fit_ridge(basis, x, products)
    x_new = space.sample(jax.random.key(1), (20,))
    expected = jnp.einsum("nia,nja->n", x_new, x_new)
    np.testing.assert_allclose(model(x_new), expected, atol=1e4 * EXACT)
    worst = sj.invariance_discrepancy(jax.random.key(2), model, basis.action, x_new)
    assert worst < 1e3 * EXACT


@pytest.mark.parametrize(
    ("num_points", "rotations", "with_reflections"), [(3, 12, 11), (4, 35, 29), (20, 313, 234)]
)
def test_rotations_of_all_points_are_counted_without_a_basis(num_points, rotations, with_reflections):
    """Multigraded series: multisets of harmonics of degree 1 to 5, by the eigenvalue, of weight 0."""
    space, order = sj.Sets(sj.Sphere(2), num_points), sj.symmetric_group(num_points)
    for inner, expected in (
        (sj.special_orthogonal_group(3), rotations),
        (sj.orthogonal_group(3), with_reflections),
    ):
        assert sj.invariant_count(space, sj.direct_product(order, inner), 40) == expected


def test_counts_of_point_clouds_are_those_of_their_scalar_products():
    """O(3) and S_3 on three vectors: monomials of degree 1 and 2 in x_i·x_j, up to order."""
    group = sj.direct_product(sj.symmetric_group(3), sj.orthogonal_group(3))
    clouds = sj.Sets(sj.Gaussian(3), 3)
    pairs = list(itertools.combinations_with_replacement(range(3), 2))

    def kinds(degree):
        monomials = itertools.combinations_with_replacement(pairs, degree)
        return {
            min(
                tuple(sorted(tuple(sorted(order[i] for i in pair)) for pair in one))
                for order in itertools.permutations(range(3))
            )
            for one in monomials
        }

    # One invariant Hermite function for each invariant polynomial, of its degree.
    expected = sum(len(kinds(degree)) for degree in range(3))
    assert sj.invariant_count(clouds, group, 5) == expected == 9
    # Where the order is of a listed group, with labels that stay, and no closed form.
    labelled = sj.Sets(sj.Product(sj.Gaussian(3), sj.Labels(1)), 3)
    cyclic = sj.direct_product(sj.cyclic_group(3), sj.orthogonal_group(3))
    assert sj.invariant_count(labelled, cyclic, 2) == 3
    with pytest.raises(ValueError, match=r"group: no exact count is known for ProductGroup on Sets"):
        sj.invariant_count(
            sj.Sets(sj.Sphere(3), 2),
            sj.direct_product(sj.symmetric_group(2), sj.special_unitary_group(2)),
            8,
        )


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input(monkeypatch):
    with pytest.raises(TypeError, match=r"space: expected a space, such as Sphere\(2\), and got 3"):
        sj.Sets(3, 2)
    with pytest.raises(ValueError, match=r"num_points: expected at least 1 and got 0"):
        sj.Sets(sj.Torus(1), 0)
    with pytest.raises(TypeError, match=r"num_points: .*integer and got 1\.5"):
        sj.Sets(sj.Torus(1), 1.5)
    edges = np.kron(np.eye(3), [[1.0, -1], [-1, 1]])
    with pytest.raises(ValueError, match=r"space: expected a connected one and got one of 3 pieces"):
        sj.Sets(sj.DiscreteSpace(edges), 2)
    space = sj.Sets(sj.Sphere(1), 2)
    with pytest.raises(ValueError, match=r"points: row 3 has norm 2\.0"):
        space.check(np.asarray([[[1.0, 0], [0, 1]], [[1, 0], [0, 2]]]))
    with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 2, 2\)"):
        sj.eigenbasis(space, max_eigenvalue=1)(np.zeros((5, 4)))
    monkeypatch.setattr("symjax_learn.geometry.sets._MAX_MULTISETS", 1000)
    with pytest.raises(ValueError, match=r"max_eigenvalue or max_functions: .* multisets .*lower it"):
        sj.Sets(sj.Gaussian(1), 60).levels(60)
    with pytest.raises(TypeError, match=r"level: .* is not a level of a set of points"):
        space.functions(sj.Torus(1).levels(1))
    with pytest.raises(TypeError, match=r"level: .* are not all keys of Sphere"):
        space.functions([sj.Level(1.0, 4, (((77, 1),),))])
    with pytest.raises(ValueError, match=r"levels: a table .*memory limit"):
        sj.eigenbasis(sj.Sets(sj.Sphere(2), 10**4), max_eigenvalue=4, memory_limit=2**60)
