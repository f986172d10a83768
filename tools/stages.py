"""Our side of the parity table: the model's stages by name, each computed by the project's own functions.

The loops below repeat those of `encode` and `decode_full` to look in between; that both end in the same numbers, bit by
bit, is a test (tests/test_model.py). Names are those the upstream side uses too (tools/torch_worker.py).
"""

import numpy as np

from s2t_np.decoder import decoder_layer, embed_tokens, position_rows, project_to_vocabulary
from s2t_np.encoder import embed_features, encoder_layer
from s2t_np.layers import keys_values, pad_as_in_batch, subsampled_length
from s2t_np.model import S2T


def conv_stages(model: S2T, features: np.ndarray, padded_length: int | None = None) -> dict[str, np.ndarray]:
    """conv.0, conv.1, ...: (S_i, C_i) after each convolution and its gate, as far as the utterance reaches."""
    w, x = model.weights.encoder.conv, features
    if padded_length is not None:
        x = pad_as_in_batch(x, w, padded_length)
    stages = {}
    for i, conv in enumerate(w.conv_layers):
        x = model.backend.ops.conv1d_glu(x, conv)
        stages[f"conv.{i}"] = x[: subsampled_length(len(features), i + 1)]
    return stages


def encoder_stages(model: S2T, features: np.ndarray, padded_length: int | None = None) -> dict[str, np.ndarray]:
    """embed_features, encoder.0, encoder.1, ..., memory: each (S, D)."""
    ops, w, config = model.backend.ops, model.weights.encoder, model.config
    stages = {"embed_features": embed_features(ops, w, config, features, padded_length)}
    x = stages["embed_features"]
    for i, layer in enumerate(w.layers):
        x = stages[f"encoder.{i}"] = encoder_layer(ops, layer, x, config.encoder_attention_heads)
    return stages | {"memory": ops.layer_norm(x, w.layer_norm)}


def decoder_stages(model: S2T, memory: np.ndarray, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """embed_tokens, decoder.0, ...: each (U, D); then logits (U, V). Teacher-forced on tokens (U,)."""
    ops, w, config = model.backend.ops, model.weights.decoder, model.config
    heads = config.decoder_attention_heads

    def attend_self(q, new):
        return ops.attention(q, *new, heads, causal=True)

    x = embed_tokens(w, config, tokens, position_rows(tokens, config, memory.dtype))
    stages = {"embed_tokens": x}
    for i, layer in enumerate(w.layers):
        x = decoder_layer(ops, layer, x, heads, attend_self, keys_values(ops, layer.encoder_attn, memory))
        stages[f"decoder.{i}"] = x
    return stages | {"logits": project_to_vocabulary(ops, model.weights, x)}


def stepped_logits(model: S2T, memory: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The same logits (U, V) from the cached decoder, one token at a time, as the search gets them."""
    decoder = model.decoder(memory)
    cache = decoder.start(1)
    return np.concatenate([decoder.step(np.array([token]), cache).logits for token in tokens])


def model_stages(model: S2T, features: np.ndarray, tokens, padded_length: int | None = None) -> dict[str, np.ndarray]:
    """Everything after the features (T, M), in order; `logits (steps)` are those of the cached decoder."""
    features, tokens = np.asarray(features, model.dtype), np.asarray(tokens)
    stages = conv_stages(model, features, padded_length) | encoder_stages(model, features, padded_length)
    stages |= decoder_stages(model, stages["memory"], tokens)
    return stages | {"logits (steps)": stepped_logits(model, stages["memory"], tokens)}
