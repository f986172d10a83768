"""What is no voice: sounds that stand out of the silence and are left out, speech that never is."""

import numpy as np
import pytest
import soundfile

from s2t_np.longform.segmenter import pieces
from s2t_np.longform.speech_check import SpeechCheckOptions, flatness, is_speech_like, level_spread, measures, tonality
from s2t_np.longform.vad import VadOptions
from tests.support.paths import SHARED, needs_shared
from tests.support.speech import RATE, RECORDINGS, around, bundled, librispeech, music, no_speech, noise, tone

SOUNDS = no_speech()


def heard(x):
    """The pieces that a recording is cut into, and whether each may be speech."""
    return [is_speech_like(p.samples, RATE, SpeechCheckOptions()) for p in pieces([x], RATE, VadOptions())]


@pytest.mark.parametrize("name", SOUNDS)
def test_no_speech(name):
    assert not any(heard(SOUNDS[name]))


@pytest.mark.parametrize("name", ["white noise switched on", "a tone", "chords", "hum", "clicks", "noise with a beat"])
def test_energy_alone_takes_them_for_speech(name):
    assert heard(SOUNDS[name])


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.flac")), ids=lambda path: path.stem)
def test_speech(path):
    found = heard(soundfile.read(path, dtype="float32")[0])
    assert found and all(found)


@needs_shared
@pytest.mark.parametrize("snr", [None, 10, 5])
def test_real_speech_also_in_noise(snr):
    found = []
    for i, x in enumerate(librispeech()[:30]):
        size = np.sqrt(np.mean(np.square(x))) * 10 ** (-(snr or 200) / 20)
        y = around(x) + noise(len(x) / RATE + 4, size, tilt=i % 2, seed=i)[: len(x) + 4 * RATE].astype(np.float32)
        found += heard(y.astype(np.float32))
    assert len(found) >= 30 and sum(found) >= len(found) - 1


@needs_shared
def test_single_digits():
    files = sorted((SHARED / "audio" / "fsdd" / "recordings").glob("*.wav"))[::10]
    found = [is_speech_like(soundfile.read(f, dtype="float32")[0], 8000, SpeechCheckOptions()) for f in files]
    assert sum(found) >= 0.99 * len(found)


def test_speech_over_quiet_music():
    x = soundfile.read(RECORDINGS / "two-nine-three-four-zero.flac", dtype="float32")[0]
    chords = music(10, 1.0)[: len(x)]
    chords *= np.sqrt(np.mean(np.square(x)) / np.mean(np.square(chords))) * 0.1
    assert is_speech_like((x + chords).astype(np.float32), RATE, SpeechCheckOptions())


def test_each_limit_can_be_switched_off():
    for x, limit in (
        (tone(5) + noise(5, 1e-3), "min_level_spread"),
        (SOUNDS["noise with a beat"], "max_flatness"),
        (music(5, 3.0), "max_tonality"),
    ):
        assert not is_speech_like(x, RATE, SpeechCheckOptions())
        others = {"min_level_spread": None, "max_flatness": None, "max_tonality": None}
        del others[limit]
        assert not is_speech_like(x, RATE, SpeechCheckOptions(**others)), limit
        assert is_speech_like(x, RATE, SpeechCheckOptions(None, None, None))


def test_the_flatness_of_noise_does_not_depend_on_its_colour():
    for tilt in (0, 1, 2):
        assert flatness(measures(noise(20, tilt=tilt), RATE)) == pytest.approx(-2.22, abs=0.06)


def in_one_formula(x):
    """Level spread, flatness and tonality as their definitions say, bin by bin and frame by frame, in float64."""
    frames = [x[i : i + 1024] * np.hanning(1024) for i in range(0, len(x) - 1023, 320)]
    power = np.abs(np.fft.rfft(frames, axis=1)[:, 13:256]) ** 2
    power += 1e-9 * power.max()
    around = np.array([[min(max(k + i, 0), 242) for i in range(-7, 8)] for k in range(243)])
    envelope, loud = np.log(power)[:, around].mean(axis=2), power.sum(axis=1)
    loud = loud > loud.max() / 10**2.5
    lines = np.log(power) - envelope
    pairs = [(a, b) for a, b in zip(range(len(power)), range(3, len(power)), strict=False) if loud[a] and loud[b]]
    return (
        np.std(10 * np.log10(power.sum(axis=1)[loud])),
        (10 * np.log10(np.e) * (envelope - np.log(power[:, around].mean(axis=2)))[loud]).mean(),
        np.mean([np.corrcoef(lines[a], lines[b])[0, 1] for a, b in pairs]),
    )


@pytest.mark.parametrize("scale", [1e-20, 1, 1e20, 1e37])
def test_measures_are_those_of_their_definitions_at_any_level(scale):
    for x in (bundled("five-five"), music(2, 1.0) + noise(2, 0.01), noise(1)):
        found = measures((x * scale).astype(np.float32), RATE)
        expected = in_one_formula((x * scale).astype(np.float32).astype(np.float64))
        assert (level_spread(found), flatness(found), tonality(found)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("x", [np.zeros(400), np.zeros(5000), np.ones(1), noise(0.02)], ids=len)
def test_the_shortest_and_the_emptiest_are_not_speech(x):
    """Their level does not vary: there is a single frame, or nothing but silence in all."""
    assert is_speech_like(x.astype(np.float32), RATE, SpeechCheckOptions()) is False
