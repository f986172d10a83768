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
import sys
import threading
from collections.abc import Callable

import numpy as np
from llvmlite import ir

from .build.jit import COMPILED, bind, inner
from .build.lazy_numba import cgutils, intrinsic, types
from .simd.vector import move, prefetch

STATE = types.int64[::1]  # [items taken, items finished] for each phase, and once more for `slot`
EAGER = 24  # lines that are asked for even when nobody has to wait
COUNTERS, LINE = 8, 16  # counters, and floats, in a line of the cache: `take_near` gives each counter its own line
TURN, LEFT, SEEN, NUMBERS = 0, 8, 9, 16  # of a session: turns begun, helpers that left, calls, the turns' numbers
TURNS, EACH = 64, 4  # turns of a session, before it takes fresh counters; numbers of a turn
PATIENCE = 4000  # looks for the next turn before a helper leaves: about a millisecond
SPINS = 2000  # looks at a counter, a few nanoseconds each, before the processor is offered to others


@intrinsic
def _add(typing, state, index, number):
    """state[index] += number, atomically; returns what it was."""

    def build(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(state, types.int64, types.int64), build


@intrinsic
def _look(typing, state, index):
    """state[index], read anew from memory."""

    def build(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "acquire", 8)

    return types.int64(state, types.int64), build


@intrinsic
def _yield(typing):
    """Offer the processor to another thread."""

    def build(context, builder, sig, args):
        if sys.platform != "win32":
            function_type = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, function_type, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), build


def _plain_add(state, index, number):
    state[index] += number
    return state[index] - number


add, look, give_way = (_add, _look, _yield) if COMPILED else (_plain_add, lambda state, index: state[index], None)


@inner
def take(state, phase):
    """The number of the next item of this phase, for this thread alone."""
    return add(state, 2 * phase, 1)


@inner
def slot(state):
    """The number of this participant, below the number of threads: which part of the scratch memory is its own."""
    return add(state, len(state) - 2, 1)


@inner
def finish(state, phase):
    """Count one item of this phase as done."""
    add(state, 2 * phase + 1, 1)


@inner
def wait(state, phase, items):
    """Return when all items of this phase are done."""
    spins = 0
    while look(state, 2 * phase + 1) < items:
        spins += 1
        if spins > SPINS:
            give_way()


@inner
def take_near(state, phase, parts, own, items):
    """The next of this participant's items, else of another's; `items` when there is none left."""
    for i in range(parts):
        part = (own + i) % parts
        item = items * part // parts + add(state, (phase * (parts + 1) + part) * COUNTERS, 1)
        if item < items * (part + 1) // parts:
            return item
    return items


@inner
def wait_near(state, phase, parts, done, items, ahead, lines):
    """Count `done` items of this phase, return when all are; meanwhile ask for up to `lines` from an address on."""
    counter = (phase * (parts + 1) + parts) * COUNTERS
    add(state, counter, done)
    spins = 0
    while spins < min(lines, EAGER):
        prefetch(move(ahead, spins * LINE))
        spins += 1
    while look(state, counter) < items:
        if spins < lines:
            prefetch(move(ahead, spins * LINE))
        spins += 1
        if spins > SPINS:
            give_way()


@inner
def next_turn(session, turn, patience):
    """The first turn of this participant: a helper is told, the caller begins the one that nobody has begun."""
    return turn if patience else look(session, TURN)


@inner
def await_turn(session, calls, turn, patience, ahead, lines):
    """Whether turn `turn` of a session has begun; after `patience` looks the helper counts itself out.

    It does so at once when there is other work, of which `calls` tells. The caller's own thread, with patience 0,
    begins the turn, whose number is that of turns begun before (`next_turn`). Meanwhile some lines from an address on
    are asked for.
    """
    if patience == 0:
        add(session, TURN, 1)
        return True
    for looked in range(patience):
        if look(session, TURN) > turn:
            return True
        if look(calls, 0) != session[SEEN]:
            break
        if looked < lines:
            prefetch(move(ahead, looked * LINE))
        if looked > SPINS:
            give_way()
    add(session, LEFT, 1)
    return False


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
    work = bind(function, state, *arguments)
    if threads > 1:
        _crew.call(threads - 1, work)
    work()


class Session:
    """Many calls of one kernel on the same arguments, apart from EACH numbers for each.

    The kernel is called as function(session, calls, states, turn, patience, *arguments); it runs `await_turn`, then the
    turn with counters states[turn], which no other turn uses, and with session[NUMBERS + EACH * turn] and the next.
    Helpers go on with the next turn as long as `await_turn` tells them to; the caller's thread runs one, which it does
    alone if need be.
    """

    def __init__(self, function, phases: int, threads: int, *arguments):
        self.function, self.helpers, self.arguments = function, threads - 1, arguments
        self.counters = (phases * (threads + 1) + 1) * COUNTERS
        self._begin()

    def _begin(self) -> None:
        """Fresh counters for TURNS turns; helpers of those before find nothing new and leave."""
        self.board, self.states = np.zeros(NUMBERS + EACH * TURNS, np.int64), np.zeros((TURNS, self.counters), np.int64)
        self.called, self.take_turn = 0, self._bound(0, 0)

    def _bound(self, turn: int, patience: int) -> Callable[[], None]:
        return bind(self.function, self.board, _crew.calls, self.states, turn, patience, *self.arguments)

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
