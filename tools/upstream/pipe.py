"""A pipe to torch and transformers: `Upstream` starts torch_worker.py once and sends it jobs.

The other peers of the benchmarks are reached the same way, through peer_worker.py. A worker is a process of its
own because this project must run without torch, and because transformers would take the package `kernels` of this
project, were it to find it, for another of that name. So it runs outside the repository, without PYTHONPATH, and with
that name blocked. Loading transformers takes seconds: keep one Upstream for many jobs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

WORKER = Path(__file__).resolve().parent / "torch_worker.py"
START = "import runpy, sys; sys.modules['kernels'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


class UpstreamError(Exception):
    """The worker could not be started, died, or answered with an error: its own words are in the message."""


class Upstream:
    """`upstream("stages", arrays, folder=...)` runs one job of the worker; use it in a `with`.

    `python` is an interpreter that has torch; `threads` how many it may use, as many as it likes if not given. One is
    best next to a busy process: torch's threads wait for work without letting go of the processor.
    """

    def __init__(self, python: str = sys.executable, threads: int | None = None, worker: Path = WORKER):
        self.python, self.scratch = python, tempfile.TemporaryDirectory(prefix="s2t-upstream-")
        self.folder = Path(self.scratch.name)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
        environment |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        with open(self.folder / "stderr", "wb") as log:
            self.process = subprocess.Popen(
                [python, "-P", "-c", START, str(worker)],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )

    def __call__(self, call: str, arrays: dict[str, np.ndarray] | None = None, **arguments):
        """(result, {name: array}) of one job. Raises UpstreamError."""
        given, answer = self.folder / "given.npz", self.folder / "answer.npz"
        np.savez(given, **(arrays or {}))
        job = {"call": call, "arrays": str(given), "answer": str(answer), **arguments}
        reply = self.exchange(json.dumps(job, default=str))
        if "error" in reply:
            raise UpstreamError(f"{call}: {reply['error']}")
        with np.load(answer) as out:
            return reply["result"], dict(out)

    def exchange(self, line: str) -> dict:
        """One line there, one line back."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            log = (self.folder / "stderr").read_text(errors="replace")
            raise UpstreamError(f"the worker ended with code {self.process.wait()}:\n{log[-2000:]}")
        return json.loads(reply)

    def close(self) -> None:
        """Let the worker end, and remove the scratch folder."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.scratch.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def numbered(name: str, arrays) -> dict[str, np.ndarray]:
    """{name.0: ..., name.1: ...}: how a list of arrays travels."""
    return {f"{name}.{i}": array for i, array in enumerate(arrays)}
