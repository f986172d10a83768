"""Outputs of every layer: hidden states and attention weights of encoder and decoder, by one readable pass.

No function of the model returns them. The table of operations `ops`, however, sees them go by: a layer begins with a
normalisation of its input, and attention receives the queries and keys that its weights come from. So it does for any
backend, whose own operations do the arithmetic.
"""

from typing import NamedTuple

import numpy as np

from ..decoder import decode_full
from ..encoder import encode
from ..errors import OptionError
from ..model import S2T
from ..ops import Ops, attention_weights, split_heads


class LayerOutputs(NamedTuple):
    """The outputs of L layers over U positions (S for the encoder)."""

    hidden_states: list[np.ndarray]  # L + 1 of (U, D): the input of each layer, and the normalised output of the last
    attentions: list[np.ndarray]  # L of (H, U, U): each position over the positions of the same sequence
    cross_attentions: list[np.ndarray]  # L of (H, U, S): the decoder's over the memory; none for the encoder


def watching(ops: Ops, stack, is_self: bool, seen: LayerOutputs) -> Ops:
    """`ops` that append to `seen` what goes by in `stack`, an encoder or a decoder.

    is_self: what attention without a causal mask looks at is the sequence itself, as in the encoder.
    """
    first = {id(layer.self_attn_layer_norm) for layer in stack.layers}

    def layer_norm(x, w):
        y = ops.layer_norm(x, w)
        if id(w) in first or w is stack.layer_norm:
            seen.hidden_states.append(np.array(y if w is stack.layer_norm else x))
        return y

    def attention(q, k, v, heads, causal=False):
        weights = attention_weights(split_heads(q, heads), split_heads(k, heads), 0 if causal else None)
        (seen.attentions if causal or is_self else seen.cross_attentions).append(weights)
        return ops.attention(q, k, v, heads, causal)

    return ops._replace(layer_norm=layer_norm, attention=attention)


def check_arrangement(s2t: S2T) -> None:
    """Raise OptionError for a network whose layers do not begin with a normalisation, or have other parts."""
    if unlike := s2t.config.unknown_to_transformers():
        raise OptionError(
            f"attentions and hidden states are shown of networks that transformers knows; this one has {unlike}. Trace "
            "it instead (s2t-np trace)"
        )


def encoder_outputs(s2t: S2T, features: np.ndarray, padded_length: int | None = None) -> LayerOutputs:
    """Return those of the encoder over features (T, M); the last hidden state is the memory (S, D)."""
    check_arrangement(s2t)
    seen = LayerOutputs([], [], [])
    ops = watching(s2t.backend.ops, s2t.weights.encoder, True, seen)
    encode(ops, s2t.weights.encoder, s2t.config, features.astype(s2t.dtype), padded_length)
    return seen


def decoder_outputs(s2t: S2T, memory: np.ndarray, tokens: np.ndarray) -> LayerOutputs:
    """Return those of the decoder over tokens (U,) and a memory (S, D)."""
    check_arrangement(s2t)
    seen = LayerOutputs([], [], [])
    ops = watching(s2t.backend.ops, s2t.weights.decoder, False, seen)
    decode_full(ops, s2t.weights, s2t.config, tokens, memory)
    return seen
