"""Kill a command with SIGKILL at random moments, let it go on until it is done, and compare every byte.

    python -m tools.faults.kills train 1000 --seed 7           # at least 1000 kills
    python -m tools.faults.kills train 100000 --seconds 900    # or as many as fit in a quarter of an hour

`tools/kill_batch.py` does the same for `transcribe`, in all ways to write and with several jobs. The exit code is 1 if
something was torn or differs in the end.

A moment is a call of the operating system on a file, drawn from all that an undisturbed run makes: what happens between
two calls changes no file, and a draw of time would depend on how busy the machine is.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .campaign import Campaign
from .scenarios import SCENARIOS
from .shim import Fault

KILL = Fault("any", "SIGKILL")
TOLD = 20  # runs between two lines of progress


def until_done(campaign: Campaign, calls: int, draw: random.Random) -> tuple[Counter, list[str]]:
    """Kill a command after up to `calls` calls, again and again: where until it was done, and what is wrong."""
    campaign.reset()
    argv, kills, wrong = campaign.scenario.argv, Counter(), []
    begun = time.time()
    while (code := campaign.start(argv, KILL._replace(n=draw.randint(1, calls)))[0]) < 0:
        wrong += campaign.torn(code, KILL)
        kills[campaign.scenario.stage(campaign.work, begun)] += 1
        argv, begun = campaign.scenario.again(campaign.work), time.time()
    wrong += [f"it ended with {code}"] * bool(code)
    return kills, wrong + list(campaign.differences(KILL))


def torture(name: str, kills: int, seed: int, seconds: float = float("inf")) -> tuple[str, list[str]]:
    """Kill a command at least `kills` times, or until `seconds` are over: a summary, and what is wrong."""
    draw, kills_at, rounds, wrong = random.Random(seed), Counter(), 0, []
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(SCENARIOS[name], Path(folder))
        calls = campaign.board.order.count  # how many of the undisturbed run
        while kills_at.total() < kills and time.monotonic() < end and not wrong:
            more, wrong = until_done(campaign, calls, draw)
            kills_at, rounds = kills_at + more, rounds + 1
            if not rounds % TOLD:
                print(f"{kills_at.total()} kills in {rounds} runs", flush=True)
        campaign.close()
    places = ", ".join(f"{place} {count}" for place, count in kills_at.most_common())
    summary = f"{name}: {kills_at.total()} kills in {rounds} runs ({places})"
    return summary + ", every byte as it should be" * (not wrong), wrong


def main() -> int:
    """Read the arguments, torture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=list(SCENARIOS))
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    summary, wrong = torture(options.command, options.kills, options.seed, options.seconds)
    print(summary, *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
