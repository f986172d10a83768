"""From samples to log mel energies in one pass, eight frames side by side (plain twin: features.fbank).

The stages have the twin's names; the transform is that of fourier.py. Its halves, and Kaldi's 2**15, are in the window.
Mel filters are sparse: each has a first bin, a count, and that many weights. Frequency 0 lies below the first filter
and is left out.
"""

from ..build.device import entry, inlined
from ..layout import DOUBLE_LANES
from ..simd.scheduling import barrier, done, next_item, thread_id
from ..simd.vector64 import fma, gather, load, log, maximum, scatter, splat, store
from .fbank_host import FbankFramesCall
from .fourier import power_spectrum


@inlined
def _frames(samples, start, hop, count, window, x, own):
    """Copy `count` frames into the lanes; returns their means."""
    a, b = splat(0.0), splat(0.0)
    for n in range(window):
        v = gather(samples, start + n, hop, count)
        store(x, own + n * DOUBLE_LANES, v)
        a, b = b, a + v
    return (a + b) * splat(1.0 / window)


@inlined
def _preemphasize(x, own, mean, preemphasis, window, count, length):
    """Remove the mean, lift the high frequencies, apply the window, fill up with zeros to the transform's length."""
    factor, before = splat(-preemphasis), load(x, own) - mean
    for n in range(count):
        v = load(x, own + n * DOUBLE_LANES) - mean
        store(x, own + n * DOUBLE_LANES, fma(factor, before, v) * splat(window[n]))
        before = v
    for n in range(count, length):
        store(x, own + n * DOUBLE_LANES, splat(0.0))


@inlined
def _log_mel(x, power, tables, floor, out, start, count):
    """Energy of each filter, its logarithm, to `count` rows of out."""
    bins = tables.bins
    for m in range(bins):
        first, many, weight = tables.filters[3 * m], tables.filters[3 * m + 1], tables.filters[3 * m + 2]
        energy = splat(0.0)
        for i in range(many):
            energy = fma(load(x, power + (first + i) * DOUBLE_LANES), splat(tables.weights[weight + i]), energy)
        scatter(out, start + m, bins, count, log(maximum(energy, splat(floor))))


@entry
def fbank_frames(call: FbankFramesCall):
    """Samples (N,) -> out (T, M), flat. An item is 8 frames; scratch has 12 L doubles for each thread."""
    state, samples, frames, hop, tables, preemphasis, floor, scratch, out = call
    length, window, bins = tables.transform.length, tables.samples, tables.bins
    own = thread_id(state) * 12 * length
    power, items = own + length * DOUBLE_LANES, (frames + DOUBLE_LANES - 1) // DOUBLE_LANES
    item = next_item(state, 0)
    while item < items:
        first = item * DOUBLE_LANES
        count = min(DOUBLE_LANES, frames - first)
        mean = _frames(samples, first * hop, hop, count, window, scratch, own)
        _preemphasize(scratch, own, mean, preemphasis, tables.window, window, length)
        power_spectrum(scratch, own, tables.transform, power)
        _log_mel(scratch, power, tables, floor, out, first * bins, count)
        done(state, 0)
        item = next_item(state, 0)
    barrier(state, 0, items)
