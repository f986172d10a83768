"""Measures of frames that tell speech from other sounds (plain twin: longform.vad_ops.frame_measures).

Eight frames stand side by side, as they lie in the spectra [frequency][frame]. Sums over neighbouring frequencies are
moved along, one added, one taken away: in float64 that loses 1e-6 at most of a sum 90 dB below the strongest frequency.

10 s of sound take 0.44 ms on one thread, of which most are logarithms, two for a number; numpy takes 1.3 ms in float32.
"""

from ..build.device import entry, inlined
from ..layout import DOUBLE_LANES
from ..simd.scheduling import barrier, done, next_item, thread_id
from ..simd.vector64 import fma, gather, load, log, scatter, splat, store
from .measures_host import FrameMeasuresCall


@inlined
def _columns(x, place, count):
    """`count` frames of a row; the other lanes repeat the last."""
    return load(x, place) if count == DOUBLE_LANES else gather(x, place, 1, count)


@inlined
def _put(x, place, count, v):
    if count == DOUBLE_LANES:
        store(x, place, v)
    else:
        scatter(x, place, 1, count, v)


@inlined
def _moved(sums, x, own, k, side, bins):
    """The sum of the frequencies around k, from that around k - 1; the outermost stand for those beyond."""
    ahead, behind = min(k + side, bins - 1), max(k - side - 1, 0)
    return sums + load(x, own + ahead * DOUBLE_LANES) - load(x, own + behind * DOUBLE_LANES)


@inlined
def _first_sum(x, own, side, bins):
    """The sum of the frequencies around the one before the first, which the first stands for."""
    total = splat(float(side + 1)) * load(x, own)
    for k in range(side):
        total = total + load(x, own + min(k, bins - 1) * DOUBLE_LANES)
    return total


@inlined
def _relative(call, own, first, count):
    """power * scale + 1 to the scratch, [F][8], its logarithm after that; returns the sum of the powers."""
    x, total = call.scratch, splat(0.0)
    for k in range(call.bins):
        v = fma(_columns(call.power, k * call.frames + first, count), splat(call.scale), splat(1.0))
        store(x, own + k * DOUBLE_LANES, v)
        store(x, own + (call.bins + k) * DOUBLE_LANES, log(v))
        total = total + v
    return total


@inlined
def _flatness(call, own, first):
    """Compute the lines of the frames in the scratch; returns the flatness and the mean of the lines."""
    x, bins, side = call.scratch, call.bins, call.side
    logs, share = own + bins * DOUBLE_LANES, splat(1.0 / (2 * side + 1))
    powers, sums = _first_sum(x, own, side, bins), _first_sum(x, logs, side, bins)
    flatness, mean = splat(0.0), splat(0.0)
    for k in range(bins):
        powers, sums = _moved(powers, x, own, k, side, bins), _moved(sums, x, logs, k, side, bins)
        envelope = sums * share
        line = load(x, logs + k * DOUBLE_LANES) - envelope
        flatness, mean = flatness + (envelope - log(powers * share)), mean + line
        store(call.lines, k * call.row + first, line)
    return flatness * splat(1.0 / bins), mean * splat(1.0 / bins)


@inlined
def _centred(call, first, mean):
    """Take the mean from the lines; returns the sum of their squares."""
    total = splat(0.0)
    for k in range(call.bins):
        line = load(call.lines, k * call.row + first) - mean
        store(call.lines, k * call.row + first, line)
        total = fma(line, line, total)
    return total


@inlined
def _products(call, first):
    """The sum of the products of lines with those `lag` frames later."""
    total = splat(0.0)
    for place in range(first, first + call.bins * call.row, call.row):
        total = fma(load(call.lines, place), load(call.lines, place + call.lag), total)
    return total


@entry
def frame_measures(call: FrameMeasuresCall):
    """Spectra (F, T), flat -> power, flatness, the lines' squares, their products with those `lag` later: each (T,).

    An item is 8 frames, in the second phase for the products. `lines` is [F][row], where a row has so much room after
    the frames that those `lag` later can be read for all of them.
    """
    state, out, frames = call.state, call.out, call.frames
    own = thread_id(state) * 2 * call.bins * DOUBLE_LANES
    items = (frames + DOUBLE_LANES - 1) // DOUBLE_LANES
    item = next_item(state, 0)
    while item < items:
        first = item * DOUBLE_LANES
        count = min(DOUBLE_LANES, frames - first)
        _put(out, first, count, _relative(call, own, first, count))
        flatness, mean = _flatness(call, own, first)
        _put(out, frames + first, count, flatness)
        _put(out, 2 * frames + first, count, _centred(call, first, mean))
        done(state, 0)
        item = next_item(state, 0)
    barrier(state, 0, items)
    item = next_item(state, 1)
    while item < items:
        first = item * DOUBLE_LANES
        _put(out, 3 * frames + first, min(DOUBLE_LANES, frames - first), _products(call, first))
        done(state, 1)
        item = next_item(state, 1)
    barrier(state, 1, items)
