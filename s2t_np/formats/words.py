"""Formats whose unit is the word: CTM, for scoring and alignment tools, and csv, for tables.

CTM is NIST's (sclite's "ctm input format"): waveform, channel, begin and duration in seconds, word, confidence; lines
that begin with ";;" are comments. csv is quoted as RFC 4180 has it.
"""

import csv as tables
import io
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import NamedTuple

from ..longform.segment import Recording, Segment
from .marks import CUT_OFF, Incomplete, Item, is_cut_off, items
from .subtitles import Layout, timed_words

MONO = 1  # the channel of mixed or mono sound
COLUMNS = ("segment", "channel", "start", "end", "word", "probability")


class SpokenWord(NamedTuple):
    """A word, its time, and how probable it is if that is known."""

    text: str
    start: float
    end: float
    probability: float | None


def spoken_words(segment: Segment) -> list[SpokenWord]:
    """The words of a segment; without word times each gets its characters' share of the time."""
    words = timed_words(segment)
    if words and is_cut_off(segment):
        words.pop()  # the mark
    probabilities = [word.probability for word in segment.words or ()] or [None] * len(words)
    return [SpokenWord(*word, probability) for word, probability in zip(words, probabilities, strict=True)]


def ctm(recording: Recording) -> str:
    """Every word on a line, sorted by channel and time; comments say what is missing."""
    name = "_".join(PurePath(recording.path).stem.split()) or "recording"
    lines = []
    for segment in sorted(recording.segments, key=lambda segment: segment.channel or MONO):
        lines += [ctm_line(name, segment.channel or MONO, word) for word in spoken_words(segment)]
        if is_cut_off(segment):
            lines.append(f";; the text of {segment.start:.2f} to {segment.end:.2f} s was cut off")
    lines += [f";; {item.text}" for item in items(recording) if isinstance(item, Incomplete)]
    return "".join(f"{line}\n" for line in lines)


def ctm_line(name: str, channel: int, word: SpokenWord) -> str:
    """One word."""
    confidence = "" if word.probability is None else f" {word.probability:.4f}"
    return f"{name} {channel} {word.start:.3f} {max(0.0, word.end - word.start):.3f} {word.text}{confidence}"


def csv(segments: Iterable[Item], layout: Layout) -> Iterator[str]:
    """A header, then a row for each word, its times in seconds; a mark has a row without a probability."""
    yield row(COLUMNS)
    for item in segments:
        if isinstance(item, Incomplete):
            yield row(("", "", f"{item.at:.3f}", f"{item.at:.3f}", item.text, ""))
            continue
        place = item.id, item.channel
        for word in spoken_words(item):
            probability = "" if word.probability is None else f"{word.probability:.4f}"
            yield row((*place, f"{word.start:.3f}", f"{word.end:.3f}", word.text, probability))
        if is_cut_off(item):
            yield row((*place, f"{item.end:.3f}", f"{item.end:.3f}", CUT_OFF.strip(), ""))


def row(cells: Iterable) -> str:
    """A line of a table."""
    line = io.StringIO()
    tables.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
