"""The parts of a network as NamedTuples of weights, and the shapes that a checkpoint must hold them in.

The fields are named as the checkpoint names them, so `model.encoder.layers.3.self_attn.q_proj.weight` in the file is
`weights.encoder.layers[3].self_attn.q_proj.weight` here, and putting the tensors in their places needs no dictionary.
A part that a network does not have is None. The functions give {name: shape}, for `weights.expected_shapes`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .config import ModelConfig
from .ops import Conv, LayerNorm, Linear, summary

Shapes = dict[str, tuple[int, ...]]


class Attention(NamedTuple):
    """Multi-head attention: four projections (D, D), each with a bias."""

    q_proj: Linear
    k_proj: Linear
    v_proj: Linear
    out_proj: Linear
    __repr__ = summary


class EncoderLayer(NamedTuple):
    """Self-attention and feed-forward, each with a layer normalisation."""

    self_attn_layer_norm: LayerNorm
    self_attn: Attention
    final_layer_norm: LayerNorm
    fc1: Linear  # (F, D)
    fc2: Linear  # (D, F)
    __repr__ = summary


class DecoderLayer(NamedTuple):
    """Self-attention, attention over the encoder's memory, feed-forward, each with a layer normalisation."""

    self_attn_layer_norm: LayerNorm
    self_attn: Attention
    encoder_attn_layer_norm: LayerNorm
    encoder_attn: Attention
    final_layer_norm: LayerNorm
    fc1: Linear  # (F, D)
    fc2: Linear  # (D, F)
    __repr__ = summary


class Subsampler(NamedTuple):
    """The convolutions that shorten time by 4: (C, M, 5), then (2 D, C/2, 5); a gate halves the channels of each."""

    conv_layers: tuple[Conv, ...]
    __repr__ = summary


class Encoder(NamedTuple):
    """Subsampler, layers, and the normalisation after the last of them, which post-norm layers do without."""

    conv: Subsampler
    layers: tuple[EncoderLayer, ...]
    layer_norm: LayerNorm | None
    __repr__ = summary


class Embedding(NamedTuple):
    """A table of rows, one a token."""

    weight: np.ndarray  # (V, D)
    __repr__ = summary


class Decoder(NamedTuple):
    """Token embedding, layers, and the normalisation after the last of them; the rest no released model has."""

    embed_tokens: Embedding
    layers: tuple[DecoderLayer, ...]
    layer_norm: LayerNorm | None
    embed_positions: Embedding | None = None  # (pad_token_id + 1 + max_target_positions, D), where they are learned
    layernorm_embedding: LayerNorm | None = None
    project_out_dim: Linear | None = None  # (width of the head, D), no bias
    __repr__ = summary


class Weights(NamedTuple):
    """All weights of a model. `lm_head` is the embedding table itself in tied models."""

    encoder: Encoder  # or the encoder of another architecture: convtransformer.py, conformer.py
    decoder: Decoder
    lm_head: Linear  # (V, D) or (V, width of project_out_dim), no bias
    __repr__ = summary


def linear_shapes(name: str, outputs: int, inputs: int) -> Shapes:
    """A linear map with its bias."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm_shapes(name: str, width: int) -> Shapes:
    """A layer normalisation."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def attention_shapes(name: str, width: int, memory: int | None = None) -> Shapes:
    """An attention block of D = `width`, over rows of D or, with `memory`, over rows of that width."""
    shapes = {}
    for projection in Attention._fields:
        inputs = memory if memory and projection in ("k_proj", "v_proj") else width
        shapes |= linear_shapes(f"{name}.{projection}", width, inputs)
    return shapes


def layer_shapes(name: str, attentions: dict[str, int], width: int, hidden: int) -> Shapes:
    """A layer of D = `width`, F = `hidden`, with the named attentions over rows of the widths given."""
    shapes = linear_shapes(f"{name}.fc1", hidden, width) | linear_shapes(f"{name}.fc2", width, hidden)
    for attention, memory in attentions.items():
        shapes |= attention_shapes(f"{name}.{attention}", width, memory)
        shapes |= norm_shapes(f"{name}.{attention}_layer_norm", width)
    return shapes | norm_shapes(f"{name}.final_layer_norm", width)


def subsampler_shapes(name: str, config: ModelConfig) -> Shapes:
    """Inner convolutions have `conv_channels` outputs, the last has 2 D; the gate after each halves them."""
    shapes, inputs = {}, config.input_feat_per_channel * config.input_channels
    for i, kernel in enumerate(config.conv_kernel_sizes):
        outputs = config.conv_channels if i < config.num_conv_layers - 1 else 2 * config.d_model
        layer = f"{name}.conv_layers.{i}"
        shapes |= {f"{layer}.weight": (outputs, inputs, kernel), f"{layer}.bias": (outputs,)}
        inputs = outputs // 2
    return shapes


def named_leaves(tree, kinds: type | tuple[type, ...], name: str = "") -> Iterator[tuple[str, Any]]:
    """(name, leaf) of everything of one of `kinds` in a structure of weights: "encoder.layers.3.self_attn.q_proj"."""
    if isinstance(tree, kinds):
        yield name, tree
    elif isinstance(tree, tuple | list):
        for field, part in zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True):
            yield from named_leaves(part, kinds, f"{name}.{field}" if name else str(field))
