"""Units of 16 positions times a matrix, whatever its weights are kept in: `linear_units` and its kin by kind.

Plain twin: ops.linear. Halves in the lanes are widened as they are loaded (`tile_half.py`). As scalars, which the tile
spreads over the lanes, each would take an instruction of its own: a panel is widened before a group of units uses it.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.arguments import Address1, Address2, Address3, Single
from ..build.device import inlined, linked
from ..build.options import COMPILED
from ..layout import FLOAT16, INT8, PANEL
from ..simd.tile_float16 import HALF_LANES, load_half
from ..simd.vector import INTEGERS, LANES, VECTOR, move, store
from .gemm import linear_units
from .gemm_int8 import linear_units_int8
from .gemm_panel import panel_words


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
def panel_offset(kind, inputs, output, begin):
    """Where, in words behind its first weight, a matrix (O, I) has the panel of an output, from input `begin` on."""
    return output // PANEL * panel_words(inputs, kind) + panel_words(begin, kind)


@inlined
def widen_panel(panel, depth, room):
    """A panel of halves as one of floats."""
    for i in range(depth * PANEL // LANES):
        store(move(room, i * LANES), load_half(move(panel, i * HALF_LANES)))


@inlined
def _multiply_units_half(x, units, depth, weight, bias, outputs, zeros, added, floor, y, after, room):
    """linear.linear_units over halves, a panel at a time."""
    for o in range(0, outputs, PANEL):
        panel = move(weight[0], o // PANEL * weight[1])
        following = move(panel, weight[1]) if o + PANEL < outputs else after
        widen_panel(panel, depth, room)
        terms, sums = (move(bias[0], o * bias[1]), bias[1]), (move(added[0], o * added[1]), added[1], added[2])
        target = (move(y[0], o * y[1]), y[1], y[2])
        linear_units(x, units, depth, (room, 0), terms, PANEL, zeros, sums, floor, target, following)


@linked
def multiply_units(
    kind: int,
    x: Address1,
    words: Address1,
    scales: Address1,
    units: int,
    matrix: Address3,
    outputs: Address1,
    inputs: Address1,
    zeros: int,
    added: Address2,
    floor: Single,
    y: Address1,
    after: int,
    room: int,
):
    """Some outputs (first, count) from some inputs (first, count) of a matrix: units x -> units y.

    x, or words and scales, are (address, unit) and begin at the first of the inputs. matrix: addresses of weight and of
    bias or terms, then I and the outputs in whole panels. `added` (address, row, unit) and y (address, unit) begin at
    the first of the outputs; the bias goes with input 0. `after` is the address of what is needed next, `room` that of
    floats for a panel, if it is halves.
    """
    (weight, bias, whole_depth, width), (o, count), (begin, depth) = matrix, outputs, inputs
    start, stride = move(weight, panel_offset(kind, whole_depth, o, begin)), panel_offset(kind, whole_depth, PANEL, 0)
    target = (y[0], LANES, y[1])
    panels, terms = (start, stride), (zeros, 0) if begin else (move(bias, o), 1)
    if kind == INT8:
        scaling = (move(bias, o), width)
        linear_units_int8(
            words, scales, units, begin, depth, panels, scaling, count, zeros, added, floor, target, after
        )
    elif kind == FLOAT16:
        _multiply_units_half(x, units, depth, panels, terms, count, zeros, added, floor, target, after, room)
    else:
        linear_units(x, units, depth, panels, terms, count, zeros, added, floor, target, after)
