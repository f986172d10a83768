"""One piece of work, several threads, no lock: how kernels use the cores.

A parallel kernel is cut into phases, a phase into items. Whoever is there takes the next item off a counter (`take`)
and counts it when done (`finish`); a phase is over when all its items are counted (`wait`). The calling thread runs the
kernel itself, idle helpers join in. Nobody waits for a certain helper: one that comes late, because another call keeps
it busy, finds the counters used up and leaves. So any number of Python threads may call at once, nothing can deadlock,
and Numba's threading layers (one of which aborts when two threads enter it) are never used. Which thread computes an
item has no influence on it: results are the same bits for any number of threads.

Where items lie one behind the other in memory and are read once, as in a decoder step, every participant has a part of
them to itself (`take_near`), in memory order, and takes from the others' parts only when its own is used up: the
processor's prefetching follows one line of reading, and counters are not fought over. While it waits it asks for what
it will read next (`wait_near`).

Helpers are daemon threads that block in `queue.SimpleQueue.get`; from there they need the interpreter twice, and were
at work 150 us later on a virtual machine, a tenth of a decoder step. So a kernel that is called again and again has a
`Session`: helpers make one call of it for many turns, and look for the next turn for a while before they leave; the
caller's own call is bound once for all turns, not spelled out for each.
`wait` spins, gives the processor away after a while, and is short by construction: the phase's last items are already
being computed.
"""

import os
import queue
import threading
from collections.abc import Callable

import numpy as np

from .build.options import COMPILED

COUNTERS = 8  # counters in a cache line: `take_near` gives each its own line
# places in a session's board: turns begun, helpers that left, calls seen, counters of a turn, the turns' numbers
TURN, LEFT, SEEN, SIZE, NUMBERS = 0, 8, 9, 10, 16
TURNS, EACH = 64, 4  # turns of a session, before it takes fresh counters; numbers of a turn
PATIENCE = 4000  # looks for the next turn before a helper leaves: about a millisecond


class _Crew:
    """The helpers of this process; as many are started as were ever asked for."""

    def __init__(self):
        self.jobs, self.lock, self.size = queue.SimpleQueue(), threading.Lock(), 0
        self.calls = np.zeros(1, np.int64)

    def call(self, helpers: int, work) -> None:
        """Ask that many helpers to run `work()` when they can."""
        with self.lock:
            self.calls[0] += 1
            while self.size < helpers:
                self.size += 1
                threading.Thread(target=self._work, name=f"s2t-np-{self.size}", daemon=True).start()
        for _ in range(helpers):
            self.jobs.put(work)

    def _work(self):
        while True:
            work = self.jobs.get()
            work()
            del work


_crew, _setting = _Crew(), lambda: 1


def follow(setting: Callable[[], int]) -> None:
    """Let `setting()`, asked at every call, say how many threads a call from the Python thread that asks may use."""
    global _setting  # noqa: PLW0603
    _setting = setting


def get_threads() -> int:
    """Threads a call from here uses; one until `follow` was told whom to ask."""
    return _setting() if COMPILED else 1


def parallel(function, phases: int, *arguments) -> None:
    """Run function(state, *arguments) here and on idle helpers; back when all `phases` are done."""
    state, threads = np.zeros(2 * phases + 2, np.int64), get_threads()
    work = function.bind(state, *arguments)
    if threads > 1:
        _crew.call(threads - 1, work)
    work()


class Session:
    """Many calls of one kernel on the same arguments, apart from EACH numbers for each.

    The kernel is called as function(session, calls, states, turn, patience, *arguments); it runs `await_turn`, then the
    turn with counters states[turn * session[SIZE] :], which no other turn uses, and with the EACH numbers from
    session[NUMBERS + EACH * turn] on.
    Helpers go on with the next turn as long as `await_turn` tells them to; the caller's thread runs one, which it does
    alone if need be.
    """

    def __init__(self, function, phases: int, threads: int, *arguments):
        self.function, self.helpers, self.arguments = function, threads - 1, arguments
        self.counters = (phases * (threads + 1) + 1) * COUNTERS
        self._begin()

    def _begin(self) -> None:
        """Fresh counters for TURNS turns; helpers of those before find nothing new and leave."""
        self.board, self.states = np.zeros(NUMBERS + EACH * TURNS, np.int64), np.zeros(TURNS * self.counters, np.int64)
        self.board[SIZE] = self.counters
        self.called, self.take_turn = 0, self._bound(0, 0)

    def _bound(self, turn: int, patience: int) -> Callable[[], None]:
        return self.function.bind(self.board, _crew.calls, self.states, turn, patience, *self.arguments)

    def run(self, *numbers: int) -> None:
        """The next turn. Its call is bound once: spelling out a dozen arrays takes 20 us, a step of int8 takes 500."""
        if self.board[TURN] == TURNS:
            self._begin()
        turn = int(self.board[TURN])
        self.board[NUMBERS + EACH * turn : NUMBERS + EACH * (turn + 1)] = numbers
        if missing := self.helpers - self.called + int(self.board[LEFT]):
            self.called += missing
            self.board[SEEN] = _crew.calls[0] + 1
            _crew.call(missing, self._bound(turn, PATIENCE))
        self.take_turn()


def _after_fork() -> None:
    """A forked child has no helpers: threads are not copied."""
    global _crew  # noqa: PLW0603
    _crew = _Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
