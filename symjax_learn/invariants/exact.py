"""The matrices of a group on eigenspaces in closed form, D(g): T_g φ = φ D(g), float64, NumPy."""

import functools
import itertools
from collections.abc import Hashable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from symjax_learn._types import Element
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.monomials import fischer_norms, monomials, num_monomials, substituted
from symjax_learn.geometry.ball import Ball
from symjax_learn.geometry.gaussian import Gaussian
from symjax_learn.geometry.rotations import MAX_DEGREE, RotationGroup
from symjax_learn.geometry.separable import integer_keys
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.sphere import Sphere
from symjax_learn.invariants.harmonics import harmonic_degrees, orthonormal_harmonics
from symjax_learn.invariants.pairs import Share, sides
from symjax_learn.invariants.representations import evaluated
from symjax_learn.invariants.signed import permutes_functions, signed_moves

# Products for each element and function up to which symmetric powers are as fast as fits of D(g): so
# many, or so many for each entry of D(g).
_MIN_PRODUCTS, _PRODUCTS_PER_ENTRY = 100_000, 0.25


def exact_matrices(
    space: AbstractSpace, levels: Sequence[Level], group: AbstractGroup, g: Element
) -> list[Float[np.ndarray, "batch m m"]] | None:
    """D(g) on each level, or ``None`` where no closed form is known.

    Signed permutations where the group permutes the functions; Wigner matrices on S², in the ball of
    R³ and on SO(3); symmetric powers on Gaussian spaces, and on other spheres and balls.
    """
    if permutes_functions(space, group):
        return [_signed_matrices(space, level, group, g) for level in levels]
    if isinstance(space, Gaussian):
        degrees = integer_keys(levels, "Gaussian")
        return [power_images(group, g, np.eye(num_monomials(group.degree, n)), n) for n in degrees]
    if isinstance(space, RotationGroup):
        return _on_rotations(space, levels, group, g)
    if isinstance(space, Sphere | Ball):
        degrees = harmonic_degrees(space, levels)
        if group.degree == 3 and max(degrees) <= MAX_DEGREE:
            return wigner_matrices(degrees, exact_linear(group, g))
        if all(has_cheap_powers(space, level) for level in levels):
            known = {}
            for degree in set(degrees):
                rows = orthonormal_harmonics(group.degree, degree)
                known[degree] = np.matmul(rows, power_images(group, g, rows.T, degree))
            return [known[degree] for degree in degrees]
    return None


def exact_linear(group: AbstractGroup, g: Element) -> Float[np.ndarray, "batch d d"]:
    """The matrices of a batch of elements on R^d in float64."""
    with jax.enable_x64(True):  # whatever the session
        return np.asarray(group.matrix(g), np.float64)


def _signed_matrices(
    space: AbstractSpace, level: Level, group: AbstractGroup, g: Element
) -> Float[np.ndarray, "batch m m"]:
    targets, odd = signed_moves(space, [level], group, g)
    batch, columns = np.ogrid[: len(targets), : targets.shape[1]]
    matrices = np.zeros((*targets.shape, targets.shape[1]))
    matrices[batch, targets, columns] = 1.0 - 2.0 * odd
    return matrices


def power_images(
    group: AbstractGroup, g: Element, columns: Float[np.ndarray, "n r"], degree: int
) -> Float[np.ndarray, "batch n r"]:
    """f(g⁻¹x) of the homogeneous polynomials f whose coefficients of x^k·√(|k|!/k!) are the columns.

    The symmetric power of g, without its matrix; orthogonal. Orthogonal maps treat the Hermite functions
    He_k(x)/√(k!) as they do these monomials.
    """
    inverses = exact_linear(group, g).mT  # not of group.inverse(g), which a float32 session rounds
    norms = fischer_norms(monomials(group.degree, degree))
    images = substituted((columns / norms[:, None]).T, inverses, degree)
    return (images * norms).mT


def has_cheap_powers(space: AbstractSpace, level: Level) -> bool:
    """Whether symmetric powers act on a level, and cost no more than fits of D(g) would."""
    if isinstance(space, Gaussian):
        return True
    if not isinstance(space, Sphere | Ball):
        return False
    (degree,), num_variables = harmonic_degrees(space, [level]), space.point_shape[0]
    sizes = [num_monomials(num_variables, j) for j in range(degree + 1)]
    products = num_variables**2 * sum(sizes[degree - j] * sizes[j - 1] for j in range(1, degree + 1))
    return products <= max(_MIN_PRODUCTS, _PRODUCTS_PER_ENTRY * level.multiplicity**2)


def wigner_matrices(
    degrees: Sequence[int], matrices: Float[np.ndarray, "batch 3 3"]
) -> list[Float[np.ndarray, "batch m m"]]:
    """D^l(g) on the harmonics of S² of each degree l; −1 times a rotation acts by (−1)^l."""
    signs = np.where(np.linalg.det(matrices) < 0, -1.0, 1.0)
    space = RotationGroup()
    with jax.enable_x64(True):
        known = {level.key: level for level in space.levels(max(degrees) * (max(degrees) + 1))}
        distinct = sorted(set(degrees))
        table = space.functions([known[degree] for degree in distinct])
        rotations = jnp.asarray(matrices * signs[:, None, None])
        values = (
            np.asarray(evaluated(table, rotations))
            if len(matrices)
            else np.zeros((0, table.num_functions))
        )
    found, start = {}, 0
    for degree in distinct:
        size = 2 * degree + 1
        block = values[:, start : start + size**2].reshape(len(matrices), size, size) / size**0.5
        found[degree] = block * (signs**degree)[:, None, None]
        start += size**2
    return [found[degree] for degree in degrees]


def _on_rotations(
    space: RotationGroup, levels: Sequence[Level], group: AbstractGroup, g: Element
) -> list[Float[np.ndarray, "batch m m"]]:
    """D^l_{mn}(L⁻¹xR) = Σ_{jk} D^l_{jm}(L) D^l_{kn}(R) D^l_{jk}(x): the products of both sides."""
    degrees = integer_keys(levels, "the rotation group")

    def one_side(share: Share) -> list[np.ndarray]:
        if share.group is None:
            return [np.eye(2 * degree + 1)[None] for degree in degrees]
        return wigner_matrices(degrees, exact_linear(share.group, share.element(g)))

    left, right = (one_side(share) for share in sides(space, group))
    return [kronecker(one, other) for one, other in zip(left, right, strict=True)]


def kronecker(
    left: Float[np.ndarray, "a m m"], right: Float[np.ndarray, "b n n"]
) -> Float[np.ndarray, "batch mn mn"]:
    """The products of all entries of two batches of matrices, which broadcast."""
    products = left[:, :, None, :, None] * right[:, None, :, None, :]
    size = left.shape[1] * right.shape[1]
    return products.reshape(len(products), size, size)


def product_matrices(
    combinations: Sequence[Sequence[Level]], parts: Sequence[Mapping[Hashable, np.ndarray]]
) -> Float[np.ndarray, "batch m m"]:
    """D(g) on one level of a product: a block for each combination of levels of the factors.

    Args:
        combinations: the levels of the factors that make up the level.
        parts: for each factor D(g) on its levels, by their keys, ``(batch or 1, m, m)``.
    """
    blocks = []
    for combination in combinations:
        matrices = [known[one.key] for known, one in zip(parts, combination, strict=True)]
        blocks.append(functools.reduce(kronecker, matrices))
    sizes = [block.shape[1] for block in blocks]
    answer = np.zeros((max(len(block) for block in blocks), sum(sizes), sum(sizes)))
    for block, end in zip(blocks, itertools.accumulate(sizes), strict=True):
        answer[:, end - block.shape[1] : end, end - block.shape[1] : end] = block
    return answer
