"""Route ``orbits``: invariants of groups that permute plane waves up to phases, exact.

For g: x ↦ Ax + b in lattice coordinates T_g e_k = exp(−2πi k'·b) e_{k'} with k' = A^{−T}k. An orbit of
frequencies carries one invariant function, or none: none exactly where an element returns to a frequency
with another phase, that is k·b is no integer for some g with A^{−T}k = k. Such a k is a *systematic
absence*: the Fourier coefficient at k of every invariant density vanishes, in crystallography the
structure factor. Where the orbit carries a function, that of the density of general positions does not
vanish identically: the rules are the reflection conditions of the general position. Atoms on special
positions may extinguish more, which is a property of the density and not of the group.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from symjax_learn._chunks import refuse_beyond
from symjax_learn.algebra.orbits import MonomialOrbits, monomial_orbits
from symjax_learn.geometry.spaces import Level
from symjax_learn.geometry.torus import PlaneWaveSums, Torus, plane_wave_sums
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.monomial import (
    IntegerAffine,
    SignedAffine,
    find_rows,
    signed_affine,
    translations,
)


class TorusOrbits(NamedTuple):
    """The orbits on all frequencies of some levels, with what acts on them.

    Attributes:
        orbits: of the generators on the frequencies.
        frequencies: in lexicographic order, ``(D, d)``.
        places: of the level of each frequency among ``levels``.
        levels: the levels.
        generators: of the group, without its translations.
        targets: where each generator sends each frequency.
    """

    orbits: MonomialOrbits
    frequencies: Int[np.ndarray, "D d"]
    places: Int[np.ndarray, " D"]
    levels: Sequence[Level]
    generators: SignedAffine | IntegerAffine
    targets: Int[np.ndarray, "k D"]


def torus_orbits(
    action: Action, space: Torus, levels: Sequence[Level], memory_limit: int
) -> TorusOrbits:
    """The orbits of all frequencies of these levels. Cost: O(k·D·(d + log D))."""
    num_ambient = sum(level.multiplicity for level in levels)
    refuse_beyond(
        memory_limit,
        num_ambient * (8 * space.dimension + 32) * (action.group.num_generators + 1),
        f"max_eigenvalue or max_functions: the route 'orbits' goes through all {num_ambient:,} "
        "eigenfunctions and",
        "Lower it, or raise memory_limit.",
    )
    frequencies, places = space.frequencies(levels)
    # Translations leave the waves that are constant along their directions.
    kept = ~(frequencies.astype(np.int64) @ translations(action.group).T).any(axis=1)
    frequencies, places = frequencies[kept], places[kept]
    generators = signed_affine(action.group, action.generators)
    targets = np.empty((len(generators.shifts), len(frequencies)), np.int64)
    phases = np.empty_like(targets)
    for row in range(len(targets)):  # one generator at a time: the moved table is large
        one = generators.single(row)
        moved = one.move_frequencies(frequencies)
        phases[row] = one.phases(moved)[0]
        targets[row] = find_rows(frequencies, moved[0])
    orbits = monomial_orbits(targets, phases, generators.denominator)
    return TorusOrbits(orbits, frequencies, places, levels, generators, targets)


def invariant_plane_waves(
    space: Torus, found: TorusOrbits
) -> tuple[PlaneWaveSums, Float[np.ndarray, " D"]]:
    """Real orthonormal invariants, and the eigenvalue of each, ascending.

    From an orbit O ≠ −O the real and the imaginary part; from O = −O one function, after fixing the
    overall phase. Either way φ(x) = √(2/h) Σ cos 2π(k·x/period + t) over h waves.
    """
    labels, phases, carries = found.orbits
    size, denominator = len(labels), found.generators.denominator
    opposite = size - 1 - np.arange(size)  # −k in lexicographic order
    representatives = np.unique(labels, return_index=True)[1]
    mirror = labels[opposite[representatives]]  # the orbit −O of each orbit O
    # On O = −O, f̄ = cf with c = ā_k / a_{−k}, so √c f is real: half an angle more.
    half_turn = (-phases[representatives] - phases[opposite[representatives]]) % denominator
    shifts = phases / denominator
    shifts = np.where(mirror[labels] == labels, shifts + half_turn[labels] / (2 * denominator), shifts)

    # Of O = −O one wave of each pair ±k is kept, of O ≠ −O all waves of one of the two orbits.
    self_conjugate = mirror == np.arange(len(mirror))
    positive = np.arange(size) >= opposite  # k after −k in lexicographic order
    chosen = np.where(self_conjugate[labels], positive, (labels < mirror[labels]))
    waves = np.flatnonzero(chosen & carries[labels])
    pairs = waves[~self_conjugate[labels[waves]]]
    rows = np.concatenate([waves, pairs])
    times = np.concatenate([shifts[waves], shifts[pairs] - 0.25])
    is_second = np.concatenate([np.zeros(len(waves), int), np.ones(len(pairs), int)])

    # Number the functions by level, then by orbit, the real part before the imaginary one.
    keys = np.stack([found.places[rows], representatives[labels[rows]], is_second], axis=1)
    functions, owners, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(owners.ravel(), kind="stable")
    frequencies = found.frequencies[rows[order]]
    eigenvalues = np.asarray([level.eigenvalue for level in found.levels])[functions[:, 0]]
    amplitudes = np.where(eigenvalues == 0, 1.0, np.sqrt(2 / counts))
    table = plane_wave_sums(space, frequencies, times[order], owners.ravel()[order], amplitudes)
    return table, eigenvalues


def worst_residual(table: PlaneWaveSums, found: TorusOrbits) -> float:
    """Max over generators and functions of ‖D(g)c − c‖, from the finished arrays, in float64."""
    frequencies, owners = np.asarray(table.frequencies), np.asarray(table.owners)
    angles = 2 * np.pi * np.asarray(table.shifts, np.float64)
    amplitudes = np.asarray(table.amplitudes, np.float64)[owners]
    generators, worst = found.generators, 0.0
    # φ = Σ over ±k of (a/2) e^{±2πi(k·x + t)}; the constant is its own conjugate.
    moving = frequencies.any(axis=1)
    half = amplitudes * np.exp(1j * angles) / 2
    signed = np.concatenate([frequencies, -frequencies[moving]])
    values = np.concatenate([np.where(moving, half, amplitudes), half[moving].conj()])
    owner_of = np.concatenate([owners, owners[moving]])
    coded = np.concatenate([signed, owner_of[:, None]], axis=1)
    for row in range(len(generators.shifts)):
        one = generators.single(row)
        moved = one.move_frequencies(coded[:, :-1])
        phase = np.exp(2j * np.pi * one.phases(moved)[0] / one.denominator)
        places = find_rows(coded, np.concatenate([moved[0], owner_of[:, None]], axis=1))
        errors = np.abs(values[places] - phase * values) ** 2
        worst = max(worst, float(np.bincount(owner_of, errors).max()) ** 0.5)
    return worst
