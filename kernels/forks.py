"""Locks and shared state of threads, made anew in a forked child.

`os.fork` copies the memory of the process, but only the thread that calls it. A lock that another thread holds at that
moment stays locked in the child for ever, and what it guards may be half changed; helpers are not there at all. So
whatever threads share here is a `Renewed`. (s2t_np.system.forks does the same for the locks of its modules.)
"""

import os
import threading
from weakref import WeakSet


class Renewed:
    """An object whose state `renew` makes: at the beginning, and again in every forked child while it lives."""

    def __init__(self):
        self.renew()
        _living.add(self)

    def renew(self) -> None:
        """Forget what threads share through this object, and put free locks in the place of its own."""
        raise NotImplementedError


class RenewedLock(Renewed):
    """A lock that one thread may take several times: `with NAME.lock:`."""

    def renew(self) -> None:
        self.lock = threading.RLock()


_living: WeakSet[Renewed] = WeakSet()


def _renew_all() -> None:
    for thing in list(_living):
        thing.renew()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_renew_all)
