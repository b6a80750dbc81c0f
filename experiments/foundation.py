"""What the foundation promises, measured: one function by three routes, exactness, set-up, import.

The same truncated kernel and penalty on the torus T^d with B_d: ridge on the invariant basis, kernel
ridge with the averaged kernel, and scikit-learn's kernel ridge on all |G| copies of the data. Then the
invariance discrepancy in both precisions, the seconds to build a large invariant basis, and the cost
of importing the package beside that of JAX, equinox and lineax.
"""

import dataclasses
import functools
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.storage import Outcome, Progress, Store, sweep
from experiments.timing import least_seconds


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured.

    Attributes:
        dimension: d of the torus of period 2π and of the group B_d.
        num_samples: n of the three fits.
        max_norm: the largest |k|² of the truncation.
        smoothness: s of the Sobolev kernel.
        penalty: η of all three.
        num_discrepancy: how many random elements, and points.
        set_up: (dimension, max_norm) of the S_d-invariant basis that is timed.
        num_repeats: timings are the least of so many.
    """

    dimension: int = 3
    num_samples: int = 240
    max_norm: int = 100
    smoothness: float = 3.0
    penalty: float = 1e-4
    num_discrepancy: int = 1000
    set_up: tuple[int, int] = (10, 8)
    num_repeats: int = 20


CONFIGS = {
    "smoke": Config(
        dimension=2, num_samples=20, max_norm=9, num_discrepancy=20, set_up=(4, 4), num_repeats=1
    ),
    "default": Config(),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Measure everything.

    Returns:
        Scalars: ``num_invariant``, ``num_ambient``, ``num_rows`` (of the augmented data);
        ``averaged_difference`` and ``augmented_difference`` (of the predictions from ours, over their
        largest absolute value); seconds ``ours_seconds``, ``inside_seconds`` (ours within a
        compiled function that wants coefficients only, as in a sweep), ``averaged_seconds`` (compiled),
        ``augmented_seconds`` (its Gram matrix included) and ``augmented_solve_seconds`` (without);
        ``discrepancy_float64`` and ``discrepancy_float32`` (relative); ``set_up_seconds`` with
        ``set_up_num_invariant`` and ``set_up_num_ambient``; ``import_ratio``.
    """
    measurements = {
        "three_routes": _three_routes,
        "discrepancies": _discrepancies,
        "set_up": _set_up,
        "import": _import,
    }
    cells = {name: functools.partial(measure, config) for name, measure in measurements.items()}
    merged: Outcome = {}
    for outcome in sweep(cells, store=store, progress=progress):
        merged |= {name: value for name, value in outcome.items() if not name.startswith("cell_")}
    return merged


def _problem(config: Config) -> tuple[sj.Action, sj.InvariantBasis]:
    space = sj.Torus(config.dimension)
    group = sj.hyperoctahedral_group(config.dimension)
    return sj.action(space, group), sj.invariant_basis(space, group, max_eigenvalue=config.max_norm)


def _three_routes(config: Config) -> dict[str, Any]:
    from sklearn.kernel_ridge import KernelRidge

    action, basis = _problem(config)
    space, n = action.space, config.num_samples
    spectrum = sj.sobolev(config.smoothness)
    options = {"spectrum": spectrum, "penalty": config.penalty, "intercept": False}
    x, new = space.sample(jax.random.key(0), (n,)), space.sample(jax.random.key(1), (n,))
    y = jnp.exp(jnp.cos(x).sum(axis=1)) + 0.1 * jax.random.normal(jax.random.key(2), (n,))

    ours = sj.fit_ridge(basis, x, y, **options)
    ours_seconds = least_seconds(
        lambda: sj.fit_ridge(basis, x, y, **options).coefficients, config.num_repeats
    )
    compiled = jax.jit(lambda x, y: sj.fit_ridge(basis, x, y, **options).coefficients)
    inside_seconds = least_seconds(lambda: compiled(x, y), config.num_repeats)

    def fit_averaged() -> sj.SpectralModel | sj.KernelModel:
        return sj.fit_kernel_ridge(space, x, y, max_eigenvalue=config.max_norm, action=action, **options)

    averaged = fit_averaged()
    averaged_seconds = least_seconds(lambda: fit_averaged().coefficients, config.num_repeats)

    # Scikit-learn's K + αI is ours with α = nη for the n rows that it sees.
    copies, targets = (np.asarray(a) for a in sj.augment(jax.random.key(3), action, x, y, "all"))
    start = time.perf_counter()
    whole = sj.eigenbasis(space, max_eigenvalue=config.max_norm)
    scale = np.sqrt(np.asarray(spectrum(whole.eigenvalues)))
    features = np.asarray(whole(copies)) * scale
    gram = features @ features.T
    solving = time.perf_counter()
    alpha: Any = len(copies) * config.penalty  # the stubs infer an int from its default
    oracle = KernelRidge(alpha=alpha, kernel="precomputed").fit(gram, targets)
    done = time.perf_counter()
    augmented = oracle.predict((np.asarray(whole(new)) * scale) @ features.T)

    predictions = np.asarray(ours(new))
    largest = np.abs(predictions).max()
    return {
        "num_invariant": basis.num_functions,
        "num_ambient": basis.num_ambient,
        "num_rows": len(copies),
        "averaged_difference": np.abs(np.asarray(averaged(new)) - predictions).max() / largest,
        "augmented_difference": np.abs(augmented - predictions).max() / largest,
        "ours_seconds": ours_seconds,
        "inside_seconds": inside_seconds,
        "averaged_seconds": averaged_seconds,
        "augmented_seconds": done - start,
        "augmented_solve_seconds": done - solving,
    }


def _discrepancies(config: Config) -> dict[str, float]:
    action, basis = _problem(config)
    found = {}
    for dtype in (jnp.float64, jnp.float32):
        x = action.space.sample(jax.random.key(4), (config.num_discrepancy,)).astype(dtype)
        y = jnp.exp(jnp.cos(x).sum(axis=1))
        model = sj.fit_ridge(basis, x, y)
        found[f"discrepancy_{jnp.dtype(dtype).name}"] = sj.invariance_discrepancy(
            jax.random.key(5), model, action, x, num_samples=config.num_discrepancy, relative=True
        )
    return found


def _set_up(config: Config) -> dict[str, float]:
    dimension, max_norm = config.set_up
    start = time.perf_counter()
    basis = sj.invariant_basis(
        sj.Torus(dimension), sj.symmetric_group(dimension), max_eigenvalue=max_norm, route="orbits"
    )
    jax.block_until_ready(basis.eigenvalues)
    return {
        "set_up_seconds": time.perf_counter() - start,
        "set_up_num_invariant": basis.num_functions,
        "set_up_num_ambient": basis.num_ambient,
    }


def _import(config: Config) -> dict[str, float]:
    """The median over pairs of fresh processes, one after the other."""
    beneath, ours = "import jax, equinox, lineax", "import symjax_learn"
    for statement in (beneath, ours):  # once to warm the disk's cache
        _process_seconds(statement)
    ratios = [
        _process_seconds(ours) / _process_seconds(beneath) for _ in range(min(7, config.num_repeats))
    ]
    return {"import_ratio": float(np.median(ratios))}


def _process_seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def table(results: dict[str, np.ndarray]) -> str:
    """The measurements as text."""
    r = {name: value.item() for name, value in results.items()}
    return "\n".join(
        [
            f"One function by three routes ({r['num_invariant']} invariant of {r['num_ambient']} "
            "eigenfunctions), fit seconds once compiled, difference of predictions from the first:",
            f"  ridge on the invariant basis       {r['ours_seconds']:9.4f}",
            f"  the same inside a compiled sweep   {r['inside_seconds']:9.4f}",
            f"  averaged kernel                    {r['averaged_seconds']:9.4f}"
            f"  {r['averaged_difference']:.1e}",
            f"  scikit-learn on {r['num_rows']:6,d} copies      {r['augmented_seconds']:9.4f}"
            f"  {r['augmented_difference']:.1e}  (without its Gram matrix "
            f"{r['augmented_solve_seconds']:.4f})",
            f"  the last over the first            {r['augmented_seconds'] / r['ours_seconds']:9.0f} ×,"
            f" over the second {r['augmented_seconds'] / r['inside_seconds']:.0f} ×",
            "Relative invariance discrepancy:",
            f"  float64 {r['discrepancy_float64']:.1e}, float32 {r['discrepancy_float32']:.1e}",
            f"Set-up: {r['set_up_num_invariant']} of {r['set_up_num_ambient']:,} functions in "
            f"{r['set_up_seconds']:.2f} s",
            f"Import: {r['import_ratio']:.3f} × that of jax, equinox and lineax",
        ]
    )
