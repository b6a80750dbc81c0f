"""The strictest settings of JAX. The precision is the process's: JAX_ENABLE_X64 (1 unless set)."""

import os

os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import matplotlib

matplotlib.use("Agg")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
