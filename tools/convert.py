"""`python -m tools.convert SRC DST` from a clone that is not installed: the same as `s2t-np convert SRC DST`."""

import sys

from s2t_np.cli import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
