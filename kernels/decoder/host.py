"""The host's side of a decoder step: its sizes, the memory it computes in, and the call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..build.arguments import Floats, OutFloats, OutWords, Words
from ..build.entry import Entry
from ..build.options import COMPILED
from ..layout import CHAIN, CHUNK, INT8, PANEL
from ..ops.softmax_host import Peaks, peaks_size
from ..threads import Session, get_threads
from ..weights.pack import DecoderPlan, PackedWeights, empty_lines, whole

SELF, CROSS, FORWARD, BLOCKS = range(4)
MEMORY_KEYS = 256  # of the memory in a block


class Shape(NamedTuple):
    """Sizes of a step."""

    beams: int  # K
    width: int  # D
    padded: int  # D in whole panels
    heads: int  # H
    groups: int  # of heads: parts of attention
    hidden: int  # F
    shard: int  # hidden features of a part
    vocabulary: int  # V
    positions: int  # S
    capacity: int  # of the cache, in positions
    kind: int  # of the weights
    threads: int
    layers: int  # L
    scratch: int  # floats of a participant's own


class Places(NamedTuple):
    """Where in `room` things lie: what all share, and, counted from where a participant's own begin, those."""

    stream: int  # (2, K, padded) of the last block and of the one before
    shares: int  # (2, parts, K, padded) of this block and of the one before
    peaks: int  # of the logits, as softmax.py has them: top (K,), shift (K,), highest (K, panels)
    scratch: int  # (threads, scratch); and in it:
    x: int  # (K, padded) the stream
    normed: int  # (K, padded)
    words: int  # (K, padded / 4) of its bytes, where the weights are bytes
    scales: int  # (K, chunks)
    inner: int  # what the first matrix makes
    mixed: int  # (K, group) what attention brings together
    inner_words: int  # (K, inputs / 4) bytes of what the second matrix takes
    inner_scales: int  # (K, chunks)


class DecoderLayersCall(NamedTuple):
    """What `decoder_layers` takes."""

    session: OutWords
    calls: Words
    states: OutWords
    turn: int
    patience: int
    shape: Shape
    places: Places
    w: Floats
    plan: DecoderPlan
    segments: Floats
    cross: Floats
    keys: OutFloats
    values: OutFloats
    ancestors: Words
    room: OutFloats


decoder_layers = Entry("decoder.step", "decoder_layers", DecoderLayersCall)


def memory_scratch(beams, width):
    """Floats that `attend_memory` needs: maximum and sum of each beam, results, scores of a block."""
    return beams * (2 + whole(width) + MEMORY_KEYS)


def head_groups(width: int, heads: int) -> int:
    """Into how many groups H heads of D features are cut: the smallest that fill whole panels, or one of all heads."""
    for size in range(1, heads + 1):
        features = size * (width // heads)
        if heads % size == 0 and features % PANEL == 0 and features <= CHUNK:
            return heads // size
    return 1


def shard_size(hidden: int, groups: int, kind: int) -> int:
    """Hidden features of a part: about as many parts as groups, cut where sums or scales are."""
    unit = CHUNK if kind == INT8 else CHAIN
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
    return Desk(shape, stream[:, :width], room, room.ctypes.data, peaks, session)


def step(desk: Desk, length: int, show: Callable[[str, np.ndarray], None] | None = None) -> tuple[np.ndarray, int]:
    """From the tokens embedded in desk.x, the `length`-th of each beam, to logits (K, V); the cache gets its row.

    With them, where they begin: in floats from the beginning of `room`, in which they do not lie. If there is `show`,
    phases are turns of their own, and show(name, rows) is told the stream (K, D) before each block.
    """
    logits = np.empty((desk.shape.beams, desk.shape.vocabulary), np.float32)
    start = (logits.ctypes.data - desk.begins) // 4
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
