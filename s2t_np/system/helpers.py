"""Python threads that help, as many as the system gives: where it gives no more, those there are do the work.

The limit is that of the user or of a container (`ulimit -u`, `pids.max`). Python says so by a RuntimeError.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

NO_THREADS = "the system gives no more threads (ulimit -u)"


def is_lack_of_threads(error: BaseException) -> bool:
    """Return whether an error says that the system gives no more threads: its class is that of many others."""
    return isinstance(error, RuntimeError) and "new thread" in str(error)


def started(thread: threading.Thread) -> bool:
    """Start a thread; False where the system gives no more."""
    try:
        thread.start()
    except RuntimeError as error:
        if not is_lack_of_threads(error):
            raise
        return False
    return True


class Raised(NamedTuple):
    """The result of work that has failed."""

    error: Exception


def mapped(work: Callable, arguments: Sequence[tuple], threads: int) -> list:
    """[work(*a) for a in arguments], by up to that many threads, of which the calling one is one.

    Raises what the first of them raises.
    """
    results = [None] * len(arguments)
    waiting = deque(enumerate(arguments))
    given = waiting, work, results
    helpers = (threading.Thread(target=work_off, args=given, daemon=True) for _ in range(threads - 1))
    helpers = [helper for helper in helpers if started(helper)]
    try:
        work_off(*given)
    finally:
        waiting.clear()  # Ctrl-C may have ended it early
        for helper in helpers:
            helper.join()
    for result in results:
        if isinstance(result, Raised):
            raise result.error
    return results


def work_off(waiting: deque[tuple[int, tuple]], work: Callable, results: list) -> None:
    """Take what waits, one after the other, and put its result, or its error, into its place."""
    while waiting:
        try:
            place, arguments = waiting.popleft()
        except IndexError:  # another thread was quicker
            return
        try:
            results[place] = work(*arguments)
        except Exception as error:
            results[place] = Raised(error)
