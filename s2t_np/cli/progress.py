"""The progress bar: how much is done, how fast against real time, and when it will end.

    [######..............] 12/40 inputs, 31 %, 8.3 x real time, 1:20 left: talk.flac

It is drawn on a terminal only. How much there is to do is read from the headers of the files, which may be wrong: it is
a guess, and used for nothing else.
"""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..audio import FFMPEG_SUFFIXES
from ..batch.inputs import STDIN, Input
from ..longform.segment import Segment
from .segments import warn_if_cut_off
from .terminal import bar_away, columns, draw, on_terminal

BAR_WIDTH = 20
PERIOD = 0.1  # s between two drawings


def claimed_duration(path: str) -> float:
    """Seconds of sound that a file claims to hold; 0 where that cannot be told without reading it."""
    if path == STDIN or Path(path).suffix.lower() in FFMPEG_SUFFIXES:
        return 0.0
    try:
        import soundfile

        return soundfile.info(path).duration
    except (ImportError, OSError, RuntimeError):  # RuntimeError: soundfile's own, for a file it cannot read
        return 0.0


def clock(seconds: float) -> str:
    """H:MM:SS, without the hours while they are zero."""
    minutes, s = divmod(max(0, round(seconds)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def shortened(line: str, name: str, width: int) -> str:
    """The line and after it the name, in `width` columns: a long name loses its beginning."""
    left = width - len(line)
    if len(name) <= left:
        return line + name
    return f"{line}...{name[len(name) - left + 3 :]}" if left > len("...") else line


def label_of(item: Input) -> str:
    """The name of an input without its folders."""
    return os.path.basename(item.path)


class Progress:
    """Draws the bar; any thread may report what has been heard and what is done."""

    def __init__(self, inputs: Sequence[Input], quiet: bool = False):
        """`inputs`: those still to do; `quiet`: something else has the bar's place."""
        self.shown = on_terminal() and not quiet
        self.length = [claimed_duration(item.path) if self.shown else 0.0 for item in inputs]
        self.at = [0.0] * len(inputs)  # seconds heard of each
        self.total, self.sum_heard, self.done = sum(self.length), 0.0, 0
        self.index = {item: index for index, item in enumerate(inputs)}
        self.label = label_of(inputs[0]) if inputs else ""
        self.begin, self.drawn, self.lock = time.monotonic(), 0.0, threading.Lock()

    def advance(self, index: int, item: Input, seconds: float) -> None:
        """An input has been heard up to `seconds`; where that is more than it claimed, it is longer than it claimed."""
        with self.lock:
            self.sum_heard += seconds - self.at[index]
            self.total += max(0.0, seconds - self.length[index])
            self.length[index] = max(self.length[index], seconds)
            self.at[index], self.label = seconds, label_of(item)

    def heard(self, item: Input, segment: Segment) -> None:
        """A segment of an input has closed."""
        self.advance(self.index[item], item, segment.end)
        warn_if_cut_off(item.path, segment)
        self.draw()

    def watch(self, item: Input, segments: Iterable[Segment]) -> Iterator[Segment]:
        """Pass the segments of one input on, and draw the bar where they are not printed on the same screen."""
        self.shown = self.shown and not sys.stdout.isatty()
        self.draw(force=True)
        try:
            for segment in segments:
                self.heard(item, segment)
                yield segment
                self.draw()
        finally:
            with bar_away():
                self.shown = False

    def finished(self, index: int, item: Input, duration: float | None) -> None:
        """An input is done; `duration` is None if it failed."""
        self.advance(index, item, self.length[index] if duration is None else duration)
        self.done += 1
        self.draw(force=True)

    def line(self, elapsed: float) -> str:
        """The bar as text, after `elapsed` seconds."""
        heard = self.sum_heard
        part = min(1.0, heard / self.total) if self.total else self.done / len(self.at)
        filled = int(BAR_WIDTH * part)
        speed = f", {heard / elapsed:.1f} x real time" if heard and elapsed else ""
        left = f", {clock(elapsed * (1 / part - 1))} left" if 0 < part < 1 else ""
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        figures = f"[{bar}] {self.done}/{len(self.at)} inputs, {100 * part:.0f} %{speed}{left}: "
        return shortened(figures, self.label, columns())

    def draw(self, force: bool = False) -> None:
        """Draw the bar, unless it was drawn a moment ago."""
        now = time.monotonic()
        if self.shown and (force or now - self.drawn > PERIOD):
            self.drawn = now
            draw(self.line(now - self.begin))
