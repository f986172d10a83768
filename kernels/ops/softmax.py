"""What the search needs of all logits: their peaks and the best of them (search.Outlook).

Peaks are the maximum of each panel of 32 logits, of each row, and a row's log sum exp(x - maximum). For the best, only
panels are looked into whose maximum can reach them.

For 5 rows of 10,000: log softmax, which writes a table, took 27 us, and going through that for the best 10 another 18.
"""

import numpy as np

from ..build.jit import ARRAY, INT, bind, inner, kernel
from ..build.lazy_numba import types
from ..simd.vector import LANES, at, exp_falling, greatest, load, maximum, splat, total
from ..weights.pack import PANEL


@inner
def panel_highest(x, start, count):
    """Greatest of x[start : start + count], 32 or fewer. A NaN may be lost; that of `row_shift` tells of it."""
    if count == PANEL:
        return greatest(maximum(load(at(x, start)), load(at(x, start + LANES))))
    top = x[start]
    for i in range(start + 1, start + count):
        top = x[i] if x[i] > top else top
    return top


@inner
def row_highest(highest, first, panels):
    """Greatest of a row, from those of its panels: highest[first : first + panels]."""
    whole, a = panels - panels % LANES, splat(np.float32(-np.inf))
    for i in range(0, whole, LANES):
        a = maximum(a, load(at(highest, first + i)))
    top = greatest(a)
    for i in range(first + whole, first + panels):
        top = highest[i] if highest[i] > top else top
    return top


@inner
def row_shift(x, start, width, top):
    """log sum exp(x - top) over x[start : start + width]: not finite if one is NaN or +inf, or all are -inf."""
    whole, shift = width - width % PANEL, splat(top)
    a, b = splat(np.float32(0.0)), splat(np.float32(0.0))
    for i in range(start, start + whole, PANEL):
        a, b = a + exp_falling(load(at(x, i)) - shift), b + exp_falling(load(at(x, i + LANES)) - shift)
    result = total(a + b)
    for i in range(start + whole, start + width):
        result += np.exp(x[np.uint64(i)] - top)
    return np.float32(np.log(result))


@kernel(types.void(ARRAY, INT, INT, ARRAY))
def peaks_of_rows(x, rows, width, y):
    """x (K, V) -> y: top (K,), shift (K,), highest (K, G), one behind the other; all flat."""
    panels = -(-width // PANEL)
    for r in range(rows):
        row, first = r * width, 2 * rows + r * panels
        for g in range(panels):
            y[first + g] = panel_highest(x, row + g * PANEL, min(PANEL, width - g * PANEL))
        y[r] = row_highest(y, first, panels)
        y[rows + r] = row_shift(x, row, width, y[r])


@inner
def _insert(score, place, scores, places, filled, room):
    """Put one into the descending list of the best, behind its equals; the last falls out of a full list."""
    i = min(filled, room - 1)
    while i > 0 and scores[i - 1] < score:
        scores[i], places[i] = scores[i - 1], places[i - 1]
        i -= 1
    scores[i], places[i] = score, place


@kernel(types.void(ARRAY, INT, INT, INT, ARRAY, types.int64[::1]))
def best_of_rows(x, rows, width, known, y, places):
    """The highest of (x[r, v] - top[r] - shift[r]) + added[r], highest first, equals in their order.

    x[known:] is as peaks_of_rows has made it, of logits (K, V) that begin at x[places[-1] :], maybe outside of x.
    y: the scores that are found, their log-probabilities, and, given, added (K,). places: their tokens, their rows.
    There are as many as there is room for, and that many logits at least. A group's maximum is a bound, for logits may
    have been lowered: groups that hold none of the best so far are passed over, 16 at once.
    """
    room, groups, filled, start = len(places) // 2, -(-width // PANEL), 0, places[-1]
    for r in range(rows):
        top, shift, more = x[known + r], x[known + rows + r], y[2 * room + r]
        row, highest = start + r * width, known + 2 * rows + r * groups
        for first in range(0, groups, LANES):
            last = min(first + LANES, groups)
            if filled == room and last - first == LANES:
                bounds = load(at(x, highest + first)) - splat(top) - splat(shift) + splat(more)
                if greatest(bounds) <= y[room - 1]:
                    continue
            for g in range(first, last):
                if filled == room and x[highest + g] - top - shift + more <= y[room - 1]:
                    continue
                for v in range(g * PANEL, min((g + 1) * PANEL, width)):
                    score = x[np.uint64(row + v)] - top - shift + more
                    if filled < room or score > y[room - 1]:
                        _insert(score, r * width + v, y, places, filled, room)
                        filled = min(filled + 1, room)
    for i in range(room):
        r, v = places[i] // width, places[i] % width
        y[room + i] = x[np.uint64(start + r * width + v)] - x[known + r] - x[known + rows + r]
        places[i], places[room + i] = v, r


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
        self.search = bind(best_of_rows, *self.place, self.y, self.places)

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
