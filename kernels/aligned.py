"""Arrays that begin at lines of the processor's cache: a vector that straddles two lines takes two reads."""

import numpy as np

CACHE_LINE = 16  # floats in a line of the cache


def empty_aligned(*sizes: int) -> list[np.ndarray]:
    """Uninitialised float32 arrays of these sizes, each at the beginning of a line."""
    block = np.empty(sum(sizes) + CACHE_LINE * (len(sizes) + 1), np.float32)
    first, parts = -(block.ctypes.data // 4) % CACHE_LINE, []
    for size in sizes:
        parts.append(block[first : first + size])
        first += -(-size // CACHE_LINE) * CACHE_LINE
    return parts


def aligned_copy(x: np.ndarray) -> np.ndarray:
    """A copy of a float32 array that begins at a line."""
    (copy,) = empty_aligned(x.size)
    copy = copy.reshape(x.shape)
    copy[:] = x
    return copy
