"""One step of the decoder, all layers and beams, as one parallel kernel (readable twin: decoder.decoder_step).

A step reads every weight once and does little with it, so time is reading: each panel of weights is read by one thread
and used for all beams. The cache is the readable one: row `keys[l, u, k]` was written by beam k at position u, and
`ancestors[k, u]` says whose row beam k continues.
Phases of a layer; between them threads wait for each other:

    norm, projections to queries, keys, values | attention | output projection added to the stream
    norm, projection to queries | attention over the memory | output projection added to the stream
    norm, first matrix with ReLU | second matrix added to the stream

then the final norm and the vocabulary projection.
"""

from typing import NamedTuple

import numpy as np

from .beams import INTEGERS, attend_beams, copy_row, list_rows, remember
from .jit import ARRAY, COMPILED, FLOAT, INT, kernel, part
from .late import types
from .linear import NO_FLOOR, RELU, linear_panel
from .linear_int8 import linear_panel_int8
from .norm import normalize_row
from .pack import INT8, PANEL, PackedWeights, whole
from .quantize import CHUNK, quantize_row
from .threads import STATE, finish, get_threads, parallel, slot, take, wait
from .vector import LANES, at, move

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
    memory: int  # S in whole panels: row length of the memory's transposed keys
    length: int  # U, positions filled before this step
    capacity: int  # of the cache, in positions
    vocabulary: int  # V in whole panels
    inner: int  # F
    room: int  # keys in whole panels, of the cache or of the memory: row length of scores
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
    mask: np.ndarray  # (K, room) 0 where the beam continues the row of the cache, else -inf
    scratch: np.ndarray  # (threads, scratch)


class Past(NamedTuple):
    """The cache, flat."""

    keys: np.ndarray  # (L, capacity, K, D)
    values: np.ndarray  # (L, capacity, K, D)


SHAPE = types.NamedUniTuple(INT, len(Shape._fields), Shape)
BUFFERS = types.NamedUniTuple(ARRAY, len(Buffers._fields), Buffers)
PAST = types.NamedUniTuple(ARRAY, len(Past._fields), Past)


STAGE = types.void(
    STATE, INT, SHAPE, ARRAY, INTEGERS, *(INT,) * 5, ARRAY, INT, types.boolean, FLOAT, ARRAY, BUFFERS, INT
)


@part(STAGE)
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


@part(types.void(STATE, INT, INT, SHAPE, ARRAY, PAST, INTEGERS, INTEGERS, BUFFERS, INT))
def attention_stage(state, phase, layer, shape, w, past, cross, rows, buffers, own):
    """Attention of all beams: over the cache, or with `cross` over the memory. An item is one head."""
    width, stride, zeros = shape.width // shape.heads, shape.room, at(w, 0)
    panel = -(-width // PANEL) * PANEL
    mixed = own + shape.beams * stride
    gathered = mixed + shape.beams * panel
    item = take(state, phase)
    while item < shape.heads:
        head = item * width
        if len(cross):
            count, step, row, mask = shape.positions, shape.memory, shape.width, (zeros, 0)
            keys, values = move(cross[2 * layer], head * step), move(cross[2 * layer + 1], head)
        else:
            base, count, step, row, mask = (
                layer * shape.capacity * shape.beams,
                rows[0],
                stride,
                panel,
                (at(buffers.mask, 0), stride),
            )
            here = base + shape.length * shape.beams
            remember(
                *(base, here, head, width, shape.beams, shape.width, shape.padded),
                *(past.keys, past.values, rows, buffers.qkv, buffers.scratch, gathered, stride),
            )
            keys, values = at(buffers.scratch, gathered), at(buffers.scratch, gathered + width * stride)
        attend_beams(
            (at(buffers.qkv, head), shape.padded),
            (keys, step),
            (values, row),
            mask,
            shape.beams,
            count,
            width,
            np.float32(1.0 / np.sqrt(width)),
            zeros,
            (at(buffers.scratch, own), stride),
            (at(buffers.scratch, mixed), panel),
        )
        for k in range(shape.beams):
            copy_row(buffers.scratch, mixed + k * panel, buffers.mixed, k * shape.padded + head, width)
        finish(state, phase)
        item = take(state, phase)
    wait(state, phase, shape.heads)


@kernel(types.void(STATE, SHAPE, ARRAY, types.int64[:, ::1], PAST, INTEGERS, INTEGERS, INTEGERS, BUFFERS))
def decoder_layers(state, shape, w, plan, past, ancestors, cross, rows, buffers):
    """From the embedded tokens in buffers.x to buffers.logits; the cache gets its new rows.

    ancestors (K, capacity); cross (L, 2) addresses of keys (D, memory) and values (S, D); rows: room for `list_rows`.
    """
    own, none = slot(state) * shape.scratch, cross[:0]
    if take(state, 0) == 0:
        list_rows(shape.beams, shape.length, shape.capacity, ancestors, rows, buffers.mask, shape.room)
        finish(state, 0)
    wait(state, 0, 1)
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


def _transposed(k: np.ndarray) -> np.ndarray:
    """Keys (S, D) as (D, S) in whole panels, which is how `rows.linear` lays out what k_proj of the memory gives."""
    if k.dtype == np.float32 and k.strides[0] == 4 and k.strides[1] % (4 * PANEL) == 0:
        return k.T
    padded = np.zeros((k.shape[1], whole(len(k))), np.float32)
    padded[:, : len(k)] = k.T
    return padded


def _readable(v: np.ndarray, head: int) -> np.ndarray:
    """Values (S, D) whose heads can be read 16 features at a time."""
    if head % LANES == 0:
        return np.ascontiguousarray(v, np.float32)
    padded = np.zeros((len(v) + 1, v.shape[1]), np.float32)
    padded[:-1] = v
    return padded


def _memory(cross, head: int) -> list[np.ndarray]:
    """Keys and values of the memory, layer by layer, as the kernel reads them; no copies where ours made them."""
    return [x for pair in cross for x in (_transposed(pair.k), _readable(pair.v, head))]


def step(x: np.ndarray, w: PackedWeights, hidden: int, heads: int, cache) -> np.ndarray:
    """Embedded tokens (K, D) -> logits (K, V); the cache, which has room, gets its row of keys and values.

    cache: as decoder.DecoderCache, with ancestors of the new position not needed.
    """
    (beams, width), (_, capacity, _, _) = x.shape, cache.keys.shape
    padded, vocabulary, head = whole(width), whole(w.lm_head.outputs), width // heads
    cross = _memory(cache.cross, head)  # kept until the call is over
    positions, memory = (len(cache.cross[0].k), cross[0].strides[0] // 4) if cross else (0, 0)
    room = whole(max((cache.length + 1) * beams, positions))
    words, chunks = whole(max(width, hidden)) // 4, -(-max(width, hidden) // CHUNK)
    attending = beams * (room + whole(head)) + head * room + (cache.length + 1) * beams * whole(head)
    scratch = max(beams * (padded + words + chunks), attending)
    sizes = (padded, whole(hidden), heads, positions, memory, cache.length, capacity, vocabulary, hidden)
    shape = Shape(beams, width, *sizes, room, w.lm_head.kind, words, chunks, scratch)
    sizes = (padded, 3 * padded, padded, whole(hidden), vocabulary, room)
    buffers = Buffers(*(np.empty(beams * n, np.float32) for n in sizes), np.empty(get_threads() * scratch, np.float32))
    buffers.x.reshape(beams, padded)[:, :width] = x
    past = Past(cache.keys.reshape(-1), cache.values.reshape(-1))
    rows, ancestors = np.empty((cache.length + 1) * beams + 1, np.int64), cache.ancestors.reshape(-1)
    arguments = (shape, w.lm_head.arena, w.decoder.plan, past, ancestors, _addresses(cross), rows, buffers)
    parallel(decoder_layers, PHASES * len(cache.cross) + 2, *arguments)
    return buffers.logits.reshape(beams, vocabulary)[:, : w.lm_head.outputs]
