"""What the solvers promise, measured: paths of penalties, other libraries on the same features.

Both sides of a comparison run in one process, the least of several calls each. Ours begin with points
and evaluate the features, scikit-learn is given them. Times depend on the machine and its load, their
ratios less.
"""

import dataclasses
import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.storage import Outcome, Progress, Store, sweep
from experiments.timing import least_seconds, timed
from symjax_learn.optimization import project

_SMOOTHNESS = 2.0
_NUM_PENALTIES = 100


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured.

    Attributes:
        num_samples: n, on T².
        max_norms: |k|² of the bases of ridge: 100, 320 for 317, 1005 functions.
        penalty: η of single fits.
        num_dual: n of kernel ridge.
        classifier_norm: |k|² of the basis of the classifier.
        num_problems: projections in one call.
        size: of each, m.
        num_generators: constraints D(g) − I of so many random rotations g of a plane, stacked.
        num_repeats: timings are the least of so many, after one more.
    """

    num_samples: int = 10_000
    max_norms: tuple[int, ...] = (30, 100, 320)
    penalty: float = 1e-5
    num_dual: int = 10_000
    classifier_norm: int = 30
    num_problems: int = 64
    size: int = 48
    num_generators: int = 3
    num_repeats: int = 3


CONFIGS = {
    "smoke": Config(
        num_samples=300, max_norms=(2, 5), num_dual=60, classifier_norm=2, num_problems=3, size=6,
        num_repeats=1,
    ),
    "default": Config(),
}  # fmt: skip


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Measure everything.

    Returns:
        ``ridge_*`` over ``ridge_num_functions``: seconds of :func:`sj.fit_ridge` by leave-one-out
        (``path_seconds``), at one penalty (``one_seconds``), by generalized cross-validation
        (``gcv_seconds``), of scikit-learn's ``RidgeCV`` of 100 penalties by leave-one-out, once
        (``cv_seconds``), of its ``Ridge`` at one penalty (``other_seconds``), and the largest
        difference of predictions of the latter (``difference``).
        ``dual_*``: seconds at one penalty of fit_ridge on the largest basis and of ``KernelRidge`` on
        the Gram matrix of its features, and the largest difference of predictions.
        ``classifier_*``: seconds of :func:`sj.fit_convex` and ``LogisticRegression``, the solver that
        was faster for the latter, the largest difference of the logits, steps.
        ``projection_*``: seconds of one call, of the pseudo-inverses of B Bᵀ, the largest difference.
    """
    measurements = {
        "ridge": _ridge,
        "dual": _dual,
        "classifier": _classifier,
        "projection": _projection,
    }
    cells = {name: functools.partial(measure, config) for name, measure in measurements.items()}
    merged: Outcome = {}
    for name, outcome in zip(cells, sweep(cells, store=store, progress=progress), strict=True):
        merged |= {f"{name}_{key}": one for key, one in outcome.items() if not key.startswith("cell_")}
    return merged


def _problem(num_samples: int, max_norm: int) -> tuple[sj.InvariantBasis, Any, Any, np.ndarray]:
    """A basis, points, targets with noise, and the features but φ = 1 that scikit-learn is given."""
    space = sj.Torus(2)
    basis = sj.eigenbasis(space, max_eigenvalue=max_norm)
    x = space.sample(jax.random.key(0), (num_samples,))
    noise = jax.random.normal(jax.random.key(1), (num_samples,))
    y = jnp.exp(jnp.cos(x).sum(axis=1) / 2) + 0.1 * noise
    scale = jnp.sqrt(sj.sobolev(_SMOOTHNESS)(basis.eigenvalues))
    return basis, x, y, np.asarray(basis(x) * scale[None])[:, 1:]


def _ridge(config: Config) -> dict[str, Any]:
    from sklearn.linear_model import Ridge, RidgeCV

    rows = []
    for max_norm in config.max_norms:
        basis, x, y, features = _problem(config.num_samples, max_norm)
        fit = functools.partial(sj.fit_ridge, basis, x, y, spectrum=sj.sobolev(_SMOOTHNESS))
        alpha, targets = config.num_samples * config.penalty, np.asarray(y)
        other = Ridge(alpha=alpha)
        path = RidgeCV(alphas=alpha * np.geomspace(1e-5, 1e5, _NUM_PENALTIES))
        predictions = fit(penalty=config.penalty)(x)
        rows.append(
            {
                "num_functions": basis.num_functions,
                "path_seconds": _seconds(config, lambda fit=fit: fit().coefficients),
                "one_seconds": _seconds(
                    config, lambda fit=fit: fit(penalty=config.penalty).coefficients
                ),
                "gcv_seconds": _seconds(config, lambda fit=fit: fit(penalty="gcv").coefficients),
                "cv_seconds": timed(lambda path=path, f=features, t=targets: path.fit(f, t).coef_)[1],
                "other_seconds": _seconds(
                    config, lambda other=other, f=features, t=targets: other.fit(f, t).coef_
                ),
                "difference": float(np.abs(np.asarray(predictions) - other.predict(features)).max()),
            }
        )
    return {key: [row[key] for row in rows] for key in rows[0]}


def _dual(config: Config) -> dict[str, Any]:
    from sklearn.kernel_ridge import KernelRidge

    basis, x, y, features = _problem(config.num_dual, max(config.max_norms))
    spectrum, targets = sj.sobolev(_SMOOTHNESS), np.asarray(y)

    def fit() -> sj.SpectralModel:
        return sj.fit_ridge(basis, x, y, spectrum=spectrum, penalty=config.penalty, intercept=False)

    gram = features @ features.T + 1.0
    alpha = config.num_dual * config.penalty
    other = KernelRidge(alpha=alpha, kernel="precomputed")  # pyright: ignore[reportArgumentType]
    seconds = _seconds(config, lambda: fit().coefficients)
    return {
        "seconds": seconds,
        "other_seconds": _seconds(config, lambda: other.fit(gram, targets).dual_coef_),
        "difference": float(np.abs(np.asarray(fit()(x)) - other.predict(gram)).max()),
    }


def _classifier(config: Config) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression

    basis, x, y, features = _problem(config.num_samples, config.classifier_norm)
    labels = (y > jnp.median(y)).astype(y.dtype)
    spectrum, targets = sj.sobolev(_SMOOTHNESS), np.asarray(labels)

    def fit() -> Any:
        return sj.fit_convex(
            basis, x, labels, loss=sj.losses.logistic, penalty=config.penalty, spectrum=spectrum
        )

    inverse = 1 / (2 * config.num_samples * config.penalty)
    seconds, others = _seconds(config, lambda: fit().coefficients), {}
    for solver in ("lbfgs", "newton-cholesky"):
        other = LogisticRegression(C=inverse, solver=solver, tol=1e-8, max_iter=10_000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spent = _seconds(config, lambda other=other: other.fit(features, targets).coef_)
        others[solver] = spent, other
    solver = min(others, key=lambda name: others[name][0])
    logits = others[solver][1].decision_function(features)
    model = fit()
    return {
        "num_functions": basis.num_functions,
        "seconds": seconds,
        "other_seconds": others[solver][0],
        "other_solver": solver,
        "difference": float(np.abs(np.asarray(model(x)) - logits).max()),
        "steps": int(model.report.steps),
    }


def _projection(config: Config) -> dict[str, Any]:
    """Constraints D(g)c = c of random rotations by a third of a turn in half of all planes."""
    rng = np.random.default_rng(0)
    frames = np.linalg.qr(rng.standard_normal((config.num_problems, config.size, config.size)))[0]
    turned, turn = config.size // 4, 2 * np.pi / 3
    block = np.asarray([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moves = []
    for power in range(1, config.num_generators + 1):
        rotation = np.eye(config.size)
        power_of = np.linalg.matrix_power(block, power)
        rotation[: 2 * turned, : 2 * turned] = np.kron(np.eye(turned), power_of)
        moves.append(frames @ rotation @ frames.mT - np.eye(config.size))
    constraints = np.concatenate(moves, axis=1)
    vectors = rng.standard_normal((config.num_problems, config.size))

    def published() -> np.ndarray:
        """c̃ − Bᵀ(BBᵀ)⁺Bc̃."""
        inverse = np.linalg.pinv(constraints @ constraints.mT, rcond=1e-10, hermitian=True)
        return vectors - (constraints.mT @ (inverse @ (constraints @ vectors[..., None])))[..., 0]

    found = np.asarray(project(vectors, constraints).vectors)
    return {
        "seconds": _seconds(config, lambda: project(vectors, constraints).vectors),
        "other_seconds": _seconds(config, published),
        "difference": float(np.abs(found - published()).max()),
    }


def _seconds(config: Config, call: Any) -> float:
    return least_seconds(call, config.num_repeats)


def table(results: dict[str, np.ndarray]) -> str:
    """The measurements as text."""
    r = results
    lines = [
        "Ridge, seconds: every penalty by leave-one-out, one, every by GCV; scikit-learn's 100 by "
        "leave-one-out, and one; ratios; difference",
    ]
    columns = (
        "num_functions path_seconds one_seconds gcv_seconds cv_seconds other_seconds difference".split()
    )
    rows = zip(*(r[f"ridge_{column}"] for column in columns), strict=True)
    for width, path, one, gcv, cv, other, difference in rows:
        lines.append(
            f"  {width:6} functions {path:7.3f} {one:7.3f} {gcv:7.3f}; {cv:7.3f} {other:7.3f}; path/one "
            f"{path / one:.2f}, RidgeCV/path {cv / path:.1f}, one/Ridge {one / other:.1f}; "
            f"{difference:.1e}"
        )
    for name, other in (
        ("dual", "KernelRidge on the Gram matrix of the features"),
        ("classifier", f"LogisticRegression ({r['classifier_other_solver']})"),
        ("projection", "pseudo-inverse of B Bᵀ"),
    ):
        seconds, theirs = float(r[f"{name}_seconds"]), float(r[f"{name}_other_seconds"])
        lines.append(
            f"{name:10} {seconds:8.4f} s; {other} {theirs:8.4f} s, {theirs / seconds:.1f} times; "
            f"difference {float(r[f'{name}_difference']):.1e}"
        )
    return "\n".join(lines)
