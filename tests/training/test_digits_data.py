"""The training sound of `digits`: which takes go where, and sounds that are what their names say."""

import numpy as np
import pytest
import soundfile

from tools import digits_data
from tools.digits_data import RATE, WORDS, Mixer, run_together, telephone, time_stretch, upper_band


def pitch(x: np.ndarray) -> float:
    """The strongest frequency of a tone in Hz."""
    return np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax() * RATE / len(x)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_a_voice_that_speaks_more_slowly_keeps_its_pitch(factor):
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32)
    slower = time_stretch(tone, factor)
    assert len(slower) == pytest.approx(factor * RATE, abs=2 * digits_data.WINDOW)
    assert pitch(slower) == pytest.approx(200, abs=2)
    middle = slower[digits_data.WINDOW : -2 * digits_data.WINDOW]
    assert np.abs(middle).max() == pytest.approx(1, abs=0.02)  # windows meet in step: nothing cancels


def amplitudes(x: np.ndarray) -> np.ndarray:
    """Of the tones of 0, 1, 2, ... Hz in a second of sound."""
    return np.abs(np.fft.rfft(x)) / (len(x) / 2)


def test_the_upper_band_is_the_lower_one_mirrored_at_4_khz():
    tone = np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE).astype(np.float32)
    found = amplitudes(upper_band(np.random.default_rng(3), tone))
    assert found[3000] == pytest.approx(1, abs=0.01)  # what was there stays
    level = 10 ** (np.random.default_rng(3).uniform(-18, 3) / 20)
    assert found[5000] == pytest.approx(level * 2 * np.sin(np.pi * 3000 / RATE), rel=0.01)  # the weight of a difference
    assert np.delete(found, [3000, 5000]).max() < 0.01


def test_a_telephone_has_nothing_above_4_khz():
    low, high = (np.sin(2 * np.pi * hz * np.arange(RATE) / RATE) for hz in (1000, 6000))
    found = amplitudes(telephone(low + high)[:RATE])
    assert found[1000] == pytest.approx(1, abs=0.02) and found[4500:].max() < 0.01


def test_digits_that_run_together_overlap_and_keep_their_order():
    takes = [np.full(4000, level, np.float32) for level in (1, 10, 100)]
    x = run_together(np.random.default_rng(1), takes)
    assert 12000 - 2 * 0.08 * RATE <= len(x) < 12000 and x.sum() == sum(take.sum() for take in takes)
    assert [x[0], x[len(x) // 2], x[-1]] == [1, 10, 100]
    short = run_together(np.random.default_rng(1), [np.ones(4000, np.float32), np.ones(10, np.float32)])
    assert len(short) == 4000  # a take may end within the one before it


@pytest.fixture
def mixer(tmp_path):
    """Of two speakers with nine takes of each digit, one of them held out; a take's length is its number."""
    for speaker in ("ann", "lucas"):
        for digit in range(10):
            for take in range(9):
                samples = 0.1 * np.ones(800 * (take + 1), np.float32)
                soundfile.write(tmp_path / f"{digit}_{speaker}_{take}.wav", samples, 8000)
    (tmp_path / "tts.tsv").write_text("")
    return Mixer(tmp_path, tmp_path)


def test_no_take_is_both_trained_on_and_tested_on(mixer):
    numbers = {part: {len(x) // 800 - 1 for x in mixer.takes["ann", part][7]} for part in ("train", "valid", "test")}
    assert numbers == {"test": {0, 1, 2, 3, 4}, "valid": {5, 6}, "train": {7, 8}}
    assert mixer.speakers == ["ann"]


def test_utterances_have_the_words_that_are_in_them(mixer):
    rng = np.random.default_rng(0)
    for part in ("train", "valid", "test"):
        samples, text = mixer.real_digits(rng, "ann", part)
        assert samples.dtype == np.float32 and np.isfinite(samples).all()
        assert set(text.split()) <= set(WORDS) and len(samples) > 0.1 * RATE * len(text.split())
    for _ in range(40):
        sound = mixer.nothing(rng)
        assert np.isfinite(sound).all() and 0 < np.abs(sound).max() < 1
        assert 0.5 * RATE <= len(sound) <= 4 * RATE
