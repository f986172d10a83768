"""Layer normalisation, down the lanes for positions in units, along the row for single rows.

y = (x - mean) / sqrt(var + 1e-5) * gain + offset over the D features (Ba et al. 2016); plain twin: ops.layer_norm.
A unit is 16 positions side by side, [feature][16]: mean and variance of all 16 are plain vector sums.
"""

import numpy as np

from ..build.arguments import Floats
from ..build.device import entry, inlined, linked
from ..simd.vector import LANES, at, fma, load, move, splat, sqrt, store, total
from .host import LayerNormRowsCall

EPSILON = 1e-5  # torch.nn.LayerNorm's default


@inlined
def _sum(x, width):
    """Sum of the rows x [D][16] (address), four at a time: one chain would wait for every addition."""
    a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    whole = width - width % 4
    for i in range(0, whole, 4):
        a, b = a + load(move(x, i * LANES)), b + load(move(x, (i + 1) * LANES))
        c, d = c + load(move(x, (i + 2) * LANES)), d + load(move(x, (i + 3) * LANES))
    for i in range(whole, width):
        a = a + load(move(x, i * LANES))
    return (a + b) + (c + d)


@inlined
def _center(x, width, mean, y):
    """y = x - mean; returns the sum of its squares, in four chains as well."""
    a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for i in range(width):
        v = load(move(x, i * LANES)) - mean
        store(move(y, i * LANES), v)
        a, b, c, d = b, c, d, fma(v, v, a)
    return (a + b) + (c + d)


@linked
def normalize_unit(x: int, width: int, w: Floats, gain: int, offset: int, y: int):
    """16 positions: x [D][16] -> y [D][16], addresses; gain and offset are D floats each at w[gain:], w[offset:]."""
    count = splat(float(width))
    mean = _sum(x, width) / count
    variance = _center(x, width, mean, y) / count
    inverse = splat(1.0) / sqrt(variance + splat(EPSILON))
    for i in range(width):
        v = load(move(y, i * LANES)) * inverse
        store(move(y, i * LANES), fma(v, splat(w[gain + i]), splat(w[offset + i])))


@inlined
def _row_sums(x, start, width, mean):
    """Sum of x - mean, and of its squares, over one row."""
    first, second, centre = splat(0.0), splat(0.0), splat(mean)
    whole = width - width % LANES
    for i in range(0, whole, LANES):
        v = load(at(x, start + i)) - centre
        first, second = first + v, fma(v, v, second)
    sums, squares = total(first), total(second)
    for i in range(whole, width):
        v = x[start + i] - mean
        sums, squares = sums + v, squares + v * v
    return sums, squares


@linked
def normalize_row(x: Floats, start: int, width: int, w: Floats, gain: int, offset: int, y: Floats, to: int):
    """One position: x[start:] (D,) -> y[to:] (D,); gain and offset are D floats each at w[gain:], w[offset:]."""
    mean = _row_sums(x, start, width, np.float32(0.0))[0] / np.float32(width)
    variance = _row_sums(x, start, width, mean)[1] / np.float32(width)
    inverse = np.float32(1.0) / np.sqrt(variance + np.float32(EPSILON))
    whole = width - width % LANES
    for i in range(0, whole, LANES):
        v = (load(at(x, start + i)) - splat(mean)) * splat(inverse)
        store(at(y, to + i), fma(v, load(at(w, gain + i)), load(at(w, offset + i))))
    for i in range(whole, width):
        y[to + i] = (x[start + i] - mean) * inverse * w[gain + i] + w[offset + i]


@entry
def layer_norm_rows(call: LayerNormRowsCall):
    """Rows of D floats: x (rows * D,) -> y; gain and offset at w[gain:], w[offset:]."""
    x, size, width, w, gain, offset, y = call
    for start in range(0, size, width):
        normalize_row(x, start, width, w, gain, offset, y, start)
