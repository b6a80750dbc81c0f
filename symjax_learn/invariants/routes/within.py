"""Route ``within``: of the functions of a basis those that a further group leaves fixed as well.

The basis may be of a structured route, where no eigenspace is at hand: elements are judged by what they
do to the functions at random points.
"""

import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from symjax_learn._linalg import null_space
from symjax_learn._types import Element
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.invariants.routes.averaging import LevelCoefficients

# Random elements beside the generators of a continuous group: two generate a dense subgroup of each
# component almost surely.
_FURTHER_ELEMENTS = 4
# A subgroup that is not all of a group has all of so many random elements with probability 2^{−40}.
_RANDOM_ELEMENTS = 40
# What rounding leaves of φ(gx) − φ(x) is less than this, and the least gap beside the cut.
_NEGLIGIBLE = {"float64": (1e-8, 1e4), "float32": (2e-3, 30.0)}


def coefficients_within(basis: InvariantBasis, action: Action) -> LevelCoefficients:
    """For each eigenvalue of a basis, the combinations of its functions that the generators fix.

    Raises:
        ValueError: a spectrum of φ(gx) − φ(x) without a clear gap.

    Cost: for each generator 2·m + 20 points for m functions of one eigenvalue, and m³.
    """
    elements = [action.generators] if action.group.num_generators else []
    if action.group.lie_algebra is not None:
        elements.append(_sampled(action, 2, _FURTHER_ELEMENTS))
    return _fixed(basis, action, (one for batch in elements for one in _single(batch)))


def counts_within(basis: InvariantBasis, action: Action) -> list[int]:
    """As many as 40 random elements fix, other than those above: a second opinion."""
    found = _fixed(basis, action, _single(_sampled(action, 3, _RANDOM_ELEMENTS)))
    return [matrix.shape[1] for matrix in found.coefficients]


def points_within(basis: InvariantBasis) -> int:
    """At how many random points elements are judged: twice the functions of an eigenvalue, and 20."""
    return 2 * int(np.unique(np.asarray(basis.eigenvalues), return_counts=True)[1].max()) + 20


def _sampled(action: Action, seed: int, count: int) -> Element:
    return action.sample(jax.random.key(seed), (count,))


def _single(batch: Element) -> Iterable[Element]:
    for row in range(len(jax.tree.leaves(batch)[0])):
        yield jax.tree.map(lambda leaf, row=row: leaf[row], batch)


def _fixed(basis: InvariantBasis, action: Action, elements: Iterable[Element]) -> LevelCoefficients:
    _, sizes = np.unique(np.asarray(basis.eigenvalues), return_counts=True)
    points = basis.space.sample(jax.random.key(1), (points_within(basis),))
    here = _features(basis, points)
    tolerance, least_gap = _NEGLIGIBLE[str(points.dtype)]
    starts = np.cumsum([0, *sizes])
    spaces = [np.eye(size) for size in sizes]
    gap, residual = math.inf, 0.0
    for element in elements:
        moves = (_features(basis, action.act(element, points)) - here) / math.sqrt(len(points))
        for i, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
            rates = moves[:, start:stop] @ spaces[i]
            norms = np.linalg.norm(rates, axis=0)
            if norms.max(initial=0.0) <= tolerance:
                residual = max(residual, float(norms.max(initial=0.0)))
                continue
            found = null_space(rates, tolerance=tolerance, min_gap=least_gap)
            gap, residual = min(gap, found.gap), max(residual, found.largest_null)
            spaces[i] = spaces[i] @ found.basis
    return LevelCoefficients(spaces, gap, residual)


def _features(basis: InvariantBasis, points: jax.Array) -> Float[np.ndarray, "n D"]:
    return np.asarray(basis(jnp.asarray(points)), np.float64)
