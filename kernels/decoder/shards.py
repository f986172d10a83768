"""The cut of a step into parts that are independent of each other, and the work that all of them share.

Each block (attention over the text, attention over the memory, feed-forward) has a first matrix, something in between
and a second matrix. A part takes some outputs of the first, finishes what lies between (whole heads, or some of the
hidden features), and multiplies it with the inputs of the second that belong to it. The result is a partial sum of what
the block adds to the residual stream; no thread waits for another within a block. The next block begins by adding the
partial sums up, in their order, so that results are the same bits whichever thread computed which. (Shoeybi et al.
2019, Megatron-LM, arXiv 1909.08053, section 3, cut blocks in this way between processors.)

    a part of attention      some heads, whose features fill whole panels (`groups`)
    a part of feed-forward   some hundred hidden features (`shard`)
    a part of the end        32 logits

The rows of a step are the beams of all utterances in it, one utterance after the other. No row needs another of the
same step, so they too are cut, into as many shares as pay (`host.share_count`), and a part belongs to a share. Sums
are cut in the same places however many rows there are: a row's results are the same bits in any company.

Every thread has a copy of the stream, and brings a share of it up to date when it has something to do in a block
(`sum_partials`). A thread that sat out a block starts from the copy, one block old, that the thread with the first part
has published (`publish_residual`).
"""

from typing import NamedTuple

from ..build.device import inlined, linked
from ..layout import CHUNK, INT8, NO_FLOOR, PANEL
from ..ops.gemm_panel import multiply_panels
from ..ops.host import Norm
from ..ops.matrices import AHEAD, Panel, Panels, Rows, no_operand, panel_words
from ..ops.norm import normalize_row
from ..ops.quantize import quantize_row
from ..simd.copy import copy_row
from ..simd.operands import Operand, Output
from ..simd.transpose import transpose
from ..simd.vector import LANES, at, load, move, skip, store
from . import columns
from .host import BLOCKS, CROSS, FORWARD, SELF, DecoderStep

MANY_ROWS = 2 * LANES  # from which on the rows of floats are laid side by side


class Part(NamedTuple):
    """A part of a phase for a share of the rows, and the thread that computes it."""

    phase: int
    layer: int
    number: int
    own: int  # where the thread's own workspace begins
    row: int  # the share's first
    rows: int
    asks: int  # utterances in the step


class Block(NamedTuple):
    """Some rows or columns of one of a block's two matrices."""

    column: int  # column of the plan
    size: int  # outputs of the first matrix in whole panels, or inputs of the second
    first: int
    count: int


@inlined
def parts_of(shape, phase):
    """Return how many parts a phase has for each share of the rows: three blocks a layer, then the vocabulary."""
    if phase == BLOCKS * shape.layers:
        return -(-shape.vocabulary // PANEL)
    return -(-shape.hidden // shape.shard) if phase % BLOCKS == FORWARD else shape.groups


@inlined
def _partial(step, phase, number):
    """Return where the partial sums of a part lie in the workspace: (rows, padded)."""
    shape = step.shape
    most = max(shape.groups, -(-shape.hidden // shape.shard))
    return step.offsets.partials + (phase % 2 * most + number) * shape.rows * shape.padded


@inlined
def first_weights(step, phase, number):
    """The address of the weights that a part reads first."""
    shape, layer = step.shape, phase // BLOCKS
    column, outputs = columns.Q, shape.width // shape.groups
    if layer == shape.layers:
        column, outputs = columns.HEAD, PANEL
    elif phase % BLOCKS == FORWARD:
        column, outputs = columns.FC1, shape.shard
    elif phase % BLOCKS == CROSS:
        column = columns.CROSS_Q
    return at(step.w, step.plan[layer, column] + number * outputs // PANEL * panel_words(shape.width, shape.dtype))


@inlined
def _lay_out(step, x, rows, depth, words, scales):
    """Some rows, an Operand of offsets in the workspace, as products take them.

    Where the weights are bytes they become bytes. Many rows are laid side by side, in units [input][16]: 8 rows apart
    are 8 lines of the cache (a step of s2t-small, one core: 40 rows 11.1 -> 9.9 ms; 20 rows would lose, 5.2 -> 5.6).
    """
    workspace, chunks = step.workspace, -(-depth // CHUNK)
    if step.shape.dtype == INT8:
        for r in range(rows):
            target = at(workspace, words + r * (x.row // 4))
            quantize_row(at(workspace, x.address + r * x.row), depth, target, at(workspace, scales + r * chunks))
    elif rows >= MANY_ROWS:
        for r in range(0, rows, LANES):
            for d in range(0, depth, LANES):
                source = at(workspace, x.address + r * x.row + d)
                transpose(source, x.row, at(workspace, words + r * x.row + d * LANES))


@inlined
def _norm_of(step, phase):
    """The layer normalisation at the beginning of a phase."""
    layer, block = phase // BLOCKS, phase % BLOCKS
    column = columns.NORM_1 if block == SELF else columns.NORM_2 if block == CROSS else columns.NORM_3
    if layer == step.shape.layers:
        column = columns.FINAL_NORM
    return Norm(step.w, step.plan[layer, column], step.plan[layer, column + 1], step.shape.width)


@linked
def sum_partials(step: DecoderStep, part: Part, fresh: int):
    """The thread's stream as this phase finds it, and its normalised rows, for a share of them.

    `fresh`: 1 if the thread's own copy is that of the phase before.
    """
    shape, offsets, workspace, phase = step.shape, step.offsets, step.workspace, part.phase
    size, first, total = part.rows * shape.padded, part.row * shape.padded, shape.rows * shape.padded
    count = parts_of(shape, phase - 1) if phase else 0
    partials, normed = _partial(step, phase - 1, 0) + first, part.own + offsets.normed
    x = part.own + offsets.x + first
    before = x if fresh else offsets.stream + (phase + 1) % 2 * total + first
    for i in range(0, size, LANES):
        v = load(at(workspace, before + i))
        for j in range(count):
            v = v + load(at(workspace, partials + j * total + i))
        store(at(workspace, x + i), v)
    norm = _norm_of(step, phase)
    for row in range(0, size, shape.padded):
        normalize_row(skip(workspace, x + row), norm, skip(workspace, normed + row))
    words, scales = part.own + offsets.words, part.own + offsets.scales
    _lay_out(step, Operand(normed, shape.padded, 1), part.rows, shape.width, words, scales)


@inlined
def publish_residual(step, part):
    """Leave the share's stream of this phase where threads find it that did nothing in it."""
    shape = step.shape
    first, total = part.row * shape.padded, shape.rows * shape.padded
    published = step.offsets.stream + part.phase % 2 * total + first
    source = skip(step.workspace, part.own + step.offsets.x + first)
    copy_row(source, skip(step.workspace, published), part.rows * shape.padded)


@inlined
def _rows(step, rows, floats, words, scales, depth):
    """Rows in the workspace, laid out; floats: an Operand of offsets."""
    w, x = step.workspace, Operand(at(step.workspace, floats.address), floats.row, 1)
    if rows >= MANY_ROWS and step.shape.dtype != INT8:
        x = Operand(at(w, words), 1, LANES)
    return Rows(
        x,
        Operand(at(w, words), floats.row // 4, 1),
        Operand(at(w, scales), -(-depth // CHUNK), 1),
        LANES * floats.row,
    )


@inlined
def first_matrix(step, part, block, lower_bound, y):
    """Some outputs of a block's first matrix, from the normalised stream -> y, an Operand of addresses."""
    shape, own, zeros = step.shape, part.own, at(step.w, 0)
    offset, bias = step.plan[part.layer, block.column], step.plan[part.layer, block.column + 1]
    size, terms = panel_words(shape.width, shape.dtype), at(step.w, bias + block.first)
    scale, zero_point = move(terms, block.size), move(terms, 2 * block.size)
    weights, count = at(step.w, offset + block.first // PANEL * size), -(-block.count // PANEL)
    panel = Panel(weights, AHEAD, move(weights, count * size), terms, scale, zero_point, block.size, zeros)
    normed = Operand(own + step.offsets.normed, shape.padded, 1)
    x = _rows(step, part.rows, normed, own + step.offsets.words, own + step.offsets.scales, shape.width)
    panels = Panels(panel, count, size, PANEL)
    multiply_panels(shape.dtype, x, part.rows, shape.width, panels, Output(y, no_operand(zeros), lower_bound))


@inlined
def second_matrix(step, part, block, zero_point, x):
    """The partial sum of some inputs of a block's second matrix: rows x, an Operand of offsets.

    zero_point: the address of what the sums of these inputs begin with, where weights are bytes. The bias goes with the
    first inputs.
    """
    shape, offsets, own, zeros = step.shape, step.offsets, part.own, at(step.w, 0)
    words, scales = own + offsets.inner_words, own + offsets.inner_scales
    _lay_out(step, x, part.rows, block.count, words, scales)
    size, here = panel_words(block.size, shape.dtype), panel_words(block.count, shape.dtype)
    ahead = AHEAD if here > AHEAD else -(-AHEAD // here) * size  # within these inputs of a panel, or in a later one
    weights = at(step.w, step.plan[part.layer, block.column] + panel_words(block.first, shape.dtype))
    terms = at(step.w, step.plan[part.layer, block.column + 1])
    bias, bias_step = (zeros, 0) if block.first else (terms, PANEL)
    following, scale = move(weights, here), move(terms, shape.padded)  # the next part begins there
    panel = Panel(weights, ahead, following, bias, scale, zero_point, shape.padded, zeros)
    partial = _partial(step, part.phase, part.number) + part.row * shape.padded
    y = Operand(at(step.workspace, partial), shape.padded, LANES)
    panels, out = Panels(panel, shape.padded // PANEL, size, bias_step), Output(y, no_operand(zeros), NO_FLOOR)
    x = _rows(step, part.rows, x, words, scales, block.count)
    multiply_panels(shape.dtype, x, part.rows, block.count, panels, out)
