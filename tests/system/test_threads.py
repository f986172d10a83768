"""The number of threads: of the process, of one Python thread, of OpenBLAS; limits of containers."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import s2t_np
from s2t_np.cli import main
from s2t_np.errors import OptionError
from s2t_np.system import openblas, threads
from tests.support.paths import ROOT

needs_openblas = pytest.mark.skipif(openblas.get_threads() is None, reason="needs a numpy with OpenBLAS")


@pytest.fixture(autouse=True)
def _as_before():
    yield
    s2t_np.set_threads(None)


def test_the_default_is_the_processors_this_process_may_use():
    assert s2t_np.get_threads() == threads.processors() >= 1
    s2t_np.set_threads(3)
    assert s2t_np.get_threads() == 3
    s2t_np.set_threads()
    assert s2t_np.get_threads() == threads.processors()


def test_a_thread_of_its_own_number_leaves_the_others_alone():
    s2t_np.set_threads(4)
    inside, leave, seen = threading.Event(), threading.Event(), []

    def work():
        with s2t_np.own_threads(1):
            with s2t_np.own_threads(2):
                seen.append(s2t_np.get_threads())
            seen.append(s2t_np.get_threads())
            inside.set()
            leave.wait(10)
        seen.append(s2t_np.get_threads())

    worker = threading.Thread(target=work)
    worker.start()
    assert inside.wait(10)
    assert s2t_np.get_threads() == 4
    leave.set()
    worker.join()
    assert seen == [2, 1, 4]


@needs_openblas
def test_openblas_is_held_to_the_smallest_that_is_asked_for():
    s2t_np.set_threads(2)
    for _ in range(100):  # a server of an earlier test may still be ending, with a thread of its own
        if openblas.get_threads() == 2:
            break
        time.sleep(0.1)
    assert openblas.get_threads() == 2
    with s2t_np.own_threads(1):
        assert openblas.get_threads() == 1
        with s2t_np.own_threads(2):
            assert openblas.get_threads() == 1
        s2t_np.set_threads(3)
        assert openblas.get_threads() == 1
    assert openblas.get_threads() == 3


@needs_openblas
def test_openblas_keeps_its_own_number_until_it_is_told():
    code = (
        "import s2t_np\nfrom s2t_np.system import openblas as blas\n"
        "before = blas.get_threads()\ns2t_np.load('digits')\n"
        "assert blas.get_threads() == before == 1\nwith s2t_np.own_threads(5): pass\nassert blas.get_threads() == 1\n"
        "s2t_np.set_threads(2)\nassert blas.get_threads() == 2\ns2t_np.set_threads()\nassert blas.get_threads() == 1"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


@needs_openblas
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux lists them")
def test_what_openblas_says_is_what_it_does():
    """Told to use three threads, OpenBLAS starts two more; told nothing, it keeps to the one of its environment."""
    code = (
        "import os\nimport numpy as np\nimport s2t_np\nx = np.ones((600, 600))\nx @ x\n"
        "before = len(os.listdir('/proc/self/task'))\ns2t_np.set_threads(3)\nx @ x\n"
        "assert len(os.listdir('/proc/self/task')) == before + 2"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_another_blas_is_left_alone_and_said(monkeypatch):
    assert openblas.find([np.random._pcg64.__file__]) is None
    monkeypatch.setattr(openblas, "control", lambda: None)
    openblas.set_threads(1)
    assert openblas.get_threads() is None
    assert "only OpenBLAS" in openblas.state()


@pytest.mark.parametrize("count", [0, -1, 1025, 2.0, "2", True, None])
def test_numbers_that_are_refused(count):
    complaint = f"threads is {count!r}, expected a whole number from 1"
    with pytest.raises(OptionError, match=complaint), s2t_np.own_threads(count):
        pass
    assert s2t_np.get_threads() == threads.processors()
    if count is not None:
        with pytest.raises(OptionError):
            s2t_np.set_threads(count)
    assert s2t_np.get_threads() == threads.processors()


def test_numpy_integers_are_accepted():
    s2t_np.set_threads(np.int64(2))
    assert s2t_np.get_threads() == 2


@pytest.mark.parametrize("value, code", [("1", 0), ("0", 2), ("two", 2)])
def test_the_option_of_the_command(value, code, capsys):
    assert main(["info", "--threads", value]) == code
    out, err = capsys.readouterr()
    assert ("\nthreads: 1\n" in out) == (code == 0)
    assert err.count("\n") == bool(code)


def group(folder, **files):
    """A control group with these files ("_" for the dot after the controller)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text)


def test_the_limit_of_a_container_by_cgroup_v2(tmp_path):
    group(tmp_path / "a" / "b", cpu_max="max 100000\n")
    assert threads.group_limit("0::/a/b\n", tmp_path) == float("inf")
    group(tmp_path / "a", cpu_max="150000 100000\n")
    assert threads.group_limit("0::/a/b\n", tmp_path) == 1.5
    group(tmp_path, cpu_max="50000 100000\n")
    assert threads.group_limit("0::/elsewhere\n", tmp_path) == 0.5


def test_the_limit_of_a_container_by_cgroup_v1(tmp_path):
    group(tmp_path / "cpu" / "a", cpu_cfs_quota_us="-1\n", cpu_cfs_period_us="100000\n")
    assert threads.group_limit("4:memory:/b\n3:cpu,cpuacct:/a\n", tmp_path) == float("inf")
    group(tmp_path / "cpu" / "a", cpu_cfs_quota_us="300000\n")
    assert threads.group_limit("4:memory:/b\n3:cpu,cpuacct:/a\n", tmp_path) == 3
    assert threads.group_limit("4:memory:/a\n", tmp_path) == float("inf")


@pytest.mark.parametrize("limit, expected", [(0.5, 1), (1.5, 2), (1e6, None), (float("inf"), None)])
def test_a_limit_counts_where_it_is_below_the_affinity(limit, expected, monkeypatch):
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    monkeypatch.setattr(threads, "group_limit", lambda groups, root: limit)
    assert threads.processors.__wrapped__() == min(allowed, expected or allowed)
