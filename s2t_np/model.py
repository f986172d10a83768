"""The whole story: a model is its config, its weights, a tokenizer and a backend; sound becomes text in six hops.

samples = audio.load(...)        (N,)    the recording, mono, at the model's rate
features = fbank, then CMVN      (T, M)  one row for every 10 ms
memory = encode(features)        (S, D)  one row for every 40 ms
step(tokens, cache)              (K, V)  logits of the next token, for every beam
hypotheses = search(step)                the best token sequences
text = tokenizer.decode(tokens)
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import length_hint
from pathlib import Path

import numpy as np

from . import arguments, search, together
from .audio import EVERYTHING, Selection
from .audio import load as load_audio
from .backend import Backend
from .config import FeatureConfig, GenerationConfig, ModelConfig, UtteranceConfig
from .decoder import decode_full
from .errors import InputWarning, OptionError, S2TError
from .features import features
from .hotwords import Hotwords, hotwords
from .longform.options import StreamOptions
from .longform.partial import OnPartial
from .longform.recording import open_recording
from .longform.segment import Segment
from .longform.stream import stream, stream_partials
from .longform.transcript import Hearing, Transcript, transcripts
from .ops import log_softmax
from .parts import Weights
from .sending import Origin, reduced
from .system.threads import get_threads
from .tokenizer import Tokenizer

DEFAULT_MODEL = "facebook/s2t-small-librispeech-asr"
LONGEST_TEXT = 4096  # tokens that are scored; time and memory grow with their square, an utterance has a few hundred
Options = StreamOptions | None


@dataclass(frozen=True)
class Score:
    """The log-probability of a given transcript (natural logarithms)."""

    tokens: np.ndarray  # (U,) the transcript's ids, ending in EOS
    token_log_probs: np.ndarray  # (U,)
    log_prob: float  # their sum
    cross_entropy: float  # minus their mean: the loss that `labels=` gives upstream


@dataclass(frozen=True)
class S2T:
    """A loaded model. Immutable, so several threads may use one; pickled by its name, without weights (sending.py)."""

    config: ModelConfig
    generation_config: GenerationConfig
    feature_config: FeatureConfig
    tokenizer: Tokenizer
    weights: Weights
    backend: Backend
    dtype: type  # that everything is computed in; weights may be kept in fewer bits
    folder: Path
    utterance_config: UtteranceConfig = field(default_factory=UtteranceConfig)  # which utterances it knows
    origin: Origin | None = None  # how to load it again

    def __repr__(self) -> str:
        shape = f"{self.config.encoder_layers} + {self.config.decoder_layers} layers of width {self.config.d_model}"
        return f"S2T({str(self.folder)!r}, {shape}, backend {self.backend.name!r}, {np.dtype(self.dtype).name})"

    def __reduce__(self):
        """Pickle by name: another process loads the weights itself. Raises ModelError if they are not a folder's."""
        return reduced(self)

    def __copy__(self) -> "S2T":
        """Return self: nothing in it changes."""
        return self

    def __deepcopy__(self, memo: dict) -> "S2T":
        """Return self: nothing in it changes."""
        return self

    @property
    def places(self) -> tuple[Path, ...]:
        """The folder, or fairseq's .pt, that the model was loaded from; several for an ensemble."""
        return (self.folder,)

    def features(self, audio, sampling_rate: int | None = None) -> np.ndarray:
        """Log-mel features of a recording, normalised: (T, M) float32, one row for every 10 ms.

        `audio`: a path, a binary file, "-" for stdin, or an array with its `sampling_rate`. Raises AudioError.
        """
        return self.features_of_samples(load_audio(audio, self.feature_config.sampling_rate, sampling_rate))

    def features_of_samples(self, samples: np.ndarray) -> np.ndarray:
        """The same for float samples (N,) already mono and at the model's rate.

        Raises AudioError for a recording that is too short, OptionError for anything but finite floats.
        """
        return features(arguments.samples(samples), self.feature_config, self.dtype, self.backend.fbank)

    def encode(self, features: np.ndarray, padded_length: int | None = None) -> np.ndarray:
        """Features (T, M) -> memory (S, D). `padded_length` reproduces the numbers of upstream's padded batches.

        Raises OptionError for another shape, numbers that are not finite, or a `padded_length` below T; AudioError for
        an utterance that is too long for the memory that is free.
        """
        bins = self.config.input_feat_per_channel * self.config.input_channels
        features = arguments.matrix(features, "features", bins, "frames", self.dtype)
        if padded_length is not None:
            padded_length = arguments.whole_number(padded_length, "padded_length", len(features))
        together.check_length(self.config, len(features))
        return self.backend.encode(self.backend.ops, self.weights.encoder, self.config, features, padded_length)

    def logits(self, memory: np.ndarray, tokens) -> np.ndarray:
        """Teacher-forced logits: memory (S, D) and token ids (U,), the start token first -> (U, V).

        Raises OptionError for another shape of either, a number that is not finite, or an id outside the vocabulary.
        """
        memory = self.checked_memory(memory)
        tokens = arguments.token_ids(tokens, "tokens", self.config.vocab_size)
        return decode_full(self.backend.ops, self.weights, self.config, tokens, memory)

    def checked_memory(self, memory) -> np.ndarray:
        """A memory (S, D) as the backends take it: in this model's dtype, row by row, finite. Raises OptionError."""
        return arguments.matrix(memory, "memory", self.config.d_model, "positions", self.dtype)

    def decoder(self, memory: np.ndarray) -> search.Decoder:
        """The port that search knows: how to start a cache over this memory (S, D), how to take a step.

        Raises OptionError for another shape, or numbers that are not finite.
        """
        memory = self.checked_memory(memory)
        start = partial(self.backend.start_cache, self.backend.ops, self.weights, self.config, memory)
        return search.Decoder(start, self.step)

    def step(self, tokens: np.ndarray, cache: search.Cache) -> search.NextToken:
        """Append tokens (K,) to a cache that `decoder` started: what comes next."""
        return self.backend.step(self.backend.ops, self.weights, self.config, tokens, cache)

    def step_together(self, asks: Sequence[search.Ask]) -> list[search.NextToken]:
        """One step of several utterances: an answer to each Ask, the same as `step` gives it."""
        return self.backend.step_together(self.backend.ops, self.weights, self.config, asks)

    def leading(self, memory: np.ndarray) -> tuple["S2T", np.ndarray]:
        """The model whose attention over a memory (S, D) tells where the words are, and its memory."""
        return self, memory

    def generate(
        self, features: np.ndarray, *, prefix=(), lang: str | None = None, padded_length: int | None = None, **options
    ) -> list[search.Hypothesis]:
        """The most probable token sequences for features (T, M), best first.

        Features carry no sound for the detector, so it is not asked: noise may come out as words. `transcribe` asks it.
        `options` are the fields of GenerationConfig and override the checkpoint's own; `prefix` are token ids that
        every hypothesis begins with, after the start token; `lang`, such as "fr", is the language that a multilingual
        model is to write: its piece comes first. Raises OptionError.
        """
        begun = self.begin(features, prefix=prefix, lang=lang, padded_length=padded_length, **options)
        return search.run(begun, self.step)

    def begin(self, features: np.ndarray, *, padded_length: int | None = None, **options) -> search.Search:
        """The same, not yet run: a generator of Asks, for `search.run`, or to run together with others."""
        return (yield from self.begin_from(self.encode(features, padded_length), **options))

    def generate_batch(
        self, features: Iterable[np.ndarray], *, batch: int | None = None, **options
    ) -> Iterator[list[search.Hypothesis] | S2TError]:
        """The result of `generate` for each of many features (T, M), in their order, each as soon as it is there.

        `batch` utterances are decoded together (default: `batch_size`), with the results of one at a time. An error in
        one of them takes the place of its result. `options` as in `generate`. Raises OptionError.
        """
        sharing, expected = self.sharing(batch, **options), length_hint(features)
        return together.attempts((self.begin(x, **options) for x in features), self.step_together, sharing, expected)

    def batch_size(self, batch: int | None = None, **options) -> int:
        """The number of utterances decoded together: `batch`, or what suits the model's shape. Raises OptionError."""
        rest = {name: value for name, value in options.items() if name not in ("prefix", "lang", "hooks")}
        config = self.generation_config.replace(**rest)
        width = together.width_of(self.config, config, self.backend.weight_bytes)
        asked = 1 if batch is None else arguments.whole_number(batch, "batch", 1)
        together.check_memory(self.config, config, asked)
        return width if batch is None else batch

    def sharing(self, batch: int | None = None, workers: int | None = None, **options) -> together.Sharing:
        """Return how many utterances are decoded together, and how many Python threads each decode as many.

        With `batch`, all threads together decode that many; without `workers`, their number is that of the processors,
        at most four. Functions of the caller (`hooks`) are called in the caller's thread only. Raises OptionError.
        """
        width = self.batch_size(batch, **options)
        if options.get("hooks", search.NO_HOOKS) != search.NO_HOOKS:
            return together.Sharing(width)
        if workers is None:
            workers = together.workers_of(get_threads(), batch)
        most = arguments.whole_number(workers, "workers", 1)
        return together.Sharing(width, most) if batch is None else together.dealt(batch, most)

    def generate_from(
        self, memory: np.ndarray, *, prefix=(), lang: str | None = None, **options
    ) -> list[search.Hypothesis]:
        """The same for a memory (S, D). Raises OptionError."""
        return search.run(self.begin_from(memory, prefix=prefix, lang=lang, **options), self.step)

    def begin_from(
        self,
        memory: np.ndarray,
        *,
        prefix=(),
        lang: str | None = None,
        hooks: search.Hooks = search.NO_HOOKS,
        **options,
    ) -> search.Search:
        """The same, not yet run: a generator of Asks, for `search.run` or to run together with others.

        `hooks` are functions that take part in the search. Raises OptionError at once.
        """
        prefix, options = self.with_language(prefix, lang, options)
        if (words := options.get("hotwords")) is not None and not isinstance(words, Hotwords):
            options = options | {"hotwords": hotwords(words, self.tokenizer)}
        config = self.generation_config.replace(**options)
        together.check_memory(self.config, config)
        if config.decoder_start_token_id >= self.config.vocab_size:
            raise OptionError(
                f"decoder_start_token_id is {config.decoder_start_token_id}, expected an id below "
                f"{self.config.vocab_size}"
            )
        if config.stop_strings and hooks.pieces is None and self.tokenizer is not None:
            hooks = hooks._replace(pieces=self.tokenizer.added_texts())
        return search.begin(self.decoder(memory).start, config, prefix, hooks)

    def with_language(self, prefix, lang: str | None, options: dict) -> tuple[list[int], dict]:
        """The prefix and the options that make a text begin in the language `lang`; None leaves them as they are.

        Raises OptionError for a language that the model does not write, or another token that is forced to be first.
        """
        prefix = search.check_prefix(prefix)
        if lang is None:
            return prefix, options
        piece = self.tokenizer.language_id(lang)
        if options.get("forced_bos_token_id") not in (None, piece):
            raise OptionError(f"lang {lang!r} and forced_bos_token_id both set the first token; give one")
        if prefix:
            return ([] if prefix[0] == piece else [piece]) + prefix, options
        return prefix, options | {"forced_bos_token_id": piece}

    def warn_of_open_language(self, generation: dict) -> None:
        """Give an InputWarning if a model of several languages is asked for a text and not told in which."""
        told = self.generation_config.forced_bos_token_id, *map(generation.get, ("lang", "forced_bos_token_id"))
        if self.tokenizer.languages and told == (None, None, None) and not len(generation.get("prefix", ())):
            warnings.warn(self.tokenizer.any_language, InputWarning, stacklevel=3)

    def transcribe(self, audio, sampling_rate: int | None = None, options: Options = None, **generation) -> Transcript:
        """From sound to text. `audio` as in `features`, `generation` as in `generate`. Raises AudioError, OptionError.

        Without `lang` a model of several languages picks one by itself, and an InputWarning says so.

        A recording no longer than the utterances that the model knows (`max_whole_duration`) is one utterance; its text
        is empty if the detector finds no speech in it, unless `options` switch that off (`vad_filter`). A longer one is
        read block by block and cut into segments, as `stream` does; its transcript is their best texts, one after the
        other; it has `segments`, no `hypotheses`. Segments are decoded together, `batch` at a time; `selection` says
        which channel and which stretch of the recording is heard: both as in `transcribe_batch`.
        """
        (transcript,) = self.transcribe_batch([audio], sampling_rate, options, **generation)
        if isinstance(transcript, S2TError):
            raise transcript
        return transcript

    def transcribe_batch(
        self,
        sounds: Iterable,
        sampling_rate: int | None = None,
        options: Options = None,
        *,
        batch: int | None = None,
        selection: Selection = EVERYTHING,
        **generation,
    ) -> Iterator[Transcript | S2TError]:
        """The transcript of each of many recordings, in their order, each as soon as it is there.

        `batch` utterances, of one recording or of several, are decoded together, with the results of one at a time. A
        recording that cannot be heard has its error (AudioError) in the place of its transcript. Of each, `selection`
        is heard; the times of segments are those of the whole recording. Raises OptionError.
        """
        options = arguments.instance(options, "options", StreamOptions).resolve(self.utterance_config)
        sharing = self.sharing(batch, **generation)
        self.warn_of_open_language(generation)
        rate = self.feature_config.sampling_rate
        opened = (partial(open_recording, x, rate, sampling_rate, options, self.backend.vad, selection) for x in sounds)
        hearings = (Hearing(self, open, options, generation) for open in opened)
        return transcripts(self, hearings, sharing, length_hint(sounds))

    def stream(
        self,
        audio,
        sampling_rate: int | None = None,
        options: Options = None,
        *,
        batch: int | None = None,
        selection: Selection = EVERYTHING,
        **generation,
    ) -> Iterator[Segment]:
        """A recording of any length, even one that has no end yet: its segments, each as soon as it is done.

        `audio`: a path, a binary file, "-" for stdin, an array, or an iterator of arrays, the last two with their
        `sampling_rate`. `generation` as in `generate`. Raises OptionError at once; AudioError, after the segments
        before it, where a recording is damaged or cut short. `batch` segments are decoded together (default:
        `batch_size`), those of a live recording one by one. `selection` says which channel and which stretch is heard;
        with its channel "each", the segments of all channels come in the order of time.
        """
        options = arguments.instance(options, "options", StreamOptions)
        sharing = self.sharing(batch, **generation)
        self.warn_of_open_language(generation)
        return stream(self, audio, sampling_rate, options, sharing, selection, **generation)

    def stream_partials(
        self,
        audio,
        on_partial: OnPartial,
        sampling_rate: int | None = None,
        options: Options = None,
        **generation,
    ) -> Iterator[Segment]:
        """As `stream` of live sound; meanwhile `on_partial(partial)` is called with the words so far.

        A `longform.partial.Partial` has the stable words of the open segment and those that may still change; it comes
        about every `partial_interval` seconds of speech. The segments are those of `stream`. Raises as `stream`.
        """
        options = arguments.instance(options, "options", StreamOptions)
        self.warn_of_open_language(generation)
        return stream_partials(self, audio, on_partial, sampling_rate, options, **generation)

    def score(self, audio, text: str, sampling_rate: int | None = None, lang: str | None = None) -> Score:
        """The log-probability of a given transcript, in the language `lang` of a model that writes several.

        Raises AudioError; OptionError for a text that is too long, or a language that is not the model's.
        """
        labels = np.array(self.tokenizer.encode(text, lang), dtype=np.int64)
        if len(labels) > LONGEST_TEXT:
            raise OptionError(f"the text has {len(labels)} tokens, expected at most {LONGEST_TEXT}; score it in parts")
        memory = self.encode(self.features(audio, sampling_rate))
        inputs = np.concatenate([[self.config.decoder_start_token_id], labels[:-1]])
        log_probs = log_softmax(self.logits(memory, inputs))[np.arange(len(labels)), labels].astype(np.float64)
        return Score(labels, log_probs, float(log_probs.sum()), float(-log_probs.mean()))
