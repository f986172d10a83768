"""srt (SubRip) and vtt (WebVTT): segments laid out in cues of a few lines that can be read at a glance.

A cue holds at most `max_line_count` lines of at most `max_line_width` characters. A segment that needs more becomes
several cues, divided at the times of its words where they are known, otherwise in proportion to the characters. Where
they are known, a cue also ends at a long pause. Cues follow each other in time and do not overlap. The two formats
differ in the header, the numbers before cues, the decimal mark, and in whether the hours may be left out.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import NamedTuple

from ..errors import OptionError
from ..longform.segment import Segment
from .marks import CUT_OFF, Incomplete, Item, best_words, channel_label, is_cut_off

Lines = list[list["TimedWord"]]
SHORTEST_CUE = 0.1  # seconds; words may be timed at no duration at all, and players drop such cues
LONGEST_PAUSE = 3.0  # seconds between two words of one cue
MARK_SHOWN = 3.0  # seconds for which subtitles show that a recording is incomplete


@dataclass(frozen=True)
class Layout:
    """The limits on the text of a cue; 0 means no limit."""

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
    """Lines of text that are on the screen from `start` to `end`, in seconds."""

    start: float
    end: float
    lines: list[str]
    channel: int | None = None  # that was heard, if it was one


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds, rounded as in json, so that all files of a recording agree."""
    return round(1000 * round(float(seconds), 3))


def timestamp(seconds: float, mark: str, hours: bool) -> str:
    """HH:MM:SS, the decimal mark, milliseconds; without `hours`, the hours are left out while they are zero."""
    rest, ms = divmod(milliseconds(seconds), 1000)
    rest, s = divmod(rest, 60)
    h, m = divmod(rest, 60)
    return (f"{h:02}:" if hours or h else "") + f"{m:02}:{s:02}{mark}{ms:03}"


def timed_words(segment: Segment) -> list[TimedWord]:
    """The words of a segment with their times; where these are unknown, each gets its characters' share of the time."""
    if segment.words:
        known = [TimedWord(word.text.strip(), word.start, word.end) for word in segment.words]
        return known + [TimedWord(CUT_OFF.strip(), segment.end, segment.end)] * is_cut_off(segment)
    words, at = best_words(segment), 0
    pace = (segment.end - segment.start) / max(1, sum(len(word) + 1 for word in words))
    found = []
    for word in words:
        found.append(TimedWord(word, segment.start + at * pace, segment.start + (at + len(word) + 1) * pace))
        at += len(word) + 1
    return found


def labelled_words(segment: Segment) -> list[TimedWord]:
    """The same, and before them the channel, if the segment was heard in one."""
    words, label = timed_words(segment), channel_label(segment).strip()
    return [TimedWord(label, words[0].start, words[0].start), *words] if words and label else words


def phrases(words: list[TimedWord]) -> Iterator[list[TimedWord]]:
    """The words, divided at long pauses."""
    pauses = [i for i, (a, b) in enumerate(pairwise(words), 1) if b.start - a.end > LONGEST_PAUSE]
    return (words[begin:end] for begin, end in pairwise([0, *pauses, len(words)]))


def wrap(words: list[TimedWord], width: int) -> Lines:
    """Words in lines of at most `width` characters, each as full as it can be; a longer word has its own line."""
    lines: Lines = []
    left = -1  # characters that still fit the line
    for word in words:
        left -= 1 + len(word.text)
        if left < 0 or not lines:
            lines.append([])
            left = width - len(word.text)
        lines[-1].append(word)
    return lines


def balanced(words: list[TimedWord], layout: Layout) -> Iterator[Lines]:
    """The lines of each cue: as few lines as the width allows, and those as narrow as they can be."""
    width = layout.max_line_width or sum(len(word.text) + 1 for word in words)
    height = layout.max_line_count or max(1, len(words))
    fewest = len(wrap(words, width))
    lines = wrap(words, bisect_left(range(width), -fewest, key=lambda narrower: -len(wrap(words, narrower))))
    return (lines[i : i + height] for i in range(0, len(lines), height))


def cues(segments: Iterable[Item], layout: Layout, words: Callable = labelled_words) -> Iterator[Cue]:
    """The cues of each segment, as segments arrive, in order; a segment without text has no cue.

    `words`: a segment -> its TimedWords. Cues of one channel do not overlap; people on two channels may speak at once.
    """
    ends: dict[int | None, float] = {}  # the last cue of each channel
    for item in segments:
        channel = None if isinstance(item, Incomplete) else item.channel
        for cue in cues_of(item, layout, words):
            start = max(ends.get(channel, 0.0), cue.start)
            ends[channel] = end = max(cue.end, start + SHORTEST_CUE)
            lines = [line.replace("-->", "->") for line in cue.lines]  # "-->" belongs to the times
            yield Cue(start, end, lines, channel)


def cues_of(item: Item, layout: Layout, words: Callable) -> Iterator[Cue]:
    """The cues of one segment, or of the mark that ends an incomplete recording."""
    if isinstance(item, Incomplete):
        yield Cue(item.at, item.at + MARK_SHOWN, [item.text])
        return
    for phrase in phrases(words(item)):
        for lines in balanced(phrase, layout):
            texts = [" ".join(word.text for word in line) for line in lines]
            yield Cue(lines[0][0].start, lines[-1][-1].end, texts)


def cue_text(cue: Cue, mark: str, hours: bool) -> str:
    """A cue as text: its times, its lines, and the empty line that ends it."""
    times = f"{timestamp(cue.start, mark, hours)} --> {timestamp(cue.end, mark, hours)}"
    return "\n".join([times, *cue.lines, "", ""])


def srt(segments: Iterable[Item], layout: Layout) -> Iterator[str]:
    """SubRip: cues are numbered from 1. It has no comments, so a last cue says that a recording is incomplete."""
    for number, cue in zip(count(1), cues(segments, layout), strict=False):
        yield f"{number}\n{cue_text(cue, ',', hours=True)}"


def vtt(segments: Iterable[Item], layout: Layout) -> Iterator[str]:
    """WebVTT: a header, and no numbers. A note, which players ignore, says that a recording is incomplete."""
    marks: list[Incomplete] = []
    yield "WEBVTT\n\n"
    for cue in cues(without_marks(segments, marks), layout, timed_words):
        yield cue_text(voiced(cue), ".", hours=False)
    for mark in marks:
        yield f"NOTE {mark.text.replace('-->', '->')}\n\n"


def voiced(cue: Cue) -> Cue:
    """The cue with its channel as WebVTT's voice, which players show in their own way: <v channel 2>."""
    if cue.channel is None:
        return cue
    return cue._replace(lines=[f"<v channel {cue.channel}>{cue.lines[0]}", *cue.lines[1:]])


def without_marks(segments: Iterable[Item], marks: list[Incomplete]) -> Iterator[Segment]:
    """The segments alone; marks are added to the list as they pass."""
    for item in segments:
        if isinstance(item, Incomplete):
            marks.append(item)
        else:
            yield item
