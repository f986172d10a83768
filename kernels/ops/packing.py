"""Rows of weights into panels of 32 outputs, in the dtype they are kept in: `weights/pack.py` says what for.

A panel's rows are gathered first, [output][input], in whole vectors, where they stay in the second-level cache. A
convolution's inputs become its window's: [tap][input]. From there

    floats    [input][output]: squares of 16 x 16, transposed in registers
    halves    the same, rounded to nearest
    bytes     [input / 4][output][4 inputs]: w = round(W / s) with s = max |W| / 127 of the output; the scale, and the
              sum of the bytes of each CHUNK of inputs

numpy took five passes for bytes, each into new memory: 131 ms for 27 million weights, here 53 (halves 123 and 60,
floats 68 and 60).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.arguments import Floats, OutFloats
from ..build.device import entry, inlined, linked
from ..build.options import COMPILED
from ..layout import CHUNK, FLOAT16, INT8, PANEL
from ..simd.copy import copy_row
from ..simd.tile_float16 import HALF_LANES, store_half
from ..simd.transpose import transpose
from ..simd.vector import (
    INTEGERS,
    LANES,
    ROUND,
    at,
    constant,
    greatest,
    load,
    maximum,
    skip,
    splat,
    store,
    total,
    vec,
)
from ..weights.packing_host import PackRowsCall
from ..weights.quantize import BYTE, TINY
from .quantize import absolute


@intrinsic
def _store_signed(typing, address, value):
    """16 numbers from -127 to 127, rounded, into the signed bytes of 4 words."""

    def build(context, builder, sig, args):
        kind = ir.VectorType(ir.IntType(8), LANES)
        shifted = builder.bitcast(builder.fadd(args[1], constant(ROUND)), INTEGERS)
        builder.store(builder.trunc(shifted, kind), builder.inttoptr(args[0], kind.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, vec), build


def _plain_signed(address, value):
    address[: LANES // 4].view(np.int8)[:] = np.rint(value).astype(np.int8)


store_signed = _store_signed if COMPILED else _plain_signed


@inlined
def _gather(call, panel):
    """The rows of a panel, [output][width], zeros where there is no output or no input."""
    depth = call.taps * call.inputs
    for lane in range(PANEL):
        row, target, found = call.order[panel * PANEL + lane], skip(call.rows, lane * call.width), 0
        if row >= 0:
            source, found = skip(call.weight, row * depth), depth
            if call.taps == 1:
                copy_row(source, target, depth)
            else:
                for tap in range(call.taps):
                    for i in range(call.inputs):
                        target[tap * call.inputs + i] = source[i * call.taps + tap]
        for i in range(found, call.width):
            target[i] = np.float32(0.0)


@inlined
def _pack_squares(put, words, rows, depth, width, square, panel):
    """[output][width] -> panel [input][output], through a square [16][16]; `put` stores 16 outputs in `words`."""
    for first in range(0, depth, LANES):
        for half in range(PANEL // LANES):
            transpose(at(rows, half * LANES * width + first), width, at(square, 0))
            for i in range(min(LANES, depth - first)):
                place = ((first + i) * (PANEL // LANES) + half) * words
                put(at(panel, place), load(at(square, i * LANES)))


@linked
def pack_floats(rows: Floats, depth: int, width: int, square: OutFloats, panel: OutFloats):
    """A panel of floats."""
    _pack_squares(store, LANES, rows, depth, width, square, panel)


@linked
def pack_halves(rows: Floats, depth: int, width: int, square: OutFloats, panel: OutFloats):
    """A panel of halves."""
    _pack_squares(store_half, HALF_LANES, rows, depth, width, square, panel)


@inlined
def _highest(row, width):
    """The largest |x| of a row, at least TINY."""
    top = splat(TINY)
    for i in range(0, width, LANES):
        top = maximum(top, absolute(load(at(row, i))))
    return greatest(top)


@inlined
def _quantized(row, first, last, scale, words):
    """The bytes of a chunk of a row, four to a word; returns their sum."""
    sums, by, shift = splat(np.float32(0.0)), splat(scale), splat(np.float32(ROUND))
    for i in range(first, last, LANES):
        v = load(at(row, i)) / by
        store_signed(at(words, i // 4), v)
        sums = sums + ((v + shift) - shift)
    return total(sums)


@linked
def pack_bytes(row: Floats, depth: int, width: int, words: OutFloats, panel: OutFloats, terms: OutFloats, stride: int):
    """One output's row -> its words in a panel, every 32nd; its scale and the sums of its chunks, `stride` apart."""
    scale = _highest(row, width) / BYTE
    terms[0] = scale
    for first in range(0, depth, CHUNK):
        terms[(1 + first // CHUNK) * stride] = _quantized(row, first, min(width, first + CHUNK), scale, words)
    for i in range(-(-depth // 4)):
        panel[i * PANEL] = words[i]


@inlined
def _pack_panel(call, panel, depth):
    """One panel of floats or halves."""
    more = skip(call.rows, PANEL * call.width)
    if call.dtype == FLOAT16:
        pack_halves(call.rows, depth, call.width, more, skip(call.panels, panel * depth * (PANEL // 2)))
    else:
        pack_floats(call.rows, depth, call.width, more, skip(call.panels, panel * depth * PANEL))


@inlined
def _pack_panel_of_bytes(call, panel, depth):
    """One panel of bytes, with its terms."""
    stride, quads, more = call.count * PANEL, -(-depth // 4), skip(call.rows, PANEL * call.width)
    for lane in range(PANEL):
        o, row = panel * PANEL + lane, skip(call.rows, lane * call.width)
        words, terms = skip(call.panels, panel * quads * PANEL + lane), skip(call.terms, o)
        if o < call.outputs:
            pack_bytes(row, depth, call.width, more, words, terms, stride)
        else:
            for i in range(quads):
                words[i * PANEL] = np.float32(0.0)


@entry
def pack_rows(call: PackRowsCall):
    """weight (rows, I, taps) -> panels; for bytes, terms as well."""
    depth = call.taps * call.inputs
    for panel in range(call.count):
        _gather(call, panel)
        if call.dtype == INT8:
            _pack_panel_of_bytes(call, panel, depth)
        else:
            _pack_panel(call, panel, depth)
