"""Sound that comes through a pipe, perhaps while it is being recorded: plain samples after a WAVE header.

Samples are handed on as they arrive; no block has to fill up first. The length in the header is believed where it can
be true: a program that records into a pipe cannot know it and writes 0, 2 GB or 4 GB, which all mean "until the end".
What is not a WAVE file of plain samples (FLAC, MP3, ADPCM) cannot be decoded as it comes: it is copied to its end
first.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..errors import IncompleteAudioError
from .checks import usable_rate
from .containers.lengths import STREAMED
from .containers.source import ways_to_fail
from .files import file_blocks, spooled, unreadable
from .raw import ENCODINGS, IN_WAVE, Encoding, frames, portions, samples
from .resampling import resample
from .selection import EVERYTHING, Selection

LEAST_SECONDS = 0.05  # sound handed on at a time: less would only cost
RESAMPLED = 1 << 10  # samples resampled at a time: at most 0.13 s of delay, from 8 kHz
MOST_CHUNKS, MOST_CHUNK_BYTES = 100, 1 << 20  # before the sound
UNFILLED = 8  # a length below it was never filled in


def pipe_blocks(file, name: str, model_rate: int, selection: Selection = EVERYTHING) -> Iterator[np.ndarray]:
    """A recording from a file that cannot seek -> blocks (n,) float32 at `model_rate` (Hz). Raises AudioError."""
    start = Start(file, name)
    wave = wave_start(start)
    if wave is None or selection.stream not in (None, 1):
        with spooled(start, name) as copy:
            yield from file_blocks(copy, name, model_rate, selection)
        return
    rate, frame = usable_rate(wave.rate, model_rate, name), wave.encoding.width * wave.channels
    data = Limited(portions(file, name, frame, int(LEAST_SECONDS * rate) * frame), wave.length)
    numbers = frames(iter(data), wave.encoding, wave.channels)
    yield from resample(samples(numbers, name, selection.channel), rate, model_rate, RESAMPLED)
    if data.missing:
        per_second = wave.rate * frame
        promised, there = wave.length / per_second, (wave.length - data.missing) / per_second
        raise IncompleteAudioError(
            f"{name}: is cut short: its header promises {promised:.2f} s of sound, {there:.2f} s are there"
        )


class Start:
    """The first bytes of a pipe, looked at and then read again with all that follows."""

    def __init__(self, file, name: str):
        self.file, self.name, self.seen = file, name, b""

    def take(self, count: int) -> bytes:
        """The next `count` bytes, fewer only where the pipe ends. Raises AudioError."""
        taken = b""
        try:
            while len(taken) < count and (more := self.file.read(count - len(taken))):
                taken += more
        except ways_to_fail(self.file) as error:
            raise unreadable(self.name, error) from error
        self.seen += taken
        return taken

    def read(self, count: int) -> bytes:
        """From the beginning again."""
        if not self.seen:
            return self.file.read(count)
        data, self.seen = self.seen[:count], self.seen[count:]
        return data


class Wave(NamedTuple):
    """The fields of a WAVE header."""

    encoding: Encoding
    channels: int
    rate: int
    length: int | None  # bytes of sound; None: until the end


def wave_start(start: Start) -> Wave | None:
    """The header in front of plain samples, all of it taken; None for anything else."""
    head = start.take(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    form = b""
    for _ in range(MOST_CHUNKS):
        chunk = start.take(8)
        if len(chunk) < 8:
            return None
        name, length = struct.unpack("<4sI", chunk)
        if name == b"data":
            return wave_format(form, length)
        if length > MOST_CHUNK_BYTES:
            return None
        body = start.take(length + length % 2)
        form = body if name == b"fmt " else form
    return None


def wave_format(form: bytes, length: int) -> Wave | None:
    """The body of the fmt chunk (Microsoft's WAVEFORMATEX) and the length of the data chunk; None if not known here."""
    if len(form) < 16:
        return None
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", form)
    if tag == 0xFFFE and len(form) >= 26:  # WAVEFORMATEXTENSIBLE: the true tag begins a longer name
        tag = int.from_bytes(form[24:26], "little")
    name = IN_WAVE.get((tag, bits))
    if name is None or channels == 0 or align != channels * bits // 8:
        return None
    return Wave(ENCODINGS[name], channels, rate, length if UNFILLED <= length < STREAMED else None)


class Limited:
    """Portions of bytes, no more of them than the header promises; `missing` is what it promises too much."""

    def __init__(self, data: Iterator[bytes], length: int | None):
        self.data, self.length, self.missing = data, length, 0

    def __iter__(self) -> Iterator[bytes]:
        if self.length is None:
            yield from self.data
            return
        self.missing = self.length
        for portion in self.data:
            yield portion[: self.missing]
            self.missing = max(0, self.missing - len(portion))
            if not self.missing:
                return
