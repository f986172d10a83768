"""Floats to bytes and back: int8 weights, activations quantised as they come.

Weights: each output has its scale s = max |W| / 127 and w = round(W / s). Activations: each row has a scale for every
CHUNK inputs, t = max |x| / 127, and u = round(x / t) + 128, an unsigned byte. (Dynamic quantisation, per channel and
per token: Zafrir et al. 2019; Dettmers et al. 2022, "LLM.int8()", section 2.) Four inputs lie in one 32-bit word; a
depth that four does not divide is filled with weights of zero, and what the activation's bytes hold there does not
matter.

    quantize_row     x (I,) -> words (I/4,) and scales, one for a chunk
    quantize_unit    16 positions [I][16] -> words [I/4][16] and scales [chunk][16]
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.device import inlined, linked
from ..build.options import COMPILED
from ..layout import CHUNK
from ..simd.vector import (
    INTEGERS,
    LANES,
    ROUND,
    constant,
    greatest,
    load,
    load_first,
    maximum,
    move,
    put,
    splat,
    store,
    vec,
)
from ..weights.quantize import BYTE, TINY


def _to_bytes(builder, value):
    """round(value) + 128 for values in [-127, 127], as 32-bit lanes."""
    shifted = builder.fadd(value, constant(ROUND + 128))
    return builder.and_(builder.bitcast(shifted, INTEGERS), constant(255, INTEGERS))


@intrinsic
def _store_words(typing, address, a, b, c, d):
    """Four Vecs of scaled numbers into the bytes of 16 words: word i holds lane i of each."""

    def build(context, builder, sig, args):
        words = _to_bytes(builder, args[1])
        for i, value in enumerate(args[2:], 1):
            words = builder.or_(words, builder.shl(_to_bytes(builder, value), constant(8 * i, INTEGERS)))
        builder.store(words, builder.inttoptr(args[0], INTEGERS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, vec, vec, vec, vec), build


@intrinsic
def _store_bytes(typing, address, value):
    """16 scaled numbers into the bytes of 4 words."""

    def build(context, builder, sig, args):
        kind = ir.VectorType(ir.IntType(8), LANES)
        words = builder.trunc(_to_bytes(builder, args[1]), kind)
        builder.store(words, builder.inttoptr(args[0], kind.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, vec), build


def _plain_words(address, *values):
    numbers = np.stack([np.rint(value) + 128 for value in values], axis=1)
    address[:LANES].view(np.uint8)[:] = numbers.astype(np.uint8).reshape(-1)


def _plain_bytes(address, value):
    address[: LANES // 4].view(np.uint8)[:] = (np.rint(value) + 128).astype(np.uint8)


store_words, store_bytes = (_store_words, _store_bytes) if COMPILED else (_plain_words, _plain_bytes)


@inlined
def absolute(v):
    """|v|."""
    return maximum(v, splat(np.float32(0.0)) - v)


@linked
def quantize_row(x: int, depth: int, words: int, scales: int):
    """x (address) of `depth` floats -> words, 4 inputs each, whole groups of 16 inputs; a scale for each chunk."""
    for first in range(0, depth, CHUNK):
        last = min(depth, first + CHUNK)
        whole = last - (last - first) % LANES
        a, rest = splat(TINY), splat(np.float32(0.0))
        b = a
        for i in range(first, whole, LANES):
            a, b = b, maximum(a, absolute(load(move(x, i))))
        if whole < last:
            rest = load_first(move(x, whole), last - whole)
        top = greatest(maximum(maximum(a, b), absolute(rest)))
        put(move(scales, first // CHUNK), top / BYTE)
        inverse = splat(BYTE / top)
        for i in range(first, whole, LANES):
            store_bytes(move(words, i // 4), load(move(x, i)) * inverse)
        if whole < last:
            store_bytes(move(words, whole // 4), rest * inverse)


@linked
def quantize_unit(x: int, depth: int, words: int, scales: int):
    """x (address) [depth][16] -> words [depth/4, rounded up][16]; scales [chunk][16]."""
    for first in range(0, depth, CHUNK):
        last, a = min(depth, first + CHUNK), splat(TINY)
        b = c = d = a
        for i in range(first, last):  # four chains: each step of one waits for its last
            a, b, c, d = b, c, d, maximum(a, absolute(load(move(x, i * LANES))))
        highest = maximum(maximum(a, b), maximum(c, d))
        store(move(scales, first // CHUNK * LANES), highest * splat(np.float32(1.0) / BYTE))
        inverse = splat(BYTE) / highest
        for i in range(first, last, 4):
            store_words(
                move(words, i // 4 * LANES),
                load(move(x, i * LANES)) * inverse,
                load(move(x, min(i + 1, last - 1) * LANES)) * inverse,
                load(move(x, min(i + 2, last - 1) * LANES)) * inverse,
                load(move(x, min(i + 3, last - 1) * LANES)) * inverse,
            )
