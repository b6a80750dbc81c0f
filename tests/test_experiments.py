"""Experiments compute and store, figures read and draw: each is run small, and by its command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import foundation, quickstart
from experiments.__main__ import EXPERIMENTS
from experiments.storage import save_results
from paper_figures import FIGURES, draw
from paper_figures.__main__ import FROZEN
from paper_figures.style import load_results
from tests.registry import X64

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def smoke():
    """Results of the small quickstart, and what it reported."""
    messages = []
    return quickstart.run(quickstart.CONFIGS["smoke"], progress=messages.append), messages


def test_quickstart_learns_and_keeps_the_symmetry(smoke):
    results, messages = smoke
    assert results["error"].shape == (1, 4, 2, 2)
    methods = results["methods"].tolist()
    invariant, plain = methods.index("invariant ridge"), methods.index("kernel ridge")
    assert (results["error"][:, invariant] < results["error"][:, plain]).all()
    assert results["discrepancy"][:, invariant].max() < (1e-12 if X64 else 1e-4)
    assert results["discrepancy"][:, plain].min() > 1e-3
    assert (results["seconds"] > 0).all()
    assert results["group_orders"].tolist() == [48]
    assert messages == ["CaTiO3: n = 10 done", "CaTiO3: n = 20 done"]
    text = quickstart.table(results)
    assert "CaTiO3: |G| = 48" in text
    assert text.count("invariant ridge") == 2


def test_a_method_beyond_its_budget_is_left_out_and_says_so():
    config = quickstart.Config(
        materials=("CaTiO3",), sizes=(10, 30), num_seeds=1, num_test=50, max_norm=4, max_rows=1000
    )
    results = quickstart.run(config)
    missing = np.isnan(results["error"][0, :, :, 0])
    assert missing.tolist() == [[False, False], [False, False], [False, False], [False, True]]
    assert "beyond the budget of rows" in quickstart.table(results)


@pytest.mark.skipif(not X64, reason="compares to more digits than float32 has")
def test_foundation_measures_what_it_says():
    results = foundation.run(foundation.CONFIGS["smoke"])
    assert results["averaged_difference"] < 1e-8
    assert results["augmented_difference"] < 1e-8
    assert results["discrepancy_float64"] < 1e-12
    assert results["discrepancy_float32"] < 1e-5
    assert results["num_rows"] == 20 * 8
    assert "scikit-learn on    160 copies" in foundation.table(results)


def test_results_are_stored_with_a_record_and_drawn(smoke, tmp_path):
    config = quickstart.CONFIGS["smoke"]
    save_results(tmp_path, smoke[0], config, seconds=1.234)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["config"]["sizes"] == [10, 20]
    assert record["x64"] == X64
    assert record["seconds"] == 1.23
    assert {"jax", "jaxlib", "symjax-learn"} <= record["versions"].keys()
    loaded = load_results(tmp_path)
    for name, array in smoke[0].items():
        np.testing.assert_array_equal(loaded[name], array)
    paths = draw("quickstart", tmp_path, tmp_path / "pictures")
    assert [path.suffix for path in paths] == [".pdf", ".png"]
    first = [path.read_bytes() for path in paths]
    assert first[0].startswith(b"%PDF")
    assert first[1].startswith(b"\x89PNG")
    draw("quickstart", tmp_path, tmp_path / "pictures")
    assert [path.read_bytes() for path in paths] == first  # the same bytes for the same results


def test_a_folder_without_a_record_holds_no_results(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no finished results here .*run the experiment first"):
        load_results(tmp_path)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_command_line(tmp_path):
    listed = run("experiments", "list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(EXPERIMENTS)
    done = run("experiments", "run", "quickstart", "--config", "smoke", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # progress is for terminals
    assert "RMSE/sd" in done.stdout
    written = {path.name for path in (tmp_path / "quickstart").iterdir()}
    assert written == {"arrays.npz", "record.json", "quickstart.pdf", "quickstart.png"}
    wrong = run("experiments", "run", "nothing")
    assert wrong.returncode == 2
    assert "invalid choice: 'nothing'" in wrong.stderr


def test_every_figure_is_drawn_from_frozen_results(tmp_path):
    drawn = run("paper_figures", "all", "--out", str(tmp_path))
    assert drawn.returncode == 0, drawn.stderr
    for name in FIGURES:
        assert (FROZEN / name / "record.json").is_file()
        assert (tmp_path / name / f"{name}.pdf").is_file()
