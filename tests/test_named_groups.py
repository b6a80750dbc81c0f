"""Named groups against published tables: orders, degrees, crystallographic restriction; products."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.algebra import MatrixGroup, PermutationGroup
from symjax_learn.algebra.coxeter import coxeter_degrees, coxeter_matrix
from symjax_learn.algebra.crystals import _SCHOENFLIES_OF
from symjax_learn.algebra.series import hilbert_series, molien_series, multiset_series
from tests.registry import DEGREES, POINT_GROUPS


@pytest.mark.parametrize("name", DEGREES)
def test_reflection_groups(name):
    """The order is the product of the degrees, and the number of reflections the sum of d_i − 1."""
    group, degrees = sj.coxeter_group(name), DEGREES[name]
    assert coxeter_degrees(name) == sorted(degrees)
    assert group.order == math.prod(degrees)
    assert group.degree == group.num_generators == len(degrees)
    matrices, orders = np.asarray(group.generators), coxeter_matrix(name)
    for i, j in itertools.combinations_with_replacement(range(group.degree), 2):
        product = np.linalg.matrix_power(matrices[i] @ matrices[j], orders[i][j])
        np.testing.assert_allclose(product, np.eye(group.degree), atol=1e-12)
    if group.order <= 2000:
        elements = np.asarray(group.elements())
        traces = np.trace(elements, axis1=1, axis2=2)
        reflections = np.isclose(traces, group.degree - 2) & (np.linalg.det(elements) < 0)
        assert reflections.sum() == sum(d - 1 for d in degrees)


@pytest.mark.parametrize("name", [name for name in DEGREES if math.prod(DEGREES[name]) <= 10**5])
def test_molien_of_reflection_groups_is_the_product_of_their_degrees(name):
    elements = np.asarray(sj.coxeter_group(name).elements())
    assert molien_series(elements, 30) == hilbert_series(DEGREES[name], 30)


def test_molien_of_classes_with_their_sizes():
    classes = np.stack([np.eye(3)[list(p)] for p in ([0, 1, 2], [1, 0, 2], [1, 2, 0])])
    sizes = np.asarray([1, 3, 2])
    assert molien_series(classes, 12, multiplicities=sizes) == hilbert_series([1, 2, 3], 12)
    with pytest.raises(ValueError, match=r"matrices: the average .* not integral"):
        molien_series(classes, 12)


def test_the_series_of_a_hundred_points():
    partitions = hilbert_series(range(1, 101), 20)
    assert partitions[:11] == [1, 1, 2, 3, 5, 7, 11, 15, 22, 30, 42]
    assert partitions == multiset_series(100, 20, range(1, 21))
    assert multiset_series(2, 6, range(1, 7)) == [1, 1, 2, 2, 3, 3, 4]  # partitions in at most two parts


@pytest.mark.parametrize("name", POINT_GROUPS)
def test_point_groups(name):
    """Orders, crystallographic restriction, and inversion or proper rotations where the name says so."""
    group = sj.point_group(name)
    assert group.order == POINT_GROUPS[name]
    elements = np.asarray(group.elements())
    traces = np.abs(np.trace(elements, axis1=1, axis2=2))
    if name not in ("I", "Ih"):
        np.testing.assert_allclose(traces, np.round(traces), atol=1e-12)
    proper = np.linalg.det(elements) > 0
    rotations = name[0] in "CDTOI" and not name.endswith(("h", "v", "d", "i", "s"))
    assert proper.all() == rotations
    inversion = np.abs(elements + np.eye(3)).max(axis=(1, 2)).min() < 1e-9
    assert inversion == (
        name in ("Ci", "C2h", "D2h", "C4h", "D4h", "S6", "D3d", "C6h", "D6h", "Th", "Oh", "Ih")
    )


def test_crystallographers_and_chemists_mean_the_same_34_groups():
    assert set(_SCHOENFLIES_OF.values()) == set(POINT_GROUPS)
    for symbol, name in _SCHOENFLIES_OF.items():
        assert sj.point_group(symbol).order == POINT_GROUPS[name]


def test_the_molien_series_of_the_cube_is_that_of_b3():
    assert molien_series(np.asarray(sj.point_group("Oh").elements()), 20) == hilbert_series(
        [2, 4, 6], 20
    )


def test_a_product_acts_block_by_block():
    product = sj.direct_product(
        sj.symmetric_group(2), sj.direct_product(sj.sign_group(1), sj.cyclic_group(3))
    )
    assert len(product.factors) == 3  # flattened
    assert product.order == 2 * 2 * 3
    g = (jnp.asarray([1, 0]), sj.sign_group(1).elements(), jnp.asarray([1, 2, 0]))
    g = (g[0], jax.tree.map(lambda leaf: leaf[1], g[1]), g[2])
    moved = product.apply(g, jnp.arange(1.0, 7.0))
    np.testing.assert_array_equal(moved, [2, 1, -3, 6, 4, 5])


def test_a_wreath_product_permutes_the_blocks_that_it_moves():
    group = sj.wreath_product(sj.cyclic_group(2), 3)
    assert group.order == 2**3 * 6
    inner = jnp.asarray([[1, 0], [0, 1], [0, 1]])  # the first block is reversed
    g = group.identity._replace(inner=inner, images=jnp.asarray([2, 0, 1]))
    moved = group.apply(g, jnp.arange(6.0))
    np.testing.assert_array_equal(moved, [2, 3, 4, 5, 1, 0])
    assert sj.wreath_product(sj.symmetric_group(1), 4).order == 24
    big = sj.wreath_product(sj.symmetric_group(10), 10)
    assert big.order == math.factorial(10) ** 11
    assert big.sample(jax.random.key(0), (3,)).images.shape == (3, 10)


def test_redundant_generators_are_dropped():
    """All elements as generators: what is left generates the same group, with at most log₂|G|."""
    for group in (sj.symmetric_group(4), sj.hyperoctahedral_group(2), sj.point_group("Td")):
        everything = group.elements()
        if isinstance(group, MatrixGroup):
            again = sj.matrix_group(everything)
        elif isinstance(group, PermutationGroup):
            again = sj.permutation_group(everything)
        else:
            again = sj.signed_permutation_group(everything.images, everything.signs)
        assert again.order == group.order
        assert again.num_generators <= math.log2(group.order)
        assert again.contains(everything).all()


def cycles(degree, *rows):
    """A permutation of 0..degree−1 by its cycles."""
    images = list(range(degree))
    for row in rows:
        for a, b in zip(row, (*row[1:], row[0]), strict=True):
            images[a] = b
    return images


def test_the_largest_mathieu_group():
    """M_24 on the projective line of 23 elements: x ↦ x + 1, x ↦ 2x, x ↦ −1/x and one more (Conway)."""
    infinity, squares = 23, {x * x % 23 for x in range(1, 23)}
    shift = [(x + 1) % 23 for x in range(23)] + [infinity]
    double = [2 * x % 23 for x in range(23)] + [infinity]
    invert = [infinity] + [-pow(x, -1, 23) % 23 for x in range(1, 23)] + [0]
    mixed = [0] + [
        (pow(x, 3, 23) * pow(9, -1, 23) if x in squares else 9 * pow(x, 3, 23)) % 23
        for x in range(1, 23)
    ]
    group = sj.permutation_group([shift, double, invert, [*mixed, infinity]])
    assert group.order == 244_823_040


def test_the_cube_of_rubik():
    """48 stickers: each face turns its own eight, and four rows of three beside it (Singmaster)."""
    faces = [
        [(1, 3, 8, 6), (2, 5, 7, 4), (9, 33, 25, 17), (10, 34, 26, 18), (11, 35, 27, 19)],
        [(9, 11, 16, 14), (10, 13, 15, 12), (1, 17, 41, 40), (4, 20, 44, 37), (6, 22, 46, 35)],
        [(17, 19, 24, 22), (18, 21, 23, 20), (6, 25, 43, 16), (7, 28, 42, 13), (8, 30, 41, 11)],
        [(25, 27, 32, 30), (26, 29, 31, 28), (3, 38, 43, 19), (5, 36, 45, 21), (8, 33, 48, 24)],
        [(33, 35, 40, 38), (34, 37, 39, 36), (3, 9, 46, 32), (2, 12, 47, 29), (1, 14, 48, 27)],
        [(41, 43, 48, 46), (42, 45, 47, 44), (14, 22, 30, 38), (15, 23, 31, 39), (16, 24, 32, 40)],
    ]
    generators = [cycles(49, *face) for face in faces]
    assert sj.permutation_group(generators).order == 43_252_003_274_489_856_000


@pytest.mark.parametrize(
    ("height", "width", "options", "order"),
    [
        (3, 4, (True, False, False), 12),
        (3, 4, (True, True, False), 48),
        (4, 4, (False, True, True), 8),
        (5, 5, (True, True, True), 200),
        (5, 5, (False, False, True), 4),
        (1, 6, (True, True, False), 12),
        (2, 3, (False, False, False), 1),
        (28, 28, (True, True, True), 8 * 784),
    ],
)
def test_image_groups(height, width, options, order):
    names = ("translations", "mirrors", "rotations")
    group = sj.image_group(height, width, **dict(zip(names, options, strict=True)))
    assert group.order == order
    # Neighbours stay neighbours, on the torus of pixels.
    g = np.asarray(group.sample(jax.random.key(0), (5,)))
    places = np.stack(np.divmod(g, width), axis=-1).reshape(5, height, width, 2)
    for axis in (1, 2):
        step = np.abs(places - np.roll(places, 1, axis=axis))
        assert (np.minimum(step, np.asarray([height, width]) - step).sum(axis=-1) <= 1).all()


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sj.coxeter_group("E9"), ValueError, r"name: expected a finite Coxeter group, .* 'E9'"),
        (lambda: sj.coxeter_group("I2(2)"), ValueError, r"name: .* 'I2\(2\)'"),
        (lambda: sj.coxeter_group(3), ValueError, r"name: .* got 3"),
        (
            lambda: sj.point_group("D2hh"),
            ValueError,
            r"name: there is no point group 'D2hh'; did .* D2h",
        ),
        (
            lambda: sj.image_group(2, 3, translations=True, mirrors=True, rotations=True),
            ValueError,
            r"rotations: quarter turns need a square image and this one is 2 × 3",
        ),
        (lambda: sj.direct_product(), ValueError, r"groups: .*at least one"),
        (lambda: sj.direct_product(3), TypeError, r"groups: expected groups and got a int"),
        (lambda: sj.wreath_product(3, 2), TypeError, r"inner: expected a group and got a int"),
        (lambda: sj.wreath_product(sj.cyclic_group(2), 0), ValueError, r"n: expected at least 1"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
