"""`python -m s2t_np` and `s2t-np` begin here, with nothing imported yet.

Importing numpy and the rest takes a few tenths of a second. A signal in that time cannot be left to Python: its
KeyboardInterrupt would come out of some import statement, or as an ImportError, with a page of traceback.

numpy's OpenBLAS starts its threads while it is loaded, and raises SIGINT where the system does not give them
(`ulimit -u`). Then the same command begins anew, with OpenBLAS in one thread. Those threads begin by looking for work
in a loop, for a tenth of a second, on a processor that the command has better use for. Here they go to sleep sooner,
and still not between two products of a model in numpy.
"""

import gc
import os
import signal
import sys
import threading
from contextlib import contextmanager

from .system import signals
from .system.helpers import started

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
BLAS_PATIENCE = "OPENBLAS_THREAD_TIMEOUT", "20"  # 2^20 cycles without work, about 0.4 ms


def leave_or_begin_anew(number: int, *_) -> None:
    """A handler while numpy is loaded: the signal may be OpenBLAS's."""
    if number == signal.SIGINT and BLAS_THREADS not in os.environ and not started(threading.Thread(target=int)):
        os.environ[BLAS_THREADS] = "1"
        os.execv(sys.executable, sys.orig_argv)
    signals.leave(number)


@contextmanager
def nothing_collected():
    """Within this context no garbage is looked for, and what is there at its end is never looked at again.

    What is imported stays, and looking through it over and over takes one twentieth of the start.
    """
    enabled = gc.isenabled()
    gc.disable()
    yield
    gc.freeze()
    if enabled:
        gc.enable()


def main() -> int:
    """Run the command with the arguments of the process; returns the exit code."""
    signals.begin(leave_or_begin_anew)
    os.environ.setdefault(*BLAS_PATIENCE)
    from .cli import import_command, main

    with nothing_collected():
        import_command(sys.argv[1:])
    signals.replace((leave_or_begin_anew,), signals.leave)
    try:
        return main()
    finally:
        gc.freeze()  # or the interpreter looks through all objects twice before it ends: 0.025 s


if __name__ == "__main__":
    sys.exit(main())
