"""Pairs of a space and a group that do not fit: what is refused, and in which words."""

import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import BIPYRAMID, CYCLE, HEXAGONAL

pytestmark = pytest.mark.usefixtures("without_signature_checks")

PATH = sj.DiscreteSpace(np.asarray([[1.0, -1, 0], [-1, 2, -1], [0, -1, 1]]))
LABELLED = sj.Product(sj.Labels(2), sj.Labels(2))

# name -> (space, group, exception, message)
REFUSED = {
    "shear of a torus": (
        sj.Torus(2),
        lambda: sj.affine_torus_group([[[0, -1], [1, 1]]], [[0, 0]]),
        ValueError,
        r"^group: .*isometr",
    ),
    "mirror of another lattice": (
        HEXAGONAL,
        lambda: sj.sign_group(2),
        ValueError,
        r"^group: .*isometr",
    ),
    "matrices on a torus": (
        sj.Torus(2),
        lambda: sj.coxeter_group("I2(5)"),
        TypeError,
        r"^group: MatrixGroup has no action of its own on Torus; use affine_torus_group, whose matrices",
    ),
    "degree on a sphere": (
        sj.Sphere(2),
        lambda: sj.symmetric_group(4),
        ValueError,
        r"^group: it moves 4 coordinates and points of the space have 3; make the group of degree 3",
    ),
    "degree on graphs": (
        sj.Graphs(4),
        lambda: sj.symmetric_group(5),
        ValueError,
        r"^group: its degree is 5 and Graphs needs 4; make the group of that degree",
    ),
    "degree on labels": (
        sj.Labels(4),
        lambda: sj.symmetric_group(3),
        ValueError,
        r"^group: its degree is 3 and Labels needs 4;",
    ),
    "degree on SO(3)": (
        sj.RotationGroup(),
        lambda: sj.special_orthogonal_group(4),
        ValueError,
        r"^group: its degree is 4 and RotationGroup needs 3 or 6;",
    ),
    "degree on frames": (
        sj.Stiefel(2, 4),
        lambda: sj.symmetric_group(3),
        ValueError,
        r"^group: its degree is 3 and Stiefel needs 2 or 4 or 6;",
    ),
    "degree on planes": (
        sj.Grassmannian(2, 5),
        lambda: sj.symmetric_group(2),
        ValueError,
        r"^group: it moves 2 coordinates and points of the space have 5; make the group of degree 5",
    ),
    "pentagon of a box": (
        sj.Box(2),
        lambda: sj.coxeter_group("I2(5)"),
        TypeError,
        r"^group: MatrixGroup has no action of its own on Box; there act PermutationGroup, "
        r"SignedPermutationGroup and their products; or give action\(space, group, act=\.\.\.\)",
    ),
    "rotations of a hypercube": (
        sj.Hypercube(3),
        lambda: sj.special_orthogonal_group(3),
        TypeError,
        r"^group: LieGroup has no action of its own on Hypercube; there act PermutationGroup, Signed",
    ),
    "shifts of a sphere": (
        sj.Sphere(1),
        lambda: sj.translation_group(2),
        TypeError,
        r"^group: TranslationGroup has no action of its own on Sphere; there act .*LieGroup and their",
    ),
    "signs of labels": (
        sj.Labels(2),
        lambda: sj.sign_group(2),
        TypeError,
        r"^group: SignedPermutationGroup has no action of its own on Labels; there act PermutationGroup",
    ),
    "a product with one factor that does not fit": (
        sj.Box(3),
        lambda: sj.direct_product(sj.coxeter_group("I2(5)"), sj.trivial_group(1)),
        TypeError,
        r"^group: ProductGroup has no action of its own on Box",
    ),
    "reflections of rotations": (
        sj.RotationGroup(),
        lambda: sj.point_group("Td"),
        ValueError,
        r"^group: generator \d of MatrixGroup has determinant -1 and leads out of SO\(3\); use its rot",
    ),
    "reflections on the right": (
        sj.RotationGroup(),
        lambda: sj.direct_product(sj.point_group("T"), sj.sign_group(3)),
        ValueError,
        r"^group: generator \d of SignedPermutationGroup has determinant -1 .*special_orthogonal_group",
    ),
    "a transposition of rotations": (
        sj.RotationGroup(),
        lambda: sj.symmetric_group(3),
        ValueError,
        r"^group: generator \d of PermutationGroup has determinant -1",
    ),
    "one group for both sides": (
        sj.RotationGroup(),
        lambda: sj.alternating_group(6),
        ValueError,
        r"^group: its factors have the degrees \[6\], and a pair \(L, R\) .* has 3 and 3; give direct_p",
    ),
    "sides in the wrong order": (
        sj.Stiefel(2, 4),
        lambda: sj.direct_product(sj.symmetric_group(4), sj.symmetric_group(2)),
        ValueError,
        r"^group: its factors have the degrees \[4, 2\], and a pair .* has 2 and 4; give direct_product",
    ),
    "no automorphism of a graph": (
        PATH,
        lambda: sj.permutation_group([[2, 1, 0], [1, 0, 2]]),
        ValueError,
        r"^group: generator 1 is no symmetry of the DiscreteSpace: it changes an entry of the Laplacian "
        r"by 0\.5 of its largest, and the weight of a vertex by 0 of itself; give automorphisms",
    ),
    "no automorphism of a cycle": (
        CYCLE,
        lambda: sj.symmetric_group(6),
        ValueError,
        r"^group: generator \d is no symmetry of the DiscreteSpace",
    ),
    "no automorphism of a mesh": (
        BIPYRAMID,
        lambda: sj.permutation_group([[4, 1, 5, 3, 0, 2]]),  # its axis is longer
        ValueError,
        r"^group: generator 0 is no symmetry of the Mesh: .* the weight of a vertex by 0 of itself",
    ),
    "a mesh on which coordinates turn": (
        BIPYRAMID,
        lambda: sj.point_group("D4h"),
        TypeError,
        r"^group: MatrixGroup has no action of its own on Mesh; there act PermutationGroup and ",
    ),
    "a product without enough factors": (
        sj.Product(sj.Sphere(2), sj.Torus(2)),
        lambda: sj.symmetric_group(3),
        ValueError,
        r"^group: its factors, of degrees \[3\], can be shared out in no way among the parts of "
        r"Product\(Sphere, Torus\); give direct_product\(\.\.\.\) with one group for each factor, "
        r"such as trivial_group\(n\)",
    ),
    "factors in the wrong order": (
        sj.Product(sj.Sphere(2), sj.Torus(2)),
        lambda: sj.direct_product(sj.symmetric_group(2), sj.symmetric_group(3)),
        ValueError,
        r"^group: its factors, of degrees \[2, 3\], can be shared out in no way",
    ),
    "a factor that moves one of two sets of labels": (
        LABELLED,
        lambda: sj.symmetric_group(2),
        ValueError,
        r"^group: its factors, of degrees \[2\], can be shared out in 2 ways among the parts of "
        r"Product\(Labels, Labels\)",
    ),
    "points of a set without an order": (
        sj.Sets(sj.Sphere(2), 4),
        lambda: sj.special_orthogonal_group(3),
        ValueError,
        r"^group: its factors, of degrees \[3\], can be shared out in no way among the parts of "
        r"Sets\(Sphere, 4\); give direct_product\(\.\.\.\) with a group of 4 points that permutes them, "
        r"and then one that moves every point, or none",
    ),
    "signs of the order of a set": (
        sj.Sets(sj.Sphere(2), 3),
        lambda: sj.sign_group(3),
        ValueError,
        r"^group: .* in no way among the parts of Sets\(Sphere, 3\)",
    ),
    "a set whose points do not move so": (
        sj.Sets(sj.Box(3), 2),
        lambda: sj.direct_product(sj.symmetric_group(2), sj.point_group("C3")),
        ValueError,
        r"^group: .* in no way among the parts of Sets\(Box, 2\)",
    ),
    "a shear in a product": (
        sj.Product(sj.Torus(2), sj.Sphere(2)),
        lambda: sj.direct_product(
            sj.affine_torus_group([[[0, -1], [1, 1]]], [[0, 0]]), sj.point_group("C3")
        ),
        ValueError,
        r"^group: .*isometr",
    ),
    "reflections of rotations in a set": (
        sj.Sets(sj.RotationGroup(), 2),
        lambda: sj.direct_product(sj.symmetric_group(2), sj.point_group("Td")),
        ValueError,
        r"^group: generator \d of MatrixGroup has determinant -1",
    ),
    "a wreath product of another number": (
        sj.Sets(sj.Torus(1), 3),
        lambda: sj.wreath_product(sj.sign_group(1), 2),
        ValueError,
        r"^group: .* in no way among the parts of Sets\(Torus, 3\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_pair_that_does_not_fit_is_refused(name):
    space, group, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        sj.action(space, group())


def test_a_space_of_ones_own_needs_an_act():
    from tests.registry import Interval

    with pytest.raises(
        TypeError, match=r"^group: SignedPermutationGroup has no action of its own on Int"
    ):
        sj.action(Interval(), sj.sign_group(1))
    with pytest.raises(TypeError, match=r"none does; give one as action\(space, group, act=\.\.\.\)"):
        sj.action(Interval(), sj.sign_group(1))


def test_what_could_be_ambiguous_and_is_not():
    """A group for each factor, also where it moves nothing; and fewer where labels stay."""
    swap = sj.symmetric_group(2)
    for group in (sj.direct_product(swap, swap), sj.direct_product(swap, sj.trivial_group(2))):
        assert sj.action(LABELLED, group).order == group.order
    alone = sj.Product(sj.Labels(2), sj.Labels(3))
    assert sj.invariant_count(alone, sj.symmetric_group(3), 5) == 2
    assert sj.invariant_count(alone, sj.symmetric_group(2), 5) == 3
