"""Which part of a recording is heard: one of its channels or all of them, a stretch of time, one of its streams."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from ..errors import AudioError, OptionError
from ..settings.fields import is_integer, is_real

MIX, EACH = "mix", "each"


@dataclass(frozen=True)
class Selection:
    """The part of a recording that is heard: by default all of it, its channels mixed. Raises OptionError."""

    channel: int | str = MIX  # "mix"; 1, 2, ... for one channel; "each" for a stream of segments of every channel
    start: float = 0.0  # seconds into the recording
    end: float | None = None  # seconds into the recording; None: its end
    stream: int | None = None  # 1, 2, ... among the audio streams of a file; None: the first

    def __post_init__(self):
        if self.channel not in (MIX, EACH) and not is_integer(self.channel, 1):
            raise OptionError(f'channel is {self.channel!r:.40}, expected "mix", "each", or a number from 1 on')
        if self.stream is not None and not is_integer(self.stream, 1):
            raise OptionError(f"audio stream is {self.stream!r:.40}, expected a number from 1 on")
        last = inf if self.end is None else self.end
        if not (is_real(self.start) and (self.end is None or is_real(last)) and 0 <= self.start < last):
            raise OptionError(
                f"{self.start!r:.40} to {self.end!r:.40} s is not a clip; expected 0 <= START < END, in seconds"
            )

    @property
    def is_clip(self) -> bool:
        """Return whether a stretch of time is chosen."""
        return self.start > 0 or self.end is not None


EVERYTHING = Selection()


def one_channel(blocks: Iterator[np.ndarray], channel: int, name: str) -> Iterator[np.ndarray]:
    """Blocks (n, C) -> blocks (n,): the channel of that number, counted from 1. Raises AudioError."""
    for block in blocks:
        if channel > block.shape[1]:
            count = block.shape[1]
            raise AudioError(f"{name}: has {count} channel{'s' * (count > 1)}, so there is no channel {channel}")
        yield block[:, channel - 1]


def clipped(blocks: Iterator[np.ndarray], rate: float, selection: Selection, name: str) -> Iterator[np.ndarray]:
    """Blocks (n,) at `rate` Hz -> those between `start` and `end`; nothing after `end` is read.

    Raises AudioError for a recording that is over before `start`.
    """
    first = round(selection.start * rate)
    last = None if selection.end is None else round(selection.end * rate)
    at = 0
    for block in blocks:
        begin, at = at, at + len(block)
        piece = block[max(0, first - begin) : None if last is None else max(0, last - begin)]
        if len(piece):
            yield piece
        if last is not None and at >= last:
            return
    if at <= first:
        raise AudioError(f"{name}: is {at / rate:.2f} s long, so nothing is left from {selection.start:g} s on")
