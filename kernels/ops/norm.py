"""Layer normalisation, down the lanes for positions in units, along the row for single rows.

y = (x - mean) / sqrt(var + 1e-5) * gain + offset over the D features (Ba et al. 2016); plain twin: ops.layer_norm.
A unit is 16 positions side by side, [feature][16]: mean and variance of all 16 are plain vector sums.
"""

import numpy as np

from ..build.arguments import Floats
from ..build.device import entry, inlined, linked
from ..simd.vector import LANES, at, fma, load, move, skip, splat, sqrt, store, total
from .host import LayerNormRowsCall, Norm

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
def normalize_unit(x: int, norm: Norm, y: int):
    """16 positions, addresses: x [D][16] -> y [D][16]."""
    width, count = norm.width, splat(float(norm.width))
    mean = _sum(x, width) / count
    variance = _center(x, width, mean, y) / count
    inverse = splat(1.0) / sqrt(variance + splat(EPSILON))
    for i in range(width):
        v = load(move(y, i * LANES)) * inverse
        store(move(y, i * LANES), fma(v, splat(norm.w[norm.gain + i]), splat(norm.w[norm.offset + i])))


@inlined
def _row_sums(x, width, mean):
    """Sum of x - mean, and of its squares, over one row."""
    first, second, centre = splat(0.0), splat(0.0), splat(mean)
    vectors = width - width % LANES
    for i in range(0, vectors, LANES):
        v = load(at(x, i)) - centre
        first, second = first + v, fma(v, v, second)
    sums, squares = total(first), total(second)
    for i in range(vectors, width):
        v = x[i] - mean
        sums, squares = sums + v, squares + v * v
    return sums, squares


@linked
def normalize_row(x: Floats, norm: Norm, y: Floats):
    """One position: x (D,) -> y (D,)."""
    w, width = norm.w, norm.width
    mean = _row_sums(x, width, np.float32(0.0))[0] / np.float32(width)
    variance = _row_sums(x, width, mean)[1] / np.float32(width)
    inverse = np.float32(1.0) / np.sqrt(variance + np.float32(EPSILON))
    vectors = width - width % LANES
    for i in range(0, vectors, LANES):
        v = (load(at(x, i)) - splat(mean)) * splat(inverse)
        store(at(y, i), fma(v, load(at(w, norm.gain + i)), load(at(w, norm.offset + i))))
    for i in range(vectors, width):
        y[i] = (x[i] - mean) * inverse * w[norm.gain + i] + w[norm.offset + i]


@entry
def layer_norm_rows(call: LayerNormRowsCall):
    """Rows of D floats: x (rows * D,) -> y."""
    for start in range(0, call.size, call.norm.width):
        normalize_row(skip(call.x, start), call.norm, skip(call.y, start))
