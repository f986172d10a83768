"""Panels of 32 outputs for some rows, whatever dtype the weights have: `gemm.linear_panel` and its kin."""

from ..build.device import inlined, linked
from ..layout import FLOAT16, INT8, PANEL
from ..simd.operands import Operand, Output
from ..simd.tile import MAX_ROWS
from ..simd.vector import move
from .gemm import linear_panel, linear_panel_half
from .gemm_int8 import linear_panel_int8
from .matrices import JUMP_LINES, Panel, Panels, Rows, panel_words, prefetch_lines


@inlined
def _columns_from(operand, o):
    """The operand from column o on; where it has no rows, it has no columns either."""
    return Operand(move(operand.address, o if operand.row else 0), operand.row, operand.step)


@linked
def multiply_panels(dtype: int, x: Rows, rows: int, depth: int, panels: Panels, out: Output):
    """Several panels, over `depth` inputs from where their weights point: Rows x -> out, 32 columns a panel."""
    first, here = panels.first, panel_words(depth, dtype)
    jumps = rows <= MAX_ROWS and first.ahead < here < panels.words
    for p in range(panels.count):
        o, weights = p * PANEL, move(first.weights, p * panels.words)
        following = move(weights, panels.words) if p + 1 < panels.count else first.following
        if jumps and p + 1 < panels.count:
            prefetch_lines(following, JUMP_LINES)
        bias, scale, zero_point = move(first.bias, p * panels.bias), move(first.scale, o), move(first.zero_point, o)
        panel = Panel(weights, first.ahead, following, bias, scale, zero_point, first.chunk, first.zeros)
        y = Operand(move(out.y.address, o), out.y.row, out.y.step)
        target = Output(y, _columns_from(out.accumulate, o), out.lower_bound)
        if dtype == INT8:
            linear_panel_int8(x, rows, depth, panel, target)
        elif dtype == FLOAT16:
            linear_panel_half(x, rows, depth, panel, target)
        else:
            linear_panel(x, rows, depth, panel, target)


@inlined
def multiply_panel(dtype, x, rows, depth, panel, out):
    """One panel of a matrix: Rows x -> out, 32 columns."""
    multiply_panels(dtype, x, rows, depth, Panels(panel, 1, 0, PANEL), out)
