"""The encoder's layers as one parallel kernel (readable twin: s2t_np/encoder.py).

Positions stand in the lanes, 16 to a unit, [feature][16]; a thread takes a group of units through a whole layer. Only
keys and values are needed from other groups, so threads meet once a layer: a phase is

    attention of layer l-1 with all keys and values, its output projection, its feed-forward part;
    then norm and query, key and value projections of layer l, written for the next phase

and keys and values alternate between two buffers, so that no group overwrites what another still reads. The
feed-forward part takes its inner features 512 at a time: what lies between its two matrices never leaves the
second-level cache.

Times (layers alone, s2t-small, 250 positions, two cores, medians of 50 and the least): float32 29.1 ms and 28.3, which
is 86 % of the measured roof of 345 GFLOP/s; float16 31.4 and 29.4, for halves are widened once for every panel and
group; int8 11.0 and 10.5.
"""

from typing import NamedTuple

import numpy as np

from . import attention
from .attention import attend
from .jit import ARRAY, inner, kernel
from .late import types
from .linear import NO_FLOOR, RELU
from .norm import normalize_unit
from .pack import FLOAT16, INT8, PANEL, PackedEncoder, whole
from .panel import multiply_panel
from .quantize import CHUNK, quantize_unit
from .threads import STATE, finish, get_threads, parallel, slot, take, wait
from .units import multiply_units, panel_offset
from .vector import LANES, at, move

HIDDEN = CHUNK  # inner features of the feed-forward part at a time
GROUP = 8  # units that a thread takes at a time, about: their rows of all buffers fit the second-level cache

# columns of the plan: weight and bias offsets of the parts of an encoder layer, in the order of its fields
NORM_1, Q, K, V, OUT, NORM_2, FC1, FC2 = range(0, 16, 2)


class Shape(NamedTuple):
    """Sizes of a run."""

    width: int  # D
    padded: int  # D in whole panels: rows of a unit
    hidden: int  # F
    heads: int  # H
    positions: int  # S
    units: int  # S / 16, rounded up
    groups: int  # items of a phase
    group: int  # units of an item, at most
    kind: int  # of the weights
    inner: int  # F in whole panels
    words: int  # of bytes in a unit of quantised activations
    scales: int  # floats: scales of such a unit
    scratch: int  # floats of a thread: see Places


class Buffers(NamedTuple):
    """Memory of a run. Units are [padded D][16]; two of a field means: of even and of odd layers."""

    x: np.ndarray  # (units,) the stream
    q: np.ndarray  # (units,) queries of the layer at hand
    k: np.ndarray  # (2, units) keys
    v: np.ndarray  # (2, padded D / 16, 16 units, 16): 16 features of a value side by side
    scratch: np.ndarray  # (threads, scratch)


class Places(NamedTuple):
    """Addresses of a thread's scratch memory. Words and scales are used where weights are bytes, `room` for halves."""

    units: np.ndarray  # (group, padded D, 16) what the next product takes: normalised, or mixed by attention
    hidden: np.ndarray  # (group, HIDDEN, 16) inner features
    attending: np.ndarray  # (attention.SCRATCH,)
    words: np.ndarray  # (group, words) the bytes of `units`, then (group, scales)
    inner_words: np.ndarray  # the same for `hidden`
    room: np.ndarray  # (inputs, PANEL) a panel of floats


@inner
def _normalize(first, units, part, shape, w, plan, x, y):
    """Layer norm of some units of the stream into y (an array and where to begin)."""
    unit = shape.padded * LANES
    for u in range(units):
        normalize_unit(x, (first + u) * unit, shape.width, w, plan[part], plan[part + 1], y[0], y[1] + u * unit)


@inner
def _places(scratch, shape):
    """The parts of a thread's scratch memory, an address."""
    hidden = move(scratch, shape.group * LANES * shape.padded)
    attending = move(hidden, shape.group * LANES * HIDDEN)
    words = move(attending, attention.SCRATCH)
    inner_words = move(words, shape.group * (shape.words + shape.scales))
    return Places(
        scratch, hidden, attending, words, inner_words, move(inner_words, shape.group * (shape.words + shape.scales))
    )


@inner
def _quantize(x, x_unit, units, depth, shape, words):
    """Where weights are bytes: units x (address) of `depth` features into bytes at `words`, their scales behind."""
    if shape.kind == INT8:
        for u in range(units):
            scales = move(words, shape.group * shape.words + u * shape.scales)
            quantize_unit(move(x, u * x_unit), depth, move(words, u * shape.words), scales)


@inner
def _matrix(part, inputs, outputs, w, plan):
    """What `multiply_units` must know of a part of the plan."""
    return at(w, plan[part]), at(w, plan[part + 1]), inputs, outputs


@inner
def _project(part, residual, y, after, units, shape, w, plan, own):
    """y = W x + b (+ y with `residual`): from the units that wait in scratch to units of D features at y."""
    unit, zeros, d, dd = shape.padded * LANES, at(w, 0), shape.width, shape.padded
    added, scales = (y, LANES, unit) if residual else (zeros, 0, 0), move(own.words, shape.group * shape.words)
    multiply_units(
        *(shape.kind, (own.units, unit), (own.words, shape.words), (scales, shape.scales), units),
        *(_matrix(part, d, dd, w, plan), (0, dd), (0, d), zeros, added, NO_FLOOR, (y, unit), at(w, plan[after])),
        own.room,
    )


@inner
def _project_values(first, units, shape, w, plan, v, own):
    """Values of the units that wait in scratch, as rows of 16 features: v[panel][position][16] from address v on."""
    zeros, d, unit = at(w, 0), shape.width, shape.padded * LANES
    for o in range(0, shape.padded, PANEL):
        panel, terms = at(w, plan[V] + panel_offset(shape.kind, d, o, 0)), (at(w, plan[V + 1] + o), shape.padded)
        for u in range(units):
            words = move(own.words, u * shape.words)
            scales = move(own.words, shape.group * shape.words + u * shape.scales)
            y = move(v, (o * shape.units + (first + u) * LANES) * LANES)
            multiply_panel(
                *(shape.kind, (move(own.units, u * unit), 1, LANES), (words, 1, LANES), (scales, 1, LANES), LANES, d),
                *(panel, terms, zeros, (zeros, 0, 0), NO_FLOOR, (y, LANES, shape.units * LANES * LANES)),
            )


@inner
def _self_attention(first, units, layer, shape, w, buffers, own):
    """Every query of some units looks at all positions; the result waits in scratch."""
    unit, head_width = shape.padded * LANES, shape.width // shape.heads
    side = (layer % 2) * shape.units * unit
    zeros, scale = at(w, 0), np.float32(1.0 / np.sqrt(head_width))
    for head in range(0, shape.width, head_width):
        keys = (at(buffers.k, side + head * LANES), 1, LANES, unit)
        values = (at(buffers.v, side), LANES, shape.units * LANES * LANES)
        for u in range(0, units, 2):
            attend(
                (at(buffers.q, (first + u) * unit + head * LANES), LANES, unit),
                keys,
                values,
                (zeros, 0, 0),
                shape.positions,
                head,
                head_width,
                min(2, units - u),
                scale,
                zeros,
                own.attending,
                (move(own.units, u * unit + head * LANES), LANES, unit),
            )


@inner
def _widen(f, depth, units, shape, w, plan, own):
    """`depth` inner features from f on: relu(W1 x + b1)."""
    zeros, scales = at(w, 0), move(own.words, shape.group * shape.words)
    following = at(w, plan[FC2] + panel_offset(shape.kind, shape.hidden, 0, f))
    multiply_units(
        *(shape.kind, (own.units, shape.padded * LANES), (own.words, shape.words), (scales, shape.scales), units),
        *(_matrix(FC1, shape.width, shape.inner, w, plan), (f, depth), (0, shape.width), zeros, (zeros, 0, 0), RELU),
        *((own.hidden, HIDDEN * LANES), following, own.room),
    )


@inner
def _narrow(f, depth, units, shape, w, plan, x, own):
    """What `depth` inner features from f on add to the stream x: W2 h, with b2 if they are the first."""
    unit, scales = shape.padded * LANES, move(own.inner_words, shape.group * shape.words)
    following = at(w, plan[FC1] + panel_offset(shape.kind, shape.width, f + depth, 0))
    multiply_units(
        *(shape.kind, (own.hidden, HIDDEN * LANES), (own.inner_words, shape.words), (scales, shape.scales), units),
        *(_matrix(FC2, shape.hidden, shape.padded, w, plan), (0, shape.padded), (f, depth), at(w, 0), (x, LANES, unit)),
        *(NO_FLOOR, (x, unit), following, own.room),
    )


@inner
def _feed_forward(first, units, shape, w, plan, x, own):
    """x += W2 relu(W1 normed), the normed units waiting in scratch: inner features in portions."""
    stream = at(x, first * shape.padded * LANES)
    for f in range(0, shape.hidden, HIDDEN):
        depth = min(HIDDEN, shape.hidden - f)
        _widen(f, depth, units, shape, w, plan, own)
        _quantize(own.hidden, HIDDEN * LANES, units, depth, shape, own.inner_words)
        _narrow(f, depth, units, shape, w, plan, stream, own)


@inner
def _finish_layer(first, units, layer, shape, w, plan, buffers, begin):
    """From queries, keys and values to the end of the layer; `begin` is where this thread's scratch begins."""
    unit, own = shape.padded * LANES, _places(at(buffers.scratch, begin), shape)
    _self_attention(first, units, layer, shape, w, buffers, own)
    _quantize(own.units, unit, units, shape.width, shape, own.words)
    _project(OUT, True, at(buffers.x, first * unit), FC1, units, shape, w, plan, own)
    _normalize(first, units, NORM_2, shape, w, plan, buffers.x, (buffers.scratch, begin))
    _quantize(own.units, unit, units, shape.width, shape, own.words)
    _feed_forward(first, units, shape, w, plan, buffers.x, own)


@inner
def _begin_layer(first, units, layer, shape, w, plan, buffers, begin):
    """Norm, then queries, keys and values of some units."""
    unit, own = shape.padded * LANES, _places(at(buffers.scratch, begin), shape)
    side = (layer % 2) * shape.units * unit
    _normalize(first, units, NORM_1, shape, w, plan, buffers.x, (buffers.scratch, begin))
    _quantize(own.units, unit, units, shape.width, shape, own.words)
    _project(Q, False, at(buffers.q, first * unit), K, units, shape, w, plan, own)
    _project(K, False, at(buffers.k, side + first * unit), V, units, shape, w, plan, own)
    _project_values(first, units, shape, w, plan, at(buffers.v, side), own)


SHAPE = types.NamedUniTuple(types.int64, len(Shape._fields), Shape)
BUFFERS = types.NamedUniTuple(ARRAY, len(Buffers._fields), Buffers)
PLAN = types.int64[:, ::1]


@kernel(types.void(STATE, types.int64, types.int64, SHAPE, ARRAY, PLAN, BUFFERS))
def encoder_layers(state, begin, end, shape, w, plan, buffers):
    """Phases begin .. end-1 of L + 1: phase l ends layer l-1 and begins layer l; the last one is the final norm."""
    layers, own = len(plan) - 1, slot(state) * shape.scratch
    for layer in range(begin, end):
        phase = layer - begin
        item = take(state, phase)
        while item < shape.groups:
            first = item * shape.units // shape.groups
            units = (item + 1) * shape.units // shape.groups - first
            if layer > 0:
                _finish_layer(first, units, layer - 1, shape, w, plan[layer - 1], buffers, own)
            if layer < layers:
                _begin_layer(first, units, layer, shape, w, plan[layer], buffers, own)
            else:
                _normalize(first, units, 0, shape, w, plan[layer], buffers.x, (buffers.x, first * shape.padded * LANES))
            finish(state, phase)
            item = take(state, phase)
        wait(state, phase, shape.groups)


def _shape(positions: int, width: int, hidden: int, heads: int, kind: int) -> Shape:
    """Sizes for S positions; units are dealt out evenly, at most about GROUP at a time."""
    units, threads, padded = -(-positions // LANES), get_threads(), whole(width)
    groups = min(units, threads * -(-units // (threads * GROUP)))
    group = -(-units // groups)
    words, scales = max(padded, HIDDEN) // 4 * LANES, -(-padded // CHUNK) * LANES
    scratch = group * LANES * (padded + HIDDEN) + attention.SCRATCH + 2 * group * (words + scales)
    scratch += max(padded, HIDDEN) * PANEL if kind == FLOAT16 else 0
    return Shape(
        width, padded, hidden, heads, positions, units, groups, group, kind, whole(hidden), words, scales, scratch
    )


def to_units(x: np.ndarray, shape: Shape) -> np.ndarray:
    """(S, D) -> units, flat; what lies beyond S and D is zero."""
    units = np.zeros((shape.units, shape.padded, LANES), np.float32)
    full = shape.positions // LANES
    units[:full, : shape.width] = x[: full * LANES].reshape(full, LANES, shape.width).transpose(0, 2, 1)
    if rest := shape.positions - full * LANES:
        units[full, : shape.width, :rest] = x[full * LANES :].T
    return units.reshape(-1)


def from_units(units: np.ndarray, shape: Shape) -> np.ndarray:
    """The inverse: units -> (S, D)."""
    rows = units.reshape(shape.units, shape.padded, LANES).transpose(0, 2, 1)
    return rows.reshape(-1, shape.padded)[: shape.positions, : shape.width].copy()


def run_layers(x: np.ndarray, w: PackedEncoder, hidden: int, heads: int) -> np.ndarray:
    """All layers and the final norm: x (S, D) -> memory (S, D).

    Long recordings go a layer at a time, so that Ctrl-C is heard between two calls.
    """
    shape = _shape(len(x), x.shape[1], hidden, heads, w.kind)
    size = shape.units * shape.padded * LANES
    buffers = Buffers(
        to_units(x, shape), *(np.empty(n * size, np.float32) for n in (1, 2, 2)), np.empty(0, np.float32)
    )._replace(scratch=np.empty(get_threads() * shape.scratch, np.float32))
    phases = len(w.plan)
    step = phases if len(x) <= 2000 else 1
    for begin in range(0, phases, step):
        parallel(encoder_layers, step, begin, min(begin + step, phases), shape, w.layer_norm.arena, w.plan, buffers)
    return from_units(buffers.x, shape)
