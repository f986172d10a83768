"""One step of the decoder, all layers and beams, as one parallel kernel (readable twin: decoder.decoder_step).

A step reads every weight once and does little with it, so time is reading: each panel of weights is read by one thread
and used for all beams. The cache is the readable one: row `keys[l, u, k]` was written by beam k at position u, and
`ancestors[k, u]` says whose row beam k continues; what it looks at in the memory is in memory.py.

Threads wait for each other only between blocks, of which a layer has three; what a block's parts do is in blocks.py.

Versions (s2t-small, 5 beams, position 16, memory 250, two cores that read 57 GB/s together, so 0.85 ms for 48 MB; one
call of the kernel): a phase for each product, 49 a step, panels one by one to whoever comes 1.61 ms; panels to threads
in memory order 1.23; helpers awake between steps 1.08; whole blocks in parts, 20 phases, 0.95, with weights in bytes
0.40 instead of 0.49. Within that, found one by one: weights asked for 8 KB ahead come to the first-level cache, not
the second (the vocabulary's product 0.185 instead of 0.195); memory begins at lines of the cache, 2 % of a step (bytes
5 %); all panels of a part in one call; no exponential makes denormal numbers, 150 cycles each (attention over 17 tokens
0.020 instead of 0.047, half of it by taking four positions' sums at once); arguments handed over in one row
(objects.py) 0.02. Feed-forward parts of half the size, so that a thread that the machine slows down can be helped,
gained nothing, nor did asking for more or fewer lines where reading jumps.

The first steps of an utterance are slower: 2.7, 2.2, 1.3 ms, then 1.0, in bytes 1.0, 0.5, then 0.42. While the encoder
ran (or nothing did, for 30 ms) others on the machine seem to have taken the shared cache: weights come from memory, at
22 GB/s instead of 55; numpy's reading of them takes the same course. It is not the clock of that cache: reading other
arrays first for as long changes nothing. Nor does reading the weights once: they are kept only after several times.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..build.jit import ARRAY, COMPILED, INT, inner, kernel
from ..build.lazy_numba import types
from ..build.object_loader import address
from ..ops.gemm import BLOCK
from ..ops.softmax import Peaks, peaks_size
from ..simd.vector import at
from ..threads import EACH, NUMBERS, STATE, Session, await_turn, get_threads, next_turn, slot, take_near, wait_near
from ..weights.pack import INT8, PANEL, PackedWeights, empty_lines, whole
from ..weights.quantize import CHUNK
from .attention import memory_scratch
from .shards import (
    BLOCKS,
    CROSS,
    INTEGERS,
    PLACES,
    PLAN,
    SELF,
    SHAPE,
    Places,
    Shape,
    attend_to_sound,
    attend_to_text,
    feed_forward,
    find_peak,
    first_weights,
    follow_stream,
    leave_stream,
    parts_of,
    project_to_vocabulary,
)

AHEAD = 512  # lines of the next weights, at most, that a waiting thread asks for


@inner
def _meet(state, phase, shape, w, plan, me, done, items):
    """Count what was done and wait for the others, asking meanwhile for the weights of the next phase."""
    if phase < BLOCKS * shape.layers:
        ahead = at(w, first_weights(phase + 1, shape, plan, me))
        wait_near(state, phase, shape.threads, done, items, ahead, AHEAD)
    else:
        wait_near(state, phase, shape.threads, done, items, at(w, 0), 0)


@kernel(
    types.void(
        *(STATE, STATE, types.int64[:, ::1], INT, INT, SHAPE, PLACES),
        *(ARRAY, PLAN, ARRAY, ARRAY, ARRAY, ARRAY, INTEGERS, ARRAY),
    )
)
def decoder_layers(
    session, calls, states, turn, patience, shape, places, w, plan, segments, cross, keys, values, ancestors, room
):
    """From the embedded tokens in the stream to logits; the cache gets its new rows.

    A turn's numbers are U, the length of the cache; where the logits go, counted in floats from `room`, in which they
    need not lie: every step's are an array of their own; and the phases to run, all of them unless a stage is looked
    at.
    keys, values (L, capacity, K, D) and ancestors (K, capacity), flat; cross: memory.Memory's block; segments: comp of
    the output projections, head group by head group, where weights are bytes.
    """
    turn = next_turn(session, turn, patience)
    while await_turn(session, calls, turn, patience, at(w, first_weights(0, shape, plan, min(1, patience))), AHEAD):
        state, number = states[turn], NUMBERS + EACH * turn
        length, logits, begin, end = session[number], session[number + 1], session[number + 2], session[number + 3]
        me, seen, last = slot(state), -1, BLOCKS * shape.layers
        own = places.scratch + me * shape.scratch
        for phase in range(begin, end):
            items, done, layer = parts_of(phase, shape), 0, phase // BLOCKS
            item = take_near(state, phase, shape.threads, me, items)
            if item < items and phase <= last:  # only now is the scratch its own: a late helper finds no item
                follow_stream(phase, seen, shape, places, w, plan, room, own)
                seen = phase
            while item < items:
                if item == 0 and phase <= last:
                    leave_stream(phase, shape, places, room, own)
                if phase > last:
                    find_peak(item, shape, places, room, logits)
                elif phase == last:
                    project_to_vocabulary(item, shape, places, w, plan, room, own, logits)
                elif phase % BLOCKS == SELF:
                    attend_to_text(
                        *(phase, layer, item, shape, places, w, plan, segments),
                        *(keys, values, ancestors, length, room, own),
                    )
                elif phase % BLOCKS == CROSS:
                    attend_to_sound(phase, layer, item, shape, places, w, plan, segments, cross, room, own)
                else:
                    feed_forward(phase, layer, item, shape, places, w, plan, room, own)
                done += 1
                item = take_near(state, phase, shape.threads, me, items)
            _meet(state, phase, shape, w, plan, me, done, items)
        turn += 1
        if patience == 0 or turn == len(states):
            return


def head_groups(width: int, heads: int) -> int:
    """Into how many groups H heads of D features are cut: the smallest that fill whole panels, or one of all heads."""
    for size in range(1, heads + 1):
        features = size * (width // heads)
        if heads % size == 0 and features % PANEL == 0 and features <= CHUNK:
            return heads // size
    return 1


def shard_size(hidden: int, groups: int, kind: int) -> int:
    """Hidden features of a part: about as many parts as groups, cut where sums or scales are."""
    unit = CHUNK if kind == INT8 else BLOCK
    return -(-hidden // (groups * unit)) * unit


class Desk(NamedTuple):
    """What the steps over one cache compute with; a step that fails leaves nothing in it that the next would read."""

    shape: Shape
    x: np.ndarray  # (K, D) a view of the place for embedded tokens
    room: np.ndarray
    begins: int  # the address of `room`
    peaks: Peaks  # what is known of the logits
    session: Session


@dataclass
class Steps:
    """The desk of a cache, made anew when the cache or the number of threads has changed."""

    desk: Desk | None = None

    def get(self, w: PackedWeights, hidden: int, cache) -> Desk:
        """The desk for the next step."""
        desk, threads, capacity = self.desk, get_threads(), cache.keys.shape[1]
        if desk is None or threads != desk.shape.threads or capacity != desk.shape.capacity:
            self.desk = _furnish(w, hidden, cache, threads)
        return self.desk


def _arrange(s: Shape) -> tuple[Shape, Places]:
    """Where everything lies: Places, and the shape with `scratch` filled in."""
    group, shard, stream = whole(s.width // s.groups), whole(min(s.shard, s.hidden)), s.beams * s.padded
    parts, scales = max(s.groups, -(-s.hidden // s.shard)), s.beams * -(-max(s.width, s.shard) // CHUNK)
    text, sound = 3 * group + whole(s.capacity), group + memory_scratch(1, s.width // s.heads)
    between, words = s.beams * max(text, sound, shard, PANEL), s.beams * max(group, shard) // 4
    shared = (2 * stream, 2 * parts * stream, peaks_size(s.beams, s.vocabulary))
    own = (stream, stream, stream // 4, scales, between, s.beams * group, words, scales)
    places, own_places = (np.cumsum([0, *map(whole, sizes)]).tolist() for sizes in (shared, own))
    return s._replace(scratch=own_places[-1]), Places(*places, *own_places[:-1])


def _segments(comps: np.ndarray | None, width: int, groups: int) -> np.ndarray:
    """Comp of every group's inputs: (2L, groups, outputs in whole panels), flat, int32 seen as floats."""
    if comps is None or groups == 1:
        return np.zeros(1, np.float32)
    ends = np.arange(groups + 1) * (width // groups // PANEL)
    return np.ascontiguousarray(np.diff(comps[:, ends], axis=1)).view(np.float32).reshape(-1)


def _furnish(w: PackedWeights, hidden: int, cache, threads: int) -> Desk:
    """A desk for a cache as large as it is now."""
    (layers, capacity, beams, width), cross, head = cache.keys.shape, cache.cross, w.lm_head
    groups = head_groups(width, cross.heads)
    shard = shard_size(hidden, groups, head.kind)
    sizes = (beams, width, whole(width), cross.heads, groups, hidden, shard, head.outputs, cross.positions, capacity)
    shape, places = _arrange(Shape(*sizes, head.kind, threads, layers, 0))
    (room,) = empty_lines(places.scratch + threads * shape.scratch + (0 if COMPILED else beams * head.outputs))
    past = (cache.keys.reshape(-1), cache.values.reshape(-1), cache.ancestors.reshape(-1))
    given = (head.arena, w.decoder.plan, _segments(w.decoder.comps, width, groups), cross.block)
    session = Session(decoder_layers, BLOCKS * layers + 2, threads, shape, places, *given, *past, room)
    stream = room[shape.beams * shape.padded :][: shape.beams * shape.padded].reshape(beams, -1)
    stream[:] = 0
    peaks = Peaks(room, (beams, head.outputs), places.peaks)
    return Desk(shape, stream[:, :width], room, address(room), peaks, session)


def step(desk: Desk, length: int, show: Callable[[str, np.ndarray], None] | None = None) -> tuple[np.ndarray, int]:
    """From the tokens embedded in desk.x, the `length`-th of each beam, to logits (K, V); the cache gets its row.

    With them, where they begin: in floats from the beginning of `room`, in which they do not lie. If there is `show`,
    phases are turns of their own, and show(name, rows) is told the stream (K, D) before each block.
    """
    logits = np.empty((desk.shape.beams, desk.shape.vocabulary), np.float32)
    start = (address(logits) - desk.begins) // 4
    target = start if COMPILED else desk.room.size - logits.size  # as Python, kernels see `room` only
    last = BLOCKS * desk.shape.layers
    if show is None:
        desk.session.run(length, target, 0, last + 2)
    else:
        for phase in range(last + 2):
            desk.session.run(length, target, phase, phase + 1)
            if phase <= last:
                show(stage_name(phase), _stream(desk, phase))
    if not COMPILED:
        logits[:] = desk.room[-logits.size :].reshape(logits.shape)
    return logits, start


def stage_name(phase: int) -> str:
    """What the stream before a phase is called: decoder.0.self_attn, decoder.0.encoder_attn, decoder.0, and so on."""
    if phase == 0:
        return "embed_tokens"
    layer, block = divmod(phase - 1, BLOCKS)
    return f"decoder.{layer}" + (".self_attn", ".encoder_attn", "")[block]


def _stream(desk: Desk, phase: int) -> np.ndarray:
    """A copy of the stream before a phase, as its first part has left it: (K, D)."""
    size = desk.shape.beams * desk.shape.padded
    rows = desk.room[phase % 2 * size :][:size].reshape(desk.shape.beams, -1)
    return rows[:, : desk.shape.width].copy()
