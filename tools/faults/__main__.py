"""Let every call of a command fail, one at a time, and print what became of it.

    python -m tools.faults                              # all commands, all kinds of calls, every n: hours
    python -m tools.faults transcribe-folder --stride 7
    python -m tools.faults train --kinds write,fsync
    python -m tools.faults serve-mp3 --kinds spawn      # a request to a server; `serve`: all kinds of requests
    python -m tools.faults evaluate --record FILE --seconds 600    # again: goes on where it was stopped
    python -m tools.faults --record FILE --table        # what the file has

The exit code is 1 if something was torn, lost, or not told in a clear line.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from .campaign import FAULTS, Campaign
from .scenarios import SCENARIOS
from .serving import ASKS, SERVER_FAULTS, ServedCampaign
from .shim import Fault, why_not
from .tally import COLUMNS, Record, Span, Tally, every

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
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep what became of each fault, and go on from it")
    parser.add_argument("--fresh", action="store_true", help="a new process for each run: its imports fail, too")
    parser.add_argument("--table", action="store_true", help="only print what --record has, as a table in Markdown")
    options = parser.parse_args()
    if unknown := set(options.commands) - set(COMMANDS):
        parser.error(f"there is no command {sorted(unknown)[0]!r}; there are {', '.join(COMMANDS)}")
    return options


def opened(name: str, folder: Path, fresh: bool, stack: ExitStack) -> Iterator[tuple[str, Fault, Callable]]:
    """For each fault of a command, or of the requests to a server: their names, the fault, what tries it."""
    if name in SCENARIOS:
        campaign = Campaign(SCENARIOS[name], folder, fresh)
        stack.callback(campaign.close)
        yield from ((name, fault, campaign.one) for fault in FAULTS)
        return
    served, wanted = ServedCampaign(folder), name.removeprefix(SERVE).removeprefix("-")
    stack.callback(served.close)
    for one in [wanted] if wanted else ASKS:
        yield from ((f"{SERVE}-{one}", fault, partial(served.one, one)) for fault in SERVER_FAULTS)


def show(name: str, fault: Fault, tally: Tally, seconds: float) -> None:
    """Print a line of the table, and a line for all that is wrong."""
    counts = "".join(f"{tally.counts[column]:>10}" for column in COLUMNS)
    what = fault.error + "*" * fault.lasting
    print(f"{name:20}{fault.kind:10}{what:14}{tally.counts.total():>7}{counts}{seconds:>8.0f} s", flush=True)
    print(*tally.escapes, sep="\n", end="\n" * bool(tally.escapes), flush=True)


def tried(command: str, options: argparse.Namespace, span: Span, record: Record) -> list[str]:
    """Try all faults that were asked for in a command, which is begun only if one is left: what is wrong."""
    escapes = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name, fault, one in opened(command, Path(folder), options.fresh, stack):
            if fault.kind not in (options.kinds or fault.kind) or fault.error not in (options.errors or fault.error):
                continue
            tally, begun = record.tally(name, fault, span), time.monotonic()
            if not tally.done:
                every(one, fault, span, tally, record.note)
                record.note(now=True)
            if tally.counts:  # else it makes no such call
                show(name, fault, tally, time.monotonic() - begun)
            escapes += tally.escapes
            if time.monotonic() > span.until:
                break
    return escapes


def main() -> int:
    """Run the campaigns that were asked for."""
    options, escapes = arguments(), []
    record = Record(options.record)
    if options.table:
        print(*record.table(), sep="\n")
        return 0
    if reason := why_not():
        print(reason)
        return 2
    span = Span(options.first, options.stride, options.most, time.monotonic() + options.seconds)
    print(HEAD)
    for command in options.commands or (*SCENARIOS, SERVE):
        escapes += tried(command, options, span, record) if time.monotonic() < span.until else []
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
