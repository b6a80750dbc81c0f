"""symjax_learn: from data with a known symmetry to a model that has it exactly.

Three steps: algebra (who acts), geometry (where the functions live, and which of them the group
leaves fixed), optimization (the best of those). This page lists the public names.
"""

from symjax_learn import datasets as datasets
from symjax_learn.algebra import AbstractFiniteGroup as AbstractFiniteGroup
from symjax_learn.algebra import AbstractGroup as AbstractGroup
from symjax_learn.algebra import affine_torus_group as affine_torus_group
from symjax_learn.algebra import alternating_group as alternating_group
from symjax_learn.algebra import coxeter_group as coxeter_group
from symjax_learn.algebra import cyclic_group as cyclic_group
from symjax_learn.algebra import dihedral_group as dihedral_group
from symjax_learn.algebra import direct_product as direct_product
from symjax_learn.algebra import hyperoctahedral_group as hyperoctahedral_group
from symjax_learn.algebra import image_group as image_group
from symjax_learn.algebra import lie_group as lie_group
from symjax_learn.algebra import matrix_group as matrix_group
from symjax_learn.algebra import orthogonal_group as orthogonal_group
from symjax_learn.algebra import permutation_group as permutation_group
from symjax_learn.algebra import point_group as point_group
from symjax_learn.algebra import sign_group as sign_group
from symjax_learn.algebra import signed_permutation_group as signed_permutation_group
from symjax_learn.algebra import space_group as space_group
from symjax_learn.algebra import special_orthogonal_group as special_orthogonal_group
from symjax_learn.algebra import special_unitary_group as special_unitary_group
from symjax_learn.algebra import symmetric_group as symmetric_group
from symjax_learn.algebra import translation_group as translation_group
from symjax_learn.algebra import trivial_group as trivial_group
from symjax_learn.algebra import wreath_product as wreath_product
from symjax_learn.algebra import young_group as young_group
from symjax_learn.diagnostics import invariance_discrepancy as invariance_discrepancy
from symjax_learn.geometry import AbstractFunctions as AbstractFunctions
from symjax_learn.geometry import AbstractSpace as AbstractSpace
from symjax_learn.geometry import Ball as Ball
from symjax_learn.geometry import Box as Box
from symjax_learn.geometry import DiscreteSpace as DiscreteSpace
from symjax_learn.geometry import Gaussian as Gaussian
from symjax_learn.geometry import Graphs as Graphs
from symjax_learn.geometry import Grassmannian as Grassmannian
from symjax_learn.geometry import Hypercube as Hypercube
from symjax_learn.geometry import Labels as Labels
from symjax_learn.geometry import Level as Level
from symjax_learn.geometry import Product as Product
from symjax_learn.geometry import RotationGroup as RotationGroup
from symjax_learn.geometry import Sphere as Sphere
from symjax_learn.geometry import Stiefel as Stiefel
from symjax_learn.geometry import Torus as Torus
from symjax_learn.geometry import heat as heat
from symjax_learn.geometry import matern as matern
from symjax_learn.geometry import sobolev as sobolev
from symjax_learn.invariants import Action as Action
from symjax_learn.invariants import Certificate as Certificate
from symjax_learn.invariants import InvariantBasis as InvariantBasis
from symjax_learn.invariants import action as action
from symjax_learn.invariants import eigenbasis as eigenbasis
from symjax_learn.invariants import invariant_basis as invariant_basis
from symjax_learn.invariants import invariant_count as invariant_count
from symjax_learn.learning import Report as Report
from symjax_learn.learning import SpectralModel as SpectralModel
from symjax_learn.learning import augment as augment
from symjax_learn.learning import fit_kernel_ridge as fit_kernel_ridge
from symjax_learn.learning import fit_ridge as fit_ridge
from symjax_learn.learning import fit_spec_avg as fit_spec_avg
from symjax_learn.learning import load as load
from symjax_learn.learning import save as save
