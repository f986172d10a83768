"""How threads share the items of a phase: the device's side of `threads.py`, which explains it.

`state` has one counter for `slot` and a second that is not used, then [items taken, items finished] for each phase. In
a session's counters every one has a cache line to itself.
"""

import sys

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..build.compiler import external
from ..build.device import inlined
from ..build.options import COMPILED
from ..threads import COUNTERS, LEFT, SEEN, TURN
from .vector import move, prefetch

I64 = ir.IntType(64)
LINE = 16  # floats in a cache line
EAGER = 24  # lines that are asked for even when nobody has to wait
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


@intrinsic
def _yield(typing):
    """Offer the processor to another thread."""

    def build(context, builder, sig, args):
        if sys.platform != "win32":
            function_type = ir.FunctionType(ir.IntType(32), [])
            builder.call(external(builder.module, function_type, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), build


def _plain_add(state, index, number):
    state[index] += number
    return state[index] - number


add, look, give_way = (_add, _look, _yield) if COMPILED else (_plain_add, lambda state, index: state[index], None)


@inlined
def take(state, phase):
    """The number of the next item of this phase, for this thread alone."""
    return add(state, 2 * phase + 2, 1)


@inlined
def slot(state):
    """The number of this participant, below the number of threads: which part of the scratch memory is its own."""
    return add(state, 0, 1)


@inlined
def finish(state, phase):
    """Count one item of this phase as done."""
    add(state, 2 * phase + 3, 1)


@inlined
def wait(state, phase, items):
    """Return when all items of this phase are done."""
    spins = 0
    while look(state, 2 * phase + 3) < items:
        spins += 1
        if spins > SPINS:
            give_way()


@inlined
def take_near(state, phase, parts, own, items):
    """The next of this participant's items, else of another's; `items` when there is none left."""
    for i in range(parts):
        part = (own + i) % parts
        item = items * part // parts + add(state, (1 + phase * (parts + 1) + part) * COUNTERS, 1)
        if item < items * (part + 1) // parts:
            return item
    return items


@inlined
def wait_near(state, phase, parts, done, items, ahead, lines):
    """Count `done` items of this phase, return when all are; meanwhile ask for up to `lines` from an address on."""
    counter = (1 + phase * (parts + 1) + parts) * COUNTERS
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


@inlined
def next_turn(session, turn, patience):
    """The first turn of this participant: a helper is told, the caller begins the one that nobody has begun."""
    return turn if patience else look(session, TURN)


@inlined
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
