"""The whole encoder as one parallel kernel, from features to memory (readable twin: s2t_np/encoder.py).

Positions stand in the lanes, 16 to a unit, [feature][16]. All convolutions but the last are phases of their own
(`conv.py`). From there on a thread takes a group of units through a whole layer: only keys and values are needed from
other groups, so threads meet once a layer, and a phase is

    attention of layer l-1 with all keys and values, its output projection, its feed-forward part (or, before the first
    layer, the last convolution);
    then norm and query, key and value projections of layer l, written for the next phase

and keys and values alternate between two buffers, so that no group overwrites what another still reads. The
feed-forward part takes its inner features 512 at a time: what lies between its two matrices never leaves the
second-level cache.

Versions (s2t-small, 998 frames, 250 positions, two cores, medians of trees in turn): convolutions, padding, positions
and transposing apart, float32 33.4 ms, float16 37.2, int8 12.9; all in one call 32.9, 36.0, 12.6; buffers that begin at
lines of the cache 32.1, int8 12.0 (11.9 with margins cleared by all threads). Of float32, which is 88 % of the measured
roof of 345 GFLOP/s: feed-forward 61 % at 160 GFLOP/s a core (163 with the 6 positions that fill the last unit),
convolutions 11 % (154), attention 10 % (120), other projections 16 % (138 to 160), norms and gates 1 %. No gain:
huge pages for all buffers; asking for the value projection's panels beforehand.
"""

import numpy as np

from ..build.arguments import Floats, Words
from ..build.device import entry, inlined, linked
from ..layout import INT8, NO_FLOOR, PANEL, RELU
from ..ops.attention import attend
from ..ops.conv import PLANES, WIDTH, convolve, gate, gate_planes, spread_frames
from ..ops.gemm_blocked import multiply_units, panel_offset
from ..ops.gemm_panel import multiply_panel
from ..ops.host import ATTENTION_SCRATCH, ConvScratch
from ..ops.norm import normalize_unit
from ..ops.quantize import quantize_unit
from ..simd.scheduling import finish, slot, take, wait
from ..simd.vector import LANES, at, move
from .host import HIDDEN, Buffers, EncoderPhasesCall, Places, Shape

# columns of the plan: weight and bias offsets of the parts of an encoder layer, in the order of its fields
NORM_1, Q, K, V, OUT, NORM_2, FC1, FC2 = range(0, 16, 2)


@inlined
def places(scratch, shape):
    """The parts of a thread's scratch memory, an address."""
    hidden = move(scratch, shape.group * LANES * shape.padded)
    attending = move(hidden, shape.group * LANES * HIDDEN)
    words = move(attending, ATTENTION_SCRATCH)
    inner_words = move(words, shape.group * (shape.words + shape.scales))
    sums = move(inner_words, shape.group * (shape.words + shape.scales))
    return Places(scratch, hidden, attending, words, inner_words, sums, move(sums, shape.sums))


@inlined
def room(own, shape):
    """The same memory as convolutions use it."""
    return ConvScratch(
        own.hidden, own.inner_words, move(own.inner_words, shape.group * shape.words), own.sums, own.room
    )


@inlined
def _normalize(first, units, which, shape, w, plan, x, y):
    """Layer norm of some units of the stream x into y (address)."""
    unit = shape.padded * LANES
    for u in range(units):
        normalize_unit(at(x, (first + u) * unit), shape.width, w, plan[which], plan[which + 1], move(y, u * unit))


@inlined
def _convolve(item, conv, shape, w, buffers, own):
    """A convolution before the last, some units of a plane."""
    own = room(own, shape)
    plane, cut = item // shape.cuts, item % shape.cuts
    first = cut * shape.wide // shape.cuts
    units = (cut + 1) * shape.wide // shape.cuts - first
    convolve(first, units, plane, conv, shape.kind, w, buffers.frames, own)
    gate_planes(first, units, plane, conv, w, buffers.frames, own)


@inlined
def _embed(first, units, conv, scale, shape, w, buffers, own):
    """The last convolution, times the scale, onto the positions that wait in the stream."""
    own = room(own, shape)
    convolve(first, units, 0, conv, shape.kind, w, buffers.frames, own)
    for u in range(units):
        x = (at(buffers.x, (first + u) * shape.padded * LANES), LANES)
        gate(move(own.sums, u * conv[WIDTH] * LANES), shape.width, scale, x, x)


@inlined
def _quantize(x, x_unit, units, depth, shape, words):
    """Where weights are bytes: units x (address) of `depth` features into bytes at `words`, their scales behind."""
    if shape.kind == INT8:
        for u in range(units):
            scales = move(words, shape.group * shape.words + u * shape.scales)
            quantize_unit(move(x, u * x_unit), depth, move(words, u * shape.words), scales)


@inlined
def _matrix(which, inputs, outputs, w, plan):
    """What `multiply_units` must know of a part of the plan."""
    return at(w, plan[which]), at(w, plan[which + 1]), inputs, outputs


@linked
def _project(
    which: int, residual: int, y: int, after: int, units: int, shape: Shape, w: Floats, plan: Words, own: Places
):
    """y = W x + b (+ y if `residual`): from the units that wait in scratch to units of D features at y."""
    unit, zeros, d, dd = shape.padded * LANES, at(w, 0), shape.width, shape.padded
    added, scales = (y, LANES, unit) if residual else (zeros, 0, 0), move(own.words, shape.group * shape.words)
    multiply_units(
        *(shape.kind, (own.units, unit), (own.words, shape.words), (scales, shape.scales), units),
        *(_matrix(which, d, dd, w, plan), (0, dd), (0, d), zeros, added, NO_FLOOR, (y, unit), at(w, plan[after])),
        own.room,
    )


@inlined
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


@inlined
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


@inlined
def _widen(f, depth, units, shape, w, plan, own):
    """`depth` inner features from f on: relu(W1 x + b1)."""
    zeros, scales = at(w, 0), move(own.words, shape.group * shape.words)
    following = at(w, plan[FC2] + panel_offset(shape.kind, shape.hidden, 0, f))
    multiply_units(
        *(shape.kind, (own.units, shape.padded * LANES), (own.words, shape.words), (scales, shape.scales), units),
        *(_matrix(FC1, shape.width, shape.inner, w, plan), (f, depth), (0, shape.width), zeros, (zeros, 0, 0), RELU),
        *((own.hidden, HIDDEN * LANES), following, own.room),
    )


@inlined
def _narrow(f, depth, units, shape, w, plan, x, own):
    """What `depth` inner features from f on add to the stream x: W2 h, with b2 if they are the first."""
    unit, scales = shape.padded * LANES, move(own.inner_words, shape.group * shape.words)
    following = at(w, plan[FC1] + panel_offset(shape.kind, shape.width, f + depth, 0))
    multiply_units(
        *(shape.kind, (own.hidden, HIDDEN * LANES), (own.inner_words, shape.words), (scales, shape.scales), units),
        *(_matrix(FC2, shape.hidden, shape.padded, w, plan), (0, shape.padded), (f, depth), at(w, 0), (x, LANES, unit)),
        *(NO_FLOOR, (x, unit), following, own.room),
    )


@linked
def _feed_forward(first: int, units: int, shape: Shape, w: Floats, plan: Words, x: Floats, own: Places):
    """x += W2 relu(W1 normed), the normed units waiting in scratch: inner features in portions."""
    stream = at(x, first * shape.padded * LANES)
    for f in range(0, shape.hidden, HIDDEN):
        depth = min(HIDDEN, shape.hidden - f)
        _widen(f, depth, units, shape, w, plan, own)
        _quantize(own.hidden, HIDDEN * LANES, units, depth, shape, own.inner_words)
        _narrow(f, depth, units, shape, w, plan, stream, own)


@linked
def _finish_layer(
    first: int, units: int, layer: int, shape: Shape, w: Floats, plan: Words, buffers: Buffers, own: Places
):
    """From queries, keys and values to the end of the layer."""
    unit = shape.padded * LANES
    _self_attention(first, units, layer, shape, w, buffers, own)
    _quantize(own.units, unit, units, shape.width, shape, own.words)
    _project(OUT, 1, at(buffers.x, first * unit), FC1, units, shape, w, plan, own)
    _normalize(first, units, NORM_2, shape, w, plan, buffers.x, own.units)
    _quantize(own.units, unit, units, shape.width, shape, own.words)
    _feed_forward(first, units, shape, w, plan, buffers.x, own)


@linked
def _begin_layer(
    first: int, units: int, layer: int, shape: Shape, w: Floats, plan: Words, buffers: Buffers, own: Places
):
    """Norm, then queries, keys and values of some units."""
    unit = shape.padded * LANES
    side = (layer % 2) * shape.units * unit
    _normalize(first, units, NORM_1, shape, w, plan, buffers.x, own.units)
    _quantize(own.units, unit, units, shape.width, shape, own.words)
    _project(Q, 0, at(buffers.q, first * unit), K, units, shape, w, plan, own)
    _project(K, 0, at(buffers.k, side + first * unit), V, units, shape, w, plan, own)
    _project_values(first, units, shape, w, plan, at(buffers.v, side), own)


@linked
def _write_memory(first: int, units: int, shape: Shape, x: Floats, memory: Floats):
    """Normalised units x as rows of D."""
    for u in range(first, first + units):
        for lane in range(min(LANES, shape.positions - u * LANES)):
            for d in range(shape.width):
                memory[(u * LANES + lane) * shape.width + d] = x[(u * shape.padded + d) * LANES + lane]


@inlined
def _layer(item, layer, scale, shape, w, plan, convs, buffers, own):
    """Some units: the end of layer - 1, or what comes before all layers; the beginning of layer, or the final norm."""
    first, layers = item * shape.units // shape.groups, shape.layers
    units = (item + 1) * shape.units // shape.groups - first
    if layer > 0:
        _finish_layer(first, units, layer - 1, shape, w, plan[layer - 1], buffers, own)
    else:
        _embed(first, units, convs[shape.convs - 1], scale, shape, w, buffers, own)
    if layer < layers:
        _begin_layer(first, units, layer, shape, w, plan[layer], buffers, own)
    else:
        _normalize(first, units, 0, shape, w, plan[layer], buffers.x, at(buffers.q, first * shape.padded * LANES))
        _write_memory(first, units, shape, buffers.q, buffers.memory)


@inlined
def _items(phase, shape, convs):
    """Items of a phase."""
    if phase == 0:
        return 2 * convs[0, PLANES] * shape.wide
    return convs[phase - 1, PLANES] * shape.cuts if phase < shape.convs else shape.groups


@entry
def encoder_phases(call: EncoderPhasesCall):
    """Phases begin .. end-1 of C + L + 1, where `convs` has C rows and `plan` L + 1.

    Phase 0 lays the features out in planes, phase c < C is convolution c - 1. Phase C is the last one with the
    beginning of layer 0, phase C + l ends layer l - 1 and begins layer l; the last one ends in the final norm.
    """
    state, begin, end, shape, scale, w, plan, convs, buffers = call
    own = places(at(buffers.scratch, slot(state) * shape.scratch), shape)
    for phase in range(begin, end):
        number, items = phase - begin, _items(phase, shape, convs)
        item = take(state, number)
        while item < items:
            if phase == 0:
                spread_frames(item, shape.wide, convs[0], shape.frames, buffers.features, buffers.frames)
            elif phase < shape.convs:
                _convolve(item, convs[phase - 1], shape, w, buffers, own)
            else:
                _layer(item, phase - shape.convs, scale, shape, w, plan, convs, buffers, own)
            finish(state, number)
            item = take(state, number)
        wait(state, number, items)
