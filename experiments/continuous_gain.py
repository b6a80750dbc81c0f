"""What a continuous symmetry is worth: another exponent, d' = dim M/G in the place of d.

Zonal functions on S² and S³, and functions on T² and T³ that are constant along a diagonal. Ridge on
the invariant functions and on all of them, with the penalties that the exact counts predict to be best.
Targets are Σ ± c_j φ_j with c_j² ∝ (1 + λ_j)^{−(s + d'/2)}, on the border of smoothness s, for which the
risk falls as n^{−s/(s + d'/2)} with the symmetry and as n^{−s/(s + d/2)} without it. Beside measured
risks and the slopes of their logarithms the predicted ones, near and far.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

import symjax_learn as sj
from experiments.calibration import ridge
from experiments.configs import check_choices
from experiments.sample_complexity import METHODS
from experiments.storage import Outcome, Progress, Store, stack, sweep

# name -> (label, space, group, d', s, largest eigenvalues: of invariant fits, of plain fits, far)
Case = tuple[str, sj.AbstractSpace, Callable[[], sj.AbstractGroup], int, float, tuple[float, ...]]
PROBLEMS: dict[str, Case] = {
    "S2": (
        "S²/SO(2)",
        sj.Sphere(2),
        lambda: sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]]),
        1,
        2.0,
        (30 * 31, 22 * 23, 150 * 151),
    ),
    "S3": (
        "S³/SO(3)",
        sj.Sphere(3),
        lambda: sj.direct_product(sj.special_orthogonal_group(3), sj.trivial_group(1)),
        1,
        3.0,
        (14 * 16, 10 * 12, 100 * 102),
    ),
    "T2": (
        "T²/diagonal",
        sj.Torus(2),
        lambda: sj.translation_group([[1, 1]]),
        1,
        2.0,
        (2 * 32**2, 160, 10_000),
    ),
    "T3": (
        "T³/diagonal",
        sj.Torus(3),
        lambda: sj.translation_group([[1, 1, 1]]),
        2,
        2.0,
        (300, 30, 1500),
    ),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        problems: names of spaces with groups.
        sizes: numbers of training samples, doubled from one to the next.
        max_plain: the largest n of fits on all functions.
        seeds: signs, noise and training sets, the smaller a part of the larger.
        plain_seeds: how many of them the fits on all functions take.
        fitted_from: slopes are fitted from this n on.
        noise: σ of the targets, whose own variance is 1.
        far_samples: the largest n of the prediction without data.
        far: whether that prediction takes its longer spectrum.
    """

    problems: tuple[str, ...] = tuple(PROBLEMS)
    sizes: tuple[int, ...] = (256, 512, 1024, 2048, 4096, 8192, 16384)
    max_plain: int = 4096
    seeds: tuple[int, ...] = tuple(range(1, 33))
    plain_seeds: int = 8
    fitted_from: int = 512
    noise: float = 0.5
    far_samples: float = 1e6
    far: bool = True

    def __post_init__(self):
        """Refuse unknown problems."""
        check_choices("problems", self.problems, list(PROBLEMS))


CONFIGS = {
    "smoke": Config(
        problems=("T2",),
        sizes=(256, 512, 1024, 2048),
        max_plain=512,
        seeds=tuple(range(1, 13)),
        plain_seeds=4,
        fitted_from=256,
        far=False,
    ),
    "default": Config(),
    "published": Config(
        sizes=(256, 512, 1024, 2048, 4096, 8192, 16384, 32768),
        seeds=tuple(range(1, 101)),
        plain_seeds=20,
    ),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit on every training set, and predict.

    Returns:
        ``risk`` over (problem, seed, method, size), NaN where it was not measured; ``predicted`` over
        (problem, method, size); ``far`` over (problem, method, ``far_grid``); ``slopes`` and
        ``predicted_slopes`` over (problem, method), of the mean risks that were measured, and of the
        predicted ones at the same n; ``spread``, the standard error of the first over seeds; ``rates``
        over (problem, method), s/(s + d'/2) and s/(s + d/2); ``num_functions`` over (problem, method);
        ``smoothness``, ``labels`` per problem; ``methods``, ``sizes``.
    """
    problem = functools.cache(lambda name: _Problem(name, config))

    def measure(name: str, seed: int) -> Outcome:
        return problem(name).measure(seed)

    cells = {
        f"{name},seed={seed}": functools.partial(measure, name, seed)
        for name in config.problems
        for seed in config.seeds
    }
    shape = (len(config.problems), len(config.seeds))
    risk = stack(sweep(cells, store=store, progress=progress), *shape)["risk"]
    exact = stack(
        sweep(
            {
                f"{name},predicted": functools.partial(_predicted, name, config)
                for name in config.problems
            },
            store=store,
            progress=progress,
        ),
        len(config.problems),
    )
    cases = [PROBLEMS[name] for name in config.problems]
    smoothness = np.asarray([case[4] for case in cases])
    dimensions = np.asarray([[case[1].dimension, case[3]] for case in cases])
    results = {
        "risk": risk,
        **{name: exact[name] for name in ("predicted", "far", "num_functions")},
        "far_grid": _far_grid(config),
        "rates": smoothness[:, None] / (smoothness[:, None] + dimensions / 2),
        "smoothness": smoothness,
        "fitted_from": np.asarray(config.fitted_from),
        "labels": np.asarray([case[0] for case in cases]),
        "methods": np.asarray(METHODS),
        "sizes": np.asarray(config.sizes),
    }
    return {**results, **_slopes(results)}


def _slopes(results: Outcome) -> Outcome:
    """−d log(risk)/d log n of means over seeds, its standard error by leaving seeds out, predicted."""
    shape = results["rates"].shape
    found, spread, predicted = np.empty(shape), np.empty(shape), np.empty(shape)
    for p, k in np.ndindex(shape):
        risk = results["risk"][p, :, k]
        risk = risk[np.isfinite(risk).any(axis=1)]
        used = np.isfinite(risk).all(axis=0) & (results["sizes"] >= results["fitted_from"])
        sizes, risk = results["sizes"][used], risk[:, used]
        found[p, k] = learning_slope(sizes, risk.mean(axis=0))
        others = [
            learning_slope(sizes, np.delete(risk, i, axis=0).mean(axis=0)) for i in range(len(risk))
        ]
        spread[p, k] = np.sqrt((len(risk) - 1) * np.var(others))
        predicted[p, k] = learning_slope(sizes, results["predicted"][p, k, used])
    return {"slopes": found, "spread": spread, "predicted_slopes": predicted}


def learning_slope(sizes: np.ndarray, risk: np.ndarray) -> float:
    """The exponent r of risk ∝ n^{−r}, by least squares of logarithms."""
    return -float(np.polyfit(np.log(sizes), np.log(risk), 1)[0])


def _curve(name: str, method: int, num_samples: np.ndarray, bound: float, config: Config):
    _, space, group, dimension, smoothness, _ = PROBLEMS[name]
    return sj.risk_curve(
        space,
        group(),
        num_samples,
        spectrum=sj.sobolev(smoothness),
        noise=config.noise,
        max_eigenvalue=bound,
        target=sj.sobolev(smoothness + dimension / 2),
        estimator=("plain", "invariant")[method],
    )


def _far_grid(config: Config) -> np.ndarray:
    return np.geomspace(min(config.sizes), config.far_samples, 50)


def _predicted(name: str, config: Config) -> Outcome:
    """Both risks, as they are measured and far."""
    _, space, group, *_, bounds = PROBLEMS[name]
    sizes, far = np.asarray(config.sizes), _far_grid(config)
    longest = bounds[2] if config.far else bounds[0]
    used = (bounds[1], bounds[0])
    num_functions = [
        sum(level.multiplicity for level in space.levels(bounds[1])),
        sj.invariant_count(space, group(), bounds[0]),
    ]
    return {
        "predicted": np.stack([_curve(name, k, sizes, used[k], config).risk for k in (0, 1)]),
        "far": np.stack([_curve(name, k, far, longest, config).risk for k in (0, 1)]),
        "num_functions": np.asarray(num_functions),
    }


class _Problem:
    """One space with a group: of each method the functions, the target in them, and penalties."""

    def __init__(self, name: str, config: Config):
        _, self.space, group, dimension, smoothness, bounds = PROBLEMS[name]
        self.config = config
        self.spectrum = sj.sobolev(smoothness)
        self.target = sj.sobolev(smoothness + dimension / 2)
        ambient = sj.eigenbasis(self.space, max_eigenvalue=bounds[1])
        few, many = (
            sj.invariant_basis(self.space, group(), max_eigenvalue=bound)
            for bound in (bounds[1], bounds[0])
        )
        points = self.space.sample(jax.random.key(0), (3 * ambient.num_functions,))
        values = (np.asarray(basis(points)) for basis in (ambient, few))
        self.cases = [
            (ambient, few, np.linalg.lstsq(*values, rcond=None)[0]),
            (many, many, np.eye(many.num_functions)),
        ]
        sizes = np.asarray(config.sizes)
        self.penalties = [
            _curve(name, k, sizes, bound, config).penalty
            for k, bound in ((0, bounds[1]), (1, bounds[0]))
        ]

    def measure(self, seed: int) -> Outcome:
        """The risks at every n, of one stream of samples."""
        sizes = self.config.sizes
        risk = np.full((len(METHODS), len(sizes)), np.nan)
        for k, (basis, invariant, embedding) in enumerate(self.cases):
            keys = jax.random.split(jax.random.key(seed), 3)
            last = max(n for n in sizes if k or n <= self.config.max_plain)
            if not k and self.config.seeds.index(seed) >= self.config.plain_seeds:
                continue
            c = np.sqrt(np.asarray(self.target(invariant.eigenvalues)))
            c *= np.asarray(jax.random.rademacher(keys[0], c.shape))
            c[0] = 0.0
            c /= np.linalg.norm(c)
            features = np.asarray(basis(self.space.sample(keys[1], (last,))))
            noise = self.config.noise * np.asarray(jax.random.normal(keys[2], (last,)))
            y = features @ (embedding @ c) + noise
            weights = np.asarray(self.spectrum(basis.eigenvalues))
            for i, n in enumerate(sizes):
                if n <= last:
                    fitted = ridge(features[:n], y[:n], weights, float(self.penalties[k][i]))
                    risk[k, i] = np.sum((fitted - embedding @ c) ** 2)
        return {"risk": risk}


def table(results: Outcome) -> str:
    """Mean risks and slopes, measured and predicted."""
    sizes = results["sizes"]
    lines = []
    for p, label in enumerate(results["labels"]):
        lines.append(
            f"{label}, s = {results['smoothness'][p]:g}{'':8}" + "".join(f"{n:>9d}" for n in sizes)
        )
        for k, method in enumerate(results["methods"]):
            risk = results["risk"][p, :, k]
            mean = risk[np.isfinite(risk).any(axis=1)].mean(axis=0)
            shown = "".join(f"{r:9.5f}" if np.isfinite(r) else f"{'–':>9}" for r in mean)
            lines.append(f"  {method}, {results['num_functions'][p, k]:<6d}{shown}")
            lines.append(
                "    predicted             " + "".join(f"{r:9.5f}" for r in results["predicted"][p, k])
            )
            lines.append(
                f"    slope {results['slopes'][p, k]:.3f} ± {results['spread'][p, k]:.3f}, predicted "
                f"{results['predicted_slopes'][p, k]:.3f}, in the limit {results['rates'][p, k]:.3f}"
            )
    return "\n".join(lines)
