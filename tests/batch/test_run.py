"""Inputs to recordings, one after another or side by side, with a stand-in for the sound where none is needed."""

import numpy as np
import pytest

import s2t_np
from s2t_np.batch import run as room
from s2t_np.batch.items import Failure, Input
from s2t_np.batch.run import CountedBlocks, Task, hear, transcribe_all
from s2t_np.errors import AudioError, IncompleteAudioError, OptionError
from s2t_np.longform.options import StreamOptions
from s2t_np.longform.segment import Recording, Segment
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

    sound = CountedBlocks([np.zeros(16000), np.zeros(8000)], 16000, item.path)
    return sound, segments()


def test_blocks_are_counted_as_they_pass_and_less_than_a_window_is_an_error():
    sound = CountedBlocks([np.zeros(400), np.zeros(1200)], 16000, "x")
    durations = [sound.duration for _ in sound]
    assert durations == [0.025, 0.1]
    assert sound.incomplete is None
    assert len(list(CountedBlocks([np.zeros(399), np.zeros(1)], 16000, "x"))) == 2
    with pytest.raises(AudioError, match=r"is 24.9 ms long"):
        list(CountedBlocks([np.zeros(399)], 16000, "x"))


def breaking_off(*blocks):
    yield from blocks
    raise IncompleteAudioError("x: is cut short, after 1.00 s")


def test_a_recording_that_breaks_off_ends_and_says_why():
    sound = CountedBlocks(breaking_off(np.zeros(16000)), 16000, "x")
    assert len(list(sound)) == 1
    assert sound.incomplete == "is cut short, after 1.00 s"
    with pytest.raises(IncompleteAudioError):
        list(CountedBlocks(breaking_off(), 16000, "x"))


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.filterwarnings("error")
def test_a_recording_that_breaks_off_has_its_text_and_is_marked(digits, tmp_path, jobs):
    """A WAV file of 2.3 s whose last quarter is missing; the other one is whole."""
    soundfile = pytest.importorskip("soundfile")
    samples, rate = soundfile.read(FIVE)
    soundfile.write(tmp_path / "whole.wav", np.concatenate([samples, np.zeros(rate // 2)]), rate, "PCM_16")
    whole = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) - rate])  # two bytes a sample: half a second
    inputs = [Input(str(tmp_path / name), name) for name in ("whole.wav", "cut.wav")]
    results = dict(transcribe_all(task(digits), inputs, jobs))
    assert [results[0].text, results[1].text] == ["five five", "five five"]
    assert results[0].incomplete is None
    assert "is cut short" in results[1].incomplete
    assert "cut.wav" not in results[1].incomplete
    assert results[0].duration - results[1].duration == pytest.approx(0.5, abs=0.001)


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
