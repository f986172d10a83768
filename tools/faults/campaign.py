"""Every kind of call, every n, until a run gets through untouched: what became of each, and what is wrong.

After a run that was disturbed its exit code, its words and its files are looked at; then the command that goes on is
run undisturbed, and must leave what a run leaves that was never disturbed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from .scenarios import OUT, Scenario, hub
from .shim import NONE, Board, Fault, compiled, why_not

ROOT = Path(__file__).parents[2]
LIMIT = 60.0  # s for one run; more counts as a hang
OK, INTERRUPTED = 0, 130
CODES = {0, 1, 2, 3, 120, 130, 141}
TIMES = re.compile(rb'"(seconds|frames_per_second|rtf|speed)": [\d.e+-]+')
RESULTS = ("out.jsonl", "results.jsonl")
UNHARMED, REFUSED, KILLED, ESCAPE = "unharmed", "refused", "killed", "escapes"
FAULTS = tuple(
    Fault(kind, error, lasting=lasting)
    for kind, errors, lasting in (
        ("open", ("EACCES", "EMFILE", "EINTR"), False),
        ("read", ("EIO", "EINTR", "SHORT"), False),
        ("write", ("ENOSPC", "EIO", "EINTR", "SHORT"), False),
        ("write", ("ENOSPC",), True),
        ("fsync", ("EIO", "ENOSPC", "EINTR"), False),
        ("rename", ("EACCES", "ENOSPC"), False),
        ("mkdir", ("EACCES", "ENOSPC"), False),
        ("mmap", ("ENOMEM", "ENODEV"), False),
        ("unlink", ("EACCES", "EIO"), False),
        ("close", ("EIO", "ENOSPC"), False),
        ("truncate", ("EIO",), False),
        ("stat", ("EACCES", "EIO"), False),
        ("list", ("EACCES", "EMFILE"), False),
        ("network", ("ECONNRESET", "EPIPE", "ETIMEDOUT", "EINTR", "SHORT"), False),
        ("spawn", ("EAGAIN", "ENOMEM"), False),
        ("thread", ("EAGAIN",), False),
        ("memory", ("ENOMEM",), False),
        ("any", ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"), False),
    )
    for error in errors
)


@dataclass
class Tally:
    """What became of one fault in one command."""

    counts: Counter = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)  # one line each


class Files:
    """The files that a scenario leaves in `work`: {path: bytes}, and which may not be there."""

    def __init__(self, scenario: Scenario, work: Path):
        self.scenario, self.work = scenario, work

    def found(self) -> dict[str, bytes]:
        """All files, without the measured times in them."""
        paths = (path for path in sorted(self.work.rglob("*")) if path.is_file())
        names = {path.relative_to(self.work).as_posix(): path for path in paths}
        kept = {name: path for name, path in names.items() if not name.startswith(self.scenario.ignored or ("\0",))}
        return {name: TIMES.sub(rb'"\1": 0', path.read_bytes()) for name, path in kept.items()}


def lines_of(name: str, files: dict[str, bytes]) -> list[bytes]:
    """The lines of a file of results in any order (an input that has failed comes later), else the file as it is."""
    return sorted(files[name].splitlines()) if name in RESULTS else [files[name]]


def is_part(data: bytes, whole: bytes) -> bool:
    """Return whether data is the beginning of a file, or only has whole lines of it."""
    return whole.startswith(data) or (data.endswith(b"\n") and set(data.splitlines()) <= set(whole.splitlines()))


def is_hidden(name: str) -> bool:
    """A journal, a lock, a temporary file."""
    return any(part.startswith(".") for part in name.split("/"))


class Campaign:
    """One scenario, with its folder and a process that runs it."""

    def __init__(self, scenario: Scenario, folder: Path):
        """`folder`: new; it must lie on a disk that has room for the model three times."""
        self.scenario, self.folder, self.place = scenario, folder, folder / "place"
        self.work = self.place / "work"
        self.place.mkdir()
        scenario.prepare(self.place)
        shutil.copytree(self.work, folder / "template", symlinks=True)
        self.board, self.error = Board(folder / "order"), folder / "stderr"
        self.around = ExitStack()
        where = {"work": self.work, "hub": self.around.enter_context(hub()).url if scenario.hub else ""}
        self.environment = {name: value.format(**where) for name, value in scenario.environment}
        command = [sys.executable, "-m", "tools.faults.runner"]
        quiet = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        library = self.board.environment(compiled(folder)) if why_not() is None else os.environ
        self.runner = subprocess.Popen(
            command,
            cwd=ROOT,
            env=library | quiet | self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.before = Files(scenario, self.work).found()
        self.expected = self.undisturbed()

    def close(self) -> None:
        """End the process."""
        self.runner.stdin.close()
        self.runner.wait()
        self.runner.stdout.close()
        self.around.close()

    def reset(self) -> None:
        """Everything as it was before the first run."""
        shutil.rmtree(self.work)
        shutil.copytree(self.folder / "template", self.work, symlinks=True)

    def start(self, argv: tuple[str, ...], fault: Fault, limit: float = LIMIT) -> tuple[int, str]:
        """Run a command with a fault, and kill it after `limit` seconds: its exit code and what it said."""
        self.board.set(fault, self.place)
        request = {"argv": argv, "folder": str(self.work), "out": str(self.work / OUT), "error": str(self.error)}
        self.runner.stdin.write(json.dumps(request | {"limit": limit, "environment": self.environment}) + "\n")
        self.runner.stdin.flush()
        code = json.loads(self.runner.stdout.readline())["code"]
        self.board.arm(False)
        return code, self.error.read_text(errors="replace")

    def undisturbed(self) -> dict[str, bytes]:
        """What a run leaves that nothing disturbs. Raises RuntimeError."""
        code, said = self.start(self.scenario.argv, NONE)
        if code:
            raise RuntimeError(f"{self.scenario.name}: an undisturbed run ended with {code}: {said}")
        return Files(self.scenario, self.work).found()

    def one(self, fault: Fault) -> tuple[str, list[str]] | None:
        """One run with a fault: what became of it and what is wrong; None if there was no n-th call."""
        self.reset()
        code, said = self.start(self.scenario.argv, fault)
        struck, where = self.board.struck, self.board.where
        if not struck:
            return None
        wrong = [*self.wrong(code, said, fault), *filter(None, [self.scenario.check(self.work)])]
        wrong += self.wrong_after_going_on(fault)
        if wrong:
            return ESCAPE, [f"{self.scenario.name}, {fault} ({where}): {text}" for text in wrong]
        return (KILLED if code < 0 else REFUSED if code else UNHARMED), []

    def wrong(self, code: int, said: str, fault: Fault) -> Iterator[str]:
        """What is wrong after a run that was disturbed."""
        if fault.error.startswith("SIG"):
            yield from self.wrong_signal(code, said, fault.error)
        elif code not in CODES:
            yield f"it ended with {code}: {said[-300:]!r}"
        if code >= 0 and (unclear := [line for line in said.splitlines() if not line.startswith("s2t-np: ")]):
            yield f"it said {unclear[-1][:200]!r}"
        if said.count("\n") > self.scenario.lines:
            yield f"it said {said.count(chr(10))} lines"
        if code > 0 and not said and code != INTERRUPTED + 11:
            yield f"it ended with {code} and said nothing"
        yield from self.torn(code, fault)

    def wrong_signal(self, code: int, said: str, name: str) -> Iterator[str]:
        """What is wrong with the end of a run that got a signal."""
        from signal import Signals

        from s2t_np.system.signals import WORDS

        number, lines = getattr(Signals, name), said.splitlines()
        expected = {-number} if name == "SIGKILL" else {128 + number, 0}
        if code not in expected:
            yield f"it ended with {code}, expected {sorted(expected)}: {said[-200:]!r}"
        if code > 0 and [line for line in lines if f": {WORDS[number]}" in line] != lines[-1:]:
            yield f"it said {said!r}, expected one line about the signal, the last"

    def torn(self, code: int, fault: Fault) -> Iterator[str]:
        """What is wrong with its files."""
        found = Files(self.scenario, self.work).found()
        if code == OK and (lacking := [name for name in self.expected if name not in found and not is_hidden(name)]):
            yield f"it ended with 0 and {lacking[0]} is not there"
        for name, data in found.items():
            known = {self.expected.get(name), self.before.get(name)} - {None}
            spared = fault.kind == "unlink" or (fault.error.startswith("SIG") and is_hidden(name))  # until the next run
            if not known and code >= 0 and not spared:
                yield f"{name} is left"
            if code and name.startswith(self.scenario.passing or ("\0",)):
                continue
            if name == OUT and code and fault.kind == "read":
                continue  # a recording that breaks off is printed as far as it was heard
            grows = name in self.scenario.growing and code != OK
            whole = any(is_part(data, one) if grows else one == data for one in known)
            if known and not whole and not is_hidden(name) and not (grows and self.before.get(name)):
                yield f"{name} has {data[-60:]!r} at its end, expected {self.expected.get(name, b'')[-60:]!r}"

    def wrong_after_going_on(self, fault: Fault) -> Iterator[str]:
        """What is wrong once the command has gone on without a fault."""
        code, said = self.start(self.scenario.again(self.work), NONE)
        if code:
            yield f"going on ended with {code}: {said[-300:]!r}"
        else:
            yield from self.differences(fault)

    def differences(self, fault: Fault) -> Iterator[str]:
        """What is other than after a run that was never disturbed, once the command is done."""
        found = Files(self.scenario, self.work).found()
        for name in self.expected.keys() | found.keys():
            if is_hidden(name) and name in self.expected:
                continue  # a journal has another history
            if name not in found:
                yield f"after going on {name} is not there"
            elif name not in self.expected and fault.kind != "unlink":
                yield f"after going on {name} is left"
            elif name in self.expected and lines_of(name, found) != lines_of(name, self.expected):
                yield f"after going on {name} has {found[name][-60:]!r} at its end"

    def all(self, fault: Fault, first: int = 1, stride: int = 1, most: int = sys.maxsize) -> Tally:
        """A fault at every n, or at every `stride`-th, until a run gets through untouched."""
        tally = Tally()
        for n in range(first, first + most * stride, stride):
            found = self.one(fault._replace(n=n))
            if found is None:
                break
            tally.counts[found[0]] += 1
            tally.escapes += found[1]
        return tally
