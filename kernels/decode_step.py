"""One step of the decoder, all layers and beams, as one parallel kernel (readable twin: decoder.decoder_step).

A step reads every weight once and does little with it, so time is reading: each panel of weights is read by one thread
and used for all beams. The cache is the readable one: row `keys[l, u, k]` was written by beam k at position u, and
`ancestors[k, u]` says whose row beam k continues; what it looks at in the memory is in memory.py.

The step is a program, a table with a row for each phase (`program`); between phases threads wait for each other:

    norm, projections to queries, keys, values | attention | output projection added to the stream
    norm, projection to queries | attention over the memory | output projection added to the stream
    norm, first matrix with ReLU | second matrix added to the stream

for each layer, then the final norm and the vocabulary projection.

Versions (s2t-small, 5 beams, position 16, memory 250, two cores that read 57 GB/s together, so 0.8 ms for 45 MB; one
call of the kernel): panels one by one to whoever comes, heads read across rows 1.61 ms; heads in one piece, histories
read where they lie, panels to threads in memory order 1.23; helpers awake between steps 1.08. In bytes, likewise: 0.67,
0.60; rows quantised by whole vectors 0.51; first lines of the next product and terms asked for early 0.46. Asking for
every line of weights lost a third: such requests are fewer at a time than those the processor makes by itself.

The first steps of an utterance are slower: 2.7, 2.5, 1.9, 1.4 ms, then 1.16, in bytes 0.84, 0.8, then 0.52. While the
encoder ran (or nothing did, for 35 ms) others on the machine seem to have taken the shared cache: weights come from
memory, at 19 GB/s instead of 48; numpy's reading of them takes the same course. Reading them once beforehand does not
help: they are kept only after several times.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from . import memory
from .beams import attend_cache, attend_memory, copy_row, memory_scratch
from .jit import ARRAY, INT, inner, kernel, part
from .late import types
from .linear import NO_FLOOR, RELU
from .norm import normalize_row
from .pack import INT8, PANEL, PackedWeights, whole
from .panel import multiply_panel, panel_words
from .quantize import CHUNK, quantize_row
from .threads import NUMBERS, STATE, Session, await_turn, get_threads, next_turn, slot, take_near, wait_near
from .vector import LANES, at

# columns of the plan: weight and bias offsets of the parts of a decoder layer, in the order of its fields
NORM_1, Q, K, V, OUT, NORM_2, CROSS_Q, CROSS_K, CROSS_V, CROSS_OUT, NORM_3, FC1, FC2 = range(0, 26, 2)

# columns of the program. A product: y (K, outputs) from x (K, inputs), both places in `room`; `parts` matrices of one
# shape, `apart` words from one to the next, write one y behind the other. Attention: only WHAT and LAYER count.
WHAT, LAYER, X, X_ROW, INPUTS, Y, OUTPUTS, NORM, NORM_BIAS, WEIGHT, BIAS, PARTS, APART, ADDED, FLOORED = range(15)
PRODUCT, OVER_CACHE, OVER_MEMORY = range(3)
AHEAD = 512  # lines of the next weights, at most, that a waiting thread asks for


class Shape(NamedTuple):
    """Sizes of a step."""

    beams: int  # K
    width: int  # D
    padded: int  # D in whole panels
    heads: int  # H
    positions: int  # S
    capacity: int  # of the cache, in positions
    kind: int  # of the weights
    words: int  # of bytes in a row of quantised activations
    chunks: int  # scales of such a row
    threads: int
    scratch: int  # floats of a thread's scratch, which is at the end of `room`


class Places(NamedTuple):
    """Where in `room` rows of K beams lie that phases hand on."""

    x: int  # (K, padded) the stream
    qkv: int  # (3, K, padded) queries, keys, values
    mixed: int  # (K, padded) what attention brings together
    hidden: int  # (K, F in whole panels)
    logits: int  # (K, V in whole panels)
    scratch: int  # (threads, scratch)


SHAPE = types.NamedUniTuple(INT, len(Shape._fields), Shape)
PLACES = types.NamedUniTuple(INT, len(Places._fields), Places)
PROGRAM, INTEGERS = types.int64[:, ::1], types.int64[::1]


@inner
def _prepare(shape, p, w, room, x, own):
    """A thread's own copy of the rows at x: normalised where the program says so, as bytes where weights are.

    Returns where its rows of floats begin, which may be x; bytes and their scales are at fixed places in scratch.
    """
    source, depth = x, p[INPUTS]
    if p[NORM] >= 0:
        source = own
        for k in range(shape.beams):
            normalize_row(room, x + k * p[X_ROW], depth, w, p[NORM], p[NORM_BIAS], room, own + k * p[X_ROW])
    if shape.kind == INT8:
        words = own + shape.beams * shape.padded
        scales = words + shape.beams * shape.words
        for k in range(shape.beams):
            row = at(room, source + k * p[X_ROW])
            quantize_row(row, depth, at(room, words + k * shape.words), at(room, scales + k * shape.chunks))
    return source


@inner
def _first_panel(p, shape, me):
    """Where this participant's part of a product's weights begins."""
    panels = p[OUTPUTS] // PANEL
    item = p[PARTS] * panels * me // shape.threads
    return p[WEIGHT] + item // panels * p[APART] + item % panels * panel_words(p[INPUTS], shape.kind)


@inner
def _meet(state, phase, shape, w, program, me, done, items):
    """Count what was done and wait for the others, asking meanwhile for the weights of the next product."""
    following = phase + 1
    while following < len(program) and program[following, WHAT] != PRODUCT:
        following += 1
    if following < len(program):
        ahead = at(w, _first_panel(program[following], shape, me))
        wait_near(state, phase, shape.threads, done, items, ahead, AHEAD)
    else:
        wait_near(state, phase, shape.threads, done, items, at(w, 0), 0)


@part(types.void(STATE, INT, SHAPE, ARRAY, PROGRAM, ARRAY, INT, INT))
def product(state, phase, shape, w, program, room, me, own):
    """y = max(W norm(x) + b (+ y), floor) for all beams, as row `phase` of the program says; an item is a panel."""
    p = program[phase]
    panels, beams, depth, outputs = p[OUTPUTS] // PANEL, shape.beams, p[INPUTS], p[OUTPUTS]
    items, done, zeros, size = p[PARTS] * panels, 0, at(w, 0), panel_words(depth, shape.kind)
    words = own + beams * shape.padded
    scales = words + beams * shape.words
    item = take_near(state, phase, shape.threads, me, items)
    source = p[X]
    if item < items:  # only now is the scratch memory this call's own: a late helper finds no item
        source = _prepare(shape, p, w, room, p[X], own)
    while item < items:
        matrix, o = item // panels, item % panels * PANEL
        y = (at(room, p[Y] + matrix * beams * outputs + o), outputs, LANES)
        multiply_panel(
            shape.kind,
            (at(room, source), p[X_ROW], 1),
            (at(room, words), shape.words, 1),
            (at(room, scales), shape.chunks, 1),
            beams,
            depth,
            at(w, p[WEIGHT] + matrix * p[APART] + item % panels * size),
            (at(w, p[BIAS] + matrix * p[APART] + o), outputs),
            zeros,
            y if p[ADDED] else (zeros, 0, 0),
            RELU if p[FLOORED] else NO_FLOOR,
            y,
        )
        done += 1
        item = take_near(state, phase, shape.threads, me, items)
    _meet(state, phase, shape, w, program, me, done, items)


@part(types.void(STATE, INT, SHAPE, PLACES, ARRAY, PROGRAM, ARRAY, ARRAY, INTEGERS, INT, ARRAY, INT, INT))
def over_cache(state, phase, shape, places, w, program, keys, values, ancestors, length, room, me, own):
    """Attention of every beam over its history. An item is one head of one beam."""
    beams, d, width = shape.beams, shape.width, shape.width // shape.heads
    start, here = program[phase, LAYER] * shape.capacity * beams * d, length * beams
    items, done = beams * shape.heads, 0
    item = take_near(state, phase, shape.threads, me, items)
    while item < items:
        k, head = item // shape.heads, item % shape.heads * width
        place = start + (here + k) * d + head
        query = places.qkv + k * shape.padded + head
        copy_row(room, query + beams * shape.padded, keys, place, width)
        copy_row(room, query + 2 * beams * shape.padded, values, place, width)
        attend_cache(
            *(room, query, keys, values, start + head, beams, d, ancestors, k * shape.capacity, length + 1),
            *(width, np.float32(1.0 / np.sqrt(width)), room, own, room, places.mixed + k * shape.padded + head),
        )
        done += 1
        item = take_near(state, phase, shape.threads, me, items)
    _meet(state, phase, shape, w, program, me, done, items)


@part(types.void(STATE, INT, SHAPE, PLACES, ARRAY, PROGRAM, ARRAY, ARRAY, INT, INT))
def over_memory(state, phase, shape, places, w, program, cross, room, me, own):
    """Attention of all beams over the memory. An item is one head."""
    width = shape.width // shape.heads
    row, values, size = memory.sizes(shape.positions, width)
    items, done = shape.heads, 0
    item = take_near(state, phase, shape.threads, me, items)
    while item < items:
        block, head = (program[phase, LAYER] * shape.heads + item) * size, item * width
        attend_memory(
            *((at(room, places.qkv + head), shape.padded), at(cross, block), at(cross, block + values)),
            *(shape.beams, shape.positions, width, np.float32(1.0 / np.sqrt(width)), at(w, 0), room, own),
        )
        for k in range(shape.beams):
            copy_row(room, own + k * row, room, places.mixed + k * shape.padded + head, width)
        done += 1
        item = take_near(state, phase, shape.threads, me, items)
    _meet(state, phase, shape, w, program, me, done, items)


@kernel(
    types.void(STATE, STATE, PROGRAM, INT, INT, SHAPE, PLACES, ARRAY, PROGRAM, ARRAY, ARRAY, ARRAY, INTEGERS, ARRAY)
)
def decoder_layers(
    session, calls, states, turn, patience, shape, places, w, program, cross, keys, values, ancestors, room
):
    """From the embedded tokens at places.x to logits; the cache gets its new rows. The turn's number is U, its length.

    keys, values (L, capacity, K, D) and ancestors (K, capacity), flat; cross: memory.Memory's block.
    """
    turn = next_turn(session, turn, patience)
    while await_turn(session, calls, turn, patience, at(w, _first_panel(program[0], shape, min(1, patience))), AHEAD):
        state, length = states[turn], session[NUMBERS + turn]
        me = slot(state)
        own = places.scratch + me * shape.scratch
        for phase in range(len(program)):
            if program[phase, WHAT] == PRODUCT:
                product(state, phase, shape, w, program, room, me, own)
            elif program[phase, WHAT] == OVER_CACHE:
                over_cache(state, phase, shape, places, w, program, keys, values, ancestors, length, room, me, own)
            else:
                over_memory(state, phase, shape, places, w, program, cross, room, me, own)
        turn += 1
        if patience == 0 or turn == len(states):
            return


def _layer_program(layer: int, p: list[int], places: Places, width: int, hidden: int) -> list[tuple[int, ...]]:
    """The phases of one layer; p is its row of the plan."""
    x, qkv, mixed, inner_place, *_ = places
    padded, inner_width = whole(width), whole(hidden)

    def multiply(source, row, inputs, y, outputs, part, norm=None, parts=1, added=0, floored=0):
        norms = (-1, -1) if norm is None else (p[norm], p[norm + 1])
        apart = p[part + 2] - p[part] if parts > 1 else 0
        sizes = (source, row, inputs, y, outputs)
        return (PRODUCT, layer, *sizes, *norms, p[part], p[part + 1], parts, apart, added, floored)

    nothing = (0,) * (FLOORED - LAYER)
    return [
        multiply(x, padded, width, qkv, padded, Q, NORM_1, parts=3),
        (OVER_CACHE, layer, *nothing),
        multiply(mixed, padded, width, x, padded, OUT, added=1),
        multiply(x, padded, width, qkv, padded, CROSS_Q, NORM_2),
        (OVER_MEMORY, layer, *nothing),
        multiply(mixed, padded, width, x, padded, CROSS_OUT, added=1),
        multiply(x, padded, width, inner_place, inner_width, FC1, NORM_3, floored=1),
        multiply(inner_place, inner_width, hidden, x, padded, FC2, added=1),
    ]


def program(w: PackedWeights, places: Places, width: int, hidden: int) -> np.ndarray:
    """The table of all phases: (phases, 15)."""
    *layers, last = w.decoder.plan.tolist()
    rows = [row for i, p in enumerate(layers) for row in _layer_program(i, p, places, width, hidden)]
    head = (places.x, whole(width), width, places.logits, whole(w.lm_head.outputs), *last[:4], 1, 0, 0, 0)
    return np.array([*rows, (PRODUCT, 0, *head)], np.int64)


class Desk(NamedTuple):
    """What the steps over one cache compute with; a step that fails leaves nothing in it that the next would read."""

    shape: Shape
    x: np.ndarray  # (K, D) a view of the place for embedded tokens
    logits: np.ndarray  # (K, V) a view
    session: Session


@dataclass
class Steps:
    """The desk of a cache, made anew when the cache or the number of threads has changed."""

    desk: Desk | None = None

    def get(self, w: PackedWeights, hidden: int, cache) -> Desk:
        """The desk for the next step."""
        key = (get_threads(), cache.keys.shape[1])
        if self.desk is None or key != (self.desk.shape.threads, self.desk.shape.capacity):
            self.desk = _furnish(w, hidden, cache, get_threads())
        return self.desk


def _furnish(w: PackedWeights, hidden: int, cache, threads: int) -> Desk:
    """A desk for a cache as large as it is now."""
    (_, capacity, beams, width), cross, vocabulary = cache.keys.shape, cache.cross, whole(w.lm_head.outputs)
    words, chunks, padded = whole(max(width, hidden)) // 4, -(-max(width, hidden) // CHUNK), whole(width)
    scratch = whole(max(beams * (padded + words + chunks), capacity, memory_scratch(beams, cross.width)))
    sizes = [beams * n for n in (padded, 3 * padded, padded, whole(hidden), vocabulary)]
    places = Places(*np.cumsum([0, *sizes]).tolist())
    sizes = (beams, width, padded, cross.heads, cross.positions, capacity, w.lm_head.kind, words, chunks, threads)
    room, rows = np.empty(places.scratch + threads * scratch, np.float32), program(w, places, width, hidden)
    shape = Shape(*sizes, scratch)
    past = (cache.keys.reshape(-1), cache.values.reshape(-1), cache.ancestors.reshape(-1))
    arguments = (shape, places, w.lm_head.arena, rows, cross.block, *past, room)
    x, logits = room[: places.qkv].reshape(beams, -1), room[places.logits : places.scratch].reshape(beams, -1)
    session = Session(decoder_layers, len(rows), threads, *arguments)
    return Desk(shape, x[:, :width], logits[:, : w.lm_head.outputs], session)


def step(x: np.ndarray, w: PackedWeights, hidden: int, cache, steps: Steps) -> np.ndarray:
    """Embedded tokens (K, D) -> logits (K, V); the cache, which has room, gets its row of keys and values.

    cache: as decoder.DecoderCache, with a memory.Memory for `cross`, and ancestors of the new position filled in.
    """
    desk = steps.get(w, hidden, cache)
    desk.x[:] = x
    desk.session.run(cache.length)
    return desk.logits.copy()
