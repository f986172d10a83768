"""Convolution over time with a gate behind it, as one matrix product (plain twin: ops.conv1d_glu).

y[t] = a * sigmoid(b) with [a | b] = bias + sum over taps j of W_j x[2 t + j - taps//2]. Frames lie row after row
between rows of zeros, so the window of output t is one contiguous run of taps * I floats: the left side of the product
is those windows, which overlap in memory and are never copied out. A packed panel holds 16 channels and their 16 gates,
so a tile of the product has all that its gates need.
"""

import numpy as np

from .jit import ARRAY, INT, inner, kernel
from .late import types
from .linear import NO_FLOOR, linear_panel
from .pack import GATED, PANEL, PackedConv
from .threads import STATE, finish, get_threads, parallel, slot, take, wait
from .tile import MAX_ROWS
from .vector import LANES, at, exp, load, splat, store

ROWS = 64  # of output in an item: their windows stay in the second-level cache
TILE = MAX_ROWS * PANEL


@inner
def _gate(sums, own, rows, y, start, stride, width):
    """sums[own:] [row][16 channels | 16 gates] -> y[start + stride r:], the first `width` of 16 channels."""
    zero, one = splat(np.float32(0.0)), splat(np.float32(1.0))
    for r in range(rows):
        place = own + r * PANEL
        gate = one / (one + exp(zero - load(at(sums, place + LANES))))
        store(at(sums, place), load(at(sums, place)) * gate)
        for i in range(width):
            y[start + r * stride + i] = sums[place + i]


@kernel(types.void(STATE, ARRAY, INT, INT, INT, ARRAY, INT, INT, ARRAY, INT, ARRAY))
def conv1d_glu_rows(state, x, inputs, depth, rows, w, weight, bias, y, outputs, sums):
    """Padded frames x (T + taps - 1, I) -> y (rows, O/2), flat; depth = taps * I; `sums` has a tile for each thread.

    An item is ROWS rows of one panel.
    """
    own, zeros, stride, blocks = slot(state) * TILE, at(w, 0), 2 * inputs, -(-rows // ROWS)
    items = blocks * -(-outputs // GATED)
    item = take(state, 0)
    while item < items:
        p, first = item // blocks, item % blocks * ROWS
        width = min(GATED, outputs - p * GATED)
        for r in range(first, min(rows, first + ROWS), MAX_ROWS):
            here = min(MAX_ROWS, rows - r)
            linear_panel(
                (at(x, r * stride), stride, 1),
                here,
                depth,
                at(w, weight + p * depth * PANEL),
                at(w, bias + p * PANEL),
                zeros,
                (zeros, 0, 0),
                NO_FLOOR,
                (at(sums, own), PANEL, LANES),
            )
            _gate(sums, own, here, y, r * outputs + p * GATED, outputs, width)
        finish(state, 0)
        item = take(state, 0)
    wait(state, 0, items)


def conv1d_glu(x: np.ndarray, w: PackedConv) -> np.ndarray:
    """(T, I) -> ((T-1)//2 + 1, O/2), as ops.conv1d_glu."""
    pad, rows = w.taps // 2, (len(x) - 1) // 2 + 1
    padded = np.zeros((len(x) + 2 * pad, w.inputs), np.float32)
    padded[pad : pad + len(x)] = x
    y, sums = np.empty((rows, w.outputs), np.float32), np.empty(get_threads() * TILE, np.float32)
    flat, depth = padded.reshape(-1), w.taps * w.inputs
    parallel(conv1d_glu_rows, 1, flat, w.inputs, depth, rows, w.arena, w.panels, w.bias, y.reshape(-1), w.outputs, sums)
    return y
