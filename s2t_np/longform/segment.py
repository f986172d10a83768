"""What a transcript of a long recording is made of: segments with their times, and words in them.

The values that `stream` yields, the formats write and the evaluation counts. A field that this model cannot know (a
language it did not detect, a probability of silence it does not compute) does not exist. Times are seconds from the
start of the recording.
"""

from dataclasses import dataclass

from ..search import Hypothesis


@dataclass(frozen=True)
class Word:
    """One word and when it was said."""

    text: str
    start: float
    end: float
    probability: float  # of its tokens, the geometric mean: 0 .. 1


@dataclass(frozen=True)
class Segment:
    """A stretch of speech between two pauses, and what was said in it."""

    id: int  # from 0 on
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]  # generated ones, EOS left out
    avg_logprob: float  # natural, per generated token, EOS counted
    compression_ratio: float  # bytes of the text over bytes of it compressed (zlib): above 2.4 it repeats itself
    words: tuple[Word, ...] | None = None  # when asked for
    flags: tuple[str, ...] = ()  # why this text should be doubted: "repetition", "low_logprob", ...
    hypotheses: tuple[Hypothesis, ...] = ()  # best first, as many as asked for
    texts: tuple[str, ...] = ()  # theirs


@dataclass(frozen=True)
class Recording:
    """All that was heard in one recording."""

    path: str  # as it was given; "-" is standard input
    segments: tuple[Segment, ...]
    duration: float
    incomplete: str | None = None  # why some of it is missing, on one line: it breaks off, or is damaged

    @property
    def text(self) -> str:
        """Of all segments, on one line."""
        return " ".join(" ".join(segment.text for segment in self.segments).split())
