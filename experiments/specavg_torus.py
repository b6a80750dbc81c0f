"""Spec-Avg on the torus T^10 with the sign group {±1}^10: invariance discrepancy and excess risk.

The example of Soleymani, Tahmasebi, Jegelka, Jaillet (ICML 2025), Figures 1 and 2: M = [−1, 1)^10,
f*(x) = (1/10) Σ_i i·x_i², kernel ridge regression with the product von Mises kernel
Π_i exp(η cos(π(x_i − y_i))) and (K + λI)⁻¹y, against Spec-Avg on the D invariant modes |l|² ≤ 1..4.
What the paper leaves open is ours: no noise, η in {.1, .3, 1}, λ in {1, 50}, K + λI, n from 100 to
3,200. Beside them ridge on the same invariant modes, whose penalty is chosen by leave-one-out.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.storage import Outcome, Progress, Store, stack, sweep


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        dimension: d of the torus [−1, 1)^d and of the group {±1}^d.
        max_norms: truncations |l|² of Spec-Avg and of ridge.
        concentrations: η of the von Mises kernels.
        penalties: λ of K + λI.
        sizes: numbers of training samples.
        seeds: one training and test set each.
        num_test: test points.
        num_elements: random group elements of the supremum over the group.
        noise: σ of the targets.
        smoothness: s of the Sobolev penalty of ridge.
    """

    dimension: int = 10
    max_norms: tuple[int, ...] = (1, 2, 3, 4)
    concentrations: tuple[float, ...] = (0.1, 0.3, 1.0)
    penalties: tuple[float, ...] = (1.0, 50.0)
    sizes: tuple[int, ...] = (100, 200, 400, 800, 1600, 3200)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    num_test: int = 100
    num_elements: int = 64
    noise: float = 0.0
    smoothness: float = 2.0


CONFIGS = {
    "smoke": Config(
        dimension=3, max_norms=(1, 2), penalties=(50.0,), sizes=(40, 80), seeds=(1, 2), num_elements=8
    ),
    "default": Config(),
    "published": Config(seeds=tuple(range(1, 11)), num_elements=1024),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit every method on every training set.

    Returns:
        ``error`` (mean square on the test points) and ``discrepancy`` (max |f(gx) − f(x)| over test
        points and group elements), over (size, seed, method); ``methods``, ``families``, ``sizes``,
        ``num_functions`` of each truncation, and its exact noiseless error of Spec-Avg,
        ``exact_variance``/n + ``exact_bias``; ``target_variance``.
    """
    spaces = _Problem(config)
    cells = {
        f"n={size},seed={seed}": functools.partial(spaces.measure, size, seed)
        for size in config.sizes
        for seed in config.seeds
    }
    results = stack(sweep(cells, store=store, progress=progress), len(config.sizes), len(config.seeds))
    exact = [exact_error(config.dimension, norm) for norm in config.max_norms]
    weights = np.arange(1, config.dimension + 1) / config.dimension
    return {
        "error": results["error"],
        "discrepancy": results["discrepancy"],
        "methods": np.asarray([name for name, _ in spaces.methods]),
        "families": np.asarray([family for _, family in spaces.methods]),
        "sizes": np.asarray(config.sizes),
        "num_functions": np.asarray([basis.num_functions for basis in spaces.bases]),
        "exact_variance": np.asarray([variance for variance, _ in exact]),
        "exact_bias": np.asarray([bias for _, bias in exact]),
        "target_variance": np.asarray(4 / 45 * (weights**2).sum()),
    }


class _Problem:
    """The bases, and the methods in the order in which they are measured."""

    def __init__(self, config: Config):
        self.config = config
        self.space = sj.Torus(config.dimension, 2.0)
        self.action = sj.action(self.space, sj.sign_group(config.dimension))
        self.bases = [
            sj.invariant_basis(self.space, self.action, max_eigenvalue=norm * math.pi**2)
            for norm in config.max_norms
        ]
        sizes = [basis.num_functions for basis in self.bases]
        self.methods = [
            *[(f"Spec-Avg, D = {size}", "Spec-Avg") for size in sizes],
            *[(f"ridge, D = {size}", "ridge") for size in sizes],
            *[
                (f"KRR, η = {eta:g}, λ = {penalty:g}", "KRR")
                for eta in config.concentrations
                for penalty in config.penalties
            ],
        ]

    def measure(self, size: int, seed: int) -> Outcome:
        """Errors and discrepancies of all methods on one training set."""
        config = self.config
        keys = jax.random.split(jax.random.key(seed), 4)
        x = 2 * jax.random.uniform(keys[0], (size, config.dimension)) - 1
        new = 2 * jax.random.uniform(keys[1], (config.num_test, config.dimension)) - 1
        y = target(x) + config.noise * jax.random.normal(keys[2], (size,))
        elements = self.action.sample(keys[3], (config.num_elements, 1))
        moved = self.action.act(elements, new[None])

        here, there = [], []
        for fit in (
            sj.fit_spec_avg,
            functools.partial(sj.fit_ridge, spectrum=sj.sobolev(config.smoothness)),
        ):
            for basis in self.bases:
                model = fit(basis, x, y)
                here.append(model(new))
                there.append(model(moved))
        for eta in config.concentrations:
            alphas = _von_mises_ridge(eta, jnp.asarray(config.penalties), x, y)
            here += list(_von_mises_predictions(eta, alphas, x, new))
            there += list(jnp.moveaxis(_chunked_predictions(eta, alphas, x, moved), 1, 0))
        predictions = np.asarray(jnp.stack(here))
        differences = np.abs(np.asarray(jnp.stack(there)) - predictions[:, None])
        return {
            "error": np.mean((predictions - np.asarray(target(new))) ** 2, axis=1),
            "discrepancy": differences.max(axis=(1, 2)),
        }


def target(x: jax.Array) -> jax.Array:
    """(1/d) Σ_i i·x_i²."""
    d = x.shape[-1]
    return x**2 @ (jnp.arange(1, d + 1, dtype=x.dtype) / d)


def _von_mises(eta: float, x: jax.Array, y: jax.Array) -> jax.Array:
    """Π_i exp(η cos(π(x_i − y_i))) for all pairs, by cos(a − b) = cos a cos b + sin a sin b."""
    waves = [jnp.concatenate([jnp.cos(jnp.pi * z), jnp.sin(jnp.pi * z)], axis=-1) for z in (x, y)]
    return jnp.exp(eta * (waves[0] @ waves[1].T))


@jax.jit
def _von_mises_ridge(eta: float, penalties: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """(K + λI)⁻¹y for each λ."""
    gram, eye = _von_mises(eta, x, x), jnp.eye(len(x), dtype=x.dtype)
    return jax.lax.map(
        lambda penalty: jax.scipy.linalg.solve(gram + penalty * eye, y, assume_a="pos"), penalties
    )


@jax.jit
def _von_mises_predictions(eta: float, alphas: jax.Array, x: jax.Array, new: jax.Array) -> jax.Array:
    return alphas @ _von_mises(eta, x, new)


@jax.jit
def _chunked_predictions(eta: float, alphas: jax.Array, x: jax.Array, moved: jax.Array) -> jax.Array:
    """One group element after the other: all kernel values at once would not fit."""
    return jax.lax.map(lambda new: _von_mises_predictions(eta, alphas, x, new), moved)


def exact_error(dimension: int, max_norm: int) -> tuple[float, float]:
    """Of Spec-Avg without noise: (variance, bias) with E‖f̂ − f*‖² = variance/n + bias.

    variance = E[f*² Σ_l φ_l²] − Σ_l c_l², and under the density φ_l² = Π_i (1 + cos 2πl_i x_i) the
    coordinates are independent, so that E[f*² φ_l²] = (Σ a_i m_i)² + Σ a_i² v_i with the mean and
    variance of x_i². Only the c of the modes of one coordinate differ from 0.
    """
    weights = np.arange(1, dimension + 1) / dimension
    largest = math.isqrt(max_norm)
    # E x² and E x⁴ under 1 + cos 2πlx: ∫x² cos 2πlx = 1/(2π²l²), ∫x⁴ cos 2πlx = 1/(π²l²) − 3/(2π⁴l⁴).
    frequencies = np.maximum(np.arange(largest + 1), 1) * np.pi
    waves = np.arange(largest + 1) > 0
    second = 1 / 3 + waves / (2 * frequencies**2)
    fourth = 1 / 5 + waves * (1 / frequencies**2 - 1.5 / frequencies**4)
    modes = np.asarray(list(_modes(dimension, max_norm)))
    means = (weights * second[modes]).sum(axis=1)
    variances = (weights**2 * (fourth - second**2)[modes]).sum(axis=1)
    # c_l = √2 a_i ∫x² cos πlx = √2 a_i · 2(−1)^l/(π²l²).
    first = 2 * weights[:, None] ** 2 * (2 / frequencies[None, 1:] ** 2) ** 2
    energy = weights.sum() ** 2 / 9 + first.sum()
    total = means[0] ** 2 + variances[0]
    return float((means**2 + variances).sum() - energy), float(total - energy)


def _modes(dimension: int, max_norm: int) -> Iterator[tuple[int, ...]]:
    """The l ≥ 0 with |l|² ≤ max_norm, the zero first."""
    if dimension == 0:
        yield ()
        return
    for last in range(math.isqrt(max_norm) + 1):
        for rest in _modes(dimension - 1, max_norm - last * last):
            yield (*rest, last)


# Mean square errors of papers.md, recomputed independently of this program: σ = 0, K + λI, five seeds.
CALIBRATION = {
    "Spec-Avg, D = 11": (0.331, 0.214, 0.098, 0.085, 0.045, 0.037),
    "Spec-Avg, D = 56": (2.02, 1.14, 0.584, 0.303, 0.172, 0.088),
    "Spec-Avg, D = 176": (6.39, 4.02, 2.10, 0.897, 0.501, 0.233),
    "KRR, η = 0.1, λ = 50": (0.757, 0.397, 0.209, 0.130, 0.072, 0.045),
    "KRR, η = 0.3, λ = 50": (0.728, 0.320, 0.128, 0.057, 0.031, 0.018),
    "KRR, η = 1, λ = 50": (3.58, 3.27, 2.65, 2.03, 1.31, 0.653),
}
CALIBRATION_SIZES = (100, 200, 400, 800, 1600, 3200)


def table(results: Outcome) -> str:
    """Mean square errors, means over seeds; in parentheses an independent calculation of the same."""
    sizes = results["sizes"].tolist()
    lines = [f"{'mean square error, n =':24}" + "".join(f"{n:>16d}" for n in sizes)]
    for k, method in enumerate(results["methods"]):
        known = dict(zip(CALIBRATION_SIZES, CALIBRATION.get(str(method), ()), strict=False))
        row = ""
        for s, n in enumerate(sizes):
            beside = f"({known[n]:.3g})" if n in known else ""
            row += f"{results['error'][s, :, k].mean():8.3g} {beside:7}"
        lines.append(f"{method:24}{row}")
    for d, variance, bias in zip(
        results["num_functions"], results["exact_variance"], results["exact_bias"], strict=True
    ):
        lines.append(f"exact, D = {d}: {variance:.3f}/n + {bias:.4f}")
    worst = results["discrepancy"].max(axis=(0, 1))
    lines.append("largest invariance discrepancy:")
    lines += [f"{method:24} {w:.1e}" for method, w in zip(results["methods"], worst, strict=True)]
    return "\n".join(lines)
