"""How many spherical harmonics are invariant, degree by degree, and exact counts beside Weyl's law.

γ_d(k) is the number of invariant harmonics of degree k on the sphere of R^d over that of all of them. It
tends to 1/|G|; where −1 ∈ G no harmonic of odd degree is invariant, and it tends to 2/|G| on the even
degrees (Bietti, Venturi, Bruna, NeurIPS 2021). Summed over the degrees, and on any space, it is Weyl's
law for the orbits: exact counts approach its first term slowly, and soon both terms together, of which
the second is that of mirrors and boundaries. All counts are exact; nothing is random.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, stack, sweep

GroupMaker = Callable[[], sj.AbstractGroup]

# d -> (label, group, whether −1 is in it), as many for each d.
GROUPS: dict[int, list[tuple[str, GroupMaker, bool]]] = {
    3: [
        ("{±1}", lambda: sj.matrix_group([-np.eye(3)]), True),
        ("cyclic C₃", lambda: sj.cyclic_group(3), False),
        ("S₃", lambda: sj.symmetric_group(3), False),
        ("B₃", lambda: sj.hyperoctahedral_group(3), True),
        ("tetrahedron Td", lambda: sj.point_group("Td"), False),
        ("icosahedron I", lambda: sj.point_group("I"), False),
    ],
    4: [
        ("{±1}", lambda: sj.matrix_group([-np.eye(4)]), True),
        ("cyclic C₄", lambda: sj.cyclic_group(4), False),
        ("S₄", lambda: sj.symmetric_group(4), False),
        ("B₄", lambda: sj.hyperoctahedral_group(4), True),
        ("simplex A₄", lambda: sj.coxeter_group("A4"), False),
        ("demicube D₄", lambda: sj.coxeter_group("D4"), True),
    ],
    5: [
        ("{±1}", lambda: sj.matrix_group([-np.eye(5)]), True),
        ("cyclic C₅", lambda: sj.cyclic_group(5), False),
        ("S₅", lambda: sj.symmetric_group(5), False),
        ("B₅", lambda: sj.hyperoctahedral_group(5), True),
        ("simplex A₅", lambda: sj.coxeter_group("A5"), False),
        ("demicube D₅", lambda: sj.coxeter_group("D5"), False),
    ],
}


class Problem(NamedTuple):
    """A space with a group, and how far it is counted."""

    label: str
    space: sj.AbstractSpace
    group: GroupMaker
    max_eigenvalue: float


def _zonal() -> sj.AbstractGroup:
    return sj.direct_product(sj.orthogonal_group(4), sj.trivial_group(1))


PROBLEMS = {
    "signs": Problem("T²/{±1}²", sj.Torus(2), lambda: sj.sign_group(2), 10_000),
    "S3": Problem("T³/S₃", sj.Torus(3), lambda: sj.symmetric_group(3), 1000),
    "B4": Problem("T⁴/B₄", sj.Torus(4), lambda: sj.hyperoctahedral_group(4), 400),
    "shift": Problem("T³/diagonal shift", sj.Torus(3), lambda: sj.translation_group([[1, 1, 1]]), 1000),
    "octahedral": Problem("S²/Oh", sj.Sphere(2), lambda: sj.hyperoctahedral_group(3), 100 * 101),
    "zonal": Problem("S⁴/O(4)", sj.Sphere(4), _zonal, 100 * 103),
    "pentagon": Problem("disc/pentagon", sj.Ball(2), lambda: sj.coxeter_group("I2(5)"), 80.0**2),
    "box": Problem("[0, 1]³/S₃", sj.Box(3), lambda: sj.symmetric_group(3), 1000 * math.pi**2),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is counted.

    Attributes:
        dimensions: d of the spheres of R^d.
        max_degree: the last degree k, up to the 150 that spheres offer.
        problems: names of spaces with groups, of the counting curves.
        reach: part of the square root of the largest eigenvalue of each that is counted.
        num_levels: levels kept of each curve, at equal steps of log λ.
    """

    dimensions: tuple[int, ...] = (3, 4, 5)
    max_degree: int = 150
    problems: tuple[str, ...] = tuple(PROBLEMS)
    reach: float = 1.0
    num_levels: int = 120

    def __post_init__(self):
        """Refuse what is not known."""
        check_choices("dimensions", self.dimensions, list(GROUPS))
        check_choices("problems", self.problems, list(PROBLEMS))


CONFIGS = {
    "smoke": Config(
        dimensions=(3, 4), max_degree=24, problems=("signs", "zonal", "box"), reach=0.3, num_levels=40
    ),
    "default": Config(),
    "published": Config(reach=1.5, num_levels=400),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Count.

    Returns:
        ``invariant`` over (dimension, group, degree) and ``harmonics`` over (dimension, degree), whose
        quotient is γ_d(k); ``group_order``, ``has_inversion`` and ``group_labels`` over (dimension,
        group); ``dimensions``, ``degrees``; over (problem, level), padded with NaN, ``eigenvalues``,
        ``count`` (the mean number of invariant functions before and after λ), ``leading`` and
        ``second``, the two terms of Weyl's law; ``order`` and ``labels`` of the problems.
    """
    cells = {
        f"d={d},group={row}": functools.partial(_harmonics, d, row, config.max_degree)
        for d in config.dimensions
        for row in range(len(GROUPS[d]))
    }
    num_groups = len(GROUPS[config.dimensions[0]])
    found = stack(sweep(cells, store=store, progress=progress), len(config.dimensions), num_groups)
    curves = {name: functools.partial(_curve, name, config) for name in config.problems}
    exact = sweep(curves, store=store, progress=progress)
    groups = [GROUPS[d] for d in config.dimensions]
    return {
        "invariant": found["invariant"],
        "harmonics": found["harmonics"][:, 0],
        "group_order": found["order"],
        "has_inversion": np.asarray([[inversion for *_, inversion in few] for few in groups]),
        "group_labels": np.asarray([[label for label, *_ in few] for few in groups]),
        "dimensions": np.asarray(config.dimensions),
        "degrees": np.arange(config.max_degree + 1),
        **{
            name: np.stack([one[name] for one in exact])
            for name in ("eigenvalues", "count", "leading", "second", "order")
        },
        "labels": np.asarray([PROBLEMS[name].label for name in config.problems]),
    }


def _harmonics(d: int, row: int, max_degree: int) -> Outcome:
    """Invariant and all harmonics of each degree."""
    group = GROUPS[d][row][1]()
    curve = sj.counting_curve(sj.Sphere(d - 1), group, max_degree * (max_degree + d - 2))
    return {
        "invariant": np.diff(curve.invariant, prepend=0).astype(np.int64),
        "harmonics": np.diff(curve.ambient, prepend=0).astype(np.int64),
        "order": np.asarray(group.order),
    }


def _curve(name: str, config: Config) -> Outcome:
    """A counting curve at levels that are equally far apart on a logarithmic scale."""
    problem = PROBLEMS[name]
    group = problem.group()
    curve = sj.counting_curve(problem.space, group, problem.max_eigenvalue * config.reach**2)
    wanted = np.geomspace(curve.eigenvalues[1], curve.eigenvalues[-1], config.num_levels)
    nearest = np.abs(np.log(curve.eigenvalues[1:, None] / wanted)).argmin(axis=0)
    places = np.unique(nearest) + 1
    after = curve.invariant.astype(float)
    columns = {
        "eigenvalues": curve.eigenvalues[places],
        "count": (after[places] + after[places - 1]) / 2,
        "leading": curve.leading[places],
        "second": curve.second[places],
    }
    missing = (0, config.num_levels - len(places))
    padded = {key: np.pad(one, missing, constant_values=np.nan) for key, one in columns.items()}
    return {**padded, "order": np.asarray(float(group.order))}


def table(results: Outcome) -> str:
    """γ|G| at the last even and odd degrees with their limits, and counts over both laws."""
    degrees = results["degrees"]
    lines = [f"{'γ_d(k)·|G|':30}{'|G|':>7}{'limit':>7}{'k':>6}{'γ·|G|':>9}{'k':>6}{'γ·|G|':>9}"]
    for i, d in enumerate(results["dimensions"]):
        for g, label in enumerate(results["group_labels"][i]):
            order, inversion = results["group_order"][i, g], results["has_inversion"][i, g]
            scaled = results["invariant"][i, g] / results["harmonics"][i] * order
            even, odd = (int(degrees[degrees % 2 == parity][-1]) for parity in (0, 1))
            limit = "2, 0" if inversion else "1"
            lines.append(
                f"d = {d}  {label:23}{order:>7d}{limit:>7}"
                f"{even:>6d}{scaled[even]:9.4f}{odd:>6d}{scaled[odd]:9.4f}"
            )
    lines.append(
        f"{'space/group':24}{'Λ':>10}{'count':>10}{'leading':>11}{'ratio':>8}{'both':>11}{'ratio':>8}"
    )
    for p, label in enumerate(results["labels"]):
        last = np.flatnonzero(np.isfinite(results["eigenvalues"][p]))[-1]
        count, leading = results["count"][p, last], results["leading"][p, last]
        both = leading + results["second"][p, last]
        known = f"{both:11.1f}{count / both:8.4f}" if np.isfinite(both) else f"{'–':>11}{'–':>8}"
        lines.append(
            f"{label:24}{results['eigenvalues'][p, last]:10.0f}{count:10.1f}"
            f"{leading:11.1f}{count / leading:8.4f}{known}"
        )
    return "\n".join(lines)
