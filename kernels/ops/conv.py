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

from typing import NamedTuple

import numpy as np

from ..build.jit import ADDRESS_1, ARRAY, FLOAT, INT, inner, part
from ..build.lazy_numba import types
from ..simd.vector import LANES, at, exp, fma, load, move, put, splat, store
from ..weights.pack import GATED, INT8, PANEL, PackedConv, empty_lines
from ..weights.quantize import CHUNK, quantize_unit
from .gemm import NO_FLOOR
from .gemm_blocked import multiply_units, panel_offset

GROUP = 4  # units that a thread takes at a time, about: their sums of 1024 outputs take a quarter of a megabyte
TERMS = 128  # of a sum of floats at a time: rounding errors grow with the length of a chain

# columns of the table of convolutions, a row each. SOURCE and TARGET: where in `frames` the planes of its inputs and
# outputs begin; PLANES and FRAMES of its outputs; ROW: floats of a feature in a plane, the first MARGIN of them zeros;
# WIDTH: channels and gates in whole panels
SOURCE, TARGET, INPUTS, OUTPUTS, TAPS, PLANES, FRAMES, ROW, MARGIN, WEIGHT, BIAS, WIDTH = range(12)
TABLE, LINE = types.int64[:, ::1], types.int64[::1]


class Room(NamedTuple):
    """Addresses of a thread's scratch memory for some units. Words and scales are used where weights are bytes."""

    window: np.ndarray  # (units, CHUNK, 16)
    words: np.ndarray  # (units, CHUNK) the bytes of `window`
    scales: np.ndarray  # (units, 16)
    sums: np.ndarray  # (units, WIDTH, 16)
    panel: np.ndarray  # (CHUNK, PANEL) a panel of floats, where weights are halves


ROOM = types.NamedUniTuple(types.int64, len(Room._fields), Room)


@inner
def _clear_margins(item, items, row, margin, frames):
    """Zeros before the rows of all planes (and so behind those before them): an item's share."""
    rows = len(frames) // row
    for r in range(item * rows // items, (item + 1) * rows // items):
        for i in range(0, margin, LANES):
            store(at(frames, r * row + i), splat(np.float32(0.0)))


@part(types.void(INT, INT, LINE, INT, ARRAY, ARRAY))
def spread_frames(item, units, conv, count, x, frames):
    """Rows x (count, I) of 16 frames of a plane into `frames`; `conv` reads them. 2 PLANES items a unit.

    Clears margins as well.
    """
    inputs, row, planes = conv[INPUTS], conv[ROW], 2 * conv[PLANES]
    _clear_margins(item, planes * units, row, conv[MARGIN], frames)
    plane, first = item % planes, item // planes * LANES
    here = min(LANES, max(0, -(-(count - plane) // planes) - first))
    for i in range(inputs):
        to = conv[SOURCE] + (plane * inputs + i) * row + conv[MARGIN] + first
        for lane in range(LANES):
            frame = planes * (first + lane) + plane
            frames[to + lane] = x[frame * inputs + i] if lane < here else np.float32(0.0)


@inner
def _window(frames, conv, plane, unit, begin, depth, y):
    """Inputs begin .. begin+depth-1, ordered (tap, feature), of a unit of outputs: y (address) [depth][16]."""
    inputs, row, planes = conv[INPUTS], conv[ROW], 2 * conv[PLANES]
    for tap in range(begin // inputs, (begin + depth - 1) // inputs + 1):
        ahead, behind = 2 * plane + tap - conv[TAPS] // 2, tap * inputs - begin
        start = conv[SOURCE] + ahead % planes * inputs * row + conv[MARGIN] + ahead // planes + unit * LANES
        for i in range(max(0, -behind), min(inputs, depth - behind)):
            store(move(y, (behind + i) * LANES), load(at(frames, start + i * row)))


@part(types.void(INT, INT, INT, LINE, INT, ARRAY, ARRAY, ROOM))
def convolve(first, units, plane, conv, kind, w, frames, own):
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


@part(types.void(INT, INT, FLOAT, ADDRESS_1, ADDRESS_1))
def gate(sums, channels, scale, added, y):
    """One unit of sums (address): a sigmoid(b) scale + added -> y; both (address, channel), a channel a Vec."""
    zero, one, factor = splat(np.float32(0.0)), splat(np.float32(1.0)), splat(scale)
    for c in range(channels):
        place = move(sums, (c // GATED * PANEL + c % GATED) * LANES)
        gated = load(place) / (one + exp(zero - load(move(place, GATED * LANES))))
        store(move(y[0], c * y[1]), fma(gated, factor, load(move(added[0], c * added[1]))))


@part(types.void(INT, INT, INT, LINE, ARRAY, ARRAY, ROOM))
def gate_planes(first, units, plane, conv, w, frames, own):
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


def plan_convolutions(convs: tuple[PackedConv, ...], count: int) -> tuple[np.ndarray, np.ndarray]:
    """For that many frames: the table, and room for the planes of all inputs, flat."""
    margin = -(-(max(w.taps for w in convs) // 2 + 1) // LANES) * LANES
    row = -(-count // (LANES << len(convs))) * LANES + margin
    table, begin = np.zeros((len(convs), WIDTH + 1), np.int64), 0
    for line, w, planes in zip(table, convs, (1 << n for n in reversed(range(len(convs)))), strict=True):
        width = -(-w.outputs // GATED) * PANEL
        count, end = (count - 1) // 2 + 1, begin + 2 * planes * w.inputs * row
        line[:] = begin, end, w.inputs, w.outputs, w.taps, planes, count, row, margin, w.panels, w.bias, width
        begin = end
    (frames,) = empty_lines(begin + margin)
    frames[begin:] = 0
    return table, frames
