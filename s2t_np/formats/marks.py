"""Marks in a transcript for what is missing: the end of a recording that breaks off, the end of a text cut off.

Every format shows both, so that a reader of the file alone learns of it. json has fields for them; here is what the
others write.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..longform.segment import Recording, Segment

CUT_OFF = " [...]"  # after a text that reached the maximum length (--max-length) before its end


class Incomplete(NamedTuple):
    """The last item of the segments of an incomplete recording."""

    at: float  # seconds: where the sound that could be read ends
    reason: str  # one line

    @property
    def text(self) -> str:
        """The mark itself."""
        return f"[incomplete: {' '.join(self.reason.split())}]"


Item = Segment | Incomplete


def items(recording: Recording) -> Iterator[Item]:
    """The segments of a recording, and after them the mark that it is incomplete, if it is."""
    yield from recording.segments
    if recording.incomplete:
        yield Incomplete(recording.begin + recording.duration, recording.incomplete)


def plain(text: str) -> str:
    """Text on one line, its words separated by single spaces."""
    return " ".join(text.split())


def best_text(segment: Segment) -> str:
    """The best text of a segment on one line, with its channel, and a mark where it was cut off; "" if it is empty."""
    words = best_words(segment)
    return channel_label(segment) + " ".join(words) if words else ""


def best_words(segment: Segment) -> list[str]:
    """The words of the best text, and the mark where it was cut off; none where there is no text."""
    words = segment.text.split()
    return words + [CUT_OFF.strip()] * bool(words and is_cut_off(segment))


def channel_label(segment: Segment) -> str:
    """The words before the text of a segment that was heard in one channel: "[channel 2] "."""
    return "" if segment.channel is None else f"[channel {segment.channel}] "


def is_cut_off(segment: Segment) -> bool:
    """Return whether the best text reached the maximum length before the model had ended it."""
    return "unfinished" in segment.flags
