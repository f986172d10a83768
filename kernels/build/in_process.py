"""Kernels written elsewhere, for tests and benchmarks: compiled in this process, which imports Numba for it."""

import typing
from collections.abc import Callable

from . import device, object_loader
from .entry import Entry
from .options import COMPILED


def compiled(function: Callable) -> Entry:
    """A function under `@entry` as what the host calls. Its helpers are inlined; it may call tiles and linked ones
    of this package once `runtime.complete` has loaded them.
    """
    (call,) = typing.get_type_hints(function).values()
    module, _, name = device.name_of(function).rpartition(".")
    kernel = Entry(module, name, call, function)
    if COMPILED:
        kernel.at(object_loader.load([device.functions[f"{module}.{name}"]()])[f"{module}.{name}"])
    return kernel
