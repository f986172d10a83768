"""The tile of `tile.py` over bytes: C = max((A B + comp) * scale + bias + added, floor), with exact 32-bit sums.

Weights are signed bytes w = round(W / s), one s for each output; activations unsigned ones, u = round(x / t) + 128, one
t for each row and CHUNK inputs (`quantize.py`). Then sum W x = s t (sum w u - 128 sum w), and comp = -128 sum w, which
is known beforehand, is what the sums begin with. Four steps of the sum lie in one 32-bit word, so all strides are in
words and those of the float tile hold with a quarter of the depth. Which side the weights are on decides which operand
is signed and where the terms go:

    tile_rows     weights in the lanes, activations as scalars: terms are vectors, activation scales scalars
    tile_units    weights as scalars, activations in the lanes: the other way round

On AVX-512 VNNI a word's four products and their sum are one instruction (vpdpbusd); elsewhere they are written out in
32-bit arithmetic, with the same results.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.arguments import Address1, Address2
from ..build.compiler import typeof
from ..build.options import COMPILED
from ..cpu import detect
from .tile import MAX_ROWS, Emitter, argument_types, call, link
from .vector import F32, I32, I64, INTEGERS, LANES, VECTOR, constant, multiply_add, spread
from .vector import call as call_llvm

# as in tile.py; terms: the addresses of scale, comp and bias of the first output
ARGUMENTS = (
    *("depth", "a_at", "a_row", "a_step", "b_at", "b_step", "b_vector", "scale_at", "comp_at", "bias_at"),
    *("x_scale_at", "x_scale_step", "added_at", "added_row", "added_vector"),
    *("floor", "c_at", "c_row", "c_vector", "ahead_at", "ahead_step"),
)
ROWS_NAME, UNITS_NAME = "s2t_np_tile_int8_rows", "s2t_np_tile_int8_units"
ROWS_SHAPES = [(rows, 2) for rows in range(1, MAX_ROWS + 1)]
UNITS_SHAPES = [(MAX_ROWS, vectors) for vectors in (1, 2)]


def dot(builder, total, unsigned, signed):
    """total + the four products of unsigned and signed bytes in each 32-bit lane."""
    if detect().has_vnni:
        return call_llvm(builder, "llvm.x86.avx512.vpdpbusd.512", INTEGERS, total, unsigned, signed)
    for byte in range(4):
        left = builder.and_(builder.lshr(unsigned, constant(8 * byte, INTEGERS)), constant(255, INTEGERS))
        right = builder.ashr(builder.shl(signed, constant(24 - 8 * byte, INTEGERS)), constant(24, INTEGERS))
        total = builder.add(total, builder.mul(left, right))
    return total


class RowsEmitter(Emitter):
    """Weights in the lanes."""

    element, lanes, arguments = I32, INTEGERS, ARGUMENTS

    def multiply_add(self, a, b, total):
        return dot(self.builder, total, a, b)

    def terms(self, vectors):
        """Six lines for a tile that reads 64 of weights: asked for at its start, a step takes 5 % less."""
        offsets = [(ir.Constant(I64, LANES), v) for v in vectors]
        return [self.place(at, offset) for at in (self.scale_at, self.comp_at, self.bias_at) for offset in offsets]

    def start(self, r, v):
        return self.load(self.place(self.comp_at, (ir.Constant(I64, LANES), v)))

    def finish(self, state):
        builder = self.builder
        for v in self.here:
            offset = (ir.Constant(I64, LANES), v)
            scale, bias = (self.load(self.place(at, offset), VECTOR) for at in (self.scale_at, self.bias_at))
            for r in self.places:
                x_scale = spread(builder, self.load(self.place(self.x_scale_at, (self.x_scale_step, r)), F32))
                self.put(self.scaled(state[r, v], builder.fmul(scale, x_scale), bias), r, v)

    def scaled(self, total, scale, bias):
        """total * scale + bias."""
        return multiply_add(self.builder, self.builder.sitofp(total, VECTOR), scale, bias)


class UnitsEmitter(RowsEmitter):
    """Weights as scalars."""

    def terms(self, vectors):
        return []

    def multiply_add(self, a, b, total):
        return dot(self.builder, total, b, a)

    def start(self, r, v):
        return spread(self.builder, self.load(self.builder.gep(self.comp_at, [ir.Constant(I64, r)]), I32), INTEGERS)

    def finish(self, state):
        builder = self.builder
        for r in self.places:
            here = ir.Constant(I64, r)
            scale, bias = (
                spread(builder, builder.load(builder.gep(at, [here]))) for at in (self.scale_at, self.bias_at)
            )
            for v in self.here:
                x_scale = self.load(self.place(self.x_scale_at, (self.x_scale_step, v)), VECTOR)
                self.put(self.scaled(state[r, v], builder.fmul(scale, x_scale), bias), r, v)


def _writer(emitter):
    kind = ir.FunctionType(ir.VoidType(), argument_types(ARGUMENTS))

    def write(name: str, rows: int, vectors: int, module) -> None:
        emitter(ir.Function(module, kind, f"{name}_{rows}x{vectors}"), rows, vectors).emit()

    return write


def _family(name: str, shapes):
    """The intrinsic of a family of tiles."""

    @intrinsic
    def tile(typing, rows, vectors, depth, a, b, terms, x_scale, added, floor, c, ahead):
        def build(context, builder, sig, args):
            call(builder, name, shapes, ARGUMENTS, sig.args, args)
            return context.get_dummy_value()

        integer, one, two = types.int64, typeof(Address1), typeof(Address2)
        operands = (two, two, two, one, two, types.float32, two, one)
        return types.void(integer, integer, integer, *operands), build

    return tile


def _bytes(word, kind) -> np.ndarray:
    return np.ascontiguousarray(word).view(kind).astype(np.int64).reshape(-1, 4)


def _plain_tile(rows, vectors, depth, a, b, terms, x_scale, added, floor, c, weights_in_lanes: bool):
    """Both families from the definition, where addresses are slices of float32 arrays."""
    kind_a, kind_b = (np.uint8, np.int8) if weights_in_lanes else (np.int8, np.uint8)
    scale, comp, bias = terms[0], terms[1].view(np.int32), terms[2]
    for r in range(rows):
        for v in range(vectors):
            total = np.zeros(LANES, np.int64)
            for i in range(depth):
                left = _bytes(a[0][a[1] * r + a[2] * i :][:1], kind_a)
                total += (left * _bytes(b[0][b[1] * i + b[2] * v :][:LANES], kind_b)).sum(axis=1)
            own = slice(v * LANES, v * LANES + LANES) if weights_in_lanes else slice(r, r + 1)
            other = (
                slice(x_scale[1] * r, x_scale[1] * r + 1)
                if weights_in_lanes
                else slice(x_scale[1] * v, x_scale[1] * v + LANES)
            )
            y = (total + comp[own]).astype(np.float32) * (scale[own] * x_scale[0][other]) + bias[own]
            y = y + added[0][added[1] * r + added[2] * v :][:LANES]
            c[0][c[1] * r + c[2] * v :][:LANES] = np.maximum(y, floor)


def _plain_rows(rows, vectors, depth, a, b, terms, x_scale, added, floor, c, ahead):
    _plain_tile(rows, vectors, depth, a, b, terms, x_scale, added, floor, c, True)


def _plain_units(rows, vectors, depth, a, b, terms, x_scale, added, floor, c, ahead):
    _plain_tile(rows, vectors, depth, a, b, terms, x_scale, added, floor, c, False)


if COMPILED:
    tile_rows, tile_units = _family(ROWS_NAME, ROWS_SHAPES), _family(UNITS_NAME, UNITS_SHAPES)
    link(ROWS_NAME, ROWS_SHAPES, _writer(RowsEmitter))
    link(UNITS_NAME, UNITS_SHAPES, _writer(UnitsEmitter))
else:
    tile_rows, tile_units = _plain_rows, _plain_units
