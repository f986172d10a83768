"""Formats that are not read are named, with the way to convert them."""

import io
import shutil
import subprocess

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio.containers import READERS
from s2t_np.errors import AudioError
from tests.support.sounds import encode, signal

HEADS = {
    "MPEG-4 audio": b"\0\0\0\x1cftypM4A \0\0\2\0",
    "MPEG-4 (MP4)": b"\0\0\0\x20ftypisom\0\0\2\0",
    "QuickTime": b"\0\0\0\x14ftypqt  \0\0\0\0",
    "3GPP": b"\0\0\0\x18ftyp3gp4\0\0\0\0",
    "Matroska or WebM": b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f",
    "ASF (WMA, WMV)": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c",
    "AAC": b"\xff\xf1\x50\x80\x02\x1f\xfc",
    "AC-3": b"\x0b\x77\0\0\0\0",
    "AMR": b"#!AMR\n",
    "WavPack": b"wvpk" + bytes(20),
}


@pytest.mark.parametrize("kind", HEADS)
def test_formats_by_their_first_bytes(kind, tmp_path, without_pyav):
    assert audio.describe_format(HEADS[kind]).startswith(kind)
    path = tmp_path / "my memo.m4a"
    path.write_bytes(HEADS[kind] + np.random.default_rng(0).bytes(5000))
    with pytest.raises(AudioError) as caught:
        audio.load(path, 16000)
    assert "pip install av" in str(caught.value)
    assert f"{path}: is {kind}" in str(caught.value) and "\n" not in str(caught.value)
    assert f"ffmpeg -v error -i '{path}' -f wav - | s2t-np transcribe -" in str(caught.value)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64"])
def test_formats_that_are_read_are_not_among_them(container):
    assert audio.describe_format(encode(signal(2000), container=container)) is None
    assert f".{container.lower()}" not in audio.FFMPEG_SUFFIXES
    assert all(audio.describe_format(magic.ljust(400, b"\0")) is None for magic in READERS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"%PDF-1.4" + bytes(500), "a PDF document"),
        (b"PK\3\4" + bytes(500), "a zip archive"),
        (b"\n<!DOCTYPE html><html>" + bytes(500), "a web page"),
    ],
)
def test_what_is_not_sound_is_named(data, words):
    with pytest.raises(AudioError, match=f"is not a recording: it is {words}"):
        audio.load(io.BytesIO(data), 16000)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize(
    "suffix", sorted(audio.FFMPEG_SUFFIXES & set(".m4a .mp4 .webm .wma .aac .mov .mkv .flv".split()))
)
def test_what_ffmpeg_writes_is_named(suffix, tmp_path, without_pyav):
    (tmp_path / "in.wav").write_bytes(encode(signal(16_000, 48_000), 48_000))
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "in.wav", "out" + suffix], cwd=tmp_path, capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this ffmpeg does not write it")
    with pytest.raises(AudioError, match="which needs PyAV"):
        audio.load(tmp_path / ("out" + suffix), 16000)
