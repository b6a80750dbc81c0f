"""The order of the kernel of an action, against the elements that fix random points."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.invariants.kernels import kernel_order
from tests.registry import PAIR_NAMES, PAIRS, USERS, brute_force, distances, moved, turns


def fixing(acting, num_points=40):
    """The elements, of all as products of the generators, that leave random points where they are."""
    points = np.asarray(acting.space.sample(jax.random.key(1), (num_points,)))
    images = moved(acting.space, *brute_force(acting.group), points)
    return int((distances(acting.space, images, points) < 1e-4).all(axis=1).sum())


@pytest.mark.parametrize("name", [name for name in PAIR_NAMES if name not in USERS])
def test_the_elements_that_move_nothing(name):
    acting = PAIRS[name]().action
    assert kernel_order(acting) == fixing(acting)


WITH_KERNEL = {
    "B_3 on graphs": (lambda: sj.Graphs(3), lambda: sj.hyperoctahedral_group(3), 2),
    "B_2 on one edge": (lambda: sj.Graphs(2), lambda: sj.hyperoctahedral_group(2), 4),
    "S_2 on one edge": (lambda: sj.Graphs(2), lambda: sj.symmetric_group(2), 2),
    "signs on graphs": (
        lambda: sj.Graphs(4),
        lambda: sj.signed_permutation_group([[1, 0, 3, 2]], [[1, -1, 1, -1]]),
        2,
    ),
    "two sign groups on graphs": (
        lambda: sj.Graphs(4),
        lambda: sj.direct_product(sj.sign_group(2), sj.sign_group(2)),
        2,
    ),
    "wreath product on graphs": (
        lambda: sj.Graphs(4),
        lambda: sj.wreath_product(sj.sign_group(2), 2),
        2,
    ),
    "a turned inversion on planes": (
        lambda: sj.Grassmannian(1, 3),
        lambda: sj.matrix_group([-np.eye(3), np.diag([1.0, 1.0, -1.0])]),
        2,
    ),
    "hexagon on lines": (lambda: sj.Grassmannian(1, 2), lambda: sj.matrix_group([turns(6)]), 2),
    "pentagon on lines": (lambda: sj.Grassmannian(1, 2), lambda: sj.matrix_group([turns(5)]), 1),
    "signs on both sides of frames": (
        lambda: sj.Stiefel(2, 4),
        lambda: sj.direct_product(sj.sign_group(2), sj.hyperoctahedral_group(4)),
        2,
    ),
    "signs on one side of frames": (lambda: sj.Stiefel(2, 4), lambda: sj.sign_group(4), 1),
    "planes beside labels": (
        lambda: sj.Product(sj.Grassmannian(1, 3), sj.Labels(2)),
        lambda: sj.direct_product(sj.sign_group(3), sj.symmetric_group(2)),
        2,
    ),
    "pairs of planes": (
        lambda: sj.Sets(sj.Grassmannian(1, 2), 2),
        lambda: sj.direct_product(sj.symmetric_group(2), sj.sign_group(2)),
        2,
    ),
    "pairs of planes, each by its own": (
        lambda: sj.Sets(sj.Grassmannian(1, 2), 2),
        lambda: sj.wreath_product(sj.sign_group(2), 2),
        4,
    ),
    "points that are all one": (
        lambda: sj.Sets(sj.Labels(1), 3),
        lambda: sj.symmetric_group(3),
        6,
    ),
}


@pytest.mark.parametrize("name", WITH_KERNEL)
def test_kernels_by_structure(name):
    space, group, order = WITH_KERNEL[name]
    acting = sj.action(space(), group())
    assert kernel_order(acting) == order
    if not isinstance(acting.space, sj.Product) and "own" not in name:  # which brute force knows
        assert fixing(acting) == order


def test_groups_too_large_to_list():
    assert kernel_order(sj.action(sj.Torus(100), sj.symmetric_group(100))) == 1
    assert kernel_order(sj.action(sj.Graphs(100), sj.hyperoctahedral_group(100))) == 2
    sets = sj.Sets(sj.Grassmannian(1, 2), 60)
    assert kernel_order(sj.action(sets, sj.wreath_product(sj.sign_group(2), 60))) == 2**60
    assert kernel_order(sj.action(sj.Sphere(2), sj.orthogonal_group(3))) is None


def _turned(points, periods):
    angle = 2 * math.pi * periods.astype(points.dtype)
    return points + jnp.asarray([1.0, 0.0], points.dtype) * angle


def test_a_users_own_act_is_tried_at_points():
    def halves(g, point):
        """C_6 turns the circle by thirds: its half turn does nothing."""
        return _turned(point, (g[0] % 3) / 3)

    def doubled(g, point):
        """C_6 by whole turns: all of it does nothing."""
        return _turned(point, g[0])

    group = sj.cyclic_group(6)
    assert kernel_order(sj.action(sj.Torus(2), group, act=halves)) == 2
    assert kernel_order(sj.action(sj.Torus(2), group, act=doubled)) == 6
    for name in USERS:
        assert kernel_order(PAIRS[name]().action) == 1
    large = sj.action(sj.Torus(9), sj.symmetric_group(9), act=lambda g, point: point[g])
    assert kernel_order(large) is None


def test_a_users_own_act_that_moves_few_points():
    """What moves two labels of forty does not stay unseen, alone, in a product, and in sets."""
    group, labels = sj.symmetric_group(2), sj.Labels(40)

    def last_two(g, point):
        place = point.astype(jnp.int32)
        return jnp.where(place >= 38, 38 + g[place - 38], place).astype(point.dtype)

    def beside(g, point):
        return jnp.concatenate([point[:2], last_two(g, point[2:])])

    assert kernel_order(sj.action(labels, group, act=last_two)) == 1
    assert kernel_order(sj.action(sj.Product(sj.Torus(2), labels), group, act=beside)) == 1
    pairs = sj.Sets(sj.Product(sj.Torus(2), sj.Labels(3)), 2)
    assert kernel_order(sj.action(pairs, group, act=lambda g, point: point[g])) == 1
    many = sj.action(sj.Hypercube(10), group, act=lambda _, point: point)
    assert kernel_order(many) is None
