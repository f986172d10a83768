"""The decoder, twice: over a whole transcript at once, and one token at a time with a cache.

`decode_full` is the definition (teacher forcing: position u sees the tokens 0..u). `decoder_step` computes the same
logits for the newest token only; the keys and values of earlier tokens wait in the `DecoderCache`. `step` hands these
logits to the search.
Source: Vaswani et al. 2017, section 3.1, in the form of fairseq S2T (arXiv 2010.05171). fairseq's decoder may also be
narrower than the encoder, learn its positions or do without, and project its rows before the head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .config import ModelConfig
from .errors import OptionError
from .layers import (
    KeysValues,
    embedding_scale,
    feed_forward,
    keys_values,
    normalised,
    post_norm,
    pre_norm,
    queries,
    sinusoids,
)
from .ops import Ops
from .parts import Decoder, DecoderLayer, Weights
from .search import NextToken, next_token


@dataclass
class DecoderCache:
    """The keys and values that a step attends to, for K beams: of the memory, and of each beam's own tokens so far."""

    cross: tuple[KeysValues, ...]  # for each layer (S, D): projected once an utterance, shared by all beams
    past: list[KeysValues]  # for each layer (K, U, D): every beam's own history
    length: int = 0  # U, the positions filled

    def reorder(self, parents: np.ndarray) -> None:
        """Let beam k continue what was beam parents[k]: (K,) ints."""
        self.past = [KeysValues(past.k[parents], past.v[parents]) for past in self.past]

    def append(self, layer: int, new: KeysValues) -> KeysValues:
        """Add the rows (K, D) of the current position to a layer; returns every beam's history: (K, U + 1, D).

        A row after the U positions, of a step that broke off in a later layer, is replaced.
        """
        pairs = zip(self.past[layer], new, strict=True)
        grown = (np.concatenate((old[:, : self.length], rows[:, None]), axis=1) for old, rows in pairs)
        self.past[layer] = KeysValues(*grown)
        return self.past[layer]

    def attend(self, ops: Ops, layer: int, heads: int, q: np.ndarray, new: KeysValues) -> np.ndarray:
        """Append a row a beam, and let each beam's query look at its own history: (K, D) -> (K, D)."""
        return ops.attention(q[:, None], *self.append(layer, new), heads)[:, 0]


def start_cache(ops: Ops, w: Weights, config: ModelConfig, memory: np.ndarray, beams: int) -> DecoderCache:
    """An empty cache for K beams over one utterance's memory (S, D)."""
    cross = tuple(keys_values(ops, layer.encoder_attn, memory) for layer in w.decoder.layers)
    nothing = np.empty((beams, 0, config.decoder_width), memory.dtype)
    return DecoderCache(cross, [KeysValues(nothing, nothing)] * len(cross))


def token_positions(w: Decoder, config: ModelConfig, first: int, count: int, dtype) -> np.ndarray:
    """Position rows for `count` tokens, counted from 0: (count, D). Learned ones are read, sinusoids computed.

    Raises OptionError beyond the last position that was learned.
    """
    begin = first + config.pad_token_id + 1
    if config.no_token_positional_embeddings:
        return np.zeros((count, config.decoder_width), dtype)
    if w.embed_positions is None:
        return sinusoids(begin, count, config.decoder_width, dtype)
    if first + count > config.max_target_positions:
        raise OptionError(
            f"a text of {first + count} tokens is too long: this model learned {config.max_target_positions} "
            "positions; set max_length to no more"
        )
    return w.embed_positions.weight[begin : begin + count].astype(dtype, copy=False)


def position_rows(w: Decoder, config: ModelConfig, tokens: np.ndarray, dtype) -> np.ndarray:
    """Position rows of a transcript, (U,) -> (U, D). Padding has a row of zeros and is not counted, as in fairseq."""
    real = tokens != config.pad_token_id
    rows = token_positions(w, config, 0, len(tokens), dtype)[np.cumsum(real) - 1]
    return np.where(real[:, None], rows, 0)


def embed_tokens(ops: Ops, w: Decoder, config: ModelConfig, tokens: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Embedding rows, scaled, plus position rows: tokens (U,) and position (U, D) or (1, D) -> (U, D)."""
    x = w.embed_tokens.weight[tokens]
    x = x * x.dtype.type(embedding_scale(config, config.decoder_width)) + position
    return normalised(ops, x, w.layernorm_embedding)


def decoder_layer(
    ops: Ops, w: DecoderLayer, config: ModelConfig, x: np.ndarray, attend_self: Callable, cross: KeysValues
) -> np.ndarray:
    """Self-attention over the text so far, attention over the sound, feed-forward: (U, D), or (K, D) -> the same.

    `attend_self(q, new_keys_values)` decides what "so far" is: the earlier rows in a full pass, the cache in a step.
    """
    sublayer = pre_norm if config.decoder_normalize_before else post_norm
    heads = config.decoder_attention_heads

    def self_attn(h, residual):
        mixed = attend_self(queries(ops, w.self_attn, h, heads), keys_values(ops, w.self_attn, h))
        return ops.linear(mixed, w.self_attn.out_proj, residual)

    def encoder_attn(h, residual):
        mixed = ops.attention(queries(ops, w.encoder_attn, h, heads), *cross, heads)
        return ops.linear(mixed, w.encoder_attn.out_proj, residual)

    x = sublayer(ops, w.self_attn_layer_norm, x, self_attn)
    x = sublayer(ops, w.encoder_attn_layer_norm, x, encoder_attn)
    return sublayer(ops, w.final_layer_norm, x, partial(feed_forward, ops, w))


def project_to_vocabulary(ops: Ops, w: Weights, x: np.ndarray) -> np.ndarray:
    """Final normalisation and vocabulary projection: (..., D) -> logits (..., V)."""
    x = normalised(ops, x, w.decoder.layer_norm)
    if w.decoder.project_out_dim is not None:
        x = ops.linear(x, w.decoder.project_out_dim)
    return np.ascontiguousarray(ops.linear(x, w.lm_head))  # each row in one piece, as the search reads them


def decode_full(ops: Ops, w: Weights, config: ModelConfig, tokens: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """Teacher forcing, no cache: tokens (U,) ints and memory (S, D) -> logits (U, V)."""
    heads = config.decoder_attention_heads

    def attend_self(q, new):
        return ops.attention(q, *new, heads, causal=True)

    x = embed_tokens(ops, w.decoder, config, tokens, position_rows(w.decoder, config, tokens, memory.dtype))
    for layer in w.decoder.layers:
        x = decoder_layer(ops, layer, config, x, attend_self, keys_values(ops, layer.encoder_attn, memory))
    return project_to_vocabulary(ops, w, x)


def decoder_step(ops: Ops, w: Weights, config: ModelConfig, tokens: np.ndarray, cache: DecoderCache) -> np.ndarray:
    """Append one token to each beam: tokens (K,) ints -> logits (K, V). The cache grows by one position, in place.

    A beam that chose padding gets a row of zeros for its position, but the position counts, as upstream.
    """
    heads = config.decoder_attention_heads
    position = token_positions(w.decoder, config, cache.length, 1, w.decoder.embed_tokens.weight.dtype)
    position = np.where((tokens != config.pad_token_id)[:, None], position, 0)
    x = embed_tokens(ops, w.decoder, config, tokens, position)
    for i, layer in enumerate(w.decoder.layers):
        x = decoder_layer(ops, layer, config, x, partial(cache.attend, ops, i, heads), cache.cross[i])
    cache.length += 1
    return project_to_vocabulary(ops, w, x)


def step(ops: Ops, w: Weights, config: ModelConfig, tokens: np.ndarray, cache: DecoderCache) -> NextToken:
    """`decoder_step` for the search: tokens (K,) ints -> logits (K, V) and what normalises them, in float32."""
    return next_token(decoder_step(ops, w, config, tokens, cache))


def step_together(
    ops: Ops, w: Weights, config: ModelConfig, asks: Sequence[tuple[np.ndarray, DecoderCache]]
) -> list[NextToken]:
    """A step of several utterances: for each (tokens (K,), cache) what `step` returns, in the same order.

    Each has its own memory, beams and length. Compiled, the weights are read once for all of them; here, once for each.
    """
    return [step(ops, w, config, tokens, cache) for tokens, cache in asks]
