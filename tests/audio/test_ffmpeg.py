"""Formats that only FFmpeg reads: the same sound comes out, in time; what is broken is said; nothing else is opened."""

import io
import tracemalloc

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio import Selection
from s2t_np.errors import AudioError, IncompleteAudioError, OptionError
from tests.support.sounds import chunk, encode, read, riff, signal, wave_format

pytest.importorskip("soundfile")
pytest.importorskip("av")

from tests.support.ffmpeg_files import written

X = signal(48_000)
LOSSLESS = {"m4a (ALAC)": ("ipod", "alac"), "wavpack": ("wv", "wavpack"), "true audio": ("tta", "tta")}
LOSSLESS |= {"mkv (FLAC)": ("matroska", "flac"), "mov (PCM)": ("mov", "pcm_s16le"), "avi (PCM)": ("avi", "pcm_s16le")}
LOSSY = {
    "mp4 (AAC)": ("mp4", "aac", 16000),
    "3gp (AAC)": ("3gp", "aac", 16000),
    "aac": ("adts", "aac", 16000),
    "webm (Opus)": ("webm", "libopus", 48000),
    "mkv (Vorbis)": ("matroska", "libvorbis", 16000),
    "wma": ("asf", "wmav2", 44100),
    "flv (AAC)": ("flv", "aac", 44100),
    "ac3": ("ac3", "ac3", 48000),
    "ts (MP2)": ("mpegts", "mp2", 16000),
    "amr": ("amr", "libopencore_amrnb", 8000),
}


def heard(data, **chosen):
    return np.concatenate(list(audio.blocks(io.BytesIO(data), 16000, selection=Selection(**chosen))))


def delay_and_likeness(x, y):
    """By how many samples y follows x, and the correlation at that place."""
    length = 2 ** int(np.ceil(np.log2(len(x) + len(y))))
    together = np.fft.irfft(np.conj(np.fft.rfft(x, length)) * np.fft.rfft(y, length), length)
    place = int(together.argmax())
    return place - length * (place > length // 2), together.max() / np.linalg.norm(x) / np.linalg.norm(y)


@pytest.mark.parametrize("name", LOSSLESS)
def test_nothing_is_lost(name):
    y, said = read(written(*LOSSLESS[name], X))
    assert said == ""
    assert len(y) == len(X)
    assert np.abs(y - X).max() < 2**-14


@pytest.mark.parametrize("name", LOSSY)
def test_the_same_sound_comes_out_in_time(name):
    form, codec, rate = LOSSY[name]
    speechlike = np.random.default_rng(1).standard_normal(3 * rate).astype(np.float32)
    kernel = np.sinc(np.arange(-40, 41) * 2 * 1500 / rate)  # up to 1.5 kHz, which all of them keep
    x = np.convolve(speechlike, kernel / np.abs(kernel).sum(), "same").astype(np.float32)
    try:
        data = written(form, codec, x, rate=rate)
    except ValueError as error:
        pytest.skip(f"this FFmpeg does not write it ({error})")
    y, said = read(data, rate)
    assert said == ""
    delay, likeness = delay_and_likeness(x, y)
    assert likeness > (0.5 if name == "amr" else 0.9)  # it codes a voice, and noise is none
    assert abs(delay) < 0.07 * rate
    assert abs(len(y) - len(x)) < 0.12 * rate


def test_integers_are_divided_by_their_range():
    quiet = np.full(16_000, 0.25, np.float32)
    for codec in ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"):
        y, _ = read(written("matroska" if codec != "pcm_u8" else "avi", codec, quiet))
        assert np.abs(y - 0.25).max() < 2**-7 if codec == "pcm_u8" else np.abs(y - 0.25).max() < 1e-4, codec


@pytest.mark.parametrize("channels", [1, 2])
def test_integers_of_64_bits(channels):
    """PyAV raised a ValueError of its own."""
    x = np.random.default_rng(0).integers(-(2**63), 2**63, (1600, channels))
    data = riff(chunk(b"fmt ", wave_format(channels=channels, bits=64)), chunk(b"data", x.astype("<i8").tobytes()))
    found = np.concatenate(list(audio.blocks(io.BytesIO(data), 16000)))
    np.testing.assert_allclose(found, (x / 2.0**63).mean(1), atol=1e-6)


def test_the_first_audio_stream_of_a_video_and_another():
    second = signal(48_000, seed=5)[::-1].copy()
    data = written("matroska", "flac", X, second, pictures=3.0)
    assert np.abs(heard(data) - X).max() < 2**-14
    assert np.abs(heard(data, stream=1) - X).max() < 2**-14
    assert np.abs(heard(data, stream=2) - second).max() < 2**-14
    with pytest.raises(AudioError, match="has 2 audio streams, so there is no stream 3"):
        heard(data, stream=3)
    with pytest.raises(AudioError, match="has 1 audio stream, so there is no stream 2"):
        heard(encode(X), stream=2)


def test_one_channel():
    both = np.stack([X, signal(48_000, seed=3)], 1)
    data = written("ipod", "alac", both)
    assert np.abs(heard(data, channel=2) - both[:, 1]).max() < 2**-14
    assert np.abs(heard(data) - both.mean(1)).max() < 2**-14
    assert audio.channel_count(data) == 2


def test_video_without_sound():
    with pytest.raises(AudioError, match="has no sound: there is no audio stream in it"):
        read(written("matroska", "flac", pictures=1.0))


def test_sound_that_begins_late_keeps_its_time():
    y, said = read(written("matroska", "flac", X, begin=1.5, pictures=5.0))
    assert said == ""
    assert len(y) == len(X) + 24_000
    assert not y[:24_000].any()
    assert np.abs(y[24_000:] - X).max() < 2**-14


def test_memory_does_not_grow_with_the_length():
    peaks = []
    for seconds in (20, 200):
        data = written("ipod", "alac", np.tile(signal(16_000), seconds))
        tracemalloc.start()
        count = sum(len(block) for block in audio.blocks(io.BytesIO(data), 16000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == 16_000 * seconds
    assert peaks[1] < peaks[0] + 500_000


@pytest.mark.parametrize("name", ["mkv (FLAC)", "avi (PCM)", "wavpack", "true audio"])
@pytest.mark.parametrize("part", [0.4, 0.8])
def test_a_file_that_breaks_off_is_incomplete(name, part):
    data = written(*LOSSLESS[name], X)
    blocks, got = audio.blocks(io.BytesIO(data[: int(part * len(data))]), 16000), []
    with pytest.raises(IncompleteAudioError, match=r"cut short") as caught:
        for block in blocks:
            got.append(block)
    assert "\n" not in str(caught.value)
    y = np.concatenate([*got, np.zeros(0, np.float32)])
    assert np.abs(y - X[: len(y)]).max(initial=0) < 2**-14
    assert len(y) >= (part - 0.2) * len(X) or name in ("wavpack", "true audio")  # their packets are seconds long


def test_an_mp4_whose_index_is_missing_says_so():
    data = written("mp4", "aac", X)
    with pytest.raises(AudioError, match=r"MPEG-4 .*, but FFmpeg finds no index \(moov\) in it: it is cut short"):
        read(data[: len(data) // 2])


def test_damage_inside_is_told_and_the_rest_is_heard():
    data = bytearray(written("adts", "aac", signal(160_000)))
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    y, said = read(bytes(data))
    assert "is damaged or cut short about 5." in said
    assert len(y) > 150_000


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
    ],
)
def test_a_playlist_opens_nothing(text, tmp_path):
    (tmp_path / "secret.ts").write_bytes(written("mpegts", "mp2", X))
    (tmp_path / "list.m4a").write_text(text.format(tmp_path / "secret.ts"))
    with pytest.raises(AudioError, match="neither libsndfile nor FFmpeg knows it"):
        audio.load(tmp_path / "list.m4a", 16000)


def test_too_little_mpeg_audio_is_refused_as_ever():
    with pytest.raises(AudioError, match="too little MPEG audio"):
        read(encode(signal(60_000), container="MP3")[:836])


def test_without_pyav_another_stream_says_what_to_install(without_pyav):
    with pytest.raises(AudioError, match="pip install av"):
        heard(encode(X), stream=2)


@pytest.mark.parametrize("wrong", [{"channel": 0}, {"channel": "left"}, {"stream": 0}, {"start": 3, "end": 2}])
def test_selections_that_cannot_be(wrong):
    with pytest.raises(OptionError):
        Selection(**wrong)


def test_a_whole_westwood_file_is_not_marked():
    """FFmpeg reports the end of every .aud file as invalid data."""
    data = written("wsaud", "adpcm_ima_ws", X)
    y, said = read(data)
    assert said == "" and len(y) == len(X)
    assert np.corrcoef(y, X)[0, 1] > 0.99


@pytest.mark.parametrize("left_out", [1, 300, 1024 + 8, 3000])
def test_a_westwood_file_that_breaks_off_is(left_out):
    """A packet has 8 bytes of header and 1,024 of sound; the last one is shorter, the cut may fall between two."""
    data = written("wsaud", "adpcm_ima_ws", X)
    last = len(data) - ((len(data) - 12) % (1024 + 8) or 1024 + 8)
    for end in (len(data) - left_out, last):
        y, said = read(data[:end])
        assert "cut short" in said and 0 < len(y) < len(X)
