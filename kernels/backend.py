"""The face of the kernels: the functions of which s2t_np.backend makes its compiled backends.

`numba_ops` is numpy_ops with what is faster here replaced; its `prepare` packs weights (`pack.py`), and from then on
only these ops can read them. `fbank`, `encode`, `start_cache` and `step` have the signatures of their readable twins in
features.py, encoder.py and decoder.py, and take all layers in one compiled call.
"""

import functools
from collections.abc import Callable

import numpy as np

from s2t_np import features
from s2t_np.checkpoint.mapped import release
from s2t_np.errors import ModelError
from s2t_np.layers import embedding_scale, pad_as_in_batch, positions, subsampled_length
from s2t_np.ops import numpy_ops
from s2t_np.search import Candidates, NextToken
from s2t_np.system.threads import get_threads

from . import cpu, threads
from .build import cache as kernel_cache
from .build.options import COMPILED
from .build.runtime import complete, statistics
from .decoder import cross_kv_host
from .decoder import host as decoder_host
from .decoder.cache import Cache, empty_cache
from .encoder import host as encoder_host
from .layout import FLOAT16, INT8, LANES
from .ops import fbank_host, softmax_host
from .ops.host import attention, layer_norm, linear, linear_relu
from .weights.pack import pack, whole

BLOCK = 64  # position rows that are kept together
Stages = Callable[[str, np.ndarray], None]

numba_ops = numpy_ops._replace(
    prepare=functools.partial(pack, release=release),
    linear=linear,
    linear_relu=linear_relu,
    layer_norm=layer_norm,
    conv1d_glu=encoder_host.conv1d_glu,
    attention=attention,
)


@functools.lru_cache(maxsize=64)
def _positions(block: int, config) -> np.ndarray:
    """Position rows BLOCK block and following: (BLOCK, D). Computing them anew would take longer than reading them."""
    return positions(BLOCK * block, BLOCK, config, np.float32)


@functools.lru_cache(maxsize=64)
def _position_units(block: int, config) -> np.ndarray:
    """The same as the encoder's kernel has them: (BLOCK / 16, D in whole panels, 16)."""
    units = _positions(block, config).reshape(-1, LANES, config.d_model).transpose(0, 2, 1)
    return np.pad(units, ((0, 0), (0, whole(config.d_model) - config.d_model), (0, 0)))


def encode(
    ops, w, config, features: np.ndarray, padded_length: int | None = None, stages: Stages | None = None
) -> np.ndarray:
    """Features (T, M) -> memory (S, D), as encoder.encode; `w` is the packed encoder.

    `stages(name, rows)` is shown every stage of the same compiled phases: conv.0, ..., as far as the utterance reaches,
    embed_features, encoder.0, ..., memory.
    """
    frames = len(features)
    length = subsampled_length(frames, config.num_conv_layers)
    if padded_length is not None:
        features = pad_as_in_batch(features, w.conv, padded_length)
    blocks = [_position_units(block, config) for block in range(-(-length // BLOCK))]
    x = np.concatenate(blocks)[: -(-length // LANES)]
    sizes = config.encoder_ffn_dim, config.encoder_attention_heads
    run = encoder_host.prepare(features, x, w, length, embedding_scale(config), sizes)
    if stages is None:
        return encoder_host.encode(run)

    def show(name: str, rows: np.ndarray) -> None:
        stage, _, number = name.partition(".")
        stages(name, rows[: subsampled_length(frames, int(number) + 1)] if stage == "conv" else rows)

    return encoder_host.encode_in_stages(run, show)


@functools.lru_cache(maxsize=4)
def _position_rows(count: int, config) -> np.ndarray:
    """The first position rows: (count, D)."""
    return np.concatenate([_positions(block, config) for block in range(-(-count // BLOCK))])[:count]


def start_cache(ops, w, config, memory_rows: np.ndarray, beams: int) -> Cache:
    """An empty cache for K beams over one utterance's memory (S, D), as decoder.start_cache; `w` is packed."""
    cross = cross_kv_host.project(memory_rows, w.decoder, w.lm_head.kind, config.decoder_attention_heads)
    return empty_cache(cross, len(w.decoder.layers), config.d_model, beams)


def _embed(w, config, tokens: np.ndarray, position: np.ndarray, x: np.ndarray) -> None:
    """As decoder.embed_tokens, into x (K, D); padding has no position."""
    scale, rows = np.float32(embedding_scale(config)), w.decoder.embed_tokens.weight
    np.multiply(rows[tokens], scale, out=x)
    x += position
    if config.pad_token_id in tokens.tolist():
        x[tokens == config.pad_token_id] = rows[[config.pad_token_id]] * scale


class CompiledNextToken(NextToken):
    """The readable one, with a kernel that finds the best; it holds until the next step over the same cache."""

    def __init__(self, logits: np.ndarray, peaks: softmax_host.Peaks, start: int):
        """Logits (K, V), what is known of them, and where they begin for that."""
        super().__init__(logits, peaks.top, peaks.shift)
        self.peaks, self.start = peaks, start

    def best(self, added: np.ndarray, count: int) -> Candidates:
        return Candidates(*self.peaks.best(self.start, added, count))


def next_token(logits: np.ndarray) -> NextToken:
    """Logits (K, V) float32 with what normalises them, as search.next_token."""
    return CompiledNextToken(*softmax_host.look(logits))


def step(ops, w, config, tokens: np.ndarray, cache: Cache, stages: Stages | None = None) -> NextToken:
    """Append one token to each beam: tokens (K,) ints -> logits (K, V), as decoder.step; `w` is packed.

    `stages(name, rows)` is shown the stream (K, D) before the first block and after each: embed_tokens,
    decoder.0.self_attn, decoder.0.encoder_attn, decoder.0, ...; and the logits (K, V).
    """
    cache.make_room()
    desk = cache.steps.get(w, config.decoder_ffn_dim, cache)
    cache.ancestors[:, cache.length] = range(len(tokens))
    if len(cache.positions) != desk.shape.capacity:
        cache.positions = _position_rows(desk.shape.capacity, config)
    _embed(w, config, tokens, cache.positions[cache.length], desk.x)
    logits, start = decoder_host.step(desk, cache.length, stages)
    cache.length += 1
    if stages is not None:
        stages("logits", logits.copy())
    return CompiledNextToken(logits, desk.peaks, start) if COMPILED else next_token(logits)


@functools.lru_cache(maxsize=16)
def _tables(sampling_rate: int, num_mel_bins: int) -> fbank_host.Tables:
    """What the filterbank kernel looks up, from the window and the filters of features.py."""
    window, _, _ = features.frame_geometry(sampling_rate)
    bank = features.mel_bank(sampling_rate, num_mel_bins)
    return fbank_host.tables(features.povey_window(window), bank, features.SAMPLE_SCALE)


def fbank(samples: np.ndarray, sampling_rate: int, num_mel_bins: int = 80, dtype: type = np.float32) -> np.ndarray:
    """Log mel energies: (N,) samples in [-1, 1], taken as float32 -> (T, M) in `dtype`, as features.fbank."""
    tables, hop = _tables(sampling_rate, num_mel_bins), features.frame_geometry(sampling_rate)[1]
    out = fbank_host.fbank(samples, hop, tables, features.PREEMPHASIS, features.LOG_FLOOR)
    return out.astype(dtype, copy=False)


def describe() -> dict[str, str]:
    """What `info` says about the compiled kernels."""
    if not COMPILED:
        state = "not compiled: NUMBA_DISABLE_JIT is set, they run as the Python they are written in"
    else:
        done = statistics
        state = f"{done['loaded']} loaded, {done['compiled']} compiled, in {done['seconds']:.1f} s"
    return {"instructions": cpu.detect().description, "kernels": state, "kernel cache": kernel_cache.describe()}


threads.follow(get_threads)


def prepare_halves(weights):
    """weights.Weights -> PackedWeights kept in float16. Raises ModelError for weights that are too large for it."""
    try:
        return pack(weights, FLOAT16, release)
    except OverflowError as error:
        raise ModelError(f"dtype float16: {error}; use float32") from None


float16_ops = numba_ops._replace(prepare=prepare_halves)
int8_ops = numba_ops._replace(prepare=functools.partial(pack, kind=INT8, release=release))
OPS = {"float32": numba_ops, "float16": float16_ops, "int8": int8_ops}  # by the dtype that a user names

__all__ = ["COMPILED", "OPS", "complete", "describe", "encode", "fbank", "start_cache", "step"]
