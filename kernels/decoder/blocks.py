"""The blocks of a decoder layer, and the vocabulary after the last, as a part of a step computes them (shards.py).

Matrices are multiplied with all rows of a share at once. Attention goes from utterance to utterance: each has a memory
and a cache of its own, which the table of asks tells (ask_columns.py). While one is computed, what the next will read
is prefetched.
"""

from typing import NamedTuple

import numpy as np

from ..build.device import inlined, linked
from ..layout import CHUNK, NO_FLOOR, PANEL, RELU
from ..ops.matrices import JUMP_LINES, panel_words, prefetch_lines
from ..ops.softmax import panel_highest, row_highest, row_shift
from ..simd.addresses import floats_at, words_at
from ..simd.copy import copy_row
from ..simd.operands import Operand
from ..simd.vector import LANES, at, move, prefetch, skip
from . import ask_columns as ask
from . import columns
from .attention import CrossHead, History, attend_cache, attend_memory
from .cross_kv import sizes
from .host import DecoderStep
from .shards import Block, Part, first_matrix, second_matrix


class Beams(NamedTuple):
    """The beams of an utterance that are in a share."""

    ask: int  # row of the table of asks
    first: int
    count: int  # 0 where the utterance is not in the share
    row: int  # row of the share that the first of them is


@inlined
def _beams_of(step, part, number):
    """The beams of utterance `number` in a part's share; none if there is no such utterance."""
    if number >= part.asks:
        return Beams(0, 0, 0, 0)
    row = step.asks[number, ask.FIRST_ROW]
    first = max(row, part.row)
    return Beams(
        number, first - row, min(row + step.asks[number, ask.BEAMS], part.row + part.rows) - first, first - part.row
    )


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
def _prefetch_history(step, part, beams, first, count):
    """Prefetch the rows of keys and values that beams will look at: no processor guesses where they lie."""
    here, width = step.asks[beams.ask], step.shape.width
    length, capacity, writers = here[ask.LENGTH], here[ask.CAPACITY], words_at(here[ask.ANCESTORS])
    keys, values = floats_at(here[ask.KEYS]), floats_at(here[ask.VALUES])
    for u in range(length + 1 if beams.count > 0 else 0):
        last = -1
        for k in range(beams.first, beams.first + beams.count):
            writer = writers[k * capacity + u] if u < length else k
            place = ((part.layer * capacity + u) * here[ask.BEAMS] + writer) * width + first
            for i in range(0, count if writer != last else 0, LANES):
                prefetch(at(keys, place + i))
                prefetch(at(values, place + i))
            last = writer


@inlined
def _scale(width):
    """1 / sqrt(D/H)."""
    return np.float32(1.0 / np.sqrt(width))


@inlined
def _extend_history(step, part, beams, first, count, new):
    """Copy new keys and values, rows of Operands of offsets, into the cache: `count` features from `first` on."""
    here, width, workspace = step.asks[beams.ask], step.shape.width, step.workspace
    start = (part.layer * here[ask.CAPACITY] + here[ask.LENGTH]) * here[ask.BEAMS] + beams.first
    for k in range(beams.count):
        place, row = (start + k) * width + first, (beams.row + k) * new.row
        copy_row(skip(workspace, new.address + row), skip(floats_at(here[ask.KEYS]), place), count)
        copy_row(skip(workspace, new.address + new.step + row), skip(floats_at(here[ask.VALUES]), place), count)


@inlined
def _attend_history(step, part, beams, first, count, q):
    """Attention of some beams over what they have written, for some heads; q: Operand of offsets."""
    here, shape, workspace = step.asks[beams.ask], step.shape, step.workspace
    width, capacity = shape.width // shape.heads, here[ask.CAPACITY]
    start, row = part.layer * capacity * here[ask.BEAMS] * shape.width + first, beams.row * q.row
    ancestors = skip(words_at(here[ask.ANCESTORS]), beams.first * capacity)
    mixed = part.own + step.offsets.mixed + row
    for f in range(0, count, width):
        past = History(
            skip(floats_at(here[ask.KEYS]), start + f),
            skip(floats_at(here[ask.VALUES]), start + f),
            ancestors,
            here[ask.BEAMS],
            shape.width,
            capacity,
            here[ask.LENGTH] + 1,
            width,
            _scale(width),
        )
        q_row, scores = skip(workspace, q.address + row + f), skip(workspace, q.step)
        attend_cache(past, beams.count, q_row, skip(workspace, mixed + f), q.row, scores)


@linked
def attend_to_text(step: DecoderStep, part: Part):
    """A part of attention over the text so far: some heads of all rows; their keys and values join the caches."""
    shape, workspace, d = step.shape, step.workspace, step.shape.width
    group, qkv = d // shape.groups, part.own + step.offsets.inner
    first, row = part.number * group, -(-group // PANEL) * PANEL
    size = part.rows * row
    following = _beams_of(step, part, 0)
    _prefetch_history(step, part, following, first, group)
    prefetch_lines(at(step.w, step.plan[part.layer, columns.OUT] + panel_words(first, shape.dtype)), JUMP_LINES)
    for i in range(3):
        y = Operand(at(workspace, qkv + i * size), row, LANES)
        first_matrix(step, part, Block(columns.Q + 2 * i, shape.padded, first, row), NO_FLOOR, y)
    for number in range(part.asks):
        beams, following = following, _beams_of(step, part, number + 1)
        _prefetch_history(step, part, following, first, group)
        if beams.count > 0:
            _extend_history(step, part, beams, first, group, Operand(qkv + size, row, size))
            _attend_history(step, part, beams, first, group, Operand(qkv, row, qkv + 3 * size))
    zero_point = _zero_point_of_heads(step, part, columns.OUT)
    mixed = Operand(part.own + step.offsets.mixed, row, 1)
    second_matrix(step, part, Block(columns.OUT, d, first, group), zero_point, mixed)


@inlined
def _head_of(step, part, number, feature):
    """Keys and values of an utterance's memory for the head that begins with a feature."""
    shape, here = step.shape, step.asks[number]
    width, positions = shape.width // shape.heads, here[ask.MEMORY_LENGTH]
    values, size = sizes(positions, width, shape.line)
    keys = at(floats_at(here[ask.MEMORY]), (part.layer * shape.heads + feature // width) * size)
    return CrossHead(keys, move(keys, values), positions, width, _scale(width), at(step.w, 0), shape.line)


@inlined
def _attend_memory(step, part, beams, first, count, q):
    """Attention of some beams over the memory of their utterance, for some heads; q: Operand of offsets."""
    workspace, width = step.workspace, step.shape.width // step.shape.heads
    row, result = beams.row * q.row, skip(workspace, q.step)
    for f in range(0, count, width):
        head, queries = (
            _head_of(step, part, beams.ask, first + f),
            Operand(at(workspace, q.address + row + f), q.row, 1),
        )
        attend_memory(queries, head, beams.count, result)
        for k in range(beams.count):
            target = skip(workspace, part.own + step.offsets.mixed + row + k * q.row + f)
            copy_row(skip(result, k * (-(-width // PANEL) * PANEL)), target, width)


@linked
def attend_to_sound(step: DecoderStep, part: Part):
    """A part of attention over the memory: some heads of all rows."""
    shape, workspace, d = step.shape, step.workspace, step.shape.width
    group, q = d // shape.groups, part.own + step.offsets.inner
    first, row = part.number * group, -(-group // PANEL) * PANEL
    block = Block(columns.CROSS_Q, shape.padded, first, row)
    first_matrix(step, part, block, NO_FLOOR, Operand(at(workspace, q), row, LANES))
    following = _beams_of(step, part, 0)
    weights = step.plan[part.layer, columns.CROSS_OUT] + panel_words(first, shape.dtype)
    prefetch_lines(_head_of(step, part, following.ask, first).keys, JUMP_LINES)
    prefetch_lines(at(step.w, weights), JUMP_LINES)
    for number in range(part.asks):
        beams, following = following, _beams_of(step, part, number + 1)
        if following.count > 0:
            prefetch_lines(_head_of(step, part, following.ask, first).keys, JUMP_LINES)
        if beams.count > 0:
            _attend_memory(step, part, beams, first, group, Operand(q, row, q + part.rows * row))
    zero_point = _zero_point_of_heads(step, part, columns.CROSS_OUT)
    mixed = Operand(part.own + step.offsets.mixed, row, 1)
    second_matrix(step, part, Block(columns.CROSS_OUT, d, first, group), zero_point, mixed)


@linked
def feed_forward(step: DecoderStep, part: Part):
    """A part of the feed-forward block: some hidden features."""
    shape, inner = step.shape, part.own + step.offsets.inner
    first, row = part.number * shape.shard, -(-min(shape.shard, shape.hidden) // PANEL) * PANEL
    count, outputs = min(shape.shard, shape.hidden - first), -(-shape.hidden // PANEL) * PANEL
    weights = step.plan[part.layer, columns.FC2] + panel_words(first, shape.dtype)
    prefetch_lines(at(step.w, weights), JUMP_LINES)
    y = Operand(at(step.workspace, inner), row, LANES)
    first_matrix(step, part, Block(columns.FC1, outputs, first, count), RELU, y)
    zero_point = at(step.w, step.plan[part.layer, columns.FC2 + 1] + (2 + first // CHUNK) * shape.padded)
    second_matrix(step, part, Block(columns.FC2, shape.hidden, first, count), zero_point, Operand(inner, row, 1))


@inlined
def _distribute_logits(step, part, rows, row):
    """Distribute 32 logits of all rows of a share to the tables of their utterances, each with its maximum."""
    v, o = step.shape.vocabulary, part.number * PANEL
    panels, count = -(-v // PANEL), min(PANEL, v - o)
    for number in range(part.asks):
        beams, all_beams = _beams_of(step, part, number), step.asks[number, ask.BEAMS]
        logits = floats_at(step.asks[number, ask.LOGITS])
        highest = skip(logits, all_beams * (v + 2) + part.number)
        for k in range(max(0, beams.count)):
            x, beam = (beams.row + k) * row, beams.first + k
            highest[beam * panels] = panel_highest(rows, x, count)
            target = skip(logits, beam * v + o)
            copy_row(skip(rows, x), target, count)


@linked
def project_to_vocabulary(step: DecoderStep, part: Part):
    """32 logits of all rows -> the tables of logits (K, V), with the maximum of each row's; see softmax.py."""
    rows = skip(step.workspace, part.own + step.offsets.inner)
    panels = -(-step.shape.vocabulary // PANEL) * PANEL
    block = Block(columns.HEAD, panels, part.number * PANEL, PANEL)
    first_matrix(step, part, block, NO_FLOOR, Operand(at(rows, 0), PANEL, LANES))
    _distribute_logits(step, part, rows, PANEL)


@linked
def find_peak(step: DecoderStep, row: int, asks: int):
    """Find the peak of one row's logits, for the search: the maximum, and log sum exp(x - maximum)."""
    number = 0
    while number + 1 < asks and step.asks[number + 1, ask.FIRST_ROW] <= row:
        number += 1
    beams, v, beam = step.asks[number, ask.BEAMS], step.shape.vocabulary, row - step.asks[number, ask.FIRST_ROW]
    logits = floats_at(step.asks[number, ask.LOGITS])
    panels, peaks = -(-v // PANEL), skip(logits, beams * v)
    top = row_highest(peaks, 2 * beams + beam * panels, panels)
    peaks[beam] = top
    peaks[beams + beam] = row_shift(logits, beam * v, v, top)
