"""The parent of a campaign: starts workers, outlives their crashes, counts, and keeps every escape as a file."""

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .formats import Format
from .judge import KINDS
from .worker import mutant

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = ["-m", "tools.fuzz.worker"]
PATIENCE = 30.0  # seconds for one file; more counts as a hang
START = 300.0  # seconds until a worker can begin: it imports torch
BATCH = 2000  # files a worker judges before another takes its place
MEGABYTES = 4000  # address space of a worker


@dataclass
class Tally:
    """What became of the files of one format."""

    format: str
    counts: Counter = field(default_factory=Counter)
    slowest: float = 0.0  # seconds
    memory: int = 0  # megabytes at most in a worker, interpreter and libraries included
    escapes: list[str] = field(default_factory=list)  # one line for each

    @property
    def judged(self) -> int:
        return sum(self.counts.values())

    def row(self) -> str:
        """A line of the table."""
        counts = "".join(f"{self.counts[kind]:>10,}" for kind in KINDS)
        return f"{self.format:14}{self.judged:>11,}{counts}{self.slowest:>9.2f}{self.memory:>8}"


HEAD = f"{'format':14}{'mutants':>11}" + "".join(f"{kind:>10}" for kind in KINDS) + f"{'slowest':>9}{'MB':>8}"


def campaign(kind: Format, seed: int, count: int, keep: Path, seconds: float = float("inf")) -> Tally:
    """Judge `count` damaged files of a format, or as many as fit in `seconds`; escapes are kept below `keep`."""
    tally, end, first = Tally(kind.name), time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        while first < count and time.monotonic() < end:
            batch = min(BATCH, count - first)
            first += work(kind, (seed, first, batch), Path(folder), tally, keep, end)
    return tally


def work(kind: Format, span: tuple[int, int, int], folder: Path, tally: Tally, keep: Path, end: float) -> int:
    """Run one worker over (seed, first, count) until it is done, dies or hangs: how many files it has dealt with."""
    seed, first, count = span
    command = [sys.executable, *WORKER, kind.name, *map(str, span), str(folder / "work")]
    said = open(folder / "said", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - a pipe would fill up
    worker = subprocess.Popen([*command, str(MEGABYTES)], cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True)
    lines, done, last = listen(worker), 0, ""
    try:
        if lines.get(timeout=START) is None:
            last = f"the process died ({worker.wait()}) before it began"
        while not last and done < count and time.monotonic() < end:
            line = lines.get(timeout=PATIENCE)
            if line is None:
                last = f"the process died ({worker.wait()}): {(folder / 'said').read_text(errors='replace')[-300:]}"
                break
            note(json.loads(line), kind, seed, folder, tally, keep)
            done += 1
    except queue.Empty:
        last = f"no end after {PATIENCE:.0f} s"
    finally:
        worker.kill()
        worker.communicate()
        said.close()
    if last:
        tally.counts["escape"] += 1
        keep_escape(kind, seed, first + done, last, folder, tally, keep)
        done += 1
    return done


def listen(worker: subprocess.Popen) -> queue.Queue:
    """A queue of the worker's lines, with None at their end."""
    lines: queue.Queue = queue.Queue()

    def pass_on():
        for line in worker.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=pass_on, daemon=True).start()
    return lines


def note(entry: list, kind: Format, seed: int, folder: Path, tally: Tally, keep: Path) -> None:
    """Enter one verdict."""
    index, verdict, what, seconds, megabytes = entry
    tally.counts[verdict] += 1
    tally.slowest, tally.memory = max(tally.slowest, seconds), max(tally.memory, megabytes)
    if verdict == "escape":
        keep_escape(kind, seed, index, what, folder, tally, keep)


def keep_escape(kind: Format, seed: int, index: int, what: str, folder: Path, tally: Tally, keep: Path) -> None:
    """Write the damaged file to `keep`, made again from its seed and index, and one line that says what is wrong."""
    name, data = mutant(kind, seed, index)
    target = keep / f"{kind.name}-{seed}-{index}" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    tally.escapes.append(f"{target}: {what}")


def clear(keep: Path) -> None:
    """Remove the escapes of an earlier campaign."""
    shutil.rmtree(keep, ignore_errors=True)
