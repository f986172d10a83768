"""The bytes of a checkpoint file as numbers: mapped read-only, nothing copied, and never trusted.

The modules of the formats say where the numbers are; here those bytes become arrays. All of them store little-endian.
Whatever a format finds wrong it raises as `Malformed`, without knowing the file's name; `blame` puts the name in front
and makes a ModelError of it.

A mapping shows the file as it is on the disk, not as it was when it was opened. Replacing the file by another (rename,
as `safetensors.write` does) is safe: the old bytes stay until the arrays are gone. Shortening it in place is not: the
kernel ends a process that touches bytes which are no longer there, and overwriting it in place changes the numbers
unseen. Copy the arrays where a file may be written while it is in use.
"""

import mmap
import os
import reprlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ModelError
from .hub_cache import download_again, in_cache

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
        command = f" ({download_again(path)})" if "download" in error.remedy and in_cache(path) else ""
        raise ModelError(f"{path}: {error}{command}") from None
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror or error}); check its place and permissions"
        ) from None
    except MemoryError:
        raise ModelError(f"{path}: does not fit in memory; use a smaller model, or one stored as float32") from None


def map_file(path: Path) -> np.ndarray:
    """The bytes of a regular file that is not empty: uint8 (size,), read-only, mapped. Raises Malformed, OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would keep us waiting
        raise Malformed("is a folder or a device, expected a file", "put the checkpoint's file in its place")
    with open(path, "rb") as file:
        try:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise Malformed("the file is empty", "download it again") from None
    data = np.frombuffer(mapping, np.uint8)
    refuse_impostors(data[:256].tobytes())
    return data


def release(array: np.ndarray) -> None:
    """Drop the resident pages of an array (any shape) of a mapped file; later reads fault them in from the file.

    An array that lies elsewhere stays as it is. While weights are packed, this keeps the process at the size of one
    copy.
    """
    base = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if not (isinstance(base, mmap.mmap) and hasattr(base, "madvise") and array.flags.c_contiguous):
        return
    start = array.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
    first, last = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        base.madvise(mmap.MADV_DONTNEED, first, last - first)


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

    They are a view, unless they are bfloat16 or lie at an address that their type cannot have in registers.
    """
    stored = data[begin : begin + count * element.stored.itemsize].view(element.stored)
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
