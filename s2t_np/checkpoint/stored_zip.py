"""The byte ranges of the entries of a zip archive, for archives that store their entries as they are.

torch writes such archives (uncompressed, aligned to 64 bytes, always with the zip64 records at the end), so that an
entry is simply a range of the file. Layout and field names follow PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12,
4.3.14-16 and 4.5.3. Read from the back:

    end of central directory       22 bytes and a comment: where the central directory is
    zip64 locator and record       the same for big archives, right before it
    central directory              one header an entry: name, sizes, offset
    entries                        local header (30 bytes, name, extra), then the data

All of it is held to one consistent picture: no compression, no encryption, unique names, entries that do not overlap,
and a local header that says what the central one said. Check sums are not compared: torch can be told to leave them
out, and does not compare them either.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .file_bytes import FileBytes, Malformed, shown

MAX_ENTRIES = 20_000  # the released models have 370
MAX_DIRECTORY = 4 << 20  # bytes; the released models have 25,000
KNOWN_FLAGS = 0x080E  # compression level, sizes follow the data, names in UTF-8; encryption is not among them
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 record"
ZIP64_EXTRA = 1

END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")


class Directory(NamedTuple):
    """The central directory as the end of the archive describes it; `limit` is where it must end."""

    entries: int
    size: int
    offset: int
    limit: int


class Entry(NamedTuple):
    """One entry as the central directory describes it."""

    name: bytes
    flags: int
    size: int
    offset: int  # where its local header begins


class Range(NamedTuple):
    """The bytes [begin, end) of the file that are an entry's data."""

    begin: int
    end: int


def stored_entries(data: FileBytes) -> dict[bytes, Range]:
    """{name: range} of all entries of the archive `data`. Raises Malformed."""
    if data[:4].tobytes() != b"PK\x03\x04":
        raise Malformed(f"begins with {data[:4].tobytes()!r}, expected a zip archive")
    directory = find_directory(data)
    ranges, extents = {}, []
    for entry in central_entries(data, directory):
        if entry.name in ranges:
            raise Malformed(f"has two entries named {shown(entry.name)}, expected unique names")
        ranges[entry.name] = data_range(data, entry, directory.offset)
        extents.append((entry.offset, ranges[entry.name].end, entry.name))
    check_no_overlap(extents)
    return ranges


def fields(layout: struct.Struct, data: FileBytes, at: int, signature: bytes, what: str) -> tuple:
    """The fields of a record after its signature. Raises Malformed if it breaks off."""
    raw = data[at : at + layout.size].tobytes()
    if len(raw) < layout.size or raw[:4] != signature:
        raise Malformed(f"has no {what} at byte {at}, where one is expected")
    return layout.unpack(raw)[1:]


def find_directory(data: FileBytes) -> Directory:
    """The end of the archive, in its zip64 form where there is one."""
    at = find_end(data)
    disk, start_disk, here, entries, size, offset, _comment = fields(END, data, at, b"PK\x05\x06", "end record")
    if disk or start_disk or here != entries:
        raise Malformed("is one part of an archive in several files, expected a whole one")
    directory = Directory(entries, size, offset, at)
    if at >= LOCATOR.size and data[at - LOCATOR.size :][:4].tobytes() == b"PK\x06\x07":
        directory = find_directory64(data, directory)
    if directory.entries > MAX_ENTRIES or directory.size > MAX_DIRECTORY:
        raise Malformed(f"claims {directory.entries} entries in {directory.size} bytes, expected those of one model")
    if directory.offset + directory.size != directory.limit:
        raise Malformed(
            f"has a directory of {directory.size} bytes at {directory.offset}, expected it to end at {directory.limit}"
        )
    return directory


def find_end(data: FileBytes) -> int:
    """The end record is the last thing in the file, but for a comment whose length it gives."""
    tail = data[-(END.size + FULL_16) :].tobytes()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < END.size:
        raise Malformed("has no end record: the archive is cut short")
    if (comment := len(tail) - found - END.size) != int.from_bytes(tail[found + 20 : found + 22], "little"):
        raise Malformed(f"has {comment} bytes after its end record, expected the comment it announces")
    return len(data) - len(tail) + found


def find_directory64(data: FileBytes, short: Directory) -> Directory:
    """The zip64 end record; the short one must say the same, or that it cannot."""
    at = short.limit - LOCATOR.size
    disk, offset, disks = fields(LOCATOR, data, at, b"PK\x06\x07", "zip64 locator")
    record = fields(END64, data, offset, b"PK\x06\x06", "zip64 end record")
    length, _made_by, _needed, this_disk, start_disk, here, entries, size, start = record
    if disk or disks != 1 or this_disk or start_disk or here != entries or offset + length + 12 != at:
        raise Malformed("has a zip64 end record that contradicts itself")
    for told, full, truth in zip(short, (FULL_16, FULL_32, FULL_32), (entries, size, start), strict=False):
        if told not in (truth, full):
            raise Malformed(f"has end records that contradict each other: {told} and {truth}")
    return Directory(entries, size, start, offset)


def central_entries(data: FileBytes, directory: Directory) -> Iterator[Entry]:
    """The headers of the central directory, one after another, exactly as many as announced."""
    at = directory.offset
    for _ in range(directory.entries):
        header = fields(CENTRAL, data, at, b"PK\x01\x02", "directory entry")
        name_size, extra_size, comment_size = header[9:12]
        name_at, extra_at = at + CENTRAL.size, at + CENTRAL.size + name_size
        at = extra_at + extra_size + comment_size
        if at > directory.limit:
            raise Malformed(f"has a directory entry that ends at {at}, after the directory's end {directory.limit}")
        yield parse_central(header, data[name_at:extra_at].tobytes(), data[extra_at:][:extra_size].tobytes())
    if at != directory.limit:
        raise Malformed(f"has a directory of {at - directory.offset} bytes, expected {directory.size}")


def parse_central(header: tuple, name: bytes, extra: bytes) -> Entry:
    """Check one header of the central directory."""
    _made_by, _needed, flags, method, _time, _date, _crc, packed, size = header[:9]
    disk, offset = header[12], header[15]
    if method:
        raise Malformed(f"compresses its entry {shown(name)} (method {method}), expected stored bytes as torch writes")
    if flags & ~KNOWN_FLAGS:
        raise Malformed(f"has flags {flags:#06x} on its entry {shown(name)} (encrypted?), expected stored bytes")
    size, packed, offset = widen_zip64((size, packed, offset), extra, name)
    if size != packed or disk:
        raise Malformed(f"gives two sizes for its stored entry {shown(name)}: {size} and {packed}")
    return Entry(name, flags, size, offset)


def widen_zip64(short: tuple[int, ...], extra: bytes, name: bytes) -> Iterator[int]:
    """Size, packed size and offset; each that is full is taken, in this order, from the zip64 extra field."""
    wide = zip64_extra(extra)
    for value in short:
        if value == FULL_32:
            if len(wide) < 8:
                raise Malformed(f"has no zip64 field for its big entry {shown(name)}")
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        yield value


def zip64_extra(extra: bytes) -> bytes:
    """The zip64 field among the extra fields, or nothing: each is an id, a size, and that many bytes."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<2H", extra[:4])
        if kind == ZIP64_EXTRA:
            return extra[4 : 4 + size]
        extra = extra[4 + size :]
    return b""


def data_range(data: FileBytes, entry: Entry, limit: int) -> Range:
    """The place of an entry's data: after its local header, before the central directory at `limit`."""
    header = fields(LOCAL, data, entry.offset, b"PK\x03\x04", f"local header of {shown(entry.name)}")
    _needed, flags, method, _time, _date, _crc, packed, size, name_size, extra_size = header
    name_at = entry.offset + LOCAL.size
    begin = name_at + name_size + extra_size
    if data[name_at : name_at + name_size].tobytes() != entry.name or method or flags != entry.flags:
        raise Malformed(f"describes its entry {shown(entry.name)} in two ways, expected one")
    for told in (packed, size):
        if told not in (entry.size, FULL_32) and not (told == 0 and flags & 8):  # with flag 8 they follow the data
            raise Malformed(f"gives two sizes for its entry {shown(entry.name)}: {told} and {entry.size}")
    if begin + entry.size > limit:
        raise Malformed(f"has an entry {shown(entry.name)} that ends at {begin + entry.size}, expected before {limit}")
    return Range(begin, begin + entry.size)


def check_no_overlap(extents: list[tuple[int, int, bytes]]) -> None:
    """Headers and data of different entries are different bytes: (begin of header, end of data, name) of each."""
    covered = 0
    for begin, end, name in sorted(extents):
        if begin < covered:
            raise Malformed(f"has an entry {shown(name)} that overlaps another")
        covered = end
