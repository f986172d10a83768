"""Several schedulers side by side: one thread each, cancelled when the caller stops, nothing kept."""

import gc
import os
import threading
import time
import weakref

import pytest

from s2t_np.errors import OptionError
from s2t_np.system.threads import get_threads, own_threads
from s2t_np.together import Sharing, side_by_side
from s2t_np.together.scheduler import Known
from s2t_np.together.workers import AHEAD, ENOUGH
from tests.support.askers import Step, asker, failing, lengths
from tests.support.few_threads import give_threads
from tests.support.forks import child


def counting(count: int):
    """Asks as often: the numbers of threads that it has computed with, and the threads it has run in."""
    numbers, threads = set(), set()
    for i in range(count):
        numbers.add(get_threads())
        threads.add(threading.current_thread())
        yield ("counting", i)
    return numbers, threads


def in_this_thread(function):
    """An utterance that asks nothing."""
    return function()
    yield


@pytest.mark.parametrize("width", [1, 4])
def test_every_utterance_ends_once(width):
    counts = lengths(1, 200)
    found = list(side_by_side((asker(i, n) for i, n in enumerate(counts)), Step(), Sharing(width, 3)))
    assert sorted(found) == [(i, (i, n)) for i, n in enumerate(counts)]


def test_a_single_worker_computes_with_all_threads():
    found = side_by_side((in_this_thread(get_threads) for _ in range(8)), Step(), Sharing(1, 1))
    assert {count for _, count in found} == {get_threads()}


@pytest.mark.parametrize(("threads", "parts"), [(2, [1, 1]), (3, [1, 2]), (8, [4, 4]), (1, [1, 1])])
def test_workers_divide_the_threads_of_the_caller(threads, parts):
    found = {}  # by the worker's name: its threads at its last step

    def step(asks):
        found[threading.current_thread().name] = get_threads()
        time.sleep(1e-4)
        return [None] * len(asks)

    def until_all_have_their_part():
        for _ in range(50_000):
            if sorted(count for name, count in found.items() if "worker" in name) == parts:
                return True
            yield "more"
        return False

    with own_threads(threads):
        results = side_by_side((until_all_have_their_part() for _ in range(8)), step, Sharing(3, 2))
        assert sorted(results) == [(i, True) for i in range(8)]


def test_a_few_utterances_have_all_threads():
    """They are done sooner that way, and a single one is as in a call of its own."""
    with own_threads(6):
        found = [count for _, count in side_by_side((counting(2) for _ in range(ENOUGH)), Step(), Sharing(4, 3))]
    assert found == [({6}, {threading.current_thread()})] * ENOUGH


def test_the_last_utterance_has_the_threads_of_the_others():
    """They find that there is nothing for them any more."""
    last = []

    def longest():
        for _ in range(50_000):
            last.append(get_threads())
            if last[-1] == 6 and 3 in last:
                return True
            yield ("longest", 0)
        return False

    def step(asks):
        time.sleep(1e-4)
        return [(i, name) for name, i in asks]

    with own_threads(6):
        found = dict(side_by_side([longest(), *(asker(i, 40) for i in range(8))], step, Sharing(3, 2)))
    assert found[0] is True


def test_utterances_are_taken_in_the_calling_thread():
    """They may come from what works there only, as the cursor of an sqlite3 database does."""
    taken = []

    def utterances():
        for i in range(9):
            taken.append(threading.current_thread())
            yield asker(i, 2)

    assert len(list(side_by_side(utterances(), Step(), Sharing(2, 3)))) == 9
    assert set(taken) == {threading.current_thread()}


def test_some_utterances_are_there_before_a_worker_asks_for_them():
    """Without them a worker waits while the next is read, though there was time to read it before."""
    taken, enough = [], threading.Event()

    def utterances():
        for i in range(40):
            taken.append(i)
            if i == AHEAD + 1:
                enough.set()
            yield asker(i, 1)

    def step(asks):
        assert enough.wait(20)
        time.sleep(0.05)
        counts.append(len(taken))
        return [(i, name) for name, i in asks]

    counts = []
    assert len(list(side_by_side(utterances(), step, Sharing(1, 2), 40))) == 40
    assert counts[0] == 2 + AHEAD


def test_what_has_ended_is_told_before_the_next_utterance_is_looked_for():
    """Which may be a minute later, where somebody still speaks."""
    ended, found, seen = threading.Event(), [], []

    def utterances():
        yield in_this_thread(ended.set)
        assert ended.wait(20)
        time.sleep(0.1)
        yield asker(1, 1)
        seen.extend(found)
        yield asker(2, 1)

    for number, _ in side_by_side(utterances(), Step(), Sharing(1, 2), 40):
        found.append(number)
    assert seen[:1] == [0] and sorted(found) == [0, 1, 2]


def test_one_thread_looks_for_the_next_utterance_while_workers_have_them_all():
    numbers = []

    def utterances():
        for i in range(20):
            numbers.append(get_threads())
            yield asker(i, 2)

    with own_threads(6):
        assert len(list(side_by_side(utterances(), Step(), Sharing(2, 3), 20))) == 20
        assert get_threads() == 6
    assert numbers == [1] * 20


def test_utterances_may_come_from_a_generator_with_threads_of_its_own():
    """Its context begins in one search for an utterance and ends in another."""

    def utterances():
        with own_threads(3):
            for i in range(12):
                yield asker(i, 2)

    before = get_threads()
    assert len(list(side_by_side(utterances(), Step(), Sharing(2, 2), 12))) == 12
    assert get_threads() == before


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("expected", [0, 40])
def test_what_is_known_stands_among_the_results_and_no_worker_takes_it(workers, expected):
    several = [
        Known("begin"),
        *(asker(i, 3) for i in range(6)),
        Known("end"),
        Known("begin"),
        asker(6, 2),
        Known("end"),
    ]
    found = dict(side_by_side(several, Step(), Sharing(2, workers), expected))
    assert [found[number] for number in (0, 7, 8, 10)] == ["begin", "end", "begin", "end"]
    assert [found[number] for number in (1, 6, 9)] == [(0, 3), (5, 3), (6, 2)] and len(found) == 11


def test_a_single_worker_is_the_calling_thread():
    ((_, name),) = side_by_side([in_this_thread(threading.current_thread)], Step(), Sharing(1))
    assert name is threading.current_thread()


@pytest.mark.parametrize("given", [0, 1, 2])
def test_fewer_threads_than_asked_for_do_the_same_work(given, monkeypatch):
    """As under `ulimit -u`; without any, the calling thread works."""
    begun = give_threads(monkeypatch, given)
    counts = lengths(4, 50)
    found = list(side_by_side((asker(i, n) for i, n in enumerate(counts)), Step(), Sharing(2, 3)))
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
        utterances(), lambda asks: [(0, "first") if ask == ("first", 0) else None for ask in asks], Sharing(2, 3)
    )
    assert next(found) == (0, ("first", 1))
    found.close()
    assert len(begun) <= 6 and step.widths == []
    assert not any("worker" in thread.name for thread in threading.enumerate())


def test_what_a_worker_raises_stops_the_others():
    several = [endless(), failing("b", 0, ZeroDivisionError()), endless()]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(several, lambda asks: [None] * len(asks), Sharing(1, 3)))
    assert not any("worker" in thread.name for thread in threading.enumerate())


class Result:
    """Something that can be watched while it is freed."""


def test_results_are_freed_as_soon_as_the_caller_has_had_them():
    gc.freeze()  # what earlier tests have left need not be looked through forty times
    for workers in (1, 2):
        watched, most = [], 0
        for _, result in side_by_side((in_this_thread(Result) for _ in range(20)), Step(), Sharing(2, workers)):
            watched.append(weakref.ref(result))
            gc.collect()
            most = max(most, sum(watch() is not None for watch in watched))
        assert most <= 3  # this one, the one before, and what a worker still holds
    gc.unfreeze()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_wait_for_workers_that_it_does_not_have():
    found = side_by_side((asker(i, 2) for i in range(20)), Step(), Sharing(1, 2))
    next(found)

    def go_on() -> bool:
        with pytest.raises(OptionError, match="before a fork"):
            list(found)
        return True

    assert child(go_on) == 0
    assert len(list(found)) == 19


class Question:
    """An Ask that can be watched while it is freed."""


def test_what_the_first_have_asked_with_is_freed_when_they_have_ended():
    """Not at once: a worker holds the answers of its last step, and the other one may be ahead."""
    watched, alive, running = [], [], set(range(8))

    def asking():
        for _ in range(6):
            ask = Question()
            watched.append(weakref.ref(ask))
            yield ask
            del ask

    several = [*(asking() for _ in range(8)), *(counting(1) for _ in range(60))]
    for number, _ in side_by_side(several, lambda asks: asks, Sharing(3, 2)):
        running.discard(number)
        if not running:
            gc.collect()
            alive.append(sum(watch() is not None for watch in watched))
    assert len(watched) == 48 and min(alive) == 0


@pytest.mark.parametrize(
    ("expected", "begun"), [(0, 0), (ENOUGH, 0), (2 * ENOUGH + 1, 0), (2 * ENOUGH + 2, 2), (99, 3)]
)
def test_workers_begin_at_once_where_enough_utterances_are_expected(expected, begun):
    """Nothing runs in the calling thread then; what is expected need not come."""
    before, workers = set(threading.enumerate()), set()

    def one():
        workers.update(set(threading.enumerate()) - before)  # later, those that find nothing may have ended
        yield in_this_thread(lambda: threading.current_thread() is threading.main_thread())

    ((_, here),) = side_by_side(one(), Step(), Sharing(4, 3), expected)
    assert here is (begun == 0)
    assert sum("worker" in thread.name for thread in workers) == begun
