"""Ogg (RFC 3533): chains of streams taken apart, and the check sum of each page compared.

libogg leaves out a page whose check sum is wrong, about a second of sound, without a word.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from .source import Part, Source
from .tags import after_tags

CONTINUED, FIRST, LAST = 1, 2, 4  # flags of a page
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """One page of an Ogg stream."""

    position: int  # bytes from the beginning of the source
    flags: int
    intact: bool  # its check sum is right
    apart: bool  # bytes that belong to no page stand before it
    end: int


def crc(data: bytes) -> int:
    """Ogg's check sum: CRC-32 with the most significant bit first and no inversion.

    zlib's is the same polynomial with all bits reversed and inverted, so bits are reversed before and after.
    """
    reflected = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def pages(source: Source, position: int) -> Iterator[Page]:
    """The pages from `position` on; what is not a page is passed over."""
    gap = False
    while position < source.size:
        header = source.at(position, 27 + 255)
        if len(header) < 27 or not header.startswith(b"OggS"):
            after = after_tags(source, position)
            if after > position and source.at(after, 4) == b"OggS":
                position = after
            else:
                position, gap = source.find(b"OggS", position=position + 1), True
            continue
        table = 27 + header[26]
        end = position + table + sum(header[27:table])
        data = source.at(position, end - position)
        claimed = int.from_bytes(data[22:26], "little")
        intact = len(data) == end - position and crc(data[:22] + bytes(4) + data[26:]) == claimed
        yield Page(position, header[5], intact, gap, end)
        position, gap = end, False


def ogg(source: Source, start: int) -> tuple[list[Part], int]:
    """One part for each stream of a chain; each begins with pages flagged "first" after one that is not."""
    links, inside, broken, count, last, gap = [], True, [], 0, None, False
    for page in pages(source, start):
        if page.flags & FIRST and inside:
            links.append(page.position)
        inside = not page.flags & FIRST
        if not page.intact and page.end <= source.size:
            broken.append(page.position)
        count, last, gap = count + 1, page, gap or page.apart
    whole = last is not None and last.flags & LAST and last.end == source.size and not gap
    note = note_of(broken, count, source) if broken else None
    if not whole and not note:
        note = "is damaged or cut short: pages of the Ogg stream are missing"
    links = links or [start]
    ends = [*links[1:], source.size]
    return [Part(source, a, b, note=note) for a, b in zip(links, ends, strict=True)], source.size


def note_of(broken: list[int], count: int, source: Source) -> str:
    """Says how many pages are damaged and where the first of them is."""
    share = 100 * broken[0] / max(source.size, 1)
    return (
        f"is damaged: {len(broken)} of {count} pages of the Ogg stream do not match their check sums, the first at "
        f"byte {broken[0]} ({share:.0f} % of the file); their sound is missing"
    )
