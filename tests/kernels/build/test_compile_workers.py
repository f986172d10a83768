"""The processes that compile: what becomes of them, and what is said when they cannot."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from s2t_np_kernels.build import compile_workers

from tests.support.tiny_kernels import COMPILED, LOADED, PROGRAM, RIGHT, SCALE, Tiny

pytest.importorskip("numba")

FAILING = """
from s2t_np_kernels.build import compile_workers, runtime
try:
    runtime.complete()
except runtime.BuildError as error:
    print("BuildError:", error)
"""
DYING = '"""Dies."""\nimport os, sys\nprint("I cannot go on", file=sys.stderr, flush=True)\nos.abort()\n'
CHATTERING = '"""Prints."""\nprint("not an answer")\n'
SLEEPING = '"""Sleeps."""\nimport time\ntime.sleep(1000)\n'


@pytest.fixture
def tiny(tmp_path) -> Tiny:
    return Tiny(tmp_path)


def test_a_process_that_dies_is_quoted(tiny):
    tiny.write("dying", DYING)
    said = tiny.run(FAILING).stdout
    assert "BuildError: the process ended with status" in said and "I cannot go on" in said


def test_device_code_that_does_not_compile_is_named_with_the_reason(tiny):
    tiny.write("scale", SCALE.replace("x[place] * by", 'x[place] * "three"'))
    said = tiny.run(FAILING).stdout
    assert "BuildError: ops.scale.scale_one: " in said and "No implementation of function" in said


def test_a_process_that_hangs_is_given_up(tiny):
    tiny.write("sleeping", SLEEPING)
    started = time.monotonic()
    impatient = "from s2t_np_kernels.build import compile_workers\ncompile_workers.PATIENCE = 3.0\n"
    assert "BuildError: nothing was heard" in tiny.run(impatient + FAILING).stdout
    assert time.monotonic() - started < 30


def test_what_is_printed_is_not_taken_for_an_answer(tiny):
    tiny.write("chattering", CHATTERING)
    assert RIGHT in tiny.run().stdout


@pytest.mark.parametrize("executable", ("None", "''", "'/no/such/python3'", "'/usr/bin/uwsgi'"))
def test_without_an_interpreter_this_process_compiles(tiny, executable):
    after = tiny.run(f"import sys\nsys.executable = {executable}\n" + PROGRAM).stdout
    assert RIGHT in after and COMPILED in after and "with numba" in after
    assert "without numba" in tiny.run().stdout and LOADED in tiny.run().stdout


FEW_THREADS = """
import subprocess, threading
start, Popen, left, begun = threading.Thread.start, subprocess.Popen, [{given}], []
def limited(thread):
    if left[0] == 0:
        raise RuntimeError("can't start new thread")
    left[0] -= 1
    start(thread)
def noted(*args, **kwargs):
    begun.append(Popen(*args, **kwargs))
    return begun[-1]
threading.Thread.start, subprocess.Popen = limited, noted
from s2t_np_kernels.build import compile_workers
compile_workers.processes = lambda: 3
"""
ENDED = "print(len(begun), 'begun,', sum(process.poll() is None for process in begun), 'running')\n"


@pytest.mark.parametrize(("given", "begun"), [(0, 1), (1, 2)])
def test_without_threads_for_them_fewer_processes_compile_or_this_one(tiny, given, begun):
    """As under `ulimit -u`; the process that no thread could give orders is ended."""
    said = tiny.run(FEW_THREADS.format(given=given) + PROGRAM + ENDED).stdout
    assert RIGHT in said and COMPILED in said and f"{begun} begun, 0 running" in said
    assert ("with numba" in said) == (given == 0)


def test_a_process_that_gets_no_thread_compiles_all_the_same(tiny):
    """It reads one order after the other, and ends with its input."""
    main = tiny.kernels / "build" / "__main__.py"
    limit = 'import threading\ndef none(self):\n    raise RuntimeError("can\'t start new thread")\n'
    main.write_text(main.read_text().replace("\n\n\n", f"\n{limit}threading.Thread.start = none\n\n", 1))
    said = tiny.run(FEW_THREADS.format(given=9) + PROGRAM + ENDED).stdout
    assert RIGHT in said and COMPILED in said and "without numba" in said and "3 begun, 0 running" in said


def test_only_a_plain_python_is_started(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3.12")
    assert compile_workers.python() == "/usr/bin/python3.12"
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert compile_workers.python() is None


def test_there_are_no_more_workers_than_cores_and_never_many(monkeypatch):
    for cores, workers in ((1, 1), (2, 2), (3, 3), (64, compile_workers.MOST)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, n=cores: range(n), raising=False)
        assert compile_workers.processes() == workers


COLD = """
from s2t_np_kernels.build import compile_workers, runtime
start = compile_workers.Worker.__init__
def told(self, *rest):
    start(self, *rest)
    print(self.process.pid, flush=True)
compile_workers.Worker.__init__ = told
compile_workers.processes = lambda: 2
runtime.complete()
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGKILL))
def test_workers_end_with_their_parent(tiny, number):
    tiny.write("sleeping", SLEEPING)
    parent = subprocess.Popen(
        tiny.command(COLD),
        cwd=tiny.folder,
        env=tiny.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    time.sleep(0.5)
    parent.send_signal(number)
    _, said = parent.communicate(timeout=30)
    assert parent.returncode != 0 and (number == signal.SIGKILL or said.count("Traceback") == 1)
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))
