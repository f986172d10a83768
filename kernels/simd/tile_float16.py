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

from ..build.arguments import Address1, Address2
from ..build.compiler import typeof
from ..build.options import COMPILED
from ..cpu import detect
from .tile import ARGUMENTS, FUNCTION, MAX_ROWS, Emitter, call, link
from .vector import INTEGERS, LANES, VECTOR, constant, vec

NAME = "s2t_np_tile_half"
SHAPES = [(rows, 2) for rows in range(1, MAX_ROWS + 1)]
HALVES, SHORTS = ir.VectorType(ir.HalfType(), LANES), ir.VectorType(ir.IntType(16), LANES)
HALF_LANES = LANES // 2  # words of 16 halves


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


class HalfEmitter(Emitter):
    """Halves in the lanes."""

    def vector(self, address):
        return widened(self.builder, address)


def emit(name: str, rows: int, vectors: int, module) -> None:
    """The function of one shape, into an LLVM module."""
    HalfEmitter(ir.Function(module, FUNCTION, f"{name}_{rows}x{vectors}"), rows, vectors).emit()


@intrinsic
def _tile_half(typing, rows, vectors, depth, a, b, row_bias, column_bias, added, floor, c, ahead):
    def build(context, builder, sig, args):
        call(builder, NAME, SHAPES, ARGUMENTS, sig.args, args)
        return context.get_dummy_value()

    integer, one, two = types.int64, typeof(Address1), typeof(Address2)
    operands = (two, two, one, one, two, types.float32, two, one)
    return types.void(integer, integer, integer, *operands), build


@intrinsic
def _load_half(typing, address):
    """16 halves at an address as a Vec."""

    def build(context, builder, sig, args):
        return widened(builder, builder.inttoptr(args[0], HALVES.as_pointer()))

    return vec(types.int64), build


def _plain_load_half(address):
    return address[:HALF_LANES].view(np.float16).astype(np.float32)


def _plain_tile_half(rows, vectors, depth, a, b, row_bias, column_bias, added, floor, c, ahead):
    """The same from the definition: `at` gives slices here."""
    for r in range(rows):
        for v in range(vectors):
            total = np.zeros(LANES, np.float32)
            for i in range(depth):
                total += a[0][a[1] * r + a[2] * i] * _plain_load_half(b[0][b[1] * i + b[2] * v :])
            total += row_bias[0][row_bias[1] * r] + column_bias[0][column_bias[1] * v :][:LANES]
            total += added[0][added[1] * r + added[2] * v :][:LANES]
            c[0][c[1] * r + c[2] * v :][:LANES] = np.maximum(total, floor)


tile_half, load_half = (_tile_half, _load_half) if COMPILED else (_plain_tile_half, _plain_load_half)
if COMPILED:
    link(NAME, SHAPES, emit)
