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

import numpy as np
from llvmlite import ir

from .jit import COMPILED, bind, inner
from .late import cgutils, intrinsic, types
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

    def call(self, helpers: int, work) -> None:
        """Ask that many helpers to run `work()` when they can."""
        with self.lock:
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


def available() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Setting(threading.local):
    """How many threads a call from this Python thread may use; None: as many as the process says."""

    own = None


_crew, _setting, _everywhere = _Crew(), _Setting(), available()


def set_threads(count: int, this_thread_only: bool = False) -> None:
    """Let every later call use `count` threads, or only those from this Python thread (many files, one per core)."""
    global _everywhere  # noqa: PLW0603 - a setting of the process, as OMP_NUM_THREADS is
    if this_thread_only:
        _setting.own = count
    else:
        _everywhere = count


def get_threads() -> int:
    """Threads a call from here uses."""
    return (_setting.own or _everywhere) if COMPILED else 1


def parallel(function, phases: int, *arguments) -> None:
    """Run function(state, *arguments) here and on idle helpers; back when all `phases` are done."""
    work = bind(function, np.zeros(2 * phases + 2, np.int64), *arguments)
    if helpers := get_threads() - 1:
        _crew.call(helpers, work)
    work()


def _after_fork() -> None:
    """A forked child has no helpers: threads are not copied."""
    global _crew  # noqa: PLW0603
    _crew = _Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
