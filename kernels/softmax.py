"""log softmax over the vocabulary (plain twin: ops.log_softmax): y = x - max - log(sum exp(x - max)), row by row.

Two passes over a row: the maximum, then exponentials and their sum, both in four chains of 16 lanes; the row is small
enough (40 KB) to wait in the second-level cache for the third, which writes.
"""

import numpy as np

from .jit import ARRAY, INT, inner, kernel
from .late import types
from .vector import LANES, at, exp, greatest, load, maximum, splat, store, total


@inner
def _highest(x, start, width):
    """Greatest of x[start : start + width]."""
    whole, a = width - width % LANES, splat(np.float32(-np.inf))
    b = a
    for i in range(0, whole, LANES):
        a, b = b, maximum(a, load(at(x, start + i)))
    top = greatest(maximum(a, b))
    for i in range(whole, width):
        top = x[start + i] if x[start + i] > top or x[start + i] != x[start + i] else top
    return top


@inner
def _sum_of_exponentials(x, start, width, top):
    """Sum of exp(x - top) over x[start : start + width]."""
    whole, shift = width - width % LANES, splat(top)
    a, b = splat(np.float32(0.0)), splat(np.float32(0.0))
    for i in range(0, whole, LANES):
        a, b = b, a + exp(load(at(x, start + i)) - shift)
    result = total(a + b)
    for i in range(whole, width):
        result += np.exp(x[start + i] - top)
    return result


@kernel(types.void(ARRAY, INT, ARRAY))
def log_softmax_rows(x, width, y):
    """Rows of V: x (rows * V,) -> y."""
    whole = width - width % LANES
    for start in range(0, len(x), width):
        top = _highest(x, start, width)
        shift = np.float32(np.log(_sum_of_exponentials(x, start, width, top)))
        for i in range(0, whole, LANES):
            store(at(y, start + i), load(at(x, start + i)) - splat(top) - splat(shift))
        for i in range(whole, width):
            y[start + i] = x[start + i] - top - shift


def log_softmax(x: np.ndarray) -> np.ndarray:
    """(..., V) -> (..., V), as ops.log_softmax."""
    x = np.ascontiguousarray(x, np.float32)
    y = np.empty_like(x)
    log_softmax_rows(x.reshape(-1), x.shape[-1], y.reshape(-1))
    return y
