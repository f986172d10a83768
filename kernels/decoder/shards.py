"""The blocks of a decoder layer as a step computes them, in parts that are independent of each other.

Each block (attention over the text, attention over the memory, feed-forward) has a first matrix, something in between
and a second matrix. A part takes some outputs of the first, finishes what lies between (whole heads, or some of the
hidden features), and multiplies it with the inputs of the second that belong to it. The result is a partial sum of what
the block adds to the residual stream; no thread waits for another within a block. The next block begins by adding the
partial sums up, in their order, so that results are the same bits whichever thread computed which. (Shoeybi et al.
2019, Megatron-LM, arXiv 1909.08053, section 3, cut blocks in this way between processors.)

    a part of attention      some heads, whose features fill whole panels (`groups`)
    a part of feed-forward   some hundred hidden features (`shard`)
    a part of the end        32 logits

Every thread has a copy of the stream, and brings it up to date when it has something to do in a block (`sum_partials`).
A thread that sat out a block starts from the copy, one block old, that the thread with the first part has published
(`publish_residual`).
"""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Floats
from ..build.device import inlined, linked
from ..layout import CHUNK, INT8, NO_FLOOR, PANEL, RELU
from ..ops.gemm_panel import multiply_panels
from ..ops.host import Norm
from ..ops.matrices import AHEAD, JUMP_LINES, Panel, Panels, Rows, no_operand, panel_words, prefetch_lines
from ..ops.norm import normalize_row
from ..ops.quantize import quantize_row
from ..ops.softmax import panel_highest, row_highest, row_shift
from ..simd.copy import copy_row
from ..simd.operands import Operand, Output
from ..simd.vector import LANES, at, load, move, prefetch, skip, store
from . import columns
from .attention import CrossHead, History, attend_cache, attend_memory
from .cross_kv import sizes
from .host import BLOCKS, CROSS, FORWARD, SELF, DecoderStep


class Part(NamedTuple):
    """A part of a phase, and the thread that computes it."""

    phase: int
    layer: int
    number: int
    own: int  # where the thread's own workspace begins


class Block(NamedTuple):
    """Some rows or columns of one of a block's two matrices."""

    column: int  # column of the plan
    size: int  # outputs of the first matrix in whole panels, or inputs of the second
    first: int
    count: int


@inlined
def parts_of(shape, phase):
    """Return how many parts a phase has: three blocks a layer, then the vocabulary, then rows of logits."""
    if phase >= BLOCKS * shape.layers:
        return -(-shape.vocabulary // PANEL) if phase == BLOCKS * shape.layers else shape.beams
    return -(-shape.hidden // shape.shard) if phase % BLOCKS == FORWARD else shape.groups


@inlined
def _partial(step, phase, number):
    """Return where a part's partial sum lies in the workspace: (K, padded)."""
    shape = step.shape
    most = max(shape.groups, -(-shape.hidden // shape.shard))
    return step.offsets.partials + (phase % 2 * most + number) * shape.beams * shape.padded


@inlined
def first_weights(step, phase, thread):
    """The address of the weights that a thread reads first in a phase."""
    shape, layer = step.shape, phase // BLOCKS
    column, outputs = columns.Q, shape.width // shape.groups
    if layer == shape.layers:
        column, outputs = columns.HEAD, PANEL
    elif phase % BLOCKS == FORWARD:
        column, outputs = columns.FC1, shape.shard
    elif phase % BLOCKS == CROSS:
        column = columns.CROSS_Q
    first = parts_of(shape, phase) * thread // shape.threads * outputs
    return at(step.w, step.plan[layer, column] + first // PANEL * panel_words(shape.width, shape.dtype))


@inlined
def _quantize(step, x, depth, words, scales):
    """Rows of K beams, an Operand of offsets in the workspace, as bytes, where the weights are bytes."""
    if step.shape.dtype == INT8:
        workspace, chunks = step.workspace, -(-depth // CHUNK)
        for k in range(step.shape.beams):
            target = at(workspace, words + k * (x.row // 4))
            quantize_row(at(workspace, x.address + k * x.row), depth, target, at(workspace, scales + k * chunks))


@inlined
def _norm_of(step, phase):
    """The layer normalisation at the beginning of a phase."""
    layer, block = phase // BLOCKS, phase % BLOCKS
    column = columns.NORM_1 if block == SELF else columns.NORM_2 if block == CROSS else columns.NORM_3
    if layer == step.shape.layers:
        column = columns.FINAL_NORM
    return Norm(step.w, step.plan[layer, column], step.plan[layer, column + 1], step.shape.width)


@linked
def sum_partials(step: DecoderStep, phase: int, seen: int, own: int):
    """The thread's stream as this phase finds it, and its normalised rows; `seen` is the phase whose stream it has."""
    shape, offsets, workspace, size = step.shape, step.offsets, step.workspace, step.shape.beams * step.shape.padded
    partials, count = _partial(step, phase - 1, 0), parts_of(shape, phase - 1) if phase else 0
    x, normed = own + offsets.x, own + offsets.normed
    before = x if seen == phase - 1 and phase else offsets.stream + (phase + 1) % 2 * size
    for i in range(0, size, LANES):
        v = load(at(workspace, before + i))
        for j in range(count):
            v = v + load(at(workspace, partials + j * size + i))
        store(at(workspace, x + i), v)
    norm = _norm_of(step, phase)
    for k in range(shape.beams):
        row = k * shape.padded
        normalize_row(skip(workspace, x + row), norm, skip(workspace, normed + row))
    _quantize(step, Operand(normed, shape.padded, 1), shape.width, own + offsets.words, own + offsets.scales)


@inlined
def publish_residual(step, phase, own):
    """Leave the stream of this phase where threads find it that did nothing in it."""
    size = step.shape.beams * step.shape.padded
    published = step.offsets.stream + phase % 2 * size
    copy_row(skip(step.workspace, own + step.offsets.x), skip(step.workspace, published), size)


@inlined
def _rows(step, floats, words, scales, depth):
    """Rows of K beams in the workspace, as products take them; floats: an Operand of offsets."""
    w = step.workspace
    return Rows(
        Operand(at(w, floats.address), floats.row, 1),
        Operand(at(w, words), floats.row // 4, 1),
        Operand(at(w, scales), -(-depth // CHUNK), 1),
    )


@inlined
def _first_matrix(step, part, block, lower_bound, y):
    """Some outputs of a block's first matrix, from the normalised stream -> y, an Operand of addresses."""
    shape, own, zeros = step.shape, part.own, at(step.w, 0)
    offset, bias = step.plan[part.layer, block.column], step.plan[part.layer, block.column + 1]
    size, terms = panel_words(shape.width, shape.dtype), at(step.w, bias + block.first)
    scale, zero_point = move(terms, block.size), move(terms, 2 * block.size)
    panel = Panel(at(step.w, offset + block.first // PANEL * size), AHEAD, terms, scale, zero_point, block.size, zeros)
    normed = Operand(own + step.offsets.normed, shape.padded, 1)
    x = _rows(step, normed, own + step.offsets.words, own + step.offsets.scales, shape.width)
    panels = Panels(panel, -(-block.count // PANEL), size, PANEL)
    multiply_panels(shape.dtype, x, shape.beams, shape.width, panels, Output(y, no_operand(zeros), lower_bound))


@inlined
def _second_matrix(step, part, block, zero_point, x):
    """The partial sum of some inputs of a block's second matrix: rows x, an Operand of offsets.

    zero_point: the address of what the sums of these inputs begin with, where weights are bytes. The bias goes with the
    first inputs.
    """
    shape, offsets, own, zeros = step.shape, step.offsets, part.own, at(step.w, 0)
    words, scales = own + offsets.inner_words, own + offsets.inner_scales
    _quantize(step, x, block.count, words, scales)
    size, here = panel_words(block.size, shape.dtype), panel_words(block.count, shape.dtype)
    ahead = AHEAD if here > AHEAD else -(-AHEAD // here) * size  # within these inputs of a panel, or in a later one
    weights = step.plan[part.layer, block.column] + panel_words(block.first, shape.dtype)
    terms = at(step.w, step.plan[part.layer, block.column + 1])
    bias, bias_step = (zeros, 0) if block.first else (terms, PANEL)
    panel = Panel(at(step.w, weights), ahead, bias, move(terms, shape.padded), zero_point, shape.padded, zeros)
    y = Operand(at(step.workspace, _partial(step, part.phase, part.number)), shape.padded, LANES)
    panels, out = Panels(panel, shape.padded // PANEL, size, bias_step), Output(y, no_operand(zeros), NO_FLOOR)
    multiply_panels(shape.dtype, _rows(step, x, words, scales, block.count), shape.beams, block.count, panels, out)


@inlined
def _zero_point_of_heads(step, part, column):
    """Return where the zero points of a group of heads begin: groups that are all of the inputs have those of the
    matrix.
    """
    shape = step.shape
    if shape.groups == 1:
        return at(step.w, step.plan[part.layer, column + 1] + 2 * shape.padded)
    which = 2 * part.layer + (1 if column == columns.CROSS_OUT else 0)
    return at(step.head_zero_points, (which * shape.groups + part.number) * shape.padded)


@inlined
def _prefetch_history(step, layer, first, count, length):
    """Prefetch the rows of keys and values that beams will look at: no processor guesses where they lie."""
    shape = step.shape
    for u in range(length + 1):
        last = -1
        for k in range(shape.beams):
            writer = step.ancestors[k * shape.capacity + u] if u < length else k
            place = ((layer * shape.capacity + u) * shape.beams + writer) * shape.width + first
            for i in range(0, count if writer != last else 0, LANES):
                prefetch(at(step.keys, place + i))
                prefetch(at(step.values, place + i))
            last = writer


@inlined
def _scale(width):
    """1 / sqrt(D/H)."""
    return np.float32(1.0 / np.sqrt(width))


@linked
def attend_to_text(step: DecoderStep, part: Part, length: int):
    """A part of attention over the text so far: some heads of all beams; their keys and values join the cache."""
    shape, workspace, d, beams = step.shape, step.workspace, step.shape.width, step.shape.beams
    group, width = d // shape.groups, d // shape.heads
    first, row = part.number * group, -(-group // PANEL) * PANEL
    qkv, mixed, size = part.own + step.offsets.inner, part.own + step.offsets.mixed, beams * row
    _prefetch_history(step, part.layer, first, group, length)
    prefetch_lines(at(step.w, step.plan[part.layer, columns.OUT] + panel_words(first, shape.dtype)), JUMP_LINES)
    for i in range(3):
        y = Operand(at(workspace, qkv + i * size), row, LANES)
        _first_matrix(step, part, Block(columns.Q + 2 * i, shape.padded, first, row), NO_FLOOR, y)
    start = part.layer * shape.capacity * beams * d + first
    for k in range(beams):
        place = start + (length * beams + k) * d
        copy_row(skip(workspace, qkv + size + k * row), skip(step.keys, place), group)
        copy_row(skip(workspace, qkv + 2 * size + k * row), skip(step.values, place), group)
    for f in range(0, group, width):
        keys, values = skip(step.keys, start + f), skip(step.values, start + f)
        past = History(keys, values, step.ancestors, beams, d, shape.capacity, length + 1, width, _scale(width))
        scores = skip(workspace, qkv + 3 * size)
        attend_cache(past, skip(workspace, qkv + f), skip(workspace, mixed + f), row, scores)
    zero_point = _zero_point_of_heads(step, part, columns.OUT)
    _second_matrix(step, part, Block(columns.OUT, d, first, group), zero_point, Operand(mixed, row, 1))


@linked
def attend_to_sound(step: DecoderStep, part: Part):
    """A part of attention over the memory: some heads of all beams."""
    shape, workspace, d, beams = step.shape, step.workspace, step.shape.width, step.shape.beams
    group, width = d // shape.groups, d // shape.heads
    first, row = part.number * group, -(-group // PANEL) * PANEL
    q, mixed = part.own + step.offsets.inner, part.own + step.offsets.mixed
    block = Block(columns.CROSS_Q, shape.padded, first, row)
    _first_matrix(step, part, block, NO_FLOOR, Operand(at(workspace, q), row, LANES))
    result, (values, size) = q + beams * row, sizes(shape.positions, width)
    prefetch_lines(at(step.cross, (part.layer * shape.heads + first // width) * size), JUMP_LINES)
    weights = step.plan[part.layer, columns.CROSS_OUT] + panel_words(first, shape.dtype)
    prefetch_lines(at(step.w, weights), JUMP_LINES)
    for f in range(0, group, width):
        keys = at(step.cross, (part.layer * shape.heads + (first + f) // width) * size)
        head = CrossHead(keys, move(keys, values), shape.positions, width, _scale(width), at(step.w, 0))
        attend_memory(Operand(at(workspace, q + f), row, 1), head, beams, skip(workspace, result))
        for k in range(beams):
            source = skip(workspace, result + k * (-(-width // PANEL) * PANEL))
            copy_row(source, skip(workspace, mixed + k * row + f), width)
    zero_point = _zero_point_of_heads(step, part, columns.CROSS_OUT)
    _second_matrix(step, part, Block(columns.CROSS_OUT, d, first, group), zero_point, Operand(mixed, row, 1))


@linked
def feed_forward(step: DecoderStep, part: Part):
    """A part of the feed-forward block: some hidden features."""
    shape, inner = step.shape, part.own + step.offsets.inner
    first, row = part.number * shape.shard, -(-min(shape.shard, shape.hidden) // PANEL) * PANEL
    count, outputs = min(shape.shard, shape.hidden - first), -(-shape.hidden // PANEL) * PANEL
    weights = step.plan[part.layer, columns.FC2] + panel_words(first, shape.dtype)
    prefetch_lines(at(step.w, weights), JUMP_LINES)
    y = Operand(at(step.workspace, inner), row, LANES)
    _first_matrix(step, part, Block(columns.FC1, outputs, first, count), RELU, y)
    zero_point = at(step.w, step.plan[part.layer, columns.FC2 + 1] + (2 + first // CHUNK) * shape.padded)
    _second_matrix(step, part, Block(columns.FC2, shape.hidden, first, count), zero_point, Operand(inner, row, 1))


@linked
def project_to_vocabulary(step: DecoderStep, part: Part, logits: Floats):
    """32 logits of all beams -> logits (K, V), and the maximum of each beam's; see softmax.py for what follows them."""
    shape, v, o = step.shape, step.shape.vocabulary, part.number * PANEL
    panels, count = -(-v // PANEL), min(PANEL, v - o)
    highest, inner = skip(logits, shape.beams * (v + 2) + part.number), part.own + step.offsets.inner
    rows, row = (skip(logits, o), v) if count == PANEL else (skip(step.workspace, inner), PANEL)
    block = Block(columns.HEAD, panels * PANEL, o, PANEL)
    _first_matrix(step, part, block, NO_FLOOR, Operand(at(rows, 0), row, LANES))
    for k in range(shape.beams):
        highest[k * panels] = panel_highest(rows, k * row, count)
        if count < PANEL:
            copy_row(skip(rows, k * row), skip(logits, k * v + o), count)


@linked
def find_peak(step: DecoderStep, row: int, logits: Floats):
    """Find the peak of one beam's logits, for the search: the maximum, and log sum exp(x - maximum)."""
    beams, v = step.shape.beams, step.shape.vocabulary
    panels, peaks = -(-v // PANEL), skip(logits, beams * v)
    top = row_highest(peaks, 2 * beams + row * panels, panels)
    peaks[row] = top
    peaks[beams + row] = row_shift(logits, row * v, v, top)
