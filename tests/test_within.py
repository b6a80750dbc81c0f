"""A further group on the invariants of a first: against one group that is both, and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import EXACT


def _same_span(ours, oracle, key):
    x = ours.space.sample(key, (2 * oracle.num_functions + 5,))
    one, other = np.asarray(ours(x), float), np.asarray(oracle(x), float)
    assert ours.num_functions == oracle.num_functions
    np.testing.assert_allclose(one @ one.T, other @ other.T, atol=3e4 * EXACT)
    np.testing.assert_allclose(ours.eigenvalues, oracle.eigenvalues, rtol=1e-6)


@pytest.mark.parametrize(
    ("space", "bound"), [(sj.Torus(3), 6.0), (sj.Gaussian(3), 4.0), (sj.Hypercube(4), 8.0)]
)
def test_signs_within_permutations_are_the_hyperoctahedral_group(space, bound):
    n = space.point_shape[0]
    permuted = sj.invariant_basis(space, sj.symmetric_group(n), max_eigenvalue=bound, route="multiset")
    both = sj.invariant_basis(space, sj.sign_group(n), within=permuted)
    oracle = sj.invariant_basis(space, sj.hyperoctahedral_group(n), max_eigenvalue=bound)
    assert (both.route, both.certificate.source) == ("within", "second_route")
    _same_span(both, oracle, jax.random.key(0))


def test_rotations_within_permutations_are_the_coupled_route():
    space = sj.Sets(sj.Sphere(2), 3)
    permuted = sj.invariant_basis(space, sj.symmetric_group(3), max_eigenvalue=8, route="multiset")
    still = sj.trivial_group(3)
    turned = sj.direct_product(still, sj.special_orthogonal_group(3))
    both = sj.invariant_basis(space, turned, within=permuted)
    group = sj.direct_product(sj.symmetric_group(3), sj.special_orthogonal_group(3))
    _same_span(both, sj.invariant_basis(space, group, max_eigenvalue=8), jax.random.key(0))


def test_shifts_of_fifty_permuted_coordinates():
    """Of multisets of frequencies those of sum 0: 1; e^{i(x−y)} and its like."""
    space = sj.Torus(50)
    permuted = sj.invariant_basis(space, sj.symmetric_group(50), max_eigenvalue=4)
    shift = sj.translation_group(np.ones((1, 50), int))
    both = sj.invariant_basis(space, shift, within=permuted)
    # |k|² ≤ 4 and Σk = 0: 0; (1, −1); (1, 1, −1, −1).
    np.testing.assert_allclose(both.eigenvalues, [0, 2, 4])
    x = space.sample(jax.random.key(0), (4,))
    np.testing.assert_allclose(both(x + 0.7), both(x), atol=1e4 * EXACT)
    waves = jnp.abs(jnp.exp(1j * x.astype(complex)).sum(axis=1)) ** 2
    expected = (np.asarray(waves, float) - 50) / np.sqrt(50 * 49)
    np.testing.assert_allclose(np.abs(both(x)[:, 1]), np.abs(expected), atol=1e4 * EXACT)
    model = sj.fit_ridge(both, x, jnp.ones(4), penalty=1.0)
    np.testing.assert_allclose(model(x), 1.0, atol=1e3 * EXACT)
    larger = jnp.concatenate([x, x[:, :7]], axis=1)
    mask = np.ones(larger.shape, bool)
    np.testing.assert_allclose(both(larger + 0.3, mask), both(larger, mask), atol=1e4 * EXACT)


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    space, group = sj.Torus(3), sj.symmetric_group(3)
    basis = sj.invariant_basis(space, group, max_eigenvalue=2)
    with pytest.raises(ValueError, match="within: its truncation is that of the basis .*leave out"):
        sj.invariant_basis(space, sj.sign_group(3), within=basis, max_eigenvalue=1)
    with pytest.raises(ValueError, match=r"within: a basis on Torus\(.*and the space is Box"):
        sj.invariant_basis(sj.Box(3), sj.sign_group(3), within=basis)
    with pytest.raises(TypeError, match="within: expected a basis and got 'B_3'"):
        sj.invariant_basis(space, sj.sign_group(3), within="B_3")
    with pytest.raises(ValueError, match=r"within: the values of \d+ functions needs? about .*limit"):
        sj.invariant_basis(space, sj.sign_group(3), within=basis, memory_limit=1)
