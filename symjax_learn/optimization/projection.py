"""Projection on linear constraints: min |c − c̃|² subject to Bc = d, whatever the rank of B.

Constraints such as (D(g) − I)c = 0 are always rank deficient: a factorization of the KKT system divides
by zero. The answer c = c̃ − B⁺(Bc̃ − d) needs a decision of which singular values of B are zero, and it
comes with the gap at that cut. Knows vectors and constraints; no groups, no spaces.
"""

import functools
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._types import AnyArray, as_array, is_traced
from symjax_learn.optimization.pseudoinverse import Cut, known_pseudoinverse, pseudoinverse
from symjax_learn.optimization.solution import MESSAGES, Status

# With ε the rounding of B, singular values below ε^0.575 are zero (1e-9; 1e-4 in float32), and the next
# is larger by ε^−0.2 (1e3; 24) at least.
_TOLERANCE_POWER, _GAP_POWER = 0.575, -0.2


class Projection(NamedTuple):
    """Projected vectors and the evidence.

    Attributes:
        vectors: c, of the shape of c̃; a tuple of them from :func:`project_each`.
        residual: |Bc − d|, of each problem.
        rank: of B; ``None`` where only products with B were used.
        gap: the ratio of the singular values beside the cut (1 would be no cut); ``None`` likewise.
        status: a :class:`Status` as an integer.
    """

    vectors: Any
    residual: Float[Array, "*batch"]
    rank: Int[Array, "*batch"] | None
    gap: Float[Array, "*batch"] | None
    status: Int[Array, "*batch"]


def project(
    vectors: AnyArray,
    constraints: AnyArray,
    targets: AnyArray | None = None,
    *,
    tolerance: float | None = None,
    throw: bool = True,
) -> Projection:
    """The nearest vectors under linear constraints: c = c̃ − B⁺(Bc̃ − d), for B of any rank.

    Known values are solved on the host, in float64 in every session, by the eigenvectors of BᵀB, or by
    the singular values of B where squares cannot tell which of them are zero; traced ones by the
    latter, in the session's precision. Composes under ``jit``,
    ``vmap`` and ``grad``, in c̃, in d, and in B as long as its rank stays.

    Args:
        vectors: c̃, ``(*batch, m)`` or ``(*batch, m, o)``: o vectors under the same constraints.
        constraints: B, ``(*batch, rows, m)``, of norms of order one or larger. May repeat themselves.
        targets: d, ``(*batch, rows)`` or ``(*batch, rows, o)``; 0 unless given.
        tolerance: singular values below it, times the largest where that is above 1, are zero: 1e-9, or
            1e-4 for constraints in float32.
        throw: raise for values that give no answer, instead of returning them as ``status``.

    Returns:
        The record, in the dtype of the vectors.

    Raises:
        TypeError: not real numbers.
        ValueError: shapes that do not fit; values that are not finite, no clear gap, targets that no
            vector meets, when ``throw`` and not traced.

    Cost: O(rows·m² + m³) for each problem.

    References:
        Soleymani, Tahmasebi, Jegelka, Jaillet, ICML 2025, for c̃ − Bᵀ(BBᵀ)⁺Bc̃, which is the same with
        rows instead of m.

    >>> import jax.numpy as jnp
    >>> from symjax_learn.optimization import project
    >>> constraints = jnp.asarray([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    >>> project(jnp.asarray([1.0, 3.0, 5.0]), constraints).vectors.round(3).tolist()
    [2.0, 2.0, 5.0]
    """
    rows = _checked("constraints", constraints)
    columns = _checked("vectors", vectors)
    if rows.ndim < 2:
        raise ValueError(
            f"constraints: expected shape (*batch, rows, m) and got {rows.shape}; one constraint is a "
            "matrix of one row."
        )
    batch, (num_rows, m) = rows.shape[:-2], rows.shape[-2:]
    outputs = columns.shape[len(batch) + 1 :]
    if columns.shape[: len(batch) + 1] != (*batch, m) or len(outputs) > 1:
        raise ValueError(
            f"vectors: for constraints of shape {rows.shape} expected {(*batch, m)}, or one axis more, "
            f"and got {columns.shape}."
        )
    wanted = (*batch, num_rows, *outputs)
    aims = np.zeros(wanted, columns.dtype) if targets is None else _checked("targets", targets)
    if aims.shape != wanted:
        raise ValueError(
            f"targets: expected one number for each constraint, shape {wanted}, and got {aims.shape}."
        )
    count, width = math.prod(batch), math.prod(outputs)
    problems = (
        columns.reshape(count, m, width),
        rows.reshape(count, num_rows, m),
        aims.reshape(count, num_rows, width),
    )
    if throw:
        _check_finite(problems, ("vectors", "constraints", "targets"))
    answer, *evidence = _solved(*problems, tolerance)
    record = Projection(
        jnp.asarray(answer).reshape(columns.shape),
        *(jnp.asarray(part).reshape(batch) for part in evidence),
    )
    if throw:
        _raise_unless_ok(record)
    return record


def project_each(
    vectors: Sequence[AnyArray],
    constraints: Sequence[AnyArray],
    *,
    tolerance: float | None = None,
    throw: bool = True,
) -> Projection:
    """Many problems of unequal sizes in one call: each c_i = c̃_i − B_i⁺B_i c̃_i.

    Problems of one size are solved together. While they are traced, sizes are rounded up to 1, 2, 3, 4,
    6, 8, 12, … by zeros, which change neither ranks nor answers, so that one program holds few of them.

    Args:
        vectors: c̃_i, each ``(m_i,)`` or ``(m_i, o)``.
        constraints: B_i, each ``(rows_i, m_i)``.
        tolerance: as in :func:`project`.
        throw: likewise.

    Returns:
        The record of all: a tuple of vectors, and the evidence ``(number of problems,)``.

    Raises:
        TypeError, ValueError: as :func:`project`, naming the problem.

    Cost: as :func:`project`.

    >>> import numpy as np
    >>> from symjax_learn.optimization import project_each
    >>> record = project_each([np.ones(2), np.arange(3.0)], [np.eye(2), np.ones((1, 3))])
    >>> record.rank.tolist(), record.vectors[1].round(3).tolist()
    ([2, 1], [-1.0, 0.0, 1.0])
    """
    if len(vectors) != len(constraints):
        raise ValueError(
            f"constraints: expected one matrix for each of {len(vectors)} vectors and got "
            f"{len(constraints)}."
        )
    columns = [_checked(f"vectors[{i}]", vector) for i, vector in enumerate(vectors)]
    rows = [_checked(f"constraints[{i}]", matrix) for i, matrix in enumerate(constraints)]
    traced = is_traced(columns, rows)
    buckets: dict[Any, list[int]] = defaultdict(list)
    for i, (vector, matrix) in enumerate(zip(columns, rows, strict=True)):
        if vector.ndim not in (1, 2) or matrix.ndim != 2 or matrix.shape[1] != len(vector):
            raise ValueError(
                f"constraints[{i}]: expected shape (rows, {vector.shape[0] if vector.ndim else 'm'}) "
                f"for a vector of shape {vector.shape} and got {matrix.shape}."
            )
        m = _rounded(len(vector)) if traced else len(vector)
        buckets[m, vector.shape[1:], vector.dtype, matrix.dtype].append(i)
    answers: list[Any] = [None] * len(vectors)
    evidence: list[Any] = [None] * len(vectors)
    for (m, outputs, *_), members in buckets.items():
        num_rows, width = max(len(rows[i]) for i in members), math.prod(outputs)
        stacked = _stacked([columns[i].reshape(len(columns[i]), width) for i in members], m, width)
        matrices = _stacked([rows[i] for i in members], num_rows, m)
        if throw:
            _check_finite((stacked, matrices), ("vectors", "constraints"), members)
        zero = np.zeros((len(members), num_rows, width), stacked.dtype)
        projected, *parts = _solved(stacked, matrices, zero, tolerance)
        for place, i in enumerate(members):
            answers[i] = jnp.asarray(projected[place, : len(columns[i])].reshape(columns[i].shape))
            evidence[i] = [part[place] for part in parts]
    if not answers:
        none, count = jnp.zeros((0,)), jnp.zeros((0,), jnp.int32)
        return Projection((), none, count, none, count)
    stack: Any = jnp.stack if traced else np.stack
    record = Projection(
        tuple(answers), *(jnp.asarray(stack(part)) for part in zip(*evidence, strict=True))
    )
    if throw:
        _raise_unless_ok(record)
    return record


def project_by_products(
    vectors: AnyArray,
    operators: Sequence[lx.AbstractLinearOperator],
    *,
    tolerance: float | None = None,
    max_steps: int | None = None,
    throw: bool = True,
) -> Projection:
    """The nearest vector with B_1c = 0, …, B_kc = 0, of which only products with vectors are known.

    c̃ − z, where z is the least of the minimizers of Σ_i |B_i z − B_i c̃|², by the iterations of LSMR,
    which never sees the null space. Composes under ``jit`` and ``vmap``.

    Args:
        vectors: c̃, ``(m,)`` or ``(m, o)``.
        operators: B_i, from vectors ``(m,)``, such as D(g) − I.
        tolerance: of the iterations: |Bc| ≤ tolerance·(|Bc̃| + |B||c̃ − c|), with an estimate of |B|;
            as small as the precision allows, unless given.
        max_steps: at most so many iterations; 10·m unless given.
        throw: raise where they do not converge, instead of saying so in ``status``.

    Returns:
        The record, without rank and gap.

    Raises:
        TypeError: not real numbers, or an operator is none.
        ValueError: an operator on vectors of another length; values that are not finite; no convergence.

    Cost: 2k products for each iteration, of which about as many are needed as B has condition among its
    singular values that are not zero; memory O(k·m).

    References:
        D. Fong, M. Saunders, *LSMR: An Iterative Algorithm for Sparse Least-Squares Problems*, SIAM J.
        Sci. Comput. 2011.

    >>> import jax.numpy as jnp, lineax as lx
    >>> from symjax_learn.optimization import project_by_products
    >>> c = jnp.asarray([1.0, 3.0, 5.0])
    >>> move = lx.FunctionLinearOperator(lambda v: jnp.roll(v, 1) - v, c)
    >>> bool(jnp.allclose(project_by_products(c, [move]).vectors, 3.0))
    True
    """
    columns = jnp.asarray(_checked("vectors", vectors))
    if columns.ndim not in (1, 2):
        raise ValueError(f"vectors: expected shape (m,) or (m, o) and got {columns.shape}.")
    for i, operator in enumerate(operators):
        if not isinstance(operator, lx.AbstractLinearOperator):
            raise TypeError(
                f"operators[{i}]: expected a lineax operator and got a {type(operator).__name__}; wrap "
                "a function by lineax.FunctionLinearOperator."
            )
        domain = operator.in_structure()
        if getattr(domain, "shape", None) != columns.shape[:1] or domain.dtype != columns.dtype:
            raise ValueError(
                f"operators[{i}]: expected one on vectors of shape {columns.shape[:1]} and "
                f"{columns.dtype} and got {domain}."
            )
    if throw:
        _check_finite((columns[None],), ("vectors",))
    accuracy = float(jnp.finfo(columns.dtype).eps) ** 1.5 if tolerance is None else tolerance
    many = columns if columns.ndim == 2 else columns[:, None]
    answers, residuals, statuses = _iterated(many, tuple(operators), accuracy, max_steps)
    record = Projection(
        answers.reshape(columns.shape), jnp.linalg.norm(residuals), None, None, jnp.max(statuses)
    )
    if throw:
        _raise_unless_ok(record)
    return record


@eqx.filter_jit
def _iterated(
    columns: Float[Array, "m o"],
    operators: tuple[lx.AbstractLinearOperator, ...],
    accuracy: float,
    max_steps: int | None,
) -> tuple[Array, Array, Array]:
    """Projected columns, the residual and the status of each."""
    domain = jax.ShapeDtypeStruct(columns.shape[:1], columns.dtype)

    def product(vector: Array) -> tuple[Array, ...]:
        return tuple(operator.mv(vector) for operator in operators)

    together = lx.FunctionLinearOperator(product, domain)
    solver = lx.LSMR(rtol=accuracy, atol=accuracy, max_steps=max_steps)

    def one(vector: Array) -> tuple[Array, Array, Array]:
        moved = product(vector)
        solution = lx.linear_solve(together, moved, solver, throw=False)
        answer = vector - solution.value
        residual = lx.internal.two_norm(product(answer))
        done = solution.result == lx.RESULTS.successful
        status = jnp.where(done, Status.ok, Status.not_converged)
        status = jnp.where(jnp.isfinite(residual), status, Status.not_finite)
        return answer, residual, status.astype(jnp.int32)

    return jax.vmap(one, in_axes=1, out_axes=(1, 0, 0))(columns)


def _solved(
    vectors: Float[AnyArray, "b m o"],
    constraints: Float[AnyArray, "b rows m"],
    targets: Float[AnyArray, "b rows o"],
    tolerance: float | None,
) -> tuple[Any, Any, Any, Any, Any]:
    """A batch: known values by NumPy in float64, traced ones in the session's precision."""
    rounding = float(jnp.finfo(constraints.dtype).eps)
    cut = rounding**_TOLERANCE_POWER if tolerance is None else tolerance
    if is_traced(vectors, constraints, targets):
        working = jnp.promote_types(constraints.dtype, vectors.dtype)
        problems = [jnp.asarray(part).astype(working) for part in (constraints, vectors, targets)]
        found = _traced(*problems, cut=cut, rounding=rounding)
    else:
        matrices, columns, aims = (
            np.asarray(part, np.float64) for part in (constraints, vectors, targets)
        )
        left, right, decided = known_pseudoinverse(matrices, cut)
        answer = columns - left @ (right.mT @ (matrices @ columns - aims))
        found = _evidence(np, matrices, answer, aims, decided, cut, rounding)
    answer, residual, rank, gap, status = found
    dtype = jax.dtypes.canonicalize_dtype(vectors.dtype)
    return (
        answer.astype(dtype),
        residual.astype(dtype),
        rank.astype(np.int32),
        gap.astype(dtype),
        status.astype(np.int32),
    )


@functools.partial(jax.jit, static_argnames=("cut", "rounding"))
def _traced(
    constraints: Float[Array, "b rows m"],
    vectors: Float[Array, "b m o"],
    targets: Float[Array, "b rows o"],
    *,
    cut: float,
    rounding: float,
) -> tuple[Any, ...]:
    with jax.default_matmul_precision("highest"):
        inverse, decided = jax.vmap(lambda matrix: pseudoinverse(matrix, cut))(constraints)
        answer = vectors - inverse @ (constraints @ vectors - targets)
        return _evidence(jnp, constraints, answer, targets, decided, cut, rounding)


def _evidence(
    xp: Any,
    constraints: Float[AnyArray, "b rows m"],
    answer: Float[AnyArray, "b m o"],
    targets: Float[AnyArray, "b rows o"],
    decided: Cut,
    cut: float,
    rounding: float,
) -> tuple[Any, ...]:
    """The answer with its residual, the rank, the gap, and the status; by NumPy or JAX."""

    def size(parts: AnyArray) -> AnyArray:
        squares = xp.sum(parts**2, axis=(1, 2))  # whose root has no derivative at zero
        return xp.where(squares > 0, xp.sqrt(xp.where(squares > 0, squares, 1.0)), 0.0)

    residual = size(constraints @ answer - targets)
    gap = decided.kept / xp.maximum(decided.null, rounding)
    missed = residual > 100 * cut * (size(targets) + size(answer))
    status = xp.where(missed & xp.any(targets != 0, axis=(1, 2)), Status.infeasible, Status.ok)
    status = xp.where(gap < rounding**_GAP_POWER, Status.no_gap, status)
    finite = xp.isfinite(residual) & xp.all(xp.isfinite(answer), axis=(1, 2))
    status = xp.where(finite, status, Status.not_finite)
    return answer, residual, decided.rank, gap, status


def _checked(name: str, values: AnyArray) -> AnyArray:
    """Real numbers, floating."""
    array = as_array(name, values)
    if array.dtype.kind in "iu":
        return array.astype(jnp.result_type(float))
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected real numbers of 32 or 64 bits and got {array.dtype}.")
    return array


def _check_finite(
    problems: Sequence[AnyArray], names: Sequence[str], numbers: Sequence[int] | None = None
) -> None:
    """Refuse values that are not finite, where they are known; of a batch, by the numbers it has."""
    for values, name in zip(problems, names, strict=True):
        if is_traced(values):
            continue
        finite = np.isfinite(np.asarray(values)).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            number = first if numbers is None else numbers[first]
            raise ValueError(f"{name}: values of problem {number} are not finite; check them.")


def _raise_unless_ok(record: Projection) -> None:
    """Raise for the first problem of another status; silent under a trace."""
    if is_traced(record):
        return
    statuses = np.asarray(record.status).reshape(-1)
    bad = np.flatnonzero(statuses)
    if len(bad):
        status, i = Status(int(statuses[bad[0]])), bad[0]
        gap = "" if record.gap is None else f", gap {np.asarray(record.gap).reshape(-1)[i]:.1e}"
        raise ValueError(
            f"constraints: problem {i}: {MESSAGES[status]} (status {status.name}, residual "
            f"{np.asarray(record.residual).reshape(-1)[i]:.1e}{gap}; throw=False returns the record.)"
        )


def _rounded(size: int) -> int:
    """The least of 1, 2, 3, 4, 6, 8, 12, 16, … that is as large."""
    power = 1 << max(0, size - 1).bit_length()
    return 3 * power // 4 if power >= 4 and size <= 3 * power // 4 else power


def _stacked(arrays: Sequence[AnyArray], rows: int, columns: int) -> AnyArray:
    """Matrices with zeros to a common shape."""
    shape = (rows, columns)
    if is_traced(arrays):
        return jnp.stack(
            [
                jnp.zeros(shape, array.dtype).at[: len(array), : array.shape[1]].set(array)
                for array in arrays
            ]
        )
    whole = np.zeros((len(arrays), *shape), np.asarray(arrays[0]).dtype)
    for place, array in zip(whole, arrays, strict=True):
        place[: len(array), : array.shape[1]] = array
    return whole
