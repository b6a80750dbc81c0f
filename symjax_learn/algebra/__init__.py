"""Step 1, algebra: who acts. This wing knows no manifold."""

from symjax_learn.algebra.affine import AffineMap as AffineMap
from symjax_learn.algebra.affine import AffineTorusGroup as AffineTorusGroup
from symjax_learn.algebra.affine import affine_torus_group as affine_torus_group
from symjax_learn.algebra.catalogue import alternating_group as alternating_group
from symjax_learn.algebra.catalogue import cyclic_group as cyclic_group
from symjax_learn.algebra.catalogue import dihedral_group as dihedral_group
from symjax_learn.algebra.catalogue import hyperoctahedral_group as hyperoctahedral_group
from symjax_learn.algebra.catalogue import sign_group as sign_group
from symjax_learn.algebra.catalogue import symmetric_group as symmetric_group
from symjax_learn.algebra.catalogue import trivial_group as trivial_group
from symjax_learn.algebra.catalogue import young_group as young_group
from symjax_learn.algebra.groups import AbstractGroup as AbstractGroup
from symjax_learn.algebra.matrices import MatrixGroup as MatrixGroup
from symjax_learn.algebra.matrices import matrix_group as matrix_group
from symjax_learn.algebra.permutations import PermutationGroup as PermutationGroup
from symjax_learn.algebra.permutations import SignedPermutation as SignedPermutation
from symjax_learn.algebra.permutations import SignedPermutationGroup as SignedPermutationGroup
from symjax_learn.algebra.permutations import permutation_group as permutation_group
from symjax_learn.algebra.permutations import signed_permutation_group as signed_permutation_group
