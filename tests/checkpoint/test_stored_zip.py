"""Finding the entries of a torch archive: every way in which a zip file can be wrong or can lie."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from s2t_np.checkpoint import torch_files
from s2t_np.errors import ModelError

from ..support.checkpoints import (
    Entry,
    assert_refused,
    assert_refused_or_read,
    corruptions,
    example,
    saved,
    state_dict,
    torch_entries,
    view_of,
    zip_archive,
)
from ..support.checkpoints import torch_zip as torch_zip_file

SIX = np.arange(6, dtype=np.float32)
X = view_of(SIX, "0")


def archive(change: dict[str, dict] | None = None, add: tuple[Entry, ...] = (), drop: str = "", **options) -> bytes:
    """The archive of one tensor `x` of six float32, with some fields of some entries changed."""
    entries = torch_entries({"x": SIX})
    for name, fields in (change or {}).items():
        entries[name] = replace(entries[name], **fields)
    kept = [entry for name, entry in entries.items() if name != drop]
    return zip_archive([*kept, *add], **options)


def damaged(position: int, value: bytes, content: bytes | None = None) -> bytes:
    """The archive with some bytes overwritten."""
    content = bytearray(archive() if content is None else content)
    position %= len(content)
    content[position : position + len(value)] = value
    return bytes(content)


WHOLE = archive()
END, LOCATOR, END64 = -22, -42, -98  # where these records begin


def directory_that_ends_in_a_header() -> bytes:
    """A directory whose last 4 bytes begin one more header, which the file's end cuts."""
    content = bytearray(archive(zip64=False, entries=5))
    content[END + 12 : END + 16] = struct.pack("<L", struct.unpack("<L", content[END + 12 : END + 16])[0] + 4)
    return bytes(content[:END] + b"PK\1\2" + content[END:])


BAD_ARCHIVES = {
    "empty file": (b"", "is empty"),
    "two letters": (b"PK", "expected a zip archive"),
    "text": (b"Entry not found", "begins with"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
    "web page": (b"<html><body>404</body></html>", "web page"),
    "first header only": (WHOLE[:30], "no end record"),
    "bytes in front": (b"#!/bin/sh\n" + WHOLE, "begins with"),
    "zip in front": (WHOLE[:64] + WHOLE, "zip64 end record"),
    "zip in front, no zip64": (WHOLE[:64] + archive(zip64=False), "expected it to end at"),
    "bytes behind": (WHOLE + b"\0", "1 bytes after its end record"),
    "comment longer than said": (archive(comment=b"12345678", entries=4) + b"9", "after its end record"),
    "comment that looks like an end record": (archive(comment=b"PK\5\6" + b"." * 30), "after its end record"),
    "no entries": (zip_archive([]), "expected a zip archive"),
    "directory says fewer entries": (archive(entries=3, entries64=3), "has a directory of"),
    "directory says more entries": (archive(entries=5, entries64=5), "no directory entry"),
    "end records disagree about entries": (archive(entries=3), "contradict each other"),
    "end records disagree about the offset": (archive(offset=0), "contradict each other"),
    "billions of entries": (archive(entries64=2**40, entries=0xFFFF), "claims 1099511627776 entries"),
    "directory of 2^62 bytes": (archive(size64=2**62, size=0xFFFFFFFF), "4611686018427387904 bytes"),
    "directory at 2^63": (archive(offset64=2**63, offset=0xFFFFFFFF), "expected it to end at"),
    "directory that overlaps the entries": (archive(zip64=False, offset=0), "expected it to end at"),
    "zip64 record at 2^60": (archive(locator64=2**60), "no zip64 end record"),
    "zip64 record of another length": (archive(record64=2**40), "contradicts itself"),
    "zip64 archive on two disks": (archive(disks64=2), "contradicts itself"),
    "locator of another disk": (damaged(LOCATOR + 4, b"\1"), "contradicts itself"),
    "zip64 record of another disk": (damaged(END64 + 16, b"\1"), "contradicts itself"),
    "zip64 directory on another disk": (damaged(END64 + 20, b"\1"), "contradicts itself"),
    "zip64 record that counts in two ways": (damaged(END64 + 24, b"\1"), "contradicts itself"),
    "directory on another disk": (damaged(END + 6, b"\1"), "several files"),
    "end record that counts in two ways": (damaged(END + 8, b"\1"), "several files"),
    "end record cut": (WHOLE[:-1], "no end record"),
    "directory that ends in a header": (directory_that_ends_in_a_header(), "no directory entry"),
    "directory of 5 MB": (
        archive(add=tuple(Entry(f"{i}", b"", extra=bytes(65000)) for i in range(80))),
        "expected those of",
    ),
    "archive on two disks": (archive(disk=1), "several files"),
    "entry on another disk": (archive({"data/0": {"disk": 1}}), "two sizes"),
    "damaged directory entry": (damaged(WHOLE.index(b"PK\1\2"), b"PK\1\3"), "no directory entry"),
    "name longer than the directory": (damaged(WHOLE.index(b"PK\1\2") + 28, b"\xff\xff"), "after the directory"),
    "extra field longer than the directory": (
        damaged(WHOLE.index(b"PK\1\2") + 30, b"\xff\xff"),
        "after the directory",
    ),
    "compressed storage": (archive({"data/0": {"method": 8}}), "compresses", "data/0"),
    "compressed pickle": (archive({"data.pkl": {"method": 12}}), "compresses", "method 12"),
    "encrypted storage": (archive({"data/0": {"flags": 1}}), "encrypted"),
    "strong encryption": (archive({"data/0": {"flags": 0x40}}), "encrypted"),
    "masked headers": (archive({"data/0": {"flags": 0x2000}}), "encrypted"),
    "patch data": (archive({"data/0": {"flags": 0x20}}), "flags 0x0020"),
    "two entries of one name": (archive(add=(Entry("pytorch_model/data/0", b"\0" * 24),)), "two entries named"),
    "two archives in one": (archive(add=(Entry("other/data.pkl", b""),)), "2 entries named */data.pkl"),
    "no pickle": (archive(drop="data.pkl"), "0 entries named */data.pkl"),
    "pickle outside a folder": (zip_archive([Entry("data.pkl", state_dict({}))]), "0 entries named */data.pkl"),
    "pickle too deep": (zip_archive([Entry("a/b/data.pkl", state_dict({}))]), "0 entries named */data.pkl"),
    "ordinary archive": (zip_archive([Entry("readme.txt", b"hello")]), "0 entries named */data.pkl"),
    "local header under another name": (archive({"data/0": {"local_name": "pytorch_model/data/1"}}), "in two ways"),
    "local header encrypted": (archive({"data/0": {"local_flags": 0x809}}), "in two ways"),
    "local header compressed": (damaged(WHOLE.index(b"PK\3\4", 9) + 8, b"\x08"), "in two ways"),
    "local header of another size": (archive({"data/0": {"local_size": 4}}), "two sizes"),
    "local size missing without its flag": (archive({"data/0": {"flags": 0x800}}), "two sizes"),
    "sizes that differ": (archive({"data/0": {"packed": 4}}), "two sizes"),
    "storage reaching into the directory": (archive({"version": {"size": 4000}}), "expected before"),
    "storage over the next entries": (archive({"data/0": {"size": 100}}), "overlaps another"),
    "entries at the same place": (archive({"data/0": {"offset": 0}}), "in two ways"),
    "offset at no header": (archive({"data/0": {"offset": 1}}), "no local header"),
    "offset behind the file": (archive({"data/0": {"offset": 10**9}}), "no local header"),
    "zip64 size missing": (archive({"data/0": {"size": 0xFFFFFFFF}}), "no zip64 field"),
    "zip64 size cut": (
        archive({"data/0": {"size": 0xFFFFFFFF, "extra": struct.pack("<2HL", 1, 4, 24)}}),
        "no zip64 field",
    ),
    "zip64 size of 2^62": (
        archive({"data/0": {"size": 0xFFFFFFFF, "extra": struct.pack("<2H2Q", 1, 16, 2**62, 2**62)}}),
        "expected before",
    ),
    "big-endian": (archive({"byteorder": {"data": b"big"}}), "byte order b'big'"),
    "byte order nobody knows": (archive({"byteorder": {"data": b"middle" * 50}}), "byte order"),
    "layout of the future": (archive({"version": {"data": b"99\n"}}), "layout version b'99'"),
    "layout that is no number": (archive({"version": {"data": b"three"}}), "layout version"),
    "storage missing": (archive(drop="data/0"), "no entry", "'0'"),
    "storage shorter than described": (archive({"data/0": {"data": b"\0" * 20}}), "20 bytes", "says 24"),
    "storage longer than described": (archive({"data/0": {"data": b"\0" * 28}}), "28 bytes", "says 24"),
    "pickle of 5 MB": (archive({"data.pkl": {"data": b"\x80\x02" + b"N" * (5 << 20) + b"."}}), "at most 4194304"),
    "bytes behind the pickle": (archive({"data.pkl": {"data": state_dict({"x": X}) + b"."}}), "nothing after it"),
    "empty pickle": (archive({"data.pkl": {"data": b""}}), "breaks off at byte 0"),
}


@pytest.mark.parametrize("kind", BAD_ARCHIVES)
def test_malformed_archive_is_refused(tmp_path, kind):
    content, *words = BAD_ARCHIVES[kind]
    assert_refused(torch_files.read, saved(tmp_path, "pytorch_model.bin", content), *words)


@pytest.mark.parametrize("zip64", [True, False])
def test_truncated_anywhere_is_refused(tmp_path, zip64):
    content = torch_zip_file(example(), zip64=zip64)
    for size in range(len(content)):
        with pytest.raises(ModelError):
            torch_files.read(saved(tmp_path, "m", content[:size]))


@pytest.mark.parametrize("zip64", [True, False])
def test_any_damaged_byte_is_refused_or_read(tmp_path, zip64):
    content = torch_zip_file(example(), zip64=zip64, align=4)
    outcomes = [
        assert_refused_or_read(torch_files.read, saved(tmp_path, "m", bad)) for bad in corruptions(content, 500)
    ]
    assert 0 < sum(outcomes) < 450  # padding, check sums and weights may change unnoticed, little else


@pytest.mark.parametrize("options", [{}, {"zip64": False}, {"comment": b"made by hand"}, {"align": 1}])
def test_numbers_are_read_as_they_are(tmp_path, options):
    read = torch_files.read(saved(tmp_path, "m", torch_zip_file(example(), **options)))
    assert list(read) == list(example())
    for name, expected in example().items():
        assert read[name].dtype == expected.dtype and read[name].shape == expected.shape
        np.testing.assert_array_equal(read[name], expected)
        assert not read[name].flags.writeable and read[name].flags.aligned


def test_sizes_in_the_zip64_field_are_read(tmp_path):
    """Entries of 4 GB and more have their sizes there; small ones may."""
    field = struct.pack("<2H2Q", 1, 16, 24, 24)
    content = archive({"data/0": {"size": 0xFFFFFFFF, "extra": struct.pack("<2HL", 9, 4, 0) + field}})
    np.testing.assert_array_equal(torch_files.read(saved(tmp_path, "m", content))["x"], SIX)
