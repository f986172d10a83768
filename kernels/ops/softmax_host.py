"""The host's side of the logits' peaks: made by a step or by `look`, and the best of all logits found through them."""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Floats, OutFloats, OutWords
from ..build.entry import Entry
from ..layout import PANEL


class PeaksOfRowsCall(NamedTuple):
    """What `peaks_of_rows` takes."""

    x: Floats
    rows: int
    width: int
    y: OutFloats


class BestOfRowsCall(NamedTuple):
    """What `best_of_rows` takes."""

    x: Floats
    rows: int
    width: int
    known: int
    y: OutFloats
    room: int
    places: OutWords


peaks_of_rows = Entry("ops.softmax", "peaks_of_rows", PeaksOfRowsCall)
best_of_rows = Entry("ops.softmax", "best_of_rows", BestOfRowsCall)


class Peaks:
    """What is known of K rows of V logits, and the best of them; made once, for tables that come one after the other.

    Its calls are bound then: spelling out the arrays takes longer than finding the best.
    """

    def __init__(self, x: np.ndarray, shape: tuple[int, int], known: int):
        """x[known:], flat, is for what peaks_of_rows makes."""
        rows, width = shape
        self.place, self.size = (x, rows, width, known), rows * width
        self.top, self.shift = x[known : known + 2 * rows].reshape(2, rows)
        self._bind(2 * rows)  # as many as a beam search asks for

    def _bind(self, count: int) -> None:
        """Make room for so many."""
        self.y, self.places = np.empty(2 * count + len(self.top), np.float32), np.empty(2 * count + 1, np.int64)
        self.search = best_of_rows.bind(*self.place, self.y, count, self.places)

    def best(self, start: int, added: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
        """As search.Outlook.best, of logits that begin at x[start:]: the fields of its Candidates."""
        count = min(count, self.size)
        if len(self.places) != 2 * count + 1:
            self._bind(count)
        self.y[2 * count :], self.places[-1] = added, start
        self.search()
        found, places = self.y.copy(), self.places.copy()
        return places[count : 2 * count], places[:count], found[count : 2 * count], found[:count]


def peaks_size(rows: int, width: int) -> int:
    """Floats that peaks_of_rows makes."""
    return (2 - (-width // PANEL)) * rows


def look(logits: np.ndarray) -> tuple[np.ndarray, Peaks, int]:
    """A copy of logits (K, V), its peaks, and where it begins for them."""
    known = np.empty(peaks_size(*logits.shape) + logits.size, np.float32)
    table = known[-logits.size :]
    table[:] = logits.reshape(-1)
    peaks_of_rows(table, *logits.shape, known)
    return table.reshape(logits.shape), Peaks(known, logits.shape, 0), known.size - logits.size
