"""FLAC (RFC 9639): an unknown number of samples, files joined end to end taken apart, and damage stepped over.

libsndfile gives no more sound after a frame that cannot be decoded. Each frame says which of the samples it begins
with, so reading goes on at the next intact frame, under a new header.
"""

import functools

from .source import SEARCHED, Part, Source

BEGINNING = b"fLaC\0\0\0\x22"  # the magic, and a first metadata block that is STREAMINFO of 34 bytes, with more to come
ONLY_BLOCK = b"fLaC\x80\0\0\x22"  # the same where STREAMINFO is the only one
LONGEST_HEADER = 16  # bytes of a frame's header


def flac(source: Source, start: int) -> tuple[list[Part], int]:
    """FLAC: the 36-bit sample count at the end of STREAMINFO's first 18 bytes is set to 0, "unknown"."""
    head = source.at(start, 42)
    if len(head) < 26 or head[4] & 0x7F != 0:  # the first block has to be STREAMINFO
        return [Part(source, start)], source.size
    fields = int.from_bytes(head[18:26], "big")
    frames = fields & (1 << 36) - 1
    end = source.find(BEGINNING, ONLY_BLOCK, position=start + 26)
    unknown = head[:18] + (fields - frames).to_bytes(8, "big")
    resume = functools.partial(resumed, source, end, ONLY_BLOCK + unknown[8:] + head[26:], start + 42)
    return [Part(source, start + 26, end, unknown, frames=frames or None, resume=resume)], end


def resumed(source: Source, end: int, head: bytes, position: int, samples: int) -> Part | None:
    """The part from the first intact frame on that begins with sample `samples` or later; None if there is none.

    `head` is the file's own header without a sample count, `position` where to look from.
    """
    block = int.from_bytes(head[8:10], "big")
    while position < end:
        window = source.at(position, min(SEARCHED + LONGEST_HEADER, end - position))
        place = window.find(b"\xff")
        while 0 <= place < SEARCHED:
            first = first_sample(window[place : place + LONGEST_HEADER], block)
            if first is not None and first >= samples:
                return onwards(source, position + place, end, head, first)
            place = window.find(b"\xff", place + 1)
        position += SEARCHED
    return None


def onwards(source: Source, position: int, end: int, head: bytes, first: int) -> Part:
    """The part from the frame at `position` on, whose first sample is number `first`, and how to go on after it."""
    more = functools.partial(resumed, source, end, head, position + 1)
    return Part(source, position, end, head, resume=lambda samples: more(first + max(samples, 1)))


def first_sample(header: bytes, block: int) -> int | None:
    """The number of a frame's first sample; None if these bytes do not begin one. `block`: samples of a fixed frame."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xFE != 0xF8 or header[3] & 1 or header[2] >> 4 == 0:
        return None
    count = coded_length(header[4])
    more = {6: 1, 7: 2}.get(header[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    length = 4 + count + more
    if count == 0 or len(header) <= length or crc8(header[:length]) != header[length]:
        return None
    number = header[4] & (0x7F if count == 1 else 0xFF >> (count + 1))
    for byte in header[5 : 4 + count]:
        number = number << 6 | byte & 0x3F
    return number if header[1] & 1 else number * block


def coded_length(byte: int) -> int:
    """Return how many bytes a number takes that is coded as UTF-8 codes a character and begins with `byte`; 0 for
    none.
    """
    ones = 8 - (byte ^ 0xFF).bit_length()
    return 1 if ones == 0 else ones if 2 <= ones <= 7 else 0


def crc8(data: bytes) -> int:
    """The check sum of a frame's header: x**8 + x**2 + x + 1."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x107 if value & 0x80 else 0)) & 0xFF
    return value
