"""The tile of `tile_int8.tile_units` over numbers of 16 bits, for x86 without an instruction for products of bytes.

pmaddwd multiplies eight or more pairs of 16-bit numbers and adds each pair's products: exactly, for these were bytes.
So bytes are widened before they are multiplied: a word of four inputs becomes two words of two, even ones and odd ones.
The tile widens them again for every product (`tile_int8.dot_of_pairs`), which takes as long as the products do; here a
panel and the activations of a group are widened once (`ops/gemm_pairs.py`). Sums are exact either way, so results are
the same bits.

Versions (s2t-small, 998 frames, int8, one thread of an Emerald Rapids held to other instructions, processor time,
medians, widened for every product and as here): AVX2 105 and 81 ms, AVX-512 without VNNI 81 and 54, SSE2 196 and 167.
Tiles of 5 and 6 rows take as long as parts of 4.

    widen_signed, widen_unsigned    16 words -> [even | odd][16] words
    tile_units                      as `tile_int8.tile_units`; `depth` counts words of two inputs
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.options import COMPILED
from ..cpu import detect
from .operands import Int8Terms
from .tile import MAX_ROWS, Family
from .tile_int8 import UnitsEmitter, add_pairs
from .vector import INTEGERS, LANES

CPU = detect()
HAS_PAIRS = COMPILED and CPU.multiplies_pairs


class PairsEmitter(UnitsEmitter):
    """Weights as scalars, two inputs in each."""

    tallest = 4 if CPU.pair_bits > 128 else 2  # rows whose sums fit the registers beside a vector in four of 128 bits

    def multiply_add(self, a, b, total):
        return self.builder.add(total, add_pairs(self.builder, CPU.pair_bits, a, b))


def _widen(signed: bool):
    """An intrinsic: 16 words of four bytes at an address -> 16 words of bytes 0 and 2, then 16 of 1 and 3, at `to`."""

    @intrinsic
    def widen(typing, source, to, odd):
        def build(context, builder, sig, args):
            pointer = INTEGERS.as_pointer()
            words = builder.load(builder.inttoptr(args[0], pointer), align=4)
            shorts = ir.VectorType(ir.IntType(16), 2 * LANES)
            halves, eight = builder.bitcast(words, shorts), ir.Constant(shorts, [8] * 2 * LANES)
            shift = builder.ashr if signed else builder.lshr
            for place, x in ((args[1], builder.shl(halves, eight)), (args[2], halves)):
                value = builder.bitcast(shift(x, eight), INTEGERS)
                builder.store(value, builder.inttoptr(place, pointer), align=4)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), build

    return widen


def _absent(*arguments):
    raise NotImplementedError("this processor multiplies bytes, or has no pmaddwd")


tile_units = widen_signed = widen_unsigned = _absent
if HAS_PAIRS:
    tile_units = Family("s2t_np_tile_pairs_units", [(MAX_ROWS, 1)], PairsEmitter, Int8Terms).tile()
    widen_signed, widen_unsigned = _widen(signed=True), _widen(signed=False)
