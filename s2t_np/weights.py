"""The one table from checkpoint names to fields.

The fields are named as the checkpoint names them (`parts.py`), so putting the tensors in their places needs no
dictionary. What a checkpoint of a given config must hold, and in which shapes, is written once, in `expected_shapes`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from types import GenericAlias, UnionType

import numpy as np

from .checkpoint.unread import Unread
from .config import ModelConfig
from .errors import ModelError
from .ops import Linear
from .parts import Decoder, Encoder, Shapes, Weights, layer_shapes, norm_shapes, subsampler_shapes
from .settings.architecture import CONFORMER, CONVTRANSFORMER

Tensor = np.ndarray | Unread
# Sinusoids are computed, never read; a tied head repeats the embedding table. Checkpoints may hold them or not.
IGNORED = ("model.encoder.embed_positions.weights", "model.decoder.embed_positions.weights")


def encoder_shapes(config: ModelConfig) -> Shapes:
    """The tensors of the encoder of an s2t_transformer."""
    shapes = subsampler_shapes("model.encoder.conv", config)
    for i in range(config.encoder_layers):
        shapes |= layer_shapes(
            f"model.encoder.layers.{i}", {"self_attn": config.d_model}, config.d_model, config.encoder_ffn_dim
        )
    return shapes | (norm_shapes("model.encoder.layer_norm", config.d_model) if config.encoder_normalize_before else {})


def decoder_shapes(config: ModelConfig) -> Shapes:
    """The tensors of the decoder."""
    D, positions = config.decoder_width, config.pad_token_id + 1 + config.max_target_positions
    attentions = {"self_attn": D, "encoder_attn": config.d_model}
    shapes = {"model.decoder.embed_tokens.weight": (config.vocab_size, D)}
    if config.decoder_learned_pos and not config.no_token_positional_embeddings:
        shapes["model.decoder.embed_positions.weight"] = (positions, D)
    if config.layernorm_embedding:
        shapes |= norm_shapes("model.decoder.layernorm_embedding", D)
    for i in range(config.decoder_layers):
        shapes |= layer_shapes(f"model.decoder.layers.{i}", attentions, D, config.decoder_ffn_dim)
    if config.decoder_normalize_before and not config.no_decoder_final_norm:
        shapes |= norm_shapes("model.decoder.layer_norm", D)
    return shapes


def head_shapes(config: ModelConfig) -> Shapes:
    """The tensors of the vocabulary projection; a tied one has none of its own."""
    D, width = config.decoder_width, config.head_width
    shapes = {} if width == D else {"model.decoder.project_out_dim.weight": (width, D)}
    return shapes if config.tie_word_embeddings else shapes | {"lm_head.weight": (config.vocab_size, width)}


def encoder_of(architecture: str) -> tuple[type, Callable[[ModelConfig], Shapes]]:
    """The structure of an architecture's encoder, and the function that gives its tensors."""
    if architecture == CONVTRANSFORMER:
        from .architectures import convtransformer

        return convtransformer.ConvEncoder, convtransformer.shapes
    if architecture == CONFORMER:
        from .architectures import conformer

        return conformer.ConformerEncoder, conformer.shapes
    return Encoder, encoder_shapes


def expected_shapes(config: ModelConfig) -> Shapes:
    """THE TABLE: every tensor a checkpoint of this config must hold, and its shape."""
    _, shapes = encoder_of(config.architecture)
    return shapes(config) | decoder_shapes(config) | head_shapes(config)


def parameter_count(config: ModelConfig) -> int:
    """The numbers in all tensors of the table, without building it: layers of a stack have the same shapes."""

    def size(encoder_layers: int, decoder_layers: int) -> int:
        shapes = expected_shapes(replace(config, encoder_layers=encoder_layers, decoder_layers=decoder_layers))
        return sum(map(math.prod, shapes.values()))

    rest = size(0, 0)
    encoder, decoder = size(1, 0) - rest, size(0, 1) - rest
    return rest + config.encoder_layers * encoder + config.decoder_layers * decoder


def check_size(tensors: dict[str, Tensor], config: ModelConfig, source: str) -> None:
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


def _check_finite(name: str, tensor: np.ndarray, source: str) -> np.ndarray:
    """The same tensor. Extremes, not a mask: a NaN or an infinity always shows in one of them, and nothing is
    allocated.
    """
    if tensor.size and not (np.isfinite(tensor.min()) and np.isfinite(tensor.max())):
        count = int(np.count_nonzero(~np.isfinite(tensor)))
        raise ModelError(f"{source}: {name} holds {count} values that are NaN or infinite; the file is damaged")
    return tensor


def check(tensors: dict[str, Tensor], config: ModelConfig, source: str) -> dict[str, Tensor]:
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
    return {name: checked(name, tensors[name], source) for name in shapes}


def checked(name: str, tensor: Tensor, source: str) -> Tensor:
    """The same tensor, whose numbers are finite: one that is still in its file is looked at when it has been read."""
    if isinstance(tensor, np.ndarray):
        return _check_finite(name, tensor, source)
    return tensor.then(tensor.dtype, lambda numbers: _check_finite(name, numbers, source))


def cast(tensor: Tensor, dtype: type) -> Tensor:
    """The same tensor in `dtype`."""
    if isinstance(tensor, np.ndarray):
        return np.asarray(tensor, dtype)
    return tensor.then(dtype, lambda numbers: np.asarray(numbers, dtype))


def _nested(tensors: dict[str, Tensor]) -> dict:
    """{"a.b": x} as {"a": {"b": x}}."""
    tree = {}
    for name, tensor in tensors.items():
        *parts, last = name.split(".")
        functools.reduce(lambda node, part: node.setdefault(part, {}), parts, tree)[last] = tensor
    return tree


def _place(kind, node):
    """Fill the NamedTuple `kind` with the tensors of a nested dict, by the names of its fields.

    A part that may be None is None where the checkpoint has no tensors for it.
    """
    if isinstance(kind, UnionType):
        if node is None:
            return None
        kind = kind.__args__[0]
    if isinstance(kind, GenericAlias):  # tuple[X, ...]: as many as the checkpoint numbers
        return tuple(_place(kind.__args__[0], node.get(str(i))) for i in range(len(node))) if node else ()
    if not hasattr(kind, "_fields"):
        return node
    return kind(*(_place(hint, (node or {}).get(field)) for field, hint in kind.__annotations__.items()))


def build(tensors: dict[str, Tensor], config: ModelConfig, source: str, dtype=np.float32) -> Weights:
    """Checked tensors in their places, in `dtype`. float32 tensors stay the views of the file that they are.

    Those that are still in their file stay there: `ops.prepare` reads them. Raises ModelError as `check` does.
    """
    tensors = {name: cast(tensor, dtype) for name, tensor in check(tensors, config, source).items()}
    kind, _ = encoder_of(config.architecture)
    model = _nested(tensors)["model"]
    encoder, decoder = _place(kind, model["encoder"]), _place(Decoder, model["decoder"])
    head = tensors.get("lm_head.weight", decoder.embed_tokens.weight)
    return Weights(encoder, decoder, Linear(head, None))
