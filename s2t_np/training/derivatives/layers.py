"""The blocks of encoder and decoder with their derivatives: each backward reads its forward from the last line up.

A block adds its result to the stream, x + f(norm(x)), so that the gradient arrives twice: straight through the sum, and
through f. That is why deep stacks of such blocks can be trained at all.
"""

from typing import NamedTuple

import numpy as np

from ...ops import Conv, LayerNorm, Linear
from ...parts import Attention, DecoderLayer, EncoderLayer, Subsampler
from .attention import ProjectedKept, Reach, projected_backward, projected_forward
from .convolution import ConvKept, conv1d_glu_backward, conv1d_glu_forward, conv_lengths
from .dropout import Dropout, dropout_backward
from .operations import (
    LayerNormKept,
    layer_norm_backward,
    layer_norm_forward,
    linear_backward,
    linear_forward,
    relu_backward,
)


class AttentionBlockKept(NamedTuple):
    """Kept for the derivative of x + attention(norm(x))."""

    norm: LayerNormKept
    attention: ProjectedKept
    mask: np.ndarray | None  # the dropout


class FeedForwardKept(NamedTuple):
    """Kept for the derivative of x + W2 relu(W1 norm(x))."""

    norm: LayerNormKept
    h: np.ndarray  # (S, D) the input of fc1
    hidden: np.ndarray  # (S, F) the input of fc2
    hidden_mask: np.ndarray | None
    mask: np.ndarray | None


class FeedForwardGradient(NamedTuple):
    """The gradients by the weights of a feed-forward block."""

    final_layer_norm: LayerNorm
    fc1: Linear
    fc2: Linear


def feed_forward_forward(
    w: EncoderLayer | DecoderLayer, x: np.ndarray, dropout: Dropout
) -> tuple[np.ndarray, FeedForwardKept]:
    """x + W2 relu(W1 norm(x)): (S, D) -> (S, D)."""
    h, norm = layer_norm_forward(x, w.final_layer_norm)
    hidden = linear_forward(h, w.fc1)
    np.maximum(hidden, 0, out=hidden)
    hidden, hidden_mask = dropout.of_activations(hidden)
    y = linear_forward(hidden, w.fc2)
    y, mask = dropout.of_rows(y)
    return x + y, FeedForwardKept(norm, h, hidden, hidden_mask, mask)


def feed_forward_backward(
    dy: np.ndarray, w: EncoderLayer | DecoderLayer, kept: FeedForwardKept
) -> tuple[np.ndarray, FeedForwardGradient]:
    """dy (S, D) -> dx (S, D) and the gradients by the weights."""
    dx = dy
    dy = dropout_backward(dy, kept.mask)
    dhidden, fc2 = linear_backward(dy, kept.hidden, w.fc2)
    dhidden = dropout_backward(dhidden, kept.hidden_mask)
    dhidden = relu_backward(dhidden, kept.hidden)
    dh, fc1 = linear_backward(dhidden, kept.h, w.fc1)
    through, norm = layer_norm_backward(dh, w.final_layer_norm, kept.norm)
    return dx + through, FeedForwardGradient(norm, fc1, fc2)


def self_attention_forward(
    norm: LayerNorm, w: Attention, x: np.ndarray, reach: Reach, dropout: Dropout
) -> tuple[np.ndarray, AttentionBlockKept]:
    """x + attention of the normalised rows over themselves: (S, D) -> (S, D)."""
    h, norm_kept = layer_norm_forward(x, norm)
    y, kept = projected_forward(w, h, h, reach, dropout)
    y, mask = dropout.of_rows(y)
    return x + y, AttentionBlockKept(norm_kept, kept, mask)


def self_attention_backward(
    dy: np.ndarray, norm: LayerNorm, w: Attention, reach: Reach, kept: AttentionBlockKept
) -> tuple[np.ndarray, LayerNorm, Attention]:
    """dy (S, D) -> dx (S, D) and the gradients by the weights. A row is asked as well as it asks: two gradients add."""
    dx = dy
    dy = dropout_backward(dy, kept.mask)
    asking, asked, attention = projected_backward(dy, w, reach, kept.attention)
    through, norm_gradient = layer_norm_backward(asking + asked, norm, kept.norm)
    return dx + through, norm_gradient, attention


def cross_attention_forward(
    w: DecoderLayer, x: np.ndarray, memory: np.ndarray, reach: Reach, dropout: Dropout
) -> tuple[np.ndarray, AttentionBlockKept]:
    """x + attention of the normalised rows over the memory (S, D): (U, D) -> (U, D)."""
    h, norm = layer_norm_forward(x, w.encoder_attn_layer_norm)
    y, kept = projected_forward(w.encoder_attn, h, memory, reach, dropout)
    y, mask = dropout.of_rows(y)
    return x + y, AttentionBlockKept(norm, kept, mask)


def cross_attention_backward(
    dy: np.ndarray, w: DecoderLayer, reach: Reach, kept: AttentionBlockKept
) -> tuple[np.ndarray, np.ndarray, LayerNorm, Attention]:
    """dy (U, D) -> dx (U, D), dmemory (S, D) and the gradients by the weights."""
    dx = dy
    dy = dropout_backward(dy, kept.mask)
    asking, dmemory, attention = projected_backward(dy, w.encoder_attn, reach, kept.attention)
    through, norm = layer_norm_backward(asking, w.encoder_attn_layer_norm, kept.norm)
    return dx + through, dmemory, norm, attention


def subsample_forward(
    w: Subsampler, x: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[ConvKept]]:
    """Shorten time with convolutions and gates: (T, M) with lengths (B,) -> (S, D), its lengths, what is kept."""
    kept = []
    for conv in w.conv_layers:
        x, conv_kept = conv1d_glu_forward(x, lengths, conv)
        lengths = conv_lengths(lengths)
        kept.append(conv_kept)
    return x, lengths, kept


def subsample_backward(
    dy: np.ndarray, w: Subsampler, kept: list[ConvKept], by_features: bool = False
) -> tuple[np.ndarray | None, Subsampler]:
    """dy (S, D) -> the gradient by the features (T, M), None unless `by_features` asks for it, and by the weights."""
    gradients: list[Conv] = []
    for i, (conv, conv_kept) in reversed(list(enumerate(zip(w.conv_layers, kept, strict=True)))):
        dy, gradient = conv1d_glu_backward(dy, conv, conv_kept, by_features or i > 0)
        gradients.insert(0, gradient)
    return dy, Subsampler(tuple(gradients))
