"""The operations of s2t_np.ops as calls of kernels: arrays are checked, laid out and handed over."""

import math
from typing import NamedTuple

import numpy as np

from .. import doors
from ..build.arguments import Floats, OutFloats, OutWords, Single, Words, table
from ..build.entry import Entry
from ..cpu import detect
from ..layout import CHUNK, FEWEST_UNITS, GATED, INT8, LANES, NO_FLOOR, PANEL, RELU
from ..pool import Pool, lend_floats
from ..threads import get_threads, parallel
from ..weights.pack import PackedConv, PackedLinear, PackedNorm, round_up

ATTENTION_KEYS = 256  # in a block: the scores of 32 queries then take 32 KB, and stay in the first-level cache
QUERIES = 2 * LANES  # at a time, at most
ATTENTION_SCRATCH = (ATTENTION_KEYS + 2) * QUERIES  # floats: two rows for the running maximum and sum, then the scores
ZEROS = np.zeros(LANES, np.float32)
CONV_GROUP = 4  # units that a thread takes at a time, about: their sums of 1024 outputs take a quarter of a megabyte

# columns of the table of convolutions, a row each. SOURCE and TARGET: where in `frames` the planes of its inputs and
# outputs begin; PLANES and FRAMES of its outputs; ROW: floats of a feature in a plane, the first MARGIN of them zeros;
# WIDTH: channels and gates in whole panels; PLANE_ROWS: rows of all planes
SOURCE, TARGET, INPUTS, OUTPUTS, TAPS, PLANES, FRAMES, ROW, MARGIN, WEIGHT, BIAS, WIDTH, PLANE_ROWS = range(13)
ConvTable = table(PLANE_ROWS + 1)


class LinearRowsCall(NamedTuple):
    """The arguments of `linear_rows`; weight and bias are offsets into w."""

    state: OutWords
    x: Floats  # (R, I)
    rows: int
    depth: int
    w: Floats
    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16
    weight: int
    bias: int
    accumulate: Floats  # (R, width), or LANES zeros
    residual: int  # 1 where `accumulate` is (R, width)
    lower_bound: Single
    y: OutFloats  # (R, width)
    width: int  # outputs in whole panels
    words: OutFloats  # (R, I in whole panels / 4), memory for the bytes of x, where the weights are bytes
    scales: OutFloats  # (R, chunks), for their scales


class Norm(NamedTuple):
    """A layer normalisation; its D gains begin at w[gain], its D offsets at w[offset]."""

    w: Floats
    gain: int
    offset: int
    width: int  # D


class LayerNormRowsCall(NamedTuple):
    """The arguments of `layer_norm_rows`."""

    x: Floats  # (R, D)
    size: int  # R * D
    norm: Norm
    y: OutFloats  # (R, D)


class AttentionRowsCall(NamedTuple):
    """The arguments of `attention_rows`."""

    state: OutWords
    q: Floats
    k: Floats
    v: Floats
    batch: int
    queries: int
    keys: int
    width: int
    heads: int
    mask: Floats
    mask_row: int
    zeros: Floats
    y: OutFloats
    scratch: OutFloats


class ConvScratch(NamedTuple):
    """Addresses of a thread's scratch memory for some units. Words and scales are used where weights are bytes."""

    window: int  # (units, CHUNK, 16)
    words: int  # (units, CHUNK) the bytes of `window`
    scales: int  # (units, 16)
    sums: int  # (units, WIDTH, 16)
    panel: int  # (CHUNK, PANEL) a panel of floats, where weights are halves


class ConvRun(NamedTuple):
    """A convolution on its way over its planes."""

    conv: Words  # its row in the table
    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16
    pieces: int  # 1 where floats are multiplied in pieces
    w: Floats
    frames: Floats  # the planes of all convolutions
    own: ConvScratch


class ConvUnits(NamedTuple):
    """Some units of a plane of outputs."""

    plane: int
    first: int
    count: int


linear_rows = Entry("ops.linear", "linear_rows", LinearRowsCall)
layer_norm_rows = Entry("ops.norm", "layer_norm_rows", LayerNormRowsCall)
attention_rows = Entry("ops.attention", "attention_rows", AttentionRowsCall)


def in_pieces(dtype: int, positions: int) -> bool:
    """Return whether AMX multiplies the floats of an utterance with that many positions, by its length alone."""
    return dtype != INT8 and detect().has_float_tiles and positions > (FEWEST_UNITS - 1) * LANES


def _in_panels(x: np.ndarray, width: int) -> np.ndarray:
    """(R, O) -> contiguous (R, width), with zeros after the O columns."""
    if x.shape[1] == width:
        return np.ascontiguousarray(x, np.float32)
    return np.pad(x, ((0, 0), (0, width - x.shape[1])))


def _apply(x: np.ndarray, w: PackedLinear, residual: np.ndarray | None, lower_bound: np.float32) -> np.ndarray:
    """max(x W^T + b + residual, lower_bound): (R, I) -> (R, O)."""
    x = doors.matrix("x", x, w.inputs, 0)
    rows, width, chunks = len(x), round_up(w.outputs), -(-w.inputs // CHUNK)
    flat, y = np.ascontiguousarray(x).reshape(-1), np.empty((rows, width), np.float32)
    if residual is not None:
        residual = doors.residual(residual, rows, w.outputs)
    accumulate = ZEROS if residual is None else _in_panels(residual, width).reshape(-1)
    quantized = rows if w.dtype == INT8 else 0
    words, scales = (np.empty(quantized * n, np.float32) for n in (round_up(w.inputs) // 4, chunks))
    packed = (w.arena, w.dtype, w.panels, w.bias, accumulate, int(residual is not None), lower_bound)
    parallel(linear_rows, 2, get_threads(), flat, rows, w.inputs, *packed, y.reshape(-1), width, words, scales)
    return np.ascontiguousarray(y[:, : w.outputs])


def linear(x: np.ndarray, w: PackedLinear, residual: np.ndarray | None = None) -> np.ndarray:
    """x W^T + b, plus `residual` if there is one: (R, I) -> (R, O), as ops.linear."""
    return _apply(x, w, residual, NO_FLOOR)


def linear_relu(x: np.ndarray, w: PackedLinear) -> np.ndarray:
    """max(x W^T + b, 0): (R, I) -> (R, O), as ops.linear_relu."""
    return _apply(x, w, None, RELU)


def layer_norm(x: np.ndarray, w: PackedNorm) -> np.ndarray:
    """(..., D) -> (..., D), as ops.layer_norm."""
    x = doors.rows_of("x", x, w.inputs)
    y = np.empty_like(x)
    layer_norm_rows(x.reshape(-1), x.size, Norm(w.arena, w.gain, w.bias, w.inputs), y.reshape(-1))
    return y


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, causal: bool = False) -> np.ndarray:
    """q (..., Q, D), k and v (..., S, D) -> (..., Q, D), as ops.attention: q comes scaled."""
    q, k, v = (np.ascontiguousarray(x, np.float32) for x in (q, k, v))
    doors.attention(q, k, v, heads)
    (*lead, queries, width), keys = q.shape, k.shape[-2]
    mask, mask_row = ZEROS, 0
    if causal:
        mask_row = -(-queries // LANES) * LANES
        mask = np.where(np.arange(keys)[:, None] <= np.arange(mask_row), np.float32(0), -np.inf).astype(np.float32)
    y, threads = np.empty_like(q), get_threads()
    scratch = np.empty(threads * (ATTENTION_SCRATCH + 2 * LANES * (width // heads)), np.float32)
    sizes = (math.prod(lead), queries, keys, width, heads)
    flat = (x.reshape(-1) for x in (q, k, v))
    parallel(attention_rows, 1, threads, *flat, *sizes, mask.reshape(-1), mask_row, ZEROS, y.reshape(-1), scratch)
    return y


def plan_convolutions(convs: tuple[PackedConv, ...], count: int, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    """For that many frames: the table, and room from a pool for the planes of all inputs, flat."""
    margin = -(-(max(w.taps for w in convs) // 2 + 1) // LANES) * LANES
    row = -(-count // (LANES << len(convs))) * LANES + margin
    table, begin = np.zeros((len(convs), PLANE_ROWS + 1), np.int64), 0
    for line, w, planes in zip(table, convs, (1 << n for n in reversed(range(len(convs)))), strict=True):
        width = -(-w.outputs // GATED) * PANEL
        count, end = (count - 1) // 2 + 1, begin + 2 * planes * w.inputs * row
        line[:] = begin, end, w.inputs, w.outputs, w.taps, planes, count, row, margin, w.panels, w.bias, width, 0
        begin = end
    frames = lend_floats(pool, begin + margin)
    frames[begin:] = 0
    table[:, PLANE_ROWS] = len(frames) // row
    return table, frames
