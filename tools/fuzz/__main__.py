"""Damage files of every format, read them, and print what became of them.

    python -m tools.fuzz                        # 2,000 damaged files of each format
    python -m tools.fuzz --seconds 3600         # an hour, shared by the formats
    python -m tools.fuzz wav flac --count 100000 --seed 7

With torch and safetensors installed their readers judge ours. Escapes are kept below --keep; the exit code is 1 if
there are any.
"""

import argparse
import sys
from pathlib import Path

from .campaign import HEAD, campaign, clear
from .formats import FORMATS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"one of: {', '.join(FORMATS)} (all of them)")
    parser.add_argument("--count", type=int, help="damaged files of each format (2000, or as many as fit)")
    parser.add_argument("--seconds", type=float, help="time for all formats together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-escapes"), help="folder for the files that escaped")
    options = parser.parse_args()
    if unknown := set(options.formats) - set(FORMATS):
        parser.error(f"there is no format {sorted(unknown)[0]!r}; there are {', '.join(FORMATS)}")
    kinds = [FORMATS[name] for name in options.formats or FORMATS]
    count = options.count or (2000 if options.seconds is None else sys.maxsize)
    share = float("inf") if options.seconds is None else options.seconds / len(kinds)
    clear(options.keep)
    print(HEAD)
    escapes = []
    for kind in kinds:
        tally = campaign(kind, options.seed, count, options.keep, share)
        escapes += tally.escapes
        print(tally.row(), flush=True)
    print(*escapes, sep="\n", end="\n" if escapes else "")
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
