"""Machine code that must be in memory before kernels run: from the cache of an earlier run, or compiled now.

Modules only register what they need when they are imported. All of it is put into memory by `complete`, which whoever
wants to know that it works calls, or else the first call of a kernel. So everything that is missing is known at once,
and several processes can share it (`assistants.py`). A job's code may call that of jobs registered before it.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from . import compile_workers, cache
from .object_loader import Unusable


class Job(NamedTuple):
    """A function, or a family of them, that is compiled as a whole."""

    name: str
    module: str  # which registers it when it is imported
    make: Callable[[], bytes]  # compiles
    load: Callable[[bytes], None]  # puts into memory what `make` gave; raises Unusable

    @property
    def kept(self) -> bool:
        """Whether the cache may have it: the hash that keeps the cache true covers this package only."""
        return self.module.startswith(f"{__package__.rpartition('.')[0]}.")


statistics = {"loaded": 0, "compiled": 0, "seconds": 0.0}  # what `info` and the tests read
_waiting: list[Job] = []
_lock = threading.RLock()


def add(job: Job) -> None:
    """Have the next `complete` put it into memory."""
    _waiting.append(job)


def _keep(job: Job, code: bytes) -> bytes:
    if job.kept:
        cache.write(job.name, code)
    return code


def _share(jobs: list[Job]) -> dict[str, bytes]:
    """The code of all of them, made by as many processes as there is work for; kept as it comes."""
    made, tasks = {}, deque(jobs)

    def keep(job, code):
        made[job.name] = _keep(job, code)

    def work():
        while (job := compile_workers.take(tasks.popleft)) is not None:
            keep(job, job.make())

    with compile_workers.assisted(__name__, tasks, keep):
        work()
    work()  # what an assistant has left undone
    return made


def _say(count: int) -> None:
    """It takes a while: a quarter of a second for each where this was written, and two seconds to begin with."""
    about = f"{2 + 0.25 * count / compile_workers.processes(count):.0f} s"
    print(f"s2t-np: compiling kernels for this processor (once; about {about}) ...", file=sys.stderr, flush=True)


def _load(job: Job, code: bytes | None) -> None:
    """Put it into memory; code that cannot be used, or is not there, is made now."""
    try:
        job.load(_keep(job, job.make()) if code is None else code)
    except Unusable as error:
        cache.warn(error)
        statistics["compiled"] += 1
        statistics["loaded"] -= 1
        job.load(_keep(job, job.make()))


def complete() -> None:
    """Put into memory all that was registered, compiling what the cache does not have."""
    with _lock:
        if not _waiting:
            return
        started = time.perf_counter()
        kept = [job for job in _waiting if job.kept]
        found = {job.name: code for job in kept if (code := cache.read(job.name)) is not None}
        statistics["loaded"] += len(found)
        if missing := len(_waiting) - len(found):
            _say(missing)
            statistics["compiled"] += missing
            found |= _share([job for job in kept if job.name not in found])
        while _waiting:
            _load(_waiting[0], found.get(_waiting[0].name) if _waiting[0].kept else None)
            del _waiting[0]
        statistics["seconds"] += time.perf_counter() - started


def serve(modules: list[str]) -> None:
    """Compile for another process, which has started this one."""
    compile_workers.serve(modules, lambda name: next(job for job in _waiting if job.name == name).make())
