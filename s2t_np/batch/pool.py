"""Many pieces of work side by side: one thread for each, sharing the model; results as they are done, or in order.

Threads are enough, because most of the time is spent in kernels and matrix products, which release Python's lock. So
the weights are in memory only once. The work is cancelled when the caller stops iterating.
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


class Cancelled(Exception):
    """Raised in a worker after cancellation."""


def cancellable(model: S2T, cancel: Event) -> S2T:
    """The same model, which raises Cancelled at its next encoder or decoder step once `cancel` is set."""

    def checked(function: Callable) -> Callable:
        def call(*args, **kwargs):
            if cancel.is_set():
                raise Cancelled
            return function(*args, **kwargs)

        return call

    backend = model.backend
    own = {name: checked(getattr(backend, name)) for name in ("fbank", "encode", "step")}
    return replace(model, backend=backend._replace(**own))


def imap_unordered(work: Callable[[T], R], items: Sequence[T], jobs: int, cancel: Event) -> Iterator[tuple[int, R]]:
    """(index, work(item)) for every item as it is done, `jobs` at a time, each computing with one thread.

    A single job runs in the calling thread, with all threads of the process. Raises what `work` raises. At the end, or
    when the caller stops iterating, `cancel` is set, for `work` to see, and the workers are waited for.
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
            for done in as_completed(list(futures)):
                yield futures.pop(done), done.result()  # popped, so that the result can be freed
        finally:
            cancel.set()
            pool.shutdown(cancel_futures=True)


def in_order(results: Iterable[tuple[int, R]]) -> Iterator[tuple[int, R]]:
    """Results by index, each as soon as all earlier ones are there."""
    waiting: dict[int, R] = {}
    following = 0
    for index, result in results:
        waiting[index] = result
        while following in waiting:
            yield following, waiting.pop(following)
            following += 1
