"""Let every call of a command fail, one at a time, and print what became of it.

    python -m tools.faults                              # all commands, all kinds of calls, every n: hours
    python -m tools.faults transcribe-folder --stride 7
    python -m tools.faults train --kinds write,fsync

The exit code is 1 if something was torn, lost, or not told in a clear line.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from .campaign import ESCAPE, FAULTS, KILLED, REFUSED, UNHARMED, Campaign
from .scenarios import SCENARIOS
from .shim import why_not

COLUMNS = (UNHARMED, REFUSED, KILLED, ESCAPE)
HEAD = f"{'command':20}{'call':10}{'fault':14}{'tried':>7}" + "".join(f"{name:>10}" for name in COLUMNS)


def names(text: str) -> list[str]:
    """Names separated by commas."""
    return text.split(",")


def arguments() -> argparse.Namespace:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"one of: {', '.join(SCENARIOS)} (all of them)")
    parser.add_argument("--kinds", type=names, metavar="NAMES", help="kinds of calls")
    parser.add_argument("--errors", type=names, metavar="NAMES", help="errors and signals")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the first call that fails (default: 1)")
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="every N-th call fails in turn (default: 1)")
    parser.add_argument("--most", type=int, default=sys.maxsize, metavar="N", help="runs of each fault, at most")
    options = parser.parse_args()
    if unknown := set(options.commands) - set(SCENARIOS):
        parser.error(f"there is no command {sorted(unknown)[0]!r}; there are {', '.join(SCENARIOS)}")
    return options


def main() -> int:
    """Run the campaigns that were asked for."""
    options, escapes = arguments(), []
    if reason := why_not():
        print(reason)
        return 2
    faults = [f for f in FAULTS if f.kind in (options.kinds or f.kind) and f.error in (options.errors or f.error)]
    print(HEAD)
    for name in options.commands or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            campaign = Campaign(SCENARIOS[name], Path(folder))
            for fault in faults:
                tally = campaign.all(fault, options.first, options.stride, options.most)
                counts = "".join(f"{tally.counts[column]:>10}" for column in COLUMNS)
                what = fault.error + "*" * fault.lasting
                print(f"{name:20}{fault.kind:10}{what:14}{tally.counts.total():>7}{counts}", flush=True)
                print(*tally.escapes, sep="\n", end="\n" * bool(tally.escapes), flush=True)
                escapes += tally.escapes
            campaign.close()
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
