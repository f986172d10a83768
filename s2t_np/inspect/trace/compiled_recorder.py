"""A backend that records a compiled one: its encoder and its step show their stages to a callback.

They show them while they run the code that users run, and compute the same bits as without it. What the compiled code
keeps to itself is not there (plan.COMPILED lists the stages that are). The best transcript is followed step by step
over one beam; its rows stand one under the other, as a pass over all positions at once would give them.
"""

import numpy as np

from ... import audio, features, ops
from ...backend import Backend
from ...model import S2T
from ...ops import Ops
from ...search import NextToken
from . import plan
from .record import Recorder
from .recorder_backend import RecordedCache, Step, log_probabilities


class CompiledRecorder:
    """The functions of a Backend; each calls that of `model` and records its input and the stages that it shows."""

    def __init__(self, model: S2T, record: Recorder):
        """Record `model`, whose backend's `encode` and `step` take `stages`."""
        self.model, self.record = model, record
        self.samples = 0
        self.memory = np.empty(0)
        self.steps: list[Step] = []

    def backend(self) -> Backend:
        """The model's backend, with recording."""
        return self.model.backend._replace(
            fbank=self.fbank, encode=self.encode, start_cache=self.start_cache, step=self.step
        )

    def fbank(self, samples: np.ndarray, sampling_rate: int, num_mel_bins: int, dtype: type) -> np.ndarray:
        """As features.fbank."""
        self.samples = len(samples)
        self.record("samples", audio.load, samples)
        out = self.model.backend.fbank(samples, sampling_rate, num_mel_bins, dtype)
        self.record("features.log_mel", self.model.backend.fbank, out)
        return out

    def encode(self, table: Ops, w, config, x: np.ndarray, padded_length: int | None = None) -> np.ndarray:
        """As encoder.encode."""
        encode = self.model.backend.encode
        self.record("features.cmvn", features.cmvn, x)
        self.memory = encode(
            *(table, w, config, x, padded_length),
            lambda stage, rows: self.record(plan.trace_name(stage), encode, rows),
        )
        return self.memory

    def start_cache(self, table: Ops, w, config, memory: np.ndarray, beams: int) -> RecordedCache:
        """As decoder.start_cache."""
        return RecordedCache(self.model.backend.start_cache(table, w, config, memory, beams), np.arange(beams))

    def step(self, table: Ops, w, config, tokens: np.ndarray, cache: RecordedCache) -> NextToken:
        """As decoder.step."""
        step, prefix, shown = self.model.backend.step, f"steps.{cache.length:03d}.", {}
        following = step(table, w, config, tokens, cache.inner, shown.__setitem__)
        self.record(f"{prefix}decoder.input_ids", step, tokens)
        for stage, rows in shown.items():
            self.record(prefix + plan.trace_name(stage), step, rows)
        logits = shown["logits"]
        self.record(f"{prefix}parents", type(cache.inner).reorder, cache.parents)
        self.record(f"{prefix}log_probs", ops.log_softmax, lambda: log_probabilities(logits))
        self.steps.append(Step(np.array(tokens), cache.parents, logits))
        cache.parents, cache.length = np.arange(len(tokens)), cache.length + 1
        return following

    def decode_full(self, tokens: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """A whole transcript, one step after the other: tokens (U,), memory (S, D) -> logits (U, V)."""
        backend, w, config = self.model.backend, self.model.weights, self.model.config
        cache = backend.start_cache(backend.ops, w, config, memory, 1)
        shown: list[dict[str, np.ndarray]] = []
        for token in tokens:
            shown.append({})
            backend.step(backend.ops, w, config, np.array([token]), cache, shown[-1].__setitem__)
        self.record("decoder.input_ids", backend.step, tokens)
        rows = {stage: np.concatenate([found[stage] for found in shown]) for stage in shown[0]}
        for stage, array in rows.items():
            self.record(plan.trace_name(stage), backend.step, array)
        return rows["logits"]
