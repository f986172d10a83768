"""Chunks, and how many bytes of sound there are when a header claims a number that cannot be true.

A program that writes sound into a pipe cannot go back to fill in the length: ffmpeg leaves 0xFFFFFFFF, others leave 0
or 2 GB. A program that writes more than 4 GB into a field of 32 bits leaves the remainder.
"""

import struct
from collections.abc import Iterator

from .source import Source
from .tags import after_tag

STREAMED = 0x7F000000  # from here on, a length beyond the end of the file is a program's way to say "unknown"
UNKNOWN = 1 << 62
WRAP = 1 << 32  # a 32-bit length is the true one modulo this
MOST_CHUNKS = 10_000  # a real file has a dozen
MAGICS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"caff", b"fLaC", b"OggS", b".snd")  # other recordings begin so
MOST_TAIL = 4096  # bytes after the sound that are not worth a warning: a tag, padding


def is_name(four: bytes) -> bool:
    """Return whether these bytes can be the name of a chunk: four printable characters."""
    return len(four) == 4 and all(0x20 <= byte < 0x7F for byte in four)


def chunks(source: Source, position: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its body begins, length as claimed) of each chunk, until no chunk name stands where one should."""
    size = struct.calcsize(layout)
    for _ in range(MOST_CHUNKS):
        header = source.at(position, size)
        if len(header) < size or not is_name(header[:4]) or ends_chunks(source, position):
            return
        name, length = struct.unpack(layout, header)
        yield name, position + size, length
        if length < 0:
            return
        position = next_chunk(source, position + size + length, padded=size == 8 and length % 2)


def ends_chunks(source: Source, position: int) -> bool:
    """Return whether what stands at `position` is a tag or another recording, though it looks like a chunk."""
    return source.at(position, 4) in MAGICS or after_tag(source, position) > position


def next_chunk(source: Source, end: int, padded: bool) -> int:
    """Return where the chunk after a body that ends at `end` begins: RIFF pads odd lengths to even, though not all
    do.
    """
    forgotten = padded and not is_name(source.at(end + 1, 4)) and is_name(source.at(end, 4))
    return end + 1 if padded and not forgotten else end


def unwrapped(source: Source, body: int, claimed: int) -> int:
    """A 32-bit length of more than 4 GB restored: with multiples of 2**32 added, the file ends or a chunk follows.

    `claimed` itself where that never happens.
    """
    excess = source.size - body - claimed
    if claimed >= WRAP or excess < WRAP:
        return claimed
    if excess % WRAP <= claimed % 2:
        return claimed + excess - excess % WRAP
    lengths = range(claimed, source.size - body, WRAP)
    return next((n for n in lengths if is_name(source.at(body + n + n % 2, 4))), claimed)


def true_length(source: Source, body: int, claimed: int) -> tuple[int, str | None]:
    """Return how many bytes from `body` on are sound, given what the header claims, and what to tell the user."""
    there = max(0, source.size - body)
    if claimed <= there:
        return claimed, None
    if claimed >= STREAMED:
        return there, None
    return there, f"is cut short: its header promises {claimed} bytes of sound, {there} are there"
