"""The progress bar of a batch: how much is done, how fast against real time, and when it will end.

    [######..............] 12/40 inputs, 31 %, 8.3 x real time, 1:20 left: talk.flac

Drawn on a terminal only. How much there is to do comes from the files' own headers, which may be wrong: it is a guess
that decides nothing else.
"""

import threading
import time
from collections.abc import Sequence

from ..batch.inputs import STDIN, Input
from ..longform.segment import Segment
from .terminal import draw, on_terminal

BAR_WIDTH = 20
PERIOD = 0.1  # s between two drawings


def claimed_duration(path: str) -> float:
    """Seconds of sound that a file says it has; 0 where that cannot be told without reading it."""
    import soundfile

    try:
        return 0.0 if path == STDIN else soundfile.info(path).duration
    except (OSError, soundfile.SoundFileError):
        return 0.0


def clock(seconds: float) -> str:
    """H:MM:SS, without the hours where there are none."""
    minutes, s = divmod(max(0, round(seconds)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


class Progress:
    """Is told what has been heard and what is done, by any thread, and draws the bar."""

    def __init__(self, inputs: Sequence[Input]):
        """`inputs` are those still to do."""
        self.shown = on_terminal()
        self.length = [claimed_duration(item.path) if self.shown else 0.0 for item in inputs]
        self.at = [0.0] * len(inputs)  # seconds heard of each
        self.total, self.sum_heard, self.done = sum(self.length), 0.0, 0
        self.index = {item: index for index, item in enumerate(inputs)}
        self.label = inputs[0].path if inputs else ""
        self.begin, self.drawn, self.lock = time.monotonic(), 0.0, threading.Lock()

    def advance(self, index: int, item: Input, seconds: float) -> None:
        """So much of an input has been heard; it is longer than it claimed where that is more."""
        with self.lock:
            self.sum_heard += seconds - self.at[index]
            self.total += max(0.0, seconds - self.length[index])
            self.length[index] = max(self.length[index], seconds)
            self.at[index], self.label = seconds, item.path

    def heard(self, item: Input, segment: Segment) -> None:
        """A segment of an input has closed."""
        self.advance(self.index[item], item, segment.end)
        self.draw()

    def finished(self, index: int, item: Input, duration: float | None) -> None:
        """An input is done; None for one that failed."""
        self.advance(index, item, self.length[index] if duration is None else duration)
        self.done += 1
        self.draw(force=True)

    def line(self, elapsed: float) -> str:
        """What the bar says after so many seconds."""
        heard = self.sum_heard
        part = min(1.0, heard / self.total) if self.total else self.done / len(self.at)
        filled = int(BAR_WIDTH * part)
        speed = f", {heard / elapsed:.1f} x real time" if heard and elapsed else ""
        left = f", {clock(elapsed * (1 / part - 1))} left" if 0 < part < 1 else ""
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        return f"[{bar}] {self.done}/{len(self.at)} inputs, {100 * part:.0f} %{speed}{left}: {self.label}"

    def draw(self, force: bool = False) -> None:
        """Draw it, unless it was drawn just now."""
        now = time.monotonic()
        if self.shown and (force or now - self.drawn > PERIOD):
            self.drawn = now
            draw(self.line(now - self.begin))
