"""Several processes compile: the work is shared, whatever becomes of the assistants, and none of them stays behind."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT

pytest.importorskip("numba")

from s2t_np_kernels.build import cache, compile_workers


class Task(NamedTuple):
    name: str
    module: str = "json"


@pytest.fixture(autouse=True)
def two_processes(monkeypatch):
    """One assistant, however few cores and tasks there are; the repository is where `python -m pytest` puts it."""
    monkeypatch.setattr(compile_workers, "processes", lambda tasks: 2)


def share(names: str, jobs: str = "tests.support.strange_jobs") -> tuple[dict, list[str]]:
    """What an assistant made of those tasks while nothing was done here, and what it left, each by name."""
    made, tasks = {}, deque(map(Task, names.split()))
    with compile_workers.assisted(jobs, tasks, lambda task, code: made.update({task.name: code})):
        pass
    return made, [task.name for task in tasks]


def test_what_is_not_done_here_is_done_there_from_the_end():
    made, left = share("a b nothing chatter")
    assert list(made) == ["chatter", "nothing", "b", "a"] and left == []
    assert made["b"] == b"b" and made["nothing"] == b"" and made["chatter"] == b"chatter"


@pytest.mark.parametrize("end", ("die", "fail"))
def test_an_assistant_that_dies_gives_its_task_back(end):
    assert share(f"a {end} b") == ({"b": b"b"}, ["a", end])


def test_an_assistant_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(compile_workers, "PATIENCE", 3.0)
    started = time.monotonic()
    assert share("a hang b")[1][:2] == ["a", "hang"]
    assert time.monotonic() - started < 10


def test_a_failure_here_ends_the_assistant(monkeypatch):
    team, tasks = [], deque([Task("hang")])
    start = compile_workers.Assistant.__init__
    monkeypatch.setattr(
        compile_workers.Assistant, "__init__", lambda self, *rest: (team.append(self), start(self, *rest))[1]
    )
    with pytest.raises(KeyboardInterrupt), compile_workers.assisted("tests.support.strange_jobs", tasks, dict):
        raise KeyboardInterrupt
    assert team[0].process.returncode is not None and not team[0].thread.is_alive() and len(tasks) == 1


def test_another_build_is_not_trusted(monkeypatch):
    monkeypatch.setattr(cache, "fingerprint", lambda: "another")
    assert share("a b") == ({}, ["a", "b"])


def test_modules_that_are_not_there_leave_the_work_here():
    assert share("a b", "tests.support.no_such_jobs") == ({}, ["a", "b"])


def test_an_interpreter_that_cannot_be_started_leaves_the_work_here(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python3")
    assert share("a b") == ({}, ["a", "b"])


def test_only_a_plain_python_is_started_and_only_for_enough_work(monkeypatch):
    monkeypatch.undo()  # the real `processes`
    monkeypatch.delenv(compile_workers.ASSISTING, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16), raising=False)
    assert [compile_workers.processes(n) for n in (1, 7, 8, 31, 100)] == [1, 1, 2, 4, 4]
    for executable in ("", None, "/usr/bin/uwsgi", "/opt/app/s2t"):
        monkeypatch.setattr(sys, "executable", executable)
        assert compile_workers.processes(100) == 1
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3.12")
    assert compile_workers.processes(100) == 4
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert compile_workers.processes(100) == 1


def test_an_assistant_has_none_itself(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv(compile_workers.ASSISTING, "1")
    assert compile_workers.processes(100) == 1


COLD = """
from s2t_np_kernels.build import compile_workers as assistants
from s2t_np_kernels.build import jit
from s2t_np_kernels.decoder import attention
assistants.processes = lambda tasks: 2
start = assistants.Assistant.__init__
def told(self, *rest):
    start(self, *rest)
    print(self.process.pid, flush=True)
assistants.Assistant.__init__ = told
jit.complete()
print(jit.statistics, flush=True)
"""


@pytest.fixture
def cold(tmp_path):
    """A process that compiles some functions into an empty cache, its assistant's number, and the cache."""
    with subprocess.Popen(
        [sys.executable, "-c", COLD],
        env=os.environ | {"S2T_NP_CACHE_DIR": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, int(process.stdout.readline()), tmp_path
        process.kill()


def until(true, seconds: float = 30) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def runs(number: int) -> bool:
    """Whether there is such a process that is not just waiting to be taken note of."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kept(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*/*") if path.suffix != ".part"]


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
def test_nothing_stays_behind_an_interrupted_first_run(cold, number):
    process, assistant, cache = cold
    until(lambda: kept(cache))
    assert runs(assistant)
    process.send_signal(number)
    process.wait(10)
    until(lambda: not runs(assistant), 5)
    count = len(kept(cache))
    environment = os.environ | {"S2T_NP_CACHE_DIR": str(cache), compile_workers.ASSISTING: "1"}
    program = "from s2t_np_kernels.build import jit; from s2t_np_kernels.decoder import attention; jit.complete(); print(sum(list(jit.statistics.values())[:2]), jit.statistics)"
    again = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    every = int(again.stdout.split()[0])
    assert count <= every and f"'loaded': {count}," in again.stdout and "Warning" not in again.stderr
    assert len(kept(cache)) == every


@needs_proc
def test_a_first_run_does_without_an_assistant_that_was_killed(cold):
    process, assistant, cache = cold
    until(lambda: kept(cache))
    os.kill(assistant, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert f"'loaded': 0, 'compiled': {len(kept(cache))}," in out and "Warning" not in err and process.returncode == 0


HANGING = """
import os, signal, time
from collections import deque
from s2t_np_kernels.build import compile_workers as assistants
from tests.kernels.test_assistants import Task

assistants.processes = lambda tasks: 2
assistant = assistants.Assistant("tests.support.strange_jobs", ["json"], deque([Task("hang")]), dict)
print(assistant.process.pid, flush=True)
time.sleep(2)  # for it to begin
os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_proc
def test_an_assistant_that_hangs_ends_when_its_employer_is_killed():
    done = subprocess.run([sys.executable, "-c", HANGING], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    until(lambda: not runs(int(done.stdout)), 5)
