"""FLAC (RFC 9639): an unknown number of samples, and files joined end to end taken apart."""

from .source import Part, Source

BEGINNING = b"fLaC\0\0\0\x22"  # the magic, and a first metadata block that is STREAMINFO of 34 bytes, with more to come
ONLY_BLOCK = b"fLaC\x80\0\0\x22"  # the same where STREAMINFO is the only one


def flac(source: Source, start: int) -> tuple[list[Part], int]:
    """FLAC: the 36-bit sample count at the end of STREAMINFO's first 18 bytes is set to 0, "unknown"."""
    head = source.at(start, 26)
    if len(head) < 26 or head[4] & 0x7F != 0:  # the first block has to be STREAMINFO
        return [Part(source, start)], source.size
    fields = int.from_bytes(head[18:26], "big")
    frames = fields & (1 << 36) - 1
    end = min(source.find(magic, start + 26) for magic in (BEGINNING, ONLY_BLOCK))
    head = head[:18] + (fields - frames).to_bytes(8, "big")
    return [Part(source, start + 26, end, head, frames=frames or None)], end
