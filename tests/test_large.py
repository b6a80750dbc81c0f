"""Large eigenspaces without matrices, against the dense routes, and what ``auto`` chooses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.invariants import choice, construct, representation_operator
from symjax_learn.invariants.routes import large
from tests.registry import EXACT, X64

CASES = {
    "signed permutations of a hypercube": (sj.Hypercube(5), lambda: sj.hyperoctahedral_group(5), 8),
    "permutations of graphs": (sj.Graphs(4), lambda: sj.symmetric_group(4), 6),
    "matrices on a sphere": (sj.Sphere(3), lambda: sj.coxeter_group("A4"), 15),
    "matrices on a Gaussian space": (sj.Gaussian(3), lambda: sj.point_group("Td"), 4),
}


def span(basis, points):
    features = np.asarray(basis(points), float)
    return features @ features.T


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("route", ["chain", "subset"])
def test_products_with_vectors_find_what_matrices_find(name, route, monkeypatch):
    space, group, max_eigenvalue = CASES[name]
    dense = sj.invariant_basis(space, group(), max_eigenvalue=max_eigenvalue, route=route)
    monkeypatch.setattr(large, "MAX_DENSE", 2)
    ours = sj.invariant_basis(space, group(), max_eigenvalue=max_eigenvalue, route=route)
    x = space.sample(jax.random.key(0), (30,))
    np.testing.assert_allclose(span(ours, x), span(dense, x), atol=1e4 * EXACT)
    assert ours.certificate.count == ours.num_functions == dense.num_functions
    assert ours.certificate.residual < 1e-10
    assert ours.certificate.gap > 1e6


def test_rotations_of_a_gaussian_space_by_random_projections(monkeypatch):
    """O(3) leaves one polynomial in |x|² of each even degree."""
    monkeypatch.setattr(large, "MAX_DENSE", 4)
    basis = sj.invariant_basis(sj.Gaussian(3), sj.orthogonal_group(3), max_eigenvalue=4, route="subset")
    assert np.asarray(basis.eigenvalues).tolist() == [0, 2, 4]
    assert basis.certificate.residual < 1e-10


def test_an_operator_multiplies_as_its_matrix_does():
    for space, group in (
        (sj.Hypercube(5), sj.hyperoctahedral_group(5)),
        (sj.Sphere(2), sj.point_group("Oh")),
    ):
        action = sj.action(space, group)
        level = space.levels(7)[2]
        g = action.sample(jax.random.key(1), (1,))
        (matrix,) = action.representation(level, g)
        one = jax.tree.map(lambda leaf: leaf[0], g)
        operator = representation_operator(action, level, one)
        vector = jnp.linspace(-1.0, 1.0, level.multiplicity)
        np.testing.assert_allclose(operator.mv(vector), matrix @ np.asarray(vector), atol=10 * EXACT)
        np.testing.assert_allclose(operator.as_matrix(), matrix, atol=10 * EXACT)


def test_auto_says_which_route_and_why():
    basis = sj.invariant_basis(sj.Box(2), sj.symmetric_group(2), max_eigenvalue=20)
    assert (basis.route, basis.reason) == (
        "orbits",
        "the group permutes the eigenfunctions up to phases",
    )
    basis = sj.invariant_basis(sj.Sphere(2), sj.point_group("Td"), max_eigenvalue=12)
    assert basis.route == "generators"
    assert "generators constrain eigenspaces of dimension up to 7" in basis.reason
    basis = sj.invariant_basis(sj.Sphere(2), sj.point_group("Td"), max_eigenvalue=2, route="chain")
    assert basis.reason == "it was asked for"


def test_auto_uses_no_matrix_of_a_large_eigenspace(monkeypatch):
    space, group = sj.Gaussian(3), sj.point_group("O")
    assert sj.invariant_basis(space, group, max_functions=1).route == "generators"
    for room in (choice, construct, large):
        monkeypatch.setattr(room, "MAX_DENSE", 20)
    basis = sj.invariant_basis(space, group, max_eigenvalue=5)
    assert space.levels(5)[-1].multiplicity == 21
    assert basis.route == "chain"
    assert "eigenspaces of dimension 21 > 20" in basis.reason
    assert basis.certificate.source == "character"
    assert basis.certificate.residual < 1e-10


def test_a_group_without_a_known_count_is_counted_by_a_second_route():
    """A circle in O(4) given by its Lie algebra alone, with samples of its own."""
    plane = np.zeros((4, 4))
    plane[0, 1], plane[1, 0] = -1, 1

    def sample(key):
        angle = 2 * jnp.pi * jax.random.uniform(key)
        c, s = jnp.cos(angle), jnp.sin(angle)
        return jnp.eye(4).at[:2, :2].set(jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])]))

    group = sj.lie_group([plane], sample=sample)
    basis = sj.invariant_basis(sj.Sphere(3), group, max_eigenvalue=8)
    assert basis.certificate.source == "second_route"
    # Degree 1: x_3, x_4. Degree 2: x_3² − x_4², x_3 x_4, and x_1² + x_2² − x_3² − x_4².
    assert [int((np.asarray(basis.eigenvalues) == value).sum()) for value in (0, 3, 8)] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.skipif(not X64, reason="set-up work is the same float64 in every session")
@pytest.mark.parametrize("space", [sj.Gaussian(20), sj.Hypercube(20)], ids=["Gaussian", "hypercube"])
def test_ten_thousand_dimensions_under_twenty_factorial_elements(space):
    """Partitions of at most 4 into parts; subsets by their size."""
    gaussian = isinstance(space, sj.Gaussian)
    bound = 4 if gaussian else 10
    basis = sj.invariant_basis(space, sj.symmetric_group(20), max_eigenvalue=bound, route="chain")
    assert space.levels(bound)[-1].multiplicity > 8000
    assert basis.num_functions == basis.certificate.count == (12 if gaussian else 6)
    assert basis.certificate.residual < 1e-10
