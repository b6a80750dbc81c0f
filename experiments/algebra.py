"""What the algebra wing promises, measured: orders, Molien series, sets of points, orbits, averages.

Each beside what this machine can do, measured in the same run: the rate of matrix products, one pass of
cosines and sines, one pass of gathers. Times depend on the machine and its load, their ratios less.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, sweep
from experiments.timing import least_seconds, timed
from symjax_learn.algebra import coxeter, multisets, orbits, series

METHODS = ("power_sums", "scan", "sums")
_MATRIX_SIZE = 2048
_NUM_COMPARED = 1000
# Sets in one chunk of sums over points: their angles and sums stay in the cache.
_CHUNK_SETS = 1000


def _mathieu() -> sj.AbstractGroup:
    """M_24 on the projective line of 23 elements: x ↦ x + 1, x ↦ 2x, x ↦ −1/x and one more (Conway)."""
    infinity, squares = 23, {x * x % 23 for x in range(1, 23)}
    ninth = pow(9, -1, 23)
    shift = [(x + 1) % 23 for x in range(23)] + [infinity]
    double = [2 * x % 23 for x in range(23)] + [infinity]
    invert = [infinity] + [-pow(x, -1, 23) % 23 for x in range(1, 23)] + [0]
    mixed = [(ninth if x in squares else 9) * x**3 % 23 for x in range(23)] + [infinity]
    return sj.permutation_group([shift, double, invert, mixed])


def _rubik() -> sj.AbstractGroup:
    """48 stickers, 1 to 48: a face turns its own eight and four rows of three beside it (Singmaster)."""
    faces = [
        [(1, 3, 8, 6), (2, 5, 7, 4), (9, 33, 25, 17), (10, 34, 26, 18), (11, 35, 27, 19)],
        [(9, 11, 16, 14), (10, 13, 15, 12), (1, 17, 41, 40), (4, 20, 44, 37), (6, 22, 46, 35)],
        [(17, 19, 24, 22), (18, 21, 23, 20), (6, 25, 43, 16), (7, 28, 42, 13), (8, 30, 41, 11)],
        [(25, 27, 32, 30), (26, 29, 31, 28), (3, 38, 43, 19), (5, 36, 45, 21), (8, 33, 48, 24)],
        [(33, 35, 40, 38), (34, 37, 39, 36), (3, 9, 46, 32), (2, 12, 47, 29), (1, 14, 48, 27)],
        [(41, 43, 48, 46), (42, 45, 47, 44), (14, 22, 30, 38), (15, 23, 31, 39), (16, 24, 32, 40)],
    ]
    generators = np.tile(np.arange(49), (len(faces), 1))
    for images, face in zip(generators, faces, strict=True):
        for cycle in face:
            images[list(cycle)] = np.roll(cycle, -1)
    return sj.permutation_group(generators)


GROUPS = {
    "M24": _mathieu,
    "Rubik": _rubik,
    "E6": functools.partial(sj.coxeter_group, "E6"),
    "E8": functools.partial(sj.coxeter_group, "E8"),
    "S10": functools.partial(sj.symmetric_group, 10),
    "S40": functools.partial(sj.symmetric_group, 40),
    "S100": functools.partial(sj.symmetric_group, 100),
    "B10": functools.partial(sj.hyperoctahedral_group, 10),
    "B50": functools.partial(sj.hyperoctahedral_group, 50),
    "Oh": functools.partial(sj.point_group, "Oh"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured.

    Attributes:
        groups: some of ``GROUPS``, whose exact orders are found.
        num_space_groups: so many of the 230, from the first.
        molien_degree: the last degree of the series.
        molien_rank: of all irreducible finite reflection groups to this rank (I2(m) up to m = 30).
        molien_order: up to this order the series is also the average over all elements.
        num_points: n of the sets of points on the circle, that is, of S_n on T^n.
        max_norm: the largest |k|² of the functions of a set.
        num_sets: so many sets, float32.
        tensor: (n, m): the orbits of S_n on the n^m index tuples of (R^n)^{⊗m}.
        chains: some of ``GROUPS``, whose averages are counted.
        num_repeats: timings are the least of so many, after one more.
    """

    groups: tuple[str, ...] = ("M24", "Rubik", "E8", "S100", "B50")
    num_space_groups: int = 230
    molien_degree: int = 30
    molien_rank: int = 8
    molien_order: int = 100_000
    num_points: int = 100
    max_norm: int = 6
    num_sets: int = 100_000
    tensor: tuple[int, ...] = (10, 6)
    chains: tuple[str, ...] = ("Oh", "M24", "Rubik", "E8", "S10", "S40", "B10")
    num_repeats: int = 5

    def __post_init__(self):
        """Refuse unknown names."""
        check_choices("groups", self.groups, list(GROUPS))
        check_choices("chains", self.chains, list(GROUPS))


CONFIGS = {
    "smoke": Config(
        groups=("M24", "S100"),
        num_space_groups=3,
        molien_degree=6,
        molien_rank=3,
        molien_order=50,
        num_points=20,
        max_norm=4,
        num_sets=50,
        tensor=(4, 3),
        chains=("Oh", "S10"),
        num_repeats=1,
    ),
    "default": Config(),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Measure everything.

    Returns:
        ``machine_*``: operations a second of matrix products, float32 (JAX) and float64 (NumPy).
        ``orders_*`` over ``orders_names``: the exact order as a decimal string, the seconds of the first
        construction and the least of later ones.
        ``space_groups_*``: ``status``, which names what is missing where nothing was measured; how many,
        seconds of all, the sum of their orders.
        ``molien_*`` over ``molien_names``: the order; seconds of the series from the degrees; and up to
        ``molien_order`` seconds of listing the elements, of the average over them, its operations, and
        whether both series agree (NaN beyond).
        ``multisets_*`` over ``multisets_methods``: seconds from the angles, and from what is given, the
        features or the sums of waves over the points; the number of functions and of waves summed,
        operations and bytes of each, seconds of one pass of cos and sin, and the largest error of a
        function against the scan in float64, relative to its root mean square.
        ``orbits_*``: tuples, orbits, those that carry an invariant, seconds of the images of all tuples,
        of the orbits, and of one gather of all images.
        ``chains_*`` over ``chains_names``: Σ|U_i| as an integer, |G| as a decimal string, seconds.
    """
    measurements = {
        "machine": _machine,
        "orders": _orders,
        "space_groups": _space_groups,
        "molien": _molien,
        "multisets": _multisets,
        "orbits": _orbits,
        "chains": _chains,
    }
    cells = {name: functools.partial(measure, config) for name, measure in measurements.items()}
    merged: Outcome = {}
    for name, outcome in zip(cells, sweep(cells, store=store, progress=progress), strict=True):
        merged |= {f"{name}_{key}": one for key, one in outcome.items() if not key.startswith("cell_")}
    return merged


def _machine(config: Config) -> dict[str, float]:
    single = jnp.ones((_MATRIX_SIZE, _MATRIX_SIZE), jnp.float32)
    double = np.ones((_MATRIX_SIZE, _MATRIX_SIZE))
    multiply = jax.jit(lambda a: a @ a)
    flops = 2 * _MATRIX_SIZE**3
    return {
        "float32_flops": flops / least_seconds(lambda: multiply(single), config.num_repeats),
        "float64_flops": flops / least_seconds(lambda: double @ double, config.num_repeats),
    }


def _orders(config: Config) -> dict[str, Any]:
    first, later, orders = [], [], []
    for name in config.groups:
        group, seconds = timed(GROUPS[name])
        first.append(seconds)
        later.append(least_seconds(GROUPS[name], config.num_repeats))
        orders.append(str(group.order))
    return {"names": config.groups, "orders": orders, "first_seconds": first, "seconds": later}


def _space_groups(config: Config) -> dict[str, Any]:
    def construct() -> list[sj.AbstractGroup]:
        return [sj.space_group(number) for number in range(1, config.num_space_groups + 1)]

    try:
        groups, seconds = timed(construct)
    except ImportError:
        return {"status": "spglib is not installed", "num": 0, "seconds": math.nan, "total_order": 0}
    total = sum(int(group.order) for group in groups)
    return {"status": "measured", "num": len(groups), "seconds": seconds, "total_order": total}


def _reflection_groups(rank: int) -> list[str]:
    """The irreducible finite reflection groups to this rank, each once."""
    names = [f"A{n}" for n in range(1, rank + 1)] + [f"B{n}" for n in range(2, rank + 1)]
    names += [f"D{n}" for n in range(4, rank + 1)]
    exceptional = {"G2": 2, "H3": 3, "F4": 4, "H4": 4, "E6": 6, "E7": 7, "E8": 8}
    names += [name for name, least in exceptional.items() if least <= rank]
    return names + [f"I2({m})" for m in (5, *range(7, 31)) if rank >= 2]


def _molien(config: Config) -> dict[str, Any]:
    names = _reflection_groups(config.molien_rank)
    rows = [_molien_of(config, name) for name in names]
    return {"names": names, **{key: [row[key] for row in rows] for key in rows[0]}}


def _molien_of(config: Config, name: str) -> dict[str, float]:
    degree = config.molien_degree
    degrees = coxeter.coxeter_degrees(name)
    closed = series.hilbert_series(degrees, degree)
    rank, order = len(degrees), math.prod(degrees)
    row = {
        "order": order,
        "seconds": least_seconds(lambda: series.hilbert_series(degrees, degree), config.num_repeats),
        "listing_seconds": math.nan,
        "average_seconds": math.nan,
        "average_flops": order * degree * (2 * rank**3 + rank + degree),
        "agree": math.nan,
    }
    if order > config.molien_order:
        return row
    elements, listing = timed(lambda: np.asarray(sj.coxeter_group(name).elements()))
    averaged, seconds = timed(lambda: series.molien_series(elements, degree))
    return row | {
        "listing_seconds": listing,
        "average_seconds": seconds,
        "agree": float(averaged == closed),
    }


def _harmonics(
    first: tuple[jax.Array, jax.Array], num_waves: int
) -> tuple[list[jax.Array], list[jax.Array]]:
    """The waves cos kx and sin kx of k = 0..num_waves from those of k = 1."""
    cosines, sines = [jnp.ones_like(first[0]), first[0]], [jnp.zeros_like(first[1]), first[1]]
    for _ in range(num_waves - 1):  # cos (k+1)x = 2 cos x cos kx − cos (k−1)x, and the same for sin
        cosines.append(2 * first[0] * cosines[-1] - cosines[-2])
        sines.append(2 * first[0] * sines[-1] - sines[-2])
    return cosines, sines


def _first_wave(angles: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Keep cos x and sin x: otherwise XLA computes them again wherever they are used."""
    return jax.lax.optimization_barrier((jnp.cos(angles), jnp.sin(angles)))


def _waves(angles: jax.Array, num_waves: int) -> jax.Array:
    """√2 cos kx and √2 sin kx of k = 1..num_waves: (..., n, 2·num_waves)."""
    cosines, sines = _harmonics(_first_wave(angles), num_waves)
    pairs = itertools.chain(*zip(cosines[1:], sines[1:], strict=True))
    return jnp.stack([*pairs], axis=-1) * jnp.asarray(math.sqrt(2), angles.dtype)


def times_wave(label: int, member: int) -> dict[int, float]:
    """The label's wave, √2 cos kx or √2 sin kx, times cos bx (member b ≥ 0) or sin |b|x (b < 0)."""
    k, b = label // 2 + 1, abs(member)
    half, sign = math.sqrt(0.5), math.copysign(1.0, k - b)
    is_sine, by_sine = label % 2 == 1, member < 0
    if is_sine and by_sine:
        terms = [(abs(k - b), half), (k + b, -half)]
    elif is_sine:
        terms = [(-(k + b), half), (-abs(k - b), sign * half)]
    elif by_sine:
        terms = [(-(k + b), half), (-abs(k - b), -sign * half)]
    else:
        terms = [(k + b, half), (abs(k - b), half)]
    product: dict[int, float] = {}
    for name, coefficient in terms:
        if name or is_sine == by_sine:  # sin 0x = 0
            product[name] = product.get(name, 0.0) + coefficient
    return product


def _wave_sums(family: Any, angles: jax.Array) -> jax.Array:
    """Σ_j of the members over the points of each set, one point after the other: (sets, members)."""
    num_waves = max(abs(name) for name in family.members)

    def add(sums: list[jax.Array], first: tuple[jax.Array, jax.Array]) -> tuple[list[jax.Array], None]:
        cosines, sines = _harmonics(first, num_waves)
        values = [cosines[name] if name >= 0 else sines[-name] for name in family.members]
        return [a + b for a, b in zip(sums, values, strict=True)], None

    def of_chunk(chunk: jax.Array) -> jax.Array:
        start = [jnp.zeros_like(chunk[:, 0]) for _ in family.members]
        sums, _ = jax.lax.scan(add, start, _first_wave(chunk.T))
        return jnp.stack(sums, axis=-1)

    sets, n = angles.shape
    rows = math.gcd(sets, _CHUNK_SETS)
    return jax.lax.map(of_chunk, angles.reshape(sets // rows, rows, n)).reshape(sets, -1)


def _multisets(config: Config) -> dict[str, Any]:
    """Values are written once, (num_sets, functions), by one compiled call."""
    n, sets, num_waves = config.num_points, config.num_sets, math.isqrt(config.max_norm)
    index = _circle_index(config)
    family = multisets.products(index, times_wave)  # pyright: ignore[reportArgumentType]
    uniform = np.random.default_rng(0).uniform(0, 2 * np.pi, (sets, n))
    angles = jnp.asarray(uniform, jnp.float32)
    exact = _exact(config, uniform[:_NUM_COMPARED])
    scale = np.sqrt(np.mean(exact**2, axis=0))
    from_angles, from_given, errors = [], [], []
    for method in METHODS:
        prepare, evaluate = _steps(method, num_waves)
        given = jax.jit(prepare)(family, angles)
        whole = jax.jit(lambda i, f, x, p=prepare, e=evaluate: e(i, f, p(f, x)))
        part = jax.jit(evaluate)
        timings = [
            least_seconds(functools.partial(compiled, index, family, inputs), config.num_repeats)
            for compiled, inputs in ((whole, angles), (part, given))
        ]
        values = np.asarray(whole(index, family, angles)[:_NUM_COMPARED], np.float64)
        from_angles.append(timings[0])
        from_given.append(timings[1])
        errors.append(float((np.abs(values - exact).max(axis=0) / scale).max()))
    trigonometry = jax.jit(lambda x: jnp.cos(x).sum() + jnp.sin(x).sum())
    read = [2 * num_waves * n, 2 * num_waves * n, len(family.members)]
    return {
        "methods": METHODS,
        "num_functions": index.num_multisets,
        "num_members": len(family.members),
        "seconds_from_angles": from_angles,
        "seconds_from_given": from_given,
        "error": errors,
        "flops": [sets * flops for flops in _flops(index, family, n)],
        "bytes_from_angles": 4 * sets * (n + index.num_multisets),
        "bytes_from_given": [4 * sets * (width + index.num_multisets) for width in read],
        "trigonometry_seconds": least_seconds(lambda: trigonometry(angles), config.num_repeats),
    }


def _steps(method: str, num_waves: int) -> tuple[Callable[..., jax.Array], Callable[..., jax.Array]]:
    """(family, angles) ↦ features or sums over points, and (index, family, those) ↦ values."""
    if method == "sums":
        return _wave_sums, multisets.monomial_symmetric_from_sums
    return (
        lambda family, angles: _waves(angles, num_waves),  # noqa: ARG005
        lambda index, family, features: multisets.monomial_symmetric(  # noqa: ARG005
            index,
            features,
            method=method,  # pyright: ignore[reportArgumentType]
        ),
    )


def _flops(index: Any, family: Any, n: int) -> tuple[int, int, int]:
    """Sums and products for one set, by each method, after cos x and sin x."""
    pairs = 3 * sum(len(level.pair_row) for level in index.levels)
    placements = sum(len(level.row) for level in index.levels)
    members, functions = len(family.members), index.num_multisets
    return (
        2 * n * functions + pairs,  # a product and a sum for each multiset and point
        2 * n * placements,  # and for each label that a point may take
        4 * n * members + 2 * functions * members + pairs,  # a recurrence and a sum for each member
    )


def _circle_index(config: Config) -> Any:
    """The multisets of the waves of the circle, two for each k² ≤ max_norm."""
    weights = [k * k for k in range(1, math.isqrt(config.max_norm) + 1) for _ in range(2)]
    return multisets.multisets(weights, config.max_norm, config.num_points)


def _exact(config: Config, uniform: np.ndarray) -> np.ndarray:
    """The functions of the same float32 angles, by the scan in float64."""
    with jax.enable_x64(True):
        angles = jnp.asarray(uniform.astype(np.float32).astype(np.float64))
        features = _waves(angles, math.isqrt(config.max_norm))
        return np.asarray(multisets.monomial_symmetric(_circle_index(config), features, method="scan"))


def _orbits(config: Config) -> dict[str, Any]:
    n, power = config.tensor
    generators = np.asarray(sj.symmetric_group(n).generators)

    def images() -> np.ndarray:
        targets = np.zeros((len(generators), 1), np.int64)
        for _ in range(power):  # of one more index, the last
            targets = (targets[:, :, None] * n + generators[:, None, :]).reshape(len(generators), -1)
        return targets

    targets = images()
    phases = np.zeros_like(targets)
    find = functools.partial(orbits.monomial_orbits, targets, phases, 1)
    found = find()
    return {
        "num_tuples": targets.shape[1],
        "num_orbits": len(found.carries),
        "num_carrying": int(found.carries.sum()),
        "images_seconds": least_seconds(images, config.num_repeats),
        "seconds": least_seconds(lambda: find().labels, config.num_repeats),
        "gather_seconds": least_seconds(lambda: found.labels[targets], config.num_repeats),
    }


def _chains(config: Config) -> dict[str, Any]:
    totals, orders, spent = [], [], []
    for name in config.chains:
        group = GROUPS[name]()
        transversals, seconds = timed(group.transversals)
        sizes = [jax.tree.leaves(transversal)[0].shape[0] for transversal in transversals]
        if math.prod(sizes) != group.order:
            raise AssertionError(f"{name}: Π|U_i| = {math.prod(sizes)} and |G| = {group.order}")
        totals.append(sum(sizes))
        orders.append(str(group.order))
        spent.append(seconds)
    return {"names": config.chains, "totals": totals, "orders": orders, "seconds": spent}


def table(results: dict[str, np.ndarray]) -> str:
    """The measurements as text."""
    return "\n".join([*_set_up_lines(results), *_multisets_lines(results), *_orbits_lines(results)])


def _set_up_lines(r: dict[str, np.ndarray]) -> list[str]:
    lines = [
        f"Machine: matrix products at {r['machine_float32_flops'] / 1e9:.0f} GFLOP/s in float32, "
        f"{r['machine_float64_flops'] / 1e9:.0f} in float64",
        "Orders, seconds of construction (first, later):",
    ]
    lines += [
        f"  {name:6} {first:8.3f} {later:8.3f}  |G| = {_short(order)}"
        for name, first, later, order in _rows(r, "orders", "names first_seconds seconds orders")
    ]
    if r["space_groups_status"] == "measured":
        lines.append(
            f"Space groups: {r['space_groups_num']} in {r['space_groups_seconds']:.2f} s, orders in all "
            f"{r['space_groups_total_order']}"
        )
    else:
        lines.append(f"Space groups: not measured, {r['space_groups_status']}")
    listed = np.isfinite(r["molien_agree"])
    agreeing = int(r["molien_agree"][listed].sum())
    lines.append(
        f"Molien series of {len(listed)} reflection groups: from degrees at most "
        f"{1e3 * r['molien_seconds'].max():.2f} ms; as averages the {listed.sum()} smaller ones, "
        f"{agreeing} of which agree"
    )
    slowest = int(np.nanargmax(r["molien_average_seconds"]))
    spent = r["molien_average_seconds"][slowest]
    floor = r["molien_average_flops"][slowest] / r["machine_float64_flops"]
    lines.append(
        f"  the slowest, {r['molien_names'][slowest]} of order {r['molien_order'][slowest]:,}: listing "
        f"{r['molien_listing_seconds'][slowest]:.2f} s, average {spent:.2f} s, "
        f"{spent / floor:.0f} × its operations at the rate of matrix products"
    )
    return lines


def _multisets_lines(r: dict[str, np.ndarray]) -> list[str]:
    trigonometry, rate = r["multisets_trigonometry_seconds"], r["machine_float32_flops"]
    lines = [
        f"Sets of points, {r['multisets_num_functions']} functions, float32, values written once; "
        f"one pass of cos and sin {trigonometry:.3f} s:",
        f"  {'seconds from':20} {'angles':>8} {'given':>8} {'floor':>8} {'ratio':>7} {'error':>9}",
    ]
    columns = "methods seconds_from_angles seconds_from_given flops error"
    for method, angles, given, flops, error in _rows(r, "multisets", columns):
        floor = trigonometry + flops / rate
        lines.append(
            f"  {method:20} {angles:8.3f} {given:8.3f} {floor:8.3f} {angles / floor:7.1f} {error:9.1e}"
        )
    lines += [
        f"  given: the features; for sums those of {r['multisets_num_members']} waves over the points",
        "  floor: that pass, and the operations of the method at the rate of matrix products",
    ]
    return lines


def _orbits_lines(r: dict[str, np.ndarray]) -> list[str]:
    lines = [
        f"Orbits: {r['orbits_num_orbits']} of {r['orbits_num_tuples']:,} tuples in "
        f"{r['orbits_seconds']:.3f} s, {r['orbits_seconds'] / r['orbits_gather_seconds']:.0f} × one "
        f"gather of all images (which took {r['orbits_images_seconds']:.3f} s)",
        "Averages by stabilizer chains: products, of elements, seconds of the chain",
    ]
    return lines + [
        f"  {name:6} {total:6,}  {_short(order)}  {seconds:.2f}"
        for name, total, order, seconds in _rows(r, "chains", "names totals orders seconds")
    ]


def _rows(r: dict[str, np.ndarray], cell: str, keys: str) -> list[tuple[Any, ...]]:
    return list(zip(*(r[f"{cell}_{key}"].tolist() for key in keys.split()), strict=True))


def _short(order: str) -> str:
    """Decimal digits, exact where there are few."""
    return f"{int(order):,}" if len(order) <= 24 else f"{order[0]}.{order[1:3]}e{len(order) - 1}"
