"""The sums of a least-squares problem: all that it needs of any number of rows, and additive.

With features φ_i, targets y_i and weights w_i they are Σ w φφᵀ, Σ w φyᵀ, Σ w y², Σ w and the number of
positive weights. Each chunk's contribution is a product in the precision of the features. They are
added with compensation, so that every sum has twice the digits of that precision, whatever the
session's: its error is that of its terms, and does not grow with their number.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from symjax_learn._types import AnyArray, Precise

# A chunk holds so many rows: their features stay in the cache, and their product fills the cores.
CHUNK_ROWS = 2048
# ΦᵀΦ is symmetric: of so many block rows only what is on and above the diagonal is multiplied, where a
# block has at least so many rows that its product runs at full speed.
_NUM_BLOCKS, _BLOCK_ROWS = 4, 128
# By how much a difference of sums may be indefinite: multiples of rounding, for each function.
_INDEFINITE = 20

# Points of one chunk -> their features, functions first.
Features = Callable[[Any], Float[Array, "D rows"]]


class Sums(eqx.Module):
    """The sums of a least-squares problem. Those of two sets of rows add up to those of both.

    Each is a :class:`~symjax_learn._types.Precise` of two arrays in the dtype of the features; its
    ``exact`` is the float64 array on the host.

    Attributes:
        count: the number of rows of positive weight, exact to 2⁴⁸ also in float32.
        weight: Σ w.
        gram: Σ w φφᵀ, ``(D, D)``.
        cross: Σ w φyᵀ, ``(D, o)``.
        squares: Σ w y², ``(o,)``.
    """

    count: Precise
    weight: Precise
    gram: Precise
    cross: Precise
    squares: Precise

    def __add__(self, other: "Sums") -> "Sums":
        """The sums over the rows of both."""
        return jax.tree.map(added, self, other, is_leaf=_is_sum)

    def __sub__(self, other: "Sums") -> "Sums":
        """The sums over the rows without those of the other; see :func:`is_left_of`."""
        return self + jax.tree.map(jnp.negative, other)


def no_sums(num_functions: int, num_outputs: int, dtype: Any) -> Sums:
    """The sums over no rows."""
    shapes = (), (), (num_functions, num_functions), (num_functions, num_outputs), (num_outputs,)
    return Sums(*(_zeros(shape, dtype) for shape in shapes))


def sums_of(
    features: Features,
    points: Any,
    targets: Float[Array, "chunks rows o"],
    weights: Float[Array, "chunks rows"],
) -> Sums:
    """The sums over rows that come in chunks of one length.

    Args:
        features: of one chunk of points, functions first.
        points: a pytree of arrays ``(chunks, rows, ...)``.
        targets: y.
        weights: w ≥ 0; zero for rows that are padding.

    Cost: 2·n·D² operations at the speed of a product of matrices, of which above D = 512 the 3/8 below
    the diagonal are left out; memory of one chunk of features and O(D²).
    """

    def contribution(chunk: tuple[Any, Array, Array]) -> tuple[Any, ...]:
        where, y, w = chunk
        phi = features(where)
        heavy, count = phi * w[None], jnp.sum((w > 0).astype(w.dtype))
        squares = jnp.sum(w[:, None] * y**2, axis=0)
        return count, jnp.sum(w), upper_products(heavy, phi), _product(heavy, y), squares

    def absorb(sums: Any, chunk: Any) -> tuple[Any, None]:
        return jax.tree.map(_absorbed, sums, contribution(chunk), is_leaf=_is_sum), None

    chunks = (points, targets, weights)
    terms = jax.eval_shape(contribution, jax.tree.map(lambda array: array[0], chunks))
    start = jax.tree.map(lambda one: _zeros(one.shape, one.dtype), terms)
    sums, _ = jax.lax.scan(absorb, start, chunks)
    count, weight, rows, cross, squares = jax.tree.map(
        lambda total: Precise(*_two_sum(total.rounded, total.rest)), sums, is_leaf=_is_sum
    )
    gram = Precise(whole_of([row.rounded for row in rows]), whole_of([row.rest for row in rows]))
    return Sums(count, weight, gram, cross, squares)


def is_left_of(before: Sums, after: Sums) -> Bool[Array, ""]:
    """Whether ``after`` can be what rows leave of ``before`` when some of them are taken away.

    That is, a number and weights that are not negative, and a Gram matrix that is not indefinite beyond
    the rounding of what was there before.

    Cost: a Cholesky decomposition, O(D³).
    """
    gram, dtype = after.gram.rounded, after.gram.rounded.dtype
    tolerance = _INDEFINITE * jnp.finfo(dtype).eps * max(gram.shape[0], 1)
    diagonal = jnp.diagonal(before.gram.rounded)
    scale = jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    scaled = gram / scale[:, None] / scale[None] + tolerance * jnp.eye(gram.shape[0], dtype=dtype)
    definite = jnp.all(jnp.isfinite(jnp.linalg.cholesky(scaled)))
    least = -tolerance * before.weight.rounded
    squares = jnp.all(after.squares.rounded >= -tolerance * before.squares.rounded)
    return definite & squares & (after.count.rounded >= 0) & (after.weight.rounded >= least)


def added(a: Precise, b: Precise) -> Precise:
    """The sum to twice the digits of one array."""
    total, lost = _two_sum(a.rounded, b.rounded)
    return Precise(*_two_sum(total, lost + (a.rest + b.rest)))


def _zeros(shape: tuple[int, ...], dtype: Any) -> Precise:
    return Precise(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def _is_sum(value: Any) -> bool:
    return isinstance(value, Precise)


def _absorbed(total: Precise, term: Array) -> Precise:
    """A running sum and what it has lost so far, which is added to it at the end."""
    rounded, lost = _two_sum(total.rounded, term)
    return Precise(rounded, total.rest + lost)


def _two_sum(a: AnyArray, b: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The sum rounded, and exactly what the rounding lost."""
    total = a + b
    share = total - a
    return total, (a - (total - share)) + (b - share)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")


def upper_products(left: Float[Array, "D rows"], right: Float[Array, "D rows"]) -> tuple[Array, ...]:
    """The block rows of ΦΨᵀ from the diagonal on, where that is symmetric."""
    size = len(left)
    num_blocks = _NUM_BLOCKS if size >= _NUM_BLOCKS * _BLOCK_ROWS else 1
    step = -(-size // num_blocks)
    return tuple(_product(left[i : i + step], right[i:].T) for i in range(0, size, step))


def whole_of(rows: list[Array]) -> Array:
    """The symmetric matrix of such block rows."""
    size = rows[0].shape[1]
    upper = jnp.concatenate([jnp.pad(row, ((0, 0), (size - row.shape[1], 0))) for row in rows])
    return jnp.triu(upper) + jnp.triu(upper, 1).T
