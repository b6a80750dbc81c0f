"""Volumes of quotients: in closed form, from the volumes of orbits, from return probabilities.

Of each pair vol(M/G), d' = dim(M/G), and the two estimates with their standard errors. Where 1/vol(Gx)
has a heavy tail, because orbits collapse, no standard error of the first is claimed.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.storage import Outcome, Progress, Store, stack, sweep

TURN = [[0.0, -1.0], [1.0, 0.0]]


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured.

    Attributes:
        pairs: of ``PAIRS``.
        num_samples: of each estimate.
        seed: of the samples.
    """

    pairs: tuple[str, ...]
    num_samples: int = 200_000
    seed: int = 0


def _block(*blocks: list[list[float]]) -> list[list[list[float]]]:
    """One generator of turns."""
    size = sum(len(block) for block in blocks)
    matrix, start = np.zeros((size, size)), 0
    for block in blocks:
        matrix[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    return [matrix.tolist()]


def _two_vectors() -> sj.AbstractGroup:
    """SO(3) that turns two vectors of R³ together."""
    rotations = sj.special_orthogonal_group(3)
    algebra = [np.kron(np.eye(2), a) for a in np.asarray(rotations.lie_algebra)]
    return sj.lie_group(algebra, sample=lambda key: jnp.kron(jnp.eye(2), rotations.sample(key)))


def _conjugation() -> sj.Action:
    rotations = sj.special_orthogonal_group(3)
    return sj.action(sj.RotationGroup(), rotations, act=lambda g, x: g @ x @ g.T)


def _sets() -> sj.Action:
    group = sj.direct_product(sj.symmetric_group(3), sj.special_orthogonal_group(3))
    return sj.action(sj.Sets(sj.Sphere(2), 3), group)


# Name -> the action, and the volume where mathematics knows it and the library does not.
PAIRS: Mapping[str, tuple[Callable[[], sj.Action], float]] = {
    "S²/SO(2)": (lambda: sj.action(sj.Sphere(2), sj.lie_group(_block(TURN, [[0.0]]))), math.nan),
    "S³/U(1)": (lambda: sj.action(sj.Sphere(3), sj.lie_group(_block(TURN, TURN))), math.nan),
    "T²/(1, 1)": (lambda: sj.action(sj.Torus(2), sj.translation_group([[1, 1]])), math.nan),
    "T³/(1, 2, 3)": (lambda: sj.action(sj.Torus(3), sj.translation_group([[1, 2, 3]])), math.nan),
    "St(2, 4)/O(2)": (lambda: sj.action(sj.Stiefel(2, 4), sj.orthogonal_group(2)), math.nan),
    "B³/SO(3)": (lambda: sj.action(sj.Ball(3), sj.special_orthogonal_group(3)), math.nan),
    "S⁵/SO(3)": (lambda: sj.action(sj.Sphere(5), _two_vectors()), math.pi / 2),
    "SO(3)/conjugation": (_conjugation, math.pi),
    "(S²)³/(S_3 × SO(3))": (_sets, math.nan),
}
CONFIGS = {
    "smoke": Config(pairs=("T²/(1, 1)",), num_samples=2_000),
    "default": Config(pairs=tuple(PAIRS)),
    "published": Config(pairs=tuple(PAIRS), num_samples=4_000_000),
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Measure every pair.

    Returns:
        ``pairs`` (names); of each pair ``dimension`` and ``closed`` (NaN where not known), and of orbits
        and returns, along a second axis, ``value``, ``standard_error``, ``bias`` and ``tail_index``.
    """
    cells = {
        f"pair{list(PAIRS).index(name)}": functools.partial(_measure, config, name)
        for name in config.pairs
    }
    measured = stack(sweep(cells, store=store, progress=progress), len(config.pairs))
    return {"pairs": np.asarray(config.pairs), **measured}


def _measure(config: Config, name: str) -> dict[str, Any]:
    make, known = PAIRS[name]
    action = make()
    logarithm = sj.closed_log_volume(action)
    estimates = [_estimate(config, action, method) for method in ("orbits", "returns")]
    fields = ("value", "standard_error", "bias", "tail_index")
    return {
        "dimension": sj.quotient_dimension(action.space, action),
        "closed": known if logarithm is None else math.exp(logarithm),
        **{field: np.asarray([one[field] for one in estimates]) for field in fields},
    }


def _estimate(config: Config, action: sj.Action, method: str) -> dict[str, float]:
    # Stabilizers of conjugation are the turns about one axis, 2π.
    known = {"stabilizer_volume": 2 * math.pi} if action.user_act and method == "orbits" else {}
    key = jax.random.key(config.seed)
    found = sj.quotient_volume(
        key,
        action.space,
        action,
        num_samples=config.num_samples,
        method=method,
        throw=False,
        **known,
    )
    return found._asdict()


def table(results: Mapping[str, Any]) -> str:
    """One line for each pair."""
    lines = [f"{'pair':22} d'   closed   {'from orbits':22} tail   {'from returns':20} bias"]
    for row, name in enumerate(results["pairs"]):
        value, error = results["value"][row], results["standard_error"][row]
        closed = results["closed"][row]
        first = (
            f"{value[0]:.4f} ± {error[0]:.4f}" if np.isfinite(error[0]) else f"{value[0]:.4f} (no error)"
        )
        lines.append(
            f"{name:22} {int(results['dimension'][row])}  {closed:8.4f}  {first:22} "
            f"{results['tail_index'][row, 0]:5.2f}  {value[1]:.4f} ± {error[1]:.4f}     "
            f"{results['bias'][row, 1]:.4f}"
        )
    return "\n".join(lines)
