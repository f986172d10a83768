"""A fork while another thread holds a lock: the child must not wait for a thread that it does not have."""

import os
import threading

import numpy as np
import pytest

import s2t_np
from s2t_np import audio, loading, transcriber
from s2t_np.system import threads
from tests.support.forks import child, held_by_another_thread
from tests.support.paths import DIGITS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"


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


def test_a_child_can_read_a_recording_while_a_thread_of_its_parent_opens_one():
    """soundfile has one lock for all files, and holds it while it opens one."""
    soundfile = pytest.importorskip("soundfile")
    samples = audio.load(FIVE, 16000)
    lock = getattr(soundfile.SoundFile, "_sf_error_lock", None)
    if lock is None:
        pytest.skip("soundfile 0.14 was the first to have a lock")
    with held_by_another_thread(lock):
        assert child(lambda: np.array_equal(audio.load(FIVE, 16000), samples)) == 0


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
