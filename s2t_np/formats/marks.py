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
        yield Incomplete(recording.duration, recording.incomplete)


def plain(text: str) -> str:
    """Text on one line, its words separated by single spaces."""
    return " ".join(text.split())


def best_text(segment: Segment) -> str:
    """The best text of a segment on one line, with a mark where it was cut off; "" where there is none."""
    text = plain(segment.text)
    return text + CUT_OFF if text and is_cut_off(segment) else text


def is_cut_off(segment: Segment) -> bool:
    """Return whether the best text reached the maximum length before the model had ended it."""
    return "unfinished" in segment.flags
