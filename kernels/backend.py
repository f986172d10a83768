"""The kernels behind the two seams of s2t_np: the only file here that knows it.

`numba_ops` is numpy_ops with what is faster here replaced; its `prepare` packs weights (`pack.py`), and from then on
only these ops can read them. `encode` and `step` have the signatures of encoder.encode and decoder.decoder_step, and
take all layers in one compiled call.
"""

import functools

import numpy as np

from s2t_np import features
from s2t_np.backend import NUMPY
from s2t_np.checkpoint.mapped import release
from s2t_np.decoder import embed_tokens
from s2t_np.encoder import embed_features
from s2t_np.layers import positions
from s2t_np.ops import numpy_ops

from . import decode_step
from . import fbank as fast_fbank
from .attention import attention
from .conv import conv1d_glu
from .encoder import run_layers
from .norm import layer_norm
from .pack import INT8, pack
from .rows import linear, linear_relu
from .softmax import log_softmax

numba_ops = numpy_ops._replace(
    prepare=functools.partial(pack, release=release),
    linear=linear,
    linear_relu=linear_relu,
    layer_norm=layer_norm,
    conv1d_glu=conv1d_glu,
    attention=attention,
    log_softmax=log_softmax,
)


def encode(ops, w, config, features: np.ndarray, padded_length: int | None = None) -> np.ndarray:
    """Features (T, M) -> memory (S, D), as encoder.encode; `w` is the packed encoder."""
    x = embed_features(ops, w, config, features, padded_length)
    return run_layers(x, w, config.encoder_ffn_dim, config.encoder_attention_heads)


@functools.lru_cache(maxsize=64)
def _positions(block: int, config) -> np.ndarray:
    """Position rows 64 block .. 64 block + 63: (64, D). Computing a row anew would take longer than reading it."""
    return positions(64 * block, 64, config, np.float32)


def step(ops, w, config, tokens: np.ndarray, cache) -> np.ndarray:
    """Append one token to each beam: tokens (K,) ints -> logits (K, V), as decoder.decoder_step; `w` is packed."""
    cache.make_room()
    cache.ancestors[:, cache.length] = np.arange(len(tokens))
    position = _positions(cache.length // 64, config)[cache.length % 64]
    x = embed_tokens(w.decoder, config, tokens, np.where((tokens != config.pad_token_id)[:, None], position, 0))
    logits = decode_step.step(x, w, config.decoder_ffn_dim, config.decoder_attention_heads, cache)
    cache.length += 1
    return logits


@functools.lru_cache(maxsize=16)
def _tables(sampling_rate: int, num_mel_bins: int) -> fast_fbank.Tables:
    """What the filterbank kernel looks up, from the window and the filters of features.py."""
    window, _, _ = features.frame_geometry(sampling_rate)
    bank = features.mel_bank(sampling_rate, num_mel_bins)
    return fast_fbank.tables(features.povey_window(window), bank, features.SAMPLE_SCALE)


def fbank(samples: np.ndarray, sampling_rate: int, num_mel_bins: int = 80, dtype: type = np.float32) -> np.ndarray:
    """Log mel energies: (N,) samples in [-1, 1], taken as float32 -> (T, M) in `dtype`, as features.fbank."""
    tables, hop = _tables(sampling_rate, num_mel_bins), features.frame_geometry(sampling_rate)[1]
    out = fast_fbank.fbank(samples, hop, tables, features.PREEMPHASIS, features.LOG_FLOOR)
    return out.astype(dtype, copy=False)


int8_ops = numba_ops._replace(prepare=functools.partial(pack, kind=INT8, release=release))

NUMBA = NUMPY._replace(name="numba", ops=numba_ops, encode=encode, step=step, fbank=fbank)
NUMBA_INT8 = NUMBA._replace(name="numba int8", ops=int8_ops)
