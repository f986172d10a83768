"""Whole utterances and single decoder steps of every contender: checked, timed, compared with the machine's limits.

The bound is what an implementation would take that computes the encoder at the rate of multiply-adds (int8: at that of
bytes) and reads the decoder's weights and the keys and values of the sound at the rate of memory, once a step: nothing
else. Tables of it all are made in tables.py.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from s2t_np.config import ModelConfig
from tools.bench.contenders import Ours, Peer
from tools.bench.roofs import medians

REST = 0.3  # seconds between runs: for a moment after its work, a thread pool keeps the processors busy waiting
TOKENS_A_SECOND = 3
STEPS = 20  # decoder steps in a row, as in a search
BYTES = {"float32": 4, "float16": 2, "int8": 1}
MEMORY_TOLERANCE, LOGITS_TOLERANCE = 1e-3, 2e-3  # shares of their root mean square


class Work(NamedTuple):
    """One utterance to decode."""

    seconds: float
    beams: int
    tokens: int

    @property
    def frames(self) -> int:
        """T, of 25 ms every 10 ms."""
        return round(100 * self.seconds) - 2

    @property
    def options(self) -> dict:
        """What generate is told, so that all decode just as many tokens."""
        limits = {"min_length": self.tokens, "max_length": self.tokens + 1}
        return {"num_beams": self.beams, "early_stopping": True, **limits}

    def features(self, bins: int) -> np.ndarray:
        """Noise: (T, M)."""
        return np.random.default_rng(0).standard_normal((self.frames, bins)).astype(np.float32)


def positions(frames: int, config: ModelConfig) -> int:
    """S: every convolution halves."""
    for _ in config.conv_kernel_sizes:
        frames = (frames - 1) // 2 + 1
    return frames


def encoder_operations(frames: int, c: ModelConfig) -> float:
    """Floating-point operations of the encoder's matrix products, a multiply-add as two."""
    widths = [c.input_feat_per_channel * c.input_channels]
    widths += [c.conv_channels // 2] * (c.num_conv_layers - 1)
    outputs = [c.conv_channels] * (c.num_conv_layers - 1) + [2 * c.d_model]
    total, rows = 0, frames
    for kernel, width, output in zip(c.conv_kernel_sizes, widths, outputs, strict=True):
        rows = (rows - 1) // 2 + 1
        total += 2 * rows * kernel * width * output
    layer = rows * c.d_model * (4 * c.d_model + 2 * c.encoder_ffn_dim) + 2 * rows * rows * c.d_model
    return total + 2 * c.encoder_layers * layer


def decoder_operations(work: Work, c: ModelConfig) -> float:
    """The same of an utterance's steps, and of the keys and values of its sound: a beam is a row in each of its steps.

    Without the end of a token's way: the search among the logits.
    """
    sound, width = positions(work.frames, c), c.d_model
    weights = c.decoder_layers * (6 * width * width + 2 * width * c.decoder_ffn_dim) + c.vocab_size * width
    looked_at = 2 * width * c.decoder_layers * (sound + (work.tokens + 1) / 2)  # scores and mixtures
    keys_and_values = 2 * width * width * c.decoder_layers * sound
    return 2 * (work.tokens * work.beams * (weights + looked_at) + keys_and_values)


def step_bytes(memory_rows: int, c: ModelConfig, weight_bytes: int) -> float:
    """Bytes that a decoder step must read: its weights once, and the keys and values over the sound.

    Those are float32 where weights are, else float16.
    """
    layer = 6 * c.d_model**2 + 2 * c.d_model * c.decoder_ffn_dim
    weights = c.decoder_layers * layer + c.vocab_size * c.d_model
    return weights * weight_bytes + c.decoder_layers * memory_rows * 2 * c.d_model * (4 if weight_bytes == 4 else 2)


def bound(work: Work, c: ModelConfig, roof: dict[str, float], dtype: str = "float32") -> dict[str, float]:
    """Seconds that the encoder, a step and the whole of generate take at least with weights of that type."""
    encoder = encoder_operations(work.frames, c) / roof["GOP/s" if dtype == "int8" else "GFLOP/s"] / 1e9
    step = step_bytes(positions(work.frames, c), c, BYTES[dtype]) / roof[f"GB/s {dtype}"] / 1e9
    return {"encoder": encoder, "step": step, "generate": encoder + work.tokens * step}


def race(contenders: dict, runs: int, call: Callable) -> dict[str, dict[str, float]]:
    """Medians of the times of call(name, contender), everybody in turn after one warm-up each."""
    times = {name: {} for name in contenders}
    for turn in range(runs + 1):
        for name, contender in contenders.items():
            time.sleep(REST)
            for kind, seconds in call(name, contender).items():
                times[name].setdefault(kind, []).extend([seconds] * bool(turn))
    return {name: medians(kinds) for name, kinds in times.items()}


class Referee:
    """A wrong answer has no speed. The first contender is numpy, in float32: the others are held to it.

    Those with narrower weights may differ; by how much is kept in `errors`.
    """

    def __init__(self):
        self.expected, self.errors = {}, {}

    def check(self, name: str, what: str, found: np.ndarray, exact: bool, tolerance: float) -> None:
        """Hold an array to the first of that kind. Raises SystemExit."""
        expected = self.expected.setdefault(what, np.array(found))
        same = found.shape == expected.shape
        error = float(np.abs(found - expected).max() / np.sqrt(np.mean(expected**2))) if same else np.inf
        self.errors.setdefault(what, {})[name] = error
        if not error <= (tolerance if exact else np.inf) or not same:
            raise SystemExit(f"{name}: {what} differs from numpy's by {error:.2g} of its root mean square")

    def check_tokens(self, name: str, found: list[int], exact: bool) -> None:
        """Hold tokens to the first. Raises SystemExit."""
        expected = self.expected.setdefault("tokens", list(found))
        same = sum(a == b for a, b in zip(found, expected, strict=False)) / len(expected)
        self.errors.setdefault("tokens that differ", {})[name] = 1 - same
        if len(found) != len(expected) or (exact and found != expected):
            raise SystemExit(f"{name} found {found}, numpy {expected}")


def utterance(contenders: dict[str, Ours | Peer], work: Work, bins: int, runs: int, generate: bool) -> dict:
    """Medians of encoder and generate for everybody, and how far apart their answers are. Raises SystemExit."""
    x, referee = work.features(bins), Referee()

    def call(name, contender):
        tokens, times, memory = contender.hear(x, work.options if generate else {})
        referee.check(name, "memory", memory, contender.exact, MEMORY_TOLERANCE)
        if tokens:
            referee.check_tokens(name, tokens, contender.exact)
        return times

    return {"seconds": race(contenders, runs, call), "errors": referee.errors}


def single_step(contenders: dict[str, Ours | Peer], work: Work, memory: np.ndarray, vocabulary: int, runs: int) -> dict:
    """The same for one decoder step in the middle of that utterance, over its memory (S, D)."""
    shape = (work.beams, max(2, work.tokens // 2 + 1))
    tokens, referee = np.random.default_rng(1).integers(4, vocabulary, shape), Referee()
    tokens[:, 0] = 2

    def call(name, contender):
        logits, times = contender.step(memory, tokens, STEPS)
        referee.check(name, "logits", logits, contender.exact, LOGITS_TOLERANCE)
        return times

    return {"seconds": race(contenders, runs, call), "errors": referee.errors}
