"""The encoder over utterances side by side, and its derivative."""

from typing import NamedTuple

import numpy as np

from ...config import ModelConfig
from ...layers import embedding_scale, positions
from ...parts import Encoder, EncoderLayer
from .attention import Reach
from .convolution import ConvKept
from .dropout import Dropout, dropout_backward
from .layers import (
    AttentionBlockKept,
    FeedForwardKept,
    feed_forward_backward,
    feed_forward_forward,
    self_attention_backward,
    self_attention_forward,
    subsample_backward,
    subsample_forward,
)
from .operations import LayerNormKept, layer_norm_backward, layer_norm_forward
from .parameters import zeros_like
from .ragged import first_rows, first_rows_backward


class EncoderLayerKept(NamedTuple):
    """Kept for the derivative of an encoder layer."""

    attention: AttentionBlockKept
    feed_forward: FeedForwardKept


class EncoderKept(NamedTuple):
    """Kept for the derivative of the encoder."""

    conv: list[ConvKept]
    conv_lengths: np.ndarray  # (B,) rows that the convolutions made of each utterance
    mask: np.ndarray | None
    layers: list[EncoderLayerKept | None]  # None: left out
    norm: LayerNormKept
    reach: Reach


def encoder_layer_forward(
    w: EncoderLayer, x: np.ndarray, reach: Reach, dropout: Dropout
) -> tuple[np.ndarray, EncoderLayerKept]:
    """Self-attention, then feed-forward: (S, D) -> (S, D)."""
    x, attention = self_attention_forward(w.self_attn_layer_norm, w.self_attn, x, reach, dropout)
    x, feed_forward = feed_forward_forward(w, x, dropout)
    return x, EncoderLayerKept(attention, feed_forward)


def encoder_layer_backward(
    dy: np.ndarray, w: EncoderLayer, reach: Reach, kept: EncoderLayerKept
) -> tuple[np.ndarray, EncoderLayer]:
    """dy (S, D) -> dx (S, D) and the gradients by the weights."""
    dy, feed_forward = feed_forward_backward(dy, w, kept.feed_forward)
    dx, norm, attention = self_attention_backward(dy, w.self_attn_layer_norm, w.self_attn, reach, kept.attention)
    return dx, EncoderLayer(norm, attention, *feed_forward)


def embed_features_forward(
    w: Encoder, config: ModelConfig, features: np.ndarray, frames: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, list[ConvKept], np.ndarray]:
    """Subsample, scale, add positions: (T, M) -> (S, D), what is kept, and the lengths that the convolutions made.

    `lengths` (B,) are the rows to keep of each utterance: fewer than those made where zero frames follow it.
    """
    x, made, kept = subsample_forward(w.conv, features, frames)
    x = first_rows(x, made, lengths)
    x = x * x.dtype.type(embedding_scale(config))
    table = positions(0, int(max(lengths)), config, x.dtype)
    return x + np.concatenate([table[:length] for length in lengths]), kept, made


def encode_forward(
    w: Encoder, config: ModelConfig, features: np.ndarray, frames: np.ndarray, lengths: np.ndarray, dropout: Dropout
) -> tuple[np.ndarray, EncoderKept]:
    """Features (T, M) of utterances with `frames` (B,) -> memory (S, D) with `lengths` (B,)."""
    reach = Reach(lengths, lengths, config.encoder_attention_heads)
    x, conv, made = embed_features_forward(w, config, features, frames, lengths)
    x, mask = dropout.of_rows(x)
    layers = []
    for layer in w.layers:
        if dropout.skips(dropout.rates.encoder_layerdrop):
            layers.append(None)
            continue
        x, kept = encoder_layer_forward(layer, x, reach, dropout)
        layers.append(kept)
    x, norm = layer_norm_forward(x, w.layer_norm)
    return x, EncoderKept(conv, made, mask, layers, norm, reach)


def encode_backward(
    dy: np.ndarray, w: Encoder, config: ModelConfig, kept: EncoderKept, by_features: bool = False
) -> tuple[np.ndarray | None, Encoder]:
    """dy (S, D), by the memory -> the gradient by the features (T, M), if asked for, and by the weights."""
    dx, norm = layer_norm_backward(dy, w.layer_norm, kept.norm)
    gradients: list[EncoderLayer] = []
    for layer, layer_kept in zip(reversed(w.layers), reversed(kept.layers), strict=True):
        if layer_kept is None:
            gradients.insert(0, zeros_like(layer))
            continue
        dx, gradient = encoder_layer_backward(dx, layer, kept.reach, layer_kept)
        gradients.insert(0, gradient)
    dx = dropout_backward(dx, kept.mask)
    dx = dx * dx.dtype.type(embedding_scale(config))
    dx = first_rows_backward(dx, kept.conv_lengths, kept.reach.rows)
    dfeatures, conv = subsample_backward(dx, w.conv, kept.conv, by_features)
    return dfeatures, Encoder(conv, tuple(gradients), norm)
