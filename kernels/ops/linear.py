"""Any number of rows times a packed matrix: the parallel kernel of ops.linear and ops.linear_relu.

Teacher forcing (`decode_full`, which scores given texts) computes with it. The fused encoder and step do without.
"""

from ..build.device import entry, inlined
from ..layout import CHUNK, INT8, PANEL
from ..simd.operands import Operand, Output
from ..simd.scheduling import barrier, done, next_item
from ..simd.vector import LANES, at, move
from .gemm_panel import multiply_panel
from .host import LinearRowsCall
from .matrices import Rows, panel_of, panel_words
from .quantize import quantize_row

ROWS_OF_ITEM = 64


@inlined
def _quantize(call, row, chunks):
    """Phase 0: rows of x as bytes, `row` words and `chunks` scales each."""
    item = next_item(call.state, 0)
    while item < call.rows:
        words, scales = at(call.words, item * row), at(call.scales, item * chunks)
        quantize_row(at(call.x, item * call.depth), call.depth, words, scales)
        done(call.state, 0)
        item = next_item(call.state, 0)
    barrier(call.state, 0, call.rows)


@inlined
def _multiply(call, item, row, chunks):
    """An item: ROWS_OF_ITEM rows by one panel."""
    blocks, width = -(-call.rows // ROWS_OF_ITEM), call.width
    first, o = item % blocks * ROWS_OF_ITEM, item // blocks * PANEL
    weights = at(call.w, call.weight + o // PANEL * panel_words(call.depth, call.dtype))
    x = Rows(
        Operand(at(call.x, first * call.depth), call.depth, 1),
        Operand(at(call.words, first * row), row, 1),
        Operand(at(call.scales, first * chunks), chunks, 1),
        LANES * call.depth,
    )
    y, sums = Operand(at(call.y, first * width + o), width, LANES), Operand(at(call.accumulate, 0), 0, 0)
    if call.residual:
        sums = Operand(at(call.accumulate, first * width + o), width, LANES)
    following = move(weights, panel_words(call.depth, call.dtype))
    panel = panel_of(weights, following, at(call.w, call.bias + o), width, at(call.w, 0))
    rows = min(ROWS_OF_ITEM, call.rows - first)
    multiply_panel(call.dtype, x, rows, call.depth, panel, Output(y, sums, call.lower_bound))


@entry
def linear_rows(call: LinearRowsCall):
    """x (R, I) -> y (R, width), flat; width is the outputs in whole panels."""
    chunks, row = -(-call.depth // CHUNK), -(-call.depth // PANEL) * PANEL // 4
    if call.dtype == INT8:
        _quantize(call, row, chunks)
    items = -(-call.rows // ROWS_OF_ITEM) * (call.width // PANEL)
    item = next_item(call.state, 1)
    while item < items:
        _multiply(call, item, row, chunks)
        done(call.state, 1)
        item = next_item(call.state, 1)
    barrier(call.state, 1, items)
