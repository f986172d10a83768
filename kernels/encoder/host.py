"""Sizes and memory of a run of the encoder: what is shared, and what each thread has to itself.

All buffers begin at lines of the cache, and so do the parts of a thread's scratch memory: a vector that straddles two
lines takes two reads (3 % of float32's time, bytes 4 %).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .. import doors
from ..build.arguments import Floats, OutFloats, OutWords, Single
from ..build.entry import Entry
from ..cpu import detect
from ..layout import (
    BLOCK_INPUTS,
    BLOCK_PIECES,
    CHUNK,
    CHUNK_ROWS,
    FLOAT16,
    INT8,
    LANES,
    PAIRS_OF_PANEL,
    PAIRS_OF_UNIT,
    PANEL,
)
from ..ops.host import (
    ATTENTION_SCRATCH,
    CONV_GROUP,
    FRAMES,
    MARGIN,
    OUTPUTS,
    PLANES,
    ROW,
    TARGET,
    WIDTH,
    ConvTable,
    in_pieces,
    plan_convolutions,
)
from ..pool import LENT, lend_aligned
from ..threads import get_threads, parallel
from ..weights.pack import PackedConv, PackedEncoder, PackedNorm, round_up
from . import columns

INNER = CHUNK  # inner features of the feed-forward part at a time

LONG = 2000  # positions beyond which phases are calls of their own, so that Ctrl-C is heard between two
GROUP_UNITS = 8  # units that a thread takes at a time, about: their rows of all buffers fit the second-level cache
# The same where AMX multiplies, and of a convolution: weights are laid out anew for each group, and the second-level
# caches of these processors have 2 MB (float32 54 and 46 ms for 10 s on one thread; convolutions by 4 and by 8: 2 %).
GROUP_IN_TILES, CONV_GROUP_IN_TILES = 16, 8


class Sizes(NamedTuple):
    """The sizes that cannot be read off the packed weights."""

    positions: int  # S
    hidden: int  # F
    heads: int  # H


class EncoderShape(NamedTuple):
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
    dtype: int  # weight dtype: FLOAT32, INT8 or FLOAT16
    inner: int  # F in whole panels
    pieces: int  # 1 where AMX multiplies floats
    words: int  # words of bytes, or of pieces, in a unit of activations
    scales: int  # floats: scales of such a unit
    sums: int  # floats of a convolution's sums
    scratch: int  # floats of a thread: see EncoderScratch
    layers: int  # L
    convs: int  # C


class EncoderBuffers(NamedTuple):
    """Memory of a run. Units are [padded D][16]; two of a field means: of even and of odd layers."""

    features: Floats  # (T, M)
    frames: OutFloats  # frames of all convolutions, in planes
    x: OutFloats  # (units,) the stream; at first the positions alone
    q: OutFloats  # (units,) queries of the layer at hand
    k: OutFloats  # (2, units) keys
    v: OutFloats  # (2, padded D / 16, 16 units, 16): 16 features of a value side by side
    scratch: OutFloats  # (threads, scratch)
    memory: OutFloats  # (S, D)


class EncoderScratch(NamedTuple):
    """Addresses of a thread's scratch memory. Words are used where weights are bytes, with scales, or where AMX
    multiplies; `panel` where weights are halves, or AMX multiplies.
    """

    units: int  # (group, padded D, 16) what the next product takes: normalised, or mixed by attention
    hidden: int  # (group, INNER, 16) inner features, or what a convolution's outputs see
    attending: int  # (ATTENTION_SCRATCH,)
    words: int  # (group, words) the bytes or the pieces of `units`, then (group, scales)
    inner_words: int  # the same for `hidden`
    sums: int  # (units, outputs, 16) of a convolution
    panel: int  # (inputs, PANEL) a panel of floats, or (CHUNK_ROWS,) of its bytes, or its pieces, or its pairs


class EncoderRun(NamedTuple):
    """The inputs common to all phases."""

    shape: EncoderShape
    scale: Single  # factor of the embeddings
    w: Floats
    plan: columns.EncoderPlan  # (L + 1, columns.COUNT)
    convs: ConvTable  # (C, columns): see ops/host.py
    buffers: EncoderBuffers


class UnitGroup(NamedTuple):
    """Some units on their way through a layer."""

    layer: int
    first: int
    count: int


class EncoderPhasesCall(NamedTuple):
    """The arguments of `encoder_phases`."""

    state: OutWords
    begin: int
    end: int
    run: EncoderRun


encoder_phases = Entry("encoder.kernel", "encoder_phases", EncoderPhasesCall)


def _deal(units: int, most: int, threads: int) -> int:
    """Groups of about `most` units, as many for every thread, of the same size by one."""
    return min(units, threads * -(-units // (threads * most)))


def shape_of(w: PackedEncoder, convs: np.ndarray, frames: int, sizes: Sizes, threads: int) -> EncoderShape:
    """The shape of a run over T frames."""
    positions, hidden, heads = sizes
    units, wide, width = -(-positions // LANES), -(-frames // (LANES << len(convs))), w.layer_norm.inputs
    pieces = int(in_pieces(w.dtype, positions))
    tiles = w.dtype == INT8 and detect().has_tiles
    most = (GROUP_IN_TILES, CONV_GROUP_IN_TILES) if pieces or tiles else (GROUP_UNITS, CONV_GROUP)
    groups, cuts = _deal(units, most[0], threads), _deal(wide, most[1], threads)
    group, padded = max(-(-units // groups), -(-wide // cuts)), round_up(width)
    words = max(padded, INNER) * (BLOCK_PIECES // BLOCK_INPUTS if pieces else LANES // 4)
    scales = -(-padded // CHUNK) * LANES
    sums = group * int(convs[:, WIDTH].max()) * LANES
    scratch = group * LANES * (padded + INNER) + ATTENTION_SCRATCH + 2 * group * (words + scales) + sums
    pairs = PAIRS_OF_PANEL + group * PAIRS_OF_UNIT if detect().multiplies_pairs else 0
    scratch += {FLOAT16: max(padded, INNER) * PANEL, INT8: max(CHUNK_ROWS, pairs)}.get(w.dtype, 0)
    scratch += max(padded, INNER) // BLOCK_INPUTS * 2 * BLOCK_PIECES if pieces else 0
    return EncoderShape(
        *(width, padded, hidden, heads, positions, units, groups, group, wide, cuts, frames, w.dtype, round_up(hidden)),
        *(pieces, words, scales, sums, scratch, len(w.plan) - 1, len(convs)),
    )


def buffers_of(
    shape: EncoderShape, features: np.ndarray, frames: np.ndarray, x: np.ndarray, threads: int
) -> tuple[EncoderBuffers, np.ndarray]:
    """Memory of a run, x copied into it, and the array (S, D) that will hold the encoder's."""
    memory, size = np.empty((shape.positions, shape.width), np.float32), x.size
    stream, q, k, v, scratch = lend_aligned(LENT, size, size, 2 * size, 2 * size, threads * shape.scratch)
    stream[:] = x.reshape(-1)
    flat = np.ascontiguousarray(features, np.float32).reshape(-1)
    return EncoderBuffers(flat, frames, stream, q, k, v, scratch, memory.reshape(-1)), memory


class Encoding(NamedTuple):
    """One utterance on its way through the encoder."""

    run: EncoderRun
    memory: np.ndarray  # (S, D) the result
    threads: int  # for which the buffers have memory

    @property
    def phases(self) -> int:
        """Return how many there are: laying out the frames, C convolutions, L layers."""
        return self.run.shape.convs + self.run.shape.layers + 1

    def compute(self, begin: int, end: int) -> None:
        """Run phases begin .. end-1."""
        parallel(encoder_phases, end - begin, self.threads, begin, end, self.run)

    def rows(self) -> np.ndarray:
        """The stream as it is now: (S, D)."""
        shape = self.run.shape
        units = self.run.buffers.x.reshape(shape.units, shape.padded, LANES)
        return units.transpose(0, 2, 1).reshape(-1, shape.padded)[: shape.positions, : shape.width]

    def frames_after(self, number: int) -> np.ndarray:
        """Return what a convolution before the last left in its planes: (frames, channels)."""
        line = self.run.convs[number]
        planes, channels, row = line[PLANES], line[OUTPUTS], line[ROW]
        x = self.run.buffers.frames[line[TARGET] :][: planes * channels * row].reshape(planes, channels, row)
        return x[:, :, line[MARGIN] :].transpose(2, 0, 1).reshape(-1, channels)[: line[FRAMES]]


def prepare(features: np.ndarray, x: np.ndarray, w: PackedEncoder, scale: float, sizes: Sizes) -> Encoding:
    """An encoding of features (T, M); x (units, D in whole panels, 16) are the position rows."""
    convs, frames = plan_convolutions(w.conv.conv_layers, len(features), LENT)
    threads = get_threads()
    shape = shape_of(w, convs, len(features), sizes, threads)
    buffers, memory = buffers_of(shape, features, frames, x, threads)
    run = EncoderRun(shape, np.float32(scale), w.layer_norm.arena, w.plan, convs, buffers)
    return Encoding(run, memory, threads)


def encode(encoding: Encoding) -> np.ndarray:
    """The memory (S, D)."""
    step = encoding.phases if encoding.run.shape.positions <= LONG else 1
    for begin in range(0, encoding.phases, step):
        encoding.compute(begin, min(begin + step, encoding.phases))
    return encoding.memory


def stages(encoding: Encoding) -> Iterator[tuple[str, np.ndarray]]:
    """The same phases one by one: (name, rows) of every convolution, of the embedded features, of every layer; memory.

    The last convolution adds to the position rows, scaled. To be seen alone it runs twice, at first by 1 onto zeros.
    """
    last, x = encoding.run.shape.convs - 1, encoding.run.buffers.x
    for phase in range(last + 1):
        encoding.compute(phase, phase + 1)
        if phase:
            yield f"conv.{phase - 1}", encoding.frames_after(phase - 1)
    positions = x.copy()
    x[:] = 0
    encoding._replace(run=encoding.run._replace(scale=np.float32(1.0))).compute(last + 1, last + 2)
    yield f"conv.{last}", encoding.rows()
    x[:] = positions
    encoding.compute(last + 1, last + 2)
    yield "embed_features", encoding.rows()
    for layer in range(encoding.run.shape.layers):
        encoding.compute(last + 2 + layer, last + 3 + layer)
        yield f"encoder.{layer}", encoding.rows()
    yield "memory", encoding.memory


def encode_in_stages(encoding: Encoding, show: Callable[[str, np.ndarray], None]) -> np.ndarray:
    """The memory (S, D) as `encode` gives it, after show(name, rows) of every stage; rows are copies."""
    for name, rows in stages(encoding):
        show(name, rows.copy())
    return encoding.memory


class _Subsampler(NamedTuple):
    """Stands for weights.Subsampler."""

    conv_layers: tuple[PackedConv, ...]


def conv1d_glu(x: np.ndarray, w: PackedConv) -> np.ndarray:
    """(T, I) -> ((T-1)//2 + 1, O/2), as ops.conv1d_glu: an encoder that has this convolution and no layers."""
    x = doors.matrix("x", x, w.inputs)
    norm, plan = PackedNorm(w.arena, 0, 0, w.outputs), np.zeros((1, columns.COUNT), np.int64)
    alone, positions = PackedEncoder(_Subsampler((w,)), (), norm, plan, w.dtype), (len(x) - 1) // 2 + 1
    zeros = np.zeros((-(-positions // LANES), round_up(w.outputs), LANES), np.float32)
    encoding = prepare(x, zeros, alone, 1.0, Sizes(positions, 0, 1))
    encoding.compute(0, 2)
    return encoding.rows().copy()
