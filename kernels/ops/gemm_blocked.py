"""Units of 16 positions times a slice of a matrix, whatever dtype its weights have.

Plain twin: ops.linear. Halves in the lanes are widened as they are loaded (`tile_float16.py`). As scalars, which the
tile spreads over the lanes, each would take an instruction of its own: a panel is widened before a group of units uses
it.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.device import inlined, linked
from ..build.options import COMPILED
from ..layout import FLOAT16, INT8, LANES, PANEL
from ..simd.operands import Output
from ..simd.tile_float16 import HALF_LANES, load_half
from ..simd.vector import INTEGERS, VECTOR, move, store
from .gemm import linear_units, rows_from
from .gemm_int8 import linear_units_int8
from .matrices import Matrix, MatrixSlice, Units, UnitWeights, panel_offset


def _exchanged(builder, rows, distance: int):
    """16 rows of 16 after a stage of a transposition: those `distance` apart exchange lanes that far apart."""
    lanes, result = range(LANES), list(rows)
    upper = [lane if lane & distance == 0 else lane - distance + LANES for lane in lanes]
    lower = [lane + distance if lane & distance == 0 else lane + LANES for lane in lanes]
    for i in (i for i in lanes if i & distance == 0):
        for j, mask in ((i, upper), (i + distance, lower)):
            result[j] = builder.shuffle_vector(rows[i], rows[i + distance], ir.Constant(INTEGERS, mask))
    return result


@intrinsic
def _transpose(typing, x, x_row, y):
    """16 rows of 16 floats, at an address and `x_row` floats apart -> y (address) [16][16], columns as rows."""

    def build(context, builder, sig, args):
        x, y = (builder.inttoptr(address, VECTOR.element.as_pointer()) for address in (args[0], args[2]))
        starts = [builder.gep(x, [builder.mul(args[1], ir.Constant(args[1].type, i))]) for i in range(LANES)]
        rows = [builder.load(builder.bitcast(start, VECTOR.as_pointer()), align=4) for start in starts]
        for distance in (8, 4, 2, 1):
            rows = _exchanged(builder, rows, distance)
        for i, row in enumerate(rows):
            place = builder.gep(y, [ir.Constant(args[1].type, i * LANES)])
            builder.store(row, builder.bitcast(place, VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build


def _plain_transpose(x, x_row, y):
    for lane in range(LANES):
        y[lane : LANES * LANES : LANES] = x[lane * x_row :][:LANES]


transpose = _transpose if COMPILED else _plain_transpose


@inlined
def widen_panel(panel, depth, target):
    """A panel of halves as one of floats, at an address."""
    for i in range(depth * PANEL // LANES):
        store(move(target, i * LANES), load_half(move(panel, i * HALF_LANES)))


@inlined
def _multiply_units_half(x, units, w, part, out, after, widened):
    """`linear_units` over halves, a panel at a time; `widened` is the address of floats for one."""
    for o in range(0, part.outputs, PANEL):
        panel = move(w.weights, o // PANEL * w.panel)
        following = move(panel, w.panel) if o + PANEL < part.outputs else after
        widen_panel(panel, part.inputs, widened)
        one = UnitWeights(widened, 0, move(w.bias, o * w.bias_step), w.bias_step, w.zeros)
        target = Output(rows_from(out.y, o, 0), rows_from(out.accumulate, o, 0), out.lower_bound)
        linear_units(x, units, part.inputs, one, PANEL, target, following)


@linked
def multiply_units(x: Units, units: int, matrix: Matrix, part: MatrixSlice, out: Output, after: int, widened: int):
    """A slice of a matrix times some units: Units x -> out, whose rows are the outputs and whose steps are the units.

    x begins at the first input of the slice, out at its first output; the bias goes with input 0. `after` is the
    address of what is needed next, `widened` that of floats for a panel, used if the weights are halves.
    """
    if matrix.dtype == INT8:
        linear_units_int8(x, units, matrix, part, out, after)
    else:
        start = panel_offset(matrix.dtype, matrix.inputs, part.output, part.input)
        stride = panel_offset(matrix.dtype, matrix.inputs, PANEL, 0)
        bias, step = (matrix.zeros, 0) if part.input else (move(matrix.terms, part.output), 1)
        w = UnitWeights(move(matrix.weights, start), stride, bias, step, matrix.zeros)
        if matrix.dtype == FLOAT16:
            _multiply_units_half(x, units, w, part, out, after, widened)
        else:
            linear_units(x, units, part.inputs, w, part.outputs, out, after)
