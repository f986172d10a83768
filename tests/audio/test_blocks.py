"""Sound block by block: the same numbers as all at once, from files, pipes, arrays and iterators."""

import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio.raw import ENCODINGS, raw_blocks
from s2t_np.errors import AudioError, IncompleteAudioError, OptionError
from tests.support.paths import ROOT
from tests.support.sounds import chunk, encode, pcm16, riff, signal, wave_format

soundfile = pytest.importorskip("soundfile")

BODIES = {"u8": ("u1", lambda x: x * 127 + 128), "s16le": ("<i2", lambda x: x * 32767)}
BODIES |= {"s16be": (">i2", lambda x: x * 32767), "s32le": ("<i4", lambda x: x * (2**31 - 200))}
BODIES |= {"f32le": ("<f4", lambda x: x), "f64le": ("<f8", lambda x: x)}


def whole(blocks):
    return np.concatenate(list(blocks))


@pytest.mark.parametrize("rate", [16000, 8000, 44100])
@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3", "OGG"])
def test_files(container, rate):
    data = encode(signal(300_000, rate if container != "OGG" else 16000), rate, container)
    blocks = list(audio.blocks(data, 16000))
    assert len(blocks) > 2
    np.testing.assert_array_equal(whole(blocks), audio.load(data, 16000))


@pytest.mark.parametrize("rate", [16000, 8000, 44100])
def test_arrays_and_iterators(rate):
    x = signal(300_000, rate, channels=2)
    expected = audio.load(x, 16000, rate)
    np.testing.assert_array_equal(whole(audio.blocks(x, 16000, rate)), expected)
    parts = (x[i : i + 1000] for i in range(0, len(x), 1000))
    np.testing.assert_array_equal(whole(audio.blocks(parts, 16000, rate)), expected)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_blocks_of_an_array_take_no_second_array(dtype):
    """The caller holds it already; of 200 s in two channels, float32 would be 26 MB, and mono half of that."""
    rate = 16000
    second = signal(rate, rate, channels=2) * (1 if np.dtype(dtype).kind == "f" else 32767)
    x = np.tile(second.astype(dtype), (200, 1))
    tracemalloc.start()
    try:
        blocks = audio.blocks(x, 16000, rate)
        samples = sum(len(block) for block in blocks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert samples == 3_200_000 and peak < 12e6


def test_iterators_of_integers_and_of_nothing():
    parts = [np.zeros(0, np.int16), np.full(5, 16384, np.int16), np.zeros(0)]
    np.testing.assert_array_equal(whole(audio.blocks(iter(parts), 16000, 16000)), np.full(5, 0.5))
    for bad, words in (
        ([np.full(9, np.nan)], "sample 0 is nan"),
        (["no"], "not sound"),
        ([np.zeros((3, 3, 3))], "shape"),
    ):
        with pytest.raises(AudioError, match=words):
            whole(audio.blocks(iter(bad), 16000, 16000))
    with pytest.raises(AudioError, match="sampling_rate="):
        audio.blocks(iter(parts), 16000)


def test_the_sound_before_the_damage_comes_first():
    data = encode(signal(300_000), container="FLAC")
    blocks = audio.blocks(data[: len(data) // 2], 16000)
    got = []
    with pytest.raises(IncompleteAudioError, match=r"cut short.*after [0-9.]+ s"):
        for block in blocks:
            got.append(block)
    assert 100_000 < sum(map(len, got)) < 200_000


def test_what_is_live(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert not audio.is_live(tmp_path / "file") and not audio.is_live(str(tmp_path / "none"))
    assert not audio.is_live(np.zeros(3)) and not audio.is_live(io.BytesIO()) and not audio.is_live(b"")
    assert audio.is_live(iter([])) and audio.is_live(Pipe(b""))


# ---- pipes


class Pipe(io.RawIOBase):
    """Gives a few bytes at a time and cannot seek."""

    def __init__(self, data, count=1001):
        self.inner, self.count = io.BytesIO(data), count

    def readable(self):
        return True

    def read(self, count=-1):
        return self.inner.read(min(count, self.count))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "MS_ADPCM", "ULAW"])
@pytest.mark.parametrize("channels", [1, 2])
def test_wave_files_through_a_pipe(subtype, channels):
    data = encode(signal(20_000, channels=channels), subtype=subtype)
    for count in (7, 4096):
        np.testing.assert_array_equal(whole(audio.blocks(Pipe(data, count), 16000)), audio.load(data, 16000))


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_resampling_a_pipe(rate):
    data = encode(signal(100_000, rate), rate, subtype="FLOAT")
    np.testing.assert_allclose(whole(audio.blocks(Pipe(data), 16000)), audio.load(data, 16000), atol=1e-6)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFF000])
def test_lengths_that_lie(length):
    """What arecord, ffmpeg and sox write into a pipe."""
    x = signal(20_000)
    data = riff(chunk(b"fmt ", wave_format()), chunk(b"data", pcm16(x), length), length=length)
    np.testing.assert_allclose(whole(audio.blocks(Pipe(data), 16000)), x, atol=2e-5)


def test_a_length_that_is_true_is_believed():
    x = signal(20_000)
    data = riff(
        chunk(b"LIST", b"INFO" * 99), chunk(b"fmt ", wave_format()), chunk(b"data", pcm16(x)), chunk(b"id3 ", b"x" * 99)
    )
    assert len(whole(audio.blocks(Pipe(data), 16000))) == 20_000


def test_a_pipe_that_breaks_off():
    data = riff(chunk(b"fmt ", wave_format()), chunk(b"data", pcm16(signal(16_000)), 64_000))
    got = []
    with pytest.raises(IncompleteAudioError, match=r"promises 2.00 s of sound, 1.00 s are there"):
        for block in audio.blocks(Pipe(data), 16000):
            got.append(block)
    assert sum(map(len, got)) == 16_000


def outcome(source) -> tuple[int, bool]:
    """Return how many samples are heard, and whether the recording counts as incomplete."""
    samples = 0
    try:
        for block in audio.blocks(source, 16000):
            samples += len(block)
    except IncompleteAudioError:
        return samples, True
    return samples, False


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("promised", [0, 1, 2, 60])
@pytest.mark.parametrize("there", [601, 602, 603, 604, 605, 606])
def test_a_recording_that_breaks_off_early_is_the_same_from_a_file_and_from_a_pipe(width, channels, promised, there):
    """Whether its last frame is whole or not; `promised` bytes are missing."""
    form = struct.pack("<HHIIHH", 1, channels, 16000, 16000 * channels * width, channels * width, 8 * width)
    body = (bytes(range(100, 107)) * 100)[:there]
    data = riff(chunk(b"fmt ", form), chunk(b"data", body, there + promised, pad=False))
    expected = (there // (channels * width), promised > 0)
    assert outcome(data) == outcome(Pipe(data)) == outcome(Pipe(data, 50)) == expected


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", b"hello" * 99])
def test_pipes_without_a_recording(data):
    with pytest.raises(AudioError, match=r"is empty|not a recording"):
        whole(audio.blocks(Pipe(data), 16000))


def test_a_header_of_a_million_chunks():
    with pytest.raises(AudioError, match="not a recording"):
        whole(audio.blocks(Pipe(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 1000), 16000))
    with pytest.raises(AudioError, match="sampling rate is 1,"):
        whole(audio.blocks(Pipe(riff(chunk(b"fmt ", wave_format(1)), chunk(b"data", bytes(99)))), 16000))


@pytest.mark.parametrize("encoding", [*BODIES, "S16_LE", "FLOAT_LE", "U8", "S32_LE"])
@pytest.mark.parametrize("channels", [1, 3])
def test_raw_samples(encoding, channels):
    name = {"S16_LE": "s16le", "FLOAT_LE": "f32le", "U8": "u8", "S32_LE": "s32le"}.get(encoding, encoding)
    dtype, convert = BODIES[name]
    x = signal(9999, channels=channels)
    data = np.asarray(convert(x)).astype(dtype).tobytes() + b"\x01" * (channels > 1)
    got = whole(raw_blocks(Pipe(data, 997), encoding, channels))
    np.testing.assert_allclose(got, x if channels == 1 else x.mean(axis=1), atol=0.02 if name == "u8" else 1e-4)


def test_raw_samples_of_24_bits():
    values = np.array([0, 1, -1, 2**23 - 1, -(2**23), 1234567])
    data = b"".join(int(v).to_bytes(3, "little", signed=True) for v in values)
    np.testing.assert_allclose(whole(raw_blocks(io.BytesIO(data), "s24le")), values / 2**23, atol=1e-7)


def test_raw_samples_that_are_none():
    with pytest.raises(OptionError, match="'mp3' is not an encoding of samples; known are u8, s16le"):
        raw_blocks(io.BytesIO(), "mp3")
    with pytest.raises(OptionError, match="0 channels"):
        raw_blocks(io.BytesIO(), "u8", 0)
    with pytest.raises(AudioError, match="sample 1 is nan"):
        whole(raw_blocks(io.BytesIO(struct.pack("<3f", 0, np.nan, 0)), "f32le"))
    assert list(raw_blocks(io.BytesIO(b"x"), "s16le")) == [] and set(ENCODINGS) > set(BODIES)


def test_errors_of_a_pipe():
    class Burning(Pipe):
        def read(self, count=-1):
            data = super().read(count)
            if self.inner.tell() > 20_000:
                raise OSError("the wire is on fire")
            return data

    got = []
    with pytest.raises(AudioError, match=r"cannot be read \(the wire is on fire\)"):
        for block in audio.blocks(Burning(encode(signal(50_000))), 16000):
            got.append(block)
    assert got
    with pytest.raises(AudioError, match="on fire"):
        whole(audio.blocks(Burning(encode(signal(500_000), container="FLAC")), 16000))


@pytest.mark.skipif(not hasattr(os, "pipe"), reason="needs pipes")
@pytest.mark.parametrize("rate", [16000, 48000])
def test_what_is_there_is_given_at_once(rate):
    """Half a second of sound arrives, and no more before it has been given: it is not kept back."""
    reader, writer = os.pipe()
    body = pcm16(signal(rate, rate))
    heard, in_time, total = threading.Event(), [], 0

    def record():
        with open(writer, "wb", buffering=0) as pipe:
            pipe.write(riff(chunk(b"fmt ", wave_format(rate)), chunk(b"data", b"", 0x7FFFFFFF)) + body[:rate])
            in_time.append(heard.wait(60))
            pipe.write(body[rate:])

    thread = threading.Thread(target=record)
    thread.start()
    with open(reader, "rb") as pipe:
        for block in audio.blocks(pipe, 16000):
            total += len(block)
            if total >= 8000 - 1000:
                heard.set()
    thread.join()
    assert in_time == [True] and total == 16000


@pytest.mark.parametrize(
    ("encoding", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW"), ("MU_LAW", "ULAW"), ("A_LAW", "ALAW")]
)
def test_telephony(encoding, subtype):
    """All 256 codes, against libsndfile."""
    codes = bytes(range(256))
    expected, _ = soundfile.read(
        io.BytesIO(codes), dtype="float32", format="RAW", subtype=subtype, samplerate=8000, channels=1
    )
    np.testing.assert_array_equal(whole(raw_blocks(io.BytesIO(codes), encoding)), expected)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "AIFF"])
def test_raw_samples_that_have_a_header_are_refused(container):
    with pytest.raises(AudioError, match=r"begins with '\w+' as a file with a header does.*without --raw-rate"):
        whole(raw_blocks(io.BytesIO(encode(signal(), container=container))))


def test_without_libsndfile(tmp_path):
    (tmp_path / "soundfile.py").write_text("raise OSError('sndfile library not found using ctypes.util.find_library')")
    (tmp_path / "talk.wav").write_bytes(encode(signal()))
    program = f"""
import sys; from s2t_np import audio, errors; from s2t_np.audio.raw import raw_blocks
print(len(audio.load("-", 16000)), sum(map(len, raw_blocks({str(tmp_path / "soundfile.py")!r}, "u8"))))
try: audio.load({str(tmp_path / "talk.wav")!r}, 16000)
except errors.AudioError as error: print(error)
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=ROOT, env=environment, input=encode(signal()), capture_output=True, check=True)
    counts, error = done.stdout.decode().splitlines()
    assert counts == f"16000 {(tmp_path / 'soundfile.py').stat().st_size}"
    assert "apt install libsndfile1" in error and "apk add libsndfile" in error
