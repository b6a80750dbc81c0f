"""Quadratic programs under linear constraints: min zᵀPz/2 + qᵀz with Ez = e and Az ≤ b.

Equalities are eliminated by the null space of E, which may be rank deficient; an interior-point method
(Clarabel, extra ``qp``) solves what remains; and its answer is checked here. Host work in float64 NumPy,
which is never traced.
"""

import importlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from symjax_learn._linalg import null_space
from symjax_learn.optimization.solution import Status

# What the interior-point method is asked for, less where that is out of reach, and what its answer must
# satisfy. Terms of the problem are of order one.
_ASKED, _ACCEPTED = (1e-12, 1e-9), 1e-7


class ProgramSolution(NamedTuple):
    """The minimizer of a quadratic program and its evidence.

    Attributes:
        point: z.
        multipliers: y ≥ 0 of Az ≤ b.
        objective: its value.
        residual: the largest of |Pz + q + Aᵀy| on the null space of E, max(Az − b, 0) and max(−y, 0),
            relative to their terms.
        gap: yᵀ(b − Az), which bounds how far the objective is above its minimum.
        steps: iterations of the method.
        status: a :class:`Status`.
    """

    point: Float[np.ndarray, " p"]
    multipliers: Float[np.ndarray, " m"]
    objective: float
    residual: float
    gap: float
    steps: int
    status: Status


def solve_quadratic_program(
    quadratic: Float[np.ndarray, "p p"],
    linear: Float[np.ndarray, " p"],
    matrix: Float[np.ndarray, "m p"],
    bounds: Float[np.ndarray, " m"],
    equalities: tuple[Float[np.ndarray, "k p"], Float[np.ndarray, " k"]] | None = None,
) -> ProgramSolution:
    """Minimize zᵀPz/2 + qᵀz over Az ≤ b and Ez = e.

    Args:
        quadratic: P, symmetric and positive semidefinite.
        linear: q.
        matrix: A; m may be 0.
        bounds: b, finite.
        equalities: E and e; E may be rank deficient.

    Returns:
        The record; its status is ``infeasible`` where no z satisfies the constraints, and
        ``not_converged`` where the answer of the method does not satisfy the optimality conditions.

    Raises:
        ImportError: Clarabel is not installed.

    Cost: some twenty Cholesky-like factorizations of size p + m.
    """
    p = len(linear)
    origin, span, consistent = _affine(equalities, p)
    reduced = span.T @ quadratic @ span
    slope = span.T @ (quadratic @ origin + linear)
    rows, limits = matrix @ span, bounds - matrix @ origin
    scale = 1 + np.abs(bounds) + np.abs(matrix @ origin)
    norms = np.linalg.norm(rows, axis=1)
    # Rows that the equalities leave no freedom are satisfied or not.
    free = norms > 1e-12 * np.linalg.norm(matrix, axis=1)
    held = limits[~free] >= -_ACCEPTED * scale[~free]
    if not consistent or not held.all():
        return _failed(p, len(bounds), Status.infeasible)
    rows, limits = rows[free] / norms[free, None], limits[free] / norms[free]
    inner, dual, steps, status = np.zeros(0), np.zeros(len(limits)), 0, Status.ok
    if span.shape[1]:
        for asked in _ASKED:
            inner, dual, more, status = _interior_point(reduced, slope, rows, limits, asked)
            steps += more
            if status == Status.infeasible or _is_solved(reduced, slope, rows, limits, inner, dual):
                break
    if status != Status.ok:
        return _failed(p, len(bounds), status, steps)
    point = origin + span @ inner
    residual, gap = _evidence(reduced, slope, rows, limits, inner, dual)
    multipliers = np.zeros(len(bounds))
    multipliers[free] = dual / norms[free]
    objective = float(point @ quadratic @ point / 2 + linear @ point)
    solved = _is_solved(reduced, slope, rows, limits, inner, dual)
    status = Status.ok if solved else Status.not_converged
    return ProgramSolution(point, multipliers, objective, residual, gap, steps, status)


def _evidence(
    quadratic: np.ndarray,
    linear: np.ndarray,
    matrix: np.ndarray,
    bounds: np.ndarray,
    point: np.ndarray,
    dual: np.ndarray,
) -> tuple[float, float]:
    """The worst of the optimality conditions, relative to their terms, and the duality gap."""
    terms = [quadratic @ point, linear, matrix.T @ dual]
    size = max(float(np.abs(part).max(initial=0.0)) for part in (*terms, quadratic))
    slack = bounds - matrix @ point
    residual = max(
        float(np.abs(sum(terms)).max(initial=0.0)) / max(size, 1e-300),
        float((-slack / (1 + np.abs(bounds))).max(initial=0.0)),
        float((-dual).max(initial=0.0)) / max(float(np.abs(dual).max(initial=0.0)), 1e-300),
    )
    return residual, float(np.abs(dual * slack).sum())


def _is_solved(
    quadratic: np.ndarray,
    linear: np.ndarray,
    matrix: np.ndarray,
    bounds: np.ndarray,
    point: np.ndarray,
    dual: np.ndarray,
) -> bool:
    """Whether an answer is finite and satisfies the optimality conditions."""
    if not (np.isfinite(point).all() and np.isfinite(dual).all()):
        return False
    residual, gap = _evidence(quadratic, linear, matrix, bounds, point, dual)
    objective = float(point @ quadratic @ point / 2 + linear @ point)
    return residual <= _ACCEPTED and gap <= _ACCEPTED * (1 + abs(objective))


def _affine(
    equalities: tuple[np.ndarray, np.ndarray] | None, p: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """All z with Ez = e: the least of them, an orthonormal basis of ker E, and whether there are any."""
    if equalities is None or len(equalities[1]) == 0:
        return np.zeros(p), np.eye(p), True
    matrix, right = equalities
    # Rows of one size, so that an absolute cut tells which singular values are zero.
    size = max(float(np.linalg.norm(matrix, 2)), 1e-300)
    matrix, right = matrix / size, right / size
    span = null_space(matrix).basis
    origin = np.linalg.lstsq(matrix, right, rcond=1e-9)[0]
    wrong = np.abs(matrix @ origin - right).max()
    return origin, span, bool(wrong <= 1e-9 * max(1.0, float(np.abs(right).max())))


def _interior_point(
    quadratic: np.ndarray,
    linear: np.ndarray,
    matrix: np.ndarray,
    bounds: np.ndarray,
    asked: float,
) -> tuple[np.ndarray, np.ndarray, int, Status]:
    """What Clarabel answers, in units in which the objective's terms are of order one."""
    try:
        clarabel: Any = importlib.import_module("clarabel")
    except ImportError as error:
        raise ImportError("inequalities need Clarabel: install symjax-learn[qp].") from error
    from scipy import sparse

    size = max(float(np.abs(quadratic).max()), float(np.abs(linear).max()), 1e-300)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = asked
    solver = clarabel.DefaultSolver(
        sparse.triu(sparse.csc_matrix(quadratic / size), format="csc"),
        linear / size,
        sparse.csc_matrix(matrix),
        bounds,
        [clarabel.NonnegativeConeT(len(bounds))] if len(bounds) else [],
        settings,
    )
    answer = solver.solve()
    name = str(answer.status)
    if "PrimalInfeasible" in name:
        status = Status.infeasible
    elif name in ("Solved", "AlmostSolved", "InsufficientProgress"):  # the check decides
        status = Status.ok
    else:
        status = Status.not_converged
    return np.asarray(answer.x), np.asarray(answer.z) * size, int(answer.iterations), status


def _failed(p: int, m: int, status: Status, steps: int = 0) -> ProgramSolution:
    nothing = np.full(p, np.nan)
    return ProgramSolution(nothing, np.full(m, np.nan), np.nan, np.inf, np.inf, steps, status)
