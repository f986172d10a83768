"""A fork while another thread holds a lock: the child must not wait for a thread that it does not have."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager

import pytest

import s2t_np
from s2t_np import loading, transcriber
from s2t_np.system import threads
from tests.support.paths import DIGITS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
LIMIT = 60  # seconds after which a child counts as hung


def child(work: Callable[[], bool]) -> int:
    """Run `work` in a forked child; its exit code, 0 if `work` returned True, or -SIGKILL if it hung."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads, from Python 3.12 on
        pid = os.fork()
    if not pid:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextmanager
def held_by_another_thread(lock: threading.Lock):
    """Within this context, another thread holds the lock."""
    held, leave = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        yield
    finally:
        leave.set()
        holder.join()


def use_threads() -> bool:
    s2t_np.set_threads(2)
    with s2t_np.own_threads(1):
        return s2t_np.get_threads() == 1


def test_a_child_can_set_its_threads_while_a_thread_of_its_parent_does():
    with held_by_another_thread(threads._process.lock):
        assert child(use_threads) == 0


@pytest.mark.parametrize("room", [loading, transcriber])
def test_a_child_can_load_a_model_while_a_thread_of_its_parent_does(room):
    def load() -> bool:
        with room.LOADING.lock:
            return True

    with held_by_another_thread(room.LOADING.lock):
        assert child(load) == 0


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_child_forked_after_the_kernels_ran_computes_the_same(backend):
    """With two threads in both: helpers and the threads of OpenBLAS are not copied."""
    if backend == "numba":
        pytest.importorskip("numba", reason="needs numba: compiled kernels")
    model = s2t_np.load("digits", backend=backend)
    s2t_np.set_threads(2)
    expected = model.transcribe(FIVE)
    assert child(lambda: model.transcribe(FIVE) == expected) == 0
    assert model.transcribe(FIVE) == expected


def test_a_child_has_only_the_limits_of_the_thread_that_forked():
    inside, leave = threading.Event(), threading.Event()

    def work():
        with s2t_np.own_threads(1):
            inside.set()
            leave.wait()

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait()
    with s2t_np.own_threads(3):
        held = list(threads._process.held)
        code = child(lambda: threads._process.held == [3])
    leave.set()
    worker.join()
    assert (sorted(held), code) == ([1, 3], 0)


def test_a_child_may_fork_within_its_own_limit():
    def leave_the_context() -> bool:
        limits.__exit__(None, None, None)
        return s2t_np.get_threads() == threads.processors() and threads._process.held == []

    limits = s2t_np.own_threads(1)
    limits.__enter__()
    try:
        assert child(leave_the_context) == 0
    finally:
        limits.__exit__(None, None, None)
