"""From a Python function to machine code: the only file that imports Numba, and only imported when there is a need.

Numba types the function and lowers it to LLVM; the wrappers by which Python would call it are left out, and its code is
emitted as an object file, which `objects.py` puts into memory in this run as in all later ones.
"""

import contextlib
import gc
import operator
from collections.abc import Iterator

import numba
from numba.core import compiler
from numba.core.cgutils import get_or_insert_function
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from .late import now
from .objects import Compiled, llvm_types

types = numba.types


def helper(function, options: dict):
    """A function that is compiled into its callers."""
    return numba.njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def kinds_of(signature) -> list[str]:
    """What `objects` needs to know of the arguments, those in tuples one by one."""
    kinds = []
    for kind in signature.args:
        for leaf in kind if isinstance(kind, types.BaseTuple) else [kind]:
            named = {types.int64: "i", types.float32: "f", types.float64: "d", types.boolean: "b"}
            kinds.append(f"{leaf.dtype} {leaf.ndim}" if isinstance(leaf, types.Array) else named[leaf])
    return kinds


def _check_convention(function, kinds: list[str]) -> None:
    """Raise RuntimeError if this version of Numba hands arguments over in another way than `objects` does."""
    found = [str(argument.type).replace("i8*", "ptr") for argument in function.arguments][2:]
    if found != (expected := [name for kind in kinds for name in llvm_types(kind)]):
        raise RuntimeError(f"Numba {numba.__version__} passes {found}, expected {expected}")


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Numba's intermediate forms are many objects, none of them garbage: looking through them takes a second in all."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def machine_code(function, signature, options: dict) -> Compiled:
    """Compile `function` for that signature, which gives no result; `options` are those of numba.njit."""
    flags = compiler.Flags()
    cpu_target.options.parse_as_flags(flags, {"nopython": True} | options)
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    contexts = cpu_target.typing_context, cpu_target.target_context
    with global_compiler_lock, _without_collections():
        for context in contexts:
            context.refresh()
        result = compiler.compile_extra(*contexts, function, signature.args, signature.return_type, flags, {})
        result.library.finalize()
    module, symbol = result.library._final_module, result.fndesc.llvm_func_name
    kinds = kinds_of(signature)
    _check_convention(module.get_function(symbol), kinds)
    called = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    return Compiled(symbol, kinds, called, result.library.codegen._tm.emit_object(module))


def declare(part) -> None:
    """Teach Numba that `part` is a function which kernels reach by its name."""
    signature = now(part.signature)

    class Template(AbstractTemplate):
        key = part

        def generic(self, args, kws):
            return signature if len(args) == len(signature.args) else None

    infer_global(part, types.Function(Template))

    @lower_builtin(part, *signature.args)
    def call(context, builder, sig, args):
        kind = context.call_conv.get_function_type(sig.return_type, sig.args)
        target = get_or_insert_function(builder.module, kind, part.name)
        return context.call_conv.call_function(builder, target, sig.return_type, sig.args, args)[1]


def vector_type(name: str, vector):
    """A type of Numba's whose values are LLVM vectors, with +, -, * and /."""
    kind = type(name, (types.Type,), {})(name)

    @register_model(type(kind))
    class Model(models.PrimitiveModel):
        def __init__(self, manager, kind):
            super().__init__(manager, kind, vector)

    for operation, instruction in ARITHMETIC.items():
        _arithmetic(kind, operation, instruction)
    return kind


ARITHMETIC = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}


def _arithmetic(kind, operation, instruction: str) -> None:
    """Let `operation` take two values of that kind."""

    @infer_global(operation)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            return signature(kind, kind, kind) if args == (kind, kind) else None

    @lower_builtin(operation, kind, kind)
    def lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args)
