"""Point groups and space groups in three dimensions, by the names of their fields."""

import difflib
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from symjax_learn._types import checked_count
from symjax_learn.algebra.affine import AffineTorusGroup, affine_torus_group
from symjax_learn.algebra.coxeter import simple_roots
from symjax_learn.algebra.matrices import MatrixGroup, matrix_group


def _turn(order: int) -> Float[np.ndarray, "3 3"]:
    """The rotation about z by a full turn over ``order``."""
    c, s = math.cos(2 * math.pi / order), math.sin(2 * math.pi / order)
    return np.asarray([[c, -s, 0], [s, c, 0], [0, 0, 1]])


_INVERSION = -np.eye(3)
_MIRROR_Z = np.diag([1.0, 1, -1])
_MIRROR_Y = np.diag([1.0, -1, 1])
_HALF_TURN_X = np.diag([1.0, -1, -1])
_CUBIC_TURN = np.asarray([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # about (1, 1, 1) by a third
_CUBIC_MIRROR = np.asarray([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])  # x ↔ y


def _icosahedral() -> list[np.ndarray]:
    roots = simple_roots("H3")
    return [np.eye(3) - 2 * np.outer(v, v) for v in roots]


def _by_schoenflies() -> dict[str, list[np.ndarray]]:
    """Generators of the 32 crystallographic groups and of I and I_h."""
    groups = {"C1": [np.eye(3)], "Ci": [_INVERSION], "Cs": [_MIRROR_Z]}
    for n in (2, 3, 4, 6):
        turn = _turn(n)
        groups |= {
            f"C{n}": [turn],
            f"C{n}h": [turn, _MIRROR_Z],
            f"C{n}v": [turn, _MIRROR_Y],
            f"D{n}": [turn, _HALF_TURN_X],
            f"D{n}h": [turn, _HALF_TURN_X, _MIRROR_Z],
        }
    groups |= {
        "S4": [_turn(4) @ _MIRROR_Z],
        "S6": [_turn(6) @ _MIRROR_Z],
        "D2d": [_turn(4) @ _MIRROR_Z, _HALF_TURN_X],
        "D3d": [_turn(6) @ _MIRROR_Z, _HALF_TURN_X],
        "T": [_turn(2), _CUBIC_TURN],
        "Th": [_turn(2), _CUBIC_TURN, _INVERSION],
        "Td": [_turn(2), _CUBIC_TURN, _CUBIC_MIRROR],
        "O": [_turn(4), _CUBIC_TURN],
        "Oh": [_turn(4), _CUBIC_TURN, _INVERSION],
    }
    a, b, c = _icosahedral()
    return groups | {"I": [a @ b, b @ c], "Ih": [a, b, c]}


_SCHOENFLIES_OF = {
    "1": "C1", "-1": "Ci", "2": "C2", "m": "Cs", "2/m": "C2h", "222": "D2", "mm2": "C2v", "mmm": "D2h",
    "4": "C4", "-4": "S4", "4/m": "C4h", "422": "D4", "4mm": "C4v", "-42m": "D2d", "4/mmm": "D4h",
    "3": "C3", "-3": "S6", "32": "D3", "3m": "C3v", "-3m": "D3d",
    "6": "C6", "-6": "C3h", "6/m": "C6h", "622": "D6", "6mm": "C6v", "-6m2": "D3h", "6/mmm": "D6h",
    "23": "T", "m-3": "Th", "432": "O", "-43m": "Td", "m-3m": "Oh", "532": "I", "-53m": "Ih",
}  # fmt: skip


def point_group(name: str) -> MatrixGroup:
    """A point group of R³: one of the 32 crystallographic groups, or an icosahedral one.

    The main axis is z and a secondary axis x; the threefold axes of cubic groups are the diagonals.

    Args:
        name: Schoenflies, as ``"Oh"``, ``"D2d"``, ``"Ih"``; or Hermann–Mauguin (short), as ``"m-3m"``,
            ``"-42m"``.

    Raises:
        ValueError: an unknown name, with what comes close.

    References:
        *International Tables for Crystallography*, vol. A, ch. 10.

    >>> import symjax_learn as sj
    >>> sj.point_group("Oh").order, sj.point_group("-43m").order
    (48, 24)
    """
    groups = _by_schoenflies()
    key = _SCHOENFLIES_OF.get(name, name)
    if key not in groups:
        known = [*groups, *_SCHOENFLIES_OF]
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        raise ValueError(
            f"name: there is no point group {name!r}; did you mean {', '.join(near) or 'Oh or m-3m'}? "
            f"Known: {', '.join(groups)}, and their Hermann-Mauguin symbols."
        )
    return matrix_group(np.stack(groups[key]))


# The shifts of all settings in the International Tables are multiples of 1/12.
_TWELFTHS = 12
# Symbols before the letter e for double glide planes (1992).
_ELDER_SYMBOLS = {"Abm2": 39, "Aba2": 41, "Cmca": 64, "Cmma": 67, "Ccca": 68}


def space_group(number: int | str) -> AffineTorusGroup:
    """A space group as the maps x ↦ Ax + b of R³/Z³, points in fractions of the conventional cell.

    The order is the number of operations in that cell, those of its centring included: 192 for
    ``"Fm-3m"``. Setting: that of the International Tables, unique axis b and cell choice 1 in the
    monoclinic system, and origin choice 2 (at an inversion centre) where there are two. The seven
    rhombohedral groups (146, 148, 155, 160, 161, 166, 167) are on primitive rhombohedral axes.

    A is a signed permutation for 185 groups, which therefore act on the cubic ``Torus(3)``. The other
    45, the trigonal and hexagonal ones on hexagonal axes, are isometries of the hexagonal lattice only,
    and ``action(Torus(3), group)`` refuses them. Every group acts on the torus of its own cell,
    ``Torus.from_lattice(cell)``, whose lengths and angles give the eigenvalues.

    Invariant functions are sums of plane waves e^{2πi k·x} over orbits of k = (h, k, l). An orbit whose
    phases are inconsistent carries none: if A^{−T}k = k and k·b is no integer for an operation (A, b), a
    function with that wave would change sign or phase under it. So P4_1, with its screw axis, has on the
    axis only (0, 0, l) with l = 4n (second example). These systematic absences are the reflection
    conditions of the general position: the structure factor vanishes there for every invariant density,
    and nowhere else does it vanish for all of them. Special positions may have further conditions.

    Args:
        number: 1 to 230, or the short Hermann–Mauguin symbol of the setting above, as ``"Pm-3m"``,
            ``"P2_1/c"``, ``"P6_3/mmc"`` (for the five with double glide planes also the one of before
            1992: ``"Cmca"`` for ``"Cmce"``).

    Raises:
        ImportError: ``spglib``, the extra ``crystals``, is not installed.
        TypeError: no integer and no string.
        ValueError: no such number, or an unknown symbol, with what comes close.

    Cost: a multiplication table of the group, and a stabilizer chain: about 25 ms.

    References:
        *International Tables for Crystallography*, vol. A, part 2.
        A. Togo, K. Shinohara, I. Tanaka, *Spglib: a software library for crystal symmetry search*,
        Science and Technology of Advanced Materials: Methods 2024 (the tables used).

    >>> import symjax_learn as sj
    >>> sj.space_group(225).order, sj.space_group("P2_1/c").order
    (192, 4)
    >>> sj.invariant_count(sj.Torus(3), sj.space_group("Fm-3m"), 12)  # 000 111 200 220 311 222
    6
    >>> waves = sj.invariant_basis(
    ...     sj.Torus(3), sj.space_group("P4_1"), max_eigenvalue=64).functions.frequencies
    >>> sorted({abs(int(l)) for h, k, l in waves if h == k == 0})
    [0, 4, 8]
    """
    spglib = _import_spglib()
    with warnings.catch_warnings():
        # spglib announces a change of how it reports errors at every call.
        warnings.simplefilter("ignore", DeprecationWarning)
        setting = _find_setting(_standard_settings(spglib), number)
        operations = spglib.get_symmetry_from_database(setting.hall_number)
    matrices, shifts = operations["rotations"].astype(int), operations["translations"] * _TWELFTHS
    numerators = np.rint(shifts).astype(int) % _TWELFTHS
    if np.abs(shifts - np.rint(shifts)).max() > 1e-9:
        raise ValueError(
            f"number: spglib {spglib.__version__} gives group {setting.number} shifts that are no "
            "multiples of 1/12, unlike the International Tables; install another version of it."
        )
    rows = _generating_rows(matrices, numerators)
    fractions = [[Fraction(b, _TWELFTHS) for b in shift] for shift in numerators[rows].tolist()]
    return affine_torus_group(matrices[rows], fractions)


def _import_spglib() -> Any:
    try:
        import spglib
    except ImportError as error:
        raise ImportError(
            "number: the tables of space groups are those of spglib, which is not installed; "
            "pip install 'symjax-learn[crystals]'."
        ) from error
    return spglib


def _standard_settings(spglib: Any) -> dict[int, Any]:
    """The setting used for each number: the first, unless there is origin choice 2 or axes R."""
    standard: dict[int, Any] = {}
    for hall_number in range(1, 531):  # spglib's serial number of all settings
        setting = spglib.get_spacegroup_type(hall_number)
        if setting.number not in standard or setting.choice in ("2", "R"):
            standard[setting.number] = setting
    return standard


def _find_setting(settings: dict[int, Any], number: int | str) -> Any:
    if not isinstance(number, str):
        count = checked_count("number", number)
        if count not in settings:
            raise ValueError(f"number: expected a space group from 1 to 230 and got {count}.")
        return settings[count]
    by_symbol = {setting.international_short: setting for setting in settings.values()}
    by_symbol |= {symbol: settings[count] for symbol, count in _ELDER_SYMBOLS.items()}
    if number not in by_symbol:
        near = difflib.get_close_matches(number, by_symbol, n=3, cutoff=0.4)
        raise ValueError(
            f"number: there is no space group {number!r} in the standard setting; did you mean "
            f"{', '.join(near) or 'P1 or Fm-3m'}? Give the short symbol, with _ before a subscript "
            "(P2_1/c), or the number."
        )
    return by_symbol[number]


def _generating_rows(
    matrices: Int[np.ndarray, "order 3 3"], numerators: Int[np.ndarray, "order 3"]
) -> list[int]:
    """Few of all elements of a group that generate it: each is outside of what those before do."""
    products = np.einsum("gij,hjk->ghik", matrices, matrices)
    shifts = (np.einsum("gij,hj->ghi", matrices, numerators) + numerators[:, None]) % _TWELFTHS
    names = _names(matrices, numerators)
    order = np.argsort(names)
    table = order[np.searchsorted(names[order], _names(products, shifts))]
    inside = (matrices == np.eye(3, dtype=int)).all(axis=(1, 2)) & ~numerators.any(axis=1)
    rows = np.flatnonzero(inside).tolist()
    while not inside.all():
        rows.append(int(np.argmin(inside)))
        size = 0
        while size < inside.sum():
            size = inside.sum()
            inside[table[np.ix_(inside, rows)]] = True
    return rows[1:] or rows


def _names(
    matrices: Int[np.ndarray, "*batch 3 3"], numerators: Int[np.ndarray, "*batch 3"]
) -> Int[np.ndarray, "*batch"]:
    """One integer for each element: entries −1, 0, 1 and shifts below 12 as digits."""
    digits = np.concatenate([matrices.reshape(*matrices.shape[:-2], 9) + 1, numerators], axis=-1)
    return digits @ _TWELFTHS ** np.arange(12)
