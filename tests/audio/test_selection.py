"""One channel, and a stretch of time, of everything that holds sound."""

import io
import subprocess

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio import EACH, Selection
from s2t_np.audio.raw import raw_blocks
from s2t_np.errors import AudioError, IncompleteAudioError, OptionError
from tests.support.sounds import encode, pcm16, signal

pytest.importorskip("soundfile")

BOTH = np.stack([signal(48_000), signal(48_000, seed=4)[::-1]], 1)
STEREO = encode(BOTH)


class Pipe(io.BytesIO):
    """Bytes that cannot be read twice."""

    def seekable(self):
        return False


def heard(sound, rate=16000, sampling_rate=None, **chosen):
    return np.concatenate(list(audio.blocks(sound, rate, sampling_rate, Selection(**chosen))))


FORMS = {
    "a file": lambda: (io.BytesIO(STEREO), None),
    "a pipe": lambda: (Pipe(STEREO), None),
    "a pipe of another format": lambda: (Pipe(encode(BOTH, container="FLAC")), None),
    "an array": lambda: (BOTH, 16000),
    "an iterator": lambda: (iter(np.split(BOTH, 6)), 16000),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channel", [1, 2])
def test_one_channel(form, channel):
    sound, rate = FORMS[form]()
    assert np.abs(heard(sound, sampling_rate=rate, channel=channel) - BOTH[:, channel - 1]).max() < 2**-14


@pytest.mark.parametrize("form", FORMS)
def test_a_channel_that_is_not_there(form):
    sound, rate = FORMS[form]()
    with pytest.raises(AudioError, match="has 2 channels, so there is no channel 3"):
        heard(sound, sampling_rate=rate, channel=3)


@pytest.mark.parametrize("form", FORMS)
def test_a_clip(form):
    sound, rate = FORMS[form]()
    y = heard(sound, sampling_rate=rate, channel=1, start=0.5, end=1.25)
    assert len(y) == 12_000
    assert np.abs(y - BOTH[8000:20_000, 0]).max() < 2**-14


def test_a_clip_is_the_same_samples_as_in_the_whole_at_another_rate():
    whole = heard(io.BytesIO(STEREO), 11_025)
    for start, end in ((0.0, 1.0), (0.3, 2.0), (1.7, None), (2.0, 99.0)):
        clip = heard(io.BytesIO(STEREO), 11_025, start=start, end=end)
        last = None if end is None else round(end * 11_025)
        assert np.array_equal(clip, whole[round(start * 11_025) : last])


def test_a_clip_after_the_end():
    with pytest.raises(AudioError, match=r"is 3.00 s long, so nothing is left from 3 s on"):
        heard(io.BytesIO(STEREO), start=3)


def test_what_is_broken_after_a_clip_does_not_matter():
    cut = encode(np.tile(BOTH, (10, 1)))[:-1_000_000]
    assert len(heard(io.BytesIO(cut), end=2.0)) == 32_000
    with pytest.raises(IncompleteAudioError):
        heard(io.BytesIO(cut), end=29.0)


def test_nothing_is_read_after_the_end_of_a_clip():
    def endless():
        while True:
            yield BOTH

    assert len(heard(endless(), sampling_rate=16000, start=1.0, end=10.0)) == 144_000


def test_each_channel_is_for_streams_of_segments():
    with pytest.raises(OptionError, match="one channel at a time"):
        heard(io.BytesIO(STEREO), channel=EACH)


def test_samples_without_a_header():
    x = np.concatenate(list(raw_blocks(io.BytesIO(pcm16(BOTH)), "s16le", 2, 2)))
    assert np.abs(x - BOTH[:, 1]).max() < 2**-14


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_channels_are_counted(count, container):
    assert audio.channel_count(encode(signal(4000, channels=count), container=container)) == count
    assert audio.channel_count(signal(4000, channels=count)) == count


def test_a_pipe_cannot_be_read_once_for_each_channel():
    with pytest.raises(AudioError, match="read only once"):
        audio.channel_count(Pipe(STEREO))


@pytest.mark.parametrize("coding", ["u-law", "a-law"])
def test_telephone_samples_as_sox_writes_them(coding, tmp_path):
    try:
        made = subprocess.run(
            ["sox", "-t", "s16", "-r", "8000", "-c", "2", "-", "-e", coding, "-t", "raw", "-"],
            input=pcm16(BOTH),
            capture_output=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("needs sox")
    x = np.concatenate(list(raw_blocks(io.BytesIO(made.stdout), coding.replace("u-", "mu").replace("-", ""), 2, 2)))
    assert np.abs(x - BOTH[:, 1]).max() < 0.02
