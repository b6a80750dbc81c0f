"""Array aliases, and the legend of dimensions used in every signature.

Legend
    ``n``       samples
    ``d``       dimension of the space, or degree of a group
    ``m``       plane waves of one table, or functions of one eigenspace
    ``D``       functions of a basis (``num_functions``)
    ``r``       rank of an invariant subspace
    ``k``       generators
    ``*batch``  any leading axes, ``*point`` the shape of one point, ``*outputs`` of one target

Symbols of the theory: ``λ`` eigenvalue of −Δ, ``μ`` its weight in a spectral kernel, ``Λ`` the
truncation, ``D(g)`` the orthogonal matrix of g on an eigenspace, ``φ`` an orthonormal
eigenfunction, ``Φ`` the matrix of features, ``η`` the penalty.
"""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

Key = PRNGKeyArray
# Host arrays are welcome at every public door; JAX arrays come out of it.
AnyArray = Array | np.ndarray
FloatArray = Float[AnyArray, "..."]
IntArray = Int[AnyArray, "..."]
# One group element, or a batch of them along leading axes.
Element = PyTree[AnyArray]


class Precise(NamedTuple):
    """A float64 array in every session: what the session's precision holds of it, and the rest.

    Attributes:
        rounded: in the session's precision.
        rest: the difference.
    """

    rounded: Float[AnyArray, "..."]
    rest: Float[AnyArray, "..."]

    @property
    def exact(self) -> Float[AnyArray, "..."]:
        """The float64 array (NumPy): to the last bit, or to 48 bits from two float32 arrays.

        While it is traced, in the session's precision.
        """
        if is_traced(self):
            return self.rounded
        return np.asarray(np.asarray(self.rounded, np.float64) + np.asarray(self.rest, np.float64))

    def astype(self, dtype: Any) -> Float[Array, "..."]:
        """Both parts together, traceable."""
        return jnp.asarray(self.rounded).astype(dtype) + jnp.asarray(self.rest).astype(dtype)


def precise(values: Float[np.ndarray, "..."]) -> Precise:
    """A float64 array as :class:`Precise`."""
    with jax.ensure_compile_time_eval():  # set-up work, also when its caller is being traced
        rounded = jnp.asarray(values, float)
        return Precise(rounded, jnp.asarray(values - np.asarray(rounded, np.float64), float))


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is being traced by jit, vmap or grad, so that its values are unknown."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def as_array(name: str, values: Any) -> AnyArray:
    """``values`` as an array, of NumPy unless JAX made it: its structure is not yet checked.

    Raises:
        ValueError: nested sequences of unequal lengths.
    """
    if isinstance(values, jax.Array) or is_traced(values):
        return jnp.asarray(values)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name}: expected an array and got nested sequences of unequal lengths; give rows of one "
            "length."
        ) from error


def checked_count(name: str, value: Any, least: int = 1) -> int:
    """An integer (of Python or NumPy, no boolean) of at least ``least``.

    Raises:
        TypeError: it is no integer.
        ValueError: it is smaller.
    """
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__") or is_traced(value):
        raise TypeError(f"{name}: expected an integer and got {value!r}.")
    try:
        count = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name}: expected an integer and got {value!r}.") from error
    if count < least:
        raise ValueError(f"{name}: expected at least {least} and got {count}.")
    return count
