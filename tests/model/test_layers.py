"""Subsampler, positions, attention block and feed-forward, against loops and against their definitions."""

from functools import partial

import numpy as np
import pytest

from s2t_np import layers
from s2t_np.ops import numpy_ops as ops
from tests.support import oracles_model as oracle
from tests.support.small_models import noise, small_model

LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17]


@pytest.mark.parametrize("width", [4, 5, 15, 16, 256])
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-7), (np.float64, 1e-12)])
def test_sinusoids_by_definition(width, dtype, tolerance):
    """The tolerance of float32 is one rounding, even at position 6000: angles are computed in float64."""
    for start in (0, 2, 500, 6000):
        table = layers.sinusoids(start, 3, width, dtype)
        assert table.dtype == dtype
        expected = [oracle.position_row(start + i, width) for i in range(3)]
        np.testing.assert_allclose(table, expected, atol=tolerance)


def test_sinusoids_spelled_out():
    """D = 4: frequencies 1 and 1/10000. Odd widths end in a zero."""
    expected = [np.sin(3.0), np.sin(3e-4), np.cos(3.0), np.cos(3e-4)]
    np.testing.assert_allclose(layers.sinusoids(3, 1, 4, np.float64)[0], expected, rtol=1e-12)
    np.testing.assert_allclose(layers.sinusoids(3, 1, 5, np.float64)[0], [*expected, 0], rtol=1e-12)


def test_positions_count_from_two_and_continue():
    config = small_model().config
    whole = layers.positions(0, 9, config, np.float64)
    np.testing.assert_allclose(whole[0], oracle.position_row(2, config.d_model), atol=1e-12)
    parts = [layers.positions(first, count, config, np.float64) for first, count in ((0, 4), (4, 1), (5, 4))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_embedding_scale():
    assert layers.embedding_scale(small_model().config) == 4
    assert layers.embedding_scale(small_model("unscaled").config) == 1


@pytest.mark.parametrize("convolutions", [1, 2, 3])
def test_subsampled_length_counts_every_other_frame(convolutions):
    for frames in range(1, 200):
        left = range(frames)
        for _ in range(convolutions):
            left = left[::2]
        assert layers.subsampled_length(frames, convolutions) == len(left)


@pytest.mark.parametrize("shape", ["tied", "odd", "one-conv", "three-conv"])
@pytest.mark.parametrize("frames", LENGTHS)
def test_subsample(shape, frames):
    model = small_model(shape)
    x = expected = noise(frames, 6)
    for i in range(model.config.num_conv_layers):
        name = f"model.encoder.conv.conv_layers.{i}"
        expected = oracle.conv1d_glu(expected, model.tensors[f"{name}.weight"], model.tensors[f"{name}.bias"])
    found = layers.subsample(ops, model.weights.encoder.conv, x)
    assert found.shape == (layers.subsampled_length(frames, model.config.num_conv_layers), model.config.d_model)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("shape", ["tied", "odd", "one-conv", "three-conv"])
@pytest.mark.parametrize("frames", LENGTHS)
def test_padded_length_is_as_if_all_of_it_were_there(shape, frames):
    """Upstream convolves the whole padded batch; here only as much of it as reaches the rows that are kept."""
    w = small_model(shape).weights.encoder.conv
    x = noise(frames, 6)
    for more in (0, 1, 2, 3, 4, 5, 8, 13, 100):
        padded = np.pad(x, ((0, more), (0, 0)))
        whole = layers.subsample(ops, w, padded)[: layers.subsampled_length(frames, len(w.conv_layers))]
        np.testing.assert_allclose(layers.subsample(ops, w, x, frames + more), whole, atol=1e-13)
    assert len(layers.pad_as_in_batch(x, w, 10**9)) < frames + 64


@pytest.mark.parametrize("frames", [5, 6, 7, 8, 9, 20])
def test_padding_reaches_the_last_position_only(frames):
    w = small_model().weights.encoder.conv
    x = noise(frames, 6)
    alone, padded = layers.subsample(ops, w, x), layers.subsample(ops, w, x, frames + 50)
    np.testing.assert_allclose(alone[:-1], padded[:-1], atol=1e-13)
    assert np.abs(alone[-1] - padded[-1]).max() > 1e-3


def test_padding_of_nothing_changes_nothing():
    w = small_model().weights.encoder.conv
    x = noise(12, 6)
    np.testing.assert_array_equal(layers.subsample(ops, w, x, 12), layers.subsample(ops, w, x))


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("shape", ["tied", "odd"])
def test_self_attention_and_feed_forward(shape, rows):
    model, name = small_model(shape), "model.encoder.layers.1"
    judge, layer = oracle.Model(model.tensors, model.json), model.weights.encoder.layers[1]
    x, residual = noise(rows, model.config.d_model), noise(rows, model.config.d_model, seed=1)
    heads = model.config.encoder_attention_heads
    found = layers.self_attention(ops, layer.self_attn, heads, x, residual)
    np.testing.assert_allclose(found, residual + judge.attend(f"{name}.self_attn", x, x, heads), atol=1e-12)
    block = partial(layers.feed_forward, ops, layer)
    found = layers.pre_norm(ops, layer.final_layer_norm, x, block)
    np.testing.assert_allclose(found, judge.feed_forward(x, name), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_stay_in_their_precision(dtype):
    model = small_model(dtype=dtype)
    layer, x = model.weights.encoder.layers[0], noise(3, 16, dtype=dtype)
    assert layers.self_attention(ops, layer.self_attn, 2, x, x).dtype == dtype
    assert layers.feed_forward(ops, layer, x, x).dtype == dtype
    assert layers.subsample(ops, model.weights.encoder.conv, noise(9, 6, dtype=dtype)).dtype == dtype
