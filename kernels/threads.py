"""One piece of work, several threads, no lock: how kernels use the cores. (simd/scheduling.py is the device's side.)

A parallel kernel is cut into phases, a phase into items. A thread takes the next item off a counter (`next_item`) and
counts it when it is finished (`done`); a phase is over when all its items are counted (`barrier`). The calling thread
runs the kernel itself, idle helpers join in. No thread waits for a particular helper: one that comes late, because
another call keeps it busy, finds the counters used up and leaves. So any number of Python threads may call at once,
nothing can deadlock, and Numba's threading layers (one of which aborts when two threads enter it) are never used. Which
thread computes an item has no influence on it: results are the same bits for any number of threads.

Where items lie one after the other in memory and are read once, as in a decoder step, every thread has a part of them
to itself, in memory order, and takes from the others' parts only when its own is used up (`next_or_steal`): the
processor's prefetching follows one line of reading, and counters are not fought over. While it waits it prefetches what
it will read next (`barrier_prefetching`).

Helpers are daemon threads that block in `queue.SimpleQueue.get`. To leave it they need the interpreter twice; on a
virtual machine they were at work 150 us later, a tenth of a decoder step. So a kernel that is called again and again is
a `PersistentCall`: helpers make one call of it for many iterations, and look for the next iteration for a while before
they leave; the caller's own call is bound once for all iterations, not spelled out for each. Waiting is spinning, which
gives the processor away after a while; it is short by construction, because the phase's last items are being computed.
"""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .build.arguments import OutWords, Words
from .build.options import COMPILED
from .forks import Renewed

COUNTERS = 8  # counters in a cache line: `take_near` gives each its own line
# places in a persistent call's board: iterations begun, helpers that left, calls seen, counters of an iteration, and
# from NUMBERS on the numbers of each iteration
ITERATION, LEFT, SEEN, SIZE, NUMBERS = 0, 8, 9, 10, 16
ITERATIONS, EACH = 64, 6  # iterations of a persistent call before it takes fresh counters; numbers for each
SPIN_LIMIT = 4000  # looks for the next iteration before a helper leaves: about a millisecond


class _Crew(Renewed):
    """The helpers of this process; as many are started as were ever asked for, or as the system gives.

    A forked child has none: threads are not copied.
    """

    def renew(self) -> None:
        self.jobs, self.lock, self.size = queue.SimpleQueue(), threading.Lock(), 0
        self.calls = np.zeros(1, np.int64)

    def call(self, helpers: int, work) -> None:
        """Ask that many helpers, or all there are, to run `work()` when they can."""
        with self.lock:
            self.calls[0] += 1
            while self.size < helpers and self._start():
                self.size += 1
            helpers = min(helpers, self.size)
        for _ in range(helpers):
            self.jobs.put(work)

    def _start(self) -> bool:
        """Start a helper; False where the system gives no more threads (`ulimit -u`), and the others do the work."""
        try:
            threading.Thread(target=self._work, name=f"s2t-np-{self.size + 1}", daemon=True).start()
        except RuntimeError:
            return False
        return True

    def _work(self):
        while True:
            work = self.jobs.get()
            with contextlib.suppress(MemoryError):  # before the kernel was entered: the caller's own call does it all
                work()
            del work


_crew, _setting = _Crew(), lambda: 1


def follow(setting: Callable[[], int]) -> None:
    """Let `setting()`, asked at every call, say how many threads a call from the Python thread that asks may use."""
    global _setting  # noqa: PLW0603
    _setting = setting


def get_threads() -> int:
    """Threads a call from here uses; one until `follow` was told whom to ask.

    A call asks once: where Python threads divide the cores, the next answer may be another. Memory for fewer threads
    than come would be overrun.
    """
    return _setting() if COMPILED else 1


def parallel(function, phases: int, threads: int, *arguments) -> None:
    """Run function(state, *arguments) here and on idle helpers; back when all `phases` are done.

    `threads`: how many at most, of `get_threads()`, for which the arguments have memory.
    """
    state = np.zeros(2 * phases + 2, np.int64)
    work = function.bind(state, *arguments)
    if threads > 1:
        _crew.call(threads - 1, work)
    work()


class Loop(NamedTuple):
    """The state of a thread that takes part in a persistent call."""

    board: OutWords
    calls: Words  # (1,) of all kernels so far
    states: OutWords  # counters of all iterations
    iteration: int  # the first of a helper
    spin_limit: int  # 0 for the caller's own thread


class PersistentCall:
    """Many calls of one kernel on the same arguments, apart from EACH numbers for each: iterations.

    The kernel is called as function(Loop, *arguments); it runs `await_iteration`, then the iteration, with counters
    states[iteration * board[SIZE] :], which no other iteration uses, and with the EACH numbers from
    board[NUMBERS + EACH * iteration] on. Helpers go on with the next iteration as long as `await_iteration` tells them
    to; the caller's thread runs one, alone if need be.
    """

    def __init__(self, function, phases: int, threads: int, *arguments):
        self.function, self.helpers, self.arguments = function, threads - 1, arguments
        self.counters = (phases * (threads + 1) + 1) * COUNTERS
        self.begin()

    def begin(self) -> None:
        """Fresh counters for ITERATIONS iterations; helpers of those before find nothing new and leave."""
        self.board = np.zeros(NUMBERS + EACH * ITERATIONS, np.int64)
        self.states = np.zeros(ITERATIONS * self.counters, np.int64)
        self.board[SIZE] = self.counters
        self.called, self.iterate = 0, self._bound(0, 0)

    def _bound(self, iteration: int, spin_limit: int) -> Callable[[], None]:
        loop = Loop(self.board, _crew.calls, self.states, iteration, spin_limit)
        return self.function.bind(loop, *self.arguments)

    def run(self, *numbers: int) -> None:
        """The next iteration. Its call is bound once: spelling out the arrays takes 20 us, a step of int8 takes 500."""
        if self.board[ITERATION] == ITERATIONS:
            self.begin()
        iteration = int(self.board[ITERATION])
        self.board[NUMBERS + EACH * iteration : NUMBERS + EACH * (iteration + 1)] = numbers
        if missing := self.helpers - self.called + int(self.board[LEFT]):
            self.called += missing
            self.board[SEEN] = _crew.calls[0] + 1
            _crew.call(missing, self._bound(iteration, SPIN_LIMIT))
        self.iterate()
