"""Several schedulers side by side: one thread each, cancelled when the caller stops, nothing kept."""

import gc
import os
import threading
import weakref

import pytest

from s2t_np.errors import OptionError
from s2t_np.system.threads import get_threads
from s2t_np.together import side_by_side
from tests.support.askers import Step, asker, failing, lengths
from tests.support.few_threads import give_threads
from tests.support.forks import child


def in_this_thread(function):
    """An utterance that asks nothing."""
    return function()
    yield


@pytest.mark.parametrize("width", [1, 4])
def test_every_utterance_ends_once(width):
    counts = lengths(1, 200)
    found = list(side_by_side((asker(i, n) for i, n in enumerate(counts)), Step(), width, 3))
    assert sorted(found) == [(i, (i, n)) for i, n in enumerate(counts)]


def test_each_of_several_computes_with_one_thread_and_a_single_one_with_all():
    for workers, threads in ((1, get_threads()), (2, 1)):
        found = side_by_side((in_this_thread(get_threads) for _ in range(8)), Step(), 1, workers)
        assert {count for _, count in found} == {threads}


def test_a_single_worker_is_the_calling_thread():
    ((_, name),) = side_by_side([in_this_thread(threading.current_thread)], Step(), 1)
    assert name is threading.current_thread()


@pytest.mark.parametrize("given", [0, 1, 2])
def test_fewer_threads_than_asked_for_do_the_same_work(given, monkeypatch):
    """As under `ulimit -u`; without any, the calling thread works."""
    begun = give_threads(monkeypatch, given)
    counts = lengths(4, 50)
    found = list(side_by_side((asker(i, n) for i, n in enumerate(counts)), Step(), 2, 3))
    assert sorted(found) == [(i, (i, n)) for i, n in enumerate(counts)]
    assert len(begun) == given


def endless():
    """Asks for ever."""
    while True:
        yield "more"


def test_the_workers_stop_when_the_caller_stops_iterating():
    """Endless utterances end, and waiting ones never begin; without that the test would not end."""
    begun = []

    def utterances():
        yield asker("first", 1)
        for i in range(20):
            begun.append(i)
            yield endless()

    step = Step()
    found = side_by_side(
        utterances(), lambda asks: [(0, "first") if ask == ("first", 0) else None for ask in asks], 2, 3
    )
    assert next(found) == (0, ("first", 1))
    found.close()
    assert len(begun) <= 6 and step.widths == []
    assert not any("ThreadPool" in thread.name for thread in threading.enumerate())


def test_what_a_worker_raises_stops_the_others():
    several = [endless(), failing("b", 0, ZeroDivisionError()), endless()]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(several, lambda asks: [None] * len(asks), 1, 3))
    assert not any("ThreadPool" in thread.name for thread in threading.enumerate())


class Result:
    """Something that can be watched while it is freed."""


def test_results_are_freed_as_soon_as_the_caller_has_had_them():
    gc.freeze()  # what earlier tests have left need not be looked through forty times
    for workers in (1, 2):
        watched, most = [], 0
        for _, result in side_by_side((in_this_thread(Result) for _ in range(20)), Step(), 2, workers):
            watched.append(weakref.ref(result))
            gc.collect()
            most = max(most, sum(watch() is not None for watch in watched))
        assert most <= 3  # this one, the one before, and what a worker still holds
    gc.unfreeze()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_wait_for_workers_that_it_does_not_have():
    found = side_by_side((asker(i, 2) for i in range(20)), Step(), 1, 2)
    next(found)

    def go_on() -> bool:
        with pytest.raises(OptionError, match="before a fork"):
            list(found)
        return True

    assert child(go_on) == 0
    assert len(list(found)) == 19
