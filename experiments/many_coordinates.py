"""Learning functions of a set of d = 10, 30, 100 angles from 20 to 1500 samples: S_d on T^d.

Ridge on the invariant eigenfunctions, whose number does not grow with d, against kernel ridge with the
same spectrum and no group (by addition theorems, for there are 8·10^10 eigenfunctions in d = 100), on
the samples and on the samples with a few randomly permuted copies. All choose the penalty and the
truncation by leave-one-out on the rows that they see. One target is a random combination of invariant
eigenfunctions, the others lie outside their span.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, stack, sweep

METHODS = ("invariant ridge", "kernel ridge", "kernel ridge on copies")


def _pairs(x: Array) -> Array:
    """Σ_{i<j} exp(cos(x_i − x_j)), up to a constant and a factor 2; point by point, as d² is large."""
    return jax.lax.map(lambda one: jnp.exp(jnp.cos(one[:, None] - one[None])).sum(), x, batch_size=128)


# name -> (label, function of (batch, d) before it is standardized; None: a random combination)
TARGETS: dict[str, tuple[str, Callable[[Array], Array] | None]] = {
    "span": ("Σ c_j φ_j, random", None),
    "exponential": (
        "exp(Σ cos x_i / √d)",
        lambda x: jnp.exp(jnp.cos(x).sum(axis=1) / x.shape[1] ** 0.5),
    ),
    "resultant": ("|Σ exp(i x_j)|", lambda x: jnp.abs(jnp.exp(1j * x).sum(axis=1))),
    "pairs": ("Σ exp(cos(x_i − x_j))", _pairs),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        targets: names of functions of sets.
        dimensions: d.
        sizes: numbers of training samples.
        seeds: training, test and, for ``span``, coefficients.
        bounds: truncations |k|² to choose from.
        smoothness: s of the Sobolev spectrum of all fits, and of the coefficients of ``span``.
        noise: σ of the targets, whose own variance is 1.
        num_copies: rows of each sample where there are copies: itself and random permutations.
        max_rows: kernel ridge with more rows is not run.
        num_test: test points.
        num_reference: points for the mean and the variance of the targets.
    """

    targets: tuple[str, ...] = tuple(TARGETS)
    dimensions: tuple[int, ...] = (10, 30, 100)
    sizes: tuple[int, ...] = (20, 60, 180, 500, 1500)
    seeds: tuple[int, ...] = (1, 2, 3)
    bounds: tuple[int, ...] = (1, 2, 6)
    smoothness: float = 2.0
    noise: float = 0.1
    num_copies: int = 3
    max_rows: int = 1500
    num_test: int = 400
    num_reference: int = 10_000

    def __post_init__(self):
        """Refuse unknown targets."""
        check_choices("targets", self.targets, list(TARGETS))


CONFIGS = {
    "smoke": Config(
        targets=("span", "pairs"),
        dimensions=(20,),
        sizes=(40, 120),
        seeds=(1,),
        bounds=(2,),
        max_rows=120,
        num_test=100,
        num_reference=500,
    ),
    "default": Config(),
    "published": Config(
        sizes=(20, 60, 180, 500, 1500, 4500), seeds=tuple(range(1, 11)), max_rows=4500, num_test=2000
    ),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit all methods to all targets.

    Returns:
        Over (dimension, method, size, seed, target), NaN beyond ``max_rows``: ``error``, the mean square
        error over the variance of the target on the test points, and ``chosen``, the truncation;
        ``num_invariant``, ``num_ambient`` (as floats) over (dimension, bound); ``targets``, ``labels``,
        ``methods``, ``dimensions``, ``sizes``, ``bounds``.
    """
    problem = functools.cache(lambda d: _Problem(d, config))

    def measure(d: int, method: str, size: int, seed: int) -> Outcome:
        return problem(d).measure(method, size, seed)

    cells = {
        f"d={d},{method.replace(' ', '-')},n={size},seed={seed}": functools.partial(
            measure, d, method, size, seed
        )
        for d in config.dimensions
        for method in METHODS
        for size in config.sizes
        for seed in config.seeds
    }
    shape = (len(config.dimensions), len(METHODS), len(config.sizes), len(config.seeds))
    results = stack(sweep(cells, store=store, progress=progress), *shape)
    counted = [
        [
            (
                sj.invariant_count(space, sj.symmetric_group(space.dimension), bound),
                _num_ambient(space, bound),
            )
            for bound in config.bounds
        ]
        for space in map(sj.Torus, config.dimensions)
    ]
    counts = np.asarray(counted, float)
    return {
        "error": results["error"],
        "chosen": results["chosen"],
        "num_invariant": counts[..., 0],
        "num_ambient": counts[..., 1],
        "targets": np.asarray(config.targets),
        "labels": np.asarray([TARGETS[name][0] for name in config.targets]),
        "methods": np.asarray(METHODS),
        "dimensions": np.asarray(config.dimensions),
        "sizes": np.asarray(config.sizes),
        "bounds": np.asarray(config.bounds),
    }


def _num_ambient(space: sj.AbstractSpace, bound: float) -> int:
    return sum(level.multiplicity for level in space.levels(bound))


class _Problem:
    """S_d on T^d: the bases, and the data of each seed."""

    def __init__(self, d: int, config: Config):
        self.config, self.space = config, sj.Torus(d)
        self.action = sj.action(self.space, sj.symmetric_group(d))
        self.spectrum = sj.sobolev(config.smoothness)
        self.bases = {
            bound: sj.invariant_basis(self.space, self.action, max_eigenvalue=bound)
            for bound in config.bounds
        }
        reference = self.space.sample(jax.random.key(0), (config.num_reference,))
        values = {name: TARGETS[name][1] for name in config.targets}
        self.moments = {
            name: (np.mean(function(reference)), np.std(function(reference)))
            for name, function in values.items()
            if function is not None
        }
        self.drawn = functools.cache(self._drawn)

    def _drawn(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The largest training set, x and noisy y, and the test set, x and y: ``(n, targets)``."""
        keys = jax.random.split(jax.random.key(seed), 3)
        num = max(self.config.sizes)
        points = self.space.sample(keys[0], (num + self.config.num_test,))
        columns = []
        for name in self.config.targets:
            function = TARGETS[name][1]
            if function is None:
                columns.append(self._combination(keys[1], points))
            else:
                mean, deviation = self.moments[name]
                columns.append((np.asarray(function(points)) - mean) / deviation)
        values = np.stack(columns, axis=1)
        noise = self.config.noise * np.asarray(jax.random.normal(keys[2], (num, values.shape[1])))
        x = np.asarray(points)
        return x[:num], values[:num] + noise, x[num:], values[num:]

    def _combination(self, key: Array, points: Array) -> np.ndarray:
        """Σ c_j φ_j with c_j ~ N(0, μ_j) on all but the constant, scaled to variance 1."""
        basis = self.bases[max(self.config.bounds)]
        c = np.array(jax.random.normal(key, basis.eigenvalues.shape))
        c *= np.sqrt(np.asarray(self.spectrum(basis.eigenvalues)))
        c[0] = 0.0
        return np.asarray(basis(points)) @ (c / np.linalg.norm(c))

    def measure(self, method: str, size: int, seed: int) -> Outcome:
        """The error of the truncation with the least leave-one-out error, target by target."""
        x, y, x_test, y_test = self.drawn(seed)
        x, y = jnp.asarray(x[:size]), jnp.asarray(y[:size])
        rows = size * (self.config.num_copies if method == METHODS[2] else 1)
        if method != METHODS[0] and rows > self.config.max_rows:
            nothing = np.full(y.shape[1], np.nan)
            return {"error": nothing, "chosen": nothing}
        if method == METHODS[2]:
            x, y = sj.augment(jax.random.key(seed), self.action, x, y, self.config.num_copies)
        errors, left_out = [], []
        for bound in self.config.bounds:
            predictions, loo_error = self._fitted(method, bound, x, y, jnp.asarray(x_test))
            errors.append(np.mean((predictions - y_test.T) ** 2, axis=1) / y_test.var(axis=0))
            left_out.append(loo_error)
        best, all_targets = np.argmin(left_out, axis=0), np.arange(y.shape[1])
        return {
            "error": np.stack(errors)[best, all_targets],
            "chosen": np.asarray(self.config.bounds, float)[best],
        }

    def _fitted(
        self, method: str, bound: int, x: Array, y: Array, x_test: Array
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions ``(targets, test)`` and leave-one-out errors, each target with its own penalty."""

        def one(target: Array) -> tuple[Array, Array]:
            if method == METHODS[0]:
                model = sj.fit_ridge(self.bases[bound], x, target, spectrum=self.spectrum)
            else:
                model = sj.fit_kernel_ridge(
                    self.space, x, target, spectrum=self.spectrum, max_eigenvalue=bound
                )
            return model(x_test), jnp.asarray(model.report.loo_error)

        predictions, loo_error = jax.vmap(one, in_axes=1)(y)
        return np.asarray(predictions), np.asarray(loo_error)


def table(results: Outcome) -> str:
    """Mean errors over seeds, and what was counted."""
    lines = []
    for i, d in enumerate(results["dimensions"]):
        counts = ", ".join(
            f"{kept:.0f} of {whole:.3g} (|k|² ≤ {bound})"
            for kept, whole, bound in zip(
                results["num_invariant"][i], results["num_ambient"][i], results["bounds"], strict=True
            )
        )
        lines.append(f"S_{d} on T^{d}: invariant eigenfunctions {counts}")
        for t, label in enumerate(results["labels"]):
            lines.append(f"{'  ' + label + ', n =':28}" + "".join(f"{n:>9d}" for n in results["sizes"]))
            for k, method in enumerate(results["methods"]):
                error = results["error"][i, k, :, :, t].mean(axis=1)
                shown = (f"{e:9.4f}" if np.isfinite(e) else f"{'–':>9}" for e in error)
                lines.append(f"    {method:24}" + "".join(shown))
    return "\n".join(lines)
