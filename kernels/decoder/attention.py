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
moving scalars; heads in one piece (memory.py) and no gathering: 390 us. Over a history of 17 positions, in the nearest
cache, one beam and head: sums of lanes position by position 0.36 us; four positions at a time 0.30; exponentials that
make no denormal numbers of -inf, and all beams together at each stage, 0.21 to 0.28.
"""

import numpy as np

from ..build.arguments import Address1, Floats, Single, Words
from ..build.device import inlined, linked
from ..layout import NO_FLOOR, PANEL
from ..ops.gemm import AHEAD
from ..simd.tile import MAX_ROWS, tile
from ..simd.vector import LANES, at, exp_falling, fma, greatest, load, maximum, move, put, splat, store, total, totals
from .host import MEMORY_KEYS

LOWEST = np.float32(-3e38)  # where the maximum starts: below any score, and finite


@inlined
def copy_row(source, start, target, to, width):
    """Copy `width` floats."""
    whole = width - width % LANES
    for i in range(0, whole, LANES):
        store(at(target, to + i), load(at(source, start + i)))
    for i in range(whole, width):
        target[to + i] = source[start + i]


@inlined
def _highest(scores, count, highest):
    """The greatest of some scores (address), or `highest`; the rest of the last vector becomes -inf."""
    for i in range(count, -(-count // LANES) * LANES):
        put(move(scores, i), NO_FLOOR)
    a = b = splat(highest)
    for i in range(0, count, LANES):
        a, b = b, maximum(a, load(move(scores, i)))
    return greatest(maximum(a, b))


@inlined
def _exponentials(scores, count, top, scale):
    """Scores (address) become exp((score - top) scale), with zeros behind; returns their sum."""
    shift, factor, a, b = splat(top), splat(scale), splat(np.float32(0.0)), splat(np.float32(0.0))
    for i in range(0, count, LANES):
        e = exp_falling((load(move(scores, i)) - shift) * factor)
        store(move(scores, i), e)
        a, b = b, a + e
    return total(a + b)


@inlined
def _scale_row(y, start, width, factor):
    """y[start : start + width], in whole vectors, times factor."""
    for d in range(0, width, LANES):
        store(at(y, start + d), load(at(y, start + d)) * splat(factor))


@inlined
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
                (move(keys, key * width + AHEAD), PANEL),
            )


@inlined
def _mix(values, positions, row, beams, count, first, zeros, scores, y):
    """Add weights times values of one block to y (address), (K, row), or start y; values are [panel][position][32]."""
    for feature in range(0, row, PANEL):
        for r in range(0, beams, MAX_ROWS):
            place, panel = (move(y, r * row + feature), row, LANES), move(values, feature * positions)
            tile(
                min(MAX_ROWS, beams - r),
                2,
                count,
                (move(scores[0], r * scores[1]), scores[1], 1),
                (panel, PANEL, LANES),
                (zeros, 0),
                (zeros, 0),
                place if first else (zeros, 0, 0),
                NO_FLOOR,
                place,
                (move(panel, AHEAD), PANEL),
            )


@linked
def attend_memory(
    q: Address1,
    keys: int,
    values: int,
    beams: int,
    count: int,
    width: int,
    scale: Single,
    zeros: int,
    scratch: Floats,
    own: int,
):
    """One head: softmax(scale Q K^T) V for K beams; returns it at scratch[own:], (K, width in whole panels).

    q (address, row); keys and values are addresses of what memory.py makes, for `count` positions.
    """
    row = -(-width // PANEL) * PANEL
    highest = own + beams * row
    sums, room = highest + beams, highest + 2 * beams
    scores = (at(scratch, room), MEMORY_KEYS)
    for r in range(beams):
        scratch[highest + r], scratch[sums + r] = LOWEST, np.float32(0.0)
    for first in range(0, count, MEMORY_KEYS):
        here = min(MEMORY_KEYS, count - first)
        _scores(q, move(keys, first * width), beams, here, width, zeros, scores)
        for r in range(beams):
            line = at(scratch, room + r * MEMORY_KEYS)
            top = _highest(line, here, scratch[highest + r])
            if first:
                correction = np.exp((scratch[highest + r] - top) * scale)
                scratch[sums + r] *= correction
                _scale_row(scratch, own + r * row, row, correction)
            scratch[highest + r] = top
            scratch[sums + r] += _exponentials(line, here, top, scale)
        block = move(values, first * PANEL)
        _mix(block, count, row, beams, here, first, zeros, scores, at(scratch, own))
    for r in range(beams):
        _scale_row(scratch, own + r * row, row, np.float32(1.0) / scratch[sums + r])


@inlined
def _row(start, beams, full, writers, first, u):
    """Where a beam's position u lies."""
    return start + (u * beams + writers[first + u]) * full


@inlined
def _products(q, query, keys, place, sums):
    """Add products of 32 features to 16 sums."""
    sums = fma(load(at(q, query)), load(at(keys, place)), sums)
    return fma(load(at(q, query + LANES)), load(at(keys, place + LANES)), sums)


@inlined
def _score_history(q, query, keys, start, beams, full, writers, first, count, width, scores, own):
    """q K^T for all positions, four at a time, so that they share the work of adding lanes up."""
    whole, zero = width - width % PANEL, splat(np.float32(0.0))
    for u in range(0, count, 4):
        place_a = _row(start, beams, full, writers, first, u)
        place_b = _row(start, beams, full, writers, first, min(u + 1, count - 1))
        place_c = _row(start, beams, full, writers, first, min(u + 2, count - 1))
        place_d = _row(start, beams, full, writers, first, min(u + 3, count - 1))
        a, b, c, d = zero, zero, zero, zero
        for f in range(0, whole, PANEL):
            a, b = _products(q, query + f, keys, place_a + f, a), _products(q, query + f, keys, place_b + f, b)
            c, d = _products(q, query + f, keys, place_c + f, c), _products(q, query + f, keys, place_d + f, d)
        store(at(scores, own + u), totals(a, b, c, d))
    if whole < width:
        for u in range(count):
            place = _row(start, beams, full, writers, first, u)
            for f in range(whole, width):
                scores[own + u] += q[query + f] * keys[place + f]


@inlined
def _mix_history(values, start, beams, full, writers, first, count, width, scores, own, y, to):
    """Sum over all positions of score times values."""
    whole = width - width % PANEL
    for f in range(0, whole, PANEL):
        a, b = splat(np.float32(0.0)), splat(np.float32(0.0))
        for u in range(count):
            place, score = _row(start, beams, full, writers, first, u) + f, splat(scores[own + u])
            a, b = fma(score, load(at(values, place)), a), fma(score, load(at(values, place + LANES)), b)
        store(at(y, to + f), a)
        store(at(y, to + f + LANES), b)
    for f in range(whole, width):
        y[to + f] = np.float32(0.0)
        for u in range(count):
            y[to + f] += scores[own + u] * values[_row(start, beams, full, writers, first, u) + f]


@linked
def attend_cache(
    room: Floats,
    query: int,
    row: int,
    keys: Floats,
    values: Floats,
    start: int,
    beams: int,
    full: int,
    writers: Words,
    capacity: int,
    count: int,
    width: int,
    scale: Single,
    own: int,
    to: int,
    apart: int,
):
    """One head of K beams: softmax(scale q K^T) V -> room[to + k * row :], q of beam k at room[query + k * row :].

    Position u of its history is at keys[start + (u * beams + writers[k * capacity + u]) * full:], and so in values.
    The last of `count` positions is the one being written, whose rows the caller has put there. room[own:] has place
    for scores (K, apart), `count` in whole vectors. Beams are together at each stage: each waits for itself only.
    """
    for k in range(beams):
        line = own + k * apart
        _score_history(room, query + k * row, keys, start, beams, full, writers, k * capacity, count, width, room, line)
    for k in range(beams):
        line = at(room, own + k * apart)
        inverse = np.float32(1.0) / _exponentials(line, count, _highest(line, count, LOWEST), scale)
        _scale_row(room, own + k * apart, count, inverse)
    for k in range(beams):
        line = own + k * apart
        _mix_history(values, start, beams, full, writers, k * capacity, count, width, room, line, room, to + k * row)
