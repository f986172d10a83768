"""Sizes and memory of a run of the encoder: what is shared, and what each thread has to itself.

All buffers begin at lines of the cache, and so do the parts of a thread's scratch memory: a vector that straddles two
lines takes two reads (3 % of float32's time, bytes 4 %).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..build.arguments import Floats, OutFloats, OutWords, Single
from ..build.entry import Entry
from ..layout import CHUNK, FLOAT16, LANES, PANEL
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
    plan_convolutions,
)
from ..threads import get_threads, parallel
from ..weights.pack import EncoderPlan, PackedConv, PackedEncoder, PackedNorm, empty_lines, whole

HIDDEN = CHUNK  # inner features of the feed-forward part at a time
LONG = 2000  # positions beyond which phases are calls of their own, so that Ctrl-C is heard between two
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
    layers: int  # L
    convs: int  # C


class Buffers(NamedTuple):
    """Memory of a run. Units are [padded D][16]; two of a field means: of even and of odd layers."""

    features: Floats  # (T, M)
    frames: OutFloats  # of all convolutions, in planes
    x: OutFloats  # (units,) the stream; at first the positions alone
    q: OutFloats  # (units,) queries of the layer at hand
    k: OutFloats  # (2, units) keys
    v: OutFloats  # (2, padded D / 16, 16 units, 16): 16 features of a value side by side
    scratch: OutFloats  # (threads, scratch)
    memory: OutFloats  # (S, D)


class Places(NamedTuple):
    """Addresses of a thread's scratch memory. Words and scales are used where weights are bytes, `room` for halves."""

    units: int  # (group, padded D, 16) what the next product takes: normalised, or mixed by attention
    hidden: int  # (group, HIDDEN, 16) inner features
    attending: int  # (ATTENTION_SCRATCH,)
    words: int  # (group, words) the bytes of `units`, then (group, scales)
    inner_words: int  # the same for `hidden`
    sums: int  # (units, outputs, 16) of a convolution
    room: int  # (inputs, PANEL) a panel of floats


class EncoderPhasesCall(NamedTuple):
    """What `encoder_phases` takes."""

    state: OutWords
    begin: int
    end: int
    shape: Shape
    scale: Single
    w: Floats
    plan: EncoderPlan
    convs: ConvTable
    buffers: Buffers


encoder_phases = Entry("encoder.kernel", "encoder_phases", EncoderPhasesCall)


def _deal(units: int, most: int) -> int:
    """Groups of about `most` units, as many for every thread, of the same size by one."""
    threads = get_threads()
    return min(units, threads * -(-units // (threads * most)))


def shape_of(w: PackedEncoder, convs: np.ndarray, positions: int, frames: int, hidden: int, heads: int) -> Shape:
    """Sizes for S positions of T frames."""
    units, wide = -(-positions // LANES), -(-frames // (LANES << len(convs)))
    groups, cuts, width = _deal(units, GROUP), _deal(wide, CONV_GROUP), w.layer_norm.inputs
    group, padded = max(-(-units // groups), -(-wide // cuts)), whole(width)
    words, scales = max(padded, HIDDEN) // 4 * LANES, -(-padded // CHUNK) * LANES
    sums = group * int(convs[:, WIDTH].max()) * LANES
    scratch = group * LANES * (padded + HIDDEN) + ATTENTION_SCRATCH + 2 * group * (words + scales) + sums
    scratch += max(padded, HIDDEN) * PANEL if w.kind == FLOAT16 else 0
    return Shape(
        *(width, padded, hidden, heads, positions, units, groups, group, wide, cuts, frames, w.kind, whole(hidden)),
        *(words, scales, sums, scratch, len(w.plan) - 1, len(convs)),
    )


def buffers_of(shape: Shape, features: np.ndarray, frames: np.ndarray, x: np.ndarray) -> tuple[Buffers, np.ndarray]:
    """Memory of a run, x copied into it, and the array (S, D) that will hold the encoder's."""
    memory, size = np.empty((shape.positions, shape.width), np.float32), x.size
    stream, q, k, v, scratch = empty_lines(size, size, 2 * size, 2 * size, get_threads() * shape.scratch)
    stream[:] = x.reshape(-1)
    flat = np.ascontiguousarray(features, np.float32).reshape(-1)
    return Buffers(flat, frames, stream, q, k, v, scratch, memory.reshape(-1)), memory


class Run(NamedTuple):
    """One utterance on its way through the encoder."""

    shape: Shape
    scale: float  # of the embeddings
    w: PackedEncoder
    convs: np.ndarray  # the table of convolutions: see ops/conv.py
    buffers: Buffers
    memory: np.ndarray  # (S, D) the result

    @property
    def phases(self) -> int:
        """How many there are: laying out the frames, C convolutions, L layers."""
        return len(self.convs) + len(self.w.plan)

    def compute(self, begin: int, end: int) -> None:
        """Run phases begin .. end-1."""
        fixed = (self.shape, np.float32(self.scale), self.w.layer_norm.arena, self.w.plan, self.convs, self.buffers)
        parallel(encoder_phases, end - begin, begin, end, *fixed)

    def rows(self) -> np.ndarray:
        """The stream as it is now: (S, D)."""
        units = self.buffers.x.reshape(self.shape.units, self.shape.padded, LANES)
        return units.transpose(0, 2, 1).reshape(-1, self.shape.padded)[: self.shape.positions, : self.shape.width]

    def frames_after(self, number: int) -> np.ndarray:
        """What a convolution before the last left in its planes: (frames, channels)."""
        line = self.convs[number]
        planes, channels, row = line[PLANES], line[OUTPUTS], line[ROW]
        x = self.buffers.frames[line[TARGET] :][: planes * channels * row].reshape(planes, channels, row)
        return x[:, :, line[MARGIN] :].transpose(2, 0, 1).reshape(-1, channels)[: line[FRAMES]]


def prepare(features: np.ndarray, x: np.ndarray, w: PackedEncoder, positions: int, scale: float, sizes) -> Run:
    """A run over features (T, M); x (units, D in whole panels, 16) are the position rows, `sizes` (F, H)."""
    convs, frames = plan_convolutions(w.conv.conv_layers, len(features))
    shape = shape_of(w, convs, positions, len(features), *sizes)
    buffers, memory = buffers_of(shape, features, frames, x)
    return Run(shape, scale, w, convs, buffers, memory)


def encode(run: Run) -> np.ndarray:
    """The memory (S, D)."""
    step = run.phases if run.shape.positions <= LONG else 1
    for begin in range(0, run.phases, step):
        run.compute(begin, min(begin + step, run.phases))
    return run.memory


def stages(run: Run) -> Iterator[tuple[str, np.ndarray]]:
    """The same phases one by one: (name, rows) of every convolution, of the embedded features, of every layer; memory.

    The last convolution adds to the position rows, scaled. To be seen alone it runs twice, at first by 1 onto zeros.
    """
    last = len(run.convs) - 1
    for phase in range(last + 1):
        run.compute(phase, phase + 1)
        if phase:
            yield f"conv.{phase - 1}", run.frames_after(phase - 1)
    positions = run.buffers.x.copy()
    run.buffers.x[:] = 0
    run._replace(scale=1.0).compute(last + 1, last + 2)
    yield f"conv.{last}", run.rows()
    run.buffers.x[:] = positions
    run.compute(last + 1, last + 2)
    yield "embed_features", run.rows()
    for layer in range(len(run.w.plan) - 1):
        run.compute(last + 2 + layer, last + 3 + layer)
        yield f"encoder.{layer}", run.rows()
    yield "memory", run.memory


def encode_in_stages(run: Run, show: Callable[[str, np.ndarray], None]) -> np.ndarray:
    """The memory (S, D) as `encode` gives it, after show(name, rows) of every stage; rows are copies."""
    for name, rows in stages(run):
        show(name, rows.copy())
    return run.memory


class _Convolutions(NamedTuple):
    """Stands for weights.Subsampler."""

    conv_layers: tuple[PackedConv, ...]


def conv1d_glu(x: np.ndarray, w: PackedConv) -> np.ndarray:
    """(T, I) -> ((T-1)//2 + 1, O/2), as ops.conv1d_glu: an encoder that has this convolution and no layers."""
    alone = PackedEncoder(
        _Convolutions((w,)), (), PackedNorm(w.arena, 0, 0, w.outputs), np.zeros((1, 2), np.int64), w.kind
    )
    positions = (len(x) - 1) // 2 + 1
    zeros = np.zeros((-(-positions // LANES), whole(w.outputs), LANES), np.float32)
    run = prepare(x, zeros, alone, positions, 1.0, (0, 1))
    run.compute(0, 2)
    return run.rows().copy()
