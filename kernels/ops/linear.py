"""Any number of rows times a packed matrix: the parallel kernel of ops.linear and ops.linear_relu.

Teacher forcing (`decode_full`, which scores given texts) computes with it. The fused encoder and step do without.
"""

import numpy as np

from ..build.jit import ARRAY, FLOAT, INT, inner, kernel
from ..build.lazy_numba import types
from ..simd.vector import LANES, at
from ..threads import STATE, finish, parallel, take, wait
from ..weights.pack import INT8, PANEL, PackedLinear, whole
from ..weights.quantize import CHUNK, quantize_row
from .gemm import NO_FLOOR, RELU
from .gemm_panel import multiply_panel, panel_words

ROWS = 64  # in an item
ZEROS = np.zeros(LANES, np.float32)


@inner
def quantize_rows(state, x, stride, depth, rows, words, row, scales):
    """Phase 0: rows of x, `stride` apart, as bytes: words (rows, row) and scales (rows, chunks)."""
    item = take(state, 0)
    while item < rows:
        quantize_row(at(x, item * stride), depth, at(words, item * row), at(scales, item * -(-depth // CHUNK)))
        finish(state, 0)
        item = take(state, 0)
    wait(state, 0, rows)


@kernel(types.void(STATE, ARRAY, INT, INT, ARRAY, INT, INT, INT, ARRAY, INT, FLOAT, ARRAY, INT, ARRAY, ARRAY))
def linear_rows(state, x, rows, depth, w, kind, weight, bias, added, added_row, floor, y, width, words, scales):
    """x (R, I) -> y (R, width), both flat, width the outputs in whole panels; weight and bias are offsets into w.

    `added` (R, width) with added_row = width, or 16 zeros with added_row = 0. An item is ROWS rows by one panel. words
    (R, whole(I) / 4) and scales (R, chunks) are room for the bytes of x, where the weights are bytes: the first phase.
    """
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


def _in_panels(x: np.ndarray, width: int) -> np.ndarray:
    """(R, O) -> contiguous (R, width), zeros behind O."""
    if x.shape[1] == width:
        return np.ascontiguousarray(x, np.float32)
    return np.pad(x, ((0, 0), (0, width - x.shape[1])))


def _apply(x: np.ndarray, w: PackedLinear, residual: np.ndarray | None, floor: np.float32) -> np.ndarray:
    """max(x W^T + b + residual, floor): (R, I) -> (R, O)."""
    rows, width, chunks = len(x), whole(w.outputs), -(-w.inputs // CHUNK)
    flat, y = np.ascontiguousarray(x, np.float32).reshape(-1), np.empty((rows, width), np.float32)
    added, added_row = ZEROS, 0
    if residual is not None:
        added, added_row = _in_panels(residual, width).reshape(-1), width
    room = rows if w.kind == INT8 else 0
    words, scales = (np.empty(room * n, np.float32) for n in (whole(w.inputs) // 4, chunks))
    packed = (w.arena, w.kind, w.panels, w.bias)
    parallel(
        linear_rows, 2, flat, rows, w.inputs, *packed, added, added_row, floor, y.reshape(-1), width, words, scales
    )
    return np.ascontiguousarray(y[:, : w.outputs])


def linear(x: np.ndarray, w: PackedLinear, residual: np.ndarray | None = None) -> np.ndarray:
    """x W^T + b, plus `residual` if there is one: (R, I) -> (R, O), as ops.linear."""
    return _apply(x, w, residual, NO_FLOOR)


def linear_relu(x: np.ndarray, w: PackedLinear) -> np.ndarray:
    """max(x W^T + b, 0): (R, I) -> (R, O), as ops.linear_relu."""
    return _apply(x, w, None, RELU)
