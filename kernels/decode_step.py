"""One step of the decoder, all layers and beams, as one parallel kernel (readable twin: decoder.decoder_step).

A step reads every weight once and does little with it, so time is reading: each panel of weights is read by one thread
and used for all beams. The cache is the readable one: row `keys[l, u, k]` was written by beam k at position u, and
`ancestors[k, u]` says whose row beam k continues. Beams share most of their past, so the rows that any beam continues
are listed once a step (`_list_rows`), and attention looks at each of them once, beams in the lanes, with a mask that
hides a row from the beams that do not continue it.

Phases of a layer; between them threads wait for each other:

    norm, projections to queries, keys, values | attention | output projection added to the stream
    norm, projection to queries | attention over the memory | output projection added to the stream
    norm, first matrix with ReLU | second matrix added to the stream

then the final norm and the vocabulary projection.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from . import attention
from .attention import attend, collect_queries, spread_queries
from .jit import ARRAY, COMPILED, FLOAT, INT, inner, kernel, part
from .linear import NO_FLOOR, RELU, linear_panel
from .linear_int8 import linear_panel_int8
from .norm import normalize_row
from .pack import INT8, PANEL, PackedWeights, whole
from .quantize import CHUNK, quantize_row
from .threads import STATE, finish, get_threads, parallel, slot, take, wait
from .vector import LANES, at, load, move, store

PHASES = 8  # of a layer

# columns of the plan: weight and bias offsets of the parts of a decoder layer, in the order of its fields
NORM_1, Q, K, V, OUT, NORM_2, CROSS_Q, CROSS_K, CROSS_V, CROSS_OUT, NORM_3, FC1, FC2 = range(0, 26, 2)


class Shape(NamedTuple):
    """Sizes of a step."""

    beams: int  # K
    width: int  # D
    padded: int  # D in whole panels
    hidden: int  # F in whole panels
    heads: int  # H
    positions: int  # S
    length: int  # U, positions filled before this step
    capacity: int  # of the cache, in positions
    vocabulary: int  # V in whole panels
    inner: int  # F
    kind: int  # of the weights
    words: int  # of bytes in a row of quantised activations
    chunks: int  # scales of such a row
    scratch: int  # floats of scratch of a thread


class Buffers(NamedTuple):
    """What the phases hand on: rows of K beams."""

    x: np.ndarray  # (K, padded) the stream
    qkv: np.ndarray  # (3, K, padded) queries, keys, values
    mixed: np.ndarray  # (K, padded) what attention brings together
    hidden: np.ndarray  # (K, hidden)
    logits: np.ndarray  # (K, vocabulary)
    mask: np.ndarray  # (groups, rows, 16) 0 where the beam in that lane continues the row, else -inf
    scratch: np.ndarray  # (threads, scratch)


class Past(NamedTuple):
    """The cache, flat."""

    keys: np.ndarray  # (L, capacity, K, D)
    values: np.ndarray  # (L, capacity, K, D)


SHAPE = types.NamedUniTuple(INT, len(Shape._fields), Shape)
BUFFERS = types.NamedUniTuple(ARRAY, len(Buffers._fields), Buffers)
PAST = types.NamedUniTuple(ARRAY, len(Past._fields), Past)
INTEGERS = types.int64[::1]


@inner
def _list_rows(group, shape, ancestors, rows, mask):
    """The rows (position * K + writer) that the 16 beams of a group continue, behind their count; mask: who does."""
    first, last = group * LANES, min(shape.beams, group * LANES + LANES)
    most = (shape.length + 1) * LANES
    base, count = group * (most + 1), 0
    for u in range(shape.length + 1):
        begin = count
        for k in range(first, last):
            row = u * shape.beams + (ancestors[k * shape.capacity + u] if u < shape.length else k)
            i = begin
            while i < count and rows[base + 1 + i] != row:
                i += 1
            place = (group * most + i) * LANES
            if i == count:
                rows[base + 1 + i] = row
                mask[place : place + LANES] = -np.inf
                count += 1
            mask[place + k - first] = 0.0
    rows[base] = count


@part(
    types.void(
        *(
            STATE,
            INT,
            SHAPE,
            ARRAY,
            INTEGERS,
            INT,
            INT,
            INT,
            INT,
            INT,
            ARRAY,
            INT,
            types.boolean,
            FLOAT,
            ARRAY,
            BUFFERS,
            INT,
        )
    )
)
def stage(state, phase, shape, w, plan, norm, part, parts, outputs, depth, x, row, added, floor, y, buffers, own):
    """y = max(W x + b (+ y with `added`), floor) for all beams, an item for each panel of 32 outputs.

    With norm >= 0, that part of the plan is applied to x first. `parts` matrices that follow in the plan write one y
    (K, outputs) behind the other.
    """
    panels = outputs // PANEL
    item, source = take(state, phase), at(x, 0)
    words = own + shape.beams * shape.padded
    scales = words + shape.beams * shape.words
    if item < parts * panels:  # only now is the scratch memory this call's own: a late helper finds no item
        if norm >= 0:
            source = at(buffers.scratch, own)
            for k in range(shape.beams):
                place = k * row
                normalize_row(x, place, depth, w, plan[norm], plan[norm + 1], buffers.scratch, own + place)
        if shape.kind == INT8:
            for k in range(shape.beams):
                bytes_at, scales_at = words + k * shape.words, scales + k * shape.chunks
                quantize_row(
                    move(source, k * row), depth, at(buffers.scratch, bytes_at), at(buffers.scratch, scales_at)
                )
    while item < parts * panels:
        here, p = part + item // panels * 2, item % panels * PANEL
        target = (at(y, item // panels * shape.beams * outputs + p), outputs, LANES)
        sums = target if added else (at(w, 0), 0, 0)
        if shape.kind == INT8:
            linear_panel_int8(
                (at(buffers.scratch, words), shape.words, 1),
                (at(buffers.scratch, scales), shape.chunks, 1),
                shape.beams,
                depth,
                at(w, plan[here] + p * ((depth + 3) // 4)),
                (at(w, plan[here + 1] + p), outputs),
                at(w, 0),
                sums,
                floor,
                target,
            )
        else:
            weight, bias = at(w, plan[here] + p * depth), at(w, plan[here + 1] + p)
            linear_panel((source, row, 1), shape.beams, depth, weight, bias, at(w, 0), sums, floor, target)
        finish(state, phase)
        item = take(state, phase)
    wait(state, phase, parts * panels)


@inner
def _copy(source, start, target, to, width):
    whole = width - width % LANES
    for i in range(0, whole, LANES):
        store(at(target, to + i), load(at(source, start + i)))
    for i in range(whole, width):
        target[to + i] = source[start + i]


@inner
def _remember(layer, head, width, group, shape, past, rows, qkv, gathered, to):
    """Write one head of the new keys and values of a group's beams into the cache; gather all rows they continue.

    gathered[to:] gets keys, then values, (rows, width) each. Returns the number of rows.
    """
    first, last = group * LANES, min(shape.beams, group * LANES + LANES)
    base, size = layer * shape.capacity * shape.beams, shape.beams * shape.padded
    for k in range(first, last):
        place = (base + shape.length * shape.beams + k) * shape.width + head
        _copy(qkv, size + k * shape.padded + head, past.keys, place, width)
        _copy(qkv, 2 * size + k * shape.padded + head, past.values, place, width)
    start = group * ((shape.length + 1) * LANES + 1)
    count = rows[start]
    for i in range(count):
        place = (base + rows[start + 1 + i]) * shape.width + head
        _copy(past.keys, place, gathered, to + i * width, width)
        _copy(past.values, place, gathered, to + (count + i) * width, width)
    return count


@part(types.void(STATE, INT, INT, SHAPE, ARRAY, PAST, INTEGERS, INTEGERS, BUFFERS, INT))
def attention_stage(state, phase, layer, shape, w, past, cross, rows, buffers, own):
    """Attention of all beams: over the cache, or with `cross` over the memory.

    An item is one head of up to 16 beams.
    """
    width, groups = shape.width // shape.heads, -(-shape.beams // LANES)
    queries, mixed, rest = own, own + LANES * width, own + 2 * LANES * width
    gathered, zeros = rest + attention.SCRATCH, at(w, 0)
    item = take(state, phase)
    while item < shape.heads * groups:
        head, group = item // groups * width, item % groups
        here, start = min(LANES, shape.beams - group * LANES), group * LANES * shape.padded + head
        spread_queries(buffers.qkv, start, shape.padded, here, width, buffers.scratch, queries)
        if len(cross):
            count, step, inside = shape.positions, shape.width, head
            keys, values = move(cross[2 * layer], head), cross[2 * layer + 1]
            mask = (zeros, 0, 0)
        else:
            count = _remember(layer, head, width, group, shape, past, rows, buffers.qkv, buffers.scratch, gathered)
            step, inside = width, 0
            keys, values = at(buffers.scratch, gathered), at(buffers.scratch, gathered + count * width)
            mask = (at(buffers.mask, group * (shape.length + 1) * LANES * LANES), LANES, LANES)
        attend(
            (at(buffers.scratch, queries), LANES, LANES),
            (keys, step, 1, step * LANES),
            (values, step, LANES),
            mask,
            count,
            inside,
            width,
            1,
            np.float32(1.0 / np.sqrt(width)),
            zeros,
            at(buffers.scratch, rest),
            (at(buffers.scratch, mixed), LANES, LANES),
        )
        collect_queries(buffers.scratch, mixed, here, width, buffers.mixed, start, shape.padded)
        finish(state, phase)
        item = take(state, phase)
    wait(state, phase, shape.heads * groups)


@kernel(types.void(STATE, SHAPE, ARRAY, types.int64[:, ::1], PAST, INTEGERS, INTEGERS, INTEGERS, BUFFERS))
def decoder_layers(state, shape, w, plan, past, ancestors, cross, rows, buffers):
    """From the embedded tokens in buffers.x to buffers.logits; the cache gets its new rows.

    ancestors (K, capacity); cross (L, 2) addresses of keys and values (S, D); rows: room for `_list_rows`.
    """
    own, groups, none = slot(state) * shape.scratch, -(-shape.beams // LANES), cross[:0]
    group = take(state, 0)
    while group < groups:
        _list_rows(group, shape, ancestors, rows, buffers.mask)
        finish(state, 0)
        group = take(state, 0)
    wait(state, 0, groups)
    x, mixed, hidden, d, dd = buffers.x, buffers.mixed, buffers.hidden, shape.width, shape.padded
    for layer in range(len(plan) - 1):
        p, first = plan[layer], 1 + PHASES * layer
        stage(state, first, shape, w, p, NORM_1, Q, 3, dd, d, x, dd, False, NO_FLOOR, buffers.qkv, buffers, own)
        attention_stage(state, first + 1, layer, shape, w, past, none, rows, buffers, own)
        stage(state, first + 2, shape, w, p, -1, OUT, 1, dd, d, mixed, dd, True, NO_FLOOR, x, buffers, own)
        stage(
            state, first + 3, shape, w, p, NORM_2, CROSS_Q, 1, dd, d, x, dd, False, NO_FLOOR, buffers.qkv, buffers, own
        )
        attention_stage(state, first + 4, layer, shape, w, past, cross, rows, buffers, own)
        stage(state, first + 5, shape, w, p, -1, CROSS_OUT, 1, dd, d, mixed, dd, True, NO_FLOOR, x, buffers, own)
        stage(state, first + 6, shape, w, p, NORM_3, FC1, 1, shape.hidden, d, x, dd, False, RELU, hidden, buffers, own)
        stage(
            state,
            first + 7,
            shape,
            w,
            p,
            -1,
            FC2,
            1,
            dd,
            shape.inner,
            hidden,
            shape.hidden,
            True,
            NO_FLOOR,
            x,
            buffers,
            own,
        )
    last, p = PHASES * (len(plan) - 1) + 1, plan[len(plan) - 1]
    stage(state, last, shape, w, p, 0, 2, 1, shape.vocabulary, d, x, dd, False, NO_FLOOR, buffers.logits, buffers, own)


def _addresses(arrays: list[np.ndarray]):
    """Where arrays begin, as kernels take it: (count,) int64, or without compilation the flat arrays themselves."""
    if not COMPILED:
        return [x.reshape(-1) for x in arrays]
    return np.array([x.__array_interface__["data"][0] for x in arrays], np.int64)


def step(x: np.ndarray, w: PackedWeights, hidden: int, heads: int, cache) -> np.ndarray:
    """Embedded tokens (K, D) -> logits (K, V); the cache, which has room, gets its row of keys and values.

    cache: as decoder.DecoderCache, with ancestors of the new position not needed.
    """
    (beams, width), (_, capacity, _, _) = x.shape, cache.keys.shape
    padded, vocabulary, groups = whole(width), whole(w.lm_head.outputs), -(-beams // LANES)
    room = (cache.length + 1) * LANES  # rows that a group of beams may continue, at most
    head = width // heads
    words, chunks = whole(max(width, hidden)) // 4, -(-max(width, hidden) // CHUNK)
    scratch = max(beams * (padded + words + chunks), attention.SCRATCH + 2 * LANES * head + 2 * room * head)
    positions = len(cache.cross[0].k) if cache.cross else 0
    sizes = (padded, whole(hidden), heads, positions, cache.length, capacity, vocabulary, hidden, w.lm_head.kind)
    shape = Shape(beams, width, *sizes, words, chunks, scratch)
    sizes = (beams * padded, 3 * beams * padded, beams * padded, beams * whole(hidden), beams * vocabulary)
    buffers = Buffers(*(np.empty(n, np.float32) for n in (*sizes, groups * room * LANES, get_threads() * scratch)))
    buffers.x.reshape(beams, padded)[:, :width] = x
    past = Past(cache.keys.reshape(-1), cache.values.reshape(-1))
    rows = np.empty(groups * (room + 1), np.int64)
    phases = PHASES * len(cache.cross) + 2
    cross = [np.ascontiguousarray(x, np.float32) for pair in cache.cross for x in pair]  # kept until the call is over
    arena, ancestors = w.lm_head.arena, cache.ancestors.reshape(-1)
    parallel(decoder_layers, phases, shape, arena, w.decoder.plan, past, ancestors, _addresses(cross), rows, buffers)
    return buffers.logits.reshape(beams, vocabulary)[:, : w.lm_head.outputs]
