#!/usr/bin/env python3
"""How time and memory grow with the work: one table for each kind of work, and one picture.

    python -m tools.bench.growth [--only whole segments files beams vocabulary size uncut] [--most N] [--from FILE ...]
        [--json FILE] [--plot FILE.svg] [--page docs/growth.md]

Weights are random in the shape of the released s2t-small, except where the size of the model is what grows. Each point
is a process of its own (growth_point.py), so that its peak memory is its own. "power" is x in time ~ n^x between a row
and the one above: 1 is linear, 2 quadratic, 0 independent. --most leaves out points beyond N. Without --only it is all
but `uncut`: about five minutes on two quiet cores; `uncut` takes seven.

--from takes figures that --json kept: nothing is measured again then but what --only names. --plot draws them, with
matplotlib, and --page writes them into the part of a page between its two marks.

    whole        one utterance of N seconds, features to tokens (5 beams, 3 tokens a second)
    segments     one recording of N seconds, cut into segments, by the command `transcribe`
    files        N recordings of a second, by the command
    beams        10 s with N beams
    vocabulary   10 s with N pieces
    size         10 s in the released small, medium and large shapes (N: parameters)
    uncut        one utterance of N seconds, up to an hour, through the encoder alone; shown with `whole`
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from s2t_np.config import ModelConfig
from s2t_np.system.threads import processors
from s2t_np.weights import expected_shapes
from tools import random_checkpoint
from tools.bench.growth_page import table, write_page
from tools.bench.growth_picture import save_picture
from tools.bench.machine import processor

ROOT = Path(__file__).resolve().parents[2]
POINTS = {
    "whole": (5, 10, 30, 60, 120, 240),
    "segments": (5, 10, 60, 600, 3600),
    "files": (1, 10, 100, 1000),
    "beams": (1, 2, 5, 10, 20),
    "vocabulary": (1_000, 10_000, 30_000, 100_000),
    "size": ("small", "medium", "large"),
    "uncut": (600, 3600),
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
    own = kind if kind in ("segments", "files", "uncut") else "whole"
    given = {"kind": own, "folder": str(folder), "scratch": str(scratch)}
    if kind == "files":
        return n, given | {"count": n}
    lengths = ("whole", "segments", "uncut")
    given |= {"seconds": n if kind in lengths else SECONDS, "beams": n if kind == "beams" else BEAMS}
    return parameters(config) if kind == "size" else n, given | {"repeats": 1 if given["seconds"] > 60 else REPEATS}


def measured(given: dict) -> dict:
    """The answer of a process. Raises SystemExit with its last words."""
    command = [sys.executable, "-m", "tools.bench.growth_point", json.dumps(given)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{given}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def series(kind: str, points: Iterable, folders: Folders) -> Iterator[dict]:
    """{"n": N, "point": its name, "times": {what: [wall, processor]}, "megabytes"} for each point."""
    for point in points:
        with tempfile.TemporaryDirectory() as scratch:
            n, given = job(kind, point, folders, Path(scratch))
            yield {"n": n, "point": point, **measured(given)}


def machine() -> str:
    """Where it was measured, and what else ran there."""
    busy = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    count = processors()
    return f"{count} core{'s' * (count > 1)} of {processor()}{busy}"


def within(points: tuple, most: float | None) -> list:
    """Those that are not beyond `most`; names stay."""
    return [n for n in points if most is None or isinstance(n, str) or n <= most]


def measure(kinds: list[str], most: float | None, shape: str) -> dict[str, dict]:
    """{kind: {"machine": where, "rows": a row for each point}}, each row printed when it is there."""
    found, where = {}, machine()
    with tempfile.TemporaryDirectory() as scratch:
        folders = Folders(Path(scratch), shape)
        for kind in kinds:
            rows = []
            for line in table(kind, series(kind, within(POINTS[kind], most), folders), rows.append):
                print(line, flush=True)
            found[kind] = {"machine": where, "rows": rows}
    return found


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(POINTS), metavar="KIND")
    parser.add_argument("--most", type=float, metavar="N")
    parser.add_argument("--shape", default="small", choices=list(random_checkpoint.SHAPES))
    parser.add_argument("--from", dest="kept", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    parser.add_argument("--page", type=Path, metavar="FILE")
    o = parser.parse_args(argv)
    result = {}
    for file in o.kept:
        result |= json.loads(file.read_text(encoding="utf-8"))
    every = [] if o.kept else [kind for kind in POINTS if kind != "uncut"]
    result |= measure(every if o.only is None else o.only, o.most, o.shape)
    if o.json:
        o.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if o.plot:
        save_picture(result, o.plot)
    if o.page:
        write_page(result, o.page)


if __name__ == "__main__":
    main()
