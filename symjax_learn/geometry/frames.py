"""Polynomials in the entries of frames and projectors, split by the Casimir operator of SO(p).

A monomial is a product of n entries, of a frame X_{iu} or of a projector P_{uv} = Σ_i X_{iu} X_{iv}.
It has one slot for each of its column indices: n for frames and 2n for projectors. Changing the sign of
a row or of a column is an isometry, so that monomials of different parities (which rows and columns
occur an odd number of times) are orthogonal; permuting rows and columns carries one parity to another,
so that only one of each kind is decomposed.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn.geometry.spaces import AbstractFunctions

# Relative to the largest, eigenvalues of a Gram matrix below it belong to polynomials that vanish.
_NULL = 1e-10
# The Casimir operator has integer eigenvalues; so far may the computed ones be from integers.
_INTEGER = 1e-6
# Pairings that are compared with sequences of indices at a time, in entries.
_CHUNK = 2**26


class Block(NamedTuple):
    """Functions that are combinations of monomials of one kind of parity.

    Attributes:
        factors: for each monomial its n entries in the flattened point, the monomials of all parities
            of this kind together, ``(n, b·s)``.
        coefficients: the same for each of the s parities, ``(r, b)``.
    """

    factors: Int[Array, "n m"]
    coefficients: Float[Array, "r b"]


class FramePolynomials(AbstractFunctions):
    """Homogeneous polynomials in the entries of a frame or of a projector.

    φ(X) = Σ_m a_m Π_{(i,u) ∈ m} X_{iu}. They are polynomials on all matrices: values and gradients are
    finite everywhere. Of a projector the upper triangle is read.

    Attributes:
        blocks: the monomials, and their combinations.
        order: the place among all combinations of each function.
    """

    blocks: tuple[Block, ...]
    order: Int[Array, " D"]
    num_functions: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """All functions, and twice the monomials of the largest block."""
        return self.num_functions + 2 * max(block.factors.shape[1] for block in self.blocks)

    def rows(self, points: Float[Array, "batch k p"]) -> Float[Array, "D batch"]:
        """``(batch, k, p) -> (num_functions, batch)``.

        Cost per point: n products for each monomial, and r·b for each parity.
        """
        entries = points.reshape(points.shape[0], -1).T
        return jnp.concatenate([_combined(block, entries) for block in self.blocks])[self.order]


def _combined(block: Block, entries: Float[Array, "v batch"]) -> Float[Array, "rs batch"]:
    """All functions of one block."""
    coefficients = block.coefficients.astype(entries.dtype)
    monomials = jnp.ones((block.factors.shape[1], entries.shape[1]), entries.dtype)
    for places in block.factors:
        monomials = monomials * entries[places]
    monomials = monomials.reshape(coefficients.shape[1], -1)
    return jnp.matmul(coefficients, monomials, precision="highest").reshape(-1, entries.shape[1])


class Entries(NamedTuple):
    """The coordinates of frames (k, p) or, where ``planes``, of projectors of rank k on R^p.

    A coordinate has a code, its place in the flattened point; a monomial is the ascending tuple of the
    codes of its factors.
    """

    k: int
    p: int
    planes: bool

    @property
    def codes(self) -> list[int]:
        """Of the coordinates that are read."""
        if self.planes:
            return [u * self.p + v for u in range(self.p) for v in range(u, self.p)]
        return list(range(self.k * self.p))

    def slots(self, monomials: Int[np.ndarray, "b n"]) -> tuple[np.ndarray, np.ndarray]:
        """The row and the column of each slot. A row index of projectors is summed: it has no value."""
        first, second = np.divmod(monomials, self.p)
        if self.planes:
            columns = np.stack([first, second], axis=-1).reshape(len(monomials), -1)
            return np.zeros_like(columns), columns
        return first, second

    def monomials(self, rows: np.ndarray, columns: np.ndarray) -> Int[np.ndarray, "b n"]:
        """Those with these slots."""
        if self.planes:
            pairs = columns.reshape(len(columns), columns.shape[1] // 2, 2)
            first, second = np.sort(pairs, axis=-1).transpose(2, 0, 1)
            return np.sort(first * self.p + second, axis=-1)
        return np.sort(rows * self.p + columns, axis=-1)

    def keys(self, monomials: Int[np.ndarray, "b n"]) -> Int[np.ndarray, " b"]:
        """Integers in the lexicographic order of the monomials."""
        base = self.p**2 if self.planes else self.k * self.p
        return monomials @ base ** np.arange(monomials.shape[1], dtype=np.int64)[::-1]


def eigenpolynomials(entries: Entries, levels: Mapping[int, Sequence[int]]) -> FramePolynomials:
    """Orthonormal eigenfunctions, as homogeneous polynomials.

    The Casimir operator on polynomials is an integer matrix, see :func:`casimir`; the uniform measure
    gives the exact moments of :func:`moments`. Polynomials that vanish on the manifold are the null
    space of the Gram matrix; on what is left the Casimir operator is −Δ.

    Args:
        entries: of frames or projectors.
        levels: for each eigenvalue the degrees of the homogeneous polynomials to take it from; functions
            of different degrees must be orthogonal.

    Returns:
        The functions, level after level; those of one level do not depend on which others are asked for.

    Raises:
        ValueError: the monomials do not fit into memory.
    """
    blocks, owners = [], []
    degrees_used = sorted({degree for degrees in levels.values() for degree in degrees})
    _refuse_too_many(entries, degrees_used[-1])
    for degree in degrees_used:
        values = [value for value, degrees in levels.items() if degree in degrees]
        kinds, haar = _kinds(entries, degree), weingarten(entries, 2 * degree)
        for kind, monomials in kinds.items():
            spaces = _eigenspaces(entries, haar, monomials)
            found = [(value, spaces[value]) for value in values if value in spaces]
            if not found:
                continue
            factors = _copies(entries, monomials, kind)
            copies = factors.shape[1] // len(monomials)
            rows = np.concatenate([space for _, space in found])
            blocks.append(Block(jnp.asarray(factors, jnp.int32), jnp.asarray(rows, float)))
            owners += [np.full(len(space) * copies, value) for value, space in found]
    owner = np.concatenate(owners)
    order = np.concatenate([np.flatnonzero(owner == value) for value in levels])
    return FramePolynomials(
        blocks=tuple(blocks), order=jnp.asarray(order, jnp.int32), num_functions=len(order)
    )


def _kinds(entries: Entries, degree: int) -> dict[tuple[int, int], Int[np.ndarray, "b n"]]:
    """(v, w) -> the monomials of which the first v rows and the first w columns alone are odd."""
    what = _refuse_too_many(entries, degree)
    choices = list(itertools.combinations_with_replacement(entries.codes, degree))
    monomials = np.asarray(choices, np.int64).reshape(len(choices), degree)
    rows, columns = entries.slots(monomials)
    odd_rows = (rows[:, :, None] == np.arange(entries.k)).sum(axis=1) % 2
    odd_columns = (columns[:, :, None] == np.arange(entries.p)).sum(axis=1) % 2
    first = (np.diff(odd_rows) <= 0).all(axis=1) & (np.diff(odd_columns) <= 0).all(axis=1)
    v, w = odd_rows.sum(axis=1), odd_columns.sum(axis=1)
    found = {
        kind: monomials[first & (v == kind[0]) & (w == kind[1])]
        for kind in sorted(set(zip(v[first].tolist(), w[first].tolist(), strict=True)))
    }
    largest = max(len(block) for block in found.values())
    refuse_beyond(MEMORY_LIMIT, 64 * largest**2, what, "Lower max_eigenvalue.")
    return found


def _refuse_too_many(entries: Entries, degree: int) -> str:
    """Refuse to list more monomials than fit into memory; else how to speak of them."""
    count = math.comb(len(entries.codes) + degree - 1, degree)
    size = (
        f"{entries.p} × {entries.p} projectors"
        if entries.planes
        else f"{entries.k} × {entries.p} frames"
    )
    what = f"levels: the {count:,} monomials of degree {degree} of {size}"
    refuse_beyond(MEMORY_LIMIT, 64 * count * (degree + 2), what, "Lower max_eigenvalue.")
    return what


def _copies(
    entries: Entries, monomials: Int[np.ndarray, "b n"], kind: tuple[int, int]
) -> Int[np.ndarray, "n m"]:
    """The same monomials for every choice of odd rows and columns, the choice running fastest."""
    rows, columns = entries.slots(monomials)
    copies = [
        entries.monomials(of_row[rows], of_column[columns])
        for of_row in _choices(entries.k, kind[0])
        for of_column in _choices(entries.p, kind[1])
    ]
    count, degree = monomials.shape
    return np.stack(copies, axis=1).reshape(count * len(copies), degree).T


def _choices(n: int, size: int) -> Iterator[Int[np.ndarray, " n"]]:
    """Each subset of 0..n−1 of one size, followed by the rest."""
    for subset in itertools.combinations(range(n), size):
        yield np.asarray(subset + tuple(i for i in range(n) if i not in subset))


def _eigenspaces(
    entries: Entries, haar: "Weingarten", monomials: Int[np.ndarray, "b n"]
) -> dict[int, Float[np.ndarray, "r b"]]:
    """For each eigenvalue of the Casimir operator the coefficients of orthonormal functions."""
    # In the basis that is orthonormal for ⟨f, g⟩ = f(∂)g, which SO(p) leaves invariant.
    scale = np.sqrt([_orderings(entries, monomial) for monomial in monomials])
    gram = scale[:, None] * _gram(entries, haar, monomials) * scale
    operator = casimir(entries, monomials) / scale[:, None] * scale
    values, vectors = np.linalg.eigh(gram)
    kept = values > _NULL * values[-1]
    roots, vectors = np.sqrt(values[kept]), vectors[:, kept]
    on_functions = roots[:, None] * (vectors.T @ operator @ vectors) / roots
    eigenvalues, turn = np.linalg.eigh((on_functions + on_functions.T) / 2)
    nearest = np.rint(eigenvalues).astype(int)
    if max(np.abs(on_functions - on_functions.T).max(), np.abs(eigenvalues - nearest).max()) > _INTEGER:
        raise ArithmeticError(
            f"levels: the Casimir operator on polynomials of degree {monomials.shape[1]} is not "
            "resolved in float64; lower max_eigenvalue."
        )
    functions = turn.T @ (vectors / roots).T
    answer = {}
    for value in np.unique(nearest).tolist():
        space = functions[nearest == value]
        root = np.linalg.cholesky(space @ gram @ space.T)  # the identity but for rounding
        answer[value] = np.linalg.solve(root, space) * scale
    return answer


def _orderings(entries: Entries, monomial: np.ndarray) -> int:
    """In how many orders its factors, and the two indices of each entry of a projector, can stand."""
    repeats = np.unique(monomial, return_counts=True)[1].tolist()
    count = math.factorial(len(monomial)) // math.prod(math.factorial(m) for m in repeats)
    off_diagonal = int((monomial // entries.p != monomial % entries.p).sum()) if entries.planes else 0
    return count * 2**off_diagonal


def casimir(entries: Entries, monomials: Int[np.ndarray, "b n"]) -> Float[np.ndarray, "b b"]:
    """−Σ_{u<v} L_{uv}² on polynomials, where L_{uv} = Σ_i X_{iu} ∂_{iv} − X_{iv} ∂_{iu}.

    With s column slots it is s(p − 1) + 2 Σ_{a<b} (S_{ab} − K_{ab}): S_{ab} exchanges the columns of two
    slots, and K_{ab} replaces two equal columns by Σ_u (u, u). An integer matrix.

    Args:
        entries: of frames or projectors.
        monomials: all of one parity, in lexicographic order.

    Returns:
        Its columns are the images of the monomials.
    """
    rows, columns = entries.slots(monomials)
    keys, num_slots = entries.keys(monomials), columns.shape[1]
    matrix = num_slots * (entries.p - 1) * np.eye(len(monomials))

    def add(source: np.ndarray, a: int, b: int, new_a: Any, new_b: Any, weight: float) -> None:
        image = columns[source]
        image[:, a], image[:, b] = new_a, new_b
        target = np.searchsorted(keys, entries.keys(entries.monomials(rows[source], image)))
        np.add.at(matrix, (target, source), weight)

    everything = np.arange(len(monomials))
    for a, b in itertools.combinations(range(num_slots), 2):
        add(everything, a, b, columns[:, b], columns[:, a], 2.0)
        equal = np.flatnonzero(columns[:, a] == columns[:, b])
        for u in range(entries.p):
            add(equal, a, b, u, u, -2.0)
    return matrix


def _gram(
    entries: Entries, haar: "Weingarten", monomials: Int[np.ndarray, "b n"]
) -> Float[np.ndarray, "b b"]:
    """E[m m'] for the uniform measure."""
    i, j = np.triu_indices(len(monomials))
    products = np.sort(np.concatenate([monomials[i], monomials[j]], axis=1), axis=1)
    _, first, inverse = np.unique(entries.keys(products), return_index=True, return_inverse=True)
    gram = np.zeros((len(monomials), len(monomials)))
    gram[i, j] = gram[j, i] = moments(entries, haar, products[first])[inverse]
    return gram


class Weingarten(NamedTuple):
    """The numbers that integrate monomials of one degree.

    Attributes:
        pairings: of the slots, as the partner of each.
        weights: W(σ, τ); of projectors the single row Σ_σ k^{loops(σ, ε)} W(σ, τ).
    """

    pairings: Int[np.ndarray, "q s"]
    weights: Float[np.ndarray, "_ q"]


def weingarten(entries: Entries, degree: int) -> Weingarten:
    """W, the pseudo-inverse of G(σ, τ) = p^{loops(σ, τ)}, for monomials of one degree.

    G and W depend only on the type of (σ, τ), the lengths of the cycles that both form. So W(·, ε) =
    G⁺ δ_ε, and G⁺ Σ_σ k^{loops(σ, ε)}, are solved for on functions of the type, of which few exist.

    Cost: G at (s − 1)!! pairings for each type; for frames then W at ((s − 1)!!)² pairs.
    """
    pairings = _pairings(2 * degree if entries.planes else degree)
    loops, types = _cycles(pairings[:1], pairings)  # relative to ε
    names, members, kind, sizes = np.unique(
        types, return_index=True, return_inverse=True, return_counts=True
    )
    powers = float(entries.p) ** _cycles(pairings[members][:, None], pairings[None])[0]
    structure = np.stack([powers[:, kind == i].sum(axis=1) for i in range(len(names))], axis=1)
    root = np.sqrt(sizes)
    inverse = np.linalg.pinv(root[:, None] * structure / root, rcond=_NULL, hermitian=True)
    target = float(entries.k) ** loops[members] if entries.planes else (members == 0).astype(float)
    values = inverse @ (root * target) / root
    if entries.planes:
        return Weingarten(pairings, values[kind][None])
    return Weingarten(
        pairings, values[np.searchsorted(names, _cycles(pairings[:, None], pairings[None])[1])]
    )


def moments(
    entries: Entries, haar: Weingarten, monomials: Int[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """E of monomials for the uniform measure, by the calculus of Weingarten.

    E[Π_s X_{i_s u_s}] = Σ_{σ,τ} δ_σ(i) W(σ, τ) δ_τ(u), a sum over pairings of the slots: δ_σ(i) = 1
    where paired slots have equal indices, else 0, and W is the pseudo-inverse of p^{loops(σ, τ)}, loops
    being the number of cycles of the graph of both. For projectors δ_σ is summed over rows:
    k^{loops(σ, ε)}, where ε pairs the two slots of each entry.

    Cost: (s − 1)!! for each monomial of s slots.

    References:
        B. Collins, P. Śniady, *Integration with respect to the Haar measure on unitary, orthogonal and
        symplectic group*, Comm. Math. Phys. 264 (2006).
    """
    rows, columns = (_pattern(indices) for indices in entries.slots(monomials))
    num_slots = columns.shape[1]
    both, places = np.unique(np.concatenate([rows, columns], axis=1), axis=0, return_inverse=True)
    rows, columns = both[:, :num_slots], both[:, num_slots:]
    patterns, pattern = np.unique(rows, axis=0, return_inverse=True)
    weights = haar.weights if entries.planes else _fits(haar.pairings, patterns) @ haar.weights
    size = max(1, _CHUNK // max(1, haar.pairings.size))
    chunks = [slice(start, start + size) for start in range(0, len(both), size)]
    values = [(_fits(haar.pairings, columns[c]) * weights[pattern[c]]).sum(axis=1) for c in chunks]
    return np.concatenate(values)[places]


def _pattern(indices: Int[np.ndarray, "b s"]) -> Int[np.ndarray, "b s"]:
    """For each slot the first of equal index: all that a moment depends on."""
    if not indices.size:
        return indices
    return (indices[:, :, None] == indices[:, None]).argmax(axis=-1)


def _pairings(num_slots: int) -> Int[np.ndarray, "q s"]:
    """All pairings of 0..s−1, as the partner of each slot; the first pairs 2i with 2i + 1."""

    def extend(free: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
        if not free:
            yield []
        for partner in free[1:]:
            for rest in extend(tuple(slot for slot in free[1:] if slot != partner)):
                yield [(free[0], partner), *rest]

    pairings = list(extend(tuple(range(num_slots))))
    partners = np.zeros((len(pairings), num_slots), np.int64)
    for partner, pairing in zip(partners, pairings, strict=True):
        for a, b in pairing:
            partner[a], partner[b] = b, a
    return partners


def _cycles(
    left: Int[np.ndarray, "... s"], right: Int[np.ndarray, "... s"]
) -> tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]:
    """How many cycles the edges of two pairings form, and Σ (length/2)³, which tells types apart.

    So for up to 6 pairs. Batches broadcast.
    """
    left, right = np.broadcast_arrays(left, right)
    num_slots = left.shape[-1]
    step = np.take_along_axis(left, right, axis=-1)  # goes round one half of each cycle
    least = np.broadcast_to(np.arange(num_slots), step.shape)
    for _ in range(num_slots.bit_length()):
        least = np.minimum(least, np.take_along_axis(least, step, axis=-1))
        step = np.take_along_axis(step, step, axis=-1)
    lengths = (least[..., None, :] == np.arange(num_slots)[:, None]).sum(axis=-1)
    return (lengths > 0).sum(axis=-1) // 2, (lengths**3).sum(axis=-1) // 2


def _fits(pairings: Int[np.ndarray, "q s"], indices: Int[np.ndarray, "b s"]) -> Float[np.ndarray, "b q"]:
    """δ_σ(i): 1 where all paired slots have equal indices, else 0."""
    return (indices[:, pairings] == indices[:, None]).all(axis=-1).astype(float)
