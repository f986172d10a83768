"""Matrix products over weights of any kind: where kernels that take all of them part ways.

Plain twin: ops.linear. What activations are read from differs: floats, or the bytes that `quantize_row` and
`quantize_unit` made of them before.

    linear_panel_of    32 outputs of some rows
    linear_units_of    units of 16 positions

Halves in the lanes are widened as they are loaded (`tile_half.py`). As scalars, which the tile spreads over the lanes,
each would take an instruction of its own: there a panel is widened before it is used by a group of units.
"""

from numba import types

from .jit import ADDRESS_1, ADDRESS_2, ADDRESS_3, FLOAT, INT, inner, part
from .linear import linear_panel, linear_panel_half, linear_units
from .linear_int8 import linear_panel_int8, linear_units_int8
from .pack import FLOAT16, INT8, PANEL
from .tile_half import HALF_LANES, load_half
from .vector import LANES, move, store


@inner
def panel_offset(kind, inputs, output, begin):
    """Where, in words behind its first weight, a matrix (O, I) has the panel of an output, from input `begin` on."""
    if kind == INT8:
        return output * ((inputs + 3) // 4) + begin // 4 * PANEL
    words = output * inputs + begin * PANEL
    return words // 2 if kind == FLOAT16 else words


@part(types.void(INT, ADDRESS_2, ADDRESS_2, ADDRESS_2, INT, INT, INT, INT, INT, INT, INT, ADDRESS_2, FLOAT, ADDRESS_2))
def linear_panel_of(kind, x, words, scales, rows, depth, p, weight, bias, width, zeros, added, floor, y):
    """Panel p: x (address, row, step), or words (address, row, step) and scales (address, row, chunk) -> y.

    weight and bias (or terms) are addresses of the matrix, width its outputs in whole panels; `added` and y
    (address, row, vector) belong to this panel.
    """
    panel, terms = move(weight, panel_offset(kind, depth, p * PANEL, 0)), move(bias, p * PANEL)
    if kind == INT8:
        linear_panel_int8(words, scales, rows, depth, panel, (terms, width), zeros, added, floor, y)
    elif kind == FLOAT16:
        linear_panel_half(x, rows, depth, panel, terms, zeros, added, floor, y)
    else:
        linear_panel(x, rows, depth, panel, terms, zeros, added, floor, y)


@inner
def _widen_panel(panel, depth, room):
    """A panel of halves as one of floats."""
    for i in range(depth * PANEL // LANES):
        store(move(room, i * LANES), load_half(move(panel, i * HALF_LANES)))


@inner
def _linear_units_half(x, units, depth, weight, bias, outputs, zeros, added, floor, y, after, room):
    """linear.linear_units over halves, a panel at a time."""
    for o in range(0, outputs, PANEL):
        panel = move(weight[0], o // PANEL * weight[1])
        following = move(panel, weight[1]) if o + PANEL < outputs else after
        _widen_panel(panel, depth, room)
        terms, sums = (move(bias[0], o * bias[1]), bias[1]), (move(added[0], o * added[1]), added[1], added[2])
        target = (move(y[0], o * LANES), y[1])
        linear_units(x, units, depth, (room, 0), terms, PANEL, zeros, sums, floor, target, following)


@part(
    types.void(
        *(INT, ADDRESS_1, ADDRESS_1, ADDRESS_1, INT, ADDRESS_3, ADDRESS_1, ADDRESS_1, INT),
        *(ADDRESS_2, FLOAT, ADDRESS_1, INT, INT),
    )
)
def linear_units_of(kind, x, words, scales, units, matrix, outputs, inputs, zeros, added, floor, y, after, room):
    """Some outputs (first, count) from some inputs (first, count) of a matrix: units x -> units y.

    x, or words and scales, are (address, unit) and begin at the first of the inputs. matrix: addresses of weight and of
    bias or terms, then I and the outputs in whole panels. `added` (address, row, unit) and y (address, unit) begin at
    the first of the outputs; the bias goes with input 0. `after` is the address of what is needed next, `room` that of
    floats for a panel, if it is halves.
    """
    (weight, bias, whole_depth, width), (o, count), (begin, depth) = matrix, outputs, inputs
    start, stride = move(weight, panel_offset(kind, whole_depth, o, begin)), panel_offset(kind, whole_depth, PANEL, 0)
    panels, terms = (start, stride), (zeros, 0) if begin else (move(bias, o), 1)
    if kind == INT8:
        scaling = (move(bias, o), width)
        linear_units_int8(words, scales, units, begin, depth, panels, scaling, count, zeros, added, floor, y, after)
    elif kind == FLOAT16:
        _linear_units_half(x, units, depth, panels, terms, count, zeros, added, floor, y, after, room)
    else:
        linear_units(x, units, depth, panels, terms, count, zeros, added, floor, y, after)
