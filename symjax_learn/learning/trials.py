"""What a constraint costs: fits of one part of the data, judged by the other part."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from symjax_learn._chunks import refuse_beyond
from symjax_learn._linalg import fixed_spaces
from symjax_learn._types import Element, Key
from symjax_learn.geometry.spaces import Level
from symjax_learn.geometry.spectra import Spectrum
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.data import Data
from symjax_learn.learning.model import checked_spectrum

# Each part of the data has at least so many samples: bounds of means are those of normal ones.
_FEWEST = 10
# Elements whose matrices exist at once.
_BATCH = 64

# For each level (m, r): the vectors that are left.
Blocks = Sequence[np.ndarray]


class Judgements(NamedTuple):
    """What imposing each of several constraints costs on the held-out data.

    Attributes:
        costs: the mean of d, in units of the variance of the held-out targets.
        bounds: of them, above with probability ≤ level for all candidates together.
        p_values: of the hypothesis that the cost reaches the tolerance, each by itself.
        accepted: whether the bound is within the tolerance.
    """

    costs: Float[np.ndarray, " k"]
    bounds: Float[np.ndarray, " k"]
    p_values: Float[np.ndarray, " k"]
    accepted: Bool[np.ndarray, " k"]


class Trial:
    """The quadratic problem of the fitting part, and the held-out part that judges its restrictions.

    In units of the prior, features Φ√μ: μ is one number on each level, so that the constraints stay.
    """

    def __init__(
        self,
        basis: InvariantBasis,
        levels: Sequence[Level],
        parts: tuple[Data, Data],
        spectrum: Spectrum,
        penalty: float,
    ):
        """Features and sums of both parts, and the free fit of the first, at one penalty."""
        scale = np.sqrt(np.asarray(checked_spectrum(spectrum, basis.eigenvalues), np.float64))
        features = [np.asarray(basis(part.x), np.float64) * scale for part in parts]
        targets = [np.asarray(part.y, np.float64) for part in parts]
        charge = np.where(np.asarray(basis.eigenvalues) > 0, penalty, 0.0)
        self.levels, self.features, self.targets = levels, features[1], targets[1]
        self.grams = [f.T @ f / len(f) + np.diag(charge) for f in features]
        self.sides = [f.T @ t / len(f) for f, t in zip(features, targets, strict=True)]
        self.scale, self.variance = scale, float(self.targets.var(axis=0).sum()) or 1.0
        self.free = self._losses(np.linalg.solve(self.grams[0], self.sides[0]))

    def judged(self, constraints: Sequence[Blocks], tolerance: float, level: float) -> Judgements:
        """The costs of imposing each, bounded above with probability 1 − level each."""
        normal, count = NormalDist(), len(self.free)
        columns = []
        for blocks in constraints:
            differences = (self._losses(self._restricted(blocks)) - self.free) / self.variance
            error = float(differences.std(ddof=1)) / count**0.5
            cost = float(differences.mean())
            bound = cost + normal.inv_cdf(1 - level) * error
            p_value = normal.cdf((cost - tolerance) / error) if error else float(cost > tolerance)
            columns.append((cost, bound, p_value))
        costs, bounds, p_values = np.asarray(columns).reshape(-1, 3).T
        return Judgements(costs, bounds, p_values, bounds <= tolerance)

    def departures_along(
        self, derivations: Sequence[np.ndarray]
    ) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, "a a"]]:
        """Eigenvalues and eigenvectors of M, from a fit to each part."""
        fits = [
            self.scale[:, None] * np.linalg.solve(gram, side)
            for gram, side in zip(self.grams, self.sides, strict=True)
        ]
        size = len(derivations[0])
        form = np.zeros((size, size))
        start = 0
        for matrices in derivations:
            rows = slice(start, start + matrices.shape[1])
            first, second = (np.einsum("aij,jo->aio", matrices, c[rows]) for c in fits)
            form += np.einsum("aio,bio->ab", first, second)
            start = rows.stop
        rates, axes = np.linalg.eigh((form + form.T) / (2 * self.variance))
        return rates, axes

    def _restricted(self, blocks: Blocks) -> Float[np.ndarray, "D o"]:
        """The fit within the span of the blocks."""
        ranks = [block.shape[1] for block in blocks]
        basis = np.zeros((len(self.scale), sum(ranks)))
        row = column = 0
        for block in blocks:
            basis[row : row + block.shape[0], column : column + block.shape[1]] = block
            row, column = row + block.shape[0], column + block.shape[1]
        gram = basis.T @ self.grams[0] @ basis
        return basis @ np.linalg.solve(gram, basis.T @ self.sides[0])

    def _losses(self, coefficients: Float[np.ndarray, "D o"]) -> Float[np.ndarray, " n"]:
        return ((self.targets - self.features @ coefficients) ** 2).sum(axis=1)


def halves(key: Key, data: Data, holdout: float) -> tuple[Data, Data]:
    """The samples that fit, and those that judge."""
    n = len(data.x)
    judging = round(holdout * n)
    if min(judging, n - judging) < _FEWEST:
        raise ValueError(
            f"x: {n} samples in parts of {n - judging} and {judging}; each needs at least {_FEWEST}. "
            "Give more samples, or another holdout."
        )
    order = np.asarray(jax.random.permutation(key, n))
    fit, judge = (Data(data.x[rows], data.y[rows], data.outputs)
                  for rows in (order[judging:], order[:judging]))  # fmt: skip
    return fit, judge


def fixed_by_elements(
    action: Action, levels: Sequence[Level], elements: Element, memory_limit: int
) -> list[Blocks]:
    """For each element, level by level, the vectors that it fixes."""
    refuse_beyond(
        memory_limit,
        32 * _BATCH * sum(level.multiplicity**2 for level in levels),
        "max_eigenvalue: the matrices of the eigenspaces",
        "Lower it, or raise memory_limit.",
    )
    found: list[Blocks] = []
    for start in range(0, jax.tree.leaves(elements)[0].shape[0], _BATCH):
        batch = jax.tree.map(lambda leaf, s=start: leaf[s : s + _BATCH], elements)
        with jax.enable_x64(True):
            matrices = action.representations(levels, batch)
        spaces = [
            fixed_spaces(of_level[:, None], np.zeros((len(of_level), 0, *of_level.shape[1:])))
            for of_level in matrices
        ]
        found += [[space.basis for space in one] for one in zip(*spaces, strict=True)]
    return found


def fixed_by_directions(
    derivations: Sequence[np.ndarray], rows: Float[np.ndarray, "k a"]
) -> list[Blocks]:
    """For each direction, level by level, the vectors that it annihilates."""
    if not len(rows):
        return []
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    spaces = []
    for matrices in derivations:
        along = np.einsum("ka,aij->kij", units, matrices)
        spaces.append(fixed_spaces(np.zeros((len(along), 0, *along.shape[1:])), along[:, None]))
    return [[space.basis for space in one] for one in zip(*spaces, strict=True)]
