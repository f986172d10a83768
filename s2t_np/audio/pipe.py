"""Sound that comes through a pipe, perhaps while it is being recorded: plain samples, with or without a WAVE header.

Samples are handed on as they arrive; nobody waits for a block to fill up. The length in the header is believed where it
can be true: who records into a pipe cannot know it and writes 0, 2 GB or 4 GB, which all mean "until the end". What is
no WAVE file of plain samples (FLAC, MP3, ADPCM) cannot be decoded as it comes: it is copied to its end first.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..errors import IncompleteAudioError, OptionError
from .files import check_samples, file_blocks, opened, spooled, unreadable, usable_rate
from .headers import STREAMED
from .resampling import resample

LEAST_SECONDS = 0.05  # of sound handed on at a time: less would only cost
MOST_BYTES = 1 << 16  # taken at a time
RESAMPLED = 1 << 10  # samples resampled at a time: at most 0.13 s of delay, from 8 kHz
MOST_CHUNKS, MOST_CHUNK_BYTES = 100, 1 << 20  # in front of the sound
UNFILLED = 8  # a length below it was never filled in


class Encoding(NamedTuple):
    """How a sample is written down."""

    width: int  # bytes
    numbers: Callable[[bytes], np.ndarray]  # bytes -> (n,) float32, -1 to 1


def _numbers(dtype: str, centre: float, scale: float) -> Callable[[bytes], np.ndarray]:
    return lambda data: (np.frombuffer(data, dtype).astype(np.float64) - centre).astype(np.float32) / np.float32(scale)


def _numbers_of_24_bits(data: bytes) -> np.ndarray:
    """Three bytes each, the lowest first: taken as the upper three of four."""
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


ENCODINGS = {  # by ffmpeg's names; those of arecord (S16_LE) are understood too
    "u8": Encoding(1, _numbers("u1", 128, 2**7)),
    "s16le": Encoding(2, _numbers("<i2", 0, 2**15)),
    "s16be": Encoding(2, _numbers(">i2", 0, 2**15)),
    "s24le": Encoding(3, _numbers_of_24_bits),
    "s32le": Encoding(4, _numbers("<i4", 0, 2**31)),
    "f32le": Encoding(4, _numbers("<f4", 0, 1)),
    "f64le": Encoding(8, _numbers("<f8", 0, 1)),
}
SPELLINGS = {"floatle": "f32le", "float64le": "f64le", "s243le": "s24le"}  # arecord's, without underscores
IN_WAVE = {(1, 8): "u8", (1, 16): "s16le", (1, 24): "s24le", (1, 32): "s32le", (3, 32): "f32le", (3, 64): "f64le"}


def encoding_of(word: str) -> Encoding:
    """How samples of that encoding lie in bytes; arecord's spellings are known too. Raises OptionError."""
    name = word.lower().replace("_", "")
    found = ENCODINGS.get(SPELLINGS.get(name, name))
    if found is None:
        raise OptionError(f"{word!r:.40} is no encoding of samples; known are {', '.join(ENCODINGS)}")
    return found


def raw_blocks(source, encoding: str = "s16le", channels: int = 1) -> Iterator[np.ndarray]:
    """Samples without any header, from a path, "-" or a binary file object -> blocks (n,) float32 at their own rate.

    `encoding` is one of ENCODINGS; channels take turns and are mixed by mean. Raises OptionError, AudioError.
    """
    found = encoding_of(encoding)
    if channels < 1:
        raise OptionError(f"{channels} channels: expected at least 1")
    return _raw_blocks(source, found, channels)


def _raw_blocks(source, encoding: Encoding, channels: int) -> Iterator[np.ndarray]:
    with opened(source) as (file, name):
        yield from samples(portions(file, name, encoding.width * channels), encoding, channels, name)


def pipe_blocks(file, name: str, model_rate: int) -> Iterator[np.ndarray]:
    """A recording from a file that cannot seek -> blocks (n,) float32 at `model_rate` (Hz). Raises AudioError."""
    start = Start(file, name)
    wave = wave_start(start)
    if wave is None:
        with spooled(start, name) as copy:
            yield from file_blocks(copy, name, model_rate)
        return
    rate, frame = usable_rate(wave.rate, model_rate, name), wave.encoding.width * wave.channels
    data = limited(portions(file, name, frame, int(LEAST_SECONDS * rate) * frame), wave, name)
    yield from resample(samples(data, wave.encoding, wave.channels, name), rate, model_rate, RESAMPLED)


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
        except Exception as error:  # a caller's own file object may fail in its own way
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
    """What a WAVE header says."""

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


def portions(file, name: str, frame: int, least: int = 1) -> Iterator[bytes]:
    """What is there of a pipe, as soon as it is `least` bytes: whole frames of `frame` bytes. Raises AudioError."""
    read, most = (file.read1, MOST_BYTES) if hasattr(file, "read1") else (file.read, max(least, frame))
    held = b""
    while data := attempt(read, most, name):
        held += data
        if len(held) >= max(least, frame):
            whole = len(held) - len(held) % frame
            yield held[:whole]
            held = held[whole:]
    if whole := len(held) - len(held) % frame:
        yield held[:whole]


def attempt(read: Callable[[int], bytes], count: int, name: str) -> bytes:
    """One read. Raises AudioError."""
    try:
        return read(count)
    except Exception as error:  # as in Start.take
        raise unreadable(name, error) from error


def limited(data: Iterator[bytes], wave: Wave, name: str) -> Iterator[bytes]:
    """No more than the header promises. Raises IncompleteAudioError where it is less."""
    left = wave.length
    for portion in data:
        if left is None:
            yield portion
            continue
        yield portion[:left]
        left -= len(portion)
        if left <= 0:
            return
    if left:
        per_second = wave.rate * wave.channels * wave.encoding.width
        promised, there = wave.length / per_second, (wave.length - left) / per_second
        raise IncompleteAudioError(
            f"{name}: is cut short: its header promises {promised:.2f} s of sound, {there:.2f} s are there"
        )


def samples(data: Iterator[bytes], encoding: Encoding, channels: int, name: str) -> Iterator[np.ndarray]:
    """Bytes of whole frames -> blocks (n,) float32, channels mixed by mean. Raises AudioError for what is no number."""
    share, total = np.full(channels, 1 / channels, np.float32), 0
    for portion in data:
        whole = len(portion) - len(portion) % (encoding.width * channels)
        with np.errstate(all="ignore"):
            block = encoding.numbers(portion[:whole]).reshape(-1, channels) @ share
        check_samples(block, total, name)
        total += len(block)
        yield block
