"""`python -m s2t_np` and `s2t-np` begin here, with nothing imported yet.

Importing numpy and the rest takes a few tenths of a second. An interrupt in that time cannot be left to Python: its
KeyboardInterrupt would come out of some import statement, or as an ImportError, with a page of traceback.
"""

import os
import signal
import sys


def leave(*_) -> None:
    """End at once, as the command does when it is interrupted later on; nothing has to be tidied yet."""
    os.write(2, b"s2t-np: interrupted\n")
    os._exit(130)


def main() -> int:
    """Run the command with the arguments of the process; returns the exit code."""
    usual = signal.getsignal(signal.SIGINT)
    if callable(usual):  # and not ignored, as under nohup
        signal.signal(signal.SIGINT, leave)
    from .cli import main

    signal.signal(signal.SIGINT, usual)
    return main()


if __name__ == "__main__":
    sys.exit(main())
