"""Least squares on a basis by its sums: they add up, so that data of any amount are read once."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from symjax_learn._chunks import chunk_rows, split_rows
from symjax_learn._types import AnyArray, is_traced
from symjax_learn.geometry.spaces import AbstractFunctions
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.basis import InvariantBasis
from symjax_learn.learning.data import checked_data, plain_weights
from symjax_learn.learning.model import (
    Report,
    SpectralModel,
    as_report,
    checked_penalty,
    checked_spectrum,
    raise_unless_ok,
    solver_precision,
    working_dtype,
)
from symjax_learn.optimization.criteria import CRITERIA
from symjax_learn.optimization.moments import Moments, solve_moments
from symjax_learn.optimization.statistics import CHUNK_ROWS, Sums, is_left_of, sums_of

# Rows of an update are padded to a power of two of at least so many, so that few programs are compiled.
_FEWEST_ROWS = 16
# Rounding of a sum, as a multiple of that of its terms: of the products of one chunk.
_ROUNDING = 16
_DEFAULT_SPECTRUM = sobolev(2.0)


class RidgeStatistics(eqx.Module):
    """All that a fit on a basis needs of its data: the sums of :class:`Sums` of the features.

    Statistics on one basis are added by ``+`` and taken away by ``-``, and rows by :meth:`update` and
    :meth:`downdate`; all compose under ``jit`` and ``vmap``. A pytree.

    Attributes:
        basis: of the features φ(x), which are not scaled by any spectrum.
        sums: Σ w φφᵀ, Σ w φyᵀ, Σ w y², Σ w, and the number of rows.
        outputs: the shape of one target.
    """

    basis: InvariantBasis
    sums: Sums
    outputs: tuple[int, ...] = eqx.field(static=True)

    @property
    def count(self) -> int:
        """The number of rows of positive weight."""
        return int(self.sums.count.exact)

    def __add__(self, other: "RidgeStatistics") -> "RidgeStatistics":
        """The statistics of the data of both.

        Raises:
            ValueError: another basis, or targets of another shape.
        """
        self._refuse_unlike(other)
        return RidgeStatistics(self.basis, _sum(self.sums, other.sums), self.outputs)

    def __sub__(self, other: "RidgeStatistics") -> "RidgeStatistics":
        """The statistics without the data of the other.

        Raises:
            ValueError: as for ``+``; data that were not in it, unless traced.
        """
        self._refuse_unlike(other)
        return self._without(other.sums)

    def update(self, x: AnyArray, y: AnyArray, weights: AnyArray | None = None) -> "RidgeStatistics":
        """The statistics with k more rows.

        Args:
            x: ``(k, *point_shape)``, in the dtype of the data before.
            y: ``(k, *outputs)``.
            weights: w ≥ 0, ``(k,)``; 1 unless given.

        Raises:
            ValueError, TypeError: rows that do not fit; values that are not finite, unless traced.

        Cost: k features and O(k·D²).
        """
        return RidgeStatistics(self.basis, _sum(self.sums, self._of(x, y, weights)), self.outputs)

    def downdate(self, x: AnyArray, y: AnyArray, weights: AnyArray | None = None) -> "RidgeStatistics":
        """The statistics without k of their rows.

        Args:
            x: as in :meth:`update`.
            y: likewise.
            weights: likewise, those with which the rows came.

        Raises:
            ValueError, TypeError: as :meth:`update`; rows that were not there, where the sums show it:
                more of them than there are, or a Gram matrix that is no longer semidefinite.

        Cost: as :meth:`update`, and O(D³) for this check.
        """
        return self._without(self._of(x, y, weights))

    def is_whole(self) -> bool:
        """Whether all sums have the shapes of the basis and of the targets."""
        functions, outputs = self.basis.num_functions, int(np.prod(self.outputs))
        expected = (), (), (functions, functions), (functions, outputs), (outputs,)
        sums = self.sums
        found = sums.count, sums.weight, sums.gram, sums.cross, sums.squares
        return all(
            part.rounded.shape == part.rest.shape == shape
            for part, shape in zip(found, expected, strict=True)
        )

    def _of(self, x: AnyArray, y: AnyArray, weights: AnyArray | None) -> Sums:
        data = checked_data(self.basis.space, x, y, values=True)
        if data.outputs != self.outputs:
            raise ValueError(
                f"y: expected targets of shape {self.outputs}, as those before, and got {data.outputs}."
            )
        dtype = self.sums.gram.rounded.dtype
        if data.x.dtype != dtype:
            raise TypeError(f"x: expected {dtype}, as the data before, and got {data.x.dtype}.")
        given = plain_weights(weights, data, values=True)
        rows = data.x, data.y.astype(dtype), given
        if not is_traced(self, rows):
            length = max(_FEWEST_ROWS, 1 << (len(given) - 1).bit_length())
            rows = jax.tree.map(lambda array: jnp.asarray(padded(np.asarray(array), length)), rows)
        points, targets, own = rows
        count = jnp.asarray(len(given), jnp.int32)
        return _contribution(self.basis.functions, points, targets, own, count)

    def _without(self, sums: Sums) -> "RidgeStatistics":
        left, sound = _difference(self.sums, sums)
        if not is_traced(sound) and not sound:
            raise ValueError(
                "downdate: these rows were not all among the data: what is left has "
                f"{float(left.count.exact):g} rows, of weight {float(left.weight.exact):g}, and no "
                "semidefinite Gram matrix; take away only what was added, with its weights."
            )
        return RidgeStatistics(self.basis, left, self.outputs)

    def _refuse_unlike(self, other: object) -> None:
        if not isinstance(other, RidgeStatistics):
            raise TypeError(f"statistics: expected a RidgeStatistics and got a {type(other).__name__}.")
        if other.outputs != self.outputs:
            raise ValueError(
                f"statistics: of targets of shape {self.outputs} and of {other.outputs}; only those of "
                "like targets add up."
            )
        dtypes = [one.sums.gram.rounded.dtype for one in (self, other)]
        if dtypes[0] != dtypes[1]:
            raise TypeError(
                f"statistics: of {dtypes[0]} and of {dtypes[1]} data; accumulate both in one dtype."
            )
        if not is_like(self.basis, other.basis):
            raise ValueError("statistics: on different bases; only those on one basis add up.")


def fit_statistics(
    statistics: RidgeStatistics,
    *,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "gcv",
    intercept: bool = True,
    throw: bool = True,
) -> SpectralModel:
    """Ridge regression from sums: min over c of (1/W) Σ_i w_i |y_i − φ(x_i)c|² + η Σ_j |c_j|²/μ(λ_j).

    W is Σ w, n without weights: the same model as :func:`~symjax_learn.fit_ridge` on the same data, of
    which no row is needed any more. Any number of spectra and penalties are tried on one pass over the
    data. Composes under ``jit``, ``vmap`` and, for first derivatives, ``grad``.

    The sums square the condition of the features. Where that is more than they resolve, the status is
    ``ill_conditioned``: from float32 data penalties below about 2·10⁻⁵ of the largest eigenvalue
    of √μ(ΦᵀΦ/n)√μ, from float64 data below 4·10⁻¹⁴; :func:`~symjax_learn.fit_ridge` goes to the squares
    of these. Products are rounded in the dtype of the data: in float32 a criterion needs targets that
    are not thousands of times farther from zero than from each other. Its values are those of weights as
    they were given, which ``fit_ridge`` scales to mean 1.

    Args:
        statistics: by :func:`~symjax_learn.accumulate`.
        spectrum: μ, a function of the eigenvalues.
        penalty: η ≥ 0; or ``"gcv"``, generalized cross-validation, or ``"evidence"``, the marginal
            likelihood of a Gaussian process, for the best on a logarithmic grid, four values a decade.
        intercept: leave the constant function unpenalized.
        throw: raise for bad values, instead of returning them as ``report.status``.

    Returns:
        A :class:`~symjax_learn.SpectralModel`, whose report has no leave-one-out error.

    Raises:
        ValueError, TypeError: no statistics, or of no rows; a penalty that is none, or ``"loo"``, which
            needs a second pass over the rows; a singular problem, when ``throw`` and not traced.

    Cost: one eigendecomposition, O(D³), for all penalties.

    >>> import symjax_learn as sj, jax
    >>> space = sj.Torus(2)
    >>> basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=4)
    >>> x = space.sample(jax.random.key(0), (50,))
    >>> statistics = sj.accumulate(basis, (x, jax.numpy.cos(x).sum(axis=1)))
    >>> model = sj.fit_statistics(statistics, penalty=1e-3)
    >>> direct = sj.fit_ridge(basis, x, jax.numpy.cos(x).sum(axis=1), penalty=1e-3)
    >>> bool(abs(model(x) - direct(x)).max() < 1e-5)
    True
    """
    if not isinstance(statistics, RidgeStatistics):
        raise TypeError(
            f"statistics: expected the answer of accumulate and got a {type(statistics).__name__}."
        )
    if isinstance(penalty, str) and penalty == "loo":
        raise ValueError(
            "penalty: 'loo' needs a second pass over the rows, of which statistics are only the sums; "
            "use 'gcv' or 'evidence', or fit_ridge with the rows."
        )
    basis, sums = statistics.basis, statistics.sums
    weights = checked_spectrum(spectrum, basis.eigenvalues)
    known = not is_traced(sums)
    if throw and known and not (statistics.count >= 1 and sums.weight.exact > 0):
        raise ValueError(
            f"statistics: they are of {statistics.count} rows of positive weight; a fit needs at least "
            "one."
        )
    eta = checked_penalty(penalty, statistics.count if known else 2, CRITERIA)
    criterion = penalty if isinstance(penalty, str) else CRITERIA[0]
    with solver_precision(is_traced(statistics, weights, eta)):
        eta = None if eta is None else jnp.asarray(eta)
        coefficients, chosen, report = _fit(sums, weights, eta, criterion, bool(intercept))
    if throw:
        raise_unless_ok(report)
    return SpectralModel(basis, coefficients.reshape(-1, *statistics.outputs), chosen, report)


@eqx.filter_jit
def _fit(
    sums: Sums, kernel_weights: Array, penalty: Array | None, criterion: str, intercept: bool
) -> tuple[Array, Array, Report]:
    given = sums.gram.rounded.dtype
    dtype = working_dtype(given)
    kernel_weights = kernel_weights.astype(dtype)[int(intercept) :]
    # √0 = 0 has no derivative, and its function no coefficient.
    positive = kernel_weights > 0
    scale = jnp.where(positive, jnp.sqrt(jnp.where(positive, kernel_weights, 1.0)), 0.0)
    parts = sums.gram, sums.cross, sums.squares, sums.weight, sums.count
    precision = float(jnp.finfo(given).eps)
    with jax.default_matmul_precision("highest"):
        solution = solve_moments(
            Moments(*[part.astype(dtype) for part in parts]),
            scale,
            penalty,
            precision,
            _ROUNDING * precision,
            criterion,
        )
    coefficients = jnp.concatenate([solution.free, scale[:, None] * solution.coefficients])
    return coefficients.astype(given), solution.penalty.astype(given), as_report(solution, given)


class Checkpoint(NamedTuple):
    """How far a pass has come.

    Attributes:
        task: what is being summed, as pairs of a name and a value.
        sums: so far, of each device by itself where there are several.
        outputs: the shape of one target.
        position: the next block.
        checksum: of the rows before it, where they cannot be skipped unread.
    """

    task: tuple[tuple[str, str], ...]
    sums: Sums
    outputs: tuple[int, ...]
    position: int
    checksum: int


def is_like(one: InvariantBasis, other: InvariantBasis) -> bool:
    """Whether two bases have the same functions, by everything that is known of them."""
    if one is other:
        return True
    (ours, structure), (theirs, their_structure) = (
        jax.tree.flatten(basis.functions) for basis in (one, other)
    )
    if structure != their_structure or is_traced(one, other):
        return structure == their_structure
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True))


def contribution(functions: AbstractFunctions, x: Any, y: Array, weights: Array) -> Sums:
    """The sums over a batch of rows; a weight of zero is padding."""
    rows = min(CHUNK_ROWS, chunk_rows(functions.width))
    num_chunks = -(-len(weights) // rows)
    rows = -(-len(weights) // num_chunks)
    split = split_rows((x, y, weights), num_chunks, rows)
    present = jnp.arange(num_chunks * rows).reshape(num_chunks, rows) < len(weights)
    with jax.default_matmul_precision("highest"):
        return sums_of(functions.rows, split[0], split[1], jnp.where(present, split[2], 0))


def padded(rows: np.ndarray, length: int) -> np.ndarray:
    """Copies of the first row to a given length."""
    if len(rows) == length:
        return rows
    return np.concatenate([rows, np.broadcast_to(rows[:1], (length - len(rows), *rows.shape[1:]))])


@eqx.filter_jit
def _contribution(
    functions: AbstractFunctions, x: Array, y: Array, weights: Array, count: Array
) -> Sums:
    present = jnp.arange(len(weights), dtype=jnp.int32) < count
    return contribution(functions, x, y, jnp.where(present, weights, 0))


@eqx.filter_jit
def _sum(one: Sums, other: Sums) -> Sums:
    return one + other


@eqx.filter_jit
def _difference(one: Sums, other: Sums) -> tuple[Sums, Array]:
    left = one - other
    return left, is_left_of(one, left)
