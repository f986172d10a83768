"""The blocks of a decoder layer as a step computes them, in parts that know nothing of each other.

Each block (attention over the text, attention over the memory, feed-forward) has a first matrix, something in between
and a second matrix. A part takes some outputs of the first, finishes what lies between (whole heads, or some of the
hidden features), and multiplies it with those inputs of the second that belong to it. What comes out is the part's
share of what the block adds to the stream; nobody waits for anybody within a block. The next block begins by adding
the shares up, in their order, so that sums are the same bits whoever computed which. (Shoeybi et al. 2019, Megatron-LM,
arXiv 1909.08053, section 3, cut blocks so between processors.)

    a part of attention      some heads, whose features fill whole panels (`groups`)
    a part of feed-forward   some hundred hidden features (`shard`)
    a part of the end        32 logits

Every participant has the stream to itself, and brings it up to date when it has something to do in a block
(`follow_stream`); one that sat out finds it, one block old, where the one that took the first part left it.
"""

import numpy as np

from ..build.arguments import Floats, Words
from ..build.device import inlined, linked
from ..layout import CHUNK, INT8, NO_FLOOR, PANEL, RELU
from ..ops.gemm import AHEAD
from ..ops.gemm_panel import LINES, ask, multiply_segment, panel_words
from ..ops.norm import normalize_row
from ..ops.quantize import quantize_row
from ..ops.softmax import panel_highest, row_highest, row_shift
from ..simd.vector import LANES, at, load, move, prefetch, store
from ..weights.pack import CROSS_OUT, CROSS_Q, FC1, FC2, NORM_1, NORM_2, NORM_3, OUT, DecoderPlan, Q
from . import cross_kv
from .attention import attend_cache, attend_memory, copy_row
from .host import BLOCKS, CROSS, FORWARD, SELF, Places, Shape

LAST_NORM, HEAD = 0, 2  # columns of the plan's last row; those of layers are in pack.py


@inlined
def parts_of(phase, shape):
    """How many parts a phase has: three blocks a layer, then the vocabulary, then rows of logits."""
    if phase >= BLOCKS * shape.layers:
        return -(-shape.vocabulary // PANEL) if phase == BLOCKS * shape.layers else shape.beams
    return -(-shape.hidden // shape.shard) if phase % BLOCKS == FORWARD else shape.groups


@inlined
def share_of(phase, number, shape, places):
    """Where a part's share of what a block adds lies: (K, padded)."""
    most = max(shape.groups, -(-shape.hidden // shape.shard))
    return places.shares + (phase % 2 * most + number) * shape.beams * shape.padded


@inlined
def first_weights(phase, shape, plan, me):
    """The offset of the weights that a participant reads first in a phase."""
    layer, column, outputs = phase // BLOCKS, Q, shape.width // shape.groups
    if layer == shape.layers:
        column, outputs = HEAD, PANEL
    elif phase % BLOCKS == FORWARD:
        column, outputs = FC1, shape.shard
    elif phase % BLOCKS == CROSS:
        column = CROSS_Q
    first = parts_of(phase, shape) * me // shape.threads * outputs
    return plan[layer, column] + first // PANEL * panel_words(shape.width, shape.kind)


@inlined
def _quantize(shape, room, x, row, depth, words, scales):
    """Rows of K beams as bytes, where the weights are."""
    if shape.kind == INT8:
        for k in range(shape.beams):
            target, scale = words + k * (row // 4), scales + k * -(-depth // CHUNK)
            quantize_row(at(room, x + k * row), depth, at(room, target), at(room, scale))


@linked
def follow_stream(
    phase: int, seen: int, shape: Shape, places: Places, w: Floats, plan: DecoderPlan, room: Floats, own: int
):
    """The participant's own stream as this phase finds it, and its normalised rows; `seen`: the phase it knows."""
    block, size = phase % BLOCKS, shape.beams * shape.padded
    shares, count = share_of(phase - 1, 0, shape, places), parts_of(phase - 1, shape) if phase else 0
    x, normed = own + places.x, own + places.normed
    before = x if seen == phase - 1 and phase else places.stream + (phase + 1) % 2 * size
    for i in range(0, size, LANES):
        v = load(at(room, before + i))
        for j in range(count):
            v = v + load(at(room, shares + j * size + i))
        store(at(room, x + i), v)
    layer = phase // BLOCKS
    norm = LAST_NORM if layer == shape.layers else NORM_1 if block == SELF else NORM_2 if block == CROSS else NORM_3
    for k in range(shape.beams):
        row = k * shape.padded
        normalize_row(room, x + row, shape.width, w, plan[layer, norm], plan[layer, norm + 1], room, normed + row)
    _quantize(shape, room, normed, shape.padded, shape.width, own + places.words, own + places.scales)


@inlined
def leave_stream(phase, shape, places, room, own):
    """The stream of this phase to all: what whoever takes its first part owes to those who join later."""
    size = shape.beams * shape.padded
    copy_row(room, own + places.x, room, places.stream + phase % 2 * size, size)


@inlined
def _first_matrix(shape, places, w, plan, layer, column, outputs, first, count, floor, room, own, y, row):
    """`count` outputs from `first` on, of a matrix's `outputs` in whole panels: -> room[y:], rows apart by `row`."""
    size, chunks = panel_words(shape.width, shape.kind), -(-shape.width // CHUNK)
    bias, zeros = at(w, plan[layer, column + 1] + first), at(w, 0)
    multiply_segment(
        shape.kind,
        (at(room, own + places.normed), shape.padded, 1),
        (at(room, own + places.words), shape.padded // 4, 1),
        (at(room, own + places.scales), chunks, 1),
        *(shape.beams, shape.width, (at(w, plan[layer, column] + first // PANEL * size), AHEAD, size)),
        (bias, move(bias, outputs), move(bias, 2 * outputs), outputs, PANEL),
        *(zeros, (zeros, 0, 0), floor, (at(room, y), row, LANES), -(-count // PANEL)),
    )


@inlined
def _second_matrix(shape, places, w, plan, layer, column, inputs, first, count, comp, room, own, x, row, y):
    """The share of `count` inputs from `first` on, of a matrix's `inputs`: rows at room[x:] -> room[y:] (K, padded).

    comp: address of what the sums of these inputs begin with, where weights are bytes. The bias goes with the first.
    """
    _quantize(shape, room, x, row, count, own + places.inner_words, own + places.inner_scales)
    size, here = panel_words(inputs, shape.kind), panel_words(count, shape.kind)
    ahead = AHEAD if here > AHEAD else -(-AHEAD // here) * size  # within these inputs of a panel, or in a later one
    bias, zeros = at(w, plan[layer, column + 1]), at(w, 0)
    start, step = (zeros, 0) if first else (bias, PANEL)
    multiply_segment(
        shape.kind,
        (at(room, x), row, 1),
        (at(room, own + places.inner_words), row // 4, 1),
        (at(room, own + places.inner_scales), -(-count // CHUNK), 1),
        *(shape.beams, count, (at(w, plan[layer, column] + panel_words(first, shape.kind)), ahead, size)),
        (start, move(bias, shape.padded), comp, shape.padded, step),
        *(zeros, (zeros, 0, 0), NO_FLOOR, (at(room, y), shape.padded, LANES), shape.padded // PANEL),
    )


@inlined
def _comp(shape, places, w, plan, layer, column, segments, number):
    """Where the comp of a group of heads begins: groups that are all of the inputs have that of the matrix."""
    if shape.groups == 1:
        return at(w, plan[layer, column + 1] + 2 * shape.padded)
    which = 2 * layer + (1 if column == CROSS_OUT else 0)
    return at(segments, (which * shape.groups + number) * shape.padded)


@inlined
def _ask_for_history(shape, layer, first, count, keys, values, ancestors, length):
    """Ask for the rows of keys and values that beams will look at: no processor guesses where they lie."""
    for u in range(length + 1):
        last = -1
        for k in range(shape.beams):
            writer = ancestors[k * shape.capacity + u] if u < length else k
            place = ((layer * shape.capacity + u) * shape.beams + writer) * shape.width + first
            for i in range(0, count if writer != last else 0, LANES):
                prefetch(at(keys, place + i))
                prefetch(at(values, place + i))
            last = writer


@linked
def attend_to_text(
    phase: int,
    layer: int,
    number: int,
    shape: Shape,
    places: Places,
    w: Floats,
    plan: DecoderPlan,
    segments: Floats,
    keys: Floats,
    values: Floats,
    ancestors: Words,
    length: int,
    room: Floats,
    own: int,
):
    """A part of attention over the text so far: some heads of all beams; their keys and values join the cache."""
    d, beams, group, width = shape.width, shape.beams, shape.width // shape.groups, shape.width // shape.heads
    first, row = number * group, -(-group // PANEL) * PANEL
    qkv, mixed, size = own + places.inner, own + places.mixed, beams * row
    _ask_for_history(shape, layer, first, group, keys, values, ancestors, length)
    ask(at(w, plan[layer, OUT] + panel_words(first, shape.kind)), LINES)
    for i in range(3):
        _first_matrix(
            shape, places, w, plan, layer, Q + 2 * i, shape.padded, first, row, NO_FLOOR, room, own, qkv + i * size, row
        )
    start = layer * shape.capacity * beams * d + first
    for k in range(beams):
        copy_row(room, qkv + size + k * row, keys, start + (length * beams + k) * d, group)
        copy_row(room, qkv + 2 * size + k * row, values, start + (length * beams + k) * d, group)
    apart = -(-(length + 1) // LANES) * LANES
    for f in range(0, group, width):
        attend_cache(
            *(room, qkv + f, row, keys, values, start + f, beams, d, ancestors, shape.capacity),
            *(length + 1, width, np.float32(1.0 / np.sqrt(width)), qkv + 3 * size, mixed + f, apart),
        )
    comp, share = _comp(shape, places, w, plan, layer, OUT, segments, number), share_of(phase, number, shape, places)
    _second_matrix(shape, places, w, plan, layer, OUT, d, first, group, comp, room, own, mixed, row, share)


@linked
def attend_to_sound(
    phase: int,
    layer: int,
    number: int,
    shape: Shape,
    places: Places,
    w: Floats,
    plan: DecoderPlan,
    segments: Floats,
    cross: Floats,
    room: Floats,
    own: int,
):
    """A part of attention over the memory: some heads of all beams."""
    d, beams, group, width = shape.width, shape.beams, shape.width // shape.groups, shape.width // shape.heads
    first, row = number * group, -(-group // PANEL) * PANEL
    q, mixed = own + places.inner, own + places.mixed
    _first_matrix(shape, places, w, plan, layer, CROSS_Q, shape.padded, first, row, NO_FLOOR, room, own, q, row)
    after, (values, size) = q + beams * row, cross_kv.sizes(shape.positions, width)
    ask(at(cross, (layer * shape.heads + first // width) * size), LINES)
    ask(at(w, plan[layer, CROSS_OUT] + panel_words(first, shape.kind)), LINES)
    for f in range(0, group, width):
        block = (layer * shape.heads + (first + f) // width) * size
        attend_memory(
            *((at(room, q + f), row), at(cross, block), at(cross, block + values)),
            *(beams, shape.positions, width, np.float32(1.0 / np.sqrt(width)), at(w, 0), room, after),
        )
        for k in range(beams):
            copy_row(room, after + k * (-(-width // PANEL) * PANEL), room, mixed + k * row + f, width)
    comp = _comp(shape, places, w, plan, layer, CROSS_OUT, segments, number)
    share = share_of(phase, number, shape, places)
    _second_matrix(shape, places, w, plan, layer, CROSS_OUT, d, first, group, comp, room, own, mixed, row, share)


@linked
def feed_forward(
    phase: int,
    layer: int,
    number: int,
    shape: Shape,
    places: Places,
    w: Floats,
    plan: DecoderPlan,
    room: Floats,
    own: int,
):
    """A part of the feed-forward block: some hidden features."""
    first, row = number * shape.shard, -(-min(shape.shard, shape.hidden) // PANEL) * PANEL
    here, outputs = min(shape.shard, shape.hidden - first), -(-shape.hidden // PANEL) * PANEL
    inside, share = own + places.inner, share_of(phase, number, shape, places)
    ask(at(w, plan[layer, FC2] + panel_words(first, shape.kind)), LINES)
    _first_matrix(shape, places, w, plan, layer, FC1, outputs, first, here, RELU, room, own, inside, row)
    comp = at(w, plan[layer, FC2 + 1] + (2 + first // CHUNK) * shape.padded)
    _second_matrix(shape, places, w, plan, layer, FC2, shape.hidden, first, here, comp, room, own, inside, row, share)


@linked
def project_to_vocabulary(
    number: int, shape: Shape, places: Places, w: Floats, plan: DecoderPlan, room: Floats, own: int, logits: int
):
    """32 logits of all beams -> room[logits:] (K, V), wherever that is, and the maximum of each beam's."""
    panels, o, here = -(-shape.vocabulary // PANEL), number * PANEL, min(PANEL, shape.vocabulary - number * PANEL)
    highest, whole = places.peaks + 2 * shape.beams + number, here == PANEL
    y, row = (logits + o, shape.vocabulary) if whole else (own + places.inner, PANEL)
    _first_matrix(shape, places, w, plan, shape.layers, HEAD, panels * PANEL, o, PANEL, NO_FLOOR, room, own, y, row)
    for k in range(shape.beams):
        room[highest + k * panels] = panel_highest(room, y + k * row, here)
        if not whole:
            for i in range(here):
                room[logits + k * shape.vocabulary + o + i] = room[y + k * PANEL + i]


@linked
def find_peak(row: int, shape: Shape, places: Places, room: Floats, logits: int):
    """What is known of one beam's logits: the maximum, and log sum exp(x - maximum)."""
    panels = -(-shape.vocabulary // PANEL)
    top = row_highest(room, places.peaks + 2 * shape.beams + row * panels, panels)
    room[places.peaks + row] = top
    room[places.peaks + shape.beams + row] = row_shift(room, logits + row * shape.vocabulary, shape.vocabulary, top)
