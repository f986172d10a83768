"""The number of threads that compute: one number for the process, and one for a Python thread that wants its own.

    s2t_np.set_threads(4)             every later call, of every model; None: the default again
    with s2t_np.own_threads(1):       calls from this Python thread: many files, one per core

Python threads that work on the same thing divide a number among them (`SharedThreads`).

Compiled kernels ask `get_threads` at every call. OpenBLAS has one number for the whole process: it is set to the
smallest one asked for at the time, and not changed before the first call. The default is the number of processors this
process may use: those of its affinity mask, or fewer if a control group (a container with a CPU limit) allows less.
"""

import functools
import math
import operator
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OptionError
from . import openblas
from .forks import renew_in_child

MOST = 1024  # upper bound; larger values are rejected as mistakes


def time_limit(folder: Path) -> float:
    """Return how many processors a control group may keep busy, by the files of cgroup v2 or v1; inf without a
    limit.
    """
    try:
        if (both := folder / "cpu.max").exists():
            quota, period = both.read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # the root group lacks these files; "max" or -1 mean no limit
        return math.inf


def group_limit(groups: str, root: Path) -> float:
    """The smallest limit of a process's control groups and their parents, in processors; inf without a limit.

    `groups`: the text of /proc/self/cgroup, lines of "number:controllers:/path"; `root`: where cgroups are mounted.
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
    """Return how many processors this process may use, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    groups = Path("/proc/self/cgroup")
    limit = group_limit(groups.read_text(), Path("/sys/fs/cgroup")) if groups.exists() else math.inf
    return min(allowed, max(1, math.ceil(limit))) if limit < math.inf else allowed


class _Own(threading.local):
    """The numbers of one Python thread, the innermost `own_threads` last."""

    def __init__(self):
        self.counts: list[Callable[[], int]] = []


class _Process:
    """The threads requested for the whole process: by set_threads, and by Python threads that limit themselves."""

    def __init__(self):
        self.lock, self.asked, self.held = threading.Lock(), None, []

    def hold_blas(self) -> None:
        """Set OpenBLAS' one number; without a call of `set_threads` it is at most that of its environment variable."""
        openblas.set_threads(min([self.asked or min(_blas_default(), processors()), *(own() for own in self.held)]))

    def renew(self) -> None:
        """In a forked child: a fresh lock, and only the limits of the one thread that is there."""
        self.lock, self.held = threading.Lock(), list(_own.counts)


@functools.cache
def _blas_default() -> int:
    """Return how many threads OpenBLAS uses by itself."""
    return openblas.get_threads() or processors()


_own, _process = _Own(), _Process()
renew_in_child(_process.renew)


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
    """Return how many threads a call from this Python thread uses."""
    return _own.counts[-1]() if _own.counts else _process.asked or processors()


def set_threads(count: int | None = None) -> None:
    """Let every later call in this process use `count` threads, OpenBLAS included; None means the default.

    What compiled kernels compute does not depend on it. Raises OptionError.
    """
    with _process.lock:
        _blas_default()  # read before it is changed
        _process.asked = None if count is None else checked(count)
        _process.hold_blas()


@contextmanager
def own_threads(count: int) -> Iterator[None]:
    """Within this context, calls from this Python thread use `count` threads, whatever the process uses.

    This is how several recordings are transcribed side by side, one per core. Raises OptionError.
    """
    count = checked(count)
    with _limited(lambda: count):
        yield


@contextmanager
def _counted(own: Callable[[], int]) -> Iterator[None]:
    """Within this context, own() is the number of this Python thread."""
    _own.counts.append(own)
    try:
        yield
    finally:
        _own.counts.remove(own)  # not the last: a generator that is run in here may have begun a context of its own


@contextmanager
def single_thread() -> Iterator[None]:
    """Within this context, compiled kernels that this Python thread calls use one thread; OpenBLAS is left as it is.

    It takes a microsecond, and is for what is done beside those who have all the threads.
    """
    with _counted(lambda: 1):
        yield


@contextmanager
def _limited(own: Callable[[], int]) -> Iterator[None]:
    """Within this context, calls from this Python thread use own() threads."""
    with _process.lock:
        _blas_default()
        _process.held.append(own)
        _process.hold_blas()
    try:
        with _counted(own):
            yield
    finally:
        with _process.lock:
            _process.held.remove(own)
            _process.hold_blas()


class SharedThreads:
    """Threads that several Python threads divide among them, so that all are used however few have something to do."""

    def __init__(self, count: int):
        """`count`: threads of all together."""
        self.count, self.members = count, []

    def _part(self, member: object) -> int:
        """The threads of a member, one at least; for one that is just leaving, all of them."""
        members = tuple(self.members)
        if member not in members:
            return self.count
        return max(1, self.count // len(members) + (members.index(member) < self.count % len(members)))

    @contextmanager
    def part(self) -> Iterator[None]:
        """Within this context, calls from this Python thread use an equal part, which changes as others come and go."""
        member = object()
        self.members.append(member)
        with _limited(lambda: self._part(member)):
            try:
                yield
            finally:
                self.members.remove(member)
