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


def test_an_unknown_material_is_named_with_a_suggestion():
    with pytest.raises(ValueError, match=r"material: .*got 'nacl'.*'NaCl'"):
        sj.datasets.phonons("nacl")
