"""Methane: error of the energy against the number of configurations, with and without forces.

Ridge on the polynomials of the four vectors from the carbon to the hydrogens that S_4 × O(3) leaves
fixed, from energies alone and from energies and gradients together; against kernel ridge on the ten
distances between atoms, plain and averaged over the 24 permutations of the hydrogens. One rule tunes
all: the least exact leave-one-out error over a grid of penalties and one parameter of the kernel.
"""

import dataclasses
import functools
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.configs import check_choices
from experiments.storage import Outcome, Progress, Store, stack, sweep

METHODS = ("invariant ridge", "invariant ridge, forces", "distances", "averaged distances")
_KCAL_PER_MOL = 627.5094740631  # of one Hartree
_HYDROGENS = 4


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        methods: which.
        sizes: numbers of training configurations.
        seeds: one training set of each size each.
        num_test: configurations held out, the same for all.
        max_degree: of the polynomials.
        scale: in Å, of the vectors: they are divided by it and taken for points of a Gaussian space.
        decays: q of the spectra q^degree among which leave-one-out chooses.
        gradient_weight: of squared gradients in (kcal/mol)² for vectors in units of ``scale``.
        lengths: of the Gaussian kernels exp(−|D − D'|²/2ℓ²) in Å among which leave-one-out chooses.
    """

    methods: tuple[str, ...] = METHODS
    sizes: tuple[int, ...] = (25, 50, 100, 200, 400, 800, 1600)
    seeds: tuple[int, ...] = (1, 2, 3)
    num_test: int = 2000
    max_degree: int = 12
    scale: float = 0.64
    decays: tuple[float, ...] = (0.5, 0.25, 0.125)
    gradient_weight: float = 0.1
    lengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)

    def __post_init__(self):
        """Refuse unknown methods."""
        check_choices("methods", self.methods, METHODS)


CONFIGS = {
    "smoke": Config(
        sizes=(20, 60), seeds=(1,), num_test=200, max_degree=4, decays=(0.25,), lengths=(1.0, 4.0)
    ),
    "default": Config(),
    "published": Config(seeds=tuple(range(1, 11))),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Fit every method on every training set.

    Returns:
        ``error`` over (size, seed, method), root mean square on the test set in kcal/mol, and
        ``seconds`` of each fit with its tuning, compilation included; ``methods``, ``sizes``;
        ``deviation`` of the test energies, and ``num_functions``.
    """
    problem = functools.cache(lambda: _Problem(config))

    def measure(size: int, seed: int) -> Outcome:
        return problem().measure(size, seed)

    cells = {
        f"n={size},seed={seed}": functools.partial(measure, size, seed)
        for size in config.sizes
        for seed in config.seeds
    }
    outcomes = sweep(cells, store=store, progress=progress)
    results = stack(outcomes, len(config.sizes), len(config.seeds))
    return {
        "error": results["error"],
        "seconds": results["seconds"],
        "deviation": results["deviation"][0, 0],
        "num_functions": results["num_functions"][0, 0],
        "methods": np.asarray(config.methods),
        "sizes": np.asarray(config.sizes),
    }


class _Problem:
    """The data in the units of the fits, and a fit by each method."""

    def __init__(self, config: Config):
        self.config = config
        data = sj.datasets.molecule("methane")
        hydrogens, carbon = data.positions[:, :_HYDROGENS], data.positions[:, _HYDROGENS:]
        self.vectors = (hydrogens - carbon) / config.scale
        # The energy is a function of the vectors alone, so that its slopes are those of the hydrogens.
        self.slopes = data.gradients[:, :_HYDROGENS] * (_KCAL_PER_MOL * config.scale)
        self.energies = data.energies * _KCAL_PER_MOL
        self.distances = _distances(data.positions)
        self.space = sj.Sets(sj.Gaussian(3), _HYDROGENS)
        self.basis = sj.invariant_basis(self.space, data.group, max_eigenvalue=config.max_degree)
        order = np.random.default_rng(0).permutation(len(self.energies))
        self.test, self.pool = order[: config.num_test], order[config.num_test :]
        self.fits = {
            "invariant ridge": functools.partial(self._ridge, False),
            "invariant ridge, forces": functools.partial(self._ridge, True),
            "distances": functools.partial(self._kernel, False),
            "averaged distances": functools.partial(self._kernel, True),
        }

    def measure(self, size: int, seed: int) -> Outcome:
        """All methods on one training set."""
        train = np.random.default_rng(seed).permutation(self.pool)[:size]
        errors, seconds = [], []
        truth = self.energies[self.test]
        for method in self.config.methods:
            start = time.perf_counter()
            predicted = self.fits[method](train)
            seconds.append(time.perf_counter() - start)
            errors.append(np.sqrt(np.mean((np.asarray(predicted) - truth) ** 2)))
        return {
            "error": np.asarray(errors),
            "seconds": np.asarray(seconds),
            "deviation": np.asarray(truth.std()),
            "num_functions": np.asarray(self.basis.num_functions),
        }

    def _ridge(self, with_forces: bool, train: np.ndarray) -> np.ndarray:
        """Predicted test energies of the fit of least leave-one-out error."""
        center = self.energies[train].mean()
        options = {}
        if with_forces:
            options["gradients"] = jnp.asarray(self.slopes[train])
            options["gradient_weight"] = self.config.gradient_weight
        x, y = jnp.asarray(self.vectors[train]), jnp.asarray(self.energies[train] - center)
        models = [
            sj.fit_ridge(self.basis, x, y, spectrum=_Decay(decay), **options)
            for decay in self.config.decays
        ]
        best = min(models, key=lambda model: float(np.asarray(model.report.loo_error)))
        return np.asarray(best(jnp.asarray(self.vectors[self.test]))) + center

    def _kernel(self, averaged: bool, train: np.ndarray) -> np.ndarray:
        """As above, of kernel ridge on distances, centred at the mean."""
        center = self.energies[train].mean()
        y = self.energies[train] - center
        found = []
        for length in self.config.lengths:
            gram = self._gram(train, train, length, averaged)
            error, weights = _tuned(gram, y)
            found.append((error, length, weights))
        _, length, weights = min(found, key=lambda one: one[0])
        return self._gram(self.test, train, length, averaged) @ weights + center

    def _gram(self, left: np.ndarray, right: np.ndarray, length: float, averaged: bool) -> np.ndarray:
        """Of the distances as they are ordered, or their mean over all orders of the hydrogens."""
        orders = _ORDERS if averaged else _ORDERS[:1]
        there = self.distances[right]
        return np.mean(
            [_gaussian(self.distances[left], there[:, order], length) for order in orders], axis=0
        )


@dataclasses.dataclass(frozen=True)
class _Decay:
    """The spectrum q^degree."""

    ratio: float

    def __call__(self, eigenvalues: jax.Array) -> jax.Array:
        return self.ratio**eigenvalues


_PAIRS = list(itertools.combinations(range(_HYDROGENS + 1), 2))


def _distances(positions: np.ndarray) -> np.ndarray:
    """Of all pairs of atoms, ``(n, 10)``."""
    first, second = np.asarray(_PAIRS).T
    return np.linalg.norm(positions[:, first] - positions[:, second], axis=-1)


def _orders() -> np.ndarray:
    """The places of the distances after each permutation of the hydrogens; the identity first."""
    place = {pair: i for i, pair in enumerate(_PAIRS)}
    orders = []
    for images in itertools.permutations(range(_HYDROGENS)):
        moved = (*images, _HYDROGENS)
        orders.append([place[min(moved[i], moved[j]), max(moved[i], moved[j])] for i, j in _PAIRS])
    return np.asarray(orders)


_ORDERS = _orders()


def _gaussian(left: np.ndarray, right: np.ndarray, length: float) -> np.ndarray:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.exp(-np.maximum(squares, 0) / (2 * length**2))


def _tuned(gram: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The least leave-one-out error over penalties, e_i = α_i/(K + nη)⁻¹_ii, and its α."""
    values, vectors = np.linalg.eigh(gram)
    values, turned = np.maximum(values, 0), vectors.T @ y
    best = (np.inf, y)
    for ridge in values[-1] * 10.0 ** -np.arange(0, 13.25, 0.25):
        weights = vectors @ (turned / (values + ridge))
        own = (vectors**2) @ (1 / (values + ridge))
        error = float(np.sqrt(np.mean((weights / own) ** 2)))
        if error < best[0]:
            best = (error, weights)
    return best


def table(results: Outcome) -> str:
    """Mean errors over seeds, in kcal/mol."""
    sizes = results["sizes"]
    lines = [
        f"methane: {results['num_functions']} invariant functions; test energies deviate by "
        f"{results['deviation']:.2f} kcal/mol",
        f"{'RMSE in kcal/mol, n =':26}" + "".join(f"{n:>9d}" for n in sizes),
    ]
    for k, method in enumerate(results["methods"]):
        errors = results["error"][:, :, k].mean(axis=1)
        lines.append(f"  {method:24}" + "".join(f"{error:9.4f}" for error in errors))
    lines.append("seconds of a fit with its tuning, the least over seeds")
    for k, method in enumerate(results["methods"]):
        seconds = results["seconds"][:, :, k].min(axis=1)
        lines.append(f"  {method:24}" + "".join(f"{one:9.2f}" for one in seconds))
    return "\n".join(lines)
