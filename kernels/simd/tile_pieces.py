"""The tile of `tile.py` in the registers of AMX: floats as sums of three bfloat16, 32 outputs by 1 to 8 vectors.

A float's 24 bits are those of three bfloat16, x = x0 + x1 + x2 exactly, each of which has the leading 8 of what those
before it leave. A product of two floats is then nine products, of which three are as small as what float32 rounds off
(x1 y2, x2 y1, x2 y2: at most 2**-23 of the product together, of either sign). The six others are exact in float32.
TDPBF16PS adds 32 of them at a time to each of 16 x 16 sums: C[r, n] += sum over i, j of A[r, 2 i + j] B[i, 2 n + j],
the even and the odd ones in a chain of their own from zero. So a sum of I products has 6 I / 32 additions where the
multiply-adds of `tile.py` have I, and comes out closer. (Henry, Tang and Heinecke 2019, "Leveraging the bfloat16
Artificial Intelligence Datatype For Higher-Precision Computations"; Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 2, "TDPBF16PS".)

A block is 32 inputs: word i of its 16 has inputs i and i + 16. Activations lie on the left, [16 positions][16 words],
weights on the right, [16 words][16 outputs], as panels have them: a square for each piece. Numbers that are not finite
come out as NaN, parts of numbers below 2**-126 as zero.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..layout import BLOCK_INPUTS, LANES, PANEL
from .tile import ARGUMENTS, Family
from .tile_amx import HAS_FLOAT_TILES, LEFT_TILES, RIGHT_TILES, TILE_ROWS, UNITS, VECTORS, AmxUnits
from .transpose import transposed
from .vector import I64, INTEGERS, VECTOR, constant, spread, vec

PIECE = LANES * LANES
# Pieces of weights and of activations that are multiplied, in this order: from one pair to the next a single one is
# loaded anew, so that seven loads serve six products.
PRODUCTS = ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0))


class PiecesEmitter(AmxUnits):
    """All strides are in words; a's `row` is the way from 16 outputs to the next 16; a step is a block.

    Of unit v and half h of the outputs, the sums are in register 2 v + h, and then in a square of `sums`.
    """

    arguments, product = ARGUMENTS, "tdpbf16ps"

    def multiply(self, state, _):
        """Add the products of a block to all sums."""
        loaded = [None, None]
        for weight, activation in PRODUCTS:
            if weight != loaded[0]:
                self.load_piece(RIGHT_TILES, state["a"], self.a_half, weight)
            if activation != loaded[1]:
                self.load_piece(LEFT_TILES[: len(self.here)], state["b"], self.b_vector, activation)
            loaded = [weight, activation]
            for register in self.registers():
                self.amx(self.product, register, LEFT_TILES[register // 2], RIGHT_TILES[register % 2])
        return self.advance(state)

    def lines_ahead(self) -> int:
        """All two vectors together prefetch a panel of floats."""
        return -(-BLOCK_INPUTS * PANEL // LANES // -(-len(self.vectors) // VECTORS))

    def load_piece(self, registers, block, stride, piece: int):
        """The squares of a piece, `stride` words apart."""
        for i, register in enumerate(registers):
            place = self.place(block, (ir.Constant(I64, PIECE), piece), (stride, i))
            self.amx("tileloadd64", register, (place, self.a_stride))

    def registers(self):
        return list(range(2 * len(self.here)))

    def put_down(self):
        for register in self.registers():
            self.amx("tilestored64", register, (self.square(ir.Constant(I64, register)), self.a_stride))

    def square(self, number):
        """The address of a square of sums."""
        return self.place(self.sums, (ir.Constant(I64, PIECE), number))

    def start_rows(self):
        """Squares share nothing."""

    def finish_rows(self):
        self.counted(ir.Constant(I64, 2 * len(self.here)), {}, self.finish_square)

    def finish_square(self, state, number):
        """Results of 16 outputs for a unit: sums as they lie have the positions in rows."""
        builder, one = self.builder, ir.Constant(I64, 1)
        v, first = builder.lshr(number, one), builder.shl(builder.and_(number, one), ir.Constant(I64, 4))
        v = builder.add(v, ir.Constant(I64, self.here[0]))
        for i, row in enumerate(transposed(builder, self.lines(self.square(number)))):
            r = builder.add(first, ir.Constant(I64, i))
            bias = self.load(self.place(self.row_bias_at, (self.row_bias_row, r)), VECTOR.element)
            self.put(builder.fadd(row, spread(builder, bias)), r, v)
        return state

    def lines(self, square) -> list:
        """The 16 vectors of a square."""
        return [self.load(self.place(square, (ir.Constant(I64, LANES), i)), VECTOR) for i in range(LANES)]


class PositionsEmitter(PiecesEmitter):
    """Results as rows of 16 outputs, y's `row` from these to the panel's other 16; nothing is added to them."""

    def start_rows(self):
        """Biases of the outputs."""
        at, row = self.row_bias_at, self.row_bias_row
        self.biases = [self.load(self.place(at, (row, LANES * half)), VECTOR) for half in range(2)]

    def finish_rows(self):
        self.counted(ir.Constant(I64, TILE_ROWS), {}, self.position)

    def position(self, state, p):
        """Results of a position of each unit."""
        for i, v in enumerate(self.here):
            sums = [self.sum(2 * i + half, p) for half in range(2)]
            self.put_position(v, p, [self.builder.fadd(*pair) for pair in zip(sums, self.biases, strict=True)])
        return state

    def sum(self, number: int, p):
        """Row p of a square of sums."""
        square = self.square(ir.Constant(I64, number))
        return self.load(self.place(square, (ir.Constant(I64, LANES), p)), VECTOR)

    def put_position(self, v, p, pair):
        """Store both halves."""
        for half, total in enumerate(pair):
            place = self.place(self.c_at, (self.c_vector, v), (self.c_row, half), (ir.Constant(I64, LANES), p))
            self.store(total, place)


class SplitEmitter(PositionsEmitter):
    """Results, above the lower bound, as pieces: a panel's 32 outputs are a block of the next product's inputs."""

    def put_position(self, v, p, pair):
        builder, bound = self.builder, spread(self.builder, self.lower_bound)
        pair = [builder.select(builder.fcmp_ordered("<", total, bound), bound, total) for total in pair]
        place = self.place(self.c_at, (self.c_vector, v), (ir.Constant(I64, LANES), p))
        put_pieces(builder, builder.ptrtoint(place, I64), *pair)


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


store_pieces = tile_pieces = tile_rows = tile_of_pieces = _absent
if HAS_FLOAT_TILES:
    store_pieces = _store_pieces
    tile_pieces = Family("s2t_np_tile_pieces", UNITS, PiecesEmitter).tile()
    tile_rows = Family("s2t_np_tile_rows_of_pieces", UNITS, PositionsEmitter).tile()
    tile_of_pieces = Family("s2t_np_tile_of_pieces", UNITS, SplitEmitter).tile()
