"""Route ``orbits`` where a group permutes eigenfunctions up to signs, as on boxes, graphs and sets."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import refuse_beyond
from symjax_learn.algebra.groups import describe_order
from symjax_learn.algebra.orbits import MonomialOrbits, monomial_orbits
from symjax_learn.geometry.spaces import AbstractFunctions, Level
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.signed import SignedMoves, signed_moves


class OrbitSums(AbstractFunctions):
    """φ_j = a_j Σ_{k ∈ O_j} ±e_k, sums of eigenfunctions over orbits.

    Attributes:
        table: the eigenfunctions e_k.
        members: k of each summand, by orbit ``(m,)``.
        signs: ±1 ``(m,)``.
        owners: j of each summand, ascending ``(m,)``.
        amplitudes: a_j = |O_j|^{−1/2} ``(num_functions,)``.
    """

    table: AbstractFunctions
    members: Int[Array, " m"]
    signs: Float[Array, " m"]
    owners: Int[Array, " m"]
    amplitudes: Float[Array, " D"]
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """That of the table, its functions, and the summands."""
        return self.table.width + self.table.num_functions + self.members.shape[0]

    def rows(self, points: Array) -> Float[Array, "D batch"]:
        """One product and one sum for each eigenfunction."""
        values = self.table.rows(points)
        summands = self.signs.astype(values.dtype)[:, None] * values[self.members]
        sums = jax.ops.segment_sum(summands, self.owners, self.num_functions, indices_are_sorted=True)
        return self.amplitudes.astype(values.dtype)[:, None] * sums


class SignedOrbits(NamedTuple):
    """The orbits on all functions of some levels, and what made them."""

    orbits: MonomialOrbits
    levels: Int[np.ndarray, " D"]
    moves: SignedMoves


def signed_orbits(action: Action, levels: Sequence[Level], memory_limit: int) -> SignedOrbits:
    """The orbits of all functions of these levels. Cost: O(k·s·D·log D) for k generators."""
    num_ambient = sum(level.multiplicity for level in levels)
    refuse_beyond(
        memory_limit,
        num_ambient * 64 * (action.group.num_generators + 2),
        "max_eigenvalue or max_functions: the route 'orbits' goes through all "
        f"{describe_order(num_ambient)} eigenfunctions and",
        "Lower it, or raise memory_limit.",
    )
    moves = signed_moves(action.space, levels, action.group, action.generators)
    orbits = monomial_orbits(moves.targets, moves.odd, 2)
    owners = np.repeat(np.arange(len(levels)), [level.multiplicity for level in levels])
    return SignedOrbits(orbits, owners, moves)


def signed_orbit_counts(found: SignedOrbits, levels: Sequence[Level]) -> list[int]:
    """Invariants of each level as orbits that carry one."""
    first = np.unique(found.orbits.labels, return_index=True)[1]
    counted = Counter(found.levels[first[found.orbits.carries]].tolist())
    return [counted[i] for i in range(len(levels))]


def orbit_sums(
    action: Action, levels: Sequence[Level], found: SignedOrbits
) -> tuple[OrbitSums, Int[np.ndarray, " D"]]:
    """The orthonormal invariants, and the level of each, ascending."""
    labels, phases, carries = found.orbits
    members = np.flatnonzero(carries[labels])
    members = members[np.lexsort((labels[members], found.levels[members]))]
    first = np.diff(labels[members], prepend=-1) != 0  # an orbit lies in one level
    owners = np.cumsum(first) - 1
    amplitudes = 1 / np.sqrt(np.bincount(owners))
    table = OrbitSums(
        table=action.space.functions(levels),
        members=jnp.asarray(members, jnp.int32),
        signs=jnp.asarray(1.0 - 2.0 * phases[members], float),
        owners=jnp.asarray(owners, jnp.int32),
        amplitudes=jnp.asarray(amplitudes, float),
        num_functions=len(amplitudes),
    )
    return table, found.levels[members[first]]


def worst_signed_residual(table: OrbitSums, found: SignedOrbits) -> float:
    """Max over generators and functions of ‖D(g)c − c‖, from the finished arrays."""
    members, owners = np.asarray(table.members), np.asarray(table.owners)
    values = np.asarray(table.signs, np.float64) * np.asarray(table.amplitudes, np.float64)[owners]
    coefficients = np.zeros(len(found.levels))
    coefficients[members] = values  # orbits are disjoint, so that one vector holds all functions
    worst = 0.0
    for targets, odd in zip(found.moves.targets, found.moves.odd, strict=True):
        moved = np.zeros_like(coefficients)
        moved[targets] = (1.0 - 2.0 * odd) * coefficients
        errors = np.bincount(owners, (moved - coefficients)[members] ** 2)
        worst = max(worst, float(errors.max()) ** 0.5)
    return worst
