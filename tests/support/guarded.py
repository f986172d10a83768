"""Arrays that end, or begin, exactly where memory that may not be touched lies, filled with NaN.

A kernel that reads or writes one element too many dies of it; one that uses memory it has not written gives NaN.
"""

import contextlib
import ctypes
import mmap
from collections.abc import Iterator

import numpy as np
import pytest

PAGE = mmap.PAGESIZE
PROT_NONE = 0
LIBC = ctypes.CDLL(None, use_errno=True) if hasattr(mmap, "MAP_PRIVATE") else None


def guarded(shape, dtype, at_end: bool) -> np.ndarray:
    """An array of NaN (or -1 for integers) between two unreadable pages, flush against the one or the other."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    pages = max(1, -(-size // PAGE))
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    for page in (0, pages + 1):
        address = ctypes.c_void_p(whole.ctypes.data + page * PAGE)
        assert LIBC.mprotect(address, ctypes.c_size_t(PAGE), PROT_NONE) == 0
    start = PAGE + (pages * PAGE - size if at_end else 0)
    array = whole[start : start + size].view(dtype).reshape(shape)
    array.fill(np.nan if dtype.kind == "f" else -1)
    return array


@contextlib.contextmanager
def everything_guarded(monkeypatch: pytest.MonkeyPatch, at_end: bool) -> Iterator[None]:
    """Within, every array that np.empty or np.zeros makes is guarded."""

    def empty(shape, dtype=float, order="C"):
        return guarded(shape, dtype, at_end)

    def zeros(shape, dtype=float, order="C"):
        array = guarded(shape, dtype, at_end)
        array.fill(0)
        return array

    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", empty)
        patch.setattr(np, "zeros", zeros)
        yield


def guard(x: np.ndarray, at_end: bool) -> np.ndarray:
    """A guarded copy."""
    copy = guarded(x.shape, x.dtype, at_end)
    copy[...] = x
    return copy
