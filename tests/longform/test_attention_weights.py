"""Watching attention changes nothing, sees every layer, and sees the weights that were used."""

import numpy as np
import pytest

from s2t_np.decoder import decode_full
from s2t_np.longform.attention_weights import attention_weights, record_attention
from s2t_np.ops import attention, merge_heads, numpy_ops, split_heads
from tests.support.small_models import SHAPES, noise, small_model

BACKENDS = [
    pytest.param(lambda: numpy_ops, id="numpy"),
    pytest.param(lambda: pytest.importorskip("s2t_np_kernels.backend").numba_ops, id="numba"),
]


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("queries, keys", [(1, 1), (2, 5), (7, 3)])
def test_the_weights_are_those_that_attention_mixes_with(heads, queries, keys):
    q, k, v = noise(queries, 6, seed=1), noise(keys, 6, seed=2), noise(keys, 6, seed=3)
    weights = attention_weights(q, k, heads)
    assert weights.shape == (heads, queries, keys)
    np.testing.assert_allclose(merge_heads(weights @ split_heads(v, heads)), attention(q, k, v, heads), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [s for s in SHAPES if s != "no-layers"])
def test_a_watched_pass_gives_the_same_logits_and_all_the_weights(shape, backend):
    ops, model = backend(), small_model(shape, dtype=np.float32)
    weights, memory = ops.prepare(model.weights), noise(9, model.config.d_model, dtype=np.float32)
    tokens, seen = np.array([2, 5, 6, 7]), []
    watched = decode_full(record_attention(ops, seen), weights, model.config, tokens, memory)
    np.testing.assert_array_equal(watched, decode_full(ops, weights, model.config, tokens, memory))
    heads, layers = model.config.decoder_attention_heads, model.config.decoder_layers
    assert [w.shape for w in seen] == [(heads, len(tokens), len(memory))] * layers
    for layer in seen:
        np.testing.assert_allclose(layer.sum(axis=-1), 1, atol=1e-5)
