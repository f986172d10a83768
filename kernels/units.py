"""Units of 16 positions times a matrix, whatever its weights are kept in: `linear_units` and its kin by kind.

Plain twin: ops.linear. Halves in the lanes are widened as they are loaded (`tile_half.py`). As scalars, which the tile
spreads over the lanes, each would take an instruction of its own: a panel is widened before a group of units uses it.
"""

import numpy as np

from .jit import ADDRESS_1, ADDRESS_2, ADDRESS_3, FLOAT, INT, inner, part
from .late import types
from .linear import linear_units
from .linear_int8 import linear_units_int8
from .pack import FLOAT16, INT8, PANEL
from .panel import panel_words
from .tile_half import HALF_LANES, load_half
from .vector import LANES, move, store


def empty_lines(*sizes: int) -> list[np.ndarray]:
    """Empty arrays of so many floats, which begin at lines of the cache: vectors that straddle two are slower."""
    room = np.empty(sum(sizes) + LANES * (len(sizes) + 1), np.float32)
    first, parts = -(room.ctypes.data // 4) % LANES, []
    for size in sizes:
        parts.append(room[first : first + size])
        first += -(-size // LANES) * LANES
    return parts


@inner
def panel_offset(kind, inputs, output, begin):
    """Where, in words behind its first weight, a matrix (O, I) has the panel of an output, from input `begin` on."""
    return output // PANEL * panel_words(inputs, kind) + panel_words(begin, kind)


@inner
def _widen_panel(panel, depth, room):
    """A panel of halves as one of floats."""
    for i in range(depth * PANEL // LANES):
        store(move(room, i * LANES), load_half(move(panel, i * HALF_LANES)))


@inner
def _multiply_units_half(x, units, depth, weight, bias, outputs, zeros, added, floor, y, after, room):
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
def multiply_units(kind, x, words, scales, units, matrix, outputs, inputs, zeros, added, floor, y, after, room):
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
        _multiply_units_half(x, units, depth, panels, terms, count, zeros, added, floor, y, after, room)
    else:
        linear_units(x, units, depth, panels, terms, count, zeros, added, floor, y, after)
