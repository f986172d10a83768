"""What a decoder step reads of the encoder's memory: all layers' keys and values, made once an utterance.

Readable twin: decoder.start_cache. A step reads all of them once for each token, head by head, so each head's lie in
the order of reading, in one block:

    layer, head: keys [key / 32][feature][32 keys], then values [feature / 32][key][32 features]

The memory is first laid out in units of 16 positions, [feature][16], as the encoder has them. Positions are then the
lanes of keys, which a product leaves as they shall lie, and for values scalars side by side. All layers are one phase,
whose items are 512 positions by one panel of weights.

Versions (s2t-small, 250 positions, two cores; the arithmetic alone takes 1.15 ms): a product for each matrix, whose
keys numpy transposed, 2.6 ms; rows of the memory, whose keys were moved one by one, 1.69 to 1.79, in bytes 0.70 to
0.90; as here 1.49, in bytes 0.58 to 0.70. Keeping the block for the next utterance gained nothing.
"""

import numpy as np

from ..build.device import entry, inlined
from ..layout import FLOAT16, FLOAT32, INT8, NO_FLOOR, PANEL
from ..ops.gemm import linear_units
from ..ops.gemm_blocked import transpose, widen_panel
from ..ops.gemm_int8 import linear_units_int8
from ..ops.gemm_panel import ask, multiply_panel, panel_words
from ..ops.quantize import quantize_unit
from ..simd.scheduling import finish, slot, take, wait
from ..simd.vector import LANES, at, move
from ..weights.pack import CROSS_K, CROSS_V
from .attention import copy_row
from .cross_kv_host import ProjectMemoryCall, layout

POSITIONS = 512  # in an item, at most


sizes = inlined(layout)


@inlined
def _lay_out(number, shape, x, units):
    """Unit `number` of the memory x (S, D), flat; positions behind the last are zeros."""
    first, start, whole = number * LANES, number * shape.unit, 0
    if first + LANES <= shape.positions:
        whole = shape.depth - shape.depth % LANES
        for d in range(0, whole, LANES):
            transpose(at(x, first * shape.depth + d), shape.depth, at(units, start + d * LANES))
    for lane in range(LANES):
        for d in range(whole, shape.depth):
            value = x[(first + lane) * shape.depth + d] if first + lane < shape.positions else np.float32(0.0)
            units[start + d * LANES + lane] = value
    if shape.kind == INT8:
        unit = at(units, start)
        quantize_unit(unit, shape.depth, move(unit, shape.words), move(unit, shape.scales))


@inlined
def _keys(x, shape, kind, panel, terms, zeros, after, y):
    """Keys of a pair of units x (address) by one panel -> y (address) [feature][32 keys]."""
    words, scales = (move(x, shape.words), shape.unit), (move(x, shape.scales), shape.unit)
    weight, nothing, y = (panel, 0), (zeros, 0, 0), (y, PANEL, LANES)
    if kind == INT8:
        linear_units_int8(*(words, scales, 2, 0, shape.depth, weight, terms, PANEL, zeros, nothing, NO_FLOOR, y, after))
    else:
        bias = (terms[0], 1)
        linear_units((x, shape.unit), 2, shape.depth, weight, bias, PANEL, zeros, nothing, NO_FLOOR, y, after)


@inlined
def _values(x, rows, shape, kind, panel, terms, zeros, after, y):
    """Values of `rows` positions of a pair of units x (address) by one panel -> y (address) [position][32]."""
    lines = _share(shape) // 2 // LANES
    for first in range(0, rows, LANES):
        unit, here = move(x, first // LANES * shape.unit), min(LANES, rows - first)
        words, scales = (move(unit, shape.words), 1, LANES), (move(unit, shape.scales), 1, LANES)
        ask(move(after, first * lines), lines)
        multiply_panel(
            *(kind, (unit, 1, LANES), words, scales, here, shape.depth, panel, terms, zeros, (zeros, 0, 0)),
            *(NO_FLOOR, (move(y, first * PANEL), PANEL, LANES)),
        )


@inlined
def _place(layer, column, feature, first, shape):
    """Where in the block keys or values of a feature, positions from `first` on, begin."""
    width = shape.depth // shape.heads
    values, size = sizes(shape.positions, width)
    head, d = (layer * shape.heads + feature // width) * size, feature % width
    if column == CROSS_K:
        return head + first * width + d * PANEL
    return head + values + (d // PANEL * shape.positions + first) * PANEL + d % PANEL


@inlined
def _distribute(x, start, layer, column, feature, first, rows, shape, block):
    """What `_keys` or `_values` left at x[start:], 32 features, some of which may belong to another head."""
    width, done, count = shape.depth // shape.heads, 0, min(PANEL, shape.depth - feature)
    while done < count:
        d = (feature + done) % width
        here, place = (
            min(width - d, count - done, PANEL - d % PANEL),
            _place(layer, column, feature + done, first, shape),
        )
        if column == CROSS_K:
            copy_row(x, start + done * PANEL, block, place, here * PANEL)
        else:
            for r in range(rows):
                copy_row(x, start + r * PANEL + done, block, place + r * PANEL, here)
        done += here


@inlined
def _share(shape):
    """Words of the panel that will be needed next, to be asked for with each pair of units."""
    return panel_words(shape.depth, shape.kind) // 8


@inlined
def _item(number, shape, plan):
    """Layer, column of the plan, first feature, offset of the panel, first position."""
    panels = -(-shape.depth // PANEL)
    o, matrix, block = number % panels, number // panels % (2 * shape.layers), number // panels // (2 * shape.layers)
    layer, column = matrix // 2, CROSS_V if matrix % 2 else CROSS_K
    return layer, column, o * PANEL, plan[layer, column] + o * panel_words(shape.depth, shape.kind), block * POSITIONS


@inlined
def _project(number, items, shape, w, plan, units, block, scratch, own):
    """An item: one panel of a matrix times 512 positions."""
    layer, column, o, offset, begin = _item(number, shape, plan)
    after = at(w, _item(min(number + shape.threads, items - 1), shape, plan)[3])
    zeros, kind, panel, fits = at(w, 0), shape.kind, at(w, offset), shape.depth // shape.heads % PANEL == 0
    terms = (at(w, plan[layer, column + 1] + o), -(-shape.depth // PANEL) * PANEL)
    if kind == FLOAT16:
        kind, panel = FLOAT32, at(scratch, own + PANEL * PANEL)
        widen_panel(at(w, offset), shape.depth, panel)
    for first in range(begin, min(shape.positions, begin + POSITIONS), PANEL):
        x, rows = at(units, first // LANES * shape.unit), min(PANEL, shape.positions - first)
        soon = move(after, first // PANEL % 8 * _share(shape))
        y = at(block, _place(layer, column, o, first, shape)) if fits else at(scratch, own)
        if column == CROSS_K:
            _keys(x, shape, kind, panel, terms, zeros, soon, y)
        else:
            _values(x, rows, shape, kind, panel, terms, zeros, soon, y)
        if not fits:
            _distribute(scratch, own, layer, column, o, first, rows, shape, block)


@entry
def project_memory(call: ProjectMemoryCall):
    """Memory x (S, D), flat -> block; units: room for it in units, in pairs, with bytes and scales."""
    state, x, shape, w, plan, units, block, scratch = call
    own, pairs = slot(state) * shape.scratch, -(-shape.positions // PANEL)
    item = take(state, 0)
    while item < 2 * pairs:
        _lay_out(item, shape, x, units)
        finish(state, 0)
        item = take(state, 0)
    wait(state, 0, 2 * pairs)
    items = -(-shape.positions // POSITIONS) * 2 * shape.layers * -(-shape.depth // PANEL)
    item = take(state, 1)
    while item < items:
        _project(item, items, shape, w, plan, units, block, scratch, own)
        finish(state, 1)
        item = take(state, 1)
    wait(state, 1, items)
