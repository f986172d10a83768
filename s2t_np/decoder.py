"""The decoder, twice: over a whole transcript at once, and one token at a time with a cache.

`decode_full` is the definition (teacher forcing: position u sees the tokens 0..u). `decoder_step` computes the same
logits for the newest token only; what earlier tokens left behind, their keys and values, waits in the `DecoderCache`.
Source: Vaswani et al. 2017, section 3.1, in the pre-norm form of fairseq S2T (arXiv 2010.05171).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .config import ModelConfig
from .layers import KeysValues, embedding_scale, feed_forward, keys_values, positions, queries
from .ops import Ops
from .weights import Decoder, DecoderLayer, Weights

FIRST_CAPACITY = 64  # positions a new cache has room for; it doubles when they are used up


@dataclass
class DecoderCache:
    """What the tokens so far left behind. A step appends one position; nothing in it is ever moved.

    Row `keys[l, u, k]` was written by beam k at position u. When beams are reordered, a beam's history continues what
    another one wrote, so each beam keeps the list of who wrote its positions: `ancestors[k, u]`. Reordering permutes
    that small table; the keys and values stay where they are.
    """

    cross: tuple[KeysValues, ...]  # for each layer, (S, D): projected once an utterance, shared by all beams
    keys: np.ndarray  # (L, capacity, K, D)
    values: np.ndarray  # (L, capacity, K, D)
    ancestors: np.ndarray  # (K, capacity) int64
    length: int = 0  # positions filled

    def reorder(self, parents: np.ndarray) -> None:
        """Let beam k continue what was beam parents[k]: (K,) ints."""
        self.ancestors[:, : self.length] = self.ancestors[parents, : self.length]

    def make_room(self) -> None:
        """Double the capacity when it is used up, so that a step always finds a free position."""
        if self.length == self.keys.shape[1]:
            self.keys, self.values = (np.concatenate([x, np.empty_like(x)], axis=1) for x in (self.keys, self.values))
            self.ancestors = np.concatenate([self.ancestors, np.zeros_like(self.ancestors)], axis=1)

    def append(self, layer: int, new: KeysValues) -> KeysValues:
        """Write the rows (K, D) of the current position; return every beam's own history: (K, U, D)."""
        here = self.length
        self.keys[layer, here], self.values[layer, here] = new
        past = self.ancestors[:, : here + 1]
        return KeysValues(*(x[layer, np.arange(here + 1), past] for x in (self.keys, self.values)))


def start_cache(ops: Ops, w: Weights, config: ModelConfig, memory: np.ndarray, beams: int) -> DecoderCache:
    """An empty cache for K beams over one utterance's memory (S, D)."""
    cross = tuple(keys_values(ops, layer.encoder_attn, memory) for layer in w.decoder.layers)
    return empty_cache(cross, len(cross), memory, beams)


def empty_cache(cross, layers: int, memory: np.ndarray, beams: int) -> DecoderCache:
    """A cache of FIRST_CAPACITY positions, of the type and width of the memory (S, D)."""
    shape = (layers, FIRST_CAPACITY, beams, memory.shape[1])
    keys, values = np.empty(shape, memory.dtype), np.empty(shape, memory.dtype)
    return DecoderCache(cross, keys, values, np.zeros((beams, FIRST_CAPACITY), np.int64))


def position_rows(tokens: np.ndarray, config: ModelConfig, dtype) -> np.ndarray:
    """Position rows of a transcript, (U,) -> (U, D). Padding has a row of zeros and is not counted, as in fairseq."""
    real = tokens != config.pad_token_id
    rows = positions(0, len(tokens), config, dtype)[np.cumsum(real) - 1]
    return np.where(real[:, None], rows, 0)


def embed_tokens(w: Decoder, config: ModelConfig, tokens: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Embedding rows, scaled, plus position rows: tokens (U,) and position (U, D) or (1, D) -> (U, D)."""
    x = w.embed_tokens.weight[tokens]
    return x * x.dtype.type(embedding_scale(config)) + position


def decoder_layer(
    ops: Ops, w: DecoderLayer, x: np.ndarray, heads: int, attend_self: Callable, cross: KeysValues
) -> np.ndarray:
    """Look at the text so far, look at the sound, think: (U, D) or, one row a beam, (K, D) -> the same.

    `attend_self(q, new_keys_values)` decides what "so far" is: the rows before in a full pass, the cache in a step.
    """
    h = ops.layer_norm(x, w.self_attn_layer_norm)
    mixed = attend_self(queries(ops, w.self_attn, h, heads), keys_values(ops, w.self_attn, h))
    x = ops.linear(mixed, w.self_attn.out_proj, x)
    h = ops.layer_norm(x, w.encoder_attn_layer_norm)
    mixed = ops.attention(queries(ops, w.encoder_attn, h, heads), *cross, heads)
    x = ops.linear(mixed, w.encoder_attn.out_proj, x)
    return feed_forward(ops, w, x)


def project_to_vocabulary(ops: Ops, w: Weights, x: np.ndarray) -> np.ndarray:
    """Final normalisation and vocabulary projection: (..., D) -> logits (..., V)."""
    logits = ops.linear(ops.layer_norm(x, w.decoder.layer_norm), w.lm_head)
    return np.ascontiguousarray(logits)  # row by row, as the search reads them: saves it 0.5 ms a step


def decode_full(ops: Ops, w: Weights, config: ModelConfig, tokens: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """Teacher forcing, no cache: tokens (U,) ints and memory (S, D) -> logits (U, V)."""
    heads = config.decoder_attention_heads

    def attend_self(q, new):
        return ops.attention(q, *new, heads, causal=True)

    x = embed_tokens(w.decoder, config, tokens, position_rows(tokens, config, memory.dtype))
    for layer in w.decoder.layers:
        x = decoder_layer(ops, layer, x, heads, attend_self, keys_values(ops, layer.encoder_attn, memory))
    return project_to_vocabulary(ops, w, x)


def decoder_step(ops: Ops, w: Weights, config: ModelConfig, tokens: np.ndarray, cache: DecoderCache) -> np.ndarray:
    """Append one token to each beam: tokens (K,) ints -> logits (K, V). The cache grows by one position, in place.

    A beam that chose padding gets no position for it, though here, as upstream, the position counts.
    """
    heads = config.decoder_attention_heads
    cache.make_room()
    cache.ancestors[:, cache.length] = np.arange(len(tokens))
    position = positions(cache.length, 1, config, cache.keys.dtype)
    x = embed_tokens(w.decoder, config, tokens, np.where((tokens != config.pad_token_id)[:, None], position, 0))
    for i, layer in enumerate(w.decoder.layers):

        def attend_self(q, new, i=i):
            return ops.attention(q[:, None], *cache.append(i, new), heads)[:, 0]

        x = decoder_layer(ops, layer, x, heads, attend_self, cache.cross[i])
    cache.length += 1
    return project_to_vocabulary(ops, w, x)
