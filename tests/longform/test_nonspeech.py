"""The corpus of sounds without speech, and how the text that a model invents for them is counted."""

import subprocess
import sys

import numpy as np
import pytest

from s2t_np.longform.options import StreamOptions
from s2t_np.longform.transcript import Transcript
from tests.support.paths import ROOT
from tools.nonspeech import corpus, rate
from tools.nonspeech.kinds import KINDS
from tools.nonspeech.parts import RATE, band, filtered, harmonics, noise, tone


@pytest.mark.parametrize("kind", KINDS)
def test_every_piece_is_sound_of_2_to_10_s(kind):
    for seed in range(3):
        x = corpus.piece(kind, seed)
        assert x.dtype == np.float32 and x.ndim == 1 and np.isfinite(x).all()
        assert 2 * RATE - 1 <= len(x) <= 10 * RATE + RATE and np.abs(x).max() <= 1
        assert kind == "silence" or np.abs(x).max() > 0.03 * 10**-0.2
    assert np.array_equal(corpus.piece(kind, 1), corpus.piece(kind, 1))
    assert not np.array_equal(corpus.piece(kind, 1)[:9999], corpus.piece(kind, 2)[:9999]) or kind == "silence"


def power(x: np.ndarray, low: float, high: float) -> float:
    """The power of samples between two frequencies in Hz."""
    bins = np.abs(np.fft.rfft(x)) ** 2
    hertz = np.fft.rfftfreq(len(x), 1 / RATE)
    return float(bins[(hertz >= low) & (hertz < high)].sum())


@pytest.mark.parametrize(("tilt", "decibels"), [(0, 3.0), (1, 0.0), (2, -3.0)])
def test_the_colour_of_noise_is_its_power_in_octaves(tilt, decibels):
    """An octave higher, white noise has twice the power, pink noise the same, brown noise half of it."""
    x = noise(np.random.default_rng(0), 20 * RATE, tilt)
    assert 10 * np.log10(power(x, 2000, 4000) / power(x, 1000, 2000)) == pytest.approx(decibels, abs=0.3)


def test_harmonics_lie_at_multiples_and_never_fold_back():
    x = harmonics(np.full(RATE, 3000.0), [1.0, 1.0, 1.0])
    assert power(x, 2990, 3010) == pytest.approx(power(x, 5990, 6010), rel=0.01)
    assert power(x, 0, 2900) < 1e-6 * power(x, 2990, 3010), "9 kHz would come back at 7 kHz"
    assert power(x, 6100, 8000) < 1e-6 * power(x, 2990, 3010)


def test_a_band_keeps_its_middle():
    kept = filtered(tone(RATE, 1000), band(300, 3000)).std() / tone(RATE, 1000).std()
    gone = filtered(tone(RATE, 60), band(300, 3000)).std() / tone(RATE, 60).std()
    assert kept > 0.9 and gone < 0.06


def test_dtmf_has_one_low_and_one_high_tone():
    x = corpus.piece("dtmf", 0)
    total = power(x, 0, 8000)
    assert power(x, 690, 950) > 0.3 * total and power(x, 1200, 1640) > 0.3 * total


class Saying:
    """A model that answers with these texts and flags."""

    def __init__(self, *answers):
        self.answers = answers

    def transcribe_batch(self, sounds, sampling_rate, options, **generation):
        for (text, flags), _ in zip(self.answers, sounds, strict=True):
            yield Transcript(text, [], [text], 1.0, flags=flags)


def test_counting():
    minute = np.zeros(60 * RATE, np.float32)
    model = Saying(("", ()), ("one two", ("low_logprob",)), ("three", ()), ("", ("low_logprob",)))
    found = rate.invented(model, [("a", minute), ("a", minute), ("b", minute), ("b", minute)], StreamOptions(), 1)
    assert list(found) == ["a", "b", "all"]
    assert (found["all"].with_text, found["all"].words, found["all"].doubted) == (2, 3, 1)
    assert found["a"].row("a").split() == ["a", "2", "2.0", "50.0%", "1.0", "100%"]
    assert found["b"].row("b").split() == ["b", "2", "2.0", "50.0%", "0.5", "0%"]


def test_lost_speech(tmp_path):
    table = tmp_path / "table.tsv"
    corpus.write(tmp_path, 1, 0, ("clicks",))
    table.write_text("id\taudio\ttext\n" + "u{}\tclicks-0-0000.flac\tone two\n" * 2)
    table.write_text(table.read_text().replace("u{}", "u0", 1).replace("u{}", "u1", 1))
    line = rate.lost(Saying(("", ()), ("one too", ())), table, StreamOptions(), 1, 100)
    assert "2 utterances, 1 without text, word error rate 75.00%" in line


@pytest.mark.slow
def test_the_command(tmp_path):
    run = [sys.executable, "-m", "tools.nonspeech"]
    kinds = ["--kinds", "silence", "modulated noise", "--count", "2"]
    done = subprocess.run(
        [*run, "write", tmp_path / "out", *kinds], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "4 recordings" in done.stdout
    rows = (tmp_path / "out" / "table.tsv").read_text().splitlines()
    assert rows[0] == "id\taudio\ttext" and rows[3] == "modulated-noise-0-0000\tmodulated-noise-0-0000.flac\t"
    assert len(list((tmp_path / "out").glob("*.flac"))) == 4
    done = subprocess.run([*run, *kinds, "--beams", "1"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[-5] for line in done.stdout.splitlines()[1:]] == ["2", "2", "4"]
