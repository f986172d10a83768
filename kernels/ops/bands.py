"""The power of frames in bands of frequency, eight frames side by side (plain twin: longform.vad_ops.band_powers).

The transform is that of fourier.py, whose halves are in the taper. Frequency by frequency, the results of eight frames
are one store. 10 s of sound take 0.42 ms on one thread as the detector asks for them, 0.71 ms as the speech check does
(1,024 points, of which neither the buffer nor the tables stay in the innermost cache); numpy takes 2.4 and 3.4 ms.
"""

from ..build.device import entry, inlined
from ..layout import DOUBLE_LANES
from ..simd.scheduling import barrier, done, next_item, thread_id
from ..simd.vector64 import gather, load, scatter, splat, store
from .bands_host import BandPowersCall
from .fourier import power_spectrum


@inlined
def _tapered(samples, start, hop, count, taper, x, own):
    """Copy `count` frames into the lanes, times the taper, and fill up with zeros to the transform's length."""
    weights, window, length = taper
    for n in range(window):
        store(x, own + n * DOUBLE_LANES, gather(samples, start + n, hop, count) * splat(weights[n]))
    for n in range(window, length):
        store(x, own + n * DOUBLE_LANES, splat(0.0))


@inlined
def _sums(x, power, edges, bands, out, first, frames):
    """The sum over the frequencies edges[b] .. edges[b+1] - 1 of each band b, to out[b, first:]."""
    for b in range(bands):
        total = load(x, power + edges[b] * DOUBLE_LANES)
        for k in range(edges[b] + 1, edges[b + 1]):
            total = total + load(x, power + k * DOUBLE_LANES)
        if first + DOUBLE_LANES <= frames:
            store(out, b * frames + first, total)
        else:
            scatter(out, b * frames + first, 1, frames - first, total)


@entry
def band_powers(call: BandPowersCall):
    """Samples (N,) -> out (B, T), flat. An item is 8 frames; scratch has 12 L doubles for each thread."""
    state, samples, frames, hop, taper, window, transform, edges, bands, scratch, out = call
    length = transform.length
    own = thread_id(state) * 12 * length
    power, items = own + length * DOUBLE_LANES, (frames + DOUBLE_LANES - 1) // DOUBLE_LANES
    item = next_item(state, 0)
    while item < items:
        first = item * DOUBLE_LANES
        _tapered(samples, first * hop, hop, min(DOUBLE_LANES, frames - first), (taper, window, length), scratch, own)
        power_spectrum(scratch, own, transform, power)
        _sums(scratch, power, edges, bands, out, first, frames)
        done(state, 0)
        item = next_item(state, 0)
    barrier(state, 0, items)
