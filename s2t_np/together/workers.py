"""Several schedulers side by side, one a Python thread: they share the model and the utterances of the calling thread.

Threads are enough, because most of the time is spent in kernels and matrix products, which release Python's lock. So
the weights are in memory only once. What one does in Python, such as the search, the others' kernels do not wait for;
and a kernel that has one thread waits for no other. (s2t-small, two cores, ten minutes of speech in segments, two
workers against one with both threads: float32 3.9 instead of 4.6 s, int8 1.42 instead of 1.94.)

The calling thread takes the utterances from where they come from, so that this may be something that only works there
(a cursor of a database, say), and gives them out.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import chain
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

from ..errors import OptionError
from ..search import Asking
from ..system.helpers import is_lack_of_threads
from ..system.threads import SharedThreads, get_threads, single_thread
from .scheduler import Company, Known, Running, StepTogether, together

R = TypeVar("R")
MOST = 4  # workers: a quarter of the time is Python's in int8, an eighth in float32, and one of them at a time has it
ENOUGH = 3  # utterances of each worker before there is another one: fewer are faster with all threads in one step
AHEAD = 4  # utterances that are given out before a worker asks for them; their sound is in memory
TAKEN = object()  # what a worker tells when it has taken an utterance


class Sharing(NamedTuple):
    """The numbers by which utterances share the decoder."""

    width: int = 1  # utterances that one worker decodes together
    workers: int = 1  # Python threads


ALONE = Sharing()  # one after another, in the calling thread


class Cancelled(Exception):
    """Raised in a worker after cancellation."""


class Ended(NamedTuple):
    """A worker tells this at its end."""

    error: BaseException | None


def cancellable(function: Callable, cancel: threading.Event) -> Callable:
    """The same function, which raises Cancelled once `cancel` is set."""

    @wraps(function)  # so that it can be told which function it is
    def checked(*args, **kwargs):
        if cancel.is_set():
            raise Cancelled
        return function(*args, **kwargs)

    return checked


class Crew:
    """Workers, and the two queues they live on.

    They are daemons: a process may end in the middle of an iteration that is never closed.
    """

    def __init__(self, step: StepTogether, width: int, most: int, enough: int):
        """Up to `most` workers; one more comes when those there have `enough` utterances each."""
        self.cancel, self.given, self.told = threading.Event(), SimpleQueue(), SimpleQueue()
        self.step, self.width, self.shared = cancellable(step, self.cancel), width, SharedThreads(get_threads())
        self.owner, self.threads, self.most = os.getpid(), [], most
        self.running, self.enough, self.ahead, self.more = 0, enough, 0, True

    def begin(self, expected: int) -> None:
        """Start as many workers as have enough to do, if that is more than one; none if the system gives no threads."""
        count = min(self.most, expected // (self.enough + 1))
        while count > 1 and len(self.threads) < min(count, self.most):
            self.enlarge()

    def enlarge(self, running: Iterator[Running] | None = None, count: int = 0) -> None:
        """Start one more worker, if the system gives a thread (`ulimit -u`); if not, try no more.

        It goes on with `running`, `count` utterances that have begun elsewhere.
        """
        name = f"s2t-np worker {len(self.threads) + 1}"
        thread = threading.Thread(target=self._work, args=(running,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not is_lack_of_threads(error):
                raise
            self.most = len(self.threads)
        else:
            self.threads.append(thread)
            self.running += count

    def _give(self, numbered: Iterator[tuple[int, Asking | Known]]) -> Iterator[tuple[int, R]]:
        """Give out the next utterance; there is one more worker for it if those there have enough to do.

        Looking for it (reading, finding speech) takes one thread: the workers have them all, and a call that waits for
        a second one waits long. What is Known needs no worker: (number, result) of it.
        """
        with single_thread():
            one = next(numbered, None)
        if one and isinstance(one[1], Known):
            yield one[0], one[1].result
            return
        self.given.put(one)
        self.ahead, self.more = self.ahead + 1, one is not None
        if one and len(self.threads) < self.most and self.running + self.ahead > len(self.threads) * self.enough:
            self.enlarge()

    def _taken(self) -> Iterator[tuple[int, Asking]]:
        """Utterances that are given to this worker; none once `cancel` is set."""
        while (one := self.given.get()) is not None and not self.cancel.is_set():
            self.told.put(TAKEN)
            yield one
        self.given.put(None)  # the others look for it, too

    def _work(self, running: Iterator[Running] | None) -> None:
        """Run utterances as long as there are any. A worker without one leaves its threads to the others."""
        waiting, error = self._taken(), None
        try:
            if running is not None:
                self._schedule(waiting, running)
            for one in waiting:
                self._schedule(chain([one], waiting))
        except BaseException as raised:  # whatever it is, the calling thread raises it
            error = raised
        self.told.put(Ended(error))

    def _schedule(self, numbered: Iterable[tuple[int, Asking]], running: Iterable[Running] = ()) -> None:
        """Run utterances with this worker's part of the threads."""
        with self.shared.part():
            for result in together(numbered, self.step, self.width, running):
                self.told.put(result)

    def run(self, numbered: Iterator[tuple[int, Asking[R] | Known]]) -> Iterator[tuple[int, R]]:
        """Give out numbered utterances, some before they are taken: (number, result) of each as it ends.

        The next is looked for only when nothing is told, as that may take long (a pipe that others write to). Raises
        what a worker raised; OptionError in a forked child, where no worker is.
        """
        ended = 0
        while ended < len(self.threads):
            if os.getpid() != self.owner:
                raise OptionError("this iteration was begun before a fork; expected the parent to go on with it")
            if self.more and self.ahead < AHEAD and self.told.empty():
                yield from self._give(numbered)
            elif (told := self.told.get()) is TAKEN:
                self.running, self.ahead = self.running + 1, self.ahead - 1
            elif not isinstance(told, Ended):
                self.running -= 1
                yield told
            elif told.error is None:
                ended += 1
            else:
                raise told.error

    def dismiss(self) -> None:
        """Wait for the workers; each stops at its next step."""
        self.cancel.set()
        self.given.put(None)
        for thread in self.threads:
            thread.join()


def workers_of(threads: int, batch: int | None = None) -> int:
    """The number of workers for the threads that may compute; each is to have two of a `batch` of utterances."""
    return min(threads, MOST, MOST if batch is None else max(1, batch // 2))


def dealt(batch: int, workers: int) -> Sharing:
    """A batch of utterances, in all, for at most that many workers."""
    workers = min(batch, workers)
    return Sharing(-(-batch // workers), workers)


def side_by_side(
    utterances: Iterable[Asking[R] | Known], step: StepTogether, sharing: Sharing, expected: int = 0
) -> Iterator[tuple[int, R]]:
    """(number, result) of every utterance as it ends; workers divide the threads of the caller.

    A few utterances, and all of a single worker, run in the calling thread, with all threads; so does everything where
    the system gives no more. Workers begin when there are more, or at once where enough are `expected`. Raises what an
    utterance raises, or what taking the next one from `utterances` raises. When the caller stops iterating, the workers
    are waited for; each stops at its next step.
    """
    numbered, (width, workers) = enumerate(utterances), sharing
    if workers == 1:
        yield from together(numbered, step, width)
        return
    company = Company(step, min(width, ENOUGH))
    crew, running = Crew(step, width, workers, company.width), iter(())
    try:
        crew.begin(expected)
        if not crew.threads:
            while len(company.running) < company.width or not (one := next(numbered, None)):
                yield from company.welcome(numbered)
                if not company.running:
                    return
                yield from company.advance()
            numbered, running = chain([one], numbered), company.leave()
            crew.enlarge(running, company.width)
        alone = together(numbered, step, width, running)
        yield from crew.run(numbered) if crew.threads else alone
    finally:
        crew.dismiss()
