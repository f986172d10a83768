"""Convolution over time with a gate behind it, as one matrix product (plain twin: ops.conv1d_glu).

y[t] = a * sigmoid(b) with [a | b] = bias + sum over taps j of W_j x[2 t + j - taps//2]. Frames lie row after row
between rows of zeros, so the window of output t is one contiguous run of taps * I floats: the left side of the product
is those windows, which overlap in memory and are never copied out. A packed panel holds 16 channels and their 16 gates,
so a tile of the product has all that its gates need. Weights of bytes take each window's bytes, made beforehand.

Versions (s2t-small, 998 frames, two cores, medians of 50 in turn; first and second convolution): 64 rows, weights asked
for a little before their use, 1.79 and 2.73 ms; 128 rows, each tile bringing its share of the next part of the panel
(`linear.py`), 1.72 and 2.58 ms, in bytes 0.80 and 1.07; 256 rows no faster. Rows of frames whose stride is no power of
two gained 2 % of the product and are not worth their padding.
"""

import numpy as np

from .jit import ARRAY, INT, inner, kernel
from .late import types
from .linear import NO_FLOOR
from .pack import GATED, INT8, PANEL, PackedConv, whole
from .panel import multiply_panel, panel_words
from .quantize import CHUNK
from .rows import quantize_rows
from .threads import STATE, finish, get_threads, parallel, slot, take, wait
from .vector import LANES, at, exp, load, splat, store

ROWS = 128  # of output in an item: a part of the panel is read from the first-level cache for all of them
TILE = ROWS * PANEL


@inner
def _gate(sums, own, rows, y, start, stride, width):
    """sums[own:] [row][16 channels | 16 gates] -> y[start + stride r:], the first `width` of 16 channels."""
    zero, one = splat(np.float32(0.0)), splat(np.float32(1.0))
    for r in range(rows):
        place, to = own + r * PANEL, start + r * stride
        gated = load(at(sums, place)) / (one + exp(zero - load(at(sums, place + LANES))))
        if width == GATED:
            store(at(y, to), gated)
        else:
            store(at(sums, place), gated)
            for i in range(width):
                y[to + i] = sums[place + i]


@kernel(types.void(STATE, ARRAY, INT, INT, INT, ARRAY, INT, INT, INT, ARRAY, INT, ARRAY, ARRAY, INT, ARRAY))
def conv1d_glu_rows(state, x, inputs, depth, rows, w, kind, weight, bias, y, outputs, sums, words, row, scales):
    """Padded frames x (T + taps - 1, I) -> y (rows, O/2), flat; depth = taps * I; `sums` has a tile for each thread.

    An item is ROWS rows of one panel. words (rows, row) and scales: room for the windows' bytes, if weights are bytes;
    neighbours overlap, but each has scales of its own.
    """
    stride, zeros, chunks = 2 * inputs, at(w, 0), -(-depth // CHUNK)
    blocks, panels, own = -(-rows // ROWS), -(-outputs // GATED), slot(state) * TILE
    if kind == INT8:
        quantize_rows(state, x, stride, depth, rows, words, row, scales)
    item = take(state, 1)
    while item < blocks * panels:
        p, first = item // blocks, item % blocks * ROWS
        here = min(ROWS, rows - first)
        multiply_panel(
            kind,
            (at(x, first * stride), stride, 1),
            (at(words, first * row), row, 1),
            (at(scales, first * chunks), chunks, 1),
            *(here, depth, at(w, weight + p * panel_words(depth, kind)), (at(w, bias + p * PANEL), panels * PANEL)),
            *(zeros, (zeros, 0, 0), NO_FLOOR),
            (at(sums, own), PANEL, LANES),
        )
        _gate(sums, own, here, y, first * outputs + p * GATED, outputs, min(GATED, outputs - p * GATED))
        finish(state, 1)
        item = take(state, 1)
    wait(state, 1, blocks * panels)


def conv1d_glu(x: np.ndarray, w: PackedConv) -> np.ndarray:
    """(T, I) -> ((T-1)//2 + 1, O/2), as ops.conv1d_glu."""
    pad, rows, depth = w.taps // 2, (len(x) - 1) // 2 + 1, w.taps * w.inputs
    padded = np.zeros((len(x) + 2 * pad, w.inputs), np.float32)
    padded[pad : pad + len(x)] = x
    y, sums = np.empty((rows, w.outputs), np.float32), np.empty(get_threads() * TILE, np.float32)
    room = rows if w.kind == INT8 else 0
    row = whole(depth) // 4
    words, scales = (np.empty(room * n, np.float32) for n in (row, -(-depth // CHUNK)))
    packed = (w.arena, w.kind, w.panels, w.bias, y.reshape(-1), w.outputs)
    parallel(conv1d_glu_rows, 2, padded.reshape(-1), w.inputs, depth, rows, *packed, sums, words, row, scales)
    return y
