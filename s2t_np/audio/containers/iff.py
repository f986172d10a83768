"""AIFF and AIFF-C (Apple), AU (Sun), CAF (Apple) and NIST SPHERE: lengths that libsndfile can believe."""

import re
import struct

from .lengths import MAGICS, UNKNOWN, WRAP, chunks, next_chunk, true_length, unwrapped
from .source import SEARCHED, Part, Source
from .tags import after_tags


def au(source: Source, start: int) -> tuple[list[Part], int]:
    """AU: a length that is 0, more than there is, or wrapped at 4 GB becomes 0xFFFFFFFF, "unknown"."""
    head = source.at(start, 12)
    if len(head) < 12:
        return [Part(source, start)], source.size
    order = ">" if head[:4] == b".snd" else "<"
    offset, claimed = struct.unpack(order + "II", head[4:])
    there = source.size - start - offset
    wrapped = there > claimed and (there - claimed) % WRAP == 0
    length, note = (there, None) if wrapped else true_length(source, start + offset, claimed)
    believed = head[8:] if 0 < claimed == length else b"\xff" * 4
    end = start + offset + length if 0 < claimed == length else source.size
    return [Part(source, start + 12, end, head[:8] + believed, note=note)], end


def caf(source: Source, start: int) -> tuple[list[Part], int]:
    """CAF: a data length of -1, "unknown", of 0, or of more than there is, becomes the true one."""
    apart = False
    for name, body, claimed in chunks(source, start + 8, ">4sq"):
        if name == b"desc":
            apart = source.at(body + 8, 4) == b"alac"  # whose decoder may print
        if name == b"data" and body - start < SEARCHED:
            length, note = true_length(source, body, claimed if claimed > 0 else UNKNOWN)
            head = source.at(start, body - 8 - start) + struct.pack(">q", length)
            end = end_of_chunks(source, body + length)
            return [Part(source, body, end, head, note=note, apart=apart)], end
    return [Part(source, start, apart=apart)], source.size


def end_of_chunks(source: Source, position: int) -> int:
    """Return where the last of the CAF chunks from `position` on ends: at the end of the file or before another."""
    for _, body, length in chunks(source, position, ">4sq"):
        if length < 0:
            break
        position = body + length
    return next((p for p in (position, position + 1) if source.at(after_tags(source, p), 4) == b"caff"), source.size)


def aiff(source: Source, start: int) -> tuple[list[Part], int]:
    """AIFF: libsndfile counts for itself up to 4 GB; whether all the sound is there is worth a note."""
    if source.at(start + 8, 4) not in (b"AIFF", b"AIFC"):
        return [Part(source, start)], source.size
    end, note, sound, last = source.size, None, None, start + 12
    for name, body, length in chunks(source, start + 12, ">4sI"):
        if name == b"SSND":
            sound, length = body, unwrapped(source, body, length)
            note = true_length(source, body, length)[1]
        last = next_chunk(source, body + length, padded=length % 2)
    after = after_tags(source, last)
    end = last if source.at(after, 4) in MAGICS else source.size
    if sound and source.size - sound >= WRAP:
        head = source.at(start, sound - 4 - start) + bytes(4)  # libsndfile then counts
        return [Part(source, sound, end, head, note=note)], end
    return [Part(source, start, end, note=note)], end


def nist(source: Source, start: int) -> tuple[list[Part], int]:
    """NIST SPHERE: a page of text says how many samples there are."""
    found = re.search(rb"\nsample_count -i (\d{1,12})\s", source.at(start, 1024))
    return [Part(source, start, frames=int(found[1]) if found else None)], source.size
