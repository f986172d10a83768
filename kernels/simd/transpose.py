"""A square of 16 x 16 words, transposed in registers."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.options import COMPILED
from ..layout import LANES
from .vector import INTEGERS, VECTOR


def _exchanged(builder, rows, distance: int):
    """16 rows of 16 after a stage of a transposition: those `distance` apart exchange lanes that far apart."""
    lanes, result = range(LANES), list(rows)
    upper = [lane if lane & distance == 0 else lane - distance + LANES for lane in lanes]
    lower = [lane + distance if lane & distance == 0 else lane + LANES for lane in lanes]
    for i in (i for i in lanes if i & distance == 0):
        for j, mask in ((i, upper), (i + distance, lower)):
            result[j] = builder.shuffle_vector(rows[i], rows[i + distance], ir.Constant(INTEGERS, mask))
    return result


def transposed(builder, rows: list) -> list:
    """16 rows of 16, whose columns become the rows."""
    for distance in (8, 4, 2, 1):
        rows = _exchanged(builder, rows, distance)
    return rows


@intrinsic
def _transpose(typing, x, x_row, y):
    """16 rows of 16 floats, at an address and `x_row` floats apart -> y (address) [16][16], columns as rows."""

    def build(context, builder, sig, args):
        x, y = (builder.inttoptr(address, VECTOR.element.as_pointer()) for address in (args[0], args[2]))
        starts = [builder.gep(x, [builder.mul(args[1], ir.Constant(args[1].type, i))]) for i in range(LANES)]
        rows = [builder.load(builder.bitcast(start, VECTOR.as_pointer()), align=4) for start in starts]
        for i, row in enumerate(transposed(builder, rows)):
            place = builder.gep(y, [ir.Constant(args[1].type, i * LANES)])
            builder.store(row, builder.bitcast(place, VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build


def _plain_transpose(x, x_row, y):
    for lane in range(LANES):
        y[lane : LANES * LANES : LANES] = x[lane * x_row :][:LANES]


transpose = _transpose if COMPILED else _plain_transpose
