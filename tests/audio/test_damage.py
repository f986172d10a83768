"""Files that end early and bytes that were changed: the sound that is left with a warning, or one AudioError."""

import os
import subprocess
import sys

import numpy as np
import pytest

from s2t_np.errors import AudioError
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
