"""The strictest settings of JAX. The precision is the process's: JAX_ENABLE_X64 (1 unless set)."""

import os

os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import jaxtyping
import matplotlib
import pytest

matplotlib.use("Agg")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def without_signature_checks():
    """Users run without them: the library's own errors must come."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
