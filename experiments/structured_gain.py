"""The gain of S_d on T^d: ratios of n at equal risk, measured and predicted from exact counts alone.

Ridge with one Sobolev spectrum on all eigenfunctions up to a truncation, which is plain kernel ridge
with the truncated kernel, and on the invariant ones among them; the penalty by leave-one-out. Targets
are Σ ± √μ_j φ_j over the invariant functions, with random signs, so that what they put on each level is
known, and with it the risk that the effective dimensions of the two spectra predict: from multiplicities
and exact counts, before any data. The same prediction with ever longer spectra follows the gain to |G|.
"""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.sample_complexity import METHODS, gains
from experiments.storage import Outcome, Progress, Store, stack, sweep


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        dimensions: d of T^d and S_d.
        bounds: for each d the truncation |k|².
        sizes: numbers of training samples, of both fits.
        seeds: signs, noise and training sets, the smaller a part of the larger.
        noise: σ of the targets, whose own variance is 1.
        excess: the spectrum is (1 + λ)^{−s} with s = d/2 + excess, for the target and the penalty.
        far_bounds: for each d the truncation |k|² of the prediction without data.
        far_samples: the largest n of it.
    """

    dimensions: tuple[int, ...] = (2, 3, 4)
    bounds: tuple[int, ...] = (196, 30, 10)
    sizes: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096)
    seeds: tuple[int, ...] = tuple(range(1, 11))
    noise: float = 0.5
    excess: float = 1.0
    far_bounds: tuple[int, ...] = (4096, 1024, 256)
    far_samples: float = 1e6

    def __post_init__(self):
        """Refuse truncations that are not one for each d."""
        for name in ("bounds", "far_bounds"):
            given = getattr(self, name)
            if len(given) != len(self.dimensions):
                raise ValueError(
                    f"{name}: expected one for each d of {self.dimensions} and got {given}."
                )


CONFIGS = {
    "smoke": Config(
        dimensions=(3,),
        bounds=(9,),
        sizes=(16, 32, 64, 128),
        seeds=(1, 2, 3, 4),
        far_bounds=(36,),
        far_samples=1e4,
    ),
    "default": Config(),
    "published": Config(
        bounds=(400, 50, 14),
        sizes=(64, 128, 256, 512, 1024, 2048, 4096, 8192),
        seeds=tuple(range(1, 31)),
        far_bounds=(16384, 2500, 400),
    ),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit both ways on every training set, and predict both.

    Returns:
        ``risk`` over (dimension, size, seed, method); ``measured_gain`` over (dimension, size) of the
        mean risks and ``seed_gain`` over (dimension, size, seed) of those of one seed; ``predicted``
        over (dimension, method, size), ``predicted_gain`` over (dimension, size); ``far_gain`` over
        (dimension, ``far_grid``), the prediction with the longer spectrum; ``far_eigenvalues``,
        ``far_ambient``, ``far_invariant``: for each dimension, padded with the last, the levels of that
        spectrum and the numbers of functions up to each; ``num_ambient``, ``num_invariant``,
        ``group_order``; ``dimensions``, ``sizes``, ``methods``.
    """
    problem = functools.cache(lambda d: _Problem(d, config.bounds[config.dimensions.index(d)], config))

    def measure(d: int, size: int, seed: int) -> Outcome:
        return problem(d).measure(size, seed)

    cells = {
        f"d={d},n={size},seed={seed}": functools.partial(measure, d, size, seed)
        for d in config.dimensions
        for size in config.sizes
        for seed in config.seeds
    }
    shape = (len(config.dimensions), len(config.sizes), len(config.seeds))
    risk = stack(sweep(cells, store=store, progress=progress), *shape)["risk"]
    predictions = {
        f"d={d},predicted": functools.partial(_predicted, d, bound, far, config)
        for d, bound, far in zip(config.dimensions, config.bounds, config.far_bounds, strict=True)
    }
    exact = sweep(predictions, store=store, progress=progress)
    sizes = np.asarray(config.sizes)
    longest = max(len(one["far_eigenvalues"]) for one in exact)
    for one in exact:
        for name in ("far_eigenvalues", "far_ambient", "far_invariant"):
            one[name] = np.pad(one[name], (0, longest - len(one[name])), mode="edge")
    return {
        "risk": risk,
        "measured_gain": np.stack([gains(one.mean(axis=1).T, sizes) for one in risk]),
        "seed_gain": np.stack(
            [
                np.stack([gains(seed.T, sizes) for seed in one], axis=1)
                for one in risk.transpose(0, 2, 1, 3)
            ]
        ),
        **{
            name: np.stack([one[name] for one in exact])
            for name in exact[0]
            if not name.startswith("cell_")
        },
        "far_grid": _far_grid(config),
        "group_order": np.asarray([math.factorial(d) for d in config.dimensions]),
        "dimensions": np.asarray(config.dimensions),
        "sizes": sizes,
        "methods": np.asarray(METHODS),
    }


class _Problem:
    """S_d on T^d: both bases, and targets in both."""

    def __init__(self, d: int, bound: int, config: Config):
        self.config, self.space = config, sj.Torus(d)
        self.invariant = sj.invariant_basis(self.space, sj.symmetric_group(d), max_eigenvalue=bound)
        self.ambient = sj.eigenbasis(self.space, max_eigenvalue=bound)
        self.spectrum = _spectrum(d, config)
        # Products of two functions are integrated exactly by so many points in each coordinate.
        num_points = 2 * math.isqrt(bound) + 1
        line = np.arange(num_points) * 2 * np.pi / num_points
        grid = jnp.asarray(list(itertools.product(line, repeat=d)), float)
        ambient, invariant = (np.asarray(one(grid)) for one in (self.ambient, self.invariant))
        self.embedding = ambient.T @ invariant / len(grid)
        self.drawn = functools.cache(self._drawn)

    def _drawn(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients, and the largest training set."""
        keys = jax.random.split(jax.random.key(seed), 3)
        c = np.sqrt(np.asarray(self.spectrum(self.invariant.eigenvalues)))
        c *= np.asarray(jax.random.rademacher(keys[0], c.shape))
        c[0] = 0.0
        c /= np.linalg.norm(c)
        x = self.space.sample(keys[1], (max(self.config.sizes),))
        clean = self.invariant(x) @ jnp.asarray(c)
        y = clean + self.config.noise * jax.random.normal(keys[2], clean.shape)
        return c, np.asarray(x), np.asarray(y)

    def measure(self, size: int, seed: int) -> Outcome:
        """The risk of both fits: a sum over coefficients, exact."""
        c, x, y = self.drawn(seed)
        risks = []
        for basis, truth in ((self.ambient, self.embedding @ c), (self.invariant, c)):
            model = sj.fit_ridge(basis, x[:size], y[:size], spectrum=self.spectrum)
            risks.append(np.sum((np.asarray(model.coefficients) - truth) ** 2))
        return {"risk": np.asarray(risks)}


def _spectrum(d: int, config: Config):
    return sj.sobolev(d / 2 + config.excess)


def _far_grid(config: Config) -> np.ndarray:
    """Numbers of samples of the prediction without data, as far as the largest |G| times the last."""
    last = config.far_samples * math.factorial(max(config.dimensions))
    return np.geomspace(min(config.sizes), last, 120)


def _predicted(d: int, bound: int, far_bound: int, config: Config) -> Outcome:
    """Both risks and their gain from exact counts: near, as it is measured, and far."""
    eigenvalues, ambient, invariant = _level_counts(d, max(bound, far_bound))

    def risks(largest: int, num_samples: np.ndarray) -> np.ndarray:
        curves = [
            sj.risk_curve(
                sj.Torus(d),
                sj.symmetric_group(d),
                num_samples,
                spectrum=_spectrum(d, config),
                noise=config.noise,
                max_eigenvalue=largest,
                estimator=estimator,
            )
            for estimator in ("plain", "invariant")
        ]
        return np.stack([curve.risk for curve in curves])

    sizes = np.asarray(config.sizes, float)
    dense = np.geomspace(sizes.min(), 1.5 * math.factorial(d) * sizes.max(), 200)
    near, far = risks(bound, dense), _far_grid(config)
    at_sizes = np.interp(np.log(sizes), np.log(dense), gains(near, dense))
    return {
        "predicted": risks(bound, sizes),
        "predicted_gain": at_sizes,
        "far_gain": gains(risks(far_bound, far), far),
        "far_eigenvalues": eigenvalues[eigenvalues <= far_bound],
        "far_ambient": ambient.cumsum()[eigenvalues <= far_bound],
        "far_invariant": invariant.cumsum()[eigenvalues <= far_bound],
        "num_ambient": ambient[eigenvalues <= bound].sum(),
        "num_invariant": invariant[eigenvalues <= bound].sum(),
    }


def _level_counts(d: int, bound: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """λ, D_λ and D_{λ,G} of every level up to a bound, exact: plane waves, and their orbits."""
    levels = sj.Torus(d).levels(bound)
    eigenvalues = np.asarray([round(level.eigenvalue) for level in levels])
    line = range(-math.isqrt(bound), math.isqrt(bound) + 1)
    ascending = np.asarray(list(itertools.combinations_with_replacement(line, d)))
    orbits = np.bincount((ascending**2).sum(axis=1))
    return eigenvalues, np.asarray([level.multiplicity for level in levels]), orbits[eigenvalues]


def table(results: Outcome) -> str:
    """Mean risks, gains measured and predicted, their ratio and its range over seeds, and far gains."""
    sizes = results["sizes"]
    lines = []
    for i, d in enumerate(results["dimensions"]):
        order, kept, whole = (
            results[name][i] for name in ("group_order", "num_invariant", "num_ambient")
        )
        lines.append(f"S_{d} on T^{d}: |G| = {order}, D_G = {kept} of D = {whole}")
        lines.append(f"{'  n':28}" + "".join(f"{n:>9d}" for n in sizes))
        for k, method in enumerate(results["methods"]):
            risk = results["risk"][i, :, :, k].mean(axis=1)
            lines.append(f"  {method:26}" + "".join(f"{r:9.4f}" for r in risk))
            lines.append(
                f"    {'predicted':24}" + "".join(f"{r:9.4f}" for r in results["predicted"][i, k])
            )
        measured, predicted = results["measured_gain"][i], results["predicted_gain"][i]
        ratios = results["seed_gain"][i] / predicted[:, None]
        rows = {
            "gain, measured": measured,
            "gain, predicted": predicted,
            "measured / predicted": measured / predicted,
            "  least over seeds": ratios.min(axis=1),
            "  largest over seeds": ratios.max(axis=1),
        }
        for name, row in rows.items():
            shown = (f"{r:9.2f}" if np.isfinite(r) else f"{'–':>9}" for r in row)
            lines.append(f"  {name:26}" + "".join(shown))
        far = results["far_gain"][i]
        last = np.flatnonzero(np.isfinite(far))[-1]
        ratio = results["far_ambient"][i, -1] / results["far_invariant"][i, -1]
        lines.append(
            f"  far: gain {far[last]:.2f} at n = {results['far_grid'][last]:.0f}; "
            f"D/D_G = {ratio:.3f} at |k|² ≤ {results['far_eigenvalues'][i, -1]:.0f}"
        )
    return "\n".join(lines)
