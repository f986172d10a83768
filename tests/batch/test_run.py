"""Inputs to recordings, one after another or side by side, with a stand-in for the sound where none is needed."""

import numpy as np
import pytest

import s2t_np
from s2t_np.audio.files import incomplete_where_reading_fails
from s2t_np.batch import run as room
from s2t_np.batch.items import Failure, Input, Unread
from s2t_np.batch.run import CountedBlocks, Task, transcribe_all
from s2t_np.errors import AudioError, IncompleteAudioError, OptionError, ReadingError
from s2t_np.longform.options import StreamOptions
from s2t_np.longform.segment import Recording, Segment
from s2t_np.longform.stream import Heard
from s2t_np.together import Sharing
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
    (recording,) = transcribe_all(task(digits, num_beams=2), [item], lambda *event: told.append(event))
    assert (recording.text, recording.path) == ("five five", str(FIVE))
    assert recording.duration == digits.transcribe(FIVE).duration
    assert told == [(item, segment) for segment in recording.segments]


ERRORS = {"b": AudioError("bad: not audio"), "o": OptionError("top_p")}  # by the first letter of a path


def fake_blocks(task, item):
    """A second and a half of sound that is the code of the path's first letter; or it breaks off in an error."""
    yield np.full(16000, ord(item.path[0]))
    if item.path[0] in ERRORS:
        raise ERRORS[item.path[0]]
    yield np.full(8000, ord(item.path[0]))


def fake_utterances(model, sound, cut, options, generation, on_partial=None):
    """One utterance, once all sound is read; of "long" there is not memory enough."""

    def hear(letter):
        if letter == "l":
            raise MemoryError
        return Heard(Segment(0, 0.0, 1.0, f"{letter} {generation['num_beams']}", (), 0.0, 1.0), False, False)
        yield

    blocks = list(sound)
    assert sum(map(len, blocks)) == 24000
    yield hear(chr(blocks[0][0]))


@pytest.fixture
def fakes(monkeypatch):
    """Sounds and utterances without files and without a model."""
    monkeypatch.setattr(room, "blocks_of", fake_blocks)
    monkeypatch.setattr(room, "utterances_of", fake_utterances)


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


def test_a_recording_that_is_damaged_and_one_whose_disk_fails_are_told_apart():
    def failing():
        yield np.zeros(16000)
        raise ReadingError("x: cannot be read (Input/output error)")

    damaged, unread = (
        CountedBlocks(blocks, 16000, "x")
        for blocks in (breaking_off(np.zeros(16000)), incomplete_where_reading_fails(failing()))
    )
    assert [len(list(sound)) for sound in (damaged, unread)] == [1, 1]
    assert unread.incomplete == "cannot be read (Input/output error); the sound before that could be read"
    assert [isinstance(sound.incomplete, Unread) for sound in (damaged, unread)] == [False, True]


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
    results = dict(enumerate(transcribe_all(task(digits)._replace(sharing=Sharing(1, jobs)), inputs)))
    assert [results[0].text, results[1].text] == ["five five", "five five"]
    assert results[0].incomplete is None
    assert "is cut short" in results[1].incomplete
    assert "cut.wav" not in results[1].incomplete
    assert results[0].duration - results[1].duration == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_failed_input_is_a_result_and_the_rest_goes_on(fakes, digits, jobs):
    inputs = [Input(name, name) for name in ("a", "bad", "long", "c")]
    results = dict(enumerate(transcribe_all(task(digits, num_beams=3)._replace(sharing=Sharing(1, jobs)), inputs)))
    assert [results[0].text, results[3].text] == ["a 3", "c 3"]
    assert results[0] == Recording("a", results[0].segments, 1.5)
    assert results[1] == Failure("bad", "not audio")
    assert results[2].path == "long"
    assert "memory" in results[2].reason


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_wrong_option_is_no_failure_of_the_input(fakes, digits, jobs):
    with pytest.raises(OptionError):
        list(transcribe_all(task(digits, num_beams=1)._replace(sharing=Sharing(1, jobs)), [Input("option", "x")] * 2))


@pytest.mark.parametrize(("jobs", "width"), [(1, 4), (4, 1), (2, 3)])
def test_together_gives_what_one_after_another_gives(digits, jobs, width):
    inputs = [Input(str(path), path.stem) for path in sorted(FIVE.parent.glob("*.flac"))] * 3
    alone = list(transcribe_all(task(digits), inputs))
    assert list(transcribe_all(task(digits)._replace(sharing=Sharing(width, jobs)), inputs)) == alone
    assert [recording.path for recording in alone] == [item.path for item in inputs]
