"""What the search needs of all logits: their peaks and the best of them (search.Outlook).

Peaks are the maximum of each panel of 32 logits, of each row, and a row's log sum exp(x - maximum). For the best, only
panels are looked into whose maximum can reach them.

For 5 rows of 10,000: log softmax, which writes a table, took 27 us, and going through that for the best 10 another 18.
"""

import numpy as np

from .jit import ARRAY, INT, bind, inner, kernel
from .late import types
from .pack import PANEL
from .vector import LANES, at, exp_falling, greatest, load, maximum, splat, total


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
        result += np.exp(x[i] - top)
    return np.float32(np.log(result))


@kernel(types.void(ARRAY, INT, INT, INT, INT, ARRAY, INT))
def peaks_of_rows(x, start, stride, rows, width, y, to):
    """Row r of V at x[start + r stride :] -> y[to:]: top (K,), shift (K,), highest (K, G), one behind the other."""
    panels = -(-width // PANEL)
    for r in range(rows):
        row, first = start + r * stride, to + 2 * rows + r * panels
        for g in range(panels):
            y[first + g] = panel_highest(x, row + g * PANEL, min(PANEL, width - g * PANEL))
        y[to + r] = row_highest(y, first, panels)
        y[to + rows + r] = row_shift(x, row, width, y[to + r])


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
    """K rows of V logits, their peaks, and the best of them. Made once for a place that steps fill again and again.

    Its calls are bound then: spelling out the arrays takes longer than finding the best.
    """

    def __init__(self, x: np.ndarray, start: int, stride: int, shape: tuple[int, int], peaks: np.ndarray, known: int):
        """Row r is x[start + r stride :], both arrays flat; peaks[known:] is for what peaks_of_rows makes of it."""
        rows, width = shape
        self.place, self.size = (x, start, stride, rows, width, peaks, known), rows * width
        self.top, self.shift = peaks[known : known + 2 * rows].reshape(2, rows)
        self.find_peaks = bind(peaks_of_rows, *self.place)  # where the step itself has not
        self.bind_search(2 * rows)  # as many as a beam search asks for

    def bind_search(self, count: int) -> None:
        """Make room for so many."""
        self.y, self.places = np.empty(2 * count + len(self.top), np.float32), np.empty(2 * count, np.int64)
        self.search = bind(best_of_rows, *self.place, self.y, self.places)

    def best(self, added: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As search.Outlook.best: the fields of its Candidates."""
        count = min(count, self.size)
        if len(self.places) != 2 * count:
            self.bind_search(count)
        self.y[2 * count :] = added
        self.search()
        found, places = self.y.copy(), self.places.copy()
        return places[count:], places[:count], found[count : 2 * count], found[:count]


def peaks_size(rows: int, width: int) -> int:
    """Floats that peaks_of_rows makes."""
    return (2 - (-width // PANEL)) * rows


def look(logits: np.ndarray) -> Logits:
    """Logits (K, V), contiguous, with their peaks."""
    peaks = np.empty(peaks_size(*logits.shape), np.float32)
    found = Logits(logits.reshape(-1), 0, logits.shape[1], logits.shape, peaks, 0)
    found.find_peaks()
    return found
