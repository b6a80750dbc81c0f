"""The strictest settings of JAX. The precision is the process's: JAX_ENABLE_X64 (1 unless set).

Compiled programs are kept in ``.cache/jax``, which all workers, both precisions and later runs share:
most of the time of a test is compilation. XLA optimizes little, which saves a quarter of it.
"""

import os
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import jaxtyping
import matplotlib
import pytest

matplotlib.use("Agg")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """Loaded programs would add up: each maps memory of its own, and a process may have 65,530 maps."""
    yield
    jax.clear_caches()


@pytest.fixture
def without_signature_checks():
    """Users run without them: the library's own errors must come."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
