"""Stabilizer chains of permutation groups: exact order, transversals, membership.

A permutation of {0..n−1} is its row of images; (g∘h)[i] = g[h[i]]. A base (b_1, b_2, …) gives the
chain G = G_0 > G_1 > … > 1, G_i the stabilizer of b_1..b_i, and U_i a left transversal of G_i in
G_{i−1}: one element for each point of the orbit of b_i. Every element is u_1 u_2 … u_m in exactly
one way, so |G| = Π|U_i|.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

# Entries of all transversals together; a chain beyond this needs another representation.
MAX_ENTRIES = 2**27
# A chain is believed complete, and then verified, after so many random elements sift to 1.
_TRIVIAL_SIFTS = 12


class StabilizerChain(NamedTuple):
    """A base and its transversals.

    Attributes:
        base: the base points b_1, b_2, …
        transversals: U_i as ``(|U_i|, n)`` images; the identity is the first row of each.
    """

    base: tuple[int, ...]
    transversals: tuple[Int[np.ndarray, "orbit n"], ...]

    @property
    def order(self) -> int:
        """|G| = Π|U_i|, exact."""
        order = 1
        for transversal in self.transversals:
            order *= len(transversal)
        return order

    def contains(self, permutations: Int[np.ndarray, "batch n"]) -> Bool[np.ndarray, " batch"]:
        """Membership, by sifting. Cost: O(base · n) per permutation."""
        residues, _ = _sift(list(self.base), list(self.transversals), permutations)
        return np.all(residues == np.arange(residues.shape[1]), axis=1)

    def elements(self, degree: int) -> Int[np.ndarray, "order n"]:
        """All elements, the identity first. Cost: |G|·n entries."""
        elements = np.arange(degree, dtype=np.int32)[None]
        for transversal in reversed(self.transversals):
            elements = transversal[:, elements].reshape(-1, degree)
        return elements


def stabilizer_chain(generators: Int[np.ndarray, "k n"]) -> StabilizerChain:
    """The stabilizer chain of ⟨generators⟩, by Schreier–Sims: randomized, then verified.

    Random products of the generators are sifted until many in a row are trivial; then every
    Schreier generator of every level is sifted, in batches, which proves the chain complete
    (Schreier's lemma) or adds what was missing. The answer is exact and the same in every run.

    Args:
        generators: permutations as rows of images, ``(k, n)``.

    Raises:
        ValueError: the transversals would have more than ``MAX_ENTRIES`` entries.

    Cost: O(Σ|U_i|·s·base·n) for s strong generators per level (about 4 s for S_40).

    References:
        D. F. Holt, B. Eick, E. A. O'Brien, *Handbook of Computational Group Theory*, ch. 4.
    """
    generators = np.asarray(generators, np.int32)
    n = generators.shape[1]
    identity = np.arange(n, dtype=np.int32)
    strong = [g for g in generators if not np.array_equal(g, identity)]
    base: list[int] = []
    transversals: list[np.ndarray] = []
    if not strong:
        return StabilizerChain((), ())

    def stabilizing(level: int) -> list[np.ndarray]:
        return [g for g in strong if all(g[b] == b for b in base[:level])]

    def rebuild(depth: int) -> None:
        """Enlarge the transversals of levels 0..depth whose orbits the generators have left."""
        for level in range(min(depth + 1, len(base))):
            orbit = transversals[level][:, base[level]]
            movers = stabilizing(level)
            if not np.isin(np.stack(movers)[:, orbit] if movers else orbit, orbit).all():
                transversals[level] = _transversal(movers, base[level], identity)
        if sum(t.size for t in transversals) > MAX_ENTRIES:
            raise ValueError(
                f"generators: the stabilizer chain of this group of degree {n} has more than "
                f"{MAX_ENTRIES} entries; use a named group (symmetric_group, young_group, …), whose "
                "order and sampler are known in closed form."
            )

    def add(residue: np.ndarray, depth: int) -> None:
        strong.append(residue)
        extend_base(residue)
        rebuild(depth)

    def extend_base(g: np.ndarray) -> None:
        if all(g[b] == b for b in base):
            base.append(int(np.flatnonzero(g != identity)[0]))
            transversals.append(identity[None])

    for g in list(strong):
        extend_base(g)
    rebuild(len(base))
    rng = np.random.default_rng(0)
    pool = _product_replacement(strong, rng)
    trivial = 0
    while trivial < _TRIVIAL_SIFTS:
        residues, depths = _sift(base, transversals, next(pool)[None])
        if np.array_equal(residues[0], identity):
            trivial += 1
        else:
            trivial = 0
            add(residues[0], int(depths[0]))

    level = len(base) - 1
    while level >= 0:
        missing = _missing_schreier_generator(base, transversals, stabilizing(level), level)
        if missing is None:
            level -= 1
        else:
            add(*missing)
            level = len(base) - 1
    return StabilizerChain(tuple(base), tuple(transversals))


def few_generators(generators: Int[np.ndarray, "k n"], order: int) -> Int[np.ndarray, " few"]:
    """Rows that generate the same group, at most log₂|G| of them, in order; all, where they are few.

    A generator is kept when it is not in the group of those kept before, whose order it then at least
    doubles.

    Args:
        generators: permutations as rows of images.
        order: |G|.

    Cost: nothing when k ≤ log₂|G|; else one chain for each generator that is kept.
    """
    generators = np.asarray(generators, np.int32)
    if len(generators) <= max(1, order.bit_length() - 1):
        return np.arange(len(generators))
    kept, rows = stabilizer_chain(generators[:0]), []
    for row in range(len(generators)):
        if not kept.contains(generators[row : row + 1])[0]:
            rows.append(row)
            kept = stabilizer_chain(generators[rows])
    return np.asarray(rows or [0])


def _transversal(
    generators: list[np.ndarray], point: int, identity: np.ndarray
) -> Int[np.ndarray, "orbit n"]:
    """For each point of the orbit, one product of generators that carries ``point`` to it."""
    representative = {point: identity}
    frontier = [point]
    while frontier:
        found = []
        for source in frontier:
            for g in generators:
                image = int(g[source])
                if image not in representative:
                    representative[image] = g[representative[source]]
                    found.append(image)
        frontier = found
    return np.stack(list(representative.values()))


def _sift(
    base: list[int], transversals: list[np.ndarray], permutations: np.ndarray
) -> tuple[Int[np.ndarray, "batch n"], Int[np.ndarray, " batch"]]:
    """Divide each permutation by u_1, u_2, … as far as possible: residues, and levels reached.

    A residue that is not the identity proves the chain incomplete at the level it reached.
    """
    residues = np.array(permutations)
    batch, n = residues.shape
    depths = np.full(batch, len(base))
    active = np.ones(batch, bool)
    for level, (point, transversal) in enumerate(zip(base, transversals, strict=True)):
        row_of = np.full(n, -1)
        row_of[transversal[:, point]] = np.arange(len(transversal))
        rows = row_of[residues[:, point]]
        stuck = active & (rows < 0)
        depths[stuck] = level
        active &= ~stuck
        moving = np.flatnonzero(active & (rows > 0))  # row 0 is the identity
        if len(moving):
            used, which = np.unique(rows[moving], return_inverse=True)
            inverses = np.argsort(transversal[used], axis=1).astype(np.int32)
            residues[moving] = np.take_along_axis(inverses[which], residues[moving], axis=1)
    return residues, depths


def _missing_schreier_generator(
    base: list[int], transversals: list[np.ndarray], generators: list[np.ndarray], level: int
) -> tuple[np.ndarray, int] | None:
    """The first nontrivial residue of a Schreier generator u_{s(x)}⁻¹ s u_x, and its depth."""
    transversal = transversals[level]
    n = transversal.shape[1]
    for s in generators:
        # Sifting through this level divides s∘u_x by u_{s(x)}, which makes the Schreier generator.
        residues, depths = _sift(base, transversals, s[transversal])
        bad = np.flatnonzero(np.any(residues != np.arange(n), axis=1))
        if len(bad):
            return residues[bad[0]], int(depths[bad[0]])
    return None


def _product_replacement(generators: list[np.ndarray], rng: np.random.Generator):
    """Nearly uniform random elements (Celler et al. 1995); the chain is verified afterwards."""
    pool = [generators[i % len(generators)] for i in range(max(10, len(generators)))]
    accumulator = pool[0]
    step = 0
    while True:
        i, j = rng.choice(len(pool), 2, replace=False)
        inverse = np.argsort(pool[j]).astype(np.int32) if rng.integers(2) else pool[j]
        pool[i] = pool[i][inverse] if rng.integers(2) else inverse[pool[i]]
        accumulator = accumulator[pool[i]]
        step += 1
        if step > 40:
            yield accumulator
