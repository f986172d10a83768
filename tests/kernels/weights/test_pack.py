"""Packed weights against their definition in numpy, bit for bit, over odd shapes."""

import numpy as np
import pytest

from s2t_np.ops import Conv, Linear

pytest.importorskip("numba")

from s2t_np_kernels.layout import CHUNK, FLOAT16, FLOAT32, INT8
from s2t_np_kernels.weights.arena import Arena
from s2t_np_kernels.weights.pack import pack_conv, pack_linear

RNG = np.random.default_rng(4)
SHAPES = [(1, 1), (31, 3), (32, 16), (33, 17), (65, 257), (7, 512), (40, 513), (3, 1100)]
CONVS = [(2, 1, 1), (34, 3, 5), (64, 16, 5), (66, 5, 3), (70, 120, 5)]


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def packed(function, w, dtype):
    """A packed map whose memory held NaN before, so that what was not written shows."""
    arena = Arena(3 * (w.weight.size + 64 * sum(w.weight.shape)) + 8192)
    arena.block[arena.used :] = np.nan
    return function(arena, w, dtype)


def panels_of(rows, quads=False):
    """Rows (32 n, I) -> (n, I, 32), or with `quads` (n, I / 4, 32, 4)."""
    if not quads:
        return rows.reshape(len(rows) // 32, 32, -1).transpose(0, 2, 1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    return rows.reshape(len(rows) // 32, 32, -1, 4).transpose(0, 2, 1, 3)


def check(found, rows, bias, real):
    """A packed map is that of rows (32 n, I), whose first `real` outputs have scales, and of a bias (32 n,)."""
    held = found.arena[found.panels :]
    terms = found.arena[found.bias :][: len(rows)]
    np.testing.assert_array_equal(terms, bias)
    if found.dtype != INT8:
        expected = panels_of(rows).astype(np.float16 if found.dtype == FLOAT16 else np.float32)
        np.testing.assert_array_equal(held.view(expected.dtype)[: expected.size], expected.ravel())
        return
    scale = np.maximum(np.abs(rows).max(axis=1), np.float32(1e-30)) / np.float32(127)
    quantized = np.rint(rows / scale[:, None]).astype(np.int8)
    expected, more = panels_of(quantized, quads=True), found.arena[found.bias + len(rows) :]
    np.testing.assert_array_equal(held.view(np.int8)[: expected.size], expected.ravel())
    scale[real:] = 0
    np.testing.assert_array_equal(more[: len(rows)], scale)
    for i, first in enumerate(range(0, rows.shape[1], CHUNK)):
        zero_points = more[(i + 1) * len(rows) :][: len(rows)].view(np.int32)
        sums = quantized[:, first : first + CHUNK].sum(axis=1, dtype=np.int64)
        np.testing.assert_array_equal(zero_points, -128 * sums)


@pytest.mark.parametrize("dtype", (FLOAT32, FLOAT16, INT8))
@pytest.mark.parametrize("shape", SHAPES)
def test_linear(shape, dtype):
    outputs, _ = shape
    w = Linear(normal(*shape), normal(outputs))
    w.weight[0] = 0  # a row of zeros has a scale, too
    w.weight[-1, 0] = 3e-7  # a denormal half
    rest = -outputs % 32
    rows, bias = np.pad(w.weight, ((0, rest), (0, 0))), np.pad(w.bias, (0, rest))
    check(packed(pack_linear, w, dtype), rows, bias, outputs)
    check(packed(pack_linear, w._replace(bias=None), dtype), rows, 0 * bias, outputs)


@pytest.mark.parametrize("dtype", (FLOAT32, FLOAT16, INT8))
@pytest.mark.parametrize("shape", CONVS)
def test_convolution(shape, dtype):
    """16 channels, their 16 gates, and so on; the window's (tap, input) pairs are the inputs."""
    outputs, half = shape[0], shape[0] // 2
    w = Conv(normal(*shape), normal(outputs))
    whole = -(-half // 16) * 16
    matrix = w.weight.transpose(0, 2, 1).reshape(outputs, -1)
    rows, bias = np.zeros((2 * whole, matrix.shape[1]), np.float32), np.zeros(2 * whole, np.float32)
    for channel in range(half):
        place = channel // 16 * 32 + channel % 16
        rows[place], bias[place] = matrix[channel], w.bias[channel]
        rows[place + 16], bias[place + 16] = matrix[half + channel], w.bias[half + channel]
    check(packed(pack_conv, w, dtype), rows, bias, len(rows))


def test_weights_that_round_to_the_even_byte():
    """127 is the largest, so that the scale is 1 and a half lies exactly between two bytes."""
    weight = np.array([[127, 0.5, 1.5, -0.5, -1.5, 2.5, -127, 126.5]], np.float32)
    found = packed(pack_linear, Linear(weight, None), INT8)
    held = found.arena[found.panels :].view(np.int8)[: 2 * 32 * 4].reshape(2, 32, 4)[:, 0].ravel()
    assert held.tolist() == [127, 0, 2, 0, -2, 2, -127, 126]
