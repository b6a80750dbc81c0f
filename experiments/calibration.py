"""Predicted against measured risk, over pairs of a space and a group: finite, continuous, structured.

The prediction is made from exact counts, before any data; so is the penalty of the fits. Targets are
Σ ± √μ_j φ_j over the invariant functions, with random signs, so that what they put on each level is
known; the eigenfunctions are orthonormal, and the risk is a sum over coefficients, exact. Beside the
fits with the predicted penalty, on the invariant functions, those whose penalty leave-one-out chooses
from the same data.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, stack, sweep

ESTIMATORS = ("plain", "invariant")


def _turn(angle: float) -> list[list[float]]:
    c, s = math.cos(angle), math.sin(angle)
    return [[c, -s], [s, c]]


def _about_an_axis() -> sj.AbstractGroup:
    return sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]])


def _product(*factors: sj.AbstractGroup) -> sj.AbstractGroup:
    return sj.direct_product(*factors)


# name -> (label, space, group, largest eigenvalue, smoothness of the spectrum, whether all functions
# are few enough for a plain fit)
Case = tuple[str, sj.AbstractSpace, Callable[[], sj.AbstractGroup], float, float, bool]
PAIRS: dict[str, Case] = {
    "mirror": (
        "T²/mirror",
        sj.Torus(2),
        lambda: sj.signed_permutation_group([[0, 1]], [[-1, 1]]),
        100,
        2.0,
        True,
    ),
    "B3": ("T³/B₃", sj.Torus(3), lambda: sj.hyperoctahedral_group(3), 22, 2.5, True),
    "S4": ("T⁴/S₄", sj.Torus(4), lambda: sj.symmetric_group(4), 10, 3.0, True),
    "icosahedral": ("S²/I_h", sj.Sphere(2), lambda: sj.point_group("Ih"), 22 * 23, 2.0, True),
    "S4-sphere": ("S³/S₄", sj.Sphere(3), lambda: sj.symmetric_group(4), 9 * 11, 2.5, True),
    "box": ("[0,1]²/B₂", sj.Box(2), lambda: sj.hyperoctahedral_group(2), 400 * math.pi**2, 2.0, True),
    "disc": (
        "disc/D₅",
        sj.Ball(2),
        lambda: sj.matrix_group([_turn(2 * math.pi / 5), [[1, 0], [0, -1]]]),
        900,
        2.0,
        True,
    ),
    "ball": ("ball/T", sj.Ball(3), lambda: sj.point_group("T"), 150, 2.5, True),
    "gaussian": ("R³ Gaussian/S₃", sj.Gaussian(3), lambda: sj.symmetric_group(3), 8, 3.0, True),
    "hypercube": ("{±1}¹⁰/D₁₀", sj.Hypercube(10), lambda: sj.dihedral_group(10), 8, 3.0, True),
    "graphs": ("graphs of 5/S₅", sj.Graphs(5), lambda: sj.symmetric_group(5), 8, 3.0, True),
    "rotations": ("SO(3)/D₃", sj.RotationGroup(), lambda: sj.point_group("D3"), 6 * 7, 2.5, True),
    "product": (
        "T²×S²/S₂×T",
        sj.Product(sj.Torus(2), sj.Sphere(2)),
        lambda: _product(sj.symmetric_group(2), sj.point_group("T")),
        20,
        3.0,
        True,
    ),
    "sets": (
        "3 on S²/S₃×O",
        sj.Sets(sj.Sphere(2), 3),
        lambda: _product(sj.symmetric_group(3), sj.point_group("O")),
        12,
        4.0,
        True,
    ),
    "S100": ("T¹⁰⁰/S₁₀₀", sj.Torus(100), lambda: sj.symmetric_group(100), 6, 3.0, False),
    "zonal": ("S²/SO(2)", sj.Sphere(2), _about_an_axis, 22 * 23, 2.0, True),
    "shifts2": ("T²/shifts", sj.Torus(2), lambda: sj.translation_group([[1, 1]]), 169, 2.0, True),
    "shifts3": ("T³/shifts", sj.Torus(3), lambda: sj.translation_group([[1, 1, 1]]), 24, 2.5, True),
    "set-rotations": (
        "4 on S²/S₄×SO(3)",
        sj.Sets(sj.Sphere(2), 4),
        lambda: _product(sj.symmetric_group(4), sj.special_orthogonal_group(3)),
        30,
        4.0,
        False,
    ),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        pairs: names of spaces with groups.
        sizes: numbers of training samples.
        seeds: signs, noise and training sets, the smaller a part of the larger.
        noise: σ of the targets, whose own variance is 1.
    """

    pairs: tuple[str, ...] = tuple(PAIRS)
    sizes: tuple[int, ...] = (64, 128, 512)
    seeds: tuple[int, ...] = tuple(range(1, 11))
    noise: float = 0.5

    def __post_init__(self):
        """Refuse unknown pairs."""
        check_choices("pairs", self.pairs, list(PAIRS))


CONFIGS = {
    "smoke": Config(pairs=("S100", "hypercube"), sizes=(64, 128), seeds=tuple(range(1, 9))),
    "default": Config(),
    "published": Config(sizes=(32, 64, 128, 256, 512, 1024, 2048), seeds=tuple(range(1, 51))),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Predict, and fit with the predicted penalties and with those of leave-one-out.

    Returns:
        ``risk`` over (pair, size, seed, estimator) with the predicted penalty, NaN where all functions
        are too many; ``chosen_risk`` over (pair, size, seed), of the invariant functions with the
        penalty of leave-one-out;
        ``predicted``, ``penalty`` and ``effective_dimension`` over (pair, size, estimator);
        ``num_ambient`` (as text: they may exceed any integer type), ``num_invariant``, ``group_order``
        per pair; ``labels``, ``sizes``, ``estimators``.
    """
    pair = functools.cache(lambda name: _Pair(name, config))

    def measure(name: str, size: int, seed: int) -> Outcome:
        return pair(name).measure(size, seed)

    cells = {
        f"{name},n={size},seed={seed}": functools.partial(measure, name, size, seed)
        for name in config.pairs
        for size in config.sizes
        for seed in config.seeds
    }
    shape = (len(config.pairs), len(config.sizes), len(config.seeds))
    results = stack(sweep(cells, store=store, progress=progress), *shape)
    of_sizes = ("predicted", "penalty", "effective_dimension")
    of_pairs = ("num_ambient", "num_invariant", "group_order")
    return {
        "risk": results["risk"],
        "chosen_risk": results["chosen_risk"],
        **{name: results[name][:, :, 0] for name in of_sizes},
        **{name: results[name][:, 0, 0] for name in of_pairs},
        "labels": np.asarray([PAIRS[name][0] for name in config.pairs]),
        "sizes": np.asarray(config.sizes),
        "estimators": np.asarray(ESTIMATORS),
    }


class _Pair:
    """One space with a group: the predictions, both bases, and targets in both."""

    def __init__(self, name: str, config: Config):
        _, self.space, group, self.bound, smoothness, few = PAIRS[name]
        self.config, self.group, self.spectrum = config, group(), sj.sobolev(smoothness)
        self.invariant = sj.invariant_basis(self.space, self.group, max_eigenvalue=self.bound)
        self.curves = [self._curve(estimator) for estimator in ESTIMATORS]
        # By the place of the estimator: the functions, and coefficients of the invariant ones in them.
        self.bases = {1: (self.invariant, np.eye(self.invariant.num_functions))}
        if few:
            ambient = sj.eigenbasis(self.space, max_eigenvalue=self.bound)
            # Exact, as the invariant functions lie in their span.
            points = self.space.sample(jax.random.key(0), (3 * ambient.num_functions,))
            values = (np.asarray(basis(points)) for basis in (ambient, self.invariant))
            self.bases[0] = (ambient, np.linalg.lstsq(*values, rcond=None)[0])
        self.drawn = functools.cache(self._drawn)

    def _curve(self, estimator: str) -> sj.RiskCurve:
        return sj.risk_curve(
            self.space,
            self.group,
            np.asarray(self.config.sizes),
            spectrum=self.spectrum,
            noise=self.config.noise,
            max_eigenvalue=self.bound,
            estimator=estimator,
        )

    def _drawn(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, np.ndarray]]:
        """Coefficients, and the largest training set with its features."""
        keys = jax.random.split(jax.random.key(seed), 3)
        c = np.sqrt(np.asarray(self.spectrum(self.invariant.eigenvalues)))
        c *= np.asarray(jax.random.rademacher(keys[0], c.shape))
        c[0] = 0.0
        c /= np.linalg.norm(c)
        x = self.space.sample(keys[1], (max(self.config.sizes),))
        features = {place: np.asarray(basis(x)) for place, (basis, _) in self.bases.items()}
        noise = self.config.noise * np.asarray(jax.random.normal(keys[2], (len(x),)))
        return c, np.asarray(x), features[1] @ c + noise, features

    def measure(self, size: int, seed: int) -> Outcome:
        """The risks of the fits, and what was predicted of them."""
        c, x, y, features = self.drawn(seed)
        place = self.config.sizes.index(size)
        risk = np.full(len(ESTIMATORS), np.nan)
        for e, (basis, embedding) in self.bases.items():
            weights, penalty = self.spectrum(basis.eigenvalues), self.curves[e].penalty[place]
            fitted = ridge(features[e][:size], y[:size], np.asarray(weights), float(penalty))
            risk[e] = np.sum((fitted - embedding @ c) ** 2)
        model = sj.fit_ridge(self.invariant, x[:size], y[:size], spectrum=self.spectrum)
        levels = self.space.levels(self.bound)
        return {
            "risk": risk,
            "chosen_risk": np.sum((np.asarray(model.coefficients) - c) ** 2),
            "predicted": np.asarray([curve.risk[place] for curve in self.curves]),
            "penalty": np.asarray([curve.penalty[place] for curve in self.curves]),
            "effective_dimension": np.asarray(
                [curve.effective_dimension[place] for curve in self.curves]
            ),
            "num_ambient": np.asarray(str(sum(level.multiplicity for level in levels))),
            "num_invariant": np.asarray(self.invariant.num_functions),
            "group_order": np.asarray(_order(self.group)),
        }


def ridge(features: np.ndarray, y: np.ndarray, weights: np.ndarray, penalty: float) -> np.ndarray:
    """What ``fit_ridge`` solves, by the normal equations: dozens of shapes, and nothing to compile."""
    shrinkage = penalty / weights
    shrinkage[0] = 0.0
    n = len(y)
    return np.linalg.solve(features.T @ features / n + np.diag(shrinkage), features.T @ y / n)


def _order(group: sj.AbstractGroup) -> str:
    if group.order == math.inf:
        return "∞"
    return str(group.order) if group.order < 10**6 else f"10^{math.log10(group.order):.1f}"


def table(results: Outcome) -> str:
    """Measured over predicted risk, of each pair, estimator and way to choose the penalty."""
    sizes = results["sizes"]
    head = "".join(f"{f'n={n}':>16}" for n in sizes)
    lines = [f"{'measured / predicted (range over seeds)':72}{head}   leave-one-out"]
    ratio = results["risk"] / results["predicted"][:, :, None]
    chosen = results["chosen_risk"] / results["predicted"][:, :, None, 1]
    for p, label in enumerate(results["labels"]):
        order, kept, whole = (
            results[name][p] for name in ("group_order", "num_invariant", "num_ambient")
        )
        for e, estimator in enumerate(results["estimators"]):
            one = ratio[p, :, :, e]
            if np.isnan(one).all():
                continue
            shown = "".join(f"{f'{r.mean():.2f} ({r.min():.2f}–{r.max():.2f})':>16}" for r in one)
            others = " ".join(f"{r.mean():.2f}" for r in chosen[p]) if e else ""
            name = f"{label}, |G| = {order}, D_G = {kept} of {whole}, {estimator}"
            lines.append(f"{name:72}{shown}   {others}")
    mean = ratio.mean(axis=2)
    known = mean[np.isfinite(mean)]
    inside = [int((np.abs(known - 1) <= bound).sum()) for bound in (0.15, 0.25)]
    lines.append(f"of {len(known)} means within 15 %: {inside[0]}; within 25 %: {inside[1]}")
    return "\n".join(lines)
