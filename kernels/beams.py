"""Attention of a few beams, as a decoder step needs it (plain twin: ops.attention): over the memory, over the cache.

Over the memory (`attend_memory`), which all beams share, keys stand in the lanes and beams are rows: scores Q K^T are
a product with few rows like all of the step's, with K^T in the place of packed weights, and so is their product with
V. Keys come in blocks, with the running maximum and sum of online softmax (see attention.py), so that scratch does not
grow with the recording.

Over the cache (`attend_cache`) each beam reads its own history, row by row, where beams wrote it: products along the
features, which lie side by side.

Versions (s2t-small, 5 beams, one core, a step's 6 layers): beams in the lanes (`attention.attend`), of which 11 in 16
compute nothing, lost to keys in the lanes. Those read K^T of all heads in rows of S, and over the cache gathered and
transposed whatever any beam continues: 755 us with 250 positions and 16 tokens, most of it waiting for memory and
moving scalars; heads in one piece (memory.py) and no gathering: 390 us.
"""

import numpy as np

from .jit import ADDRESS_1, ARRAY, FLOAT, INT, inner, part
from .late import types
from .linear import NO_FLOOR
from .pack import PANEL
from .tile import MAX_ROWS, tile
from .vector import LANES, at, exp, fma, greatest, load, maximum, move, put, splat, store, total

LOWEST = np.float32(-3e38)  # where the maximum starts: below any score, and finite
KEYS = 256  # of the memory in a block
INTEGERS = types.int64[::1]


@inner
def copy_row(source, start, target, to, width):
    """Copy `width` floats."""
    whole = width - width % LANES
    for i in range(0, whole, LANES):
        store(at(target, to + i), load(at(source, start + i)))
    for i in range(whole, width):
        target[to + i] = source[start + i]


@inner
def _highest(scores, count, highest):
    """The greatest of some scores (address), or `highest`; the rest of the last vector becomes -inf."""
    for i in range(count, -(-count // LANES) * LANES):
        put(move(scores, i), NO_FLOOR)
    a = b = splat(highest)
    for i in range(0, count, LANES):
        a, b = b, maximum(a, load(move(scores, i)))
    return greatest(maximum(a, b))


@inner
def _exponentials(scores, count, top, scale):
    """Scores (address) become exp((score - top) scale), with zeros behind; returns their sum."""
    shift, factor, a, b = splat(top), splat(scale), splat(np.float32(0.0)), splat(np.float32(0.0))
    for i in range(0, count, LANES):
        e = exp((load(move(scores, i)) - shift) * factor)
        store(move(scores, i), e)
        a, b = b, a + e
    return total(a + b)


@inner
def _scale_row(y, start, width, factor):
    """y[start : start + width], in whole vectors, times factor."""
    for d in range(0, width, LANES):
        store(at(y, start + d), load(at(y, start + d)) * splat(factor))


@inner
def _scores(q, keys, beams, count, width, zeros, scores):
    """Q K^T of one block: q (address, row), keys [key / 32][feature][32] -> scores (address, row)."""
    for key in range(0, count, PANEL):
        for r in range(0, beams, MAX_ROWS):
            tile(
                min(MAX_ROWS, beams - r),
                2,
                width,
                (move(q[0], r * q[1]), q[1], 1),
                (move(keys, key * width), PANEL, LANES),
                (zeros, 0),
                (zeros, 0),
                (zeros, 0, 0),
                NO_FLOOR,
                (move(scores[0], r * scores[1] + key), scores[1], LANES),
                (zeros, 0),
            )


@inner
def _mix(values, row, beams, count, first, zeros, scores, y):
    """Add weights times values of one block, [key][row], to y (address), (K, row); or start y with the first block."""
    for feature in range(0, row, PANEL):
        for r in range(0, beams, MAX_ROWS):
            place = (move(y, r * row + feature), row, LANES)
            tile(
                min(MAX_ROWS, beams - r),
                min(2, (row - feature) // LANES),
                count,
                (move(scores[0], r * scores[1]), scores[1], 1),
                (move(values, feature), row, LANES),
                (zeros, 0),
                (zeros, 0),
                place if first else (zeros, 0, 0),
                NO_FLOOR,
                place,
                (zeros, 0),
            )


def memory_scratch(beams, width):
    """Floats that `attend_memory` needs: maximum and sum of each beam, results, scores of a block."""
    return beams * (2 + -(-width // LANES) * LANES + KEYS)


@part(types.void(ADDRESS_1, INT, INT, INT, INT, INT, FLOAT, INT, ARRAY, INT))
def attend_memory(q, keys, values, beams, count, width, scale, zeros, scratch, own):
    """One head: softmax(scale Q K^T) V for K beams; returns it at scratch[own:], (K, width in whole vectors).

    q (address, row); keys and values are addresses of what memory.py makes, for `count` positions.
    """
    row = -(-width // LANES) * LANES
    highest = own + beams * row
    sums, block = highest + beams, highest + 2 * beams
    scores = (at(scratch, block), KEYS)
    for r in range(beams):
        scratch[highest + r], scratch[sums + r] = LOWEST, np.float32(0.0)
    for first in range(0, count, KEYS):
        here = min(KEYS, count - first)
        _scores(q, move(keys, first * width), beams, here, width, zeros, scores)
        for r in range(beams):
            line = at(scratch, block + r * KEYS)
            top = _highest(line, here, scratch[highest + r])
            if first:
                correction = np.exp((scratch[highest + r] - top) * scale)
                scratch[sums + r] *= correction
                _scale_row(scratch, own + r * row, row, correction)
            scratch[highest + r] = top
            scratch[sums + r] += _exponentials(line, here, top, scale)
        _mix(move(values, first * row), row, beams, here, first, zeros, scores, at(scratch, own))
    for r in range(beams):
        _scale_row(scratch, own + r * row, row, np.float32(1.0) / scratch[sums + r])


@inner
def _dot(x, i, y, j, width):
    """Sum of x[i + d] y[j + d] over `width` features."""
    whole, sums = width - width % LANES, splat(np.float32(0.0))
    for d in range(0, whole, LANES):
        sums = fma(load(at(x, i + d)), load(at(y, j + d)), sums)
    result = total(sums)
    for d in range(whole, width):
        result += x[i + d] * y[j + d]
    return result


@part(types.void(ARRAY, INT, ARRAY, ARRAY, INT, INT, INT, INTEGERS, INT, INT, INT, FLOAT, ARRAY, INT, ARRAY, INT))
def attend_cache(q, query, keys, values, start, beams, full, writers, first, count, width, scale, scores, own, y, to):
    """One head of one beam: softmax(scale q K^T) V -> y[to : to + width], q at q[query:].

    Its history's position u is at keys[start + (u * beams + writers[first + u]) * full:], and so in values. The last of
    `count` positions is the one being written, whose rows the caller has put there. scores[own:] has room for `count`
    in whole vectors.
    """
    for u in range(count):
        place = start + (u * beams + writers[first + u]) * full
        scores[own + u] = _dot(q, query, keys, place, width)
    line = at(scores, own)
    top = _highest(line, count, LOWEST)
    inverse = np.float32(1.0) / _exponentials(line, count, top, scale)
    whole = width - width % LANES
    for d in range(0, whole, LANES):
        a, b = splat(np.float32(0.0)), splat(np.float32(0.0))
        for u in range(count):
            place = start + (u * beams + writers[first + u]) * full + d
            a, b = b, fma(splat(scores[own + u]), load(at(values, place)), a)
        store(at(y, to + d), (a + b) * splat(inverse))
    for d in range(whole, width):
        mixed = np.float32(0.0)
        for u in range(count):
            mixed += scores[own + u] * values[start + (u * beams + writers[first + u]) * full + d]
        y[to + d] = mixed * inverse
