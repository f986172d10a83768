"""The training sound of `digits`: which takes go where, and sounds that are what their names say."""

import numpy as np
import pytest
import soundfile

from tools import digits_data
from tools.digits_data import RATE, WORDS, Mixer, time_stretch


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
