"""Samples without any header, and the ways in which a sample is written down.

Names are ffmpeg's (s16le); those of arecord (S16_LE) are understood, too. mu-law and A-law are telephony's (ITU-T
G.711): sign, exponent and mantissa in 8 bits.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..errors import AudioError, OptionError
from .checks import check_samples
from .containers import READERS
from .containers.source import ways_to_fail
from .files import opened, unreadable
from .mixing import mono
from .selection import MIX

MOST_BYTES = 1 << 16  # taken at a time


class Encoding(NamedTuple):
    """The encoding of a sample in bytes."""

    width: int  # bytes
    numbers: Callable[[bytes], np.ndarray]  # bytes -> (n,) float32, -1 to 1


def _numbers(dtype: str, centre: float, scale: float) -> Callable[[bytes], np.ndarray]:
    return lambda data: (np.frombuffer(data, dtype).astype(np.float64) - centre).astype(np.float32) / np.float32(scale)


def _numbers_of_24_bits(data: bytes) -> np.ndarray:
    """Three bytes each, the lowest first: taken as the upper three of four."""
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


def _by_table(table: np.ndarray) -> Callable[[bytes], np.ndarray]:
    """For encodings of 8 bits: (256,) values of 16 bits."""
    scaled = (table / 2**15).astype(np.float32)
    return lambda data: scaled[np.frombuffer(data, np.uint8)]


def mulaw_table() -> np.ndarray:
    """G.711 mu-law: all bits are inverted; a bias of 33 (here times 4) makes the mantissa's leading one."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(int), (code & 15).astype(int)
    size = ((mantissa << 3) + 0x84 << exponent) - 0x84
    return np.where(code & 0x80, -size, size)


def alaw_table() -> np.ndarray:
    """G.711 A-law: every other bit is inverted; the lowest segment has no leading one."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(int), (code & 15).astype(int)
    size = np.where(exponent == 0, (mantissa << 4) + 8, (mantissa << 4) + 0x108 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size)


ENCODINGS = {
    "u8": Encoding(1, _numbers("u1", 128, 2**7)),
    "s16le": Encoding(2, _numbers("<i2", 0, 2**15)),
    "s16be": Encoding(2, _numbers(">i2", 0, 2**15)),
    "s24le": Encoding(3, _numbers_of_24_bits),
    "s32le": Encoding(4, _numbers("<i4", 0, 2**31)),
    "f32le": Encoding(4, _numbers("<f4", 0, 1)),
    "f64le": Encoding(8, _numbers("<f8", 0, 1)),
    "mulaw": Encoding(1, _by_table(mulaw_table())),
    "alaw": Encoding(1, _by_table(alaw_table())),
}
SPELLINGS = {"floatle": "f32le", "float64le": "f64le", "s243le": "s24le"}  # arecord's, without underscores
SPELLINGS |= dict.fromkeys(("ulaw", "pcmmulaw"), "mulaw") | {"pcmalaw": "alaw"}
IN_WAVE = {(1, 8): "u8", (1, 16): "s16le", (1, 24): "s24le", (1, 32): "s32le", (3, 32): "f32le", (3, 64): "f64le"}
IN_WAVE |= {(6, 8): "alaw", (7, 8): "mulaw"}  # by WAVEFORMATEX's tag and bits


def encoding_of(word: str) -> Encoding:
    """Return how samples of that encoding lie in bytes; arecord's spellings are known too. Raises OptionError."""
    name = word.lower().replace("_", "")
    found = ENCODINGS.get(SPELLINGS.get(name, name))
    if found is None:
        raise OptionError(f"{word!r:.40} is not an encoding of samples; known are {', '.join(ENCODINGS)}")
    return found


def raw_blocks(source, encoding: str = "s16le", channels: int = 1, channel: int | str = MIX) -> Iterator[np.ndarray]:
    """Samples without any header, from a path, "-" or a binary file object -> blocks (n,) float32 at their own rate.

    `encoding` is one of ENCODINGS; channels take turns, and are mixed or one of them is taken
    (`channel`). Raises OptionError, AudioError.
    """
    found = encoding_of(encoding)
    if channels < 1:
        raise OptionError(f"{channels} channels: expected at least 1")
    return _raw_blocks(source, found, channels, channel)


def _raw_blocks(source, encoding: Encoding, channels: int, channel: int | str) -> Iterator[np.ndarray]:
    with opened(source) as (file, name):
        data = headerless(portions(file, name, encoding.width * channels), name)
        yield from samples(frames(data, encoding, channels), name, channel)


def headerless(data: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The same bytes. Raises AudioError if they begin with the header of a file."""
    for i, portion in enumerate(data):
        if i == 0 and portion[:4] in READERS:
            magic = portion[:4].decode("latin-1")
            raise AudioError(
                f"{name}: begins with {magic!r} as a file with a header does, which would be heard as noise; give it "
                "without --raw-rate (in Python: without raw_blocks)"
            )
        yield portion


def portions(file, name: str, frame: int, least: int = 1) -> Iterator[bytes]:
    """The bytes of a pipe, given on when `least` are there, all but the last in whole frames of `frame` bytes.

    Raises AudioError.
    """
    read, most = (file.read1, MOST_BYTES) if hasattr(file, "read1") else (file.read, max(least, frame))
    held = b""
    while data := attempt(read, most, name, ways_to_fail(file)):
        held += data
        if len(held) >= max(least, frame):
            whole = len(held) - len(held) % frame
            yield held[:whole]
            held = held[whole:]
    if held:
        yield held


def attempt(read: Callable[[int], bytes], count: int, name: str, failing=(Exception,)) -> bytes:
    """One read; `failing`: the exceptions in which it may end. Raises AudioError."""
    try:
        return read(count)
    except failing as error:
        raise unreadable(name, error) from error


def samples(blocks: Iterator[np.ndarray], name: str, channel: int | str = MIX) -> Iterator[np.ndarray]:
    """Blocks (n, channels) -> blocks (n,) float32. Raises AudioError for NaN and the like."""
    total = 0
    for block in mono(blocks, name, channel):
        check_samples(block, total, name)
        total += len(block)
        yield block


def frames(data: Iterator[bytes], encoding: Encoding, channels: int) -> Iterator[np.ndarray]:
    """Bytes -> blocks (n, channels) float32; what is not a whole frame is left out."""
    for portion in data:
        if not (whole := len(portion) - len(portion) % (encoding.width * channels)):
            continue
        yield encoding.numbers(portion[:whole]).reshape(-1, channels)
