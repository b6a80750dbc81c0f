"""Canonical forms: constant on orbits, in the orbit, and different on different orbits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symjax_learn as sj
from symjax_learn.algebra.orbits import (
    gram_form,
    least_image,
    least_rotation,
    monomial_orbits,
    point_orbit,
    sorted_form,
    sorted_magnitudes,
    sorted_projections,
)
from tests.registry import EXACT, GROUPS, LATTICE_GROUPS, brute_force

FORMS = {
    "S_4": (sj.symmetric_group(4), sorted_form),
    "B_3": (sj.hyperoctahedral_group(3), sorted_magnitudes),
    "C_5": (sj.cyclic_group(5), least_rotation),
    **{
        name: (GROUPS[name][0](), lambda x, name=name: least_image(GROUPS[name][0](), x))
        for name in ("A_4", "D_4", "rotations by 90°", "{±1}^3", "S_2 wr S_2")
    },
}


@pytest.mark.parametrize("name", FORMS)
def test_canonical_forms(name):
    """One point of each orbit, the same for all its points; ties among small integers included."""
    group, form = FORMS[name]
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=(6, group.degree)), rng.integers(-1, 2, (6, group.degree)).astype(float)):
        points = jnp.asarray(x)
        chosen = np.asarray(form(points))
        elements = jax.tree.map(lambda leaf: jnp.asarray(leaf)[:, None], group.elements())
        images = np.asarray(group.apply(elements, points[None]))  # (|G|, 6, d)
        nearest = np.abs(images - chosen[None]).max(axis=2).min(axis=0)
        assert nearest.max() < EXACT
        np.testing.assert_allclose(
            form(jnp.asarray(images)), np.broadcast_to(chosen, images.shape), atol=EXACT
        )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=7, max_size=7))
def test_the_least_rotation_is_the_least_of_all(row):
    expected = min(row[i:] + row[:i] for i in range(len(row)))
    assert least_rotation(jnp.asarray(row, float)).tolist() == expected


def test_forms_are_differentiable_and_compile():
    x = jnp.asarray([[2.0, 1.0, 3.0, 1.5, 2.5]])
    slope = jax.jit(jax.grad(lambda x: (least_rotation(x) * jnp.arange(5.0)[None]).sum()))(x)
    np.testing.assert_array_equal(slope, [[4.0, 0.0, 1.0, 2.0, 3.0]])


@pytest.mark.parametrize("d", [2, 3])
def test_gram_forms_separate_up_to_rotations_and_tell_mirror_images_apart(d):
    rng = np.random.default_rng(d)
    cloud = rng.normal(size=(4, 5, d))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    turn[:, 0] *= np.linalg.det(turn)
    mirror = turn @ np.diag([-1.0] + [1.0] * (d - 1))
    points, turned, mirrored = (jnp.asarray(cloud @ m) for m in (np.eye(d), turn, mirror))
    for oriented in (False, True):
        np.testing.assert_allclose(
            gram_form(points, oriented=oriented), gram_form(turned, oriented=oriented), atol=30 * EXACT
        )
    np.testing.assert_allclose(gram_form(points), gram_form(mirrored), atol=30 * EXACT)
    assert (
        np.abs(gram_form(points, oriented=True) - gram_form(mirrored, oriented=True)).max(axis=1) > 0.1
    ).all()
    # The Gram matrix gives the cloud back, up to O(d).
    gram = np.zeros((5, 5))
    gram[np.triu_indices(5)] = np.asarray(gram_form(points[0]))
    gram = gram + np.triu(gram, 1).T
    values, vectors = np.linalg.eigh(gram)
    again = (vectors * np.sqrt(np.maximum(values, 0)))[:, -d:]
    distances = [np.linalg.norm(c[:, None] - c[None], axis=-1) for c in (cloud[0], again)]
    np.testing.assert_allclose(*distances, atol=1e-6 if EXACT < 1e-9 else 5e-3)


def test_gram_forms_of_few_points_have_no_minors_and_of_many_are_refused():
    assert gram_form(jnp.ones((2, 3)), oriented=True).shape == (3,)
    with pytest.raises(ValueError, match=r"points: 200 points in dimension 3 .*oriented=False"):
        gram_form(jnp.ones((200, 3)), oriented=True)


def test_sorted_projections_separate_sets_that_few_directions_confuse():
    """The even and the odd corners of a cube have the same projections on all axes and diagonals."""
    corners = np.asarray(list(np.ndindex(2, 2, 2)), float) * 2 - 1
    even, odd = (corners[np.prod(corners, axis=1) == sign] for sign in (1, -1))
    clouds = jnp.asarray(np.stack([even, odd]))
    axes = sorted_projections(clouds, jnp.eye(3))
    np.testing.assert_array_equal(axes[0], axes[1])
    directions = jax.random.normal(jax.random.key(0), (2 * 4 * 3 + 1, 3))
    found = sorted_projections(clouds, directions)
    assert found.shape == (2, 25, 4)
    assert float(jnp.abs(found[0] - found[1]).max()) > 0.1
    np.testing.assert_allclose(sorted_projections(clouds[:, ::-1], directions), found, atol=EXACT)


def test_orbits_of_a_million_indices():
    """S_10 on the entries of a tensor of order six in ten dimensions: Bell-like counts, 203 orbits."""
    generators = np.asarray(sj.symmetric_group(10).generators)
    indices = np.stack(np.unravel_index(np.arange(10**6), (10,) * 6))
    targets = np.stack([np.ravel_multi_index(tuple(g[indices]), (10,) * 6) for g in generators])
    found = monomial_orbits(targets, np.zeros_like(targets), 1)
    assert len(found.carries) == 203  # partitions of six indices into equal ones
    assert found.carries.all()


@pytest.mark.parametrize("name", LATTICE_GROUPS)
def test_least_image_takes_any_linear_group(name):
    group = LATTICE_GROUPS[name][0]()
    x = jnp.asarray([0.3, -0.2])
    images = jnp.stack(
        [group.apply(jax.tree.map(lambda leaf, i=i: leaf[i], group.elements()), x) for i in range(6)]
    )
    for image in images:
        np.testing.assert_allclose(least_image(group, image), least_image(group, x), atol=EXACT)


@pytest.mark.parametrize("name", ["S_4", "B_3", "icosahedral", "C_3 wr S_2", "trivial(2)"])
def test_orbits_of_points_by_brute_force(name):
    group = GROUPS[name][0]()
    elements = brute_force(group)[0]
    rng = np.random.default_rng(0)
    for point in (rng.normal(size=group.degree), np.ones(group.degree), np.zeros(group.degree)):
        found = point_orbit(group, point)
        np.testing.assert_allclose(found[0], point, atol=1e-15)
        images = elements @ point
        different = np.unique(np.floor(1e4 * images + 0.37), axis=0)
        assert len(found) == len(different)
        distances = np.linalg.norm(found[:, None] - images[None], axis=-1)
        assert max(distances.min(axis=0).max(), distances.min(axis=1).max()) < 1e-12


def test_orbits_of_points_have_a_bound():
    with pytest.raises(ValueError, match=r"point: its orbit has more than max_points = 100 points"):
        point_orbit(sj.symmetric_group(6), np.arange(6.0), max_points=100)
    with pytest.raises(ValueError, match=r"point: expected shape \(3,\) and got \(2,\)"):
        point_orbit(sj.symmetric_group(3), np.ones(2))
    with pytest.raises(ValueError, match=r"group: LieGroup is continuous, and so are its orbits"):
        point_orbit(sj.special_orthogonal_group(3), np.ones(3))
