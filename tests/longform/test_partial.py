"""Partial results: stable words never change, and the segments are those without partial results, to the last bit."""

from itertools import pairwise

import numpy as np
import pytest

import s2t_np
from s2t_np import audio
from s2t_np.errors import OptionError
from s2t_np.longform import pace
from s2t_np.longform.options import StreamOptions
from s2t_np.longform.pace import Pace, in_portions
from s2t_np.longform.partial import agreed
from s2t_np.longform.segmenter import Piece
from tests.support.paths import DIGITS

RECORDINGS = DIGITS.parent.parent / "recordings"
OPTIONS = StreamOptions(partial_interval=0.25)


@pytest.fixture(autouse=True)
def hears_as_often_as_asked(monkeypatch):
    """However slow this machine is."""
    monkeypatch.setattr(pace, "BUSY", 0.0)


@pytest.fixture(scope="module")
def digits():
    """The bundled model, computing in numpy."""
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def sound():
    """Digits with pauses between them, some too short to end a segment: (N,) float32 at 16 kHz."""
    two, five = (audio.load(RECORDINGS / f"{name}.flac", 16000) for name in ("two-nine-three-four-zero", "five-five"))
    pause = np.zeros(11200, np.float32)
    return np.concatenate([pause, two, five, pause, five, two, pause])


def watched(model, sound, size=800, options=OPTIONS, **generation):
    """Segments and partial results in the order in which they come."""
    events = []
    blocks = (sound[i : i + size] for i in range(0, len(sound), size))
    for segment in model.stream_partials(blocks, events.append, 16000, options, **generation):
        events.append(segment)
    return events


def partials_of(events):
    """The partial results, a list for each segment."""
    found, own = [], []
    for event in events:
        if isinstance(event, s2t_np.Segment):
            found.append(own)
            own = []
        else:
            own.append(event)
    return found


@pytest.mark.parametrize("generation", [{}, {"num_beams": 3}, {"num_beams": 3, "search": "fairseq"}])
def test_segments_are_those_without_partial_results(digits, sound, generation):
    events = watched(digits, sound, **generation)
    segments = [event for event in events if isinstance(event, s2t_np.Segment)]
    assert segments == list(digits.stream(iter([sound]), 16000, OPTIONS, **generation))
    assert len(events) > 3 * len(segments)


def test_stable_words_never_change_while_a_segment_is_open(digits, sound):
    events = watched(digits, sound)
    each = partials_of(events)
    assert len(each) == sum(isinstance(event, s2t_np.Segment) for event in events) >= 2
    for partials in each:
        assert len({partial.start for partial in partials}) == 1
        for before, after in pairwise(partials):
            assert after.stable.split()[: len(before.stable.split())] == before.stable.split()
            assert after.end > before.end
    assert max(len(partial.stable.split()) for partials in each for partial in partials) >= 3


def test_words_come_before_the_segment_does(digits, sound):
    first, *rest = watched(digits, sound)
    assert not isinstance(first, s2t_np.Segment)
    segment = next(event for event in rest if isinstance(event, s2t_np.Segment))
    assert first.start == segment.start
    assert first.end < segment.end


@pytest.mark.parametrize("size", [160, 4000, 10**6])
def test_the_size_of_the_blocks_does_not_matter_to_what_closes(digits, sound, size):
    events = watched(digits, sound, size)
    assert [e for e in events if isinstance(e, s2t_np.Segment)] == list(digits.stream(iter([sound]), 16000, OPTIONS))
    assert partials_of(events)[0]


def test_silence_and_tones_give_no_words(digits):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48000) / 16000)
    assert watched(digits, np.concatenate([np.zeros(16000), tone, np.zeros(16000)]).astype(np.float32)) == []


def test_what_is_wrong_is_said_at_once(digits):
    with pytest.raises(OptionError):
        digits.stream_partials(iter([]), print, 16000, num_beams=0)
    with pytest.raises(OptionError):
        StreamOptions(partial_interval=0)


@pytest.mark.parametrize(
    "before, now, count",
    [
        ("", "▁two", 0),
        ("▁two", "▁two", 0),  # its end may be missing
        ("▁two ▁ni", "▁two ▁nine", 1),
        ("▁two ▁nine", "▁two ▁nine ▁three", 2),
        ("▁two ▁ni ne", "▁two ▁ni ne ty", 1),
        ("▁two ▁ni ne", "▁two ▁ni ne ▁ty", 3),
        ("▁ten ▁nine", "▁two ▁nine ▁six", 0),
    ],
)
def test_what_two_hearings_agree_on(before, now, count):
    assert agreed(before.split(), now.split(), lambda token: token.startswith("▁")) == count


def test_the_pace_waits_for_a_slow_listener(monkeypatch):
    monkeypatch.setattr(pace, "BUSY", 2.0)
    times = iter([0.0, 0.1, 10.0, 13.0])
    own = Pace(0.5, lambda: next(times))

    def heard(end, start=0.0):
        return [piece.end for piece in own.paced(Piece(np.empty(0), start, start, end, False, False))]

    assert heard(0.4) == []
    assert heard(0.5) == [0.5]
    assert heard(0.9) == []
    assert heard(1.0) == [1.0]  # it took 3 s to hear
    assert own.due == 7.0
    assert heard(6.9) == []


def test_portions():
    blocks = [np.arange(5), np.arange(2)]
    assert [block.tolist() for block in in_portions(blocks, 2)] == [[0, 1], [2, 3], [4], [0, 1]]
