"""A child process of a campaign: damages, reads and judges one file after another, within limits of memory and time.

    python -m tools.fuzz.worker FORMAT SEED FIRST COUNT FOLDER MEGABYTES

It prints "ready" once it can begin, and a line of JSON for each file: [index, kind, what, seconds, peak megabytes]. The
file lies in FOLDER/damaged until the next one takes its place, so that the parent finds it when this process dies.
"""

import json
import os
import resource
import shutil
import sys
import time
import warnings
from pathlib import Path
from random import Random
from typing import TextIO

from .formats import FORMATS, Format
from .judge import judge, second


def mutant(kind: Format, seed: int, index: int) -> tuple[str, bytes]:
    """The name and the content of the damaged file of that index: the same in every process."""
    random = Random(f"{kind.name} {seed} {index}")
    name = random.choice(sorted(kind.seeds()))
    return name, kind.damage(random, name, kind.seeds()[name])


def limit(megabytes: int) -> None:
    """Give this process no more address space than that; 0: no limit."""
    if megabytes:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peak_memory() -> int:
    """The most memory of this process so far, in megabytes; 0 where the system does not tell.

    (getrusage counts what the process that started this one had before that.)
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10


def own_output() -> TextIO:
    """The standard output, for this module alone: what libraries print goes to the standard error from now on."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return own


def warm_up(kind: Format, place: Path) -> None:
    """Let the other reader import what it needs, which may take longer on a busy machine than any file may."""
    name, data = next(iter(kind.seeds().items()))
    if kind.reference is not None:
        (place / "whole").mkdir()
        (place / "whole" / name).write_bytes(data)
        second(place / "whole" / name, kind.reference)
        shutil.rmtree(place / "whole")


def run(kind: Format, seed: int, first: int, count: int, folder: Path) -> None:
    """Judge `count` damaged files, and print what became of each."""
    output = own_output()
    warnings.simplefilter("ignore")
    shutil.rmtree(folder, ignore_errors=True)
    place = folder / "damaged"
    place.mkdir(parents=True)
    whole = kind.prepare(place)
    warm_up(kind, place)
    print(json.dumps("ready"), file=output, flush=True)
    for index in range(first, first + count):
        name, data = mutant(kind, seed, index)
        path = place / name
        path.write_bytes(data)
        begun = time.perf_counter()
        verdict = judge(path, kind.read, kind.reference)
        seconds = time.perf_counter() - begun
        print(json.dumps([index, *verdict, round(seconds, 3), peak_memory()]), file=output, flush=True)
        path.unlink(missing_ok=True)
        if name in whole:
            path.write_bytes(whole[name])


def main() -> None:
    name, seed, first, count, folder, megabytes = sys.argv[1:]
    kind = FORMATS[name]
    kind.seeds()
    limit(int(megabytes))
    run(kind, int(seed), int(first), int(count), Path(folder))


if __name__ == "__main__":
    main()
