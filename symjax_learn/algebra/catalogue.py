"""Named groups, each with its order and uniform sampler in closed form where one is known."""

import math

import numpy as np

from symjax_learn._types import checked_count
from symjax_learn.algebra.permutations import (
    AlternatingSampler,
    PermutationGroup,
    SignedPermutationGroup,
    YoungSampler,
    named_permutation_group,
    named_signed_group,
)


def trivial_group(n: int) -> PermutationGroup:
    """The group of one element, on n coordinates.

    >>> import symjax_learn as sj
    >>> sj.trivial_group(3).order
    1
    """
    n = checked_count("n", n)
    return named_permutation_group([], n, 1, YoungSampler((1,) * n))


def symmetric_group(n: int) -> PermutationGroup:
    """S_n, all permutations of n coordinates: two generators, order n!.

    >>> import symjax_learn as sj
    >>> sj.symmetric_group(5).order
    120
    """
    n = checked_count("n", n)
    return young_group(n)


def young_group(*parts: int) -> PermutationGroup:
    """S_{n_1} × S_{n_2} × …: permutations within consecutive blocks of the given sizes.

    >>> import symjax_learn as sj
    >>> sj.young_group(4, 1, 2).order
    48
    """
    if not parts:
        raise ValueError("parts: young_group() needs at least one block size.")
    parts = tuple(checked_count("parts", part) for part in parts)
    degree, offset, generators = sum(parts), 0, []
    for part in parts:
        if part > 1:
            generators.append(_on_block(degree, offset, [1, 0, *range(2, part)]))
        if part > 2:
            generators.append(_on_block(degree, offset, [*range(1, part), 0]))
        offset += part
    order = math.prod(math.factorial(part) for part in parts)
    return named_permutation_group(generators, degree, order, YoungSampler(parts))


def alternating_group(n: int) -> PermutationGroup:
    """A_n, the even permutations: order n!/2 (1 for n ≤ 2).

    >>> import symjax_learn as sj
    >>> sj.alternating_group(5).order
    60
    """
    n = checked_count("n", n)
    if n <= 2:
        return trivial_group(n)
    generators = [[1, 2, 0, *range(3, n)]]
    if n > 3:  # a long cycle of odd length: all of 0..n−1, or all but 0
        first = 0 if n % 2 else 1
        generators.append([*range(first), *range(first + 1, n), first])
    return named_permutation_group(generators, n, math.factorial(n) // 2, AlternatingSampler(n))


def cyclic_group(n: int) -> PermutationGroup:
    """C_n, the cyclic shifts of n coordinates: i goes to place i + 1 mod n.

    >>> import symjax_learn as sj
    >>> sj.cyclic_group(7).order
    7
    """
    n = checked_count("n", n)
    if n == 1:
        return trivial_group(1)
    return named_permutation_group([[*range(1, n), 0]], n, None, None)


def dihedral_group(n: int) -> PermutationGroup:
    """The symmetries of a regular n-gon, acting on its n corners: shifts and reversals, order 2n.

    For n ≤ 2 corners the reversal is no new permutation, and a smaller group results (order n).

    >>> import symjax_learn as sj
    >>> sj.dihedral_group(6).order
    12
    """
    n = checked_count("n", n)
    if n <= 2:
        return cyclic_group(n)
    return named_permutation_group([[*range(1, n), 0], [*reversed(range(n))]], n, None, None)


def sign_group(n: int) -> SignedPermutationGroup:
    """{±1}^n, the reflections of single coordinates: n generators, order 2^n.

    >>> import symjax_learn as sj
    >>> sj.sign_group(10).order
    1024
    """
    n = checked_count("n", n)
    images = [list(range(n))] * n
    signs = [[-1 if i == j else 1 for i in range(n)] for j in range(n)]
    return named_signed_group(images, signs, (1,) * n)


def hyperoctahedral_group(n: int) -> SignedPermutationGroup:
    """B_n, all signed permutations of n coordinates: order 2^n n! (O_h for n = 3).

    >>> import symjax_learn as sj
    >>> sj.hyperoctahedral_group(3).order
    48
    """
    n = checked_count("n", n)
    images = [list(range(n))]
    if n > 1:
        images.append([1, 0, *range(2, n)])
    if n > 2:
        images.append([*range(1, n), 0])
    signs = [[-1] + [1] * (n - 1)] + [[1] * n] * (len(images) - 1)
    return named_signed_group(images, signs, (n,))


def image_group(
    height: int, width: int, *, translations: bool, mirrors: bool, rotations: bool
) -> PermutationGroup:
    """Symmetries of a height × width image with periodic edges, as permutations of its pixels.

    Pixel (row, column) is coordinate row·width + column.

    Args:
        height: rows.
        width: columns.
        translations: cyclic shifts of rows and of columns.
        mirrors: reflections of rows and of columns.
        rotations: quarter turns; the image must be square.

    Raises:
        ValueError: quarter turns of an image that is not square.

    >>> import symjax_learn as sj
    >>> sj.image_group(8, 8, translations=True, mirrors=True, rotations=True).order
    512
    """
    height, width = checked_count("height", height), checked_count("width", width)
    if rotations and height != width:
        raise ValueError(
            f"rotations: quarter turns need a square image and this one is {height} × {width}; give "
            "rotations=False."
        )
    pixels = np.arange(height * width).reshape(height, width)
    moved = []
    if translations:
        moved += [np.roll(pixels, 1, axis=0), np.roll(pixels, 1, axis=1)]
    if rotations:
        moved.append(np.rot90(pixels))
    if mirrors:
        moved += [pixels[:, ::-1]] if rotations else [pixels[::-1], pixels[:, ::-1]]
    generators = [new.ravel().tolist() for new in moved if not np.array_equal(new, pixels)]
    if not generators:
        return trivial_group(height * width)
    return named_permutation_group(generators, height * width, None, None)


def _on_block(degree: int, offset: int, images: list[int]) -> list[int]:
    """A permutation of the block that starts at ``offset``, and the identity elsewhere."""
    moved = list(range(degree))
    moved[offset : offset + len(images)] = [offset + image for image in images]
    return moved
