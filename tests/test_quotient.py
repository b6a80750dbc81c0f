"""Dimensions and volumes of quotients: independent formulas, laws, Monte Carlo against closed forms."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import block_diag

import symjax_learn as sj
from symjax_learn.geometry.tangents import orthonormal_coordinates, squared_chords
from symjax_learn.invariants.kernels import kernel_order
from symjax_learn.theory.dimension import orbit_dimension
from symjax_learn.theory.estimates import extrapolation, tail_index
from symjax_learn.theory.group_volumes import log_group_volume
from tests.registry import ON_OTHERS, PAIRS, X64

pytestmark = pytest.mark.skipif(not X64, reason="the same float64 in every session")

KEY = jax.random.key(3)
J = np.asarray([[0.0, -1.0], [1.0, 0.0]])
SO3 = sj.special_orthogonal_group(3)
TWO_VECTORS = sj.lie_group(
    [np.kron(np.eye(2), a) for a in np.asarray(SO3.lie_algebra)],
    sample=lambda key: jnp.kron(jnp.eye(2), SO3.sample(key)),
)
AXIS = sj.lie_group([block_diag(J, 0)])
CONJUGATION = sj.action(sj.RotationGroup(), SO3, act=lambda g, x: g @ x @ g.T)


def on(space, group):
    return sj.action(space, group)


# name -> (action, dim(M/G), vol(M/G) or None where no closed form is known to the library)
CONTINUOUS = {
    "SO(3) on S²": (lambda: on(sj.Sphere(2), SO3), 0, 1.0),
    "turns about an axis": (lambda: on(sj.Sphere(2), AXIS), 1, math.pi),
    "O(9) on S⁹": (
        lambda: on(sj.Sphere(9), sj.direct_product(sj.orthogonal_group(9), sj.trivial_group(1))),
        1,
        math.pi,
    ),
    "Hopf": (lambda: on(sj.Sphere(3), sj.lie_group([block_diag(J, J)])), 2, math.pi),
    "SU(2) on pairs": (
        lambda: on(
            sj.Sphere(7),
            sj.lie_group([np.kron(np.eye(2), a) for a in sj.special_unitary_group(2).lie_algebra]),
        ),
        4,
        (math.pi**4 / 3) / (2 * math.pi**2),
    ),
    "torus of S³": (
        lambda: on(sj.Sphere(3), sj.lie_group([block_diag(J, 0 * J), block_diag(0 * J, J)])),
        1,
        math.pi / 2,
    ),
    "O(2) x S_2": (
        lambda: on(sj.Sphere(3), sj.direct_product(sj.orthogonal_group(2), sj.symmetric_group(2))),
        2,
        math.pi,  # a half of S², halved again
    ),
    "SO(2) wr S_2": (
        lambda: on(sj.Sphere(3), sj.wreath_product(sj.special_orthogonal_group(2), 2)),
        1,
        math.pi / 4,
    ),
    "SO(3) on two vectors": (lambda: on(sj.Sphere(5), TWO_VECTORS), 2, None),
    "SO(3) on a ball": (lambda: on(sj.Ball(3, 2.0), SO3), 1, 2.0),
    "SO(3) on a Gaussian": (lambda: on(sj.Gaussian(3), SO3), 1, None),
    "SO(3) on itself": (lambda: on(sj.RotationGroup(), SO3), 0, 1.0),
    "turns on one side": (lambda: on(sj.RotationGroup(), AXIS), 2, 4 * math.pi),
    "turns on both sides": (
        lambda: on(sj.RotationGroup(), sj.direct_product(AXIS, AXIS)),
        1,
        math.pi,
    ),
    "conjugation": (lambda: CONJUGATION, 1, None),
    "O(2) on frames": (
        lambda: on(sj.Stiefel(2, 4), sj.orthogonal_group(2)),
        4,
        sj.Grassmannian(2, 4).volume,
    ),
    "SO(3) on frames": (lambda: on(sj.Stiefel(3, 5), SO3), 6, 2 * sj.Grassmannian(3, 5).volume),
    "SO(4) on planes": (
        lambda: on(sj.Grassmannian(2, 4), sj.special_orthogonal_group(4)),
        0,
        1.0,
    ),
    "the diagonal of T²": (
        lambda: on(sj.Torus(2), sj.translation_group([[1, 1]])),
        1,
        math.sqrt(2) * math.pi,
    ),
    "directions that are not primitive": (
        lambda: on(sj.Torus(3, 1.0), sj.translation_group([[2, 4, 0], [0, 2, 2]])),
        1,
        1 / math.sqrt(6),  # what is orthogonal to the primitive (2, −1, 1) has a cell of its length
    ),
    "shifts x S_2": (
        lambda: on(sj.Torus(3), sj.direct_product(sj.translation_group(1), sj.symmetric_group(2))),
        2,
        2 * math.pi**2,
    ),
    "shifts of points": (
        lambda: on(
            sj.Sets(sj.Torus(1), 3), sj.direct_product(sj.symmetric_group(3), sj.translation_group(1))
        ),
        2,
        (2 * math.pi) ** 2 / math.sqrt(3) / 6,
    ),
    "sets on S²": (
        lambda: on(sj.Sets(sj.Sphere(2), 3), sj.direct_product(sj.symmetric_group(3), SO3)),
        3,
        None,
    ),
    "each point by its own": (
        lambda: on(sj.Sets(sj.Ball(3), 4), sj.wreath_product(SO3, 4)),
        4,
        1 / 24,
    ),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_dimensions_and_closed_forms(name):
    make, dimension, volume = CONTINUOUS[name]
    acting = make()
    assert sj.quotient_dimension(acting.space, acting) == dimension
    found = sj.closed_log_volume(acting)
    if volume is None:
        assert found is None
    else:
        assert found == pytest.approx(math.log(volume), abs=1e-12)


@pytest.mark.parametrize("name", ["Hopf", "SO(3) on two vectors", "conjugation"])
def test_the_dimension_does_not_depend_on_the_points(name):
    make, dimension, _ = CONTINUOUS[name]
    acting = make()
    for seed in range(4):
        found = orbit_dimension(jax.random.key(seed), acting)
        assert found == acting.space.dimension - dimension


def test_dimensions_and_volumes_of_products_add_up():
    spaces = [sj.Sphere(2), sj.Torus(2)]
    groups = [AXIS, sj.translation_group([[1, 1]])]
    whole = sj.action(sj.Product(*spaces), sj.direct_product(*groups))
    parts = [sj.action(*pair) for pair in zip(spaces, groups, strict=True)]
    dimensions = [sj.quotient_dimension(part.space, part) for part in parts]
    assert sj.quotient_dimension(whole.space, whole) == sum(dimensions)
    volumes = [sj.closed_log_volume(part) for part in parts]
    assert sj.closed_log_volume(whole) == pytest.approx(sum(volumes))


def test_large_groups_are_cheap():
    space = sj.Torus(100, 1.0)
    assert sj.quotient_dimension(space, sj.symmetric_group(100)) == 100
    shuffled = sj.closed_log_volume(sj.action(space, sj.symmetric_group(100)))
    assert shuffled == pytest.approx(-math.lgamma(101))
    points = sj.Sets(sj.Sphere(2), 100)
    group = sj.direct_product(sj.symmetric_group(100), SO3)
    assert sj.quotient_dimension(points, group) == 197


@pytest.mark.parametrize("name", PAIRS)
def test_finite_groups_divide_the_volume_by_their_effective_order(name):
    acting = PAIRS[name]().action
    assert sj.quotient_dimension(acting.space, acting) == acting.space.dimension
    found = sj.closed_log_volume(acting)
    if found is None:  # finite spaces, and labels that are moved
        assert acting.space.dimension == 0 or "labels" in name or "cycle" in name
        assert name in ON_OTHERS
        return
    effective = acting.order / kernel_order(acting)
    assert found + math.log(effective) == pytest.approx(acting.space.log_volume, abs=1e-9)


def test_volumes_of_groups():
    for n in (2, 3, 5):
        spheres = sum(sj.Sphere(j).log_volume for j in range(1, n))
        assert log_group_volume(sj.special_orthogonal_group(n)) == pytest.approx(spheres)
        assert log_group_volume(sj.orthogonal_group(n)) == pytest.approx(spheres + math.log(2))
    # SU(2) is the unit sphere of R⁴, its metric on R⁴ that of tr A*A: ½ tr on R⁸ halves it, twice it is.
    assert log_group_volume(sj.special_unitary_group(2)) == pytest.approx(
        math.log(2 * math.pi**2) + 1.5 * math.log(2)
    )
    # The same group by its Lie algebra only, and SO(3) of spin 1 twice: all lengths √2 longer.
    su2 = sj.lie_group(np.asarray(sj.special_unitary_group(2).lie_algebra))
    assert log_group_volume(su2) == pytest.approx(log_group_volume(sj.special_unitary_group(2)))
    assert log_group_volume(TWO_VECTORS) == pytest.approx(log_group_volume(SO3) + 1.5 * math.log(2))
    # SU(3)/SU(2) = S⁵; of the horizontal directions one is longer than on the unit sphere.
    ratio = log_group_volume(sj.special_unitary_group(3)) - log_group_volume(sj.special_unitary_group(2))
    assert ratio == pytest.approx(
        math.log(math.pi**3) + 2 * math.log(2) + 0.5 * math.log(3 / 2), abs=1e-12
    )


SPACES = {
    "torus": lambda: (sj.Torus(2), sj.hyperoctahedral_group(2)),
    "hexagonal": lambda: (
        sj.Torus.from_lattice([[1, 0], [-1 / 2, math.sqrt(3) / 2]]),
        sj.affine_torus_group([[[1, -1], [1, 0]]], [[0, 0]]),
    ),
    "sphere": lambda: (sj.Sphere(2), SO3),
    "rotations": lambda: (sj.RotationGroup(), sj.direct_product(SO3, SO3)),
    "frames": lambda: (
        sj.Stiefel(2, 4),
        sj.direct_product(sj.orthogonal_group(2), sj.special_orthogonal_group(4)),
    ),
    "planes": lambda: (sj.Grassmannian(2, 4), sj.special_orthogonal_group(4)),
    "sets": lambda: (sj.Sets(sj.Sphere(2), 3), sj.direct_product(sj.symmetric_group(3), SO3)),
    "product": lambda: (
        sj.Product(sj.Sphere(2), sj.Ball(2)),
        sj.direct_product(SO3, sj.special_orthogonal_group(2)),
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_isometries_keep_the_metric_and_chords(name):
    space, group = SPACES[name]()
    acting = sj.action(space, group)
    keys = jax.random.split(KEY, 3)
    x, y = (space.sample(key, (5,)) for key in keys[:2])
    g = acting.sample(keys[2])
    v = y - x
    moved, pushed = jax.jvp(lambda points: acting.act(g, points), (x,), (v,))
    before, after = orthonormal_coordinates(space, x, v), orthonormal_coordinates(space, moved, pushed)
    np.testing.assert_allclose(after @ after.T * np.eye(5), before @ before.T * np.eye(5), atol=1e-10)
    if name != "hexagonal":  # where the cell about 0 is not symmetric
        chords = squared_chords(space, moved, acting.act(g, y))
        np.testing.assert_allclose(chords, squared_chords(space, x, y), atol=1e-10)


@pytest.mark.parametrize(
    "space", [sj.RotationGroup(), sj.Stiefel(2, 4), sj.Grassmannian(2, 4), sj.Sphere(3)], ids=str
)
def test_the_metric_is_that_of_the_volume(space):
    """Of a transitive group: vol(M) from its orbit map, vol(G)/vol(stabilizer) · √pdet."""
    n = space.point_shape[-1]
    groups = {
        sj.RotationGroup: (SO3, 0.0),
        sj.Stiefel: (sj.special_orthogonal_group(4), math.log(2 * math.pi)),
        # S(O(2) × O(2)), of two components.
        sj.Grassmannian: (sj.special_orthogonal_group(4), math.log(2) + 2 * math.log(2 * math.pi)),
        sj.Sphere: (sj.special_orthogonal_group(4), math.log(8 * math.pi**2)),
    }
    group, log_stabilizer = groups[type(space)]
    assert group.degree == n
    found = sj.quotient_volume(
        KEY,
        space,
        group,
        num_samples=200,
        method="orbits",
        stabilizer_volume=math.exp(log_stabilizer),
        throw=False,
    )
    assert found.value == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name", ["Hopf", "O(2) on frames", "the diagonal of T²", "directions that are not primitive"]
)
def test_orbits_reproduce_closed_forms(name):
    acting, _, volume = CONTINUOUS[name][0](), *CONTINUOUS[name][1:]
    found = sj.quotient_volume(KEY, acting.space, acting, num_samples=500, method="orbits")
    assert found.value == pytest.approx(volume, rel=1e-9)
    assert found.tail_index == math.inf
    assert str(found).startswith(f"vol(M/G) = {volume:.6g}")


@pytest.mark.parametrize(
    ("name", "volume"),
    [("turns about an axis", math.pi), ("SO(3) on a ball", 2.0), ("conjugation", math.pi)],
)
def test_returns_reproduce_closed_forms_where_orbits_collapse(name, volume):
    acting = CONTINUOUS[name][0]()
    found = sj.quotient_volume(KEY, acting.space, acting, num_samples=100_000, method="returns")
    assert abs(found.value - volume) < 3 * found.standard_error
    assert found.standard_error < 0.05 * volume


def test_collapsing_orbits_have_no_standard_error():
    with pytest.raises(ValueError, match=r"heavy tail \(index about [12]\.\d+ .*method='returns'"):
        sj.quotient_volume(KEY, sj.Sphere(2), AXIS, num_samples=10_000, method="orbits")
    found = sj.quotient_volume(KEY, sj.Sphere(2), AXIS, num_samples=10_000, method="orbits", throw=False)
    assert found.status.name == "heavy_tail"
    assert math.isnan(found.standard_error)
    assert found.value == pytest.approx(math.pi, rel=0.05)


def test_sets_of_points_two_ways():
    acting = CONTINUOUS["sets on S²"][0]()
    volume = functools.partial(sj.quotient_volume, KEY, acting.space, acting)
    orbits = volume(num_samples=20_000, method="orbits")
    returns = volume(num_samples=100_000, method="returns")
    assert orbits.tail_index > 3
    assert orbits.standard_error < 0.01 * orbits.value
    distance = abs(orbits.value - returns.value)
    assert distance < 3 * math.hypot(orbits.standard_error, returns.standard_error)


def test_tail_indices_and_weights():
    uniform = np.random.default_rng(0).uniform(size=100_000)
    for index in (1.0, 2.0, 4.0):
        found, clear = tail_index(-np.log(uniform) / index)
        assert found == pytest.approx(index, rel=0.2)
        assert clear == (index > 2)
    nodes, masses = np.polynomial.legendre.leggauss(20)
    u, masses = (nodes + 1) / 2, masses / 2
    for rank in (1, 2, 5):
        weight = np.polyval(extrapolation(rank, (0, 1, 2))[::-1], u) * rank * u ** (rank - 1) * masses
        np.testing.assert_allclose([weight @ u**i for i in range(3)], [1, 0, 0], atol=1e-10)


BAD = {
    "method": (dict(method="guess"), ValueError, "method: expected one of auto, closed"),
    "num_samples": (dict(num_samples=0), ValueError, "num_samples: "),
    "relative_error": (dict(relative_error=-1.0), ValueError, "relative_error: expected a positive"),
    "stabilizer_volume": (dict(stabilizer_volume=0.0), ValueError, "stabilizer_volume: expected a pos"),
    "radius": (dict(radius=math.nan), ValueError, "radius: expected a positive"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options(name):
    options, error, message = BAD[name]
    with pytest.raises(error, match=message):
        sj.quotient_volume(KEY, sj.Sphere(2), AXIS, **{"num_samples": 100, **options})


def test_what_cannot_be_estimated_says_why():
    def stretch(g, x):
        return g.astype(x.dtype) @ x * jnp.asarray([1.0, 2.0, 1.0], x.dtype)

    silent = sj.lie_group(np.asarray(TWO_VECTORS.lie_algebra))
    volume = functools.partial(sj.quotient_volume, KEY, num_samples=10_000)
    with pytest.raises(ValueError, match="its act is no isometry: it changes the squared distance"):
        volume(sj.Ball(3), sj.action(sj.Ball(3), SO3, act=stretch), method="returns")
    with pytest.raises(ValueError, match=r"no sampler .*lie_group\(\.\.\., sample="):
        volume(sj.Sphere(5), silent, method="returns")
    with pytest.raises(
        ValueError, match="stabilizer of a generic point has dimension 1.*stabilizer_vol"
    ):
        volume(CONJUGATION.space, CONJUGATION, method="orbits")
    with pytest.raises(ValueError, match="method: no closed form .*'orbits' or 'returns'"):
        volume(CONJUGATION.space, CONJUGATION, method="closed")
    with pytest.raises(ValueError, match="Gaussian has the whole of R"):
        volume(sj.Gaussian(3), SO3)
    with pytest.raises(ValueError, match="Hypercube is finite .*invariant_count"):
        volume(sj.Hypercube(3), sj.symmetric_group(3))
    with pytest.raises(
        ValueError, match=r"relative_error: 0\.0001 was asked for and 0\.\d+ was reached"
    ):
        volume(sj.Sphere(2), AXIS, method="returns", relative_error=1e-4)
    found = volume(sj.Sphere(2), AXIS, method="returns", relative_error=1e-4, throw=False)
    assert found.status.name == "tolerance_missed"


@pytest.mark.parametrize("options", [{}, {"relative_error": 0.1}, {"radius": 1e-9}], ids=str)
def test_too_few_returns_say_so(options):
    num_samples = 2 if "radius" not in options else 1000
    acting = sj.action(sj.Sphere(2), AXIS, act=lambda g, x: g @ x)
    volume = functools.partial(sj.quotient_volume, KEY, acting.space, acting, **options)
    with pytest.raises(ValueError, match=f"num_samples: too few of {num_samples:,} samples"):
        volume(num_samples=num_samples)
    found = volume(num_samples=num_samples, throw=False)
    assert found.status.name == "too_few_samples"
    assert math.isnan(found.standard_error)


def test_finite_groups_too_act_by_isometries_on_spaces_with_a_volume():
    stretched = sj.action(
        sj.Ball(2), sj.cyclic_group(2), act=lambda g, x: x * jnp.where(g[0] == 1, 0.5, 1.0)
    )
    for refused in (
        lambda: sj.quotient_volume(KEY, stretched.space, stretched, num_samples=1),
        lambda: sj.gain(stretched.space, stretched),
        lambda: sj.weyl_count(stretched.space, stretched, 10),
    ):
        with pytest.raises(ValueError, match=r"its act is no isometry.*keeps distances\."):
            refused()
    with pytest.raises(ValueError, match="Gaussian has the whole of R"):
        sj.quotient_volume(KEY, sj.Gaussian(3), sj.symmetric_group(3), num_samples=1)


def test_a_user_may_turn_a_hexagonal_lattice():
    lattice = sj.Torus.from_lattice([[1, 0], [1 / 2, math.sqrt(3) / 2]])
    space = sj.Product(lattice, sj.Torus(1, 1.0))
    powers = np.stack([np.linalg.matrix_power([[0, -1], [1, 1]], i) for i in range(6)])

    def turn(g, x):
        turned = jnp.asarray(powers, x.dtype)[g[1][0]] @ x[:2]
        return jnp.concatenate([turned, x[2:] + g[0].reshape(-1)])

    group = sj.direct_product(sj.translation_group(1), sj.cyclic_group(6))
    acting = sj.action(space, group, act=turn)
    found = sj.quotient_volume(KEY, space, acting, num_samples=40_000, method="returns")
    assert abs(found.value - math.sqrt(3) / 12) < 4 * found.standard_error


def test_meshes_of_several_pieces_are_not_divided_by_the_order():
    corners = np.asarray([[0, 0, 0], [1, 0, 0], [0.5, 0.8, 0]])
    mesh = sj.Mesh(np.concatenate([corners, corners + [5, 0, 0]]), np.asarray([[0, 1, 2], [3, 4, 5]]))
    one = sj.permutation_group([[1, 0, 2, 3, 4, 5]])  # three quarters of the area are left
    worth = sj.gain(mesh, one)
    assert worth.multiplier is None
    assert worth.log_quotient_volume is None
    assert sj.closed_log_volume(sj.action(mesh, one)) is None


def test_an_extrapolation_of_the_size_of_the_value_is_no_answer():
    """Of molecules under S_3 × O(3) the returns within a fifth of all pairs are far from small ones."""
    molecules = sj.Sets(sj.Product(sj.Ball(3), sj.Labels(2)), 3)
    group = sj.direct_product(sj.symmetric_group(3), sj.orthogonal_group(3))
    options = {"num_samples": 20_000, "method": "returns"}
    found = sj.quotient_volume(jax.random.key(0), molecules, group, throw=False, **options)
    assert found.bias > 0.25 * found.value
    assert found.status.name == "biased"
    with pytest.raises(ValueError, match=r"radius: removing the bias in ε changes the estimate by"):
        sj.quotient_volume(jax.random.key(0), molecules, group, **options)
