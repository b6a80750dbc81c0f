"""Real data with its space and its exact symmetry."""

from symjax_learn.datasets.phonons import Phonons as Phonons
from symjax_learn.datasets.phonons import phonons as phonons
