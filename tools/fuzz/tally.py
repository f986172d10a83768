"""What became of the files of one format: counted while a worker is at it, printed as a line, summed over campaigns."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .judge import KINDS

DONE, BEGUN, SLOWEST, MEMORY, COUNTS = 0, 1, 2, 3, 4  # places on a board
HEAD = f"{'format':14}{'mutants':>11}" + "".join(f"{kind:>10}" for kind in KINDS) + f"{'slowest':>9}{'MB':>8}"


def board(path: Path, new: bool = False) -> np.ndarray:
    """What a worker has come to, in a file that its parent sees as well: a process that dies takes no count with it.

    Float64: files done, when the file in hand was begun (s of the monotonic clock, 0: none is), slowest (s), peak (MB),
    and the number of verdicts of each kind.
    """
    return np.memmap(path, np.float64, "w+" if new else "r+", shape=(COUNTS + len(KINDS),))


@dataclass
class Tally:
    """What became of the files of one format."""

    format: str
    counts: Counter = field(default_factory=Counter)
    slowest: float = 0.0  # seconds of processor time
    memory: int = 0  # megabytes at most in a worker, interpreter and libraries included
    escapes: list[str] = field(default_factory=list)  # one line for each
    seeds: list[str] = field(default_factory=list)  # "seed" with the number of files, of each campaign

    @property
    def judged(self) -> int:
        return sum(self.counts.values())

    def take(self, seen: np.ndarray) -> int:
        """Add what stands on a worker's board: how many files it has dealt with."""
        self.counts.update({kind: int(count) for kind, count in zip(KINDS, seen[COUNTS:], strict=True) if count})
        self.slowest, self.memory = max(self.slowest, float(seen[SLOWEST])), max(self.memory, int(seen[MEMORY]))
        return int(seen[DONE])

    def row(self) -> str:
        """A line of the table."""
        counts = "".join(f"{self.counts[kind]:>10,}" for kind in KINDS)
        return f"{self.format:14}{self.judged:>11,}{counts}{self.slowest:>9.2f}{self.memory:>8}"

    def record(self) -> str:
        """All of it as a line of JSON."""
        return json.dumps(vars(self))


def summed(lines: Iterable[str]) -> list[Tally]:
    """The sums of many campaigns' records, one for each format."""
    sums: dict[str, Tally] = {}
    for line in lines:
        one = Tally(**json.loads(line))
        total = sums.setdefault(one.format, Tally(one.format))
        total.counts.update(one.counts)
        total.slowest, total.memory = max(total.slowest, one.slowest), max(total.memory, one.memory)
        total.escapes += one.escapes
        total.seeds += one.seeds
    return list(sums.values())
