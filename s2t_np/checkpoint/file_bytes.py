"""The bytes of a checkpoint file as numbers: read into memory of this process, never mapped, and never trusted.

The modules of the formats say where the numbers are; here those bytes become arrays. All of them store little-endian.
Whatever a format finds wrong it raises as `Malformed`, without knowing the file's name; `blame` puts the name in front
and makes a ModelError of it.

A mapping shows the file as it is on the disk, not as it was when it was opened: in a file that is overwritten in place
(`cp new.safetensors model.safetensors`) the numbers change unseen, and where it becomes shorter the system ends a
process that touches what is no longer there (SIGBUS). So everything is read, headers as well: a file that has become
shorter meanwhile is an error, and afterwards the file may go. What is not asked for (the state of an optimizer) is not
read and takes no memory.
"""

import mmap
import os
import reprlib
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import ModelError
from ..settings.hub_places import replacing_command

# For messages: values from a file may be long, or nested beyond what repr survives.
_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 2, 80, 80
shown = _short.repr

DOWNLOAD_AGAIN = "the file is damaged or of another kind: download it again"
MAX_DIMENSIONS = 32  # numpy can do 64; the tensors of S2T have at most 3
MAX_BYTES = 2**63 - 1  # what numpy can address


class Malformed(Exception):
    """A fault in a file: what was found, what was expected, what to do; `blame` adds the name of the file."""

    def __init__(self, found: str, remedy: str = DOWNLOAD_AGAIN):
        super().__init__(f"{found}; {remedy}")
        self.remedy = remedy


@contextmanager
def blame(path: Path) -> Iterator[None]:
    """Turn every error while reading `path` into one ModelError that names it."""
    try:
        yield
    except Malformed as error:
        command = replacing_command(path) if "download" in error.remedy else None
        raise ModelError(f"{path}: {error}" + (f" (`{command}` replaces it)" if command else "")) from None
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror or error}); check its place and permissions"
        ) from None
    except MemoryError:
        raise ModelError(f"{path}: does not fit in memory; use a smaller model, or one stored as float32") from None


def empty_memory(size: int) -> mmap.mmap:
    """Memory of this process that takes room only where it is written to; in large pages, which is faster."""
    if os.name != "posix":
        return mmap.mmap(-1, size)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class OpenFile:
    """An open file, and the memory for its numbers, which is made when the first are read."""

    def __init__(self, file: BinaryIO):
        """`file`: unbuffered. Raises Malformed for an empty one, OSError."""
        self.file, self.size, self.memory = file, os.fstat(file.fileno()).st_size, None
        self.lock = threading.Lock()  # for systems whose files have one place where the next bytes are read from
        if not self.size:
            raise Malformed("the file is empty", "download it again")

    def read_into(self, target, begin: int) -> None:
        """Fill a buffer with the bytes from `begin` on. Raises Malformed where they are no longer there, OSError."""
        view = memoryview(target)
        while view:
            if not (count := self._read(view, begin)):
                raise Malformed("became shorter while it was read", "try again when nothing writes to it any more")
            view, begin = view[count:], begin + count

    def _read(self, view: memoryview, begin: int) -> int:
        """Read up to len(view) bytes; returns how many. Threads read at the same time where the system can do that."""
        if hasattr(os, "preadv"):
            return os.preadv(self.file.fileno(), [view], begin)
        with self.lock:
            self.file.seek(begin)
            return self.file.readinto(view)

    def close(self) -> None:
        """Close it; an error (of a network disk) says nothing about what was read."""
        with suppress(OSError):
            self.file.close()

    __del__ = close  # when the last tensor is gone that was to be read from it


class FileBytes:
    """The bytes [begin, end) of an open file; they are read when they are asked for."""

    def __init__(self, source: OpenFile, begin: int, end: int):
        self.source, self.begin, self.end = source, begin, end

    def __len__(self) -> int:
        return self.end - self.begin

    def __getitem__(self, part: slice) -> "FileBytes":
        """A part of it, with the rules of slices of bytes; nothing is read."""
        begin, end, _ = part.indices(len(self))
        return FileBytes(self.source, self.begin + begin, self.begin + max(begin, end))

    def tobytes(self) -> bytes:
        """Read them. Raises Malformed, OSError."""
        data = bytearray(len(self))
        self.source.read_into(data, self.begin)
        return bytes(data)

    __bytes__ = tobytes

    def numbers(self, kind: np.dtype, target: memoryview | None = None) -> np.ndarray:
        """Read them as numbers into memory of this process: (n,), read-only. Raises Malformed, OSError.

        `target`: memory as large as they are; without it they get a place that is theirs.
        """
        if not len(self):
            return frozen(np.empty(0, kind))
        if target is None:
            self.source.memory = self.source.memory or empty_memory(self.source.size)
            target = memoryview(self.source.memory)[self.begin : self.end]
        self.source.read_into(target, self.begin)
        return frozen(np.frombuffer(target, kind))


def open_file(path: Path) -> FileBytes:
    """The bytes of a regular file that is not empty. Raises Malformed, OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would keep us waiting
        raise Malformed("is a folder or a device, expected a file", "put the checkpoint's file in its place")
    source = OpenFile(open(path, "rb", buffering=0))  # noqa: SIM115 - it closes itself
    data = FileBytes(source, 0, source.size)
    refuse_impostors(data[:256].tobytes())
    return data


@contextmanager
def opened(path: Path) -> Iterator[FileBytes]:
    """Within this context: the bytes of a regular file that is not empty. Raises Malformed, OSError."""
    data = open_file(path)
    try:
        yield data
    finally:
        data.source.close()


def refuse_impostors(head: bytes) -> None:
    """Two kinds of text often lie where a checkpoint should: both come from a download that went another way."""
    head = head.lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        raise Malformed(
            "holds a git-lfs pointer (a few lines of text), not the weights",
            "run `git lfs pull` in that folder, or download the file from the model's page",
        )
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise Malformed("holds a web page (an error or a login page), not the weights", "download the file itself")


class Element(NamedTuple):
    """The storage format of one number; `upper_half` marks bfloat16, the upper 16 bits of a float32."""

    stored: np.dtype
    upper_half: bool = False


F64, F32, F16 = (Element(np.dtype(kind)) for kind in ("<f8", "<f4", "<f2"))
I64, I32, I16, I8 = (Element(np.dtype(kind)) for kind in ("<i8", "<i4", "<i2", "<i1"))
U64, U32, U16, U8 = (Element(np.dtype(kind)) for kind in ("<u8", "<u4", "<u2", "<u1"))
BOOL = Element(np.dtype(bool))
BF16 = Element(np.dtype("<u2"), upper_half=True)


def is_natural(value) -> bool:
    """Return whether a value is a non-negative int (not a bool) within numpy's index range."""
    return type(value) is int and 0 <= value <= MAX_BYTES


def is_shape(value) -> bool:
    """Return whether a list or tuple can be the shape of an array. Zeros are fine; what the other axes claim still
    counts.
    """
    if type(value) not in (list, tuple) or len(value) > MAX_DIMENSIONS or not all(map(is_natural, value)):
        return False
    return prod(max(n, 1) for n in value) <= MAX_BYTES // 8


def elements(data: FileBytes, begin: int, count: int, element: Element, target: memoryview | None = None) -> np.ndarray:
    """`count` numbers from byte `begin` of `data` on, (count,), read-only. The caller has checked that they are there.

    They are read into memory of this process, `target` or some of their own; bfloat16 becomes float32. Raises
    Malformed, OSError.
    """
    stored = data[begin : begin + count * element.stored.itemsize].numbers(element.stored, target)
    if element.upper_half:
        return widen_bfloat16(stored)
    return stored if stored.flags.aligned else frozen(stored.copy())


def widen_bfloat16(stored: np.ndarray) -> np.ndarray:
    """bfloat16 as its uint16 bits (n,) -> the same numbers as float32 (n,), exactly."""
    wide = stored.astype(np.uint32)
    wide <<= 16
    return frozen(wide.view(np.float32))


def frozen(array: np.ndarray) -> np.ndarray:
    """The same array, no longer to be written: weights of every origin behave alike."""
    array.flags.writeable = False
    return array
