"""Attention of a few beams over many keys, as a decoder step needs it (plain twin: ops.attention).

Here the keys stand in the lanes, and beams are rows: scores (K, S) = Q K^T is a product with few rows like all of the
step's, with K^T in the place of packed weights, and so is (K, S) V. With beams in the lanes (`attention.attend`), 11 of
16 lanes would compute nothing for 5 beams.

Over the cache: beams share most of their past, so the rows of the cache that any beam continues are listed once a step
(`list_rows`), gathered for each head (`remember`), and a mask hides a row from the beams that do not continue it.
"""

import numpy as np

from .jit import ADDRESS_1, ARRAY, FLOAT, INT, inner, part
from .late import types
from .linear import BLOCK, NO_FLOOR
from .pack import PANEL
from .tile import MAX_ROWS, tile
from .vector import LANES, at, exp, greatest, load, maximum, move, put, splat, store, total

LOWEST = np.float32(-3e38)
INTEGERS = types.int64[::1]


@inner
def whole_panels(count):
    """Keys are taken 32 at a time; the lanes behind the last one hold zeros, and what comes of them is not used."""
    return -(-count // PANEL) * PANEL


@inner
def list_rows(beams, length, capacity, ancestors, rows, mask, stride):
    """Which rows (position * K + writer) of the cache any beam continues, this step's own included.

    rows gets their number, then the rows; mask (K, stride) 0 where the beam continues the row, else -inf.
    """
    count = 0
    for u in range(length + 1):
        begin = count
        for k in range(beams):
            row = u * beams + (ancestors[k * capacity + u] if u < length else k)
            i = begin
            while i < count and rows[1 + i] != row:
                i += 1
            if i == count:
                rows[1 + i] = row
                count += 1
                for other in range(beams):
                    mask[other * stride + i] = -np.inf
            mask[k * stride + i] = 0.0
    rows[0] = count
    for k in range(beams):
        for i in range(count, whole_panels(count)):
            mask[k * stride + i] = 0.0


@inner
def copy_row(source, start, target, to, width):
    """Copy `width` floats."""
    whole = width - width % LANES
    for i in range(0, whole, LANES):
        store(at(target, to + i), load(at(source, start + i)))
    for i in range(whole, width):
        target[to + i] = source[start + i]


@part(types.void(INT, INT, INT, INT, INT, INT, INT, ARRAY, ARRAY, INTEGERS, ARRAY, ARRAY, INT, INT))
def remember(base, here, head, width, beams, full, padded, keys, values, rows, qkv, gathered, to, stride):
    """Write one head of the new keys and values into the cache, gather that head of all rows that beams continue.

    base, here: the layer's first row in the cache and this step's first; full is D. gathered[to:] gets K^T (width,
    stride), behind it V (rows, width in whole panels).
    """
    values_at, row = to + width * stride, whole_panels(width)
    for k in range(beams):
        place = (here + k) * full + head
        copy_row(qkv, (beams + k) * padded + head, keys, place, width)
        copy_row(qkv, (2 * beams + k) * padded + head, values, place, width)
    for i in range(rows[0]):
        place = (base + rows[1 + i]) * full + head
        copy_row(values, place, gathered, values_at + i * row, width)
        for d in range(width):
            gathered[to + d * stride + i] = keys[place + d]
        for d in range(width, row):
            gathered[values_at + i * row + d] = 0.0
    for d in range(width):
        for i in range(rows[0], whole_panels(rows[0])):
            gathered[to + d * stride + i] = 0.0


@inner
def _soften(scores, count, scale):
    """One row of scores becomes softmax(scale scores), in whole vectors with zeros behind."""
    for i in range(count, -(-count // LANES) * LANES):
        put(move(scores, i), NO_FLOOR)
    a = b = splat(LOWEST)
    for i in range(0, count, LANES):
        a, b = b, maximum(a, load(move(scores, i)))
    top, factor, sums = splat(greatest(maximum(a, b))), splat(scale), splat(np.float32(0.0))
    for i in range(0, count, LANES):
        e = exp((load(move(scores, i)) - top) * factor)
        store(move(scores, i), e)
        sums = sums + e
    inverse = splat(np.float32(1.0) / total(sums))
    for i in range(0, count, LANES):
        store(move(scores, i), load(move(scores, i)) * inverse)


@part(types.void(ADDRESS_1, ADDRESS_1, ADDRESS_1, ADDRESS_1, INT, INT, INT, FLOAT, INT, ADDRESS_1, ADDRESS_1))
def attend_beams(q, keys, values, mask, beams, count, width, scale, zeros, scores, y):
    """One head: y = softmax(scale (Q K^T + mask)) V for K beams.

    q (address, row), keys (address, feature) holds K^T, values (address, key), mask (address, row) or zeros with stride
    0, scores (address, row) for scratch, y (address, row). Whole panels of 32 may be read and written in rows of keys,
    values, mask, scores and y.
    """
    masked = LANES if mask[1] else 0
    for key in range(0, count, PANEL):
        for r in range(0, beams, MAX_ROWS):
            tile(
                min(MAX_ROWS, beams - r),
                2,
                width,
                (move(q[0], r * q[1]), q[1], 1),
                (move(keys[0], key), keys[1], LANES),
                (zeros, 0),
                (zeros, 0),
                (move(mask[0], r * mask[1] + (key if masked else 0)), mask[1], masked),
                NO_FLOOR,
                (move(scores[0], r * scores[1] + key), scores[1], LANES),
                (zeros, 0),
            )
    for r in range(beams):
        _soften(move(scores[0], r * scores[1]), count, scale)
    for feature in range(0, width, PANEL):
        for first in range(0, count, BLOCK):
            for r in range(0, beams, MAX_ROWS):
                place = (move(y[0], r * y[1] + feature), y[1], LANES)
                tile(
                    min(MAX_ROWS, beams - r),
                    2 if width - feature > LANES else 1,
                    min(BLOCK, count - first),
                    (move(scores[0], r * scores[1] + first), scores[1], 1),
                    (move(values[0], first * values[1] + feature), values[1], LANES),
                    (zeros, 0),
                    (zeros, 0),
                    place if first else (zeros, 0, 0),
                    NO_FLOOR,
                    place,
                    (zeros, 0),
                )
