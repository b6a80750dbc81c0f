"""Phonon branches of real crystals, learned on the torus T³ with their exact symmetry.

The highest branch of CaTiO3 (|G| = 48) and NaCl (|G| = 96), from density-functional force constants:
ridge on the invariant basis, against kernel ridge on the plain data, on a few random copies of each
sample, and on all |G| copies. One kernel (the Sobolev kernel on |k|² ≤ ``max_norm``) and one rule for
the penalty (leave-one-out on the rows that a method sees) for all.
"""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, stack, sweep

MATERIALS = ("CaTiO3", "MgO", "NaCl")
MEASURED = ("error", "discrepancy", "seconds", "first_seconds")
METHODS = ("invariant ridge", "kernel ridge", "random augmentation", "full augmentation")


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        materials: names known to ``sj.datasets.phonons``.
        sizes: numbers of training samples.
        seeds: of the random training sets of each size.
        num_test: samples held out, the same for all.
        max_norm: the largest |k|² of the truncation.
        smoothness: s of the Sobolev kernel.
        num_copies: rows that random augmentation makes of each sample.
        max_rows: a method that would fit more rows is not run.
    """

    materials: tuple[str, ...] = ("CaTiO3", "NaCl")
    sizes: tuple[int, ...] = (10, 20, 40, 80, 160, 320)
    seeds: tuple[int, ...] = (0, 1, 2)
    num_test: int = 1000
    max_norm: int = 100
    smoothness: float = 3.0
    num_copies: int = 4
    max_rows: int = 1000

    def __post_init__(self):
        """Refuse unknown materials."""
        check_choices("materials", self.materials, MATERIALS)


CONFIGS = {
    "smoke": Config(materials=("CaTiO3",), sizes=(10, 20), seeds=(0, 1), num_test=200, max_norm=9),
    "default": Config(),
    "published": Config(seeds=tuple(range(10))),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit every method on every training set.

    Returns:
        ``materials``, ``methods``, ``sizes``, and arrays over (material, size, seed, method):
        ``error`` (root mean square on the test set over the branch's standard deviation),
        ``discrepancy`` (max |f(gx) − f(x)| over the same), ``seconds`` of the compiled fit (without
        making the copies) and ``first_seconds`` of the same fit before, which may compile; NaN where
        a method exceeds ``max_rows``.
        ``group_orders``, ``num_invariant`` and ``num_ambient`` are per material.
    """
    problem = functools.cache(lambda material: _Problem(sj.datasets.phonons(material), config))
    rows = functools.cache(lambda material, seed: problem(material).training_rows(seed))

    def measure(material: str, size: int, seed: int) -> Outcome:
        return problem(material).measure(size, rows(material, seed))

    cells = {
        f"{material},n={size},seed={seed}": functools.partial(measure, material, size, seed)
        for material in config.materials
        for size in config.sizes
        for seed in config.seeds
    }
    outcomes = sweep(cells, store=store, progress=progress)
    results = stack(outcomes, len(config.materials), len(config.sizes), len(config.seeds))
    per_material = ("group_orders", "num_invariant", "num_ambient")
    return {
        **{name: results[name] for name in MEASURED},
        **{name: results[name][:, 0, 0] for name in per_material},
        "materials": np.asarray(config.materials),
        "methods": np.asarray(METHODS),
        "sizes": np.asarray(config.sizes),
    }


class _Problem:
    """One material: its held-out test set, and a fit by each method."""

    def __init__(self, data: sj.datasets.Phonons, config: Config):
        self.config, self.space = config, data.space
        self.action = sj.action(data.space, data.group)
        self.max_eigenvalue = (2 * np.pi / data.space.period) ** 2 * config.max_norm
        self.basis = sj.invariant_basis(data.space, data.group, max_eigenvalue=self.max_eigenvalue)
        targets = data.frequencies[:, -1]
        self.pool = (data.points[: -config.num_test], targets[: -config.num_test])
        self.test_points = jnp.asarray(data.points[-config.num_test :])
        self.test_targets = targets[-config.num_test :]
        self.deviation = float(targets.std())

    def training_rows(self, seed: int) -> dict[str, tuple[int, np.ndarray, np.ndarray]]:
        """For each method the rows of the largest training set and their number for each sample.

        The rows of one sample are adjacent, so that a smaller training set is the head of a larger.
        """
        largest = max(self.config.sizes)
        chosen = np.random.default_rng(seed).permutation(len(self.pool[0]))[:largest]
        x, y = (part[chosen] for part in self.pool)
        order, key = int(self.action.order), jax.random.key(seed)
        few = max(1, self.config.max_rows // order)
        copies = {
            "random augmentation": (self.config.num_copies, largest, self.config.num_copies),
            "full augmentation": (order, few, "all"),
        }
        rows = {method: (1, x, y) for method in METHODS}
        for method, (factor, size, which) in copies.items():
            moved, targets = sj.augment(key, self.action, x[:size], y[:size], which)
            rows[method] = (factor, np.asarray(moved), np.asarray(targets))
        return rows

    def measure(self, size: int, rows: dict[str, tuple[int, np.ndarray, np.ndarray]]) -> Outcome:
        """All methods on one training set."""
        measured = [self._measured(method, size, rows[method]) for method in METHODS]
        return {
            **{name: np.asarray([one[name] for one in measured]) for name in MEASURED},
            "group_orders": np.asarray(int(self.action.order)),
            "num_invariant": np.asarray(self.basis.num_functions),
            "num_ambient": np.asarray(self.basis.num_ambient),
        }

    def _measured(
        self, method: str, size: int, rows: tuple[int, np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        """What is measured of one fit; NaN beyond the budget of rows."""
        factor, x, y = rows
        num_rows = factor * size
        if num_rows > self.config.max_rows:
            return dict.fromkeys(MEASURED, np.nan)
        x, y = x[:num_rows], y[:num_rows]
        _, first_seconds = self._timed_fit(method, x, y)
        model, seconds = self._timed_fit(method, x, y)
        predictions = np.asarray(model(self.test_points))
        discrepancy = sj.invariance_discrepancy(
            jax.random.key(0), model, self.action, self.test_points[:50], num_samples=20
        )
        error = float(np.sqrt(np.mean((predictions - self.test_targets) ** 2)))
        return {
            "error": error / self.deviation,
            "discrepancy": discrepancy / self.deviation,
            "seconds": seconds,
            "first_seconds": first_seconds,
        }

    def _timed_fit(
        self, method: str, x: np.ndarray, y: np.ndarray
    ) -> tuple[sj.SpectralModel | sj.KernelModel, float]:
        spectrum = sj.sobolev(self.config.smoothness)
        start = time.perf_counter()
        if method == "invariant ridge":
            model = sj.fit_ridge(self.basis, x, y, spectrum=spectrum)
        else:
            model = sj.fit_kernel_ridge(
                self.space, x, y, spectrum=spectrum, max_eigenvalue=self.max_eigenvalue
            )
        jax.block_until_ready(model.coefficients)
        return model, time.perf_counter() - start


def table(results: dict[str, np.ndarray]) -> str:
    """Means over seeds, as text; of the seconds the least, which other processes disturb least."""
    lines = []
    for m, material in enumerate(results["materials"]):
        lines += [
            "",
            f"{material}: |G| = {results['group_orders'][m]}, {results['num_invariant'][m]} invariant "
            f"of {results['num_ambient'][m]} eigenfunctions",
            f"{'n':>5}  {'method':20} {'RMSE/sd':>9} {'discrepancy/sd':>15} {'fit seconds':>12}",
        ]
        for s, size in enumerate(results["sizes"]):
            for k, method in enumerate(results["methods"]):
                error = results["error"][m, s, :, k]
                if np.isnan(error).any():
                    lines.append(f"{size:5d}  {method:20} {'beyond the budget of rows':>38}")
                    continue
                seconds = results["seconds"][m, s, :, k]
                lines.append(
                    f"{size:5d}  {method:20} {error.mean():9.4f} "
                    f"{results['discrepancy'][m, s, :, k].max():15.1e} {seconds.min():12.4f}"
                )
    return "\n".join(lines[1:])
