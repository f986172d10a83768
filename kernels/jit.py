"""How kernels are compiled: the only place with jit options.

    @kernel(types.void(ARRAY, INT))    an entry: explicit signature, compiled or loaded when its module is imported
    @part(types.void(ARRAY, INT))      a part of kernels, compiled or loaded once as well, which they call by name
    @inner                             a helper: compiled into the kernels and parts that call it

What an earlier run compiled is loaded and called without Numba (`objects.py`), which is not even imported: `late.py`
tells how kernels can be written in its words all the same. What is not in the cache is compiled by `compiler.py`.

Parts keep compilation short: Numba links a helper's code into every caller and optimises all of it again, level by
level (with helpers alone, all kernels took 12 s instead of 6.7). A part is optimised once; callers know only its name.

fastmath is down to `contract`, which fuses a b + c. `nnan` and `ninf` would break -inf masks and NaN, `reassoc` undoes
exp's argument reduction and its two-step scaling (seen: exp(88.4) = inf), and the sums that it would vectorise are
written as vectors already (`vector.py`). NUMBA_DISABLE_JIT=1 makes the decorators do nothing, and every
kernel runs as the Python it is written in.
"""

import functools
import os
import sys
import time

from . import cache, objects
from .late import later, now, types, wake, when_compiling
from .objects import Compiled, Entry, Unusable

OPTIONS = {
    "nogil": True,
    "fastmath": {"contract"},
    "boundscheck": False,
    "error_model": "numpy",
    "_nrt": False,  # no reference counts: kernels make no arrays
}
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")

# for signatures: arrays of kernels are flat; an address with one or two strides
ARRAY, INT, FLOAT = types.float32[::1], types.int64, types.float32
ADDRESS_1, ADDRESS_2, ADDRESS_3 = (types.UniTuple(INT, n) for n in (2, 3, 4))

statistics = {"loaded": 0, "compiled": 0, "seconds": 0.0}  # what `info` and the tests read


def _compiler():
    """The module that knows Numba."""
    from . import compiler

    wake()
    return compiler


def _compile(name: str, function, signature) -> Compiled:
    """The machine code of a function, made now; said aloud, for it takes a while."""
    if statistics["compiled"] == 0:
        print("s2t-np: compiling kernels for this processor (once; about 15 s) ...", file=sys.stderr, flush=True)
    statistics["compiled"] += 1
    return _compiler().machine_code(function, now(signature), OPTIONS)


def _load(name: str) -> tuple[int, Compiled] | None:
    """What an earlier run compiled, put into memory: its address; None if there is none that can be used."""
    if (packed := cache.read(name)) is None:
        return None
    try:
        compiled = Compiled.unpack(packed)
        address = objects.load(name, compiled)
    except Unusable as error:
        cache.warn(error)
        return None
    statistics["loaded"] += 1
    return address, compiled


def _prepare(function, signature) -> tuple[str, int, Compiled]:
    """Name, address and description of a compiled function, from the cache or made now."""
    started = time.perf_counter()
    name = f"{function.__module__}.{function.__name__}"
    kept = function.__module__.startswith(f"{__package__}.")  # the hash that keeps the cache true covers only these
    loaded = _load(name) if kept else None
    if loaded is None:
        compiled = _compile(name, function, signature)
        if kept:
            cache.write(name, compiled.pack())
        loaded = objects.load(name, compiled), compiled
    statistics["seconds"] += time.perf_counter() - started
    return name, *loaded


def kernel(signature):
    """Compile now, or load what an earlier run compiled; calls with other types are refused with a TypeError."""

    def decorate(function):
        if not COMPILED:
            return function
        name, address, compiled = _prepare(function, signature)
        return Entry(name, address, compiled.kinds)

    return decorate


class Part:
    """A compiled function that kernels call by the name the linker knows it by."""

    def __init__(self, function, signature):
        self.name, self.signature = _prepare(function, signature)[0], signature
        when_compiling(lambda: _compiler().declare(self))


def part(signature):
    """Compile or load now, for kernels and other parts to call."""
    return lambda function: Part(function, signature) if COMPILED else function


def inner(function):
    """A helper of kernels; it has no signature of its own and is cached as part of them."""
    return later(lambda: _compiler().helper(function, OPTIONS)) if COMPILED else function


def bind(function, *arguments):
    """`function`, a kernel, with its arguments: to be called several times without arguments."""
    return function.bind(*arguments) if COMPILED else functools.partial(function, *arguments)
