"""A check that a file is the one that was published: its checksum, compared with the one announced for it.

Weights carry no checksum of their own, and one flipped bit of an exponent can change the text without any error. The
checksum that a file should have is announced in one of three places:

    the hub's cache        the file is a link to blobs/<digest>, which huggingface_hub names after the hub's ETag
    a folder of local_dir  .cache/huggingface/download/<file>.metadata: commit, ETag, time, a line each
    a bundled model        SHA256SUMS, as `sha256sum` writes it

A digest of 64 digits is the SHA-256 of the contents (files in LFS or Xet storage, so all weights); one of 40 digits is
the file's git object id, the SHA-1 of b"blob <size>\\0" and the contents (small files).
"""

import hashlib
import os
import re
from pathlib import Path

from ..errors import ModelError

DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
BLOCK = 1 << 20  # bytes read at a time


def announced(path: Path) -> str | None:
    """The digest that was announced for a file, None if there is none. Raises ModelError."""
    if os.path.islink(path) and DIGEST.fullmatch(name := os.path.basename(os.readlink(path))):
        return name
    lines = read_lines(path.parent / ".cache" / "huggingface" / "download" / f"{path.name}.metadata")
    if len(lines) > 1 and DIGEST.fullmatch(lines[1].strip()):
        return lines[1].strip()
    sums = filter(None, map(LINE.fullmatch, read_lines(path.parent / SUMS)))
    return next((line[1] for line in sums if line[2] == path.name), None)


def read_lines(path: Path) -> list[str]:
    """The lines of a small text file, none if there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16).splitlines()
    except OSError:
        return []


def digest(path: Path, length: int) -> str:
    """The checksum of a file's contents, of 64 or 40 hexadecimal digits. Raises ModelError."""
    try:
        with open(path, "rb") as file:
            kind = hashlib.sha256() if length == 64 else hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size)
            while block := file.read(BLOCK):
                kind.update(block)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    return kind.hexdigest()


def is_as_announced(path: Path, expected: str) -> bool:
    """Return whether a file has the digest `expected`. Raises ModelError."""
    return digest(path, len(expected)) == expected


def verify_file(path: Path, remedy: str) -> bool:
    """Compare one file with what was announced for it; False if nothing was. Raises ModelError if they differ."""
    expected = announced(path)
    if expected is not None and not is_as_announced(path, expected):
        found = digest(path, len(expected))
        raise ModelError(
            f"{path}: damaged: its checksum is {found[:16]}..., {expected[:16]}... was announced for it; {remedy}"
        )
    return expected is not None
