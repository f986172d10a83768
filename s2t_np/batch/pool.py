"""Many pieces of work side by side: one thread each, sharing the model; results as they are done, or in order.

Threads suffice since what takes the time, kernels and matrix products, runs outside of Python's lock; so the weights
are in memory once. Whoever stops iterating stops the work.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from threading import Event
from typing import TypeVar

from ..model import S2T
from ..system.threads import own_threads

T = TypeVar("T")
R = TypeVar("R")


class Stopped(Exception):
    """Raised within work that nobody waits for any more."""


def stoppable(model: S2T, stop: Event) -> S2T:
    """The same model, raising Stopped at the next step or encoder it begins once `stop` is set."""

    def checked(function: Callable) -> Callable:
        def call(*args, **kwargs):
            if stop.is_set():
                raise Stopped
            return function(*args, **kwargs)

        return call

    backend = model.backend
    own = {name: checked(getattr(backend, name)) for name in ("fbank", "encode", "step")}
    return replace(model, backend=backend._replace(**own))


def completed(work: Callable[[T], R], items: Sequence[T], jobs: int, stop: Event) -> Iterator[tuple[int, R]]:
    """(index, work(item)) of every item as it is done, `jobs` at a time, each computing with one thread.

    One job is done here, in the calling thread, with all threads the process has. What `work` raises is raised here. In
    the end, or when the caller has enough, `stop` is set, for `work` to see, and waited for.
    """
    if jobs == 1:
        yield from ((index, work(item)) for index, item in enumerate(items))
        return

    def alone(item: T) -> R:
        with own_threads(1):
            return work(item)

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(alone, item): index for index, item in enumerate(items)}
        try:
            yield from ((futures[done], done.result()) for done in as_completed(list(futures)))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def in_order(results: Iterable[tuple[int, R]]) -> Iterator[tuple[int, R]]:
    """Results by index, each as soon as all before it are there."""
    waiting: dict[int, R] = {}
    following = 0
    for index, result in results:
        waiting[index] = result
        while following in waiting:
            yield following, waiting.pop(following)
            following += 1
