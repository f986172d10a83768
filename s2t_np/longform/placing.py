"""Segments of a part of a recording, placed in the whole: times of a clip, and which channel was heard."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import merge

from ..audio.selection import MIX, Selection
from .segment import Segment


def placed(segments: Iterable[Segment], selection: Selection) -> Iterator[Segment]:
    """The segments of what was selected, timed within the whole recording, with their channel if it is one."""
    channel = None if selection.channel == MIX else selection.channel
    return segments if (selection.start, channel) == (0, None) else _placed(segments, selection.start, channel)


def _placed(segments: Iterable[Segment], offset: float, channel: int | None) -> Iterator[Segment]:
    for segment in segments:
        words = segment.words and tuple(replace(w, start=w.start + offset, end=w.end + offset) for w in segment.words)
        yield replace(segment, start=segment.start + offset, end=segment.end + offset, words=words, channel=channel)


def in_time(channels: Iterable[Iterable[Segment]]) -> Iterator[Segment]:
    """The segments of several channels by their beginnings, numbered anew."""
    together = merge(*channels, key=lambda segment: segment.start)
    return (replace(segment, id=number) for number, segment in enumerate(together))
