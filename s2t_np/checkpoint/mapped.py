"""The bytes of a checkpoint file as numbers: found in a mapping, read into memory of this process, and never trusted.

The modules of the formats say where the numbers are; here those bytes become arrays. All of them store little-endian.
Whatever a format finds wrong it raises as `Malformed`, without knowing the file's name; `blame` puts the name in front
and makes a ModelError of it.

A mapping shows the file as it is on the disk, not as it was when it was opened: in a file that is overwritten in place
(`cp new.safetensors model.safetensors`) the numbers change unseen, and where it becomes shorter the system ends a
process that touches what is no longer there (SIGBUS). So only the few bytes that say where the numbers are are taken
from the mapping, and the numbers are read: a file that has become shorter meanwhile is an error, and afterwards the
file may go. What is not asked for (the state of an optimizer) takes no memory, and `release` gives back what was.
"""

import mmap
import os
import reprlib
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import NamedTuple

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


class Mapping(mmap.mmap):
    """A mapped file, a descriptor that reads it, and memory of the same size for what is read, at the same places."""

    descriptor: int
    memory: mmap.mmap | None = None


def close_quietly(descriptor: int) -> None:
    """Close what was only read: an error (of a network disk) says nothing about what was read."""
    with suppress(OSError):
        os.close(descriptor)


def map_file(path: Path) -> np.ndarray:
    """The bytes of a regular file that is not empty: uint8 (size,), read-only, mapped. Raises Malformed, OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would keep us waiting
        raise Malformed("is a folder or a device, expected a file", "put the checkpoint's file in its place")
    with open(path, "rb") as file:
        try:
            mapping = Mapping(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise Malformed("the file is empty", "download it again") from None
        mapping.descriptor = os.dup(file.fileno())
    weakref.finalize(mapping, close_quietly, mapping.descriptor)
    data = np.frombuffer(mapping, np.uint8)
    refuse_impostors(data[:256].tobytes())
    return data


def memory_of(array: np.ndarray) -> mmap.mmap | None:
    """The mapping or the pages that an array (any shape) lies in; None if it lies elsewhere."""
    base = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None


def first_byte(array: np.ndarray, memory: mmap.mmap) -> int:
    """The place of an array (any shape) in its mapping."""
    return array.ctypes.data - np.frombuffer(memory, np.uint8).ctypes.data


def owned(array: np.ndarray) -> np.ndarray:
    """An array (n,) of a mapped file, read into memory of this process: (n,).

    An array that lies elsewhere stays as it is; so does one of Windows, where a mapped file cannot be shortened. Raises
    Malformed where the file has become shorter, OSError.
    """
    mapping = memory_of(array)
    if not isinstance(mapping, Mapping) or not hasattr(os, "preadv") or not array.nbytes:
        return array
    mapping.memory = mapping.memory or empty_memory(len(mapping))
    at, done = first_byte(array, mapping), 0
    target = memoryview(mapping.memory)[at : at + array.nbytes]
    while done < array.nbytes:
        count = os.preadv(mapping.descriptor, [target[done:]], at + done)
        if not count:
            raise Malformed("became shorter while it was read", "try again when nothing writes to it any more")
        done += count
    return frozen(np.frombuffer(target, array.dtype, array.size))


def empty_memory(size: int) -> mmap.mmap:
    """Memory of this process alone, which takes room only where it is written to; in large pages, which is faster."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def release(array: np.ndarray) -> None:
    """Give the pages of an array (any shape) back, which is not read again: afterwards it holds zeros.

    An array that was not read from a mapped file stays as it is. While weights are packed, this keeps the process at
    the size of one copy.
    """
    memory = memory_of(array)
    if memory is None or isinstance(memory, Mapping) or not hasattr(memory, "madvise") or not array.flags.c_contiguous:
        return
    start = first_byte(array, memory)
    first, last = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        memory.madvise(mmap.MADV_DONTNEED, first, last - first)


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


def elements(data: np.ndarray, begin: int, count: int, element: Element) -> np.ndarray:
    """`count` numbers from byte `begin` of `data` on, (count,), read-only. The caller has checked that they are there.

    They are read into memory of this process; bfloat16 becomes float32. Raises Malformed, OSError.
    """
    stored = owned(data[begin : begin + count * element.stored.itemsize]).view(element.stored)
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
