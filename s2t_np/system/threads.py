"""How many threads compute: one number for the process, and one for a Python thread that wants its own.

    s2t_np.set_threads(4)             every later call, of every model; None: the default again
    with s2t_np.own_threads(1):       calls from this Python thread: many files, one per core

Compiled kernels ask `get_threads` at every call. OpenBLAS knows one number for the process: it is held to the smallest
that anybody asks for at the time, and left alone until somebody asks. The default is the processors this process may
use: those of its affinity, or fewer where a control group (a container with a CPU limit) gives it the time of fewer.
"""

import functools
import math
import operator
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OptionError
from . import openblas

MOST = 1024  # nobody means more, and each would be a thread


def time_limit(folder: Path) -> float:
    """Processors' worth of time that one control group may use, by the files of cgroup v2 or v1; inf is no limit."""
    try:
        if (both := folder / "cpu.max").exists():
            quota, period = both.read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # the root group has no such file; no limit is "max" or -1
        return math.inf


def group_limit(groups: str, root: Path) -> float:
    """The least time limit of a process's control groups and those above them.

    `groups`: the text of /proc/self/cgroup, lines of "number:controllers:/path"; `root`: where they are mounted.
    """
    limits = [math.inf]
    for _, controllers, path in (line.split(":", 2) for line in groups.splitlines()):
        if not controllers or "cpu" in controllers.split(","):
            base = root / "cpu" if controllers else root
            group = base / path.lstrip("/")
            limits += [time_limit(folder) for folder in (group, *group.parents) if folder.is_relative_to(base)]
    return min(limits)


@functools.cache
def processors() -> int:
    """How many processors this process may use, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    groups = Path("/proc/self/cgroup")
    limit = group_limit(groups.read_text(), Path("/sys/fs/cgroup")) if groups.exists() else math.inf
    return min(allowed, max(1, math.ceil(limit))) if limit < math.inf else allowed


class _Own(threading.local):
    """The number of one Python thread, if it has its own."""

    count: int | None = None


class _Process:
    """What is asked of the whole process: by set_threads, and by Python threads that hold themselves to fewer."""

    def __init__(self):
        self.lock, self.asked, self.held = threading.Lock(), None, []

    def hold_blas(self) -> None:
        """Tell OpenBLAS, which has one number for all; its own, from the environment, is the most it gets unasked."""
        openblas.set_threads(min([self.asked or min(_blas_default(), processors()), *self.held]))


@functools.cache
def _blas_default() -> int:
    """What OpenBLAS would use if nobody had told it."""
    return openblas.get_threads() or processors()


_own, _process = _Own(), _Process()


def checked(count: int) -> int:
    """A number of threads. Raises OptionError."""
    try:
        number = operator.index(count)
    except TypeError:
        number = 0
    if isinstance(count, bool) or not 1 <= number <= MOST:
        raise OptionError(f"threads is {count!r:.40}, expected a whole number from 1 to {MOST}")
    return number


def get_threads() -> int:
    """How many threads a call from this Python thread uses."""
    return _own.count or _process.asked or processors()


def set_threads(count: int | None = None) -> None:
    """Let every later call in this process use `count` threads, OpenBLAS included; None means the default.

    What compiled kernels compute does not depend on it. Raises OptionError.
    """
    with _process.lock:
        _blas_default()  # asked before it is changed
        _process.asked = None if count is None else checked(count)
        _process.hold_blas()


@contextmanager
def own_threads(count: int) -> Iterator[None]:
    """Within this, let calls from this Python thread use `count` threads, whatever the process uses.

    So several recordings are transcribed side by side, one per core. Raises OptionError.
    """
    before, count = _own.count, checked(count)
    with _process.lock:
        _blas_default()
        _process.held.append(count)
        _process.hold_blas()
    _own.count = count
    try:
        yield
    finally:
        _own.count = before
        with _process.lock:
            _process.held.remove(count)
            _process.hold_blas()
