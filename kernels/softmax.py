"""What the search does with all logits: log softmax (plain twin: ops.log_softmax) and the best of them (search.best).

y = x - max - log(sum exp(x - max)), row by row.

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


@inner
def _insert(score, index, scores, indices, filled):
    """Put one into the descending list of the best, behind its equals; the last falls out of a full list."""
    i = min(filled, len(scores) - 1)
    while i > 0 and scores[i - 1] < score:
        scores[i], indices[i] = scores[i - 1], indices[i - 1]
        i -= 1
    scores[i], indices[i] = score, index


@kernel(types.void(ARRAY, INT, ARRAY, ARRAY, types.int64[::1]))
def best_of_rows(x, width, added, scores, indices):
    """The highest of x[r, i] + added[r], x (K * V,) flat, highest first, equals in their order, with flat indices.

    As many as there is room for, and x has at least that many. 64 numbers that hold none of the best so far are passed
    over at once.
    """
    filled, step = 0, 4 * LANES
    for r in range(len(added)):
        more, last = splat(added[r]), (r + 1) * width
        for start in range(r * width, last, step):
            end = min(start + step, last)
            if filled == len(scores) and end - start == step:
                a = maximum(load(at(x, start)) + more, load(at(x, start + LANES)) + more)
                b = maximum(load(at(x, start + 2 * LANES)) + more, load(at(x, start + 3 * LANES)) + more)
                if greatest(maximum(a, b)) <= scores[filled - 1]:
                    continue
            for i in range(start, end):
                score = x[i] + added[r]
                if filled < len(scores) or score > scores[filled - 1]:
                    _insert(score, i, scores, indices, filled)
                    filled = min(filled + 1, len(scores))


def best(scores: np.ndarray, added: np.ndarray, count: int) -> np.ndarray:
    """Where the `count` highest of scores (K, V) + added (K,) lie in the flat table, as search.best."""
    indices = np.empty(min(count, scores.size), np.int64)
    scores, added = (np.ascontiguousarray(x, np.float32) for x in (scores, added))
    best_of_rows(scores.reshape(-1), scores.shape[1], added, np.empty(len(indices), np.float32), indices)
    return indices
