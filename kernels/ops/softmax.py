"""The summary of all logits that the search needs (search.NextToken): their peaks, and the best of them.

Peaks are the maximum of each panel of 32 logits, of each row, and a row's log sum exp(x - maximum). For the best, only
panels are looked into whose maximum can reach them. A table is one array: logits (K, V), then top (K,), shift (K,), and
highest (K, panels).

For 5 rows of 10,000: log softmax, which writes a table, took 27 us, and finding the best 10 in it another 18.
"""

import numpy as np

from ..build.device import entry, inlined
from ..layout import PANEL
from ..simd.addresses import floats_at
from ..simd.vector import LANES, at, exp_falling, greatest, load, maximum, skip, splat, total
from .softmax_host import BestOfRowsCall, PeaksOfRowsCall


@inlined
def panel_highest(x, start, count):
    """Greatest of x[start : start + count], 32 or fewer. A NaN may be dropped here; row_shift detects it."""
    if count == PANEL:
        return greatest(maximum(load(at(x, start)), load(at(x, start + LANES))))
    top = x[start]
    for i in range(start + 1, start + count):
        top = x[i] if x[i] > top else top
    return top


@inlined
def row_highest(highest, first, panels):
    """Greatest of a row, from those of its panels: highest[first : first + panels]."""
    vectors, a = panels - panels % LANES, splat(np.float32(-np.inf))
    for i in range(0, vectors, LANES):
        a = maximum(a, load(at(highest, first + i)))
    top = greatest(a)
    for i in range(first + vectors, first + panels):
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
    """The peaks of the logits (K, V) that a table begins with, into the rest of the table."""
    rows, width = call.rows, call.width
    panels, peaks = -(-width // PANEL), skip(call.table, rows * width)
    for r in range(rows):
        row, first = r * width, 2 * rows + r * panels
        for g in range(panels):
            peaks[first + g] = panel_highest(call.table, row + g * PANEL, min(PANEL, width - g * PANEL))
        peaks[r] = row_highest(peaks, first, panels)
        peaks[rows + r] = row_shift(call.table, row, width, peaks[r])


@inlined
def _insert(score, place, call, filled):
    """Put one into the descending list of the best, after its equals; the last falls out of a full list."""
    scores, places = call.y, call.places
    i = min(filled, call.count - 1)
    while i > 0 and scores[i - 1] < score:
        scores[i], places[i] = scores[i - 1], places[i - 1]
        i -= 1
    scores[i], places[i] = score, place


@inlined
def _search_group(call, r, g, table, filled):
    """Put the scores of a group of logits that belong there into the list; how many are in it then."""
    rows, width, y, worst = call.rows, call.width, call.y, call.count - 1
    peaks = skip(table, rows * width)
    top, shift, more = peaks[r], peaks[rows + r], y[2 * call.count + r]
    for v in range(g * PANEL, min((g + 1) * PANEL, width)):
        score = table[r * width + v] - top - shift + more
        if filled < call.count or score > y[worst]:
            _insert(score, r * width + v, call, filled)
            filled = min(filled + 1, call.count)
    return filled


@inlined
def _search_row(call, r, table, filled):
    """The same for all groups of a row. Those that hold none of the best so far are passed over, LANES at once."""
    rows, y, worst, groups = call.rows, call.y, call.count - 1, -(-call.width // PANEL)
    peaks = skip(table, rows * call.width)
    top, shift, more, highest = peaks[r], peaks[rows + r], y[2 * call.count + r], 2 * rows + r * groups
    for first in range(0, groups, LANES):
        last = min(first + LANES, groups)
        if filled == call.count and last - first == LANES:
            bounds = load(at(peaks, highest + first)) - splat(top) - splat(shift) + splat(more)
            if greatest(bounds) <= y[worst]:
                continue
        for g in range(first, last):
            if filled < call.count or peaks[highest + g] - top - shift + more > y[worst]:
                filled = _search_group(call, r, g, table, filled)
    return filled


@entry
def best_of_rows(call: BestOfRowsCall):
    """The highest of (logits[r, v] - top[r] - shift[r]) + added[r], highest first, equals in their order.

    `count` are found, and there are that many logits at least. y: their scores, their log-probabilities, and, given,
    added (K,). places: their tokens, their rows, and, given, the address of the table. A group's maximum is a bound:
    logits may have been lowered since.
    """
    count, rows, width, y, places = call.count, call.rows, call.width, call.y, call.places
    table, filled = floats_at(places[2 * count]), 0
    peaks = skip(table, rows * width)
    for r in range(rows):
        filled = _search_row(call, r, table, filled)
    for i in range(count):
        r, v = places[i] // width, places[i] % width
        y[count + i] = table[r * width + v] - peaks[r] - peaks[rows + r]
        places[i], places[count + i] = v, r
