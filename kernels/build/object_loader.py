"""Machine code as bytes: made by LLVM for this processor, put into memory, called.

A `Compiled` is all that a run needs of a kernel, and llvmlite alone brings it to life: neither Numba nor the source is
looked at. Kernels are called in Numba's own convention: a place for the result and one for an exception, neither used,
then every number, and for an array seven or more: two owners (none), elements, bytes of one, address, shape, strides.
A hundred arguments take ctypes 20 us to hand over, a tenth of a step's time beside the weights in bytes; so they are
written into a row of words once, and a function that lies beside the kernel calls it with them.
"""

import ctypes
import functools
import json
import struct
from collections.abc import Callable
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np

from ..cpu import compiler_target

# kinds of arguments: LLVM's type, and how `struct` packs it into 64 bits; an array is "float32 1", elements and axes
SCALARS = {"i": ("i64", "q"), "f": ("float", "f4x"), "d": ("double", "d"), "b": ("i8", "?7x")}
ROW = "_of_row"  # behind a kernel's symbol: the function that calls it with a row of words, which `compiler.py` adds


class Unusable(Exception):
    """Machine code that this process cannot run."""


class Compiled(NamedTuple):
    """A function's machine code, and how to find and call it."""

    symbol: str  # its name in the object file
    kinds: list[str]  # of its arguments, those in tuples one by one
    needs: list[str]  # functions elsewhere that it calls
    code: bytes  # an object file

    def pack(self) -> bytes:
        """All of it as bytes."""
        return json.dumps(self[:3]).encode() + b"\n" + self.code

    @classmethod
    def unpack(cls, packed: bytes) -> "Compiled":
        """The inverse."""
        head, code = packed.split(b"\n", 1)
        return cls(*json.loads(head), code)


def target_machine():
    """LLVM's code generator for the processor and features that Numba compiles for."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = compiler_target()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=name, features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


@functools.cache
def _engine():
    """The owner of all code in memory."""
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())


def link(code: bytes, symbols: list[str]) -> list[int]:
    """Put an object file into memory and make its symbols known to the linker; their addresses."""
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    addresses = [engine.get_function_address(symbol) for symbol in symbols]
    for symbol, address in zip(symbols, addresses, strict=True):
        llvm.add_symbol(symbol, address)
    return addresses


def load(name: str, compiled: Compiled) -> int:
    """Let others call a function by that name; the address of what calls it with a row of words. Raises Unusable."""
    if missing := [need for need in compiled.needs if llvm.address_of_symbol(need) is None]:
        raise Unusable(f"{name} calls {missing[0]}, which is not there")
    address, of_row = link(compiled.code, [compiled.symbol, compiled.symbol + ROW])
    llvm.add_symbol(name, address)
    return of_row


def llvm_types(kind: str) -> list[str]:
    """How an argument of that kind is spelled in LLVM."""
    if kind in SCALARS:
        return [SCALARS[kind][0]]
    return ["ptr", "ptr", "i64", "i64", "ptr"] + 2 * int(kind.split()[1]) * ["i64"]


def address(array: np.ndarray) -> int:
    """Where an array begins; the way through the buffer, closed to some, is three times as short."""
    if array.flags.writeable and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return array.__array_interface__["data"][0]


def _spell_array(dtype: np.dtype, axes: int, array) -> tuple:
    """An array as numbers. Raises TypeError for another kind of array."""
    if type(array) is not np.ndarray or array.dtype != dtype or array.ndim != axes or not array.flags.c_contiguous:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"expected a contiguous array of {dtype} with {axes} axes, got {found}")
    return (0, 0, array.size, dtype.itemsize, address(array), *array.shape, *array.strides)


def _spell(kind: str) -> Callable:
    """The function that turns an argument of that kind into numbers."""
    if kind in SCALARS:
        convert = {"i": int, "f": float, "d": float, "b": bool}[kind]
        return lambda value: (convert(value),)
    dtype, axes = kind.split()
    return functools.partial(_spell_array, np.dtype(dtype), int(axes))


class Entry:
    """A kernel, called as the Python function it was; other threads run on meanwhile.

    `complete` puts it into memory, by calling `enter`, if it is called before it is there.
    """

    def __init__(self, name: str, complete: Callable[[], None]):
        self.name, self.complete, self.function = name, complete, None
        self.result = (ctypes.c_int64 * 2)()  # Numba's convention: the result (none) and an exception (none)
        self.places = (ctypes.addressof(self.result), ctypes.addressof(self.result) + 8)

    def enter(self, address: int, kinds: list[str]) -> None:
        """From now on it is at that address, and takes arguments of those kinds."""
        self.spellings = [_spell(kind) for kind in kinds]
        words = [SCALARS[kind][1] if kind in SCALARS else f"{len(llvm_types(kind))}q" for kind in kinds]
        self.row = struct.Struct("=2q" + "".join(words))
        self.function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(address)

    def bind(self, *arguments) -> Callable:
        """A function without arguments that calls the kernel with these. Raises TypeError if they do not fit."""
        if self.function is None:
            self.complete()
        leaves = [leaf for x in arguments for leaf in (x if isinstance(x, tuple) else (x,))]
        if len(leaves) != len(self.spellings):
            raise TypeError(f"{self.name} takes {len(self.spellings)} arguments, got {len(leaves)}")
        numbers = [number for spell, leaf in zip(self.spellings, leaves, strict=True) for number in spell(leaf)]
        row = ctypes.create_string_buffer(self.row.pack(*self.places, *numbers), self.row.size)
        return functools.partial(self._run, leaves, row)

    def _run(self, owners: list, row: ctypes.Array) -> None:
        """`owners` only live as long as the call: they hold the arrays."""
        if status := self.function(row):
            raise RuntimeError(f"{self.name} ended with status {status}")

    def __call__(self, *arguments) -> None:
        self.bind(*arguments)()
