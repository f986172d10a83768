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
huge pages for all buffers; asking for the value projection's panels beforehand. Floats in AMX's registers
(`gemm_pieces.py`): 27.7 -> 22.1 on a later machine, 54.5 -> 38.7 on one thread.
"""

import numpy as np

from ..build.device import entry, inlined, linked
from ..layout import INT8, NO_FLOOR, PANEL, RELU
from ..ops.attention import Head, KeysAndValues, attend
from ..ops.conv import convolve, gate, gate_planes, spread_frames
from ..ops.gemm_blocked import multiply_units, rows_of, split_relu
from ..ops.gemm_panel import multiply_panel
from ..ops.gemm_pieces import split_unit
from ..ops.host import ATTENTION_SCRATCH, PLANES, WIDTH, ConvRun, ConvScratch, ConvUnits, Norm
from ..ops.matrices import Matrix, MatrixSlice, Rows, Units, no_operand, panel_of, panel_offset
from ..ops.norm import normalize_unit
from ..ops.quantize import quantize_unit
from ..simd.operands import Operand, Output
from ..simd.scheduling import barrier, done, next_item, thread_id
from ..simd.tile_amx import HAS_FLOAT_TILES
from ..simd.vector import LANES, at, move
from . import columns
from .host import INNER, EncoderPhasesCall, EncoderRun, EncoderScratch, UnitGroup


@inlined
def _scratch_of(run, thread):
    """The parts of a thread's scratch memory."""
    shape = run.shape
    units = at(run.buffers.scratch, thread * shape.scratch)
    hidden = move(units, shape.group * LANES * shape.padded)
    attending = move(hidden, shape.group * LANES * INNER)
    words = move(attending, ATTENTION_SCRATCH)
    inner_words = move(words, shape.group * (shape.words + shape.scales))
    sums = move(inner_words, shape.group * (shape.words + shape.scales))
    return EncoderScratch(units, hidden, attending, words, inner_words, sums, move(sums, shape.sums))


@inlined
def _conv_run(run, number, own):
    """A convolution, computing in the same scratch memory."""
    scales = move(own.inner_words, run.shape.group * run.shape.words)
    scratch = ConvScratch(own.hidden, own.inner_words, scales, own.sums, own.panel)
    return ConvRun(run.convs[number], run.shape.dtype, run.shape.pieces, run.w, run.buffers.frames, scratch)


@inlined
def _unit(run):
    """Floats of a unit of D features."""
    return run.shape.padded * LANES


@inlined
def _normalize(run, group, column, y):
    """Layer norm of some units of the stream into y (address)."""
    plan = run.plan[group.layer]
    norm = Norm(run.w, plan[column], plan[column + 1], run.shape.width)
    for u in range(group.count):
        normalize_unit(at(run.buffers.x, (group.first + u) * _unit(run)), norm, move(y, u * _unit(run)))


@inlined
def _convolve(run, number, item, own):
    """A convolution before the last, some units of a plane."""
    plane, cut = item // run.shape.cuts, item % run.shape.cuts
    first = cut * run.shape.wide // run.shape.cuts
    here = ConvUnits(plane, first, (cut + 1) * run.shape.wide // run.shape.cuts - first)
    conv = _conv_run(run, number, own)
    convolve(conv, here)
    gate_planes(conv, here)


@inlined
def _embed(run, group, own):
    """The last convolution, times the scale, onto the positions that wait in the stream."""
    conv = _conv_run(run, run.shape.convs - 1, own)
    convolve(conv, ConvUnits(0, group.first, group.count))
    for u in range(group.count):
        x = Operand(at(run.buffers.x, (group.first + u) * _unit(run)), LANES, 0)
        gate(move(own.sums, u * conv.conv[WIDTH] * LANES), run.shape.width, run.scale, x, x)


@inlined
def _units(run, floats, unit, words):
    """Units at an address with their bytes, whose scales follow the bytes of all units."""
    scales = move(words, run.shape.group * run.shape.words)
    return Units(floats, unit, words, run.shape.words, scales, run.shape.scales, run.shape.pieces)


@inlined
def _inner(run, own):
    """Inner features of the feed-forward part."""
    return _units(run, own.hidden, INNER * LANES, own.inner_words)


@inlined
def _prepare(run, x, count, depth, own):
    """Bring some units, `depth` features each, into the form that products take them in.

    Bytes with their scales where weights are bytes, pieces where AMX multiplies floats.
    """
    for u in range(count):
        floats, words = move(x.floats, u * x.unit), move(x.words, u * x.words_unit)
        if run.shape.dtype == INT8:
            quantize_unit(floats, depth, words, move(x.scales, u * x.scales_unit))
        elif HAS_FLOAT_TILES and run.shape.pieces:
            split_unit(floats, depth, words, own.attending)


@inlined
def _matrix(run, layer, column, inputs, outputs):
    """A matrix of the plan."""
    plan = run.plan[layer]
    return Matrix(run.shape.dtype, at(run.w, plan[column]), at(run.w, plan[column + 1]), inputs, outputs, at(run.w, 0))


@linked
def _project(run: EncoderRun, group: UnitGroup, column: int, y: int, residual: int, after: int, own: EncoderScratch):
    """y = W x + b (+ y if `residual`), from units in scratch to units at y; `after`: the next column."""
    shape, target = run.shape, Operand(y, LANES, _unit(run))
    out = Output(target, target if residual else no_operand(at(run.w, 0)), NO_FLOOR)
    multiply_units(
        _units(run, own.units, _unit(run), own.words),
        group.count,
        _matrix(run, group.layer, column, shape.width, shape.padded),
        MatrixSlice(0, shape.padded, 0, shape.width),
        out,
        at(run.w, run.plan[group.layer, after]),
        own.panel,
    )


@inlined
def _project_values(run, group, v, own):
    """Values of the units that wait in scratch, as rows of 16 features: v[panel][position][16] from address v on."""
    shape, matrix = run.shape, _matrix(run, group.layer, columns.V, run.shape.width, run.shape.padded)
    all_units = _units(run, own.units, _unit(run), own.words)
    if HAS_FLOAT_TILES and shape.pieces:
        square, after = LANES * LANES, at(run.w, run.plan[group.layer, columns.OUT])
        y = Operand(move(v, group.first * square), shape.units * square, square)
        rows_of(all_units, group.count, matrix, y, after, own.panel)
        return
    for o in range(0, shape.padded, PANEL):
        weights = move(matrix.weights, panel_offset(shape.dtype, shape.width, o, 0))
        following = move(weights, panel_offset(shape.dtype, shape.width, PANEL, 0))
        panel = panel_of(weights, following, move(matrix.terms, o), shape.padded, matrix.zeros)
        for u in range(group.count):
            x = Rows(
                Operand(move(own.units, u * _unit(run)), 1, LANES),
                Operand(move(all_units.words, u * shape.words), 1, LANES),
                Operand(move(all_units.scales, u * shape.scales), 1, LANES),
                0,
            )
            y = Operand(
                move(v, (o * shape.units + (group.first + u) * LANES) * LANES), LANES, shape.units * LANES * LANES
            )
            multiply_panel(shape.dtype, x, LANES, shape.width, panel, Output(y, no_operand(matrix.zeros), NO_FLOOR))


@inlined
def _side(run, layer):
    """Return where the keys and values of a layer begin: even and odd layers take turns."""
    return (layer % 2) * run.shape.units * _unit(run)


@inlined
def _self_attention(run, group, own):
    """Every query of some units looks at all positions; the result waits in scratch."""
    shape, unit, side, zeros = run.shape, _unit(run), _side(run, group.layer), at(run.w, 0)
    width, values = shape.width // shape.heads, at(run.buffers.v, _side(run, group.layer))
    scale = np.float32(1.0 / np.sqrt(width))
    for feature in range(0, shape.width, width):
        keys = at(run.buffers.k, side + feature * LANES)
        past = KeysAndValues(keys, 1, LANES, unit, values, LANES, shape.units * LANES * LANES)
        for u in range(0, group.count, 2):
            attend(
                Operand(at(run.buffers.q, (group.first + u) * unit + feature * LANES), LANES, unit),
                past,
                no_operand(zeros),
                Head(feature, width, shape.positions, min(2, group.count - u), scale, zeros),
                own.attending,
                Operand(move(own.units, u * unit + feature * LANES), LANES, unit),
            )


@inlined
def _widen(run, group, f, depth, own):
    """`depth` inner features from f on: relu(W1 x + b1), in the form that the next product takes them in."""
    shape, zeros = run.shape, at(run.w, 0)
    after = at(run.w, run.plan[group.layer, columns.FC2] + panel_offset(shape.dtype, shape.hidden, 0, f))
    x, inner = _units(run, own.units, _unit(run), own.words), _inner(run, own)
    matrix, part = (
        _matrix(run, group.layer, columns.FC1, shape.width, shape.inner),
        MatrixSlice(f, depth, 0, shape.width),
    )
    if HAS_FLOAT_TILES and shape.pieces:
        split_relu(x, group.count, matrix, part, Operand(inner.words, LANES, inner.words_unit), after, own.panel)
    else:
        y = Output(Operand(inner.floats, LANES, inner.unit), no_operand(zeros), RELU)
        multiply_units(x, group.count, matrix, part, y, after, own.panel)
        _prepare(run, inner, group.count, depth, own)


@inlined
def _narrow(run, group, f, depth, own):
    """Add the contribution of `depth` inner features from f on to the stream: W2 h, with b2 if they are the first."""
    shape, x = run.shape, Operand(at(run.buffers.x, group.first * _unit(run)), LANES, _unit(run))
    after = run.plan[group.layer, columns.FC1] + panel_offset(shape.dtype, shape.width, f + depth, 0)
    multiply_units(
        _inner(run, own),
        group.count,
        _matrix(run, group.layer, columns.FC2, shape.hidden, shape.padded),
        MatrixSlice(0, shape.padded, f, depth),
        Output(x, x, NO_FLOOR),
        at(run.w, after),
        own.panel,
    )


@linked
def _feed_forward(run: EncoderRun, group: UnitGroup, own: EncoderScratch):
    """x += W2 relu(W1 normed); the normalised units wait in scratch, and inner features come in portions."""
    for f in range(0, run.shape.hidden, INNER):
        depth = min(INNER, run.shape.hidden - f)
        _widen(run, group, f, depth, own)
        _narrow(run, group, f, depth, own)


@linked
def _finish_layer(run: EncoderRun, group: UnitGroup, own: EncoderScratch):
    """From queries, keys and values to the end of the layer."""
    waiting = _units(run, own.units, _unit(run), own.words)
    _self_attention(run, group, own)
    _prepare(run, waiting, group.count, run.shape.width, own)
    _project(run, group, columns.OUT, at(run.buffers.x, group.first * _unit(run)), 1, columns.FC1, own)
    _normalize(run, group, columns.NORM_2, own.units)
    _prepare(run, waiting, group.count, run.shape.width, own)
    _feed_forward(run, group, own)


@linked
def _begin_layer(run: EncoderRun, group: UnitGroup, own: EncoderScratch):
    """Norm, then queries, keys and values of some units."""
    start, side = group.first * _unit(run), _side(run, group.layer)
    _normalize(run, group, columns.NORM_1, own.units)
    _prepare(run, _units(run, own.units, _unit(run), own.words), group.count, run.shape.width, own)
    _project(run, group, columns.Q, at(run.buffers.q, start), 0, columns.K, own)
    _project(run, group, columns.K, at(run.buffers.k, side + start), 0, columns.V, own)
    _project_values(run, group, at(run.buffers.v, side), own)


@linked
def _write_memory(run: EncoderRun, group: UnitGroup):
    """Normalised units, which wait in the place of queries, as rows of D."""
    shape, x, memory = run.shape, run.buffers.q, run.buffers.memory
    for u in range(group.first, group.first + group.count):
        for lane in range(min(LANES, shape.positions - u * LANES)):
            for d in range(shape.width):
                memory[(u * LANES + lane) * shape.width + d] = x[(u * shape.padded + d) * LANES + lane]


@inlined
def _layer(run, layer, item, own):
    """Some units: the end of layer - 1, or what comes before all layers; the beginning of layer, or the final norm."""
    shape, first = run.shape, item * run.shape.units // run.shape.groups
    count = (item + 1) * shape.units // shape.groups - first
    group = UnitGroup(layer, first, count)
    if layer > 0:
        _finish_layer(run, UnitGroup(layer - 1, first, count), own)
    else:
        _embed(run, group, own)
    if layer < shape.layers:
        _begin_layer(run, group, own)
    else:
        _normalize(run, group, columns.FINAL_NORM, at(run.buffers.q, first * _unit(run)))
        _write_memory(run, group)


@inlined
def _items(run, phase):
    """Items of a phase."""
    if phase == 0:
        return 2 * run.convs[0, PLANES] * run.shape.wide
    return run.convs[phase - 1, PLANES] * run.shape.cuts if phase < run.shape.convs else run.shape.groups


@entry
def encoder_phases(call: EncoderPhasesCall):
    """Phases begin .. end-1 of C + L + 1, where `convs` has C rows and `plan` L + 1.

    Phase 0 lays the features out in planes, phase c < C is convolution c - 1. Phase C is the last convolution with the
    beginning of layer 0, phase C + l ends layer l - 1 and begins layer l; the last one ends in the final norm.
    """
    run, shape = call.run, call.run.shape
    own = _scratch_of(run, thread_id(call.state))
    for phase in range(call.begin, call.end):
        number, items = phase - call.begin, _items(run, phase)
        item = next_item(call.state, number)
        while item < items:
            if phase == 0:
                spread_frames(item, shape.wide, run.convs[0], shape.frames, run.buffers.features, run.buffers.frames)
            elif phase < shape.convs:
                _convolve(run, phase - 1, item, own)
            else:
                _layer(run, phase - shape.convs, item, own)
            done(call.state, number)
            item = next_item(call.state, number)
        barrier(call.state, number, items)
