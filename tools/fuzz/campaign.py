"""The parent of a campaign: starts workers, outlives their crashes, counts, and keeps every escape as a file."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from .formats import Format
from .tally import BEGUN, Tally, board
from .worker import mutant

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = ["-m", "tools.fuzz.worker"]
IN_MEMORY = Path("/dev/shm")  # a file system where writing a file costs little
PATIENCE = 60.0  # seconds for one file; more counts as a hang
START = 300.0  # seconds until a worker can begin: it imports torch
TICK = 0.2  # seconds between two looks at a worker
BATCH = 50_000  # files that a worker judges before another takes its place
MEGABYTES = 4000  # address space of a worker


def campaign(kind: Format, seed: int, count: int, keep: Path, seconds: float = float("inf")) -> Tally:
    """Judge `count` damaged files of a format, or as many as fit in `seconds`; escapes are kept below `keep`.

    The time in which workers begin does not count.
    """
    tally, first = Tally(kind.name), 0
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as folder:
        while first < count and seconds > 0:
            batch = min(BATCH, count - first)
            done, used = work(kind, (seed, first, batch), Path(folder), tally, keep, seconds)
            first, seconds = first + done, seconds - used
    tally.seeds.append(f"{seed}: {tally.judged}")
    return tally


def work(
    kind: Format, span: tuple[int, int, int], folder: Path, tally: Tally, keep: Path, seconds: float
) -> tuple[int, float]:
    """Run one worker over (seed, first, count) until it is done, dies or hangs, or `seconds` are over.

    Returns how many files it has dealt with, and the time (s).
    """
    seen = board(folder / "board", new=True)
    command = [sys.executable, *WORKER, kind.name, *map(str, span), str(folder), str(MEGABYTES)]
    said = open(folder / "said", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - a pipe would fill up
    worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True)
    escaped: list[tuple[int, str]] = []
    try:
        begun, last = watch(worker, seen, escaped, seconds)
    finally:
        worker.kill()
        worker.communicate()
        said.close()
    done = tally.take(seen)
    if last:
        words = (folder / "said").read_text(encoding="utf-8", errors="replace")[-300:]
        escaped.append((span[1] + done, f"{last}: {words}" if words else last))
        tally.counts["escape"] += 1
    for index, what in escaped:
        keep_escape(kind, span[0], index, what, tally, keep)
    return done + bool(last), time.monotonic() - begun


def watch(
    worker: subprocess.Popen, seen: np.ndarray, escaped: list[tuple[int, str]], seconds: float
) -> tuple[float, str]:
    """Look at a worker until it is done or time is up: when it began, and "" or how it came to a bad end."""
    lines = listen(worker)
    try:
        if lines.get(timeout=START) is None:
            return time.monotonic(), f"the process died ({worker.wait()}) before it began"
    except queue.Empty:
        return time.monotonic(), f"no begin after {START:.0f} s"
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        try:
            line = lines.get(timeout=TICK)
        except queue.Empty:
            if 0 < seen[BEGUN] < time.monotonic() - PATIENCE:
                return begun, f"no end after {PATIENCE:.0f} s"
            continue
        if line is None:
            return begun, f"the process died ({worker.returncode})" if worker.wait() else ""
        escaped.append(tuple(json.loads(line)))
    return begun, ""


def listen(worker: subprocess.Popen) -> queue.Queue:
    """A queue of the worker's lines, with None at their end."""
    lines: queue.Queue = queue.Queue()

    def pass_on():
        for line in worker.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=pass_on, daemon=True).start()
    return lines


def keep_escape(kind: Format, seed: int, index: int, what: str, tally: Tally, keep: Path) -> None:
    """Write the damaged file to `keep`, made again from its seed and index, and one line that says what is wrong."""
    name, data = mutant(kind, seed, index)
    target = keep / f"{kind.name}-{seed}-{index}" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    tally.escapes.append(f"{target}: {what}")
