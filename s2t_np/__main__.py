"""`python -m s2t_np` is the command `s2t-np`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
