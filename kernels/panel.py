"""One panel of 32 outputs for some rows, whatever the weights are kept in: `linear_panel` and its kin by kind."""

from .jit import ADDRESS_1, ADDRESS_2, FLOAT, INT, inner, part
from .late import types
from .linear import linear_panel, linear_panel_half
from .linear_int8 import linear_panel_int8
from .pack import FLOAT16, INT8, PANEL


@inner
def panel_words(depth, kind):
    """Words of 32 bits of one panel with `depth` inputs."""
    if kind == INT8:
        return (depth + 3) // 4 * PANEL
    return depth * (PANEL // 2) if kind == FLOAT16 else depth * PANEL


@part(types.void(INT, ADDRESS_2, ADDRESS_2, ADDRESS_2, INT, INT, INT, ADDRESS_1, INT, ADDRESS_2, FLOAT, ADDRESS_2))
def multiply_panel(kind, x, words, scales, rows, depth, weight, terms, zeros, added, floor, y):
    """y = max(x W^T + b + added, floor), 32 wide; operands as in linear.py and, for bytes, linear_int8.py.

    x (address, row, step); words and scales, read in its stead where the weights are bytes, are what quantize_row makes
    of it; terms (address of the panel's biases, outputs in whole panels).
    """
    if kind == INT8:
        linear_panel_int8(words, scales, rows, depth, weight, terms, zeros, added, floor, y)
    elif kind == FLOAT16:
        linear_panel_half(x, rows, depth, weight, terms[0], zeros, added, floor, y)
    else:
        linear_panel(x, rows, depth, weight, terms[0], zeros, added, floor, y)
