"""What the spaces of the geometry wing cost: set-up, compilation and evaluation, and S² beside e3nn-jax.

Times depend on the machine and its load, their ratios less: each stands beside the matrix product and
the pass of cosines and sines of the same run.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, sweep
from experiments.timing import least_seconds, timed

_MATRIX_SIZE = 1024
_NUM_ANGLES = 2**20

# A space, and a truncation that leaves about a thousand functions where it can.
SPACES: dict[str, tuple[Callable[[], sj.AbstractSpace], float]] = {
    "Torus(3)": (lambda: sj.Torus(3), 36),
    "Sphere(2)": (lambda: sj.Sphere(2), 930),
    "Sphere(9)": (lambda: sj.Sphere(9), 48),
    "Box(3)": (lambda: sj.Box(3), 140 * math.pi**2),
    "Gaussian(3)": (lambda: sj.Gaussian(3), 16),
    "RotationGroup()": (lambda: sj.RotationGroup(), 72),
    "Ball(3)": (lambda: sj.Ball(3), 450),
    "Hypercube(20)": (lambda: sj.Hypercube(20), 6),
    "Graphs(8)": (lambda: sj.Graphs(8), 4),
    "Labels(50)": (lambda: sj.Labels(50), 50),
    "S² × T¹": (lambda: sj.Product(sj.Sphere(2), sj.Torus(1)), 72),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured, in float32.

    Attributes:
        degree: of the harmonics of S² that are compared with e3nn-jax.
        num_points: so many points of S².
        num_compared: of these, so many are compared in float64.
        dimensions: of further spheres, whose functions are combined with one vector of coefficients;
        degrees: and their degrees.
        num_combined: so many points of these, and of each of the spaces.
        spaces: some of ``SPACES``.
        num_repeats: timings are the least of so many, after one more.
    """

    degree: int = 100
    num_points: int = 10_000
    num_compared: int = 200
    dimensions: tuple[int, ...] = (2, 15, 30)
    degrees: tuple[int, ...] = (100, 6, 3)
    num_combined: int = 1000
    spaces: tuple[str, ...] = tuple(SPACES)
    num_repeats: int = 3

    def __post_init__(self):
        """Refuse unknown names, and a degree without its sphere."""
        check_choices("spaces", self.spaces, list(SPACES))
        if len(self.dimensions) != len(self.degrees):
            raise ValueError(
                f"degrees: expected one for each of the {len(self.dimensions)} dimensions and got "
                f"{len(self.degrees)}."
            )


CONFIGS = {
    "smoke": Config(
        degree=9,
        num_points=20,
        num_compared=20,
        dimensions=(15, 30),
        degrees=(2, 1),
        num_combined=20,
        spaces=("Sphere(2)", "Labels(50)"),
        num_repeats=1,
    ),
    "default": Config(),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Measure everything.

    Returns:
        ``machine_*``: operations a second of a matrix product, values of cos and sin a second.
        ``s2_*`` over ``s2_libraries`` (this one; e3nn-jax where it is installed): seconds of the first
        call with set-up and compilation, seconds of a later one, all values
        written out; the largest error of a float32 value against this library's in float64; ``status``;
        and ``difference``, the largest of the values of both in float64 (NaN where it is not installed).
        ``spheres_*`` over ``spheres_dimensions``, ``spaces_*`` over ``spaces_names``: the number of
        functions; seconds of set-up, of compilation and of the functions combined with one vector.
    """
    measurements = {"machine": _machine, "s2": _s2, "spheres": _spheres, "spaces": _spaces}
    cells = {name: functools.partial(measure, config) for name, measure in measurements.items()}
    merged: Outcome = {}
    for name, outcome in zip(cells, sweep(cells, store=store, progress=progress), strict=True):
        merged |= {f"{name}_{key}": one for key, one in outcome.items() if not key.startswith("cell_")}
    return merged


def _machine(config: Config) -> dict[str, float]:
    matrix = jnp.ones((_MATRIX_SIZE, _MATRIX_SIZE), jnp.float32)
    angles = jnp.linspace(0, 6, _NUM_ANGLES, dtype=jnp.float32)
    multiply = jax.jit(lambda a: a @ a)
    trigonometry = jax.jit(lambda x: jnp.cos(x).sum() + jnp.sin(x).sum())
    return {
        "flops": 2 * _MATRIX_SIZE**3 / least_seconds(lambda: multiply(matrix), config.num_repeats),
        "trigonometry": _NUM_ANGLES / least_seconds(lambda: trigonometry(angles), config.num_repeats),
    }


def _ours(degree: int) -> Callable[[jax.Array], jax.Array]:
    space = sj.Sphere(2)
    functions = space.functions(space.levels(degree * (degree + 1)))
    compiled = jax.jit(lambda functions, x: functions.columns(x))
    return lambda x: compiled(functions, x)


def _theirs(degree: int) -> Callable[[jax.Array], jax.Array]:
    """e3nn-jax in our order and axes.

    Their polar axis is the second and their azimuth turns from the third to the first; ours are the
    third, and from the first to the second. Their order is m = −l, …, l, the sines first.
    """
    import e3nn_jax as e3nn  # pyright: ignore[reportMissingImports]

    irreps = e3nn.s2_irreps(degree)
    orders = [0, *(sign * m for m in range(1, degree + 1) for sign in (1, -1))]
    order = [k * (k + 1) + m for k in range(degree + 1) for m in orders[: 2 * k + 1]]

    # The legendre algorithm: compilation of the recursive one grows beyond minutes from degree 12 on.
    @jax.jit
    def compiled(x: jax.Array) -> jax.Array:
        turned = e3nn.IrrepsArray("1o", x[:, jnp.asarray([1, 2, 0])])
        values = e3nn.spherical_harmonics(
            irreps, turned, False, "component", algorithm=("legendre", "dense")
        ).array
        return values[:, jnp.asarray(order)]

    def evaluate(x: jax.Array) -> jax.Array:
        # Theirs does not trace under the strictest settings.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return compiled(x)

    return evaluate


def _s2(config: Config) -> dict[str, Any]:
    libraries: dict[str, Callable[[int], Callable[[jax.Array], jax.Array]]] = {"symjax_learn": _ours}
    status = "measured"
    try:
        import e3nn_jax  # noqa: F401  # pyright: ignore[reportMissingImports]

        libraries["e3nn-jax"] = _theirs
    except ImportError:
        status = "e3nn-jax is not installed: pip install symjax-learn[benchmarks]"
    x = np.random.default_rng(0).normal(size=(config.num_points, 3))
    x = np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)
    few = x[: config.num_compared].astype(np.float64)
    with jax.enable_x64(True):
        exact = [np.asarray(make(config.degree)(jnp.asarray(few))) for make in libraries.values()]
    with jax.enable_x64(False):  # a float64 constant of theirs would take part otherwise
        rows = [_written_out(config, make, x, exact[0]) for make in libraries.values()]
    return {
        "libraries": list(libraries),
        "status": status,
        "num_functions": exact[0].shape[1],
        **_columns(rows),
        "difference": float(np.abs(exact[-1] - exact[0]).max()) if len(exact) > 1 else math.nan,
    }


def _written_out(
    config: Config,
    make: Callable[[int], Callable[[jax.Array], jax.Array]],
    x: np.ndarray,
    exact: np.ndarray,
) -> dict[str, float]:
    """Seconds and error of all values at float32 points, by a first call and later ones."""
    points = jnp.asarray(x)
    start = time.perf_counter()
    evaluate = make(config.degree)
    values = jax.block_until_ready(evaluate(points))
    first = time.perf_counter() - start
    error = np.abs(np.asarray(values[: len(exact)], np.float64) - exact).max()
    del values
    seconds = least_seconds(functools.partial(evaluate, points), config.num_repeats)
    return {"first_seconds": first, "seconds": seconds, "error": float(error)}


def _spheres(config: Config) -> dict[str, Any]:
    rows = [
        _combined(config, sj.Sphere(dimension), degree * (degree + dimension - 1))
        for dimension, degree in zip(config.dimensions, config.degrees, strict=True)
    ]
    return {"dimensions": config.dimensions, "degrees": config.degrees, **_columns(rows)}


def _spaces(config: Config) -> dict[str, Any]:
    cases = (SPACES[name] for name in config.spaces)
    rows = [_combined(config, make(), max_eigenvalue) for make, max_eigenvalue in cases]
    return {"names": config.spaces, **_columns(rows)}


def _combined(config: Config, space: sj.AbstractSpace, max_eigenvalue: float) -> dict[str, float]:
    """One vector times the functions at float32 points, which are never written out."""
    functions, set_up = timed(lambda: space.functions(space.levels(max_eigenvalue)))
    x = space.sample(jax.random.key(0), (config.num_combined,))
    if jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.float32)
    coefficients = jnp.ones((1, functions.num_functions), jnp.float32)
    jitted = jax.jit(lambda functions, c, x: functions.combined(c, x))
    compiled, compilation = timed(lambda: jitted.lower(functions, coefficients, x).compile())
    return {
        "num_functions": functions.num_functions,
        "set_up_seconds": set_up,
        "compile_seconds": compilation,
        "seconds": least_seconds(lambda: compiled(functions, coefficients, x), config.num_repeats),
    }


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {key: [row[key] for row in rows] for key in rows[0]}


def table(results: dict[str, np.ndarray]) -> str:
    """The measurements as text."""
    r = results
    lines = [
        f"Machine, float32: matrix products at {r['machine_flops'] / 1e9:.0f} GFLOP/s, cos and sin of "
        f"{r['machine_trigonometry'] / 1e6:.0f} M angles/s",
        f"S², {r['s2_num_functions']:,} written out: first call (all of it) s, later s, error",
    ]
    lines += [
        f"  {name:14} {first:8.2f} {seconds:8.3f} {error:9.1e}"
        for name, first, seconds, error in _rows(r, "s2", "libraries first_seconds seconds error")
    ]
    if r["s2_status"] == "measured":
        lines.append(f"  largest difference in float64: {r['s2_difference']:.1e}")
    else:
        lines.append(f"  {r['s2_status']}")
    columns = "num_functions set_up_seconds compile_seconds seconds"
    labelled = {
        "spheres": [f"S^{d}, degree {k}" for d, k in _rows(r, "spheres", "dimensions degrees")],
        "spaces": r["spaces_names"].tolist(),
    }
    lines.append("Combined with one vector: functions, set-up s, compilation s, run s")
    for cell, names in labelled.items():
        lines += [
            f"  {name:16} {num:7,} {set_up:8.3f} {compilation:8.3f} {seconds:9.5f}"
            for name, (num, set_up, compilation, seconds) in zip(
                names, _rows(r, cell, columns), strict=True
            )
        ]
    return "\n".join(lines)


def _rows(r: dict[str, np.ndarray], cell: str, keys: str) -> list[tuple[Any, ...]]:
    return list(zip(*(r[f"{cell}_{key}"].tolist() for key in keys.split()), strict=True))
