"""Small images: what mirrors, turns and translations are worth, predicted and measured.

Binary images of k × k pixels, edges periodic, and a target that is a random polynomial of degree ≤ 3
left fixed by the largest group: kernel ridge on all monomials, and ridge on those invariant under ever
larger groups of permutations of the pixels, with the penalties that the exact counts predict to be best.
"""

import dataclasses
import functools

import jax
import numpy as np

import symjax_learn as sj
from experiments.calibration import ridge
from experiments.sample_complexity import gains
from experiments.storage import Outcome, Progress, Store, stack, sweep

# The ladder, name -> which symmetries of the image.
GROUPS: dict[str, dict[str, bool]] = {
    "none": {"translations": False, "mirrors": False, "rotations": False},
    "mirrors": {"translations": False, "mirrors": True, "rotations": False},
    "and turns": {"translations": False, "mirrors": True, "rotations": True},
    "and translations": {"translations": True, "mirrors": True, "rotations": True},
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        side: k, of k × k pixels.
        degree: of the polynomials.
        sizes: numbers of training images.
        seeds: targets, noise and training sets, the smaller a part of the larger.
        noise: σ of the targets, whose own variance is 1.
        smoothness: s of the spectrum (1 + λ)^{−s}, λ twice the degree.
        far_samples: the largest n of the predicted gains.
    """

    side: int = 4
    degree: int = 3
    sizes: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048, 4096)
    seeds: tuple[int, ...] = tuple(range(1, 11))
    noise: float = 0.5
    smoothness: float = 2.0
    far_samples: float = 1e6


CONFIGS = {
    "smoke": Config(side=3, sizes=(32, 128), seeds=(1, 2, 3, 4)),
    "default": Config(),
    "published": Config(
        sizes=(32, 64, 128, 256, 512, 1024, 2048, 4096, 8192), seeds=tuple(range(1, 51))
    ),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit with every group on every training set, and predict.

    Returns:
        ``risk`` and ``predicted`` over (size, seed, group): of each target what its power on each level
        predicts; ``measured_gain`` and ``predicted_gain`` over (size, group), ratios of n at equal mean
        risk; ``far`` over (group, ``far_grid``), the mean over targets; ``group_order`` (of what moves
        the pixels), ``num_functions`` per group; ``groups``, ``sizes``.
    """
    problem = functools.cache(lambda: _Problem(config))

    def measure(size: int, seed: int) -> Outcome:
        return problem().measure(size, seed)

    cells = {
        f"n={size},seed={seed}": functools.partial(measure, size, seed)
        for size in config.sizes
        for seed in config.seeds
    }
    results = stack(sweep(cells, store=store, progress=progress), len(config.sizes), len(config.seeds))
    sizes, grid = np.asarray(config.sizes), _far_grid(config)
    mean, far = results["risk"].mean(axis=1), results["far"][0].mean(axis=0)
    predicted = [gains(np.stack([far[0], one]), grid) for one in far]
    return {
        "risk": results["risk"],
        "predicted": results["predicted"],
        "measured_gain": np.stack([gains(mean[:, [0, k]].T, sizes) for k in range(len(GROUPS))], axis=1),
        "predicted_gain": np.stack(
            [np.interp(np.log(sizes), np.log(grid), gain) for gain in predicted], axis=1
        ),
        "far": far,
        "far_grid": grid,
        "far_gain": np.stack(predicted),
        "group_order": results["group_order"][0, 0],
        "num_functions": results["num_functions"][0, 0],
        "groups": np.asarray(list(GROUPS)),
        "sizes": sizes,
        "side": np.asarray(config.side),
        "degree": np.asarray(config.degree),
    }


def _far_grid(config: Config) -> np.ndarray:
    return np.geomspace(min(config.sizes), config.far_samples, 120)


class _Problem:
    """Images, and of each group the polynomials and the target in them."""

    def __init__(self, config: Config):
        self.config = config
        self.space = sj.Hypercube(config.side**2)
        self.bound = 2 * config.degree
        self.spectrum = sj.sobolev(config.smoothness)
        self.groups = [sj.image_group(config.side, config.side, **names) for names in GROUPS.values()]
        self.bases = [
            sj.invariant_basis(self.space, group, max_eigenvalue=self.bound) for group in self.groups
        ]
        points = self.space.sample(jax.random.key(0), (4 * self.bases[0].num_functions,))
        values = [np.asarray(basis(points)) for basis in self.bases]
        self.embeddings = [np.linalg.lstsq(one, values[-1], rcond=None)[0] for one in values]
        self.drawn = functools.cache(self._drawn)

    def _drawn(self, seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], list[sj.RiskCurve]]:
        """Coefficients, the largest training set with all features, and the predictions."""
        keys = jax.random.split(jax.random.key(seed), 3)
        eigenvalues = np.asarray(self.bases[-1].eigenvalues)
        c = np.sqrt(np.asarray(self.spectrum(self.bases[-1].eigenvalues)))
        c *= np.asarray(jax.random.normal(keys[0], c.shape))
        c[0] = 0.0
        c /= np.linalg.norm(c)
        x = self.space.sample(keys[1], (max(self.config.sizes),))
        features = [np.asarray(basis(x)) for basis in self.bases]
        noise = self.config.noise * np.asarray(jax.random.normal(keys[2], (len(x),)))
        power = [
            float(np.sum(c[np.isclose(eigenvalues, level.eigenvalue)] ** 2))
            for level in self.space.levels(self.bound)
        ]
        num_samples = np.concatenate([np.asarray(self.config.sizes, float), _far_grid(self.config)])
        curves = [
            sj.risk_curve(
                self.space,
                group,
                num_samples,
                spectrum=self.spectrum,
                noise=self.config.noise,
                max_eigenvalue=self.bound,
                target=power,
            )
            for group in self.groups
        ]
        return c, features[-1] @ c + noise, features, curves

    def measure(self, size: int, seed: int) -> Outcome:
        """The risk with each group, and what was predicted of it."""
        c, y, features, curves = self.drawn(seed)
        place, num_sizes = self.config.sizes.index(size), len(self.config.sizes)
        risk = np.empty(len(self.bases))
        for k, (basis, embedding) in enumerate(zip(self.bases, self.embeddings, strict=True)):
            weights = np.asarray(self.spectrum(basis.eigenvalues))
            penalty = float(curves[k].penalty[place])
            fitted = ridge(features[k][:size], y[:size], weights, penalty)
            risk[k] = np.sum((fitted - embedding @ c) ** 2)
        outcome = {
            "risk": risk,
            "predicted": [curve.risk[place] for curve in curves],
            "far": [curve.risk[num_sizes:] for curve in curves],
            "group_order": [int(group.order) for group in self.groups],
            "num_functions": [basis.num_functions for basis in self.bases],
        }
        return {name: np.asarray(value) for name, value in outcome.items()}


def table(results: Outcome) -> str:
    """Mean risks and gains, measured and predicted."""
    sizes = results["sizes"]
    lines = [f"{'n':38}" + "".join(f"{n:>9d}" for n in sizes)]
    for k, name in enumerate(results["groups"]):
        order, kept = results["group_order"][k], results["num_functions"][k]
        title = f"{name}, |G| = {order}, {kept} functions"
        lines.append(f"{title:38}" + "".join(f"{r:9.4f}" for r in results["risk"].mean(axis=1)[:, k]))
        rows = {
            "predicted": results["predicted"].mean(axis=1)[:, k],
            "gain, measured": results["measured_gain"][:, k],
            "gain, predicted": results["predicted_gain"][:, k],
        }
        for title, row in list(rows.items())[: None if k else 1]:
            shown = (f"{r:9.4g}" if np.isfinite(r) else f"{'–':>9}" for r in row)
            lines.append(f"  {title:36}" + "".join(shown))
    return "\n".join(lines)
