"""fairseq's `s2t_conformer`: its encoder, and the weights that it takes. The decoder is that of decoder.py.

The subsampler is that of s2t_transformer. Each layer has four blocks: half a feed-forward network, self-attention, a
convolution over time that sees some positions to either side, and the other half of a feed-forward network.

Positions enter in one of three ways (`pos_enc_type`): "abs", sinusoids added to the input; "rope", a rotation of the
rows that make queries and keys, by an angle for each position; "rel_pos", a term in the attention scores that depends
on how far apart query and key are. The last two need the attention taken from ESPnet (`attn_type`); without it, "rope"
leaves positions out altogether, as it does in fairseq.
Sources: Gulati et al. 2020, "Conformer" (arXiv 2005.08100), as in fairseq/modules/conformer_layer.py; Dai et al. 2019,
"Transformer-XL" (arXiv 1901.02860), section 3.3; Su et al. 2021, "RoFormer" (arXiv 2104.09864).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ..activations import silu
from ..config import ModelConfig
from ..errors import OptionError
from ..layers import embedding_scale, keys_values, positions, queries, subsample
from ..ops import SCORES_AT_ONCE, LayerNorm, Linear, Ops, glu, merge_heads, softmax, split_heads, summary
from ..parts import Attention, Shapes, Subsampler, attention_shapes, linear_shapes, norm_shapes, subsampler_shapes

BATCH_NORM_EPSILON = 1e-5  # torch.nn.BatchNorm1d's default


class FeedForward(NamedTuple):
    """A feed-forward network with its layer normalisation, which comes first."""

    layer_norm: LayerNorm
    w_1: Linear  # (F, D)
    w_2: Linear  # (D, F)
    __repr__ = summary


class Kernel(NamedTuple):
    """A convolution over time without a bias, stored the way torch stores it."""

    weight: np.ndarray  # (O, I, kernel); I is 1 where each channel has a kernel of its own
    __repr__ = summary


class BatchNorm(NamedTuple):
    """Gain, offset, and the mean and variance that training saw."""

    weight: np.ndarray  # (D,)
    bias: np.ndarray  # (D,)
    running_mean: np.ndarray  # (D,)
    running_var: np.ndarray  # (D,)
    __repr__ = summary


class Convolution(NamedTuple):
    """The convolution block."""

    layer_norm: LayerNorm
    pointwise_conv1: Kernel  # (2 D, D, 1)
    depthwise_conv: Kernel  # (D, 1, kernel)
    batch_norm: BatchNorm
    pointwise_conv2: Kernel  # (D, D, 1)
    __repr__ = summary


class Distances(NamedTuple):
    """Further weights of attention with relative positions: the projection of distances, and a bias for each head."""

    linear_pos: Kernel  # (D, D), no bias
    pos_bias_u: np.ndarray  # (H, D/H), added to queries that meet keys
    pos_bias_v: np.ndarray  # (H, D/H), added to queries that meet distances
    __repr__ = summary


class ConformerLayer(NamedTuple):
    """Four blocks and the normalisation after the last."""

    ffn1: FeedForward
    self_attn_layer_norm: LayerNorm
    self_attn: Attention
    distances: Distances | None  # with pos_enc_type "rel_pos"
    conv_module: Convolution
    ffn2: FeedForward
    final_layer_norm: LayerNorm
    __repr__ = summary


class ConformerEncoder(NamedTuple):
    """Subsampler, a linear map, layers."""

    conv: Subsampler
    linear: Linear  # (D, D)
    layers: tuple[ConformerLayer, ...]
    __repr__ = summary


def shapes(config: ModelConfig) -> Shapes:
    """The tensors of the encoder."""
    D = config.d_model
    found = subsampler_shapes("model.encoder.conv", config) | linear_shapes("model.encoder.linear", D, D)
    for i in range(config.encoder_layers):
        found |= layer_shapes(f"model.encoder.layers.{i}", config)
    return found


def layer_shapes(name: str, config: ModelConfig) -> Shapes:
    """The tensors of one layer."""
    D, F, heads = config.d_model, config.encoder_ffn_dim, config.encoder_attention_heads
    found = attention_shapes(f"{name}.self_attn", D) | norm_shapes(f"{name}.self_attn_layer_norm", D)
    for ffn in ("ffn1", "ffn2"):
        found |= norm_shapes(f"{name}.{ffn}.layer_norm", D)
        found |= linear_shapes(f"{name}.{ffn}.w_1", F, D) | linear_shapes(f"{name}.{ffn}.w_2", D, F)
    if config.pos_enc_type == "rel_pos":
        found[f"{name}.distances.linear_pos.weight"] = (D, D)
        found |= {f"{name}.distances.{bias}": (heads, D // heads) for bias in ("pos_bias_u", "pos_bias_v")}
    found |= norm_shapes(f"{name}.conv_module.layer_norm", D)
    found[f"{name}.conv_module.pointwise_conv1.weight"] = (2 * D, D, 1)
    found[f"{name}.conv_module.depthwise_conv.weight"] = (D, 1, config.depthwise_conv_kernel_size)
    found |= {f"{name}.conv_module.batch_norm.{part}": (D,) for part in BatchNorm._fields}
    found[f"{name}.conv_module.pointwise_conv2.weight"] = (D, D, 1)
    return found | norm_shapes(f"{name}.final_layer_norm", D)


def feed_forward(ops: Ops, w: FeedForward, x: np.ndarray) -> np.ndarray:
    """x + W2 silu(W1 norm(x)) / 2: (S, D) -> (S, D)."""
    hidden = silu(ops.linear(ops.layer_norm(x, w.layer_norm), w.w_1))
    return x + ops.linear(hidden, w.w_2) / 2


def depthwise(x: np.ndarray, w: Kernel) -> np.ndarray:
    """Convolve each channel over time with a kernel of its own, zeros on both sides: (S, D) -> (S, D)."""
    taps = w.weight.shape[2]
    padded = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    return sum(padded[k : k + len(x)] * w.weight[:, 0, k] for k in range(taps))


def batch_norm(x: np.ndarray, w: BatchNorm) -> np.ndarray:
    """Each channel by the statistics of the training (Ioffe and Szegedy 2015): (S, D) -> (S, D)."""
    return (x - w.running_mean) / np.sqrt(w.running_var + x.dtype.type(BATCH_NORM_EPSILON)) * w.weight + w.bias


def convolution(ops: Ops, w: Convolution, x: np.ndarray) -> np.ndarray:
    """A gate, a convolution of each channel, a mix of the channels, plus x: (S, D) -> (S, D)."""
    h = glu(ops.layer_norm(x, w.layer_norm) @ w.pointwise_conv1.weight[:, :, 0].T)
    h = silu(batch_norm(depthwise(h, w.depthwise_conv), w.batch_norm))
    return x + h @ w.pointwise_conv2.weight[:, :, 0].T


def frequencies(width: int) -> np.ndarray:
    """10000**(-2i/width) for i below width/2: (width/2,) float64."""
    return 10000.0 ** (-np.arange(0, width, 2) / width)


def rotated(x: np.ndarray, heads: int) -> np.ndarray:
    """Turn the two halves of each head against each other, position s by s times its frequencies: (S, D) -> (S, D)."""
    a, b = np.split(split_heads(x, heads), 2, axis=-1)  # (H, S, D/H/2)
    angles = np.arange(len(x))[:, None] * frequencies(x.shape[1] // heads)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    return merge_heads(np.concatenate((a * cos - b * sin, b * cos + a * sin), axis=-1))


def distance_rows(count: int, width: int, dtype) -> np.ndarray:
    """Sinusoids of the distances count-1 .. -(count-1) from key to query, sin and cos in turn: (2S-1, D)."""
    angles = np.arange(count - 1, -count, -1)[:, None] * frequencies(width)
    return np.stack((np.sin(angles), np.cos(angles)), axis=-1).reshape(len(angles), width).astype(dtype)


def by_distance(scores: np.ndarray) -> np.ndarray:
    """Scores of n queries in a row with each distance to S keys, (H, n, n+S-1), -> with each key: (H, n, S).

    The last query and the last key are in the last column but n-1; a query earlier is a column later.
    """
    n = scores.shape[1]
    columns = np.arange(n - 1, -1, -1)[:, None] + np.arange(scores.shape[2] - n + 1)
    return np.take_along_axis(scores, columns[None], axis=2)


def relative_attention(ops: Ops, w: ConformerLayer, heads: int, x: np.ndarray) -> np.ndarray:
    """Attention whose scores have a term for the distance: softmax((Q+u) K^T + (Q+v) P^T) V, (S, D) -> (S, D).

    A few hundred queries at a time, as `ops.attend_in_blocks`, each with the distances that it needs.
    """
    S, scale = len(x), x.dtype.type((x.shape[1] // heads) ** -0.5)
    q = split_heads(ops.linear(x, w.self_attn.q_proj), heads)  # (H, S, D/H)
    k, v = (split_heads(rows, heads) for rows in keys_values(ops, w.self_attn, x))
    p = split_heads(distance_rows(*x.shape, x.dtype) @ w.distances.linear_pos.weight.T, heads)  # (H, 2S-1, D/H)

    def attend(begin: int, end: int) -> np.ndarray:
        some, far = q[:, begin:end], p[:, S - end : 2 * S - 1 - begin]
        scores = (some + w.distances.pos_bias_u[:, None]) @ k.swapaxes(-1, -2)
        scores += by_distance((some + w.distances.pos_bias_v[:, None]) @ far.swapaxes(-1, -2))
        return softmax(scores * scale) @ v

    rows = max(1, SCORES_AT_ONCE // (heads * S))
    return merge_heads(np.concatenate([attend(i, min(i + rows, S)) for i in range(0, S, rows)], axis=1))


def absolute_attention(ops: Ops, w: ConformerLayer, heads: int, x: np.ndarray) -> np.ndarray:
    """Attention that knows no positions but those in x: (S, D) -> (S, D)."""
    return ops.attention(queries(ops, w.self_attn, x, heads), *keys_values(ops, w.self_attn, x), heads)


def rotary_attention(ops: Ops, w: ConformerLayer, heads: int, x: np.ndarray) -> np.ndarray:
    """Attention whose queries and keys come from rotated rows: (S, D) -> (S, D)."""
    turned = rotated(x, heads)
    values = ops.linear(x, w.self_attn.v_proj)
    return ops.attention(
        queries(ops, w.self_attn, turned, heads), ops.linear(turned, w.self_attn.k_proj), values, heads
    )


def attention_of(config: ModelConfig) -> Callable:
    """The attention that the model was trained with."""
    kinds = {"abs": absolute_attention, "rope": rotary_attention, "rel_pos": relative_attention}
    return kinds[config.pos_enc_type] if config.attn_type else absolute_attention


def conformer_layer(ops: Ops, w: ConformerLayer, x: np.ndarray, attend: Callable) -> np.ndarray:
    """Half a feed-forward network, attention, convolution, the other half, normalisation: (S, D) -> (S, D)."""
    x = feed_forward(ops, w.ffn1, x)
    x = ops.linear(attend(ops, w, x=ops.layer_norm(x, w.self_attn_layer_norm)), w.self_attn.out_proj, x)
    x = convolution(ops, w.conv_module, x)
    return ops.layer_norm(feed_forward(ops, w.ffn2, x), w.final_layer_norm)


def encode(
    ops: Ops, w: ConformerEncoder, config: ModelConfig, features: np.ndarray, padded_length: int | None = None
) -> np.ndarray:
    """Features (T, M) -> memory (S, D). Raises OptionError for a `padded_length`.

    In a padded batch, every layer's convolution would see what the layers before have made of the padding.
    """
    if padded_length is not None:
        raise OptionError("padded_length is not supported for an s2t_conformer, expected none")
    x = subsample(ops, w.conv, features)
    x = x * x.dtype.type(embedding_scale(config))
    if config.pos_enc_type == "abs":
        x = x + positions(0, len(x), config, x.dtype)
    x = ops.linear(x, w.linear)
    attend = partial(attention_of(config), heads=config.encoder_attention_heads)
    for layer in w.layers:
        x = conformer_layer(ops, layer, x, attend)
    return x
