"""Molien and Hilbert series: how many invariant polynomials there are of each degree, exact.

Power series are lists of Python integers, the coefficient of t^k at place k.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

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


def multigraded_series(
    size: int, max_weight: int, weights: Sequence[int], charges: Sequence[Sequence[int]]
) -> list[Counter[tuple[int, ...]]]:
    """Multisets of at most ``size`` things, by total weight and by total charge.

    The coefficient of u^size in (1/(1 − u)) Π_i 1/(1 − u q^{w_i} z^{c_i}), a list over q^weight of
    counts over z^charge. With the charge m of spherical harmonics of weight l(l + 1), those of charge 0
    less those of charge 1 are the rotation-invariant functions of a set of points on S².

    Args:
        size: the number of points.
        max_weight: the largest total weight.
        weights: of each thing, ≥ 1.
        charges: of each thing, integer vectors of one length.

    Raises:
        ValueError: lists or vectors of different lengths.

    Cost: for each thing one pass over all (number, weight, charge) that occur.

    >>> from symjax_learn.algebra.series import multigraded_series
    >>> multigraded_series(2, 2, [1, 1], [[1], [-1]])[2]  # pairs of x and x̄
    Counter({(2,): 1, (0,): 1, (-2,): 1})
    """
    lengths = {len(charge) for charge in charges}
    if len(charges) != len(weights) or len(lengths) > 1:
        raise ValueError(
            f"charges: expected one vector for each of the {len(weights)} weights, of one length, and "
            f"got {len(charges)} of lengths {sorted(lengths)}."
        )
    neutral = (0,) * max(lengths, default=0)
    table = [[Counter() for _ in range(max_weight + 1)] for _ in range(min(size, max_weight) + 1)]
    table[0][0][neutral] = 1
    for weight, charge in zip(weights, charges, strict=True):
        for taken in range(1, len(table)):
            for total in range(weight, max_weight + 1):
                for key, count in table[taken - 1][total - weight].items():
                    table[taken][total][_sum(key, charge)] += count
    return [sum((row[total] for row in table), Counter()) for total in range(max_weight + 1)]


def burnside_series(
    cycle_types: Iterable[tuple[Sequence[int], int]], weights: Sequence[int], max_weight: int
) -> list[int]:
    """Orbits of a permutation group on colourings of its points, by total weight (Burnside, Pólya).

    A point has no colour or one of the colours with these weights:
    (1/|G|) Σ_g Π_{cycles of g} (1 + Σ_w q^{w·length}).

    Args:
        cycle_types: the lengths of the cycles of g (all points, fixed ones too) and how many elements
            have them; for S_n :func:`cycle_types`.
        weights: of the colours, ≥ 1; ``[1]`` for subsets by size.
        max_weight: the last weight.

    Raises:
        ValueError: an average that is no integer, so that these are not all elements of a group.

    Cost: cycles·colours·max_weight for each type; exact integers.

    References:
        G. Pólya, R. C. Read, *Combinatorial Enumeration of Groups, Graphs and Compounds*, 1987.

    >>> from symjax_learn.algebra.series import burnside_series
    >>> burnside_series([([1, 1, 1, 1], 1), ([2, 2], 1), ([4], 2)], [1], 4)  # necklaces of four beads
    [1, 1, 2, 1, 1]
    """
    total, order = [0] * (max_weight + 1), 0
    for lengths, multiplicity in cycle_types:
        fixed = [1] + [0] * max_weight
        for length in lengths:
            steps = [length * weight for weight in weights if length * weight <= max_weight]
            fixed = [
                count + sum(fixed[degree - step] for step in steps if step <= degree)
                for degree, count in enumerate(fixed)
            ]
        total = [a + multiplicity * b for a, b in zip(total, fixed, strict=True)]
        order += multiplicity
    if any(count % order for count in total):
        raise ValueError(
            f"cycle_types: the sums {total} are not divisible by the number {order} of elements; give "
            "all elements of a group."
        )
    return [count // order for count in total]


def cycle_types(n: int) -> Iterator[tuple[list[int], int]]:
    """The cycle lengths of S_n, descending, each with its number of permutations n!/Π_l l^{m_l} m_l!.

    >>> from symjax_learn.algebra.series import cycle_types
    >>> list(cycle_types(3))
    [([3], 2), ([2, 1], 3), ([1, 1, 1], 1)]
    """
    for partition in _partitions(n, n):
        centralizer = math.prod(
            length**m * math.factorial(m) for length, m in Counter(partition).items()
        )
        yield partition, math.factorial(n) // centralizer


def pair_cycles(cycles: Sequence[int]) -> list[int]:
    """The cycle lengths on unordered pairs of points, from those on the points.

    >>> from symjax_learn.algebra.series import burnside_series, cycle_types, pair_cycles
    >>> types = [(pair_cycles(cycles), times) for cycles, times in cycle_types(5)]
    >>> burnside_series(types, [1], 10)  # graphs on five nodes, by edges
    [1, 1, 2, 4, 6, 6, 6, 4, 2, 1, 1]
    """
    within = [
        length for n in cycles for length in [n] * ((n - 1) // 2) + ([n // 2] if n % 2 == 0 else [])
    ]
    between = [
        length
        for a, b in itertools.combinations(cycles, 2)
        for length in [math.lcm(a, b)] * math.gcd(a, b)
    ]
    return within + between


def _partitions(n: int, largest: int) -> Iterator[list[int]]:
    """Partitions of n into parts of at most ``largest``, descending."""
    if n == 0:
        yield []
    for part in range(min(n, largest), 0, -1):
        for rest in _partitions(n - part, part):
            yield [part, *rest]


def weyl_series(
    weights: Sequence[Sequence[int]],
    positive_roots: Sequence[Sequence[int]],
    max_degree: int,
    *,
    signs: Sequence[int] | None = None,
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
        signs: ε_w = ±1 in factors 1/(1 − ε_w t z^w), for the average over another component; it is the
            trace of a projection there, and need not be ≥ 0.

    Raises:
        ValueError: vectors of different lengths, or another number of signs than of weights.

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
    if signs is not None and len(signs) != len(weights):
        raise ValueError(f"signs: expected {len(weights)}, one for each weight, and got {len(signs)}.")
    (rank,) = lengths
    series = [Counter({(0,) * rank: 1})] + [Counter() for _ in range(max_degree)]
    for weight, sign in zip(weights, signs or [1] * len(weights), strict=True):
        for degree in range(1, max_degree + 1):
            for key, count in series[degree - 1].items():
                series[degree][_sum(key, weight)] += sign * count
    numerator: Counter[tuple[int, ...]] = Counter({(0,) * rank: 1})
    for root in positive_roots:
        for key, count in list(numerator.items()):
            numerator[_sum(key, root)] -= count
    return [
        sum(count * one[tuple(-k for k in key)] for key, count in numerator.items()) for one in series
    ]


def orthogonal_series(n: int, copies: int, max_degree: int, *, proper: bool = False) -> list[int]:
    """Polynomials of several vectors of R^n that are invariant under O(n), or SO(n), by degree.

    SO(n) by :func:`weyl_series`. O(n) is the mean of that and of the average over its second component:
    −SO(n) for odd n; for even n = 2r matrices with eigenvalues 1, −1 and r − 1 pairs that are
    distributed as those of the symplectic group of rank r − 1.

    Args:
        n: the dimension, ≥ 2.
        copies: the number of vectors.
        max_degree: the last degree.
        proper: SO(n).

    Cost: as :func:`weyl_series`, with n·copies weights of rank ⌊n/2⌋.

    References:
        H. Weyl, *The Classical Groups*, 1946, ch. VII.9.

    >>> from symjax_learn.algebra.series import orthogonal_series
    >>> orthogonal_series(2, 2, 4), orthogonal_series(2, 2, 4, proper=True)  # |x|², x·y, |y|²; x × y
    ([1, 0, 3, 0, 6], [1, 0, 4, 0, 9])
    """
    rank = n // 2
    weights, roots = _vectors(rank, n % 2), plus_minus(rank) + (units(rank) if n % 2 else [])
    connected = weyl_series(weights * copies, roots, max_degree)
    if proper:
        return connected
    if n % 2:
        signs = [-1] * n
    else:
        weights, signs = _vectors(rank - 1, 2), [1] * (2 * rank - 2) + [1, -1]
        roots = plus_minus(rank - 1) + [[2 * x for x in unit] for unit in units(rank - 1)]
    other = weyl_series(weights * copies, roots, max_degree, signs=signs * copies)
    return [(a + b) // 2 for a, b in zip(connected, other, strict=True)]


def units(rank: int) -> list[list[int]]:
    """The vectors e_i."""
    return [[int(i == j) for j in range(rank)] for i in range(rank)]


def _vectors(rank: int, zeros: int) -> list[list[int]]:
    """The weights ±e_i, and 0 so many times."""
    ahead = units(rank)
    return ahead + [[-x for x in unit] for unit in ahead] + [[0] * rank] * zeros


def plus_minus(rank: int) -> list[list[int]]:
    """The roots e_i ± e_j, i < j."""
    return [
        [a + sign * b for a, b in zip(e, f, strict=True)]
        for e, f in itertools.combinations(units(rank), 2)
        for sign in (1, -1)
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
