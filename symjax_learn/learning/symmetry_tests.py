"""Is a function that is only known from noisy data invariant under a group? A test of given level.

Let P be the projector on the invariant functions of a basis, φ_⊥ an orthonormal basis of the others, and
r = y − f̂_P(x) the residuals of the invariant fit. The statistic is a score,
T = ‖(1/n) Σ_i φ_⊥(x_i) r_i‖²: no free fit is made, so that there may be more functions than samples.

If the law of (x, y) is that of (gx, y), then given the orbit of each x_i and all y, the x_i are
independent and uniform on their orbits, while r, a function of these, is fixed. So T is exchangeable
with its values at g_1 x_1, …, g_n x_n for independent uniform g_i: the p-value is exact for any n, any
noise and any penalty.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from symjax_learn._chunks import CHUNK_ENTRIES, MEMORY_LIMIT, chunk_rows, refuse_beyond, split_rows
from symjax_learn._types import AnyArray, Element, Key, checked_count, is_traced
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.spaces import AbstractFunctions
from symjax_learn.geometry.spectra import Spectrum, sobolev
from symjax_learn.invariants.action import Action, as_action
from symjax_learn.invariants.basis import InvariantBasis, LinearCombinations
from symjax_learn.invariants.departures import departures
from symjax_learn.invariants.subactions import generated_action
from symjax_learn.learning.data import checked_data, truncated_levels
from symjax_learn.learning.model import checked_spectrum
from symjax_learn.learning.spectral import fit_ridge

_DEFAULT_SPECTRUM = sobolev(2.0)
Null = Literal["randomization", "bootstrap"]


class InvarianceTest(NamedTuple):
    """The answer of a test of invariance.

    Attributes:
        statistic: T = ‖(1/n) Σ φ_⊥(x_i) r_i‖², over all outputs.
        p_value: (1 + #{T* ≥ T})/(B + 1).
        broken_fraction: ‖(I − P)f‖² over the mean square of y about its mean, from pairs i ≠ j alone, so
            that noise adds no bias where x is uniform; near 0, or below, where nothing is broken. Too
            small by a part of about 2D_G/n, which the invariant fit takes up.
        eigenvalues: of the levels.
        level_fractions: the parts of the levels in ``broken_fraction``.
        penalty: of the invariant fit.
        status: of that fit, a ``Status`` as an integer; 0 is good.
    """

    statistic: Float[Array, ""]
    p_value: Float[Array, ""]
    broken_fraction: Float[Array, ""]
    eigenvalues: Float[Array, " L"]
    level_fractions: Float[Array, " L"]
    penalty: Float[Array, ""]
    status: Int[AnyArray, ""]


class RejectionRate(NamedTuple):
    """How often a test rejects: its level where nothing is broken, else its power.

    Attributes:
        rate: the fraction of p-values ≤ level.
        standard_error: of it, √(rate·(1 − rate)/m).
        p_values: of all m simulations.
    """

    rate: Float[Array, ""]
    standard_error: Float[Array, ""]
    p_values: Float[Array, " m"]


class _Parts(NamedTuple):
    """What set-up work finds: the basis of invariants, and the functions orthogonal to them.

    Attributes:
        invariant: a basis.
        broken: a table of the others.
        level_of: the level of each of these.
        eigenvalues: of the levels.
    """

    invariant: InvariantBasis
    broken: LinearCombinations
    level_of: Int[np.ndarray, " E"]
    eigenvalues: Float[np.ndarray, " L"]


def invariance_test(
    key: Key,
    basis: InvariantBasis,
    x: AnyArray,
    y: AnyArray,
    action: Action | AbstractGroup,
    *,
    elements: Element | None = None,
    num_resamples: int = 999,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    null: Null = "randomization",
    throw: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> InvarianceTest:
    """Tests whether f with y = f(x) + ε is invariant, by T = ‖(1/n) Σ φ_⊥(x_i) r_i‖².

    r are the residuals of the fit on the invariants of the basis, φ_⊥ its functions orthogonal to them:
    departures are seen up to its truncation, and all alike. Composes under ``jit`` and ``vmap`` over
    keys and data.

    Args:
        key: a JAX random key.
        basis: of :func:`~symjax_learn.eigenbasis`.
        x: ``(n, *point_shape)``, floating.
        y: ``(n, *outputs)``.
        action: a group, or an action on the space of the basis; a one-parameter group, such as
            ``lie_group([A])``, for one direction of a Lie algebra.
        elements: a batch of elements, one leading axis: test the subgroup that they generate.
        num_resamples: B; p-values are multiples of 1/(B + 1).
        spectrum: μ of the invariant fit, as in ``fit_ridge``.
        penalty: η of that fit, as there.
        null: ``"randomization"``: T at g_i x_i for uniform g_i, an exact test where x has the uniform
            distribution, or any other that is invariant, and the law of the noise at gx is that at x.
            ``"bootstrap"``: T of f̂_P(x) + v·r/√(1 − h) for random signs v and leverages h, the points
            held fixed: also for designs that are not invariant and for groups without sampler; its
            level is right as n grows.
        throw: raise for bad values, instead of returning a status.
        memory_limit: refuse more bytes for the matrices of the eigenspaces, and for n × D of the
            bootstrap.

    Returns:
        An :class:`InvarianceTest`.

    Raises:
        ValueError, TypeError: as ``fit_ridge``; a basis that is invariant already, a group that moves no
            function of it, an unknown null, no sampler of the group where one is needed.

    Cost: O(n·D_G²) for the fit; B evaluations of D functions at n points (of small groups |G| of them
    and B·n·D additions), or for the bootstrap O(n·D·(D_G + B)).

    References:
        J. Romano, *On the behavior of randomization tests without a group invariance assumption*, JASA
        1990; R. Davidson, E. Flachaire, *The wild bootstrap, tamed at last*, J. Econometrics 2008, for
        signs and residuals under the hypothesis.

    >>> import symjax_learn as sj, jax
    >>> space = sj.Torus(2)
    >>> x = space.sample(jax.random.key(0), (60,))
    >>> y = jax.numpy.cos(x[:, 0]) + 0.5 * jax.random.normal(jax.random.key(1), (60,))
    >>> basis = sj.eigenbasis(space, max_eigenvalue=2)
    >>> swap, mirrors = sj.symmetric_group(2), sj.sign_group(2)
    >>> found = [sj.invariance_test(jax.random.key(2), basis, x, y, g) for g in (swap, mirrors)]
    >>> [bool(one.p_value < 0.05) for one in found]
    [True, False]
    """
    count = checked_count("num_resamples", num_resamples)
    if null not in ("randomization", "bootstrap"):
        raise ValueError(f"null: expected 'randomization' or 'bootstrap' and got {null!r}.")
    acting = _acting(basis, action, elements)
    if null == "randomization" and acting.group.sampler is None:
        raise ValueError(
            f"null: 'randomization' draws from the group, and no sampler of this "
            f"{type(acting.group).__name__} is known; use null='bootstrap'."
        )
    parts = _parts(basis, acting, memory_limit)
    listed = _listed(acting, parts, len(x)) if null == "randomization" else None
    options = _Options(null, count, spectrum, penalty, throw, memory_limit)
    return _tested(key, parts, acting, listed, x, y, options)


def rejection_rate(
    key: Key,
    basis: InvariantBasis,
    action: Action | AbstractGroup,
    *,
    num_samples: int,
    departure: float = 0.0,
    noise: float | Callable[[Key, Array], Array] = 0.5,
    level: float = 0.05,
    num_simulations: int = 400,
    num_resamples: int = 199,
    spectrum: Spectrum = _DEFAULT_SPECTRUM,
    penalty: float | Array | str = "loo",
    null: Null = "randomization",
    memory_limit: int = MEMORY_LIMIT,
) -> RejectionRate:
    """How often :func:`invariance_test` rejects at a stated departure: level (0) and power, simulated.

    Each simulation draws uniform x and a function of mean square 1: a fraction 1 − δ of it in a random
    direction of the invariant functions (without the constant, where there are others), δ in a random
    direction of the other functions of the basis.

    Args:
        key: a JAX random key.
        basis: of :func:`~symjax_learn.eigenbasis`.
        action: a group, or an action on the space of the basis.
        num_samples: n of each simulated data set.
        departure: δ, in [0, 1].
        noise: the standard deviation of Gaussian noise, or ``noise(key, x) -> (n,)``, a user's own.
        level: a p-value ≤ level rejects.
        num_simulations: m.
        num_resamples: as in the test.
        spectrum: as there.
        penalty: as there.
        null: as there.
        memory_limit: as there.

    Returns:
        A :class:`RejectionRate`.

    Raises:
        ValueError, TypeError: as there; a departure outside [0, 1], a level outside (0, 1), negative
            noise.

    Cost: m tests, and one compilation.

    >>> import symjax_learn as sj, jax
    >>> basis, key = sj.eigenbasis(sj.Torus(2), max_eigenvalue=2), jax.random.key(0)
    >>> options = dict(num_samples=50, num_simulations=20, num_resamples=39)
    >>> found = sj.rejection_rate(key, basis, sj.symmetric_group(2), departure=0.5, **options)
    >>> bool(found.rate > 0.5)
    True
    """
    n = checked_count("num_samples", num_samples, 2)
    count = checked_count("num_simulations", num_simulations)
    if not 0 <= departure <= 1:
        raise ValueError(
            f"departure: expected a fraction of the variance in [0, 1] and got {departure!r}."
        )
    check_level(level)
    if not callable(noise) and not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise: expected a finite number >= 0 or a function and got {noise!r}.")
    acting = _acting(basis, action, None)
    parts = _parts(basis, acting, memory_limit)

    listed = _listed(acting, parts, n) if null == "randomization" else None
    resamples = checked_count("num_resamples", num_resamples)
    options = _Options(null, resamples, spectrum, penalty, False, memory_limit)
    scale = noise if callable(noise) else jnp.asarray(noise, float)
    keys = jax.random.split(key, count)
    p_values = _simulated(keys, parts, acting, listed, jnp.asarray(departure, float), scale, n, options)
    rate = jnp.mean((p_values <= level).astype(p_values.dtype))
    return RejectionRate(rate, jnp.sqrt(rate * (1 - rate) / count), p_values)


class _Options(NamedTuple):
    """Of a test, as in :func:`invariance_test`."""

    null: Null
    num_resamples: int
    spectrum: Spectrum
    penalty: float | Array | str
    throw: bool
    memory_limit: int


def _listed(action: Action, parts: _Parts, num_samples: int) -> Element | None:
    """All elements, where those of all samples are few enough to be looked up."""
    if action.order * num_samples * parts.broken.num_functions > CHUNK_ENTRIES:
        return None
    with jax.ensure_compile_time_eval():
        return action.elements()


def _tested(
    key: Key,
    parts: _Parts,
    acting: Action,
    listed: Element | None,
    x: AnyArray,
    y: AnyArray,
    options: _Options,
) -> InvarianceTest:
    basis, (null, count, spectrum, penalty, throw, memory_limit) = parts.invariant, options
    data = checked_data(basis.space, x, y, values=throw)
    model = fit_ridge(
        basis, data.x, data.y, spectrum=spectrum, penalty=penalty, throw=throw, memory_limit=memory_limit
    )
    report = model.penalty, model.report.status
    if null == "randomization":
        fitted = model(data.x)
        return _randomized(key, parts, acting, listed, data.x, data.y, fitted, *report, count)
    refuse_beyond(
        memory_limit,
        8 * len(data.x) * (2 * parts.broken.num_functions + count),
        f"num_resamples: the bootstrap of {len(data.x):,} samples",
        "Lower it, raise memory_limit, or use null='randomization'.",
    )
    weights = checked_spectrum(spectrum, basis.eigenvalues)
    return _bootstrapped(key, parts, data.x, data.y, weights, *report, count)


@eqx.filter_jit
def _simulated(
    keys: Array,
    parts: _Parts,
    acting: Action,
    listed: Element | None,
    departure: Array,
    noise: Array | Callable[[Key, Array], Array],
    num_samples: int,
    options: _Options,
) -> Float[Array, " m"]:
    """p-values of tests of simulated data."""

    def simulated(one: Key) -> Array:
        keys = jax.random.split(one, 5)
        x = acting.space.sample(keys[0], (num_samples,))
        kept = _direction(keys[1], parts.invariant.num_functions, constant=False)
        broken = _direction(keys[2], parts.broken.num_functions, constant=True)
        clean = jnp.sqrt(1 - departure) * _values(parts.invariant.functions, kept, x)
        clean = clean + jnp.sqrt(departure) * _values(parts.broken, broken, x)
        if callable(noise):
            disturbance = noise(keys[3], x).astype(clean.dtype)
        else:
            disturbance = noise * jax.random.normal(keys[3], clean.shape, clean.dtype)
        return _tested(keys[4], parts, acting, listed, x, clean + disturbance, options).p_value

    return jax.lax.map(simulated, keys)


def check_level(level: object) -> None:
    """Raise for a level that is no probability."""
    if not isinstance(level, float) or not 0 < level < 1:
        raise ValueError(f"level: expected a probability in (0, 1) and got {level!r}.")


def _direction(key: Key, size: int, constant: bool) -> Array:
    """A random unit vector; 0 in its first entry, of the constant, where there are others."""
    vector = jax.random.normal(key, (size,))
    if not constant and size > 1:
        vector = vector.at[0].set(0.0)
    return vector / jnp.linalg.norm(vector)


def _values(functions: AbstractFunctions, coefficients: Array, x: Array) -> Array:
    return functions.combined(coefficients[None].astype(x.dtype), x)[0]


def _acting(basis: InvariantBasis, action: Action | AbstractGroup, elements: Element | None) -> Action:
    if not isinstance(basis, InvariantBasis):
        raise TypeError(f"basis: expected the answer of eigenbasis and got a {type(basis).__name__}.")
    if basis.action is not None:
        raise ValueError(
            "basis: it is invariant already, and nothing in it can be broken; give the full eigenbasis."
        )
    if is_traced(basis, elements):
        raise TypeError(
            "basis: it is being traced, or the elements are, and their eigenspaces are exact set-up "
            "work; let the compiled function close over them."
        )
    acting = as_action(basis.space, action)
    if elements is None:
        return acting
    with jax.ensure_compile_time_eval():
        return generated_action(acting, elements)


def _parts(basis: InvariantBasis, action: Action, memory_limit: int) -> _Parts:
    levels = truncated_levels(basis)
    if sum(level.multiplicity for level in levels) != basis.num_functions:
        raise ValueError("basis: it is no full eigenbasis; give the answer of eigenbasis.")
    with jax.ensure_compile_time_eval():
        rotations, rates = departures(action, levels, memory_limit)
        moved = np.split(rates > 0, np.cumsum([len(block) for block in rotations])[:-1])
        fixed, broken = (
            [block[:, mask == which] for block, mask in zip(rotations, moved, strict=True)]
            for which in (False, True)
        )
        tables = [
            LinearCombinations(
                table=basis.functions,
                coefficients=tuple(jnp.asarray(block, float) for block in blocks),
                num_functions=sum(block.shape[1] for block in blocks),
            )
            for blocks in (fixed, broken)
        ]
        eigenvalues = np.asarray([level.eigenvalue for level in levels])
        ranks = [block.shape[1] for block in fixed]
        invariant = dataclasses.replace(
            basis,
            action=action,
            functions=tables[0],
            eigenvalues=jnp.asarray(np.repeat(eigenvalues, ranks), float),
        )
    if not tables[1].num_functions:
        raise ValueError(
            "action: the group moves no function of the basis, so that no data could speak against it; "
            "raise max_eigenvalue."
        )
    level_of = np.repeat(np.arange(len(levels)), [block.shape[1] for block in broken])
    return _Parts(invariant, tables[1], level_of, eigenvalues)


@eqx.filter_jit
def _randomized(
    key: Key,
    parts: _Parts,
    action: Action,
    elements: Element | None,
    x: Array,
    y: Array,
    fitted: Array,
    penalty: Array,
    status: AnyArray,
    num_resamples: int,
) -> InvarianceTest:
    n, table = len(x), parts.broken
    residuals = (y - fitted) / n
    rows = min(n, chunk_rows(max(table.width, table.num_functions)))
    num_chunks = -(-n // rows)
    rows = -(-n // num_chunks)
    present = (jnp.arange(num_chunks * rows) < n).astype(y.dtype).reshape(num_chunks, rows)
    kept = split_rows(residuals, num_chunks, rows) * present[:, :, None]
    chunks = (split_rows(x, num_chunks, rows), kept, jnp.arange(num_chunks, dtype=jnp.uint32))
    nothing = jnp.zeros((table.num_functions, y.shape[1]), y.dtype)

    def add_own(totals: tuple[Array, Array], chunk: tuple[Array, Array, Array]):
        """Σ φ_⊥(x_i) r_i/n, and Σ φ_⊥(x_i)² r_i²/n²."""
        values = table.rows(chunk[0])
        return (
            totals[0] + _product(values, chunk[1]),
            totals[1] + _product(values**2, jnp.sum(chunk[1] ** 2, axis=1)),
        ), None

    def resampled(one: Key) -> Array:
        def add(total: Array, chunk: tuple[Array, Array, Array]) -> tuple[Array, None]:
            points, r, number = chunk
            g = action.sample(jax.random.fold_in(one, number), (rows,))
            return total + _product(table.rows(action.act(g, points)), r), None

        return jnp.sum(jax.lax.scan(add, nothing, chunks)[0] ** 2)

    def looked_up(one: Key) -> Array:
        which = jax.random.randint(one, (n,), 0, len(images))
        return jnp.sum(_product(images[which, jnp.arange(n)].T, residuals) ** 2)

    keys, width = jax.random.split(key, num_resamples), max(table.width, table.num_functions)
    batch = max(1, min(64, chunk_rows(rows * width)))
    if elements is None:
        statistics = jax.lax.map(resampled, keys, batch_size=batch)
    else:
        wide = jax.tree.map(lambda leaf: leaf[:, None], elements)
        moved = action.act(wide, x[None])
        values = table.rows(moved.reshape(-1, *x.shape[1:]))
        images = values.reshape(table.num_functions, -1, n).transpose(1, 2, 0)
        statistics = jax.lax.map(looked_up, keys, batch_size=batch)
    observed, own = jax.lax.scan(add_own, (nothing, nothing[:, 0]), chunks)[0]
    pairs = (jnp.sum(observed**2, axis=1) - own) * (n / max(n - 1, 1))
    return _judged(parts, y, jnp.sum(observed**2), statistics, pairs, penalty, status)


@eqx.filter_jit
def _bootstrapped(
    key: Key,
    parts: _Parts,
    x: Array,
    y: Array,
    weights: Array,
    penalty: Array,
    status: AnyArray,
    num_resamples: int,
) -> InvarianceTest:
    n, dtype = len(x), y.dtype
    scale = jnp.sqrt(weights.astype(dtype))
    features = parts.invariant.functions.columns(x) * scale[None]
    charged = jnp.where(parts.invariant.eigenvalues == 0, 0.0, 1.0).astype(dtype)
    below = jnp.diag(charged * jnp.sqrt(n * penalty.astype(dtype)))
    # H = QQᵀ of the first n rows: the smoother of the invariant fit.
    left = jnp.linalg.qr(jnp.concatenate([features, below]))[0][:n]
    broken = parts.broken.columns(x)

    def rest(columns: Array) -> Array:
        return columns - _product(left, _product(left.T, columns))

    residuals = rest(y)
    leverages = jnp.clip(jnp.sum(left**2, axis=1), 0.0, 1.0)
    free = jnp.sqrt(jnp.maximum(1 - leverages, jnp.finfo(dtype).eps))
    noise = residuals / free[:, None]
    observed = _product(broken.T, residuals) / n
    shadow = _product(broken.T, rest(y - residuals)) / n  # what the fit makes of its own fit
    signs = jax.random.rademacher(key, (num_resamples, n), dtype)

    def statistics(output: Array, base: Array) -> Array:
        columns = rest((signs * output[None]).T)
        return jnp.sum((base[:, None] + _product(broken.T, columns) / n) ** 2, axis=0)

    resampled = jnp.sum(jax.vmap(statistics, in_axes=(1, 1))(noise, shadow), axis=0)
    own = (broken**2 / n**2).T @ jnp.sum(residuals**2, axis=1)
    pairs = (jnp.sum(observed**2, axis=1) - own) * (n / max(n - 1, 1))
    return _judged(parts, y, jnp.sum(observed**2), resampled, pairs, penalty, status)


def _product(left: Array, right: Array) -> Array:
    return jnp.matmul(left, right, precision="highest")


def _judged(
    parts: _Parts,
    y: Array,
    statistic: Array,
    statistics: Array,
    pairs: Array,
    penalty: Array,
    status: AnyArray,
) -> InvarianceTest:
    """p-value and effect size; values that differ by rounding alone are equal."""
    dtype = y.dtype
    rounding = 100 * jnp.finfo(dtype).eps
    floor = rounding * statistic + rounding**2 * jnp.sum(jnp.mean(y**2, axis=0))
    beyond = jnp.sum((statistics + floor >= statistic).astype(dtype))
    p_value = (1 + beyond) / (len(statistics) + 1)
    p_value = jnp.where(jnp.isfinite(statistic), p_value, jnp.nan)
    variance = jnp.sum(jnp.mean((y - jnp.mean(y, axis=0, keepdims=True)) ** 2, axis=0))
    fractions = jnp.where(variance > 0, pairs / jnp.where(variance > 0, variance, 1.0), 0.0)
    by_level = jnp.zeros(len(parts.eigenvalues), dtype).at[parts.level_of].add(fractions)
    eigenvalues = jnp.asarray(parts.eigenvalues, dtype)
    return InvarianceTest(statistic, p_value, jnp.sum(fractions), eigenvalues, by_level, penalty, status)
