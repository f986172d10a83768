"""The tile of `tile.py` with vectors of halves: B in float16, all arithmetic in float32.

For weights kept in float16 and read side by side as lanes, which is what few rows do (`linear.py`). A float32 is twice
as wide, so that a step of a panel is one line of the cache, and the thin products, whose time is reading, take half of
it. B's strides are in words of 32 bits as everywhere: 16 halves are 8 words.

A half becomes a float32 in one instruction where the processor has it (F16C, AVX-512, all of aarch64); elsewhere by the
bits: exponent and fraction move 13 places down, and a multiplication by 2**112 sets the exponent's other origin right,
denormal halves included. Infinity and NaN, which weights should not be (`pack.py`), would not survive it.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.options import COMPILED
from ..cpu import detect
from .tile import MAX_ROWS, Emitter, Family, plain_results, plain_sums
from .vector import INTEGERS, LANES, VECTOR, constant, vec

TWO_VECTORS = [(rows, 2) for rows in range(1, MAX_ROWS + 1)]
HALVES, SHORTS = ir.VectorType(ir.HalfType(), LANES), ir.VectorType(ir.IntType(16), LANES)
HALF_LANES = LANES // 2  # words of 16 halves
LARGEST_HALF = 65504.0


def widened(builder, address):
    """16 halves at a pointer as float32."""
    if detect().has_half:
        return builder.fpext(builder.load(builder.bitcast(address, HALVES.as_pointer()), align=4), VECTOR)
    raw = builder.load(builder.bitcast(address, SHORTS.as_pointer()), align=4)
    bits = builder.shl(builder.zext(raw, INTEGERS), constant(13, INTEGERS))
    sign = builder.and_(builder.shl(bits, constant(3, INTEGERS)), constant(1 << 31, INTEGERS))
    size = builder.bitcast(builder.and_(bits, constant(0x7FFF << 13, INTEGERS)), VECTOR)
    size = builder.bitcast(builder.fmul(size, constant(2.0**112)), INTEGERS)
    return builder.bitcast(builder.or_(size, sign), VECTOR)


def narrowed(builder, value):
    """16 floats rounded to halves, as shorts; what is beyond the largest half becomes that."""
    for sign, side in ((1, ">"), (-1, "<")):
        limit = constant(sign * LARGEST_HALF)
        value = builder.select(builder.fcmp_ordered(side, value, limit), limit, value)
    if detect().has_half:
        return builder.bitcast(builder.fptrunc(value, HALVES), SHORTS)
    bits = builder.bitcast(value, INTEGERS)
    sign = builder.and_(builder.lshr(bits, constant(16, INTEGERS)), constant(0x8000, INTEGERS))
    size = builder.bitcast(builder.and_(bits, constant(0x7FFFFFFF, INTEGERS)), VECTOR)
    size = builder.bitcast(builder.fmul(size, constant(2.0**-112)), INTEGERS)
    odd = builder.and_(builder.lshr(size, constant(13, INTEGERS)), constant(1, INTEGERS))
    size = builder.lshr(builder.add(size, builder.add(odd, constant(0xFFF, INTEGERS))), constant(13, INTEGERS))
    return builder.trunc(builder.or_(size, sign), SHORTS)


class HalfEmitter(Emitter):
    """Halves in the lanes."""

    def vector(self, address):
        return widened(self.builder, address)


@intrinsic
def _load_half(typing, address):
    """16 halves at an address as a Vec."""

    def build(context, builder, sig, args):
        return widened(builder, builder.inttoptr(args[0], HALVES.as_pointer()))

    return vec(types.int64), build


@intrinsic
def _store_half(typing, address, value):
    """A Vec as 16 halves to an address."""

    def build(context, builder, sig, args):
        builder.store(narrowed(builder, args[1]), builder.inttoptr(args[0], SHORTS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, vec), build


def _plain_store_half(address, value):
    address[:HALF_LANES].view(np.float16)[:] = np.clip(value, -LARGEST_HALF, LARGEST_HALF)


def _plain_load_half(address):
    return address[:HALF_LANES].view(np.float16).astype(np.float32)


def _plain_half_vector(operand, first, second):
    return _plain_load_half(operand[0][operand[1] * first + operand[2] * second :])


def _plain_tile_half(size, a, b, bias, out, ahead):
    """The same from the definition."""
    plain_results(size, out, plain_sums(size, a, b, bias, _plain_half_vector))


if COMPILED:
    tile_half = Family("s2t_np_tile_half", TWO_VECTORS, HalfEmitter).tile()
    load_half, store_half = _load_half, _store_half
else:
    tile_half, load_half, store_half = _plain_tile_half, _plain_load_half, _plain_store_half
