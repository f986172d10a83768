"""The encoder against the loops of oracles_model.py, alone and in the precisions and shapes it is used in."""

import numpy as np
import pytest

from s2t_np.encoder import embed_features, encode
from s2t_np.ops import numpy_ops as ops
from tests.support import oracles_model as oracle
from tests.support.small_models import SHAPES, noise, small_model


def encoded(model, features, padded_length=None):
    return encode(ops, model.weights.encoder, model.config, features, padded_length)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 13])
def test_encode(shape, frames):
    model = small_model(shape)
    x = noise(frames, 6)
    expected = oracle.Model(model.tensors, model.json).encode(x)
    np.testing.assert_allclose(encoded(model, x), expected, atol=1e-11)


@pytest.mark.parametrize("shape", ["tied", "odd"])
def test_float32_is_near_float64(shape):
    single, double = small_model(shape, dtype=np.float32), small_model(shape)
    x = noise(41, 6)
    found = encoded(single, x.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, encoded(double, x), atol=2e-5)


def test_embed_features_scales_and_adds_positions():
    model = small_model()
    x = noise(17, 6)
    rows = embed_features(ops, model.weights.encoder, model.config, x)
    unscaled = embed_features(ops, model.weights.encoder, small_model(scale_embedding=False).config, x)
    table = [oracle.position_row(2 + i, 16) for i in range(len(rows))]
    np.testing.assert_allclose(rows - table, 4 * (unscaled - table), atol=1e-12)


@pytest.mark.parametrize("frames", [4, 9, 22])
def test_padded_length_is_as_in_a_masked_batch(frames):
    """Upstream hides padded positions from attention: what is left is a longer subsampling, cut to the valid rows."""
    model, x = small_model(), noise(frames, 6)
    judge = oracle.Model(model.tensors, model.json)
    rows = len(encoded(model, x))
    judge.place = lambda y, place=judge.place: place(y)[:rows]
    np.testing.assert_allclose(encoded(model, x, frames + 37), judge.encode(np.pad(x, ((0, 37), (0, 0)))), atol=1e-11)
    assert np.abs(encoded(model, x, frames + 37) - encoded(model, x)).max() > 1e-4


@pytest.mark.parametrize("shape", ["small", "medium", "large"])
def test_released_shapes(shape):
    """The widths of the released models with one layer each: right shape, finite, rows of unit size as normalised."""
    from s2t_np.config import ModelConfig
    from s2t_np.weights import build
    from tools.random_checkpoint import random_tensors, shape_config

    config = ModelConfig.from_dict(shape_config(shape, encoder_layers=1, decoder_layers=1, vocab_size=40))
    weights = build(random_tensors(config), config, "test")
    memory = encode(ops, weights.encoder, config, noise(50, 80, dtype=np.float32))
    assert memory.shape == (13, config.d_model)
    assert memory.dtype == np.float32
    np.testing.assert_allclose(np.sqrt(np.mean(memory**2, axis=1)), 1, atol=0.2)


def test_nothing_is_changed_in_place():
    model, x = small_model(), noise(9, 6)
    before = x.copy(), {name: tensor.copy() for name, tensor in model.tensors.items()}
    first = encoded(model, x)
    np.testing.assert_array_equal(encoded(model, x), first)
    np.testing.assert_array_equal(x, before[0])
    for name, tensor in before[1].items():
        np.testing.assert_array_equal(model.tensors[name], tensor)
