"""Recordings to transcripts: each is one utterance if it is short enough, else its segments, put together."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import AudioError, S2TError
from ..search import Asking, Hypothesis
from ..together import Sharing, by_group
from .options import StreamOptions
from .placing import placed
from .quality import average_log_prob, is_dropped, quality_flags
from .recording import OpenRecording
from .segment import Segment
from .stream import segments_of, utterances_of


@dataclass(frozen=True)
class Transcript:
    """The result of transcribing one recording."""

    text: str  # the best hypothesis
    hypotheses: list[Hypothesis]  # best first, as many as `num_return_sequences`
    texts: list[str]  # their texts, in the same order
    duration: float  # seconds of audio
    source: str | None = None  # the file, if it was one
    segments: tuple[Segment, ...] = ()  # if the recording was too long to be one utterance; then no hypotheses
    flags: tuple[str, ...] = ()  # why the text is doubtful: "low_logprob", "repetition", "unfinished", "cut"

    @classmethod
    def of_segments(cls, segments: tuple[Segment, ...], recording: OpenRecording) -> "Transcript":
        """The transcript of a recording that was heard in segments."""
        text, flags = " ".join(segment.text for segment in segments), (f for s in segments for f in s.flags)
        return cls(text, [], [text], recording.duration, recording.source, segments, tuple(dict.fromkeys(flags)))

    @classmethod
    def of_silence(cls, recording: OpenRecording) -> "Transcript":
        """The transcript of a recording without speech, or whose text was dropped: it has no hypotheses."""
        return cls("", [], [""], recording.duration, recording.source)


class Hearing:
    """A recording on its way to a transcript: a group of utterances (together.Group), and what becomes of them."""

    def __init__(self, model, open: Callable[[], OpenRecording], options: StreamOptions, generation: dict):
        """`open` is called when the first utterance is asked for; `options` are resolved."""
        self.model, self.open, self.options, self.generation = model, open, options, generation

    def utterances(self) -> Iterator[Asking]:
        """The whole recording, or its pieces. Raises AudioError."""
        self.recording = self.open()
        if self.recording.whole is None:
            yield from utterances_of(self.model, iter(self.recording), True, self.options, self.generation)
        else:
            yield hear_whole(self.model, self.recording, self.options, self.generation)

    def transcript(self, results: Iterable) -> Transcript:
        """The transcript that the results of the utterances make. Raises what they raise."""
        heard = list(results)
        if self.recording.whole is None:
            segments = placed(segments_of(heard, self.model.tokenizer, self.options), self.recording.selection)
            return Transcript.of_segments(tuple(segments), self.recording)
        return heard[0]


def hear_whole(model, recording: OpenRecording, options: StreamOptions, generation: dict) -> Asking[Transcript]:
    """The transcript of a recording that is one utterance. Raises AudioError."""
    features = model.features_of_samples(recording.whole)
    if not recording.has_speech:
        return Transcript.of_silence(recording)
    return (yield from hear_features(model, features, recording, options, generation))


def hear_features(
    model, features: np.ndarray, recording: OpenRecording, options: StreamOptions, generation: dict
) -> Asking[Transcript]:
    """The transcript of one utterance, of its features (T, M), normalised. Raises OptionError."""
    memory = model.encode(features)
    hypotheses = yield from model.begin_from(memory, **generation)  # searches, a decoder step for each token
    if is_dropped(average_log_prob(hypotheses[0]), options):
        return Transcript.of_silence(recording)
    texts = model.tokenizer.batch_decode([hypothesis.tokens for hypothesis in hypotheses])
    flags = quality_flags(hypotheses[0], texts[0], options, model.tokenizer.granularity)
    return Transcript(texts[0], hypotheses, texts, recording.duration, recording.source, flags=flags)


def transcripts(model, hearings: Iterable[Hearing], sharing: Sharing, expected: int) -> Iterator[Transcript | S2TError]:
    """The transcript of every recording, in order, or the error in which it ended; about that many are `expected`."""
    for hearing, results in by_group(hearings, model.step_together, sharing, expected):
        try:
            yield hearing.transcript(results)
        except MemoryError:
            yield AudioError("not enough memory for this recording")
        except S2TError as error:
            yield error
