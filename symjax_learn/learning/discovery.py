"""Which subgroup of a reference group leaves a function fixed that is only known from noisy data?

One half of the data fits: freely, and with D(g)c = c for one element g after the other, at one penalty.
The other half judges by d_i = (y_i − f_g(x_i))² − (y_i − f_0(x_i))²: what g costs is E d, and g is
accepted where an upper confidence bound of it is at most the tolerance.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import AnyArray, Element, Key, as_array, checked_count, is_traced
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import LieGroup, TranslationGroup
from symjax_learn.algebra.subgroups import distinct
from symjax_learn.geometry.spaces import AbstractSpace
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.invariants.construct import eigenbasis, invariant_basis
from symjax_learn.invariants.routes.generators import generated_levels
from symjax_learn.invariants.subactions import generated_action
from symjax_learn.learning.data import checked_data
from symjax_learn.learning.directions import closed_directions, connected_action
from symjax_learn.learning.model import SpectralModel
from symjax_learn.learning.spectral import fit_ridge
from symjax_learn.learning.symmetry_tests import check_level
from symjax_learn.learning.trials import (
    Judgements,
    Trial,
    fixed_by_directions,
    fixed_by_elements,
    halves,
)

_DEFAULT_SPECTRUM = sobolev(2.0)
# More random elements than this are not drawn.
_MOST_CANDIDATES = 100_000


class Discovery(eqx.Module):
    """A symmetry that data support, and what speaks for it.

    Attributes:
        action: of the subgroup that was found, on the space; ``action.group`` is the subgroup.
        basis: its invariant functions.
        model: the fit on them to all data.
        elements: the distinct elements that were tested, and
        judgements: what each costs.
        directions: the directions of the Lie algebra that were tested, as coefficients in its basis
            ``(k, dim G)``; without rows for finite groups; and
        direction_judgements: what each costs.
        rates: of continuous groups the eigenvalues, ascending, of M_ab = ⟨dρ(A_a)f, dρ(A_b)f⟩ over the
            variance, from two independent fits, so that noise adds no bias: those near 0 are symmetries,
            also along axes that were not tested; and
        axes: the directions of these, columns of coefficients in the basis of the Lie algebra.
        cost: of the whole subgroup, in units of the variance of the held-out targets.
        num_dropped: accepted elements and directions that were given up until the bound on this cost was
            within the tolerance.
    """

    action: Action
    basis: InvariantBasis
    model: SpectralModel
    elements: Element
    judgements: Judgements
    directions: Float[np.ndarray, "k a"]
    direction_judgements: Judgements
    rates: Float[np.ndarray, " a"]
    axes: Float[np.ndarray, "a a"]
    cost: float
    num_dropped: int

    @property
    def group(self) -> AbstractGroup:
        """The subgroup."""
        return self.action.group


def discover_symmetry(
    key: Key,
    space: AbstractSpace,
    reference_group: AbstractGroup | Action,
    x: AnyArray,
    y: AnyArray,
    *,
    max_eigenvalue: float,
    num_candidates: int | None = None,
    candidates: Element | None = None,
    directions: AnyArray | None = None,
    order_fraction: float = 0.1,
    tolerance: float = 0.02,
    level: float = 0.05,
    holdout: float = 0.5,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> Discovery:
    """The subgroup of a reference group that leaves f fixed, from data y = f(x) + ε.

    Random elements g are tested one by one: g is accepted where the held-out error of the fit with
    f(gx) = f(x) exceeds that of the free fit by no more than the tolerance, with confidence. The answer
    is what the accepted ones generate. So an element whose imposition costs the tolerance or more is
    accepted with probability ≤ level, of all candidates together (to the accuracy of the normal
    distribution for held-out means). Subgroups with the same invariant functions up to
    ``max_eigenvalue`` cannot be told apart.

    Of a continuous group its components' representatives, ``candidates``, and directions of the Lie
    algebra are tested, and accepted directions are completed by their brackets.

    Args:
        key: a JAX random key, for the parts of the data and the elements.
        space: where x lies.
        reference_group: the group of symmetries that are possible, or an action of it.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``.
        max_eigenvalue: of the functions that are fitted, as in ``eigenbasis``.
        num_candidates: T, how many random elements of a finite group; all, where it has no more. Unless
            given, 2(log₂(κ|G|) + log₂(1/level))/κ, so that those in a subgroup of order ≥ κ|G| generate
            it with probability ≥ 1 − level.
        candidates: further elements, a batch with one leading axis.
        directions: ``(k, dim G)``, coefficients in the basis of the Lie algebra, instead of that basis.
        order_fraction: κ in (0, 1]: the least |H|/|G| of a subgroup H that is looked for.
        tolerance: η ≥ 0, what a symmetry may cost in held-out squared error, in units of the variance of
            the held-out targets.
        level: the probability of a false acceptance.
        holdout: the fraction of the samples that judge.
        spectrum: μ of the fits, as in ``fit_ridge``.
        penalty: η of the free fit, as there; the constrained fits have that of the free one.
        throw: raise for bad values.
        memory_limit: refuse more bytes for n × D features and the matrices of the eigenspaces.

    Returns:
        A :class:`Discovery`; where nothing is accepted, of the trivial subgroup.

    Raises:
        ValueError, TypeError: as ``fit_ridge``; fewer than 10 samples in a part, κ outside (0, 1], a
            negative tolerance, a level or a part outside (0, 1), more than 100,000 random elements, a
            product of continuous groups, directions whose group is not closed.

    Cost: O(n·D² + n·D·T) for D eigenfunctions, D³ for each distinct element; never n·|G|.

    References:
        Soleymani, Tahmasebi, Jegelka, Jaillet, *Efficient Learning and Symmetry Discovery under Exact
        Invariances*, COLT 2026, Algorithm 3; bounds for all candidates together are our addition.

    >>> import symjax_learn as sj, jax, jax.numpy as jnp
    >>> space, keys = sj.Torus(3), jax.random.split(jax.random.key(0), 3)
    >>> x = space.sample(keys[0], (200,))
    >>> y = jnp.cos(x[:, 0]) + jnp.cos(x[:, 1]) + 0.3 * jax.random.normal(keys[1], (200,))
    >>> found = sj.discover_symmetry(keys[2], space, sj.symmetric_group(3), x, y, max_eigenvalue=2)
    >>> found.group.order, found.group.generators.tolist()
    (2, [[1, 0, 2]])
    """
    if is_traced(space, reference_group, x, y, key):
        raise TypeError(
            "x, y: they are being traced, and the group that is found depends on their values; call "
            "discover_symmetry outside jit, vmap and grad."
        )
    acting = as_action(space, reference_group)
    group = acting.group
    if group.lie_algebra is not None and not isinstance(group, LieGroup | TranslationGroup):
        raise ValueError(
            f"reference_group: symmetries of a continuous {type(group).__name__} are not looked for; "
            "give one of its factors at a time, as an action."
        )
    _check_numbers(order_fraction, tolerance, level, holdout)
    data = checked_data(space, x, y, values=throw)
    keys = jax.random.split(key)
    basis = eigenbasis(space, max_eigenvalue=max_eigenvalue)
    refuse_beyond(
        memory_limit,
        16 * len(data.x) * basis.num_functions,
        f"max_eigenvalue: {basis.num_functions:,} functions of {len(data.x):,} samples",
        "Lower it, or raise memory_limit.",
    )
    levels = space.levels(max_eigenvalue)
    parts = halves(keys[0], data, holdout)
    free = fit_ridge(
        basis, parts[0].x, parts[0].y, spectrum=spectrum, penalty=penalty, throw=throw,
        memory_limit=memory_limit,
    )  # fmt: skip
    trial = Trial(basis, levels, parts, spectrum, float(free.penalty))
    tested = _candidates(keys[1], group, num_candidates, candidates, order_fraction, level)
    rows = _checked_directions(directions, group)
    num_elements = jax.tree.leaves(tested)[0].shape[0]
    bar = tolerance, level / max(1, num_elements + len(rows))
    judgements = trial.judged(fixed_by_elements(acting, levels, tested, memory_limit), *bar)
    derivations = acting.derivations(levels)
    along = trial.judged(fixed_by_directions(derivations, rows), *bar)

    kept, kept_rows = judgements.accepted.copy(), along.accepted.copy()
    while True:
        found = _generated(acting, tested, kept, rows[kept_rows])
        blocks = generated_levels(found, levels, memory_limit).coefficients
        whole = trial.judged([blocks], tolerance, level)
        if whole.accepted[0] or not (kept.any() or kept_rows.any()):
            break
        _drop_worst(kept, judgements.bounds, kept_rows, along.bounds)
    invariant = invariant_basis(space, found, max_eigenvalue=max_eigenvalue, memory_limit=memory_limit)
    model = fit_ridge(
        invariant, x, y, spectrum=spectrum, penalty=penalty, throw=throw, memory_limit=memory_limit
    )
    rates, axes = trial.departures_along(derivations)
    accepted = int(judgements.accepted.sum() + along.accepted.sum())
    return Discovery(
        found, invariant, model, tested, judgements, rows, along, rates, axes,
        float(whole.costs[0]), accepted - int(kept.sum() + kept_rows.sum()),
    )  # fmt: skip


def _check_numbers(order_fraction: object, tolerance: object, level: object, holdout: object) -> None:
    number = (int, float, np.integer, np.floating)
    if not isinstance(order_fraction, number) or not 0 < order_fraction <= 1:
        raise ValueError(
            f"order_fraction: expected κ in (0, 1], the least |H|/|G|, and got {order_fraction!r}."
        )
    if not isinstance(tolerance, number) or not 0 <= tolerance < math.inf:
        raise ValueError(
            f"tolerance: expected a finite number >= 0, in units of the variance of the targets, and "
            f"got {tolerance!r}."
        )
    if not isinstance(holdout, number) or not 0 < holdout < 1:
        raise ValueError(f"holdout: expected a fraction in (0, 1) and got {holdout!r}.")
    check_level(level)


def _candidates(
    key: Key,
    group: AbstractGroup,
    num_candidates: int | None,
    candidates: Element | None,
    order_fraction: float,
    level: float,
) -> Element:
    """Distinct elements other than the identity: random ones or all, and those that are given."""
    batches = [] if candidates is None else [_checked_candidates(group, candidates)]
    if group.lie_algebra is not None:
        if num_candidates:
            raise ValueError(
                "num_candidates: random elements of a continuous group lie in no smaller one; give "
                "candidates and directions."
            )
        if isinstance(group, TranslationGroup) and batches:
            raise ValueError(
                "candidates: of translations only directions are tested; for finitely many give "
                "affine_torus_group as the reference."
            )
        batches.append(group.generators)
        return jax.tree.map(
            lambda *leaves: np.concatenate([np.asarray(one) for one in leaves]), *batches
        )
    if num_candidates is None:
        least = max(2.0, order_fraction * float(group.order))
        num_candidates = math.ceil(2 * (math.log2(least) - math.log2(level)) / order_fraction)
    count = checked_count("num_candidates", num_candidates, 0)
    if count > _MOST_CANDIDATES:
        raise ValueError(
            f"num_candidates: {count:,} random elements, more than {_MOST_CANDIDATES:,}; raise "
            "order_fraction, or give candidates."
        )
    if count:
        drawn = group.elements() if group.order <= count else group.sample(key, (count,))
        batches.append(drawn)
    if not batches:
        raise ValueError("num_candidates: there is none, and no candidates are given.")
    elements = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *batches)
    return jax.tree.map(lambda leaf: leaf[distinct(group, elements)], elements)


def _checked_candidates(group: AbstractGroup, candidates: Element) -> Element:
    """A batch with the structure of the group's elements."""
    identity = group.identity
    if jax.tree.structure(candidates) == jax.tree.structure(identity):
        batch = jax.tree.map(lambda leaf: jnp.asarray(as_array("candidates", leaf)), candidates)
        pairs = zip(jax.tree.leaves(batch), jax.tree.leaves(identity), strict=True)
        if all(leaf.shape[1:] == one.shape and leaf.ndim > one.ndim for leaf, one in pairs):
            return batch
    raise ValueError(
        f"candidates: expected a batch of elements with one leading axis, made like {identity}, and got "
        f"{candidates!r}."
    )


def _checked_directions(directions: AnyArray | None, group: AbstractGroup) -> Float[np.ndarray, "k a"]:
    size = group.dimension
    if directions is None:
        return np.eye(size)
    rows = as_array("directions", directions)
    if rows.ndim != 2 or rows.shape[1] != size or rows.dtype.kind not in "fiu" or not size:
        raise ValueError(
            f"directions: expected shape (k, {size}), coefficients in the basis of the Lie algebra, and "
            f"got {rows.dtype} of shape {rows.shape}."
        )
    rows = np.asarray(rows, np.float64)
    if not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise ValueError("directions: expected finite vectors other than 0.")
    return rows


def _generated(
    action: Action, elements: Element, kept: Bool[np.ndarray, " k"], rows: Float[np.ndarray, "q a"]
) -> Action:
    """The action of what elements and directions generate together."""
    chosen = jax.tree.map(lambda leaf: leaf[np.flatnonzero(kept)], elements)
    if action.group.lie_algebra is None:
        return generated_action(action, chosen)
    return connected_action(action, closed_directions(action.group, rows), chosen)


def _drop_worst(
    kept: Bool[np.ndarray, " k"], bounds: Float[np.ndarray, " k"],
    kept_rows: Bool[np.ndarray, " q"], row_bounds: Float[np.ndarray, " q"],
) -> None:  # fmt: skip
    """Give up what is kept of the largest bound, in place."""
    worst = np.where(kept, bounds, -np.inf).max(initial=-np.inf)
    worst_row = np.where(kept_rows, row_bounds, -np.inf).max(initial=-np.inf)
    if worst >= worst_row:
        kept[np.argmax(np.where(kept, bounds, -np.inf))] = False
    else:
        kept_rows[np.argmax(np.where(kept_rows, row_bounds, -np.inf))] = False
