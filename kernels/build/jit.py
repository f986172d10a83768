"""How kernels are compiled: the only place with jit options.

    @kernel(types.void(ARRAY, INT))    an entry: explicit signature, compiled or loaded before its first call
    @part(types.void(ARRAY, INT))      a part of kernels, compiled or loaded once as well, which they call by name
    @inner                             a helper: compiled into the kernels and parts that call it

What an earlier run compiled is loaded and called without Numba (`objects.py`), which is not even imported: `late.py`
tells how kernels can be written in its words all the same. What is not in the cache is compiled by `compiler.py`. The
decorators only register what is needed; `jobs.py` has it done, for all at once.

Parts keep compilation short: Numba links a helper's code into every caller and optimises all of it again, level by
level (with helpers alone, all kernels took 12 s instead of 6.7). A part is optimised once; callers know only its name.

fastmath is down to `contract`, which fuses a b + c. `nnan` and `ninf` would break -inf masks and NaN, `reassoc` undoes
exp's argument reduction and its two-step scaling (seen: exp(88.4) = inf), and the sums that it would vectorise are
written as vectors already (`vector.py`). NUMBA_DISABLE_JIT=1 makes the decorators do nothing, and every
kernel runs as the Python it is written in.
"""

import functools
import os
from collections.abc import Callable

from . import object_loader
from .compile_queue import Job, add, complete, statistics
from .lazy_numba import later, now, types, wake, when_compiling
from .object_loader import Compiled, Entry

__all__ = ["ADDRESS_1", "ADDRESS_2", "ADDRESS_3", "ARRAY", "COMPILED", "FLOAT", "INT", "bind", "complete"]
__all__ += ["emitted", "inner", "kernel", "part", "statistics"]

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


def _compiler():
    """The module that knows Numba."""
    from . import compiler

    wake()
    return compiler


def _register(function, signature, use: Callable = lambda address, compiled: None) -> str:
    """Have a function compiled or loaded, and then used; the name it will have."""
    name = f"{function.__module__}.{function.__name__}"

    def make() -> bytes:
        return _compiler().machine_code(function, now(signature), OPTIONS).pack()

    def load(packed: bytes) -> None:
        compiled = Compiled.unpack(packed)
        use(object_loader.load(name, compiled), compiled)

    add(Job(name, function.__module__, make, load))
    return name


def kernel(signature):
    """A function to be called from Python; with other types than these it refuses, with a TypeError."""

    def decorate(function):
        if not COMPILED:
            return function
        entry = Entry(f"{function.__module__}.{function.__name__}", complete)
        _register(function, signature, lambda address, compiled: entry.enter(address, compiled.kinds))
        return entry

    return decorate


class Part:
    """A compiled function that kernels call by the name the linker knows it by."""

    def __init__(self, function, signature):
        self.name, self.signature = _register(function, signature), signature
        when_compiling(lambda: _compiler().declare(self))


def part(signature):
    """A function for kernels and other parts to call."""
    return lambda function: Part(function, signature) if COMPILED else function


def emitted(name: str, module: str, symbols: list[str], emit: Callable[[], bytes]) -> None:
    """Functions that `module` writes in LLVM's language itself; `emit` gives their object file."""

    def make() -> bytes:
        wake()
        return emit()

    add(Job(name, module, make, lambda code: object_loader.link(code, symbols)))


def inner(function):
    """A helper of kernels; it has no signature of its own and is cached as part of them."""
    return later(lambda: _compiler().helper(function, OPTIONS)) if COMPILED else function


def bind(function, *arguments):
    """`function`, a kernel, with its arguments: to be called several times without arguments."""
    return function.bind(*arguments) if COMPILED else functools.partial(function, *arguments)
