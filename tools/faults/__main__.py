"""Let every call of a command fail, one at a time, and print what became of it.

    python -m tools.faults                              # all commands, all kinds of calls, every n: hours
    python -m tools.faults transcribe-folder --stride 7
    python -m tools.faults train --kinds write,fsync
    python -m tools.faults serve-mp3 --kinds spawn      # a request to a server; `serve`: all kinds of requests

The exit code is 1 if something was torn, lost, or not told in a clear line.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from .campaign import ESCAPE, FAULTS, KILLED, REFUSED, UNHARMED, Campaign, Tally
from .scenarios import SCENARIOS
from .serving import ASKS, CUT, SERVER_FAULTS, ServedCampaign
from .shim import Fault, why_not

COLUMNS = (UNHARMED, REFUSED, KILLED, CUT, ESCAPE)
HEAD = f"{'command':20}{'call':10}{'fault':14}{'tried':>7}" + "".join(f"{name:>10}" for name in COLUMNS)
SERVE = "serve"
COMMANDS = (*SCENARIOS, SERVE, *(f"{SERVE}-{name}" for name in ASKS))


def names(text: str) -> list[str]:
    """Names separated by commas."""
    return text.split(",")


def arguments() -> argparse.Namespace:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"one of: {', '.join(COMMANDS)} (all of them)")
    parser.add_argument("--kinds", type=names, metavar="NAMES", help="kinds of calls")
    parser.add_argument("--errors", type=names, metavar="NAMES", help="errors and signals")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the first call that fails (default: 1)")
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="every N-th call fails in turn (default: 1)")
    parser.add_argument("--most", type=int, default=sys.maxsize, metavar="N", help="runs of each fault, at most")
    options = parser.parse_args()
    if unknown := set(options.commands) - set(COMMANDS):
        parser.error(f"there is no command {sorted(unknown)[0]!r}; there are {', '.join(COMMANDS)}")
    return options


def tallies(name: str, faults: Iterable[Fault], span: tuple[int, int, int]) -> Iterator[tuple[str, Fault, Tally]]:
    """What became of each fault in a command, or in the requests to a server: their names, the fault, the tally."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if name in SCENARIOS:
            campaign = Campaign(SCENARIOS[name], Path(folder))
            stack.callback(campaign.close)
            for fault in faults:
                yield name, fault, campaign.all(fault, *span)
            return
        served, wanted = ServedCampaign(Path(folder)), name.removeprefix(SERVE).removeprefix("-")
        stack.callback(served.close)
        for one in [wanted] if wanted else ASKS:
            for fault in (fault for fault in faults if fault in SERVER_FAULTS):
                yield f"{SERVE}-{one}", fault, served.all(one, fault, *span)


def main() -> int:
    """Run the campaigns that were asked for."""
    options, escapes = arguments(), []
    if reason := why_not():
        print(reason)
        return 2
    faults = [f for f in FAULTS if f.kind in (options.kinds or f.kind) and f.error in (options.errors or f.error)]
    print(HEAD)
    for command in options.commands or (*SCENARIOS, SERVE):
        for name, fault, tally in tallies(command, faults, (options.first, options.stride, options.most)):
            if not tally.counts:
                continue  # it makes no such call
            counts = "".join(f"{tally.counts[column]:>10}" for column in COLUMNS)
            what = fault.error + "*" * fault.lasting
            print(f"{name:20}{fault.kind:10}{what:14}{tally.counts.total():>7}{counts}", flush=True)
            print(*tally.escapes, sep="\n", end="\n" * bool(tally.escapes), flush=True)
            escapes += tally.escapes
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
