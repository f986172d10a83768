"""The tile of `tile.py` over bytes: C = max((A B + zero_point) scale + bias + accumulate, lower_bound), exact sums.

Weights are signed bytes w = round(W / s), with one s for each output; activations are unsigned, u = round(x / t) + 128,
with one t for each row and CHUNK inputs (`ops/quantize.py`). Then sum W x = s t (sum w u - 128 sum w). The second term,
zero_point = -128 sum w, is known beforehand; the 32-bit sums begin with it. Four steps of the sum lie in one 32-bit
word, so all strides are in words, and those of the float tile hold with a quarter of the depth. The side the weights
are on decides which operand is signed and where the terms (Int8Terms) go:

    tile_rows     weights in the lanes, activations as scalars: terms are vectors, activation scales are scalars
    tile_units    weights as scalars, activations in the lanes: the other way round

With VNNI, of AVX-512 or AVX, a word's four products and their sum are one instruction (vpdpbusd). On other x86 they are
two of pmaddwd, which adds products of 16-bit numbers in pairs: bytes 0 and 2, then 1 and 3 (pmaddubsw, for bytes, would
saturate). Elsewhere they are written out in 32-bit arithmetic. Sums are exact, so results are the same.
"""

import numpy as np
from llvmlite import ir

from ..build.compiler import external
from ..build.options import COMPILED
from ..cpu import detect
from .operands import Int8Terms
from .tile import FACTORS, MAX_ROWS, RESULTS, Emitter, Family, plain_results, plain_vector
from .tile_float16 import TWO_VECTORS
from .vector import F32, I32, I64, INTEGERS, LANES, VECTOR, constant, multiply_add, spread
from .vector import call as call_llvm

TERMS = ("scale_at", "zero_point_at", "bias_at", "x_scale_at", "x_scale_step")  # the fields of Int8Terms
INT8_ARGUMENTS = (*FACTORS, *TERMS, *RESULTS, "ahead_at", "ahead_step")


def in_pieces(builder, piece: int, combine, *vectors):
    """combine(*pieces) of vectors in pieces of that many elements, put together again."""
    count, parts = vectors[0].type.count, []
    for first in range(0, count, piece):
        mask = ir.Constant(ir.VectorType(I32, piece), list(range(first, first + piece)))
        parts.append(combine(*(builder.shuffle_vector(v, v, mask) for v in vectors)))
    while len(parts) > 1:
        mask = ir.Constant(ir.VectorType(I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(a, b, mask) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def add_pairs(builder, bits: int, a, b):
    """a and b as twice as many 16-bit numbers, signed: products, added in pairs (pmaddwd)."""
    shorts = ir.VectorType(ir.IntType(16), bits // 16)
    kind = ir.FunctionType(ir.VectorType(I32, bits // 32), [shorts, shorts])
    name = {512: "llvm.x86.avx512.pmaddw.d.512", 256: "llvm.x86.avx2.pmadd.wd", 128: "llvm.x86.sse2.pmadd.wd"}[bits]
    function = external(builder.module, kind, name)
    return in_pieces(
        builder, bits // 32, lambda *pieces: builder.call(function, [builder.bitcast(x, shorts) for x in pieces]), a, b
    )


def dot_of_pairs(builder, bits: int, total, unsigned, signed):
    """`dot` by 16-bit numbers: even bytes, then odd ones."""
    shorts, low = ir.VectorType(ir.IntType(16), 2 * LANES), constant(0x00FF00FF, INTEGERS)
    eight, halves = ir.Constant(shorts, [8] * 2 * LANES), builder.bitcast(signed, shorts)
    odd = builder.and_(builder.lshr(unsigned, constant(8, INTEGERS)), low)
    pairs = (
        (builder.and_(unsigned, low), builder.ashr(builder.shl(halves, eight), eight)),
        (odd, builder.ashr(halves, eight)),
    )
    for a, b in pairs:
        total = builder.add(total, add_pairs(builder, bits, a, builder.bitcast(b, INTEGERS)))
    return total


def dot(builder, total, unsigned, signed):
    """total + the four products of unsigned and signed bytes in each 32-bit lane."""
    cpu, name = detect(), "llvm.x86.avx512.vpdpbusd"
    if cpu.has_vnni:
        return call_llvm(builder, f"{name}.512", INTEGERS, total, unsigned, signed)
    if cpu.has_avx_vnni:
        half = ir.VectorType(I32, 8)
        return in_pieces(builder, 8, lambda *x: call_llvm(builder, f"{name}.256", half, *x), total, unsigned, signed)
    if cpu.pair_bits:
        return dot_of_pairs(builder, cpu.pair_bits, total, unsigned, signed)
    for byte in range(4):
        left = builder.and_(builder.lshr(unsigned, constant(8 * byte, INTEGERS)), constant(255, INTEGERS))
        right = builder.ashr(builder.shl(signed, constant(24 - 8 * byte, INTEGERS)), constant(24, INTEGERS))
        total = builder.add(total, builder.mul(left, right))
    return total


class RowsEmitter(Emitter):
    """Weights in the lanes."""

    element, lanes, arguments = I32, INTEGERS, INT8_ARGUMENTS
    tallest = 4  # where bytes have to be widened, that takes registers too

    def multiply_add(self, a, b, total):
        return dot(self.builder, total, a, b)

    def terms(self, vectors):
        """Six lines for a tile that reads 64 of weights: prefetched at its start, a step takes 5 % less."""
        offsets = [(ir.Constant(I64, LANES), v) for v in vectors]
        return [
            self.place(at, offset) for at in (self.scale_at, self.zero_point_at, self.bias_at) for offset in offsets
        ]

    def start(self, r, v):
        return self.load(self.place(self.zero_point_at, (ir.Constant(I64, LANES), v)))

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
        return spread(
            self.builder, self.load(self.builder.gep(self.zero_point_at, [ir.Constant(I64, r)]), I32), INTEGERS
        )

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


def _bytes(word, kind) -> np.ndarray:
    return np.ascontiguousarray(word).view(kind).astype(np.int64).reshape(-1, 4)


def _plain_int8_tile(size, a, b, terms, out, weights_in_lanes: bool):
    """Both families from the definition, where addresses are slices of float32 arrays."""
    kind_a, kind_b = (np.uint8, np.int8) if weights_in_lanes else (np.int8, np.uint8)
    zero_point = terms.zero_point.view(np.int32)

    def sums(r, v):
        total = np.zeros(LANES, np.int64)
        for i in range(size.depth):
            left = _bytes(a.address[a.row * r + a.step * i :][:1], kind_a)
            total += (left * _bytes(plain_vector(b, i, v), kind_b)).sum(axis=1)
        lanes, row = slice(v * LANES, (v + 1) * LANES), slice(r, r + 1)
        own, other = (lanes, (r, 1)) if weights_in_lanes else (row, (v, LANES))
        x_scale = terms.x_scale[terms.x_scale_step * other[0] :][: other[1]]
        return (total + zero_point[own]).astype(np.float32) * (terms.scale[own] * x_scale) + terms.bias[own]

    plain_results(size, out, sums)


def _plain_rows(size, a, b, terms, out, ahead):
    _plain_int8_tile(size, a, b, terms, out, True)


def _plain_units(size, a, b, terms, out, ahead):
    _plain_int8_tile(size, a, b, terms, out, False)


if COMPILED:
    tile_rows = Family("s2t_np_tile_int8_rows", TWO_VECTORS, RowsEmitter, Int8Terms).tile()
    tile_units = Family("s2t_np_tile_int8_units", [(MAX_ROWS, 1), (MAX_ROWS, 2)], UnitsEmitter, Int8Terms).tile()
else:
    tile_rows, tile_units = _plain_rows, _plain_units
