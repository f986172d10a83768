"""srt (SubRip) and vtt (WebVTT): segments laid out in cues of a few lines that can be read at a glance.

A cue holds at most `max_line_count` lines of at most `max_line_width` characters. A segment that needs more becomes
several cues, divided at its words' times where they are known and otherwise in proportion to the characters. The two
formats differ in their header, the numbers before cues, the decimal mark, and in whether hours may be missing.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from ..errors import OptionError
from ..longform.segment import Segment

Lines = list[list["TimedWord"]]


@dataclass(frozen=True)
class Layout:
    """How much text a cue may hold; 0 sets no limit."""

    max_line_width: int = 42
    max_line_count: int = 2

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < 0:
                raise OptionError(f"{name} is {value}, expected 0 or more")


class TimedWord(NamedTuple):
    """A word and its time, known or estimated."""

    text: str
    start: float
    end: float


class Cue(NamedTuple):
    """What is on the screen from one time to another."""

    start: float
    end: float
    lines: list[str]


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)


def timestamp(seconds: float, mark: str, hours: bool) -> str:
    """HH:MM:SS and milliseconds after the mark; the hours may go where they are zero and `hours` is False."""
    rest, ms = divmod(milliseconds(seconds), 1000)
    rest, s = divmod(rest, 60)
    h, m = divmod(rest, 60)
    return (f"{h:02}:" if hours or h else "") + f"{m:02}:{s:02}{mark}{ms:03}"


def timed_words(segment: Segment) -> list[TimedWord]:
    """The words of a segment with their times; a word not timed gets its characters' share of the segment."""
    if segment.words:
        return [TimedWord(word.text.strip(), word.start, word.end) for word in segment.words]
    words, at = segment.text.split(), 0
    pace = (segment.end - segment.start) / max(1, sum(len(word) + 1 for word in words))
    found = []
    for word in words:
        found.append(TimedWord(word, segment.start + at * pace, segment.start + (at + len(word) + 1) * pace))
        at += len(word) + 1
    return found


def wrap(words: list[TimedWord], width: int) -> Lines:
    """Words in lines of at most `width` characters, each as full as can be; a longer word has a line of its own."""
    lines: Lines = []
    room = -1
    for word in words:
        room -= 1 + len(word.text)
        if room < 0 or not lines:
            lines.append([])
            room = width - len(word.text)
        lines[-1].append(word)
    return lines


def balanced(words: list[TimedWord], layout: Layout) -> Iterator[Lines]:
    """The lines of each cue: no more than the width makes necessary, and of those the narrowest."""
    width = layout.max_line_width or sum(len(word.text) + 1 for word in words)
    height = layout.max_line_count or max(1, len(words))
    fewest = len(wrap(words, width))
    lines = wrap(words, bisect_left(range(width), -fewest, key=lambda narrower: -len(wrap(words, narrower))))
    return (lines[i : i + height] for i in range(0, len(lines), height))


def cues(segments: Iterable[Segment], layout: Layout) -> Iterator[Cue]:
    """The cues of each segment, as segments come; one without text has none."""
    for segment in segments:
        for lines in balanced(timed_words(segment), layout):
            texts = [" ".join(word.text for word in line).replace("-->", "->") for line in lines]
            yield Cue(lines[0][0].start, lines[-1][-1].end, texts)


def cue_text(cue: Cue, mark: str, hours: bool) -> str:
    """The times, the lines, and the empty line that ends a cue."""
    times = f"{timestamp(cue.start, mark, hours)} --> {timestamp(cue.end, mark, hours)}"
    return "\n".join([times, *cue.lines, "", ""])


def srt(segments: Iterable[Segment], layout: Layout) -> Iterator[str]:
    """SubRip: cues are numbered from 1 on."""
    for number, cue in zip(count(1), cues(segments, layout), strict=False):
        yield f"{number}\n{cue_text(cue, ',', hours=True)}"


def vtt(segments: Iterable[Segment], layout: Layout) -> Iterator[str]:
    """WebVTT: a header, and no numbers."""
    yield "WEBVTT\n\n"
    for cue in cues(segments, layout):
        yield cue_text(cue, ".", hours=False)
