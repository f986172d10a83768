"""The host's side of a decoder step: its sizes, the memory it computes in, and the call."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..aligned import empty_aligned
from ..build.arguments import Floats, OutFloats, OutWords
from ..build.entry import Entry
from ..layout import CHAIN, CHUNK, INT8, LANES, PANEL
from ..threads import Loop, PersistentCall, get_threads
from ..weights.pack import LENDABLE, PackedWeights, round_up
from . import ask_columns, columns
from .cross_kv_host import line_words

SELF, CROSS, FORWARD, BLOCKS = range(4)
ROWS, ASKS, SHARES, SERIAL, BEGIN, END = range(6)  # numbers for an iteration; SERIAL counts all steps
MEMORY_KEYS = 256  # keys of the memory in a block
ROWS_OF_SHARE = 16  # fewer are not worth a share of their own


class StepShape(NamedTuple):
    """Sizes of a step."""

    rows: int  # at most
    asks: int  # utterances at most
    history: int  # positions that a cache has room for, at most
    width: int  # D
    padded: int  # D in whole panels
    heads: int  # H
    groups: int  # groups of heads: parts of attention
    hidden: int  # F
    shard: int  # hidden features of a part
    vocabulary: int  # V
    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16
    line: int  # words of PANEL numbers of the memory
    threads: int
    layers: int  # L
    scratch: int  # floats of a thread's own


class StepOffsets(NamedTuple):
    """Offsets in the workspace: the parts that all threads share; and each thread's own, counted from its beginning."""

    stream: int  # (2, rows, padded) of the last block and of the one before
    partials: int  # (2, parts, rows, padded) partial sums of this block and of the one before
    scratch: int  # (threads, scratch); and in it:
    x: int  # (rows, padded) the stream
    normed: int  # (rows, padded)
    words: int  # (rows, padded / 4) of its bytes, where the weights are bytes; else many rows side by side
    scales: int  # (rows, chunks)
    inner: int  # what the first matrix makes
    mixed: int  # (rows, group) what attention brings together
    inner_words: int  # the same of what the second matrix takes
    inner_scales: int  # (rows, chunks)


class DecoderStep(NamedTuple):
    """The inputs common to all parts of all steps in a workspace."""

    shape: StepShape
    offsets: StepOffsets
    w: Floats
    plan: columns.DecoderPlan
    head_zero_points: Floats  # zero points of the output projections, head group by head group, where weights are bytes
    asks: ask_columns.Asks
    seen: OutWords  # (threads, threads) for each thread and share of the rows: see `_prepare_share` in step.py
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


def share_count(rows: int, threads: int) -> int:
    """Into how many shares the rows of a step are cut. Each is multiplied with all weights."""
    return max(1, min(threads, rows // ROWS_OF_SHARE))


class StepWorkspace(NamedTuple):
    """The workspace of steps, one after the other; one that fails leaves nothing in it that the next would read."""

    shape: StepShape
    x: np.ndarray  # (rows, D) a view of the place for embedded tokens
    asks: np.ndarray  # (asks, columns) int64: see ask_columns.py
    memory: np.ndarray
    call: PersistentCall
    serial: Iterator[int]


def _arrange(s: StepShape) -> tuple[StepShape, StepOffsets]:
    """Return where everything lies, and the shape with `scratch` filled in."""
    group, shard, stream = round_up(s.width // s.groups), round_up(min(s.shard, s.hidden)), s.rows * s.padded
    parts, scales = max(s.groups, -(-s.hidden // s.shard)), s.rows * -(-max(s.width, s.shard) // CHUNK)
    text, sound = 3 * group + round_up(s.history), group + memory_scratch(1, s.width // s.heads)
    between, part = s.rows * max(text, sound, shard, PANEL), 4 if s.dtype == INT8 else 1
    shared = (2 * stream, 2 * parts * stream)
    inner_words = s.rows * max(group, shard) // part
    own = (stream, stream, stream // part, scales, between, s.rows * group, inner_words, scales)
    offsets, own_offsets = (np.cumsum([0, *map(round_up, sizes)]).tolist() for sizes in (shared, own))
    return s._replace(scratch=own_offsets[-1]), StepOffsets(*offsets, *own_offsets[:-1])


def _head_zero_points(zero_points: np.ndarray | None, width: int, groups: int) -> np.ndarray:
    """Zero points of every group's inputs: (2L, groups, outputs in whole panels), flat, int32 seen as floats."""
    if zero_points is None or groups == 1:
        return np.zeros(1, np.float32)
    ends = np.arange(groups + 1) * (width // groups // PANEL)
    return np.ascontiguousarray(np.diff(zero_points[:, ends], axis=1)).view(np.float32).reshape(-1)


def allocate(w: PackedWeights, config, threads: int, rows: int, history: int) -> StepWorkspace:
    """A workspace for steps of up to that many rows, over caches of up to `history` positions, on `threads`."""
    head, layers = w.lm_head, len(w.decoder.layers)
    width, heads, hidden = head.inputs, config.decoder_attention_heads, config.decoder_ffn_dim
    groups, padded = head_groups(width, heads), round_up(width)
    sizes = (width, padded, heads, groups, hidden, shard_size(hidden, groups, head.dtype), head.outputs)
    kind = (head.dtype, line_words(width // heads, head.dtype))
    shape, offsets = _arrange(StepShape(rows, rows, history, *sizes, *kind, threads, layers, 0))
    (memory,) = empty_aligned(offsets.scratch + threads * shape.scratch)
    asks, seen = np.zeros((rows, ask_columns.ASK_COLUMNS), np.int64), np.zeros(threads * threads, np.int64)
    zero_points = _head_zero_points(w.decoder.zero_points, width, groups)
    step = DecoderStep(shape, offsets, head.arena, w.decoder.plan, zero_points, asks, seen, memory)
    call = PersistentCall(decoder_layers, BLOCKS * layers + 2, threads, step)
    stream = memory[rows * padded :][: rows * padded].reshape(rows, -1)
    stream[:] = 0
    return StepWorkspace(shape, stream[:, :width], asks, memory, call, itertools.count(1))


def _spare(w: PackedWeights, threads: int) -> list[StepWorkspace]:
    """The workspaces for that many threads that no step uses now: as many as there were steps at once."""
    return w.decoder.workspaces[threads, id(w.lm_head.arena)]


def borrow(w: PackedWeights, config, rows: int, history: int) -> StepWorkspace:
    """A workspace for that many rows over caches of `history` positions, lent by the weights until `give_back`.

    Lists are enough: after a step all code is out of the processor's caches, and a Pool takes 20 us, a step 700.
    """
    threads = get_threads()
    try:
        lent = _spare(w, threads).pop()
    except IndexError:
        lent = None
    if lent is None or lent.shape.rows < rows or lent.shape.history < history:
        rows, history = -(-rows // LANES) * LANES, max(history, lent.shape.history if lent else 0)
        lent = allocate(w, config, threads, max(rows, lent.shape.rows if lent else 0), history)
    return lent


def give_back(w: PackedWeights, lent: StepWorkspace) -> None:
    """Lend a workspace to the next step. It is let go if it is too large to keep, as is one whose step has failed."""
    spare = _spare(w, lent.shape.threads)
    if (len(spare) + 1) * lent.memory.nbytes <= LENDABLE:
        spare.append(lent)


def run(workspace: StepWorkspace, rows: int, asks: int, show: Callable[[str, np.ndarray], None] | None = None) -> None:
    """From the tokens embedded in the first rows of workspace.x to logits, for the first rows of workspace.asks.

    If there is `show`, phases are iterations of their own, and show(name, rows) is told the stream (rows, D) before
    each block.
    """
    shape, last = workspace.shape, BLOCKS * workspace.shape.layers
    sizes = (rows, asks, share_count(rows, shape.threads), next(workspace.serial))
    if show is None:
        workspace.call.run(*sizes, 0, last + 2)
        return
    for phase in range(last + 2):
        workspace.call.run(*sizes, phase, phase + 1)
        if phase <= last:
            show(stage_name(phase), _stream(workspace, phase)[:rows])


def stage_name(phase: int) -> str:
    """Return the name of the stream before a phase: decoder.0.self_attn, decoder.0.encoder_attn, decoder.0, ..."""
    if phase == 0:
        return "embed_tokens"
    layer, block = divmod(phase - 1, BLOCKS)
    return f"decoder.{layer}" + (".self_attn", ".encoder_attn", "")[block]


def _stream(workspace: StepWorkspace, phase: int) -> np.ndarray:
    """A copy of the stream before a phase, as the first parts have left it: (rows, D)."""
    shape = workspace.shape
    size = shape.rows * shape.padded
    return workspace.memory[phase % 2 * size :][:size].reshape(shape.rows, -1)[:, : shape.width].copy()
