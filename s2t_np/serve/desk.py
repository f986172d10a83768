"""One queue of work, and the threads that do it; all of them share the model.

    with desk.place():                         429 if too many wait already
        with desk.job(work) as job:            work(model, emit) runs on a worker thread
            async for event in job.events():   what it emits, then its result
                ...

Leaving the context of a job withdraws it from the queue, or stops it at its next encoder or decoder step. A place is
taken before an upload is read, so that the uploads that wait are bounded as well. The model that a job gets shares its
decoder steps with all other jobs (shared_steps.py).
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple

from ..errors import BackendError
from ..model import S2T
from ..system.helpers import NO_THREADS, started
from ..system.threads import own_threads
from ..together import Cancelled
from .cancelling import cancellable_model
from .refusals import Refusal
from .shared_steps import SharedSteps

POLL = 0.01  # seconds between looks at workers that are to leave

Emit = Callable[[Any], None]
Work = Callable[[S2T, Emit], Any]


class ClientGone(Exception):
    """The client has left before it was answered."""


class Done(NamedTuple):
    """The last event of a job that ended well."""

    result: Any


class Failed(NamedTuple):
    """The last event of one that did not."""

    error: BaseException


class Stop:
    """Tells a computation to end, as a threading.Event does: no one waits for it any more, or its time is up."""

    def __init__(self):
        self.cancelled, self.deadline = False, float("inf")

    def set(self) -> None:
        """End it: any thread may ask."""
        self.cancelled = True

    def is_set(self) -> bool:
        """Return whether it has to end."""
        return self.cancelled or self.is_late

    @property
    def is_late(self) -> bool:
        """True once its time is up."""
        return monotonic() > self.deadline


class Job:
    """A piece of work and the events that it emits, which cross from its thread to the event loop."""

    def __init__(self, work: Work, time_limit: float, model_for: Callable[[Stop], Any]):
        """Called on the event loop that will read the events."""
        self.work, self.time_limit, self.model_for, self.stop = work, time_limit, model_for, Stop()
        self.loop, self.arrived = asyncio.get_running_loop(), asyncio.Queue()

    def emit(self, event: Any) -> None:
        """Hand an event over. Raises Cancelled when the loop has ended."""
        try:
            self.loop.call_soon_threadsafe(self.arrived.put_nowait, event)
        except RuntimeError as error:
            raise Cancelled from error

    def run(self) -> None:
        """Do the work, on a worker thread; everything that it raises becomes an event."""
        self.stop.deadline = monotonic() + self.time_limit
        try:
            if self.stop.cancelled:
                raise Cancelled
            self.emit(Done(self.work(self.model_for(self.stop), self.emit)))
        except BaseException as error:  # a worker thread outlives every job
            if isinstance(error, Cancelled) and self.stop.is_late:
                error = Refusal(504, f"this took longer than {self.time_limit:g} s, the limit of this server")
            if not self.loop.is_closed():
                self.emit(Failed(error))

    async def events(self, gone: asyncio.Task) -> AsyncIterator[Any]:
        """The events of the job, until Done. Raises what it raised, and ClientGone when the task `gone` ends first."""
        while True:
            arrived = asyncio.ensure_future(self.arrived.get())
            await asyncio.wait({gone, arrived}, return_when=asyncio.FIRST_COMPLETED)
            if not arrived.done():
                arrived.cancel()
                raise ClientGone
            if isinstance(event := arrived.result(), Failed):
                raise event.error
            yield event
            if isinstance(event, Done):
                return


class Desk:
    """The queue and its workers."""

    def __init__(self, model: S2T, jobs: int, waiting: int, time_limit: float, cores: int = 1):
        """`jobs` run at a time on `cores`, `waiting` more wait; `time_limit` in seconds for each.

        Fewer run where the system gives fewer threads. Raises BackendError where it gives none.
        """
        self.model, self.most, self.time_limit = model, jobs + waiting, time_limit
        self.shared = SharedSteps(model.backend, cores)
        self.taken, self.running, self.closed = 0, set(), False
        self.queue: deque[Job] = deque()
        self.changed = threading.Condition()  # guards the queue and what is said of the jobs
        workers = (threading.Thread(target=self.run, name=f"worker {i}", daemon=True) for i in range(jobs))
        self.workers = [worker for worker in workers if started(worker)]
        if not self.workers:
            raise BackendError(f"{NO_THREADS}, and a server needs one at least")
        self.jobs = len(self.workers)

    def model_for(self, stop: Stop) -> S2T:
        """The model as one job uses it."""
        return cancellable_model(replace(self.model, backend=self.shared.backend()), stop)

    def width(self) -> int:
        """The number of segments of one recording that decode together: its share of the jobs, at least 1."""
        return max(1, self.jobs // max(1, len(self.running)))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Within this context a request has a place. Raises Refusal if all are taken. Called on the event loop."""
        if self.taken >= self.most:
            raise Refusal(429, f"{self.most} requests are being answered or wait; try again", None, "queue_full")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    @contextmanager
    def job(self, work: Work, model_for: Callable[[Stop], Any] | None = None) -> Iterator[Job]:
        """Within this context work waits in the queue, then runs; then it is withdrawn. Called on the event loop.

        `model_for` gives work another model than the desk's.
        """
        job = Job(work, self.time_limit, model_for or self.model_for)
        with self.changed:
            self.queue.append(job)
            self.changed.notify()
        try:
            yield job
        finally:
            job.stop.set()
            with self.changed, suppress(ValueError):  # it is no longer in the queue
                self.queue.remove(job)

    @property
    def waiting(self) -> int:
        """The number of requests that have a place and no worker."""
        return max(0, self.taken - len(self.running))

    def next_job(self) -> Job | None:
        """Wait for work; None when the desk is closed and the queue is empty."""
        with self.changed:
            self.changed.wait_for(lambda: self.queue or self.closed)
            if not self.queue:
                return None
            job = self.queue.popleft()
            self.running.add(job)
            if self.closed:
                job.stop.set()
            return job

    def run(self) -> None:
        """Do one job after the other, on a worker thread, which computes alone."""
        with own_threads(1):
            while (job := self.next_job()) is not None:
                job.run()
                with self.changed:
                    self.running.remove(job)
                del job  # the upload that it holds goes now, not when the next one comes

    def end(self) -> None:
        """End everything: what runs stops at its next step, what waits is answered with 503, the workers leave."""
        with self.changed:
            self.closed = True
            for job in self.running:
                job.stop.set()
            self.changed.notify_all()

    @property
    def is_manned(self) -> bool:
        """True while a worker is there."""
        return any(worker.is_alive() for worker in self.workers)

    async def close(self, seconds: float = 5.0) -> None:
        """End everything, and wait for the workers that leave in that time; the loop goes on, without a thread more."""
        self.end()
        end = monotonic() + seconds
        while self.is_manned and monotonic() < end:
            await asyncio.sleep(POLL)
