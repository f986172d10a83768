"""The arithmetic, each function against loops (oracles_model.py): odd shapes, extreme values, both precisions."""

import numpy as np
import pytest

from s2t_np import ops
from s2t_np.ops import Conv, LayerNorm, Linear, numpy_ops
from tests.support import oracles_model as oracle
from tests.support.small_models import noise

PRECISIONS = [(np.float32, 2e-5), (np.float64, 1e-12)]
both_precisions = pytest.mark.parametrize("dtype, tolerance", PRECISIONS)


def assert_near(found, expected, tolerance, dtype):
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@both_precisions
@pytest.mark.parametrize("rows, inputs, outputs", [(1, 1, 1), (1, 7, 3), (2, 3, 5), (13, 11, 17)])
def test_linear(rows, inputs, outputs, dtype, tolerance):
    x, residual = noise(rows, inputs, dtype=dtype), noise(rows, outputs, seed=3, dtype=dtype)
    w = Linear(noise(outputs, inputs, seed=1, dtype=dtype), noise(outputs, seed=2, dtype=dtype))
    expected = oracle.linear(x, *w)
    assert_near(ops.linear(x, w), expected, tolerance, dtype)
    assert_near(ops.linear(x, w, residual), expected + residual, tolerance, dtype)
    assert_near(ops.linear(x, Linear(w.weight, None)), oracle.linear(x, w.weight), tolerance, dtype)
    assert_near(ops.linear_relu(x, w), np.maximum(expected, 0), tolerance, dtype)


def test_linear_leaves_its_arguments_alone():
    x, residual, w = noise(3, 5), noise(3, 2, seed=1), Linear(noise(2, 5, seed=2), noise(2, seed=3))
    before = [array.copy() for array in (x, residual, *w)]
    ops.linear(x, w, residual)
    ops.linear_relu(x, w)
    for array, copy in zip((x, residual, *w), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@both_precisions
@pytest.mark.parametrize("rows, width", [(1, 2), (1, 16), (5, 7), (3, 256)])
def test_layer_norm(rows, width, dtype, tolerance):
    x = 3 * noise(rows, width, dtype=dtype) + 2
    w = LayerNorm(noise(width, seed=1, dtype=dtype), noise(width, seed=2, dtype=dtype))
    assert_near(ops.layer_norm(x, w), oracle.layer_norm(x, *w), tolerance, dtype)


def test_layer_norm_of_large_offset():
    """The mean is taken away before squaring, so an offset does not eat the digits."""
    x = noise(4, 64, dtype=np.float32) + np.float32(1000)
    w = LayerNorm(np.ones(64, np.float32), np.zeros(64, np.float32))
    np.testing.assert_allclose(ops.layer_norm(x, w), oracle.layer_norm(x, *w), atol=2e-4)


def test_layer_norm_of_equal_values_is_the_bias():
    w = LayerNorm(noise(5), noise(5, seed=1))
    np.testing.assert_array_equal(ops.layer_norm(np.full((2, 5), 7.0), w), np.tile(w.bias, (2, 1)))


@both_precisions
@pytest.mark.parametrize("width", [1, 2, 31, 1000])
@pytest.mark.parametrize("scale", [0, 1, 30])
def test_softmax_and_its_logarithm(width, scale, dtype, tolerance):
    x = scale * noise(3, width, dtype=dtype)
    logs = [oracle.log_softmax(row.tolist()) for row in x]
    assert_near(ops.softmax(x), [oracle.softmax(row.tolist()) for row in x], tolerance, dtype)
    assert_near(ops.log_softmax(x), logs, tolerance, dtype)
    assert_near(ops.softmax(x).sum(axis=-1), np.ones(3), tolerance, dtype)


@pytest.mark.parametrize("extreme", [3e38, -3e38, 1e5, -1e5])
def test_softmax_of_extremes(extreme):
    """Neither overflow nor NaN; the mass is where the largest are. (RuntimeWarnings are errors in this suite.)"""
    x = np.array([[extreme, extreme, 0.0, -np.inf]], np.float32)
    expected = [[0.5, 0.5, 0, 0]] if extreme > 0 else [[0, 0, 1, 0]]
    np.testing.assert_array_equal(ops.softmax(x), np.float32(expected))
    with np.errstate(over="ignore"):  # -3e38 - 3e38 is -inf, and that is its logarithm
        logs = ops.log_softmax(x)
    np.testing.assert_allclose(np.exp(logs), expected, atol=1e-7)
    assert logs[0, 3] == -np.inf


def test_log_softmax_keeps_small_probabilities():
    """Where softmax underflows to 0 the logarithm is still a number."""
    np.testing.assert_allclose(ops.log_softmax(np.array([0.0, -1e4])), [0.0, -1e4])


@both_precisions
def test_glu(dtype, tolerance):
    x = 4 * noise(5, 6, dtype=dtype)
    expected = [[row[c] * oracle.sigmoid(row[3 + c]) for c in range(3)] for row in x.tolist()]
    assert_near(ops.glu(x), expected, tolerance, dtype)


@both_precisions
def test_glu_of_extreme_gates(dtype, tolerance):
    """A gate at -1e4 is closed, at 1e4 open; exp may overflow on the way, without a warning."""
    x = np.array([[2, 3, -1e4, 1e4], [2, 3, -100, 0]], dtype)
    assert_near(ops.glu(x), [[0, 3], [0, 1.5]], tolerance, dtype)


@both_precisions
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 11, 16])
@pytest.mark.parametrize("taps", [1, 3, 5, 7])
def test_conv1d_glu(frames, taps, dtype, tolerance):
    x = noise(frames, 3, dtype=dtype)
    w = Conv(noise(4, 3, taps, seed=1, dtype=dtype), noise(4, seed=2, dtype=dtype))
    found = ops.conv1d_glu(x, w)
    assert found.shape == ((frames - 1) // 2 + 1, 2)
    assert_near(found, oracle.conv1d_glu(x, *w), tolerance, dtype)


@both_precisions
@pytest.mark.parametrize("heads, width", [(1, 4), (2, 4), (3, 15), (5, 5)])
@pytest.mark.parametrize("queries, keys", [(1, 1), (1, 7), (3, 3), (5, 2)])
def test_attention(heads, width, queries, keys, dtype, tolerance):
    q, k, v = noise(queries, width, dtype=dtype), noise(keys, width, seed=1), noise(keys, width, seed=2)
    k, v = k.astype(dtype), v.astype(dtype)
    assert_near(ops.attention(q, k, v, heads), oracle.attention(q, k, v, heads), tolerance, dtype)


@both_precisions
@pytest.mark.parametrize("length", [1, 2, 5])
def test_causal_attention(length, dtype, tolerance):
    q, k, v = (2 * noise(length, 6, seed=seed, dtype=dtype) for seed in range(3))
    found = ops.attention(q, k, v, 2, causal=True)
    assert_near(found, oracle.attention(q, k, v, 2, causal=True), tolerance, dtype)
    np.testing.assert_allclose(found[0], v[0], rtol=tolerance)  # the first position has nothing else to look at


def test_attention_with_a_history_for_each_beam():
    """Leading axes are separate problems: (K, 1, D) over (K, S, D)."""
    q, k, v = noise(3, 1, 8), noise(3, 5, 8, seed=1), noise(3, 5, 8, seed=2)
    alone = [ops.attention(*one, 2) for one in zip(q, k, v, strict=True)]
    np.testing.assert_allclose(ops.attention(q, k, v, 2), alone, rtol=1e-13)


def test_attention_of_extreme_scores():
    """One key that fits a thousand times better takes it all, and nothing overflows."""
    q, k, v = np.full((1, 2), 200, np.float32), np.float32([[200, 200], [-200, -200]]), np.float32([[1, 2], [3, 4]])
    np.testing.assert_array_equal(ops.attention(q, k, v, 1), [[1, 2]])


def test_heads_split_and_merge():
    x = noise(2, 3, 12)
    heads = ops.split_heads(x, 4)
    assert heads.shape == (2, 4, 3, 3)
    np.testing.assert_array_equal(heads[1, 2, 0], x[1, 0, 6:9])
    np.testing.assert_array_equal(ops.merge_heads(heads), x)


def test_the_table_holds_the_functions_of_its_names():
    for name, function in numpy_ops._asdict().items():
        assert function is getattr(ops, {"linear_activation": "linear_relu"}.get(name, name))
