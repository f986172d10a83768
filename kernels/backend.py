"""The kernels behind the two seams of s2t_np: the only file here that knows it.

`numba_ops` is numpy_ops with what is faster here replaced; its `prepare` packs weights (`pack.py`), and from then on
only these ops can read them. `encode` and `step` have the signatures of encoder.encode and decoder.decoder_step, and
take all layers in one compiled call.
"""

import functools

import numpy as np

from s2t_np.backend import NUMPY
from s2t_np.decoder import embed_tokens
from s2t_np.encoder import embed_features
from s2t_np.layers import positions
from s2t_np.ops import numpy_ops
from s2t_np.threads import get_threads

from . import cache, cpu, decode_step, jit, threads
from .attention import attention
from .conv import conv1d_glu
from .encoder import run_layers
from .norm import layer_norm
from .pack import INT8, pack
from .rows import linear, linear_relu
from .softmax import log_softmax

numba_ops = numpy_ops._replace(
    prepare=pack,
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


def describe() -> dict[str, str]:
    """What `info` says about the compiled kernels."""
    done = jit.statistics
    if not jit.COMPILED:
        state = "not compiled: NUMBA_DISABLE_JIT is set, they run as the Python they are written in"
    else:
        state = f"{done['loaded']} loaded, {done['compiled']} compiled, in {done['seconds']:.1f} s"
    folder = cache.directory()
    return {"instructions": cpu.detect().description, "kernels": state, "kernel cache": str(folder or "none")}


threads.follow(get_threads)
int8_ops = numba_ops._replace(prepare=functools.partial(pack, kind=INT8))

NUMBA = NUMPY._replace(name="numba", ops=numba_ops, encode=encode, step=step, describe=describe)
NUMBA_INT8 = NUMBA._replace(name="numba int8", ops=int8_ops)
