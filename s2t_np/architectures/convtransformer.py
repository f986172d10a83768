"""fairseq's `convtransformer`: its encoder, and the weights that it takes. The decoder is that of decoder.py.

Sound is looked at as a picture, time by mel bins: two convolutions of 3 x 3 with a ReLU halve both sides, and a linear
map turns the channels and bins of a moment into a row. A transformer encoder follows, without a normalisation after its
last layer: fairseq's makes one for pre-norm models and never calls it.
Source: Inaguma et al. 2020, "ESPnet-ST" (arXiv 2004.10234), as in fairseq/models/speech_to_text/convtransformer.py.
"""

from typing import NamedTuple

import numpy as np

from ..activations import relu
from ..config import ModelConfig
from ..encoder import encoder_layer
from ..layers import embedding_scale, positions, subsampled_length
from ..ops import Linear, Ops, summary
from ..parts import EncoderLayer, Shapes, layer_shapes, linear_shapes

CONVOLUTIONS = 2
TAPS = 3
REACH = 10  # frames of padding that reach the last position, and a few more


class Conv2d(NamedTuple):
    """A convolution over time and mel bins, stored the way torch stores it."""

    weight: np.ndarray  # (C, I, 3, 3), I the channels of its input
    bias: np.ndarray  # (C,)
    __repr__ = summary


class ConvEncoder(NamedTuple):
    """Two convolutions, the map to the width of the encoder, layers."""

    conv: tuple[Conv2d, ...]
    out: Linear  # (D, C M/4)
    layers: tuple[EncoderLayer, ...]
    __repr__ = summary


def shapes(config: ModelConfig) -> Shapes:
    """The tensors of the encoder."""
    channels, D = config.conv_out_channels or config.d_model, config.d_model
    found = {}
    for i, inputs in enumerate((1, channels)):
        found[f"model.encoder.conv.{i}.weight"] = (channels, inputs, TAPS, TAPS)
        found[f"model.encoder.conv.{i}.bias"] = (channels,)
    bins = subsampled_length(config.input_feat_per_channel, CONVOLUTIONS)
    found |= linear_shapes("model.encoder.out", D, channels * bins)
    for i in range(config.encoder_layers):
        found |= layer_shapes(f"model.encoder.layers.{i}", {"self_attn": D}, D, config.encoder_ffn_dim)
    return found


def conv2d(x: np.ndarray, w: Conv2d) -> np.ndarray:
    """Convolve, stride 2 and a border of zeros on all sides: (T, M, I) -> ((T-1)//2 + 1, (M-1)//2 + 1, C).

    As in `ops.conv1d`, each of the nine taps meets every other row and column, so it is one matrix product a tap.
    """
    T, M = ((side - 1) // 2 + 1 for side in x.shape[:2])
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    y = np.broadcast_to(w.bias, (T, M, len(w.bias))).copy()
    for i in range(TAPS):
        for j in range(TAPS):
            y += padded[i : i + 2 * T - 1 : 2, j : j + 2 * M - 1 : 2] @ w.weight[:, :, i, j].T
    return y


def subsample(ops: Ops, w: ConvEncoder, features: np.ndarray, padded_length: int | None = None) -> np.ndarray:
    """Shorten time by 4: (T, M) -> (S, D). `padded_length`: see `layers.subsample`."""
    length = subsampled_length(len(features), CONVOLUTIONS)
    if padded_length is not None:
        features = np.pad(features, ((0, min(padded_length - len(features), REACH)), (0, 0)))
    x = features[:, :, None]
    for conv in w.conv:
        x = relu(conv2d(x, conv))  # (T, M, C), then (S, M/4, C)
    return ops.linear(x.swapaxes(1, 2).reshape(len(x), -1), w.out)[:length]


def encode(
    ops: Ops, w: ConvEncoder, config: ModelConfig, features: np.ndarray, padded_length: int | None = None
) -> np.ndarray:
    """Features (T, M) -> memory (S, D). `padded_length`: see `layers.subsample`."""
    x = subsample(ops, w, features, padded_length)
    x = x * x.dtype.type(embedding_scale(config)) + positions(0, len(x), config, x.dtype)
    for layer in w.layers:
        x = encoder_layer(ops, layer, config, x)
    return x
