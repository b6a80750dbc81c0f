"""Groups of the torus as integers: signed permutations of coordinates, or matrices, with shifts."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from symjax_learn._types import Element
from symjax_learn.algebra.affine import AffineTorusGroup
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import TranslationGroup
from symjax_learn.algebra.permutations import SignedPermutationGroup
from symjax_learn.algebra.products import ProductGroup, WreathGroup
from symjax_learn.geometry.lattices import dual_form
from symjax_learn.geometry.torus import Torus

# AᵀGA may differ from G by this part of its largest entry, for a G that is not rational.
_ISOMETRY = 1e-10


class SignedAffine(NamedTuple):
    """Elements on a torus as NumPy arrays: x ↦ Ax + period·b, A a signed permutation.

    Attributes:
        images: of coordinates, ``(batch, d)``.
        signs: ±1, ``(batch, d)``; (Ax)[images[i]] = signs[i]·x[i].
        shifts: numerators of b, ``(batch, d)``.
        denominator: of b.
    """

    images: Int[np.ndarray, "batch d"]
    signs: Int[np.ndarray, "batch d"]
    shifts: Int[np.ndarray, "batch d"]
    denominator: int

    def single(self, row: int) -> "SignedAffine":
        """A batch of one: large tables are moved by one element at a time."""
        here = slice(row, row + 1)
        return SignedAffine(self.images[here], self.signs[here], self.shifts[here], self.denominator)

    def move_frequencies(self, frequencies: Int[np.ndarray, "D d"]) -> Int[np.ndarray, "batch D d"]:
        """A^{−T}k = Ak for each element and each frequency."""
        moved = np.empty((len(self.images), *frequencies.shape), frequencies.dtype)
        for row, (images, signs) in enumerate(zip(self.images, self.signs, strict=True)):
            moved[row][:, images] = signs.astype(frequencies.dtype) * frequencies
        return moved

    def phases(self, moved: Int[np.ndarray, "batch D d"]) -> Int[np.ndarray, "batch D"]:
        """Numerators t of χ = exp(2πi t/denominator) in T_g e_k = χ e_{Ak}: t = −(Ak)·b."""
        if not self.shifts.any():
            return np.zeros(moved.shape[:2], np.int64)
        return -np.einsum("gki,gi->gk", moved.astype(np.int64), self.shifts) % self.denominator

    @property
    def matrices(self) -> Int[np.ndarray, "batch d d"]:
        """A of each element."""
        batch, d = self.images.shape
        matrices = np.zeros((batch, d, d), np.int64)
        matrices[np.arange(batch)[:, None], self.images, np.arange(d)] = self.signs
        return matrices


class IntegerAffine(NamedTuple):
    """The same for any integer matrices A of determinant ±1.

    Attributes:
        matrices: A, ``(batch, d, d)``.
        shifts: numerators of b, ``(batch, d)``.
        denominator: of b.
    """

    matrices: Int[np.ndarray, "batch d d"]
    shifts: Int[np.ndarray, "batch d"]
    denominator: int

    def single(self, row: int) -> "IntegerAffine":
        """A batch of one."""
        here = slice(row, row + 1)
        return IntegerAffine(self.matrices[here], self.shifts[here], self.denominator)

    def move_frequencies(self, frequencies: Int[np.ndarray, "D d"]) -> Int[np.ndarray, "batch D d"]:
        """A^{−T}k for each element and each frequency."""
        # A has finite order and is well-conditioned, so rounding gives the integers of A⁻¹.
        inverses = np.rint(np.linalg.inv(self.matrices)).astype(frequencies.dtype)
        return frequencies @ inverses

    def phases(self, moved: Int[np.ndarray, "batch D d"]) -> Int[np.ndarray, "batch D"]:
        """Numerators t of χ = exp(2πi t/denominator) in T_g e_k = χ e_{k'}: t = −k'·b, k' = A^{−T}k."""
        return -np.einsum("gki,gi->gk", moved.astype(np.int64), self.shifts) % self.denominator


def factors(group: AbstractGroup) -> tuple[AbstractGroup, ...]:
    """The groups that a direct or a wreath product is made of; a group that is no product, alone."""
    if isinstance(group, ProductGroup):
        return tuple(part for factor in group.factors for part in factors(factor))
    return factors(group.inner) if isinstance(group, WreathGroup) else (group,)


def no_torus_isometry(space: Torus, group: AbstractGroup) -> ValueError | None:
    """An error that names a generator whose linear part is no isometry of the torus, if there is one.

    With the Gram matrix G of the lattice A is one if and only if AᵀGA = G: compared in integers where G
    is rational up to a factor, else to 1e-10 of its largest entry.
    """
    if space.is_cubic and not any(isinstance(part, AffineTorusGroup) for part in factors(group)):
        return None  # signed permutations
    form = space.dual_form or dual_form(np.eye(space.dimension))
    matrices = signed_affine(group, group.generators).matrices
    defects = form.defects(matrices)
    if not (defects > _ISOMETRY).any():
        return None
    row = int(np.argmax(defects > _ISOMETRY))
    kind, remedy = (
        ("the cubic torus", "if it belongs to another lattice, such as the hexagonal one, use")
        if space.is_cubic
        else ("this torus", "give a lattice with this symmetry, its vectors in float64, to")
    )
    return ValueError(
        f"group: generator {row} has the linear part {matrices[row].tolist()}, which is no isometry of "
        f"{kind}: A^T G A differs from the Gram matrix G of its lattice by {defects[row]:.1e} of the "
        f"largest entry; {remedy} Torus.from_lattice."
    )


def signed_affine(group: AbstractGroup, g: Element) -> SignedAffine | IntegerAffine:
    """A one-axis batch of elements of a coordinate group on a torus, exactly.

    Signed permutations where the group has no others. Of a translation group the identity only, which
    it has in the generators of a product.
    """
    if isinstance(group, TranslationGroup):
        images = np.broadcast_to(np.arange(group.degree), np.shape(g))
        return SignedAffine(images, np.ones_like(images), np.zeros(images.shape, np.int64), 1)
    if isinstance(group, ProductGroup):
        return _side_by_side([signed_affine(f, a) for f, a in zip(group.factors, g, strict=True)])
    if isinstance(group, WreathGroup):
        return _wreath(group, g)
    if isinstance(group, AffineTorusGroup):
        matrices = np.asarray(g.matrix, np.int64)
        # The generators decide, so that all elements of a group are of one kind.
        if (np.count_nonzero(np.asarray(group.generators.matrix), axis=1) != 1).any():
            return IntegerAffine(matrices, np.asarray(g.shift, np.int64), group.denominator)
        images = np.argmax(matrices != 0, axis=1)
        signs = np.take_along_axis(matrices, images[:, None], axis=1)[:, 0]
        return SignedAffine(images, signs, np.asarray(g.shift, np.int64), group.denominator)
    if isinstance(group, SignedPermutationGroup):
        images, signs = np.asarray(g.images), np.asarray(g.signs)
    else:
        images, signs = np.asarray(g), np.ones_like(np.asarray(g))
    return SignedAffine(images, signs, np.zeros(images.shape, np.int64), 1)


def translations(group: AbstractGroup) -> Int[np.ndarray, "a d"]:
    """The directions along which a coordinate group translates the torus."""
    if group.lie_algebra is None:
        return np.zeros((0, group.degree), np.int64)
    if isinstance(group, TranslationGroup):
        return np.asarray(group.directions, np.int64)
    if isinstance(group, WreathGroup):
        return np.kron(np.eye(group.num_blocks, dtype=np.int64), translations(group.inner))
    assert isinstance(group, ProductGroup)
    blocks, start, found = [translations(factor) for factor in group.factors], 0, []
    for block in blocks:
        left = (0, 0), (start, group.degree - start - block.shape[1])
        found.append(np.pad(block, left))
        start += block.shape[1]
    return np.concatenate(found)


def _side_by_side(parts: Sequence[SignedAffine | IntegerAffine]) -> SignedAffine | IntegerAffine:
    """Each on its own block of coordinates."""
    denominator = math.lcm(*(part.denominator for part in parts))
    starts = np.cumsum([0, *(part.shifts.shape[1] for part in parts)])
    shifts = np.concatenate([part.shifts * (denominator // part.denominator) for part in parts], axis=1)
    signed = [part for part in parts if isinstance(part, SignedAffine)]
    if len(signed) < len(parts):
        matrices = np.zeros((*shifts.shape, shifts.shape[1]), np.int64)
        for part, start, end in zip(parts, starts, starts[1:], strict=False):
            matrices[:, start:end, start:end] = part.matrices
        return IntegerAffine(matrices, shifts, denominator)
    images = [part.images + start for part, start in zip(signed, starts, strict=False)]
    return SignedAffine(
        np.concatenate(images, axis=1),
        np.concatenate([part.signs for part in signed], axis=1),
        shifts,
        denominator,
    )


def _wreath(group: WreathGroup, g: Element) -> SignedAffine | IntegerAffine:
    """Coordinate c of block i is moved within the block by the i-th inner element, and then with it."""
    places, width = np.asarray(g.images), group.inner.degree
    batch, blocks = places.shape
    inner = signed_affine(
        group.inner, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), g.inner)
    )
    shifts = np.empty((batch, blocks, width), np.int64)
    np.put_along_axis(shifts, places[:, :, None], inner.shifts.reshape(shifts.shape), axis=1)
    flat = (batch, blocks * width)
    if isinstance(inner, IntegerAffine):
        matrices = np.zeros((batch, blocks, width, blocks, width), np.int64)
        rows, sources = np.ogrid[:batch, :blocks]
        matrices[rows, places, :, sources] = inner.matrices.reshape(batch, blocks, width, width)
        return IntegerAffine(matrices.reshape(*flat, flat[1]), shifts.reshape(flat), inner.denominator)
    images = inner.images.reshape(batch, blocks, width) + width * places[:, :, None]
    return SignedAffine(
        images.reshape(flat), inner.signs.reshape(flat), shifts.reshape(flat), inner.denominator
    )


def find_rows(
    table: Int[np.ndarray, "D d"], rows: Int[np.ndarray, "*batch d"]
) -> Int[np.ndarray, "*batch"]:
    """The place of each row in a table of distinct rows that contains it. Cost: O((D + batch)·log D).

    Rows are compared by a linear hash modulo 2⁶⁴ whose answer is verified, so it is exact.
    """
    rng = np.random.default_rng(0)
    for _ in range(4):
        weights = rng.integers(-(2**62), 2**62, table.shape[1])
        hashes = table.astype(np.int64) @ weights
        order = np.argsort(hashes)
        wanted = rows.astype(np.int64) @ weights
        places = order[np.minimum(np.searchsorted(hashes[order], wanted), len(table) - 1)]
        if np.array_equal(table[places], rows):
            return places
    raise ValueError(
        "group: it moves a frequency out of its eigenspace, so its generators are no isometries."
    )


def cycles_of(elements: SignedAffine) -> Iterator[list[tuple[int, int, int]]]:
    """For each element its cycles: length, product of signs, and shift along the cycle."""
    for images, signs, shifts in zip(
        elements.images.tolist(), elements.signs.tolist(), elements.shifts.tolist(), strict=True
    ):
        seen, cycles = [False] * len(images), []
        for start in range(len(images)):
            i, sign, length, shift = start, 1, 0, 0
            while not seen[i]:
                seen[i] = True
                length += 1
                shift += sign * shifts[i]
                sign *= signs[i]
                i = images[i]
            if length:
                cycles.append((length, sign, shift % elements.denominator))
        yield cycles


def signed_permutations(group: AbstractGroup, g: Element) -> SignedAffine:
    """As :func:`signed_affine`, of a group that has no other elements than signed permutations."""
    moves = signed_affine(group, g)
    assert isinstance(moves, SignedAffine)
    return moves
