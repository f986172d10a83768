"""The encoder: features of an utterance become its memory, one row for every 40 ms.

Source: fairseq S2T (arXiv 2010.05171), section 3, `s2t_transformer`: convolutional subsampler, then a pre-norm
transformer encoder. One utterance at a time; nothing is padded and nothing masked.
"""

import numpy as np

from .config import ModelConfig
from .layers import embedding_scale, feed_forward, positions, self_attention, subsample
from .ops import Ops
from .weights import Encoder, EncoderLayer


def embed_features(
    ops: Ops, w: Encoder, config: ModelConfig, features: np.ndarray, padded_length: int | None = None
) -> np.ndarray:
    """Subsample, scale, add positions: (T, M) -> (S, D)."""
    x = subsample(ops, w.conv, features, padded_length)
    x = x * x.dtype.type(embedding_scale(config))
    return x + positions(0, len(x), config, x.dtype)


def encoder_layer(ops: Ops, w: EncoderLayer, x: np.ndarray, heads: int) -> np.ndarray:
    """Self-attention, then feed-forward: look around, then think. (S, D) -> (S, D)."""
    x = self_attention(ops, w.self_attn, ops.layer_norm(x, w.self_attn_layer_norm), heads, residual=x)
    return feed_forward(ops, w, x)


def encode(
    ops: Ops, w: Encoder, config: ModelConfig, features: np.ndarray, padded_length: int | None = None
) -> np.ndarray:
    """Features (T, M) -> memory (S, D). `padded_length`: see `layers.subsample`."""
    x = embed_features(ops, w, config, features, padded_length)
    for layer in w.layers:
        x = encoder_layer(ops, layer, x, config.encoder_attention_heads)
    return ops.layer_norm(x, w.layer_norm)
