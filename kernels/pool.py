"""Memory that is wanted again and again: what one user has given back is lent to the next.

An utterance's keys and values take megabytes, which the operating system hands out page by page, each at the first
touch. So memory is lent: `lend_floats` gives an array that goes back to its pool when nothing refers to it any more,
neither itself nor a view of it.
"""

import sys
from collections import OrderedDict, deque
from collections.abc import Hashable
from threading import RLock

import numpy as np

from .aligned import CACHE_LINE, empty_aligned
from .forks import Renewed


class Pool(Renewed):
    """Things by key. They are let go, those of the least recently used key first, beyond `most` bytes.

    Safe to use from several Python threads, and by what is collected as garbage meanwhile. A forked child begins with
    an empty one: another thread of its parent may have been about to change it.
    """

    def __init__(self, most: int):
        self.most = most
        super().__init__()

    def renew(self) -> None:
        self.kept, self.bytes, self.lock = OrderedDict(), 0, RLock()

    def take(self, key: Hashable):
        """The one of that key that was given back last, or None."""
        with self.lock:
            if not (found := self.kept.get(key)):
                return None
            thing, size = found.pop()
            self.bytes -= size
            return thing

    def give(self, key: Hashable, thing, size: int) -> None:
        """Take back a thing of that many bytes."""
        with self.lock:
            if key not in self.kept:
                self.kept[key] = deque()
            self.kept[key].append((thing, size))
            self.kept.move_to_end(key)
            self.bytes += size
            while self.bytes > self.most:
                self._drop()

    def _drop(self) -> None:
        """Let one go, of the key that was used least recently."""
        oldest, things = next(iter(self.kept.items()))
        if things:
            self.bytes -= things.popleft()[1]
        if not things:
            del self.kept[oldest]


class _Lease:
    """The owner of a lent array's memory, as numpy sees it: gone when the array and all its views are."""

    def __init__(self, pool: Pool, memory: np.ndarray):
        self.pool, self.memory, self.__array_interface__ = pool, memory, memory.__array_interface__

    def __del__(self, ending=sys.is_finalizing):  # a default: at the end of the process names mean nothing any more
        if not ending():
            self.pool.give(len(self.memory), self.memory, self.memory.nbytes)


def rounded(size: int) -> int:
    """A number of floats, an eighth more at most, that many others are rounded to as well."""
    unit = 1 << max(0, size.bit_length() - 4)
    return -(-size // unit) * unit


def lend_floats(pool: Pool, size: int) -> np.ndarray:
    """That many floats, uninitialised, from the beginning of a line of the processor's cache on."""
    whole = rounded(size)
    memory = pool.take(whole)
    if memory is None:
        (memory,) = empty_aligned(whole)
    return np.asarray(_Lease(pool, memory))[:size]


def lend_aligned(pool: Pool, *sizes: int) -> list[np.ndarray]:
    """The same for several arrays, each from the beginning of a line on."""
    begins = np.cumsum([0, *(-(-size // CACHE_LINE) * CACHE_LINE for size in sizes)])
    block = lend_floats(pool, int(begins[-1]))
    return [block[begin : begin + size] for begin, size in zip(begins.tolist(), sizes, strict=False)]


# What calls compute in. With new pages for each utterance the encoder's 10 s take 39.1 instead of 38.3 ms, and the
# speech check of 10 s asks the system for 150 pages.
LENT = Pool(1 << 26)
