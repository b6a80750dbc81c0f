"""What random augmentation buys: risk and invariance against the number |S| of group elements.

Least squares on n samples, each moved by the same |S| random elements, on all r eigenfunctions up to a
truncation, for random targets among the r_inv invariant ones. Predicted: n·risk/σ² falls from r to r_inv
as r/|S| + (1 − 1/|S|)·r_inv, with the knee at |S| = r/r_inv; ‖P_S − P_G‖ falls as 1/√|S| below its bound
and stays above 0 (Tahmasebi, Weber, Jegelka, COLT 2026). Beside them least squares on the invariant
functions alone, and on samples moved by the weighted elements of a rule that is exact on the span.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, stack, sweep


def _axis_turns() -> sj.AbstractGroup:
    return sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]])


# name -> (label, space, group, largest eigenvalue), from many invariant functions to few
PROBLEMS = {
    "S3": ("S₃ on T³", sj.Torus(3), lambda: sj.symmetric_group(3), 6),
    "axis": ("SO(2) on S²", sj.Sphere(2), _axis_turns, 7 * 8),
    "B3": ("B₃ on T³", sj.Torus(3), lambda: sj.hyperoctahedral_group(3), 6),
    "S6": ("S₆ on T⁶", sj.Torus(6), lambda: sj.symmetric_group(6), 2),
    "icosahedral": ("I_h on S²", sj.Sphere(2), lambda: sj.point_group("Ih"), 8 * 9),
}

# What is the same for every seed.
_FACTS = ("num_functions", "num_invariant", "group_order", "rule_size", "rule_rank")


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        problems: names of spaces with groups.
        subset_sizes: |S|, ascending; the smaller subsets are parts of the larger.
        samples_per_function: n/r.
        seeds: one training set and one subset each.
        num_noises: draws of the noise for each of them.
        noise: σ.
        failure_probability: δ of the bound on ‖P_S − P_G‖.
    """

    problems: tuple[str, ...] = tuple(PROBLEMS)
    subset_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    samples_per_function: int = 20
    seeds: tuple[int, ...] = tuple(range(1, 11))
    num_noises: int = 10
    noise: float = 0.5
    failure_probability: float = 0.05

    def __post_init__(self):
        """Refuse unknown problems."""
        check_choices("problems", self.problems, list(PROBLEMS))


CONFIGS = {
    "smoke": Config(
        problems=("S3",), subset_sizes=(1, 4), seeds=(1, 2), num_noises=20, samples_per_function=8
    ),
    "default": Config(),
    "published": Config(
        subset_sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256), seeds=tuple(range(1, 31)), num_noises=20
    ),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit on every augmented training set.

    Returns:
        Over (problem, size, seed): ``scaled_risk``, n·risk/σ², ``error`` ‖P_S − P_G‖ and ``variance``
        tr(P_S P_Sᵀ); over (problem, seed): ``invariant_risk`` and ``rule_risk``; over problems
        ``num_functions``, ``num_invariant``, ``group_order``, ``rule_size``, ``rule_rank``; the
        ``predicted`` curves and ``bound`` over (problem, size).
    """
    problem = functools.cache(lambda name: _Problem(name, config))

    def measure(name: str, seed: int) -> Outcome:
        return problem(name).measure(seed)

    cells = {
        f"{name},seed={seed}": functools.partial(measure, name, seed)
        for name in config.problems
        for seed in config.seeds
    }
    found = stack(sweep(cells, store=store, progress=progress), len(config.problems), len(config.seeds))
    beside = {name: found[name][:, 0] for name in _FACTS}
    share = 1 / np.asarray(config.subset_sizes, float)
    r, kept = beside["num_functions"][:, None], beside["num_invariant"][:, None]
    bounds = [
        [
            sj.subset_bound(
                size, int(count), order=order, failure_probability=config.failure_probability
            )
            for size in config.subset_sizes
        ]
        for count, order in zip(beside["num_functions"], beside["group_order"], strict=True)
    ]
    return {
        **{name: found[name].swapaxes(1, 2) for name in ("scaled_risk", "error", "variance")},
        **{name: found[name] for name in ("invariant_risk", "rule_risk")},
        **beside,
        "predicted": share * r + (1 - share) * kept,
        "bound": np.asarray(bounds),
        "subset_sizes": np.asarray(config.subset_sizes),
        "labels": np.asarray([PROBLEMS[name][0] for name in config.problems]),
    }


class _Problem:
    """One space with a group: both bases, and random invariant targets in both."""

    def __init__(self, name: str, config: Config):
        _, self.space, group, self.bound = PROBLEMS[name]
        self.config, self.group = config, group()
        self.action = sj.action(self.space, self.group)
        self.invariant = sj.invariant_basis(self.space, self.group, max_eigenvalue=self.bound)
        self.ambient = sj.eigenbasis(self.space, max_eigenvalue=self.bound)
        points = self.space.sample(jax.random.key(0), (3 * self.ambient.num_functions,))
        values = (np.asarray(basis(points)) for basis in (self.ambient, self.invariant))
        self.embedding = np.linalg.lstsq(*values, rcond=None)[0]
        self.num_samples = config.samples_per_function * self.ambient.num_functions
        self.rule = sj.exact_rule(jax.random.key(0), self.space, self.action, max_eigenvalue=self.bound)

    def drawn(self, seed: int):
        """Coefficients of the target, points, and targets with several draws of noise."""
        keys = jax.random.split(jax.random.key(seed), 4)
        c = jax.random.normal(keys[0], (self.invariant.num_functions,))
        c = c / jnp.linalg.norm(c)
        x = self.space.sample(keys[1], (self.num_samples,))
        noises = jax.random.normal(keys[2], (self.num_samples, self.config.num_noises))
        y = (self.invariant(x) @ c)[:, None] + self.config.noise * noises
        return np.asarray(c), x, y, keys[3]

    def measure(self, seed: int) -> Outcome:
        """Least squares on samples moved by ever more random elements, the same for all samples."""
        c, x, y, key = self.drawn(seed)
        sizes = self.config.subset_sizes
        elements = self.group.sample(key, (max(sizes),))
        risks, averages, sums, before = [], [], None, 0
        for size in sizes:
            fresh = self._sums(x, y, _rows(elements, before, size), np.ones(size - before))
            sums = fresh if sums is None else sums + fresh
            risks.append(self._risk(sums, c))
            # Weights of one length, so that all subsets are one program.
            shares = np.where(np.arange(max(sizes)) < size, 1 / size, 0.0)
            averages.append(
                sj.subset_average(
                    self.space, self.action, elements, max_eigenvalue=self.bound, weights=shares
                )
            )
            before = size
        rule = self.rule
        invariant = sj.fit_ridge(self.invariant, x, y, penalty=0.0)
        return {
            "scaled_risk": np.asarray(risks),
            "error": np.asarray([one.error for one in averages]),
            "variance": np.asarray([one.variance for one in averages]),
            "invariant_risk": np.asarray(self._scaled(np.asarray(invariant.coefficients) - c[:, None])),
            "rule_risk": np.asarray(self._risk(self._sums(x, y, rule.elements, rule.weights), c)),
            "num_functions": np.asarray(self.ambient.num_functions),
            "num_invariant": np.asarray(self.invariant.num_functions),
            "group_order": np.asarray(float(self.group.order)),
            "rule_size": np.asarray(len(rule.weights)),
            "rule_rank": np.asarray(rule.rank),
        }

    def _sums(self, x, y, elements, weights) -> sj.RidgeStatistics:
        """Statistics of the samples moved by each element in turn, never all at once."""

        def moved():
            for i, weight in enumerate(weights):
                g = jax.tree.map(lambda leaf, i=i: leaf[i], elements)
                yield self.action.act(g, x), y, np.full(len(x), weight)

        return sj.accumulate(self.ambient, moved())

    def _risk(self, sums: sj.RidgeStatistics, c: np.ndarray) -> float:
        model = sj.fit_statistics(sums, penalty=0.0)
        return self._scaled(np.asarray(model.coefficients) - (self.embedding @ c)[:, None])

    def _scaled(self, errors: np.ndarray) -> float:
        """n·risk/σ², the mean over the draws of the noise; exact, as the functions are orthonormal."""
        return self.num_samples * float((errors**2).sum(axis=0).mean()) / self.config.noise**2


def _rows(elements, start: int, stop: int):
    return jax.tree.map(lambda leaf: leaf[start:stop], elements)


def table(results: Outcome) -> str:
    """n·risk/σ² measured and predicted, ‖P_S − P_G‖ and its bound, and the exact ways."""
    sizes = results["subset_sizes"]
    lines = []
    for p, label in enumerate(results["labels"]):
        r, kept = results["num_functions"][p], results["num_invariant"][p]
        order = results["group_order"][p]
        shown = "∞" if math.isinf(order) else f"{order:.0f}"
        lines.append(f"{label}: r = {r}, r_inv = {kept}, knee at {r / kept:.1f}, |G| = {shown}")
        lines.append(f"{'  |S|':24}" + "".join(f"{size:>9d}" for size in sizes))
        rows = {
            "n·risk/σ², measured": results["scaled_risk"][p].mean(axis=1),
            "  predicted": results["predicted"][p],
            "‖P_S − P_G‖, mean": results["error"][p].mean(axis=1),
            "  largest": results["error"][p].max(axis=1),
            "  bound": results["bound"][p],
        }
        for name, row in rows.items():
            lines.append(f"  {name:22}" + "".join(f"{value:9.3f}" for value in row))
        lines.append(
            f"  invariant functions alone: {results['invariant_risk'][p].mean():.3f}; "
            f"{results['rule_size'][p]} weighted elements: {results['rule_risk'][p].mean():.3f}"
        )
    return "\n".join(lines)
