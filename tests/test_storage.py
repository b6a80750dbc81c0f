"""Runs that are killed go on, nothing is computed twice, and results of different runs never mix."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.configs import configured
from experiments.storage import Store, stack, sweep
from paper_figures.style import load_results

ROOT = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Config:
    sizes: tuple[int, ...] = (1, 2, 3)
    scale: float = 2.0
    name: str = "sum"
    seeds: tuple[int, ...] = (0,)
    careful: bool = True


CONFIGS = {"smoke": Config(sizes=(1,)), "default": Config()}


class Cells:
    """Cells that count their calls, and may die at one of them."""

    def __init__(self, config, dies_at=None):
        self.calls, self.config, self.dies_at = [], config, dies_at

    def measure(self, size):
        if size == self.dies_at:
            raise KeyboardInterrupt
        self.calls.append(size)
        return {"value": self.config.scale * size, "row": np.arange(3) + size}

    def run(self, store=None, progress=None):
        cells = {f"n={size}": lambda size=size: self.measure(size) for size in self.config.sizes}
        return stack(sweep(cells, store=store, progress=progress), len(self.config.sizes))


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_killed_run_goes_on_and_computes_nothing_twice(tmp_path):
    config = Config()
    first = Cells(config, dies_at=3)
    with pytest.raises(KeyboardInterrupt):
        first.run(Store(tmp_path / "r", "cells", config))
    assert first.calls == [1, 2]
    with pytest.raises(FileNotFoundError, match="not finished; run the experiment again"):
        load_results(tmp_path / "r")
    again, heard = Cells(config), []
    store = Store(tmp_path / "r", "cells", config)
    assert store.finished() is None
    results = again.run(store, heard.append)
    assert again.calls == [3]
    assert len(heard) == 1
    assert heard[0].startswith("[3/3] n=3: ")
    np.testing.assert_array_equal(results["value"], [2, 4, 6])
    assert results["row"].shape == (3, 3)
    store.finish(results)
    stored = load_results(tmp_path / "r")
    for name, array in results.items():
        np.testing.assert_array_equal(stored[name], array)
    assert {path.name for path in (tmp_path / "r").iterdir()} == {"arrays.npz", "record.json"}
    # A third time there is nothing to do.
    finished = Store(tmp_path / "r", "cells", config).finished()
    np.testing.assert_array_equal(finished["value"], results["value"])


def test_the_record_tells_what_made_the_results(tmp_path):
    config = Config()
    store = Store(tmp_path / "r", "cells", config)
    store.finish(Cells(config).run(store))
    record = json.loads((tmp_path / "r" / "record.json").read_text())
    assert record["config"] == {
        "sizes": [1, 2, 3],
        "scale": 2.0,
        "name": "sum",
        "seeds": [0],
        "careful": True,
    }
    assert (record["experiment"], record["finished"], record["cells"]) == ("cells", True, 3)
    assert {"jax", "jaxlib", "symjax-learn", "numpy"} <= record["versions"].keys()
    assert {"python", "device", "x64", "revision", "run_seconds", "compile_seconds"} <= record.keys()


def test_a_cell_that_compiles_knows_for_how_long():
    import jax

    def compiling():
        return {"value": jax.jit(lambda x: x * 7 + 3)(1.0)}

    first, second = sweep({"a": compiling, "b": lambda: {"value": np.ones(())}})
    assert 0 < first["cell_compile_seconds"] <= first["cell_seconds"]
    assert second["cell_compile_seconds"] == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda record: record["config"].update(scale=3.0),
            r"another config \(scale = 3\.0 there, scale = 2\.0",
        ),
        (
            lambda record: record["config"].update(extra=1),
            r"another config \(extra = 1 there, extra = None",
        ),
        (lambda record: record["versions"].update(jax="0.1"), r"another versions \(jax = 0\.1 there"),
        (lambda record: record.update(revision="abc"), r"another revision \(abc there"),
        (lambda record: record.update(x64=None), r"another x64 \(None there"),
        (
            lambda record: record.update(experiment="other"),
            r"another experiment \(other there, cells here",
        ),
        (lambda record: record.clear(), r"another experiment \(None there"),
    ],
)
def test_a_foreign_folder_is_refused_and_kept(spoil, message, tmp_path):
    config = Config()
    with pytest.raises(KeyboardInterrupt):
        Cells(config, dies_at=2).run(Store(tmp_path, "cells", config))
    record = json.loads((tmp_path / "record.json").read_text())
    spoil(record)
    (tmp_path / "record.json").write_text(json.dumps(record))
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=message + r".*never mixed.*--out"):
        Store(tmp_path, "cells", config)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"experiment": "cel'])
def test_a_damaged_record_is_refused_and_kept(content, tmp_path):
    Store(tmp_path, "cells", Config())
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(FileExistsError, match=r"record\.json: it is damaged .*--out"):
        Store(tmp_path, "cells", Config())
    assert (tmp_path / "record.json").read_text() == content


def test_files_of_another_program_are_refused_and_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match=r"holds files and no record\.json.*--out"):
        Store(tmp_path, "cells", Config())
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.tex"}


def test_a_damaged_cell_is_told_and_kept_and_a_half_written_one_is_computed(tmp_path):
    config = Config()
    with pytest.raises(KeyboardInterrupt):
        Cells(config, dies_at=3).run(Store(tmp_path, "cells", config))
    whole = (tmp_path / "cells" / "n=2.npz").read_bytes()
    (tmp_path / "cells" / "n=3.npz.partial").write_bytes(whole[:50])  # killed while writing
    (tmp_path / "cells" / "n=2.npz").write_bytes(whole[:-40])  # damaged later
    with pytest.raises(ValueError, match=r"n=2\.npz: it is damaged .*Move it away and run again"):
        Cells(config).run(Store(tmp_path, "cells", config))
    assert (tmp_path / "cells" / "n=2.npz").read_bytes() == whole[:-40]
    (tmp_path / "cells" / "n=2.npz").unlink()
    again = Cells(config)
    results = again.run(Store(tmp_path, "cells", config))
    assert again.calls == [2, 3]
    np.testing.assert_array_equal(results["value"], [2, 4, 6])


def test_a_process_that_is_killed_leaves_whole_cells(tmp_path):
    """SIGKILL in the middle of writing thousands of cells: what is there is whole, and stays."""
    program = """
import sys
from pathlib import Path
from experiments.storage import Store, sweep
from tests.test_storage import Config
import numpy as np
store = Store(Path(sys.argv[1]), "cells", Config())
sweep({f"n={i}": lambda i=i: {"value": np.full(5000, i)} for i in range(20000)}, store=store)
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT)
    while len(list(tmp_path.glob("cells/*.npz"))) < 20:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = snapshot(tmp_path / "cells")
    count = sum(path.suffix == ".npz" for path in kept)
    calls = []

    def measure(i):
        calls.append(i)
        return {"value": np.full(5000, i)}

    cells = {f"n={i}": lambda i=i: measure(i) for i in range(count + 3)}
    outcomes = sweep(cells, store=Store(tmp_path, "cells", Config()))
    assert calls == [count, count + 1, count + 2]
    assert [outcome["value"][0] for outcome in outcomes] == list(range(count + 3))


def test_configurations_from_the_command_line():
    config = configured(
        CONFIGS, "default", "1,3-5", ["scale=3", "sizes=(4, 5)", "name=mean", "careful=False"]
    )
    assert config == Config(sizes=(4, 5), scale=3, name="mean", seeds=(1, 3, 4, 5), careful=False)
    assert configured(CONFIGS, "smoke", None, ["sizes=7"]).sizes == (7,)


@pytest.mark.parametrize(
    ("name", "seeds", "settings", "message"),
    [
        ("defualt", None, [], r"--config: there is no 'defualt'; did you mean 'default'\? Known: smoke"),
        ("default", None, ["sizs=3"], r"--set: there is no 'sizs'; did you mean 'sizes'\?"),
        ("default", None, ["scale"], r"--set: expected KEY=VALUE and got 'scale'"),
        ("default", None, ["scale=big"], r"scale: expected a value like 2\.0 and got 'big'"),
        ("default", None, ["sizes=(1, 2.5)"], r"sizes: expected a value like \(1, 2, 3\) and got"),
        ("default", None, ["sizes=()"], r"sizes: expected a value like"),
        ("default", None, ["careful=1"], r"careful: expected a value like True and got '1'"),
        ("default", "a-b", [], r"--seeds: expected integers and ranges .* got 'a-b'"),
        ("default", "3,1-4", [], r"--seeds: expected distinct seeds and got '3,1-4'"),
        ("default", "4-1", [], r"--seeds: expected distinct seeds"),
    ],
)
def test_unknown_names_and_values_are_refused(name, seeds, settings, message):
    with pytest.raises(ValueError, match=message):
        configured(CONFIGS, name, seeds, settings)


def test_an_experiment_without_seeds_says_so():
    @dataclasses.dataclass(frozen=True)
    class Fixed:
        size: int = 1

    with pytest.raises(ValueError, match="--seeds: this experiment has none"):
        configured({"default": Fixed()}, "default", "1", [])
