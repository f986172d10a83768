"""The host's side of the logits' peaks: tables that hold them, and the best of all logits found through them."""

from ctypes import addressof, c_float
from typing import NamedTuple

import numpy as np

from .. import doors
from ..build.arguments import OutFloats, OutWords
from ..build.entry import Entry
from ..layout import PANEL


class PeaksOfRowsCall(NamedTuple):
    """The arguments of `peaks_of_rows`."""

    table: OutFloats
    rows: int  # K
    width: int  # V


class BestOfRowsCall(NamedTuple):
    """The arguments of `best_of_rows`."""

    rows: int  # K
    width: int  # V
    count: int
    y: OutFloats  # (2 count + K,)
    places: OutWords  # (2 count + 1,)


peaks_of_rows = Entry("ops.softmax", "peaks_of_rows", PeaksOfRowsCall)
best_of_rows = Entry("ops.softmax", "best_of_rows", BestOfRowsCall, brief=True)


class LogitsTable:
    """Logits (K, V) and their peaks, in one array."""

    def __init__(self, rows: int, width: int):
        """Uninitialised, for K rows of V logits."""
        size = rows * width
        self.array = np.empty(size + (2 - (-width // PANEL)) * rows, np.float32)
        self.logits = self.array[:size].reshape(rows, width)
        self.top, self.shift = self.array[size : size + 2 * rows].reshape(2, rows)
        self.address = addressof(c_float.from_buffer(self.array))


def table_of(logits: np.ndarray) -> LogitsTable:
    """A copy of logits (K, V), with their peaks."""
    table = LogitsTable(*logits.shape)
    table.logits[:] = logits
    peaks_of_rows(table.array, *logits.shape)
    return table


class BestFinder:
    """Finds the best of K rows of V logits, for tables that come one after the other.

    Its call is bound once: spelling out the arrays takes longer than finding the best.
    """

    def __init__(self, rows: int, width: int):
        self.rows, self.width = rows, width
        self._bind(min(2 * rows, rows * width))  # as many as a beam search asks for

    def _bind(self, count: int) -> None:
        """Prepare the call for that many: all of it, or nothing where there is no memory."""
        y, places = np.empty(2 * count + self.rows, np.float32), np.empty(2 * count + 1, np.int64)
        search = best_of_rows.bind(self.rows, self.width, count, y, places)
        self.y, self.places, self.search = y, places, search

    def best(self, table: LogitsTable, added: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
        """As search.NextToken.best: the fields of its Candidates."""
        doors.added(added, self.rows)
        count = min(count, self.rows * self.width)
        if len(self.places) != 2 * count + 1:
            self._bind(count)
        self.y[2 * count :], self.places[-1] = added, table.address
        self.search()
        found, places = self.y.copy(), self.places.copy()
        return places[count : 2 * count], places[:count], found[count : 2 * count], found[:count]
