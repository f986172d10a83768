"""The words in which kernels declare their arguments, and how a call's arguments become a row of 64-bit integers.

Host and device share these words as annotations; nothing here needs Numba:

    int                           int64
    float, Single                 float64, float32
    Floats, Doubles, Words        address of a contiguous array of float32, float64, int64
    OutFloats, OutDoubles, OutWords    the same, and the kernel writes to it
    table(columns)                address of a contiguous int64 array of that many columns
    tuple[int, int]               several values that belong together
    a NamedTuple class            the same, with names: its own fields are annotated with these words

A kernel is a C function with one argument, the address of a row: one int64 for each value, in the order of the fields;
floats as the bits of a float64. Addresses are taken by `address_of` and nowhere else.
"""

import ctypes
import functools
import struct
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np


class ArgumentError(TypeError):
    """An argument that a kernel would misread."""


@dataclass(frozen=True)
class PointerTo:
    """Marks an annotation as an array, of which device code gets the address."""

    dtype: str
    columns: int = 0  # 0: elements are found by one index
    written: bool = False


Single = Annotated[float, "float32"]
Floats, Doubles, Words = (Annotated[np.ndarray, PointerTo(dtype)] for dtype in ("float32", "float64", "int64"))
OutFloats, OutDoubles, OutWords = (
    Annotated[np.ndarray, PointerTo(dtype, written=True)] for dtype in ("float32", "float64", "int64")
)
# an address and one, two or three strides
Address1, Address2, Address3 = tuple[int, int], tuple[int, int, int], tuple[int, int, int, int]


def table(columns: int):
    """The annotation of an int64 array (any number of rows, columns)."""
    return Annotated[np.ndarray, PointerTo("int64", columns)]


@functools.cache
def fields_of(kind) -> tuple:
    """The annotations of a tuple's elements; none for what is a single value."""
    if isinstance(kind, type) and hasattr(kind, "_fields"):
        return tuple(kind.__annotations__[name] for name in kind._fields)
    return typing.get_args(kind) if typing.get_origin(kind) is tuple else ()


def marker_of(kind):
    """int, float, "float32" or a PointerTo: what a single value is."""
    marks = getattr(kind, "__metadata__", None)
    return marks[0] if marks else kind


def leaves(kind) -> Iterator:
    """The markers of all single values in an annotation, in order."""
    if fields := fields_of(kind):
        for field in fields:
            yield from leaves(field)
    else:
        yield marker_of(kind)


def values_of(arguments) -> Iterator:
    """All single values in nested tuples, in order."""
    for value in arguments:
        if isinstance(value, tuple):
            yield from values_of(value)
        else:
            yield value


def _raw_address(array: np.ndarray) -> int:
    """Return where an array begins. The buffer protocol is 3x faster but unavailable for read-only and empty arrays."""
    if array.flags.writeable and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return array.__array_interface__["data"][0]


def address_of(array, kind: PointerTo) -> int:
    """Return where an array begins. Raises ArgumentError for one that a kernel would misread or must not write to.

    Subclasses such as numpy.memmap are as good as arrays: only their memory is looked at.
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"expected an array of {kind.dtype}, found {type(array).__name__}")
    flags = array.flags
    if array.dtype != kind.dtype or not (flags.c_contiguous and flags.aligned):
        raise ArgumentError(f"expected a contiguous, aligned array of {kind.dtype}, {_found(array)}")
    if kind.columns and (array.ndim != 2 or array.shape[1] != kind.columns):
        raise ArgumentError(f"expected {kind.columns} columns, {_found(array)}")
    if kind.written and not flags.writeable:
        raise ArgumentError(f"the kernel writes to this array, which is read-only, {_found(array)}")
    return _raw_address(array)


def _found(array: np.ndarray) -> str:
    """An array for a message; made only for one, because numpy takes its time to name a dtype."""
    return f"found {array.dtype} of shape {array.shape}"


def word_of(value, marker) -> int:
    """One value as an int64. Raises ArgumentError for a value of another kind."""
    if isinstance(marker, PointerTo):
        return address_of(value, marker)
    if marker is int:
        return value.__index__()
    return struct.unpack("q", struct.pack("d", value))[0]
