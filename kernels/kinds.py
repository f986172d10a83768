"""One panel of a matrix of any kind times some rows: where kernels that take all kinds of weights part ways.

Plain twin: 32 columns of ops.linear. What the rows are read from differs: floats, or the bytes that `quantize_row`
made of them before.
"""

from numba import types

from .jit import ADDRESS_2, FLOAT, INT, part
from .linear import linear_panel, linear_panel_half
from .linear_int8 import linear_panel_int8
from .pack import FLOAT16, INT8, PANEL
from .vector import move


@part(types.void(INT, ADDRESS_2, ADDRESS_2, ADDRESS_2, INT, INT, INT, INT, INT, INT, INT, ADDRESS_2, FLOAT, ADDRESS_2))
def linear_panel_of(kind, x, words, scales, rows, depth, p, weight, bias, width, zeros, added, floor, y):
    """Panel p: x (address, row, step), or words (address, row, step) and scales (address, row, chunk) -> y.

    weight and bias (or terms) are addresses of the matrix, width its outputs in whole panels; `added` and y
    (address, row, vector) belong to this panel.
    """
    if kind == INT8:
        terms = (move(bias, p * PANEL), width)
        panel = move(weight, p * PANEL * ((depth + 3) // 4))
        linear_panel_int8(words, scales, rows, depth, panel, terms, zeros, added, floor, y)
    elif kind == FLOAT16:
        panel = move(weight, p * (PANEL // 2) * depth)
        linear_panel_half(x, rows, depth, panel, move(bias, p * PANEL), zeros, added, floor, y)
    else:
        panel = move(weight, p * PANEL * depth)
        linear_panel(x, rows, depth, panel, move(bias, p * PANEL), zeros, added, floor, y)
