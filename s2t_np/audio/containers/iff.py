"""AIFF and AIFF-C (Apple), AU (Sun) and CAF (Apple): lengths that libsndfile can believe."""

import struct

from .lengths import UNKNOWN, WRAP, chunks, true_length
from .source import SEARCHED, Part, Source


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
            return [Part(source, body, None, head, note=note, apart=apart)], end_of_chunks(source, body + length)
    return [Part(source, start, apart=apart)], source.size


def end_of_chunks(source: Source, position: int) -> int:
    """Where the last of the CAF chunks from `position` on ends."""
    for name, body, length in chunks(source, position, ">4sq"):
        if name == b"caff" or length < 0:
            break
        position = body + length
    return position


def aiff(source: Source, start: int) -> tuple[list[Part], int]:
    """AIFF: libsndfile counts for itself; whether all the sound is there is worth a note."""
    if source.at(start + 8, 4) not in (b"AIFF", b"AIFC"):
        return [Part(source, start)], source.size
    end, note = source.size, None
    for name, body, length in chunks(source, start + 12, ">4sI"):
        if name == b"FORM":
            end = body - 8  # another recording
            break
        if name == b"SSND":
            note = true_length(source, body, length)[1]
    return [Part(source, start, end, note=note)], end
