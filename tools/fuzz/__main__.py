"""Damage files of every format, read them, and print what became of them.

    python -m tools.fuzz                        # 2,000 damaged files of each format
    python -m tools.fuzz --seconds 3600         # an hour, shared by the formats
    python -m tools.fuzz wav flac --count 100000 --seed 7
    python -m tools.fuzz --seconds 600 --seed 8 --record runs.jsonl
    python -m tools.fuzz --sum runs.jsonl       # the table of all campaigns recorded there

With torch and safetensors installed their readers judge ours. Escapes are kept below --keep; the exit code is 1 if
there are any.
"""

import argparse
import sys
from pathlib import Path

from .campaign import campaign
from .formats import FORMATS
from .tally import HEAD, Tally, summed


def arguments() -> argparse.Namespace:
    """The command line. Ends the process for a format that does not exist."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"one of: {', '.join(FORMATS)} (all of them)")
    parser.add_argument("--count", type=int, help="damaged files of each format (2000, or as many as fit)")
    parser.add_argument("--seconds", type=float, help="time for all formats together; cheap ones get more of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-escapes"), help="folder for the files that escaped")
    parser.add_argument("--record", type=Path, help="add what became of each format to this file")
    parser.add_argument("--sum", type=Path, help="only print the sums of the campaigns in such a file")
    options = parser.parse_args()
    if unknown := set(options.formats) - set(FORMATS):
        parser.error(f"there is no format {sorted(unknown)[0]!r}; there are {', '.join(FORMATS)}")
    return options


def campaigns(options: argparse.Namespace) -> list[Tally]:
    """Run a campaign of each format."""
    kinds = [FORMATS[name] for name in options.formats or FORMATS]
    count = options.count or (2000 if options.seconds is None else sys.maxsize)
    seconds = float("inf") if options.seconds is None else options.seconds / sum(kind.share for kind in kinds)
    tallies = []
    for kind in kinds:
        tally = campaign(kind, options.seed, count, options.keep, seconds * kind.share)
        tallies.append(tally)
        print(tally.row(), flush=True)
        if options.record:
            with open(options.record, "a", encoding="utf-8") as file:
                file.write(tally.record() + "\n")
    return tallies


def main() -> int:
    options = arguments()
    print(HEAD)
    if options.sum:
        tallies = summed(options.sum.read_text(encoding="utf-8").splitlines())
        print(*(tally.row() for tally in tallies), sep="\n")
    else:
        tallies = campaigns(options)
    escapes = [line for tally in tallies for line in tally.escapes]
    print(f"{sum(tally.judged for tally in tallies):,} damaged files, {len(escapes)} escapes", *escapes, sep="\n")
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
