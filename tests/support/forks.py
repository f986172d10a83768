"""Children forked by tests, while another thread of this process may hold a lock."""

import os
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import contextmanager

from tools.kill_batch import ended

LIMIT = 60  # seconds after which a child counts as hung


def child(work: Callable[[], bool]) -> int:
    """Run `work` in a forked child; its exit code, 0 if `work` returned True, or -SIGKILL if it hung."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads, from Python 3.12 on
        pid = os.fork()
    if not pid:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    if (code := ended(pid, LIMIT)) is not None:
        return code
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextmanager
def held_by_another_thread(lock: threading.Lock):
    """Within this context, another thread holds the lock."""
    held, leave = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        yield
    finally:
        leave.set()
        holder.join()
