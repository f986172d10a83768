"""Let the same calls fail in forks of one process and in processes of their own: the same must become of them.

    python -m tools.faults.both_ways 100 --seed 1
    python -m tools.faults.both_ways 20 transcribe-file train

Calls on files and signals are compared by what became of the run, what is wrong with it, and which call on which file
it was. Threads and memory are left out: a process of its own takes some of both while it loads, so the n-th is another.
"""

import argparse
import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .campaign import FAULTS, Campaign
from .scenarios import SCENARIOS
from .shim import KINDS, Fault

COMMANDS = ("transcribe", "transcribe-file", "evaluate", "convert-force", "train")
DRAWN = re.compile(r"[0-9a-f]{12,}")  # in the names of temporary files


def draws(campaign: Campaign, count: int, draw: random.Random) -> list[Fault]:
    """Faults at calls that an undisturbed run makes."""
    calls = {}
    for kind in (*KINDS[: KINDS.index("network")], "any"):
        campaign.reset()
        campaign.start(campaign.scenario.argv, Fault(kind, "EIO"))
        calls[kind] = campaign.board.order.count
    known = [fault for fault in FAULTS if calls.get(fault.kind)]
    return [fault._replace(n=draw.randint(1, calls[fault.kind])) for fault in draw.choices(known, k=count)]


def verdict(campaign: Campaign, fault: Fault) -> tuple[str, str]:
    """What became of a run and what is wrong, in words; the call that failed."""
    found = campaign.one(fault)
    place = str(campaign.place)
    return DRAWN.sub("#", repr(found).replace(place, "")), DRAWN.sub("#", campaign.where.replace(place, ""))


def compare(name: str, count: int, draw: random.Random) -> tuple[Counter, list[str]]:
    """Compare `count` faults of a command: how many of each kind became of them, and the differences."""
    became, differences = Counter(), []
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        forks, fresh = Campaign(SCENARIOS[name], Path(one)), Campaign(SCENARIOS[name], Path(other), fresh=True)
        for fault in draws(forks, count, draw):
            forked, alone = verdict(forks, fault), verdict(fresh, fault)
            became[forked[0]] += 1
            if forked != alone:
                differences.append(f"{name}, {fault}: {forked} in a fork, {alone} in a process of its own")
        forks.close()
        fresh.close()
    return became, differences


def main() -> int:
    """Read the arguments, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="faults in all")
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(SCENARIOS)}", default=COMMANDS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, became, differences = random.Random(options.seed), Counter(), []
    for name in options.commands:
        more, others = compare(name, -(-options.count // len(options.commands)), draw)
        became, differences = became + more, differences + others
        print(name, *others, sep="\n", flush=True)
    kinds = ", ".join(f"{kind} {count}" for kind, count in became.most_common())
    print(f"{became.total()} faults, {len(differences)} with another end: {kinds}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
