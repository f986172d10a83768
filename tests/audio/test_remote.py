"""Recordings at an address: the same sound, little of it fetched twice, and one line for whatever goes wrong."""

import io
import sys

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio import files, remote
from s2t_np.errors import AudioError, IncompleteAudioError
from tests.support.loopback_files import LoopbackFiles
from tests.support.sounds import encode, signal

pytest.importorskip("soundfile")
fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

X = signal(48_000)
WAV = encode(X)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "PAUSES", (0.01, 0.01))
    fsspec.filesystem("http").clear_instance_cache()
    with LoopbackFiles(talk__wav=WAV, talk__flac=encode(X, container="FLAC")) as server:
        yield server


@pytest.mark.parametrize("name", ["talk.wav", "talk.flac", "talk.wav?token=secret"])
@pytest.mark.parametrize("ranges", [True, False])
def test_the_same_sound_comes_over_http(server, name, ranges):
    server.ranges = ranges
    assert np.abs(audio.load(f"{server.url}/{name}", 16000) - X).max() < 2**-14


def test_every_piece_is_fetched_once(server):
    server.files["/long.flac"] = data = encode(np.random.default_rng(0).uniform(-1, 1, 2_000_000), container="FLAC")
    assert len(data) > 3 * remote.PIECE
    assert sum(len(block) for block in audio.blocks(f"{server.url}/long.flac", 16000)) == 2_000_000
    assert server.sent < 1.1 * len(data) + 200_000


def test_only_what_a_clip_needs_is_fetched(server):
    server.files["/long.wav"] = encode(np.tile(X, 100))
    chosen = audio.Selection(end=2.0)
    assert sum(len(block) for block in audio.blocks(f"{server.url}/long.wav", 16000, selection=chosen)) == 32_000
    assert server.sent < 0.4 * len(server.files["/long.wav"])


def test_a_passing_failure_is_tried_again(server):
    server.failures = 2
    assert len(audio.load(f"{server.url}/talk.wav", 16000)) == len(X)


@pytest.mark.parametrize(("status", "says"), [(404, "no such file"), (403, "403"), (401, "401"), (500, "500")])
def test_answers_that_are_errors(server, status, says):
    server.files["/bad.wav"], server.status["/bad.wav"] = WAV, status
    with pytest.raises(AudioError) as caught:
        audio.load(f"{server.url}/bad.wav?signature=secret", 16000)
    text = str(caught.value)
    assert text.startswith(f"{server.url}/bad.wav: cannot be read (") and says in text
    assert "secret" not in text and "\n" not in text


def test_no_server():
    with pytest.raises(AudioError, match=r"^http://127.0.0.1:1/x.wav: cannot be read \(Cannot connect"):
        audio.load("http://127.0.0.1:1/x.wav", 16000)


def test_a_server_that_does_not_answer(server, monkeypatch):
    monkeypatch.setattr(remote, "ANSWER", 0.2)
    server.stall = 3.0
    with pytest.raises(AudioError, match=r"no answer within 0\.2 s"):
        audio.load(f"{server.url}/talk.wav", 16000)


def test_memory_and_local_files(tmp_path):
    fsspec.filesystem("memory").pipe("/rec/a.wav", WAV)
    (tmp_path / "b.wav").write_bytes(WAV)
    for address in ("memory://rec/a.wav", f"file://{tmp_path}/b.wav"):
        assert np.abs(audio.load(address, 16000) - X).max() < 2**-14


def test_addresses_and_paths():
    assert audio.is_url("s3://bucket/x.wav") and audio.is_url("HTTPS://host/x.wav")
    assert not any(map(audio.is_url, ("C://x.wav", "a/b.wav", "-", "://x", b"http://x")))
    assert remote.file_name("https://h/a/talk%201.mp3?x=/y.z") == "talk 1.mp3"
    assert remote.name_in_messages("https://me:word@h/a.mp3?sig=1#f") == "https://h/a.mp3"


@pytest.mark.parametrize(("package", "address"), [("fsspec", "memory://a.wav"), ("aiohttp", "https://h/a.wav")])
def test_what_to_install(package, address, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AudioError, match=r"^\S+: reading it needs another package .*pip install") as caught:
        audio.load(address, 16000)
    assert "fsspec[http]" in str(caught.value)


def test_an_unknown_kind_of_address():
    with pytest.raises(AudioError, match=r"^nonsense://h/a.wav: cannot be read \(.*nonsense"):
        audio.load("nonsense://h/a.wav", 16000)


CONTAINERS = ("WAV", "FLAC", "OGG", "MP3", "mkv")
LONG = np.tile(X, 4)


def long_file(container):
    if container != "mkv":
        return encode(LONG, container=container)
    return pytest.importorskip("tests.support.ffmpeg_files").written("matroska", "aac", LONG)


def half_is_heard(sound, container):
    given = []
    with pytest.raises(IncompleteAudioError, match=r"cannot be read .*the sound before that could be read"):
        for block in audio.blocks(sound, 16000):
            given.append(block)
    samples = sum(map(len, given))
    assert 0.3 * len(LONG) < samples < 0.6 * len(LONG)
    if container in ("WAV", "FLAC"):
        assert np.abs(np.concatenate(given) - LONG[:samples]).max() < 2**-14


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_connection_that_is_lost_midway_leaves_the_sound_before_it(server, container, monkeypatch):
    monkeypatch.setattr(remote, "PIECE", 1 << 12)
    monkeypatch.setattr(files, "COPY_BYTES", 1 << 12)
    server.files["/long.bin"] = data = long_file(container)
    server.breaks_off = len(data) // 2
    half_is_heard(f"{server.url}/long.bin", container)


@pytest.mark.parametrize("times", [1, 40], ids=["short", "long"])
@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_what_came_before_a_connection_was_lost_is_heard_without_byte_ranges(server, container, times):
    """Also of a file that one piece would hold, which is otherwise read whole or not at all."""
    x = np.random.default_rng(0).uniform(-0.5, 0.5, times * 16_000).astype(np.float32)
    server.files["/talk.bin"] = data = encode(x, container=container)
    server.ranges, server.breaks_off = False, int(0.7 * len(data))
    given = []
    with pytest.raises(IncompleteAudioError, match=r"cannot be read .*the sound before that could be read"):
        for block in audio.blocks(f"{server.url}/talk.bin", 16000):
            given.append(block)
    heard = np.concatenate(given)
    assert 0.7 * len(x) - 5000 < len(heard) < 0.71 * len(x)  # a frame of FLAC has 4,096 samples
    assert np.abs(heard - x[: len(heard)]).max() < 2**-14


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_disk_or_a_pipe_that_fails_midway_does_so_too(container, seekable, monkeypatch):
    monkeypatch.setattr(files, "COPY_BYTES", 1 << 12)
    half_is_heard(Failing(long_file(container), seekable), container)


class Failing(io.BytesIO):
    """A file of which only the first half can be read."""

    def __init__(self, data, seekable):
        super().__init__(data)
        self.half, self.can_seek = len(data) // 2, seekable

    def seekable(self):
        return self.can_seek

    def read(self, count=-1):
        if count < 0 or self.tell() + count > self.half:
            raise OSError(5, "Input/output error")
        return super().read(count)

    read1 = read


def test_a_server_that_gives_no_pieces_of_a_long_file(server):
    server.ranges, server.files["/long.wav"] = False, encode(np.tile(X, 15))
    assert len(server.files["/long.wav"]) > remote.PIECE
    assert len(audio.load(f"{server.url}/long.wav", 16000)) == 15 * len(X)


def test_a_connection_that_is_lost_at_the_beginning_is_an_error(server):
    server.breaks_off = 0
    with pytest.raises(AudioError, match="cannot be read") as caught:
        audio.load(f"{server.url}/talk.flac", 16000)
    assert not isinstance(caught.value, IncompleteAudioError)
