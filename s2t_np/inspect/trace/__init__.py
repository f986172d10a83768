"""Follow one recording through the model: every number it computed, by the name of the stage that computed it.

    from s2t_np.trace import trace
    seen = trace(s2t_np.load("digits", backend="numpy"), "recording.flac")
    seen["encoder.layers.0.self_attn.attn_weights"]     (H, S, S)
    seen.entries["features.mel"].made_by                the function, its file and line
    seen.tree.candidates                                the beam search, every candidate with its outcome
    seen.save("folder")                                 trace.npz and manifest.json

    plan.py     the table of stages: names, order, shapes; what patterns mean; how large a trace will be
    recorder_backend.py    where it watches from: a Backend whose functions show what passes
    record.py   an array and an entry for every stage
    tree.py     the search as a tree
    store.py    to a folder and back

The model has no hook for this. A loaded model is a value with a `backend` field, so a traced one is a copy of it with
another value there; the model itself never learns of it, and pays nothing when nobody traces.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import audio as audio_room
from ...backend import NUMPY
from ...errors import OptionError
from ...model import S2T, Transcript
from ...ops import log_softmax
from ...search.options import check_options
from . import plan, store
from .record import Entry, Recorder
from .recorder_backend import RecorderBackend, log_probabilities
from .tree import Tree, build_tree

LIMIT = 2 << 30  # bytes of arrays that a trace may hold unless more is asked for

__all__ = ["LIMIT", "Entry", "Trace", "Tree", "estimate", "trace"]


@dataclass(frozen=True)
class Trace(Mapping):
    """What a model computed for one recording: {stage: array} in the order of computation, and what belongs to it."""

    arrays: dict[str, np.ndarray]
    entries: dict[str, Entry]  # for every stage: shape, dtype, statistics, who made it
    tree: Tree  # the search
    transcript: Transcript
    about: dict  # the model, the recording, the options

    def __getitem__(self, stage: str) -> np.ndarray:
        """The array of a stage; "memory" and "logits" mean encoder.layer_norm and lm_head."""
        return self.arrays[plan.ALIASES.get(stage, stage)]

    def __iter__(self):
        return iter(self.arrays)

    def __len__(self):
        return len(self.arrays)

    def save(self, folder, kind: str = "npz") -> None:
        """Write trace.npz or trace.safetensors, and manifest.json, to a folder. Raises OSError, ModelError."""
        store.save(self, folder, kind)


def checked(model: S2T) -> S2T:
    """The model, if it is one that can be watched. Raises OptionError."""
    if model.backend is not NUMPY:
        raise OptionError(
            f'a trace follows the readable arithmetic, and this model was loaded with backend "{model.backend.name}"; '
            'load it with backend="numpy"'
        )
    return model


def estimate(model: S2T, samples: int, stages: Sequence[str] | None = None, **options) -> int:
    """Bytes that a trace of so many samples will hold, by the table and a guess at the transcript's length.

    Raises OptionError for an unknown option or a pattern that means no stage.
    """
    table = plan.stages(model, plan.expected_size(model, samples, options))
    return plan.estimate(table, plan.selection(table, stages))


def trace(
    model: S2T,
    audio,
    stages: Sequence[str] | None = None,
    *,
    sampling_rate: int | None = None,
    limit: int = LIMIT,
    **options,
) -> Trace:
    """Transcribe, and keep what every stage computed. `audio`, `sampling_rate`, `options` as in S2T.transcribe.

    `stages`: globs, or beginnings of names, of what to keep; None keeps all (plan.py has the names). `limit`: bytes;
    a trace that is estimated to be larger is refused before anything is computed. The transcript is that of the
    model, bit by bit. Raises AudioError, OptionError.
    """
    rate = checked(model).feature_config.sampling_rate
    samples = audio_room.load(audio, rate, sampling_rate)
    table = plan.stages(model, plan.expected_size(model, len(samples), options))
    record = Recorder(plan.selection(table, stages))
    check_size(plan.estimate(table, record.wanted), limit)
    watcher = RecorderBackend(model, record)
    watched = dataclasses.replace(model, backend=watcher.backend())
    source = str(audio) if isinstance(audio, str | Path) else None
    transcript = dataclasses.replace(watched.transcribe(samples, rate, **options), source=source)
    return assembled(watcher, transcript, options)


def check_size(size: int, limit: int) -> None:
    """Raise OptionError for an estimate (bytes) above the limit."""
    if size > limit:
        raise OptionError(
            f"a trace of this recording would hold about {size / 1e6:,.1f} MB, more than the limit of "
            f"{limit / 1e6:,.1f} MB; choose stages, cut the recording, or raise the limit"
        )


def assembled(watcher: RecorderBackend, transcript: Transcript, options: dict) -> Trace:
    """The watched run; its best transcript once more, all positions at once; the tree: in one Trace."""
    tokens = np.array(transcript.hypotheses[0].tokens)
    logits = watcher.decode_full(tokens[:-1], watcher.memory)
    watcher.record("log_probs", log_softmax, lambda: log_probabilities(logits))
    watcher.record("tokens", S2T.generate, tokens)
    order = in_order(watcher, len(tokens) - 1)
    arrays, entries = (
        {name: found[name] for name in order} for found in (watcher.record.arrays, watcher.record.entries)
    )
    tree = tree_of(watcher, transcript, options)
    return Trace(arrays, entries, tree, transcript, about(watcher.model, transcript, options))


def in_order(watcher: RecorderBackend, tokens: int) -> list[str]:
    """The recorded stages in the order of the table."""
    size = plan.Size(watcher.samples, tokens, len(watcher.steps[0].tokens), len(watcher.steps))
    return [stage.name for stage in plan.stages(watcher.model, size) if stage.name in watcher.record.arrays]


def tree_of(watcher: RecorderBackend, transcript: Transcript, options: dict) -> Tree:
    """The search that the watcher saw, under the options that it ran with."""
    searched = watcher.model.generation_config.replace(**plan.of_the_search(options))
    prompt = [searched.decoder_start_token_id, *options.get("prefix", ())]
    return build_tree(watcher.steps, transcript.hypotheses, check_options(searched, len(prompt)), prompt)


def about(model: S2T, transcript: Transcript, options: dict) -> dict:
    """What a manifest says of the run as a whole."""
    return {
        "audio": transcript.source,
        "duration": transcript.duration,
        "sampling_rate": model.feature_config.sampling_rate,
        "model": str(model.folder),
        "dtype": np.dtype(model.dtype).name,
        "numpy": np.__version__,
        "options": options,
        "text": transcript.text,
    }
