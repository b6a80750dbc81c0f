"""The 230 space groups against the International Tables: classes, lattices, settings, absences."""

import functools
import sys
from fractions import Fraction

import numpy as np
import pytest
import spglib

import symjax_learn as sj
from symjax_learn._chunks import MEMORY_LIMIT
from symjax_learn.algebra import AffineMap
from symjax_learn.invariants.count import level_counts, orbit_counts
from symjax_learn.invariants.routes.orbits import torus_orbits

# Every call of spglib announces how it will report errors; the library's own calls are silent.
from_tables = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")

NUMBERS = range(1, 231)
RHOMBOHEDRAL = {146, 148, 155, 160, 161, 166, 167}
HEXAGONAL = sorted(set(range(143, 195)) - RHOMBOHEDRAL)
# Last number of each geometric crystal class, and the order of its point group.
CLASSES = {
    1: 1, 2: 2, 5: 2, 9: 2, 15: 4, 24: 4, 46: 4, 74: 8, 80: 4, 82: 4, 88: 8, 98: 8, 110: 8, 122: 8,
    142: 16, 146: 3, 148: 6, 155: 6, 161: 6, 167: 12, 173: 6, 174: 6, 176: 12, 182: 12, 186: 12, 190: 12,
    194: 24, 199: 12, 206: 24, 214: 24, 220: 24, 230: 48,
}  # fmt: skip
CENTRINGS = {"P": 1, "A": 2, "C": 2, "I": 2, "F": 4, "R": 1}  # R: on primitive axes
TWO_ORIGINS = [
    48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224,
    227, 228,
]  # fmt: skip


@functools.cache
def group_of(number):
    return sj.space_group(number)


@functools.cache
def settings():
    """The types of the settings that the library promises, by number: one of each."""
    types = [spglib.get_spacegroup_type(hall_number) for hall_number in range(1, 531)]
    origins_two = {t.number for t in types if t.choice == "2"}
    rhombohedral = {t.number for t in types if t.choice == "R"}
    assert rhombohedral == RHOMBOHEDRAL
    assert sorted(origins_two) == TWO_ORIGINS
    chosen = [t for t in types if t.choice in ("", "b", "b1", "2", "R")]
    assert [t.number for t in chosen] == list(NUMBERS)
    return dict(zip(NUMBERS, chosen, strict=True))


def operations(number):
    """All operations of the tables: matrices, and shifts as floats."""
    found = spglib.get_symmetry_from_database(settings()[number].hall_number)
    return found["rotations"].astype(int), found["translations"]


def elements_of(group):
    """All elements of the group: matrices, and shifts as floats."""
    elements = group.elements()
    return np.asarray(elements.matrix), np.asarray(elements.shift) / group.denominator


def names(matrices, shifts):
    return {
        (*a.ravel().tolist(), *b.tolist())
        for a, b in zip(matrices, np.rint(24 * shifts).astype(int) % 24, strict=True)
    }


@from_tables
@pytest.mark.parametrize("number", NUMBERS)
def test_the_group_is_that_of_the_tables(number):
    """Its elements are the operations, one by one, and its order that of class and centring."""
    group = group_of(number)
    matrices, shifts = operations(number)
    assert names(*elements_of(group)) == names(matrices, shifts)
    numerators = np.rint(shifts * group.denominator).astype(np.int32) % group.denominator
    assert group.contains(AffineMap(matrices.astype(np.int32), numerators)).all()
    assert 2**group.num_generators <= max(2, group.order)
    point_order = CLASSES[min(last for last in CLASSES if last >= number)]
    assert len({a.tobytes() for a in matrices}) == point_order
    assert group.order == point_order * CENTRINGS[settings()[number].international_short[0]]


@from_tables
@pytest.mark.parametrize("number", NUMBERS)
def test_a_search_for_symmetry_finds_the_number_from_the_elements(number):
    lattice = np.eye(3)
    if number in HEXAGONAL:
        lattice = np.asarray([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1]])
    matrices, shifts = elements_of(group_of(number))
    found = spglib.get_spacegroup_type_from_symmetry(matrices, shifts, lattice)
    assert found.number == number


@pytest.mark.parametrize("number", NUMBERS)
def test_isometries_of_the_cubic_torus_are_all_but_45(number):
    group, metric = group_of(number), np.eye(3, dtype=int)
    if number in HEXAGONAL:
        with pytest.raises(ValueError, match=r"group: generator \d .* hexagonal"):
            sj.action(sj.Torus(3), group)
        metric = np.asarray([[2, -1, 0], [-1, 2, 0], [0, 0, 3]])
    else:
        assert sj.action(sj.Torus(3), group).order == group.order
    matrices = np.asarray(group.generators.matrix)
    assert (matrices.mT @ metric @ matrices == metric).all()


def test_the_hexagonal_ones_are_45():
    assert len(HEXAGONAL) == 45


def test_settings():
    """Origin choice 2 puts an inversion centre at the origin; the monoclinic axis is b."""
    for number in TWO_ORIGINS:
        inversion = AffineMap(-np.eye(3, dtype=np.int32)[None], np.zeros((1, 3), np.int32))
        assert group_of(number).contains(inversion).all()
    for number in range(3, 16):
        turns = {tuple(np.diagonal(a)) for a in elements_of(group_of(number))[0]}
        assert turns <= {(1, 1, 1), (-1, -1, -1), (-1, 1, -1), (1, -1, 1)}


def even(*indices):
    return functools.reduce(np.logical_and, [i % 2 == 0 for i in indices])


def on(condition, then):
    """Reflections of a kind must obey the rule."""
    return ~condition | then


def cubic(rule):
    """A rule for all permutations of the indices."""
    orders = [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0)]
    return lambda *k: functools.reduce(np.logical_and, [rule(*(k[i] for i in p)) for p in orders])


def face_centred(h, k, m):
    return even(h + k, h + m)


def body_centred(h, k, m):
    return even(h + k + m)


# Reflection conditions of the general position (International Tables, vol. A), complete;
# indices h, k, m in the place of h, k, l.
CONDITIONS = {
    "P2_1/c": lambda h, k, m: on(k == 0, even(m)) & on((h == 0) & (m == 0), even(k)),
    "P2_12_12_1": cubic(lambda h, k, m: on((k == 0) & (m == 0), even(h))),
    "Fdd2": lambda h, k, m: (
        face_centred(h, k, m)
        & on(h == 0, even(k, m) & ((k + m) % 4 == 0))
        & on(k == 0, even(h, m) & ((h + m) % 4 == 0))
    ),
    "Pnma": lambda h, k, m: on(h == 0, even(k + m)) & on(m == 0, even(h)),
    "Fddd": cubic(
        lambda h, k, m: face_centred(h, k, m) & on(h == 0, even(k, m) & ((k + m) % 4 == 0))
    ),
    "P2_1": lambda h, k, m: on((h == 0) & (m == 0), even(k)),
    "Pc": lambda _, k, m: on(k == 0, even(m)),
    "C2/m": lambda h, k, _: even(h + k),
    "C2/c": lambda h, k, m: even(h + k) & on(k == 0, even(h, m)),
    "Pma2": lambda h, k, _: on(k == 0, even(h)),
    "Amm2": lambda _, k, m: even(k + m),
    "P4_1": lambda h, k, m: on((h == 0) & (k == 0), m % 4 == 0),
    "P4_32_12": lambda h, k, m: (
        on((h == 0) & (k == 0), m % 4 == 0)
        & on((k == 0) & (m == 0), even(h))
        & on((h == 0) & (m == 0), even(k))
    ),
    "P4_2/mnm": lambda h, k, m: on(h == 0, even(k + m)) & on(k == 0, even(h + m)),
    "I4_1/amd": lambda h, k, m: (
        body_centred(h, k, m)
        & on(m == 0, even(h, k))
        & on(abs(h) == abs(k), (2 * h + m) % 4 == 0)
    ),
    "R3": lambda *k: np.full(k[0].shape, True),
    "R3c": cubic(lambda h, k, m: on(h == k, even(m))),
    "R-3c": cubic(lambda h, k, m: on(h == k, even(m))),
    "P2_13": cubic(lambda h, k, m: on((k == 0) & (m == 0), even(h))),
    "Pa-3": lambda h, k, m: on(h == 0, even(k)) & on(k == 0, even(m)) & on(m == 0, even(h)),
    "Ia-3": cubic(lambda h, k, m: body_centred(h, k, m) & on(h == 0, even(k, m))),
    "P4_332": cubic(lambda h, k, m: on((k == 0) & (m == 0), h % 4 == 0)),
    "F-43m": face_centred,
    "I-43d": cubic(
        lambda h, k, m: body_centred(h, k, m) & on(abs(h) == abs(k), (2 * h + m) % 4 == 0)
    ),
    "Pn-3n": cubic(lambda h, k, m: on(h == 0, even(k + m)) & on(abs(h) == abs(k), even(m))),
    "Pm-3n": cubic(lambda h, k, m: on(abs(h) == abs(k), even(m))),
    "Fm-3m": face_centred,
    "Fd-3m": cubic(
        lambda h, k, m: face_centred(h, k, m) & on(h == 0, even(k, m) & ((k + m) % 4 == 0))
    ),
    "Im-3m": body_centred,
    "Ia-3d": cubic(
        lambda h, k, m: (
            body_centred(h, k, m)
            & on(h == 0, even(k, m))
            & on(abs(h) == abs(k), (2 * h + m) % 4 == 0)
        )
    ),
}  # fmt: skip


def orbits_up_to(group, max_norm):
    space = sj.Torus(3)
    return torus_orbits(sj.action(space, group), space, space.levels(max_norm), MEMORY_LIMIT)


@pytest.mark.parametrize("symbol", CONDITIONS)
def test_systematic_absences(symbol):
    """A frequency carries an invariant if and only if it obeys the reflection conditions."""
    found = orbits_up_to(sj.space_group(symbol), 48)
    carries = found.orbits.carries[found.orbits.labels]
    np.testing.assert_array_equal(carries, CONDITIONS[symbol](*found.frequencies.T.astype(int)))
    assert symbol == "R3" or not carries.all()


@from_tables
@pytest.mark.parametrize(
    "number",
    [1, 2, 5, 9, 14, 15, 19, 43, 62, 70, 88, 96, 122, 136, 142, 146, 167, 205, 216, 225, 227, 230],
)
def test_counts_are_burnsides_over_the_operations_of_the_tables(number):
    """(1/|G|) Σ_g Σ_{k = A⁻ᵀk} exp(−2πi k·b), over all |k|² ≤ 12."""
    reach = np.arange(-3, 4)
    k = np.stack(np.meshgrid(reach, reach, reach), axis=-1).reshape(-1, 3)
    k = k[(k**2).sum(axis=1) <= 12]
    matrices, shifts = operations(number)
    fixed = (k @ matrices == k).all(axis=2)  # (A^T k)^T, for each operation and k
    trace = (fixed * np.exp(-2j * np.pi * shifts @ k.T)).sum()
    count = sj.invariant_count(sj.Torus(3), group_of(number), 12)
    assert abs(trace / len(matrices) - count) < 1e-9
    assert orbits_up_to(group_of(number), 12).orbits.carries.sum() == count


def cell(number):
    """A cell of the system of the group, of irrational lengths and angles: no symmetry but its own."""
    a, b, c = np.sqrt(1.1), np.sqrt(np.pi / 2), np.sqrt(np.e / 1.5)
    if number in RHOMBOHEDRAL:
        return np.full((3, 3), 0.3 / np.pi) + a * np.eye(3)
    if number in HEXAGONAL:
        return np.asarray([[a, 0, 0], [-a / 2, a * np.sqrt(0.75), 0], [0, 0, c]])
    last = {2: "triclinic", 15: "monoclinic", 74: "orthorhombic", 142: "tetragonal", 230: "cubic"}
    cells = {
        "triclinic": [[a, 0.2 / np.pi, 0.1], [0, b, 0.25], [0.15, 0, c]],
        "monoclinic": [[a, 0, 0], [0, b, 0], [-0.3 / np.pi, 0, c]],
        "orthorhombic": np.diag([a, b, c]),
        "tetragonal": np.diag([a, a, c]),
        "cubic": np.diag([a, a, a]),
    }
    return np.asarray(cells[last[min(n for n in last if n >= number)]], float)


@from_tables
@pytest.mark.parametrize("number", NUMBERS)
def test_every_group_acts_on_its_cell_with_burnsides_counts(number):
    """By the operations of the tables, level by level; by characters; and by orbits."""
    space, group = sj.Torus.from_lattice(cell(number)), group_of(number)
    action = sj.action(space, group)
    levels = space.levels(5 * (2 * np.pi) ** 2 / 1.1)
    reach = np.arange(-5, 6)
    k = np.stack(np.meshgrid(reach, reach, reach), axis=-1).reshape(-1, 3)
    values = (2 * np.pi) ** 2 * ((k @ np.linalg.inv(cell(number)).T) ** 2).sum(axis=1)
    matrices, shifts = operations(number)
    fixed = (k @ matrices == k).all(axis=2)
    traces = (fixed * np.exp(-2j * np.pi * shifts @ k.T)).sum(axis=0) / len(matrices)
    here = np.abs(values - [[level.eigenvalue] for level in levels]) <= 1e-8
    np.testing.assert_array_equal(here.sum(axis=1), [level.multiplicity for level in levels])
    counts, source = level_counts(action, levels)
    assert source == "character"
    np.testing.assert_allclose(here @ traces, counts, atol=1e-9)
    assert orbit_counts(torus_orbits(action, space, levels, MEMORY_LIMIT), levels) == counts


def on_axis(rule):
    return lambda h, k, m: on((h == 0) & (k == 0), rule(m))


def zonal(h, k):
    """The planes h0l and their images about the axis."""
    return (h == 0) | (k == 0) | (h + k == 0)


def diagonal(h, k):
    """The planes hhl and their images."""
    return (h == k) | (k == -2 * h) | (h == -2 * k)


HEXAGONAL_CONDITIONS = {
    "P3_1": on_axis(lambda m: m % 3 == 0),
    "P3_221": on_axis(lambda m: m % 3 == 0),
    "P6_1": on_axis(lambda m: m % 6 == 0),
    "P6_222": on_axis(lambda m: m % 3 == 0),
    "P6_3": on_axis(even),
    "P6_3/m": on_axis(even),
    "P6/mmm": lambda *k: np.full(k[0].shape, True),
    "P3c1": lambda h, k, m: on(zonal(h, k), even(m)),
    "P31c": lambda h, k, m: on(diagonal(h, k), even(m)),
    "P6cc": lambda h, k, m: on(zonal(h, k) | diagonal(h, k), even(m)),
    "P6_3cm": lambda h, k, m: on(zonal(h, k), even(m)),
    "P6_3/mmc": lambda h, k, m: on(diagonal(h, k), even(m)),
}


def carried(space, group, max_eigenvalue):
    """The frequencies, and which of them carry an invariant."""
    levels = space.levels(max_eigenvalue)
    found = torus_orbits(sj.action(space, group), space, levels, MEMORY_LIMIT)
    return found.frequencies.T.astype(int), found.orbits.carries[found.orbits.labels]


@pytest.mark.parametrize("symbol", HEXAGONAL_CONDITIONS)
def test_systematic_absences_of_hexagonal_groups(symbol):
    frequencies, carries = carried(sj.Torus.from_lattice(cell(194)), sj.space_group(symbol), 1000)
    assert (np.abs(frequencies[2]).max(), len(carries) > 500) == (6, True)
    np.testing.assert_array_equal(carries, HEXAGONAL_CONDITIONS[symbol](*frequencies))
    assert symbol == "P6/mmm" or not carries.all()


def test_rhombohedral_centring_on_hexagonal_axes():
    """R-3 in the obverse setting: −h + k + l = 3n; as many functions as on primitive axes."""
    group = sj.affine_torus_group(
        [[[0, -1, 0], [1, -1, 0], [0, 0, 1]], -np.eye(3, dtype=int), np.eye(3, dtype=int)],
        [[0, 0, 0], [0, 0, 0], [Fraction(2, 3), Fraction(1, 3), Fraction(1, 3)]],
    )
    assert group.order == 18
    a, c = 1.3, 2.9
    space = sj.Torus.from_lattice([[a, 0, 0], [-a / 2, a * np.sqrt(0.75), 0], [0, 0, c]])
    (h, k, m), carries = carried(space, group, 400)
    np.testing.assert_array_equal(carries, (-h + k + m) % 3 == 0)
    obverse = np.asarray([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3 @ np.asarray(space.vectors)
    primitive = sj.Torus.from_lattice(obverse)
    assert primitive.volume == pytest.approx(space.volume / 3)
    assert sj.invariant_count(primitive, group_of(148), 400) == sj.invariant_count(space, group, 400)


@from_tables
def test_symbols_name_the_same_groups():
    symbols = {setting.international_short for setting in settings().values()}
    assert len(symbols) == 230
    for symbol, number in {
        "P1": 1, "C2/c": 15, "Cmca": 64, "Cmce": 64, "Aem2": 39, "Abm2": 39, "P3_221": 154, "R-3m": 166,
        "P6_3/mmc": 194, "Pm-3m": 221,
    }.items():  # fmt: skip
        assert names(*elements_of(sj.space_group(symbol))) == names(*elements_of(group_of(number)))


@pytest.mark.usefixtures("without_signature_checks")
@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (0, ValueError, r"number: expected at least 1 and got 0"),
        (231, ValueError, r"number: expected a space group from 1 to 230 and got 231"),
        ("Pm-3q", ValueError, r"number: there is no space group 'Pm-3q' .* mean Pm-3"),
        ("Pbnm", ValueError, r"number: there is no space group 'Pbnm' in the standard setting"),
        ("", ValueError, r"number: there is no space group '' .* mean P1 or Fm-3m\?"),
        (3.5, TypeError, r"number: expected an integer and got 3\.5"),
        (True, TypeError, r"number: expected an integer and got True"),
        (None, TypeError, r"number: expected an integer and got None"),
    ],
)
def test_bad_input(number, error, message):
    with pytest.raises(error, match=message):
        sj.space_group(number)


def test_without_the_tables_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "spglib", None)
    with pytest.raises(ImportError, match=r"pip install 'symjax-learn\[crystals\]'"):
        sj.space_group(225)
