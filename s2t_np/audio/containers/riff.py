"""RIFF/WAVE (Microsoft and IBM 1991), RIFX, RF64 (EBU Tech 3306) and W64 (Sony): one new, true header for each.

All hold the same WAVEFORMATEX and the same sound; only the chunks around them differ.
"""

import struct

from . import mpeg
from .lengths import MAGICS, MOST_TAIL, UNKNOWN, chunks, next_chunk, true_length, unwrapped
from .source import Part, Source
from .tags import after_tags

MPEG_TAGS = (b"\x50\0", b"\x55\0")  # WAVEFORMATEX: MPEG layer I or II, MP3
W64_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # ends the 16-byte names of W64: "wave", "fmt ", ...
W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


def wave(source: Source, start: int) -> tuple[list[Part], int]:
    """RIFF, RIFX, RF64: a new header before the sound, with only the format and the true length; and the end."""
    magic = source.at(start, 12)
    order = ">" if magic.startswith(b"RIFX") else "<"
    found: dict[bytes, tuple[int, int]] = {}
    for name, body, length in chunks(source, start + 12, order + "4sI"):
        found.setdefault(name, (body, length))
    if magic[8:] != b"WAVE" or not {b"fmt ", b"data"} <= found.keys():
        return [Part(source, start)], source.size
    body, length, note = wave_data(source, found, order)
    form = source.at(found[b"fmt "][0], min(found[b"fmt "][1], 1024))
    last = max((begin + size for begin, size in found.values() if begin + size <= source.size), default=0)
    end = next_chunk(source, max(body + length, last), padded=max(body + length, last) % 2 != start % 2)
    return formatted(source, (body, length), order, form, note), end


def formatted(source: Source, sound: tuple[int, int], order: str, form: bytes, note: str | None) -> list[Part]:
    """The sound of a WAVE-like file (where it begins, how long it is) under a header of its own, or as MPEG audio."""
    body, length = sound
    if form[:2] in MPEG_TAGS:
        return mpeg.frames_within(source, body, body + length)[0]
    return [Part(source, body, body + length, wave_header(order, form, length), note=note)]


def wave_data(source: Source, found: dict, order: str) -> tuple[int, int, str | None]:
    """Return where the sound of a WAVE file begins, its true length, and what to tell the user."""
    body, claimed = found[b"data"]
    if claimed == 0xFFFFFFFF:
        claimed = int.from_bytes(source.at(found[b"ds64"][0] + 8, 8), "little") if b"ds64" in found else UNKNOWN
    claimed = unwrapped(source, body, claimed)
    after = body + claimed + claimed % 2
    lost = 0 if any(chunks(source, after, order + "4sI")) else source.size - after
    if lost > 0 and claimed < 8:  # never filled in: too little for any sound, and no other chunk follows
        return body, source.size - body, None
    length, note = true_length(source, body, claimed)
    if lost > MOST_TAIL and source.at(after_tags(source, after), 4) not in MAGICS:  # not another recording
        note = f"holds {lost} bytes after the sound that belong to nothing; they are left out"
    return body, length, note


def wave_header(order: str, form: bytes, length: int) -> bytes:
    """The bytes before the sound: RIFF (or RIFX), and RF64 where 32 bits do not hold the length."""
    chunk = struct.pack(order + "4sI", b"fmt ", len(form)) + form + b"\0" * (len(form) % 2)
    total = 12 + len(chunk) + length
    if total < 1 << 32:
        riff = b"RIFX" if order == ">" else b"RIFF"
        sizes = struct.pack(order + "4sI4s", riff, total, b"WAVE"), struct.pack(order + "4sI", b"data", length)
        return sizes[0] + chunk + sizes[1]
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, total + 36, length, 0, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + ds64 + chunk + b"data\xff\xff\xff\xff"


def w64(source: Source, start: int) -> tuple[list[Part], int]:
    """W64: chunks with names of 16 bytes and 64-bit lengths that count their own 24 bytes; the rest is as in WAVE."""
    if source.at(start, 16) != W64_RIFF or source.at(start + 24, 16) != b"wave" + W64_TAIL:
        return [Part(source, start)], source.size
    form, position = b"", start + 40
    while len(header := source.at(position, 24)) == 24 and header[4:16] == W64_TAIL:
        length = int.from_bytes(header[16:], "little", signed=True)
        if header[:4] == b"fmt ":
            form = source.at(position + 24, min(max(length - 24, 0), 1024))
        if header[:4] == b"data" and form:
            body, claimed = position + 24, length - 24 if length > 24 else UNKNOWN
            length, note = true_length(source, body, claimed)
            return formatted(source, (body, length), "<", form, note), end_of_w64(source, start, body + length)
        if length < 24:
            break
        position += length + -length % 8
    return [Part(source, start)], source.size


def end_of_w64(source: Source, start: int, sound_end: int) -> int:
    """Return where the file ends by its own header, but not before its sound does."""
    claimed = start + int.from_bytes(source.at(start + 16, 8), "little")
    return claimed if sound_end <= claimed < source.size else sound_end + -(sound_end - start) % 8
