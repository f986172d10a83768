"""The parts of a transcript: segments with their times, and the words in them.

`stream` yields these values, the formats write them and the evaluation counts them. Fields that this model cannot fill
(a detected language, a probability of silence) do not exist. Times are seconds from the start of the recording.
"""

from dataclasses import dataclass

from ..search import Hypothesis


@dataclass(frozen=True)
class Word:
    """A word and the time at which it was said."""

    text: str
    start: float
    end: float
    probability: float  # geometric mean over its tokens: 0 .. 1


@dataclass(frozen=True)
class Segment:
    """A stretch of speech between two pauses, and its text."""

    id: int  # 0, 1, ... within a recording
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]  # the generated ones, without EOS
    avg_logprob: float  # natural, per generated token, EOS included
    compression_ratio: float  # bytes of the text over its bytes after zlib: above 2.4 it repeats itself
    words: tuple[Word, ...] | None = None  # None unless asked for
    flags: tuple[str, ...] = ()  # why this text is doubtful: "repetition", "low_logprob", ...
    hypotheses: tuple[Hypothesis, ...] = ()  # best first, as many as asked for
    texts: tuple[str, ...] = ()  # the texts of the hypotheses
    channel: int | None = None  # 1, 2, ... if one channel of the recording was heard; None if they were mixed


@dataclass(frozen=True)
class Recording:
    """The transcript of one recording."""

    path: str  # as given; "-" is standard input
    segments: tuple[Segment, ...]
    duration: float  # seconds that were heard
    incomplete: str | None = None  # why some of it is missing, on one line: it breaks off, or is damaged
    begin: float = 0.0  # seconds into the recording at which the part that was heard begins

    @property
    def text(self) -> str:
        """The text of all segments on one line."""
        return " ".join(" ".join(segment.text for segment in self.segments).split())
