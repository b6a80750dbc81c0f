"""The harmonics of spheres as polynomials, on which groups act by substitution; NumPy, float64."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from symjax_learn.algebra.monomials import fischer_norms, monomials, num_monomials, places_in_degree
from symjax_learn.geometry.ball import Ball, level_indices
from symjax_learn.geometry.separable import integer_keys
from symjax_learn.geometry.spaces import Level
from symjax_learn.geometry.sphere import Sphere, recurrences


def harmonic_degrees(space: Sphere | Ball, levels: Sequence[Level]) -> list[int]:
    """The degrees of the harmonics in these levels."""
    if isinstance(space, Ball):
        return [level_indices(level)[0] for level in levels]
    return integer_keys(levels, "a sphere")


@functools.lru_cache(maxsize=32)
def orthonormal_harmonics(num_variables: int, degree: int) -> Float[np.ndarray, "m n"]:
    """The harmonics of a sphere as orthonormal rows of the coefficients of x^k·√(|k|!/k!)."""
    norms = fischer_norms(monomials(num_variables, degree))
    rows = harmonic_polynomials(num_variables - 1, degree) * norms
    rows /= np.linalg.norm(rows[0])
    rows.flags.writeable = False  # one array for all who ask
    return rows


def harmonic_polynomials(dimension: int, degree: int) -> Float[np.ndarray, "m n"]:
    """The harmonics of S^dimension of one degree as polynomials: rows of coefficients of the monomials.

    By the recurrence of :class:`SphericalHarmonics`, in its order, float64.

    Cost: for each coordinate, degree and function one pass over its monomials.
    """
    scale, rise, fall = recurrences(dimension, degree)
    # Of each degree, those of the first two coordinates: Re and Im of (x + iy)^l.
    known = [np.full((1, 1), scale[0])]
    cosine, sine = np.ones((1, 1)), np.zeros((1, 1))
    for m in range(degree):
        cosine, sine = (
            _raised(cosine, 2, m, 0) - _raised(sine, 2, m, 1),
            _raised(cosine, 2, m, 1) + _raised(sine, 2, m, 0),
        )
        known.append(scale[m + 1] * np.concatenate([cosine, sine]))
    for row in range(dimension - 1):
        count = row + 3
        blocks: list[list[np.ndarray]] = [[] for _ in range(degree + 1)]
        for m, lower in enumerate(known):
            places = places_in_degree(np.pad(monomials(count - 1, m), ((0, 0), (0, 1))), m)
            below = np.zeros((len(lower), num_monomials(count, m - 2) if m >= 2 else 0))
            here = np.zeros((len(lower), num_monomials(count, m)))
            here[:, places] = lower
            blocks[m].append(here)
            for n in range(degree - m):
                ahead = rise[n, row, m] * _raised(here, count, m + n, count - 1)
                if n:
                    squares = (
                        _raised(_raised(below, count, m + n - 1, i), count, m + n, i)
                        for i in range(count)
                    )
                    ahead -= fall[n, row, m] * sum(squares)
                below, here = here, ahead
                blocks[m + n + 1].append(here)
        known = [np.concatenate(of_degree) for of_degree in blocks]
    return known[degree]


def _raised(
    rows: Float[np.ndarray, "P n"], num_variables: int, degree: int, variable: int
) -> Float[np.ndarray, "P m"]:
    """Polynomials of one degree times a variable."""
    step = np.eye(num_variables, dtype=np.int64)[variable]
    places = places_in_degree(monomials(num_variables, degree) + step, degree + 1)
    raised = np.zeros((len(rows), num_monomials(num_variables, degree + 1)))
    raised[:, places] = rows
    return raised
