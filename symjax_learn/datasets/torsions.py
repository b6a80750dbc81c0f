"""Backbone torsion energies of a force field: functions on T², one with an exact mirror, one nearly."""

import difflib
import importlib.util
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.catalogue import trivial_group
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.permutations import signed_permutation_group
from symjax_learn.geometry.torus import Torus

# The first torsion of each in CHARMM36: the type of the central carbon.
_CARBONS = {"alanine": "CT1", "aminoisobutyric acid": "CT", "glycine": "CT2", "proline": "CP1"}
RESIDUES = tuple(_CARBONS)


class TorsionMap(NamedTuple):
    """A data set with its space and its exact symmetry.

    Attributes:
        points: (φ, ψ) in periods, all of a grid, ``(576, 2)`` in [0, 1), float64.
        energies: in kJ/mol, ``(576,)``.
        space: the torus of period 1.
        group: leaves the energies fixed, to the last digit.
    """

    points: Float[np.ndarray, "n 2"]
    energies: Float[np.ndarray, " n"]
    space: Torus
    group: AbstractGroup


def torsion_map(residue: str) -> TorsionMap:
    """The correction CMAP of the force field CHARMM36 to the energy of the angles (φ, ψ) of a residue.

    Residues whose central carbon has two equal groups have no handedness, and their energy should be
    that at (−φ, −ψ). It is so for aminoisobutyric acid, exactly. It is not for glycine: of two points
    that should agree the energies differ by up to 12 kJ/mol, although the part of the variance that
    breaks the symmetry is 0.2 % only. Alanine and proline are chiral. The group is what is exact: the
    inversion, or nothing.

    Args:
        residue: ``"alanine"``, ``"aminoisobutyric acid"``, ``"glycine"`` or ``"proline"``.

    Raises:
        ValueError: another name.
        ImportError: ``openmm``, the extra ``torsions``, is not installed.

    References:
        CHARMM36 (R. Best et al., J. Chem. Theory Comput. 2012), as distributed with OpenMM 8 (MIT).

    Example (not run, for it needs OpenMM)::

        sj.datasets.torsion_map("glycine").energies.shape  # (576,)
    """
    if residue not in RESIDUES:
        close = difflib.get_close_matches(str(residue), RESIDUES, 1, 0.3)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"residue: expected one of {RESIDUES} and got {residue!r}.{hint}")
    force = ElementTree.parse(_force_field()).getroot().find("CMAPTorsionForce")
    assert force is not None
    torsions = [torsion.attrib for torsion in force.iter("Torsion")]
    number = next(int(one["map"]) for one in torsions if one["type3"] == _CARBONS[residue])
    text = list(force.iter("Map"))[number].text
    assert text is not None
    energies = np.asarray(text.split(), np.float64)
    size = round(len(energies) ** 0.5)
    second, first = np.divmod(np.arange(len(energies)), size)  # φ runs fastest
    inversion = signed_permutation_group([[0, 1]], [[-1, -1]])
    group = inversion if residue == "aminoisobutyric acid" else trivial_group(2)
    return TorsionMap(np.stack([first, second], axis=1) / size, energies, Torus(2, 1.0), group)


def _force_field() -> Path:
    """The file of the force field; the package is found and not imported."""
    found = importlib.util.find_spec("openmm")
    if found is None or not found.submodule_search_locations:
        raise ImportError(
            "residue: the maps are those of OpenMM, which is not installed; pip install "
            "'symjax-learn[torsions]'."
        )
    return Path(found.submodule_search_locations[0]) / "app" / "data" / "charmm36.xml"
