"""Tags that stand before, between and after recordings: ID3v2 and ID3v1 (id3.org), APEv2, Lyrics3."""

from .source import Source

MOST_TAGS = 100


def after_id3(source: Source, start: int) -> int:
    """Return where the bytes after an ID3v2 tag begin, whose length is written in four times seven bits; `start`
    without.

    A chunk "ID3 " of AIFF is not one.
    """
    header = source.at(start, 10)
    if len(header) < 10 or header[:3] != b"ID3" or header[3] > 0x0F or max(header[6:]) > 0x7F:
        return start
    length = sum(byte << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
    footer = 10 if header[5] & 0x10 else 0
    return min(start + 10 + length + footer, source.size)


def after_tag(source: Source, start: int) -> int:
    """Return where the bytes after one tag of any kind begin; `start` if there is none."""
    head = source.at(start, 16)
    if head[:3] == b"ID3":
        return after_id3(source, start)
    if head[:3] == b"TAG":
        return min(start + 128, source.size)
    if head[:8] == b"APETAGEX" and len(head) == 16:
        return min(start + 32 + int.from_bytes(head[12:], "little"), source.size)
    if head[:11] == b"LYRICSBEGIN":
        end = source.find(b"LYRICS200", position=start, end=min(source.size, start + (1 << 16)))
        return min(end + 9, source.size)
    return start


def after_tags(source: Source, start: int) -> int:
    """Return where the bytes after all tags that stand one after the other begin."""
    for _ in range(MOST_TAGS):
        after = after_tag(source, start)
        if after == start:
            break
        start = after
    return start
