"""Work side by side: results as they are done or in order, one thread each, cancelled when the caller stops."""

import gc
import threading
import weakref
from functools import partial

import pytest

import s2t_np
from s2t_np.batch.pool import Cancelled, cancellable, imap_unordered, in_order
from s2t_np.system.threads import get_threads
from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"


@pytest.fixture(scope="module")
def digits():
    """The bundled model, computing in numpy."""
    return s2t_np.load("digits", backend="numpy")


def test_results_come_as_they_are_done_and_can_be_put_in_order():
    gates = [threading.Event() for _ in range(4)]

    def work(index):
        assert gates[index].wait(10)
        return -index

    results = imap_unordered(work, range(4), 4, threading.Event())
    arrived = []
    for index in (2, 0, 3, 1):
        gates[index].set()
        arrived.append(next(results))
    assert arrived == [(2, -2), (0, 0), (3, -3), (1, -1)]
    assert list(in_order(arrived)) == [(0, 0), (1, -1), (2, -2), (3, -3)]
    ordered = in_order(iter([(1, "b"), (0, "a")]))
    assert [next(ordered), next(ordered)] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(("jobs", "threads"), [(1, get_threads()), (2, 1)])
def test_each_of_several_computes_with_one_thread(jobs, threads):
    assert {count for _, count in imap_unordered(lambda _: get_threads(), range(8), jobs, threading.Event())} == {
        threads
    }


def test_the_work_is_cancelled_when_the_caller_stops_iterating(digits):
    """Two endless searches end, and the item that had not begun never does; without that the test would not end."""
    cancel, begun, ended = threading.Event(), threading.Barrier(3), {}
    endless = cancellable(digits, cancel)

    def work(item):
        if not item:
            begun.wait(30)
            return
        if item < 3:
            begun.wait(30)
        try:
            endless.transcribe(FIVE, min_length=10**5, max_length=10**5)
        except BaseException as error:
            ended[item] = repr(error)
            raise

    results = imap_unordered(work, [0, 1, 2, 3, 4], 3, cancel)
    assert next(results) == (0, None)
    results.close()
    assert set(ended.values()) == {"Cancelled()"}, ended
    assert {1, 2} <= ended.keys() <= {1, 2, 3}
    assert not any("ThreadPool" in thread.name for thread in threading.enumerate())


def test_a_cancelled_model_computes_nothing(digits):
    cancel = threading.Event()
    model = cancellable(digits, cancel)
    assert model.transcribe(FIVE).text == "five five"
    cancel.set()
    for call in (partial(model.features, FIVE), partial(model.transcribe, FIVE)):
        with pytest.raises(Cancelled):
            call()


class Result:
    """Something that can be watched while it is freed."""


def test_results_are_freed_as_soon_as_the_caller_has_had_them():
    watched, most = [], 0
    for _, result in imap_unordered(lambda _: Result(), range(20), 2, threading.Event()):
        watched.append(weakref.ref(result))
        gc.collect()
        most = max(most, sum(watch() is not None for watch in watched))
    assert most <= 3  # this one, the one before, and what a worker still holds
