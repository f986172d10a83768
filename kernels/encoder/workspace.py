"""Sizes and memory of a run of the encoder: what is shared, and what each thread has to itself.

All buffers begin at lines of the cache, and so do the parts of a thread's scratch memory: a vector that straddles two
lines takes two reads (3 % of float32's time, bytes 4 %).
"""

from typing import NamedTuple

import numpy as np

from ..build.jit import ARRAY, inner
from ..build.lazy_numba import types
from ..ops import attention, conv
from ..simd.vector import LANES, move
from ..threads import get_threads
from ..weights.pack import FLOAT16, PANEL, PackedEncoder, empty_lines, whole
from ..weights.quantize import CHUNK

HIDDEN = CHUNK  # inner features of the feed-forward part at a time
GROUP = 8  # units that a thread takes at a time, about: their rows of all buffers fit the second-level cache


class Shape(NamedTuple):
    """Sizes of a run."""

    width: int  # D
    padded: int  # D in whole panels: rows of a unit
    hidden: int  # F
    heads: int  # H
    positions: int  # S
    units: int  # S / 16, rounded up
    groups: int  # items of a phase of layers
    group: int  # units of an item, at most
    wide: int  # units of all frames: more than `units` where the batch is padded
    cuts: int  # items of each plane of a convolution before the last
    frames: int  # T
    kind: int  # of the weights
    inner: int  # F in whole panels
    words: int  # of bytes in a unit of quantised activations
    scales: int  # floats: scales of such a unit
    sums: int  # floats of a convolution's sums
    scratch: int  # floats of a thread: see Places


class Buffers(NamedTuple):
    """Memory of a run. Units are [padded D][16]; two of a field means: of even and of odd layers."""

    features: np.ndarray  # (T, M)
    frames: np.ndarray  # of all convolutions, in planes
    x: np.ndarray  # (units,) the stream; at first the positions alone
    q: np.ndarray  # (units,) queries of the layer at hand
    k: np.ndarray  # (2, units) keys
    v: np.ndarray  # (2, padded D / 16, 16 units, 16): 16 features of a value side by side
    scratch: np.ndarray  # (threads, scratch)
    memory: np.ndarray  # (S, D)


class Places(NamedTuple):
    """Addresses of a thread's scratch memory. Words and scales are used where weights are bytes, `room` for halves."""

    units: np.ndarray  # (group, padded D, 16) what the next product takes: normalised, or mixed by attention
    hidden: np.ndarray  # (group, HIDDEN, 16) inner features
    attending: np.ndarray  # (attention.SCRATCH,)
    words: np.ndarray  # (group, words) the bytes of `units`, then (group, scales)
    inner_words: np.ndarray  # the same for `hidden`
    sums: np.ndarray  # (units, outputs, 16) of a convolution
    room: np.ndarray  # (inputs, PANEL) a panel of floats


PLACES = types.NamedUniTuple(types.int64, len(Places._fields), Places)
SHAPE = types.NamedUniTuple(types.int64, len(Shape._fields), Shape)
BUFFERS = types.NamedUniTuple(ARRAY, len(Buffers._fields), Buffers)


@inner
def places(scratch, shape):
    """The parts of a thread's scratch memory, an address."""
    hidden = move(scratch, shape.group * LANES * shape.padded)
    attending = move(hidden, shape.group * LANES * HIDDEN)
    words = move(attending, attention.SCRATCH)
    inner_words = move(words, shape.group * (shape.words + shape.scales))
    sums = move(inner_words, shape.group * (shape.words + shape.scales))
    return Places(scratch, hidden, attending, words, inner_words, sums, move(sums, shape.sums))


@inner
def room(own, shape):
    """The same memory as convolutions use it."""
    return conv.Room(own.hidden, own.inner_words, move(own.inner_words, shape.group * shape.words), own.sums, own.room)


def _deal(units: int, most: int) -> int:
    """Groups of about `most` units, as many for every thread, of the same size by one."""
    threads = get_threads()
    return min(units, threads * -(-units // (threads * most)))


def shape_of(w: PackedEncoder, convs: np.ndarray, positions: int, frames: int, hidden: int, heads: int) -> Shape:
    """Sizes for S positions of T frames."""
    units, wide = -(-positions // LANES), -(-frames // (LANES << len(convs)))
    groups, cuts, width = _deal(units, GROUP), _deal(wide, conv.GROUP), w.layer_norm.inputs
    group, padded = max(-(-units // groups), -(-wide // cuts)), whole(width)
    words, scales = max(padded, HIDDEN) // 4 * LANES, -(-padded // CHUNK) * LANES
    sums = group * int(convs[:, conv.WIDTH].max()) * LANES
    scratch = group * LANES * (padded + HIDDEN) + attention.SCRATCH + 2 * group * (words + scales) + sums
    scratch += max(padded, HIDDEN) * PANEL if w.kind == FLOAT16 else 0
    return Shape(
        *(width, padded, hidden, heads, positions, units, groups, group, wide, cuts, frames, w.kind, whole(hidden)),
        *(words, scales, sums, scratch),
    )


def buffers_of(shape: Shape, features: np.ndarray, frames: np.ndarray, x: np.ndarray) -> tuple[Buffers, np.ndarray]:
    """Memory of a run, x copied into it, and the array (S, D) that will hold the encoder's."""
    memory, size = np.empty((shape.positions, shape.width), np.float32), x.size
    stream, q, k, v, scratch = empty_lines(size, size, 2 * size, 2 * size, get_threads() * shape.scratch)
    stream[:] = x.reshape(-1)
    flat = np.ascontiguousarray(features, np.float32).reshape(-1)
    return Buffers(flat, frames, stream, q, k, v, scratch, memory.reshape(-1)), memory
