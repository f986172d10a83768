"""The decorators of device code, which only the processes that compile import.

    @inlined def f(x, i): ...                        a helper, compiled into every function that calls it
    @linked  def f(x: int, w: Floats): ...           machine code of its own, called by name; its annotations are its
                                                     signature (`arguments.py`), and it returns nothing
    @entry   def f(call: EncoderCall): ...           called from Python; `call` is a NamedTuple with annotated fields

`linked` keeps compilation short: Numba compiles a helper's code into every caller and all of it is optimised again,
level by level. Linked functions are optimised once; callers know only their names. All kernels take 17.3 s of one core
so, 21.7 s with helpers alone (2026-11, Numba 0.68), of which the encoder is 7.3 s in one piece that no second process
can share; linked, no function takes more than 1.9 s.

`functions` is what there is to compile: a name, and a function that gives its object file.
"""

import functools
import inspect
import typing
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

from .arguments import fields_of, leaves
from .compiler import LLVM_TYPES, compile_entry, compile_linked, external, scalar, typeof
from .entry import PACKAGE
from .object_loader import Code
from .options import COMPILED, OPTIONS

functions: dict[str, Callable[[], Code]] = {}


def name_of(function) -> str:
    """The symbol of a device function: its place within this package."""
    return f"{function.__module__.removeprefix(PACKAGE + '.')}.{function.__name__}"


def inlined(function: Callable) -> Callable:
    """A helper: compiled into its callers."""
    return register_jitable(**OPTIONS)(function) if COMPILED else function


def entry(function: Callable) -> Callable:
    """A kernel that the host calls through an `entry.Entry` of the same module, name and call structure."""
    if COMPILED:
        functions[name_of(function)] = functools.partial(
            compile_entry, name_of(function), function, _kinds(function)[0]
        )
    return function


def linked(function: Callable) -> Callable:
    """A function with machine code of its own, for entries and other linked functions to call."""
    if not COMPILED:
        return function
    name, kinds = name_of(function), _kinds(function)
    functions[name] = functools.partial(compile_linked, name, function, kinds)
    return _caller(name, function, kinds)


def emitted(name: str, emit: Callable[[], Code]) -> None:
    """Functions written in LLVM's language (`simd/tile.py`); `emit` gives their object file."""
    functions[name] = emit


def _kinds(function) -> list:
    hints = typing.get_type_hints(function, include_extras=True)
    return [hints[name] for name in inspect.signature(function).parameters]


def _flatten(builder, kind, value) -> list:
    """The single LLVM values in a value of that kind."""
    fields = fields_of(kind)
    parts = [builder.extract_value(value, i) for i in range(len(fields))]
    return [x for field, part in zip(fields, parts, strict=True) for x in _flatten(builder, field, part)] or [value]


def _caller(name: str, function, kinds: list):
    """The intrinsic that calls a linked function: tuples taken apart, pointers as integers."""
    slots = [LLVM_TYPES[scalar(leaf)] for kind in kinds for leaf in leaves(kind)]
    signature, prototype = types.void(*map(typeof, kinds)), ir.FunctionType(ir.VoidType(), slots)

    def build(context, builder, sig, args):
        values = [x for kind, value in zip(kinds, args, strict=True) for x in _flatten(builder, kind, value)]
        builder.call(external(builder.module, prototype, name), values)
        return context.get_dummy_value()

    parameters = ", ".join(inspect.signature(function).parameters)
    return intrinsic(eval(f"lambda typing, {parameters}: (signature, build)", {"signature": signature, "build": build}))
