"""The test of invariance: its level for any noise, its power, its effect size, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import X64

pytestmark = pytest.mark.usefixtures("without_signature_checks")
SPACE = sj.Torus(2)
BASIS = sj.eigenbasis(SPACE, max_eigenvalue=5)  # 21 functions
SWAP = sj.symmetric_group(2)
TURN = [[[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]]


def heteroscedastic(key, x):
    return jax.random.normal(key, x.shape[:1]) * (1 + jnp.cos(x).prod(axis=1))


def heavy(key, x):
    return jax.random.t(key, 1.5, x.shape[:1])  # of infinite variance


def data(n=60, broken=0.0, noise=0.3, seed=0):
    keys = jax.random.split(jax.random.key(seed))
    x = SPACE.sample(keys[0], (n,))
    y = jnp.cos(x).sum(axis=1) + broken * jnp.sin(x[:, 0])
    return x, y + noise * jax.random.normal(keys[1], (n,))


@pytest.mark.parametrize("noise", [0.5, heteroscedastic, heavy], ids=["normal", "unequal", "heavy"])
def test_the_level_is_exact_and_the_power_rises_to_one(noise):
    """n = 24 samples of 21 functions: 400 simulations of a binomial variable, within 3 deviations."""
    options = dict(num_samples=24, noise=noise, num_resamples=39, penalty=1e-2, num_simulations=400)
    key = jax.random.key(0)
    rates = [
        sj.rejection_rate(key, BASIS, SWAP, departure=departure, **options) for departure in (0.0, 0.6)
    ]
    deviation = (0.05 * 0.95 / 400) ** 0.5
    assert abs(float(rates[0].rate) - 0.05) < 3 * deviation
    assert float(rates[1].rate) > float(rates[0].rate) + 3 * deviation
    assert float(rates[1].standard_error) == pytest.approx(
        float(rates[1].rate * (1 - rates[1].rate) / 400) ** 0.5, rel=1e-4
    )
    if noise == 0.5:
        wide = sj.rejection_rate(
            key, BASIS, SWAP, departure=0.5, **options | dict(num_samples=96, num_simulations=50)
        )
        assert float(wide.rate) > 0.98
        # p-values are uniform on the multiples of 1/40.
        assert float(jnp.mean(rates[0].p_values)) == pytest.approx(0.5, abs=0.06)


def test_the_bootstrap_keeps_its_level_on_points_that_are_not_uniform():
    rate = []
    for seed in range(40):
        keys = jax.random.split(jax.random.key(seed), 3)
        x = 2.0 * jax.random.uniform(keys[0], (60, 2))  # a corner of the torus
        y = jnp.cos(x).sum(axis=1) + 0.3 * jax.random.normal(keys[1], (60,))
        p = sj.invariance_test(
            keys[2], BASIS, x, y, SWAP, null="bootstrap", num_resamples=99, penalty=1e-4
        )
        rate.append(float(p.p_value) <= 0.05)
    assert np.mean(rate) <= 0.05 + 3 * (0.05 * 0.95 / 40) ** 0.5


@pytest.mark.parametrize("null", ["randomization", "bootstrap"])
def test_invariant_data_pass_and_broken_data_fail(null):
    for broken, fails in ((0.0, False), (1.0, True)):
        x, y = data(broken=broken)
        found = sj.invariance_test(jax.random.key(1), BASIS, x, y, SWAP, null=null, num_resamples=199)
        assert (float(found.p_value) <= 0.01) == fails
        assert int(found.status) == 0
        assert 0.999 / 200 <= float(found.p_value) <= 1
        assert float(jnp.sum(found.level_fractions)) == pytest.approx(
            float(found.broken_fraction), abs=1e-5
        )


def test_the_statistic_is_that_of_its_definition():
    x, y = data(broken=0.5, n=40)
    found = sj.invariance_test(jax.random.key(1), BASIS, x, y, SWAP, penalty=1e-2, num_resamples=9)
    invariant = sj.invariant_basis(SPACE, SWAP, max_eigenvalue=5)
    r = np.asarray(y - sj.fit_ridge(invariant, x, y, penalty=1e-2)(x), np.float64)
    # φ − φ∘swap, over 2, are the parts of all functions that the swap does not fix.
    odd = np.asarray(BASIS(x) - BASIS(x[:, ::-1]), np.float64) / 2
    scores = odd.T @ r / 40
    assert float(found.statistic) == pytest.approx(scores @ scores, rel=1e-9 if X64 else 1e-4)
    gram = (odd @ odd.T) * np.outer(r, r)
    pairs = (gram.sum() - np.trace(gram)) / (40 * 39)
    assert float(found.broken_fraction) == pytest.approx(
        pairs / float(jnp.var(y)), rel=1e-8 if X64 else 1e-3
    )


def test_the_broken_fraction_is_that_of_the_variance():
    """f = cos x₁ + cos x₂ + ½ sin x₁ of variance 9/8, of which 1/16 is odd under the swap."""
    fractions = []
    for seed in range(10):
        x, y = data(n=500, broken=0.5, noise=0.0, seed=seed)
        options = dict(num_resamples=9, penalty=1e-3, null="bootstrap")
        found = sj.invariance_test(jax.random.key(seed), BASIS, x, y, SWAP, **options)
        fractions.append(float(found.broken_fraction))
    # The invariant fit takes up a part of about D_G/n.
    allowed = 3 * np.std(fractions) / 10**0.5 + 2 * 12 / 500 / 18
    assert np.mean(fractions) == pytest.approx(1 / 18, abs=allowed)


def test_exactly_invariant_data_are_not_rejected_for_their_rounding():
    x, y = data(noise=0.0)
    for null in ("randomization", "bootstrap"):
        found = sj.invariance_test(jax.random.key(0), BASIS, x, y, SWAP, null=null, num_resamples=99)
        assert float(found.p_value) > 0.05


def test_elements_stand_for_what_they_generate():
    space, x = sj.Torus(3), sj.Torus(3).sample(jax.random.key(0), (80,))
    basis, group = sj.eigenbasis(space, max_eigenvalue=1), sj.symmetric_group(3)
    y = jnp.cos(x[:, 0]) + jnp.cos(x[:, 1]) + 0.2 * jax.random.normal(jax.random.key(1), (80,))
    p_values = [
        float(sj.invariance_test(
            jax.random.key(2), basis, x, y, group, elements=jnp.asarray(elements, jnp.int32),
            num_resamples=99,
        ).p_value)
        for elements in ([[1, 0, 2]], [[2, 1, 0]])
    ]  # fmt: skip
    assert p_values[0] > 0.05
    assert p_values[1] == pytest.approx(0.01)


@pytest.mark.parametrize("group", [sj.lie_group(TURN), sj.special_orthogonal_group(3)], ids=["z", "all"])
def test_continuous_groups_and_single_directions(group):
    """x₃² is fixed by turns about the third axis, and not by all rotations."""
    space = sj.Sphere(2)
    x = space.sample(jax.random.key(0), (60,))
    y = 2 * x[:, 2] ** 2 + 0.2 * jax.random.normal(jax.random.key(1), (60,))
    basis = sj.eigenbasis(space, max_eigenvalue=6)
    found = sj.invariance_test(jax.random.key(2), basis, x, y, group, num_resamples=99)
    assert (float(found.p_value) > 0.05) == (group.dimension == 1)


def test_a_users_own_act_and_several_outputs():
    mirror = sj.action(SPACE, sj.sign_group(1), act=lambda g, x: x * g.signs.astype(x.dtype))
    x, y = data(n=60)
    both = jnp.stack([y, y + jnp.sin(x[:, 0])], axis=1)
    for targets, passes in ((y, True), (both, False)):
        found = sj.invariance_test(jax.random.key(2), BASIS, x, targets, mirror, num_resamples=99)
        assert (float(found.p_value) > 0.05) == passes


def test_it_composes_under_vmap_and_is_reproducible():
    xs, ys = jax.vmap(lambda k: (SPACE.sample(k, (30,)), jax.random.normal(k, (30,))))(
        jax.random.split(jax.random.key(0), 3)
    )
    keys = jax.random.split(jax.random.key(1), 3)

    def p_value(key, x, y):
        return sj.invariance_test(key, BASIS, x, y, SWAP, num_resamples=39, penalty=1e-2).p_value

    together = jax.vmap(p_value)(keys, xs, ys)
    alone = [p_value(*one) for one in zip(keys, xs, ys, strict=True)]
    np.testing.assert_allclose(together, jnp.stack(alone), atol=1e-6)


def test_bad_input_is_refused_in_words():
    x, y = data(n=20)
    key = jax.random.key(0)
    invariant = sj.invariant_basis(SPACE, SWAP, max_eigenvalue=5)
    with pytest.raises(ValueError, match="basis: it is invariant already"):
        sj.invariance_test(key, invariant, x, y, SWAP)
    with pytest.raises(TypeError, match="basis: expected the answer of eigenbasis"):
        sj.invariance_test(key, 3, x, y, SWAP)
    with pytest.raises(ValueError, match="null: expected 'randomization' or 'bootstrap'"):
        sj.invariance_test(key, BASIS, x, y, SWAP, null="permutation")
    with pytest.raises(ValueError, match="action: the group moves no function"):
        sj.invariance_test(key, BASIS, x, y, sj.trivial_group(2))
    with pytest.raises(ValueError, match="num_resamples: expected at least 1"):
        sj.invariance_test(key, BASIS, x, y, SWAP, num_resamples=0)
    with pytest.raises(ValueError, match="y: .*finite"):
        sj.invariance_test(key, BASIS, x, y.at[3].set(jnp.nan), SWAP)
    with pytest.raises(TypeError, match="no action|fit|act"):
        sj.invariance_test(key, BASIS, x, y, sj.special_orthogonal_group(2))
    # SO(3) and a reflection, without a sampler of the whole.
    silent = sj.lie_group(np.asarray(sj.special_orthogonal_group(3).lie_algebra))
    sphere = sj.Sphere(2)
    points = sphere.sample(key, (20,))
    with pytest.raises(ValueError, match="null: 'randomization' draws from the group.*bootstrap"):
        sj.invariance_test(key, sj.eigenbasis(sphere, max_eigenvalue=2), points, y, silent)
    for name, value in {"departure": 1.5, "level": 1.0, "noise": -1.0, "num_samples": 1}.items():
        with pytest.raises(ValueError, match=name):
            sj.rejection_rate(key, BASIS, SWAP, **{"num_samples": 10, name: value})


def test_values_that_are_not_finite_are_told_by_the_status_when_nothing_is_thrown():
    x, y = data(n=20)
    found = sj.invariance_test(
        jax.random.key(0),
        BASIS,
        x,
        y.at[3].set(jnp.nan),
        SWAP,
        throw=False,
        num_resamples=9,
        penalty=0.1,
    )
    assert int(found.status) != 0
    assert np.isnan(found.p_value)
