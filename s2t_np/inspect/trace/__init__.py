"""Follow one recording through the model: every number it computed, by the name of the stage that computed it.

    from s2t_np.inspect.trace import trace
    seen = trace(s2t_np.load("digits", backend="numpy"), "recording.flac")
    seen["encoder.layers.0.self_attn.attn_weights"]     (H, S, S)
    seen.entries["features.mel"].made_by                the function, its file and line
    seen.tree.candidates                                the beam search, every candidate with its outcome
    seen.save("folder")                                 trace.npz and manifest.json

    plan.py               the table of stages: names, order, shapes; the meaning of patterns; the size of a trace
    recorder_backend.py   a Backend that records what passes through its functions
    compiled_recorder.py  the same for a compiled backend, which shows its stages itself
    record.py             an array and an entry for every stage
    tree.py               the search as a tree
    store.py              writes a trace to a folder

The model has no hooks for this. A loaded model is a value with a `backend` field, and the traced model is a copy of it
with another backend; the model itself is not changed, and untraced runs cost nothing extra.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...audio import load as load_audio
from ...errors import OptionError
from ...longform.options import StreamOptions
from ...longform.quality import quality_flags
from ...model import S2T, Transcript
from ...ops import log_softmax
from ...search import Hooks
from ...search.options import check_options
from ...search.stopping import stops
from . import plan, store
from .compiled_recorder import CompiledRecorder
from .record import Entry, Recorder
from .recorder_backend import RecorderBackend, log_probabilities
from .tree import Tree, build_tree, check_repeatable

LIMIT = 2 << 30  # bytes of arrays that a trace may hold unless more is asked for

__all__ = ["LIMIT", "Entry", "Trace", "Tree", "again", "check_length", "estimate", "recorder_of", "trace"]


@dataclass(frozen=True)
class Trace(Mapping):
    """The numbers that a model computed for one recording: {stage: array} in the order of computation."""

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


def recorder_of(model: S2T, record: Recorder) -> RecorderBackend | CompiledRecorder:
    """The recorder of a model: it watches the readable functions, or is shown the stages of a compiled backend.

    Raises OptionError for a network of other layers than the table of stages has.
    """
    plan.check_arrangement(model)
    return (RecorderBackend if plan.is_readable(model) else CompiledRecorder)(model, record)


def estimate(model: S2T, samples: int, stages: Sequence[str] | None = None, **options) -> int:
    """Bytes of a trace of this many samples, by the table and a guess at the length of the transcript.

    Raises OptionError for an unknown option or a pattern that matches no stage.
    """
    return plan.estimate(*plan.chosen(model, plan.expected_size(model, samples, options), stages))


def trace(
    model: S2T,
    audio,
    stages: Sequence[str] | None = None,
    *,
    sampling_rate: int | None = None,
    limit: int = LIMIT,
    **options,
) -> Trace:
    """Transcribe one utterance and keep the numbers of every stage. `audio`, `sampling_rate` as in S2T.transcribe.

    `options` as in S2T.generate. `stages`: globs, or beginnings of names, of the stages to keep; None keeps all
    (plan.py has the names, and those that a compiled backend has). `limit`: bytes; a trace that is estimated to be
    larger is refused before anything is computed, and so is one of more sound than the model hears as one utterance.
    The transcript is the model's own, bit for bit; the detector is not asked whether there is speech. Raises
    AudioError, OptionError.
    """
    check_repeatable(model.generation_config.replace(**plan.of_the_search(options)))
    rate = model.feature_config.sampling_rate
    samples = load_audio(audio, rate, sampling_rate)
    table, wanted = plan.chosen(model, plan.expected_size(model, len(samples), options), stages)
    record = Recorder(wanted)
    check_length(model, len(samples))
    check_size(plan.estimate(table, record.wanted), limit)
    recorder = recorder_of(model, record)
    recorded = dataclasses.replace(model, backend=recorder.backend())
    source = str(audio) if isinstance(audio, str | Path) else None
    hypotheses = recorded.generate(recorded.features_of_samples(samples), **options)
    texts = model.tokenizer.batch_decode([hypothesis.tokens for hypothesis in hypotheses])
    doubts = StreamOptions().resolve(model.utterance_config)
    flags = quality_flags(hypotheses[0], texts[0], doubts, model.tokenizer.granularity)
    transcript = Transcript(texts[0], hypotheses, texts, len(samples) / rate, source, flags=flags)
    return assembled(recorder, transcript, options)


def again(model: S2T, samples: np.ndarray, tokens: np.ndarray, stages: Sequence[str], limit: int) -> dict:
    """Compute some stages of a traced utterance once more, without its search: {stage: array}.

    samples (N,) at the model's rate, `tokens` (U + 1,) its transcript, the start token first. `stages`, `limit` as in
    `trace`; the stages of a search are none of these. Raises AudioError, OptionError.
    """
    table, wanted = plan.chosen(model, plan.Size(len(samples), len(tokens) - 1, 1, 0), stages)
    check_size(plan.estimate(table, wanted), limit)
    recorder = recorder_of(model, Recorder(wanted))
    recorded = dataclasses.replace(model, backend=recorder.backend())
    memory = recorded.encode(recorded.features_of_samples(samples))
    logits = recorder.decode_full(tokens[:-1], memory)
    recorder.record("log_probs", log_softmax, lambda: log_probabilities(logits))
    return recorder.record.arrays


def check_length(model: S2T, samples: int) -> None:
    """Raise OptionError for more sound than the model hears as one utterance: `transcribe` would cut it."""
    seconds, longest = samples / model.feature_config.sampling_rate, model.utterance_config.longest_utterance
    if seconds > longest:
        raise OptionError(
            f"the recording is {seconds:.1f} s long, and a trace follows one utterance, for this model of at most "
            f"{longest:g} s; choose a part of it (--segment N, or --start and --duration)"
        )


def check_size(size: int, limit: int) -> None:
    """Raise OptionError for an estimate (bytes) above the limit."""
    if size > limit:
        raise OptionError(
            f"a trace of this recording would hold about {size / 1e6:,.1f} MB, more than the limit of "
            f"{limit / 1e6:,.1f} MB; choose stages, cut the recording, or raise the limit"
        )


def assembled(recorder: RecorderBackend | CompiledRecorder, transcript: Transcript, options: dict) -> Trace:
    """A Trace of the recorded run, of its best transcript once more with all positions at once, and of the tree."""
    tokens = np.array(transcript.hypotheses[0].tokens)
    logits = recorder.decode_full(tokens[:-1], recorder.memory)
    recorder.record("log_probs", log_softmax, lambda: log_probabilities(logits))
    recorder.record("tokens", S2T.generate, tokens)
    order = in_order(recorder, len(tokens) - 1)
    arrays, entries = (
        {name: found[name] for name in order} for found in (recorder.record.arrays, recorder.record.entries)
    )
    tree = tree_of(recorder, transcript, options)
    return Trace(arrays, entries, tree, transcript, about(recorder.model, transcript, options))


def in_order(recorder: RecorderBackend | CompiledRecorder, tokens: int) -> list[str]:
    """The recorded stages in the order of the table."""
    size = plan.Size(recorder.samples, tokens, len(recorder.steps[0].tokens), len(recorder.steps))
    return [stage.name for stage in plan.stages(recorder.model, size) if stage.name in recorder.record.arrays]


def tree_of(recorder: RecorderBackend | CompiledRecorder, transcript: Transcript, options: dict) -> Tree:
    """The tree of the recorded search, under the options that it ran with."""
    searched = recorder.model.generation_config.replace(**plan.of_the_search(options))
    prompt = [searched.decoder_start_token_id, *options.get("prefix", ())]
    others = stops(searched, Hooks(pieces=recorder.model.tokenizer.added_texts()))
    return build_tree(recorder.steps, transcript.hypotheses, check_options(searched, len(prompt)), prompt, others)


def about(model: S2T, transcript: Transcript, options: dict) -> dict:
    """The manifest's entries about the run as a whole."""
    return {
        "audio": transcript.source,
        "duration": transcript.duration,
        "sampling_rate": model.feature_config.sampling_rate,
        "model": str(model.folder),
        "backend": model.backend.name,
        "dtype": np.dtype(model.dtype).name,
        "numpy": np.__version__,
        "options": options,
        "text": transcript.text,
    }
