"""The processes that compile: the only ones that import Numba.

Threads would not do: Numba's way to LLVM is Python, and llvmlite lets one thread at a time into LLVM. So the same
Python is started once for each core, as `__main__.py`, and compiles what it is told by name. Orders are lines on its
input; an answer is a line of JSON and as many bytes as it says. Only the parent writes to the cache.

A worker ends when its input does, so none stays behind when this process is killed. Where no plain Python can be
started (an application that embeds it, a frozen one) this process imports Numba and compiles by itself.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from .entry import PACKAGE
from .object_loader import Code

MOST = 4  # processes: each imports Numba (a second, 200 MB) and compiles many helpers again
PATIENCE = 300.0  # seconds without any news before it is given up
MAIN = Path(__file__).with_name("__main__.py")


class BuildError(Exception):
    """Kernels cannot be compiled here."""


def processes() -> int:
    """Return how many workers compile."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, MOST))


def python() -> str | None:
    """The interpreter that runs this, if it can be started once more as such."""
    plain = Path(sys.executable or "").stem.lower().startswith("python")
    return sys.executable if plain and not getattr(sys, "frozen", False) else None


def _errors():
    """Return where a worker's stderr goes: a file, so that no thread has to read it meanwhile."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "w+b")


def _started(stderr) -> subprocess.Popen:
    """A process that compiles. Raises OSError."""
    return subprocess.Popen(
        [python(), "-P", "-B", str(MAIN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        # everything is optimised once, at the end; threads of numpy's BLAS would have nothing to do
        env=os.environ | {"NUMBA_OPT": "0", "OPENBLAS_NUM_THREADS": "1"},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


class Worker:
    """A process that compiles, and the thread that gives it orders. Raises OSError where either cannot be started."""

    def __init__(self, orders: queue.SimpleQueue, news: queue.SimpleQueue):
        self.thread = threading.Thread(target=self._work, args=(orders, news), daemon=True)
        self.stderr = _errors()
        try:
            self.process = _started(self.stderr)
        except OSError:
            self.stderr.close()
            raise
        try:
            self.thread.start()
        except RuntimeError as error:  # "can't start new thread"
            self.dismiss()
            raise OSError(str(error)) from None

    def _work(self, orders: queue.SimpleQueue, news: queue.SimpleQueue) -> None:
        order = json.dumps([sys.path, PACKAGE, str(MAIN.parent.parent)])
        try:
            while order is not None:
                news.put((order, *self._ask(order)))
                order = orders.get()
        except BuildError as error:
            news.put((order, {"error": str(error)}, b""))

    def _ask(self, order: str) -> tuple[dict, bytes]:
        """The answer to an order. Raises BuildError when the process has ended."""
        try:
            self.process.stdin.write(order.encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            answer = json.loads(line)
            data = self.process.stdout.read(answer.get("size", 0))
        except (OSError, ValueError):
            raise BuildError(self._last_words()) from None
        return answer, data

    def _last_words(self) -> str:
        status = self.process.wait()
        with contextlib.suppress(OSError, ValueError):
            self.stderr.seek(0)
            text = self.stderr.read()[-4000:].decode(errors="replace").strip()
            return f"the process ended with status {status}" + (f": {text}" if text else "")
        return f"the process ended with status {status}"

    def dismiss(self) -> None:
        """End the process, whatever it is doing, and leave no trace of it."""
        self.process.kill()
        self.process.wait()
        if self.thread.is_alive():
            self.thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.stderr):
            with contextlib.suppress(OSError):  # an order that was never read
                stream.close()


def _next(news: queue.SimpleQueue) -> tuple[str, dict, bytes]:
    """The next answer and its order. Raises BuildError."""
    try:
        order, answer, data = news.get(timeout=PATIENCE)
    except queue.Empty:
        raise BuildError(f"nothing was heard from the compiling processes for {PATIENCE:.0f} s") from None
    if "error" in answer:
        failure = BuildError(("" if order.startswith("[") else f"{order}: ") + answer["error"])
        failure.add_note(answer.get("traceback", ""))
        raise failure
    return order, answer, data


def _collect(team: list[Worker], orders: queue.SimpleQueue, news: queue.SimpleQueue) -> list[Code]:
    """All functions that the first answer names, compiled by the workers that are free."""
    names, codes = None, {}
    while names is None or len(codes) < len(names):
        order, answer, data = _next(news)
        if "names" not in answer:
            codes[order] = Code(answer["defines"], answer["needs"], data)
        elif names is None:
            names = answer["names"]
            for name in (*names, *[None] * len(team)):
                orders.put(name)
    return [codes[name] for name in names]


def compile_all() -> list[Code]:
    """The object files of all device functions. Raises BuildError."""
    if python() is None:
        return compile_here()
    orders, news, team = queue.SimpleQueue(), queue.SimpleQueue(), []
    try:
        with contextlib.suppress(OSError):  # Python cannot be started, or not often enough; or there are no threads
            for _ in range(processes()):
                team.append(Worker(orders, news))
        return _collect(team, orders, news) if team else compile_here()
    finally:
        for _ in team:
            orders.put(None)
        for worker in team:
            worker.dismiss()


def compile_here() -> list[Code]:
    """The same in this process, which imports Numba for it. Raises BuildError."""
    try:
        from .modules import device_functions

        return [make() for make in device_functions().values()]
    except Exception as error:  # whatever a compiler meets
        raise BuildError(f"{type(error).__name__}: {error}") from error
