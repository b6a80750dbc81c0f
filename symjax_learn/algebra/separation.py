"""Generic separating invariants of any finite group, and a search for orbits that invariants confuse."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import chunk_rows, map_columns
from symjax_learn._types import Element, FloatArray, Key, checked_count
from symjax_learn.algebra.affine import AffineTorusGroup
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.permutations import SignedSampler, YoungSampler
from symjax_learn.algebra.products import ProductGroup

# Levenberg–Marquardt: damping, relative to the mean curvature, at the start, and its factor at a step.
_DAMPING, _DAMPING_STEP = 1e-2, 8.0

# ⟨⟨x, w⟩⟩ of one point and one template, as a pytree: its arrays pass through jit.
Alignment = Callable[[Array, Array], Array]


class Separation(NamedTuple):
    """What a search found out about invariants f of a group: evidence, and no proof.

    Attributes:
        separated: no pair of different orbits was found that f confuses: ratio > tolerance·typical.
        invariant: f agrees on all pairs of one orbit: variation ≤ tolerance·typical·distance of a pair.
        ratio: the least ‖f(x) − f(y)‖/dist([x], [y]) found, a lower Lipschitz constant at best.
        typical: the median of that ratio over the random pairs at the start.
        variation: the largest ‖f(gx) − f(x)‖ over random x and g.
        pair: x and y of the least ratio, ``(2, d)``.
        distance: dist([x], [y]) of that pair.
    """

    separated: bool
    invariant: bool
    ratio: float
    typical: float
    variation: float
    pair: Float[np.ndarray, "2 d"]
    distance: float


def max_filter(
    group: AbstractGroup, points: FloatArray, templates: FloatArray
) -> Float[Array, "*batch templates"]:
    """Invariants ⟨⟨x, w⟩⟩ = max_g ⟨gx, w⟩ of a finite group of orthogonal maps, one for each template w.

    2d generic templates, for example normal ones, separate all orbits of any finite group on R^d. Each
    is ‖w‖-Lipschitz in the distance of orbits, and piecewise linear: differentiable almost everywhere.

    Symmetric, Young and sign groups, and B_n, go by sorting, for the largest ⟨x, w⟩ pairs large with
    large; direct products block by block; other groups through all elements.

    Args:
        group: finite, of degree d.
        points: ``(*batch, d)``.
        templates: ``(templates, d)``.

    Raises:
        TypeError: an affine group, which does not act by linear maps.
        ValueError: shapes that do not fit, or a group too large to list.

    Cost: for each point d·log d + d·templates by sorting, else |G|·d·templates; memory in chunks.

    References:
        J. Cahill, J. W. Iverson, D. G. Mixon, D. Packer, *Group-invariant max filtering*, Foundations of
        Computational Mathematics 2024.

    >>> from symjax_learn.algebra.separation import max_filter
    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> max_filter(sj.cyclic_group(3), jnp.asarray([1.0, 2.0, 4.0]), jnp.asarray([[0.0, 1.0, 3.0]]))
    Array([14.], dtype=...)
    """
    values = jnp.asarray(points)
    filters = jnp.asarray(templates).astype(values.dtype)
    _check_degree("points", values, group)
    _check_degree("templates", filters, group)
    if filters.ndim != 2:
        raise ValueError(f"templates: expected (templates, d) and got shape {filters.shape}.")
    flat = values.reshape(-1, group.degree)
    found = _all_filters(_alignment(group), _width(group), flat, filters)
    return found.reshape(*values.shape[:-1], len(filters))


def orbit_distance(group: AbstractGroup, x: FloatArray, y: FloatArray) -> Float[Array, "*batch"]:
    """dist([x], [y]) = min_g ‖gx − y‖ = √(‖x‖² + ‖y‖² − 2⟨⟨x, y⟩⟩), of pairs.

    The square loses what is below rounding of ‖x‖² + ‖y‖², so orbits closer than about √ε·‖x‖ are not
    resolved.

    Args:
        group: finite, as for :func:`max_filter`.
        x: ``(*batch, d)``.
        y: ``(*batch, d)``, of the same shape.

    Raises:
        TypeError: as :func:`max_filter`.
        ValueError: as :func:`max_filter`.

    Cost: as :func:`max_filter` with one template for each point.

    >>> from symjax_learn.algebra.separation import orbit_distance
    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> float(orbit_distance(sj.symmetric_group(3), jnp.asarray([1.0, 2, 3]), jnp.asarray([5.0, 1, 2])))
    2.0
    """
    first = jnp.asarray(x)
    second = jnp.asarray(y).astype(first.dtype)
    _check_degree("x", first, group)
    if first.shape != second.shape:
        raise ValueError(f"y: expected the shape of x, {first.shape}, and got {second.shape}.")
    flat = (z.reshape(-1, group.degree) for z in (first, second))
    return _distances(_alignment(group), _width(group), *flat).reshape(first.shape[:-1])


def check_separation(
    key: Key,
    invariants: Callable[[Array], Array],
    group: AbstractGroup,
    *,
    num_pairs: int = 256,
    num_steps: int = 50,
    resolution: float = 0.1,
    tolerance: float | None = None,
) -> Separation:
    """Search for two orbits that invariants f confuse, and for points of one orbit that f tells apart.

    From random normal pairs, Levenberg–Marquardt steps lower ‖f(x) − f(y)‖²/dist([x], [y])², keeping
    ‖x‖² + ‖y‖² of each pair and dist([x], [y]) ≥ resolution·√(‖x‖² + ‖y‖²). At a true collision the
    steps converge to rounding; between separated orbits they stop short of it. This is evidence, not
    proof: collisions on sets that the steps do not reach are missed.

    Args:
        key: a JAX random key.
        invariants: f of one point, ``(d,) -> (...)``, written with ``jax.numpy``.
        group: finite, as for :func:`max_filter`.
        num_pairs: random pairs to start from.
        num_steps: steps of each pair.
        resolution: in (0, 1); closer pairs are left out, for the ratio of smooth invariants tends to 0
            with the distance where a stabilizer is not trivial.
        tolerance: below this fraction of the typical ratio a pair is a collision; ε^¾ by default.

    Raises:
        TypeError: as :func:`max_filter`.
        ValueError: an option out of range, a group too large to list, or no random pair as far apart as
            the resolution.

    Cost: num_pairs·num_steps Jacobians of f and of the distance, and systems of size 2d; in chunks.

    >>> from symjax_learn.algebra.separation import check_separation
    >>> import symjax_learn as sj, jax, jax.numpy as jnp
    >>> def power_sums(x):
    ...     return jnp.stack([x.sum(), (x**2).sum()])
    >>> check_separation(jax.random.key(0), power_sums, sj.symmetric_group(3)).separated
    False
    """
    num_pairs = checked_count("num_pairs", num_pairs)
    num_steps = checked_count("num_steps", num_steps, 0)
    if not 0 < resolution < 1:
        raise ValueError(f"resolution: expected a number between 0 and 1 and got {resolution}.")
    key_pairs, key_group = jax.random.split(key)
    starts = jax.random.normal(key_pairs, (num_pairs, 2, group.degree))
    fraction = float(jnp.finfo(starts.dtype).eps) ** 0.75 if tolerance is None else tolerance
    moved = jnp.asarray(group.apply(group.sample(key_group, (num_pairs,)), starts[:, 0]))
    variation = float(_variation(invariants, starts[:, 0], moved))
    least = jnp.asarray(resolution, starts.dtype)
    # The Jacobian takes the derivative in 2d directions at once.
    at_once = chunk_rows(2 * group.degree * _width(group))
    first, last = _descents(invariants, _alignment(group), num_steps, at_once, least, starts)
    apart = np.asarray(first.distance >= resolution * jnp.linalg.norm(starts, axis=(1, 2)))
    if not apart.any():
        raise ValueError(
            f"resolution: none of {num_pairs} random pairs of orbits is as far apart as {resolution} of "
            "its norm; lower it, or raise num_pairs."
        )
    first, last = (jax.tree.map(lambda leaf: np.asarray(leaf)[apart], pair) for pair in (first, last))
    ratios = np.linalg.norm(last.slope, axis=1)
    typical = float(np.median(np.linalg.norm(first.slope, axis=1)))
    worst = int(np.argmin(ratios))  # of a NaN, where there is one
    return Separation(
        separated=bool(ratios[worst] > fraction * typical),
        invariant=bool(variation <= fraction * typical * np.median(first.distance)),
        ratio=float(ratios[worst]),
        typical=typical,
        variation=variation,
        pair=last.points[worst],
        distance=float(last.distance[worst]),
    )


def _check_degree(name: str, values: Array, group: AbstractGroup) -> None:
    if values.shape[-1:] != (group.degree,):
        raise ValueError(
            f"{name}: expected a last axis of length {group.degree}, the degree of the group, and got "
            f"shape {values.shape}."
        )


def _alignment(group: AbstractGroup) -> Alignment:
    """⟨⟨x, w⟩⟩ for one point and one template, with all that is known before tracing."""
    if isinstance(group, AffineTorusGroup):
        raise TypeError(
            "group: AffineTorusGroup moves points by shifts too, and max filters are those of linear "
            "maps; use frequencies (invariant_basis on a torus)."
        )
    if isinstance(group, ProductGroup):
        ends = tuple(itertools.accumulate(factor.degree for factor in group.factors))
        return eqx.Partial(_by_blocks, ends, tuple(_alignment(factor) for factor in group.factors))
    if isinstance(group.sampler, YoungSampler):
        return eqx.Partial(_by_sorting, group.sampler.parts)
    if isinstance(group.sampler, SignedSampler):
        return eqx.Partial(_by_magnitude, group.sampler.permutations.parts)
    return eqx.Partial(_by_elements, group, group.elements())


def _width(group: AbstractGroup) -> int:
    """Entries in flight for one point or one template."""
    if isinstance(group, ProductGroup):
        return max(_width(factor) for factor in group.factors)
    closed = isinstance(group.sampler, YoungSampler | SignedSampler)
    return group.degree if closed else int(group.order) * group.degree


def _by_sorting(parts: tuple[int, ...], x: Array, w: Array) -> Array:
    ends = list(itertools.accumulate(parts))[:-1]
    blocks = zip(jnp.split(x, ends), jnp.split(w, ends), strict=True)
    return sum((_dot(jnp.sort(a), jnp.sort(b)) for a, b in blocks), jnp.zeros((), x.dtype))


def _by_magnitude(parts: tuple[int, ...], x: Array, w: Array) -> Array:
    return _by_sorting(parts, jnp.abs(x), jnp.abs(w))


def _by_blocks(ends: tuple[int, ...], factors: tuple[Alignment, ...], x: Array, w: Array) -> Array:
    blocks = zip(factors, jnp.split(x, ends[:-1]), jnp.split(w, ends[:-1]), strict=True)
    return sum((align(a, b) for align, a, b in blocks), jnp.zeros((), x.dtype))


def _by_elements(group: AbstractGroup, elements: Element, x: Array, w: Array) -> Array:
    # Of w, which the points share: ⟨gx, w⟩ = ⟨x, g⁻¹w⟩.
    images = jax.vmap(lambda g: group.apply(g, w))(elements)
    return jnp.max(_dot(jnp.asarray(images), x))


def _dot(a: Array, b: Array) -> Array:
    # Highest precision: accelerators would otherwise round the factors to 10 bits.
    return jnp.dot(a, b, precision="highest")


def _in_batches(function: Callable, rows: Any, at_once: int) -> Any:
    """``jax.vmap(function)(rows)``, not more than so many rows at a time."""
    if len(jax.tree.leaves(rows)[0]) <= at_once:
        return jax.vmap(function)(rows)
    return jax.lax.map(function, rows, batch_size=at_once)


@eqx.filter_jit
def _all_filters(align: Alignment, width: int, points: Array, templates: Array) -> Array:
    def columns(chunk: Array) -> Array:
        """``(rows, d) -> (templates, rows)``."""
        # A reverse pass computes the products again, and keeps none of them.
        over_points = jax.checkpoint(lambda w: jax.vmap(lambda x: align(x, w))(chunk))
        return _in_batches(over_points, templates, chunk_rows(width * chunk.shape[0]))

    return map_columns(columns, points, chunk_rows(width)).T


def _distance(align: Alignment, x: Array, y: Array) -> Array:
    square = _dot(x, x) + _dot(y, y) - 2 * align(x, y)
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


@eqx.filter_jit
def _distances(align: Alignment, width: int, x: Array, y: Array) -> Array:
    distance = jax.checkpoint(lambda pair: _distance(align, *pair))
    return _in_batches(distance, (x, y), chunk_rows(width))


@eqx.filter_jit
def _variation(invariants: Callable, points: Array, moved: Array) -> Array:
    differences = jax.vmap(lambda x, y: jnp.linalg.norm(jnp.ravel(invariants(x) - invariants(y))))
    return jnp.max(differences(points, moved))


class _Pair(NamedTuple):
    """A pair in descent: both points, (f(x) − f(y))/dist, its Jacobian, dist, and the damping."""

    points: Array
    slope: Array
    jacobian: Array
    distance: Array
    damping: Array


@eqx.filter_jit
def _descents(
    invariants: Callable,
    align: Alignment,
    num_steps: int,
    at_once: int,
    resolution: Array,
    pairs: Array,
) -> tuple[_Pair, _Pair]:
    """All pairs as they start, and after steps of Levenberg–Marquardt."""

    def slope(points: Array) -> tuple[Array, tuple[Array, Array]]:
        distance = _distance(align, *points)
        found = jnp.ravel(invariants(points[0]) - invariants(points[1])) / distance
        return found, (found, distance)

    def evaluated(points: Array, damping: Array) -> _Pair:
        jacobian, (found, distance) = jax.jacfwd(slope, has_aux=True)(points)
        return _Pair(points, found, jacobian.reshape(found.shape[0], points.size), distance, damping)

    def step(pair: _Pair, _: None) -> tuple[_Pair, None]:
        curvature = _dot(pair.jacobian.T, pair.jacobian)
        level = jnp.trace(curvature) / pair.points.size * pair.damping
        system = curvature + level * jnp.eye(pair.points.size, dtype=level.dtype)
        change = jax.scipy.linalg.solve(system, _dot(pair.jacobian.T, pair.slope), assume_a="pos")
        trial = pair.points - change.reshape(pair.points.shape)
        radius = jnp.linalg.norm(pair.points)
        trial = evaluated(trial * (radius / jnp.linalg.norm(trial)), pair.damping / _DAMPING_STEP)
        better = jnp.linalg.norm(trial.slope) < jnp.linalg.norm(pair.slope)  # a NaN is not
        better &= trial.distance >= resolution * radius
        stay = pair._replace(damping=pair.damping * _DAMPING_STEP)
        kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), trial, stay)
        least = jnp.finfo(level.dtype).eps ** 0.5
        return kept._replace(damping=jnp.maximum(kept.damping, least)), None

    def descent(points: Array) -> tuple[_Pair, _Pair]:
        start = evaluated(points, jnp.asarray(_DAMPING, points.dtype))
        return start, jax.lax.scan(step, start, length=num_steps)[0]

    return _in_batches(descent, pairs, at_once)
