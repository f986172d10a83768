"""From samples to log mel energies in one pass, eight frames side by side (plain twin: features.fbank).

A frame stands in each of 8 lanes, in float64, so that every stage is plain vector arithmetic without a shuffle: element
n of all frames is one vector of a buffer [n][8]. The stages have the twin's names. The transform of L real numbers is
one of H = L / 2 complex ones, z[n] = x[2n] + i x[2n+1], which is how they lie there already:

    Z = DFT of z           decimation in frequency, in place, radix 4 (and one radix-2 stage where H is not a power of
                           4); frequency k comes to lie at places[k]
    2 X[k] = A + R         with A = Z[k] + conj(Z[H-k]) and R = -i e^(-2 pi i k / L) (Z[k] - conj(Z[H-k]));
                           2 X[H-k] is the conjugate of A - R

(Sorensen et al. 1987, "Real-valued fast Fourier transform algorithms".) The halves of that, and Kaldi's 2**15, are in
the window. Mel filters are sparse: each has a first bin, a count, and that many weights. Frequency 0 lies below the
first filter and is left out.
"""

from ..build.device import entry, inlined
from ..simd.scheduling import barrier, done, next_item, thread_id
from ..simd.vector64 import DOUBLE_LANES, fma, gather, load, log, maximum, scatter, splat, store
from .fbank_host import FbankFramesCall


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
def _turn(x, to, a, b, c, s):
    """Store (a + i b) (c + i s)."""
    store(x, to, fma(a, c, splat(0.0) - b * s))
    store(x, to + DOUBLE_LANES, fma(a, s, b * c))


@inlined
def _quarters(x, own, size, points, roots):
    """One radix-4 stage: blocks of `size` complex points, of which all of `points` are transformed."""
    quarter, step, apart = size // 4, 4 * points // size, size // 4 * 2 * DOUBLE_LANES
    for j in range(quarter):
        one, two, three = j * step, 2 * j * step, 3 * j * step
        c1, s1, c2 = splat(roots[one]), splat(roots[one + 1]), splat(roots[two])
        s2, c3, s3 = splat(roots[two + 1]), splat(roots[three]), splat(roots[three + 1])
        for block in range(0, points, size):
            p = own + (block + j) * 2 * DOUBLE_LANES
            q, r, t = p + apart, p + 2 * apart, p + 3 * apart
            sum_a, sum_b = load(x, p) + load(x, r), load(x, p + DOUBLE_LANES) + load(x, r + DOUBLE_LANES)
            gap_a, gap_b = load(x, p) - load(x, r), load(x, p + DOUBLE_LANES) - load(x, r + DOUBLE_LANES)
            odd_a, odd_b = load(x, q) + load(x, t), load(x, q + DOUBLE_LANES) + load(x, t + DOUBLE_LANES)
            far_a, far_b = load(x, q) - load(x, t), load(x, q + DOUBLE_LANES) - load(x, t + DOUBLE_LANES)
            store(x, p, sum_a + odd_a)
            store(x, p + DOUBLE_LANES, sum_b + odd_b)
            _turn(x, q, gap_a + far_b, gap_b - far_a, c1, s1)
            _turn(x, r, sum_a - odd_a, sum_b - odd_b, c2, s2)
            _turn(x, t, gap_a - far_b, gap_b + far_a, c3, s3)


@inlined
def _halves(x, own, points):
    """The last stage where `points` is not a power of 4: sum and difference of neighbours."""
    for place in range(own, own + points * 2 * DOUBLE_LANES, 4 * DOUBLE_LANES):
        for part in range(place, place + 2 * DOUBLE_LANES, DOUBLE_LANES):
            a, b = load(x, part), load(x, part + 2 * DOUBLE_LANES)
            store(x, part, a + b)
            store(x, part + 2 * DOUBLE_LANES, a - b)


@inlined
def _power_spectrum(x, own, points, tables, power):
    """|DFT|^2 of each frame for the frequencies 1 .. H-1, to x[power:] [frequency][8]."""
    size = points
    while size >= 4:
        _quarters(x, own, size, points, tables.roots)
        size //= 4
    if size == 2:
        _halves(x, own, points)
    for k in range(1, points // 2 + 1):
        p, q = own + tables.places[k] * 2 * DOUBLE_LANES, own + tables.places[points - k] * 2 * DOUBLE_LANES
        c, s = splat(tables.roots[2 * k]), splat(tables.roots[2 * k + 1])
        a, b = load(x, p) + load(x, q), load(x, p + DOUBLE_LANES) - load(x, q + DOUBLE_LANES)
        f, g = load(x, p) - load(x, q), load(x, p + DOUBLE_LANES) + load(x, q + DOUBLE_LANES)
        r, t = fma(g, c, f * s), fma(g, s, splat(0.0) - f * c)
        up, across = a + r, b + t
        store(x, power + k * DOUBLE_LANES, fma(up, up, across * across))
        up, across = a - r, b - t
        store(x, power + (points - k) * DOUBLE_LANES, fma(up, up, across * across))


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
    length, window, bins = tables.points, tables.samples, tables.bins
    own = thread_id(state) * 12 * length
    power, items = own + length * DOUBLE_LANES, (frames + DOUBLE_LANES - 1) // DOUBLE_LANES
    item = next_item(state, 0)
    while item < items:
        first = item * DOUBLE_LANES
        count = min(DOUBLE_LANES, frames - first)
        mean = _frames(samples, first * hop, hop, count, window, scratch, own)
        _preemphasize(scratch, own, mean, preemphasis, tables.window, window, length)
        _power_spectrum(scratch, own, length // 2, tables, power)
        _log_mel(scratch, power, tables, floor, out, first * bins, count)
        done(state, 0)
        item = next_item(state, 0)
    barrier(state, 0, items)
