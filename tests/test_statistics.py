"""Sums of a least-squares problem: against NumPy, additive, bitwise on resumption, on many devices."""

import itertools
import json
import os
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.optimization.statistics import Sums, is_left_of, no_sums, sums_of

X64 = jax.dtypes.canonicalize_dtype(float) == np.float64
SPACE = sj.Torus(2)
BASIS = sj.invariant_basis(SPACE, sj.symmetric_group(2), max_eigenvalue=5)
N, BLOCK = 150, 32
EPS = float(jnp.finfo(jnp.result_type(float)).eps)
EPS32 = float(jnp.finfo(jnp.float32).eps)


def data(n=N, seed=0, outputs=()):
    x = np.asarray(SPACE.sample(jax.random.key(seed), (n,)))
    noise = np.asarray(jax.random.normal(jax.random.key(seed + 1), (n, *outputs)), x.dtype)
    weights = np.random.default_rng(seed).integers(0, 3, n).astype(x.dtype)
    return x, noise + np.cos(x).sum(axis=1).reshape(n, *[1] * len(outputs)), weights


def oracle(basis, x, y, weights):
    """The sums in NumPy, from features that are given."""
    features, targets = np.asarray(basis(x), float), np.asarray(y, float).reshape(len(y), -1)
    w = np.asarray(weights, float)[:, None]
    return features.T @ (w * features), features.T @ (w * targets), (w * targets**2).sum(axis=0)


def same(one, other):
    """Bitwise."""
    ours, theirs = jax.tree.leaves(one), jax.tree.leaves(other)
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def close(statistics, expected, factor=20.0):
    sums = statistics.sums
    for found, wanted in zip((sums.gram, sums.cross, sums.squares), expected, strict=True):
        np.testing.assert_allclose(found.exact, wanted, rtol=0, atol=factor * EPS * np.abs(wanted).max())


def split(arrays, lengths):
    """The rows in chunks of such lengths, in turn."""
    start, turns = 0, itertools.cycle(lengths)
    while start < len(arrays[0]):
        stop = start + next(turns)
        yield tuple(array[start:stop] for array in arrays)
        start = stop


def absorbed(features, y, w):
    """Sums of features that are given, ``(chunks, D, rows)``."""
    return sums_of(lambda phi: phi, features, y, w)


@pytest.mark.parametrize("size", [3, 512])
def test_products_of_blocks_are_the_whole_product_and_symmetric(size):
    phi = np.asarray(jax.random.normal(jax.random.key(0), (2, size, 5)))
    y, w = (
        np.asarray(jax.random.normal(jax.random.key(1), (2, 5, 1))),
        np.asarray([[1.0, 2, 0, 3, 1]] * 2),
    )
    sums = jax.jit(absorbed)(jnp.asarray(phi), jnp.asarray(y), jnp.asarray(w, phi.dtype))
    gram = sum((p.astype(float) * v) @ p.T.astype(float) for p, v in zip(phi, w, strict=True))
    np.testing.assert_allclose(sums.gram.exact, gram, atol=100 * EPS)
    np.testing.assert_array_equal(sums.gram.exact, sums.gram.exact.T)
    assert sums.count.exact == 8
    assert sums.weight.exact == 14


def test_sums_have_twice_the_digits_of_their_terms():
    """As many terms of 1/3 as would lose half of the digits, and counts beyond those of float32."""
    one = jnp.full((1, 1, 1), 1 / 3, jnp.float32)
    ones = jnp.ones((1, 1), jnp.float32)
    term = absorbed(one, jnp.ones((1, 1, 1), jnp.float32), ones)

    def doubled(sums, _):
        return sums + sums, None

    many, _ = jax.jit(lambda s: jax.lax.scan(doubled, s, length=28))(term)
    total = many + term
    assert total.count.exact == 2**28 + 1
    assert total.cross.exact[0, 0] == (2**28 + 1) * float(np.float32(1 / 3))
    assert ((total - many).cross.exact == term.cross.exact).all()


@pytest.mark.parametrize("outputs", [(), (2, 1)])
def test_sums_are_those_of_numpy_whatever_the_chunks(outputs):
    x, y, w = data(outputs=outputs)
    whole = sj.accumulate(BASIS, (x, y, w), block_rows=BLOCK)
    close(whole, oracle(BASIS, x, y, w))
    assert whole.count == np.count_nonzero(w)
    assert whole.outputs == outputs
    for lengths in ([7], [1, 0, 100], [N]):
        again = sj.accumulate(BASIS, split((x, y, w), lengths), block_rows=BLOCK)
        assert same(whole.sums, again.sums)
    close(sj.accumulate(BASIS, (x, y, w)), oracle(BASIS, x, y, w))  # one block, longer than the rows
    plain = sj.accumulate(BASIS, split((jnp.asarray(x), y.tolist()), [40]), block_rows=BLOCK)
    assert same(plain, sj.accumulate(BASIS, (x, y, np.ones_like(w)), block_rows=BLOCK))


def test_statistics_of_parts_add_up_and_are_taken_away():
    x, y, w = data()
    whole, head = (sj.accumulate(BASIS, (x[:n], y[:n], w[:n])) for n in (N, 100))
    tail = sj.accumulate(BASIS, (x[100:], y[100:], w[100:]))
    expected = oracle(BASIS, x, y, w)
    close(head + tail, expected)
    close(head.update(x[100:], y[100:], w[100:]), expected)
    for less in (whole - tail, whole.downdate(x[100:], y[100:], w[100:])):
        close(less, oracle(BASIS, x[:100], y[:100], w[:100]), 200.0)
        assert less.count == head.count
    nothing = whole - whole
    assert nothing.count == 0
    close(nothing, [0 * part for part in expected])
    integers = head.update(x[:3], np.arange(3))
    close(integers - head, oracle(BASIS, x[:3], np.arange(3), np.ones(3)), 1e3)


def test_what_was_not_there_cannot_be_taken_away():
    x, y, _ = data()
    few = sj.accumulate(BASIS, (x[:20], y[:20]))
    with pytest.raises(
        ValueError, match=r"downdate: these rows were not all among the data: .* -130 rows"
    ):
        few.downdate(x, y)
    with pytest.raises(ValueError, match=r"downdate: .*no semidefinite Gram matrix"):
        few.downdate(x[50:55], y[50:55])
    with pytest.raises(ValueError, match=r"downdate: .*of weight"):
        few.downdate(x[:3], y[:3], np.full(3, 9.0, x.dtype))

    def sound(taken):
        return is_left_of(few.sums, few.sums - taken.sums)

    others = [sj.accumulate(BASIS, (x[i : i + 5], y[i : i + 5])) for i in (0, 50)]
    assert [bool(jax.jit(sound)(one)) for one in others] == [True, False]


def test_updates_compose_under_jit_vmap_and_grad():
    x, y, w = (jnp.asarray(a) for a in data(40))
    start = sj.accumulate(BASIS, (x[:20], y[:20], w[:20]))

    def added(x, y, w):
        return start.update(x, y, w).sums

    batched = jax.jit(jax.vmap(added))(*(a[20:].reshape(2, 10, *a.shape[1:]) for a in (x, y, w)))
    for i in range(2):
        rows = slice(20 + 10 * i, 30 + 10 * i)
        alone = added(x[rows], y[rows], w[rows])
        one = jax.tree.map(lambda leaf, i=i: leaf[i], batched)
        np.testing.assert_allclose(one.gram.exact, alone.gram.exact, rtol=0, atol=1e3 * EPS)
    slope = jax.grad(lambda y: added(x, y, w).squares.astype(y.dtype)[0])(y)
    np.testing.assert_allclose(slope, 2 * w * y, rtol=1e-5)
    down = jax.jit(lambda s, x, y, w: s.downdate(x, y, w))(start.update(x, y, w), x, y, w)
    close(down, oracle(BASIS, x[:20], y[:20], w[:20]), 200.0)


def test_float32_sums_of_float64_sessions_are_those_of_float32_ones():
    x, y, w = (a.astype(np.float32) for a in data())
    found = []
    for wide in (True, False):
        with jax.enable_x64(wide):
            statistics = sj.accumulate(BASIS, (x, y, w), block_rows=BLOCK)
            assert statistics.sums.gram.rounded.dtype == np.float32
            found.append(jax.tree.map(np.asarray, statistics.sums))
    np.testing.assert_allclose(found[0].gram.exact, found[1].gram.exact, atol=1e-4)


class Killed(Exception):
    pass


def failing(chunks, after):
    for index, chunk in enumerate(chunks):
        if index == after:
            raise Killed
        yield chunk


@pytest.mark.parametrize("kind", ["arrays", "iterable"])
def test_a_pass_that_broke_off_goes_on_and_gives_bitwise_the_same_sums(kind, tmp_path):
    arrays = data()
    whole = sj.accumulate(BASIS, arrays, block_rows=BLOCK)
    path, options = tmp_path / "pass.npz", {"block_rows": BLOCK, "checkpoint_seconds": 0.0}

    def source():
        return arrays if kind == "arrays" else split(arrays, [20])

    heard = []

    def stop(done, total):
        heard.append((done, total))
        if len(heard) == 3:
            raise Killed

    with pytest.raises(Killed):
        sj.accumulate(BASIS, source(), checkpoint=path, progress=stop, **options)
    assert os.listdir(tmp_path) == ["pass.npz"]
    heard.append("again")
    resumed = sj.accumulate(BASIS, source(), checkpoint=path, progress=stop, **options)
    assert same(whole, resumed)
    total = N if kind == "arrays" else None
    assert heard == [(32, total), (64, total), (96, total), "again", (128, total), (150, total)]
    finished = sj.accumulate(BASIS, source(), checkpoint=path, **options)
    assert same(whole, finished)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    x, y, w = data()
    path = tmp_path / "pass.npz"
    options = {"checkpoint": path, "block_rows": BLOCK, "checkpoint_seconds": 0.0}
    sj.accumulate(BASIS, (x, y, w), **options)
    other = sj.eigenbasis(SPACE, max_eigenvalue=5)
    for basis, source, changed, named in (
        (other, (x, y, w), {}, "basis"),
        (BASIS, (x, y, w), {"block_rows": 16}, "block_rows"),
        (BASIS, (x, 2 * y, w), {}, "source"),
        (BASIS, (x, y), {}, "source"),
        (BASIS, split((x, y, w), [20]), {}, "source"),
        (BASIS, (x, y, w), {"mesh": jax.devices()[:1]}, "mesh"),
    ):
        with pytest.raises(
            ValueError, match=rf"checkpoint: .*another pass: its {named} differs; .*delete"
        ):
            sj.accumulate(basis, source, **options | changed)
    stored = path.read_bytes()
    path.write_bytes(stored[: len(stored) // 2])
    with pytest.raises(ValueError, match=r"path: .*truncated, damaged"):
        sj.accumulate(BASIS, (x, y, w), **options)
    sj.save(path, BASIS)
    with pytest.raises(ValueError, match=r"checkpoint: .* is a file of something else"):
        sj.accumulate(BASIS, (x, y, w), **options)


def test_an_iterable_that_changed_is_refused(tmp_path):
    x, y, w = data()
    options = {"checkpoint": tmp_path / "pass.npz", "block_rows": BLOCK, "checkpoint_seconds": 0.0}
    with pytest.raises(Killed):
        sj.accumulate(BASIS, failing(split((x, y, w), [40]), 2), **options)
    with pytest.raises(ValueError, match=r"checkpoint: .*another source: its rows up to 64 differ"):
        sj.accumulate(BASIS, split((x, y + 1, w), [40]), **options)
    with pytest.raises(ValueError, match=r"checkpoint: .*after 2 blocks, and the source has 1"):
        sj.accumulate(BASIS, [(x[:20], y[:20], w[:20])], **options)


def test_a_process_that_is_killed_leaves_a_checkpoint_to_go_on_from(tmp_path):
    """It is killed while it waits within its fourth chunk."""
    path = tmp_path / "pass.npz"
    code = f"""
import sys, time
sys.path.insert(0, {str(os.getcwd())!r})
import symjax_learn as sj
from tests.test_statistics import BASIS, BLOCK, data, split

def slow():
    for index, chunk in enumerate(split(data(), [BLOCK])):
        if index == 3:
            print("waiting", flush=True)
            time.sleep(600)
        yield chunk

sj.accumulate(BASIS, slow(), block_rows=BLOCK, checkpoint={str(path)!r}, checkpoint_seconds=0.0)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "waiting\n"
        finally:
            process.kill()
    done = []
    resumed = sj.accumulate(
        BASIS,
        split(data(), [BLOCK]),
        block_rows=BLOCK,
        checkpoint=path,
        progress=lambda rows, _: done.append(rows),
    )
    assert done == [128, 150]
    assert same(resumed, sj.accumulate(BASIS, data(), block_rows=BLOCK))


def written(tmp_path, kind):
    """The data in files of one kind, and their source."""
    x, y, w = data()
    cuts = [0, 50, 51, N]
    if kind == "npy":
        for part, (start, stop) in enumerate(itertools.pairwise(cuts)):
            for name, array in (("x", x), ("y", y), ("w", w)):
                np.save(tmp_path / f"{name}_{part}.npy", array[start:stop])
        return sj.npy_source(*(tmp_path / f"{name}_*.npy" for name in "xyw"))
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        for part, (start, stop) in enumerate(itertools.pairwise(cuts)):
            columns = {
                "a": x[start:stop, 0],
                "b": x[start:stop, 1],
                "y": y[start:stop],
                "w": w[start:stop],
            }
            table = pyarrow.table(columns)
            pyarrow.parquet.write_table(table, tmp_path / f"part_{part}.parquet", row_group_size=30)
        return sj.parquet_source(tmp_path / "*.parquet", x=["a", "b"], y="y", weights="w")
    import zarr

    group = zarr.open_group(str(tmp_path / "data.zarr"), mode="w")
    for name, array in (("x", x), ("y", y), ("w", w)):
        group.create_array(name, data=array, chunks=(40, *array.shape[1:]))
    return sj.zarr_source(tmp_path / "data.zarr", weights="w")


@pytest.mark.parametrize("kind", ["npy", "parquet", "zarr"])
def test_files_give_bitwise_the_sums_of_their_arrays_and_are_not_read_twice(kind, tmp_path):
    source = written(tmp_path, kind)
    assert source.num_rows == N
    whole = sj.accumulate(BASIS, data(), block_rows=BLOCK)
    assert same(whole, sj.accumulate(BASIS, source, block_rows=BLOCK))
    path, options = tmp_path / "pass.npz", {"block_rows": BLOCK, "checkpoint_seconds": 0.0}

    def stop(done, _):
        if done == 96:
            raise Killed

    with pytest.raises(Killed):
        sj.accumulate(BASIS, source, checkpoint=path, progress=stop, **options)
    read = []
    watched = type(source)(
        source.lengths,
        lambda part, start, end: read.append(end - start) or source.read_part(part, start, end),
        source.fingerprint,
    )
    assert same(whole, sj.accumulate(BASIS, watched, checkpoint=path, **options))
    assert sum(read) == N - 96


def test_parquet_reads_lists_and_shapes(tmp_path):
    import pyarrow
    import pyarrow.parquet

    x, y, _ = data(30, outputs=(2,))
    columns = {"x": list(x), "first": y[:, 0], "second": y[:, 1]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "one.parquet")
    source = sj.parquet_source(tmp_path / "one.parquet", x="x", y=["first", "second"])
    assert same(sj.accumulate(BASIS, source), sj.accumulate(BASIS, (x, y)))
    turned = sj.parquet_source(tmp_path / "one.parquet", x="x", y="first", point_shape=(2, 1))
    assert turned.read(3, 5)[0].shape == (2, 2, 1)


def test_statistics_are_stored_and_nothing_of_a_damaged_file_is_read(tmp_path):
    statistics = sj.accumulate(BASIS, data(outputs=(2,)))
    path = tmp_path / "sums.npz"
    sj.save(path, statistics)
    again = sj.load(path)
    assert same(statistics, again)
    assert same(again + again, statistics + statistics)
    content = path.read_bytes()
    for kept in (0, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:kept])
        with pytest.raises(ValueError, match=r"path: .*truncated, damaged"):
            sj.load(path)
    path.write_bytes(content)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["model.sums.gram.rounded"][1, 1] += 1  # a whole archive of other numbers
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"path: .*is damaged: its arrays .*checksum"):
        sj.load(path)


DEVICES = """
import jax, numpy as np, sys
sys.path.insert(0, {root!r})
import symjax_learn as sj
from tests.test_statistics import BASIS, data, same, Killed
from jax.sharding import Mesh

assert len(jax.devices()) == 4
one = sj.accumulate(BASIS, data(), block_rows=30)
mesh = Mesh(np.asarray(jax.devices()).reshape(2, 2), ("a", "b"))
four = sj.accumulate(BASIS, data(), block_rows=30, mesh=mesh)
assert four.count == one.count
scale = np.abs(one.sums.gram.exact).max()
eps = np.finfo(data()[0].dtype).eps
assert np.abs(four.sums.gram.exact - one.sums.gram.exact).max() < 20 * eps * scale
assert np.abs(four.sums.cross.exact - one.sums.cross.exact).max() < 20 * eps * scale

def stop(done, total):
    if done == 90:
        raise Killed

options = dict(block_rows=30, checkpoint={path!r}, checkpoint_seconds=0.0)
try:
    sj.accumulate(BASIS, data(), mesh=jax.devices(), progress=stop, **options)
except Killed:
    pass
assert same(sj.accumulate(BASIS, data(), mesh=jax.devices(), **options), four)
"""


def test_four_devices_share_the_rows(tmp_path):
    code = DEVICES.format(root=os.getcwd(), path=str(tmp_path / "pass.npz"))
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | flags, timeout=300)


PROCESSES = """
import sys
sys.path.insert(0, {root!r})
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
number, processes, address = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
jax.distributed.initialize(address, processes, number)
import json
import numpy as np
import symjax_learn as sj
from tests.test_statistics import BASIS, BLOCK, data, split

def outcome(source):
    try:
        sums = sj.accumulate(BASIS, source, block_rows=BLOCK).sums
    except (ValueError, RuntimeError) as error:
        return str(error)
    return [sums.count.exact.tolist(), sums.gram.exact.tolist(), sums.cross.exact.tolist()]

arrays, spoiled = data(), data()
if number == 1:
    spoiled[1][40] = np.nan
outcomes = {{
    "arrays": outcome(arrays),
    "iterable": outcome(split(arrays, [20])),
    "spoiled arrays": outcome(spoiled),
    "spoiled iterable": outcome(split(spoiled, [20])),
}}
few = sj.accumulate(BASIS, tuple(a[:BLOCK] for a in data()), block_rows=BLOCK)
outcomes["one block"] = few.count
print(json.dumps(outcomes), flush=True)
"""


def outcomes_of(processes):
    """What each of several processes answers; none outlives the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    code = PROCESSES.format(root=os.getcwd())
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number), str(processes), address],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        limit = time.monotonic() + 240
        answers = [p.communicate(timeout=max(1, limit - time.monotonic()))[0] for p in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_share_the_blocks_and_all_have_the_sum(processes):
    x, y, w = data()
    expected = oracle(BASIS, x, y, w)
    for number, answer in enumerate(outcomes_of(processes)):
        for kind in ("arrays", "iterable"):
            count, gram, cross = answer[kind]
            assert count == np.count_nonzero(w)
            np.testing.assert_allclose(gram, expected[0], atol=20 * EPS * np.abs(expected[0]).max())
            np.testing.assert_allclose(cross, expected[1], atol=20 * EPS * np.abs(expected[1]).max())
            failure = answer[f"spoiled {kind}"]
            if number == 1:
                assert failure.startswith("y: row 40 of the source is not finite (nan)")
            else:
                assert failure.startswith("source: process 1 failed")
        assert answer["one block"] == np.count_nonzero(w[:BLOCK])


X, Y, W = data(60)
BAD = {
    "no rows": (lambda: [], ValueError, r"source: it has no rows \(n = 0\)"),
    "empty chunks": (lambda: [(X[:0], Y[:0])], ValueError, r"source: it has no rows \(n = 0\)"),
    "empty arrays": (lambda: (X[:0], Y[:0]), ValueError, r"source: it has no rows"),
    "NaN in x": (
        lambda: [(X, Y), (np.where(np.arange(60)[:, None] == 7, np.nan, X).astype(X.dtype), Y)],
        ValueError,
        r"x: row 67 of the source is not finite \(nan\)",
    ),
    "infinity in y": (
        lambda: (X, np.where(np.arange(60) == 40, np.inf, Y)),
        ValueError,
        r"y: row 40 of the source is not finite \(inf\)",
    ),
    "NaN in weights": (
        lambda: (X, Y, np.where(np.arange(60) == 33, np.nan, W)),
        ValueError,
        r"weights: row 33 of the source is not finite",
    ),
    "negative weights": (
        lambda: (X, Y, W - 2 * (np.arange(60) == 59) - 2 * (np.arange(60) == 59)),
        ValueError,
        r"weights: expected numbers >= 0; row 59 of the source is -",
    ),
    "unequal widths": (
        lambda: [(X, Y), (X[:, :1], Y)],
        ValueError,
        r"source: chunk 1, from row 60, has rows of shapes .*\(1,\).* those before .*\(2,\)",
    ),
    "weights of some": (
        lambda: [(X, Y), (X, Y, W)],
        ValueError,
        r"source: chunk 1, from row 60, has rows of shapes",
    ),
    "unequal lengths": (
        lambda: [(X, Y[:-1])],
        ValueError,
        r"source: chunk 0 has shapes \[\(60, 2\), \(59,\)\]; .*one row for each",
    ),
    "arrays of unequal lengths": (
        lambda: (X, Y[:-1]),
        ValueError,
        r"x, y, weights: rows pair one by one, and the shapes are",
    ),
    "another width": (
        lambda: (X[:, :1], Y),
        ValueError,
        r"x: expected shape \(\*batch, 2\) .*rows 0 to 31 of the source",
    ),
    "integers": (
        lambda: (X.astype(int), Y),
        TypeError,
        r"x: points of Torus are floating-point .*rows 0 to 31 of the source",
    ),
    "words": (lambda: (X, np.asarray(["a"] * 60)), TypeError, r"y: targets are real numbers and got"),
    "no chunks": (lambda: [1, 2], TypeError, r"source: chunk 0 is no \(x, y\)"),
    "a path": (lambda: "data", TypeError, r"source: expected arrays .*npy_source.* got 'data'"),
    "a number": (lambda: 3, TypeError, r"source: expected arrays .* got 3"),
    "one array": (lambda: (X,), ValueError, r"source: expected \(x, y\) .* got 1 arrays"),
}


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize("name", BAD)
def test_bad_sources_are_refused(name):
    source, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        sj.accumulate(BASIS, source(), block_rows=BLOCK)


@pytest.mark.usefixtures("without_signature_checks")
def test_other_bad_input_is_refused(tmp_path, monkeypatch):
    statistics = sj.accumulate(BASIS, (X, Y))
    with pytest.raises(TypeError, match=r"basis: expected the answer of invariant_basis"):
        sj.accumulate(SPACE, (X, Y))
    with pytest.raises(ValueError, match=r"block_rows: expected at least 1 and got 0"):
        sj.accumulate(BASIS, (X, Y), block_rows=0)
    with pytest.raises(ValueError, match=r"y: row 3 is not finite"):
        statistics.update(X[:5], np.where(np.arange(5) == 3, np.nan, Y[:5]))
    with pytest.raises(ValueError, match=r"y: expected targets of shape \(\), as those before"):
        statistics.update(X[:5], np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"statistics: on different bases"):
        _ = statistics + sj.accumulate(sj.eigenbasis(SPACE, max_eigenvalue=5), (X, Y))
    with pytest.raises(ValueError, match=r"statistics: of targets of shape \(\) and of \(1,\)"):
        _ = statistics + sj.accumulate(BASIS, (X, Y[:, None]))
    with pytest.raises(TypeError, match=r"statistics: expected a RidgeStatistics and got a int"):
        _ = statistics + 1
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y[:-1])
    with pytest.raises(ValueError, match=r"x, y, weights: rows pair one by one"):
        sj.npy_source(tmp_path / "x.npy", tmp_path / "y.npy")
    with pytest.raises(ValueError, match=r"files pair one by one, and there are {'x': 1, 'y': 2}"):
        sj.npy_source(tmp_path / "x.npy", tmp_path / "*.npy")
    (tmp_path / "y.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"y\.npy' is no \.npy file, or damaged"):
        sj.npy_source(tmp_path / "x.npy", tmp_path / "y.npy")
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"a\.parquet' is no parquet file, or damaged"):
        sj.parquet_source(tmp_path / "a.parquet", x="x", y="y")
    (tmp_path / "a.parquet").unlink()
    written(tmp_path, "parquet")
    with pytest.raises(ValueError, match=r"has no column 'c', but \['a', 'b', 'y', 'w'\]"):
        sj.parquet_source(tmp_path / "part_*.parquet", x=["a", "c"], y="y")
    written(tmp_path, "zarr")
    with pytest.raises(ValueError, match=r"data\.zarr' is no such group"):
        sj.zarr_source(tmp_path / "data.zarr", x="z")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"pyarrow is not installed; .*symjax-learn\[streams\]"):
        sj.parquet_source(tmp_path / "a.parquet", x="x", y="y")
    with pytest.raises(ImportError, match=r"zarr is not installed; .*symjax-learn\[streams\]"):
        sj.zarr_source(tmp_path / "data.zarr")


def test_no_rows_have_no_sums():
    none = no_sums(3, 1, float)
    assert isinstance(none, Sums)
    assert not np.asarray((none + none).gram.exact).any()


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", [1e-4, 1e-2])
def test_a_fit_from_statistics_is_that_of_the_rows(intercept, penalty):
    x, y, w = data(outputs=(2,))
    options = {"penalty": penalty, "intercept": intercept, "spectrum": sj.sobolev(1.5)}
    model = sj.fit_statistics(sj.accumulate(BASIS, (x, y, w), block_rows=BLOCK), **options)
    direct = sj.fit_ridge(BASIS, x, y, weights=w, **options)
    np.testing.assert_allclose(model.coefficients, direct.coefficients, atol=1e-8 if X64 else 1e-4)
    assert model.coefficients.dtype == x.dtype
    assert model.report.loo_error is None
    np.testing.assert_allclose(model.report.condition, direct.report.condition, rtol=1e-3)


@pytest.mark.skipif(not X64, reason="compares to more digits than float32 has")
def test_a_fit_of_float32_sums_loses_no_more_than_their_rounding():
    x, y, w = (a.astype(np.float32) for a in data(5000))
    statistics = sj.accumulate(BASIS, (x, y, w))
    gram = oracle(BASIS, x, y, w)[0]
    assert np.linalg.norm(statistics.sums.gram.exact - gram, 2) < 16 * EPS32 * np.linalg.norm(gram, 2)


@pytest.mark.parametrize("penalty", ["gcv", "evidence"])
def test_a_chosen_penalty_is_the_best_of_its_neighbours_by_the_definition(penalty):
    x, y, w = data()
    keep = w > 0
    model = sj.fit_statistics(sj.accumulate(BASIS, (x, y, w)), penalty=penalty)
    features, targets = np.asarray(BASIS(x), float)[keep], np.asarray(y, float)[keep]
    spectrum, root = (
        np.asarray(sj.sobolev(2.0)(BASIS.eigenvalues), float),
        np.sqrt(w[keep].astype(float)),
    )
    features, targets, n = features * root[:, None], targets * root, keep.sum()

    def value(eta):
        ridge = w.sum() * eta / spectrum
        ridge[0] = 0
        hat = features @ np.linalg.solve(features.T @ features + np.diag(ridge), features.T)
        if penalty == "gcv":
            residual = targets - hat @ targets
            return n * (residual @ residual) / (n - np.trace(hat)) ** 2
        kernel = features[:, 1:] @ np.diag(spectrum[1:]) @ features[:, 1:].T
        noise = w.sum() * eta * np.eye(n)
        inverse, ones = np.linalg.inv(kernel + noise), features[:, :1]
        middle = ones.T @ inverse @ ones
        energy = (
            targets @ (inverse - inverse @ ones @ np.linalg.inv(middle) @ ones.T @ inverse) @ targets
        )
        logs = np.linalg.slogdet(kernel + noise)[1] + np.linalg.slogdet(middle)[1]
        return ((n - 1) * np.log(energy) + logs) / 2

    chosen = float(model.penalty)
    assert model.report.criterion.name == penalty
    assert all(value(chosen) <= value(chosen * f) + 1e-4 for f in (0.1, 0.5, 2, 10))


def test_a_fit_beyond_what_sums_resolve_tells():
    x, y, _ = data(40)
    twice = np.concatenate([x, x])
    statistics = sj.accumulate(BASIS, (x[:5], y[:5]))
    with pytest.raises(ValueError, match=r"rank_deficient|ill_conditioned"):
        sj.fit_statistics(statistics, penalty=0.0)
    assert int(sj.fit_statistics(statistics, penalty=0.0, throw=False).report.status) in (2, 3)
    with pytest.raises(ValueError, match=r"ill_conditioned"):
        sj.fit_statistics(statistics, penalty=EPS)
    assert sj.fit_statistics(sj.accumulate(BASIS, (twice, np.tile(y, 2)))).penalty > 0


def test_a_fit_composes_and_is_compiled_once():
    x, y, w = (jnp.asarray(a) for a in data(60))
    statistics = sj.accumulate(BASIS, (x, y, w))

    def fitted(penalty):
        return sj.fit_statistics(statistics, penalty=penalty).coefficients

    penalties = jnp.asarray([1e-3, 1e-1])
    for one, row in zip(penalties, jax.jit(jax.vmap(fitted))(penalties), strict=True):
        np.testing.assert_allclose(row, fitted(one), atol=1e-8 if X64 else 2e-3)
    step = 1e-5 if X64 else 1e-2
    slope = jax.grad(lambda p: fitted(jnp.exp(p))[1])(-3.0)
    expected = (fitted(np.exp(-3.0 + step))[1] - fitted(np.exp(-3.0 - step))[1]) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-5 if X64 else 5e-2)


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_fits_are_refused():
    statistics = sj.accumulate(BASIS, (X, Y))
    with pytest.raises(
        TypeError, match=r"statistics: expected the answer of accumulate and got a tuple"
    ):
        sj.fit_statistics((X, Y))
    with pytest.raises(ValueError, match=r"penalty: 'loo' needs a second pass over the rows"):
        sj.fit_statistics(statistics, penalty="loo")
    with pytest.raises(
        ValueError, match=r"penalty: expected 'gcv' or 'evidence' or a number .* got 'best'"
    ):
        sj.fit_statistics(statistics, penalty="best")
    with pytest.raises(ValueError, match=r"penalty: expected .* number >= 0 and got -1"):
        sj.fit_statistics(statistics, penalty=-1.0)
    with pytest.raises(ValueError, match=r"statistics: they are of 0 rows of positive weight"):
        sj.fit_statistics(statistics - statistics)


@pytest.mark.parametrize("penalty", ["gcv", "evidence"])
def test_fewer_rows_than_functions_choose_as_the_rows_do(penalty):
    """Eigenvalues of rounding are no directions in which anything is left over."""
    circle = sj.Torus(1)
    basis = sj.eigenbasis(circle, max_eigenvalue=900)
    x = circle.sample(jax.random.key(0), (30,))
    y = jnp.exp(jnp.cos(x[:, 0])) + 0.1 * jax.random.normal(jax.random.key(1), (30,))
    sums = sj.fit_statistics(sj.accumulate(basis, (x, y)), penalty=penalty)
    rows = sj.fit_ridge(basis, x, y, penalty=penalty)
    assert basis.num_functions == 61
    assert abs(np.log10(float(sums.penalty / rows.penalty))) < 0.3  # of two grids
    np.testing.assert_allclose(sums.report.criterion.value, rows.report.criterion.value, rtol=0.2)


def test_squares_that_overflow_are_told():
    x, y, _ = data()
    huge = np.finfo(x.dtype).max ** 0.6
    with pytest.raises(ValueError, match="not finite"):
        sj.fit_statistics(sj.accumulate(BASIS, (x, y * huge)))
