"""The host's side of a kernel: its name, its arguments, and a C function as soon as the machine code is there."""

import ctypes
import functools
import importlib
from collections.abc import Callable

from .arguments import ArgumentError, leaves, values_of, word_of
from .options import COMPILED

PACKAGE = __name__.removesuffix(".build.entry")
entries: dict[str, "Entry"] = {}  # by symbol: those that some module of the host has declared


class Entry:
    """A kernel, called with the fields of `call`; other Python threads run on meanwhile, unless it is `brief`.

    A brief one takes some microseconds: less than it takes to get the interpreter back from another thread.

    `module` and `name` say where the device function is written, which is never imported here, except with
    NUMBA_DISABLE_JIT=1, when it is called as Python.
    """

    def __init__(self, module: str, name: str, call: type, python: Callable | None = None, brief: bool = False):
        self.module, self.name, self.call, self.python = module, name, call, python
        self.kind = (ctypes.PYFUNCTYPE if brief else ctypes.CFUNCTYPE)(None, ctypes.c_void_p)
        self.markers, self.function = list(leaves(call)), None
        entries[f"{module}.{name}"] = self

    def at(self, address: int) -> None:
        """From now on the machine code is at that address."""
        self.function = self.kind(address)

    def bind(self, *fields) -> Callable[[], None]:
        """A function without arguments that calls the kernel with these. Raises ArgumentError if they do not fit."""
        call = self.call(*fields)
        if not COMPILED:
            if self.python is None:
                self.python = getattr(importlib.import_module(f"{PACKAGE}.{self.module}"), self.name)
            return functools.partial(self.python, call)
        if self.function is None:
            from .runtime import complete

            complete()
        values = list(values_of(call))
        if len(values) != len(self.markers):
            raise ArgumentError(f"{self.name}: expected {len(self.markers)} values, found {len(values)}")
        row = (ctypes.c_int64 * len(values))(*self._words(values))
        return functools.partial(_call, self.function, row, values)

    def __call__(self, *fields) -> None:
        self.bind(*fields)()

    def _words(self, values: list) -> list[int]:
        try:
            return [word_of(value, marker) for value, marker in zip(values, self.markers, strict=True)]
        except (TypeError, AttributeError, ValueError) as error:
            raise ArgumentError(f"{self.name}: {error}") from None


def _call(function, row: ctypes.Array, owners: list) -> None:
    """`owners` only stay alive during the call: they hold the arrays."""
    function(row)
