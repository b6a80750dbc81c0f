"""What exact invariance costs under S_d on T^d: time, operations and memory against |G| = d!, and risk.

One target and one truncated Sobolev kernel for all: kernel ridge on all |G| copies of the samples, ridge
on the same copies in the space of features, on a few random copies, kernel ridge with the averaged
kernel, Spec-Avg from the generators, and ridge on the invariant basis. Each runs in a process of its
own, whose peak memory is measured, until its operations, counted from its formula, exceed a budget.
"""

import os

if __name__ == "__main__":  # a child process: before JAX is imported
    os.environ.setdefault("JAX_ENABLE_X64", "1")

import dataclasses
import functools
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import COMPILE_CLOCK, Outcome, Progress, Store, stack, sweep

METHODS = (
    "full augmentation, kernel",
    "full augmentation, features",
    "random augmentation",
    "averaged kernel",
    "Spec-Avg",
    "invariant ridge",
)
MEASURED = ("set_up_seconds", "run_seconds", "compile_seconds", "peak_bytes", "risk", "discrepancy")

Model = sj.SpectralModel | sj.KernelModel


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        methods: some of ``METHODS``.
        dimensions: d of T^d and S_d, ascending.
        front_dimension: the d at which risk is drawn against seconds.
        front_copies: numbers of random copies there.
        num_copies: random copies of each sample elsewhere.
        num_samples: n.
        num_test: points of the risk.
        max_norm: the largest |k|² of the truncation.
        smoothness: s of the Sobolev kernel.
        penalty: η of all, so that all copies, averaged kernel and invariant basis give one function.
        noise: σ of the targets, whose own variance is 1.
        seeds: one training set each; times are the least over them.
        max_flops: a method that needs more operations is not run.
        max_gigabytes: nor one whose largest arrays are larger.
    """

    methods: tuple[str, ...] = METHODS
    dimensions: tuple[int, ...] = (3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48)
    front_dimension: int = 5
    front_copies: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    num_copies: int = 8
    num_samples: int = 100
    num_test: int = 1000
    max_norm: int = 3
    smoothness: float = 2.0
    penalty: float = 3e-4
    noise: float = 0.3
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    max_flops: float = 1e11
    max_gigabytes: float = 4.0

    def __post_init__(self):
        """Refuse unknown methods, and a front in no measured dimension."""
        check_choices("methods", self.methods, METHODS)
        check_choices("front_dimension", [self.front_dimension], self.dimensions)


CONFIGS = {
    "smoke": Config(
        methods=("full augmentation, features", "averaged kernel", "invariant ridge"),
        dimensions=(3, 5),
        front_dimension=3,
        front_copies=(2,),
        num_samples=20,
        num_test=50,
        seeds=(1, 2),
        max_flops=4e7,
    ),
    "default": Config(),
    "published": Config(
        dimensions=(2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32, 48, 64),
        seeds=tuple(range(1, 11)),
        max_flops=5e12,
        max_gigabytes=16.0,
    ),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Measure every method in every dimension within the budget.

    Returns:
        Over (method, dimension), NaN beyond the budget: ``set_up_seconds`` (bases, D(g)),
        ``run_seconds`` (of a compiled fit, copies included), ``compile_seconds``, ``peak_bytes`` of the
        process (of which an idle one has ``idle_bytes``), ``risk`` and ``discrepancy`` (means over
        seeds); ``flops`` also beyond it. At ``front_dimension``: ``front_seconds`` and ``front_risk``
        over methods, ``copies_seconds`` and ``copies_risk`` over the numbers of random ``copies``.
        Beside them ``methods``, ``dimensions``, ``group_orders`` (as floats), ``num_ambient``,
        ``num_invariant``, ``max_flops``.
    """
    cells = {}
    for method in config.methods:
        for d in config.dimensions:
            measure = functools.partial(_within_budget, config, method, d, config.num_copies)
            cells[f"d={d},{_file_name(method)}"] = measure
    copies_at_front = {
        f"d={config.front_dimension},{num}-copies": functools.partial(
            _within_budget, config, "random augmentation", config.front_dimension, num
        )
        for num in config.front_copies
    }
    outcomes = sweep(cells | copies_at_front, store=store, progress=progress)
    results = stack(outcomes[: len(cells)], len(config.methods), len(config.dimensions))
    copies = stack(outcomes[len(cells) :], len(copies_at_front))
    front = config.dimensions.index(config.front_dimension)
    sizes = [_sizes(config, d) for d in config.dimensions]
    return {
        **{name: results[name] for name in (*MEASURED, "flops")},
        "copies": np.asarray(config.front_copies),
        "copies_seconds": copies["set_up_seconds"] + copies["run_seconds"],
        "copies_risk": copies["risk"],
        "front_seconds": (results["set_up_seconds"] + results["run_seconds"])[:, front],
        "front_risk": results["risk"][:, front],
        "front_dimension": np.asarray(config.front_dimension),
        "idle_bytes": results["idle_bytes"][np.isfinite(results["idle_bytes"])].min(),
        "methods": np.asarray(config.methods),
        "dimensions": np.asarray(config.dimensions),
        "group_orders": np.asarray([float(math.factorial(d)) for d in config.dimensions]),
        "num_ambient": np.asarray([size[0] for size in sizes]),
        "num_invariant": np.asarray([size[1] for size in sizes]),
        "num_samples": np.asarray(config.num_samples),
        "max_flops": np.asarray(config.max_flops),
    }


def _file_name(method: str) -> str:
    return method.replace(", ", "-").replace(" ", "-")


def _sizes(config: Config, d: int) -> tuple[int, int, list[int]]:
    """D, D_G and the dimensions of the eigenspaces."""
    space = sj.Torus(d)
    multiplicities = [level.multiplicity for level in space.levels(config.max_norm)]
    invariant = sj.invariant_count(space, sj.symmetric_group(d), config.max_norm)
    return sum(multiplicities), invariant, multiplicities


@np.errstate(over="ignore")  # 100!³ is infinity
def flops(config: Config, method: str, d: int, copies: int) -> tuple[float, float]:
    """Floating-point operations of one fit, and gigabytes of its largest arrays: leading terms.

    With n samples, N rows, D functions (m in each eigenspace), D_G of them invariant: a plane wave at a
    point costs 2d; a kernel fit 2N²D for the Gram matrix and 9N³ for its eigendecomposition, five
    matrices of N²; ridge two passes over the features, 2ND² each, and 20D³ for the singular values;
    the averaged kernel n|G|D waves, twice; Spec-Avg two passes of 2nD, 9m³ for each null space, and
    eight matrices of m². The invariant functions are sums of all D waves.
    """
    n, order = float(config.num_samples), np.float64(math.factorial(d))
    whole, invariant, levels = _sizes(config, d)
    rows = {"full": n * order, "random": n * copies}.get(method.split()[0], n)
    waves = 2.0 * d * whole

    def ridge(rows: float, functions: int) -> float:
        return 2 * rows * waves + 4.0 * rows * functions**2 + 20.0 * functions**3

    if method == "full augmentation, kernel":
        return rows * waves + 2.0 * rows**2 * whole + 9.0 * rows**3, 40e-9 * rows**2
    if method == "averaged kernel":
        return 2 * n * order * waves + 2.0 * n**2 * whole + 9.0 * n**3, 4e-9 * d * order
    if method == "Spec-Avg":
        spectral = 9.0 * sum(m**3 for m in levels)
        return 2 * n * (waves + 2 * whole) + spectral, 64e-9 * sum(m**2 for m in levels)
    if method == "invariant ridge":
        return ridge(n, invariant), 16e-9 * d * whole
    return ridge(rows, whole), 16e-9 * d * rows


def _within_budget(config: Config, method: str, d: int, copies: int) -> Outcome:
    """What a process of its own measures; NaN beyond the budget."""
    operations, gigabytes = flops(config, method, d, copies)
    measured = dict.fromkeys((*MEASURED, "idle_bytes"), math.nan)
    if operations <= config.max_flops and gigabytes <= config.max_gigabytes:
        request = {"config": dataclasses.asdict(config), "method": method, "d": d, "copies": copies}
        process = subprocess.run(
            [sys.executable, "-m", "experiments.compute_cost"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent.parent,
        )
        if process.returncode:
            raise RuntimeError(f"{method}, d = {d}: the process failed.\n{process.stderr}")
        measured = json.loads(process.stdout)
    return {name: np.asarray(value) for name, value in {**measured, "flops": operations}.items()}


def _child() -> None:
    """Measure one method in one dimension, as standard input asks; print JSON."""
    request = json.load(sys.stdin)
    lists: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in request.pop("config").items()
    }
    jax.block_until_ready(jnp.zeros(1) + 1)  # JAX is up
    idle = _peak_bytes()
    print(json.dumps({**_measure(Config(**lists), **request), "idle_bytes": idle}))


def _measure(config: Config, method: str, d: int, copies: int) -> dict[str, float]:
    space, group = sj.Torus(d), sj.symmetric_group(d)
    action = sj.action(space, group)
    start, compiled = time.perf_counter(), COMPILE_CLOCK.seconds
    fit = _fit_by(config, method, action, copies)
    set_up = time.perf_counter() - start - (COMPILE_CLOCK.seconds - compiled)

    new = space.sample(jax.random.key(0), (config.num_test,))
    seconds, risks, discrepancies = [], [], []
    for seed in (config.seeds[0], *config.seeds):  # the first time compiles
        keys = jax.random.split(jax.random.key(seed), 4)
        x = space.sample(keys[0], (config.num_samples,))
        y = target(x) + config.noise * jax.random.normal(keys[1], (config.num_samples,))
        start = time.perf_counter()
        model = jax.block_until_ready(fit(keys[2], x, y))
        seconds.append(time.perf_counter() - start)
        risks.append(float(jnp.mean((model(new) - target(new)) ** 2)))
        discrepancies.append(
            sj.invariance_discrepancy(keys[3], model, action, new[:100], num_samples=20)
        )
    return {
        "set_up_seconds": set_up,
        "run_seconds": min(seconds[1:]),
        "compile_seconds": max(0.0, seconds[0] - min(seconds[1:])),
        "peak_bytes": _peak_bytes(),
        "risk": float(np.mean(risks[1:])),
        "discrepancy": float(np.mean(discrepancies[1:])),
    }


def _fit_by(
    config: Config, method: str, action: sj.Action, copies: int
) -> Callable[[jax.Array, jax.Array, jax.Array], Model]:
    """The fit (key, x, y) -> model, after its set-up."""
    space, bound = action.space, config.max_norm
    common = {"spectrum": sj.sobolev(config.smoothness), "penalty": config.penalty}

    def kernel(x: jax.Array, y: jax.Array, **options: Any) -> Model:
        return sj.fit_kernel_ridge(space, x, y, max_eigenvalue=bound, **options, **common)

    if method == "averaged kernel":
        return lambda _, x, y: kernel(x, y, action=action)
    if method == "full augmentation, kernel":
        return lambda key, x, y: kernel(*sj.augment(key, action, x, y, "all"))
    if method == "invariant ridge":
        basis = sj.invariant_basis(space, action, max_eigenvalue=bound, route="orbits")
        return lambda _, x, y: sj.fit_ridge(basis, x, y, **common)
    whole = sj.eigenbasis(space, max_eigenvalue=bound)
    if method == "Spec-Avg":
        return lambda _, x, y: sj.fit_spec_avg(whole, x, y, action=action)
    which = "all" if method.startswith("full") else copies
    return lambda key, x, y: sj.fit_ridge(whole, *sj.augment(key, action, x, y, which), **common)


def target(x: jax.Array) -> jax.Array:
    """Σ_j a_j e_j(√2 cos x)/√C(d, j) over the elementary symmetric functions j = 1, 2, 3, of variance 1.

    By Newton's identities from the power sums, for any d ≥ 2 (e_3 = 0 for d = 2).
    """
    d, waves = x.shape[-1], math.sqrt(2) * jnp.cos(x)
    p = [jnp.sum(waves**j, axis=-1) for j in (1, 2, 3)]
    e = [p[0], (p[0] ** 2 - p[1]) / 2, (p[0] ** 3 - 3 * p[0] * p[1] + 2 * p[2]) / 6]
    kept = range(min(d, 3))
    return sum((e[j] / math.sqrt(math.comb(d, j + 1)) for j in kept), jnp.zeros_like(p[0])) / math.sqrt(
        len(kept)
    )


def _peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage also counts what the parent had when it started this process
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(results: Outcome) -> str:
    """All measurements; methods beyond their budget say so."""
    lines = [
        f"n = {results['num_samples']}; a method that needs more than {results['max_flops']:.0e} "
        f"operations is not run. An idle process has {results['idle_bytes'] / 1e9:.2f} GB.",
        f"{'d':>3} {'|G|':>8} {'D':>7} {'D_G':>4}  {'method':28} {'set-up s':>8} {'run s':>8} "
        f"{'compile s':>9} {'flops':>8} {'peak GB':>8} {'risk':>7} {'discrepancy':>11}",
    ]
    for j, d in enumerate(results["dimensions"]):
        for k, method in enumerate(results["methods"]):
            one = {name: results[name][k, j] for name in (*MEASURED, "flops")}
            head = (
                f"{d:3d} {results['group_orders'][j]:8.1e} {results['num_ambient'][j]:7d} "
                f"{results['num_invariant'][j]:4d}  {method:28} "
            )
            if math.isnan(one["risk"]):
                lines.append(f"{head}{'beyond the budget':>27} {one['flops']:8.1e}")
                continue
            lines.append(
                f"{head}{one['set_up_seconds']:8.3f} {one['run_seconds']:8.4f} "
                f"{one['compile_seconds']:9.2f} {one['flops']:8.1e} "
                f"{one['peak_bytes'] / 1e9:8.2f} {one['risk']:7.4f} "
                f"{one['discrepancy']:11.1e}"
            )
    lines.append(f"risk against seconds (set-up and fit) at d = {results['front_dimension']}:")
    copies = [f"random augmentation, {num} copies" for num in results["copies"]]
    names = [*results["methods"], *copies]
    seconds = [*results["front_seconds"], *results["copies_seconds"]]
    for name, s, risk in zip(
        names, seconds, [*results["front_risk"], *results["copies_risk"]], strict=True
    ):
        lines.append(f"  {name:34} {s:9.4f} s  {risk:.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    _child()
