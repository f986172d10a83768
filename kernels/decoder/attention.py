"""Attention of a few beams, as a decoder step needs it: over the encoder's memory, and over the cache.

Plain twin: ops.attention. Over the memory (`attend_memory`), which all beams share, keys stand in the lanes and beams
are rows: scores Q K^T are a product with few rows like all of the step's, with K^T in the place of packed weights, and
so is their product with V. Keys come in blocks, with the running maximum and sum of online softmax (ops/attention.py),
so that scratch does not grow with the recording.

Over the cache (`attend_cache`) each beam reads its own history, row by row, where beams wrote it: products run along
the features, which lie side by side.

Versions (s2t-small, 5 beams, one core, a step's 6 layers): beams in the lanes (ops/attention.py), of which 11 in 16
compute nothing, lost to keys in the lanes. Those read K^T of all heads in rows of S, and over the cache gathered and
transposed whatever any beam continues: 755 us with 250 positions and 16 tokens, most of it waiting for memory and
moving scalars; heads in one piece (cross_kv.py) and no gathering: 390 us. Over a history of 17 positions, in the
nearest cache, one beam and head: sums of lanes position by position 0.36 us; four positions at a time 0.30;
exponentials that make no denormal numbers of -inf, and all beams together at each stage, 0.21 to 0.28.
"""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Floats, Single, Words
from ..build.device import inlined, linked
from ..layout import NO_FLOOR, PANEL
from ..ops.attention import LOWEST
from ..ops.matrices import AHEAD, no_operand
from ..simd.operands import Ahead, Bias, Operand, Output, TileSize
from ..simd.tile import MAX_ROWS, tile
from ..simd.tile_float16 import tile_half
from ..simd.vector import (
    LANES,
    at,
    exp_falling,
    fma,
    greatest,
    load,
    maximum,
    move,
    put,
    skip,
    splat,
    store,
    total,
    totals,
)
from .host import MEMORY_KEYS


class CrossHead(NamedTuple):
    """A head's keys and values of the memory: addresses of what cross_kv.py makes."""

    keys: int
    values: int
    positions: int  # S
    width: int  # D/H
    scale: Single
    zeros: int  # address of LANES zeros
    line: int  # words of PANEL numbers: fewer if they are halves


class History(NamedTuple):
    """The keys and values that the beams of an utterance have written so far, for one head of a layer.

    Position u of beam k's history is at keys[(u * beams + ancestors[k * capacity + u]) * row :], and so in values.
    """

    keys: Floats
    values: Floats
    ancestors: Words
    beams: int  # K
    row: int  # D
    capacity: int
    length: int  # positions, the last of which is the one being written
    width: int  # D/H
    scale: Single


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
    """Scores (address) become exp((score - top) scale), followed by zeros; returns their sum."""
    shift, factor, a, b = splat(top), splat(scale), splat(np.float32(0.0)), splat(np.float32(0.0))
    for i in range(0, count, LANES):
        e = exp_falling((load(move(scores, i)) - shift) * factor)
        store(move(scores, i), e)
        a, b = b, a + e
    return total(a + b)


@inlined
def _scale_row(y, width, factor):
    """`width` floats, in whole vectors, times factor."""
    for d in range(0, width, LANES):
        store(at(y, d), load(at(y, d)) * splat(factor))


@inlined
def _memory_scores(tile, q, head, beams, block, scores):
    """Q K^T of one block, keys [key / 32][feature][32] -> scores (address), a row of MEMORY_KEYS for each beam."""
    first, count = block
    for key in range(0, count, PANEL):
        keys = move(head.keys, (first + key) // PANEL * head.width * head.line)
        for r in range(0, beams, MAX_ROWS):
            target = Operand(move(scores, r * MEMORY_KEYS + key), MEMORY_KEYS, LANES)
            tile(
                TileSize(min(MAX_ROWS, beams - r), 2, head.width),
                Operand(move(q.address, r * q.row), q.row, 1),
                Operand(keys, head.line, head.line // 2),
                Bias(head.zeros, 0, head.zeros, 0),
                Output(target, no_operand(head.zeros), NO_FLOOR),
                Ahead(move(keys, AHEAD), head.line),
            )


@inlined
def _mix_memory(tile, head, beams, block, scores, y):
    """Add weights times values [panel][position][32] of one block to y (address), a row a beam, or start y."""
    row, (first, count) = -(-head.width // PANEL) * PANEL, block
    for feature in range(0, row, PANEL):
        panel = move(head.values, (first + feature // PANEL * head.positions) * head.line)
        for r in range(0, beams, MAX_ROWS):
            target = Operand(move(y, r * row + feature), row, LANES)
            tile(
                TileSize(min(MAX_ROWS, beams - r), 2, count),
                Operand(move(scores, r * MEMORY_KEYS), MEMORY_KEYS, 1),
                Operand(panel, head.line, head.line // 2),
                Bias(head.zeros, 0, head.zeros, 0),
                Output(target, target if first else no_operand(head.zeros), NO_FLOOR),
                Ahead(move(panel, AHEAD), head.line),
            )


@linked
def attend_memory(q: Operand, head: CrossHead, beams: int, y: Floats):
    """One head: softmax(scale Q K^T) V for K beams, the rows of q -> y (K, width in whole panels).

    What follows y is scratch: see `decoder_host.memory_scratch`.
    """
    row = -(-head.width // PANEL) * PANEL
    highest, sums, scores = skip(y, beams * row), skip(y, beams * (row + 1)), skip(y, beams * (row + 2))
    for r in range(beams):
        highest[r], sums[r] = LOWEST, np.float32(0.0)
    for first in range(0, head.positions, MEMORY_KEYS):
        count = min(MEMORY_KEYS, head.positions - first)
        if head.line == PANEL:
            _memory_scores(tile, q, head, beams, (first, count), at(scores, 0))
        else:
            _memory_scores(tile_half, q, head, beams, (first, count), at(scores, 0))
        for r in range(beams):
            line = at(scores, r * MEMORY_KEYS)
            top = _highest(line, count, highest[r])
            if first:
                correction = np.exp((highest[r] - top) * head.scale)
                sums[r] *= correction
                _scale_row(skip(y, r * row), row, correction)
            highest[r] = top
            sums[r] += _exponentials(line, count, top, head.scale)
        if head.line == PANEL:
            _mix_memory(tile, head, beams, (first, count), at(scores, 0), at(y, 0))
        else:
            _mix_memory(tile_half, head, beams, (first, count), at(scores, 0), at(y, 0))
    for r in range(beams):
        _scale_row(skip(y, r * row), row, np.float32(1.0) / sums[r])


@inlined
def _place(past, beam, u):
    """Return where a beam's position u lies in keys and values."""
    return (u * past.beams + past.ancestors[beam * past.capacity + u]) * past.row


@inlined
def _products(q, f, keys, place, sums):
    """Add products of 32 features from f on to 16 sums."""
    sums = fma(load(at(q, f)), load(at(keys, place + f)), sums)
    return fma(load(at(q, f + LANES)), load(at(keys, place + f + LANES)), sums)


@inlined
def _score_history(q, past, beam, scores):
    """q K^T for all positions, four at a time, so that they share the work of adding lanes up."""
    keys, panels, last = past.keys, past.width - past.width % PANEL, past.length - 1
    for u in range(0, past.length, 4):
        place_a, place_b = _place(past, beam, u), _place(past, beam, min(u + 1, last))
        place_c, place_d = _place(past, beam, min(u + 2, last)), _place(past, beam, min(u + 3, last))
        a = b = c = d = splat(np.float32(0.0))
        for f in range(0, panels, PANEL):
            a, b = _products(q, f, keys, place_a, a), _products(q, f, keys, place_b, b)
            c, d = _products(q, f, keys, place_c, c), _products(q, f, keys, place_d, d)
        store(at(scores, u), totals(a, b, c, d))
    if panels < past.width:
        for u in range(past.length):
            place = _place(past, beam, u)
            for f in range(panels, past.width):
                scores[u] += q[f] * keys[place + f]


@inlined
def _mix_history(past, beam, scores, y):
    """Sum over all positions of score times values."""
    values, panels = past.values, past.width - past.width % PANEL
    for f in range(0, panels, PANEL):
        a, b = splat(np.float32(0.0)), splat(np.float32(0.0))
        for u in range(past.length):
            place, score = _place(past, beam, u) + f, splat(scores[u])
            a, b = fma(score, load(at(values, place)), a), fma(score, load(at(values, place + LANES)), b)
        store(at(y, f), a)
        store(at(y, f + LANES), b)
    for f in range(panels, past.width):
        y[f] = np.float32(0.0)
        for u in range(past.length):
            y[f] += scores[u] * values[_place(past, beam, u) + f]


@linked
def attend_cache(past: History, count: int, q: Floats, y: Floats, row: int, scores: Floats):
    """One head of the first `count` beams: softmax(scale q K^T) V -> y; q and y have a row a beam, `row` floats apart.

    The caller has written the rows of the last position. scores (count, history in whole vectors) is scratch. Beams are
    together at each stage: each of their steps waits for its own last one only.
    """
    size = -(-past.length // LANES) * LANES
    for k in range(count):
        _score_history(skip(q, k * row), past, k, skip(scores, k * size))
    for k in range(count):
        line = at(scores, k * size)
        inverse = np.float32(1.0) / _exponentials(line, past.length, _highest(line, past.length, LOWEST), past.scale)
        _scale_row(skip(scores, k * size), past.length, inverse)
    for k in range(count):
        _mix_history(past, k, skip(scores, k * size), skip(y, k * row))
