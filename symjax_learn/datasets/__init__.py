"""Real data with its space and its exact symmetry."""

from symjax_learn.datasets.molecules import Molecule as Molecule
from symjax_learn.datasets.molecules import molecule as molecule
from symjax_learn.datasets.phonons import Phonons as Phonons
from symjax_learn.datasets.phonons import phonons as phonons
from symjax_learn.datasets.torsions import TorsionMap as TorsionMap
from symjax_learn.datasets.torsions import torsion_map as torsion_map
