"""More processes that compile: the other cores, while this one compiles too.

Threads would not do: Numba's way to LLVM is Python, and llvmlite lets one thread at a time into LLVM. So the same
Python is started once more for each core, imports the modules whose kernels are missing (which only registers them),
and compiles what it is told by name. Orders are lines of JSON on its input; an answer is eight bytes that tell a
length, and so many bytes. Nothing is shared but these pipes, not even the cache, so a read-only one is no obstacle.

An assistant may fail to start, be another build, die, or hang: what it was told is then compiled here. It ends when its
input does, so nothing stays behind when this process is killed. Without a plain Python to start (an application that
embeds it, a frozen one) there are none.
"""

import contextlib
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from . import cache

MOST = 4  # processes in all: each imports Numba (a second, 200 MB) and compiles many helpers again
FEWEST_TASKS = 4  # for each process; below, it would not be ready in time
PATIENCE = 5.0  # seconds for the last answers, when nothing else is left to do
ASSISTING = "S2T_NP_ASSISTING"  # in the environment of assistants: they have none themselves
PROGRAM = """
import importlib, json, sys
sys.path[:], jobs, modules = json.loads(sys.stdin.readline())
importlib.import_module(jobs).serve(modules)
"""


def processes(tasks: int) -> int:
    """How many, this one included, should compile that many functions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, MOST, tasks // FEWEST_TASKS)) if _python() else 1


def _python() -> str | None:
    """The interpreter that runs this, if it can be started once more as such."""
    plain = Path(sys.executable or "").stem.lower().startswith("python")
    return sys.executable if plain and not getattr(sys, "frozen", False) and ASSISTING not in os.environ else None


class Assistant:
    """A process that compiles, and the thread that gives it work. Raises OSError where it cannot be started."""

    def __init__(self, jobs: str, modules: list[str], tasks: deque, keep: Callable):
        self.process = subprocess.Popen(
            [_python(), "-P", "-B", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {ASSISTING: "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.thread = threading.Thread(target=self._work, args=([sys.path, jobs, modules], tasks, keep), daemon=True)
        self.thread.start()

    def _work(self, greeting, tasks: deque, keep: Callable) -> None:
        """Hand over the last of the tasks until there are none; one that was not done is put back."""
        with contextlib.suppress(OSError, EOFError):
            if self._ask(greeting) != cache.fingerprint().encode():
                return
            while (task := take(tasks.pop)) is not None:
                try:
                    keep(task, self._ask(task.name))
                except BaseException:
                    tasks.append(task)
                    raise

    def _ask(self, order) -> bytes:
        """The answer to an order. Raises OSError or EOFError when the process has ended."""
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        size = int.from_bytes(self._read(8), "big")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        data = self.process.stdout.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def dismiss(self) -> None:
        """End the process, whatever it is doing, and leave no trace of it."""
        self.process.kill()
        self.thread.join()
        with contextlib.suppress(OSError):  # an order that was never read
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def take(source: Callable):
    """The next of a deque, None when it is empty; several threads may take."""
    try:
        return source()
    except IndexError:
        return None


@contextlib.contextmanager
def assisted(jobs: str, tasks: deque, keep: Callable) -> Iterator[None]:
    """While this process takes the first of the tasks, others take the last and `keep(task, answer)`.

    At the end, tasks are as many as were not done; `jobs` is the module with `serve`.
    """
    modules, team = sorted({task.module for task in tasks}), []
    try:
        with contextlib.suppress(OSError):
            for _ in range(processes(len(tasks)) - 1):
                team.append(Assistant(jobs, modules, tasks, keep))
        yield
        for assistant in team:
            assistant.thread.join(PATIENCE)
    finally:
        for assistant in team:
            assistant.dismiss()


def serve(modules: list[str], make: Callable[[str], bytes]) -> None:
    """What an assistant does: `make` what it is told by name until its input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed shall not be taken for an answer
    orders = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    for module in modules:
        importlib.import_module(module)
    answer = cache.fingerprint().encode()
    while True:
        answers.write(len(answer).to_bytes(8, "big") + answer)
        answers.flush()
        answer = make(orders.get())


def _listen(orders: queue.SimpleQueue) -> None:
    """Pass orders on; end with the input, even while something is being compiled."""
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)
