"""Inputs to recordings, one after another or side by side, with a stand-in for the model where none is needed."""

import threading
import time
from functools import partial

import numpy as np
import pytest

import s2t_np
from s2t_np.batch import run as room
from s2t_np.batch.inputs import Failure, Input
from s2t_np.batch.pool import Stopped, completed, in_order, stoppable
from s2t_np.batch.run import Sound, Task, hear, transcribe_all
from s2t_np.errors import AudioError, OptionError
from s2t_np.longform.options import StreamOptions
from s2t_np.longform.segment import Recording, Segment
from s2t_np.system.threads import get_threads
from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"


@pytest.fixture(scope="module")
def digits():
    """The bundled model, computing in numpy."""
    return s2t_np.load("digits", backend="numpy")


def task(model, **generation):
    return Task(model, StreamOptions(), generation)


def test_a_recording_is_its_segments_and_its_duration(digits):
    told = []
    item = Input(str(FIVE), "five")
    recording = hear(task(digits, num_beams=2), item, lambda *event: told.append(event))
    assert (recording.text, recording.path) == ("five five", str(FIVE))
    assert recording.duration == digits.transcribe(FIVE).duration
    assert told == [(item, segment) for segment in recording.segments]


def fake_listen(task, item):
    """A second and a half of sound, or what can go wrong."""
    errors = {"bad": AudioError("bad: not audio"), "long": MemoryError(), "option": OptionError("top_p")}

    def segments():
        assert sum(map(len, sound)) == 24000
        if item.path in errors:
            raise errors[item.path]
        yield Segment(0, 0.0, 1.0, f"{item.path} {task.generation['num_beams']}", (), 0.0, 1.0)

    sound = Sound([np.zeros(16000), np.zeros(8000)], 16000)
    return sound, segments()


def test_sound_is_counted_as_it_passes_and_less_than_a_window_is_none():
    sound = Sound([np.zeros(400), np.zeros(1200)], 16000)
    durations = [sound.duration for _ in sound]
    assert durations == [0.025, 0.1]
    assert len(list(Sound([np.zeros(399), np.zeros(1)], 16000))) == 2
    with pytest.raises(AudioError, match=r"is 24.9 ms long"):
        list(Sound([np.zeros(399)], 16000))


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_failed_input_is_a_result_and_the_rest_goes_on(monkeypatch, digits, jobs):
    monkeypatch.setattr(room, "listen", fake_listen)
    inputs = [Input(name, name) for name in ("a", "bad", "long", "b")]
    results = dict(transcribe_all(task(digits, num_beams=3), inputs, jobs))
    assert [results[0].text, results[3].text] == ["a 3", "b 3"]
    assert results[0] == Recording("a", results[0].segments, 1.5)
    assert results[1] == Failure("bad", "not audio")
    assert results[2].path == "long"
    assert "memory" in results[2].reason


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_wrong_option_is_no_failure_of_the_input(monkeypatch, digits, jobs):
    monkeypatch.setattr(room, "listen", fake_listen)
    with pytest.raises(OptionError):
        list(transcribe_all(task(digits, num_beams=1), [Input("option", "x")] * 2, jobs))


def test_side_by_side_gives_what_one_after_another_gives(digits):
    inputs = [Input(str(path), path.stem) for path in sorted(FIVE.parent.glob("*.flac"))] * 3
    alone, together = (dict(transcribe_all(task(digits), inputs, jobs)) for jobs in (1, 4))
    assert sorted(together) == list(range(len(inputs)))
    assert [together[i].text for i in sorted(together)] == [alone[i].text for i in sorted(alone)]


def test_results_come_as_they_are_done_and_can_be_put_in_order():
    gates = [threading.Event() for _ in range(4)]

    def work(index):
        assert gates[index].wait(10)
        return -index

    results = completed(work, range(4), 4, threading.Event())
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
    assert {count for _, count in completed(lambda _: get_threads(), range(8), jobs, threading.Event())} == {threads}


def test_whoever_has_enough_stops_the_work_within_a_step(digits):
    stop = threading.Event()
    endless = stoppable(digits, stop)
    ended = []

    def work(item):
        try:
            if item:
                endless.transcribe(FIVE, min_length=10**6, max_length=10**6)
        except Stopped:
            ended.append(item)
            raise

    results = completed(work, [0, 1, 2, 3], 3, stop)
    assert next(results) == (0, None)
    time.sleep(0.3)
    begin = time.monotonic()
    results.close()
    assert time.monotonic() - begin < 2
    assert ended  # and what had not begun never does
    assert not any("ThreadPool" in thread.name for thread in threading.enumerate())


def test_a_stopped_model_computes_nothing(digits):
    stop = threading.Event()
    model = stoppable(digits, stop)
    assert model.transcribe(FIVE).text == "five five"
    stop.set()
    for call in (partial(model.features, FIVE), partial(model.transcribe, FIVE)):
        with pytest.raises(Stopped):
            call()
