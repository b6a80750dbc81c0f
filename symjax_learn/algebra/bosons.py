"""Symmetric powers of a space by occupation numbers: bosons, one in a label for each time it occurs.

For an orthonormal basis e_1, …, e_d of V the states |s⟩ of multisets s of j labels are an orthonormal
basis of Sym^j(V): b†_p |s⟩ = √(s_p + 1) |s ∪ p⟩, b_p |s⟩ = √(s_p) |s∖p⟩.
"""

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Inexact, Int


class States(NamedTuple):
    """All multisets of j of d labels, in lexicographic order.

    Attributes:
        labels: ``(N, j)``, ascending.
        counts: ``(N, d)``, how often each label occurs.
        smaller: for each state and label p the row of s∖p among those of j − 1 labels; −1 where p is
            not in s, ``(N, d)``.
    """

    labels: Int[np.ndarray, "N j"]
    counts: Int[np.ndarray, "N d"]
    smaller: Int[np.ndarray, "N d"]


def num_states(num_labels: int, size: int) -> int:
    """C(d + j − 1, j)."""
    return math.comb(num_labels + size - 1, size)


@functools.lru_cache(maxsize=256)
def states(num_labels: int, size: int) -> States:
    """The states of so many bosons in so many labels.

    >>> from symjax_learn.algebra.bosons import states
    >>> states(2, 2).counts.tolist()
    [[2, 0], [1, 1], [0, 2]]
    """
    chosen = list(itertools.combinations_with_replacement(range(num_labels), size))
    labels = np.asarray(chosen, np.int64).reshape(len(chosen), size)
    counts = (labels[:, :, None] == np.arange(num_labels)).sum(axis=1)
    smaller = np.full((len(chosen), num_labels), -1)
    if size:
        below = itertools.combinations_with_replacement(range(num_labels), size - 1)
        place = {one: row for row, one in enumerate(below)}
        for row, one in enumerate(chosen):
            for i, label in enumerate(one):
                smaller[row, label] = place[one[:i] + one[i + 1 :]]
    return States(labels, counts, smaller)


def renamed(num_labels: int, size: int, names: Int[np.ndarray, " d"]) -> Int[np.ndarray, " N"]:
    """Where each state goes when its labels p become ``names[p]``, a permutation."""
    moved = states(num_labels, size).counts[:, np.argsort(names)]
    order = {tuple(row): place for place, row in enumerate(states(num_labels, size).counts.tolist())}
    return np.asarray([order[tuple(row)] for row in moved.tolist()], np.int64)


def one_body(matrix: Inexact[np.ndarray, "d d"], size: int) -> Any:
    """Σ_qp a_qp b†_q b_p on the states of j bosons: what the derivation a of V does to Sym^j(V).

    Args:
        matrix: a.
        size: j ≥ 0.

    Returns:
        A sparse matrix of SciPy in columns, ``(N, N)``.

    >>> import numpy as np
    >>> from symjax_learn.algebra.bosons import one_body
    >>> one_body(np.asarray([[0, 1], [0, 0]], complex), 2).toarray().real.round(3).tolist()
    [[0.0, 1.414, 0.0], [0.0, 0.0, 1.414], [0.0, 0.0, 0.0]]
    """
    from scipy.sparse import csc_array, eye_array, kron

    d = len(matrix)
    if not size:
        return csc_array((1, 1), dtype=complex)
    table, below = states(d, size), num_states(d, size - 1)
    rows, labels = np.nonzero(table.counts)
    places = labels * below + table.smaller[rows, labels]
    weights = np.sqrt(table.counts[rows, labels])
    # All b_p, one below the other.
    lowering = csc_array((weights, (places, rows)), shape=(d * below, len(table.counts)))
    return csc_array(lowering.T @ kron(matrix, eye_array(below)) @ lowering)


def symmetric_power(matrix: Inexact[np.ndarray, "d d"], size: int) -> Inexact[np.ndarray, "N N"]:
    """Sym^j(D) on the states: D|s⟩ = Π_p (Σ_q D_qp b†_q)^{s_p}/√(s_p!) |∅⟩.

    By ⟨t|D|s⟩ = Σ_q D_qp √(t_q/s_p) ⟨t∖q|D|s∖p⟩ with p the first label of s.

    Cost: d·N² for each size up to j.

    >>> import numpy as np
    >>> from symjax_learn.algebra.bosons import symmetric_power
    >>> abs(symmetric_power(np.asarray([[0.0, -1.0], [1.0, 0.0]]), 2).round(3)).tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    power = np.ones((1, 1), matrix.dtype)
    for number in range(1, size + 1):
        table = states(len(matrix), number)
        first = table.labels[:, 0]
        columns = table.smaller[np.arange(len(first)), first]
        scale = 1 / np.sqrt(table.counts[np.arange(len(first)), first])
        larger = np.zeros((len(first), len(first)), matrix.dtype)
        for q in range(len(matrix)):
            rows = np.flatnonzero(table.counts[:, q])
            part = power[table.smaller[rows, q]][:, columns]
            larger[rows] += np.sqrt(table.counts[rows, q])[:, None] * part * (matrix[q, first] * scale)
        power = larger
    return power
