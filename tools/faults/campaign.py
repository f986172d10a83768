"""Every kind of call, every n, until a run gets through untouched: what became of each, and what is wrong.

After a run that was disturbed its exit code, its words and its files are looked at; then the command that goes on is
run undisturbed, and must leave what a run leaves that was never disturbed. Many runs leave the same state: the command
goes on from each state once.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from .processes import ROOT, Forks, Fresh, Run
from .scenarios import OUT, Scenario, hub
from .shim import NONE, Board, Fault, compiled, why_not
from .tally import ESCAPE, KILLED, REFUSED, UNHARMED

LIMIT = 60.0  # s for one run; more counts as a hang
OK, INTERRUPTED = 0, 130
CODES = {0, 1, 2, 3, 120, 130, 141}
TIMES = re.compile(rb'"(seconds|frames_per_second|rtf|speed)": [\d.e+-]+')
DRAWN = re.compile(r"(?<![^/])(\.[^/]*?)[0-9a-f]{12,}")  # in the names of hidden files
BINARY = (".safetensors", ".model", ".npy", ".png")
TEXTS = (OUT, "out", "results.jsonl")  # beginnings of paths that results are written to
RESULTS = ("out.jsonl", "results.jsonl")
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


class Files:
    """The files that a scenario leaves in `work`: {path: bytes}, and which may not be there."""

    def __init__(self, scenario: Scenario, work: Path):
        self.scenario, self.work = scenario, work

    def found(self) -> dict[str, bytes]:
        """All files, without the measured times in them."""
        paths = (path for path in sorted(self.work.rglob("*")) if path.is_file())
        names = {path.relative_to(self.work).as_posix(): path for path in paths}
        kept = {name: path for name, path in names.items() if not name.startswith(self.scenario.ignored or ("\0",))}
        return {name: without_times(path) for name, path in kept.items()}

    def state(self) -> str:
        """A name for all that the command can find there: files, links and folders, without names drawn at random.

        Its output is left out, which no command reads and each writes anew.
        """
        found = []
        for path in self.work.rglob("*"):
            if path.name == OUT:
                continue
            name = DRAWN.sub(r"\1#", path.relative_to(self.work).as_posix())
            link, data = path.is_symlink(), b"" if path.is_symlink() or not path.is_file() else without_times(path)
            found.append((name, os.readlink(path) if link else "", hashlib.sha256(data).hexdigest(), path.is_dir()))
        return repr(sorted(found))


def without_times(path: Path) -> bytes:
    """The bytes of a file, without the measured times in them."""
    data = path.read_bytes()
    return data if path.suffix in BINARY else TIMES.sub(rb'"\1": 0', data)


def lines_of(name: str, data: bytes) -> list[bytes]:
    """The lines of a file of results in any order (an input that has failed comes later), else the file as it is."""
    return sorted(data.splitlines()) if name in RESULTS else [data]


def is_part(data: bytes, whole: bytes) -> bool:
    """Return whether data is the beginning of a file, or only has whole lines of it."""
    return whole.startswith(data) or (data.endswith(b"\n") and set(data.splitlines()) <= set(whole.splitlines()))


def is_hidden(name: str) -> bool:
    """A journal, a lock, a temporary file."""
    return any(part.startswith(".") for part in name.split("/"))


class Campaign:
    """One scenario, with its folder and a process that runs it."""

    def __init__(self, scenario: Scenario, folder: Path, fresh: bool = False):
        """`folder`: new. `fresh`: a new process for each run, rather than a fork of one."""
        self.scenario, self.folder, self.place = scenario, folder, folder / "place"
        self.work = self.place / "work"
        self.place.mkdir()
        scenario.prepare(self.place)
        shutil.copytree(self.work, folder / "template", symlinks=True)
        self.board, self.error = Board(folder / "order"), folder / "stderr"
        self.around = ExitStack()
        self.runner = (Fresh if fresh else Forks)(self.environment(), scenario.missing)
        self.around.callback(self.runner.close)
        self.files, self.went_on, self.where = Files(scenario, self.work), {}, ""
        self.before = self.files.found()
        self.start(scenario.argv, NONE, learn=True)
        self.reset()
        self.expected = self.undisturbed()

    def environment(self) -> dict[str, str]:
        """The variables of a run. A hub is started, where it needs one."""
        where = {"work": self.work, "hub": ""}
        if self.scenario.hub:
            where["hub"] = self.around.enter_context(hub(self.place / "fixed" / "model")).url
        asked = {name: value.format(**where) for name, value in self.scenario.environment}
        library = self.board.environment(compiled(self.folder)) if why_not() is None else os.environ
        return library | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | asked

    def close(self) -> None:
        """End the process."""
        self.around.close()

    def reset(self) -> None:
        """Everything as it was before the first run."""
        shutil.rmtree(self.work)
        shutil.copytree(self.folder / "template", self.work, symlinks=True)

    def start(self, argv: tuple[str, ...], fault: Fault, learn: bool = False) -> tuple[int, str]:
        """Run a command with a fault: its exit code and what it said."""
        self.board.set(fault, self.place)
        code = self.runner.run(Run(argv, str(self.work), str(self.work / OUT), str(self.error), LIMIT, learn))
        self.board.arm(False)
        return code, self.error.read_text(errors="replace")

    def undisturbed(self) -> dict[str, bytes]:
        """What a run leaves that nothing disturbs. Raises RuntimeError."""
        code, said = self.start(self.scenario.argv, NONE)
        if code:
            raise RuntimeError(f"{self.scenario.name}: an undisturbed run ended with {code}: {said}")
        return self.files.found()

    def one(self, fault: Fault) -> tuple[str, list[str]] | None:
        """One run with a fault: what became of it and what is wrong; None if there was no n-th call."""
        self.reset()
        code, said = self.start(self.scenario.argv, fault)
        if not self.board.struck:
            return None
        self.where = self.board.where  # the call that failed
        wrong = [*self.wrong(code, said, fault), *filter(None, [self.scenario.check(self.work)])]
        wrong += self.wrong_after_going_on(fault)
        if wrong:
            return ESCAPE, [f"{self.scenario.name}, {fault} ({self.where}): {text}" for text in wrong]
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
        found = self.files.found()
        if code == OK and (lacking := [name for name in self.expected if name not in found and not is_hidden(name)]):
            yield f"it ended with 0 and {lacking[0]} is not there"
        for name, data in found.items():
            known = {self.expected.get(name), self.before.get(name)} - {None}
            spared = fault.kind == "unlink" or (fault.error.startswith("SIG") and is_hidden(name))  # until the next run
            if not known and code >= 0 and not spared:
                yield f"{name} is left"
            if code and name.startswith(self.scenario.passing or ("\0",)):
                continue
            if name.startswith(TEXTS) and code and fault.kind == "read":
                continue  # a recording that breaks off is written as far as it was heard
            grows = name in self.scenario.growing and code != OK
            whole = any(is_part(data, one) if grows else lines_of(name, data) == lines_of(name, one) for one in known)
            if known and not whole and not is_hidden(name) and not (grows and self.before.get(name)):
                yield f"{name} has {data[-60:]!r} at its end, expected {self.expected.get(name, b'')[-60:]!r}"

    def wrong_after_going_on(self, fault: Fault) -> list[str]:
        """What is wrong once the command has gone on without a fault; from a state that was gone on from, as then."""
        again = self.scenario.again(self.work)
        key = (again, fault.kind == "unlink", self.files.state())
        if key not in self.went_on:
            code, said = self.start(again, NONE)
            wrong = [f"going on ended with {code}: {said[-300:]!r}"] if code else list(self.differences(fault))
            self.went_on[key] = wrong
        return self.went_on[key]

    def differences(self, fault: Fault) -> Iterator[str]:
        """What is other than after a run that was never disturbed, once the command is done."""
        found = self.files.found()
        for name in self.expected.keys() | found.keys():
            if is_hidden(name) and name in self.expected:
                continue  # a journal has another history
            if name not in found:
                yield f"after going on {name} is not there"
            elif name not in self.expected and fault.kind != "unlink":
                yield f"after going on {name} is left"
            elif name in self.expected and lines_of(name, found[name]) != lines_of(name, self.expected[name]):
                yield f"after going on {name} has {found[name][-60:]!r} at its end"
