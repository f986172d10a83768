"""A backend that records: every function of a `Backend`, wrapped so that the recorder sees its input and output.

Each method of `RecorderBackend` calls the original function of the model's backend and passes what went in and came out
to the recorder. The model runs unchanged, on exactly the same numbers. A call is assigned to its layer by its weights:
the objects in the tree of weights are named once, after the fields, whose names are the checkpoint's. Attention has no
weights; it belongs to the block whose projection came last. Intermediate results that the fast functions skip (a sum
before its residual, attention weights, the convolution before its gate) are computed once more by the same functions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ... import audio, features, layers, ops
from ...backend import Backend
from ...decoder import DecoderCache, decode_full, embed_tokens, position_rows
from ...encoder import embed_features
from ...model import S2T
from ...ops import Conv, LayerNorm, Linear, Ops
from ...parts import named_leaves
from ...search import Cache, NextToken
from .record import Recorder

RESIDUAL = {"out_proj": "_residual", "fc2": "output"}  # names of the sum with the residual


class Step(NamedTuple):
    """Input and output of one call of `step`."""

    tokens: np.ndarray  # (K,) the token appended to each beam
    parents: np.ndarray  # (K,) the beam of the previous step that each one continues
    logits: np.ndarray  # (K, V) of the next token


@dataclass
class RecordedCache:
    """A decoder's cache that remembers which beam each one continues."""

    inner: Cache
    parents: np.ndarray  # (K,)
    length: int = 0

    def reorder(self, parents: np.ndarray) -> None:
        """Let beam k continue what was beam parents[k]: (K,) ints."""
        self.inner.reorder(parents)
        self.parents = parents


def named_parts(weights) -> Iterator[tuple[str, Linear | LayerNorm | Conv]]:
    """(name, part) of every Linear, LayerNorm and Conv of a model's weights: ("encoder.layers.3.fc1", Linear)."""
    return named_leaves(weights, (Linear, LayerNorm, Conv))


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Logits (..., V) -> log-probabilities (..., V), in float32 as in the search."""
    return ops.log_softmax(logits.astype(np.float32, copy=False))


def first_norm(stack: str, weights) -> str:
    """The first layer normalisation after the sum of embeddings and positions."""
    return f"{stack}.layers.0.self_attn_layer_norm" if weights.layers else f"{stack}.layer_norm"


def after_residual(name: str) -> str:
    """The stage of a projection's sum with its residual: ...self_attn.out_proj -> ...self_attn_residual."""
    block, _, last = name.rpartition(".")
    return block + RESIDUAL[last] if last == "out_proj" else f"{block}.{RESIDUAL[last]}"


class RecorderBackend:
    """The functions of a Backend; each calls that of `model` and records its input and output."""

    def __init__(self, model: S2T, record: Recorder):
        """Record `model`, whose weights must be as loaded, not packed."""
        self.model, self.record = model, record
        self.names = {id(part): name for name, part in named_parts(model.weights)}
        self.block = ""  # the attention block whose projection came last
        self.in_step = False
        self.subsampled = np.empty(0)  # output of the last convolution
        self.samples = 0
        self.memory = np.empty(0)
        self.steps: list[Step] = []

    def backend(self) -> Backend:
        """The model's backend, with recording."""
        table = Ops(
            self.model.backend.ops.prepare,
            self.linear,
            self.linear_activation,
            self.layer_norm,
            self.conv1d_glu,
            self.attention,
        )
        return self.model.backend._replace(
            ops=table, fbank=self.fbank, encode=self.encode, start_cache=self.start_cache, step=self.step
        )

    # ---- the fields of ops

    def linear(self, x: np.ndarray, w: Linear, residual: np.ndarray | None = None) -> np.ndarray:
        """As ops.linear."""
        name = self.names[id(w)]
        self.block = name.rpartition(".")[0]
        y = self.model.backend.ops.linear(x, w, residual)
        plain = y.copy() if residual is None else lambda: ops.linear(x, w)  # the search writes into logits
        self.record(name, ops.linear, plain)
        if residual is not None:
            self.record(after_residual(name), ops.linear, y)
        return y

    def linear_activation(self, x: np.ndarray, w: Linear) -> np.ndarray:
        """As the model's own, which is ops.linear_relu in every released one."""
        name = self.names[id(w)]
        self.record(name, ops.linear, lambda: ops.linear(x, w))
        y = self.model.backend.ops.linear_activation(x, w)
        self.record(name.removesuffix("fc1") + "activation_fn", self.model.backend.ops.linear_activation, y)
        return y

    def layer_norm(self, x: np.ndarray, w: LayerNorm) -> np.ndarray:
        """As ops.layer_norm. The first of the encoder also shows what the embedding made."""
        name = self.names[id(w)]
        if name == first_norm("encoder", self.model.weights.encoder):
            self.encoder_embeddings(x)
        if name == first_norm("decoder", self.model.weights.decoder):
            self.record("decoder.embeddings", embed_tokens, x)
        y = self.model.backend.ops.layer_norm(x, w)
        self.record(name, ops.layer_norm, y)
        return y

    def conv1d_glu(self, x: np.ndarray, w: Conv) -> np.ndarray:
        """As ops.conv1d_glu."""
        name = self.names[id(w)]
        self.record(name, ops.conv1d, lambda: ops.conv1d(x, w))
        self.subsampled = self.model.backend.ops.conv1d_glu(x, w)
        self.record(f"{name}.glu", ops.glu, self.subsampled)
        return self.subsampled

    def attention(self, q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, causal: bool = False) -> np.ndarray:
        """As ops.attention. Weights are (H, Q, S); in a step, with a row a beam, (K, H, S)."""

        def weights():
            found = ops.attention_weights(ops.split_heads(q, heads), ops.split_heads(k, heads), 0 if causal else None)
            if not self.in_step:
                return found
            return found[:, :, 0] if q.ndim == 3 else found.swapaxes(0, 1)

        self.record(f"{self.block}.attn_weights", ops.attention_weights, weights)
        y = self.model.backend.ops.attention(q, k, v, heads, causal)
        self.record(f"{self.block}.context", ops.attention, y[:, 0] if y.ndim == 3 else y)
        return y

    # ---- the other fields of a backend

    def fbank(self, samples: np.ndarray, sampling_rate: int, num_mel_bins: int, dtype: type) -> np.ndarray:
        """As features.fbank."""
        self.samples = len(samples)
        self.record("samples", audio.load, samples)
        for stage, made_by, array in fbank_stages(samples, sampling_rate, num_mel_bins):
            self.record(stage, made_by, array)
        out = self.model.backend.fbank(samples, sampling_rate, num_mel_bins, dtype)
        self.record("features.log_mel", features.floored_log, out)
        return out

    def encode(self, table: Ops, w, config, x: np.ndarray, padded_length: int | None = None) -> np.ndarray:
        """As encoder.encode."""
        self.record("features.cmvn", features.cmvn, x)
        self.memory = self.model.backend.encode(table, w, config, x, padded_length)
        return self.memory

    def encoder_embeddings(self, x: np.ndarray) -> None:
        """The scaled output of the convolutions, the positions, and their sum x (S, D)."""
        config, scale = self.model.config, layers.embedding_scale(self.model.config)
        self.record(
            "encoder.embed_scale", layers.embedding_scale, lambda: self.subsampled[: len(x)] * x.dtype.type(scale)
        )
        self.record("encoder.embed_positions", layers.positions, lambda: layers.positions(0, len(x), config, x.dtype))
        self.record("encoder.embeddings", embed_features, x)

    def start_cache(self, table: Ops, w, config, memory: np.ndarray, beams: int) -> RecordedCache:
        """As decoder.start_cache."""
        return RecordedCache(self.model.backend.start_cache(table, w, config, memory, beams), np.arange(beams))

    def step(self, table: Ops, w, config, tokens: np.ndarray, cache: RecordedCache) -> NextToken:
        """As decoder.step."""
        self.record.prefix, self.in_step = f"steps.{cache.length:03d}.", True
        try:
            position = layers.positions(cache.length, 1, config, w.decoder.embed_tokens.weight.dtype)
            rows = np.where((tokens != config.pad_token_id)[:, None], position, 0)
            self.embedded(w, config, tokens, rows)
            following = self.model.backend.step(table, w, config, tokens, cache.inner)
            self.record("parents", DecoderCache.reorder, cache.parents)
            logits = following.logits.copy()  # the search writes into its own
            self.record("log_probs", ops.log_softmax, lambda: log_probabilities(logits))
        finally:
            self.record.prefix, self.in_step = "", False
        self.steps.append(Step(np.array(tokens), cache.parents, logits))
        cache.parents, cache.length = np.arange(len(tokens)), cache.length + 1
        return following

    def embedded(self, w, config, tokens: np.ndarray, rows: np.ndarray) -> None:
        """The decoder's tokens (U,), their embeddings, plain and scaled, and the position rows (U, D) to be added."""
        self.record("decoder.input_ids", embed_tokens, tokens)
        zero = np.zeros_like(rows)
        self.record("decoder.embed_tokens", embed_tokens, lambda: w.decoder.embed_tokens.weight[tokens])
        self.record("decoder.embed_scale", embed_tokens, lambda: embed_tokens(ops, w.decoder, config, tokens, zero))
        self.record("decoder.embed_positions", position_rows, rows)

    def decode_full(self, tokens: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """A whole transcript at once: tokens (U,), memory (S, D) -> logits (U, V)."""
        w, config = self.model.weights, self.model.config
        self.embedded(w, config, tokens, position_rows(w.decoder, config, tokens, memory.dtype))
        return decode_full(self.backend().ops, w, config, tokens, memory)


def fbank_stages(
    samples: np.ndarray, sampling_rate: int, num_mel_bins: int, dtype: type = np.float64
) -> Iterator[tuple[str, Callable, np.ndarray]]:
    """The steps of features.fbank from samples (N,) to the logarithm: (stage, function, array) in their order.

    They run over all frames at once, while fbank takes a block at a time; only `mel` may differ, in its last bit.
    """
    window, hop, fft_length = features.frame_geometry(sampling_rate)
    shape = features.povey_window(window).astype(dtype)
    bank = features.mel_bank(sampling_rate, num_mel_bins).astype(dtype)
    x = features.frames(samples, window, hop).astype(dtype) * dtype(features.SAMPLE_SCALE)
    yield "features.frames", features.frames, x
    yield "features.remove_dc", features.remove_dc, (x := features.remove_dc(x))
    yield "features.preemphasize", features.preemphasize, (x := features.preemphasize(x))
    yield "features.povey_window", features.povey_window, shape
    yield "features.windowed", features.povey_window, (x := x * shape)
    yield "features.power_spectrum", features.power_spectrum, (x := features.power_spectrum(x, fft_length))
    yield "features.mel_bank", features.mel_bank, bank
    yield "features.mel", features.mel_bank, x @ bank
