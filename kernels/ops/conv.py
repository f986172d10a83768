"""Convolutions over time with a gate behind each (plain twin: ops.conv1d_glu), positions in the lanes.

y[t] = a * sigmoid(b) with [a | b] = bias + sum over taps j of W_j x[2 t + j - taps//2]. Every convolution halves time,
so frames lie in planes: of P planes, plane f % P has frame f at f // P, [plane][feature][time], with zeros before and
behind. What 16 outputs of a plane see through a certain tap then lies side by side in one plane of twice as many, and n
convolutions in a row read 2**n, ..., 4, 2 planes and write 2**(n-1), ..., 2, 1, no lane ever changing its place. The
windows of a few units, [tap and feature][16], are copied together CHUNK inputs at a time, which is a hundredth of the
work, and are units like all others (`units.py`). A packed panel holds 16 channels and their 16 gates.

Versions (s2t-small, 998 frames, two cores, medians; first and second convolution): weights in the lanes and windows as
rows that overlap, 128 rows an item, 1.63 and 2.36 ms, in bytes 0.67 and 0.87, and 0.6 more for padding, for copies and
for starting the threads again (64 rows, or 256, or rows whose stride is no power of two, gained nothing); positions in
the lanes, 1.44 and 2.15 ms with their gates, in bytes 0.50 and 0.69, and 0.06 to lay the features out. Sums of 128 at
a time are as exact as torch's (r.m.s. error 0.9 to 1.0 times), those of 512 were 1.6 to 1.8 times as far off and took
0.2 ms less.
"""

import numpy as np

from ..build.arguments import Address1, Floats, Single, Words
from ..build.device import inlined, linked
from ..layout import CHUNK, GATED, INT8, NO_FLOOR, PANEL
from ..simd.vector import LANES, at, exp, fma, load, move, put, splat, store
from .gemm_blocked import multiply_units, panel_offset
from .host import (
    BIAS,
    FRAMES,
    INPUTS,
    MARGIN,
    OUTPUTS,
    PLANES,
    ROW,
    ROWS,
    SOURCE,
    TAPS,
    TARGET,
    WEIGHT,
    WIDTH,
    ConvScratch,
)
from .quantize import quantize_unit

TERMS = 128  # of a sum of floats at a time: rounding errors grow with the length of a chain


@inlined
def _clear_margins(item, items, rows, row, margin, frames):
    """Zeros before the rows of all planes (and so behind those before them): an item's share."""
    for r in range(item * rows // items, (item + 1) * rows // items):
        for i in range(0, margin, LANES):
            store(at(frames, r * row + i), splat(np.float32(0.0)))


@linked
def spread_frames(item: int, units: int, conv: Words, count: int, x: Floats, frames: Floats):
    """Rows x (count, I) of 16 frames of a plane into `frames`; `conv` reads them. 2 PLANES items a unit.

    Clears margins as well.
    """
    inputs, row, planes = conv[INPUTS], conv[ROW], 2 * conv[PLANES]
    _clear_margins(item, planes * units, conv[ROWS], row, conv[MARGIN], frames)
    plane, first = item % planes, item // planes * LANES
    here = min(LANES, max(0, -(-(count - plane) // planes) - first))
    for i in range(inputs):
        to = conv[SOURCE] + (plane * inputs + i) * row + conv[MARGIN] + first
        for lane in range(LANES):
            frame = planes * (first + lane) + plane
            frames[to + lane] = x[frame * inputs + i] if lane < here else np.float32(0.0)


@inlined
def _window(frames, conv, plane, unit, begin, depth, y):
    """Inputs begin .. begin+depth-1, ordered (tap, feature), of a unit of outputs: y (address) [depth][16]."""
    inputs, row, planes = conv[INPUTS], conv[ROW], 2 * conv[PLANES]
    for tap in range(begin // inputs, (begin + depth - 1) // inputs + 1):
        ahead, behind = 2 * plane + tap - conv[TAPS] // 2, tap * inputs - begin
        start = conv[SOURCE] + ahead % planes * inputs * row + conv[MARGIN] + ahead // planes + unit * LANES
        for i in range(max(0, -behind), min(inputs, depth - behind)):
            store(move(y, (behind + i) * LANES), load(at(frames, start + i * row)))


@linked
def convolve(first: int, units: int, plane: int, conv: Words, kind: int, w: Floats, frames: Floats, own: ConvScratch):
    """Channels and gates of some units of a plane before the gate, to own.sums."""
    depth, width, zeros = conv[TAPS] * conv[INPUTS], conv[WIDTH], at(w, 0)
    step = CHUNK if kind == INT8 else TERMS
    for begin in range(0, depth, step):
        here, unit = min(step, depth - begin), width * LANES
        for u in range(units):
            window = move(own.window, u * CHUNK * LANES)
            _window(frames, conv, plane, first + u, begin, here, window)
            if kind == INT8:
                quantize_unit(window, here, move(own.words, u * CHUNK // 4 * LANES), move(own.scales, u * LANES))
        following = at(w, conv[WEIGHT] + panel_offset(kind, depth, 0, (begin + here) % depth))
        added = (own.sums, LANES, unit) if begin else (zeros, 0, 0)
        multiply_units(
            *(kind, (own.window, CHUNK * LANES), (own.words, CHUNK // 4 * LANES), (own.scales, LANES), units),
            *((at(w, conv[WEIGHT]), at(w, conv[BIAS]), depth, width), (0, width), (begin, here), zeros, added),
            *(NO_FLOOR, (own.sums, unit), following, own.panel),
        )


@linked
def gate(sums: int, channels: int, scale: Single, added: Address1, y: Address1):
    """One unit of sums (address): a sigmoid(b) scale + added -> y; both (address, channel), a channel a Vec."""
    zero, one, factor = splat(np.float32(0.0)), splat(np.float32(1.0)), splat(scale)
    for c in range(channels):
        place = move(sums, (c // GATED * PANEL + c % GATED) * LANES)
        gated = load(place) / (one + exp(zero - load(move(place, GATED * LANES))))
        store(move(y[0], c * y[1]), fma(gated, factor, load(move(added[0], c * added[1]))))


@linked
def gate_planes(first: int, units: int, plane: int, conv: Words, w: Floats, frames: Floats, own: ConvScratch):
    """What `convolve` left, gated, to the planes of outputs; frames behind the last are zero."""
    channels, row = conv[OUTPUTS], conv[ROW]
    count = -(-(conv[FRAMES] - plane) // conv[PLANES])
    for u in range(units):
        to = at(frames, conv[TARGET] + plane * channels * row + conv[MARGIN] + (first + u) * LANES)
        sums = move(own.sums, u * conv[WIDTH] * LANES)
        gate(sums, channels, np.float32(1.0), (at(w, 0), 0), (to, row))
        for c in range(channels):
            for lane in range(max(0, count - (first + u) * LANES), LANES):
                put(move(to, c * row + lane), np.float32(0.0))
