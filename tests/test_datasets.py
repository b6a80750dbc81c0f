"""The shipped data have the symmetry that they claim."""

import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import X64, brute_force


@pytest.mark.parametrize(("material", "order"), [("CaTiO3", 48), ("NaCl", 96), ("MgO", 96)])
def test_phonons_are_invariant_to_interpolation(material, order):
    data = sj.datasets.phonons(material)
    assert data.group.order == order == len(brute_force(data.group)[0])
    assert data.points.shape == (4000, 3)
    assert data.frequencies.shape == (4000, 15 if material == "CaTiO3" else 6)
    assert (np.diff(data.frequencies, axis=1) >= 0).all()
    data.space.check(data.points)
    # An invariant fit of one half predicts the other half far better than a fit on a torus whose
    # coordinates are shifted, where the same group is no symmetry of the data.
    errors = []
    for offset in (0.0, 0.13):
        basis = sj.invariant_basis(
            data.space, data.group, max_eigenvalue=50 * data.space.unit_eigenvalue
        )
        x, y = data.points + offset, data.frequencies[:, -1]
        if not X64:
            x, y = x.astype(np.float32), y.astype(np.float32)
        model = sj.fit_ridge(basis, x[:500], y[:500], spectrum=sj.sobolev(3.0))
        residuals = np.asarray(model(x[500:])) - y[500:]
        errors.append(np.sqrt(np.mean(residuals**2)) / y.std())
    assert errors[0] < 0.05
    assert errors[1] > 0.5


def test_methane():
    """Gradients add up to 0, have no torque, and are the slopes of the energies."""
    data = sj.datasets.molecule("methane")
    assert (data.group.order, data.symbols) == (np.inf, ("H",) * 4 + ("C",))
    assert data.energies.shape == (9000,)
    size = np.abs(data.gradients).max()
    assert np.abs(data.gradients.sum(axis=1)).max() < 1e-3 * size
    torques = np.cross(data.positions, data.gradients).sum(axis=1)
    assert np.abs(torques).max() < 1e-3 * size
    # Between near configurations the energy differs by the mean slope along the way.
    near = np.argsort(np.linalg.norm(data.positions - data.positions[0], axis=(1, 2)))[1:4]
    for other in near:
        step = data.positions[other] - data.positions[0]
        slope = ((data.gradients[other] + data.gradients[0]) / 2 * step).sum()
        assert data.energies[other] - data.energies[0] == pytest.approx(slope, abs=2e-5)
    with pytest.raises(ValueError, match=r"name: .*got 'metane'.*'methane'"):
        sj.datasets.molecule("metane")


def test_an_unknown_material_is_named_with_a_suggestion():
    with pytest.raises(ValueError, match=r"material: .*got 'nacl'.*'NaCl'"):
        sj.datasets.phonons("nacl")
