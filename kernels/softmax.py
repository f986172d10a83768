"""What the search needs of all logits: their peaks and the best of them (search.Outlook).

A row's top is the greatest of its panels' maxima, panels of 32; its shift is log sum exp(x - top), to which only those
panels are added that reach the top less 88: all exponentials of the others are zero. Where a panel has a NaN, so is
its maximum, and a sum with a NaN or an infinite logit, or one of a row of -inf, is NaN.

For 5 rows of 10,000: writing log softmax out, in three passes over a row, took 27 us, the passes over that table for
the best 10 another 20.
"""

import numpy as np

from .jit import ARRAY, INT, bind, inner, kernel
from .late import types
from .pack import PANEL
from .vector import LANES, any_nan, at, exp_falling, greatest, load, maximum, move, splat, total

VANISHED = np.float32(88.0)  # exp_falling(-88) is 0


@inner
def panel_highest(panel):
    """Greatest of 32 floats at an address, NaN if there is one."""
    a, b = load(panel), load(move(panel, LANES))
    return np.float32(np.nan) if any_nan(a, b) else greatest(maximum(a, b))


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
def sum_of_panels(x, start, highest, first, panels, top):
    """Sum of exp(x - top) over panels of 32 from x[start] on, whose maxima are highest[first:]."""
    a, b, shift = splat(np.float32(0.0)), splat(np.float32(0.0)), splat(top)
    for g in range(panels):
        if not highest[first + g] < top - VANISHED:
            panel = at(x, start + g * PANEL)
            a, b = a + exp_falling(load(panel) - shift), b + exp_falling(load(move(panel, LANES)) - shift)
    return total(a + b)


@kernel(types.void(ARRAY, INT, INT, INT, INT, ARRAY, INT))
def peaks_of_rows(x, start, stride, rows, width, y, to):
    """K rows of V, from x[start] on, to y[to:]: top (K,), shift (K,), highest (K, G), and room for a panel.

    That is for the last of a row, where it has less than 32: -inf fills it up.
    """
    panels, whole = -(-width // PANEL), width // PANEL
    first = to + 2 * rows
    spare = first + rows * panels
    for r in range(rows):
        row = start + r * stride
        for g in range(whole):
            y[first + g] = panel_highest(at(x, row + g * PANEL))
        for i in range(PANEL):
            y[spare + i] = x[row + whole * PANEL + i] if whole * PANEL + i < width else np.float32(-np.inf)
        if whole < panels:
            y[first + whole] = panel_highest(at(y, spare))
        top = row_highest(y, first, panels)
        exponentials = sum_of_panels(x, row, y, first, whole, top)
        exponentials += sum_of_panels(y, spare, y, first + whole, panels - whole, top)
        y[to + r], y[to + rows + r] = top, np.log(exponentials)
        first += panels


@inner
def _insert(score, place, scores, places, filled, room):
    """Put one into the descending list of the best, behind its equals; the last falls out of a full list."""
    i = min(filled, room - 1)
    while i > 0 and scores[i - 1] < score:
        scores[i], places[i] = scores[i - 1], places[i - 1]
        i -= 1
    scores[i], places[i] = score, place


@kernel(types.void(ARRAY, INT, INT, INT, INT, ARRAY, INT, ARRAY, types.int64[::1]))
def best_of_rows(x, start, stride, rows, width, peaks, known, y, places):
    """The highest of (x[r, v] - top[r] - shift[r]) + added[r], highest first, equals in their order.

    Rows lie as in peaks_of_rows, which has made peaks[known:]. y: the scores that are found, their log-probabilities,
    and, given, added (K,). places: their tokens, their rows. There are as many as there is room for, and x has at least
    that many. A group's maximum is a bound, for x may have been lowered: groups that hold none of the best so far are
    passed over, 16 at once.
    """
    room, groups, filled = len(places) // 2, -(-width // PANEL), 0
    for r in range(rows):
        top, shift, more = peaks[known + r], peaks[known + rows + r], y[2 * room + r]
        row, highest = start + r * stride, known + 2 * rows + r * groups
        for first in range(0, groups, LANES):
            last = min(first + LANES, groups)
            if filled == room and last - first == LANES:
                bounds = load(at(peaks, highest + first)) - splat(top) - splat(shift) + splat(more)
                if greatest(bounds) <= y[room - 1]:
                    continue
            for g in range(first, last):
                if filled == room and peaks[highest + g] - top - shift + more <= y[room - 1]:
                    continue
                for v in range(g * PANEL, min((g + 1) * PANEL, width)):
                    score = x[row + v] - top - shift + more
                    if filled < room or score > y[room - 1]:
                        _insert(score, r * width + v, y, places, filled, room)
                        filled = min(filled + 1, room)
    for i in range(room):
        r, v = places[i] // width, places[i] % width
        y[room + i] = x[start + r * stride + v] - peaks[known + r] - peaks[known + rows + r]
        places[i], places[room + i] = v, r


class Logits:
    """K rows of V logits, their peaks and the search for the best of them; calls are bound once for all steps."""

    def __init__(self, x: np.ndarray, start: int, stride: int, shape: tuple[int, int], peaks: np.ndarray, known: int):
        """Row r is x[start + r stride :], both arrays flat; peaks[known:] is what peaks_of_rows makes of it."""
        self.table, self.peaks = (x, start, stride, *shape), (peaks, known)
        self.top, self.shift = peaks[known : known + 2 * shape[0]].reshape(2, -1)
        self.y, self.places = np.empty(0, np.float32), np.empty(0, np.int64)

    def find_peaks(self) -> None:
        """Fill in the peaks."""
        peaks_of_rows(*self.table, *self.peaks)

    def best(self, added: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As search.Outlook.best: the fields of its Candidates."""
        rows, width = self.table[-2:]
        count = min(count, rows * width)
        if len(self.places) != 2 * count:
            self.y, self.places = np.empty(2 * count + rows, np.float32), np.empty(2 * count, np.int64)
            self.search = bind(best_of_rows, *self.table, *self.peaks, self.y, self.places)
        self.y[2 * count :] = added
        self.search()
        found, places = self.y.copy(), self.places.copy()
        return places[count:], places[:count], found[count : 2 * count], found[:count]


def peaks_size(rows: int, width: int) -> int:
    """Floats that peaks_of_rows needs."""
    return (2 - (-width // PANEL)) * rows + PANEL


def look(logits: np.ndarray) -> Logits:
    """The same for logits (K, V) that lie anywhere."""
    x, (rows, width) = np.ascontiguousarray(logits), logits.shape
    found = Logits(x.reshape(-1), 0, width, (rows, width), np.empty(peaks_size(rows, width), np.float32), 0)
    found.find_peaks()
    return found
