"""Two ways to run a command with the library loaded, and what a run is told: the same for both.

Forks   one process (runner.py) has all modules loaded and forks for each run: tens of milliseconds
Fresh   a process for each run, which loads what it needs: its imports can be disturbed, too; about a second
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
HANGS = -14  # the exit code of a run that had to be ended


class Run(NamedTuple):
    """What is run, and where."""

    argv: tuple[str, ...]
    folder: str
    out: str  # files that its output and its errors go to
    error: str
    limit: float  # s
    learn: bool = False  # whether later runs shall find the modules of this one loaded


class Forks:
    """The process that forks."""

    def __init__(self, environment: dict[str, str], missing: tuple[str, ...]):
        """`missing`: modules that it is not to find."""
        command = [sys.executable, "-m", "tools.faults.runner", *missing]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)

    def run(self, run: Run) -> int:
        """Run a command: its exit code."""
        self.process.stdin.write(json.dumps(run._asdict()) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["code"]

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Fresh:
    """A process for each run."""

    def __init__(self, environment: dict[str, str], missing: tuple[str, ...]):
        """`missing`: modules that it is not to find."""
        self.environment, self.missing = environment, missing

    def run(self, run: Run) -> int:
        """Run a command: its exit code."""
        command = [sys.executable, "-m", "tools.faults.runner", "--once", json.dumps(run._asdict()), *self.missing]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        try:
            return process.wait(run.limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return HANGS

    def close(self) -> None:
        """Nothing is left to end."""
