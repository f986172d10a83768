"""Clips that begin late: the same samples as in the whole recording, without decoding what comes before."""

import io

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio import Selection, decoding, ffmpeg
from s2t_np.errors import AudioError
from tests.support.ffmpeg_files import written
from tests.support.sounds import encode, signal

soundfile = pytest.importorskip("soundfile")

SECONDS = 6
KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "ULAW"),
    ("W64", "FLOAT"),
    ("AIFF", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("CAF", "ALAW"),
]
DECODED_FROM_THE_BEGINNING = [
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "GSM610"),
    ("MP3", "MPEG_LAYER_III"),
]
FFMPEGS = [("mp4", "aac"), ("ipod", "alac"), ("webm", "libopus"), ("asf", "wmav2")]
FFMPEGS += [("mov", "pcm_s16le"), ("matroska", "flac"), ("mpegts", "mp2")]
CLIPS = [(0.1, 0.5), (1.5, 1.9), (3.321, None), (5.9, 20.0)]


def recording(container, subtype, rate=44100, channels=2):
    """A file of SECONDS whose channels differ and whose loudness changes."""
    x = np.stack([signal(rate * SECONDS, seed=seed) for seed in range(channels)], 1)
    x *= np.linspace(0.2, 0.9, len(x))[:, None]
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, subtype, format=container) as sink:
        for begin in range(0, len(x), 4096):  # libsndfile's Vorbis overflows its stack where it is given more
            sink.write(x[begin : begin + 4096])
    return file.getvalue()


def heard(data, model_rate=16000, **chosen):
    return np.concatenate(list(audio.blocks(io.BytesIO(data), model_rate, None, Selection(**chosen))))


@pytest.fixture
def sought(monkeypatch):
    """The frames at which decoding began, file after file."""
    seen, original = [], decoding.LocalSound.seek
    monkeypatch.setattr(decoding.LocalSound, "seek", lambda *x: seen.append(original(*x)) or seen[-1])
    return seen


def same_as_in_the_whole(data, model_rate=16000, **chosen):
    whole = heard(data, model_rate, **chosen)
    for start, end in CLIPS:
        last = None if end is None else round(end * model_rate)
        clip = heard(data, model_rate, start=start, end=end, **chosen)
        assert np.array_equal(clip, whole[round(start * model_rate) : last]), (start, end)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (16000, 1)])
def test_the_same_samples_as_in_the_whole(kind, rate, channels, sought):
    same_as_in_the_whole(recording(*kind, rate, channels))
    assert sought[0] == 0  # the whole
    for (start, _), frames in zip(CLIPS[1:], sought[2:], strict=True):
        assert start - 0.2 < frames / rate <= start


@pytest.mark.parametrize("kind", DECODED_FROM_THE_BEGINNING, ids="-".join)
def test_the_same_samples_of_codecs_without_a_seek(kind, sought):
    if kind[0] not in soundfile.available_formats():
        pytest.skip(f"this libsndfile has no {kind[0]}")
    rate, channels = (8000, 1) if kind[1] == "GSM610" else (48000, 2)
    same_as_in_the_whole(recording(*kind, rate, channels))
    assert not any(sought)


def test_one_channel_and_another_rate_of_the_model():
    same_as_in_the_whole(recording("FLAC", "PCM_16"), model_rate=48000, channel=2)


def test_a_clip_after_the_end_of_a_long_file():
    with pytest.raises(AudioError, match=r"is 6.00 s long, so nothing is left from 13 s on"):
        heard(recording("FLAC", "PCM_16"), start=13.0)


@pytest.mark.parametrize("kind", FFMPEGS, ids="-".join)
def test_the_same_samples_of_formats_that_ffmpeg_reads(kind):
    av_files = pytest.importorskip("tests.support.ffmpeg_files")
    rate = 48000 if kind[1] == "libopus" else 44100
    x = np.stack([signal(rate * SECONDS, seed=seed) for seed in range(2)], 1)
    data = av_files.written(*kind, x, rate=rate)
    same_as_in_the_whole(data)
    same_as_in_the_whole(data, channel=2)
    with pytest.raises(AudioError, match=r"is 6\.\d\d s long, so nothing is left from 13 s on"):
        heard(data, start=13.0)


ENTERED = [("mp4", "aac"), ("matroska", "aac"), ("webm", "libopus"), ("matroska", "mp3"), ("matroska", "flac")]
ENTERED += [("ipod", "alac"), ("mov", "pcm_s16le"), ("matroska", "pcm_s16le")]
LATE_CLIP = {"start": 18.01, "end": 18.5}
TONE = 0.1 * np.sin(np.cumsum(0.05 + 0.02 * np.sin(np.arange(20 * 48_000) / 48_000)))


@pytest.fixture
def frames(monkeypatch):
    """How many frames were decoded for what was heard, file after file."""
    pytest.importorskip("av")
    counts, opened_for, gap_before = [], ffmpeg.opened_for, ffmpeg.Demuxer.gap_before
    monkeypatch.setattr(ffmpeg, "opened_for", lambda *x: counts.append(0) or opened_for(*x))

    def counted(*x):
        counts[-1] += 1
        return gap_before(*x)

    monkeypatch.setattr(ffmpeg.Demuxer, "gap_before", counted)
    return counts


def whole_and_clip(data):
    whole, clip = heard(data), heard(data, **LATE_CLIP)
    return np.array_equal(clip, whole[round(18.01 * 16000) : round(18.5 * 16000)])


@pytest.mark.parametrize("kind", ENTERED, ids="-".join)
def test_ffmpegs_formats_are_decoded_from_shortly_before_the_clip(kind, frames):
    assert whole_and_clip(written(*kind, TONE, rate=48000))
    assert frames[1] < 0.2 * frames[0]


def test_aac_that_draws_noise_is_decoded_from_the_beginning(frames):
    """FFmpeg's generator of noise runs on through the file: from elsewhere the samples differ."""
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, len(TONE))
    assert whole_and_clip(written("mp4", "aac", np.stack([TONE, TONE + noise], 1), rate=48000))
    assert frames[1] > 0.8 * frames[0]


@pytest.mark.parametrize("form", ["mp4", "matroska"])
def test_a_file_with_a_hole_before_the_clip_is_decoded_from_the_beginning(form, frames):
    assert whole_and_clip(written(form, "aac", TONE, rate=48000, hole=(100, 150)))
    assert frames[1] > 0.8 * frames[0]


@pytest.mark.parametrize("container", ["FLAC", "WAV", "OGG"])
def test_a_file_that_breaks_off_before_the_clip(container):
    """A seek to what is not there fails; the error is the one of the whole recording."""
    data = encode(np.tile(signal(48_000), 5), container=container)
    with pytest.raises(AudioError, match=r"cut short|so nothing is left|lost sync"):
        heard(data[: len(data) // 2], start=10.0)


def test_recordings_joined_end_to_end():
    data = recording("FLAC", "PCM_16", 16000, 1) * 2
    assert np.array_equal(heard(data, start=7.0, end=8.0), heard(data)[7 * 16000 : 8 * 16000])
