"""The compiled decoder's cache, which never moves a row of keys or values (readable twin: decoder.DecoderCache)."""

import math
from dataclasses import dataclass

import numpy as np

from .. import doors
from ..ops.softmax_host import BestFinder, LogitsTable
from ..pool import Pool, lend_floats
from .cross_kv_host import CrossKV

FIRST_CAPACITY = 64  # positions a new cache has space for; it doubles when they are used up


@dataclass
class Cache:
    """Keys and values of the memory and of the tokens so far, for K beams.

    Row `keys[l, u, k]` was written by beam k at position u. When beams are reordered, a beam's history continues what
    another one wrote, so each beam keeps the list of who wrote its positions: `ancestors[k, u]`. Reordering permutes
    that small table; keys and values, which begin at lines of the processor's cache, stay where they are.
    """

    cross: CrossKV
    keys: np.ndarray  # (L, capacity, K, D) float32
    values: np.ndarray  # (L, capacity, K, D)
    ancestors: np.ndarray  # (K, capacity) int64
    writers: np.ndarray  # (K,) 0, 1, ...: who writes a new position
    finder: BestFinder
    pool: Pool  # whose memory it is
    length: int = 0  # positions filled
    addresses: tuple[int, ...] = ()  # where keys, values, ancestors and the memory begin: see ask_columns.py

    @property
    def capacity(self) -> int:
        """Positions there is space for."""
        return self.ancestors.shape[1]

    def reorder(self, parents: np.ndarray) -> None:
        """Let beam k continue what was beam parents[k]: (K,) ints. Raises OptionError."""
        parents = doors.parents(parents, len(self.ancestors))
        self.ancestors[:, : self.length] = self.ancestors[parents, : self.length]

    def ask(self, row: int, table: LogitsTable) -> tuple[int, ...]:
        """Begin a position; return the row of the table of asks for a step whose rows from `row` on are the beams."""
        if self.length == self.ancestors.shape[1]:
            self._double()
        if not self.addresses:
            arrays = (self.keys, self.values, self.ancestors, self.cross.block)
            self.addresses = tuple(x.ctypes.data for x in arrays)
        self.ancestors[:, self.length] = self.writers
        beams, capacity = self.ancestors.shape
        return (row, beams, self.length, capacity, self.cross.positions, *self.addresses, table.address)

    def _double(self) -> None:
        """Double the capacity, which is used up, so that a step always finds a free position.

        All of it or nothing: where there is no memory the cache is as it was, and the step may be tried again.
        """
        keys, values = self._doubled(self.keys), self._doubled(self.values)
        ancestors = np.concatenate([self.ancestors, np.zeros_like(self.ancestors)], axis=1)
        self.keys, self.values, self.ancestors, self.addresses = keys, values, ancestors, ()

    def history(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Every beam's own keys and values of a layer, as DecoderCache.past has them: (K, U, D)."""
        here, past = np.arange(self.length), self.ancestors[:, : self.length]
        return self.keys[layer, here, past], self.values[layer, here, past]

    def _doubled(self, x: np.ndarray) -> np.ndarray:
        """A copy with space for twice the positions: (L, capacity, K, D) -> (L, 2 capacity, K, D)."""
        layers, capacity, beams, width = x.shape
        copy = lend_floats(self.pool, 2 * x.size).reshape(layers, 2 * capacity, beams, width)
        copy[:, :capacity] = x
        return copy


def empty_cache(pool: Pool, cross: CrossKV, beams: int, vocabulary: int) -> Cache:
    """A cache of FIRST_CAPACITY positions for K beams over the projected memory."""
    shape = (cross.layers, FIRST_CAPACITY, beams, cross.heads * cross.width)
    keys, values = (lend_floats(pool, math.prod(shape)).reshape(shape) for _ in range(2))
    ancestors = np.zeros((beams, FIRST_CAPACITY), np.int64)
    return Cache(cross, keys, values, ancestors, np.arange(beams), BestFinder(beams, vocabulary), pool)
