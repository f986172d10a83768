"""Locks in a forked child: replaced by fresh ones, since a thread that held one is not there to release it.

`os.fork` copies the memory of the process, but only the thread that calls it. A lock that another thread holds at that
moment stays locked in the child for ever. So each lock of a module is registered here.

OpenBLAS holds a lock of its own for a moment in every matrix product, which no one can replace. So a fork waits until
no thread is within a call that is `finished_before_forks`, and threads wait to enter one while a fork is under way.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress


def renew_in_child(renew: Callable[[], None]) -> None:
    """Call `renew()` in every forked child, before anything else of this project runs there."""
    if hasattr(os, "register_at_fork"):  # Windows cannot fork
        os.register_at_fork(after_in_child=renew)


class RenewedLock:
    """A lock of a module, fresh in every forked child: `with NAME.lock:`."""

    def __init__(self, make: Callable = threading.Lock):
        """`make`: threading.Lock or threading.RLock."""
        self.make = make
        self.renew()
        renew_in_child(self.renew)

    def renew(self) -> None:
        """Put a free lock in the place of one that a thread may hold which is not there."""
        self.lock = self.make()


PATIENCE = 30.0  # seconds that a fork waits at most
PAUSE = 0.0002  # seconds between two looks


class Gate:
    """Calls that a fork waits for. Appending to a list and removing from it are atomic, so that no lock is needed."""

    def __init__(self):
        self.inside: list[int] = []  # threads, as often as they have entered
        self.forking: list[int] = []  # threads

    def enter(self) -> None:
        """Enter, now or after the fork that is under way. A thread that is inside already enters at once."""
        me = threading.get_ident()
        self.inside.append(me)
        while self.forking and self.inside.count(me) == 1 and me not in self.forking:
            self.inside.remove(me)
            time.sleep(PAUSE)
            self.inside.append(me)

    def leave(self) -> None:
        """Leave."""
        self.inside.remove(threading.get_ident())

    def close(self) -> None:
        """Before a fork: wait until all other threads have left."""
        me, end = threading.get_ident(), time.monotonic() + PATIENCE
        self.forking.append(me)
        while any(thread != me for thread in self.inside.copy()) and time.monotonic() < end:
            time.sleep(PAUSE)

    def reopen(self) -> None:
        """After a fork, in the parent."""
        with suppress(ValueError):  # the fork began before this module was there
            self.forking.remove(threading.get_ident())

    def renew(self) -> None:
        """After a fork, in the child: only the thread that forked is there."""
        self.inside = [thread for thread in self.inside if thread == threading.get_ident()]
        self.forking = []


_gate = Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_gate.close, after_in_parent=_gate.reopen, after_in_child=_gate.renew)


def finished_before_forks(function: Callable) -> Callable:
    """The same function; a fork by another thread waits until it has returned."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        _gate.enter()
        try:
            return function(*args, **kwargs)
        finally:
            _gate.leave()

    return call
