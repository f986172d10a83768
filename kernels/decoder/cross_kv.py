"""The part of the encoder's memory that a decoder step reads: all layers' keys and values, made once an utterance.

Readable twin: decoder.start_cache. A step reads all of them once for each token, head by head, so the keys and values
of a head lie in the order of reading, in one block:

    layer, head: keys [key / 32][feature][32 keys], then values [feature / 32][key][32 features]

They are floats, or halves where weights are not floats either (`line_words`).

The memory is first laid out in units of 16 positions, [feature][16], as the encoder has them. Positions are then the
lanes of keys, which a product leaves in the right order, and scalars side by side for values. Where AMX multiplies
floats, units and panels are split in pieces (`gemm_pieces.py`). All layers are one phase, whose items are 512 positions
by one panel of weights.

Versions (s2t-small, 250 positions, two cores; the arithmetic alone takes 1.15 ms): a product for each matrix, whose
keys numpy transposed, 2.6 ms; rows of the memory, whose keys were moved one by one, 1.69 to 1.79, in bytes 0.70 to
0.90; as here 1.49, in bytes 0.58 to 0.70. Keeping the block for the next utterance gained nothing. In pieces 1.60 ->
1.25 on a later machine, 2.70 -> 2.10 on one thread; in halves 2.73 -> 1.90 there.
"""

from typing import NamedTuple

import numpy as np

from ..build.device import entry, inlined
from ..layout import BLOCK_PIECES, FLOAT16, FLOAT32, INT8, NO_FLOOR, PANEL
from ..ops.gemm import linear_units
from ..ops.gemm_blocked import widen_panel
from ..ops.gemm_int8 import linear_units_int8
from ..ops.gemm_panel import multiply_panel
from ..ops.gemm_pieces import blocks_of, split_panel, split_unit
from ..ops.matrices import (
    Matrix,
    MatrixSlice,
    Rows,
    Units,
    UnitWeights,
    no_operand,
    panel_of,
    panel_words,
    prefetch_lines,
)
from ..ops.quantize import quantize_unit
from ..simd.copy import copy_row, narrow_row
from ..simd.operands import Ahead, Bias, Operand, Output, TileSize
from ..simd.scheduling import barrier, done, next_item, thread_id
from ..simd.tile_amx import HAS_FLOAT_TILES, configure_tiles, release_tiles
from ..simd.tile_pieces import PIECE, tile_pieces, tile_rows
from ..simd.transpose import transpose
from ..simd.vector import LANES, at, load, move, skip, store
from . import columns
from .cross_kv_host import ProjectMemoryCall, layout

POSITIONS = 512  # in an item, at most

sizes = inlined(layout)


class Item(NamedTuple):
    """A panel of the keys or values of a layer, for some positions."""

    layer: int
    column: int  # column of the plan
    feature: int  # the first of the panel's
    weights: int  # offset of the panel
    first: int  # position


@inlined
def _lay_out(call, number, own):
    """Unit `number` of the memory; positions after the last are zeros."""
    shape, first, vectors = call.shape, number * LANES, 0
    x, unit = skip(call.x, first * shape.depth), skip(call.units, number * shape.unit)
    if first + LANES <= shape.positions:
        vectors = shape.depth - shape.depth % LANES
        for d in range(0, vectors, LANES):
            transpose(at(x, d), shape.depth, at(unit, d * LANES))
    for lane in range(LANES):
        for d in range(vectors, shape.depth):
            unit[d * LANES + lane] = x[lane * shape.depth + d] if first + lane < shape.positions else np.float32(0.0)
    if shape.dtype == INT8:
        quantize_unit(at(unit, 0), shape.depth, at(unit, shape.words), at(unit, shape.scales))
    elif HAS_FLOAT_TILES and shape.pieces:
        split_unit(at(unit, 0), shape.depth, at(unit, shape.words), at(own, 0))


@inlined
def _keys(shape, x, matrix, after, y):
    """Keys of a pair of units x (address) by one panel -> y (address) [feature][32 keys]."""
    units = Units(x, shape.unit, move(x, shape.words), shape.unit, move(x, shape.scales), shape.unit, 0)
    out = Output(Operand(y, PANEL, LANES), no_operand(matrix.zeros), NO_FLOOR)
    if matrix.dtype == INT8:
        linear_units_int8(units, 2, matrix, MatrixSlice(0, PANEL, 0, shape.depth), out, after)
    else:
        w = UnitWeights(matrix.weights, 0, matrix.terms, 1, matrix.zeros)
        linear_units(units, 2, shape.depth, w, PANEL, out, after)


@inlined
def _values(shape, x, rows, matrix, after, y):
    """Values of `rows` positions of a pair of units x (address) by one panel -> y (address) [position][32]."""
    lines = _share_of_panel(shape) // 2 // LANES
    panel = panel_of(matrix.weights, after, matrix.terms, matrix.outputs, matrix.zeros)
    for first in range(0, rows, LANES):
        unit, count = move(x, first // LANES * shape.unit), min(LANES, rows - first)
        prefetch_lines(move(after, first * lines), lines)
        words, scales = Operand(move(unit, shape.words), 1, LANES), Operand(move(unit, shape.scales), 1, LANES)
        out = Output(Operand(move(y, first * PANEL), PANEL, LANES), no_operand(matrix.zeros), NO_FLOOR)
        multiply_panel(matrix.dtype, Rows(Operand(unit, 1, LANES), words, scales, 0), count, shape.depth, panel, out)


@inlined
def _in_pieces(shape, column, x, rows, matrix, panel, after, y):
    """The same keys, or values, of a pair of units x by a panel whose pieces are at `panel`, followed by room."""
    blocks = blocks_of(shape.depth)
    size, sums = TileSize(PANEL, 2, blocks), move(panel, 2 * blocks * BLOCK_PIECES)
    left, right = Operand(panel, blocks * BLOCK_PIECES, BLOCK_PIECES), Operand(x, BLOCK_PIECES, shape.unit)
    bias, nothing = Bias(matrix.terms, 1, matrix.zeros, 0), no_operand(matrix.zeros)
    if column == columns.CROSS_K:
        tile_pieces(size, left, right, bias, Output(Operand(y, PANEL, LANES), nothing, NO_FLOOR), after)
    else:
        tile_rows(size, left, right, bias, Output(Operand(sums, 2 * PIECE, PIECE), nothing, NO_FLOOR), after)
        for r in range(rows):
            for half in range(2):
                store(move(y, r * PANEL + half * LANES), load(move(sums, half * 2 * PIECE + r * LANES)))


@inlined
def _place(shape, item, feature, first):
    """Return where in the block keys or values of a feature, positions from `first` on, begin."""
    width = shape.depth // shape.heads
    values, size = sizes(shape.positions, width, shape.line)
    head, d = (item.layer * shape.heads + feature // width) * size, feature % width
    if item.column == columns.CROSS_K:
        return head + (first // PANEL * width + d) * shape.line
    return head + values + (d // PANEL * shape.positions + first) * shape.line + d % PANEL


@inlined
def _distribute(call, item, x, first, rows):
    """Distribute the results of `_keys` or `_values` at x: 32 features, some of which may belong to another head."""
    shape, width = call.shape, call.shape.depth // call.shape.heads
    finished, count = 0, min(PANEL, shape.depth - item.feature)
    while finished < count:
        d = (item.feature + finished) % width
        here = min(width - d, count - finished, PANEL - d % PANEL)
        target = skip(call.block, _place(shape, item, item.feature + finished, first))
        if item.column == columns.CROSS_K:
            copy_row(skip(x, finished * PANEL), target, here * PANEL)
        else:
            for r in range(rows):
                copy_row(skip(x, r * PANEL + finished), skip(target, r * PANEL), here)
        finished += here


@inlined
def _share_of_panel(shape):
    """Words of the panel that will be needed next, to be prefetched with each pair of units."""
    return panel_words(shape.depth, shape.dtype) // 8


@inlined
def _item(call, number):
    """The item of that number."""
    shape, panels = call.shape, -(-call.shape.depth // PANEL)
    o, matrix, block = number % panels, number // panels % (2 * shape.layers), number // panels // (2 * shape.layers)
    layer, column = matrix // 2, columns.CROSS_V if matrix % 2 else columns.CROSS_K
    weights = call.plan[layer, column] + o * panel_words(shape.depth, shape.dtype)
    return Item(layer, column, o * PANEL, weights, block * POSITIONS)


@inlined
def _matrix_of(call, item, own):
    """The item's panel as a matrix, of floats where it is kept in halves: those are widened into scratch."""
    shape, dtype, weights = call.shape, call.shape.dtype, at(call.w, item.weights)
    if dtype == FLOAT16:
        dtype, weights = FLOAT32, at(own, PANEL * PANEL)
        widen_panel(at(call.w, item.weights), shape.depth, weights)
    terms = at(call.w, call.plan[item.layer, item.column + 1] + item.feature)
    return Matrix(dtype, weights, terms, shape.depth, -(-shape.depth // PANEL) * PANEL, at(call.w, 0))


@inlined
def _project(call, number, items, own):
    """An item: one panel of a matrix times 512 positions."""
    shape, item = call.shape, _item(call, number)
    after = at(call.w, _item(call, min(number + shape.threads, items - 1)).weights)
    matrix, whole = _matrix_of(call, item, own), shape.depth // shape.heads % PANEL == 0
    direct, pieces = whole and shape.line == PANEL, at(own, PANEL * PANEL + shape.panel)
    if HAS_FLOAT_TILES and shape.pieces:
        configure_tiles()
        split_panel(matrix.weights, shape.depth, pieces)
    for first in range(item.first, min(shape.positions, item.first + POSITIONS), PANEL):
        x, rows = at(call.units, first // LANES * shape.unit), min(PANEL, shape.positions - first)
        soon = move(after, first // PANEL % 8 * _share_of_panel(shape))
        place = _place(shape, item, item.feature, first)
        y = at(call.block, place) if direct else at(own, 0)
        if HAS_FLOAT_TILES and shape.pieces:
            ahead = Ahead(after, LANES if first == item.first else 0)
            _in_pieces(shape, item.column, move(x, shape.words), rows, matrix, pieces, ahead, y)
        elif item.column == columns.CROSS_K:
            _keys(shape, x, matrix, soon, y)
        else:
            _values(shape, x, rows, matrix, soon, y)
        if not whole:
            _distribute(call, item, own, first, rows)
        elif not direct:
            narrow_row(y, at(call.block, place), (PANEL if item.column == columns.CROSS_K else rows) * PANEL)
    if HAS_FLOAT_TILES and shape.pieces:
        release_tiles()


@entry
def project_memory(call: ProjectMemoryCall):
    """Memory x (S, D), flat -> block; units: memory for it in units, in pairs, with bytes and scales."""
    state, shape = call.state, call.shape
    own, pairs = skip(call.scratch, thread_id(state) * shape.scratch), -(-shape.positions // PANEL)
    item = next_item(state, 0)
    while item < 2 * pairs:
        _lay_out(call, item, own)
        done(state, 0)
        item = next_item(state, 0)
    barrier(state, 0, 2 * pairs)
    items = -(-shape.positions // POSITIONS) * 2 * shape.layers * -(-shape.depth // PANEL)
    item = next_item(state, 1)
    while item < items:
        _project(call, item, items, own)
        done(state, 1)
        item = next_item(state, 1)
    barrier(state, 1, items)
