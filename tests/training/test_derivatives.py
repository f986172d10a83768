"""Every derivative against central differences, in float64, over odd shapes; and float32 stays float32."""

import numpy as np
import pytest

from s2t_np import ops
from s2t_np.ops import Conv, LayerNorm, Linear
from s2t_np.parts import Attention
from s2t_np.training.derivatives import attention, convolution, loss, operations, ragged
from s2t_np.training.derivatives.attention import Reach
from s2t_np.training.derivatives.dropout import (
    NO_DROPOUT,
    Dropout,
    Rates,
    dropout_backward,
    dropout_forward,
    dropout_mask,
)
from tests.support.small_models import noise
from tests.training.differences import directional, worst

SHAPES = [(1, 1, 2), (1, 7, 5), (13, 3, 17), (37, 16, 8)]
CLOSE = 1e-6


def given(*shape, seed):
    return noise(*shape, seed=seed)


@pytest.mark.parametrize("rows, inputs, outputs", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_linear(rows, inputs, outputs, biased):
    x, dy = given(rows, inputs, seed=1), given(rows, outputs, seed=2)
    w = Linear(given(outputs, inputs, seed=3), given(outputs, seed=4) if biased else None)
    dx, dw = operations.linear_backward(dy, x, w)
    pairs = [(x, dx), (w.weight, dw.weight), *([(w.bias, dw.bias)] if biased else [])]
    assert worst(lambda: np.sum(operations.linear_forward(x, w) * dy), pairs) < CLOSE
    np.testing.assert_allclose(operations.linear_forward(x, w), ops.linear(x, w), atol=1e-12)


@pytest.mark.parametrize("rows, width, _", [(1, 2, 0), (5, 7, 0), (23, 33, 0)])
def test_layer_norm(rows, width, _):
    x, dy = given(rows, width, seed=1) * 3 + 1, given(rows, width, seed=2)
    w = LayerNorm(given(width, seed=3), given(width, seed=4))
    y, kept = operations.layer_norm_forward(x, w)
    np.testing.assert_allclose(y, ops.layer_norm(x, w), atol=1e-12)
    dx, dw = operations.layer_norm_backward(dy, w, kept)
    pairs = [(x, dx), (w.weight, dw.weight), (w.bias, dw.bias)]
    assert worst(lambda: np.sum(operations.layer_norm_forward(x, w)[0] * dy), pairs) < CLOSE


@pytest.mark.parametrize("rows, width", [(1, 1), (3, 5), (17, 31)])
def test_glu_relu_and_softmax(rows, width):
    x, dy = given(rows, 2 * width, seed=1), given(rows, width, seed=2)
    y, kept = operations.glu_forward(x)
    np.testing.assert_allclose(y, ops.glu(x), atol=1e-12)
    assert worst(lambda: np.sum(ops.glu(x) * dy), [(x, operations.glu_backward(dy, kept))]) < CLOSE
    dy = given(rows, 2 * width, seed=3)
    dx = operations.softmax_backward(dy, ops.softmax(x))
    assert worst(lambda: np.sum(ops.softmax(x) * dy), [(x, dx)]) < CLOSE
    far = np.where(np.abs(x) < 0.01, 1.0, x)  # away from the corner at zero
    dx = operations.relu_backward(dy, np.maximum(far, 0))
    assert worst(lambda: np.sum(np.maximum(far, 0) * dy), [(far, dx)]) < CLOSE


def test_a_closed_gate_passes_nothing():
    y, kept = operations.glu_forward(np.array([[3.0, -2000.0]]))
    assert y.tolist() == [[0.0]] and operations.glu_backward(np.array([[5.0]]), kept).tolist() == [[0.0, 0.0]]


def test_embedding():
    table, tokens, dy = given(7, 5, seed=1), np.array([3, 1, 3, 0, 3, 6]), given(6, 5, seed=2)
    dtable = operations.embedding_backward(dy, tokens, 7)
    assert worst(lambda: np.sum(table[tokens] * dy), [(table, dtable)]) < CLOSE
    assert not dtable[[2, 4, 5]].any()


@pytest.mark.parametrize("lengths", [(1,), (5, 1, 12), (2, 3)])
@pytest.mark.parametrize("taps", [1, 3, 5, 7])
def test_conv1d_glu(lengths, taps):
    lengths = np.array(lengths)
    x = given(lengths.sum(), 3, seed=1)
    w = Conv(given(8, 3, taps, seed=2), given(8, seed=3))
    y, kept = convolution.conv1d_glu_forward(x, lengths, w)
    alone = [ops.conv1d_glu(x[rows], w) for rows in ragged.stretches(lengths)]
    np.testing.assert_allclose(y, np.concatenate(alone), atol=1e-12)
    dy = given(*y.shape, seed=4)
    dx, dw = convolution.conv1d_glu_backward(dy, w, kept)
    pairs = [(x, dx), (w.weight, dw.weight), (w.bias, dw.bias)]
    assert worst(lambda: np.sum(convolution.conv1d_glu_forward(x, lengths, w)[0] * dy), pairs) < CLOSE


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(heads, causal):
    """Over utterances of 4, 1 and 7 rows, with four projections; alone each gives what ops.attention gives."""
    rows, sources = np.array([4, 1, 7]), np.array([4, 1, 7]) if causal else np.array([2, 9, 1])
    reach, width = Reach(rows, sources, heads, causal), 6
    w = Attention(*(Linear(given(width, width, seed=i), given(width, seed=9 + i)) for i in range(4)))
    x, source = given(rows.sum(), width, seed=20), given(sources.sum(), width, seed=21)
    y, kept = attention.projected_forward(w, x, source, reach, NO_DROPOUT)
    scale = (width // heads) ** -0.5
    for r, s in zip(ragged.stretches(rows), ragged.stretches(sources), strict=True):
        q, k, v = ops.linear(x[r], w.q_proj) * scale, ops.linear(source[s], w.k_proj), ops.linear(source[s], w.v_proj)
        np.testing.assert_allclose(y[r], ops.linear(ops.attention(q, k, v, heads, causal), w.out_proj), atol=1e-12)
    dy = given(*y.shape, seed=22)
    dx, dsource, dw = attention.projected_backward(dy, w, reach, kept)
    pairs = [(x, dx), (source, dsource)]
    pairs += [(a, b) for own, found in zip(w, dw, strict=True) for a, b in zip(own, found, strict=True)]
    assert worst(lambda: np.sum(attention.projected_forward(w, x, source, reach, NO_DROPOUT)[0] * dy), pairs) < CLOSE


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("tokens, vocabulary", [(1, 2), (5, 11), (23, 37)])
def test_cross_entropy(smoothing, tokens, vocabulary):
    logits, labels = 3 * given(tokens, vocabulary, seed=1), np.random.default_rng(2).integers(0, vocabulary, tokens)
    found = loss.cross_entropy(logits, labels, smoothing)
    wanted = np.full(logits.shape, smoothing / (vocabulary - 1))
    wanted[np.arange(tokens), labels] = 1 - smoothing
    assert found.loss == pytest.approx(-(wanted * np.log(ops.softmax(logits))).sum())
    assert found.nll == pytest.approx(-np.log(ops.softmax(logits))[np.arange(tokens), labels].sum())
    again = lambda: loss.cross_entropy(logits, labels, smoothing).loss  # noqa: E731
    assert worst(again, [(logits, found.dlogits)]) < CLOSE


def test_cutting_rows_off():
    x, lengths, count = given(9, 2, seed=1), np.array([4, 2, 3]), np.array([3, 2, 1])
    y = ragged.first_rows(x, lengths, count)
    np.testing.assert_array_equal(y, x[[0, 1, 2, 4, 5, 6]])
    dy = given(6, 2, seed=2)
    dx = ragged.first_rows_backward(dy, lengths, count)
    assert worst(lambda: np.sum(ragged.first_rows(x, lengths, count) * dy), [(x, dx)]) < CLOSE


def test_dropout():
    """The mean stays, the share of zeros is the rate, the derivative is the same mask, and a seed decides."""
    mask = dropout_mask((500, 300), 0.1, np.random.default_rng(1), np.float32)
    assert mask.dtype == np.float32 and (mask == 0).mean() == pytest.approx(0.1, abs=0.003)
    assert mask.mean() == pytest.approx(1, abs=0.003) and len(np.unique(mask)) == 2
    x = given(5, 7, seed=1)
    y, mask = dropout_forward(x, 0.5, np.random.default_rng(3))
    np.testing.assert_array_equal(y, x * mask)
    np.testing.assert_array_equal(dropout_backward(x, mask), y)
    np.testing.assert_array_equal(y, dropout_forward(x, 0.5, np.random.default_rng(3))[0])
    assert dropout_forward(x, 0.0, None) == (x, None) and dropout_backward(x, None) is x


def test_layers_are_left_out_at_their_rate():
    dropout = Dropout(Rates(), np.random.default_rng(0))
    assert sum(dropout.skips(0.25) for _ in range(2000)) / 2000 == pytest.approx(0.25, abs=0.03)
    assert not any(dropout.skips(0.0) for _ in range(100))


def test_float32_stays():
    w = Linear(given(4, 6, seed=1).astype(np.float32), given(4, seed=2).astype(np.float32))
    x, dy = given(3, 6, seed=3).astype(np.float32), given(3, 4, seed=4).astype(np.float32)
    assert {a.dtype for a in (operations.linear_backward(dy, x, w)[0], *operations.linear_backward(dy, x, w)[1])} == {
        np.dtype(np.float32)
    }
    y, kept = operations.layer_norm_forward(x, LayerNorm(x[0], x[1]))
    assert y.dtype == operations.layer_norm_backward(x, LayerNorm(x[0], x[1]), kept)[0].dtype == np.float32
    assert loss.cross_entropy(x, np.array([1, 2, 3]), 0.1).dlogits.dtype == np.float32


def test_a_wrong_derivative_is_seen():
    """The differences themselves: x^3 has the derivative 3 x^2, and 2 % more than that is not it."""
    x = np.array([2.0, -1.0])
    assert directional(lambda: np.sum(x**3), x, np.array([1.0, 0.0])) == pytest.approx(12, rel=1e-9)
    assert worst(lambda: np.sum(x**3), [(x, 3 * x**2)]) < 1e-9
    assert worst(lambda: np.sum(x**3), [(x, 3.06 * x**2)]) > 1e-2
