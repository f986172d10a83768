"""The face of the kernels: the functions of which s2t_np.backend makes its compiled backends.

`numba_ops` is numpy_ops with what is faster here replaced; its `prepare` packs weights (`pack.py`), and from then on
only these ops can read them. `fbank`, `encode`, `start_cache`, `step` and `step_together` have the signatures of their
readable twins in features.py, encoder.py and decoder.py, and take all layers in one compiled call. `vad` has the fast
twins of longform/vad_ops.py.
"""

import functools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from s2t_np import features
from s2t_np.errors import ModelError
from s2t_np.layers import embedding_scale, pad_as_in_batch, positions, subsampled_length
from s2t_np.longform import vad_ops
from s2t_np.ops import numpy_ops
from s2t_np.search import Candidates, NextToken
from s2t_np.system.helpers import mapped
from s2t_np.system.threads import get_threads

from . import cpu, doors, threads
from .build import cache as kernel_cache
from .build.options import COMPILED
from .build.runtime import complete, statistics
from .decoder import cross_kv_host
from .decoder import host as decoder_host
from .decoder.cache_host import Cache, empty_cache
from .encoder import host as encoder_host
from .layout import FLOAT16, FLOAT32, INT8, LANES
from .ops import bands_host, fbank_host, measures_host, softmax_host
from .ops.host import attention, layer_norm, linear, linear_relu
from .weights.arena import Job
from .weights.pack import pack, round_up

RUNS = 8  # runs of jobs for each thread: the last of them ends about when the others do
POSITIONS_KEPT = 64  # position rows that are kept together
Stages = Callable[[str, np.ndarray], None]


def in_turn(jobs: Iterable[Job]) -> None:
    """Do one after the other."""
    for job in jobs:
        job()


def in_parallel(jobs: Sequence[Job]) -> None:
    """Do all jobs on the threads that a call from here uses. Raises what the first of them raises.

    They are taken in runs: jobs beside each other fill memory beside each other, and two threads that ask for the same
    large page at the same time both clear one.
    """
    threads = get_threads()
    run = -(-len(jobs) // (RUNS * threads)) or 1
    mapped(in_turn, [(jobs[begin : begin + run],) for begin in range(0, len(jobs), run)], threads)


def prepare(weights, read: Callable = np.asarray, dtype: int = FLOAT32):
    """weights.Weights -> PackedWeights, as ops.prepare. Raises ModelError for weights that float16 cannot hold."""
    try:
        return pack(weights, dtype, read, in_parallel)
    except OverflowError as error:
        raise ModelError(f"dtype float16: {error}; use float32") from None


numba_ops = numpy_ops._replace(
    prepare=prepare,
    linear=linear,
    linear_activation=linear_relu,
    layer_norm=layer_norm,
    conv1d_glu=encoder_host.conv1d_glu,
    attention=attention,
)


@functools.lru_cache(maxsize=64)
def _positions(block: int, config) -> np.ndarray:
    """Position rows from POSITIONS_KEPT * block on: (POSITIONS_KEPT, D). Computing them takes longer than reading."""
    return positions(POSITIONS_KEPT * block, POSITIONS_KEPT, config, np.float32)


@functools.lru_cache(maxsize=64)
def _position_units(block: int, config) -> np.ndarray:
    """The same as the encoder's kernel has them: (POSITIONS_KEPT / 16, D in whole panels, 16)."""
    units = _positions(block, config).reshape(-1, LANES, config.d_model).transpose(0, 2, 1)
    return np.pad(units, ((0, 0), (0, round_up(config.d_model) - config.d_model), (0, 0)))


def encode(
    ops, w, config, features: np.ndarray, padded_length: int | None = None, stages: Stages | None = None
) -> np.ndarray:
    """Features (T, M) -> memory (S, D), as encoder.encode; `w` is the packed encoder. Raises OptionError.

    `stages(name, rows)` is shown every stage of the same compiled phases: conv.0, ..., as far as the utterance reaches,
    embed_features, encoder.0, ..., memory.
    """
    features = doors.matrix("features", features, w.conv.conv_layers[0].inputs)
    frames, length = len(features), subsampled_length(len(features), config.num_conv_layers)
    if padded_length is not None:
        features = pad_as_in_batch(features, w.conv, padded_length)
    blocks = [_position_units(block, config) for block in range(-(-length // POSITIONS_KEPT))]
    x = np.concatenate(blocks)[: -(-length // LANES)]
    sizes = encoder_host.Sizes(length, config.encoder_ffn_dim, config.encoder_attention_heads)
    encoding = encoder_host.prepare(features, x, w, embedding_scale(config), sizes)
    if stages is None:
        return encoder_host.encode(encoding)

    def show(name: str, rows: np.ndarray) -> None:
        stage, _, number = name.partition(".")
        stages(name, rows[: subsampled_length(frames, int(number) + 1)] if stage == "conv" else rows)

    return encoder_host.encode_in_stages(encoding, show)


def start_cache(ops, w, config, memory: np.ndarray, beams: int) -> Cache:
    """An empty cache for K beams over an utterance's memory (S, D), as decoder.start_cache; `w` is packed.

    Raises OptionError.
    """
    memory, beams = doors.matrix("memory", memory, config.d_model), doors.beams(beams)
    cross = cross_kv_host.project(memory, w.decoder, w.lm_head.dtype, config.decoder_attention_heads)
    return empty_cache(w.decoder.pool, cross, beams, config.vocab_size)


def _embed(w, config, asks, x: np.ndarray) -> None:
    """As decoder.embed_tokens, into x (rows, D), for tokens and caches of utterances; padding has no position."""
    scale, table, row = np.float32(embedding_scale(config)), w.decoder.embed_tokens.weight, 0
    ids = np.concatenate([tokens for tokens, _ in asks]) if len(asks) > 1 else asks[0][0]
    np.multiply(table[ids], scale, out=x)
    for tokens, cache in asks:
        block, place = divmod(cache.length, POSITIONS_KEPT)
        x[row : row + len(tokens)] += _positions(block, config)[place]
        row += len(tokens)
    if config.pad_token_id in ids.tolist():
        x[ids == config.pad_token_id] = table[[config.pad_token_id]] * scale


class CompiledNextToken(NextToken):
    """The readable one, with a kernel that finds the best."""

    def __init__(self, table: softmax_host.LogitsTable, finder: softmax_host.BestFinder):
        super().__init__(table.logits, table.top, table.shift)
        self.table, self.finder = table, finder

    def best(self, added: np.ndarray, count: int) -> Candidates:
        return Candidates(*self.finder.best(self.table, added, count))


def next_token(logits: np.ndarray) -> NextToken:
    """Logits (K, V) float32 with what normalises them, as search.next_token."""
    return CompiledNextToken(softmax_host.table_of(logits), softmax_host.BestFinder(*logits.shape))


def step_together(
    ops, w, config, asks: Sequence[tuple[np.ndarray, Cache]], stages: Stages | None = None
) -> list[NextToken]:
    """Append one token to each beam of several utterances: (tokens (K,), cache) of each -> logits (K, V) of each.

    As decoder.step_together; `w` is packed. Weights are read once for all. Results are the same bits as those of a step
    alone. `stages` is shown the rows of all utterances, one after the other. Raises OptionError.
    """
    asks = [(doors.tokens(tokens, len(cache.ancestors), config.vocab_size), cache) for tokens, cache in asks]
    if not asks:
        return []
    doors.caches([cache for _, cache in asks])
    rows, history, lines, found = 0, 0, [], []
    for tokens, cache in asks:
        table = softmax_host.LogitsTable(len(tokens), config.vocab_size)
        found.append(CompiledNextToken(table, cache.finder))
        lines.append(cache.ask(rows, table))
        rows, history = rows + len(tokens), max(history, cache.capacity)
    workspace = decoder_host.borrow(w, config, rows, history)
    workspace.asks[: len(lines)] = lines
    _embed(w, config, asks, workspace.x[:rows])
    decoder_host.run(workspace, rows, len(lines), stages)
    decoder_host.give_back(w, workspace)
    for _, cache in asks:
        cache.length += 1
    return found


def step(ops, w, config, tokens: np.ndarray, cache: Cache, stages: Stages | None = None) -> NextToken:
    """Append one token to each beam: tokens (K,) ints -> logits (K, V), as decoder.step; `w` is packed.

    `stages(name, rows)` is shown the stream (K, D) before the first block and after each: embed_tokens,
    decoder.0.self_attn, decoder.0.encoder_attn, decoder.0, ...; and the logits (K, V). Raises OptionError.
    """
    (found,) = step_together(ops, w, config, [(tokens, cache)], stages)
    if stages is not None:
        stages("logits", found.logits.copy())
    return found


@functools.lru_cache(maxsize=16)
def _tables(sampling_rate: int, num_mel_bins: int) -> fbank_host.Tables:
    """Return what the filterbank kernel looks up, from the window and the filters of features.py."""
    window, _, _ = features.frame_geometry(sampling_rate)
    bank = features.mel_bank(sampling_rate, num_mel_bins)
    return fbank_host.tables(features.povey_window(window), bank, features.SAMPLE_SCALE)


def fbank(samples: np.ndarray, sampling_rate: int, num_mel_bins: int = 80, dtype: type = np.float32) -> np.ndarray:
    """Log mel energies: (N,) samples in [-1, 1], taken as float32 -> (T, M) in `dtype`, as features.fbank."""
    tables, hop = _tables(sampling_rate, num_mel_bins), features.frame_geometry(sampling_rate)[1]
    out = fbank_host.fbank(doors.samples(samples), hop, tables, features.PREEMPHASIS, features.LOG_FLOOR)
    return out.astype(dtype, copy=False)


def band_powers(samples: np.ndarray, taper: np.ndarray, hop: int, length: int, edges: np.ndarray) -> np.ndarray:
    """The power of frames in bands: (N,) samples, taken as float32 -> (B, T) float64, as longform.vad_ops.band_powers.

    A transform whose length is not a power of 2, which a model at an unusual rate may need, is numpy's.
    """
    if length & (length - 1):
        return vad_ops.band_powers(samples, taper, hop, length, edges)
    samples, edges = doors.samples(samples), doors.edges(edges, length)
    return bands_host.band_powers(samples, doors.taper(taper, length), hop, length, edges)


def frame_measures(power: np.ndarray, scale: float) -> vad_ops.Measures:
    """Measures of frames from spectra (F, T), as longform.vad_ops.frame_measures."""
    lag = vad_ops.LAG
    found = measures_host.frame_measures(doors.spectra(power), scale, vad_ops.NEIGHBOURS // 2, lag)
    total, flatness, squares, products = found
    return vad_ops.Measures(total, flatness, vad_ops.normalized(products[:-lag], squares))


def describe() -> dict[str, str]:
    """Return what `info` says about the compiled kernels."""
    if not COMPILED:
        state = "not compiled: NUMBA_DISABLE_JIT is set, they run as the Python they are written in"
    else:
        done = statistics
        state = f"{done['loaded']} loaded, {done['compiled']} compiled, in {done['seconds']:.1f} s"
    return {"instructions": cpu.detect().description, "kernels": state, "kernel cache": kernel_cache.describe()}


threads.follow(get_threads)


float16_ops = numba_ops._replace(prepare=functools.partial(prepare, dtype=FLOAT16))
int8_ops = numba_ops._replace(prepare=functools.partial(prepare, dtype=INT8))
vad = vad_ops.VadOps(band_powers, frame_measures)
OPS = {"float32": numba_ops, "float16": float16_ops, "int8": int8_ops}  # by the dtype that a user names

__all__ = ["COMPILED", "OPS", "complete", "describe", "encode", "fbank", "start_cache", "step", "step_together", "vad"]
