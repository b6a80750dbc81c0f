"""Phonon frequencies of crystals over the Brillouin zone: functions on T³ with exact symmetry."""

import difflib
import importlib.resources
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.affine import affine_torus_group
from symjax_learn.algebra.catalogue import hyperoctahedral_group
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.geometry.torus import Torus

MATERIALS = ("CaTiO3", "MgO", "NaCl")


class Phonons(NamedTuple):
    """A data set with its space and its exact symmetry.

    Attributes:
        points: wave vectors c on T³, ``(4000, 3)`` in [0, 1), float64.
        frequencies: of each branch, in THz, ascending, ``(4000, branches)``; negative for imaginary
            ones (unstable modes).
        space: the torus of period 1.
        group: leaves every branch fixed to 4e-14 THz; time reversal included.
    """

    points: Float[np.ndarray, "n 3"]
    frequencies: Float[np.ndarray, "n branches"]
    space: Torus
    group: AbstractGroup


def phonons(material: str) -> Phonons:
    """Phonon branches from density-functional force constants, at 4,000 uniform wave vectors.

    CaTiO3 (15 branches) has the 48 signed permutations; NaCl and MgO (6 branches) have order 96, these
    and the translation by (½, ½, ½), in the coordinates of the conventional cubic cell.

    Args:
        material: ``"CaTiO3"``, ``"MgO"`` or ``"NaCl"``.

    Raises:
        ValueError: another name.

    References:
        Force constants: the examples of phonopy 4.10.0 (BSD-3-Clause); see ``NOTICE.md`` beside the
        data.

    >>> import symjax_learn as sj
    >>> data = sj.datasets.phonons("NaCl")
    >>> data.frequencies.shape, data.group.order
    ((4000, 6), 96)
    """
    if material not in MATERIALS:
        close = difflib.get_close_matches(str(material), MATERIALS, 1, 0.3)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"material: expected one of {MATERIALS} and got {material!r}.{hint}")
    source = importlib.resources.files("symjax_learn.datasets") / "phonon_t3.npz"
    with source.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        points, frequencies = archive[f"{material}_c"], archive[f"{material}_thz"]
    cubic = hyperoctahedral_group(3)
    if material == "CaTiO3":
        return Phonons(points, frequencies, Torus(3, 1.0), cubic)
    matrices = np.asarray(cubic.matrix(cubic.generators)).round().astype(int)
    shifts = np.zeros((len(matrices), 3))
    group = affine_torus_group(
        np.concatenate([matrices, np.eye(3, dtype=int)[None]]),
        np.concatenate([shifts, np.full((1, 3), 0.5)]),
    )
    return Phonons(points, frequencies, Torus(3, 1.0), group)
