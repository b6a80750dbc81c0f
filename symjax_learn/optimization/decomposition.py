"""The rows of a least-squares problem, reduced to what every penalty needs of them.

By the QR decomposition √w [F | A | Y] = QR of any number of rows, chunk below chunk, and the singular
values of its penalized corner; or by the moments XᵀWX and XᵀWY, faster, with the condition squared.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float

from symjax_learn.optimization.criteria import Axes
from symjax_learn.optimization.statistics import upper_products, whole_of

# A chunk of a pass holds so many rows, or two for each column of a wide problem.
_CHUNK_ROWS = 1024

# How the roundings of a long sum add up, in units of one.
SUM_ROUNDING = 10.0

# A pass over samples: index of a chunk -> rows (F, A, Y) and their weights w, zero beyond n. A pytree,
# so that a solution can be differentiated with respect to the arrays in it.
Rows = Callable[[Array], tuple[Array, Array, Array, Array]]


class Decomposition(NamedTuple):
    """√w [F | A | Y] = Q R, reduced to what every penalty needs.

    Attributes:
        corner: R_FF.
        mixed: R_FA and R_FY side by side.
        singular: S, descending.
        right: V.
        targets: Uᵀ R_AY.
        rest: the squares of Y outside the span of all columns, |R_YY|² by columns.
    """

    corner: Float[Array, "f f"]
    mixed: Float[Array, "f rest"]
    singular: Float[Array, " r"]
    right: Float[Array, "a r"]
    targets: Float[Array, "r o"]
    rest: Float[Array, " o"]

    @property
    def alive(self) -> Bool[Array, " r"]:
        """Which singular values are not zero to rounding."""
        largest = jnp.max(self.singular, initial=0.0)
        cut = jnp.finfo(self.singular.dtype).eps * max(self.right.shape[0], 1) * largest
        return self.singular > cut

    def divided(self, values: Float[Array, " r"]) -> Float[Array, " r"]:
        """``values`` over S, and zero where S is."""
        return jnp.where(self.alive, values / jnp.where(self.alive, self.singular, 1.0), 0.0)

    def axes(self, num_rows: Array) -> Axes:
        """The problem as the criteria read it, of N rows, whose rank is at most N − f."""
        places = jnp.arange(self.singular.shape[0], dtype=self.singular.dtype)
        # Moments of fewer rows than columns have eigenvalues of rounding, which are no directions.
        alive = self.alive & (places < num_rows.astype(places.dtype) - self.corner.shape[0])
        dead = jnp.where(alive[:, None], 0.0, self.targets)
        return Axes(
            jnp.where(alive, self.singular**2, 0.0),
            self.targets - dead,
            self.rest + jnp.sum(dead**2, axis=0),
            2 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(self.corner)))),
            num_rows,
            self.corner.shape[0],
        )


def weighted(rows: Rows, chunk: Array) -> tuple[Array, Array, Array]:
    """One chunk of √w F, √w A and √w Y."""
    free, penalized, y, weights = rows(chunk)
    root = jnp.sqrt(weights)[:, None]
    return free * root, penalized * root, y * root


def absorbed(triangle: Float[Array, "w w"], rows: Rows, chunk: Array) -> Float[Array, "w w"]:
    """The R of a QR decomposition, of a triangle with one more chunk below it."""
    stacked = jnp.concatenate([triangle, jnp.concatenate(weighted(rows, chunk), axis=1)])
    return jnp.linalg.qr(stacked, mode="r")


def triangle_of(rows: Rows, num_chunks: int) -> Float[Array, "_ w"]:
    """The R of √w [F | A | Y] = QR, chunk below chunk."""
    first = jnp.zeros((), jnp.int32)
    if num_chunks == 1:
        return jnp.linalg.qr(jnp.concatenate(weighted(rows, first), axis=1), mode="r")
    parts = jax.eval_shape(lambda: weighted(rows, first))
    width = sum(part.shape[1] for part in parts)
    triangle, _ = jax.lax.scan(
        lambda triangle, chunk: (absorbed(triangle, rows, chunk), None),
        jnp.zeros((width, width), parts[1].dtype),
        jnp.arange(num_chunks, dtype=jnp.int32),
    )
    return triangle


def decompose(rows: Rows, num_chunks: int) -> Decomposition:
    """The R of a QR decomposition, and the singular values of its corner."""
    free, penalized, _, _ = jax.eval_shape(rows, jnp.zeros((), jnp.int32))
    return decomposition_of(triangle_of(rows, num_chunks), free.shape[1], penalized.shape[1])


def decomposition_of(triangle: Float[Array, "_ w"], num_free: int, num_penalized: int) -> Decomposition:
    """The parts of R, and the singular values of its penalized corner."""
    f, a, dtype = num_free, num_penalized, triangle.dtype
    corner, mixed = triangle[:f, :f], triangle[:f, f:]
    block, image = triangle[f : f + a, f : f + a], triangle[f : f + a, f + a :]
    rest = jnp.sum(triangle[f + a :, f + a :] ** 2, axis=0)
    if a == 0 or block.shape[0] == 0:
        right, image = jnp.zeros((a, 0), dtype), jnp.zeros((0, image.shape[1]), dtype)
        return Decomposition(corner, mixed, jnp.zeros((0,), dtype), right, image, rest)
    left, singular, right = jnp.linalg.svd(block, full_matrices=False)
    return Decomposition(corner, mixed, singular, right.T, left.T @ image, rest)


def moments_of(rows: Rows, num_chunks: int) -> tuple[Array, Array, Array]:
    """XᵀWX, XᵀWY and the diagonal of YᵀWY with X = [F | A], chunk by chunk, in a reverse pass again."""

    @jax.checkpoint
    def products(chunk: Array) -> tuple[Array, ...]:
        free, penalized, y, weights = rows(chunk)
        z = jnp.concatenate([free, penalized, y], axis=1)
        return upper_products((weights[:, None] * z).T, z.T)

    chunks = jnp.arange(num_chunks, dtype=jnp.int32)
    start = jax.tree.map(jnp.zeros_like, jax.eval_shape(products, chunks[0]))
    upper, _ = jax.lax.scan(
        lambda total, chunk: (jax.tree.map(jnp.add, total, products(chunk)), None), start, chunks
    )
    both = whole_of(list(upper))
    p = len(both) - jax.eval_shape(rows, chunks[0])[2].shape[1]
    return both[:p, :p], both[:p, p:], jnp.diagonal(both)[p:]


def decomposition_of_moments(
    gram: Float[Array, "p p"],
    cross: Float[Array, "p o"],
    squares: Float[Array, " o"],
    num_free: int,
    rounding: float = 0.0,
) -> Decomposition:
    """What every penalty needs, from XᵀWX, XᵀWY and YᵀWY: roots of eigenvalues are singular values.

    Eigenvalues that the rounding of the sums hides are taken for as large as it: VᵀAᵀY, which they
    divide in the end, is accurate all the same.
    """
    f, a = num_free, gram.shape[0] - num_free
    corner = jnp.linalg.cholesky(gram[:f, :f], upper=True)
    sides = jnp.concatenate([gram[:f, f:], cross[:f]], axis=1)
    mixed = solve_triangular(corner, sides, trans=1) if f else sides
    slope, level = mixed[:, :a], mixed[:, a:]
    values, vectors = jnp.linalg.eigh(gram[f:, f:] - slope.T @ slope)
    values, vectors = values[::-1], vectors[:, ::-1]
    share = max(rounding, SUM_ROUNDING * float(jnp.finfo(values.dtype).eps))
    singular = jnp.sqrt(jnp.maximum(values, share * jnp.max(values, initial=0.0)))
    image = vectors.T @ (cross[f:] - slope.T @ level)
    bare = Decomposition(corner, mixed, singular, vectors, image, jnp.zeros_like(squares))
    targets = jax.vmap(bare.divided, in_axes=1, out_axes=1)(image)
    outside = squares - jnp.sum(level**2, axis=0) - jnp.sum(targets**2, axis=0)
    return bare._replace(targets=targets, rest=jnp.maximum(outside, 0.0))


def inverse_hessian(parts: Decomposition, ridge: Float[Array, ""]) -> Float[Array, "t t"]:
    """(XᵀWX + nη)⁻¹ over the free and the penalized coefficients.

    In directions that the data do not reach it is 1/nη, or zero where that is infinite.
    """
    f, a = parts.corner.shape[0], parts.right.shape[0]
    dtype = parts.singular.dtype
    safe = jnp.where(ridge > 0, ridge, 1.0)
    unreached = jnp.where(ridge > 0, 1 / safe, 0.0)
    squares = jnp.where(parts.alive, parts.singular**2, 0.0)
    reached = jnp.where(parts.alive, 1 / jnp.where(parts.alive, squares + ridge, 1.0), unreached)
    block = (parts.right * (reached - unreached)[None]) @ parts.right.T + unreached * jnp.eye(
        a, dtype=dtype
    )
    if not f:
        return block
    corner = solve_triangular(parts.corner, jnp.eye(f, dtype=dtype))
    slope = solve_triangular(parts.corner, parts.mixed[:, :a])
    cross = -slope @ block
    return jnp.block([[corner @ corner.T - cross @ slope.T, cross], [cross.T, block]])


def num_chunks_for(num_samples: int, width: int) -> int:
    """Chunks of a pass over rows of ``width`` columns: at most max(1,024, 2·width) rows each."""
    return max(1, -(-num_samples // max(_CHUNK_ROWS, 2 * width)))
