"""The host's side of a decoder step: its sizes, the memory it computes in, and the call."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..aligned import empty_aligned
from ..build.arguments import Floats, OutFloats, Words
from ..build.entry import Entry
from ..layout import CHAIN, CHUNK, INT8, PANEL
from ..ops.softmax_host import LogitsTable
from ..threads import Loop, PersistentCall
from ..weights.pack import PackedWeights, round_up
from . import columns

SELF, CROSS, FORWARD, BLOCKS = range(4)
MEMORY_KEYS = 256  # keys of the memory in a block


class StepShape(NamedTuple):
    """Sizes of a step."""

    beams: int  # K
    width: int  # D
    padded: int  # D in whole panels
    heads: int  # H
    groups: int  # groups of heads: parts of attention
    hidden: int  # F
    shard: int  # hidden features of a part
    vocabulary: int  # V
    positions: int  # S
    capacity: int  # positions that the cache has room for
    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16
    threads: int
    layers: int  # L
    scratch: int  # floats of a thread's own


class StepOffsets(NamedTuple):
    """Offsets in the workspace: the parts that all threads share; and each thread's own, counted from its beginning."""

    stream: int  # (2, K, padded) of the last block and of the one before
    partials: int  # (2, parts, K, padded) partial sums of this block and of the one before
    scratch: int  # (threads, scratch); and in it:
    x: int  # (K, padded) the stream
    normed: int  # (K, padded)
    words: int  # (K, padded / 4) of its bytes, where the weights are bytes
    scales: int  # (K, chunks)
    inner: int  # what the first matrix makes
    mixed: int  # (K, group) what attention brings together
    inner_words: int  # (K, inputs / 4) bytes of what the second matrix takes
    inner_scales: int  # (K, chunks)


class DecoderStep(NamedTuple):
    """The inputs common to all parts of all steps over a cache."""

    shape: StepShape
    offsets: StepOffsets
    w: Floats
    plan: columns.DecoderPlan
    head_zero_points: Floats  # zero points of the output projections, head group by head group, where weights are bytes
    cross: Floats  # CrossKV.block
    keys: OutFloats  # (L, capacity, K, D)
    values: OutFloats  # the same
    ancestors: Words  # (K, capacity)
    workspace: OutFloats


class DecoderLayersCall(NamedTuple):
    """The arguments of `decoder_layers`."""

    loop: Loop
    step: DecoderStep


decoder_layers = Entry("decoder.step", "decoder_layers", DecoderLayersCall)


def memory_scratch(beams, width):
    """Floats that `attend_memory` needs: maximum and sum of each beam, results, scores of a block."""
    return beams * (2 + round_up(width) + MEMORY_KEYS)


def head_groups(width: int, heads: int) -> int:
    """Into how many groups H heads of D features are cut: the smallest that fill whole panels, or one of all heads."""
    for size in range(1, heads + 1):
        features = size * (width // heads)
        if heads % size == 0 and features % PANEL == 0 and features <= CHUNK:
            return heads // size
    return 1


def shard_size(hidden: int, groups: int, dtype: int) -> int:
    """Hidden features of a part: about as many parts as groups, cut where sums or scales are."""
    unit = CHUNK if dtype == INT8 else CHAIN
    return -(-hidden // (groups * unit)) * unit


class StepWorkspace(NamedTuple):
    """The workspace of the steps over one cache; a step that fails leaves nothing in it that the next would read."""

    shape: StepShape
    x: np.ndarray  # (K, D) a view of the place for embedded tokens
    memory: np.ndarray
    call: PersistentCall


def _arrange(s: StepShape) -> tuple[StepShape, StepOffsets]:
    """Return where everything lies, and the shape with `scratch` filled in."""
    group, shard, stream = round_up(s.width // s.groups), round_up(min(s.shard, s.hidden)), s.beams * s.padded
    parts, scales = max(s.groups, -(-s.hidden // s.shard)), s.beams * -(-max(s.width, s.shard) // CHUNK)
    text, sound = 3 * group + round_up(s.capacity), group + memory_scratch(1, s.width // s.heads)
    between, words = s.beams * max(text, sound, shard, PANEL), s.beams * max(group, shard) // 4
    shared = (2 * stream, 2 * parts * stream)
    own = (stream, stream, stream // 4, scales, between, s.beams * group, words, scales)
    offsets, own_offsets = (np.cumsum([0, *map(round_up, sizes)]).tolist() for sizes in (shared, own))
    return s._replace(scratch=own_offsets[-1]), StepOffsets(*offsets, *own_offsets[:-1])


def _head_zero_points(zero_points: np.ndarray | None, width: int, groups: int) -> np.ndarray:
    """Zero points of every group's inputs: (2L, groups, outputs in whole panels), flat, int32 seen as floats."""
    if zero_points is None or groups == 1:
        return np.zeros(1, np.float32)
    ends = np.arange(groups + 1) * (width // groups // PANEL)
    return np.ascontiguousarray(np.diff(zero_points[:, ends], axis=1)).view(np.float32).reshape(-1)


def allocate(w: PackedWeights, hidden: int, cache, threads: int) -> StepWorkspace:
    """A workspace for a cache as large as it is now."""
    (layers, capacity, beams, width), cross, head = cache.keys.shape, cache.cross, w.lm_head
    groups = head_groups(width, cross.heads)
    shard, padded = shard_size(hidden, groups, head.dtype), round_up(width)
    sizes = (beams, width, padded, cross.heads, groups, hidden, shard, head.outputs, cross.positions, capacity)
    shape, offsets = _arrange(StepShape(*sizes, head.dtype, threads, layers, 0))
    (memory,) = empty_aligned(offsets.scratch + threads * shape.scratch)
    past = (cache.keys.reshape(-1), cache.values.reshape(-1), cache.ancestors.reshape(-1))
    zero_points = _head_zero_points(w.decoder.zero_points, width, groups)
    step = DecoderStep(shape, offsets, head.arena, w.decoder.plan, zero_points, cross.block, *past, memory)
    call = PersistentCall(decoder_layers, BLOCKS * layers + 2, threads, step)
    stream = memory[beams * padded :][: beams * padded].reshape(beams, -1)
    stream[:] = 0
    return StepWorkspace(shape, stream[:, :width], memory, call)


def step(workspace: StepWorkspace, length: int, show: Callable[[str, np.ndarray], None] | None = None) -> LogitsTable:
    """From the tokens embedded in workspace.x, the `length`-th of each beam, to logits; the cache gets its row.

    If there is `show`, phases are iterations of their own, and show(name, rows) is told the stream (K, D) before each
    block.
    """
    shape, last = workspace.shape, BLOCKS * workspace.shape.layers
    table = LogitsTable(shape.beams, shape.vocabulary)
    if show is None:
        workspace.call.run(length, table.address, 0, last + 2)
        return table
    for phase in range(last + 2):
        workspace.call.run(length, table.address, phase, phase + 1)
        if phase <= last:
            show(stage_name(phase), _stream(workspace, phase))
    return table


def stage_name(phase: int) -> str:
    """Return the name of the stream before a phase: decoder.0.self_attn, decoder.0.encoder_attn, decoder.0, ..."""
    if phase == 0:
        return "embed_tokens"
    layer, block = divmod(phase - 1, BLOCKS)
    return f"decoder.{layer}" + (".self_attn", ".encoder_attn", "")[block]


def _stream(workspace: StepWorkspace, phase: int) -> np.ndarray:
    """A copy of the stream before a phase, as its first part has left it: (K, D)."""
    shape = workspace.shape
    size = shape.beams * shape.padded
    return workspace.memory[phase % 2 * size :][:size].reshape(shape.beams, -1)[:, : shape.width].copy()
