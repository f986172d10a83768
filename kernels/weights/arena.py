"""One block of memory for all packed weights: kernels get the arena and offsets into it.

It starts with zeros, which is what an absent bias or residual points to. Places in it are dealt out first, one after
the other. Then jobs fill them, in any order and by any threads.
"""

import math
from collections.abc import Callable

import numpy as np

from ..aligned import empty_aligned

NOTHING = 64  # floats of zeros at the start
Job = Callable[[], None]  # fills some places


def at_once(job: Job) -> None:
    """Do it now."""
    job()


def rounded(count: int) -> int:
    """Floats that a place of that many takes: those of whole vectors."""
    return -(-count // 16) * 16


class Arena:
    """One aligned block, handed out from the front."""

    def __init__(self, floats: int, give: Callable[[Job], None] = at_once):
        """`give` is told what is to fill the places."""
        (self.block,), self.used, self.give = empty_aligned(NOTHING + floats), NOTHING, give
        self.block[:NOTHING] = 0

    def take(self, *shape: int) -> np.ndarray:
        """The next free floats as an array, uninitialised: the thread that fills a page has it from the system."""
        count = math.prod(shape)
        part = self.block[self.used : self.used + count].reshape(shape)
        self.used += rounded(count)
        return part

    def offset(self, part: np.ndarray) -> int:
        """Return where a part that was taken lies, in floats."""
        return (part.ctypes.data - self.block.ctypes.data) // 4
