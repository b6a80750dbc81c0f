"""Models on disk: the same predictions in a fresh process, and every way a file can be wrong."""

import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import BIPYRAMID, HEXAGONAL, PAIRS, turn


def fitted(name, route="auto"):
    pair = PAIRS[name]()
    x = pair.action.space.sample(jax.random.key(0), (12,))
    y = jax.random.normal(jax.random.key(1), (12, 2))
    return sj.fit_ridge(pair.basis(route), x, y, penalty=1e-2), x


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("B_3", "orbits"),
        ("A_4", "orbits"),
        ("S_3", "averaging"),
        ("Pm-3m with a centring", "orbits"),
        ("S_2 x S_1 x S_2", "multiset"),
    ],
)
def test_a_loaded_model_is_the_same_in_every_part(name, route, tmp_path):
    model, x = fitted(name, route)
    sj.save(tmp_path / "model.npz", model)
    again = sj.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again(x), model(x))
    assert jax.tree.structure(again) == jax.tree.structure(model)
    for ours, theirs in zip(jax.tree.leaves(model), jax.tree.leaves(again), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    key = jax.random.key(5)
    assert sj.invariance_discrepancy(key, again, again.basis.action, x) == sj.invariance_discrepancy(
        key, model, model.basis.action, x
    )


def test_a_fresh_process_predicts_bitwise_the_same(tmp_path):
    model, x = fitted("B_3")
    sj.save(tmp_path / "model.npz", model)
    np.save(tmp_path / "x.npy", np.asarray(x))
    code = (
        "import numpy as np, symjax_learn as sj; "
        f"model = sj.load({str(tmp_path / 'model.npz')!r}); "
        f"np.save({str(tmp_path / 'y.npy')!r}, np.asarray(model(np.load({str(tmp_path / 'x.npy')!r}))))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model(x))


def test_an_order_of_many_digits_is_kept(tmp_path):
    space, group = sj.Torus(2000), sj.symmetric_group(2000)
    # No basis of this group is built here: the archive is what is tested.
    whole = sj.eigenbasis(sj.Torus(1), max_eigenvalue=1)
    model = sj.fit_ridge(whole, jnp.asarray([[0.0], [1.0]]), jnp.ones(2), penalty=1.0)
    labelled = eqx.tree_at(
        lambda m: m.basis.action, model, sj.action(space, group), is_leaf=lambda leaf: leaf is None
    )
    sj.save(tmp_path / "model.npz", labelled)
    assert sj.load(tmp_path / "model.npz").basis.action.order == group.order


def test_saving_is_atomic_and_replaces(tmp_path):
    model, x = fitted("B_2")
    path = tmp_path / "model.npz"
    sj.save(path, model)
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"model: model\.coefficients is being traced; save outside jit"):
        jax.jit(lambda c: sj.save(path, _with_coefficients(model, c)))(model.coefficients)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.npz"]
    sj.save(path, _with_coefficients(model, 2 * model.coefficients))
    np.testing.assert_array_equal(sj.load(path)(x), 2 * model(x))


def _with_coefficients(model, coefficients):
    return sj.SpectralModel(model.basis, coefficients, model.penalty, model.report)


def test_a_function_is_never_stored(tmp_path):
    model, _ = fitted("user's own: quarter turns")
    assert model.basis.action.user_act is turn
    with pytest.raises(TypeError, match=r"model\.basis\.action\.user_act .*cannot be stored"):
        sj.save(tmp_path / "model.npz", model)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def stored(tmp_path):
    model, _ = fitted("B_2")
    sj.save(tmp_path / "model.npz", model)
    return tmp_path / "model.npz"


@pytest.mark.parametrize("kept", [0, 10, 0.5, -1])
def test_a_truncated_file_is_refused(stored, kept):
    content = stored.read_bytes()
    stored.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match=r"path: .*model\.npz' is truncated, damaged or not a model"):
        sj.load(stored)


def test_a_damaged_file_is_refused(stored):
    content = bytearray(stored.read_bytes())
    middle = content.index(b"model.coefficients.npy") + 200
    content[middle] ^= 0xFF
    stored.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"path: .*is truncated, damaged or not a model"):
        sj.load(stored)


def rewritten(stored, change):
    """The file with its header changed."""
    with np.load(stored) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(bytes(arrays["header"]))
    change(header)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(stored, **arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("model"),
        lambda header: header["model"]["fields"].pop("penalty"),
        lambda header: header["model"]["fields"]["penalty"].update(array="nothing"),
        lambda header: header["model"]["fields"].update(penalty={}),
        lambda header: header["model"]["fields"].update(
            coefficients=header["model"]["fields"]["penalty"]
        ),
    ],
)
def test_a_header_that_does_not_fit_its_arrays_is_refused(stored, change):
    rewritten(stored, change)
    with pytest.raises(ValueError, match=r"path: .*model\.npz' holds (a damaged|no whole) model"):
        sj.load(stored)


def test_only_models_and_bases_are_saved(tmp_path):
    with pytest.raises(
        TypeError, match=r"model: expected a fitted model or a basis, or statistics, and got a Perm"
    ):
        jaxtyping_free(sj.save)(tmp_path / "model.npz", sj.symmetric_group(2))


def jaxtyping_free(function):
    """The function as users call it, without the signature checks of the tests."""
    return getattr(function, "__wrapped__", function)


def test_an_unknown_version_is_refused(stored):
    rewritten(stored, lambda header: header.update(version=99))
    with pytest.raises(ValueError, match=r"path: .*format version 99 and this release reads version 2"):
        sj.load(stored)


def test_another_kind_of_file_is_refused(stored, tmp_path):
    rewritten(stored, lambda header: header.update(format="something else"))
    with pytest.raises(ValueError, match=r"path: .*is not a model of this library"):
        sj.load(stored)
    np.savez(tmp_path / "arrays.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"path: .*not a model file"):
        sj.load(tmp_path / "arrays.npz")
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"path: .*not a model file"):
        sj.load(tmp_path / "array.npy")
    with pytest.raises(FileNotFoundError):
        sj.load(tmp_path / "nothing.npz")


def test_an_unknown_constructor_is_refused_and_never_imported(stored):
    rewritten(stored, lambda header: header["model"].update(constructor="os.system"))
    with pytest.raises(ValueError, match=r"path: .*constructor 'os\.system'.*constructors="):
        sj.load(stored)


def test_a_float64_model_needs_x64(tmp_path):
    with jax.enable_x64(True):
        sj.save(tmp_path / "model.npz", fitted("B_2")[0])
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"path: .*float64 .*JAX_ENABLE_X64=1"):
        sj.load(tmp_path / "model.npz")


PATH = np.asarray([[1.0, -1, 0], [-1, 2, -1], [0, -1, 1]])


@pytest.mark.parametrize(
    ("space", "max_eigenvalue"),
    [
        (sj.Ball(2), 4),
        (sj.Box(2), 20),
        (sj.DiscreteSpace(PATH), 2),
        (sj.Gaussian(2), 2),
        (sj.Graphs(3), 2),
        (sj.Grassmannian(1, 3), 6),
        (sj.Hypercube(4), 2),
        (sj.Labels(3), 3),
        (BIPYRAMID, 5),
        (sj.Product(sj.Sphere(1), sj.Labels(2)), 2),
        (sj.RotationGroup(), 6),
        (sj.Sets(sj.Product(sj.Sphere(1), sj.Labels(2)), 2), 2),
        (sj.Stiefel(2, 3), 2),
        (HEXAGONAL, 60),
    ],
    ids=lambda value: type(value).__name__,
)
def test_models_on_every_space(space, max_eigenvalue, tmp_path):
    x = space.sample(jax.random.key(0), (12,))
    basis = sj.eigenbasis(space, max_eigenvalue=max_eigenvalue)
    model = sj.fit_ridge(basis, x, jnp.arange(12.0), penalty=0.1)
    sj.save(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(x), model(x))


@pytest.mark.parametrize(
    "group",
    [
        sj.special_orthogonal_group(3),
        sj.lie_group([[[0, -1, 0], [1, 0, 0], [0, 0, 0]]]),
        sj.direct_product(sj.orthogonal_group(2), sj.sign_group(1)),
    ],
    ids=["rotations", "turns", "product"],
)
def test_models_of_continuous_groups(group, tmp_path):
    space = sj.Sphere(2)
    basis = sj.invariant_basis(space, group, max_eigenvalue=6)
    x = space.sample(jax.random.key(0), (12,))
    model = sj.fit_ridge(basis, x, x[:, 2] ** 2, penalty=0.1)
    sj.save(tmp_path / "model.npz", model)
    again = sj.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again(x), model(x))
    key, action = jax.random.key(1), again.basis.action
    assert sj.invariance_discrepancy(key, again, action, x) == sj.invariance_discrepancy(
        key, model, basis.action, x
    )
