"""The encoder's calls: all phases in one, a phase at a time to look in between, or a single convolution."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..ops.conv import FRAMES, MARGIN, OUTPUTS, PLANES, ROW, TARGET, plan_convolutions
from ..simd.vector import LANES
from ..threads import parallel
from ..weights.pack import PackedConv, PackedEncoder, PackedNorm, whole
from .kernel import encoder_phases
from .workspace import Buffers, Shape, buffers_of, shape_of

LONG = 2000  # positions beyond which phases are calls of their own, so that Ctrl-C is heard between two


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
