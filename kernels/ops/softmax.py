"""What the search needs of all logits: their peaks and the best of them (search.Outlook).

Peaks are the maximum of each panel of 32 logits, of each row, and a row's log sum exp(x - maximum). For the best, only
panels are looked into whose maximum can reach them.

For 5 rows of 10,000: log softmax, which writes a table, took 27 us, and going through that for the best 10 another 18.
"""

import numpy as np

from ..build.device import entry, inlined
from ..layout import PANEL
from ..simd.vector import LANES, at, exp_falling, greatest, load, maximum, splat, total
from .softmax_host import BestOfRowsCall, PeaksOfRowsCall


@inlined
def panel_highest(x, start, count):
    """Greatest of x[start : start + count], 32 or fewer. A NaN may be lost; that of `row_shift` tells of it."""
    if count == PANEL:
        return greatest(maximum(load(at(x, start)), load(at(x, start + LANES))))
    top = x[start]
    for i in range(start + 1, start + count):
        top = x[i] if x[i] > top else top
    return top


@inlined
def row_highest(highest, first, panels):
    """Greatest of a row, from those of its panels: highest[first : first + panels]."""
    whole, a = panels - panels % LANES, splat(np.float32(-np.inf))
    for i in range(0, whole, LANES):
        a = maximum(a, load(at(highest, first + i)))
    top = greatest(a)
    for i in range(first + whole, first + panels):
        top = highest[i] if highest[i] > top else top
    return top


@inlined
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


@entry
def peaks_of_rows(call: PeaksOfRowsCall):
    """x (K, V) -> y: top (K,), shift (K,), highest (K, G), one behind the other; all flat."""
    x, rows, width, y = call
    panels = -(-width // PANEL)
    for r in range(rows):
        row, first = r * width, 2 * rows + r * panels
        for g in range(panels):
            y[first + g] = panel_highest(x, row + g * PANEL, min(PANEL, width - g * PANEL))
        y[r] = row_highest(y, first, panels)
        y[rows + r] = row_shift(x, row, width, y[r])


@inlined
def _insert(score, place, scores, places, filled, room):
    """Put one into the descending list of the best, behind its equals; the last falls out of a full list."""
    i = min(filled, room - 1)
    while i > 0 and scores[i - 1] < score:
        scores[i], places[i] = scores[i - 1], places[i - 1]
        i -= 1
    scores[i], places[i] = score, place


@entry
def best_of_rows(call: BestOfRowsCall):
    """The highest of (x[r, v] - top[r] - shift[r]) + added[r], highest first, equals in their order.

    x[known:] is as peaks_of_rows has made it, of logits (K, V) that begin at x[places[2 * room] :], maybe outside of x.
    y: the scores that are found, their log-probabilities, and, given, added (K,). places: their tokens, their rows.
    `room` are found, and there are that many logits at least. A group's maximum is a bound, for logits may
    have been lowered: groups that hold none of the best so far are passed over, 16 at once.
    """
    x, rows, width, known, y, room, places = call
    groups, filled, start = -(-width // PANEL), 0, places[2 * room]
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
                    score = x[row + v] - top - shift + more
                    if filled < room or score > y[room - 1]:
                        _insert(score, r * width + v, y, places, filled, room)
                        filled = min(filled + 1, room)
    for i in range(room):
        r, v = places[i] // width, places[i] % width
        y[room + i] = x[start + r * width + v] - x[known + r] - x[known + rows + r]
        places[i], places[room + i] = v, r
