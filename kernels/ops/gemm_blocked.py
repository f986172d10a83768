"""Units of 16 positions times a slice of a matrix, whatever dtype its weights have.

Plain twin: ops.linear. Halves in the lanes are widened as they are loaded (`tile_float16.py`). As scalars, which the
tile spreads over the lanes, each would take an instruction of its own: a panel is widened before a group of units uses
it.
"""

from ..build.device import inlined, linked
from ..layout import BLOCK_PIECES, FLOAT16, INT8, LANES, PANEL
from ..simd.operands import Operand, Output
from ..simd.tile_amx import HAS_FLOAT_TILES, HAS_TILES
from ..simd.tile_float16 import HALF_LANES, load_half
from ..simd.tile_pairs import HAS_PAIRS
from ..simd.vector import move, store
from .gemm import linear_units, rows_from
from .gemm_amx import linear_units_amx
from .gemm_int8 import linear_units_int8
from .gemm_pairs import linear_units_pairs
from .gemm_pieces import linear_units_pieces, rows_of_units, split_relu_units
from .matrices import Matrix, MatrixSlice, Units, UnitWeights, panel_offset


@inlined
def widen_panel(panel, depth, target):
    """A panel of halves as one of floats, at an address."""
    for i in range(depth * PANEL // LANES):
        store(move(target, i * LANES), load_half(move(panel, i * HALF_LANES)))


@inlined
def _widened(w, part, o, after, widened):
    """The panel of halves from output o on as one of floats, at an address; and what is needed after it."""
    panel = move(w.weights, o // PANEL * w.panel)
    widen_panel(panel, part.inputs, widened)
    one = UnitWeights(widened, 0, move(w.bias, o * w.bias_step), w.bias_step, w.zeros)
    return one, move(panel, w.panel) if o + PANEL < part.outputs else after


@inlined
def _multiply_units_floats(x, units, depth, w, outputs, out, after, room):
    """`linear_units`, by vectors or in pieces."""
    if HAS_FLOAT_TILES and x.pieces:
        linear_units_pieces(x, units, depth, w, outputs, out, after, room)
    else:
        linear_units(x, units, depth, w, outputs, out, after)


@inlined
def _multiply_units_half(x, units, w, part, out, after, room):
    """The same over halves, a panel at a time, which is widened before the room for its pieces."""
    widened, room = room, move(room, part.inputs * PANEL)
    for o in range(0, part.outputs, PANEL):
        one, following = _widened(w, part, o, after, widened)
        target = Output(rows_from(out.y, o, 0), rows_from(out.accumulate, o, 0), out.lower_bound)
        _multiply_units_floats(x, units, part.inputs, one, PANEL, target, following, room)


@inlined
def _multiply_units_bytes(x, units, matrix, part, out, after, unpacked):
    """The fastest that this processor has over bytes."""
    if HAS_TILES:
        linear_units_amx(x, units, matrix, part, out, after, unpacked)
    elif HAS_PAIRS:
        linear_units_pairs(x, units, matrix, part, out, after, unpacked)
    else:
        linear_units_int8(x, units, matrix, part, out, after)


@inlined
def _unit_weights(matrix, part):
    """The panels of a slice, floats or halves; the bias goes with input 0."""
    start = panel_offset(matrix.dtype, matrix.inputs, part.output, part.input)
    stride = panel_offset(matrix.dtype, matrix.inputs, PANEL, 0)
    bias, step = (matrix.zeros, 0) if part.input else (move(matrix.terms, part.output), 1)
    return UnitWeights(move(matrix.weights, start), stride, bias, step, matrix.zeros)


@linked
def multiply_units(x: Units, units: int, matrix: Matrix, part: MatrixSlice, out: Output, after: int, unpacked: int):
    """A slice of a matrix times some units: Units x -> out, whose rows are the outputs and whose steps are the units.

    x begins at the first input of the slice, out at its first output; the bias goes with input 0. `after` is the
    address of what is needed next, `unpacked` that of room for what halves, AMX and products of pairs unpack.
    """
    if matrix.dtype == INT8:
        _multiply_units_bytes(x, units, matrix, part, out, after, unpacked)
    else:
        w = _unit_weights(matrix, part)
        if matrix.dtype == FLOAT16:
            _multiply_units_half(x, units, w, part, out, after, unpacked)
        else:
            _multiply_units_floats(x, units, part.inputs, w, part.outputs, out, after, unpacked)


def rows_of(x: Units, units: int, matrix: Matrix, y: Operand, after: int, unpacked: int):
    """W x + b of floats or halves in pieces, as rows of 16 outputs: see `gemm_pieces.rows_of_units`."""
    whole = MatrixSlice(0, matrix.outputs, 0, matrix.inputs)
    w = _unit_weights(matrix, whole)
    if matrix.dtype == FLOAT16:
        room = move(unpacked, matrix.inputs * PANEL)
        for o in range(0, matrix.outputs, PANEL):
            one, following = _widened(w, whole, o, after, unpacked)
            target = Operand(move(y.address, o // LANES * y.row), y.row, y.step)
            rows_of_units(x, units, matrix.inputs, one, PANEL, target, following, room)
    else:
        rows_of_units(x, units, matrix.inputs, w, matrix.outputs, y, after, unpacked)


def split_relu(x: Units, units: int, matrix: Matrix, part: MatrixSlice, y: Operand, after: int, unpacked: int):
    """max(W x + b, 0) of floats or halves as the pieces that AMX multiplies, a block of y for each panel."""
    w = _unit_weights(matrix, part)
    if matrix.dtype == FLOAT16:
        room = move(unpacked, part.inputs * PANEL)
        for o in range(0, part.outputs, PANEL):
            one, following = _widened(w, part, o, after, unpacked)
            target = Operand(move(y.address, o // PANEL * BLOCK_PIECES), y.row, y.step)
            split_relu_units(x, units, part.inputs, one, PANEL, target, following, room)
    else:
        split_relu_units(x, units, part.inputs, w, part.outputs, y, after, unpacked)


if HAS_FLOAT_TILES:
    rows_of, split_relu = linked(rows_of), linked(split_relu)
