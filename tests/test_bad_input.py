"""Bad input: each raises an error that names the argument, what came, and what to do."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from tests.registry import reflections

pytestmark = pytest.mark.usefixtures("without_signature_checks")

SPACE = sj.Torus(2)
SWAP = sj.action(SPACE, sj.symmetric_group(2))
BASIS = sj.invariant_basis(SPACE, sj.symmetric_group(2), max_eigenvalue=5)
X = SPACE.sample(jax.random.key(0), (8,))
Y = jnp.cos(X).sum(axis=1)
MODEL = sj.fit_ridge(BASIS, X, Y, penalty=1e-2)
KEY = jax.random.key(1)
NAN_X = X.at[3, 1].set(jnp.nan)
INF_Y = Y.at[5].set(jnp.inf)
SPHERE_BASIS = sj.invariant_basis(sj.Sphere(2), sj.symmetric_group(3), max_eigenvalue=6)
HEXAGONAL = sj.affine_torus_group([[[0, -1], [1, 1]]], [[0, 0]])

# name -> (call, exception, what its message says)
CASES = {
    # groups
    "generators: not a permutation": (
        lambda: sj.permutation_group([[1, 2, 0], [0, 0, 1]]),
        ValueError,
        r"generators: generator 1 is \[0, 0, 1\], .*not a permutation of 0\.\.2; each place .* once",
    ),
    "generators: one-based": (
        lambda: sj.permutation_group([[2, 3, 1]]),
        ValueError,
        r"generators: generator 0 is \[2, 3, 1\], .*not a permutation of 0\.\.2",
    ),
    "generators: fractions": (
        lambda: sj.permutation_group([[0.0, 1.0]]),
        TypeError,
        r"generators: .*integers and got float64; .*0-based",
    ),
    "generators: one row instead of a list": (
        lambda: sj.permutation_group([1, 0]),
        ValueError,
        r"generators: expected .*\(number of generators, n\).* got shape \(2,\)",
    ),
    "generators: none": (
        lambda: sj.permutation_group([]),
        ValueError,
        r"generators: expected a non-empty .*trivial_group",
    ),
    "generators: of unequal lengths": (
        lambda: sj.permutation_group([[1, 0], [0, 1, 2]]),
        ValueError,
        r"generators: .*unequal lengths; give rows of one length",
    ),
    "signs: not ±1": (
        lambda: sj.signed_permutation_group([[0, 1]], [[1, 2]]),
        ValueError,
        r"signs: generator 0 is \[1, 2\]; use only \+1 and -1",
    ),
    "signs: of another shape": (
        lambda: sj.signed_permutation_group([[0, 1]], [[1]]),
        ValueError,
        r"signs: expected the shape of permutations, \(1, 2\), and got \(1, 1\)",
    ),
    "permutations: not one": (
        lambda: sj.signed_permutation_group([[1, 1]], [[1, 1]]),
        ValueError,
        r"permutations: generator 0 is \[1, 1\]",
    ),
    "matrices: fractions": (
        lambda: sj.affine_torus_group([[[1.0]]], [[0]]),
        TypeError,
        r"matrices: .*integer matrices .*float64",
    ),
    "matrices: singular": (
        lambda: sj.affine_torus_group([[[2]]], [[0]]),
        ValueError,
        r"matrices: generator 0 has determinant 2; .*\+1 or -1",
    ),
    "matrices: a shear": (
        lambda: sj.affine_torus_group([[[1, 1], [0, 1]]], [[0, 0]]),
        ValueError,
        r"matrices: generator 0 generates an infinite group.*finite groups",
    ),
    "matrices: shape": (
        lambda: sj.affine_torus_group([[1, 0], [0, 1]], [[0, 0]]),
        ValueError,
        r"matrices: expected .*\(number of generators, d, d\).*\(2, 2\)",
    ),
    "shifts: irrational": (
        lambda: sj.affine_torus_group([[[1]]], [[math.sqrt(0.5)]]),
        ValueError,
        r"shifts: generator 0 has the entry 0\.707.*denominator <= 24; pass fractions\.Fraction",
    ),
    "shifts: NaN": (
        lambda: sj.affine_torus_group([[[1]]], [[math.nan]]),
        ValueError,
        r"shifts: generator 0 has the entry nan",
    ),
    "shifts: shape": (
        lambda: sj.affine_torus_group([[[1]]], [[0, 0]]),
        ValueError,
        r"shifts: expected shape \(1, 1\).*\(1, 2\)",
    ),
    "generators: not orthogonal": (
        lambda: sj.matrix_group([[[1, 0], [0, 1]], [[1, 0.25], [0, 1]]]),
        ValueError,
        r"generators: generator 1 is not orthogonal, \|AᵀA - 1\| reaches 2\.5e-01 > 1e-10",
    ),
    "generators: float32": (
        lambda: sj.matrix_group(np.asarray([[[0.6, -0.8], [0.8, 0.6]]], np.float32)),
        ValueError,
        r"generators: generator 0 is not orthogonal, .* of float32; give float64",
    ),
    "generators: infinite order": (
        lambda: sj.matrix_group([[[0, 1], [1, 0]], [[0.6, -0.8], [0.8, 0.6]]]),
        ValueError,
        r"generators: generator 1 has infinite order .* rotates by 0\.14758\d+ of a full turn, and the "
        r"nearest fraction \d+/\d+ is off by \d\.\de-\d+\. matrix_group makes finite groups",
    ),
    "generators: of infinite order together": (
        lambda: sj.matrix_group([[[1, 0], [0, -1]], [[0.6, 0.8], [0.8, -0.6]]]),
        ValueError,
        r"generators: the product of generators 0 and 1 has infinite order .* finite groups",
    ),
    "generators: infinite, all pairs of finite order": (
        # Mirrors that meet at π/2, π/3 and 2π/7.
        lambda: sj.matrix_group(
            reflections(
                *np.linalg.cholesky(
                    np.eye(3)
                    - np.asarray(
                        [
                            [0, 0, 0.5],
                            [0, 0, math.cos(2 * math.pi / 7)],
                            [0.5, math.cos(2 * math.pi / 7), 0],
                        ]
                    )
                )
            )
        ),
        ValueError,
        r"generators: together they generate an infinite group, .* pass 50,000 points",
    ),
    "generators: not square": (
        lambda: sj.matrix_group([[[1, 0]]]),
        ValueError,
        r"generators: expected .*\(number of generators, d, d\).*\(1, 1, 2\)",
    ),
    "generators: complex": (
        lambda: sj.matrix_group([[[1j]]]),
        TypeError,
        r"generators: expected real matrices .*complex128",
    ),
    "generators: NaN": (
        lambda: sj.matrix_group([[[math.nan]]]),
        ValueError,
        r"generators: generator 0 is not orthogonal, .*nan",
    ),
    "group: matrices of another size than the points": (
        lambda: sj.action(sj.Sphere(2), sj.matrix_group([[[0, 1], [1, 0]]])),
        ValueError,
        r"group: it moves 2 coordinates and points of the space have 3; make",
    ),
    "group: matrices on a torus": (
        lambda: sj.action(SPACE, sj.matrix_group([[[0, 1], [1, 0]]])),
        TypeError,
        r"group: MatrixGroup has no action of its own on Torus; use affine_torus_group",
    ),
    "g: a matrix outside the group": (
        lambda: sj.matrix_group([[[0, 1], [1, 0]]]).faithful(np.eye(2)[None] * [[-1], [1]]),
        ValueError,
        r"g: matrix 0 is no element of the group: it moves .* by 1\.4e\+00",
    ),
    "x: off the sphere": (
        lambda: sj.fit_ridge(SPHERE_BASIS, jnp.eye(3).at[1].mul(1.5), jnp.zeros(3)),
        ValueError,
        r"x: row 1 has norm 1\.5.*divide each point by its norm",
    ),
    "x: off the sphere, in averages": (
        lambda: sj.fit_spec_avg(SPHERE_BASIS, jnp.zeros((2, 3)), jnp.zeros(2)),
        ValueError,
        r"x: row 0 has norm 0.*divide each point by its norm",
    ),
    "n: zero": (lambda: sj.symmetric_group(0), ValueError, r"n: expected at least 1 and got 0"),
    "n: a fraction": (lambda: sj.cyclic_group(2.5), TypeError, r"n: expected an integer and got 2\.5"),
    "parts: none": (lambda: sj.young_group(), ValueError, r"parts: .*at least one"),
    "parts: zero": (lambda: sj.young_group(2, 0), ValueError, r"parts: expected at least 1 and got 0"),
    "elements: too many": (
        lambda: sj.symmetric_group(20).elements(),
        ValueError,
        r"elements: .*order about 10\^18.*max_order = 1,000,000.*sample",
    ),
    # spaces, spectra and actions
    "dimension: zero": (lambda: sj.Torus(0), ValueError, r"dimension: expected at least 1 and got 0"),
    "dimension: a fraction": (lambda: sj.Torus(2.5), TypeError, r"dimension: .*integer and got 2\.5"),
    "dimension: a boolean": (lambda: sj.Torus(True), TypeError, r"dimension: .*integer and got True"),
    "period: a word": (lambda: sj.Torus(2, "a"), ValueError, r"period: .*positive.* got 'a'"),
    "period: negative": (lambda: sj.Torus(1, -1.0), ValueError, r"period: .*positive.* got -1\.0"),
    "period: NaN": (lambda: sj.Torus(1, math.nan), ValueError, r"period: .*positive.* got nan"),
    "smoothness: zero": (lambda: sj.sobolev(0.0), ValueError, r"smoothness: .*positive.* got 0\.0"),
    "length_scale: negative": (
        lambda: sj.matern(1.0, -1.0, 2),
        ValueError,
        r"length_scale: .*positive.* got -1\.0",
    ),
    "time: NaN": (lambda: sj.heat(math.nan), ValueError, r"time: .*positive.* got nan"),
    "group: of another degree": (
        lambda: sj.action(SPACE, sj.symmetric_group(3)),
        ValueError,
        r"group: it moves 3 coordinates and points of the space have 2; .*degree 2",
    ),
    "group: of another degree, at the basis": (
        lambda: sj.invariant_basis(SPACE, sj.sign_group(3), max_eigenvalue=1),
        ValueError,
        r"group: it moves 3 coordinates and points of the space have 2",
    ),
    "group: no isometries of this torus": (
        lambda: sj.invariant_basis(SPACE, HEXAGONAL, max_eigenvalue=1),
        ValueError,
        r"group: generator 0 has the linear part \[\[0, -1\], \[1, 1\]\], .*no isometry.*hexagonal",
    ),
    "space: none": (lambda: sj.action(None, sj.sign_group(2)), TypeError, r"space: expected a space"),
    "act: no function": (
        lambda: sj.action(SPACE, sj.sign_group(2), act=3),
        TypeError,
        r"act: expected a function act\(g, point\) and got 3",
    ),
    "act: points of another shape": (
        lambda: SWAP.act(jnp.asarray([1, 0]), jnp.ones((5, 1))),
        ValueError,
        r"points: expected shape \(\*batch, 2\)",
    ),
    "act: integer points": (
        lambda: SWAP.act(jnp.asarray([1, 0]), jnp.ones((5, 2), int)),
        TypeError,
        r"points: .*floating-point",
    ),
    "act: another group's element": (
        lambda: SWAP.act(jnp.asarray([1, 0, 2]), X),
        ValueError,
        r"g: expected arrays of shape \(\*batch, 2\) and got \(3,\)",
    ),
    "act: a list": (lambda: SWAP.act([1, 0], X), TypeError, r"g: elements of PermutationGroup .*sample"),
    "smoothness: negative, of NumPy": (
        lambda: sj.sobolev(np.float32(-1)),
        ValueError,
        r"smoothness: expected a positive finite number and got np\.float32\(-1\.0\)",
    ),
    # bases
    "space: no space": (
        lambda: sj.eigenbasis("torus", max_eigenvalue=1),
        TypeError,
        r"space: expected a space, such as Torus\(3\), and got 'torus'",
    ),
    "max_eigenvalue: a word": (
        lambda: sj.eigenbasis(SPACE, max_eigenvalue="4"),
        ValueError,
        r"max_eigenvalue: expected a finite number >= 0 and got '4'",
    ),
    "max_functions: a fraction": (
        lambda: sj.eigenbasis(SPACE, max_functions=2.5),
        TypeError,
        r"max_functions: expected an integer and got 2\.5",
    ),
    "max_functions: without end": (
        lambda: sj.eigenbasis(SPACE, max_functions=10**12),
        ValueError,
        r"max_eigenvalue or max_functions: .*levels of the torus; lower it",
    ),
    "truncation: neither": (
        lambda: sj.invariant_basis(SPACE, sj.symmetric_group(2)),
        ValueError,
        r"max_eigenvalue, max_functions: give exactly one.* neither came",
    ),
    "truncation: both": (
        lambda: sj.eigenbasis(SPACE, max_eigenvalue=1, max_functions=1),
        ValueError,
        r"max_eigenvalue, max_functions: give exactly one.* both came",
    ),
    "max_eigenvalue: negative": (
        lambda: sj.eigenbasis(SPACE, max_eigenvalue=-1),
        ValueError,
        r"max_eigenvalue: expected a finite number >= 0 and got -1",
    ),
    "max_eigenvalue: infinite": (
        lambda: sj.invariant_count(SPACE, sj.symmetric_group(2), math.inf),
        ValueError,
        r"max_eigenvalue: expected a finite number >= 0 and got inf",
    ),
    "max_functions: zero": (
        lambda: sj.eigenbasis(SPACE, max_functions=0),
        ValueError,
        r"max_functions: expected at least 1 and got 0",
    ),
    "max_eigenvalue: more memory than the limit": (
        lambda: sj.invariant_basis(
            sj.Torus(100), sj.symmetric_group(100), max_eigenvalue=6, route="orbits"
        ),
        ValueError,
        r"max_eigenvalue or max_functions: .*78,768,528,041 .*TiB, more than the memory limit of 4 GiB",
    ),
    "max_eigenvalue: a full basis beyond the limit": (
        lambda: sj.eigenbasis(sj.Torus(100), max_eigenvalue=6),
        ValueError,
        r"max_eigenvalue or max_functions: a table of 78,768,528,041 .*needs about .*Lower it",
    ),
    "max_functions: more memory than the limit": (
        lambda: sj.eigenbasis(sj.Torus(3), max_functions=10**6, memory_limit=2**20),
        ValueError,
        r"needs about .*MiB, more than the memory limit of 1 MiB",
    ),
    "route: unknown": (
        lambda: sj.invariant_basis(SPACE, SWAP, max_eigenvalue=1, route="magic"),
        ValueError,
        r"route: expected 'auto' or one of .*'orbits'.* got 'magic'",
    ),
    "route: averaging over too many": (
        lambda: sj.invariant_basis(
            sj.Torus(11), sj.symmetric_group(11), max_eigenvalue=1, route="averaging"
        ),
        ValueError,
        r"elements: .*order 39,916,800",
    ),
    "points: shape": (
        lambda: BASIS(jnp.ones((4, 3))),
        ValueError,
        r"points: expected shape \(\*batch, 2\).*Torus.* got \(4, 3\)",
    ),
    "points: integers": (
        lambda: BASIS(jnp.ones((4, 2), int)),
        TypeError,
        r"points: .*floating-point.* got int\d\d; convert",
    ),
    "points: shape, of a model": (
        lambda: MODEL(jnp.ones(3)),
        ValueError,
        r"points: expected shape \(\*batch, 2\).*\(3,\)",
    ),
    "points: NaN, checked on request": (
        lambda: SPACE.check(NAN_X),
        ValueError,
        r"points: row 3 is not finite \(nan\)",
    ),
    # diagnostics
    "x: no points": (
        lambda: sj.invariance_discrepancy(KEY, MODEL, SWAP, X[:0]),
        ValueError,
        r"x: there are no points",
    ),
    "num_samples: zero": (
        lambda: sj.invariance_discrepancy(KEY, MODEL, SWAP, X, num_samples=0),
        ValueError,
        r"num_samples: expected at least 1 and got 0",
    ),
    "action: a group": (
        lambda: sj.invariance_discrepancy(KEY, MODEL, sj.symmetric_group(2), X),
        TypeError,
        r"action: expected the answer of action\(space, group\) and got a PermutationGroup",
    ),
    "function: of one point": (
        lambda: sj.invariance_discrepancy(KEY, lambda x: x.sum(), SWAP, X),
        ValueError,
        r"function: expected numbers of shape \(8, \*outputs\).* got shape \(\).*jax\.vmap",
    ),
    "function: NaN": (
        lambda: sj.invariance_discrepancy(KEY, lambda x: jnp.log(x[:, 0] - 7), SWAP, X),
        ValueError,
        r"function: it is not finite",
    ),
    # augmentation
    "num_copies: zero": (
        lambda: sj.augment(KEY, SWAP, X, Y, 0),
        ValueError,
        r"num_copies: expected at least 1 and got 0",
    ),
    "num_copies: a word": (
        lambda: sj.augment(KEY, SWAP, X, Y, "some"),
        ValueError,
        r"num_copies: expected 'all' or an integer >= 1 and got 'some'",
    ),
    "num_copies: more memory than the limit": (
        lambda: sj.augment(KEY, SWAP, X, Y, 10**9),
        ValueError,
        r"num_copies: 1,000,000,000 copies of 8 samples needs about .*invariant basis",
    ),
    "augment: a group": (
        lambda: sj.augment(KEY, sj.symmetric_group(2), X, Y, 2),
        TypeError,
        r"action: expected the answer of action",
    ),
    # kernel ridge
    "kernel: no truncation": (
        lambda: sj.fit_kernel_ridge(SPACE, X, Y),
        ValueError,
        r"max_eigenvalue: the kernel .*give the largest eigenvalue",
    ),
    "kernel: more memory than the limit": (
        lambda: sj.fit_kernel_ridge(
            SPACE, jnp.zeros((20_000, 2)), jnp.zeros(20_000), max_eigenvalue=2, penalty=1.0
        ),
        ValueError,
        r"x: the 20,000 × 20,000 Gram matrix.*memory limit of 4 GiB.*fit_ridge",
    ),
    "kernel: an action on another space": (
        lambda: sj.fit_kernel_ridge(
            SPACE, X, Y, max_eigenvalue=2, action=sj.action(sj.Torus(2, 1.0), sj.sign_group(2))
        ),
        ValueError,
        r"group: this action is on .*same space",
    ),
}

# The data checks that every fitting door makes: (x, y, options) -> error.
FITS = {
    "x: shape": (X[:, :1], Y, {}, ValueError, r"x: expected shape \(\*batch, 2\).* got \(8, 1\)"),
    "x: one point": (X[0], Y[:1], {}, ValueError, r"x: expected one axis of samples .*\(2,\)"),
    "x: integers": (jnp.ones((8, 2), int), Y, {}, TypeError, r"x: .*floating-point.* got int\d\d"),
    "x: NaN": (
        NAN_X,
        Y,
        {},
        ValueError,
        r"x: row 3 is not finite \(nan\), as 1 row\(s\)",
    ),
    "x: no samples": (X[:0], Y[:0], {}, ValueError, r"x: there are no samples \(n = 0\)"),
    "y: infinite": (X, INF_Y, {}, ValueError, r"y: row 5 is not finite \(inf\)"),
    "y: length": (X, Y[:7], {}, ValueError, r"y: expected one target for each of the 8 .*\(7,\)"),
    "y: a number": (X, jnp.ones(()), {}, ValueError, r"y: expected one target for each .*\(\)"),
    "y: no outputs": (X, jnp.ones((8, 0)), {}, ValueError, r"y: expected at least one output"),
    "x: half precision": (X.astype(jnp.float16), Y, {}, TypeError, r"x: .*32 or 64 bits .*float16"),
    "y: complex": (X, Y.astype(complex), {}, TypeError, r"y: targets are real numbers and got complex"),
    "y: words": (X, ["b"] * 8, {}, TypeError, r"y: targets are real numbers and got <U1"),
    "penalty: a word": (X, Y, {"penalty": "aic"}, ValueError, r"penalty: expected 'loo' .*'aic'"),
    "penalty: negative": (X, Y, {"penalty": -1.0}, ValueError, r"penalty: .*>= 0 and got -1\.0"),
    "penalty: NaN": (X, Y, {"penalty": math.nan}, ValueError, r"penalty: .*>= 0 and got nan"),
    "penalty: many": (X, Y, {"penalty": np.ones(3)}, ValueError, r"penalty: .*one finite number"),
    "penalty: loo of one sample": (X[:1], Y[:1], {}, ValueError, r"penalty: 'loo' .*at least 2"),
    "spectrum: a number": (X, Y, {"spectrum": 2.0}, TypeError, r"spectrum: .*function.* got 2\.0"),
    "spectrum: negative": (
        X,
        Y,
        {"spectrum": lambda e: e - 1},
        ValueError,
        r"spectrum: at eigenvalue 0\.0 it is -1\.0; weights are finite and >= 0",
    ),
    "spectrum: a sum": (X, Y, {"spectrum": jnp.sum}, ValueError, r"spectrum: .*entry by entry"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_message_names_the_argument_what_came_and_what_to_do(name):
    call, error, message = CASES[name]
    with pytest.raises(error, match=message):
        call()


DOORS = {
    "ridge": lambda x, y, **options: sj.fit_ridge(BASIS, x, y, **options),
    "kernel ridge": lambda x, y, **options: sj.fit_kernel_ridge(
        SPACE, x, y, max_eigenvalue=5, **options
    ),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", FITS)
def test_every_fitting_door_checks_its_data(door, name):
    x, y, options, error, message = FITS[name]
    with pytest.raises(error, match=message):
        DOORS[door](x, y, **options)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (jnp.ones(7), r"weights: expected 8 real numbers.*\(7,\)"),
        (["a"] * 8, r"weights: expected 8 real numbers.*<U1"),
        (jnp.ones(8).at[2].set(-1.0), r"weights: .*>= 0, not all zero; row 2 is -1\.0"),
        (jnp.zeros(8), r"weights: .*all are zero"),
    ],
)
def test_weights_are_checked(weights, message):
    with pytest.raises(ValueError, match=message):
        sj.fit_ridge(BASIS, X, Y, weights=weights)


def test_a_fit_names_what_is_no_basis_and_what_is_too_large():
    with pytest.raises(TypeError, match=r"basis: expected the answer of invariant_basis .*Torus"):
        sj.fit_ridge(SPACE, X, Y)
    with pytest.raises(ValueError, match=r"basis: the decomposition of 12 functions needs about .*KiB"):
        sj.fit_ridge(BASIS, X, Y, memory_limit=1000)


def test_augment_checks_structure_as_the_fits_do():
    with pytest.raises(ValueError, match=r"y: expected one target"):
        sj.augment(KEY, SWAP, X, Y[:3], 2)
    with pytest.raises(TypeError, match=r"x: .*floating-point"):
        sj.augment(KEY, SWAP, jnp.ones((8, 2), int), Y, 2)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("penalty", [-1.0, math.inf])
def test_a_traced_penalty_that_is_none_is_told_by_the_status(door, penalty):
    status = jax.jit(lambda eta: DOORS[door](X, Y, penalty=eta).report.status)(penalty)
    assert int(status) == 4


def test_a_penalty_beyond_float32_is_not_rounded_before_the_solver_sees_it():
    tiny = sj.fit_ridge(BASIS, X, Y, penalty=1e-39, throw=False)
    assert int(tiny.report.status) != 2  # rank deficient would mean: taken for zero
    huge = sj.fit_ridge(BASIS, X, Y, penalty=1e39)
    np.testing.assert_allclose(huge(X), jnp.mean(Y), rtol=1e-5)


def test_a_basis_is_not_built_from_traced_groups():
    with pytest.raises(TypeError, match=r"group: it is being traced.*build it outside jit"):
        jax.jit(lambda group: sj.invariant_basis(SPACE, group, max_eigenvalue=1).eigenvalues)(
            sj.symmetric_group(2)
        )
