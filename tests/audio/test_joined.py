"""Recordings joined end to end: all of them are heard, whatever their kind, with tags between them or not."""

import io

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio import containers
from s2t_np.audio.containers import mpeg
from s2t_np.errors import IncompleteAudioError
from tests.support.sounds import encode, read, signal

pytest.importorskip("soundfile")

ID3V1 = b"TAG" + b"A talk".ljust(125, b"\0")
ID3V2 = b"ID3\4\0\0\0\0\0\x14" + bytes(20)
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16 + 32)
KINDS = [("WAV", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16")]
KINDS += [("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
KINDS += [("MP3", "MPEG_LAYER_III")]


def loudness(y):
    """Root mean square of both halves."""
    return [float(np.sqrt(np.mean(half**2))) for half in np.array_split(y, 2)]


@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize("between", [b"", ID3V1, ID3V1 + ID3V2, APE], ids=["nothing", "ID3v1", "ID3v1 + ID3v2", "APE"])
def test_both_of_two_are_heard(container, subtype, between):
    if between and container == "AU":
        pytest.skip("its length says where it ends, but a tag after it is taken for sound")
    x = signal(24_000)
    y, said = read(
        encode(x, container=container, subtype=subtype) + between + encode(x / 2, container=container, subtype=subtype)
    )
    assert abs(len(y) - 48_000) < 1500 and said == ""
    first, second = loudness(y)
    assert abs(first / second - 2) < 0.2


def test_kinds_may_differ():
    y, said = read(
        encode(signal(16_000)) + encode(signal(), container="AIFF") + encode(signal(24_000, 48_000), 48_000, "FLAC")
    )
    assert len(y) == 16_000 + 16_000 + 8_000 and said == ""


MP3S = [(44100, 2), (44100, 1), (48000, 1), (16000, 1)]


@pytest.mark.parametrize("one", MP3S)
@pytest.mark.parametrize("two", MP3S)
@pytest.mark.parametrize("table", [True, False], ids=["Xing", "no Xing"])
def test_mp3_that_changes_rate_or_channels(one, two, table):
    files = [encode(signal(2 * rate, rate, channels), rate, "MP3") for rate, channels in (one, two)]
    if not table:
        files = [data[mpeg.header_of(data[:4]).length :] for data in files]
    y, said = read(b"".join(files), 16000)
    assert 64_000 - 3000 < len(y) < 64_000 + 5000 and said == ""
    assert min(np.abs(part).max() for part in np.array_split(y, 16)) > 0.1


def test_bytes_between_mp3_frames_are_said_and_passed_over():
    good = encode(signal(96_000), container="MP3", bitrate_mode="CONSTANT")
    place = mpeg.one_run(containers.Source(io.BytesIO(good), ""), 0, len(good)).end // 2
    y, said = read(good[:place] + bytes(5000) + good[place:])
    assert len(y) > 90_000 and "83 come in one piece" in said


def test_what_cannot_be_read_after_the_first_is_said():
    got = []
    with pytest.raises(IncompleteAudioError, match=r"breaks off .*1\.00 s of sound could be read"):
        for block in audio.blocks(encode(signal(), container="FLAC") + b"fLaC\0\0\0\x22" + bytes(200), 16000):
            got.append(block)
    assert sum(map(len, got)) == 16_000
