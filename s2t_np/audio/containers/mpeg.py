"""MPEG audio (ISO 11172-3): the stream taken apart where a decoder would stop, each part with a true frame count.

libmpg123, as libsndfile uses it, stops where the channels or the rate change, and after as many frames as the first
frame promises if that is a "Xing" frame (it holds a table and no sound). Files joined end to end have both. So every
run of frames of one kind becomes a part, and its Xing frame is made to promise enough, or one is put before it.
"""

import functools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .lengths import MOST_TAIL
from .source import SEARCHED, Part, Source
from .tags import after_tags

LONGEST_FRAME = 1729  # bytes: layer II, 384 kbit/s at 32 kHz
MOST_JUNK = 1 << 20  # bytes between frames that are searched for the next ones
MOST_EXCUSED = 16  # four frames: their bits may lie up to 511 bytes back
IN_A_ROW = 3  # as many frames as must follow one another before bytes are taken for MPEG audio
MPEG1_KBITS = {
    1: [32 * i for i in range(15)],
    2: [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    3: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
}
MPEG2_KBITS = {1: [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256]}
MPEG2_KBITS |= dict.fromkeys((2, 3), (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))
SIDE = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}  # bytes: (MPEG 1, mono)


class Header(NamedTuple):
    """The first four bytes of a frame."""

    version: int  # 3: MPEG 1; 2: MPEG 2, half the rate; 0: MPEG 2.5, a quarter
    layer: int
    hertz: int
    mono: bool
    length: int  # bytes of the frame

    @property
    def kind(self) -> tuple:
        """Return what a decoder cannot change midway."""
        return self[:4]


class Run(NamedTuple):
    """Frames of one kind, one after the other."""

    start: int
    end: int
    count: int
    note: str | None  # what is wrong with the bytes after it


@functools.lru_cache(maxsize=4096)
def header_of(four: bytes) -> Header | None:
    """Return what the first four bytes of a frame say; None if they are not the beginning of one."""
    word = int.from_bytes(four, "big")
    version, layer, rate, pad = word >> 19 & 3, 4 - (word >> 17 & 3), word >> 10 & 3, word >> 9 & 1
    bits = word >> 12 & 15
    if len(four) < 4 or word >> 21 != 0x7FF or version == 1 or layer == 4 or rate == 3 or bits in (0, 15):
        return None
    kbits = (MPEG1_KBITS if version == 3 else MPEG2_KBITS)[layer][bits]
    hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    if layer == 1:
        length = (12000 * kbits // hertz + pad) * 4
    else:
        length = (72000 if layer == 3 and version != 3 else 144000) * kbits // hertz + pad
    return Header(version, layer, hertz, word >> 6 & 3 == 3, length)


def headers(source: Source, position: int, end: int) -> Iterator[tuple[int, Header]]:
    """(position, header) of frame after frame, as long as each begins where the one before it ends."""
    window, begin = b"", position
    while position < end:
        four = window[position - begin : position - begin + 4]
        if len(four) < 4:
            window, begin = source.at(position, min(SEARCHED, end - position)), position
            four = window[:4]
        header = header_of(four)
        if header is None:
            return
        yield position, header
        position += header.length


def tag_place(first: bytes, header: Header) -> int:
    """Return where in a layer III frame "Xing" stands, if it does: after the header and the side information."""
    return 4 + SIDE[header.version == 3, header.mono]


def is_table(source: Source, position: int, header: Header) -> bool:
    """Return whether the frame holds a table instead of sound: the first frame of a file."""
    if header.layer != 3:
        return False
    frame = source.at(position, 40)
    tag = tag_place(frame, header)
    return frame[tag : tag + 4] in (b"Xing", b"Info") or frame[36:40] == b"VBRI"


def one_run(source: Source, start: int, end: int) -> Run:
    """The frames from `start` on, up to one of another kind or to the first frame of another file."""
    kind, position, count = None, start, 0
    for place, header in headers(source, start, end):
        if count and (header.kind != kind or is_table(source, place, header)):
            break
        if place + header.length > end:
            return Run(start, end, count, "is cut short: the last MPEG frame is incomplete")
        kind, position, count = header.kind, place + header.length, count + 1
    return Run(start, position, count, None)


def next_frames(source: Source, position: int, end: int) -> int:
    """Return where IN_A_ROW frames next stand one after the other before `end`; `end` if they do not."""
    while position < end:
        window = source.at(position, min(SEARCHED, end - position) + 3)
        place = window.find(b"\xff")
        while 0 <= place < SEARCHED:
            if header_of(window[place : place + 4]) and stands(source, position + place):
                return position + place
            place = window.find(b"\xff", place + 1)
        position += SEARCHED
    return end


def stands(source: Source, position: int) -> bool:
    """Return whether IN_A_ROW frames stand at `position`."""
    found = zip(range(IN_A_ROW), headers(source, position, source.size), strict=False)
    return sum(1 for _ in found) == IN_A_ROW


def runs(source: Source, position: int, end: int) -> Iterator[Run]:
    """All runs of frames between `position` and `end`; tags between them are skipped, other bytes are noted."""
    while position < end:
        run = one_run(source, position, end)
        after = min(after_tags(source, run.end), end)
        if after < end and not header_of(source.at(after, 4)):
            found = next_frames(source, after, min(end, after + MOST_JUNK))
            if found < min(end, after + MOST_JUNK) or end - after > MOST_TAIL:
                run = run._replace(note=f"is damaged: at byte {after} no MPEG frame begins where one should")
            after = found if found < min(end, after + MOST_JUNK) else end
        if run.count:
            yield run
        position = after


def mpeg(source: Source, start: int) -> tuple[list[Part], int]:
    """MPEG audio that is a file of its own; a file that is not recognised goes to libsndfile as it is."""
    window = SEARCHED if start else 2 * LONGEST_FRAME  # after an ID3 tag, which says that this is MP3, one may look on
    begin = next_frames(source, start, min(start + window, source.size))
    begin = begin if begin < min(start + window, source.size) else start
    found, end = frames_within(source, begin, source.size)
    if begin > start and header_of(source.at(start, 4)):
        found[0].note = found[0].note or f"is damaged: the MPEG frame at byte {start} is not followed by another"
    return found, end


def frames_within(source: Source, start: int, end: int) -> tuple[list[Part], int]:
    """The parts of the MPEG audio between `start` and `end`."""
    found = [part_of(source, run) for run in runs(source, start, end)]
    return found or [Part(source, start, end, apart=True)], end


def part_of(source: Source, run: Run) -> Part:
    """A run of frames, with a promise of enough frames before it.

    A promise that is enough already is left alone, because the decoder also takes from it where the encoder's padding
    ends.
    """
    first = source.at(run.start, 4)
    header = header_of(first)
    if header.layer != 3:
        return Part(source, run.start, run.end, note=run.note, apart=True)
    tag = tag_place(first, header)
    head = source.at(run.start, tag + 12)
    about = {"note": run.note, "apart": True, "excused": excused(source, run.start)}
    enough = struct.pack(">4sII", b"Xing", 1, run.count + 1)
    if len(head) < tag + 12 or head[tag : tag + 4] not in (b"Xing", b"Info") or not head[tag + 7] & 1:
        return Part(source, run.start, run.end, xing_frame(first, tag, enough), **about)
    promised, count = int.from_bytes(head[tag + 8 :], "big"), run.count - 1
    if promised < count:
        return Part(source, run.start + tag + 12, run.end, head[: tag + 8] + enough[8:], **about)
    if promised > count + 1:
        about["note"] = (
            f"is damaged or cut short: its header promises {promised} MPEG frames, {count} come in one piece"
        )
    return Part(source, run.start, run.end, **about)


def excused(source: Source, position: int) -> int:
    """Return how many channels of half frames cannot be decoded because they begin in a frame that is not there.

    The first bits after the header and its check sum say how far back the bits of the frame's sound begin. Where they
    lie before the first frame, the stream was cut out of a longer one, and its first frames are silent.
    """
    four = source.at(position, 8)
    place = 4 if four[1] & 1 else 6
    back = int.from_bytes(four[place : place + 2], "big") >> (7 if four[1] & 0x18 == 0x18 else 8)
    return MOST_EXCUSED if back else 0


def xing_frame(first: bytes, tag: int, promise: bytes) -> bytes:
    """A silent frame of the same kind as `first`, at the highest bit rate, that carries the promise at `tag`."""
    header = bytes([first[0], first[1] | 1, 0xE0 | first[2] & 0x0C, first[3]])
    frame = header.ljust(tag, b"\0") + promise
    return frame.ljust(header_of(header).length, b"\0")
