"""The tile of `tile.py` in the registers of AMX: floats as sums of three bfloat16, 32 outputs by 1 to 8 vectors.

A float's 24 bits are those of three bfloat16, x = x0 + x1 + x2 exactly, each of which has the leading 8 of what those
before it leave. A product of two floats is then nine products, of which three are as small as what float32 rounds off
(x1 y2, x2 y1, x2 y2: at most 2**-23 of the product together, of either sign). The six others are exact in float32.
TDPBF16PS adds 32 of them at a time to each of 16 x 16 sums: C[r, n] += sum over i, j of A[r, 2 i + j] B[i, 2 n + j],
the even and the odd ones in a chain of their own from zero. So a sum of I products has 6 I / 32 additions where the
multiply-adds of `tile.py` have I, and comes out closer. (Henry, Tang and Heinecke 2019, "Leveraging the bfloat16
Artificial Intelligence Datatype For Higher-Precision Computations"; Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 2, "TDPBF16PS".)

A block is 32 inputs: word i of its 16 has inputs i and i + 16. Weights lie on the left, [16 outputs][16 words],
activations on the right, [16 words][16 positions], a square for each piece. Numbers that are not finite come out as
NaN, parts of numbers below 2**-126 as zero.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..layout import LANES
from .tile import ARGUMENTS, Family
from .tile_amx import HAS_FLOAT_TILES, LEFT_TILES, LINES_AHEAD, RIGHT_TILES, TILE_ROWS, UNITS, AmxUnits
from .vector import I64, INTEGERS, VECTOR, constant, spread, vec

PIECE = LANES * LANES
# Pieces of weights and of activations that are multiplied, in this order: from one pair to the next a single one is
# loaded anew, so that seven loads serve six products.
PRODUCTS = ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0))


class PiecesEmitter(AmxUnits):
    """All strides are in words; a's `row` is the way from 16 outputs to the next 16; a step is a block."""

    arguments, product = ARGUMENTS, "tdpbf16ps"

    def multiply(self, state, _):
        """Add the products of a block to all sums."""
        loaded = [None, None]
        for left, right in PRODUCTS:
            if left != loaded[0]:
                self.load_piece(LEFT_TILES[: len(self.halves)], state["a"], self.a_half, left)
            if right != loaded[1]:
                self.load_piece(RIGHT_TILES[: len(self.here)], state["b"], self.b_vector, right)
            loaded = [left, right]
            for register in self.registers():
                self.amx(self.product, register, LEFT_TILES[register // 2], RIGHT_TILES[register % 2])
        for i in range(LINES_AHEAD):
            self.prefetch(self.place(state["ahead"], (self.ahead_step, i)))
        steps = {"a": (self.a_step, 1), "b": (self.b_step, 1), "ahead": (self.ahead_step, LINES_AHEAD)}
        return {key: self.place(state[key], step) for key, step in steps.items()}

    def load_piece(self, registers, block, stride, piece: int):
        """The squares of a piece, `stride` words apart."""
        for i, register in enumerate(registers):
            place = self.place(block, (ir.Constant(I64, PIECE), piece), (stride, i))
            self.amx("tileloadd64", register, (place, self.a_stride))

    def start_rows(self):
        """Rows share nothing."""

    def total(self, r, v):
        """The sum of row r and vector v, with its bias."""
        bias = self.load(self.place(self.row_bias_at, (self.row_bias_row, r)), VECTOR.element)
        return self.builder.fadd(self.load(self.sums_of(r, v), VECTOR), spread(self.builder, bias))

    def row(self, state, r):
        """Results of an output."""
        for v in self.here:
            self.put(self.total(r, v), r, v)
        return state


class SplitEmitter(PiecesEmitter):
    """Results come as pieces: a panel's 32 outputs are a block of the next product's inputs."""

    def finish_rows(self):
        self.counted(ir.Constant(I64, TILE_ROWS), {}, self.pair)

    def pair(self, state, r):
        """The words of outputs r and r + 16."""
        builder, bound = self.builder, spread(self.builder, self.lower_bound)
        for v in self.here:
            pair = []
            for row in (r, builder.add(r, ir.Constant(I64, TILE_ROWS))):
                total = self.total(row, v)
                pair.append(builder.select(builder.fcmp_ordered("<", total, bound), bound, total))
            place = self.place(self.c_at, (self.c_vector, v), (ir.Constant(I64, LANES), r))
            put_pieces(builder, builder.ptrtoint(place, I64), *pair)
        return state


def _rounded(builder, value):
    """The bfloat16 nearest to each of 16 floats, as the float's bits: all below are zero."""
    bits = builder.add(builder.bitcast(value, INTEGERS), constant(0x8000, INTEGERS))
    return builder.and_(bits, constant(0xFFFF0000, INTEGERS))


def _pieces(builder, value) -> list:
    """The three pieces of 16 floats, as bits of floats."""
    found = []
    for _ in range(2):
        found.append(_rounded(builder, value))
        value = builder.fsub(value, builder.bitcast(found[-1], VECTOR))
    return [*found, builder.and_(builder.bitcast(value, INTEGERS), constant(0xFFFF0000, INTEGERS))]


def put_pieces(builder, address, first, second) -> None:
    """The pieces of two vectors side by side in 16 words, for each of the squares that begin at `address`."""
    pairs = zip(_pieces(builder, first), _pieces(builder, second), strict=True)
    for piece, (low, high) in enumerate(pairs):
        words = builder.or_(builder.lshr(low, constant(16, INTEGERS)), high)
        place = builder.add(address, ir.Constant(I64, 4 * PIECE * piece))
        builder.store(words, builder.inttoptr(place, INTEGERS.as_pointer()), align=4)


@intrinsic
def _store_pieces(typing, address, first, second):
    """`put_pieces` of Vecs."""

    def build(context, builder, sig, args):
        put_pieces(builder, *args)
        return context.get_dummy_value()

    return types.void(types.int64, vec, vec), build


def _absent(*arguments):
    raise NotImplementedError("this processor has no AMX")


store_pieces = tile_pieces = tile_of_pieces = _absent
if HAS_FLOAT_TILES:
    store_pieces = _store_pieces
    tile_pieces = Family("s2t_np_tile_pieces", UNITS, PiecesEmitter).tile()
    tile_of_pieces = Family("s2t_np_tile_of_pieces", UNITS, SplitEmitter).tile()
