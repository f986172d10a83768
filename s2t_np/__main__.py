"""`python -m s2t_np` and `s2t-np` begin here, with nothing imported yet.

Importing numpy and the rest takes a few tenths of a second. A signal in that time cannot be left to Python: its
KeyboardInterrupt would come out of some import statement, or as an ImportError, with a page of traceback.
"""

import sys

from .system import signals


def main() -> int:
    """Run the command with the arguments of the process; returns the exit code."""
    signals.begin()
    from .cli import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
