"""The one table from checkpoint names to fields, and the fields.

The fields are named as the checkpoint names them, so `model.encoder.layers.3.self_attn.q_proj.weight` in the file is
`weights.encoder.layers[3].self_attn.q_proj.weight` here, and putting the tensors in their places needs no dictionary.
What a checkpoint of a given config must hold, and in which shapes, is written once, in `expected_shapes`.
"""

import math
from dataclasses import replace
from types import GenericAlias
from typing import NamedTuple, get_type_hints

import numpy as np

from .config import ModelConfig
from .errors import ModelError
from .ops import Conv, LayerNorm, Linear, summary


class Attention(NamedTuple):
    """Multi-head attention: four projections (D, D), each with a bias."""

    q_proj: Linear
    k_proj: Linear
    v_proj: Linear
    out_proj: Linear
    __repr__ = summary


class EncoderLayer(NamedTuple):
    """Self-attention and feed-forward, each after a layer normalisation."""

    self_attn_layer_norm: LayerNorm
    self_attn: Attention
    final_layer_norm: LayerNorm
    fc1: Linear  # (F, D)
    fc2: Linear  # (D, F)
    __repr__ = summary


class DecoderLayer(NamedTuple):
    """Self-attention, attention over the encoder's memory, feed-forward, each after a layer normalisation."""

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
    """Subsampler, layers, and the normalisation after the last of them."""

    conv: Subsampler
    layers: tuple[EncoderLayer, ...]
    layer_norm: LayerNorm
    __repr__ = summary


class Embedding(NamedTuple):
    """A table of rows, one a token."""

    weight: np.ndarray  # (V, D)
    __repr__ = summary


class Decoder(NamedTuple):
    """Token embedding, layers, and the normalisation after the last of them."""

    embed_tokens: Embedding
    layers: tuple[DecoderLayer, ...]
    layer_norm: LayerNorm
    __repr__ = summary


class Weights(NamedTuple):
    """All weights of a model. `lm_head` is the embedding table itself in tied models."""

    encoder: Encoder
    decoder: Decoder
    lm_head: Linear  # (V, D), no bias
    __repr__ = summary


# Sinusoids are computed, never read; a tied head repeats the embedding table. Checkpoints may hold them or not.
IGNORED = ("model.encoder.embed_positions.weights", "model.decoder.embed_positions.weights")


def _linear(name: str, outputs: int, inputs: int) -> dict:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _layer_norm(name: str, width: int) -> dict:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _attention(name: str, width: int) -> dict:
    shapes = {}
    for projection in Attention._fields:
        shapes |= _linear(f"{name}.{projection}", width, width)
    return shapes


def _layer(name: str, attentions: tuple[str, ...], width: int, hidden: int) -> dict:
    shapes = _linear(f"{name}.fc1", hidden, width) | _linear(f"{name}.fc2", width, hidden)
    for attention in attentions:
        shapes |= _attention(f"{name}.{attention}", width) | _layer_norm(f"{name}.{attention}_layer_norm", width)
    return shapes | _layer_norm(f"{name}.final_layer_norm", width)


def _convolutions(config: ModelConfig) -> dict:
    """Inner convolutions have `conv_channels` outputs, the last has 2 D; the gate after each halves them."""
    shapes, inputs = {}, config.input_feat_per_channel * config.input_channels
    for i, kernel in enumerate(config.conv_kernel_sizes):
        outputs = config.conv_channels if i < config.num_conv_layers - 1 else 2 * config.d_model
        name = f"model.encoder.conv.conv_layers.{i}"
        shapes |= {f"{name}.weight": (outputs, inputs, kernel), f"{name}.bias": (outputs,)}
        inputs = outputs // 2
    return shapes


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """THE TABLE: every tensor a checkpoint of this config must hold, and its shape."""
    D, V = config.d_model, config.vocab_size
    shapes = _convolutions(config)
    for i in range(config.encoder_layers):
        shapes |= _layer(f"model.encoder.layers.{i}", ("self_attn",), D, config.encoder_ffn_dim)
    shapes |= _layer_norm("model.encoder.layer_norm", D)
    shapes["model.decoder.embed_tokens.weight"] = (V, D)
    for i in range(config.decoder_layers):
        shapes |= _layer(f"model.decoder.layers.{i}", ("self_attn", "encoder_attn"), D, config.decoder_ffn_dim)
    shapes |= _layer_norm("model.decoder.layer_norm", D)
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (V, D)
    return shapes


def parameter_count(config: ModelConfig) -> int:
    """The numbers in all tensors of the table, without building it: layers of a stack have the same shapes."""

    def size(encoder_layers: int, decoder_layers: int) -> int:
        shapes = expected_shapes(replace(config, encoder_layers=encoder_layers, decoder_layers=decoder_layers))
        return sum(map(math.prod, shapes.values()))

    rest = size(0, 0)
    encoder, decoder = size(1, 0) - rest, size(0, 1) - rest
    return rest + config.encoder_layers * encoder + config.decoder_layers * decoder


def check_size(tensors: dict[str, np.ndarray], config: ModelConfig, source: str) -> None:
    """Refuse a config of a network far larger than its weights. Raises ModelError."""
    described, found = parameter_count(config), sum(tensor.size for tensor in tensors.values())
    if described > 4 * found + 1_000_000:
        raise ModelError(
            f"{source}: config.json describes a network of {described:,} parameters, the weights hold {found:,}; "
            "does config.json belong to these weights?"
        )


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _why(missing: list[str]) -> str:
    """The likeliest reason for missing tensors."""
    if missing == ["lm_head.weight"]:
        return "these are the weights of a base model, and this config does not tie its head to the embeddings"
    return "does config.json belong to these weights?"


def _check_finite(name: str, tensor: np.ndarray, source: str) -> None:
    """Extremes, not a mask: a NaN or an infinity always shows in one of them, and nothing is allocated."""
    if tensor.size and not (np.isfinite(tensor.min()) and np.isfinite(tensor.max())):
        count = int(np.count_nonzero(~np.isfinite(tensor)))
        raise ModelError(f"{source}: {name} holds {count} values that are NaN or infinite; the file is damaged")


def check(tensors: dict[str, np.ndarray], config: ModelConfig, source: str) -> dict[str, np.ndarray]:
    """The table's tensors, in its order. Raises ModelError naming what is unknown, missing, misshaped or not finite."""
    check_size(tensors, config, source)
    shapes = expected_shapes(config)
    optional = {*IGNORED, *(["lm_head.weight"] if config.tie_word_embeddings else [])}
    if missing := [name for name in shapes if name not in tensors]:
        raise ModelError(f"{source}: {_first(missing)} missing; {_why(missing)}")
    if unknown := [name for name in tensors if name not in shapes and name not in optional]:
        raise ModelError(
            f"{source}: {_first(unknown)} unknown to this config; does config.json belong to these weights?"
        )
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tensor.shape != shape:
            raise ModelError(f"{source}: {name} has shape {tensor.shape}, expected {shape} by config.json")
        if tensor.dtype.kind != "f":
            raise ModelError(f"{source}: {name} is {tensor.dtype}, expected a floating-point type")
        _check_finite(name, tensor, source)
    return {name: tensors[name] for name in shapes}


def _place(kind, name: str, tensors: dict[str, np.ndarray]):
    """Fill the NamedTuple `kind` with the tensors whose names start with `name`, by the names of its fields."""
    if isinstance(kind, GenericAlias):  # tuple[X, ...]: as many as the checkpoint numbers
        count = len({key.removeprefix(name).split(".")[1] for key in tensors if key.startswith(f"{name}.")})
        return tuple(_place(kind.__args__[0], f"{name}.{i}", tensors) for i in range(count))
    if not hasattr(kind, "_fields"):
        return tensors.get(name)
    return kind(*(_place(hint, f"{name}.{field}", tensors) for field, hint in get_type_hints(kind).items()))


def build(tensors: dict[str, np.ndarray], config: ModelConfig, source: str, dtype=np.float32) -> Weights:
    """Checked tensors in their places, in `dtype`. float32 tensors stay the views of the file that they are.

    Raises ModelError as `check` does.
    """
    tensors = {k: np.asarray(v, dtype=dtype) for k, v in check(tensors, config, source).items()}
    encoder = _place(Encoder, "model.encoder", tensors)
    decoder = _place(Decoder, "model.decoder", tensors)
    head = tensors.get("lm_head.weight", decoder.embed_tokens.weight)
    return Weights(encoder, decoder, Linear(head, None))
