"""The decoder over whole transcripts side by side (teacher forcing), and its derivative."""

from typing import NamedTuple

import numpy as np

from ...config import ModelConfig
from ...decoder import embed_tokens, position_rows
from ...layers import embedding_scale
from ...ops import numpy_ops
from ...parts import Decoder, DecoderLayer, Embedding
from .attention import Reach
from .dropout import Dropout, dropout_backward
from .layers import (
    AttentionBlockKept,
    FeedForwardKept,
    cross_attention_backward,
    cross_attention_forward,
    feed_forward_backward,
    feed_forward_forward,
    self_attention_backward,
    self_attention_forward,
)
from .operations import LayerNormKept, embedding_backward, layer_norm_backward, layer_norm_forward
from .parameters import zeros_like
from .ragged import stretches


class DecoderLayerKept(NamedTuple):
    """Kept for the derivative of a decoder layer."""

    self_attention: AttentionBlockKept
    cross_attention: AttentionBlockKept
    feed_forward: FeedForwardKept


class Reaches(NamedTuple):
    """Who looks at whom in a decoder: the text at itself, and the text at the memory."""

    text: Reach
    memory: Reach


class DecoderKept(NamedTuple):
    """Kept for the derivative of the decoder."""

    tokens: np.ndarray  # (U,)
    mask: np.ndarray | None
    layers: list[DecoderLayerKept | None]  # None: left out
    norm: LayerNormKept
    reaches: Reaches


def decoder_layer_forward(
    w: DecoderLayer, x: np.ndarray, memory: np.ndarray, reaches: Reaches, dropout: Dropout
) -> tuple[np.ndarray, DecoderLayerKept]:
    """Self-attention over the text so far, attention over the sound, feed-forward: (U, D) -> (U, D)."""
    x, text = self_attention_forward(w.self_attn_layer_norm, w.self_attn, x, reaches.text, dropout)
    x, sound = cross_attention_forward(w, x, memory, reaches.memory, dropout)
    x, feed_forward = feed_forward_forward(w, x, dropout)
    return x, DecoderLayerKept(text, sound, feed_forward)


def decoder_layer_backward(
    dy: np.ndarray, w: DecoderLayer, reaches: Reaches, kept: DecoderLayerKept
) -> tuple[np.ndarray, np.ndarray, DecoderLayer]:
    """dy (U, D) -> dx (U, D), dmemory (S, D) and the gradients by the weights."""
    dy, feed_forward = feed_forward_backward(dy, w, kept.feed_forward)
    dy, dmemory, *sound = cross_attention_backward(dy, w, reaches.memory, kept.cross_attention)
    norm, attn = w.self_attn_layer_norm, w.self_attn
    dx, *text = self_attention_backward(dy, norm, attn, reaches.text, kept.self_attention)
    return dx, dmemory, DecoderLayer(*text, *sound, *feed_forward)


def decode_forward(
    w: Decoder, config: ModelConfig, tokens: np.ndarray, memory: np.ndarray, reaches: Reaches, dropout: Dropout
) -> tuple[np.ndarray, DecoderKept]:
    """Tokens (U,) and memory (S, D) -> normalised rows (U, D), of which the vocabulary projection makes logits."""
    where = [position_rows(w, config, tokens[rows], memory.dtype) for rows in stretches(reaches.text.rows)]
    x = embed_tokens(numpy_ops, w, config, tokens, np.concatenate(where))
    x, mask = dropout.of_rows(x)
    layers = []
    for layer in w.layers:
        if dropout.skips(dropout.rates.decoder_layerdrop):
            layers.append(None)
            continue
        x, kept = decoder_layer_forward(layer, x, memory, reaches, dropout)
        layers.append(kept)
    x, norm = layer_norm_forward(x, w.layer_norm)
    return x, DecoderKept(tokens, mask, layers, norm, reaches)


def decode_backward(
    dy: np.ndarray, w: Decoder, config: ModelConfig, memory: np.ndarray, kept: DecoderKept
) -> tuple[np.ndarray, Decoder]:
    """dy (U, D), by the normalised rows -> the gradient by the memory (S, D) and by the weights."""
    dx, norm = layer_norm_backward(dy, w.layer_norm, kept.norm)
    dmemory, gradients = np.zeros_like(memory), []
    for layer, layer_kept in zip(reversed(w.layers), reversed(kept.layers), strict=True):
        if layer_kept is None:
            gradients.insert(0, zeros_like(layer))
            continue
        dx, by_memory, gradient = decoder_layer_backward(dx, layer, kept.reaches, layer_kept)
        dmemory += by_memory
        gradients.insert(0, gradient)
    dx = dropout_backward(dx, kept.mask)
    dx = dx * dx.dtype.type(embedding_scale(config))
    table = embedding_backward(dx, kept.tokens, len(w.embed_tokens.weight))
    return dmemory, Decoder(Embedding(table), tuple(gradients), norm)
