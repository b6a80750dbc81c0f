"""The README's example runs and says the truth; its commands are where continuous integration looks."""

import re
import stat
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    *statements, last = example.strip().splitlines()
    exec("\n".join(statements), names)
    assert (names["basis"].num_functions, names["basis"].num_ambient) == (78, 110_105)
    discrepancy = eval(last, names)
    x_new, y_new = names["x_new"], names["y_new"]
    precision = 1e-12 if jax.dtypes.canonicalize_dtype(float) == "float64" else 1e-5
    assert discrepancy <= precision
    target = jax.numpy.exp(jax.numpy.cos(x_new).mean(axis=1))
    assert abs(y_new - target).max() < 0.05 * target.std()


@pytest.mark.parametrize("name", ["run", "test"])
def test_commands_are_one_line_each_and_make_their_own_environment(name):
    (command,) = re.findall(rf"^<!-- ci:{name} -->\n```sh\n(.*?)\n```$", README, re.MULTILINE)
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_every_room_is_on_the_map_and_every_link_leads_somewhere():
    for room in (ROOT / "symjax_learn").iterdir():
        if not room.name.startswith(("_", ".")) and room.name != "py.typed":
            assert f"`symjax_learn/{room.name}`" in README, room.name
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_continuous_integration_is_a_program():
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR
