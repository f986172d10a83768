"""The encoder's layers as one parallel kernel (readable twin: s2t_np/encoder.py).

Positions stand in the lanes, 16 to a unit, [feature][16]; a thread takes a group of units through a whole layer. Only
keys and values are needed from other groups, so threads meet once a layer: a phase is

    attention of layer l-1 with all keys and values, its output projection, its feed-forward part;
    then norm and query, key and value projections of layer l, written for the next phase

and keys and values alternate between two buffers, so that no group overwrites what another still reads. The
feed-forward part takes its inner features 512 at a time: what lies between its two matrices never leaves the
second-level cache.
"""

from typing import NamedTuple

import numpy as np

from . import attention
from .attention import attend
from .jit import ARRAY, inner, kernel
from .late import types
from .linear import NO_FLOOR, RELU, linear_panel, linear_units
from .linear_int8 import linear_panel_int8, linear_units_int8
from .norm import normalize_unit
from .pack import INT8, PANEL, PackedEncoder, whole
from .quantize import CHUNK, quantize_unit
from .threads import STATE, finish, get_threads, parallel, slot, take, wait
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
    scratch: int  # floats of a thread: normalised or mixed units, inner features, attention's scores; words, scales


class Buffers(NamedTuple):
    """Memory of a run. Units are [padded D][16]; two of a field means: of even and of odd layers."""

    x: np.ndarray  # (units,) the stream
    q: np.ndarray  # (units,) queries of the layer at hand
    k: np.ndarray  # (2, units) keys
    v: np.ndarray  # (2, padded D / 16, 16 units, 16): 16 features of a value side by side
    scratch: np.ndarray  # (threads, scratch)


@inner
def _normalize(first, units, part, shape, w, plan, x, y):
    """Layer norm of some units of the stream into y (an array and where to begin)."""
    unit = shape.padded * LANES
    for u in range(units):
        normalize_unit(x, (first + u) * unit, shape.width, w, plan[part], plan[part + 1], y[0], y[1] + u * unit)


@inner
def _quantize(x, x_unit, units, depth, shape, words):
    """Units x (address) of `depth` features into bytes at the address `words`, their scales behind them."""
    for u in range(units):
        scales = move(words, shape.group * shape.words + u * shape.scales)
        quantize_unit(move(x, u * x_unit), depth, move(words, u * shape.words), scales)


@inner
def _bytes(shape, words):
    """The operands of the int8 products: what `_quantize` left."""
    return (words, shape.words), (move(words, shape.group * shape.words), shape.scales)


@inner
def _project(x, units, part, shape, w, plan, residual, y, after, words):
    """y = x W^T + b (+ y with `residual`): units of D features from and to addresses."""
    unit, zeros = shape.padded * LANES, at(w, 0)
    added = (y, LANES, unit) if residual else (zeros, 0, 0)
    weight, terms, following = at(w, plan[part]), at(w, plan[part + 1]), at(w, plan[after])
    if shape.kind == INT8:
        source, scales = _bytes(shape, words)
        panel, terms_1 = (weight, (shape.width + 3) // 4 * PANEL), (terms, shape.padded)
        linear_units_int8(
            source,
            scales,
            units,
            0,
            shape.width,
            panel,
            terms_1,
            shape.padded,
            zeros,
            added,
            NO_FLOOR,
            (y, unit),
            following,
        )
    else:
        panel, bias = (weight, shape.width * PANEL), (terms, 1)
        linear_units(
            (x, unit), units, shape.width, panel, bias, shape.padded, zeros, added, NO_FLOOR, (y, unit), following
        )


@inner
def _project_values(x, first, units, shape, w, plan, v, words):
    """Values of some units x, as rows of 16 features: v[panel][position][16] from address v on."""
    zeros, depth = at(w, 0), shape.width
    none = (zeros, 0, 0)
    for p in range(0, shape.padded, PANEL):
        for u in range(units):
            y = (move(v, (p * shape.units + (first + u) * LANES) * LANES), LANES, shape.units * LANES * LANES)
            if shape.kind == INT8:
                source, scales = _bytes(shape, words)
                panel, terms = at(w, plan[V] + p * ((depth + 3) // 4)), (at(w, plan[V + 1] + p), shape.padded)
                rows, own = (move(source[0], u * source[1]), 1, LANES), (move(scales[0], u * scales[1]), 1, LANES)
                linear_panel_int8(rows, own, LANES, depth, panel, terms, zeros, none, NO_FLOOR, y)
            else:
                rows, panel = (move(x, u * shape.padded * LANES), 1, LANES), at(w, plan[V] + p * depth)
                linear_panel(rows, LANES, depth, panel, at(w, plan[V + 1] + p), zeros, none, NO_FLOOR, y)


@inner
def _self_attention(first, units, layer, shape, w, buffers, mixed):
    """Every query of some units looks at all positions; `mixed` (address) gets the units of the result."""
    unit, head_width = shape.padded * LANES, shape.width // shape.heads
    side = (layer % 2) * shape.units * unit
    zeros, scratch = at(w, 0), move(mixed, shape.group * LANES * (shape.padded + HIDDEN))
    scale = np.float32(1.0 / np.sqrt(head_width))
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
                scratch,
                (move(mixed, u * unit + head * LANES), LANES, unit),
            )


@inner
def _widen(f, depth, x, units, shape, w, plan, y, after, words):
    """`depth` inner features from f on: relu(W1 x + b1), units from and to addresses."""
    zeros, source, target = at(w, 0), (x, shape.padded * LANES), (y, HIDDEN * LANES)
    none, width = (zeros, 0, 0), shape.width
    if shape.kind == INT8:
        quads = (width + 3) // 4
        panel, terms = (at(w, plan[FC1] + f * quads), quads * PANEL), (at(w, plan[FC1 + 1] + f), shape.inner)
        source, scales = _bytes(shape, words)
        linear_units_int8(source, scales, units, 0, width, panel, terms, depth, zeros, none, RELU, target, after)
    else:
        panel, bias = (at(w, plan[FC1] + f * width), width * PANEL), (at(w, plan[FC1 + 1] + f), 1)
        linear_units(source, units, width, panel, bias, depth, zeros, none, RELU, target, after)


@inner
def _narrow(f, depth, x, units, shape, w, plan, y, after, words):
    """What `depth` inner features from f on add to the stream y: W2 x, with b2 if they are the first."""
    zeros, source, target = at(w, 0), (x, HIDDEN * LANES), (y, shape.padded * LANES)
    stream = (y, LANES, shape.padded * LANES)
    if shape.kind == INT8:
        _quantize(x, HIDDEN * LANES, units, depth, shape, words)
        panel = (at(w, plan[FC2] + f // 4 * PANEL), (shape.hidden + 3) // 4 * PANEL)
        source, scales = _bytes(shape, words)
        terms = (at(w, plan[FC2 + 1]), shape.padded)
        linear_units_int8(
            source, scales, units, f, depth, panel, terms, shape.padded, zeros, stream, NO_FLOOR, target, after
        )
    else:
        panel = (at(w, plan[FC2] + f * PANEL), shape.hidden * PANEL)
        bias = (zeros, 0) if f else (at(w, plan[FC2 + 1]), 1)
        linear_units(source, units, depth, panel, bias, shape.padded, zeros, stream, NO_FLOOR, target, after)


@inner
def _feed_forward(first, units, shape, w, plan, x, normed, words):
    """x += W2 relu(W1 normed): inner features in portions, behind the normed units (an address) in scratch."""
    hidden, stream = move(normed, shape.group * shape.padded * LANES), at(x, first * shape.padded * LANES)
    for f in range(0, shape.hidden, HIDDEN):
        depth = min(HIDDEN, shape.hidden - f)
        if shape.kind == INT8:  # again: the bytes of the inner features took the place
            _quantize(normed, shape.padded * LANES, units, shape.width, shape, words)
        _widen(f, depth, normed, units, shape, w, plan, hidden, at(w, plan[FC2] + f), words)
        _narrow(f, depth, hidden, units, shape, w, plan, stream, at(w, plan[FC1] + f), words)


@inner
def _finish_layer(first, units, layer, shape, w, plan, buffers, own):
    """From queries, keys and values to the end of the layer; `own` is where this thread's scratch begins."""
    unit, scratch = shape.padded * LANES, at(buffers.scratch, own)
    words = move(scratch, shape.scratch - shape.group * (shape.words + shape.scales))
    _self_attention(first, units, layer, shape, w, buffers, scratch)
    if shape.kind == INT8:
        _quantize(scratch, unit, units, shape.width, shape, words)
    _project(scratch, units, OUT, shape, w, plan, True, at(buffers.x, first * unit), FC1, words)
    _normalize(first, units, NORM_2, shape, w, plan, buffers.x, (buffers.scratch, own))
    _feed_forward(first, units, shape, w, plan, buffers.x, scratch, words)


@inner
def _begin_layer(first, units, layer, shape, w, plan, buffers, own):
    """Norm, then queries, keys and values of some units."""
    unit, scratch = shape.padded * LANES, at(buffers.scratch, own)
    words = move(scratch, shape.scratch - shape.group * (shape.words + shape.scales))
    side = (layer % 2) * shape.units * unit
    _normalize(first, units, NORM_1, shape, w, plan, buffers.x, (buffers.scratch, own))
    if shape.kind == INT8:
        _quantize(scratch, unit, units, shape.width, shape, words)
    _project(scratch, units, Q, shape, w, plan, False, at(buffers.q, first * unit), K, words)
    _project(scratch, units, K, shape, w, plan, False, at(buffers.k, side + first * unit), V, words)
    _project_values(scratch, first, units, shape, w, plan, at(buffers.v, side), words)


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
    scratch = group * LANES * (padded + HIDDEN) + attention.SCRATCH + group * (words + scales)
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
