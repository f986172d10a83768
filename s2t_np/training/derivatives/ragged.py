"""Several utterances in one array: their rows one after another, and the number of rows of each.

    rows      (S1 + S2 + ..., D)
    lengths   (B,) ints: S1, S2, ...

A matrix product takes all rows at once; what mixes rows (convolution, attention) takes each utterance by itself.
Nothing is padded and nothing masked, so the result for an utterance does not depend on which others lie beside it.
"""

from collections.abc import Callable, Iterable

import numpy as np

from ...system.helpers import mapped
from ...system.threads import get_threads, own_threads


def stretches(lengths: np.ndarray) -> list[slice]:
    """The rows of each utterance, as slices of the joined array: (B,) ints -> B slices."""
    ends = np.cumsum(lengths).tolist()
    return [slice(end - int(length), end) for end, length in zip(ends, lengths, strict=True)]


def join(parts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays (S_b, ...) one after another, and their lengths: (S, ...) and (B,) ints."""
    parts = list(parts)
    return np.concatenate(parts), np.array([len(part) for part in parts])


def side_by_side(work: Callable, *arguments: list) -> list:
    """work(*a) for each utterance, on all cores: the matrices of one utterance are too small to be shared by them."""
    count = min(get_threads(), len(arguments[0]))
    if count == 1:
        return list(map(work, *arguments))
    with own_threads(1):
        return mapped(work, list(zip(*arguments, strict=True)), count)


def first_rows(x: np.ndarray, lengths: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The first `count` (B,) rows of each utterance of x (S, D), whose lengths are `lengths`: (sum of counts, D)."""
    if np.array_equal(lengths, count):
        return x
    pairs = zip(stretches(lengths), count, strict=True)
    return np.concatenate([x[rows][:most] for rows, most in pairs])


def first_rows_backward(dy: np.ndarray, lengths: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Rows that were cut off have gradient zero: (sum of counts, D) -> (S, D)."""
    if np.array_equal(lengths, count):
        return dy
    dx = np.zeros((int(np.sum(lengths)), dy.shape[1]), dy.dtype)
    for into, source, most in zip(stretches(lengths), stretches(count), count, strict=True):
        dx[into][:most] = dy[source]
    return dx
