"""When the open segment of live speech is heard for partial results: often, but never so that the sound has to wait."""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic

import numpy as np

BUSY = 2.0  # hearings of open segments take at most one part in three of the time


class Pace:
    """Says when an open segment is to be heard again: after `interval` seconds, or later if hearing takes long."""

    def __init__(self, interval: float, clock: Callable[[], float] = monotonic):
        self.interval, self.clock = interval, clock
        self.due = 0.0

    def paced(self, piece) -> Iterator:
        """An open piece if it has grown enough since the last time; its reader hears it before it comes back."""
        if piece.end >= max(self.due, piece.start + self.interval):
            begun = self.clock()
            yield piece
            self.due = piece.end + max(self.interval, BUSY * (self.clock() - begun))


def in_portions(blocks: Iterable[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    """Blocks (n,) cut into parts of at most `samples`."""
    for block in blocks:
        yield from (block[i : i + samples] for i in range(0, len(block), samples))
