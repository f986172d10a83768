"""Makes sure that every kernel is in memory: from the cache of an earlier run, or compiled now."""

import sys
import time
import warnings

from ..forks import RenewedLock
from . import cache, compile_workers
from .compile_workers import BuildError
from .entry import entries
from .object_loader import Code, Unusable, load

SECONDS = 16  # that all kernels take on one core where this was written

statistics = {"loaded": 0, "compiled": 0, "seconds": 0.0}  # object files, and how long it took: what `info` says
_addresses: dict[str, int] = {}
_lock = RenewedLock()


def complete(private: bool = True) -> None:
    """Put all machine code into memory and tell every entry its address; again, only entries that are new.

    Where kernels cannot be kept, every run would have to compile them: one warning says so, and with `private` false
    it is not done. Raises BuildError.
    """
    with _lock.lock:
        if not _addresses:
            started = time.perf_counter()
            try:
                _addresses.update(_load(private))
            except Unusable as error:
                raise BuildError(str(error)) from None
            statistics["seconds"] += time.perf_counter() - started
        for name, entry in entries.items():
            if entry.function is None and name in _addresses:
                entry.at(_addresses[name])


def _load(private: bool) -> dict[str, int]:
    """Addresses by name."""
    try:
        if (addresses := _kept()) is None:
            cache.check_writable()
            with cache.turn(_tell_that_it_waits):
                addresses = _kept() or _made()
    except cache.Unkept as error:
        if not private:
            raise BuildError(f"compiled kernels cannot be kept: {error}; S2T_NP_CACHE_DIR chooses a place") from None
        _warn(error)
        addresses = load(_compile())
    return addresses


def _kept() -> dict[str, int] | None:
    """Addresses of the kernels in the cache, None if there are none that can be used. Raises Unkept."""
    if (codes := cache.read()) is None:
        return None
    try:
        addresses = load(codes)
    except Unusable:  # what can be compiled can be used
        return None
    statistics["loaded"] += len(codes)
    return addresses


def _made() -> dict[str, int]:
    """Addresses of kernels that are compiled now, and kept if that is possible."""
    addresses = load(codes := _compile())
    try:
        cache.write(codes)
    except cache.Unkept as error:
        _warn(error)
    return addresses


def _tell_that_it_waits() -> None:
    print("s2t-np: another process is compiling kernels; waiting for it ...", file=sys.stderr, flush=True)


def _compile() -> list[Code]:
    about = 2 + SECONDS / (compile_workers.processes() if compile_workers.python() else 1)
    print(f"s2t-np: compiling kernels for this processor (once; about {about:.0f} s) ...", file=sys.stderr, flush=True)
    codes = compile_workers.compile_all()
    statistics["compiled"] += len(codes)
    return codes


def _warn(reason) -> None:
    text = f"compiled kernels are not kept ({reason}); every run compiles anew. S2T_NP_CACHE_DIR chooses a place"
    warnings.warn(text, RuntimeWarning, stacklevel=4)
