"""Discovery of subgroups: the planted one and no larger one, directions, and what is refused."""

import fractions
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn.algebra.subgroups import distinct, generated_subgroup
from symjax_learn.invariants.subactions import generated_action
from symjax_learn.learning.directions import closed_directions
from tests.registry import brute_force

pytestmark = pytest.mark.usefixtures("without_signature_checks")
SPACE, GROUP = sj.Torus(4), sj.symmetric_group(4)
PLANTED = {
    "all": GROUP,
    "S2xS2": sj.young_group(2, 2),
    "V4": sj.permutation_group([[1, 0, 3, 2], [2, 3, 0, 1]]),
    "trivial": sj.trivial_group(4),
}


def planted(space, group, bound, n, seed=0, noise=0.3):
    """A random invariant function of variance 1, and noisy values of it."""
    keys = jax.random.split(jax.random.key(seed), 3)
    basis = sj.invariant_basis(space, group, max_eigenvalue=bound)
    c = np.array(jax.random.normal(keys[0], (basis.num_functions,)))
    c[0] = 0.0
    x = space.sample(keys[1], (n,))
    y = basis(x) @ jnp.asarray(c / np.linalg.norm(c), x.dtype)
    return x, y + noise * jax.random.normal(keys[2], (n,)), basis


def find(space, group, data, bound, seed=0, **options):
    return sj.discover_symmetry(
        jax.random.key(seed), space, group, *data[:2], max_eigenvalue=bound, **options
    )


@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_subgroup_is_found(name):
    data = planted(SPACE, PLANTED[name], 3, 500)
    found = find(SPACE, GROUP, data, 3)
    assert found.group.order == PLANTED[name].order
    assert bool(np.asarray(PLANTED[name].contains(found.group.generators)).all())
    assert found.basis.num_functions == data[2].num_functions
    assert len(found.elements) == 23  # all of S_4 but the identity
    assert found.num_dropped == 0
    accepted = found.elements[found.judgements.accepted]
    # What is accepted is the group itself, and so is closed.
    assert len(accepted) == found.group.order - 1
    assert bool(np.asarray(found.group.contains(accepted)).all())
    # The fit is exactly invariant and better than a free one.
    moved = found.action.act(found.action.sample(jax.random.key(1), (20,)), data[0][:20])
    np.testing.assert_allclose(found.model(moved), found.model(data[0][:20]), atol=2e-5)
    np.testing.assert_array_equal(found.judgements.accepted, found.judgements.bounds <= 0.02)
    assert (found.judgements.bounds >= found.judgements.costs).all()


def test_a_cost_is_that_of_two_fits():
    """By least squares of NumPy on the same halves, in one matrix for all functions."""
    data = planted(SPACE, PLANTED["S2xS2"], 3, 200)
    options = dict(penalty=1e-2, candidates=jnp.asarray([[1, 0, 2, 3], [0, 2, 1, 3]], jnp.int32))
    found = find(SPACE, GROUP, data, 3, num_candidates=0, **options)
    order = np.asarray(jax.random.permutation(jax.random.split(jax.random.key(0))[0], 200))
    fit, judge = order[100:], order[:100]
    full = sj.eigenbasis(SPACE, max_eigenvalue=3)
    phi, y = np.asarray(full(data[0]), np.float64), np.asarray(data[1], np.float64)
    charge = 100 * 1e-2 * np.diag((1 + np.asarray(full.eigenvalues, np.float64)) ** 2)
    charge[0, 0] = 0
    costs = []
    for swap in ([0, 1, 2, 3], [1, 0, 2, 3], [0, 2, 1, 3]):
        mean = (phi + np.asarray(full(data[0][:, np.asarray(swap)]), np.float64)) / 2
        projector = np.linalg.lstsq(phi, mean, rcond=None)[0]
        values, vectors = np.linalg.eigh((projector + projector.T) / 2)
        span = vectors[:, values > 0.5]
        form = phi[fit].T @ phi[fit] + charge
        c = span @ np.linalg.solve(span.T @ form @ span, span.T @ phi[fit].T @ y[fit])
        costs.append((y[judge] - phi[judge] @ c) ** 2)
    expected = [(one - costs[0]).mean() / y[judge].var() for one in costs[1:]]
    np.testing.assert_allclose(found.judgements.costs, expected, atol=1e-4)


def test_a_false_element_is_accepted_no_oftener_than_the_level():
    """cos x₁ + cos x₂: (x₁, x₂, x₃) → (x₃, x₂, x₁) costs a half of the variance."""
    space, group = sj.Torus(3), sj.symmetric_group(3)
    false = 0
    for seed in range(20):
        keys = jax.random.split(jax.random.key(seed))
        x = space.sample(keys[0], (100,))
        y = jnp.cos(x[:, :2]).sum(axis=1) + 2.0 * jax.random.normal(keys[1], (100,))  # mostly noise
        found = find(space, group, (x, y), 1, seed=seed, candidates=jnp.asarray([[2, 1, 0]], jnp.int32),
                     num_candidates=0, penalty=1e-3)  # fmt: skip
        false += found.group.order > 1
    assert false <= 3


def test_nearly_symmetric_data_are_told_by_the_tolerance():
    """A part of 1 % of the variance breaks the swap: more than 0.2 %, less than 5 %."""
    space = sj.Torus(2)
    x = space.sample(jax.random.key(0), (400,))
    y = jnp.cos(x).sum(axis=1) + 0.2 * jnp.cos(x[:, 0] * 2)
    orders = [
        find(space, sj.symmetric_group(2), (x, y), 5, tolerance=tolerance).group.order
        for tolerance in (0.002, 0.05)
    ]
    assert orders == [1, 2]


def test_runs_repeat_and_random_elements_generate_large_subgroups():
    space, group = sj.Torus(5), sj.symmetric_group(5)
    data = planted(space, sj.young_group(3, 2), 1, 400)
    found = [find(space, group, data, 1, num_candidates=40) for _ in range(2)]
    assert found[0].group.order == 12
    np.testing.assert_array_equal(found[0].elements, found[1].elements)
    np.testing.assert_array_equal(found[0].judgements.costs, found[1].judgements.costs)
    assert len(found[0].elements) < 40  # repetitions and the identity are left out


@pytest.mark.parametrize(
    ("space", "group", "planted_group", "bound"),
    [
        (sj.Torus(2), sj.hyperoctahedral_group(2), sj.sign_group(2), 4),
        (sj.Sphere(2), sj.point_group("Oh"), sj.point_group("D4h"), 20),
        (
            sj.Torus(3),
            sj.direct_product(sj.symmetric_group(2), sj.sign_group(1)),
            sj.direct_product(sj.trivial_group(2), sj.sign_group(1)),
            2,
        ),
    ],
    ids=["signed", "matrices", "product"],
)
def test_of_other_kinds(space, group, planted_group, bound):
    found = find(space, group, planted(space, planted_group, bound, 400), bound)
    assert found.group.order == planted_group.order
    assert type(found.group) is type(planted_group)


def test_of_a_users_act():
    """The swap acts by (x₁, x₂) → (−x₂, −x₁): the act of the reference is that of what is found."""

    def act(g, x):
        return jnp.where(g[0] == 0, x, -x[jnp.argsort(g)])

    action = sj.action(sj.Torus(2), sj.symmetric_group(2), act=act)
    x = action.space.sample(jax.random.key(0), (200,))
    y = jnp.sin(x[:, 0] - x[:, 1])  # fixed by (x₁, x₂) → (−x₂, −x₁), not by the swap
    found = find(action.space, action, (x, y), 2)
    assert found.group.order == 2
    assert find(action.space, action.group, (x, y), 2).group.order == 1


def test_directions_of_a_continuous_group():
    """Of O(3) the turns about the third axis, and the mirror with them."""
    space = sj.Sphere(2)
    axial = sj.lie_group([[[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]])
    data = planted(space, axial, 20, 500)
    found = find(space, sj.orthogonal_group(3), data, 20)
    assert found.group.order == math.inf
    assert found.group.dimension == 1
    assert found.direction_judgements.accepted.tolist() == [True, False, False]
    assert found.basis.num_functions == 5
    # The spectrum of M has one direction near 0, along the basis element of that axis.
    assert abs(found.rates[0]) < 0.05 * found.rates[1]
    assert abs(found.axes[0, 0]) > 0.99
    whole = planted(sj.Torus(2), sj.translation_group([[1, 1]]), 4, 400)
    by_axes = find(sj.Torus(2), sj.translation_group(2), whole, 4)
    assert by_axes.group.order == 1  # neither coordinate is free, but the rates show the diagonal
    assert abs(by_axes.rates[0]) < 0.05 * by_axes.rates[1]
    assert abs(by_axes.axes[0, 0]) == pytest.approx(0.5**0.5, abs=0.05)
    tilted = find(sj.Torus(2), sj.translation_group(2), whole, 4, directions=[[0.5, 0.5]])
    assert np.asarray(tilted.group.directions).tolist() == [[1, 1]]
    assert tilted.basis.num_functions == whole[2].num_functions


def test_brackets_complete_what_is_accepted():
    rows = closed_directions(sj.special_orthogonal_group(3), np.eye(3)[:2])
    assert rows.shape == (3, 3)
    assert np.linalg.matrix_rank(rows) == 3
    assert closed_directions(sj.special_orthogonal_group(3), np.eye(3)[:1]).shape == (1, 3)
    assert closed_directions(sj.translation_group(3), np.eye(3)[:2]).shape == (2, 3)


def test_generated_subgroups_are_those_of_brute_force():
    diagonal = sj.direct_product(sj.symmetric_group(3), sj.symmetric_group(3))
    turn = jnp.asarray([[1, 2, 0]], jnp.int32)
    subgroup = generated_subgroup(diagonal, (turn, turn))
    assert subgroup.order == 3  # and no product of subgroups of the factors
    action = generated_action(sj.action(sj.Torus(6), diagonal), (turn, turn))
    same = sj.permutation_group([[1, 2, 0, 4, 5, 3]])
    basis = sj.invariant_basis(sj.Torus(6), action, max_eigenvalue=1)
    assert basis.num_functions == sj.invariant_count(sj.Torus(6), same, 1)
    for group in (sj.symmetric_group(4), sj.hyperoctahedral_group(3), sj.coxeter_group("H3")):
        elements = group.sample(jax.random.key(0), (2,))
        one = generated_subgroup(group, elements)
        assert len(brute_force(one)[0]) == one.order
        assert bool(np.asarray(one.contains(elements)).all())
        assert generated_subgroup(group, jax.tree.map(lambda leaf: leaf[:0], elements)).order == 1
    glide = sj.affine_torus_group([[[1, 0], [0, -1]]], [[fractions.Fraction(1, 2), 0]])
    assert generated_subgroup(glide, glide.generators).order == 2
    repeated = jnp.asarray([[0, 1, 2], [1, 0, 2], [1, 0, 2], [0, 2, 1]], jnp.int32)
    assert distinct(sj.symmetric_group(3), repeated).tolist() == [1, 3]
    with pytest.raises(ValueError, match="group: LieGroup is infinite"):
        generated_subgroup(sj.special_orthogonal_group(3), np.eye(3)[None])


def test_random_generators_leave_the_invariants_fixed():
    for space, group, bound in ((sj.Torus(6), sj.symmetric_group(6), 2),
                                (sj.Sphere(2), sj.special_orthogonal_group(3), 6)):  # fmt: skip
        found = sj.random_generators(
            jax.random.key(0), space, group, max_eigenvalue=bound, num_rounds=20
        )
        assert found.dimensions[-1] == sj.invariant_count(space, group, bound)
        assert (np.diff(found.dimensions) <= 0).all()
        assert len(found.elements) == (np.diff(found.dimensions) < 0).sum()
    with pytest.raises(ValueError, match="num_rounds"):
        sj.random_generators(
            jax.random.key(0), sj.Torus(2), sj.symmetric_group(2), max_eigenvalue=1, num_rounds=0
        )


def test_torsion_maps():
    pytest.importorskip("openmm", reason="the extra torsions")
    maps = {residue: sj.datasets.torsion_map(residue) for residue in ("glycine", "aminoisobutyric acid")}
    for residue, data in maps.items():
        assert data.points.shape == (576, 2)
        data.space.check(data.points)
        place = {
            tuple(point): i for i, point in enumerate(np.round(data.points * 24).astype(int).tolist())
        }
        other = [place[(-i % 24, -j % 24)] for i, j in place]
        largest = np.abs(data.energies - data.energies[other]).max()
        assert largest == (0.0 if data.group.order == 2 else pytest.approx(11.962056)), residue
    with pytest.raises(ValueError, match=r"residue: .*got 'glycin'.*'glycine'"):
        sj.datasets.torsion_map("glycin")


def test_without_openmm_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"OpenMM, which is not installed.*symjax-learn\[torsions\]"):
        sj.datasets.torsion_map("glycine")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order_fraction": 0.0}, "order_fraction: expected κ in"),
        ({"order_fraction": 1.5}, "order_fraction: expected κ in"),
        ({"tolerance": -0.1}, "tolerance: expected a finite number >= 0"),
        ({"level": 1.0}, "level: expected a probability"),
        ({"level": 0.0}, "level: expected a probability"),
        ({"holdout": 1.0}, "holdout: expected a fraction"),
        ({"holdout": 0.05}, "x: 40 samples in parts of 38 and 2"),
        ({"num_candidates": 0}, "num_candidates: there is none"),
        ({"num_candidates": 10**6}, "num_candidates: 1,000,000 random elements"),
        ({"candidates": np.zeros((2, 3), np.int32)}, "candidates: expected a batch"),
        ({"directions": [[1.0]]}, "directions: expected shape"),
        ({"memory_limit": 100}, "max_eigenvalue: .* needs about"),
    ],
)
def test_bad_input_is_refused_in_words(options, words):
    x = sj.Torus(2).sample(jax.random.key(0), (40,))
    with pytest.raises(ValueError, match=words):
        find(sj.Torus(2), sj.symmetric_group(2), (x, jnp.cos(x[:, 0])), 1, **options)


def test_bad_data_and_groups_are_refused_in_words():
    space, key = sj.Torus(2), jax.random.key(0)
    x = space.sample(key, (40,))
    y = jnp.cos(x[:, 0])
    with pytest.raises(ValueError, match="y: .*finite"):
        find(space, sj.symmetric_group(2), (x, y.at[0].set(jnp.nan)), 1)
    with pytest.raises(ValueError, match="x: 12 samples in parts of 6 and 6"):
        find(space, sj.symmetric_group(2), (x[:12], y[:12]), 1)
    with pytest.raises(ValueError, match="group: this action is on"):
        find(space, sj.action(sj.Torus(3), sj.symmetric_group(3)), (x, y), 1)
    with pytest.raises(ValueError, match="reference_group: .*continuous ProductGroup"):
        find(sj.Torus(2), sj.direct_product(sj.translation_group(1), sj.sign_group(1)), (x, y), 1)
    with pytest.raises(ValueError, match="num_candidates: random elements of a continuous group"):
        find(space, sj.translation_group(2), (x, y), 1, num_candidates=3)
    with pytest.raises(ValueError, match="candidates: of translations only directions"):
        find(space, sj.translation_group(2), (x, y), 1, candidates=jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match="directions: .*do not close"):
        find(space, sj.translation_group(2), (x, jnp.ones(40)), 1, directions=[[1.0, 2.0**0.5]])
    with pytest.raises(TypeError, match="x, y: they are being traced"):
        jax.jit(lambda v: find(space, sj.symmetric_group(2), (x, v), 1).cost)(y)
