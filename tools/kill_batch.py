#!/usr/bin/env python3
"""Kill a batch with SIGKILL at random moments, resume it until it is done, and hold what it wrote to an unharmed run.

    python -m tools.kill_batch 1000             # at least 1000 kills; about three a second on one core
    python -m tools.kill_batch 50 --spawn       # each attempt a new interpreter, not a fork of this one
    python -m tools.kill_batch 50 --seed 7

Each round takes an empty place, one way to write (a folder of files in all formats, a .jsonl, a text file of path and
text) and one or two jobs. After every kill, and in the end, `judge` says what is wrong: a file that is torn, a result
that is there twice or in another place. POSIX only.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT / "s2t_np" / "recordings"
WAYS = (("--format", "all", "--output-dir", "out"), ("--output", "out.jsonl"), ("--output", "out.txt"))
OPTIONS = ("--model", "digits", "--backend", "numpy", "--beams", "1", "--threads", "1", "--resume")


def arguments(folder: Path, way: Sequence[str], jobs: int) -> list[str]:
    """The command line that transcribes folder/in into `way`, whose last part is a name below `folder`."""
    target = [*way[:-1], str(folder / way[-1])]
    return ["transcribe", str(folder / "in"), *OPTIONS, "--jobs", str(jobs), *target]


def tree(folder: Path) -> dict[str, bytes]:
    """The visible files below a folder, without the inputs."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if "in" not in p.relative_to(folder).parts}


def judge(folder: Path, expected: dict[str, bytes], done: bool) -> list[str]:
    """What is wrong with the files of a run, one text each; none may be missing if it is `done`.

    Until then a file that grows may lack its end; any other is complete or not there.
    """
    found = tree(folder)
    wrong = [f"{name} is not there" for name in expected.keys() - found.keys() if done]
    wrong += [f"{path} is left" for path in folder.rglob(".*.tmp") if done]
    for name, data in found.items():
        grows = not done and name in ("out.jsonl", "out.txt")
        whole = expected.get(name, b"")
        if not (whole.startswith(data) if grows else whole == data) or name not in expected:
            wrong.append(f"{name} has {data[-80:]!r} at its end")
    return wrong


def spawn(argv: Sequence[str]) -> int:
    """Start the command in a new interpreter; returns its process id."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "s2t_np", *argv], env=environment, stderr=subprocess.DEVNULL).pid


def forker() -> Callable[[Sequence[str]], int]:
    """Load program and model once, so that attempts begin at once; returns a function that starts one, as `spawn`."""
    from s2t_np import cli, load, set_threads
    from s2t_np.cli import model_arguments

    set_threads(1)
    model = load("digits", backend="numpy")
    model_arguments.load = lambda *args, **kwargs: model

    def fork(argv: Sequence[str]) -> int:
        if pid := os.fork():
            return pid
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(cli.main(argv))

    return fork


def ended(pid: int, limit: float) -> int | None:
    """The exit code of a process, or None if it still runs after `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def kill_until_done(start: Callable, argv: list[str], longest: float, check: Callable, draw: random.Random) -> int:
    """Start a batch again and again and kill it after 0 to `longest` seconds; returns the kills until it was done.

    `check(done)` says what is wrong with the files. Raises SystemExit.
    """
    kills = 0
    while (code := ended(pid := start(argv), draw.uniform(0, longest))) is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kills += 1
        if wrong := check(False):
            raise SystemExit(f"killed {kills} times: {'; '.join(wrong)}")
    if wrong := check(True) or [f"exit code {code}"] * bool(code):
        raise SystemExit(f"done after {kills} kills: {'; '.join(wrong)}")
    return kills


def prepare(folder: Path, copies: int) -> None:
    """Put `copies` copies of each bundled recording into folder/in."""
    for copy in range(copies):
        shutil.copytree(RECORDINGS, folder / "in" / str(copy), ignore=shutil.ignore_patterns("*.md"))


def reference(start: Callable, folder: Path, way: Sequence[str]) -> tuple[dict[str, bytes], float]:
    """What an unharmed run writes, and how long it takes (s); it leaves nothing."""
    begin = time.monotonic()
    code = ended(start(arguments(folder, way, 1)), 600)
    files, seconds = tree(folder), time.monotonic() - begin
    if code or not files:
        raise SystemExit(f"an unharmed run ended with {code}")
    clear(folder)
    return files, seconds


def clear(folder: Path) -> None:
    """Remove everything below the folder except the inputs."""
    for path in folder.iterdir():
        if path.name != "in":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def torture(kills: int, start: Callable, seed: int, copies: int = 6, ways: Sequence[Sequence[str]] = WAYS) -> str:
    """Kill batches at least `kills` times; returns a summary. Raises SystemExit."""
    draw, rounds, done = random.Random(seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, copies)
        known = [reference(start, folder, way) for way in ways]
        while done < kills or rounds < len(ways):
            way = rounds % len(ways)
            expected, longest = known[way]
            argv = arguments(folder, ways[way], draw.choice([1, 2]))
            done += kill_until_done(start, argv, longest, partial(judge, folder, expected), draw)
            clear(folder)
            rounds += 1
    return f"{done} kills, {rounds} batches of {5 * copies} recordings, every byte as it should be"


def main() -> None:
    """Read the arguments, torture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int)
    parser.add_argument("--spawn", action="store_true", help="a new interpreter for each attempt")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(torture(args.kills, spawn if args.spawn else forker(), args.seed))


if __name__ == "__main__":
    main()
