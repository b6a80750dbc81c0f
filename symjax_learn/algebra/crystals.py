"""Point groups in three dimensions, by the names of chemists and of crystallographers."""

import difflib
import math

import numpy as np
from jaxtyping import Float

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
