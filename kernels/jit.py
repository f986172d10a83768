"""How kernels are compiled: the only place with jit options.

    @kernel(types.void(ARRAY, INT))    an entry: explicit signature, compiled or loaded when its module is imported
    @part(types.void(ARRAY, INT))      a part of kernels, compiled or loaded once as well, which they call by name
    @inner                             a helper: compiled into the kernels and parts that call it

Parts keep compilation short: Numba links a helper's code into every caller and optimises all of it again, level by
level (with helpers alone, all kernels took 12 s instead of 6.7). A part is optimised once; callers know only its name.

fastmath is down to `contract`, which fuses a b + c. `nnan` and `ninf` would break -inf masks and NaN, `reassoc` undoes
exp's argument reduction and its two-step scaling (seen: exp(88.4) = inf), and the sums that it would vectorise are
written as vectors already (`vector.py`). NUMBA_DISABLE_JIT=1 makes both decorators do nothing, and every
kernel runs as the Python it is written in.
"""

import pickle
import sys
import time

import llvmlite.binding
import numba
from numba.core import config
from numba.core.cgutils import get_or_insert_function
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin

from . import cache

OPTIONS = {
    "nogil": True,
    "fastmath": {"contract"},
    "boundscheck": False,
    "error_model": "numpy",
}
COMPILED = not config.DISABLE_JIT

# for signatures: arrays of kernels are flat; an address with one or two strides
ARRAY, INT, FLOAT = numba.types.float32[::1], numba.types.int64, numba.types.float32
ADDRESS_1, ADDRESS_2, ADDRESS_3 = (numba.types.UniTuple(INT, n) for n in (2, 3, 4))

statistics = {"loaded": 0, "compiled": 0, "seconds": 0.0}  # what `info` and the tests read


class KernelCache:
    """What Numba's dispatcher expects of a cache, over `cache.read` and `cache.write`; says when it compiles."""

    def __init__(self, name: str):
        self.name = name

    def load_overload(self, signature, target_context):
        """The compiled kernel as an earlier run stored it; None means "compile"."""
        target_context.refresh()
        if (payload := cache.read(self.name)) is not None:
            try:
                result = CompileResult._rebuild(target_context, *pickle.loads(payload))
                statistics["loaded"] += 1
                return result
            except Exception as error:  # whatever Numba makes of a strange file, compiling anew is right
                cache.warn(f"{self.name} cannot be loaded: {error}")
        if statistics["compiled"] == 0:
            print("s2t-np: compiling kernels for this processor (once; about 10 s) ...", file=sys.stderr, flush=True)
        statistics["compiled"] += 1
        return None

    def save_overload(self, signature, result) -> None:
        """Store what was compiled."""
        cache.write(self.name, dumps(result._reduce()))


def _compile(function, signature, **options):
    """A dispatcher with one signature, its code from the cache or made now."""
    dispatcher = numba.njit(**OPTIONS, **options)(function)
    if function.__module__.startswith(f"{__package__}."):  # the hash that keeps the cache true covers only these
        dispatcher._cache = KernelCache(f"{function.__module__}.{function.__name__}")
    started = time.perf_counter()
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    statistics["seconds"] += time.perf_counter() - started
    return dispatcher


def kernel(signature):
    """Compile now, or load what an earlier run compiled; calls with other types are refused with a TypeError."""
    return lambda function: _compile(function, signature) if COMPILED else function


class Part:
    """A compiled function that kernels call by the name the linker knows it by."""

    def __init__(self, function, signature):
        self.name = f"s2t_np.{function.__module__}.{function.__name__}"
        self.code = _compile(function, signature, no_cpython_wrapper=True, no_cfunc_wrapper=True)
        result = self.code.overloads[signature.args]
        address = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
        llvmlite.binding.add_symbol(self.name, address)


def part(signature):
    """Compile or load now, for kernels and other parts to call."""

    def decorate(function):
        if not COMPILED:
            return function
        result = Part(function, signature)

        class Template(AbstractTemplate):
            key = result

            def generic(self, args, kws):
                return signature if len(args) == len(signature.args) else None

        infer_global(result, numba.types.Function(Template))

        @lower_builtin(result, *signature.args)
        def call(context, builder, sig, args):
            kind = context.call_conv.get_function_type(sig.return_type, sig.args)
            target = get_or_insert_function(builder.module, kind, result.name)
            return context.call_conv.call_function(builder, target, sig.return_type, sig.args, args)[1]

        return result

    return decorate


def inner(function):
    """A helper of kernels; it has no signature of its own and is cached as part of them."""
    return numba.njit(**OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function) if COMPILED else function
