"""The encoder of a convtransformer: its convolutions against loops; test_architectures.py has fairseq's numbers."""

import dataclasses

import numpy as np
import pytest

from s2t_np.architectures import convtransformer
from s2t_np.config import ModelConfig
from s2t_np.ops import numpy_ops as ops
from s2t_np.weights import build, expected_shapes
from tests.support.small_models import noise

CONFIG = dataclasses.replace(
    ModelConfig(),
    architecture="convtransformer",
    d_model=8,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=12,
    decoder_ffn_dim=12,
    vocab_size=9,
    conv_out_channels=3,
    input_feat_per_channel=6,
    encoder_normalize_before=False,
)


def encoder():
    shapes = expected_shapes(CONFIG)
    return build(
        {name: noise(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}, CONFIG, "test"
    ).encoder


def by_loops(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Every output by its definition: (T, M, I) -> (T', M', C)."""
    rows, columns = ((side - 1) // 2 + 1 for side in x.shape[:2])
    y = np.empty((rows, columns, len(bias)))
    for t, m, c in np.ndindex(y.shape):
        total = bias[c]
        for i, j in np.ndindex(3, 3):
            a, b = 2 * t + i - 1, 2 * m + j - 1
            if 0 <= a < x.shape[0] and 0 <= b < x.shape[1]:
                total += x[a, b] @ weight[c, :, i, j]
        y[t, m, c] = total
    return y


@pytest.mark.parametrize("sides", [(1, 1), (2, 5), (7, 4), (6, 9)])
def test_conv2d(sides):
    x, w = noise(*sides, 2), convtransformer.Conv2d(noise(3, 2, 3, 3, seed=1), noise(3, seed=2))
    np.testing.assert_allclose(convtransformer.conv2d(x, w), by_loops(x, w.weight, w.bias), atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 13, 22])
def test_padding_is_as_if_all_of_it_were_there(frames):
    w, x = encoder(), noise(frames, 6)
    alone = convtransformer.subsample(ops, w, x)
    assert len(alone) == -(-frames // 4)
    for more in (0, 1, 2, 5, 9, 30, 100):
        whole = convtransformer.subsample(ops, w, np.pad(x, ((0, more), (0, 0))))[: len(alone)]
        np.testing.assert_allclose(convtransformer.subsample(ops, w, x, frames + more), whole, atol=1e-12)


def test_channels_come_before_bins():
    """fairseq views (C, M/4) as one axis: column c * 2 + m of the map is channel c, bin m."""
    w, x = encoder(), noise(9, 6)
    y = x[:, :, None]
    for conv in w.conv:
        y = np.maximum(by_loops(y, conv.weight, conv.bias), 0)
    expected = sum(y[:, m, c, None] * w.out.weight[:, c * 2 + m] for c in range(3) for m in range(2)) + w.out.bias
    np.testing.assert_allclose(convtransformer.subsample(ops, w, x), expected, atol=1e-5)
