"""Every entry of the Numba table against its plain twin, over odd shapes."""

import functools

import numpy as np
import pytest

from s2t_np import ops
from s2t_np.ops import Conv, LayerNorm, Linear

pytest.importorskip("numba")

from s2t_np_kernels.backend import numba_ops
from s2t_np_kernels.layout import FLOAT16, INT8
from s2t_np_kernels.weights.arena import Arena
from s2t_np_kernels.weights.pack import pack_conv, pack_linear, pack_norm

from s2t_np_kernels import backend
from tests.support.search_port import (
    assert_best_is_that_of_sorting,
    assert_normalises_as_log_softmax,
    assert_shift_tells_what_is_not_finite,
)

RNG = np.random.default_rng(1)
SIZES = (1, 2, 7, 8, 9, 13, 31, 32, 33, 64, 97, 257)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def packed(pack, w):
    return pack(Arena(sum(2 * 48 * (np.prod(p.shape) + 64) for p in w if p is not None)), w)


def close(fast: np.ndarray, plain: np.ndarray, tolerance: float = 2e-5) -> None:
    assert fast.shape == plain.shape and fast.dtype == np.float32
    np.testing.assert_allclose(fast, plain, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("inputs", (1, 3, 16, 255, 256, 257, 513))
@pytest.mark.parametrize("outputs", (1, 31, 32, 33, 65))
def test_linear(inputs, outputs):
    w = Linear(normal(outputs, inputs) * inputs**-0.5, normal(outputs))
    fast = packed(pack_linear, w)
    for rows in (1, 5, 8, 9, 64, 65):
        x, residual = normal(rows, inputs), normal(rows, outputs)
        close(numba_ops.linear(x, fast), ops.linear(x, w))
        close(numba_ops.linear(x, fast, residual), ops.linear(x, w, residual))
        close(numba_ops.linear_activation(x, fast), ops.linear_relu(x, w))


def rounded(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("inputs", (1, 3, 256, 257))
@pytest.mark.parametrize("outputs", (1, 31, 33, 65))
def test_linear_in_halves_is_that_of_the_rounded_weights(inputs, outputs):
    w = Linear(normal(outputs, inputs) * inputs**-0.5, normal(outputs))
    w.weight[0, 0] = 3e-8  # a denormal half
    fast, plain = packed(functools.partial(pack_linear, dtype=FLOAT16), w), w._replace(weight=rounded(w.weight))
    for rows in (1, 5, 9, 65):
        x, residual = normal(rows, inputs), normal(rows, outputs)
        close(numba_ops.linear(x, fast, residual), ops.linear(x, plain, residual))
        close(numba_ops.linear_activation(x, fast), ops.linear_relu(x, plain))


def test_halves_widen_exactly():
    """Every finite half, as the weight of a sum of one."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].astype(np.float32)
    fast = packed(functools.partial(pack_linear, dtype=FLOAT16), Linear(finite[:, None], None))
    assert np.array_equal(numba_ops.linear(np.ones((1, 1), np.float32), fast)[0], finite)


def test_linear_without_bias():
    w = Linear(normal(40, 24), None)
    x = normal(3, 24)
    close(numba_ops.linear(x, packed(pack_linear, w)), ops.linear(x, w))


def test_linear_lets_nan_and_infinity_through():
    w = Linear(np.eye(32, dtype=np.float32), np.zeros(32, np.float32))
    x = np.zeros((1, 32), np.float32)
    x[0, 3] = np.nan
    assert np.isnan(numba_ops.linear_activation(x, packed(pack_linear, w))).all()
    x[0, 3] = np.inf
    assert numba_ops.linear_activation(x[:, 3:4], packed(pack_linear, Linear(w.weight[:1, :1], None)))[0, 0] == np.inf


@pytest.mark.parametrize("width", SIZES)
def test_layer_norm(width):
    w = LayerNorm(normal(width), normal(width))
    x = normal(5, width) * 3 + 100
    close(numba_ops.layer_norm(x, packed(pack_norm, w)), ops.layer_norm(x.astype(np.float64), w), 2e-4)


@pytest.mark.parametrize("taps", (1, 3, 5))
@pytest.mark.parametrize("channels", (2, 30, 32, 34, 66))
def test_conv1d_glu(taps, channels):
    w = Conv(normal(channels, 6, taps), normal(channels))
    fast, half = packed(pack_conv, w), packed(functools.partial(pack_conv, dtype=FLOAT16), w)
    for frames in (1, 2, 3, 4, 15, 16, 17, 129, 131):
        x = normal(frames, 6)
        close(numba_ops.conv1d_glu(x, fast), ops.conv1d_glu(x, w))
        close(numba_ops.conv1d_glu(x, half), ops.conv1d_glu(x, w._replace(weight=rounded(w.weight))))


@pytest.mark.parametrize(("channels", "inputs", "taps"), ((2, 1, 1), (30, 6, 3), (66, 110, 5), (64, 256, 3)))
def test_conv1d_glu_in_bytes_stays_near(channels, inputs, taps):
    w = Conv(normal(channels, inputs, taps) * (inputs * taps) ** -0.5, normal(channels))
    fast = packed(functools.partial(pack_conv, dtype=INT8), w)
    for frames in (1, 2, 17, 129):
        x = normal(frames, inputs)
        close(numba_ops.conv1d_glu(x, fast), ops.conv1d_glu(x, w), 0.05)


def test_closed_and_open_gates():
    w = Conv(np.ones((2, 1, 1), np.float32), np.array([1.0, 0.0], np.float32))
    x = np.array([[-1000.0], [0], [1000]], np.float32)
    close(numba_ops.conv1d_glu(x, packed(pack_conv, w)), ops.conv1d_glu(x, w))


@pytest.mark.parametrize(("width", "heads"), ((6, 3), (20, 1), (64, 4), (36, 2), (128, 2)))
def test_attention(width, heads):
    for queries, keys in ((1, 1), (3, 17), (16, 255), (17, 256), (33, 257), (5, 600)):
        q, k, v = normal(queries, width), normal(keys, width), normal(keys, width)
        close(numba_ops.attention(q, k, v, heads), ops.attention(q, k, v, heads))


@pytest.mark.parametrize("length", (1, 2, 15, 16, 17, 300))
def test_causal_attention(length):
    q, k, v = (normal(length, 24) for _ in range(3))
    close(numba_ops.attention(q, k, v, 2, causal=True), ops.attention(q, k, v, 2, causal=True))


def test_attention_with_a_batch_and_large_scores():
    q, k, v = normal(3, 1, 24) * 1000, normal(3, 7, 24), normal(3, 7, 24)
    close(numba_ops.attention(q, k, v, 2), ops.attention(q, k, v, 2), 1e-4)


def test_infinite_keys_are_never_looked_at():
    q, k, v = np.ones((1, 16), np.float32), np.ones((4, 16), np.float32), normal(4, 16)
    k[1] = -np.inf
    close(numba_ops.attention(q, k, v, 1), ops.attention(q, k, v, 1))


def test_next_token():
    assert_normalises_as_log_softmax(backend.next_token)
    assert_shift_tells_what_is_not_finite(backend.next_token)


def test_best_is_that_of_sorting():
    assert_best_is_that_of_sorting(backend.next_token)
