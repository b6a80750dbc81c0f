"""Which route builds a basis, and why."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from symjax_learn.geometry.spaces import Level
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import Invariants
from symjax_learn.invariants.count import level_counts
from symjax_learn.invariants.operators import MAX_DENSE, has_operator
from symjax_learn.invariants.routes.coupled import coupled_invariants, coupled_products
from symjax_learn.invariants.routes.harmonic import harmonic_invariants, permuted_coordinates
from symjax_learn.invariants.routes.motif import graph_products, motif_invariants
from symjax_learn.invariants.routes.multiset import (
    Elsewhere,
    multiset_invariants,
    permuted_points,
)
from symjax_learn.invariants.signed import permutes_functions

# Up to so many eigenfunctions the general routes are the quickest: orbits, and null spaces.
_FEW_EIGENFUNCTIONS = 50_000
_FEW_CONSTRAINED = 2_000
_GENERAL = ("orbits", "generators", "lie", "chain", "subset", "averaging")


class Structure(NamedTuple):
    """A route that builds the invariants of pairs of one kind directly.

    Attributes:
        fits: how many products a function costs for each input, about, where the pair and these levels
            (none, when they are not yet known) are of this kind, or 0.
        build: the invariants up to the last of these levels; those of parts by the last argument.
        kind: of its pairs, in words.
        because: the reason to take it.
        above: ``auto`` takes it beyond so many eigenfunctions.
    """

    fits: Callable[[Action, Sequence[Level]], int]
    build: Callable[[Action, Sequence[Level], Elsewhere], Invariants]
    kind: str
    because: str
    above: int = 0


# In the order in which ``auto`` asks them.
STRUCTURED: dict[str, Structure] = {
    "multiset": Structure(
        permuted_points,
        multiset_invariants,
        "a group that permutes points of a set, or coordinates of a cubic torus, a box, a hypercube or "
        "a Gaussian space (S_n, with signs, Young subgroups, wreath products and their direct products)",
        "the group permutes points or coordinates, whose multisets are few",
    ),
    "harmonic": Structure(
        permuted_coordinates,
        harmonic_invariants,
        "a sphere or a ball whose coordinates are permuted or change signs (S_n, signs, both, Young "
        "subgroups and their direct products)",
        "the group permutes coordinates or their signs, so that few polynomials are harmonic",
        _FEW_CONSTRAINED,
    ),
    "motif": Structure(
        graph_products,
        motif_invariants,
        "all permutations of the nodes of graphs, and at most 6 edges (max_eigenvalue 12)",
        "the group permutes all nodes of graphs, whose classes of few edges are few",
    ),
    "coupled": Structure(
        coupled_products,
        coupled_invariants,
        "a direct product of permutations of the points of a set (S_n, Young subgroups) and of a group "
        "that moves every point",
        "the group permutes points and moves all of them at once, which couples few states",
        _FEW_CONSTRAINED,
    ),
}
ROUTES = (*_GENERAL, *STRUCTURED)


def chosen_route(action: Action, route: str, levels: Sequence[Level]) -> tuple[str, str]:
    """The route, and why; for ``"auto"`` by the structure of the pair and the size of its levels."""
    waves = isinstance(action.space, Torus)
    monomial = action.user_act is None and (waves or permutes_functions(action.space, action.group))
    constraints = "generators" if action.group.lie_algebra is None else "lie"
    if route == "auto":
        for name, structure in STRUCTURED.items():
            if _is_cheaper(structure, action, levels, monomial):
                return name, structure.because
        if monomial:
            return "orbits", "the group permutes the eigenfunctions up to phases"
        return _route_by_size(action, constraints, levels)
    if route not in ROUTES:
        raise ValueError(f"route: expected 'auto' or one of {ROUTES} and got {route!r}.")
    if route == "orbits" and not monomial:
        raise ValueError(
            "route: 'orbits' needs a group that permutes eigenfunctions up to phases (coordinate groups "
            "on a torus, signed permutations on a box, a hypercube, a Gaussian space or graphs, "
            f"permutations of the points of a set); use '{constraints}'."
        )
    if route in STRUCTURED and not _fits(STRUCTURED[route], action, levels):
        general = "orbits" if monomial else constraints
        raise ValueError(f"route: {route!r} needs {STRUCTURED[route].kind}; use '{general}'.")
    if route in ("generators", "lie") and route != constraints:
        kind = "continuous" if constraints == "lie" else "finite"
        raise ValueError(f"route: {route!r} does not fit a {kind} group; use '{constraints}'.")
    return route, "it was asked for"


def _fits(structure: Structure, action: Action, levels: Sequence[Level]) -> int:
    return 0 if action.user_act is not None else structure.fits(action, levels)


def _is_cheaper(structure: Structure, action: Action, levels: Sequence[Level], monomial: bool) -> bool:
    """Whether the pair fits and is counted, and its invariants cost less than all eigenfunctions do."""
    products = _fits(structure, action, levels)
    ambient = sum(level.multiplicity for level in levels)
    few = max(structure.above, _FEW_EIGENFUNCTIONS if monomial else 0)
    if not products or not levels or ambient <= few:
        return False
    counts, _ = level_counts(action, levels)
    if counts is None:
        return False
    return not monomial or ambient > products * sum(counts)


def _route_by_size(action: Action, constraints: str, levels: Sequence[Level]) -> tuple[str, str]:
    largest, place = max(((level.multiplicity, i) for i, level in enumerate(levels)), default=(1, 0))
    if largest > MAX_DENSE and has_operator(action, levels[place]):
        size = f"D(g) is known without its matrix on eigenspaces of dimension {largest:,} > {MAX_DENSE}"
        if action.group.lie_algebra is None:
            return "chain", size
        if action.group.sampler is not None:
            return "subset", size
    number = action.group.num_generators + action.group.dimension
    kind = "generators" if constraints == "generators" else "representatives and rates"
    return constraints, f"{number} {kind} constrain eigenspaces of dimension up to {largest:,}"
