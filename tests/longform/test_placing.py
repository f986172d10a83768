"""A part of a recording from Python: one channel, each of them, a stretch of time; times are the recording's."""

import numpy as np
import pytest

import s2t_np
from s2t_np import OptionError, Selection, StreamOptions, audio
from tests.support.paths import RECORDINGS

pytest.importorskip("soundfile")

RATE = 16000


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits")


@pytest.fixture(scope="module")
def call():
    """(N, 2): five five at 0.5 s on the left, one two three at 4 s on the right."""
    one = audio.load(RECORDINGS / "five-five.flac", RATE)
    other = audio.load(RECORDINGS / "synthetic-one-two-three.flac", RATE)
    both = np.zeros((5 * RATE + len(other), 2), np.float32)
    both[RATE // 2 : RATE // 2 + len(one), 0] = one
    both[4 * RATE : 4 * RATE + len(other), 1] = other
    return both


def test_transcribe_one_channel(model, call):
    assert model.transcribe(call, RATE, selection=Selection(channel=1)).text == "five five"
    assert model.transcribe(call, RATE, selection=Selection(channel=2)).text == "one two three"


def test_transcribe_a_clip(model, call):
    heard = model.transcribe(call, RATE, selection=Selection(start=3.5))
    assert heard.text == "one two three"
    assert heard.duration == pytest.approx(len(call) / RATE - 3.5)


def test_segments_of_a_clip_keep_the_times_of_the_recording(model, call):
    cut = StreamOptions(max_whole_duration=0.5, word_timestamps=True)
    whole = model.transcribe(call, RATE, cut).segments[-1]
    (part,) = model.transcribe(call, RATE, cut, selection=Selection(start=3.0)).segments
    assert part.text == whole.text == "one two three"
    assert part.start == pytest.approx(whole.start, abs=0.1)
    assert [w.start for w in part.words] == pytest.approx([w.start for w in whole.words], abs=0.1)


def test_the_segments_of_each_channel_come_in_time(model, call):
    found = list(model.stream(call, RATE, selection=Selection(channel="each")))
    assert [(s.id, s.channel, s.text) for s in found] == [(0, 1, "five five"), (1, 2, "one two three")]
    assert found[0].start == pytest.approx(0.6, abs=0.3) and found[1].start == pytest.approx(4.1, abs=0.3)


def test_a_transcript_is_of_one_channel(model, call):
    with pytest.raises(OptionError, match="one channel at a time"):
        model.transcribe(call, RATE, selection=Selection(channel="each"))
