"""The tile of `tile_int8.py` in the registers of AMX: 32 outputs by 1 to 8 vectors of positions, or 16 rows by 32.

A register holds 16 rows of 64 bytes. TDPBSUD (signed by unsigned) and TDPBUSD (unsigned by signed) add to 16 x 16 sums
the products over 64 inputs: C[r, n] += sum over i, j of A[r, 4 i + j] B[i, 4 n + j]. So the left factor lies in rows,
and the right one as words of four inputs, [input / 4][16]. Sums are exact, so results are those of `tile_int8.py` bit
for bit. (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, "TDPBSSD/TDPBSUD/TDPBUSD/TDPBUUD".)

    tile_units    weights on the left, activations on the right (32 x 16 to 32 x 128); terms: `tile_int8.tile_units`
    tile_rows     activations on the left, weights on the right (16 x 32 or 32 x 32); terms as in `tile_int8.tile_rows`

Their `depth` counts blocks of 64 inputs, and a step is one block. The sums go through memory, because AMX has no way
to a vector register.

Versions (s2t-small, 998 frames, one thread of a Sapphire Rapids, medians of processes in turn, processor time): the
encoder with vpdpbusd 22.2 ms, so 15.0. Twelve utterances of 30 steps decoded together, 5 beams, 41.6 ms each; 34.3 with
the encoder's products, 32.6 with those of 16 and 32 rows too. A loop of nothing but products reaches 3300 GOP/s, so the
encoder's time is now that of attention, of terms, and of laying weights in rows. On a later machine: registers made
ready once for a matrix, and groups of 16 units, for which weights are laid in rows half as often, 12.9 -> 11.7 ms;
results of two units put down while the next two are multiplied, floats (`tile_pieces.py`) 41.0 -> 39.1, bytes the same.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.compiler import external
from ..build.options import COMPILED
from ..cpu import detect
from ..layout import LANES, PANEL
from .operands import Int8Terms
from .tile import Family
from .tile_int8 import UnitsEmitter
from .vector import BYTES, F32, I32, I64, INTEGERS, VECTOR, spread

HAS_TILES, HAS_FLOAT_TILES = COMPILED and detect().has_tiles, COMPILED and detect().has_float_tiles
BLOCK = 16  # words of 4 inputs in a row of a register: 64 inputs
I8 = ir.IntType(8)
LINE, TILE_ROWS = 4 * BLOCK, 16  # bytes of a row; rows
# ldtilecfg's 64 bytes: palette 1, then from byte 16 on bytes in a row, and from byte 48 on rows, of each register
CONFIGURATION = (1, 0, *[LINE * 0x0001000100010001] * 2, 0, 0, TILE_ROWS * 0x0101010101010101, 0)
LEFT_TILES, RIGHT_TILES = (4, 5), (6, 7)  # registers; the first four hold sums
VECTORS = 2  # that a register of the left factor meets
MOST_UNITS = 8  # vectors in a tile at most
UNITS = [(PANEL, vectors) for vectors in range(1, MOST_UNITS + 1)]
LINES_AHEAD = 8  # cache lines that a block prefetches


def amx(builder, name: str, *arguments) -> None:
    """An instruction. Numbers are registers; memory is an address, with the bytes from row to row."""
    flat = []
    for argument in arguments:
        if isinstance(argument, int):
            flat.append(ir.Constant(I8, argument))
        else:
            address, *stride = argument
            flat += [builder.bitcast(address, BYTES), *stride]
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in flat])
    builder.call(external(builder.module, kind, f"llvm.x86.{name}"), flat)


@intrinsic
def _configure_tiles(typing):
    """Make all registers 16 rows of 64 bytes. Tiles may be called until `release_tiles`.

    Both wait until the registers are idle, so they are not in the tiles.
    """

    def build(context, builder, sig, args):
        with builder.goto_entry_block():
            words = builder.alloca(I64, len(CONFIGURATION))
        words.align = LINE
        for i, word in enumerate(CONFIGURATION):
            builder.store(ir.Constant(I64, word), builder.gep(words, [ir.Constant(I64, i)]))
        amx(builder, "ldtilecfg", (words,))
        return context.get_dummy_value()

    return types.void(), build


@intrinsic
def _release_tiles(typing):
    """Give the registers back: what is not in use is not saved when threads take turns."""

    def build(context, builder, sig, args):
        amx(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), build


class AmxUnits(UnitsEmitter):
    """Weights in rows: a's `row` is the way from 16 outputs to the next 16; all steps are from block to block."""

    product = "tdpbsud"

    def emit(self):
        self.halves = range(len(self.rows) // TILE_ROWS)
        self.lay_out()
        buffers, finish = [self.room(I32, PANEL * PANEL) for _ in range(2)], []
        for first in range(0, len(self.vectors), VECTORS):
            self.here, self.sums = self.vectors[first : first + VECTORS], buffers[first // VECTORS % 2]
            self.multiply_all()
            self.finish_those(finish)
            self.put_down()
            finish = [(self.here, self.sums)]
        self.finish_those(finish)
        self.builder.ret_void()

    def multiply_all(self):
        """The sums of two vectors, or of the last one, in registers."""
        first = self.here[0]
        for register in self.registers():
            self.amx("tilezero", register)
        brought = self.builder.mul(self.depth, ir.Constant(I64, self.lines_ahead() * (first // VECTORS)))
        state = {"a": self.a_at, "b": self.place(self.b_at, (self.b_vector, first))}
        state["ahead"] = self.place(self.ahead_at, (self.ahead_step, brought))
        self.counted(self.depth, state, self.multiply)

    def put_down(self):
        """Sums to memory."""
        for register in self.registers():
            place = self.sums_of(ir.Constant(I64, register // 2 * TILE_ROWS), self.here[register % 2])
            self.amx("tilestored64", register, (place, ir.Constant(I64, 4 * PANEL)))

    def finish_those(self, finish):
        """Results of two vectors from their sums in memory.

        This comes when the products of the next two are on their way: it needs no register of theirs.
        """
        now = self.here, self.sums
        for self.here, self.sums in finish:
            self.start_rows()
            self.finish_rows()
        self.here, self.sums = now

    def lines_ahead(self) -> int:
        """Lines that a block of two vectors prefetches."""
        return LINES_AHEAD

    def finish_rows(self):
        """Results of all rows, from their sums."""
        self.counted(ir.Constant(I64, len(self.rows)), {}, self.row)

    def registers(self):
        """The registers of sums: of half h and the first or second vector it is 2 h or 2 h + 1."""
        return [2 * half + v for half in self.halves for v in range(len(self.here))]

    def lay_out(self):
        """Bytes from row to row of both factors, and words from the first 16 rows to the next."""
        self.a_stride, self.b_stride, self.a_half = ir.Constant(I64, LINE), ir.Constant(I64, LINE), self.a_row

    def room(self, kind, count: int):
        """Memory on the stack, at the beginning of a cache line."""
        place = self.builder.alloca(kind, count)
        place.align = LINE
        return place

    def amx(self, name: str, *arguments):
        """An instruction. Numbers are registers; memory is an address, with the bytes from row to row."""
        amx(self.builder, name, *arguments)

    def counted(self, count, state: dict, body) -> None:
        """Call body(state, i) for i in 0 .. count-1, at least once; it returns the next state."""
        builder, before = self.builder, self.builder.block
        turn, after = builder.append_basic_block("turn"), builder.append_basic_block("after")
        builder.branch(turn)
        builder.position_at_end(turn)
        i, carried = builder.phi(I64), {key: builder.phi(value.type) for key, value in state.items()}
        following, next_i = body(carried, i), builder.add(i, ir.Constant(I64, 1))
        for node, first, later in (
            (i, ir.Constant(I64, 0), next_i),
            *((carried[k], state[k], following[k]) for k in state),
        ):
            node.add_incoming(first, before)
            node.add_incoming(later, turn)
        builder.cbranch(builder.icmp_signed("<", next_i, count), turn, after)
        builder.position_at_end(after)

    def multiply(self, state, _):
        """Add the products of a block to all sums."""
        for half in self.halves:
            self.amx("tileloadd64", LEFT_TILES[half], (self.place(state["a"], (self.a_half, half)), self.a_stride))
        for v in range(len(self.here)):
            self.amx("tileloadd64", RIGHT_TILES[v], (self.place(state["b"], (self.b_vector, v)), self.b_stride))
        following = self.advance(state)
        for register in self.registers():
            self.amx(self.product, register, LEFT_TILES[register // 2], RIGHT_TILES[register % 2])
        return following

    def advance(self, state):
        """Prefetch a block's share of what comes; the addresses of the next block."""
        lines = self.lines_ahead()
        for i in range(lines):
            self.prefetch(self.place(state["ahead"], (self.ahead_step, i)))
        steps = {"a": (self.a_step, 1), "b": (self.b_step, 1), "ahead": (self.ahead_step, lines)}
        return {key: self.place(state[key], step) for key, step in steps.items()}

    def sums_of(self, r, v):
        """The address of 16 sums of row r, a value at run time."""
        row, first = self.builder.mul(r, ir.Constant(I64, PANEL)), (v - self.here[0]) * LANES
        return self.builder.gep(self.sums, [self.builder.add(row, ir.Constant(I64, first))])

    def start_rows(self):
        """Load what all rows share: scales of positions."""
        at, step = self.x_scale_at, self.x_scale_step
        self.x_scales = {v: self.load(self.place(at, (step, v)), VECTOR) for v in self.here}

    def row(self, state, r):
        """Results of an output."""
        builder, kinds = self.builder, (I32, F32, F32)
        terms = zip((self.zero_point_at, self.scale_at, self.bias_at), kinds, strict=True)
        zero_point, scale, bias = (self.load(builder.gep(at, [r]), kind) for at, kind in terms)
        for v in self.here:
            total = builder.add(self.load(self.sums_of(r, v), INTEGERS), spread(builder, zero_point, INTEGERS))
            factor = builder.fmul(spread(builder, scale), self.x_scales[v])
            self.put(self.scaled(total, factor, spread(builder, bias)), r, v)
        return state


class AmxRows(AmxUnits):
    """Activations in rows, weights in panels; steps are from block to block, a's `row` is that of the activations."""

    product = "tdpbusd"

    def lay_out(self):
        self.a_stride = self.builder.mul(self.a_row, ir.Constant(I64, 4))
        self.a_half = self.builder.mul(self.a_row, ir.Constant(I64, TILE_ROWS))
        self.b_stride = ir.Constant(I64, 4 * PANEL)

    def start_rows(self):
        """Load what all rows share: terms of outputs."""
        ats, kinds = (self.zero_point_at, self.scale_at, self.bias_at), (INTEGERS, VECTOR, VECTOR)
        step = ir.Constant(I64, LANES)
        self.shared = {
            v: [self.load(self.place(at, (step, v)), kind) for at, kind in zip(ats, kinds, strict=True)]
            for v in self.here
        }

    def row(self, state, r):
        """Results of an activation."""
        builder = self.builder
        x_scale = spread(builder, self.load(self.place(self.x_scale_at, (self.x_scale_step, r)), F32))
        for v in self.here:
            zero_point, scale, bias = self.shared[v]
            total = builder.add(self.load(self.sums_of(r, v), INTEGERS), zero_point)
            self.put(self.scaled(total, builder.fmul(scale, x_scale), bias), r, v)
        return state


def _absent(*arguments):
    raise NotImplementedError("this processor has no AMX")


configure_tiles = release_tiles = tile_units = tile_rows = _absent
if HAS_TILES or HAS_FLOAT_TILES:
    configure_tiles, release_tiles = _configure_tiles, _release_tiles
if HAS_TILES:
    tile_units = Family("s2t_np_tile_amx_units", UNITS, AmxUnits, Int8Terms).tile()
    tile_rows = Family("s2t_np_tile_amx_rows", [(TILE_ROWS, 2), (PANEL, 2)], AmxRows, Int8Terms).tile()
