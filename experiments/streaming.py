"""One pass over any amount of data, measured: the rate of ΦᵀΦ, and a million samples end to end.

The Gram matrix of given features beside a product of matrices of the same kind in the same run, 2nD²
operations counted though its lower half is not computed. Then the statistics of the functions of S_d on
the torus T^d from an iterator that makes its chunks as it goes, each number of samples in a process of
its own, whose largest memory is that of everything it loads.
"""

import dataclasses
import functools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.storage import Outcome, Progress, Store, sweep
from experiments.timing import least_seconds, timed
from symjax_learn.optimization import sums_of


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured.

    Attributes:
        widths: D, the numbers of given features.
        chunk_rows: of each of these products.
        num_chunks: how many are added up.
        product_size: of the square matrices whose product sets the rate.
        dimension: d of the torus and of S_d.
        max_norm: the largest |k|² of the truncation.
        sizes: n of the passes.
        chunk: samples that the iterator makes at once.
        num_repeats: timings are the least of so many.
    """

    widths: tuple[int, ...] = (512, 1024)
    chunk_rows: int = 2048
    num_chunks: int = 8
    product_size: int = 2048
    dimension: int = 100
    max_norm: int = 6
    sizes: tuple[int, ...] = (100_000, 300_000, 1_000_000)
    chunk: int = 10_000
    num_repeats: int = 5


CONFIGS = {
    "smoke": Config(
        widths=(8,),
        chunk_rows=32,
        num_chunks=2,
        product_size=16,
        dimension=4,
        max_norm=2,
        sizes=(1000,),
        chunk=300,
        num_repeats=1,
    ),
    "default": Config(),
}
_DTYPES = ("float32", "float64")


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """Measure everything.

    Returns:
        ``widths`` and ``dtypes``; ``gram_rate`` and ``product_rate``, both (dtypes, widths), operations
        a second; ``sizes``; ``seconds`` of each pass once compiled, ``making_seconds`` of these that the
        iterator takes alone, ``peak_bytes`` of the process, ``num_functions``, and ``error``: of the
        coefficients that a fit from the statistics finds of a function in the span.
    """
    cells = {
        f"gram_{dtype}_{width}": functools.partial(_gram, config, width, dtype)
        for dtype in _DTYPES
        for width in config.widths
    }
    passes = {f"pass_{n}": functools.partial(_in_a_process, config, n) for n in config.sizes}
    outcomes = sweep(cells | passes, store=store, progress=progress)
    grams, streams = outcomes[: len(cells)], outcomes[len(cells) :]
    results: Outcome = {
        "widths": np.asarray(config.widths),
        "dtypes": np.asarray(_DTYPES),
        "sizes": np.asarray(config.sizes),
        "num_functions": streams[0]["num_functions"],
    }
    shape = (len(_DTYPES), len(config.widths))
    for name in ("gram_rate", "product_rate"):
        results[name] = np.stack([outcome[name] for outcome in grams]).reshape(shape)
    for name in ("seconds", "making_seconds", "peak_bytes", "error"):
        results[name] = np.stack([outcome[name] for outcome in streams])
    return results


def _gram(config: Config, width: int, dtype: str) -> dict[str, float]:
    """Operations a second of the sums over many rows of given features, and of a product."""
    rows, num_chunks, size = config.chunk_rows, config.num_chunks, config.product_size
    phi = jax.random.normal(jax.random.key(0), (num_chunks, width, rows), dtype)
    y, weights = phi[:, 0, :, None], jnp.ones((num_chunks, rows), dtype)
    sums = jax.jit(lambda phi, y, weights: sums_of(lambda chunk: chunk, phi, y, weights))
    square = jax.random.normal(jax.random.key(1), (size, size), dtype)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    # In turn, so that whatever else the machine does falls on both.
    gram_seconds = product_seconds = math.inf
    for _ in range(config.num_repeats):
        gram_seconds = min(gram_seconds, least_seconds(lambda: sums(phi, y, weights), 1))
        product_seconds = min(product_seconds, least_seconds(lambda: product(square), 1))
    operations = 2 * num_chunks * rows * width**2
    return {"gram_rate": operations / gram_seconds, "product_rate": 2 * size**3 / product_seconds}


def chunks(config: Config, num_samples: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Uniform samples in float32 and a function in the span of the basis: Σ cos x_j/√d."""
    random = np.random.default_rng(0)
    for start in range(0, num_samples, config.chunk):
        length = min(config.chunk, num_samples - start)
        x = random.random((length, config.dimension), np.float32) * np.float32(2 * np.pi)
        yield x, np.cos(x).sum(axis=1) / np.float32(np.sqrt(config.dimension))


def one_pass(config: Config, num_samples: int) -> dict[str, float]:
    """A pass over so many samples, after one over a few that compiles."""
    import resource

    space, group = sj.Torus(config.dimension), sj.symmetric_group(config.dimension)
    basis = sj.invariant_basis(space, group, max_eigenvalue=config.max_norm)
    sj.accumulate(basis, chunks(config, config.chunk))

    def exhaust() -> None:
        for _ in chunks(config, num_samples):
            pass

    statistics, seconds = timed(lambda: sj.accumulate(basis, chunks(config, num_samples)))
    for _ in range(config.num_repeats - 1):
        seconds = min(seconds, timed(lambda: sj.accumulate(basis, chunks(config, num_samples)))[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    model = sj.fit_statistics(statistics, penalty=1e-4)
    x, y = next(chunks(config, config.chunk))
    return {
        "num_functions": basis.num_functions,
        "seconds": seconds,
        "making_seconds": timed(exhaust)[1],
        "peak_bytes": peak,
        "error": float(np.abs(np.asarray(model(x)) - y).max()),
    }


def _in_a_process(config: Config, num_samples: int) -> dict[str, float]:
    """The same in a fresh process, whose memory is its own."""
    code = (
        "import json, sys; from experiments.streaming import Config, one_pass; "
        "fields, n = json.loads(sys.argv[1]); "
        "print(json.dumps(one_pass(Config(**fields), n)))"
    )
    arguments = json.dumps([dataclasses.asdict(config), num_samples])
    done = subprocess.run(
        [sys.executable, "-c", code, arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def table(results: dict[str, Any]) -> str:
    """The measurements as text."""
    lines = ["ΦᵀΦ of given features, Gflop/s, and its share of the rate of a product of matrices:"]
    for i, dtype in enumerate(results["dtypes"]):
        for j, width in enumerate(results["widths"]):
            rate, whole = results["gram_rate"][i, j], results["product_rate"][i, j]
            lines.append(f"  {dtype} D = {width:5,d} {rate / 1e9:8.1f}  {rate / whole:6.0%}")
    lines.append(
        f"One pass over n samples of {results['num_functions']} functions: seconds, those that making "
        "the samples takes, microseconds a sample, peak memory, error:"
    )
    for n, seconds, making, peak, error in zip(
        results["sizes"],
        results["seconds"],
        results["making_seconds"],
        results["peak_bytes"],
        results["error"],
        strict=True,
    ):
        lines.append(
            f"  n = {n:9,d} {seconds:8.2f} {making:8.2f} {1e6 * seconds / n:8.2f} "
            f"{peak / 1e9:6.2f} GB  {error:.1e}"
        )
    return "\n".join(lines)
