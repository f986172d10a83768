"""Locks in a forked child: replaced by fresh ones, since a thread that held one is not there to release it.

`os.fork` copies the memory of the process, but only the thread that calls it. A lock that another thread holds at that
moment stays locked in the child for ever. So each lock of a module is registered here.
"""

import os
from collections.abc import Callable


def renew_in_child(renew: Callable[[], None]) -> None:
    """Call `renew()` in every forked child, before anything else of this project runs there."""
    if hasattr(os, "register_at_fork"):  # Windows cannot fork
        os.register_at_fork(after_in_child=renew)
