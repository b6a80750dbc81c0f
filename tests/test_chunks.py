"""Chunked evaluation is plain evaluation; requests beyond a limit are refused in words."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symjax_learn as sj
from symjax_learn._chunks import chunk_rows, map_columns, refuse_beyond
from tests.registry import EXACT


@pytest.mark.parametrize("n", [1, 7, 8, 9, 20])
def test_chunks_of_any_length_give_the_same_values_and_slopes(n):
    points = jax.random.normal(jax.random.key(0), (n, 2))
    weights = jnp.arange(1.0, 4.0)

    def rows(chunk):
        assert chunk.shape[0] <= 8
        return jnp.stack([jnp.sin(chunk[:, 0]), chunk[:, 1] ** 2, chunk[:, 0] * chunk[:, 1]])

    def mean(points, rows_at_once):
        function = rows if rows_at_once == 8 else lambda x: jnp.concatenate([rows(x[:1])], axis=1)
        return weights @ map_columns(function, points, rows_at_once) @ jnp.ones(n)

    for operation in (mean, jax.grad(mean)):
        np.testing.assert_allclose(operation(points, 8), operation(points, 1), atol=100 * EXACT)


@pytest.mark.parametrize("route", ["orbits", "averaging"])
def test_a_basis_and_a_model_beyond_one_chunk(route):
    space = sj.Torus(2)
    basis = sj.invariant_basis(space, sj.symmetric_group(2), max_eigenvalue=100, route=route)
    n = 2 * chunk_rows(basis.functions.width) + 3
    x = space.sample(jax.random.key(0), (n,))
    model = sj.SpectralModel(
        basis, jnp.linspace(1, 0, basis.num_functions), jnp.ones(()), sj.Report(*[jnp.zeros(())] * 4)
    )
    tail = x[-5:]
    np.testing.assert_allclose(basis(x)[-5:], basis(tail), atol=300 * EXACT)
    np.testing.assert_allclose(model(x)[-5:], model(tail), atol=1e3 * EXACT)
    slope = jax.grad(lambda x: model(x).sum())
    np.testing.assert_allclose(slope(x)[-5:], slope(tail), atol=1e5 * EXACT)


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(1500, "1.465 KiB"), (3 * 2**30, "3 GiB"), (2**70, "10^6 PiB"), (2**8000, r"10^2393 PiB")],
)
def test_requests_are_refused_with_readable_sizes(num_bytes, words):
    message = f"x: it needs about {words}, more than the memory limit of 1000 B. Use less."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        refuse_beyond(1000, num_bytes, "x: it", "Use less.")
    refuse_beyond(num_bytes, num_bytes, "x: it", "Use less.")
