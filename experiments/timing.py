"""Seconds of a call that may compile."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax


def least_seconds(call: Callable[[], Any], num_repeats: int) -> float:
    """The least of several calls, after one that compiles."""
    jax.block_until_ready(call())
    best = math.inf
    for _ in range(num_repeats):
        best = min(best, timed(call)[1])
    return best


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The answer of one call, once it is there, and its seconds."""
    start = time.perf_counter()
    answer = jax.block_until_ready(call())
    return answer, time.perf_counter() - start
