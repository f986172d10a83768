"""Formats of programs in which people look at sound: TextGrid for Praat, labels for Audacity.

A TextGrid (Praat's manual, "TextGrid file formats", the long text form) has tiers whose intervals fill all of the time
without gaps: what is between two words is an interval without text. Audacity's label tracks (its manual, "Importing and
Exporting Labels") are lines of start, end and label, separated by tabs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..longform.segment import Recording, Segment
from .marks import Incomplete, Item, best_text, items
from .subtitles import Layout
from .words import spoken_words

SHORTEST = 0.001  # seconds of an interval; Praat refuses one without duration


class Interval(NamedTuple):
    """A stretch of time and its text."""

    start: float
    end: float
    text: str


def audacity(segments: Iterable[Item], layout: Layout) -> Iterator[str]:
    """A label for each segment; one without duration for the mark that ends an incomplete recording."""
    for item in segments:
        start, end, text = (item.at, item.at, item.text) if isinstance(item, Incomplete) else as_interval(item)
        if text:
            yield f"{start:.6f}\t{end:.6f}\t{text}\n"


def as_interval(segment: Segment) -> Interval:
    """A segment as an interval."""
    return Interval(segment.start, segment.end, best_text(segment))


def textgrid(recording: Recording) -> str:
    """For each channel a tier of segments and one of words; a last one has the mark of an incomplete recording."""
    tiers: dict[str, list[Interval]] = {}
    for channel in sorted({segment.channel for segment in recording.segments}, key=lambda c: c or 0) or [None]:
        own = [segment for segment in recording.segments if segment.channel == channel]
        label = "" if channel is None else f"channel {channel} "
        tiers[f"{label}segments"] = [as_interval(segment) for segment in own]
        tiers[f"{label}words"] = [Interval(word.start, word.end, word.text) for s in own for word in spoken_words(s)]
    ends = (interval.end for tier in tiers.values() for interval in tier)
    end = max([SHORTEST, recording.begin + recording.duration, *ends])
    if marks := [item for item in items(recording) if isinstance(item, Incomplete)]:
        tiers["notes"] = [Interval(0.0, end, mark.text) for mark in marks]
    return grid(tiers, end)


def grid(tiers: Mapping[str, Sequence[Interval]], end: float) -> str:
    """Tiers as a TextGrid from 0 to `end`."""
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.6f}"]
    lines = [*head, "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        lines += tier_lines(number, name, filled(intervals, end), end)
    return "\n".join([*lines, ""])


def filled(intervals: Iterable[Interval], end: float) -> list[Interval]:
    """The same intervals in order, none overlapping another, with empty ones between them, from 0 to `end`."""
    found, at = [], 0.0
    for start, stop, text in intervals:
        start = max(at, start)
        stop = min(end, max(stop, start + SHORTEST))
        if stop - start < SHORTEST / 2 or not text:
            continue
        if start - at >= SHORTEST / 2:
            found.append(Interval(at, start, ""))
        else:
            start = at
        found.append(Interval(start, stop, text))
        at = stop
    if end - at >= SHORTEST / 2 or not found:
        return [*found, Interval(at, end, "")]
    return [*found[:-1], found[-1]._replace(end=end)]


def tier_lines(number: int, name: str, intervals: Sequence[Interval], end: float) -> list[str]:
    """One tier, in Praat's long form; a quotation mark in a text is doubled."""
    head = [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"', "        xmin = 0"]
    lines = [*head, f"        xmax = {end:.6f}", f"        intervals: size = {len(intervals)}"]
    for i, (start, stop, text) in enumerate(intervals, 1):
        quoted = text.replace('"', '""')
        times = [f"            xmin = {start:.6f}", f"            xmax = {stop:.6f}"]
        lines += [f"        intervals [{i}]:", *times, f'            text = "{quoted}"']
    return lines
