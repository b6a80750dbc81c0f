"""How many fewer samples a finite symmetry needs: risk against n, n·|G| and n·D/D_G, and the gain.

Ridge with one Sobolev spectrum on all eigenfunctions up to a truncation, and on the invariant ones
among them, for random invariant targets with noise; the penalty by leave-one-out. The eigenfunctions
are orthonormal, so that the risk ‖f̂ − f*‖² is a sum over coefficients, exact. Beside the measured risk
what the two spectra alone predict, and beside the measured gain (the ratio of n at equal risk) the
predicted one; both approach |G| slowly, as D/D_G does (Tahmasebi, Jegelka, NeurIPS 2023).
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

METHODS = ("all functions", "invariant functions")


def _icosahedral_group() -> sj.AbstractGroup:
    """By the mirrors of three planes that meet at π/5, π/3 and π/2."""
    golden = (1 + math.sqrt(5)) / 2
    normals = np.asarray([[1, 0, 0], [golden, golden - 1, 1], [0, 1, 0]])
    outer = normals[:, :, None] * normals[:, None] / (normals**2).sum(axis=1)[:, None, None]
    return sj.matrix_group(np.eye(3) - 2 * outer)


# name -> (label, space, group, largest eigenvalue)
PROBLEMS = {
    "mirror": ("T²/mirror", sj.Torus(2), lambda: sj.signed_permutation_group([[0, 1]], [[-1, 1]]), 100),
    "shifts": ("T³/C₃", sj.Torus(3), lambda: sj.cyclic_group(3), 30),
    "B3": ("T³/B₃", sj.Torus(3), lambda: sj.hyperoctahedral_group(3), 30),
    "S4": ("T⁴/S₄", sj.Torus(4), lambda: sj.symmetric_group(4), 12),
    "S4-sphere": ("S³/S₄", sj.Sphere(3), lambda: sj.symmetric_group(4), 12 * 14),
    "icosahedral": ("S²/I_h", sj.Sphere(2), _icosahedral_group, 30 * 31),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        problems: names of spaces with groups.
        sizes: numbers of training samples.
        seeds: one target and one training set each.
        noise: σ of the targets, whose own variance is 1.
        excess: the spectrum is (1 + λ)^{−s} with s = d/2 + excess, for the target and the penalty.
        count_dimensions: d of the exact counts for S_d on T^d.
        count_bounds: truncations |k|² of the exact counts.
    """

    problems: tuple[str, ...] = tuple(PROBLEMS)
    sizes: tuple[int, ...] = (16, 48, 144, 432, 1296, 3888)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    noise: float = 0.5
    excess: float = 1.0
    count_dimensions: tuple[int, ...] = (2, 3, 4, 5, 6, 7)
    count_bounds: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

    def __post_init__(self):
        """Refuse unknown problems."""
        check_choices("problems", self.problems, list(PROBLEMS))


CONFIGS = {
    "smoke": Config(
        problems=("mirror", "icosahedral"),
        sizes=(60, 240),
        seeds=(1, 2),
        count_dimensions=(2, 3),
        count_bounds=(1, 4, 16),
    ),
    "default": Config(),
    "published": Config(
        sizes=(16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192), seeds=tuple(range(1, 21))
    ),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit both ways on every training set.

    Returns:
        ``risk`` over (problem, size, seed, method); ``predicted`` over (problem, method, grid), the mean
        over seeds of what the spectra predict at the numbers of samples ``grid``; ``measured_gain`` over
        (problem, size) and ``predicted_gain`` over (problem, grid), see :func:`gains`; ``labels``,
        ``group_order``, ``num_invariant``, ``num_ambient`` per problem; ``methods``, ``sizes``; and the
        exact ``count_ambient``, ``count_invariant`` over (dimension, bound).
    """
    problem = functools.cache(lambda name: _Problem(name, config))

    def measure(name: str, size: int, seed: int) -> Outcome:
        return problem(name).measure(size, seed)

    cells = {
        f"{name},n={size},seed={seed}": functools.partial(measure, name, size, seed)
        for name in config.problems
        for size in config.sizes
        for seed in config.seeds
    }
    shape = (len(config.problems), len(config.sizes), len(config.seeds))
    results = stack(sweep(cells, store=store, progress=progress), *shape)
    (counts,) = sweep({"counts": functools.partial(_counts, config)}, store=store, progress=progress)
    per_problem = ("group_order", "num_invariant", "num_ambient")
    predicted, mean = results["predicted"][:, 0].mean(axis=1), results["risk"].mean(axis=2)
    return {
        "risk": results["risk"],
        "measured_gain": np.stack([gains(one.T, np.asarray(config.sizes)) for one in mean]),
        "predicted": predicted,
        "predicted_gain": np.stack([gains(one, _grid(config)) for one in predicted]),
        "grid": _grid(config),
        **{name: results[name][:, 0, 0] for name in per_problem},
        "labels": np.asarray([PROBLEMS[name][0] for name in config.problems]),
        "methods": np.asarray(METHODS),
        "sizes": np.asarray(config.sizes),
        "count_dimensions": np.asarray(config.count_dimensions),
        "count_bounds": np.asarray(config.count_bounds),
        "count_ambient": counts["ambient"],
        "count_invariant": counts["invariant"],
    }


def _grid(config: Config) -> np.ndarray:
    """Numbers of samples of the predicted curves."""
    return np.geomspace(min(config.sizes), max(config.sizes), 60)


class _Problem:
    """One space with a group: both bases, and random invariant targets in both."""

    def __init__(self, name: str, config: Config):
        _, self.space, group, bound = PROBLEMS[name]
        self.config, self.group = config, group()
        self.invariant = sj.invariant_basis(self.space, self.group, max_eigenvalue=bound)
        self.ambient = sj.eigenbasis(self.space, max_eigenvalue=bound)
        self.spectrum = sj.sobolev(self.space.dimension / 2 + config.excess)
        # The coefficients of the invariant functions among all: exact, as they lie in their span.
        points = self.space.sample(jax.random.key(0), (2 * self.ambient.num_functions,))
        values = (np.asarray(basis(points)) for basis in (self.ambient, self.invariant))
        self.embedding = np.linalg.lstsq(*values, rcond=None)[0]

    def measure(self, size: int, seed: int) -> Outcome:
        """The risk of both fits, and what the spectra predict for this target."""
        keys = jax.random.split(jax.random.key(seed), 3)
        weights = np.asarray(self.spectrum(self.invariant.eigenvalues))
        c = np.array(jax.random.normal(keys[0], weights.shape)) * np.sqrt(weights)
        c[0] = 0.0
        c /= np.linalg.norm(c)
        x = self.space.sample(keys[1], (size,))
        y = self.invariant(x) @ jnp.asarray(c)
        y = y + self.config.noise * jax.random.normal(keys[2], (size,))
        risks, predicted = [], []
        for basis, truth in ((self.ambient, self.embedding @ c), (self.invariant, c)):
            model = sj.fit_ridge(basis, x, y, spectrum=self.spectrum)
            risks.append(np.sum((np.asarray(model.coefficients) - truth) ** 2))
            curve = sj.predicted_risk(
                np.asarray(self.spectrum(basis.eigenvalues)),
                np.ones(basis.num_functions, int),
                truth**2,
                _grid(self.config),
                noise=self.config.noise,
            )
            predicted.append(curve.risk)
        return {
            "risk": np.asarray(risks),
            "predicted": np.asarray(predicted),
            "group_order": np.asarray(int(self.group.order)),
            "num_invariant": np.asarray(self.invariant.num_functions),
            "num_ambient": np.asarray(self.ambient.num_functions),
        }


def _counts(config: Config) -> Outcome:
    """D and D_G of S_d on T^d, exact."""
    ambient, invariant = [], []
    for d in config.count_dimensions:
        space, group = sj.Torus(d), sj.symmetric_group(d)
        levels = space.levels(max(config.count_bounds))
        for bound in config.count_bounds:
            ambient.append(sum(level.multiplicity for level in levels if level.eigenvalue <= bound))
            invariant.append(sj.invariant_count(space, group, bound))
    shape = (len(config.count_dimensions), len(config.count_bounds))
    return {
        "ambient": np.asarray(ambient, np.int64).reshape(shape),
        "invariant": np.asarray(invariant, np.int64).reshape(shape),
    }


def gains(risks: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Ratios of n at equal risk: n at which all functions reach the risk of the invariant ones, over n.

    Args:
        risks: ``(2, n)``, of all functions and of the invariant ones.
        sizes: ``(n,)``, ascending.

    Returns:
        For each n, by interpolation of logarithms; NaN where the risk is out of reach of all functions.
    """
    plain = np.minimum.accumulate(np.log(risks[0]))  # noise apart, risk falls with n
    wanted = np.log(risks[1])
    needed = np.exp(np.interp(-wanted, -plain, np.log(sizes)))
    reached = (wanted >= plain[-1]) & (wanted <= plain[0])
    return np.where(reached, needed / sizes, np.nan)


def table(results: Outcome) -> str:
    """Mean risks over seeds, measured / predicted gains, and exact counts."""
    sizes = results["sizes"]
    lines = []
    for p, label in enumerate(results["labels"]):
        order, num, whole = (
            results[name][p] for name in ("group_order", "num_invariant", "num_ambient")
        )
        lines.append(f"{label}: |G| = {order}, D_G = {num} of D = {whole}, D/D_G = {whole / num:.1f}")
        lines.append(f"{'  risk, n =':24}" + "".join(f"{n:>9d}" for n in sizes))
        risk = results["risk"][p].mean(axis=1)
        for k, method in enumerate(results["methods"]):
            lines.append(f"  {method:22}" + "".join(f"{r:9.4f}" for r in risk[:, k]))
            at = np.interp(np.log(sizes), np.log(results["grid"]), np.log(results["predicted"][p, k]))
            lines.append(f"  {'  predicted':22}" + "".join(f"{r:9.4f}" for r in np.exp(at)))
        for name, risks in (("measured", risk[:, 1]), ("predicted", results["predicted"][p, 1])):
            gain = results[f"{name}_gain"][p]
            reached = np.flatnonzero(np.isfinite(gain))
            shown = [
                f"{gain[i]:.1f} at risk {risks[i]:.3f}" for i in reached[:: max(1, len(reached) // 4)]
            ]
            lines.append(f"  gain, {name}: " + (", ".join(shown) or "out of reach of all functions"))
    lines.append(
        "D/(D_G·d!) of S_d on T^d, exact; |k|² ≤ " + ", ".join(map(str, results["count_bounds"]))
    )
    for d, full, kept in zip(
        results["count_dimensions"], results["count_ambient"], results["count_invariant"], strict=True
    ):
        ratio = full / (kept * math.factorial(d))
        lines.append(f"  S_{d}: " + " ".join(f"{r:.3f}" for r in ratio))
    return "\n".join(lines)
