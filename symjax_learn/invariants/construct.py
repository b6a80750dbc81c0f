"""``eigenbasis`` and ``invariant_basis``: the truncation, the route, the certificate."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from symjax_learn._chunks import MEMORY_LIMIT, refuse_beyond
from symjax_learn._types import checked_count, is_traced
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import AbstractSpace, Level
from symjax_learn.geometry.spectra import RELATIVE
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.basis import (
    Certificate,
    InvariantBasis,
    Invariants,
    LinearCombinations,
)
from symjax_learn.invariants.choice import STRUCTURED, chosen_route
from symjax_learn.invariants.count import (
    checked_levels,
    counted_orbits,
    level_counts,
    orbit_counts,
)
from symjax_learn.invariants.operators import MAX_DENSE
from symjax_learn.invariants.routes.averaging import averaged_levels
from symjax_learn.invariants.routes.chain import chained_levels
from symjax_learn.invariants.routes.generators import generated_levels
from symjax_learn.invariants.routes.orbit_sums import (
    orbit_sums,
    signed_orbit_counts,
    signed_orbits,
    worst_signed_residual,
)
from symjax_learn.invariants.routes.orbits import (
    invariant_plane_waves,
    torus_orbits,
    worst_residual,
)
from symjax_learn.invariants.routes.subset import subset_levels
from symjax_learn.invariants.routes.within import (
    coefficients_within,
    counts_within,
    points_within,
)

# More functions than this are refused where they are built one by one.
_MAX_STRUCTURED = 1_000_000
_LEVELS_BY = {
    "generators": generated_levels,
    "lie": generated_levels,
    "subset": subset_levels,
    "chain": chained_levels,
    "averaging": averaged_levels,
}
# A basis is wrong when ‖D(g)c − c‖ exceeds this (set-up work is float64 in every session; the
# finished arrays have the session's precision).
_MAX_RESIDUAL = {"float64": 1e-10, "float32": 1e-5}
# Finite spaces have no law of Weyl: their truncation is searched from below the eigenvalues of the usual
# graphs.
_FIRST_BOUND = 2.0**-20


def eigenbasis(
    space: AbstractSpace,
    *,
    max_eigenvalue: float | None = None,
    max_functions: int | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> InvariantBasis:
    """All eigenfunctions of −Δ up to a truncation, in whole eigenspaces.

    Args:
        space: the space.
        max_eigenvalue: keep all λ ≤ this; or
        max_functions: keep the largest number of whole levels with at most so many functions.
        memory_limit: refuse set-up work beyond so many bytes.

    Raises:
        ValueError: neither or both truncations, a negative one, or a request beyond the limit.

    Cost: O(D·d).

    >>> import symjax_learn as sj
    >>> sj.eigenbasis(sj.Torus(2), max_eigenvalue=25).num_functions
    81
    """
    if not isinstance(space, AbstractSpace):
        raise TypeError(f"space: expected a space, such as Torus(3), and got {space!r}.")

    def dimensions(levels: Sequence[Level]) -> Iterable[int]:
        return (level.multiplicity for level in levels)

    levels = _truncated_levels(space, max_eigenvalue, max_functions, dimensions)
    count = sum(level.multiplicity for level in levels)
    multiplicities = [level.multiplicity for level in levels]
    refuse_beyond(
        memory_limit,
        count * (8 * space.dimension + 32),
        f"max_eigenvalue or max_functions: a table of {count:,} eigenfunctions",
        "Lower it, raise memory_limit, or use invariant_basis with a structured route.",
    )
    with jax.ensure_compile_time_eval():  # set-up work, also when its caller is being traced
        return InvariantBasis(
            space,
            None,
            space.functions(levels),
            _eigenvalues(levels, multiplicities),
            count,
            "eigenbasis",
            Certificate(count, "levels", count, math.inf, 0.0),
        )


def invariant_basis(
    space: AbstractSpace,
    group: AbstractGroup | Action,
    *,
    max_eigenvalue: float | None = None,
    max_functions: int | None = None,
    route: str = "auto",
    within: InvariantBasis | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> InvariantBasis:
    """An orthonormal basis of all eigenfunctions f with f(gx) = f(x) for every g, up to a truncation.

    Exact: the certificate compares the rank with an independent exact count and bounds
    ‖D(g)c − c‖; a mismatch raises.

    Args:
        space: the space.
        group: the group, or an action on the space.
        max_eigenvalue: keep all λ ≤ this; or
        max_functions: keep the largest number of whole levels with at most so many *invariant*
            functions.
        route: ``"orbits"`` (exact integer orbits of eigenfunctions), ``"multiset"`` (multisets of
            functions of one point, where points or coordinates are permuted: nothing of the size of the
            full space is made), ``"motif"`` (copies of graphs of at most six edges, where all nodes of
            graphs are permuted), ``"harmonic"`` (harmonics among symmetric polynomials, where
            coordinates of a sphere or a ball are permuted or change signs), ``"coupled"``
            (occupation-number states of weight zero, where the points of a set are permuted, and all of
            them moved at once), ``"generators"`` (null spaces of D(g) − I over the generators),
            ``"lie"`` (the same for a continuous group, with dρ(A) over its Lie algebra), ``"chain"``
            (the exact average over G from the transversals of a stabilizer chain), ``"subset"`` (a few
            random elements, right with probability 1 − 1e-9), ``"averaging"`` (all |G| elements: the
            oracle), or ``"auto"``: multiset where points or coordinates are permuted and it evaluates
            faster, motif likewise, harmonic and coupled beyond 2,000 eigenfunctions; orbits where the
            group permutes the eigenfunctions up to phases; else generators or lie; chain or subset where
            an eigenspace is large and D(g) is known without its matrix. The answer's ``reason`` says
            why.
        within: in the place of a truncation and a route, a basis on the same space, such as one by a
            structured route: the functions of its span that this group leaves fixed as well, found and
            counted by what generators, and other random elements, do to them at random points.
        memory_limit: refuse set-up work beyond so many bytes.

    Raises:
        ValueError: neither or both truncations, a negative one, an unknown route or one that does
            not fit, a request beyond the memory limit, or a certificate that fails.
        TypeError: the group has no action on the space.

    Cost: ``multiset`` Σ_s 2^{|s|} over the multisets s, that is over the invariant functions;
    ``motif`` nothing but to read a table; ``harmonic`` Σ_k m_k³ for m_k partitions of the degree k;
    ``coupled`` S³ for S states of weight zero of each product of symmetric powers of the eigenspaces of
    one point;
    ``orbits`` O(k·D·(d + log D)) for k generators; for each level of dimension m ``generators``
    O(k·m² + m³), ``averaging`` |G|·m² + m³,
    ``chain`` the same with Σ|U_i| in the place of |G|, ``lie`` dim G·m³, ``subset`` about 40 + log₂ m
    random elements, each m², and m³ for each that is kept.

    References:
        Soleymani, Tahmasebi, Jegelka, Jaillet, *Learning with Exact Invariances in Polynomial Time*,
        ICML 2025.

    >>> import symjax_learn as sj
    >>> basis = sj.invariant_basis(sj.Torus(10), sj.symmetric_group(10), max_eigenvalue=8)
    >>> basis.num_functions, basis.num_ambient
    (78, 110105)
    """
    if is_traced(space, group):
        raise TypeError(
            "group: it is being traced, and a basis is exact set-up work; build it outside jit, vmap "
            "and grad, and pass the basis in."
        )
    acting = as_action(space, group)
    if within is not None:
        if not isinstance(within, InvariantBasis):
            raise TypeError(f"within: expected a basis and got {within!r}.")
        if max_eigenvalue is not None or max_functions is not None or route != "auto":
            raise ValueError(
                "within: its truncation is that of the basis and it is a route of its own; leave out "
                "max_eigenvalue, max_functions and route."
            )
        if not eqx.tree_equal(space, within.space):
            raise ValueError(f"within: a basis on {within.space} came, and the space is {space}.")
        with jax.ensure_compile_time_eval():
            return _within(within, acting, memory_limit)
    first, _ = chosen_route(acting, route, ())

    def construct(levels: Sequence[Level]) -> InvariantBasis:
        chosen, reason = chosen_route(acting, route, levels)
        return dataclasses.replace(by_route(chosen, levels), reason=reason)

    def by_route(chosen: str, levels: Sequence[Level]) -> InvariantBasis:
        if chosen in STRUCTURED:
            return _by_structure(acting, levels, chosen, memory_limit)
        if chosen == "orbits" and isinstance(space, Torus):
            return _by_plane_waves(acting, levels, memory_limit)
        if chosen == "orbits":
            return _by_orbit_sums(acting, levels, memory_limit)
        return _by_levels(acting, levels, chosen, memory_limit)

    def counts(levels: Sequence[Level]) -> Iterable[int]:
        known, _ = level_counts(acting, levels)
        # Without an exact count level by level, as long as the truncation asks for another.
        return known or (_count_of_level(acting, first, level, memory_limit) for level in levels)

    with jax.ensure_compile_time_eval():  # set-up work, also when its caller is being traced
        levels = _truncated_levels(space, max_eigenvalue, max_functions, counts)
        return construct(levels)


def _within(basis: InvariantBasis, action: Action, memory_limit: int) -> InvariantBasis:
    """The functions of a basis that a further group fixes, by generators; counted by random elements."""
    refuse_beyond(
        memory_limit,
        24 * points_within(basis) * basis.num_functions,
        f"within: the values of {basis.num_functions:,} functions",
        "Lower the truncation of the basis, or raise memory_limit.",
    )
    found = coefficients_within(basis, action)
    ranks = [matrix.shape[1] for matrix in found.coefficients]
    values = np.unique(np.asarray(basis.eigenvalues, np.float64))
    table = LinearCombinations(
        table=basis.functions,
        coefficients=tuple(jnp.asarray(matrix, float) for matrix in found.coefficients),
        num_functions=sum(ranks),
    )
    counts = counts_within(basis, action)
    # Rounding of values at points, not of coefficients, is what is left of their differences.
    certificate = Certificate(sum(counts), "second_route", sum(ranks), found.gap, found.residual)
    fixed = dataclasses.replace(
        basis,
        action=action,
        functions=table,
        eigenvalues=jnp.asarray(np.repeat(values, ranks), float),
        route="within",
        certificate=certificate,
        reason=f"of the {basis.num_functions} functions of the route '{basis.route}'",
    )
    if counts != ranks:
        raise ValueError(
            f"within: generators fix {ranks} functions by eigenvalue and random elements {counts}. Are "
            "the generators exact, and do they generate the group?"
        )
    return fixed


def _count_of_level(action: Action, route: str, level: Level, memory_limit: int) -> int:
    if route == "orbits" or route in STRUCTURED:
        counts = counted_orbits(action, [level], memory_limit)
        if counts is None:
            raise ValueError(
                f"max_functions: no exact count is known for {type(action.group).__name__} on "
                f"{type(action.space).__name__} here; give max_eigenvalue."
            )
        return counts[0]
    return _LEVELS_BY[route](action, [level], memory_limit).coefficients[0].shape[1]


def _by_plane_waves(action: Action, levels: Sequence[Level], memory_limit: int) -> InvariantBasis:
    space = action.space
    assert isinstance(space, Torus)
    found = torus_orbits(action, space, levels, memory_limit)
    counts, source = level_counts(action, levels)
    if counts is None:
        counts, source = orbit_counts(found, levels), "orbits"
    table, eigenvalues = invariant_plane_waves(space, found)
    residual = worst_residual(table, found)
    # Waves are shared by no two functions except the real and imaginary part of one orbit, which
    # are orthogonal: the rank is the number of functions of nonzero norm.
    rank = int(np.sum(np.asarray(table.amplitudes) > 0))
    basis = InvariantBasis(
        space,
        action,
        table,
        jnp.asarray(eigenvalues, float),
        sum(level.multiplicity for level in levels),
        "orbits",
        Certificate(sum(counts), source, rank, math.inf, residual),
    )
    return _certified(basis)


def _by_structure(
    action: Action, levels: Sequence[Level], route: str, memory_limit: int
) -> InvariantBasis:
    """Functions that are invariant as they are built, compared with the exact counts of all levels."""
    counts, source = level_counts(action, levels)
    if counts is not None and sum(counts) > _MAX_STRUCTURED:
        raise ValueError(
            f"max_eigenvalue or max_functions: there are {sum(counts):,} invariant functions and the "
            f"route '{route}' builds at most {_MAX_STRUCTURED:,}; lower it."
        )

    def elsewhere(space: AbstractSpace, group: AbstractGroup, max_eigenvalue: float) -> Invariants:
        basis = invariant_basis(space, group, max_eigenvalue=max_eigenvalue, memory_limit=memory_limit)
        # In float64, by their levels: the basis has them in the session's precision.
        known = np.asarray([level.eigenvalue for level in space.levels(max_eigenvalue)])
        distances = np.abs(np.asarray(basis.eigenvalues, np.float64)[:, None] - known)
        certificate = basis.certificate
        eigenvalues = known[distances.argmin(axis=1)]
        return Invariants(basis.functions, eigenvalues, certificate.residual, certificate.gap)

    found = STRUCTURED[route].build(action, levels, elsewhere)
    places = _places_of(found.eigenvalues, levels)
    if counts is None:
        counts, source = counted_orbits(action, levels, memory_limit), "orbits"
    if counts is None:
        raise ValueError(
            f"route: '{route}' is certified by an exact count, and none is known for "
            f"{type(action.group).__name__} on {type(action.space).__name__} here; use 'auto'."
        )
    if np.bincount(places, minlength=len(levels)).tolist() != counts:
        raise ValueError(
            f"route: '{route}' found {len(places)} functions, and not {sum(counts)}, or not in the "
            f"levels of the exact count ({source}). This is a defect; please report it."
        )
    eigenvalues = np.asarray([level.eigenvalue for level in levels])[places]
    basis = InvariantBasis(
        action.space,
        action,
        found.table,
        jnp.asarray(eigenvalues, float),
        sum(level.multiplicity for level in levels),
        route,
        Certificate(sum(counts), source, len(places), found.gap, found.residual),
    )
    return _certified(basis)


def _places_of(eigenvalues: Float[np.ndarray, " D"], levels: Sequence[Level]) -> Int[np.ndarray, " D"]:
    """The level of each function, by its eigenvalue."""
    known = np.asarray([level.eigenvalue for level in levels])
    nearest = np.clip(np.searchsorted(known, eigenvalues * (1 - 2 * RELATIVE)), 0, len(known) - 1)
    assert np.allclose(known[nearest], eigenvalues, rtol=4 * RELATIVE, atol=1e-12)
    return nearest


def _by_orbit_sums(action: Action, levels: Sequence[Level], memory_limit: int) -> InvariantBasis:
    found = signed_orbits(action, levels, memory_limit)
    counts, source = level_counts(action, levels)
    if counts is None:
        counts, source = signed_orbit_counts(found, levels), "orbits"
    table, level_of = orbit_sums(action, levels, found)
    eigenvalues = np.asarray([level.eigenvalue for level in levels])[level_of]
    basis = InvariantBasis(
        action.space,
        action,
        table,
        jnp.asarray(eigenvalues, float),
        sum(level.multiplicity for level in levels),
        "orbits",
        Certificate(sum(counts), source, len(level_of), math.inf, worst_signed_residual(table, found)),
    )
    return _certified(basis)


def _by_levels(action: Action, levels: Sequence[Level], route: str, memory_limit: int) -> InvariantBasis:
    found = _LEVELS_BY[route](action, levels, memory_limit)
    counts, source = level_counts(action, levels)
    if counts is None and (other := _second_route(action, route, levels)) is not None:
        second = _LEVELS_BY[other](action, levels, memory_limit)
        counts, source = [matrix.shape[1] for matrix in second.coefficients], "second_route"
    count = sum(counts) if counts else sum(matrix.shape[1] for matrix in found.coefficients)
    kept = [i for i, matrix in enumerate(found.coefficients) if matrix.shape[1]]
    ranks = [found.coefficients[i].shape[1] for i in kept]
    kept_levels = [levels[i] for i in kept]
    table = LinearCombinations(
        table=action.space.functions(kept_levels),
        coefficients=tuple(jnp.asarray(found.coefficients[i], float) for i in kept),
        num_functions=sum(ranks),
    )
    basis = InvariantBasis(
        action.space,
        action,
        table,
        _eigenvalues(kept_levels, ranks),
        sum(level.multiplicity for level in levels),
        route,
        Certificate(count, source, sum(ranks), found.gap, found.residual),
    )
    return _certified(basis)


def _second_route(action: Action, route: str, levels: Sequence[Level]) -> str | None:
    """A route that counts where no formula does: random elements, or constraints for these."""
    if route != "subset":
        return None if action.group.sampler is None else "subset"
    dense = max(level.multiplicity for level in levels) <= MAX_DENSE
    return "generators" if dense else None


def _certified(basis: InvariantBasis) -> InvariantBasis:
    """The basis, or an error when its certificate fails."""
    certificate = basis.certificate
    if certificate.rank != certificate.count:
        raise ValueError(
            f"route: '{basis.route}' found {certificate.rank} invariant functions where the exact "
            f"count ({certificate.source}) is {certificate.count}. This is a defect; please report it."
        )
    allowed = _MAX_RESIDUAL[str(basis.eigenvalues.dtype)]
    if not certificate.residual <= allowed:
        raise ValueError(
            f"route: '{basis.route}' gives functions that are not invariant: |D(g)c - c| reaches "
            f"{certificate.residual:.1e} > {allowed}. Are the generators exact?"
        )
    return basis


def _truncated_levels(
    space: AbstractSpace,
    max_eigenvalue: float | None,
    max_functions: int | None,
    counts: Callable[[Sequence[Level]], Iterable[int]],
) -> list[Level]:
    """Whole levels up to exactly one of the two truncations; ``counts`` are functions per level."""
    if (max_eigenvalue is None) == (max_functions is None):
        given = "neither" if max_eigenvalue is None else "both"
        raise ValueError(
            f"max_eigenvalue, max_functions: give exactly one of them; {given} came. A truncation "
            "keeps whole eigenspaces."
        )
    if max_eigenvalue is not None:
        return checked_levels(space, max_eigenvalue)
    left = checked_count("max_functions", max_functions)
    if space.dimension:  # from the scale at which Weyl's law puts about one eigenfunction
        bound = (2 * math.pi) ** 2 * math.exp(-2 * space.log_volume / space.dimension)
    else:
        bound = _FIRST_BOUND
    kept: list[Level] = []
    while True:
        fresh = space.levels(bound)[len(kept) :]
        for level, count in zip(fresh, counts(fresh) if fresh else (), strict=True):
            left -= count
            if left < 0:
                return kept
            kept.append(level)
        if sum(level.multiplicity for level in kept) == space.cardinality:
            return kept
        bound *= 2


def _eigenvalues(levels: Sequence[Level], multiplicities: Sequence[int]):
    values = [level.eigenvalue for level in levels]
    return jnp.asarray(np.repeat(values, multiplicities), float)
