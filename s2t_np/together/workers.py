"""Several schedulers side by side, one a Python thread: they share the model and one queue of waiting utterances.

Threads are enough, because most of the time is spent in kernels and matrix products, which release Python's lock. So
the weights are in memory only once.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from queue import SimpleQueue
from threading import Event, Lock
from typing import TypeVar

from ..errors import OptionError
from ..search import Asking
from ..system.helpers import is_lack_of_threads
from ..system.threads import own_threads
from .scheduler import StepTogether, together

R = TypeVar("R")


class Cancelled(Exception):
    """Raised in a worker after cancellation."""


class Waiting:
    """Utterances that several threads take from, each once and numbered; none once `cancel` is set."""

    def __init__(self, utterances: Iterable[Asking], cancel: Event):
        self.numbered, self.cancel, self.lock = enumerate(utterances), cancel, Lock()

    def __iter__(self) -> Iterator[tuple[int, Asking]]:
        return self

    def __next__(self) -> tuple[int, Asking]:
        with self.lock:
            if self.cancel.is_set():
                raise Cancelled
            return next(self.numbered)


def cancellable(function: Callable, cancel: Event) -> Callable:
    """The same function, which raises Cancelled once `cancel` is set."""

    @wraps(function)  # so that it can be told which function it is
    def checked(*args, **kwargs):
        if cancel.is_set():
            raise Cancelled
        return function(*args, **kwargs)

    return checked


def side_by_side(
    utterances: Iterable[Asking[R]], step: StepTogether, width: int, workers: int = 1
) -> Iterator[tuple[int, R]]:
    """(number, result) of every utterance as it ends; `workers` run up to `width` each, computing with one thread each.

    A single worker is the calling thread, with all threads of the process. Raises what an utterance raises, or what
    taking the next one from `utterances` raises. When the caller stops iterating, the workers are waited for; each
    stops at its next step. Where the system gives fewer threads, those work; where it gives none, the calling thread.
    """
    if workers == 1:
        yield from together(enumerate(utterances), step, width)
        return
    from concurrent.futures import ThreadPoolExecutor

    cancel, ended = Event(), SimpleQueue()
    waiting, step = Waiting(utterances, cancel), cancellable(step, cancel)

    def work() -> None:
        with own_threads(1):
            for result in together(waiting, step, width):
                ended.put(result)

    with ThreadPoolExecutor(workers) as pool:
        try:
            started = start(pool.submit, work, workers, ended.put)
            yield from until_done(ended, started) if started else together(waiting, step, width)
        finally:
            cancel.set()


def start(submit: Callable, work: Callable[[], None], workers: int, done: Callable) -> int:
    """Let up to that many threads work, as many as the system gives (`ulimit -u`): how many there are.

    `submit` is the pool's; `done` is called with the Future of each that has ended.
    """
    for started in range(workers):
        try:
            future = submit(work)
        except RuntimeError as error:
            if not is_lack_of_threads(error):
                raise
            return started
        future.add_done_callback(done)
    return workers


def until_done(ended: SimpleQueue, workers: int) -> Iterator:
    """All that workers put into the queue, until each has put its own Future there. Raises what a worker raised.

    Raises OptionError in a forked child, where no worker is.
    """
    from concurrent.futures import Future

    owner = os.getpid()
    while workers:
        if os.getpid() != owner:
            raise OptionError("this iteration was begun before a fork; expected the parent to go on with it")
        item = ended.get()
        if isinstance(item, Future):
            item.result()
            workers -= 1
        else:
            yield item
