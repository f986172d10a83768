"""Files of every kind and arrays of every shape: the right samples, or one clear AudioError."""

import io
import os
import pathlib
import signal as signals
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio import decoding, files
from s2t_np.audio.containers import Source
from s2t_np.audio.raw import raw_blocks
from s2t_np.errors import AudioError, InputWarning
from tests.support.paths import LIBRISPEECH, ROOT, needs_shared
from tests.support.sounds import chunk, encode, pcm16, riff, signal, wave_format

soundfile = pytest.importorskip("soundfile")

EXACT = {
    "PCM_S8": 2**-7,
    "PCM_U8": 2**-7,
    "PCM_16": 2**-15,
    "PCM_24": 2**-23,
    "PCM_32": 2**-23,
    "FLOAT": 0,
    "DOUBLE": 0,
}
EXACT |= {"ULAW": 0.03, "ALAW": 0.03, "ALAC_16": 2**-15, "DWVW_16": 2**-15}
WAVS = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"]
MONO_ONLY = ["GSM610", "G721_32", "NMS_ADPCM_32", "DWVW_16"]
FORMATS = [
    *[("WAV", s) for s in [*WAVS, "G721_32", "NMS_ADPCM_32"]],
    *[("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("RF64", "FLOAT"), ("W64", "PCM_16"), ("W64", "IMA_ADPCM")],
    *[("FLAC", "PCM_S8"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
    *[("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("AIFF", "DWVW_16"), ("AU", "PCM_16")],
    *[("AU", "ULAW"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("CAF", "DOUBLE"), ("NIST", "PCM_16"), ("VOC", "PCM_16")],
]


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_round_trips(container, subtype, channels):
    if channels == 2 and subtype in MONO_ONLY:
        pytest.skip("libsndfile writes this with one channel only")
    x = signal(16000, channels=channels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = audio.read(io.BytesIO(encode(x, 16000, container, subtype)), 16000)
    expected = x if channels == 1 else x.mean(axis=1)
    assert y.dtype == np.float32
    assert 16000 <= len(y) < 17000  # codecs in blocks fill up the last one
    if subtype in EXACT:
        assert np.abs(y[:16000] - expected).max() <= EXACT[subtype] + 1e-7
    else:
        assert np.corrcoef(y[1000:15000], expected[1000:15000])[0, 1] > 0.98


def test_many_channels_are_mixed_by_mean():
    x = signal(3000, channels=7)
    np.testing.assert_allclose(audio.read(io.BytesIO(encode(x, subtype="FLOAT")), 16000), x.mean(axis=1), atol=1e-6)
    loud = np.full((500, 200), 0.9, np.float32)
    np.testing.assert_allclose(audio.read(io.BytesIO(encode(loud, subtype="FLOAT")), 16000), 0.9, atol=1e-6)


def test_blocks_join_seamlessly(monkeypatch):
    x = signal(10000, channels=3)
    for block in (1, 5, 2999, 3000):
        monkeypatch.setattr(decoding, "BLOCK", block)
        if block < 100:
            x = x[:50]
        for container in ("WAV", "FLAC"):
            y = audio.read(io.BytesIO(encode(x, container=container, subtype="PCM_24")), 16000)
            np.testing.assert_allclose(y, x.mean(axis=1), atol=2e-7)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_files_are_brought_to_the_model_s_rate(rate):
    y = audio.read(io.BytesIO(encode(signal(rate, rate), rate, subtype="FLOAT")), 16000)
    assert len(y) == 16000
    same = signal(16000)
    assert np.corrcoef(y, same)[0, 1] > 0.99


@needs_shared
def test_real_recordings_are_bit_equal_to_soundfile():
    for path in sorted(LIBRISPEECH.rglob("*.flac"))[::10]:
        np.testing.assert_array_equal(audio.read(path, 16000), soundfile.read(path, dtype="float32")[0])


# ---- where it comes from


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "ünï ¢ode.raw"  # the name must not matter
    path.write_bytes(encode(signal(2000), subtype="FLOAT"))
    return path


def test_sources(wav):
    x, data = signal(2000), wav.read_bytes()
    with open(wav, "rb") as opened, open(wav, "rb", buffering=0) as raw:
        used = io.BytesIO(data)
        used.seek(0, 2)  # just written
        for source in (wav, str(wav), opened, raw, used, data, bytearray(data)):
            np.testing.assert_array_equal(audio.load(source, 16000), x)


class Pipe(io.RawIOBase):
    """Gives a few bytes at a time and cannot seek."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, count=-1):
        return self.inner.read(min(count, 1000))


@pytest.mark.parametrize("spool", [100, 1 << 25])
@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3", "OGG"])
def test_pipes_are_spooled(container, spool, monkeypatch):
    monkeypatch.setattr(files, "SPOOL_BYTES", spool)
    data = encode(signal(), container=container)
    np.testing.assert_array_equal(audio.read(Pipe(data), 16000), audio.read(io.BytesIO(data), 16000))


@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3", "OGG"])
def test_standard_input(container, tmp_path):
    data = encode(signal(), container=container)
    program = "from s2t_np import audio; print(len(audio.load('-', 8000)))"
    run = [sys.executable, "-c", program]
    piped = subprocess.run(run, cwd=ROOT, input=data, capture_output=True, check=True)
    (tmp_path / "sound").write_bytes(data)
    with open(tmp_path / "sound", "rb") as file:
        redirected = subprocess.run(run, cwd=ROOT, stdin=file, capture_output=True, check=True)
    assert piped.stdout.split() == redirected.stdout.split() == [b"8000"]
    assert piped.stderr == redirected.stderr == b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    data = encode(signal(), container="FLAC")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=(data,))
    writer.start()
    assert len(audio.read(tmp_path / "fifo", 16000)) == 16000
    writer.join()


def test_a_file_that_is_not_there(tmp_path):
    for source, words in (
        (tmp_path / "no.wav", "no.wav: cannot be read .No such file"),
        (tmp_path, "cannot be read"),
        ("", "cannot be read"),
        ("a\0b", "cannot be read .*null"),
        (str(tmp_path / ("x" * 5000)), "cannot be read"),
    ):
        with pytest.raises(AudioError, match=words):
            audio.load(source, 16000)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read(wav):
    wav.chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        audio.read(wav, 16000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"R", "not a recording"),
        (b"hello, this is a text\n" * 99, "not a recording"),
        (bytes(100_000), "not a recording"),
        (b"\xff" * 5000, "not a recording"),
        (b"%PDF-1.4" + bytes(500), "not a recording"),
        (np.random.default_rng(0).bytes(50_000), "not a recording"),
        (encode(np.zeros(0, np.float32)), "is empty"),
        (encode(np.zeros(0, np.float32), container="FLAC"), "is empty|not a recording"),
    ],
)
def test_not_a_recording(data, words, tmp_path, capfd):
    path = tmp_path / "thing.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=rf"thing.wav: .*({words})") as caught:
        audio.read(path, 16000)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_numbers_that_are_no_sound(value):
    x = signal(300_000, channels=2)
    x[200_001, 1] = x[250_000, 0] = value
    with pytest.raises(AudioError, match=r"sample 200001 is .*expected numbers from -1 to 1"):
        audio.read(io.BytesIO(encode(x, 8000, subtype="FLOAT")), 16000)


def test_too_loud_is_said_and_used():
    data = encode(1000 * signal(2000), subtype="FLOAT")
    with pytest.warns(InputWarning, match="samples reach 4") as caught:
        y = audio.read(io.BytesIO(data), 16000)
    assert len(caught) == 1
    np.testing.assert_array_equal(y, 1000 * signal(2000))


@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2**31 - 1])
def test_absurd_rates(rate):
    with pytest.raises(AudioError, match=f"sampling rate is {rate}, expected 1000 to 1000000"):
        audio.read(io.BytesIO(riff(chunk(b"fmt ", wave_format(rate)), chunk(b"data", pcm16(signal(99))))), 16000)


# ---- file objects that fail


class Failing(io.BytesIO):
    """Raises once it has given `limit` bytes."""

    def __init__(self, data, limit, error):
        super().__init__(data)
        self.limit, self.error = limit, error

    def read(self, count=-1):
        if self.tell() + max(count, 0) > self.limit:
            raise self.error
        return super().read(count)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0, 0.01])
def test_errors_of_a_file_object(container, share, capfd):
    data = encode(signal(80_000), container=container)
    with pytest.raises(AudioError, match=r"cannot be read .*the disk is on fire"):
        audio.read(Failing(data, int(share * len(data)), OSError("the disk is on fire")), 16000)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("container", ["WAV", "FLAC"])  # of the others the end is read first
def test_a_file_object_that_fails_midway_leaves_the_sound_before(container, capfd):
    sound, error = signal(400_000), OSError("the disk is on fire")
    data = encode(sound, container=container)
    with pytest.warns(InputWarning, match=r"cannot be read .*the disk is on fire.*the sound before that"):
        found = audio.read(Failing(data, len(data) // 2, error), 16000)
    assert 0.2 * len(sound) < len(found) < 0.6 * len(sound)
    np.testing.assert_array_equal(found, audio.read(io.BytesIO(data), 16000)[: len(found)])
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_while_decoding(capfd):
    data = encode(signal(80_000), container="FLAC")
    with pytest.raises(KeyboardInterrupt):
        audio.read(Failing(data, 20_000, KeyboardInterrupt()), 16000)
    assert capfd.readouterr() == ("", "")


def test_unusable_file_objects(wav):
    closed = open(wav, "rb")  # noqa: SIM115
    closed.close()
    with pytest.raises(AudioError, match="closed"):
        audio.read(closed, 16000)
    with open(wav, encoding="latin-1") as text, pytest.raises(AudioError, match=r'text file object, expected.*"rb"'):
        audio.read(text, 16000)
    with open(os.devnull, "wb") as writing, pytest.raises(AudioError, match="cannot be read"):
        audio.read(writing, 16000)
    with pytest.raises(AudioError, match="cannot be read"):
        audio.read(12, 16000)


def test_without_soundfile(wav):
    program = f"""
import sys; sys.modules["soundfile"] = None
from s2t_np import audio, errors
try: audio.load({os.fspath(wav)!r}, 16000)
except errors.AudioError as error: print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install soundfile" in done.stdout


def test_the_name_in_messages(tmp_path):
    (tmp_path / "talk").write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"^the file object: "):
        audio.load(b"nothing", 16000)
    with open(tmp_path / "talk", "rb") as file, pytest.raises(AudioError, match=r"talk: is not"):
        audio.load(file, 16000)
    with pytest.raises(AudioError, match=r"talk: is not"):
        audio.load(pathlib.Path(tmp_path / "talk"), 16000)


class Late(Exception):
    """What a signal handler raises when a time limit is over."""


@pytest.fixture
def time_limit():
    """Raises Late after 50 ms, in whatever the main thread does then."""

    def late(*_):
        raise Late

    before = signals.signal(signals.SIGALRM, late)
    signals.setitimer(signals.ITIMER_REAL, 0.05)
    yield
    signals.setitimer(signals.ITIMER_REAL, 0)
    signals.signal(signals.SIGALRM, before)


@pytest.mark.parametrize("beginning", [b"", b"RIFF\0\0\0\0WAVE", b"fLaC"])
def test_a_time_limit_is_not_taken_for_a_failure_of_the_pipe(beginning, time_limit):
    read, write = os.pipe()
    os.write(write, beginning)
    with open(read, "rb") as file, pytest.raises(Late):
        audio.load(file, 16000)
    os.close(write)


def test_nor_for_one_of_a_path(tmp_path, time_limit):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Late):
        audio.load(tmp_path / "pipe", 16000)


def test_nor_for_one_of_headerless_sound(time_limit):
    read, write = os.pipe()
    with open(read, "rb") as file, pytest.raises(Late):
        list(raw_blocks(file))
    os.close(write)


def test_nor_for_one_of_a_file(wav, monkeypatch):
    monkeypatch.setattr(Source, "_read", lambda *_: (_ for _ in ()).throw(Late()))
    with pytest.raises(Late):
        audio.load(wav, 16000)


def test_a_callers_own_file_may_fail_in_its_own_way(wav):
    own = type("Own", (io.BytesIO,), {"read": lambda *_: (_ for _ in ()).throw(Late())})
    with pytest.raises(AudioError, match="cannot be read"):
        audio.load(own(wav.read_bytes()), 16000)
