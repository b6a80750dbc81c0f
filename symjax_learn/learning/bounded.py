"""Ridge regression under bounds on values, and linear constraints on coefficients."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._chunks import MEMORY_LIMIT, chunk_rows, num_rows, refuse_beyond
from symjax_learn._types import AnyArray, as_array, is_traced
from symjax_learn.geometry.spaces import AbstractFunctions, check_finite, flatten_points
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.basis import InvariantBasis, evaluate
from symjax_learn.learning.convex import ConvexModel, ConvexReport, raise_unless_good
from symjax_learn.learning.data import check_points, checked_data, checked_weights
from symjax_learn.learning.model import checked_penalty, checked_spectrum
from symjax_learn.optimization.inequalities import ProgramSolution, solve_quadratic_program
from symjax_learn.optimization.losses import squared

_DEFAULT_SPECTRUM = sobolev(2.0)
# Bytes of a program for each entry of its matrices: themselves, sparse copies, factors.
_BYTES_OF_ENTRY = 8 * 8


def fit_bounded(
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    *,
    penalty: float,
    lower: float | AnyArray | None = None,
    upper: float | AnyArray | None = None,
    at: AnyArray | None = None,
    inequalities: tuple[AnyArray, AnyArray] | None = None,
    equalities: tuple[AnyArray, AnyArray] | None = None,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    intercept: bool = True,
    weights: AnyArray | None = None,
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> ConvexModel:
    """Ridge regression with l_k ≤ f(z_k) ≤ u_k at given points, Ac ≤ b and Ec = e on the coefficients.

    min over c of (1/n) Σ_i w_i |y_i − φ(x_i)c|² + η Σ_j |c_j|²/μ(λ_j), the problem of :func:`fit_ridge`,
    under these constraints: a quadratic program, of each output by itself. Between the points z_k bounds
    need not hold. On the host, in float64: not under ``jit``, ``vmap`` or ``grad``.

    Args:
        basis: of the functions φ_j.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``.
        penalty: η ≥ 0.
        lower: l, a number or ``(m, *outputs)``; −∞ bounds nothing.
        upper: u, likewise.
        at: z, ``(m, *point_shape)``; the samples x unless given.
        inequalities: A of shape ``(k, num_functions)``, and b, ``(k,)``.
        equalities: E and e, likewise; rows may depend on each other.
        spectrum: μ, a function of the eigenvalues.
        intercept: leave the constant function unpenalized.
        weights: w ≥ 0 of each sample, ``(n,)``, scaled to mean 1.
        throw: raise for bad values, instead of returning them as ``report.status``.
        memory_limit: refuse more bytes.

    Returns:
        A :class:`~symjax_learn.ConvexModel`; its report holds the worst optimality condition as
        ``residual`` and the duality gap as ``gap``.

    Raises:
        ImportError: Clarabel is not installed (extra ``qp``).
        ValueError, TypeError: structure that does not fit; constraints that no coefficients satisfy, or
            an answer of the solver that does not satisfy them, when ``throw``.

    Cost: O(n·D²) in one pass, and some twenty factorizations of D + m + k unknowns.

    References:
        P. Goulart, Y. Chen, *Clarabel: an interior-point solver for conic programs with quadratic
        objectives*, arXiv:2405.12762.

    >>> import symjax_learn as sj, jax, jax.numpy as jnp
    >>> space = sj.Torus(1)
    >>> x = space.sample(jax.random.key(0), (50,))
    >>> basis = sj.eigenbasis(space, max_eigenvalue=9)
    >>> y = jnp.maximum(jnp.cos(x[:, 0]), 0.0)
    >>> grid = jnp.linspace(0, 6.3, 100)[:, None]
    >>> model = sj.fit_bounded(basis, x, y, penalty=1e-4, lower=0.0, at=grid)
    >>> bool(model(grid).min() > -1e-6)
    True
    """
    if not isinstance(basis, InvariantBasis):
        raise TypeError(
            f"basis: expected the answer of invariant_basis or eigenbasis and got a "
            f"{type(basis).__name__}."
        )
    given = (basis, x, y, penalty, lower, upper, at, inequalities, equalities, weights)
    if is_traced(given):
        raise TypeError("x: fit_bounded works on the host; call it outside jit, vmap and grad.")
    data = checked_data(basis.space, x, y, values=throw)
    sample_weights = np.asarray(checked_weights(weights, None, data, values=throw), float)
    kernel_weights = np.asarray(checked_spectrum(spectrum, basis.eigenvalues), float)
    eta = checked_penalty(penalty, len(data.y))
    if eta is None:
        raise ValueError("penalty: 'loo' is of fit_ridge; give a finite number >= 0.")
    points = data.x if at is None else _checked_places(basis, at, values=throw)
    further = _constraints("inequalities", inequalities, basis.num_functions)
    limits = _bounds(lower, upper, num_rows(points), data.outputs)
    num_inequalities = len(further[1]) if limits is None else len(further[1]) + 2 * num_rows(points)
    equal = _constraints("equalities", equalities, basis.num_functions)
    refuse_beyond(
        memory_limit,
        _BYTES_OF_ENTRY * basis.num_functions * (basis.num_functions + num_inequalities),
        f"at: a program of {basis.num_functions:,} unknowns and {num_inequalities:,} inequalities",
        "Bound fewer points or raise memory_limit.",
    )
    free = np.arange(basis.num_functions) < int(intercept)
    scale = np.where(free, 1.0, np.sqrt(kernel_weights))
    # Units in which targets, or else bounds, are of order one.
    unit = _unit(np.asarray(data.y, float), limits, further[1], equal[1])
    targets = np.asarray(data.y, float) / unit
    quadratic, linear, offset = _normal_equations(
        basis.functions, data.x, targets, sample_weights, scale
    )
    quadratic = quadratic + 2 * float(eta) * np.diag(np.where(free, 0.0, 1.0))
    values = None if limits is None else _host_features(basis.functions, points) * scale
    answers = []
    for output in range(data.y.shape[1]):
        matrix, right = [further[0] * scale], [further[1] / unit]
        if limits is not None and values is not None:
            for sign, side in zip((-1.0, 1.0), limits, strict=True):
                bounding = np.isfinite(side[:, output])
                matrix.append(sign * values[bounding])
                right.append(sign * side[bounding, output] / unit)
        answers.append(
            solve_quadratic_program(
                quadratic,
                linear[:, output],
                np.concatenate(matrix),
                np.concatenate(right),
                (equal[0] * scale, equal[1] / unit),
            )
        )
    report = _report(answers, offset, unit, data.x.dtype)
    if throw:
        raise_unless_good(report)
    coefficients = unit * scale[:, None] * np.stack([answer.point for answer in answers], axis=1)
    dtype = data.x.dtype
    return ConvexModel(
        basis,
        jnp.asarray(coefficients, dtype).reshape(-1, *data.outputs),
        jnp.asarray(eta, dtype),
        squared,
        report,
    )


def _checked_places(basis: InvariantBasis, at: AnyArray, *, values: bool) -> Array:
    """The points that are bounded, ``(m, *point_shape)``."""
    points, _ = flatten_points(basis.space, at, "at")
    if values:
        check_finite(points, "at")
        check_points(basis.space, points, "at")
    return points


def _unit(
    targets: np.ndarray, limits: tuple[np.ndarray, np.ndarray] | None, *sides: np.ndarray
) -> float:
    """The root mean square of the targets; where these are zero, the largest finite bound; or 1."""
    size = float(np.sqrt(np.mean(targets**2)))
    if size > 0:
        return size
    bounds = np.concatenate([side.reshape(-1) for side in (*(limits or ()), *sides)])
    return float(np.abs(bounds[np.isfinite(bounds)]).max(initial=0.0)) or 1.0


def _report(
    answers: list[ProgramSolution], offset: np.ndarray, unit: float, dtype: jnp.dtype
) -> ConvexReport:
    """The worst evidence of all outputs, in units of the targets."""
    return ConvexReport(
        jnp.asarray(max(int(answer.status) for answer in answers), jnp.int32),
        jnp.asarray(unit**2 * (sum(answer.objective for answer in answers) + offset.sum()), dtype),
        jnp.asarray(max(answer.residual for answer in answers), dtype),
        jnp.asarray(unit**2 * sum(answer.gap for answer in answers), dtype),
        jnp.asarray(np.nan, dtype),
        jnp.asarray(max(answer.steps for answer in answers), jnp.int32),
    )


def _host_features(functions: AbstractFunctions, points: Array) -> Float[np.ndarray, "m D"]:
    return np.asarray(evaluate(functions, points), float)


def _normal_equations(
    functions: AbstractFunctions,
    x: Array,
    targets: np.ndarray,
    weights: np.ndarray,
    scale: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(2/n)XᵀWX, −(2/n)XᵀWY and (1/n)Σ w y² of the scaled columns X, in chunks and float64."""
    n, d = len(targets), len(scale)
    quadratic, linear, step = np.zeros((d, d)), np.zeros((d, targets.shape[1])), chunk_rows(d)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        columns = _host_features(functions, jax.tree.map(lambda leaf, rows=rows: leaf[rows], x)) * scale
        weighted = columns * (2 / n * weights[rows, None])
        quadratic += weighted.T @ columns
        linear -= weighted.T @ targets[rows]
    return quadratic, linear, np.einsum("i,io->o", weights / n, targets**2)


def _bounds(
    lower: float | AnyArray | None,
    upper: float | AnyArray | None,
    num_points: int,
    outputs: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray] | None:
    """The bounds l and u of each bounded point, ``(m, o)``."""
    if lower is None and upper is None:
        return None
    shape, sides = (num_points, *outputs), []
    for name, side, nothing in (("lower", lower, -np.inf), ("upper", upper, np.inf)):
        value = as_array(name, nothing if side is None else side)
        if value.shape not in ((), shape) or value.dtype.kind not in "fiu":
            raise ValueError(
                f"{name}: expected a number, or one for each bounded point and output, shape {shape}, "
                f"and got shape {value.shape} of {value.dtype}."
            )
        wide = np.broadcast_to(np.asarray(value, float), shape).reshape(num_points, -1)
        if np.isnan(wide).any():
            raise ValueError(f"{name}: row {np.argwhere(np.isnan(wide))[0, 0]} is NaN.")
        sides.append(wide)
    crossed = np.flatnonzero((sides[0] > sides[1]).any(axis=1))
    if len(crossed):
        raise ValueError(f"lower: at row {crossed[0]} it is above upper; no function is between them.")
    return sides[0], sides[1]


def _constraints(
    name: str, constraints: tuple[AnyArray, AnyArray] | None, num_functions: int
) -> tuple[Float[np.ndarray, "k D"], Float[np.ndarray, " k"]]:
    """A matrix and right-hand sides, of float64."""
    if constraints is None:
        return np.zeros((0, num_functions)), np.zeros(0)
    if not isinstance(constraints, tuple) or len(constraints) != 2:
        raise TypeError(f"{name}: expected a pair of a matrix and right-hand sides.")
    matrix, right = as_array(name, constraints[0]), as_array(name, constraints[1])
    fits = matrix.ndim == 2 and matrix.shape[1] == num_functions and right.shape == matrix.shape[:1]
    if not fits or matrix.dtype.kind not in "fiu" or right.dtype.kind not in "fiu":
        raise ValueError(
            f"{name}: expected real arrays of shapes (k, {num_functions}), a column for each function, "
            f"and (k,), and got {matrix.shape} and {right.shape}."
        )
    host = np.asarray(matrix, float), np.asarray(right, float)
    bad = np.flatnonzero(~(np.isfinite(host[0]).all(axis=1) & np.isfinite(host[1])))
    if len(bad):
        raise ValueError(f"{name}: row {bad[0]} is not finite.")
    return host
