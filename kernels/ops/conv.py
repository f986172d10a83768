"""Gated convolutions over time (plain twin: ops.conv1d_glu), with positions in the lanes.

y[t] = a * sigmoid(b) with [a | b] = bias + sum over taps j of W_j x[2 t + j - taps//2]. Every convolution halves time,
so frames lie in planes: of P planes, plane f % P has frame f at f // P, [plane][feature][time], with zeros before and
after. What 16 outputs of a plane see through a certain tap then lies side by side in one plane of twice as many, and n
convolutions in a row read 2**n, ..., 4, 2 planes and write 2**(n-1), ..., 2, 1, and no lane ever changes its place. The
windows of a few units, [tap and feature][16], are copied together CHUNK inputs at a time, which is a hundredth of the
work, and are units like all others (`gemm_blocked.py`). A packed panel holds 16 channels and their 16 gates.

Versions (s2t-small, 998 frames, two cores, medians; first and second convolution): weights in the lanes and windows as
overlapping rows, 128 rows an item, 1.63 and 2.36 ms, in bytes 0.67 and 0.87, and 0.6 more for padding, for copies and
for starting the threads again (64 rows, or 256, or rows whose stride is not a power of two, gained nothing); positions
in the lanes, 1.44 and 2.15 ms with their gates, in bytes 0.50 and 0.69, and 0.06 to lay the features out. Sums of 128
at a time are as exact as torch's (r.m.s. error 0.9 to 1.0 times); those of 512 were 1.6 to 1.8 times as far off and
took 0.2 ms less.
"""

import numpy as np

from ..build.arguments import Floats, Single, Words
from ..build.device import inlined, linked
from ..layout import CHUNK, GATED, INT8, NO_FLOOR, PANEL
from ..simd.operands import Operand, Output
from ..simd.tile_amx import HAS_FLOAT_TILES
from ..simd.vector import LANES, at, exp, fma, load, move, put, splat, store
from .gemm_blocked import multiply_units
from .gemm_pieces import split_unit, words_of_unit
from .host import (
    BIAS,
    FRAMES,
    INPUTS,
    MARGIN,
    OUTPUTS,
    PLANE_ROWS,
    PLANES,
    ROW,
    SOURCE,
    TAPS,
    TARGET,
    WEIGHT,
    WIDTH,
    ConvRun,
    ConvUnits,
)
from .matrices import Matrix, MatrixSlice, Units, no_operand, panel_offset
from .quantize import quantize_unit

CONV_CHAIN = 128  # products in a sum of floats at a time: rounding errors grow with the length of a chain


@inlined
def _clear_margins(item, items, conv, frames):
    """Zeros before the rows of all planes, and so after those that precede them: an item's share."""
    rows = conv[PLANE_ROWS]
    for r in range(item * rows // items, (item + 1) * rows // items):
        for i in range(0, conv[MARGIN], LANES):
            store(at(frames, r * conv[ROW] + i), splat(np.float32(0.0)))


@linked
def spread_frames(item: int, units: int, conv: Words, count: int, x: Floats, frames: Floats):
    """Rows x (count, I) of 16 frames of a plane into `frames`, where `conv` reads them; clears margins as well.

    A unit has 2 PLANES items.
    """
    inputs, row, planes = conv[INPUTS], conv[ROW], 2 * conv[PLANES]
    _clear_margins(item, planes * units, conv, frames)
    plane, first = item % planes, item // planes * LANES
    here = min(LANES, max(0, -(-(count - plane) // planes) - first))
    for i in range(inputs):
        to = conv[SOURCE] + (plane * inputs + i) * row + conv[MARGIN] + first
        for lane in range(LANES):
            frame = planes * (first + lane) + plane
            frames[to + lane] = x[frame * inputs + i] if lane < here else np.float32(0.0)


@inlined
def _window(run, at_units, unit, begin, depth, y):
    """Inputs begin .. begin+depth-1, ordered (tap, feature), of a unit of outputs: y (address) [depth][16]."""
    conv = run.conv
    inputs, row, planes = conv[INPUTS], conv[ROW], 2 * conv[PLANES]
    for tap in range(begin // inputs, (begin + depth - 1) // inputs + 1):
        ahead, skipped = 2 * at_units.plane + tap - conv[TAPS] // 2, tap * inputs - begin
        start = conv[SOURCE] + ahead % planes * inputs * row + conv[MARGIN] + ahead // planes + unit * LANES
        for i in range(max(0, -skipped), min(inputs, depth - skipped)):
            store(move(y, (skipped + i) * LANES), load(at(run.frames, start + i * row)))


@linked
def convolve(run: ConvRun, here: ConvUnits):
    """Channels and gates of some units of a plane before the gate, to run.own.sums."""
    conv, own, zeros = run.conv, run.own, at(run.w, 0)
    depth, width = conv[TAPS] * conv[INPUTS], conv[WIDTH]
    step, unit = CHUNK if run.dtype == INT8 or run.pieces else CONV_CHAIN, width * LANES
    words = words_of_unit(CHUNK, run.pieces)
    matrix = Matrix(run.dtype, at(run.w, conv[WEIGHT]), at(run.w, conv[BIAS]), depth, width, zeros)
    x = Units(own.window, CHUNK * LANES, own.words, words, own.scales, LANES, run.pieces)
    for begin in range(0, depth, step):
        inputs = min(step, depth - begin)
        for u in range(here.count):
            window = move(own.window, u * CHUNK * LANES)
            _window(run, here, here.first + u, begin, inputs, window)
            if run.dtype == INT8:
                quantize_unit(window, inputs, move(own.words, u * words), move(own.scales, u * LANES))
            elif HAS_FLOAT_TILES and run.pieces:
                split_unit(window, inputs, move(own.words, u * words), own.panel)
        y = Operand(own.sums, LANES, unit)
        out = Output(y, y if begin else no_operand(zeros), NO_FLOOR)
        after = at(run.w, conv[WEIGHT] + panel_offset(run.dtype, depth, 0, (begin + inputs) % depth))
        multiply_units(x, here.count, matrix, MatrixSlice(0, width, begin, inputs), out, after, own.panel)


@linked
def gate(sums: int, channels: int, scale: Single, accumulate: Operand, y: Operand):
    """One unit of sums (address): a sigmoid(b) scale + accumulate -> y; the rows of both are channels, each a Vec."""
    zero, one, factor = splat(np.float32(0.0)), splat(np.float32(1.0)), splat(scale)
    for c in range(channels):
        place = move(sums, (c // GATED * PANEL + c % GATED) * LANES)
        gated = load(place) / (one + exp(zero - load(move(place, GATED * LANES))))
        before = load(move(accumulate.address, c * accumulate.row))
        store(move(y.address, c * y.row), fma(gated, factor, before))


@linked
def gate_planes(run: ConvRun, here: ConvUnits):
    """Gate the sums of `convolve` into the planes of outputs; frames after the last are zero."""
    conv = run.conv
    channels, row = conv[OUTPUTS], conv[ROW]
    count = -(-(conv[FRAMES] - here.plane) // conv[PLANES])
    for u in range(here.count):
        first = (here.first + u) * LANES
        to = at(run.frames, conv[TARGET] + here.plane * channels * row + conv[MARGIN] + first)
        sums = move(run.own.sums, u * conv[WIDTH] * LANES)
        gate(sums, channels, np.float32(1.0), no_operand(at(run.w, 0)), Operand(to, row, 0))
        for c in range(channels):
            for lane in range(max(0, count - first), LANES):
                put(move(to, c * row + lane), np.float32(0.0))
