"""Locks in a forked child: replaced by fresh ones, since a thread that held one is not there to release it.

`os.fork` copies the memory of the process, but only the thread that calls it. A lock that another thread holds at that
moment stays locked in the child for ever. So each lock of a module is registered here.
"""

import os
import threading
from collections.abc import Callable


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
