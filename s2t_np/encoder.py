"""The encoder: features of an utterance become its memory, one row for every 40 ms.

Source: fairseq S2T (arXiv 2010.05171), section 3, `s2t_transformer`: convolutional subsampler, then a transformer
encoder. One utterance at a time; nothing is padded and nothing masked.
"""

from functools import partial

import numpy as np

from .config import ModelConfig
from .layers import embedding_scale, feed_forward, normalised, positions, post_norm, pre_norm, self_attention, subsample
from .ops import Ops
from .parts import Encoder, EncoderLayer


def embed_features(
    ops: Ops, w: Encoder, config: ModelConfig, features: np.ndarray, padded_length: int | None = None
) -> np.ndarray:
    """Subsample, scale, add positions: (T, M) -> (S, D)."""
    x = subsample(ops, w.conv, features, padded_length)
    x = x * x.dtype.type(embedding_scale(config))
    return x + positions(0, len(x), config, x.dtype)


def encoder_layer(ops: Ops, w: EncoderLayer, config: ModelConfig, x: np.ndarray) -> np.ndarray:
    """Self-attention, then feed-forward: look around, then think. (S, D) -> (S, D)."""
    sublayer = pre_norm if config.encoder_normalize_before else post_norm
    attend = partial(self_attention, ops, w.self_attn, config.encoder_attention_heads)
    x = sublayer(ops, w.self_attn_layer_norm, x, attend)
    return sublayer(ops, w.final_layer_norm, x, partial(feed_forward, ops, w))


def encode(
    ops: Ops, w: Encoder, config: ModelConfig, features: np.ndarray, padded_length: int | None = None
) -> np.ndarray:
    """Features (T, M) -> memory (S, D). `padded_length`: see `layers.subsample`."""
    return through_layers(ops, w, config, embed_features(ops, w, config, features, padded_length))


def through_layers(ops: Ops, w: Encoder, config: ModelConfig, x: np.ndarray) -> np.ndarray:
    """All layers, one after the other, and the last normalisation: (S, D) -> (S, D)."""
    for layer in w.layers:
        x = encoder_layer(ops, layer, config, x)
    return normalised(ops, x, w.layer_norm)
