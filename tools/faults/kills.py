"""Kill a command with SIGKILL at random moments, let it go on until it is done, and compare every byte.

    python -m tools.faults.kills train 1000 --seed 7           # at least 1000 kills
    python -m tools.faults.kills train 100000 --seconds 900    # or as many as fit in a quarter of an hour

`tools/kill_batch.py` does the same for `transcribe`, in all ways to write and with several jobs. The exit code is 1 if
something was torn or differs in the end.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from .campaign import Campaign
from .scenarios import SCENARIOS
from .shim import NONE, Fault

KILL = Fault("any", "SIGKILL")


def until_done(campaign: Campaign, longest: float, draw: random.Random) -> tuple[int, list[str]]:
    """Kill a command after up to `longest` seconds, again and again: the kills until it was done, and what is wrong."""
    campaign.reset()
    argv, kills, wrong = campaign.scenario.argv, 0, []
    while (code := campaign.start(argv, NONE, draw.uniform(0, longest))[0]) < 0:
        kills += 1
        wrong += campaign.torn(code, KILL)
        argv = campaign.scenario.again(campaign.work)
    wrong += [f"it ended with {code}"] * bool(code)
    return kills, wrong + list(campaign.differences(KILL))


def torture(name: str, kills: int, seed: int, seconds: float = float("inf")) -> tuple[str, list[str]]:
    """Kill a command at least `kills` times, or until `seconds` are over: a summary, and what is wrong."""
    draw, done, rounds, wrong = random.Random(seed), 0, 0, []
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(SCENARIOS[name], Path(folder))
        begun = time.monotonic()
        campaign.reset()
        campaign.undisturbed()
        longest = time.monotonic() - begun
        while done < kills and time.monotonic() < end and not wrong:
            more, wrong = until_done(campaign, longest, draw)
            done, rounds = done + more, rounds + 1
        campaign.close()
    return f"{name}: {done} kills in {rounds} runs" + ", every byte as it should be" * (not wrong), wrong


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
