"""What a decoder step reads of the encoder's memory: all layers' keys and values, made once an utterance.

Readable twin: decoder.start_cache. A step reads all of them once for each token, head by head, so each head's lie in
the order of reading, in one block:

    layer, head: keys [key / 32][feature][32 keys], then values [feature / 32][key][32 features]

All layers are one pass: a phase whose items are 512 positions by one panel of weights. A panel's results go to scratch
first; from there they are copied to the heads they belong to, keys transposed.

Versions (s2t-small, 250 positions, two cores; the arithmetic alone takes 1.15 ms): a product for each matrix, whose
keys numpy transposed, 2.6 ms; as here 1.75.
"""

from typing import NamedTuple

import numpy as np

from .beams import copy_row
from .jit import ARRAY, INT, inner, kernel
from .late import types
from .linear import NO_FLOOR
from .pack import INT8, PANEL, whole
from .panel import multiply_panel, panel_words
from .quantize import CHUNK
from .rows import quantize_rows
from .threads import STATE, finish, get_threads, parallel, slot, take, wait
from .units import empty_lines
from .vector import LANES, at

POSITIONS, ROWS = 512, 64  # in an item; of them at a time
K, V = 14, 16  # columns of the plan: the matrices that make keys and values of the memory (decode_step.CROSS_K)


def layout(positions, width):
    """Where a head's values begin, behind its keys; floats of a head."""
    values = -(-positions // PANEL) * PANEL * width
    return values, values + -(-width // PANEL) * PANEL * positions


sizes = inner(layout)  # the same for kernels


class Memory(NamedTuple):
    """Keys and values of all layers."""

    block: np.ndarray  # (L * H * floats of a head,)
    layers: int  # L
    heads: int  # H
    positions: int  # S
    width: int  # D/H

    def readable(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values of one layer as the readable cache has them: (S, D) each. For tests."""
        values, size = layout(self.positions, self.width)
        heads = self.block.reshape(self.layers, self.heads, size)[layer]
        k = heads[:, :values].reshape(self.heads, -1, self.width, PANEL).transpose(1, 3, 0, 2)
        v = heads[:, values:].reshape(self.heads, -1, self.positions, PANEL).transpose(2, 0, 1, 3)
        v = v.reshape(self.positions, self.heads, -1)[:, :, : self.width]
        return tuple(x.reshape(-1, self.heads * self.width)[: self.positions] for x in (k, v))


@inner
def _distribute(x, start, rows, first, feature, count, is_keys, positions, width, block, layer):
    """`rows` keys or values from position `first` on, `count` features, x[start:] (ROWS, PANEL), to their heads."""
    values, size = sizes(positions, width)
    done = 0
    while done < count:
        head, d = (feature + done) // width, (feature + done) % width
        here, place = min(width - d, count - done, PANEL - d % PANEL), layer + head * size
        if is_keys:
            for r in range(0, rows, PANEL):
                panel = place + (first + r) * width
                for i in range(here):
                    for lane in range(min(PANEL, rows - r)):
                        block[panel + (d + i) * PANEL + lane] = x[start + (r + lane) * PANEL + done + i]
        else:
            panel = place + values + d // PANEL * positions * PANEL + d % PANEL
            for r in range(rows):
                copy_row(x, start + r * PANEL + done, block, panel + (first + r) * PANEL, here)
        done += here


@kernel(types.void(STATE, ARRAY, INT, INT, INT, ARRAY, INT, types.int64[:, ::1], ARRAY, ARRAY, ARRAY, ARRAY))
def project_memory(state, x, positions, depth, heads, w, kind, plan, block, words, scales, scratch):
    """Memory x (S, D), flat -> block; words and scales: room for the bytes of x, where the weights are bytes."""
    chunks, stride = -(-depth // CHUNK), -(-depth // PANEL) * PANEL // 4
    own, zeros, width = slot(state) * ROWS * PANEL, at(w, 0), depth // heads
    if kind == INT8:
        quantize_rows(state, x, depth, depth, positions, words, stride, scales)
    panels, blocks = -(-depth // PANEL), -(-positions // POSITIONS)
    matrices = 2 * (len(plan) - 1)
    layer_size = heads * sizes(positions, width)[1]
    item = take(state, 1)
    while item < blocks * matrices * panels:
        o, matrix, begin = item % panels * PANEL, item // panels % matrices, item // panels // matrices * POSITIONS
        part = V if matrix % 2 else K
        weight, bias = plan[matrix // 2, part], plan[matrix // 2, part + 1]
        for first in range(begin, min(positions, begin + POSITIONS), ROWS):
            rows = min(ROWS, positions - first)
            multiply_panel(
                kind,
                (at(x, first * depth), depth, 1),
                (at(words, first * stride), stride, 1),
                (at(scales, first * chunks), chunks, 1),
                rows,
                depth,
                at(w, weight + o // PANEL * panel_words(depth, kind)),
                (at(w, bias + o), panels * PANEL),
                zeros,
                (zeros, 0, 0),
                NO_FLOOR,
                (at(scratch, own), PANEL, LANES),
            )
            target, count = matrix // 2 * layer_size, min(PANEL, depth - o)
            _distribute(scratch, own, rows, first, o, count, part == K, positions, width, block, target)
        finish(state, 1)
        item = take(state, 1)
    wait(state, 1, blocks * matrices * panels)


def _room(heads: int, positions: int, width: int) -> np.ndarray:
    """A block for that many heads of all layers; lanes that no position or feature fills are computed with: zeros."""
    values, size = layout(positions, width)
    (block,) = empty_lines(heads * size)
    parts = block.reshape(heads, size)
    parts[:, :values].reshape(heads, -1, width, PANEL)[:, -1, :, (positions - 1) % PANEL + 1 :] = 0
    parts[:, values:].reshape(heads, -1, positions, PANEL)[:, -1, :, (width - 1) % PANEL + 1 :] = 0
    return block


def project(memory: np.ndarray, w, kind: int, heads: int) -> Memory:
    """Memory (S, D) -> keys and values of all layers; `w` is the packed decoder."""
    (positions, width), layers = memory.shape, len(w.layers)
    block = _room(layers * heads, positions, width // heads)
    room = positions if kind == INT8 else 0
    words, scales = (np.empty(room * n, np.float32) for n in (whole(width) // 4, -(-width // CHUNK)))
    x, scratch = (
        np.ascontiguousarray(memory, np.float32).reshape(-1),
        np.empty(get_threads() * ROWS * PANEL, np.float32),
    )
    parallel(
        *(project_memory, 2, x, positions, width, heads, w.layer_norm.arena, kind, w.plan),
        *(block, words, scales, scratch),
    )
    return Memory(block, layers, heads, positions, width // heads)
