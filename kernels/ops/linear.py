"""Any number of rows times a packed matrix, as the parallel kernel behind ops.linear and ops.linear_relu.

The fused kernels do without it; it projects the memory to keys and values once an utterance, and serves teacher
forcing.
"""

from ..build.device import entry, inlined
from ..layout import CHUNK, INT8, PANEL
from ..simd.scheduling import finish, take, wait
from ..simd.vector import LANES, at
from .gemm_panel import multiply_panel, panel_words
from .host import LinearRowsCall
from .quantize import quantize_row

ROWS = 64  # in an item


@inlined
def quantize_rows(state, x, stride, depth, rows, words, row, scales):
    """Phase 0: rows of x, `stride` apart, as bytes: words (rows, row) and scales (rows, chunks)."""
    item = take(state, 0)
    while item < rows:
        quantize_row(at(x, item * stride), depth, at(words, item * row), at(scales, item * -(-depth // CHUNK)))
        finish(state, 0)
        item = take(state, 0)
    wait(state, 0, rows)


@entry
def linear_rows(call: LinearRowsCall):
    """x (R, I) -> y (R, width), both flat, width the outputs in whole panels; weight and bias are offsets into w.

    `added` (R, width) with added_row = width, or 16 zeros with added_row = 0. An item is ROWS rows by one panel. words
    (R, whole(I) / 4) and scales (R, chunks) are room for the bytes of x, where the weights are bytes: the first phase.
    """
    state, x, rows, depth, w, kind, weight, bias, added, added_row, floor, y, width, words, scales = call
    chunks, stride = -(-depth // CHUNK), -(-depth // PANEL) * PANEL // 4
    blocks = -(-rows // ROWS)
    if kind == INT8:
        quantize_rows(state, x, depth, depth, rows, words, stride, scales)
    items = blocks * (width // PANEL)
    item = take(state, 1)
    while item < items:
        first, o = item % blocks * ROWS, item // blocks * PANEL
        here, zeros, target = min(ROWS, rows - first), at(w, 0), (at(y, first * width + o), width, LANES)
        sums = (at(added, first * added_row + (o if added_row else 0)), added_row, LANES if added_row else 0)
        multiply_panel(
            kind,
            (at(x, first * depth), depth, 1),
            (at(words, first * stride), stride, 1),
            (at(scales, first * chunks), chunks, 1),
            *(here, depth, at(w, weight + o // PANEL * panel_words(depth, kind)), (at(w, bias + o), width)),
            *(zeros, sums, floor, target),
        )
        finish(state, 1)
        item = take(state, 1)
    wait(state, 1, items)
