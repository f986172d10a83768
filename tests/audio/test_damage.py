"""Files that end early and bytes that were changed: the sound that is left with a warning, or one AudioError."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio.containers import ogg
from s2t_np.errors import AudioError, IncompleteAudioError
from tests.support.paths import ROOT
from tests.support.sounds import encode, read, signal

pytest.importorskip("soundfile")

CONTAINERS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "MS_ADPCM"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]
CONTAINERS += [("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AU", "PCM_24"), ("CAF", "ALAC_16")]


@pytest.mark.parametrize(("container", "subtype"), CONTAINERS)
def test_cut_anywhere(container, subtype, capfd):
    x = signal(60_000)
    good = encode(x, container=container, subtype=subtype)
    whole, _ = read(good)
    cuts = [*range(0, 200, 7), *np.linspace(200, len(good) - 1, 25).astype(int)]
    shortest = 0
    for cut in cuts:
        try:
            y, said = read(good[:cut])
        except AudioError:
            assert cut < 0.4 * len(good) or subtype == "ALAC_16", cut  # its table of packets stands at the end
            continue
        assert len(y) <= len(whole) and len(y) >= shortest
        half = max(len(y) // 2, 1)  # the first half: the end of what was cut may differ a little
        assert np.abs(y[:half] - whole[:half]).max() < 0.05 or len(y) < 4000
        assert said or len(y) > len(whole) - 2500, cut
        shortest = len(y)
    assert shortest > 0.9 * len(whole) or subtype in ("ALAC_16", "VORBIS", "OPUS")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("container", "subtype"), [*CONTAINERS, ("SDS", "PCM_16"), ("W64", "PCM_16"), ("VOC", "PCM_16")]
)
def test_changed_bytes(container, subtype, capfd):
    rng = np.random.default_rng(sum(map(ord, container + subtype)))
    good = encode(signal(4000), container=container, subtype=subtype)
    for case in range(60):
        bad = bytearray(good)
        for place in rng.integers(0, min(len(bad), 200) if case % 2 else len(bad), 1 + case % 7):
            bad[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        if case % 5 == 0:
            place = rng.integers(len(bad))
            del bad[place : place + rng.integers(1, 50)]
        try:
            samples, _ = read(bytes(bad))
        except AudioError as error:
            assert "\n" not in str(error)
        else:
            assert len(samples) < 300_000
    assert capfd.readouterr() == ("", "")


def test_trailing_bytes_are_no_damage():
    good = encode(signal(60_000), container="FLAC")
    y, said = read(good + b"TAG" + bytes(125))
    assert len(y) == 60_000 and said == ""


def test_bytes_between_ogg_pages_are_said():
    good = encode(signal(200_000), container="OGG")
    place = good.index(b"OggS", len(good) // 2)
    y, said = read(good[:place] + bytes(100) + good[place:])
    assert len(y) > 150_000 and "damaged or cut short" in said


@pytest.mark.skipif(os.name != "posix", reason="descriptors are closed by the shell")
@pytest.mark.parametrize("container", ["MP3", "CAF"])
def test_without_standard_error(container, tmp_path):
    path = tmp_path / "sound"
    path.write_bytes(encode(signal(), container=container))
    program = f"import os; from s2t_np import audio; os.write(1, b'%d' % len(audio.read({str(path)!r}, 16000)))"
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b"16000"


# ---- each kind of damage, in every format


def heard(source):
    """(samples, the words of the IncompleteAudioError in which they end or "")."""
    count = 0
    try:
        for block in audio.blocks(source, 16000):
            count += len(block)
    except IncompleteAudioError as error:
        return count, str(error)
    return count, ""


EVERY = [*CONTAINERS, ("RF64", "PCM_16"), ("W64", "PCM_16"), ("CAF", "PCM_16"), ("NIST", "PCM_16")]


@pytest.mark.parametrize(("container", "subtype"), EVERY)
@pytest.mark.parametrize("share", [0.25, 0.6])
def test_what_is_cut_off_is_said(container, subtype, share):
    good = encode(signal(160_000), container=container, subtype=subtype)
    count, said = heard(good[: int(share * len(good))])
    assert (share - 0.2) * 160_000 < count < (share + 0.05) * 160_000
    assert "cut short" in said and f"{count / 16000:.2f} s of sound could be read" in said


@pytest.mark.parametrize(("container", "subtype"), [*EVERY, ("VOC", "PCM_16")])
def test_a_file_that_shrinks_while_it_is_read(container, subtype):
    good = encode(signal(600_000), container=container, subtype=subtype)
    file = Shrinking(good)
    blocks = audio.blocks(file, 16000)
    count, said = len(next(blocks)), ""
    file.truncate(len(good) * 6 // 10)
    try:
        for block in blocks:
            count += len(block)
    except IncompleteAudioError as error:
        said = str(error)
    assert 300_000 < count < 400_000
    assert "became shorter while it was read" in said or "cut short" in said


class Shrinking(io.BytesIO):
    """Unbuffered, so that what is cut off is gone at once."""


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("share", [0.3, 0.51, 0.77])
def test_one_bit_of_an_ogg_page(subtype, share):
    bad = bytearray(encode(signal(160_000), container="OGG", subtype=subtype))
    bad[int(share * len(bad))] ^= 16
    count, said = heard(bytes(bad))
    assert 130_000 < count < 160_000
    assert "1 of 12 pages of the Ogg stream do not match their check sums, the first at byte" in said


def test_the_check_sum_of_ogg_bit_by_bit():
    """The definition of RFC 3533: polynomial 0x04c11db7, from the most significant bit, starting at 0."""
    data = np.random.default_rng(0).bytes(300)
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register >> 31 else 0)) & 0xFFFFFFFF
    assert ogg.crc(data) == register


@pytest.mark.parametrize("share", [0.3, 0.51, 0.77])
@pytest.mark.parametrize("channels", [1, 2])
def test_one_bit_of_a_flac_frame_costs_one_frame(share, channels):
    bad = bytearray(encode(signal(160_000, channels=channels), container="FLAC"))
    bad[int(share * len(bad))] ^= 16
    count, said = heard(bytes(bad))
    assert 160_000 - 2 * 4096 <= count < 160_000  # libsndfile writes frames of 4096 samples
    assert "damaged or cut short after" in said


def test_many_damaged_flac_frames():
    bad = bytearray(encode(signal(400_000), container="FLAC"))
    for place in range(5000, len(bad), len(bad) // 9):
        bad[place] ^= 255
    count, said = heard(bytes(bad))
    assert 400_000 - 20 * 4096 < count < 400_000 and "damaged" in said
