"""A child process of a campaign: damages, reads and judges one file after another, within limits of memory and time.

    python -m tools.fuzz.worker FORMAT SEED FIRST COUNT FOLDER MEGABYTES

It prints "ready" once it can begin, and a line of JSON for each escape: [index, what]. What else it comes to stands on
the board in FOLDER (tally.board), so that nothing is lost when this process dies.
"""

import contextlib
import functools
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

import numpy as np

from .formats import FORMATS, Files, Format
from .judge import KINDS, Verdict, judge, second
from .tally import BEGUN, COUNTS, DONE, MEMORY, SLOWEST, board

LOOK = 64  # files between two looks at this process's memory
TOO_LARGE = 1500  # megabytes at which another worker takes the place of this one


@functools.cache
def whole_files(kind: Format) -> tuple[list[str], Files]:
    """The names of a format's whole files, and the files."""
    files = kind.seeds()
    return sorted(files), files


def mutant(kind: Format, seed: int, index: int) -> tuple[str, bytes]:
    """The name and the content of the damaged file of that index: the same in every process."""
    random = Random(f"{kind.name} {seed} {index}")
    names, files = whole_files(kind)
    name = random.choice(names)
    return name, kind.damage(random, name, files[name])


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
    """Let the readers import what they need, which may take longer on a busy machine than any file may."""
    (place / "whole").mkdir()
    kind.prepare(place / "whole")
    name, data = next(iter(kind.seeds().items()))
    for read in filter(None, (kind.read, kind.reference)):
        (place / "whole" / name).write_bytes(data)
        second(place / "whole" / name, read)
    shutil.rmtree(place / "whole")


class Bench:
    """The place where one damaged file after another lies among the whole ones."""

    def __init__(self, kind: Format, folder: Path):
        """Make `folder`/damaged anew."""
        self.kind, self.place = kind, folder / "damaged"
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        warm_up(kind, self.place)
        self.whole = kind.prepare(self.place)

    def judge(self, name: str, data: bytes) -> Verdict:
        """What becomes of a file. It is removed, and a whole one that it stood for comes back."""
        path = self.place / name
        path.write_bytes(data)
        verdict = judge(path, self.kind.read, self.kind.reference)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        if name in self.whole:
            path.write_bytes(self.whole[name])
        return verdict


def run(kind: Format, seed: int, indices: range, bench: Bench, seen: np.ndarray, output: TextIO) -> None:
    """Judge the damaged files of these indices, and note what became of each, until this process is too large."""
    parent = os.getppid()
    for done, index in enumerate(indices, 1):
        name, data = mutant(kind, seed, index)
        seen[BEGUN] = time.monotonic()
        begun = time.process_time()
        verdict = bench.judge(name, data)
        seen[SLOWEST] = max(seen[SLOWEST], time.process_time() - begun)
        seen[BEGUN] = 0
        seen[COUNTS + KINDS.index(verdict.kind)] += 1
        seen[DONE] = done
        if verdict.kind == "escape":
            print(json.dumps([index, verdict.what]), file=output, flush=True)
        if done % LOOK == 1 or done == len(indices):
            seen[MEMORY] = peak_memory()
            if seen[MEMORY] > TOO_LARGE or os.getppid() != parent:
                return


def main() -> None:
    name, seed, first, count, folder, megabytes = sys.argv[1:]
    kind = FORMATS[name]
    kind.seeds()
    limit(int(megabytes))
    output = own_output()
    warnings.simplefilter("ignore")
    bench, seen = Bench(kind, Path(folder)), board(Path(folder) / "board")
    print(json.dumps("ready"), file=output, flush=True)
    run(kind, int(seed), range(int(first), int(first) + int(count)), bench, seen, output)


if __name__ == "__main__":
    main()
