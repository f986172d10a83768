"""The host's side of `cross_kv.py`: the block of keys and values, its sizes, and the call that fills it."""

from typing import NamedTuple

import numpy as np

from ..build.arguments import Floats, OutFloats, OutWords
from ..build.entry import Entry
from ..layout import BLOCK_INPUTS, BLOCK_PIECES, CHUNK, FLOAT16, FLOAT32, INT8, LANES, PANEL
from ..ops.host import in_pieces
from ..pool import Pool, lend_floats
from ..threads import get_threads, parallel
from ..weights.pack import round_up
from . import columns


def layout(positions, width, line):
    """Return where a head's values begin, after its keys, and words of a head; PANEL numbers take `line` words."""
    values = -(-positions // PANEL) * width * line
    return values, values + -(-width // PANEL) * positions * line


def line_words(width: int, dtype: int) -> int:
    """Words that PANEL numbers take: they are halves where weights are halves or bytes, and heads fill whole panels.

    A step over many utterances reads more of their memories than of weights. An error of 2**-12 is small beside theirs.
    """
    return PANEL if dtype == FLOAT32 or width % PANEL else PANEL // 2


class CrossKV(NamedTuple):
    """Keys and values of all layers."""

    block: np.ndarray  # (L * H * words of a head,)
    layers: int  # L
    heads: int  # H
    positions: int  # S
    width: int  # D/H
    line: int  # words of PANEL numbers

    def readable(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values of one layer as the readable cache has them: (S, D) each. For tests."""
        kind = np.float32 if self.line == PANEL else np.float16
        values, size = layout(self.positions, self.width, PANEL)
        heads = self.block.view(kind).reshape(self.layers, self.heads, size)[layer].astype(np.float32)
        k = heads[:, :values].reshape(self.heads, -1, self.width, PANEL).transpose(1, 3, 0, 2)
        v = heads[:, values:].reshape(self.heads, -1, self.positions, PANEL).transpose(2, 0, 1, 3)
        v = v.reshape(self.positions, self.heads, -1)[:, :, : self.width]
        return tuple(x.reshape(-1, self.heads * self.width)[: self.positions] for x in (k, v))


class CrossShape(NamedTuple):
    """Sizes of a call of `project_memory`."""

    positions: int  # S
    depth: int  # D
    heads: int  # H
    layers: int  # L
    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16
    line: int  # words of PANEL numbers in the block
    threads: int
    pieces: int  # 1 where AMX multiplies floats
    words: int  # where in a unit the bytes of its floats, or their pieces, begin
    scales: int  # and the scales of bytes
    unit: int  # floats of a unit with its bytes and scales, or its pieces
    panel: int  # floats of a panel where weights are halves
    scratch: int  # floats of a thread's own: results of a pair of units, such a panel; its pieces, and a pair's sums


class ProjectMemoryCall(NamedTuple):
    """The arguments of `project_memory`."""

    state: OutWords
    x: Floats
    shape: CrossShape
    w: Floats
    plan: columns.DecoderPlan
    units: OutFloats
    block: OutFloats
    scratch: OutFloats


project_memory = Entry("decoder.cross_kv", "project_memory", ProjectMemoryCall)


def _empty_block(pool: Pool, heads: int, positions: int, width: int, line: int) -> np.ndarray:
    """A block for that many heads of all layers. Lanes of values that no feature fills are zeros."""
    values, size = layout(positions, width, line)
    block = lend_floats(pool, heads * size)
    panels = (size - values) // (positions * PANEL)
    if rest := width % PANEL:
        block.reshape(heads, size)[:, values:].reshape(heads, panels, positions, PANEL)[:, -1, :, rest:] = 0
    return block


def _shape(positions: int, depth: int, heads: int, layers: int, dtype: int) -> CrossShape:
    """Sizes for a memory (S, D)."""
    words, panel = depth * LANES, depth * PANEL if dtype == FLOAT16 else 0
    pieces = int(in_pieces(dtype, positions))
    split = -(-depth // BLOCK_INPUTS) * BLOCK_PIECES if pieces else 0
    scales = words + (round_up(depth) // 4 * LANES if dtype == INT8 else split)
    unit = scales + (-(-depth // CHUNK) * LANES if dtype == INT8 else 0)
    scratch = PANEL * PANEL * (1 + pieces) + panel + 2 * split
    sizes = pieces, words, scales, unit, panel, scratch
    return CrossShape(positions, depth, heads, layers, dtype, line_words(depth // heads, dtype), get_threads(), *sizes)


def project(memory: np.ndarray, w, dtype: int, heads: int) -> CrossKV:
    """Memory (S, D) -> keys and values of all layers; `w` is the packed decoder."""
    (positions, depth), layers = memory.shape, len(w.layers)
    shape = _shape(positions, depth, heads, layers, dtype)
    block = _empty_block(w.pool, layers * heads, positions, depth // heads, shape.line)
    sizes = (round_up(positions) // LANES * shape.unit, shape.threads * shape.scratch)
    units, scratch = (lend_floats(w.pool, size) for size in sizes)
    x = np.ascontiguousarray(memory, np.float32).reshape(-1)
    parallel(project_memory, 2, shape.threads, x, shape, w.layer_norm.arena, w.plan, units, block, scratch)
    return CrossKV(block, layers, heads, positions, depth // heads, shape.line)
