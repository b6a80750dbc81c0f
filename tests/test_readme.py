"""The README's example runs and says the truth; its commands are where continuous integration looks."""

import re
import stat
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PRECISION = 1e-12 if jax.dtypes.canonicalize_dtype(float) == "float64" else 1e-5


def test_the_example():
    names = {}
    *statements, last = EXAMPLES[0].strip().splitlines()
    exec("\n".join(statements), names)
    assert (names["basis"].num_functions, names["basis"].num_ambient) == (78, 110_105)
    discrepancy = eval(last, names)
    x_new, y_new = names["x_new"], names["y_new"]
    assert discrepancy <= PRECISION
    target = jax.numpy.exp(jax.numpy.cos(x_new).mean(axis=1))
    assert abs(y_new - target).max() < 0.05 * target.std()


def test_a_space_of_ones_own(tmp_path):
    """Its basis is the even Legendre polynomials; a model without an act can be stored."""
    names = {"__name__": "readme"}
    for example in EXAMPLES[1:]:
        exec(example, names)
    space, even, model = names["Interval"](), names["even"], names["model"]
    x = np.linspace(-1, 1, 9)[:, None]
    legendre = np.polynomial.legendre.legvander(x[:, 0], 4) * np.sqrt(2 * np.arange(5) + 1)
    features = np.asarray(even(jnp.asarray(x, float)))
    signs = np.sign(features[-1])
    np.testing.assert_allclose(features * signs, legendre[:, ::2], atol=100 * PRECISION)
    assert (even.certificate.source, even.num_ambient) == ("character", 5)
    key = jax.random.key(1)
    assert sj.invariance_discrepancy(key, model, names["mirror"], names["x"]) <= 100 * PRECISION
    whole = sj.eigenbasis(space, max_eigenvalue=20)
    model = sj.fit_ridge(whole, names["x"], names["x"][:, 0])
    sj.save(tmp_path / "model.npz", model)
    own = (names["Interval"], names["Legendre"])
    again = sj.load(tmp_path / "model.npz", constructors=own)
    np.testing.assert_array_equal(again(names["x"]), model(names["x"]))


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
