"""One piece of work, several threads, no lock: how kernels use the cores.

A parallel kernel is cut into phases, a phase into items. Whoever is there takes the next item off a counter (`take`)
and counts it when done (`finish`); a phase is over when all its items are counted (`wait`). The calling thread runs the
kernel itself, idle helpers join in. Nobody waits for a certain helper: one that comes late, because another call keeps
it busy, finds the counters used up and leaves. So any number of Python threads may call at once, nothing can deadlock,
and Numba's threading layers (one of which aborts when two threads enter it) are never used. Which thread computes an
item has no influence on it: results are the same bits for any number of threads.

Helpers are daemon threads that block in `queue.SimpleQueue.get`, 10-20 us from awake. `wait` spins, gives the processor
away after a while, and is short by construction: items are small and the phase's last ones are already being computed.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import COMPILED, inner
from .vector import I64

STATE = types.int64[::1]  # [items taken, items finished] for each phase, and once more for `slot`
SPINS = 2000  # looks at a counter, a few nanoseconds each, before the processor is offered to others


@intrinsic
def _add(typing, state, index):
    """state[index] += 1, atomically; returns what it was."""

    def build(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), ir.Constant(I64, 1), "seq_cst")

    return types.int64(state, types.int64), build


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


def _plain_add(state, index):
    state[index] += 1
    return state[index] - 1


add, look, give_way = (_add, _look, _yield) if COMPILED else (_plain_add, lambda state, index: state[index], None)


@inner
def take(state, phase):
    """The number of the next item of this phase, for this thread alone."""
    return add(state, 2 * phase)


@inner
def slot(state):
    """The number of this participant, below the number of threads: which part of the scratch memory is its own."""
    return add(state, len(state) - 2)


@inner
def finish(state, phase):
    """Count one item of this phase as done."""
    add(state, 2 * phase + 1)


@inner
def wait(state, phase, items):
    """Return when all items of this phase are done."""
    spins = 0
    while look(state, 2 * phase + 1) < items:
        spins += 1
        if spins > SPINS:
            give_way()


class _Crew:
    """The helpers of this process; as many are started as were ever asked for."""

    def __init__(self):
        self.jobs, self.lock, self.size = queue.SimpleQueue(), threading.Lock(), 0

    def call(self, helpers: int, function, arguments) -> None:
        """Ask that many helpers to run function(*arguments) when they can."""
        with self.lock:
            while self.size < helpers:
                self.size += 1
                threading.Thread(target=self._work, name=f"s2t-np-{self.size}", daemon=True).start()
        for _ in range(helpers):
            self.jobs.put((function, arguments))

    def _work(self):
        while True:
            function, arguments = self.jobs.get()
            function(*arguments)
            del function, arguments


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
    state = np.zeros(2 * phases + 2, np.int64)
    helpers = get_threads() - 1
    if helpers:
        _crew.call(helpers, function, (state, *arguments))
    function(state, *arguments)


def _after_fork() -> None:
    """A forked child has no helpers: threads are not copied."""
    global _crew  # noqa: PLW0603
    _crew = _Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
