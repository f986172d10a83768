"""The inner loop of every matrix product: a tile of C = max(A B + bias + accumulate, lower_bound), held in registers.

    tile(size, a, b, bias, out, ahead)      size: TileSize, a, b: Operand, bias: Bias, out: Output, ahead: Ahead

`size` is 1 to 8 rows by 1 or 2 vectors of 16 columns, and the length of the sums. `a` gives a scalar for each row and
step of the sum, which is spread over the lanes; `b` a vector for each step and vector of columns (its `row` is the
stride from step to step, its `step` that from vector to vector); operands.py has the others.

Free strides make one tile serve both directions: activations spread over weights in the lanes (few rows: decoding),
and weights spread over positions in the lanes (many rows: the encoder, where norms and softmax then run down the lanes
without a horizontal sum, and no matrix is ever transposed).

Each output is one chain of multiply-adds over the depth, in order, whatever the shape of its tile, so results do not
depend on how the work is cut. `accumulate` lets longer sums continue (c as its own `accumulate`) and carries residuals.

Versions (GFLOP/s on one core of an Emerald Rapids whose measured roof is 176; 256 deep, 8 x 2, weights as scalars):
one step a turn 153; four steps a turn 168-174. With free strides, and LLVM's optimisation of the whole function: 65,
because it gathers the loads of all steps at the front and spills; without: 110, because it chains eight additions of
addresses; with rows side by side told apart from rows apart, and the latter hidden from it (`begin`): 172-174 both.
Tiles of 12 x 2 and 14 x 2 gain nothing over 8 x 2 and do not divide panels of 32; 6 x 2 stays at 158. With the 16
registers of AVX2 (a roof of 114 on a later machine; 250 rows, 256 to 1024): parts of 4 x 1 90, of 3 x 2, which spill,
61, of 6 x 1 with two rows as 2 x 2 100 (`gemm.linear_units` asks for 5 or 6 rows). With those of SSE, 128 bits wide,
all of 3 to 6 rows come to 32 to 37. Where rows are apart, two lines prefetched a step and not one: a step of 5 beams
2.05 -> 1.97 ms (AVX2 2.72 -> 2.47), 32 files of 10 s 4 % sooner; where they are together, the encoder loses 2 % (AVX2).
"""

from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.compiler import external, typeof
from ..build.device import emitted
from ..build.object_loader import Code, code_of
from ..build.options import COMPILED
from ..cpu import detect
from .operands import Ahead, Bias, Operand, Output, TileSize
from .vector import F32, I32, I64, LANES, VECTOR, multiply_add, spread

MAX_ROWS, MAX_VECTORS = 8, 2
# Rows and vectors whose sums fit the registers beside what is multiplied: 32 of 512 bits; 16 of 256, or of 128.
FULL_ROWS, FULL_VECTORS = (MAX_ROWS, MAX_VECTORS) if detect().has_wide_registers else (6 if detect().has_fma else 4, 1)
STEPS = 4  # terms of the sum in one turn of the loop
POINTER, BYTES = F32.as_pointer(), ir.IntType(8).as_pointer()

# The arguments of a tile after its rows and vectors, in the order of the structures' fields: names that end in _at are
# addresses, the rest strides.
FACTORS = ("depth", "a_at", "a_row", "a_step", "b_at", "b_step", "b_vector")
RESULTS = ("c_at", "c_row", "c_vector", "accumulate_at", "accumulate_row", "accumulate_vector", "lower_bound")
BIASES = ("row_bias_at", "row_bias_row", "column_bias_at", "column_bias_vector")
ARGUMENTS = (*FACTORS, *BIASES, *RESULTS, "ahead_at", "ahead_step")
SHAPES = [(rows, vectors) for rows in range(1, MAX_ROWS + 1) for vectors in range(1, MAX_VECTORS + 1)]


def argument_types(arguments):
    """LLVM types of a tile's arguments, by their names."""
    return tuple(POINTER if name.endswith("_at") else F32 if name == "lower_bound" else I64 for name in arguments)


def _integer(value: int):
    return ir.Constant(I64, value)


class Emitter:
    """Writes the LLVM function of one tile shape; a subclass may have other elements (`tile_int8.py`)."""

    element, lanes, arguments = F32, VECTOR, ARGUMENTS
    tallest = FULL_ROWS
    near = 2  # prefetch locality hint: 3 is the first-level cache, 2 the second
    reading = False  # whether rows may be so few that the time is that of reading b

    def __init__(self, function, rows: int, vectors: int):
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.rows, self.vectors = range(rows), range(vectors)
        for name, argument in zip(self.arguments, function.args, strict=True):
            setattr(self, name, argument)

    def load(self, address, kind=None):
        return self.builder.load(self.builder.bitcast(address, (kind or self.lanes).as_pointer()), align=4)

    def vector(self, address):
        """A vector of b."""
        return self.load(address)

    def store(self, value, address):
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=4)

    def place(self, base, *terms):
        """The address base + sum of stride * count; a count is a number, or a value at run time."""
        for stride, count in terms:
            count = _integer(count) if isinstance(count, int) else count
            base = self.builder.gep(base, [self.builder.mul(stride, count)])
        return base

    def multiply_add(self, a, b, total):
        return multiply_add(self.builder, a, b, total)

    def hide(self, value):
        """The same value, about which LLVM knows nothing."""
        return self.builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)

    def begin(self, rows, vectors, apart: bool):
        """Return where the loop starts: steps left, addresses, sums. Sets how the rows of a are found from them.

        Rows apart have an address for every four of them: LLVM would otherwise make a chain of eight additions a step,
        which takes longer than the arithmetic, so how one address follows from another is hidden from it.
        """
        builder, together = self.builder, 4 if apart else MAX_ROWS
        stride = self.a_row if apart else _integer(1)
        offsets = [builder.mul(stride, _integer(r)) for r in range(together)]
        if apart:
            offsets[3] = self.hide(offsets[3])
        state = {"left": self.depth, "ahead": self.ahead_at, "b": self.b_at}
        for first in range(rows[0], rows[-1] + 1, together):
            start = builder.gep(self.a_at, [builder.mul(stride, _integer(first))])
            state["a", first] = self.hide(start) if apart else start
        self.places = {
            r: (("a", rows[0] + (r - rows[0]) // together * together), offsets[(r - rows[0]) % together]) for r in rows
        }
        return state | {(r, v): self.start(r, v) for r in rows for v in vectors}

    def start(self, r, v):
        """Return what the sum of a row and a vector begins with."""
        return ir.Constant(self.lanes, None)

    def step(self, state):
        """Add the products of one step to the sums; move the addresses on."""
        builder = self.builder
        b = {v: self.vector(builder.gep(state["b"], [builder.mul(self.b_vector, _integer(v))])) for v in self.here}
        for r, (base, offset) in self.places.items():
            a = spread(builder, self.load(builder.gep(state[base], [offset]), self.element), self.lanes)
            for v, vector in b.items():
                state[r, v] = self.multiply_add(a, vector, state[r, v])
        state["b"] = builder.gep(state["b"], [self.b_step])
        for base in {base for base, _ in self.places.values()}:
            state[base] = builder.gep(state[base], [self.a_step])

    def loop(self, steps: int, first):
        """While at least `steps` are left, take that many. Takes and returns the state, a dict of values."""
        builder, before = self.builder, self.builder.block
        body, after = builder.append_basic_block("body"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed(">=", first["left"], _integer(steps)), body, after)
        builder.position_at_end(body)
        carried = {key: builder.phi(value.type) for key, value in first.items()}
        state = dict(carried)
        self.prefetch(state["ahead"])
        if self.reading:  # most steps are of two lines
            self.prefetch(builder.gep(state["ahead"], [builder.lshr(self.ahead_step, _integer(1))]))
        state["ahead"] = builder.gep(state["ahead"], [self.ahead_step])
        for _ in range(steps):
            self.step(state)
        state["left"] = builder.sub(state["left"], _integer(steps))
        builder.cbranch(builder.icmp_signed(">=", state["left"], _integer(steps)), body, after)
        builder.position_at_end(after)
        result = {key: builder.phi(value.type) for key, value in first.items()}
        for key, value in first.items():
            for node in (carried[key], result[key]):
                node.add_incoming(value, before)
                node.add_incoming(state[key], body)
        return result

    def prefetch(self, address):
        """Bring a line closer, to be read."""
        kind = ir.FunctionType(ir.VoidType(), [BYTES, I32, I32, I32])
        function = external(self.builder.module, kind, "llvm.prefetch.p0")
        self.builder.call(
            function, [self.builder.bitcast(address, BYTES), *(ir.Constant(I32, v) for v in (0, self.near, 1))]
        )

    def finish(self, state):
        """Add biases and `accumulate`, hold to the lower bound (NaN stays), store."""
        builder = self.builder
        for r, v in ((r, v) for r in self.places for v in self.here):
            row_bias = builder.load(self.place(self.row_bias_at, (self.row_bias_row, r)), align=4)
            total = builder.fadd(state[r, v], spread(builder, row_bias))
            total = builder.fadd(total, self.load(self.place(self.column_bias_at, (self.column_bias_vector, v))))
            self.put(total, r, v)

    def put(self, total, r, v):
        """Add `accumulate`, hold to the lower bound, store."""
        builder, bound = self.builder, spread(self.builder, self.lower_bound)
        place = self.place(self.accumulate_at, (self.accumulate_row, r), (self.accumulate_vector, v))
        total = builder.fadd(total, self.load(place, VECTOR))
        total = builder.select(builder.fcmp_ordered("<", total, bound), bound, total)
        self.store(total, self.place(self.c_at, (self.c_row, r), (self.c_vector, v)))

    def terms(self, vectors):
        """Addresses that `finish` will read and that should be prefetched; a bias arrives in time without."""
        return []

    def block(self, rows, vectors, apart: bool):
        """A part of the tile whose sums fit the registers, start to end."""
        self.here, self.near, self.reading = vectors, 3 if apart else 2, apart
        for address in self.terms(vectors):
            self.prefetch(address)
        state = self.begin(rows, vectors, apart)
        for steps in (1,) if apart else (STEPS, 1):  # unrolled, addresses apart would not fit the registers
            state = self.loop(steps, state)
        self.finish(state)

    def parts(self):
        """The parts of the tile, (rows, vectors), whose sums fit the registers: the whole of it in 32 of 512 bits.

        At most two rows are too few for one vector: eight sums, of 256 bits each, are what keeps two units for
        multiply-adds of four cycles busy.
        """
        if detect().has_wide_registers:
            return [(self.rows, self.vectors)]
        rows = [self.rows[r : r + self.tallest] for r in range(0, len(self.rows), self.tallest)]
        return [(r, v) for r in rows for v in ([self.vectors] if len(r) <= 2 else [[v] for v in self.vectors])]

    def blocks(self, apart: bool):
        """All parts of the tile."""
        for rows, vectors in self.parts():
            self.block(rows, vectors, apart)
        self.builder.ret_void()

    def emit(self):
        """The tile twice: rows of a side by side are found from one address."""
        builder = self.builder
        together, apart = builder.append_basic_block("together"), builder.append_basic_block("apart")
        builder.cbranch(builder.icmp_signed("==", self.a_row, _integer(1)), together, apart)
        builder.position_at_end(together)
        self.blocks(apart=False)
        builder.position_at_end(apart)
        self.blocks(apart=True)


def leaves(builder, kind, value) -> list:
    """The single LLVM values in a tuple of tuples, in order."""
    if not isinstance(kind, types.BaseTuple):
        return [value]
    return [x for i, part in enumerate(kind) for x in leaves(builder, part, builder.extract_value(value, i))]


def call(builder, family: "Family", kinds, values) -> None:
    """Branch to the function of the shape at hand; `values` are the structures that a tile takes."""
    parts = [leaves(builder, kind, value) for kind, value in zip(kinds, values, strict=True)]
    rows, vectors, *flat = [x for part in parts for x in part]
    pairs = zip(family.emitter.arguments, flat, strict=True)
    flat = [builder.inttoptr(v, POINTER) if argument.endswith("_at") else v for argument, v in pairs]
    done = builder.append_basic_block("done")
    switch = builder.switch(builder.add(builder.mul(rows, _integer(MAX_VECTORS)), vectors), done)
    kind = ir.FunctionType(ir.VoidType(), argument_types(family.emitter.arguments))
    for r, v in family.shapes:
        case = builder.append_basic_block(f"tile_{r}x{v}")
        switch.add_case(_integer(r * MAX_VECTORS + v), case)
        builder.position_at_end(case)
        builder.call(external(builder.module, kind, f"{family.name}_{r}x{v}"), flat)
        builder.branch(done)
    builder.position_at_end(done)


class Family(NamedTuple):
    """Tiles that differ in their shape only."""

    name: str  # first part of the functions' names {name}_{rows}x{vectors}
    shapes: list[tuple[int, int]]
    emitter: type[Emitter]
    terms: type = Bias

    def tile(self):
        """The function that kernels call. The tiles become known to the linker."""
        emitted(self.name, self._compile)

        @intrinsic
        def tile(typing, size, a, b, terms, out, ahead):
            def build(context, builder, sig, args):
                call(builder, self, sig.args, args)
                return context.get_dummy_value()

            return types.void(*map(typeof, (TileSize, Operand, Operand, self.terms, Output, Ahead))), build

        return tile

    def _compile(self) -> Code:
        """Machine code of all shapes, emitted unoptimised: the IR is already scheduled by hand."""
        source = ir.Module(self.name)
        kind = ir.FunctionType(ir.VoidType(), argument_types(self.emitter.arguments))
        for rows, vectors in self.shapes:
            self.emitter(ir.Function(source, kind, f"{self.name}_{rows}x{vectors}"), rows, vectors).emit()
        return code_of(llvm.parse_assembly(str(source)))


def plain_vector(operand, first, second):
    """Without compilation, where addresses are slices: the vector of an operand."""
    return operand[0][operand[1] * first + operand[2] * second :][:LANES]


def plain_results(size, out, sums):
    """The end of a tile from its definition; sums(r, v) are vectors."""
    for r in range(size.rows):
        for v in range(size.vectors):
            total = sums(r, v) + plain_vector(out.accumulate, r, v)
            plain_vector(out.y, r, v)[:] = np.maximum(total, out.lower_bound)


def plain_sums(size, a, b, bias, vector):
    """A function of row and vector: the sums with their biases; `vector` reads one of b."""

    def sums(r, v):
        total = np.zeros(LANES, np.float32)
        for i in range(size.depth):
            total += a.address[a.row * r + a.step * i] * vector(b, i, v)
        return total + (bias.rows[bias.row * r] + bias.columns[bias.vector * v :][:LANES])

    return sums


def _plain_tile(size, a, b, bias, out, ahead):
    """The same from the definition."""
    plain_results(size, out, plain_sums(size, a, b, bias, plain_vector))


tile = Family("s2t_np_tile", SHAPES, Emitter).tile() if COMPILED else _plain_tile
