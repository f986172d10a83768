"""From a device function to an object file, with documented interfaces of Numba and llvmlite only.

    adaptor         a function of plain numbers that puts together what the device function takes, and calls it
    numba.cfunc     compiles the adaptor and all helpers into one LLVM module, which `inspect_llvm` shows
    llvmlite        keeps one function of it for others to see, optimises, emits the object file

With NUMBA_OPT=0 (`compile_workers.py` sets it) Numba itself optimises nothing, so that everything is optimised once,
when all helpers are in it.
"""

import ctypes
import functools
import gc
import re
from collections.abc import Callable, Iterator

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic, register_jitable

from .arguments import PointerTo, fields_of, leaves, marker_of
from .device_types import Pointer
from .object_loader import Code, code_of, target_machine
from .options import OPTIONS

I64 = ir.IntType(64)
LLVM_TYPES = {types.int64: I64, types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
SAMPLES = {int: 0, float: 0.0, "float32": np.float32(0)}
WORDS = Pointer("int64")
PYTHON = re.compile(r"^(_?Py|numba_|NRT_)")  # what Numba's code would call to raise exceptions or count references


def _sample(kind):
    """A value of that kind."""
    if isinstance(kind, type) and hasattr(kind, "_fields"):
        return kind(*map(_sample, fields_of(kind)))
    marker = marker_of(kind)
    return tuple(map(_sample, fields_of(kind))) if fields_of(kind) else SAMPLES.get(marker, marker)


def typeof(kind):
    """Numba's type of an annotation."""
    return numba.typeof(_sample(kind))


def scalar(marker):
    """Return how a linked function takes a single value: pointers are integers."""
    return types.int64 if isinstance(marker, PointerTo) else numba.typeof(SAMPLES[marker])


def external(module: ir.Module, kind: ir.FunctionType, name: str) -> ir.Function:
    """The declaration of a function that is linked later. Numba loads what it compiles, though it never calls it,
    so LLVM must find something by that name.
    """
    if not name.startswith("llvm.") and llvm.address_of_symbol(name) is None:
        llvm.add_symbol(name, ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value)
    return module.globals.get(name) or ir.Function(module, kind, name)


@functools.cache
def _reinterpreter(result, llvm_type, argument=types.int64):
    """An intrinsic that takes the bits of an int64 for a value of another type."""

    @intrinsic
    def reinterpret(typing, word):
        def build(context, builder, sig, args):
            return builder.bitcast(args[0], llvm_type)

        return result(argument), build

    return reinterpret


@intrinsic
def _row_at(typing, pointer):
    """A C pointer to int64 as Words."""
    return WORDS(pointer), lambda context, builder, sig, args: builder.ptrtoint(args[0], I64)


_as_double = _reinterpreter(types.float64, ir.DoubleType())


@register_jitable(**OPTIONS)
def _as_single(word):
    return np.float32(_as_double(word))


def _expression(kind, words: Iterator[str], names: dict, row: bool) -> str:
    """Python that puts a value of that kind together from `words`; what else it names goes into `names`."""
    if fields := fields_of(kind):
        inside = ", ".join(_expression(field, words, names, row) for field in fields)
        if isinstance(kind, type) and hasattr(kind, "_fields"):
            names[f"{kind.__name__}_{len(names)}"] = kind
            return f"{list(names)[-1]}({inside})"
        return f"({inside},)"
    marker, word = marker_of(kind), next(words)
    if isinstance(marker, PointerTo):
        convert = _reinterpreter(Pointer(marker.dtype, marker.columns), I64)
    else:
        convert = {float: _as_double, "float32": _as_single}.get(marker) if row else None
    if convert is None:
        return word
    names[f"convert_{len(names)}"] = convert
    return f"{list(names)[-1]}({word})"


def compile_entry(name: str, function: Callable, call: type) -> Code:
    """The object file of `void name(int64 *row)`."""
    names = {"function": register_jitable(**OPTIONS)(function)}
    words = (f"row[{i}]" for i in range(len(list(leaves(call)))))
    body = eval(f"lambda row: function({_expression(call, words, names, True)})", names)
    names = {"body": register_jitable(**OPTIONS)(body), "row_at": _row_at}
    return _object_file(name, eval("lambda row: body(row_at(row))", names), "void(CPointer(int64))")


def compile_linked(name: str, function: Callable, kinds: list) -> Code:
    """The object file of a linked function, whose arguments are all single values."""
    slots = [scalar(leaf) for kind in kinds for leaf in leaves(kind)]
    parameters = [f"x{i}" for i in range(len(slots))]
    names, words = {"function": register_jitable(**OPTIONS)(function)}, iter(parameters)
    arguments = ", ".join(_expression(kind, words, names, False) for kind in kinds)
    return _object_file(name, eval(f"lambda {', '.join(parameters)}: function({arguments})", names), types.void(*slots))


def _object_file(name: str, adaptor: Callable, signature) -> Code:
    enabled = gc.isenabled()
    gc.disable()  # Numba's intermediate forms are many objects, none of them garbage: looking through them takes long
    try:
        compiled = cfunc(signature, **OPTIONS)(adaptor)
        module = llvm.parse_assembly(compiled.inspect_llvm())
    finally:
        if enabled:
            gc.enable()
    _keep_only(module, compiled.native_name, name)
    _optimise(module)
    return code_of(module)


def _keep_only(module, symbol: str, name: str) -> None:
    """Let others see one function, by its new name; what would call Python ends the process instead.

    Device code cannot raise, so that is never reached, and LLVM removes nearly all of it.
    """
    callbacks = [f for f in module.functions if f.is_declaration and PYTHON.match(f.name)]
    texts = [re.sub(r"\s*(#\d+)?\s*$", "", str(f).strip().splitlines()[-1]) for f in callbacks]
    bodies = [text.replace("declare", "define", 1) + " {\n call void @llvm.trap()\n unreachable\n}" for text in texts]
    module.link_in(llvm.parse_assembly("\n".join(["declare void @llvm.trap()", *bodies])))
    for symbol_or_variable in (*module.functions, *module.global_variables):
        if not symbol_or_variable.is_declaration:
            symbol_or_variable.linkage = "internal"
    kept = module.get_function(symbol)
    kept.name, kept.linkage = name, "external"


def _optimise(module) -> None:
    machine = target_machine()
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
