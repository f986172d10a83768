"""What became of the runs: counted fault by fault, and kept in a file from which a campaign goes on."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .shim import Fault

UNHARMED, REFUSED, KILLED, CUT, ESCAPE = "unharmed", "refused", "killed", "cut off", "escapes"
COLUMNS = (UNHARMED, REFUSED, KILLED, CUT, ESCAPE)
REST = 5.0  # s between two writes of the file
GROUPS = (("SIGKILL", {"SIGKILL"}), ("SIGINT, SIGTERM, SIGHUP", {"SIGINT", "SIGTERM", "SIGHUP"}))


class Span(NamedTuple):
    """Which calls fail in turn."""

    first: int = 1
    stride: int = 1
    most: int = sys.maxsize  # runs
    until: float = float("inf")  # a time of the monotonic clock


@dataclass
class Tally:
    """What became of one fault in one command."""

    counts: Counter = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)  # one line each
    reached: int = 0  # the last n that was tried
    done: bool = False  # whether every n was

    def add(self, n: int, kind: str, wrong: list[str]) -> None:
        """Count a run."""
        self.counts[kind] += 1
        self.escapes += wrong
        self.reached = n


def every(one: Callable, fault: Fault, span: Span, tally: Tally, note: Callable = lambda: None) -> Tally:
    """A fault at every n of a span that the tally does not have yet, until a run gets through untouched.

    `one` gives what became of a fault and what is wrong, or None where there was no n-th call; `note` is called after
    each run.
    """
    begin = tally.reached + span.stride if tally.reached else span.first
    for n in range(begin, min(sys.maxsize, span.first + span.most * span.stride), span.stride):
        if time.monotonic() > span.until:
            return tally
        found = one(fault._replace(n=n))
        if found is None:
            break
        tally.add(n, *found)
        note()
    tally.done = True
    return tally


class Record:
    """The tallies of a campaign, in a file or only in memory."""

    def __init__(self, path: Path | None):
        """The file, which is read if it is there."""
        self.path, self.tallies, self.written = path, {}, 0.0
        for key, found in (json.loads(path.read_text()) if path and path.exists() else {}).items():
            self.tallies[key] = Tally(Counter(found.pop("counts")), **found)

    def tally(self, name: str, fault: Fault, span: Span) -> Tally:
        """The tally of a fault in a command, begun or new."""
        key = f"{name} {fault.kind} {fault.error}{'*' * fault.lasting} {span.first} {span.stride}"
        return self.tallies.setdefault(key, Tally())

    def note(self, now: bool = False) -> None:
        """Write the file, not too often unless `now`; a reader sees the old one or the new one."""
        if self.path and (now or time.monotonic() > self.written + REST):
            draft = self.path.with_name(self.path.name + ".part")
            draft.write_text(json.dumps({key: vars(tally) for key, tally in self.tallies.items()}, indent=1))
            os.replace(draft, self.path)
            self.written = time.monotonic()

    def rows(self) -> Iterator[tuple[str, str, Counter, bool]]:
        """For each command and group of faults: their names, the counts, whether every n of those begun was tried."""
        groups: dict[tuple[str, str], list[tuple[str, Tally]]] = {}
        for key, tally in self.tallies.items():
            name, _, error, first, stride = key.split()
            group = next((group for group, errors in GROUPS if error in errors), "errors")
            groups.setdefault((name, group), []).append((f"{first} {stride}", tally))
        for (name, group), found in groups.items():
            whole = all(tally.done and span == "1 1" for span, tally in found)
            yield name, group, sum((tally.counts for _, tally in found), Counter()), whole

    def table(self) -> Iterator[str]:
        """The lines of a table in Markdown."""
        yield "| command | faults | calls | runs | " + " | ".join(COLUMNS) + " |"
        yield "|---|---|---|" + "---|" * (1 + len(COLUMNS))
        for name, group, counts, whole in self.rows():
            if counts:
                figures = " | ".join(f"{counts[column]:,}" for column in COLUMNS)
                yield f"| {name} | {group} | {'all' if whole else 'some'} | {counts.total():,} | {figures} |"
