"""Stabilizer chains of every listed group, against brute force in permutations: exact, and in NumPy."""

import functools
import math

import jax
import numpy as np
import pytest

from symjax_learn.algebra import (
    AffineTorusGroup,
    MatrixGroup,
    PermutationGroup,
    SignedPermutationGroup,
)
from tests.registry import LISTED, X64

pytestmark = pytest.mark.skipif(not X64, reason="integers and float64, the same in every session")


class Listed:
    """A group, its order from a table, and all its elements from products of its generators."""

    def __init__(self, name):
        constructor, self.order = LISTED[name]
        self.group = constructor()
        generators = np.asarray(self.group.faithful(self.group.generators), np.int16)
        identity = jax.tree.map(lambda leaf: leaf[None], self.group.identity)
        frontier = np.asarray(self.group.faithful(identity), np.int16)
        found = {frontier[0].tobytes(): frontier[0]}
        while len(frontier):
            products = np.concatenate([frontier[:0], *(g[frontier] for g in generators)])
            fresh = {p.tobytes(): p for p in products if p.tobytes() not in found}
            found.update(fresh)
            frontier = np.asarray(list(fresh.values())).reshape(-1, products.shape[1])
        self.found = np.stack(list(found.values()))

    @functools.cached_property
    def elements(self):
        return self.group.elements()


@pytest.fixture(params=LISTED, scope="module")
def listed(request):
    return Listed(request.param)


def matrices(group, g):
    """The matrices of elements in float64, where it can be without JAX."""
    if isinstance(group, MatrixGroup):
        return np.asarray(g, float)
    if isinstance(group, AffineTorusGroup):
        return np.asarray(g.matrix, float)
    if not isinstance(group, PermutationGroup | SignedPermutationGroup):
        with jax.enable_x64(True):
            return np.asarray(group.matrix(g), float)
    images, signs = (np.asarray(g), 1.0) if isinstance(group, PermutationGroup) else map(np.asarray, g)
    found = np.zeros((*images.shape, images.shape[-1]))
    np.put_along_axis(found, images[:, None], np.broadcast_to(signs, images.shape)[:, None], axis=1)
    return found


def codes(rows):
    return {row.tobytes() for row in np.asarray(rows, np.int16)}


def test_there_are_more_than_sixty_groups():
    assert len(LISTED) > 60


def test_order_elements_and_generators(listed):
    assert listed.group.order == listed.order == len(listed.found)
    images = listed.group.faithful(listed.elements)
    assert len(images) == listed.order
    assert codes(images) == codes(listed.found)
    assert listed.group.num_generators <= max(1, math.log2(listed.order))


def test_membership(listed):
    """All that brute force finds, and of random permutations of the points only those."""
    known, points = codes(listed.found), listed.found.shape[1]
    rng = np.random.default_rng(0)
    strangers = np.stack([rng.permutation(points) for _ in range(20)])
    # An involution of two points of an orbit may or may not belong, and sifts deepest.
    swap = np.arange(points)
    swap[:2] = swap[:2][::-1]
    strangers = np.concatenate([strangers, swap[None]])
    chain = listed.group.transversals()
    assert math.prod(len(jax.tree.leaves(u)[0]) for u in chain) == listed.order
    some = listed.found[rng.integers(0, len(listed.found), 50)]
    members = listed.group.from_faithful(some)
    assert listed.group.contains(members).all()
    if isinstance(listed.group, PermutationGroup):
        answers = listed.group.contains(strangers)
        assert answers.tolist() == [row.tobytes() in known for row in np.asarray(strangers, np.int16)]


def test_the_average_over_a_chain_is_that_over_the_group(listed):
    """On vectors and on tensors g ⊗ g: P = avg(U_1) avg(U_2) …, to 1e-12."""
    group = listed.group

    def averages(g):
        found = matrices(group, g)
        return found.mean(axis=0), np.einsum("gij,gkl->ikjl", found, found, optimize=True) / len(found)

    d = group.degree
    product, tensors = np.eye(d), np.eye(d * d)
    for transversal in group.transversals():
        one, two = averages(transversal)
        product, tensors = product @ one, tensors @ two.reshape(d * d, d * d)
    one, two = averages(listed.elements)
    np.testing.assert_allclose(product, one, atol=1e-12)
    np.testing.assert_allclose(tensors, two.reshape(d * d, d * d), atol=1e-12)
