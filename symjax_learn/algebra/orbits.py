"""Orbits of index sets, and canonical forms: one point of each orbit.

A monomial action T_g e_k = χ(g, k) e_{π_g(k)} has invariants Σ a_k e_k with a_{π_g(k)} = χ(g, k) a_k: on
each orbit it is determined by one value, and exists iff every cycle of the orbit's graph has phase
product 1. Phases are integers modulo a common denominator: nothing is rounded.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from symjax_learn._types import FloatArray, as_array
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.matrices import closed_orbit

# The largest orbit of a point that is searched unless more is asked for.
MAX_POINTS = 100_000
# Minors of a Gram reduction beyond this many are refused.
_MAX_MINORS = 100_000


class MonomialOrbits(NamedTuple):
    """Orbits of a monomial action on D basis vectors.

    Attributes:
        labels: the orbit of each vector, ``(D,)``.
        phases: numerators of a_k on its orbit, ``(D,)``; 0 at one vector of each orbit.
        carries: for each orbit, whether it carries an invariant (else a systematic absence).
    """

    labels: Int[np.ndarray, " D"]
    phases: Int[np.ndarray, " D"]
    carries: Bool[np.ndarray, " orbits"]


def monomial_orbits(
    targets: Int[np.ndarray, "k D"], phases: Int[np.ndarray, "k D"], denominator: int
) -> MonomialOrbits:
    """Orbits and consistent phases of g: e_k ↦ exp(2πi phases/denominator) e_{targets}.

    Args:
        targets: π_g(k) for each generator.
        phases: numerators of χ(g, k).
        denominator: their common denominator.

    Cost: O(k·D·log D), vectorized; no group element but the generators.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    num_generators, size = targets.shape
    sources = np.tile(np.arange(size), num_generators)
    graph = csr_array((np.ones(num_generators * size), (sources, targets.ravel())), shape=(size, size))
    num_orbits, labels = connected_components(graph, directed=False)
    potentials = np.zeros(size, np.int64)
    if phases.any():
        # A spanning forest from one breadth-first search: a new vertex is joined to one vector of
        # each orbit. Phases then add up along the paths to the roots by pointer doubling.
        roots = np.unique(labels, return_index=True)[1]
        rows = np.concatenate([sources, np.full(num_orbits, size)])
        columns = np.concatenate([targets.ravel(), roots])
        joined = csr_array((np.ones(len(rows)), (rows, columns)), shape=(size + 1, size + 1))
        _, parents = breadth_first_order(joined, size, directed=False)
        parents = np.where(parents[:size] == size, np.arange(size), parents[:size])
        assigned = parents == np.arange(size)
        for target, phase in zip(targets, phases, strict=True):
            forward = ~assigned & (target[parents] == np.arange(size))
            potentials[forward] = phase[parents[forward]]
            assigned |= forward
            backward = ~assigned & (target == parents)  # a reversed edge takes the conjugate
            potentials[backward] = -phase[backward]
            assigned |= backward
        while not np.array_equal(parents, parents[parents]):
            potentials = (potentials + potentials[parents]) % denominator
            parents = parents[parents]
    carries = np.ones(num_orbits, bool)
    for target, phase in zip(targets, phases, strict=True):
        broken = (potentials + phase - potentials[target]) % denominator != 0
        carries[labels[broken]] = False
    return MonomialOrbits(labels.astype(np.int64), potentials % denominator, carries)


def point_orbit(
    group: AbstractGroup, point: Any, *, max_points: int = MAX_POINTS
) -> Float[np.ndarray, "N d"]:
    """All different images gx of one point under a linear group, the point first.

    From the generators, layer by layer: N = |G|/|Stab(x)| images and not |G|. Points within 1e-4·|x| of
    each other are one.

    Args:
        group: of linear maps.
        point: ``(d,)``.
        max_points: the largest orbit that is searched.

    Raises:
        ValueError: a point of another shape, a continuous group, or a larger orbit.

    Cost: N·generators·d² and a search tree for each layer; float64, NumPy.

    >>> from symjax_learn.algebra.orbits import point_orbit
    >>> import symjax_learn as sj
    >>> len(point_orbit(sj.hyperoctahedral_group(10), [1.0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))
    180
    """
    vector = np.asarray(as_array("point", point), np.float64)
    if vector.shape != (group.degree,):
        raise ValueError(f"point: expected shape ({group.degree},) and got {vector.shape}.")
    if group.lie_algebra is not None:
        raise ValueError(f"group: {type(group).__name__} is continuous, and so are its orbits.")
    size = float(np.linalg.norm(vector)) or 1.0
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        matrices = np.asarray(group.matrix(group.generators), np.float64)
    orbit = closed_orbit(matrices, vector / size, max_points)
    if orbit is None:
        raise ValueError(
            f"point: its orbit has more than max_points = {max_points:,} points; raise max_points if "
            "you have the memory."
        )
    return size * orbit


def sorted_form(x: FloatArray) -> Float[Array, "*batch n"]:
    """The point of the S_n-orbit whose coordinates ascend. Cost: n log n.

    >>> from symjax_learn.algebra.orbits import sorted_form
    >>> import jax.numpy as jnp
    >>> sorted_form(jnp.asarray([3.0, -1.0, 2.0])).tolist()
    [-1.0, 2.0, 3.0]
    """
    return jnp.sort(jnp.asarray(x), axis=-1)


def sorted_magnitudes(x: FloatArray) -> Float[Array, "*batch n"]:
    """The point of the B_n-orbit (signed permutations) with 0 ≤ x_1 ≤ x_2 ≤ …. Cost: n log n.

    >>> from symjax_learn.algebra.orbits import sorted_magnitudes
    >>> import jax.numpy as jnp
    >>> sorted_magnitudes(jnp.asarray([3.0, -1.0, -2.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    return jnp.sort(jnp.abs(jnp.asarray(x)), axis=-1)


def least_rotation(x: FloatArray) -> Float[Array, "*batch n"]:
    """The cyclic shift that is first in lexicographic order: one point of each C_n-orbit.

    Two candidates i < j are compared along k equal entries; at the first difference the larger start,
    and the k starts after it, are ruled out.

    Cost: at most 3n comparisons for each row; a batch takes as many steps as its longest row.

    >>> from symjax_learn.algebra.orbits import least_rotation
    >>> import jax.numpy as jnp
    >>> least_rotation(jnp.asarray([2.0, 1.0, 3.0, 1.0, 2.0])).tolist()
    [1.0, 2.0, 2.0, 1.0, 3.0]
    """
    values = jnp.asarray(x)
    n = values.shape[-1]
    flat = values.reshape(-1, n)
    starts = jax.vmap(_least_start)(flat)
    places = (starts[:, None] + jnp.arange(n, dtype=starts.dtype)[None]) % n
    return jnp.take_along_axis(flat, places, axis=1).reshape(values.shape)


def _least_start(row: Float[Array, " n"]) -> Int[Array, ""]:
    n = row.shape[0]
    zero = jnp.zeros((), jnp.int32)

    def unfinished(state: tuple[Array, Array, Array]) -> Array:
        i, j, k = state
        return (i < n) & (j < n) & (k < n)

    def compare(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        i, j, k = state
        a, b = row[(i + k) % n], row[(j + k) % n]
        i_next = jnp.where(a > b, i + k + 1, i)
        j_next = jnp.where(a < b, j + k + 1, j)
        j_next = jnp.where(i_next == j_next, j_next + 1, j_next)
        return i_next, j_next, jnp.where(a == b, k + 1, 0)

    i, j, _ = jax.lax.while_loop(unfinished, compare, (zero, zero + 1, zero))
    return jnp.minimum(i, j)


def least_image(group: AbstractGroup, x: FloatArray) -> Float[Array, "*batch d"]:
    """The point of the orbit that is first in lexicographic order, over all elements of a small group.

    Raises:
        ValueError: the group is too large to list.

    Cost: |G|·d for each point.

    >>> from symjax_learn.algebra.orbits import least_image
    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> least_image(sj.cyclic_group(3), jnp.asarray([2.0, 1.0, 3.0])).tolist()
    [1.0, 3.0, 2.0]
    """
    values = jnp.asarray(x)
    elements = group.elements()

    def least(point: Array) -> Array:
        images = jax.vmap(lambda g: group.apply(g, point))(elements)
        alive = jnp.ones(images.shape[:1], bool)
        for column in images.T:  # ties of the leading coordinates are left to the next one
            alive &= column == jnp.min(jnp.where(alive, column, jnp.inf))
        return images[jnp.argmax(alive)]

    flat = values.reshape(-1, values.shape[-1])
    return jax.vmap(least)(flat).reshape(values.shape)


def sorted_projections(
    points: FloatArray, directions: FloatArray
) -> Float[Array, "*batch directions n"]:
    """For each direction the projections x_j·w of all points in ascending order: S_n-invariant.

    On sets of n points of R^d, n·d-dimensional, 2nd + 1 generic directions separate all orbits; that is,
    two sets with the same answer are equal.

    Args:
        points: ``(*batch, n, d)``.
        directions: ``(directions, d)``, for example random.

    Cost: n·d products and one sort for each direction.

    References:
        N. Dym, S. J. Gortler, *Low-dimensional invariant embeddings for universal geometric learning*,
        Foundations of Computational Mathematics 2024.

    >>> from symjax_learn.algebra.orbits import sorted_projections
    >>> import jax.numpy as jnp
    >>> sorted_projections(jnp.asarray([[3.0, 0.0], [1.0, 5.0]]), jnp.eye(2)).tolist()
    [[1.0, 3.0], [0.0, 5.0]]
    """
    values = jnp.asarray(points)
    lines = jnp.asarray(directions).astype(values.dtype)
    return jnp.sort(jnp.einsum("...jd,wd->...wj", values, lines, precision="highest"), axis=-1)


def gram_form(points: FloatArray, *, oriented: bool = False) -> Float[Array, "*batch entries"]:
    """Invariants of point clouds under O(d), or SO(d), that separate its orbits: the Gram matrix.

    X ↦ the entries i ≤ j of XXᵀ, and with ``oriented`` also every d×d minor det(x_{i_1}, …, x_{i_d}).

    Args:
        points: ``(*batch, n, d)``, centred by the caller where translations act too.
        oriented: tell mirror images apart.

    Raises:
        ValueError: more than 100,000 minors.

    Cost: n²d, and C(n, d) determinants.

    References:
        H. Weyl, *The Classical Groups*, 1946, ch. II (the first fundamental theorem).

    >>> from symjax_learn.algebra.orbits import gram_form
    >>> import jax.numpy as jnp
    >>> gram_form(jnp.asarray([[1.0, 0.0], [0.0, 2.0]]), oriented=True).tolist()
    [1.0, 0.0, 4.0, 2.0]
    """
    values = jnp.asarray(points)
    n, d = values.shape[-2:]
    gram = jnp.einsum("...id,...jd->...ij", values, values, precision="highest")
    rows, columns = np.triu_indices(n)
    entries = gram[..., rows, columns]
    if not oriented:
        return entries
    chosen = np.asarray(list(itertools.islice(itertools.combinations(range(n), d), _MAX_MINORS + 1)))
    if len(chosen) > _MAX_MINORS:
        raise ValueError(
            f"points: {n} points in dimension {d} have more than {_MAX_MINORS:,} minors; use fewer, "
            "or oriented=False."
        )
    if not len(chosen):
        return entries
    return jnp.concatenate([entries, jnp.linalg.det(values[..., chosen, :])], axis=-1)
