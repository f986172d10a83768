"""Sharing of a phase's items among threads: the device's side of `threads.py`, which explains it.

`state` has one counter for `thread_id` and a second that is not used, then [items taken, items finished] for each
phase. In a persistent call every counter has a cache line to itself.
"""

import sys

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..aligned import CACHE_LINE
from ..build.compiler import external
from ..build.device import inlined
from ..build.options import COMPILED
from ..threads import COUNTERS, ITERATION, LEFT, SEEN
from .vector import move, prefetch, skip

I64 = ir.IntType(64)
EAGER = 24  # lines that are prefetched even when there is no need to wait
SPINS = 2000  # looks at a counter, a few nanoseconds each, before the processor is offered to others


@intrinsic
def _add(typing, state, index, number):
    """state[index] += number, atomically; returns what it was."""

    def build(context, builder, sig, args):
        return builder.atomic_rmw("add", sig.args[0].to(builder, *args[:2]), args[2], "seq_cst")

    return types.int64(state, types.int64, types.int64), build


@intrinsic
def _look(typing, state, index):
    """state[index], read anew from memory."""

    def build(context, builder, sig, args):
        return builder.load_atomic(sig.args[0].to(builder, *args), "acquire", 8)

    return types.int64(state, types.int64), build


def yielding(platform: str) -> str | None:
    """The system's function without arguments that offers the processor; None where Windows' is not to be found."""
    if platform != "win32":
        return "sched_yield"
    return "SwitchToThread" if llvm.address_of_symbol("SwitchToThread") is not None else None


@intrinsic
def _yield(typing):
    """Offer the processor to another thread."""

    def build(context, builder, sig, args):
        if (name := yielding(sys.platform)) is not None:
            builder.call(external(builder.module, ir.FunctionType(ir.IntType(32), []), name), [])
        return context.get_dummy_value()

    return types.void(), build


def _plain_add(state, index, number):
    state[index] += number
    return state[index] - number


add, look, give_way = (_add, _look, _yield) if COMPILED else (_plain_add, lambda state, index: state[index], None)


@inlined
def next_item(state, phase):
    """The number of the next item of this phase, for this thread alone."""
    return add(state, 2 * phase + 2, 1)


@inlined
def thread_id(state):
    """The number of this participant, below the number of threads: which part of the scratch memory is its own."""
    return add(state, 0, 1)


@inlined
def done(state, phase):
    """Count one item of this phase as done."""
    add(state, 2 * phase + 3, 1)


@inlined
def barrier(state, phase, items):
    """Return when all items of this phase are done."""
    spins = 0
    while look(state, 2 * phase + 3) < items:
        spins += 1
        if spins > SPINS:
            give_way()


@inlined
def next_or_steal(state, phase, parts, own, items):
    """The next of this thread's items, else of another's; `items` when there is none left."""
    for i in range(parts):
        part = (own + i) % parts
        item = items * part // parts + add(state, (1 + phase * (parts + 1) + part) * COUNTERS, 1)
        if item < items * (part + 1) // parts:
            return item
    return items


@inlined
def barrier_prefetching(counter, finished, items, ahead, lines):
    """Count `finished` items, return when all are; meanwhile prefetch up to `lines` from an address on.

    `counter` begins at that of the phase: see `phase_counter`.
    """
    add(counter, 0, finished)
    spins = 0
    while spins < min(lines, EAGER):
        prefetch(move(ahead, spins * CACHE_LINE))
        spins += 1
    while look(counter, 0) < items:
        if spins < lines:
            prefetch(move(ahead, spins * CACHE_LINE))
        spins += 1
        if spins > SPINS:
            give_way()


@inlined
def phase_counter(state, phase, parts):
    """The counter of finished items of a phase in a persistent call's counters."""
    return skip(state, (1 + phase * (parts + 1) + parts) * COUNTERS)


@inlined
def first_iteration(loop):
    """The first iteration of this thread: a helper is told, the caller begins the one that is next."""
    return loop.iteration if loop.spin_limit else look(loop.board, ITERATION)


@inlined
def await_iteration(loop, iteration, ahead, lines):
    """True when an iteration of a persistent call has begun; False when the helper has left.

    A helper leaves after `spin_limit` looks, and at once when there is other work, of which `calls` tells. The caller's
    own thread, whose spin_limit is 0, begins the iteration, whose number is that of iterations begun before. Meanwhile
    some lines from an address on are prefetched.
    """
    if loop.spin_limit == 0:
        add(loop.board, ITERATION, 1)
        return True
    for looked in range(loop.spin_limit):
        if look(loop.board, ITERATION) > iteration:
            return True
        if look(loop.calls, 0) != loop.board[SEEN]:
            break
        if looked < lines:
            prefetch(move(ahead, looked * CACHE_LINE))
        if looked > SPINS:
            give_way()
    add(loop.board, LEFT, 1)
    return False
