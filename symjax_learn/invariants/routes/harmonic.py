"""Route ``harmonic``: spheres and balls under permuted coordinates, from symmetric polynomials.

Neither n! nor the dimension of an eigenspace occurs: of each block of coordinates the null space of the
Laplacian among symmetric polynomials, and of several blocks the products of these with radial functions.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.multisets import Multisets, multisets
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.algebra.products import ProductGroup
from symjax_learn.algebra.series import multiset_series
from symjax_learn.algebra.symmetric_harmonics import (
    BlockHarmonics,
    block_harmonics,
    in_power_sums,
    joined_harmonics,
)
from symjax_learn.geometry.ball import Ball, level_indices
from symjax_learn.geometry.spaces import AbstractFunctions, Level
from symjax_learn.geometry.sphere import Sphere, level_degree
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import Invariants, LinearCombinations
from symjax_learn.invariants.symmetric_tables import (
    BlockProducts,
    PowerSumProducts,
    SymmetricPolynomials,
)

# A null space is taken among at most so many polynomials: some minutes of one core.
_MAX_POLYNOMIALS = 4_000
# Products of sums over few coordinates cancel: coefficients beyond this would cost more than two of the
# digits of float32.
_MAX_COEFFICIENT = 64.0
# Hermite polynomials of all coordinates are most of the work, a few products each.
_PRODUCTS_PER_COORDINATE = 4


class Block(NamedTuple):
    """Coordinates that are permuted.

    Attributes:
        size: n, how many.
        signed: whether their signs change as well.
    """

    size: int
    signed: bool


def permuted_blocks(group: AbstractGroup) -> list[Block] | None:
    """The blocks of coordinates that a group permutes, in order; ``None`` where it does not."""
    if isinstance(group, ProductGroup):
        found = [permuted_blocks(factor) for factor in group.factors]
        return None if None in found else [block for part in found for block in part or []]
    match group.sampler:
        case YoungSampler(parts=parts):
            return [Block(part, False) for part in parts]
        case SignedSampler(permutations=permutations):
            return [Block(part, True) for part in permutations.parts]
    return None


def permuted_coordinates(action: Action, _: Sequence[Level]) -> int:
    """How many products a function costs, about; 0 where no coordinates are permuted."""
    if not isinstance(action.space, Sphere | Ball) or permuted_blocks(action.group) is None:
        return 0
    return _PRODUCTS_PER_COORDINATE * action.group.degree


def harmonic_invariants(action: Action, levels: Sequence[Level], _: object = None) -> Invariants:
    """The invariant harmonics of these levels; of a ball their products with radial functions.

    Float32 values on S^{d−1} err by about 1e-6 of |φ(x)|, 1e-5 at typical points, to d = 1000 and degree
    10, and by up to 1e-4 for few coordinates, 2 to 4 of them for each degree.

    Args:
        action: of a group that permutes coordinates, see :func:`permuted_blocks`.
        levels: all up to the largest eigenvalue.

    Raises:
        ValueError: more than 4,000 symmetric polynomials of one degree of a block.

    Cost: see :func:`invariant_harmonics`.
    """
    blocks, space = permuted_blocks(action.group), action.space
    assert blocks is not None
    if isinstance(space, Sphere):
        degrees = [level_degree(level) for level in levels]
    else:
        degrees = [level_indices(level)[0] for level in levels]
    found = invariant_harmonics(blocks, max(degrees))
    sizes = np.bincount(found.degrees, minlength=max(degrees) + 1).tolist()
    table = found.table
    if isinstance(space, Ball):
        table = space.functions_of(levels, table, dict(enumerate(sizes)))
    eigenvalues = np.repeat(
        [level.eigenvalue for level in levels], [sizes[degree] for degree in degrees]
    )
    return Invariants(table, eigenvalues, found.residual, found.gap)


class Harmonics(NamedTuple):
    """The invariant harmonics of R^d up to a degree, orthonormal on the unit sphere.

    Attributes:
        table: at points of R^d, homogeneous; by degree.
        degrees: of each function.
        residual: the largest norm of Δ of one of a block, where the least nonzero singular value is 1.
        gap: the least ratio of singular values beside a cut.
    """

    table: AbstractFunctions
    degrees: Int[np.ndarray, " D"]
    residual: float
    gap: float


def invariant_harmonics(blocks: Sequence[Block], max_degree: int) -> Harmonics:
    """All harmonics up to a degree that the permutations of blocks of coordinates leave fixed.

    Args:
        blocks: of consecutive coordinates.
        max_degree: the largest degree.

    Raises:
        ValueError: more symmetric polynomials of one degree than a null space is taken of.

    Cost: of each kind of blocks Σ_k m_k³ for m_k partitions of k, and 2^{parts} for each partition; then
    O(s·D) for D functions of at most s factors.
    """
    d = sum(block.size for block in blocks)
    # ‖p‖² on the sphere for p of Fischer norm 1 in √d x: Π_{i<k} d/(d + 2i).
    norms = np.cumprod([1.0, *np.sqrt(1 + 2 * np.arange(max_degree) / d)])
    if len(blocks) == 1:
        kind = _of_block(blocks[0], max_degree, math.sqrt(d), norms)
        return Harmonics(kind.table, kind.degrees, kind.residual, kind.gap)
    kinds = list(dict.fromkeys(blocks))
    found = [_of_block(kind, max_degree, math.sqrt(d), np.ones_like(norms)) for kind in kinds]
    members = [[place for place, block in enumerate(blocks) if block == kind] for kind in kinds]
    starts = np.cumsum([0, *(block.size for block in blocks)])
    joined = joined_harmonics(
        [block.size for block in blocks],
        [found[kinds.index(block)].degrees[1:].tolist() for block in blocks],
        max_degree,
    )
    rows: list[list[int]] = [[] for _ in blocks]  # of the harmonics of each block
    end = 1
    for one, places in zip(found, members, strict=True):
        count = len(one.degrees) - 1
        for position, place in enumerate(places):
            rows[place] = [end + i * len(places) + position for i in range(count)]
        end += count * len(places)
    order = np.argsort(np.concatenate(members), kind="stable")
    table = BlockProducts(
        tables=tuple(one.table if len(one.degrees) > 1 else None for one in found),
        coordinates=tuple(
            jnp.asarray(starts[places][:, None] + np.arange(kind.size), jnp.int32)
            for kind, places in zip(kinds, members, strict=True)
        ),
        order=jnp.asarray(order, jnp.int32),
        stems=jnp.asarray(joined.stems, jnp.int32),
        rise=jnp.asarray(joined.rise, float),
        centre=jnp.asarray(joined.centre, float),
        fall=jnp.asarray(joined.fall, float),
        harmonics=jnp.asarray(np.asarray([0, *sum(rows, [])])[joined.factors[:, 0]], jnp.int32),
        radials=jnp.asarray(joined.factors[:, 1], jnp.int32),
        factors=jnp.asarray(joined.functions, jnp.int32),
        scales=jnp.asarray(norms[joined.degrees], float),
        scale=math.sqrt(d),
        num_functions=len(joined.degrees),
    )
    return Harmonics(
        table, joined.degrees, max(one.residual for one in found), min(one.gap for one in found)
    )


def _of_block(block: Block, max_degree: int, scale: float, norms: Float[np.ndarray, " _"]) -> Harmonics:
    """The harmonics of one block, of Fischer norm norms[k] in the scaled coordinates."""
    n = block.size
    top = max_degree if n > 1 else min(max_degree, 1)  # of one variable only 1 and x are harmonic
    powers = tuple(range(2, top + 1, 2) if block.signed else range(1, top + 1))
    polynomials = max(multiset_series(n, top, list(powers)))
    if polynomials > _MAX_POLYNOMIALS:
        raise ValueError(
            f"max_eigenvalue or max_functions: {n} permuted coordinates have {polynomials:,} symmetric "
            f"polynomials of one degree <= {top}, and the route 'harmonic' takes a null space among at "
            f"most {_MAX_POLYNOMIALS:,}; lower it."
        )
    with jax.enable_x64(True):  # whatever the session
        index = multisets(powers, top, n)
        found = block_harmonics(np.asarray(index.counts), powers, n)
        matrices = _of_sums(index, powers, n, found)
    places = np.concatenate(found.places)
    if matrices is not None:
        table = PowerSumProducts(
            factors=jnp.asarray(_parts(np.asarray(index.counts)[places], powers), jnp.int32),
            max_degree=powers[-1],
            num_coordinates=n,
            scale=scale,
            num_functions=len(places),
        )
    else:
        matrices = found.coefficients
        table = SymmetricPolynomials(
            index=multisets(powers, top, n),
            places=jnp.asarray(places, jnp.int32),
            powers=powers,
            num_coordinates=n,
            scale=scale,
            num_functions=len(places),
        )
    sizes = [matrix.shape[1] for matrix in matrices]
    combinations = LinearCombinations(
        table=table,
        coefficients=tuple(
            jnp.asarray(norms[degree] * matrix, float)
            for degree, matrix in zip(found.degrees, matrices, strict=True)
        ),
        num_functions=sum(sizes),
    )
    return Harmonics(combinations, np.repeat(found.degrees, sizes), found.residual, found.gap)


def _of_sums(
    index: Multisets, powers: Sequence[int], n: int, found: BlockHarmonics
) -> list[Float[np.ndarray, "m r"]] | None:
    """The harmonics as combinations of products of sums; ``None`` where these cancel too much."""
    if not powers or n < 2 * index.max_size:
        return None
    changes = in_power_sums(index, powers, n)
    matrices = [
        changes[degree].T @ matrix
        for degree, matrix in zip(found.degrees, found.coefficients, strict=True)
    ]
    largest = max(float(np.abs(matrix).max()) for matrix in matrices)
    return matrices if largest <= _MAX_COEFFICIENT else None


def _parts(counts: Int[np.ndarray, "D q"], powers: Sequence[int]) -> Int[np.ndarray, "s D"]:
    """The parts of each partition, padded with 0."""
    parts = [np.repeat(powers, row) for row in counts]
    width = max(1, *map(len, parts))
    return np.stack([np.pad(row, (0, width - len(row))) for row in parts], axis=1)
