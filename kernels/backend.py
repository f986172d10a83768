"""The kernels behind the two seams of s2t_np: the only file here that knows it.

`numba_ops` is numpy_ops with what is faster here replaced; its `prepare` packs weights (`pack.py`), and from then on
only these ops can read them. `encode` and `step` have the signatures of encoder.encode and decoder.decoder_step, and
take all layers in one compiled call.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from s2t_np import features
from s2t_np.backend import NUMPY
from s2t_np.checkpoint.mapped import release
from s2t_np.decoder import DecoderCache, empty_cache
from s2t_np.errors import ModelError
from s2t_np.layers import embedding_scale, pad_as_in_batch, positions, subsampled_length
from s2t_np.ops import numpy_ops
from s2t_np.search import Candidates, Outlook
from s2t_np.system.threads import get_threads

from . import cpu, threads
from .build import cache, runtime
from .build.options import COMPILED
from .decoder import cross_kv_host
from .decoder import host as decoder_host
from .encoder import host as encoder_host
from .layout import FLOAT16, INT8, LANES
from .ops import fbank_host, softmax_host
from .ops.host import attention, conv1d_glu, layer_norm, linear, linear_relu
from .weights.pack import empty_lines, pack, whole

BLOCK = 64  # position rows that are kept together

numba_ops = numpy_ops._replace(
    prepare=functools.partial(pack, release=release),
    linear=linear,
    linear_relu=linear_relu,
    layer_norm=layer_norm,
    conv1d_glu=conv1d_glu,
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


def encode(ops, w, config, features: np.ndarray, padded_length: int | None = None) -> np.ndarray:
    """Features (T, M) -> memory (S, D), as encoder.encode; `w` is the packed encoder."""
    length = subsampled_length(len(features), config.num_conv_layers)
    if padded_length is not None:
        features = pad_as_in_batch(features, w.conv, padded_length)
    blocks = [_position_units(block, config) for block in range(-(-length // BLOCK))]
    x = np.concatenate(blocks)[: -(-length // LANES)]
    sizes = config.encoder_ffn_dim, config.encoder_attention_heads
    return encoder_host.encode(features, x, w, length, embedding_scale(config), sizes)


@functools.lru_cache(maxsize=4)
def _position_rows(count: int, config) -> np.ndarray:
    """The first position rows: (count, D)."""
    return np.concatenate([_positions(block, config) for block in range(-(-count // BLOCK))])[:count]


@dataclass
class Cache(DecoderCache):
    """The readable cache, whose `cross` is a memory.Memory, with what its steps compute in.

    Rows of keys and values begin at lines of the processor's cache.
    """

    steps: decoder_host.Steps = field(default_factory=decoder_host.Steps)
    last: tuple[np.ndarray, int] = (None, 0)  # logits of the last step, and where they begin for its desk
    positions: np.ndarray | tuple = ()  # position rows (capacity, D)

    def make_room(self) -> None:
        before = self.keys.shape[1]
        super().make_room()
        if self.keys.shape[1] > before:
            self.keys, self.values = _in_lines(self.keys), _in_lines(self.values)


def _in_lines(x: np.ndarray) -> np.ndarray:
    """A copy that begins at a line of the processor's cache."""
    copy = empty_lines(x.size)[0].reshape(x.shape)
    copy[:] = x
    return copy


def start_cache(ops, w, config, memory_rows: np.ndarray, beams: int) -> Cache:
    """An empty cache for K beams over one utterance's memory (S, D), as decoder.start_cache; `w` is packed."""
    cross = cross_kv_host.project(memory_rows, w.decoder, w.lm_head.kind, config.decoder_attention_heads)
    cache = Cache(**vars(empty_cache(cross, len(w.decoder.layers), memory_rows, beams)))
    cache.keys, cache.values = (x.reshape(cache.keys.shape) for x in empty_lines(cache.keys.size, cache.keys.size))
    return cache


def _embed(w, config, tokens: np.ndarray, position: np.ndarray, x: np.ndarray) -> None:
    """As decoder.embed_tokens, into x (K, D); padding has no position."""
    scale, rows = np.float32(embedding_scale(config)), w.decoder.embed_tokens.weight
    np.multiply(rows[tokens], scale, out=x)
    x += position
    if config.pad_token_id in tokens.tolist():
        x[tokens == config.pad_token_id] = rows[[config.pad_token_id]] * scale


def step(ops, w, config, tokens: np.ndarray, cache: Cache) -> np.ndarray:
    """Append one token to each beam: tokens (K,) ints -> logits (K, V), as decoder.decoder_step; `w` is packed."""
    cache.make_room()
    desk = cache.steps.get(w, config.decoder_ffn_dim, cache)
    cache.ancestors[:, cache.length] = range(len(tokens))
    if len(cache.positions) != desk.shape.capacity:
        cache.positions = _position_rows(desk.shape.capacity, config)
    _embed(w, config, tokens, cache.positions[cache.length], desk.x)
    cache.last = decoder_host.step(desk, cache.length)
    cache.length += 1
    return cache.last[0]


class CompiledOutlook(Outlook):
    """The readable one, with kernels at work."""

    def __init__(self, logits: np.ndarray, peaks: softmax_host.Peaks, start: int):
        """Logits (K, V), what is known of them, and where they begin for that."""
        super().__init__(logits, peaks.top, peaks.shift)
        self.peaks, self.start = peaks, start

    def best(self, added: np.ndarray, count: int) -> Candidates:
        return Candidates(*self.peaks.best(self.start, added, count))


def outlook(logits: np.ndarray, cache: Cache | None = None) -> Outlook:
    """The outlook of logits (K, V), as search.outlook; of those of the cache's last step the step knows already."""
    if cache is None or cache.last[0] is not logits or not COMPILED:
        return CompiledOutlook(*softmax_host.look(logits))
    return CompiledOutlook(logits, cache.steps.desk.peaks, cache.last[1])


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
    done = runtime.statistics
    if not COMPILED:
        state = "not compiled: NUMBA_DISABLE_JIT is set, they run as the Python they are written in"
    else:
        state = f"{done['loaded']} loaded, {done['compiled']} compiled, in {done['seconds']:.1f} s"
    return {"instructions": cpu.detect().description, "kernels": state, "kernel cache": cache.describe()}


threads.follow(get_threads)


def prepare_halves(weights):
    """weights.Weights -> PackedWeights kept in float16. Raises ModelError for weights that are too large for it."""
    try:
        return pack(weights, FLOAT16, release)
    except OverflowError as error:
        raise ModelError(f"dtype float16: {error}; use float32") from None


float16_ops = numba_ops._replace(prepare=prepare_halves)
int8_ops = numba_ops._replace(prepare=functools.partial(pack, kind=INT8, release=release))

NUMBA = NUMPY._replace(
    name="numba",
    ops=numba_ops,
    encode=encode,
    start=start_cache,
    step=step,
    outlook=outlook,
    fbank=fbank,
    describe=describe,
)
NUMBA_FLOAT16 = NUMBA._replace(name="numba float16", ops=float16_ops)
NUMBA_INT8 = NUMBA._replace(name="numba int8", ops=int8_ops)
BACKENDS = {"float32": NUMBA, "float16": NUMBA_FLOAT16, "int8": NUMBA_INT8}  # by the dtype that a user names
