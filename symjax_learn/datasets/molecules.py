"""Energies and their gradients of molecules: exact under rotations and permutations of equal atoms."""

import difflib
import importlib.resources
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.catalogue import symmetric_group
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import orthogonal_group
from symjax_learn.algebra.products import direct_product

MOLECULES = ("methane",)


class Molecule(NamedTuple):
    """Configurations of one molecule, with the symmetry of its energy.

    Attributes:
        symbols: of the atoms.
        positions: in Å, ``(n, atoms, 3)``, float64.
        energies: in Hartree, ``(n,)``.
        gradients: ∂E/∂position in Hartree/Å, minus the forces, ``(n, atoms, 3)``; of each configuration
            they add up to 0, to 1e-3 of the largest of all.
        group: permutes equal atoms, and turns and reflects the vectors from the central atom to them:
            for ``Sets(space, 4)`` of the four vectors of methane from the carbon to the hydrogens.
    """

    symbols: tuple[str, ...]
    positions: Float[np.ndarray, "n atoms 3"]
    energies: Float[np.ndarray, " n"]
    gradients: Float[np.ndarray, "n atoms 3"]
    group: AbstractGroup


# One bohr.
_ANGSTROM = 0.529177210903


def molecule(name: str) -> Molecule:
    """Density-functional energies and gradients of 9,000 distorted configurations of a molecule.

    Methane, CH4, B3LYP/6-31+G*: the hydrogens come first. The group is S_4 × O(3).

    Args:
        name: ``"methane"``.

    Raises:
        ValueError: another name.

    References:
        The data are those of molpipx 0.1.1 (Apache-2.0 or MIT); see ``NOTICE.md`` beside them.

    >>> import symjax_learn as sj
    >>> data = sj.datasets.molecule("methane")
    >>> data.positions.shape, data.symbols
    ((9000, 5, 3), ('H', 'H', 'H', 'H', 'C'))
    """
    if name not in MOLECULES:
        close = difflib.get_close_matches(str(name), MOLECULES, 1, 0.3)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"name: expected one of {MOLECULES} and got {name!r}.{hint}")
    source = importlib.resources.files("symjax_learn.datasets") / f"{name}.npz"
    with source.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return Molecule(
            tuple(archive["symbols"].tolist()),
            archive["xyz"].astype(np.float64),
            archive["energy"],
            archive["grad"].astype(np.float64) / _ANGSTROM,
            direct_product(symmetric_group(4), orthogonal_group(3)),
        )
