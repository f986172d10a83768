#!/usr/bin/env python3
"""How time and memory grow with the work: one table for each kind of work, and one picture.

    python -m tools.bench.growth [--only whole segments files beams vocabulary size] [--most N]
        [--json FILE] [--plot FILE]

Weights are random in the shape of the released s2t-small, except where the size of the model is what grows. Each point
is a process of its own (growth_point.py), so that its peak memory is its own. "power" is x in time ~ n^x between a row
and the one above: 1 is linear, 2 quadratic, 0 independent. --most leaves out points beyond N, --plot needs matplotlib.
About five minutes on two quiet cores.

    whole        one utterance of N seconds, features to tokens (5 beams, 3 tokens a second)
    segments     one recording of N seconds, cut into segments, by the command `transcribe`
    files        N recordings of a second, by the command
    beams        10 s with N beams
    vocabulary   10 s with N pieces
    size         10 s in the released small, medium and large shapes (N: parameters)
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from s2t_np.config import ModelConfig
from s2t_np.errors import OptionError
from s2t_np.weights import expected_shapes
from tools import random_checkpoint

ROOT = Path(__file__).resolve().parents[2]
POINTS = {
    "whole": (5, 10, 30, 60, 120, 240),
    "segments": (5, 10, 60, 600, 3600),
    "files": (1, 10, 100, 1000),
    "beams": (1, 2, 5, 10, 20),
    "vocabulary": (1_000, 10_000, 30_000, 100_000),
    "size": ("small", "medium", "large"),
}
UNITS = {
    "whole": "seconds of one utterance",
    "segments": "seconds of a recording, in segments",
    "files": "files of 1 s",
    "beams": "beams, 10 s",
    "vocabulary": "pieces, 10 s",
    "size": "parameters, 10 s",
}
SECONDS, BEAMS, REPEATS = 10, 5, 3


def parameters(config: dict) -> int:
    """The number of weights of a shape."""
    names = {field: config[field] for field in ModelConfig.__dataclass_fields__ if field in config}
    return sum(math.prod(shape) for shape in expected_shapes(ModelConfig(**names)).values())


class Folders:
    """Checkpoints of the shapes asked for, written when they are first needed."""

    def __init__(self, scratch: Path, shape: str):
        self.scratch, self.shape = scratch, shape

    def folder(self, shape: str | None = None, **changes) -> tuple[Path, dict]:
        """The folder, and its config.json."""
        config = random_checkpoint.shape_config(shape or self.shape, **changes)
        folder = self.scratch / "-".join([shape or self.shape, *map(str, changes.values())])
        if not folder.exists():
            random_checkpoint.write_checkpoint(folder, config)
        return folder, config


def job(kind: str, n, folders: Folders, scratch: Path) -> tuple[float, dict]:
    """N as a number, and what growth_point is told."""
    shape, changes = (n, {}) if kind == "size" else (None, {"vocab_size": n} if kind == "vocabulary" else {})
    folder, config = folders.folder(shape, **changes)
    given = {"kind": kind if kind in ("segments", "files") else "whole", "folder": str(folder), "scratch": str(scratch)}
    if kind == "files":
        return n, given | {"count": n}
    given |= {"seconds": n if kind in ("whole", "segments") else SECONDS, "beams": n if kind == "beams" else BEAMS}
    return parameters(config) if kind == "size" else n, given | {"repeats": 1 if given["seconds"] > 60 else REPEATS}


def measured(given: dict) -> dict:
    """The answer of a process. Raises SystemExit with its last words."""
    command = [sys.executable, "-m", "tools.bench.growth_point", json.dumps(given)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{given}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def series(kind: str, points, folders: Folders) -> Iterator[dict]:
    """{"n": N, "times": {what: [wall, processor]}, "megabytes"} for each point."""
    for point in points:
        with tempfile.TemporaryDirectory() as scratch:
            n, given = job(kind, point, folders, Path(scratch))
            yield {"n": n, **measured(given)}


def power(before: dict | None, row: dict, what: str) -> float | None:
    """The x in time ~ n^x from one row to the next, by processor time; None for the first."""
    if before is None:
        return None
    ratio = row["times"][what][1] / before["times"][what][1]
    return math.log(ratio) / math.log(row["n"] / before["n"])


def table(kind: str, rows: Iterator[dict]) -> list[dict]:
    """Print the rows as they come; all of them. Time is wall time, "processor" that of all threads."""
    found = []
    for row in rows:
        if not found:
            heads = [f"{what} | processor | power" for what in row["times"]]
            print(f"\n| {UNITS[kind]} | {' | '.join(heads)} | peak MB |\n|{'---|' * (2 + 3 * len(heads))}")
        cells = [f"{row['n']:,}"]
        for what, (wall, processor) in row["times"].items():
            x = power(found[-1] if found else None, row, what)
            cells += [f"{wall:.3f} s", f"{processor:.3f} s", "" if x is None else f"{x:.2f}"]
        print(f"| {' | '.join(cells)} | {row['megabytes']:.0f} |", flush=True)
        found.append(row)
    return found


def picture(result: dict[str, list[dict]]):
    """Time above, memory below, a column for each kind of work: a matplotlib Figure. Raises OptionError without it."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError("--plot needs matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(3 * len(result), 5), layout="constrained")
    axes = figure.subplots(2, len(result), squeeze=False)
    for (kind, rows), (above, below) in zip(result.items(), axes.T, strict=True):
        n = [row["n"] for row in rows]
        for what in rows[0]["times"]:
            above.loglog(n, [row["times"][what][1] for row in rows], "o-", label=what)
        straight = list(rows[0]["times"])[-1]
        start = rows[0]["times"][straight][1] / n[0]
        above.loglog(n, [start * x for x in n], ":", color="grey", label="linear")
        below.semilogx(n, [row["megabytes"] for row in rows], "o-", color="tab:green")
        above.legend(fontsize=7)
        below.set(xlabel=UNITS[kind], ylim=(0, None))
    axes[0, 0].set_ylabel("seconds of the processor")
    axes[1, 0].set_ylabel("peak memory, MB")
    return figure


def within(points: tuple, most: float | None) -> list:
    """Those that are not beyond `most`; names stay."""
    return [n for n in points if most is None or isinstance(n, str) or n <= most]


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(POINTS), default=list(POINTS), metavar="KIND")
    parser.add_argument("--most", type=float, metavar="N")
    parser.add_argument("--shape", default="small", choices=list(random_checkpoint.SHAPES))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    o = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folders = Folders(Path(scratch), o.shape)
        result = {kind: table(kind, series(kind, within(POINTS[kind], o.most), folders)) for kind in o.only}
    if o.json:
        o.json.write_text(json.dumps(result, indent=1))
    if o.plot:
        picture(result).savefig(o.plot)


if __name__ == "__main__":
    main()
