"""Tensors that are still in their file, and the memory that they are read into one after the other.

Weights that are packed when a model is loaded are looked at once. Read all together they take as much memory as the
file, and most of the time goes into pages that are cleared, filled, and given back. Read one by one into the same few
megabytes, which stay in the processor's cache, they cost the copy alone.
"""

import math
import mmap
import threading
from collections.abc import Callable

import numpy as np

from .file_bytes import empty_memory

Target = memoryview | None  # memory that is lent for the bytes of one tensor; None: some that it keeps


class Unread:
    """A tensor in an open file: `np.asarray` reads it into memory that it keeps, a `Reader` into memory that is lent.

    The file is closed when the last of its tensors is gone.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, stored: int, read: Callable[[Target], np.ndarray]):
        """`stored`: how many bytes it has in the file; `read` returns the tensor, or raises ModelError."""
        self.shape, self.dtype, self.stored, self.read = shape, np.dtype(dtype), stored, read
        self.ndim, self.size = len(shape), math.prod(shape)

    def then(self, dtype: np.dtype, function: Callable[[np.ndarray], np.ndarray]) -> "Unread":
        """The tensor that `function` makes of this one when it has been read, in `dtype`."""
        return Unread(self.shape, dtype, self.stored, lambda target: function(self.read(target)))

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The numbers, in `dtype`. Raises ModelError."""
        numbers = self.read(None)
        return numbers if dtype is None else numbers.astype(dtype, copy=False)


class Reader(threading.local):
    """A function that gives a Python thread the numbers of one tensor after the other, in the same memory.

    Each is to be used before the thread asks for the next. Whether tensors share a storage makes no difference.
    """

    def __init__(self):
        self.memory: mmap.mmap | None = None

    def __call__(self, tensor: np.ndarray | Unread) -> np.ndarray:
        """The numbers of a tensor (any shape), read-only. Raises ModelError."""
        if isinstance(tensor, np.ndarray):
            return tensor
        if self.memory is None or len(self.memory) < tensor.stored:
            self.memory = empty_memory(max(tensor.stored, 1))
        return tensor.read(memoryview(self.memory)[: tensor.stored])
