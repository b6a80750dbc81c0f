"""Sets of other sizes than those of the space, and of unequal sizes: means stay means, sums sums."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import EXACT, X64

CASES = {
    "coordinates": (sj.Torus(4), sj.symmetric_group(4), 3.0),
    "pairs of coordinates": (sj.Torus(6), sj.wreath_product(sj.symmetric_group(2), 3), 2.0),
    "points of a sphere": (sj.Sets(sj.Sphere(2), 3), sj.symmetric_group(3), 6.0),
    "signs": (sj.Hypercube(4), sj.symmetric_group(4), 6.0),
}


@pytest.fixture(params=CASES, scope="module")
def basis(request):
    space, group, bound = CASES[request.param]
    return sj.invariant_basis(space, group, max_eigenvalue=bound, route="multiset")


def _resized(basis, size):
    """The space of sets of so many points."""
    space = basis.space
    if isinstance(space, sj.Sets):
        return sj.Sets(space.space, size)
    width = space.point_shape[0] // basis.set_size(space.point_shape)
    return type(space)(width * size)


def _expected(basis, x, normalization):
    """By all placements: √N(n) times the mean over the placements, or their sum over √N(n)."""
    table = basis.functions
    n, size = table.num_points, basis.set_size(x.shape[1:])
    single = np.asarray(
        table.table.columns(jnp.asarray(x).reshape(len(x) * size, *table.point_shape)), float
    )
    single = single.reshape(len(x), size, -1)[:, :, 1:]
    columns = []
    for place in np.asarray(table.places):
        counts = np.asarray(table.index.counts)[place]
        labels = [label for label, count in enumerate(counts) for _ in range(count)]
        j = len(labels)
        total = np.zeros(len(x))
        for chosen in _injections(size, j):
            total += np.prod([single[:, i, p] for i, p in zip(chosen, labels, strict=True)], axis=0)
        repeats = math.prod(math.factorial(count) for count in counts)
        total, norm = total / repeats, math.perm(n, j) / repeats
        terms = math.perm(size, j) / repeats
        if normalization == "mean":
            columns.append(math.sqrt(norm) * total / terms if terms else 0 * total)
        else:
            columns.append(total / math.sqrt(norm))
    return np.stack(columns, axis=1)


def _injections(size, length, used=()):
    if length == len(used):
        yield used
        return
    for i in range(size):
        if i not in used:
            yield from _injections(size, length, (*used, i))


@pytest.mark.parametrize("normalization", ["mean", "sum"])
def test_every_size_by_all_placements(basis, normalization):
    """Sets of 1, 2, …, n + 2 points, padded with NaN and in any order, together."""
    basis = dataclasses.replace(basis, normalization=normalization)
    most = basis.functions.num_points + 2
    sizes = np.arange(1, most + 1)
    x = np.asarray(_resized(basis, most).sample(jax.random.key(0), (most,)), float)
    shape = x.shape[1:]
    rows = x.reshape(most, most, -1)
    few = [row[:size].reshape(1, -1, *shape[1:]) for size, row in zip(sizes, rows, strict=True)]
    expected = np.concatenate([_expected(basis, one, normalization) for one in few])
    np.testing.assert_allclose(basis(x, np.ones((most, most), bool))[-1], expected[-1], atol=1e3 * EXACT)
    mask = np.arange(most)[None] < sizes[:, None]
    order = np.asarray(jax.random.permutation(jax.random.key(1), most))
    padded = np.where(mask[..., None], rows, np.nan)[:, order].reshape(x.shape)
    np.testing.assert_allclose(basis(padded, mask[:, order]), expected, atol=1e3 * EXACT)


def test_a_model_of_small_sets_predicts_large_ones(tmp_path):
    """A mean over points, and an energy that is a sum, learned from sets of eight."""
    space, group = sj.Sets(sj.Torus(1), 8), sj.symmetric_group(8)
    basis = sj.invariant_basis(space, group, max_eigenvalue=2, route="multiset")
    x = space.sample(jax.random.key(0), (60,))
    large = sj.Sets(sj.Torus(1), 50).sample(jax.random.key(1), (7,))

    def mean(x):
        return 1 + jnp.cos(x).mean(axis=(-2, -1)) + jnp.sin(x).mean(axis=(-2, -1))

    model = sj.fit_ridge(basis, x, mean(x))
    tolerance = 1e-9 if X64 else 1e-4
    np.testing.assert_allclose(model(large), mean(large), atol=tolerance)
    sums = dataclasses.replace(basis, normalization="sum")
    energy = sj.fit_ridge(sums, x, 8 * mean(x) - 8)
    np.testing.assert_allclose(energy(large), 50 * mean(large) - 50, atol=50 * tolerance)
    sj.save(tmp_path / "model.npz", energy)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(large), energy(large))


def test_a_fit_on_sets_of_unequal_sizes():
    space, group = sj.Torus(6), sj.symmetric_group(6)
    basis = sj.invariant_basis(space, group, max_eigenvalue=2, route="multiset")
    x = space.sample(jax.random.key(0), (80,))
    mask = jax.random.bernoulli(jax.random.key(1), 0.7, x.shape) | (jnp.arange(6)[None] < 2)
    waves = jnp.where(mask, jnp.cos(x), 0.0)
    counts = mask.sum(axis=1).astype(x.dtype)
    y = waves.sum(axis=1) / counts
    garbage = jnp.where(mask, x, jnp.nan)
    model = sj.fit_ridge(basis, garbage, y, mask=mask)
    np.testing.assert_allclose(model(garbage, mask), y, atol=1e-9 if X64 else 1e-4)
    slopes = jax.vmap(jax.grad(lambda point, here: model(point, here)))(garbage, mask)
    expected = jnp.where(mask, -jnp.sin(x) / counts[:, None], 0.0)
    np.testing.assert_allclose(slopes, expected, atol=1e-8 if X64 else 1e-3)
    compiled = jax.jit(lambda model, x, mask: model(x, mask))(model, garbage, mask)
    np.testing.assert_allclose(compiled, model(garbage, mask), atol=1e2 * EXACT)


def test_no_sets_have_no_values(basis):
    empty = jnp.zeros((0, *basis.space.point_shape))
    assert basis(empty).shape == (0, basis.num_functions)
    mask = np.zeros((0, basis.functions.num_points), bool)
    assert basis(empty, mask).shape == (0, basis.num_functions)


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    space, group = sj.Torus(4), sj.symmetric_group(4)
    basis = sj.invariant_basis(space, group, max_eigenvalue=2, route="multiset")
    x = space.sample(jax.random.key(0), (3,))
    with pytest.raises(ValueError, match=r"mask: expected booleans of shape \(3, 4\).*got bool of .*3,"):
        basis(x, np.ones((3, 3), bool))
    with pytest.raises(ValueError, match=r"mask: expected booleans .*got float64 of shape"):
        basis(x, np.ones((3, 4)))
    with pytest.raises(TypeError, match=r"points: sets of points are floating-point .*got int32"):
        basis(np.ones((3, 7), np.int32), np.ones((3, 7), bool))
    fixed = sj.invariant_basis(space, group, max_eigenvalue=2, route="orbits")
    with pytest.raises(
        ValueError, match=r"mask: functions of sets of unequal sizes .*'orbits'.*leave it"
    ):
        fixed(x, np.ones((3, 4), bool))
    with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 4\)"):
        fixed(x[:, :3])
    with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 4\)"):
        basis(x[:, :3])  # coordinates are a set of another size only with a mask
    sets = sj.Sets(sj.Sphere(2), 3)
    on_sets = sj.invariant_basis(sets, sj.symmetric_group(3), max_eigenvalue=2, route="multiset")
    with pytest.raises(ValueError, match=r"x: expected shape \(\*batch, 3, 3\)"):
        sj.fit_ridge(on_sets, np.zeros((4, 2, 3)), np.zeros(4))
    group = sj.wreath_product(sj.symmetric_group(2), 2)
    pairs = sj.invariant_basis(space, group, max_eigenvalue=2, route="multiset")
    with pytest.raises(ValueError, match=r"points: expected shape \(\*batch, 4\)"):
        pairs(x[:, :3])
    with pytest.raises(ValueError, match=r"x: set 1: .*not finite"):
        sj.fit_ridge(
            basis, x.at[1, 0].set(jnp.nan), np.zeros(3), mask=np.ones((3, 4), bool), penalty=1.0
        )
    box = sj.invariant_basis(sj.Box(3), sj.symmetric_group(3), max_eigenvalue=10, route="multiset")
    outside = np.asarray([[0.5, 0.5, 7.0], [0.5, 7.0, 0.5]])
    mask = np.asarray([[True, True, False], [True, True, True]])
    with pytest.raises(ValueError, match=r"x: set 1: .*7"):
        sj.fit_ridge(box, outside, np.zeros(2), mask=mask, penalty=1.0)
