"""Molien and Hilbert series: how many invariant polynomials there are of each degree, exact.

Power series are lists of Python integers, the coefficient of t^k at place k.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int

# Averages of characters must be this close to integers.
_INTEGRAL = 1e-6


def hilbert_series(degrees: Iterable[int], max_degree: int) -> list[int]:
    """Π_i 1/(1 − t^{d_i}): polynomials in generators of these degrees, by degree.

    For a finite reflection group, and for O(n) with the degree 2, the series of all invariants.

    Args:
        degrees: d_i ≥ 1.
        max_degree: the last degree.

    Cost: one addition for each degree and generator.

    >>> from symjax_learn.algebra.series import hilbert_series
    >>> hilbert_series([2, 6, 10], 12)  # the icosahedral group
    [1, 0, 1, 0, 1, 0, 2, 0, 2, 0, 3, 0, 4]
    """
    series = [1] + [0] * max_degree
    for step in degrees:
        for degree in range(step, max_degree + 1):
            series[degree] += series[degree - step]
    return series


def molien_series(
    matrices: Float[np.ndarray, "classes d d"],
    max_degree: int,
    *,
    multiplicities: Int[np.ndarray, " classes"] | None = None,
) -> list[int]:
    """(1/|G|) Σ_g 1/det(1 − tg): invariant polynomials by degree (Molien).

    Each term from the traces of powers, by Newton's identities k·h_k = Σ_{i=1}^k tr(g^i) h_{k−i}.

    Args:
        matrices: every element; or one of each conjugacy class, with
        multiplicities: the sizes of the classes.
        max_degree: the last degree.

    Raises:
        ValueError: the averages are not integers, so that these are not the elements of a group.

    Cost: classes·max_degree·(d³ + max_degree), in float64.

    References:
        R. P. Stanley, *Invariants of finite groups and their applications to combinatorics*, 1979.

    >>> from symjax_learn.algebra.series import molien_series
    >>> import numpy as np
    >>> molien_series(np.stack([np.eye(2), -np.eye(2)]), 4)
    [1, 0, 3, 0, 5]
    """
    matrices = np.asarray(matrices, float)
    weights = np.ones(len(matrices)) if multiplicities is None else np.asarray(multiplicities, float)
    weights = weights / weights.sum()
    power = matrices
    traces: list[np.ndarray] = []
    terms: list[np.ndarray] = [np.ones(len(matrices))]
    for degree in range(1, max_degree + 1):
        traces.append(np.trace(power, axis1=1, axis2=2))
        power = power @ matrices
        products = [traces[i] * terms[degree - 1 - i] for i in range(degree)]
        terms.append(np.sum(products, axis=0) / degree)
    return integral([float(weights @ term) for term in terms])


def signed_cycle_series(cycles: Iterable[tuple[int, int]], max_degree: int) -> list[int]:
    """1/det(1 − tg) = Π 1/(1 − ε t^length) of a signed permutation, over its (length, sign ε) cycles.

    >>> from symjax_learn.algebra.series import signed_cycle_series
    >>> signed_cycle_series([(1, 1), (1, -1)], 4)
    [1, 0, 1, 0, 1]
    """
    series = [1] + [0] * max_degree
    for length, sign in cycles:
        for degree in range(length, max_degree + 1):
            series[degree] += sign * series[degree - length]
    return series


def multiset_series(size: int, max_weight: int, weights: Sequence[int]) -> list[int]:
    """Multisets of at most ``size`` things with these weights ≥ 1, by total weight.

    The coefficient of u^size in (1/(1 − u)) Π_w 1/(1 − u q^w): orbits of S_size on the functions of
    size points, each of which carries one of the things, or none.

    Cost: size·weights·max_weight additions.

    >>> from symjax_learn.algebra.series import multiset_series
    >>> multiset_series(100, 6, [1, 2, 3, 4, 5, 6])  # partitions
    [1, 1, 2, 3, 5, 7, 11]
    """
    most = min(size, max_weight)
    table = [[0] * (max_weight + 1) for _ in range(most + 1)]
    table[0][0] = 1
    for weight in weights:
        for taken in range(1, most + 1):
            for total in range(weight, max_weight + 1):
                table[taken][total] += table[taken - 1][total - weight]
    return [sum(row[total] for row in table) for total in range(max_weight + 1)]


def weyl_series(
    weights: Sequence[Sequence[int]], positive_roots: Sequence[Sequence[int]], max_degree: int
) -> list[int]:
    """Invariant polynomials of a connected compact group, by degree: Weyl's integration formula.

    The constant term in z of Π_w 1/(1 − t z^w) · Π_{α>0} (1 − z^α): of the polynomials on the
    representation with these weights, those that are in the trivial representation.

    Args:
        weights: of the representation, with multiplicity, as integer vectors of the rank: for SO(3) and
            harmonics of degree l the m = −l..l; for vectors of SO(2r) the ±e_i, and 0 for SO(2r + 1).
        positive_roots: α, in the same coordinates: none for a torus, 1 for SO(3), e_i ± e_j for SO(2r),
            and also e_i for SO(2r + 1).
        max_degree: the last degree.

    Raises:
        ValueError: vectors of different lengths.

    Cost: for each weight and degree one pass over the weights of that degree; exact integers.

    References:
        H. Weyl, *The Classical Groups*, 1946, ch. VII.

    >>> from symjax_learn.algebra.series import weyl_series
    >>> weyl_series([[m] for m in (-2, -1, 0, 1, 2)], [[1]], 6)  # tr A², tr A³ of traceless A = Aᵀ
    [1, 0, 1, 1, 1, 1, 2]
    """
    lengths = {len(vector) for vector in (*weights, *positive_roots)}
    if len(lengths) != 1:
        raise ValueError(f"weights, positive_roots: expected vectors of one length and got {lengths}.")
    (rank,) = lengths
    series = [Counter({(0,) * rank: 1})] + [Counter() for _ in range(max_degree)]
    for weight in weights:
        for degree in range(1, max_degree + 1):
            for key, count in series[degree - 1].items():
                series[degree][_sum(key, weight)] += count
    numerator: Counter[tuple[int, ...]] = Counter({(0,) * rank: 1})
    for root in positive_roots:
        for key, count in list(numerator.items()):
            numerator[_sum(key, root)] -= count
    return [
        sum(count * one[tuple(-k for k in key)] for key, count in numerator.items()) for one in series
    ]


def _sum(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def integral(averages: Sequence[float]) -> list[int]:
    """Averages over a group of the characters of its representations: integers, or no group."""
    rounded = [round(average) for average in averages]
    largest = max((abs(one) for one in rounded), default=0)
    worst = max((abs(a - b) for a, b in zip(averages, rounded, strict=True)), default=0.0)
    if not (math.isfinite(worst) and worst <= _INTEGRAL * max(1, largest)):
        raise ValueError(
            f"matrices: the average of the characters is {list(averages)}, which is not integral; the "
            "elements do not form a group."
        )
    return rounded
