"""The power spectrum of eight frames side by side, for the kernels that look at frequencies.

A frame stands in each of 8 lanes, in float64, so that every stage is plain vector arithmetic without a shuffle: element
n of all frames is one vector of a buffer [n][8]. The transform of L real numbers is one of H = L / 2 complex ones,
z[n] = x[2n] + i x[2n+1], which is how they lie there already:

    Z = DFT of z           decimation in frequency, in place, radix 4 (and one radix-2 stage where H is not a power of
                           4); frequency k comes to lie at places[k]
    2 X[k] = A + R         with A = Z[k] + conj(Z[H-k]) and R = -i e^(-2 pi i k / L) (Z[k] - conj(Z[H-k]));
                           2 X[H-k] is the conjugate of A - R

(Sorensen et al. 1987, "Real-valued fast Fourier transform algorithms".) Callers put the halves of that into their
windows.

8 frames of 1,024 points took 11 us with a root at a time for all blocks of a stage, whose places are a power of 2
apart; 8.0 with a block at a time; 6.7 in buffers that begin at a line of the cache; 4.8 now that each quarter, once it
is divided off, goes through all stages before the next one does.
"""

from ..build.arguments import OutDoubles
from ..build.device import inlined, linked
from ..layout import DOUBLE_LANES
from ..simd.vector64 import fma, load, splat, store
from .fourier_host import Transform


@inlined
def _turn(x, to, a, b, c, s):
    """Store (a + i b) (c + i s)."""
    store(x, to, fma(a, c, splat(0.0) - b * s))
    store(x, to + DOUBLE_LANES, fma(a, s, b * c))


@inlined
def _quarters(x, own, many, size, transform):
    """One radix-4 stage of `many` complex points, in blocks of `size`."""
    quarter, step, apart = size // 4, 2 * transform.length // size, size // 4 * 2 * DOUBLE_LANES
    roots = transform.roots
    for block in range(0, many, size):
        for j in range(quarter):
            one, two, three = j * step, 2 * j * step, 3 * j * step
            c1, s1, c2 = splat(roots[one]), splat(roots[one + 1]), splat(roots[two])
            s2, c3, s3 = splat(roots[two + 1]), splat(roots[three]), splat(roots[three + 1])
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
def _halves(x, own, many):
    """The last stage where H is not a power of 4: sum and difference of neighbours."""
    for place in range(own, own + many * 2 * DOUBLE_LANES, 4 * DOUBLE_LANES):
        for part in range(place, place + 2 * DOUBLE_LANES, DOUBLE_LANES):
            a, b = load(x, part), load(x, part + 2 * DOUBLE_LANES)
            store(x, part, a + b)
            store(x, part + 2 * DOUBLE_LANES, a - b)


@linked
def power_spectrum(x: OutDoubles, own: int, transform: Transform, power: int):
    """4 |DFT|^2 of x[own:] [L][8], which it overwrites, for the frequencies 1 .. H-1, to x[power:] [frequency][8]."""
    points = transform.length // 2
    part = points
    if points >= 4:
        _quarters(x, own, points, points, transform)
        part = points // 4
    for start in range(own, own + points * 2 * DOUBLE_LANES, part * 2 * DOUBLE_LANES):
        size = part
        while size >= 4:
            _quarters(x, start, part, size, transform)
            size //= 4
        if size == 2:
            _halves(x, start, part)
    for k in range(1, points // 2 + 1):
        p = own + transform.places[k] * 2 * DOUBLE_LANES
        q = own + transform.places[points - k] * 2 * DOUBLE_LANES
        c, s = splat(transform.roots[2 * k]), splat(transform.roots[2 * k + 1])
        a, b = load(x, p) + load(x, q), load(x, p + DOUBLE_LANES) - load(x, q + DOUBLE_LANES)
        f, g = load(x, p) - load(x, q), load(x, p + DOUBLE_LANES) + load(x, q + DOUBLE_LANES)
        r, t = fma(g, c, f * s), fma(g, s, splat(0.0) - f * c)
        up, across = a + r, b + t
        store(x, power + k * DOUBLE_LANES, fma(up, up, across * across))
        up, across = a - r, b - t
        store(x, power + (points - k) * DOUBLE_LANES, fma(up, up, across * across))
