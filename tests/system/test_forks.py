"""A fork while another thread holds a lock: the child must not wait for a thread that it does not have."""

import os
import threading
import time

import numpy as np
import pytest

import s2t_np
from s2t_np import audio, loading, transcriber
from s2t_np.system import forks, threads
from tests.support.forks import LIMIT, child, held_by_another_thread
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


def limits() -> list[int]:
    """What Python threads hold themselves to now, the smallest first."""
    return sorted(own() for own in threads._process.held)


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
        held = limits()
        code = child(lambda: limits() == [3])
    leave.set()
    worker.join()
    assert (held, code) == ([1, 3], 0)


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


@pytest.fixture
def call():
    """A call of another thread that has begun: lets it return, and says whether it has."""
    inside, leave, left = threading.Event(), threading.Event(), threading.Event()

    @forks.finished_before_forks
    def computing():
        inside.set()
        leave.wait(LIMIT)

    def work():
        computing()
        left.set()

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait()
    yield leave, left
    leave.set()
    worker.join()


def test_a_fork_waits_until_another_thread_has_computed(call):
    leave, left = call
    threading.Timer(0.3, leave.set).start()
    assert child(lambda: leave.is_set() and forks._gate.inside == forks._gate.forking == []) == 0
    assert leave.is_set()
    left.wait()
    assert forks._gate.inside == forks._gate.forking == []


def test_a_fork_does_not_wait_for_ever(call, monkeypatch):
    monkeypatch.setattr(forks, "PATIENCE", 0.1)
    assert child(lambda: forks._gate.inside == []) == 0
    assert not call[0].is_set()


def test_a_thread_that_computes_may_fork_by_itself():
    @forks.finished_before_forks
    def computing():
        return child(forks.finished_before_forks(lambda: True))

    assert computing() == 0 and forks._gate.inside == []


def test_a_thread_enters_after_the_fork_that_is_under_way_and_one_inside_at_once():
    gate, entered, goes_on = forks.Gate(), threading.Event(), threading.Event()
    again = threading.Event()

    def first():
        gate.enter()
        entered.set()
        goes_on.wait()
        gate.enter()  # while the fork waits for this thread
        again.set()
        gate.leave()
        gate.leave()

    def second():
        goes_on.wait()
        gate.enter()
        order.append("entered")
        gate.leave()

    order, threads_ = [], [threading.Thread(target=target) for target in (first, second)]
    for thread in threads_:
        thread.start()
    entered.wait()
    threading.Timer(0.1, goes_on.set).start()
    gate.close()
    assert again.wait(LIMIT)
    time.sleep(0.1)
    order.append("forked")
    gate.reopen()
    for thread in threads_:
        thread.join()
    assert order == ["forked", "entered"] and gate.inside == gate.forking == []


def test_a_loaded_model_of_numpy_computes_behind_the_gate():
    """Its calls hold locks of OpenBLAS; compiled kernels hold none."""
    seen, model = [], s2t_np.load("digits", backend="numpy")

    def linear(*args):
        seen.append(threading.get_ident() in forks._gate.inside)
        return model.backend.ops.linear(*args)

    watched = model.backend.ops._replace(linear=linear)
    model.backend.encode(watched, model.weights.encoder, model.config, model.features(FIVE))
    assert seen and all(seen) and not forks._gate.inside
