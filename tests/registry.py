"""Groups, spaces, pairs, routes and estimators. One line adds a case, and it inherits every law."""

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import roots_legendre

import symjax_learn as sj
from symjax_learn.algebra import (
    AffineTorusGroup,
    MatrixGroup,
    PermutationGroup,
    ProductGroup,
    SignedPermutationGroup,
    WreathGroup,
)
from symjax_learn.geometry.vertices import AbstractVertices
from tests.quadratures import RULES

X64 = jax.dtypes.canonicalize_dtype(float) == np.float64
# Absolute accuracy of an exact statement about numbers of order one.
EXACT = 1e-12 if X64 else 1e-5

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
CUBIC = [
    [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
    [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    [[-1, 0, 0], [0, 1, 0], [0, 0, 1]],
]
QUARTER_TURN = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
EYE3 = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def reflections(*normals: Any) -> np.ndarray:
    """x ↦ x − 2(x·v)v/|v|² for each normal v."""
    return np.stack([np.eye(len(v)) - 2 * np.outer(v, v) / np.dot(v, v) for v in normals])


def turns(order: int) -> list[list[float]]:
    """The rotation of the plane by a full turn over ``order``."""
    c, s = math.cos(2 * math.pi / order), math.sin(2 * math.pi / order)
    return [[c, -s], [s, c]]


GOLDEN = (1 + math.sqrt(5)) / 2
# An orthonormal frame in which no coordinate is special.
FRAME = np.linalg.qr(np.asarray([[1.0, 2, 3], [2, -1, 1], [1, 1, -3]]))[0]
TETRAHEDRAL = np.asarray([[[0, 0, 1], [1, 0, 0], [0, 1, 0]], [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]])


def _glide() -> AffineTorusGroup:
    return sj.affine_torus_group([[[1, 0], [0, -1]]], [[0.5, 0.0]])


def _p2gg() -> AffineTorusGroup:
    matrices = [[[1, 0], [0, -1]], [[-1, 0], [0, 1]]]
    return sj.affine_torus_group(matrices, [[HALF, HALF], [HALF, HALF]])


# name -> (constructor, order)
GROUPS: dict[str, tuple[Callable[[], sj.AbstractGroup], int]] = {
    "trivial(2)": (lambda: sj.trivial_group(2), 1),
    "S_3": (lambda: sj.symmetric_group(3), 6),
    "S_4": (lambda: sj.symmetric_group(4), 24),
    "A_4": (lambda: sj.alternating_group(4), 12),
    "A_5": (lambda: sj.alternating_group(5), 60),
    "C_4": (lambda: sj.cyclic_group(4), 4),
    "D_4": (lambda: sj.dihedral_group(4), 8),
    "S_2 x S_1 x S_2": (lambda: sj.young_group(2, 1, 2), 4),
    "{±1}^3": (lambda: sj.sign_group(3), 8),
    "B_2": (lambda: sj.hyperoctahedral_group(2), 8),
    "B_3": (lambda: sj.hyperoctahedral_group(3), 48),
    "Frobenius 20": (lambda: sj.permutation_group([[1, 2, 3, 4, 0], [0, 2, 4, 1, 3]]), 20),
    "rotations by 90°": (lambda: sj.signed_permutation_group([[1, 0]], [[1, -1]]), 4),
    "glide": (lambda: _glide(), 2),
    "p2gg": (lambda: _p2gg(), 4),
    "screw 4_1": (
        lambda: sj.affine_torus_group([[[0, -1, 0], [1, 0, 0], [0, 0, 1]]], [[0, 0, 0.25]]),
        4,
    ),
    "thirds": (
        lambda: sj.affine_torus_group(
            [[[0, 0, 1], [1, 0, 0], [0, 1, 0]], EYE3], [[0, 0, 0], [THIRD] * 3]
        ),
        9,
    ),
    "Pm-3m with a centring": (
        lambda: sj.affine_torus_group([*CUBIC, EYE3], [[0] * 3] * 3 + [[HALF] * 3]),
        96,
    ),
    "pentagon": (lambda: sj.matrix_group([turns(5), [[1, 0], [0, -1]]]), 10),
    "icosahedral": (
        lambda: sj.matrix_group(reflections([1, 0, 0], [GOLDEN, GOLDEN - 1, 1], [0, 1, 0])),
        120,
    ),
    "tetrahedral rotations, turned": (lambda: sj.matrix_group(FRAME @ TETRAHEDRAL @ FRAME.T), 12),
    "A3": (lambda: sj.coxeter_group("A3"), 24),
    "I2(7)": (lambda: sj.coxeter_group("I2(7)"), 14),
    "D3d": (lambda: sj.point_group("D3d"), 12),
    "Td": (lambda: sj.point_group("Td"), 24),
    "S_3 x {±1}^2": (lambda: sj.direct_product(sj.symmetric_group(3), sj.sign_group(2)), 24),
    "pentagon x C_2": (lambda: sj.direct_product(sj.coxeter_group("I2(5)"), sj.cyclic_group(2)), 20),
    "S_2 wr S_2": (lambda: sj.wreath_product(sj.symmetric_group(2), 2), 8),
    "{±1} wr S_3": (lambda: sj.wreath_product(sj.sign_group(1), 3), 48),
    "C_3 wr S_2": (lambda: sj.wreath_product(sj.matrix_group([turns(3)]), 2), 18),
    "p2gg x S_2": (lambda: sj.direct_product(_p2gg(), sj.symmetric_group(2)), 8),
    "glide wr S_2": (lambda: sj.wreath_product(_glide(), 2), 8),
    "trivial x trivial": (lambda: sj.direct_product(sj.trivial_group(1), sj.trivial_group(2)), 1),
}
ON_TORUS = [
    name
    for name in GROUPS
    if isinstance(GROUPS[name][0](), PermutationGroup | SignedPermutationGroup | AffineTorusGroup)
] + ["p2gg x S_2", "glide wr S_2"]
ON_SPHERE = [
    "S_3",
    "A_5",
    "S_2 x S_1 x S_2",
    "{±1}^3",
    "B_3",
    "rotations by 90°",
    "pentagon",
    "icosahedral",
    "tetrahedral rotations, turned",
    "D3d",
    "pentagon x C_2",
    "C_3 wr S_2",
]
# Degrees of the fundamental invariants (Humphreys, table 1 of §3.7); |G| is their product.
DEGREES = {
    **{f"A{n}": tuple(range(2, n + 2)) for n in range(1, 9)},
    **{f"B{n}": tuple(range(2, 2 * n + 1, 2)) for n in range(2, 9)},
    **{f"D{n}": (*range(2, 2 * n - 1, 2), n) for n in range(4, 9)},
    "E6": (2, 5, 6, 8, 9, 12),
    "E7": (2, 6, 8, 10, 12, 14, 18),
    "E8": (2, 8, 12, 14, 18, 20, 24, 30),
    "F4": (2, 6, 8, 12),
    "G2": (2, 6),
    "H3": (2, 6, 10),
    "H4": (2, 12, 20, 30),
    **{f"I2({m})": (2, m) for m in (3, 5, 8, 17)},
}
POINT_GROUPS = {
    "C1": 1, "Ci": 2, "Cs": 2, "C2": 2, "C2h": 4, "D2": 4, "C2v": 4, "D2h": 8, "C4": 4, "S4": 4,
    "C4h": 8,
    "D4": 8, "C4v": 8, "D2d": 8, "D4h": 16, "C3": 3, "S6": 6, "D3": 6, "C3v": 6, "D3d": 12, "C6": 6,
    "C3h": 6, "C6h": 12, "D6": 12, "C6v": 12, "D3h": 12, "D6h": 24, "T": 12, "Th": 24, "O": 24, "Td": 24,
    "Oh": 48, "I": 60, "Ih": 120,
}  # fmt: skip
SPACE_GROUPS = {4: 2, 14: 4, 62: 8, 96: 8, 167: 12, 194: 24, 205: 24, 225: 192, 227: 192, 230: 96}
IMAGE_GROUPS = {
    "shifts of a 3 × 5 image": ((3, 5, True, False, False), 15),
    "mirrors and shifts of a 4 × 3 image": ((4, 3, True, True, False), 48),
    "all of a 5 × 5 image": ((5, 5, True, True, True), 200),
}


def _image_group(height: int, width: int, *options: bool) -> sj.AbstractGroup:
    names = ("translations", "mirrors", "rotations")
    return sj.image_group(height, width, **dict(zip(names, options, strict=True)))


# Every group that is small enough to be listed, for what is exact and needs no compilation.
LISTED: dict[str, tuple[Callable[[], sj.AbstractGroup], int]] = {
    **GROUPS,
    **{
        f"reflections {name}": (functools.partial(sj.coxeter_group, name), math.prod(degrees))
        for name, degrees in DEGREES.items()
        if math.prod(degrees) <= 10_000
    },
    **{
        f"point group {name}": (functools.partial(sj.point_group, name), order)
        for name, order in POINT_GROUPS.items()
    },
    **{
        f"space group {number}": (functools.partial(sj.space_group, number), order)
        for number, order in SPACE_GROUPS.items()
    },
    **{
        name: (functools.partial(_image_group, *how), order)
        for name, (how, order) in IMAGE_GROUPS.items()
    },
}
# A linear part that is no isometry of the cubic torus: a group like any other, on another lattice.
LATTICE_GROUPS = {"hexagonal": (lambda: sj.affine_torus_group([[[0, -1], [1, 1]]], [[0, 0]]), 6)}


def readme_example(section: str) -> dict[str, Any]:
    """The names that the first example of a section of the README defines."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    code = text.split(f"\n## {section}\n")[1].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"__name__": "readme"}
    exec(code, names)
    return names


Interval = readme_example("Your own space")["Interval"]
RULES[Interval] = lambda _, top: (
    (rule := roots_legendre(math.isqrt(round(top)) + 1))[0][:, None],
    rule[1] / 2,
)

HEXAGONAL = sj.Torus.from_lattice([[1, 0], [-1 / 2, math.sqrt(3) / 2]])
CYCLE = sj.DiscreteSpace(2 * np.eye(6) - np.roll(np.eye(6), 1, axis=0) - np.roll(np.eye(6), -1, axis=0))
# An octahedron longer along its axis: the corners of a square, then the apexes, of another mass.
BIPYRAMID = sj.Mesh(
    [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1.25], [0, 0, -1.25]],
    [[i, (i + 1) % 4, apex] for i in range(4) for apex in (4, 5)],
)
MOLECULES = sj.Sets(sj.Product(sj.Ball(3), sj.Labels(2)), 2)

# name -> (space, truncation)
SPACES: dict[str, tuple[sj.AbstractSpace, float]] = {
    "circle": (sj.Torus(1), 16),
    "T²": (sj.Torus(2), 10),
    "T³ of period 1": (sj.Torus(3, 1.0), 3 * (2 * np.pi) ** 2),
    "T^5": (sj.Torus(5), 2),
    "hexagonal torus": (HEXAGONAL, 400),
    "S²": (sj.Sphere(2), 20),
    "S³": (sj.Sphere(3), 8),
    "box": (sj.Box(2), 90),
    "Gaussian": (sj.Gaussian(3), 3),
    "disc": (sj.Ball(2), 42),
    "ball": (sj.Ball(3), 21),
    "SO(3)": (sj.RotationGroup(), 6),
    "hypercube": (sj.Hypercube(4), 4),
    "graphs": (sj.Graphs(4), 4),
    "labels": (sj.Labels(4), 4),
    "cycle": (CYCLE, 4),
    "bipyramid": (BIPYRAMID, 20),
    "S² x labels": (sj.Product(sj.Sphere(2), sj.Labels(2)), 6),
    "T² x labels": (sj.Product(sj.Torus(2), sj.Labels(3)), 4),
    "T² x S²": (sj.Product(sj.Torus(2), sj.Sphere(2)), 3),
    "cycle x S²": (sj.Product(CYCLE, sj.Sphere(2)), 3),
    "sets on a circle": (sj.Sets(sj.Torus(1), 3), 3),
    "pairs on T²": (sj.Sets(sj.Torus(2), 2), 2),
    "pairs on S²": (sj.Sets(sj.Sphere(2), 2), 6),
    "molecules": (MOLECULES, 6.4),
    "frames": (sj.Stiefel(2, 4), 4),
    "planes": (sj.Grassmannian(2, 4), 12),
    "user's own: interval": (Interval(), 42),
}


class Pair(NamedTuple):
    """A space with a group on it, and a truncation."""

    action: sj.Action
    max_eigenvalue: float

    def basis(self, route: str = "auto") -> sj.InvariantBasis:
        """The invariant basis by one route."""
        return sj.invariant_basis(
            self.action.space, self.action, max_eigenvalue=self.max_eigenvalue, route=route
        )


def _on_torus(name: str) -> Callable[[], Pair]:
    def pair() -> Pair:
        group = GROUPS[name][0]()
        period = 1.0 if group.degree == 3 else 2 * np.pi
        max_norm = {2: 10, 3: 5, 4: 4, 5: 2}[group.degree]
        return Pair(
            sj.action(sj.Torus(group.degree, period), group), max_norm * (2 * np.pi / period) ** 2
        )

    return pair


def _on_sphere(name: str) -> Callable[[], Pair]:
    def pair() -> Pair:
        group = GROUPS[name][0]()
        degree = {2: 10, 3: 6, 4: 4, 5: 4}[group.degree]
        space = sj.Sphere(group.degree - 1)
        return Pair(sj.action(space, group), degree * (degree + space.dimension - 1))

    return pair


def turn(g: Any, point: Any) -> Any:
    """A user's own action: the cyclic group turns the circle and leaves the second coordinate alone."""
    angle = (2 * np.pi / 4) * g[0].astype(point.dtype)
    return point + angle * jnp.asarray([1, 0], point.dtype)


def _on(space: str, group: Callable[[], sj.AbstractGroup], act: Any = None) -> Callable[[], Pair]:
    def pair() -> Pair:
        where, max_eigenvalue = SPACES[space]
        return Pair(sj.action(where, group(), act=act), max_eigenvalue)

    return pair


def _group(name: str) -> Callable[[], sj.AbstractGroup]:
    return GROUPS[name][0]


def _signed_turn() -> sj.AbstractGroup:
    """Of order 8: four coordinates in a circle, one of them with a sign."""
    return sj.signed_permutation_group([[1, 2, 3, 0]], [[1, 1, 1, -1]])


def _mirror(g: Any, point: Any) -> Any:
    return g.signs.astype(point.dtype) * point


# Pairs whose action moves the points of one space each, in its own way.
ON_OTHERS: dict[str, Callable[[], Pair]] = {
    "hexagonal": _on("hexagonal torus", lambda: sj.affine_torus_group([[[1, -1], [1, 0]]], [[0, 0]])),
    "B_2 on a box": _on("box", _group("B_2")),
    "S_3 on a Gaussian": _on("Gaussian", _group("S_3")),
    "tetrahedral on a Gaussian": _on("Gaussian", _group("tetrahedral rotations, turned")),
    "pentagon on a disc": _on("disc", _group("pentagon")),
    "tetrahedral on a ball": _on("ball", _group("tetrahedral rotations, turned")),
    "D_4 on a hypercube": _on("hypercube", _group("D_4")),
    "signs on a hypercube": _on("hypercube", _signed_turn),
    "S_4 on graphs": _on("graphs", _group("S_4")),
    "signs on graphs": _on("graphs", _signed_turn),
    "S_2 x S_2 on labels": _on("labels", lambda: sj.young_group(2, 2)),
    "D_6 on a cycle": _on("cycle", lambda: sj.dihedral_group(6)),
    "D_4 x S_2 on a mesh": _on(
        "bipyramid", lambda: sj.direct_product(sj.dihedral_group(4), sj.symmetric_group(2))
    ),
    "D3 on SO(3)": _on("SO(3)", lambda: sj.point_group("D3")),
    "(C3, C2) on SO(3)": _on(
        "SO(3)", lambda: sj.direct_product(sj.point_group("C3"), sj.point_group("C2"))
    ),
    "D3d beside labels": _on("S² x labels", _group("D3d")),
    "S_2 x S_3 on T² x labels": _on(
        "T² x labels", lambda: sj.direct_product(sj.symmetric_group(2), sj.symmetric_group(3))
    ),
    "glide x Td on T² x S²": _on("T² x S²", lambda: sj.direct_product(_glide(), sj.point_group("Td"))),
    "D_6 x C3 on a cycle x S²": _on(
        "cycle x S²", lambda: sj.direct_product(sj.dihedral_group(6), sj.point_group("C3"))
    ),
    "S_2 x glide on sets": _on(
        "pairs on T²", lambda: sj.direct_product(sj.symmetric_group(2), _glide())
    ),
    "S_3 on sets": _on("sets on a circle", _group("S_3")),
    "{±1} wr S_3 on sets": _on("sets on a circle", _group("{±1} wr S_3")),
    "S_2 x T on sets": _on(
        "pairs on S²", lambda: sj.direct_product(sj.symmetric_group(2), sj.point_group("T"))
    ),
    "S_2 x C3 on molecules": _on(
        "molecules", lambda: sj.direct_product(sj.symmetric_group(2), sj.point_group("C3"))
    ),
    "left on frames": _on("frames", lambda: sj.matrix_group([turns(3)])),
    "right on frames": _on("frames", lambda: sj.cyclic_group(4)),
    "left and right on frames": _on(
        "frames", lambda: sj.direct_product(sj.symmetric_group(2), sj.cyclic_group(4))
    ),
    "D_4 on planes": _on("planes", _group("D_4")),
}
USERS: dict[str, Callable[[], Pair]] = {
    "user's own: quarter turns": lambda: Pair(sj.action(sj.Torus(2), sj.cyclic_group(4), act=turn), 17),
    "user's own: mirror of an interval": _on("user's own: interval", lambda: sj.sign_group(1), _mirror),
}
PAIRS: dict[str, Callable[[], Pair]] = {
    **{name: _on_torus(name) for name in ON_TORUS},
    **{f"{name} on a sphere": _on_sphere(name) for name in ON_SPHERE},
    **USERS,
    **ON_OTHERS,
}
# Where the group permutes eigenfunctions up to phases or signs.
BY_ORBITS = [
    *ON_TORUS,
    "hexagonal",
    "B_2 on a box",
    "S_3 on a Gaussian",
    "D_4 on a hypercube",
    "signs on a hypercube",
    "S_4 on graphs",
    "signs on graphs",
    "S_3 on sets",
]
# A route, and the pairs that it serves. Set-up work is the same float64 in every session, so that
# float32 needs no second route, and few pairs: of each kind of evaluation one.
ROUTES = {
    "orbits": tuple(BY_ORBITS),
    "generators": tuple(name for name in PAIRS if name not in ON_OTHERS or name not in BY_ORBITS),
    "multiset": (
        "trivial(2)",
        "S_4",
        "S_2 x S_1 x S_2",
        "{±1}^3",
        "B_3",
        "p2gg x S_2",
        "glide wr S_2",
        "B_2 on a box",
        "S_3 on a Gaussian",
        "S_3 on sets",
        "{±1} wr S_3 on sets",
    ),
    "motif": ("S_4 on graphs",),
    "harmonic": tuple(f"{name} on a sphere" for name in ("S_3", "S_2 x S_1 x S_2", "{±1}^3", "B_3")),
    "coupled": ("S_2 x glide on sets", "S_2 x T on sets", "S_2 x C3 on molecules"),
    "chain": ("A_5", "B_3", "p2gg", "Frobenius 20", "icosahedral on a sphere"),
    "averaging": tuple(name for name in PAIRS if name not in ON_OTHERS),
}
IN_FLOAT32 = (
    *ON_TORUS[::3],
    *(f"{name} on a sphere" for name in ON_SPHERE[::3]),
    *USERS,
    *list(ON_OTHERS)[::2],
)
PAIR_NAMES = tuple(PAIRS) if X64 else IN_FLOAT32
PAIRS_AND_ROUTES = [
    (name, route)
    for route, names in ROUTES.items()
    for name in names
    if X64
    or (name in IN_FLOAT32 and route == ("orbits" if name in BY_ORBITS else "generators"))
    or (route, name)
    in (
        ("multiset", "S_2 x S_1 x S_2"),
        ("multiset", "{±1} wr S_3 on sets"),
        ("motif", "S_4 on graphs"),
        ("coupled", "S_2 x T on sets"),
    )
]


def _ridge(pair: Pair, x: Any, y: Any, **options: Any) -> sj.SpectralModel:
    return sj.fit_ridge(pair.basis(), x, y, **options)


def _averaged(pair: Pair, x: Any, y: Any, **options: Any) -> sj.SpectralModel:
    return sj.fit_kernel_ridge(
        pair.action.space, x, y, max_eigenvalue=pair.max_eigenvalue, action=pair.action, **options
    )


def _log_cosh(y: Any, f: Any) -> Any:
    return jnp.sum(jnp.log(jnp.cosh(y - f)))


def _convex(pair: Pair, x: Any, y: Any, **options: Any) -> sj.ConvexModel:
    """A smooth loss of real targets, with a penalty too small to be seen unless one is given."""
    return sj.fit_convex(pair.basis(), x, y, loss=_log_cosh, **({"penalty": 1e-9} | options))


# Estimators of invariant functions: (pair, x, y, **options) -> model.
ESTIMATORS: dict[str, Callable[..., sj.SpectralModel | sj.KernelModel | sj.ConvexModel]] = {
    "ridge": _ridge,
    "convex": _convex,
    "averaged kernel ridge": _averaged,
}


def brute_force(group: sj.AbstractGroup) -> tuple[np.ndarray, np.ndarray]:
    """All elements x ↦ Ax + b as products of the generators: A in float64, and 72·b modulo 72."""
    with jax.enable_x64(True):  # exact generators, whatever the session
        matrices = np.asarray(group.matrix(group.generators), float)
    shifts = _shifts(group, group.generators, matrices)
    identity = (np.eye(group.degree), np.zeros(group.degree, int))
    found = {code(*identity): identity}
    frontier = [identity]
    while frontier:
        products = [
            (a @ c, np.rint(a @ d + b).astype(int) % 72)
            for a, b in zip(matrices, shifts, strict=True)
            for c, d in frontier
        ]
        fresh = {code(*product): product for product in products if code(*product) not in found}
        found.update(fresh)
        frontier = list(fresh.values())
    elements = list(found.values())
    return np.stack([a for a, _ in elements]), np.stack([b for _, b in elements])


def _shifts(group: sj.AbstractGroup, g: Any, matrices: np.ndarray) -> np.ndarray:
    """72·b of x ↦ Ax + b modulo 72; of products by where the origin goes."""
    if isinstance(group, AffineTorusGroup):
        return 72 // group.denominator * np.asarray(g.shift, int)
    if isinstance(group, ProductGroup):
        ends = np.cumsum([0, *(factor.degree for factor in group.factors)])
        blocks = [
            _shifts(factor, part, matrices[:, i:j, i:j])
            for factor, part, i, j in zip(group.factors, g, ends[:-1], ends[1:], strict=True)
        ]
        return np.concatenate(blocks, axis=1)
    if not isinstance(group, WreathGroup) or isinstance(group.inner, MatrixGroup):
        return np.zeros(matrices.shape[:2], int)
    there = sj.action(sj.Torus(group.degree, 1.0), group).act(g, jnp.zeros(matrices.shape[:2]))
    return np.rint(72 * np.asarray(there, float)).astype(int) % 72


def code(matrix: np.ndarray, shift: np.ndarray) -> bytes:
    """A hashable name of one element of brute force."""
    # To 1e-3, cut where no entry of the groups above lies.
    return np.floor(1e3 * matrix + 0.37).astype(int).tobytes() + shift.tobytes()


def codes(group: sj.AbstractGroup, elements: Any) -> list[bytes]:
    """The library's elements, coded as those of brute force."""
    matrices = np.asarray(group.matrix(elements), float)
    shifts = _shifts(group, elements, matrices)
    return [code(a, b) for a, b in zip(matrices, shifts, strict=True)]


def brute_force_codes(group: sj.AbstractGroup) -> set[bytes]:
    """All elements, coded."""
    return {code(a, b) for a, b in zip(*brute_force(group), strict=True)}


def moved(space: sj.AbstractSpace, matrices: np.ndarray, shifts: np.ndarray, x: Any) -> np.ndarray:
    """All points by all elements of brute force, ``(elements, n, *point)``, in float64."""
    points = np.asarray(x, np.float64)
    pairs = zip(matrices, shifts, strict=True)
    return np.stack([moved_by(space, matrix, shift, points) for matrix, shift in pairs])


def moved_by(space: sj.AbstractSpace, a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Points ``(n, *point)`` by one element, of which nothing is known but its matrix and 72·shift."""
    match space:
        case sj.Torus():
            return x @ a.T + space.period * b / 72
        case sj.Box():
            return (x - 0.5) @ a.T + 0.5
        case sj.Graphs() | sj.Grassmannian():
            return a @ x @ a.T
        case sj.Labels() | AbstractVertices():
            return a.argmax(axis=0).astype(float)[x.astype(int)]
        case sj.RotationGroup() | sj.Stiefel():
            rows, columns = space.point_shape
            left = np.eye(rows) if len(a) == columns != rows else a[:rows, :rows]
            right = np.eye(columns) if len(a) == rows else a[-columns:, -columns:]
            return left @ x @ right.T
        case sj.Product():
            one, other = space.spaces
            width = math.prod(one.point_shape)
            degree = one.num_vertices if isinstance(one, AbstractVertices) else width
            first, second = np.split(x, [width], axis=1)
            first = moved_by(one, a[:degree, :degree], b[:degree], first)
            if len(a) > degree:
                second = moved_by(other, a[degree:, degree:], b[degree:], second)
            return np.concatenate([first, second], axis=1)
        case sj.Sets():
            n = space.num_points
            if len(a) > n:
                x = np.stack([moved_by(space.space, a[n:, n:], b[n:], point) for point in x])
            return np.einsum("ij,nj...->ni...", a[:n, :n], x)
        case _:
            return x @ a.T


def distances(space: sj.AbstractSpace, x: Any, y: Any) -> np.ndarray:
    """Distances that isometries keep, of points ``(*batch, *point)``, in float64.

    Geodesic on tori, of resistance on vertices, 1 between labels, else of arrays; of products by
    Pythagoras.
    """
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    match space:
        case sj.Torus():
            difference = (x - y) / space.period
            near = difference - np.round(difference)
            if space.is_cubic:
                return space.period * np.linalg.norm(near, axis=-1)
            around = np.stack(np.meshgrid(*[[-1, 0, 1]] * space.dimension), -1).reshape(
                -1, space.dimension
            )
            images = (near[..., None, :] + around) @ np.asarray(space.vectors)
            return np.linalg.norm(images, axis=-1).min(axis=-1)
        case sj.Labels():
            return (x != y).any(axis=-1).astype(float)
        case AbstractVertices():
            inverse = np.linalg.pinv(space.matrix().toarray())
            i, j = x[..., 0].astype(int), y[..., 0].astype(int)
            return np.sqrt(np.maximum(inverse[i, i] + inverse[j, j] - 2 * inverse[i, j], 0))
        case sj.Product():
            widths = np.cumsum([math.prod(part.point_shape) for part in space.spaces])[:-1]
            blocks = zip(np.split(x, widths, axis=-1), np.split(y, widths, axis=-1), strict=True)
            squares = [
                distances(part, *block) ** 2 for part, block in zip(space.spaces, blocks, strict=True)
            ]
            return np.sqrt(sum(squares))
        case sj.Sets():
            return np.linalg.norm(distances(space.space, x, y), axis=-1)
        case _:
            axes = tuple(range(-len(space.point_shape), 0))
            return np.sqrt(((x - y) ** 2).sum(axis=axes))
